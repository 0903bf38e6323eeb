/* SPDX-License-Identifier: MIT */
/*
 * alloc.h - modes, objects by size, objects of one kind (caches), stock, scopes.
 *
 * Every request names one mode: what the caller can endure while it is served. Modifiers say what
 * else is wanted. The leaf that knows it must not wait calls a function named _nolock or _fasttry;
 * code that passes a mode on passes the bit. Both take the same path.
 *
 *	struct msg *m = nst_alloc_nolock(sizeof(*m));	NST_BECAUSE("called from the signal handler");
 *	if (!m)
 *		return drop();				NULL is final until somebody refills
 *
 * Memory comes back through any nst_free*(): each of them takes every object of this library.
 * No call here touches errno.
 */
#ifndef NOSTALL_ALLOC_H
#define NOSTALL_ALLOC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__clang__) && __clang_major__ >= 20
#define NST_NONBLOCKING __attribute__((nonblocking))
#else
#define NST_NONBLOCKING
#endif
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__)
/* One indirect call instead of a call and a jump through the PLT: 1 ns of a 5 ns pair. */
#define NST_API __attribute__((visibility("default"), noplt))
#else
#define NST_API __attribute__((visibility("default")))
#endif
#define NST_MALLOC_LIKE __attribute__((warn_unused_result))

/*
 * NST_BECAUSE() stands beside every call of a no-lock function and says why that code may not wait.
 * It compiles to nothing; scripts/nolock-users lists the call sites and fails on one without it.
 */
#define NST_BECAUSE(reason) ((void)sizeof(reason))

/* ---- modes ---- */

/*
 * The one table of modes. The enum, the printer, the two-letter codes of the trace, the checker,
 * the man page and the tool are all made from it; adding a mode is one line here.
 *
 *	X(name, code, sleeps, waits, tries, kernel, faults, reclaims, wakes, reserve, signal, what)
 *
 * sleeps: may sleep. waits: for a lock (1 short, 2 any). tries: a lock. kernel, faults: may enter
 * the kernel, may touch a page that is not resident. reclaims: 0 no, 1 one round, 2 yes, 3 for
 * ever. wakes: the worker. reserve: 0 none, 1 half of the min watermark, 2 all, last. signal: legal in a
 * signal handler.
 */
#define NST_MODE_TABLE(X)                                                                          \
	X(NORMAL, "nm", 1, 2, 1, 1, 1, 2, 1, 0, 0, "may sleep, wait and reclaim")                  \
	X(NORETRY, "nr", 1, 2, 1, 1, 1, 1, 1, 0, 0, "may sleep; one round of reclaim, then NULL")  \
	X(NOFAIL, "nf", 1, 2, 1, 1, 1, 3, 1, 2, 0, "must not get NULL; waits for ever")            \
	X(NOWAIT, "nw", 0, 1, 1, 1, 1, 0, 1, 0, 0, "may take short locks, never sleeps")           \
	X(ATOMIC, "at", 0, 1, 1, 1, 1, 0, 1, 1, 0, "as NOWAIT, and may use part of the reserve")   \
	X(NOLOCK, "nl", 0, 0, 1, 0, 0, 0, 0, 0, 1, "waits for nothing; tries locks, or NULL")      \
	X(FASTTRY, "ft", 0, 0, 0, 0, 0, 0, 0, 0, 1, "this CPU's own lists and nothing else")

/* The one table of modifiers: X(name, code, what). They stand beside one mode, never alone. */
#define NST_MODIFIER_TABLE(X)                                                                      \
	X(ZERO, "zz", "zero the memory")                                                           \
	X(NOMEMALLOC, "nM", "never touch a reserve, whatever the mode")                            \
	X(MEMALLOC, "ma", "may use all of the reserve; needs a ticket")                            \
	X(NOIO, "ni", "no callback that may do I/O")                                               \
	X(NOCLIENT, "nc", "no callback that takes client locks")                                   \
	X(NOWARN, "nq", "a failure prints nothing")                                                \
	X(ACCOUNT, "ac", "charge the thread's account")                                            \
	X(THISNODE, "tn", "memory of this NUMA node only")                                         \
	X(RECLAIMABLE, "rc", "backs something a shrinker can give back")                           \
	X(MOVABLE, "mv", "the owner can move it")                                                  \
	X(OVERBUDGET, "ob", "above rcu_budget it is slowed down, not refused (rcu_budget_malloc)")

