/* SPDX-License-Identifier: MIT */
/*
 * sys.h - FLOOR 2, the only folder that makes system calls.
 *
 * Shared preconditions: addresses and lengths are multiples of the page; functions return 0 or
 * -errno (pointers: NULL) and leave errno alone. Unless said otherwise: Context: thread. Waits:
 * sleeps. The inline functions at the end (try-lock, unlock, this CPU) make no system call and are
 * legal anywhere.
 */
#ifndef NST_SYS_SYS_H
#define NST_SYS_SYS_H

#include "../arch/rseq_ops.h"
#include <nostall/alloc.h>
#include <nostall/stats.h>

#define NST_PAGE_BYTES ((size_t)4096)
/* Of the ELF note by which a program is known that contains the library. */
#define NST_NOTE_NAME "nostall"

/* ---- vm.c: address space ---- */

/* PROT_NONE address space aligned to @align; costs no memory. NULL if refused. */
void *nst_sys_reserve(size_t bytes, size_t align);
/* Give address space back. */
int nst_sys_release(void *addr, size_t bytes);
/* Make it readable and writable; still not resident. */
int nst_sys_commit(void *addr, size_t bytes);
/* Make it resident and writable now (MADV_POPULATE_WRITE, else by touching), and lock it if asked to. */
int nst_sys_populate(void *addr, size_t bytes);
/* Make resident without writing: for text and data that is read only. */
int nst_sys_populate_read(const void *addr, size_t bytes);
/* Give the pages back and keep the address space; the next touch reads 0. */
int nst_sys_purge(void *addr, size_t bytes);
/* What was purged counts no longer, where RLIMIT_DATA counts what is writable; else nothing. To be committed again. */
void nst_sys_uncommit(void *addr, size_t bytes);
int nst_sys_data_is_limited(void);
/*
 * Pages of @from change over to @to, uncopied; @from is as if purged. Both are committed. Refused before
 * Linux 5.7, and where the kernel has either in several pieces; then nothing has changed.
 */
int nst_sys_move(void *from, void *to, size_t bytes);
/* Reads 0 in a fork child. Returns 0 where the kernel has no such advice. */
int nst_sys_wipe_on_fork(void *addr, size_t bytes);
/* Prefer @node's memory for a range. */
int nst_sys_bind_node(void *addr, size_t bytes, unsigned int node);
/* The same at @addr. 0; -EEXIST if somebody has any of it; -ENOMEM. */
int nst_sys_reserve_at(void *addr, size_t bytes);
/* Addresses that nobody has, nor we: what is wanted of them is to be reserved. NULL: none are known. */
void *nst_sys_claim(size_t bytes, size_t align);
/* RLIMIT_AS; SIZE_MAX if there is none. */
size_t nst_sys_limit_bytes(void);
/* The least of RAM times @ram_multiple and RLIMIT_DATA. To be called at start: it looks at the limit. */
size_t nst_sys_reserve_default(unsigned int ram_multiple);

/* ---- module.c ---- */

/* Make the text and data of the module this library lies in resident; data writable. */
void nst_sys_populate_own_module(void);
/* By name, of those that are loaded. */
unsigned int nst_sys_nr_modules_that_need_us(void);

/* ---- again.c: the process from its start, for the malloc preload. It calls nothing of libc's. ---- */

struct nst_sys_again {
	char **argv, **env;
	char path[4096];
};
/* As it was executed, without our libraries in LD_PRELOAD: 0; -errno if that is not known or possible. */
int nst_sys_again_prepare(struct nst_sys_again *a);
/* Returns if the kernel refuses. */
void nst_sys_again(const struct nst_sys_again *a);
/* As getauxval(). */
unsigned long nst_sys_auxv_early(unsigned long type);
/* The parts, at most 8, are one text on standard error. */
void nst_sys_say_early(const char *const *part, unsigned int nr);

/* ---- limit.c: for the malloc preload ---- */

/* 0 or -errno. */
int nst_sys_prlimit(int pid, int resource, const void *new, void *old);

/* ---- rseq.c: this thread's rseq area ---- */

