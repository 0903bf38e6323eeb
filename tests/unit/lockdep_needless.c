/* SPDX-License-Identifier: MIT */
/*
 * lockdep_needless.c - V26: who takes without waiting, and might have waited each time, is told by its place; who was in
 * place once is not.
 *
 * NOSTALL_CONF has check:possible, so that requests which this CPU has stock for are seen as well.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "unit/lockdep.h"

static struct nst_lockdep_map spin = NST_LOCKDEP_MAP("spin", NULL, NST_WAIT_CONFIG),
			      mutex = NST_LOCKDEP_MAP("mutex", NULL, NST_WAIT_SLEEP);

/* Two places: what each is told of is seen apart. */
static __attribute__((noinline)) void *place(void)
{
	void *p = nst_alloc(64, NST_NOLOCK);

	__asm__ volatile("" : "+r"(p));
	return p;
}

static __attribute__((noinline)) void *other_place(void)
{
	void *p = nst_alloc_nolock(64);

	__asm__ volatile("" : "+r"(p));
	return p;
}

static void ask(void)
{
	nst_free_nolock(place());
}

static void told(unsigned int wanted, const char *name)
{
	unsigned int n = nst_lockdep_needless();

	check(n == wanted && nr_reports == wanted &&
		      (!wanted || (last.code == NST_NL_NEEDLESS && last.level == NST_LD_POSSIBLE)),
	      name, "%u places, %u reports, the last:\n%s", n, nr_reports, last_text);
	forget();
}

static void never_in_place(void)
{
	unsigned int i, n;

	for (i = 0; i < 5; i++)
		ask();
	n = nst_lockdep_needless();
	check(n == 1 && nr_reports == 1 && strstr(last_text, "(5 requests so far)"),
	      "V26 a place that might have waited each time", "%u: %s", n, last_text);
	n = nst_lockdep_needless();
	check(n == 1 && nr_reports == 1, "V26 it is told once", "%u, %u reports", n, nr_reports);
	forget();
	ask();
	nst_free_nolock(other_place());
	told(2, "V26 two places are two");
	nst_lockdep_acquire(&mutex, 0);
	ask();
	nst_lockdep_release(&mutex);
	told(1, "V26 under a mutex one might have waited");
	nst_free(nst_alloc(64, NST_NOWAIT));
	nst_free(nst_alloc(64, NST_FASTTRY));
	told(0, "V26 other modes are not of it");
}

static void *in_realtime(void *arg)
{
	struct sched_param p = {.sched_priority = 1};
	int *is = arg;

	/* It becomes one late: after requests that were not in place. */
	ask();
	*is = sched_setscheduler(0, SCHED_FIFO, &p) == 0;
	ask();
	return NULL;
}

static void in_place(void)
{
	nst_rcu_token_t token;
	nst_scope_t scope;
	int is = 0;

	ask();
	scope = nst_scope_enter(NST_SCOPE_NOLOCK);
	ask();
	nst_scope_exit(scope);
	told(0, "V26 in a no-lock scope, once");
	nst_lockdep_acquire(&spin, 0);
	ask();
	nst_lockdep_release(&spin);
	ask();
	told(0, "V26 with a spinlock held, once");
	nst_nonblock_begin();
	ask();
	nst_nonblock_end();
	told(0, "V26 in a section that must not block");
	nst_noalloc_begin();
	ask();
	nst_noalloc_end();
	told(0, "V26 in a section without requests that wait");
	nst_handler_enter(10);
	ask();
	nst_handler_exit();
	told(0, "V26 in a handler");
	token = nst_rcu_read_begin();
	ask();
	nst_rcu_read_end(token);
	told(0, "V26 in a read section");
	nst_reclaiming_begin(0);
	ask();
	nst_reclaiming_end();
	told(0, "V26 in reclaim");
	in_thread(in_realtime, &is);
	if (is)
		told(0, "V26 on a real-time thread");
	else
		printf("# no real-time threads here: %s\n", strerror(EPERM));
	forget();
}

/* What a dump says of places is so, too. */
static void dumped(void)
{
	char path[] = "/tmp/nostall-needless-XXXXXX", text[65536];
	int fd = mkstemp(path);
	ssize_t n;

	if (fd < 0)
		check_broken("mkstemp");
	unlink(path);
	ask();
	nst_nonblock_begin();
	nst_free_nolock(other_place());
	nst_nonblock_end();
	nst_lockdep_dump(fd, NST_LD_TEXT);
	n = pread(fd, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = 0;
	check(strstr(text, " requests=1 in_place=never\n") &&
		      strstr(text, " requests=1 in_place=yes\n"),
	      "V26 a dump has both", "%s", text);
	close(fd);
	forget();
}

/* What a program with the option prints at its end. */
static void at_the_end(void)
{
	char text[8192];
	int pipes[2], status;
	size_t used = 0;
	unsigned int i;
	ssize_t n;
	pid_t pid;

	fflush(stdout);
	if (pipe(pipes) || (pid = fork()) < 0)
		check_broken("fork");
	if (!pid) {
		dup2(pipes[1], 2);
		nst_lockdep_on_report(NULL, NULL);
		forget();
		for (i = 0; i < 3; i++)
			ask();
		exit(0);
	}
	close(pipes[1]);
	while ((n = read(pipes[0], text + used, sizeof(text) - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = 0;
	close(pipes[0]);
	if (waitpid(pid, &status, 0) != pid)
		check_broken("waitpid");
	check(status == 0 && strstr(text, "nostall: possible NL-NEEDLESS: ") &&
		      strstr(text, "(3 requests so far)"),
	      "V26 at the end of the program it is printed", "status 0x%x\n%s",
	      (unsigned int)status, text);
}

int main(void)
{
	if (nst_stock(nst_cache_of_size(64), 64, NST_CPU_ALL))
		check_broken("nst_stock");
	start_checking();
	never_in_place();
	in_place();
	dumped();
	at_the_end();
	return check_status();
}
