/* SPDX-License-Identifier: MIT */
/*
 * mix.c - the kinds of request, and one step of a mix.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include "mix.h"
#include "owner.h"
#include "pattern.h"

static void construct(void *object)
{
	uint64_t word = MIX_CTOR_WORD;

	memcpy(object, &word, sizeof(word));
}

static void no_readers(void *ctx)
{
	(void)ctx;
}

void mix_caches_make(struct mix_caches *caches, uint32_t flags)
{
	static const struct nst_rcu_domain_ops ops = {.synchronize = no_readers};

	caches->small = nst_cache_create("mix small", MIX_SMALL_BYTES, 0, flags, NULL);
	caches->middle = nst_cache_create("mix middle", MIX_MIDDLE_BYTES, 64,
					  flags | NST_CACHE_RECLAIMABLE, NULL);
	caches->ctor = nst_cache_create("mix ctor", MIX_CTOR_BYTES, 8, flags, construct);
	if (!caches->small || !caches->middle || !caches->ctor)
		check_broken("nst_cache_create");
	if (nst_rcu_domain_create("mix", &ops, &caches->domain))
		check_broken("nst_rcu_domain_create");
}

int mix_caches_stock(const struct mix_caches *caches, size_t n)
{
	struct nst_cache *const own[] = {caches->small, caches->middle, caches->ctor};
	struct nst_cache *last = NULL;
	int rc = 0;

	for (unsigned int i = 0; i < 3; i++)
		rc = rc ? rc : nst_stock(own[i], n, NST_CPU_ALL);
	for (size_t size = 16; size <= 8192; size += 16) {
		struct nst_cache *cache = nst_cache_of_size(size);
		if (cache != last)
			rc = rc ? rc : nst_stock(cache, n, NST_CPU_ALL);
		last = cache;
	}
	return rc;
}

size_t mix_caches_destroy(struct mix_caches *caches)
{
	return nst_cache_destroy(caches->small) + nst_cache_destroy(caches->middle) +
	       nst_cache_destroy(caches->ctor);
}

/* ---- kinds of request: each sets the size it asked for ---- */

static uint32_t some_size(struct mix *mix)
{
	return rng_size(&mix->rng, 8, mix->size_max);
}

/* FASTTRY finds what was stocked; runs of pages are not, and by it are asked for now and then. */
static uint32_t some_stocked_size(struct mix *mix)
{
	uint32_t size = some_size(mix);

	return size > 8192 && rng_below(&mix->rng, 16) ? 8192 : size;
}

static unsigned int some_order(struct mix *mix)
{
	/* Two in three are single pages, as in life. */
	unsigned int n = rng_below(&mix->rng, 12);
	return n < 8 ? 0 : n < 10 ? 1 : n < 11 ? 2 : 3;
}

static nst_mode_t some_mode(struct mix *mix)
{
	static const nst_mode_t modes[] = {NST_NORMAL, NST_NORETRY, NST_NOWAIT, NST_ATOMIC};
	static const nst_mode_t where[] = {
		0, 0, NST_MOVABLE, NST_RECLAIMABLE, NST_THISNODE, NST_NOWARN | NST_NOMEMALLOC};
	return modes[rng_below(&mix->rng, 4)] | where[rng_below(&mix->rng, 6)];
}

static nst_mode_t some_nolock_mode(struct mix *mix)
{
	static const nst_mode_t where[] = {
		0, 0, NST_MOVABLE, NST_RECLAIMABLE, NST_THISNODE, NST_NOWARN | NST_NOMEMALLOC};
	return NST_NOLOCK | where[rng_below(&mix->rng, 6)];
}

static void *by_nolock(struct mix *mix, uint32_t *size)
{
	*size = some_size(mix);
	return nst_alloc_nolock(*size);
}

static void *by_fasttry(struct mix *mix, uint32_t *size)
{
	*size = some_stocked_size(mix);
	return nst_alloc_fasttry(*size);
}

static void *by_mode_nolock(struct mix *mix, uint32_t *size)
{
	*size = some_size(mix);
	return nst_alloc(*size, some_nolock_mode(mix));
}

static void *by_mode_fasttry(struct mix *mix, uint32_t *size)
{
	*size = some_stocked_size(mix);
	return nst_alloc(*size, NST_FASTTRY);
}

static void *zeroed(struct mix *mix, void *ptr, uint32_t size)
{
	if (ptr && pattern_zero(ptr, size) != size)
		mix->not_zero++;
	return ptr;
}