/* Takes libc's registration; decides between sequences and the none form. */
void nst_sys_rseq_init(int want_none, int want_cid);
/* Why the none form serves ("" if it does not). */
const char *nst_sys_rseq_why_none(void);

struct nst_sys_rseq {
	int usable;	/* sequences serve */
	intptr_t index; /* distance from the thread pointer to the table index: cpu_id or mm_cid */
	int by_cid;	/* it is mm_cid: also test cpu_id >= 0, and fence the whole process */
};
extern struct nst_sys_rseq nst_sys_rseq NST_HIDDEN;

/* ---- sync.c: locks and fences ---- */

/*
 * struct nst_lock - a central lock, made to be tried.
 *
 * The word is the holder's thread pointer. Unlock is one store and wakes nobody: who waits spins a
 * little, then sleeps at most 100 us at a time and looks again. So a no-lock caller may hold it for
 * its few hundred nanoseconds and owes nothing to those who queue.
 */
struct nst_lock {
	uintptr_t owner;
	u64 since;	/* ticks when taken; written by the holder */
	u16 lock_class; /* enum nst_lock_class */
	u16 subclass;	/* of locks of one class that are held together, for the validator */
	u32 for_fork;	/* 1: taken to keep it whole over a fork (mm/fork.c) */
};

/* Holds by class; every field a relaxed counter. */
struct nst_lock_counters {
	u64 taken, try_failed, waited, longest_ticks;
	u64 hold_log2_ticks[64];
} NST_LINE_ALIGNED;
extern struct nst_lock_counters nst_lock_counters[NST_NR_LOCKS] NST_HIDDEN;

/*
 * Waits: short lock. A lock that this thread holds already is the end: an ordinary request in a handler.
 * Unless it is held over a fork: nst_thread.forking.
 * Raw: unseen by the validator; lockdep.h has the locks that are to be used.
 */
void nst_lock_wait_raw(struct nst_lock *l);
/* 1 and held, or 0 after about @us microseconds of waiting. */
int nst_lock_wait_us_raw(struct nst_lock *l, unsigned int us);
/* @let_go is called, with nst_thread.forking set, before such a thread waits for any lock. */
void nst_lock_on_wait_in_fork(void (*let_go)(void));

/* Register for fences; late registration took 14 ms, so the constructor does it. */
void nst_sys_membarrier_init(void);
extern int nst_sys_membarrier_ok; /* one that restarts sequences */
extern int nst_sys_barrier_ok;	  /* one that is a barrier alone */
/* Restart whatever sequence @cpu runs (all CPUs if @cpu < 0, or with concurrency ids). */
int nst_sys_fence_cpu(int cpu);
/* A full barrier on every CPU that runs this process, between call and return; 0 or -errno: there was none. */
int nst_sys_fence_process(void);
/* Sleep until *word changes from @old or @us pass. */
void nst_sys_futex_wait(u32 *word, u32 old, u64 us);
void nst_sys_futex_wake(u32 *word);
void nst_sys_futex_wake_all(u32 *word);
u64 nst_sys_now_ns(void);
/* The same clock when the library started. */
u64 nst_sys_start_ns(void);
/* The ratio of nanoseconds to ticks seen since start, and what a number of ticks is by it. */
struct nst_sys_ratio {
	u64 ns, ticks;
};
struct nst_sys_ratio nst_sys_tick_ratio(void);
u64 nst_sys_ticks_to_ns(struct nst_sys_ratio r, u64 ticks);
void nst_sys_clock_init(void);

/* ---- cpu.c: CPUs and nodes ---- */

#define NST_MAX_CPUS 4096

