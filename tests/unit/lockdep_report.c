/* SPDX-License-Identifier: MIT */
/*
 * lockdep_report.c - V7: a report says all that is needed in 30 lines, once a cause; a test can announce it.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include "unit/lockdep.h"

#define LOCKS 12
static struct nst_lockdep_map m[LOCKS];
static const char *const names[LOCKS] = {"m0", "m1", "m2", "m3", "m4",	"m5",
					 "m6", "m7", "m8", "m9", "m10", "m11"};

static void fresh(void)
{
	make_locks(m, names, LOCKS);
	forget();
}

struct pair {
	unsigned int first, second;
};

static void *both(void *arg)
{
	const struct pair *p = arg;

	pthread_setname_np(pthread_self(), "taker");
	take_both(&m[p->first], &m[p->second]);
	return NULL;
}

static unsigned int nr_lines(const char *s)
{
	unsigned int n = 0;

	for (; *s; s++)
		n += *s == '\n';
	return n;
}

static void says(const char *what)
{
	char name[128];

	snprintf(name, sizeof(name), "V7 the report says: %s", what);
	check(strstr(last_text, what) != NULL, name, "%s", last_text);
}

static void words(void)
{
	struct pair p = {0, 1}, q = {1, 0};
	uint64_t id;

	fresh();
	in_thread(both, &p);
	in_thread(both, &q);
	check(nr_reports == 1, "V7 one report", "%u", nr_reports);
	says("error NL-ORDER: ");
	says("thread taker (");
	says("m0 (0x");
	says("waits for m1 (0x");
	says("lockdep_report+0x");
	says("1. m1 | m0\n");
	says("2. m0 | m1\n");
	says("holds 1 lock, innermost first:");
	says("  fix: ");
	says("  suppress: NL-ORDER locks=m1,m0\n");
	says("  read: nostall explain NL-ORDER; id=");
	check(nr_lines(last_text) <= 30, "V7 in at most 30 lines", "%u", nr_lines(last_text));
	id = last.id;
	in_thread(both, &p);
	in_thread(both, &q);
	check(nr_reports == 1, "V7 once a cause", "%u", nr_reports);
	forget();
	in_thread(both, &q);
	in_thread(both, &p);
	check(nr_reports == 1, "V7 again when all is forgotten", "%u", nr_reports);
	forget();
	in_thread(both, &p);
	in_thread(both, &q);
	check(last.id == id, "V7 with the same number for the same cause", "%llx, not %llx",
	      (unsigned long long)last.id, (unsigned long long)id);
}

static void goes_on(void)
{
	struct pair p[] = {{0, 1}, {1, 0}, {2, 3}, {3, 2}};
	unsigned int i;

	fresh();
	for (i = 0; i < 4; i++)
		in_thread(both, &p[i]);
	check(nr_reports == 2, "V7 it goes on after a report", "%u reports", nr_reports);
}

/* The longest there is: a cycle of 8, with as many held, in every kind of section. */
static void *deep(void *arg)
{
	unsigned int i;

	(void)arg;
	nst_nonblock_begin();
	nst_noalloc_begin();
	nst_allow_begin("to see how long it gets");
	for (i = 8; i < LOCKS; i++)
		nst_lockdep_acquire(&m[i], 0);
	nst_lockdep_acquire(&m[7], 0);
	nst_lockdep_acquire(&m[0], 0);
	nst_lockdep_release(&m[0]);
	nst_lockdep_release(&m[7]);
	for (i = 8; i < LOCKS; i++)
		nst_lockdep_release(&m[i]);
	nst_allow_end();
	nst_noalloc_end();
	nst_nonblock_end();
	return NULL;
}

