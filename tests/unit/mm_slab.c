/* SPDX-License-Identifier: MIT */
/*
 * mm_slab.c - slots are found by one multiplication, a bit each, and slabs are on the list they belong to.
 *
 * Slabs are made and filled here as the cache does it, but of caches that nobody else uses. Once more
 * with debug:1, where the order in which slots are handed out cannot be guessed.
 */
#define _GNU_SOURCE
#include <string.h>
#include "mm/mm.h"
#include "common/check.h"
#include "common/said.h"
#include "common/trap.h"

#define KEEP_UNUSED 2u	  /* as slab.c has it */
#define LARGE_SLOT 10240u /* as create.c has it */
#define LARGE_ORDER 5u
#define NR_SLABS 5u
#define NR_SLOTS 256u /* in a slab, at most */

static struct nst_cache *cache;
static struct nst_cache_node *node;
/* What is handed out of each slab of the cache. */
static struct {
	struct nst_page *page;
	unsigned int inuse;
	unsigned char out[NR_SLOTS];
} slab[NR_SLABS];
static unsigned int nr_slabs;

static struct nst_page *new_slab(void)
{
	enum nst_null_reason why;
	struct nst_page *p = nst_page_take_waits(0, cache->order, NST_NORMAL | NST_THISNODE, &why);

	if (!p)
		check_broken("pages of a slab");
	nst_slab_make(cache, p);
	node = cache->node[nst_page_node(p)];
	nst_lock_wait(&node->slab);
	nst_slab_add_locked(cache, node, p);
	nst_unlock(&node->slab);
	return p;
}

/* A cache of objects of @size with @nr slabs. */
static void begin(size_t size, unsigned int nr)
{
	cache = nst_cache_create("slabs", size, 0, 0, NULL);
	if (!cache)
		check_broken("a cache");
	memset(slab, 0, sizeof(slab));
	for (nr_slabs = 0; nr_slabs < nr; nr_slabs++)
		slab[nr_slabs].page = new_slab();
}

static size_t take(void **out, size_t nr)
{
	size_t n;

	nst_lock_wait(&node->slab);
	n = nst_slab_take_locked(cache, node, out, nr);
	nst_unlock(&node->slab);
	return n;
}

static struct nst_page *put(void *obj)
{
	struct nst_page *gone;

	nst_lock_wait(&node->slab);
	gone = nst_slab_put_locked(cache, node, nst_page_of(obj), obj);
	nst_unlock(&node->slab);
	return gone;
}

static int is_on(const struct nst_list *head, const struct nst_page *p)
{
	struct nst_list *l, *tmp;

	nst_list_for_each (l, tmp, head)
		if (l == &p->list)
			return 1;
	return 0;
}

/* 'f'illed, 'p'artial, 'u'nused, or '-' on none; '?' on several. */
static char list_of(const struct nst_page *p)
{
	int f = is_on(&node->filled, p), h = is_on(&node->partial, p), u = is_on(&node->unused, p);

	return f + h + u > 1 ? '?' : f ? 'f' : h ? 'p' : u ? 'u' : '-';
}

/* Every slab is where its number of used slots says, and the node's counts are their sums. */
static void audit(const char *when)
{
	u64 free_slots = 0, unused = 0, slabs = 0;

	for (unsigned int i = 0; i < nr_slabs; i++) {
		unsigned int n = slab[i].inuse;
		char list = !slab[i].page ? '-' : n == cache->slots ? 'f' : n ? 'p' : 'u';

		if (!slab[i].page)
			continue;
		/* One just made starts as partly filled. */
		check_quiet(list_of(slab[i].page) == list || (!n && list_of(slab[i].page) == 'p'),
			    "a slab is on the list of its kind", "%s: slab %u with %u of %u: %c",
			    when, i, n, cache->slots, list_of(slab[i].page));
		check_quiet(slab[i].page->inuse == n && slab[i].page->on_full == (list == 'f'),
			    "used slots are counted, and whether all are is kept",
			    "%s: %u, not %u; %u", when, slab[i].page->inuse, n,
			    slab[i].page->on_full);
		free_slots += cache->slots - n;
		unused += list_of(slab[i].page) == 'u';
		slabs++;
	}
	check_quiet(node->free_slots == free_slots && node->nr_slabs == slabs &&
			    node->nr_unused == unused,
		    "free slots, slabs and unused slabs are counted",
		    "%s: %llu slots, %llu slabs, %llu unused", when,
		    (unsigned long long)node->free_slots, (unsigned long long)node->nr_slabs,
		    (unsigned long long)node->nr_unused);
}

/* ---- geometry ---- */

