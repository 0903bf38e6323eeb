/* SPDX-License-Identifier: MIT */
/*
 * mm_barn.c - whole sheaves go to this CPU, then to the barn, then astray, and come back from the first two.
 *
 * Each sheaf is followed: it is in one place. Once more with two nodes, where a sheaf's objects go home
 * to slabs of both. Without sequences eight stripes stand for the CPU.
 */
#define _GNU_SOURCE
#include <string.h>
#include "mm/mm.h"
#include "common/check.h"
#include "common/said.h"
#include "common/trap.h"

#define BARN_MAX 10u /* as barn.c has it */
#define NR_STRAYS 3u
#define NR_SHEAVES (2 * NST_STRIPES + 8 * BARN_MAX + NR_STRAYS)

static struct nst_cache *cache;
static struct nst_cache_node *node;
static struct nst_sheaf *sheaf[NR_SHEAVES];

static void begin(size_t size)
{
	cache = nst_cache_create("barn", size, 0, 0, NULL);
	if (!cache || nst_cache_ensure(cache))
		check_broken("a cache with stacks");
	node = cache->node[nst_this_node()];
}

static void end(void)
{
	check_quiet(nst_cache_destroy(cache) == 0, "no object is in use after", "some are");
}

static unsigned int on_cpus(const struct nst_pcs_table *t)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < nst_pcs_nr_stacks(t); i++)
		n += nst_pcs_count(t, i);
	return n;
}

/* How many sheaves this CPU has room for. */
static unsigned int room(const struct nst_pcs_table *t)
{
	return nst_sys_rseq.usable ? t->cap : NST_STRIPES * t->cap;
}

static unsigned int strays(void)
{
	unsigned int n = 0;

	for (const struct nst_sheaf *s = cache->stray; s; s = s->next)
		n++;
	return n;
}

/* Slots of @n's slabs that are handed out. */
static u64 used_of(const struct nst_cache *c, const struct nst_cache_node *n)
{
	return n->nr_slabs * c->slots - n->free_slots;
}

/* Objects that are not free in a slab, and those in sheaves of CPUs, barns and strays. */
static u64 lost(void)
{
	struct nst_cache_stats s;
	u64 astray = 0;

	nst_stats_cache(cache->id, &s);
	for (const struct nst_sheaf *stray = cache->stray; stray; stray = stray->next)
		astray += stray->count;
	return s.objects - s.in_slabs - s.in_cpus - s.in_barn - astray;
}

/* @n sheaves, empty or full, in sheaf[]. */
static void make(unsigned int n, int full)
{
	for (unsigned int i = 0; i < n; i++) {
		sheaf[i] = full ? nst_sheaf_filled(cache, nst_this_node()) : nst_sheaf_new(cache);
		if (!sheaf[i])
			check_broken("a sheaf");
	}
}

/* Where a sheaf is in sheaf[]; it is out now. NR_SHEAVES: none of them, or seen before. */
static unsigned int found(const struct nst_sheaf *s)
{
	unsigned int i = 0;

	while (i < NR_SHEAVES && (!s || sheaf[i] != s))
		i++;
	if (i < NR_SHEAVES)
		sheaf[i] = NULL;
	return i;
}

/* Its objects to their slabs, and its memory back. */
static void drop(struct nst_sheaf *s)
{
	nst_sheaf_flush(cache, s);
	nst_sheaf_delete(s);
}

static void new_and_delete(void)
{
	struct nst_sheaf *a, *b;
	u64 bytes;
	int again = 1;

	begin(256);
	a = nst_sheaf_new(cache);
	b = nst_sheaf_new(cache);
	check(a && b && a != b && a->count == 0 && a->cap == cache->batch && a->cap > 0,
	      "a new sheaf is empty and has room for a batch", "%u of %u", a ? a->count : 0,
	      a ? a->cap : 0);
	nst_sheaf_delete(a);
	nst_sheaf_delete(b);
	bytes = nst_meta_bytes();
	for (int i = 0; i < 2000; i++) {
		a = nst_sheaf_new(cache);
		again &= a && a->count == 0 && !a->next;
		nst_sheaf_delete(a);
	}
	check(again && nst_meta_bytes() == bytes, "2000 in turn use the same memory",
	      "%llu bytes more", (unsigned long long)(nst_meta_bytes() - bytes));
	nst_test_fail[NST_FAIL_META] = 1;
	check(!nst_sheaf_new(cache), "without memory there is none", "there is");
	nst_test_fail[NST_FAIL_META] = 0;
	end();
}

