/* SPDX-License-Identifier: MIT */
/*
 * sys_option.c - NOSTALL_CONF: what is taken, what is refused and how it is said.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "sys/sys.h"
#include "common/check.h"

static char said[2048];

static void sink(const char *line, size_t len, int fatal)
{
	(void)fatal;
	strncat(said, line,
		len < sizeof(said) - strlen(said) - 1 ? len : sizeof(said) - strlen(said) - 1);
}

static void read_conf(const char *conf)
{
	said[0] = 0;
	setenv("NOSTALL_CONF", conf, 1);
	nst_option_init();
}

static void taken(const char *conf, enum nst_option o, u64 value)
{
	read_conf(conf);
	check(nst_option(o) == value && !said[0], "taken", "%s: %llu, '%s'", conf,
	      (unsigned long long)nst_option(o), said);
}

static void refused(const char *conf, enum nst_option o, const char *line)
{
	u64 before = nst_option(o);

	read_conf(conf);
	check(nst_option(o) == before, "the value before stays", "%s: %llu", conf,
	      (unsigned long long)nst_option(o));
	check(strstr(said, line) && strchr(said, '\n') == said + strlen(said) - 1, "one line",
	      "%s: '%s', not '%s'", conf, said, line);
}

static void from_file(void)
{
	char path[] = "/tmp/nostall-option-XXXXXX", conf[64];
	int fd = mkstemp(path);
	static const char text[] = "# a comment line\ndebug:2\nmax:7M\nunknown:1\n";

	if (fd < 0 || write(fd, text, sizeof(text) - 1) < 0)
		check_broken(path);
	close(fd);
	snprintf(conf, sizeof(conf), "debug:1,conf_file:%s,high:2M", path);
	read_conf(conf);
	check(nst_option(NST_OPT_debug) == 2 && nst_option(NST_OPT_max) == (u64)7 << 20 &&
		      nst_option(NST_OPT_high) == (u64)2 << 20,
	      "a file is read in its place", "debug %llu max %llu high %llu",
	      (unsigned long long)nst_option(NST_OPT_debug),
	      (unsigned long long)nst_option(NST_OPT_max),
	      (unsigned long long)nst_option(NST_OPT_high));
	check(strstr(said, "unknown option 'unknown'") != NULL, "an unknown key in a file is said",
	      "'%s'", said);
	unlink(path);
	read_conf(conf);
	check(strstr(said, "cannot read conf_file:") && strstr(said, path),
	      "a missing file is said", "'%s'", said);
}

static void as_text(void)
{
	char text[256], little[8];

	read_conf("debug:3,worker:off");
	size_t n = nst_option_text(text, sizeof(text));
	check(strstr(text, "debug:3,worker:off") == text && n == strlen(text),
	      "what differs, as one would write it", "'%s'", text);
	check(nst_option_text(little, sizeof(little)) == n && strlen(little) == sizeof(little) - 1,
	      "cut to the room", "'%s'", little);
}

/* What would be taken and what not, with nothing taken. */
static void check_only(void)
{
	static const struct {
		const char *conf, *why;
	} cases[] = {
		{"", ""},
		{"debug:3,max:5M,,worker:off", ""},
		{"conf_file:/no/such/file", ""},
		{"publish_dir:/tmp", ""},
		{"debug:1,debug:4,walk:1", "debug:4 is out of range; allowed: 0 to 3"},
		{"walk:1", "unknown option 'walk'; allowed: conf_file, publish_dir, debug"},
		{"debug", "debug: is out of range"},
		{"max:many", "max:many is not a size"},
		{"publish:maybe", "publish:maybe is not known; allowed: off|on"},
		{"pressure:auto,pressure:off,pressure:/proc/pressure/memory,pressure_stall:2000",
		 ""},
		{"pressure:here", "pressure:here is not known; allowed: auto|off|PATH"},
		{"pressure:PATH", "pressure:PATH is not known"},
		{"pressure_stall:0", "pressure_stall:0 is out of range; allowed: 1 to 2000"},
		{"publish_dir:here", "publish_dir is not a path that begins with /"},
	};
	u64 debug;

	read_conf("debug:2,max:1M");
	debug = nst_option(NST_OPT_debug);
	for (size_t i = 0; i < NST_ARRAY_SIZE(cases); i++) {
		char why[256] = "left over", little[4] = "abc";
		int wanted = cases[i].why[0] ? -22 : 0;
		int rc = nst_option_check(cases[i].conf, why, sizeof(why));

		check(rc == wanted && !strncmp(why, cases[i].why, strlen(cases[i].why)) &&
			      (wanted || !why[0]),
		      "checked", "%s: %d, '%s'", cases[i].conf, rc, why);
		check(nst_option_check(cases[i].conf, little, sizeof(little)) == wanted &&
			      strlen(little) < sizeof(little) &&
			      nst_option_check(cases[i].conf, NULL, 0) == wanted,
		      "checked with little room", "%s: '%.4s'", cases[i].conf, little);
	}
	check(nst_option(NST_OPT_debug) == debug && !said[0], "nothing is taken and nothing said",
	      "debug:%llu, '%s'", (unsigned long long)nst_option(NST_OPT_debug), said);
}

