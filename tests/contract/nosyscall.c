/* SPDX-License-Identifier: MIT */
/*
 * nosyscall.c - C1: a no-lock request makes no system call, and what it gets is good.
 *
 * A child process; in it one thread that the kernel kills at its first system call:
 *
 *	ordinary threads	allocate, free, stock; dawdle inside every lock so that others queue on it
 *	refiller		stocks whenever the trapped thread asks for it, which spins until it is done
 *	mover			moves the trapped thread from CPU to CPU
 *	trapped thread		stocked: TEST_OPS mixed operations, every byte written and checked; it asks
 *				after PACE operations, or MISSES requests that got NULL
 *				drained: nobody refills, all is taken until NULL, and then is NULL always
 *				gives all back, then spins until the process is killed
 *
 * It reports by memory. With "storm" signals interrupt it, and rt_sigreturn alone is allowed.
 * By hand: tests print "not ok" or the child dies of SIGSYS; `strace -f` shows which call it was.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "common/mix.h"
#include "common/owner.h"
#include "common/trap.h"
#ifdef NST_TEST
#include "base/testhook.h"
#endif

#define REPORT_FD 200
#define NR_ORDINARY 3
#define STOCK 128
#define DEEP 800   /* objects at once */
#define PACE 50000 /* operations from one round of stocking to the next, at most */
#define MISSES 50  /* NULLs after which the next round comes at once */
#define AGAIN 1000 /* times that a request must be NULL once drained */

enum phase { PHASE_STOCKED, PHASE_STOCKED_DONE, PHASE_DRAIN, PHASE_DONE };

struct report {
	int done; /* the child's other threads have said all; the trapped one spins */
	int phase;
	int live;
	struct mix stocked, handler;
	uint64_t drain_got, drain_checks, drain_not_null, owner_errors;
	uint64_t queued[NST_NR_LOCKS], try_failed[NST_NR_LOCKS], reasons[NST_NR_NULLS];
	uint64_t alive, signals;
	unsigned int rounds;
};

static struct {
	struct report *report;
	struct mix_caches caches;
	pthread_t trapped;
	pid_t tid;
	int storm, stop;
	unsigned int wanted, refilled; /* rounds of stocking: asked for, done */
	uint64_t seed, ops;
} t;

static __thread int is_ordinary;
static __thread struct rng dawdle;

static void pause_loops(uint32_t loops)
{
	while (loops--)
		__asm__ volatile("" ::: "memory");
}

#ifdef NST_TEST
/* Ordinary threads stay in their critical sections long enough to be found there. */
static void held(int lock_class)
{
	/* Who is preempted there keeps it for milliseconds: enough of that happens in the zone's lock. */
	uint32_t one_in = lock_class == NST_LOCK_ZONE ? 512 : lock_class == NST_LOCK_BARN ? 1 : 8;

	if (is_ordinary && rng_below(&dawdle, one_in) == 0)
		pause_loops(4000);
}
#endif

/* More of one size than a CPU's lists hold: through the barn, to the slabs and back. */
static void deep(size_t size)
{
	static __thread void *object[DEEP];
	size_t n = nst_alloc_bulk(size, NST_NOWAIT, DEEP, object);

	nst_free_bulk(n, object);
}

/* While another has the pass nst_maintain() does nothing: each waits for his own. */
static void maintain(void)
{
	static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

	pthread_mutex_lock(&turn);
	nst_maintain();
	pthread_mutex_unlock(&turn);
}

static void *ordinary(void *arg)
{
	unsigned int id = (unsigned int)(uintptr_t)arg;
	struct mix *mix = malloc(sizeof(*mix));

	is_ordinary = 1;
	dawdle.state = t.seed + id;
	mix_init(mix, &t.caches, MIX_ORDINARY, t.seed * 31 + id, id);
	while (!__atomic_load_n(&t.stop, __ATOMIC_ACQUIRE)) {
		for (int i = 0; i < 200; i++)
			mix_step(mix);
		if (rng_below(&dawdle, 64) == 0)
			mix_caches_stock(&t.caches, STOCK);
		if (rng_below(&dawdle, 8) == 0)
			deep(rng_size(&dawdle, 8, 8192));
		if (rng_below(&dawdle, 4) == 0)
			maintain();
	}
	mix_empty(mix);
	mix_check(mix, "C1 ordinary threads beside the trapped one");
	free(mix);
	return NULL;
}

/* Stocks as often as the trapped thread's operations call for: what that gets does not depend on how the two
 * are scheduled. */
