/* SPDX-License-Identifier: MIT */
/*
 * mode.h - what follows from the one table of modes (NST_MODE_TABLE in the public alloc.h).
 *
 * Nothing is inferred from a missing bit: each property is looked up by the mode's own bit.
 */
#ifndef NST_MM_MODE_H
#define NST_MM_MODE_H

#include "../base/base.h"
#include <nostall/alloc.h>

struct nst_mode_row {
	const char *name, *code;
	u8 sleeps, waits, tries, kernel, faults, reclaims, wakes, reserve, in_signal;
};
extern const struct nst_mode_row nst_mode_rows[NST_NR_MODES];

/* @mode is valid. */
static inline const struct nst_mode_row *nst_mode_row(nst_mode_t mode)
{
	return &nst_mode_rows[nst_lowest_bit(mode & NST_MODE_MASK)];
}

/* Beside enum nst_scope_bits: this thread holds a ticket of a reserve. */
#define NST_SCOPE_TICKET (1u << 16)

/* Modes that wait for nothing. */
#define NST_MODES_NEVER_WAIT ((nst_mode_t)(NST_NOLOCK | NST_FASTTRY))

/* The request and the scopes this thread is in. @mode is valid. */
static inline nst_mode_t nst_mode_in_scope(nst_mode_t mode)
{
	u32 scopes = nst_thread.scopes;

	if (nst_likely(!scopes))
		return mode;
	if ((scopes & NST_SCOPE_NOLOCK) && !(mode & NST_MODES_NEVER_WAIT))
		mode = (mode & ~NST_MODE_MASK) | NST_NOLOCK;
	if ((scopes & NST_SCOPE_NORECLAIM) && (mode & (NST_NORMAL | NST_NORETRY | NST_NOFAIL)))
		mode = (mode & ~NST_MODE_MASK) | NST_NOWAIT;
	if (scopes & NST_SCOPE_NOIO)
		mode |= NST_NOIO;
	if (scopes & NST_SCOPE_NOCLIENT)
		mode |= NST_NOCLIENT;
	if (scopes & NST_SCOPE_TICKET && !(mode & NST_NOMEMALLOC))
		mode |= NST_MEMALLOC;
	return mode;
}

static inline unsigned int nst_mode_mobility(nst_mode_t mode)
{
	return mode & NST_MOVABLE ? 2 : mode & NST_RECLAIMABLE ? 1 : 0;
}

#endif
