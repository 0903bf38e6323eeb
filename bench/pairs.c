/* SPDX-License-Identifier: MIT */
/*
 * pairs.c - what does an allocation and its free cost, beside glibc, jemalloc, mimalloc and tcmalloc?
 *
 * All contestants take one short slice in turn (thread CPU time, about 0.5 ms after a warm-up), so that
 * each round sees one state of the machine; ratios are medians over rounds of the two slices of the same
 * round. A few generations of processes average over the luck of addresses. What each pattern does is in
 * pairs.h.
 *
 *	pairs limits	instead: what is it charged to an account, where there are accounts, from a prefilled sheaf?
 */
#include "pairs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SAMPLES 256
#define MAX_CHILDREN (BENCH_MAX_PEERS + 6)

enum child_kind { ALONE, THREADS, NST, NST_STOCKED, DRAINED, NST_BESIDE, NST_CHARGED };

/* One line of the tables: a way to allocate, in a process of its library. */
struct row {
	const char *name;
	unsigned int child;
	uint32_t variant;
	int is_peer; /* plain malloc of one of the four: what "fastest peer" means */
};

static struct child_setup {
	struct bench_child child;
	enum child_kind kind;
	struct bench_peer peer;
} children[MAX_CHILDREN];
static unsigned int nr_children;

#define MAX_ROWS (2 * BENCH_MAX_PEERS + 12)
static struct row rows[MAX_ROWS];
static unsigned int nr_rows;

/* Samples of one pattern and size: ns by row and round; NaN where a row has no such job. */
struct samples {
	double ns[MAX_ROWS][MAX_SAMPLES], alloc_ns[MAX_ROWS][MAX_SAMPLES];
	uint64_t wrong[MAX_ROWS];
	size_t n;
};

static unsigned int add_child(enum child_kind kind, struct bench_peer peer)
{
	children[nr_children].kind = kind;
	children[nr_children].peer = peer;
	return nr_children++;
}

static void add_row(const char *name, unsigned int child, uint32_t variant, int is_peer)
{
	rows[nr_rows++] = (struct row){name, child, variant, is_peer};
}

/* "<peer> sized" and the like; lives as long as the program. */
static const char *joined(const char *a, const char *b)
{
	char *s = malloc(strlen(a) + strlen(b) + 2);

	if (!s)
		exit(1);
	sprintf(s, "%s %s", a, b);
	return s;
}

static void contestants(void)
{
	struct bench_peer peers[BENCH_MAX_PEERS];
	size_t i, n = bench_peers(peers, BENCH_MAX_PEERS);
	unsigned int c;

	for (i = 0; i < n; i++) {
		c = add_child(ALONE, peers[i]);
		add_row(peers[i].name, c, V_MALLOC, 1);
		if (i > 0)
			add_row(joined(peers[i].name, "sized"), c, V_SIZED, 0);
		if (i == 0) {
			add_row("copy by loop", c, V_COPY_LOOP, 0);
			add_row("copy by memcpy", c, V_COPY_MEMCPY, 0);
			c = add_child(THREADS, peers[i]);
			add_row("glibc, 2 threads", c, V_MALLOC, 0);
		}
	}
	c = add_child(NST, (struct bench_peer){"nostall", NULL});
	add_row("cache NORMAL", c, V_CACHE, 0);
	add_row("cache NOLOCK", c, V_CACHE_NOLOCK, 0);
	add_row("cache NOLOCK stocked", c, V_CACHE_STOCKED, 0);
	add_row("cache FASTTRY stocked", c, V_CACHE_FASTTRY, 0);
	add_row("size NORMAL", c, V_SIZE, 0);
	add_row("size sized free", c, V_SIZE_SIZED, 0);
	add_row("size NOLOCK", c, V_SIZE_NOLOCK, 0);
	c = add_child(NST_STOCKED, (struct bench_peer){"nostall stocked", NULL});
	add_row("size NOLOCK stocked", c, V_SIZE_NOLOCK, 0);
	add_row("size FASTTRY stocked", c, V_SIZE_FASTTRY, 0);
	add_child(DRAINED, (struct bench_peer){"nostall drained", NULL});
}

static void contestants_at_limits(void)
{
	unsigned int c;

	c = add_child(ALONE, (struct bench_peer){"glibc", NULL});
	add_row("glibc", c, V_MALLOC, 1);
	c = add_child(NST_STOCKED, (struct bench_peer){"nostall", NULL});
	add_row("size NORMAL stocked", c, V_SIZE, 0);
	add_row("cache NORMAL stocked", c, V_CACHE_STOCKED_NORMAL, 0);
	add_row("prefilled stocked", c, V_PREFILLED, 0);
	c = add_child(NST_BESIDE, (struct bench_peer){"nostall beside", NULL});
	add_row("size NORMAL, beside", c, V_SIZE, 0);
	add_row("cache NORMAL, beside", c, V_CACHE, 0);
	c = add_child(NST_CHARGED, (struct bench_peer){"nostall charged", NULL});
	add_row("size NORMAL, charged", c, V_SIZE, 0);
	add_row("cache NORMAL, charged", c, V_CACHE, 0);
}

