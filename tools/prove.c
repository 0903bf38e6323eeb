// SPDX-License-Identifier: MIT
/*
 * prove.c - `nostall doctor --prove`: the contract of the no-lock calls, measured on this machine.
 *
 *	prover		a million mixed no-lock operations, every byte written and checked
 *	crowd (2)	ordinary allocation and free of the same sizes: they keep the locks busy
 *	worker		the library's own: refills
 *
 * What counts is what the kernel says of the prover thread alone:
 *   fault_in_nolock	getrusage(RUSAGE_THREAD), minor and major faults, before and after
 *   syscall_in_nolock	a seccomp filter traps every call but getrusage and the return from the trap
 *   lock_in_nolock	of those, futex calls: a wait for a lock that does not spin is one
 * Code and stack of the prover are touched before the count begins; the objects are not.
 *
 * The measuring process is a fresh one, not a fork: a fork child's pages are copy-on-write.
 */
#define _GNU_SOURCE
#include "tool.h"

#include <errno.h>
#include <stddef.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <nostall/nostall.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define OPERATIONS 1000000
#define WARM_OPERATIONS 20000
#define SLOTS 128

struct object {
	unsigned char *p;
	size_t bytes;
};

static struct {
	_Atomic int stop, done;
	_Atomic uint64_t syscalls, futexes;
	_Atomic int last_syscall;
	uint64_t faults, requests, nulls, corrupt;
	struct nst_cache *cache;
} proof;

static void on_trap(int signo, siginfo_t *info, void *context)
{
	(void)signo;
	(void)context;
	atomic_fetch_add_explicit(&proof.syscalls, 1, memory_order_relaxed);
	atomic_store_explicit(&proof.last_syscall, info->si_syscall, memory_order_relaxed);
	if (info->si_syscall == SYS_futex)
		atomic_fetch_add_explicit(&proof.futexes, 1, memory_order_relaxed);
}

/* For this thread alone, for the rest of its life. Returns 0 or an errno. */
static int trap_syscalls(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getrusage, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {sizeof(code) / sizeof(*code), code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter))
		return errno;
	return 0;
}

static uint32_t draw(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*seed >> 33);
}

/* Small ones mostly, as programs have them; up to the largest that is served without waiting. */
static size_t draw_bytes(uint64_t *seed)
{
	uint32_t r = draw(seed);

	if (r % 64 == 0)
		return 1 + draw(seed) % NST_NOLOCK_MAX;
	return 8 + draw(seed) % (r % 8 == 0 ? 4096 : 256);
}

static void *request(uint64_t *seed, size_t *bytes)
{
	*bytes = draw_bytes(seed);
	switch (draw(seed) % 4) {
	case 0:
		*bytes = 96;
		return nst_cache_alloc_nolock(proof.cache);
		NST_BECAUSE("this is what is proved");
	case 1:
		return nst_alloc_fasttry(*bytes);
		NST_BECAUSE("this is what is proved");
	default:
		return nst_alloc_nolock(*bytes);
		NST_BECAUSE("this is what is proved");
	}
}

static void give_back(struct object *o)
{
	for (size_t i = 0; i < o->bytes; i++)
		proof.corrupt += o->p[i] != (unsigned char)(o->bytes + i);
	nst_free_nolock(o->p);
	NST_BECAUSE("this is what is proved");
	o->p = NULL;
}

static void operate(struct object *slots, uint64_t *seed, long nr)
{
	while (nr--) {
		struct object *o = &slots[draw(seed) % SLOTS];

		if (o->p) {
			give_back(o);
			continue;
		}
		o->p = request(seed, &o->bytes);
		proof.requests++;
		proof.nulls += !o->p;
		for (size_t i = 0; o->p && i < o->bytes; i++)
			o->p[i] = (unsigned char)(o->bytes + i);
	}
}

static uint64_t own_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return (uint64_t)usage.ru_minflt + (uint64_t)usage.ru_majflt;
}

