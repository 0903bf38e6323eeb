/* SPDX-License-Identifier: MIT */
/*
 * names.c - K1, K2, K7: flags are modes, and names of memory do here what they do in the kernel.
 */
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/mempool.h>
#include <linux/percpu.h>
#include <linux/refcount.h>
#include <linux/sched/mm.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <pthread.h>
#include "common/check.h"

/* ---- K1: flags ---- */

static const struct {
	const char *name;
	gfp_t gfp;
	nst_mode_t mode; /* 0: refused */
} table[] = {
	{"GFP_KERNEL", GFP_KERNEL, NST_NORMAL},
	{"RETRY_MAYFAIL", GFP_KERNEL | __GFP_RETRY_MAYFAIL, NST_NORMAL},
	{"NORETRY", GFP_KERNEL | __GFP_NORETRY, NST_NORETRY},
	{"NOFAIL", GFP_KERNEL | __GFP_NOFAIL, NST_NOFAIL},
	{"GFP_NOFS", GFP_NOFS, NST_NORMAL | NST_NOCLIENT},
	{"GFP_NOIO", GFP_NOIO, NST_NORMAL | NST_NOIO | NST_NOCLIENT},
	{"GFP_NOWAIT", GFP_NOWAIT, NST_NOWAIT | NST_NOWARN},
	{"GFP_KERNEL without direct reclaim", GFP_KERNEL & ~__GFP_DIRECT_RECLAIM, NST_NOWAIT},
	{"GFP_ATOMIC", GFP_ATOMIC, NST_ATOMIC},
	{"NO_LOCKS", __GFP_NO_LOCKS, NST_NOLOCK},
	{"FAST_TRY", __GFP_FAST_TRY, NST_FASTTRY},
	{"what speculation asked for", GFP_NOWAIT | __GFP_NOMEMALLOC | __GFP_NOWARN,
	 NST_NOWAIT | NST_NOMEMALLOC | NST_NOWARN},
	{"modifiers",
	 GFP_KERNEL | __GFP_ZERO | __GFP_ACCOUNT | __GFP_THISNODE | __GFP_RECLAIMABLE |
		 __GFP_MEMALLOC,
	 NST_NORMAL | NST_ZERO | NST_ACCOUNT | NST_THISNODE | NST_RECLAIMABLE | NST_MEMALLOC},
	{"0", 0, 0},
	{"modifiers alone", __GFP_NOMEMALLOC | __GFP_NOWARN, 0},
	{"GFP_NOWAIT without its wake", GFP_NOWAIT & ~__GFP_RECLAIM, 0},
	{"__GFP_HIGH alone", __GFP_HIGH, 0},
	{"NOWAIT and NO_LOCKS", GFP_NOWAIT | __GFP_NO_LOCKS, 0},
	{"KERNEL and FAST_TRY", GFP_KERNEL | __GFP_FAST_TRY, 0},
	{"NO_LOCKS and FAST_TRY", __GFP_NO_LOCKS | __GFP_FAST_TRY, 0},
	{"KERNEL and HIGH", GFP_KERNEL | __GFP_HIGH, 0},
	{"NOFAIL and NORETRY", GFP_KERNEL | __GFP_NOFAIL | __GFP_NORETRY, 0},
	{"NOFAIL that may not sleep", GFP_NOWAIT | __GFP_NOFAIL, 0},
};

static void flags(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		const nst_mode_t mode = nst_gfp_mode(table[i].gfp);

		check_quiet(table[i].mode ? mode == table[i].mode : !NST_MODE_VALID(mode),
			    "K1 flags are modes", "%s: 0x%x", table[i].name, mode);
	}
	check(1, "K1 flags are modes", " ");
	check(gfpflags_allow_blocking(GFP_NOFS) && !gfpflags_allow_blocking(GFP_ATOMIC),
	      "K1 gfpflags_allow_blocking", "not so");
}

