/* SPDX-License-Identifier: MIT */
/*
 * shrinker_bad.c - a shrinker without a function, or with unknown flags: one line and NULL
 *
 *	clause: B36
 *	level: debug:0
 *	exit: 0
 *	says: nostall: nst_shrinker_register(): a function is missing; allowed: both, and flags of 0xN
 *	says: nostall: nst_shrinker_register(): unknown flags; allowed: both, and flags of 0xN
 */
#include "misuse.h"

static size_t none(void *ctx)
{
	(void)ctx;
	return 0;
}

static size_t nothing(void *ctx, size_t nr)
{
	(void)ctx;
	(void)nr;
	return NST_SHRINK_STOP;
}

int main(void)
{
	HOLDS(!nst_shrinker_register(none, NULL, NULL, 2, 0));		  /* HERE */
	HOLDS(!nst_shrinker_register(none, nothing, NULL, 2, HIDDEN(8))); /* HERE */
	return 0;
}