#define NST_MODE_INDEX(name, ...) NST_MODE_INDEX_##name,
enum nst_mode_index { NST_MODE_TABLE(NST_MODE_INDEX) NST_NR_MODES };
enum nst_modifier_index {
	NST_MODIFIER_FIRST = 8,
	NST_MODIFIER_BEFORE = NST_MODIFIER_FIRST - 1,
	NST_MODIFIER_TABLE(NST_MODE_INDEX) NST_MODIFIER_END
};
#undef NST_MODE_INDEX
#define NST_MODE_BIT(name, ...) NST_##name = 1 << NST_MODE_INDEX_##name,
enum nst_mode_bits { NST_MODE_TABLE(NST_MODE_BIT) NST_MODIFIER_TABLE(NST_MODE_BIT) };
#undef NST_MODE_BIT

/** nst_mode_t - exactly one mode, and any modifiers */
typedef uint32_t nst_mode_t;

#define NST_MODE_MASK ((1u << NST_NR_MODES) - 1)
#define NST_MODIFIER_MASK ((1u << NST_MODIFIER_END) - (1u << NST_MODIFIER_FIRST))

/* True for exactly one mode with known modifiers: mode 0, two modes, modifiers alone are refused. */
#define NST_MODE_VALID(mode)                                                                       \
	(((mode)&NST_MODE_MASK) != 0 &&                                                            \
	 ((((mode)&NST_MODE_MASK) & (((mode)&NST_MODE_MASK) - 1)) == 0) &&                         \
	 ((mode) & ~(NST_MODE_MASK | NST_MODIFIER_MASK)) == 0)

/**
 * nst_mode_name() - a mode in words, such as "NOLOCK|ZERO"
 * @mode: any value; bits without a name are printed in hexadecimal
 * @buf: where to write; always terminated when @len is not 0
 * @len: bytes in @buf
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: none.
 * Return: the length of the whole text, as snprintf() does.
 */
NST_API size_t nst_mode_name(nst_mode_t mode, char *buf, size_t len);

/**
 * nst_mode_effective() - what a request with this mode would be served as, here and now
 * @mode: a valid mode
 *
 * The request and the scopes the thread is in, together. Context: any.  Waits: never.
 * Syscalls: none.  Locks: none.
 * Return: the mode; 0 if @mode is not valid.
 */
NST_API nst_mode_t nst_mode_effective(nst_mode_t mode);

/**
 * nst_mode_may_wait() - may a request with this mode wait for a lock or sleep, here and now?
 * @mode: a valid mode
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: none.
 * Return: 1 if it may, else 0; 0 for a mode that is not valid.
 */
NST_API int nst_mode_may_wait(nst_mode_t mode);

/**
 * nst_mode_may_wake() - may a request with this mode wake the worker, here and now?
 * @mode: a valid mode
 *
 * Not waiting and not waking are two properties: NST_NOWAIT wakes, NST_NOLOCK does not.
 * Context: any.  Waits: never.  Syscalls: none.  Locks: none.
 * Return: 1 if it may, else 0; 0 for a mode that is not valid.
 */
NST_API int nst_mode_may_wake(nst_mode_t mode);

/* ---- objects by size ---- */

/* The largest size in bytes that NST_NOLOCK and NST_FASTTRY serve. Larger is NULL, always. */
#define NST_NOLOCK_MAX ((size_t)32768)

/**
 * nst_alloc() - an object of a given size
 * @size: bytes, 1 and up; 0 gives NULL
 * @mode: one mode and any modifiers; anything else does not compile where constant, and is
 *	  refused with one line where not
 *
 * Context: as the mode says.  Waits: as the mode says.  Syscalls: as the mode says.  Locks: as the
 * mode says. Memory above 2 MiB is a mapping of its own and comes only in modes that may sleep.
 * Return: memory aligned to 16 bytes (to the page for whole pages), uninitialised without
 *	   NST_ZERO; or NULL. errno is untouched. The caller owns it until any nst_free*().
 */
NST_API NST_MALLOC_LIKE void *nst_alloc(size_t size, nst_mode_t mode);

