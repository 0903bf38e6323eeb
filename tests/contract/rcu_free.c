/* SPDX-License-Identifier: MIT */
/*
 * rcu_free.c - C17: retiring makes no system call and no fault, with all memory exhausted and no worker.
 *
 * A child process; in it one thread that the kernel kills at its first system call:
 *
 *	others			allocate what is to be retired: objects of caches and sizes, runs, mappings
 *	trapped thread	plenty	retires in every form, and reads: through pages that are ready, and those it brings
 *	others			take all memory until every mode gives NULL
 *	trapped thread	nothing	retires the rest, until no page is left anywhere
 *	others			give it back and maintain: all of it is freed, once
 *
 * Nobody maintains before that. Its page faults are what the kernel counts for it. With "storm" signals interrupt
 * it, their handler retires too, and rt_sigreturn alone is allowed. How many went which way is counted: each
 * way must have been taken.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <nostall/nostall.h>
#include <nostall/rcu.h>
#include "common/check.h"
#include "common/maps.h"
#include "common/trap.h"

#define REPORT_FD 200
#define NR_THINGS 120000u /* more than the rings of a CPU hold */
#define NR_HANDLER 4000u
#define ERRNO_MARK 7654

enum phase { PHASE_START, PHASE_PLENTY, PHASE_PLENTY_DONE, PHASE_NOTHING, PHASE_NOTHING_DONE };

struct thing {
	struct nst_rcu_head head;
	uint64_t called;
};

static struct {
	int *done; /* shared with the parent */
	pthread_t trapped;
	pid_t tid;
	int storm, phase;
	struct nst_cache *small, *odd;
	struct nst_rcu_domain *domain; /* that nobody reads in */
	void *thing[NR_THINGS], *handler_thing[NR_HANDLER];
	unsigned int nr_handler, signals;
	uint64_t seed, functions, refused, wrong_errno, called, twice;
	uint64_t faults[2];
} t;

/* ---- what is retired ---- */

static void *thing_of_kind(unsigned int i, struct rng *rng)
{
	if (i % 4000 == 0)
		return nst_alloc((size_t)2 << 20 | 64, NST_NORMAL);
	if (i % 200 == 0)
		return nst_pages_alloc(rng_below(rng, 3), NST_NORMAL);
	if (i % 8 == 0)
		return nst_alloc(rng_size(rng, 40, 512), NST_NORMAL);
	return nst_cache_alloc(i % 16 == 1 ? t.odd : t.small, NST_NORMAL);
}

static void make_things(void)
{
	struct rng rng = {t.seed};

	for (unsigned int i = 0; i < NR_THINGS; i++) {
		struct thing *p = thing_of_kind(i, &rng);

		if (!p)
			check_broken("things to retire");
		p->called = 0;
		t.thing[i] = p;
	}
	for (unsigned int i = 0; i < NR_HANDLER; i++)
		t.handler_thing[i] = nst_cache_alloc(t.small, NST_NORMAL);
}

static void call(struct thing *p)
{
	__atomic_fetch_add(&t.called, 1, __ATOMIC_RELAXED);
	t.twice += p->called;
	p->called = 1;
	nst_free(p);
}

static void call_pointer(void *p)
{
	call(p);
}

static void call_head(struct nst_rcu_head *head)
{
	call((struct thing *)(void *)head);
}

/* ---- the trapped thread ---- */

static void retire(void **things, unsigned int i, unsigned int n)
{
	struct thing *p = things[i];

	switch (n % 16) {
	case 0:
		nst_free_rcu_head(&p->head, call_head, 64);
		t.functions++;
		break;
	case 1:
		nst_call_rcu(&p->head, call_head, 0);
		t.functions++;
		break;
	case 2:
		if (nst_free_rcu_foreign(p, call_pointer) == 0) {
			t.functions++;
		} else {
			t.refused++;
			nst_free_rcu(p);
		}
		break;
	case 3:
	case 4:
	case 5:
		nst_free_rcu_in(t.domain, p);
		break;
	default:
		nst_free_rcu(p);
	}
}

static void retire_some(unsigned int from, unsigned int to)
{
	for (unsigned int i = from; i < to; i++) {
		nst_rcu_token_t token = nst_rcu_read_begin(), inner;

		errno = ERRNO_MARK;
		if (i % 64 == 0 && i + 32 < to) {
			nst_free_rcu_bulk(32, t.thing + i);
			i += 31;
		} else {
			retire(t.thing, i, i);
		}
		inner = nst_rcu_read_begin();
		nst_rcu_read_end(token);
		nst_rcu_read_end(inner);
		nst_gp_done(nst_gp_start());
		t.wrong_errno += errno != ERRNO_MARK;
	}
}

