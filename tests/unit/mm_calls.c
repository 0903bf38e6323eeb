/* SPDX-License-Identifier: MIT */
/*
 * mm_calls.c - functions are called once, after their period, on one thread, and a slow one holds up only others.
 *
 * With the worker they have a thread of their own; without it they are called by who maintains or waits. Foreign
 * pointers wait in pages, of which there is a budget, and one where no other can be had.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>
#include "retire.h"

#define NR 3000u

static struct nst_rcu_head head[NR];
static unsigned int called[NR], total, many;
static pthread_t self, caller;
static int words[NR];

static void note(unsigned int i)
{
	/* Who finds no room calls it at once, beside the thread. */
	__atomic_add_fetch(&many, __atomic_add_fetch(&called[i], 1, __ATOMIC_RELAXED) > 1,
			   __ATOMIC_RELAXED);
	__atomic_store_n(&caller, pthread_self(), __ATOMIC_RELAXED);
	__atomic_add_fetch(&total, 1, __ATOMIC_RELEASE);
}

static void fn_head(struct nst_rcu_head *h)
{
	memset(h, 0xee, sizeof(*h)); /* as a free would */
	note((unsigned int)(h - head));
}

static void fn_ptr(void *ptr)
{
	note((unsigned int)((int *)ptr - words));
}

static unsigned int so_far(void)
{
	return __atomic_load_n(&total, __ATOMIC_ACQUIRE);
}

static void begin(void)
{
	memset(called, 0, sizeof(called));
	total = many = 0;
}

static void queue_all(void)
{
	begin();
	for (unsigned int i = 0; i < NR; i++) {
		if (i % 3 == 0)
			nst_call_rcu(&head[i], fn_head, 8);
		else if (i % 3 == 1)
			nst_free_rcu_head(&head[i], fn_head, 8);
		else
			nst_free_rcu_mightsleep(&words[i], fn_ptr);
	}
}

static void each_once(int on_thread)
{
	queue_all();
	nst_rcu_barrier();
	check(so_far() == NR && many == 0, "a barrier waits for all functions",
	      "%u of %u, %u twice", so_far(), NR, many);
	check(pthread_equal(caller, self) == !on_thread,
	      on_thread ? "they are called on a thread of the library"
			: "where there is none by who waits for them",
	      "they are not");
	check(ways_now().waiting_bytes == 0 && ways_now().head_bytes == 0, "nothing waits after",
	      "%llu bytes", (unsigned long long)ways_now().waiting_bytes);
}

/* ---- a function that calls others ---- */

static unsigned int rounds;

static void fn_again(struct nst_rcu_head *h)
{
	if (__atomic_add_fetch(&rounds, 1, __ATOMIC_RELAXED) < 5)
		nst_call_rcu(h, fn_again, 0);
}

static void again(void)
{
	unsigned int n;

	rounds = 0;
	nst_call_rcu(&head[0], fn_again, 0);
	for (unsigned int i = 1; i <= 5; i++) {
		nst_rcu_barrier();
		/* The next round may be on already. */
		n = __atomic_load_n(&rounds, __ATOMIC_RELAXED);
		check_quiet(n >= i, "a function may hand over its head again",
			    "%u after %u barriers", n, i);
	}
	check(rounds == 5, "a function may hand over its head again", "%u of 5", rounds);
}

static int refused;

static void fn_barrier(struct nst_rcu_head *h)
{
	(void)h;
	refused = nst_rcu_barrier();
}

static void barrier_inside(void)
{
	int err;

	nst_call_rcu(&head[0], fn_barrier, 0);
	err = nst_rcu_barrier(); /* it writes refused */
	check(err == 0 && refused == -EDEADLK, "a function that would wait for itself is refused",
	      "%d", refused);
}

static struct nst_cache *dying;
static size_t left;

static void fn_destroy(struct nst_rcu_head *h)
{
	(void)h;
	left = nst_cache_destroy(dying);
}

/* From a function, which cannot wait for functions. */
static void destroy_inside(void)
{
	dying = cache_of("dying", 64);
	left = 99;
	for (unsigned int i = 0; i < 300; i++)
		nst_free_rcu(object_of(dying));
	nst_call_rcu(&head[0], fn_destroy, 0);
	nst_rcu_barrier();
	check(left == 0, "a function may destroy a cache with objects that wait", "%zu are left",
	      left);
}

/* Objects that functions free. */
struct mine {
	struct nst_rcu_head head;
	char more[40];
};

static void fn_free(struct nst_rcu_head *h)
{
	nst_free(h);
}

