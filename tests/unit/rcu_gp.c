/* SPDX-License-Identifier: MIT */
/*
 * rcu_gp.c - cookies and the machine of our own domain, one step at a time:
 * Q2. A period ends when every section has that ran when it began, and not before.
 * Q3. A cookie names a period that begins after it was taken; steps never wait.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "mm/mm.h"
#include "common/check.h"
#include "common/said.h"
#include "common/trap.h"

#define NR_WAITERS 4
#define ROUNDS 300

/* The worker makes no period here. */
TEST_CONF("worker:off,rcu_stall_ms:500")

static struct nst_rcu_domain *own = nst_rcu_own;

static int steps(int n)
{
	int more = 0;

	while (n--)
		more = nst_gp_step(own);
	return more;
}

static void check_cookies(void)
{
	u64 done = own->done;
	nst_cookie_t a, b;

	check(nst_gp_done(0) == 1, "Q3 0 is always over", "it is not");
	a = nst_gp_start();
	b = nst_gp_start();
	check(a == b && a != 0, "Q3 who asks before it begins shares a period", "%llu and %llu",
	      (unsigned long long)a, (unsigned long long)b);
	check(nst_gp_done(a) == 0, "Q3 it has not begun", "it is over");
	check(nst_gp_done(a + 1) == -EINVAL, "Q3 no such cookie was given", "%d",
	      nst_gp_done(a + 1));
	check(nst_gp_wait(a + 1) == -EINVAL, "Q3 nor is it waited for", "%d", nst_gp_wait(a + 1));
	check(steps(1) == 0 && nst_gp_done(a) == 1, "Q2 without readers one step does", "done %d",
	      nst_gp_done(a));
	check(steps(3) == 0 && own->done == done + 1, "Q3 no period that nobody wants", "%llu",
	      (unsigned long long)(own->done - done));
	check(nst_synchronize_rcu() == 0 && own->done == done + 2, "Q2 synchronize is one", "%llu",
	      (unsigned long long)(own->done - done));
	check(nst_gp_wait(a) == 0 && own->done == done + 2, "Q3 what is over is not waited for",
	      "%llu", (unsigned long long)(own->done - done));
}

/* From here on beyond 32 bits. */
static void check_wide(void)
{
	nst_cookie_t a;

	own->started = own->done = 0xfffffffe;
	for (int i = 0; i < 4; i++) {
		a = nst_gp_start();
		check_quiet(nst_gp_done(a) == 0, "Q3 not yet", "period %d", i);
		steps(1);
		check_quiet(nst_gp_done(a) == 1, "Q3 over", "period %d", i);
	}
	check(own->done == 0x100000002, "Q3 cookies do not wrap", "%#llx",
	      (unsigned long long)own->done);
}

static void check_waits(void)
{
	nst_rcu_token_t old = nst_rcu_read_begin(), young;
	nst_cookie_t a = nst_gp_start(), b;

	check(steps(5) == 1 && nst_gp_done(a) == 0, "Q2 a section from before holds it up", "%d",
	      nst_gp_done(a));
	b = nst_gp_start();
	check(b == a + 1, "Q3 who asks while it runs gets the next", "%llu after %llu",
	      (unsigned long long)b, (unsigned long long)a);
	young = nst_rcu_read_begin();
	nst_rcu_read_end(old);
	steps(1);
	check(nst_gp_done(a) == 1, "Q2 a section from after does not", "%d", nst_gp_done(a));
	steps(5);
	check(nst_gp_done(b) == 0, "Q2 but the next", "it is over");
	nst_rcu_read_end(young);
	steps(1);
	check(nst_gp_done(b) == 1, "Q2 until it ends", "%d", nst_gp_done(b));
}

/* Who presses begins what is needed, and leaves what is in the way. */
static void check_pressed(void)
{
	nst_rcu_token_t t;
	nst_cookie_t c = nst_gp_stamp(own);
	u64 done = own->done;

	check(nst_gp_press(c - 1) == 1 && own->done == done, "Q3 what is over is not pressed for",
	      "%llu periods", (unsigned long long)(own->done - done));
	check(nst_gp_press(c) == 1 && own->done == done + 1, "Q2 pressed for, a period is made",
	      "%llu", (unsigned long long)(own->done - done));
	t = nst_rcu_read_begin();
	nst_gp_start();
	steps(1);
	c = nst_gp_stamp(own);
	check(nst_gp_press(c) == 0 && own->done == done + 1 && own->started == c,
	      "Q2 a section holds it up", "%llu", (unsigned long long)(own->done - done));
	nst_rcu_read_end(t);
	nst_lock_wait(&nst_rcu_lock);
	check(nst_gp_press(c) == 0, "Q3 and so does who makes one", "it does not");
	nst_unlock(&nst_rcu_lock);
	check(nst_gp_press(c) == 1 && own->done == done + 3,
	      "Q2 the one under way, and the next, at once", "%llu",
	      (unsigned long long)(own->done - done));
}

/* A reader that read the phase, and counted only after the period before had looked. */
static void *late(void *arg)
{
	__atomic_store_n(&nst_test_delay[NST_SEQ_IN][1], UINT32_MAX, __ATOMIC_RELEASE);
	*(nst_rcu_token_t *)arg = nst_rcu_read_begin(); /* the thread's first: the slow way */
	return NULL;
}

