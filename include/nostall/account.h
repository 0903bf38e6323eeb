/* SPDX-License-Identifier: MIT */
/*
 * account.h - accounts: byte limits that threads charge, in a tree.
 *
 *	struct nst_account *all = nst_account_create("clients", NULL, NST_NO_LIMIT, 64 << 20);
 *	struct nst_account *one = nst_account_create("client 7", all, 6 << 20, 8 << 20);
 *
 *	nst_account_token_t t = nst_account_enter(one);
 *	struct msg *m = nst_alloc(n, NST_NORMAL);	charged to client 7, and so to clients
 *	nst_account_exit(t);
 *	...
 *	nst_free(m);					by whom and where ever: given back to client 7
 *
 * An object charges what it takes of memory: its slot, whole pages; to an account and to each of those above it. It is
 * charged until it is freed; what was retired, until its grace period is over and it is freed.
 *
 *	at an account's limit	NORMAL reclaims, is held up for 20 ms at most, then NULL; NORETRY reclaims once;
 *	(max)			NOWAIT, NOLOCK, FASTTRY: NULL; ATOMIC and NOFAIL are served, within a share of the reserve
 *				that all accounts have in common; past it ATOMIC gets NULL, and NOFAIL waits
 *	above high		NORMAL is held up for 10 ms at most each time
 *
 * Each CPU keeps a stock of bytes of each account, charged ahead: at most an eighth of max in all. Who may wait has them
 * back before it gets NULL; who may not gets NULL no earlier than max minus those stocks.
 *
 * A program without accounts pays nothing. In one that has some, requests and sized frees of threads that are in none
 * take a few instructions more (docs/performance.md).
 */
#ifndef NOSTALL_ACCOUNT_H
#define NOSTALL_ACCOUNT_H

#include <nostall/alloc.h>

#ifdef __cplusplus
extern "C" {
#endif

/** struct nst_account - a limit in bytes, and what is charged to it */
struct nst_account;

#define NST_NO_LIMIT UINT64_MAX
#define NST_ACCOUNT_DEPTH 8u   /* of the tree: an account and those above it */
#define NST_ACCOUNTS_MAX 1023u /* at a time */

/** nst_account_token_t - what nst_account_enter() and nst_account_use() return, to hand to nst_account_exit() */
typedef uintptr_t nst_account_token_t;

/**
 * nst_account_create() - an account
 * @name: for statistics; copied, at most 31 bytes are kept
 * @parent: the account that is charged with it; or NULL
 * @high: bytes above which requests that may sleep are held up; NST_NO_LIMIT: never
 * @max: bytes that it never has more of, but for what is forced; NST_NO_LIMIT: any
 *
 * The first account of a program makes a second cache beside each there is, whose objects have owners.
 *
 * Context: thread.  Waits: sleeps.  Syscalls: mmap, mprotect, madvise.  Locks: takes the list of caches.
 * Return: the account, which the caller owns until nst_account_destroy(); or NULL: no memory, NST_ACCOUNTS_MAX there are,
 *	   or the tree would be deeper than NST_ACCOUNT_DEPTH (one line says so).
 */
NST_API NST_MALLOC_LIKE struct nst_account *
nst_account_create(const char *name, struct nst_account *parent, uint64_t high, uint64_t max);

/**
 * nst_account_destroy() - give an account back
 * @account: from nst_account_create(), or NULL
 *
 * Refused while something is charged to it, what waits for a grace period included (nst_rcu_barrier() ends that), while a
 * thread is in it, and while it has accounts below it. In a child of fork() a thread that was in it elsewhere counts as in
 * it.
 *
 * Context: thread.  Waits: sleeps.  Syscalls: membarrier, close.  Locks: takes the list of caches.
 * Return: 0; -EBUSY, and it is as it was.
 */
NST_API int nst_account_destroy(struct nst_account *account);

/**
 * nst_account_enter() - charge every request of this thread to an account until the matching exit
 * @account: from nst_account_create(); NULL: charge none, those with NST_ACCOUNT neither
 *
 * Nests. Belongs to the thread; its signal handlers are in it, too.
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: none.
 * Return: hand it to nst_account_exit().
 */
NST_API nst_account_token_t nst_account_enter(struct nst_account *account);

/**
 * nst_account_use() - the same for requests with NST_ACCOUNT in their mode alone
 * @account: from nst_account_create(); NULL: charge none
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: none.
 * Return: hand it to nst_account_exit().
 */
NST_API nst_account_token_t nst_account_use(struct nst_account *account);

/**
 * nst_account_exit() - charge what was charged before the matching enter
 * @token: from nst_account_enter() or nst_account_use() on the same thread
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: none.
 */
NST_API void nst_account_exit(nst_account_token_t token);

/**
 * nst_account_limit() - set an account's limits anew
 * @account: from nst_account_create()
 * @high: as for nst_account_create()
 * @max: as for nst_account_create(); what is charged above it already stays
 *
 * Context: thread.  Waits: sleeps.  Syscalls: membarrier.  Locks: takes the list of caches.
 * Return: 0; -EINVAL: @account is NULL.
 */
NST_API int nst_account_limit(struct nst_account *account, uint64_t high, uint64_t max);

/** struct nst_account_stats - one account */
struct nst_account_stats {
	char name[32];
	uint64_t high_bytes, max_bytes;
	uint64_t
		charged_bytes; /* never above max_bytes + forced_bytes, as long as max is not lowered */
	uint64_t
		stocked_bytes; /* of those, in CPUs' stocks, of it and of those below it: objects take the others */
	uint64_t peak_bytes; /* the most that was charged */
	uint64_t
		forced_bytes; /* of those charged: forced past max, it or those below it, and not yet given back */
	uint64_t forced; /* requests that were forced */
	uint64_t
		refused; /* requests charged to it that a limit, its own or one above it, refused */
	uint64_t high_events; /* times that high was passed, */
	uint64_t max_events;  /* and that max was in the way */
};

/**
 * nst_account_read() - statistics of an account
 * @account: from nst_account_create()
 * @out: receives them
 * @bytes: sizeof(struct nst_account_stats) as the caller was compiled
 *
 * Context: thread.  Waits: short lock.  Syscalls: none or few.  Locks: takes the list of caches.
 * Return: 0; -EINVAL: @account or @out is NULL, or @bytes is less than 8.
 */
NST_API int nst_account_read(struct nst_account *account, struct nst_account_stats *out,
			     size_t bytes);

/**
 * nst_account_fd() - a descriptor that tells when an account meets a limit
 * @account: from nst_account_create()
 *
 * An eventfd: poll() finds it readable some milliseconds after high was passed or max was in the way, and reading its 8
 * bytes arms it again. The worker writes it (nst_maintain() with worker:off), nobody else. It belongs to the account and
 * is closed with it. In a child of fork() it still is the parent's; this call makes another.
 *
 * Context: thread.  Waits: short lock.  Syscalls: eventfd2.  Locks: takes the list of caches.
 * Return: the descriptor; -EINVAL: @account is NULL; -errno of eventfd2.
 */
NST_API int nst_account_fd(struct nst_account *account);

#ifdef __cplusplus
}
#endif
#endif
