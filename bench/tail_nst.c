/* SPDX-License-Identifier: MIT */
/*
 * tail_nst.c - the rig on libnostall, with each of the proposals that the kernel's list argued over as
 * the measured thread's way to allocate (tail_nst.h).
 */
#define _GNU_SOURCE
#include "rig.h"
#include "tail_nst.h"

#include <nostall/nostall.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void *normal(size_t size)
{
	return nst_alloc(size, NST_NORMAL);
}

static void *nowait(size_t size)
{
	return nst_alloc(size, NST_NOWAIT);
}

static void plain_free(void *ptr)
{
	nst_free(ptr);
}

static void handler(void)
{
	char *p = nst_alloc_nolock(64);

	if (p)
		p[0] = 1;
	nst_free_nolock(p);
}

/* "Decline": the lock is not taken, and the refill is left to a thread that the caller wakes. */
static int wakeup = -1;

static void decline_wake(void)
{
	uint64_t one = 1;

	while (write(wakeup, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static void *refill(void *arg)
{
	uint64_t n;

	while (read(wakeup, &n, sizeof(n)) == sizeof(n) || errno == EINTR)
		nst_maintain();
	return arg;
}

static int decline_start(void)
{
	pthread_t thread;

	if (wakeup >= 0)
		return 0;
	wakeup = eventfd(0, EFD_CLOEXEC);
	return wakeup < 0 ? -1 : pthread_create(&thread, NULL, refill, NULL);
}

static const struct rig_ops ways[] = {
	[TAIL_NOLOCK] = {normal, plain_free, nst_alloc_nolock, nst_free_nolock, handler, NULL},
	[TAIL_FASTTRY] = {normal, plain_free, nst_alloc_fasttry, nst_free_nolock, handler, NULL},
	[TAIL_NOWAIT] = {normal, plain_free, nowait, plain_free, handler, NULL},
	[TAIL_NORMAL] = {normal, plain_free, normal, plain_free, handler, NULL},
	[TAIL_DECLINE] = {normal, plain_free, nst_alloc_fasttry, nst_free_nolock, handler,
			  decline_wake},
};

int main(void)
{
	static struct rig_result result;
	struct rig_job job;

	for (;;) {
		bench_next(&job, sizeof(job));
		if (job.variant >= BENCH_COUNT(ways) ||
		    (job.variant == TAIL_DECLINE && decline_start()))
			result.failed = 1;
		else
			rig_run(&ways[job.variant], &job, &result);
		bench_answer(&result, sizeof(result));
	}
}
