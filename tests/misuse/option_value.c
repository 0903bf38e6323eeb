/* SPDX-License-Identifier: MIT */
/*
 * option_value.c - a value out of range: one line each, the default stays
 *
 *	clause: B14
 *	level: debug:9, worker:maybe, max:12Q
 *	exit: 0
 *	says: TODO
 */
#include "misuse.h"

int main(void)
{
	nst_free(nst_alloc(64, NST_NORMAL));
	return 0;
}
