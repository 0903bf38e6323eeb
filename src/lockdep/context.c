/* SPDX-License-Identifier: MIT */
/*
 * context.c - what a thread holds and is inside of, and the rules about that alone.
 *
 *	taken (lock, class, how, place) -> held[nr] of the thread's block, the innermost last
 *
 * A lock about to be taken is compared with each that is held: the same one (SELF), one of its class (NEST), what may
 * be waited for (WAIT, BLOCK). The same walk makes the chain's key, and a chain that is known ends the work (graph.c).
 *
 * What may be waited for, by what is held and how a request asks:
 *
 *	held, its inner type	may be taken
 *	FREE			nothing
 *	SPIN			SPIN
 *	CONFIG			SPIN CONFIG; NST_NOWAIT, NST_ATOMIC
 *	SLEEP, or nothing	all; NST_NORMAL, NST_NORETRY, NST_NOFAIL
 *
 * Tries may always be made, and so may NST_NOLOCK and NST_FASTTRY requests; what was tried forbids as what was waited for.
 */
#include "held.h"

/* Broken variants that the tests must catch. */
#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 40 /* a try counts as a wait */
#define TRIES_WAIT 1
#else
#define TRIES_WAIT 0
#endif
#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 46 /* who sleeps is not seen */
#define NO_SWITCHES 1
#else
#define NO_SWITCHES 0
#endif
#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 56 /* nor are page faults */
#define NO_FAULTS 1
#else
#define NO_FAULTS 0
#endif

#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 81 /* who is a real-time thread */
#define BLIND_TO_REALTIME 1
#else
#define BLIND_TO_REALTIME 0
#endif

#if defined(NST_TEST) && defined(NST_BUSTED) &&                                                    \
	NST_BUSTED == 83 /* what is known changes under whom a handler interrupts */
#define OBLIVIOUS 1
#else
#define OBLIVIOUS 0
#endif

#define NOTHING_HELD NST_WAIT_SLEEP
#define UNORDERED (NST_LD_NOVALIDATE | NST_LD_FRESH)

/* ---- the rules ---- */

/* What may be waited for now, and in @by what forbids more. */
static u32 limit_of(const struct nst_ld_thread *t, const struct nst_ld_held **by)
{
	u32 i, limit = NOTHING_HELD;

	*by = NULL;
	for (i = 0; i < nst_ld_nr(t); i++) {
		const struct nst_ld_held *e = &t->held[i];

		if (!nst_ld_is_held(e) || !e->inner || (e->inner >= limit && !e->override))
			continue;
		limit = e->inner;
		*by = e;
	}
	return limit;
}

static const char *const wants[] = {"", "waits at", "spins at", "takes a short lock at",
				    "may sleep at"};

/*
 * It waits as @need says: may it? @how: of the lock that is waited for, @class; a request has none. What a request does
 * inside is its caller's one mistake: the library's own locks are told under what the caller holds once, and not if the
 * request was.
 */
static void judge_wait(struct nst_ld_thread *t, u32 need, u32 how, u32 class, const void *lock,
		       const void *ip)
{
	const int inside = (how & NST_LD_OWN) != 0;
	const struct nst_ld_held *by;
	enum nst_lockdep_code code;
	const void *since;
	u32 limit;

	if (nst_likely(!need) || t->depth[NST_SECTION_ALLOW])
		return;
	limit = limit_of(t, &by);
	if (by && need > limit) {
		code = NST_NL_WAIT;
		since = by->how & NST_LD_OWN ? NULL : by->ip;
	} else if (need == NST_WAIT_SLEEP && t->depth[NST_SECTION_NONBLOCK]) {
		code = NST_NL_BLOCK;
		since = t->from[NST_SECTION_NONBLOCK];
	} else {
		return;
	}
	if (!since || nst_ld_first(t, code, since) || !inside)
		nst_ld_report(t, code, NST_LD_ERROR, class, lock, ip, wants[need]);
}

