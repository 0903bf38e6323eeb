// SPDX-License-Identifier: MIT
/*
 * profiler_thread.c - a clock for each thread, and how new threads get one.
 *
 * The clock is a perf cpu-clock event of the thread, which sends it one signal for each period of
 * CPU time. Where the kernel refuses perf, it is a CLOCK_MONOTONIC timer aimed at the thread, which
 * ticks while the thread sleeps as well. Not ITIMER_PROF or a CPU-time timer: those tick with the
 * scheduler, at 250 Hz.
 *
 * A signal says when to look, not how much there is to see: ticks that fall due inside one system
 * call arrive as one signal. A sample therefore counts for the periods of CPU time that the thread
 * has used since the last one; what is rounded off is carried over, nothing is lost.
 *
 * A thread sets up its own clock, first thing, because pthread_create() here leads it through
 * start_followed(), and takes it down in the destructor of a thread-specific key.
 *
 * L1. threads.lock protects the list, and each record's fd and timer from its owner's exit. No
 *     handler takes it. fork() takes it around itself, so a child finds the list whole.
 * L2. me is set before the thread's clock starts and cleared after it has stopped.
 * Fork: the child closes the clocks, which still watch the parent's threads, and gives itself one.
 */
#define _GNU_SOURCE
#include "profiler.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <nostall/nostall.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct thread_record {
	struct thread_record *next, **prev;
	pid_t tid;
	int fd; /* of the perf event, or -1 */
	int has_timer;
	timer_t timer;
	clockid_t cpu_clock; /* its CPU time, readable by other threads */
	uint64_t start_ns;   /* on that clock, when it was given its clock */
	uint64_t used_ns;    /* on that clock, its handler only: accounted for */
};

static struct {
	pthread_mutex_t lock;
	struct thread_record *list;
	pthread_key_t key;
} threads = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Initial-exec: a handler's access is one load; a lazy thread-local would allocate. */
static __thread struct thread_record *me __attribute__((tls_model("initial-exec")));

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Out of the way of programs that close or number the low descriptors themselves. */
static int fd_move_up(int fd)
{
	int up = fcntl(fd, F_DUPFD_CLOEXEC, 900);

	if (up < 0)
		return fd;
	close(fd);
	return up;
}

static int perf_open(int user_only)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = profiler.period_ns,
		.wakeup_events = 1,
		.disabled = 1,
		.exclude_kernel = user_only ? 1 : 0,
		.exclude_hv = 1,
	};
	struct f_owner_ex owner = {.type = F_OWNER_TID, .pid = gettid()};
	int fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);

	if (fd < 0)
		return -errno;
	fd = fd_move_up(fd);
	if (fcntl(fd, F_SETOWN_EX, &owner) == 0 && fcntl(fd, F_SETSIG, PROFILER_SIGNAL) == 0 &&
	    fcntl(fd, F_SETFL, O_ASYNC) == 0 && ioctl(fd, PERF_EVENT_IOC_ENABLE, 0) == 0)
		return fd;
	close(fd);
	return -EINVAL;
}

static int timer_open(struct thread_record *t)
{
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = PROFILER_SIGNAL};
	struct timespec period = {(time_t)(profiler.period_ns / 1000000000u),
				  (long)(profiler.period_ns % 1000000000u)};
	struct itimerspec every = {period, period};

	event._sigev_un._tid = t->tid;
	if (timer_create(CLOCK_MONOTONIC, &event, &t->timer))
		return -errno;
	t->has_timer = 1;
	return timer_settime(t->timer, 0, &every, NULL) ? -errno : 0;
}

/*
 * Whether the kernel grants perf, and to whom, is the same for every thread: the first refusal
 * settles it. Running out of descriptors is not a refusal and concerns this thread alone.
 */
static int clock_start(struct thread_record *t)
{
	while (profiler.clock != PROFILER_CLOCK_TIMER) {
		t->fd = perf_open(profiler.clock == PROFILER_CLOCK_PERF_USER);
		if (t->fd >= 0)
			return 0;
		if (t->fd == -EMFILE || t->fd == -ENFILE)
			break;
		profiler.clock++;
	}
	t->fd = -1;
	return timer_open(t);
}

/* Once only; by its thread, or by the one that ends the process. */
static void clock_stop(struct thread_record *t)
{
	if (t->fd < 0 && !t->has_timer)
		return;
	if (t->fd >= 0) {
		ioctl(t->fd, PERF_EVENT_IOC_DISABLE, 0);
		close(t->fd);
	}
	if (t->has_timer)
		timer_delete(t->timer);
	t->fd = -1;
	t->has_timer = 0;
	atomic_fetch_add_explicit(&profiler.n.due,
				  (clock_ns(t->cpu_clock) - t->start_ns) / profiler.period_ns,
				  memory_order_relaxed);
}

