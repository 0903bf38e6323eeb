/* SPDX-License-Identifier: MIT */
/*
 * stats.h - versioned snapshots of what the library counts. The tool reads nothing else.
 *
 * Counts are since the start of the process (a fork child goes on from its parent's). Requests
 * served on a fast path are counted only with `stats:full`; all that took a slow path, all that got
 * NULL, and everything about memory and locks is counted always.
 */
#ifndef NOSTALL_STATS_H
#define NOSTALL_STATS_H

#include <nostall/alloc.h>
#include <nostall/notify.h>
#include <nostall/speculate.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NST_STATS_VERSION 2u
#define NST_STATS_NODES 8u
#define NST_STATS_MOBILITIES 3u
#define NST_STATS_ORDERS 10u

/* Why a request got NULL: X(name, what). */
#define NST_NULL_TABLE(X)                                                                          \
	X(SIZE, "larger than the mode serves, or 0")                                               \
	X(MODE, "the mode was refused")                                                            \
	X(EARLY, "before the library was started")                                                 \
	X(EMPTY, "this CPU's lists were empty (FASTTRY)")                                          \
	X(BUSY, "a lock that was tried was held")                                                  \
	X(WATERMARK, "only reserves were left")                                                    \
	X(CTOR, "a new slab would have needed its constructor, or owners")                         \
	X(BUDGET, "nolock_budget was used up")                                                     \
	X(RETIRED, "more waits for grace periods than rcu_budget allows")                          \
	X(LIMIT, "a limit of the account, or of one above it")                                     \
	X(NOMEM, "the kernel, a limit or the reservation refused memory")

/* Central locks: X(name, what). */
#define NST_LOCK_TABLE(X)                                                                          \
	X(ZONE, "buddy lists of a zone")                                                           \
	X(GROW, "making memory ready")                                                             \
	X(BARN, "whole sheaves of a cache")                                                        \
	X(SLAB, "slabs of a cache")                                                                \
	X(META, "the library's own metadata")                                                      \
	X(CACHES, "the list of caches")                                                            \
	X(RCU, "grace periods: to begin or end one")                                               \
	X(RETIRED, "pages of what was retired")

#define NST_STATS_NAME(name, ...) NST_NULL_##name,
enum nst_null_reason { NST_NULL_TABLE(NST_STATS_NAME) NST_NR_NULLS };
#undef NST_STATS_NAME
#define NST_STATS_NAME(name, ...) NST_LOCK_##name,
enum nst_lock_class { NST_LOCK_TABLE(NST_STATS_NAME) NST_NR_LOCKS };
#undef NST_STATS_NAME

#define NST_HOLD_BUCKETS 32u

/** struct nst_lock_stats - one class of central locks */
struct nst_lock_stats {
	uint64_t taken;				 /* times taken, tried or waited for */
	uint64_t try_failed;			 /* tries that found it held */
	uint64_t waited;			 /* takers that had to wait */
	uint64_t longest_hold_ns;		 /* the longest it was held */
	uint64_t hold_log2_ns[NST_HOLD_BUCKETS]; /* holds by log2 of their nanoseconds */
};

/** struct nst_zone_stats - the pages of one NUMA node */
struct nst_zone_stats {
	uint64_t pages_reserved; /* address space */
	uint64_t pages_ready;	 /* resident, used or free */
	uint64_t pages_free;	 /* in the buddy lists */
	uint64_t pages_min, pages_low, pages_high;
	uint64_t free_blocks[NST_STATS_MOBILITIES][NST_STATS_ORDERS];
	uint64_t taken[NST_STATS_MOBILITIES];	 /* pages handed out by wanted mobility */
	uint64_t fallback[NST_STATS_MOBILITIES]; /* of those, from another mobility's lists */
	uint64_t stolen_pageblocks;
	uint64_t purge_failed; /* ranges kept because the kernel refused to take them back */
};

