/* SPDX-License-Identifier: MIT */
/*
 * step.c - C4: re-entry at every instruction of the form without restartable sequences.
 *
 *	main	sets the trap flag, makes one request, clears the trap flag
 *	SIGTRAP	after each instruction: a handler that itself allocates and frees, from the same cache
 *
 * Requests are drawn so that they go every way: per-CPU stacks, sheaves, barn, slabs, new slabs, pages,
 * bulk, the side list (tries made to fail), no-lock and ordinary with their locks held. A handler that
 * fills stacks up hides the slow ways from main, so it sometimes takes from the stacks only, and
 * sometimes the cache is one that has no stacks yet. The owner map
 * sees an object handed out twice. The places stepped through are counted and the functions that
 * must be among them named. NST_SECONDS (3).
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/testhook.h"
#include "common/owner.h"
#include "common/pattern.h"
#include "common/step.h"
#include "common/trap.h"
#include "place.h"
#include "rig.h"

#if defined(__x86_64__)

TEST_CONF("sequences:none,worker:off")

#define HERE __attribute__((section("step_text"), noinline))
#define NR_KINDS 4u
#define FRESH 4u /* kind of the objects of a cache made for one wave */
#define NR_HELD 96u
#define FLOOD 2600u
#define DRY 32768u /* more than a CPU's lists hold */
#define OVER 600u  /* objects beyond them */
#define OWNER_MAIN 1u
#define OWNER_HANDLER 2u
#define MIN_PLACES 2000u

extern const char step_text_start[] __asm__("__start_step_text");
extern const char step_text_stop[] __asm__("__stop_step_text");
extern const char program_start[] __asm__("__executable_start");
extern const char program_end[] __asm__("etext");

struct object {
	void *ptr;
	uint32_t bytes, kind;
};

/* One party's objects. */
struct party {
	struct rng rng;
	unsigned int owner, nr;
	uint64_t gets, nulls, frees, damaged;
	struct object held[NR_HELD];
};

static struct {
	struct mix_caches caches;
	struct party main, handler;
	uint8_t *stepped; /* by offset from program_start: 1 is stepped */
	uint64_t steps, inside;
	struct nst_cache *fresh;
	unsigned int kind; /* of the request being stepped */
	unsigned int waves;
	int only_stacks; /* the handler brings nothing to the stacks */
	int pairs;	 /* it frees at once what it gets */
	size_t alive;
	double until;
} t;

/* ---- requests ---- */

static uint32_t bytes_of(struct party *p, unsigned int kind)
{
	static const uint32_t sizes[] = {16, 48, 200, 1000, 5000};

	switch (kind) {
	case 0:
	case FRESH:
		return MIX_SMALL_BYTES;
	case 1:
		return sizes[rng_below(&p->rng, 5)];
	case 2:
		return (uint32_t)NST_PAGE_SIZE << rng_below(&p->rng, 2);
	default:
		return MIX_CTOR_BYTES;
	}
}

static void *get_fast(const struct object *o)
{
	switch (o->kind) {
	case 0:
		return nst_cache_alloc(t.caches.small, NST_FASTTRY);
	case 1:
		return nst_alloc_fasttry(o->bytes);
	case 2:
		return nst_pages_alloc(o->bytes > NST_PAGE_SIZE, NST_FASTTRY);
	default:
		return nst_cache_alloc(t.caches.ctor, NST_FASTTRY);
	}
}

static void *get_nolock(const struct object *o)
{
	switch (o->kind) {
	case FRESH:
		return nst_cache_alloc_nolock(t.fresh);
	case 0:
		return nst_cache_alloc_nolock(t.caches.small);
	case 1:
		return nst_alloc_nolock(o->bytes);
	case 2:
		return nst_pages_alloc_nolock(o->bytes > NST_PAGE_SIZE);
	default:
		return nst_cache_alloc_nolock(t.caches.ctor);
	}
}

