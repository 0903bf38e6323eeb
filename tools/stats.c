// SPDX-License-Identifier: MIT
/*
 * stats.c - a snapshot as tables. Columns have the names of <nostall/stats.h> and keep them.
 *
 * What is per second stands in a column of its own, per_s, and only between two snapshots.
 */
#include "stats.h"
#include "stats_names.h"
#include "tool.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static uint64_t sum(const uint64_t *n, size_t nr)
{
	uint64_t all = 0;

	for (size_t i = 0; i < nr; i++)
		all += n[i];
	return all;
}

uint64_t stats_requests(const struct nst_stats *s)
{
	return sum(s->requests, NST_NR_MODES);
}

uint64_t stats_nulls(const struct nst_stats *s)
{
	return sum(s->nulls, NST_NR_MODES);
}

uint64_t stats_must_be_0(const struct nst_stats *s)
{
	return s->side_corrupt + s->misuse;
}

uint64_t stats_hold_ns(const struct nst_lock_stats *l, double part)
{
	uint64_t all = sum(l->hold_log2_ns, NST_HOLD_BUCKETS), seen = 0;
	unsigned int b = 0;

	if (!all)
		return 0;
	while (b < NST_HOLD_BUCKETS - 1) {
		seen += l->hold_log2_ns[b];
		if ((double)seen >= part * (double)all)
			break;
		b++;
	}
	/* The longest of its bucket; nothing was held longer than the longest. */
	return (UINT64_C(2) << b) - 1 < l->longest_hold_ns ? (UINT64_C(2) << b) - 1
							   : l->longest_hold_ns;
}

/* ---- columns ---- */

/* A column "per_s", empty without a snapshot before. */
static void rate(FILE *out, const struct shown *s, uint64_t now, uint64_t before)
{
	double seconds;

	if (s->before) {
		seconds = (double)(s->now->published_ns - s->before->published_ns) / 1e9;
		fprintf(out, " %12.1f", seconds > 0 ? (double)(now - before) / seconds : 0.0);
	}
	fputc('\n', out);
}

static void rate_title(FILE *out, const struct shown *s)
{
	fprintf(out, "%s\n", s->before ? "        per_s" : "");
}

static const struct nst_stats *before_of(const struct shown *s)
{
	return s->before ? &s->before->stats : &s->now->stats;
}

/* ---- tables ---- */

static void print_head(FILE *out, const struct shown *s)
{
	const struct nst_stats_page *p = s->now;

	fprintf(out, "process %lld (%s), nostall %s, %.1f s from start to this snapshot%s\n",
		s->pid, s->comm, p->nostall, (double)(p->published_ns - p->start_ns) / 1e9,
		p->ended ? ", which is its last" : "");
}

static void print_requests(FILE *out, const struct shown *s)
{
	const struct nst_stats *n = &s->now->stats, *b = before_of(s);

	if (!n->requests_exact)
		fprintf(out, "\nrequests: those that fast paths served are not counted "
			     "(stats:full counts them)\n");
	else
		fprintf(out, "\nrequests\n");
	fprintf(out, "%-12s %16s %16s", "mode", "requests", "nulls");
	rate_title(out, s);
	for (size_t i = 0; i < NST_NR_MODES; i++) {
		if (!n->requests[i] && !n->nulls[i])
			continue;
		fprintf(out, "%-12s %16" PRIu64 " %16" PRIu64, stats_mode_names[i], n->requests[i],
			n->nulls[i]);
		rate(out, s, n->requests[i], b->requests[i]);
	}
	fprintf(out, "\n%-12s %16s", "null_reason", "nulls");
	rate_title(out, s);
	for (size_t i = 0; i < NST_NR_NULLS; i++) {
		if (!n->null_reasons[i])
			continue;
		fprintf(out, "%-12s %16" PRIu64, stats_null_names[i], n->null_reasons[i]);
		rate(out, s, n->null_reasons[i], b->null_reasons[i]);
	}
	if (!sum(n->null_reasons, NST_NR_NULLS))
		fprintf(out, "%-12s %16d\n", "none", 0);
}

static uint64_t field(const struct nst_stats *s, const struct stats_field *f)
{
	uint64_t n;

	memcpy(&n, (const char *)s + f->offset, sizeof(n));
	return n;
}

