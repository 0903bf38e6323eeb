/* SPDX-License-Identifier: MIT */
/* cache.h - what cache_module.c offers to its driver. */
#ifndef TEST_COMPAT_CACHE_H
#define TEST_COMPAT_CACHE_H

#define CACHE_BLOCK 4000u

extern unsigned int cache_no_shrinker; /* a parameter of the module */
int init_module(void);
void cleanup_module(void);
/* The block's first word, made anew if it is not there; 0: no memory. */
unsigned long cache_read(unsigned long number);
unsigned long cache_blocks(void);
unsigned long cache_evicted(void);

#endif