struct nst_sys_cpus {
	unsigned int nr;       /* possible CPUs: numbers 0 to nr - 1 */
	unsigned int nr_nodes; /* at most NST_STATS_NODES */
	u8 node[NST_MAX_CPUS]; /* node of each CPU */
};
extern struct nst_sys_cpus nst_sys_cpus NST_HIDDEN;
/* 0, or how many to pretend, CPUs being dealt out to nodes (test build). */
void nst_sys_cpu_init(unsigned int fake_cpus, unsigned int fake_nodes);
#ifdef NST_TEST
#define NST_FAKE_NODES ((unsigned int)nst_option(NST_OPT_nodes))
#define NST_FAKE_CPUS ((unsigned int)nst_option(NST_OPT_cpus))
#else
#define NST_FAKE_NODES 0u
#define NST_FAKE_CPUS 0u
#endif

/* ---- exit.c ---- */

/* _exit() with @status or, if that is 0, abort(). */
void nst_sys_end(int status) __attribute__((noreturn));
/*
 * Within exit(): @fn is called behind all destructors, with the status, and says what it is to be. 0; -ENOSYS: libc does
 * not tell.
 */
int nst_sys_status_last(int (*fn)(int status));

/* ---- option.c ---- */

enum nst_option {
#define NST_OPTION(name, ...) NST_OPT_##name,
#include "option_table.h"
#undef NST_OPTION
	NST_NR_OPTIONS
};
/* Reads NOSTALL_CONF, and the file it names. Unknown keys and bad values warn and are left out. */
void nst_option_init(void);
u64 nst_option(enum nst_option o);
/* It was given, and not its default. */
int nst_option_is_given(enum nst_option o);
/* publish_dir:PATH; "" if there is none. */
#define NST_PUBLISH_DIR_MAX 200u
const char *nst_option_publish_dir(void);
/* check_log:PATH and check_suppress:PATH; "" if there is none. */
#define NST_CHECK_PATH_MAX 200u
const char *nst_option_check_log(void);
const char *nst_option_check_suppress(void);
/* check_realtime:policy or a pattern of names; "" if there is none. */
#define NST_CHECK_REALTIME_MAX 31u
const char *nst_option_check_realtime(void);
/* 0 if all of @conf is understood; else -EINVAL, and @why says what is not. Takes nothing. Context: any. */
int nst_option_check(const char *conf, char *why, size_t len);
/* "key:value,key:value" of all that differ from the default. */
size_t nst_option_text(char *buf, size_t len);

/* pressure:PATH; "" if it names none. */
#define NST_PRESSURE_PATH_MAX 200u
enum nst_pressure_option { NST_PRESSURE_AUTO, NST_PRESSURE_OFF, NST_PRESSURE_PATH };
const char *nst_option_pressure_path(void);

/* ---- cgroup.c: the control group of this process. One thread at a time, but for what only reads. ---- */

/** struct nst_sys_kept - a file that stays open, out of the way of the program's */
struct nst_sys_kept {
	int fd;	      /* -1: none */
	u32 mode;     /* st_mode */
	u64 dev, ino; /* what it was: the program may close it, and be given its number */
	u64 bytes;
};
/* 0 or -errno, and k->fd is -1. */
int nst_sys_keep(struct nst_sys_kept *k, const char *path, int flags);
int nst_sys_kept_is_there(const struct nst_sys_kept *k);
void nst_sys_kept_close(struct nst_sys_kept *k);
/* From its beginning, as terminated text; how many bytes, or -errno. */
long nst_sys_kept_read(const struct nst_sys_kept *k, char *buf, size_t len);
/* The number behind @name where that begins a line of @text; 0 if none does. */
u64 nst_sys_field(const char *text, const char *name);

/* Finds it, and keeps the limit open that leaves the least room, of its own and those above. Its version; 0: there is none. */
int nst_sys_group_find(void);
int nst_sys_group_version(void);
/* Its folder, or that of the limit. */
const char *nst_sys_group_dir(int limited);
/** struct nst_sys_group - in bytes */
struct nst_sys_group {
	u64 limit;
	u64 used;      /* but for pages of files */
	u64 anonymous; /* of this process: resident, and no file's */
};
/* 0; -ENOENT: there is no limit. Any number of threads. */
int nst_sys_group_read(struct nst_sys_group *g);
void nst_sys_group_after_fork(void);

/* ---- pressure.c: the kernel says that memory is short. One thread at a time. ---- */

