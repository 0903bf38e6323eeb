/* SPDX-License-Identifier: MIT */
/*
 * nofault.c - C2: a no-lock request touches no page that is not resident.
 *
 * Three ways to see one that does:
 *
 *	resident	mincore() of every page of every object, before anybody touches it
 *	count		the thread's own fault counters stand still over TEST_OPS operations
 *	trap		userfaultfd over all anonymous memory, made ready or not: the kernel hands each
 *			first touch to us, with the number of the thread that did it
 *
 * While other threads make the zone grow and shrink. After fork() every page is copy-on-write: the
 * promise holds again, in the child and in the parent, from the next nst_maintain(), or at once with
 * fork_ready:on (nofault at_once: that alone).
 * The library's own writable data is not made resident by this test: it must be so by itself.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <asm/unistd.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/maps.h"
#include "common/mix.h"
#include "common/trap.h"

#define NR_ORDINARY 2
#define STOCK 128
#define STACK_BYTES ((size_t)256 << 10)

static struct {
	struct mix_caches caches;
	struct mix *mix;
	uint64_t seed, ops;
	int stop, stop_keeper, uffd;
	pid_t tid;
	uint64_t trapped_mine, trapped_others;
	uintptr_t first_mine;
	int at_once;
} t;

static uint64_t faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return (uint64_t)usage.ru_minflt + (uint64_t)usage.ru_majflt;
}

/* ---- what is the test's own: resident before anything is counted ---- */

/* Text, this program's data, the C library's, this thread's stack and what a mix writes. */
static void own_memory_ready(void)
{
	maps_make_resident();
	for (size_t i = 0; i < sizeof(*t.mix); i += 512)
		((volatile char *)t.mix)[i] = ((volatile char *)t.mix)[i];
	((volatile char *)t.mix)[sizeof(*t.mix) - 1] = ((volatile char *)t.mix)[sizeof(*t.mix) - 1];
	errno = 0;
	faults();
}

/* ---- resident: before the first touch ---- */

static void check_resident(void)
{
	static void *held[4096];
	uint64_t missing = 0, pages = 0;
	struct rng rng = {t.seed};
	unsigned char in_core[16];

	for (unsigned int round = 0; round < 40000; round++) {
		unsigned int i = rng_below(&rng, 4096);
		uint32_t size = rng_size(&rng, 8, (uint32_t)NST_NOLOCK_MAX);

		nst_free_nolock(held[i]);
		held[i] = round & 1 ? nst_alloc_nolock(size) : nst_alloc_fasttry(size);
		if (!held[i])
			continue;
		uintptr_t from = (uintptr_t)held[i] & ~(uintptr_t)4095;
		size_t bytes = ((uintptr_t)held[i] + size - from + 4095) & ~(size_t)4095;
		if (mincore((void *)from, bytes, in_core))
			missing++;
		for (size_t p = 0; p < bytes / 4096; p++, pages++)
			missing += !(in_core[p] & 1);
	}
	for (unsigned int i = 0; i < 4096; i++)
		nst_free_nolock(held[i]);
	check(pages > 20000, "C2 resident: enough was served", "%llu pages",
	      (unsigned long long)pages);
	check(missing == 0, "C2 resident: before the first touch", "%llu of %llu pages were not",
	      (unsigned long long)missing, (unsigned long long)pages);
}

/* ---- trap: userfaultfd ---- */

static void *monitor(void *arg)
{
	struct uffd_msg msg;

	(void)arg;
	while (!__atomic_load_n(&t.stop_keeper, __ATOMIC_ACQUIRE)) {
		struct pollfd wait = {t.uffd, POLLIN, 0};

		if (poll(&wait, 1, 50) <= 0 || read(t.uffd, &msg, sizeof(msg)) != sizeof(msg))
			continue;
		uintptr_t page = (uintptr_t)msg.arg.pagefault.address & ~(uintptr_t)4095;
		if ((pid_t)msg.arg.pagefault.feat.ptid == t.tid) {
			t.first_mine = t.first_mine ? t.first_mine : page;
			__atomic_fetch_add(&t.trapped_mine, 1, __ATOMIC_RELAXED);
		} else {
			__atomic_fetch_add(&t.trapped_others, 1, __ATOMIC_RELAXED);
		}
		struct uffdio_zeropage zero = {{page, 4096}, 0, 0};
		struct uffdio_range wake = {page, 4096};
		if (ioctl(t.uffd, UFFDIO_ZEROPAGE, &zero))
			ioctl(t.uffd, UFFDIO_WAKE, &wake);
	}
	return NULL;
}

