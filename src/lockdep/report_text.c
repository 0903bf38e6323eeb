/* SPDX-License-Identifier: MIT */
/*
 * report_text.c - a report for people, at most 30 lines of it.
 *
 *	nostall: error NL-ORDER: <rule>
 *	  what waits for what, and where          addresses as module+offset: names are for outside the process
 *	    called by ...                         as far as there is room
 *	  thread <name> holds:                    innermost first
 *	  in a section that must not block, begun at ...
 *	  fix: ...
 *	  suppress: ...
 *	  read: nostall explain NL-ORDER; id=<16 digits>
 *
 * It is made twice: without callers, to count lines, and with as many of them as there is room for.
 */
#include "report.h"

#define LINES_MAX 30u
#define LINES_BEFORE 23u /* the sections, what to do, and the end: at most 7 */
#define TOLD_SAID 14u
#define TOLD_HELD 5u
#define TOLD_EDGES 4u
#define TOLD_CALLERS 4u

static struct {
	size_t used;
	u32 lines, callers,
		left_out; /* lines; those of callers that there is room for, and is none for */
	u32 waits_only;	  /* there is not room for all: where is waited for has more to say */
} page;

static void line(const char *fmt, ...) NST_PRINTF(1, 2);
static void line(const char *fmt, ...)
{
	char *text = nst_ld.tables->text;
	size_t room = sizeof(nst_ld.tables->text) - page.used, n;
	va_list ap;

	if (page.lines == LINES_MAX || room < 2)
		return;
	va_start(ap, fmt);
	n = nst_format_va(text + page.used, room - 1, fmt, ap);
	va_end(ap);
	page.used += nst_min(n, room - 2);
	text[page.used++] = '\n';
	text[page.used] = 0;
	page.lines++;
}

static void callers(const void *place, const char *indent, int waits)
{
	const void *const *frame;
	u32 nr = nst_ld_frames_of(place, &frame), i;
	char text[(NST_LD_WHERE + 4) * TOLD_CALLERS], more[32] = "";
	size_t used = 0;

	if (nr < 2)
		return;
	if (!page.callers || (page.waits_only && !waits)) {
		page.left_out++;
		return;
	}
	page.callers--;
	for (i = 1; i < nr && i <= TOLD_CALLERS; i++) {
		char where[NST_LD_WHERE];

		used += nst_format(text + used, sizeof(text) - used, "%s%s", i > 1 ? " < " : "",
				   nst_ld_where(frame[i], where, sizeof(where)));
	}
	if (i < nr)
		nst_format(more, sizeof(more), ", %u more", nr - i);
	line("%scalled by %s%s", indent, text, more);
}

/* ---- a cycle ---- */

static void edge_begins(const struct nst_ld_edge *e, u32 i)
{
	static const char *const held[] = {"held", "held", "held by a reader", "held by a reader"};
	char from[NST_LD_WHERE], what[NST_LD_WHAT];

	nst_ld_where(e->from_ip, from, sizeof(from));
	if (nst_ld_is_context(e->from))
		line("  %u. %s, begun at %s;", i + 1, nst_ld_class_name(e->from), from);
	else
		line("  %u. thread %s (%u): %s (%p%s) %s since %s;", i + 1,
		     e->thread == NST_LD_MANY ? "several" : nst_ld_thread_name(e->thread),
		     e->thread == NST_LD_MANY ? 0 : e->thread, nst_ld_class_name(e->from),
		     e->from_lock, nst_ld_what(e->from, e->from_lock, what, sizeof(what)),
		     held[e->type], from);
}

static void edge_ends(const struct nst_ld_edge *e)
{
	char to[NST_LD_WHERE], what[NST_LD_WHAT];

	nst_ld_where(e->to_ip, to, sizeof(to));
	if (nst_ld_is_signal(e->to))
		line("     %s may interrupt it: it is not blocked at %s", nst_ld_class_name(e->to),
		     to);
	else if (nst_ld_is_context(e->to))
		line("     may enter %s at %s", nst_ld_class_name(e->to), to);
	else
		line("     waits for %s (%p%s)%s at %s", nst_ld_class_name(e->to), e->to_lock,
		     nst_ld_what(e->to, e->to_lock, what, sizeof(what)),
		     e->type & NST_LD_TO_R ? " as a recursive reader" : "", to);
}