static void scopes(void)
{
	const unsigned int noio = memalloc_noio_save(), nofs = memalloc_nofs_save();
	nst_scope_t scope;

	check(nofs == 0, "K1 a scope in one that excludes more sets nothing", "0x%x", nofs);
	memalloc_nofs_restore(nofs);
	check(current_gfp_context(GFP_KERNEL) == GFP_NOIO, "K1 memalloc_noio_save()", "0x%x",
	      current_gfp_context(GFP_KERNEL));
	memalloc_noio_restore(noio);
	scope = memalloc_nofs_save();
	check(current_gfp_context(GFP_KERNEL) == GFP_NOFS, "K1 memalloc_nofs_save()", "0x%x",
	      current_gfp_context(GFP_KERNEL));
	memalloc_nofs_restore(scope);
	scope = memalloc_noreclaim_save();
	check(!gfpflags_allow_blocking(current_gfp_context(GFP_KERNEL)) &&
		      current_gfp_context(__GFP_NO_LOCKS) == __GFP_NO_LOCKS,
	      "K1 memalloc_noreclaim_save()", "0x%x", current_gfp_context(GFP_KERNEL));
	memalloc_noreclaim_restore(scope);
	scope = nst_scope_enter(NST_SCOPE_NOLOCK);
	check(current_gfp_context(GFP_KERNEL | __GFP_ZERO) == (__GFP_NO_LOCKS | __GFP_ZERO),
	      "K1 a no-lock scope", "0x%x", current_gfp_context(GFP_KERNEL));
	nst_scope_exit(scope);
	check(current_gfp_context(GFP_KERNEL) == GFP_KERNEL, "K1 all scopes ended", "0x%x",
	      current_gfp_context(GFP_KERNEL));
}

/* ---- K2: objects ---- */

static bool is_zero(const void *p, size_t n)
{
	const unsigned char *c = p;

	while (n--)
		if (c[n])
			return false;
	return true;
}

static void by_size(void)
{
	const char *text = "kernel";
	size_t size, huge = SIZE_MAX / 2;
	char *p, *q;

	check(kmalloc(0, GFP_KERNEL) == ZERO_SIZE_PTR && !ksize(ZERO_SIZE_PTR), "K2 kmalloc(0)",
	      "not ZERO_SIZE_PTR");
	kfree(ZERO_SIZE_PTR);
	kfree(NULL);
	for (size = 16; size <= 1u << 22; size *= 2) {
		p = kmalloc(size, GFP_KERNEL);
		check_quiet(p && IS_ALIGNED((uintptr_t)p, size) && ksize(p) >= size,
			    "K2 a power of two is aligned to itself", "%zu: %p", size, (void *)p);
		memset(p, 0xa5, size);
		kfree(p);
	}
	check(1, "K2 a power of two is aligned to itself", " ");
	p = kzalloc(1000, GFP_KERNEL);
	check(p && is_zero(p, 1000), "K2 kzalloc()", "not zeroed");
	memset(p, 7, 1000);
	p = krealloc(p, 3000, GFP_KERNEL);
	check(p && p[0] == 7 && p[999] == 7, "K2 krealloc()", "lost");
	check(krealloc(p, 0, GFP_KERNEL) == ZERO_SIZE_PTR, "K2 krealloc() to 0 frees", "not so");
	p = krealloc(ZERO_SIZE_PTR, 10, GFP_KERNEL);
	check(!ZERO_OR_NULL_PTR(p), "K2 krealloc() of kmalloc(0)", "%p", (void *)p);
	kfree_sensitive(p);
	/* What is left of the last two is 32 and 48 bytes. */
	check(!kmalloc_array(huge, 4, GFP_KERNEL) && !kcalloc(4, huge, GFP_KERNEL) &&
		      !kvmalloc_array(huge / 8 + 3, 16, GFP_KERNEL) &&
		      !kcalloc(16, huge / 8 + 4, GFP_KERNEL),
	      "K2 a product that does not fit", "served");
	p = kstrdup(text, GFP_KERNEL);
	q = kmemdup(text, 4, GFP_KERNEL);
	check(p && !strcmp(p, text) && q && !memcmp(q, text, 4) && !kstrdup(NULL, GFP_KERNEL),
	      "K2 kstrdup(), kmemdup()", "differ");
	kfree_bulk(2, (void *[]){p, q});
	p = kstrndup(text, 3, GFP_KERNEL);
	check(p && !strcmp(p, "ker"), "K2 kstrndup()", "differs");
	kvfree(p);
	p = vzalloc(100000);
	check(p && IS_ALIGNED((uintptr_t)p, PAGE_SIZE) && is_zero(p, 100000), "K2 vzalloc()", "%p",
	      (void *)p);
	kfree(p);
	nst_stock(nst_cache_of_size(100), 4, NST_CPU_ALL);
	p = kmalloc_nolock(100, __GFP_ZERO, NUMA_NO_NODE);
	check(p && is_zero(p, 100), "K2 kmalloc_nolock()", "%p", (void *)p);
	kfree_nolock(p);
	check(!kmalloc_nolock(NST_NOLOCK_MAX + 1, 0, NUMA_NO_NODE), "K2 too large is NULL",
	      "served");
}

