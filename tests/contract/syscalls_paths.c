/* SPDX-License-Identifier: MIT */
/*
 * syscalls_paths.c - the steps of docs/syscalls.md, each made to happen, and a mix of all functions.
 *
 * What a step needs is laid out before its mark, so that between the marks only the step is done.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#define NST_NO_MACROS
#include "mm/mm.h"
#include "common/check.h"
#include "contract/syscalls.h"

#define NR 3000

static void *kept[NR];

void mark(const char *name)
{
	syscall(MARK_NR, name);
}

void begin(const char *step)
{
	mark(step);
}

void end(void)
{
	mark(NULL);
}

/* A step that found nothing to do would be seen to do nothing: the test must not believe that. */
void must(int holds)
{
	if (!holds)
		_exit(96);
}

void nap_ms(long ms)
{
	struct timespec ts = {0, ms * 1000000};

	nanosleep(&ts, NULL);
}

/* ---- start: the mark is set before the library's constructor ---- */

/* 101 as the library's: of equal ones the first linked runs first, and it is linked last. */
__attribute__((constructor(101))) static void constructed_early(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "start-grouped"))
		pressure_tree();
	if (argc > 1 && !strncmp(argv[1], "start", 5))
		begin(argv[1]);
}

static void started(void)
{
	end();
}

static void started_grouped(void)
{
	end();
	pressure_tree_remove();
}

/* ---- no kernel at all ---- */

static void take_and_free(size_t n, size_t size, void *(*take)(size_t), void (*give)(void *))
{
	size_t i;

	for (i = 0; i < n; i++)
		kept[i] = take(size);
	for (i = 0; i < n; i++)
		give(kept[i]);
}

static void *take_normal(size_t size)
{
	return nst_alloc(size, NST_NORMAL);
}

static void hit(void)
{
	char text[64];
	int i;

	take_and_free(8, 64, take_normal, nst_free);
	begin("hit");
	for (i = 0; i < 1000; i++)
		take_and_free(4, 64, take_normal, nst_free);
	nst_scope_exit(nst_scope_enter(NST_SCOPE_NOLOCK));
	nst_mode_name(NST_NORMAL, text, sizeof(text));
	nst_usable_size(kept[0] = nst_alloc(64, NST_NORMAL));
	end();
	nst_free(kept[0]);
}

static u64 refills(void)
{
	struct nst_stats s;

	nst_stats_read(&s, sizeof(s));
	return s.refills;
}

static void refill(void)
{
	u64 before;
	int i;

	for (i = 0; i < 3; i++)
		take_and_free(NR, 64, take_normal, nst_free);
	before = refills();
	begin("refill");
	take_and_free(NR, 64, take_normal, nst_free);
	end();
	must(refills() > before + 10);
}

static void nolock(void)
{
	size_t i;

	take_and_free(100, 64, take_normal, nst_free);
	begin("nolock");
	take_and_free(NR, 64, nst_alloc_nolock, nst_free_nolock);
	take_and_free(200, 8000, nst_alloc_nolock, nst_free_nolock);
	take_and_free(200, 64, nst_alloc_fasttry, nst_free_nolock);
	for (i = 0; i < NR; i++) /* until there is nothing left */
		kept[i] = nst_pages_alloc_nolock(3);
	end();
	must(kept[0] && !kept[NR - 1]);
	begin("nolock");
	for (i = 0; i < NR; i++)
		nst_pages_free_nolock(kept[i]);
	nst_test_fail[NST_FAIL_TRYLOCK] = -1;
	for (i = 0; i < 500; i++)
		kept[i] = nst_alloc_nolock(200);
	for (i = 0; i < 500; i++)
		nst_free_nolock(kept[i]);
	end();
}

/* ---- locks and the worker ---- */

static void wake(void)
{
	void *p = nst_pages_alloc(0, NST_NORMAL);
	int i;

	nst_pages_free(p);
	begin("wake");
	for (i = 0; i < 300; i++) {
		must(!nst_alloc_fasttry(3000)); /* never used: asks the worker for some */
		nst_pages_free(nst_pages_alloc(0, NST_NOWAIT));
	}
	end();
}

static volatile int held;

