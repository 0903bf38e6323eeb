/* SPDX-License-Identifier: MIT */
/*
 * mm_fork.c - what waits for a grace period at a fork is freed once on each side, and retiring goes on in the child.
 *
 * By fork() and by _Fork(), with objects in every place, a round on, functions that are ripe, running, or noted by a
 * pass that another thread was in the midst of. What that pass had in its hands the child may lose, and nothing else.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
#include "retire.h"

#define NR_HEADS 4u
#define NR_TAKEN 24 /* pages and cuts that a pass comes by here */
#define RUN_BYTES ((size_t)40000)

static struct nst_cache *cache;
static struct nst_rcu_head head[NR_HEADS];
static unsigned int called[NR_HEADS], foreign;
static pid_t (*raw_fork)(void);

static void fn_head(struct nst_rcu_head *h)
{
	called[h - head]++;
}

static void fn_ptr(void *ptr)
{
	(void)ptr;
	foreign++;
}

static void retire_all_ways(void)
{
	memset(called, 0, sizeof(called));
	foreign = 0;
	ring_for(cache, &cache->dead);
	for (unsigned int i = 0; i < 2u * cache->batch + 5; i++)
		nst_free_rcu(object_of(cache));
	nst_free_rcu(nst_alloc(RUN_BYTES, NST_NORMAL));
	if (nst_dead_set(object_of(cache)) == 0)
		nst_add_relaxed(&nst_retired.bytes, cache->slot);
	for (unsigned int i = 0; i < NR_HEADS; i++)
		nst_call_rcu(&head[i], fn_head, 10);
	nst_free_rcu_mightsleep(&foreign, fn_ptr);
}

static unsigned int calls_not_one(void)
{
	unsigned int n = foreign != 1;

	for (unsigned int i = 0; i < NR_HEADS; i++)
		n += called[i] != 1;
	return n;
}

/* Here, all is over after a barrier. @lost objects may be lost, and be in use for ever. */
static void all_is_over(const char *name, u64 lost)
{
	u64 left = (nst_rcu_barrier(), in_use(cache));

	check_quiet(left <= lost && calls_not_one() == 0 &&
			    ways_now().waiting_bytes <= lost * cache->slot,
		    name, "%llu in use, %u functions not called once, %llu bytes wait",
		    (unsigned long long)left, calls_not_one(),
		    (unsigned long long)ways_now().waiting_bytes);
	retire_all_ways();
	nst_rcu_barrier();
	check_quiet(in_use(cache) == left && calls_not_one() == 0, name,
		    "of what is retired now %lld in use, %u functions not called once",
		    (long long)(in_use(cache) - left), calls_not_one());
	check_quiet(nst_cache_destroy(cache) == left, name, "not destroyed");
	check_quiet(nst_retired.call_pages == 0, name, "%lld pages of functions wait",
		    (long long)nst_retired.call_pages);
}

static void reap(pid_t pid, const char *name)
{
	int status = -1, rc = child_wait(pid, 40, &status);

	check(rc == 0 && status == 0, name, "the child: %s", rc ? "hung" : child_status(status));
}

static void both_sides(const char *name, pid_t (*fork_by)(void), nst_rcu_token_t token, u64 lost)
{
	pid_t pid;

	fflush(stdout);
	pid = fork_by();
	if (pid < 0)
		check_broken("fork");
	if (token)
		nst_rcu_read_end(token);
	if (pid == 0) {
		all_is_over(name, lost);
		fflush(stdout);
		_exit(check_status());
	}
	reap(pid, name);
}

/* @prepare returns a section to end on each side, or 0. */
static void round_of(const char *name, pid_t (*fork_by)(void), nst_rcu_token_t (*prepare)(void))
{
	cache = cache_of("forked", 96);
	both_sides(name, fork_by, prepare(), 0);
	all_is_over(name, 0);
}

static nst_rcu_token_t just_retired(void)
{
	retire_all_ways();
	return 0;
}

static nst_rcu_token_t round_is_on(void)
{
	nst_rcu_token_t t = nst_rcu_read_begin();

	retire_all_ways();
	passes();
	for (unsigned int i = 0; i < cache->batch; i++)
		nst_free_rcu(object_of(cache));
	passes();
	return t;
}

/* The round is to wait for the period after one that is under way. */
static nst_rcu_token_t behind_a_period(void)
{
	nst_rcu_token_t t = nst_rcu_read_begin();

	nst_gp_start();
	nst_gp_step(nst_rcu_own);
	if (nst_rcu_own->started == nst_rcu_own->done)
		check_broken("a period under way");
	retire_all_ways();
	pass();
	return t;
}

static nst_rcu_token_t functions_are_ripe(void)
{
	retire_all_ways();
	nst_retired_settle();
	if (called[0] || foreign)
		check_broken("functions that wait");
	return 0;
}

/* ---- another thread has the pass, or calls a function ---- */

static sem_t entered, let_go;
static int stop_in = -1, passed_by;

