/* SPDX-License-Identifier: MIT */
/*
 * mm_stats.c - snapshots of any size, and counters that agree with a script to the last request.
 *
 * With stats:full every request is counted. Once more with nolock_budget:5, where five are served.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <time.h>
#include "mm/mm.h"
#include "common/check.h"
#include "common/trap.h"

#define NR_CACHES 100u

static struct nst_stats before, after;

/* Before the library's own constructor: the first NULL of all. */
__attribute__((constructor(101))) static void too_early(void)
{
	if (nst_alloc_nolock(64))
		check_broken("an object before the start");
}

static void look(struct nst_stats *s)
{
	if (nst_stats_read(s, sizeof(*s)))
		check_broken("nst_stats_read");
}

/* ---- the size of a snapshot ---- */

static void refusals(void)
{
	unsigned char small[16];
	unsigned int wrong = 0;

	memset(small, 0xee, sizeof(small));
	for (size_t bytes = 0; bytes < 8; bytes++)
		wrong += nst_stats_read((void *)small, bytes) != -EINVAL;
	for (size_t i = 0; i < sizeof(small); i++)
		wrong += small[i] != 0xee;
	check(wrong == 0, "less than its first two words is refused, and nothing written", "%u",
	      wrong);
	check(nst_stats_read(NULL, sizeof(before)) == -EINVAL, "so is NULL", "it is not");
}

static void snapshots(void)
{
	static const size_t size[] = {8,
				      12,
				      16,
				      100,
				      offsetof(struct nst_stats, locks),
				      sizeof(struct nst_stats) - 8,
				      sizeof(struct nst_stats),
				      sizeof(struct nst_stats) + 1,
				      sizeof(struct nst_stats) + 64};
	static unsigned char room[sizeof(struct nst_stats) + 128];

	look(&before);
	check(before.version == NST_STATS_VERSION && before.bytes == sizeof(before),
	      "a snapshot says what it is", "version %u, %u bytes", before.version, before.bytes);
	check(before.requests_exact == 1 && before.nr_nodes == nst_sys_cpus.nr_nodes,
	      "and that its requests are exact", "%u, %u nodes", before.requests_exact,
	      before.nr_nodes);
	for (size_t i = 0; i < NST_ARRAY_SIZE(size); i++) {
		/* What is behind counts the locks that the reading takes. */
		size_t same = nst_min(size[i], offsetof(struct nst_stats, locks)), at;

		memset(room, 0xee, sizeof(room));
		check_quiet(nst_stats_read((void *)room, size[i]) == 0, "a caller may know less",
			    "%zu bytes are refused", size[i]);
		check_quiet(memcmp(room, &before, same) == 0, "what it knows is the same",
			    "%zu bytes differ", size[i]);
		for (at = sizeof(before); at < size[i] && !room[at];)
			at++;
		check_quiet(at >= size[i], "what this library does not know reads 0",
			    "%zu bytes: at %zu", size[i], at);
		for (at = size[i]; at < sizeof(room) && room[at] == 0xee;)
			at++;
		check_quiet(at == sizeof(room), "no more than it has is written",
			    "%zu bytes: at %zu", size[i], at);
	}
	check(1, "older and newer callers are served", "-");
}

/* ---- requests ---- */

/* Since @before so many requests of each mode, and no NULL. */
static void requests_were(const u64 *wanted, const char *name)
{
	unsigned int wrong = 0;

	look(&after);
	for (unsigned int i = 0; i < NST_NR_MODES; i++) {
		wrong += after.requests[i] - before.requests[i] != wanted[i] ||
			 after.nulls[i] != before.nulls[i];
		check_quiet(after.requests[i] - before.requests[i] == wanted[i], name,
			    "%s: %llu, not %llu", nst_mode_rows[i].name,
			    (unsigned long long)(after.requests[i] - before.requests[i]),
			    (unsigned long long)wanted[i]);
	}
	check(wrong == 0, name, "%u modes", wrong);
}

