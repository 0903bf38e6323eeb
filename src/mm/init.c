/* SPDX-License-Identifier: MIT */
/*
 * init.c - bootstrap order, once per process: what each step needs was made by the one before.
 *
 *	options, CPUs, rseq found -> metadata, arena -> zones and their lists -> numbers of caches, size
 *	classes -> membarrier, fork hooks -> first ready pages -> started -> worker
 *
 * Before that every no-lock entry finds empty stacks and says NULL; an ordinary one starts the library
 * (a constructor of another module may be first). started is stored last, with the fast paths' one line.
 */
#include "mm.h"
#include "reclaim/reclaim.h"
#include "retire/retired.h"

#define RAM_MULTIPLE 4u
#define LEAST_ARENA ((size_t)64 << 20)

/* A broken variant that the tests must catch. */
#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 77 /* stock hides who asks */
#define CHECK_ALL 0
#else
#define CHECK_ALL NST_INSTRUMENT_CHECK
#endif

struct nst_pcs *nst_boot_table[NST_BESIDE + 1] = {NULL,
						  (struct nst_pcs *)(void *)NST_RING_BOOT_FAST,
						  &nst_pcs_none, &nst_pcs_none, &nst_pcs_none};
struct nst_mm nst_mm;

static struct {
	u32 state; /* 0 not begun, 1 somebody is at it, 2 done, 3 failed */
	int err;
	uintptr_t by; /* the thread that is at it */
} start;

static int init_arena(void)
{
	size_t bytes = nst_option(NST_OPT_reserve), usual = nst_sys_reserve_default(RAM_MULTIPLE);
	unsigned int nodes = nst_sys_cpus.nr_nodes;
	size_t limit = nst_sys_limit_bytes();

	if (!bytes)
		bytes = usual;
	nst_span_limited = bytes > limit / 8;
	/* Less than was wanted is better than none: a limit may be in force that cannot be read. */
	for (bytes = nst_max(bytes, LEAST_ARENA); bytes >= LEAST_ARENA;
	     bytes = nst_min(bytes / 2, limit / 8))
		if (nst_arena_add(bytes, 0, nodes) == 0)
			return nst_percpu_init(nst_span_limited ? 0 : bytes);
	return -12;
}

static void init_zones(void)
{
	unsigned int i;

	for (i = 0; i < nst_sys_cpus.nr_nodes; i++) {
		nst_zone_init(&nst_zones[i], i);
		nst_pcp_init(&nst_zones[i]);
	}
}

static void find_instruments(void)
{
	nst_mm.debug = (u32)nst_option(NST_OPT_debug);
	nst_mm.instrument = (nst_mm.debug ? NST_INSTRUMENT_DEBUG : 0) |
			    (nst_option(NST_OPT_stats) ? NST_INSTRUMENT_STATS : 0) |
			    (nst_option(NST_OPT_nolock_budget) ? NST_INSTRUMENT_BUDGET : 0) |
			    (nst_option(NST_OPT_check) ? CHECK_ALL : 0) |
			    (nst_debug_under_tool() ? NST_INSTRUMENT_TOOL : 0);
}

/* Ready pages up to the high mark, so that the first no-lock request finds some. */
static int first_pages(void)
{
	unsigned int i;

	for (i = 0; i < nst_sys_cpus.nr_nodes; i++)
		while (nst_zones[i].free_pages < nst_zones[i].high)
			if (nst_zone_grow(&nst_zones[i], 0))
				return i == 0 && !nst_zones[0].free_pages ? -12 : 0;
	return 0;
}

static int do_start(void)
{
	nst_bug_sink = nst_sys_console;
	nst_bug_caller = nst_sys_code_name;
	nst_lockdep_object_of = nst_debug_object_of;
	nst_sys_clock_init();
	if (nst_sys_page_bytes() != NST_PAGE_BYTES) {
		nst_warn("this kernel's pages have %zu bytes; allowed: %zu", nst_sys_page_bytes(),
			 NST_PAGE_BYTES);
		return -22;
	}
	nst_option_init();
	nst_lockdep_init();
	nst_sys_cpu_init(NST_FAKE_CPUS, NST_FAKE_NODES);
	find_instruments();
	nst_sys_membarrier_init();
	nst_group_init();
	if (init_arena() || nst_stats_init())
		return -12;
	/* From here sequences index by CPU: every table they meet has an entry for each. */
	nst_mm.no_stacks = nst_pcs_fast_none();
	nst_kmalloc_hide();
	nst_sys_rseq_init(nst_option(NST_OPT_sequences) != 0, nst_option(NST_OPT_cid) != 0);
	nst_lean_init();
	nst_rcu_on_want(nst_worker_listen, nst_fork_check);
	nst_rcu_on_stall(nst_retired_bytes);
	nst_rcu_on_fences(nst_retired_fences);
	nst_rcu_init();
	init_zones();
	if (nst_cache_room_init() || nst_kmalloc_init())
		return -12;
	nst_kmalloc_publish();
	nst_mm.map = nst_arenas[0].map;
	nst_mm.base = nst_arenas[0].base;
	nst_mm.units = nst_arenas[0].bytes / 16;
	nst_side_init();
	nst_fork_init();
	nst_sys_end_init(nst_reserve_thread_ends);
	nst_sys_populate_own_module();
	return first_pages();
}

