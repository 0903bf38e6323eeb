/* SPDX-License-Identifier: MIT */
/*
 * retired.h - what was handed over to be freed after a grace period: who retires (free_rcu.c) and who
 * frees (ripe.c, regain.c).
 *
 *	nst_free_rcu(p) -> ring of p's cache, this CPU's -+-> who allocates (regain.c)  +-> barn: sheaves to allocate from
 *		      \--> mixed ring, this CPU's --------+-> a round: one grace -----+-> slabs, zone, kernel
 *		       \-> dead bit of p ------------------+   period for all of it    +-> user's functions, on a
 *	run, mapping ----> chain through its descriptor --+			      |	   thread of their own
 *	head -------------> chain through the head -------+---------------------------+
 *
 *	nst_free_rcu_in(d, p) -> mixed ring of d, this CPU's -+-> a round of d's own -> slabs, zone, kernel
 *	run, mapping ----------> chain of d ------------------+
 *			     \-> dead bit of p --------------------> waits for d's readers as well as ours
 *
 * F1. What is retired is put in exactly one place, by one commit, after everything the caller did before.
 * F2. A round takes things out of these places first and its cookie after that; it frees when the cookie's
 *     period is over, which it asks again right before. Who allocates frees a page whose stamp's period is over.
 * F3. Nothing is written to what is retired until then: readers may be reading it.
 * F4. Retiring needs no memory: dead bits are resident with their block, links lie in descriptors and heads.
 *
 * Lock order: retired.lock is taken in a pass of the worker, before any lock of a cache; who retires tries it, and
 * who allocates holds it for a page, with no other.
 * Fork: the child has what its parent's rings, bits and chains held, and goes on with what a pass of the parent was in
 * the midst of; the one page, object or run that it had in its hands is leaked, and `abandoned` counts it. Signal: retiring is legal in a handler, at any instruction of this library too.
 */
#ifndef NST_MM_RETIRED_H
#define NST_MM_RETIRED_H

#include "../mm.h"

#define NST_RING_SLOTS 256u	 /* (tune) pages of a cache's ring */
#define NST_RING_SLOTS_MIXED 64u /* (tune) */

#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 19
/* Our own readers are all there are. */
#define nst_retired_readers(d) ((void)(d), nst_rcu_own)
#else
/* Whose periods count for what is retired to @d. */
#define nst_retired_readers(d) (d)
#endif

/* The word that a ring stamps its pages with. Context: any. */
NST_ALWAYS_INLINE const u64 *nst_gp_stamp_word_of(const struct nst_rcu_domain *d)
{
	nst_gp_before_stamp();
	return &nst_retired_readers(d)->started;
}
NST_ALWAYS_INLINE const u64 *nst_gp_stamp_word(void)
{
	return nst_gp_stamp_word_of(nst_rcu_own);
}

/* ---- a channel: rings, and what the worker is to do for them ---- */

/* Has it rings? Context: any. */
static inline int nst_channel_is_open(const struct nst_channel *ch)
{
	/* Pairs with: nst_store_release() in nst_channel_open(). */
	return nst_load_acquire(&ch->open) != 0;
}
/* The fast ring table that lies beside a cache's fast table of stacks. */
NST_ALWAYS_INLINE struct nst_ring **nst_rings_beside(struct nst_pcs **stacks)
{
	/* relaxed: read through it, it is as its maker left it. Pairs with: nst_store_release() in nst_channel_open(). */
	return (struct nst_ring **)(void *)nst_load_relaxed(&stacks[NST_RINGS_BESIDE]);
}
/* @c below: whose channel it is, or NULL. Context of all: who has the pass. */
/* A table for its rings, if it has none: 0 or -ENOMEM. */
int nst_channel_open(struct nst_cache *c, struct nst_channel *ch);
/* The ring that somebody had none of. */
void nst_channel_ring_wanted(struct nst_cache *c, struct nst_channel *ch);
/* The oldest sealed page, without what was freed of it before, *@freed pointers; NULL: none is. */
struct nst_sheaf *nst_channel_take(struct nst_ring *r, u32 *freed);
/* What was freed of @s before goes, @prefix pointers; the rest moves to the front. */
void nst_channel_drop(struct nst_sheaf *s, u32 prefix);
/* After @taken of them: as many ready ones for ring number @i as may be wanted. Context: thread. */
void nst_channel_make_ready(struct nst_cache *c, struct nst_channel *ch, unsigned int i, u32 taken);
/* One look: rings that got nothing for some go. No round may be on. */
void nst_channel_decay(struct nst_cache *c, struct nst_channel *ch);
/* An empty page, or NULL without memory; and back. */
struct nst_sheaf *nst_channel_page(struct nst_cache *c);
void nst_channel_page_free(struct nst_cache *c, struct nst_sheaf *s);
static inline size_t nst_channel_page_bytes(const struct nst_cache *c)
{
	return c ? nst_sheaf_bytes(c->batch) : NST_PAGE_BYTES;
}
/* A page of NST_PAGE_POINTERS in memory of the zone. */
struct nst_sheaf *nst_retired_page(struct nst_page *p);
/* The channel of a cache that is destroyed, after nst_rcu_barrier(). */
void nst_channel_close(struct nst_cache *c);

