// SPDX-License-Identifier: MIT
/*
 * stats_json.c - a snapshot as one object on one line, schema 1; and the names that tables share.
 *
 * Keys are the fields of <nostall/stats.h>. A key is not taken away and does not change its meaning
 * within a schema; more may come.
 */
#include "stats.h"
#include "stats_names.h"

#include <inttypes.h>
#include <string.h>

#define NAME(name, ...) #name,
const char *const stats_mode_names[] = {NST_MODE_TABLE(NAME)};
const char *const stats_null_names[] = {NST_NULL_TABLE(NAME)};
const char *const stats_lock_names[] = {NST_LOCK_TABLE(NAME)};
#undef NAME

#define FIELD(name)                                                                                \
	{                                                                                          \
#name, offsetof(struct nst_stats, name)                                            \
	}
const struct stats_field stats_memory[] = {
	FIELD(resident_bytes), FIELD(resident_peak_bytes), FIELD(metadata_bytes),
	FIELD(large_bytes),    FIELD(large_kept_bytes),
};
#define RESERVES(name)                                                                             \
	{                                                                                          \
#name, offsetof(struct nst_stats, pools.name)                                      \
	}
const struct stats_field stats_slow[] = {
	FIELD(refills),
	FIELD(flushes),
	FIELD(slabs_made),
	FIELD(slabs_freed),
	FIELD(next_class),
	FIELD(side_pushed),
	FIELD(side_drained),
	FIELD(large_mappings),
	FIELD(worker_wakeups),
	FIELD(worker_found_work),
	FIELD(abandoned_after_fork),
	FIELD(rcu_periods),
	FIELD(rcu_stalls),
	RESERVES(prefilled),
	RESERVES(prefill_returned),
	RESERVES(pool_from_cache),
	RESERVES(pool_from_pool),
	RESERVES(pool_waited),
};
#define RETIRED(name)                                                                              \
	{                                                                                          \
#name, offsetof(struct nst_stats, retired.name)                                    \
	}
const struct stats_field stats_waiting[] = {
	RETIRED(waiting_bytes), RETIRED(head_bytes), RETIRED(budget_bytes),
	FIELD(rcu_oldest_ns),	FIELD(rcu_blocker),
};
const struct stats_field stats_retired[] = {
	RETIRED(sealed_pages), RETIRED(mixed),	RETIRED(brought_pages), RETIRED(dead_bits),
	RETIRED(runs),	       RETIRED(heads),	RETIRED(calls),		RETIRED(foreign),
	RETIRED(refused),      RETIRED(others),
};
#define RECLAIM(name)                                                                              \
	{                                                                                          \
#name, offsetof(struct nst_stats, reclaim.name)                                    \
	}
const struct stats_field stats_reclaim[] = {
	RECLAIM(rounds),
	RECLAIM(served),
	RECLAIM(background_rounds),
	RECLAIM(shrunk),
};
#define DEBT(name)                                                                                 \
	{                                                                                          \
#name, offsetof(struct nst_stats, debt.name)                                       \
	}
const struct stats_field stats_debt[] = {
	DEBT(billed_bytes), DEBT(paid_bytes), DEBT(lapsed_bytes),     DEBT(slept_off_bytes),
	DEBT(sleeps),	    DEBT(slept_us),   DEBT(longest_sleep_us),
};
#define PRESSURE(name)                                                                             \
	{                                                                                          \
#name, offsetof(struct nst_stats, pressure.name)                                   \
	}
const struct stats_field stats_pressure[] = {
	PRESSURE(stall_events), PRESSURE(group_events), PRESSURE(file_events),
	PRESSURE(limit_events), PRESSURE(reliefs),	PRESSURE(given_back),
	PRESSURE(limit_bytes),	PRESSURE(used_bytes),
};
#define COMPACT(name)                                                                              \
	{                                                                                          \
#name, offsetof(struct nst_stats, compact.name)                                    \
	}
const struct stats_field stats_compact[] = {
	COMPACT(moved),
	COMPACT(refused),
	COMPACT(freed),
	COMPACT(blocks),
};
#define SPECULATE(name)                                                                            \
	{                                                                                          \
#name, offsetof(struct nst_stats, speculate.name)                                  \
	}
const struct stats_field stats_speculate[] = {
	SPECULATE(success), SPECULATE(abort), SPECULATE(retry),
	SPECULATE(miss),    SPECULATE(nulls), SPECULATE(paid),
};
#define NOTIFY(name)                                                                               \
	{                                                                                          \
#name, offsetof(struct nst_stats, notify.name)                                     \
	}
