/* SPDX-License-Identifier: MIT */
/*
 * alloc.c - the ordinary entries: check the mode, pop or push, one exit to slow.c.
 *
 * Price of a hit, through the call: nst_cache_alloc_checked() 12 instructions, nst_cache_free() 16,
 * nst_alloc_checked() 17, nst_free() 24; bench/ counts them from the object file.
 */
#define NST_NO_MACROS
#include "mm.h"
#include "claim/account.h"

static int refuse_mode(nst_mode_t mode, struct nst_site site)
{
	if (nst_likely(NST_MODE_VALID(mode)))
		return 0;
	nst_bad_mode(mode, site);
	return 1;
}

void *nst_cache_alloc_checked(struct nst_cache *cache, nst_mode_t mode)
{
	void *obj = nst_seq_pop(cache->main.fast);

	if (nst_likely(obj != NULL))
		return obj;
	return nst_cache_alloc_slow(cache, mode, NST_SITE("nst_cache_alloc"));
}

void *nst_cache_alloc(struct nst_cache *cache, nst_mode_t mode)
{
	if (refuse_mode(mode, NST_SITE("nst_cache_alloc")))
		return NULL;
	if (mode & NST_ZERO)
		return nst_cache_alloc_slow(cache, mode, NST_SITE("nst_cache_alloc"));
	return nst_cache_alloc_checked(cache, mode);
}

void nst_cache_free(struct nst_cache *cache, void *ptr)
{
	if (nst_unlikely(!ptr || nst_seq_push(cache->main.fast, ptr) != NST_PUSH_OK))
		nst_free_slow(cache, ptr, NST_SITE("nst_cache_free"));
}

void *nst_alloc_checked(size_t size, nst_mode_t mode)
{
	void *obj = nst_size_pop(size);

	if (nst_likely(obj != NULL))
		return obj;
	return nst_size_alloc_slow(size, 1, mode, NST_SITE("nst_alloc"));
}

/* Zeroed to its end, not only to @size: nst_realloc() relies on it. */
NST_ALWAYS_INLINE void *pop_or_slow(size_t size, nst_mode_t mode, struct nst_site site)
{
	void *obj = nst_size_pop(size);

	if (nst_unlikely(!obj))
		return nst_size_alloc_slow(size, 1, mode, site);
	if (mode & NST_ZERO)
		__builtin_memset(obj, 0, nst_size_table[nst_size_index(size)]->size);
	return obj;
}

void *nst_alloc(size_t size, nst_mode_t mode)
{
	if (refuse_mode(mode, NST_SITE("nst_alloc")))
		return NULL;
	return pop_or_slow(size, mode, NST_SITE("nst_alloc"));
}

void nst_free(void *ptr)
{
	struct nst_pcs **stacks = nst_fast_of_pointer(ptr);

	if (nst_unlikely(!stacks || nst_seq_push(stacks, ptr) != NST_PUSH_OK))
		nst_free_slow(NULL, ptr, NST_SITE("nst_free"));
}

void nst_free_sized(void *ptr, size_t size)
{
	struct nst_cache *c = NULL;

	if (nst_likely(size - 1 < NST_CLASS_MAX && ptr)) {
		if (nst_likely(nst_seq_push(nst_size_fast[nst_size_index(size)], ptr) ==
			       NST_PUSH_OK))
			return;
		c = nst_size_table[nst_size_index(size)];
	}
	nst_free_slow(c, ptr, NST_SITE("nst_free_sized"));
}

#define ALIGN_MAX ((size_t)1 << 30)

void *nst_alloc_aligned(size_t size, size_t align, nst_mode_t mode)
{
	struct nst_site site = NST_SITE("nst_alloc_aligned");

	if (refuse_mode(mode, site))
		return NULL;
	if (!nst_is_pow2(align) || align > ALIGN_MAX) {
		nst_warn(
			"nst_alloc_aligned(%zu, %zu): alignment %zu; allowed: a power of two up to "
			"1073741824",
			size, align, align);
		return NULL;
	}
	return nst_size_alloc_slow(size, align, mode, site);
}

size_t nst_page_usable(const struct nst_page *p)
{
	enum nst_page_state state = nst_page_state(p);

	if (state == NST_PAGE_SLAB)
		return nst_cache_number(p->cache)->size;
	if (state == NST_PAGE_LARGE || state == NST_PAGE_LARGE_RETIRED)
		return p->free[NST_PAGE_BYTES_WORD];
	return state == NST_PAGE_RUN || state == NST_PAGE_RUN_RETIRED || nst_page_is_movable(p)
		       ? nst_run_bytes(p)
		       : 0;
}

static size_t usable_slow(const void *ptr)
{
	struct nst_page *p = nst_page_of(ptr);
	size_t size = p ? nst_page_usable(p) : 0;

	if (ptr && !size)
		nst_warn(
			"nst_usable_size(%p): not a live object of this library; allowed: a pointer "
			"from nst_*alloc*(), or NULL",
			ptr);
	return size;
}

