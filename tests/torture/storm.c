/* SPDX-License-Identifier: MIT */
/*
 * storm.c - C4: signals at 50 kHz into ordinary and no-lock requests on the same caches.
 *
 *	threads		ordinary requests, no-lock requests, bulk, pages, waves; objects change hands in crates
 *	handlers	a timer each, 20 us: no-lock requests on the same caches and crates
 *	director	a delay at one point of one sequence after the other, moves between CPUs, drains
 *
 * Each handler first asks where it hit (place.h). A run counts only when enough of them provably
 * interrupted a sequence, a stripe or a held region. NST_SECONDS (3), and on until there are enough
 * (rig_goes_on()); TEST_INSIDE: how many hits are wanted (10,000 a minute, in proportion; 0: not asked,
 * for libraries broken on purpose).
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/testhook.h"
#include "common/owner.h"
#include "common/trap.h"
#include "place.h"
#include "rig.h"

#define NR_THREADS 3u
#define PERIOD_NS 20000
#define DELAY_LOOPS 2000u
#define TICK_US 4000u

struct storm {
	pthread_t thread;
	pid_t tid;
	unsigned int owner; /* of its bulk objects */
	struct rng rng, handler_rng;
	struct mix own, nolock, handler;
	struct rig_findings findings, handler_findings;
	struct place_hits hits;
	uint64_t signals, inside;
	void *wave[RIG_WAVE];
};

static struct {
	struct mix_caches caches;
	struct storm storms[NR_THREADS];
	uint64_t seed, wanted; /* handlers inside */
	unsigned int ready;
	int stop;
} t;

static __thread struct storm *me;

static void handler(int sig, siginfo_t *info, void *context)
{
	struct storm *self = me;

	(void)sig;
	(void)info;
	if (!self)
		return;
	unsigned int place = place_of(context);
	self->hits.at[place]++;
	self->inside += place != 0;
	self->signals++;
	mix_step(&self->handler);
	mix_step(&self->handler);
	if (self->signals % 4 == 0)
		rig_crate_step(&self->handler_rng, 1, &self->handler_findings);
	if (self->signals % 16 == 0)
		rig_bulk_step(&self->handler_rng, 1, self->owner + 1, &self->handler_findings);
}

static void some_requests(struct storm *self)
{
	uint32_t n = rng_below(&self->rng, 64);

	mix_step(&self->own);
	mix_step(&self->nolock);
	rig_crate_step(&self->rng, n & 1, &self->findings);
	if (n < 16)
		rig_bulk_step(&self->rng, n & 1, self->owner, &self->findings);
	if (n == 16)
		rig_wave_step(&self->rng, self->owner, self->wave, &self->findings);
}

static void *run(void *arg)
{
	struct storm *self = arg;

	self->tid = gettid();
	me = self;
	timer_t timer = rig_timer(PERIOD_NS);
	__atomic_fetch_add(&t.ready, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&t.stop, __ATOMIC_ACQUIRE))
		some_requests(self);
	rig_timer_stop(timer);
	me = NULL; /* one may still be on its way: it must find nobody */
	mix_empty(&self->own);
	mix_empty(&self->nolock);
	mix_empty(&self->handler);
	return NULL;
}

static void start(struct storm *storm, unsigned int i)
{
	uint64_t seed = t.seed + 16 * i;

	mix_init(&storm->own, &t.caches, MIX_ORDINARY, seed, 5 * i + 1);
	mix_init(&storm->nolock, &t.caches, MIX_NOLOCK, seed + 1, 5 * i + 2);
	mix_init(&storm->handler, &t.caches, MIX_NOLOCK, seed + 2, 5 * i + 3);
	storm->owner = 5 * i + 4; /* and the next one, for its handler */
	storm->rng.state = seed + 3;
	storm->handler_rng.state = seed + 4;
	storm->handler.slots = 32;
	/* Small sizes: many requests, few bytes. */
	storm->own.size_max = storm->nolock.size_max = storm->handler.size_max = 512;
	if (pthread_create(&storm->thread, NULL, run, storm))
		check_broken("pthread_create");
}

static int enough(void)
{
	uint64_t inside = 0;

	for (unsigned int i = 0; i < NR_THREADS; i++)
		inside += __atomic_load_n(&t.storms[i].inside, __ATOMIC_RELAXED);
	return inside >= t.wanted;
}

/* Ends early once the owner map has found something: the rest could only hang or crash. */
static double direct(double seconds)
{
	struct rng rng = {t.seed + 1000};
	double begin = rig_now();

	for (unsigned int tick = 0; rig_goes_on(begin, seconds, enough) && !owner_errors();
	     tick++) {
		struct storm *s = &t.storms[tick % NR_THREADS];

		rig_some_delay(&rng, DELAY_LOOPS);
		if (cpu_nth(1) >= 0)
			run_on_cpu(s->tid, rng_below(&rng, 3) ? -1 : cpu_nth(rng_below(&rng, 2)));
		if (tick % 16 == 0)
			nst_maintain();
		rig_nap_us(TICK_US);
	}
	rig_no_delay();
	return rig_now() - begin;
}

