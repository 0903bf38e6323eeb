// SPDX-License-Identifier: MIT
/*
 * torture_work.c - what the threads of the torture do, and what interrupts them.
 *
 * Each thread allocates and frees by every call there is, in every mode; a CLOCK_MONOTONIC timer
 * aimed at it interrupts it 50,000 times a second, and the handler does the same with the no-lock
 * calls, on the same caches. Now and then a thread moves to another CPU, forks (the child goes on
 * allocating and freeing what it inherited), or passes an object on to another thread.
 *
 * Each object is claimed in the owner map while it is held, and all its bytes are one that depends
 * on its address, written whole and checked whole.
 */
#define _GNU_SOURCE
#include "torture.h"
#include "tool.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STORM_SIGNAL SIGRTMIN
#define SLOTS 256
#define HANDLER_SLOTS 32
#define PASSED_ON 64
#define MOST_BYTES (256 * 1024) /* in threads, so that whole runs of pages are among them */
#define ERRNO_MARK 7654		/* no call of ours returns it */

/*
 * By what it was allocated: it decides which frees are legal beside those that take anything. A
 * no-lock request may be served by the next size class, and a resized object may have stayed where it
 * was: their size does not name their class, and nst_free_sized() is not for them.
 */
enum kind { BY_SIZE, BY_CACHE, BY_OTHER };

struct object {
	unsigned char *p;
	size_t bytes;
	enum kind kind;
};

struct torture_thread {
	pthread_t thread;
	uint64_t seed, handler_seed;
	int nr_operations; /* of a short thread; 0: until torture.stop */
	int in_child;	   /* after fork: no more forks, no timer */
	_Atomic int handling;
	_Atomic uint64_t progress;
	cpu_set_t cpus;
	timer_t timer;
	struct torture_counts n, h; /* h: the handler's */
	struct object slot[SLOTS], handler_slot[HANDLER_SLOTS];
};

static __thread struct torture_thread *me __attribute__((tls_model("initial-exec")));

/* Objects between threads: a whole struct, so that its size travels with it. */
static _Atomic(struct object *) passed_on[PASSED_ON];

static uint32_t draw(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*seed >> 33);
}

/* Small ones mostly: work inside a handler is time that its thread does not have. */
static size_t draw_bytes(uint64_t *seed, size_t most)
{
	uint32_t r = draw(seed) % 1024;

	if (r < 2)
		return 1 + draw(seed) % most;
	if (r < 16)
		return 1 + draw(seed) % 8192;
	return 1 + draw(seed) % (r < 128 ? 1024 : 160);
}

static unsigned char pattern(const void *p)
{
	return (unsigned char)((((uintptr_t)p >> 4) * 0x9e3779b97f4a7c15u) >> 56);
}

/* Do the first @bytes still hold what was written for @owner? */
static int intact(const unsigned char *p, size_t bytes, const void *owner)
{
	unsigned char differs = 0, want = pattern(owner);

	for (size_t i = 0; i < bytes; i++)
		differs |= p[i] ^ want;
	return !differs;
}

/* Takes an object over: claims it, fills it. NULL is an answer, not an object. */
static void keep(struct object *o, void *p, size_t bytes, enum kind kind, struct torture_counts *n)
{
	*o = (struct object){p, bytes, kind};
	if (!p)
		return;
	if ((uintptr_t)p % (kind == BY_CACHE ? 8 : 16))
		n->misaligned++;
	if (!owner_claim(p, bytes))
		n->handed_out_twice++;
	memset(p, pattern(p), bytes);
	atomic_fetch_add_explicit(&torture.live, 1, memory_order_relaxed);
}

static void check_and_release(struct object *o, struct torture_counts *n)
{
	n->overwritten += !intact(o->p, o->bytes, o->p);
	owner_release(o->p, o->bytes);
	atomic_fetch_sub_explicit(&torture.live, 1, memory_order_relaxed);
}

/* ---- inside the handler: no-lock calls only ---- */