/* One after the other: this CPU, the barn, then astray. */
static void put_in_turn(const struct nst_pcs_table *t, const u32 *in_barn, unsigned int n)
{
	unsigned int cpu = room(t);

	for (unsigned int k = 1; k <= n; k++) {
		nst_sheaf_put_tries(cache, sheaf[k - 1]);
		check_quiet(on_cpus(t) == (k < cpu ? k : cpu), "this CPU is filled first",
			    "after %u: %u", k, on_cpus(t));
		check_quiet(*in_barn == (k <= cpu	       ? 0
					 : k <= cpu + BARN_MAX ? k - cpu
							       : BARN_MAX),
			    "then the barn, up to ten", "after %u: %u", k, *in_barn);
		check_quiet(strays() == (k <= cpu + BARN_MAX ? 0 : k - cpu - BARN_MAX),
			    "who finds no room goes astray", "after %u: %u", k, strays());
	}
}

/* And back in the same order; strays are nobody's find. */
static void take_in_turn(struct nst_sheaf *(*get)(struct nst_cache *c),
			 const struct nst_pcs_table *t, const u32 *in_barn)
{
	unsigned int cpu = room(t), known = 0, k;

	for (k = 0; k < cpu + BARN_MAX; k++) {
		struct nst_sheaf *s = get(cache);

		known += found(s) < NR_SHEAVES;
		if (s)
			drop(s);
		check_quiet(on_cpus(t) == (k < cpu ? cpu - k - 1 : 0) &&
				    *in_barn == (k < cpu ? BARN_MAX : BARN_MAX + cpu - k - 1),
			    "this CPU is asked before the barn", "after %u: %u, %u", k + 1,
			    on_cpus(t), *in_barn);
	}
	check(known == k, "each sheaf comes back once", "%u of %u", known, k);
	check(strays() == NR_STRAYS && on_cpus(t) == 0 && *in_barn == 0,
	      "the strays have not been touched", "%u of %u", strays(), NR_STRAYS);
}

static void empties(void)
{
	unsigned int n;
	struct nst_sheaf *s;

	begin(256);
	n = room(&cache->empty) + BARN_MAX + NR_STRAYS;
	make(n, 0);
	put_in_turn(&cache->empty, &node->nr_empty, n);
	take_in_turn(nst_sheaf_empty_tries, &cache->empty, &node->nr_empty);
	check(!nst_sheaf_empty_tries(cache), "and then none is there at once", "there is");
	s = nst_sheaf_empty_waits(cache);
	check(s && found(s) == NR_SHEAVES && s->count == 0, "who may wait gets a new one",
	      "not so");
	nst_sheaf_put_waits(cache, s);
	nst_stray_drain(cache);
	check(strays() == 0 && on_cpus(&cache->empty) + node->nr_empty == NR_STRAYS + 1,
	      "strays find places when somebody drains them", "%u, %u", on_cpus(&cache->empty),
	      node->nr_empty);
	end();
}

static struct nst_sheaf *full_tries(struct nst_cache *c)
{
	return nst_sheaf_full_tries(c, 0);
}

static void fulls(void)
{
	unsigned int n, cpu, k;
	struct nst_sheaf *s;

	begin(256);
	cpu = room(&cache->full);
	n = cpu + BARN_MAX + NR_STRAYS;
	make(n, 1);
	put_in_turn(&cache->full, &node->nr_full, n);
	check(lost() == 0, "their objects are all accounted for", "%llu are not",
	      (unsigned long long)lost());
	for (k = 0; (s = nst_sheaf_full_tries(cache, 1)) != NULL; k++)
		sheaf[k] = s;
	check(k == cpu && node->nr_full == BARN_MAX, "FASTTRY finds this CPU's and no other",
	      "%u of %u", k, cpu);
	while (k)
		nst_sheaf_put_cpu(cache, sheaf[--k]);
	take_in_turn(full_tries, &cache->full, &node->nr_full);
	check(!full_tries(cache) && !nst_sheaf_full_waits(cache), "and then there is none",
	      "there is");
	check(lost() == 0, "objects that were flushed are in their slabs", "%llu are not",
	      (unsigned long long)lost());
	nst_stray_drain(cache);
	for (k = 0; (s = nst_sheaf_full_waits(cache)) != NULL; k++) {
		check_quiet(s->count == cache->batch, "a stray is as full as it was", "%u of %u",
			    s->count, cache->batch);
		drop(s);
	}
	check(k == NR_STRAYS, "drained strays are found like others", "%u of %u", k, NR_STRAYS);
	end();
}

