/* SPDX-License-Identifier: MIT */
/*
 * reserve.h - what tests of reserves share: all memory taken, by who has no right to what was set aside.
 */
#ifndef TEST_RESERVE_H
#define TEST_RESERVE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "mm/mm.h"
#include "common/check.h"
#include "common/trap.h"

/* For test_conf(): the options, and what "debugN" as the first argument says. */
static inline const char *conf_of_level(const char *options, int argc, char **argv)
{
	static char conf[64];

	snprintf(conf, sizeof(conf), "%s%s%s", options, argc > 1 ? ",debug:" : "",
		 argc > 1 ? argv[1] + strlen("debug") : "");
	return conf;
}

#define FLOOD_MOST 200000u

static void *flood_object[FLOOD_MOST];
static unsigned int flood_nr;

static inline void flood_here(struct nst_cache *cache)
{
	static const nst_mode_t modes[] = {NST_NORETRY, NST_ATOMIC, NST_NOLOCK, NST_FASTTRY};

	for (unsigned int i = 0; i < 4; i++) {
		void *p;

		while ((p = (nst_cache_alloc)(cache, modes[i] | NST_NOWARN)) != NULL) {
			if (flood_nr == FLOOD_MOST)
				check_broken("too much memory for a flood");
			flood_object[flood_nr++] = p;
		}
	}
}

/* Of one cache, until it has none in any mode that gives up, on any CPU. */
static inline void flood(struct nst_cache *cache)
{
	for (unsigned int n = 0; cpu_nth(n) >= 0; n++) {
		run_on_cpu(0, cpu_nth(n));
		flood_here(cache);
	}
	run_on_cpu(0, -1);
}

/* And the reserve, which NST_NOFAIL may have: page by page, for a run it might wait. */
static inline void flood_reserve(struct nst_cache *cache)
{
	flood(cache);
	while (nst_zones[0].free_pages && flood_nr < FLOOD_MOST)
		flood_object[flood_nr++] = nst_pages_alloc(0, NST_NOFAIL);
	flood(cache);
}

/* All but @keep of it back. */
static inline void flood_end(unsigned int keep)
{
	while (flood_nr > keep)
		nst_free(flood_object[--flood_nr]);
}

#endif
