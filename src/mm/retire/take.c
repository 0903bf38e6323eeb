/* SPDX-License-Identifier: MIT */
/*
 * take.c - what a round of the worker takes out of the places where retired memory lies.
 *
 *	sealed page	leaves its ring, for the next round; or is freed at once, where its stamp is old enough
 *	open page	stays its CPU's: what it held when the round began is freed, and the CPU goes on filling behind
 *			that (percpu/ring.h). So nothing waits for a page to fill, and no CPU is interrupted
 *	dead bits	a word of 64 by one exchange
 *
 * Locks: takes retired.lock around the worker's half of a ring.
 */
#include "../mm.h"
#include "turn.h"

#define NR_WORDS 512u /* dead words in a round, at first */
#define NR_CUTS 512u  /* open pages in a round, at first */
#define NR_CUTS_OF_OTHERS 16u

static struct nst_cut first_cuts[NR_CUTS], first_of_others[NST_RCU_DOMAINS][NR_CUTS_OF_OTHERS];
static struct nst_dead_word first_words[NR_WORDS];

/* By domain, of nst_retired.dead: freed; and those that will be, when the round of dead bits is over. */
static struct {
	u32 freed[NST_RCU_DOMAINS], taken[NST_RCU_DOMAINS];
} dead;

/* Where what is cut off an open page goes without memory. */
static union {
	struct nst_sheaf page;
	void *room[2 + NST_PAGE_POINTERS];
} spare;

#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 16
/* Of a page that was taken meanwhile, too. */
static int claim(const struct nst_cut *cut)
{
	nst_ring_claim(cut->ring, &cut->at);
	return 0;
}
#else
static int claim(const struct nst_cut *cut)
{
	return nst_ring_claim(cut->ring, &cut->at);
}
#endif

/* ---- tables ---- */

void nst_take_init(struct nst_turn *t)
{
	if (t == nst_turn_dead) {
		t->word = first_words;
		t->room_words = NR_WORDS;
		return;
	}
	t->cut = t == nst_turn_own ? first_cuts : first_of_others[nst_turn_number(t)];
	t->first_cut = t->cut;
	t->room_cuts = t == nst_turn_own ? NR_CUTS : NR_CUTS_OF_OTHERS;
}

/* Twice as long a table, where it was too short and there is memory; or NULL. What is in it is not kept. */
static void *longer(u32 nr, u32 room, size_t each)
{
	return room && nr == room ? nst_meta_alloc(2 * (size_t)room * each) : NULL;
}

void nst_take_begin(struct nst_turn *t)
{
	struct nst_cut *cut, *old_cut = t->cut;
	struct nst_dead_word *word, *old_word = t->word;

	cut = longer(t->nr_cuts, t->room_cuts, sizeof(*cut));
	word = longer(t->nr_words, t->room_words, sizeof(*word));
	if (cut) {
		t->cut = cut;
		nst_barrier(); /* a fork child has room for so many at least */
		t->room_cuts *= 2;
		nst_meta_free(old_cut == t->first_cut ? NULL : old_cut,
			      t->room_cuts / 2 * sizeof(*cut));
	}
	if (word) {
		t->word = word;
		nst_barrier(); /* as above */
		t->room_words *= 2;
		nst_meta_free(old_word == first_words ? NULL : old_word,
			      t->room_words / 2 * sizeof(*word));
	}
	t->nr_cuts = t->nr_words = 0;
	nst_barrier(); /* as above: none that is done is to be done again */
	t->cuts_done = t->words_done = 0;
}

size_t nst_retired_notes_bytes(void)
{
	size_t bytes = sizeof(nst_turns) + sizeof(first_cuts) + sizeof(first_of_others) +
		       sizeof(first_words);
	const struct nst_turn *t;

	for (t = nst_turns; t < nst_turns + NST_NR_TURNS; t++)
		bytes += (t->cut == t->first_cut ? 0 : t->room_cuts * sizeof(*t->cut)) +
			 (t->word == first_words ? 0 : t->room_words * sizeof(*t->word));
	return bytes;
}

/* ---- taking ---- */

static struct nst_sheaf **list_of(struct nst_retired_pages *p, const struct nst_cache *c,
				  const struct nst_channel *ch)
{
	return c ? &p->cache : ch == &nst_retired.calls ? &p->calls : &p->mixed;
}

static void page_waits(const struct nst_cache *c, const struct nst_channel *ch)
{
	if (ch == &nst_retired.calls) /* counts */
		nst_add_relaxed(&nst_retired.call_pages, (u64)1);
	else
		nst_add_relaxed(&nst_retired.page_bytes, nst_channel_page_bytes(c));
}

static int take_ring(struct nst_turn *t, struct nst_cache *c, struct nst_channel *ch,
		     unsigned int i)
{
	struct nst_ring *r = nst_ring_number(&ch->rings, i);
	struct nst_sheaf *s;
	u32 taken = 0, before;

	for (; (s = nst_channel_take(r, &before)) != NULL; taken++) {
		struct nst_sheaf **list = list_of(nst_turn_young(t), c, ch);

		if (c)
			nst_retired_freed((u64)before * c->slot);
		if (!s->count) { /* all of it was freed by cuts */
			nst_channel_page_free(c, s);
			continue;
		}
		if (nst_turn_is_ripe(nst_turn_number(t), s->stamp))
			list = list_of(&t->elapsed, c, ch);
		s->next = *list;
		nst_barrier(); /* a fork child has it whole, or not */
		*list = s;
		page_waits(c, ch);
	}
	if (!nst_calls_are_full(ch))
		nst_channel_make_ready(c, ch, i, taken);
	return taken != 0;
}

