/* SPDX-License-Identifier: MIT */
/*
 * told.c - who is told while something fails: of changes, and when nothing else gives memory.
 *
 *	request  -> shrinker -> change -> begin of a view -> request, which does not reclaim
 *		 -> bank, on its own thread -> change that may not wait -> begin, which may say "not now"
 *		 -> the reaper -> bank -> change -> begin, which waits for a view's lock
 *	a view's lock -> request that excludes who takes it
 *
 * Lock order: views, banks; a request is made with a view's lock, none with a bank's.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <unistd.h>
#include "mm/reclaim/reclaim.h"
#include "rounds.h"
#include "told.h"

#define NR_VIEWS 2u
#define RANGE_BYTES 4096u
#define NOTE_BYTES 300u
#define GIVEN 16u /* runs, each time a bank is asked */
#define ASKED 16u /* requests of a squeeze, and more until a bank is asked */
#define MOST_ASKED 96u
#define GUEST_NAP_US 300u
#define INTERVAL_US 1000u

#define INC(var) __atomic_add_fetch(&(var), 1, __ATOMIC_SEQ_CST)
#define DEC(var) __atomic_sub_fetch(&(var), 1, __ATOMIC_SEQ_CST)

static __thread int within;	/* functions that tell this thread of something */
static __thread int has_a_view; /* and the lock of one */

int told_is_within(void)
{
	return within;
}

/* ---- views ---- */

static struct view {
	pthread_mutex_t lock; /* a client's */
	void *copy;
	int changes; /* under way */
	struct nst_notifier *n;
} views[NR_VIEWS] = {{.lock = PTHREAD_MUTEX_INITIALIZER}, {.lock = PTHREAD_MUTEX_INITIALIZER}};

static void set_copy(struct view *v, void *copy)
{
	nst_free(__atomic_exchange_n(&v->copy, copy, __ATOMIC_ACQ_REL));
}

/* Before it drops its copy it makes a note. Without one it refuses where it may, else it goes without. */
static int drop_copy(struct view *v, int may_refuse)
{
	void *note = nst_alloc(NOTE_BYTES, NST_NORMAL); /* in a scope: it does not reclaim */

	if (!note && may_refuse)
		return -EAGAIN;
	INC(v->changes);
	set_copy(v, NULL);
	nst_free(note);
	return 0;
}

static int view_begin(void *arg, const struct nst_notify_range *r)
{
	int may_wait = (r->flags & NST_NOTIFY_BLOCKABLE) != 0, err;
	struct view *v = arg;

	WANT(!may_wait || !has_a_view); /* it would wait for itself */
	if (!may_wait && pthread_mutex_trylock(&v->lock))
		return -EAGAIN;
	if (may_wait)
		pthread_mutex_lock(&v->lock);
	within++;
	err = drop_copy(v, !may_wait);
	within--;
	pthread_mutex_unlock(&v->lock);
	return err;
}

static void view_end(void *arg, const struct nst_notify_range *r)
{
	struct view *v = arg;

	(void)r;
	within++;
	if (DEC(v->changes) == 0)
		set_copy(v, nst_alloc(NOTE_BYTES, NST_NORMAL));
	within--;
}

static void view_invalidate(void *arg, const struct nst_notify_range *r)
{
	struct view *v = arg;

	(void)r;
	WANT(!nst_mode_may_wait(NST_NORMAL));
	set_copy(v, NULL);
}

static const struct nst_notifier_ops view_ops = {view_begin, view_end, view_invalidate};

int told_change(uint32_t flags)
{
	struct nst_notify_range r;
	int err = nst_notify_begin(&r, views, 0, RANGE_BYTES, flags);

	WANT(!err || err == -EAGAIN);
	WANT(!err || !(flags & NST_NOTIFY_BLOCKABLE) ||
	     nst_mode_effective(NST_NORMAL) & NST_NOCLIENT);
	if (err)
		return err;
	nst_notify_invalidate(views, 0, RANGE_BYTES);
	nst_notify_end(&r);
	return 0;
}

/* ---- banks ---- */

struct run {
	struct run *next;
	size_t bytes;
};

static struct bank {
	pthread_mutex_t lock;
	struct run *first;
	struct nst_oom_notifier *n;
} banks[2] = {{.lock = PTHREAD_MUTEX_INITIALIZER}, {.lock = PTHREAD_MUTEX_INITIALIZER}};

static void pay_in(struct bank *b, void *pages, size_t bytes)
{
	struct run *r = pages;

	r->bytes = bytes;
	pthread_mutex_lock(&b->lock);
	r->next = b->first;
	b->first = r;
	pthread_mutex_unlock(&b->lock);
}

/* How many bytes. */
static size_t give(struct bank *b, unsigned int nr)
{
	size_t bytes = 0;

	pthread_mutex_lock(&b->lock);
	while (nr-- && b->first) {
		struct run *r = b->first;

		b->first = r->next;
		bytes += r->bytes;
		nst_pages_free(r);
	}
	pthread_mutex_unlock(&b->lock);
	return bytes;
}

static int banks_asked;

static size_t bank_gives(void *arg, const struct nst_oom *oom)
{
	INC(banks_asked);
	WANT(!within);
	return told_change(oom->flags) ? NST_OOM_AGAIN : give(arg, GIVEN);
}

/* ---- who comes and goes ---- */

static struct {
	pthread_t thread;
	int stop, here;
} guest;

static int guest_begin(void *arg, const struct nst_notify_range *r)
{
	static unsigned int calls;
	void *note;

	(void)arg;
	WANT(__atomic_load_n(&guest.here, __ATOMIC_SEQ_CST));
	if (!(r->flags & NST_NOTIFY_BLOCKABLE) && INC(calls) % 4 == 0)
		return -EAGAIN;
	within++;
	note = nst_alloc(NOTE_BYTES, NST_NORMAL);
	nst_free(note);
	within--;
	return 0;
}