/* Where every place is taken. */
static void no_room(void)
{
	unsigned int n;
	u64 before;

	begin(256);
	n = room(&cache->full) + BARN_MAX + NR_STRAYS;
	make(n, 1);
	for (unsigned int i = 0; i < n - 1; i++)
		nst_sheaf_put_tries(cache, sheaf[i]);
	before = used_of(cache, node);
	nst_sheaf_put_waits(cache, sheaf[n - 1]);
	check(strays() == NR_STRAYS - 1 && used_of(cache, node) == before - cache->batch,
	      "who may wait empties a sheaf that fits nowhere", "%u strays, %llu objects went home",
	      strays(), (unsigned long long)(before - used_of(cache, node)));
	nst_stray_drain(cache);
	check(strays() == 0 && used_of(cache, node) == before - NR_STRAYS * cache->batch &&
		      lost() == 0,
	      "and so are strays that fit nowhere", "%llu objects went home, %llu are lost",
	      (unsigned long long)(before - used_of(cache, node)), (unsigned long long)lost());
	nst_sheaf_put_cpu(cache, nst_sheaf_filled(cache, nst_this_node()));
	check(strays() == 1 && lost() == 0, "who asks for no lock adds to the strays", "%u",
	      strays());
	end();
}

static void busy(void)
{
	struct nst_sheaf *s;
	unsigned int i;

	begin(256);
	make(room(&cache->full) + 2, 1);
	for (i = 0; i < room(&cache->full) + 1; i++)
		nst_sheaf_put_tries(cache, sheaf[i]);
	nst_test_fail[NST_FAIL_TRYLOCK] = -1;
	nst_sheaf_put_tries(cache, sheaf[i]);
	check(strays() == 1 && node->nr_full == 1, "a barn that is held takes no sheaf", "%u, %u",
	      strays(), node->nr_full);
	for (i = 0; (s = full_tries(cache)) != NULL; i++)
		sheaf[i] = s;
	check(i == room(&cache->full) && node->nr_full == 1, "and gives none", "%u, %u", i,
	      node->nr_full);
	nst_test_fail[NST_FAIL_TRYLOCK] = 0;
	s = full_tries(cache);
	check(s && node->nr_full == 0, "until it is let go", "%u", node->nr_full);
	nst_sheaf_put_cpu(cache, s);
	while (i)
		nst_sheaf_put_cpu(cache, sheaf[--i]);
	check(strays() == 2 && node->nr_full == 0, "who names this CPU does not try the barn",
	      "%u, %u", strays(), node->nr_full);
	end();
}

/* ---- objects go home ---- */

static const struct nst_stats *stats(void)
{
	static struct nst_stats s;

	nst_stats_read(&s, sizeof(s));
	return &s;
}

static u64 used(const struct nst_cache *c)
{
	u64 n = 0;

	for (unsigned int i = 0; i < nst_sys_cpus.nr_nodes; i++)
		n += used_of(c, c->node[i]);
	return n;
}

/* @nr objects of @c from slabs of this CPU's node into @s. */
static void fill(struct nst_sheaf *s, struct nst_cache *c, u32 nr)
{
	while (nr) {
		size_t got = nst_cache_fill(c, nst_this_node(), s->obj + s->count, nr);

		if (!got)
			check_broken("objects");
		s->count += (u32)got;
		nr -= (u32)got;
	}
}

static void larger_class(void)
{
	struct nst_cache *small = nst_cache_of_size(64), *large = nst_cache_of_size(80);
	u64 before = stats()->flushes, small_used = used(small), large_used = used(large);
	struct nst_sheaf *s = nst_sheaf_new(small);

	for (int i = 0; i < 3; i++) {
		fill(s, small, 4);
		fill(s, large, 3);
	}
	check(used(small) == small_used + 12 && used(large) == large_used + 9,
	      "a sheaf may hold objects of a larger class", "%llu, %llu",
	      (unsigned long long)(used(small) - small_used),
	      (unsigned long long)(used(large) - large_used));
	nst_sheaf_flush(small, s);
	check(s->count == 0 && stats()->flushes == before + 1,
	      "a flushed sheaf is empty, and counted", "%u", s->count);
	check(used(small) == small_used && used(large) == large_used,
	      "objects of a larger class go to their own slabs", "%llu, %llu are left",
	      (unsigned long long)(used(small) - small_used),
	      (unsigned long long)(used(large) - large_used));
	nst_sheaf_delete(s);
}

