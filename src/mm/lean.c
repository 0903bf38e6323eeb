/* SPDX-License-Identifier: MIT */
/*
 * lean.c - a program that makes no no-lock requests keeps little ready ahead of them.
 *
 * What no-lock callers live on is memory that nobody uses yet: free pages up to a mark, whole batches in each
 * CPU's lists. To a program that knows nothing of them it is only more than another malloc takes. Such a one
 * has the malloc preload and nothing else that needs this library. There, until the first sign of a caller
 * who may not wait,
 *
 *	marks, steps		are small: no-lock callers wait for no first pages, others make their own
 *	batches			follow what is in use of a size
 *	after a fork		pages are made ready again by nst_maintain() alone
 *
 * and slabs have fewer slots. The first sign is one that takes a slow path, a scope NST_SCOPE_NOLOCK, a cache or
 * stock of the program's own: then the worker brings all up to where it is in other programs, for good.
 *
 * Signal: the end of it is legal at any instruction. Fork: the child goes on as its parent was.
 */
#include "mm.h"

/* The malloc preload has it: the loader finds it, or leaves NULL. */
extern const char nst_preload __attribute__((weak));

u32 nst_lean;

void nst_lean_init(void)
{
	nst_lean = &nst_preload && nst_sys_nr_modules_that_need_us() < 2;
}

void nst_lean_end(void)
{
	if (!nst_is_lean())
		return;
	nst_hint_set(&nst_lean, 0u);
	nst_worker_flag();
}
