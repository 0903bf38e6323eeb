/* SPDX-License-Identifier: MIT */
/*
 * report.c - what was found, told once a cause, to standard error, a file or the program: as text of at most 30 lines, or JSON.
 *
 *	begin, then edges of a cycle, or a lock and a place, or lines; end: is it wanted? -> text, JSON -> told
 *
 * Made in buffers of the tables, by who has entered; written by one write(). Nothing is allocated and no symbol looked
 * up. Both forms are made from the same facts (report.h).
 */
#include "report.h"

/* A broken variant that the tests must catch. */
#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 65 /* one code is not told */
unsigned int nst_busted_code;					 /* and 1; 0: all are */
#define IS_TOLD(code) ((u32)(code) + 1 != nst_busted_code)
#else
#define IS_TOLD(code) 1
#endif

static struct nst_ld_facts now;

const char *const nst_ld_codes[] = {
#define NAME(name, ...) #name,
	NST_LOCKDEP_TABLE(NAME)
#undef NAME
};
const char *const nst_ld_rules[] = {
#define RULE(name, rule, fix) rule,
	NST_LOCKDEP_TABLE(RULE)
#undef RULE
};
const char *const nst_ld_fixes[] = {
#define FIX(name, rule, fix) fix,
	NST_LOCKDEP_TABLE(FIX)
#undef FIX
};
const char *const nst_ld_sections[] = {"must not block", "must not allocate", "is allowed to",
				       "has no page fault"};

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

static int is_expected(enum nst_lockdep_code code)
{
	nst_add_relaxed(&nst_ld.codes[code], 1);
	if (nst_ld.expect != (u32)code + 1)
		return 0;
	nst_add_relaxed(&nst_ld.expected, 1);
	nst_add_relaxed(&nst_ld.nr_expected, 1);
	return 1;
}

int nst_ld_report_begin(enum nst_lockdep_code code, enum nst_lockdep_level level, u64 cause)
{
	cause = nst_mix64((cause + level) * NST_NR_LOCKDEP_CODES + code) | 1;
	if (!IS_TOLD(code) || !is_new(cause) || is_expected(code))
		return 0;
	nst_ld_names_begin();
	now.code = code;
	now.level = level;
	now.id = 0;
	now.nr_edges = now.class = 0;
	now.lock = now.place = NULL;
	now.said_len = 0;
	return 1;
}

void nst_ld_report_line(const char *fmt, ...)
{
	size_t room = sizeof(now.said) - now.said_len, n;
	va_list ap;

	if (room < 3)
		return;
	va_start(ap, fmt);
	n = nst_format_va(now.said + now.said_len, room - 1, fmt, ap);
	va_end(ap);
	now.said_len += nst_min(n, room - 2);
	now.said[now.said_len++] = '\n';
	now.said[now.said_len] = 0;
}

void nst_ld_report_edge(u32 n)
{
	if (now.nr_edges < NST_LD_TOLD_EDGES)
		now.edge[now.nr_edges++] = n;
}

const struct nst_ld_edge *nst_ld_edge_of(const struct nst_ld_facts *f, u32 i)
{
	return &nst_ld.tables->edge[f->edge[i]];
}

int nst_ld_first(struct nst_ld_thread *t, enum nst_lockdep_code code, const void *from)
{
	struct nst_ld_entered in = nst_ld_enter(t);
	int first =
		is_new(nst_mix64((u64)(uintptr_t)nst_ld_address_of(from)) << 8 | 1u << 7 | code);

	nst_ld_leave(in);
	return first;
}

/* ---- the id ---- */

static u64 of_string(u64 id, const char *s)
{
	for (; *s; s++)
		id = nst_mix64(id + (u64)(unsigned char)*s);
	return nst_mix64(id + 256);
}

static u64 of_place(u64 id, const void *place)
{
	char where[NST_LD_WHERE];

	return of_string(id, nst_ld_where(place, where, sizeof(where)));
}