/* Slabs that become unused by a flush are pages again, but for two. */
static void slabs_go(void)
{
	u64 before = stats()->slabs_freed, made;

	begin(4000);
	make(6, 1);
	made = node->nr_slabs;
	for (unsigned int i = 0; i < 6; i++)
		drop(sheaf[i]);
	check(made > 2 && node->nr_slabs == 2 && stats()->slabs_freed == before + made - 2,
	      "slabs that a flush leaves unused become pages again, but for two",
	      "of %llu: %llu freed, %llu left", (unsigned long long)made,
	      (unsigned long long)(stats()->slabs_freed - before),
	      (unsigned long long)node->nr_slabs);
	end();
}

/* Objects of every node that this process can run on, mixed. */
static void home(void)
{
	u64 wanted[NST_NR_NODES] = {0};
	struct nst_sheaf *s;
	unsigned int i;

	begin(200);
	s = nst_sheaf_new(cache);
	for (i = 0; i < 12; i++) {
		run_on_cpu(0, cpu_nth(cpu_nth(1) < 0 ? 0 : i % 2));
		fill(s, cache, 3);
		wanted[nst_this_node()] += 3;
	}
	run_on_cpu(0, cpu_nth(0));
	for (i = 0; i < nst_sys_cpus.nr_nodes; i++)
		check_quiet(used_of(cache, cache->node[i]) == wanted[i],
			    "objects are of the node they were made on", "node %u: %llu of %llu", i,
			    (unsigned long long)used_of(cache, cache->node[i]),
			    (unsigned long long)wanted[i]);
	nst_sheaf_flush(cache, s);
	for (i = 0; i < nst_sys_cpus.nr_nodes; i++)
		check_quiet(used_of(cache, cache->node[i]) == 0, "each goes to its own node",
			    "node %u: %llu", i, (unsigned long long)used_of(cache, cache->node[i]));
	check(s->count == 0 && lost() == 0, "a flush brings objects home", "%llu are lost",
	      (unsigned long long)lost());
	nst_sheaf_delete(s);
	end();
}

static void stranger(void)
{
	struct nst_cache *other = nst_cache_create("other", 200, 0, 0, NULL);
	struct nst_sheaf *s;
	void *strange;

	begin(200);
	s = nst_sheaf_new(cache);
	fill(s, cache, 1);
	fill(s, other, 1);
	fill(s, cache, 1);
	strange = s->obj[1];
	nst_bug_sink = listen;
	nst_sheaf_flush(cache, s);
	nst_bug_sink = nst_sys_console;
	check(strstr(said, "belongs to cache 'other'") && lost() == 0,
	      "an object of another cache is reported, the others go home", "%llu lost: %s",
	      (unsigned long long)lost(), said);
	nst_to_slab_waits(other, strange);
	check(nst_cache_destroy(other) == 0, "and is still its own cache's", "it is not");
	nst_sheaf_delete(s);
	end();
}

/* ---- for the worker ---- */

static void wants(void)
{
	unsigned int here = nst_this_node(), n = 0;
	int added;

	begin(256);
	for (; nst_barn_wants_more(cache, here) && n < 100; n++) {
		added = nst_barn_add_full(cache, here);
		check_quiet(added && node->nr_full == n + 1 && node->full->count == cache->batch,
			    "one full sheaf is added", "after %u: %u in the barn", n,
			    node->nr_full);
	}
	check(n == BARN_MAX / 2, "the worker fills a barn to the half", "%u sheaves", n);
	while (n < BARN_MAX)
		n += (unsigned int)nst_barn_add_full(cache, here);
	check(node->nr_full == BARN_MAX && on_cpus(&cache->full) == 0,
	      "beyond, there is room for ten", "%u", node->nr_full);
	for (unsigned int i = 0; i < room(&cache->full) + 2; i++)
		check_quiet(!nst_barn_add_full(cache, here), "an eleventh is refused", "it is not");
	check(node->nr_full == BARN_MAX && lost() == 0, "and its objects are not lost", "%llu are",
	      (unsigned long long)lost());
	end();
}

/* ---- room that grows ---- */

