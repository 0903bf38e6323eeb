/* SPDX-License-Identifier: MIT */
/*
 * family.c - R2: each function of the malloc family: what its manual page says, and that it is ours.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/askers.h"
#include "preload.h"

#define MIB ((size_t)1 << 20)
#define HUGE ((size_t)PTRDIFF_MAX + 1)
#define NR(a) (sizeof(a) / sizeof((a)[0]))

/* The compiler must not know these. */
static volatile size_t zero = 0, odd = 48, huge = HUGE, most = SIZE_MAX;
static const size_t sizes[] = {1,      8,	16,	     17,      24,     100,   129,
			       1000,   4096,	5000,	     8192,    8193,   20000, 65536,
			       300000, 2 * MIB, 2 * MIB + 1, 3 * MIB, 9 * MIB};

static int all(const unsigned char *p, int c, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (p[i] != c)
			return 0;
	return 1;
}

/* ---- whose ---- */

static void identity(void)
{
	static const char *const names[] = {"malloc",	      "free",
					    "calloc",	      "realloc",
					    "reallocarray",   "aligned_alloc",
					    "posix_memalign", "memalign",
					    "valloc",	      "pvalloc",
					    "free_sized",     "free_aligned_sized",
					    "cfree",	      "malloc_usable_size",
					    "malloc_trim",    "mallopt",
					    "mallinfo",	      "mallinfo2",
					    "malloc_stats",   "malloc_info",
					    "__libc_malloc",  "__libc_calloc",
					    "__libc_realloc", "__libc_memalign",
					    "__libc_valloc",  "__libc_pvalloc",
					    "__libc_free",    "__posix_memalign",
					    "__libc_mallopt", "__libc_mallinfo",
					    "vfork"};
	char *line = NULL, *copy = strdup("libc allocates through us");
	size_t i, room = 0;
	FILE *f;

	for (i = 0; i < NR(names); i++) {
		void *fn = dlsym(RTLD_DEFAULT, names[i]);
		Dl_info info = {0};

		check(fn && dladdr(fn, &info) && strstr(info.dli_fname, "libnostall-malloc"),
		      names[i], "is that of %s", info.dli_fname ? info.dli_fname : "nobody");
	}
	check(is_ours(copy), "strdup() of libc allocates here", "it does not");
	f = fopen("/proc/self/maps", "r");
	check(f && is_ours(f), "fopen() of libc allocates here", "it does not");
	check(f && getline(&line, &room, f) > 0 && is_ours(line), "and getline()", "it does not");
	fclose(f);
	free(line);
	free(copy);
}

/* ---- malloc, calloc ---- */

static void alignment(void)
{
	unsigned int wrong = 0, overlap = 0;
	unsigned char *before = NULL;
	size_t size, have = 0;

	for (size = 1; size < 70000; size += size < 10000 ? 1 : 97) {
		unsigned char *p = malloc(size);

		wrong += !p || (uintptr_t)p % 16 || malloc_usable_size(p) < size;
		memset(p, (int)(size & 0xff), malloc_usable_size(p));
		if (before) {
			overlap +=
				!all(before, (int)((size - (size <= 10000 ? 1 : 97)) & 0xff), have);
			free(before);
		}
		before = p;
		have = malloc_usable_size(p);
	}
	free(before);
	check(wrong == 0, "each size: aligned to 16, at least that many bytes", "%u are not",
	      wrong);
	check(overlap == 0, "all of malloc_usable_size() may be written", "%u damaged", overlap);
}

static void zeroed(void)
{
	unsigned int wrong = 0;
	size_t i, round;

	for (i = 0; i < NR(sizes); i++) {
		for (round = 0; round < 8; round++) {
			unsigned char *a = malloc(sizes[i]), *b = malloc(sizes[i]), *c, *d;

			memset(a, 0xff, sizes[i]);
			memset(b, 0xff, sizes[i]);
			free(a);
			free(b);
			c = calloc(sizes[i], 1);
			d = calloc(1, sizes[i]);
			wrong += !c || !d || !all(c, 0, sizes[i]) || !all(d, 0, sizes[i]);
			memset(c, 0xee, malloc_usable_size(c));
			free(c);
			free(d);
		}
	}
	check(wrong == 0, "calloc() is zero after what was there", "%u are not", wrong);
}