static void *by_mode_zero(struct mix *mix, uint32_t *size)
{
	*size = some_size(mix);
	return zeroed(mix, nst_alloc(*size, some_nolock_mode(mix) | NST_ZERO), *size);
}

static void *by_aligned(struct mix *mix, uint32_t *size)
{
	size_t align = (size_t)8 << rng_below(&mix->rng, 7);
	*size = rng_size(&mix->rng, 8, 4096);
	void *ptr = nst_alloc_aligned(*size, align, some_nolock_mode(mix));
	if ((uintptr_t)ptr & (align - 1))
		mix->misaligned++;
	return ptr;
}

static void *by_realloc(struct mix *mix, uint32_t *size)
{
	uint32_t first = rng_size(&mix->rng, 8, 2048);
	unsigned char *ptr = nst_alloc_nolock(first), *moved;

	*size = first;
	if (!ptr)
		return NULL;
	pattern_fill(ptr, first, 7);
	*size = rng_size(&mix->rng, 8, 4096);
	moved = nst_realloc(ptr, *size, some_nolock_mode(mix));
	uint32_t kept = *size < first ? *size : first;
	if (!moved) {
		*size = first;
		return ptr;
	}
	/* The pattern knows its address: compare with what the old one had, word by word. */
	for (uint32_t i = 0; i + 8 <= kept; i += 8) {
		uint64_t word;
		memcpy(&word, moved + i, 8);
		if (word != pattern_word(ptr, 7, i) && i + 8 <= (first & ~7u))
			mix->damaged++;
	}
	return moved;
}

static void *by_small(struct mix *mix, uint32_t *size)
{
	*size = MIX_SMALL_BYTES;
	return nst_cache_alloc_nolock(mix->caches->small);
}

static void *by_small_mode(struct mix *mix, uint32_t *size)
{
	*size = MIX_SMALL_BYTES;
	return nst_cache_alloc(mix->caches->small, NST_NOLOCK);
}

static void *by_small_fasttry(struct mix *mix, uint32_t *size)
{
	*size = MIX_SMALL_BYTES;
	return nst_cache_alloc(mix->caches->small, NST_FASTTRY);
}

static void *by_middle(struct mix *mix, uint32_t *size)
{
	*size = MIX_MIDDLE_BYTES;
	return nst_cache_alloc_nolock(mix->caches->middle);
}

static void *by_middle_zero(struct mix *mix, uint32_t *size)
{
	*size = MIX_MIDDLE_BYTES;
	return zeroed(mix, nst_cache_alloc(mix->caches->middle, some_nolock_mode(mix) | NST_ZERO),
		      *size);
}

static void *built(struct mix *mix, void *ptr)
{
	uint64_t word;

	if (!ptr)
		return NULL;
	memcpy(&word, ptr, sizeof(word));
	if (word != MIX_CTOR_WORD)
		mix->not_built++;
	return ptr;
}

static void *by_ctor(struct mix *mix, uint32_t *size)
{
	*size = MIX_CTOR_BYTES;
	return built(mix, nst_cache_alloc_nolock(mix->caches->ctor));
}

static void *by_pages(struct mix *mix, uint32_t *size)
{
	unsigned int order = some_order(mix);
	*size = (uint32_t)NST_PAGE_SIZE << order;
	void *ptr = nst_pages_alloc_nolock(order);
	if ((uintptr_t)ptr & (*size - 1))
		mix->misaligned++;
	return ptr;
}

static void *by_pages_mode(struct mix *mix, uint32_t *size)
{
	unsigned int order = some_order(mix);
	*size = (uint32_t)NST_PAGE_SIZE << order;
	return nst_pages_alloc(order, some_nolock_mode(mix));
}

static void *by_pages_fasttry(struct mix *mix, uint32_t *size)
{
	unsigned int order = rng_below(&mix->rng, 16) ? 0 : some_order(mix);
	*size = (uint32_t)NST_PAGE_SIZE << order;
	return nst_pages_alloc(order, NST_FASTTRY);
}

static void *by_bulk(struct mix *mix, uint32_t *size)
{
	void *out[6];

	*size = rng_size(&mix->rng, 8, 2048);
	size_t nr = nst_alloc_bulk(*size, some_nolock_mode(mix), 6, out);
	for (size_t i = 1; i < nr; i++)
		pattern_fill(out[i], *size, i);
	for (size_t i = 1; i < nr; i++) {
		mix->damaged += pattern_check(out[i], *size, i) != *size;
		nst_free_nolock(out[i]);
	}
	return nr ? out[0] : NULL;
}

