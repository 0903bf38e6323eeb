/* SPDX-License-Identifier: MIT */
/*
 * turn.h - within the folder: a turn, which has rounds, each of which takes, waits for a period and frees (ripe.c).
 *
 *	take.c		what a round takes: sealed pages, the filled part of open ones, dead bits
 *	ripe.c		rounds
 *	settle.c	who waits for them, and forks
 *
 *	turn		takes							and waits for
 *	0		rings of caches, mixed and calls, runs, heads		our own domain
 *	1 to 15		mixed ring of that domain, its runs			that domain
 *	16		dead bits						ours, and each that has some
 *
 * A domain whose readers stay holds up what was retired to it, dead bits while it has some, and nothing else.
 *
 * Written by who has the pass; a fork child sees one cut in program order.
 */
#ifndef NST_MM_TURN_H
#define NST_MM_TURN_H

#include "retired.h"

struct nst_cut {
	struct nst_ring *ring;
	struct nst_cache *cache; /* NULL: of another channel */
	struct nst_channel *channel;
	struct nst_ring_cut at;
};

#define NST_NR_TURNS (NST_RCU_DOMAINS + 1)

/** struct nst_turn - rounds, one after the other: written by who has the pass */
struct nst_turn {
	struct nst_retired_pages pages[2];
	struct nst_retired_pages elapsed; /* taken by this pass, and ripe already */
	struct nst_cut *cut, *first_cut;
	struct nst_dead_word *word;
	u32 nr_cuts, cuts_done, room_cuts;
	u32 nr_words, words_done, room_words;
	struct nst_page *runs;
	struct nst_rcu_head *heads;
	nst_cookie_t cookie[NST_RCU_DOMAINS];
	u32 domains; /* a bit for each that it waits for */
	u32 mine;    /* which of the two pages are of this round; the others are for the next */
	u32 on;
	u32 whole;  /* it took all there was when it began, */
	u32 late;   /* but for pages that were sealed meanwhile: the next has them */
	u64 begun;  /* rounds */
	u64 almost; /* the last, if it was whole but for that */
	u64 ended;  /* all is freed that was retired before this one began */
	u64 left;   /* the last that left functions in open pages, for want of a page */
};
extern struct nst_turn nst_turns[NST_NR_TURNS] NST_HIDDEN;
#define nst_turn_own (&nst_turns[0])
#define nst_turn_dead (&nst_turns[NST_RCU_DOMAINS])

static inline u32 nst_turn_number(const struct nst_turn *t)
{
	return (u32)(t - nst_turns);
}

/* Whose pages and runs it takes; that of dead bits has none. */
static inline struct nst_rcu_domain *nst_turn_domain(const struct nst_turn *t)
{
	return &nst_rcu_domains[nst_turn_number(t) % NST_RCU_DOMAINS];
}

/* What was taken for the next round. */
static inline struct nst_retired_pages *nst_turn_young(struct nst_turn *t)
{
	return &t->pages[!t->mine];
}

static inline int nst_turn_has_no(const struct nst_retired_pages *p)
{
	return !p->cache && !p->mixed && !p->calls;
}

/* Can any of it wait? Not of a domain that nobody has retired to. Context: any. */
static inline int nst_turn_waits(const struct nst_turn *t)
{
	return t == nst_turn_own || t == nst_turn_dead ||
	       nst_rcu_domain_is_held(nst_turn_domain(t));
}

int nst_turn_each_channel(struct nst_turn *t, int (*fn)(struct nst_turn *t, struct nst_cache *c,
							struct nst_channel *ch));

/* ---- take.c ---- */

/* Before its first round. */
void nst_take_init(struct nst_turn *t);
/* Sealed pages, into the next round's or, ripe already, t->elapsed; ready ones for the ring. Did it find any? */
int nst_take_channel(struct nst_turn *t, struct nst_cache *c, struct nst_channel *ch);
/* A round begins: tables for what it notes; what open pages hold; dead bits. */
void nst_take_begin(struct nst_turn *t);
int nst_take_cuts(struct nst_turn *t, struct nst_cache *c, struct nst_channel *ch);
void nst_take_dead(struct nst_turn *t);
/* A bit for each domain whose readers may see an object whose dead bit has been taken. */
u32 nst_take_dead_domains(void);
/* A round is over that had all bits that there were. */
void nst_take_let_go_dead(void);
/* Its period is over. */
void nst_take_free_cut(struct nst_turn *t, const struct nst_cut *cut);
/* A pass was lost. */
void nst_take_after_fork(void);

/* ---- ripe.c ---- */

/* Have the readers gone of that domain that may see what has this stamp? */
int nst_turn_is_ripe(u32 domain, nst_cookie_t stamp);
/* After all was taken (F2): of each domain that it waits for. */
void nst_turn_begin_period(struct nst_turn *t);

#endif
