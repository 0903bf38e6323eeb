/* SPDX-License-Identifier: MIT */
/*
 * rcu.h - read sections that cost a few nanoseconds, and grace periods that wait for them.
 *
 *	reader						updater
 *	nst_rcu_token_t t = nst_rcu_read_begin();	old = shared;
 *	p = nst_rcu_dereference(shared);		nst_rcu_assign(shared, new);
 *	... p stays valid ...				nst_synchronize_rcu();
 *	nst_rcu_read_end(t);				... nobody sees old any more ...
 *
 * A grace period is over when every section has ended that ran when it began. A cookie names one: taken after
 * the unlinking, it tells later whether all who could have seen the object are gone, without waiting.
 *
 * Sections of this library need no registration. Where a program has readers of another kind (liburcu's:
 * nostall/urcu.h), a domain brings their grace periods under the same cookies.
 *
 * Fork: in the child go on the sections that the forking thread itself began, and no others. No call here
 * touches errno.
 */
#ifndef NOSTALL_RCU_H
#define NOSTALL_RCU_H

#include <nostall/alloc.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- read sections and grace periods ---- */

/* A section: what nst_rcu_read_begin() gave. Never 0. */
typedef uint64_t nst_rcu_token_t;
/* A grace period of one domain. 0 is none: it is always over. */
typedef uint64_t nst_cookie_t;

/* A pointer that others replace with nst_rcu_assign(), for reading inside a section. */
#define nst_rcu_dereference(p) __atomic_load_n(&(p), __ATOMIC_CONSUME)
/* Publish @v: who sees the pointer sees what was written to the object before. */
#define nst_rcu_assign(p, v) __atomic_store_n(&(p), v, __ATOMIC_RELEASE)

/**
 * nst_rcu_read_begin() - what is reachable from here on stays until the section ends
 *
 * Sections nest. They are legal everywhere: in signal handlers, on threads libc does not know, before the
 * library has started, in a fork child. A section may sleep, but holds up what waits for it.
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: none.
 * Return: what nst_rcu_read_end() is to be given, once.
 */
NST_API nst_rcu_token_t nst_rcu_read_begin(void) NST_NONBLOCKING;

/**
 * nst_rcu_read_end() - the section is over
 * @token: of nst_rcu_read_begin(), on this or any other CPU or thread of this process
 *
 * Sections may end in any order. What is no token is misuse: one line, then the end, or (misuse:continue)
 * nothing. A token given twice is not found out, and makes a period end early or never.
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: none.
 */
NST_API void nst_rcu_read_end(nst_rcu_token_t token) NST_NONBLOCKING;

/**
 * nst_gp_start() - ask for a grace period that begins after this call
 *
 * It is begun by the worker, by nst_maintain(), or by whoever waits for one: nobody is woken.
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: none.
 * Return: its cookie.
 */
NST_API nst_cookie_t nst_gp_start(void) NST_NONBLOCKING;

/**
 * nst_gp_done() - is that period over?
 * @cookie: of nst_gp_start()
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: none.
 * Return: 1: every section that ran at nst_gp_start() has ended; 0: not yet; -EINVAL: no cookie that was
 *	   given.
 */
NST_API int nst_gp_done(nst_cookie_t cookie) NST_NONBLOCKING;

/**
 * nst_gp_wait() - wait until it is
 * @cookie: of nst_gp_start()
 *
 * Who waits does the work of a period: no worker is needed. Not inside a section, which would wait for itself;
 * after rcu_stall_ms it is reported.
 *
 * Context: thread.  Waits: sleeps.  Syscalls: membarrier, futex, clock_gettime.  Locks: takes rcu.
 * Return: 0; -EINVAL as nst_gp_done().
 */
NST_API int nst_gp_wait(nst_cookie_t cookie);