static void *by_scope(struct mix *mix, uint32_t *size)
{
	nst_scope_t scope = nst_scope_enter(NST_SCOPE_NOLOCK);

	*size = some_size(mix);
	void *ptr = nst_alloc(*size, NST_NORMAL);
	void *other = nst_alloc(*size, NST_NOWAIT);
	nst_free(other);
	nst_scope_exit(scope);
	return ptr;
}

static void *ordinary_alloc(struct mix *mix, uint32_t *size)
{
	*size = some_size(mix);
	return nst_alloc(*size, some_mode(mix));
}

static void *ordinary_zero(struct mix *mix, uint32_t *size)
{
	*size = some_size(mix);
	return zeroed(mix, nst_alloc(*size, some_mode(mix) | NST_ZERO), *size);
}

static void *ordinary_realloc(struct mix *mix, uint32_t *size)
{
	*size = some_size(mix);
	void *ptr = nst_alloc(some_size(mix), some_mode(mix));
	void *moved = nst_realloc(ptr, *size, some_mode(mix));
	if (!moved)
		nst_free(ptr);
	return moved;
}

static void *ordinary_aligned(struct mix *mix, uint32_t *size)
{
	size_t align = (size_t)8 << rng_below(&mix->rng, 11);
	*size = some_size(mix);
	void *ptr = nst_alloc_aligned(*size, align, some_mode(mix));
	if ((uintptr_t)ptr & (align - 1))
		mix->misaligned++;
	return ptr;
}

static void *ordinary_small(struct mix *mix, uint32_t *size)
{
	*size = MIX_SMALL_BYTES;
	return nst_cache_alloc(mix->caches->small, some_mode(mix));
}

static void *ordinary_middle(struct mix *mix, uint32_t *size)
{
	*size = MIX_MIDDLE_BYTES;
	return nst_cache_alloc(mix->caches->middle, some_mode(mix));
}

static void *ordinary_ctor(struct mix *mix, uint32_t *size)
{
	*size = MIX_CTOR_BYTES;
	return built(mix, nst_cache_alloc(mix->caches->ctor, some_mode(mix)));
}

static void *ordinary_pages(struct mix *mix, uint32_t *size)
{
	unsigned int order = some_order(mix);
	*size = (uint32_t)NST_PAGE_SIZE << order;
	void *ptr = nst_pages_alloc(order, some_mode(mix));
	if ((uintptr_t)ptr & (*size - 1))
		mix->misaligned++;
	return ptr;
}

static void *ordinary_bulk(struct mix *mix, uint32_t *size)
{
	void *out[24];

	*size = MIX_MIDDLE_BYTES;
	size_t nr = nst_cache_alloc_bulk(mix->caches->middle, some_mode(mix), 24, out);
	for (size_t i = 1; i < nr; i++)
		pattern_fill(out[i], *size, i);
	for (size_t i = 1; i < nr; i++)
		mix->damaged += pattern_check(out[i], *size, i) != *size;
	if (nr)
		nst_cache_free_bulk(mix->caches->middle, nr - 1, out + 1);
	return nr ? out[0] : NULL;
}

static void *ordinary_large(struct mix *mix, uint32_t *size)
{
	/* Mappings of their own cost a system call and a wide pattern: a few are enough. */
	*size = rng_below(&mix->rng, 64) ? some_size(mix) : (5u << 19) + some_size(mix);
	return nst_alloc(*size, rng_below(&mix->rng, 2) ? NST_NORMAL : NST_NORETRY);
}

struct mix_kind {
	const char *name;
	void *(*get)(struct mix *mix, uint32_t *size);
	unsigned int weight;
	char family; /* s: by size, p: pages, a m c: small, middle, constructed cache */
};

static const struct mix_kind nolock_kinds[] = {
	{"alloc_nolock", by_nolock, 8, 's'},
	{"alloc_fasttry", by_fasttry, 4, 's'},
	{"alloc(NOLOCK)", by_mode_nolock, 3, 's'},
	{"alloc(FASTTRY)", by_mode_fasttry, 2, 's'},
	{"alloc(NOLOCK|ZERO)", by_mode_zero, 3, 's'},
	{"alloc_aligned(NOLOCK)", by_aligned, 2, 's'},
	{"realloc(NOLOCK)", by_realloc, 2, 's'},
	{"alloc_bulk(NOLOCK)", by_bulk, 1, 's'},
	{"alloc(NORMAL) in a scope", by_scope, 1, 's'},
	{"cache_alloc_nolock", by_small, 6, 'a'},
	{"cache_alloc(NOLOCK)", by_small_mode, 3, 'a'},
	{"cache_alloc(FASTTRY)", by_small_fasttry, 3, 'a'},
	{"cache_alloc_nolock middle", by_middle, 3, 'm'},
	{"cache_alloc(NOLOCK|ZERO)", by_middle_zero, 2, 'm'},
	{"cache_alloc_nolock ctor", by_ctor, 3, 'c'},
	{"pages_alloc_nolock", by_pages, 2, 'p'},
	{"pages_alloc(NOLOCK)", by_pages_mode, 1, 'p'},
	{"pages_alloc(FASTTRY)", by_pages_fasttry, 1, 'p'},
};

