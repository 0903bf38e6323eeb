/* SPDX-License-Identifier: MIT */
/*
 * stats.c - counters on slow paths, one line per CPU; snapshots; a summary as key=value lines.
 *
 * A counter is added to with a relaxed atomic on the CPU's own line: slow paths only, so its cost is
 * spread over a batch. Nothing here is read by the allocator itself, but the no-lock budget.
 */
#include "mm.h"
#include "claim/debt.h"
#include "reclaim/reclaim.h"
#include "retire/retired.h"
#include "claim/speculate.h"

struct counts {
	u64 n[NST_NR_COUNTS];
	u32 budget; /* no-lock objects left until the next refill */
} NST_LINE_ALIGNED;

/* Who publishes waits no longer for a lock: at exit, its holder may never go on. */
#define PUBLISH_US 10000u

enum patience { WAITS, GIVES_UP };

/* Something was counted since a snapshot was published: a hint, read by all CPUs and seldom written. The start counts. */
static u32 moved NST_LINE_ALIGNED = 1;

struct nst_set_aside nst_set_aside;
static struct counts early;   /* before start, and of CPUs that have no line yet */
static struct counts **lines; /* by CPU, from its first ordinary request on a slow path on */
static unsigned int nr_lines;

int nst_stats_init(void)
{
	unsigned int i;

	lines = nst_meta_alloc(sizeof(struct counts *) * nst_sys_cpus.nr);
	if (!lines)
		return -12;
	nr_lines = nst_sys_cpus.nr;
	/* A budget is each CPU's own. */
	for (i = 0; i < nr_lines && nst_mm.instrument & NST_INSTRUMENT_BUDGET; i++)
		nst_stats_ensure(i);
	nst_budget_refill();
	return 0;
}

void nst_stats_ensure(unsigned int cpu)
{
	struct counts *c;

	if (nst_load_relaxed(&lines[cpu])) /* relaxed: only whether there is one */
		return;
	c = nst_meta_alloc(sizeof(*c));
	/* Pairs with: nst_load_acquire() in line_of(). */
	if (c && !nst_cas_release(&lines[cpu], (struct counts *)NULL, c))
		nst_meta_free(c, sizeof(*c));
}

static struct counts *line_of(unsigned int cpu)
{
	/* Pairs with: nst_cas_release() in nst_stats_ensure(). */
	struct counts *c = cpu < nr_lines ? nst_load_acquire(&lines[cpu]) : NULL;

	return c ? c : &early;
}

static struct counts *mine(void)
{
	return line_of(nst_this_cpu());
}

void nst_count(unsigned int what, u64 n)
{
	nst_add_relaxed(&mine()->n[what], n);
	nst_stats_move();
}

void nst_count_idle(unsigned int what)
{
	nst_add_relaxed(&mine()->n[what], 1);
}

void nst_stats_move(void)
{
	if (!nst_load_relaxed(&moved)) /* relaxed: a hint either way */
		nst_store_relaxed(&moved, 1u);
}

int nst_stats_moved(void)
{
	return nst_load_relaxed(&moved) != 0; /* a hint */
}

void nst_stats_settle(void)
{
	nst_store_relaxed(&moved, 0u); /* a hint: what is counted from here on is for the next */
}

static u64 total(unsigned int what)
{
	u64 n = nst_load_relaxed(&early.n[what]); /* counters */
	unsigned int i;

	for (i = 0; i < nr_lines; i++)
		if (line_of(i) != &early)
			n += nst_load_relaxed(&line_of(i)->n[what]);
	return n;
}

/* ---- the no-lock budget: exact per CPU between two refills ---- */

size_t nst_budget_take(size_t n)
{
	u32 *budget = &mine()->budget, have;

	if (!(nst_mm.instrument & NST_INSTRUMENT_BUDGET))
		return n;
	do {
		have = nst_load_relaxed(budget); /* relaxed: the swap checks it */
		n = nst_min(n, have);
	} while (n && !nst_cas_relaxed(budget, have, have - (u32)n));
	return n;
}

