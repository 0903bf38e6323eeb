/* SPDX-License-Identifier: MIT */
/*
 * fork.c - C6: forks without end while others allocate, from threads and from inside the library.
 *
 *	threads		requests of every kind, a signal each 50 us
 *	by a thread	fork(): the child makes requests, starts a thread that does too (it may get the
 *			address of one that was lost), and forks again
 *	by a handler	_Fork() where the handler provably interrupted a sequence, a stripe or a held
 *			region: the child makes requests in the handler, finishes the request that was
 *			interrupted, and makes more
 *
 * A child that hangs is killed after 20 s and fails the test. What children abandoned is counted.
 * NST_SECONDS (3).
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <nostall/stats.h>
#include "base/testhook.h"
#include "common/owner.h"
#include "common/trap.h"
#include "place.h"
#include "rig.h"

#define NR_THREADS 3u
#define PERIOD_NS 50000
#define OWNER_CHILD 240u
#define OWNER_CHILD_THREAD 242u
#define CHILD_STEPS 200
#define LEAST 20u /* forks of each kind, however long they take */

struct user {
	pthread_t thread;
	struct mix own, nolock, handler;
	struct place_hits forked_at;
	uint64_t signals;
};

/* Written by children, read by their parent. */
struct report {
	uint64_t abandoned, children;
};

static struct {
	struct mix_caches caches;
	struct user users[NR_THREADS];
	struct mix child_mix, thread_mix;
	struct report *report;
	uint64_t seed, forks, handler_forks;
	int stop, child_lives;
	/* a fork in a handler is asked for: 1; answered: its pid */
	int wanted;
	pid_t forked;
	uint64_t errors_before;
	int in_child; /* of a handler's fork, once the handler has returned: 1 + place */
} t;

static __thread struct user *me;

/* ---- the child ---- */

static int requests(struct mix *mix, unsigned int owner, int steps)
{
	for (unsigned int who = 0; who < 2; who++) {
		mix_init(mix, &t.caches, who ? MIX_ORDINARY : MIX_NOLOCK,
			 t.seed + t.forks * 4 + who, owner + who);
		mix->size_max = 2048;
		mix->slots = 64;
		for (int i = 0; i < steps; i++)
			mix_step(mix);
		mix_empty(mix);
		if (mix_errors(mix))
			return 10 + (int)who;
	}
	return 0;
}

static void report_child(void)
{
	struct nst_stats stats;

	nst_stats_read(&stats, sizeof(stats));
	__atomic_fetch_add(&t.report->abandoned, stats.abandoned_after_fork, __ATOMIC_RELAXED);
	__atomic_fetch_add(&t.report->children, 1, __ATOMIC_RELAXED);
}

static void *child_thread(void *arg)
{
	(void)requests(&t.thread_mix, OWNER_CHILD_THREAD, CHILD_STEPS);
	return arg;
}

/* Exit status: which step went wrong. Prints nothing: stdio may be locked for ever. */
static int child_life(int generation)
{
	uint64_t before = owner_errors();
	pthread_t thread;
	int rc, status;

	rig_no_delay();
	rc = requests(&t.child_mix, OWNER_CHILD, CHILD_STEPS);
	if (rc)
		return rc;
	if (pthread_create(&thread, NULL, child_thread, NULL))
		return 50;
	rc = requests(&t.child_mix, OWNER_CHILD, CHILD_STEPS);
	pthread_join(thread, NULL);
	if (rc || mix_errors(&t.thread_mix))
		return rc ? rc : 51;
	nst_maintain();
	report_child();
	if (generation < 2) {
		pid_t pid = fork();
		if (pid == 0)
			_exit(child_life(generation + 1));
		if (child_wait(pid, 40, &status) || status)
			return 60;
	}
	return owner_errors() == before ? 0 : 30;
}

/* ---- threads and their handlers ---- */

static void fork_here(unsigned int place)
{
	int wanted = 1;

	if (!place || !__atomic_compare_exchange_n(&t.wanted, &wanted, 0, 0, __ATOMIC_ACQ_REL,
						   __ATOMIC_RELAXED))
		return;
	uint64_t before = owner_errors();
	pid_t pid = _Fork();
	if (pid) {
		me->forked_at.at[place]++;
		__atomic_store_n(&t.forked, pid, __ATOMIC_RELEASE);
		return;
	}
	rig_no_delay();
	t.errors_before = before;
	t.child_mix.rng.state = t.seed;
	/* In the handler: no-lock requests only; the interrupted one still holds what it holds. */
	mix_init(&t.child_mix, &t.caches, MIX_NOLOCK, t.seed + t.forks, OWNER_CHILD);
	t.child_mix.size_max = 2048;
	for (int i = 0; i < CHILD_STEPS; i++)
		mix_step(&t.child_mix);
	mix_empty(&t.child_mix);
	if (mix_errors(&t.child_mix) || owner_errors() != before)
		_exit(31);
	t.in_child = 1;
}

static void handler(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)info;
	if (!me || t.in_child)
		return;
	me->signals++;
	fork_here(place_of(context));
	if (!t.in_child)
		mix_step(&me->handler);
}

