/* SPDX-License-Identifier: MIT */
/*
 * reserve.c - C25: a reserve is its holders', step by step: what is taken from it, by whom, and when it is whole again.
 * torture/reserve has the floods.
 *
 * No more memory can become ready (option max), nobody refills (worker:off).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/check.h"
#include "common/trap.h"
#include <nostall/nostall.h>

#define NR_PAGES 65536u
#define HOLDERS 4u
#define EACH 32u /* pages */

TEST_CONF("worker:off,max:64M,high:16M")

static struct nst_reserve *r, *spare;
static void *page[NR_PAGES], *own[2 * HOLDERS * EACH];
static unsigned int nr, nr_own;

static struct nst_zone_stats *zone(void)
{
	static struct nst_stats stats;

	if (nst_stats_read(&stats, sizeof(stats)))
		check_broken("nst_stats_read");
	return &stats.zones[0];
}

static struct nst_reserve_stats *now(void)
{
	static struct nst_reserve_stats s;

	if (nst_reserve_read(r, &s, sizeof(s)))
		check_broken("nst_reserve_read");
	return &s;
}

static void take_all(nst_mode_t mode)
{
	while (nr < NR_PAGES && (page[nr] = nst_pages_alloc(0, mode)))
		nr++;
}

/* How many until NULL. */
static unsigned int take_own(unsigned int most, nst_mode_t mode)
{
	unsigned int n = 0;

	for (; n < most && (own[nr_own] = nst_pages_alloc(0, mode)); n++)
		memset(own[nr_own++], 0x5a, NST_PAGE_SIZE);
	return n;
}

static void free_own(void)
{
	while (nr_own)
		nst_pages_free(own[--nr_own]);
}

/* All that is free is the reserve's: other modes find nothing, whatever they may use. */
static void check_dry(const char *when)
{
	static const nst_mode_t modes[] = {NST_NORETRY, NST_NOWAIT, NST_ATOMIC,
					   NST_ATOMIC | NST_NOMEMALLOC, NST_NOLOCK};
	void *p;

	for (unsigned int i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		p = nst_pages_alloc(0, modes[i]);
		check_quiet(!p, "C25 nobody else takes it", "%s: mode %u got a page", when, i);
		nst_pages_free(p);
	}
	check(zone()->pages_free * NST_PAGE_SIZE + now()->used >= now()->bytes,
	      "C25 all of it is there, or its holders'", "%s: %llu pages free, %llu bytes used",
	      when, (unsigned long long)zone()->pages_free, (unsigned long long)now()->used);
}

/* NOFAIL takes what is left above the reserve, and no more: it would wait for ever. */
static void take_last(void)
{
	uint64_t reserve = now()->bytes / NST_PAGE_SIZE + 1;

	take_all(NST_ATOMIC);
	while (zone()->pages_free > reserve + 200 && nr < NR_PAGES)
		page[nr++] = nst_pages_alloc(0, NST_NOFAIL);
	take_all(NST_FASTTRY); /* of a batch that came along */
	check(zone()->pages_free >= reserve, "C25 NOFAIL leaves it alone", "%llu pages are left",
	      (unsigned long long)zone()->pages_free);
}

static void check_holder(void)
{
	unsigned int got;
	void *p;

	check(nst_reserve_enter(r, NST_NORMAL) == 0, "C25 a ticket", "refused");
	check(nst_mode_effective(NST_NORMAL) == (NST_NORMAL | NST_MEMALLOC),
	      "C25 a ticket is a scope", "%x", nst_mode_effective(NST_NORMAL));
	check(!nst_pages_alloc(0, NST_NOLOCK) && !nst_pages_alloc(0, NST_NORETRY | NST_NOMEMALLOC),
	      "C25 not for NOLOCK and NOMEMALLOC", "it is");
	got = take_own(HOLDERS * EACH + 1, NST_NORMAL);
	check(got == HOLDERS * EACH, "C25 never one byte over", "%u pages of %u", got,
	      HOLDERS * EACH);
	check(now()->used == now()->bytes && now()->used_most == now()->bytes &&
		      now()->short_of >= 1,
	      "C25 what is used is counted", "%llu of %llu", (unsigned long long)now()->used,
	      (unsigned long long)now()->bytes);
	check_dry("all of it used");
	free_own();
	check(now()->used == 0, "C25 what is freed is the reserve's at once", "%llu bytes are not",
	      (unsigned long long)now()->used);
	p = nst_alloc(1000, NST_NORMAL);
	check(p && now()->used > 0, "C25 objects come from it by a slab", "%p", p);
	nst_free(p);
	check(take_own(1, NST_ATOMIC) == 1, "C25 for all modes that wait for locks", "not ATOMIC");
	nst_free_nolock(own[--nr_own]);
	nst_reserve_exit(r);
	check_dry("freed");
}

/* ---- tickets ---- */

static int go, inside;

static void *hold(void *mode)
{
	if (nst_reserve_enter(r, (nst_mode_t)(uintptr_t)mode))
		return NULL;
	__atomic_add_fetch(&inside, 1, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&go, __ATOMIC_SEQ_CST))
		usleep(1000);
	nst_reserve_exit(r);
	return NULL;
}

static void wait_for(int n)
{
	while (__atomic_load_n(&inside, __ATOMIC_SEQ_CST) < n)
		usleep(1000);
}