void nst_budget_refill(void)
{
	unsigned int i;

	for (i = 0; i < nr_lines; i++)
		nst_store_relaxed(&line_of(i)->budget, (u32)nst_option(NST_OPT_nolock_budget));
}

/* ---- snapshots ---- */

/* 1 and held, or 0. */
static int lock_to_read(struct nst_lock *l, enum patience how)
{
	if (how == GIVES_UP)
		return !nst_lock_is_mine(l) && nst_lock_wait_us(l, PUBLISH_US);
	nst_lock_wait(l);
	return 1;
}

static void read_retired(struct nst_retired_stats *r)
{
	r->budget_bytes = nst_load_relaxed(&nst_retired.budget); /* constant after start */
	r->waiting_bytes = nst_retired_bytes();
	r->head_bytes = nst_load_relaxed(&nst_retired.head_bytes); /* a count */
	r->sealed_pages = total(NST_COUNT_RETIRED + NST_RETIRED_SEALED);
	r->mixed = total(NST_COUNT_RETIRED + NST_RETIRED_MIXED);
	r->brought_pages = total(NST_COUNT_RETIRED + NST_RETIRED_BROUGHT);
	r->dead_bits = total(NST_COUNT_RETIRED + NST_RETIRED_DEAD);
	r->runs = total(NST_COUNT_RETIRED + NST_RETIRED_RUN);
	r->heads = total(NST_COUNT_RETIRED + NST_RETIRED_HEAD);
	r->calls = total(NST_COUNT_RETIRED + NST_RETIRED_CALL);
	r->foreign = total(NST_COUNT_RETIRED + NST_RETIRED_FOREIGN);
	r->refused = total(NST_COUNT_RETIRED + NST_RETIRED_REFUSED);
	r->others = total(NST_COUNT_RETIRED + NST_RETIRED_OTHERS);
}

static void read_reclaim(struct nst_reclaim_stats *r)
{
	r->rounds = total(NST_COUNT_RECLAIM_ROUND);
	r->served = total(NST_COUNT_RECLAIM_SERVED);
	r->background_rounds = total(NST_COUNT_RECLAIM_BACKGROUND);
	r->shrunk = total(NST_COUNT_SHRUNK);
}

static void read_notify(struct nst_notify_stats *r)
{
	r->begins = total(NST_COUNT_NOTIFY_BEGIN);
	r->refused = total(NST_COUNT_NOTIFY_REFUSED);
	r->invalidates = total(NST_COUNT_NOTIFY_INVALIDATE);
	r->oom_calls = total(NST_COUNT_OOM_CALL);
	r->oom_again = total(NST_COUNT_OOM_AGAIN);
	r->oom_passed = total(NST_COUNT_OOM_PASSED);
	r->oom_bytes = total(NST_COUNT_OOM_BYTES);
}

static void read_debt(struct nst_debt_stats *r)
{
	r->billed_bytes = total(NST_COUNT_DEBT_BILLED);
	r->paid_bytes = total(NST_COUNT_DEBT_PAID);
	r->lapsed_bytes = total(NST_COUNT_DEBT_LAPSED);
	r->slept_off_bytes = total(NST_COUNT_DEBT_SLEPT_OFF);
	r->sleeps = total(NST_COUNT_DEBT_SLEEP);
	r->slept_us = total(NST_COUNT_DEBT_SLEPT_US);
	r->longest_sleep_us = nst_load_relaxed(&nst_debt_longest_us); /* a figure */
}

static void read_pressure(struct nst_pressure_stats *s)
{
	s->stall_events = total(NST_COUNT_PRESSURE + NST_PRESSURE_STALL);
	s->group_events = total(NST_COUNT_PRESSURE + NST_PRESSURE_GROUP);
	s->file_events = total(NST_COUNT_PRESSURE + NST_PRESSURE_FILE);
	s->limit_events = total(NST_COUNT_PRESSURE + NST_PRESSURE_LIMIT);
	s->reliefs = total(NST_COUNT_PRESSURE_RELIEF);
	s->given_back = total(NST_COUNT_PRESSURE_BYTES);
	nst_pressure_fill(s);
}