static void handler(int sig)
{
	int saved = errno;
	unsigned int i = t.nr_handler;

	(void)sig;
	t.signals++;
	if (i < NR_HANDLER && (t.phase == PHASE_PLENTY || t.phase == PHASE_NOTHING)) {
		t.nr_handler++;
		nst_rcu_read_end(nst_rcu_read_begin());
		if (i % 4)
			nst_free_rcu(t.handler_thing[i]);
		else
			nst_free_rcu_in(t.domain, t.handler_thing[i]);
	}
	errno = saved;
}

static void spin_until(int phase)
{
	while (__atomic_load_n(&t.phase, __ATOMIC_ACQUIRE) != phase)
		__asm__ volatile("" ::: "memory");
}

static void *trapped(void *arg)
{
	stack_make_resident();
	__atomic_store_n(&t.tid, gettid(), __ATOMIC_RELEASE);
	trap_syscalls(t.storm ? TRAP_ALLOW_SIGRETURN : TRAP_ALLOW_NONE);
	spin_until(PHASE_PLENTY);
	retire_some(0, NR_THINGS / 3);
	__atomic_store_n(&t.phase, PHASE_PLENTY_DONE, __ATOMIC_RELEASE);
	spin_until(PHASE_NOTHING);
	retire_some(NR_THINGS / 3, NR_THINGS);
	__atomic_store_n(&t.phase, PHASE_NOTHING_DONE, __ATOMIC_RELEASE);
	for (;;)
		__asm__ volatile("" ::: "memory");
	return arg;
}

