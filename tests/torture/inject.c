/* SPDX-License-Identifier: MIT */
/*
 * inject.c - every point of every sequence, hit by every action, on purpose.
 *
 *	victim	runs one request; a delay holds it at the point of the cell (base/testhook.h)
 *	actor	does the action to it meanwhile:
 *		signal   a handler runs there, and makes the same kind of request on the same cache
 *		migrate  the thread goes on on another CPU
 *		fork     a handler forks there; parent and child both finish the request
 *		others   another thread forks; the child has no victim and goes on without it
 *
 * A cell is hit when the handler's saved instruction pointer is the abort address of that very
 * sequence, or the thread has moved and the sequence restarted, or it sat in the delay from before the
 * fork until after it. Only the cell's own point is delayed, a few thousand times longer than all
 * the rest of the sequence takes. TEST_HITS hits a cell (3), every cell or the test fails.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/testhook.h"
#include "common/owner.h"
#include "common/pattern.h"
#include "common/trap.h"
#include "place.h"
#include "rig.h"

#define NR_OBJECTS 12u
#define BYTES 64u
#define OWNER_VICTIM 1u
#define OWNER_HANDLER 2u
#define OWNER_CHILD 3u
#define TRIES 600u

enum action { SIGNAL, MIGRATE, FORK, OTHERS, NR_ACTIONS };
static const char *const action_names[] = {"signal", "migrate", "fork", "others"};
static const char *const seq_names[] = {"pop", "push", "popn", "pushn"};
/* Loops of the delay: longer than the action takes to arrive. */
static const uint32_t delay_loops[] = {200000, 4000000, 200000, 100000000};
/* Where there is one CPU only, the actor gets it when the victim's time slice is over. */
#define ONE_CPU_LOOPS 100000000u

static struct {
	struct mix_caches caches;
	struct nst_cache *cache; /* the victim's */
	struct mix child_mix;
	uint64_t seed;
	pid_t victim;
	/* what the victim is to do, and how far it is */
	unsigned int seq;
	uint32_t go, busy, done;
	int stop;
	/* what the handler found */
	enum action action;
	uint32_t handled;
	unsigned int place;
	pid_t forked;
	int in_child;
	uint64_t restarts_before;
	uint64_t damaged;
	void *object[NR_OBJECTS]; /* the victim's */
	unsigned int nr;
} t;

