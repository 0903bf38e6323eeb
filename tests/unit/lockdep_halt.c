/* SPDX-License-Identifier: MIT */
/*
 * lockdep_halt.c - V28: what errors mean for the process: it ends behind the first (check_halt), or its status says so
 * (check_exit).
 *
 * Each case is a program of its own: this one again, with options and a name, whose end and words are looked at. A library in
 * which errors mean nothing must be caught (74).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <nostall/nostall.h>
#include "common/check.h"
#include "mm/mm.h"
#include "mm/page.h"

#define SECONDS 60u /* a child's; then it hangs */

static struct nst_lockdep_map a = NST_LOCKDEP_MAP("a", NULL, NST_WAIT_SLEEP),
			      b = NST_LOCKDEP_MAP("b", NULL, NST_WAIT_SLEEP);

/* ---- in the child: what is wrong, and who is told ---- */

static void say(const char *word)
{
	if (write(1, word, strlen(word)) < 0)
		_exit(98);
}

/* Each at a place of its own, so that each is told. */
static void error_one(void)
{
	nst_assert_held(&a);
}

static void error_two(void)
{
	nst_assert_held(&b);
}

static void dead(void *word)
{
	say(word);
}

static int one(void)
{
	nst_lockdep_on_death(dead, "dead\n");
	error_one();
	say("went on\n");
	error_two();
	return 0;
}

/* Neither told nor an error, or possible and no more. */
static int quiet(void)
{
	static struct nst_lockdep_key key;
	struct nst_lockdep_map m, n;

	nst_lockdep_on_death(dead, "dead\n");
	nst_lockdep_expect(NST_NL_HELD);
	error_one();
	if (nst_lockdep_expected() != 1 || nst_lockdep_suppress("NL-HELD module=*"))
		return 97;
	error_two();
	nst_lockdep_map_init(&m, "m", &key, NST_WAIT_SLEEP, NST_WAIT_SLEEP);
	nst_lockdep_map_init(&n, "n", &key, NST_WAIT_SLEEP, NST_WAIT_SLEEP);
	nst_lockdep_acquire(&m, 0);
	nst_lockdep_acquire(&n, 0);
	nst_lockdep_release(&n);
	nst_lockdep_release(&m);
	say("went on\n");
	return 0;
}

static void told(const struct nst_lockdep_report *r, void *word)
{
	if (r->len && r->json_len)
		say(word);
}

static int by_callback(void)
{
	nst_lockdep_on_report(told, "told\n");
	return one();
}

/* All that a program may do. */
static void calls(void *map)
{
	struct nst_lockdep_stats s;
	void *p;

	nst_lockdep_acquire(map, 0);
	p = nst_alloc(100, NST_NORMAL);
	nst_free(p);
	nst_lockdep_release(map);
	error_two();
	if (!p || nst_lockdep_read(&s, sizeof(s)) || s.errors != 2 ||
	    nst_lockdep_dump(2, NST_LD_TEXT))
		_exit(97);
	nst_lockdep_on_death(NULL, NULL);
	say("dead\n");
}

static int in_callback(void)
{
	nst_lockdep_on_death(calls, &b);
	error_one();
	return 0;
}

static void allocates(void *unused)
{
	(void)unused;
	nst_free_nolock(nst_alloc_nolock(64));
	say("dead\n");
}

static void on_signal(int number)
{
	nst_handler_enter(number);
	nst_might_alloc(NST_NORMAL);
	nst_handler_exit();
}

static int in_handler(void)
{
	nst_lockdep_on_death(allocates, NULL);
	signal(SIGUSR1, on_signal);
	nst_handler_installed(SIGUSR1);
	raise(SIGUSR1);
	return 0;
}

#define ERRING 6
static pthread_barrier_t together;

static void *errs(void *arg)
{
	struct nst_lockdep_map m;

	nst_lockdep_map_init(&m, arg, NULL, NST_WAIT_SLEEP, NST_WAIT_SLEEP);
	pthread_barrier_wait(&together);
	nst_lockdep_acquire(&m, 0);
	nst_assert_not_held(&m);
	nst_lockdep_release(&m);
	return NULL;
}

/* The others have time to come here, too. */
static void waits(void *word)
{
	struct timespec ts = {0, 50000000};

	say(word);
	nanosleep(&ts, NULL);
}

static int by_many(void)
{
	static char *names[ERRING] = {"m0", "m1", "m2", "m3", "m4", "m5"};
	pthread_t t[ERRING];
	int i;

	nst_lockdep_on_death(waits, "dead\n");
	pthread_barrier_init(&together, NULL, ERRING);
	for (i = 0; i < ERRING; i++)
		if (pthread_create(&t[i], NULL, errs, names[i]))
			return 97;
	for (i = 0; i < ERRING; i++)
		pthread_join(t[i], NULL);
	return 0;
}

/* More than this CPU's lists have: who would wait for the lock waits for himself. */
static void takes_much(void *unused)
{
	unsigned int i, had = 0;

	(void)unused;
	for (i = 0; i < 3000; i++)
		had += nst_pages_alloc(3, NST_NORMAL) != NULL;
	say(had < 3000 ? "dead\n" : "all were had without it\n");
}

