/* SPDX-License-Identifier: MIT */
/*
 * deadlock.c - V21: three threads that really wait for each other, by a mutex, a spinlock and a raw one, are told.
 */
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "common/check.h"

static DEFINE_MUTEX(mutex);
static DEFINE_SPINLOCK(spin);
static DEFINE_RAW_SPINLOCK(raw);
static pthread_barrier_t all_have;
static int told;

static void hear(const struct nst_lockdep_report *r, void *arg)
{
	(void)arg;
	if (r->code == NST_NL_DEADLOCK && strstr(r->text, "waits for mutex (") &&
	    strstr(r->text, "waits for spin (") && strstr(r->text, "waits for raw ("))
		__atomic_store_n(&told, 1, __ATOMIC_RELEASE);
}

static void *has_mutex(void *arg)
{
	mutex_lock(&mutex);
	pthread_barrier_wait(&all_have);
	spin_lock(&spin);
	return arg;
}

static void *has_spin(void *arg)
{
	spin_lock(&spin);
	pthread_barrier_wait(&all_have);
	raw_spin_lock(&raw);
	return arg;
}

static void *has_raw(void *arg)
{
	raw_spin_lock(&raw);
	pthread_barrier_wait(&all_have);
	mutex_lock(&mutex);
	return arg;
}

int main(void)
{
	void *(*const has[])(void *) = {has_mutex, has_spin, has_raw};
	uint64_t since = 0;
	unsigned int i;
	pthread_t t;

	nst_lockdep_on_report(hear, NULL);
	if (nst_lockdep_start(NST_LD_ERROR))
		check_broken("nst_lockdep_start");
	nst_lockdep_watchdog(20);
	pthread_barrier_init(&all_have, NULL, 3);
	for (i = 0; i < 3; i++)
		if (pthread_create(&t, NULL, has[i], NULL))
			check_broken("pthread_create");
	while (!__atomic_load_n(&told, __ATOMIC_ACQUIRE) && check_patience(&since))
		nst_lockdep_watch();
	check(__atomic_load_n(&told, __ATOMIC_ACQUIRE), "V21 three kinds of locks in a circle",
	      "not told");
	nst_lockdep_reset(); /* all of it was wanted */
	_exit(check_status());
}
