/* SPDX-License-Identifier: MIT */
/*
 * graph.c - order edges, cycle search, cache of chains already proven.
 *
 *	chain: what a thread holds and what it waits for, as 64 bits -> seen by this thread, or by many: nothing to do
 *	edge:  A -> B, while A was held B was waited for; by type, as A was held (E exclusive, S shared) and
 *	       B was wanted (N, or R: as a recursive reader)
 *
 * Who waits as a recursive reader waits for a writer alone: an edge that ends in R goes on only by one that begins
 * with E. A cycle in which each edge goes on by the next so is strong, and only a strong one can be waited in for ever
 * (Linux's lockdep, "Recursive read locks: strong dependency paths").
 *
 * A strong cycle is an error if it can happen as it was seen: no two of its edges come from one thread alone; no two were
 * always taken under one lock that excludes them (a gate); and where one edge leads to a lock, the next begins with
 * that very lock. Else it is possible: an order of classes only. That cannot be decided edge by edge, so a shortest
 * cycle of any kind is looked for first (breadth first), and only then one that is an error (depth first, ever deeper,
 * up to a number of steps).
 *
 * What any thread may come to be inside of, a handler or reclaim, is a class as well: X -> signal 10, while X was held
 * signal 10 could come; signal 10 -> A, its handler waited for A. So that a lock is used where a handler may come, or
 * depends on one that is, is a cycle like others. The two edges are one thread's one step.
 *
 * Needs: entered, but for nst_ld_chain_is_known().
 */
#include "engine.h"

/* A broken variant that the tests must catch. */
#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 39 /* readers wait as writers do */
#define READERS_WAIT 1
#else
#define READERS_WAIT 0
#endif

#define PATH_MAX_EDGES 32u
#define ERROR_MAX_EDGES 8u /* of a cycle that is looked at for being an error */
#define STEPS_MAX 50000u

/* ---- chains ---- */

static u32 chain_slot(u64 key)
{
	return (u32)(key >> 32) % NST_LD_CHAIN_SLOTS;
}

/* The slot with @key, or a free one. Never full: NST_LD_CHAINS. */
static u32 chain_look_up(u64 key)
{
	u32 i = chain_slot(key);
	u64 there;

	/* relaxed: a key is all there is to see; whose it is may be older, and then it is looked at again */
	while ((there = nst_load_relaxed(&nst_ld.tables->chain[i])) != 0 && there != key)
		i = (i + 1) % NST_LD_CHAIN_SLOTS;
	return i;
}

int nst_ld_chain_is_known(u64 key, u32 tag)
{
	u32 i = chain_look_up(key), who;

	if (nst_load_relaxed(&nst_ld.tables->chain[i]) != key) /* relaxed: as above */
		return 0;
	who = nst_load_relaxed(&nst_ld.tables->chain_thread[i]); /* relaxed: as above */
	return who == tag || who == NST_LD_MANY;
}

static void chain_note(u64 key, u32 tag)
{
	u32 i = chain_look_up(key);

	if (nst_ld.tables->chain[i] == key) {
		if (nst_ld.tables->chain_thread[i] != tag)
			nst_store_relaxed(&nst_ld.tables->chain_thread[i],
					  NST_LD_MANY); /* as above */
		return;
	}
	if (nst_ld.nr_chains >= NST_LD_CHAINS) {
		nst_ld_full(NST_LD_FULL_CHAINS);
		return;
	}
	nst_store_relaxed(&nst_ld.nr_chains, nst_ld.nr_chains + 1); /* a counter */
	nst_store_relaxed(&nst_ld.tables->chain_thread[i], tag);    /* relaxed: as above */
	nst_store_relaxed(&nst_ld.tables->chain[i], key);	    /* relaxed: as above */
}

/* ---- edges ---- */

/* Where this thread is; NULL: what is new of an order was before. */
static const void *at_now;

static struct nst_ld_edge *edge(u32 n)
{
	return &nst_ld.tables->edge[n];
}

static u32 edge_look_up(u32 from, u32 to, u32 type, u32 *slot)
{
	u32 i = (u32)(nst_mix64((u64)from << 32 | to << 2 | type) % NST_LD_EDGE_SLOTS), n;

	for (; (n = nst_ld.tables->edge_slot[i]) != 0; i = (i + 1) % NST_LD_EDGE_SLOTS)
		if (edge(n)->from == from && edge(n)->to == to && edge(n)->type == type)
			break;
	*slot = i;
	return n;
}

