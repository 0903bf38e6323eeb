/* SPDX-License-Identifier: MIT */
/*
 * control.c - the validator is put on and off, entered by one thread at a time, and asked what it knows.
 */
#include "held.h"
#include "report.h"

#define TABLE_BYTES                                                                                \
	(((sizeof(struct nst_ld_tables) + NST_PAGE_BYTES - 1) / NST_PAGE_BYTES) * NST_PAGE_BYTES)
#define NAP_US 100

nst_static_assert(sizeof(struct nst_ld_tables) <= (size_t)8 << 20,
		  "fixed memory stays within 8 MiB");
nst_static_assert(NST_LD_EDGES <= UINT16_MAX && NST_LD_CLASSES <= UINT16_MAX,
		  "numbers are 16 bits");

/* A broken variant that the tests must catch. */
#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 72 /* what is known stays so */
#define KNOWN_FOR_EVER 1
#else
#define KNOWN_FOR_EVER 0
#endif

#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 84 /* check_hold is no limit */
#define ANY_TIME 1
#else
#define ANY_TIME 0
#endif

struct nst_ld nst_ld = {.watch_ns = 1000000000u};
const struct nst_lockdep_ops *nst_lockdep_ops;
int (*nst_lockdep_object_of)(const void *addr, struct nst_lockdep_object *o);
NST_DATA uint32_t nst_lockdep_is_on;
/* Closed for ever. */
struct nst_lockdep_self nst_ld_nothing;
NST_DATA NST_TLS struct nst_lockdep_self *nst_lockdep_self = &nst_ld_nothing;

/* ---- one at a time ---- */

struct nst_ld_entered nst_ld_enter(struct nst_ld_thread *t)
{
	struct nst_ld_entered in = {.thread = t};
	u32 self = nst_sys_pid();

	if (t && nst_unlikely(nst_ld_is_measured(t)))
		nst_sys_usage(&in.usage);
	in.signals = nst_sys_signals_block();

	for (;;) {
		u32 by = nst_load_relaxed(&nst_ld.lock); /* the exchange acquires */

		/* Free, or held by a thread of the parent that this child does not have. */
		/* Pairs with: nst_store_release() in nst_ld_leave(). */
		if (by != self && nst_cas_acquire(&nst_ld.lock, by, self))
			break;
		nst_sys_futex_wait(&nst_ld.lock, self, NAP_US);
	}
	nst_ld.halts = 0; /* it was somebody's whom this child does not have */
	if (t) {
		t->busy = 1;
		close_fast(t);
	}
	return in;
}

void nst_ld_measure_less(struct nst_ld_thread *t, const struct nst_sys_usage *before)
{
	struct nst_sys_usage now;

	nst_sys_usage(&now);
	t->since.switches += now.switches - before->switches;
	t->since.faults += now.faults - before->faults;
}

void nst_ld_make_resident(struct nst_ld_thread *t)
{
	if (!nst_exchange_relaxed(&nst_ld.resident, 1u)) /* a hint */
		nst_sys_populate(nst_ld.tables, TABLE_BYTES);
	nst_sys_populate(t, nst_round_up(sizeof(*t), NST_PAGE_BYTES));
}

void nst_ld_leave(struct nst_ld_entered in)
{
	const u32 halts = nst_ld.halts;

	if (in.thread) {
		in.thread->busy = 0;
		open_fast(in.thread);
	}
	/* Pairs with: nst_cas_acquire() in nst_ld_enter(). */
	nst_store_release(&nst_ld.lock, 0u);
	if (in.thread && nst_unlikely(nst_ld_is_measured(in.thread)))
		nst_ld_measure_less(in.thread, &in.usage);
	nst_sys_signals_restore(in.signals);
	if (nst_unlikely(halts))
		nst_ld_halt();
}

void nst_ld_full(enum nst_ld_full which)
{
	static const char *const what[] = {"lock classes",
					   "chains of locks",
					   "orders of two classes",
					   "locks held by one thread",
					   "threads",
					   "places that ask without waiting",
					   "stacks of callers"};
	static const u32 limit[] = {NST_LD_CLASSES - 1, NST_LD_CHAINS,	NST_LD_EDGES - 1,
				    NST_LD_HELD_MAX,	NST_LD_THREADS, NST_LD_SITES,
				    NST_LD_STACKS - 1};
	char line[160];
	size_t n;

	if (nst_or_relaxed(&nst_ld.said_full, 1u << which) & 1u << which)
		return;
	n = nst_format(
		line, sizeof(line),
		"nostall: the validator's table of %s is full (%u); what fits is checked on\n",
		what[which], limit[which]);
	nst_sys_write_all(2, line, n);
}

/* ---- on and off ---- */

static u32 next_epoch(void)
{
	u32 n = nst_add_relaxed(&nst_ld.epoch, 1u) + 1; /* relaxed: a number that nobody else has */

	return n ? n : next_epoch();
}

