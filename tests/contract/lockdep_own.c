/* SPDX-License-Identifier: MIT */
/*
 * lockdep_own.c - V9, V10: the library's own locks under the validator, and requests where they may not be made.
 *
 * NOSTALL_CONF has check:possible. A mix of everything by threads, an account, a prefilled sheaf, a pool, grace periods, a
 * fork: no report of either level, and orders were seen. A library in which a zone's locks are taken the other way
 * round, once, must be caught (38), and so must one that judges no request that this CPU has stock for (77).
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/mix.h"
#include "unit/lockdep.h"

#define THREADS 4u
static struct mix_caches caches;
static uint64_t seed;

static void *mixed(void *arg)
{
	unsigned int i = (unsigned int)(uintptr_t)arg, k;
	struct mix *mix = malloc(sizeof(*mix));

	if (!mix)
		check_broken("malloc");
	mix_init(mix, &caches, i % 2 ? MIX_NOLOCK : MIX_ORDINARY, seed + i, 0);
	for (k = 0; k < 20000; k++) {
		mix_step(mix);
		if (k % 2000 == 0)
			nst_maintain();
	}
	mix_empty(mix);
	free(mix);
	return NULL;
}

static void others(void)
{
	static struct nst_stats stats;
	struct nst_account *a = nst_account_create("a", NULL, 0, 1u << 20);
	nst_account_token_t token = nst_account_enter(a);
	struct nst_prefilled *sheaf = NULL;
	struct nst_pool *pool;
	void *p = nst_alloc(100, NST_NORMAL);

	check(a && p, "V9 an account", "none");
	nst_free_rcu(p);
	nst_account_exit(token);
	nst_synchronize_rcu();
	while (nst_maintain())
		;
	nst_account_destroy(a);
	if (nst_sheaf_prefill(caches.small, 8, NST_NORMAL, &sheaf))
		check_broken("nst_sheaf_prefill");
	nst_free(nst_sheaf_alloc(sheaf));
	nst_sheaf_return(sheaf);
	pool = nst_pool_create(caches.small, 4, 2, 1);
	nst_pool_free(pool, nst_pool_alloc(pool, NST_NORMAL));
	nst_pool_destroy(pool);
	nst_free(nst_alloc(8u << 20, NST_NORMAL));
	nst_stats_read(&stats, sizeof(stats));
}

static void forked(void)
{
	pid_t pid = fork();
	int status = 0;

	if (!pid) {
		nst_free(nst_alloc(100, NST_NORMAL));
		nst_maintain();
		_exit(nr_reports != 0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		check_broken("fork");
	check(status == 0, "V9 in a child of fork(): nothing", "status 0x%x", (unsigned int)status);
}

static void own_locks(void)
{
	struct nst_lockdep_stats s;
	pthread_t thread[THREADS];
	uintptr_t i;

	mix_caches_make(&caches, 0);
	for (i = 0; i < THREADS; i++)
		if (pthread_create(&thread[i], NULL, mixed, (void *)i))
			check_broken("pthread_create");
	for (i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	others();
	forked();
	mix_caches_destroy(&caches);
	nst_lockdep_read(&s, sizeof(s));
	printf("# %llu classes, %llu edges, %llu chains, full 0x%llx\n",
	       (unsigned long long)s.classes, (unsigned long long)s.edges,
	       (unsigned long long)s.chains, (unsigned long long)s.full);
	check(s.edges >= 5 && !s.full, "V9 orders of our locks were seen", "%llu",
	      (unsigned long long)s.edges);
	check(s.errors == 0 && s.possible == 0, "V9 our own locks: no report",
	      "%llu errors, %llu possible\n%s", (unsigned long long)s.errors,
	      (unsigned long long)s.possible, last_text);
}

/* On a CPU where nobody has used the cache yet: it gets its stacks there. */
static void first_use(void)
{
	struct nst_cache *c = nst_cache_create("first use", 200, 0, 0, NULL),
			 *d = nst_cache_create("first free", 200, 0, 0, NULL);
	static struct nst_lockdep_map spin = NST_LOCKDEP_MAP("short", NULL, NST_WAIT_CONFIG);
	cpu_set_t was, one;
	void *p;

	if (!c || !d)
		check_broken("nst_cache_create");
	nst_lockdep_acquire(&spin, 0);
	nst_cache_free(c, nst_cache_alloc(c, NST_NOWAIT));
	nst_lockdep_release(&spin);
	no_report("V10 NOWAIT with a spinlock held, of a cache that nobody has used: nothing");
	p = nst_cache_alloc(d, NST_NORMAL);
	CPU_ZERO(&one);
	sched_getaffinity(0, sizeof(was), &was);
	CPU_SET(CPU_COUNT(&was) > 1 && sched_getcpu() == 0, &one);
	sched_setaffinity(0, sizeof(one), &one);
	nst_lockdep_acquire(&spin, 0);
	nst_cache_free(d, p);
	nst_lockdep_release(&spin);
	sched_setaffinity(0, sizeof(was), &was);
	no_report("V10 a free likewise, on another CPU: nothing");
	nst_cache_destroy(c);
	nst_cache_destroy(d);
}