/**
 * nst_synchronize_rcu() - wait until every section has ended that runs now
 *
 * nst_gp_start() and nst_gp_wait(). Threads that call it at the same time share periods.
 *
 * Context: thread.  Waits: sleeps.  Syscalls: membarrier, futex, clock_gettime.  Locks: takes rcu.
 * Return: 0.
 */
NST_API int nst_synchronize_rcu(void);

/* ---- domains: readers of another kind ---- */

#define NST_RCU_DOMAINS 16u	/* in a process, ours among them */
#define NST_RCU_DOMAIN_NAME 32u /* bytes of a name, its end included */

/** struct nst_rcu_domain_ops - what a domain's readers are waited for with */
struct nst_rcu_domain_ops {
	/*
	 * Return when every section has ended that ran at the call. Called by a thread of the domain's own,
	 * one call at a time, with all signals blocked, never a reader. Required.
	 */
	void (*synchronize)(void *ctx);
	/* Is the calling thread inside a section? Or NULL. */
	int (*read_ongoing)(void *ctx);
	/* The calling thread is no reader from here on (offline), and is one again. Both or none. */
	void (*online)(void *ctx);
	void (*offline)(void *ctx);
	void *ctx; /* handed to each */
};

struct nst_rcu_domain;

/**
 * nst_rcu_domain_create() - a grace-period domain of readers that are not ours
 * @name: for reports; less than NST_RCU_DOMAIN_NAME bytes, letters, digits, '-' and '_'
 * @ops: copied
 * @out: receives the domain
 *
 * It has a thread, which calls @ops->synchronize.
 *
 * Context: thread.  Waits: sleeps.  Syscalls: clone3.  Locks: takes rcu.
 * Return: 0; -EINVAL: something is NULL, the name is bad, or online and offline are not both there;
 *	   -ENOSPC: there are NST_RCU_DOMAINS; -EAGAIN: no thread could be made; *@out is then untouched.
 */
NST_API int nst_rcu_domain_create(const char *name, const struct nst_rcu_domain_ops *ops,
				  struct nst_rcu_domain **out);

/**
 * nst_rcu_domain_destroy() - the domain is no longer needed
 * @domain: of nst_rcu_domain_create()
 *
 * Waits for the period under way, if there is one.
 *
 * Context: thread.  Waits: sleeps.  Syscalls: futex.  Locks: takes rcu.
 * Return: 0; -EINVAL: no domain of nst_rcu_domain_create(); -EBUSY: a thread waits for it, or what was
 *	   retired to it is not freed yet (nst_rcu_barrier(); in a fork child, for ever if the fork caught that being
 *	   retired or freed); -EDEADLK as nst_gp_wait_in().
 */
NST_API int nst_rcu_domain_destroy(struct nst_rcu_domain *domain);

/**
 * nst_gp_start_in() - nst_gp_start() of a domain
 * @domain: of nst_rcu_domain_create()
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: none.
 * Return: a cookie of that domain; 0 if there is no such domain.
 */
NST_API nst_cookie_t nst_gp_start_in(struct nst_rcu_domain *domain) NST_NONBLOCKING;

/**
 * nst_gp_done_in() - nst_gp_done() of a domain
 * @domain: of nst_rcu_domain_create()
 * @cookie: of nst_gp_start_in()
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: none.
 * Return: as nst_gp_done(); -EINVAL also for what is no domain.
 */
NST_API int nst_gp_done_in(struct nst_rcu_domain *domain, nst_cookie_t cookie) NST_NONBLOCKING;

/**
 * nst_gp_wait_in() - nst_gp_wait() of a domain
 * @domain: of nst_rcu_domain_create()
 * @cookie: of nst_gp_start_in()
 *
 * A thread that is a reader by being online (qsbr) is taken offline for the wait.
 *
 * Context: thread.  Waits: sleeps.  Syscalls: futex, clock_gettime.  Locks: takes rcu.
 * Return: 0; -EINVAL as nst_gp_done_in(); -EDEADLK: the calling thread is inside a section of the domain; or
 *	   this is a fork child, and the first period it asked for took longer than rcu_stall_ms (a reader was
 *	   caught by the fork), or no thread can be made in it (after _Fork()); -EAGAIN: none could be made now.
 */
