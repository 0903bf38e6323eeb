/* SPDX-License-Identifier: MIT */
/*
 * refuse.c - C7: errno is untouched by every call; C8: too large is NULL always; C10: a mode is
 * exactly one, or the request is refused.
 *
 * At compile time a wrong constant does not compile: refuse_compile.py shows it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/mix.h"
#include "common/trap.h"

#define NR_HELD 20000

static struct nst_cache *cache;

static uint64_t nulls(enum nst_null_reason why)
{
	static struct nst_stats stats;

	nst_stats_read(&stats, sizeof(stats));
	return stats.null_reasons[why];
}

/* ---- C7: errno ---- */

#define ODD_ERRNO 4242

/* Runs one call with a marked errno. A macro: the call is an expression of any type. */
#define LEAVES_ERRNO(name, call)                                                                   \
	(errno = ODD_ERRNO, (void)(call),                                                          \
	 check(errno == ODD_ERRNO, "C7 errno untouched: " name, "it is %d", errno))

static void check_errno_hit(void)
{
	void *p = nst_alloc(100, NST_NORMAL), *q, *out[8];

	LEAVES_ERRNO("nst_alloc", q = nst_alloc(100, NST_NORMAL));
	nst_free(q);
	LEAVES_ERRNO("nst_alloc_nolock", q = nst_alloc_nolock(100));
	LEAVES_ERRNO("nst_free_nolock", nst_free_nolock(q));
	LEAVES_ERRNO("nst_alloc_fasttry", q = nst_alloc_fasttry(100));
	LEAVES_ERRNO("nst_free", nst_free(q));
	LEAVES_ERRNO("nst_alloc_aligned", q = nst_alloc_aligned(100, 256, NST_NOWAIT));
	LEAVES_ERRNO("nst_free_sized", nst_free_sized(nst_alloc(64, NST_NORMAL), 64));
	nst_free(q);
	LEAVES_ERRNO("nst_realloc", p = nst_realloc(p, 5000, NST_NORMAL));
	LEAVES_ERRNO("nst_usable_size", nst_usable_size(p));
	nst_free(p);
	LEAVES_ERRNO("nst_alloc_bulk", nst_alloc_bulk(48, NST_NORMAL, 8, out));
	LEAVES_ERRNO("nst_free_bulk", nst_free_bulk(8, out));
	LEAVES_ERRNO("nst_cache_alloc", q = nst_cache_alloc(cache, NST_NORMAL));
	LEAVES_ERRNO("nst_cache_free", nst_cache_free(cache, q));
	LEAVES_ERRNO("nst_cache_alloc_nolock", q = nst_cache_alloc_nolock(cache));
	LEAVES_ERRNO("nst_cache_free_nolock", nst_cache_free_nolock(cache, q));
	LEAVES_ERRNO("nst_pages_alloc", q = nst_pages_alloc(2, NST_NORMAL));
	LEAVES_ERRNO("nst_pages_free", nst_pages_free(q));
	LEAVES_ERRNO("nst_pages_alloc_nolock", q = nst_pages_alloc_nolock(0));
	LEAVES_ERRNO("nst_pages_free_nolock", nst_pages_free_nolock(q));
	LEAVES_ERRNO("nst_stock", nst_stock(cache, 10, NST_CPU_ALL));
	LEAVES_ERRNO("nst_pages_stock", nst_pages_stock(1, 10, NST_CPU_ALL));
	LEAVES_ERRNO("nst_maintain", nst_maintain());
	LEAVES_ERRNO("nst_scope_exit", nst_scope_exit(nst_scope_enter(NST_SCOPE_NOLOCK)));
}

