/* SPDX-License-Identifier: MIT */
/*
 * pressure.c - memory is short elsewhere: what is idle here goes back, and growth keeps within the control group's limit.
 *
 *	pressure	sys/pressure.c, asked in passes, 50 ms apart; a growing request that finds the group nearly full
 *	relief		passes that drain lists and have waiting memory pressed, each gives a bounded number of blocks
 *			back; shrinkers are asked for a quarter, and for twice as much each time it goes on
 *
 *	limit		limit of the group - margin - what others take - what we have and did not touch = room
 *	quota		pages that may be ready before somebody looks again: what there is, and a quarter of the room, at
 *			most half of the margin
 *
 * The nearer the limit, the shorter the steps: processes of a group that grow at a time share what is left, and what else
 * takes memory is seen. So a request gets NULL where the kernel would end a process. Who is refused asks for relief.
 *
 * The margin, a sixteenth of the limit, 4 to 256 MiB, is for descriptors, page tables, text, stacks.
 *
 * Fork: the child watches anew, files of its own. Lock order: nst_group_lock before a zone's grow, reads files under it.
 */
#define NST_NO_MACROS
#include "reclaim.h"

#define FIRST_NS 50000000ull   /* a process that lives shorter watches nothing */
#define LOOK_NS 50000000ull    /* (tune) */
#define REST_NS 1000000000ull  /* (tune) from the beginning of a relief to the next */
#define LONG_NS 10000000000ull /* in which a second one means that the first was not enough */
#define PASSES 16u	       /* (tune) of a relief, after the last that gave something back */
#define DRAIN_EACH 4u
#define DRAINS_END 12u
#define MOST_NS 500000000ull /* (tune) of a relief: who is busy always has something to give back */
#define FIRST_PRIORITY 2u
#define REFUSED_NS 1000000ull /* (tune) from a look that found no room to the next */

#define LEAST_MARGIN ((u64)4 << 20)
#define MOST_MARGIN ((u64)256 << 20)

struct nst_lock nst_group_lock = {.lock_class = NST_LOCK_META, .subclass = 2};
u64 nst_group_quota = ~0ull;
u64 nst_given_back;

static struct {
	/* by lock: */
	u64 limit, used; /* bytes, as last looked */
	u64 elsewhere;	 /* anonymous bytes that were not from here, at the start */
	u64 refused_at;	 /* ns: there was no room */
	u32 inherited;	 /* of a fork: some of its files are the parent's */
	u32 full;	 /* a hint: it was found nearly full */
} group;

/* By who has the pass. */
static struct {
	u32 open; /* what is watched is known */
	u32 inherited;
	u32 what, error; /* a set of sources; why the first of them cannot be watched */
	u32 waiting;	 /* something fired, and the last relief was a moment ago */
	u32 left, nr;	 /* passes of this relief that are to come, and that were */
	u32 priority;
	u64 looked_at, begun_at;
	u64 given_back; /* nst_given_back, before the pass */
} press;

/* ---- the limit ---- */

static u64 bytes_here(void)
{
	unsigned int i;
	u64 bytes = nst_meta_bytes();

	bytes += nst_load_relaxed(&nst_resident_pages) << NST_PAGE_SHIFT; /* a counter */
	for (i = 0; i < nst_sys_cpus.nr_nodes; i++)
		bytes += (u64)nst_hint(&nst_zones[i].kept) * NST_BLOCK_BYTES;
	return bytes;
}

static u64 margin(u64 limit)
{
	return nst_min(nst_max(limit / 16, LEAST_MARGIN), MOST_MARGIN);
}

/* Bytes that may still be taken. What we have and nobody touched will be. */
static u64 room_of(const struct nst_sys_group *g)
{
	u64 here = bytes_here();
	u64 touched = g->anonymous - nst_min(g->anonymous, group.elsewhere);
	u64 taken = g->used + here - nst_min(here, touched) + margin(g->limit);

	return g->limit - nst_min(g->limit, taken);
}

/* Who is not run for long has its quota still when others have used the room up: the margin must bear it. */
static void set_quota(u64 room, u64 limit, u64 pages)
{
	u64 resident = nst_load_relaxed(&nst_resident_pages); /* a counter */
	u64 most = room >> NST_PAGE_SHIFT;
	u64 part = nst_min(most / 4, margin(limit) / 2 >> NST_PAGE_SHIFT);

	nst_hint_set(&nst_group_quota, resident + nst_max(nst_min(pages, most), part));
}

