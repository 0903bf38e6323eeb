/* SPDX-License-Identifier: MIT */
/*
 * suppress.c - reports that nobody wants: rules, a line each, as every report ends with one.
 *
 *	NL-ORDER locks=cache,list   # the list's owner never evicts
 *	NL-BLOCK id=76caa5d922402197
 *	NL-LONG module=libfoo.so*
 *
 * locks= names those of the cycle, wherever it begins, or the one lock; module= the file of the place that is reported, or of one
 * of the cycle's; * stands for any letters of a name. What a name may not be written with in a line is %XX. id= is that
 * of one cause, and changes with the program. Of several all must fit.
 *
 * Rules are added by who has entered, and never taken away. Fork: the child has them.
 */
#include "report.h"

/* A broken variant that the tests must catch. */
#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 49 /* a rule is for all of its code */
#define ANY_LOCKS 1
#else
#define ANY_LOCKS 0
#endif

#if defined(NST_TEST) && defined(NST_BUSTED) &&                                                    \
	NST_BUSTED == 75 /* one for a module is for all of its code */
#define ANY_MODULE 1
#else
#define ANY_MODULE 0
#endif

#define RULES 128u
#define LOCKS_BYTES 208u
#define MODULE_BYTES 80u

struct rule {
	u64 id; /* 0: any */
	u32 code, has_locks;
	char locks[LOCKS_BYTES];   /* "a,b" */
	char module[MODULE_BYTES]; /* "": any */
};

static struct rule rules[RULES];
static u32 nr_rules;

/* ---- names in a line ---- */

static int is_plain(char c)
{
	return (unsigned char)c > ' ' && c != '%' && c != ',' && c != '#' && c != '*' && c != 0x7f;
}

static size_t put_name(char *to, size_t len, const char *name)
{
	size_t n = 0;

	for (; *name; name++) {
		const u32 c = (unsigned char)*name;
		const size_t room = n < len ? len - n : 0;

		if (is_plain(*name))
			n += nst_format(room ? to + n : NULL, room, "%c", (int)c);
		else
			n += nst_format(room ? to + n : NULL, room, "%%%02x", c);
	}
	return n;
}

static u32 nr_locks(const struct nst_ld_facts *f)
{
	return f->nr_edges ? f->nr_edges : f->lock ? 1 : 0;
}

static const char *lock_name(const struct nst_ld_facts *f, u32 i)
{
	return nst_ld_class_name(f->nr_edges ? nst_ld_edge_of(f, i)->from : f->class);
}

/* ---- does it match? ---- */

/* How far both are the same. */
static u32 begins(const char *s, const char *with)
{
	u32 n = 0;

	while (with[n] && s[n] == with[n])
		n++;
	return with[n] ? 0 : n;
}

/* @pattern goes to its comma or end. */
static int is_pattern_end(char c)
{
	return !c || c == ',';
}

int nst_ld_name_matches(const char *pattern, const char *name)
{
	const char *star = NULL, *from = NULL;

	for (;;) {
		if (*pattern == '*') {
			star = ++pattern;
			from = name;
		} else if (is_pattern_end(*pattern) && !*name) {
			return 1;
		} else if (*name && *pattern == *name) {
			pattern++;
			name++;
		} else if (star && *from) {
			pattern = star;
			name = ++from;
		} else {
			return 0;
		}
	}
}

/* Its locks, from the @first on. */
static int locks_match(const char *locks, const struct nst_ld_facts *f, u32 first)
{
	char name[3 * NST_LD_NAME];
	u32 i, nr = nr_locks(f);

	for (i = 0; i < nr; i++) {
		put_name(name, sizeof(name), lock_name(f, (first + i) % nr));
		if (!nst_ld_name_matches(locks, name))
			return 0;
		while (!is_pattern_end(*locks))
			locks++;
		if (!*locks)
			return i + 1 == nr;
		locks++;
	}
	return 0;
}

/* The file of a place in words, which ends where it has its +0x. */
static int module_matches(const char *module, const char *where, const char *plus)
{
	char file[NST_LD_WHERE], name[3 * NST_LD_WHERE];
	const size_t len = nst_min((size_t)(plus - where), sizeof(file) - 1);

	__builtin_memcpy(file, where, len);
	file[len] = 0;
	put_name(name, sizeof(name), file);
	return nst_ld_name_matches(module, name);
}

