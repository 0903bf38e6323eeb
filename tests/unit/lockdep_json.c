/* SPDX-License-Identifier: MIT */
/*
 * lockdep_json.c - V19: a report as JSON is one object on one line, valid whatever names are in it, with what the text says and more.
 *
 * Python reads it. A library that escapes nothing must be caught (50).
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "unit/lockdep.h"

#define LOCKS 12
static struct nst_lockdep_map m[LOCKS];
static const char *const names[LOCKS] = {
	"a \"quoted\" name",
	"back\\slash and / slash",
	"line\nfeed\tand\rmore\x01\x1f\x7f",
	"gr\xc3\xbc\xc3\x9f, \xe6\xbc\xa2, \xf0\x9f\x94\x92",
	"no utf-8: \xff \xc3( \xe0\x80\x80 \xed\xa0\x80 \xf4\x90\x80\x80 \xc3",
	"cut amid a letter, which is of two bytes\xc3\xa4",
	"cut amid a letter, which is of 2 bytes\xc3\xa4\xc3\xa4",
	"",
	"{}[]:,",
	"%s%n\\u0041",
	"0123456789012345678901234567890123456789",
	"last"};

static FILE *file;
static char path[] = "/tmp/nostall-json-XXXXXX";
static unsigned int nr_ids_alike, nr_json;

static void write_json(const struct nst_lockdep_report *r, void *arg)
{
	char id[24];

	keep(r, arg);
	fwrite(r->json, 1, r->json_len, file);
	nr_json++;
	snprintf(id, sizeof(id), "%016llx", (unsigned long long)r->id);
	nr_ids_alike += strstr(r->json, id) && strstr(r->text, id) && r->json[r->json_len] == 0 &&
			r->json_len == strlen(r->json);
}

static void fresh(void)
{
	make_locks(m, names, LOCKS);
	nst_lockdep_reset();
}

static void *both(void *arg)
{
	const unsigned int *p = arg;

	pthread_setname_np(pthread_self(), "\"\\\x02\xff");
	take_both(&m[p[0]], &m[p[1]]);
	return NULL;
}

/* A ring of all of them. */
static void ring(void)
{
	unsigned int i;

	fresh();
	for (i = 0; i < LOCKS; i++) {
		unsigned int p[2] = {i, (i + 1) % LOCKS};

		in_thread(both, p);
	}
	fresh();
	for (i = 0; i < LOCKS; i++) {
		unsigned int p[2] = {i, (i + 1) % LOCKS}, q[2] = {p[1], p[0]};

		in_thread(both, p);
		in_thread(both, q);
	}
}

/* As much as there can be: 1,000 held, handlers in handlers, sections. */
static void crowd(void)
{
	static struct nst_lockdep_map many[1000];
	unsigned int i;

	nst_lockdep_reset();
	nst_nonblock_begin();
	nst_noalloc_begin();
	nst_allow_begin("much is held");
	for (i = 0; i < 1000; i++) {
		nst_lockdep_map_init(&many[i], names[i % LOCKS], NULL, NST_WAIT_SLEEP,
				     NST_WAIT_SLEEP);
		nst_lockdep_acquire(&many[i], NST_LD_TRY);
	}
	for (i = 0; i < 8; i++)
		nst_handler_enter(40 + (int)i);
	nst_assert_held(&m[0]);
	for (i = 0; i < 8; i++)
		nst_handler_exit();
	for (i = 1000; i-- > 0;)
		nst_lockdep_release(&many[i]);
	nst_allow_end();
	nst_noalloc_end();
	nst_nonblock_end();
}

static const char script[] =
	"import json, sys\n"
	"seen = set()\n"
	"for line in open(sys.argv[1], 'rb'):\n"
	"    o = json.loads(line.decode('utf-8'))\n"
	"    assert o['nostall'] == 'report' and o['schema'] == 1 and o['code'].startswith('NL-'), o\n"
	"    assert len(o['id']) == 16 and o['level'] in ('error', 'possible') and o['rule'] and o['fix'], o\n"
	"    for e in o.get('edges', []):\n"
	"        seen.add(e['from']['class'])\n"
	"        assert e['since'] and e['at'] and '+0x' in e['at'][0] and e['to']['address'][:2] == '0x', e\n"
	"        assert e['at'][0].split('+')[0] in o['modules'], o['modules']\n"
	"    if o['code'] == 'NL-HELD':\n"
	"        assert len(o['held']) + o['held_left_out'] == 1000 and len(o['held']) > 2, o\n"
	"        assert len(o['handlers']) == 8 and len(o['sections']) == 3, o\n"
	"        seen.add('crowd')\n"
	"        assert o['held'][0]['how'] == 'tried', o\n"
	"    else:\n"
	"        assert o['edges'] and o['suppress'].startswith('NL-ORDER '), o\n"
	"for name in ('a \"quoted\" name', 'back\\\\slash and / slash', 'line\\nfeed\\tand\\rmore\\x01\\x1f\\x7f',\n"
	"        'gr\\u00fc\\u00df, \\u6f22, \\U0001f512', '', '{}[]:,', '%s%n\\\\u0041', 'last', 'crowd'):\n"
	"    assert name in seen, (name, seen)\n"
	"assert any(name.startswith('no utf-8: \\ufffd ') for name in seen), seen\n"
	"print('good')\n";

/* 0: python says so; 1: it does not; 2: there is none. */
static int python(void)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		/* The sanitizers' preloads, and ours, are not for it. */
		unsetenv("LD_PRELOAD");
		execlp("python3", "python3", "-c", script, path, (char *)NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		check_broken("fork");
	return status == 0 ? 0 : WIFEXITED(status) && WEXITSTATUS(status) == 127 ? 2 : 1;
}

int main(void)
{
	int fd = mkstemp(path), result;

	if (fd < 0 || !(file = fdopen(fd, "w")))
		check_broken("mkstemp");
	nst_lockdep_on_report(write_json, NULL);
	if (nst_lockdep_start(NST_LD_POSSIBLE))
		check_broken("nst_lockdep_start");
	ring();
	crowd();
	nst_lockdep_reset();
	nst_lockdep_stop();
	fclose(file);
	check(nr_json >= LOCKS, "V19 reports", "%u", nr_json);
	check(nr_ids_alike == nr_json, "V19 text and JSON say the same id", "%u of %u",
	      nr_ids_alike, nr_json);
	result = python();
	if (result == 2)
		check_skip("no python3");
	check(result == 0, "V19 an object a line, as python reads it", "see above");
	unlink(path);
	return check_status();
}
