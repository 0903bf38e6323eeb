/* SPDX-License-Identifier: MIT */
/*
 * pager.h - a demand pager: who touches a page that is not there waits for one of its threads to bring it.
 *
 *	client --touch--> kernel --uffd--> fault thread: mapping? -> table -> claim -> bytes -> UFFDIO_COPY -> wake
 *	                                   \___ in a read section ___/        \__ outside, may sleep ____/
 *
 *	space     a client's memory: what is mapped where (an array, replaced as a whole), a table, views of it
 *	table     four levels of 512 entries, a page each; an entry of the last is a page of the client
 *	mapping   never changed: a map, unmap, protect or punch makes others and marks it dead
 *
 * G1. Who changes an entry claims it first (ENTRY_BUSY), then looks whether its mapping is dead; who changes mappings
 *     marks them dead first, then waits for claims. One of the two sees the other: nothing stale is installed.
 * G2. A table no mapping needs is sealed entry by entry, unlinked and retired; readers that are still in it find
 *     ENTRY_SEALED, and claim nothing there.
 * G3. State first, wake second: whoever leaves a fault to him who has the claim is woken after that one is done.
 * G4. A view shows what the space shows. It drops a range between begin and end of every change to it, and what it
 *     was about to install meanwhile is dropped; a page is writable in the space, or in a view, never both.
 *
 * Lock order: slot (pager_check.c), space.lock, a claim, view.lock. Claims are not waited for but by who has space.lock
 * for writing.
 */
#ifndef PAGER_H
#define PAGER_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <nostall/nostall.h>

#define PAGE ((size_t)4096)
#define WORDS (PAGE / 8)

/* ---- pager_source.c: where pages come from ---- */

struct source;
/* A file as it is; NULL after a line. */
struct source *source_file(const char *path);
/* A snapshot that source_pack() wrote: each page packed by itself. */
struct source *source_snapshot(const char *path);
/* All of @src into a snapshot at @path: its bytes, or 0 after a line. */
uint64_t source_pack(const struct source *src, const char *path);
uint64_t source_pages(const struct source *src);
/* 0; -1: the page could not be read and is zero. NULL is the source of zeroes. */
int source_read(const struct source *src, uint64_t page, void *to);
/* From here on each page takes so long besides, as from a disk or another machine. Nobody reads meanwhile. */
void source_delay(struct source *src, long us);
void source_close(struct source *src);

/* ---- pager_uffd.c: the kernel's side; all 0 or -errno ---- */

/* Faults of user mode alone, which needs no privilege; with write protection where it is there (*protects). */
int uffd_open(int *protects);
int uffd_register(int uffd, uintptr_t at, size_t bytes, int protects);
int uffd_copy(int uffd, uintptr_t at, const void *from, int protect);
int uffd_protect(int uffd, uintptr_t at, size_t bytes, int on);
int uffd_wake(int uffd, uintptr_t at, size_t bytes);
int uffd_send(int socket, int uffd, uintptr_t at, size_t bytes, int protects);
int uffd_receive(int socket, uintptr_t *at, size_t *bytes, int *protects);

/* ---- pager_map.c: what is mapped where ---- */

struct mapping {
	uintptr_t start, end;
	const struct source *src;
	uint64_t page; /* of the source, at start */
	uint32_t write;
	uint32_t dead; /* set once, before its entries are waited for */
};

struct map_set {
	size_t nr;
	struct mapping *m[];
};

#define SPACE_VIEWS 2

struct view;
struct space {
	int uffd, protects;
	int remote;		     /* another process's: nothing of it is dropped here */
	int gone;		     /* it has died */
	int inside;		     /* fault threads that are at it */
	struct nst_account *account; /* that its tables are charged to, or NULL */
	uintptr_t base;
	size_t bytes;
	struct map_set *maps;  /* read in sections */
	struct table *root;    /* never replaced */
	pthread_rwlock_t lock; /* for writing: who changes mappings */
	struct view *view
		[SPACE_VIEWS]; /* told of each change of a range, as notifiers of this space (nostall/notify.h) */
	int nr_views;
};

int space_init(struct space *sp, int uffd, int protects, uintptr_t base, size_t bytes);
/* All is unmapped, its tables are retired; what fault threads are at is waited for, and they serve it no more. */
void space_end(struct space *sp);
/* 0; -ENOMEM, and nothing has changed. The range becomes that; or nothing; or zeroes; or (un)writable. */
int space_map(struct space *sp, uintptr_t start, uintptr_t end, const struct source *src,
	      uint64_t page, int write);
int space_unmap(struct space *sp, uintptr_t start, uintptr_t end);
int space_punch(struct space *sp, uintptr_t start, uintptr_t end);
int space_protect(struct space *sp, uintptr_t start, uintptr_t end, int write);
/* What memory is short for: clean pages of the range are dropped, how many; -EAGAIN: somebody would have to wait. */
long space_reap(struct space *sp, uintptr_t start, uintptr_t end);
/* The same of all of it, for nst_oom_register(); never waits, but tries the lock: NST_NOTIFIER_CLIENT. */
size_t space_oom(void *space, const struct nst_oom *oom);
/* Of who may have the lock of a space: the space is not reaped for it. */
#define PAGER_MODE (NST_NORMAL | NST_NOCLIENT)
/* Its tables go, those that are needed too: a fault makes them anew. Of a remote one, whose entries say nothing else. */
void space_trim(struct space *sp);
/* The mapping of @at, or NULL. In a section, or with the lock. */
struct mapping *map_find(const struct map_set *set, uintptr_t at);
int map_overlaps(const struct map_set *set, uintptr_t start, uintptr_t end);
static inline int map_is_dead(const struct mapping *m)
{
	return __atomic_load_n(&m->dead, __ATOMIC_SEQ_CST) != 0;
}