NST_API int nst_gp_wait_in(struct nst_rcu_domain *domain, nst_cookie_t cookie);

/**
 * nst_synchronize_rcu_in() - nst_synchronize_rcu() of a domain
 * @domain: of nst_rcu_domain_create()
 *
 * Context: thread.  Waits: sleeps.  Syscalls: futex, clock_gettime.  Locks: takes rcu.
 * Return: as nst_gp_wait_in().
 */
NST_API int nst_synchronize_rcu_in(struct nst_rcu_domain *domain);

/* ---- deferred free ---- */

/** struct nst_rcu_head - a link that memory brings along; the library's from the call until fn is called */
struct nst_rcu_head {
	struct nst_rcu_head *next;
	void (*fn)(struct nst_rcu_head *head);
	size_t bytes;
};

/**
 * nst_rcu_use() - from here on anything can be retired, anywhere, with no memory
 *
 * Starts the library, and makes ready what retiring may need when nothing is to be had: 1/128 of the memory in
 * use. Whoever compiles a call of the functions below need not call it: it is called before main() (see the end of
 * this file). Who calls them by a pointer, or from another language, calls it once before that. What had no memory is
 * tried again by the worker or nst_maintain(), a few times a second; objects that are retired until then are lost.
 *
 * Context: thread.  Waits: sleeps.  Syscalls: mprotect, madvise.  Locks: takes the list of caches, grow.
 * Return: 0; -ENOMEM.
 */
NST_API int nst_rcu_use(void);

/**
 * nst_free_rcu() - free an object once every section has ended that runs now
 * @ptr: any object of this library, run and mapping included, that new readers no longer find; or NULL
 *
 * Constant work, no memory, cannot fail. The object is not touched: readers read it until then. It is freed by
 * the worker, whole pages of objects at a time, or by nst_maintain().
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: tries retired.
 */
NST_API void nst_free_rcu(void *ptr) NST_NONBLOCKING;

/**
 * nst_free_rcu_in() - nst_free_rcu() once every section of a domain has ended
 * @domain: of nst_rcu_domain_create(); NULL: our own, as nst_free_rcu()
 * @ptr: as there, and new readers of that domain no longer find it
 *
 * As total as nst_free_rcu(). The domain stays until it is freed: nst_rcu_domain_destroy() is -EBUSY before. Its
 * readers hold up what was retired to it, and for as long as some of that found no page, also other objects that found
 * none; nothing else. An object belongs to the readers of one domain. What is no domain gets one line, and the
 * object is lost.
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: tries retired.
 */
NST_API void nst_free_rcu_in(struct nst_rcu_domain *domain, void *ptr) NST_NONBLOCKING;

/**
 * nst_free_rcu_bulk() - nst_free_rcu() of several objects, of any kinds
 * @nr: how many
 * @ptrs: the objects; NULLs are skipped
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: tries retired.
 */
NST_API void nst_free_rcu_bulk(size_t nr, void **ptrs) NST_NONBLOCKING;

/**
 * nst_free_rcu_foreign() - call a function for memory that is not this library's, after a grace period
 * @ptr: what @fn frees; NULL: nothing happens
 * @fn: called once with @ptr, on a thread of the library that may wait and holds no lock
 *
 * A bare pointer needs a place: where no page is ready and none can be had at once, or as many wait as the option
 * rcu_pages allows, it is refused.
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: tries retired.
 * Return: 0; -EAGAIN: refused, @ptr is still yours; -EINVAL: @fn is NULL.
 */
NST_API int nst_free_rcu_foreign(void *ptr, void (*fn)(void *ptr)) NST_NONBLOCKING;

