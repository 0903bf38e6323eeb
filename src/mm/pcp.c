/* SPDX-License-Identifier: MIT */
/*
 * pcp.c - runs move between one CPU and its zone in batches, not one by one.
 *
 *	zone (zone->lock)  -- refill, batch runs -->  pcp (this CPU)  -- take -->  caller
 *	                   <-- drain, batch runs --                   <-- put --
 *
 * nst_pages_stock() makes a stack larger than two batches; what it has room for beyond them is its stock,
 * which the worker keeps up and a drain leaves alone.
 *
 * P1. Every run on a stack is ready and in state PAGE_PCP.
 * P2. Only its own CPU changes a stack, inside a sequence; a taker holds zone->grow.
 */
#include "mm.h"

/* Runs moved at once, by index (tune): about 128 KiB, and one whole block. */
static const u8 batches[NST_ORDER_NOLOCK_MAX + 2] = {NST_PCP_BATCH, 15, 7, 4, 1};

int nst_pcp_index(unsigned int order)
{
	if (order <= NST_ORDER_NOLOCK_MAX)
		return (int)order;
	return order == NST_BLOCK_ORDER ? (int)NST_ORDER_NOLOCK_MAX + 1 : -1;
}

u32 nst_pcp_batch(unsigned int order)
{
	int i = nst_pcp_index(order);

	return i < 0 ? 1 : batches[i];
}

void nst_pcp_init(struct nst_zone *z)
{
	unsigned int m, i;

	for (m = 0; m < NST_NR_MOBILITIES; m++)
		for (i = 0; i < NST_ARRAY_SIZE(batches); i++)
			nst_pcs_table_init_lazy(&z->pcp[m][i], 2u * batches[i], 2u * batches[i]);
}

struct nst_page *nst_pcp_take(struct nst_zone *z, unsigned int order, unsigned int mob)
{
	int i = nst_pcp_index(order);

	return i < 0 ? NULL : nst_pcs_pop(&z->pcp[mob][i]);
}

int nst_pcp_put(struct nst_zone *z, struct nst_page *p, unsigned int order)
{
	int i = nst_pcp_index(order);

	return i >= 0 && nst_pcs_push(&z->pcp[p->mobility][i], p) == NST_PUSH_OK;
}

/* Runs that nst_pages_stock() wants in stack @i: its room beyond the ordinary one; 0: it was not stocked. */
static u32 stock_of(const struct nst_pcs_table *t, unsigned int i)
{
	u32 cap = nst_pcs_cap(t, i);

	return cap > t->cap ? cap - t->cap : 0;
}

/* A broken variant that the tests must catch: a zone's locks the other way round. */
#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 38
static void plant_inversion(struct nst_zone *z)
{
	static u32 once;

	if (nst_cas_relaxed(&once, 0u, 1u)) { /* relaxed: whoever is first */
		nst_lock_wait(&z->lock);
		nst_lock_wait(&z->grow);
		nst_unlock(&z->grow);
		nst_unlock(&z->lock);
	}
}
#else
static inline void plant_inversion(const struct nst_zone *z)
{
	(void)z;
}
#endif

/* What is more than its stock. */
static void drain_stack(struct nst_zone *z, struct nst_pcs_table *t, unsigned int cpu,
			unsigned int order)
{
	u32 stock = stock_of(t, cpu);
	struct nst_pcs *s = nst_pcs_take(t, cpu);
	struct nst_page *run;

	if (!s)
		return;
	nst_lock_wait(&z->lock);
	while (s->count > stock && nst_stack_popn(s, (void **)&run, 1))
		nst_buddy_put_locked(z, run, order);
	nst_unlock(&z->lock);
	nst_pcs_put(t, cpu, s);
}

/* Of at most @most stacks those that hold more than their stock and were so for @looks; how many. */
static unsigned int drain_stacks(struct nst_zone *z, u32 looks, unsigned int most)
{
	unsigned int m, i, cpu, n = 0;

	plant_inversion(z);
	nst_lock_wait(&z->grow);
	for (m = 0; m < NST_NR_MOBILITIES; m++) {
		for (i = 0; i < NST_ARRAY_SIZE(batches); i++) {
			struct nst_pcs_table *t = &z->pcp[m][i];
			unsigned int order = i <= NST_ORDER_NOLOCK_MAX ? i : NST_BLOCK_ORDER;

			for (cpu = 0; cpu < nst_pcs_nr_stacks(t) && n < most; cpu++) {
				if (nst_pcs_still(t, cpu) <= looks ||
				    nst_pcs_count(t, cpu) <= stock_of(t, cpu))
					continue;
				drain_stack(z, t, cpu, order);
				n++;
			}
		}
	}
	nst_unlock(&z->grow);
	return n;
}

void nst_pcp_drain(struct nst_zone *z)
{
	drain_stacks(z, 0, UINT32_MAX);
}