/** struct nst_retired_stats - what was handed over to be freed after a grace period: see nostall/rcu.h */
struct nst_retired_stats {
	uint64_t
		waiting_bytes; /* not freed yet; of open pages of objects of one cache not before they are full */
	uint64_t head_bytes;	/* of those, what callers said of heads: nothing bounds them */
	uint64_t budget_bytes;	/* what may wait: rcu_budget; 0 before nst_rcu_use() */
	uint64_t sealed_pages;	/* pages of objects of one cache */
	uint64_t mixed;		/* objects in pages of any objects */
	uint64_t brought_pages; /* that had to be brought by who retired */
	uint64_t dead_bits;	/* objects that found no page */
	uint64_t runs;		/* page runs and mappings */
	uint64_t heads, calls, foreign;
	uint64_t refused; /* foreign pointers that found no page */
	uint64_t others;  /* objects in pages of domains that are not ours */
};

/** struct nst_reclaim_stats - what was done where memory was short: see nostall/reclaim.h */
struct nst_reclaim_stats {
	uint64_t rounds;	    /* of requests that found nothing */
	uint64_t served;	    /* such requests that were served after all */
	uint64_t background_rounds; /* of the library's thread */
	uint64_t shrunk;	    /* objects, as shrinkers say */
};

/** struct nst_debt_stats - what was had without waiting while memory was short: see nst_settle() */
struct nst_debt_stats {
	uint64_t billed_bytes; /* so much was owed in all */
	uint64_t paid_bytes;   /* of that, made up for by memory made ready or freed, */
	uint64_t
		lapsed_bytes; /* no longer owed, because memory was no longer short, or it was too much to ask, */
	uint64_t slept_off_bytes;  /* and slept off */
	uint64_t sleeps;	   /* of threads that did */
	uint64_t slept_us;	   /* microseconds, in all */
	uint64_t longest_sleep_us; /* at a time */
};
/** struct nst_compact_stats - runs that were moved so that blocks go back: see nostall/pages.h */
struct nst_compact_stats {
	uint64_t moved;	  /* runs */
	uint64_t refused; /* that their mover did not move */
	uint64_t freed;	  /* that their owner freed meanwhile */
	uint64_t blocks;  /* in which no movable run was left */
};

/** struct nst_pool_stats - objects taken ahead of need: see nostall/reserve.h */
struct nst_pool_stats {
	uint64_t prefilled;	   /* objects that came into prefilled sheaves */
	uint64_t prefill_returned; /* of those, what was left when the sheaf was returned */
	uint64_t pool_from_cache;  /* requests to pools that their cache served */
	uint64_t pool_from_pool;   /* that the pool served */
	uint64_t pool_waited;	   /* of all these, that had to wait */
};

/** struct nst_pressure_stats - memory was short elsewhere, and what was idle here went back; the control group's limit */
struct nst_pressure_stats {
	uint64_t stall_events, group_events, file_events,
		limit_events; /* what said so, how often */
	uint64_t reliefs;     /* times that was begun to give back */
	uint64_t given_back;  /* bytes, for that */
	uint64_t limit_bytes,
		used_bytes; /* of the control group, as last looked; 0: there is none */
	uint32_t watched;   /* a set: 1 stall, 2 group, 4 file */
	uint32_t error;	    /* why the first of them cannot be watched, or 0 */
};

