/* SPDX-License-Identifier: MIT */
/*
 * ripe.c - what has been retired is freed: rounds of the worker, each with one grace period for all it took.
 *
 *	each pass	take sealed pages out of rings, give rings new ready ones
 *	no round on	begin one: those pages, the filled part of open pages, dead bits, runs, heads; then its cookie
 *	a round on	its period over?  free what it took
 *
 * A pass waits for no reader: it asks for the period, helps it along for some steps and comes again. Where readers are
 * short that is one pass. A page that was sealed long enough ago is freed as it is taken (its stamp says so).
 *
 * Freed means: what reuse.c says. A user's function is called on a thread of its own (calls.c), so that it can stall
 * neither this nor the refills of no-lock callers; with worker:off by nst_maintain().
 *
 * Open pages are not taken from their CPU: what they held when the round began is freed, and the CPU goes on filling
 * behind that (percpu/ring.h). So nothing waits for a page to fill, and no CPU is interrupted.
 *
 * Locks: takes retired.lock around the worker's half of a ring; a cache's barn and slab.
 */
#include "mm.h"
#include "retired.h"

#define GP_STEPS 8u   /* (tune) of helping a period along, in a pass */
#define NR_WORDS 512u /* dead words in a round, at first */
#define NR_CUTS 512u  /* open pages in a round, at first */
#define BARRIER_NAP_US 200u

struct cut {
	struct nst_ring *ring;
	struct nst_cache *cache; /* NULL: of another channel */
	struct nst_channel *channel;
	struct nst_ring_cut at;
};

static struct cut first_cuts[NR_CUTS];
static struct nst_dead_word first_words[NR_WORDS];

/* Written by who has the pass. */
static struct {
	struct nst_retired_pages pages[2];
	u32 mine; /* which of them are of this round; the others are for the next */
	struct cut *cut;
	struct nst_dead_word *word;
	u32 nr_cuts, cuts_done, room_cuts;
	u32 nr_words, words_done, room_words;
	struct nst_page *runs;
	struct nst_rcu_head *heads;
	nst_cookie_t cookie;
	u32 on;
	u32 whole;  /* it took all there was when it began, */
	u32 late;   /* but for pages that were sealed meanwhile: the next has them */
	u64 begun;  /* rounds */
	u64 almost; /* the last, if it was whole but for that */
	u64 ended;  /* all is freed that was retired before this one began */
	u32 busy;   /* something was taken that is not freed: a hint */
} turn = {.cut = first_cuts, .word = first_words, .room_cuts = NR_CUTS, .room_words = NR_WORDS};

/* Where what is cut off an open page goes without memory. */
static union {
	struct nst_sheaf page;
	void *room[2 + NST_PAGE_POINTERS];
} spare;

static struct nst_retired_pages elapsed; /* taken by this pass, and ripe already */

/* ---- what tells that readers are gone, and its broken twins (base/testhook.h) ---- */

#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 13
/* Nobody is waited for. */
static int is_ripe(nst_cookie_t stamp)
{
	(void)stamp;
	return 1;
}
#elif defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 15
/* The period that was over when it was stamped serves. */
static int is_ripe(nst_cookie_t stamp)
{
	return nst_gp_is_done(nst_rcu_own, stamp - 1);
}
#else
static int is_ripe(nst_cookie_t stamp)
{
	return nst_gp_is_done(nst_rcu_own, stamp);
}
#endif

#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 18
/* Having helped the period along is enough. */
static int is_still_ripe(nst_cookie_t stamp)
{
	(void)stamp;
	return 1;
}
#else
static int is_still_ripe(nst_cookie_t stamp)
{
	return is_ripe(stamp);
}
#endif

#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 14
static nst_cookie_t ahead;

/* The period of a round begins before the round takes. */
static void look_ahead(void)
{
	ahead = nst_gp_start();
	nst_gp_step(nst_rcu_own);
}
static nst_cookie_t cookie_of_round(void)
{
	return ahead;
}
#else
static void look_ahead(void)
{
}
static nst_cookie_t cookie_of_round(void)
{
	return nst_gp_start();
}
#endif

#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 16
/* Of a page that was taken meanwhile, too. */
static int claim(const struct cut *cut)
{
	nst_ring_claim(cut->ring, &cut->at);
	return 0;
}
#else
static int claim(const struct cut *cut)
{
	return nst_ring_claim(cut->ring, &cut->at);
}
#endif

/* ---- taking ---- */

/* What was taken for the next round. */
static struct nst_retired_pages *young(void)
{
	return &turn.pages[!turn.mine];
}

static int are_none(const struct nst_retired_pages *p)
{
	return !p->cache && !p->mixed && !p->calls;
}

static struct nst_sheaf **list_of(struct nst_retired_pages *p, const struct nst_channel *ch)
{
	return ch == &nst_retired.mixed	  ? &p->mixed
	       : ch == &nst_retired.calls ? &p->calls
					  : &p->cache;
}

