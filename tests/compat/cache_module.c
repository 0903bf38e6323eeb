/* SPDX-License-Identifier: MIT */
/*
 * cache_module.c - kernel C: blocks by number, the least used of which a shrinker gives back.
 */
#include <linux/list.h>
#include <linux/mempool.h>
#include <linux/module.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include "cache.h"

#define CACHE_BUCKETS 4096u

struct cache_block {
	struct hlist_node in; /* its bucket */
	struct list_head lru;
	unsigned long number;
	char data[CACHE_BLOCK];
};

static DEFINE_SPINLOCK(cache_lock); /* of buckets, lru, counts */
static struct hlist_head cache_bucket[CACHE_BUCKETS];
static LIST_HEAD(cache_lru); /* the least used first */
static unsigned long nr_blocks, nr_evicted;
static struct kmem_cache *cache_slab;
static mempool_t *cache_requests;
static struct shrinker *cache_shrinker;
unsigned int cache_no_shrinker;

struct cache_request {
	unsigned long number;
};

static struct hlist_head *bucket_of(unsigned long number)
{
	return &cache_bucket[number % CACHE_BUCKETS];
}

/* NULL, or the block, and it was used. */
static struct cache_block *cache_find(unsigned long number)
{
	struct cache_block *b;

	lockdep_assert_held(&cache_lock);
	hlist_for_each_entry(b, bucket_of(number), in)
	{
		if (b->number != number)
			continue;
		list_move_tail(&b->lru, &cache_lru);
		return b;
	}
	return NULL;
}

/* What a device would do. */
static void cache_fetch(const struct cache_request *request, struct cache_block *b)
{
	unsigned long word = request->number * 31 + 1;

	memcpy(b->data, &word, sizeof(word));
}

static struct cache_block *cache_make(unsigned long number)
{
	struct cache_block *b = kmem_cache_alloc(cache_slab, GFP_KERNEL);
	struct cache_request *request;

	if (!b)
		return NULL;
	/* As in the kernel: what input and output wait for never is NULL. */
	request = mempool_alloc(cache_requests, GFP_NOIO);
	request->number = b->number = number;
	cache_fetch(request, b);
	mempool_free(request, cache_requests);
	return b;
}

unsigned long cache_read(unsigned long number)
{
	struct cache_block *b, *new = NULL;
	unsigned long word = 0;

	spin_lock(&cache_lock);
	b = cache_find(number);
	if (!b) {
		spin_unlock(&cache_lock);
		new = cache_make(number);
		spin_lock(&cache_lock);
		b = cache_find(number); /* somebody may have been quicker */
		if (!b && new) {
			hlist_add_head(&new->in, bucket_of(number));
			list_add_tail(&new->lru, &cache_lru);
			nr_blocks++;
			b = new;
			new = NULL;
		}
	}
	if (b)
		memcpy(&word, b->data, sizeof(word));
	spin_unlock(&cache_lock);
	if (new)
		kmem_cache_free(cache_slab, new);
	return word;
}
EXPORT_SYMBOL_GPL(cache_read);

static unsigned long cache_evict(unsigned long nr)
{
	struct cache_block *b, *next;
	unsigned long n = 0;
	LIST_HEAD(out);

	spin_lock(&cache_lock);
	list_for_each_entry_safe(b, next, &cache_lru, lru)
	{
		if (n == nr)
			break;
		hlist_del(&b->in);
		list_move(&b->lru, &out);
		n++;
	}
	nr_blocks -= n;
	nr_evicted += n;
	spin_unlock(&cache_lock);
	list_for_each_entry_safe(b, next, &out, lru) kmem_cache_free(cache_slab, b);
	return n;
}

static unsigned long cache_count(struct shrinker *s, struct shrink_control *sc)
{
	unsigned long n = READ_ONCE(nr_blocks);

	(void)s;
	(void)sc;
	return n ? n : SHRINK_EMPTY;
}

static unsigned long cache_scan(struct shrinker *s, struct shrink_control *sc)
{
	unsigned long n;

	if (s->private_data != &cache_lru || !(sc->gfp_mask & __GFP_FS))
		return SHRINK_STOP;
	n = cache_evict(sc->nr_to_scan);
	return n ? n : SHRINK_STOP;
}

unsigned long cache_blocks(void)
{
	return READ_ONCE(nr_blocks);
}

unsigned long cache_evicted(void)
{
	return READ_ONCE(nr_evicted);
}

static int __init cache_init(void)
{
	cache_slab = KMEM_CACHE(cache_block, SLAB_RECLAIM_ACCOUNT);
	if (!cache_slab)
		return -ENOMEM;
	cache_requests = mempool_create_kmalloc_pool(4, sizeof(struct cache_request));
	if (!cache_requests)
		goto out_slab;
	if (cache_no_shrinker)
		return 0;
	cache_shrinker = shrinker_alloc(0, "test-cache");
	if (!cache_shrinker)
		goto out_pool;
	cache_shrinker->count_objects = cache_count;
	cache_shrinker->scan_objects = cache_scan;
	cache_shrinker->private_data = &cache_lru;
	shrinker_register(cache_shrinker);
	return 0;
out_pool:
	mempool_destroy(cache_requests);
out_slab:
	kmem_cache_destroy(cache_slab);
	return -ENOMEM;
}

static void __exit cache_exit(void)
{
	shrinker_free(cache_shrinker);
	cache_shrinker = NULL;
	cache_evict(~0ul);
	nr_evicted = 0;
	mempool_destroy(cache_requests);
	kmem_cache_destroy(cache_slab);
}

module_init(cache_init);
module_exit(cache_exit);
MODULE_LICENSE("MIT");
MODULE_DESCRIPTION("a cache with a shrinker");