static unsigned int wrong_slots(const struct nst_cache *c, const struct nst_page *p)
{
	char *addr = nst_page_address(p);
	unsigned int wrong = 0;

	for (u32 offset = 0; offset < NST_PAGE_BYTES << c->order; offset++) {
		u32 i = offset / c->slot;
		int slot = offset % c->slot == 0 && i < c->slots ? (int)i : -1;

		wrong += nst_slab_slot(c, p, addr + offset) != slot;
	}
	return wrong;
}

/* Eight slots, of large ones four, and an eighth of rest at most; or the largest order. */
static unsigned int smallest_order(u32 slot)
{
	unsigned int order = 0, most = slot < LARGE_SLOT ? NST_ORDER_NOLOCK_MAX : LARGE_ORDER;
	u32 least = slot < LARGE_SLOT ? 8 : 4, bytes = NST_PAGE_BYTES;

	for (; order < most && (bytes / slot < least || bytes % slot > bytes / 8); order++)
		bytes *= 2;
	return order;
}

static void check_geometry(const struct nst_cache *c, size_t size, size_t align)
{
	u32 bytes = (u32)NST_PAGE_BYTES << c->order;
	enum nst_null_reason why;
	struct nst_page *p = nst_page_take_waits(0, c->order, NST_NORMAL, &why);

	if (!p)
		check_broken("a run");
	check_quiet(c->size == size && c->slot >= size && c->slot % align == 0,
		    "a slot holds an object, and the next is aligned", "%zu, %zu: %u", size, align,
		    c->slot);
	check_quiet(c->slots == bytes / c->slot && c->slots > 0 && c->slots <= NR_SLOTS,
		    "a slab has the slots that fit, and a bit for each", "%zu: %u", size, c->slots);
	check_quiet(c->order == smallest_order(c->slot),
		    "a slab is the smallest run that wastes little, or the largest",
		    "%zu: order %u, %u", size, c->order, c->slots);
	check_quiet(wrong_slots(c, p) == 0, "an address is the start of its slot, or of none",
		    "%zu: %u of %u are wrong", size, wrong_slots(c, p), bytes);
	nst_page_put_waits(p);
}

static void build(void *obj)
{
	memset(obj, 7, 40);
}

static void geometry(void)
{
	static const struct {
		size_t size, align;
	} own[] = {{1, 8},	{24, 8},      {40, 16},	    {56, 64},	{100, 32}, {200, 128},
		   {520, 8},	{1000, 1024}, {2500, 8},    {3000, 16}, {4097, 8}, {4096, 4096},
		   {8191, 256}, {8192, 8},    {8192, 4096}, {8184, 8},	{9000, 8}, {12288, 4096},
		   {13200, 8},	{14337, 8},   {32768, 4096}};
	struct nst_cache *c;

	for (size_t i = 0; i < NST_ARRAY_SIZE(own); i++) {
		c = nst_cache_create("geometry", own[i].size, own[i].align, 0, NULL);
		check_geometry(c, own[i].size, own[i].align);
		nst_cache_destroy(c);
	}
	c = nst_cache_create("built", 40, 0, 0, build);
	check_geometry(c, 40, 8);
	check(c->slot >= 40 + 16, "behind what a constructor made is room for two links",
	      "%u bytes", c->slot);
	nst_cache_destroy(c);
	for (size_t size = 16; size <= NST_CLASS_MAX; size = c->size + 1) {
		c = nst_cache_of_size(size);
		check_geometry(c, c->size, 16);
	}
	check(1, "every offset of a slab is told apart, for 22 caches and every size class", "-");
}

/* ---- a run becomes a slab, and pages again ---- */

static void *built[NR_SLOTS];
static unsigned int nr_built;

static void note_built(void *obj)
{
	built[nr_built++ % NR_SLOTS] = obj;
}

static void make(void)
{
	struct nst_cache *c = nst_cache_create("made", 1000, 0, 0, note_built);
	enum nst_null_reason why;
	struct nst_page *p = nst_page_take_waits(0, c->order, NST_NORMAL, &why);
	char *addr = nst_page_address(p);
	unsigned int bits = 0, pages = 0, i;

	for (i = 0; i < 1u << c->order; i++)
		memset(p[i].free, 0xff, sizeof(p[i].free));
	p->on_full = p->inuse = 1;
	nr_built = 0;
	nst_slab_make(c, p);
	for (i = 0; i < 1u << c->order; i++) {
		for (unsigned int w = 0; w < 4; w++)
			bits += nst_popcount(p[i].free[w]);
		pages += nst_fast_of_pointer(addr + i * NST_PAGE_BYTES) == c->main.fast;
	}
	check(bits == c->slots && p->inuse == 0 && !p->on_full,
	      "a new slab has its slots free, whatever was in its descriptors", "%u of %u", bits,
	      c->slots);
	for (i = 0; i < nr_built && built[i] == addr + i * c->slot;)
		i++;
	check(i == c->slots && nr_built == c->slots, "each is constructed, once", "%u, %u of %u", i,
	      nr_built, c->slots);
	check(p->state == NST_PAGE_SLAB && p->cache == c->id && pages == 1u << c->order,
	      "each of its pages leads to its cache", "%u of %u", pages, 1u << c->order);
	check(nst_page_of(addr + (NST_PAGE_BYTES << c->order) - 1) == p,
	      "and each byte to its descriptor", "%p", (void *)p);
	nst_slab_unmake(p);
	for (pages = 0, i = 0; i < 1u << c->order; i++)
		pages += nst_fast_of_pointer(addr + i * NST_PAGE_BYTES) == nst_mm.no_stacks;
	check(p->state == NST_PAGE_PCP && pages == 1u << c->order,
	      "and none does when it is pages again", "%u of %u", pages, 1u << c->order);
	nst_page_put_waits(p);
	nst_cache_destroy(c);
}