static void *prover(void *arg)
{
	static struct object slots[SLOTS];
	uint64_t seed = 1, before;
	int err;

	(void)arg;
	operate(slots, &seed, WARM_OPERATIONS);
	own_faults();
	proof.requests = proof.nulls = 0;
	err = trap_syscalls();
	if (!err) {
		before = own_faults();
		operate(slots, &seed, OPERATIONS);
		proof.faults = own_faults() - before;
	}
	/* Pairs with: the load in prove_here(). Else: it reads counts that are not final. */
	atomic_store_explicit(&proof.done, err ? -err : 1, memory_order_release);
	if (err)
		return NULL;
	for (;;) /* even to end the thread would be a system call */
		;
}

static void *crowd(void *arg)
{
	struct object slots[SLOTS] = {0};
	uint64_t seed = (uint64_t)(uintptr_t)arg;

	while (!atomic_load_explicit(&proof.stop, memory_order_relaxed)) {
		struct object *o = &slots[draw(&seed) % SLOTS];

		if (o->p) {
			nst_free(o->p);
			o->p = NULL;
		} else {
			o->p = nst_alloc(draw_bytes(&seed), NST_NORMAL);
		}
	}
	return NULL;
}

static int stock(void)
{
	static const size_t sizes[] = {16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		if (nst_stock(nst_cache_of_size(sizes[i]), SLOTS, NST_CPU_ALL))
			return 0;
	proof.cache = nst_cache_create("prove", 96, 0, NST_CACHE_NOLOCK, NULL);
	return proof.cache && !nst_stock(proof.cache, SLOTS, NST_CPU_ALL);
}

static int start_threads(void)
{
	struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
	pthread_t thread;

	if (sigaction(SIGSYS, &action, NULL))
		return 0;
	for (uintptr_t i = 1; i <= 2; i++)
		if (pthread_create(&thread, NULL, crowd, (void *)i))
			return 0;
	return pthread_create(&thread, NULL, prover, NULL) == 0;
}

static int print_proof(void)
{
	uint64_t syscalls = atomic_load_explicit(&proof.syscalls, memory_order_relaxed);
	uint64_t futexes = atomic_load_explicit(&proof.futexes, memory_order_relaxed);
	int kept = !syscalls && !proof.faults && !proof.corrupt;

	printf("prove_operations=%d\n", OPERATIONS);
	printf("prove_requests=%llu\nprove_nulls=%llu\n", (unsigned long long)proof.requests,
	       (unsigned long long)proof.nulls);
	printf("fault_in_nolock=%llu\n", (unsigned long long)proof.faults);
	printf("syscall_in_nolock=%llu\n", (unsigned long long)syscalls);
	printf("lock_in_nolock=%llu\n", (unsigned long long)futexes);
	if (syscalls)
		printf("last_syscall_number=%d\n",
		       atomic_load_explicit(&proof.last_syscall, memory_order_relaxed));
	printf("corrupt_bytes=%llu\n", (unsigned long long)proof.corrupt);
	printf("proof=%s\n", kept ? "kept" : "broken");
	fflush(stdout);
	return kept ? TOOL_OK : TOOL_NO;
}

int prove_here(void)
{
	int done = 0, code;

	alarm(300);
	if (!stock() || !start_threads()) {
		printf("proof=not_measured\nnote.proof=no memory to stock, or no threads\n");
		return TOOL_NO;
	}
	while (!done) {
		usleep(10000);
		/* Pairs with: the store in prover(). */
		done = atomic_load_explicit(&proof.done, memory_order_acquire);
	}
	if (done < 0) {
		printf("proof=not_measured\nnote.proof=seccomp: %s\n", strerror(-done));
		return TOOL_NO;
	}
	code = print_proof();
	_exit(code); /* the prover can be ended by nothing else */
}

int prove(void)
{
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		execl("/proc/self/exe", "nostall", "doctor", "--prove-here", (char *)NULL);
		_exit(TOOL_NOEXEC);
	}
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (child > 0 && WIFEXITED(status) && WEXITSTATUS(status) <= TOOL_NO)
		return WEXITSTATUS(status);
	printf("proof=not_measured\nnote.proof=the measuring process %s %d\n",
	       WIFSIGNALED(status) ? "was ended by signal" : "ended with code",
	       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	return TOOL_NO;
}