static void list_add(struct thread_record *t)
{
	pthread_mutex_lock(&threads.lock);
	t->next = threads.list;
	t->prev = &threads.list;
	if (t->next)
		t->next->prev = &t->next;
	threads.list = t;
	pthread_mutex_unlock(&threads.lock);
}

static void list_del_locked(struct thread_record *t)
{
	*t->prev = t->next;
	if (t->next)
		t->next->prev = t->prev;
}

/* The key's destructor: the thread ends, however it does. */
static void thread_end(void *record)
{
	struct thread_record *t = record;

	pthread_mutex_lock(&threads.lock);
	clock_stop(t);
	list_del_locked(t);
	pthread_mutex_unlock(&threads.lock);
	me = NULL;
	nst_free(t);
}

/* The clock's signal reaches this thread even where its creator had blocked all signals, as xz does. */
static void signal_unblock(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, PROFILER_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* Gives the calling thread a clock. */
void profiler_thread_follow(void)
{
	struct thread_record *t = nst_alloc(sizeof(*t), NST_NORMAL | NST_ZERO);

	if (!t)
		goto out_failed;
	t->tid = gettid();
	t->fd = -1;
	list_add(t);
	me = t;
	t->start_ns = t->used_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	if (pthread_getcpuclockid(pthread_self(), &t->cpu_clock) ||
	    pthread_setspecific(threads.key, t) || clock_start(t)) {
		pthread_setspecific(threads.key, NULL);
		thread_end(t);
		goto out_failed;
	}
	signal_unblock();
	atomic_fetch_add_explicit(&profiler.n.threads, 1, memory_order_relaxed);
	return;
out_failed:
	atomic_fetch_add_explicit(&profiler.n.threads_failed, 1, memory_order_relaxed);
}

struct start {
	void *(*fn)(void *arg);
	void *arg;
};

static void *start_followed(void *p)
{
	struct start s = *(struct start *)p;

	nst_free(p);
	if (atomic_load_explicit(&profiler.on, memory_order_relaxed))
		profiler_thread_follow();
	return s.fn(s.arg);
}

/* Before the profiler is on (the library's own worker starts then), threads are not followed. */
__attribute__((visibility("default"))) int
pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	typedef int create_fn(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
	create_fn *create = (create_fn *)profiler_next(PROFILER_pthread_create);
	struct start *s = NULL;
	int err;

	if (atomic_load_explicit(&profiler.on, memory_order_relaxed))
		s = nst_alloc(sizeof(*s), NST_NORMAL);
	if (!s)
		return create(thread, attr, fn, arg);
	*s = (struct start){fn, arg};
	err = create(thread, attr, start_followed, s);
	if (err)
		nst_free(s);
	return err;
}

/* Handler: the periods of CPU time that this tick stands for; 0 if the thread has hardly run. */
unsigned int profiler_tick_periods(void)
{
	uint64_t owed_ns;
	unsigned int periods;

	if (!me) {
		atomic_fetch_add_explicit(&profiler.n.dropped_untracked, 1, memory_order_relaxed);
		return 0;
	}
	owed_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - me->used_ns + profiler.period_ns / 2;
	if ((int64_t)owed_ns < (int64_t)profiler.period_ns) {
		atomic_fetch_add_explicit(&profiler.n.idle, 1, memory_order_relaxed);
		return 0;
	}
	periods = (unsigned int)(owed_ns / profiler.period_ns);
	me->used_ns += periods * profiler.period_ns;
	return periods;
}

/* The end: no tick comes after this, whichever thread calls it. */
void profiler_threads_stop(void)
{
	pthread_mutex_lock(&threads.lock);
	for (struct thread_record *t = threads.list; t; t = t->next)
		clock_stop(t);
	pthread_mutex_unlock(&threads.lock);
}

static void fork_prepare(void)
{
	pthread_mutex_lock(&threads.lock);
}

static void fork_parent(void)
{
	pthread_mutex_unlock(&threads.lock);
}

static void fork_child(void)
{
	pthread_mutex_unlock(&threads.lock);
	if (!atomic_load_explicit(&profiler.on, memory_order_relaxed))
		return;
	for (struct thread_record *t = threads.list, *next; t; t = next) {
		next = t->next;
		if (t->fd >= 0)
			close(t->fd);
		if (t != me)
			nst_free(t);
	}
	threads.list = NULL;
#define X(name) atomic_store_explicit(&profiler.n.name, 0, memory_order_relaxed);
	PROFILER_COUNTERS(X)
#undef X
	profiler_tree_forget();
	atomic_store_explicit(&profiler.pid, getpid(), memory_order_relaxed);
	if (!me)
		return; /* forked by a thread that had no clock */
	pthread_setspecific(threads.key, NULL);
	nst_free(me);
	me = NULL;
	profiler_thread_follow();
}

int profiler_threads_start(void)
{
	if (pthread_key_create(&threads.key, thread_end))
		return -1;
	return pthread_atfork(fork_prepare, fork_parent, fork_child) ? -1 : 0;
}
