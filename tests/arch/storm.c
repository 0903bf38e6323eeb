/* SPDX-License-Identifier: MIT */
/*
 * storm.c - threads, their signal handlers and a taker share the stacks; no object is lost or doubled.
 *
 *	workers, handlers:  stack of this CPU  <-- pop push popn pushn -->  what each holds
 *	taker:              takes a CPU's stack, fences, moves objects to another's, puts both back
 *	pest:               signals workers, moves them to other CPUs, sets delays inside the sequences
 *
 * An object says who owns it: 0 while it lies in a stack. Who pops it finds 0, who pushes it finds
 * itself. What it holds is written plainly before a push and compared after a pop.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "alone.h"
#include "common/check.h"

#define OBJECTS 512u
#define CAP 128u
#define WORKERS_MAX 32u
#define TAKER 1000u
#define BATCH 8u

struct object {
	u32 owner;
	u64 word, inverse; /* written by the owner, plainly */
} NST_LINE_ALIGNED;

/* One party: a worker, or its handler. */
struct party {
	struct rng rng;
	u32 id;
	unsigned int n;
	u64 steps;
	struct object *held[OBJECTS];
};

struct worker {
	pthread_t thread;
	struct party plain, handler;
};

static struct {
	struct object object[OBJECTS];
	struct nst_pcs **table;
	struct worker worker[WORKERS_MAX];
	unsigned int nr_workers, nr_cpus;
	int stop;
	u64 doubled, foreign, torn, same, takes, moves, signals;
} storm;

static struct nst_pcs none;
static __thread struct worker *me;

static void count(u64 *counter)
{
	nst_add_relaxed(counter, 1);
}

/* ---- one object changes hands ---- */

static void got(u32 id, struct object *o)
{
	if (!o || nst_exchange_relaxed(&o->owner, id) != 0) {
		count(&storm.doubled);
		return;
	}
	if (o->inverse != ~o->word)
		count(&storm.torn);
}

static void give(struct party *p, struct object *o)
{
	o->word = nst_mix64(p->steps + ((u64)p->id << 32));
	o->inverse = ~o->word;
	if (nst_exchange_relaxed(&o->owner, 0u) != p->id)
		count(&storm.foreign);
}

static void keep(struct party *p, struct object *o)
{
	if (p->n < OBJECTS)
		p->held[p->n++] = o;
	else
		count(&storm.doubled); /* more than there are */
}

/* ---- what a party does ---- */

static void pop(struct party *p, intptr_t id)
{
	struct object *o = id ? nst_seq_pop_by(storm.table, id) : nst_seq_pop(storm.table);

	if (!o)
		return;
	got(p->id, o);
	keep(p, o);
}

static void push(struct party *p, intptr_t id)
{
	struct object *o;
	enum nst_push result;

	if (!p->n)
		return;
	o = p->held[--p->n];
	give(p, o);
	result = id ? nst_seq_push_by(storm.table, id, o) : nst_seq_push(storm.table, o);
	if (result == NST_PUSH_OK)
		return;
	if (result == NST_PUSH_SAME)
		count(&storm.same);
	got(p->id, o);
	keep(p, o);
}

static void popn(struct party *p, unsigned int n)
{
	void *out[BATCH];
	size_t nr = nst_seq_popn_by(storm.table, alone_cpu_id(), out, n);

	for (size_t i = 0; i < nr; i++) {
		got(p->id, out[i]);
		keep(p, out[i]);
	}
}

static void pushn(struct party *p, unsigned int n)
{
	void *in[BATCH];
	unsigned int i;
	size_t nr;

	for (i = 0; i < n && p->n; i++) {
		in[i] = p->held[--p->n];
		give(p, in[i]);
	}
	nr = nst_seq_pushn_by(storm.table, alone_cpu_id(), in, i);
	while (i > nr) {
		got(p->id, in[--i]);
		keep(p, in[i]);
	}
}

static void step(struct party *p)
{
	u32 r = rng_below(&p->rng, 8);
	unsigned int n = 1 + rng_below(&p->rng, BATCH);

	p->steps++;
	if (r == 0)
		popn(p, n);
	else if (r == 1)
		pushn(p, n);
	else if (r < 5)
		pop(p, r == 2 ? alone_cpu_id() : 0);
	else
		push(p, r == 5 ? alone_cpu_id() : 0);
}

