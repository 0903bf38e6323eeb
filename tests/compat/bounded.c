/* SPDX-License-Identifier: MIT */
/*
 * bounded.c - K9, the fifth thread: memory that is needed to free memory, and how it is bounded.
 *
 *	reserve		account carefully and allocate ahead: as many as the work can take, then the work cannot fail
 *	concurrency	a pool's users wait for each other, not for memory
 *	fallback	the link in the object, where nothing else is left: call_rcu()
 *	and then	kvfree_rcu() of one argument needs no memory: all of it is taken, and everything is freed
 */
#include <linux/mempool.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include "common/check.h"

struct packet {
	struct rcu_head rcu;
	struct packet *next;
	char data[200];
};

#define NR_PAGES 65536u
static void *page[NR_PAGES];
static unsigned int nr, called;

static void take_all(void)
{
	while (nr < NR_PAGES && (page[nr] = (void *)__get_free_page(GFP_ATOMIC | __GFP_NOWARN)))
		nr++;
}

static void freed(struct rcu_head *head)
{
	__atomic_add_fetch(&called, 1, __ATOMIC_RELAXED);
	kfree(container_of(head, struct packet, rcu));
}

int main(void)
{
	struct kmem_cache *cache = KMEM_CACHE(packet, SLAB_PANIC);
	struct slab_sheaf *sheaf = kmem_cache_prefill_sheaf(cache, GFP_KERNEL, 100);
	mempool_t *pool = mempool_create_slab_pool(4, cache);
	struct packet *list = NULL, *p;
	void *held[4];
	unsigned int i, n = 0;

	if (!sheaf || !pool)
		check_broken("kmem_cache_prefill_sheaf");
	take_all();
	check(nr && nr < NR_PAGES, "K9 all memory is taken", "%u pages", nr);
	/* Bounded ahead: exactly so many. */
	while ((p = kmem_cache_alloc_from_sheaf(cache, GFP_NOWAIT, sheaf)) != NULL) {
		p->next = list;
		list = p;
		n++;
	}
	check(n == 100, "K9 what was allocated ahead is there", "%u", n);
	/* Bounded concurrency: the minimum is the users'. */
	for (i = 0; i < 4; i++)
		held[i] = mempool_alloc(pool, GFP_NOWAIT);
	check(held[0] && held[1] && held[2] && held[3], "K9 a pool has its minimum", "NULL");
	for (i = 0; i < 4; i++)
		mempool_free(held[i], pool);
	/* To free, with nothing left: links, and single pointers. */
	for (i = 0; (p = list) != NULL; i++) {
		list = p->next;
		if (i % 2)
			call_rcu(&p->rcu, freed);
		else
			kvfree_rcu(p);
	}
	while (nr)
		kvfree_rcu(page[--nr]);
	rcu_barrier();
	check(READ_ONCE(called) == 50, "K9 every link was called", "%u", READ_ONCE(called));
	kmem_cache_return_sheaf(cache, GFP_KERNEL, sheaf);
	mempool_destroy(pool);
	check(nst_cache_destroy(nst_compat_cache(cache)) == 0, "K9 freeing needed no memory",
	      "some are alive");
	return check_status();
}
