/* SPDX-License-Identifier: MIT */
/*
 * scopes.c - R5: in a scope NST_SCOPE_NOLOCK plain malloc() is a no-lock request, in others' code as well:
 * zlib is called there, by a thread that dies at its first system call.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <nostall/nostall.h>
#include "common/trap.h"
#include "preload.h"

#define Z_OK 0
#define Z_MEM_ERROR (-4)
#define TEXT_BYTES 20000u

/* It is not one that only allocates: whoever needs the library by name is given all from the start. */
static void not_lean(void)
{
	static struct nst_stats s;

	if (nst_stats_read(&s, sizeof(s)))
		check_broken("nst_stats_read");
	check(s.zones[0].pages_high == 256, "a program that needs the library has its memory ready",
	      "%llu pages", (unsigned long long)s.zones[0].pages_high);
}

/* ---- what the family answers ---- */

static void too_large(void)
{
	nst_scope_t scope = nst_scope_enter(NST_SCOPE_NOLOCK);
	void *p[7], *q = p;
	int err = 0, i, nulls = 0;

	errno = 0;
	p[0] = malloc(NST_NOLOCK_MAX + 1);
	p[1] = calloc(NST_NOLOCK_MAX, 2);
	p[2] = realloc(NULL, 1 << 20);
	p[3] = aligned_alloc(64, NST_NOLOCK_MAX * 2);
	p[4] = memalign(NST_NOLOCK_MAX * 2, 10);
	p[5] = valloc(10 << 20);
	p[6] = reallocarray(NULL, 1000, 1000);
	err = errno;
	nulls = posix_memalign(&q, 64, NST_NOLOCK_MAX * 4) == ENOMEM && q == p;
	nst_scope_exit(scope);
	check(nulls, "posix_memalign() of too much is ENOMEM", "%p", q);
	for (i = 0, nulls = 0; i < 7; i++)
		nulls += !p[i];
	check(nulls == 7 && err == ENOMEM, "what a no-lock request does not serve: NULL, ENOMEM",
	      "%d of 7, errno %d", nulls, err);
	p[0] = malloc(1 << 20);
	check(p[0] != NULL, "outside the scope it is served", "NULL");
	free(p[0]);
}

/* Until nothing is left: the worker is not waited for. */
static void until_empty(void)
{
	void **list = NULL, **p;
	unsigned long n = 0;
	nst_scope_t scope;
	int err;

	scope = nst_scope_enter(NST_SCOPE_NOLOCK);
	errno = 0;
	while (n < 1000000 && (p = malloc(32768)) != NULL) {
		*p = list;
		list = p;
		n++;
	}
	err = errno;
	nst_scope_exit(scope);
	check(n > 0 && n < 1000000 && err == ENOMEM, "at the end of what is ready: NULL, ENOMEM",
	      "after %lu, errno %d", n, err);
	p = malloc(32768);
	check(p != NULL, "which an ordinary request does not mind", "NULL");
	free(p);
	while ((p = list) != NULL) {
		list = *p;
		free(p);
	}
}

/* ---- others' code, and no way into the kernel ---- */

static struct {
	int (*pack)(unsigned char *to, unsigned long *room, const unsigned char *from,
		    unsigned long bytes);
	int (*unpack)(unsigned char *to, unsigned long *room, const unsigned char *from,
		      unsigned long bytes);
	unsigned char text[TEXT_BYTES], packed[TEXT_BYTES * 2], again[TEXT_BYTES];
	unsigned long packed_bytes;
	struct rng rng;
} z;

/* By the thread in the trap, for the one that waits; in memory of its own. */
struct found {
	int done, unpacked, packed, large_is_null;
	unsigned int wrong, served;
};

static void use_zlib(struct found *f)
{
	unsigned long room = sizeof(z.again);
	unsigned char *small = malloc(TEXT_BYTES);

	f->unpacked = z.unpack(z.again, &room, z.packed, z.packed_bytes);
	f->wrong += room != TEXT_BYTES || memcmp(z.text, z.again, room);
	room = TEXT_BYTES;
	/* Its window has 64 KiB: it must take NULL for an answer. */
	f->packed = small ? z.pack(small, &room, z.text, TEXT_BYTES) : Z_MEM_ERROR;
	free(small);
}

static unsigned int small_ones(unsigned int n)
{
	unsigned int i, served = 0;

	for (i = 0; i < n; i++) {
		char *q = malloc(rng_size(&z.rng, 1, 8192));

		served += q != NULL;
		q = realloc(q, q ? 100 : 50);
		free(q);
		free(calloc(3, rng_below(&z.rng, 1000)));
	}
	return served;
}

/*
 * Done once as an ordinary caller, as who must not wait would do it: then this CPU has what is wanted, and
 * it does not depend on the worker, which may have no CPU, whether it is there in the trap.
 */
static void *in_the_trap(void *arg)
{
	struct found *f = arg;
	void *p;

	run_on_cpu(0, sched_getcpu());
	use_zlib(f);
	small_ones(2000);
	trap_syscalls(TRAP_ALLOW_NONE);
	nst_scope_enter(NST_SCOPE_NOLOCK);
	use_zlib(f);
	errno = 0;
	p = malloc(1 << 20);
	f->large_is_null = !p && errno == ENOMEM;
	f->served = small_ones(20000);
	__atomic_store_n(&f->done, 1, __ATOMIC_RELEASE);
	for (;;)
		;
	return NULL;
}

/* In a child: the thread spins in its trap until the process ends. */
static void trapped(void)
{
	struct found *f = shared_memory(sizeof(*f), 9);
	int status = 0, got;
	pthread_t t;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		/* Its worker is there before the trap. */
		free(malloc(60000));
		if (pthread_create(&t, NULL, in_the_trap, f))
			_exit(1);
		while (!__atomic_load_n(&f->done, __ATOMIC_ACQUIRE))
			usleep(1000);
		_exit(0);
	}
	got = child_wait(pid, 40, &status);
	check(got == 0 && status == 0, "in the scope no call enters the kernel", "%s",
	      child_status(status));
	check(f->unpacked == Z_OK && f->wrong == 0, "zlib unpacks there", "%d, %u wrong",
	      f->unpacked, f->wrong);
	check(f->packed == Z_OK || f->packed == Z_MEM_ERROR,
	      "zlib packs there, or says that it has no memory", "%d", f->packed);
	check(f->large_is_null, "a large request is NULL and ENOMEM", "it is not");
	check(f->served > 10000, "most small ones are served", "%u of 20000", f->served);
}

static int find_zlib(void)
{
	void *lib = dlopen("libz.so.1", RTLD_NOW);
	unsigned int i;

	if (!lib)
		return 0;
	*(void **)&z.pack = dlsym(lib, "compress");
	*(void **)&z.unpack = dlsym(lib, "uncompress");
	for (i = 0; i < TEXT_BYTES; i++)
		z.text[i] = (unsigned char)(i * i >> 7);
	z.packed_bytes = sizeof(z.packed);
	return z.pack && z.unpack && z.pack(z.packed, &z.packed_bytes, z.text, TEXT_BYTES) == Z_OK;
}

int main(int argc, char **argv)
{
	demand_preload();
	z.rng.state = seed_of(argc, argv);
	not_lean();
	too_large();
	until_empty();
	if (!find_zlib())
		check_skip("no zlib (libz.so.1, package zlib1g) to call in a scope");
	trapped();
	return check_status();
}