/* ---- slots handed out and put back ---- */

/* Which slab an object is of. */
static unsigned int slab_of(const void *obj)
{
	unsigned int i = 0;

	while (i < nr_slabs && slab[i].page != nst_page_of(obj))
		i++;
	if (i == nr_slabs)
		check_broken("an object of another slab");
	return i;
}

/* The object's bit changes, in our copy. */
static void note(const void *obj, unsigned char out)
{
	unsigned int i = slab_of(obj);
	int slot = nst_slab_slot(cache, slab[i].page, obj);

	check_quiet(slot >= 0, "what is handed out starts a slot", "%p", obj);
	check_quiet(slot < 0 || slab[i].out[slot] != out, "a slot has one owner",
		    "slab %u, slot %d", i, slot);
	if (slot >= 0)
		slab[i].out[slot] = out;
	slab[i].inuse += out ? 1u : -1u;
}

static void *object[NR_SLABS * NR_SLOTS];

/* All slots of all slabs, in batches, to object[@n] and up; how many objects that makes. */
static size_t take_all(size_t n)
{
	size_t got;

	while ((got = take(object + n, 7)) != 0) {
		for (size_t i = 0; i < got; i++)
			note(object[n + i], 1);
		n += got;
		audit("taking");
	}
	return n;
}

/* All of them back, in any order; a slab that is given back is forgotten. */
static unsigned int put_all(struct rng *rng, size_t n)
{
	unsigned int nr_gone = 0;

	while (n) {
		size_t i = rng_below(rng, (uint32_t)n);
		void *obj = object[i];
		struct nst_page *gone;

		object[i] = object[--n];
		note(obj, 0);
		gone = put(obj);
		if (gone) {
			unsigned int k = slab_of(nst_page_address(gone));

			check_quiet(slab[k].inuse == 0 && list_of(gone) == '-',
				    "what is given back is unused, and on no list",
				    "slab %u with %u, %c", k, slab[k].inuse, list_of(gone));
			slab[k].page = NULL;
			nst_slab_discard_waits(gone);
			nr_gone++;
		}
		audit("putting");
		check_quiet(node->nr_unused <= KEEP_UNUSED, "two unused slabs are kept at most",
			    "%llu", (unsigned long long)node->nr_unused);
	}
	return nr_gone;
}

static void life(struct rng *rng, size_t size)
{
	unsigned int gone;
	size_t n;

	begin(size, NR_SLABS);
	audit("new");
	n = take_all(0);
	check(n == NR_SLABS * cache->slots && !take(object + n, 1), "every slot is handed out once",
	      "%zu of %u", n, NR_SLABS * cache->slots);
	gone = put_all(rng, n);
	check(gone == NR_SLABS - KEEP_UNUSED && node->nr_slabs == KEEP_UNUSED &&
		      node->free_slots == KEEP_UNUSED * cache->slots,
	      "all slots put back, two slabs are kept for the next refill and three go", "%u went",
	      gone);
	n = take(object, 1) + take(object + 1, 1);
	note(object[0], 1);
	note(object[1], 1);
	check(n == 2 && node->nr_unused == 1 && slab_of(object[0]) == slab_of(object[1]),
	      "a slab is begun before an unused one is", "%zu objects, %llu unused", n,
	      (unsigned long long)node->nr_unused);
	audit("begun");
	put_all(rng, take_all(n));
	check(nst_cache_destroy(cache) == 0, "no slot is thought to be in use after", "some are");
}

