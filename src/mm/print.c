/* SPDX-License-Identifier: MIT */
/*
 * print.c - the summary: one fact a line, key=value, units in the key.
 */
#include "mm.h"

static const char *const null_names[] = {
#define ROW(name, ...) #name,
	NST_NULL_TABLE(ROW)
#undef ROW
};
static const char *const lock_names[] = {
#define ROW(name, ...) #name,
	NST_LOCK_TABLE(ROW)
#undef ROW
};

struct out {
	int fd, err;
};

static void line(struct out *o, const char *fmt, ...) NST_PRINTF(2, 3);
static void line(struct out *o, const char *fmt, ...)
{
	char text[384];
	va_list ap;
	size_t n;

	va_start(ap, fmt);
	n = nst_format_va(text, sizeof(text) - 1, fmt, ap);
	va_end(ap);
	n = nst_min(n, sizeof(text) - 2);
	text[n++] = '\n';
	if (!o->err)
		o->err = nst_sys_write_all(o->fd, text, n);
}

static unsigned long long ull(u64 v)
{
	return v;
}

static void print_requests(struct out *o, const struct nst_stats *s)
{
	unsigned int i;

	line(o, "requests_exact=%u%s", s->requests_exact,
	     s->requests_exact ? "" : " (slow paths only; stats:full counts all)");
	for (i = 0; i < NST_NR_MODES; i++)
		if (s->requests[i] || s->nulls[i])
			line(o, "requests mode=%s count=%llu null=%llu", nst_mode_rows[i].name,
			     ull(s->requests[i]), ull(s->nulls[i]));
	for (i = 0; i < NST_NR_NULLS; i++)
		if (s->null_reasons[i])
			line(o, "null reason=%s count=%llu", null_names[i],
			     ull(s->null_reasons[i]));
	line(o, "refills=%llu flushes=%llu next_class=%llu", ull(s->refills), ull(s->flushes),
	     ull(s->next_class));
}

static void print_memory(struct out *o, const struct nst_stats *s)
{
	unsigned int i;

	line(o, "resident_bytes=%llu resident_peak_bytes=%llu metadata_bytes=%llu",
	     ull(s->resident_bytes), ull(s->resident_peak_bytes), ull(s->metadata_bytes));
	line(o, "large_mappings=%llu large_bytes=%llu large_kept_bytes=%llu",
	     ull(s->large_mappings), ull(s->large_bytes), ull(s->large_kept_bytes));
	line(o, "rcu_periods=%llu rcu_stalls=%llu rcu_oldest_ns=%llu rcu_domains=%llu",
	     ull(s->rcu_periods), ull(s->rcu_stalls), ull(s->rcu_oldest_ns), ull(s->rcu_domains));
	line(o, "slabs_made=%llu slabs_freed=%llu", ull(s->slabs_made), ull(s->slabs_freed));
	for (i = 0; i < s->nr_nodes; i++) {
		const struct nst_zone_stats *z = &s->zones[i];

		line(o, "zone node=%u pages_ready=%llu pages_free=%llu min=%llu low=%llu high=%llu",
		     i, ull(z->pages_ready), ull(z->pages_free), ull(z->pages_min),
		     ull(z->pages_low), ull(z->pages_high));
	}
}

static void print_caches(struct out *o)
{
	struct nst_cache_stats s;
	u32 id;

	for (id = 1; id <= nst_nr_caches; id++) {
		if (nst_stats_cache(id, &s) || !s.slabs)
			continue;
		line(o,
		     "cache name=%s object_bytes=%llu slot_bytes=%llu slabs=%llu objects=%llu in_use=%llu "
		     "in_cpus=%llu in_barn=%llu in_slabs=%llu stocked_per_cpu=%llu",
		     s.name, ull(s.object_bytes), ull(s.slot_bytes), ull(s.slabs), ull(s.objects),
		     ull(s.objects - nst_min(s.objects, s.in_cpus + s.in_barn + s.in_slabs)),
		     ull(s.in_cpus), ull(s.in_barn), ull(s.in_slabs), ull(s.stocked_per_cpu));
	}
}

static void print_retired(struct out *o, const struct nst_retired_stats *r)
{
	if (!r->budget_bytes) /* nobody retires */
		return;
	line(o, "retired waiting_bytes=%llu head_bytes=%llu budget_bytes=%llu",
	     ull(r->waiting_bytes), ull(r->head_bytes), ull(r->budget_bytes));
	line(o,
	     "retired sealed_pages=%llu mixed=%llu brought_pages=%llu dead_bits=%llu runs=%llu heads=%llu calls=%llu "
	     "foreign=%llu refused=%llu others=%llu",
	     ull(r->sealed_pages), ull(r->mixed), ull(r->brought_pages), ull(r->dead_bits),
	     ull(r->runs), ull(r->heads), ull(r->calls), ull(r->foreign), ull(r->refused),
	     ull(r->others));
}