/* May @new be taken with @e held, which is it, or of its class? */
static void judge_same(struct nst_ld_thread *t, const struct nst_ld_held *e,
		       const struct nst_ld_held *new)
{
	nst_lockdep_compare_t compare;
	const int again =
		(new->how &NST_LD_RECURSIVE) &&
		((new->how &NST_LD_READ) ? e->how & NST_LD_READ
					 : e->how & NST_LD_RECURSIVE && !(e->how & NST_LD_READ));

	if (e->lock == new->lock) {
		if (!again)
			nst_ld_report(t, NST_NL_SELF, NST_LD_ERROR, new->class, new->lock, new->ip,
				      "waits at");
	} else if ((new->how | e->how) & (NST_LD_NESTED_IN | NST_LD_UNSEEN)) {
		return;
	} else if ((compare = nst_load_relaxed(&nst_ld.tables->class[new->class].compare)) !=
		   NULL) { /* as stored */
		if (compare(e->lock, new->lock) >= 0)
			nst_ld_report(t, NST_NL_NEST, NST_LD_ERROR, new->class, new->lock, new->ip,
				      "against the order of its class, taken at");
	} else if (!((new->how &NST_LD_READ) && (new->how &NST_LD_RECURSIVE) &&
		     (e->how & NST_LD_READ))) {
		nst_ld_report(t, NST_NL_NEST, NST_LD_POSSIBLE, new->class, new->lock, new->ip,
			      "taken at");
	}
}

/* All that @new being waited for or tried means, before it is there. 0: each time there is something to look at. */
static inline int judge(struct nst_ld_thread *t, const struct nst_ld_held *new, u32 outer)
{
	const int waits = !(new->how &(NST_LD_TRY | NST_LD_TIMED)) || TRIES_WAIT;
	const u64 open = NST_LD_OPEN(t);
	u32 i, nr = 0;
	int same = 0;
	u64 key = 0;

	for (i = 0; i < nst_ld_nr(t); i++) {
		const struct nst_ld_held *e = &t->held[i];

		if (!nst_ld_is_held(e))
			continue;
		if (waits && e->class == new->class) {
			same = 1;
			judge_same(t, e, new);
		}
		if (nst_unlikely(i < t->level))
			continue;
		key = nst_ld_chain_step(key, e);
		nr++;
	}
	if (!(new->how &NST_LD_TRY))
		judge_wait(t, outer, new->how, new->class, new->lock, new->ip);
	if ((waits && nr) || nst_unlikely(open)) {
		key = nst_ld_chain_step(key, new);
		if (nst_unlikely(!nst_ld_chain_is_known(nst_ld_key_open(key, waits, open), t->tag)))
			nst_ld_chain_add(t, key, new, waits, open);
	}
	return !same;
}

void nst_ld_judge(struct nst_ld_thread *t, const struct nst_ld_held *new, u32 outer)
{
	judge(t, new, outer);
}

void nst_ld_judge_sleep(struct nst_ld_thread *t, const void *ip)
{
	judge_wait(t, NST_WAIT_SLEEP, 0, 0, NULL, ip);
}

/* ---- users' locks ---- */

static inline u32 class_for(struct nst_lockdep_map *map, u32 how)
{
	return nst_ld_class_of(map, (map->subclass + (how >> 8)) % NST_LD_SUBCLASSES);
}

/* Who lets go of it without having taken it is told. */
static inline int was_taken(const struct nst_ld_thread *t, const struct nst_lockdep_map *map)
{
	return nst_load_relaxed(&map->seen) ==
	       t->generation; /* relaxed: of one's own lock, mostly */
}

/* Of @map's class and types, and since when they are known: what is of an epoch before is found in no table. */
static void make_ready(struct nst_lockdep_map *map)
{
	const u32 epoch = nst_load_relaxed(&nst_lockdep_is_on); /* seen soon */
	const u64 types = map->inner | (u64)map->outer << 8 | (u64)map->flags << 16;
	const u64 class = nst_mix64((uintptr_t)nst_ld_key_of(map, map->subclass));
	const u64 word = nst_mix64(class + (types | (u64)epoch << 32));

	if (nst_load_relaxed(&map->word) != word)
		nst_store_relaxed(&map->word, word); /* whoever reads it: one number */
}

