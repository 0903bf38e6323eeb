/* SPDX-License-Identifier: MIT */
/*
 * mm_movable.c - one run, step by step: isolated, moved, refused, and freed or retired at each moment.
 *
 * No worker: who moves is the test, with a run of its own as the place to move to.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "mm/mm.h"
#include "mm/claim/account.h"
#include "common/check.h"
#include "common/trap.h"

static struct nst_zone *const zone = &nst_zones[0];

/* What the function is to do, and what it saw. */
static struct {
	struct nst_mover *mover;
	int answer;
	void (*also)(void *from);
	void *data, *to, *from;
	size_t bytes;
	nst_mode_t mode;
	int calls, inside, charged;
} t;

static int migrate(void *ctx, void *data, void *to, void *from, size_t bytes)
{
	check_quiet(ctx == &t, "it gets its context", "%p", ctx);
	t.data = data;
	t.to = to;
	t.from = from;
	t.bytes = bytes;
	t.mode = nst_mode_effective(NST_NORMAL);
	t.charged = nst_account_of(NST_ACCOUNT) != NULL;
	t.calls++;
	errno = EILSEQ;
	if (t.answer == 0)
		memcpy(to, from, bytes);
	if (t.also)
		t.also(from);
	return t.answer;
}

static void make(uint32_t flags)
{
	memset(&t, 0, sizeof(t));
	t.mover = nst_mover_register(migrate, &t, flags);
	if (!t.mover)
		check_broken("a mover");
}

static char *run(unsigned int order)
{
	char *p = nst_pages_alloc_movable(t.mover, order, NST_NORMAL, (void *)(uintptr_t)order);

	if (!p)
		check_broken("a run");
	memset(p, 0x11, NST_PAGE_BYTES << order);
	return p;
}

/* Off all lists. */
static struct nst_page *place(unsigned int order)
{
	enum nst_null_reason why;
	struct nst_page *p = nst_page_take_waits(0, order, NST_NORMAL, &why);

	if (!p)
		check_broken("a place");
	return p;
}

/* The run at @addr, isolated, or NULL. */
static struct nst_page *isolate(const void *addr)
{
	struct nst_page *p = nst_page_of(addr), *got;
	struct nst_arena *a = nst_arena_of_page(p);
	size_t page = (size_t)(p - a->pages), at = page % NST_BLOCK_PAGES;

	nst_lock_wait(&zone->grow);
	got = nst_movable_isolate_locked(a, page / NST_BLOCK_PAGES, &at,
					 nst_mode_in_scope(NST_NORMAL));
	nst_unlock(&zone->grow);
	if (got && got != p) {
		nst_movable_leave(got);
		got = NULL;
	}
	return got;
}

static u16 movable_around(const struct nst_page *p)
{
	struct nst_arena *a = nst_arena_of_page(p);

	return a->block_movable[(size_t)(p - a->pages) / NST_BLOCK_PAGES];
}

/* One move of @addr: what came of it. */
static enum nst_moved move(char *addr, unsigned int order, struct nst_page **to)
{
	struct nst_page *p = isolate(addr);

	*to = place(order);
	if (!p)
		check_broken("to isolate a run");
	return nst_movable_move(p, *to);
}

static void put(struct nst_page *p)
{
	nst_page_put_waits(p);
}

static void it_is_moved(void)
{
	struct nst_account *one = nst_account_create("one", NULL, 0, NST_NO_LIMIT);
	struct nst_page *to, *from;
	unsigned int order;

	for (order = 0; order <= NST_ORDER_MOVABLE_MAX; order++) {
		nst_account_token_t in;
		enum nst_moved how;
		char *p, *q;

		make(0);
		p = run(order);
		from = nst_page_of(p);
		errno = 7;
		in = nst_account_enter(one);
		how = move(p, order, &to);
		nst_account_exit(in);
		q = nst_page_address(to);
		check(how == NST_MOVED && t.calls == 1 && t.from == p && t.to == q &&
			      t.bytes == NST_PAGE_BYTES << order && (uintptr_t)t.data == order,
		      "a run is moved", "order %u: %d, %d calls", order, how, t.calls);
		check(errno == 7 && t.mode == NST_NOWAIT, "in a scope, and errno is kept", "%d, %x",
		      errno, t.mode);
		check(one && !t.charged, "and in no account", "it is in one");
		check(nst_usable_size(q) == NST_PAGE_BYTES << order && q[100] == 0x11 &&
			      nst_movable_runs() == 1,
		      "and is as it was", "%zu bytes", nst_usable_size(q));
		check(nst_mover_unregister(t.mover) == -EBUSY, "its mover stays", "it goes");
		put(from);
		nst_pages_free(q);
		check(nst_mover_unregister(t.mover) == 0 && !movable_around(to) &&
			      !movable_around(from),
		      "until it is freed", "%u, %u pages", movable_around(to),
		      movable_around(from));
	}
	check(nst_account_destroy(one) == 0, "nor is anything charged", "something is");
}