/**
 * nst_alloc_aligned() - an object of a given size and alignment
 * @size: bytes, 1 and up; 0 gives NULL
 * @align: bytes, a power of two up to 1 GiB; anything else gives one line and NULL
 * @mode: as for nst_alloc()
 *
 * Context: as the mode says.  Waits: as the mode says.  Syscalls: as the mode says.  Locks: as the
 * mode says.
 * Return: as nst_alloc().
 */
NST_API NST_MALLOC_LIKE void *nst_alloc_aligned(size_t size, size_t align, nst_mode_t mode);

/**
 * nst_realloc() - change the size of an object
 * @ptr: an object of this library, or NULL to allocate
 * @size: bytes, 1 and up; 0 gives NULL and leaves @ptr alone
 * @mode: as for nst_alloc(); NST_ZERO zeroes what is new, to the end of what may be used
 *
 * Context: as the mode says.  Waits: as the mode says.  Syscalls: as the mode says.  Locks: as the
 * mode says.
 * Return: the object, moved or not; or NULL, and @ptr is as it was.
 */
NST_API NST_MALLOC_LIKE void *nst_realloc(void *ptr, size_t size, nst_mode_t mode);

/**
 * nst_free() - give back any object of this library
 * @ptr: from any allocation function here, or NULL
 *
 * Misuse (freed twice, foreign, interior pointer) gives one line and then aborts, or is ignored
 * under `misuse:continue`.
 *
 * Context: thread.  Waits: short lock.  Syscalls: none or few (wakes a worker, waits on a lock).
 * Locks: takes the locks of the cache or the zone. In a scope NST_SCOPE_NOLOCK it is
 * nst_free_nolock().
 */
NST_API void nst_free(void *ptr);

/**
 * nst_free_sized() - nst_free() by a caller that knows the size
 * @ptr: from nst_alloc() or nst_realloc(), or NULL
 * @size: the bytes that were asked for; another size of the same class goes unseen, one of another
 *	  class is misuse, found at once with `debug:1`
 *
 * Context: thread.  Waits: short lock.  Syscalls: none or few.  Locks: as nst_free().
 */
NST_API void nst_free_sized(void *ptr, size_t size);

/**
 * nst_alloc_nolock() - an object now, or nothing
 * @size: bytes, 1 to NST_NOLOCK_MAX; any other size gives NULL
 *
 * Serves from this CPU's sheaves, then from what one attempt at each try-lock yields, then from the
 * next size class once; a thread that may wait refills, with nst_stock(). Bounded work; each restart
 * of a sequence costs one preemption or signal.
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: tries barn, slab, zone.
 * Return: 16-byte aligned, uninitialised memory; or NULL if none could be had at once. NULL is not
 *	   "try again": nothing changes until somebody refills. errno is untouched.
 */
NST_API NST_MALLOC_LIKE void *nst_alloc_nolock(size_t size) NST_NONBLOCKING;

/**
 * nst_alloc_fasttry() - an object from this CPU's own lists, or nothing
 * @size: bytes, 1 to NST_NOLOCK_MAX; any other size gives NULL
 *
 * A fixed number of instructions: no lock is even tried.
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: none.
 * Return: as nst_alloc_nolock().
 */
NST_API NST_MALLOC_LIKE void *nst_alloc_fasttry(size_t size) NST_NONBLOCKING;

/**
 * nst_free_nolock() - give back any object of this library, from anywhere
 * @ptr: from any allocation function here, or NULL
 *
 * Never fails: when nothing can be had without waiting, the object links itself into a side list
 * that ordinary operations and the worker drain.
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: tries barn, slab, zone.
 */
NST_API void nst_free_nolock(void *ptr) NST_NONBLOCKING;

/**
 * nst_usable_size() - the bytes of an object that its owner may use
 * @ptr: a live object of this library, or NULL
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: none.
 * Return: bytes; 0 for NULL and, after one line, for a pointer that is not ours.
 */
NST_API size_t nst_usable_size(const void *ptr);

/**
 * nst_alloc_bulk() - several objects of one size
 * @size: bytes, 1 and up
 * @mode: as for nst_alloc()
 * @nr: how many
 * @out: receives the pointers, from out[0]
 *
 * Context: as the mode says.  Waits: as the mode says.  Syscalls: as the mode says.  Locks: as the
 * mode says.
 * Return: how many there are, 0 to @nr; the rest of @out is untouched.
 */
