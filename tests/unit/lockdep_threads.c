/* SPDX-License-Identifier: MIT */
/*
 * lockdep_threads.c - V8: more threads than there are blocks for, and threads for which there is no memory: said once, and
 * the others are checked on.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/testhook.h"
#include "lockdep/engine.h"
#include "unit/lockdep.h"

#define MORE 8u
#define TIMES 2000u
#define STACK_BYTES (64u << 10)
#define EVERY (-1L)

static struct nst_lockdep_map lock[3];

/* What is printed meanwhile is kept, and read again. */
static int saved, pipes[2];

static void listen_begin(void)
{
	saved = dup(2);
	if (saved < 0 || pipe2(pipes, O_NONBLOCK) || dup2(pipes[1], 2) < 0)
		check_broken("standard error");
}

/* How often @what was said. */
static unsigned int listen_end(const char *what)
{
	static char text[65536];
	ssize_t n = read(pipes[0], text, sizeof(text) - 1);
	unsigned int times = 0;
	char *s;

	text[n > 0 ? n : 0] = 0;
	for (s = text; (s = strstr(s, what)) != NULL; s++)
		times++;
	dup2(saved, 2);
	close(saved);
	close(pipes[0]);
	close(pipes[1]);
	return times;
}

static void *inverts(void *arg)
{
	(void)arg;
	take_both(&lock[1], &lock[0]);
	return NULL;
}

/* ---- no memory ---- */

static u32 blocks_before, blocks_after;

static void *without_memory(void *arg)
{
	enum nst_fail kind = *(const enum nst_fail *)arg;

	blocks_before = nst_ld.nr_threads;
	nst_test_fail[kind] = EVERY;
	for (unsigned int i = 0; i < TIMES; i++)
		take_both(&lock[1], &lock[2]);
	nst_test_fail[kind] = 0;
	blocks_after = nst_ld.nr_threads;
	return inverts(NULL);
}

/* @nr_said: lines, of both together one. */
static void no_memory(enum nst_fail kind, unsigned int nr_said, const char *name)
{
	unsigned int said;

	take_both(&lock[0], &lock[1]);
	listen_begin();
	in_thread(without_memory, &kind);
	said = listen_end("no memory for what a thread holds");
	check(blocks_after == blocks_before, name, "%u blocks and then %u", blocks_before,
	      blocks_after);
	check(said == nr_said, "V8 and said once", "%u times", said);
	one_report(NST_NL_ORDER, NST_LD_ERROR, "V8 with memory again the thread is checked");
}

/* ---- too many ---- */

static pthread_barrier_t all_here, all_go;

static void *stays(void *arg)
{
	(void)arg;
	take_both(&lock[0], &lock[1]);
	pthread_barrier_wait(&all_here);
	take_both(&lock[0], &lock[1]); /* whoever has no block asks again */
	pthread_barrier_wait(&all_go);
	return NULL;
}

static void too_many(void)
{
	static pthread_t thread[NST_LD_THREADS + MORE];
	const unsigned int nr = NST_LD_THREADS + MORE;
	struct nst_lockdep_stats s;
	unsigned int i, said;
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_barrier_init(&all_here, NULL, nr + 1);
	pthread_barrier_init(&all_go, NULL, nr + 1);
	listen_begin();
	for (i = 0; i < nr; i++)
		if (pthread_create(&thread[i], &attr, stays, NULL))
			check_broken("pthread_create");
	pthread_barrier_wait(&all_here);
	inverts(NULL); /* this thread has had a block from the beginning */
	one_report(NST_NL_ORDER, NST_LD_ERROR, "V8 with too many threads the others are checked");
	pthread_barrier_wait(&all_go);
	for (i = 0; i < nr; i++)
		pthread_join(thread[i], NULL);
	said = listen_end("table of threads is full (1024)");
	nst_lockdep_read(&s, sizeof(s));
	check(said == 1 && s.full == 1u << NST_LD_FULL_THREADS, "V8 said once, and counted",
	      "%u times, 0x%llx", said, (unsigned long long)s.full);
	check(nst_ld.nr_threads == NST_LD_THREADS, "V8 no more places than there are", "%u",
	      nst_ld.nr_threads);
	take_both(&lock[0], &lock[1]);
	in_thread(inverts, NULL);
	one_report(NST_NL_ORDER, NST_LD_ERROR, "V8 once they have gone a new thread is checked");
}

int main(void)
{
	static const char *const names[] = {"first", "second", "third"};

	make_locks(lock, names, 3);
	start_checking();
	no_memory(NST_FAIL_COMMIT, 1, "V8 a thread without memory takes no place");
	no_memory(NST_FAIL_RESERVE, 0, "V8 nor one without address space");
	too_many();
	return check_status();
}
