/* SPDX-License-Identifier: MIT */
/*
 * brought.c - K8: a data structure that is brought, in a folder beside this one, builds on these headers, with what such files use
 * of them: bits and bitmaps, powers of two, sizes, options of the configuration.
 */
#include <linux/bitmap.h>
#include <linux/kconfig.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/log2.h>
#include <linux/math.h>
#include <linux/rbtree.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include "common/check.h"

#define KEYS 500u

struct item {
	struct rb_node rb;
	struct list_head on;
	struct rcu_head rcu;
	unsigned int key;
};

static struct rb_root root = RB_ROOT;
static LIST_HEAD(list);
static DEFINE_SPINLOCK(lock);
static DECLARE_BITMAP(is_there, KEYS);

static void insert(unsigned int key)
{
	struct item *new = kzalloc(sizeof(*new), GFP_KERNEL);
	struct rb_node **link = &root.rb_node, *parent = NULL;

	if (!new)
		check_broken("kzalloc");
	new->key = key;
	spin_lock(&lock);
	while (*link) {
		parent = *link;
		link = rb_entry(parent, struct item, rb)->key > key ? &parent->rb_left
								    : &parent->rb_right;
	}
	rb_link_node_rcu(&new->rb, parent, link);
	list_add_tail(&new->on, &list);
	__set_bit(key, is_there);
	spin_unlock(&lock);
}

static struct item *lookup(unsigned int key)
{
	struct rb_node *n;
	struct item *item;

	lockdep_assert(rcu_read_lock_held());
	for (n = rcu_dereference(root.rb_node); n;
	     n = item->key > key ? rcu_dereference(n->rb_left) : rcu_dereference(n->rb_right)) {
		item = rb_entry(n, struct item, rb);
		if (item->key == key)
			return item;
	}
	return NULL;
}

static void erase(unsigned int key)
{
	struct item *item;

	spin_lock(&lock);
	rcu_read_lock();
	item = lookup(key);
	rcu_read_unlock();
	if (item) {
		rb_erase(&item->rb, &root);
		list_del(&item->on);
		clear_bit(key, is_there);
		kfree_rcu(item, rcu);
	}
	spin_unlock(&lock);
}

/* In order, each once, and those that the bits say. */
static unsigned int wrong_of(void)
{
	unsigned int n = 0, wrong = 0, last = 0;
	struct rb_node *node;

	for (node = rb_first(&root); node; node = rb_next(node)) {
		struct item *item = rb_entry(node, struct item, rb);

		wrong += n++ && item->key <= last;
		wrong += !test_bit(item->key, is_there);
		last = item->key;
	}
	return wrong + (n != bitmap_weight(is_there, KEYS));
}

static void tree(void)
{
	unsigned int i, bit, n = 0;

	for (i = 0; i < KEYS; i++)
		insert(i * 77 % KEYS);
	check(!wrong_of() && bitmap_full(is_there, KEYS), "K8 a tree that is brought: all in order",
	      "%u wrong", wrong_of());
	for (i = 0; i < KEYS; i += 3)
		erase(i * 31 % KEYS);
	for_each_clear_bit(bit, is_there, KEYS) n += !bit || !test_bit(bit, is_there);
	check(!wrong_of() && n == DIV_ROUND_UP(KEYS, 3), "K8 and without a third", "%u, %u wrong",
	      n, wrong_of());
	for (i = 0; i < KEYS; i++)
		erase(i);
	check(list_empty(&list) && bitmap_empty(is_there, KEYS) && !rb_first(&root),
	      "K8 nothing is left", "%u", bitmap_weight(is_there, KEYS));
	rcu_barrier();
}

static void bits(void)
{
	unsigned long word[2] = {0, 0}, *more = bitmap_zalloc(100, GFP_KERNEL);
	unsigned int i;

	if (!more)
		check_broken("bitmap_zalloc");
	check(!test_and_set_bit(70, word) && test_and_set_bit(70, word) && word[1] == BIT(6) &&
		      test_and_clear_bit(70, word) && !__test_and_set_bit(3, word) &&
		      !test_and_set_bit_lock(0, word),
	      "K8 bits", "%lx %lx", word[0], word[1]);
	clear_bit_unlock(0, word);
	check(find_first_bit(word, 128) == 3 && find_next_bit(word, 128, 4) == 128 &&
		      find_first_zero_bit(word, 128) == 0 &&
		      find_next_zero_bit(word, 128, 3) == 4 && find_next_bit(word, 3, 0) == 3,
	      "K8 find_next_bit()", "%lx", word[0]);
	bitmap_set(more, 60, 10);
	bitmap_clear(more, 62, 2);
	for (i = 0; i < 100; i++)
		check_quiet(test_bit(i, more) == (i >= 60 && i < 70 && i != 62 && i != 63),
			    "K8 bitmap_set()", "%u", i);
	check(bitmap_weight(more, 100) == 8 && bitmap_weight(more, 61) == 1, "K8 bitmap_weight()",
	      "%u", bitmap_weight(more, 100));
	bitmap_free(more);
	check(fls(0) == 0 && fls(1) == 1 && fls64(1ull << 40) == 41 && __ffs(8) == 3 &&
		      __fls(9) == 3 && ffz(7ul) == 3 && hweight32(0xf0f) == 8 &&
		      GENMASK(7, 4) == 0xf0,
	      "K8 bits of words", "not so");
}

static void numbers(void)
{
	struct item *p = NULL;
	int sum;

	check(ilog2(1) == 0 && ilog2(4097) == 12 && order_base_2(4097) == 13 &&
		      order_base_2(1) == 0 && roundup_pow_of_two(65) == 128 &&
		      rounddown_pow_of_two(65) == 64 && is_power_of_2(64) && !is_power_of_2(0),
	      "K8 powers of two", "not so");
	check(struct_size(p, on.next, SIZE_MAX / 8) == SIZE_MAX && array_size(3, 5) == 15 &&
		      check_add_overflow(INT_MAX, 1, &sum) && !check_mul_overflow(3, 4, &sum) &&
		      sum == 12,
	      "K8 sizes that do not fit", "not so");
	check(ktime_after(ktime_add_ns(ktime_get(), NSEC_PER_SEC), ktime_get()) &&
		      ktime_to_ms(ktime_set(2, 0)) == 2000,
	      "K8 ktime_get()", "not so");
#define CONFIG_ON 1
	check(IS_ENABLED(CONFIG_ON) && !IS_ENABLED(CONFIG_OFF), "K8 IS_ENABLED()", "not so");
}

int main(void)
{
	tree();
	bits();
	numbers();
	return check_status();
}
