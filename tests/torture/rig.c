/* SPDX-License-Identifier: MIT */
/*
 * rig.c - timers, delays, crates, books.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <nostall/nostall.h>
#include "mm/mm.h"
#include "base/testhook.h"
#include "common/owner.h"
#include "common/pattern.h"
#include "rig.h"

double rig_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int rig_goes_on(double begun, double seconds, int (*enough)(void))
{
	double lasted = rig_now() - begun;

	return lasted < seconds || (lasted < seconds + RIG_LONGER && !enough());
}

/* Until a moment, not for a while: a storm of signals would begin the rest anew, for ever. */
void rig_nap_us(unsigned int us)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_nsec += (long)us * 1000;
	at.tv_sec += at.tv_nsec / 1000000000;
	at.tv_nsec %= 1000000000;
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
		;
}

timer_t rig_timer(long ns)
{
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = RIG_SIGNAL};
	struct itimerspec every = {{0, ns}, {0, ns}};
	timer_t timer;

	event._sigev_un._tid = gettid();
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) || timer_settime(timer, 0, &every, NULL))
		check_broken("timer");
	return timer;
}

void rig_timer_stop(timer_t timer)
{
	timer_delete(timer);
}

const char *rig_form(void)
{
	static char form[32];

	if (!form[0])
		nst_info("sequences", form, sizeof(form));
	return form;
}

int rig_is_none(void)
{
	return !strcmp(rig_form(), "none");
}

int rig_is_debug(void)
{
	char options[512];

	nst_info("options", options, sizeof(options));
	return strstr(options, "debug:") != NULL;
}

/* ---- delays ---- */

const unsigned char rig_points[4] = {
	[NST_SEQ_POP] = 6,
	[NST_SEQ_PUSH] = 7,
	[NST_SEQ_POPN] = 6,
	[NST_SEQ_PUSHN] = 6,
};

static void set_delay(unsigned int seq, unsigned int point, uint32_t loops)
{
	__atomic_store_n(&nst_test_delay[seq][point], loops, __ATOMIC_RELAXED);
}

void rig_no_delay(void)
{
	for (unsigned int seq = 0; seq < NST_NR_SEQS; seq++)
		for (unsigned int point = 0; point < NST_SEQ_POINTS; point++)
			set_delay(seq, point, 0);
}

void rig_some_delay(struct rng *rng, uint32_t loops)
{
	unsigned int seq = rng_below(rng, NST_NR_STACK_SEQS + 1);

	rig_no_delay();
	if (seq < NST_NR_STACK_SEQS)
		set_delay(seq, rng_below(rng, rig_points[seq]), 1 + rng_below(rng, loops));
}

/* ---- crates ---- */

#define NR_KINDS 5u
#define CRATES_EACH 24u

static struct {
	const struct mix_caches *caches;
	void *crate[NR_KINDS][CRATES_EACH];
} crates;

static const uint32_t kind_bytes[NR_KINDS] = {MIX_SMALL_BYTES, MIX_MIDDLE_BYTES, 48, 1000,
					      (uint32_t)NST_PAGE_SIZE};

void rig_crates(const struct mix_caches *caches)
{
	crates.caches = caches;
}

static void *kind_alloc(unsigned int kind, int nolock)
{
	const struct mix_caches *c = crates.caches;

	switch (kind) {
	case 0:
		return nolock ? nst_cache_alloc_nolock(c->small)
			      : nst_cache_alloc(c->small, NST_NORMAL);
	case 1:
		return nolock ? nst_cache_alloc_nolock(c->middle)
			      : nst_cache_alloc(c->middle, NST_NOWAIT);
	case 4:
		return nolock ? nst_pages_alloc_nolock(0) : nst_pages_alloc(0, NST_NORMAL);
	default:
		return nolock ? nst_alloc_nolock(kind_bytes[kind])
			      : nst_alloc(kind_bytes[kind], NST_NORMAL);
	}
}

