/* SPDX-License-Identifier: MIT */
/*
 * publish.c - S7: what the statistics page holds, who may read it, and who may change it.
 *
 *	publish		made by nst_maintain(); sealed, its owner's; it says what nst_stats_read() says
 *	publish worker	made and kept up by the worker; still while nothing moves
 *	publish off	publish:off: there is none
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "common/check.h"
#include "common/page.h"
#include "common/trap.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 16
#endif
#define NOBODY 65534
#define NR 3000

static struct nst_stats_page page;
static const char *mode = "";

static void churn(size_t bytes)
{
	static void *p[NR];

	for (int i = 0; i < NR; i++)
		p[i] = nst_alloc(bytes, NST_NORMAL);
	for (int i = 0; i < NR; i++)
		nst_free(p[i]);
}

static void nap_ms(long ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&ts, NULL);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- who may ---- */

static void check_owner(int fd, int number)
{
	struct stat st = {0};
	int seals = fcntl(fd, F_GET_SEALS);

	fstat(fd, &st);
	check((st.st_mode & 07777) == 0600 && st.st_uid == geteuid(), "S7 its owner's alone",
	      "mode %o, user %d", st.st_mode, (int)st.st_uid);
	check((seals & (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW)) ==
		      (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW),
	      "S7 sealed", "seals %x", seals);
	check(fcntl(number, F_GETFD) == FD_CLOEXEC, "S7 gone after exec", "flags %x",
	      fcntl(number, F_GETFD));
	check(ftruncate(number, 0) && errno == EPERM && ftruncate(number, 1 << 20), "S7 its size",
	      "it could be changed");
	if (!(seals & F_SEAL_FUTURE_WRITE)) {
		printf("# this kernel has no F_SEAL_FUTURE_WRITE\n");
		return;
	}
	check(write(number, "x", 1) < 0 &&
		      mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, number, 0) == MAP_FAILED,
	      "S7 written through the library's mapping only", "it could be written");
}

/* In a child that is somebody else: by the parent's /proc, and by a descriptor that it inherited. */
static int as_nobody(pid_t parent, int number)
{
	char path[64];
	int fd;

	if (setgid(NOBODY) || setuid(NOBODY))
		return 2;
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)parent, number);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 || (errno != EACCES && errno != EPERM))
		return 3;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", number);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 || (errno != EACCES && errno != EPERM) ? 4 : 0;
}

static void check_others(int number)
{
	pid_t parent = getpid(), pid;
	int status = 0;

	if (geteuid()) {
		printf("# another user cannot be tried: not root\n");
		return;
	}
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(as_nobody(parent, number));
	waitpid(pid, &status, 0);
	check(status == 0, "S7 another user cannot open it", "%s", child_status(status));
}

/* ---- what it says ---- */

static void check_values(const void *map)
{
	static struct nst_stats s;
	static struct nst_cache_stats c[512];
	size_t nr, rows = 0;

	churn(100);
	nst_free(nst_alloc_nolock(1 << 20));
	nst_maintain();
	check(page_read(map, &page) == 0, "S7 it can be read", "-");
	nst_stats_read(&s, sizeof(s));
	nr = nst_stats_caches(c, 512, sizeof(c[0]));
	/* Reading takes locks. */
	memset(s.locks, 0, sizeof(s.locks));
	memset(page.stats.locks, 0, sizeof(page.stats.locks));
	check(!memcmp(&s, &page.stats, sizeof(s)), "S7 as nst_stats_read()", "they differ");
	for (size_t i = 0; i < nr; i++)
		if (c[i].slabs || c[i].stocked_per_cpu)
			c[rows++] = c[i];
	check(page.nr_caches == nr && page.nr_rows == rows &&
		      !memcmp(c, page.caches, rows * sizeof(c[0])),
	      "S7 as nst_stats_caches()", "%u of %u rows, not %zu of %zu", page.nr_rows,
	      page.nr_caches, rows, nr);
	check(page.pid == (uint64_t)getpid() && !strcmp(page.nostall, nst_version()) &&
		      (strstr(program_invocation_name, page.program) ||
		       !strcmp(page.program, "exe")) &&
		      !page.ended && page.start_ns && page.start_ns < page.published_ns,
	      "S7 whose and when", "pid %llu, version %s, program %s", (unsigned long long)page.pid,
	      page.nostall, page.program);
	check(s.null_reasons[NST_NULL_SIZE] > 0, "S7 something was counted", "-");
}

