/* SPDX-License-Identifier: MIT */
/*
 * conf_unreadable.c - an unreadable file of options: one line, the rest still taken
 *
 *	clause: B15
 *	level: conf_file:/nonexistent/nostall.conf
 *	exit: 0
 *	says: nostall: NOSTALL_CONF: cannot read conf_file:/nonexistent/nostall.conf (error 2); a readable file of key:value lines is needed
 */
#include "misuse.h"

int main(void)
{
	nst_free(nst_alloc(64, NST_NORMAL));
	return 0;
}