/* Minor and major faults of that thread: fields 10 and 12 of its stat. */
static uint64_t faults_of(pid_t tid)
{
	char path[64];
	unsigned long minor = 0, major = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	f = fopen(path, "r");
	if (!f ||
	    fscanf(f, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %lu %*u %lu", &minor, &major) != 2)
		check_broken(path);
	fclose(f);
	return minor + major;
}

/* ---- all memory ---- */

struct link {
	struct link *next;
};

static struct link *take_all(size_t size, struct link *all)
{
	static const nst_mode_t modes[] = {NST_NORMAL,
					   NST_NORETRY,
					   NST_NOWAIT,
					   NST_ATOMIC,
					   NST_FASTTRY,
					   NST_NOLOCK,
					   NST_NORMAL | NST_MOVABLE};
	struct link *one;

	for (unsigned int i = 0; i < sizeof(modes) / sizeof(*modes); i++)
		while ((one = nst_alloc(size, modes[i] | NST_NOWARN))) {
			one->next = all;
			all = one;
		}
	return all;
}

/* Largest first; on each CPU, so that no CPU's lists have any. */
static struct link *exhaust(void)
{
	struct link *all = NULL, *before;

	do {
		before = all;
		for (unsigned int n = 0; cpu_nth(n) >= 0; n++) {
			run_on_cpu(0, cpu_nth(n));
			for (size_t size = (size_t)16 << 20; size > 8192; size /= 2)
				all = take_all(size, all);
			for (size_t size = 8192; size; size -= 16)
				all = take_all(size, all);
		}
	} while (all != before);
	run_on_cpu(0, -1);
	return all;
}

static void give_back(struct link *all)
{
	while (all) {
		struct link *next = all->next;

		nst_free(all);
		all = next;
	}
}

/* ---- the child ---- */

/* Pages on that CPU's list, to be brought: it stays there. */
static void stay_with_pages(void)
{
	void *page[48];

	run_on_cpu(t.tid, cpu_nth(0));
	run_on_cpu(0, cpu_nth(0));
	for (unsigned int i = 0; i < 48; i++)
		page[i] = nst_pages_alloc(0, NST_NORMAL);
	for (unsigned int i = 0; i < 48; i++)
		nst_free(page[i]);
	run_on_cpu(0, -1);
}

static void run_phase(int phase)
{
	uint64_t before = faults_of(t.tid);

	__atomic_store_n(&t.phase, phase, __ATOMIC_RELEASE);
	while (__atomic_load_n(&t.phase, __ATOMIC_ACQUIRE) != phase + 1) {
		usleep(100);
		if (t.storm)
			pthread_kill(t.trapped, SIGUSR1);
	}
	t.faults[phase == PHASE_NOTHING] = faults_of(t.tid) - before;
}

static int is_none(void)
{
	char form[32];

	nst_info("sequences", form, sizeof(form));
	return !strcmp(form, "none");
}

/* Which places were used since @before. */
static void check_ways(const struct nst_retired_stats *before, int exhausted)
{
	struct nst_stats stats;
	const struct nst_retired_stats *r = &stats.retired;

	nst_stats_read(&stats, sizeof(stats));
	printf("# %s: sealed_pages=%llu mixed=%llu brought_pages=%llu dead_bits=%llu runs=%llu heads=%llu "
	       "calls=%llu foreign=%llu refused=%llu others=%llu faults=%llu signals=%u\n",
	       exhausted ? "nothing" : "plenty",
	       (unsigned long long)(r->sealed_pages - before->sealed_pages),
	       (unsigned long long)(r->mixed - before->mixed),
	       (unsigned long long)(r->brought_pages - before->brought_pages),
	       (unsigned long long)(r->dead_bits - before->dead_bits),
	       (unsigned long long)(r->runs - before->runs),
	       (unsigned long long)(r->heads - before->heads),
	       (unsigned long long)(r->calls - before->calls),
	       (unsigned long long)(r->foreign - before->foreign),
	       (unsigned long long)(r->refused - before->refused),
	       (unsigned long long)(r->others - before->others),
	       (unsigned long long)t.faults[exhausted], t.signals);
	check(r->runs > before->runs && r->heads > before->heads && r->calls > before->calls,
	      "C17 runs, mappings, heads and calls", "see above");
	if (exhausted) {
		check(r->dead_bits > before->dead_bits, "C17 exhausted: dead bits", "none");
		check(r->refused > before->refused, "C17 exhausted: a bare pointer is refused",
		      "never");
	} else {
		check(r->sealed_pages > before->sealed_pages, "C17 pages of the cache", "none");
		check(r->mixed > before->mixed, "C17 mixed pages", "none");
		/* A thread without sequences brings one to its first stripe alone, if that has a ring. */
		check(r->brought_pages > before->brought_pages || is_none(),
		      "C17 pages that were brought", "none");
		check(r->foreign > before->foreign, "C17 foreign pointers", "none");
		check(r->others > before->others, "C17 pages of a domain that is not ours", "none");
	}
#if !defined(__SANITIZE_ADDRESS__)
	check(t.faults[exhausted] == 0, "C17 no fault", "%llu",
	      (unsigned long long)t.faults[exhausted]);
#endif
}

static void check_freed(void)
{
	static struct nst_cache_stats caches[128];
	struct nst_stats stats;
	size_t nr, missing = 0;

	for (unsigned int i = t.nr_handler; i < NR_HANDLER; i++)
		nst_free(t.handler_thing[i]);
	nst_rcu_barrier();
	nst_maintain(); /* mappings go to the kernel */
	nst_stats_read(&stats, sizeof(stats));
	check(stats.retired.waiting_bytes == 0 && stats.retired.head_bytes == 0,
	      "C17 once maintained nothing waits", "%llu bytes, %llu of heads",
	      (unsigned long long)stats.retired.waiting_bytes,
	      (unsigned long long)stats.retired.head_bytes);
	check(t.called == t.functions && t.twice == 0, "C17 each function was called once",
	      "%llu of %llu, %llu twice", (unsigned long long)t.called,
	      (unsigned long long)t.functions, (unsigned long long)t.twice);
	check(stats.large_mappings == 0, "C17 mappings are gone", "%llu",
	      (unsigned long long)stats.large_mappings);
	check(t.wrong_errno == 0, "C17 errno untouched", "%llu times",
	      (unsigned long long)t.wrong_errno);
	check(nst_rcu_domain_destroy(t.domain) == 0, "C17 nothing holds the domain", "it is held");
	nr = nst_cache_destroy(t.small) + nst_cache_destroy(t.odd);
	check(nr == 0, "C17 nothing of a cache is lost", "%zu objects alive", nr);
	nr = nst_stats_caches(caches, 128, sizeof(caches[0]));
	for (size_t i = 0; i < nr && i < 128; i++)
		missing += caches[i].objects !=
			   caches[i].in_slabs + caches[i].in_cpus + caches[i].in_barn;
	check(missing == 0, "C17 nothing of a size is lost", "%zu caches lack some", missing);
}

static void warm_up_calls(void)
{
	struct thing *p = nst_cache_alloc(t.small, NST_NORMAL);

	if (!p)
		check_broken("a thing");
	p->called = 0;
	if (nst_free_rcu_foreign(p, call_pointer) == 0)
		t.functions++;
	else
		nst_free(p);
}

/* What has no ring goes to the mixed ones, which on a slow machine have gone meanwhile, for nothing came to them. */
static void warm_up_mixed(void)
{
	struct nst_cache *fresh = nst_cache_create("rcu fresh", 48, 0, 0, NULL);

	if (!fresh)
		check_broken("nst_cache_create");
	for (unsigned int n = 0; cpu_nth(n) >= 0; n++) {
		run_on_cpu(0, cpu_nth(n));
		nst_free_rcu(nst_cache_alloc(fresh, NST_NORMAL));
		nst_maintain();
	}
	if (nst_cache_destroy(fresh))
		check_broken("nst_cache_destroy");
}

/* Rings there, with ready pages. */
static void warm_up(void)
{
	for (int i = 0; i < 6; i++) {
		for (unsigned int n = 0; cpu_nth(n) >= 0; n++) {
			run_on_cpu(0, cpu_nth(n));
			nst_free_rcu(nst_cache_alloc(t.small, NST_NORMAL));
			nst_free_rcu(nst_cache_alloc(t.odd, NST_NORMAL));
			nst_free_rcu(nst_alloc(40, NST_NORMAL));
			nst_free_rcu_in(t.domain, nst_alloc(40, NST_NORMAL));
			warm_up_calls();
			nst_maintain();
		}
	}
	warm_up_mixed();
	run_on_cpu(0, -1);
}

static void no_readers(void *ctx)
{
	(void)ctx;
}

static void child(const char *variant)
{
	struct sigaction sa = {.sa_handler = handler, .sa_flags = SA_RESTART};
	static const struct nst_rcu_domain_ops ops = {.synchronize = no_readers};
	struct nst_stats before;
	struct link *all;

	t.storm = !strcmp(variant, "storm");
	check_deadline(120, "C17 in time");
	sigaction(SIGUSR1, &sa, NULL);
	cpu_nth(0);
	t.small = nst_cache_create("rcu small", 48, 0, 0, NULL);
	t.odd = nst_cache_create("rcu odd", 56, 8, 0, NULL);
	if (!t.small || !t.odd)
		check_broken("nst_cache_create");
	if (nst_rcu_domain_create("nobody", &ops, &t.domain))
		check_broken("nst_rcu_domain_create");
	make_things();
	warm_up();
	maps_make_resident();
	if (pthread_create(&t.trapped, NULL, trapped, NULL))
		check_broken("pthread_create");
	while (!__atomic_load_n(&t.tid, __ATOMIC_ACQUIRE))
		sched_yield();
	stay_with_pages();
	nst_stats_read(&before, sizeof(before));
	run_phase(PHASE_PLENTY);
	check_ways(&before.retired, 0);
	nst_stats_read(&before, sizeof(before));
	all = exhaust();
	run_phase(PHASE_NOTHING);
	check_ways(&before.retired, 1);
	give_back(all);
	check_freed();
	__atomic_store_n(t.done, 1 + check_status(), __ATOMIC_RELEASE);
	for (;;)
		pause();
}

TEST_CONF("worker:off,max:192M" CONF_UNCHECKED)

int main(int argc, char **argv)
{
	const char *variant = argc > 2 ? argv[2] : "plain";
	int status, rc;
	pid_t pid;
	char text[32];

	conf_apply(argv);
	if (argc > 1 && !strcmp(argv[1], "--child")) {
		t.done = shared_memory_of(sizeof(*t.done), REPORT_FD);
		t.seed = strtoull(getenv("NST_SEED"), NULL, 0);
		child(variant);
	}
	variant = argc > 1 && !strcmp(argv[1], "storm") ? "storm" : "plain";
	t.seed = seed_of(variant[0] == 's' ? argc - 1 : argc, variant[0] == 's' ? argv + 1 : argv);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)t.seed);
	setenv("NST_SEED", text, 1);
	t.done = shared_memory(sizeof(*t.done), REPORT_FD);
	pid = child_exec("--child", variant);
	rc = child_wait_done(pid, 150, t.done, &status);
	if (rc == 1) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
	}
	check(rc != 0 || !WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS,
	      "C17 no system call from what retires or reads", "the kernel killed the child");
	check(rc == 1, "C17 the child came to its end", "%s",
	      rc < 0 ? "stuck" : child_status(status));
	check(*t.done == 1, "C17 the child's own checks", "failed, see above");
	return check_status();
}