static void *handler_request(uint64_t *seed, size_t *bytes, enum kind *kind)
{
	uint32_t how = draw(seed) % 8;

	*bytes = draw_bytes(seed, NST_NOLOCK_MAX);
	*kind = how == 0 ? BY_CACHE : BY_OTHER;
	if (how == 0) {
		*bytes = 96;
		return nst_cache_alloc_nolock(torture.cache);
		NST_BECAUSE("signal handler");
	}
	if (how < 3)
		return nst_alloc_fasttry(*bytes);
	NST_BECAUSE("signal handler");
	if (how == 3) {
		*bytes = NST_PAGE_SIZE;
		return nst_pages_alloc_nolock(0);
		NST_BECAUSE("signal handler");
	}
	if (how == 4)
		return nst_alloc(*bytes, NST_NOLOCK | NST_NOWARN);
	NST_BECAUSE("signal handler");
	return nst_alloc_nolock(*bytes);
	NST_BECAUSE("signal handler");
}

static void handler_operate(struct torture_thread *t)
{
	struct object *o = &t->handler_slot[draw(&t->handler_seed) % HANDLER_SLOTS];
	size_t bytes;
	enum kind kind;
	void *p;

	errno = ERRNO_MARK;
	if (o->p) {
		check_and_release(o, &t->h);
		nst_free_nolock(o->p);
		NST_BECAUSE("signal handler");
		o->p = NULL;
		t->h.handler_frees++;
	} else {
		p = handler_request(&t->handler_seed, &bytes, &kind);
		keep(o, p, bytes, kind, &t->h);
		t->h.handler_requests++;
		t->h.handler_nulls += !p;
	}
	t->h.wrong_errno += errno != ERRNO_MARK;
}

static void on_storm(int signo)
{
	int saved_errno = errno;
	struct torture_thread *t = me;

	(void)signo;
	if (!t || !atomic_load_explicit(&t->handling, memory_order_relaxed))
		return;
	t->h.handlers++;
	handler_operate(t);
	handler_operate(t);
	errno = saved_errno;
}

int torture_handler_set(void)
{
	struct sigaction action = {.sa_handler = on_storm, .sa_flags = SA_RESTART};

	return sigaction(STORM_SIGNAL, &action, NULL) == 0;
}

/* ---- threads: every call, every mode ---- */

static nst_mode_t draw_mode(uint64_t *seed)
{
	static const nst_mode_t modes[] = {NST_NORMAL, NST_NORMAL, NST_NORETRY, NST_NOWAIT,
					   NST_ATOMIC, NST_NOLOCK, NST_FASTTRY};
	nst_mode_t mode = modes[draw(seed) % (sizeof(modes) / sizeof(*modes))] | NST_NOWARN;

	return draw(seed) % 16 ? mode : mode | NST_ZERO;
}

static void *thread_request(struct torture_thread *t, size_t *bytes, enum kind *kind)
{
	nst_mode_t mode = draw_mode(&t->seed);
	uint32_t how = draw(&t->seed) % 16;
	void *p = NULL;

	*bytes = draw_bytes(&t->seed, MOST_BYTES);
	*kind = how == 5 || how == 6		  ? BY_CACHE
		: how > 6 && !(mode & NST_NOLOCK) ? BY_SIZE
						  : BY_OTHER;
	switch (how) {
	case 0:
		return nst_alloc_aligned(*bytes, (size_t)16 << draw(&t->seed) % 8, mode);
	case 1:
		*bytes = NST_PAGE_SIZE << draw(&t->seed) % 4;
		return nst_pages_alloc((unsigned int)__builtin_ctzl(*bytes / NST_PAGE_SIZE), mode);
	case 2:
		return nst_alloc_bulk(*bytes, mode, 1, &p) ? p : NULL;
	case 3:
	case 4:
		return nst_alloc_nolock(*bytes);
		NST_BECAUSE("mixed with ordinary calls on purpose");
	case 5:
	case 6:
		*bytes = 96;
		return nst_cache_alloc(torture.cache, mode);
	default:
		return nst_alloc(*bytes, mode);
	}
}