enum nst_pressure_source {
	NST_PRESSURE_STALL, /* PSI */
	NST_PRESSURE_GROUP,
	NST_PRESSURE_FILE,  /* what the option names */
	NST_PRESSURE_LIMIT, /* found by who grows: mm/reclaim/pressure.c */
	NST_NR_PRESSURES
};
/* Opens @path or, if that is "", what there is: a set of sources. Usage above @at bytes counts, unless 0. */
unsigned int nst_sys_pressure_open(const char *path, u32 stall_us, u64 at);
void nst_sys_pressure_close(void);
/* A set of those that said something since the last call. */
unsigned int nst_sys_pressure_poll(u64 now_ns);
/* Why the first of them could not be opened: -errno, or 0. */
int nst_sys_pressure_error(void);
/* What is watched, in words. */
size_t nst_sys_pressure_text(char *buf, size_t len);

/* ---- shared.c: memory that others may look at ---- */

struct nst_sys_shared {
	void *addr;
	size_t bytes;
	u64 dev, ino; /* what fd was when it was made */
	int fd;
};
/*
 * Memory of 0s that this process alone writes and its user alone reads: a sealed memfd @name or, unless
 * @dir is "", a file @dir/@name.PID.N. 0, or -errno and *@s untouched.
 */
int nst_sys_share(struct nst_sys_shared *s, const char *dir, const char *name, size_t bytes);
/* Is the descriptor still what it was? The program may have closed it. */
int nst_sys_shared_is_there(const struct nst_sys_shared *s);
/* Closes the descriptor if it is; the mapping stays. */
void nst_sys_shared_close(const struct nst_sys_shared *s);

/* ---- eventfd.c: telling who polls ---- */

/* One that is never waited for, or -errno. */
int nst_sys_eventfd(void);
void nst_sys_eventfd_add(int fd);
void nst_sys_eventfd_close(int fd);

/* ---- thread.c, console.c ---- */

/* One background thread with all signals blocked; 0 or -errno. */
int nst_sys_thread_start(void *(*fn)(void *), void *arg);
/* Once: threads that say so have their end noticed; benign if libc has no key left. @fn: called by each of them, last. */
void nst_sys_end_init(void (*fn)(void));
/* This thread's nst_thread.end is 2 while libc ends it. libc may allocate. Context: thread. */
void nst_sys_end_watch(void);
/* Write a line; then, if @fatal, abort(). */
void nst_sys_console(const char *line, size_t len, int fatal);
int nst_sys_write_all(int fd, const char *text, size_t len);
u32 nst_sys_pid(void);
/* Of the calling thread, as the kernel has it; "" if that is not known. */
void nst_sys_thread_name(char name[16]);
/* @fn is called with @arg as this thread exits, if that can be had without allocating: once it is NULL no more. */
void nst_sys_thread_on_exit(void (*fn)(void *arg), void *arg);
/* The last part of the path that was executed. */
const char *nst_sys_program(void);
/* What this thread has done so far: switches that it made itself (it waited), page faults of both kinds. */
struct nst_sys_usage {
	u64 switches, faults;
};
void nst_sys_usage(struct nst_sys_usage *u);
/* Does the kernel run this thread before all ordinary ones? */
int nst_sys_is_realtime(void);
/* Block every signal of this thread; what was blocked before, for restore. */
u64 nst_sys_signals_block(void);
void nst_sys_signals_restore(u64 before);
int nst_sys_is_setuid(void);
size_t nst_sys_page_bytes(void);
u64 nst_sys_random(void);
void nst_sys_trap_fork(void (*prepare)(void), void (*parent)(void), void (*child)(void));

/* ---- peek.c: what may not be there, for reports ---- */

/* How many bytes from @addr on could be read; 0 where nothing is, or the kernel refuses. No fault. Context: any. */
size_t nst_sys_peek(const void *addr, void *to, size_t bytes);

/* Where the function begins that holds @pc, by its module's unwind tables; 0: not known. Context: any. */
uintptr_t nst_sys_function_start(uintptr_t pc);

