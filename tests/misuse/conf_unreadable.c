/* SPDX-License-Identifier: MIT */
/*
 * conf_unreadable.c - an unreadable file of options: one line, the rest still taken
 *
 *	clause: B15
 *	level: conf_file:/nonexistent/nostall.conf
 *	exit: 0
 *	says: TODO
 */
#include "misuse.h"

int main(void)
{
	nst_free(nst_alloc(64, NST_NORMAL));
	return 0;
}