static void kind_free(unsigned int kind, void *ptr, int nolock)
{
	const struct mix_caches *c = crates.caches;
	struct nst_cache *cache = kind == 0 ? c->small : kind == 1 ? c->middle : NULL;

	if (cache && nolock)
		nst_cache_free_nolock(cache, ptr);
	else if (cache)
		nst_cache_free(cache, ptr);
	else if (nolock)
		nst_free_nolock(ptr);
	else if (kind == 4)
		nst_pages_free(ptr);
	else
		nst_free_sized(ptr, kind_bytes[kind]);
}

static void unpack(unsigned int kind, void *ptr, int nolock, struct rig_findings *findings)
{
	uint32_t bytes = kind_bytes[kind];

	if (!ptr)
		return;
	findings->damaged += pattern_check(ptr, bytes, RIG_CRATE_OWNER) != bytes;
	owner_give(ptr, bytes, RIG_CRATE_OWNER);
	kind_free(kind, ptr, nolock);
}

void rig_crate_step(struct rng *rng, int nolock, struct rig_findings *findings)
{
	unsigned int kind = rng_below(rng, NR_KINDS);
	void **crate = &crates.crate[kind][rng_below(rng, CRATES_EACH)];
	void *ptr = kind_alloc(kind, nolock);

	findings->steps++;
	findings->nulls += !ptr;
	if (ptr) {
		owner_take(ptr, kind_bytes[kind], RIG_CRATE_OWNER);
		pattern_fill(ptr, kind_bytes[kind], RIG_CRATE_OWNER);
	}
	/* Acquire and release: who takes the object out sees what was written in it. */
	ptr = __atomic_exchange_n(crate, ptr, __ATOMIC_ACQ_REL);
	unpack(kind, ptr, nolock, findings);
}

void rig_crates_empty(struct rig_findings *findings)
{
	for (unsigned int kind = 0; kind < NR_KINDS; kind++)
		for (unsigned int i = 0; i < CRATES_EACH; i++)
			unpack(kind,
			       __atomic_exchange_n(&crates.crate[kind][i], NULL, __ATOMIC_ACQ_REL),
			       0, findings);
}

#define BULK 40u

static size_t bulk_alloc(struct rng *rng, int nolock, size_t want, void **out, uint32_t *bytes,
			 struct nst_cache **cache)
{
	nst_mode_t mode = nolock ? NST_NOLOCK : NST_NORMAL;

	*cache = rng_below(rng, 2) ? crates.caches->small : NULL;
	*bytes = *cache ? MIX_SMALL_BYTES : 32;
	return *cache ? nst_cache_alloc_bulk(*cache, mode, want, out)
		      : nst_alloc_bulk(*bytes, mode, want, out);
}

static void bulk_free(struct nst_cache *cache, int nolock, size_t nr, void **ptrs)
{
	nst_scope_t scope = nst_scope_enter(nolock ? NST_SCOPE_NOLOCK : 0);

	if (cache)
		nst_cache_free_bulk(cache, nr, ptrs);
	else
		nst_free_bulk(nr, ptrs);
	nst_scope_exit(scope);
}

void rig_bulk_step(struct rng *rng, int nolock, unsigned int owner, struct rig_findings *findings)
{
	void *ptrs[BULK];
	struct nst_cache *cache;
	uint32_t bytes;
	size_t want = 1 + rng_below(rng, BULK),
	       nr = bulk_alloc(rng, nolock, want, ptrs, &bytes, &cache);

	findings->steps++;
	findings->nulls += nr < want;
	for (size_t i = 0; i < nr; i++) {
		owner_take(ptrs[i], bytes, owner);
		pattern_fill(ptrs[i], bytes, owner);
	}
	for (size_t i = 0; i < nr; i++) {
		findings->damaged += pattern_check(ptrs[i], bytes, owner) != bytes;
		owner_give(ptrs[i], bytes, owner);
	}
	bulk_free(cache, nolock, nr, ptrs);
}