static void start(struct child_setup *c)
{
	static const struct {
		const char *exe, *arg, *conf;
	} how[] = {
		[ALONE] = {"pairs_malloc", "alone", NULL},
		[THREADS] = {"pairs_malloc", "threads", NULL},
		[NST] = {"pairs_nst", "plain", NULL},
		[NST_STOCKED] = {"pairs_nst", "stocked", NULL},
		[DRAINED] = {"pairs_nst", "drained", "worker:off,warn:off"},
		[NST_BESIDE] = {"pairs_nst", "beside", NULL},
		[NST_CHARGED] = {"pairs_nst", "charged", NULL},
	};

	if (bench_spawn(&c->child, how[c->kind].exe, how[c->kind].arg, c->peer.preload,
			how[c->kind].conf)) {
		perror("pairs: cannot start a child");
		exit(1);
	}
}

static void start_all(void)
{
	unsigned int i;

	for (i = 0; i < nr_children; i++)
		start(&children[i]);
}

static void end_all(void)
{
	unsigned int i;

	for (i = 0; i < nr_children; i++)
		bench_end(&children[i].child);
}

/* The drained process stands for its library's rows in the NULL pattern. */
static struct bench_child *child_of(const struct row *row, uint32_t pattern)
{
	unsigned int i;

	for (i = 0; i < nr_children && pattern == NULLS; i++)
		if (children[i].kind == DRAINED)
			return &children[i].child;
	return &children[row->child].child;
}

/* A hit needs stock for all that is asked in a row; NULL is what no-lock requests say without. */
static int has_pattern(const struct row *row, uint32_t pattern)
{
	int stocked = strstr(row->name, "stocked") != NULL;

	if (pattern == NULLS)
		return stocked;
	return pattern != HIT || stocked || row->is_peer;
}

static void round_robin(struct samples *s, uint32_t pattern, size_t size, uint64_t pairs,
			size_t rounds)
{
	size_t round;
	unsigned int r;

	for (round = 0; round < rounds && s->n < MAX_SAMPLES; round++, s->n++) {
		for (r = 0; r < nr_rows; r++) {
			struct pairs_job job = {rows[r].variant, pattern, size, pairs};
			struct pairs_answer a = {.ns = -1};

			s->ns[r][s->n] = s->alloc_ns[r][s->n] = NAN;
			if (!has_pattern(&rows[r], pattern) ||
			    bench_ask(child_of(&rows[r], pattern), &job, sizeof(job), &a,
				      sizeof(a)) ||
			    a.ns < 0)
				continue;
			s->ns[r][s->n] = a.ns;
			s->alloc_ns[r][s->n] = a.alloc_ns;
			s->wrong[r] += a.wrong;
		}
	}
}

/* ---- figures from samples ---- */

static double quantile_of(double *v, size_t n, double q)
{
	double copy[MAX_SAMPLES];
	size_t i, k = 0;

	for (i = 0; i < n; i++)
		if (!isnan(v[i]))
			copy[k++] = v[i];
	return bench_quantile(copy, k, q);
}

/* Median over rounds of a / b within the round. */
static double ratio_of(const double *a, const double *b, size_t n)
{
	double r[MAX_SAMPLES];
	size_t i, k = 0;

	for (i = 0; i < n; i++)
		if (!isnan(a[i]) && !isnan(b[i]))
			r[k++] = a[i] / b[i];
	return bench_quantile(r, k, 0.5);
}

/* The peer with the lowest median. */
static unsigned int fastest_peer(struct samples *s)
{
	unsigned int r, best = 0;

	for (r = 0; r < nr_rows; r++)
		if (rows[r].is_peer &&
		    quantile_of(s->ns[r], s->n, 0.5) < quantile_of(s->ns[best], s->n, 0.5))
			best = r;
	return best;
}

static unsigned int row_of(const char *name)
{
	unsigned int r;

	for (r = 0; r < nr_rows; r++)
		if (strcmp(rows[r].name, name) == 0)
			return r;
	return 0;
}

static void print_ratio(double ratio)
{
	if (isnan(ratio))
		printf(" %16s", "-");
	else
		printf(" %16.2f", ratio);
}