static void a_folder(void)
{
	char conf[NST_PUBLISH_DIR_MAX + 64], long_path[NST_PUBLISH_DIR_MAX + 2] = "/";

	read_conf("publish_dir:/tmp/a:b");
	check(!strcmp(nst_option_publish_dir(), "/tmp/a:b") && !said[0], "publish_dir is taken",
	      "'%s', '%s'", nst_option_publish_dir(), said);
	memset(long_path + 1, 'x', NST_PUBLISH_DIR_MAX);
	snprintf(conf, sizeof(conf), "publish_dir:%s", long_path);
	refused(conf, NST_OPT_debug, "publish_dir is not a path that begins with /");
	refused("publish_dir:", NST_OPT_debug, "publish_dir is not a path that begins with /");
	check(!strcmp(nst_option_publish_dir(), "/tmp/a:b"), "the one before stays", "'%s'",
	      nst_option_publish_dir());
}

int main(void)
{
	nst_bug_sink = sink;
	taken("debug:3", NST_OPT_debug, 3);
	taken("debug:1,debug:2", NST_OPT_debug, 2);
	taken("worker:off", NST_OPT_worker, 0);
	taken("worker:on", NST_OPT_worker, 1);
	taken("sequences:none", NST_OPT_sequences, 1);
	taken("sequences:auto", NST_OPT_sequences, 0);
	taken("pressure:/a/b:c", NST_OPT_pressure, NST_PRESSURE_PATH);
	check(!strcmp(nst_option_pressure_path(), "/a/b:c"), "pressure takes a path", "'%s'",
	      nst_option_pressure_path());
	taken("pressure:off", NST_OPT_pressure, NST_PRESSURE_OFF);
	check(!*nst_option_pressure_path(), "or none", "'%s'", nst_option_pressure_path());
	refused("pressure:here", NST_OPT_pressure,
		"pressure:here is not known; allowed: auto|off|PATH");
	taken("max:3K", NST_OPT_max, 3072);
	taken("max:5M", NST_OPT_max, (u64)5 << 20);
	taken("max:2G,", NST_OPT_max, (u64)2 << 30);
	taken("max:4096", NST_OPT_max, 4096);
	taken(",,debug:0,,", NST_OPT_debug, 0);
	taken("", NST_OPT_debug, 0);
	refused("debug:4", NST_OPT_debug, "debug:4 is out of range; allowed: 0 to 3");
	refused("debug:", NST_OPT_debug, "debug:");
	refused("debug:x", NST_OPT_debug, "debug:x is out of range");
	refused("debug:18446744073709551617", NST_OPT_debug, "is out of range");
	refused("max:17179869184G", NST_OPT_max, "is not a size");
	refused("max:1T", NST_OPT_max, "max:1T is not a size");
	refused("worker:yes", NST_OPT_worker, "worker:yes is not known; allowed: off|on");
	refused("no_such:1", NST_OPT_debug,
		"unknown option 'no_such'; allowed: conf_file, publish_dir, debug");
	refused("debugger:1", NST_OPT_debug, "unknown option 'debugger'");
	refused("debu:1", NST_OPT_debug, "unknown option 'debu'");
	from_file();
	as_text();
	check_only();
	a_folder();
	return check_status();
}
