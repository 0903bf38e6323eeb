// SPDX-License-Identifier: MIT
/*
 * pager_fault.c - a fault: looked up and claimed in a section, or with the lock; then served, where it may sleep.
 *
 *	attempt		mapping -> tables -> claim		in a read section: no lock, no sleep
 *	with the lock	the same, waiting where it has to	for reading: changes wait for it
 *	work		bytes -> client -> entry -> wake	the claim keeps changes away
 *
 * By policy (nostall/speculate.h) the lock is the last resort, or the only way.
 */
#define _GNU_SOURCE
#include "pager.h"

#include <errno.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

const char *const pager_policy_name[PAGER_POLICIES] = {"retry", "leave", "missing", "lock"};
struct pager pager;

/* With the lock nothing is made to fail. */
static __thread int sure;
static __thread uint32_t dice;

static uint32_t throw_dice(void)
{
	dice = dice * 1664525u + 1013904223u + (uint32_t)(uintptr_t)&dice;
	return dice >> 16;
}

int pager_fails(enum pager_step step)
{
	if (sure || pager.fail == STEP_NONE)
		return 0;
	return pager.fail == step || (pager.fail == STEP_ANY && throw_dice() % 8 == 0);
}

/* Whatever changes meanwhile must be noticed. */
void pager_nap(void)
{
	const struct timespec nap = {0, 500000};

	if (pager.nap && throw_dice() % 16 == 0)
		nanosleep(&nap, NULL);
}

/* ---- claim ---- */

static void note_need(struct fault *f)
{
	const struct mapping *m = f->m;

	f->need.src = m->src;
	f->need.page = m->page + (m->src ? (f->at - m->start) / PAGE : 0);
	f->need.write = (int)m->write;
}

/* In a section, or with the lock. DONE with no entry: another has it. */
static unsigned int look_and_claim(struct fault *f)
{
	uint64_t *e = NULL;
	unsigned int how;
	enum claim claim;

	if (pager_fails(STEP_LOOKUP) || map_is_dead(f->m))
		return NST_SPECULATE_CHANGED;
	how = table_walk(f, &e);
	if (how != NST_SPECULATE_DONE)
		return how;
	pager_nap();
	claim = entry_claim(e, f->m, &f->was);
	if (claim == CLAIM_CHANGED)
		return NST_SPECULATE_CHANGED;
	note_need(f);
	f->entry = claim == CLAIM_DONE ? e : NULL;
	return NST_SPECULATE_DONE;
}

static unsigned int attempt(struct fault *f)
{
	f->m = map_find(nst_rcu_dereference(f->sp->maps), f->at);
	return f->m ? look_and_claim(f) : NST_SPECULATE_GIVE_UP;
}

static int finish(struct fault *f, fault_work_t work, void *bytes)
{
	uint64_t now;

	if (!f->entry)
		return 0;
	now = work(f, bytes);
	entry_release(f->entry, now);
	uffd_wake(f->sp->uffd, f->at, PAGE);
	return 1;
}

/* Where nothing is mapped there is no entry, and the lock does for a claim. */
static int serve_locked(struct fault *f, fault_work_t work, void *bytes)
{
	unsigned int how = NST_SPECULATE_DONE;
	int done = 1;

	sure = f->with_lock = 1;
	pthread_rwlock_rdlock(&f->sp->lock);
	COUNT(pager.locked);
	f->m = map_find(f->sp->maps, f->at);
	f->need.mapped = f->m != NULL;
	if (f->m) {
		while ((how = look_and_claim(f)) == NST_SPECULATE_CHANGED)
			sched_yield();
		done = how == NST_SPECULATE_DONE && finish(f, work, bytes);
	} else {
		f->was = 0; /* of an attempt */
		f->need.src = NULL;
		work(f, bytes);
	}
	pthread_rwlock_unlock(&f->sp->lock);
	sure = f->with_lock = 0;
	f->starved = how == NST_SPECULATE_NULL;
	if (f->starved)
		COUNT(pager.starved);
	if (!f->m || how == NST_SPECULATE_NULL) /* no memory: he who waits asks again */
		uffd_wake(f->sp->uffd, f->at, PAGE);
	return done;
}

int fault_serve(struct fault *f, fault_work_t work, void *bytes)
{
	int done;

	if (pager.policy == PAGER_LOCK)
		return serve_locked(f, work, bytes);
	nst_speculate_init(&f->s, &pager.site);
	f->need.mapped = 1;
	do {
		nst_speculate_begin(&f->s);
		nst_speculate_end(&f->s, attempt(f));
	} while (nst_speculate_again(&f->s));
	done = nst_speculate_locked(&f->s) ? serve_locked(f, work, bytes) : finish(f, work, bytes);
	nst_speculate_finish(&f->s);
	return done;
}

/* ---- a page of the space ---- */

/* 1: the client has the page, and may write to it unless @protect. */
static int copied(struct fault *f, const void *bytes, int protect)
{
	int err = uffd_copy(f->sp->uffd, f->at, bytes, protect && f->sp->protects);

	if (err == -EEXIST && !protect && f->sp->protects)
		uffd_protect(f->sp->uffd, f->at, PAGE, 0);

	if (err == -ESRCH || err == -ENOENT) {
		__atomic_store_n(&f->sp->gone, 1, __ATOMIC_RELAXED);
		return 0;
	}
	COUNT(pager.copied);
	return err == 0 || err == -EEXIST;
}

