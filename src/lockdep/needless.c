/* SPDX-License-Identifier: MIT */
/*
 * needless.c - requests that take without waiting, always where they might have waited: who does that starves others
 * of what is kept for those who must (the fear that answered Linux's __GFP_NO_LOCKS, 2020).
 *
 *	a request with NST_NOLOCK -> site[its caller]: one request more; wanted, once it was in place
 *	the program ends, or asks -> a report for each site with requests that is not wanted
 *
 * It is in place in a no-lock scope, a handler, a section that must not wait, with a lock held that one may not sleep under,
 * in a read section, and on a real-time thread. The kernel is asked for the last at requests 1, 2, 4, 8 ... of a
 * site, so that a thread may become one late. A lock nobody tells the validator of is not seen: the level is possible.
 *
 * Sites are written by anybody: a place is taken by exchange and never given back, all else counts or is set.
 */
#include "held.h"

/* A broken variant that the tests must catch. */
#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 69 /* everybody is in place */
#define ALWAYS_IN_PLACE 1
#else
#define ALWAYS_IN_PLACE 0
#endif

static struct nst_ld_site *site_of(const void *ip)
{
	struct nst_ld_site *s = nst_ld.tables->site;
	u32 i = (u32)nst_mix64((u64)(uintptr_t)ip) % NST_LD_SITES, k;

	for (k = 0; k < NST_LD_SITES; k++, i = (i + 1) % NST_LD_SITES) {
		const void *at = nst_load_relaxed(&s[i].ip); /* never another once it is there */

		/* relaxed, the exchange: the place's own word is all that is shared by it */
		if (at == ip || (!at && nst_cas_relaxed(&s[i].ip, at, ip)) ||
		    nst_load_relaxed(&s[i].ip) == ip) /* as above */
			return &s[i];
	}
	nst_ld_full(NST_LD_FULL_SITES);
	return NULL;
}

/* A read section, or reclaim: one may wait there, and had better not. */
static int is_in_context(const struct nst_ld_thread *t)
{
	u32 i;

	for (i = t->level; i < nst_ld_nr(t); i++)
		if (nst_ld_is_held(&t->held[i]) &&
		    (t->held[i].class == NST_LD_RCU || (t->held[i].how & NST_LD_CONTEXT)))
			return 1;
	return 0;
}

static int is_in_place(const struct nst_ld_thread *t)
{
	return (nst_thread.scopes & NST_SCOPE_NOLOCK) ||
	       (t && (nst_ld_cannot_sleep(t) || t->depth[NST_SECTION_NOALLOC] || is_in_context(t)));
}

void nst_ld_no_lock(const struct nst_ld_thread *t, const void *ip)
{
	struct nst_ld_site *s = site_of(ip);
	u64 n;

	if (!s)
		return;
	n = nst_add_relaxed(&s->requests, 1) + 1; /* a counter */
	if (nst_load_relaxed(&s->wanted))	  /* a hint, seen soon */
		return;
	if (ALWAYS_IN_PLACE || is_in_place(t) || (!(n & (n - 1)) && nst_sys_is_realtime()))
		nst_store_relaxed(&s->wanted, 1u); /* as above */
}

static void tell(struct nst_ld_thread *t, const struct nst_ld_site *s)
{
	const void *ip = nst_load_relaxed(&s->ip);    /* as above */
	const u64 n = nst_load_relaxed(&s->requests); /* a counter */
	struct nst_ld_entered in = nst_ld_enter(t);
	char where[160];

	if (nst_ld_report_begin(NST_NL_NEEDLESS, NST_LD_POSSIBLE, (u64)(uintptr_t)ip)) {
		nst_ld_report_line("  asks at %s", nst_ld_where(ip, where, sizeof(where)));
		nst_ld_report_line("  (%llu requests so far)", (unsigned long long)n);
		nst_ld_report_end(t);
	}
	nst_ld_leave(in);
}

unsigned int nst_lockdep_needless(void)
{
	struct nst_ld_thread *t = nst_load_relaxed(&nst_lockdep_is_on) ? this_thread() : NULL;
	unsigned int i, n = 0;

	for (i = 0; t && i < NST_LD_SITES; i++) {
		const struct nst_ld_site *s = &nst_ld.tables->site[i];

		if (nst_load_relaxed(&s->requests) && !nst_load_relaxed(&s->wanted)) {
			tell(t, s);
			n++;
		}
	}
	return n;
}

/* Told by itself with the option check:possible alone. */
__attribute__((destructor)) static void tell_last(void)
{
	if (nst_ld.from_start && nst_ld.shown == NST_LD_POSSIBLE)
		nst_lockdep_needless();
}
