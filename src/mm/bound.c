/* SPDX-License-Identifier: MIT */
/*
 * bound.c - how much memory deferred free can take, and what is set aside, as formulas, and how much of it is taken now.
 *
 * A row's formula and its sum here say the same; tests/contract/bound.c holds both against what is there. The rows are
 * explained in docs/contract.md, "The bound".
 */
#define NST_NO_MACROS
#include "claim/account.h"
#include "claim/pool.h"
#include "reclaim/reclaim.h"
#include "retire/retired.h"

/* Sums over the channels: of caches, mixed, calls, and mixed of each domain that is not ours. */
struct sums {
	u64 channels;	   /* that can be */
	u64 ring_bytes;	   /* of a ring of each */
	u64 pages_bytes;   /* pages of a ring of each, when it is full of them */
	u64 quantum_bytes; /* what one CPU holds of each in lists and an open page */
	u64 tables_now, rings_now, pages_now, call_pages_now;
	u64 worst_num, worst_den; /* the largest part that pages are of the objects in them */
};

static void add_now(struct sums *s, const struct nst_channel *ch, size_t page_bytes)
{
	unsigned int i;

	if (!nst_channel_is_open(ch))
		return;
	s->tables_now += nst_ring_entries_bytes(nst_sys_cpus.nr);
	for (i = 0; i < nst_ring_nr(&ch->rings); i++) {
		const struct nst_ring *r = nst_ring_number(&ch->rings, i);

		if (!r)
			continue;
		s->rings_now += nst_ring_bytes(ch->rings.slots);
		/* hints: the CPU and the worker go on */
		s->pages_now +=
			(u64)(nst_load_relaxed(&r->head) - nst_load_relaxed(&r->tail)) * page_bytes;
	}
}

static void add_channel(struct sums *s, const struct nst_channel *ch, u32 slots, size_t page_bytes)
{
	s->channels++;
	s->ring_bytes += nst_ring_bytes(slots);
	s->pages_bytes += (slots - 1) * page_bytes;
	add_now(s, ch, page_bytes);
}

static void add_cache(struct sums *s, const struct nst_cache *c)
{
	add_channel(s, &c->dead, NST_RING_SLOTS, nst_channel_page_bytes(c));
	s->quantum_bytes += ((u64)c->main_cap + (u64)(c->spares + 1) * c->batch) * c->slot;
	/* pages / objects > worst, without division */
	if (nst_sheaf_bytes(c->batch) * s->worst_den > s->worst_num * ((u64)c->batch * c->slot)) {
		s->worst_num = nst_sheaf_bytes(c->batch);
		s->worst_den = (u64)c->batch * c->slot;
	}
}

static void add_all(struct sums *s)
{
	struct sums pages;
	u32 id;

	/* A mixed page of the smallest objects. */
	*s = (struct sums){.worst_num = NST_PAGE_BYTES, .worst_den = NST_PAGE_POINTERS * 16};
	nst_lock_wait(&nst_caches_lock);
	for (id = 1; id <= nst_nr_caches; id++)
		if (nst_cache_is_used(nst_cache_number(id)))
			add_cache(s, nst_cache_number(id));
	nst_unlock(&nst_caches_lock);
	add_channel(s, &nst_retired.mixed, NST_RING_SLOTS_MIXED, NST_PAGE_BYTES);
	pages = *s;
	add_channel(s, &nst_retired.calls, NST_RING_SLOTS_MIXED, NST_PAGE_BYTES);
	s->call_pages_now = s->pages_now - pages.pages_now; /* a row of their own */
	s->pages_now = pages.pages_now;
	s->pages_bytes = pages.pages_bytes;
	for (id = 1; id < NST_RCU_DOMAINS; id++)
		if (nst_load_relaxed(&nst_rcu_domains[id].used) || /* at some moment */
		    nst_channel_is_open(&nst_retired.others[id]))
			add_channel(s, &nst_retired.others[id], NST_RING_SLOTS_MIXED,
				    NST_PAGE_BYTES);
}

static struct nst_bound row(const char *what, const char *formula, u64 most, u64 now)
{
	struct nst_bound b = {.most_bytes = most, .now_bytes = now};