static u32 edge_new(const struct nst_ld_held *from, const struct nst_ld_held *to, u32 type,
		    u32 slot)
{
	struct nst_ld_edge *e;
	u32 n;

	if (nst_ld.nr_edges + 1 >= NST_LD_EDGES) {
		nst_ld_full(NST_LD_FULL_EDGES);
		return 0;
	}
	n = nst_ld.nr_edges + 1;
	nst_store_relaxed(&nst_ld.nr_edges, n); /* a counter */
	e = edge(n);
	*e = (struct nst_ld_edge){.from = from->class,
				  .to = to->class,
				  .type = (u8)type,
				  .next = nst_ld.tables->class[from->class].out,
				  .from_lock = from->lock,
				  .to_lock = to->lock,
				  .from_ip = nst_ld_place_of(from),
				  .to_ip = to->ip == at_now ? nst_ld_stack_here(to->ip) : to->ip};
	nst_ld.tables->class[from->class].out = n;
	nst_ld.tables->edge_slot[slot] = (u16)n;
	return n;
}

/* Other locks that @t holds beside @from; a bit says by a reader. */
static u32 gates_of(const struct nst_ld_thread *t, const struct nst_ld_held *from, uintptr_t *gate)
{
	u32 i, n = 0;

	for (i = t->level; i < nst_ld_nr(t) && n < NST_LD_GATES; i++) {
		const struct nst_ld_held *e = &t->held[i];

		if (nst_ld_is_held(e) && e->lock != from->lock && !(e->how & NST_LD_CONTEXT))
			gate[n++] = (uintptr_t)e->lock | (e->how & NST_LD_READ ? 1 : 0);
	}
	return n;
}

/* What is in both; 1 if that is less than there was. */
static int gates_keep(struct nst_ld_edge *e, const uintptr_t *gate, u32 nr)
{
	u32 i, k, n = 0;
	int less = 0;

	for (i = 0; i < e->nr_gates; i++) {
		for (k = 0; k < nr; k++)
			if ((e->gate[i] | 1) == (gate[k] | 1))
				break;
		if (k == nr) {
			less = 1;
			continue;
		}
		less |= (gate[k] & 1) && !(e->gate[i] & 1);
		e->gate[n++] = e->gate[i] | (gate[k] & 1);
	}
	e->nr_gates = (u8)n;
	return less;
}

/* ---- is it an error? ---- */

static int gated(const struct nst_ld_edge *a, const struct nst_ld_edge *b)
{
	u32 i, k;

	for (i = 0; i < a->nr_gates; i++)
		for (k = 0; k < b->nr_gates; k++)
			if ((a->gate[i] | 1) == (b->gate[k] | 1) && !(a->gate[i] & b->gate[k] & 1))
				return 1;
	return 0;
}

/* Can both be waited in at a time? What is done inside of a context any thread may do. */
static int together(const struct nst_ld_edge *a, const struct nst_ld_edge *b)
{
	return !gated(a, b) && (a->thread != b->thread || a->thread == NST_LD_MANY ||
				nst_ld_is_context(a->from) || nst_ld_is_context(b->from));
}

static int goes_on(const struct nst_ld_edge *a, const struct nst_ld_edge *b)
{
	return READERS_WAIT || !((a->type & NST_LD_TO_R) && (b->type & NST_LD_FROM_S));
}

/* X -> context -> A: one thread in one place, which is inside of the context while it holds X. */
static int one_step(const struct nst_ld_edge *a, const struct nst_ld_edge *b)
{
	return nst_ld_is_context(b->from) && a->to == b->from;
}

static struct {
	u32 path[PATH_MAX_EDGES]; /* path[0] is the edge that is new */
	u32 steps;
} search;

/* Does @n fit behind search.path[0..@len)? */
static int fits(u32 n, u32 len)
{
	u32 i;

	if (!goes_on(edge(search.path[len - 1]), edge(n)) ||
	    edge(search.path[len - 1])->to_lock != edge(n)->from_lock)
		return 0;
	for (i = 0; i < len; i++)
		if (!(i == len - 1 && one_step(edge(search.path[i]), edge(n))) &&
		    !(i == 0 && one_step(edge(n), edge(search.path[0]))) &&
		    !together(edge(search.path[i]), edge(n)))
			return 0;
	return 1;
}

static int closes(u32 len)
{
	const struct nst_ld_edge *first = edge(search.path[0]), *last = edge(search.path[len - 1]);

	return last->to == first->from && goes_on(last, first) && last->to_lock == first->from_lock;
}

/* A cycle of exactly @want edges that is an error, depth first with the branches of each place kept. 1: in search.path. */
static int error_of_length(u32 want)
{
	u32 branch[PATH_MAX_EDGES + 1], len = 1;

	branch[1] = nst_ld.tables->class[edge(search.path[0])->to].out;
	while (len && search.steps) {
		u32 n = branch[len];

		if (!n) {
			len--;
			continue;
		}
		branch[len] = edge(n)->next;
		search.steps--;
		if (!fits(n, len))
			continue;
		search.path[len] = n;
		if (len + 1 < want) {
			len++;
			branch[len] = nst_ld.tables->class[edge(n)->to].out;
		} else if (closes(want)) {
			return 1;
		}
	}
	return 0;
}