static void held(int lock_class)
{
	if (lock_class != __atomic_load_n(&stop_in, __ATOMIC_ACQUIRE) || !nst_worker_passes())
		return;
	if (passed_by && passed_by--)
		return;
	__atomic_store_n(&stop_in, -1, __ATOMIC_RELEASE);
	sem_post(&entered);
	sem_wait(&let_go);
}

static void *pass_elsewhere(void *arg)
{
	(void)arg;
	passes();
	return NULL;
}

/* Stopped inside, the @nth time: with what a round took in its hands, or while it takes. */
static void midst_of_pass(const char *name, pid_t (*fork_by)(void), int lock_class, int nth)
{
	pthread_t thread;

	cache = cache_of("forked", 96);
	retire_all_ways();
	passed_by = nth;
	__atomic_store_n(&stop_in, lock_class, __ATOMIC_RELEASE);
	if (pthread_create(&thread, NULL, pass_elsewhere, NULL))
		check_broken("a thread");
	sem_wait(&entered);
	both_sides(name, fork_by, 0, cache->batch);
	sem_post(&let_go);
	pthread_join(thread, NULL);
	all_is_over(name, 0);
}

static void fn_stops(struct nst_rcu_head *h)
{
	called[h - head]++;
	sem_post(&entered);
	sem_wait(&let_go);
}

/* On the thread that calls: it is in the parent alone. What is queued behind it the child calls. */
static void midst_of_function(const char *name, pid_t (*fork_by)(void))
{
	pid_t pid;

	cache = cache_of("forked", 96);
	memset(called, 0, sizeof(called));
	nst_call_rcu(&head[0], fn_stops, 0);
	sem_wait(&entered);
	nst_call_rcu(&head[1], fn_head, 0);
	nst_retired_settle();
	fflush(stdout);
	pid = fork_by();
	if (pid == 0) {
		nst_rcu_barrier();
		check_quiet(called[0] == 1 && called[1] == 1, name, "%u, %u calls", called[0],
			    called[1]);
		foreign = called[2] = called[3] = 1;
		all_is_over(name, 0);
		fflush(stdout);
		_exit(check_status());
	}
	reap(pid, name);
	sem_post(&let_go);
	nst_rcu_barrier();
	check_quiet(called[0] == 1 && called[1] == 1, name, "%u, %u calls in the parent", called[0],
		    called[1]);
	nst_cache_destroy(cache);
}

/* ---- who has retired nothing ---- */

static void *holds_the_pass(void *arg)
{
	nst_maintain_pause();
	sem_post(&entered);
	sem_wait(&let_go);
	nst_maintain_resume();
	return arg;
}

/* No period begins in the child, which would be the sign of somebody who may not wait: mm/lean.c. */
static int is_as_its_parent(void)
{
	nst_fork_check();
	return nst_is_lean() && !nst_worker_passes() && !nst_gp_is_wanted(nst_rcu_own);
}

static void nothing_retired(const char *name, pid_t (*fork_by)(void))
{
	pthread_t thread;
	pid_t pid;

	if (nst_retired.ready || pthread_create(&thread, NULL, holds_the_pass, NULL))
		check_broken("a pass elsewhere");
	sem_wait(&entered);
	nst_hint_set(&nst_lean, 1u);
	fflush(stdout);
	pid = fork_by();
	if (pid == 0)
		_exit(is_as_its_parent() ? 0 : 1);
	nst_hint_set(&nst_lean, 0u);
	sem_post(&let_go);
	pthread_join(thread, NULL);
	reap(pid, name);
}

static void each_state(pid_t (*fork_by)(void), int worker)
{
	if (worker) {
		midst_of_function("a function runs", fork_by);
		return;
	}
	round_of("objects wait in every place", fork_by, just_retired);
	round_of("a round is on", fork_by, round_is_on);
	round_of("a period is on", fork_by, behind_a_period);
	round_of("functions are ripe", fork_by, functions_are_ripe);
	/* Under a tool, and where each object is freed alone, some of them. */
	for (int i = 0; i < NR_TAKEN; i += nst_mm.instrument ? 6 : 1)
		midst_of_pass("a page is taken", fork_by, NST_LOCK_RETIRED, i);
	if (!nst_mm.instrument) /* else each object is freed alone, and no pass comes to a barn */
		midst_of_pass("a sheaf goes to the barn", fork_by, NST_LOCK_BARN, 0);
}

const char *test_conf(int argc, char **argv)
{
	(void)argv;
	return argc > 1 ? "worker:on,nodes:1,warn:off" : "worker:off,nodes:1,warn:off";
}

int main(int argc, char **argv)
{
	conf_apply(argv);
	check_deadline(60, "in time");
	sem_init(&entered, 0, 0);
	sem_init(&let_go, 0, 0);
	nst_test_held = held;
	run_on_cpu(0, cpu_nth(0));
	*(void **)&raw_fork = dlsym(RTLD_DEFAULT, "_Fork");
	nothing_retired("who has retired nothing: a pass is lost", fork);
	if (raw_fork)
		nothing_retired("the same by _Fork", raw_fork);
	if (nst_rcu_use())
		check_broken("nst_rcu_use");
	each_state(fork, argc > 1);
	if (raw_fork)
		each_state(raw_fork, argc > 1);
	return check_status();
}