static void check_late(void)
{
	nst_rcu_token_t t = 0;
	pthread_t thread;
	nst_cookie_t a;

	pthread_create(&thread, NULL, late, &t);
	while (!__atomic_load_n(&nst_test_delay[NST_SEQ_IN][1], __ATOMIC_ACQUIRE))
		usleep(100);
	usleep(20000); /* it has read the phase */
	a = nst_gp_start();
	steps(1);
	check(nst_gp_done(a) == 1, "Q2 the period before it counted", "%d", nst_gp_done(a));
	__atomic_store_n(&nst_test_delay[NST_SEQ_IN][1], 0, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	a = nst_gp_start();
	steps(5);
	check(nst_gp_done(a) == 0, "Q2 a reader that counted late holds up the next",
	      "it does not");
	nst_rcu_read_end(t);
	steps(1);
	check(nst_gp_done(a) == 1, "Q2 until it ends", "%d", nst_gp_done(a));
}

static struct {
	nst_cookie_t cookie;
	int err, over;
} waiter;

static void *wait_for(void *arg)
{
	(void)arg;
	waiter.err = nst_gp_wait(waiter.cookie);
	__atomic_store_n(&waiter.over, 1, __ATOMIC_RELEASE);
	return NULL;
}

static void check_waiter(void)
{
	nst_rcu_token_t t = nst_rcu_read_begin();
	pthread_t thread;

	waiter.over = 0;
	waiter.cookie = nst_gp_start();
	pthread_create(&thread, NULL, wait_for, NULL);
	usleep(30000);
	check(!__atomic_load_n(&waiter.over, __ATOMIC_ACQUIRE), "Q2 a waiter waits", "it returned");
	nst_rcu_read_end(t);
	pthread_join(thread, NULL);
	check(waiter.err == 0 && own->waiters == 0, "Q2 and needs nobody to wake it", "%d",
	      waiter.err);
}

static void *synchronize(void *arg)
{
	for (int i = 0; i < ROUNDS; i++)
		*(int *)arg |= nst_synchronize_rcu();
	return NULL;
}

static void check_shared(void)
{
	pthread_t thread[NR_WAITERS];
	int err[NR_WAITERS] = {0}, any = 0;
	u64 done = own->done;

	for (int i = 0; i < NR_WAITERS; i++)
		pthread_create(&thread[i], NULL, synchronize, &err[i]);
	for (int i = 0; i < NR_WAITERS; i++) {
		pthread_join(thread[i], NULL);
		any |= err[i];
	}
	done = own->done - done;
	check(any == 0 && done >= ROUNDS && done <= NR_WAITERS * ROUNDS, "Q3 callers share periods",
	      "%llu periods", (unsigned long long)done);
}

/* ---- where nobody can fence for all ---- */

static void check_refused(void)
{
	nst_rcu_token_t before = nst_rcu_read_begin(), t;
	nst_cookie_t c;
	int n = lines;

	nst_test_now_ns = nst_sys_now_ns();
	nst_test_fail[NST_FAIL_BARRIER] = -1;
	c = nst_gp_start();
	steps(2); /* a reader is seen without a barrier */
	nst_rcu_read_end(before);
	steps(3);
	check(lines == n + 1 && nst_rcu_readers.phase < 0 && nst_rcu_stamp_fences,
	      "Q4 refused at run time: readers fence", "%d lines, phase %d", lines - n,
	      nst_rcu_readers.phase);
	check(nst_gp_done(c) == 0, "Q4 after all have had time to see it", "at once");
	t = nst_rcu_read_begin();
	nst_test_now_ns += 1000000000;
	c = nst_gp_start();
	steps(5);
	check(nst_gp_done(c) == 0, "Q4 sections are waited for", "they are not");
	nst_rcu_read_end(t);
	steps(5);
	check(nst_gp_done(c) == 1 && lines == n + 2, "Q4 and periods end, the first reported", "%d",
	      nst_gp_done(c));
	nst_test_now_ns = 0;
	check(nst_synchronize_rcu() == 0, "Q4 synchronize, too", "it fails");
	check_waits();
	check_waiter();
}

static volatile sig_atomic_t handled;

static void in_handler(int sig)
{
	nst_cookie_t c = nst_gp_start();

	(void)sig;
	handled = nst_gp_done(c) == 0 || nst_gp_done(c) == 1;
}

int main(int argc, char **argv)
{
	(void)argc;
	conf_apply(argv);
	check_deadline(60, "periods end");
	check_cookies();
	check_wide();
	check_waits();
	check_pressed();
	check_late();
	check_waiter();
	check_shared();
	signal(SIGUSR1, in_handler);
	raise(SIGUSR1);
	check(handled && nst_synchronize_rcu() == 0, "Q3 asked for in a handler", "%d",
	      (int)handled);
	nst_bug_sink = listen;
	check_refused();
	errno = 99;
	nst_rcu_read_end(nst_rcu_read_begin());
	handled = nst_synchronize_rcu();
	check(errno == 99 && handled == 0, "C7 errno is left alone", "%d", errno);
	return check_status();
}