static void *hold_zone(void *arg)
{
	struct nst_lock *l = &nst_zones[0].lock;

	(void)arg;
	nst_lock_wait_raw(l);
	held = 1;
	nap_ms(50);
	nst_unlock_raw(l);
	return NULL;
}

static void wait_lock(void)
{
	pthread_t t;

	if (pthread_create(&t, NULL, hold_zone, NULL))
		_exit(97);
	while (!held)
		nap_ms(1);
	begin("wait");
	kept[0] = nst_pages_alloc(4, NST_NOWAIT);
	end();
	must(kept[0] != NULL);
	pthread_join(t, NULL);
}

/* ---- memory ---- */

static void take_runs(unsigned int order, int n)
{
	while (n--)
		must(nst_pages_alloc(order, NST_NORMAL) != NULL);
}

static void grow(void)
{
	size_t before = nst_zones[0].ready_pages;

	begin("grow");
	take_runs(5, 12); /* of 1 MiB ready in a block of 2 */
	end();
	must(nst_zones[0].ready_pages > before);
}

static void grow_locked(void)
{
	begin("grow-locked");
	take_runs(5, 12);
	end();
}

static void open_block(void)
{
	begin("open");
	take_runs(5, 40);
	end();
}

static void open_arena(void)
{
	u32 before = nst_mm.nr_arenas;

	begin("arena");
	take_runs(9, 40); /* of 64 MiB reserved */
	end();
	must(nst_mm.nr_arenas > before);
}

static void limit_address_space(void)
{
	struct rlimit limit = {(rlim_t)4 << 30, RLIM_INFINITY};

	must(setrlimit(RLIMIT_AS, &limit) == 0);
}

static void fit(void)
{
	limit_address_space();
	begin("fit");
	nst_span_fit();
	end();
}

static void open_limited(void)
{
	limit_address_space();
	nst_span_fit();
	begin("open-limited");
	take_runs(9, 5);
	end();
}

static void large_limited(void)
{
	limit_address_space();
	nst_span_fit();
	begin("large-limited");
	nst_free(nst_alloc(10 << 20, NST_NORMAL));
	nst_large_drain();
	end();
}

static void purge_as(const char *step)
{
	u64 ready;
	int i;

	for (i = 0; i < 3; i++)
		kept[i] = nst_pages_alloc(9, NST_NORMAL);
	for (i = 0; i < 3; i++)
		nst_pages_free(kept[i]);
	nst_maintain(); /* what is free from here to the next pass goes back */
	ready = nst_zones[0].ready_pages;
	begin(step);
	nst_maintain();
	end();
	must(nst_zones[0].ready_pages < ready);
}

static void purge(void)
{
	purge_as("purge");
}

static void purge_locked(void)
{
	purge_as("purge-locked");
}

static struct nst_cache *new_cache(const char *name)
{
	struct nst_cache *c = nst_cache_create(name, 64, 0, 0, NULL);

	must(c != NULL);
	return c;
}

static void metadata(void)
{
	static struct nst_cache *c[300];
	size_t i;

	for (i = 0; i < 300; i++)
		c[i] = new_cache("many");
	begin("metadata");
	for (i = 0; i < 300; i++) /* the first use of each on this CPU */
		kept[i] = nst_cache_alloc(c[i], NST_NOWAIT);
	end();
}

static void create(void)
{
	int i;

	begin("create");
	for (i = 0; i < 300; i++)
		new_cache("many");
	end();
}

static void large(void)
{
	begin("large");
	kept[0] = nst_alloc((size_t)8 << 20, NST_NORMAL);
	end();
	must(kept[0] != NULL);
}

static void large_move(void)
{
	kept[0] = nst_alloc((size_t)8 << 20, NST_NORMAL);
	must(kept[0] != NULL);
	begin("large-move");
	kept[1] = nst_realloc(kept[0], (size_t)64 << 20, NST_NORMAL);
	end();
	must(kept[1] != NULL);
}

static void large_free(void)
{
	kept[0] = nst_alloc((size_t)8 << 20, NST_NORMAL);
	begin("large-free");
	nst_free(kept[0]);
	end();
}

static void large_drain(void)
{
	kept[0] = nst_alloc((size_t)8 << 20, NST_NORMAL);
	nst_free(kept[0]);
	begin("large-drain");
	nst_maintain();
	end();
}