/* A place that nobody took @class at yet, or each is wanted: with its callers. */
static NST_NOINLINE const void *placed_first(struct nst_ld_thread *t, u32 class, const void *ip,
					     u32 stacks)
{
	const void *place = stacks == NST_LD_STACKS_NEW ? nst_ld_place_find(class, ip) : NULL;
	struct nst_ld_entered in;

	if (place)
		return place;
	in = nst_ld_enter(t);
	place = stacks == NST_LD_STACKS_ALL ? nst_ld_stack_here(ip) : nst_ld_place_new(class, ip);
	nst_ld_leave(in);
	return place;
}

static inline const void *placed(struct nst_ld_thread *t, u32 class, const void *ip)
{
	const u32 stacks = nst_load_relaxed(&nst_ld.stacks); /* a choice, seen soon */

	return stacks == NST_LD_STACKS_OFF ? ip : placed_first(t, class, ip, stacks);
}

/* The number of its class, now that it is taken. */
static inline u32 class_taken(struct nst_ld_thread *t, struct nst_lockdep_map *map, u32 how)
{
	u32 class = class_for(map, how);

	if (!class)
		return 0;
	nst_store_relaxed(&map->seen, t->generation); /* relaxed: of one's own lock, mostly */
	if (!(map->flags & ~NST_LD_RECURSES))
		make_ready(map);
	return class;
}

static inline struct nst_ld_held entry_of(const struct nst_lockdep_map *map, u32 class, u32 how,
					  const void *ip)
{
	if (map->flags & NST_LD_RECURSES)
		how |= NST_LD_RECURSIVE;
	return (struct nst_ld_held){
		.lock = map,
		.ip = ip,
		.class = (u16) class,
		.how = (u8)(how & NST_LD_KEPT & ~NST_LD_OWN),
		.inner = map->inner,
		.override = map->flags & NST_LD_OVERRIDE,
	};
}

/* Who is interrupted may be looking at what is known, or be writing it. */
static int is_amid(const struct nst_ld_thread *t, u32 nr)
{
	u32 i;

	for (i = 0; i < nr; i++)
		if (!t->held[i].lock)
			return !OBLIVIOUS;
	return t->remembering && !OBLIVIOUS;
}

/* @e was right, and is so whenever all that its tag is made of is the same: nst_lockdep_acquire_short(). */
static void remember(struct nst_ld_thread *t, const struct nst_ld_held *e, u32 epoch, u64 word,
		     u32 outer, u32 how, const void *at)
{
	const u32 i = (u32)(e - t->held), limit = i ? t->held[i - 1].limit : NOTHING_HELD;
	const u64 key = i ? t->held[i - 1].key : 0;
	const u64 tag = nst_lockdep_tag(key, seed_of(t, epoch), word, how, at);
	struct nst_lockdep_taken *known = &t->known[tag % NST_LD_TAKEN];

	/* The last, behind no hole, and not of a handler. */
	if (!word || i + 1 != nst_ld_nr(t) || i >= NST_LD_SHORT || t->handlers ||
	    (i && t->held[i - 1].lock == NST_LD_HOLE) || is_amid(t, i) ||
	    (!(how & NST_LD_TRY) && outer > limit))
		return;
	nst_store_relaxed(&t->remembering,
			  1u); /* relaxed, all of them: for handlers of this thread */
	nst_store_relaxed(&known->tag, (u64)0);
	nst_barrier();
	known->kept = (struct nst_lockdep_kept){e->ip, e->key, e->word};
	nst_barrier();
	nst_store_relaxed(&known->tag, tag);
	nst_barrier();
	nst_store_relaxed(&t->remembering, 0u);
}

void nst_lockdep_acquire_on(struct nst_lockdep_map *map, uint32_t how, const void *at)
{
	const void *ip = __builtin_return_address(0);
	const u32 epoch =
		nst_load_relaxed(&nst_lockdep_is_on); /* if it ends meanwhile nobody finds it */
	struct nst_ld_thread *t = this_thread();
	const u32 class = t ? class_taken(t, map, how) : 0;
	struct nst_ld_held new, *e;
	int right = 0;
	u64 word;

	if (!class)
		return;
	word = nst_load_relaxed(&map->word); /* as just stored, mostly */
	if (nst_unlikely(map->flags & NST_LD_GONE))
		nst_ld_judge_gone(t, map, class, how, ip);
	new = entry_of(map, class, how, placed(t, class, ip));
	if (nst_unlikely(map->flags & UNORDERED))
		new.how |= NST_LD_UNSEEN;
	else
		right = judge(t, &new, map->outer);
	e = push(t, &new);
	if (e && right && at)
		remember(t, e, epoch, word, map->outer, how, at);
	open_fast(t);
}

