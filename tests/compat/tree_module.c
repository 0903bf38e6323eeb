/* SPDX-License-Identifier: MIT */
/*
 * tree_module.c - kernel C: a radix tree of three levels that readers walk under RCU, changed under a spinlock.
 *
 * Nodes come from a sheaf that is filled before the lock is taken, so that nothing can fail under it. What is unlinked
 * goes to kfree_rcu().
 */
#define pr_fmt(text) "tree: " text
#include <linux/err.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include "tree.h"

#define TREE_SHIFT 6
#define TREE_SLOTS (1u << TREE_SHIFT)
#define TREE_LEVELS 3

struct tree_node {
	unsigned int used;
	void __rcu *slot[TREE_SLOTS];
	struct rcu_head rcu;
};

struct tree_entry {
	unsigned long key, value;
	struct rcu_head rcu;
};

static DEFINE_SPINLOCK(tree_lock); /* of all that is written below */
static struct tree_node __rcu *tree_root;
static unsigned long nr_entries, nr_nodes;
static struct kmem_cache *tree_node_cache;

static unsigned int slot_of(unsigned long key, int level)
{
	return (key >> (level * TREE_SHIFT)) & (TREE_SLOTS - 1);
}

static void *tree_slot(struct tree_node *node, unsigned int i)
{
	return rcu_dereference_protected(node->slot[i], lockdep_is_held(&tree_lock));
}

bool tree_lookup(unsigned long key, unsigned long *value)
{
	struct tree_entry *entry = NULL;
	struct tree_node *node;
	int level;

	rcu_read_lock();
	node = rcu_dereference(tree_root);
	for (level = TREE_LEVELS - 1; node && level > 0; level--)
		node = rcu_dereference(node->slot[slot_of(key, level)]);
	if (node)
		entry = rcu_dereference(node->slot[slot_of(key, 0)]);
	if (entry) {
		WARN_ON_ONCE(entry->key != key);
		*value = entry->value;
	}
	rcu_read_unlock();
	return entry != NULL;
}
EXPORT_SYMBOL_GPL(tree_lookup);

/* The way to @key; what is missing on it comes from @sheaf, if there is one. */
static int tree_path(unsigned long key, struct slab_sheaf *sheaf, struct tree_node **path)
{
	struct tree_node *node;
	int level;

	lockdep_assert_held(&tree_lock);
	for (level = TREE_LEVELS - 1; level >= 0; level--) {
		node = level == TREE_LEVELS - 1
			       ? rcu_dereference_protected(tree_root, lockdep_is_held(&tree_lock))
			       : tree_slot(path[level + 1], slot_of(key, level + 1));
		if (!node && !sheaf)
			return -ENOENT;
		if (!node) {
			node = kmem_cache_alloc_from_sheaf(tree_node_cache, GFP_NOWAIT | __GFP_ZERO,
							   sheaf);
			BUG_ON(!node);
			nr_nodes++;
			if (level == TREE_LEVELS - 1) {
				rcu_assign_pointer(tree_root, node);
			} else {
				path[level + 1]->used++;
				rcu_assign_pointer(path[level + 1]->slot[slot_of(key, level + 1)],
						   (void *)node);
			}
		}
		path[level] = node;
	}
	return 0;
}

int tree_store(unsigned long key, unsigned long value)
{
	struct tree_node *path[TREE_LEVELS];
	struct tree_entry *entry, *old;
	struct slab_sheaf *sheaf;
	unsigned int i = slot_of(key, 0);

	if (key >= TREE_KEYS)
		return -EINVAL;
	entry = kzalloc(sizeof(*entry), GFP_KERNEL);
	if (!entry)
		return -ENOMEM;
	entry->key = key;
	entry->value = value;
	sheaf = kmem_cache_prefill_sheaf(tree_node_cache, GFP_KERNEL, TREE_LEVELS);
	if (!sheaf) {
		kfree(entry);
		return -ENOMEM;
	}
	spin_lock(&tree_lock);
	tree_path(key, sheaf, path);
	old = tree_slot(path[0], i);
	if (!old) {
		path[0]->used++;
		nr_entries++;
	}
	rcu_assign_pointer(path[0]->slot[i], (void *)entry);
	if (old)
		kfree_rcu(old, rcu);
	spin_unlock(&tree_lock);
	kmem_cache_return_sheaf(tree_node_cache, GFP_KERNEL, sheaf);
	return 0;
}
EXPORT_SYMBOL_GPL(tree_store);

int tree_erase(unsigned long key)
{
	struct tree_node *path[TREE_LEVELS];
	struct tree_entry *old = NULL;
	int level, rc;

	spin_lock(&tree_lock);
	rc = key < TREE_KEYS ? tree_path(key, NULL, path) : -ENOENT;
	if (!rc)
		old = tree_slot(path[0], slot_of(key, 0));
	if (!old) {
		spin_unlock(&tree_lock);
		return -ENOENT;
	}
	kfree_rcu(old, rcu);
	nr_entries--;
	/* Nodes that become empty go, from below. */
	for (level = 0; level < TREE_LEVELS; level++) {
		RCU_INIT_POINTER(path[level]->slot[slot_of(key, level)], NULL);
		if (--path[level]->used)
			break;
		if (level == TREE_LEVELS - 1)
			RCU_INIT_POINTER(tree_root, NULL);
		kfree_rcu(path[level], rcu);
		nr_nodes--;
	}
	spin_unlock(&tree_lock);
	return 0;
}
EXPORT_SYMBOL_GPL(tree_erase);

unsigned long tree_entries(void)
{
	return READ_ONCE(nr_entries);
}

unsigned long tree_nodes(void)
{
	return READ_ONCE(nr_nodes);
}

static int __init tree_init(void)
{
	tree_node_cache = KMEM_CACHE(tree_node, SLAB_HWCACHE_ALIGN);
	return tree_node_cache ? 0 : -ENOMEM;
}

static void __exit tree_exit(void)
{
	unsigned long key;

	for (key = 0; nr_entries && key < TREE_KEYS; key++)
		tree_erase(key);
	kvfree_rcu_barrier();
	kmem_cache_destroy(tree_node_cache);
}

module_init(tree_init);
module_exit(tree_exit);
MODULE_LICENSE("MIT");
MODULE_DESCRIPTION("a tree with RCU readers");
