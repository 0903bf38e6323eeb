/* SPDX-License-Identifier: MIT */
/*
 * class.c - lock classes and their keys: a key's address, or a static lock's own, and one of 8 subclasses.
 *
 *	key + subclass -> class_slot[], open addressing -> class[number]; a map keeps the numbers of its own
 *
 * A class once there stays, with name and wait types of the lock that was first. Readers take no lock: a slot is
 * stored after all that it leads to.
 */
#include "engine.h"

static u32 slot_of(const char *key)
{
	return (u32)nst_mix64((u64)(uintptr_t)key) % NST_LD_CLASS_SLOTS;
}

/* 0: not there; *@slot is where it belongs. */
static u32 look_up(const char *key, u32 *slot)
{
	const struct nst_ld_tables *tb = nst_ld.tables;
	u32 i, n;

	for (i = slot_of(key);; i = (i + 1) % NST_LD_CLASS_SLOTS) {
		/* Pairs with: nst_store_release() in add(). */
		n = nst_load_acquire(&tb->class_slot[i]);
		if (!n || tb->class[n].key == key)
			break;
	}
	*slot = i;
	return n;
}

static void name_it(struct nst_ld_class *c, const char *name, u32 subclass)
{
	if (subclass)
		nst_format(c->name, sizeof(c->name), "%s/%u", name ? name : "?", subclass);
	else
		nst_format(c->name, sizeof(c->name), "%s", name ? name : "?");
}

/* Needs: entered. */
static u32 add(const char *key, const char *name, u32 subclass, u32 outer, u32 inner)
{
	struct nst_ld_class *c;
	u32 slot, n = look_up(key, &slot);

	if (n)
		return n;
	if (nst_ld.nr_classes + 1 >= NST_LD_CLASSES) {
		nst_ld_full(NST_LD_FULL_CLASSES);
		return 0;
	}
	n = nst_ld.nr_classes + 1;
	nst_store_relaxed(&nst_ld.nr_classes, n); /* a counter */
	c = &nst_ld.tables->class[n];
	c->key = key;
	c->outer = (u8)outer;
	c->inner = (u8)inner;
	c->subclass = (u8)subclass;
	name_it(c, name, subclass);
	/* Pairs with: nst_load_acquire() in look_up(). */
	nst_store_release(&nst_ld.tables->class_slot[slot], (u16)n);
	return n;
}

u32 nst_ld_class_find(struct nst_lockdep_map *map, u32 subclass)
{
	const char *key = nst_ld_key_of(map, subclass);
	u32 slot, n = look_up(key, &slot);
	struct nst_ld_entered in;

	if (!n) {
		in = nst_ld_enter(nst_thread.lockdep);
		n = add(key, map->name, subclass, map->outer, map->inner);
		nst_ld_leave(in);
	}
	/* Pairs with: nst_load_acquire() in nst_ld_class_of(). */
	nst_store_release(&map->class_of[subclass], (u16)n);
	return n;
}

/* ---- the library's own ---- */

/* Made first, so that the number follows from the lock. */
u32 nst_ld_own_class(const struct nst_lock *l)
{
	return 1 + l->lock_class * NST_LD_SUBCLASSES + l->subclass % NST_LD_SUBCLASSES;
}

static const char *const own_names[NST_NR_LOCKS] = {
#define NAME(name, ...) "nostall-" #name,
	NST_LOCK_TABLE(NAME)
#undef NAME
};

/* Under these metadata may grow and the kernel be entered; the others are held for some hundred nanoseconds. */
static u32 own_inner(u32 lock_class)
{
	const u32 sleeps = 1u << NST_LOCK_GROW | 1u << NST_LOCK_CACHES | 1u << NST_LOCK_META |
			   1u << NST_LOCK_RETIRED;

	return sleeps >> lock_class & 1 ? NST_WAIT_SLEEP : NST_WAIT_CONFIG;
}

/* A request that takes short locks, and a free, wait for that of a CPU's first stacks and that of metadata (decision 0003). */
static u32 own_outer(u32 lock_class, u32 subclass)
{
	const u32 also = 1u << NST_LOCK_CACHES | 1u << NST_LOCK_META;

	return !subclass && also >> lock_class & 1 ? NST_WAIT_CONFIG : own_inner(lock_class);
}

static char context_keys[NST_LD_NR_CONTEXTS + 1];

static void add_contexts(void)
{
	static const char *const reclaim[NST_LD_RECLAIMS] = {"reclaim", "reclaim-io",
							     "reclaim-client", "reclaim-io-client"};
	char name[NST_LD_NAME];
	u32 i;

	for (i = 0; i < NST_LD_NR_CONTEXTS; i++) {
		if (i < NST_LD_SIGNALS)
			nst_format(name, sizeof(name), "signal %u", i + 1);
		add(&context_keys[i], i < NST_LD_SIGNALS ? name : reclaim[i - NST_LD_SIGNALS], 0, 0,
		    0);
	}
	add(&context_keys[i], "rcu", 0, 0, 0);
}

void nst_ld_own_classes(void)
{
	static char keys[NST_NR_LOCKS][NST_LD_SUBCLASSES];
	u32 i, k;

	for (i = 0; i < NST_NR_LOCKS; i++)
		for (k = 0; k < NST_LD_SUBCLASSES; k++)
			add(&keys[i][k], own_names[i], k, own_outer(i, k), own_inner(i));
	add_contexts();
}

struct nst_ld_held nst_ld_context(u32 n, const void *ip)
{
	return (struct nst_ld_held){.lock = &context_keys[n],
				    .ip = ip,
				    .class = (u16)(NST_LD_CONTEXTS + n),
				    .how = NST_LD_CONTEXT};
}

struct nst_ld_held nst_ld_section(const void *ip)
{
	struct nst_ld_held s = nst_ld_context(NST_LD_NR_CONTEXTS, ip);

	s.how |= NST_LD_READ | NST_LD_RECURSIVE;
	return s;
}