static void thread_free(struct torture_thread *t, struct object *o)
{
	check_and_release(o, &t->n);
	t->n.frees++;
	switch (draw(&t->seed) % 4) {
	case 0:
		nst_free_nolock(o->p);
		NST_BECAUSE("mixed with ordinary calls on purpose");
		break;
	case 1:
		nst_free_bulk(1, (void **)&o->p);
		break;
	case 2:
		if (o->kind == BY_CACHE)
			nst_cache_free(torture.cache, o->p);
		else if (o->kind == BY_SIZE)
			nst_free_sized(o->p, o->bytes);
		else
			nst_pages_free(o->p);
		break;
	default:
		nst_free(o->p);
	}
	o->p = NULL;
}

static void resize(struct torture_thread *t, struct object *o)
{
	struct object old = *o;
	size_t bytes = draw_bytes(&t->seed, MOST_BYTES);
	unsigned char *p;

	/* Its memory may belong to somebody else the moment nst_realloc() moves it. */
	check_and_release(o, &t->n);
	p = nst_realloc(old.p, bytes, NST_NORMAL | NST_NOWARN);
	if (p && !intact(p, bytes < old.bytes ? bytes : old.bytes, old.p))
		t->n.overwritten++;
	if (p)
		keep(o, p, bytes, BY_OTHER, &t->n);
	else
		keep(o, old.p, old.bytes, old.kind, &t->n);
}

/* Puts the object where another thread finds it, and frees what was there. */
static void pass_on(struct torture_thread *t, struct object *o)
{
	struct object *mail = must_alloc(sizeof(*mail)), *got;

	*mail = *o;
	o->p = NULL;
	/* Pairs with: itself, on the thread that takes it. Else: it checks bytes not yet written. */
	got = atomic_exchange_explicit(&passed_on[draw(&t->seed) % PASSED_ON], mail,
				       memory_order_acq_rel);
	if (!got)
		return;
	t->n.passed_on++;
	thread_free(t, got);
	free(got);
}

static void operate(struct torture_thread *t)
{
	struct object *o = &t->slot[draw(&t->seed) % SLOTS];
	size_t bytes;
	enum kind kind;
	void *p;

	t->n.operations++;
	errno = ERRNO_MARK;
	if (!o->p) {
		p = thread_request(t, &bytes, &kind);
		t->n.wrong_errno += errno != ERRNO_MARK;
		keep(o, p, bytes, kind, &t->n);
		t->n.requests++;
		t->n.nulls += !p;
	} else if (draw(&t->seed) % 16 == 0 && o->kind != BY_CACHE && o->bytes <= 4096) {
		resize(t, o);
	} else if (draw(&t->seed) % 16 == 0 && !t->in_child) {
		pass_on(t, o);
	} else {
		thread_free(t, o);
		t->n.wrong_errno += errno != ERRNO_MARK;
	}
}

/* ---- what disturbs them ---- */

static void migrate(struct torture_thread *t)
{
	int nr = CPU_COUNT(&t->cpus), pick = (int)(draw(&t->seed) % (uint32_t)nr);
	cpu_set_t one;

	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &t->cpus) || pick--)
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		sched_setaffinity(0, sizeof(one), &one);
		t->n.migrations++;
		return;
	}
}

static uint64_t bad(const struct torture_counts *n)
{
	return n->handed_out_twice + n->overwritten + n->misaligned + n->wrong_errno;
}

static void child(struct torture_thread *t)
{
	uint64_t before = bad(&t->n) + bad(&t->h);

	alarm(60); /* a child that waits for a lock that nobody holds any more ends here */
	t->in_child = 1;
	for (int i = 0; i < 3000; i++)
		operate(t);
	_exit(bad(&t->n) + bad(&t->h) != before);
}

