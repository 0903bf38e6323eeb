/* SPDX-License-Identifier: MIT */
/*
 * debug.c - misuse: found, named, reported in one line, then the end or (misuse:continue) ignored.
 *
 * Always on, on slow paths: pointer not ours, interior, wrong cache, run or mapping freed twice, bit
 * already free when an object returns to its slab; on every free: same as the top of the stack.
 * debug:1 a bit per 16 bytes says what is handed out: every double free at once; random slab order.
 * debug:2 fill (0x5a when handed out, 0x6b when freed, checked on the way out) and red zones (0xcc).
 * debug:3 the places of allocation and free behind each object; 64 freed ones of slabs in quarantine.
 *
 *	slot: | object (size) | pad | link words (constructors) | red 16 | alloc, free site 16 (debug 3) |
 *
 * From level 1 on every call is instrumented. All of it is legal where the call is: no lock, no
 * allocation; the line itself is written with a system call, which only misuse causes.
 */
#include "mm.h"
#include "claim/account.h"
#include "claim/pool.h"

#if defined(__SANITIZE_ADDRESS__)
#define NST_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define NST_ASAN 1
#endif
#endif

#ifdef NST_ASAN
void __asan_poison_memory_region(void const volatile *addr, size_t size);
void __asan_unpoison_memory_region(void const volatile *addr, size_t size);
#define asan_poison(p, n) __asan_poison_memory_region(p, n)
#define asan_unpoison(p, n) __asan_unpoison_memory_region(p, n)
#define UNDER_ASAN 1
#else
#define asan_poison(p, n) ((void)(p), (void)(n))
#define asan_unpoison(p, n) ((void)(p), (void)(n))
#define UNDER_ASAN 0
#endif
/* It looks at what is free. */
#define LOOKS_AT_FREE __attribute__((no_sanitize_address))

/* ThreadSanitizer sees objects change hands only on the slow paths, which tell it. */
#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#define UNDER_TSAN __has_feature(thread_sanitizer)
#else
#define UNDER_TSAN 0
#endif

#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#else
#define RUNNING_ON_VALGRIND 0
#define VALGRIND_MALLOCLIKE_BLOCK(p, n, red, zeroed) ((void)(p))
#define VALGRIND_FREELIKE_BLOCK(p, red) ((void)(p))
#define VALGRIND_MAKE_MEM_DEFINED(p, n) ((void)(p))
#define VALGRIND_MAKE_MEM_UNDEFINED(p, n) ((void)(p))
#endif

#define FILL_NEW 0x5a
#define FILL_FREE 0x6b
#define FILL_RED 0xcc
#define QUARANTINE 64u

static void *quarantine[QUARANTINE];
static u32 quarantine_next;

int nst_debug_under_tool(void)
{
	return UNDER_ASAN || UNDER_TSAN || RUNNING_ON_VALGRIND != 0;
}

size_t nst_debug_slot_extra(void)
{
	if (nst_mm.debug >= 3)
		return NST_RED_BYTES + 2 * sizeof(void *);
	return nst_mm.debug >= 2 ? NST_RED_BYTES : 0;
}

/* ---- reports ---- */

static const char *caller_text(struct nst_site site, char *buf, size_t len)
{
	if (nst_thread.caller)
		return nst_thread.caller;
	if (!site.address)
		return "unknown";
	nst_format(buf, len, "%p", site.address);
	if (nst_bug_caller)
		nst_bug_caller(site.address, buf, len);
	return buf;
}

/* @what and @allowed make the line; more of @what may be given as a finished text. */
void nst_misuse(const void *obj, struct nst_site site, const char *what, const char *allowed)
{
	char caller[128];

	nst_count(NST_COUNT_MISUSE, 1);
	nst_misuse_line(nst_option(NST_OPT_misuse) == 0, "%s(%p): %s; allowed: %s; caller %s",
			site.function, obj, what, allowed,
			caller_text(site, caller, sizeof(caller)));
}

static const void **sites_of(const struct nst_cache *c, const void *obj)
{
	return (const void **)((uintptr_t)obj + c->slot - 2 * sizeof(void *));
}

static const char *place_text(const void *addr, char *buf, size_t len)
{
	return caller_text((struct nst_site){NULL, addr}, buf, len);
}

/* Who allocated it (0), and who freed it (1). */
static LOOKS_AT_FREE const void *site_of_free(const struct nst_cache *c, const void *obj, u32 which)
{
	return sites_of(c, obj)[which];
}

