/* SPDX-License-Identifier: MIT */
/*
 * option.c - NOSTALL_CONF=key:value,key:value and the file it may name (conf_file:PATH).
 *
 * The table is option_table.h; five keys take a text and are not in it: a path conf_file, publish_dir, check_log and
 * check_suppress, a word check_realtime; pressure may take a path. A setuid program reads nothing. What is not understood
 * gives one line that names it and what is allowed; the rest still counts.
 */
#include <fcntl.h>
#include "sys.h"
#include "syscall.h"

extern char **environ;

struct option {
	const char *name, *kind;
	u64 value, def, least, most;
};

static struct option options[NST_NR_OPTIONS] = {
#define NST_OPTION(name, kind, def, least, most, text) {#name, kind, def, def, least, most},
#include "option_table.h"
#undef NST_OPTION
};

static char publish_dir[NST_PUBLISH_DIR_MAX + 1], pressure_path[NST_PRESSURE_PATH_MAX + 1],
	check_log[NST_CHECK_PATH_MAX + 1], check_suppress[NST_CHECK_PATH_MAX + 1],
	check_realtime[NST_CHECK_REALTIME_MAX + 1];

/* Keys whose value is a text. */
static const struct text_key {
	const char *name;
	char *text;
	u32 most, is_path;
} text_keys[] = {{"publish_dir", publish_dir, NST_PUBLISH_DIR_MAX, 1},
		 {"check_log", check_log, NST_CHECK_PATH_MAX, 1},
		 {"check_suppress", check_suppress, NST_CHECK_PATH_MAX, 1},
		 {"check_realtime", check_realtime, NST_CHECK_REALTIME_MAX, 0}};

u64 nst_option(enum nst_option o)
{
	return options[o].value;
}

int nst_option_is_given(enum nst_option o)
{
	return options[o].value != options[o].def;
}

const char *nst_option_publish_dir(void)
{
	return publish_dir;
}

const char *nst_option_check_log(void)
{
	return check_log;
}

const char *nst_option_check_suppress(void)
{
	return check_suppress;
}

const char *nst_option_check_realtime(void)
{
	return check_realtime;
}

const char *nst_option_pressure_path(void)
{
	return options[NST_OPT_pressure].value == NST_PRESSURE_PATH ? pressure_path : "";
}

struct word {
	const char *s;
	size_t len;
};

static int word_is(struct word w, const char *s)
{
	size_t i;

	for (i = 0; i < w.len; i++)
		if (s[i] != w.s[i])
			return 0;
	return s[w.len] == 0;
}

/* Text of a word for a message. */
static const char *word_text(struct word w, char *buf, size_t len)
{
	size_t i, n = nst_min(w.len, len - 1);

	for (i = 0; i < n; i++)
		buf[i] = w.s[i];
	buf[n] = 0;
	return buf;
}

static int parse_bytes(struct word w, int suffix, u64 *out)
{
	u64 v = 0;
	size_t i;

	for (i = 0; i < w.len && w.s[i] >= '0' && w.s[i] <= '9'; i++) {
		if (v > (~0ull - 9) / 10)
			return 0;
		v = v * 10 + (u64)(w.s[i] - '0');
	}
	if (i == 0)
		return 0;
	if (suffix && i + 1 == w.len) {
		unsigned int shift = w.s[i] == 'K'   ? 10
				     : w.s[i] == 'M' ? 20
				     : w.s[i] == 'G' ? 30
						     : 0;

		if (!shift || v > (~0ull >> shift))
			return 0;
		v <<= shift;
		i++;
	}
	*out = v;
	return i == w.len;
}

/* The place of a word in "a|b|c". */
static int parse_choice(struct word w, const char *choices, u64 *out)
{
	u64 at = 0;

	while (*choices) {
		struct word c = {choices, 0};
		char buf[32];

		while (c.s[c.len] && c.s[c.len] != '|')
			c.len++;
		if (word_is(w, word_text(c, buf, sizeof(buf)))) {
			*out = at;
			return 1;
		}
		choices += c.len + (c.s[c.len] == '|');
		at++;
	}
	return 0;
}

/* Else it is one of some words. */
static int is_number(const struct option *o)
{
	return o->kind[0] == 'b' || (o->kind[0] == 'n' && o->kind[1] == 'u');
}

