/* SPDX-License-Identifier: MIT */
/*
 * bench.c - clocks, figures and numbers of the system. The contestants are in child.c.
 */
#define _GNU_SOURCE
#include "bench.h"

#include <gnu/libc-version.h>
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#ifndef BENCH_BUILD
#define BENCH_BUILD "unknown build"
#endif

static uint64_t clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t bench_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

uint64_t bench_cpu_ns(void)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

double bench_cpu_ns_cost(void)
{
	double cost[101];
	size_t i;

	for (i = 0; i < BENCH_COUNT(cost); i++) {
		uint64_t start = bench_cpu_ns();

		cost[i] = (double)(bench_cpu_ns() - start);
	}
	return bench_quantile(cost, BENCH_COUNT(cost), 0.5);
}

int bench_quick(void)
{
	const char *quick = getenv("QUICK");

	return quick && *quick && strcmp(quick, "0") != 0;
}

int bench_cpu(unsigned int nth)
{
	cpu_set_t allowed;
	int cpu, last = 0;

	if (sched_getaffinity(getpid(), sizeof(allowed), &allowed))
		return 0;
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &allowed))
			continue;
		last = cpu;
		if (nth-- == 0)
			break;
	}
	return last;
}

void bench_pin(int cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		perror("bench: sched_setaffinity");
}

/* The value of the first line "<key>...: value" of a file of /proc. */
static void proc_value(const char *path, const char *key, char *out, size_t len)
{
	FILE *f = fopen(path, "r");
	char line[512], *colon;

	snprintf(out, len, "unknown");
	while (f && fgets(line, sizeof(line), f)) {
		colon = strchr(line, ':');
		if (strncmp(line, key, strlen(key)) != 0 || !colon)
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(out, len, "%s", colon + 1 + strspn(colon + 1, " \t"));
		break;
	}
	if (f)
		fclose(f);
}

void bench_header(const char *question)
{
	struct utsname u;
	char cpu[128], date[64];
	double load = 0;
	time_t now = time(NULL);

	uname(&u);
	proc_value("/proc/cpuinfo", "model name", cpu, sizeof(cpu));
	strftime(date, sizeof(date), "%Y-%m-%d %H:%M UTC", gmtime(&now));
	getloadavg(&load, 1);
	printf("# %s\n# machine: %ld x %s, %s %s %s; glibc %s; load %.2f; %s%s\n# build: %s\n",
	       question, sysconf(_SC_NPROCESSORS_ONLN), cpu, u.sysname, u.release, u.machine,
	       gnu_get_libc_version(), load, date, bench_quick() ? "; QUICK" : "", BENCH_BUILD);
	fflush(stdout);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

double bench_quantile(double *v, size_t n, double q)
{
	size_t at;

	if (n == 0)
		return NAN;
	qsort(v, n, sizeof(*v), by_value);
	at = (size_t)(q * (double)n);
	return v[at < n ? at : n - 1];
}

static unsigned int hist_bucket(uint64_t ns)
{
	unsigned int e;

	if (ns < 16)
		return (unsigned int)ns;
	e = 63u - (unsigned int)__builtin_clzll(ns);
	return (e - 3) * 16 + (unsigned int)((ns >> (e - 4)) & 15);
}

/* The largest duration that falls into a bucket. */
static uint64_t hist_top(unsigned int bucket)
{
	unsigned int e = bucket / 16 + 3;

	if (bucket < 16)
		return bucket;
	return ((16u + (uint64_t)(bucket % 16) + 1) << (e - 4)) - 1;
}

void bench_hist_add(struct bench_hist *h, uint64_t ns)
{
	h->n++;
	h->bucket[hist_bucket(ns)]++;
	if (ns > 5000)
		h->over_5us++;
	if (ns > h->worst)
		h->worst = ns;
}

void bench_hist_merge(struct bench_hist *h, const struct bench_hist *other)
{
	size_t i;

	h->n += other->n;
	h->over_5us += other->over_5us;
	if (other->worst > h->worst)
		h->worst = other->worst;
	for (i = 0; i < BENCH_HIST_BUCKETS; i++)
		h->bucket[i] += other->bucket[i];
}

uint64_t bench_hist_quantile(const struct bench_hist *h, double q)
{
	uint64_t want = (uint64_t)(q * (double)h->n), seen = 0, top;
	unsigned int i;

	for (i = 0; i < BENCH_HIST_BUCKETS; i++) {
		seen += h->bucket[i];
		if (seen <= want)
			continue;
		top = hist_top(i);
		return top < h->worst ? top : h->worst;
	}
	return h->worst;
}

uint64_t bench_hist_below(const struct bench_hist *h, unsigned int log2)
{
	uint64_t n = 0;
	unsigned int i;

	for (i = 0; i < hist_bucket(1ull << log2); i++)
		n += h->bucket[i];
	return n;
}

long bench_steal_ticks(int cpu)
{
	FILE *f = fopen("/proc/stat", "r");
	char line[512], key[32];
	long v[8], steal = -1;
	int n;

	snprintf(key, sizeof(key), "cpu%d ", cpu);
	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, key, strlen(key)) != 0)
			continue;
		n = sscanf(line, "%*s %ld %ld %ld %ld %ld %ld %ld %ld", &v[0], &v[1], &v[2], &v[3],
			   &v[4], &v[5], &v[6], &v[7]);
		if (n == 8)
			steal = v[7];
		break;
	}
	if (f)
		fclose(f);
	return steal;
}

/* The column of @cpu in the heading line of /proc/interrupts, from 0; -1 if it has none. */
static int interrupts_column(char *heading, int cpu)
{
	char name[16], *save = NULL, *word;
	int column = 0;

	snprintf(name, sizeof(name), "CPU%d", cpu);
	for (word = strtok_r(heading, " \n", &save); word; word = strtok_r(NULL, " \n", &save)) {
		if (strcmp(word, name) == 0)
			return column;
		column++;
	}
	return -1;
}

uint64_t bench_interrupts(int cpu, uint64_t *local_timer)
{
	FILE *f = fopen("/proc/interrupts", "r");
	char line[8192], *at;
	uint64_t sum = 0, count;
	int column, i;

	*local_timer = 0;
	if (!f || !fgets(line, sizeof(line), f))
		goto out;
	column = interrupts_column(line, cpu);
	while (column >= 0 && fgets(line, sizeof(line), f)) {
		at = strchr(line, ':');
		for (i = 0, count = 0; at && i <= column; i++)
			count = strtoull(at + (i == 0), &at, 10);
		sum += count;
		if (strstr(line, "LOC:"))
			*local_timer = count;
	}
out:
	if (f)
		fclose(f);
	return sum;
}
