/* SPDX-License-Identifier: MIT */
/*
 * report_json.c - a report for programs: all of its facts as one JSON object on a line.
 *
 *	{"nostall":"report","schema":1,"code":"NL-ORDER","level":"error","id":"...","rule":"...","pid":1,
 *	 "edges":[{"thread":..,"from":{lock},"since":[frames],"to":{lock},"at":[frames]}],
 *	 "lock":{..},"why":"..","at":[..],"said":[..],"held":[..],"handlers":[..],"sections":[..],
 *	 "fix":"..","suppress":"..","modules":{"app":"/path/app"}}
 *
 * Names are bytes that a program chose: what JSON does not allow is escaped, what is no UTF-8 replaced. What there is no room for
 * is left out by whole members of lists, and counted ("left_out"), so that it always ends as it should.
 */
#include "report.h"

/* A broken variant that the tests must catch. */
#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 50 /* nothing is escaped */
#define ESCAPES 0
#else
#define ESCAPES 1
#endif

/* Of what is usual; where names are of characters to escape alone it may not do, and then all lists are left out. */
#define MEMBER_BYTES 4096u /* one edge or lock: two stacks, two locks */
#define TAIL_BYTES 6144u   /* what comes behind the lists without a bound */
#define MODULE_BYTES 2048u

static struct {
	char *text;
	size_t used, len;
	int is_cut;
} out;

/* ---- characters ---- */

static void put(char c)
{
	if (out.used + 1 < out.len)
		out.text[out.used++] = c;
	else
		out.is_cut = 1;
}

static void raw(const char *s)
{
	for (; *s; s++)
		put(*s);
}

static void number(unsigned long long n)
{
	char text[24];

	nst_format(text, sizeof(text), "%llu", n);
	raw(text);
}

/* Bytes of the UTF-8 sequence at @s; 0: it is none. */
static u32 sequence(const unsigned char *s)
{
	u32 n = s[0] < 0x80		      ? 1
		: s[0] >= 0xc2 && s[0] < 0xe0 ? 2
		: (s[0] & 0xf0) == 0xe0	      ? 3
		: s[0] >= 0xf0 && s[0] < 0xf5 ? 4
					      : 0;
	u32 i;

	for (i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* Written longer than need be, halves of pairs, beyond the last. */
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] >= 0x90))
		return 0;
	return n;
}

static void escaped(unsigned char c)
{
	char text[8];

	if (c == '"' || c == '\\') {
		put('\\');
		put((char)c);
	} else if (c < 0x20 || c == 0x7f) {
		nst_format(text, sizeof(text), "\\u%04x", (u32)c);
		raw(text);
	} else {
		put((char)c);
	}
}

static void string_of(const char *s, size_t len)
{
	size_t i = 0;
	u32 n;

	put('"');
	while (i < len && s[i]) {
		n = ESCAPES ? sequence((const unsigned char *)s + i) : 1;
		if (!n || i + n > len) {
			raw("\\ufffd");
			i++;
		} else if (n == 1 && ESCAPES) {
			escaped((unsigned char)s[i++]);
		} else {
			while (n--)
				put(s[i++]);
		}
	}
	put('"');
}

static void string(const char *s)
{
	string_of(s, (size_t)-1);
}

/* ---- members ---- */

static void key(const char *name)
{
	if (out.text[out.used - 1] != '{' && out.text[out.used - 1] != '[')
		put(',');
	string(name);
	put(':');
}

static void next(void)
{
	if (out.text[out.used - 1] != '[')
		put(',');
}

static void member(const char *name, const char *value)
{
	key(name);
	string(value);
}

static int has_room(void)
{
	return out.used + MEMBER_BYTES + TAIL_BYTES < out.len;
}

static void left_out(const char *name, u32 n)
{
	if (!n)
		return;
	key(name);
	number(n);
}

static void frames(const char *name, const void *place)
{
	const void *const *frame;
	char where[NST_LD_WHERE];
	u32 i, nr = place ? nst_ld_frames_of(place, &frame) : 0;

	key(name);
	put('[');
	for (i = 0; i < nr; i++) {
		next();
		string(nst_ld_where(frame[i], where, sizeof(where)));
	}
	put(']');
}

static void lock(const char *name, u32 class, const void *addr)
{
	char text[NST_LD_WHAT];

	key(name);
	put('{');
	member("class", nst_ld_class_name(class));
	if (!nst_ld_is_context(class)) {
		nst_format(text, sizeof(text), "%p", addr);
		member("address", text);
		nst_ld_what(class, addr, text, sizeof(text));
		member("what", *text ? text + 2 : "");
	}
	put('}');
}

/* ---- the parts ---- */