static void runs(void)
{
	const unsigned long a = __get_free_pages(GFP_KERNEL, 2), z = get_zeroed_page(GFP_KERNEL);
	struct page *page = alloc_page(GFP_KERNEL | __GFP_ZERO), *n;

	check(a && IS_ALIGNED(a, PAGE_SIZE << 2), "K2 __get_free_pages()", "0x%lx", a);
	check(z && is_zero((void *)z, PAGE_SIZE), "K2 get_zeroed_page()", "0x%lx", z);
	check(page && virt_to_page((char *)page_address(page) + 100) == page, "K2 alloc_page()",
	      "%p", (void *)page);
	free_pages(a, 2);
	free_page(z);
	__free_page(page);
	nst_pages_stock(1, 4, NST_CPU_ALL);
	n = alloc_pages_nolock(0, NUMA_NO_NODE, 1);
	check(n && is_zero(page_address(n), PAGE_SIZE * 2), "K2 alloc_pages_nolock() zeroes", "%p",
	      (void *)n);
	free_pages_nolock(n, 1);
	check(!alloc_pages_nolock(0, NUMA_NO_NODE, NST_ORDER_NOLOCK_MAX + 1),
	      "K2 alloc_pages_nolock() has a largest order", "served");
	check(get_order(1) == 0 && get_order(PAGE_SIZE) == 0 && get_order(PAGE_SIZE + 1) == 1 &&
		      get_order(PAGE_SIZE * 8) == 3,
	      "K2 get_order()", "%d", get_order(PAGE_SIZE + 1));
}

struct thing {
	unsigned long made;
	char rest[56];
};

static void make(void *p)
{
	((struct thing *)p)->made = 0x5eed;
}

static void caches(void)
{
	struct kmem_cache *plain = KMEM_CACHE(thing, SLAB_HWCACHE_ALIGN | SLAB_PANIC),
			  *made = kmem_cache_create("made", sizeof(struct thing), 0, 0, make);
	struct thing *t = kmem_cache_zalloc(plain, GFP_KERNEL), *u;
	void *bulk[20];

	check(t && is_zero(t, sizeof(*t)) && IS_ALIGNED((uintptr_t)t, 64), "K2 kmem_cache_zalloc()",
	      "%p", (void *)t);
	kmem_cache_free(plain, t);
	u = kmem_cache_alloc(made, GFP_KERNEL);
	check(u && u->made == 0x5eed, "K2 a constructor", "not called");
	kfree(u);
	check(kmem_cache_alloc_bulk(plain, GFP_KERNEL, 20, bulk) == 20,
	      "K2 kmem_cache_alloc_bulk()", "fewer");
	kmem_cache_free_bulk(plain, 20, bulk);
	kmem_cache_destroy(made);
	kmem_cache_destroy(plain);
	kmem_cache_destroy(NULL);
}

static void sheaves(void)
{
	struct kmem_cache *c = KMEM_CACHE(thing, 0);
	struct slab_sheaf *sheaf = kmem_cache_prefill_sheaf(c, GFP_KERNEL, 5);
	struct thing *t[9];
	unsigned int i, n = 0;

	check(sheaf && kmem_cache_sheaf_size(sheaf) == 5, "K2 kmem_cache_prefill_sheaf()", "%p",
	      (void *)sheaf);
	for (i = 0; i < 3; i++)
		n += (t[i] = kmem_cache_alloc_from_sheaf(c, __GFP_ZERO, sheaf)) != NULL &&
		     is_zero(t[i], sizeof(*t[i]));
	check(n == 3 && kmem_cache_sheaf_size(sheaf) == 2, "K2 kmem_cache_alloc_from_sheaf()", "%u",
	      n);
	check(!kmem_cache_refill_sheaf(c, GFP_KERNEL, &sheaf, 4) &&
		      kmem_cache_sheaf_size(sheaf) == 4,
	      "K2 kmem_cache_refill_sheaf()", "%u", kmem_cache_sheaf_size(sheaf));
	check(!kmem_cache_refill_sheaf(c, GFP_KERNEL, &sheaf, 6) &&
		      kmem_cache_sheaf_size(sheaf) == 6,
	      "K2 refilled with more than it was made for", "%u", kmem_cache_sheaf_size(sheaf));
	for (; i < 9; i++)
		n += (t[i] = kmem_cache_alloc_from_sheaf(c, 0, sheaf)) != NULL;
	check(n == 9 && !kmem_cache_alloc_from_sheaf(c, 0, sheaf), "K2 exactly so many", "%u", n);
	kmem_cache_return_sheaf(c, GFP_KERNEL, sheaf);
	kmem_cache_free_bulk(c, 9, (void **)t);
	kmem_cache_destroy(c);
}

