/* SPDX-License-Identifier: MIT */
/*
 * mm_prefill.c - n objects after prefill(n), exactly; ordinary ones; refilled, returned, refused, out of memory.
 *
 * C23 in one thread; threads, handlers and system calls: contract/prefill, torture/pool. Again with each level of
 * debug, where an object in a sheaf counts as free.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "mm/claim/pool.h"
#include "common/check.h"
#include "common/pattern.h"
#include "common/said.h"
#include "common/trap.h"
#include "reserve.h"

#define BYTES 200u
#define MOST 5000u
#define BUILT 0x6275696c74u

static struct nst_cache *plain, *built;
static void *taken[MOST + 1];

static void build(void *obj)
{
	*(uint64_t *)obj = BUILT;
}

static struct nst_prefilled *filled(struct nst_cache *cache, unsigned int n, nst_mode_t mode)
{
	struct nst_prefilled *sheaf = NULL;

	if (nst_sheaf_prefill(cache, n, mode, &sheaf))
		check_broken("nst_sheaf_prefill");
	return sheaf;
}

static int compare(const void *a, const void *b)
{
	uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;

	return x < y ? -1 : x > y;
}

/* What a sheaf has, all of it; written, checked and freed by every free. How many; @twice: how many of them twice. */
static unsigned int use_up(struct nst_prefilled *sheaf, unsigned int *twice)
{
	unsigned int n = 0, i;

	while (n <= MOST && (taken[n] = nst_sheaf_alloc(sheaf)) != NULL)
		n++;
	qsort(taken, n, sizeof(taken[0]), compare);
	for (i = 1, *twice = 0; i < n; i++)
		*twice += taken[i] == taken[i - 1];
	for (i = 0; i < n; i++)
		pattern_fill(taken[i], BYTES, i);
	for (i = 0; i < n; i++)
		*twice += pattern_check(taken[i], BYTES, i) != BYTES;
	for (i = 0; i < n; i++) {
		if (i % 3 == 0)
			nst_free(taken[i]);
		else if (i % 3 == 1)
			nst_free_nolock(taken[i]);
		else
			nst_cache_free(plain, taken[i]);
	}
	return n;
}

static void exactly(unsigned int n)
{
	struct nst_prefilled *sheaf = filled(plain, n, NST_NORMAL);
	unsigned int twice, got = use_up(sheaf, &twice);

	check(got == n && !twice && !nst_sheaf_alloc(sheaf),
	      "C23 exactly as many as were filled in", "%u of %u, %u twice", got, n, twice);
	nst_sheaf_return(sheaf);
}

static void without_memory(void)
{
	struct nst_prefilled *sheaf = filled(plain, 1000, NST_NORMAL), *other = NULL;
	unsigned int twice, got;
	int err;

	flood(plain);
	err = nst_sheaf_prefill(plain, 1000, NST_NORETRY, &other);
	check(err == -ENOMEM && !other, "no memory: -ENOMEM, and no sheaf", "%d", err);
	got = use_up(sheaf, &twice);
	check(got == 1000 && !twice, "C23 all memory taken: all the same", "%u, %u twice", got,
	      twice);
	flood(plain);
	err = nst_sheaf_refill(sheaf, 1000, NST_NORMAL);
	check(err == -ENOMEM && !nst_sheaf_alloc(sheaf), "no memory to refill it: -ENOMEM", "%d",
	      err);
	/* Here and there: a slab in which nothing lives may go to the reserve, which is not for these modes. */
	for (unsigned int i = 0; i < 100; i++) {
		nst_free(flood_object[7 * i]);
		flood_object[7 * i] = flood_object[--flood_nr];
	}
	err = nst_sheaf_refill(sheaf, 1000, NST_NORMAL);
	check(err == -ENOMEM && !nst_sheaf_alloc(sheaf), "nor for all of it: none", "%d", err);
	err = nst_sheaf_refill(sheaf, 100, NST_NORMAL);
	got = use_up(sheaf, &twice);
	check(err == 0 && got == 100, "what there is suffices for as many", "%d, %u", err, got);
	flood_end(0);
	nst_sheaf_return(sheaf);
	nst_test_fail[NST_FAIL_META] = 1;
	err = nst_sheaf_prefill(plain, 10, NST_NORMAL, &other);
	nst_test_fail[NST_FAIL_META] = 0;
	check(err == -ENOMEM && !other, "none for the sheaf itself: -ENOMEM", "%d", err);
}

