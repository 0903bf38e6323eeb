// SPDX-License-Identifier: MIT
/*
 * pager_map.c - what is mapped where: a sorted array that fault threads search in a section, replaced as a whole.
 *
 * A change, with the lock for writing:
 *
 *	what follows is built	so that nothing can fail later
 *	nst_notify_begin()	views drop the range, and install nothing in it
 *	old mappings die	from here on nobody claims by them (G1)
 *	entries are cleared	those claimed are waited for
 *	the client's pages go	what it touches now faults, and finds a dead mapping: it takes the lock, and waits
 *	the new array is shown, tables that nobody needs go, nst_notify_end(), who waits in the range is woken (G3)
 *
 * Pieces of an old mapping beside the range get mappings of their own: same bytes, so their entries stay.
 */
#define _GNU_SOURCE
#include "pager.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

/* What a change makes of its range. */
enum kind { GONE, MAPPED, ZEROES, READ_ONLY, WRITABLE };

struct change {
	enum kind kind;
	uintptr_t start, end;
	const struct source *src; /* MAPPED */
	uint64_t page;
	int write;
	struct map_set *next;
	int failed;
};

/* ---- sets ---- */

/* The first that ends behind @at. */
static size_t map_index(const struct map_set *set, uintptr_t at)
{
	size_t low = 0, high = set->nr;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (set->m[mid]->end > at)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

struct mapping *map_find(const struct map_set *set, uintptr_t at)
{
	size_t i = map_index(set, at);

	return i < set->nr && set->m[i]->start <= at ? set->m[i] : NULL;
}

int map_overlaps(const struct map_set *set, uintptr_t start, uintptr_t end)
{
	size_t i = map_index(set, start);

	return i < set->nr && set->m[i]->start < end;
}

static int is_touched(const struct mapping *m, const struct change *c)
{
	return m->start < c->end && m->end > c->start;
}

/* One more mapping at the end of what is built: a copy of @from, cut to a range. */
static void add(struct change *c, const struct mapping *from, uintptr_t start, uintptr_t end)
{
	struct mapping *m;

	if (start >= end || c->failed)
		return;
	m = nst_alloc(sizeof(*m), PAGER_MODE);
	if (!m) {
		c->failed = 1;
		return;
	}
	*m = *from;
	m->dead = 0;
	m->start = start;
	m->end = end;
	if (m->src)
		m->page += (start - from->start) / PAGE;
	c->next->m[c->next->nr++] = m;
}

static void add_middle(struct change *c, const struct mapping *old)
{
	struct mapping m = *old;
	uintptr_t start = old->start > c->start ? old->start : c->start;
	uintptr_t end = old->end < c->end ? old->end : c->end;
	size_t before = c->next->nr;

	if (c->kind == GONE || c->kind == MAPPED)
		return;
	if (c->kind != ZEROES)
		m.write = c->kind == WRITABLE;
	add(c, &m, start, end);
	if (c->kind == ZEROES && c->next->nr > before)
		c->next->m[before]->src = NULL;
}

/* The new one, where it belongs. */
static void add_mapped(struct change *c)
{
	struct mapping m = {.start = c->start,
			    .end = c->end,
			    .src = c->src,
			    .page = c->page,
			    .write = (uint32_t)c->write},
		       *made;
	size_t at = map_index(c->next, c->start);

	add(c, &m, c->start, c->end);
	if (c->failed)
		return;
	made = c->next->m[c->next->nr - 1];
	memmove(&c->next->m[at + 1], &c->next->m[at],
		(c->next->nr - 1 - at) * sizeof(c->next->m[0]));
	c->next->m[at] = made;
}

static void drop_built(const struct change *c, const struct map_set *old)
{
	for (size_t i = 0; i < c->next->nr; i++)
		if (map_find(old, c->next->m[i]->start) != c->next->m[i])
			nst_free(c->next->m[i]);
	nst_free(c->next);
}

static int build(struct change *c, const struct map_set *old)
{
	size_t most = old->nr + 3, i; /* two are cut, one is new */

	c->next = nst_alloc(sizeof(*c->next) + most * sizeof(c->next->m[0]), PAGER_MODE);
	if (!c->next)
		return -ENOMEM;
	c->next->nr = 0;
	for (i = 0; i < old->nr; i++) {
		struct mapping *m = old->m[i];

		if (!is_touched(m, c)) {
			c->next->m[c->next->nr++] = m;
			continue;
		}
		add(c, m, m->start, c->start);
		add_middle(c, m);
		add(c, m, c->end, m->end);
	}
	if (c->kind == MAPPED)
		add_mapped(c);
	if (!c->failed)
		return 0;
	drop_built(c, old);
	return -ENOMEM;
}

/* ---- changes ---- */

static void kill_old(const struct map_set *old, const struct change *c)
{
	for (size_t i = 0; i < old->nr; i++)
		if (is_touched(old->m[i], c))
			__atomic_store_n(&old->m[i]->dead, 1, __ATOMIC_SEQ_CST);
}

static void retire_old(struct map_set *old, const struct change *c)
{
	for (size_t i = 0; i < old->nr; i++)
		if (is_touched(old->m[i], c))
			nst_free_rcu(old->m[i]);
	nst_free_rcu(old);
}

/* The client's pages of the range, as its entries say now. */
static void pages_follow(struct space *sp, const struct change *c)
{
	if (sp->remote)
		return;
	if (c->kind == READ_ONLY && sp->protects)
		uffd_protect(sp->uffd, c->start, c->end - c->start, 1);
	else if (c->kind != READ_ONLY && c->kind != WRITABLE)
		madvise((void *)c->start, c->end - c->start, MADV_DONTNEED);
}

static int change_locked(struct space *sp, struct change *c)
{
	struct map_set *old = sp->maps;
	struct nst_notify_range range;
	int err = build(c, old);

	if (err)
		return err;
	err = nst_notify_begin(&range, sp, c->start, c->end - c->start, NST_NOTIFY_BLOCKABLE);
	if (err) { /* who calls is in a scope that excludes a view */
		drop_built(c, old);
		return err;
	}
	kill_old(old, c);
	table_clear(sp->root, c->start, c->end,
		    c->kind == WRITABLE	   ? 0
		    : c->kind == READ_ONLY ? ENTRY_WRITE
					   : ~(uint64_t)0);
	pages_follow(sp, c);
	nst_rcu_assign(sp->maps, c->next);
	if (c->kind == GONE || c->kind == MAPPED)
		table_prune(sp, c->start, c->end, c->next);
	nst_notify_end(&range);
	retire_old(old, c);
	return 0;
}

static int change(struct space *sp, struct change c)
{
	uintptr_t start = c.start, end = c.end;
	int err;

	if (start >= end)
		return -EINVAL;
	pthread_rwlock_wrlock(&sp->lock);
	err = change_locked(sp, &c);
	pthread_rwlock_unlock(&sp->lock);
	uffd_wake(sp->uffd, start, end - start);
	return err;
}

int space_map(struct space *sp, uintptr_t start, uintptr_t end, const struct source *src,
	      uint64_t page, int write)
{
	return change(sp, (struct change){.kind = MAPPED,
					  .start = start,
					  .end = end,
					  .src = src,
					  .page = page,
					  .write = write && sp->protects});
}

int space_unmap(struct space *sp, uintptr_t start, uintptr_t end)
{
	return change(sp, (struct change){.kind = GONE, .start = start, .end = end});
}

int space_punch(struct space *sp, uintptr_t start, uintptr_t end)
{
	return change(sp, (struct change){.kind = ZEROES, .start = start, .end = end});
}

int space_protect(struct space *sp, uintptr_t start, uintptr_t end, int write)
{
	return change(
		sp,
		(struct change){.kind = write ? WRITABLE : READ_ONLY, .start = start, .end = end});
}

/* ---- reap ---- */

struct reap {
	struct space *sp;
	long dropped;
};

/* A clean page: it can be had again. Who has it claimed keeps it. */
static void reap_one(void *arg, uint64_t *e, uintptr_t at)
{
	struct reap *r = arg;
	uint64_t was = __atomic_load_n(e, __ATOMIC_SEQ_CST);

	if ((was & (ENTRY_HERE | ENTRY_DIRTY | ENTRY_BUSY | ENTRY_SEALED)) != ENTRY_HERE ||
	    !__atomic_compare_exchange_n(e, &was, was | ENTRY_BUSY, 0, __ATOMIC_SEQ_CST,
					 __ATOMIC_SEQ_CST))
		return;
	madvise((void *)at, PAGE, MADV_DONTNEED);
	entry_release(e, 0);
	uffd_wake(r->sp->uffd, at, PAGE);
	r->dropped++;
}

long space_reap(struct space *sp, uintptr_t start, uintptr_t end)
{
	struct nst_notify_range range;
	struct reap r = {sp, 0};
	int err;

	if (sp->remote || pthread_rwlock_trywrlock(&sp->lock))
		return -EAGAIN;
	err = nst_notify_begin(&range, sp, start, end - start, 0);
	if (!err) {
		table_each(sp->root, start, end, reap_one, &r);
		nst_notify_end(&range);
	}
	pthread_rwlock_unlock(&sp->lock);
	return err ? err : r.dropped;
}

void space_trim(struct space *sp)
{
	static const struct map_set none;

	if (!sp->remote)
		return;
	pthread_rwlock_wrlock(&sp->lock);
	table_prune(sp, sp->base, sp->base + sp->bytes, &none);
	pthread_rwlock_unlock(&sp->lock);
}

size_t space_oom(void *space, const struct nst_oom *oom)
{
	struct space *sp = space;
	long n = space_reap(sp, sp->base, sp->base + sp->bytes);

	(void)oom; /* it never waits, how often it may refuse does not matter to it */
	return n < 0 ? NST_OOM_AGAIN : (size_t)n * PAGE;
}

/* ---- spaces ---- */

int space_init(struct space *sp, int uffd, int protects, uintptr_t base, size_t bytes)
{
	pthread_rwlockattr_t attr;

	memset(sp, 0, sizeof(*sp));
	sp->uffd = uffd;
	sp->protects = protects;
	sp->base = base;
	sp->bytes = bytes;
	sp->maps = nst_alloc(sizeof(*sp->maps), NST_NORMAL | NST_ZERO);
	sp->root = nst_pages_alloc(0, NST_NORMAL | NST_ZERO);
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&sp->lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	return sp->maps && sp->root ? 0 : -ENOMEM;
}

void space_end(struct space *sp)
{
	__atomic_store_n(&sp->gone, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&sp->inside, __ATOMIC_SEQ_CST))
		sched_yield();
	space_unmap(sp, sp->base, sp->base + sp->bytes);
	for (int i = 0; i < sp->nr_views; i++)
		view_end(sp->view[i]);
	pthread_rwlock_destroy(&sp->lock);
	nst_free(sp->maps);
	nst_free(sp->root);
}
