/* SPDX-License-Identifier: MIT */
/*
 * mm_notify.c - C31: who is told of a change: those it concerns, before and after, and nobody half.
 *
 * Ranges at their edges; ends to those whose begin was, whatever is registered in between; one that refuses; tags and
 * scopes; changes within changes; handlers; the table full; a fork from within.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "mm/mm.h"
#include "common/check.h"
#include "common/trap.h"

TEST_CONF("worker:off")

struct seen {
	unsigned int begins, ends, invalidates;
	int refuses;
	uint32_t flags;
	nst_mode_t mode;
	struct nst_notifier *n;
	void (*also)(struct seen *s);
};

static int begin(void *arg, const struct nst_notify_range *r)
{
	struct seen *s = arg;

	s->begins++;
	s->flags = r->flags;
	s->mode = nst_mode_effective(NST_NORMAL);
	errno = EILSEQ;
	if (s->also)
		s->also(s);
	return s->refuses ? -EAGAIN : 0;
}

static void end(void *arg, const struct nst_notify_range *r)
{
	struct seen *s = arg;

	(void)r;
	s->ends++;
	s->mode = nst_mode_effective(NST_NORMAL);
	errno = EILSEQ;
}

static void invalidate(void *arg, const struct nst_notify_range *r)
{
	struct seen *s = arg;

	(void)r;
	s->invalidates++;
	s->mode = nst_mode_effective(NST_NORMAL);
	errno = EILSEQ;
	if (s->also)
		s->also(s);
}

static const struct nst_notifier_ops changes = {begin, end, NULL};
static const struct nst_notifier_ops truths = {NULL, NULL, invalidate};

static void add(struct seen *s, uintptr_t start, size_t length, uint32_t flags)
{
	memset(s, 0, sizeof(*s));
	s->n = nst_notifier_register(NULL, start, length, &changes, flags, s);
	if (!s->n)
		check_broken("a notifier");
}

static int drop(struct seen *s)
{
	return nst_notifier_unregister(s->n);
}

/* begin and end of one change. */
static int change(const void *space, uintptr_t start, size_t length, uint32_t flags)
{
	struct nst_notify_range r;
	int err = nst_notify_begin(&r, space, start, length, flags);

	if (!err)
		nst_notify_end(&r);
	return err;
}

static int told(struct seen *s, unsigned int begins, unsigned int ends)
{
	int is = s->begins == begins && s->ends == ends;

	s->begins = s->ends = 0;
	return is;
}

/* ---- ranges ---- */

static void check_ranges(void)
{
	struct seen s;

	add(&s, 0x1000, 0x1000, 0);
	check(!change(NULL, 0xfff, 1, 0) && !change(NULL, 0x2000, SIZE_MAX - 0x2000, 0) &&
		      !change(NULL, 0, 0x1000, 0) && told(&s, 0, 0),
	      "C31 beside its range it is not told", "it is");
	check(!change(NULL, 0xfff, 2, 0) && !change(NULL, 0x1fff, 1, 0) &&
		      !change(NULL, 0, SIZE_MAX, 0) && !change(NULL, 0x1800, 1, 0) &&
		      told(&s, 4, 4),
	      "C31 of what overlaps by a byte it is", "it is not");
	check(!change(&s, 0x1000, 0x1000, 0) && told(&s, 0, 0), "C31 another's addresses",
	      "it is told");
	check(drop(&s) == 0 && !change(NULL, 0x1000, 1, 0) && told(&s, 0, 0), "C31 not any more",
	      "it is told");
	add(&s, UINTPTR_MAX, 1, 0);
	check(!change(NULL, UINTPTR_MAX, 1, 0) && told(&s, 1, 1), "C31 the last byte", "not told");
	drop(&s);
}

/* ---- pairs ---- */

static void check_pairs(void)
{
	struct seen a, b, c;
	struct nst_notify_range r;

	add(&a, 0, 100, 0);
	add(&b, 0, 100, 0);
	nst_notify_begin(&r, NULL, 0, 10, NST_NOTIFY_BLOCKABLE);
	add(&c, 0, 100, 0);
	check(told(&a, 1, 0) && told(&b, 1, 0), "C31 begin of each", "not");
	drop(&b);
	add(&b, 0, 100, 0); /* in its place */
	nst_notify_end(&r);
	check(told(&a, 0, 1), "C31 an end for each begin", "not");
	check(told(&b, 0, 0) && told(&c, 0, 0), "C31 no end without a begin", "there is");
	drop(&a);
	drop(&b);
	drop(&c);
}

