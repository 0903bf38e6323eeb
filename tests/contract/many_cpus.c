/* SPDX-License-Identifier: MIT */
/*
 * many_cpus.c - C16: on 384 pretended CPUs nothing strands, and what is idle goes back.
 *
 * One thread says on which CPU it is; the clock is moved on by 10 ms a step, and the worker's pass is called as the
 * worker would. So all of it is the library's own code, and each figure is the same in each run. Held is what
 * is resident beyond what the program has: pages and the library's own memory.
 *
 *	many_cpus		the checks
 *	many_cpus series	a line a step, for scripts/bench simulate
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include "mm/mm.h"
#include "common/check.h"
#include "common/trap.h"

#define CPUS 384u
#define PAIRS (CPUS / 2)
#define WINDOW 256u /* objects a producer is ahead of its consumer */
#define STEP_NS 10000000u
#define PASS_STEPS 5u
#define OBJECT 64u
#define CARRIED 1000u

static struct {
	unsigned int step, series;
	const char *phase;
	u64 live, floor, most; /* bytes; most: held, since the phase began */
	u64 passed;	       /* bytes that went from one CPU to another */
	void *object[PAIRS * WINDOW];
} sim;

static void on_cpu(unsigned int cpu)
{
	nst_store_relaxed((u32 *)(void *)(nst_thread.no_rseq + NST_RSEQ_CPU_ID), cpu);
}

static u64 resident(void)
{
	return (nst_load_relaxed(&nst_resident_pages) << NST_PAGE_SHIFT) + nst_meta_bytes();
}

static u64 held(void)
{
	return resident() - sim.live;
}

/* Bytes of objects in a CPU's lists of all caches. */
static u64 on_lists(unsigned int cpu)
{
	u64 bytes = 0;

	for (u32 id = 1; id <= nst_nr_caches; id++) {
		struct nst_cache *c = nst_cache_number(id);
		u64 n = nst_pcs_count(&c->main, cpu);

		for (u32 k = 0; k < nst_pcs_count(&c->full, cpu); k++)
			n += ((struct nst_sheaf *)nst_pcs_peek(&c->full, cpu, k))->count;
		bytes += n * c->slot;
	}
	return bytes;
}

static u64 most_on_lists(u64 *sum)
{
	u64 most = 0;

	*sum = 0;
	for (unsigned int cpu = 0; cpu < CPUS; cpu++) {
		u64 bytes = on_lists(cpu);

		*sum += bytes;
		most = bytes > most ? bytes : most;
	}
	return most;
}

/* 10 ms later. */
static void step(void)
{
	u64 sum, most;

	nst_test_now_ns += STEP_NS;
	if (++sim.step % PASS_STEPS == 0)
		nst_maintain_pass(0);
	sim.most = held() > sim.most ? held() : sim.most;
	if (!sim.series || sim.step % 10)
		return;
	most = most_on_lists(&sum);
	printf("%s %u %llu %llu %llu %llu %llu\n", sim.phase, sim.step * 10,
	       (unsigned long long)sim.live, (unsigned long long)held(),
	       (unsigned long long)nst_meta_bytes(), (unsigned long long)sum / CPUS,
	       (unsigned long long)most);
}

static void begin(const char *phase)
{
	sim.phase = phase;
	sim.most = 0;
}

static void *get(size_t size)
{
	void *p = nst_alloc(size, NST_NORMAL);

	if (!p)
		check_broken("memory");
	sim.live += nst_usable_size(p);
	return p;
}

static void put(void *p)
{
	sim.live -= nst_usable_size(p);
	nst_free(p);
}

/* After two seconds of nothing, as much as at the start, and the library's own memory. */
static void rests(const char *what)
{
	u64 sum, meta = nst_meta_bytes();

	begin("rest");
	for (unsigned int i = 0; i < 200; i++)
		step();
	most_on_lists(&sum);
	check(sum == 0, what, "%llu bytes lie in CPUs' lists", (unsigned long long)sum);
	check(held() - meta <= sim.floor + sim.floor / 10, "and the pages are the floor's",
	      "%llu KiB of %llu", (unsigned long long)(held() - meta) >> 10,
	      (unsigned long long)sim.floor >> 10);
}

static void start(void)
{
	begin("start");
	for (unsigned int i = 0; i < 20; i++)
		step();
	sim.floor = held() - nst_meta_bytes();
	check(nst_meta_bytes() <= 320 << 10, "384 CPUs that do nothing cost 320 KiB at most",
	      "%llu KiB", (unsigned long long)nst_meta_bytes() >> 10);
}

/* Each CPU allocates one object of each class, and frees it. */
static void touch(void)
{
	begin("touch");
	for (unsigned int cpu = 0; cpu < CPUS; cpu++) {
		on_cpu(cpu);
		for (u32 id = 1; id <= nst_nr_caches; id++)
			put(get(nst_cache_number(id)->size));
		if (cpu % 8 == 7)
			step();
	}
	check(sim.most <= (u64)CPUS * (3 << 19), "a CPU that used each class holds 1.5 MiB at most",
	      "%llu KiB each", (unsigned long long)(sim.most / CPUS) >> 10);
	rests("which go back when it is idle");
	check(nst_meta_bytes() <= (u64)CPUS * (96 << 10),
	      "the library's own memory for it is 96 KiB a CPU at most", "%llu KiB",
	      (unsigned long long)(nst_meta_bytes() / CPUS) >> 10);
}