int nst_start(void)
{
	u32 waits = 0;

	/* Pairs with: nst_store_release() in nst_start(), of whoever was first. */
	while (nst_load_acquire(&start.state) < 2) {
		if (nst_cas_acquire(&start.state, 0u, 1u)) {
			nst_store_relaxed(&start.by, nst_thread_pointer()); /* for itself */
			start.err = do_start();
			if (!start.err) {
				/* Pairs with: nst_load_acquire() in nst_is_started(). */
				nst_store_release(&nst_mm.started, 1u);
			} else {
				nst_warn("no memory to start (error %d): every request gets NULL; "
					 "allowed: a larger RLIMIT_AS, or the option reserve",
					 -start.err);
			}
			/* Pairs with: nst_load_acquire() in nst_start(). */
			nst_store_release(&start.state, start.err ? 3u : 2u);
			break;
		}
		/* relaxed: it is we, or it is not. We: libc allocated while we started. */
		if (nst_load_relaxed(&start.by) == nst_thread_pointer() || ++waits > 100000)
			return -11;
		nst_sys_futex_wait(&start.state, 1, 100);
	}
	return start.err;
}

/* As early as the loader allows; 101 is the first a program may use, and other constructors allocate. */
__attribute__((constructor(101))) static void construct(void)
{
	nst_start();
	nst_worker_allow();
}

/*
 * Whoever contains this file tells so by a note: a program that is linked to the static library. The
 * malloc preload looks for it (preload/aside.c), `nostall run` too.
 */
__asm__(".pushsection .note.nostall,\"a\",%note\n"
	".balign 4\n"
	".long 8, 0, 0\n" /* of the name, of what follows it, a type */
	".asciz \"" NST_NOTE_NAME "\"\n"
	".popsection\n");
nst_static_assert(sizeof(NST_NOTE_NAME) == 8, "the note says so");

/* ---- how the library runs here ---- */

static size_t info_text(const char *key, char *buf, size_t len)
{
	if (!__builtin_strcmp(key, "sequences"))
		return nst_format(buf, len, "%s", nst_sys_rseq.usable ? NST_SEQ_NAME : "none");
	if (!__builtin_strcmp(key, "why_none"))
		return nst_format(buf, len, "%s", nst_sys_rseq_why_none());
	if (!__builtin_strcmp(key, "membarrier"))
		return nst_format(buf, len, "%s",
				  nst_sys_membarrier_ok ? "yes" : "no: CPUs are visited");
	if (!__builtin_strcmp(key, "cpus_possible"))
		return nst_format(buf, len, "%u", nst_sys_cpus.nr);
	if (!__builtin_strcmp(key, "nodes"))
		return nst_format(buf, len, "%u", nst_sys_cpus.nr_nodes);
	if (!__builtin_strcmp(key, "worker"))
		return nst_format(buf, len, "%s", nst_worker_state());
	if (!__builtin_strcmp(key, "memory_locked"))
		return nst_format(buf, len, "%s", nst_option(NST_OPT_lock) ? "yes" : "no");
	if (!__builtin_strcmp(key, "reserve_bytes"))
		return nst_format(buf, len, "%zu", nst_arenas[0].bytes);
	if (!__builtin_strcmp(key, "publish"))
		return nst_format(buf, len, "%s", nst_publish_state());
	if (!__builtin_strcmp(key, "pressure"))
		return nst_pressure_text(buf, len);
	if (!__builtin_strcmp(key, "memory_limit"))
		return nst_group_text(buf, len);
	if (!__builtin_strcmp(key, "options"))
		return nst_option_text(buf, len);
	return (size_t)-1;
}

int nst_info(const char *key, char *buf, size_t len)
{
	size_t n;

	nst_start();
	n = key ? info_text(key, buf, len) : (size_t)-1;
	return n == (size_t)-1 ? -2 : (int)n;
}

int nst_conf_check(const char *conf, char *why, size_t len)
{
	return conf ? nst_option_check(conf, why, len) : -22;
}
