/* SPDX-License-Identifier: MIT */
/*
 * lockdep_watch.c - V21: threads that wait for each other are told while they do, and none that only wait for long.
 *
 * Most threads here say that they wait, and wait for the test instead: each arrangement stands as long as it is looked at.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <nostall/pthread.h>
#include "unit/lockdep.h"

#define MOST 6u
static struct nst_lockdep_map lock[MOST];
static const char *const names[MOST] = {"a", "b", "c", "d", "e", "f"};
static unsigned int waiting, over, aloud;

#define NONE MOST
#define R NST_LD_READ
#define RR (NST_LD_READ | NST_LD_RECURSIVE)

/** struct party - a thread: what it has, and what it waits for */
struct party {
	unsigned int has, also, wants;
	uint32_t has_how, wants_how;
};

static void has(unsigned int i, uint32_t how)
{
	if (i != NONE)
		nst_lockdep_acquire(&lock[i], how | NST_LD_TRY);
}

static void lets_go(unsigned int i)
{
	if (i != NONE)
		nst_lockdep_release(&lock[i]);
}

static void *takes_part(void *arg)
{
	const struct party *p = arg;

	pthread_setname_np(pthread_self(), "party");
	has(p->has, p->has_how);
	has(p->also, 0);
	if (p->wants != NONE) {
		nst_lockdep_acquire(&lock[p->wants], p->wants_how);
		nst_lockdep_contended(&lock[p->wants]);
	}
	__atomic_add_fetch(&waiting, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE))
		usleep(1000);
	if (p->wants != NONE) {
		nst_lockdep_acquired(&lock[p->wants]);
		lets_go(p->wants);
	}
	lets_go(p->also);
	lets_go(p->has);
	return NULL;
}

static unsigned int circles;

/* They stand so; looked at, until it is told or, with none wanted, for long. */
static void arranged(struct party *p, unsigned int nr, unsigned int wanted)
{
	pthread_t t[MOST];
	uint64_t since = 0;
	unsigned int i, looks = 0;

	waiting = over = circles = 0;
	for (i = 0; i < nr; i++)
		if (pthread_create(&t[i], NULL, takes_part, &p[i]))
			check_broken("pthread_create");
	while (__atomic_load_n(&waiting, __ATOMIC_ACQUIRE) < nr && check_patience(&since))
		;
	/* Orders are not what is looked for here. */
	forget();
	/* A look a millisecond, and some that the worker makes instead. */
	while (looks < (wanted ? 5000 : 20) && circles < (wanted ? wanted : 1) &&
	       check_patience(&since)) {
		circles = nst_lockdep_watch();
		looks++;
	}
	__atomic_store_n(&over, 1, __ATOMIC_RELEASE);
	for (i = 0; i < nr; i++)
		pthread_join(t[i], NULL);
}

static void told(struct party *p, unsigned int nr, const char *name)
{
	arranged(p, nr, 1);
	check(circles == 1 && nr_reports == 1 && last.code == NST_NL_DEADLOCK &&
		      last.level == NST_LD_ERROR,
	      name, "%u circles, %u reports, the last: code %u\n%s", circles, nr_reports,
	      (unsigned int)last.code, last_text);
	if (!circles)
		exit(check_status()); /* no more of that */
	if (aloud)
		fputs(last_text, stdout);
	forget();
}

static void silent(struct party *p, unsigned int nr, const char *name)
{
	arranged(p, nr, 0);
	check(circles == 0 && nr_reports == 0, name, "%u circles, %u reports\n%s", circles,
	      nr_reports, last_text);
	forget();
}