static void size_0(void)
{
	void *p[500], *aligned = NULL;
	unsigned int i, k, same = 0;

	for (i = 0; i < NR(p); i++) {
		p[i] = i % 4 == 0   ? malloc(zero)
		       : i % 4 == 1 ? calloc(zero, 7)
		       : i % 4 == 2 ? realloc(NULL, zero)
				    : reallocarray(NULL, 7, zero);
		for (k = 0; k < i; k++)
			same += p[k] == p[i];
		same += !p[i];
	}
	check(same == 0, "objects of size 0 are objects of their own", "%u are not", same);
	for (i = 0; i < NR(p); i++)
		free(p[i]);
	check(posix_memalign(&aligned, 64, zero) == 0 && aligned, "posix_memalign() of size 0",
	      "%p", aligned);
	free(aligned);
	aligned = aligned_alloc(64, zero);
	check(aligned && (uintptr_t)aligned % 64 == 0, "aligned_alloc() of size 0", "%p", aligned);
	free(aligned);
	aligned = pvalloc(zero);
	check(aligned && (uintptr_t)aligned % 4096 == 0, "pvalloc() of size 0", "%p", aligned);
	free(aligned);
}

/* ---- realloc ---- */

static void grow_and_shrink(void)
{
	unsigned char *p = realloc(NULL, 1);
	unsigned int wrong = 0;
	size_t size, next;

	memset(p, 7, 1);
	for (size = 1; size < 12 * MIB; size = next) {
		next = size + size / 3 + 1;
		p = realloc(p, next);
		wrong += !p || !all(p, 7, size) || malloc_usable_size(p) < next;
		memset(p, 7, next);
	}
	check(wrong == 0, "realloc() grows from 1 byte to 12 MiB with its contents", "%u lost",
	      wrong);
	for (wrong = 0; size > 1; size = next) {
		next = size / 2;
		p = realloc(p, next);
		wrong += !p || !all(p, 7, next);
	}
	check(wrong == 0, "and shrinks", "%u lost", wrong);
	errno = 77;
	check(realloc(p, zero) == NULL && errno == 77, "realloc() to 0 frees, and is no error",
	      "errno %d", errno);
}

/* Not inlined: the compiler would think that a call which failed had freed. */
static __attribute__((noinline)) void *resize(void *p, size_t nr, size_t size)
{
	return nr == 1 ? realloc(p, size) : reallocarray(p, nr, size);
}

static void keeps_what_it_cannot_move(void)
{
	char *p = malloc(100);

	strcpy(p, "kept");
	errno = 0;
	check(!resize(p, 1, huge) && errno == ENOMEM && !strcmp(p, "kept"),
	      "realloc() that fails: NULL, ENOMEM, the object as it was", "errno %d", errno);
	errno = 0;
	check(!resize(p, most / 2, 3) && errno == ENOMEM && !strcmp(p, "kept"),
	      "reallocarray() that overflows: the same", "errno %d", errno);
	p = resize(p, 1000, 10);
	check(p && !strcmp(p, "kept"), "reallocarray() otherwise is realloc()", "%p", (void *)p);
	free(p);
}

/* ---- errno ---- */

/* Beside those of common/askers.h. */
static const char *const others[] = {"calloc, overflow", "pvalloc, rounding",
				     "reallocarray, overflow"};

static const char *name_of(unsigned int who)
{
	return who < NR_ASKERS ? asker_name[who] : others[who - NR_ASKERS];
}

static void *ask(unsigned int who, size_t size)
{
	switch (who) {
	case NR_ASKERS:
		return calloc(size / 4, 8);
	case NR_ASKERS + 1:
		return pvalloc(PTRDIFF_MAX - size % 4096);
	case NR_ASKERS + 2:
		return reallocarray(NULL, size, 2);
	default:
		return asker_ask(who, size);
	}
}