static void *give_back(void *arg)
{
	void **what = arg;

	nst_settle(); /* nothing owed: a thread that has come so far */
	mempool_free(what[1], what[0]);
	return NULL;
}

/* A pool of a cache and one of a size; who frees gives to the pool, and who may sleep always gets one. */
static void pools(void)
{
	struct kmem_cache *c = KMEM_CACHE(thing, 0);
	mempool_t *pool = mempool_create_slab_pool(2, c), *k = mempool_create_kmalloc_pool(1, 300);
	void *a = mempool_alloc(pool, GFP_NOWAIT), *b = mempool_alloc(pool, GFP_KERNEL), *args[2];
	pthread_t thread;

	check(a && b && pool && k, "K2 mempool_alloc()", "%p %p", a, b);
	mempool_free(b, pool);
	mempool_free(NULL, pool);
	args[0] = pool;
	args[1] = a;
	if (pthread_create(&thread, NULL, give_back, args))
		check_broken("pthread_create");
	b = mempool_alloc(pool, GFP_NOIO);
	check(b != NULL, "K2 who may sleep always has one", "NULL");
	pthread_join(thread, NULL);
	mempool_free(b, pool);
	check(!mempool_resize(pool, 4), "K2 mempool_resize()", "failed");
	mempool_destroy(pool);
	mempool_destroy(k);
	mempool_destroy(NULL);
	kmem_cache_destroy(c);
}

/* ---- per-CPU, counts, lists ---- */

struct counts {
	unsigned long a;
	unsigned int b;
};

static struct counts *counts;
#define COUNTS 50000u

static void *count(void *arg)
{
	unsigned int i;

	for (i = 0; i < COUNTS; i++) {
		this_cpu_inc(counts->a);
		this_cpu_add(counts->b, 2);
	}
	return arg;
}

