/* SPDX-License-Identifier: MIT */
/* summary.h - the statistics pages that the processes of a run left behind. */
#ifndef SUMMARY_H
#define SUMMARY_H

#include <nostall/nostall.h>
#include <stdio.h>
#include <sys/types.h>

struct summary {
	struct nst_stats_page main; /* of the process that was started, its last program */
	struct nst_stats_page page; /* being read */
	int has_main, image;
	pid_t pid;
	size_t others;	   /* children, and what main's process executed before */
	char foreign[200]; /* of a page that is of another version: which; else "" */
	uint64_t requests, nulls, must_be_0, most_resident; /* of those */
};

/* Reads every page in @dir and removes it; @pid: the process that was started. How many. */
size_t summary_read(struct summary *s, const char *dir, pid_t pid);

void summary_print(const struct summary *s, FILE *out, char *const *argv);

#endif