/* At the limit: runs that lie on CPUs' lists are fetched, for a larger one to be made of. */
static void fetch(void)
{
	int i;

	for (i = 0; i < NR && (kept[i] = nst_pages_alloc(0, NST_NORETRY)) != NULL; i++)
		;
	must(i > 100 && i < NR);
	while (i--)
		nst_pages_free(kept[i]);
	while (nst_pages_alloc(9, NST_NOWAIT | NST_NOWARN))
		;
	begin("fetch");
	kept[0] = nst_pages_alloc(9, NST_NORETRY);
	end();
}

static void *free_soon(void *run)
{
	nap_ms(30);
	nst_pages_free(run);
	return NULL;
}

static void nofail(void)
{
	void *run = NULL, *p;
	pthread_t t;

	while ((p = nst_pages_alloc(6, NST_NORETRY)) != NULL)
		run = p;
	while (nst_zones[0].free_pages >= 64) /* the reserve */
		run = nst_pages_alloc(6, NST_NOFAIL);
	must(run != NULL);
	if (pthread_create(&t, NULL, free_soon, run))
		_exit(97);
	begin("nofail");
	p = nst_pages_alloc(6, NST_NOFAIL);
	end();
	must(p == run);
	pthread_join(t, NULL);
}

/* ---- other CPUs' stacks ---- */

static struct nst_cache *used_cache(void)
{
	struct nst_cache *c = new_cache("used");

	nst_cache_free(c, nst_cache_alloc(c, NST_NORMAL));
	return c;
}

static void destroy(void)
{
	struct nst_cache *c = used_cache();

	begin("destroy");
	must(nst_cache_destroy(c) == 0);
	end();
}

static void visit(void)
{
	struct nst_cache *c = used_cache();

	nst_sys_membarrier_ok = 0;
	begin("visit");
	must(nst_cache_destroy(c) == 0);
	end();
}

static void stock(void)
{
	struct nst_cache *c = new_cache("stock");

	begin("stock");
	must(nst_stock(c, 30000, NST_CPU_ALL) == 0);
	end();
}

static void top_up(void)
{
	struct nst_cache *c = new_cache("stock");
	int i;

	must(nst_stock(c, 500, NST_CPU_ALL) == 0);
	for (i = 0; i < 500; i++)
		must(nst_cache_alloc_nolock(c) != NULL);
	begin("top-up");
	nst_maintain();
	end();
}

static void decay(void)
{
	struct nst_cache *c = new_cache("idle");

	nst_cache_free(c, nst_cache_alloc(c, NST_NORMAL));
	for (unsigned int i = 0; i < NST_STILL_LOOKS; i++) {
		nst_maintain();
		nap_ms(110);
	}
	begin("decay");
	nst_maintain();
	end();
}

static void maintain(void)
{
	nst_maintain();
	begin("maintain");
	nst_maintain();
	end();
}

/* The first publication is not what an idle worker does. */
static void worker(void)
{
	while (strcmp(nst_publish_state(), "memfd") || nst_stats_moved())
		nap_ms(10);
	nap_ms(10);
	begin("worker");
	nap_ms(200);
	end();
}

/* ---- the statistics page ---- */

static void publish_new(void)
{
	begin("publish-new");
	nst_maintain();
	end();
	must(!strcmp(nst_publish_state(), "memfd"));
}

static void publish(void)
{
	nst_maintain();
	begin("publish");
	nst_maintain();
	end();
}

static void publish_again(void)
{
	int fd;

	nst_maintain();
	for (fd = 3; fd < 100; fd++)
		close(fd);
	begin("publish-again");
	nst_maintain();
	end();
}

static void publish_file(void)
{
	char path[64];

	begin("publish-file");
	nst_maintain();
	end();
	must(!strcmp(nst_publish_state(), "file"));
	snprintf(path, sizeof(path), "/tmp/" NST_STATS_PAGE_NAME ".%d.0", (int)getpid());
	must(!unlink(path));
}

static void leave(void)
{
	nst_maintain();
	begin("exit");
	exit(0);
}

/* ---- fork ---- */

static void fork_ready(void)
{
	pid_t pid;

	begin("fork-ready");
	pid = fork();
	if (!pid)
		_exit(0);
	end();
	waitpid(pid, NULL, 0);
}

