/* SPDX-License-Identifier: MIT */
/*
 * lockdep_suppress.c - V20: a rule, which a report ends with, suppresses its cause and no other; a wrong one is refused.
 *
 * V29: a rule for a module, of the place or of any of a cycle.
 *
 * A library whose rules are for all of their code must be caught (49), and one whose rules for a module are (75).
 *
 *	lockdep_suppress OTHER		a shared object made of lockdep_module.c
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include "unit/lockdep.h"

#define LOCKS 6
static struct nst_lockdep_map m[LOCKS];
static const char *const names[LOCKS] = {"plain", "of a, b#%*", "\xc3\xa4\x01",
					 "three", "four",	"five"};

static void fresh(void)
{
	make_locks(m, names, LOCKS);
	forget();
}

struct pair {
	unsigned int first, second;
};

static void *both(void *arg)
{
	const struct pair *p = arg;

	take_both(&m[p->first], &m[p->second]);
	return NULL;
}

static void inversion(unsigned int i, unsigned int k)
{
	struct pair p = {i, k}, q = {k, i};

	in_thread(both, &p);
	in_thread(both, &q);
}

/* The one that the last report ends with. */
static const char *rule(void)
{
	static char text[1024];
	const char *s = strstr(last_text, "\n  suppress: ");

	if (!s)
		check_broken("a report without its rule");
	snprintf(text, sizeof(text), "%s", s + strlen("\n  suppress: "));
	text[strcspn(text, "\n")] = 0;
	return text;
}

static uint64_t suppressed(void)
{
	struct nst_lockdep_stats s;

	nst_lockdep_read(&s, sizeof(s));
	return s.suppressed;
}

static void none(const char *name)
{
	struct nst_lockdep_stats s;

	nst_lockdep_read(&s, sizeof(s));
	check(nr_reports == 0 && s.suppressed == 1 && !s.errors && !s.possible, name,
	      "%u reports, %llu suppressed, %llu errors\n%s", nr_reports,
	      (unsigned long long)s.suppressed, (unsigned long long)s.errors, last_text);
	forget();
}

static void by_locks(void)
{
	char taken[1024];

	fresh();
	inversion(0, 1);
	snprintf(taken, sizeof(taken), "  %s\t# both are one", rule());
	check(nr_reports == 1 && strstr(taken, "locks=") != NULL, "V20 a cycle has its locks' rule",
	      "%s", last_text);
	check(strstr(taken, "of%20a%2c%20b%23%25%2a") != NULL, "V20 whatever they are called", "%s",
	      taken);
	check(!nst_lockdep_suppress(taken), "V20 it is taken as it stands", "refused: %s", taken);
	forget();
	inversion(0, 1);
	none("V20 the same cycle is not told again");
	inversion(1, 0);
	none("V20 nor come upon at its other end");
	inversion(0, 2);
	check(nr_reports == 1 && !suppressed(), "V20 one of other locks is", "%u", nr_reports);
	if (nst_lockdep_suppress(rule()))
		check_broken("nst_lockdep_suppress");
	forget();
	inversion(0, 2);
	none("V20 names of other letters");
	nst_lockdep_acquire(&m[0], 0);
	nst_lockdep_acquire(&m[0], 0);
	check(nr_reports == 1 && last.code == NST_NL_SELF, "V20 and another code of these locks",
	      "%u", nr_reports);
	nst_lockdep_release(&m[0]);
	nst_lockdep_release(&m[0]);
	forget();
}

static void wild(void)
{
	fresh();
	check(!nst_lockdep_suppress("NL-ORDER locks=t*e*,f*r # made for this"), "V20 * in names",
	      "refused");
	inversion(3, 4);
	none("V20 stands for any letters");
	inversion(3, 5);
	check(nr_reports == 1, "V20 and for no others", "%u", nr_reports);
	forget();
}

/* At one place or another. */
__attribute__((noinline)) static void in_section(volatile int other)
{
	nst_nonblock_begin();
	if (other) {
		nst_might_sleep();
		__asm__ volatile("nop"); /* so that it is another call */
	} else {
		nst_might_sleep();
	}
	nst_nonblock_end();
}

static void by_id(void)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		in_section(0);
		if (i)
			break;
		check(nr_reports == 1 && last.code == NST_NL_BLOCK &&
			      !strncmp(rule(), "NL-BLOCK id=", 12),
		      "V20 a place has its id's rule", "%s", last_text);
		if (nst_lockdep_suppress(rule()))
			check_broken("nst_lockdep_suppress");
		forget();
	}
	none("V20 the same place is not told again");
	in_section(1);
	check(nr_reports == 1, "V20 another is", "%u", nr_reports);
	forget();
}

/* ---- V29: by module ---- */

static void (*other_take)(void (*acquire)(struct nst_lockdep_map *, uint32_t, const void *),
			  void (*release)(struct nst_lockdep_map *), struct nst_lockdep_map *outer,
			  struct nst_lockdep_map *inner);
static void (*other_sleep)(void (*might_sleep)(void));

static void open_other(const char *path)
{
	void *other = path ? dlopen(path, RTLD_NOW) : NULL;

	if (!other)
		check_broken(path ? dlerror() : "the first argument is lockdep_module.c's");
	*(void **)&other_take = dlsym(other, "other_take");
	*(void **)&other_sleep = dlsym(other, "other_sleep");
}

static void *both_there(void *arg)
{
	const struct pair *p = arg;

	other_take(nst_lockdep_acquire_on, nst_lockdep_release_on, &m[p->first], &m[p->second]);
	return NULL;
}

static void sleep_there(void)
{
	nst_nonblock_begin();
	other_sleep(nst_might_sleep_on);
	nst_nonblock_end();
}