static void edges(const struct nst_ld_facts *f)
{
	u32 i;

	key("edges");
	put('[');
	for (i = 0; i < f->nr_edges && has_room(); i++) {
		const struct nst_ld_edge *e = nst_ld_edge_of(f, i);

		next();
		put('{');
		member("thread",
		       e->thread == NST_LD_MANY ? "several" : nst_ld_thread_name(e->thread));
		key("number");
		number(e->thread == NST_LD_MANY ? 0 : e->thread);
		lock("from", e->from, e->from_lock);
		member("held", e->type & NST_LD_FROM_S ? "read" : "exclusive");
		frames("since", e->from_ip);
		lock("to", e->to, e->to_lock);
		member("wanted", e->type & NST_LD_TO_R ? "recursive read" : "any");
		frames("at", e->to_ip);
		put('}');
	}
	put(']');
	left_out("edges_left_out", f->nr_edges - i);
}

static void place(const struct nst_ld_facts *f)
{
	if (f->lock)
		lock("lock", f->class, f->lock);
	member("why", f->why);
	frames("at", f->place);
}

static void said(const struct nst_ld_facts *f)
{
	size_t start = 0, i;

	key("said");
	put('[');
	for (i = 0; i < f->said_len; i++) {
		if (f->said[i] != '\n')
			continue;
		next();
		string_of(f->said + start, i - start);
		start = i + 1;
	}
	put(']');
}

static void held(const struct nst_ld_thread *t)
{
	u32 i, left = 0;

	key("held");
	put('[');
	for (i = nst_ld_nr(t); i-- > 0;) {
		const struct nst_ld_held *e = &t->held[i];

		if (!nst_ld_is_lock(e))
			continue;
		if (!has_room()) {
			left++;
			continue;
		}
		next();
		put('{');
		lock("lock", e->class, e->lock);
		member("how", e->how & NST_LD_READ ? "read" : e->how & NST_LD_TRY ? "tried" : "");
		frames("since", e->ip);
		put('}');
	}
	put(']');
	left_out("held_left_out", left);
}

static void begun(const char *name, const char *value, const void *from)
{
	next();
	put('{');
	member(name, value);
	frames("begun", from);
	put('}');
}

static void inside(const struct nst_ld_thread *t)
{
	char text[24];
	u32 i;

	key("handlers");
	put('[');
	for (i = 0; i < nst_min(t->handlers, NST_LD_HANDLERS); i++) {
		nst_format(text, sizeof(text), "%u", t->handler[i].signal);
		begun("signal", text, t->handler[i].from);
	}
	put(']');
	key("sections");
	put('[');
	for (i = 0; i < NST_NR_SECTIONS; i++)
		if (t->depth[i])
			begun("that", nst_ld_sections[i], t->from[i]);
	put(']');
}

/* Files by the names they have in places; of what has code, and room left for the end. */
static void modules(void)
{
	const struct nst_sys_mapping *m;
	u32 i;

	key("modules");
	put('{');
	for (i = 0; (m = nst_ld_mapping(i)) != NULL && out.used + MODULE_BYTES < out.len; i++)
		if (m->is_code)
			member(nst_sys_base_name(m->path), m->path);
	put('}');
}

static void lists(const struct nst_ld_facts *f)
{
	if (f->thread)
		member("thread", nst_ld_thread_name(f->thread->tag));
	if (f->nr_edges)
		edges(f);
	if (f->place)
		place(f);
	if (f->said_len)
		said(f);
	if (f->thread) {
		held(f->thread);
		inside(f->thread);
	}
	member("suppress", f->rule);
	modules();
}

static void whole(const struct nst_ld_facts *f, int all)
{
	char id[24];

	out.text = nst_ld.tables->json;
	out.len = sizeof(nst_ld.tables->json);
	out.used = 0;
	out.is_cut = 0;
	put('{');
	member("nostall", "report");
	key("schema");
	number(1);
	nst_format(id, sizeof(id), "NL-%s", nst_ld_codes[f->code]);
	member("code", id);
	member("level", nst_ld_level_name(f->level));
	nst_format(id, sizeof(id), "%016llx", (unsigned long long)f->id);
	member("id", id);
	member("rule", nst_ld_rules[f->code]);
	member("fix", nst_ld_fixes[f->code]);
	key("pid");
	number(nst_sys_pid());
	if (all)
		lists(f);
	else
		left_out("left_out", 1);
	raw("}\n");
	out.text[out.used] = 0;
}

size_t nst_ld_json_of(const struct nst_ld_facts *f)
{
	whole(f, 1);
	if (out.is_cut)
		whole(f, 0);
	return out.used;
}