static void longest(void)
{
	unsigned int i;

	fresh();
	for (i = 0; i < 7; i++) {
		struct pair p = {i, i + 1};

		in_thread(both, &p);
	}
	in_thread(deep, NULL);
	check(nr_reports == 1 && last.code == NST_NL_ORDER && last.level == NST_LD_ERROR,
	      "V7 a cycle of eight", "%u\n%s", nr_reports, last_text);
	check(nr_lines(last_text) <= 30, "V7 a long one is cut to 30 lines", "%u",
	      nr_lines(last_text));
	says("  fix: ");
}

static void expected(void)
{
	struct pair p = {0, 1}, q = {1, 0};
	struct nst_lockdep_stats s;

	fresh();
	nst_lockdep_expect(NST_NL_ORDER);
	in_thread(both, &p);
	in_thread(both, &q);
	nst_might_sleep();
	check(nr_reports == 0, "V7 what is expected is not told", "%u", nr_reports);
	check(nst_lockdep_expected() == 1, "V7 but counted", "no");
	nst_lockdep_read(&s, sizeof(s));
	check(s.expected == 1 && !s.errors && s.codes[NST_NL_ORDER] == 1 && s.edges == 2 &&
		      s.chains == 2,
	      "V7 statistics", "%llu expected, %llu edges, %llu chains",
	      (unsigned long long)s.expected, (unsigned long long)s.edges,
	      (unsigned long long)s.chains);
	check(nst_lockdep_read(&s, 1) == -22, "V7 statistics of another size: -EINVAL", "accepted");
	check(nst_lockdep_start((enum nst_lockdep_level)3) == -22,
	      "V7 a level that is none: -EINVAL", "accepted");
}

static void dump(enum nst_lockdep_dump how, const char *wanted, const char *name)
{
	static char text[65536];
	char path[] = "/tmp/nostall-lockdep-XXXXXX";
	int fd = mkstemp(path);
	ssize_t n;

	if (fd < 0)
		check_broken("mkstemp");
	unlink(path);
	check(nst_lockdep_dump(fd, how) == 0, name, "an error");
	n = pread(fd, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = 0;
	check(strstr(text, wanted) != NULL, name, "no '%s' in\n%s", wanted, text);
	close(fd);
	check(nst_lockdep_dump(fd, how) < 0, "V7 a dump to a closed descriptor fails",
	      "it does not");
}

/* Both levels to standard error, or errors alone. */
static void printed(enum nst_lockdep_level shown, int wanted, const char *name)
{
	struct pair p = {0, 1}, q = {1, 0};
	char text[4096] = "";
	int pipes[2], saved = dup(2);
	ssize_t n;

	if (pipe2(pipes, O_NONBLOCK))
		check_broken("pipe2");
	nst_lockdep_stop();
	nst_lockdep_on_report(NULL, NULL);
	nst_lockdep_start(shown);
	dup2(pipes[1], 2);
	both(&p);
	both(&q); /* one thread: possible */
	dup2(saved, 2);
	n = read(pipes[0], text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = 0;
	check((strstr(text, "nostall: possible NL-ORDER") != NULL) == wanted, name, "'%s'", text);
	close(pipes[0]);
	close(pipes[1]);
	close(saved);
}

int main(void)
{
	check(nst_lockdep_dump(1, NST_LD_TEXT) == -22 || getenv("NOSTALL_CONF"),
	      "V7 a dump before any start: -EINVAL", "accepted");
	start_checking();
	words();
	goes_on();
	longest();
	expected();
	dump(NST_LD_TEXT, "reports errors=0 possible=0 expected=1 suppressed=0\n",
	     "V20 a dump says how many reports there were");
	dump(NST_LD_TEXT, "edge from=m0 to=m1 type=EN thread=one gates=0\n", "V7 a dump as text");
	dump(NST_LD_DOT, "\t\"m0\" -> \"m1\" [label=\"EN\"];\n", "V7 a dump for graphviz");
	printed(NST_LD_ERROR, 0, "V7 what is only possible is not printed unasked");
	printed(NST_LD_POSSIBLE, 1, "V7 and is if asked for");
	nst_lockdep_stop();
	return check_status();
}
