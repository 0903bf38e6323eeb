/* SPDX-License-Identifier: MIT */
/*
 * bug.h - assertions, and text made without allocating, handed to a sink that is set from above.
 *
 * This floor makes no system call, so a report goes through nst_bug_sink: NULL until the library
 * has started, and the no-lock code that may report misuse links to no write().
 */
#ifndef NST_BASE_BUG_H
#define NST_BASE_BUG_H

#include <stdarg.h>
#include "compiler.h"

/* Where a finished line goes. @fatal: do not return. */
extern void (*nst_bug_sink)(const char *line, size_t len, int fatal);
/* Names a code address; NULL until the library has started. */
extern void (*nst_bug_caller)(const void *addr, char *buf, size_t len);

/**
 * nst_format() - a small snprintf: %s %d %u %x %p %c %zu %llu %%, no widths but 0-padded %0Nx
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: none.
 * Return: the length of the whole text; @buf is always terminated when @len is not 0.
 */
size_t nst_format(char *buf, size_t len, const char *fmt, ...) NST_PRINTF(3, 4);
size_t nst_format_va(char *buf, size_t len, const char *fmt, va_list ap);

/* One line "nostall: ..." to the sink; returns when it is only a warning. */
void nst_warn(const char *fmt, ...) NST_PRINTF(1, 2);
/* One line to the sink; it does not return when @fatal. */
void nst_misuse_line(int fatal, const char *fmt, ...) NST_PRINTF(2, 3);
/* One line to the sink, then the end. */
void nst_corrupt(const char *fmt, ...) NST_PRINTF(1, 2) __attribute__((noreturn));

/* A fact cheap to check: on in the test build. */
#ifdef NST_TEST
#define nst_assert(cond)                                                                           \
	do {                                                                                       \
		if (nst_unlikely(!(cond)))                                                         \
			nst_corrupt("%s:%d: assertion failed: %s", __FILE__, __LINE__, #cond);     \
	} while (0)
#else
#define nst_assert(cond) ((void)sizeof(cond))
#endif

#endif
