/* SPDX-License-Identifier: MIT */
/*
 * account.c - accounts: limits in a tree, what is charged to them, and a stock of charged bytes on each CPU.
 *
 * CHARGE(a, n)				UNCHARGE(a, n)
 *   DEBIT(a.stock, n): done		  a.forced == 0 and CREDIT(a.stock, n): done
 *   for l = a, a.parent ...:		  a.busy++
 *     l.charged += n + batch, unless	  for l: l.charged -= n
 *       it gets above l.max: undo	  for l, all: forced -= min(n, a.forced)
 *   CREDIT(a.stock, batch)		  a.busy--  *
 *
 * DEBIT and CREDIT are restartable sequences (arch/rseq_ops.h) of one commit; without rseq, stripes. charged is raised by
 * compare-and-swap, so that it never is above max for a moment, either; a level that refuses undoes those below it.
 * While there are such bytes, others may be refused that a moment later would not be: they count as charged.
 *
 * Forced bytes are added to forced before charged, and leave it after, at each level: charged <= max + forced (A2), for
 * who finds forced the same before and after it has read charged.
 *
 * The line marked * is the last access: an account is destroyed when charged, forced and busy are 0, and who gives its
 * last bytes back by CREDIT looks at it no more.
 *
 * Progress: a try is lost only to another that went through; who waits for nothing gives up after CAS_TRIES.
 * Fork: stocks are whole in the child; what a lost thread had charged for an object it had not yet stays charged.
 * Signal: charging and giving back are legal in a handler. Locks: nst_accounts_lock comes before that of caches.
 *
 * Sources: the page counters and per-CPU stocks of Linux's memory controller (Hansen, Weiner); Roman Gushchin's object
 * accounting, Linux 5.9.
 */
#include "../mm.h"
#include "account.h"

#define CAS_TRIES 1000u
#define STOCK_MOST 65536u /* (tune) bytes of an account that a CPU may have ahead */
#define STOCK_LEAST 512u  /* below this there is none */
#define STOCK_SHARE 8u	  /* stocks take at most such a part of max */

struct nst_lock nst_accounts_lock = {.lock_class = NST_LOCK_CACHES, .subclass = 2};
struct nst_account *nst_accounts[NST_ACCOUNTS_MAX + 1];
u32 nst_accounts_told;
static u32 nr_accounts;	 /* by nst_accounts_lock */
static u64 forced_bytes; /* of all accounts */

/* ---- charging ---- */

static void tell(struct nst_account *a, u64 *events)
{
	nst_add_relaxed(events, 1); /* a statistic */
	if (nst_hint(&a->told))
		return;
	nst_hint_set(&a->told, 1u);
	nst_hint_set(&nst_accounts_told, 1u);
	nst_worker_flag();
}

static void saw(struct nst_account *a, u64 charged, u64 bytes)
{
	u64 high = nst_hint(&a->high);

	nst_max_relaxed(&a->peak, charged);
	if (nst_unlikely(charged > high && charged - bytes <= high))
		tell(a, &a->high_events);
}

static int charge_one(struct nst_account *a, u64 bytes)
{
	unsigned int i;

	for (i = 0; i < CAS_TRIES; i++) {
		u64 charged = nst_hint(&a->charged), max = nst_hint(&a->max);

		if (charged > max || bytes > max - charged)
			return 0;
		if (nst_cas_relaxed(&a->charged, charged, charged + bytes)) {
			saw(a, charged + bytes, bytes);
			return 1;
		}
	}
	return 0;
}

/* From @a up to, and without, @end. */
static void give_back(struct nst_account *a, const struct nst_account *end, u64 bytes)
{
	for (; a != end; a = a->parent)
		/* Pairs with: nst_load_acquire() in is_free_locked() and read_charged(). */
		nst_sub_release(&a->charged, bytes);
}