static uint32_t look(const uint32_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static void set(uint32_t *p, uint32_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}

static void took(void *ptr, unsigned int owner)
{
	owner_take(ptr, BYTES, owner);
	pattern_fill(ptr, BYTES, owner);
}

static void gives(void *ptr, unsigned int owner)
{
	t.damaged += pattern_check(ptr, BYTES, owner) != BYTES;
	owner_give(ptr, BYTES, owner);
}

/* ---- the victim ---- */

/* Called with the delay set: only the library runs between busy and done. */
static void request(unsigned int seq)
{
	if (seq == NST_SEQ_POP) {
		t.object[0] = nst_cache_alloc_nolock(t.cache);
		t.nr = t.object[0] != NULL;
	} else if (seq == NST_SEQ_PUSH) {
		nst_cache_free_nolock(t.cache, t.object[0]);
	} else if (seq == NST_SEQ_POPN) {
		t.nr = (unsigned int)nst_cache_alloc_bulk(t.cache, NST_NOLOCK, NR_OBJECTS,
							  t.object);
	} else {
		nst_cache_free_bulk(t.cache, t.nr, t.object);
	}
}

static void before_request(unsigned int seq)
{
	if (seq == NST_SEQ_PUSH) {
		t.object[0] = nst_cache_alloc(t.cache, NST_NORMAL);
		t.nr = 1;
	} else if (seq == NST_SEQ_PUSHN) {
		t.nr = (unsigned int)nst_cache_alloc_bulk(t.cache, NST_NORMAL, NR_OBJECTS,
							  t.object);
	}
	/* Its own until the request: who gets it meanwhile collides in the owner map. */
	for (unsigned int i = 0; i < t.nr; i++)
		took(t.object[i], OWNER_VICTIM);
	for (unsigned int i = 0; i < t.nr; i++)
		gives(t.object[i], OWNER_VICTIM);
}

static void after_request(unsigned int seq)
{
	if (seq == NST_SEQ_PUSH || seq == NST_SEQ_PUSHN) {
		t.nr = 0;
		return;
	}
	for (unsigned int i = 0; i < t.nr; i++)
		took(t.object[i], OWNER_VICTIM);
	for (unsigned int i = 0; i < t.nr; i++)
		gives(t.object[i], OWNER_VICTIM);
	nst_cache_free_bulk(t.cache, t.nr, t.object);
	t.nr = 0;
}

/* The child of a fork: 0, or which check went wrong. Single-threaded; the owner map is a copy. */
static int child_life(void)
{
	uint64_t before = owner_errors();

	rig_no_delay();
	t.nr = 0; /* what a lost victim was freeing is not ours */
	for (int who = 0; who < 2; who++) {
		mix_init(&t.child_mix, &t.caches, who ? MIX_ORDINARY : MIX_NOLOCK, t.seed,
			 OWNER_CHILD);
		t.child_mix.size_max = 1024;
		t.child_mix.caches = &t.caches;
		for (int i = 0; i < 200; i++)
			mix_step(&t.child_mix);
		mix_empty(&t.child_mix);
		if (mix_errors(&t.child_mix))
			return 10 + who;
	}
	for (unsigned int seq = 0; seq < NST_NR_STACK_SEQS; seq++) {
		before_request(seq);
		request(seq);
		after_request(seq);
	}
	return t.damaged ? 20 : owner_errors() != before ? 30 : 0;
}

static void *victim(void *arg)
{
	uint32_t seen = 0;

	__atomic_store_n(&t.victim, gettid(), __ATOMIC_RELEASE);
	while (!__atomic_load_n(&t.stop, __ATOMIC_ACQUIRE)) {
		if (t.in_child) /* the handler came too late for the request: no hit */
			_exit(child_life());
		if (look(&t.go) == seen) {
			sched_yield();
			continue;
		}
		seen = look(&t.go);
		unsigned int seq = t.seq;
		set(&t.busy, seen);
		request(seq);
		if (t.in_child) {
			int hit = place_sequence(t.place) == (int)seq;
			int grew = nst_test_restarts[seq] > t.restarts_before;
			after_request(seq);
			_exit(hit && !grew ? 40 : child_life());
		}
		set(&t.done, seen);
	}
	return arg;
}

static void handler(int sig, siginfo_t *info, void *context)
{
	void *ptr[NR_OBJECTS];

	(void)sig;
	(void)info;
	t.place = place_of(context);
	rig_no_delay();
	size_t nr = nst_cache_alloc_bulk(t.cache, NST_NOLOCK, NR_OBJECTS / 2, ptr);
	while (nr < NR_OBJECTS && (ptr[nr] = nst_cache_alloc_nolock(t.cache)))
		nr++;
	for (size_t i = 0; i < nr; i++)
		took(ptr[i], OWNER_HANDLER);
	if (t.action == FORK) {
		pid_t pid = _Fork();
		t.in_child = pid == 0;
		t.forked = pid;
	}
	for (size_t i = 0; i < nr; i++)
		gives(ptr[i], OWNER_HANDLER);
	for (size_t i = 0; i < nr; i++)
		nst_cache_free_nolock(t.cache, ptr[i]);
	set(&t.handled, look(&t.go));
}

/* ---- the actor ---- */

static void wait_for(const uint32_t *p, uint32_t value)
{
	while (look(p) != value)
		sched_yield();
}

static int child_ok(pid_t pid, const char *name)
{
	int status, rc = child_wait(pid, 40, &status);

	if (rc == 0 && status == 0)
		return 1;
	check(0, name, "child: %s", rc ? "hung" : child_status(status));
	return 0;
}

/* One request of the victim with the action in its midst: 1 hit, 0 missed, -1 wrong. */
static int signal_or_fork(uint32_t turn, const char *name)
{
	t.forked = -1;
	syscall(SYS_tgkill, getpid(), t.victim, RIG_SIGNAL);
	wait_for(&t.handled, turn);
	wait_for(&t.done, turn);
	if (t.action == FORK && !child_ok(t.forked, name))
		return -1;
	return place_sequence(t.place) == (int)t.seq;
}

static int migrate(uint32_t turn)
{
	run_on_cpu(t.victim, cpu_nth(0));
	int inside = look(&t.done) != turn;
	rig_no_delay();
	wait_for(&t.done, turn);
	run_on_cpu(t.victim, cpu_nth(1));
	return inside && nst_test_restarts[t.seq] > t.restarts_before;
}

static int others(uint32_t turn, const char *name)
{
	int inside = look(&t.done) != turn;
	pid_t pid = fork();

	if (pid == 0)
		_exit(child_life());
	inside = inside && look(&t.done) != turn;
	rig_no_delay();
	wait_for(&t.done, turn);
	return child_ok(pid, name) ? inside : -1;
}

static void spin(unsigned int loops)
{
	for (volatile unsigned int i = 0; i < loops; i++)
		;
}

static int strike(unsigned int seq, unsigned int point, enum action action, const char *name)
{
	uint32_t turn = t.go + 1, loops = cpu_nth(1) < 0 ? ONE_CPU_LOOPS : delay_loops[action];
	int hit;

	t.seq = seq;
	t.action = action;
	before_request(seq);
	t.restarts_before = nst_test_restarts[seq];
	__atomic_store_n(&nst_test_delay[seq][point], loops, __ATOMIC_RELEASE);
	set(&t.go, turn);
	wait_for(&t.busy, turn);
	spin(2000);
	if (action == MIGRATE)
		hit = migrate(turn);
	else if (action == OTHERS)
		hit = others(turn, name);
	else
		hit = signal_or_fork(turn, name);
	rig_no_delay();
	after_request(seq);
	return hit;
}

static unsigned int cell(unsigned int seq, unsigned int point, enum action action,
			 unsigned int hits)
{
	unsigned int got = 0;
	uint64_t since = 0;
	char name[48];

	snprintf(name, sizeof(name), "%s at point %u: %s", seq_names[seq], point,
		 action_names[action]);
	/* On a loaded machine few hit. */
	for (unsigned int tries = 0; got < hits && (tries < TRIES || check_patience(&since));
	     tries++) {
		int hit = strike(seq, point, action, name);
		if (hit < 0)
			break;
		got += (unsigned int)hit;
	}
	check_quiet(got >= hits, name, "hit %u times of %u", got, hits);
	return got;
}

static void table(unsigned int hits)
{
	unsigned int cells = 0, full = 0;

	printf("# point      ");
	for (int action = 0; action < NR_ACTIONS; action++)
		printf(" %8s", action_names[action]);
	printf("   (hits)\n");
	/* No request goes to these two when every call is checked. */
	unsigned int used = rig_is_debug() ? NST_SEQ_PUSH + 1 : NST_NR_STACK_SEQS;
	if (used < NST_NR_STACK_SEQS)
		printf("# popn, pushn: not reached from requests at debug:1 and up\n");
	for (unsigned int seq = 0; seq < used; seq++) {
		for (unsigned int point = 0; point < rig_points[seq]; point++) {
			printf("# %-5s %u    ", seq_names[seq], point);
			for (enum action action = 0; action < NR_ACTIONS; action++) {
				if (action == MIGRATE && cpu_nth(1) < 0) {
					printf(" %8s", "one CPU");
					continue;
				}
				unsigned int got = cell(seq, point, action, hits);
				cells++;
				full += got >= hits;
				printf(" %8u", got);
				fflush(stdout);
			}
			printf("\n");
		}
	}
	check(full == cells, "all cells were hit", "%u of %u", full, cells);
}

int main(int argc, char **argv)
{
	struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_RESTART | SA_SIGINFO};
	pthread_t thread;

	t.seed = seed_of(argc, argv);
	cpu_nth(0);
	if (rig_is_none())
		check_skip(
			"no restartable sequences here: the none form is stepped through instead");
	check_deadline(600, "every cell in time");
	owner_start();
	place_start();
	mix_caches_make(&t.caches, 0);
	t.cache = t.caches.small;
	if (nst_stock(t.cache, 64, NST_CPU_ALL))
		check_broken("nst_stock");
	sigaction(RIG_SIGNAL, &sa, NULL);
	if (pthread_create(&thread, NULL, victim, NULL))
		check_broken("pthread_create");
	while (!__atomic_load_n(&t.victim, __ATOMIC_ACQUIRE))
		sched_yield();
	/* Each its own CPU, so that the action comes while the victim runs. */
	if (cpu_nth(1) >= 0) {
		run_on_cpu(0, cpu_nth(0));
		run_on_cpu(t.victim, cpu_nth(1));
	}
	table((unsigned int)env_long("TEST_HITS", 3));
	__atomic_store_n(&t.stop, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	check(t.damaged == 0, "no object was damaged", "%llu", (unsigned long long)t.damaged);
	rig_settle(&t.caches);
	return check_status();
}
