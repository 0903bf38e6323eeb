/* SPDX-License-Identifier: MIT */
/*
 * rcu_domain.c - domains of readers that are not ours, made up here: what is refused and with which code, who is
 * called and when, one barrier a period, reports, and the child of a fork.
 * Q7. Several domains; cookies mean the same in each.
 * Q8. A child's periods end, or who waits is refused: never a wait for ever.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "mm/mm.h"
#include "common/check.h"
#include "common/said.h"
#include "common/trap.h"
#include "fake.h"

#define STALL_MS 200
TEST_CONF("worker:off,rcu_stall_ms:200")

/* Returns once there is no reader. */
static void fake_synchronize(void *ctx)
{
	struct fake *f = ctx;

	check_quiet(!__atomic_exchange_n(&f->inside, 1, __ATOMIC_ACQUIRE), "Q7 one call at a time",
		    "two");
	pthread_sigmask(SIG_BLOCK, NULL, &f->blocked);
	while (__atomic_load_n(&f->readers, __ATOMIC_ACQUIRE))
		usleep(100);
	__atomic_fetch_add(&f->calls, 1, __ATOMIC_RELEASE);
	__atomic_store_n(&f->inside, 0, __ATOMIC_RELEASE);
}

static void fake_nothing(void *ctx)
{
	(void)ctx;
}

static struct nst_rcu_domain *make(const char *name, struct fake *f)
{
	struct nst_rcu_domain_ops ops = {.synchronize = fake_synchronize, .ctx = f};
	struct nst_rcu_domain *d = NULL;

	if (nst_rcu_domain_create(name, &ops, &d))
		check_broken("nst_rcu_domain_create");
	return d;
}

static void check_arguments(void)
{
	static const char *const bad[] = {NULL, "", "two words", "new\nline",
					  "a-name-of-thirty-two-characters-"};
	struct nst_rcu_domain_ops ops = {.synchronize = fake_synchronize}, half = ops, none = {0};
	struct nst_rcu_domain *const same = (struct nst_rcu_domain *)0x10, *d = same;
	unsigned int wrong = 0;

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		wrong += nst_rcu_domain_create(bad[i], &ops, &d) != -EINVAL;
	check(wrong == 0, "Q7 a bad name is -EINVAL", "%u are not", wrong);
	half.online = fake_online;
	check(nst_rcu_domain_create("half", &half, &d) == -EINVAL, "Q7 online without offline",
	      "0");
	check(nst_rcu_domain_create("none", &none, &d) == -EINVAL, "Q7 no synchronize", "0");
	check(nst_rcu_domain_create("none", NULL, &d) == -EINVAL, "Q7 no ops", "0");
	check(nst_rcu_domain_create("out", &ops, NULL) == -EINVAL, "Q7 nowhere to put it", "0");
	nst_test_fail[NST_FAIL_THREAD] = 1;
	check(nst_rcu_domain_create("thread", &ops, &d) == -EAGAIN && d == same,
	      "Q7 no thread: -EAGAIN, and nothing is made", "%p", (void *)d);
	d = (struct nst_rcu_domain *)(void *)((char *)nst_rcu_own + 8);
	check(nst_gp_start_in(NULL) == 0 && nst_gp_start_in(same) == 0 && nst_gp_start_in(d) == 0 &&
		      nst_gp_start_in(nst_rcu_own + 1) == 0,
	      "Q7 start in what is no domain: 0", "a cookie");
	check(nst_gp_done_in(NULL, 0) == -EINVAL && nst_gp_wait_in(same, 1) == -EINVAL &&
		      nst_synchronize_rcu_in(d) == -EINVAL &&
		      nst_rcu_domain_destroy(nst_rcu_own + 1) == -EINVAL &&
		      nst_rcu_domain_destroy(NULL) == -EINVAL,
	      "Q7 the others: -EINVAL", "not all");
	check(nst_rcu_domain_destroy(nst_rcu_own) == -EINVAL, "Q7 ours stays", "it does not");
}