static void fork_plain(void)
{
	pid_t pid;

	begin("fork");
	pid = fork();
	if (!pid)
		_exit(0);
	end();
	waitpid(pid, NULL, 0);
}

static void child(void)
{
	void *p = nst_alloc(64, NST_NORMAL);
	pid_t pid = fork();
	int status;

	if (!pid) {
		begin("child");
		kept[0] = nst_pages_alloc(0, NST_NOWAIT); /* starts a worker */
		end();
		_exit(0);
	}
	must(waitpid(pid, &status, 0) == pid && status == 0);
	nst_free(p);
}

/* ---- reports ---- */

static void warn(void)
{
	begin("warn");
	must(!nst_alloc_aligned(8, 3, NST_NORMAL));
	end();
}

static void misuse(void)
{
	int x;

	begin("misuse");
	nst_free(&x);
	nst_free_nolock(&x);
	end();
}

static void stats(void)
{
	struct nst_stats s;

	begin("stats");
	nst_stats_read(&s, sizeof(s));
	end();
}

static void bounds(void)
{
	begin("bounds");
	nst_bounds(0, NULL, 0, 0);
	end();
}

static void print(void)
{
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	begin("print");
	nst_stats_print(fd);
	end();
}

#define PTHREAD "rt_sigprocmask rt_sigaction mmap mprotect munmap getrandom brk"