static void hand_over(unsigned int pair, size_t size)
{
	void **mine = &sim.object[pair * WINDOW];

	on_cpu(pair);
	for (unsigned int i = 0; i < WINDOW; i++)
		mine[i] = get(size);
	on_cpu(PAIRS + pair);
	for (unsigned int i = 0; i < WINDOW; i++)
		put(mine[i]);
	sim.passed += WINDOW * size;
}

/* Half of the CPUs only allocate, the others only free, all at once: as much as they like. */
static void pinned(size_t size, unsigned int steps)
{
	u64 early = 0;

	begin("pinned");
	sim.passed = 0;
	for (unsigned int s = 0; s < steps; s++) {
		for (unsigned int pair = 0; pair < PAIRS; pair++)
			hand_over(pair, size);
		step();
		if (s == steps / 4)
			early = sim.most;
	}
	check(sim.most <= early + early / 20,
	      "producers and consumers on CPUs of their own: no growth", "from %llu to %llu KiB",
	      (unsigned long long)early >> 10, (unsigned long long)sim.most >> 10);
	check(sim.passed >= 256 << 20, "after a quarter of 256 MiB and more", "%llu MiB",
	      (unsigned long long)sim.passed >> 20);
	rests("and nothing stays on either side");
}

/* One thread that goes round: it takes what it needs where it is, and frees what it took at the CPU before. */
static void wander(void)
{
	static void *carried[2][CARRIED];
	u64 sum, all = 0;

	begin("wander");
	for (unsigned int s = 0; s < 2 * CPUS; s++) {
		on_cpu(s % CPUS);
		for (unsigned int i = 0; i < CARRIED; i++)
			carried[s % 2][i] = get(OBJECT);
		for (unsigned int i = 0; s && i < CARRIED; i++)
			put(carried[!(s % 2)][i]);
		step();
		most_on_lists(&sum);
		all = sum > all ? sum : all;
	}
	for (unsigned int i = 0; i < CARRIED; i++)
		put(carried[1][i]);
	check(all <= (u64)(CPUS / 6) * CARRIED * OBJECT,
	      "a thread that wanders leaves something on a sixth of the CPUs at most, while it goes on",
	      "%llu KiB on all, %u on each at most", (unsigned long long)all >> 10,
	      CARRIED * OBJECT >> 10);
	rests("and nothing when it has gone");
}

/* 60 MiB of small objects on two CPUs, each freed on the other in another order. */
static void peak(void)
{
	static void *object[500000];
	const size_t nr = sizeof(object) / sizeof(object[0]);

	begin("peak");
	for (size_t i = 0; i < nr; i++) {
		on_cpu(i % 2);
		object[i] = get(16 + i * 7919 % 200);
		if (i % 50000 == 0)
			step();
	}
	check(sim.live > 10 * sim.floor, "a peak", "%llu KiB", (unsigned long long)sim.live >> 10);
	for (size_t i = 0; i < nr; i++) {
		size_t at = i * 1000003 % nr;

		on_cpu(1 - at % 2);
		put(object[at]);
		if (i % 50000 == 0)
			step();
	}
	rests("two seconds after it nothing is left");
}

const char *test_conf(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return "worker:off,nodes:1,cpus:384,publish:off";
}

/* ---- what is retired ---- */

#define RETIRED 64u /* objects, at a time */

static u64 slab_objects(const struct nst_cache *c)
{
	struct nst_cache_stats s;

	nst_stats_cache(c->id, &s);
	return s.objects;
}

/* Allocated on one CPU, retired on another, and again what has become of them. */
static void retired_elsewhere(void)
{
	struct nst_cache *c = nst_cache_create("retired", OBJECT, 0, 0, NULL);
	u64 early = 0, late;

	begin("retired");
	if (!c || nst_rcu_use())
		check_broken("nst_rcu_use");
	for (unsigned int i = 0; i < 2000; i++) {
		on_cpu(i % 2 ? 200 : 201);
		for (unsigned int k = 0; k < RETIRED; k++)
			if (!(sim.object[k] = nst_cache_alloc(c, NST_NORMAL)))
				check_broken("memory");
		on_cpu(i % 2 ? 2 : 3);
		for (unsigned int k = 0; k < RETIRED; k++)
			nst_free_rcu(sim.object[k]);
		nst_maintain_pass(0);
		if (i == 200)
			early = slab_objects(c);
	}
	late = slab_objects(c);
	check(late <= early, "C16 what CPUs retire comes to those that allocate",
	      "%llu objects in slabs, then %llu", (unsigned long long)early,
	      (unsigned long long)late);
	check(nst_cache_destroy(c) == 0, "C16 and none is lost", "some are alive");
}

int main(int argc, char **argv)
{
	conf_apply(argv);
	sim.series = argc > 1 && !strcmp(argv[1], "series");
	if (nst_start() || nst_sys_cpus.nr != CPUS)
		check_broken("384 pretended CPUs");
	nst_test_now_ns = nst_sys_now_ns();
	start();
	touch();
	pinned(OBJECT, 100);
	pinned(1024, 60);
	wander();
	peak();
	retired_elsewhere();
	return check_status();
}