static int take_ring(struct nst_cache *c, struct nst_channel *ch, struct nst_ring *r)
{
	struct nst_sheaf *s;
	u32 taken = 0, before;

	for (; (s = nst_channel_take(r, &before)) != NULL; taken++) {
		struct nst_sheaf **list = list_of(young(), ch);

		if (c)
			nst_retired_freed((u64)before * c->slot);
		if (!s->count) { /* all of it was freed by cuts */
			nst_channel_page_free(c, s);
			continue;
		}
		if (is_ripe(s->stamp))
			list = list_of(&elapsed, ch);
		s->next = *list;
		nst_barrier(); /* a fork child has it whole, or not */
		*list = s;
		nst_add_relaxed(&nst_retired.page_bytes, nst_channel_page_bytes(c)); /* a count */
	}
	nst_channel_make_ready(c, r, taken);
	return taken != 0;
}

static int take_channel(struct nst_cache *c, struct nst_channel *ch)
{
	unsigned int i;
	int found = 0;

	nst_channel_ring_wanted(c, ch);
	for (i = 0; nst_channel_is_open(ch) && i < nst_ring_nr(&ch->rings); i++)
		if (nst_ring_number(&ch->rings, i))
			found |= take_ring(c, ch, nst_ring_number(&ch->rings, i));
	return found;
}

/* Notes what open pages hold. */
static int cut_channel(struct nst_cache *c, struct nst_channel *ch)
{
	unsigned int i;

	for (i = 0; nst_channel_is_open(ch) && i < nst_ring_nr(&ch->rings); i++) {
		struct nst_ring *r = nst_ring_number(&ch->rings, i);
		struct nst_ring_cut cut = r ? nst_ring_look(r) : (struct nst_ring_cut){0};

		/* Since all sealed pages were taken one more was: what it holds is in no cut. */
		if (r && nst_ring_sealed(r))
			turn.late = 1;
		if (cut.from == cut.to)
			continue;
		if (turn.nr_cuts == turn.room_cuts) {
			turn.whole = 0;
			break;
		}
		turn.cut[turn.nr_cuts] = (struct cut){r, c, ch, cut};
		nst_barrier(); /* as above */
		turn.nr_cuts++;
	}
	return 0;
}

static int for_each_channel(int (*fn)(struct nst_cache *c, struct nst_channel *ch))
{
	int found = 0;
	u32 id;

	for (id = 1; id <= nst_hint(&nst_nr_caches); id++) {
		struct nst_cache *c = nst_cache_number(id);

		if (nst_cache_is_used(c))
			found |= fn(c, &c->dead);
	}
	found |= fn(NULL, &nst_retired.mixed);
	return found | fn(NULL, &nst_retired.calls);
}

/*
 * Objects of an open page, which its CPU goes on filling: copied out. Once claimed they stay in the page, which only a
 * pass takes.
 */
static void free_cut(const struct cut *cut)
{
	struct nst_sheaf *s = nst_channel_page(cut->cache);
	int err, calls = cut->channel == &nst_retired.calls;
	u32 i;

	if (!s)
		s = calls ? nst_calls_kept_page() : &spare.page;
	if (!s) { /* a function takes its time with it: by a later cut */
		turn.whole = 0;
		return;
	}
	nst_lock_wait(&nst_retired.lock);
	err = claim(cut);
	nst_unlock(&nst_retired.lock);
	if (err) {
		turn.late = 1;
		if (calls)
			nst_calls_put_page(s);
		else if (s != &spare.page)
			nst_channel_page_free(cut->cache, s);
		return;
	}
	for (i = cut->at.from; i < cut->at.to; i++)
		s->obj[s->count++] = cut->at.page->obj[i];
	if (calls)
		nst_calls_add_page(s);
	else if (s == &spare.page)
		nst_reuse_each(s, !cut->cache);
	else if (cut->cache)
		nst_reuse_sheaf(cut->cache, s);
	else
		nst_reuse_mixed(s);
}

/* ---- rounds ---- */

/* Twice as long a table, where it was too short and there is memory; or NULL. What is in it is not kept. */
static void *longer(u32 nr, u32 room, size_t each)
{
	return nr == room ? nst_meta_alloc(2 * (size_t)room * each) : NULL;
}

static void begin_tables(void)
{
	struct cut *cut = longer(turn.nr_cuts, turn.room_cuts, sizeof(*cut)), *old_cut = turn.cut;
	struct nst_dead_word *word = longer(turn.nr_words, turn.room_words, sizeof(*word)),
			     *old_word = turn.word;

	if (cut) {
		turn.cut = cut;
		nst_barrier(); /* a fork child has room for so many at least */
		turn.room_cuts *= 2;
		nst_meta_free(old_cut == first_cuts ? NULL : old_cut,
			      turn.room_cuts / 2 * sizeof(*cut));
	}
	if (word) {
		turn.word = word;
		nst_barrier(); /* as above */
		turn.room_words *= 2;
		nst_meta_free(old_word == first_words ? NULL : old_word,
			      turn.room_words / 2 * sizeof(*word));
	}
	turn.nr_cuts = turn.nr_words = 0;
	nst_barrier(); /* as above: none that is done is to be done again */
	turn.cuts_done = turn.words_done = 0;
}