void nst_lockdep_acquire_nest_on(struct nst_lockdep_map *map, uint32_t how,
				 const struct nst_lockdep_map *nest)
{
	struct nst_ld_thread *t = this_thread();
	const void *ip = __builtin_return_address(0);
	const u32 class = t ? class_taken(t, map, how) : 0;
	struct nst_ld_held new;

	if (!class)
		return;
	new = entry_of(map, class, how, placed(t, class, ip));
	if (!find(t, nest))
		nst_ld_report(t, NST_NL_HELD, NST_LD_ERROR, nest->class_of[nest->subclass], nest,
			      new.ip, "it must be held at");
	else
		new.how |= NST_LD_NESTED_IN;
	judge(t, &new, map->outer);
	push(t, &new);
}

int nst_ld_cannot_sleep(const struct nst_ld_thread *t)
{
	const struct nst_ld_held *by;

	return limit_of(t, &by) != NST_WAIT_SLEEP || t->handlers || t->depth[NST_SECTION_NONBLOCK];
}

void nst_cant_sleep_on(void)
{
	struct nst_ld_thread *t = this_thread();

	if (t && !nst_ld_cannot_sleep(t))
		nst_ld_report(t, NST_NL_HELD, NST_LD_ERROR, 0, NULL, __builtin_return_address(0),
			      "nothing forbids to sleep at");
}

void nst_lockdep_release_on(struct nst_lockdep_map *map)
{
	const void *ip = __builtin_return_address(0);
	struct nst_ld_thread *t = this_thread();
	struct nst_ld_held *e;

	if (!t)
		return;
	e = find(t, map);
	if (e && e->pins)
		nst_ld_report(t, NST_NL_PIN, NST_LD_ERROR, e->class, map, ip, "let go at");
	if (e && is_held_long(t, e))
		nst_ld_report_place(t, NST_NL_LONG, NST_LD_ERROR, e->class, map, nst_ld_place_of(e),
				    "taken at");
	if (e)
		pop(t, e);
	else if (was_taken(t, map))
		nst_ld_report(t, NST_NL_UNLOCK, NST_LD_ERROR, nst_ld_class_of(map, map->subclass),
			      map, ip, "let go at");
}

void nst_lockdep_might_on(struct nst_lockdep_map *map, uint32_t how)
{
	struct nst_ld_thread *t = this_thread();
	u32 class = t ? class_for(map, how) : 0;

	if (class) {
		const struct nst_ld_held new =
			entry_of(map, class, how, __builtin_return_address(0));

		judge(t, &new, map->outer);
	}
}

void nst_lockdep_downgrade_on(struct nst_lockdep_map *map)
{
	struct nst_ld_thread *t = this_thread();
	struct nst_ld_held *e = t ? find(t, map) : NULL;

	if (e) {
		e->how |= NST_LD_READ;
		chain_again(t, t->level);
	} else if (t && was_taken(t, map))
		nst_ld_report(t, NST_NL_UNLOCK, NST_LD_ERROR, nst_ld_class_of(map, map->subclass),
			      map, __builtin_return_address(0), "downgraded at");
}

static int any_held(const struct nst_ld_thread *t)
{
	u32 i;

	for (i = 0; i < nst_ld_nr(t); i++)
		if (nst_ld_is_held(&t->held[i]) &&
		    !(t->held[i].how & (NST_LD_OWN | NST_LD_CONTEXT)))
			return 1;
	return 0;
}

static int is_so(struct nst_ld_thread *t, const struct nst_lockdep_map *map,
		 enum nst_lockdep_held what)
{
	const struct nst_ld_held *e = map ? find(t, map) : NULL;

	if (!map)
		return what == NST_LD_NOT_HELD && !any_held(t);
	switch (what) {
	case NST_LD_HELD:
		return e != NULL;
	case NST_LD_NOT_HELD:
		return e == NULL;
	case NST_LD_HELD_READ:
		return e && e->how & NST_LD_READ;
	default:
		return e && !(e->how & NST_LD_READ);
	}
}

