/* SPDX-License-Identifier: MIT */
/*
 * mm_pcp.c - runs on CPUs' lists are neither lost nor mixed up; empty lists and stocks are filled.
 *
 * The lists are those of a zone of the test's own. Without sequences a CPU's list is eight stripes.
 */
#define _GNU_SOURCE
#include "own_zone.h"
#include "common/trap.h"

/* Orders that have lists. */
static const unsigned int orders[] = {0, 1, 2, 3, NST_BLOCK_ORDER};
#define NR_ORDERS NST_ARRAY_SIZE(orders)

static struct nst_page *run[NST_BLOCK_PAGES];

static struct nst_pcs_table *list(unsigned int order, unsigned int mob)
{
	return &own_zone.pcp[mob][nst_pcp_index(order)];
}

static void begin(void)
{
	own_zone_begin();
	nst_pcp_init(&own_zone);
}

static void end(void)
{
	for (unsigned int m = 0; m < NST_NR_MOBILITIES; m++)
		for (unsigned int i = 0; i < NR_ORDERS; i++)
			nst_pcs_table_exit(list(orders[i], m));
}

/* Runs on all stacks of a list. */
static u64 on_list(unsigned int order, unsigned int mob)
{
	u64 n = 0;

	for (unsigned int i = 0; i < nst_pcs_nr_stacks(list(order, mob)); i++)
		n += nst_pcs_count(list(order, mob), i);
	return n;
}

/* Stacks that a thread on this CPU fills. */
static size_t stacks(void)
{
	return nst_sys_rseq.usable ? 1 : NST_STRIPES;
}

static void ensure(void)
{
	for (unsigned int m = 0; m < NST_NR_MOBILITIES; m++)
		for (unsigned int i = 0; i < NR_ORDERS; i++)
			if (nst_pcs_ensure(list(orders[i], m), nst_this_cpu()))
				check_broken("a stack");
}

static void numbers(void)
{
	unsigned int order, wrong = 0;

	for (order = 0; order < 12; order++) {
		int index = order <= 3 ? (int)order : order == NST_BLOCK_ORDER ? 4 : -1;
		u32 batch = nst_pcp_batch(order);

		wrong += nst_pcp_index(order) != index;
		check_quiet(batch >= 1 && batch <= NST_PCP_BATCH,
			    "a batch fits into what callers have room for", "order %u: %u", order,
			    batch);
		check_quiet(index >= 0 || batch == 1, "what has no list moves one by one",
			    "order %u: %u", order, batch);
		check_quiet(order > 3 || batch << order <= 32, "a batch is at most 128 KiB",
			    "order %u: %u runs", order, batch);
	}
	check(wrong == 0, "orders 0 to 3 and the block have lists, no other has",
	      "%u indices differ", wrong);
}

/* What is there after one run of @order and @mob was put: that and nothing else. */
static void only(unsigned int order, unsigned int mob, struct nst_page *p)
{
	for (unsigned int m = 0; m < NST_NR_MOBILITIES; m++)
		for (unsigned int i = 0; i < NR_ORDERS; i++)
			if (m != mob || orders[i] != order)
				check_quiet(!nst_pcp_take(&own_zone, orders[i], m),
					    "lists of other orders and mobilities have nothing",
					    "order %u, mobility %u", orders[i], m);
	check_quiet(nst_pcp_take(&own_zone, order, mob) == p, "what was put is what is taken",
		    "order %u, mobility %u: another", order, mob);
	check_quiet(nst_page_state(p) == NST_PAGE_PCP && p->order == order,
		    "a run stays what it is", "order %u: state %u, order %u", order, p->state,
		    p->order);
	check_quiet(!nst_pcp_take(&own_zone, order, mob), "once", "order %u, mobility %u: again",
		    order, mob);
}

static void round_trip(void)
{
	unsigned int m, i, taken = 0;

	begin();
	for (m = 0; m < NST_NR_MOBILITIES; m++)
		own_put(own_block(m), NST_BLOCK_ORDER);
	for (m = 0; m < NST_NR_MOBILITIES; m++) {
		for (i = 0; i < NST_NR_ORDERS; i++) {
			struct nst_page *p = own_take(i, m);

			taken += nst_pcp_put(&own_zone, p, i) != 0;
			taken += nst_pcp_take(&own_zone, i, m) != NULL;
			own_put(p, i);
		}
	}
	check(taken == 0, "a CPU without lists takes no run and has none", "%u", taken);
	ensure();
	for (m = 0; m < NST_NR_MOBILITIES; m++) {
		for (i = 0; i < NR_ORDERS; i++) {
			struct nst_page *p = own_take(orders[i], m);

			check_quiet(nst_pcp_put(&own_zone, p, orders[i]), "an empty list has room",
				    "order %u, mobility %u", orders[i], m);
			only(orders[i], m, p);
			own_put(p, orders[i]);
		}
	}
	check(nst_pcp_put(&own_zone, own.block[0], 4) == 0, "order 4 has no list to be put on",
	      "it was taken");
	own_audit();
	check(own_zone.free_pages == 3 * NST_BLOCK_PAGES,
	      "runs of each order and mobility come back", "%llu pages are free",
	      (unsigned long long)own_zone.free_pages);
	end();
}

