/* SPDX-License-Identifier: MIT */
/*
 * tail_malloc.c - the rig on glibc's malloc, or on the one preloaded. Its handler allocates nothing:
 * with any of the peers that hangs or crashes.
 */
#include "rig.h"

#include <stdlib.h>

int main(void)
{
	static const struct rig_ops ops = {
		.load_alloc = malloc,
		.load_free = free,
		.alloc = malloc,
		.free = free,
	};
	static struct rig_result result;
	struct rig_job job;

	for (;;) {
		bench_next(&job, sizeof(job));
		rig_run(&ops, &job, &result);
		bench_answer(&result, sizeof(result));
	}
}