static void *refiller(void *arg)
{
	struct timespec ts = {0, 20000};

	while (!__atomic_load_n(&t.stop, __ATOMIC_ACQUIRE)) {
		unsigned int wanted = __atomic_load_n(&t.wanted, __ATOMIC_ACQUIRE);

		if (wanted == t.refilled) {
			nanosleep(&ts, NULL);
			continue;
		}
		maintain();
		mix_caches_stock(&t.caches, STOCK);
		__atomic_store_n(&t.refilled, wanted, __ATOMIC_RELEASE);
	}
	return arg;
}

static void *mover(void *arg)
{
	struct timespec ts = {0, 200000};
	unsigned int n = 0;

	(void)arg;
	while (!__atomic_load_n(&t.stop, __ATOMIC_ACQUIRE)) {
		int cpu = cpu_nth(n++);
		if (cpu < 0)
			n = 0;
		run_on_cpu(t.tid, cpu);
		if (t.storm)
			pthread_kill(t.trapped, SIGUSR1);
		nanosleep(&ts, NULL);
	}
	return NULL;
}

/* ---- the trapped thread ---- */

static void handler(int sig)
{
	(void)sig;
	/* Not after the stocked phase: what the drain may find must not change under it. */
	if (t.report->phase != PHASE_STOCKED)
		return;
	t.report->signals++;
	for (int i = 0; i < 4; i++)
		mix_step(&t.report->handler);
}

struct link {
	struct link *next;
};

/* Every way to ask, so that each is asked when nothing is left. */
#define NR_ASKS 14u
static void *ask(unsigned int way, size_t size)
{
	unsigned int order = size <= 4096 ? 0 : size <= 8192 ? 1 : size <= 16384 ? 2 : 3;

	switch (way) {
	case 0:
		return nst_alloc_nolock(size);
	case 1:
		return nst_alloc_fasttry(size);
	case 2:
		return nst_alloc(size, NST_NOLOCK);
	case 3:
		return nst_alloc(size, NST_NOLOCK | NST_ZERO);
	case 4:
		return nst_alloc(size, NST_FASTTRY);
	case 5:
		return nst_alloc(size, NST_NOLOCK | NST_THISNODE);
	case 6:
		return nst_alloc(size, NST_NOLOCK | NST_MOVABLE);
	case 7:
		return nst_alloc(size, NST_NOLOCK | NST_RECLAIMABLE);
	case 8:
		return nst_alloc_aligned(size, 64, NST_NOLOCK);
	case 9:
		return nst_cache_alloc_nolock(t.caches.small);
	case 10:
		return nst_cache_alloc(t.caches.middle, NST_NOLOCK);
	case 11:
		return nst_cache_alloc(t.caches.ctor, NST_FASTTRY);
	case 12:
		return nst_pages_alloc_nolock(order);
	default:
		return nst_pages_alloc(order, NST_NOLOCK | NST_MOVABLE);
	}
}

static struct link *take_all(struct report *r, size_t size, struct link *all)
{
	struct link *one;

	for (unsigned int way = 0; way < NR_ASKS; way++)
		while ((one = ask(way, size))) {
			one->next = all;
			all = one;
			r->drain_got++;
		}
	return all;
}

/* Takes all there is, large first. Returns what was taken, chained through its own memory. */
static struct link *drain(struct report *r)
{
	struct link *all = NULL, *before;

	do {
		before = all;
		for (size_t size = NST_NOLOCK_MAX; size > 8192; size -= 4096)
			all = take_all(r, size, all);
		for (size_t size = 8192; size; size -= 16)
			all = take_all(r, size, all);
	} while (all != before);
	return all;
}

static void ask_in_vain(struct report *r)
{
	struct rng rng = {t.seed};

	for (unsigned int i = 0; i < AGAIN; i++)
		for (unsigned int way = 0; way < NR_ASKS; way++) {
			r->drain_checks++;
			if (ask(way, rng_size(&rng, 8, (uint32_t)NST_NOLOCK_MAX)))
				r->drain_not_null++;
		}
}

/* A constructed object goes back as it was made: the chain lay in its first word. */
static void give_back(struct link *all)
{
	while (all) {
		struct link *one = all;
		uint64_t word = MIX_CTOR_WORD;

		all = all->next;
		memcpy(one, &word, sizeof(word));
		nst_free_nolock(one);
	}
}

static void await_refill(void)
{
	__atomic_store_n(&t.wanted, t.wanted + 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&t.refilled, __ATOMIC_ACQUIRE) != t.wanted)
		pause_loops(100);
}

static uint64_t missed(const struct mix *mix)
{
	return mix_tries(mix) - mix_got(mix);
}

