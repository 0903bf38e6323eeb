/* SPDX-License-Identifier: MIT */
/*
 * speculate.h - within the folder: what attempts without a lock are counted as (speculate.c), and who reads it
 */
#ifndef NST_MM_SPECULATE_H
#define NST_MM_SPECULATE_H

#include "../mm.h"
#include <nostall/speculate.h>

/* Counts by enum nst_speculate_count, in words. */
static inline void nst_speculate_fill(struct nst_speculate_stats *out, const u64 *n)
{
#define FIELD(name, ...) out->name = n[NST_SPECULATE_COUNT_##name];
	NST_SPECULATE_TABLE(FIELD)
#undef FIELD
}

#endif
