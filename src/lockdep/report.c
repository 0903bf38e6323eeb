/* SPDX-License-Identifier: MIT */
/*
 * report.c - what was found, told once a cause: a text of at most 30 lines, to standard error or to the program.
 *
 *	nostall: error NL-ORDER: <rule>
 *	  what waits for what, and where          addresses as module+offset: names are for outside the process
 *	  thread <name> holds:                    innermost last
 *	  in a section that must not block, begun at ...
 *	  fix: ...
 *	  read: docs/lockdep.md, NL-ORDER; id=<16 digits>
 *
 * Made in a buffer of the tables, by who has entered; written by one write(). Nothing is allocated and no symbol looked up.
 */
#include "engine.h"

/* A broken variant that the tests must catch. */
#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 65 /* one code is not told */
unsigned int nst_busted_code;					 /* and 1; 0: all are */
#define IS_TOLD(code) ((u32)(code) + 1 != nst_busted_code)
#else
#define IS_TOLD(code) 1
#endif

#define LINES_MAX 30u
#define TOLD_HELD 6u

static struct {
	enum nst_lockdep_code code;
	enum nst_lockdep_level level;
	u64 id;
	size_t used;
	u32 lines;
} now;

static const char *const codes[] = {
#define NAME(name, ...) #name,
	NST_LOCKDEP_TABLE(NAME)
#undef NAME
};
static const char *const rules[] = {
#define RULE(name, rule, fix) rule,
	NST_LOCKDEP_TABLE(RULE)
#undef RULE
};
static const char *const fixes[] = {
#define FIX(name, rule, fix) fix,
	NST_LOCKDEP_TABLE(FIX)
#undef FIX
};

/* ---- one cause, one report ---- */

/* 1: for the first time. A full table tells no more: too little is better than again and again. */
static int is_new(u64 cause)
{
	u32 i = (u32)(cause % NST_LD_CAUSES), k;

	for (k = 0; k < NST_LD_CAUSES; k++, i = (i + 1) % NST_LD_CAUSES) {
		if (nst_ld.tables->cause[i] == cause)
			return 0;
		if (!nst_ld.tables->cause[i]) {
			nst_ld.tables->cause[i] = cause;
			return 1;
		}
	}
	return 0;
}

static int is_counted(enum nst_lockdep_code code, enum nst_lockdep_level level)
{
	nst_add_relaxed(&nst_ld.codes[code], 1);
	if (nst_ld.expect == (u32)code + 1) {
		nst_add_relaxed(&nst_ld.expected, 1);
		nst_add_relaxed(&nst_ld.nr_expected, 1);
		return 0;
	}
	nst_add_relaxed(level == NST_LD_ERROR ? &nst_ld.errors : &nst_ld.possible, 1);
	return nst_ld.fn || level <= (enum nst_lockdep_level)nst_ld.shown;
}

/* The id is over names and rule, so that it is the same in the next process. */
static u64 id_of_text(const char *text, size_t len)
{
	u64 id = now.code;
	int inside = 0;
	size_t i;

	/* What stands in brackets is of this process: addresses, numbers of threads. */
	for (i = 0; i < len; i++) {
		inside = text[i] == '(' || (inside && text[i] != ')');
		if (!inside)
			id = nst_mix64(id + (u64)(unsigned char)text[i]);
	}
	return id;
}

int nst_ld_report_begin(enum nst_lockdep_code code, enum nst_lockdep_level level, u64 cause)
{
	cause = nst_mix64(cause * NST_NR_LOCKDEP_CODES + code) | 1;
	if (!IS_TOLD(code) || !is_new(cause) || !is_counted(code, level))
		return 0;
	now.code = code;
	now.level = level;
	now.used = 0;
	now.lines = 0;
	nst_ld_report_line("nostall: %s NL-%s: %s", level == NST_LD_ERROR ? "error" : "possible",
			   codes[code], rules[code]);
	return 1;
}

void nst_ld_report_line(const char *fmt, ...)
{
	char *text = nst_ld.tables->text;
	size_t room = sizeof(nst_ld.tables->text) - now.used;
	va_list ap;
	size_t n;

	if (now.lines == LINES_MAX || room < 2)
		return;
	va_start(ap, fmt);
	n = nst_format_va(text + now.used, room - 1, fmt, ap);
	va_end(ap);
	now.used += nst_min(n, room - 2);
	text[now.used++] = '\n';
	text[now.used] = 0;
	now.lines++;
}

