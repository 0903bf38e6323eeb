/* SPDX-License-Identifier: MIT */
/*
 * pcp.c - runs move between one CPU and its zone in batches, not one by one.
 *
 *	zone (zone->lock)  -- refill, batch runs -->  pcp (this CPU)  -- take -->  caller
 *	                   <-- drain, batch runs --                   <-- put --
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

int nst_pcp_init(struct nst_zone *z)
{
	unsigned int m, i;

	for (m = 0; m < NST_NR_MOBILITIES; m++)
		for (i = 0; i < NST_ARRAY_SIZE(batches); i++)
			if (nst_pcs_table_init(&z->pcp[m][i], 2u * batches[i]))
				return -12;
	return 0;
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

static void drain_stack(struct nst_zone *z, struct nst_pcs_table *t, unsigned int cpu,
			unsigned int order)
{
	struct nst_pcs *s = nst_pcs_take(t, cpu);
	struct nst_page *run;

	if (!s)
		return;
	nst_lock_wait(&z->lock);
	while (nst_stack_popn(s, (void **)&run, 1))
		nst_buddy_put_locked(z, run, order);
	nst_unlock(&z->lock);
	nst_pcs_put(t, cpu, s);
}

void nst_pcp_drain(struct nst_zone *z)
{
	unsigned int m, i, cpu;

	nst_lock_wait(&z->grow);
	for (m = 0; m < NST_NR_MOBILITIES; m++) {
		for (i = 0; i < NST_ARRAY_SIZE(batches); i++) {
			struct nst_pcs_table *t = &z->pcp[m][i];
			unsigned int order = i <= NST_ORDER_NOLOCK_MAX ? i : NST_BLOCK_ORDER;

			for (cpu = 0; cpu < nst_pcs_nr_stacks(t); cpu++)
				if (nst_pcs_count(t, cpu))
					drain_stack(z, t, cpu, order);
		}
	}
	nst_unlock(&z->grow);
}

/* Half a batch or more for a CPU that has none; 1 if there was any above low. Locks: needs z->grow. */
static int fill_stack(struct nst_zone *z, struct nst_pcs_table *t, unsigned int cpu,
		      unsigned int order)
{
	struct nst_page *runs[NST_PCP_BATCH];
	struct nst_pcs *s;
	size_t n, kept = 0;

	nst_lock_wait(&z->lock);
	n = nst_buddy_take_batch_locked(z, order, NST_MOB_UNMOVABLE, z->low, runs,
					nst_pcp_batch(order));
	nst_unlock(&z->lock);
	s = n ? nst_pcs_take(t, cpu) : NULL;
	if (s) {
		kept = nst_stack_pushn(s, (void **)runs, n);
		nst_pcs_put(t, cpu, s);
	}
	nst_lock_wait(&z->lock);
	while (kept < n)
		nst_buddy_put_locked(z, runs[--n], order);
	nst_unlock(&z->lock);
	return kept != 0;
}

int nst_pcp_fill(struct nst_zone *z, u32 want)
{
	unsigned int i, cpu, wanting = nst_hint(&z->want_cpu);
	int found = 0;

	nst_lock_wait(&z->grow);
	for (i = 0; i <= NST_ORDER_NOLOCK_MAX; i++) {
		struct nst_pcs_table *t = &z->pcp[NST_MOB_UNMOVABLE][i];

		if (!(want & 1u << i))
			continue;
		nst_pcs_ensure(t, wanting); /* benign: without a stack there is none to fill */
		for (cpu = 0; cpu < nst_pcs_nr_stacks(t); cpu++)
			if (nst_pcs_cap(t, cpu) && !nst_pcs_count(t, cpu))
				found |= fill_stack(z, t, cpu, i);
	}
	nst_unlock(&z->grow);
	return found;
}