/* Nothing is mapped: zeroes, until something is. */
static void bring_nothing(struct fault *f, void *bytes)
{
	memset(bytes, 0, PAGE);
	copied(f, bytes, 0);
	COUNT(pager.unmapped);
}

static uint64_t bring(struct fault *f, void *bytes)
{
	int grant = f->write && f->need.write && !(f->was & ENTRY_WRITE);
	struct nst_notify_range range;
	uint64_t now = f->was;

	if (!f->need.mapped) {
		bring_nothing(f, bytes);
		return 0;
	}
	if (grant) /* G4 */
		grant = !nst_notify_begin(&range, f->sp, f->at, PAGE, NST_NOTIFY_BLOCKABLE);
	if (!(now & ENTRY_HERE) || f->missing) {
		if (source_read(f->need.src, f->need.page, bytes))
			COUNT(pager.errors);
		if (copied(f, bytes, !grant))
			now |= ENTRY_HERE;
	} else if (grant) {
		uffd_protect(f->sp->uffd, f->at, PAGE, 0);
	}
	if (grant) {
		now |= now & ENTRY_HERE ? ENTRY_DIRTY | ENTRY_WRITE : 0;
		COUNT(pager.granted);
		nst_notify_end(&range);
	}
	return now;
}

/* Its account is at its limit: what it takes from others is its own. */
static void serve_charged(struct fault *f, void *bytes)
{
	nst_account_token_t t = nst_account_enter(f->sp->account);

	fault_serve(f, bring, bytes);
	nst_account_exit(t);
	if (f->starved)
		space_trim(f->sp);
}

/* A write to what may not be written waits until it may, or is gone. */
void fault_handle(struct space *sp, uintptr_t at, int write, int missing, void *bytes)
{
	struct view *v = view_at(sp, at);
	struct fault f = {
		.sp = sp, .at = at & ~(uintptr_t)(PAGE - 1), .write = write, .missing = missing};

	COUNT(pager.faults);
	if (v)
		view_handle(v, f.at, bytes);
	else if (sp->account)
		serve_charged(&f, bytes);
	else
		fault_serve(&f, bring, bytes);
}

/* ---- threads ---- */

struct pager_threads {
	struct space **spaces;
	int nr_spaces, nr, stop;
	pthread_t thread[64];
};

static void serve_message(struct space *sp, void *bytes)
{
	struct uffd_msg msg;
	uint64_t flags;

	if (read(sp->uffd, &msg, sizeof(msg)) != sizeof(msg) || msg.event != UFFD_EVENT_PAGEFAULT)
		return;
	flags = msg.arg.pagefault.flags;
	fault_handle(sp, (uintptr_t)msg.arg.pagefault.address,
		     (flags & (UFFD_PAGEFAULT_FLAG_WRITE | UFFD_PAGEFAULT_FLAG_WP)) != 0,
		     !(flags & UFFD_PAGEFAULT_FLAG_WP), bytes);
}

/* Inside first, then gone: space_end() does it the other way round, and one of the two sees the other. */
static void serve_one(struct space *sp, void *bytes)
{
	__atomic_add_fetch(&sp->inside, 1, __ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&sp->gone, __ATOMIC_SEQ_CST))
		serve_message(sp, bytes);
	__atomic_sub_fetch(&sp->inside, 1, __ATOMIC_SEQ_CST);
}

static void *serve(void *arg)
{
	struct pager_threads *p = arg;
	struct pollfd *fds = calloc((size_t)p->nr_spaces + 1, sizeof(*fds));
	void *bytes = aligned_alloc(PAGE, PAGE);

	for (int i = 0; fds && i < p->nr_spaces; i++)
		fds[i] = (struct pollfd){.fd = p->spaces[i]->uffd, .events = POLLIN};
	if (fds)
		fds[p->nr_spaces] = (struct pollfd){.fd = p->stop, .events = POLLIN};
	while (fds && bytes && poll(fds, (nfds_t)p->nr_spaces + 1, -1) >= 0 &&
	       !fds[p->nr_spaces].revents)
		for (int i = 0; i < p->nr_spaces; i++) {
			if (fds[i].revents & POLLIN)
				serve_one(p->spaces[i], bytes);
			if (fds[i].revents & (POLLERR | POLLHUP) || COUNTED(p->spaces[i]->gone))
				fds[i].fd = -1;
		}
	free(fds);
	free(bytes);
	return NULL;
}

struct pager_threads *pager_start(struct space **spaces, int nr_spaces, int threads)
{
	struct pager_threads *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->spaces = spaces;
	p->nr_spaces = nr_spaces;
	p->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	while (p->nr < threads && p->nr < 64 &&
	       pthread_create(&p->thread[p->nr], NULL, serve, p) == 0)
		p->nr++;
	if (p->nr)
		return p;
	close(p->stop);
	free(p);
	return NULL;
}

void pager_stop(struct pager_threads *p)
{
	uint64_t one = 1;

	if (write(p->stop, &one, sizeof(one)) != sizeof(one))
		abort();
	for (int i = 0; i < p->nr; i++)
		pthread_join(p->thread[i], NULL);
	close(p->stop);
	free(p);
}
