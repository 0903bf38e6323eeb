/* SPDX-License-Identifier: MIT */
/*
 * mm_nolock.c - an empty class is answered with the next one for a size, and for nobody else.
 *
 * With every try of a lock failing only what lies on this CPU is there.
 */
#define _GNU_SOURCE
#include <string.h>
#include "mm/mm.h"
#include "common/check.h"
#include "common/trap.h"

#define NR 4000u

static void *object[NR];

static const char *cache_name(const void *p)
{
	return nst_cache_number(nst_page_of(p)->cache)->name;
}

static void stock(void)
{
	for (size_t size = 64; size <= 96; size += 16)
		if (nst_stock(nst_cache_of_size(size), 64, NST_CPU_ALL))
			check_broken("nst_stock");
}

static unsigned int empty(void *(*get)(void), const char *wanted, size_t align)
{
	unsigned int n = 0, other = 0, askew = 0;

	stock();
	nst_test_fail[NST_FAIL_TRYLOCK] = -1;
	while (n < NR && (object[n] = get())) {
		other += strcmp(cache_name(object[n]), wanted) != 0;
		askew += ((uintptr_t)object[n] & (align - 1)) != 0;
		n++;
	}
	nst_test_fail[NST_FAIL_TRYLOCK] = 0;
	for (unsigned int i = 0; i < n; i++)
		nst_free(object[i]);
	check(n >= 64 && n < NR, "what was stocked is there, and then NULL", "%u", n);
	check(askew == 0, "aligned as asked", "%u of %u are not", askew, n);
	return other;
}

static void *by_size(void)
{
	return nst_alloc_nolock(64);
}

static void *by_cache(void)
{
	return nst_cache_alloc_nolock(nst_cache_of_size(64));
}

static void *by_alignment(void)
{
	return nst_alloc_aligned(64, 64, NST_NOLOCK);
}

TEST_CONF("worker:off")

int main(int argc, char **argv)
{
	unsigned int other;

	(void)argc;
	conf_apply(argv);
	run_on_cpu(0, cpu_nth(0));
	check(!nst_mm.dead_bits, "who only includes nostall/rcu.h has no dead bits", "it has");
	other = empty(by_size, "size-64", 16);
	check(other >= 64, "a size is served by the next class too", "%u objects", other);
	other = empty(by_cache, "size-64", 64);
	check(other == 0, "a cache gives its own objects only", "%u of another", other);
	other = empty(by_alignment, "size-64", 64);
	check(other == 0, "an aligned request stays in its class", "%u of another", other);
	return check_status();
}
