/* SPDX-License-Identifier: MIT */
/*
 * rig.c - the threads of rig.h.
 */
#define _GNU_SOURCE
#include "rig.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NR_LOADS 4
#define NR_EXCHANGE 4096 /* objects that load threads pass to each other */
#define NR_HANDED 8192	 /* objects on their way from the measured thread to load 3 */
#define NR_HELD 256
#define LATE_NS 50000

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static struct {
	const struct rig_ops *ops;
	const struct rig_job *job;
	struct rig_result *result;
	_Atomic int stop;
	_Atomic uint64_t signals;
	void *_Atomic exchange[NR_EXCHANGE];
	void *_Atomic handed[NR_HANDED];
} rig;

/* ---- load ---- */

static void on_signal(int sig)
{
	(void)sig;
	atomic_fetch_add_explicit(&rig.signals, 1, memory_order_relaxed);
	if (rig.ops->handler)
		rig.ops->handler();
}

/* A timer of its own for the calling thread, on the CPU it runs on. */
static int storm_start(timer_t *timer)
{
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN};
	struct itimerspec every = {0};

	if (!rig.job->storm_hz)
		return 0;
	event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &event, timer))
		return 0;
	every.it_interval.tv_nsec = 1000000000 / rig.job->storm_hz;
	every.it_value = every.it_interval;
	timer_settime(*timer, 0, &every, NULL);
	return 1;
}

static void free_handed(void)
{
	size_t i;

	for (i = 0; i < NR_HANDED; i++) {
		void *p;

		if (!atomic_load_explicit(&rig.handed[i], memory_order_relaxed))
			continue;
		p = atomic_exchange(&rig.handed[i], NULL);
		if (p)
			rig.ops->load_free(p);
	}
}

static void *load(void *arg)
{
	uintptr_t id = (uintptr_t)arg;
	uint32_t seed = (uint32_t)id * 77777 + 1;
	uint64_t n = 0;
	timer_t timer;
	int timed;

	bench_pin(bench_cpu(id == NR_LOADS - 1));
	timed = storm_start(&timer);
	while (!atomic_load_explicit(&rig.stop, memory_order_relaxed)) {
		size_t size;
		char *p;

		seed = seed * 1664525u + 1013904223u;
		size = 16 + (seed >> 8) % rig.job->size_max;
		p = rig.ops->load_alloc(size);
		if (p) {
			p[0] = 1;
			p[size - 1] = 1;
		}
		p = atomic_exchange(&rig.exchange[(seed >> 20) % NR_EXCHANGE], p);
		if (p)
			rig.ops->load_free(p);
		if (id == NR_LOADS - 1 && n % 512 == 0)
			free_handed();
		n++;
	}
	if (timed)
		timer_delete(timer);
	return (void *)(uintptr_t)n;
}

/* ---- the measured thread ---- */

struct measured {
	void *held[NR_HELD];
	uint32_t seed, hand;
	unsigned int spins; /* of the padded control */
	uint64_t start;
};

static void spin(unsigned int n)
{
	while (n--)
		__asm__ volatile("" : "+r"(n));
}

/* How many spins last as long as the median operation so far. */
static unsigned int spins_for(uint64_t ns)
{
	uint64_t start = bench_ns(), took;

	spin(100000);
	took = bench_ns() - start;
	return (unsigned int)(100000 * ns / (took ? took : 1));
}

static void hand_over(struct measured *m, void *p)
{
	p = atomic_exchange(&rig.handed[m->hand++ % NR_HANDED], p);
	if (p)
		rig.ops->free(p);
}

static uint64_t timed_alloc(struct measured *m, void **slot, size_t size)
{
	uint64_t start, end;
	char *p;

	start = bench_ns();
	p = rig.ops->alloc(size);
	if (p)
		p[0] = 1;
	end = bench_ns();
	rig.result->allocs++;
	if (!p) {
		rig.result->nulls++;
		if (rig.ops->refused)
			rig.ops->refused();
	}
	if (p && rig.job->hand_over)
		hand_over(m, p);
	else
		*slot = p;
	return end - start;
}

static uint64_t timed_free(void **slot)
{
	uint64_t start, end;

	start = bench_ns();
	rig.ops->free(*slot);
	end = bench_ns();
	*slot = NULL;
	return end - start;
}

static uint64_t operation(struct measured *m)
{
	void **slot;

	m->seed = m->seed * 1664525u + 1013904223u;
	slot = &m->held[m->seed >> 24];
	if (*slot)
		return timed_free(slot);
	return timed_alloc(m, slot, 16 + (m->seed >> 8) % rig.job->size_max);
}

static uint64_t control(unsigned int spins)
{
	uint64_t start = bench_ns();

	if (spins)
		spin(spins);
	__asm__ volatile("" : : : "memory");
	return bench_ns() - start;
}

#define UNEXPLAINED -2 /* interrupts of an outlier of the burst in progress */

/* Keeps the longest; what the burst's switches and faults were is filled in after it. */
static void keep_outlier(struct rig_result *r, uint64_t at, uint64_t ns)
{
	struct rig_outlier *least = &r->worst[0];
	size_t i;

	for (i = 1; i < RIG_OUTLIERS; i++)
		if (r->worst[i].ns < least->ns)
			least = &r->worst[i];
	if (ns <= least->ns)
		return;
	*least = (struct rig_outlier){.at_ns = at, .ns = ns, .interrupts = UNEXPLAINED};
}