/* A list filled until it refuses, and emptied. */
static void fill_up(unsigned int order)
{
	size_t n = 0, wanted = 2 * nst_pcp_batch(order) * stacks(), got, wrong = 0;
	struct nst_page *p;

	begin();
	for (unsigned int i = 0; i < (order == NST_BLOCK_ORDER ? 3 : 2); i++)
		own_put(own_block(NST_MOB_MOVABLE), NST_BLOCK_ORDER);
	ensure();
	while ((p = own_take(order, NST_MOB_MOVABLE)) != NULL && nst_pcp_put(&own_zone, p, order))
		run[n++] = p;
	check_quiet(p && n == wanted, "a CPU keeps two batches and no more",
		    "order %u: %zu runs, not %zu", order, n, wanted);
	for (got = 0; (p = nst_pcp_take(&own_zone, order, NST_MOB_MOVABLE)) != NULL; got++)
		wrong += got < n && nst_sys_rseq.usable && p != run[n - 1 - got];
	check_quiet(got == n && wrong == 0,
		    "the last put, which is still in the CPU's cache, is first",
		    "order %u: %zu of %zu, %zu out of order", order, got, n, wrong);
	end();
}

static void full(void)
{
	for (unsigned int i = 0; i < NR_ORDERS; i++)
		if (orders[i] <= 3 || nst_sys_rseq.usable)
			fill_up(orders[i]);
	check(1, "lists take what they have room for", "-");
}

/* A run or two of every order and mobility on this CPU's lists; how many pages. */
static u64 scatter(void)
{
	u64 pages = 0;

	for (unsigned int m = 0; m < NST_NR_MOBILITIES; m++) {
		for (unsigned int i = 0; i < NR_ORDERS; i++) {
			struct nst_page *p = own_take(orders[i], m);

			if (!p || p->mobility != m || !nst_pcp_put(&own_zone, p, orders[i]))
				check_broken("a run for each list");
			pages += 1ull << orders[i];
		}
	}
	return pages;
}

static u64 on_lists(void)
{
	u64 pages = 0;

	for (unsigned int m = 0; m < NST_NR_MOBILITIES; m++)
		for (unsigned int i = 0; i < NR_ORDERS; i++)
			pages += on_list(orders[i], m) << orders[i];
	return pages;
}

static void drained(const char *name)
{
	u64 whole = 0, m;

	nst_pcp_drain(&own_zone);
	own_audit();
	for (m = 0; m < NST_NR_MOBILITIES; m++)
		whole += own_zone.nr_free[m][NST_BLOCK_ORDER];
	check(own_zone.free_pages == own.lent * NST_BLOCK_PAGES && on_lists() == 0, name,
	      "%llu of %llu pages are free, %llu still on lists",
	      (unsigned long long)own_zone.free_pages,
	      (unsigned long long)own.lent * NST_BLOCK_PAGES, (unsigned long long)on_lists());
	check(whole == own.lent, "and merge to whole blocks", "%llu of %u",
	      (unsigned long long)whole, own.lent);
}

static void drain(void)
{
	u64 pages;

	begin();
	for (unsigned int i = 0; i < 2 * NST_NR_MOBILITIES; i++)
		own_put(own_block(i / 2), NST_BLOCK_ORDER);
	ensure();
	pages = scatter();
	check(on_lists() == pages && own_zone.free_pages == own.lent * NST_BLOCK_PAGES - pages,
	      "what is on a CPU's list is not in the zone's", "%llu of %llu pages",
	      (unsigned long long)on_lists(), (unsigned long long)pages);
	drained("a drain brings every page back to the zone");
	scatter();
	drained("and again, from the lists it left behind");
	if (cpu_nth(1) >= 0) {
		run_on_cpu(0, cpu_nth(1));
		ensure();
		scatter();
		run_on_cpu(0, cpu_nth(0));
		drained("those of another CPU as well");
	}
	if (nst_sys_rseq.usable) {
		pages = scatter();
		nst_test_fail[NST_FAIL_MEMBARRIER] = -1;
		nst_pcp_drain(&own_zone);
		nst_test_fail[NST_FAIL_MEMBARRIER] = 0;
		check(on_lists() == pages, "a CPU that cannot be fenced keeps its pages",
		      "%llu of %llu", (unsigned long long)on_lists(), (unsigned long long)pages);
		drained("until it can");
	}
	end();
}