/* @unit: what stands above the numbers; counts have a rate. */
static void print_fields(FILE *out, const struct shown *s, const char *title, const char *unit,
			 const struct stats_field *fields, size_t nr)
{
	int with_rate = !strcmp(unit, "count");
	const struct nst_stats *n = &s->now->stats, *b = before_of(s);
	struct shown plain = {.now = s->now};

	fprintf(out, "\n%-22s %16s", title, unit);
	rate_title(out, with_rate ? s : &plain);
	for (size_t i = 0; i < nr; i++) {
		fprintf(out, "%-22s %16" PRIu64, fields[i].name, field(n, &fields[i]));
		rate(out, with_rate ? s : &plain, field(n, &fields[i]), field(b, &fields[i]));
	}
}

static void print_zones(FILE *out, const struct shown *s)
{
	const struct nst_stats *n = &s->now->stats;

	fprintf(out, "\n%-4s %14s %12s %12s %10s %10s %10s %12s\n", "zone", "pages_reserved",
		"pages_ready", "pages_free", "pages_min", "pages_low", "pages_high",
		"purge_failed");
	for (unsigned int i = 0; i < n->nr_nodes; i++) {
		const struct nst_zone_stats *z = &n->zones[i];

		fprintf(out,
			"%-4u %14" PRIu64 " %12" PRIu64 " %12" PRIu64 " %10" PRIu64 " %10" PRIu64
			" %10" PRIu64 " %12" PRIu64 "\n",
			i, z->pages_reserved, z->pages_ready, z->pages_free, z->pages_min,
			z->pages_low, z->pages_high, z->purge_failed);
	}
}

static void print_locks(FILE *out, const struct shown *s)
{
	static const double parts[] = {0.5, 0.9, 0.99, 0.999};

	fprintf(out, "\n%-8s %14s %12s %10s %10s %10s %10s %10s %10s\n", "lock", "taken",
		"try_failed", "waited", "p50_ns", "p90_ns", "p99_ns", "p99_9_ns", "longest_ns");
	for (size_t i = 0; i < NST_NR_LOCKS; i++) {
		const struct nst_lock_stats *l = &s->now->stats.locks[i];

		if (!l->taken && !l->try_failed)
			continue;
		fprintf(out, "%-8s %14" PRIu64 " %12" PRIu64 " %10" PRIu64, stats_lock_names[i],
			l->taken, l->try_failed, l->waited);
		for (size_t k = 0; k < sizeof(parts) / sizeof(*parts); k++)
			fprintf(out, " %10" PRIu64, stats_hold_ns(l, parts[k]));
		fprintf(out, " %10" PRIu64 "\n", l->longest_hold_ns);
	}
}

/* ---- caches, those that hold most first ---- */

uint64_t stats_cache_bytes(const struct nst_cache_stats *c)
{
	return c->objects * c->slot_bytes;
}

uint64_t stats_cache_in_use(const struct nst_cache_stats *c)
{
	uint64_t free = c->in_slabs + c->in_cpus + c->in_barn;

	return c->objects > free ? c->objects - free : 0; /* counted while things move */
}

static int by_bytes(const void *a, const void *b)
{
	const struct nst_cache_stats *x = *(struct nst_cache_stats *const *)a;
	const struct nst_cache_stats *y = *(struct nst_cache_stats *const *)b;

	if (stats_cache_bytes(x) != stats_cache_bytes(y))
		return stats_cache_bytes(x) < stats_cache_bytes(y) ? 1 : -1;
	return strcmp(x->name, y->name);
}

size_t stats_caches_sorted(const struct nst_stats_page *p, const struct nst_cache_stats **sorted)
{
	for (uint32_t i = 0; i < p->nr_rows; i++)
		sorted[i] = &p->caches[i];
	qsort(sorted, p->nr_rows, sizeof(*sorted), by_bytes);
	return p->nr_rows;
}

void stats_name(const char *name, char *printable, size_t len)
{
	size_t i;

	for (i = 0; name[i] && i < len - 1; i++)
		printable[i] = name[i] > ' ' && name[i] <= '~' ? name[i] : '?';
	printable[i] = '\0';
}

