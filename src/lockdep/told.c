/* SPDX-License-Identifier: MIT */
/*
 * told.c - what a program says of its classes: an order ahead of time, an order within a class, how long one may be held.
 */
#include "held.h"

#define MEASURED_NS 2000000u
#define MOST_NAPS 100u /* a clock that stands is of no use */

/* A broken variant that the tests must catch. */
#if defined(NST_TEST) && defined(NST_BUSTED) &&                                                    \
	NST_BUSTED == 47 /* what is said of orders is ignored */
#define IGNORED 1
#else
#define IGNORED 0
#endif

void nst_lockdep_order_on(struct nst_lockdep_map *first, struct nst_lockdep_map *then)
{
	struct nst_ld_thread *t = this_thread();
	const void *ip = __builtin_return_address(0);
	struct nst_ld_held a = {.lock = first, .ip = ip}, b = {.lock = then, .ip = ip};

	if (!t || IGNORED)
		return;
	a.class = (u16)nst_ld_class_of(first, first->subclass);
	b.class = (u16)nst_ld_class_of(then, then->subclass);
	if (a.class && b.class && a.class != b.class)
		nst_ld_edge_told(t, &a, &b);
}

void nst_lockdep_set_compare_on(struct nst_lockdep_map *map, nst_lockdep_compare_t compare)
{
	struct nst_ld_thread *t = this_thread();
	u32 n = t ? nst_ld_class_of(map, map->subclass) : 0;

	if (n && !IGNORED)
		nst_store_relaxed(&nst_ld.tables->class[n].compare,
				  compare); /* a function; before its locks are taken */
}

void nst_lockdep_fresh_on(struct nst_lockdep_map *map, int fresh)
{
	struct nst_ld_thread *t = this_thread();
	u32 i;

	map->word = 0;
	if (fresh && !IGNORED) {
		map->flags |= NST_LD_FRESH;
		return;
	}
	map->flags &= (uint8_t)~NST_LD_FRESH;
	for (i = 0; t && !(map->flags & NST_LD_NOVALIDATE) && i < nst_ld_nr(t); i++)
		if (t->held[i].lock == map)
			t->held[i].how &= (u8)~NST_LD_UNSEEN;
	if (t)
		chain_again(t, t->level);
}

/* Ticks and nanoseconds since the library began, or since now: of some ms at least. */
static struct nst_sys_ratio measured(void)
{
	struct nst_sys_ratio r;
	u32 never = 0, naps;

	if (!nst_sys_start_ns())
		nst_sys_clock_init();
	r = nst_sys_tick_ratio();
	for (naps = 0; r.ns < MEASURED_NS && naps < MOST_NAPS; naps++) {
		nst_sys_futex_wait(&never, 0, MEASURED_NS / 1000);
		r = nst_sys_tick_ratio();
	}
	return r;
}

void nst_lockdep_hold_limit(uint64_t us)
{
	u64 ticks = 0;

	if (us) {
		struct nst_sys_ratio r = measured();

		ticks = nst_max((u64)((unsigned __int128)us * 1000 * r.ticks / nst_max(r.ns, 1)),
				(u64)1);
	}
	nst_store_relaxed(&nst_ld.hold_ticks, ticks); /* for what is taken from here on */
	nst_ld_look_again();
}