static int with_own_lock(void)
{
	nst_free(nst_alloc(64, NST_NORMAL));
	nst_lockdep_on_death(takes_much, NULL);
	nst_lock_wait(&nst_zones[0].lock);
	error_one();
	return 0;
}

static int status_of(pid_t pid)
{
	int status;

	if (pid < 0)
		_exit(97);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			_exit(97);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void child_errs(void (*error)(void))
{
	pid_t pid = fork();

	if (!pid) {
		error();
		_exit(0);
	}
	if (status_of(pid) == 7)
		say("the child\n");
}

static int parent_and_child(void)
{
	nst_lockdep_on_death(dead, "dead\n");
	child_errs(error_one);
	error_two();
	return 0;
}

/* The child of one that is dying has errors of its own. */
static void forks(void *unused)
{
	static int nr;

	(void)unused;
	if (nr++)
		say("child dead\n");
	else
		child_errs(error_two);
}

static int forked_amid(void)
{
	nst_lockdep_on_death(forks, NULL);
	error_one();
	return 0;
}

/* ---- statuses ---- */

static int clean(void)
{
	printf("buffered");
	return 0;
}

static void at_exit(void)
{
	say("handler\n");
}

static int wrong(void)
{
	atexit(at_exit);
	printf("buffered");
	error_one();
	return 0;
}

static int own_status(void)
{
	error_one();
	return 3;
}

static int forgotten(void)
{
	error_one();
	nst_lockdep_reset();
	return 0;
}

static int stopped(void)
{
	error_one();
	nst_lockdep_stop();
	return 0;
}

static int late(void)
{
	atexit(error_one);
	return 0;
}

static int error_last;
__attribute__((destructor(102))) static void last(void)
{
	if (error_last)
		error_one();
}

static int by_destructor(void)
{
	error_last = 1;
	return 0;
}

static int at_once(void)
{
	error_one();
	_exit(0);
}

static void *reads(void *arg)
{
	pthread_barrier_wait(&together);
	getchar(); /* which has the stream's lock, for ever */
	return arg;
}

static int with_reader(void)
{
	struct timespec ts = {0, 50000000};
	pthread_t t;

	pthread_barrier_init(&together, NULL, 2);
	if (pthread_create(&t, NULL, reads, NULL))
		return 97;
	pthread_barrier_wait(&together);
	nanosleep(&ts, NULL);
	error_one();
	return 0;
}

static void *exits(void *arg)
{
	exit(arg ? 1 : 0);
}

static int by_thread(void)
{
	pthread_t t;

	error_one();
	if (pthread_create(&t, NULL, exits, NULL))
		return 97;
	pthread_join(t, NULL);
	return 0;
}

static int child_wrong(void)
{
	pid_t pid = fork();

	if (!pid) {
		error_one();
		exit(0);
	}
	if (status_of(pid) == 9)
		say("the child\n");
	return 0;
}

static int parent_wrong(void)
{
	pid_t pid;

	error_one();
	pid = fork();
	if (!pid)
		exit(0);
	if (!status_of(pid))
		say("the child\n");
	return 0;
}

/* ---- cases ---- */

#define ABORTS (-SIGABRT)
static const struct child {
	const char *name, *conf, *what;
	int (*run)(void);
	int status;
	const char *out;
	unsigned int errors; /* told on standard error */
} children[] = {
	{"goes on", "check:on", "no option: it goes on", one, 0, "went on\n", 2},
	{"halt", "check:on,check_halt:on", "it ends behind the first error, by abort()", one,
	 ABORTS, "dead\n", 1},
	{"halt json", "check:on,check_halt:on,check_json:on", "told as JSON, too", one, ABORTS,
	 "dead\n", 1},
	{"halt exit", "check:on,check_halt:on,check_exit:7", "or with the status that is asked for",
	 one, 7, "dead\n", 1},
	{"quiet", "check:possible,check_halt:on,check_exit:7",
	 "what is expected, suppressed or possible is no error", quiet, 0, "went on\n", 0},
	{"told", "check:on,check_halt:on", "the callback of reports is called before it",
	 by_callback, ABORTS, "told\ndead\n", 0},
	{"calls", "check:on,check_halt:on,check_exit:7",
	 "the callback may take locks, call the library, and be wrong", in_callback, 7, "dead\n",
	 2},
	{"handler", "check:on,check_halt:on,check_exit:7", "from a handler", in_handler, 7,
	 "dead\n", 1},
	{"many", "check:on,check_halt:on,check_exit:7", "by one thread of several", by_many, 7,
	 "dead\n", 0},
	{"own", "check:on,check_halt:on,check_exit:7,worker:off",
	 "with a lock of the library's held its requests do not wait", with_own_lock, 7, "dead\n",
	 1},
	{"fork", "check:on,check_halt:on,check_exit:7", "a child ends by its own error",
	 parent_and_child, 7, "dead\nthe child\ndead\n", 2},
	{"fork amid", "check:on,check_halt:on,check_exit:7",
	 "the child of one that is about to end, too", forked_amid, 7, "child dead\nthe child\n",
	 2},
	{"clean", "check:on,check_exit:9", "status: no errors, its own", clean, 0, "buffered", 0},
	{"wrong", "check:on,check_exit:9", "status: errors; handlers run and nothing is lost",
	 wrong, 9, "handler\nbuffered", 1},
	{"own status", "check:on,check_exit:9", "status: another than 0 stays", own_status, 3, "",
	 1},
	{"forgotten", "check:on,check_exit:9", "status: what is forgotten is no error", forgotten,
	 0, "", 1},
	{"stopped", "check:on,check_exit:9", "status: stopped, they are errors yet", stopped, 9, "",
	 1},
	{"late", "check:on,check_exit:9", "status: an error in a handler of exit()", late, 9, "",
	 1},
	{"last", "check:on,check_exit:9", "status: an error in a destructor", by_destructor, 9, "",
	 1},
	{"at once", "check:on,check_exit:9", "status: who calls _exit() has his own", at_once, 0,
	 "", 1},
	{"reader", "check:on,check_exit:9", "status: with a thread that reads for ever",
	 with_reader, 9, "", 1},
	{"thread", "check:on,check_exit:9", "status: exit() by another thread", by_thread, 9, "",
	 1},
	{"child", "check:on,check_exit:9", "status: a child's errors are its own", child_wrong, 0,
	 "the child\n", 1},
	{"parent", "check:on,check_exit:9", "status: and a parent's are not the child's",
	 parent_wrong, 9, "the child\n", 1},
	{"off", "check_halt:on,check_exit:9", "the validator off: nothing", one, 0, "went on\n", 0},
};

/* ---- the parent ---- */

struct said {
	char text[2][16384]; /* standard output, standard error */
	size_t len[2];
};

/* TSan sleeps for a second in each exit(). */
static void hurry(void)
{
	const char *given = getenv("TSAN_OPTIONS");
	char text[1024];

	snprintf(text, sizeof(text), "%s:atexit_sleep_ms=0", given ? given : "");
	setenv("TSAN_OPTIONS", text, 1);
}

static void child_of(const struct child *c, int in, const int *out)
{
	dup2(in, 0);
	dup2(out[0], 1);
	dup2(out[1], 2);
	setenv("NOSTALL_CONF", c->conf, 1);
	unsetenv("TEST_ORDERS");
	hurry();
	alarm(SECONDS);
	execl("/proc/self/exe", "lockdep_halt", c->name, (char *)NULL);
	_exit(96);
}

static void collect(struct said *s, const int *from)
{
	int i;

	for (i = 0; i < 2; i++) {
		ssize_t n = pread(from[i], s->text[i], sizeof(s->text[i]) - 1, 0);

		s->text[i][n > 0 ? n : 0] = 0;
	}
}

static int run(const struct child *c, struct said *s)
{
	int in[2], out[2], status;
	pid_t pid;

	if (pipe2(in, O_CLOEXEC) || (out[0] = memfd_create("out", MFD_CLOEXEC)) < 0 ||
	    (out[1] = memfd_create("err", MFD_CLOEXEC)) < 0)
		check_broken("pipe");
	pid = fork();
	if (!pid)
		child_of(c, in[0], out);
	status = status_of(pid);
	collect(s, out);
	close(in[0]);
	close(in[1]);
	close(out[0]);
	close(out[1]);
	return status;
}

static unsigned int errors_in(const char *text)
{
	unsigned int n = 0;

	for (; (text = strstr(text, "nostall: error NL-")) != NULL; text++)
		n++;
	return n;
}

static unsigned int json_in(const char *text)
{
	unsigned int n = 0;
	const char *end;

	for (; (text = strstr(text, "{\"nostall\":\"report\"")) != NULL; text = end) {
		end = strchr(text, '\n');
		if (!end || end[-1] != '}')
			return 0;
		n++;
	}
	return n;
}

static void look(const struct child *c)
{
	static struct said s;
	const int status = run(c, &s);
	const unsigned int errors =
		strstr(c->conf, "json") ? json_in(s.text[1]) : errors_in(s.text[1]);
	char name[160];

	snprintf(name, sizeof(name), "V28 %s", c->what);
	/* Of several threads at once any number may have told theirs. */
	check(status == c->status && !strcmp(s.text[0], c->out) &&
		      (errors == c->errors || (c->run == by_many && errors)),
	      name, "status %d, %u errors, said '%s'\n%s", status, errors, s.text[0], s.text[1]);
}

int main(int argc, char **argv)
{
	const unsigned int nr = sizeof(children) / sizeof(children[0]);
	unsigned int i;

	for (i = 0; argc > 1 && i < nr; i++)
		if (!strcmp(argv[1], children[i].name))
			return children[i].run();
	for (i = 0; i < nr; i++)
		look(&children[i]);
	return check_status();
}