static void read_compact(struct nst_compact_stats *r)
{
	r->moved = total(NST_COUNT_COMPACT_RUN);
	r->refused = total(NST_COUNT_COMPACT_REFUSED);
	r->freed = total(NST_COUNT_COMPACT_FREED);
	r->blocks = total(NST_COUNT_COMPACT_BLOCK);
}

static void read_speculate(struct nst_speculate_stats *out)
{
	u64 n[NST_NR_SPECULATE_COUNTS];
	unsigned int i;

	for (i = 0; i < NST_NR_SPECULATE_COUNTS; i++)
		n[i] = total(NST_COUNT_SPECULATE + i);
	nst_speculate_fill(out, n);
}

static void read_pools(struct nst_pool_stats *r)
{
	r->prefilled = total(NST_COUNT_PREFILLED);
	r->prefill_returned = total(NST_COUNT_PREFILL_RETURNED);
	r->pool_from_cache = total(NST_COUNT_POOL_CACHE);
	r->pool_from_pool = total(NST_COUNT_POOL_KEPT);
	r->pool_waited = total(NST_COUNT_POOL_WAIT);
}

static void read_locks(struct nst_stats *s)
{
	struct nst_sys_ratio ratio = nst_sys_tick_ratio();
	unsigned int i, b;

	for (i = 0; i < NST_NR_LOCKS; i++) {
		const struct nst_lock_counters *c = &nst_lock_counters[i];
		struct nst_lock_stats *o = &s->locks[i];

		o->taken = nst_load_relaxed(&c->taken); /* counters, here and below */
		o->try_failed = nst_load_relaxed(&c->try_failed);
		o->waited = nst_load_relaxed(&c->waited);
		o->longest_hold_ns =
			nst_sys_ticks_to_ns(ratio, nst_load_relaxed(&c->longest_ticks));
		for (b = 0; b < 64; b++) {
			u64 holds = nst_load_relaxed(&c->hold_log2_ticks[b]);
			/* the middle of the bucket */
			u64 ns = nst_sys_ticks_to_ns(ratio, 3ull << b >> 1);

			o->hold_log2_ns[nst_min(nst_log2(ns | 1), NST_HOLD_BUCKETS - 1)] += holds;
		}
	}
}

static int read_zone(struct nst_zone_stats *o, struct nst_zone *z, enum patience how)
{
	size_t first, end;
	unsigned int m, i;
	u32 a;

	for (a = 0; a < nst_mm.nr_arenas; a++)
		if (nst_zone_part(z, &nst_arenas[a], &first, &end))
			o->pages_reserved += (end - first) * NST_BLOCK_PAGES;
	o->pages_ready = nst_load_relaxed(&z->ready_pages);
	o->purge_failed = nst_load_relaxed(&z->purge_failed);
	if (!lock_to_read(&z->lock, how))
		return 0;
	o->pages_free = z->free_pages;
	o->pages_min = nst_hint(&z->min);
	o->pages_low = nst_hint(&z->low);
	o->pages_high = nst_hint(&z->high);
	o->stolen_pageblocks = z->stolen;
	for (m = 0; m < NST_NR_MOBILITIES; m++) {
		o->taken[m] = z->taken[m];
		o->fallback[m] = z->fallback[m];
		for (i = 0; i < NST_NR_ORDERS; i++)
			o->free_blocks[m][i] = z->nr_free[m][i];
	}
	nst_unlock(&z->lock);
	return 1;
}