/* ---- what is no page ---- */

static void check_refused(const void *map)
{
	static struct nst_stats_page copy, out;
	size_t bytes = sizeof(copy);

	memcpy(&copy, map, bytes);
	check(nst_stats_page_read(&copy, bytes, &out) == 0, "a copy is a page", "-");
	check(nst_stats_page_read(&copy, bytes - 8, &out) == -EINVAL, "cut short", "-");
	check(nst_stats_page_read(&copy, 8, &out) == -EINVAL, "cut very short", "-");
	check(nst_stats_page_read(NULL, bytes, &out) == -EINVAL, "none", "-");
	check(nst_stats_page_read((char *)&copy + 4, bytes - 8, &out) == -EINVAL, "askew", "-");
	copy.nr_rows = 1u << 30;
	memset(copy.caches, 'x', sizeof(copy.caches));
	copy.stats.nr_nodes = 1u << 30;
	check(nst_stats_page_read(&copy, bytes, &out) == 0 &&
		      out.nr_rows == NST_STATS_PAGE_CACHES &&
		      out.stats.nr_nodes == NST_STATS_NODES &&
		      strlen(out.caches[NST_STATS_PAGE_CACHES - 1].name) == 31,
	      "rows and names within bounds", "%u rows", out.nr_rows);
	copy.sequence |= 1;
	check(nst_stats_page_read(&copy, bytes, &out) == -EAGAIN, "being written", "-");
	copy.sequence = 0;
	check(nst_stats_page_read(&copy, bytes, &out) == -EAGAIN, "nothing published", "-");
	copy.version++;
	memset(copy.nostall, '9', sizeof(copy.nostall));
	check(nst_stats_page_read(&copy, bytes, &out) == -EPROTO &&
		      out.version == NST_STATS_PAGE_VERSION + 1 && strlen(out.nostall) == 15,
	      "another version", "-");
	copy.magic++;
	check(nst_stats_page_read(&copy, bytes, &out) == -EINVAL, "something else", "-");
}

/* ---- never torn: the first words and the last of a snapshot agree ---- */

static struct {
	const void *map;
	uint64_t reads, torn, again;
	int stop;
} torn;

static const struct nst_cache_stats *last_row(const struct nst_stats_page *p)
{
	return p->nr_rows ? &p->caches[p->nr_rows - 1] : NULL;
}

static uint64_t stock_of(uint64_t nulls)
{
	return 1 + nulls % 63;
}

static void *reader(void *arg)
{
	static struct nst_stats_page p;
	uint64_t sequence = 0;

	while (!__atomic_load_n(&torn.stop, __ATOMIC_ACQUIRE)) {
		if (nst_stats_page_read(torn.map, sizeof(p), &p))
			__atomic_add_fetch(&torn.again, 1, __ATOMIC_RELAXED);
		else if (strcmp(last_row(&p)->name, "last") ||
			 stock_of(p.stats.null_reasons[NST_NULL_SIZE]) !=
				 last_row(&p)->stocked_per_cpu ||
			 p.sequence < sequence)
			__atomic_add_fetch(&torn.torn, 1, __ATOMIC_RELAXED);
		sequence = p.sequence ? p.sequence : sequence;
		torn.reads++;
	}
	return arg;
}

static int met_a_write(void)
{
	return __atomic_load_n(&torn.again, __ATOMIC_RELAXED) ||
	       __atomic_load_n(&torn.torn, __ATOMIC_RELAXED);
}

