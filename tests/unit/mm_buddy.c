/* SPDX-License-Identifier: MIT */
/*
 * mm_buddy.c - free blocks split and merge to the page, and change mobility only as a whole.
 *
 * Every count is compared with what was put in; nst_buddy_check() compares the lists with the counts,
 * and is itself shown lists that are damaged.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "own_zone.h"
#include "common/trap.h"

#define STEAL_ORDER 5u /* as buddy.c has it */
#define STEPS 4000
#define NR_RUNS 64u
#define NR_BLOCKS 4u

static struct nst_page *run[NST_BLOCK_PAGES];

static void split_and_merge(void)
{
	struct nst_page *block, *p;
	unsigned int order, wrong = 0;

	own_zone_begin();
	block = own_block(NST_MOB_MOVABLE);
	own_put(block, NST_BLOCK_ORDER);
	own_audit();
	own_zone.lowest_free = own_zone.free_pages;
	p = own_take(0, NST_MOB_MOVABLE);
	for (order = 0; order < NST_NR_ORDERS; order++)
		wrong += own_zone.nr_free[NST_MOB_MOVABLE][order] != (order < NST_BLOCK_ORDER);
	check(wrong == 0 && p == block, "one page off a block leaves one run of each lower order",
	      "%u orders have another number", wrong);
	check(own_zone.free_pages == NST_BLOCK_PAGES - 1, "and one page less is free", "%llu",
	      (unsigned long long)own_zone.free_pages);
	own_audit();
	own_put(p, 0);
	check(own_zone.nr_free[NST_MOB_MOVABLE][NST_BLOCK_ORDER] == 1 &&
		      own_runs(NST_MOB_MOVABLE) == 1,
	      "put back, all merge to the block", "%llu runs",
	      (unsigned long long)own_runs(NST_MOB_MOVABLE));
	check(own_zone.free_pages == NST_BLOCK_PAGES && own_zone.lowest_free == NST_BLOCK_PAGES - 1,
	      "every page of it is free, and what was free at the least is kept", "%llu, %llu",
	      (unsigned long long)own_zone.free_pages, (unsigned long long)own_zone.lowest_free);
	own_audit();
}

/* Of two blocks with runs of one order the fuller one is filled up, the other left to empty, whoever freed last. */
static void fullest_first(void)
{
	struct nst_page *fuller, *emptier;
	unsigned int i, k, wrong = 0;

	for (k = 0; k <= 2; k += 2) {
		own_zone_begin();
		fuller = own_block(NST_MOB_MOVABLE);
		emptier = own_block(NST_MOB_MOVABLE);
		own_put(emptier, NST_BLOCK_ORDER - 1);
		for (i = NST_BLOCK_PAGES / 2; i < NST_BLOCK_PAGES; i += 2)
			own_put((i % 4 == k ? fuller : emptier) + i, 0);
		for (i = 0; i < NST_BLOCK_PAGES / 8; i++)
			wrong += own_block_number(own_take(0, NST_MOB_MOVABLE)) != 0;
		own_audit();
	}
	check(wrong == 0, "what is in use is filled up before what is nearly free",
	      "%u pages of 128 were taken from the emptier block", wrong);
}

static void shuffle(struct rng *rng, size_t n)
{
	for (size_t i = n; i > 1; i--) {
		size_t k = rng_below(rng, (uint32_t)i);
		struct nst_page *p = run[k];

		run[k] = run[i - 1];
		run[i - 1] = p;
	}
}

/* Every run of an order out of one block; how many. */
static size_t take_all(unsigned int order)
{
	static unsigned char seen[NST_BLOCK_PAGES];
	size_t n = 0;
	struct nst_page *p;

	memset(seen, 0, sizeof(seen));
	while (n < NST_BLOCK_PAGES && (p = own_take(order, NST_MOB_MOVABLE)) != NULL) {
		size_t first = (size_t)(p - own.block[0]);

		check_quiet(((uintptr_t)nst_page_address(p) & ((NST_PAGE_BYTES << order) - 1)) == 0,
			    "a run is aligned to its size", "order %u: %p", order,
			    nst_page_address(p));
		check_quiet(nst_page_state(p) == NST_PAGE_PCP && p->order == order,
			    "a taken run says its order and that it is on its way",
			    "order %u: order %u, state %u", order, p->order, p->state);
		for (size_t i = 0; i < (size_t)1 << order; i++)
			check_quiet(!seen[first + i]++, "no page is handed out twice",
				    "order %u: page %zu", order, first + i);
		run[n++] = p;
	}
	return n;
}

