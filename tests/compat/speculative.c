/* SPDX-License-Identifier: MIT */
/*
 * speculative.c - K9, the third thread's example: a page table that a reader under RCU completes, level by level.
 *
 * Never sleep, never reclaim, leave emergency pools alone. Who fails leaves the section, reclaims for what it wants, and
 * tries again; so the task is held accountable.
 */
#include <linux/atomic.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include "common/check.h"

#define SPECULATE (GFP_NOWAIT | __GFP_NOMEMALLOC | __GFP_NOWARN)
#define SLOTS (PAGE_SIZE / sizeof(void *))
#define FAULT_FLAG_RETRY 1

typedef struct {
	void *slot[SLOTS];
} table_t;

static table_t top;
static unsigned int retries;

/* The table below, made if it is missing; NULL: not without waiting. */
static table_t *level_alloc(table_t *above, unsigned int i, gfp_t gfp)
{
	table_t *t = rcu_dereference(above->slot[i]), *new;

	if (t)
		return t;
	new = (table_t *)get_zeroed_page(gfp);
	if (!new)
		return NULL;
	t = cmpxchg(&above->slot[i], NULL, (void *)new);
	if (!t)
		return new;
	free_page((unsigned long)new);
	return t;
}

static void do_reclaim(void)
{
	unsigned long page = __get_free_page(GFP_KERNEL);

	retries++;
	free_page(page);
}

static int fault(unsigned int a, unsigned int b, unsigned int c)
{
	table_t *p4d, *pud, *pmd = NULL;

	rcu_read_lock();
	p4d = level_alloc(&top, a, SPECULATE);
	pud = p4d ? level_alloc(p4d, b, SPECULATE) : NULL;
	pmd = pud ? level_alloc(pud, c, SPECULATE) : NULL;
	rcu_read_unlock();
	if (pmd)
		return 0;
	do_reclaim();
	return FAULT_FLAG_RETRY;
}

static void empty(table_t *t, int levels)
{
	unsigned int i;

	for (i = 0; levels && i < SLOTS; i++) {
		if (!t->slot[i])
			continue;
		empty(t->slot[i], levels - 1);
		kvfree_rcu(t->slot[i]);
		t->slot[i] = NULL;
	}
}

int main(void)
{
	struct nst_lockdep_stats s;
	unsigned int i, rounds = 0;

	fail_page_alloc =
		(struct fault_attr){.interval = 3, .modes = NST_NOWAIT, .site = "level_alloc"};
	nst_fault_arm(&fail_page_alloc);
	for (i = 0; i < 60; i++)
		while (fault(i % 4, i % 7, i) == FAULT_FLAG_RETRY && ++rounds < 1000)
			;
	nst_fault_disarm(&fail_page_alloc);
	check(fail_page_alloc.failed && retries == fail_page_alloc.failed && rounds == retries,
	      "K9 each failure is paid for outside, and tried again", "%u of %lu", retries,
	      fail_page_alloc.failed);
	empty(&top, 3);
	kvfree_rcu_barrier();
	nst_lockdep_read(&s, sizeof(s));
	check(s.classes && !s.errors, "K9 no complaint", "%lu", (unsigned long)s.errors);
	nst_lockdep_expect(NST_NL_WAIT);
	rcu_read_lock();
	might_alloc(GFP_KERNEL);
	rcu_read_unlock();
	check(nst_lockdep_expected() == 1, "K9 GFP_KERNEL there is one", "none");
	return check_status();
}