static void *get_ordinary(const struct object *o)
{
	switch (o->kind) {
	case 0:
		return nst_cache_alloc(t.caches.small, NST_NORMAL);
	case 1:
		return nst_alloc(o->bytes, NST_NOWAIT);
	case 2:
		return nst_pages_alloc(o->bytes > NST_PAGE_SIZE, NST_NORMAL);
	default:
		return nst_cache_alloc(t.caches.ctor, NST_NORMAL);
	}
}

static void put_nolock(const struct object *o)
{
	if (o->kind == 0)
		nst_cache_free_nolock(t.caches.small, o->ptr);
	else
		nst_free_nolock(o->ptr);
}

static void put_ordinary(const struct object *o)
{
	if (o->kind == 0)
		nst_cache_free(t.caches.small, o->ptr);
	else
		nst_free(o->ptr);
}

/* The constructed word is the cache's: it is left alone. */
static uint32_t skip(const struct object *o)
{
	return o->kind == 3 ? 8 : 0;
}

static void keep(struct party *p, struct object o)
{
	p->gets++;
	p->nulls += !o.ptr;
	if (!o.ptr)
		return;
	owner_take(o.ptr, o.bytes, p->owner);
	pattern_fill((char *)o.ptr + skip(&o), o.bytes - skip(&o), p->owner);
	p->held[p->nr++] = o;
}

static struct object lose(struct party *p)
{
	unsigned int i = rng_below(&p->rng, p->nr);
	struct object o = p->held[i];
	uint32_t bytes = o.bytes - skip(&o);

	p->held[i] = p->held[--p->nr];
	p->frees++;
	p->damaged += pattern_check((char *)o.ptr + skip(&o), bytes, p->owner) != bytes;
	owner_give(o.ptr, o.bytes, p->owner);
	return o;
}

/* ---- after each instruction ---- */

static void on_trap(int sig, siginfo_t *info, void *context)
{
	struct party *p = &t.handler;
	uintptr_t ip = place_ip(context);

	(void)sig;
	(void)info;
	t.steps++;
	if (ip - (uintptr_t)program_start < (uintptr_t)(program_end - program_start))
		t.stepped[ip - (uintptr_t)program_start] = 1;
	t.inside += place_of(context) != 0;
	/* Mostly from the very cache that the interrupted request works on; or hardly ever, so that it finds what it is to find. */
	struct object o = {.kind = rng_below(&p->rng, t.pairs ? 1000 : 8)
					   ? t.kind
					   : rng_below(&p->rng, NR_KINDS)};
	o.bytes = bytes_of(p, o.kind);
	if (t.pairs || (p->nr < NR_HELD / 2 && rng_below(&p->rng, 2))) {
		o.ptr = t.only_stacks && o.kind != FRESH ? get_fast(&o) : get_nolock(&o);
		keep(p, o);
	}
	if (t.pairs && o.ptr) {
		o = p->held[--p->nr];
		owner_give(o.ptr, o.bytes, p->owner);
		put_nolock(&o);
	} else if (!t.pairs && p->nr > NR_HELD / 4) {
		o = lose(p);
		put_nolock(&o);
	}
}

/* ---- stepped ---- */

HERE static void *stepped_get(const struct object *o, int nolock)
{
	void *ptr;

	step_on();
	ptr = nolock ? get_nolock(o) : get_ordinary(o);
	step_off();
	return ptr;
}

HERE static void stepped_put(const struct object *o, int nolock)
{
	step_on();
	if (nolock)
		put_nolock(o);
	else
		put_ordinary(o);
	step_off();
}

HERE static size_t stepped_bulk(size_t nr, void **out)
{
	step_on();
	nr = nst_cache_alloc_bulk(t.caches.small, NST_NOLOCK, nr, out);
	step_off();
	return nr;
}

