/* SPDX-License-Identifier: MIT */
/*
 * forks.c - R7: new processes while threads allocate: fork() from several threads at once, in a program whose
 * atfork handlers allocate; vfork(), posix_spawn(), system() and popen().
 *
 * A child that does not end is killed and a failure. The handlers are in deep.c, where they come before
 * the library's.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/trap.h"
#include "preload.h"
#include "middle.h"

#define NR_CHURN 3
#define NR_FORKERS 4u
#define FORKS_EACH 20u
#define SHORT_LIVES 920u
#define WAIT_SECONDS 40

extern char **environ;

static uint64_t seed;
static int stop;
static unsigned int wrong, bad_children;

static void *churner(void *arg)
{
	struct rng rng = {seed + (uintptr_t)arg};
	unsigned int bad = 0;

	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE))
		bad += churn(&rng, 200);
	__atomic_fetch_add(&wrong, bad, __ATOMIC_RELAXED);
	return NULL;
}

/* With little memory: each fork costs a copy of all that is written afterwards. */
static void *small_churner(void *arg)
{
	struct rng rng = {seed + (uintptr_t)arg};
	unsigned char *obj[64] = {NULL};
	unsigned int i;

	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		i = rng_below(&rng, 64);
		if (obj[i] && *obj[i] != i)
			__atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
		free(obj[i]);
		obj[i] = malloc(rng_size(&rng, 1, 4000));
		if (obj[i])
			*obj[i] = (unsigned char)i;
	}
	for (i = 0; i < 64; i++)
		free(obj[i]);
	return NULL;
}

static pthread_t churners[NR_CHURN];

static void churn_begin(void *(*life)(void *))
{
	uintptr_t i;

	stop = 0;
	wrong = 0;
	for (i = 0; i < NR_CHURN; i++)
		if (pthread_create(&churners[i], NULL, life, (void *)i))
			check_broken("pthread_create");
}

static void churn_end(const char *name)
{
	uintptr_t i;

	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	for (i = 0; i < NR_CHURN; i++)
		pthread_join(churners[i], NULL);
	check(wrong == 0, name, "%u objects damaged", wrong);
}

static void *child_thread(void *arg)
{
	struct rng rng = {seed ^ (uintptr_t)arg};

	return (void *)(uintptr_t)churn(&rng, 100);
}

/* The life of a child; its exit status. Whoever leaves its parent hanging is killed with it. */
static int child_life(uintptr_t nr, char *inherited)
{
	struct rng rng = {seed * 3 + nr};
	unsigned int bad = churn(&rng, 200);
	pthread_t threads[2];
	uintptr_t i;
	void *got;

	for (i = 0; i < 2; i++)
		if (pthread_create(&threads[i], NULL, child_thread, (void *)(nr + i)))
			return 10;
	free(inherited);
	for (i = 0; i < 2; i++) {
		pthread_join(threads[i], &got);
		bad += got != NULL;
	}
	bad += churn(&rng, 200);
	return bad ? 11 : 0;
}

static pid_t begin_child(void)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		check_broken("fork");
	if (!pid)
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	return pid;
}

/* ---- fork from several threads ---- */

