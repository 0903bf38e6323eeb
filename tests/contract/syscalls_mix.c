/* SPDX-License-Identifier: MIT */
/*
 * syscalls_mix.c - every public function, thousands of times in random order, each between its marks.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#define NST_NO_MACROS
#include <nostall/nostall.h>
#include "common/check.h"
#include "contract/syscalls.h"

#define SLOTS 512
#define ROUNDS 4000

static struct {
	struct rng rng;
	void *obj[SLOTS];  /* any kind */
	void *mine[SLOTS]; /* objects of cache */
	struct nst_cache *cache;
	int null_fd;
} mix;

static nst_mode_t some_mode(void)
{
	static const nst_mode_t modes[] = {NST_NORMAL, NST_NORETRY, NST_NOFAIL, NST_NOWAIT,
					   NST_ATOMIC, NST_NOLOCK,  NST_FASTTRY};

	return modes[rng_below(&mix.rng, 7)] | (rng_below(&mix.rng, 4) ? 0 : (nst_mode_t)NST_ZERO);
}

static size_t some_size(void)
{
	/* Now and then a mapping. */
	return rng_below(&mix.rng, 200) ? rng_size(&mix.rng, 1, 65536) : (size_t)3 << 20;
}

static void **empty_slot(void **slots)
{
	unsigned int first = rng_below(&mix.rng, SLOTS), i;

	for (i = 0; i < SLOTS; i++)
		if (!slots[(first + i) % SLOTS])
			return &slots[(first + i) % SLOTS];
	nst_free_bulk(SLOTS, slots);
	memset(slots, 0, SLOTS * sizeof(*slots));
	return &slots[0];
}

/* A filled slot, emptied; NULL among them is an answer, too. */
static void *taken(void **slots)
{
	void **slot = &slots[rng_below(&mix.rng, SLOTS)], *p = *slot;

	*slot = NULL;
	return p;
}

static void allocate_by_size(unsigned int which)
{
	void **to = empty_slot(mix.obj);
	size_t size = some_size();
	nst_mode_t mode = some_mode();

	if (which == 0)
		MARKED(nst_alloc, *to = nst_alloc(size, mode));
	else if (which == 1)
		MARKED(nst_alloc_aligned, *to = nst_alloc_aligned(size, 64, mode));
	else if (which == 2)
		MARKED(nst_alloc_nolock, *to = nst_alloc_nolock(size));
	else if (which == 3)
		MARKED(nst_alloc_fasttry, *to = nst_alloc_fasttry(size));
	else
		MARKED(nst_alloc_bulk, nst_alloc_bulk(size % 2000 + 1, mode, 1, to));
}

static void resize(void)
{
	void *p = taken(mix.obj), *q;
	size_t size = some_size();
	nst_mode_t mode = some_mode();

	MARKED(nst_realloc, q = nst_realloc(p, size, mode));
	*empty_slot(mix.obj) = q ? q : p;
}

static void free_any(unsigned int which)
{
	void *p = taken(mix.obj);
	size_t size = 0;

	MARKED(nst_usable_size, size = nst_usable_size(p));
	if (which == 0)
		MARKED(nst_free, nst_free(p));
	else if (which == 1 && size % NST_PAGE_SIZE) /* a size that names a class for certain */
		MARKED(nst_free_sized, nst_free_sized(p, size));
	else if (which == 2)
		MARKED(nst_free_nolock, nst_free_nolock(p));
	else if (which == 3)
		MARKED(nst_pages_free, nst_pages_free(p));
	else if (which == 4)
		MARKED(nst_pages_free_nolock, nst_pages_free_nolock(p));
	else
		MARKED(nst_free_bulk, nst_free_bulk(1, &p));
}

static void use_cache(unsigned int which)
{
	void **to = empty_slot(mix.mine), *p;
	nst_mode_t mode = some_mode();

	if (which == 0)
		MARKED(nst_cache_alloc, *to = nst_cache_alloc(mix.cache, mode));
	else if (which == 1)
		MARKED(nst_cache_alloc_nolock, *to = nst_cache_alloc_nolock(mix.cache));
	else if (which == 2)
		MARKED(nst_cache_alloc_bulk, nst_cache_alloc_bulk(mix.cache, mode, 1, to));
	if (which < 3)
		return;
	p = taken(mix.mine);
	if (which == 3)
		MARKED(nst_cache_free, nst_cache_free(mix.cache, p));
	else if (which == 4)
		MARKED(nst_cache_free_nolock, nst_cache_free_nolock(mix.cache, p));
	else
		MARKED(nst_cache_free_bulk, nst_cache_free_bulk(mix.cache, 1, &p));
}