static void each_mode(void)
{
	struct nst_cache *c = nst_cache_create("modes", 64, 0, NST_CACHE_NOLOCK, NULL);
	u64 wanted[NST_NR_MODES];
	void *p;

	for (int cpu = 0; cpu < 2 && cpu_nth((unsigned int)cpu) >= 0; cpu++) {
		run_on_cpu(0, cpu_nth((unsigned int)cpu));
		if (nst_stock(c, 100, NST_CPU_THIS))
			check_broken("stock");
		look(&before);
		for (unsigned int i = 0; i < NST_NR_MODES; i++) {
			wanted[i] = i + 3;
			for (unsigned int k = 0; k < i + 3; k++) {
				p = nst_cache_alloc(c, (nst_mode_t)(1u << i));
				nst_cache_free(c, p);
			}
		}
		requests_were(wanted, cpu ? "from every CPU" : "each mode's requests are counted");
	}
	run_on_cpu(0, cpu_nth(0));
	nst_cache_destroy(c);
}

static void each_entry(void)
{
	void *p[10], *run, *large;
	nst_scope_t scope;
	const u64 wanted[NST_NR_MODES] = {[NST_MODE_INDEX_NORMAL] = 4 + 10 + 2,
					  [NST_MODE_INDEX_ATOMIC] = 1,
					  [NST_MODE_INDEX_NOLOCK] = 2 + 1};

	if (nst_stock(nst_cache_of_size(64), 40, NST_CPU_THIS))
		check_broken("stock");
	look(&before);
	p[0] = nst_alloc(64, NST_NORMAL);
	p[0] = nst_realloc(p[0], 5000, NST_NORMAL);
	nst_free(p[0]);
	nst_free(nst_alloc_aligned(64, 1024, NST_NORMAL));
	nst_free(nst_alloc(64, NST_NORMAL | NST_ZERO));
	nst_free_bulk(nst_alloc_bulk(64, NST_NORMAL, 10, p), p);
	large = nst_alloc((size_t)3 << 20, NST_NORMAL);
	nst_free(large);
	run = nst_pages_alloc(2, NST_NORMAL);
	nst_pages_free(run);
	nst_pages_free(nst_pages_alloc(0, NST_ATOMIC));
	nst_pages_free(nst_pages_alloc_nolock(0));
	nst_free(nst_alloc_nolock(64));
	scope = nst_scope_enter(NST_SCOPE_NOLOCK);
	nst_free_nolock(nst_alloc(64, NST_NORMAL)), NST_BECAUSE("the scope allows no other");
	nst_scope_exit(scope);
	nst_maintain();
	requests_were(wanted, "each entry is one request, bulk one each, frees none");
}

/* ---- NULLs ---- */

static struct nst_cache *plain, *built;

static void build(void *obj)
{
	memset(obj, 1, 64);
}

static void *size_nolock(void)
{
	return nst_alloc_nolock(NST_NOLOCK_MAX + 1);
}

static void *size_fasttry(void)
{
	return nst_alloc_fasttry(0);
}

static void *size_zero(void)
{
	return nst_alloc(0, NST_NORMAL);
}

static void *size_mapping(void)
{
	return nst_alloc((size_t)3 << 20, NST_NOWAIT);
}

static void *order_nolock(void)
{
	return nst_pages_alloc_nolock(NST_ORDER_NOLOCK_MAX + 1);
}

static void *order_large(void)
{
	return nst_pages_alloc(NST_ORDER_MAX + 1, NST_NORMAL);
}

static void *mode_none(void)
{
	return (nst_alloc)(64, NST_ZERO);
}

static void *mode_zero(void)
{
	return nst_cache_alloc(built, NST_NORMAL | NST_ZERO);
}

static void *empty(void)
{
	return nst_cache_alloc(plain, NST_FASTTRY);
}

static void *busy(void)
{
	void *p;

	nst_test_fail[NST_FAIL_TRYLOCK] = -1;
	p = nst_cache_alloc_nolock(plain);
	nst_test_fail[NST_FAIL_TRYLOCK] = 0;
	return p;
}

static void *constructor(void)
{
	return nst_cache_alloc_nolock(built);
}

static void *no_memory(void)
{
	void *p;

	nst_test_fail[NST_FAIL_COMMIT] = -1; /* it is tried again */
	p = nst_alloc((size_t)3 << 20, NST_NORETRY);
	nst_test_fail[NST_FAIL_COMMIT] = 0;
	return p;
}