static const struct mix_kind ordinary_kinds[] = {
	{"alloc", ordinary_alloc, 6, 's'},
	{"alloc(ZERO)", ordinary_zero, 2, 's'},
	{"realloc", ordinary_realloc, 1, 's'},
	{"alloc_aligned", ordinary_aligned, 1, 's'},
	{"cache_alloc", ordinary_small, 4, 'a'},
	{"cache_alloc middle", ordinary_middle, 3, 'm'},
	{"cache_alloc_bulk", ordinary_bulk, 1, 'm'},
	{"cache_alloc ctor", ordinary_ctor, 3, 'c'},
	{"pages_alloc", ordinary_pages, 3, 'p'},
	{"alloc of a mapping", ordinary_large, 1, 's'},
};

#define NR_OF(table) ((unsigned int)(sizeof(table) / sizeof((table)[0])))
_Static_assert(sizeof(nolock_kinds) / sizeof(nolock_kinds[0]) <= MIX_KINDS, "raise MIX_KINDS");

static const struct mix_kind *kinds_of(enum mix_who who, unsigned int *nr)
{
	*nr = who == MIX_NOLOCK ? NR_OF(nolock_kinds) : NR_OF(ordinary_kinds);
	return who == MIX_NOLOCK ? nolock_kinds : ordinary_kinds;
}

static unsigned int some_kind(struct mix *mix)
{
	unsigned int nr, total = 0, i = 0;
	const struct mix_kind *kinds = kinds_of(mix->who, &nr);

	for (unsigned int k = 0; k < nr; k++)
		total += kinds[k].weight;
	for (uint32_t left = rng_below(&mix->rng, total); left >= kinds[i].weight; i++)
		left -= kinds[i].weight;
	return i;
}

/* ---- frees ---- */

static struct nst_cache *cache_of(const struct mix *mix, char family)
{
	return family == 'a'   ? mix->caches->small
	       : family == 'm' ? mix->caches->middle
	       : family == 'c' ? mix->caches->ctor
			       : NULL;
}

int mix_retires = 1;

/* After a grace period; nobody reads it, and it is freed by whoever maintains. */
static void retire(struct mix *mix, void *ptr)
{
	nst_rcu_token_t token = nst_rcu_read_begin();
	uint32_t way = rng_below(&mix->rng, 8);

	if (way == 0)
		nst_free_rcu_in(mix->caches->domain, ptr);
	else if (way < 3)
		nst_free_rcu_bulk(1, &ptr);
	else
		nst_free_rcu(ptr);
	nst_rcu_read_end(token);
}

static void put_nolock(struct mix *mix, void *ptr, char family)
{
	uint32_t n = rng_below(&mix->rng, 4);
	struct nst_cache *cache = cache_of(mix, family);

	if (mix_retires && rng_below(&mix->rng, 8) == 0)
		retire(mix, ptr);
	else if (cache && n < 3)
		nst_cache_free_nolock(cache, ptr);
	else if (family == 'p' && n < 2)
		nst_pages_free_nolock(ptr);
	else
		nst_free_nolock(ptr);
}

static void put_ordinary(struct mix *mix, void *ptr, char family)
{
	struct nst_cache *cache = cache_of(mix, family);
	uint32_t n = rng_below(&mix->rng, 8);

	if (n == 0)
		put_nolock(mix, ptr, family);
	else if (cache && n < 5)
		nst_cache_free(cache, ptr);
	else if (family == 'p' && n < 5)
		nst_pages_free(ptr);
	else if (n == 5)
		nst_free_bulk(1, &ptr);
	else
		nst_free(ptr);
}

static size_t pattern_from(char family)
{
	return family == 'c' ? sizeof(uint64_t) : 0;
}