/* Lists of a CPU that has none, filled for no-lock callers from a block of 512 pages. */
static void fill_order(unsigned int order)
{
	u64 wanted = nst_pcp_batch(order) * stacks(), n;
	unsigned int o;
	int found;

	begin();
	own_put(own_block(NST_MOB_UNMOVABLE), NST_BLOCK_ORDER);
	own_zone.want_cpu = nst_this_cpu();
	found = nst_pcp_fill(&own_zone, 1u << order, 0);
	n = on_list(order, NST_MOB_UNMOVABLE);
	check_quiet(found == NST_PCP_FILLED && n == wanted,
		    "a CPU without a list is given one, and a batch",
		    "order %u: %llu runs, not %llu", order, (unsigned long long)n,
		    (unsigned long long)wanted);
	check_quiet(own_zone.free_pages == NST_BLOCK_PAGES - (n << order),
		    "out of the zone's free pages", "order %u: %llu are free", order,
		    (unsigned long long)own_zone.free_pages);
	for (o = 0; o <= 3; o++)
		check_quiet(o == order || !on_list(o, NST_MOB_UNMOVABLE),
			    "orders that nobody wanted are left alone", "order %u: %llu", o,
			    (unsigned long long)on_list(o, NST_MOB_UNMOVABLE));
	found = nst_pcp_fill(&own_zone, 1u << order, 0);
	check_quiet(!found && on_list(order, NST_MOB_UNMOVABLE) == n,
		    "a list that has some is left alone", "order %u: %llu", order,
		    (unsigned long long)on_list(order, NST_MOB_UNMOVABLE));
	while (nst_pcp_take(&own_zone, order, NST_MOB_UNMOVABLE))
		n--;
	check_quiet(n == 0, "its runs are there to take", "order %u: %llu are not", order,
		    (unsigned long long)n);
	own_audit();
	end();
}

static void fill(void)
{
	int found;
	u64 n;

	for (unsigned int order = 0; order <= 3; order++)
		fill_order(order);
	begin();
	own_put(own_block(NST_MOB_UNMOVABLE), NST_BLOCK_ORDER);
	own_zone.want_cpu = nst_this_cpu();
	own_zone.low = NST_BLOCK_PAGES;
	found = nst_pcp_fill(&own_zone, 15, 0);
	check(!found && on_lists() == 0, "at the low watermark no list is filled", "%llu pages",
	      (unsigned long long)on_lists());
	own_zone.low = NST_BLOCK_PAGES - 3;
	found = nst_pcp_fill(&own_zone, 15, 0);
	check(found == NST_PCP_FILLED && on_lists() == 3, "above it only what it leaves",
	      "%llu pages", (unsigned long long)on_lists());
	own_zone.low = 0;
	nst_pcp_fill(&own_zone, ~0u, 0);
	check(on_list(1, NST_MOB_UNMOVABLE) && !on_list(NST_BLOCK_ORDER, NST_MOB_UNMOVABLE),
	      "whatever is wanted, blocks stay: no-lock callers get none", "%llu, %llu",
	      (unsigned long long)on_list(1, NST_MOB_UNMOVABLE),
	      (unsigned long long)on_list(NST_BLOCK_ORDER, NST_MOB_UNMOVABLE));
	nst_pcp_drain(&own_zone);
	n = own_zone.free_pages;
	if (nst_sys_rseq.usable) {
		nst_test_fail[NST_FAIL_MEMBARRIER] = -1;
		check(!nst_pcp_fill(&own_zone, 15, 0),
		      "a CPU that cannot be fenced is given nothing", "it is");
		nst_test_fail[NST_FAIL_MEMBARRIER] = 0;
	}
	own_audit();
	check(n == NST_BLOCK_PAGES && own_zone.free_pages == n, "and no page is lost by it",
	      "%llu, then %llu of 512 are free", (unsigned long long)n,
	      (unsigned long long)own_zone.free_pages);
	end();
}

/* ---- stocks ---- */

#define STOCK 40u

/* A stock in each stack that a thread on this CPU uses; 0 or what the first refusal says. */
static int stock(unsigned int order, u32 n)
{
	unsigned int first = nst_sys_rseq.usable ? nst_this_cpu() : nst_sys_cpus.nr;
	int err = 0;

	for (unsigned int i = 0; i < stacks() && !err; i++)
		err = nst_pcp_stock(&own_zone, order, first + i, n);
	return err;
}

/* Pages in stock, which are all that is not free. */
static u64 in_stock(void)
{
	u64 n = on_list(0, NST_MOB_UNMOVABLE);

	check_quiet(n == on_lists() && own_zone.free_pages + n == own.lent * NST_BLOCK_PAGES,
		    "no page is lost", "%llu free, %llu on lists",
		    (unsigned long long)own_zone.free_pages, (unsigned long long)on_lists());
	own_audit();
	return n;
}

