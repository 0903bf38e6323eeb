/* SPDX-License-Identifier: MIT */
/*
 * list.h - circular doubly linked list, links inside the elements. Callers hold the list's lock.
 */
#ifndef NST_BASE_LIST_H
#define NST_BASE_LIST_H

#include "compiler.h"

struct nst_list {
	struct nst_list *next, *prev;
};

static inline void nst_list_init(struct nst_list *l)
{
	l->next = l;
	l->prev = l;
}

static inline int nst_list_empty(const struct nst_list *l)
{
	return l->next == l;
}

static inline void nst_list_add(struct nst_list *head, struct nst_list *e)
{
	e->next = head->next;
	e->prev = head;
	head->next->prev = e;
	head->next = e;
}

static inline void nst_list_add_tail(struct nst_list *head, struct nst_list *e)
{
	nst_list_add(head->prev, e);
}

static inline void nst_list_del(struct nst_list *e)
{
	e->prev->next = e->next;
	e->next->prev = e->prev;
	nst_list_init(e);
}

/* Safe against deletion of the element it stands on. */
#define nst_list_for_each(pos, tmp, head)                                                          \
	for ((pos) = (head)->next, (tmp) = (pos)->next; (pos) != (head);                           \
	     (pos) = (tmp), (tmp) = (pos)->next)

#endif