NST_API size_t nst_alloc_bulk(size_t size, nst_mode_t mode, size_t nr, void **out);

/**
 * nst_free_bulk() - nst_free() of several objects, of any kinds
 * @nr: how many
 * @ptrs: the objects; NULL among them is skipped
 *
 * Context: thread.  Waits: short lock.  Syscalls: none or few.  Locks: as nst_free().
 */
NST_API void nst_free_bulk(size_t nr, void **ptrs);

/* ---- objects of one kind ---- */

/** struct nst_cache - objects of one size, with stock on every CPU */
struct nst_cache;

/* Flags of nst_cache_create(). */
enum nst_cache_flags {
	NST_CACHE_RECLAIMABLE = 1 << 0, /* its pages are of reclaimable mobility */
	NST_CACHE_NOLOCK = 1 << 1,	/* commit areas for every possible CPU at once */
};

/**
 * nst_cache_create() - a cache of objects of one size
 * @name: for statistics and reports; copied, at most 31 bytes are kept
 * @size: bytes, 1 to 32768
 * @align: bytes, a power of two up to 4096, or 0 for 8
 * @flags: enum nst_cache_flags
 * @ctor: called once for each object when its slab is made, in a thread that may wait; or NULL. A free
 *	  leaves the object constructed.
 *
 * Context: thread.  Waits: sleeps.  Syscalls: mmap, mprotect, madvise.  Locks: takes the list of
 * caches.
 * Return: the cache, which the caller owns until nst_cache_destroy(); or NULL: no memory, or an
 *	   argument out of range (one line says which).
 */
NST_API NST_MALLOC_LIKE struct nst_cache *nst_cache_create(const char *name, size_t size,
							   size_t align, uint32_t flags,
							   void (*ctor)(void *obj));

/**
 * nst_cache_destroy() - give a cache and its memory back
 * @cache: from nst_cache_create(), or NULL; no other call on it may be running
 *
 * While objects are alive it waits until all is free that was retired before, and until functions that were handed
 * over (nst_free_rcu_head()) have been called, if it is none of them that calls. So not inside a read section that
 * began before.
 *
 * Context: thread.  Waits: sleeps.  Syscalls: membarrier.  Locks: takes the locks of the cache.
 * Return: the number of objects still alive. If it is not 0 one line says so, the cache and those
 *	   objects stay valid, and the call may be repeated.
 */
NST_API size_t nst_cache_destroy(struct nst_cache *cache);

/**
 * nst_cache_alloc() - an object of a cache
 * @cache: from nst_cache_create()
 * @mode: as for nst_alloc()
 *
 * Price: 13 instructions and 6 cache lines through the library call when this CPU has stock.
 *
 * Context: as the mode says.  Waits: as the mode says.  Syscalls: as the mode says.  Locks: as the
 * mode says.
 * Return: the object, or NULL.
 */
NST_API NST_MALLOC_LIKE void *nst_cache_alloc(struct nst_cache *cache, nst_mode_t mode);

/**
 * nst_cache_alloc_nolock() - an object of a cache now, or nothing
 * @cache: from nst_cache_create()
 *
 * As nst_alloc_nolock(), without the next size class. A cache with a constructor makes no new slab here.
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: tries barn, slab, zone.
 * Return: the object, or NULL.
 */
NST_API NST_MALLOC_LIKE void *nst_cache_alloc_nolock(struct nst_cache *cache) NST_NONBLOCKING;

/**
 * nst_cache_free() - give an object back to its cache
 * @cache: the cache it came from
 * @ptr: the object, or NULL
 *
 * Context: thread.  Waits: short lock.  Syscalls: none or few.  Locks: as nst_free().
 */
NST_API void nst_cache_free(struct nst_cache *cache, void *ptr);

/**
 * nst_cache_free_nolock() - give an object back to its cache, from anywhere
 * @cache: the cache it came from
 * @ptr: the object, or NULL
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: tries barn, slab, zone.
 */
NST_API void nst_cache_free_nolock(struct nst_cache *cache, void *ptr) NST_NONBLOCKING;