static void trap_mapping(char *from, size_t bytes, const char *perms, const char *name)
{
	struct uffdio_register range = {{(uintptr_t)from, bytes}, UFFDIO_REGISTER_MODE_MISSING, 0};

	if (perms[3] == 'p' && (!name[0] || !strncmp(name, "[anon", 5)))
		ioctl(t.uffd, UFFDIO_REGISTER, &range);
}

/* A thread whose stack is resident: the trap would catch its own keeper. */
static pthread_t start_resident(void *(*run)(void *))
{
	pthread_attr_t attr;
	pthread_t thread;
	void *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (stack == MAP_FAILED)
		check_broken("stack");
	pthread_attr_init(&attr);
	pthread_attr_setstack(&attr, stack, STACK_BYTES);
	if (pthread_create(&thread, &attr, run, NULL))
		check_broken("pthread_create");
	return thread;
}

static int trap_open(void)
{
	struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_THREAD_ID};

	t.uffd = (int)syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (t.uffd < 0)
		t.uffd = (int)syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK | 1);
	return t.uffd >= 0 && ioctl(t.uffd, UFFDIO_API, &api) == 0;
}

/* ---- the threads ---- */

/* Makes the zone grow and shrink, so that there is memory that is not ready yet, or no more. */
static void *ordinary(void *arg)
{
	unsigned int n = 0;
	void *large[24] = {0};
	struct mix *mix = malloc(sizeof(*mix));

	(void)arg;
	mix_init(mix, &t.caches, MIX_ORDINARY, t.seed + (uintptr_t)pthread_self(), 0);
	while (!__atomic_load_n(&t.stop, __ATOMIC_ACQUIRE)) {
		for (int i = 0; i < 100; i++)
			mix_step(mix);
		void **slot = &large[n++ % 24];
		nst_free(*slot);
		*slot = n % 64 < 32 ? nst_pages_alloc(NST_ORDER_MAX, NST_NORMAL) : NULL;
		if (n % 32 == 0)
			mix_caches_stock(&t.caches, STOCK);
		nst_maintain();
	}
	for (n = 0; n < 24; n++)
		nst_free(large[n]);
	mix_empty(mix);
	mix_check(mix, "C2 ordinary threads");
	free(mix);
	return NULL;
}

static void *counted(void *arg)
{
	(void)arg;
	own_memory_ready();
	t.tid = gettid();
	uint64_t before = faults(), mine = t.trapped_mine;
	for (uint64_t i = 0; i < t.ops; i++)
		mix_step(t.mix);
	uint64_t after = faults();
	t.tid = 0;
	check(after == before, "C2 count: no fault of this thread",
	      "%llu faults over %llu operations", (unsigned long long)(after - before),
	      (unsigned long long)t.ops);
	check(t.trapped_mine == mine, "C2 trap: nothing touched for the first time",
	      "%llu touches, the first at %#lx", (unsigned long long)(t.trapped_mine - mine),
	      (unsigned long)t.first_mine);
	return NULL;
}

