/* SPDX-License-Identifier: MIT */
/* mirror.h - what mirror_module.c offers to its driver. */
#ifndef TEST_COMPAT_MIRROR_H
#define TEST_COMPAT_MIRROR_H

#define MIRROR_PAGES 64u
#define MIRROR_BASE 0x100000ul

struct mm_struct;

int init_module(void);
void cleanup_module(void);
/* Mirror @table, which says where each page of @mm is. 0 or -errno. */
int mirror_start(struct mm_struct *mm, const unsigned long *table);
void mirror_stop(void);
/* What the table says of a page, by way of the mirror. */
unsigned long mirror_fault(unsigned int page);
/* 1: the mirror has something else than the table. */
int mirror_stale(unsigned int page);
void mirror_lock(void);
void mirror_unlock(void);
extern unsigned long mirror_retries, mirror_started, mirror_ended, mirror_released;

#endif
