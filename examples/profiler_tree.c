// SPDX-License-Identifier: MIT
/*
 * profiler_tree.c - the call tree, grown inside the signal handler.
 *
 * A node is (parent, code address), found through one hash table, so that a node with thousands of
 * children costs no more than one with two:
 *
 *	chain[hash(parent, pc)] -> node -> node -> ...		  node.parent -> ... -> NULL
 *
 * T1. A published node never moves, never leaves and never changes, but for its count.
 * T2. Each (parent, pc) has one node. Handlers on different threads race for it with one
 *     compare-and-swap on the chain's head; who loses looks at what was put in front and either
 *     takes that node or tries again, which ends because each loss is another thread's progress.
 * T3. No memory: nothing is published half, the sample is dropped and counted.
 *
 * The table is static and touched once in the constructor; only nodes are allocated.
 * Fork: the child keeps the nodes, which are its own copies, and starts from counts of zero.
 */
#define _GNU_SOURCE
#include "profiler.h"

#include <nostall/nostall.h>
#include <stdlib.h>
#include <sys/resource.h>

#define CHAIN_BITS 14

static _Atomic(struct profiler_node *) chains[1 << CHAIN_BITS];

static size_t chain_of(const struct profiler_node *parent, uintptr_t pc)
{
	uint64_t h =
		((uint64_t)(uintptr_t)parent ^ (pc * 0x9e3779b97f4a7c15u)) * 0xd6e8feb86659fd93u;

	return (size_t)(h >> (64 - CHAIN_BITS));
}

/* The one allocation of the profiler, inside a signal handler that may have interrupted malloc. */
static struct profiler_node *node_alloc(void)
{
	if (profiler.with_malloc)
		return malloc(sizeof(struct profiler_node)); /* wrong, and meant to show it */
	return nst_alloc_nolock(sizeof(struct profiler_node));
	NST_BECAUSE("signal handler");
}

static void node_free(struct profiler_node *node)
{
	if (profiler.with_malloc) {
		free(node);
		return;
	}
	nst_free_nolock(node);
	NST_BECAUSE("signal handler");
}

/* What the kernel counts for this thread. The promise is that a node costs none. */
static uint64_t faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return (uint64_t)usage.ru_minflt + (uint64_t)usage.ru_majflt;
}

static struct profiler_node *node_new(struct profiler_node *parent, uintptr_t pc)
{
	uint64_t before = faults();
	struct profiler_node *node = node_alloc();

	if (node) {
		node->parent = parent;
		node->pc = pc;
		atomic_init(&node->samples, 0);
	}
	atomic_fetch_add_explicit(&profiler.n.faults, faults() - before, memory_order_relaxed);
	return node;
}

/* Looks from @from up to, not including, @to. */
static struct profiler_node *chain_find(struct profiler_node *from, const struct profiler_node *to,
					const struct profiler_node *parent, uintptr_t pc)
{
	for (struct profiler_node *node = from; node != to; node = node->next)
		if (node->parent == parent && node->pc == pc)
			return node;
	return NULL;
}

static struct profiler_node *child(struct profiler_node *parent, uintptr_t pc)
{
	_Atomic(struct profiler_node *) *chain = &chains[chain_of(parent, pc)];
	/* Pairs with: the exchange below. Else: a node is seen before its pc and parent. */
	struct profiler_node *head = atomic_load_explicit(chain, memory_order_acquire);
	struct profiler_node *node = chain_find(head, NULL, parent, pc), *seen = NULL;

	if (node)
		return node;
	node = node_new(parent, pc);
	if (!node)
		return NULL;
	for (;;) {
		node->next = head;
		/* Pairs with: the acquire load above, and the one of a losing exchange. */
		if (atomic_compare_exchange_weak_explicit(chain, &head, node, memory_order_release,
							  memory_order_acquire))
			break;
		seen = chain_find(head, node->next, parent, pc);
		if (seen) {
			node_free(node);
			return seen;
		}
	}
	atomic_fetch_add_explicit(&profiler.n.nodes, 1, memory_order_relaxed);
	return node;
}

/* @frames: innermost first, as a stack is walked. Returns 0, or -1 when the tree could not grow. */
int profiler_tree_add(const uintptr_t *frames, int nr, unsigned int samples)
{
	struct profiler_node *node = NULL;

	while (nr-- > 0) {
		node = child(node, frames[nr]);
		if (!node)
			return -1;
	}
	if (node)
		atomic_fetch_add_explicit(&node->samples, samples, memory_order_relaxed);
	return 0;
}

size_t profiler_tree_chains(void)
{
	return (size_t)1 << CHAIN_BITS;
}

struct profiler_node *profiler_tree_chain(size_t i)
{
	/* Pairs with: the exchange in child(). */
	return atomic_load_explicit(&chains[i], memory_order_acquire);
}

/* In a fork child, before its clock runs; at the start, to touch the table. */
void profiler_tree_forget(void)
{
	for (size_t i = 0; i < profiler_tree_chains(); i++) {
		struct profiler_node *node = profiler_tree_chain(i);

		if (!node)
			atomic_store_explicit(&chains[i], NULL, memory_order_relaxed);
		for (; node; node = node->next)
			atomic_store_explicit(&node->samples, 0, memory_order_relaxed);
	}
}
