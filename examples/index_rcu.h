/* SPDX-License-Identifier: MIT */
/*
 * index_rcu.h - which readers rcu_index.c has, and what frees what they may still see. One line changes it.
 *
 *	"index_rcu_nst.h"	sections and nst_free_rcu() of this library
 *	"index_rcu_in.h"	liburcu's sections, and nst_free_rcu_in() of this library
 *	"index_rcu_call.h"	liburcu, its call_rcu(), and malloc
 *
 * Each defines the same few functions; the program knows no others.
 */
#ifndef INDEX_RCU_H
#define INDEX_RCU_H

#include <stddef.h>
#include <stdint.h>

#ifndef INDEX_RCU
#define INDEX_RCU "index_rcu_nst.h" /* this one */
#endif
#include INDEX_RCU

#endif