static int is_path(struct word value, size_t most)
{
	return value.len && value.len <= most && value.s[0] == '/';
}

/* A word that is none of the others: PATH, the last. */
static int parse_path(struct word w, u64 *out)
{
	*out = NST_PRESSURE_PATH;
	return is_path(w, NST_PRESSURE_PATH_MAX);
}

static int parse_value(const struct option *o, struct word w, u64 *out)
{
	int ok;

	if (word_is(w, "") && w.len == 0)
		return 0;
	if (o == &options[NST_OPT_pressure] && (w.s[0] == '/' || w.s[0] == 'P'))
		return parse_path(w, out);
	if (!is_number(o))
		return parse_choice(w, o->kind, out);
	ok = parse_bytes(w, o->kind[0] == 'b', out);
	return ok && *out >= o->least && *out <= o->most;
}

static struct option *find(struct word key)
{
	unsigned int i;

	for (i = 0; i < NST_NR_OPTIONS; i++)
		if (word_is(key, options[i].name))
			return &options[i];
	return NULL;
}

static const struct text_key *find_text(struct word key)
{
	unsigned int i;

	for (i = 0; i < NST_ARRAY_SIZE(text_keys); i++)
		if (word_is(key, text_keys[i].name))
			return &text_keys[i];
	return NULL;
}

/* ---- what is wrong with a word, as text ---- */

struct text {
	char *buf;
	size_t len;
};

static void say_unknown(struct text *why, struct word key)
{
	char buf[64], known[512];
	size_t n = 0;
	unsigned int i;

	known[0] = 0;
	for (i = 0; i < NST_NR_OPTIONS; i++)
		n += nst_format(known + n, sizeof(known) - n, ", %s", options[i].name);
	nst_format(why->buf, why->len,
		   "unknown option '%s'; allowed: conf_file, publish_dir%s, check_log, "
		   "check_suppress, check_realtime",
		   word_text(key, buf, sizeof(buf)), known);
}

static void say_value(struct text *why, const struct option *o, struct word value)
{
	char buf[64];

	word_text(value, buf, sizeof(buf));
	if (o->kind[0] == 'n' && o->kind[1] == 'u')
		nst_format(why->buf, why->len, "%s:%s is out of range; allowed: %llu to %llu",
			   o->name, buf, (unsigned long long)o->least, (unsigned long long)o->most);
	else if (o->kind[0] == 'b')
		nst_format(why->buf, why->len,
			   "%s:%s is not a size; allowed: %llu to %llu, with K, M or G", o->name,
			   buf, (unsigned long long)o->least, (unsigned long long)o->most);
	else
		nst_format(why->buf, why->len, "%s:%s is not known; allowed: %s", o->name, buf,
			   o->kind);
}

/*
 * 1 if the word is understood; else @why says what is wrong. An option of the table comes out with its
 * value, a key with a path as NULL.
 */
static int understand(struct word key, struct word value, struct option **o, u64 *v,
		      struct text *why)
{
	const struct text_key *t;

	*o = NULL;
	if (word_is(key, "conf_file"))
		return 1;
	t = find_text(key);
	if (t) {
		if (t->is_path ? is_path(value, t->most) : value.len && value.len <= t->most)
			return 1;
		nst_format(
			why->buf, why->len,
			t->is_path
				? "%s is not a path that begins with / and has at most %u bytes"
				: "%s is neither policy nor a thread's name, of at most %u bytes",
			t->name, t->most);
		return 0;
	}
	*o = find(key);
	if (!*o)
		say_unknown(why, key);
	else if (parse_value(*o, value, v))
		return 1;
	else
		say_value(why, *o, value);
	return 0;
}

/* ---- words of a text ---- */

static int is_end(char c)
{
	return c == 0 || c == ',' || c == '\n' || c == ' ';
}

static void for_each_word(const char *s, void (*fn)(struct word key, struct word value, void *arg),
			  void *arg)
{
	while (*s) {
		struct word key = {s, 0}, value;

		while (!is_end(key.s[key.len]) && key.s[key.len] != ':')
			key.len++;
		value.s = key.s + key.len + (key.s[key.len] == ':');
		value.len = 0;
		while (!is_end(value.s[value.len]))
			value.len++;
		if (key.len && key.s[0] != '#')
			fn(key, value, arg);
		s = value.s + value.len + (value.s[value.len] != 0);
	}
}

