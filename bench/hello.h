/* SPDX-License-Identifier: MIT */
/*
 * hello.h - what the hello-worlds of idle.c report of themselves.
 */
#ifndef NST_BENCH_HELLO_H
#define NST_BENCH_HELLO_H

/* Prints "VmRSS private" in KiB; if @when is "later", 200 ms from now. Returns the exit code. */
int hello_report(const char *when);

#endif
