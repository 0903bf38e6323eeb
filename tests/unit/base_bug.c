/* SPDX-License-Identifier: MIT */
/*
 * base_bug.c - text without allocation: the same as snprintf(), whatever the room.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include "base/bug.h"
#include "common/check.h"

static char seen[1024];
static size_t seen_len;
static int seen_fatal;

static void sink(const char *line, size_t len, int fatal)
{
	memcpy(seen, line, len);
	seen[len] = 0;
	seen_len = len;
	seen_fatal = fatal;
}

#define SAME(...)                                                                                  \
	do {                                                                                       \
		char ours[256], libc[256];                                                         \
		size_t n = nst_format(ours, sizeof(ours), __VA_ARGS__);                            \
		int m = snprintf(libc, sizeof(libc), __VA_ARGS__);                                 \
		check(n == (size_t)m && !strcmp(ours, libc), "as snprintf: " #__VA_ARGS__,         \
		      "'%s', not '%s'", ours, libc);                                               \
	} while (0)

static void conversions(void)
{
	SAME("plain");
	SAME("%s and %s", "one", "two");
	SAME("%d %d %d", 0, INT_MAX, INT_MIN);
	SAME("%u %u", 0u, UINT_MAX);
	SAME("%x %x", 0u, 0xdeadbeefu);
	SAME("%08x", 0xbeefu);
	SAME("%c%c%%", 'a', 'b');
	SAME("%zu %lu", SIZE_MAX, ULONG_MAX);
	SAME("%llu %lld %lld", ULLONG_MAX, LLONG_MIN, LLONG_MAX);
	SAME("%p", (void *)0x1234);
}

/* Terminated in any room, and always the length of the whole text. */
static void rooms(void)
{
	char buf[32];

	for (size_t room = 0; room < sizeof(buf); room++) {
		memset(buf, '#', sizeof(buf));
		size_t n = nst_format(buf, room, "%s-%d", "twelve chars", 12345);
		check_quiet(n == 18, "length in any room", "room %zu: %zu", room, n);
		check_quiet(room == 0 || strlen(buf) == (room <= 18 ? room - 1 : 18),
			    "terminated in any room", "room %zu: '%s'", room, buf);
		check_quiet(buf[room] == '#', "nothing behind the room", "room %zu", room);
	}
	check(1, "any room", "-");
}

static void lines(void)
{
	char long_text[2000];

	nst_bug_sink = sink;
	nst_warn("%s is %d", "this", 7);
	check(!strcmp(seen, "nostall: this is 7\n") && !seen_fatal, "a warning is one line", "'%s'",
	      seen);
	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = 0;
	nst_warn("%s", long_text);
	check(seen_len < 1024 && seen[seen_len - 1] == '\n', "a long one is cut and still a line",
	      "%zu bytes", seen_len);
	nst_bug_sink = NULL;
	nst_warn("nobody listens");
}

int main(void)
{
	conversions();
	rooms();
	lines();
	return check_status();
}
