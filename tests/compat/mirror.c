/* SPDX-License-Identifier: MIT */
/*
 * mirror.c - K6: a module of kernel C, a notifier user: a page table changes under it, and it never shows what was.
 *
 * Changes that may not block are refused while its mutex is held, and then do not take place.
 */
#include <linux/completion.h>
#include <linux/mmu_notifier.h>
#include <pthread.h>
#include <stdio.h>
#include "common/check.h"
#include "mirror.h"

#define CHANGERS 2u
#define FAULTERS 2u
#define TURNS 4000u

static struct mm_struct space, elsewhere;
static unsigned long table[MIRROR_PAGES];
static unsigned long next_value = 1000;
static unsigned int stale, ended;
static unsigned long refused, changed;
static uint64_t seed;

/* A few pages move. */
static int change(struct mm_struct *mm, unsigned int first, unsigned int n, int blockable)
{
	struct mmu_notifier_range range;
	unsigned int i;
	int rc = 0;

	mmu_notifier_range_init(&range, MMU_NOTIFY_CLEAR, 0, mm, MIRROR_BASE + first * PAGE_SIZE,
				MIRROR_BASE + (first + n) * PAGE_SIZE);
	if (blockable)
		mmu_notifier_invalidate_range_start(&range);
	else
		rc = mmu_notifier_invalidate_range_start_nonblock(&range);
	if (rc)
		return rc;
	for (i = first; mm == &space && i < first + n; i++)
		WRITE_ONCE(table[i], __atomic_add_fetch(&next_value, 1, __ATOMIC_RELAXED));
	mmu_notifier_invalidate_range_end(&range);
	return 0;
}

static void *changer(void *arg)
{
	struct rng rng = {seed + (uintptr_t)arg};
	uint64_t since = 0;
	unsigned int i;

	/* Until they have met. */
	for (i = 0;
	     i < TURNS || (!READ_ONCE(mirror_retries) && (i % TURNS || check_patience(&since)));
	     i++) {
		unsigned int first = rng_below(&rng, MIRROR_PAGES - 4);

		if (change(&space, first, 1 + rng_below(&rng, 4), rng_below(&rng, 2)))
			__atomic_add_fetch(&refused, 1, __ATOMIC_RELAXED);
		else
			__atomic_add_fetch(&changed, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void *faulter(void *arg)
{
	struct rng rng = {seed + 50 + (uintptr_t)arg};

	while (!__atomic_load_n(&ended, __ATOMIC_RELAXED)) {
		mirror_fault(rng_below(&rng, MIRROR_PAGES));
		if (mirror_stale(rng_below(&rng, MIRROR_PAGES)))
			__atomic_add_fetch(&stale, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void together(void)
{
	pthread_t thread[CHANGERS + FAULTERS];
	unsigned int i;

	/* Classes are made here, on one thread. */
	check(mirror_fault(1) == table[1] && !change(&space, 1, 1, 1) && !change(&space, 1, 1, 0),
	      "K6 the mirror: by one thread", "not so");
	for (i = 0; i < CHANGERS + FAULTERS; i++)
		if (pthread_create(&thread[i], NULL, i < CHANGERS ? changer : faulter,
				   (void *)(uintptr_t)i))
			check_broken("pthread_create");
	for (i = 0; i < CHANGERS; i++)
		pthread_join(thread[i], NULL);
	__atomic_store_n(&ended, 1u, __ATOMIC_RELAXED);
	for (; i < CHANGERS + FAULTERS; i++)
		pthread_join(thread[i], NULL);
	for (i = 0; i < MIRROR_PAGES; i++)
		stale += (unsigned int)mirror_stale(i);
	printf("# %lu changes, %lu refused, %lu tried again\n", changed, refused, mirror_retries);
	check(!stale && mirror_retries,
	      "K6 the mirror: never stale, though changes came in between", "%u times of %lu",
	      stale, mirror_retries);
	check(mirror_started == mirror_ended && mirror_started >= changed,
	      "K6 the mirror: each start has its end", "%lu, %lu", mirror_started, mirror_ended);
}

static void *holds(void *arg)
{
	struct completion **at = arg;

	mirror_lock();
	complete(at[0]);
	wait_for_completion(at[1]);
	mirror_unlock();
	return NULL;
}

static void not_now(void)
{
	struct completion held, leave, *at[] = {&held, &leave};
	const unsigned long was = table[3], started = mirror_started;
	pthread_t thread;
	int rc;

	init_completion(&held);
	init_completion(&leave);
	if (pthread_create(&thread, NULL, holds, at))
		check_broken("pthread_create");
	wait_for_completion(&held);
	rc = change(&space, 3, 1, 0);
	check(rc == -EAGAIN && table[3] == was && mirror_started == mirror_ended,
	      "K6 the mirror: a change that may not wait is refused whole", "%d", rc);
	check(!change(&elsewhere, 3, 1, 0) && mirror_started <= started + 1,
	      "K6 the mirror: other spaces are not its", "told");
	complete(&leave);
	pthread_join(thread, NULL);
	check(!change(&space, 3, 1, 0) && table[3] != was, "K6 the mirror: and then made",
	      "refused");
}

int main(int argc, char **argv)
{
	struct nst_lockdep_stats s;
	unsigned int i;

	seed = seed_of(argc, argv);
	for (i = 0; i < MIRROR_PAGES; i++)
		table[i] = i + 1;
	if (init_module() || mirror_start(&space, table))
		check_broken("mirror_start");
	together();
	not_now();
	mirror_stop();
	check(mirror_released == 1, "K6 the mirror: released", "%lu", mirror_released);
	check(!change(&space, 0, 1, 0), "K6 the mirror: told no more", "refused");
	cleanup_module();
	nst_lockdep_read(&s, sizeof(s));
	check(!s.errors && !nst_compat_warnings, "K6 the mirror: the validator is silent",
	      "%lu errors, %lu warnings", (unsigned long)s.errors, nst_compat_warnings);
	return check_status();
}