static void deadlocks(void)
{
	struct party two[] = {{0, NONE, 1, 0, 0}, {1, NONE, 0, 0, 0}};
	struct party three[] = {{0, 3, 1, 0, 0},
				{1, NONE, 2, 0, 0},
				{2, NONE, 0, 0, 0},
				{4, NONE, 0, 0, 0},
				{5, NONE, 4, 0, 0}};
	struct party one[] = {{0, NONE, 0, 0, 0}};
	struct party writers[] = {{0, NONE, 1, RR, 0}, {1, NONE, 0, RR, 0}};
	struct party reader[] = {{0, NONE, 1, 0, 0}, {1, NONE, 0, 0, RR}};
	struct party many[] = {{0, NONE, NONE, RR, 0}, {0, NONE, 1, RR, 0}, {1, NONE, 0, 0, 0}};
	struct party behind[] = {{0, NONE, 1, R, R},
				 {1, NONE, 0, R, R},
				 {NONE, NONE, 0, 0, 0},
				 {NONE, NONE, 1, 0, 0}};

	told(two, 2, "V21 two threads that wait for each other");
	told(three, 5, "V21 three, one of which has another lock, and two that wait for them");
	told(one, 1, "V21 one that waits for itself");
	told(writers, 2, "V21 two that upgrade across");
	told(reader, 2, "V21 a reader who waits for a writer");
	told(many, 3, "V21 a writer who waits for one of two readers");
	told(behind, 4, "V21 readers behind writers who wait for readers");
}

static void said(void)
{
	struct party two[] = {{0, NONE, 1, 0, 0}, {1, 2, 0, 0, 0}};
	unsigned int i;

	arranged(two, 2, 1);
	check(strstr(last_text, "waits for a (") && strstr(last_text, "waits for b (") &&
		      strstr(last_text, "holds a (") && strstr(last_text, "holds b (") &&
		      strstr(last_text, "and c (") && strstr(last_text, "thread party"),
	      "V21 who they are, what each waits for and holds", "%s", last_text);
	for (i = 0; i < 5; i++)
		nst_lockdep_watch();
	check(nr_reports == 1, "V21 told once", "%u", nr_reports);
	forget();
}

static void no_deadlocks(void)
{
	struct party queue[] = {{0, NONE, NONE, 0, 0},
				{NONE, NONE, 0, 0, 0},
				{NONE, NONE, 0, 0, 0},
				{NONE, NONE, 0, 0, 0}};
	struct party chain[] = {
		{0, NONE, NONE, 0, 0}, {1, NONE, 0, 0, 0}, {2, NONE, 1, 0, 0}, {3, NONE, 2, 0, 0}};
	struct party readers[] = {{0, NONE, 1, RR, RR}, {1, NONE, 0, RR, RR}};
	struct party timed[] = {{0, NONE, 1, 0, NST_LD_TIMED}, {1, NONE, 0, 0, 0}};
	struct party before[] = {{0, NONE, 1, 0, 0}, {1, NONE, NONE, 0, 0}};

	silent(queue, 4, "V21 several that wait for one who works");
	silent(chain, 4, "V21 a chain of them");
	silent(readers, 2, "V21 readers across");
	silent(timed, 2, "V21 one who waits for a time");
	silent(before, 2, "V21 one who waits for whom that works");
	nst_lockdep_watchdog(3600000);
	silent((struct party[]){{0, NONE, 1, 0, 0}, {1, NONE, 0, 0, 0}}, 2,
	       "V21 for less than the limit");
	nst_lockdep_watchdog(0);
	silent((struct party[]){{0, NONE, 1, 0, 0}, {1, NONE, 0, 0, 0}}, 2, "V21 with it off");
	nst_lockdep_watchdog(10);
}

/* ---- waits that are over ---- */

static struct nst_pthread_mutex m[3];

static void *works(void *arg)
{
	struct rng rng = {.state = (uintptr_t)arg};
	unsigned int i;

	/* In one order, always contended: whom one waits for may wait itself, and goes on. */
	for (i = 0; i < 3000; i++) {
		unsigned int first = rng_below(&rng, 2),
			     then = first + 1 + rng_below(&rng, 2 - first);

		nst_pthread_mutex_lock(&m[first]);
		nst_pthread_mutex_lock(&m[then]);
		if (i % 16 == 0)
			usleep(50);
		nst_pthread_mutex_unlock(&m[first]); /* hand over hand */
		nst_pthread_mutex_unlock(&m[then]);
	}
	__atomic_add_fetch(&over, 1, __ATOMIC_RELEASE);
	return NULL;
}

