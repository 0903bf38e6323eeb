/* SPDX-License-Identifier: MIT */
/*
 * bug.c - text without allocation: numbers and strings into a buffer the caller owns.
 */
#include "bug.h"

void (*nst_bug_sink)(const char *line, size_t len, int fatal);
void (*nst_bug_caller)(const void *addr, char *buf, size_t len);

struct out {
	char *buf;
	size_t len, used;
};

static void put(struct out *o, char c)
{
	if (o->used + 1 < o->len)
		o->buf[o->used] = c;
	o->used++;
}

static void put_string(struct out *o, const char *s)
{
	for (s = s ? s : "(null)"; *s; s++)
		put(o, *s);
}

static void put_number(struct out *o, u64 v, unsigned int base, unsigned int width)
{
	char digits[24];
	unsigned int n = 0;

	do {
		digits[n++] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	for (; width > n; width--)
		put(o, '0');
	while (n)
		put(o, digits[--n]);
}

static void put_signed(struct out *o, long long v)
{
	if (v < 0)
		put(o, '-');
	put_number(o, v < 0 ? 0 - (u64)v : (u64)v, 10, 0);
}

static u64 unsigned_arg(va_list *ap, int longs)
{
	if (longs >= 2)
		return va_arg(*ap, unsigned long long);
	return longs ? va_arg(*ap, unsigned long) : va_arg(*ap, unsigned int);
}

static long long signed_arg(va_list *ap, int longs)
{
	if (longs >= 2)
		return va_arg(*ap, long long);
	return longs ? va_arg(*ap, long) : va_arg(*ap, int);
}

static void put_conversion(struct out *o, char kind, int longs, unsigned int width, va_list *ap)
{
	switch (kind) {
	case 's':
		put_string(o, va_arg(*ap, const char *));
		break;
	case 'c':
		put(o, (char)va_arg(*ap, int));
		break;
	case 'd':
		put_signed(o, signed_arg(ap, longs));
		break;
	case 'u':
		put_number(o, unsigned_arg(ap, longs), 10, width);
		break;
	case 'x':
		put_number(o, unsigned_arg(ap, longs), 16, width);
		break;
	case 'p':
		put_string(o, "0x");
		put_number(o, (u64)(uintptr_t)va_arg(*ap, void *), 16, 0);
		break;
	default:
		put(o, kind);
	}
}

size_t nst_format_va(char *buf, size_t len, const char *fmt, va_list args)
{
	struct out o = {buf, len, 0};
	va_list ap;

	va_copy(ap, args);
	for (; *fmt; fmt++) {
		unsigned int width = 0;
		int longs = 0;

		if (*fmt != '%') {
			put(&o, *fmt);
			continue;
		}
		for (fmt++; *fmt >= '0' && *fmt <= '9'; fmt++)
			width = width * 10 + (unsigned int)(*fmt - '0');
		for (; *fmt == 'l' || *fmt == 'z'; fmt++)
			longs++;
		if (!*fmt)
			break;
		put_conversion(&o, *fmt, longs, width, &ap);
	}
	va_end(ap);
	if (len)
		buf[o.used < len ? o.used : len - 1] = 0;
	return o.used;
}

size_t nst_format(char *buf, size_t len, const char *fmt, ...)
{
	va_list ap;
	size_t n;

	va_start(ap, fmt);
	n = nst_format_va(buf, len, fmt, ap);
	va_end(ap);
	return n;
}

static void report(const char *fmt, va_list ap, int fatal)
{
	char line[512];
	size_t n = nst_format(line, sizeof(line), "nostall: ");

	n += nst_format_va(line + n, sizeof(line) - n - 1, fmt, ap);
	if (n > sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	if (nst_bug_sink)
		nst_bug_sink(line, n, fatal);
}

void nst_misuse_line(int fatal, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report(fmt, ap, fatal);
	va_end(ap);
}

void nst_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report(fmt, ap, 0);
	va_end(ap);
}

void nst_corrupt(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report(fmt, ap, 1);
	va_end(ap);
	__builtin_trap();
}
