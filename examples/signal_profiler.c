// SPDX-License-Identifier: MIT
/*
 * signal_profiler.c - a sampling profiler that lives in a signal handler, inside an unmodified program.
 *
 *	LD_PRELOAD=libnostall-profile.so NOSTALL_PROFILE=dir:/tmp/out sort --parallel=2 file
 *
 * (`nostall run --profile -- sort --parallel=2 file` sets both, and reads the result.)
 *
 * Each thread is interrupted about once for each millisecond of CPU time it uses (997 us: a period
 * that programs do not use themselves, or both would march in step). The handler walks the stack and
 * grows a call tree, at whatever instruction it hit: inside malloc, inside the dynamic
 * linker, inside a lock of the program. Everything it does is therefore safe there:
 *
 *   memory   nst_alloc_nolock(): waits for nothing, enters no kernel; stocked below, refilled by the
 *	      library's worker. With malloc instead (malloc:1) the program soon waits for itself.
 *   stack    _Unwind_Backtrace(). Debian's programs keep no frame pointers, so a walk needs the
 *	      unwind tables. Inside, libgcc 12 and later find a table with _dl_find_object(), which
 *	      glibc 2.35 made lock-free for this purpose; they allocate nothing. Two locks remain and
 *	      are out of reach: the one of objects registered by hand (JIT compilers do that, with
 *	      libgcc_s; this copy of the unwinder is linked in privately and has none), and the
 *	      pthread_once() of a table that the walk in the constructor has filled. That walk goes
 *	      through a real signal frame, so that all it calls is bound and resident.
 *   libc     nothing but clock_gettime() and getrusage().
 *
 * What it cannot promise: unwind tables that lie (hand-written assembly with wrong annotations) make
 * the unwinder read where they say. Code without tables only ends the walk.
 *
 * Options, in NOSTALL_PROFILE=key:value,key:value: dir:PATH, period_us:N, stock:N, malloc:0|1,
 * clock:auto|timer.
 *
 * Fork: the child starts a tree of its own (profiler_thread.c). Exec: the new image starts anew.
 * Exit: by return, exit(), _exit() and exec writes the file; death by a signal leaves none.
 */
#define _GNU_SOURCE
#include "profiler.h"

#include <errno.h>
#include <nostall/nostall.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/rseq.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

struct profiler profiler = {.period_ns = 997000, .stock = 32, .dir = "."};

/* A handler that interrupts itself would mean that the kernel ignored the mask of sigaction(). */
static __thread int in_handler __attribute__((tls_model("initial-exec")));

/* Frames between the handler and the code it interrupted: our own functions and the signal frame. */
#define OWN_FRAMES 8

struct walk {
	uintptr_t interrupted; /* 0 once its frame was reached */
	int skipped, nr, deep;
	uintptr_t frames[PROFILER_DEPTH];
};

#if defined(__x86_64__)
#define INTERRUPTED_PC(uc) ((uc)->uc_mcontext.gregs[REG_RIP])

/* jmp with 32 or 8 bits */
static uintptr_t jump_target(const unsigned char *code)
{
	int32_t far;

	memcpy(&far, code + 1, sizeof(far));
	if (code[0] == 0xe9)
		return (uintptr_t)code + 5 + (uintptr_t)(intptr_t)far;
	if (code[0] == 0xeb)
		return (uintptr_t)code + 2 + (uintptr_t)(intptr_t)(int8_t)code[1];
	return (uintptr_t)code;
}
#elif defined(__aarch64__)
#define INTERRUPTED_PC(uc) ((uc)->uc_mcontext.pc)

/* b with 26 bits, counted in instructions */
static uintptr_t jump_target(const unsigned char *code)
{
	uint32_t word;

	memcpy(&word, code, sizeof(word));
	if (word >> 26 != 5)
		return (uintptr_t)code;
	return (uintptr_t)code + (uintptr_t)(((intptr_t)(int32_t)(word << 6)) >> 4);
}
#else
#error "where does this machine keep the interrupted program counter?"
#endif

/*
 * A thread that is interrupted in a restartable sequence (the library's fast paths, glibc's and others')
 * is sent by the kernel to where it starts anew: a jump behind a signature, which no unwind table
 * knows. The jump is made here, so that the walk begins in the function that it leads to.
 */
static uintptr_t leave_abort(ucontext_t *uc)
{
	uintptr_t pc = (uintptr_t)INTERRUPTED_PC(uc);
	uint32_t signature;

	if (pc % 4096 < sizeof(signature) || pc % 4096 > 4096 - 8)
		return pc; /* what lies beside may not be there */
	memcpy(&signature, (const void *)(pc - sizeof(signature)), sizeof(signature));
	if (signature != RSEQ_SIG)
		return pc;
	pc = jump_target((const unsigned char *)pc);
	INTERRUPTED_PC(uc) = (__typeof__(INTERRUPTED_PC(uc)))pc;
	return pc;
}

static _Unwind_Reason_Code walk_frame(struct _Unwind_Context *context, void *arg)
{
	struct walk *w = arg;
	int exact = 0;
	uintptr_t pc = (uintptr_t)_Unwind_GetIPInfo(context, &exact);

	if (w->interrupted && pc != w->interrupted)
		return ++w->skipped < OWN_FRAMES ? _URC_NO_REASON : _URC_NORMAL_STOP;
	w->interrupted = 0;
	if (!pc)
		return _URC_NORMAL_STOP;
	if (w->nr == PROFILER_DEPTH) {
		w->deep = 1;
		return _URC_NORMAL_STOP;
	}
	/* A return address is after its call, perhaps already in the next function. */
	w->frames[w->nr++] = exact ? pc : pc - 1;
	return _URC_NO_REASON;
}