void nst_misuse_double(const void *obj, struct nst_site site)
{
	struct nst_page *p = nst_page_of(obj);
	char what[320], a[128], b[128];
	const void *first = NULL;

	nst_format(what, sizeof(what), "freed twice");
	if (nst_mm.debug >= 3 && p && nst_page_state(p) == NST_PAGE_SLAB) {
		const struct nst_cache *c = nst_cache_number(p->cache);
		const char *here = nst_thread.caller;

		first = site_of_free(c, obj, 1);
		nst_thread.caller = NULL;
		nst_format(what, sizeof(what), "freed twice (allocated by %s, first freed by %s)",
			   place_text(site_of_free(c, obj, 0), a, sizeof(a)),
			   place_text(first, b, sizeof(b)));
		nst_thread.caller = here;
	}
	if (site.address)
		nst_lockdep_twice(obj, first, site.address);
	nst_misuse(obj, site, what, "one free of a live object");
}

static void misuse_interior(const void *obj, const void *start, struct nst_site site)
{
	char what[128];

	nst_format(what, sizeof(what), "points %zu bytes into an object",
		   (size_t)((const char *)obj - (const char *)start));
	nst_misuse(obj, site, what, "the pointer that was returned");
}

static void misuse_cache(const struct nst_cache *c, const struct nst_page *p, const void *obj,
			 struct nst_site site)
{
	char what[160];

	if (nst_page_state(p) != NST_PAGE_SLAB)
		nst_format(what, sizeof(what), "is a run of pages, no object of cache '%s'",
			   c->name);
	else
		nst_format(what, sizeof(what), "belongs to cache '%s', not '%s'",
			   nst_cache_number(p->cache)->name, c->name);
	nst_misuse(obj, site, what, "the cache or size it was allocated with");
}

void nst_misuse_destroyed(const struct nst_cache *c, struct nst_site site)
{
	nst_misuse(c, site, "the cache was destroyed", "a cache until its nst_cache_destroy()");
}

void nst_bad_mode(nst_mode_t mode, struct nst_site site)
{
	char name[160], caller[128];

	nst_count(NST_COUNT_REFUSED, 1);
	if (!nst_option(NST_OPT_warn))
		return;
	nst_mode_name(mode, name, sizeof(name));
	nst_warn("%s: mode 0x%x (%s); allowed: exactly one of NST_NORMAL ... NST_FASTTRY, with "
		 "modifiers; caller %s",
		 site.function, mode, name, caller_text(site, caller, sizeof(caller)));
}

/* ---- a pointer on a slow path ---- */

/*
 * May an object of @have be freed as one of @named? A class serves the next smaller one, too. Without
 * debugging, a sized free leaves it among the smaller ones, and from there it may serve yet smaller ones.
 */
static int cache_matches(const struct nst_cache *named, const struct nst_cache *have)
{
	if (named == have)
		return 1;
	if (!named->is_class || !have->is_class || have->size < named->size)
		return 0;
	return !nst_mm.debug || named->id + 1 == have->id;
}

/* Start of the slot that an address of a slab lies in. */
static const void *slot_start(const struct nst_cache *c, const struct nst_page *slab,
			      const void *obj)
{
	const char *base = nst_page_address(slab);

	return base + (size_t)((const char *)obj - base) / c->slot * c->slot;
}

int nst_debug_object_of(const void *addr, struct nst_lockdep_object *o)
{
	const struct nst_page *p = nst_page_of(addr);
	const struct nst_cache *c;

	if (!p || nst_page_state(p) != NST_PAGE_SLAB)
		return 0;
	c = nst_cache_number(p->cache);
	o->start = slot_start(c, p, addr);
	o->site = nst_mm.debug >= 3 ? sites_of(c, o->start)[0] : NULL;
	return 1;
}

static struct nst_page *check_slab(struct nst_cache *c, struct nst_page *p, void *obj,
				   struct nst_site site)
{
	struct nst_cache *have = nst_cache_number(p->cache);

	if (nst_slab_slot(have, p, obj) < 0)
		misuse_interior(obj, slot_start(have, p, obj), site);
	else if (c && c != have && !cache_matches(c, nst_cache_plain(have)))
		misuse_cache(c, p, obj, site);
	else
		return p;
	return NULL;
}

/* A run or mapping. */
static int is_live(enum nst_page_state state)
{
	return state == NST_PAGE_RUN || state == NST_PAGE_LARGE || state == NST_PAGE_MOVABLE ||
	       state == NST_PAGE_MOVING;
}

struct nst_page *nst_free_check(struct nst_cache *c, void *obj, struct nst_site site)
{
	struct nst_page *p = c ? nst_slab_of(obj, c->order) : nst_page_of(obj);

	if (c && !nst_cache_is_used(c)) {
		nst_misuse_destroyed(c, site);
		return NULL;
	}
	if (!p) {
		nst_misuse(obj, site, "not memory of this library", "a pointer from nst_*alloc*()");
		return NULL;
	}
	if (nst_page_state(p) == NST_PAGE_SLAB)
		return check_slab(c, p, obj, site);
	if (!is_live(nst_page_state(p)))
		nst_misuse_double(obj, site);
	else if (obj != nst_page_address(p))
		misuse_interior(obj, nst_page_address(p), site);
	else if (c)
		misuse_cache(c, p, obj, site);
	else
		return p;
	return NULL;
}