/* NULL: charged to all; or the one that refuses. */
static struct nst_account *charge_all(struct nst_account *a, u64 bytes)
{
	struct nst_account *l;

	for (l = a; l; l = l->parent) {
		if (charge_one(l, bytes))
			continue;
		give_back(a, l, bytes);
		return l;
	}
	return NULL;
}

int nst_account_is_high(const struct nst_account *a)
{
	for (; a; a = a->parent)
		if (nst_hint(&a->charged) > nst_hint(&a->high))
			return 1;
	return 0;
}

/* With a stock for this CPU, if nobody is near a limit. */
static struct nst_account *charge_more(struct nst_account *a, u64 bytes)
{
	u64 batch = nst_hint(&a->batch);

	if (!batch || bytes > batch || nst_account_is_high(a) || charge_all(a, bytes + batch))
		return charge_all(a, bytes);
	if (!nst_pcs_credit(&a->stock, (u32)(batch / NST_CHARGE_UNIT)))
		give_back(a, NULL, batch);
	return NULL;
}

int nst_charge_tries(struct nst_account *a, u64 bytes, nst_mode_t mode)
{
	struct nst_account *by;

	if (bytes <= STOCK_MOST && nst_pcs_debit(&a->stock, (u32)(bytes / NST_CHARGE_UNIT)))
		return 1;
	if (mode & NST_FASTTRY)
		return 0;
	by = charge_more(a, bytes);
	if (by)
		tell(by, &by->max_events);
	return !by;
}

/* Half of what the reserve is below. */
static u64 forced_cap(void)
{
	u64 pages = 0;
	unsigned int i;

	for (i = 0; i < nst_sys_cpus.nr_nodes; i++)
		pages += nst_hint(&nst_zones[i].min);
	return (pages << NST_PAGE_SHIFT) / 2;
}

int nst_charge_force(struct nst_account *a, u64 bytes)
{
	u64 cap = forced_cap(), had;
	struct nst_account *l;

	do {
		had = nst_hint(&forced_bytes);
		if (bytes > cap || had > cap - bytes)
			return 0;
	} while (!nst_cas_relaxed(&forced_bytes, had, had + bytes));
	for (l = a; l; l = l->parent) {
		nst_add_relaxed(&l->forced_times, 1); /* the last orders both */
		nst_add_relaxed(&l->forced, bytes);
		/* Pairs with: nst_load_acquire() in read_charged(). */
		saw(l, nst_add_release(&l->charged, bytes) + bytes, bytes);
	}
	return 1;
}

static void repay(struct nst_account *a, u64 bytes)
{
	struct nst_account *l;
	u64 had, n;

	do {
		had = nst_hint(&a->forced);
		n = nst_min(had, bytes);
		if (!n)
			return;
		/* Pairs with: nst_load_acquire() in read_charged(), as the next. */
	} while (!nst_cas_release(&a->forced, had, had - n));
	for (l = a->parent; l; l = l->parent)
		/* Pairs with: nst_load_acquire() in read_charged(). */
		nst_sub_release(&l->forced, n);
	nst_sub_relaxed(&forced_bytes, n); /* a share of a cap, of nothing else */
}

static void uncharge_slow(struct nst_account *a, u64 bytes)
{
	nst_add_relaxed(&a->busy, 1u); /* charged orders it */
	give_back(a, NULL, bytes);
	repay(a, bytes);
	/* Pairs with: nst_load_acquire() in is_free_locked(). */
	nst_sub_release(&a->busy, 1u);
}

void nst_uncharge(struct nst_account *a, u64 bytes)
{
	if (nst_likely(bytes <= STOCK_MOST && !nst_hint(&a->forced)) &&
	    nst_pcs_credit(&a->stock, (u32)(bytes / NST_CHARGE_UNIT)))
		return;
	uncharge_slow(a, bytes);
}

/* ---- stocks ---- */

