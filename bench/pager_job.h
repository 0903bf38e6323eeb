/* SPDX-License-Identifier: MIT */
/* pager_job.h - what the driver of the pager's benchmark asks of its worker, and what that says. */
#ifndef NST_BENCH_PAGER_JOB_H
#define NST_BENCH_PAGER_JOB_H

#include "bench.h"

struct pager_job {
	uint32_t policy; /* enum pager_policy */
	uint32_t fault_threads, changers, source_us, milliseconds;
};

struct pager_answer {
	int32_t failed;		/* 0, or the errno of userfaultfd */
	double faults_a_second; /* of the clients */
	double changes_a_second;
	uint64_t success, abort, retry, miss;
	struct bench_hist touch; /* how long a client's touch took */
};

#endif