static void it_is_refused(void)
{
	enum nst_moved how;
	struct nst_page *to;
	char *p;

	make(0);
	t.answer = -EAGAIN;
	p = run(1);
	how = move(p, 1, &to);
	check(how == NST_MOVED_NOT && nst_page_state(to) == NST_PAGE_PCP &&
		      nst_page_state(nst_page_of(p)) == NST_PAGE_MOVABLE && p[8191] == 0x11,
	      "a run that is refused stays", "states %d, %d", nst_page_state(to),
	      nst_page_state(nst_page_of(p)));
	put(to);
	nst_pages_free(p);
	check(nst_mover_unregister(t.mover) == 0, "and is freed as any other", "it is not");
}

/* ---- freed while it is moved ---- */

static struct nst_rcu_domain *domain;

static void free_nolock(void *p)
{
	nst_pages_free_nolock(p);
}

static void free_ordinary(void *p)
{
	nst_free(p);
}

static void retire(void *p)
{
	nst_free_rcu(p);
}

static void retire_in(void *p)
{
	nst_free_rcu_in(domain, p);
}

static void synchronize(void *ctx)
{
	(void)ctx;
}

static void it_is_freed_meanwhile(void)
{
	static void (*const how[])(void *p) = {free_ordinary, free_nolock, retire, retire_in};
	static const struct nst_rcu_domain_ops ops = {.synchronize = synchronize};
	struct nst_account *account = nst_account_create("freed", NULL, NST_NO_LIMIT, NST_NO_LIMIT);
	unsigned int i;

	if (nst_rcu_domain_create("empty", &ops, &domain) || !account)
		check_broken("a domain, an account");
	for (i = 0; i < sizeof(how) / sizeof(how[0]); i++) {
		nst_account_token_t token = nst_account_enter(account);
		struct nst_page *to, *from;
		char *p;

		make(0);
		t.answer = -EAGAIN;
		t.also = how[i];
		p = run(0);
		nst_account_exit(token);
		from = nst_page_of(p);
		check(move(p, 0, &to) == NST_MOVED_NOT && nst_movable_runs() == 0,
		      "a run may be freed while it is moved", "way %u", i);
		check(nst_mover_unregister(t.mover) == 0, "which nobody waits for", "way %u", i);
		put(to);
		nst_rcu_barrier();
		nst_maintain();
		check(!nst_page_is_movable(from) && nst_page_state(from) != NST_PAGE_RUN_RETIRED &&
			      nst_page_state(from) != NST_PAGE_RUN,
		      "and is freed, once", "way %u: state %d", i, nst_page_state(from));
	}
	nst_rcu_barrier();
	check(nst_account_destroy(account) == 0, "what it was charged is given back", "it is not");
	check(nst_rcu_domain_destroy(domain) == 0, "and its domain let go", "it is not");
}

static void it_is_charged_where_it_is(void)
{
	struct nst_account *account = nst_account_create("moved", NULL, NST_NO_LIMIT, NST_NO_LIMIT);
	nst_account_token_t token = nst_account_enter(account);
	struct nst_page *to, *from;
	char *p;

	make(NST_MOVER_RCU);
	p = run(2);
	nst_account_exit(token);
	from = nst_page_of(p);
	check(move(p, 2, &to) == NST_MOVED_ELSEWHERE &&
		      nst_page_state(from) == NST_PAGE_RUN_RETIRED,
	      "with RCU the old run is retired", "state %d", nst_page_state(from));
	nst_rcu_barrier();
	check(nst_account_destroy(account) == -EBUSY, "a run is charged where it is", "it is not");
	nst_pages_free(nst_page_address(to));
	check(nst_account_destroy(account) == 0, "and no more when it is freed", "it is");
	check(nst_mover_unregister(t.mover) == 0, "its mover goes", "it stays");
}

/* ---- who may not ---- */

static int unregistered;

static void unregister_inside(void *from)
{
	nst_pages_free(from);
	unregistered = nst_mover_unregister(t.mover);
}

