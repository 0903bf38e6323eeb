/* SPDX-License-Identifier: MIT */
/*
 * report.h - within the folder: the facts of one report, from which text and JSON are made.
 *
 *	report.c  gathers them, once a cause; counts; tells      name.c  places and locks in words
 *	report_text.c, report_json.c  the two forms of them      suppress.c  which of them nobody wants
 */
#ifndef NST_LOCKDEP_REPORT_H
#define NST_LOCKDEP_REPORT_H

#include "engine.h"

#define NST_LD_TOLD_EDGES 32u
#define NST_LD_WHERE 128u     /* bytes of a place in words */
#define NST_LD_WHAT 320u      /* of a lock */
#define NST_LD_RULE_TEXT 512u /* of a line that suppresses */

/** struct nst_ld_facts - of the report under way; whoever has entered writes it */
struct nst_ld_facts {
	enum nst_lockdep_code code;
	enum nst_lockdep_level level;
	u64 id;
	const struct nst_ld_thread *thread;    /* NULL: it is about several */
	u32 edge[NST_LD_TOLD_EDGES], nr_edges; /* numbers, of a cycle */
	u32 class;			       /* else: of @lock, if there is one */
	const void *lock, *place;
	const char *why;
	char said[1024]; /* other lines, each with its end */
	size_t said_len;
	char rule[NST_LD_RULE_TEXT]; /* by which it is suppressed */
};

extern const char *const nst_ld_codes[NST_NR_LOCKDEP_CODES] NST_HIDDEN;
extern const char *const nst_ld_rules[NST_NR_LOCKDEP_CODES] NST_HIDDEN;
extern const char *const nst_ld_fixes[NST_NR_LOCKDEP_CODES] NST_HIDDEN;

static inline const char *nst_ld_class_name(u32 class)
{
	return class ? nst_ld.tables->class[class].name : "?";
}
static inline const char *nst_ld_level_name(enum nst_lockdep_level level)
{
	return level == NST_LD_ERROR ? "error" : "possible";
}
const struct nst_ld_edge *nst_ld_edge_of(const struct nst_ld_facts *f, u32 i);
/* It is a lock, and held. */
static inline int nst_ld_is_lock(const struct nst_ld_held *e)
{
	return nst_ld_is_held(e) && !(e->how & NST_LD_CONTEXT);
}
/* In words, what comes behind "in a section that ". */
extern const char *const nst_ld_sections[NST_NR_SECTIONS] NST_HIDDEN;

/* Made in tables->text and tables->json, terminated; how long they are. */
size_t nst_ld_text_of(const struct nst_ld_facts *f);
size_t nst_ld_json_of(const struct nst_ld_facts *f);

/* ---- name.c ---- */

/* A report or dump begins: what is mapped where may have changed since the last. Needs: entered, as all of these. */
void nst_ld_names_begin(void);
/* What a lock is beside its address: ", app+0x4080" and so on; "" if nothing is known. */
const char *nst_ld_what(u32 class, const void *lock, char *buf, size_t len);
/* The @i-th file that is mapped; NULL: there are no more. */
const struct nst_sys_mapping *nst_ld_mapping(u32 i);

/* ---- suppress.c ---- */

/* The line that suppresses @f, into f->rule. @id: gives its id, which takes a while. */
void nst_ld_rule_of(struct nst_ld_facts *f, u64 (*id)(struct nst_ld_facts *f));
/* Does a rule? @id is called only where one asks for it. */
int nst_ld_is_suppressed(struct nst_ld_facts *f, u64 (*id)(struct nst_ld_facts *f));
/* The file that the option names. */
void nst_ld_suppress_init(void);

#endif