/* ---- live bits ---- */

int nst_live_prepare(struct nst_arena *a, size_t block)
{
	char *bits = (char *)a->live + block * (NST_BLOCK_BYTES / 16 / 8);
	int err = nst_sys_commit(bits, NST_BLOCK_BYTES / 16 / 8);

	return err ? err : nst_sys_populate(bits, NST_BLOCK_BYTES / 16 / 8);
}

static u64 *live_word(const void *obj, u64 *bit)
{
	struct nst_arena *a = nst_arena_of(obj);
	size_t unit = ((uintptr_t)obj - a->base) / 16;

	*bit = 1ull << (unit % 64);
	return &a->live[unit / 64];
}

static int live_begin(const void *obj)
{
	u64 bit, *word = live_word(obj, &bit);

	return !(nst_or_relaxed(word, bit) & bit); /* the bit alone matters */
}

static int live_end(const void *obj)
{
	u64 bit, *word = live_word(obj, &bit);

	return (nst_and_relaxed(word, ~bit) & bit) != 0; /* the bit alone matters */
}

/* ---- retired ---- */

int nst_debug_retire(void *obj, struct nst_site site)
{
	struct nst_page *p = nst_page_of(obj);

	if (!live_end(obj)) {
		nst_misuse_double(obj, site);
		return 0;
	}
	if (nst_mm.debug >= 3 && nst_page_state(p) == NST_PAGE_SLAB)
		sites_of(nst_cache_number(p->cache), obj)[1] = site.address;
	return 1;
}

const void *nst_debug_unretire(void *obj)
{
	struct nst_page *p = nst_page_of(obj);

	live_begin(obj);
	if (nst_mm.debug < 3 || nst_page_state(p) != NST_PAGE_SLAB)
		return NULL;
	return sites_of(nst_cache_number(p->cache), obj)[1];
}

/* ---- fill and red zones ---- */

static void fill(void *p, u8 with, size_t n)
{
	__builtin_memset(p, with, n);
}

/* Index of the first byte that is not @with, or @n. */
static size_t first_other(const void *p, u8 with, size_t n)
{
	const u8 *b = p;
	size_t i = 0;

	while (i < n && b[i] == with)
		i++;
	return i;
}

static size_t red_start(const struct nst_cache *c)
{
	return c->ctor ? c->slot - nst_debug_slot_extra() : c->size;
}

static size_t red_bytes(const struct nst_cache *c)
{
	size_t sites = nst_mm.debug >= 3 ? 2 * sizeof(void *) : 0;

	return c->slot - sites - red_start(c);
}

static void check_red(struct nst_cache *c, void *obj, struct nst_site site)
{
	char *red = (char *)obj + red_start(c), what[96];
	size_t n = red_bytes(c), at = first_other(red, FILL_RED, n);

	if (at == n)
		return;
	nst_format(what, sizeof(what), "written past its end, at byte %zu", red_start(c) + at);
	fill(red, FILL_RED, n);
	nst_misuse(obj, site, what, "the size it was allocated with");
}

static void check_fill(struct nst_cache *c, void *obj, struct nst_site site)
{
	size_t at = first_other(obj, FILL_FREE, c->size);
	char what[96];

	if (at == c->size)
		return;
	nst_format(what, sizeof(what), "written after it was freed, at byte %zu", at);
	nst_misuse(obj, site, what, "no use after the free");
}

void nst_debug_refill(struct nst_cache *c, void *obj, size_t bytes)
{
	if (nst_mm.debug >= 2 && !c->ctor)
		fill(obj, FILL_FREE, nst_min(bytes, c->size));
	if (nst_mm.debug >= 2 && !c->ctor && bytes > c->size)
		fill((char *)obj + red_start(c), FILL_RED, bytes - c->size);
	if (UNDER_ASAN)
		asan_poison(obj, bytes);
}

void nst_debug_expose(const void *words)
{
	asan_unpoison(words, 16);
	if (UNDER_ASAN || nst_mm.instrument & NST_INSTRUMENT_TOOL)
		(void)VALGRIND_MAKE_MEM_DEFINED(words, 16);
}

void nst_debug_slab_made(struct nst_cache *c, void *addr)
{
	u32 i;

	for (i = 0; nst_mm.debug >= 2 && i < c->slots; i++) {
		char *obj = (char *)addr + (size_t)i * c->slot;

		if (!c->ctor)
			fill(obj, FILL_FREE, c->size);
		fill(obj + red_start(c), FILL_RED, red_bytes(c));
	}
	asan_poison(addr, (size_t)c->slots * c->slot);
}

