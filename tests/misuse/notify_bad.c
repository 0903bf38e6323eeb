/* SPDX-License-Identifier: MIT */
/*
 * notify_bad.c - a notifier without its functions, of no bytes, or with unknown flags; one for nothing: a line and NULL
 *
 *	clause: B43
 *	level: debug:0
 *	exit: 0
 *	says: nostall: nst_notifier_register(): a function is missing; allowed: begin and end, or invalidate, or all; 1 byte and up; flags of 0xN
 *	says: nostall: nst_notifier_register(): a function is missing; allowed: begin and end, or invalidate, or all; 1 byte and up; flags of 0xN
 *	says: nostall: nst_notifier_register(): an empty range, or one beyond the end; allowed: begin and end, or invalidate, or all; 1 byte and up; flags of 0xN
 *	says: nostall: nst_notifier_register(): an empty range, or one beyond the end; allowed: begin and end, or invalidate, or all; 1 byte and up; flags of 0xN
 *	says: nostall: nst_notifier_register(): unknown flags; allowed: begin and end, or invalidate, or all; 1 byte and up; flags of 0xN
 *	says: nostall: nst_oom_register(): no function; allowed: a function, and flags of 0xN
 *	says: nostall: nst_oom_register(): unknown flags; allowed: a function, and flags of 0xN
 */
#include "misuse.h"

static int begin(void *arg, const struct nst_notify_range *range)
{
	(void)arg;
	(void)range;
	return 0;
}

static void end(void *arg, const struct nst_notify_range *range)
{
	(void)arg;
	(void)range;
}

static size_t none(void *arg, const struct nst_oom *oom)
{
	(void)arg;
	(void)oom;
	return 0;
}

int main(void)
{
	static const struct nst_notifier_ops good = {begin, end, end}, half = {begin, NULL, NULL};

	HOLDS(!nst_notifier_register(NULL, 0, 1, NULL, 0, NULL));	   /* HERE */
	HOLDS(!nst_notifier_register(NULL, 0, 1, &half, 0, NULL));	   /* HERE */
	HOLDS(!nst_notifier_register(NULL, 0, 0, &good, 0, NULL));	   /* HERE */
	HOLDS(!nst_notifier_register(NULL, 2, SIZE_MAX, &good, 0, NULL));  /* HERE */
	HOLDS(!nst_notifier_register(NULL, 0, 1, &good, HIDDEN(8), NULL)); /* HERE */
	HOLDS(!nst_oom_register(NULL, 0, NULL));			   /* HERE */
	HOLDS(!nst_oom_register(none, HIDDEN(8), NULL));		   /* HERE */
	return 0;
}