static void check_refusal(void)
{
	struct seen a, b, c, beside;
	struct nst_notify_range r;

	add(&a, 0, 100, 0);
	add(&beside, 200, 100, 0);
	add(&b, 50, 100, 0);
	add(&c, 0, 100, 0);
	b.refuses = 1;
	check(nst_notify_begin(&r, NULL, 40, 20, 0) == -EAGAIN, "C31 one refuses: -EAGAIN", "not");
	check(told(&a, 1, 1), "C31 the end of one that has begun runs", "%u ends", a.ends);
	check(told(&b, 1, 0), "C31 who refuses has no end", "it has");
	check(told(&c, 0, 0) && told(&beside, 0, 0), "C31 who comes after is not told", "it is");
	check(change(NULL, 0, 50, 0) == 0 && told(&a, 1, 1) && told(&c, 1, 1),
	      "C31 where it is not concerned it does not refuse", "it does");
	b.refuses = 0;
	check(change(NULL, 40, 20, 0) == 0 && told(&b, 1, 1), "C31 and then it does not",
	      "it does");
	drop(&a);
	drop(&b);
	drop(&c);
	drop(&beside);
}

/* ---- tags and scopes ---- */

static void check_tag(uint32_t tag, uint32_t scope, uint32_t flags, const char *name)
{
	struct seen before, s;
	nst_scope_t in;
	int err;

	add(&before, 0, 100, 0);
	add(&s, 0, 100, tag);
	in = nst_scope_enter(scope);
	err = change(NULL, 0, 1, flags);
	nst_scope_exit(in);
	check(err == -EAGAIN && told(&s, 0, 0) && told(&before, 1, 1), name, "error %d", err);
	err = change(NULL, 0, 1, NST_NOTIFY_BLOCKABLE);
	check(err == 0 && told(&s, 1, 1), name, "error %d, where nothing is excluded", err);
	drop(&s);
	drop(&before);
}

static void check_scopes(void)
{
	nst_scope_t in;
	struct seen s;

	add(&s, 0, 100, 0);
	errno = 0;
	check(change(NULL, 0, 1, NST_NOTIFY_BLOCKABLE) == 0 && s.flags == NST_NOTIFY_BLOCKABLE &&
		      s.mode == NST_NOWAIT,
	      "C31 blockable: it may wait, its requests do not reclaim", "mode 0x%x", s.mode);
	check(change(NULL, 0, 1, 0) == 0 && s.flags == 0 && s.mode == NST_NOLOCK,
	      "C31 not blockable: its requests wait for nothing", "mode 0x%x", s.mode);
	in = nst_scope_enter(NST_SCOPE_NOLOCK);
	check(change(NULL, 0, 1, NST_NOTIFY_BLOCKABLE) == 0 && s.flags == 0,
	      "C31 in a no-lock scope none is blockable", "flags 0x%x", s.flags);
	nst_scope_exit(in);
	check(nst_mode_effective(NST_NORMAL) == NST_NORMAL && errno == 0,
	      "C31 scopes and errno are as they were", "errno %d", errno);
	drop(&s);
	check_tag(NST_NOTIFIER_BLOCKS, 0, 0, "C31 who knows no way but to wait refuses uncalled");
	check_tag(NST_NOTIFIER_IO, NST_SCOPE_NOIO, NST_NOTIFY_BLOCKABLE, "C31 NOIO excludes");
	check_tag(NST_NOTIFIER_CLIENT, NST_SCOPE_NOCLIENT, 0, "C31 NOCLIENT excludes");
}

/* ---- within ---- */

static struct seen inner;
static int inside_err;

static void change_inner(struct seen *s)
{
	(void)s;
	inside_err = change(NULL, 1000, 1, NST_NOTIFY_BLOCKABLE);
}

static void unregister_itself(struct seen *s)
{
	inside_err = nst_notifier_unregister(s->n);
}

static void check_within(void)
{
	struct seen s;

	add(&s, 0, 100, 0);
	add(&inner, 1000, 100, 0);
	s.also = change_inner;
	check(change(NULL, 0, 1, 0) == 0 && inside_err == 0 && inner.flags == 0 &&
		      told(&inner, 1, 1),
	      "C31 a change within one that may not wait may not, either", "error %d", inside_err);
	check(change(NULL, 0, 1, NST_NOTIFY_BLOCKABLE) == 0 && inner.flags && told(&inner, 1, 1),
	      "C31 within one that may wait it may", "flags 0x%x", inner.flags);
	s.also = unregister_itself;
	check(change(NULL, 0, 1, 0) == 0 && inside_err == -EDEADLK,
	      "C31 unregister from within: -EDEADLK", "%d", inside_err);
	check(drop(&s) == 0 && drop(&s) == -EINVAL &&
		      nst_notifier_unregister((void *)&inner) == -EINVAL &&
		      nst_notifier_unregister(NULL) == -EINVAL,
	      "C31 what is none: -EINVAL", "not");
	drop(&inner);
}

/* ---- invalidate ---- */

static struct seen truth;

static void in_handler(int sig)
{
	(void)sig;
	nst_notify_invalidate(NULL, 10, 10);
}