void nst_lockdep_assert_on(const struct nst_lockdep_map *map, enum nst_lockdep_held what)
{
	static const char *const asserted[] = {"it must be held at", "it must not be held at",
					       "a reader must hold it at",
					       "a writer must hold it at"};
	struct nst_ld_thread *t = this_thread();

	if (t && !is_so(t, map, what))
		nst_ld_report(t, NST_NL_HELD, NST_LD_ERROR, map ? map->class_of[map->subclass] : 0,
			      map, __builtin_return_address(0), asserted[what]);
}

void nst_lockdep_pin_on(const struct nst_lockdep_map *map, int by)
{
	struct nst_ld_thread *t = this_thread();
	struct nst_ld_held *e = t ? find(t, map) : NULL;

	if (!t)
		return;
	if (!e || (by < 0 && !e->pins))
		nst_ld_report(t, NST_NL_PIN, NST_LD_ERROR, map->class_of[map->subclass], map,
			      __builtin_return_address(0), by < 0 ? "unpinned at" : "pinned at");
	else {
		close_fast(t);
		e->pins = (u16)(e->pins + (u32)by);
		t->pinned += (u32)by;
		open_fast(t);
	}
}

static void report_if_held(const struct nst_lockdep_map *map, const void *ip, const char *why)
{
	struct nst_ld_thread *t = nst_thread.lockdep;
	const struct nst_ld_held *e =
		t && !t->busy && t->generation == nst_ld.generation ? find(t, map) : NULL;

	if (e)
		nst_ld_report(t, NST_NL_INIT, NST_LD_ERROR, e->class, map, ip, why);
}

void nst_lockdep_map_init(struct nst_lockdep_map *map, const char *name,
			  const struct nst_lockdep_key *key, enum nst_wait_type outer,
			  enum nst_wait_type inner)
{
	if (nst_load_relaxed(&nst_lockdep_is_on)) /* relaxed: on or off, now or soon */
		report_if_held(map, __builtin_return_address(0), "initialised at");
	*map = (struct nst_lockdep_map){.key = key,
					.name = name,
					.outer = (uint8_t)outer,
					.inner = (uint8_t)inner,
					.site = __builtin_return_address(0)};
}

void nst_lockdep_map_destroy(struct nst_lockdep_map *map)
{
	struct nst_ld_thread *t =
		nst_load_relaxed(&nst_lockdep_is_on) ? this_thread() : NULL; /* as above */
	struct nst_ld_held *e;

	if (!t)
		return;
	report_if_held(map, __builtin_return_address(0), "destroyed at");
	while ((e = find(t, map)) != NULL)
		pop(t, e);
	if (was_taken(t, map)) {
		struct nst_ld_entered in = nst_ld_enter(t);

		nst_ld_forget_lock(map);
		nst_ld_leave(in);
	}
	map->seen = 0;
	map->word = 0;
}

void nst_lockdep_set_class(struct nst_lockdep_map *map, const char *name,
			   const struct nst_lockdep_key *key, unsigned int subclass)
{
	struct nst_ld_thread *t =
		nst_load_relaxed(&nst_lockdep_is_on) ? this_thread() : NULL; /* as above */
	struct nst_ld_held *e = t ? find(t, map) : NULL;
	u32 i;

	map->key = key;
	map->name = name ? name : map->name;
	map->subclass = (uint8_t)(subclass % NST_LD_SUBCLASSES);
	for (i = 0; i < NST_LD_SUBCLASSES; i++)
		map->class_of[i] = 0;
	map->word = 0;
	if (e) {
		e->class = (u16)nst_ld_class_of(map, map->subclass);
		chain_again(t, t->level);
	}
}

/* ---- sections ---- */

/* Switches that the thread itself made, and page faults: the kernel counts them. One section may be in the other. */
static void begin_measuring(struct nst_ld_thread *t, enum nst_section section, int measured)
{
	struct nst_sys_usage now;

	nst_sys_usage(&now);
	if (!measured || section == NST_SECTION_NONBLOCK)
		t->since.switches = now.switches;
	if (!measured || section == NST_SECTION_NOFAULT)
		t->since.faults = now.faults;
}