static void every_order(struct rng *rng)
{
	unsigned int order, o, wrong = 0;
	size_t n, i;

	for (order = 0; order < NST_NR_ORDERS; order++) {
		own_zone_begin();
		own_put(own_block(NST_MOB_MOVABLE), NST_BLOCK_ORDER);
		n = take_all(order);
		check_quiet(n == NST_BLOCK_PAGES >> order && own_zone.free_pages == 0,
			    "a block is used up to its last run", "order %u: %zu runs", order, n);
		own_audit();
		shuffle(rng, n);
		for (i = 1; i < n; i++)
			own_put(run[i], order);
		for (o = 0; o < NST_NR_ORDERS; o++)
			wrong += own_zone.nr_free[NST_MOB_MOVABLE][o] !=
				 (o >= order && o < NST_BLOCK_ORDER);
		own_audit();
		own_put(run[0], order);
		check_quiet(own_zone.nr_free[NST_MOB_MOVABLE][NST_BLOCK_ORDER] == 1 &&
				    own_runs(NST_MOB_MOVABLE) == 1 &&
				    own_zone.free_pages == NST_BLOCK_PAGES,
			    "the last run put back makes the block whole", "order %u", order);
		own_audit();
	}
	check(wrong == 0, "whatever can merge has: one run held back leaves one of each order",
	      "%u counts differ", wrong);
}

static void fallback_order(void)
{
	static const u8 wanted[NST_NR_MOBILITIES][2] = {
		[NST_MOB_UNMOVABLE] = {NST_MOB_RECLAIMABLE, NST_MOB_MOVABLE},
		[NST_MOB_RECLAIMABLE] = {NST_MOB_UNMOVABLE, NST_MOB_MOVABLE},
		[NST_MOB_MOVABLE] = {NST_MOB_RECLAIMABLE, NST_MOB_UNMOVABLE},
	};
	unsigned int mob, i, m;

	for (mob = 0; mob < NST_NR_MOBILITIES; mob++) {
		struct nst_page *block[NST_NR_MOBILITIES], *p;

		own_zone_begin();
		for (m = 0; m < NST_NR_MOBILITIES; m++)
			own_put(block[m] = own_block(m), 4);
		p = own_take(4, mob);
		check_quiet(p == block[mob] && own_zone.fallback[mob] == 0,
			    "its own mobility comes first", "mobility %u: another's", mob);
		for (i = 0; i < 2; i++)
			check_quiet(own_take(4, mob) == block[wanted[mob][i]],
				    "then the others, in their order", "mobility %u, place %u", mob,
				    i);
		check_quiet(!own_take(0, mob) && own_zone.free_pages == 0, "and then no more",
			    "mobility %u: one more", mob);
		check_quiet(own_zone.taken[mob] == 48 && own_zone.fallback[mob] == 32,
			    "pages taken and taken elsewhere are counted", "%llu, %llu",
			    (unsigned long long)own_zone.taken[mob],
			    (unsigned long long)own_zone.fallback[mob]);
		/* A larger run of the last is better than a smaller one of the first. */
		own_put(block[wanted[mob][0]], 2);
		own_put(block[wanted[mob][1]], 3);
		check_quiet(own_take(0, mob) == block[wanted[mob][1]],
			    "the largest run is broken, whosever it is", "mobility %u", mob);
		own_audit();
	}
	check(1, "each mobility falls back in its own order", "-");
}