static void read_counts(struct nst_stats *s)
{
	unsigned int i, why;

	for (i = 0; i < NST_NR_MODES; i++) {
		s->requests[i] = total(NST_COUNT_REQUEST + i);
		for (why = 0; why < NST_NR_NULLS; why++) {
			u64 n = total(NST_COUNT_NULL + i * NST_NR_NULLS + why);

			s->nulls[i] += n;
			s->null_reasons[why] += n;
		}
	}
	s->null_reasons[NST_NULL_MODE] += total(NST_COUNT_REFUSED);
	s->refills = total(NST_COUNT_REFILL);
	s->flushes = total(NST_COUNT_FLUSH);
	s->slabs_made = total(NST_COUNT_SLAB_MADE);
	s->slabs_freed = total(NST_COUNT_SLAB_FREED);
	s->next_class = total(NST_COUNT_NEXT_CLASS);
	s->side_pushed = total(NST_COUNT_SIDE_PUSHED);
	s->side_drained = total(NST_COUNT_SIDE_DRAINED);
	s->side_corrupt = total(NST_COUNT_SIDE_CORRUPT);
	s->misuse = total(NST_COUNT_MISUSE);
	s->worker_wakeups = total(NST_COUNT_WAKEUP);
	s->worker_found_work = total(NST_COUNT_FOUND_WORK);
	read_retired(&s->retired);
	read_reclaim(&s->reclaim);
	read_notify(&s->notify);
	read_debt(&s->debt);
	read_pressure(&s->pressure);
	read_compact(&s->compact);
	read_speculate(&s->speculate);
	read_pools(&s->pools);
	s->abandoned_after_fork = total(NST_COUNT_ABANDONED);
}

static u64 restarts(void)
{
	u64 n = 0;
#ifdef NST_TEST
	unsigned int i;

	for (i = 0; i < NST_NR_SEQS; i++)
		n += nst_load_relaxed(&nst_test_restarts[i]);
#endif
	return n;
}

static u64 kept_bytes(void)
{
	u64 blocks = 0;
	unsigned int i;

	for (i = 0; i < nst_sys_cpus.nr_nodes; i++)
		blocks += nst_hint(&nst_zones[i].kept);
	return blocks * NST_BLOCK_BYTES;
}

static void read_rcu(struct nst_stats *s)
{
	struct nst_rcu_numbers n;

	nst_rcu_numbers(&n);
	s->rcu_periods = n.periods;
	s->rcu_stalls = n.stalls;
	s->rcu_oldest_ns = n.oldest_ns;
	s->rcu_domains = n.domains;
	s->rcu_blocker = n.blocker;
	s->misuse += n.misused;
}

static int read_all(struct nst_stats *s, enum patience how)
{
	unsigned int i;

	__builtin_memset(s, 0, sizeof(*s));
	s->version = NST_STATS_VERSION;
	s->bytes = sizeof(*s);
	s->requests_exact = nst_mm.instrument != 0;
	s->nr_nodes = nst_sys_cpus.nr_nodes;
	read_counts(s);
	read_locks(s);
	read_rcu(s);
	s->sequence_restarts = restarts();
	s->metadata_bytes = nst_meta_bytes();
	s->large_kept_bytes = kept_bytes();
	s->resident_bytes = (nst_load_relaxed(&nst_resident_pages) << NST_PAGE_SHIFT) +
			    s->large_kept_bytes + s->metadata_bytes;
	s->resident_peak_bytes =
		(nst_load_relaxed(&nst_resident_peak) << NST_PAGE_SHIFT) + s->metadata_bytes;
	s->large_mappings = nst_load_relaxed(&nst_large_count);
	s->large_bytes = nst_load_relaxed(&nst_large_pages) << NST_PAGE_SHIFT;
	for (i = 0; i < s->nr_nodes; i++)
		if (!read_zone(&s->zones[i], &nst_zones[i], how))
			return 0;
	return 1;
}

int nst_stats_read(struct nst_stats *out, size_t bytes)
{
	struct nst_stats s;

	if (!out || bytes < 8)
		return -22;
	if (nst_start())
		return -12;
	nst_fork_check();
	read_all(&s, WAITS);
	__builtin_memset(out, 0, bytes);
	__builtin_memcpy(out, &s, nst_min(bytes, sizeof(s)));
	return 0;
}

int nst_stats_try(struct nst_stats *out)
{
	return read_all(out, GIVES_UP);
}

/*
 * Objects in the sheaves of stack @i. Exact when the CPU is quiet; else a sheaf may move on while it
 * is read, but its memory is the library's own and stays readable.
 */
