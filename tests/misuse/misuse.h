/* SPDX-License-Identifier: MIT */
/*
 * misuse.h - what the misuse programs share. Each does one thing wrong, on the line marked HERE.
 */
#ifndef TEST_MISUSE_H
#define TEST_MISUSE_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <nostall/nostall.h>

/* The compiler must not know the value, nor that it is wrong. */
#define HIDDEN(value)                                                                              \
	({                                                                                         \
		__typeof__(value) hidden_value = (value);                                          \
		__asm__ volatile("" : "+r"(hidden_value));                                         \
		hidden_value;                                                                      \
	})

/* A stated result that must hold after the misuse, in the same process. */
#define HOLDS(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			printf("not ok %s:%d: %s\n", __FILE__, __LINE__, #condition);              \
			return 1;                                                                  \
		}                                                                                  \
	} while (0)

static inline uint64_t misuse_count(void)
{
	static struct nst_stats stats;

	nst_stats_read(&stats, sizeof(stats));
	return stats.misuse;
}

#endif
