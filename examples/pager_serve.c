// SPDX-License-Identifier: MIT
/*
 * pager_serve.c - other processes read a file by this pager, each in memory of its own; one of them is killed.
 *
 *	reader (a child)			pager
 *	memory, userfaultfd ---socket-->	space, mapping of the whole file
 *	<------------- go --------------	fault threads
 *	reads each page in an order of its own, compares it with the file; the first reader never ends by itself
 *	counts -------------------------->	the first is killed on the way: its space is unmapped, the others go on
 */
#define _GNU_SOURCE
#include "pager.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define READERS_MOST 16
#define KILL_MS 50

struct counts {
	uint64_t pages, wrong;
};

struct client {
	pid_t pid;
	int socket;
	struct space space;
	struct counts counts;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- a reader ---- */

/* Every page once, by steps that have no divisor in common with their number; the first reader again and again. */
static struct counts read_all(const char *at, const struct source *file, unsigned int which)
{
	uint64_t pages = source_pages(file), step = pages > 3 ? pages / 3 * 2 + 1 : 1, page = which;
	struct counts c = {0, 0};
	char bytes[PAGE];

	while (pages % step == 0 && step > 1)
		step -= 2;
	for (uint64_t i = 0; i < pages || !which; i++, page += step) {
		if (!which && i % pages == 0) /* what it has is dropped: it faults for ever */
			madvise((void *)(uintptr_t)at, pages * PAGE, MADV_DONTNEED);
		if (source_read(file, page % pages, bytes) ||
		    memcmp(at + page % pages * PAGE, bytes, PAGE))
			c.wrong++;
		c.pages++;
	}
	return c;
}

static int reader(int socket, const char *path, unsigned int which)
{
	struct source *file = source_file(path);
	int protects, uffd = uffd_open(&protects);
	struct counts c;
	size_t bytes;
	char *at, go;

	if (!file || uffd < 0)
		return 1;
	bytes = source_pages(file) * PAGE;
	at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		  -1, 0);
	if (at == MAP_FAILED || madvise(at, bytes, MADV_NOHUGEPAGE) ||
	    uffd_register(uffd, (uintptr_t)at, bytes, 0) ||
	    uffd_send(socket, uffd, (uintptr_t)at, bytes, 0) || read(socket, &go, 1) != 1)
		return 1;
	c = read_all(at, file, which);
	return write(socket, &c, sizeof(c)) != sizeof(c);
}

/* ---- the pager ---- */

static int start_client(struct client *c, const char *path, unsigned int which)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	c->pid = fork();
	if (!c->pid) {
		close(pair[0]);
		_exit(reader(pair[1], path, which));
	}
	close(pair[1]);
	c->socket = pair[0];
	return c->pid < 0 ? -EAGAIN : 0;
}

static int meet_client(struct client *c, const struct source *src)
{
	uintptr_t at;
	size_t bytes;
	int protects, uffd = uffd_receive(c->socket, &at, &bytes, &protects);

	if (uffd < 0 || space_init(&c->space, uffd, protects, at, bytes))
		return -EIO;
	c->space.remote = 1;
	return space_map(&c->space, at, at + bytes, src, 0, 0);
}

static void end_client(struct client *c)
{
	waitpid(c->pid, NULL, 0);
	space_end(&c->space);
	close(c->space.uffd);
	close(c->socket);
}

/* The first is killed while it reads; of the others each says what it found. */
static int wait_clients(struct client *c, int nr)
{
	const struct timespec while_it_reads = {0, KILL_MS * 1000000};
	int wrong = 0;

	for (int i = 0; i < nr; i++)
		if (write(c[i].socket, "g", 1) != 1)
			return 1;
	nanosleep(&while_it_reads, NULL);
	kill(c[0].pid, SIGKILL);
	end_client(&c[0]);
	for (int i = 1; i < nr; i++) {
		ssize_t got = read(c[i].socket, &c[i].counts, sizeof(c[i].counts));

		if (got != sizeof(c[i].counts) || c[i].counts.wrong || !c[i].counts.pages)
			wrong++;
	}
	return wrong;
}

static int serve(struct client *c, int nr, int threads)
{
	struct space *spaces[READERS_MOST];
	struct pager_threads *p;
	double begun = now(), seconds;
	uint64_t pages = 0;
	int wrong;

	for (int i = 0; i < nr; i++)
		spaces[i] = &c[i].space;
	p = pager_start(spaces, nr, threads);
	if (!p)
		return 1;
	wrong = wait_clients(c, nr);
	seconds = now() - begun;
	pager_stop(p);
	for (int i = 1; i < nr; i++) {
		pages += c[i].counts.pages;
		end_client(&c[i]);
	}
	printf("  faults/s=%.0f pages_compared=%" PRIu64 " readers_wrong=%d clients_killed=1 "
	       "tables_made=%" PRIu64 " retired=%" PRIu64 "\n",
	       (double)pager.faults / seconds, pages, wrong, tables_made, tables_retired);
	return wrong || tables_made != tables_retired || pager.errors;
}

static struct source *packed_of(const char *path)
{
	char packed[] = "/tmp/pager-XXXXXX";
	struct source *file = source_file(path), *src = NULL;
	uint64_t bytes = 0;
	int fd = mkstemp(packed);

	if (file && fd >= 0)
		bytes = source_pack(file, packed);
	if (bytes) {
		printf("  snapshot of %" PRIu64 " pages: %" PRIu64 " bytes\n", source_pages(file),
		       bytes);
		src = source_snapshot(packed);
	}
	if (fd >= 0) {
		unlink(packed);
		close(fd);
	}
	source_close(file);
	return src;
}

static int refused(void)
{
	int protects, uffd = uffd_open(&protects);

	if (uffd >= 0)
		close(uffd);
	else
		printf("SKIP pager: userfaultfd: %s (UFFD_USER_MODE_ONLY)\n", strerror(-uffd));
	return uffd < 0;
}

int pager_serve(const char *path, int packed, int readers, int threads)
{
	static struct client client[READERS_MOST];
	struct source *src;
	int rc = 0;

	readers = readers < 2 ? 2 : readers > READERS_MOST ? READERS_MOST : readers;
	printf("speculative_pager: %s%s, %d readers, %d fault threads\n",
	       packed ? "a snapshot of " : "", path, readers, threads);
	if (refused())
		return 77;
	src = packed ? packed_of(path) : source_file(path);
	if (!src)
		return 1;
	for (int i = 0; i < readers && !rc; i++)
		rc = start_client(&client[i], path, (unsigned int)i);
	for (int i = 0; i < readers && !rc; i++)
		rc = meet_client(&client[i], src);
	if (!rc)
		rc = serve(client, readers, threads);
	source_close(src);
	return rc != 0;
}