/* Over names and places, so that it is the same in the next process: neither addresses nor threads. */
static u64 id_of(struct nst_ld_facts *f)
{
	u32 i;

	if (f->id)
		return f->id;
	f->id = of_string(0, nst_ld_codes[f->code]);
	for (i = 0; i < f->nr_edges; i++) {
		const struct nst_ld_edge *e = nst_ld_edge_of(f, i);

		f->id = of_place(of_string(f->id, nst_ld_class_name(e->from)), e->from_ip);
		f->id = of_place(of_string(f->id, nst_ld_class_name(e->to)), e->to_ip);
	}
	if (f->lock)
		f->id = of_string(f->id, nst_ld_class_name(f->class));
	if (f->place)
		f->id = of_place(of_string(f->id, f->why), f->place);
	for (i = 0; i < f->said_len && f->said[i] != '\n'; i++)
		f->id = nst_mix64(f->id + (u64)(unsigned char)f->said[i]);
	return f->id |= 1;
}

/* ---- told ---- */

static int is_wanted(void)
{
	if (nst_ld_is_suppressed(&now, id_of)) {
		nst_add_relaxed(&nst_ld.suppressed, 1);
		return 0;
	}
	nst_add_relaxed(now.level == NST_LD_ERROR ? &nst_ld.errors : &nst_ld.possible, 1);
	return nst_ld.fn || now.level <= (enum nst_lockdep_level)nst_ld.shown;
}

static void write_out(const char *text, size_t len)
{
	static u32 said;
	const char *log = nst_option_check_log();
	int err = *log ? nst_sys_append(log, text, len) : -1;

	if (!err)
		return;
	nst_sys_write_all(2, text, len);
	if (*log && !nst_exchange_relaxed(&said, 1u)) /* once */
		nst_warn("check_log:%s: cannot write (error %d); a path is needed that, with a "
			 "process's number behind it, is a file; reports go to standard error",
			 log, -err);
}

/* What the option check_json says. */
enum form { TEXT, JSON, BOTH };

static void tell(void)
{
	struct nst_lockdep_report r = {.code = now.code, .level = now.level, .id = id_of(&now)};
	const u64 form = nst_option(NST_OPT_check_json);

	nst_ld_rule_of(&now, id_of);
	if (nst_ld.fn || form != TEXT) {
		r.json_len = nst_ld_json_of(&now);
		r.json = nst_ld.tables->json;
	}
	if (nst_ld.fn || form != JSON) {
		r.len = nst_ld_text_of(&now);
		r.text = nst_ld.tables->text;
	}
	if (nst_ld.fn) {
		nst_ld.fn(&r, nst_ld.arg);
		return;
	}
	if (r.text)
		write_out(r.text, r.len);
	if (r.json)
		write_out(r.json, r.json_len);
}

void nst_ld_report_end(const struct nst_ld_thread *t)
{
	now.thread = t;
	if (t)
		nst_ld_name_thread(t);
	if (!is_wanted())
		return;
	tell();
	if (now.level == NST_LD_ERROR)
		nst_ld_error_told();
}

void nst_ld_report_place(struct nst_ld_thread *t, enum nst_lockdep_code code,
			 enum nst_lockdep_level level, u32 class, const void *lock,
			 const void *place, const char *why)
{
	struct nst_ld_entered in = nst_ld_enter(t);
	u64 cause = nst_mix64((u64)(uintptr_t)nst_ld_address_of(place)) + class;

	if (nst_ld_report_begin(code, level, cause)) {
		now.class = class;
		now.lock = lock;
		now.place = place;
		now.why = why;
		nst_ld_report_end(t);
	}
	nst_ld_leave(in);
}

void nst_ld_report(struct nst_ld_thread *t, enum nst_lockdep_code code,
		   enum nst_lockdep_level level, u32 class, const void *lock, const void *ip,
		   const char *why)
{
	struct nst_ld_entered in = nst_ld_enter(t);
	u64 cause = nst_mix64((u64)(uintptr_t)nst_ld_address_of(ip)) + class;

	if (nst_ld_report_begin(code, level, cause)) {
		now.class = class;
		now.lock = lock;
		now.place = nst_ld_stack_here(ip);
		now.why = why;
		nst_ld_report_end(t);
	}
	nst_ld_leave(in);
}

/* ---- threads' names ---- */

void nst_ld_name_thread(const struct nst_ld_thread *t)
{
	u32 i = t->tag % NST_LD_NAMED;

	if (t != nst_thread.lockdep)
		return;
	nst_ld.tables->named[i] = t->tag;
	nst_sys_thread_name(nst_ld.tables->thread_name[i]);
}

const char *nst_ld_thread_name(u32 tag)
{
	return nst_ld.tables->named[tag % NST_LD_NAMED] == tag
		       ? nst_ld.tables->thread_name[tag % NST_LD_NAMED]
		       : "?";
}