static void told(enum nst_lockdep_code code, const char *name)
{
	check(nr_reports == 1 && last.code == code && !suppressed(), name,
	      "%u reports, %llu suppressed", nr_reports, (unsigned long long)suppressed());
	forget();
}

/* Which nobody pinned. */
static void unpin(struct nst_lockdep_map *map)
{
	nst_lockdep_acquire(map, 0);
	nst_lockdep_unpin(map);
	nst_lockdep_release(map);
}

static void by_module(void)
{
	struct pair p = {3, 5}, q = {5, 3};

	fresh();
	sleep_there();
	told(NST_NL_BLOCK, "V29 a place in another file is told");
	if (nst_lockdep_suppress("NL-BLOCK module=nowhere.so") ||
	    nst_lockdep_suppress("NL-BLOCK module=*module") ||
	    nst_lockdep_suppress("NL-BLOCK module=*module*.so id=0000000000000001") ||
	    nst_lockdep_suppress("NL-SLEPT module=*module.so"))
		check_broken("nst_lockdep_suppress");
	sleep_there();
	told(NST_NL_BLOCK, "V29 a rule for a file of another name, or code, or id, is none for it");
	if (nst_lockdep_suppress("NL-BLOCK module=*lockdep_module.so # not ours"))
		check_broken("nst_lockdep_suppress");
	sleep_there();
	none("V29 a rule for its file suppresses it");
	in_section(1);
	told(NST_NL_BLOCK, "V29 and nothing of this file");
	in_thread(both, &p);
	in_thread(both, &q);
	told(NST_NL_ORDER, "V29 a cycle of this file is told");
	if (nst_lockdep_suppress("NL-ORDER module=*lockdep_module.so"))
		check_broken("nst_lockdep_suppress");
	in_thread(both, &p);
	in_thread(both_there, &q);
	none("V29 a cycle has any of its places there: the last");
	in_thread(both_there, &p);
	in_thread(both, &q);
	none("V29 and the first");
	in_thread(both, &p);
	in_thread(both, &q);
	told(NST_NL_ORDER, "V29 none of them: it is told");
	if (nst_lockdep_suppress("NL-PIN locks=plain module=*lockdep_suppress*"))
		check_broken("nst_lockdep_suppress");
	unpin(&m[0]);
	none("V29 locks and file both");
	unpin(&m[3]);
	told(NST_NL_PIN, "V29 and not one alone");
}

/* What is written to standard error meanwhile. */
static int pipes[2], saved;

static void listen_to(void)
{
	if (pipe2(pipes, O_NONBLOCK) || (saved = dup(2)) < 0)
		check_broken("pipe2");
	dup2(pipes[1], 2);
}

static const char *heard(void)
{
	static char text[4096];
	ssize_t n = read(pipes[0], text, sizeof(text) - 1);

	dup2(saved, 2);
	close(saved);
	close(pipes[0]);
	close(pipes[1]);
	text[n > 0 ? n : 0] = 0;
	return text;
}

static void refused(const char *line, int err, const char *why)
{
	const char *said;
	char name[160];
	int got;

	listen_to();
	got = nst_lockdep_suppress(line);
	said = heard();
	snprintf(name, sizeof(name), "V20 refused: '%.60s'", line);
	check(got == err && strstr(said, why) &&
		      strstr(said,
			     "allowed: NL-CODE, then locks=NAME,NAME, module=FILE or id= and 16 "
			     "digits, then # and a reason\n"),
	      name, "%d, '%s'", got, said);
}

static void wrong(void)
{
	char text[400];
	unsigned int i;

	refused("NL-ORDR locks=a,b", -22, "'NL-ORDR' is no code");
	refused("NL-HELDX locks=a", -22, "'NL-HELDX' is no code");
	refused("NL-ORDER", -22, "it says none of locks=, module= and id=");
	refused("NL-ORDER # all of them", -22, "it says none of locks=, module= and id=");
	refused("NL-ORDER locks=", -22, "'locks=' is no list of locks");
	refused("NL-ORDER lock=a", -22, "'lock=a' is not known");
	refused("NL-ORDER module=", -22, "'module=' is no file's name, or too long");
	refused("NL-ORDER module=/lib/libc.so.6", -22,
		"'module=/lib/libc.so.6' is no file's name;");
	refused("NL-ORDER module=a,b", -22, "'module=a,b' is no file's name;");
	refused("NL-ORDER modul=a", -22, "'modul=a' is not known");
	refused("NL-BLOCK id=12", -22, "'id=12' is no id");
	refused("NL-BLOCK id=76caa5d9224021977", -22, "is no id");
	memset(text, 'x', sizeof(text) - 1);
	memcpy(text, "NL-ORDER locks=", 15);
	text[sizeof(text) - 1] = 0;
	refused(text, -22, "is no list of locks, or too long");
	memcpy(text, "NL-ORDER module=", 16);
	refused(text, -22, "is no file's name, or too long");
	check(nst_lockdep_suppress(NULL) == -22, "V20 refused: NULL", "accepted");
	check(!nst_lockdep_suppress("") && !nst_lockdep_suppress(" # a remark"),
	      "V20 nothing, and remarks, are no rules", "refused");
	for (i = 0; i < 128 && !nst_lockdep_suppress("NL-PIN locks=never"); i++)
		;
	refused("NL-PIN locks=never", -28, "there is room for 128 rules");
}

int main(int argc, char **argv)
{
	open_other(argc > 1 ? argv[1] : NULL);
	start_checking();
	by_locks();
	wild();
	by_id();
	by_module();
	wrong();
	nst_lockdep_stop();
	return check_status();
}