static void no_limit(void)
{
	group.limit = 0;
	nst_hint_set(&nst_group_quota, ~0ull);
}

/* Blocks that were laid by for the next mappings go first. 1 if there were any. */
static int let_kept_go(void)
{
	unsigned int i, n = 0;

	for (i = 0; i < nst_sys_cpus.nr_nodes; i++)
		n |= nst_large_age(&nst_zones[i], 1);
	return n != 0;
}

/* Locks: needs nst_group_lock. */
static void look_locked(u64 pages)
{
	struct nst_sys_group g;
	u64 room;

	if (group.inherited) {
		group.inherited = 0;
		nst_sys_group_after_fork();
	}
	if (nst_sys_group_read(&g) && (!nst_sys_group_find() || nst_sys_group_read(&g))) {
		no_limit();
		return;
	}
	room = room_of(&g);
	nst_hint_set(&group.limit, g.limit);
	nst_hint_set(&group.used, g.used);
	set_quota(room, g.limit, pages);
	group.refused_at = room >> NST_PAGE_SHIFT < pages ? nst_sys_now_ns() : 0;
	if (g.used / 100 >= g.limit / 10000 * nst_option(NST_OPT_pressure_at) || group.refused_at)
		nst_hint_set(&group.full, 1u);
}

#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 34 /* the limit is ignored */
void nst_group_look(u64 pages)
{
	(void)pages;
	(void)look_locked;
	(void)let_kept_go;
	no_limit();
}
#else
/* 1 and it was looked, unless somebody else has a moment ago. */
static int look_once(u64 pages)
{
	int due;

	nst_lock_wait(&nst_group_lock);
	due = !group.refused_at || nst_sys_now_ns() - group.refused_at >= REFUSED_NS;
	if (due && !nst_group_has(pages))
		look_locked(pages);
	nst_unlock(&nst_group_lock);
	return due;
}

void nst_group_look(u64 pages)
{
	if (!look_once(pages) || nst_group_has(pages) || !let_kept_go())
		return;
	nst_lock_wait(&nst_group_lock);
	look_locked(pages);
	nst_unlock(&nst_group_lock);
}
#endif

/* They are resident as before, and no request's. relaxed: the next look counts them. */
void nst_group_keep(u64 pages)
{
	if (nst_hint(&nst_group_quota) != ~0ull)
		nst_sub_relaxed(&nst_group_quota, nst_min(pages, nst_hint(&nst_group_quota)));
}

/* Whatever it was: it may have another one now. */
static void find_again(void)
{
	struct nst_sys_group g;

	if (!nst_option(NST_OPT_cgroup))
		return;
	nst_lock_wait(&nst_group_lock);
	nst_sys_group_find();
	if (nst_sys_group_read(&g) == 0)
		look_locked(0);
	else
		no_limit();
	nst_unlock(&nst_group_lock);
}

void nst_group_init(void)
{
	struct nst_sys_group g;

	if (!nst_option(NST_OPT_cgroup))
		return;
	nst_sys_group_find();
	if (nst_sys_group_read(&g))
		return;
	group.limit = g.limit;
	group.elsewhere = g.anonymous;
	nst_hint_set(&nst_group_quota, 0ull);
}

u64 nst_group_limit(void)
{
	return nst_hint(&group.limit);
}

size_t nst_group_text(char *buf, size_t len)
{
	size_t n;

	if (!nst_option(NST_OPT_cgroup))
		return nst_format(buf, len, "off");
	if (!nst_group_limit())
		return nst_format(buf, len, "none");
	nst_lock_wait(&nst_group_lock); /* it may be found anew */
	n = nst_format(buf, len, "%llu of cgroup v%d %s", (unsigned long long)group.limit,
		       nst_sys_group_version(), nst_sys_group_dir(1));
	nst_unlock(&nst_group_lock);
	return n;
}

/* ---- pressure ---- */

static void say_given(void)
{
	if (*nst_option_pressure_path())
		nst_warn(
			"option pressure:%s: it cannot be watched (error %d); allowed: a pressure file of the "
			"kernel's, or a FIFO",
			nst_option_pressure_path(), -nst_sys_pressure_error());
}