size_t nst_usable_size(const void *ptr)
{
	struct nst_pcs **fast = nst_fast_of_pointer(ptr);
	size_t size = nst_likely(fast != NULL) ? nst_bytes_beside(fast) : 0;

	return nst_likely(size) ? size : usable_slow(ptr);
}

/*
 * May an object stay where it is for @size bytes? Only where a fresh one would be of the same kind, so that
 * nst_free_sized() with the new size finds it.
 */
static int fits(const struct nst_page *p, size_t size)
{
	const struct nst_cache *c;

	if (nst_page_state(p) != NST_PAGE_SLAB)
		return size > NST_CLASS_MAX && size <= nst_page_usable(p) &&
		       size > nst_page_usable(p) / 2;
	c = nst_cache_plain(nst_cache_number(p->cache));
	return size <= c->size && (!c->is_class || nst_size_table[nst_size_index(size)] == c);
}

/* The contents of @ptr to @to: from one mapping to another page by page, uncopied, in a mode that may wait. */
static void move_contents(void *to, void *ptr, const struct nst_page *p, size_t bytes,
			  nst_mode_t mode)
{
	size_t whole = nst_round_up(bytes, NST_PAGE_BYTES);

	if (nst_page_state(p) == NST_PAGE_LARGE && bytes > NST_BLOCK_BYTES &&
	    nst_mode_row(mode)->kernel && nst_page_of(to)->state == NST_PAGE_LARGE &&
	    nst_sys_move(ptr, to, whole) == 0)
		return;
	__builtin_memcpy(to, ptr, bytes);
}

/* To its end, so that what it grows by where it is, the next time, is zero as well. Of a cache's all is the object. */
static void zero_behind(void *obj, const struct nst_page *p, size_t from)
{
	if (nst_page_state(p) != NST_PAGE_SLAB || nst_cache_number(p->cache)->is_class)
		__builtin_memset((char *)obj + from, 0, nst_page_usable(p) - from);
}

/* Scopes count. Where calls are watched, what is behind an object was written when it was handed out. */
static int may_extend(const struct nst_page *p, size_t size, size_t have, nst_mode_t mode)
{
	return nst_page_state(p) == NST_PAGE_RUN && size > have && size <= NST_BLOCK_BYTES &&
	       !(mode & NST_ZERO) && !nst_mm.instrument &&
	       nst_mode_row(nst_mode_in_scope(mode))->sleeps;
}

/* It enters as a request does: in a child that nobody has noticed yet the zone's lock may be a lost thread's. */
static int extend(struct nst_page *p, size_t size, size_t have, nst_mode_t mode)
{
	if (p->owner) /* what it grew by would be charged to nobody */
		return 0;
	if (nst_page_state(p) == NST_PAGE_LARGE)
		return !(mode & NST_ZERO) && nst_large_extend(p, size);
	if (!may_extend(p, size, have, mode))
		return 0;
	nst_fork_check();
	return nst_run_extend(p, nst_pages_of(size));
}

/* What grows by realloc() once more will again: a run gets up to a quarter more, so that it mostly stays. */
static void *grown(size_t size, size_t have, nst_mode_t mode, struct nst_site site)
{
	size_t roomy = SIZE_MAX;
	void *to = NULL;

	if (size > have && have > NST_CLASS_MAX)
		roomy = nst_round_up(size, (size_t)1 << (nst_log2(size) - 2));
	if (roomy <= NST_BLOCK_BYTES)
		to = nst_size_alloc_slow(roomy, 1, mode, site);
	return to ? to : pop_or_slow(size, mode, site);
}

static void give_back(void *ptr, nst_mode_t mode)
{
	if (mode & NST_MODES_NEVER_WAIT)
		nst_free_nolock(ptr), NST_BECAUSE("the mode passed on waits for nothing");
	else
		nst_free(ptr);
}

/* From one size class to another, or the same; NULL: it is another case, or the stack is empty. */
static void *realloc_class(void *ptr, size_t size, nst_mode_t mode)
{
	struct nst_pcs **from = nst_fast_of_pointer(ptr), **into;
	size_t have = from ? nst_bytes_beside(from) : 0;
	void *to;

	if (have - 1 >= NST_CLASS_MAX || size > NST_CLASS_MAX || mode & NST_ZERO ||
	    nst_size_fast[nst_size_index(have)] != from)
		return NULL;
	into = nst_size_fast[nst_size_index(size)];
	if (into == from)
		return ptr;
	to = nst_seq_pop(into);
	if (!to)
		return NULL;
	__builtin_memcpy(to, ptr, nst_min(size, have));
	give_back(ptr, mode);
	return to;
}

