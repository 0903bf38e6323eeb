/* SPDX-License-Identifier: MIT */
/*
 * lockdep_graph.c - V8: tables are large enough, and when one is full that is said once and checking goes on.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include "unit/lockdep.h"

#define MANY 20000u
static struct nst_lockdep_map *m;

static struct nst_lockdep_stats stats(void)
{
	struct nst_lockdep_stats s;

	nst_lockdep_read(&s, sizeof(s));
	return s;
}

static void take(unsigned int i)
{
	nst_lockdep_acquire(&m[i], 0);
}

static void let_go(unsigned int i)
{
	nst_lockdep_release(&m[i]);
}

static void two(unsigned int i, unsigned int k)
{
	take(i);
	take(k);
	let_go(k);
	let_go(i);
}

static void *two_the_other_way(void *arg)
{
	const unsigned int *p = arg;

	two(p[1], p[0]);
	return NULL;
}

/* An inversion by two threads is found, whatever is full. */
static void still_finds(const char *name)
{
	unsigned int p[2] = {1, 2};

	nr_reports = 0;
	two(1, 2);
	in_thread(two_the_other_way, p);
	check(nr_reports == 1 && last.code == NST_NL_ORDER && last.level == NST_LD_ERROR, name,
	      "%u reports\n%s", nr_reports, last_text);
}

static void held(void)
{
	unsigned int i;

	for (i = 0; i < 1000; i++)
		take(i);
	nst_assert_held(&m[0]);
	for (i = 0; i < 1000; i++)
		let_go(i);
	nst_assert_none_held();
	check(stats().full == 0, "V8 1,000 locks held at once", "full: 0x%llx",
	      (unsigned long long)stats().full);
	no_report("V8 let go in the order they were taken");
	/* Hand over hand, for ever. */
	for (i = 0; i < 10000; i++) {
		take(i % 500);
		if (i)
			let_go((i - 1) % 500);
	}
	let_go((i - 1) % 500);
	nst_assert_none_held();
	check(stats().full == 0, "V8 10,000 locks hand over hand", "full: 0x%llx",
	      (unsigned long long)stats().full);
	forget();
}

static void classes(void)
{
	unsigned int i;

	for (i = 0; i < 10000; i++) {
		take(i);
		let_go(i);
	}
	check(stats().full == 0 && stats().classes >= 10000, "V8 10,000 classes",
	      "%llu, full: 0x%llx", (unsigned long long)stats().classes,
	      (unsigned long long)stats().full);
	no_report("V8 and nothing to report");
}

/* 100,000 chains of three out of 100 locks, in one order. */
static void chains(void)
{
	unsigned int i, k, l;

	for (i = 100; i < 200; i++) {
		for (k = i + 1; k < 200; k++) {
			for (l = k + 1; l < 200; l++) {
				if (stats().chains >= 100000)
					break;
				take(i);
				take(k);
				take(l);
				let_go(l);
				let_go(k);
				let_go(i);
			}
		}
	}
	check(stats().full == 0 && stats().chains >= 100000, "V8 100,000 chains",
	      "%llu, full: 0x%llx", (unsigned long long)stats().chains,
	      (unsigned long long)stats().full);
	no_report("V8 in one order: nothing to report");
	still_finds("V8 with 100,000 chains an inversion is found");
	forget();
}

static unsigned int lines_about_full(int fd)
{
	static char text[65536];
	ssize_t n = read(fd, text, sizeof(text) - 1);
	unsigned int lines = 0;
	char *s;

	text[n > 0 ? n : 0] = 0;
	for (s = text; (s = strstr(s, " is full (")) != NULL; s++)
		lines++;
	return lines;
}

static void full(void)
{
	int pipes[2], saved = dup(2);
	unsigned int i, k, said;

	if (pipe2(pipes, O_NONBLOCK))
		check_broken("pipe2");
	dup2(pipes[1], 2);
	/* orders first: they need classes */
	for (i = 200; i < 500; i++)
		for (k = i + 1; k < 500; k++)
			two(i, k);
	for (i = 0; i < MANY; i++) {
		take(i);
		let_go(i);
	}
	for (i = 0; i < 1500; i++)
		take(i);
	for (i = 0; i < 1500; i++)
		let_go(i);
	dup2(saved, 2);
	said = lines_about_full(pipes[0]);
	check(said == 3, "V8 what is full is said once each: orders, classes, held", "%u lines",
	      said);
	check(stats().full == (1u << 0 | 1u << 2 | 1u << 3), "V8 and counted", "0x%llx",
	      (unsigned long long)stats().full);
	forget();
	still_finds("V8 then it goes on checking what fits");
	close(pipes[0]);
	close(pipes[1]);
	close(saved);
}

int main(void)
{
	unsigned int i;

	m = calloc(MANY, sizeof(*m));
	if (!m)
		check_broken("calloc");
	for (i = 0; i < MANY; i++)
		nst_lockdep_map_init(&m[i], "m", NULL, NST_WAIT_SLEEP, NST_WAIT_SLEEP);
	start_checking();
	held();
	classes();
	chains();
	full();
	nst_lockdep_reset(); /* all of it was wanted */
	nst_lockdep_stop();
	return check_status();
}
