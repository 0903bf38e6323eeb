/* SPDX-License-Identifier: MIT */
/*
 * rbtree.h - stands for the kernel's, which a user brings: its names and layout, over a tree that is not balanced.
 */
#ifndef TEST_BROUGHT_RBTREE_H
#define TEST_BROUGHT_RBTREE_H

#include <linux/container_of.h>
#include <linux/rcupdate.h>
#include <linux/stddef.h>

struct rb_node {
	unsigned long __rb_parent_color;
	struct rb_node *rb_right, *rb_left;
} __attribute__((aligned(sizeof(long))));
struct rb_root {
	struct rb_node *rb_node;
};

#define RB_ROOT ((struct rb_root){NULL})
#define rb_parent(r) ((struct rb_node *)((r)->__rb_parent_color & ~3ul))
#define rb_entry(ptr, type, member) container_of(ptr, type, member)

static inline void rb_link_node_rcu(struct rb_node *node, struct rb_node *parent,
				    struct rb_node **link)
{
	node->__rb_parent_color = (unsigned long)parent;
	node->rb_left = node->rb_right = NULL;
	rcu_assign_pointer(*link, node);
}

static inline void nst_test_replace(struct rb_node *node, struct rb_node *by, struct rb_root *root)
{
	struct rb_node *parent = rb_parent(node);
	struct rb_node **link = !parent			  ? &root->rb_node
				: parent->rb_left == node ? &parent->rb_left
							  : &parent->rb_right;

	if (by)
		by->__rb_parent_color = (unsigned long)parent;
	WRITE_ONCE(*link, by);
}

/* With two children: what is on the left goes below the least of those on the right. */
static inline void rb_erase(struct rb_node *node, struct rb_root *root)
{
	struct rb_node *least = node->rb_right;

	if (!least || !node->rb_left) {
		nst_test_replace(node, least ? least : node->rb_left, root);
		return;
	}
	while (least->rb_left)
		least = least->rb_left;
	node->rb_left->__rb_parent_color = (unsigned long)least;
	WRITE_ONCE(least->rb_left, node->rb_left);
	nst_test_replace(node, node->rb_right, root);
}

static inline struct rb_node *rb_first(const struct rb_root *root)
{
	struct rb_node *n = root->rb_node;

	while (n && n->rb_left)
		n = n->rb_left;
	return n;
}

static inline struct rb_node *rb_next(const struct rb_node *node)
{
	struct rb_node *n = node->rb_right, *parent;

	while (n && n->rb_left)
		n = n->rb_left;
	for (parent = rb_parent(node); !n && parent && parent->rb_right == node;
	     parent = rb_parent(node))
		node = parent;
	return n ? n : parent;
}

#endif
