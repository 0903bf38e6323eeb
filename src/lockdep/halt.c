/* SPDX-License-Identifier: MIT */
/*
 * halt.c - what errors mean for the process: with check_halt it ends behind the first, with check_exit its status says so.
 *
 *	an error is told -> this process has errors; check_halt: who has entered is to end it
 *	he leaves -> the program's function, as one that a handler calls -> abort(), or _exit(check_exit)
 *
 * The end comes when all is let go: the program's function may take locks, and call the library. Where the library
 * itself holds a lock in which the error was found, requests of that function are no-lock.
 *
 * Fork: a child answers for its own errors, and ends by its own first. Signal: legal. Exit: the status is changed behind all
 * destructors (sys/exit.c).
 */
#include "report.h"

/* A broken variant that the tests must catch. */
#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 74 /* errors mean nothing */
#define NO_MATTER 1
#else
#define NO_MATTER 0
#endif

/* Written by who has entered. */
static struct {
	u32 wrong; /* the last process that had an error told; 0: none since the start or the reset */
	u32 halted; /* the last that came to its end */
	void (*fn)(void *arg);
	void *arg;
} errors;

void nst_ld_error_told(void)
{
	const u32 self = nst_sys_pid();

	nst_store_relaxed(&errors.wrong, self); /* relaxed: read by who ends the process */
	if (!nst_option(NST_OPT_check_halt) || errors.halted == self || NO_MATTER)
		return;
	errors.halted = self;
	nst_ld.halts = 1;
}

void nst_ld_errors_forget(void)
{
	nst_store_relaxed(&errors.wrong, 0u); /* as above */
}

void nst_lockdep_on_death(void (*fn)(void *arg), void *arg)
{
	struct nst_ld_entered in = nst_ld_enter(NULL);

	errors.fn = fn;
	errors.arg = arg;
	nst_ld_leave(in);
}

static int holds_own(const struct nst_ld_thread *t)
{
	u32 i;

	for (i = 0; t && i < nst_ld_nr(t); i++)
		if (nst_ld_is_held(&t->held[i]) && t->held[i].how & NST_LD_OWN)
			return 1;
	return 0;
}

void nst_ld_halt(void)
{
	struct nst_ld_entered in = nst_ld_enter(NULL);
	void (*fn)(void *arg) = errors.fn;
	void *arg = errors.arg;

	nst_ld_leave(in);
	if (fn && holds_own(nst_thread.lockdep))
		nst_thread.scopes |= NST_SCOPE_NOLOCK;
	if (fn)
		fn(arg);
	nst_sys_end((int)nst_option(NST_OPT_check_exit));
}

/* A status has eight bits. */
static int status_of(int status)
{
	return !(status & 0xff) && nst_load_relaxed(&errors.wrong) == nst_sys_pid() && !NO_MATTER
		       ? (int)nst_option(NST_OPT_check_exit)
		       : status; /* relaxed: as above */
}

/* Among the last destructors: what it registers comes behind all of them. */
__attribute__((destructor(101))) static void be_last(void)
{
	if (nst_option(NST_OPT_check_exit) && nst_sys_status_last(status_of))
		nst_warn("check_exit: libc does not tell a program's status: it stays as it is");
}