/** struct nst_retired - the places of no cache of its own */
struct nst_retired {
	size_t units; /* of memory, as nst_mm.units: of what is retired by the fast path. 0: nothing is */
	u32 ready;	      /* nst_rcu_use() has run: retiring is total from then on */
	u32 failed;	      /* nst_rcu_use() had no memory: passes try again */
	u32 any_dead;	      /* some block has dead bits */
	struct nst_lock lock; /* the worker's half of every ring */
	struct nst_channel mixed, calls;
	struct nst_channel others[NST_RCU_DOMAINS]; /* as mixed, of a domain each; ours has none */
	struct nst_page *runs[NST_RCU_DOMAINS];	    /* CAS push and take */
	struct nst_rcu_head *heads;		    /* the same */
	u64 bytes; /* that wait; an object in an open page of a cache's ring does not count yet */
	u64 head_bytes; /* of those, what users said of heads */
	u64 budget;	/* constant after start */
	u64 bits_bytes; /* dead bits that are there */
	u64 page_bytes; /* of pages that were taken out of rings, and wait; those of functions apart: */
	u64 call_pages;	     /* they wait until all of theirs have been called */
	u64 call_pages_most; /* constant after start */
	/*
	 * By domain, of objects that went to dead bits: counted before the bit is set, and after. A bit does not say whose
	 * it is: dead bits wait for each domain of which some may be there (take.c).
	 */
	struct {
		u32 going, set;
	} dead[NST_RCU_DOMAINS];
};
extern struct nst_retired nst_retired NST_HIDDEN;

/* Can all be retired? Context: any. */
static inline int nst_retired_is_ready(void)
{
	/* Pairs with: nst_store_release() in nst_retired_make_ready(). */
	return nst_load_acquire(&nst_retired.ready) != 0;
}

/* ---- dead.c: a bit per 16 bytes, in memory that is resident with its block ---- */

/* Address space for the bits of an arena, and what is there already; 0 or -ENOMEM. Context: thread. */
int nst_dead_add_arena(struct nst_arena *a);
int nst_dead_prepare(struct nst_arena *a, size_t block);
/*
 * Of every block that is cut into runs; one that is opened from then on brings its own. 0, or -ENOMEM: no block has
 * any. Context: thread, one at a time. Locks: takes the list of arenas, grow.
 */
int nst_dead_prepare_all(void);
/* After a fork: resident and writable again. */
int nst_dead_populate(struct nst_arena *a, size_t block);
/* Those of blocks that were closed to the kernel. */
void nst_dead_forget(struct nst_arena *a, size_t block, size_t nr);
/* 0, or 1: it was set. Context: any. */
int nst_dead_set(const void *obj);
/** struct nst_dead_word - 64 bits that were taken: objects that begin in the 16 bytes at @base + 16 * bit */
struct nst_dead_word {
	char *base;
	u64 bits;
};
/* At most @nr words, *@n so far. Context: thread, one at a time. */
void nst_dead_take(struct nst_dead_word *out, u32 nr, u32 *n);
/* Somebody was taking as this process was forked: marks may be missing. */
void nst_dead_after_fork(void);
void *nst_dead_object(const struct nst_dead_word *w, unsigned int bit);

/* ---- reuse.c. Context of all: who has the pass ---- */

/** struct nst_retired_pages - pages that were taken, each without what was freed before */
struct nst_retired_pages {
	struct nst_sheaf *cache, *mixed, *calls;
};
/* Of a page of a cache's ring: it counts as a whole from when it is sealed, what cuts freed of it until it is taken. */
static inline void nst_retired_freed(u64 bytes)
{
	nst_sub_relaxed(&nst_retired.bytes, bytes); /* a count */
}
/* A run that was retired to domain number @domain while it was moved, and counted: it waits. Context: thread. */
void nst_retired_moved(struct nst_page *p, u32 domain);
/* Of domain @d, which is let go of as often as something of it is freed: of all below. */
void nst_reuse_pages(struct nst_retired_pages *p, struct nst_rcu_domain *d);
/* Ours needs no holding. */
void nst_reuse_let_go(struct nst_rcu_domain *d, u32 n);
/* @s is of sheaf's size, and all its objects of @c: what it holds can be allocated. */
void nst_reuse_sheaf(struct nst_cache *c, struct nst_sheaf *s);
/* A page of mixed objects, and the page. */
void nst_reuse_mixed(struct nst_sheaf *s);
/* The objects, which count one by one if @mixed; @s is empty then. */
void nst_reuse_each(struct nst_sheaf *s, int mixed);
/* What is freed leaves @w, or @list. */
void nst_reuse_word(struct nst_dead_word *w);
void nst_reuse_runs(struct nst_page **list, struct nst_rcu_domain *d);

