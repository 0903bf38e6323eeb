/* SPDX-License-Identifier: MIT */
/*
 * mm_alloc.c - realloc(): what stays, what grows where it is, what moves; and what is new is zero if asked for.
 *
 * One CPU, no worker: behind a run is what a test left there.
 *
 *	mm_alloc [debug2|debug3]	the same with what is watched, where no run grows where it is
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <string.h>
#include <unistd.h>
#include "mm/mm.h"
#include "common/check.h"
#include "common/pattern.h"
#include "common/trap.h"

#define RUN ((size_t)300 * NST_PAGE_BYTES)
#define MORE ((size_t)350 * NST_PAGE_BYTES)

static struct nst_zone *const zone = &nst_zones[0];

static unsigned char *get(size_t size, nst_mode_t mode)
{
	unsigned char *p = nst_alloc(size, mode);

	if (!p)
		check_broken("memory");
	return p;
}

static void audit(void)
{
	nst_lock_wait(&zone->lock);
	nst_buddy_check(zone);
	nst_unlock(&zone->lock);
}

static void fill(unsigned char *p, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++)
		p[i] = (unsigned char)(i * 31 >> 4);
}

/* The first byte that is not as it was filled. */
static size_t filled(const unsigned char *p, size_t size)
{
	size_t i = 0;

	while (i < size && p[i] == (unsigned char)(i * 31 >> 4))
		i++;
	return i;
}

/* ---- a run that grows ---- */

static unsigned int populated, tried;

static void count(enum nst_fail what)
{
	populated += what == NST_FAIL_POPULATE;
	tried += what == NST_FAIL_TRYLOCK;
}

/* A run of RUN bytes is to have MORE: does it grow where it is? If it cannot be had it is as it was. */
static int grows(nst_mode_t mode, const char *name)
{
	unsigned char *p = get(RUN, NST_NORMAL), *q;
	size_t size;

	fill(p, RUN);
	populated = tried = 0;
	nst_test_before = count;
	q = nst_realloc(p, MORE, mode);
	nst_test_before = NULL;
	size = q ? MORE : RUN;
	if (!q)
		q = p;
	check(filled(q, RUN) == RUN, "what it held is there", "%s: to byte %zu", name,
	      filled(q, RUN));
	check(nst_usable_size(q) >= size && nst_usable_size(q) < size + size / 2,
	      "what may be used is what it is now", "%s: %zu bytes", name, nst_usable_size(q));
	memset(q, 1, nst_usable_size(q));
	nst_free_sized(q, size);
	audit();
	return q == p && size == MORE;
}

static void by_mode(void)
{
	static const nst_mode_t sleep[] = {NST_NORMAL, NST_NORETRY, NST_NOFAIL},
				wait[] = {NST_NOWAIT, NST_ATOMIC},
				never[] = {NST_NOLOCK, NST_FASTTRY};
	unsigned int i;
	char name[64];

	for (i = 0; i < NST_ARRAY_SIZE(sleep); i++) {
		nst_mode_name(sleep[i], name, sizeof(name));
		check(grows(sleep[i], name) == !nst_mm.instrument,
		      "a run grows where it is in a mode that may sleep, if nobody watches", "%s",
		      name);
	}
	for (i = 0; i < NST_ARRAY_SIZE(wait); i++) {
		nst_mode_name(wait[i], name, sizeof(name));
		check(!grows(wait[i], name) && !populated,
		      "not in one that may only wait: nothing is made ready", "%s, %u times", name,
		      populated);
	}
	for (i = 0; i < NST_ARRAY_SIZE(never); i++) {
		nst_mode_name(never[i], name, sizeof(name));
		check(!grows(never[i], name) && !populated && !tried,
		      "nor in one that waits for nothing: no lock is tried", "%s, %u times", name,
		      tried);
	}
	check(!grows(NST_NORMAL | NST_ZERO, "NST_ZERO"), "nor where what is new is to be zero",
	      "it does");
}

static void by_scope(void)
{
	static const u32 scopes[] = {NST_SCOPE_NOLOCK, NST_SCOPE_NORECLAIM};
	unsigned char *p, *q;
	unsigned int i;

	for (i = 0; i < NST_ARRAY_SIZE(scopes); i++) {
		nst_scope_t in;

		p = get(RUN, NST_NORMAL);
		in = nst_scope_enter(scopes[i]);
		populated = tried = 0;
		nst_test_before = count;
		q = nst_realloc(p, MORE, NST_NORMAL);
		nst_test_before = NULL;
		nst_scope_exit(in);
		check(q != p && !populated && (!tried || scopes[i] != NST_SCOPE_NOLOCK),
		      "scopes count", "scope %u: %u, %u", scopes[i], populated, tried);
		nst_free(q ? q : p);
	}
}

/* ---- objects ---- */

/* One object of @cache, or of a size, made @to bytes. */
static void object(struct nst_cache *cache, size_t from, size_t to, int stays, const char *name)
{
	unsigned char *p = cache ? nst_cache_alloc(cache, NST_NORMAL) : get(from, NST_NORMAL), *q;
	size_t kept = nst_min(from, to);

	fill(p, from);
	q = nst_realloc(p, to, NST_NORMAL);
	check(q && (q == p) == stays && filled(q, kept) == kept && nst_usable_size(q) >= to, name,
	      "%p, then %p", (void *)p, (void *)q);
	/* All of it is its owner's: no red zone is met. */
	memset(q, 1, to);
	if (cache && stays)
		nst_cache_free(cache, q);
	else
		nst_free_sized(q, to);
}

