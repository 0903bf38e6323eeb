/* SPDX-License-Identifier: MIT */
/*
 * index_rcu_in.h - for index_rcu.h: liburcu's sections, and memory of this library, retired to those by its bare pointer.
 * A thread that reads is registered; who retires need not be.
 */
#ifndef INDEX_RCU_IN_H
#define INDEX_RCU_IN_H

#include <stdio.h>
#include <stdlib.h>
#include "index_rcu_memb.h"
#include "index_rcu_memory.h"
#include <nostall/urcu.h>

#define RCU_NAME "nst_free_rcu_in, liburcu's sections"

static struct nst_rcu_domain *memb;

__attribute__((constructor)) static void make_domain(void)
{
	if (nst_urcu_domain_create("memb", &urcu_memb_flavor, &memb)) {
		fprintf(stderr, "rcu_index: no domain\n");
		exit(1);
	}
}

/* @bytes: for who has to count for himself. */
static inline void memory_retire(void *p, size_t bytes)
{
	(void)bytes;
	nst_free_rcu_in(memb, p);
}

#endif