static void cycle(const struct nst_ld_facts *f)
{
	u32 i;

	for (i = 0; i < f->nr_edges && i < TOLD_EDGES; i++) {
		const struct nst_ld_edge *e = nst_ld_edge_of(f, i);

		edge_begins(e, i);
		callers(e->from_ip, "       ", 0);
		edge_ends(e);
		callers(e->to_ip, "       ", 1);
	}
	if (f->nr_edges > TOLD_EDGES)
		line("  and %u more", f->nr_edges - TOLD_EDGES);
	line("     holds                    | wants");
	for (i = 0; i < f->nr_edges && i < TOLD_EDGES; i++)
		line("  %u. %s | %s", i + 1, nst_ld_class_name(nst_ld_edge_of(f, i)->from),
		     nst_ld_class_name(nst_ld_edge_of(f, i)->to));
}

/* ---- a place ---- */

static void place(const struct nst_ld_facts *f)
{
	char where[NST_LD_WHERE], what[NST_LD_WHAT];

	nst_ld_where(f->place, where, sizeof(where));
	if (f->lock)
		line("  lock %s (%p%s): %s %s", nst_ld_class_name(f->class), f->lock,
		     nst_ld_what(f->class, f->lock, what, sizeof(what)), f->why, where);
	else
		line("  %s %s", f->why, where);
	callers(f->place, "    ", 1);
}

static void said(const struct nst_ld_facts *f)
{
	char text[256];
	size_t i, n = 0;
	u32 lines = 0;

	for (i = 0; i < f->said_len && lines < TOLD_SAID; i++) {
		if (f->said[i] != '\n') {
			if (n < sizeof(text) - 1)
				text[n++] = f->said[i];
			continue;
		}
		text[n] = 0;
		n = 0;
		lines++;
		line("%s", text);
	}
}

/* ---- the thread ---- */

static const char *how_held(const struct nst_ld_held *e)
{
	return e->how & NST_LD_READ ? ", read" : e->how & NST_LD_TRY ? ", tried" : "";
}

static void held(const struct nst_ld_thread *t)
{
	char where[NST_LD_WHERE], what[NST_LD_WHAT];
	u32 i, n = 0, nr = 0;

	for (i = 0; i < nst_ld_nr(t); i++)
		nr += (u32)nst_ld_is_lock(&t->held[i]);
	line("  thread '%s' holds %u lock%s%s", nst_ld_thread_name(t->tag), nr, nr == 1 ? "" : "s",
	     nr ? ", innermost first:" : "");
	for (i = nst_ld_nr(t); i-- > 0 && n < TOLD_HELD;) {
		const struct nst_ld_held *e = &t->held[i];

		if (!nst_ld_is_lock(e))
			continue;
		n++;
		line("    %s (%p%s)%s since %s", nst_ld_class_name(e->class), e->lock,
		     nst_ld_what(e->class, e->lock, what, sizeof(what)), how_held(e),
		     nst_ld_where(e->ip, where, sizeof(where)));
	}
	if (nr > n)
		line("    and %u more", nr - n);
}

static void sections(const struct nst_ld_thread *t)
{
	char where[NST_LD_WHERE];
	u32 i;

	for (i = 0; i < nst_min(t->handlers, NST_LD_HANDLERS) && page.lines < LINES_BEFORE; i++)
		line("  in a handler of signal %u, begun at %s", t->handler[i].signal,
		     nst_ld_where(t->handler[i].from, where, sizeof(where)));
	for (i = 0; i < NST_NR_SECTIONS; i++)
		if (t->depth[i])
			line("  in a section that %s, begun %s%s", nst_ld_sections[i],
			     t->from[i] ? "at " : "with the thread (check_realtime)",
			     t->from[i] ? nst_ld_where(t->from[i], where, sizeof(where)) : "");
}

/* With callers of @room places. */
static void whole(const struct nst_ld_facts *f, u32 room, u32 waits_only)
{
	page.used = 0;
	page.lines = page.left_out = 0;
	page.callers = room;
	page.waits_only = waits_only;
	line("nostall: %s NL-%s: %s", nst_ld_level_name(f->level), nst_ld_codes[f->code],
	     nst_ld_rules[f->code]);
	if (f->nr_edges)
		cycle(f);
	if (f->place)
		place(f);
	said(f);
	if (f->thread) {
		held(f->thread);
		sections(f->thread);
	}
	if (page.left_out && room)
		line("  the callers of %u places are left out", page.left_out);
	line("  fix: %s", nst_ld_fixes[f->code]);
	line("  suppress: %s", f->rule);
	line("  read: nostall explain NL-%s; id=%016llx", nst_ld_codes[f->code],
	     (unsigned long long)f->id);
}

size_t nst_ld_text_of(const struct nst_ld_facts *f)
{
	u32 wanted, room;

	whole(f, 0, 0);
	wanted = page.left_out;
	room = LINES_MAX - page.lines;
	if (wanted && wanted <= room)
		whole(f, wanted, 0);
	else if (wanted && room > 1)
		whole(f, room - 1, 1); /* and a line that says so */
	return page.used;
}