/* Failing leaves it alone too: NULL says it all. */
static void check_errno_null(void)
{
	void *q;

	LEAVES_ERRNO("nst_alloc of 0", q = nst_alloc(0, NST_NORMAL));
	LEAVES_ERRNO("nst_alloc of too much", q = nst_alloc(SIZE_MAX, NST_NORMAL));
	LEAVES_ERRNO("nst_alloc of more than there is",
		     q = nst_alloc((size_t)1 << 46, NST_NORETRY));
	LEAVES_ERRNO("nst_alloc_nolock of too much", q = nst_alloc_nolock(NST_NOLOCK_MAX + 1));
	LEAVES_ERRNO("nst_pages_alloc of too much", q = nst_pages_alloc(NST_ORDER_MAX, NST_NOLOCK));
	LEAVES_ERRNO("nst_stock of a bad CPU", nst_stock(cache, 1, -7));
	LEAVES_ERRNO("nst_stats_read of nothing", nst_stats_read(NULL, 0));
	check(!q, "C8 too much is NULL", "%p", q);
}

/* Slow paths: growth, slabs, a mapping. */
static void check_errno_slow(void)
{
	static void *held[NR_HELD];
	unsigned int changed = 0;

	errno = ODD_ERRNO;
	for (unsigned int i = 0; i < NR_HELD; i++)
		held[i] = nst_alloc(1 + i % 8192, i % 2 ? NST_NORMAL : NST_NOWAIT);
	changed += errno != ODD_ERRNO;
	for (unsigned int i = 0; i < NR_HELD; i++)
		nst_free(held[i]);
	changed += errno != ODD_ERRNO;
	nst_free(nst_alloc((size_t)9 << 20, NST_NORMAL));
	changed += errno != ODD_ERRNO;
	struct nst_cache *other = nst_cache_create("errno", 10, 0, 0, NULL);
	nst_cache_destroy(other);
	changed += errno != ODD_ERRNO;
	check(changed == 0, "C7 errno untouched by slow paths", "changed in %u of 4", changed);
}

/* ---- C8: too large ---- */

static unsigned int served(size_t size, unsigned int order)
{
	unsigned int n = 0;

	n += nst_alloc_nolock(size) != NULL;
	n += nst_alloc_fasttry(size) != NULL;
	n += nst_alloc(size, NST_NOLOCK) != NULL;
	n += nst_alloc(size, NST_NOLOCK | NST_ZERO) != NULL;
	n += nst_alloc(size, NST_FASTTRY) != NULL;
	n += nst_alloc_aligned(size, 16, NST_NOLOCK) != NULL;
	n += nst_pages_alloc_nolock(order) != NULL;
	n += nst_pages_alloc(order, NST_NOLOCK) != NULL;
	n += nst_pages_alloc(order, NST_FASTTRY) != NULL;
	return n;
}

static void check_large(void)
{
	static const size_t sizes[] = {
		NST_NOLOCK_MAX + 1, NST_NOLOCK_MAX + 4096, (size_t)1 << 20, (size_t)1 << 21,
		(size_t)1 << 40,    SIZE_MAX / 2,	   SIZE_MAX - 15,   SIZE_MAX};
	static const unsigned int orders[] = {4, 5, 8, 9, 10, 31, 64, 0xffffffffu};
	uint64_t before = nulls(NST_NULL_SIZE);
	unsigned int got = 0;

	/* Much is free: only the size can be the reason. */
	for (int round = 0; round < 50; round++)
		for (unsigned int i = 0; i < 8; i++)
			got += served(sizes[i], orders[i]);
	check(got == 0, "C8 too large is NULL always", "%u requests were served", got);
	uint64_t counted = nulls(NST_NULL_SIZE) - before;
	check(counted == 50 * 8 * 9, "C8 each is counted with its reason", "%llu of 3600",
	      (unsigned long long)counted);
	void *p = nst_alloc_nolock(NST_NOLOCK_MAX);
	check(p != NULL, "C8 the largest is served", "NULL");
	nst_free_nolock(p);
}

static void check_zero_size(void)
{
	unsigned int got = 0;
	void *out[4];

	got += nst_alloc(0, NST_NORMAL) != NULL;
	got += nst_alloc(0, NST_NOLOCK) != NULL;
	got += nst_alloc_nolock(0) != NULL;
	got += nst_alloc_fasttry(0) != NULL;
	got += nst_alloc_aligned(0, 16, NST_NORMAL) != NULL;
	got += nst_alloc_bulk(0, NST_NORMAL, 4, out) != 0;
	check(got == 0, "C8 size 0 is NULL", "%u requests were served", got);
}

