/* SPDX-License-Identifier: MIT */
/*
 * rculist.h - the kernel's spelling: lists that readers walk in a section while one writer changes them.
 */
#ifndef NST_COMPAT_RCULIST_H
#define NST_COMPAT_RCULIST_H

#include <linux/list.h>
#include <linux/rcupdate.h>

static inline void nst_compat_list_insert_rcu(struct list_head *new, struct list_head *prev,
					      struct list_head *next)
{
	new->next = next;
	new->prev = prev;
	rcu_assign_pointer(prev->next, new);
	next->prev = new;
}

static inline void list_add_rcu(struct list_head *new, struct list_head *head)
{
	nst_compat_list_insert_rcu(new, head, head->next);
}

static inline void list_add_tail_rcu(struct list_head *new, struct list_head *head)
{
	nst_compat_list_insert_rcu(new, head->prev, head);
}

/* A reader that stands on it finds its way on: it is freed after a grace period. */
static inline void list_del_rcu(struct list_head *entry)
{
	nst_compat_list_join(entry->prev, entry->next);
	entry->prev = LIST_POISON2;
}

static inline void list_replace_rcu(struct list_head *old, struct list_head *new)
{
	nst_compat_list_insert_rcu(new, old->prev, old->next);
	old->prev = LIST_POISON2;
}

#define list_entry_rcu(ptr, type, member) container_of(rcu_dereference_raw(ptr), type, member)
/* A third argument behind @member, a condition, makes it legal outside of a section. */
#define list_for_each_entry_rcu(pos, head, member, ...)                                            \
	for (NST_COMPAT_RCU_CHECK(rcu_read_lock_held() || NST_COMPAT_OR_0(__VA_ARGS__)),           \
	     pos = list_entry_rcu((head)->next, __typeof__(*pos), member);                         \
	     &pos->member != (head);                                                               \
	     pos = list_entry_rcu(pos->member.next, __typeof__(*pos), member))
#define NST_COMPAT_OR_0(...) NST_COMPAT_SECOND(0, ##__VA_ARGS__, 0, 0)
#define NST_COMPAT_SECOND(a, b, ...) (b)

static inline void hlist_add_head_rcu(struct hlist_node *node, struct hlist_head *head)
{
	struct hlist_node *first = head->first;

	node->next = first;
	node->pprev = &head->first;
	rcu_assign_pointer(head->first, node);
	if (first)
		first->pprev = &node->next;
}

static inline void hlist_del_rcu(struct hlist_node *node)
{
	nst_compat_hlist_unlink(node);
	node->pprev = LIST_POISON2;
}

#define hlist_for_each_entry_rcu(pos, head, member, ...)                                           \
	for (NST_COMPAT_RCU_CHECK(rcu_read_lock_held() || NST_COMPAT_OR_0(__VA_ARGS__)),           \
	     pos = hlist_entry_safe(rcu_dereference_raw((head)->first), __typeof__(*(pos)),        \
				    member);                                                       \
	     pos; pos = hlist_entry_safe(rcu_dereference_raw((pos)->member.next),                  \
					 __typeof__(*(pos)), member))

#endif