/* A block whose largest free run is of @order, asked for a page of another mobility. */
static void steal_at(unsigned int order)
{
	unsigned int from = NST_MOB_RECLAIMABLE, to = NST_MOB_UNMOVABLE;
	int steals = order >= STEAL_ORDER;
	unsigned int now = steals ? to : from;
	struct nst_page *block, *p;

	own_zone_begin();
	block = own_block(from);
	own_put(block, order);
	if (order < NST_BLOCK_ORDER)
		own_put(block + NST_BLOCK_PAGES - 1, 0);
	p = own_take(0, to);
	check_quiet(p && own_zone.stolen == (u64)steals && *own_mobility(p) == now,
		    "a block changes mobility from order 5 up, and not below",
		    "order %u: %llu stolen, mobility %u", order,
		    (unsigned long long)own_zone.stolen, *own_mobility(block));
	check_quiet(p->mobility == now && own_zone.fallback[to] == 1,
		    "the run is of its block's mobility, and counted as a fallback",
		    "order %u: mobility %u", order, p->mobility);
	check_quiet(own_runs(steals ? from : to) == 0,
		    "all free runs of the block change over, or none does", "order %u: %llu", order,
		    (unsigned long long)own_runs(steals ? from : to));
	own_audit();
	own_put(p, 0);
	check_quiet(own_zone.nr_free[now][order] >= 1 &&
			    own_runs(now) == (order < NST_BLOCK_ORDER ? 2 : 1),
		    "put back, it merges again on its block's lists", "order %u: %llu runs", order,
		    (unsigned long long)own_runs(now));
	own_audit();
}

static void steal(void)
{
	for (unsigned int order = 0; order < NST_NR_ORDERS; order++)
		steal_at(order);
	check(1, "half empty blocks are taken along whole, others are left", "-");
}

static size_t batch(unsigned int order, u64 floor, size_t nr)
{
	size_t n;

	nst_lock_wait(&own_zone.lock);
	n = nst_buddy_take_batch_locked(&own_zone, order, NST_MOB_MOVABLE, floor, run, nr);
	nst_unlock(&own_zone.lock);
	for (size_t i = 0; i < n; i++)
		check_quiet(run[i] && run[i]->order == order, "a batch is of one order",
			    "number %zu", i);
	own_audit();
	return n;
}

static void batches(void)
{
	struct nst_page *block;
	size_t n;

	own_zone_begin();
	block = own_block(NST_MOB_MOVABLE);
	own_put(block, NST_BLOCK_ORDER);
	n = batch(0, 0, 31);
	check(n == 31 && own_zone.free_pages == 481, "no more than were asked for", "%zu, %llu", n,
	      (unsigned long long)own_zone.free_pages);
	n = batch(0, 470, 31);
	check(n == 11 && own_zone.free_pages == 470, "the floor stays, to the page", "%zu, %llu", n,
	      (unsigned long long)own_zone.free_pages);
	n = batch(3, 457, 31);
	check(n == 1 && own_zone.free_pages == 462, "a run that would touch the floor is not taken",
	      "%zu, %llu", n, (unsigned long long)own_zone.free_pages);
	n = batch(0, 462, 31) + batch(0, ~0ull >> 1, 31) + batch(0, 0, 0);
	check(n == 0 && own_zone.free_pages == 462,
	      "none at the floor, below it, or when none is asked for", "%zu", n);
	own_zone_begin();
	block = own_block(NST_MOB_MOVABLE);
	for (size_t i = 0; i < 64; i++)
		own_put(block + 2 * i, 0);
	n = batch(1, 0, 31);
	check(n == 0 && own_zone.free_pages == 64, "64 pages with no two side by side are no pair",
	      "%zu, %llu free", n, (unsigned long long)own_zone.free_pages);
}

/* ---- many steps, in any order ---- */

static struct {
	struct nst_page *p;
	unsigned int order;
} held[NR_RUNS];
static unsigned char owned[NR_BLOCKS][NST_BLOCK_PAGES];
static u64 out; /* pages */

/* The pages of a run change hands. */
static void mark(const struct nst_page *p, unsigned int order, unsigned char owner)
{
	unsigned int block = own_block_number(p);
	unsigned char *page = &owned[block][p - own.block[block]];

	for (size_t i = 0; i < (size_t)1 << order; i++) {
		check_quiet(page[i] != owner, "a page has one owner", "page %zu of block %u",
			    (size_t)(page + i - owned[block]), block);
		page[i] = owner;
	}
	out = owner ? out + (1ull << order) : out - (1ull << order);
}

static void give(unsigned int i)
{
	if (!held[i].p)
		return;
	mark(held[i].p, held[i].order, 0);
	own_put(held[i].p, held[i].order);
	held[i].p = NULL;
}

static void get(struct rng *rng, unsigned int i)
{
	held[i].order = rng_below(rng, 1 + rng_below(rng, NST_NR_ORDERS));
	held[i].p = own_take(held[i].order, rng_below(rng, NST_NR_MOBILITIES));
	if (held[i].p)
		mark(held[i].p, held[i].order, 1);
}