/** struct nst_stats - one snapshot */
struct nst_stats {
	uint32_t version;	 /* NST_STATS_VERSION */
	uint32_t bytes;		 /* sizeof(struct nst_stats) of the library */
	uint32_t requests_exact; /* 1 if requests[] counts fast paths as well (stats:full) */
	uint32_t nr_nodes;
	uint64_t requests[NST_NR_MODES];
	uint64_t nulls[NST_NR_MODES];
	uint64_t null_reasons[NST_NR_NULLS];
	uint64_t refills; /* sheaves or batches brought to a CPU */
	uint64_t flushes; /* sheaves or batches taken from a CPU */
	uint64_t slabs_made, slabs_freed;
	uint64_t next_class;  /* no-lock requests served by the next size class */
	uint64_t side_pushed; /* objects that went to a side list */
	uint64_t side_drained;
	uint64_t side_corrupt;	    /* must read 0: links that failed their check */
	uint64_t misuse;	    /* misuse found and, by option, continued after */
	uint64_t sequence_restarts; /* test build only, else 0 */
	uint64_t worker_wakeups;    /* times the worker ran */
	uint64_t worker_found_work;
	uint64_t abandoned_after_fork; /* structures whose lock a lost thread held, and passes */
	uint64_t resident_bytes;       /* ready pages, large mappings, those laid by, metadata */
	uint64_t resident_peak_bytes;
	uint64_t large_mappings, large_bytes;
	uint64_t large_kept_bytes; /* of mappings that were freed, laid by for the next; at most */
	uint64_t metadata_bytes;
	uint64_t rcu_periods;	/* grace periods that are over, of all domains */
	uint64_t rcu_stalls;	/* that took longer than rcu_stall_ms */
	uint64_t rcu_oldest_ns; /* how long the oldest under way has been; 0: none is */
	uint64_t rcu_domains;
	uint64_t rcu_blocker; /* the number of a thread that holds up one that was reported, or 0 */
	struct nst_retired_stats retired;
	struct nst_speculate_stats speculate; /* of all sites */
	struct nst_pool_stats pools;
	struct nst_lock_stats locks[NST_NR_LOCKS];
	struct nst_zone_stats zones[NST_STATS_NODES];
	struct nst_reclaim_stats reclaim;
	struct nst_notify_stats notify; /* see nostall/notify.h */
	struct nst_debt_stats debt;
	struct nst_pressure_stats pressure;
	struct nst_compact_stats compact;
};

/** struct nst_cache_stats - one cache */
struct nst_cache_stats {
	char name[32];
	uint64_t object_bytes, slot_bytes;
	uint64_t slabs, objects;   /* objects: slots in those slabs */
	uint64_t in_slabs;	   /* of those, free in their slab */
	uint64_t in_cpus, in_barn; /* free, in CPUs' lists and in the barn */
	uint64_t stocked_per_cpu;  /* what nst_stock() asked for */
};

/**
 * nst_stats_read() - take a snapshot
 * @out: receives it
 * @bytes: sizeof(struct nst_stats) as the caller was compiled; no more is written, and what an older
 *	   library does not know reads 0
 *
 * Context: thread.  Waits: short lock.  Syscalls: none or few.  Locks: takes zone.
 * Return: 0; -EINVAL when @out is NULL or @bytes is less than 8.
 */
NST_API int nst_stats_read(struct nst_stats *out, size_t bytes);

/**
 * nst_stats_caches() - snapshots of all caches
 * @out: receives them; may be NULL when @nr is 0
 * @nr: how many @out has room for
 * @bytes: sizeof(struct nst_cache_stats) as the caller was compiled
 *
 * Context: thread.  Waits: short lock.  Syscalls: none or few.  Locks: takes the list of caches,
 * barn, slab.
 * Return: how many caches there are, which may be more than @nr.
 */
NST_API size_t nst_stats_caches(struct nst_cache_stats *out, size_t nr, size_t bytes);

/** struct nst_bound - one bound on the memory that deferred free takes, or that is set aside ahead of need */
struct nst_bound {
	char what[16];
	char formula[104];
	uint64_t most_bytes; /* for as many CPUs as was asked */
	uint64_t now_bytes;  /* of that, what this process takes now */
	char holds[64];	     /* what holds it there */
	char promise[8];     /* of docs/contract.md: the one that would fall */
};

/**
 * nst_bounds() - how much memory can what waits for grace periods take, and what is set aside; how much does it take?
 * @cpus: possible CPUs to compute for; 0: of this machine
 * @out: receives them; may be NULL when @nr is 0
 * @nr: how many @out has room for
 * @bytes: sizeof(struct nst_bound) as the caller was compiled
 *
 * For the caches there are now: each more adds as much as these do on average. docs/contract.md explains the rows.
 *
 * Context: thread.  Waits: short lock.  Syscalls: sysinfo, prlimit64.  Locks: takes the list of caches.
 * Return: how many rows there are, which may be more than @nr.
 */
