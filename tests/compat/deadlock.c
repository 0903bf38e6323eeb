/* SPDX-License-Identifier: MIT */
/*
 * deadlock.c - V21: threads that really wait for each other, by each kind of lock once, are told.
 *
 * Each circle is of a lock of the kind and a mutex: one thread has the lock and waits for the mutex, one has the mutex and
 * waits for the lock. The last one is of three locks. They all stand still until the program ends. Before that, threads
 * that wait for each other and go on are none.
 *
 * Headers in which who waits for a rw_semaphore says nothing must be caught (76).
 */
#include <linux/completion.h>
#include <linux/mutex.h>
#include <linux/rtmutex.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "common/check.h"

/* The mutex is of a class of its own in each: a circle of the same classes is told once. */
#define CIRCLE(name)                                                                               \
	static DEFINE_MUTEX(of_##name);                                                            \
	static void name##_has(void);                                                              \
	static void name##_waits(void);

CIRCLE(read)
static DEFINE_RWLOCK(read_rwlock);
static void read_has(void)
{
	write_lock(&read_rwlock);
}
static void read_waits(void)
{
	read_lock(&read_rwlock);
}

CIRCLE(write)
static DEFINE_RWLOCK(write_rwlock);
static void write_has(void)
{
	read_lock(&write_rwlock);
}
static void write_waits(void)
{
	write_lock(&write_rwlock);
}

CIRCLE(down_read)
static DECLARE_RWSEM(read_rwsem);
static void down_read_has(void)
{
	down_write(&read_rwsem);
}
static void down_read_waits(void)
{
	down_read(&read_rwsem);
}

CIRCLE(down_write)
static DECLARE_RWSEM(write_rwsem);
static void down_write_has(void)
{
	down_write(&write_rwsem);
	downgrade_write(&write_rwsem);
}
static void down_write_waits(void)
{
	down_write(&write_rwsem);
}

/* A reader waits behind a writer who waits for a reader. */
CIRCLE(behind)
static DECLARE_RWSEM(behind_rwsem);
static void *behind_writes(void *arg)
{
	down_write(&behind_rwsem);
	return arg;
}
static void behind_has(void)
{
	down_read(&behind_rwsem);
}
static void behind_waits(void)
{
	unsigned int waiting = 0;
	uint64_t since = 0;
	pthread_t t;

	if (pthread_create(&t, NULL, behind_writes, NULL))
		check_broken("pthread_create");
	while (!waiting && check_patience(&since)) {
		pthread_mutex_lock(&behind_rwsem.lock.mutex);
		waiting = behind_rwsem.lock.waiting;
		pthread_mutex_unlock(&behind_rwsem.lock.mutex);
	}
	down_read(&behind_rwsem);
}

CIRCLE(rt)
static DEFINE_RT_MUTEX(rt_mutex);
static void rt_has(void)
{
	rt_mutex_lock(&rt_mutex);
}
static void rt_waits(void)
{
	rt_mutex_lock(&rt_mutex);
}

CIRCLE(nest_mutex)
static DEFINE_MUTEX(mutex_nested);
static void nest_mutex_has(void)
{
	mutex_lock(&mutex_nested);
}
static void nest_mutex_waits(void)
{
	mutex_lock_nest_lock(&mutex_nested, &of_nest_mutex);
}

CIRCLE(nest_spin)
static DEFINE_SPINLOCK(spin_nested);
static void nest_spin_has(void)
{
	spin_lock(&spin_nested);
}
static void nest_spin_waits(void)
{
	spin_lock_nest_lock(&spin_nested, &of_nest_spin);
}

CIRCLE(nest_rwsem)
static DECLARE_RWSEM(rwsem_nested);
static void nest_rwsem_has(void)
{
	down_read(&rwsem_nested);
}
static void nest_rwsem_waits(void)
{
	down_write_nest_lock(&rwsem_nested, &of_nest_rwsem);
}

/* Nobody holds a completion, unless a map says so. */
CIRCLE(completion)
static DECLARE_COMPLETION(done);
static struct nst_lockdep_map completed_by = STATIC_LOCKDEP_MAP_INIT("completed_by", NULL);
static void completion_has(void)
{
	lock_map_acquire(&completed_by);
}
static void completion_waits(void)
{
	lock_map_acquire(&completed_by);
	lock_contended(&completed_by, 0);
	wait_for_completion(&done);
}

/* ---- each of them, and whether it was told ---- */

#define WRITES ") at "
#define READS ") as a reader at "

static struct circle {
	void (*has)(void), (*waits)(void);
	struct mutex *of;
	const char *lock, *as, *name;
	pthread_barrier_t both_have;
	unsigned int told;
} circles[] = {
#define ROW(name_, lock_, as_, text)                                                               \
	{                                                                                          \
		.has = name_##_has, .waits = name_##_waits, .of = &of_##name_,                     \
		.lock = "waits for " #lock_ " (", .as = as_, .name = "V21 a circle with " text     \
	}
	ROW(read, read_rwlock, READS, "read_lock()"),
	ROW(write, write_rwlock, WRITES, "write_lock()"),
	ROW(down_read, read_rwsem, READS, "down_read()"),
	ROW(down_write, write_rwsem, WRITES, "down_write()"),
	ROW(behind, behind_rwsem, READS, "down_read() behind down_write()"),
	ROW(rt, rt_mutex, WRITES, "rt_mutex_lock()"),
	ROW(nest_mutex, mutex_nested, WRITES, "mutex_lock_nest_lock()"),
	ROW(nest_spin, spin_nested, WRITES, "spin_lock_nest_lock()"),
	ROW(nest_rwsem, rwsem_nested, WRITES, "down_write_nest_lock()"),
	ROW(completion, completed_by, WRITES, "a completion, by its map"),
};

static void *has_lock(void *arg)
{
	struct circle *c = arg;

	c->has();
	pthread_barrier_wait(&c->both_have);
	mutex_lock(c->of);
	return NULL;
}

static void *has_mutex(void *arg)
{
	struct circle *c = arg;

	mutex_lock(c->of);
	pthread_barrier_wait(&c->both_have);
	c->waits();
	return NULL;
}

/* ---- the last one ---- */

static DEFINE_MUTEX(mutex);
static DEFINE_SPINLOCK(spin);
static DEFINE_RAW_SPINLOCK(raw);
static pthread_barrier_t all_have;
static unsigned int last_told;

static void *mutex_then_spin(void *arg)
{
	mutex_lock(&mutex);
	pthread_barrier_wait(&all_have);
	spin_lock(&spin);
	return arg;
}

static void *spin_then_raw(void *arg)
{
	spin_lock(&spin);
	pthread_barrier_wait(&all_have);
	raw_spin_lock(&raw);
	return arg;
}

static void *raw_then_mutex(void *arg)
{
	raw_spin_lock(&raw);
	pthread_barrier_wait(&all_have);
	mutex_lock(&mutex);
	return arg;
}

/* A line of @text has both. */
static int says(const char *text, const char *lock, const char *as)
{
	const char *at = strstr(text, lock), *found = at ? strstr(at, as) : NULL;

	return found && !memchr(at, '\n', (size_t)(found - at));
}

static unsigned int nr_reports;

/* By who looks, one at a time. */
static void hear(const struct nst_lockdep_report *r, void *arg)
{
	unsigned int i;

	(void)arg;
	__atomic_add_fetch(&nr_reports, 1, __ATOMIC_RELAXED);
	if (r->code != NST_NL_DEADLOCK)
		return;
	for (i = 0; i < ARRAY_SIZE(circles); i++)
		if (says(r->text, circles[i].lock, circles[i].as))
			__atomic_add_fetch(&circles[i].told, 1, __ATOMIC_RELEASE);
	if (says(r->text, "waits for mutex (", WRITES) &&
	    says(r->text, "waits for spin (", WRITES) && says(r->text, "waits for raw (", WRITES))
		__atomic_store_n(&last_told, 1, __ATOMIC_RELEASE);
}

static void begin(void *(*fn)(void *), void *arg)
{
	pthread_t t;

	if (pthread_create(&t, NULL, fn, arg))
		check_broken("pthread_create");
}

/* ---- threads that wait, and go on ---- */

static DECLARE_RWSEM(first);
static DEFINE_RWLOCK(then);
static DEFINE_RT_MUTEX(rt_first);
static unsigned int over;

/* In one order, hand over hand: whom one waits for may wait itself. */
static void *works(void *arg)
{
	struct rng rng = {.state = (uintptr_t)arg};
	unsigned int i;

	for (i = 0; i < 1000; i++) {
		const unsigned int how = rng_below(&rng, 4);

		rt_mutex_lock(&rt_first);
		if (how & 1)
			down_read(&first);
		else
			down_write(&first);
		rt_mutex_unlock(&rt_first);
		if (how & 2)
			read_lock(&then);
		else
			write_lock(&then);
		if (how & 1)
			up_read(&first);
		else
			up_write(&first);
		if (i % 16 == 0)
			usleep(50);
		if (how & 2)
			read_unlock(&then);
		else
			write_unlock(&then);
	}
	__atomic_add_fetch(&over, 1, __ATOMIC_RELEASE);
	return NULL;
}

static void in_order(void)
{
	unsigned int found = 0;
	uintptr_t i;

	nst_lockdep_watchdog(1);
	for (i = 1; i <= 4; i++)
		begin(works, (void *)i);
	while (__atomic_load_n(&over, __ATOMIC_ACQUIRE) < 4) {
		found += nst_lockdep_watch();
		usleep(200);
	}
	i = __atomic_load_n(&nr_reports, __ATOMIC_RELAXED);
	check(!found && !i, "V21 four that contend, looked at all the time",
	      "%u circles, %u reports", found, (unsigned int)i);
}

static unsigned int nr_told(void)
{
	unsigned int i, n = 0;

	for (i = 0; i < ARRAY_SIZE(circles); i++)
		n += __atomic_load_n(&circles[i].told, __ATOMIC_ACQUIRE) == 1;
	return n;
}

int main(void)
{
	uint64_t since = 0;
	unsigned int i, looks = 0;

	nst_lockdep_on_report(hear, NULL);
	if (nst_lockdep_start(NST_LD_ERROR))
		check_broken("nst_lockdep_start");
	check_deadline(100, "V21 it comes to an end");
	in_order();
	nst_lockdep_watchdog(20);
	for (i = 0; i < ARRAY_SIZE(circles); i++) {
		pthread_barrier_init(&circles[i].both_have, NULL, 2);
		begin(has_lock, &circles[i]);
		begin(has_mutex, &circles[i]);
	}
	pthread_barrier_init(&all_have, NULL, 3);
	begin(mutex_then_spin, NULL);
	begin(spin_then_raw, NULL);
	begin(raw_then_mutex, NULL);
	while (!__atomic_load_n(&last_told, __ATOMIC_ACQUIRE) && check_patience(&since))
		nst_lockdep_watch();
	/* It was the last to begin: the others have had time, and get 3,000 looks more. */
	for (since = 0; nr_told() < ARRAY_SIZE(circles) && looks < 3000 && check_patience(&since);
	     looks++)
		nst_lockdep_watch();
	for (i = 0; i < ARRAY_SIZE(circles); i++) {
		const unsigned int told = __atomic_load_n(&circles[i].told, __ATOMIC_ACQUIRE);

		check(told == 1, circles[i].name, "told %u times", told);
	}
	check(__atomic_load_n(&last_told, __ATOMIC_ACQUIRE), "V21 three kinds of locks in a circle",
	      "not told");
	nst_lockdep_reset(); /* all of it was wanted */
	_exit(check_status());
}