/* Pages until the reserve, which is not NOWAIT's. */
static void *watermark(void)
{
	static void *page[65536];
	unsigned int n = 0;

	while (n < 65536 && (page[n] = nst_pages_alloc(0, NST_NOWAIT)) != NULL)
		n++;
	if (n == 65536)
		return page[0];
	while (n)
		nst_pages_free(page[--n]);
	return NULL;
}

#define NO_MODE NST_NR_MODES

static void each_null(void)
{
	static const struct {
		const char *name;
		void *(*get)(void);
		unsigned int mode;
		enum nst_null_reason why;
	} script[] = {
		{"a size that no-lock does not serve", size_nolock, NST_MODE_INDEX_NOLOCK,
		 NST_NULL_SIZE},
		{"no size", size_fasttry, NST_MODE_INDEX_FASTTRY, NST_NULL_SIZE},
		{"nor in a mode that waits", size_zero, NST_MODE_INDEX_NORMAL, NST_NULL_SIZE},
		{"a mapping for who may not sleep", size_mapping, NST_MODE_INDEX_NOWAIT,
		 NST_NULL_SIZE},
		{"an order that no-lock does not serve", order_nolock, NST_MODE_INDEX_NOLOCK,
		 NST_NULL_SIZE},
		{"an order that there is not", order_large, NST_MODE_INDEX_NORMAL, NST_NULL_SIZE},
		{"modifiers alone are no mode", mode_none, NO_MODE, NST_NULL_MODE},
		{"zero what is constructed", mode_zero, NST_MODE_INDEX_NORMAL, NST_NULL_MODE},
		{"this CPU has none", empty, NST_MODE_INDEX_FASTTRY, NST_NULL_EMPTY},
		{"the slabs are held", busy, NST_MODE_INDEX_NOLOCK, NST_NULL_BUSY},
		{"a slab would need its constructor", constructor, NST_MODE_INDEX_NOLOCK,
		 NST_NULL_CTOR},
		{"the kernel refuses", no_memory, NST_MODE_INDEX_NORETRY, NST_NULL_NOMEM},
		{"the reserve is left", watermark, NST_MODE_INDEX_NOWAIT, NST_NULL_WATERMARK},
	};

	plain = nst_cache_create("plain", 64, 0, 0, NULL);
	built = nst_cache_create("built", 64, 0, 0, build);
	for (size_t k = 0; k < NST_ARRAY_SIZE(script); k++) {
		unsigned int wrong = 0, i;
		void *p;

		look(&before);
		p = script[k].get();
		look(&after);
		for (i = 0; i < NST_NR_MODES; i++)
			wrong += after.nulls[i] - before.nulls[i] != (i == script[k].mode);
		for (i = 0; i < NST_NR_NULLS; i++)
			wrong += after.null_reasons[i] - before.null_reasons[i] !=
				 (i == (unsigned int)script[k].why);
		check(!p && wrong == 0, script[k].name, "%p, %u counters are not as they should be",
		      p, wrong);
	}
	nst_cache_destroy(plain);
	nst_cache_destroy(built);
}

static void early(void)
{
	look(&before);
	check(before.null_reasons[NST_NULL_EARLY] == 1 && before.nulls[NST_MODE_INDEX_NOLOCK] == 1,
	      "what came before the start is counted", "%llu, %llu NULLs",
	      (unsigned long long)before.null_reasons[NST_NULL_EARLY],
	      (unsigned long long)before.nulls[NST_MODE_INDEX_NOLOCK]);
}

/* ---- caches ---- */

static struct nst_cache_stats caches[NR_CACHES];

static const struct nst_cache_stats *entry(const char *name)
{
	size_t n = nst_stats_caches(caches, NR_CACHES, sizeof(caches[0]));

	for (size_t i = 0; i < n && i < NR_CACHES; i++)
		if (!strcmp(caches[i].name, name))
			return &caches[i];
	return NULL;
}

/* Objects of "counted" that are nowhere free. */
static u64 live(void)
{
	const struct nst_cache_stats *s;

	nst_debug_quarantine_flush();
	s = entry("counted");
	return s->objects - s->in_slabs - s->in_cpus - s->in_barn;
}