HERE static void stepped_bulk_free(size_t nr, void **out)
{
	step_on();
	nst_cache_free_bulk(t.caches.small, nr, out);
	step_off();
}

static void bulk(struct party *p)
{
	void *out[24];

	t.kind = 0;
	size_t nr = stepped_bulk(1 + rng_below(&p->rng, 24), out);
	for (size_t i = 0; i < nr; i++)
		owner_take(out[i], MIX_SMALL_BYTES, p->owner);
	for (size_t i = 0; i < nr; i++)
		owner_give(out[i], MIX_SMALL_BYTES, p->owner);
	stepped_bulk_free(nr, out);
}

static void one_request(struct party *p, int nolock)
{
	struct object o = {.kind = rng_below(&p->rng, NR_KINDS)};

	o.bytes = bytes_of(p, o.kind);
	t.kind = o.kind;
	if (p->nr < NR_HELD && rng_below(&p->rng, NR_HELD) >= p->nr) {
		o.ptr = stepped_get(&o, nolock);
		keep(p, o);
	} else if (p->nr) {
		o = lose(p);
		t.kind = o.kind;
		stepped_put(&o, nolock);
	}
}

/* Frees the objects of one kind. */
static void empty_of(struct party *p, unsigned int kind)
{
	for (unsigned int i = 0; i < p->nr;) {
		struct object o = p->held[i];

		if (o.kind != kind) {
			i++;
			continue;
		}
		p->held[i] = p->held[--p->nr];
		owner_give(o.ptr, o.bytes, p->owner);
		nst_free(o.ptr);
	}
}

/* Nobody has made an ordinary request: every no-lock one goes to the slabs. */
static void fresh_wave(struct party *p)
{
	struct object o = {.kind = FRESH, .bytes = MIX_SMALL_BYTES};

	t.fresh = nst_cache_create("fresh", MIX_SMALL_BYTES, 0, 0, NULL);
	/* Who comes first makes the slab: main or, at its first instruction, the handler. */
	t.kind = t.waves & 2 ? FRESH : 0;
	for (int i = 0; i < 12 && p->nr < NR_HELD; i++, t.kind = FRESH) {
		o.ptr = stepped_get(&o, 1);
		keep(p, o);
	}
	for (int i = 0; i < 6 && p->nr && p->held[p->nr - 1].kind == FRESH; i++) {
		nst_test_fail[NST_FAIL_TRYLOCK] = i & 1 ? -1 : 0;
		o = p->held[--p->nr];
		owner_give(o.ptr, o.bytes, p->owner);
		stepped_put(&o, 1);
		nst_test_fail[NST_FAIL_TRYLOCK] = 0;
	}
	empty_of(p, FRESH);
	empty_of(&t.handler, FRESH);
	t.alive += nst_cache_destroy(t.fresh);
	t.kind = 0;
}

/* Frees that find the stacks full: to empty sheaves, the barn, the slabs. */
static void flood(struct party *p)
{
	static void *ptr[FLOOD];
	struct object o = {.kind = 0, .bytes = MIX_SMALL_BYTES};
	unsigned int nr;

	for (nr = 0; nr < FLOOD; nr++)
		if (!(ptr[nr] = nst_cache_alloc(t.caches.small, NST_NORMAL)))
			break;
	while (nr > 12)
		nst_cache_free(t.caches.small, ptr[--nr]);
	/* The handler would make room: it works on others meanwhile, mostly. */
	t.kind = 1;
	t.pairs = 1;
	while (nr) {
		o.ptr = ptr[--nr];
		stepped_put(&o, 1);
	}
	t.pairs = 0;
	for (int i = 0; i < 4 && p->nr < NR_HELD; i++) {
		o.ptr = stepped_get(&o, 1);
		keep(p, o);
	}
}

/* All that this CPU has of a kind. */
static unsigned int take_dry(const struct object *o, void **ptr, unsigned int nr)
{
	while (nr < DRY && (ptr[nr] = get_fast(o)))
		nr++;
	return nr;
}