static void child_of_handler(void)
{
	int rc = requests(&t.child_mix, OWNER_CHILD, CHILD_STEPS);

	nst_maintain();
	report_child();
	_exit(rc ? rc : owner_errors() != t.errors_before ? 32 : 0);
}

static void *use(void *arg)
{
	struct user *u = arg;

	me = u;
	timer_t timer = rig_timer(PERIOD_NS);
	while (!__atomic_load_n(&t.stop, __ATOMIC_ACQUIRE)) {
		mix_step(&u->own);
		mix_step(&u->nolock);
		if (t.in_child)
			child_of_handler();
		if (__atomic_load_n(&t.child_lives, __ATOMIC_RELAXED)) /* leave it the CPUs */
			rig_nap_us(1000);
	}
	rig_timer_stop(timer);
	me = NULL;
	mix_empty(&u->own);
	mix_empty(&u->nolock);
	mix_empty(&u->handler);
	return NULL;
}

/* ---- the forker ---- */

static int reap(pid_t pid, const char *name)
{
	int status, rc;

	__atomic_store_n(&t.child_lives, 1, __ATOMIC_RELAXED);
	rc = child_wait(pid, 40, &status);
	__atomic_store_n(&t.child_lives, 0, __ATOMIC_RELAXED);
	check_quiet(rc == 0 && status == 0, name, "child %llu: %s",
		    (unsigned long long)(t.forks + t.handler_forks),
		    rc ? "hung, killed" : child_status(status));
	return rc == 0 && status == 0;
}

static int fork_by_thread(void)
{
	pid_t pid = fork();

	if (pid < 0)
		check_broken("fork");
	if (pid == 0)
		_exit(child_life(t.forks % 8 ? 2 : 1));
	t.forks++;
	return reap(pid, "fork by a thread");
}

static int fork_by_handler(void)
{
	t.forked = 0;
	__atomic_store_n(&t.wanted, 1, __ATOMIC_RELEASE);
	for (int i = 0; i < 20000 && !__atomic_load_n(&t.forked, __ATOMIC_ACQUIRE); i++)
		rig_nap_us(50);
	if (!t.forked)
		return 1; /* no handler hit anything: asked for at the end */
	t.handler_forks++;
	return reap(t.forked, "_Fork by a handler");
}

static int enough(void)
{
	return t.forks >= LEAST && t.handler_forks >= LEAST;
}

static void storm(double seconds)
{
	struct rng rng = {t.seed + 5};
	double begin = rig_now();
	unsigned int bad = 0;

	while (rig_goes_on(begin, seconds, enough) && bad < 3 && !owner_errors()) {
		rig_some_delay(&rng, 4000);
		bad += !fork_by_handler();
		bad += !fork_by_thread();
	}
	rig_no_delay();
	check(bad == 0, "children live", "%u did not", bad);
}

static void finish(void)
{
	struct place_hits sum = {{0}};

	__atomic_store_n(&t.stop, 1, __ATOMIC_RELEASE);
	for (unsigned int i = 0; i < NR_THREADS; i++) {
		struct user *u = &t.users[i];

		pthread_join(u->thread, NULL);
		mix_check(&u->own, "ordinary requests");
		mix_check(&u->nolock, "no-lock requests");
		mix_check(&u->handler, "requests of handlers");
		place_add(&sum, &u->forked_at);
	}
	uint64_t inside = place_print(&sum);
	printf("# sequences=%s forks=%llu forks_in_handlers=%llu forked_inside=%llu children=%llu "
	       "abandoned=%llu\n",
	       rig_form(), (unsigned long long)t.forks, (unsigned long long)t.handler_forks,
	       (unsigned long long)inside, (unsigned long long)t.report->children,
	       (unsigned long long)t.report->abandoned);
	check_seen(t.forks >= LEAST && inside >= LEAST, "forks from inside the library", "too few");
	rig_settle(&t.caches);
}

int main(int argc, char **argv)
{
	struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_RESTART | SA_SIGINFO};
	long seconds = env_long("NST_SECONDS", 3);

	t.seed = seed_of(argc, argv);
	check_deadline((unsigned int)seconds + 90, "the fork storm ends");
	t.report = mmap(NULL, sizeof(*t.report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	owner_start();
	place_start();
	mix_caches_make(&t.caches, 0);
	if (t.report == MAP_FAILED || mix_caches_stock(&t.caches, 16))
		check_broken("memory");
	sigaction(RIG_SIGNAL, &sa, NULL);
	for (unsigned int i = 0; i < NR_THREADS; i++) {
		struct user *u = &t.users[i];

		mix_init(&u->own, &t.caches, MIX_ORDINARY, t.seed + 3 * i, 3 * i + 1);
		mix_init(&u->nolock, &t.caches, MIX_NOLOCK, t.seed + 3 * i + 1, 3 * i + 2);
		mix_init(&u->handler, &t.caches, MIX_NOLOCK, t.seed + 3 * i + 2, 3 * i + 3);
		u->own.size_max = u->nolock.size_max = u->handler.size_max = 512;
		u->handler.slots = 24;
		if (pthread_create(&u->thread, NULL, use, u))
			check_broken("pthread_create");
	}
	storm((double)seconds);
	finish();
	return check_status();
}