/* Each is served by what this CPU has: full sheaves hide nothing. */
static void requests(void)
{
	static struct nst_lockdep_map raw = NST_LOCKDEP_MAP("raw", NULL, NST_WAIT_SPIN),
				      spin = NST_LOCKDEP_MAP("spin", NULL, NST_WAIT_CONFIG),
				      mutex = NST_LOCKDEP_MAP("mutex", NULL, NST_WAIT_SLEEP);
	void *p;

	if (nst_stock(nst_cache_of_size(64), 64, NST_CPU_ALL))
		check_broken("nst_stock");
	nst_free(nst_alloc(64, NST_NORMAL));
	forget();
	nst_nonblock_begin();
	p = nst_alloc(64, NST_NORMAL);
	one_report(NST_NL_BLOCK, NST_LD_ERROR,
		   "V10 NORMAL in a section that must not block, and stock");
	nst_free_nolock(p);
	nst_free_nolock(nst_alloc_nolock(64));
	nst_free_nolock(nst_alloc(64, NST_NOLOCK));
	no_report("V10 NOLOCK in it: nothing");
	nst_nonblock_end();
	nst_lockdep_acquire(&raw, 0);
	p = nst_alloc(64, NST_NOWAIT);
	one_report(NST_NL_WAIT, NST_LD_ERROR, "V10 NOWAIT with a raw lock held, and stock");
	nst_free_nolock(p);
	p = nst_alloc(64, NST_ATOMIC);
	one_report(NST_NL_WAIT, NST_LD_ERROR, "V10 ATOMIC with a raw lock held, and stock");
	nst_free_rcu(p);
	p = nst_alloc_nolock(64);
	nst_free_nolock(nst_alloc_nolock(64));
	no_report("V10 NOLOCK and a deferred free with a raw lock held: nothing");
	nst_free(p);
	one_report(NST_NL_WAIT, NST_LD_ERROR,
		   "V10 an ordinary free with a raw lock held, and room");
	nst_lockdep_release(&raw);
	nst_lockdep_acquire(&spin, 0);
	p = nst_alloc(64, NST_NORMAL);
	one_report(NST_NL_WAIT, NST_LD_ERROR, "V10 NORMAL with a spinlock held");
	nst_free_nolock(p);
	nst_free_nolock(nst_alloc(64, NST_NOWAIT));
	nst_free(nst_alloc_nolock(64));
	no_report("V10 NOWAIT and an ordinary free with a spinlock held: nothing");
	nst_lockdep_release(&spin);
	nst_lockdep_acquire(&mutex, 0);
	nst_free(nst_alloc(64, NST_NORMAL));
	nst_lockdep_release(&mutex);
	no_report("V10 NORMAL with a mutex held: nothing");
	p = nst_alloc(64, NST_NORMAL);
	nst_handler_enter(10);
	nst_free(p);
	nst_handler_exit();
	one_report(NST_NL_HANDLER, NST_LD_ERROR, "V10 an ordinary free in a handler");
}

int main(int argc, char **argv)
{
	struct nst_lockdep_stats s;

	seed = seed_of(argc, argv);
	check_deadline(50, "V9 it comes to an end");
	nst_lockdep_on_report(keep, NULL);
	nst_lockdep_read(&s, sizeof(s));
	check(s.classes > 0, "V9 the option check puts it on", "it is off");
	own_locks();
	first_use();
	requests();
	return check_status();
}