static void check_each_kind(const struct place_hits *sum)
{
	static const char *const names[] = {"pop", "push", "popn", "pushn"};
	uint64_t by_seq[NST_NR_SEQS] = {0}, locks = 0, unknown = 0;

	for (unsigned int i = 1; i < PLACE_LOCK; i++) {
		int seq = place_sequence(i);

		if (seq >= 0)
			by_seq[seq] += sum->at[i];
		else
			unknown += sum->at[i];
	}
	for (unsigned int i = PLACE_LOCK; i < PLACE_STRIPE; i++)
		locks += sum->at[i];
	check_seen(locks > 0, "handlers inside held regions", "none");
	if (rig_is_none())
		check_seen(sum->at[PLACE_STRIPE] > 0, "handlers inside stripes", "none");
	unsigned int used = rig_is_debug() ? NST_SEQ_PUSH + 1 : NST_NR_STACK_SEQS;
	for (unsigned int seq = 0; seq < used && !rig_is_none() && !unknown; seq++)
		check_seen(by_seq[seq] > 0, names[seq], "no handler interrupted this sequence");
}

static void check_inside(double seconds)
{
	struct place_hits sum = {{0}};
	uint64_t signals = 0;

	for (unsigned int i = 0; i < NR_THREADS; i++) {
		place_add(&sum, &t.storms[i].hits);
		signals += t.storms[i].signals;
	}
	uint64_t inside = place_print(&sum);
	printf("# sequences=%s threads=%u seconds=%.1f signals=%llu signals_per_second=%.0f "
	       "wanted_per_second=%u inside=%llu\n",
	       rig_form(), NR_THREADS, seconds, (unsigned long long)signals,
	       (double)signals / seconds, NR_THREADS * (1000000000u / PERIOD_NS),
	       (unsigned long long)inside);
	if (!t.wanted)
		return;
	check_seen(inside >= t.wanted, "handlers inside a sequence or a held region",
		   "%llu, wanted %llu", (unsigned long long)inside, (unsigned long long)t.wanted);
	check_each_kind(&sum);
}

static void finish(double seconds)
{
	struct rig_findings all = {0};

	for (unsigned int i = 0; i < NR_THREADS; i++)
		pthread_join(t.storms[i].thread, NULL);
	rig_crates_empty(&all);
	for (unsigned int i = 0; i < NR_THREADS; i++) {
		struct storm *s = &t.storms[i];

		mix_check(&s->own, "ordinary requests");
		mix_check(&s->nolock, "no-lock requests");
		mix_check(&s->handler, "requests of handlers");
		all.damaged += s->findings.damaged + s->handler_findings.damaged;
		all.steps += s->findings.steps + s->handler_findings.steps;
		printf("# thread=%u requests=%llu in_handlers=%llu served_in_handlers=%llu\n", i,
		       (unsigned long long)(s->own.steps + s->nolock.steps + s->findings.steps),
		       (unsigned long long)(s->handler.steps + s->handler_findings.steps),
		       (unsigned long long)mix_got(&s->handler));
	}
	rig_check_findings(&all, "objects that changed hands");
	check_inside(seconds);
	rig_settle(&t.caches);
}

int main(int argc, char **argv)
{
	struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_RESTART | SA_SIGINFO};
	long seconds = env_long("NST_SECONDS", 3);

	t.seed = seed_of(argc, argv);
	t.wanted = (uint64_t)env_long("TEST_INSIDE", seconds * 10000 / 60);
	cpu_nth(0);
	check_deadline((unsigned int)seconds + 90, "the storm ends");
	owner_start();
	place_start();
	mix_caches_make(&t.caches, 0);
	rig_crates(&t.caches);
	if (mix_caches_stock(&t.caches, 16))
		check_broken("nst_stock");
	sigaction(RIG_SIGNAL, &sa, NULL);
	for (unsigned int i = 0; i < NR_THREADS; i++)
		start(&t.storms[i], i);
	while (__atomic_load_n(&t.ready, __ATOMIC_ACQUIRE) < NR_THREADS)
		rig_nap_us(100);
	double lasted = direct((double)seconds);
	__atomic_store_n(&t.stop, 1, __ATOMIC_RELEASE);
	if (owner_errors()) {
		owner_report();
		check(0, "nothing was handed out twice", "%llu errors after %.1f s",
		      (unsigned long long)owner_errors(), lasted);
		fflush(stdout);
		_exit(check_status());
	}
	finish(lasted);
	return check_status();
}
