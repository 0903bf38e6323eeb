/* SPDX-License-Identifier: MIT */
/*
 * info.c - libc's names for asking what malloc holds: mallinfo(), malloc_stats(), malloc_info(). The figures
 * are those of nst_stats_read(), in the words of the manual pages as far as they fit.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#define NST_NO_MACROS
#include <nostall/nostall.h>
#include "names.h"

EXPORT struct mallinfo2 mallinfo2(void)
{
	struct mallinfo2 m = {0};
	struct nst_stats s;
	unsigned int i;

	if (nst_stats_read(&s, sizeof(s)))
		return m;
	for (i = 0; i < s.nr_nodes; i++)
		m.fordblks += s.zones[i].pages_free * NST_PAGE_SIZE;
	m.fordblks += s.large_kept_bytes;
	m.hblks = s.large_mappings;
	m.hblkhd = s.large_bytes;
	m.arena = s.resident_bytes - s.large_bytes;
	m.uordblks = m.arena - m.fordblks;
	m.keepcost = m.fordblks;
	return m;
}

EXPORT struct mallinfo mallinfo(void)
{
	struct mallinfo2 m = mallinfo2();

	return (struct mallinfo){
		.arena = (int)m.arena,
		.hblks = (int)m.hblks,
		.hblkhd = (int)m.hblkhd,
		.uordblks = (int)m.uordblks,
		.fordblks = (int)m.fordblks,
		.keepcost = (int)m.keepcost,
	};
}

EXPORT void malloc_stats(void)
{
	nst_stats_print(STDERR_FILENO);
}

NST_ALSO(__libc_mallinfo, mallinfo);

/* ---- malloc_info() ---- */

#define ROWS NST_STATS_PAGE_CACHES

struct free_objects {
	uint64_t count, bytes;
};

struct figures {
	struct nst_stats s;
	struct nst_cache_stats rows[ROWS];
	size_t nr_rows;
	uint64_t reserved, ready;
	struct free_objects fast, rest;
};

/* That malloc() is served from; a program's own have other names. */
static int is_class(const struct nst_cache_stats *row)
{
	return !strncmp(row->name, "size-", 5);
}

static void add_free(struct free_objects *to, uint64_t count, uint64_t bytes_each)
{
	to->count += count;
	to->bytes += count * bytes_each;
}

static int read_figures(struct figures *f)
{
	unsigned int i;

	if (nst_stats_read(&f->s, sizeof(f->s)))
		return -1;
	f->nr_rows = nst_stats_caches(f->rows, ROWS, sizeof(f->rows[0]));
	f->nr_rows = f->nr_rows < ROWS ? f->nr_rows : ROWS;
	for (i = 0; i < f->nr_rows; i++) {
		const struct nst_cache_stats *row = &f->rows[i];

		add_free(&f->fast, row->in_cpus + row->in_barn, row->slot_bytes);
		add_free(&f->rest, row->in_slabs, row->slot_bytes);
	}
	for (i = 0; i < f->s.nr_nodes; i++) {
		f->reserved += f->s.zones[i].pages_reserved * NST_PAGE_SIZE;
		f->ready += f->s.zones[i].pages_ready * NST_PAGE_SIZE;
		add_free(&f->rest, f->s.zones[i].pages_free, NST_PAGE_SIZE);
	}
	return 0;
}

/* Of each class: its free objects, as glibc; and those in use. */
static void print_classes(const struct figures *f, FILE *fp)
{
	uint64_t below = 0;
	size_t i;

	fprintf(fp, "<sizes>\n");
	for (i = 0; i < f->nr_rows; i++) {
		const struct nst_cache_stats *row = &f->rows[i];
		uint64_t free = row->in_slabs + row->in_cpus + row->in_barn;

		if (!is_class(row))
			continue;
		if (row->objects)
			fprintf(fp,
				"  <size from=\"%" PRIu64 "\" to=\"%" PRIu64 "\" total=\"%" PRIu64
				"\" count=\"%" PRIu64 "\" used=\"%" PRIu64 "\"/>\n",
				below + 1, row->object_bytes, free * row->slot_bytes, free,
				row->objects > free ? row->objects - free : 0);
		below = row->object_bytes;
	}
	fprintf(fp, "</sizes>\n");
}

static void print_totals(const struct figures *f, FILE *fp, int with_mappings)
{
	fprintf(fp, "<total type=\"fast\" count=\"%" PRIu64 "\" size=\"%" PRIu64 "\"/>\n",
		f->fast.count, f->fast.bytes);
	fprintf(fp, "<total type=\"rest\" count=\"%" PRIu64 "\" size=\"%" PRIu64 "\"/>\n",
		f->rest.count, f->rest.bytes);
	if (with_mappings)
		fprintf(fp, "<total type=\"mmap\" count=\"%" PRIu64 "\" size=\"%" PRIu64 "\"/>\n",
			f->s.large_mappings, f->s.large_bytes);
	fprintf(fp,
		"<system type=\"current\" size=\"%" PRIu64 "\"/>\n"
		"<system type=\"max\" size=\"%" PRIu64 "\"/>\n"
		"<aspace type=\"total\" size=\"%" PRIu64 "\"/>\n"
		"<aspace type=\"mprotect\" size=\"%" PRIu64 "\"/>\n",
		f->s.resident_bytes - f->s.large_bytes, f->s.resident_peak_bytes, f->reserved,
		f->ready);
}

/* The document that glibc writes, of one heap. Nothing is printed while a figure is being read: stdio allocates. */
EXPORT int malloc_info(int options, FILE *fp)
{
	struct figures *f;

	if (options)
		return EINVAL;
	f = nst_alloc(sizeof(*f), NST_NORMAL | NST_ZERO);
	if (!f || read_figures(f)) {
		nst_free(f);
		errno = ENOMEM;
		return -1;
	}
	fprintf(fp, "<malloc version=\"1\">\n<heap nr=\"0\" library=\"nostall %s\">\n",
		nst_version());
	print_classes(f, fp);
	print_totals(f, fp, 0);
	fprintf(fp, "</heap>\n");
	print_totals(f, fp, 1);
	fprintf(fp, "</malloc>\n");
	nst_free(f);
	return 0;
}