/* One burst; returns how many of its operations took over 5 us. */
static unsigned int burst(struct measured *m)
{
	struct rig_result *r = rig.result;
	unsigned int outliers = 0;
	uint64_t total = 0, ns;
	uint32_t k;

	for (k = 0; k < rig.job->burst; k++) {
		ns = operation(m);
		total += ns;
		bench_hist_add(&r->op, ns);
		if (ns > 5000) {
			keep_outlier(r, bench_ns() - m->start, ns);
			outliers++;
		}
		bench_hist_add(&r->control, control(0));
		bench_hist_add(&r->padded, control(m->spins));
	}
	r->bursts++;
	r->late_bursts += total > LATE_NS;
	return outliers;
}

static void explain(struct rig_result *r, long faults, long preempted, int64_t interrupts)
{
	size_t i;

	for (i = 0; i < RIG_OUTLIERS; i++) {
		if (r->worst[i].interrupts != UNEXPLAINED)
			continue;
		r->worst[i].faults = faults;
		r->worst[i].preempted = preempted;
		r->worst[i].interrupts = interrupts;
	}
}

static void traced_burst(struct measured *m)
{
	struct rig_result *r = rig.result;
	struct rusage before, after;
	uint64_t irqs = 0, timer;
	unsigned int outliers;

	if (rig.job->trace)
		irqs = bench_interrupts(bench_cpu(0), &timer);
	getrusage(RUSAGE_THREAD, &before);
	outliers = burst(m);
	getrusage(RUSAGE_THREAD, &after);
	if (rig.job->trace)
		irqs = bench_interrupts(bench_cpu(0), &timer) - irqs;
	r->faults += after.ru_minflt - before.ru_minflt;
	r->preempted += after.ru_nivcsw - before.ru_nivcsw;
	r->blocked += after.ru_nvcsw - before.ru_nvcsw;
	if (outliers) {
		explain(r, after.ru_minflt - before.ru_minflt, after.ru_nivcsw - before.ru_nivcsw,
			rig.job->trace ? (int64_t)irqs : -1);
		r->with++;
		r->with_interrupt += irqs > 0;
	} else {
		r->without++;
		r->without_interrupt += irqs > 0;
	}
}

static void add_ns(struct timespec *t, long ns)
{
	t->tv_nsec += ns;
	while (t->tv_nsec >= 1000000000) {
		t->tv_nsec -= 1000000000;
		t->tv_sec++;
	}
}

/* Untimed bursts first: warm caches, and the median that the padded control imitates. */
static void prepare(struct measured *m)
{
	struct rig_result scrap, *kept = rig.result;
	int i;

	memset(&scrap, 0, sizeof(scrap));
	rig.result = &scrap;
	for (i = 0; i < 100; i++)
		burst(m);
	rig.result = kept;
	m->spins = spins_for(bench_hist_quantile(&scrap.op, 0.5) -
			     bench_hist_quantile(&scrap.control, 0.5));
}

static void *measure(void *arg)
{
	struct sched_param fifo = {.sched_priority = 50};
	struct measured *m = arg;
	struct timespec next;
	uint64_t end;
	size_t i;

	bench_pin(bench_cpu(0));
	rig.result->is_fifo = pthread_setschedparam(pthread_self(), SCHED_FIFO, &fifo) == 0;
	prepare(m);
	clock_gettime(CLOCK_MONOTONIC, &next);
	m->start = bench_ns();
	end = m->start + rig.job->milliseconds * 1000000ull;
	while (bench_ns() < end) {
		add_ns(&next, rig.job->period_us * 1000l);
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
		traced_burst(m);
	}
	rig.result->elapsed_ns = bench_ns() - m->start;
	for (i = 0; i < NR_HELD; i++)
		if (m->held[i])
			rig.ops->free(m->held[i]);
	return NULL;
}

static void leftovers(void)
{
	size_t i;

	free_handed();
	for (i = 0; i < NR_EXCHANGE; i++) {
		void *p = atomic_exchange(&rig.exchange[i], NULL);

		if (p)
			rig.ops->load_free(p);
	}
}

void rig_run(const struct rig_ops *ops, const struct rig_job *job, struct rig_result *result)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	static struct measured m;
	pthread_t loads[NR_LOADS], measured;
	uint64_t timer_before;
	uintptr_t i;

	memset(&m, 0, sizeof(m));
	for (i = 0; i < NR_HANDED; i++)
		atomic_store(&rig.handed[i],
			     NULL); /* resident: no fault of ours in what is measured */
	memset(result, 0, sizeof(*result));
	m.seed = 99;
	rig.ops = ops;
	rig.job = job;
	rig.result = result;
	atomic_store(&rig.stop, 0);
	atomic_store(&rig.signals, 0);
	sigaction(SIGRTMIN, &action, NULL);
	for (i = 0; i < NR_LOADS; i++)
		pthread_create(&loads[i], NULL, load, (void *)i);
	usleep(100000);
	result->steal_ticks = -bench_steal_ticks(bench_cpu(0));
	result->interrupts = -bench_interrupts(bench_cpu(0), &timer_before);
	pthread_create(&measured, NULL, measure, &m);
	pthread_join(measured, NULL);
	result->interrupts += bench_interrupts(bench_cpu(0), &result->timer_interrupts);
	result->timer_interrupts -= timer_before;
	result->steal_ticks += bench_steal_ticks(bench_cpu(0));
	atomic_store(&rig.stop, 1);
	for (i = 0; i < NR_LOADS; i++) {
		void *n;

		pthread_join(loads[i], &n);
		result->load_ops += (uintptr_t)n;
	}
	result->signals = atomic_load(&rig.signals);
	leftovers();
}
