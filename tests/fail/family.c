/* SPDX-License-Identifier: MIT */
/*
 * family.c - R3: the malloc family of the preload, while everything that can fail is made to (rounds.h).
 *
 *	start	fails from the library's first instruction on
 *	late	once the process runs
 *	limit	under an RLIMIT_AS of its own, where blocks are mapped again one by one (mm/span.c)
 *
 * The preload's own functions are linked to this program, over the library with its hooks. Each call
 * serves, or says NULL and ENOMEM; realloc() that fails leaves its object as it was; nothing is lost;
 * and when the failures are over all is served again. Not for debug:3, whose quarantine keeps freed
 * objects.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/check.h"
#include "common/trap.h"
#include "asked.h"
#include "rounds.h"

#define NR(a) (sizeof(a) / sizeof((a)[0]))
#define ROOM (48 * ASK_MIB)

/* ---- the rest of the family, and of the program ---- */

static void figures(void)
{
	struct mallinfo2 m;
	int trimmed;

	errno = 77;
	trimmed = malloc_trim(0);
	m = mallinfo2();
	WANT((trimmed == 0 || trimmed == 1) && errno == 77);
	WANT(m.uordblks <= m.arena && m.fordblks <= m.arena && m.arena < (size_t)1 << 40);
	WANT(malloc_usable_size(NULL) == 0);
	free(NULL);
}

static void *beside(void *arg)
{
	run_on_cpu(0, cpu_nth(cpu_nth(1) < 0 ? 0 : 1));
	ask_everybody(*(const size_t *)arg);
	return NULL;
}

/* No thread is an answer too. */
static void in_thread(size_t most)
{
	pthread_t thread;
	int err = pthread_create(&thread, NULL, beside, &most);

	WANT(err == 0 || err == EAGAIN || err == ENOMEM);
	if (!err)
		pthread_join(thread, NULL);
}

static void in_child(void)
{
	int status = 0;
	pid_t pid = fork();

	WANT(pid >= 0 || errno == ENOMEM || errno == EAGAIN);
	if (!pid) {
		ask_everybody(20 * ASK_KIB);
		ask_resize();
		_exit(rounds_is_wrong());
	}
	WANT(pid < 0 || (child_wait(pid, 40, &status) == 0 && status == 0));
}

/* Every try of a lock may fail here, for ever. */
static void in_scope(void)
{
	nst_scope_t scope = nst_scope_enter(NST_SCOPE_NOLOCK);

	ask_everybody(20 * ASK_KIB);
	nst_scope_exit(scope);
}

/* What lies unused on another CPU is fetched: a second of the library's clock. */
static void idle(void)
{
	int i;

	if (!nst_test_now_ns)
		nst_test_now_ns = nst_sys_now_ns();
	for (i = 0; i < 8; i++) {
		nst_test_now_ns += 100000000;
		malloc_trim(0);
	}
}

static void family(void)
{
	ask_everybody(ASK_MOST);
	ask_resize();
	in_scope();
	in_thread(20 * ASK_KIB);
	idle();
	figures();
	in_child();
}

/* ---- nothing is lost ---- */

struct balance {
	uint64_t objects, runs, mappings;
};

static uint64_t objects_used(void)
{
	static struct nst_cache_stats rows[NST_STATS_PAGE_CACHES];
	size_t nr = nst_stats_caches(rows, NR(rows), sizeof(rows[0])), i;
	uint64_t used = 0;

	WANT(nr <= NR(rows));
	for (i = 0; i < nr; i++)
		used += rows[i].objects - rows[i].in_slabs - rows[i].in_cpus - rows[i].in_barn;
	return used;
}

static uint64_t runs_of(struct nst_arena *a, size_t block)
{
	uint64_t runs = 0;
	size_t i;

	for (i = 0; i < NST_BLOCK_PAGES; i++)
		runs += nst_page_state(&a->pages[block * NST_BLOCK_PAGES + i]) == NST_PAGE_RUN;
	return runs;
}

static uint64_t runs_used(void)
{
	uint64_t runs = 0;
	size_t block;
	u32 i;

	for (i = 0; i < nst_mm.nr_arenas; i++)
		for (block = 0; block < nst_arenas[i].nr_blocks; block++)
			if (nst_arenas[i].block[block] == NST_BLOCK_OPEN ||
			    nst_arenas[i].block[block] == NST_BLOCK_READY)
				runs += runs_of(&nst_arenas[i], block);
	return runs;
}

/* While no pass is under way: what a worker has in its hands is neither here nor there. */
static struct balance balance(void)
{
	struct balance b;

	rounds_maintain();
	nst_maintain_pause();
	b = (struct balance){objects_used(), runs_used(), nst_large_count};
	nst_maintain_resume();
	return b;
}

static struct balance before;
static int is_balanced;

/* What libc keeps from here on it has by then: a stack, a buffer. */
static void libc_begins(void)
{
	size_t most = 24;
	FILE *f = fopen("/proc/self/status", "r");

	if (f)
		fclose(f);
	in_thread(most);
	in_child();
}

static void start_balance(void)
{
	run_on_cpu(0, cpu_nth(0));
	libc_begins();
	before = balance();
	is_balanced = 1;
}

static void end_balance(void)
{
	struct balance now = {0};
	uint64_t since = 0;
	char text[100];

	/* What was freed before some of it may have to be idle for a while. */
	do {
		now = balance();
		if (!memcmp(&now, &before, sizeof(now)))
			return;
	} while (check_patience(&since));
	snprintf(text, sizeof(text), "objects %ld, runs %ld, mappings %ld more than before",
		 (long)(now.objects - before.objects), (long)(now.runs - before.runs),
		 (long)(now.mappings - before.mappings));
	rounds_wrong(__LINE__, text);
}

