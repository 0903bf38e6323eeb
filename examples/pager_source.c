// SPDX-License-Identifier: MIT
/*
 * pager_source.c - where pages come from: a file, or a snapshot whose pages are packed one by one (LZ4).
 *
 *	snapshot: | magic | pages | end of page 0 | end of page 1 | ... | bytes of page 0 | bytes of page 1 | ...
 *
 * Ends count from where the bytes begin. A page of no bytes is zero, one of 4096 is as it is, any other packed. What a
 * snapshot says of itself is not believed: a page that is not what it should be is an error, and zero.
 */
#define _GNU_SOURCE
#include "pager.h"

#include <errno.h>
#include <fcntl.h>
#include <lz4.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAGIC UINT64_C(0x31676170746c6c73)

struct header {
	uint64_t magic, pages, end[];
};

struct source {
	int fd;
	uint64_t bytes, pages;
	const struct header *map; /* of a snapshot */
	const char *packed;
	uint64_t packed_bytes;
	struct timespec delay;
};

static struct source *failed(struct source *src, const char *path, const char *why)
{
	fprintf(stderr, "pager: %s: %s\n", path, why);
	source_close(src);
	return NULL;
}

struct source *source_file(const char *path)
{
	struct source *src = calloc(1, sizeof(*src));
	struct stat st;

	if (!src)
		return failed(NULL, path, "no memory");
	src->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (src->fd < 0 || fstat(src->fd, &st))
		return failed(src, path, strerror(errno));
	src->bytes = (uint64_t)st.st_size;
	src->pages = (src->bytes + PAGE - 1) / PAGE;
	return src->pages ? src : failed(src, path, "is empty");
}

struct source *source_snapshot(const char *path)
{
	struct source *src = source_file(path);
	const struct header *h;

	if (!src || src->bytes < sizeof(*h))
		return src ? failed(src, path, "is no snapshot") : NULL;
	h = mmap(NULL, src->bytes, PROT_READ, MAP_SHARED, src->fd, 0);
	if (h == MAP_FAILED)
		return failed(src, path, strerror(errno));
	src->map = h;
	if (h->magic != MAGIC || h->pages == 0 || h->pages > (src->bytes - sizeof(*h)) / 8)
		return failed(src, path, "is no snapshot");
	src->pages = h->pages;
	src->packed = (const char *)&h->end[h->pages];
	src->packed_bytes = src->bytes - sizeof(*h) - 8 * h->pages;
	return h->end[h->pages - 1] == src->packed_bytes ? src : failed(src, path, "is damaged");
}

void source_close(struct source *src)
{
	void *map = src ? (void *)(uintptr_t)src->map : NULL;

	if (map)
		munmap(map, src->bytes);
	if (src && src->fd >= 0)
		close(src->fd);
	free(src);
}

uint64_t source_pages(const struct source *src)
{
	return src->pages;
}

void source_delay(struct source *src, long us)
{
	src->delay = (struct timespec){us / 1000000, us % 1000000 * 1000};
}

/* ---- read ---- */

static int unpack(const struct source *src, uint64_t page, void *to)
{
	uint64_t from = page ? src->map->end[page - 1] : 0, end = src->map->end[page];
	int n = (int)(end - from);

	if (from > end || end > src->packed_bytes || end - from > PAGE)
		return -1;
	if (n == 0)
		memset(to, 0, PAGE);
	else if (n == (int)PAGE)
		memcpy(to, src->packed + from, PAGE);
	else
		return LZ4_decompress_safe(src->packed + from, to, n, PAGE) == (int)PAGE ? 0 : -1;
	return 0;
}

static int read_file(const struct source *src, uint64_t page, char *to)
{
	size_t n = 0;

	while (n < PAGE) {
		ssize_t got = pread(src->fd, to + n, PAGE - n, (off_t)(page * PAGE + n));

		if (got < 0 && errno != EINTR)
			return -1;
		if (got == 0)
			break;
		n += got > 0 ? (size_t)got : 0;
	}
	memset(to + n, 0, PAGE - n); /* behind its end */
	return 0;
}

int source_read(const struct source *src, uint64_t page, void *to)
{
	int err = -1;

	if (!src) {
		memset(to, 0, PAGE);
		return 0;
	}
	if (src->delay.tv_nsec)
		nanosleep(&src->delay, NULL);
	if (page < src->pages)
		err = src->map ? unpack(src, page, to) : read_file(src, page, to);
	if (err)
		memset(to, 0, PAGE);
	return err;
}

/* ---- pack ---- */

static int is_zero(const char *bytes)
{
	return !bytes[0] && !memcmp(bytes, bytes + 1, PAGE - 1);
}

/* Writes a page: its packed bytes, or -1. */
static long pack_page(const struct source *src, uint64_t page, FILE *out)
{
	char bytes[PAGE], packed[LZ4_COMPRESSBOUND(PAGE)];
	int n;

	if (source_read(src, page, bytes))
		return -1;
	if (is_zero(bytes))
		return 0;
	n = LZ4_compress_default(bytes, packed, PAGE, sizeof(packed));
	if (n <= 0 || n >= (int)PAGE)
		return fwrite(bytes, PAGE, 1, out) == 1 ? (long)PAGE : -1;
	return fwrite(packed, (size_t)n, 1, out) == 1 ? n : -1;
}

static uint64_t pack_all(const struct source *src, struct header *h, FILE *out)
{
	size_t head = sizeof(*h) + 8 * src->pages;
	uint64_t bytes = 0;

	if (fseek(out, (long)head, SEEK_SET))
		return 0;
	for (uint64_t i = 0; i < src->pages; i++) {
		long n = pack_page(src, i, out);

		if (n < 0)
			return 0;
		bytes += (uint64_t)n;
		h->end[i] = bytes;
	}
	rewind(out);
	return fwrite(h, head, 1, out) == 1 ? head + bytes : 0;
}

uint64_t source_pack(const struct source *src, const char *path)
{
	struct header *h = malloc(sizeof(*h) + 8 * src->pages);
	FILE *out = fopen(path, "we");
	uint64_t bytes = 0;

	if (h && out) {
		h->magic = MAGIC;
		h->pages = src->pages;
		bytes = pack_all(src, h, out);
	}
	free(h);
	if (out && fclose(out))
		bytes = 0;
	if (!bytes)
		fprintf(stderr, "pager: %s: cannot be written\n", path);
	return bytes;
}
