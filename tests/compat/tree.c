/* SPDX-License-Identifier: MIT */
/*
 * tree.c - K6: a module of kernel C, a tree with RCU readers: writers and readers at once, requests that fail, no report.
 */
#include <linux/fault-inject.h>
#include <linux/slab.h>
#include <pthread.h>
#include <string.h>
#include "common/check.h"
#include "tree.h"

#define WRITERS 2u
#define READERS 2u
#define KEYS 512u
#define TURNS 15000u

/* Far apart, so that nodes come and go. */
static unsigned long key_of(unsigned int i)
{
	return (i * 2654435761u) % TREE_KEYS;
}

static unsigned long value_of(unsigned long key)
{
	return key * 31 + 7;
}

static unsigned int ended, wrong;
static unsigned long found;
static uint64_t seed;

static void *writer(void *arg)
{
	struct rng rng = {seed + (uintptr_t)arg};
	unsigned int i;
	unsigned long key;

	for (i = 0; i < TURNS; i++) {
		key = key_of(rng_below(&rng, KEYS));
		if (rng_below(&rng, 2))
			tree_store(key, value_of(key));
		else
			tree_erase(key);
	}
	return NULL;
}

static void *reader(void *arg)
{
	struct rng rng = {seed + 100 + (uintptr_t)arg};
	unsigned long key, value, n = 0;

	while (!__atomic_load_n(&ended, __ATOMIC_RELAXED) || !n) {
		key = key_of(rng_below(&rng, KEYS));
		if (!tree_lookup(key, &value))
			continue;
		n++;
		if (value != value_of(key))
			__atomic_add_fetch(&wrong, 1, __ATOMIC_RELAXED);
	}
	__atomic_add_fetch(&found, n, __ATOMIC_RELAXED);
	return NULL;
}

static void together(void)
{
	pthread_t thread[WRITERS + READERS];
	unsigned long value;
	unsigned int i;

	/* Classes are made here, on one thread. */
	tree_store(key_of(KEYS), 0);
	tree_erase(key_of(KEYS));
	check(!tree_lookup(key_of(KEYS), &value), "K6 the tree: what was erased is not found",
	      "it is");
	tree_store(key_of(KEYS + 1), value_of(key_of(KEYS + 1)));
	for (i = 0; i < KEYS; i++)
		tree_store(key_of(i), value_of(key_of(i)));
	for (i = 0; i < WRITERS + READERS; i++)
		if (pthread_create(&thread[i], NULL, i < WRITERS ? writer : reader,
				   (void *)(uintptr_t)i))
			check_broken("pthread_create");
	for (i = 0; i < WRITERS; i++)
		pthread_join(thread[i], NULL);
	__atomic_store_n(&ended, 1u, __ATOMIC_RELAXED);
	for (; i < WRITERS + READERS; i++)
		pthread_join(thread[i], NULL);
	check(!wrong && found && !nst_compat_warnings, "K6 the tree: readers find what was stored",
	      "%u wrong of %lu, %lu warnings", wrong, found, nst_compat_warnings);
}

/* Each request of a store fails in turn: the tree is as it was. */
static void out_of_memory(void)
{
	const unsigned long key = TREE_KEYS - 1, entries = tree_entries(), nodes = tree_nodes();
	unsigned long value;
	unsigned int nth, failed = 0;

	tree_erase(key);
	for (nth = 1; nth < 10; nth++) {
		failslab = (struct fault_attr){.nth = nth, .site = "tree_module.c"};
		nst_fault_arm(&failslab);
		if (!tree_store(key, 1))
			break;
		failed++;
		check_quiet(tree_entries() == entries && tree_nodes() == nodes &&
				    !tree_lookup(key, &value),
			    "K6 the tree: a store without memory changes nothing", "the %u.", nth);
	}
	nst_fault_disarm(&failslab);
	check(failed >= 1 && tree_lookup(key, &value) && value == 1,
	      "K6 the tree: stores fail, and then do not", "%u", failed);
}

int main(int argc, char **argv)
{
	struct nst_lockdep_stats s;
	unsigned int i;

	seed = seed_of(argc, argv);
	if (init_module())
		check_broken("init_module");
	together();
	out_of_memory();
	for (i = 0; i <= KEYS + 1; i++)
		tree_erase(key_of(i));
	check(tree_entries() == 1 && tree_nodes() == 3, "K6 the tree: nodes go with their entries",
	      "%lu entries, %lu nodes", tree_entries(), tree_nodes());
	cleanup_module();
	check(!tree_entries() && !tree_nodes(), "K6 the tree: nothing is left", "%lu",
	      tree_nodes());
	nst_lockdep_read(&s, sizeof(s));
	check(s.chains && !s.errors, "K6 the tree: the validator is silent",
	      "%lu chains, %lu errors", (unsigned long)s.chains, (unsigned long)s.errors);
	return check_status();
}