static void too_much(void)
{
	size_t size[] = {huge, most, most - 4096};
	unsigned int i, k, wrong = 0;

	for (i = 0; i < NR_ASKERS + NR(others); i++) {
		for (k = 0; k < NR(size); k++) {
			void *p;

			errno = 0;
			p = ask(i, size[k]);
			wrong += p || errno != ENOMEM;
			check_quiet(!p && errno == ENOMEM, name_of(i), "%zu bytes: %p, errno %d",
				    size[k], p, errno);
		}
	}
	check(wrong == 0, "too much is NULL and ENOMEM", "%u times it is not", wrong);
}

static void success_leaves_errno(void)
{
	unsigned int wrong = 0;
	size_t i, round;

	for (i = 0; i < NR(sizes); i++) {
		for (round = 0; round < 20; round++) {
			void *p, *q = NULL;

			errno = 77;
			p = malloc(sizes[i]);
			wrong += errno != 77;
			p = realloc(p, sizes[i] * 2);
			wrong += errno != 77;
			wrong += posix_memalign(&q, 256, sizes[i]) != 0 || errno != 77;
			free(p);
			wrong += errno != 77;
			free(q);
			free(NULL);
			wrong += errno != 77;
			p = calloc(3, sizes[i]);
			wrong += errno != 77;
			free(p);
			malloc_trim(0);
			wrong += errno != 77;
		}
	}
	check(wrong == 0, "success and free leave errno as it was", "%u did not", wrong);
}

/* ---- alignment ---- */

static void aligned(void)
{
	unsigned int wrong = 0;
	size_t align, i;

	for (align = 1; align <= MIB; align *= 2) {
		for (i = 0; i < NR(sizes); i++) {
			void *p = NULL, *q = memalign(align, sizes[i]);
			void *r = aligned_alloc(align, sizes[i]);

			if (align >= sizeof(void *))
				wrong += posix_memalign(&p, align, sizes[i]) != 0 ||
					 (uintptr_t)p % align;
			wrong += !q || (uintptr_t)q % align || malloc_usable_size(q) < sizes[i];
			wrong += !r || (uintptr_t)r % align;
			memset(q, 1, sizes[i]);
			memset(r, 2, sizes[i]);
			wrong += !all(q, 1, sizes[i]) || !is_ours(q);
			q = realloc(q, sizes[i] + 1000);
			wrong += !q || !all(q, 1, sizes[i]);
			free(p);
			free(q);
			free(r);
		}
	}
	check(wrong == 0, "alignments from 1 to 1 MiB, 19 sizes each", "%u are wrong", wrong);
}

static void posix_says(void)
{
	static const size_t bad[] = {0, 1, 2, 4, 3, 7, 12, 24, 100, 4097, HUGE + 8};
	void *p = &p;
	size_t i;

	errno = 77;
	for (i = 0; i < NR(bad); i++)
		check_quiet(posix_memalign(&p, bad[i], 100) == EINVAL && p == &p && errno == 77,
			    "posix_memalign() of no alignment is EINVAL", "of %zu", bad[i]);
	check(posix_memalign(&p, 64, huge) == ENOMEM && p == &p && errno == 77,
	      "posix_memalign(): ENOMEM is its result, not errno", "errno %d", errno);
	check(posix_memalign(&p, HUGE, 1) == ENOMEM && p == &p, "an alignment too large is ENOMEM",
	      "it is not");
	p = memalign(odd, 100);
	check(p && (uintptr_t)p % 64 == 0, "memalign() rounds an alignment up", "%p", p);
	free(p);
	errno = 0;
	check(!memalign(most, 1) && errno == EINVAL, "memalign(): no power of two that large",
	      "errno %d", errno);
	p = valloc(5);
	check(p && (uintptr_t)p % 4096 == 0, "valloc() is aligned to the page", "%p", p);
	free(p);
	p = pvalloc(4097);
	check(p && (uintptr_t)p % 4096 == 0 && malloc_usable_size(p) >= 8192,
	      "pvalloc() has whole pages", "%p, %zu bytes", p, malloc_usable_size(p));
	free(p);
}

