/* SPDX-License-Identifier: MIT */
/*
 * fast_try.c - K9, the second thread's examples: a page from this CPU's lists alone, and kvfree_rcu() of one argument.
 */
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include "common/check.h"

struct bulk_data {
	struct bulk_data *next;
	unsigned long nr_records;
	void *records[(PAGE_SIZE - 16) / sizeof(void *)];
};

struct data {
	unsigned long n;
	struct rcu_head rhp;
};

static DEFINE_RAW_SPINLOCK(some_lock);

/* Lock-less and fast, and fails more often: as much as this CPU has, then NULL. */
static void pages(void)
{
	struct bulk_data *head = NULL, *bnode;
	unsigned int n = 0;

	nst_pages_stock(0, 8, NST_CPU_ALL);
	while (n < 8 && (bnode = (struct bulk_data *)__get_free_page(__GFP_FAST_TRY)) != NULL) {
		bnode->next = head;
		head = bnode;
		n++;
	}
	check(n == 8, "K9 __get_free_page(__GFP_FAST_TRY)", "%u", n);
	while ((bnode = head) != NULL) {
		head = bnode->next;
		free_page((unsigned long)bnode);
	}
}

/* Was: synchronize_rcu() and kfree(), each time. */
static void single(size_t some_bytes)
{
	void *ptr = kvmalloc(some_bytes, GFP_KERNEL);

	if (ptr)
		kvfree_rcu(ptr);
}

static void with_head(void)
{
	struct data *some_pointer = kmalloc(sizeof(*some_pointer), GFP_KERNEL);

	raw_spin_lock(&some_lock);
	kfree_rcu(some_pointer, rhp);
	raw_spin_unlock(&some_lock);
}

int main(void)
{
	struct nst_lockdep_stats s;
	unsigned int i;

	pages();
	for (i = 0; i < 1000; i++) {
		single(i * 8);
		with_head();
	}
	single(8u << 20);
	kvfree_rcu_barrier();
	nst_lockdep_read(&s, sizeof(s));
	check(s.classes && !s.errors, "K9 no complaint under a raw lock", "%lu",
	      (unsigned long)s.errors);
	return check_status();
}