/* Made, named, counted, and gone. */
static void one_cache(void)
{
	size_t n = nst_stats_caches(NULL, 0, sizeof(caches[0]));
	struct nst_cache *c = nst_cache_create("counted", 100, 0, 0, NULL);
	const struct nst_cache_stats *s;
	u32 id = c->id;
	void *obj;

	check(nst_stats_caches(NULL, 0, sizeof(caches[0])) == n + 1, "a new cache is counted",
	      "it is not");
	s = entry("counted");
	check(s && s->object_bytes == 100 && s->slot_bytes == c->slot && s->objects == 0,
	      "and is in the table, with nothing yet", "%p", (const void *)s);
	if (nst_cache_fill(c, nst_this_node(), &obj, 1) != 1)
		check_broken("an object");
	s = entry("counted");
	check(s->slabs == 1 && s->objects == c->slots && s->in_slabs == c->slots - 1 && live() == 1,
	      "its first slab has one object in use", "%llu of %llu are free",
	      (unsigned long long)s->in_slabs, (unsigned long long)s->objects);
	nst_to_slab_waits(c, obj);
	s = entry("counted");
	check(s->slabs == 1 && s->in_slabs == c->slots && live() == 0,
	      "and none when that is put back", "%llu of %llu are free",
	      (unsigned long long)s->in_slabs, (unsigned long long)s->objects);
	nst_cache_destroy(c);
	check(nst_stats_caches(NULL, 0, sizeof(caches[0])) == n && !entry("counted") &&
		      nst_stats_cache(id, &caches[0]) == -ENOENT,
	      "a cache that is gone is in no table", "it is");
}

static void objects(void)
{
	struct nst_cache *c = nst_cache_create("counted", 100, 0, 0, NULL);
	const struct nst_cache_stats *s;
	u64 stocked = 200;
	void *p[100];

	if (nst_cache_alloc_bulk(c, NST_NORMAL, 100, p) != 100)
		check_broken("objects");
	check(live() == 100, "objects handed out are missing from the table", "%llu of 100",
	      (unsigned long long)live());
	nst_cache_free_bulk(c, 40, p);
	check(live() == 60, "until they are freed", "%llu of 60", (unsigned long long)live());
	if (!nst_barn_add_full(c, nst_this_node()) || nst_stock(c, 200, cpu_nth(0)))
		check_broken("stock");
	/* Without sequences all CPUs share what is stocked. */
	if (cpu_nth(1) >= 0 && nst_stock(c, 200, cpu_nth(1)) == 0 && nst_sys_rseq.usable)
		stocked += 200;
	s = entry("counted");
	check(s->in_barn == c->batch && s->in_cpus >= stocked && s->stocked_per_cpu == 200,
	      "a sheaf in the barn and every CPU's stock are in it", "%llu, %llu, %llu",
	      (unsigned long long)s->in_barn, (unsigned long long)s->in_cpus,
	      (unsigned long long)s->stocked_per_cpu);
	check(live() == 60 && s->objects == s->slabs * c->slots, "and still all adds up", "%llu",
	      (unsigned long long)live());
	nst_cache_free_bulk(c, 60, p + 40);
	check(live() == 0, "in the end none is missing", "%llu", (unsigned long long)live());
	check(nst_cache_destroy(c) == 0, "and the cache can go", "it cannot");
}

static void cache_table(void)
{
	static unsigned char room[NR_CACHES * (sizeof(caches[0]) + 16)];
	static const size_t size[] = {32, 40, sizeof(caches[0]), sizeof(caches[0]) + 16};
	size_t n = nst_stats_caches(caches, NR_CACHES, sizeof(caches[0])), wrong = 0, k, i, at;

	check(n > 20 && n <= NR_CACHES, "every size class is in the table", "%zu caches", n);
	for (k = 0; k < NST_ARRAY_SIZE(size); k++) {
		memset(room, 0xee, sizeof(room));
		wrong += nst_stats_caches((void *)room, 5, size[k]) != n;
		for (i = 0; i < 5; i++)
			wrong += memcmp(room + i * size[k], &caches[i],
					nst_min(size[k], sizeof(caches[0]))) != 0;
		for (i = 0; i < 5; i++)
			for (at = sizeof(caches[0]); at < size[k]; at++)
				wrong += room[i * size[k] + at] != 0;
		wrong += room[5 * size[k]] != 0xee;
	}
	check(wrong == 0, "older and newer callers get the rows that fit, each of their size",
	      "%zu times not", wrong);
}

/* ---- locks and memory ---- */