unsigned int nst_pcp_decay(struct nst_zone *z, unsigned int most)
{
	return drain_stacks(z, NST_STILL_LOOKS, most);
}

static struct nst_page *run_on(struct nst_list *l)
{
	return nst_container_of(l, struct nst_page, list);
}

/* At most @nr runs above low out of the zone, onto @chain, a batch at a hold of its lock. */
static void collect(struct nst_zone *z, unsigned int order, size_t nr, struct nst_list *chain)
{
	struct nst_page *runs[NST_PCP_BATCH];
	size_t got, k;

	do {
		nst_lock_wait(&z->lock);
		got = nst_buddy_take_batch_locked(z, order, NST_MOB_UNMOVABLE, nst_hint(&z->low),
						  runs, nst_min(nr, NST_PCP_BATCH));
		nst_unlock(&z->lock);
		for (k = 0; k < got; k++)
			nst_list_add(chain, &runs[k]->list);
		nr -= got;
	} while (got && nr);
}

/*
 * At most @nr runs more for stack @i, which is away from its CPU only while their pointers are stored. How
 * many. Locks: needs z->grow.
 */
static size_t fill_stack_locked(struct nst_zone *z, struct nst_pcs_table *t, unsigned int i,
				unsigned int order, size_t nr)
{
	struct nst_list chain;
	struct nst_pcs *s;
	size_t kept = 0;

	nst_list_init(&chain);
	collect(z, order, nr, &chain);
	s = nst_list_empty(&chain) ? NULL : nst_pcs_take(t, i);
	while (s && !nst_list_empty(&chain)) {
		struct nst_page *run = run_on(chain.next);

		if (!nst_stack_pushn(s, (void **)&run, 1))
			break;
		nst_list_del(&run->list);
		kept++;
	}
	if (s)
		nst_pcs_put(t, i, s);
	nst_lock_wait(&z->lock);
	while (!nst_list_empty(&chain)) {
		struct nst_page *run = run_on(chain.next);

		nst_list_del(&run->list);
		nst_buddy_put_locked(z, run, order);
	}
	nst_unlock(&z->lock);
	return kept;
}

/* How many runs stack @i should get: a stock a quarter gone is filled to the brim, an empty list gets a batch. */
static size_t missing(const struct nst_pcs_table *t, unsigned int i, unsigned int order, int wanted,
		      int brim)
{
	u32 have = nst_pcs_count(t, i), stock = stock_of(t, i);
	u32 enough = brim ? stock : stock - stock / 4;

	if (stock)
		return have < enough ? stock - have : 0;
	return wanted && nst_pcs_cap(t, i) && !have ? nst_pcp_batch(order) : 0;
}

int nst_pcp_fill(struct nst_zone *z, u32 want, int brim)
{
	unsigned int order, i, wanting = nst_hint(&z->want_cpu);
	int found = 0;

	plant_inversion(z);
	nst_lock_wait(&z->grow);
	for (order = 0; order <= NST_ORDER_NOLOCK_MAX; order++) {
		struct nst_pcs_table *t = &z->pcp[NST_MOB_UNMOVABLE][order];
		int wanted = (want & 1u << order) != 0;

		if (wanted)
			nst_pcs_ensure(t,
				       wanting); /* benign: without a stack there is none to fill */
		for (i = 0; i < nst_pcs_nr_stacks(t); i++) {
			size_t nr = missing(t, i, order, wanted, brim);
			size_t got = nr ? fill_stack_locked(z, t, i, order, nr) : 0;

			found |= got ? NST_PCP_FILLED : 0;
			found |= got < nr && stock_of(t, i) ? NST_PCP_SHORT : 0;
		}
	}
	nst_unlock(&z->grow);
	return found;
}

/* Room for @n runs beyond the ordinary in stack @i. Locks: needs z->grow. */
static int make_room_locked(struct nst_pcs_table *t, unsigned int i, u32 n)
{
	struct nst_pcs *s = nst_pcs_take(t, i), *grown = NULL;

	if (!s)
		return -12;
	if (s->cap < t->cap + n)
		grown = nst_pcs_grow(s, t->cap + n);
	nst_pcs_put(t, i, grown ? grown : s);
	return nst_pcs_cap(t, i) < t->cap + n ? -12 : 0;
}

int nst_pcp_stock(struct nst_zone *z, unsigned int order, unsigned int i, u32 n)
{
	struct nst_pcs_table *t = &z->pcp[NST_MOB_UNMOVABLE][order];
	int err;

	nst_hint_set(&z->stocked, 1u);
	do {
		u32 have;

		nst_lock_wait(&z->grow);
		err = nst_pcs_ensure(t, i) || make_room_locked(t, i, n) ? -12 : 0;
		have = nst_pcs_count(t, i);
		if (!err && have < n)
			have += (u32)fill_stack_locked(z, t, i, order, n - have);
		nst_unlock(&z->grow);
		if (err || have >= n)
			return err;
	} while (nst_zone_grow(z, order) == 0);
	return -12;
}