static void print_rows(const char *what, struct samples *s, double (*v)[MAX_SAMPLES],
		       const char *base)
{
	unsigned int r, best = fastest_peer(s);

	printf("\n%s\n  %-22s %8s %8s %8s %8s  x%15s  x%15s\n", what, "", "median", "q1", "q3",
	       "worst", base, rows[best].name);
	for (r = 0; r < nr_rows; r++) {
		double median = quantile_of(v[r], s->n, 0.5);

		if (isnan(median))
			continue;
		printf("  %-22s %8.2f %8.2f %8.2f %8.2f", rows[r].name, median,
		       quantile_of(v[r], s->n, 0.25), quantile_of(v[r], s->n, 0.75),
		       quantile_of(v[r], s->n, 1));
		print_ratio(ratio_of(v[r], v[row_of(base)], s->n));
		print_ratio(ratio_of(v[r], v[best], s->n));
		if (s->wrong[r])
			printf("   %llu not as expected", (unsigned long long)s->wrong[r]);
		printf("\n");
	}
	fflush(stdout);
}

static void aim(const char *what, double measured, double most)
{
	printf("  %-58s %5.2f  aim %.2f  %s\n", what, measured, most,
	       measured <= most ? "reached" : "missed");
}

/* ---- the questions ---- */

static struct samples at64[3], cold, bulk, hits, nulls;
static const char *const names[] = {"tight", "lifo 128", "random 1024"};

static void aims_64(void)
{
	static const char *const typed[] = {"cache NORMAL", "cache NOLOCK"};
	static const char *const by_size[] = {"size NORMAL", "size NOLOCK"};
	static const double typed_aim[] = {0.60, 0.45, 0.58};
	unsigned int i, p, glibc = row_of("glibc");
	char what[128];

	printf("\naims at 64 bytes (median over rounds of the ratio within a round)\n");
	for (i = 0; i < 2; i++)
		for (p = 0; p < 3; p++) {
			snprintf(what, sizeof(what), "%s, %s, x glibc", typed[i], names[p]);
			aim(what,
			    ratio_of(at64[p].ns[row_of(typed[i])], at64[p].ns[glibc], at64[p].n),
			    typed_aim[p]);
		}
	for (i = 0; i < 2; i++)
		for (p = 0; p < 3; p++) {
			unsigned int base = p == 0 ? glibc : fastest_peer(&at64[p]);

			snprintf(what, sizeof(what), "%s, %s, x %s", by_size[i], names[p],
				 rows[base].name);
			aim(what,
			    ratio_of(at64[p].ns[row_of(by_size[i])], at64[p].ns[base], at64[p].n),
			    1);
		}
	p = fastest_peer(&at64[0]);
	snprintf(what, sizeof(what), "size sized free, tight, x %s", rows[p].name);
	aim(what, ratio_of(at64[0].ns[row_of("size sized free")], at64[0].ns[p], at64[0].n), 1.1);
}

static void aims_bulk_null(void)
{
	static const char *const ways[] = {"cache NOLOCK stocked", "cache FASTTRY stocked",
					   "size NOLOCK stocked", "size FASTTRY stocked"};
	unsigned int i, r;
	char what[128];

	printf("\naims of bulk and of NULL\n");
	aim("bulk of 16, cache NORMAL, x copy by loop",
	    ratio_of(bulk.ns[row_of("cache NORMAL")], bulk.ns[row_of("copy by loop")], bulk.n),
	    1.5);
	aim("bulk of 16, cache NORMAL, x copy by memcpy",
	    ratio_of(bulk.ns[row_of("cache NORMAL")], bulk.ns[row_of("copy by memcpy")], bulk.n),
	    1.5);
	for (i = 0; i < BENCH_COUNT(ways); i++) {
		r = row_of(ways[i]);
		snprintf(what, sizeof(what), "NULL of %s, x its hit", ways[i]);
		aim(what, ratio_of(nulls.ns[r], hits.ns[r], nulls.n < hits.n ? nulls.n : hits.n),
		    1);
	}
}

/* Per size and pattern: medians of all rows, then the geometric mean of the ratios over the sizes. */
static void print_sizes(struct samples (*at)[3], const size_t *sizes, size_t nr)
{
	unsigned int p, r;
	size_t i;

	for (p = 0; p < 3; p++) {
		printf("\n%s, ns a pair (median) by size; geometric mean of the ratios over the sizes\n  %-22s",
		       names[p], "");
		for (i = 0; i < nr; i++)
			printf(" %7zu", sizes[i]);
		printf("   x glibc  x fastest peer of the size\n");
		for (r = 0; r < nr_rows; r++) {
			double log_glibc = 0, log_best = 0;

			if (isnan(quantile_of(at[0][p].ns[r], at[0][p].n, 0.5)))
				continue;
			printf("  %-22s", rows[r].name);
			for (i = 0; i < nr; i++) {
				struct samples *s = &at[i][p];

				printf(" %7.2f", quantile_of(s->ns[r], s->n, 0.5));
				log_glibc += log(ratio_of(s->ns[r], s->ns[row_of("glibc")], s->n));
				log_best += log(ratio_of(s->ns[r], s->ns[fastest_peer(s)], s->n));
			}
			printf("   %6.2f   %6.2f\n", exp(log_glibc / (double)nr),
			       exp(log_best / (double)nr));
		}
		fflush(stdout);
	}
}