static u64 holds(const struct nst_lock_stats *s, unsigned int from)
{
	u64 n = 0;

	for (unsigned int i = from; i < NST_HOLD_BUCKETS; i++)
		n += s->hold_log2_ns[i];
	return n;
}

static void locks(void)
{
	struct timespec ts = {0, 3000000};
	struct nst_lock *l = &nst_zones[0].lock;
	const struct nst_lock_stats *s = &after.locks[NST_LOCK_ZONE],
				    *was = &before.locks[NST_LOCK_ZONE];
	struct nst_lock_counters *any = &nst_lock_counters[NST_LOCK_META];
	unsigned int wrong = 0, i, got = 0;

	for (i = 0; i < 64; i++, any->taken++) /* holds of every length that can be measured */
		any->hold_log2_ticks[i]++;
	look(&before);
	for (i = 0; i < 5; i++) {
		nst_lock_wait(l);
		got += (unsigned int)nst_trylock(l);
		if (i == 0)
			nanosleep(&ts, NULL);
		nst_unlock(l);
	}
	look(&after);
	for (i = 0; i < NST_NR_LOCKS; i++)
		wrong += holds(&after.locks[i], 0) != after.locks[i].taken;
	check(wrong == 0, "each hold is in one bucket of the histogram", "not of %u classes",
	      wrong);
	/* Reading takes each zone's lock once, after the locks have been read. */
	check(s->taken - was->taken == 5 + nst_sys_cpus.nr_nodes, "each hold is counted once",
	      "%llu", (unsigned long long)(s->taken - was->taken));
	check(s->try_failed - was->try_failed == 5 && got == 0, "so is each try that failed",
	      "%llu", (unsigned long long)(s->try_failed - was->try_failed));
	check(s->longest_hold_ns >= 1000000 && holds(s, 20) > 0, "a hold of 3 ms is seen as one",
	      "%llu ns, %llu holds", (unsigned long long)s->longest_hold_ns,
	      (unsigned long long)holds(s, 20));
}

static void zones(void)
{
	const struct nst_zone_stats *s = &after.zones[0];
	struct nst_zone *z = &nst_zones[0];
	u64 pages = 0, reserved = 0;

	look(&after);
	for (unsigned int m = 0; m < NST_NR_MOBILITIES; m++)
		for (unsigned int i = 0; i < NST_NR_ORDERS; i++)
			pages += s->free_blocks[m][i] << i;
	check(pages == s->pages_free && pages == z->free_pages, "free blocks make the free pages",
	      "%llu, %llu", (unsigned long long)pages, (unsigned long long)s->pages_free);
	check(s->pages_ready == z->ready_pages && s->pages_min == z->min &&
		      s->pages_low == z->low && s->pages_high == z->high &&
		      !memcmp(s->taken, z->taken, sizeof(s->taken)) &&
		      !memcmp(s->fallback, z->fallback, sizeof(s->fallback)) &&
		      s->stolen_pageblocks == z->stolen && s->purge_failed == z->purge_failed,
	      "a zone's row is the zone", "it is not");
	for (u32 i = 0; i < nst_mm.nr_arenas; i++)
		reserved += nst_arenas[i].blocks_per_node * NST_BLOCK_PAGES;
	check(s->pages_reserved == reserved, "address space is that of its arenas",
	      "%llu, not %llu", (unsigned long long)s->pages_reserved,
	      (unsigned long long)reserved);
}

