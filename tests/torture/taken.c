/* SPDX-License-Identifier: MIT */
/*
 * taken.c - a CPU's stack is taken away while a sequence of that CPU stands in the midst of it.
 *
 *	victim	on its CPU: one request whose sequence works on the stack of full sheaves (pop) or of empty
 *		ones (push), held at one point by a delay
 *	taker	on another: nst_stock() of more than there is: takes both stacks, grows them, puts them back.
 *		It lets the victim go when it holds the lock for that, all its own requests made: a
 *		delay delays whoever comes by
 *
 * With the fence the sequence starts anew, finds no stack and goes on elsewhere. Without it the victim
 * commits to a stack that was freed, and a sheaf is both in its hands and in the new stack: what
 * the CPU holds afterwards is taken out, object by object, through the owner map. TEST_HITS (20)
 * a point.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>
#include "base/testhook.h"
#include "common/owner.h"
#include "common/trap.h"
#include "rig.h"

#define BYTES 64u
#define OWNER 1u
#define STOCK 120u
#define MORE 600u
#define MOST 4000u
#define TRIES 2000u
#define DELAY_LOOPS 200000u

/* Nobody else may fill or drain. */
TEST_CONF("worker:off")

static struct {
	struct nst_cache *cache;
	pid_t victim;
	uint32_t go, busy, done;
	unsigned int seq, point; /* of the delay */
	int armed, filling, stop;
	void *first, *object[MOST];
	size_t alive;
} t;

static uint32_t look(const uint32_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static void set(uint32_t *p, uint32_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}

static void wait_for(const uint32_t *p, uint32_t value)
{
	while (look(p) != value)
		sched_yield();
}

/* All that this CPU holds, each object once. */
static void take_out(void)
{
	unsigned int nr = 0;

	if (t.first)
		owner_take(t.first, BYTES, OWNER);
	while (nr < MOST && (t.object[nr] = nst_cache_alloc(t.cache, NST_FASTTRY)))
		owner_take(t.object[nr++], BYTES, OWNER);
	while (nr) {
		owner_give(t.object[--nr], BYTES, OWNER);
		nst_cache_free(t.cache, t.object[nr]);
	}
	if (!t.first)
		return;
	owner_give(t.first, BYTES, OWNER);
	nst_cache_free(t.cache, t.first);
}

static void *victim(void *arg)
{
	uint32_t seen = 0;

	__atomic_store_n(&t.victim, gettid(), __ATOMIC_RELEASE);
	for (;;) {
		while (look(&t.go) == seen && !__atomic_load_n(&t.stop, __ATOMIC_ACQUIRE))
			sched_yield();
		if (__atomic_load_n(&t.stop, __ATOMIC_ACQUIRE))
			return arg;
		seen = look(&t.go);
		set(&t.busy, seen);
		/* main is empty: a sheaf is popped, its objects go to main, then it is pushed as empty. */
		t.first = nst_cache_alloc_nolock(t.cache);
		rig_no_delay();
		if (!owner_errors())
			take_out();
		set(&t.done, seen);
	}
}

static void spin(unsigned int loops)
{
	for (volatile unsigned int i = 0; i < loops; i++)
		;
}

/* Locks go by: those of nst_stock() as it makes sure that there are stacks, fills sheaves, takes. */
static void when_held(int lock_class)
{
	if (!t.armed || gettid() == t.victim)
		return;
	if (lock_class == NST_LOCK_META)
		t.filling = 1;
	if (lock_class != NST_LOCK_CACHES || !t.filling)
		return;
	t.armed = t.filling = 0;
	__atomic_store_n(&nst_test_delay[t.seq][t.point], DELAY_LOOPS, __ATOMIC_RELEASE);
	set(&t.go, t.go + 1);
	wait_for(&t.busy, t.go);
	spin(1000);
}

/* 1: the sequence was restarted by the taker. */
static int strike(void)
{
	uint32_t turn = t.go + 1;
	uint64_t before;
	int inside;

	t.cache = nst_cache_create("taken", BYTES, 0, 0, NULL);
	if (!t.cache || nst_stock(t.cache, STOCK, cpu_nth(1)))
		check_broken("nst_stock");
	before = nst_test_restarts[t.seq];
	t.armed = 1;
	nst_stock(t.cache, MORE, cpu_nth(1));
	inside = nst_test_restarts[t.seq] > before;
	rig_no_delay();
	wait_for(&t.done, turn);
	if (!owner_errors())
		t.alive += nst_cache_destroy(t.cache);
	return inside;
}

static void check_point(unsigned int seq, unsigned int point, unsigned int hits)
{
	unsigned int got = 0, tries;
	uint64_t since = 0;
	char name[40];

	t.seq = seq;
	t.point = point;
	for (tries = 0; got < hits && !owner_errors() && !t.alive; tries++) {
		if (tries >= TRIES && !check_patience(&since)) /* on a loaded machine few hit */
			break;
		got += (unsigned int)strike();
	}
	printf("# %s point=%u hits=%u tries=%u\n", seq == NST_SEQ_POP ? "pop" : "push", point, got,
	       tries);
	snprintf(name, sizeof(name), "%s taken at point %u", seq == NST_SEQ_POP ? "pop" : "push",
		 point);
	check(got == hits, name, "%u times of %u", got, hits);
}

int main(int argc, char **argv)
{
	unsigned int hits = (unsigned int)env_long("TEST_HITS", 20);
	pthread_t thread;

	conf_apply(argv);
	seed_of(argc, argv);
	if (cpu_nth(1) < 0)
		check_skip("one CPU only: a taker preempts the sequence, which restarts it anyway");
	if (rig_is_none())
		check_skip("no restartable sequences here");
	check_deadline(300, "every point in time");
	owner_start();
	if (pthread_create(&thread, NULL, victim, NULL))
		check_broken("pthread_create");
	while (!__atomic_load_n(&t.victim, __ATOMIC_ACQUIRE))
		sched_yield();
	nst_test_held = when_held;
	run_on_cpu(0, cpu_nth(0));
	run_on_cpu(t.victim, cpu_nth(1));
	/* From the load of the stack's address on: before it, the sequence cannot know the old one. */
	for (unsigned int point = 2; point < rig_points[NST_SEQ_POP]; point++)
		check_point(NST_SEQ_POP, point, hits);
	for (unsigned int point = 2; point < rig_points[NST_SEQ_PUSH]; point++)
		check_point(NST_SEQ_PUSH, point, hits);
	__atomic_store_n(&t.stop, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	owner_report();
	check(owner_errors() == 0, "nothing was handed out twice", "%llu errors",
	      (unsigned long long)owner_errors());
	check(t.alive == 0, "nothing is lost", "%zu objects alive at destroy", t.alive);
	return check_status();
}
