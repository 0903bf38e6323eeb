/* SPDX-License-Identifier: MIT */
/*
 * owner.h - who owns which bytes: an object handed out twice is seen when it happens, not by luck.
 *
 *	top[address >> 21]  ->  leaf[(address & 2 MiB - 1) >> 3]: 0 nobody, else the owner's number
 *
 * One byte for 8 bytes of memory. Of an object up to 512 bytes every granule is marked, of a larger
 * one the first of each 256 bytes and the last. All memory is mapped by owner_start(): marking
 * makes no system call and is legal in a signal handler, but it can fault.
 */
#ifndef TEST_OWNER_H
#define TEST_OWNER_H

#include <stddef.h>
#include <stdint.h>

void owner_start(void);
/* @who: 1 to 255. */
void owner_take(const void *ptr, size_t size, unsigned int who);
void owner_give(const void *ptr, size_t size, unsigned int who);
/* Granules found in the wrong state so far. */
uint64_t owner_errors(void);
/* Objects taken and not given back. */
uint64_t owner_live(void);
/* Prints the first errors, for people. Thread. */
void owner_report(void);

#endif