static void check_many(void)
{
	struct nst_rcu_domain *d[NST_RCU_DOMAINS], *more = NULL;
	struct nst_rcu_domain_ops ops = {.synchronize = fake_nothing};
	nst_cookie_t old;

	for (unsigned int i = 0; i < NST_RCU_DOMAINS - 1; i++)
		if (nst_rcu_domain_create("many", &ops, &d[i]))
			check_broken("nst_rcu_domain_create");
	check(nst_rcu_domain_create("more", &ops, &more) == -ENOSPC && !more, "Q7 so many, -ENOSPC",
	      "%p", (void *)more);
	old = nst_gp_start_in(d[3]);
	for (unsigned int i = 0; i < NST_RCU_DOMAINS - 1; i++)
		check_quiet(nst_synchronize_rcu_in(d[i]) == 0 && nst_rcu_domain_destroy(d[i]) == 0,
			    "Q7 each does", "%u does not", i);
	check(nst_gp_start_in(d[3]) == 0 && nst_rcu_domain_destroy(d[3]) == -EINVAL,
	      "Q7 what was destroyed is no domain", "it is");
	if (nst_rcu_domain_create("again", &ops, &more))
		check_broken("nst_rcu_domain_create");
	check(nst_gp_done_in(more, old) == 1, "Q7 a place used again: old cookies are over", "%d",
	      nst_gp_done_in(more, old));
	nst_rcu_domain_destroy(more);
}

static void check_periods(void)
{
	static struct fake f, g;
	struct nst_rcu_domain *d = make("first", &f), *e = make("second", &g);
	nst_cookie_t a, b;
	uint64_t since = 0;
	int calls;
	long barriers;

	nst_test_fail[NST_FAIL_BARRIER] = 1000;
	calls = f.calls;
	check(nst_synchronize_rcu_in(d) == 0 && f.calls == calls + 1, "Q7 synchronize is called",
	      "%d times", f.calls - calls);
	barriers = 1000 - nst_test_fail[NST_FAIL_BARRIER];
	check(barriers == 1, "Q7 a barrier each period, whatever the domain", "%ld", barriers);
	check(nst_synchronize_rcu_in(d) == 0 && nst_test_fail[NST_FAIL_BARRIER] == 998,
	      "Q7 the next as well", "%ld", 1000 - nst_test_fail[NST_FAIL_BARRIER]);
	nst_test_fail[NST_FAIL_BARRIER] = 0;
	check(sigismember(&f.blocked, SIGUSR1) == 1 && sigismember(&f.blocked, SIGALRM) == 1,
	      "Q7 with signals blocked", "they are not");

	__atomic_store_n(&f.readers, 1, __ATOMIC_RELEASE);
	a = nst_gp_start_in(d);
	while (nst_gp_start_in(d) == a) { /* until that has begun */
		nst_gp_step(d);
		usleep(1000);
	}
	b = nst_gp_start_in(d);
	check(b == a + 1 && nst_gp_done_in(d, a) == 0, "Q7 a reader holds it up", "%d",
	      nst_gp_done_in(d, a));
	check(nst_synchronize_rcu_in(e) == 0 && nst_synchronize_rcu() == 0,
	      "Q7 but no other domain", "it does");
	check(nst_rcu_domain_hold(d) == 1 && nst_rcu_domain_destroy(d) == -EBUSY,
	      "Q7 held against destroying: -EBUSY", "it was destroyed");
	nst_rcu_domain_let_go(d, 1);
	__atomic_store_n(&f.readers, 0, __ATOMIC_RELEASE);
	check(nst_gp_wait_in(d, b) == 0 && nst_gp_done_in(d, a) == 1, "Q7 until it leaves", "%d",
	      nst_gp_done_in(d, b));
	/* Nobody steps, nobody waits, no worker: its thread looks for itself. */
	a = nst_gp_start_in(d);
	while (!nst_gp_done_in(d, a) && check_patience(&since))
		;
	check(nst_gp_done_in(d, a) == 1, "Q7 a wish is enough", "it is not");
	check(nst_rcu_domain_destroy(d) == 0 && nst_rcu_domain_destroy(e) == 0, "Q7 destroyed",
	      "not all");
}

