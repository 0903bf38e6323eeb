/* SPDX-License-Identifier: MIT */
/*
 * inverted.c - two threads take two locks in opposite orders, one after the other; then what the validator counted.
 */
#include <nostall/nostall.h>
#include <pthread.h>
#include <stdio.h>

#define FAR __attribute__((noinline))
#define KEEP __asm__ volatile("" ::: "memory")

static struct nst_lockdep_map left_lock = NST_LOCKDEP_MAP("left", NULL, NST_WAIT_SLEEP),
			      right_lock = NST_LOCKDEP_MAP("right", NULL, NST_WAIT_SLEEP);

FAR static void inner(struct nst_lockdep_map *first, struct nst_lockdep_map *second)
{
	nst_lockdep_acquire(first, 0);	/* HELD */
	nst_lockdep_acquire(second, 0); /* WAITS */
	nst_lockdep_release(second);
	nst_lockdep_release(first);
	KEEP;
}

FAR static void *outer(void *arg)
{
	struct nst_lockdep_map *first = arg;

	inner(first, first == &left_lock ? &right_lock : &left_lock); /* CALLS */
	KEEP;
	return NULL;
}

int main(void)
{
	struct nst_lockdep_stats s;
	pthread_t thread;

	outer(&left_lock);
	if (pthread_create(&thread, NULL, outer, &right_lock))
		return 1;
	pthread_join(thread, NULL);
	nst_lockdep_read(&s, sizeof(s));
	printf("errors=%llu suppressed=%llu\n", (unsigned long long)s.errors,
	       (unsigned long long)s.suppressed);
	return 0;
}