static void print_caches(FILE *out, const struct shown *s)
{
	const struct nst_cache_stats *sorted[NST_STATS_PAGE_CACHES];
	size_t nr = stats_caches_sorted(s->now, sorted);
	char name[32];

	fprintf(out, "\n%-20s %12s %10s %7s %10s %10s %9s %9s %9s %15s %12s\n", "cache",
		"object_bytes", "slot_bytes", "slabs", "objects", "in_use", "in_cpus", "in_barn",
		"in_slabs", "stocked_per_cpu", "bytes");
	for (size_t i = 0; i < nr; i++) {
		const struct nst_cache_stats *c = sorted[i];

		stats_name(c->name, name, sizeof(name));
		fprintf(out,
			"%-20s %12" PRIu64 " %10" PRIu64 " %7" PRIu64 " %10" PRIu64 " %10" PRIu64
			" %9" PRIu64 " %9" PRIu64 " %9" PRIu64 " %15" PRIu64 " %12" PRIu64 "\n",
			name, c->object_bytes, c->slot_bytes, c->slabs, c->objects,
			stats_cache_in_use(c), c->in_cpus, c->in_barn, c->in_slabs,
			c->stocked_per_cpu, stats_cache_bytes(c));
	}
	fprintf(out, "%" PRIu32 " caches; shown are those that have slabs or a stock%s\n",
		s->now->nr_caches,
		nr == NST_STATS_PAGE_CACHES ? ", the first of them: there may be more" : "");
}

/* What no program can count of itself has no number: `doctor --prove` measures it. */
static void print_contract(FILE *out, const struct shown *s)
{
	const struct nst_stats *n = &s->now->stats;

	fprintf(out, "\nmust be 0: side_corrupt=%" PRIu64 " misuse=%" PRIu64, n->side_corrupt,
		n->misuse);
	for (size_t i = 0; i < STATS_NR_UNMEASURED; i++)
		fprintf(out, " %s=not_measured", stats_unmeasured[i]);
	fputc('\n', out);
}

/* What says that memory is short, and cannot be watched, is said once: it is no failure. */
static void print_pressure(FILE *out, const struct shown *s)
{
	const struct nst_pressure_stats *p = &s->now->stats.pressure;

	if (p->reliefs || p->limit_bytes || p->limit_events)
		print_fields(out, s, "pressure", "count", stats_pressure, STATS_NR_PRESSURE);
	if (p->error)
		fprintf(out,
			"\npressure is not watched: error %" PRIu32
			"; `nostall doctor` says of what\n",
			p->error);
}

void stats_print(FILE *out, const struct shown *s)
{
	print_head(out, s);
	print_requests(out, s);
	print_fields(out, s, "memory", "bytes", stats_memory, STATS_NR_MEMORY);
	print_zones(out, s);
	print_fields(out, s, "slow paths", "count", stats_slow, STATS_NR_SLOW);
	if (s->now->stats.retired.budget_bytes) { /* somebody retires */
		print_fields(out, s, "deferred free", "now", stats_waiting, STATS_NR_WAITING);
		print_fields(out, s, "retired by", "count", stats_retired, STATS_NR_RETIRED);
	}
	if (s->now->stats.reclaim.rounds || s->now->stats.reclaim.background_rounds)
		print_fields(out, s, "reclaim", "count", stats_reclaim, STATS_NR_RECLAIM);
	if (s->now->stats.notify.begins || s->now->stats.notify.oom_calls)
		print_fields(out, s, "notifiers", "count", stats_notify, STATS_NR_NOTIFY);
	if (s->now->stats.debt.billed_bytes)
		print_fields(out, s, "debt", "count", stats_debt, STATS_NR_DEBT);
	print_pressure(out, s);
	if (s->now->stats.compact.moved || s->now->stats.compact.refused)
		print_fields(out, s, "compaction", "count", stats_compact, STATS_NR_COMPACT);
	if (s->now->stats.speculate.success || s->now->stats.speculate.abort ||
	    s->now->stats.speculate.retry)
		print_fields(out, s, "speculation", "count", stats_speculate, STATS_NR_SPECULATE);
	print_locks(out, s);
	print_caches(out, s);
	print_contract(out, s);
}
