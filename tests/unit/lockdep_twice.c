/* SPDX-License-Identifier: MIT */
/*
 * lockdep_twice.c - V31: what is freed or retired twice is told by the validator, with both places.
 *
 * NOSTALL_CONF has debug:3 and misuse:continue.
 */
#include <regex.h>
#include "unit/lockdep.h"

static void *make(size_t bytes)
{
	void *p = nst_alloc(bytes, NST_NORMAL);

	if (!p)
		check_broken("nst_alloc");
	return p;
}

/* @p as one that the compiler knows nothing of. */
static void *hidden(void *p)
{
	__asm__("" : "+r"(p));
	return p;
}

static void told(const char *name, const char *pattern)
{
	regex_t re;
	int found;

	if (regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB | REG_NEWLINE))
		check_broken("regcomp");
	found = !regexec(&re, last_text, 0, NULL, 0);
	regfree(&re);
	check(found, name, "%s", last_text);
}

static void retired(void)
{
	nst_rcu_token_t t = nst_rcu_read_begin();
	void *p = make(64);

	nst_free_rcu(p);
	no_report("V31 retired once: nothing");
	nst_free_rcu(hidden(p));
	told("V31 where it was retired first", "^  for the first time at [^ ]+\\+0x[0-9a-f]+$");
	told("V31 and where again", "^  0x[0-9a-f]+: again at [^ ]+\\+0x[0-9a-f]+$");
	one_report(NST_NL_TWICE, NST_LD_ERROR, "V31 retired twice");
	nst_free(hidden(p));
	one_report(NST_NL_TWICE, NST_LD_ERROR, "V31 freed after it was retired");
	nst_rcu_read_end(t);
	nst_rcu_barrier();
	no_report("V31 and freed once");
}

static void freed(void)
{
	void *p = make(64), *run = make(100000);

	nst_free(p);
	nst_free_rcu(hidden(p));
	one_report(NST_NL_TWICE, NST_LD_ERROR, "V31 retired after it was freed");
	nst_free_rcu(run);
	nst_free_rcu(hidden(run));
	one_report(NST_NL_TWICE, NST_LD_ERROR, "V31 a run of pages");
	nst_rcu_barrier();
	no_report("V31 each was freed once");
}

int main(void)
{
	nst_lockdep_on_report(keep, NULL);
	if (nst_rcu_use())
		check_broken("nst_rcu_use");
	retired();
	freed();
	return check_status();
}