static void walk_stack(struct walk *w, ucontext_t *uc)
{
	uintptr_t pc = leave_abort(uc);

	w->interrupted = pc;
	w->skipped = w->nr = w->deep = 0;
	_Unwind_Backtrace(walk_frame, w);
	if (w->nr == 0)
		w->frames[w->nr++] = pc;
}

static void count(_Atomic uint64_t *counter, unsigned int nr)
{
	atomic_fetch_add_explicit(counter, nr, memory_order_relaxed);
}

static void sample(ucontext_t *uc)
{
	unsigned int periods = profiler_tick_periods();
	struct walk w;

	if (!periods)
		return;
	walk_stack(&w, uc);
	if (profiler_tree_add(w.frames, w.nr, periods)) {
		count(&profiler.n.dropped_no_memory, periods);
		return;
	}
	count(&profiler.n.taken, periods);
	count(&profiler.n.signals, 1);
	if (w.deep)
		count(&profiler.n.cut_deep, 1);
	if (w.nr == 1)
		count(&profiler.n.cut_leaf, 1);
}

static void on_tick(int signo, siginfo_t *info, void *uc)
{
	int saved_errno = errno;

	(void)signo;
	(void)info;
	if (!atomic_load_explicit(&profiler.on, memory_order_relaxed))
		return;
	if (in_handler++)
		count(&profiler.n.dropped_nested, 1);
	else
		sample(uc);
	in_handler--;
	errno = saved_errno;
}

/* Before the clocks run the same signal is raised once, to warm the walk up. */
static volatile sig_atomic_t warm_frames;

static void on_warm(int signo, siginfo_t *info, void *uc)
{
	struct walk w;

	(void)signo;
	(void)info;
	walk_stack(&w, uc);
	warm_frames = w.nr;
}

static int handler_set(void (*handler)(int, siginfo_t *, void *))
{
	/* ONSTACK: programs with small stacks of their own making bring one for signals. */
	struct sigaction action = {.sa_sigaction = handler,
				   .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};

	sigfillset(&action.sa_mask);
	return sigaction(PROFILER_SIGNAL, &action, NULL);
}

int profiler_walk_ready(void)
{
	if (handler_set(on_warm))
		return 0;
	raise(PROFILER_SIGNAL);
	return warm_frames > 1;
}

static void complain(const char *what)
{
	dprintf(STDERR_FILENO, "nostall-profile: %s\n", what);
}

/* One option. Returns 0, or -1 when it is not one of those named in the charter. */
static int option_set(const char *key, const char *value)
{
	char *end;
	unsigned long n = strtoul(value, &end, 10);
	int number = *value && !*end;

	if (!strcmp(key, "dir") && strlen(value) < sizeof(profiler.dir))
		strcpy(profiler.dir, value);
	else if (!strcmp(key, "period_us") && number && n >= 20 && n <= 1000000)
		profiler.period_ns = n * 1000;
	else if (!strcmp(key, "stock") && number && n <= 1048576)
		profiler.stock = n;
	else if (!strcmp(key, "malloc") && number && n <= 1)
		profiler.with_malloc = (int)n;
	else if (!strcmp(key, "clock") && !strcmp(value, "timer"))
		profiler.clock = PROFILER_CLOCK_TIMER;
	else if (strcmp(key, "clock") || strcmp(value, "auto"))
		return -1;
	return 0;
}

static void options_read(void)
{
	const char *text = getenv("NOSTALL_PROFILE");
	char copy[1024], *save = NULL;

	if (!text)
		return;
	snprintf(copy, sizeof(copy), "%s", text);
	for (char *p = strtok_r(copy, ",", &save); p; p = strtok_r(NULL, ",", &save)) {
		char *value = strchr(p, ':');

		if (value)
			*value++ = '\0';
		if (!value || option_set(p, value))
			dprintf(STDERR_FILENO,
				"nostall-profile: NOSTALL_PROFILE: '%s' ignored; allowed are dir:PATH, "
				"period_us:20..1000000, stock:0..1048576, malloc:0|1, clock:auto|timer\n",
				p);
	}
}

static void stock_nodes(void)
{
	struct nst_cache *cache = nst_cache_of_size(sizeof(struct profiler_node));
	char cpus[16] = "1";

	if (!profiler.stock || nst_stock(cache, profiler.stock, NST_CPU_ALL)) {
		complain("no stock of nodes; the worker makes them as samples ask for them");
		return;
	}
	nst_info("cpus_possible", cpus, sizeof(cpus));
	profiler.stocked = profiler.stock * strtoul(cpus, NULL, 10);
}

__attribute__((constructor)) static void profiler_start(void)
{
	options_read();
	profiler_libc_start();
	profiler_tree_forget();
	stock_nodes();
	if (!profiler_walk_ready())
		complain("stacks cannot be walked here; samples hold one function each");
	if (profiler_threads_start() || handler_set(on_tick)) {
		complain("no handler, no samples");
		return;
	}
	atomic_store_explicit(&profiler.pid, getpid(), memory_order_relaxed);
	atomic_store_explicit(&profiler.on, 1, memory_order_relaxed);
	profiler_thread_follow();
}

/* Idempotent; in a vfork child the tree belongs to the parent, which goes on. */
__attribute__((destructor)) void profiler_finish(void)
{
	if (atomic_load_explicit(&profiler.pid, memory_order_relaxed) != getpid() ||
	    !atomic_exchange_explicit(&profiler.on, 0, memory_order_relaxed))
		return;
	profiler_threads_stop();
	profiler_write();
}