static void check_readers_wait(void)
{
	static struct fake f;
	struct nst_rcu_domain_ops ops = {
		.synchronize = fake_synchronize, .ctx = &f, .read_ongoing = fake_ongoing};
	struct nst_rcu_domain *d, *e;

	if (nst_rcu_domain_create("inside", &ops, &d))
		check_broken("nst_rcu_domain_create");
	ops.online = fake_online;
	ops.offline = fake_offline;
	if (nst_rcu_domain_create("online", &ops, &e))
		check_broken("nst_rcu_domain_create");
	f.ongoing = 1;
	check(nst_synchronize_rcu_in(d) == -EDEADLK, "Q7 a wait inside a section is refused",
	      "it waits");
	check(nst_synchronize_rcu_in(e) == 0 && f.offline == 1 && f.online == 1 && f.ongoing == 1,
	      "Q7 who is online is offline for the wait", "%d, %d", f.offline, f.online);
	f.ongoing = 0;
	check(nst_synchronize_rcu_in(e) == 0 && f.offline == 1, "Q7 others are left alone", "%d",
	      f.offline);
	nst_rcu_domain_destroy(d);
	ops.online = ops.offline = fake_nothing;
	if (nst_rcu_domain_create("stays", &ops, &d))
		check_broken("nst_rcu_domain_create");
	f.ongoing = 1;
	check(nst_synchronize_rcu_in(d) == -EDEADLK, "Q7 who cannot stand aside is refused",
	      "it waits");
	nst_rcu_domain_destroy(d);
	nst_rcu_domain_destroy(e);
}

/* ---- reports ---- */

static void *leave(void *arg)
{
	while (!__atomic_load_n(&lines, __ATOMIC_ACQUIRE))
		usleep(1000);
	__atomic_store_n((int *)arg, 0, __ATOMIC_RELEASE);
	return NULL;
}

static void check_stall(void)
{
	static const char line[] = "nostall: grace period stalled: domain=slow age_ms=";
	static struct fake f = {.readers = 1};
	struct nst_rcu_domain *d = make("slow", &f);
	pthread_t thread;
	char *after;

	nst_bug_sink = listen;
	pthread_create(&thread, NULL, leave, &f.readers);
	check(nst_synchronize_rcu_in(d) == 0, "Q6 a stalled period ends", "refused");
	pthread_join(thread, NULL);
	after = strstr(said, " periods_waiting=");
	check(lines == 1 && !strncmp(said, line, sizeof(line) - 1) &&
		      atol(said + sizeof(line) - 1) >= STALL_MS && after &&
		      strstr(after, "threads_waiting=1 sections_open=unknown forked=0\n"),
	      "Q6 and was reported, once", "%d lines, '%s'", lines, said);
	nst_rcu_domain_destroy(d);
	nst_bug_sink = NULL;
}

/* ---- fork ---- */

static int child(pid_t (*how)(void), int (*what)(void *), void *arg)
{
	int status = 0;
	pid_t pid = how();

	if (pid == 0)
		_exit(what(arg));
	if (pid < 0)
		check_broken("fork");
	if (child_wait(pid, 40, &status))
		return -1; /* it hung */
	return WIFEXITED(status) ? WEXITSTATUS(status) : -2;
}

static nst_rcu_token_t mine;

/* The section that the forking thread has open is waited for, and no other. */
static int own_sections(void *arg)
{
	nst_cookie_t c = nst_gp_start(), d;

	for (int i = 0; i < 5; i++)
		nst_gp_step(nst_rcu_own);
	if (mine && nst_gp_done(c))
		return 1;
	if (arg)
		nst_rcu_read_end(*(nst_rcu_token_t *)arg); /* of a lost thread: ends nothing */
	d = nst_gp_start();
	for (int i = 0; i < 5; i++)
		nst_gp_step(nst_rcu_own);
	if (mine && nst_gp_done(d))
		return 2;
	if (mine)
		nst_rcu_read_end(mine);
	if (nst_gp_wait(c) || nst_gp_wait(d))
		return 3;
	nst_rcu_read_end(nst_rcu_read_begin());
	mine = nst_rcu_read_begin();
	c = nst_gp_start();
	nst_gp_step(nst_rcu_own);
	if (nst_gp_done(c))
		return 4;
	nst_rcu_read_end(mine);
	return nst_synchronize_rcu() ? 5 : 0;
}

static struct {
	nst_rcu_token_t token;
	int inside, leave;
} other;

static void *read_long(void *arg)
{
	(void)arg;
	nst_rcu_read_end(nst_rcu_read_begin());
	other.token = nst_rcu_read_begin();
	__atomic_store_n(&other.inside, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&other.leave, __ATOMIC_ACQUIRE))
		usleep(1000);
	nst_rcu_read_end(other.token);
	return NULL;
}