	nst_format(b.what, sizeof(b.what), "%s", what);
	nst_format(b.formula, sizeof(b.formula), "%s", formula);
	return b;
}

/* By row, in order: which promise falls if it is exceeded, and what holds it there. */
static const struct {
	const char *promise, *holds;
} kept[] = {
	{"C21", "one a channel, made once"},
	{"C21", "made by who retires on a CPU, gone when idle"},
	{"C21", "a ring has no more slots"},
	{"C18", "requests give way above the budget"},
	{"C17", "bits come and go with their block"},
	{"C21", "made once"},
	{"C18", "who may sleep waits, then NULL; NULL at once"},
	{"C17", "beyond it foreign pointers are refused"},
	{"C18", "beyond it CPUs' lists are empty, and refills NULL"},
	{"C25", "a page taken carries its number; none left: NULL"},
	{"C24", "frees fill it up to its minimum, no further"},
	{"C23", "a refill fills what was taken, no further"},
	{"C26", "NST_ACCOUNTS_MAX at a time"},
	{"C26", "one beside each cache, none of its own"},
	{"C26", "a vector comes and goes with its slab"},
	{"C26", "a stock's room; what is more goes back"},
	{"C30", "nothing more is put aside"},
};

/* Memory of blocks that there can be. */
static u64 blocks_bytes(void)
{
	u64 most = nst_option(NST_OPT_max);

	return most ? most : nst_sys_reserve_default(1);
}

/* ---- what is set aside ahead of need ---- */

struct twins {
	u64 most, now;
};

static u64 nodes_bytes(void)
{
	return nst_sys_cpus.nr_nodes * sizeof(struct nst_cache_node);
}

/* The charged cache beside @c, which may not be there yet. */
static void add_twin(struct twins *t, const struct nst_cache *c, unsigned int cpus)
{
	t->most += sizeof(*c) + nodes_bytes() + nst_pcs_table_bytes(cpus, c->main_cap) +
		   (cpus + NST_BESIDE) * sizeof(void *) + nst_pcs_table_bytes(cpus, c->spares) +
		   nst_pcs_table_bytes(cpus, c->spares + 1);
}

static void add_twin_now(struct twins *t, struct nst_cache *c)
{
	nst_lock_wait(&c->areas);
	t->now += sizeof(*c) + nodes_bytes() + nst_pcs_table_bytes_now(&c->main) +
		  nst_pcs_table_bytes_now(&c->full) + nst_pcs_table_bytes_now(&c->empty);
	nst_unlock(&c->areas);
}

static struct twins add_twins(unsigned int cpus)
{
	struct twins t = {0, 0};
	u32 id;

	nst_lock_wait(&nst_caches_lock);
	for (id = 1; id <= nst_nr_caches; id++) {
		struct nst_cache *c = nst_cache_number(id);

		if (!nst_cache_is_used(c))
			continue;
		if (c->charged)
			add_twin_now(&t, c);
		else
			add_twin(&t, c, cpus);
	}
	nst_unlock(&nst_caches_lock);
	return t;
}

static void compute_aside(unsigned int cpus, struct nst_bound *b)
{
	struct twins twins = add_twins(cpus);
	struct nst_account_bounds a;
	u64 most, now;

	nst_account_bounds(cpus, &a);
	nst_reserve_bytes(&most, &now);
	b[0] = row("reserves", "sum of reserves: bytes, in pages", most, now);
	now = nst_load_relaxed(&nst_set_aside.pools); /* counts, here and below */
	b[1] = row(
		"pools",
		"sum of pools: min x slot, and P(min), P(n) = P + 512 x (2^k - 1), at least P + 8 n",
		now, now);
	now = nst_load_relaxed(&nst_set_aside.prefilled);
	b[2] = row("prefilled", "sum of sheaves: n x (slot + 8) + 32", now, now);
	b[3] = row("accounts",
		   "1023 x (A + T(0)), T(n) = (CPUs + 4) x 8 + 8 x 64 + (CPUs + 8) x (32 + 8 n)",
		   NST_ACCOUNTS_MAX * a.each, a.now);
	b[4] = row("twins",
		   "sum of caches: C + T(main) + T(spares) + T(spares + 1) + (CPUs + 4) x 8",
		   twins.most, twins.now);
	b[5] = row("owners", "(max, or RAM) / 16 x 2", blocks_bytes() / 8,
		   nst_load_relaxed(&nst_set_aside.owners));
	b[6] = row("stocks", "sum of accounts: (CPUs + 8) x stock, stock = max / 8 / CPUs, or 64 K",
		   a.stock, a.stocked);
	b[7] = row("speculation", "each that is under way: 4 x the largest request, 4096 x 2^3",
		   NST_SPECULATE_ASIDE * (NST_PAGE_BYTES << NST_ORDER_NOLOCK_MAX), 0);
}

