/* SPDX-License-Identifier: MIT */
/*
 * pager_nst.c - the pager of examples/ under load: clients touch pages they do not have, changers map and unmap others.
 *
 *	client	touches each page of its 8 MiB, timed, drops them all, begins again
 *	changer	maps 8 MiB of its own, touches one page of it, unmaps it, begins again
 *
 * Bytes come from a file of 8 MiB that the kernel has in memory, at once or after a sleep, as if it were farther. Clients drop pages by themselves, so no fault of theirs but
 * the first waits for anything but its own bytes and, by policy, the lock.
 */
#define _GNU_SOURCE
#include "pager_job.h"

#include "../examples/pager.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PART_BYTES ((size_t)8 << 20)
#define PART_STRIDE ((size_t)1 << 30)
#define CLIENTS 2
#define CHANGERS_MOST 4

struct part {
	pthread_t thread;
	uintptr_t at;
	uint64_t touches, changes;
	struct bench_hist hist;
};

static struct {
	struct space space;
	struct source *src;
	struct part part[CLIENTS + CHANGERS_MOST];
	int stop;
} rig;

static int going(void)
{
	return !__atomic_load_n(&rig.stop, __ATOMIC_RELAXED);
}

static void touch(uintptr_t at)
{
	(void)__atomic_load_n((const char *)at, __ATOMIC_RELAXED);
}

static void *client(void *arg)
{
	struct part *p = arg;

	while (going()) {
		for (size_t i = 0; i < PART_BYTES && going(); i += PAGE) {
			uint64_t begun = bench_ns();

			touch(p->at + i);
			bench_hist_add(&p->hist, bench_ns() - begun);
			p->touches++;
		}
		madvise((void *)p->at, PART_BYTES, MADV_DONTNEED);
	}
	return NULL;
}

static void *changer(void *arg)
{
	struct part *p = arg;

	while (going()) {
		space_map(&rig.space, p->at, p->at + PART_BYTES, rig.src, 0, 0);
		touch(p->at + p->changes % (PART_BYTES / PAGE) * PAGE);
		space_unmap(&rig.space, p->at, p->at + PART_BYTES);
		p->changes += 2;
	}
	return NULL;
}

/* ---- the stage ---- */

static struct source *make_source(void)
{
	char path[] = "/tmp/bench-pager-XXXXXX", bytes[PAGE];
	int fd = mkstemp(path);
	struct source *src;

	if (fd < 0)
		return NULL;
	for (size_t i = 0; i < PART_BYTES / PAGE; i++) {
		memset(bytes, (int)i | 1, sizeof(bytes));
		if (write(fd, bytes, PAGE) != (ssize_t)PAGE)
			abort();
	}
	close(fd);
	src = source_file(path);
	unlink(path);
	return src;
}

static int prepare(void)
{
	const size_t parts = CLIENTS + CHANGERS_MOST;
	int protects, uffd = uffd_open(&protects);
	uintptr_t at;

	if (uffd < 0)
		return -uffd;
	at = (uintptr_t)mmap(NULL, parts * PART_STRIDE, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	rig.src = make_source();
	if (at == (uintptr_t)MAP_FAILED || !rig.src ||
	    space_init(&rig.space, uffd, 0, at, parts * PART_STRIDE))
		return ENOMEM;
	for (size_t i = 0; i < parts; i++) {
		struct part *p = &rig.part[i];

		p->at = at + i * PART_STRIDE;
		mprotect((void *)p->at, PART_BYTES, PROT_READ | PROT_WRITE);
		madvise((void *)p->at, PART_BYTES, MADV_NOHUGEPAGE);
		if (uffd_register(uffd, p->at, PART_BYTES, 0) ||
		    (i < CLIENTS &&
		     space_map(&rig.space, p->at, p->at + PART_BYTES, rig.src, 0, 0)))
			return ENOMEM;
	}
	return 0;
}

static void begin_parts(const struct pager_job *job)
{
	__atomic_store_n(&rig.stop, 0, __ATOMIC_RELAXED);
	for (uint32_t i = 0; i < CLIENTS + job->changers; i++) {
		struct part *p = &rig.part[i];

		p->touches = p->changes = 0;
		memset(&p->hist, 0, sizeof(p->hist));
		if (pthread_create(&p->thread, NULL, i < CLIENTS ? client : changer, p))
			abort();
	}
}

static void end_parts(const struct pager_job *job, double seconds, struct pager_answer *a)
{
	__atomic_store_n(&rig.stop, 1, __ATOMIC_RELAXED);
	for (uint32_t i = 0; i < CLIENTS + job->changers; i++) {
		struct part *p = &rig.part[i];

		pthread_join(p->thread, NULL);
		a->faults_a_second += (double)p->touches / seconds;
		a->changes_a_second += (double)p->changes / seconds;
		bench_hist_merge(&a->touch, &p->hist);
	}
}

static void run(const struct pager_job *job, struct pager_answer *a)
{
	const struct timespec t = {job->milliseconds / 1000, job->milliseconds % 1000 * 1000000L};
	struct space *spaces[] = {&rig.space};
	struct nst_speculate_stats s;
	struct pager_threads *threads;
	uint64_t begun;

	memset(&pager, 0, sizeof(pager));
	pager.policy = (enum pager_policy)job->policy;
	pager.site.policy = job->policy < PAGER_LOCK ? job->policy : 0;
	source_delay(rig.src, (long)job->source_us);
	threads = pager_start(spaces, 1, (int)job->fault_threads);
	if (!threads)
		abort();
	begin_parts(job);
	begun = bench_ns();
	nanosleep(&t, NULL);
	end_parts(job, (double)(bench_ns() - begun) / 1e9, a);
	pager_stop(threads);
	nst_speculate_read(&pager.site, &s);
	a->success = s.success;
	a->abort = s.abort;
	a->retry = s.retry;
	a->miss = s.miss;
}

int main(void)
{
	static struct pager_answer a;
	struct pager_job job;
	int failed = prepare();

	for (;;) {
		bench_next(&job, sizeof(job));
		memset(&a, 0, sizeof(a));
		a.failed = failed;
		if (!failed)
			run(&job, &a);
		bench_answer(&a, sizeof(a));
	}
}