static void destroy_waits(void)
{
	struct nst_cache *c = cache_of("owned", sizeof(struct mine));

	for (unsigned int i = 0; i < 300; i++) {
		struct mine *m = object_of(c);

		nst_free_rcu_head(&m->head, fn_free, sizeof(*m));
	}
	left = nst_cache_destroy(c);
	check(left == 0, "destroying a cache waits for functions that free its objects",
	      "%zu are left", left);
}

/* ---- what a barrier waits for, when more comes between the pages and the heads of a batch ---- */

static sem_t entered, let_go;

static void fn_in_page(void *ptr)
{
	(void)ptr;
	sem_post(&entered);
	sem_wait(&let_go);
}

static unsigned int seen_by_waiter;

static void *waiter(void *arg)
{
	(void)arg;
	sem_post(&entered);
	nst_calls_settle();
	seen_by_waiter = so_far();
	return NULL;
}

static void *maker(void *arg)
{
	(void)arg;
	nst_calls_help();
	return NULL;
}

/* One function, in a page of its own. */
static void hand_over(void (*fn)(void *ptr), void *ptr)
{
	struct nst_sheaf *s = nst_channel_page(NULL);

	if (!s)
		check_broken("a page");
	memcpy(&s->obj[0], &fn, sizeof(fn));
	s->obj[1] = ptr;
	s->count = 2;
	nst_add_relaxed(&nst_retired.call_pages, (u64)1); /* as who takes one out of a ring */
	nst_calls_add_page(s);
}

static void fn_late(struct nst_rcu_head *h)
{
	(void)h;
}

static void between(void)
{
	pthread_t make, wait;

	begin();
	sem_init(&entered, 0, 0);
	sem_init(&let_go, 0, 0);
	hand_over(fn_in_page, NULL);
	if (pthread_create(&make, NULL, maker, NULL))
		check_broken("a thread");
	sem_wait(&entered);
	hand_over(fn_ptr, &words[0]);
	if (pthread_create(&wait, NULL, waiter, NULL))
		check_broken("a thread");
	sem_wait(&entered);
	usleep(10000); /* it waits for two functions, of pages */
	for (unsigned int i = 0; i < 2; i++) {
		struct nst_rcu_head *one = &head[i];

		*one = (struct nst_rcu_head){.fn = fn_late};
		nst_calls_add_heads(&one);
	}
	sem_post(&let_go);
	pthread_join(make, NULL);
	pthread_join(wait, NULL);
	check(seen_by_waiter == 1, "nobody takes later functions for those he waits for",
	      "his was not called");
}

/* ---- a function that takes its time ---- */

static void fn_slow(struct nst_rcu_head *h)
{
	(void)h;
	sem_post(&entered);
	sem_wait(&let_go);
}

static void *pages_of_mapping(size_t bytes)
{
	void *p = nst_alloc(bytes, NST_NORMAL);

	if (!p)
		check_broken("a mapping");
	return p;
}

static void slow_one(void)
{
	struct nst_cache *c = cache_of("beside", 64);
	void *p = pages_of_mapping((size_t)3 << 20);
	unsigned int i;

	sem_init(&entered, 0, 0);
	sem_init(&let_go, 0, 0);
	nst_call_rcu(&head[0], fn_slow, 0);
	sem_wait(&entered);
	for (i = 0; i < 500; i++)
		nst_free_rcu(object_of(c));
	nst_free_rcu(p);
	nst_retired_settle();
	check(in_use(c) == 0 && ways_now().waiting_bytes == 0,
	      "a function that takes its time holds up no object", "%llu in use",
	      (unsigned long long)in_use(c));
	begin();
	nst_call_rcu(&head[1], fn_head, 0);
	nst_retired_settle();
	for (i = 0; i < 20; i++)
		nst_maintain();
	check(so_far() == 0, "other functions wait for it", "one was called");
	check(nst_cache_destroy(c) == 0, "a cache can be destroyed meanwhile", "it cannot");
	sem_post(&let_go);
	nst_rcu_barrier();
	check(so_far() == 1, "and are called after it", "%u", so_far());
}

static void by_maintain(void)
{
	begin();
	nst_call_rcu(&head[7], fn_head, 0);
	for (unsigned int i = 0; i < 100 && !so_far(); i++)
		nst_maintain();
	check(so_far() == 1 && pthread_equal(caller, self), "nst_maintain() calls them", "%u calls",
	      so_far());
}

static void from_before(void)
{
	begin();
	nst_call_rcu(&head[5], fn_head, 5);
	check(!nst_retired.ready && nst_rcu_barrier() == 0 && so_far() == 1,
	      "what was handed over before nst_rcu_use() is called too", "%u", so_far());
}

/* ---- pages of functions: a budget, and one that is kept ---- */

#define BUDGET_PAGES 4u
#define PAGE_PAIRS (NST_PAGE_POINTERS / 2)