/* Each round counts one NULL more, at the snapshot's begin, and one stocked object, at its end. */
static void check_torn(const void *map)
{
	struct nst_cache *last = nst_cache_create("last", 64, 0, NST_CACHE_NOLOCK, NULL);
	long rounds = env_long("TEST_OPS", 4000), i;
	struct nst_stats s;
	pthread_t thread;

	rounds = rounds > 4000 ? 4000 : rounds;
	nst_stats_read(&s, sizeof(s));
	/* Longer, until a read has met a write: on a busy machine few do. */
	for (i = 0; i < rounds + 1 || (i < 20 * rounds && !met_a_write()); i++) {
		uint64_t nulls = s.null_reasons[NST_NULL_SIZE] + (uint64_t)i + 1;

		nst_free(nst_alloc_nolock(0));
		nst_stock(last, stock_of(nulls), NST_CPU_THIS);
		nst_maintain();
		if (i)
			continue;
		torn.map = map;
		if (pthread_create(&thread, NULL, reader, NULL))
			check_broken("pthread_create");
	}
	__atomic_store_n(&torn.stop, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	printf("# %llu reads, %llu of them not at once\n", (unsigned long long)torn.reads,
	       (unsigned long long)torn.again);
	check(torn.torn == 0 && torn.reads > torn.again, "S7 a copy is of one moment",
	      "%llu of %llu are not", (unsigned long long)torn.torn,
	      (unsigned long long)torn.reads);
	page_read(map, &page);
	check(page.sequence >= 2 * (uint64_t)rounds, "S7 each nst_maintain() publishes",
	      "sequence %llu", (unsigned long long)page.sequence);
}

static void check_made(void)
{
	char state[32];
	const void *map;
	int fd;

	check(page_number(getpid()) < 0, "S7 none before the first publication", "there is one");
	nst_maintain();
	fd = page_open(getpid());
	nst_info("publish", state, sizeof(state));
	if (fd < 0 && !strcmp(state, "refused"))
		check_skip("no memfd can be made or sealed here");
	if (fd < 0)
		check_broken("the page");
	check(!strcmp(state, "memfd"), "S7 doctor is told", "'%s'", state);
	map = page_map(fd);
	check(map != NULL, "S7 it can be mapped for reading", "%s", strerror(errno));
	check_owner(fd, page_number(getpid()));
	close(fd);
	check_others(page_number(getpid()));
	check_values(map);
	check_refused(map);
	check_torn(map);
}

/* ---- the worker's ---- */

static uint64_t sequence_of(const void *map)
{
	return page_read(map, &page) ? 0 : page.sequence;
}

static void check_worker(void)
{
	const void *map = page_wait(getpid(), 20);
	uint64_t before, after, begin, times, since = 0;
	int i;

	if (!map)
		check_broken("the worker published nothing");
	/* What the start counted may be published in a second turn. */
	before = sequence_of(map);
	for (i = 0; i < 20; i++, before = after) {
		nap_ms(700);
		after = sequence_of(map);
		if (after == before)
			break;
	}
	check(i < 20, "S7 nothing is published while nothing moves", "sequence %llu",
	      (unsigned long long)before);
	churn(200);
	while (sequence_of(map) == before && check_patience(&since))
		;
	check(sequence_of(map) > before, "S7 what moved is published", "not in 20 s");
	begin = now_ms();
	before = sequence_of(map);
	for (i = 0; i < 20; i++) {
		churn(200);
		nap_ms(100);
	}
	after = sequence_of(map);
	times = (after - before) / 2;
	begin = now_ms() - begin;
	check(times <= 2 + begin / 250, "S7 at most four times a second", "%llu times in %llu ms",
	      (unsigned long long)times, (unsigned long long)begin);
}

static void check_off(void)
{
	char state[32];

	churn(100);
	nst_maintain();
	nst_info("publish", state, sizeof(state));
	check(page_number(getpid()) < 0 && !strcmp(state, "off"), "publish:off", "state '%s'",
	      state);
}

const char *test_conf(int argc, char **argv)
{
	mode = argc > 1 ? argv[1] : "";
	if (!strcmp(mode, "worker"))
		return "worker:on,nolock_budget:0";
	return !strcmp(mode, "off") ? "worker:off,publish:off" : "worker:off,nolock_budget:0";
}

int main(int argc, char **argv)
{
	conf_apply(argv);
	mode = argc > 1 ? argv[1] : "";
	check_deadline(100, "S7 in time");
	if (!strcmp(mode, "worker"))
		check_worker();
	else if (!strcmp(mode, "off"))
		check_off();
	else
		check_made();
	return check_status();
}