const struct stats_field stats_notify[] = {
	NOTIFY(begins),	   NOTIFY(refused),    NOTIFY(invalidates), NOTIFY(oom_calls),
	NOTIFY(oom_again), NOTIFY(oom_passed), NOTIFY(oom_bytes),
};
const char *const stats_unmeasured[] = {"fault_in_nolock", "syscall_in_nolock", "lock_in_nolock"};

/* Bytes that are no ASCII letter become \u00XX, whatever they were meant to be: always valid JSON. */
static void put_string(FILE *out, const char *s)
{
	fputc('"', out);
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			fprintf(out, "\\u%04x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

static void put_number(FILE *out, const char *key, uint64_t n)
{
	fprintf(out, ",\"%s\":%" PRIu64, key, n);
}

/* "key":{"NAME":1,...} */
static void put_counts(FILE *out, const char *key, const char *const *names, const uint64_t *n,
		       size_t nr)
{
	fprintf(out, ",\"%s\":{", key);
	for (size_t i = 0; i < nr; i++)
		fprintf(out, "%s\"%s\":%" PRIu64, i ? "," : "", names[i], n[i]);
	fputc('}', out);
}

static void put_fields(FILE *out, const struct nst_stats *s, const struct stats_field *f, size_t nr)
{
	uint64_t n;

	for (size_t i = 0; i < nr; i++) {
		memcpy(&n, (const char *)s + f[i].offset, sizeof(n));
		put_number(out, f[i].name, n);
	}
}

static void put_retired(FILE *out, const struct nst_stats *s)
{
	fprintf(out, ",\"retired\":{\"used\":%s", s->retired.budget_bytes ? "true" : "false");
	put_fields(out, s, stats_waiting, STATS_NR_WAITING);
	put_fields(out, s, stats_retired, STATS_NR_RETIRED);
	fputc('}', out);
}

static void put_reclaim(FILE *out, const struct nst_stats *s)
{
	fprintf(out, ",\"reclaim\":{\"used\":%s", s->reclaim.rounds ? "true" : "false");
	put_fields(out, s, stats_reclaim, STATS_NR_RECLAIM);
	fputc('}', out);
}

static void put_notify(FILE *out, const struct nst_stats *s)
{
	fprintf(out, ",\"notify\":{\"used\":%s",
		s->notify.begins || s->notify.oom_calls ? "true" : "false");
	put_fields(out, s, stats_notify, STATS_NR_NOTIFY);
	fputc('}', out);
}

static void put_debt(FILE *out, const struct nst_stats *s)
{
	fprintf(out, ",\"debt\":{\"used\":%s", s->debt.billed_bytes ? "true" : "false");
	put_fields(out, s, stats_debt, STATS_NR_DEBT);
	fputc('}', out);
}

static void put_pressure(FILE *out, const struct nst_stats *s)
{
	fprintf(out, ",\"pressure\":{\"watched\":%" PRIu32 ",\"error\":%" PRIu32,
		s->pressure.watched, s->pressure.error);
	put_fields(out, s, stats_pressure, STATS_NR_PRESSURE);
	fputc('}', out);
}

static void put_compact(FILE *out, const struct nst_stats *s)
{
	fprintf(out, ",\"compact\":{\"used\":%s",
		s->compact.moved || s->compact.refused ? "true" : "false");
	put_fields(out, s, stats_compact, STATS_NR_COMPACT);
	fputc('}', out);
}

static void put_speculate(FILE *out, const struct nst_stats *s)
{
	fprintf(out, ",\"speculate\":{\"attempts\":%" PRIu64,
		s->speculate.success + s->speculate.abort + s->speculate.retry + s->speculate.miss);
	put_fields(out, s, stats_speculate, STATS_NR_SPECULATE);
	fputc('}', out);
}

static void put_locks(FILE *out, const struct nst_stats *s)
{
	fprintf(out, ",\"locks\":{");
	for (size_t i = 0; i < NST_NR_LOCKS; i++) {
		const struct nst_lock_stats *l = &s->locks[i];

		fprintf(out,
			"%s\"%s\":{\"taken\":%" PRIu64 ",\"try_failed\":%" PRIu64
			",\"waited\":%" PRIu64 ",\"hold_ns\":{\"p50\":%" PRIu64 ",\"p90\":%" PRIu64
			",\"p99\":%" PRIu64 ",\"p99_9\":%" PRIu64 ",\"longest\":%" PRIu64 "}}",
			i ? "," : "", stats_lock_names[i], l->taken, l->try_failed, l->waited,
			stats_hold_ns(l, 0.5), stats_hold_ns(l, 0.9), stats_hold_ns(l, 0.99),
			stats_hold_ns(l, 0.999), l->longest_hold_ns);
	}
	fputc('}', out);
}

static void put_zones(FILE *out, const struct nst_stats *s)
{
	fprintf(out, ",\"zones\":[");
	for (unsigned int i = 0; i < s->nr_nodes; i++) {
		const struct nst_zone_stats *z = &s->zones[i];

		fprintf(out, "%s{\"node\":%u", i ? "," : "", i);
		put_number(out, "pages_reserved", z->pages_reserved);
		put_number(out, "pages_ready", z->pages_ready);
		put_number(out, "pages_free", z->pages_free);
		put_number(out, "pages_min", z->pages_min);
		put_number(out, "pages_low", z->pages_low);
		put_number(out, "pages_high", z->pages_high);
		put_number(out, "stolen_pageblocks", z->stolen_pageblocks);
		put_number(out, "purge_failed", z->purge_failed);
		fputc('}', out);
	}
	fputc(']', out);
}

static void put_caches(FILE *out, const struct nst_stats_page *p)
{
	const struct nst_cache_stats *sorted[NST_STATS_PAGE_CACHES];
	size_t nr = stats_caches_sorted(p, sorted);

	put_number(out, "nr_caches", p->nr_caches);
	fprintf(out, ",\"caches\":[");
	for (size_t i = 0; i < nr; i++) {
		const struct nst_cache_stats *c = sorted[i];

		fprintf(out, "%s{\"name\":", i ? "," : "");
		put_string(out, c->name);
		put_number(out, "object_bytes", c->object_bytes);
		put_number(out, "slot_bytes", c->slot_bytes);
		put_number(out, "slabs", c->slabs);
		put_number(out, "objects", c->objects);
		put_number(out, "in_use", stats_cache_in_use(c));
		put_number(out, "in_cpus", c->in_cpus);
		put_number(out, "in_barn", c->in_barn);
		put_number(out, "in_slabs", c->in_slabs);
		put_number(out, "stocked_per_cpu", c->stocked_per_cpu);
		put_number(out, "bytes", stats_cache_bytes(c));
		fputc('}', out);
	}
	fputc(']', out);
}

/* null: what a program cannot count of itself. */
static void put_contract(FILE *out, const struct nst_stats *s)
{
	fprintf(out, ",\"must_be_0\":{\"side_corrupt\":%" PRIu64 ",\"misuse\":%" PRIu64,
		s->side_corrupt, s->misuse);
	for (size_t i = 0; i < STATS_NR_UNMEASURED; i++)
		fprintf(out, ",\"%s\":null", stats_unmeasured[i]);
	fputc('}', out);
}

void stats_print_json(FILE *out, const struct shown *s)
{
	const struct nst_stats_page *p = s->now;

	fprintf(out, "{\"schema\":1,\"pid\":%lld,\"comm\":", s->pid);
	put_string(out, s->comm);
	fprintf(out, ",\"program\":");
	put_string(out, p->program);
	fprintf(out, ",\"nostall\":");
	put_string(out, p->nostall);
	put_number(out, "start_ns", p->start_ns);
	put_number(out, "published_ns", p->published_ns);
	fprintf(out, ",\"ended\":%s,\"requests_exact\":%s", p->ended ? "true" : "false",
		p->stats.requests_exact ? "true" : "false");
	put_counts(out, "requests", stats_mode_names, p->stats.requests, NST_NR_MODES);
	put_counts(out, "nulls", stats_mode_names, p->stats.nulls, NST_NR_MODES);
	put_counts(out, "null_reasons", stats_null_names, p->stats.null_reasons, NST_NR_NULLS);
	put_fields(out, &p->stats, stats_memory, STATS_NR_MEMORY);
	put_fields(out, &p->stats, stats_slow, STATS_NR_SLOW);
	put_retired(out, &p->stats);
	put_reclaim(out, &p->stats);
	put_notify(out, &p->stats);
	put_debt(out, &p->stats);
	put_pressure(out, &p->stats);
	put_compact(out, &p->stats);
	put_speculate(out, &p->stats);
	put_zones(out, &p->stats);
	put_locks(out, &p->stats);
	put_caches(out, p);
	put_contract(out, &p->stats);
	fprintf(out, "}\n");
}