static void check_invalidate(void)
{
	struct seen s;

	add(&s, 0, 100, 0);
	truth.n = nst_notifier_register(NULL, 0, 15, &truths, NST_NOTIFIER_BLOCKS, &truth);
	signal(SIGUSR1, in_handler);
	errno = 0;
	raise(SIGUSR1);
	nst_notify_invalidate(NULL, 15, 10);
	nst_notify_invalidate(NULL, 0, 0);
	nst_notify_invalidate(&s, 0, 10);
	check(truth.invalidates == 1 && truth.mode == NST_NOLOCK && errno == 0,
	      "C31 invalidate in a handler: those it concerns, no request of theirs waits",
	      "%u times", truth.invalidates);
	check(told(&s, 0, 0), "C31 and those that have no such function are not told", "they are");
	check(change(NULL, 0, 10, 0) == 0 && told(&s, 1, 1) && truth.invalidates == 1,
	      "C31 a change tells those that have begin and end", "not");
	s.also = NULL;
	drop(&s);
	nst_notifier_unregister(truth.n);
}

/* ---- the table ---- */

static void check_full(void)
{
	static struct seen s[NST_NR_NOTIFIERS];
	unsigned int i, wrong = 0;

	for (i = 0; i < NST_NR_NOTIFIERS; i++)
		add(&s[i], i, 1, 0);
	check(!nst_notifier_register(NULL, 0, 1, &changes, 0, s), "C31 so many at a time: NULL",
	      "more");
	check(change(NULL, 10, 200, 0) == 0, "C31 all those that it concerns", "not");
	for (i = 0; i < NST_NR_NOTIFIERS; i++)
		wrong += !told(&s[i], i >= 10 && i < 210, i >= 10 && i < 210);
	check(!wrong, "C31 and no other", "%u wrong", wrong);
	s[NST_NR_NOTIFIERS - 1].refuses = 1;
	check(change(NULL, 0, 1000, 0) == -EAGAIN, "C31 the last refuses", "not");
	for (i = 0; i < NST_NR_NOTIFIERS - 1; i++)
		wrong += !told(&s[i], 1, 1);
	check(!wrong, "C31 the ends of all others run", "%u do not", wrong);
	drop(&s[100]);
	s[100].n = nst_notifier_register(NULL, 0, 1, &changes, 0, s);
	check(s[100].n != NULL, "C31 a place is free again", "NULL");
	for (i = 0; i < NST_NR_NOTIFIERS; i++)
		drop(&s[i]);
}

/* Takes no memory, with none left. */
static void check_no_memory(void)
{
	struct nst_notifier *n;

	nst_test_fail[NST_FAIL_META] = nst_test_fail[NST_FAIL_COMMIT] = -1;
	nst_test_fail[NST_FAIL_POPULATE] = nst_test_fail[NST_FAIL_TRYLOCK] = -1;
	n = nst_notifier_register(NULL, 0, 1, &changes, 0, &inner);
	nst_test_fail[NST_FAIL_META] = nst_test_fail[NST_FAIL_COMMIT] = 0;
	nst_test_fail[NST_FAIL_POPULATE] = nst_test_fail[NST_FAIL_TRYLOCK] = 0;
	check(n && nst_notifier_unregister(n) == 0, "C31 registered without memory or a lock",
	      "not");
}

/* ---- fork ---- */

static pid_t child;

static void fork_inside(struct seen *s)
{
	s->also = NULL;
	child = fork();
}

/* In the child its function still runs, on the only thread. */
static void check_fork(void)
{
	struct nst_notify_range r;
	struct seen s;
	int status = -1;

	add(&s, 0, 100, 0);
	s.also = fork_inside;
	nst_notify_begin(&r, NULL, 0, 10, 0);
	nst_notify_end(&r);
	if (!child)
		_exit(!(told(&s, 1, 1) && drop(&s) == 0));
	waitpid(child, &status, 0);
	check(status == 0, "C31 a child forked from within ends it and unregisters", "0x%x",
	      status);
	drop(&s);
}

static void check_stats(void)
{
	static struct nst_stats a, b;
	struct seen s;

	add(&s, 0, 100, 0);
	nst_stats_read(&a, sizeof(a));
	change(NULL, 0, 1, 0);
	s.refuses = 1;
	change(NULL, 0, 1, 0);
	nst_stats_read(&b, sizeof(b));
	check(b.notify.begins == a.notify.begins + 2 && b.notify.refused == a.notify.refused + 1,
	      "C31 it is counted", "%llu begins",
	      (unsigned long long)(b.notify.begins - a.notify.begins));
	drop(&s);
}

int main(int argc, char **argv)
{
	(void)argc;
	conf_apply(argv);
	check_ranges();
	check_pairs();
	check_refusal();
	check_scopes();
	check_within();
	check_invalidate();
	check_full();
	check_no_memory();
	check_fork();
	check_stats();
	return check_status();
}
