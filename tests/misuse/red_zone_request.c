/* SPDX-License-Identifier: MIT */
/*
 * red_zone_request.c - a byte written behind the bytes asked for: seen when it is freed
 *
 *	clause: B11
 *	level: debug:2
 *	exit: abort
 *	says: TODO
 */
#include "misuse.h"

int main(void)
{
	char *p = nst_alloc(33, NST_NORMAL);

	HIDDEN(p)[33] = 1;
	nst_free(p); /* HERE */
	return 0;
}
