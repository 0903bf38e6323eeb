/* SPDX-License-Identifier: MIT */
/*
 * told.h - who is told while something fails: of changes, and when nothing else gives memory.
 *
 *	views		keep a copy of what a range holds, and lose it by begin; to be told takes memory, and a client's lock
 *	banks		keep pages, and give them back when all else fails; to do so they change the range
 *	a guest		registers and unregisters one of each kind, and a shrinker, all the time
 */
#ifndef TEST_FAIL_TOLD_H
#define TEST_FAIL_TOLD_H

#include <stdint.h>

/* Views and banks are registered, and the guest begins to come and go. */
void told_begin(void);
/* The guest stays away. */
void told_quiet(void);
/* Each begin has had its end, and nobody is registered any more. Shrinkers are gone. */
void told_end(void);

/* A change of the range: 0, or somebody refused it. Context: any, without NST_NOTIFY_BLOCKABLE. */
int told_change(uint32_t flags);
/* This thread is being told: reclaim is not to begin here. */
int told_is_within(void);
/* All memory is taken; then requests find what those give back that are called last. */
void told_squeeze(void);

/* Around a fork: no lost thread has a lock of these. */
void told_lock_all(void);
void told_unlock_all(void);

#endif