static void memory(void)
{
	struct nst_cache *c = nst_cache_create("side", 64, 0, 0, NULL);
	void *large, *obj;

	nst_maintain(); /* what was freed before is not in the way */
	look(&before);
	large = nst_alloc(((size_t)3 << 20) + 1, NST_NORMAL);
	look(&after);
	check(after.large_mappings - before.large_mappings == 1 &&
		      after.large_bytes - before.large_bytes == ((size_t)3 << 20) + 4096 &&
		      after.resident_bytes - before.resident_bytes == ((size_t)3 << 20) + 4096,
	      "a mapping is counted, in whole pages", "%llu bytes",
	      (unsigned long long)(after.large_bytes - before.large_bytes));
	check(after.metadata_bytes == nst_meta_bytes() &&
		      after.resident_bytes ==
			      nst_resident_pages * NST_PAGE_BYTES + nst_meta_bytes() &&
		      after.resident_peak_bytes >= after.resident_bytes,
	      "resident is what is ready, mapped, and the library's own", "%llu bytes",
	      (unsigned long long)after.resident_bytes);
	nst_free(large);
	nst_cache_fill(c, nst_this_node(), &obj, 1);
	nst_test_fail[NST_FAIL_TRYLOCK] = -1;
	nst_cache_put_nolock(c, obj, NST_SITE("memory"));
	nst_test_fail[NST_FAIL_TRYLOCK] = 0;
	look(&after);
	check(after.side_pushed - before.side_pushed == 1 &&
		      after.side_drained == before.side_drained,
	      "what goes to the side list is counted", "%llu, %llu",
	      (unsigned long long)(after.side_pushed - before.side_pushed),
	      (unsigned long long)(after.side_drained - before.side_drained));
	nst_side_drain();
	nst_maintain();
	look(&after);
	check(after.large_mappings == before.large_mappings &&
		      after.large_bytes == before.large_bytes,
	      "and no longer when it is given back", "%llu",
	      (unsigned long long)after.large_mappings);
	check(after.side_pushed - before.side_pushed == 1 &&
		      after.side_drained - before.side_drained == 1 && after.side_corrupt == 0 &&
		      after.misuse == 0,
	      "and what finds a place again", "%llu, %llu",
	      (unsigned long long)(after.side_pushed - before.side_pushed),
	      (unsigned long long)(after.side_drained - before.side_drained));
	nst_cache_destroy(c);
}

/* ---- with nolock_budget:5 ---- */

static void budget(void)
{
	struct nst_cache *c = nst_cache_create("budget", 64, 0, NST_CACHE_NOLOCK, NULL);
	void *p[20];
	size_t n = 0;

	if (nst_stock(c, 50, NST_CPU_THIS))
		check_broken("stock");
	nst_budget_refill();
	look(&before);
	while (n < 20 && (p[n] = nst_cache_alloc_nolock(c)) != NULL)
		n++;
	look(&after);
	check(n == 5 && after.requests[NST_MODE_INDEX_NOLOCK] -
					before.requests[NST_MODE_INDEX_NOLOCK] ==
				6,
	      "as many no-lock requests are served as the budget says", "%zu", n);
	check(after.null_reasons[NST_NULL_BUDGET] - before.null_reasons[NST_NULL_BUDGET] == 1 &&
		      after.nulls[NST_MODE_INDEX_NOLOCK] - before.nulls[NST_MODE_INDEX_NOLOCK] == 1,
	      "then it is NULL, and why", "%llu",
	      (unsigned long long)(after.null_reasons[NST_NULL_BUDGET] -
				   before.null_reasons[NST_NULL_BUDGET]));
	nst_cache_free_bulk(c, n, p);
	p[0] = nst_cache_alloc(c, NST_NORMAL);
	check(p[0] != NULL, "who may wait has no budget", "NULL");
	nst_cache_free(c, p[0]);
	check(!nst_cache_alloc(c, NST_FASTTRY) && !nst_pages_alloc_nolock(0),
	      "frees do not refill it, and all no-lock requests share it", "one was served");
	nst_budget_refill();
	check(nst_budget_take(3) == 3 && nst_budget_take(3) == 2 && nst_budget_take(3) == 0,
	      "a refill is all of it, and what is left is given", "not so");
	check(nst_maintain() >= 0 && nst_budget_take(9) == 5, "maintenance refills it",
	      "it does not");
	nst_cache_destroy(c);
}

/* One node, whatever the machine has. The refused mode would be said aloud. */
const char *test_conf(int argc, char **argv)
{
	(void)argv;
	return argc > 1 ? "worker:off,nodes:1,stats:full,warn:off,nolock_budget:5"
			: "worker:off,nodes:1,stats:full,warn:off";
}

int main(int argc, char **argv)
{
	conf_apply(argv);
	run_on_cpu(0, cpu_nth(0));
	early();
	if (argc > 1) {
		budget();
		return check_status();
	}
	one_cache(); /* the last number there is */
	objects();
	cache_table();
	refusals();
	snapshots();
	each_mode();
	each_entry();
	each_null();
	locks();
	zones();
	memory();
	return check_status();
}
