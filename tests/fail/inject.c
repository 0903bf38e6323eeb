/* SPDX-License-Identifier: MIT */
/*
 * inject.c - everything that can fail is made to, the n-th time, for every n until none is left.
 *
 *	for each kind of failure: n = 1, 2, 3 ...: a new process in which the n-th of its kind fails,
 *	from the library's first instruction on, runs one scenario; done when the n-th is not reached
 *	then: a process in which all of that kind fail, always
 *
 * Nothing may crash or hang, nothing may be lost or handed out twice, what is returned is what the
 * header says, and once the failure is over all requests succeed again.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "mm/mm.h"
#include "common/mix.h"
#include "common/owner.h"
#include "common/pattern.h"
#include "common/trap.h"

#define REPORT_FD 201
#define ALWAYS (-1L)
#define NR_AFTER 300

struct report {
	int reached;  /* the failure happened */
	int needless; /* it could not */
	int line;     /* where the scenario found something wrong */
	char what[120];
};

static const char *const kinds[] = {
	[NST_FAIL_RESERVE] = "reserve",	  [NST_FAIL_COMMIT] = "commit",
	[NST_FAIL_POPULATE] = "populate", [NST_FAIL_PURGE] = "purge",
	[NST_FAIL_META] = "meta",	  [NST_FAIL_MEMBARRIER] = "membarrier",
	[NST_FAIL_THREAD] = "thread",	  [NST_FAIL_TRYLOCK] = "trylock",
	[NST_FAIL_MOVE] = "move",
};

static struct report *report;
static struct mix_caches caches;

/* Before the library's own constructor: its start is part of the scenario. */
__attribute__((constructor(101))) static void arm(void)
{
	const char *kind = getenv("TEST_FAIL_KIND"), *n = getenv("TEST_FAIL_N");

	if (kind && n)
		nst_test_fail[atoi(kind)] = atol(n);
}

/* ---- the scenario ---- */

static void wrong(int line, const char *what)
{
	if (report->line)
		return;
	report->line = line;
	snprintf(report->what, sizeof(report->what), "%s", what);
}

#define WANT(condition)                                                                            \
	do {                                                                                       \
		if (!(condition))                                                                  \
			wrong(__LINE__, #condition);                                               \
	} while (0)

static int has_caches(void)
{
	return caches.small && caches.middle && caches.ctor;
}

static void build(void *object)
{
	uint64_t word = MIX_CTOR_WORD;

	memcpy(object, &word, sizeof(word));
}

static void make_caches(void)
{
	caches.small = nst_cache_create("fail small", MIX_SMALL_BYTES, 0, 0, NULL);
	caches.middle =
		nst_cache_create("fail middle", MIX_MIDDLE_BYTES, 64, NST_CACHE_NOLOCK, NULL);
	caches.ctor = nst_cache_create("fail ctor", MIX_CTOR_BYTES, 8, 0, build);
}

/* After the failure: without a fence a CPU's objects cannot be taken, and the cache stays. */
static void drop_caches(void)
{
	struct nst_cache *const own[] = {caches.small, caches.middle, caches.ctor};

	for (int i = 0; i < 3; i++)
		WANT(nst_cache_destroy(own[i]) == 0);
}

static void steps(enum mix_who who, unsigned int owner, int n)
{
	struct mix *mix = calloc(1, sizeof(*mix));

	mix_init(mix, &caches, who, owner, owner);
	while (n--)
		mix_step(mix);
	mix_empty(mix);
	if (mix_errors(mix))
		printf("# damaged %d not_zero %d not_built %d misaligned %d errno %d\n",
		       (int)mix->damaged, (int)mix->not_zero, (int)mix->not_built,
		       (int)mix->misaligned, (int)mix->errno_changed);
	WANT(mix_errors(mix) == 0);
	free(mix);
}

static void *beside(void *arg)
{
	(void)arg;
	run_on_cpu(0, cpu_nth(cpu_nth(1) < 0 ? 0 : 1));
	steps(MIX_ORDINARY, 3, 1500);
	return NULL;
}

/* In place or moved or not at all, and freed. */
static void grow_mapping(unsigned char *mapping, size_t bytes)
{
	unsigned char *moved;

	if (!mapping)
		return;
	mapping[0] = mapping[bytes - 1] = 99;
	moved = nst_realloc(mapping, bytes * 3, NST_NORETRY);
	if (moved)
		mapping = moved;
	WANT(mapping[0] == 99 && mapping[bytes - 1] == 99 && mapping[1] == 0);
	nst_free(mapping);
}

static void large_and_small(void)
{
	void *block[24], *mapping[4];

	for (int i = 0; i < 24; i++)
		block[i] = nst_pages_alloc(NST_ORDER_MAX, NST_NORETRY);
	for (int i = 0; i < 4; i++) {
		mapping[i] = nst_alloc((size_t)(3 + i) << 20, NST_NORETRY | NST_ZERO);
		if (mapping[i])
			WANT(pattern_zero(mapping[i], 4096) == 4096);
	}
	for (int i = 0; i < 24; i++)
		nst_pages_free(block[i]);
	for (int i = 0; i < 4; i++)
		grow_mapping(mapping[i], (size_t)(3 + i) << 20);
	/* The worker may be in the middle of a pass: this call does nothing then. */
	for (int i = 0; i < 50 && nst_large_count; i++) {
		nst_maintain();
		usleep(1000);
	}
}

static void stock(void)
{
	int rc = nst_stock(caches.small, 200, NST_CPU_ALL);

	WANT(rc == 0 || rc == -ENOMEM);
	rc = nst_stock(caches.ctor, 100, NST_CPU_THIS);
	WANT(rc == 0 || rc == -ENOMEM);
	/* A promise when it says 0. */
	if (rc == 0) {
		void *p = nst_cache_alloc_nolock(caches.ctor);
		WANT(p);
		nst_cache_free_nolock(caches.ctor, p);
	}
}

static void in_child(void)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return;
	if (pid == 0) {
		steps(MIX_NOLOCK, 5, 300);
		steps(MIX_ORDINARY, 6, 300);
		nst_maintain();
		fflush(stdout);
		_exit(report->line != 0);
	}
	WANT(child_wait(pid, 20, &status) == 0 && status == 0);
}