/* ---- pager_table.c: four levels ---- */

#define ENTRY_BUSY 1u	/* claimed */
#define ENTRY_SEALED 2u /* the table is dead */
#define ENTRY_HERE 4u	/* the client has the page */
#define ENTRY_DIRTY 8u	/* and may have written to it */
#define ENTRY_WRITE 16u /* and may now */

struct table;
struct fault;
/* An empty table, or NULL. */
struct table *table_new(struct fault *f);
/* The entry of f->at, on the way there tables that are missing: enum nst_speculate_outcome. */
unsigned int table_walk(struct fault *f, uint64_t **entry);
/* What a claim has come to. */
enum claim { CLAIM_DONE, CLAIM_TAKEN, CLAIM_CHANGED };
enum claim entry_claim(uint64_t *e, const struct mapping *m, uint64_t *was);
void entry_release(uint64_t *e, uint64_t now);
/* For who has the lock for writing: the entries of the range, claims waited for, lose these bits. */
void table_clear(struct table *root, uintptr_t start, uintptr_t end, uint64_t bits);
/* Calls @fn for each entry of the range that has one. */
void table_each(struct table *root, uintptr_t start, uintptr_t end,
		void (*fn)(void *arg, uint64_t *e, uintptr_t at), void *arg);
/* Tables that no mapping of @maps needs go. */
void table_prune(struct space *sp, uintptr_t start, uintptr_t end, const struct map_set *maps);
/* How many are left that none needs, or entries of nothing: 0, or it is wrong. */
uint64_t table_stale(const struct space *sp);
extern uint64_t tables_made, tables_retired;

/* ---- pager_fault.c: a fault ---- */

enum pager_policy {
	PAGER_RETRY = NST_SPECULATE_RETRY,
	PAGER_LEAVE = NST_SPECULATE_LEAVE,
	PAGER_MISSING = NST_SPECULATE_MISSING,
	PAGER_LOCK, /* nothing is speculated: each fault takes the lock */
	PAGER_POLICIES
};
extern const char *const pager_policy_name[PAGER_POLICIES];

/* Where an attempt can be made to fail; 0 is nowhere. */
enum pager_step {
	STEP_NONE,
	STEP_LOOKUP,
	STEP_TABLE_2, /* no memory for a table: of the second level from above, the third, the last */
	STEP_TABLE_1,
	STEP_TABLE_0,
	STEP_LINK,
	STEP_CLAIM,
	STEP_ANY, /* at each, one time in eight */
	PAGER_STEPS
};

struct pager {
	enum pager_policy policy;
	enum pager_step fail;
	int nap; /* 1: pager_nap() does something */
	struct nst_speculate_site site;
	uint64_t faults, locked, copied, granted, shown, unmapped, errors;
	uint64_t starved; /* faults that found no memory for a table: who waits asks again */
};
extern struct pager pager;

struct fault {
	struct space *sp;
	uintptr_t at; /* a page of the space */
	int write;
	int missing; /* the kernel has no page there, whatever the entry says: the client may drop its own */
	int with_lock; /* has sp->lock */
	int starved;   /* there was no memory for a table */
	struct nst_speculation s;
	struct mapping *m;
	uint64_t *entry; /* claimed, or NULL */
	uint64_t was;
	struct {
		const struct source
			*src; /* of the mapping, which may go away once the section has ended */
		uint64_t page;
		int write, mapped;
	} need;
};

/* What is done with a page that is claimed, or not mapped (then f->entry is NULL): what its entry is from here on. */
typedef uint64_t (*fault_work_t)(struct fault *f, void *bytes);
/* A claim on f->at, with or without the lock; then @work, then the claim is let go. 0: another has it, nothing done. */
int fault_serve(struct fault *f, fault_work_t work, void *bytes);
/* A message of the kernel: @at was touched. @bytes: a page of the thread's own. */
void fault_handle(struct space *sp, uintptr_t at, int write, int missing, void *bytes);
int pager_fails(enum pager_step step);
/* Where a change may come between: with pager.nap it sleeps now and then. */
void pager_nap(void);

/* Threads that serve faults of some spaces. */
struct pager_threads;
struct pager_threads *pager_start(struct space **spaces, int nr_spaces, int threads);
void pager_stop(struct pager_threads *p);

/* ---- pager_view.c: second views ---- */

/* A view @delta bytes from the space, registered with the same uffd; NULL: no memory. */
struct view *view_add(struct space *sp, intptr_t delta);
void view_end(struct view *v);
/* The view that @at lies in, or NULL. */
struct view *view_at(const struct space *sp, uintptr_t at);
void view_handle(struct view *v, uintptr_t at, void *bytes);

/* ---- pager_check.c, pager_serve.c: the programs ---- */

/* Threads read, write and change, and know every byte: 0, 1 wrong, 77 refused here. */
int pager_check(double seconds, enum pager_policy policy, enum pager_step fail, int threads);
/* Other processes read @path by us, as it is or @packed; the first is killed. */
int pager_serve(const char *path, int packed, int readers, int threads);
/* The first reads nothing: it faults where each fault needs a table, for ever; the others are to be served all the same. */
int pager_serve_greedy(const char *path, int readers, int threads);

#define COUNT(field) __atomic_fetch_add(&(field), 1, __ATOMIC_RELAXED)
#define COUNTED(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)

#endif