static int child(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		int err = nst_reserve_enter(r, NST_NOLOCK);

		_exit(err || now()->out != 1);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		check_broken("a child");
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void check_tickets(void)
{
	pthread_t t[HOLDERS + 1];
	struct nst_reserve *other;

	for (unsigned int i = 0; i < HOLDERS; i++)
		pthread_create(&t[i], NULL, hold, (void *)(uintptr_t)NST_NORMAL);
	wait_for(HOLDERS);
	check(nst_reserve_enter(r, NST_NOLOCK) == -EBUSY && now()->refused == 1,
	      "C25 who may not wait is refused", "not");
	check(nst_reserve_destroy(r) == -EBUSY, "C25 it stays while a ticket is out: -EBUSY",
	      "it went");
	pthread_create(&t[HOLDERS], NULL, hold, (void *)(uintptr_t)NST_NORMAL);
	while (!now()->waits)
		usleep(1000);
	check(now()->out == HOLDERS, "C25 so many tickets and no more", "%llu",
	      (unsigned long long)now()->out);
	check(child() == 0, "C25 a child has its own tickets", "not");
	__atomic_store_n(&go, 1, __ATOMIC_SEQ_CST);
	wait_for(HOLDERS + 1);
	for (unsigned int i = 0; i <= HOLDERS; i++)
		pthread_join(t[i], NULL);
	check(now()->out == 0, "C25 who waited had one in the end", "%llu are out",
	      (unsigned long long)now()->out);

	other = spare;
	check(!nst_reserve_enter(r, NST_NOLOCK) && !nst_reserve_enter(r, NST_NOLOCK) &&
		      now()->out == 1,
	      "C25 entering nests, with one ticket", "not");
	check(nst_reserve_enter(other, NST_NORMAL) == -EDEADLK,
	      "C25 one reserve at a time: -EDEADLK", "not");
	nst_reserve_exit(r);
	check(now()->out == 1, "C25 until the last exit", "not");
	nst_reserve_exit(r);
	check(now()->out == 0, "C25 the ticket is back", "not");
	check(nst_reserve_destroy(other) == 0, "C25 destroyed", "not");
}

/* ---- made and destroyed ---- */

static void check_refused(void)
{
	struct nst_reserve *many[NST_NR_RESERVES];
	unsigned int n = 0;
	uint64_t min = zone()->pages_min;

	check(!nst_reserve_create((size_t)1 << 30, 1) && zone()->pages_min == min,
	      "C25 no more than there is: NULL", "it was made");
	while (n < NST_NR_RESERVES && (many[n] = nst_reserve_create(NST_PAGE_SIZE, 1)))
		n++;
	check(n == NST_NR_RESERVES - 1 && !nst_reserve_create(NST_PAGE_SIZE, 1),
	      "C25 so many at a time", "%u", n + 1);
	check(zone()->pages_min == min + n, "C25 the watermarks rise by as much", "%llu",
	      (unsigned long long)(zone()->pages_min - min));
	while (n)
		check_quiet(nst_reserve_destroy(many[--n]) == 0, "C25 destroyed", "not");
	check(zone()->pages_min == min, "C25 and fall again", "%llu",
	      (unsigned long long)zone()->pages_min);
	check(nst_reserve_enter(many[0], NST_NORMAL) == -EINVAL &&
		      nst_reserve_destroy(many[0]) == -EINVAL &&
		      nst_reserve_read(many[0], &(struct nst_reserve_stats){0}, 8) == -EINVAL &&
		      nst_reserve_enter(NULL, NST_NORMAL) == -EINVAL &&
		      nst_reserve_enter(r, 0) == -EINVAL,
	      "C25 none: -EINVAL", "not all");
}

/* What a holder left behind is the zone's once it is freed, and not that of who has the place by then. */
static void check_left(void)
{
	uint64_t min = zone()->pages_min, free_pages, used = now()->used;

	nst_reserve_enter(r, NST_NORMAL);
	take_own(2, NST_NORMAL);
	nst_reserve_exit(r);
	check(nr_own == 2 && now()->used == used + 2 * NST_PAGE_SIZE,
	      "C25 a page outlives its ticket", "%u", nr_own);
	check(nst_reserve_destroy(r) == 0 &&
		      zone()->pages_min + HOLDERS * EACH == min + used / NST_PAGE_SIZE,
	      "C25 and its reserve", "min %llu of %llu", (unsigned long long)zone()->pages_min,
	      (unsigned long long)min);
	free_pages = zone()->pages_free;
	free_own();
	check(zone()->pages_free == free_pages + 2, "C25 it is the zone's then", "%llu",
	      (unsigned long long)(zone()->pages_free - free_pages));
}

int main(int argc, char **argv)
{
	uint64_t min;

	(void)argc;
	conf_apply(argv);
	check_deadline(60, "C25 in time");
	run_on_cpu(0, cpu_nth(0));
	min = zone()->pages_min;
	r = nst_reserve_create(HOLDERS * EACH * NST_PAGE_SIZE, HOLDERS);
	check(r && zone()->pages_min == min + HOLDERS * EACH, "C25 a reserve", "%p", (void *)r);
	check_refused();
	spare = nst_reserve_create(NST_PAGE_SIZE, 1);
	take_all(NST_NORETRY);
	take_last();
	check_dry("nobody holds a ticket");
	check_holder();
	check_tickets();
	check_left();
	while (nr)
		nst_pages_free(page[--nr]);
	return check_status();
}
