/* SPDX-License-Identifier: MIT */
/* profile.h - what profiled processes left behind, merged into one tree of functions. */
#ifndef PROFILE_H
#define PROFILE_H

#include "symbols.h"

#include <stdio.h>

/* One node of the merged tree: a function, reached through its parent. */
struct path {
	struct function *function;
	struct path *parent, *child, *sibling, *next; /* next: all paths */
	uint64_t samples;			      /* that ended here */
};

struct profile {
	struct path root;
	struct path *all;
	size_t nr_paths, nr_processes;
	uint64_t due, taken, dropped_no_memory, dropped_nested, dropped_untracked;
	uint64_t signals, idle, cut_deep, cut_leaf, threads, threads_failed;
	uint64_t nodes, faults, nodes_stocked, node_bytes, period_us;
	char clock[32], allocator[32];
	char *command, *stats; /* of the process with the most samples; stats NULL: not printed */
	uint64_t command_taken;
};

/* Reads every profile file in @dir. Returns how many; a file that is cut short is named and skipped. */
size_t profile_read(struct profile *profile, const char *dir);

/* @top: how many paths and functions. */
void profile_print(struct profile *profile, FILE *out, size_t top);

/* "outermost;...;innermost samples", a line for each path: the input of flame graph programs. */
void profile_print_folded(const struct profile *profile, FILE *out);

#endif
