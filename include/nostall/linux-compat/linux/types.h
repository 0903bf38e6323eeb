/* SPDX-License-Identifier: MIT */
/*
 * types.h - the kernel's spelling: scalars, and the structures that many headers name.
 *
 * The system's header of this name is included first: libc's own headers want it.
 */
#include_next <linux/types.h>
#ifndef NST_COMPAT_TYPES_H
#define NST_COMPAT_TYPES_H

#ifndef __cplusplus

#include <linux/compiler.h>
#include <nostall/rcu.h>
#include <stdbool.h>
#include <sys/types.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s8 s8;
typedef __s16 s16;
typedef __s32 s32;
typedef __s64 s64;

typedef unsigned int gfp_t;	   /* linux/gfp.h; no nst_mode_t */
typedef unsigned int slab_flags_t; /* linux/slab.h */

/* Below 0: the first comes first; the second form has what the caller handed on. */
typedef int (*cmp_func_t)(const void *a, const void *b);
typedef int (*cmp_r_func_t)(const void *a, const void *b, const void *priv);
typedef void (*swap_func_t)(void *a, void *b, int size);
typedef void (*swap_r_func_t)(void *a, void *b, int size, const void *priv);

typedef struct {
	int counter;
} atomic_t;
typedef struct {
	s64 counter;
} atomic64_t;

struct list_head {
	struct list_head *next, *prev;
};
struct hlist_head {
	struct hlist_node *first;
};
struct hlist_node {
	struct hlist_node *next, **pprev;
};

/* Larger than the kernel's two words; its first member is the library's. */
struct rcu_head {
	struct nst_rcu_head nst;
	void (*func)(struct rcu_head *head);
};
#define callback_head rcu_head
typedef void (*rcu_callback_t)(struct rcu_head *head);

#endif
#endif