static void guest_end(void *arg, const struct nst_notify_range *r)
{
	(void)arg;
	(void)r;
	WANT(__atomic_load_n(&guest.here, __ATOMIC_SEQ_CST));
}

static size_t guest_has(void *ctx)
{
	(void)ctx;
	WANT(__atomic_load_n(&guest.here, __ATOMIC_SEQ_CST) && !within);
	return 1;
}

static size_t guest_scans(void *ctx, size_t nr)
{
	(void)nr;
	return guest_has(ctx) - 1;
}

static size_t guest_gives(void *arg, const struct nst_oom *oom)
{
	(void)oom;
	return guest_has(arg) - 1;
}

static void *come_and_go(void *arg)
{
	static const struct nst_notifier_ops ops = {guest_begin, guest_end, NULL};
	uint32_t flags = 0;

	(void)arg;
	while (!__atomic_load_n(&guest.stop, __ATOMIC_ACQUIRE)) {
		struct nst_notifier *n;
		struct nst_oom_notifier *oom;
		struct nst_shrinker *s;

		__atomic_store_n(&guest.here, 1, __ATOMIC_SEQ_CST);
		n = nst_notifier_register(views, RANGE_BYTES - 1, 1, &ops, 0, NULL);
		oom = nst_oom_register(guest_gives, flags, NULL);
		s = nst_shrinker_register(guest_has, guest_scans, NULL, 2, 0);
		WANT(n && oom && s);
		usleep(GUEST_NAP_US);
		WANT(nst_notifier_unregister(n) == 0);
		WANT(nst_oom_unregister(oom) == 0);
		WANT(nst_shrinker_unregister(s) == 0);
		/* Nothing of it is called from here on. */
		__atomic_store_n(&guest.here, 0, __ATOMIC_SEQ_CST);
		flags ^= NST_NOTIFIER_BLOCKS;
	}
	return NULL;
}

/* ---- all memory is taken ---- */

/* The largest first, to both banks in turns. */
static void take_all(void)
{
	unsigned int order = NST_ORDER_MAX + 1, nr = 0;
	void *pages;

	while (order--)
		while ((pages = nst_pages_alloc(order, NST_NORETRY)) != NULL)
			pay_in(&banks[nr++ % 2], pages, (size_t)4096 << order);
}

/* Who has a view's lock excludes who would take it. */
static void *ask_with_lock(struct view *v)
{
	void *p;

	pthread_mutex_lock(&v->lock);
	has_a_view++;
	p = nst_pages_alloc(0, NST_NORMAL | NST_NOCLIENT);
	has_a_view--;
	pthread_mutex_unlock(&v->lock);
	return p;
}

static void *ask(unsigned int i)
{
	if (i % 4 == 0)
		return ask_with_lock(&views[i / 4 % NR_VIEWS]);
	if (i % 4 == 1)
		return nst_alloc(2000, NST_NORMAL);
	return nst_pages_alloc(i % 3, NST_NORMAL);
}

void told_squeeze(void)
{
	void *p[MOST_ASKED];
	unsigned int n;

	take_all();
	for (n = 0;
	     n < ASKED || (n < MOST_ASKED && !__atomic_load_n(&banks_asked, __ATOMIC_RELAXED));
	     n++) {
		p[n] = ask(n);
		if (n % 4 == 2)
			told_change(n % 8 == 2 ? NST_NOTIFY_BLOCKABLE : 0);
	}
	while (n)
		nst_free(p[--n]);
}

/* ---- from begin to end ---- */

void told_begin(void)
{
	nst_store_relaxed(&nst_oom_interval_us, INTERVAL_US);
	for (unsigned int i = 0; i < NR_VIEWS; i++) {
		views[i].n = nst_notifier_register(views, i * RANGE_BYTES / 4, RANGE_BYTES / 2,
						   &view_ops, NST_NOTIFIER_CLIENT, &views[i]);
		WANT(views[i].n);
	}
	banks[0].n = nst_oom_register(bank_gives, 0, &banks[0]);
	banks[1].n =
		nst_oom_register(bank_gives, NST_NOTIFIER_BLOCKS | NST_NOTIFIER_CLIENT, &banks[1]);
	WANT(banks[0].n && banks[1].n);
	pthread_create(&guest.thread, NULL, come_and_go, NULL);
}

void told_quiet(void)
{
	__atomic_store_n(&guest.stop, 1, __ATOMIC_RELEASE);
	pthread_join(guest.thread, NULL);
}

void told_end(void)
{
	for (unsigned int i = 0; i < 2; i++) {
		WANT(nst_oom_unregister(banks[i].n) == 0);
		give(&banks[i], ~0u);
	}
	for (unsigned int i = 0; i < NR_VIEWS; i++) {
		WANT(views[i].changes == 0);
		WANT(nst_notifier_unregister(views[i].n) == 0);
		set_copy(&views[i], NULL);
	}
}

void told_lock_all(void)
{
	for (unsigned int i = 0; i < NR_VIEWS; i++)
		pthread_mutex_lock(&views[i].lock);
	for (unsigned int i = 0; i < 2; i++)
		pthread_mutex_lock(&banks[i].lock);
}

void told_unlock_all(void)
{
	for (unsigned int i = 2; i--;)
		pthread_mutex_unlock(&banks[i].lock);
	for (unsigned int i = NR_VIEWS; i--;)
		pthread_mutex_unlock(&views[i].lock);
}