static void outermost_begins(struct nst_ld_thread *t, enum nst_section section)
{
	const int measured = nst_ld_is_measured(t);

	if (section == NST_SECTION_NOFAULT)
		nst_ld_make_resident(t);
	if (section == NST_SECTION_ALLOW && measured)
		nst_sys_usage(&t->allowed);
	if (section == NST_SECTION_NONBLOCK || section == NST_SECTION_NOFAULT)
		begin_measuring(t, section, measured);
}

static void section_begins(struct nst_ld_thread *t, enum nst_section section, const void *ip)
{
	if (!t->depth[section]) {
		t->from[section] = ip;
		outermost_begins(t, section);
	}
	nst_barrier();
	t->depth[section]++;
	if (section == NST_SECTION_NONBLOCK)
		close_fast(t);
}

void nst_section_begin_on(enum nst_section section, const char *reason)
{
	struct nst_ld_thread *t = this_thread();

	if (!t)
		return;
	if (section == NST_SECTION_ALLOW)
		t->reason = reason;
	section_begins(t, section, __builtin_return_address(0));
}

/* Does the option check_realtime speak of this thread? */
static int is_meant(const char *who)
{
	char name[16];

	if (nst_ld_name_matches("policy", who))
		return nst_sys_is_realtime();
	nst_sys_thread_name(name);
	return nst_ld_name_matches(who, name);
}

void nst_ld_thread_begins(struct nst_ld_thread *t)
{
	const char *who = nst_option_check_realtime();

	if (!*who || BLIND_TO_REALTIME || !is_meant(who))
		return;
	section_begins(t, NST_SECTION_NONBLOCK, NULL);
	section_begins(t, NST_SECTION_NOALLOC, NULL);
}

/* What the section of @t that ends here is measured by, and must not have done. */
static void outermost_ends(struct nst_ld_thread *t, enum nst_section section, const void *ip)
{
	struct nst_sys_usage now;

	if (section == NST_SECTION_ALLOW && nst_ld_is_measured(t))
		nst_ld_measure_less(t, &t->allowed);
	if ((section != NST_SECTION_NONBLOCK && section != NST_SECTION_NOFAULT) ||
	    t->depth[NST_SECTION_ALLOW])
		return;
	nst_sys_usage(&now);
	if (section == NST_SECTION_NONBLOCK && now.switches > t->since.switches && !NO_SWITCHES)
		nst_ld_report(t, NST_NL_SLEPT, NST_LD_ERROR, 0, NULL, ip, "its end is at");
	if (section == NST_SECTION_NOFAULT && now.faults > t->since.faults && !NO_FAULTS)
		nst_ld_report(t, NST_NL_FAULT, NST_LD_ERROR, 0, NULL, ip, "its end is at");
}

enum nst_lockdep_level nst_ld_level_of_unseen(void)
{
	return nst_ld.from_start &&
			       nst_load_relaxed(&nst_ld.generation) == 1 /* on or off, seen soon */
		       ? NST_LD_ERROR
		       : NST_LD_POSSIBLE;
}

void nst_ld_end_alone(struct nst_ld_thread *t, const void *ip)
{
	nst_ld_report(t, NST_NL_SECTION, nst_ld_level_of_unseen(), 0, NULL, ip, "its end is at");
}

void nst_section_end_on(enum nst_section section)
{
	struct nst_ld_thread *t = this_thread();

	if (!t)
		return;
	if (t->depth[section] == 1)
		outermost_ends(t, section, __builtin_return_address(0));
	if (t->depth[section])
		t->depth[section]--;
	else
		nst_ld_end_alone(t, __builtin_return_address(0));
}

void nst_might_sleep_on(void)
{
	struct nst_ld_thread *t = this_thread();

	if (!t)
		return;
	judge_wait(t, NST_WAIT_SLEEP, 0, 0, NULL, __builtin_return_address(0));
	nst_ld_judge_reader(t, __builtin_return_address(0));
}

/* ---- requests ---- */

/* What a mode may wait for. */
static u32 need_of(nst_mode_t mode)
{
	if (mode & (NST_NOLOCK | NST_FASTTRY))
		return NST_WAIT_NONE;
	return mode & (NST_NOWAIT | NST_ATOMIC) ? NST_WAIT_CONFIG : NST_WAIT_SLEEP;
}