/* A sheaf that this CPU had no room for is wanted again: it may keep one more, up to its spares. */
static void cpu_widens(void)
{
	unsigned int cpu = nst_this_cpu(), n, k;
	struct nst_sheaf *s;

	begin(64);
	make(3, 1);
	for (k = 0; k < 3; k++)
		nst_sheaf_put_waits(cache, sheaf[k]);
	drop(nst_sheaf_full_waits(cache));
	n = nst_pcs_cap(&cache->full, cpu);
	drop(nst_sheaf_full_waits(cache));
	check(!nst_sys_rseq.usable || (n == 1 && nst_pcs_cap(&cache->full, cpu) == 2 &&
				       nst_pcs_cap(&cache->empty, cpu) == 3),
	      "a CPU to which the barn gives back what it had no room for may keep one more",
	      "%u, then %u", n, nst_pcs_cap(&cache->full, cpu));
	for (k = 0; k < 100; k++) {
		if (!nst_barn_add_full(cache, nst_this_node()))
			check_broken("a full sheaf");
		s = nst_sheaf_full_waits(cache);
		drop(s ? s : nst_sheaf_full_waits(cache));
	}
	while ((s = nst_sheaf_full_waits(cache)) != NULL)
		drop(s);
	n = nst_pcs_cap(&cache->full, cpu);
	check(!nst_sys_rseq.usable || (n == cache->spares && n > 2), "but not more than its spares",
	      "%u of %u", n, cache->spares);
	make(n, 1);
	for (k = 0; k < n; k++)
		nst_sheaf_put_waits(cache, sheaf[k]);
	for (k = 0; k <= NST_STILL_LOOKS; k++)
		nst_cache_decay(cache, 100);
	check(!nst_sys_rseq.usable ||
		      (nst_pcs_cap(&cache->full, cpu) == 1 && on_cpus(&cache->full) == 0),
	      "when it is idle, it is emptied and has little room again", "%u",
	      nst_pcs_cap(&cache->full, cpu));
	end();
}

/* A full barn makes a sheaf go to the slabs, and then it is empty: it gets more room; until that is idle. */
static void barn_widens(void)
{
	unsigned int n, k, limit = BARN_MAX + 2 * nst_sys_cpus.nr;
	struct nst_sheaf *s;

	begin(256);
	nst_sheaf_full_waits(cache);
	check(node->most == BARN_MAX, "a miss alone is no reason for more room", "%u", node->most);
	for (k = 0; k < 3; k++) {
		n = room(&cache->full) + node->most + 1;
		make(n, 1);
		while (n)
			nst_sheaf_put_waits(cache, sheaf[--n]);
		while ((s = nst_sheaf_full_waits(cache)) != NULL)
			drop(s);
		/* this CPU is to have as much room as at first */
		if (k == 0)
			check(node->most == (2 * BARN_MAX < limit ? 2 * BARN_MAX : limit),
			      "a sheaf too many and then one too few: room for twice as many", "%u",
			      node->most);
	}
	check(node->most == limit, "but for so many a CPU at most", "%u of %u", node->most, limit);
	for (k = 0; k < 3; k++)
		nst_barn_add_full(cache, nst_this_node());
	for (k = 0; k < 8 * (NST_STILL_LOOKS + 1); k++)
		nst_cache_decay(cache, 0);
	check(node->nr_full == 0 && node->most < limit,
	      "what lies idle in it goes back, and the room", "%u, %u", node->nr_full, node->most);
	end();
}

/* Every page in use, and no more to be had. */
static void no_memory(void)
{
	static void *page[4096];
	unsigned int n = 0, here = nst_this_node();
	int added;

	begin(8192);
	nst_test_fail[NST_FAIL_META] = 1;
	check(!nst_barn_add_full(cache, here) && lost() == 0 && cache->node[here]->nr_slabs == 0,
	      "without a sheaf no slab is made", "one is");
	nst_test_fail[NST_FAIL_META] = 0;
	nst_test_fail[NST_FAIL_POPULATE] = -1;
	while (n < 4096 && (page[n] = nst_pages_alloc(0, NST_NORETRY)) != NULL)
		n++;
	for (unsigned int i = 0; i < 8; i++)
		nst_pages_free(page[--n]);
	while ((added = nst_barn_add_full(cache, here)) != 0)
		;
	nst_test_fail[NST_FAIL_POPULATE] = 0;
	check(n > 0 && !added && lost() == 0,
	      "a sheaf that cannot be filled is not added, nor lost", "%llu objects lost",
	      (unsigned long long)lost());
	while (n)
		nst_pages_free(page[--n]);
	check(nst_barn_add_full(cache, here), "with memory it is", "it is not");
	end();
}

/* One node, whatever the machine has, or two with an argument. */
const char *test_conf(int argc, char **argv)
{
	(void)argv;
	return argc > 1 ? "worker:off,nodes:2,misuse:continue"
			: "worker:off,nodes:1,misuse:continue";
}

int main(int argc, char **argv)
{
	(void)argc;
	conf_apply(argv);
	run_on_cpu(0, cpu_nth(0));
	new_and_delete();
	empties();
	fulls();
	no_room();
	busy();
	larger_class();
	slabs_go();
	home();
	stranger();
	wants();
	cpu_widens();
	barn_widens();
	no_memory();
	return check_status();
}