static void refilled(void)
{
	struct nst_prefilled *sheaf = filled(plain, 50, NST_NOWAIT);
	unsigned int twice, i;

	for (i = 0; i < 20; i++)
		taken[i] = nst_sheaf_alloc(sheaf);
	check(nst_sheaf_refill(sheaf, 30, NST_NORMAL) == 0 && (u32)sheaf->state == 30,
	      "it has as many: nothing happens", "%u left", (u32)sheaf->state);
	check(nst_sheaf_refill(sheaf, 50, NST_NORMAL) == 0 && (u32)sheaf->state == 50,
	      "C23 refilled it has as many again", "%u left", (u32)sheaf->state);
	for (i = 0; i < 20; i++)
		nst_free(taken[i]);
	i = use_up(sheaf, &twice);
	check(i == 50 && !twice, "and gives them", "%u, %u twice", i, twice);
	check(nst_sheaf_refill(sheaf, 51, NST_NORMAL) == -EINVAL &&
		      nst_sheaf_refill(sheaf, 0, NST_NORMAL) == -EINVAL &&
		      nst_sheaf_refill(sheaf, 5, NST_NOLOCK) == -EINVAL,
	      "more than it has room for, 0, a mode that waits for nothing: -EINVAL", "not");
	nst_sheaf_return(sheaf);
	nst_sheaf_return(NULL);
}

static void refused(void)
{
	struct nst_prefilled *sheaf = NULL;
	nst_scope_t scope;
	int errs = 0;

	errs += nst_sheaf_prefill(plain, 0, NST_NORMAL, &sheaf) == -EINVAL;
	errs += nst_sheaf_prefill(plain, NST_PREFILL_MAX + 1, NST_NORMAL, &sheaf) == -EINVAL;
	errs += nst_sheaf_prefill(NULL, 1, NST_NORMAL, &sheaf) == -EINVAL;
	errs += nst_sheaf_prefill(plain, 1, NST_NORMAL, NULL) == -EINVAL;
	errs += nst_sheaf_prefill(plain, 1, NST_NOLOCK, &sheaf) == -EINVAL;
	errs += nst_sheaf_prefill(plain, 1, NST_FASTTRY, &sheaf) == -EINVAL;
	scope = nst_scope_enter(NST_SCOPE_NOLOCK);
	errs += nst_sheaf_prefill(plain, 1, NST_NORMAL, &sheaf) == -EINVAL;
	nst_scope_exit(scope);
	check(errs == 7 && lines == 0 && !sheaf, "what is out of range: -EINVAL, without a line",
	      "%d of 7, \"%s\"", errs, said);
	check(nst_sheaf_prefill(plain, 1, NST_NORMAL | NST_NOWAIT, &sheaf) == -EINVAL && lines == 1,
	      "two modes: a line as well", "\"%s\"", said);
	check(nst_sheaf_prefill(built, 1, NST_NORMAL | NST_ZERO, &sheaf) == -EINVAL && lines == 2 &&
		      strstr(said, "nst_sheaf_prefill: NST_ZERO on cache 'built'"),
	      "zeroes and a constructor: a line as well", "\"%s\"", said);
	lines = 0;
}