/* The digits at @s, small letters, as a number; what is behind them. Context: any. */
const char *nst_sys_hex(const char *s, u64 *out);
/* "module+0xoffset" of a code address, from /proc/self/maps. Context: any. */
void nst_sys_code_name(const void *addr, char *buf, size_t len);

#define NST_MAPPING_PATH 160u
/** struct nst_sys_mapping - of a file, or its zeroed data behind it */
struct nst_sys_mapping {
	uintptr_t start, end;
	u64 offset; /* in the file, of @start */
	u32 is_code;
	char path[NST_MAPPING_PATH]; /* its end, if it is longer */
};
/* Those with code or writable data, in rising order; how many of at most @most. Context: any. */
u32 nst_sys_mappings(struct nst_sys_mapping *m, u32 most);
const char *nst_sys_base_name(const char *path);
/* At the end of @path.PID, made if it is not there. 0 or -errno. Context: any. */
int nst_sys_append(const char *path, const char *text, size_t len);
/* The whole of a file of at most @len - 1 bytes, terminated; how many, or -errno; -EFBIG: it is longer. */
long nst_sys_read_file(const char *path, char *text, size_t len);

/* ---- task.c: the threads of this process, for reports ---- */

struct nst_sys_task {
	u32 tid;
	char name[16];		 /* as the kernel has it; "" if that is not known */
	struct nst_thread block; /* a copy, while it goes on */
};
/* @fn gets each thread whose block can be found; of what libc did not start it may be anything. */
void nst_sys_for_each_task(void (*fn)(struct nst_sys_task *t, void *arg), void *arg);

/* ---- inline: no system call ---- */

/* The CPU this thread runs on, clamped to what arrays have room for; stale at once. */
static inline unsigned int nst_this_cpu(void)
{
	uintptr_t area = nst_thread_pointer() + (uintptr_t)nst_rseq_offset;
	u32 cpu = nst_load_relaxed((u32 *)(area + NST_RSEQ_CPU_ID));

	return cpu < nst_sys_cpus.nr ? cpu : 0;
}

/* Its node; stale as well. */
static inline unsigned int nst_this_node(void)
{
	return nst_sys_cpus.node[nst_this_cpu()];
}

/*
 * Take a lock if nobody holds it. Waits: never.
 * A handler on the holder's own thread finds it held, like anybody else.
 */
static inline int nst_trylock_raw(struct nst_lock *l)
{
	uintptr_t self = nst_thread_pointer();
	struct nst_lock_counters *c = &nst_lock_counters[l->lock_class];

	/* Pairs with: nst_store_release() in nst_unlock_raw(). */
	if (nst_load_relaxed(&l->owner) || nst_test_should_fail(NST_FAIL_TRYLOCK) ||
	    !nst_cas_acquire(&l->owner, (uintptr_t)0, self)) {
		nst_add_relaxed(&c->try_failed, 1);
		return 0;
	}
	l->since = nst_ticks();
#ifdef NST_TEST
	nst_test_holding[l->lock_class]++;
#endif
	nst_test_hold_point((int)l->lock_class);
	return 1;
}

static inline void nst_unlock_raw(struct nst_lock *l)
{
	struct nst_lock_counters *c = &nst_lock_counters[l->lock_class];
	u64 held = nst_ticks() - l->since;

#ifdef NST_TEST
	nst_test_holding[l->lock_class]--;
#endif
	nst_add_relaxed(&c->taken, 1);
	nst_add_relaxed(&c->hold_log2_ticks[nst_log2(held | 1)], 1);
	nst_max_relaxed(&c->longest_ticks, held);
	/* Pairs with: nst_cas_acquire() in nst_trylock_raw(). */
	nst_store_release(&l->owner, (uintptr_t)0);
}

static inline void nst_lock_init(struct nst_lock *l, enum nst_lock_class c)
{
	l->owner = 0;
	l->lock_class = (u16)c;
}

static inline int nst_lock_is_mine(const struct nst_lock *l)
{
	return nst_load_relaxed(&l->owner) == nst_thread_pointer();
}

#endif