/* @n runs off the list, and back to the zone. */
static void use(unsigned int n)
{
	while (n--) {
		struct nst_page *p = nst_pcp_take(&own_zone, 0, NST_MOB_UNMOVABLE);

		if (!p)
			check_broken("a run of the stock");
		own_put(p, 0);
	}
}

static void stock_is_kept(void)
{
	u64 all = STOCK * stacks();
	struct nst_page *p;

	begin();
	own_put(own_block(NST_MOB_UNMOVABLE), NST_BLOCK_ORDER);
	own_put(own_block(NST_MOB_UNMOVABLE), NST_BLOCK_ORDER);
	check(!stock(0, STOCK) && in_stock() == all && own_zone.stocked,
	      "a stock is laid, more than a batch", "%llu of %llu", (unsigned long long)in_stock(),
	      (unsigned long long)all);
	check(!stock(0, STOCK) && in_stock() == all, "and not twice", "%llu of %llu",
	      (unsigned long long)in_stock(), (unsigned long long)all);
	for (unsigned int i = 0; i < 20; i++) {
		p = own_take(0, NST_MOB_UNMOVABLE);
		check_quiet(nst_pcp_put(&own_zone, p, 0), "beside it is room for what is freed",
			    "number %u", i);
	}
	check(in_stock() == all + 20, "what is freed joins it", "%llu",
	      (unsigned long long)in_stock());
	nst_pcp_drain(&own_zone);
	check(in_stock() == all, "a drain takes that, and leaves the stock", "%llu of %llu",
	      (unsigned long long)in_stock(), (unsigned long long)all);
	if (nst_sys_rseq.usable) {
		nst_test_fail[NST_FAIL_MEMBARRIER] = -1;
		check(stock(0, 2 * STOCK) == -12, "who cannot be fenced gets no larger one",
		      "it says 0");
		nst_test_fail[NST_FAIL_MEMBARRIER] = 0;
	}
	nst_test_fail[NST_FAIL_META] = -1;
	check(stock(0, 3 * STOCK) == -12, "nor is there one without memory for its list",
	      "it says 0");
	nst_test_fail[NST_FAIL_META] = 0;
	check(in_stock() == all, "and the one there was stays", "%llu of %llu",
	      (unsigned long long)in_stock(), (unsigned long long)all);
	end();
}

static void stock_is_topped_up(void)
{
	u64 all = STOCK * stacks();
	int found;

	begin();
	own_put(own_block(NST_MOB_UNMOVABLE), NST_BLOCK_ORDER);
	own_put(own_block(NST_MOB_UNMOVABLE), NST_BLOCK_ORDER);
	if (stock(0, STOCK))
		check_broken("a stock");
	use(STOCK / 4);
	found = nst_pcp_fill(&own_zone, 0, 0);
	check(!found && in_stock() == all - STOCK / 4, "a stock a quarter gone is left", "%d, %llu",
	      found, (unsigned long long)in_stock());
	use(1);
	found = nst_pcp_fill(&own_zone, 0, 0);
	check(found == NST_PCP_FILLED && in_stock() == all, "more than that, and it is filled",
	      "%d, %llu", found, (unsigned long long)in_stock());
	use(1);
	found = nst_pcp_fill(&own_zone, 0, 1);
	check(found == NST_PCP_FILLED && in_stock() == all,
	      "to the brim whenever that is asked for", "%d, %llu", found,
	      (unsigned long long)in_stock());
	use(20);
	own_zone.low = own_zone.free_pages;
	found = nst_pcp_fill(&own_zone, 0, 0);
	check(found == NST_PCP_SHORT && in_stock() == all - 20,
	      "without pages above low it says so, and takes none", "%d, %llu", found,
	      (unsigned long long)in_stock());
	own_zone.low -= 5;
	found = nst_pcp_fill(&own_zone, 0, 0);
	check(found == (NST_PCP_SHORT | NST_PCP_FILLED) && in_stock() == all - 15,
	      "with a few it takes those", "%d, %llu", found, (unsigned long long)in_stock());
	own_zone.low = 0;
	check(!stock(0, STOCK) && in_stock() == all, "laid again, it gets what is missing", "%llu",
	      (unsigned long long)in_stock());
	end();
}

/* One node and the default watermarks, whatever the machine and the environment have. */
TEST_CONF("worker:off,nodes:1,high:1M")

int main(int argc, char **argv)
{
	(void)argc;
	conf_apply(argv);
	run_on_cpu(0, cpu_nth(0));
	numbers();
	round_trip();
	full();
	drain();
	fill();
	stock_is_kept();
	stock_is_topped_up();
	return check_status();
}
