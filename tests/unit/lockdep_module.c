/* SPDX-License-Identifier: MIT */
/*
 * lockdep_module.c - a file of its own for lockdep_suppress: locks are taken and waits told of in it.
 */
#include <nostall/lockdep.h>

NST_DATA void other_take(void (*acquire)(struct nst_lockdep_map *, uint32_t, const void *),
			 void (*release)(struct nst_lockdep_map *), struct nst_lockdep_map *outer,
			 struct nst_lockdep_map *inner);
NST_DATA void other_sleep(void (*might_sleep)(void));

void other_take(void (*acquire)(struct nst_lockdep_map *, uint32_t, const void *),
		void (*release)(struct nst_lockdep_map *), struct nst_lockdep_map *outer,
		struct nst_lockdep_map *inner)
{
	acquire(outer, 0, NULL);
	acquire(inner, 0, NULL);
	release(inner);
	release(outer);
	__asm__ volatile("");
}

void other_sleep(void (*might_sleep)(void))
{
	might_sleep();
	__asm__ volatile("");
}