static void unused(struct rng *rng)
{
	struct nst_page *p[3];

	begin(1000, KEEP_UNUSED);
	put_all(rng, take_all(0));
	nst_lock_wait(&node->slab);
	for (unsigned int i = 0; i < 3; i++)
		p[i] = nst_slab_take_unused_locked(cache, node);
	nst_unlock(&node->slab);
	check(p[0] && p[1] && p[0] != p[1] && !p[2], "unused slabs can be taken, each once",
	      "%p %p %p", (void *)p[0], (void *)p[1], (void *)p[2]);
	check(node->nr_slabs == 0 && node->nr_unused == 0 && node->free_slots == 0,
	      "and are no longer counted", "%llu, %llu, %llu", (unsigned long long)node->nr_slabs,
	      (unsigned long long)node->nr_unused, (unsigned long long)node->free_slots);
	nst_slab_discard_waits(p[0]);
	nst_slab_discard_waits(p[1]);
	nst_cache_destroy(cache);
}

/* ---- in which order ---- */

/* How often a slot of the slab comes before a higher one, all taken at once. */
static unsigned int ascents(size_t first, size_t n)
{
	unsigned int up = 0;

	for (size_t i = first + 1; i < first + n; i++)
		up += object[i] > object[i - 1];
	return up;
}

static void order(struct rng *rng)
{
	unsigned int up, same = 0;
	size_t n;

	begin(100, 2);
	n = cache->slots;
	if (take(object, n) != n || take(object + n, n) != n)
		check_broken("two slabs");
	for (size_t i = 0; i < 2 * n; i++)
		note(object[i], 1);
	up = ascents(0, n) + ascents(n, n);
	for (size_t i = 0; i < n; i++)
		same += nst_slab_slot(cache, nst_page_of(object[i]), object[i]) ==
			nst_slab_slot(cache, nst_page_of(object[n + i]), object[n + i]);
	if (nst_mm.debug)
		check(up > 0 && same < n, "with debug the next slot cannot be guessed",
		      "%u ascents, %u of %zu places alike", up, same, n);
	else
		check(up == 0, "the lowest free slot is last, where stacks take from", "%u ascents",
		      up);
	put_all(rng, 2 * n);
	nst_cache_destroy(cache);
}

/* ---- put twice, and lost in a fork ---- */

static u64 misuses(void)
{
	static struct nst_stats stats;

	nst_stats_read(&stats, sizeof(stats));
	return stats.misuse;
}

static void put_twice(struct rng *rng)
{
	u64 before = misuses();
	size_t n;

	begin(100, 1);
	n = take_all(0);
	note(object[0], 0);
	put(object[0]);
	nst_bug_sink = listen;
	check(!put(object[0]) && misuses() == before + 1 && strstr(said, "freed twice"),
	      "a slot that is free already is a free too many", "%llu reported: %s",
	      (unsigned long long)(misuses() - before), said);
	nst_bug_sink = nst_sys_console;
	audit("put twice");
	check(take(object, 2) == 1, "and handed out once all the same", "not so");
	note(object[0], 1);
	check(put_all(rng, n) == 0 && nst_cache_destroy(cache) == 0, "all else goes on",
	      "it does not");
}

/* As a child begins anew the lists of a lock that a lost thread held. */
static void begin_lists_anew(void)
{
	node->gen++;
	nst_list_init(&node->partial);
	nst_list_init(&node->filled);
	nst_list_init(&node->unused);
	node->nr_unused = 0;
}

static void lost(struct rng *rng)
{
	size_t n;

	begin(100, 2);
	n = take(object, cache->slots + 3);
	for (size_t i = 0; i < n; i++)
		note(object[i], 1);
	begin_lists_anew();
	for (unsigned int i = 0; i < 2; i++) {
		void *last = object[i ? n - 1 : 0];

		check_quiet(list_of(nst_page_of(last)) == '-', "a lost slab is on no list",
			    "slab %u: %c", i, list_of(nst_page_of(last)));
		note(last, 0);
		put(last);
		check_quiet(list_of(nst_page_of(last)) == 'p', "its next free slot brings it back",
			    "slab %u: %c", i, list_of(nst_page_of(last)));
	}
	audit("lost");
	object[0] = object[n - 2];
	put_all(rng, n - 2);
	check(node->nr_unused == 2, "slabs that a fork lost are used again", "%llu of 2",
	      (unsigned long long)node->nr_unused);
	nst_cache_destroy(cache);
}

/* One node, whatever the machine has; a slot put twice is gone on from. */
const char *test_conf(int argc, char **argv)
{
	(void)argv;
	return argc > 1 ? "worker:off,nodes:1,misuse:continue,debug:1"
			: "worker:off,nodes:1,misuse:continue";
}

int main(int argc, char **argv)
{
	struct rng rng = {seed_of(1, argv)};

	(void)argc;
	conf_apply(argv);
	run_on_cpu(0, cpu_nth(0));
	geometry();
	make();
	life(&rng, 16);
	life(&rng, 100);
	life(&rng, 1000);
	unused(&rng);
	order(&rng);
	put_twice(&rng);
	lost(&rng);
	return check_status();
}