static void check_fork(const char *name, pid_t (*how)(void))
{
	pthread_t thread;
	nst_cookie_t c;
	int got;

	mine = 0;
	got = child(how, own_sections, NULL);
	check(got == 0, "Q8 a child's periods", "%s: %d", name, got);
	mine = nst_rcu_read_begin();
	got = child(how, own_sections, NULL);
	check(got == 0, "Q8 the forking thread's section goes on", "%s: %d", name, got);
	other.inside = other.leave = 0;
	pthread_create(&thread, NULL, read_long, NULL);
	while (!__atomic_load_n(&other.inside, __ATOMIC_ACQUIRE))
		usleep(1000);
	c = nst_gp_start();
	nst_gp_step(nst_rcu_own); /* forked in the middle of a period */
	got = child(how, own_sections, NULL);
	check(got == 0, "Q8 a lost thread's section does not", "%s: %d", name, got);
	got = child(how, own_sections, &other.token);
	check(got == 0, "Q8 and its token ends nothing", "%s: %d", name, got);
	nst_rcu_read_end(mine);
	mine = 0;
	got = child(how, own_sections, NULL);
	check(got == 0, "Q8 nor if no other is there", "%s: %d", name, got);
	check(nst_gp_done(c) == 0, "Q8 the parent goes on", "it is over");
	__atomic_store_n(&other.leave, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	check(nst_gp_wait(c) == 0, "Q8 and ends its period", "refused");
}

static int served(void *arg)
{
	return nst_synchronize_rcu_in(arg) ? 1 : nst_rcu_domain_destroy(arg) ? 2 : 0;
}

static int caught(void *arg)
{
	struct fake *f = ((struct nst_rcu_domain *)arg)->ops.ctx;
	uint64_t since = 0;

	f->inside = 0; /* the lost thread */
	if (nst_synchronize_rcu_in(arg) != -EDEADLK || nst_synchronize_rcu_in(arg) != -EDEADLK)
		return 1;
	if (nst_rcu_domain_destroy(arg) != -EDEADLK)
		return 2;
	if (nst_synchronize_rcu())
		return 3;
	__atomic_store_n(&f->readers, 0, __ATOMIC_RELEASE); /* a miracle */
	while (nst_synchronize_rcu_in(arg))
		if (!check_patience(&since))
			return 4;
	return nst_synchronize_rcu_in(arg) ? 5 : 0;
}

static int without_thread(void *arg)
{
	nst_test_fail[NST_FAIL_THREAD] = -1;
	if (nst_synchronize_rcu_in(arg) != -EAGAIN)
		return 1;
	nst_test_fail[NST_FAIL_THREAD] = 0;
	return nst_synchronize_rcu_in(arg) ? 2 : 0;
}

static int after__Fork(void *arg)
{
	return nst_synchronize_rcu_in(arg) != -EDEADLK ? 1 : nst_rcu_domain_destroy(arg) ? 2 : 0;
}

static void check_fork_domain(void)
{
	static struct fake f;
	struct nst_rcu_domain *d = make("forked", &f);
	nst_cookie_t c;
	int got;

	check(nst_synchronize_rcu_in(d) == 0, "Q8 in the parent", "refused");
	got = child(fork, served, d);
	check(got == 0, "Q8 a domain in a child has a thread again", "%d", got);
	got = child(fork, without_thread, d);
	check(got == 0, "Q8 where none can be made, -EAGAIN", "%d", got);
	got = child(_Fork, after__Fork, d);
	check(got == 0, "Q8 after _Fork(), -EDEADLK", "%d", got);
	f.readers = 1;
	c = nst_gp_start_in(d);
	while (nst_gp_start_in(d) == c)
		usleep(1000);
	got = child(fork, caught, d);
	check(got == 0, "Q8 a reader caught by the fork: -EDEADLK, not a wait for ever", "%d", got);
	f.readers = 0;
	check(nst_gp_wait_in(d, c) == 0 && nst_rcu_domain_destroy(d) == 0, "Q8 the parent goes on",
	      "refused");
}

int main(int argc, char **argv)
{
	(void)argc;
	conf_apply(argv);
	check_deadline(100, "domains end");
	errno = 99;
	check_arguments();
	check_many();
	check_periods();
	check_readers_wait();
	check(errno == 99, "errno is left alone", "%d", errno);
	check_stall();
	check_fork("fork", fork);
	check_fork("_Fork", _Fork);
	check_fork_domain();
	return check_status();
}