/**
 * nst_free_rcu_mightsleep() - the same, and where it would be refused it waits for the grace period
 * @ptr: as above; with @fn NULL as nst_free_rcu()
 * @fn: as above; called before the return where there was no place
 *
 * Context: thread, in no section.  Waits: sleeps.  Syscalls: membarrier, futex.  Locks: takes rcu.
 */
NST_API void nst_free_rcu_mightsleep(void *ptr, void (*fn)(void *ptr));

/**
 * nst_free_rcu_head() - call a function that frees, after a grace period, by a link that the memory brings
 * @head: in the memory, anywhere; the library writes to it
 * @fn: called once with @head, as above
 * @bytes: how much it frees, which counts as waiting until then; 0: not said
 *
 * Needs no other memory and is never refused, so what waits by heads is bounded by nobody but the caller; it is
 * counted apart (rcu_head_bytes).
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: none.
 */
NST_API void nst_free_rcu_head(struct nst_rcu_head *head, void (*fn)(struct nst_rcu_head *head),
			       size_t bytes) NST_NONBLOCKING;

/**
 * nst_call_rcu() - call a function after a grace period
 * @head: stays the library's until @fn is called
 * @fn: called once with @head, as above
 * @bytes: as above
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: none.
 */
NST_API void nst_call_rcu(struct nst_rcu_head *head, void (*fn)(struct nst_rcu_head *head),
			  size_t bytes) NST_NONBLOCKING;

/**
 * nst_rcu_barrier() - wait until all that was retired before is freed, and every function has been called
 *
 * Not inside a section, which would wait for itself. A thread that is a reader of a domain by being online (qsbr), to
 * which something was retired, is taken offline for the wait.
 *
 * Context: thread.  Waits: sleeps.  Syscalls: membarrier, futex.  Locks: takes retired, rcu, barn, slab.
 * Return: 0; -EDEADLK: called by such a function, or inside a section of such a domain; -ENOMEM: what was handed over
 *	   before nst_rcu_use() waits, which fails; -EDEADLK or -EAGAIN as nst_gp_wait_in(): what was retired to a
 *	   domain waits, for a reader that a fork caught say, and all else is freed.
 */
NST_API int nst_rcu_barrier(void);

/*
 * Whoever compiles a call that retires has nst_rcu_use() called before main(), or as his module is loaded: the
 * call leaves a word in .init_array, one in an object file. Who only includes this header pays nothing.
 */
#if defined(__ELF__) && !defined(NST_NO_MACROS)
static inline void nst_rcu_used(void)
{
	__asm__ volatile(".ifndef nst_rcu_used_here\n"
			 ".set nst_rcu_used_here, 1\n"
			 ".pushsection .init_array,\"aw\",%init_array\n"
			 ".balign 8\n"
			 ".8byte nst_rcu_use\n"
			 ".popsection\n"
			 ".endif");
}

#define nst_free_rcu(ptr) (NST_CALLER, nst_rcu_used(), (nst_free_rcu)(ptr))
#define nst_free_rcu_in(domain, ptr) (NST_CALLER, nst_rcu_used(), (nst_free_rcu_in)(domain, ptr))
#define nst_free_rcu_bulk(nr, ptrs) (NST_CALLER, nst_rcu_used(), (nst_free_rcu_bulk)(nr, ptrs))
#define nst_free_rcu_foreign(ptr, fn) (NST_CALLER, nst_rcu_used(), (nst_free_rcu_foreign)(ptr, fn))
#define nst_free_rcu_mightsleep(ptr, fn)                                                           \
	(NST_CALLER, nst_rcu_used(), (nst_free_rcu_mightsleep)(ptr, fn))
#define nst_free_rcu_head(head, fn, bytes)                                                         \
	(NST_CALLER, nst_rcu_used(), (nst_free_rcu_head)(head, fn, bytes))
#define nst_call_rcu(head, fn, bytes) (NST_CALLER, nst_rcu_used(), (nst_call_rcu)(head, fn, bytes))
#endif

#ifdef __cplusplus
}
#endif
#endif