/* The library's options are these alone: what the harness adds would change the steps. */
const struct path paths[] = {
	{"start", "worker:off", started, 0, NULL},
	{"start-grouped", "worker:off,pressure:off,cgroup:on", started_grouped, 0, NULL},
	{"start-nodes", "worker:off,nodes:2", started, 0, NULL},
	{"start-locked", "worker:off,lock:on", started, 0, NULL},
	{"start-worker", "", started, 0, PTHREAD},
	{"hit", "worker:off", hit, 0, NULL},
	{"refill", "worker:off", refill, 0, NULL},
	{"nolock", "worker:off,high:8M", nolock, 0, NULL},
	{"wake", "", wake, 0, NULL},
	{"wait", "worker:off", wait_lock, 0, NULL},
	{"grow", "worker:off", grow, 0, NULL},
	{"grow-locked", "worker:off,lock:on", grow_locked, 0, NULL},
	{"open", "worker:off", open_block, 0, NULL},
	{"arena", "worker:off,reserve:64M", open_arena, 0, NULL},
	{"check-start", "worker:off", path_check_start, 0, NULL},
	{"check-new", "worker:off", path_check_new, 0, NULL},
	{"check-watch", "worker:off", path_check_watch, 0, NULL},
	{"check-report", "worker:off", path_check_report, 0, NULL},
	{"check-section", "worker:off", path_check_section, 0, NULL},
	{"check-resident", "worker:off", path_check_resident, 0, NULL},
	{"check-reset", "worker:off", path_check_reset, 0, NULL},
	{"check-dump", "worker:off,check:on", path_check_dump, 0, NULL},
	{"check-realtime", "worker:off,check_realtime:*", path_check_realtime, 0, NULL},
	{"check-policy", "worker:off,check_realtime:policy", path_check_policy, 0, NULL},
	{"check-site", "worker:off,check:on", path_check_site, 0, NULL},
	{"fit", "worker:off", fit, 0, NULL},
	{"open-limited", "worker:off", open_limited, 0, NULL},
	{"large-limited", "worker:off", large_limited, 0, NULL},
	{"purge", "worker:off,publish:off,high:64K", purge, 0, "clock_gettime"},
	{"purge-locked", "worker:off,publish:off,high:64K,lock:on", purge_locked, 0,
	 "clock_gettime"},
	{"metadata", "worker:off", metadata, 0, NULL},
	{"create", "worker:off", create, 0, NULL},
	{"large", "worker:off", large, 0, NULL},
	{"large-move", "worker:off", large_move, 0, NULL},
	{"large-free", "worker:off", large_free, 0, NULL},
	{"large-drain", "worker:off,publish:off", large_drain, 0, "clock_gettime"},
	{"fetch", "worker:off,max:4M", fetch, 0, NULL},
	{"nofail", "worker:off,max:4M", nofail, 0, NULL},
	{"reclaim", "worker:off,publish:off,max:4M", path_reclaim, 0, NULL},
	{"debt", "worker:off,publish:off,max:4M", path_debt, 0, NULL},
	{"shrinker-busy", "worker:off,max:4M", path_shrinker_busy, 0, NULL},
	{"oom", "worker:off,publish:off,max:4M", path_oom, 0, NULL},
	{"oom-reaper", "", path_oom_reaper, 0, PTHREAD},
	{"notifier-busy", "worker:off", path_notifier_busy, 0, NULL},
	{"mover-busy", "worker:off", path_mover_busy, 0, NULL},
	{"ticket", "worker:off", path_ticket, 0, NULL},
	{"ticket-back", "worker:off", path_ticket_back, 0, NULL},
	{"account", "worker:off", path_account, 0, NULL},
	{"account-end", "worker:off", path_account_end, 0, NULL},
	{"account-fd", "worker:off", path_account_fd, 0, NULL},
	{"limit", "worker:off,publish:off", path_limit, 0, "mprotect madvise"},
	{"tell", "worker:off,publish:off", path_tell, 0, "clock_gettime madvise mprotect"},
	{"pool-wait", "worker:off,publish:off,max:4M", path_pool_wait, 0, NULL},
	{"pool-wake", "worker:off,publish:off,max:4M", path_pool_wake, 0, NULL},
	{"group", "worker:off,pressure:off,cgroup:on", path_group, 0, NULL},
	{"pressure", "worker:off,publish:off,cgroup:on", path_pressure, 0, "clock_gettime"},
	{"pressure-new", "worker:off,publish:off,cgroup:on", path_pressure_new, 0, "clock_gettime"},
	{"relief", "worker:off,publish:off,high:64K,cgroup:on", path_relief, 0, "clock_gettime"},
	{"destroy", "worker:off", destroy, 0, NULL},
	{"visit", "worker:off", visit, 0, NULL},
	{"stock", "worker:off", stock, 0, NULL},
	{"decay", "worker:off,publish:off", decay, 0, "clock_gettime madvise"},
	{"top-up", "worker:off,publish:off", top_up, 0, "clock_gettime mprotect madvise"},
	{"maintain", "worker:off,publish:off", maintain, 0, NULL},
	{"publish-new", "worker:off", publish_new, 0, NULL},
	{"publish", "worker:off", publish, 0, NULL},
	{"publish-again", "worker:off", publish_again, 0, NULL},
	{"publish-file", "worker:off,publish_dir:/tmp", publish_file, 0, NULL},
	{"exit", "worker:off", leave, 0, "exit_group"},
	{"worker", "", worker, WHOSE_OTHERS, "rseq set_robust_list rt_sigprocmask"},
	{"fork", "worker:off", fork_plain, 0, "clone"},
	{"fork-ready", "worker:off,fork_ready:on", fork_ready, 0, "clone"},
	{"child", "", child, 0, PTHREAD},
	{"period", "worker:off", path_period, 0, NULL},
	{"use-rcu", "worker:off", path_use_rcu, 0, NULL},
	{"retire", "worker:off,high:8M", path_retire, 0, NULL},
	{"regain", "worker:off", path_regain, 0, NULL},
	{"settle", "worker:off,publish:off", path_settle, 0, NULL},
	{"settle-wait", "worker:off,publish:off", path_settle_wait, 0, NULL},
	{"period-wait", "worker:off", path_period_wait, 0, NULL},
	{"stall", "worker:off,rcu_stall_ms:1", path_period_stalled, 0, NULL},
	{"period-visit", "worker:off", path_period_visit, 0, NULL},
	{"domain", "worker:off", path_domain, 0, "rt_sigaction munmap getrandom brk"},
	{"domain-wait", "worker:off", path_domain_wait, 0, NULL},
	{"domain-end", "worker:off", path_domain_end, 0, NULL},
	{"warn", "worker:off", warn, 0, NULL},
	{"misuse", "worker:off,misuse:continue", misuse, 0, NULL},
	{"stats", "worker:off", stats, 0, NULL},
	{"bounds", "worker:off", bounds, 0, NULL},
	{"print", "worker:off", print, 0, NULL},
};
const size_t nr_paths = sizeof(paths) / sizeof(paths[0]);