NST_RACES static u64 in_sheaves(const struct nst_pcs_table *t, unsigned int i)
{
	u32 n = nst_pcs_count(t, i), k;
	u64 objects = 0;

	for (k = 0; k < n; k++) {
		const struct nst_sheaf *s = nst_pcs_peek(t, i, k);

		objects +=
			s ? nst_min(nst_load_relaxed(&s->count), NST_SHEAF_MAX) : 0; /* as above */
	}
	return objects;
}

static int read_node(struct nst_cache_stats *o, const struct nst_cache *c, struct nst_cache_node *n,
		     enum patience how)
{
	struct nst_sheaf *s;

	if (!lock_to_read(&n->slab, how))
		return 0;
	o->slabs += n->nr_slabs;
	o->objects += n->nr_slabs * c->slots;
	o->in_slabs += n->free_slots;
	nst_unlock(&n->slab);
	if (!lock_to_read(&n->barn, how))
		return 0;
	for (s = n->full; s; s = s->next)
		o->in_barn += s->count;
	nst_unlock(&n->barn);
	return 1;
}

static int read_cache(struct nst_cache_stats *o, struct nst_cache *c, enum patience how)
{
	unsigned int i;

	__builtin_memset(o, 0, sizeof(*o));
	__builtin_memcpy(o->name, c->name, sizeof(o->name));
	o->object_bytes = c->size;
	o->slot_bytes = c->slot;
	o->stocked_per_cpu = nst_hint(&c->stock);
	for (i = 0; i < nst_sys_cpus.nr_nodes; i++)
		if (!read_node(o, c, c->node[i], how))
			return 0;
	if (!lock_to_read(&c->areas, how)) /* no stack is replaced while it is looked at */
		return 0;
	for (i = 0; i < nst_pcs_nr_stacks(&c->main); i++)
		o->in_cpus += nst_pcs_count(&c->main, i) + in_sheaves(&c->full, i);
	nst_unlock(&c->areas);
	return 1;
}

int nst_stats_cache(u32 id, struct nst_cache_stats *out)
{
	int used;

	nst_lock_wait(&nst_caches_lock);
	used = nst_cache_is_used(nst_cache_number(id));
	if (used)
		read_cache(out, nst_cache_number(id), WAITS);
	nst_unlock(&nst_caches_lock);
	return used ? 0 : -2;
}

size_t nst_stats_caches(struct nst_cache_stats *out, size_t nr, size_t bytes)
{
	size_t n = 0;
	u32 id;

	if (nst_start())
		return 0;
	nst_fork_check();
	nst_lock_wait(&nst_caches_lock);
	for (id = 1; id <= nst_nr_caches; id++) {
		struct nst_cache_stats s;

		if (!nst_cache_is_used(nst_cache_number(id)))
			continue;
		if (n < nr && out) {
			read_cache(&s, nst_cache_number(id), WAITS);
			__builtin_memset((char *)out + n * bytes, 0, bytes);
			__builtin_memcpy((char *)out + n * bytes, &s, nst_min(bytes, sizeof(s)));
		}
		n++;
	}
	nst_unlock(&nst_caches_lock);
	return n;
}

/* Those of use only: with the caches list held. */
static int try_rows_locked(struct nst_cache_stats *out, u32 nr, u32 *nr_caches)
{
	u32 id, n = 0;

	for (id = 1; id <= nst_nr_caches; id++) {
		if (!nst_cache_is_used(nst_cache_number(id)))
			continue;
		++*nr_caches;
		if (n == nr)
			continue;
		if (!read_cache(&out[n], nst_cache_number(id), GIVES_UP))
			return -1;
		n += out[n].slabs || out[n].stocked_per_cpu;
	}
	return (int)n;
}

int nst_stats_try_caches(struct nst_cache_stats *out, u32 nr, u32 *nr_caches)
{
	int rows;

	*nr_caches = 0;
	if (!lock_to_read(&nst_caches_lock, GIVES_UP))
		return -1;
	rows = try_rows_locked(out, nr, nr_caches);
	nst_unlock(&nst_caches_lock);
	return rows;
}