/**
 * nst_cache_alloc_bulk() - several objects of a cache
 * @cache: from nst_cache_create()
 * @mode: as for nst_alloc()
 * @nr: how many
 * @out: receives the pointers, from out[0]
 *
 * Context: as the mode says.  Waits: as the mode says.  Syscalls: as the mode says.  Locks: as the
 * mode says.
 * Return: how many there are, 0 to @nr.
 */
NST_API size_t nst_cache_alloc_bulk(struct nst_cache *cache, nst_mode_t mode, size_t nr,
				    void **out);

/**
 * nst_cache_free_bulk() - give several objects back to their cache
 * @cache: the cache they came from
 * @nr: how many
 * @ptrs: the objects; NULL among them is skipped
 *
 * Context: thread.  Waits: short lock.  Syscalls: none or few.  Locks: as nst_free().
 */
NST_API void nst_cache_free_bulk(struct nst_cache *cache, size_t nr, void **ptrs);

/* ---- stock: what a no-lock request will find ---- */

#define NST_CPU_THIS (-1) /* the CPU the caller runs on */
#define NST_CPU_ALL (-2)  /* every possible CPU */

/**
 * nst_stock() - put objects in a CPU's own lists ahead of need
 * @cache: from nst_cache_create() or nst_cache_of_size()
 * @n: objects, up to 1048576; the CPU's lists are made large enough for them
 * @cpus: a CPU number, NST_CPU_THIS or NST_CPU_ALL
 *
 * When it returns 0 each CPU named held at least @n objects, which that CPU's next @n no-lock
 * requests find without trying a lock, if nobody else takes them. The worker keeps the stock up. A thread that is in an
 * account (account.h) stocks objects for requests that are charged; they are charged when they are handed out.
 *
 * Context: thread.  Waits: sleeps.  Syscalls: madvise, membarrier.  Locks: takes the locks of the
 * cache.
 * Return: 0; -ENOMEM; -EINVAL for a CPU that is not possible or an @n out of range.
 */
NST_API int nst_stock(struct nst_cache *cache, size_t n, int cpus);

/**
 * nst_cache_of_size() - the cache that serves nst_alloc() of a size
 * @size: bytes, 1 to 32768
 *
 * Context: thread.  Waits: never, once the library is started.  Syscalls: none.  Locks: none.
 * Return: the cache, for nst_stock() and statistics; NULL for other sizes. It belongs to the
 *	   library.
 */
NST_API struct nst_cache *nst_cache_of_size(size_t size);

/* ---- scopes ---- */

/* Bits of nst_scope_enter(). */
enum nst_scope_bits {
	NST_SCOPE_NOLOCK = 1 << 0,    /* every request of this thread is NST_NOLOCK */
	NST_SCOPE_NORECLAIM = 1 << 1, /* requests may wait for locks but do not reclaim */
	NST_SCOPE_NOIO = 1 << 2,      /* as NST_NOIO on every request */
	NST_SCOPE_NOCLIENT = 1 << 3,  /* as NST_NOCLIENT on every request */
};

/** nst_scope_t - the bits an enter newly set, to hand to its exit */
typedef uint32_t nst_scope_t;

/**
 * nst_scope_enter() - restrict every request of this thread until the matching exit
 * @what: enum nst_scope_bits
 *
 * Scopes nest: the result holds only the bits that were not set before.
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: none.
 * Return: hand it to nst_scope_exit(). Unknown bits in @what are refused with one line and nothing
 *	   is set.
 */
NST_API nst_scope_t nst_scope_enter(uint32_t what);

/**
 * nst_scope_exit() - end a scope
 * @scope: from nst_scope_enter() on the same thread
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: none.
 */
NST_API void nst_scope_exit(nst_scope_t scope);

/* ---- upkeep ---- */

/**
 * nst_maintain() - do now what the worker does in the background
 *
 * Drains side lists, refills stocks, makes memory ready up to the high watermark, gives free
 * pageblocks back, after fork() makes copy-on-write pages ready again, and publishes statistics. A
 * program that runs with `worker:off` calls it regularly from a thread that may sleep.
 *
 * Context: thread.  Waits: sleeps.  Syscalls: madvise, membarrier, memfd_create, fstat.
 * Locks: takes all, one by one.
 * Return: 1 if it found work, else 0.
 */