static void free_all(struct object *o, void **ptr, unsigned int nr)
{
	while (nr) {
		o->ptr = ptr[--nr];
		put_ordinary(o);
	}
}

/* One of a kind of which this CPU has none left: from the zone, or from a sheaf of the barn, which has some. */
static void dry(struct party *p, unsigned int kind)
{
	static void *ptr[DRY];
	struct object o = {.kind = kind, .bytes = bytes_of(p, kind)};
	unsigned int nr = take_dry(&o, ptr, 0), more = kind == 0 ? OVER : 0;

	for (; more && nr < DRY && (ptr[nr] = get_ordinary(&o)); more--)
		nr++;
	if (kind == 0) {
		free_all(&o, ptr, nr);
		nr = take_dry(&o, ptr, 0);
	}
	t.kind = 1;
	t.pairs = 1;
	if (p->nr < NR_HELD) {
		o.ptr = stepped_get(&o, 1);
		keep(p, o);
	}
	t.pairs = 0;
	free_all(&o, ptr, nr);
}

/* Waves of gets and frees: stacks run empty and overflow, slabs come and go. */
static void wave(struct party *p)
{
	unsigned int nr = rng_below(&p->rng, 60);
	int nolock = rng_below(&p->rng, 3) != 0;

	t.only_stacks = rng_below(&p->rng, 2) != 0;
	nst_test_fail[NST_FAIL_TRYLOCK] = nolock && p->nr && rng_below(&p->rng, 4) == 0 ? -1 : 0;
	for (unsigned int i = 0; i < nr && rig_now() < t.until && !owner_errors(); i++)
		one_request(p, nolock);
	nst_test_fail[NST_FAIL_TRYLOCK] = 0;
	if (rng_below(&p->rng, 2))
		bulk(p);
	if (t.waves++ & 1) /* by turns: each has its part on a busy machine, too */
		fresh_wave(p);
	else
		flood(p);
	dry(p, 2);
	dry(p, 0);
	if (rng_below(&p->rng, 4) == 0)
		nst_maintain();
}

static void empty(struct party *p)
{
	while (p->nr) {
		struct object o = lose(p);
		put_ordinary(&o);
	}
}

/* ---- what was stepped through ---- */

static int is_library(uintptr_t ip)
{
	const char *function = place_function(ip);

	if (ip - (uintptr_t)step_text_start < (uintptr_t)(step_text_stop - step_text_start))
		return 0;
	/* Called with the trap flag set, but ours. */
	return strcmp(function, "?") && strcmp(function, "get_nolock") &&
	       strcmp(function, "get_ordinary") && strcmp(function, "put_nolock") &&
	       strcmp(function, "put_ordinary") && strcmp(function, "step_off");
}

static const char *const wanted[] = {
	"nst_cache_alloc_nolock",
	"nst_cache_free_nolock",
	"nst_alloc_nolock",
	"nst_free_nolock",
	"nst_pages_alloc_nolock",
	"nst_cache_alloc_tries",
	"nst_cache_put_nolock",
	"nst_cache_alloc_bulk",
	"nst_pcs_pop",
	"nst_pcs_push",
	"nst_pcs_popn",
	"nst_pcs_pushn",
	"nst_slab_take_locked",
	"nst_slab_put_locked",
	"nst_side_push",
	"nst_sheaf_full_tries",
	"nst_sheaf_put_tries",
	"nst_zone_take_tries",
	"nst_pcp_take",
	"nst_pcp_put",
	"nst_buddy_take_locked",
};
#define NR_WANTED (sizeof(wanted) / sizeof(wanted[0]))

/* Was any instruction of a function stepped, or is it inlined everywhere? */
static int covered(const char *function)
{
	uintptr_t start;
	size_t bytes = place_range(function, &start);

	for (size_t i = 0; i < bytes; i++)
		if (t.stepped[start - (uintptr_t)program_start + i])
			return 1;
	return bytes == 0;
}