int nst_ld_first(struct nst_ld_thread *t, enum nst_lockdep_code code, const void *from)
{
	struct nst_ld_entered in = nst_ld_enter(t);
	int first = is_new(nst_mix64((u64)(uintptr_t)from) << 8 | 1u << 7 | code);

	nst_ld_leave(in);
	return first;
}

/* ---- words ---- */

void nst_ld_name_thread(const struct nst_ld_thread *t)
{
	u32 i = t->tag % NST_LD_NAMED;

	if (t != nst_thread.lockdep)
		return;
	nst_ld.tables->named[i] = t->tag;
	nst_sys_thread_name(nst_ld.tables->thread_name[i]);
}

const char *nst_ld_where(const void *ip, char *buf, size_t len)
{
	nst_sys_code_name(ip, buf, len);
	return buf;
}

const char *nst_ld_thread_name(u32 tag)
{
	return nst_ld.tables->named[tag % NST_LD_NAMED] == tag
		       ? nst_ld.tables->thread_name[tag % NST_LD_NAMED]
		       : "?";
}

static const char *how_held(const struct nst_ld_held *e)
{
	return e->how & NST_LD_READ ? ", read" : e->how & NST_LD_TRY ? ", tried" : "";
}

static int is_lock(const struct nst_ld_held *e)
{
	return nst_ld_is_held(e) && !(e->how & NST_LD_CONTEXT);
}

static void tell_held(const struct nst_ld_thread *t)
{
	char where[160];
	u32 i, n = 0, nr = 0;

	for (i = 0; i < t->nr; i++)
		nr += (u32)is_lock(&t->held[i]);
	nst_ld_report_line("  thread '%s' holds %u lock%s%s", nst_ld_thread_name(t->tag), nr,
			   nr == 1 ? "" : "s", nr ? ", innermost first:" : "");
	for (i = t->nr; i-- > 0 && n < TOLD_HELD;) {
		const struct nst_ld_held *e = &t->held[i];

		if (!is_lock(e))
			continue;
		n++;
		nst_ld_report_line("    %s (%p)%s since %s", nst_ld.tables->class[e->class].name,
				   e->lock, how_held(e), nst_ld_where(e->ip, where, sizeof(where)));
	}
	if (nr > n)
		nst_ld_report_line("    and %u more", nr - n);
}

static void tell_sections(const struct nst_ld_thread *t)
{
	static const char *const name[] = {"must not block", "must not allocate", "is allowed to",
					   "has no page fault"};
	char where[160];
	u32 i;

	for (i = 0; i < nst_min(t->handlers, NST_LD_HANDLERS); i++)
		nst_ld_report_line("  in a handler of signal %u, begun at %s", t->handler[i].signal,
				   nst_ld_where(t->handler[i].from, where, sizeof(where)));
	for (i = 0; i < NST_NR_SECTIONS; i++)
		if (t->depth[i])
			nst_ld_report_line("  in a section that %s, begun at %s", name[i],
					   nst_ld_where(t->from[i], where, sizeof(where)));
}

void nst_ld_report_end(const struct nst_ld_thread *t)
{
	struct nst_lockdep_report r = {.code = now.code, .level = now.level};

	nst_ld_name_thread(t);
	tell_held(t);
	tell_sections(t);
	nst_ld_report_line("  fix: %s", fixes[now.code]);
	r.id = id_of_text(nst_ld.tables->text, now.used);
	nst_ld_report_line("  read: docs/lockdep.md, NL-%s; id=%016llx", codes[now.code],
			   (unsigned long long)r.id);
	r.text = nst_ld.tables->text;
	r.len = now.used;
	if (nst_ld.fn)
		nst_ld.fn(&r, nst_ld.arg);
	else
		nst_sys_write_all(2, r.text, r.len);
}

void nst_ld_report(struct nst_ld_thread *t, enum nst_lockdep_code code,
		   enum nst_lockdep_level level, u32 class, const void *lock, const void *ip,
		   const char *why)
{
	struct nst_ld_entered in = nst_ld_enter(t);
	u64 cause = nst_mix64((u64)(uintptr_t)ip) + class;
	char where[160];

	if (nst_ld_report_begin(code, level, cause)) {
		nst_ld_where(ip, where, sizeof(where));
		if (lock)
			nst_ld_report_line("  lock %s (%p): %s %s",
					   nst_ld.tables->class[class].name, lock, why, where);
		else
			nst_ld_report_line("  %s %s", why, where);
		nst_ld_report_end(t);
	}
	nst_ld_leave(in);
}