static void on_signal(int sig)
{
	(void)sig;
	if (!me)
		return;
	for (int i = 0; i < 4; i++)
		step(&me->handler);
}

static void *work(void *arg)
{
	me = arg;
	while (!nst_load_relaxed(&storm.stop))
		for (int i = 0; i < 64; i++)
			step(&me->plain);
	return NULL;
}

/* ---- the taker ---- */

static struct nst_pcs *take(unsigned int cpu)
{
	struct nst_pcs *s = storm.table[cpu];

	/* Pairs with: the fence. */
	nst_store_release(&storm.table[cpu], &none);
	if (alone_fence((int)cpu))
		check_broken("membarrier");
	for (u32 i = 0; i < s->count; i++)
		got(TAKER, s->obj[i]);
	storm.takes++;
	return s;
}

static void put(unsigned int cpu, struct nst_pcs *s)
{
	for (u32 i = 0; i < s->count; i++) {
		struct object *o = s->obj[i];
		if (o && nst_exchange_relaxed(&o->owner, 0u) != TAKER)
			count(&storm.foreign);
	}
	/* Pairs with: the address dependency from the table to an object. */
	nst_store_release(&storm.table[cpu], s);
}

/* A random part of @from, from its bottom, goes on top of @to. */
static void move(struct rng *rng, struct nst_pcs *from, struct nst_pcs *to)
{
	u32 n = rng_below(rng, from->count + 1);

	if (n > to->cap - to->count)
		n = to->cap - to->count;
	memcpy(&to->obj[to->count], from->obj, n * sizeof(from->obj[0]));
	memmove(from->obj, from->obj + n, (from->count - n) * sizeof(from->obj[0]));
	to->count += n;
	from->count -= n;
	storm.moves += n;
}

static void take_round(struct rng *rng)
{
	unsigned int a = rng_below(rng, storm.nr_cpus), b = rng_below(rng, storm.nr_cpus);
	struct nst_pcs *from = take(a), *to = a == b ? NULL : take(b);

	if (rng_below(rng, 4) == 0)
		usleep(rng_below(rng, 200)); /* meanwhile that CPU finds the empty stack */
	if (to) {
		move(rng, from, to);
		put(b, to);
	}
	put(a, from);
}

static void *take_rounds(void *arg)
{
	struct rng *rng = arg;

	while (!nst_load_relaxed(&storm.stop)) {
		take_round(rng);
		usleep(rng_below(rng, 300));
	}
	return NULL;
}

/* ---- the pest ---- */

static void delay_somewhere(struct rng *rng)
{
	static u32 *last = &nst_test_delay[0][0];
	u32 *next =
		&nst_test_delay[rng_below(rng, NST_NR_STACK_SEQS)][rng_below(rng, NST_SEQ_POINTS)];

	nst_store_relaxed(last, 0u);
	nst_store_relaxed(next, 1u << rng_below(rng, 15));
	last = next;
}

static void move_thread(struct rng *rng, pthread_t thread)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	if (rng_below(rng, 2))
		CPU_SET(rng_below(rng, storm.nr_cpus), &set);
	else
		for (unsigned int i = 0; i < storm.nr_cpus; i++)
			CPU_SET(i, &set);
	pthread_setaffinity_np(thread, sizeof(set), &set);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void pester(struct rng *rng, double seconds)
{
	double end = now() + seconds;

	while (now() < end) {
		pthread_t thread = storm.worker[rng_below(rng, storm.nr_workers)].thread;

		pthread_kill(thread, SIGUSR1);
		storm.signals++;
		if (rng_below(rng, 16) == 0)
			move_thread(rng, thread);
		if (rng_below(rng, 64) == 0)
			delay_somewhere(rng);
		usleep(20 + rng_below(rng, 100));
	}
	nst_store_relaxed(&storm.stop, 1);
}

/* ---- beginning and end ---- */

