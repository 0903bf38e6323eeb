/* SPDX-License-Identifier: MIT */
/*
 * pager_damaged.c - C30: what a snapshot says of itself is not believed: damaged or cut short, it is refused, or a page of it
 * is an error and zero; the others are as they were.
 */
#define _GNU_SOURCE
#include "pager.h"
#include "common/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGES 24
#define TIMES 300

static char bytes[PAGES][PAGE];
static char plain[] = "/tmp/pager-plain-XXXXXX", packed[] = "/tmp/pager-packed-XXXXXX";

/* Zero, packed and as they are. */
static void make_pages(struct rng *rng)
{
	for (int i = 0; i < PAGES; i++)
		for (size_t k = 0; k < PAGE && i % 3; k++)
			bytes[i][k] = (char)(i % 3 == 1 ? (int)(k / 64) : (int)rng_next(rng));
}

static void write_file(const char *path, const void *from, size_t n)
{
	int fd = open(path, O_WRONLY | O_TRUNC);

	if (fd < 0 || write(fd, from, n) != (ssize_t)n)
		check_broken(path);
	close(fd);
}

/* How many pages are neither right nor an error and zero. */
static uint64_t wrong_pages(uint64_t *errors)
{
	static const char zeroes[PAGE];
	struct source *src = source_snapshot(packed);
	uint64_t wrong = 0;
	char have[PAGE];

	*errors = 0;
	if (!src) {
		*errors = PAGES;
		return 0;
	}
	for (uint64_t i = 0; i < source_pages(src) + 2; i++) {
		int err = source_read(src, i, have);

		*errors += err != 0;
		wrong += err && memcmp(have, zeroes, PAGE);
		wrong += !err && i < PAGES && memcmp(have, bytes[i], PAGE);
	}
	source_close(src);
	return wrong;
}

/* A byte of the head changes, or the file is cut short: bytes of pages have no sum, so they are left alone. */
static uint64_t damage(struct rng *rng, const char *whole, size_t n)
{
	const size_t head = 16;
	char *copy = malloc(n);
	uint64_t errors;
	size_t cut = n;

	if (!copy)
		check_broken("memory");
	memcpy(copy, whole, n);
	if (rng_below(rng, 2))
		cut = rng_below(rng, (uint32_t)n);
	else
		copy[rng_below(rng, (uint32_t)head)] ^= (char)(1 + rng_below(rng, 255));
	write_file(packed, copy, cut);
	free(copy);
	return wrong_pages(&errors) + (errors == 0);
}

/* The ends of pages: any page may then be another's bytes, or an error; nothing outside is read (ASan). */
static void damage_ends(struct rng *rng, const char *whole, size_t n)
{
	char *copy = malloc(n);
	uint64_t errors;

	if (!copy)
		check_broken("memory");
	memcpy(copy, whole, n);
	for (int i = 0; i < 3; i++)
		copy[16 + rng_below(rng, 8 * PAGES)] = (char)rng_next(rng);
	write_file(packed, copy, n);
	free(copy);
	wrong_pages(&errors);
}

int main(int argc, char **argv)
{
	struct rng rng = {seed_of(argc, argv)};
	int a = mkstemp(plain), b = mkstemp(packed);
	static char whole[2 * sizeof(bytes)];
	struct source *src;
	uint64_t wrong, errors;
	size_t n;

	make_pages(&rng);
	write_file(plain, bytes, sizeof(bytes));
	src = source_file(plain);
	n = src ? source_pack(src, packed) : 0;
	source_close(src);
	if (!n || pread(b, whole, sizeof(whole), 0) != (ssize_t)n)
		check_broken("a snapshot");
	wrong = wrong_pages(&errors);
	check(wrong == 0 && errors == 2, "C30 a snapshot is what was packed", "%d pages, %d errors",
	      (int)wrong, (int)errors);
	if (!freopen("/dev/null", "w", stderr)) /* each refusal is a line */
		check_broken("stderr");
	for (int i = 0; i < TIMES; i++) {
		wrong += damage(&rng, whole, n);
		damage_ends(&rng, whole, n);
	}
	check(wrong == 0, "C30 a damaged one is not believed", "%d pages", (int)wrong);
	unlink(plain);
	unlink(packed);
	close(a);
	close(b);
	return check_status();
}