static void storm(struct rng *rng)
{
	u64 whole = 0;

	own_zone_begin();
	for (unsigned int i = 0; i < NR_BLOCKS; i++)
		own_put(own_block(i % NST_NR_MOBILITIES), NST_BLOCK_ORDER);
	for (unsigned int step = 0; step < STEPS; step++) {
		unsigned int i = rng_below(rng, NR_RUNS);

		if (held[i].p)
			give(i);
		else
			get(rng, i);
		check_quiet(own_zone.free_pages == NR_BLOCKS * NST_BLOCK_PAGES - out,
			    "what is not out is free", "step %u: %llu free, %llu out", step,
			    (unsigned long long)own_zone.free_pages, (unsigned long long)out);
		if (step % 16 == 0)
			own_audit();
	}
	for (unsigned int i = 0; i < NR_RUNS; i++)
		give(i);
	own_audit();
	for (unsigned int m = 0; m < NST_NR_MOBILITIES; m++)
		whole += own_zone.nr_free[m][NST_BLOCK_ORDER];
	check(out == 0 && whole == NR_BLOCKS, "4000 steps later every block is whole again",
	      "%llu pages out, %llu of %u blocks whole", (unsigned long long)out,
	      (unsigned long long)whole, NR_BLOCKS);
}

/* ---- lists that are damaged ---- */

static void leave(struct nst_page *p)
{
	(void)p;
}

static void state(struct nst_page *p)
{
	nst_page_set_state(p, NST_PAGE_PCP);
}

static void order(struct nst_page *p)
{
	p->order = 4;
}

static void mobility(struct nst_page *p)
{
	p->mobility = NST_MOB_UNMOVABLE;
}

static void alignment(struct nst_page *p)
{
	nst_list_del(&p->list);
	p[1] = *p;
	nst_list_add(&own_zone.free[NST_MOB_MOVABLE][3], &p[1].list);
}

static void length(struct nst_page *p)
{
	nst_list_del(&p->list);
}

static void pages(struct nst_page *p)
{
	(void)p;
	own_zone.free_pages++;
}

/* A child with one free run of order 3, damaged by @damage: how it ends and what it says. */
static int ends(void (*damage)(struct nst_page *p), char *said, size_t len)
{
	int status = 0, fd[2];
	struct nst_page *p;
	ssize_t n;
	pid_t pid;

	own_zone_begin();
	p = own_block(NST_MOB_MOVABLE);
	own_put(p, 3);
	fflush(stdout);
	if (pipe(fd) || (pid = fork()) < 0)
		check_broken("a child");
	if (pid == 0) {
		dup2(fd[1], STDERR_FILENO);
		damage(p);
		own_audit();
		_exit(0);
	}
	close(fd[1]);
	if (child_wait(pid, 20, &status))
		check_broken("the child's end");
	n = read(fd[0], said, len - 1);
	said[n > 0 ? n : 0] = 0;
	close(fd[0]);
	return status;
}

static void corrupt(void)
{
	static const struct {
		const char *name, *says;
		void (*damage)(struct nst_page *p);
	} child[] = {
		{"another state", "buddy list 2/3 holds page", state},
		{"another order", "buddy list 2/3 holds page", order},
		{"another mobility", "buddy list 2/3 holds page", mobility},
		{"a run that is not aligned", "buddy list 2/3 holds page", alignment},
		{"a run too few", "buddy list 2/3 has 0 runs, counted 1", length},
		{"a page too many", "zone 0 has 8 free pages, counted 9", pages},
	};
	char said[512];
	int status = ends(leave, said, sizeof(said));

	check(status == 0 && !*said, "lists in order are passed in silence", "%s: %s",
	      child_status(status), said);
	for (unsigned int i = 0; i < NST_ARRAY_SIZE(child); i++) {
		status = ends(child[i].damage, said, sizeof(said));
		check(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT &&
			      strstr(said, child[i].says),
		      child[i].name, "not the end: %s: %s", child_status(status), said);
	}
}

/* One node, whatever the machine has. */
TEST_CONF("worker:off,nodes:1")

int main(int argc, char **argv)
{
	struct rng rng = {seed_of(argc, argv)};

	conf_apply(argv);
	split_and_merge();
	every_order(&rng);
	fallback_order();
	steal();
	batches();
	fullest_first();
	storm(&rng);
	corrupt();
	return check_status();
}