/* What a CPU may have: of the least limit that it is under. */
static u32 stock_for(const struct nst_account *a)
{
	u64 max = NST_NO_LIMIT, most;

	for (; a; a = a->parent)
		max = nst_min(max, nst_hint(&a->max));
	most = nst_min(max / STOCK_SHARE / nst_sys_cpus.nr, STOCK_MOST);
	return most < STOCK_LEAST ? 0 : (u32)nst_round_down(most, 2 * NST_CHARGE_UNIT);
}

static void drain_locked(struct nst_account *a)
{
	unsigned int i;

	for (i = 0; i < nst_pcs_nr_stacks(&a->stock); i++) {
		struct nst_pcs *s =
			nst_pcs_count(&a->stock, i) || nst_pcs_cap(&a->stock, i) != a->stock.cap
				? nst_pcs_take(&a->stock, i)
				: NULL;
		u64 bytes;

		if (!s)
			continue;
		bytes = (u64)s->count * NST_CHARGE_UNIT;
		nst_store_relaxed(&s->count, 0u); /* statistics look at it */
		nst_store_relaxed(&s->cap, a->stock.cap);
		nst_pcs_put(&a->stock, i, s);
		if (bytes)
			uncharge_slow(a, bytes);
	}
}

static void for_each_below_locked(const struct nst_account *top, void (*fn)(struct nst_account *a))
{
	u32 i;

	for (i = 1; i <= NST_ACCOUNTS_MAX; i++)
		if (nst_accounts[i] && nst_account_is_below(nst_accounts[i], top))
			fn(nst_accounts[i]);
}

void nst_account_drain(const struct nst_account *a)
{
	while (a->parent)
		a = a->parent;
	nst_lock_wait(&nst_accounts_lock);
	for_each_below_locked(a, drain_locked);
	nst_unlock(&nst_accounts_lock);
}

static void fit_stock_locked(struct nst_account *a)
{
	u32 most = stock_for(a);

	a->stock.cap = most / NST_CHARGE_UNIT;
	nst_hint_set(&a->batch, most / 2);
	drain_locked(a);
}

/* ---- making and destroying ---- */

/* Numbers on every CPU, so that a no-lock request finds one. */
static int make_stock(struct nst_account *a)
{
	u32 most = stock_for(a);
	unsigned int cpu;

	nst_pcs_table_init_lazy(&a->stock, most / NST_CHARGE_UNIT, 0);
	nst_hint_set(&a->batch, most / 2);
	for (cpu = 0; cpu < nst_sys_cpus.nr; cpu++)
		if (nst_pcs_ensure(&a->stock, cpu))
			return -12;
	return 0;
}

static u32 free_number_locked(void)
{
	u32 i;

	for (i = 1; i <= NST_ACCOUNTS_MAX; i++)
		if (!nst_accounts[i])
			return i;
	return 0;
}

static void forget(struct nst_account *a)
{
	nst_pcs_table_exit(&a->stock);
	nst_meta_free(a, sizeof(*a));
}

void nst_account_bounds(unsigned int cpus, struct nst_account_bounds *b)
{
	unsigned int cpu;
	u32 i;

	*b = (struct nst_account_bounds){.each = sizeof(struct nst_account) +
						 nst_pcs_table_bytes(cpus, 0)};
	nst_lock_wait(&nst_accounts_lock);
	for (i = 1; i <= NST_ACCOUNTS_MAX; i++) {
		struct nst_account *a = nst_accounts[i];

		if (!a)
			continue;
		b->now += sizeof(*a) + nst_pcs_table_bytes_now(&a->stock);
		b->stock += (u64)stock_for(a) * (cpus + NST_STRIPES);
		for (cpu = 0; cpu < nst_pcs_nr_stacks(&a->stock); cpu++)
			b->stocked += (u64)nst_pcs_count(&a->stock, cpu) * NST_CHARGE_UNIT;
	}
	nst_unlock(&nst_accounts_lock);
}

