/* SPDX-License-Identifier: MIT */
/*
 * sys_sync.c - the central lock: it excludes, a try never waits, a waiter needs no wake-up.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "sys/sys.h"
#include "common/check.h"

#define NR_THREADS 4
#define ROUNDS 20000

static struct nst_lock lock;
static struct {
	uint64_t a, b; /* equal outside the lock */
	uint64_t broken, tries_lost;
} shared;

static void *both(void *arg)
{
	uintptr_t id = (uintptr_t)arg;

	for (int i = 0; i < ROUNDS; i++) {
		if ((id + (unsigned int)i) % 3 == 0) {
			if (!nst_trylock_raw(&lock)) {
				__atomic_fetch_add(&shared.tries_lost, 1, __ATOMIC_RELAXED);
				continue;
			}
		} else {
			nst_lock_wait_raw(&lock);
		}
		shared.broken += shared.a != shared.b;
		shared.a++;
		shared.b++;
		nst_unlock_raw(&lock);
	}
	return NULL;
}

static void exclusion(void)
{
	pthread_t thread[NR_THREADS];
	uint64_t lost;

	for (uintptr_t i = 0; i < NR_THREADS; i++)
		pthread_create(&thread[i], NULL, both, (void *)i);
	for (int i = 0; i < NR_THREADS; i++)
		pthread_join(thread[i], NULL);
	lost = shared.tries_lost;
	check(shared.broken == 0 && shared.a == (uint64_t)NR_THREADS * ROUNDS - lost, "it excludes",
	      "%llu times seen half done, %llu of %llu counted", (unsigned long long)shared.broken,
	      (unsigned long long)shared.a, (unsigned long long)(NR_THREADS * ROUNDS - lost));
}

static void handler(int sig)
{
	(void)sig;
	shared.tries_lost += !nst_trylock_raw(&lock);
}

static void own_thread(void)
{
	struct sigaction sa = {.sa_handler = handler};

	sigaction(SIGUSR1, &sa, NULL);
	shared.tries_lost = 0;
	nst_lock_wait_raw(&lock);
	check(nst_lock_is_mine(&lock), "a held lock is its holder's", "it is not");
	raise(SIGUSR1);
	check(shared.tries_lost == 1, "a handler of the holder finds it held", "it does not");
	check(!nst_trylock_raw(&lock), "so does the holder", "it does not");
	nst_unlock_raw(&lock);
	check(!nst_lock_is_mine(&lock), "and nobody's after", "it is still");
}

static void let_go(void)
{
	nst_thread.forking = 0;
	nst_unlock_raw(&lock);
}

/* As mm/fork.c has it while handlers of the program's run. */
static void held_over_fork(void)
{
	nst_lock_on_wait_in_fork(let_go);
	nst_lock_wait_raw(&lock);
	nst_thread.forking = 1;
	check(!nst_trylock_raw(&lock) && nst_thread.forking, "held over a fork: a try fails",
	      "it does not");
	nst_lock_wait_raw(&lock);
	check(nst_lock_is_mine(&lock) && !nst_thread.forking, "who would wait lets go first",
	      "forking %u", nst_thread.forking);
	nst_unlock_raw(&lock);
	check(!nst_lock_is_mine(&lock), "and holds it once", "it is still");
}

/* Until it is told, and a little longer. */
static void *hold(void *arg)
{
	nst_lock_wait_raw(&lock);
	__atomic_store_n((int *)arg, 1, __ATOMIC_RELEASE);
	while (__atomic_load_n((int *)arg, __ATOMIC_ACQUIRE) == 1)
		usleep(100);
	usleep(30000);
	nst_unlock_raw(&lock);
	return NULL;
}

static void waiting(void)
{
	pthread_t thread;
	int held = 0;
	u64 waited = nst_lock_counters[NST_LOCK_ZONE].waited;

	pthread_create(&thread, NULL, hold, &held);
	while (!__atomic_load_n(&held, __ATOMIC_ACQUIRE))
		usleep(100);
	check(nst_lock_wait_us_raw(&lock, 2000) == 0, "a wait with a limit ends",
	      "it got the lock");
	__atomic_store_n(&held, 2, __ATOMIC_RELEASE);
	nst_lock_wait_raw(&lock);
	check(nst_lock_is_mine(&lock), "a waiter gets it in the end", "it did not");
	nst_unlock_raw(&lock);
	pthread_join(thread, NULL);
	check(nst_lock_counters[NST_LOCK_ZONE].waited > waited, "waits are counted", "none was");
	check(nst_lock_counters[NST_LOCK_ZONE].longest_ticks > 0, "the longest hold is known", "0");
}

static void *wake(void *arg)
{
	usleep(20000);
	__atomic_store_n((u32 *)arg, 1, __ATOMIC_RELEASE);
	nst_sys_futex_wake(arg);
	return NULL;
}

static void futex(void)
{
	static u32 word;
	pthread_t thread;
	u64 before = nst_sys_now_ns();

	errno = 99;
	nst_sys_futex_wait(&word, 0, 1000);
	check(errno == 99, "a wait leaves errno", "%d", errno);
	check(nst_sys_now_ns() - before >= 900000, "it ends by time, not before", "%llu ns",
	      (unsigned long long)(nst_sys_now_ns() - before));
	nst_sys_futex_wait(&word, 5, 10000000);
	pthread_create(&thread, NULL, wake, &word);
	nst_sys_futex_wait(&word, 0, 10000000);
	pthread_join(thread, NULL);
	check(word == 1 && nst_sys_now_ns() - before < 9000000000, "it is woken", "word %u", word);
}

static void say(const char *line, size_t len, int fatal)
{
	if (write(STDOUT_FILENO, line, len) < 0 || fatal)
		_exit(fatal ? 3 : 4);
}

/* An ordinary request in a handler that interrupted one: the end, not a wait for ever. */
static void waits_for_itself(void)
{
	char text[256] = "";
	int end[2], status = 0;

	if (pipe(end))
		check_broken("pipe");
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		dup2(end[1], STDOUT_FILENO);
		nst_bug_sink = say;
		nst_lock_wait_raw(&lock);
		nst_lock_wait_raw(&lock);
		_exit(0);
	}
	close(end[1]);
	ssize_t n = read(end[0], text, sizeof(text) - 1);
	close(end[0]);
	waitpid(pid, &status, 0);
	check(n > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 3 &&
		      !strcmp(text,
			      "nostall: a request waits for a lock that its own thread holds; "
			      "allowed in a signal handler: modes and entries that wait for "
			      "nothing\n"),
	      "B24 a wait for a lock of its own is the end", "status %#x, '%s'", status, text);
}

int main(void)
{
	nst_lock_init(&lock, NST_LOCK_ZONE);
	check_deadline(60, "locks end");
	exclusion();
	own_thread();
	held_over_fork();
	waiting();
	futex();
	waits_for_itself();
	check(nst_sys_fence_cpu(0) == 0 || !nst_sys_membarrier_ok, "a fence of one CPU", "refused");
	check(nst_sys_fence_cpu(-1) == 0 || !nst_sys_membarrier_ok, "a fence of all", "refused");
	return check_status();
}
