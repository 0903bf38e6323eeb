// SPDX-License-Identifier: MIT
/*
 * torture_rcu_life.c - threads that read and update, handlers that interrupt both, children of fork().
 *
 * At the end all is retired, waited for, and counted: a function was called for each thing that was to
 * have one, nothing waits, and every object of every cache is back.
 */
#define _GNU_SOURCE
#include "torture_rcu.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STORM_SIGNAL SIGRTMIN
#define MAX_THREADS 256u
#define ERRNO_MARK 7653 /* no call of ours returns it */
#define CHILD_SECONDS 30u

struct rcu_torture rcu_torture = {.threads = 4, .seconds = 60, .rate_hz = 5000};

static struct rcu_thread *threads[MAX_THREADS], watcher, ender;
static __thread struct rcu_thread *me __attribute__((tls_model("initial-exec")));

static void on_storm(int signo)
{
	int saved_errno = errno;
	struct rcu_thread *t = me;

	(void)signo;
	if (!t || !atomic_load_explicit(&t->handling, memory_order_relaxed))
		return;
	errno = ERRNO_MARK;
	rcu_read_some(&t->handler_seed, &t->h, 1);
	t->h.handler_sections++;
	if (rcu_draw(&t->handler_seed) % 2)
		rcu_update_in_handler(t);
	t->h.wrong_errno += errno != ERRNO_MARK;
	errno = saved_errno;
}

/* ---- threads ---- */

static void migrate(struct rcu_thread *t)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(rcu_draw(&t->seed) % (uint32_t)sysconf(_SC_NPROCESSORS_CONF), &one);
	t->n.migrations += sched_setaffinity(0, sizeof(one), &one) == 0;
}

/* What is seldom. */
static void disturb(struct rcu_thread *t)
{
	uint32_t r = rcu_draw(&t->seed) % 8192;

	if (r < 4)
		migrate(t);
	else if (r < 6)
		rcu_cache_life(t);
	else if (r < 8)
		nst_rcu_barrier();
	else if (r < 12)
		nst_synchronize_rcu();
	else if (r < 24)
		nst_maintain();
	else if (r < 40) {
		rcu_retire_own(t, rcu_draw(&t->seed) % 6, 200 + rcu_draw(&t->seed) % 2000);
		t->n.floods++;
	}
}

static void operate(struct rcu_thread *t)
{
	rcu_read_some(&t->seed, &t->n, 0);
	rcu_read_end_others(&t->seed, &t->n);
	rcu_update(t);
	if (rcu_draw(&t->seed) % 16 == 0)
		rcu_age(t, 0);
	disturb(t);
}

static int storm_start(timer_t *timer)
{
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = STORM_SIGNAL};
	struct timespec period = {0, 1000000000 / rcu_torture.rate_hz};
	struct itimerspec every = {period, period};

	event._sigev_un._tid = gettid();
	return timer_create(CLOCK_MONOTONIC, &event, timer) == 0 &&
	       timer_settime(*timer, 0, &every, NULL) == 0;
}

static void *work(void *arg)
{
	struct rcu_thread *t = arg;
	timer_t timer;

	me = t;
	atomic_store_explicit(&t->handling, 1, memory_order_relaxed);
	if (!storm_start(&timer))
		atomic_store_explicit(&rcu_torture.failed, 1, memory_order_relaxed);
	while (!atomic_load_explicit(&rcu_torture.stop, memory_order_relaxed)) {
		operate(t);
		atomic_fetch_add_explicit(&t->progress, 1, memory_order_relaxed);
	}
	timer_delete(timer);
	atomic_store_explicit(&t->handling, 0, memory_order_relaxed);
	return NULL;
}

/* The others may all be waiting for sections that lie between them. */
static void *end_sections(void *arg)
{
	struct rcu_thread *t = arg;

	while (atomic_load_explicit(&rcu_torture.stop, memory_order_relaxed) < 2) {
		rcu_read_end_others(&t->seed, &t->n);
		rcu_nap_us(200);
	}
	rcu_read_end_all(&t->n);
	return NULL;
}

uint64_t rcu_torture_progress(unsigned int thread)
{
	return atomic_load_explicit(&threads[thread]->progress, memory_order_relaxed);
}

/* Of the domain: what waits for our readers waits for them twice over. */
static void synchronize(void *ctx)
{
	(void)ctx;
	nst_synchronize_rcu();
}

int rcu_torture_start(void)
{
	static const struct nst_rcu_domain_ops ops = {.synchronize = synchronize};
	struct sigaction action = {.sa_handler = on_storm, .sa_flags = SA_RESTART};
	uint64_t seed = (uint64_t)rcu_torture.seed * 1000;

	rcu_torture.cache = nst_cache_create("torture rcu", 96, 0, NST_CACHE_NOLOCK, NULL);
	if (!rcu_torture.cache || nst_rcu_domain_create("torture", &ops, &rcu_torture.domain) ||
	    sigaction(STORM_SIGNAL, &action, NULL))
		return 0;
	watcher.seed = ~seed;
	ender.seed = seed ^ 0x656e64;
	if (pthread_create(&ender.thread, NULL, end_sections, &ender))
		return 0;
	for (long long i = 0; i < rcu_torture.threads; i++) {
		struct rcu_thread *t = calloc(1, sizeof(*t));

		if (!t)
			return 0;
		threads[i] = t;
		t->seed = seed + (uint64_t)i;
		t->handler_seed = ~t->seed;
		if (pthread_create(&t->thread, NULL, work, t))
			return 0;
	}
	return 1;
}