void nst_ld_look_again(void)
{
	const u32 n = next_epoch();
	u32 was;

	do
		was = nst_load_relaxed(
			&nst_lockdep_is_on); /* relaxed, both: a thread sees it soon */
	while (was && !KNOWN_FOR_EVER && !nst_cas_relaxed(&nst_lockdep_is_on, was, n));
}

static void forget(void)
{
	struct nst_ld_tables *tb = nst_ld.tables;
	u32 i;

	for (i = 1; i <= nst_ld.nr_classes; i++)
		tb->class[i].out = 0;
	if (nst_ld.nr_edges)
		__builtin_memset(tb->edge_slot, 0, sizeof(tb->edge_slot));
	for (i = 0; nst_ld.nr_chains && i < NST_LD_CHAIN_SLOTS; i++)
		nst_store_relaxed(&tb->chain[i],
				  (u64)0); /* relaxed: who still finds one misses that it is new */
	__builtin_memset(tb->cause, 0, sizeof(tb->cause));
	__builtin_memset(tb->site, 0, sizeof(tb->site));
	nst_ld_look_again();
	nst_ld.nr_edges = nst_ld.nr_chains = 0;
	nst_ld.checked = 0;
	nst_ld.errors = nst_ld.possible = nst_ld.expected = nst_ld.suppressed = 0;
	nst_ld_errors_forget();
	for (i = 0; i < NST_NR_LOCKDEP_CODES; i++)
		nst_ld.codes[i] = 0;
}

int nst_lockdep_start(enum nst_lockdep_level shown)
{
	struct nst_ld_tables *tb = nst_ld.tables;
	struct nst_ld_entered in;

	if (shown != NST_LD_ERROR && shown != NST_LD_POSSIBLE)
		return -22;
	if (!tb) {
		tb = nst_sys_reserve(TABLE_BYTES, NST_PAGE_BYTES);
		if (!tb)
			return -12;
		if (nst_sys_commit(tb, TABLE_BYTES)) {
			nst_sys_release(tb, TABLE_BYTES);
			return -12;
		}
		nst_ld.tables = tb;
	}
	in = nst_ld_enter(NULL);
	if (!nst_ld.nr_classes)
		nst_ld_own_classes();
	forget();
	nst_ld_suppress_init();
	nst_store_relaxed(
		&nst_ld.stacks,
		(u32)nst_option(NST_OPT_check_stacks)); /* relaxed: for who is in already */
	nst_ld.shown = shown;
	nst_store_relaxed(&nst_ld.generation,
			  nst_ld.generation + 1); /* relaxed: for blocks of before */
	/* Pairs with: nst_load_acquire() in this_thread() and nst_lockdep_watch_pass() and nst_lockdep_watch(). */
	nst_store_release(&nst_lockdep_ops, &nst_ld_ops);
	nst_store_relaxed(&nst_lockdep_is_on, next_epoch()); /* relaxed: a thread sees it soon */
	nst_ld_leave(in);
	return 0;
}

void nst_lockdep_init(void)
{
	u64 level = nst_option(NST_OPT_check);

	nst_lockdep_watchdog(nst_option(NST_OPT_check_watchdog));
	if (nst_option(NST_OPT_check_hold) && !ANY_TIME)
		nst_lockdep_hold_limit(nst_option(NST_OPT_check_hold));
	if (!level)
		return;
	nst_ld.from_start = 1;
	if (nst_lockdep_start(level == 1 ? NST_LD_ERROR : NST_LD_POSSIBLE))
		nst_warn("no memory for the validator: check is off");
}

void nst_lockdep_stop(void)
{
	nst_store_relaxed(&nst_lockdep_is_on, 0u); /* relaxed: a thread sees it soon */
	nst_store_relaxed(&nst_lockdep_ops, NULL); /* relaxed: as above */
	nst_add_relaxed(&nst_ld.generation, 1);
}

void nst_lockdep_reset(void)
{
	struct nst_ld_entered in;

	if (!nst_ld.tables)
		return;
	in = nst_ld_enter(nst_thread.lockdep);
	forget();
	nst_ld_leave(in);
}

void nst_lockdep_on_report(void (*fn)(const struct nst_lockdep_report *r, void *arg), void *arg)
{
	struct nst_ld_entered in = nst_ld_enter(NULL);

	nst_ld.fn = fn;
	nst_ld.arg = arg;
	nst_ld_leave(in);
}

void nst_lockdep_expect(enum nst_lockdep_code code)
{
	nst_store_relaxed(&nst_ld.nr_expected, (u64)0);	  /* relaxed: a test's own count */
	nst_store_relaxed(&nst_ld.expect, (u32)code + 1); /* relaxed: as above */
}

uint64_t nst_lockdep_expected(void)
{
	nst_store_relaxed(&nst_ld.expect, 0u);	      /* relaxed: as above */
	return nst_load_relaxed(&nst_ld.nr_expected); /* relaxed: as above */
}

/* ---- what is known ---- */