void rig_wave_step(struct rng *rng, unsigned int owner, void **room, struct rig_findings *findings)
{
	struct nst_cache *cache = crates.caches->small;
	unsigned int nr, nolock = rng_below(rng, 2);

	findings->steps++;
	for (nr = 0; nr < RIG_WAVE; nr++) {
		room[nr] =
			nolock ? nst_cache_alloc_nolock(cache) : nst_cache_alloc(cache, NST_NORMAL);
		if (!room[nr])
			break;
		owner_take(room[nr], MIX_SMALL_BYTES, owner);
		pattern_fill(room[nr], MIX_SMALL_BYTES, owner);
	}
	while (nr--) {
		findings->damaged +=
			pattern_check(room[nr], MIX_SMALL_BYTES, owner) != MIX_SMALL_BYTES;
		owner_give(room[nr], MIX_SMALL_BYTES, owner);
		if (nolock)
			nst_cache_free_nolock(cache, room[nr]);
		else
			nst_cache_free(cache, room[nr]);
	}
}

void rig_check_findings(const struct rig_findings *findings, const char *what)
{
	check(findings->damaged == 0, what, "%llu of %llu objects damaged",
	      (unsigned long long)findings->damaged, (unsigned long long)findings->steps);
}

/* ---- the end ---- */

static void check_classes(void)
{
	static struct nst_cache_stats caches[128];
	size_t nr = nst_stats_caches(caches, 128, sizeof(caches[0])), missing = 0;

	for (size_t i = 0; i < nr && i < 128; i++) {
		const struct nst_cache_stats *c = &caches[i];

		if (c->objects == c->in_slabs + c->in_cpus + c->in_barn)
			continue;
		printf("# cache %s: objects=%llu in_slabs=%llu in_cpus=%llu in_barn=%llu\n",
		       c->name, (unsigned long long)c->objects, (unsigned long long)c->in_slabs,
		       (unsigned long long)c->in_cpus, (unsigned long long)c->in_barn);
		missing++;
	}
	check(missing == 0, "every object of every size class is back", "%zu caches lack some",
	      missing);
}

static void check_side(void)
{
	struct nst_stats stats;

	if (nst_stats_read(&stats, sizeof(stats)))
		check_broken("nst_stats_read");
	check(stats.side_pushed == stats.side_drained, "side lists are empty",
	      "%llu pushed, %llu drained", (unsigned long long)stats.side_pushed,
	      (unsigned long long)stats.side_drained);
	check(stats.side_corrupt == 0, "side list links were sound", "%llu were not",
	      (unsigned long long)stats.side_corrupt);
	check(stats.misuse == 0, "no misuse was reported", "%llu times",
	      (unsigned long long)stats.misuse);
	printf("# side_pushed=%llu refills=%llu flushes=%llu slabs_made=%llu slabs_freed=%llu\n",
	       (unsigned long long)stats.side_pushed, (unsigned long long)stats.refills,
	       (unsigned long long)stats.flushes, (unsigned long long)stats.slabs_made,
	       (unsigned long long)stats.slabs_freed);
}

void rig_settle(struct mix_caches *caches)
{
	uint64_t since = 0;

	check_quiet(nst_rcu_barrier() == 0, "what is retired is freed", "a barrier is refused");
	/* The worker and nst_maintain() take turns: until one of them has been through. */
	do
		nst_maintain();
	while (nst_side_pending() && check_patience(&since));
	nst_maintain_pause(); /* what the worker had in its hands has its place */
	nst_maintain_resume();
	owner_report();
	check(owner_errors() == 0, "nothing was handed out twice", "%llu errors in the owner map",
	      (unsigned long long)owner_errors());
	check(owner_live() == 0, "all that was allocated was freed", "%llu objects still owned",
	      (unsigned long long)owner_live());
	size_t alive = mix_caches_destroy(caches);
	check(alive == 0, "nothing of a cache is lost", "%zu objects alive at destroy", alive);
	check_classes();
	check_side();
}
