/* SPDX-License-Identifier: MIT */
/*
 * mm.h - the kernel's spelling: scopes of the calling thread.
 *
 * Each save returns what it newly set, and its restore takes that back, so that scopes nest.
 */
#ifndef NST_COMPAT_SCHED_MM_H
#define NST_COMPAT_SCHED_MM_H

#include <linux/gfp.h>

NST_COMPAT_INLINE void might_alloc(gfp_t gfp)
{
	nst_compat_touch_notifiers(gfp);
	if (!(gfp & __GFP_NOLOCKDEP))
		nst_might_alloc(nst_mode_effective(nst_gfp_mode(gfp)));
}

NST_COMPAT_INLINE unsigned int memalloc_noio_save(void)
{
	return nst_scope_enter(NST_SCOPE_NOIO | NST_SCOPE_NOCLIENT);
}

NST_COMPAT_INLINE unsigned int memalloc_nofs_save(void)
{
	return nst_scope_enter(NST_SCOPE_NOCLIENT);
}

/* No request reclaims. The reserve it does not open: that is nst_reserve_enter(). */
NST_COMPAT_INLINE unsigned int memalloc_noreclaim_save(void)
{
	return nst_scope_enter(NST_SCOPE_NORECLAIM);
}

NST_COMPAT_INLINE void memalloc_noio_restore(unsigned int flags)
{
	nst_scope_exit(flags);
}

NST_COMPAT_INLINE void memalloc_nofs_restore(unsigned int flags)
{
	nst_scope_exit(flags);
}

NST_COMPAT_INLINE void memalloc_noreclaim_restore(unsigned int flags)
{
	nst_scope_exit(flags);
}

#endif
