// SPDX-License-Identifier: MIT
/*
 * pager_serve.c - other processes read a file by this pager, each in memory of its own; one of them is killed.
 *
 *	reader (a child)			pager
 *	memory, userfaultfd ---socket-->	space, mapping of the whole file
 *	<------------- go --------------	fault threads
 *	reads each page in an order of its own, compares it with the file; the first reader never ends by itself
 *	counts -------------------------->	the first is killed on the way: its space is unmapped, the others go on
 *
 * Each reader has an account, which its tables are charged to. A greedy one faults where each fault needs a table; at its
 * account's limit its own tables go, and not the others' memory.
 */
#define _GNU_SOURCE
#include "pager.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
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
#define GREEDY_BYTES ((size_t)16 << 30)
#define GREEDY_STEP ((size_t)2 << 20) /* what a table of the last level covers */
#define CLIENT_MAX (2u << 20)

#if defined(PAGER_BUSTED) && PAGER_BUSTED == 5 /* nobody has an account */
#define ACCOUNT() NULL
#define PATIENCE 3 /* seconds until the others are starved */
#else
#define ACCOUNT() nst_account_create("client", NULL, NST_NO_LIMIT, CLIENT_MAX)
#define PATIENCE 60
#endif

struct counts {
	uint64_t pages, wrong;
};

struct client {
	pid_t pid;
	int socket;
	struct space space;
	struct counts counts;
};

static int greedy; /* the first is */

static int is_greedy(unsigned int which)
{
	return greedy && !which;
}

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

static int touch_for_ever(char *at)
{
	for (;;) {
		for (size_t i = 0; i < GREEDY_BYTES; i += GREEDY_STEP)
			at[i] = 1;
		madvise(at, GREEDY_BYTES, MADV_DONTNEED);
	}
	return 1;
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
	bytes = is_greedy(which) ? GREEDY_BYTES : source_pages(file) * PAGE;
	at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		  -1, 0);
	if (at == MAP_FAILED || madvise(at, bytes, MADV_NOHUGEPAGE) ||
	    uffd_register(uffd, (uintptr_t)at, bytes, 0) ||
	    uffd_send(socket, uffd, (uintptr_t)at, bytes, 0) || read(socket, &go, 1) != 1)
		return 1;
	if (is_greedy(which))
		return touch_for_ever(at);
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

static int meet_client(struct client *c, const struct source *src, unsigned int which)
{
	uintptr_t at;
	size_t bytes;
	int protects, uffd = uffd_receive(c->socket, &at, &bytes, &protects);

	if (uffd < 0 || space_init(&c->space, uffd, protects, at, bytes))
		return -EIO;
	c->space.remote = 1;
	c->space.account = ACCOUNT();
	return space_map(&c->space, at, at + bytes, is_greedy(which) ? NULL : src, 0, 0);
}

/* 0, or something is charged to it still. */
static int end_client(struct client *c)
{
	int err;

	waitpid(c->pid, NULL, 0);
	space_end(&c->space);
	nst_rcu_barrier();
	err = nst_account_destroy(c->space.account);
	close(c->space.uffd);
	close(c->socket);
	if (err)
		printf("pager: a client that is gone is charged for something\n");
	return err;
}

/* What it found, or that it was not served in time. */
static int is_wrong(struct client *c)
{
	struct pollfd fd = {.fd = c->socket, .events = POLLIN};

	if (poll(&fd, 1, PATIENCE * 1000) != 1) {
		printf("pager: a client is starved\n");
		kill(c->pid, SIGKILL);
		return 1;
	}
	return read(c->socket, &c->counts, sizeof(c->counts)) != sizeof(c->counts) ||
	       c->counts.wrong || !c->counts.pages;
}

static int start_reading(struct client *c)
{
	return write(c->socket, "g", 1) != 1;
}

/* The first is killed while it reads. */
static int wait_clients(struct client *c, int nr)
{
	const struct timespec while_it_reads = {0, KILL_MS * 1000000};
	int wrong = start_reading(&c[0]);
	double begun = now();

	while (greedy && !COUNTED(pager.starved) &&
	       now() - begun < PATIENCE) /* it has all it can get */
		nanosleep(&while_it_reads, NULL);
	for (int i = 1; i < nr; i++)
		wrong += start_reading(&c[i]);
	for (int i = 1; i < nr && greedy; i++)
		wrong += is_wrong(&c[i]);
	nanosleep(&while_it_reads, NULL);
	kill(c[0].pid, SIGKILL);
	wrong += end_client(&c[0]) != 0;
	for (int i = 1; i < nr && !greedy; i++)
		wrong += is_wrong(&c[i]);
	if (greedy && !pager.starved) {
		printf("pager: the greedy one got all it wanted\n");
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
		wrong += end_client(&c[i]) != 0;
	}
	printf("  faults/s=%.0f pages_compared=%" PRIu64 " readers_wrong=%d clients_killed=1 "
	       "tables_made=%" PRIu64 " retired=%" PRIu64 " starved=%" PRIu64 "\n",
	       (double)pager.faults / seconds, pages, wrong, tables_made, tables_retired,
	       pager.starved);
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
		rc = meet_client(&client[i], src, (unsigned int)i);
	if (!rc)
		rc = serve(client, readers, threads);
	source_close(src);
	return rc != 0;
}

int pager_serve_greedy(const char *path, int readers, int threads)
{
	greedy = 1;
	return pager_serve(path, 0, readers, threads);
}