/* The storm is held off meanwhile: a fork that takes longer than a period never gets done. */
static void fork_and_wait(struct torture_thread *t)
{
	sigset_t storm, old;
	int status = 0;
	pid_t pid;

	sigemptyset(&storm);
	sigaddset(&storm, STORM_SIGNAL);
	pthread_sigmask(SIG_BLOCK, &storm, &old);
	pid = fork();
	if (pid == 0)
		child(t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (pid < 0)
		return;
	t->n.forks++;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	t->n.fork_failed += !WIFEXITED(status) || WEXITSTATUS(status);
}

static void disturb(struct torture_thread *t)
{
	uint32_t r = draw(&t->seed) % 100000;

	if (r < 100)
		migrate(t);
	else if (r < 120)
		fork_and_wait(t);
	else if (r < 140)
		nst_maintain();
}

static int storm_start(struct torture_thread *t)
{
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = STORM_SIGNAL};
	struct timespec period = {0, 1000000000 / torture.rate_hz};
	struct itimerspec every = {period, period};

	event._sigev_un._tid = gettid();
	return timer_create(CLOCK_MONOTONIC, &event, &t->timer) == 0 &&
	       timer_settime(t->timer, 0, &every, NULL) == 0;
}

static void *work(void *arg)
{
	struct torture_thread *t = arg;

	sched_getaffinity(0, sizeof(t->cpus), &t->cpus);
	me = t;
	atomic_store_explicit(&t->handling, 1, memory_order_relaxed);
	if (!storm_start(t))
		atomic_store_explicit(&torture.failed, 1, memory_order_relaxed);
	while (t->nr_operations ? t->n.operations < (uint64_t)t->nr_operations
				: !atomic_load_explicit(&torture.stop, memory_order_relaxed)) {
		operate(t);
		disturb(t);
		atomic_store_explicit(&t->progress, t->n.operations, memory_order_relaxed);
	}
	timer_delete(t->timer);
	atomic_store_explicit(&t->handling, 0, memory_order_relaxed);
	return NULL;
}

static struct torture_thread *start(uint64_t seed, int nr_operations)
{
	struct torture_thread *t = must_alloc(sizeof(*t));

	t->seed = seed;
	t->handler_seed = ~seed;
	t->nr_operations = nr_operations;
	if (!pthread_create(&t->thread, NULL, work, t))
		return t;
	free(t);
	return NULL;
}

struct torture_thread *torture_thread_start(uint64_t seed)
{
	return start(seed, 0);
}

uint64_t torture_thread_progress(const struct torture_thread *t)
{
	return atomic_load_explicit(&t->progress, memory_order_relaxed);
}

static void add(struct torture_counts *sum, const struct torture_counts *n)
{
#define X(name) sum->name += n->name;
	TORTURE_COUNTS(X)
#undef X
}

void torture_thread_end(struct torture_thread *t, struct torture_counts *sum)
{
	pthread_join(t->thread, NULL);
	for (int i = 0; i < SLOTS; i++)
		if (t->slot[i].p)
			thread_free(t, &t->slot[i]);
	for (int i = 0; i < HANDLER_SLOTS; i++)
		if (t->handler_slot[i].p)
			thread_free(t, &t->handler_slot[i]);
	add(sum, &t->n);
	add(sum, &t->h);
	free(t);
}

int torture_short_thread(uint64_t seed, struct torture_counts *sum)
{
	struct torture_thread *t = start(seed, 300);

	if (!t)
		return 0;
	torture_thread_end(t, sum);
	sum->short_threads++;
	return 1;
}

void torture_passed_on_end(struct torture_counts *sum)
{
	struct torture_thread *t = must_alloc(sizeof(*t));

	for (int i = 0; i < PASSED_ON; i++) {
		struct object *got =
			atomic_exchange_explicit(&passed_on[i], NULL, memory_order_acq_rel);

		if (!got)
			continue;
		thread_free(t, got);
		free(got);
	}
	add(sum, &t->n);
	free(t);
}
