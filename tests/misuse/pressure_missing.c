/* SPDX-License-Identifier: MIT */
/*
 * pressure_missing.c - a pressure file that is not there: one line, and the program goes on without
 *
 *	clause: B46
 *	level: worker:off, pressure:/nonexistent/pressure
 *	exit: 0
 *	says: nostall: option pressure:/nonexistent/pressure: it cannot be watched (error 2); allowed: a pressure file of the kernel's, or a FIFO
 */
#include "misuse.h"

int main(void)
{
	char text[256];

	nst_maintain();
	nst_maintain();
	nst_info("pressure", text, sizeof(text));
	HOLDS(!strcmp(text, "none: /nonexistent/pressure, error 2"));
	nst_free(nst_alloc(64, NST_NORMAL));
	return 0;
}
