/* SPDX-License-Identifier: MIT */
/*
 * signal.c - C4: legal in a signal handler, at any instruction of an allocation or a free.
 *
 *	threads			ordinary and no-lock requests on the same caches
 *	a timer each		CLOCK_MONOTONIC, 20 us, aimed at the thread: its handler allocates and frees
 *	delays			at every point of every sequence, so that signals land inside
 *
 * An owner map sees an object handed out twice; at the end the caches are destroyed and nothing may
 * be alive. TEST_SECONDS seconds, 2 unless told; the long run is in torture.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/testhook.h"
#include "common/mix.h"
#include "common/owner.h"
#include "common/trap.h"

#define NR_THREADS 4
#define STORM_SIGNAL SIGRTMIN
#define PERIOD_NS 20000
#define SIGNALS 1000

struct hits {
	uint64_t signals, region, stripe, restarts;
};

struct storm {
	pthread_t thread;
	struct mix own, nolock, handler;
	uint64_t signals, in_region, in_stripe;
	int failed;
};

static struct {
	struct mix_caches caches;
	struct storm storms[NR_THREADS];
	uint64_t seed;
	int stop;
} t;

static __thread struct storm *me;

/* Others look. */
static void count(uint64_t *what, uint64_t n)
{
	__atomic_store_n(what, *what + n, __ATOMIC_RELAXED);
}

static void handler(int sig)
{
	unsigned int holding = 0;

	(void)sig;
	if (!me)
		return;
	count(&me->signals, 1);
	for (int i = 0; i < NST_NR_LOCKS; i++)
		holding += nst_test_holding[i];
	count(&me->in_region, holding != 0);
	count(&me->in_stripe, nst_test_in_stripe != 0);
	for (int i = 0; i < 4; i++)
		mix_step(&me->handler);
}

static timer_t start_timer(void)
{
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = STORM_SIGNAL};
	struct itimerspec every = {{0, PERIOD_NS}, {0, PERIOD_NS}};
	timer_t timer;

	event._sigev_un._tid = gettid();
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) || timer_settime(timer, 0, &every, NULL))
		check_broken("timer");
	return timer;
}

static void *run(void *arg)
{
	struct storm *self = arg;

	me = self;
	timer_t timer = start_timer();
	while (!__atomic_load_n(&t.stop, __ATOMIC_ACQUIRE)) {
		mix_step(&self->own);
		mix_step(&self->nolock);
	}
	timer_delete(timer);
	/* One may be on its way still: it must find nobody. */
	me = NULL;
	mix_empty(&self->own);
	mix_empty(&self->nolock);
	mix_empty(&self->handler);
	return NULL;
}

static void set_delays(uint32_t loops)
{
	for (int seq = 0; seq < NST_NR_STACK_SEQS; seq++)
		for (int point = 0; point < NST_SEQ_POINTS; point++)
			nst_test_delay[seq][point] = loops;
}

static void prepare(struct storm *storm, unsigned int i)
{
	mix_init(&storm->own, &t.caches, MIX_ORDINARY, t.seed + 3 * i, 3 * i + 1);
	mix_init(&storm->nolock, &t.caches, MIX_NOLOCK, t.seed + 3 * i + 1, 3 * i + 2);
	mix_init(&storm->handler, &t.caches, MIX_NOLOCK, t.seed + 3 * i + 2, 3 * i + 3);
	storm->handler.slots = 24;
	/* Small sizes: many requests, few bytes. */
	storm->own.size_max = storm->nolock.size_max = storm->handler.size_max = 1024;
}

/* Of threads that run: each counts for itself. */
static struct hits hits(void)
{
	struct hits h = {0};

	for (int i = 0; i < NR_THREADS; i++) {
		h.signals += __atomic_load_n(&t.storms[i].signals, __ATOMIC_RELAXED);
		h.region += __atomic_load_n(&t.storms[i].in_region, __ATOMIC_RELAXED);
		h.stripe += __atomic_load_n(&t.storms[i].in_stripe, __ATOMIC_RELAXED);
	}
	for (int seq = 0; seq < NST_NR_STACK_SEQS; seq++)
		h.restarts += __atomic_load_n(&nst_test_restarts[seq], __ATOMIC_RELAXED);
	return h;
}

/* TSan has handlers run where the program waits, or makes a call: seldom in a region, on a busy machine never. */
#if defined(__SANITIZE_THREAD__)
#define ANYWHERE 0
#else
#define ANYWHERE 1
#endif

static int are_enough(struct hits h)
{
	return h.signals > SIGNALS && (h.region || !ANYWHERE) && (h.stripe || h.restarts);
}

static void check_hits(void)
{
	struct hits h = hits();
	char form[32] = "";

	nst_info("sequences", form, sizeof(form));
	printf("# sequences=%s signals=%llu in_region=%llu in_stripe=%llu restarts=%llu\n", form,
	       (unsigned long long)h.signals, (unsigned long long)h.region,
	       (unsigned long long)h.stripe, (unsigned long long)h.restarts);
	check(h.signals > SIGNALS, "C4 signals came", "only %llu", (unsigned long long)h.signals);
	if (!strcmp(form, "none"))
		check(h.stripe > 0, "C4 a handler ran inside a stripe", "none did");
	else
		check(h.restarts > 0, "C4 a handler interrupted a sequence",
		      "no sequence restarted");
	check(h.region > 0 || !ANYWHERE, "C4 a handler ran inside a held region", "none did");
}

/* TEST_SECONDS; longer where they do not suffice for a handler to have been everywhere. */
static void wait_for_hits(void)
{
	uint64_t since = 0;

	for (long left = env_long("TEST_SECONDS", 2); left > 0; left--)
		sleep(1);
	while (!are_enough(hits()) && check_patience(&since))
		;
}

TEST_CONF("worker:on")

int main(int argc, char **argv)
{
	struct sigaction sa = {.sa_handler = handler, .sa_flags = SA_RESTART};

	conf_apply(argv);
	t.seed = seed_of(argc, argv);
	check_deadline(120, "C4 in time");
	owner_start();
	mix_caches_make(&t.caches, 0);
	mix_caches_stock(&t.caches, 32);
	sigaction(STORM_SIGNAL, &sa, NULL);
	set_delays(20);
	for (unsigned int i = 0; i < NR_THREADS; i++) {
		prepare(&t.storms[i], i);
		pthread_create(&t.storms[i].thread, NULL, run, &t.storms[i]);
	}
	wait_for_hits();
	__atomic_store_n(&t.stop, 1, __ATOMIC_RELEASE);
	for (int i = 0; i < NR_THREADS; i++)
		pthread_join(t.storms[i].thread, NULL);
	set_delays(0);
	for (int i = 0; i < NR_THREADS; i++) {
		mix_check(&t.storms[i].own, "C4 ordinary requests: every byte as written");
		mix_check(&t.storms[i].nolock, "C4 no-lock requests: every byte as written");
		mix_check(&t.storms[i].handler, "C4 in the handler: every byte as written");
		check(mix_got(&t.storms[i].handler) > 0, "C4 the handler was served", "never");
	}
	check_hits();
	owner_report();
	check(owner_errors() == 0 && owner_live() == 0, "C4 nothing handed out twice",
	      "%llu errors, %llu still owned", (unsigned long long)owner_errors(),
	      (unsigned long long)owner_live());
	size_t alive = mix_caches_destroy(&t.caches);
	check(alive == 0, "C4 nothing lost", "%zu objects alive", alive);
	return check_status();
}