static void use_pages(unsigned int which)
{
	void **to = empty_slot(mix.obj);
	unsigned int order = rng_below(&mix.rng, NST_ORDER_MAX + 1);
	nst_mode_t mode = some_mode();

	if (which)
		MARKED(nst_pages_alloc, *to = nst_pages_alloc(order, mode));
	else
		MARKED(nst_pages_alloc_nolock, *to = nst_pages_alloc_nolock(order % 4));
}

static void ask(void)
{
	static struct nst_stats_page page = {.magic = NST_STATS_PAGE_MAGIC,
					     .version = NST_STATS_PAGE_VERSION,
					     .bytes = sizeof(page)},
				     out;
	struct nst_cache_stats caches[4];
	struct nst_stats stats;
	nst_scope_t scope;
	char text[128];

	MARKED(nst_mode_name, nst_mode_name(NST_NORMAL, text, sizeof(text)));
	MARKED(nst_mode_effective, nst_mode_effective(NST_NORMAL));
	MARKED(nst_mode_may_wait, nst_mode_may_wait(NST_NORMAL));
	MARKED(nst_mode_may_wake, nst_mode_may_wake(NST_NORMAL));
	MARKED(nst_version, nst_version());
	MARKED(nst_conf_check, nst_conf_check("conf_file:/none,debug:9", text, sizeof(text)));
	MARKED(nst_scope_enter, scope = nst_scope_enter(NST_SCOPE_NORECLAIM));
	MARKED(nst_scope_exit, nst_scope_exit(scope));
	MARKED(nst_cache_of_size, nst_cache_of_size(100));
	MARKED(nst_info, nst_info("options", text, sizeof(text)));
	MARKED(nst_stats_read, nst_stats_read(&stats, sizeof(stats)));
	MARKED(nst_stats_caches, nst_stats_caches(caches, 4, sizeof(caches[0])));
	page.sequence += 1;
	MARKED(nst_stats_page_read, nst_stats_page_read(&page, sizeof(page), &out));
	MARKED(nst_bounds, nst_bounds(0, NULL, 0, 0));
	MARKED(nst_stats_print, nst_stats_print(mix.null_fd));
}

static void free_head(struct nst_rcu_head *head)
{
	nst_free(head);
}

static void do_nothing(void *ctx)
{
	(void)ctx;
}

static void read_and_wait(void)
{
	static const struct nst_rcu_domain_ops ops = {.synchronize = do_nothing};
	struct nst_rcu_head *heads[2];
	void *two[2];
	struct nst_rcu_domain *d;
	nst_rcu_token_t t;
	nst_cookie_t c;

	MARKED(nst_rcu_read_begin, t = nst_rcu_read_begin());
	MARKED(nst_gp_start, c = nst_gp_start());
	MARKED(nst_gp_done, nst_gp_done(c));
	MARKED(nst_rcu_read_end, nst_rcu_read_end(t));
	MARKED(nst_gp_wait, nst_gp_wait(c));
	MARKED(nst_synchronize_rcu, nst_synchronize_rcu());
	MARKED(nst_rcu_use, nst_rcu_use());
	two[0] = nst_alloc(64, NST_NORMAL);
	MARKED(nst_free_rcu, nst_free_rcu(two[0]));
	two[0] = nst_alloc(64, NST_NORMAL);
	two[1] = nst_alloc(60000, NST_NORMAL);
	MARKED(nst_free_rcu_bulk, nst_free_rcu_bulk(2, two));
	heads[0] = nst_alloc(sizeof(*heads[0]), NST_NORMAL);
	heads[1] = nst_alloc(sizeof(*heads[1]), NST_NORMAL);
	if (!heads[0] || !heads[1])
		exit(96);
	MARKED(nst_free_rcu_head, nst_free_rcu_head(heads[0], free_head, 8));
	MARKED(nst_call_rcu, nst_call_rcu(heads[1], free_head, 8));
	MARKED(nst_free_rcu_foreign, nst_free_rcu_foreign(two, do_nothing));
	MARKED(nst_free_rcu_mightsleep, nst_free_rcu_mightsleep(two, do_nothing));
	MARKED(nst_rcu_barrier, nst_rcu_barrier());
	MARKED(nst_rcu_domain_create, nst_rcu_domain_create("mix", &ops, &d));
	MARKED(nst_gp_start_in, c = nst_gp_start_in(d));
	MARKED(nst_gp_done_in, nst_gp_done_in(d, c));
	MARKED(nst_gp_wait_in, nst_gp_wait_in(d, c));
	MARKED(nst_synchronize_rcu_in, nst_synchronize_rcu_in(d));
	two[0] = nst_alloc(64, NST_NORMAL);
	MARKED(nst_free_rcu_in, nst_free_rcu_in(d, two[0]));
	MARKED(nst_rcu_barrier, nst_rcu_barrier());
	MARKED(nst_rcu_domain_destroy, nst_rcu_domain_destroy(d));
}