/* The last +0x before @end. */
static const char *plus_of(const char *s, char end)
{
	const char *plus = NULL;

	for (; *s && *s != end && *s != '\n'; s++)
		if (s[0] == '+' && s[1] == '0' && s[2] == 'x')
			plus = s;
	return plus;
}

static int place_is_in(const char *module, const void *place)
{
	char where[NST_LD_WHERE];
	const char *plus = plus_of(nst_ld_where(place, where, sizeof(where)), 0);

	return plus && module_matches(module, where, plus);
}

/* A line of a report that has no other places: what is behind "at" and "since". */
static int said_is_in(const char *module, const char *s)
{
	for (; *s; s++) {
		const u32 n = begins(s, " at ") + begins(s, " since ");
		const char *plus = n ? plus_of(s + n, ' ') : NULL;

		if (plus && module_matches(module, s + n, plus))
			return 1;
	}
	return 0;
}

static int is_in_module(const char *module, const struct nst_ld_facts *f)
{
	u32 i;

	for (i = 0; i < f->nr_edges; i++)
		if (place_is_in(module, nst_ld_edge_of(f, i)->from_ip) ||
		    place_is_in(module, nst_ld_edge_of(f, i)->to_ip))
			return 1;
	return (f->place && place_is_in(module, f->place)) ||
	       (f->said_len && said_is_in(module, f->said));
}

static int rule_matches(const struct rule *r, struct nst_ld_facts *f,
			u64 (*id)(struct nst_ld_facts *f))
{
	u32 i;

	if (r->code != (u32)f->code || (r->id && id(f) != r->id))
		return 0;
	if (r->module[0] && !ANY_MODULE && !is_in_module(r->module, f))
		return 0;
	if (!r->has_locks || ANY_LOCKS)
		return 1;
	for (i = 0; i < nr_locks(f); i++)
		if (locks_match(r->locks, f, i))
			return 1;
	return 0;
}

int nst_ld_is_suppressed(struct nst_ld_facts *f, u64 (*id)(struct nst_ld_facts *f))
{
	u32 i;

	for (i = 0; i < nr_rules; i++)
		if (rule_matches(&rules[i], f, id))
			return 1;
	return 0;
}

void nst_ld_rule_of(struct nst_ld_facts *f, u64 (*id)(struct nst_ld_facts *f))
{
	size_t n = nst_format(f->rule, sizeof(f->rule), "NL-%s ", nst_ld_codes[f->code]), start = n;
	u32 i, nr = nr_locks(f);

	for (i = 0; i < nr && n < sizeof(f->rule); i++) {
		n += nst_format(f->rule + n, sizeof(f->rule) - n, i ? "," : "locks=");
		if (n < sizeof(f->rule))
			n += put_name(f->rule + n, sizeof(f->rule) - n, lock_name(f, i));
	}
	/* Of no lock, or of more than a rule has room for. */
	if (!nr || n - start >= LOCKS_BYTES)
		nst_format(f->rule + start, sizeof(f->rule) - start, "id=%016llx",
			   (unsigned long long)id(f));
}

/* ---- a line is read ---- */

static const char allowed[] =
	"NL-CODE, then locks=NAME,NAME, module=FILE or id= and 16 digits, then # and a reason";

static u32 word_len(const char *s)
{
	u32 n = 0;

	while (s[n] && s[n] != ' ' && s[n] != '\t' && s[n] != '\n' && s[n] != '\r' && s[n] != '#')
		n++;
	return n;
}

static const char *skip(const char *s)
{
	while (*s == ' ' || *s == '\t' || *s == '\r')
		s++;
	return s;
}

static int is_end(const char *s)
{
	return !*s || *s == '\n' || *s == '#';
}

static int code_of(const char *s, u32 len, u32 *code)
{
	for (*code = 0; *code < NST_NR_LOCKDEP_CODES; (*code)++) {
		const u32 n = begins(s, "NL-");
		const u32 more = n ? begins(s + n, nst_ld_codes[*code]) : 0;

		if (more && n + more == len)
			return 1;
	}
	return 0;
}