NST_API int nst_maintain(void);

/**
 * nst_span_fit() - give back address space for which a limit leaves no room
 *
 * The library reserves addresses ahead, a multiple of RAM, which cost no memory but count against
 * RLIMIT_AS. Under such a limit it keeps those it uses, and reserves more as it needs them. It sees a
 * limit when it starts; a program that sets one later calls this. libnostall-malloc.so does so in
 * setrlimit() and prlimit().
 *
 * Context: thread.  Waits: sleeps.  Syscalls: prlimit64, madvise, munmap.
 * Locks: takes grow, caches, meta, one by one.
 * Return: 0, or -12 (ENOMEM) if the library could not start.
 */
NST_API int nst_span_fit(void);

/* ---- checks at compile time, call sites in reports ---- */

/* For calls whose mode is a valid constant without NST_ZERO: the check has been done already. */
NST_API NST_MALLOC_LIKE void *nst_alloc_checked(size_t size, nst_mode_t mode);
NST_API NST_MALLOC_LIKE void *nst_cache_alloc_checked(struct nst_cache *cache, nst_mode_t mode);

/* Compiled with -DNST_CALLERS, reports name the file and line of the call. */
NST_API void nst_caller_set(const char *file_line);

#if !defined(NST_NO_MACROS)
extern nst_mode_t nst_mode_refused(void) __attribute__((
	error("a mode is exactly one of NST_NORMAL ... NST_FASTTRY, with modifiers")));

#define NST_MODE_IS_CONST(mode) __builtin_constant_p(mode)
#define NST_MODE_REFUSE(mode)                                                                      \
	(NST_MODE_IS_CONST(mode) && !NST_MODE_VALID(mode) ? nst_mode_refused() : (nst_mode_t)(mode))
#define NST_MODE_PLAIN(mode)                                                                       \
	(NST_MODE_IS_CONST(mode) && NST_MODE_VALID(mode) &&                                        \
	 ((mode) & (NST_ZERO | NST_ACCOUNT)) == 0)

#ifdef NST_CALLERS
#define NST_LINE_TEXT_2(line) #line
#define NST_LINE_TEXT(line) NST_LINE_TEXT_2(line)
#define NST_CALLER nst_caller_set(__FILE__ ":" NST_LINE_TEXT(__LINE__))
#else
#define NST_CALLER ((void)0)
#endif

#define nst_alloc(size, mode)                                                                      \
	(NST_CALLER, NST_MODE_PLAIN(mode) ? nst_alloc_checked(size, mode)                          \
					  : (nst_alloc)(size, NST_MODE_REFUSE(mode)))
#define nst_cache_alloc(cache, mode)                                                               \
	(NST_CALLER, NST_MODE_PLAIN(mode) ? nst_cache_alloc_checked(cache, mode)                   \
					  : (nst_cache_alloc)(cache, NST_MODE_REFUSE(mode)))
#define nst_alloc_aligned(size, align, mode)                                                       \
	(NST_CALLER, (nst_alloc_aligned)(size, align, NST_MODE_REFUSE(mode)))
#define nst_realloc(ptr, size, mode) (NST_CALLER, (nst_realloc)(ptr, size, NST_MODE_REFUSE(mode)))
#define nst_alloc_bulk(size, mode, nr, out)                                                        \
	(NST_CALLER, (nst_alloc_bulk)(size, NST_MODE_REFUSE(mode), nr, out))
#define nst_cache_alloc_bulk(cache, mode, nr, out)                                                 \
	(NST_CALLER, (nst_cache_alloc_bulk)(cache, NST_MODE_REFUSE(mode), nr, out))
#ifdef NST_CALLERS
#define nst_free(ptr) (NST_CALLER, (nst_free)(ptr))
#define nst_free_sized(ptr, size) (NST_CALLER, (nst_free_sized)(ptr, size))
#define nst_free_nolock(ptr) (NST_CALLER, (nst_free_nolock)(ptr))
#define nst_cache_free(cache, ptr) (NST_CALLER, (nst_cache_free)(cache, ptr))
#define nst_cache_free_nolock(cache, ptr) (NST_CALLER, (nst_cache_free_nolock)(cache, ptr))
#endif
#endif

#ifdef __cplusplus
}
#endif
#endif