static void *trapped(void *arg)
{
	struct report *r = t.report;
	uint64_t asked_at = 0, missed_then = 0;

	(void)arg;
	t.tid = gettid();
	__atomic_store_n(&r->live, 1, __ATOMIC_RELEASE);
	trap_syscalls(t.storm ? TRAP_ALLOW_SIGRETURN : TRAP_ALLOW_NONE);
	for (uint64_t i = 0; i < t.ops; i++) {
		if (i == 0 || i - asked_at >= PACE || missed(&r->stocked) - missed_then >= MISSES) {
			await_refill();
			asked_at = i;
			missed_then = missed(&r->stocked);
		}
		mix_step(&r->stocked);
	}
	r->rounds = t.wanted;
	__atomic_store_n(&r->phase, PHASE_STOCKED_DONE, __ATOMIC_RELEASE);
	while (__atomic_load_n(&r->phase, __ATOMIC_ACQUIRE) != PHASE_DRAIN)
		pause_loops(100);
	struct link *all = drain(r);
	ask_in_vain(r);
	give_back(all);
	mix_empty(&r->handler);
	mix_empty(&r->stocked);
	__atomic_store_n(&r->phase, PHASE_DONE, __ATOMIC_RELEASE);
	for (;;)
		pause_loops(1000);
	return NULL;
}

/* ---- the child ---- */

static void await(int phase)
{
	struct timespec ts = {0, 1000000};

	while (__atomic_load_n(&t.report->phase, __ATOMIC_ACQUIRE) != phase)
		nanosleep(&ts, NULL);
}

static void count_locks_and_nulls(struct report *r)
{
	static struct nst_stats stats;

	if (nst_stats_read(&stats, sizeof(stats)))
		check_broken("nst_stats_read");
	for (int i = 0; i < NST_NR_LOCKS; i++) {
		r->queued[i] = stats.locks[i].waited;
		r->try_failed[i] = stats.locks[i].try_failed;
	}
	memcpy(r->reasons, stats.null_reasons, sizeof(r->reasons));
}

static void child(const char *variant)
{
	struct report *r = t.report;
	pthread_t other[NR_ORDINARY], moving, refilling;
	struct sigaction sa = {.sa_handler = handler, .sa_flags = SA_RESTART};

	t.storm = !strcmp(variant, "storm");
	sigaction(SIGUSR1, &sa, NULL);
	cpu_nth(0);
	owner_start();
	mix_caches_make(&t.caches, NST_CACHE_NOLOCK);
	if (mix_caches_stock(&t.caches, STOCK))
		check_broken("nst_stock");
	mix_init(&r->stocked, &t.caches, MIX_NOLOCK, t.seed, 250);
	mix_init(&r->handler, &t.caches, MIX_NOLOCK, t.seed + 1, 251);
	r->handler.slots = 16;
#ifdef NST_TEST
	nst_test_held = held;
#endif
	for (uintptr_t i = 0; i < NR_ORDINARY; i++)
		pthread_create(&other[i], NULL, ordinary, (void *)(i + 1));
	pthread_create(&refilling, NULL, refiller, NULL);
	pthread_create(&t.trapped, NULL, trapped, NULL);
	while (!__atomic_load_n(&r->live, __ATOMIC_ACQUIRE))
		sched_yield();
	pthread_create(&moving, NULL, mover, NULL);
	await(PHASE_STOCKED_DONE);
	__atomic_store_n(&t.stop, 1, __ATOMIC_RELEASE);
	for (int i = 0; i < NR_ORDINARY; i++)
		pthread_join(other[i], NULL);
	pthread_join(moving, NULL);
	pthread_join(refilling, NULL);
	count_locks_and_nulls(r);
	/* What lies in another CPU's lists is not this CPU's to find: stay on one. */
	run_on_cpu(t.tid, cpu_nth(0));
	usleep(1000);
	__atomic_store_n(&r->phase, PHASE_DRAIN, __ATOMIC_RELEASE);
	await(PHASE_DONE);
	r->owner_errors = owner_errors();
	owner_report();
	r->alive = mix_caches_destroy(&t.caches);
	check(owner_live() == 0, "C1 all given back", "%llu objects still owned",
	      (unsigned long long)owner_live());
	__atomic_store_n(&r->done, 1 + check_status(), __ATOMIC_RELEASE);
	for (;;)
		pause();
}

/* ---- the parent's verdict ---- */

#ifdef NST_TEST
/* A short run may see no queue. */
static void check_queues(const struct report *r)
{
	static const int tried[] = {NST_LOCK_ZONE, NST_LOCK_BARN, NST_LOCK_SLAB};
	static const char *const names[] = {"zone", "barn", "slab"};

	for (int i = 0; i < 3 && t.ops >= 3000000; i++) {
		check(r->queued[tried[i]] > 0, "C1 threads queued on a lock it tries",
		      "nobody ever waited for the lock of class %s", names[i]);
		check(r->try_failed[tried[i]] > 0, "C1 a try found the lock held",
		      "no try of class %s ever failed", names[i]);
	}
}
#else
static void check_queues(const struct report *r)
{
	(void)r;
}
#endif

