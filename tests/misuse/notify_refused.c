/* SPDX-License-Identifier: MIT */
/*
 * notify_refused.c - a notifier refuses a change that may block, or says what is no answer: a line; its end runs, or it refuses
 *
 *	clause: B44
 *	level: debug:0
 *	exit: 0
 *	says: nostall: nst_notify_begin(): a notifier said -11 to a change that may block; allowed: 0
 *	says: nostall: nst_notify_begin(): a notifier said 1 to a change that may not block; allowed: 0 and -EAGAIN
 */
#include "misuse.h"

static int answer, ends;

static int begin(void *arg, const struct nst_notify_range *range)
{
	(void)arg;
	(void)range;
	return answer;
}

static void end(void *arg, const struct nst_notify_range *range)
{
	(void)arg;
	(void)range;
	ends++;
}

int main(void)
{
	static const struct nst_notifier_ops ops = {begin, end, NULL};
	struct nst_notify_range r;

	HOLDS(nst_notifier_register(NULL, 0, 1, &ops, 0, NULL));
	answer = -EAGAIN;
	HOLDS(nst_notify_begin(&r, NULL, 0, 1, NST_NOTIFY_BLOCKABLE) == 0); /* HERE */
	nst_notify_end(&r);
	HOLDS(ends == 1);
	HOLDS(nst_notify_begin(&r, NULL, 0, 1, 0) == -EAGAIN); /* this it may say */
	answer = 1;
	HOLDS(nst_notify_begin(&r, NULL, 0, 1, 0) == -EAGAIN); /* HERE */
	HOLDS(ends == 1);
	return 0;
}
