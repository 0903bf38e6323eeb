/* SPDX-License-Identifier: MIT */
/*
 * movable_freed.c - a mover frees what it has moved, which is the library's: a line, and it does not return
 *
 *	clause: B47
 *	level: debug:0, worker:off
 *	exit: abort
 *	says: nostall: migrate(0xN): was freed, and its mover says that it has moved it; allowed: what was moved is the library's to free; caller movable_freed.c:LINE
 */
#include "misuse.h"

#define NR 2048u

static char *page[NR];

static int migrate(void *ctx, void *data, void *to, void *from, size_t bytes)
{
	(void)ctx;
	memcpy(to, from, bytes);
	page[(uintptr_t)data] = to;
	nst_free(from); /* HERE */
	return 0;
}

int main(void)
{
	struct nst_mover *m = nst_mover_register(migrate, NULL, 0);

	for (uintptr_t i = 0; i < NR; i++)
		page[i] = nst_pages_alloc_movable(m, 0, NST_NORMAL, (void *)i);
	for (uintptr_t i = 0; i < NR; i += 2)
		nst_pages_free(page[i]);
	for (int i = 0; i < 20; i++)
		nst_maintain();
	return 0;
}