static void scenario(void)
{
	pthread_t thread;

	make_caches();
	if (has_caches()) {
		stock();
		steps(MIX_NOLOCK, 1, 1000);
		pthread_create(&thread, NULL, beside, NULL);
		steps(MIX_ORDINARY, 2, 1500);
		pthread_join(thread, NULL);
		in_child();
	}
	large_and_small();
}

/* The library did not start: that is final, one line said so, and every request gets NULL. */
static void all_is_null(void)
{
	void *out[4];

	WANT(!nst_alloc(64, NST_NORMAL) && !nst_alloc_nolock(64) && !nst_alloc_fasttry(64));
	WANT(!nst_pages_alloc(0, NST_NORMAL) && !nst_pages_alloc_nolock(0));
	WANT(!nst_alloc((size_t)4 << 20, NST_NORMAL) && !nst_realloc(NULL, 10, NST_NORMAL));
	WANT(nst_alloc_bulk(64, NST_NORMAL, 4, out) == 0);
	WANT(!nst_cache_create("null", 64, 0, 0, NULL) && !nst_cache_of_size(64));
	WANT(nst_maintain() == 0);
}

/* The failure is over: nothing of it may stay behind. */
static void all_is_well(void)
{
	static struct nst_stats stats;
	static void *p[NR_AFTER];

	if (!nst_mm.started) {
		all_is_null();
		return;
	}
	drop_caches();
	for (int i = 0; i < 1000 && (nst_large_count || nst_side_pending()); i++) {
		nst_maintain();
		usleep(1000);
	}
	for (int i = 0; i < NR_AFTER; i++) {
		p[i] = nst_alloc(1u << (3 + i % 16), NST_NORMAL);
		WANT(p[i]);
	}
	for (int i = 0; i < NR_AFTER; i++)
		nst_free(p[i]);
	struct nst_cache *cache = nst_cache_create("after", 40, 0, 0, NULL);
	WANT(cache && nst_stock(cache, 10, NST_CPU_ALL) == 0);
	WANT(nst_cache_destroy(cache) == 0);
	WANT(nst_maintain() >= 0);
	WANT(nst_stats_read(&stats, sizeof(stats)) == 0);
	WANT(stats.side_pushed == stats.side_drained);
	WANT(stats.large_mappings == 0);
	WANT(stats.misuse == 0 && stats.side_corrupt == 0);
	WANT(owner_errors() == 0 && owner_live() == 0);
}

static int run(enum nst_fail kind, long n)
{
	owner_start();
	scenario();
	report->reached = n == ALWAYS || nst_test_fail[kind] != n;
	if (n != ALWAYS && nst_test_fail[kind] > 0)
		report->reached = 0;
	nst_test_fail[kind] = 0;
	report->needless = kind == NST_FAIL_MEMBARRIER && !nst_sys_rseq.usable;
	all_is_well();
	return report->line ? 1 : 0;
}

/* ---- the rounds ---- */

static int skipped;

static int round_of(enum nst_fail kind, long n)
{
	char kind_text[16], n_text[24];
	int status, rc;

	snprintf(kind_text, sizeof(kind_text), "%d", (int)kind);
	snprintf(n_text, sizeof(n_text), "%ld", n);
	setenv("TEST_FAIL_KIND", kind_text, 1);
	setenv("TEST_FAIL_N", n_text, 1);
	memset(report, 0, sizeof(*report));
	pid_t pid = child_exec("--run", NULL);
	rc = child_wait(pid, 30, &status);
	if (rc || status)
		check(0, "failure is survived", "%s number %ld: %s; line %d: %s", kinds[kind], n,
		      rc ? "hung" : child_status(status), report->line, report->what);
	return rc || status;
}

static void rounds(enum nst_fail kind)
{
	unsigned int bad = 0, made = 0;
	long n = 1;

	/* One by one at first, where each is another call; then in growing steps. */
	for (; bad < 3; n += n < 40 ? 1 : n / 8) {
		bad += round_of(kind, n) != 0;
		if (!report->reached)
			break;
		made++;
	}
	if (!made && report->needless) {
		printf("# %s: never needed without sequences\n", kinds[kind]);
		skipped = 1;
		return;
	}
	check(made > 0, "it is reached", "no %s in the scenario", kinds[kind]);
	if (kind != NST_FAIL_TRYLOCK)
		bad += round_of(kind, ALWAYS) != 0;
	printf("# %s: %u rounds, up to number %ld\n", kinds[kind], made, n);
	check(bad == 0, kinds[kind], "%u rounds went wrong", bad);
}

TEST_CONF("warn:off")

int main(int argc, char **argv)
{
	const char *kind = getenv("TEST_FAIL_KIND"), *n = getenv("TEST_FAIL_N");

	if (argc > 1 && !strcmp(argv[1], "--run") && kind && n) {
		report = shared_memory_of(sizeof(*report), REPORT_FD);
		return run((enum nst_fail)atoi(kind), atol(n));
	}
	conf_apply(argv);
	report = shared_memory(sizeof(*report), REPORT_FD);
	for (int i = 0; i < NST_NR_FAILS; i++)
		if (argc < 2 || !strcmp(argv[1], kinds[i]))
			rounds((enum nst_fail)i);
	return skipped ? CHECK_SKIP : check_status();
}