static struct nst_account *make_locked(const char *name, struct nst_account *parent, u64 high,
				       u64 max)
{
	u32 id = free_number_locked();
	struct nst_account *a = id ? nst_meta_alloc(sizeof(*a)) : NULL;

	if (!a)
		return NULL;
	a->id = id;
	a->parent = parent;
	a->depth = parent ? parent->depth + 1 : 1;
	a->high = high;
	a->max = max;
	a->fd = -1;
	nst_format(a->name, sizeof(a->name), "%s", name && *name ? name : "unnamed");
	if (make_stock(a) || (!nr_accounts && nst_cache_make_charged())) {
		forget(a);
		return NULL;
	}
	if (parent)
		parent->children++;
	nst_accounts[id] = a;
	if (!nr_accounts++)
		nst_caches_close(1);
	return a;
}

struct nst_account *nst_account_create(const char *name, struct nst_account *parent, uint64_t high,
				       uint64_t max)
{
	struct nst_account *a;

	if (parent && parent->depth >= NST_ACCOUNT_DEPTH) {
		nst_warn(
			"nst_account_create(\"%s\"): below '%s' would be a depth of %u; allowed: %u",
			name ? name : "unnamed", parent->name, parent->depth + 1,
			NST_ACCOUNT_DEPTH);
		return NULL;
	}
	if (nst_start())
		return NULL;
	nst_fork_check();
	nst_lean_end();
	nst_lock_wait(&nst_accounts_lock);
	a = make_locked(name, parent, high, max);
	nst_unlock(&nst_accounts_lock);
	return a;
}

static int is_free_locked(struct nst_account *a)
{
	if (nst_hint(&a->entered) || a->children)
		return 0;
	drain_locked(a);
	/* Pairs with: nst_sub_release() in give_back() and uncharge_slow(). */
	return !nst_load_acquire(&a->charged) && !nst_load_acquire(&a->forced) &&
	       !nst_load_acquire(&a->busy);
}

int nst_account_destroy(struct nst_account *account)
{
	int err = -16;

	if (!account)
		return 0;
	nst_fork_check();
	nst_lock_wait(&nst_accounts_lock);
	if (is_free_locked(account)) {
		nst_accounts[account->id] = NULL;
		if (account->parent)
			account->parent->children--;
		if (account->fd >= 0)
			nst_sys_eventfd_close(account->fd);
		forget(account);
		if (!--nr_accounts)
			nst_caches_close(0);
		err = 0;
	}
	nst_unlock(&nst_accounts_lock);
	return err;
}

int nst_account_limit(struct nst_account *account, uint64_t high, uint64_t max)
{
	if (!account)
		return -22;
	nst_fork_check();
	nst_lock_wait(&nst_accounts_lock);
	nst_hint_set(&account->high, high);
	nst_hint_set(&account->max, max);
	for_each_below_locked(account, fit_stock_locked);
	nst_unlock(&nst_accounts_lock);
	return 0;
}

/* ---- the thread's ---- */

static nst_account_token_t go(struct nst_account *account, uintptr_t all)
{
	nst_account_token_t before = nst_thread.account;

	if (account)
		nst_add_relaxed(&account->entered, 1u); /* a count */
	nst_thread.account = (uintptr_t)account | all;
	return before;
}

nst_account_token_t nst_account_enter(struct nst_account *account)
{
	return go(account, NST_ACCOUNT_ALL);
}

nst_account_token_t nst_account_use(struct nst_account *account)
{
	return go(account, 0);
}

void nst_account_exit(nst_account_token_t token)
{
	struct nst_account *a = (struct nst_account *)(nst_thread.account & ~NST_ACCOUNT_ALL);

	nst_thread.account = token;
	nst_barrier(); /* a handler is charged to one that is there */
	if (a)
		nst_sub_relaxed(&a->entered, 1u); /* who destroys it knows that it was left */
}
