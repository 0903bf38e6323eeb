/* SPDX-License-Identifier: MIT */
/*
 * no_lock_flag.c - K9, the first thread's example: deferred free by pages of pointers, filled under a raw lock.
 *
 * One request in 500 frees, with a flag that is easy to grep for and takes no lock; where it gets NULL, the object's own
 * link. The validator says nothing; with GFP_NOWAIT it does.
 */
#include <linux/list.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include "common/check.h"

struct block {
	struct block *next;
	unsigned int nr;
	void *object[(PAGE_SIZE - 16) / sizeof(void *)];
};

struct batch {
	raw_spinlock_t lock;
	struct block *blocks;
	struct rcu_head *linked; /* objects that found no block */
	unsigned int nr_linked;
};

struct object {
	struct rcu_head rcu;
	char data[40];
};

/* A page, or nothing: waits for no lock whatever. */
static struct block *block_get(gfp_t gfp)
{
	return (struct block *)__get_free_page(gfp);
}

static void defer(struct batch *b, struct object *o, gfp_t gfp)
{
	unsigned long flags;
	struct block *block;

	raw_spin_lock_irqsave(&b->lock, flags);
	block = b->blocks;
	if (!block || block->nr == ARRAY_SIZE(block->object)) {
		block = block_get(gfp);
		if (block) {
			block->nr = 0;
			block->next = b->blocks;
			b->blocks = block;
		}
	}
	if (block) {
		block->object[block->nr++] = o;
	} else {
		o->rcu.nst.next = (struct nst_rcu_head *)b->linked;
		b->linked = &o->rcu;
		b->nr_linked++;
	}
	raw_spin_unlock_irqrestore(&b->lock, flags);
}

/* All that was deferred: pages of pointers in bulk, links one by one. How many. */
static unsigned int drain(struct batch *b)
{
	unsigned int n = 0;
	struct block *block;
	struct rcu_head *head;

	synchronize_rcu();
	while ((block = b->blocks) != NULL) {
		b->blocks = block->next;
		kfree_bulk(block->nr, block->object);
		n += block->nr;
		free_page((unsigned long)block);
	}
	while ((head = b->linked) != NULL) {
		b->linked = (struct rcu_head *)head->nst.next;
		kfree(container_of(head, struct object, rcu));
		n++;
	}
	return n;
}

static void defer_many(struct batch *b, gfp_t gfp)
{
	unsigned int i;

	for (i = 0; i < 2000; i++)
		defer(b, kmalloc(sizeof(struct object), GFP_KERNEL), gfp);
}

int main(void)
{
	static struct batch b;
	struct nst_lockdep_stats s;

	raw_spin_lock_init(&b.lock);
	nst_pages_stock(0, 16, NST_CPU_ALL);
	defer_many(&b, __GFP_NO_LOCKS | __GFP_NOWARN);
	check(b.blocks && b.nr_linked == 0, "K9 a page of pointers under a raw lock",
	      "%u were linked", b.nr_linked);
	check(drain(&b) == 2000, "K9 all are freed", "not all");
	/* Nothing to be had: the link inside is the fallback. */
	fail_page_alloc =
		(struct fault_attr){.interval = 2, .modes = NST_NOLOCK, .site = "block_get"};
	nst_fault_arm(&fail_page_alloc);
	defer_many(&b, __GFP_NO_LOCKS | __GFP_NOWARN);
	nst_fault_disarm(&fail_page_alloc);
	check(fail_page_alloc.failed && b.nr_linked == fail_page_alloc.failed && drain(&b) == 2000,
	      "K9 and without a page", "%u linked of %lu", b.nr_linked, fail_page_alloc.failed);
	nst_lockdep_read(&s, sizeof(s));
	check(s.classes && !s.errors, "K9 no complaint", "%lu", (unsigned long)s.errors);
	nst_lockdep_expect(NST_NL_WAIT);
	defer_many(&b, GFP_NOWAIT | __GFP_NOWARN);
	check(nst_lockdep_expected() >= 1, "K9 with GFP_NOWAIT there is one", "none");
	drain(&b);
	return check_status();
}
