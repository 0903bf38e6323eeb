// SPDX-License-Identifier: MIT
/*
 * pager_view.c - a second view of a space, kept in step: a notifier of the space's range.
 *
 *	change:  begin -> view drops the range, seq moves    ...the change...    end -> seq moves, who waits in the range asks again
 *	fault:   seq? -> bytes (with a claim in the space) -> is seq the same, no change under way? -> installed
 *
 * seq moves twice: bytes may have been read amid a change, before it, and be installed after it.
 *
 * As a hypervisor's or device's own page table follows a process: the view is told before and after, and what it was about
 * to install in between is dropped. begin may wait, unless it is told not to; then it may say "not now", and the ends of those
 * that have begun run. Who lies outside of the range is not called.
 */
#define _GNU_SOURCE
#include "pager.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct view {
	struct space *sp;
	struct nst_notifier *told;
	intptr_t delta;
	pthread_mutex_t lock; /* protects: */
	uint64_t seq;
	unsigned int changes; /* under way */
};

/* ---- what the view is told ---- */

static uintptr_t shown_at(const struct view *v, const struct nst_notify_range *r)
{
	return r->start + (uintptr_t)v->delta;
}

static int view_begin(void *arg, const struct nst_notify_range *r)
{
	int blockable = (r->flags & NST_NOTIFY_BLOCKABLE) != 0;
	struct view *v = arg;

	if (!blockable && pthread_mutex_trylock(&v->lock))
		return -EAGAIN;
	if (blockable)
		pthread_mutex_lock(&v->lock);
	v->changes++;
	v->seq++;
	madvise((void *)shown_at(v, r), r->length, MADV_DONTNEED);
	pthread_mutex_unlock(&v->lock);
	return 0;
}

static void view_change_end(void *arg, const struct nst_notify_range *r)
{
	struct view *v = arg;

	pthread_mutex_lock(&v->lock);
	v->changes--;
	v->seq++;
	pthread_mutex_unlock(&v->lock);
	uffd_wake(v->sp->uffd, shown_at(v, r), r->length);
}

static const struct nst_notifier_ops view_ops = {view_begin, view_change_end, NULL};

/* ---- a page of the view ---- */

/* The client writes by word; so a page that it has is read by word, too. */
static void read_client(void *to, uintptr_t at)
{
	uint64_t *w = to, *from = (uint64_t *)at;

	for (size_t i = 0; i < WORDS; i++)
		w[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

/* What the space shows, or would: a page that was written to stops being writable first (G4). */
static uint64_t read_page(struct fault *f, void *bytes)
{
	if (!(f->was & ENTRY_DIRTY)) {
		if (source_read(f->need.src, f->need.page, bytes))
			COUNT(pager.errors);
		return f->was;
	}
	if (f->was & ENTRY_WRITE)
		uffd_protect(f->sp->uffd, f->at, PAGE, 1);
	read_client(bytes, f->at);
	return f->was & ~(uint64_t)ENTRY_WRITE;
}

static uint64_t seq_of(struct view *v)
{
	uint64_t seq;

	pthread_mutex_lock(&v->lock);
	seq = v->seq;
	pthread_mutex_unlock(&v->lock);
	return seq;
}

/* Installed only if no change has begun since @seq and none is under way: its end wakes who waits. */
static void install(struct view *v, uintptr_t at, const void *bytes, uint64_t seq)
{
	pthread_mutex_lock(&v->lock);
#if !(defined(PAGER_BUSTED) && PAGER_BUSTED == 3) /* stale bytes in the view */
	if (v->seq == seq && !v->changes)
#else
	(void)seq;
#endif
		uffd_copy(v->sp->uffd, at, bytes, 0);
	pthread_mutex_unlock(&v->lock);
	COUNT(pager.shown);
}

void view_handle(struct view *v, uintptr_t at, void *bytes)
{
	struct fault f = {.sp = v->sp, .at = at - (uintptr_t)v->delta};
	uint64_t seq = seq_of(v);

	if (fault_serve(&f, read_page, bytes)) {
		pager_nap();
		install(v, at, bytes, seq);
	}
	uffd_wake(v->sp->uffd, at, PAGE); /* who finds nothing asks again */
}

/* ---- views ---- */

struct view *view_at(const struct space *sp, uintptr_t at)
{
	for (int i = 0; i < sp->nr_views; i++)
		if (at - (uintptr_t)sp->view[i]->delta - sp->base < sp->bytes)
			return sp->view[i];
	return NULL;
}

#if defined(PAGER_BUSTED) && PAGER_BUSTED == 4 /* of the second half it is not told */
#define TOLD_BYTES(sp) ((sp)->bytes / 2)
#else
#define TOLD_BYTES(sp) ((sp)->bytes)
#endif

struct view *view_add(struct space *sp, intptr_t delta)
{
	struct view *v = sp->nr_views < SPACE_VIEWS ? calloc(1, sizeof(*v)) : NULL;

	if (!v)
		return NULL;
	v->sp = sp;
	v->delta = delta;
	pthread_mutex_init(&v->lock, NULL);
	v->told = nst_notifier_register(sp, sp->base, TOLD_BYTES(sp), &view_ops, 0, v);
	if (!v->told) {
		free(v);
		return NULL;
	}
	sp->view[sp->nr_views++] = v;
	return v;
}

void view_end(struct view *v)
{
	nst_notifier_unregister(v->told);
	pthread_mutex_destroy(&v->lock);
	free(v);
}