NST_API size_t nst_bounds(unsigned int cpus, struct nst_bound *out, size_t nr, size_t bytes);

/**
 * nst_stats_print() - write a summary, one fact a line as key=value
 * @fd: a file descriptor
 *
 * Requests by mode, NULLs by reason, a line for each used cache, memory, locks, and the contract's
 * counters. What this build cannot measure says "not_measured".
 *
 * Context: thread.  Waits: short lock.  Syscalls: write.  Locks: as nst_stats_read().
 * Return: 0 or -errno of the write.
 */
NST_API int nst_stats_print(int fd);

/*
 * The statistics page: a snapshot of a process that others of its user may read, which neither stops it
 * nor asks it: a memfd "nostall-stats", to be found in /proc/PID/fd and mapped for reading, or a file of
 * the option publish_dir. The worker publishes at most four times a second, and only if something was
 * counted; nst_maintain() and the process's exit publish at once. A fork child has none of its own before
 * its first.
 */
#define NST_STATS_PAGE_NAME "nostall-stats"
#define NST_STATS_PAGE_MAGIC UINT64_C(0x73746174736e7374)
#define NST_STATS_PAGE_VERSION 2u
#define NST_STATS_PAGE_CACHES 192u

/** struct nst_stats_page - the page; what is up to sequence stays as it is */
struct nst_stats_page {
	uint64_t magic;	   /* NST_STATS_PAGE_MAGIC */
	uint32_t version;  /* NST_STATS_PAGE_VERSION */
	uint32_t bytes;	   /* sizeof(struct nst_stats_page) of the library */
	uint64_t pid;	   /* as the process sees it */
	uint64_t start_ns; /* when counting began; times are of CLOCK_MONOTONIC */
	char nostall[16];  /* nst_version() */
	char program[32];  /* what was executed: the last part of its path */
	uint64_t sequence; /* odd while it is written; 0: nothing was published yet */
	uint64_t published_ns;
	uint32_t ended;	    /* 1: the process exits, and this is its last */
	uint32_t nr_caches; /* that there are */
	uint32_t nr_rows;   /* of those that have slabs or a stock, the first so many are below */
	uint32_t reserved;
	struct nst_stats stats;
	struct nst_cache_stats caches[NST_STATS_PAGE_CACHES];
};

/**
 * nst_stats_page_read() - a consistent copy of a process's statistics page
 * @page: mapped or read, aligned to 8 bytes
 * @bytes: how much of it there is
 * @out: receives it; rows beyond nr_rows read 0
 *
 * Bounded: a page that is written each time it is looked at gives -EAGAIN. Nothing in the page is
 * believed but the counts themselves: names are terminated, nr_rows is in bounds.
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: none.
 * Return: 0; -EAGAIN: written right now, or nothing published yet; -EPROTO: of another version of the
 *	   library, and what stands before sequence is set; -EINVAL: no statistics page.
 */
NST_API int nst_stats_page_read(const void *page, size_t bytes, struct nst_stats_page *out);

/**
 * nst_info() - how the library runs in this process, for the tool's doctor
 * @key: "sequences" (x86_64, aarch64 or none), "why_none", "membarrier", "cpus_possible", "nodes",
 *	 "worker", "memory_locked", "reserve_bytes", "publish", "pressure", "memory_limit", "options"
 * @buf: receives the text, terminated
 * @len: bytes in @buf
 *
 * Context: thread.  Waits: sleeps.  Syscalls: as the start of the library.  Locks: none.
 * Return: the length of the whole text; -ENOENT for an unknown key.
 */
NST_API int nst_info(const char *key, char *buf, size_t len);

#ifdef __cplusplus
}
#endif
#endif