static void judge_request(struct nst_ld_thread *t, nst_mode_t mode, const void *ip)
{
	u32 need = need_of(mode);

	if (!need || t->depth[NST_SECTION_ALLOW])
		return;
	if (t->handlers) {
		nst_ld_report(t, NST_NL_HANDLER, NST_LD_ERROR, 0, NULL, ip, "asks for memory at");
		return;
	}
	if (t->depth[NST_SECTION_NOALLOC])
		nst_ld_report(t, NST_NL_ALLOC, NST_LD_ERROR, 0, NULL, ip, "asks for memory at");
	else
		judge_wait(t, need, 0, 0, NULL, ip);
	nst_ld_judge_reclaim(t, mode, ip);
}

/* As nst_mode_in_scope() has it, which is above this floor. */
static nst_mode_t in_scopes(nst_mode_t mode)
{
	const u32 scopes = nst_thread.scopes;

	if (scopes & NST_SCOPE_NOLOCK)
		return NST_NOLOCK;
	if (scopes & NST_SCOPE_NORECLAIM && mode & (NST_NORMAL | NST_NORETRY | NST_NOFAIL))
		return NST_NOWAIT;
	return mode | (scopes & NST_SCOPE_NOIO ? NST_NOIO : 0) |
	       (scopes & NST_SCOPE_NOCLIENT ? NST_NOCLIENT : 0);
}

void nst_might_alloc_on(nst_mode_t mode)
{
	struct nst_ld_thread *t = this_thread();

	if (t)
		judge_request(t, in_scopes(mode), __builtin_return_address(0));
}

/* A thread that holds nothing and is in no section has no block, and needs none. */
static struct nst_ld_thread *block_if_any(void)
{
	struct nst_ld_thread *t = nst_thread.lockdep;

	if (t && (t->busy || t->generation != nst_load_relaxed(&nst_ld.generation))) /* as above */
		return NULL;
	return t;
}

/* An ordinary free may take short locks, even if this CPU has room for what is freed. */
static void own_freeing(const void *site)
{
	struct nst_ld_thread *t = block_if_any();

	if (!t || t->depth[NST_SECTION_ALLOW])
		return;
	if (t->handlers)
		nst_ld_report(t, NST_NL_HANDLER, NST_LD_ERROR, 0, NULL, site, "frees memory at");
	else
		judge_wait(t, NST_WAIT_CONFIG, 0, 0, NULL, site);
}

static void own_allocation(u32 mode, const void *site)
{
	struct nst_ld_thread *t = block_if_any();

	if (t)
		judge_request(t, mode, site);
	if (mode & NST_NOLOCK)
		nst_ld_no_lock(t, site);
}

/* ---- the library's own locks ---- */

static void own_acquire(const struct nst_lock *l, enum nst_lockdep_own how, const void *ip)
{
	static const u8 as[] = {0, NST_LD_TRY, NST_LD_TRY | NST_LD_TIMED};
	struct nst_ld_thread *t = this_thread();
	struct nst_ld_held new;
	const struct nst_ld_class *c;

	if (!t)
		return;
	new = (struct nst_ld_held){.lock = l,
				   .ip = ip,
				   .class = (u16)nst_ld_own_class(l),
				   .how = (u8)(as[how] | NST_LD_OWN)};
	c = &nst_ld.tables->class[new.class];
	new.inner = c->inner;
	judge(t, &new, c->outer);
	push(t, &new);
}

/* Held before the validator was on, or lost in a fork: nothing. */
static void own_release(const struct nst_lock *l, const void *ip)
{
	struct nst_ld_thread *t = this_thread();
	struct nst_ld_held *e = t ? find(t, l) : NULL;

	(void)ip;
	if (e)
		pop(t, e);
}

const struct nst_lockdep_ops nst_ld_ops = {
	.acquire = own_acquire,
	.release = own_release,
	.allocation = own_allocation,
	.freeing = own_freeing,
	.freed = nst_ld_own_freed,
	.twice = nst_ld_own_twice,
	.forked = nst_ld_own_forked,
	.reclaim = nst_ld_own_reclaim,
	.section = nst_ld_own_section,
	.wait = nst_ld_own_wait,
	.watch = nst_ld_watch,
};