static size_t none(void *ctx)
{
	(void)ctx;
	return 0;
}

static size_t nothing(void *ctx, size_t nr)
{
	(void)ctx;
	(void)nr;
	return NST_SHRINK_STOP;
}

static void speculate(void)
{
	static struct nst_speculate_site site;
	struct nst_speculate_stats stats;
	struct nst_speculation s;
	unsigned int order = rng_below(&mix.rng, 4), how = rng_below(&mix.rng, 4);
	size_t size = rng_size(&mix.rng, 1, NST_NOLOCK_MAX);
	void *p = NULL, *q = NULL;
	int next;

	site.policy = rng_below(&mix.rng, NST_NR_SPECULATE_POLICIES);
	nst_speculate_init(&s, &site);
	MARKED(nst_speculate_begin, nst_speculate_begin(&s));
	MARKED(nst_speculate_alloc, p = nst_speculate_alloc(&s, size));
	MARKED(nst_speculate_pages, q = nst_speculate_pages(&s, order));
	MARKED(nst_speculate_end, nst_speculate_end(&s, how));
	MARKED(nst_speculate_again, next = nst_speculate_again(&s));
	MARKED(nst_speculate_locked, next |= nst_speculate_locked(&s));
	MARKED(nst_speculate_finish, nst_speculate_finish(&s));
	MARKED(nst_speculate_read, nst_speculate_read(&site, &stats));
	(void)next;
	nst_free(p);
	nst_free(q);
}

/* A limit that is met, and one that is not. */
static void charge(void)
{
	struct nst_account_stats stats;
	nst_account_token_t t;
	struct nst_account *a;
	void *p, *q;

	MARKED(nst_account_create, a = nst_account_create("mix", NULL, 50000, 60000));
	if (!a)
		exit(97);
	MARKED(nst_account_fd, nst_account_fd(a));
	MARKED(nst_account_enter, t = nst_account_enter(a));
	MARKED(nst_alloc, p = nst_alloc(55000, NST_NORMAL));
	MARKED(nst_alloc, q = nst_alloc(20000, NST_NORMAL));
	if (!p || q)
		exit(97);
	MARKED(nst_maintain, nst_maintain());
	MARKED(nst_account_limit, nst_account_limit(a, NST_NO_LIMIT, NST_NO_LIMIT));
	MARKED(nst_cache_alloc, q = nst_cache_alloc(mix.cache, NST_NORMAL));
	MARKED(nst_free, nst_free(q));
	MARKED(nst_account_exit, nst_account_exit(t));
	MARKED(nst_account_use, t = nst_account_use(a));
	MARKED(nst_alloc, q = nst_alloc(20000, NST_NORMAL | NST_ACCOUNT));
	MARKED(nst_account_exit, nst_account_exit(t));
	MARKED(nst_account_read, nst_account_read(a, &stats, sizeof(stats)));
	MARKED(nst_free, nst_free(p));
	MARKED(nst_free, nst_free(q));
	MARKED(nst_account_destroy, nst_account_destroy(a));
}

static void reserve(void)
{
	struct nst_prefilled *sheaf = NULL;
	struct nst_pool *pool;
	void *p;

	MARKED(nst_sheaf_prefill,
	       nst_sheaf_prefill(mix.cache, 1 + rng_below(&mix.rng, 90), NST_NORMAL, &sheaf));
	if (!sheaf)
		exit(95);
	MARKED(nst_sheaf_alloc, p = nst_sheaf_alloc(sheaf));
	MARKED(nst_sheaf_refill, nst_sheaf_refill(sheaf, 1, NST_NORMAL));
	nst_free(p);
	MARKED(nst_sheaf_return, nst_sheaf_return(sheaf));
	MARKED(nst_pool_create, pool = nst_pool_create(mix.cache, 8, 2, 2));
	if (!pool)
		exit(94);
	MARKED(nst_pool_alloc, p = nst_pool_alloc(pool, NST_NORMAL));
	MARKED(nst_pool_free, nst_pool_free(pool, p));
	MARKED(nst_pool_alloc_nolock, p = nst_pool_alloc_nolock(pool));
	MARKED(nst_pool_free_nolock, nst_pool_free_nolock(pool, p));
	MARKED(nst_pool_resize, nst_pool_resize(pool, 4 + rng_below(&mix.rng, 90)));
	MARKED(nst_pool_destroy, nst_pool_destroy(pool));
}