void *nst_realloc(void *ptr, size_t size, nst_mode_t mode)
{
	struct nst_site site = NST_SITE("nst_realloc");
	struct nst_page *p;
	size_t have;
	void *to;

	if (refuse_mode(mode, site) || size == 0)
		return NULL;
	if (!ptr)
		return pop_or_slow(size, mode, site);
	to = realloc_class(ptr, size, mode);
	if (to)
		return to;
	p = nst_free_check(NULL, ptr, site);
	if (!p)
		return NULL;
	have = nst_page_usable(p);
	if (fits(p, size)) {
		if (mode & NST_ZERO)
			zero_behind(ptr, p, size);
		return ptr;
	}
	if (extend(p, size, have, mode))
		return ptr;
	to = grown(size, have, mode & ~(nst_mode_t)NST_ZERO, site);
	if (!to)
		return NULL;
	move_contents(to, ptr, p, nst_min(size, have), mode);
	if (mode & NST_ZERO)
		zero_behind(to, nst_page_of(to), nst_min(size, have));
	give_back(ptr, mode);
	return to;
}

void *nst_pages_alloc(unsigned int order, nst_mode_t mode)
{
	struct nst_site site = NST_SITE("nst_pages_alloc");

	if (refuse_mode(mode, site))
		return NULL;
	if (order > NST_ORDER_MAX) {
		if (!(mode & NST_MODES_NEVER_WAIT))
			nst_warn("nst_pages_alloc(%u): order %u; allowed: 0 to %u", order, order,
				 NST_ORDER_MAX);
		nst_count_size(mode);
		return NULL;
	}
	return nst_run_alloc_slow((size_t)1 << order, mode, site);
}

void nst_pages_free(void *ptr)
{
	nst_free_slow(NULL, ptr, NST_SITE("nst_pages_free"));
}

/* ---- bulk ---- */

size_t nst_cache_alloc_bulk(struct nst_cache *cache, nst_mode_t mode, size_t nr, void **out)
{
	struct nst_site site = NST_SITE("nst_cache_alloc_bulk");
	size_t n = 0;

	if (refuse_mode(mode, site))
		return 0;
	while (n < nr) {
		if (!nst_mm.instrument && !nst_mm.accounts && !(mode & NST_ZERO)) {
			n += nst_pcs_popn(&cache->main, out + n, nr - n);
			if (n == nr)
				break;
		}
		out[n] = nst_cache_alloc_slow(cache, mode, site);
		if (!out[n])
			break;
		n++;
	}
	return n;
}

static int any_null(size_t nr, void **ptrs)
{
	size_t i;

	for (i = 0; i < nr; i++)
		if (!ptrs[i])
			return 1;
	return 0;
}

void nst_cache_free_bulk(struct nst_cache *cache, size_t nr, void **ptrs)
{
	struct nst_site site = NST_SITE("nst_cache_free_bulk");
	int one_by_one = nst_mm.instrument || nst_mm.accounts || any_null(nr, ptrs);
	size_t n = 0;

	while (n < nr) {
		if (!one_by_one) {
			n += nst_pcs_pushn(&cache->main, ptrs + n, nr - n);
			if (n == nr)
				break;
		}
		nst_free_slow(cache, ptrs[n], site);
		n++;
	}
}

size_t nst_alloc_bulk(size_t size, nst_mode_t mode, size_t nr, void **out)
{
	struct nst_site site = NST_SITE("nst_alloc_bulk");
	size_t n = 0;

	if (refuse_mode(mode, site))
		return 0;
	if (size - 1 < NST_CLASS_MAX &&
	    nst_load_relaxed(&nst_mm.started)) /* relaxed: slow path checks */
		return nst_cache_alloc_bulk(nst_size_table[nst_size_index(size)], mode, nr, out);
	for (; n < nr; n++) {
		void *obj = nst_size_alloc_slow(size, 1, mode, site);

		if (!obj)
			break;
		out[n] = obj;
	}
	return n;
}

/* Objects of one cache, or others one by one. */
static void free_alike(struct nst_pcs **fast, size_t nr, void **ptrs, struct nst_site site)
{
	size_t i;

	if (fast && fast != nst_mm.no_stacks && !nst_mm.instrument) {
		nst_cache_free_bulk(nst_cache_number(nst_page_of(ptrs[0])->cache), nr, ptrs);
		return;
	}
	for (i = 0; i < nr; i++)
		nst_free_slow(NULL, ptrs[i], site);
}

void nst_free_bulk(size_t nr, void **ptrs)
{
	struct nst_site site = NST_SITE("nst_free_bulk");
	size_t first, end;

	for (first = 0; first < nr; first = end) {
		struct nst_pcs **fast = nst_fast_of_pointer(ptrs[first]);

		for (end = first + 1; end < nr && nst_fast_of_pointer(ptrs[end]) == fast; end++)
			;
		free_alike(fast, end - first, ptrs + first, site);
	}
}

const char *nst_version(void)
{
	return "0.1.0";
}
