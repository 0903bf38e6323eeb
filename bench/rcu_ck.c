/* SPDX-License-Identifier: MIT */
/* rcu_ck.c - deferred free of Concurrency Kit's epochs (rcu.h): ck_epoch_call(), polled every 64 calls. */
#define _GNU_SOURCE
#include "rcu.h"

#include <ck_epoch.h>

#define POLL_EVERY 64u

struct object {
	uint64_t first;
	ck_epoch_entry_t entry;
};

static ck_epoch_t epoch;
static __thread ck_epoch_record_t *record;

static void *alloc(size_t bytes)
{
	return malloc(bytes);
}

static void free_object(ck_epoch_entry_t *entry)
{
	free((char *)entry - offsetof(struct object, entry));
}

static void retire(void *p)
{
	static unsigned int calls;

	ck_epoch_call(record, &((struct object *)p)->entry, free_object);
	if (++calls % POLL_EVERY == 0)
		ck_epoch_poll(record);
}

static void settle(void)
{
	ck_epoch_barrier(record);
}

static uint64_t begin(void)
{
	ck_epoch_begin(record, NULL);
	return 0;
}

static void end(uint64_t section)
{
	(void)section;
	ck_epoch_end(record, NULL);
}

static void period(void)
{
	ck_epoch_synchronize(record);
}

static void thread(void)
{
	record = aligned_alloc(64, (sizeof(*record) + 63) & ~(size_t)63);
	if (!record)
		exit(1);
	ck_epoch_register(&epoch, record, NULL);
}

static void thread_end(void)
{
	ck_epoch_unregister(record);
}

static void idle(void)
{
}

static const struct rcu_way way = {alloc, retire, settle, NULL,	      begin,
				   end,	  period, thread, thread_end, idle};

static void serve(struct rcu_job *job, struct rcu_answer *a)
{
	rcu_do(&way, job, a);
}

int main(void)
{
	ck_epoch_init(&epoch);
	thread();
	rcu_serve(serve);
}