/* A file as places name it: without its folder. */
static const char *module_into(struct rule *r, const char *s, u32 len)
{
	u32 i;

	if (!len || len >= MODULE_BYTES)
		return "is no file's name, or too long";
	for (i = 0; i < len; i++)
		if (s[i] == '/' || s[i] == ',')
			return "is no file's name";
	__builtin_memcpy(r->module, s, len);
	r->module[len] = 0;
	return NULL;
}

/* NULL, or what is wrong with the word at @s. */
static const char *word_into(struct rule *r, const char *s, u32 len)
{
	u32 n = begins(s, "id=");

	if (n)
		return nst_sys_hex(s + n, &r->id) == s + len && len - n == 16 && r->id ? NULL
										       : "is no id";
	n = begins(s, "module=");
	if (n)
		return module_into(r, s + n, len - n);
	n = begins(s, "locks=");
	if (!n)
		return "is not known";
	if (len == n || len - n >= LOCKS_BYTES)
		return "is no list of locks, or too long";
	__builtin_memcpy(r->locks, s + n, len - n);
	r->locks[len - n] = 0;
	r->has_locks = 1;
	return NULL;
}

/* 1: a rule; 0: nothing; -EINVAL, and in @why what is wrong. */
static int parse(const char *s, struct rule *r, char *why, size_t room)
{
	const char *wrong = NULL;
	char word[40];
	u32 n;

	*r = (struct rule){.id = 0};
	s = skip(s);
	if (is_end(s))
		return 0;
	n = word_len(s);
	if (!code_of(s, n, &r->code))
		wrong = "is no code";
	while (!wrong && !is_end(s = skip(s + n))) {
		n = word_len(s);
		wrong = word_into(r, s, n);
	}
	if (!wrong && !r->id && !r->has_locks && !r->module[0])
		nst_format(why, room, "it says none of locks=, module= and id=");
	else if (!wrong)
		return 1;
	if (wrong) {
		nst_format(word, nst_min(sizeof(word), n + 1), "%s", s);
		nst_format(why, room, "'%s' %s", word, wrong);
	}
	return -22;
}

static int add(const char *line, char *why, size_t room)
{
	struct rule r;
	int what = parse(line, &r, why, room);

	if (what <= 0)
		return what;
	if (nr_rules == RULES) {
		nst_format(why, room, "there is room for %u rules", RULES);
		return -28;
	}
	rules[nr_rules++] = r;
	return 0;
}

/* Also before the library has started, when nst_warn() is told nobody. */
static void complain(const char *what, const char *of, const char *why)
{
	char line[640];
	size_t n = nst_format(line, sizeof(line), "nostall: %s%s: %s; allowed: %s\n", what, of, why,
			      allowed);

	nst_sys_console(line, nst_min(n, sizeof(line) - 1), 0);
}

int nst_lockdep_suppress(const char *rule)
{
	struct nst_ld_entered in;
	char why[160];
	int err;

	if (!rule)
		return -22;
	in = nst_ld_enter(nst_thread.lockdep);
	err = add(rule, why, sizeof(why));
	if (err)
		complain("nst_lockdep_suppress", "", why);
	nst_ld_leave(in);
	return err;
}

/* Needs: entered, whose buffer it takes. */
void nst_ld_suppress_init(void)
{
	const char *path = nst_option_check_suppress(), *s = nst_ld.tables->json;
	static u32 is_read;
	char why[160], where[NST_CHECK_PATH_MAX + 16];
	u32 line;
	long n;

	if (!*path || is_read)
		return;
	is_read = 1;
	n = nst_sys_read_file(path, nst_ld.tables->json, sizeof(nst_ld.tables->json));
	if (n < 0) {
		nst_format(why, sizeof(why),
			   "cannot read (error %d); a file of at most %zu bytes is needed", (int)-n,
			   sizeof(nst_ld.tables->json) - 1);
		complain("check_suppress:", path, why);
		return;
	}
	for (line = 1; *s; line++) {
		if (add(s, why, sizeof(why))) {
			nst_format(where, sizeof(where), "%s:%u", path, line);
			complain("check_suppress:", where, why);
		}
		while (*s && *s++ != '\n')
			;
	}
}