static void *forker(void *arg)
{
	uintptr_t who = (uintptr_t)arg;
	unsigned int i;

	for (i = 0; i < FORKS_EACH; i++) {
		char *inherited = malloc(5000);
		int status = 0;
		pid_t pid = begin_child();

		if (!pid)
			_exit(child_life(who * 1000 + i, inherited));
		free(inherited);
		if (child_wait(pid, WAIT_SECONDS, &status) || status)
			__atomic_fetch_add(&bad_children, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void storm(void)
{
	pthread_t threads[NR_FORKERS];
	uintptr_t i;

	churn_begin(churner);
	for (i = 0; i < NR_FORKERS; i++)
		if (pthread_create(&threads[i], NULL, forker, (void *)i))
			check_broken("pthread_create");
	for (i = 0; i < NR_FORKERS; i++)
		pthread_join(threads[i], NULL);
	churn_end("and their parent's threads too");
	check(bad_children == 0, "80 children of four threads allocate, thread and end",
	      "%u did not", bad_children);
}

/* ---- many, one after the other ---- */

/* Without a thread of its own. Every tenth has a child, before it has allocated anything. */
static int short_life(unsigned int nr)
{
	struct rng rng = {seed * 5 + nr};
	int status = 0;
	pid_t pid = nr % 10 ? -1 : begin_child();

	if (!pid)
		_exit(short_life(nr + 1));
	if (pid > 0 && (child_wait(pid, WAIT_SECONDS, &status) || status))
		return 12;
	return churn(&rng, 200) ? 11 : 0;
}

static void short_lives(void)
{
	unsigned int i, good = 0;

	churn_begin(small_churner);
	for (i = 0; i < SHORT_LIVES; i++) {
		int status = 0;
		pid_t pid = begin_child();

		if (!pid)
			_exit(short_life(i));
		good += child_wait(pid, WAIT_SECONDS, &status) == 0 && !status;
	}
	churn_end("and so do the threads of who forks 920 times");
	check(good == SHORT_LIVES, "920 children allocate, some fork, and end", "%u did", good);
}

/* ---- atfork handlers ---- */

static void handlers(void)
{
	int i, status = 0, good = 0;
	pid_t pid;

	check(middle_ran_first(), "handlers there are that were registered before the library's",
	      "the order of constructors is another one");
	for (i = 0; i < 5; i++) {
		pid = begin_child();
		if (!pid)
			_exit(child_life((uintptr_t)i, malloc(100)));
		good += child_wait(pid, WAIT_SECONDS, &status) == 0 && !status;
	}
	check(good == 5 && middle_wrong() == 0, "atfork handlers allocate", "%d of 5, %u wrong, %s",
	      good, middle_wrong(), child_status(status));
}

/* ---- vfork, and what else starts programs ---- */

static int run_true(void)
{
	struct rng rng = {seed};
	pid_t pid = vfork();
	int status = 0;

	if (!pid) {
		/* As shells do, which build the environment here. */
		if (churn(&rng, 2000) == 0)
			execlp("true", "true", (char *)NULL);
		_exit(1);
	}
	return child_wait(pid, WAIT_SECONDS, &status) == 0 && !status;
}

static int spawn_true(void)
{
	char name[] = "true", *args[] = {name, NULL};
	int status = 0;
	pid_t pid;

	return posix_spawnp(&pid, name, NULL, NULL, args, environ) == 0 &&
	       child_wait(pid, WAIT_SECONDS, &status) == 0 && !status;
}

static int read_pipe(void)
{
	char line[32] = "";
	FILE *f = popen("echo from a pipe", "r");

	if (!f || !fgets(line, sizeof(line), f))
		return 0;
	return pclose(f) == 0 && !strcmp(line, "from a pipe\n");
}

static void programs(void)
{
	int i, vforks = 0, spawns = 0, systems = 0, pipes = 0;

	churn_begin(churner);
	for (i = 0; i < 20; i++)
		vforks += run_true();
	for (i = 0; i < 20; i++)
		spawns += spawn_true();
	for (i = 0; i < 5; i++)
		systems += system("exit 3") == 3 << 8;
	for (i = 0; i < 5; i++)
		pipes += read_pipe();
	churn_end("meanwhile all objects stay as they are");
	check(vforks == 20, "vfork(), and a child that allocates before it executes", "%d of 20",
	      vforks);
	check(spawns == 20, "posix_spawnp()", "%d of 20", spawns);
	check(systems == 5, "system()", "%d of 5", systems);
	check(pipes == 5, "popen()", "%d of 5", pipes);
}

int main(int argc, char **argv)
{
	demand_preload();
	seed = seed_of(argc, argv);
	check_deadline(360, "children end");
	handlers();
	short_lives();
	storm();
	programs();
	return check_status();
}