/* Of all threads: the ordinary ones get NULL too, in modes that do not wait. */
static void print_nulls(const struct report *r)
{
#define REASON(name, ...) #name,
	static const char *const names[] = {NST_NULL_TABLE(REASON)};
#undef REASON

	for (int i = 0; i < NST_NR_NULLS; i++)
		if (r->reasons[i])
			printf("# NULL %s=%llu\n", names[i], (unsigned long long)r->reasons[i]);
}

static void verdict(const struct report *r)
{
	uint64_t tries = mix_tries(&r->stocked), got = mix_got(&r->stocked);
	/* At the start every list learns how much is asked of it: of a short run that is much. */
	unsigned int percent = t.ops >= 3000000 ? 99 : 90;

	mix_print(&r->stocked);
	print_nulls(r);
	printf("# stocked %u times\n", r->rounds);
	check(r->stocked.steps == t.ops, "C1 all operations made", "%llu of %llu",
	      (unsigned long long)r->stocked.steps, (unsigned long long)t.ops);
	check(got * 100 >= tries * percent, "C1 stocked: they succeed", "%llu of %llu requests",
	      (unsigned long long)got, (unsigned long long)tries);
	mix_check(&r->stocked, "C1 every byte as written, errno untouched");
	mix_check(&r->handler, "C1 every byte as written, in the handler");
	check(r->owner_errors == 0, "C1 nothing handed out twice", "%llu granules",
	      (unsigned long long)r->owner_errors);
	check(r->drain_got > 0, "C1 drained: there was something to take", "nothing");
	check(r->drain_not_null == 0, "C1 drained: NULL always", "%llu of %llu requests got memory",
	      (unsigned long long)r->drain_not_null, (unsigned long long)r->drain_checks);
	check(r->alive == 0, "C1 nothing lost", "%llu objects alive after all were freed",
	      (unsigned long long)r->alive);
	check_queues(r);
}

static long ops_here(int storm)
{
	const char *conf = getenv("NOSTALL_CONF");
	/* Under a storm each takes several times as long; with the shared library it is the same code, without hooks. */
	long plain = storm ? 1500000 : 10000000;

#ifndef NST_TEST
	plain = 1000000;
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	plain = 300000;
#endif
	/* Checking every free costs: the same thing, shorter. */
	if (conf && strstr(conf, "debug:"))
		plain = plain > 500000 ? 500000 : plain;
	return env_long("TEST_OPS", plain);
}

TEST_CONF("worker:off,max:192M" CONF_UNCHECKED)

int main(int argc, char **argv)
{
	const char *variant = argc > 2 ? argv[2] : "plain";
	int status, rc;

	conf_apply(argv);
	if (argc > 1 && !strcmp(argv[1], "--child")) {
		t.report = shared_memory_of(sizeof(*t.report), REPORT_FD);
		t.ops = (uint64_t)ops_here(!strcmp(variant, "storm"));
		t.seed = strtoull(getenv("NST_SEED"), NULL, 0);
		child(variant);
	}
	char text[32];
	variant = argc > 1 && !strcmp(argv[1], "storm") ? "storm" : "plain";
	t.ops = (uint64_t)ops_here(variant[0] == 's');
	t.seed = seed_of(variant[0] == 's' ? argc - 1 : argc, variant[0] == 's' ? argv + 1 : argv);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)t.seed);
	setenv("NST_SEED", text, 1);
	t.report = shared_memory(sizeof(*t.report), REPORT_FD);
	pid_t pid = child_exec("--child", variant);
	rc = child_wait_done(pid, (unsigned int)env_long("TEST_SECONDS", 240), &t.report->done,
			     &status);
	if (rc == 1) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
	}
	if (rc == 0 && WIFEXITED(status) && WEXITSTATUS(status) == CHECK_SKIP)
		return CHECK_SKIP;
	check(rc != 0 || !WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS,
	      "C1 no system call from a no-lock request",
	      "the kernel killed the child after %llu operations",
	      (unsigned long long)t.report->stocked.steps);
	check(rc == 1, "C1 the child came to its end", "%s after %llu operations, phase %d",
	      rc < 0 ? "stuck" : child_status(status), (unsigned long long)t.report->stocked.steps,
	      t.report->phase);
	check(t.report->done == 1, "C1 the child's own checks", "failed, see above");
	if (rc == 1)
		verdict(t.report);
	return check_status();
}