static void check_counted(void)
{
	pthread_t other[NR_ORDINARY], thread, keeper = 0;
	int trapped = trap_open();

	t.stop = 0;
	mix_init(t.mix, &t.caches, MIX_NOLOCK, t.seed, 0);
	if (trapped) {
		keeper = start_resident(monitor);
		maps_each(trap_mapping);
	} else {
		printf("# userfaultfd is refused (%s): counted only\n", strerror(errno));
	}
	for (int i = 0; i < NR_ORDINARY; i++)
		other[i] = start_resident(ordinary);
	thread = start_resident(counted);
	pthread_join(thread, NULL);
	__atomic_store_n(&t.stop, 1, __ATOMIC_RELEASE);
	for (int i = 0; i < NR_ORDINARY; i++)
		pthread_join(other[i], NULL);
	if (trapped) {
		/* Last: a thread that faults on its way out waits for the keeper. */
		__atomic_store_n(&t.stop_keeper, 1, __ATOMIC_RELEASE);
		pthread_join(keeper, NULL);
		close(t.uffd);
		check(t.trapped_others > 0, "C2 trap: it was armed",
		      "no touch of any thread was seen");
	}
	printf("# first touches by others: %llu\n", (unsigned long long)t.trapped_others);
	mix_empty(t.mix);
	mix_check(t.mix, "C2 every byte as written");
	check(mix_got(t.mix) * 2 > mix_tries(t.mix), "C2 count: requests were served",
	      "%llu of %llu", (unsigned long long)mix_got(t.mix),
	      (unsigned long long)mix_tries(t.mix));
}

/* ---- fork ---- */

/* More runs than a CPU's lists have: from the zone, whose own notes of blocks must be writable too. */
static void through_the_zone(void)
{
	static void *run[512];
	unsigned int n = 0;

	while (n < 512 && (run[n] = nst_pages_alloc_nolock(0)))
		n++;
	while (n)
		nst_pages_free_nolock(run[--n]);
}

static void count_after_fork(const char *name)
{
	struct mix *mix = t.mix;

	if (!t.at_once)
		nst_maintain();
	mix_init(mix, &t.caches, MIX_NOLOCK, t.seed ^ 77, 0);
	own_memory_ready();
	uint64_t before = faults();
	through_the_zone();
	for (uint64_t i = 0; i < 50000; i++)
		mix_step(mix);
	uint64_t after = faults();
	mix_empty(mix);
	check(after == before, name, "%llu faults", (unsigned long long)(after - before));
	check_quiet(mix_got(mix) > 5000 && mix_errors(mix) == 0, name,
		    "the mix: %llu hits, %llu errors", (unsigned long long)mix_got(mix),
		    (unsigned long long)mix_errors(mix));
}

static void check_fork(void)
{
	int go[2], status, rc;
	char byte = 0;

	if (pipe(go))
		check_broken("pipe");
	fflush(stdout);
	pid_t pid = fork();
	if (pid < 0)
		check_broken("fork");
	if (pid == 0) {
		/* Wait: the parent must do its part while every page is still shared. */
		close(go[1]);
		if (read(go[0], &byte, 1) != 1)
			_exit(97);
		count_after_fork("C2 fork: the child");
		_exit(check_status());
	}
	count_after_fork("C2 fork: the parent");
	if (write(go[1], &byte, 1) != 1)
		check_broken("pipe");
	rc = child_wait(pid, 60, &status);
	check(rc == 0 && status == 0, "C2 fork: the child", "%s",
	      rc ? "did not end" : child_status(status));
}

static int at_once(int argc, char **argv)
{
	return argc > 1 && !strcmp(argv[1], "at_once");
}

const char *test_conf(int argc, char **argv)
{
	return at_once(argc, argv) ? "worker:off,fork_ready:on" CONF_UNCHECKED
				   : "worker:off" CONF_UNCHECKED;
}

int main(int argc, char **argv)
{
	conf_apply(argv);
	check_deadline(180, "C2 in time");
	t.at_once = at_once(argc, argv);
	t.seed = seed_of(t.at_once ? 1 : argc, argv);
	t.mix = calloc(1, sizeof(*t.mix));
	t.ops = (uint64_t)env_long("TEST_OPS", 1000000);
	mix_retires = 0;
	mix_caches_make(&t.caches, 0);
	if (mix_caches_stock(&t.caches, STOCK))
		check_broken("nst_stock");
	if (!t.at_once) {
		check_resident();
		check_counted();
		if (mix_caches_stock(&t.caches, STOCK))
			check_broken("nst_stock");
	}
	check_fork();
	size_t alive = mix_caches_destroy(&t.caches);
	check(alive == 0, "C2 nothing lost", "%zu objects alive", alive);
	return check_status();
}
