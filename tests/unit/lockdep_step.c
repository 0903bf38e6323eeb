/* SPDX-License-Identifier: MIT */
/*
 * lockdep_step.c - V23: what is known never changes under whom a handler interrupts, at whatever instruction.
 *
 *	main	takes a lock, and lets it go: once as it is, so that it is known, once with the trap flag set
 *	SIGTRAP	after the n-th instruction, and n is all of them in turn: a handler of whom nobody was told takes NR locks at
 *		a line of its own, one by one, so many that some want the place in the thread's table that main's is known by
 *
 * By turns main's lock is not known any more when it is taken. Each entry must say what its lock is, main's and the
 * handler's. Main's lock is one whose place others want, too; the validator's tables know all before, so that it enters
 * nothing where each signal must be blocked.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <ucontext.h>
#include "common/step.h"
#include "unit/lockdep.h"

#if defined(__x86_64__)

#define NR 300u
#define NR_MAINS 16u

static struct nst_lockdep_map many[NR], mains[NR_MAINS];
static char names[NR + NR_MAINS][8];
static struct nst_lockdep_key keys[NR + NR_MAINS];
static unsigned int step, when, interrupted, wrong, in_main, in_place;

static int is_last(const struct nst_lockdep_map *m)
{
	const struct nst_lockdep_entry *e = nst_lockdep_self->last;

	return e->lock == m && (uint16_t)e->kept.word == m->class_of[0];
}

__attribute__((noinline)) static void of_handler(struct nst_lockdep_map *m)
{
	nst_lockdep_acquire(m, 0);
	wrong += !is_last(m);
	nst_lockdep_release(m);
}

static void interrupt(void)
{
	unsigned int i;

	for (i = 0; i < NR; i++)
		of_handler(&many[i]);
}

static void on_trap(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)info;
	if (step++ != when)
		return;
	((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~0x100ll; /* no more */
	interrupt();
	interrupted++;
}

enum how { PLAIN, STEPPED, INTERRUPTED };

/* All at one line. Interrupted: with it held. */
__attribute__((noinline)) static void pair(struct nst_lockdep_map *m, enum how how)
{
	if (how == STEPPED)
		step_on();
	nst_lockdep_acquire(m, 0);
	step_off();
	if (how == INTERRUPTED)
		interrupt();
	in_main += !is_last(m);
	if (how == STEPPED)
		step_on();
	nst_lockdep_release(m);
	step_off();
}

static const struct nst_lockdep_taken *known(const struct nst_lockdep_map *m)
{
	unsigned int i;

	for (i = 0; i < NST_LD_TAKEN; i++)
		if (nst_lockdep_self->taken[i].tag &&
		    (uint16_t)nst_lockdep_self->taken[i].kept.word == m->class_of[0])
			return &nst_lockdep_self->taken[i];
	return NULL;
}

/* At each instruction once: how many there are. */
static unsigned int at_each(struct nst_lockdep_map *m, int is_known)
{
	unsigned int before;

	for (when = 0, before = interrupted - 1; before != interrupted; when++) {
		before = interrupted;
		pair(m, PLAIN);
		if (!is_known)
			pair(m, INTERRUPTED);
		in_place += is_known == (known(m) != NULL);
		step = 0;
		pair(m, STEPPED);
	}
	return when - 1;
}

static void make(struct nst_lockdep_map *m, unsigned int i)
{
	snprintf(names[i], sizeof(names[i]), "l%u", i);
	nst_lockdep_map_init(m, names[i], &keys[i], NST_WAIT_SLEEP, NST_WAIT_SLEEP);
}

int main(void)
{
	struct sigaction sa = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
	struct nst_lockdep_map *m = NULL;
	unsigned int i, short_way, long_way;

	for (i = 0; i < NR; i++)
		make(&many[i], i);
	for (i = 0; i < NR_MAINS; i++)
		make(&mains[i], NR + i);
	start_checking();
	if (sigaction(SIGTRAP, &sa, NULL))
		check_broken("sigaction");
	for (i = 0; i < NR_MAINS && !m; i++) {
		interrupt();
		pair(&mains[i], INTERRUPTED);
		pair(&mains[i], INTERRUPTED);
		if (!known(&mains[i]))
			m = &mains[i];
	}
	if (!m)
		check_broken("nobody wants the place of any of main's locks");
	short_way = at_each(m, 1);
	long_way = at_each(m, 0);
	check(interrupted == short_way + long_way && short_way >= 40 && long_way > 2 * short_way &&
		      in_place >= interrupted,
	      "V23 each instruction is interrupted", "%u of %u and %u, %u in place", interrupted,
	      short_way, long_way, in_place);
	printf("# instructions of a pair: %u, %u if it is not known\n", short_way, long_way);
	check(in_main == 0, "V23 who is interrupted has what it took", "%u times not", in_main);
	check(wrong == 0, "V23 and so have those who interrupt", "%u times not", wrong);
	nst_assert_none_held();
	no_report("V23 nothing is reported");
	return check_status();
}
#else
int main(void)
{
	check_skip("the trap flag is of x86-64");
}
#endif