/* ---- the ways ---- */

static void from_start(void)
{
	ask_everybody(ASK_MOST);
	in_child();
}

static void late(void)
{
	start_balance();
	rounds_arm();
	family();
}

static size_t mapped(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (!f || fscanf(f, "%lu", &pages) != 1)
		rounds_wrong(__LINE__, "statm");
	if (f)
		fclose(f);
	return pages * 4096;
}

/* How many mappings fit under the limit. */
static unsigned int capacity(void)
{
	void *p[ROOM / ASK_MOST + 1];
	unsigned int n = 0, i;

	while (n < NR(p) && (p[n] = malloc(ASK_MOST)) != NULL)
		n++;
	for (i = 0; i < n; i++)
		free(p[i]);
	return n;
}

static unsigned int capacity_before;

/* The lowest hole and the highest, which are wanted first, and which somebody else maps in part. */
static unsigned char *foreign[2];

static void map_foreign(void)
{
	const struct nst_arena *a = &nst_arenas[0];
	size_t low = 0, high = a->blocks_per_node - 1;

	while (low < high && a->block[low] != NST_BLOCK_HOLE)
		low++;
	while (high > low && a->block[high] != NST_BLOCK_HOLE)
		high--;
	WANT(low < high);
	for (int i = 0; i < 2; i++) {
		foreign[i] = mmap((void *)(a->base + (i ? high : low) * NST_BLOCK_BYTES), 4096,
				  PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		WANT(foreign[i] != MAP_FAILED);
		foreign[i][5] = 99;
	}
}

static void unmap_foreign(void)
{
	for (int i = 0; i < 2; i++) {
		WANT(foreign[i][5] == 99);
		munmap(foreign[i], 4096);
	}
}

/* But for one: what is free for small objects, and what describes them, may lie elsewhere than before. */
static void end_capacity(void)
{
	uint64_t since = 0;
	unsigned int n;
	char text[80];

	while ((n = capacity() + 1) < capacity_before && check_patience(&since))
		idle();
	snprintf(text, sizeof(text), "%u mappings where %u were possible", n - 1, capacity_before);
	if (n < capacity_before)
		rounds_wrong(__LINE__, text);
}

/* What could not be mapped whole is not mapped at all. Small objects are low in an arena, mappings high. */
static void holes_are_empty(void)
{
	static unsigned char pages[NST_BLOCK_PAGES];
	const struct nst_arena *a = &nst_arenas[0];
	size_t i, b, last = a->blocks_per_node - 1;

	for (i = 0; i < 64; i++) {
		b = i % 2 ? last - i / 2 : i / 2;
		if (a->block[b] == NST_BLOCK_HOLE)
			WANT(mincore((void *)(a->base + b * NST_BLOCK_BYTES), NST_BLOCK_BYTES,
				     pages) &&
			     errno == ENOMEM);
	}
}

static void under_limit(void)
{
	struct rlimit limit = {0, RLIM_INFINITY};

	start_balance();
	/* To see what is left when all that is unused has gone. */
	limit.rlim_cur = mapped();
	WANT(setrlimit(RLIMIT_AS, &limit) == 0);
	limit.rlim_cur = mapped() + ROOM;
	WANT(setrlimit(RLIMIT_AS, &limit) == 0);
	capacity_before = capacity();
	WANT(capacity_before >= ROOM / ASK_MOST / 2);
	map_foreign();
	rounds_arm();
	family();
}

/* ---- afterwards ---- */

static const char started_not[] = "nostall: no memory to start ";

/* The library did not start: one line has said so, and NULL and ENOMEM is all there is. */
static void all_is_null(void)
{
	char said[400];
	size_t n = rounds_said(said, sizeof(said));

	WANT(!strncmp(said, started_not, sizeof(started_not) - 1));
	WANT(n && strchr(said, '\n') == &said[n - 1]);
	WANT(ask_everybody(ASK_MOST) == 0);
	figures();
	in_child();
}

static void goes_on(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char *line = NULL;
	size_t room = 0;

	WANT(f && getline(&line, &room, f) > 0);
	if (f)
		fclose(f);
	free(line);
}

static void after(void)
{
	struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
	struct nst_stats s;

	if (!nst_mm.started) {
		all_is_null();
		return;
	}
	if (is_balanced)
		end_balance();
	if (capacity_before)
		unmap_foreign();
	/* Of what the kernel did not take the rest is nobody's for ever. */
	if (capacity_before && !rounds_fails(NST_FAIL_RELEASE)) {
		holes_are_empty();
		end_capacity();
	}
	WANT(setrlimit(RLIMIT_AS, &none) == 0);
	goes_on();
	WANT(ask_everybody(ASK_MOST) == ask_all_of(ASK_MOST));
	ask_resize();
	if (is_balanced)
		end_balance();
	WANT(nst_stats_read(&s, sizeof(s)) == 0);
	WANT(s.misuse == 0 && s.side_corrupt == 0 && s.side_pushed == s.side_drained);
}

int main(int argc, char **argv)
{
	static const struct rounds_way ways[] = {
		{.name = "start", .scenario = from_start},
		{.name = "late", .scenario = late, .late = 1},
		{.name = "limit", .scenario = under_limit, .late = 1},
		{0},
	};
	static const struct rounds all = {.ways = ways, .after = after, .and_on = 1};

	return rounds_main(&all, argc, argv);
}