static void in_order(void)
{
	static const char *const of[] = {"x", "y", "z"};
	pthread_t t[4];
	uintptr_t i;
	unsigned int found = 0;

	over = 0;
	nst_lockdep_watchdog(1);
	for (i = 0; i < 3; i++)
		nst_pthread_mutex_init(&m[i], of[i], NULL, NULL);
	for (i = 0; i < 4; i++)
		if (pthread_create(&t[i], NULL, works, (void *)(i + 1)))
			check_broken("pthread_create");
	while (__atomic_load_n(&over, __ATOMIC_ACQUIRE) < 4) {
		found += nst_lockdep_watch();
		usleep(200);
	}
	for (i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	nst_lockdep_watchdog(10);
	check(found == 0, "V21 four that contend, looked at all the time", "%u circles\n%s", found,
	      last_text);
	no_report("V21 and no report of any kind");
}

/* ---- threads that really stand still, and the worker that sees them ---- */

struct pair {
	struct nst_pthread_mutex *first, *then;
};
static pthread_barrier_t both_have;

static void *stands_still(void *arg)
{
	struct pair *p = arg;

	nst_pthread_mutex_lock(p->first);
	pthread_barrier_wait(&both_have);
	nst_pthread_mutex_lock(p->then);
	return NULL;
}

/* What a child ends with: the last report is a deadlock. */
static int stand_still(int looks)
{
	struct pair p[3] = {{&m[0], &m[1]}, {&m[1], &m[2]}, {&m[2], &m[0]}};
	uint64_t since = 0;
	pthread_t t;
	int i;

	pthread_barrier_init(&both_have, NULL, 3);
	for (i = 0; i < 3; i++)
		if (pthread_create(&t, NULL, stands_still, &p[i]))
			return 2;
	while (check_patience(&since)) {
		struct nst_lockdep_stats s;

		if (looks)
			nst_lockdep_watch();
		nst_lockdep_read(&s, sizeof(s));
		if (s.codes[NST_NL_DEADLOCK])
			return 0;
	}
	return 1;
}

static void in_child(int looks, const char *name)
{
	pid_t pid;
	int status;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		nst_free(nst_alloc(64, NST_NORMAL)); /* the worker starts */
		_exit(stand_still(looks));
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		check_broken("fork");
	check(WIFEXITED(status) && WEXITSTATUS(status) == 0, name, "status 0x%x",
	      (unsigned int)status);
}

/* Threads of the parent waited when it was made: they are not in the child. */
static void in_fork(void)
{
	struct party p = {0, NONE, 1, 0, 0};
	pthread_t t;
	uint64_t since = 0;
	int status;
	pid_t pid;

	waiting = over = 0;
	has(1, 0);
	if (pthread_create(&t, NULL, takes_part, &p))
		check_broken("pthread_create");
	while (!__atomic_load_n(&waiting, __ATOMIC_ACQUIRE) && check_patience(&since))
		;
	fflush(NULL);
	pid = fork();
	if (!pid) {
		unsigned int i, found = 0;

		nst_lockdep_acquire(&lock[0], 0);
		nst_lockdep_contended(&lock[0]);
		for (i = 0; i < 20; i++) {
			found += nst_lockdep_watch();
			usleep(2000);
		}
		_exit((int)found);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		check_broken("fork");
	check(WIFEXITED(status) && WEXITSTATUS(status) == 0,
	      "V21 who waited in the parent does not in the child", "status 0x%x",
	      (unsigned int)status);
	__atomic_store_n(&over, 1, __ATOMIC_RELEASE);
	pthread_join(t, NULL);
	lets_go(1);
	forget();
}

int main(int argc, char **argv)
{
	unsigned int i;

	(void)argv;
	aloud = argc > 1;
	check_deadline(100, "V21 it comes to an end");
	for (i = 0; i < MOST; i++)
		nst_lockdep_map_init(&lock[i], names[i], NULL, NST_WAIT_SLEEP, NST_WAIT_SLEEP);
	nst_lockdep_watchdog(10);
	start_checking();
	deadlocks();
	said();
	no_deadlocks();
	in_order();
	in_fork();
	in_child(1, "V21 three that stand still, and the program looks");
	in_child(0, "V21 the worker sees them");
	nst_lockdep_stop();
	return check_status();
}