static int begun(void *arg, const struct nst_notify_range *range)
{
	(void)arg;
	return range->flags & NST_NOTIFY_BLOCKABLE ? 0 : -EAGAIN;
}

static void told(void *arg, const struct nst_notify_range *range)
{
	(void)arg;
	(void)range;
}

static size_t no_oom(void *arg, const struct nst_oom *oom)
{
	(void)arg;
	(void)oom;
	return 0;
}

static void notify(void)
{
	static const struct nst_notifier_ops ops = {begun, told, told};
	struct nst_oom_notifier *o;
	struct nst_notify_range r;
	struct nst_notifier *n;

	MARKED(nst_notifier_register, n = nst_notifier_register(NULL, 0, 9, &ops, 0, NULL));
	MARKED(nst_notify_begin, nst_notify_begin(&r, NULL, 0, 1, 0));
	MARKED(nst_notify_begin, nst_notify_begin(&r, NULL, 0, 1, NST_NOTIFY_BLOCKABLE));
	MARKED(nst_notify_end, nst_notify_end(&r));
	MARKED(nst_notify_invalidate, nst_notify_invalidate(NULL, 0, 1));
	MARKED(nst_notifier_unregister, nst_notifier_unregister(n));
	MARKED(nst_oom_register, o = nst_oom_register(no_oom, 0, NULL));
	MARKED(nst_oom_unregister, nst_oom_unregister(o));
}

static int never(void *ctx, void *data, void *to, void *from, size_t bytes)
{
	(void)ctx;
	(void)data;
	(void)to;
	(void)from;
	(void)bytes;
	return -EAGAIN;
}

static void make_and_destroy(void)
{
	void *run;
	struct nst_mover *m;
	struct nst_reserve_stats s;
	struct nst_shrinker *h;
	struct nst_reserve *r;
	struct nst_cache *c;

	MARKED(nst_cache_create, c = nst_cache_create("short", 40, 0, NST_CACHE_NOLOCK, NULL));
	if (!c)
		exit(97);
	MARKED(nst_stock, nst_stock(c, 100, NST_CPU_ALL));
	MARKED(nst_pages_stock, nst_pages_stock(1, 40, NST_CPU_ALL));
	MARKED(nst_maintain, nst_maintain());
	MARKED(nst_span_fit, nst_span_fit());
	MARKED(nst_cache_destroy, nst_cache_destroy(c));
	MARKED(nst_settle, nst_settle());
	MARKED(nst_shrinker_register, h = nst_shrinker_register(none, nothing, NULL, 2, 0));
	MARKED(nst_shrinker_unregister, nst_shrinker_unregister(h));
	notify();
	MARKED(nst_mover_register, m = nst_mover_register(never, NULL, 0));
	MARKED(nst_pages_alloc_movable,
	       run = nst_pages_alloc_movable(m, rng_below(&mix.rng, 4), NST_NORMAL, NULL));
	MARKED(nst_pages_free, nst_pages_free(run));
	MARKED(nst_mover_unregister, nst_mover_unregister(m));
	MARKED(nst_reserve_create, r = nst_reserve_create(64 << 10, 2));
	if (!r)
		exit(97);
	MARKED(nst_reserve_enter, nst_reserve_enter(r, NST_NORMAL));
	MARKED(nst_reserve_read, nst_reserve_read(r, &s, sizeof(s)));
	MARKED(nst_reserve_exit, nst_reserve_exit(r));
	MARKED(nst_reserve_destroy, nst_reserve_destroy(r));
}

void paths_mix(unsigned long long seed)
{
	int i;

	mix.rng.state = seed;
	mix.null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	mix.cache = nst_cache_create("mix", 300, 0, 0, NULL);
	for (i = 0; i < ROUNDS; i++) {
		allocate_by_size(rng_below(&mix.rng, 5));
		if (rng_below(&mix.rng, 2))
			free_any(rng_below(&mix.rng, 6));
		use_cache(rng_below(&mix.rng, 6));
		use_pages(rng_below(&mix.rng, 2));
		free_any(rng_below(&mix.rng, 6));
		if (i % 8 == 0)
			resize();
		if (i % 64 == 1)
			speculate();
		if (i % 500 == 0)
			ask();
		if (i % 500 == 1)
			make_and_destroy();
		if (i % 500 == 2)
			read_and_wait();
		if (i % 500 == 3)
			charge();
		if (i % 500 == 4)
			reserve();
	}
	mix_check_all();
}