#define NR_RETIRED 9u
#define NR_ROWS 17u
nst_static_assert(NST_ARRAY_SIZE(kept) == NR_ROWS, "a line a row");
nst_static_assert(NST_NOLOCK_MAX <= NST_PAGE_BYTES << NST_ORDER_NOLOCK_MAX, "the largest request");
nst_static_assert(sizeof(struct nst_prefilled) == 32 && sizeof(struct nst_stripe) == 64,
		  "as formulas say");

static void compute(const struct sums *s, u64 cpus, struct nst_bound *b)
{
	u64 rings = cpus + NST_STRIPES, budget = nst_retired_budget();
	u64 excess = rings * s->quantum_bytes;
	u64 bytes = nst_retired_bytes(), heads = nst_load_relaxed(&nst_retired.head_bytes);

	b[0] = row("tables", "channels x (CPUs + 2) x 8",
		   s->channels * nst_ring_entries_bytes((unsigned int)cpus), s->tables_now);
	b[1] = row("rings",
		   "(CPUs + 8) x (caches x R(256) + (2 + domains) x R(64)), R(n) = 72 + 12 n",
		   rings * s->ring_bytes, s->rings_now);
	b[2] = row("ring_pages",
		   "(CPUs + 8) x (sum of caches: 255 x sheaf; + (1 + domains) x 63 x 4096)",
		   rings * s->pages_bytes, s->pages_now);
	b[3] = row("waiting_pages", "(budget + excess) x largest sheaf / (batch x slot)",
		   (budget + excess) / s->worst_den * s->worst_num,
		   nst_load_relaxed(&nst_retired.page_bytes));
	b[4] = row("dead_bits", "(max, or RAM) / 128", blocks_bytes() / 128,
		   nst_load_relaxed(&nst_retired.bits_bytes));
	b[5] = row("notes", "fixed", nst_retired_notes_bytes(), nst_retired_notes_bytes());
	b[6] = row("budget", "rcu_budget, or (RAM or the group's limit) / 4", budget,
		   bytes - nst_min(bytes, heads));
	b[7] = row("foreign_pages", "(rcu_pages, or RAM / 1024 / 4096; + (CPUs + 8) x 63) x 4096",
		   (nst_retired_call_pages() + rings * (NST_RING_SLOTS_MIXED - 1)) * NST_PAGE_BYTES,
		   nst_load_relaxed(&nst_retired.call_pages) * NST_PAGE_BYTES + s->call_pages_now);
	b[8] = row("excess", "(CPUs + 8) x sum of caches: (main + (spares + 1) x batch) x slot",
		   excess, bytes > budget ? bytes - budget : 0);
}

size_t nst_bounds(unsigned int cpus, struct nst_bound *out, size_t nr, size_t bytes)
{
	struct nst_bound b[NR_ROWS];
	struct sums s;
	size_t i;

	if (nst_start())
		return 0;
	nst_fork_check();
	add_all(&s);
	cpus = cpus ? cpus : nst_sys_cpus.nr;
	compute(&s, cpus, b);
	compute_aside(cpus, b + NR_RETIRED);
	for (i = 0; i < NR_ROWS; i++) {
		nst_format(b[i].holds, sizeof(b[i].holds), "%s", kept[i].holds);
		nst_format(b[i].promise, sizeof(b[i].promise), "%s", kept[i].promise);
	}
	for (i = 0; i < nr && i < NR_ROWS; i++) {
		__builtin_memset((char *)out + i * bytes, 0, bytes);
		__builtin_memcpy((char *)out + i * bytes, &b[i], nst_min(bytes, sizeof(b[i])));
	}
	return NR_ROWS;
}