static void begin(u64 seed)
{
	storm.nr_cpus = alone_nr_cpus();
	storm.nr_workers = storm.nr_cpus * 2 + 1;
	if (storm.nr_workers > WORKERS_MAX)
		storm.nr_workers = WORKERS_MAX;
	storm.table = alone_table(&none);
	for (unsigned int i = 0; i < storm.nr_cpus; i++)
		storm.table[i] = alone_stack(CAP);
	for (unsigned int i = 0; i < storm.nr_workers; i++) {
		struct worker *w = &storm.worker[i];
		w->plain.id = i + 1;
		w->handler.id = i + 1 + WORKERS_MAX;
		w->plain.rng.state = seed + w->plain.id;
		w->handler.rng.state = seed + w->handler.id;
	}
	for (unsigned int i = 0; i < OBJECTS; i++) {
		struct party *p = &storm.worker[i % storm.nr_workers].plain;
		storm.object[i].owner = p->id;
		storm.object[i].inverse = ~(u64)0;
		keep(p, &storm.object[i]);
	}
}

static void see(unsigned int *seen, const void *object)
{
	size_t i = (size_t)((const struct object *)object - storm.object);

	if (object && i < OBJECTS)
		seen[i]++;
}

static void see_party(unsigned int *seen, const struct party *p)
{
	for (unsigned int i = 0; i < p->n; i++)
		see(seen, p->held[i]);
}

static void find_all(void)
{
	unsigned int seen[OBJECTS] = {0}, lost = 0, twice = 0;

	for (unsigned int i = 0; i < storm.nr_workers; i++) {
		see_party(seen, &storm.worker[i].plain);
		see_party(seen, &storm.worker[i].handler);
	}
	for (unsigned int c = 0; c < storm.nr_cpus; c++)
		for (u32 i = 0; i < storm.table[c]->count; i++)
			see(seen, storm.table[c]->obj[i]);
	for (unsigned int i = 0; i < OBJECTS; i++) {
		lost += seen[i] == 0;
		twice += seen[i] > 1;
	}
	check(lost == 0, "no object is lost", "%u of %u", lost, OBJECTS);
	check(twice == 0, "every object is in one place", "%u in several", twice);
}

static void judge(void)
{
	u64 steps = 0, in_handlers = 0, restarts = 0;

	for (unsigned int i = 0; i < storm.nr_workers; i++) {
		steps += storm.worker[i].plain.steps;
		in_handlers += storm.worker[i].handler.steps;
	}
	for (unsigned int i = 0; i < NST_NR_STACK_SEQS; i++)
		restarts += nst_test_restarts[i];
	printf("# sequences=%s cpus=%u workers=%u steps=%llu handler_steps=%llu signals=%llu "
	       "takes=%llu moved=%llu restarts=%llu\n",
	       NST_SEQ_NAME, storm.nr_cpus, storm.nr_workers, (unsigned long long)steps,
	       (unsigned long long)in_handlers, (unsigned long long)storm.signals,
	       (unsigned long long)storm.takes, (unsigned long long)storm.moves,
	       (unsigned long long)restarts);
	check(storm.doubled == 0, "a pop gives an object that nobody has", "%llu times not",
	      (unsigned long long)storm.doubled);
	check(storm.foreign == 0, "nobody else takes an object that is held", "%llu times",
	      (unsigned long long)storm.foreign);
	check(storm.same == 0, "a held object is not the top", "%llu times",
	      (unsigned long long)storm.same);
	check(storm.torn == 0, "an object holds what its last owner wrote", "%llu times not",
	      (unsigned long long)storm.torn);
	for (unsigned int i = 0; i < NST_NR_STACK_SEQS; i++)
		check_seen(nst_test_restarts[i] > 0, "each sequence was interrupted",
			   "number %u never: nothing was shown", i);
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	u64 seed = seed_of(argc, argv);
	long seconds = env_long("NST_SECONDS", 3);
	struct rng rng = {seed}, taker_rng = {seed ^ TAKER};
	const char *why;
	pthread_t taker;

	alone_before();
	why = alone_start();
	if (why)
		check_skip("%s", why);
	check_deadline((unsigned int)seconds * 5 + 60, "storm");
	begin(seed);
	sigaction(SIGUSR1, &action, NULL);
	for (unsigned int i = 0; i < storm.nr_workers; i++)
		if (pthread_create(&storm.worker[i].thread, NULL, work, &storm.worker[i]))
			check_broken("pthread_create");
	if (pthread_create(&taker, NULL, take_rounds, &taker_rng))
		check_broken("pthread_create");
	pester(&rng, (double)seconds);
	for (unsigned int i = 0; i < storm.nr_workers; i++)
		pthread_join(storm.worker[i].thread, NULL);
	pthread_join(taker, NULL);
	judge();
	find_all();
	return check_status();
}