static void set_in_file(struct word key, struct word value, void *arg);

static void read_conf_file(struct word path)
{
	char name[256], text[4096];
	long fd, n = -1;

	word_text(path, name, sizeof(name));
	fd = nst_syscall(SYS_openat, AT_FDCWD, (long)name, O_RDONLY | O_CLOEXEC, 0, 0, 0);
	if (fd >= 0) {
		n = nst_syscall(SYS_read, fd, (long)text, sizeof(text) - 1, 0, 0, 0);
		nst_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
	}
	if (n < 0) {
		nst_warn("NOSTALL_CONF: cannot read conf_file:%s (error %d); a readable file of "
			 "key:value lines is needed",
			 name, (int)-(fd < 0 ? fd : n));
		return;
	}
	text[n] = 0;
	for_each_word(text, set_in_file, NULL);
}

static void set_pressure(u64 v, struct word value)
{
	options[NST_OPT_pressure].value = v;
	if (v == NST_PRESSURE_PATH)
		word_text(value, pressure_path, sizeof(pressure_path));
}

static void set(struct word key, struct word value, void *arg)
{
	char said[640];
	struct text why = {said, sizeof(said)};
	struct option *o;
	u64 v = 0;

	(void)arg;
	if (!understand(key, value, &o, &v, &why))
		nst_warn("NOSTALL_CONF: %s", said);
	else if (o == &options[NST_OPT_pressure])
		set_pressure(v, value);
	else if (o)
		o->value = v;
	else if (word_is(key, "conf_file"))
		read_conf_file(value);
	else
		word_text(value, find_text(key)->text, find_text(key)->most + 1);
}

static void set_in_file(struct word key, struct word value, void *arg)
{
	char said[640];
	struct text why = {said, sizeof(said)};

	if (!word_is(key, "conf_file")) {
		set(key, value, arg);
		return;
	}
	say_unknown(&why, key);
	nst_warn("NOSTALL_CONF: %s", said);
}

/* ---- the same without taking any ---- */

struct check {
	struct text why;
	int bad;
};

static void check_word(struct word key, struct word value, void *arg)
{
	struct check *c = arg;
	struct option *o;
	u64 v;

	if (!c->bad)
		c->bad = !understand(key, value, &o, &v, &c->why);
}

int nst_option_check(const char *conf, char *why, size_t len)
{
	struct check c = {{why, len}, 0};

	if (len)
		why[0] = 0;
	for_each_word(conf, check_word, &c);
	return c.bad ? -22 : 0;
}

/* ---- start ---- */

void nst_option_init(void)
{
	static const char name[] = "NOSTALL_CONF=";
	char **e;
	size_t i;

	if (nst_sys_is_setuid())
		return;
	for (e = environ; e && *e; e++) {
		for (i = 0; name[i] && (*e)[i] == name[i]; i++)
			;
		if (!name[i])
			for_each_word(*e + i, set, NULL);
	}
}

/* As one would write it. */
static const char *value_text(const struct option *o, char *buf, size_t len)
{
	struct word w = {o->kind, 0};
	u64 skip = o->value;

	if (o == &options[NST_OPT_pressure] && o->value == NST_PRESSURE_PATH)
		return pressure_path;
	if (is_number(o)) {
		nst_format(buf, len, "%llu", (unsigned long long)o->value);
		return buf;
	}
	while (skip)
		skip -= *w.s++ == '|';
	while (w.s[w.len] && w.s[w.len] != '|')
		w.len++;
	return word_text(w, buf, len);
}

size_t nst_option_text(char *buf, size_t len)
{
	char value[32];
	size_t n = 0;
	unsigned int i;

	if (len)
		buf[0] = 0;
	for (i = 0; i < NST_NR_OPTIONS; i++)
		if (options[i].value != options[i].def)
			n += nst_format(n < len ? buf + n : NULL, n < len ? len - n : 0, "%s%s:%s",
					n ? "," : "", options[i].name,
					value_text(&options[i], value, sizeof(value)));
	return n;
}