static void print_reclaim(struct out *o, const struct nst_reclaim_stats *r)
{
	if (r->rounds || r->background_rounds)
		line(o, "reclaim rounds=%llu served=%llu background_rounds=%llu shrunk=%llu",
		     ull(r->rounds), ull(r->served), ull(r->background_rounds), ull(r->shrunk));
}

static void print_notify(struct out *o, const struct nst_notify_stats *r)
{
	if (r->begins || r->invalidates)
		line(o, "notified begins=%llu refused=%llu invalidates=%llu", ull(r->begins),
		     ull(r->refused), ull(r->invalidates));
	if (r->oom_calls)
		line(o, "oom calls=%llu again=%llu passed=%llu bytes=%llu", ull(r->oom_calls),
		     ull(r->oom_again), ull(r->oom_passed), ull(r->oom_bytes));
}

static void print_debt(struct out *o, const struct nst_debt_stats *r)
{
	if (r->billed_bytes)
		line(o,
		     "debt billed_bytes=%llu paid_bytes=%llu lapsed_bytes=%llu slept_off_bytes=%llu sleeps=%llu "
		     "slept_us=%llu longest_sleep_us=%llu",
		     ull(r->billed_bytes), ull(r->paid_bytes), ull(r->lapsed_bytes),
		     ull(r->slept_off_bytes), ull(r->sleeps), ull(r->slept_us),
		     ull(r->longest_sleep_us));
}

static void print_compact(struct out *o, const struct nst_compact_stats *r)
{
	if (r->moved || r->refused)
		line(o, "compact moved=%llu refused=%llu freed=%llu blocks=%llu", ull(r->moved),
		     ull(r->refused), ull(r->freed), ull(r->blocks));
}

static void print_speculate(struct out *o, const struct nst_speculate_stats *s)
{
	if (!(s->success | s->abort | s->retry | s->miss)) /* nobody speculates */
		return;
	line(o, "speculate success=%llu abort=%llu retry=%llu miss=%llu nulls=%llu paid=%llu",
	     ull(s->success), ull(s->abort), ull(s->retry), ull(s->miss), ull(s->nulls),
	     ull(s->paid));
}

static void print_pressure(struct out *o, const struct nst_pressure_stats *p)
{
	if (p->reliefs || p->limit_bytes || p->error || p->stall_events || p->group_events ||
	    p->file_events)
		line(o,
		     "pressure stall_events=%llu group_events=%llu file_events=%llu limit_events=%llu reliefs=%llu "
		     "given_back=%llu limit_bytes=%llu used_bytes=%llu watched=%u error=%u",
		     ull(p->stall_events), ull(p->group_events), ull(p->file_events),
		     ull(p->limit_events), ull(p->reliefs), ull(p->given_back), ull(p->limit_bytes),
		     ull(p->used_bytes), p->watched, p->error);
}

static void print_pools(struct out *o, const struct nst_pool_stats *r)
{
	if (r->prefilled)
		line(o, "prefilled objects=%llu returned=%llu", ull(r->prefilled),
		     ull(r->prefill_returned));
	if (r->pool_from_cache || r->pool_from_pool)
		line(o, "pools from_cache=%llu from_pool=%llu waited=%llu", ull(r->pool_from_cache),
		     ull(r->pool_from_pool), ull(r->pool_waited));
}

static void print_locks(struct out *o, const struct nst_stats *s)
{
	unsigned int i;

	for (i = 0; i < NST_NR_LOCKS; i++)
		if (s->locks[i].taken)
			line(o,
			     "lock class=%s taken=%llu try_failed=%llu waited=%llu longest_hold_ns=%llu",
			     lock_names[i], ull(s->locks[i].taken), ull(s->locks[i].try_failed),
			     ull(s->locks[i].waited), ull(s->locks[i].longest_hold_ns));
}

static void print_contract(struct out *o, const struct nst_stats *s)
{
	line(o, "side_pushed=%llu side_drained=%llu side_corrupt=%llu misuse=%llu",
	     ull(s->side_pushed), ull(s->side_drained), ull(s->side_corrupt), ull(s->misuse));
	line(o, "worker_wakeups=%llu worker_found_work=%llu abandoned_after_fork=%llu",
	     ull(s->worker_wakeups), ull(s->worker_found_work), ull(s->abandoned_after_fork));
	/* A program cannot see these of itself; doctor --prove measures them. */
	line(o, "fault_in_nolock=not_measured syscall_in_nolock=not_measured "
		"lock_in_nolock=not_measured");
}

int nst_stats_print(int fd)
{
	struct out o = {fd, 0};
	struct nst_stats s;

	if (nst_stats_read(&s, sizeof(s)))
		return -12;
	print_requests(&o, &s);
	print_memory(&o, &s);
	print_caches(&o);
	print_retired(&o, &s.retired);
	print_reclaim(&o, &s.reclaim);
	print_notify(&o, &s.notify);
	print_debt(&o, &s.debt);
	print_pressure(&o, &s.pressure);
	print_compact(&o, &s.compact);
	print_speculate(&o, &s.speculate);
	print_pools(&o, &s.pools);
	print_locks(&o, &s);
	print_contract(&o, &s);
	return o.err;
}
