/* SPDX-License-Identifier: MIT */
/*
 * syscalls.h - what docs/syscalls.md says, what a traced process did, and the paths it goes.
 *
 * The test program executes itself once for each step, under ptrace; the child marks where the step
 * begins and ends by a system call that does not exist, and the tracer collects the names between.
 */
#ifndef TEST_SYSCALLS_H
#define TEST_SYSCALLS_H

#include <stddef.h>

/* No kernel has it: answered with ENOSYS, seen by the tracer. Its argument is a name, or NULL. */
#define MARK_NR 0x4e5354

#define MAX_NAMES 192
#define NAME_BYTES 40

/* A set of names, in the order they came. */
struct names {
	char name[MAX_NAMES][NAME_BYTES];
	size_t nr;
};

void names_add(struct names *set, const char *name, size_t len);
int names_have(const struct names *set, const char *name);
/* "a b c", in a static buffer. */
const char *names_text(const struct names *set);

/* ---- syscalls_paths.c: in the traced child ---- */

/* Whose calls count: the thread's that marks the begin, or every other thread's. */
enum whose { WHOSE_MARKER, WHOSE_OTHERS };

struct path {
	const char *step, *conf;
	void (*run)(void);
	enum whose whose;
	const char *less; /* calls of what stands around the step: libc, the rest of a pass */
};
extern const struct path paths[];
extern const size_t nr_paths;
/* The path that starts the library begins before main(): its name as argument. */
void paths_constructor_mark(int argc, char **argv);

/* Thousands of calls, each between marks with the function's name. */
void paths_mix(unsigned long long seed);

void mark(const char *name);
void begin(const char *step);
void end(void);
/* Or the child ends, with a code of its own. */
void must(int holds);
void nap_ms(long ms);

#define MARKED(function, ...)                                                                      \
	do {                                                                                       \
		mark(#function);                                                                   \
		__VA_ARGS__;                                                                       \
		mark(NULL);                                                                        \
	} while (0)

/* ---- syscalls_check.c ---- */

void mix_check_all(void);
void path_check_dump(void);
void path_check_policy(void);
void path_check_realtime(void);
void path_check_site(void);
void path_check_new(void);
void path_check_report(void);
void path_check_reset(void);
void path_check_resident(void);
void path_check_section(void);
void path_check_start(void);
void path_check_watch(void);

/* ---- syscalls_rcu.c ---- */

void path_domain(void);
void path_domain_end(void);
void path_domain_wait(void);
void path_period(void);
void path_period_visit(void);
void path_period_wait(void);
void path_period_stalled(void);
void path_regain(void);
void path_retire(void);
void path_settle(void);
void path_settle_wait(void);
void path_use_rcu(void);

/* ---- syscalls_pressure.c ---- */

/* A tree that looks like the kernel's, with a group of version 1 that has a limit; the library's from now on. */
void pressure_tree(void);
void pressure_tree_remove(void);
void path_group(void);
void path_pressure(void);
void path_pressure_new(void);
void path_relief(void);

/* ---- syscalls_short.c ---- */

void path_account(void);
void path_account_end(void);
void path_account_fd(void);
void path_limit(void);
void path_notifier_busy(void);
void path_oom(void);
void path_oom_reaper(void);
void path_pool_wait(void);
void path_pool_wake(void);
void path_reclaim(void);
void path_debt(void);
void path_shrinker_busy(void);
void path_mover_busy(void);
void path_tell(void);
void path_ticket(void);
void path_ticket_back(void);

/* ---- syscalls_trace.c ---- */

/* Each mark's name and what was called until the next; several begins of a name add up. */
struct traced {
	struct names calls;
	char mark[NAME_BYTES];
};
struct trace {
	struct traced by[MAX_NAMES];
	size_t nr;
	int status; /* of the child */
};

/* Executes this program with @args under ptrace; skips the test where ptrace is refused. */
void trace_self(char *const *args, enum whose whose, struct trace *out);

#endif