static void by_size(size_t generations, size_t rounds)
{
	static const size_t sizes[] = {16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192};
	static struct samples at[BENCH_COUNT(sizes)][3];
	size_t g, i;
	uint32_t p;

	for (g = 0; g < generations; g++) {
		start_all();
		for (i = 0; i < BENCH_COUNT(sizes); i++)
			for (p = TIGHT; p <= RANDOM; p++)
				round_robin(&at[i][p], p, sizes[i], sizes[i] > 1024 ? 16384 : 32768,
					    rounds);
		end_all();
	}
	print_sizes(at, sizes, BENCH_COUNT(sizes));
}

static void at_64(size_t generations, size_t rounds)
{
	size_t g;
	uint32_t p;

	for (g = 0; g < generations; g++) {
		start_all();
		for (p = TIGHT; p <= RANDOM; p++)
			round_robin(&at64[p], p, 64, 65536, rounds);
		round_robin(&bulk, BULK, 64, 65536, rounds);
		round_robin(&hits, HIT, 64, 65536, rounds);
		round_robin(&nulls, NULLS, 64, 65536, rounds);
		round_robin(&cold, COLD, 64, PAIRS_COLD, rounds / 8 + 1);
		end_all();
	}
}

static int limits(void)
{
	int quick = bench_quick();
	size_t g, generations = quick ? 2 : 5, rounds = quick ? 10 : 40;
	char what[128];
	uint32_t p;

	bench_header("limits: CPU time of an allocation and its free (ns), charged and prefilled");
	contestants_at_limits();
	for (g = 0; g < generations; g++) {
		start_all();
		for (p = TIGHT; p <= RANDOM; p++)
			round_robin(&at64[p], p, 64, 65536, rounds);
		round_robin(&hits, HIT, 64, 65536, rounds);
		end_all();
	}
	for (p = TIGHT; p <= RANDOM; p++) {
		snprintf(what, sizeof(what), "64 bytes, %s: ns a pair", names[p]);
		print_rows(what, &at64[p], at64[p].ns, "size NORMAL stocked");
	}
	print_rows("64 bytes, hit: ns an allocation", &hits, hits.ns, "size NORMAL stocked");
	printf("\naims\n");
	for (p = TIGHT; p <= RANDOM; p++) {
		snprintf(what, sizeof(what), "charged pair by size, %s: ns more", names[p]);
		aim(what,
		    quantile_of(at64[p].ns[row_of("size NORMAL, charged")], at64[p].n, 0.5) -
			    quantile_of(at64[p].ns[row_of("size NORMAL stocked")], at64[p].n, 0.5),
		    2);
	}
	aim("prefilled, x nst_alloc()",
	    ratio_of(hits.ns[row_of("prefilled stocked")], hits.ns[row_of("size NORMAL stocked")],
		     hits.n),
	    1);
	return 0;
}

int main(int argc, char **argv)
{
	int quick = bench_quick();
	uint32_t p;
	char what[128];

	if (argc > 1 && !strcmp(argv[1], "limits"))
		return limits();
	bench_header("pairs: CPU time of an allocation and its free (ns)");
	contestants();
	at_64(quick ? 2 : 5, quick ? 10 : 40);
	for (p = TIGHT; p <= RANDOM; p++) {
		snprintf(what, sizeof(what), "64 bytes, %s: ns a pair", names[p]);
		print_rows(what, &at64[p], at64[p].ns, "glibc");
	}
	print_rows("64 bytes, cold objects: ns a free", &cold, cold.ns, "glibc");
	print_rows("64 bytes, cold objects: ns an allocation", &cold, cold.alloc_ns, "glibc");
	print_rows("64 bytes, 16 at a time, not touched: ns an object, out and back", &bulk,
		   bulk.ns, "copy by loop");
	print_rows("64 bytes, hit: ns an allocation", &hits, hits.ns, "glibc");
	print_rows("64 bytes, NULL of the drained library: ns a request", &nulls, nulls.ns,
		   "cache NOLOCK stocked");
	by_size(quick ? 1 : 3, quick ? 4 : 10);
	aims_64();
	aims_bulk_null();
	return 0;
}
