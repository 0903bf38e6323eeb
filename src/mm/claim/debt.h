/* SPDX-License-Identifier: MIT */
/*
 * debt.h - within the folder: what was had without waiting while memory was short (debt.c), who says so and who pays.
 */
#ifndef NST_MM_DEBT_H
#define NST_MM_DEBT_H

#include "../mm.h"

extern u64 nst_debt_longest_us; /* that somebody slept at a time */

static inline int nst_debt_is_short(const struct nst_zone *z)
{
	return nst_hint(&z->free_pages) < nst_hint(&z->low);
}

/* @bytes of @node came to a request of a mode that does not sleep. Context: any. Waits: never. */
void nst_debt_bill_short(u64 bytes);
static inline void nst_debt_bill(unsigned int node, u64 bytes)
{
	if (nst_unlikely(nst_debt_is_short(&nst_zones[node])))
		nst_debt_bill_short(bytes);
}

/* An allocation is about to be served: what its thread owes is paid, as @mode, with scopes, has it. Context: thread. */
void nst_debt_pay_owed(nst_mode_t mode);
static inline void nst_debt_pay(nst_mode_t mode)
{
	if (nst_unlikely(nst_thread.owed))
		nst_debt_pay_owed(mode);
}

#endif
