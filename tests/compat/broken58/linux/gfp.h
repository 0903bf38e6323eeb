/* SPDX-License-Identifier: MIT */
/* gfp.h - broken on purpose (58): of flags that name two modes one is taken. The tests must catch it. */
#include_next <linux/gfp.h>
#ifndef TEST_BROKEN_GFP_H
#define TEST_BROKEN_GFP_H

static inline nst_mode_t test_gfp_mode(gfp_t gfp)
{
	const nst_mode_t all = NST_NORMAL | NST_NORETRY | NST_NOFAIL | NST_NOWAIT | NST_ATOMIC |
			       NST_NOLOCK | NST_FASTTRY;
	const nst_mode_t m = nst_gfp_mode(gfp);

	return (m & ~all) | (m & all & -(m & all));
}
#define nst_gfp_mode(gfp) test_gfp_mode(gfp)

#endif
