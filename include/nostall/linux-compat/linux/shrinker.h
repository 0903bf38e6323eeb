/* SPDX-License-Identifier: MIT */
/*
 * shrinker.h - the kernel's spelling: who can give memory back, by nst_shrinker_register().
 *
 * The functions run in a scope that does not reclaim; sc->gfp_mask is what the request that calls them may do. For the
 * validator they are reclaim, so that a lock taken there and around a GFP_KERNEL request is found.
 */
#ifndef NST_COMPAT_SHRINKER_H
#define NST_COMPAT_SHRINKER_H

#include <linux/slab.h>
#include <nostall/reclaim.h>

struct shrink_control {
	gfp_t gfp_mask;
	int nid; /* 0: there is one count for all nodes */
	unsigned long nr_to_scan;
	unsigned long nr_scanned; /* what was looked at; taken as nr_to_scan */
};

#define SHRINK_STOP (~0UL)
#define SHRINK_EMPTY (~0UL - 1)
#define DEFAULT_SEEKS ((int)NST_SHRINK_SEEKS)

struct shrinker {
	unsigned long (*count_objects)(struct shrinker *shrinker, struct shrink_control *sc);
	unsigned long (*scan_objects)(struct shrinker *shrinker, struct shrink_control *sc);
	int seeks;
	unsigned int flags; /* 0 */
	void *private_data;
	struct nst_shrinker *nst;
};

/* The request said where it may go; a thread of the library's may anything. */
static inline struct shrink_control nst_compat_shrink_control(unsigned long nr)
{
	const nst_mode_t m = nst_mode_effective(NST_NORMAL);
	gfp_t gfp = GFP_KERNEL;

	if (m & NST_NOIO)
		gfp &= ~(__GFP_IO | __GFP_FS);
	if (m & NST_NOCLIENT)
		gfp &= ~__GFP_FS;
	return (struct shrink_control){.gfp_mask = gfp, .nr_to_scan = nr, .nr_scanned = nr};
}

static inline size_t nst_compat_count(void *ctx)
{
	struct shrink_control sc = nst_compat_shrink_control(0);
	struct shrinker *s = ctx;
	unsigned long n;

	n = s->count_objects(s, &sc);
	return n >= SHRINK_EMPTY ? 0 : n;
}

static inline size_t nst_compat_scan(void *ctx, size_t nr)
{
	struct shrink_control sc = nst_compat_shrink_control(nr);
	struct shrinker *s = ctx;
	unsigned long n;

	n = s->scan_objects(s, &sc);
	return n == SHRINK_STOP ? NST_SHRINK_STOP : n;
}

/* @flags: 0; nobody counts by node or account here. */
static inline __printf(2, 3) struct shrinker *shrinker_alloc(unsigned int flags, const char *name,
							     ...)
{
	struct shrinker *s;

	(void)name;
	if (WARN_ON_ONCE(flags))
		return NULL;
	s = kzalloc(sizeof(*s), GFP_KERNEL);
	if (s)
		s->seeks = DEFAULT_SEEKS;
	return s;
}

/* With the functions and seeks that it has now. When there are NST_NR_SHRINKERS it is asked for nothing, and that is said. */
static inline void shrinker_register(struct shrinker *s)
{
	might_sleep();
	s->nst = nst_shrinker_register(nst_compat_count, nst_compat_scan, s, (unsigned int)s->seeks,
				       0);
	WARN_ON(!s->nst);
}

/* Neither function runs any more when it returns. Not from within them. */
static inline void shrinker_free(struct shrinker *s)
{
	if (!s)
		return;
	might_sleep();
	if (s->nst && WARN_ON(nst_shrinker_unregister(s->nst)))
		return;
	kfree(s);
}

#endif