void nst_debug_slab_gone(void *addr, size_t bytes)
{
	asan_unpoison(addr, bytes);
	if (nst_mm.instrument & NST_INSTRUMENT_TOOL)
		(void)VALGRIND_MAKE_MEM_UNDEFINED(addr, bytes);
}

/* ---- each object handed out and taken back ---- */

static void alloc_slab_object(struct nst_cache *c, void *obj, struct nst_site site)
{
	asan_unpoison(obj, UNDER_ASAN && !nst_mm.debug ? c->size : c->slot);
	if (nst_mm.instrument & NST_INSTRUMENT_TOOL)
		VALGRIND_MALLOCLIKE_BLOCK(obj, c->size, 0, c->ctor != NULL);
	if (nst_mm.debug >= 3)
		sites_of(c, obj)[0] = site.address;
	if (nst_mm.debug >= 2 && !c->ctor) {
		if (nst_mm.instrument & NST_INSTRUMENT_TOOL)
			(void)VALGRIND_MAKE_MEM_DEFINED(obj, c->size);
		check_fill(c, obj, site);
		fill(obj, FILL_NEW, c->size);
	}
}

void nst_debug_alloc(struct nst_cache *c, void *obj, struct nst_site site)
{
	if (nst_mm.debug && !live_begin(obj))
		nst_corrupt("%s: %p was handed out twice", site.function, obj);
	if (c)
		alloc_slab_object(c, obj, site);
}

static void free_slab_object(struct nst_cache *c, void *obj, struct nst_site site)
{
	if (nst_mm.debug >= 2)
		check_red(c, obj, site);
	if (nst_mm.debug >= 3)
		sites_of(c, obj)[1] = site.address;
	if (nst_mm.debug >= 2 && !c->ctor)
		fill(obj, FILL_FREE, c->size);
	if (nst_mm.instrument & NST_INSTRUMENT_TOOL)
		VALGRIND_FREELIKE_BLOCK(obj, 0);
	asan_poison(obj, c->slot);
}

int nst_debug_end_use(struct nst_page *p, void *obj, struct nst_site site)
{
	if (nst_mm.debug && !live_end(obj)) {
		nst_misuse_double(obj, site);
		return 0;
	}
	if (nst_page_state(p) == NST_PAGE_SLAB)
		free_slab_object(nst_cache_number(p->cache), obj, site);
	return 1;
}

/*
 * Debug 3: keeps @obj and returns an older one to free now, or NULL. Not for runs and mappings: they are
 * large, and the state of their page shows a second free for as long as nobody else has them.
 */
static void *through_quarantine(const struct nst_page *p, void *obj)
{
	u32 i;

	if (nst_mm.debug < 3 || nst_page_state(p) != NST_PAGE_SLAB)
		return obj;
	i = nst_add_relaxed(&quarantine_next, 1u) % QUARANTINE; /* only spreads */
	/* Pairs with: itself, and nst_debug_quarantine_flush(). */
	return nst_exchange_acq_rel(&quarantine[i], obj);
}

/* 1: there is something to place. */
static int end_movable(struct nst_page *p, const void *obj, struct nst_site site)
{
	enum nst_movable_end end = nst_movable_freed(p);

	if (end == NST_MOVABLE_TWICE)
		nst_misuse_double(obj, site);
	return end == NST_MOVABLE_YOURS;
}

struct nst_page *nst_free_admit(struct nst_cache *c, void **obj, struct nst_site site)
{
	struct nst_page *p = nst_free_check(c, *obj, site);

	if (p && nst_unlikely(nst_page_is_movable(p)) && !end_movable(p, *obj, site))
		return NULL;
	if (!p || (nst_mm.instrument && !nst_debug_end_use(p, *obj, site)))
		return NULL;
	if (nst_unlikely(!nst_owner_freed(p, *obj))) {
		nst_misuse_double(*obj, site);
		return NULL;
	}
	if (!nst_mm.instrument)
		return p;
	if (nst_mm.instrument & NST_INSTRUMENT_CHECK)
		nst_lockdep_freed(*obj, nst_page_usable(p), site.address);
	*obj = through_quarantine(p, *obj);
	return *obj ? nst_page_of(*obj) : NULL;
}

void nst_debug_quarantine_flush(void)
{
	struct nst_site site = {"quarantine", NULL};
	u32 i;

	for (i = 0; i < QUARANTINE; i++) {
		/* Pairs with: the exchange in through_quarantine(). */
		void *obj = nst_exchange_acquire(&quarantine[i], NULL);

		if (obj)
			nst_cache_put_waits(nst_cache_number(nst_page_of(obj)->cache), obj, site);
	}
}
