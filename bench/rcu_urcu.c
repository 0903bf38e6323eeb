/* SPDX-License-Identifier: MIT */
/*
 * rcu_urcu.c - deferred free of liburcu (rcu.h), built once for memb and once for qsbr (RCU_QSBR).
 *
 * Variants: 0 call_rcu(), 1 defer_rcu(). Its functions are called, not inlined: as a program is that is not LGPL.
 */
#define _GNU_SOURCE
#define URCU_API_MAP
#if defined(RCU_QSBR)
#include <urcu/urcu-qsbr.h>
#else
#include <urcu/urcu-memb.h>
#endif
#include <urcu-defer.h>

#include "rcu.h"

struct object {
	uint64_t first;
	struct rcu_head head;
};

static volatile int flag;

static void *alloc(size_t bytes)
{
	return malloc(bytes);
}

static void free_object(struct rcu_head *head)
{
	free((char *)head - offsetof(struct object, head));
}

static void call(void *p)
{
	call_rcu(&((struct object *)p)->head, free_object);
}

static void call_settle(void)
{
	rcu_barrier();
}

static void flag_object(struct rcu_head *head)
{
	free_object(head);
	flag = 1;
}

static void call_reuse(void)
{
	const struct timespec nap = {0, 20000};

	flag = 0;
	call_rcu(&((struct object *)malloc(sizeof(struct object)))->head, flag_object);
	while (!flag)
		nanosleep(&nap, NULL);
}

static void defer(void *p)
{
	defer_rcu(free, p);
}

static void defer_settle(void)
{
	rcu_defer_barrier();
}

static uint64_t begin(void)
{
	rcu_read_lock();
	return 0;
}

static void end(uint64_t section)
{
	(void)section;
	rcu_read_unlock();
}

static void period(void)
{
	synchronize_rcu();
}

static void thread(void)
{
	rcu_register_thread();
}

static void thread_end(void)
{
	rcu_unregister_thread();
}

#if defined(RCU_QSBR)
static void idle(void)
{
	rcu_thread_offline();
}

static void reader(void)
{
	rcu_thread_online();
}
#else
static void idle(void)
{
}

static void reader(void)
{
}
#endif

#define READERS                                                                                    \
	.begin = begin, .end = end, .period = period, .thread = thread, .thread_end = thread_end,  \
	.idle = idle
static const struct rcu_way by_call = {alloc, call, call_settle, call_reuse, READERS};
static const struct rcu_way by_defer = {alloc, defer, defer_settle, NULL, READERS};

static void serve(struct rcu_job *job, struct rcu_answer *a)
{
	if (job->op == RCU_READ)
		reader();
	if (job->variant == 0)
		rcu_do(&by_call, job, a);
	else
		rcu_do(&by_defer, job, a);
	idle();
}

int main(void)
{
	thread();
	idle(); /* an online thread that waits for its own quiescent state waits for ever (qsbr) */
	rcu_defer_register_thread();
	rcu_serve(serve);
}