static void check_overflow(void)
{
	unsigned int got = 0;
	void *p = nst_alloc(100, NST_NORMAL), *out[1];

	for (size_t less = 0; less < 70000; less += 1 + less / 3) {
		got += nst_alloc(SIZE_MAX - less, NST_NORMAL) != NULL;
		got += nst_alloc(SIZE_MAX - less, NST_NORETRY | NST_ZERO) != NULL;
		got += nst_alloc_aligned(SIZE_MAX - less, (size_t)1 << 30, NST_NORMAL) != NULL;
		got += nst_realloc(p, SIZE_MAX - less, NST_NORMAL) != NULL;
		got += nst_alloc_bulk(SIZE_MAX - less, NST_NORMAL, 1, out) != 0;
	}
	check(got == 0, "S6 sizes near SIZE_MAX are NULL", "%u requests were served", got);
	nst_free(p);
	check(nst_cache_create("large", SIZE_MAX, 0, 0, NULL) == NULL,
	      "S6 a cache of SIZE_MAX is NULL", "made");
	check(nst_cache_create("large", 64, SIZE_MAX, 0, NULL) == NULL,
	      "S6 an alignment of SIZE_MAX", "made");
}

/* ---- C10: modes ---- */

static unsigned int served_mode(nst_mode_t mode)
{
	unsigned int n = 0;
	void *out[2];

	n += nst_alloc(64, mode) != NULL;
	n += nst_alloc_aligned(64, 64, mode) != NULL;
	n += nst_alloc_bulk(64, mode, 2, out) != 0;
	n += nst_cache_alloc(cache, mode) != NULL;
	n += nst_cache_alloc_bulk(cache, mode, 2, out) != 0;
	n += nst_pages_alloc(0, mode) != NULL;
	n += nst_realloc(NULL, 64, mode) != NULL;
	n += nst_mode_effective(mode) != 0;
	n += (unsigned int)nst_mode_may_wait(mode);
	n += (unsigned int)nst_mode_may_wake(mode);
	return n;
}

/* The compiler must not know the mode. */
static nst_mode_t hidden(nst_mode_t mode)
{
	__asm__ volatile("" : "+r"(mode));
	return mode;
}

static void check_modes(void)
{
	unsigned int got = 0, tried = 0, refused = 0;
	uint64_t before = nulls(NST_NULL_MODE);

	for (unsigned int a = 0; a < NST_NR_MODES; a++)
		for (unsigned int b = 0; b < a; b++, tried++)
			got += served_mode(hidden(1u << a | 1u << b));
	for (unsigned int m = NST_MODIFIER_FIRST; m < NST_MODIFIER_END; m++, tried++)
		got += served_mode(hidden(1u << m));
	for (unsigned int bit = NST_MODIFIER_END; bit < 32; bit++, tried++)
		got += served_mode(hidden(NST_NORMAL | 1u << bit));
	got += served_mode(hidden(0));
	got += served_mode(hidden(NST_MODIFIER_MASK));
	got += served_mode(hidden(NST_MODE_MASK));
	got += served_mode(hidden(1u << 7 | NST_NORMAL));
	tried += 4;
	check(got == 0, "C10 mode 0, two modes, modifiers alone, unknown bits", "%u were served",
	      got);
	refused = (unsigned int)(nulls(NST_NULL_MODE) - before);
	check(refused == tried * 7, "C10 each refusal is counted", "%u of %u", refused, tried * 7);
	for (unsigned int m = 0; m < NST_NR_MODES; m++)
		check(nst_mode_effective(hidden(1u << m)) == 1u << m, "C10 one mode is taken",
		      "bit %u", m);
}

/* The lines about refused modes are misuse's subject, not this test's. */
TEST_CONF("warn:off,misuse:continue,worker:off,max:256M")

int main(int argc, char **argv)
{
	(void)argc;
	conf_apply(argv);
	check_deadline(60, "C7 in time");
	cache = nst_cache_create("refuse", 72, 0, 0, NULL);
	check_errno_hit();
	check_errno_null();
	check_errno_slow();
	check_large();
	check_zero_size();
	check_overflow();
	check_modes();
	nst_cache_destroy(cache);
	return check_status();
}