int nst_lockdep_read(struct nst_lockdep_stats *stats, size_t len)
{
	u32 i;

	if (!stats || len != sizeof(*stats))
		return -22;
	/* relaxed, all of them: counters */
	*stats = (struct nst_lockdep_stats){
		.classes = nst_load_relaxed(&nst_ld.nr_classes),
		.chains = nst_load_relaxed(&nst_ld.nr_chains),
		.edges = nst_load_relaxed(&nst_ld.nr_edges),
		.checked = nst_load_relaxed(&nst_ld.checked),
		.errors = nst_load_relaxed(&nst_ld.errors),
		.possible = nst_load_relaxed(&nst_ld.possible),
		.expected = nst_load_relaxed(&nst_ld.expected),
		.suppressed = nst_load_relaxed(&nst_ld.suppressed),
		.stacks = nst_load_relaxed(&nst_ld.nr_stacks),
		.full = nst_load_relaxed(&nst_ld.said_full),
	};
	for (i = 0; i < NST_NR_LOCKDEP_CODES; i++)
		stats->codes[i] = nst_load_relaxed(&nst_ld.codes[i]);
	return 0;
}

static const char *const type_names[] = {"EN", "ER", "SN", "SR"};

static int dump_edge(int fd, const struct nst_ld_edge *e, enum nst_lockdep_dump how)
{
	const struct nst_ld_class *class = nst_ld.tables->class;
	char line[256];
	size_t n;

	if (how == NST_LD_DOT)
		n = nst_format(line, sizeof(line), "\t\"%s\" -> \"%s\" [label=\"%s\"];\n",
			       class[e->from].name, class[e->to].name, type_names[e->type & 3]);
	else
		n = nst_format(line, sizeof(line),
			       "edge from=%s to=%s type=%s thread=%s gates=%u\n",
			       class[e->from].name, class[e->to].name, type_names[e->type & 3],
			       e->thread == NST_LD_MANY ? "many" : "one", (u32)e->nr_gates);
	return nst_sys_write_all(fd, line, nst_min(n, sizeof(line) - 1));
}

/* Orders that it is part of, before another or behind. */
static u32 orders_of(u32 class)
{
	u32 i, n = 0;

	for (i = 1; i <= nst_ld.nr_edges; i++)
		n += nst_ld.tables->edge[i].from == class || nst_ld.tables->edge[i].to == class;
	return n;
}

static int dump_class(int fd, u32 number)
{
	static const char *const type[] = {"none", "free", "spin", "config", "sleep"};
	const struct nst_ld_class *c = &nst_ld.tables->class[number];
	char line[128];
	size_t n = nst_format(line, sizeof(line), "class name=%s outer=%s inner=%s orders=%u\n",
			      c->name, type[c->outer % NST_ARRAY_SIZE(type)],
			      type[c->inner % NST_ARRAY_SIZE(type)], orders_of(number));

	return nst_sys_write_all(fd, line, nst_min(n, sizeof(line) - 1));
}

static int dump_site(int fd, const struct nst_ld_site *s)
{
	char line[256], where[160];
	size_t n = nst_format(line, sizeof(line), "nolock at=%s requests=%llu in_place=%s\n",
			      nst_ld_where(s->ip, where, sizeof(where)),
			      (unsigned long long)s->requests, s->wanted ? "yes" : "never");

	return nst_sys_write_all(fd, line, nst_min(n, sizeof(line) - 1));
}

static int dump_counts(int fd)
{
	char line[192];
	size_t n = nst_format(
		line, sizeof(line),
		"reports errors=%llu possible=%llu expected=%llu suppressed=%llu\n",
		(unsigned long long)nst_ld.errors, (unsigned long long)nst_ld.possible,
		(unsigned long long)nst_ld.expected, (unsigned long long)nst_ld.suppressed);

	return nst_sys_write_all(fd, line, nst_min(n, sizeof(line) - 1));
}

int nst_lockdep_dump(int fd, enum nst_lockdep_dump how)
{
	struct nst_ld_entered in;
	int err = 0;
	u32 i;

	if (!nst_ld.tables)
		return -22;
	in = nst_ld_enter(nst_thread.lockdep);
	nst_ld_names_begin();
	if (how == NST_LD_DOT)
		err = nst_sys_write_all(fd, "digraph locks {\n", 16);
	else
		err = dump_counts(fd);
	for (i = 1; how == NST_LD_TEXT && i <= nst_ld.nr_classes && !err; i++)
		if (!nst_ld_is_context(i) || nst_ld.tables->class[i].out)
			err = dump_class(fd, i);
	for (i = 1; i <= nst_ld.nr_edges && !err; i++)
		err = dump_edge(fd, &nst_ld.tables->edge[i], how);
	for (i = 0; how == NST_LD_TEXT && i < NST_LD_SITES && !err; i++)
		if (nst_ld.tables->site[i].ip)
			err = dump_site(fd, &nst_ld.tables->site[i]);
	if (how == NST_LD_DOT && !err)
		err = nst_sys_write_all(fd, "}\n", 2);
	nst_ld_leave(in);
	return err;
}