static void per_cpu(void)
{
	unsigned long a = 0, b = 0;
	pthread_t thread[4];
	struct counts *others[600];
	unsigned int i, cpu, n = 0;

	counts = alloc_percpu(struct counts);
	for (i = 0; i < 600; i++) /* more than a chunk has room for */
		n += (others[i] = alloc_percpu(struct counts)) != NULL;
	for (i = 0; i < 4; i++)
		if (pthread_create(&thread[i], NULL, count, NULL))
			check_broken("pthread_create");
	for (i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	for_each_possible_cpu(cpu)
	{
		a += per_cpu_ptr(counts, cpu)->a;
		b += per_cpu_ptr(counts, cpu)->b;
		for (i = 0; i < n; i++)
			check_quiet(others[i]->a == 0 && per_cpu_ptr(others[i], cpu)->b == 0,
				    "K2 copies do not overlap", "%u", i);
	}
	check(a == 4 * COUNTS && b == 8 * COUNTS && n == 600, "K2 this_cpu_add() loses nothing",
	      "%lu %lu %u", a, b, n);
	for (i = 0; i < n; i++)
		free_percpu(others[i]);
	free_percpu(counts);
	free_percpu(NULL);
}

struct item {
	int n;
	struct list_head on;
	struct hlist_node in;
};

static void lists(void)
{
	LIST_HEAD(list);
	LIST_HEAD(other);
	HLIST_HEAD(heads);
	struct item item[5], *pos, *next;
	struct hlist_node *n;
	int i, sum = 0, order = 0;

	for (i = 0; i < 5; i++) {
		item[i].n = i;
		if (i < 3)
			list_add_tail(&item[i].on, &list);
		else
			list_add(&item[i].on, &other);
		hlist_add_head(&item[i].in, &heads);
	}
	list_splice_tail_init(&other, &list);
	list_move(&item[2].on, &list);
	list_for_each_entry(pos, &list, on) order = order * 10 + pos->n;
	check(order == 20143 && list_empty(&other), "K2 lists", "%d", order);
	list_for_each_entry_safe(pos, next, &list, on) list_del(&pos->on);
	hlist_for_each_entry(pos, &heads, in) sum = sum * 10 + pos->n;
	hlist_for_each_entry_safe(pos, n, &heads, in) hlist_del(&pos->in);
	check(list_empty(&list) && sum == 43210 && hlist_empty(&heads), "K2 heads of one pointer",
	      "%d", sum);
}

static void refcounts(void)
{
	refcount_t r = REFCOUNT_INIT(2);
	atomic_t a = ATOMIC_INIT(5);

	check(!refcount_dec_and_test(&r) && refcount_dec_and_test(&r) && !refcount_inc_not_zero(&r),
	      "K2 refcount_t", "%u", refcount_read(&r));
	check(atomic_add_unless(&a, 3, 4) && atomic_read(&a) == 8 && !atomic_add_unless(&a, 1, 8) &&
		      atomic_cmpxchg(&a, 8, 1) == 8 && atomic_dec_and_test(&a),
	      "K2 atomic_t", "%d", atomic_read(&a));
}

/* ---- K7: injected failures ---- */

static unsigned int failures(unsigned int n, gfp_t gfp)
{
	unsigned int failed = 0;
	void *p;

	while (n--) {
		p = kmalloc(64, gfp);
		failed += !p;
		kfree(p);
	}
	return failed;
}

static void *elsewhere(void)
{
	return kmalloc(64, GFP_KERNEL);
}

static void faults(void)
{
	unsigned int i, where = 0;
	unsigned long page;
	char site[32];
	void *p;

	failslab = (struct fault_attr){.nth = 3};
	nst_fault_arm(&failslab);
	for (i = 1; i <= 5; i++) {
		p = kmalloc(64, GFP_KERNEL);
		where = where * 10 + !p;
		kfree(p);
	}
	check(where == 100 && failslab.failed == 1 && failslab.asked == 5, "K7 the third", "%u",
	      where);
	failslab = (struct fault_attr){.interval = 4, .times = 2};
	nst_fault_arm(&failslab);
	check(failures(20, GFP_KERNEL) == 2 && failslab.failed == 2, "K7 every fourth, two of them",
	      "%lu", failslab.failed);
	failslab = (struct fault_attr){.interval = 1, .modes = NST_NOWAIT | NST_NOLOCK};
	nst_fault_arm(&failslab);
	check(failures(5, GFP_KERNEL) == 0 && failures(5, GFP_NOWAIT) == 5 &&
		      failures(5, __GFP_NO_LOCKS) == 5,
	      "K7 by mode", "%lu", failslab.failed);
	failslab = (struct fault_attr){.interval = 1, .site = "elsewhere"};
	nst_fault_arm(&failslab);
	check(failures(3, GFP_KERNEL) == 0 && !elsewhere(), "K7 by function", "%lu",
	      failslab.failed);
	snprintf(site, sizeof(site), "names.c:%d", __LINE__ + 3);
	failslab = (struct fault_attr){.interval = 1, .site = site};
	nst_fault_arm(&failslab);
	p = kmalloc(64, GFP_KERNEL);
	check(!p && failures(3, GFP_KERNEL) == 0, "K7 by line", "%p", p);
	failslab = (struct fault_attr){.interval = 1};
	nst_fault_arm(&failslab);
	p = kmalloc(64, GFP_KERNEL | __GFP_NOFAIL);
	page = __get_free_page(GFP_KERNEL);
	check(p && page && !vmalloc(100) && !krealloc(p, 5000, GFP_KERNEL),
	      "K7 not NOFAIL; pages have their own; a realloc that fails keeps", "%p %lx", p, page);
	nst_fault_disarm(&failslab);
	free_page(page);
	kfree(p);
	fail_page_alloc = (struct fault_attr){.interval = 1, .min_bytes = PAGE_SIZE * 2};
	nst_fault_arm(&fail_page_alloc);
	page = __get_free_page(GFP_KERNEL);
	check(page && !__get_free_pages(GFP_ATOMIC, 1), "K7 runs of more than a page", "%lx", page);
	nst_fault_disarm(&fail_page_alloc);
	free_page(page);
	check(failures(10, GFP_KERNEL) == 0, "K7 disarmed", "%lu", failslab.failed);
}

int main(void)
{
	flags();
	scopes();
	by_size();
	runs();
	caches();
	sheaves();
	pools();
	per_cpu();
	lists();
	refcounts();
	faults();
	check(nst_compat_warnings == 0, "K2 nothing was warned of", "%lu", nst_compat_warnings);
	return check_status();
}