int nst_take_channel(struct nst_turn *t, struct nst_cache *c, struct nst_channel *ch)
{
	unsigned int i;
	int found = 0;

	nst_channel_ring_wanted(c, ch);
	for (i = 0; nst_channel_is_open(ch) && i < nst_ring_nr(&ch->rings); i++)
		if (nst_ring_number(&ch->rings, i))
			found |= take_ring(t, c, ch, i);
	return found;
}

/* What the open page holds. 1: since all sealed pages were taken one more was, and what it holds is in no cut. */
static int look(struct nst_ring *r, struct nst_ring_cut *cut)
{
	int late;

	nst_lock_wait(&nst_retired.lock);
	*cut = nst_ring_look(r);
	late = nst_ring_sealed(r) != 0;
	nst_unlock(&nst_retired.lock);
	return late;
}

/* Notes what open pages hold. */
int nst_take_cuts(struct nst_turn *t, struct nst_cache *c, struct nst_channel *ch)
{
	unsigned int i;

	for (i = 0; nst_channel_is_open(ch) && i < nst_ring_nr(&ch->rings); i++) {
		struct nst_ring *r = nst_ring_number(&ch->rings, i);
		struct nst_ring_cut cut = {0};

		if (r && look(r, &cut))
			t->late = 1;
		if (cut.from == cut.to)
			continue;
		if (t->nr_cuts == t->room_cuts) {
			t->whole = 0;
			break;
		}
		t->cut[t->nr_cuts] = (struct nst_cut){r, c, ch, cut};
		nst_barrier(); /* as above */
		t->nr_cuts++;
	}
	return 0;
}

int nst_turn_each_channel(struct nst_turn *t, int (*fn)(struct nst_turn *t, struct nst_cache *c,
							struct nst_channel *ch))
{
	int found = 0;
	u32 id;

	if (t == nst_turn_dead)
		return 0;
	if (t != nst_turn_own)
		return fn(t, NULL, &nst_retired.others[nst_turn_number(t)]);
	for (id = 1; id <= nst_hint(&nst_nr_caches); id++) {
		struct nst_cache *c = nst_cache_number(id);

		if (nst_cache_is_used(c))
			found |= fn(t, c, &c->dead);
	}
	found |= fn(t, NULL, &nst_retired.mixed);
	return found | fn(t, NULL, &nst_retired.calls);
}

/* Whose readers may see an object whose dead bit has been taken: ours, and of each domain that has had more than were freed. */
#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 22 /* ours alone */
u32 nst_take_dead_domains(void)
{
	return 1;
}
#else
u32 nst_take_dead_domains(void)
{
	u32 i, domains = 1;

	for (i = 1; i < NST_RCU_DOMAINS; i++)
		/* relaxed: it is counted before the bit is set, which was taken by an acquire */
		if (nst_load_relaxed(&nst_retired.dead[i].going) != dead.freed[i])
			domains |= 1u << i;
	return domains;
}
#endif

void nst_take_dead(struct nst_turn *t)
{
	u32 i;

	for (i = 1; i < NST_RCU_DOMAINS; i++)
		/* Pairs with: nst_add_release() in to_dead_bit(): of so many the bit is found. */
		dead.taken[i] = nst_load_acquire(&nst_retired.dead[i].set);
	nst_dead_take(t->word, t->room_words, &t->nr_words);
	if (t->nr_words == t->room_words)
		t->whole = 0;
}

/* The round had all bits that there were. */
void nst_take_let_go_dead(void)
{
	u32 i;

	for (i = 1; i < NST_RCU_DOMAINS; i++) {
		u32 n = dead.taken[i] - dead.freed[i];

		dead.freed[i] = dead.taken[i];
		nst_barrier(); /* a fork child lets go once, or never */
		if (n)
			nst_rcu_domain_let_go(&nst_rcu_domains[i], n);
	}
}

/* ---- freeing ---- */

/* Copied out with the lock: once it is let go the page may be taken, and what was claimed of it dropped. */
static int claim_into(struct nst_sheaf *s, const struct nst_cut *cut)
{
	int err;
	u32 i;

	nst_lock_wait(&nst_retired.lock);
	err = claim(cut);
	for (i = cut->at.from; !err && i < cut->at.to; i++)
		s->obj[s->count++] = cut->at.page->obj[i];
	nst_unlock(&nst_retired.lock);
	return err;
}

/* Objects of an open page, which its CPU goes on filling. */
void nst_take_free_cut(struct nst_turn *t, const struct nst_cut *cut)
{
	struct nst_sheaf *s =
		nst_calls_are_full(cut->channel) ? NULL : nst_channel_page(cut->cache);
	int calls = cut->channel == &nst_retired.calls;

	if (!s)
		s = calls ? nst_calls_kept_page() : &spare.page;
	if (!s) { /* a function takes its time with it: by a later cut */
		nst_store_relaxed(&t->left, t->begun); /* account_round() publishes it */
		return;
	}
	if (calls)
		page_waits(NULL, cut->channel);
	if (claim_into(s, cut)) {
		t->late = 1;
		if (calls)
			nst_calls_put_page(s);
		else if (s != &spare.page)
			nst_channel_page_free(cut->cache, s);
		return;
	}
	if (calls)
		nst_calls_add_page(s);
	else if (s == &spare.page)
		nst_reuse_each(s, !cut->cache);
	else if (cut->cache)
		nst_reuse_sheaf(cut->cache, s);
	else
		nst_reuse_mixed(s);
	nst_reuse_let_go(nst_turn_domain(t), cut->at.to - cut->at.from);
}

void nst_take_after_fork(void)
{
	spare.page.count = 0;
}