/* ---- any strong cycle ---- */

static u32 node(u32 n)
{
	return 2 * (u32)edge(n)->to + (edge(n)->type & NST_LD_TO_R);
}

/* The way back from queue[@i] to the first edge, into search.path; how many edges of it there is room for. */
static u32 path_of(u32 i)
{
	const struct nst_ld_tables *tb = nst_ld.tables;
	u32 k, len = 1;

	for (k = i; k; k = tb->parent[k])
		len++;
	for (k = len; k; i = tb->parent[i])
		if (--k < PATH_MAX_EDGES)
			search.path[k] = tb->queue[i];
	return len < PATH_MAX_EDGES ? len : PATH_MAX_EDGES;
}

/* Breadth first from where the new edge ends to where it begins. How many edges, 0: there is none. */
static u32 shortest_cycle(void)
{
	struct nst_ld_tables *tb = nst_ld.tables;
	const struct nst_ld_edge *first = edge(search.path[0]);
	u32 head, tail = 1, n;

	nst_ld.search++;
	tb->queue[0] = search.path[0];
	tb->parent[0] = 0;
	tb->visited[node(search.path[0])] = nst_ld.search;
	for (head = 0; head < tail; head++) {
		u32 by = tb->queue[head];

		for (n = tb->class[edge(by)->to].out; n; n = edge(n)->next) {
			if (!goes_on(edge(by), edge(n)) || tb->visited[node(n)] == nst_ld.search)
				continue;
			tb->visited[node(n)] = nst_ld.search;
			tb->queue[tail] = n;
			tb->parent[tail] = head;
			if (edge(n)->to == first->from && goes_on(edge(n), first))
				return path_of(tail);
			tail++;
		}
	}
	return 0;
}

/* ---- a cycle is told ---- */

static enum nst_lockdep_code code_of(u32 len)
{
	enum nst_lockdep_code code = NST_NL_ORDER;
	u32 i;

	for (i = 0; i < len; i++) {
		if (nst_ld_is_signal(edge(search.path[i])->from))
			return NST_NL_SIGNAL;
		if (nst_ld_is_context(edge(search.path[i])->from))
			code = NST_NL_RECLAIM;
	}
	return code;
}

static void tell_cycle(const struct nst_ld_thread *t, u32 len, enum nst_lockdep_level level)
{
	u64 cause = level;
	u32 i;

	/* The same wherever it is come upon. */
	for (i = 0; i < len; i++)
		cause +=
			nst_mix64((u64)edge(search.path[i])->from << 16 | edge(search.path[i])->to);
	if (!nst_ld_report_begin(code_of(len), level, cause))
		return;
	for (i = 0; i < len; i++)
		nst_ld_report_edge(search.path[i]);
	nst_ld_report_end(t);
}

/* @n is new, or holds more than it did. */
static void look_for_cycle(const struct nst_ld_thread *t, u32 n)
{
	u32 want, len;

	search.path[0] = n;
	len = shortest_cycle();
	if (!len)
		return;
	search.steps = STEPS_MAX;
	for (want = 2; want <= ERROR_MAX_EDGES; want++) {
		if (error_of_length(want)) {
			tell_cycle(t, want, NST_LD_ERROR);
			return;
		}
	}
	len = shortest_cycle();
	tell_cycle(t, len, NST_LD_POSSIBLE);
}

/* ---- a chain that is new, or new to a thread ---- */

static void edge_seen(const struct nst_ld_thread *t, const struct nst_ld_held *from,
		      const struct nst_ld_held *to)
{
	u32 type = (from->how & NST_LD_READ ? NST_LD_FROM_S : 0u) |
		   (to->how & NST_LD_READ && to->how & NST_LD_RECURSIVE ? NST_LD_TO_R : 0u);
	u32 slot, n = edge_look_up(from->class, to->class, type, &slot), nr;
	uintptr_t gate[NST_LD_GATES] = {0};
	struct nst_ld_edge *e;
	int more = !n;

	if (!n && !(n = edge_new(from, to, type, slot)))
		return;
	e = edge(n);
	nr = gates_of(t, from, gate);
	if (more) {
		e->thread = t->tag;
		e->nr_gates = (u8)nr;
		__builtin_memcpy(e->gate, gate, sizeof(gate));
	} else {
		more = gates_keep(e, gate, nr);
		more |= e->thread != t->tag && e->thread != NST_LD_MANY;
		e->thread = e->thread == t->tag ? t->tag : NST_LD_MANY;
	}
	if (!more)
		return;
	nst_ld_name_thread(t);
	look_for_cycle(t, n);
}