static void fn_count(void *ptr)
{
	(void)ptr;
	__atomic_add_fetch(&total, 1, __ATOMIC_RELEASE);
}

/* In rings and behind them. */
static u64 call_pages(void)
{
	struct nst_bound b[16];
	size_t i, n = nst_bounds(0, b, 16, sizeof(b[0]));

	for (i = 0; i < n; i++)
		if (!strcmp(b[i].what, "foreign_pages"))
			return b[i].now_bytes / NST_PAGE_BYTES;
	check_broken("the bound of foreign pages");
	return 0;
}

/* As many foreign pointers as are taken, with a pass between any two refusals. */
static unsigned int fill_pages(unsigned int most)
{
	unsigned int taken = 0, refusals = 0;

	while (taken < most && refusals < 50) {
		if (nst_free_rcu_foreign(words, fn_count) == 0) {
			taken++;
			continue;
		}
		refusals++;
		pass();
	}
	return taken;
}

static void page_budget(void)
{
	unsigned int most = (BUDGET_PAGES + NST_RING_SLOTS_MIXED - 1) * PAGE_PAIRS, taken;
	u64 before = nst_retired.call_pages_most, pages;
	nst_rcu_token_t t = nst_rcu_read_begin();

	begin();
	nst_hint_set(&nst_retired.call_pages_most, (u64)BUDGET_PAGES);
	taken = fill_pages(2 * most);
	pages = call_pages();
	check(taken >= BUDGET_PAGES * PAGE_PAIRS && taken <= most,
	      "foreign pointers wait in so many pages, more are refused", "%u of %u", taken, most);
	check(pages >= BUDGET_PAGES && pages <= BUDGET_PAGES + NST_RING_SLOTS_MIXED - 1,
	      "the bound has them", "%llu pages", (unsigned long long)pages);
	nst_rcu_read_end(t);
	check(nst_rcu_barrier() == 0 && so_far() == taken && nst_retired.call_pages == 0,
	      "all are called", "%u of %u", so_far(), taken);
	check(fill_pages(1) == 1 && nst_rcu_barrier() == 0 && so_far() == taken + 1,
	      "then others are taken", "%u of %u", so_far(), taken + 1);
	nst_hint_set(&nst_retired.call_pages_most, before);
}

/* From here on nobody gets a page: what the zone has is taken, and the kernel gives no more. */
static void *take_pages(void)
{
	void **list = NULL, **p;

	nst_test_fail[NST_FAIL_COMMIT] = nst_test_fail[NST_FAIL_POPULATE] = -1;
	nst_test_fail[NST_FAIL_RESERVE] = -1;
	while ((p = nst_pages_alloc(0, NST_NORETRY | NST_NOWARN)) != NULL) {
		*p = list;
		list = p;
	}
	return list;
}

static void put_pages(void **list)
{
	void **next;

	for (; list; list = next) {
		next = *list;
		nst_pages_free(list);
	}
	nst_test_fail[NST_FAIL_COMMIT] = nst_test_fail[NST_FAIL_POPULATE] = 0;
	nst_test_fail[NST_FAIL_RESERVE] = 0;
}

static void kept_page(void)
{
	struct nst_sheaf *kept;
	void *list;

	begin();
	fill_pages(1);
	list = take_pages();
	for (unsigned int i = 0; i < 100 && !so_far(); i++)
		nst_maintain();
	check(so_far() == 1, "without memory for a page functions are called",
	      "%u after 100 passes", so_far());
	check(fill_pages(1) == 1, "a page that was opened before has room", "it has none");
	kept = nst_calls_kept_page();
	nst_retired_settle();
	nst_maintain();
	check(kept && so_far() == 1, "while the one that is kept is out they stay", "%u", so_far());
	nst_add_relaxed(&nst_retired.call_pages, (u64)1); /* the same */
	nst_calls_put_page(kept);
	check(nst_rcu_barrier() == 0 && so_far() == 2, "and are called after it", "%u", so_far());
	put_pages(list);
}

const char *test_conf(int argc, char **argv)
{
	(void)argv;
	return argc > 1 ? "worker:on,nodes:1" : "worker:off,nodes:1";
}

int main(int argc, char **argv)
{
	conf_apply(argv);
	check_deadline(55, "in time");
	self = pthread_self();
	nst_test_fail[NST_FAIL_THREAD] = -1;
	from_before();
	if (argc > 1) {
		each_once(0);
		nst_test_fail[NST_FAIL_THREAD] = 0;
		each_once(1);
		slow_one();
	} else {
		by_maintain();
		each_once(0);
		between();
		page_budget();
		kept_page();
	}
	again();
	barrier_inside();
	destroy_inside();
	destroy_waits();
	return check_status();
}
