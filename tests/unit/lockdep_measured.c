/* SPDX-License-Identifier: MIT */
/*
 * lockdep_measured.c - V14: what the kernel counts: a thread that slept in a section, or had page faults in one.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#define TEST_MEASURES
#include "unit/lockdep.h"

static void nap(void)
{
	struct timespec ts = {0, 1000000};

	nanosleep(&ts, NULL);
}

static void slept(void)
{
	nst_nonblock_begin();
	nap();
	nst_nonblock_end();
	check(strstr(last_text, "must not block, begun at") != NULL,
	      "V14 the report says where the section began", "%s", last_text);
	one_report(NST_NL_SLEPT, NST_LD_ERROR, "V14 slept in a section that must not block");
	nst_nonblock_begin();
	nst_nonblock_begin();
	nap();
	nst_nonblock_end();
	nst_nonblock_end();
	one_report(NST_NL_SLEPT, NST_LD_ERROR, "V14 in one in another");
	nst_nonblock_begin();
	nst_allow_begin("the test sleeps");
	nap();
	nst_allow_end();
	nst_nonblock_end();
	nap();
	nst_noalloc_begin();
	nap();
	nst_noalloc_end();
	no_report("V14 slept where it is allowed, behind it, in another section: nothing");
}

/* It gives way, and is preempted: it never waits. */
static void preempted(void)
{
	int i;

	nst_nonblock_begin();
	for (i = 0; i < 2000; i++)
		sched_yield();
	nst_nonblock_end();
	no_report("V14 preempted in a section: nothing");
}

static char *fresh_page(void)
{
	char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		check_broken("mmap");
	return p;
}

static struct nst_lockdep_map a = NST_LOCKDEP_MAP("a", NULL, NST_WAIT_SPIN),
			      b = NST_LOCKDEP_MAP("b", NULL, NST_WAIT_SPIN);

static void faults(void)
{
	char *p = fresh_page();
	uint64_t since = 0;

	nst_nofault_begin();
	*(volatile char *)p = 1;
	nst_nofault_end();
	one_report(NST_NL_FAULT, NST_LD_ERROR, "V14 a page fault in a section without any");
	/* Text may be given back by the kernel at any time: then again. */
	do {
		forget();
		nst_nofault_begin();
		*(volatile char *)p = 2;
		nst_lockdep_acquire(&a, 0);
		nst_lockdep_acquire(&b, 0);
		nst_lockdep_release(&b);
		nst_lockdep_release(&a);
		nst_nofault_end();
	} while (nr_reports && check_patience(&since));
	no_report("V14 none, and orders that are new to the validator: nothing");
	munmap(p, 4096);
}

int main(void)
{
	check_deadline(100, "V14 it comes to an end");
	start_checking();
	slept();
	preempted();
	faults();
	nst_lockdep_stop();
	return check_status();
}