static void put(struct mix *mix, struct mix_object *object)
{
	unsigned int nr;
	char family = kinds_of(mix->who, &nr)[object->kind].family;
	size_t from = pattern_from(family);
	unsigned char *ptr = object->ptr;
	size_t bytes = object->size - from;

	if (pattern_check(ptr + from, bytes, mix->owner) != bytes)
		mix->damaged++;
	if (family == 'c')
		built(mix, ptr);
	object->ptr = NULL;
	if (mix->owner)
		owner_give(ptr, object->size, mix->owner);
	if (mix->who == MIX_NOLOCK)
		put_nolock(mix, ptr, family);
	else
		put_ordinary(mix, ptr, family);
}

static void get(struct mix *mix, struct mix_object *object)
{
	unsigned int nr, kind = some_kind(mix);
	const struct mix_kind *k = &kinds_of(mix->who, &nr)[kind];
	uint32_t size = 0;
	unsigned char *ptr = k->get(mix, &size);
	size_t from = pattern_from(k->family);

	mix->count[kind].tries++;
	if (!ptr)
		return;
	mix->count[kind].got++;
	mix->misaligned += ((uintptr_t)ptr & (k->family == 's' ? 15 : 7)) != 0;
	if (mix->owner)
		owner_take(ptr, size, mix->owner);
	pattern_fill(ptr + from, size - from, mix->owner);
	object->size = size;
	object->kind = (uint16_t)kind;
	object->ptr = ptr;
}

/* TEST_ACCOUNT=1, or "charged" as the only argument: all that mixes take is charged. */
static struct nst_account *mix_account;

__attribute__((constructor(200))) static void be_charged(int argc, char **argv)
{
	if (env_long("TEST_ACCOUNT", 0) || (argc == 2 && !strcmp(argv[1], "charged")))
		mix_account = nst_account_create("mix", NULL, NST_NO_LIMIT, NST_NO_LIMIT);
}

void mix_init(struct mix *mix, const struct mix_caches *caches, enum mix_who who, uint64_t seed,
	      unsigned int owner)
{
	memset(mix, 0, sizeof(*mix));
	mix->rng.state = seed;
	mix->caches = caches;
	mix->who = who;
	mix->owner = owner;
	mix->slots = MIX_SLOTS;
	mix->size_max = (uint32_t)NST_NOLOCK_MAX;
	if (mix_account)
		nst_account_enter(mix_account);
}

void mix_step(struct mix *mix)
{
	struct mix_object *object = &mix->object[rng_below(&mix->rng, mix->slots)];
	int before = errno;

	if (object->ptr)
		put(mix, object);
	else
		get(mix, object);
	mix->errno_changed += errno != before;
	mix->steps++;
}

void mix_empty(struct mix *mix)
{
	for (unsigned int i = 0; i < mix->slots; i++)
		if (mix->object[i].ptr)
			put(mix, &mix->object[i]);
}

/* ---- findings ---- */

uint64_t mix_errors(const struct mix *mix)
{
	return mix->damaged + mix->not_zero + mix->not_built + mix->misaligned + mix->errno_changed;
}

void mix_check(const struct mix *mix, const char *what)
{
	check(mix_errors(mix) == 0, what,
	      "of %llu steps: %llu objects damaged, %llu not zeroed, %llu not constructed, "
	      "%llu misaligned, errno changed by %llu",
	      (unsigned long long)mix->steps, (unsigned long long)mix->damaged,
	      (unsigned long long)mix->not_zero, (unsigned long long)mix->not_built,
	      (unsigned long long)mix->misaligned, (unsigned long long)mix->errno_changed);
}

static uint64_t sum(const struct mix *mix, int got)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < MIX_KINDS; i++)
		n += got ? mix->count[i].got : mix->count[i].tries;
	return n;
}

uint64_t mix_tries(const struct mix *mix)
{
	return sum(mix, 0);
}

uint64_t mix_got(const struct mix *mix)
{
	return sum(mix, 1);
}

const char *mix_kind_name(enum mix_who who, unsigned int kind)
{
	unsigned int nr;
	const struct mix_kind *kinds = kinds_of(who, &nr);

	return kind < nr ? kinds[kind].name : "";
}

void mix_print(const struct mix *mix)
{
	unsigned int nr;
	const struct mix_kind *kinds = kinds_of(mix->who, &nr);

	for (unsigned int i = 0; i < nr; i++)
		printf("# %-26s tries=%llu got=%llu\n", kinds[i].name,
		       (unsigned long long)mix->count[i].tries,
		       (unsigned long long)mix->count[i].got);
}