static void waited_for(const struct nst_ld_thread *t, const struct nst_ld_held *new)
{
	u32 i, near = 0;

	for (i = nst_ld_nr(t); i-- > t->level && near < NST_LD_NEAR;) {
		if (!nst_ld_is_held(&t->held[i]) || t->held[i].class == new->class ||
		    (nst_ld_is_context(t->held[i].class) && nst_ld_is_context(new->class)))
			continue;
		if ((t->held[i].class == NST_LD_RCU && nst_ld.sections_move) ||
		    t->held[i].how & NST_LD_UNSEEN)
			continue;
		near++;
		edge_seen(t, &t->held[i], new);
	}
}

static void may_be_interrupted(const struct nst_ld_thread *t, const struct nst_ld_held *by,
			       u64 open)
{
	for (; open; open &= open - 1) {
		struct nst_ld_held s =
			nst_ld_context((u32)__builtin_ctzll(open), nst_ld_place_of(by));

		edge_seen(t, by, &s);
	}
}

/* What is really blocked cannot come, and who blocks without a word is believed from here on. */
static u64 open_now(struct nst_ld_thread *t, u64 signals, u64 open)
{
	t->blocked |= open & signals;
	return open & ~signals;
}

void nst_ld_chain_add(struct nst_ld_thread *t, u64 key, const struct nst_ld_held *new, int waits,
		      u64 open)
{
	struct nst_ld_entered in = nst_ld_enter(t);

	at_now = new->ip;
	open = open_now(t, in.signals, open);
	key = nst_ld_key_open(key, waits, open);
	if (!nst_ld_chain_is_known(key, t->tag)) {
		nst_store_relaxed(&nst_ld.checked, nst_ld.checked + 1); /* a counter */
		chain_note(key, t->tag);
		if (waits)
			waited_for(t, new);
		may_be_interrupted(t, new, open);
	}
	nst_ld_leave(in);
}

void nst_ld_opened(struct nst_ld_thread *t, u64 key, u64 open, u64 told)
{
	struct nst_ld_entered in = nst_ld_enter(t);
	u32 i;

	at_now = NULL;
	open = open_now(t, in.signals & ~told, open);
	key = nst_ld_key_open(key, 0, open);
	if (!nst_ld_chain_is_known(key, t->tag)) {
		nst_store_relaxed(&nst_ld.checked, nst_ld.checked + 1); /* a counter */
		chain_note(key, t->tag);
		for (i = t->level; i < nst_ld_nr(t); i++)
			if (nst_ld_is_held(&t->held[i]) && !(t->held[i].how & NST_LD_CONTEXT))
				may_be_interrupted(t, &t->held[i], open);
	}
	nst_ld_leave(in);
}

void nst_ld_edge_told(struct nst_ld_thread *t, const struct nst_ld_held *from,
		      const struct nst_ld_held *to)
{
	struct nst_ld_entered in = nst_ld_enter(t);
	u32 slot, n = edge_look_up(from->class, to->class, 0, &slot);

	at_now = to->ip;
	if (!n)
		n = edge_new(from, to, 0, slot);
	if (n) {
		edge(n)->thread = NST_LD_MANY;
		edge(n)->nr_gates = 0;
		look_for_cycle(t, n);
	}
	nst_ld_leave(in);
}

void nst_ld_chain_reclaims(struct nst_ld_thread *t, u64 key, u32 set, const void *ip)
{
	struct nst_ld_entered in = nst_ld_enter(t);

	at_now = ip;
	if (!nst_ld_chain_is_known(key, t->tag)) {
		nst_store_relaxed(&nst_ld.checked, nst_ld.checked + 1); /* a counter */
		chain_note(key, t->tag);
		for (; set; set &= set - 1) {
			struct nst_ld_held r =
				nst_ld_context(NST_LD_SIGNALS + nst_lowest_bit(set), ip);

			waited_for(t, &r);
		}
	}
	nst_ld_leave(in);
}

void nst_ld_forget_lock(const void *lock)
{
	static const char gone[2]; /* two that are no lock's, so that they do not meet */
	u32 i, k;

	for (i = 1; i <= nst_ld.nr_edges; i++) {
		struct nst_ld_edge *e = edge(i);

		if (e->from_lock == lock)
			e->from_lock = &gone[0];
		if (e->to_lock == lock)
			e->to_lock = &gone[1];
		for (k = 0; k < e->nr_gates; k++)
			if ((e->gate[k] & ~(uintptr_t)1) == (uintptr_t)lock)
				e->gate[k] = (uintptr_t)&gone[0] & ~(uintptr_t)1;
	}
}