static void kinds(void)
{
	struct nst_prefilled *sheaf = filled(plain, 60, NST_NORMAL | NST_ZERO);
	unsigned int i, bad = 0;

	for (i = 0; i < 60; i++) {
		taken[i] = nst_sheaf_alloc(sheaf);
		bad += pattern_zero(taken[i], BYTES) != BYTES;
		pattern_fill(taken[i], BYTES, i);
		nst_free(taken[i]);
		if (i == 30 && nst_sheaf_refill(sheaf, 60, NST_NORMAL))
			check_broken("nst_sheaf_refill");
	}
	check(!bad, "NST_ZERO: zeroed as it is handed out", "%u of 60", bad);
	nst_sheaf_return(sheaf);
	sheaf = filled(built, 60, NST_NORMAL);
	for (i = bad = 0; i < 60; i++) {
		uint64_t *word = nst_sheaf_alloc(sheaf);

		bad += *word != BUILT;
		nst_free(word);
	}
	check(!bad, "constructed", "%u of 60 are not", bad);
	nst_sheaf_return(sheaf);
}

/* In debug, one that lies in a sheaf is free: to free it is misuse. */
static void counted(void)
{
	struct nst_prefilled *sheaf = filled(plain, 40, NST_NORMAL);
	static struct nst_stats before, after;
	void *p = nst_sheaf_alloc(sheaf);
	size_t alive;

	nst_stats_read(&before, sizeof(before));
	alive = nst_cache_destroy(plain);
	check(alive == 40, "what lies in a sheaf is alive", "%zu of 40", alive);
	lines = 0;
	nst_free(p);
	nst_lockdep_expect(NST_NL_TWICE);
	if (nst_mm.debug)
		nst_free(sheaf->obj[0]);
	nst_lockdep_expected();
	nst_stats_read(&after, sizeof(after));
	check(after.misuse == before.misuse + (nst_mm.debug ? 1 : 0),
	      "to free one that was not handed out is found", "%s", said);
	nst_sheaf_return(sheaf);
	nst_stats_read(&after, sizeof(after));
	check(after.pools.prefill_returned == before.pools.prefill_returned + 39 &&
		      after.pools.prefilled > 5000,
	      "statistics count them", "%llu in, %llu back",
	      (unsigned long long)after.pools.prefilled,
	      (unsigned long long)after.pools.prefill_returned);
}

static void forked(void)
{
	struct nst_prefilled *sheaf = filled(plain, 40, NST_NORMAL);
	unsigned int twice, got;
	int status = 0;
	pid_t pid;

	nst_free(nst_sheaf_alloc(sheaf));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		int bad = use_up(sheaf, &twice) != 39 || twice;

		bad |= nst_sheaf_refill(sheaf, 40, NST_NORMAL) != 0;
		nst_sheaf_return(sheaf);
		_exit(bad || nst_cache_destroy(plain));
	}
	waitpid(pid, &status, 0);
	got = use_up(sheaf, &twice);
	check(status == 0 && got == 39, "a child has a copy of its own", "%s, %u here",
	      child_status(status), got);
	nst_sheaf_return(sheaf);
}

const char *test_conf(int argc, char **argv)
{
	return conf_of_level("worker:off,max:24M,misuse:continue", argc, argv);
}

int main(int argc, char **argv)
{
	size_t alive;

	(void)argc;
	conf_apply(argv);
	nst_bug_sink = listen;
	plain = nst_cache_create("plain", BYTES, 0, 0, NULL);
	built = nst_cache_create("built", BYTES, 0, 0, build);
	for (unsigned int n = 1; n <= MOST; n = n * 9 + 1)
		exactly(n);
	exactly(MOST);
	without_memory();
	refilled();
	refused();
	kinds();
	counted();
	forked();
	alive = nst_cache_destroy(plain) + nst_cache_destroy(built);
	check(alive == 0 && lines == (nst_mm.debug != 0), "nothing is lost, nothing is said",
	      "%zu alive, %d lines, \"%s\"", alive, lines, said);
	return check_status();
}