/* ---- regain.c ---- */

/*
 * A full sheaf of @c, ripe, off this CPU's ring, or NULL: of which none is, nor will be at once; or it is somebody's turn.
 * Context: thread, in a mode that sleeps. Waits: short lock, for no reader. Locks: tries retired, rcu.
 */
struct nst_sheaf *nst_regain(struct nst_cache *c);

/* ---- ripe.c, retired.c ---- */

/* Once: 0, or -ENOMEM, and passes try again. Context: thread. Locks: takes caches, the list of arenas, grow. */
int nst_retired_make_ready(void);
/* From now on retirers fence: none takes the fast path. Context: thread. */
void nst_retired_fences(void);

/* The worker's: takes, waits for nobody, frees what is ripe; at a @look rings that are idle go. Did it find work? Context: who has the pass. */
int nst_retired_pass(int look);
/*
 * Until all that was retired before is freed, and what has functions is theirs (calls.c), if there were pages for it,
 * which may wait for functions: 0; -EDEADLK or -EAGAIN as nst_gp_wait_in(): but for what waits for a domain that is
 * refused. Context: thread.
 */
int nst_retired_settle(void);
/* Before it: since when. And after it: was any left of what was retired before that? */
u64 nst_retired_since(void);
int nst_retired_has_left(u64 since);
/* Is there something that a later pass will free? A hint. */
int nst_retired_is_busy(void);
/* @lost: a pass of another thread was under way. The second, after calls.c: what rounds have, and pages of functions. */
void nst_retired_after_fork(int lost);
void nst_ripe_after_fork(int lost);
/* Bytes that wait; more than the option rcu_budget allows? Hints. Context: any. */
u64 nst_retired_bytes(void);
int nst_retired_is_over(void);

/* What the options rcu_budget and rcu_pages come to. Context: thread. */
u64 nst_retired_budget(void);
u64 nst_retired_call_pages(void);
/* What a round notes of what it took. */
size_t nst_retired_notes_bytes(void);

/*
 * F5. A list that goes from one hand to another is in one of them in a fork child, whenever the fork came.
 *
 *	taken	mine = head; barrier; CAS(theirs, head, NULL)	In the child: what is mine and still theirs was not taken.
 *	handed	handing = first..last; barrier; mine = NULL; barrier; CAS(theirs, old, first); handing = none
 *		In the child: not mine, and handed over if it is not theirs. Who took it calls none of it before handing is
 *		none, so that until then it can be looked for.
 */
#define nst_chain_note(theirs, mine)                                                               \
	__extension__({                                                                            \
		__typeof__(*(theirs)) note_head =                                                  \
			nst_load_relaxed(theirs); /* the swap checks it */                         \
		*(mine) = note_head;                                                               \
		nst_barrier();                                                                     \
		note_head;                                                                         \
	})

/* ---- calls.c ---- */

/* A head in a chain of them. */
static inline int nst_heads_have(const struct nst_rcu_head *chain, const struct nst_rcu_head *head)
{
#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 37 /* what was noted was taken */
	return 0;
#endif
	while (chain && chain != head)
		chain = chain->next;
	return head && chain;
}

/* Pages with functions wait, as many as may: rings of them get no other ready ones. A hint. Context: any. */
#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 20 /* nobody has a budget */
static inline int nst_calls_are_full(const struct nst_channel *ch)
{
	(void)ch;
	return 0;
}
#else
static inline int nst_calls_are_full(const struct nst_channel *ch)
{
	return ch == &nst_retired.calls &&
	       nst_load_relaxed(&nst_retired.call_pages) >= nst_hint(&nst_retired.call_pages_most);
}
#endif
/* Ripe: for the thread that calls. Context: thread. */
void nst_calls_add_page(struct nst_sheaf *s);
/* There is one for who has no memory, and NULL while it is out; and back, or any other that was not added. */
struct nst_sheaf *nst_calls_kept_page(void);
void nst_calls_put_page(struct nst_sheaf *s);
void nst_calls_add_heads(struct nst_rcu_head **list);
/* Calls what there is, where no thread does. Context: thread, no lock held, no pass. */
void nst_calls_help(void);
/* Until all that was added before has been called. Context: thread. */
void nst_calls_settle(void);
/* Is this thread in such a function? Context: any. */
int nst_calls_are_mine(void);
/* Pages on the list from @s on. */
u64 nst_calls_pages_from(const struct nst_sheaf *s);
/* Those that it has. In a fork child. */
u64 nst_calls_pages(void);
/* @lost: a pass of another thread was under way. */
void nst_calls_after_fork(int lost);

#endif