static unsigned int nr_missing(void)
{
	unsigned int missing = 0;

	/* Checked calls go other ways; how many instructions is still asked. */
	for (size_t i = 0; i < NR_WANTED && !rig_is_debug(); i++)
		missing += !covered(wanted[i]);
	return missing;
}

static int enough(void)
{
	return nr_missing() == 0;
}

static void check_coverage(void)
{
	unsigned int library = 0;

	for (size_t i = 0; i < (size_t)(program_end - program_start); i++)
		library += t.stepped[i] && is_library((uintptr_t)program_start + i);
	printf("# steps=%llu instructions_of_the_library=%u inside_stripe_or_lock=%llu\n",
	       (unsigned long long)t.steps, library, (unsigned long long)t.inside);
	check_seen(library >= MIN_PLACES, "distinct instructions stepped", "%u, wanted %u", library,
		   MIN_PLACES);
	for (size_t i = 0; i < NR_WANTED; i++)
		if (!covered(wanted[i]) && !rig_is_debug())
			printf("# not stepped through: %s\n", wanted[i]);
	check_seen(enough(), "every way was stepped through", "%u functions were not",
		   nr_missing());
	check_seen(t.inside > 0, "handlers inside stripes and held regions", "none");
}

/* For some seconds, and on until every way has been stepped through, on a busy machine too. */
static void run(double seconds)
{
	double begin = rig_now();

	do {
		t.until = rig_now() + 1;
		while (rig_now() < t.until && !owner_errors())
			wave(&t.main);
	} while (!owner_errors() && rig_goes_on(begin, seconds, enough));
	if (owner_errors()) {
		owner_report();
		check(0, "nothing was handed out twice", "%llu errors after %llu steps",
		      (unsigned long long)owner_errors(), (unsigned long long)t.steps);
		fflush(stdout);
		_exit(check_status());
	}
}

int main(int argc, char **argv)
{
	struct sigaction sa = {.sa_sigaction = on_trap, .sa_flags = SA_RESTART | SA_SIGINFO};
	long seconds = env_long("NST_SECONDS", 3);

	conf_apply(argv);
	uint64_t seed = seed_of(argc, argv);
	check_deadline((unsigned int)seconds + 200, "stepping ends");
	owner_start();
	place_start();
	if (!rig_is_none())
		check_broken("the none form was asked for");
	mix_caches_make(&t.caches, 0);
	if (mix_caches_stock(&t.caches, 8))
		check_broken("nst_stock");
	t.main = (struct party){.owner = OWNER_MAIN, .rng = {seed}};
	t.handler = (struct party){.owner = OWNER_HANDLER, .rng = {seed + 1}};
	t.stepped = calloc(1, (size_t)(program_end - program_start));
	sigaction(SIGTRAP, &sa, NULL);
	run((double)seconds);
	printf("# main: gets=%llu nulls=%llu frees=%llu handler: gets=%llu nulls=%llu frees=%llu\n",
	       (unsigned long long)t.main.gets, (unsigned long long)t.main.nulls,
	       (unsigned long long)t.main.frees, (unsigned long long)t.handler.gets,
	       (unsigned long long)t.handler.nulls, (unsigned long long)t.handler.frees);
	empty(&t.main);
	empty(&t.handler);
	check(t.main.damaged + t.handler.damaged == 0, "no object was damaged", "%llu",
	      (unsigned long long)(t.main.damaged + t.handler.damaged));
	check(t.alive == 0, "caches come and go", "%zu objects alive at destroy", t.alive);
	check(t.handler.gets > t.handler.nulls, "handlers were served", "never");
	check_coverage();
	rig_settle(&t.caches);
	return check_status();
}

#else

int main(void)
{
	check_skip("the trap flag is of x86-64");
}

#endif