/* ---- sized frees, what there is to ask ---- */

static void sized(void)
{
	void (*free_sized)(void *, size_t) = NULL;
	void (*free_aligned_sized)(void *, size_t, size_t) = NULL;
	unsigned int round;
	size_t i;

	*(void **)&free_sized = dlsym(RTLD_DEFAULT, "free_sized");
	*(void **)&free_aligned_sized = dlsym(RTLD_DEFAULT, "free_aligned_sized");
	if (!free_sized || !free_aligned_sized) {
		check(0, "free_sized() and free_aligned_sized() are there", "they are not");
		return;
	}
	free_sized(NULL, 0);
	free_aligned_sized(NULL, 64, 10);
	free_sized(malloc(zero), zero);
	for (round = 0; round < 200; round++) {
		for (i = 0; i < NR(sizes); i++) {
			if (sizes[i] > MIB && round > 3)
				continue;
			free_sized(malloc(sizes[i]), sizes[i]);
			free_sized(calloc(sizes[i], 2), sizes[i] * 2);
			free_sized(realloc(malloc(50), sizes[i]), sizes[i]);
			free_aligned_sized(aligned_alloc(256, sizes[i]), 256, sizes[i]);
		}
	}
	check(1, "free_sized() and free_aligned_sized()", "never");
}

/* A malloc() of the program's that counts, say, takes from there. */
static void libcs_own(void)
{
	void *(*take)(size_t) = NULL;
	void (*give)(void *) = NULL;
	void *p;

	*(void **)&take = dlsym(RTLD_DEFAULT, "__libc_malloc");
	*(void **)&give = dlsym(RTLD_DEFAULT, "__libc_free");
	if (!take || !give)
		return; /* identity() says so */
	p = take(1000);
	check(is_ours(p), "__libc_malloc() serves for free()", "%p", p);
	free(p);
	give(malloc(1000));
}

static void asked(void)
{
	struct mallinfo2 before, after;
	uint64_t since[2] = {0, 0};
	int more;
	void *p[40];
	size_t i;

	check(malloc_usable_size(NULL) == 0, "malloc_usable_size(NULL) is 0", "it is not");
	check(mallopt(M_MMAP_THRESHOLD, 1 << 20) == 1, "mallopt() is content", "it is not");
	/* What was freed before is given back by the worker or here, and the worker may be at it. */
	while (mallinfo2().hblks && check_patience(&since[0]))
		malloc_trim(0);
	before = mallinfo2();
	for (i = 0; i < NR(p); i++)
		memset(p[i] = malloc(MIB / 4 * (i < 20 ? 1 : 20)), 1, MIB / 4);
	after = mallinfo2();
	check(after.uordblks + after.hblkhd >= before.uordblks + before.hblkhd + 100 * MIB,
	      "mallinfo2() sees 105 MiB more in use", "%zu + %zu, then %zu + %zu", before.uordblks,
	      before.hblkhd, after.uordblks, after.hblkhd);
	check(after.hblks >= before.hblks + 20, "of which 20 mappings", "%zu, then %zu",
	      before.hblks, after.hblks);
	for (i = 0; i < NR(p); i++)
		free(p[i]);
	do
		more = malloc_trim(0) || mallinfo2().hblks;
	while (more && check_patience(&since[1]));
	before = mallinfo2();
	check(before.hblkhd < 2 * MIB && !more, "malloc_trim() gives mappings back, and ends",
	      "%zu bytes", before.hblkhd);
}

int main(void)
{
	demand_preload();
	check_deadline(50, "the family answers");
	identity();
	alignment();
	zeroed();
	size_0();
	grow_and_shrink();
	keeps_what_it_cannot_move();
	too_much();
	success_leaves_errno();
	aligned();
	posix_says();
	sized();
	libcs_own();
	asked();
	return check_status();
}
