/* SPDX-License-Identifier: MIT */
/* tree.h - what tree_module.c offers to its driver. */
#ifndef TEST_COMPAT_TREE_H
#define TEST_COMPAT_TREE_H

#include <stdbool.h>

#define TREE_KEYS (1ul << 18)

int init_module(void);
void cleanup_module(void);
/* 0; -ENOMEM, and the tree is as it was; -EINVAL: no key below TREE_KEYS. */
int tree_store(unsigned long key, unsigned long value);
/* 0; -ENOENT. */
int tree_erase(unsigned long key);
bool tree_lookup(unsigned long key, unsigned long *value);
unsigned long tree_entries(void);
unsigned long tree_nodes(void);

#endif
