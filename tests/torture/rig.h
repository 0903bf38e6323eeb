/* SPDX-License-Identifier: MIT */
/*
 * rig.h - what the torture programs share: timers aimed at a thread, delays inside the sequences,
 * objects that change hands between threads and handlers, and the books that must balance at the end.
 */
#ifndef TEST_RIG_H
#define TEST_RIG_H

#include <signal.h>
#include <stdint.h>
#include <time.h>
#include "common/check.h"
#include "common/mix.h"

/* ---- time and signals ---- */

#define RIG_SIGNAL SIGRTMIN

double rig_now(void);
void rig_nap_us(unsigned int us);
/* A run goes on for @seconds since @begun, and on until there is enough to judge: a busy machine gets RIG_LONGER. */
#define RIG_LONGER 40 /* seconds */
int rig_goes_on(double begun, double seconds, int (*enough)(void));
/* A CLOCK_MONOTONIC timer aimed at this thread, once every @ns: RIG_SIGNAL. */
timer_t rig_timer(long ns);
void rig_timer_stop(timer_t timer);
/* "x86_64", "aarch64" or "none": the form in use. */
const char *rig_form(void);
int rig_is_none(void);
/* Do calls go the checked way (debug:1 and up), where bulk is object by object? */
int rig_is_debug(void);

/* ---- delays (base/testhook.h) ---- */

/* Points that exist, by sequence; rseq_ops.h counts them the same way on every CPU kind. */
extern const unsigned char rig_points[4];
void rig_no_delay(void);
/* One point of one sequence, drawn anew; now and then none at all. */
void rig_some_delay(struct rng *rng, uint32_t loops);

/* ---- crates: a freed object was allocated by another thread, in another context ---- */

/* Owner number of what lies in a crate. */
#define RIG_CRATE_OWNER 250u

struct rig_findings {
	uint64_t steps, nulls, damaged;
};

void rig_crates(const struct mix_caches *caches);
/* Put an object of some kind in, free what lay there. @nolock: by calls that wait for nothing. */
void rig_crate_step(struct rng *rng, int nolock, struct rig_findings *findings);
/* Objects in bulk, all owned at once, freed in bulk. */
void rig_bulk_step(struct rng *rng, int nolock, unsigned int owner, struct rig_findings *findings);
/* More objects than the stacks above hold, then all of them back: sheaves, barn, slabs. */
#define RIG_WAVE 700u
void rig_wave_step(struct rng *rng, unsigned int owner, void **room, struct rig_findings *findings);
/* Frees all that lies in crates. Thread. */
void rig_crates_empty(struct rig_findings *findings);

/* ---- the end ---- */

/*
 * Everything has been freed: destroys the caches and checks that nobody owns anything, that no object
 * of any cache is missing, that side lists are empty and links were sound. Thread.
 */
void rig_settle(struct mix_caches *caches);
void rig_check_findings(const struct rig_findings *findings, const char *what);

#endif