static void objects(void)
{
	struct nst_cache *c = nst_cache_create("own", 200, 0, 0, NULL);

	object(NULL, 100, 110, 1, "an object of a class stays for what the class has room for");
	object(NULL, 100, 90, 0, "and moves to where a fresh one would be");
	object(NULL, 30000, 40000, 0, "from a class to a run");
	object(NULL, 300000, 20000, 0, "and back");
	object(c, 200, 150, 1, "one of a cache stays there for what the cache has");
	object(c, 200, 201, 0, "and moves for more");
	check(nst_cache_destroy(c) == 0, "with nothing left in it", "something is");
}

/* ---- what lies ready is taken at once ---- */

/* Requests that came to the slow path, but for those of debug levels. */
static u64 slow_requests(void)
{
	struct nst_stats s;

	if (nst_stats_read(&s, sizeof(s)))
		check_broken("nst_stats_read");
	return s.requests[NST_MODE_INDEX_NORMAL];
}

static void at_once(void)
{
	static const size_t sizes[] = {40, 100, 90, 1000, 24, 500};
	unsigned char *p = get(40, NST_NORMAL), *q;
	size_t i, have = 40;
	u64 before;

	for (i = 0; i < NST_ARRAY_SIZE(sizes); i++)
		nst_free(get(sizes[i], NST_NORMAL));
	nst_free(get(64, NST_NORMAL));
	before = slow_requests();
	for (i = 0; i < NST_ARRAY_SIZE(sizes); i++) {
		fill(p, have);
		p = nst_realloc(p, sizes[i], i % 2 ? NST_NORMAL : NST_NOLOCK);
		check_quiet(p && filled(p, nst_min(have, sizes[i])) == nst_min(have, sizes[i]),
			    "moved with its contents", "from %zu to %zu", have, sizes[i]);
		have = sizes[i];
		check_quiet(nst_usable_size(p) == nst_cache_of_size(have)->size,
			    "what may be used is the class's", "%zu", nst_usable_size(p));
	}
	nst_free(p);
	nst_free(nst_realloc(NULL, 40, NST_NORMAL));
	q = nst_alloc_aligned(40, 64, NST_NORMAL);
	check((uintptr_t)q % 64 == 0, "aligned", "%p", (void *)q);
	nst_free(q);
	/* Which stripe a thread without sequences finds is not said. */
	check(slow_requests() == before || nst_mm.instrument || !nst_sys_rseq.usable,
	      "realloc(), of NULL as well, and aligned requests take what lies ready",
	      "%llu came to the slow path", (unsigned long long)(slow_requests() - before));
}

/* ---- zeroes ---- */

/* All that is behind @from. */
static int rest_is_zero(const unsigned char *p, size_t from, size_t size)
{
	return from >= size || pattern_zero(p + from, size - from) == size - from;
}

static void zeroes(void)
{
	static const size_t steps[] = {50,	100,	 110,	  70,	  80,	 5000,
				       20000,	33000,	 100000,  110000, 70000, 110000,
				       300000,	800000,	 700000,  900000, 5000,	 (size_t)3 << 20,
				       2500000, 3000000, 5000000, 40000};
	size_t i, size = 30;
	unsigned char *p;

	/* So that what comes is not zero by itself. */
	for (i = 0; i < NST_ARRAY_SIZE(steps); i++) {
		p = get(steps[i], NST_NORMAL);
		memset(p, 0xff, nst_usable_size(p));
		nst_free(p);
		nst_large_drain();
	}
	p = get(size, NST_NORMAL | NST_ZERO);
	for (i = 0; i < NST_ARRAY_SIZE(steps); i++) {
		memset(p, 0x55, size);
		p = nst_realloc(p, steps[i], NST_NORMAL | NST_ZERO);
		if (!p)
			check_broken("realloc");
		check(rest_is_zero(p, size, steps[i]), "what is new is zero", "from %zu to %zu",
		      size, steps[i]);
		size = steps[i];
	}
	nst_free(p);
}

/* ---- in a child ---- */

static int held, go;

static void *hold(void *unused)
{
	nst_lock_wait(&zone->lock);
	nst_store_release(&held, 1);   /* Pairs with: the load in lost_lock(). */
	while (!nst_load_acquire(&go)) /* Pairs with: the store in lost_lock(). */
		usleep(100);
	nst_unlock(&zone->lock);
	return unused;
}

/* A thread that is not in the child holds the zone's lock: what the child does first is realloc(). */
static void lost_lock(void)
{
	unsigned char *p = get(RUN, NST_NORMAL);
	int status = 0, got;
	pthread_t t;
	pid_t pid;

	if (pthread_create(&t, NULL, hold, NULL))
		check_broken("pthread_create");
	while (!nst_load_acquire(&held)) /* Pairs with: the store in hold(). */
		usleep(100);
	pid = _Fork();
	if (!pid) {
		p = nst_realloc(p, MORE, NST_NORMAL);
		_exit(!p);
	}
	got = child_wait(pid, 40, &status);
	nst_store_release(&go, 1); /* Pairs with: the load in hold(). */
	pthread_join(t, NULL);
	check(got == 0 && !status, "a child whose first call it is does not wait for who is lost",
	      "%s", child_status(status));
	nst_free(p);
}

const char *test_conf(int argc, char **argv)
{
	if (argc > 1)
		return !strcmp(argv[1], "debug2") ? "worker:off,nodes:1,debug:2"
						  : "worker:off,nodes:1,debug:3";
	return "worker:off,nodes:1";
}

int main(int argc, char **argv)
{
	(void)argc;
	conf_apply(argv);
	run_on_cpu(0, cpu_nth(0));
	zone->min = zone->low = zone->high = 0; /* nobody keeps any up */
	by_mode();
	by_scope();
	objects();
	at_once();
	zeroes();
	lost_lock();
	return check_status();
}