/*
 * What is over with this round. Pages that were sealed in its midst have been taken by the time that the next one
 * begins, and so are over with that.
 */
static void account_round(void)
{
	u64 over = turn.whole && !turn.late ? turn.begun : turn.almost;

	turn.almost = turn.whole && turn.late ? turn.begun : 0;
	if (over) /* Pairs with: nst_load_acquire() in nst_retired_settle(). */
		nst_store_release(&turn.ended, over);
}

static void begin_round(void)
{
	turn.whole = 1;
	turn.late = 0;
	nst_store_relaxed(&turn.begun, turn.begun + 1); /* the fence orders it */
	/*
	 * What was retired by who then read the number before this one is seen from here on.
	 * Pairs with: nst_fence_full() in nst_retired_settle().
	 */
	nst_fence_full();
	turn.mine ^= 1;
	begin_tables();
	for_each_channel(cut_channel);
	nst_dead_take(turn.word, turn.room_words, &turn.nr_words);
	if (turn.nr_words == turn.room_words)
		turn.whole = 0;
	/* Pairs with: nst_cas_release() in retire_run() and push_head(). */
	turn.runs = nst_load_relaxed(&nst_retired.runs)
			    ? nst_exchange_acq_rel(&nst_retired.runs, (struct nst_page *)NULL)
			    : NULL;
	turn.heads = nst_load_relaxed(&nst_retired.heads)
			     ? nst_exchange_acq_rel(&nst_retired.heads, (struct nst_rcu_head *)NULL)
			     : NULL;
	if (are_none(&turn.pages[turn.mine]) && !turn.nr_cuts && !turn.nr_words && !turn.runs &&
	    !turn.heads) {
		account_round();
		return;
	}
	turn.cookie = cookie_of_round(); /* after all was taken (F2) */
	nst_barrier();			 /* a fork child begins it anew, or has it */
	turn.on = 1;
}

/* Its period is over. */
static void end_round(void)
{
	nst_reuse_pages(&turn.pages[turn.mine]);
	while (turn.cuts_done < turn.nr_cuts)
		free_cut(&turn.cut[turn.cuts_done++]);
	for (; turn.words_done < turn.nr_words; turn.words_done++)
		nst_reuse_word(&turn.word[turn.words_done]);
	nst_reuse_runs(&turn.runs);
	nst_calls_add_heads(&turn.heads);
	turn.on = 0;
	account_round();
}

static int is_over(void)
{
	unsigned int i;

	for (i = 0; i < GP_STEPS && !is_ripe(turn.cookie); i++)
		nst_gp_step(nst_rcu_own);
	return is_still_ripe(turn.cookie);
}

static int decay_channel(struct nst_cache *c, struct nst_channel *ch)
{
	nst_channel_decay(c, ch);
	return 0;
}

int nst_retired_pass(int look)
{
	int found;

	if (!nst_retired_is_ready() &&
	    (!look || !nst_hint(&nst_retired.failed) || nst_retired_make_ready()))
		return 0;
	found = for_each_channel(take_channel);
	nst_reuse_pages(&elapsed);
	if (!turn.on)
		begin_round();
	if (turn.on && is_over()) {
		end_round();
		found = 1;
	}
	look_ahead();
	if (look && !turn.on)
		for_each_channel(decay_channel);
	nst_hint_set(&turn.busy, turn.on || !are_none(young()));
	if (found) /* more will come soon: what is retired now is to be free in a millisecond or two */
		nst_worker_listen();
	return found;
}

int nst_retired_is_busy(void)
{
	return nst_hint(&turn.busy) != 0;
}

/* ---- who waits, and forks ---- */

size_t nst_retired_notes_bytes(void)
{
	return sizeof(turn) + turn.room_cuts * sizeof(*turn.cut) +
	       turn.room_words * sizeof(*turn.word);
}

void nst_retired_settle(void)
{
	u64 begun;
	u32 word = 0;

	if (!nst_retired_is_ready())
		return;
	/*
	 * What was retired until here is seen by whoever begins the round after the one that this reads.
	 * Pairs with: nst_fence_full() in begin_round().
	 */
	nst_fence_full();
	begun = nst_load_relaxed(&turn.begun) + 1; /* as above */
	/* Pairs with: nst_store_release() in account_round(). */
	while (nst_load_acquire(&turn.ended) < begun) {
		nst_maintain_pass(0);
		if (nst_load_relaxed(&turn.ended) < begun) /* the loop's test decides */
			nst_sys_futex_wait(&word, 0, BARRIER_NAP_US);
	}
}

/*
 * What a lost pass had taken is a round, and its period has yet to begin if it was still taking; what it was freeing goes
 * on. A cut that it had not yet freed may have been in its hands: this round speaks for none before it.
 */
void nst_ripe_after_fork(int lost)
{
	if (!lost)
		return;
	nst_count(NST_COUNT_ABANDONED, 1);
	spare.page.count = 0;
	turn.whole = 0;
	if (turn.on)
		return;
	turn.cookie = nst_gp_start();
	turn.on = 1;
	nst_dead_after_fork();
}