static void movers_are_few(void)
{
	struct nst_mover *m[NST_NR_MOVERS];
	unsigned int i, n;

	for (n = 0; n < NST_NR_MOVERS && (m[n] = nst_mover_register(migrate, &t, 0)); n++)
		;
	check(n == NST_NR_MOVERS && !nst_mover_register(migrate, &t, 0), "so many, and no more",
	      "%u", n);
	for (i = 0; i < n; i++)
		check_quiet(nst_mover_unregister(m[i]) == 0, "each goes", "%u stays", i);
	check(nst_mover_unregister(m[0]) == -EINVAL, "once", "again");
}

static void excluded(void)
{
	nst_scope_t scope;
	char *p;

	make(NST_MOVER_IO);
	p = run(0);
	scope = nst_scope_enter(NST_SCOPE_NOIO);
	check(!isolate(p), "a mover that does I/O is not called in a scope without", "it is");
	nst_scope_exit(scope);
	nst_movable_leave(isolate(p));
	nst_pages_free(p);
	nst_mover_unregister(t.mover);

	make(NST_MOVER_CLIENT);
	p = run(0);
	scope = nst_scope_enter(NST_SCOPE_NOCLIENT);
	check(!isolate(p), "nor one that takes locks of clients", "it is");
	nst_scope_exit(scope);
	t.answer = -EAGAIN;
	t.also = unregister_inside;
	{
		struct nst_page *to;

		move(p, 0, &to);
		put(to);
	}
	check(unregistered == -EDEADLK && nst_mover_unregister(t.mover) == 0,
	      "and none may unregister itself", "%d", unregistered);
}

static void realloc_makes_it_ordinary(void)
{
	char *p, *q;

	make(0);
	p = run(3);
	q = nst_realloc(p, 50000, NST_NORMAL);
	check(q && q != p && q[32767] == 0x11 && nst_movable_runs() == 0,
	      "nst_realloc() makes an ordinary run of it", "%p", (void *)q);
	nst_free(q);
	nst_mover_unregister(t.mover);
	check(!nst_pages_alloc_movable(t.mover, 0, NST_NORMAL, NULL), "no run without a mover",
	      "there is");
}

/* ---- a child of fork() ---- */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	int inside, go_on;
} held = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};

static void stay(void *from)
{
	(void)from;
	pthread_mutex_lock(&held.lock);
	held.inside = 1;
	pthread_cond_broadcast(&held.cond);
	while (!held.go_on)
		pthread_cond_wait(&held.cond, &held.lock);
	pthread_mutex_unlock(&held.lock);
}

static void *move_and_stay(void *p)
{
	struct nst_page *to;

	t.answer = -EAGAIN;
	t.also = stay;
	move(p, 0, &to);
	put(to);
	return NULL;
}

/* 0: the run is the child's, and so is its mover. */
static int child(char *p)
{
	if (p[100] != 0x11 || nst_page_state(nst_page_of(p)) != NST_PAGE_MOVABLE)
		return 1;
	nst_maintain();
	nst_pages_free(p);
	return nst_mover_unregister(t.mover) ? 2 : 0;
}

static void fork_while_it_is_moved(void)
{
	pthread_t thread;
	int status;
	char *p;
	pid_t pid;

	make(0);
	p = run(0);
	pthread_create(&thread, NULL, move_and_stay, p);
	pthread_mutex_lock(&held.lock);
	while (!held.inside)
		pthread_cond_wait(&held.cond, &held.lock);
	pthread_mutex_unlock(&held.lock);
	pid = fork();
	if (pid == 0)
		_exit(child(p));
	if (waitpid(pid, &status, 0) != pid)
		check_broken("waitpid");
	check(WIFEXITED(status) && WEXITSTATUS(status) == 0,
	      "in a child of fork() what was being moved is where it was", "status %x", status);
	pthread_mutex_lock(&held.lock);
	held.go_on = 1;
	pthread_cond_broadcast(&held.cond);
	pthread_mutex_unlock(&held.lock);
	pthread_join(thread, NULL);
	nst_pages_free(p);
	check(nst_mover_unregister(t.mover) == 0, "and in its parent, too", "it is not");
}

TEST_CONF("worker:off,nodes:1")

int main(int argc, char **argv)
{
	(void)argc;
	conf_apply(argv);
	check_deadline(50, "runs are moved");
	it_is_moved();
	it_is_refused();
	it_is_freed_meanwhile();
	it_is_charged_where_it_is();
	movers_are_few();
	excluded();
	realloc_makes_it_ordinary();
	if (!getenv("TEST_NO_FORK"))
		fork_while_it_is_moved();
	return check_status();
}