/* ---- children ---- */

static uint64_t wrong(const struct rcu_torture_counts *n)
{
	return n->seen_freed + n->seen_old + n->handed_out_twice + n->wrong_errno + n->lost;
}

/* Nothing of the parent's is looked at: its threads were in the middle of things. */
static int child(void)
{
	struct rcu_thread *t = &watcher;
	uint64_t before = wrong(&t->n), functions, called;

	for (unsigned int form = 0; form < RCU_FORMS; form++)
		rcu_retire_own(t, form, form < 6 ? 400 : 2);
	rcu_bulk_end(t);
	nst_synchronize_rcu();
	for (int i = 0; i < 200; i++)
		rcu_read_some(&t->seed, &t->n, 1);
	nst_rcu_barrier();
	called = atomic_load(&rcu_torture.called);
	functions = t->n.functions;
	/* What the parent had retired has been called too: from here on it is exact. */
	rcu_retire_own(t, 2, 10);
	rcu_retire_own(t, 4, 10);
	rcu_retire_own(t, 5, 10);
	nst_rcu_barrier();
	if (atomic_load(&rcu_torture.called) - called != t->n.functions - functions)
		return 2;
	rcu_cache_life(t);
	return wrong(&t->n) != before;
}

int rcu_torture_fork(void)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		alarm(CHILD_SECONDS); /* a child that waits for what nobody ends, ends here */
		atomic_store(&rcu_torture.called, 0);
		_exit(child());
	}
	if (pid < 0)
		return 1;
	rcu_torture.forks++;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 1;
	printf("fork_failed: status=%#x\n", (unsigned int)status);
	rcu_torture.fork_failed++;
	return 0;
}

/* ---- the end ---- */

static void add(struct rcu_torture_counts *sum, const struct rcu_torture_counts *n)
{
#define X(name) sum->name += n->name;
	RCU_TORTURE_COUNTS(X)
#undef X
}

static uint64_t missing_objects(int say)
{
	static struct nst_cache_stats caches[192];
	size_t nr = nst_stats_caches(caches, 192, sizeof(caches[0]));
	uint64_t missing = 0;

	for (size_t i = 0; i < nr && i < 192; i++) {
		const struct nst_cache_stats *c = &caches[i];
		uint64_t there = c->in_slabs + c->in_cpus + c->in_barn;

		if (say && c->objects != there)
			printf("missing: cache=%s objects=%" PRIu64 " there=%" PRIu64 "\n", c->name,
			       c->objects, there);
		missing += c->objects - there;
	}
	return missing;
}

/* What a pass of the worker has in its hands just now is in no list. */
static uint64_t still_missing(void)
{
	for (int i = 0; i < 50 && missing_objects(0); i++)
		rcu_nap_us(10000);
	return missing_objects(1);
}

static void count_lost(struct rcu_torture_counts *sum)
{
	uint64_t called = atomic_load(&rcu_torture.called), mappings;
	struct nst_stats stats;

	for (int i = 0; i < 20; i++)
		nst_maintain();
	if (nst_stats_read(&stats, sizeof(stats)))
		return;
	mappings = stats.large_mappings;
	printf("called=%" PRIu64 " waiting_bytes=%" PRIu64 " head_bytes=%" PRIu64
	       " mappings=%" PRIu64 "\n",
	       called, stats.retired.waiting_bytes, stats.retired.head_bytes, mappings);
	sum->lost += called != sum->functions;
	sum->lost +=
		(stats.retired.waiting_bytes != 0) + (stats.retired.head_bytes != 0) + mappings;
	sum->lost += nst_rcu_domain_destroy(rcu_torture.domain) != 0;
	sum->lost += nst_cache_destroy(rcu_torture.cache);
	sum->lost += still_missing();
}

void rcu_torture_end(struct rcu_torture_counts *sum)
{
	atomic_store_explicit(&rcu_torture.stop, 1, memory_order_relaxed);
	for (long long i = 0; i < rcu_torture.threads && threads[i]; i++)
		pthread_join(threads[i]->thread, NULL);
	atomic_store_explicit(&rcu_torture.stop, 2, memory_order_relaxed);
	pthread_join(ender.thread, NULL);
	rcu_table_empty(&watcher);
	for (long long i = 0; i < rcu_torture.threads && threads[i]; i++) {
		rcu_age(threads[i], 1);
		rcu_bulk_end(threads[i]);
		add(sum, &threads[i]->n);
		add(sum, &threads[i]->h);
		free(threads[i]);
	}
	rcu_bulk_end(&watcher);
	add(sum, &watcher.n);
	add(sum, &ender.n);
	nst_rcu_barrier();
	count_lost(sum);
}

uint64_t rcu_torture_print(const struct rcu_torture_counts *sum)
{
	uint64_t twice = atomic_load(&rcu_torture.freed_twice);

#define X(name) printf(#name "=%" PRIu64 "\n", sum->name);
	RCU_TORTURE_COUNTS(X)
#undef X
	printf("freed_twice=%" PRIu64 "\nforks=%" PRIu64 "\nfork_failed=%" PRIu64 "\n", twice,
	       rcu_torture.forks, rcu_torture.fork_failed);
	if (atomic_load_explicit(&rcu_torture.failed, memory_order_relaxed))
		printf("note.storm=a thread could not be given its timer\n");
	return wrong(sum) + twice + rcu_torture.fork_failed +
	       (uint64_t)atomic_load(&rcu_torture.failed);
}