static void watch(void)
{
	u64 at = nst_hint(&group.limit) / 100 * nst_option(NST_OPT_pressure_at);
	unsigned int what;

	if (press.inherited) {
		press.inherited = 0;
		nst_sys_pressure_close();
	}
	if (!nst_sys_group_version()) /* cgroup:off */
		nst_sys_group_find();
	what = nst_sys_pressure_open(nst_option_pressure_path(),
				     (u32)nst_option(NST_OPT_pressure_stall) * 1000, at);
	if (!what)
		say_given();
	nst_hint_set(&press.what, what);
	nst_hint_set(&press.error, (u32)-nst_sys_pressure_error());
	/* Pairs with: nst_load_acquire() in nst_pressure_text(). */
	nst_store_release(&press.open, 1u);
}

static unsigned int fired(u64 ns)
{
	unsigned int what = nst_sys_pressure_poll(ns), i;

	if (nst_exchange_relaxed(&group.full, 0u)) /* a hint */
		what |= 1u << NST_PRESSURE_LIMIT;
	for (i = 0; i < NST_NR_PRESSURES; i++)
		if (what & 1u << i)
			nst_count(NST_COUNT_PRESSURE + i, 1);
	return what;
}

#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 34 /* it is seen, and no more */
static void begin_relief(u64 ns)
{
	press.begun_at = ns;
	press.waiting = 0;
	(void)find_again;
}
#else
static void begin_relief(u64 ns)
{
	int again = press.begun_at && ns - press.begun_at < LONG_NS;

	press.priority = again ? press.priority - (press.priority != 0) : FIRST_PRIORITY;
	press.begun_at = ns;
	press.waiting = 0;
	press.left = PASSES;
	press.nr = 0;
	find_again();
	nst_count(NST_COUNT_PRESSURE_RELIEF, 1);
	nst_reclaim_press(press.priority);
}
#endif

static void look(u64 ns, int now)
{
	if (!press.open && (now || ns - nst_sys_start_ns() >= FIRST_NS))
		watch();
	if (!press.open || (!now && ns - press.looked_at < LOOK_NS))
		return;
	press.looked_at = ns;
	if (fired(ns))
		press.waiting = 1;
	if (press.waiting && (!press.begun_at || ns - press.begun_at >= REST_NS))
		begin_relief(ns);
}

unsigned int nst_pressure_pass(u64 ns, int now)
{
	if (nst_option(NST_OPT_pressure) == NST_PRESSURE_OFF)
		return 0;
	look(ns, now);
	if (press.left && ns - press.begun_at > MOST_NS)
		press.left = 0;
	if (!press.left)
		return 0;
	press.given_back = nst_load_relaxed(&nst_given_back); /* a counter */
	press.left--;
	return press.nr < DRAINS_END && press.nr++ % DRAIN_EACH == 0
		       ? NST_PASS_PRESSED | NST_PASS_DRAIN
		       : NST_PASS_PRESSED;
}

int nst_pressure_pass_end(void)
{
	u64 pages = nst_load_relaxed(&nst_given_back) - press.given_back; /* a counter */

	if (pages) {
		nst_count(NST_COUNT_PRESSURE_BYTES, pages << NST_PAGE_SHIFT);
		press.left = PASSES;
	}
	return press.left != 0;
}

void nst_pressure_after_fork(void)
{
	group.inherited = 1;
	press.inherited |= press.open;
	press.open = press.left = press.waiting = 0;
	press.begun_at = press.looked_at = 0;
}

size_t nst_pressure_text(char *buf, size_t len)
{
	if (nst_option(NST_OPT_pressure) == NST_PRESSURE_OFF)
		return nst_format(buf, len, "off");
	/* Pairs with: nst_store_release() in watch(). */
	if (!nst_load_acquire(&press.open))
		return nst_format(buf, len, "not yet");
	return nst_sys_pressure_text(buf, len);
}

void nst_pressure_fill(struct nst_pressure_stats *s)
{
	int open = nst_load_relaxed(&press.open) != 0; /* a state to show */

	s->watched = open ? nst_hint(&press.what) : 0;
	s->limit_bytes = nst_hint(&group.limit);
	s->used_bytes = nst_hint(&group.used);
	s->error = open ? nst_hint(&press.error) : 0;
}
