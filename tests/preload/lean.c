/* SPDX-License-Identifier: MIT */
/*
 * lean.c - a program that only allocates is given little ahead of need, until somebody may not wait.
 *
 *	lean		needs no library of ours: finds the calls of one that is loaded, as a plugin would
 *	lean given	the same with an option for how much is kept ready
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/wait.h>
#define NST_NO_MACROS
#include <nostall/nostall.h>
#include "common/trap.h"
#include "preload.h"

#define LEAN_PAGES 32u
#define USUAL_PAGES 256u

/* Found, not linked: who needs the library by name is not lean. */
#define CALL(name, ...) (((__typeof__(name) *)found(#name))(__VA_ARGS__))

static void *found(const char *name)
{
	void *f = dlsym(RTLD_DEFAULT, name);

	if (!f)
		check_broken(name);
	return f;
}

static struct nst_zone_stats *zone(void)
{
	static struct nst_stats s;

	if (CALL(nst_stats_read, &s, sizeof(s)))
		check_broken("nst_stats_read");
	return &s.zones[0];
}

static int has_marks(unsigned long long high)
{
	struct nst_zone_stats *z = zone();

	return z->pages_high == high && z->pages_low == high / 2 && z->pages_min == high / 4;
}

static void is_lean(const char *what)
{
	struct nst_zone_stats *z = zone();

	check(has_marks(LEAN_PAGES), what, "high is %llu pages, low %llu, min %llu",
	      (unsigned long long)z->pages_high, (unsigned long long)z->pages_low,
	      (unsigned long long)z->pages_min);
}

/* ---- the signs of somebody who may not wait ---- */

static void *kept; /* what a call gives, or NULL */

static void by_nolock(void)
{
	check(CALL(nst_pages_alloc_nolock, 0) != NULL, "the first no-lock request is served",
	      "NULL");
}

static void by_fasttry(void)
{
	while ((kept = CALL(nst_alloc_fasttry, 24000)) != NULL) /* from lists it is not seen */
		;
}

static void by_free(void)
{
	void *p = malloc(100000);

	CALL(nst_free_nolock, p);
}

static void by_atomic(void)
{
	while ((kept = CALL(nst_alloc, 24000, NST_ATOMIC)) != NULL)
		;
}

static void by_scope(void)
{
	nst_scope_t scope = CALL(nst_scope_enter, NST_SCOPE_NOLOCK);

	CALL(nst_scope_exit, scope);
}

static void by_cache(void)
{
	kept = CALL(nst_cache_create, "own", 100, 0, 0, NULL);
}

static void by_stock(void)
{
	if (CALL(nst_stock, CALL(nst_cache_of_size, 64), 10, NST_CPU_ALL))
		check_broken("nst_stock");
}

static void by_pages_stock(void)
{
	if (CALL(nst_pages_stock, 0, 10, NST_CPU_ALL))
		check_broken("nst_pages_stock");
}

static int is_usual(void)
{
	return has_marks(USUAL_PAGES) && zone()->pages_free >= USUAL_PAGES / 2;
}

static int worker_sees_it(void)
{
	uint64_t since = 0;

	while (!is_usual() && check_patience(&since))
		;
	return is_usual();
}

/* In a child each, since there is no way back. Its worker alone acts on the sign. */
static void ends_with(const char *name, void (*sign)(void))
{
	pid_t pid = fork();
	int status = 0, rc;

	if (pid == 0) {
		free(malloc(3 << 20)); /* on a slow path: that starts the worker of a child */
		CALL(nst_maintain);
		is_lean("a pass without a sign changes nothing");
		sign();
		check(worker_sees_it(), name, "high is %llu pages, free %llu",
		      (unsigned long long)zone()->pages_high,
		      (unsigned long long)zone()->pages_free);
		_exit(check_status());
	}
	rc = child_wait(pid, 50, &status);
	check(rc == 0 && status == 0, "in a child", "%s", rc ? "hung" : child_status(status));
}

static void signs(void)
{
	ends_with("a no-lock request ends it", by_nolock);
	ends_with("one for this CPU's lists alone", by_fasttry);
	ends_with("a no-lock free", by_free);
	ends_with("one that may not sleep", by_atomic);
	ends_with("a scope", by_scope);
	ends_with("a cache of its own", by_cache);
	ends_with("a stock of objects", by_stock);
	ends_with("a stock of pages", by_pages_stock);
}

int main(int argc, char **argv)
{
	struct rng rng = {seed_of(1, argv)};

	demand_preload();
	check_deadline(240, "in time");
	if (argc > 1) {
		check(has_marks(2 * USUAL_PAGES), "what an option says is kept ready", "%llu pages",
		      (unsigned long long)zone()->pages_high);
		return check_status();
	}
	is_lean("little is ready in a program that only allocates");
	check(zone()->pages_ready <= 4 * LEAN_PAGES, "little was made ready at its start",
	      "%llu pages", (unsigned long long)zone()->pages_ready);
	check(churn(&rng, 20000) == 0, "it allocates", "it fails");
	is_lean("and it stays so");
	signs();
	is_lean("a child's signs are its own");
	return check_status();
}
