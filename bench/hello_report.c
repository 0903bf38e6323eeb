/* SPDX-License-Identifier: MIT */
/*
 * hello_report.c - see hello.h. No stdio: its buffers would be measured too.
 */
#define _GNU_SOURCE
#include "hello.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The number behind @key in a file of /proc. */
static long number(const char *path, const char *key)
{
	static char text[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	const char *at;

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	at = strstr(text, key);
	return at ? strtol(at + strlen(key), NULL, 10) : -1;
}

static size_t print_number(char *at, long n)
{
	char digits[24];
	size_t i = sizeof(digits), len;

	do {
		digits[--i] = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	len = sizeof(digits) - i;
	memcpy(at, digits + i, len);
	return len;
}

int hello_report(const char *when)
{
	char line[64];
	size_t n;
	long private;

	if (strcmp(when, "later") == 0)
		usleep(200000);
	private = number("/proc/self/smaps_rollup", "Private_Clean:") +
		  number("/proc/self/smaps_rollup", "Private_Dirty:");
	n = print_number(line, number("/proc/self/status", "VmRSS:"));
	line[n++] = ' ';
	n += print_number(line + n, private);
	line[n++] = '\n';
	return write(1, line, n) != (ssize_t)n;
}
