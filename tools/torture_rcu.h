/* SPDX-License-Identifier: MIT */
/*
 * torture_rcu.h - the torture of what is freed after a grace period, for the tool and for tests/torture.
 *
 *	torture_rcu.c		command line's end: start, watch, verdict
 *	torture_rcu_read.c	sections of every kind, and what they look at
 *	torture_rcu_write.c	things are made, published, unlinked and retired in every form
 *	torture_rcu_life.c	threads and handlers that do both, fork children, caches that come and go
 *
 * A thing is memory of the library: an object of a cache or of a size, a run, a mapping.
 *
 *	made ----> slot of the table ----> unlinked ----> retired ----> freed, made again
 *	word drawn   readers look at it     age counts periods           a new word
 *
 * Who looks at it in a section must see one word from the beginning to the end, and age 1 at most.
 */
#ifndef TORTURE_RCU_H
#define TORTURE_RCU_H

#include <nostall/nostall.h>
#include <nostall/rcu.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* X(name). Each thread has its own, its handler too; added up at the end. */
#define RCU_TORTURE_COUNTS(X)                                                                      \
	X(sections)                                                                                \
	X(nested)                                                                                  \
	X(slept)     /* sections that slept */                                                     \
	X(stalls)    /* or stayed for long */                                                      \
	X(handed_on) /* or ended on another thread */                                              \
	X(handler_sections)                                                                        \
	X(updates)                                                                                 \
	X(handler_updates)                                                                         \
	X(nulls)                                                                                   \
	X(aged)	     /* things that waited ten periods by cookies before they were retired */      \
	X(waited)    /* freed by who waited for a period */                                        \
	X(functions) /* things retired to a function */                                            \
	X(refused)   /* pointers that were the caller's still */                                   \
	X(floods)                                                                                  \
	X(caches) /* made, used and destroyed */                                                   \
	X(migrations)                                                                              \
	/* must be 0: */                                                                           \
	X(seen_freed)	    /* a thing changed under a reader */                                   \
	X(seen_old)	    /* a reader of this moment sees what was unlinked two periods ago */   \
	X(handed_out_twice) /* memory that somebody holds */                                       \
	X(wrong_errno)                                                                             \
	X(lost) /* not back in its cache, or no function was called for it */

struct rcu_torture_counts {
#define X(name) uint64_t name;
	RCU_TORTURE_COUNTS(X)
#undef X
};

struct thing {
	_Atomic uint64_t word;	 /* drawn as it is made; its complement lies at the end */
	_Atomic uint64_t holder; /* a hash of the address, until it is retired */
	_Atomic uint32_t age;	 /* periods since it was unlinked */
	uint32_t bytes;
	struct nst_rcu_head head;
};

#define THING_SLOTS 256u
#define THING_LEAST 64u
#define THING_MOST ((size_t)5 << 20)
#define AGES 8u	   /* things that age at a time */
#define OLDEST 10u /* periods */
#define HANDLER_BULK 8u
#define BULK 64u

/* Sections that began on one thread and end on another. */
struct section {
	nst_rcu_token_t token;
	struct thing *thing;
	uint64_t word;
};

struct rcu_thread {
	pthread_t thread;
	uint64_t seed, handler_seed;
	_Atomic int handling;
	_Atomic uint64_t progress;
	struct {
		struct thing *thing;
		nst_cookie_t cookie;
	} aging[AGES];
	void *bulk[BULK], *handler_bulk[HANDLER_BULK];
	unsigned int nr_bulk, nr_handler_bulk;
	struct rcu_torture_counts n, h; /* h: the handler's */
};

struct rcu_torture {
	_Atomic int stop, failed; /* stop 2: sections of others, too */
	_Atomic uint64_t found;	  /* by readers and makers, at once: the rest could only crash */
	long long threads, seconds, seed, rate_hz;
	struct nst_cache *cache;
	struct nst_rcu_domain *domain; /* whose readers are ours, too */
	struct thing *slot[THING_SLOTS];
	_Atomic uint64_t called, freed_twice; /* functions; of those, for what was freed */
	uint64_t forks, fork_failed;	      /* the watcher's */
};

extern struct rcu_torture rcu_torture;

/* *@n things are wrong, and @more. */
static inline void rcu_found(uint64_t *n, int more)
{
	*n += (uint64_t)more;
	if (more)
		atomic_fetch_add(&rcu_torture.found, 1);
}

static inline uint32_t rcu_draw(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*seed >> 33);
}

/* ---- torture_rcu_read.c ---- */

/* A section of some kind. @handler: a short one. */
void rcu_read_some(uint64_t *seed, struct rcu_torture_counts *n, int handler);
/* Ends one that another thread began, if there is one. */
void rcu_read_end_others(uint64_t *seed, struct rcu_torture_counts *n);
void rcu_read_end_all(struct rcu_torture_counts *n);
void rcu_nap_us(unsigned int us);

/* ---- torture_rcu_write.c ---- */

/* One slot gets a new thing, the old one is retired in some form. */
void rcu_update(struct rcu_thread *t);
void rcu_update_in_handler(struct rcu_thread *t);
/* Things of its own, retired in form number @form of RCU_FORMS, no table; by a thread in no section. */
#define RCU_FORMS 9u
void rcu_retire_own(struct rcu_thread *t, unsigned int form, unsigned int nr);
/* What ages goes on; @all: is retired as it is. */
void rcu_age(struct rcu_thread *t, int all);
/* Retires what bulks hold. */
void rcu_bulk_end(struct rcu_thread *t);
/* A cache is made, used, and destroyed while what was retired of it waits. */
void rcu_cache_life(struct rcu_thread *t);
void rcu_table_empty(struct rcu_thread *t);

/* ---- torture_rcu_life.c ---- */

/* rcu_torture.threads of them, and one that ends sections. 0: one could not be started. */
int rcu_torture_start(void);
/* The watcher's, in no section: a child that reads, retires and waits. 0: it found something, or hung. */
int rcu_torture_fork(void);
uint64_t rcu_torture_progress(unsigned int thread);
/* Stops all, frees all, sums up and looks for what is missing. */
void rcu_torture_end(struct rcu_torture_counts *sum);
/* One line a count; how many things are wrong. */
uint64_t rcu_torture_print(const struct rcu_torture_counts *sum);

/* ---- torture_rcu.c ---- */
int torture_rcu_run(void);

#endif
