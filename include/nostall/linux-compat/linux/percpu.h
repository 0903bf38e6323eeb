/* SPDX-License-Identifier: MIT */
/*
 * percpu.h - the kernel's spelling: a copy for each CPU, of what is counted on all and summed up seldom.
 *
 *	chunk:	| unit of CPU 0 | unit of CPU 1 | ...		an object is at the same place in each unit
 *
 * this_cpu_add() and its kin are atomic, since a thread may be moved at any time: each change is made once, to the copy
 * of a CPU on which the thread was a moment ago. A pointer to "this CPU's" copy would be nobody's alone, so
 * this_cpu_ptr() and get_cpu_ptr() are not there, nor is DEFINE_PER_CPU().
 */
#ifndef NST_COMPAT_PERCPU_H
#define NST_COMPAT_PERCPU_H

#include <unistd.h>
#include <linux/mutex.h>
#include <linux/slab.h>

/* As in <sched.h>, where _GNU_SOURCE is defined. */
extern int sched_getcpu(void);

#define PCPU_MIN_UNIT_SIZE ((size_t)32768)
#define NST_COMPAT_CELL 64u
#define NST_COMPAT_CELLS (PCPU_MIN_UNIT_SIZE / NST_COMPAT_CELL)

struct nst_compat_chunk {
	struct nst_compat_chunk *next;
	char *base;
	unsigned short taken
		[NST_COMPAT_CELLS]; /* of the first cell of an object, how many; of others 1; 0: free */
};

struct nst_compat_percpu {
	struct mutex lock; /* of what follows */
	struct nst_compat_chunk *chunks;
	unsigned int nr_cpus; /* 0: not known yet */
};
NST_COMPAT_SHARED struct nst_compat_percpu nst_compat_percpu = {
	.lock = __MUTEX_INITIALIZER(nst_compat_percpu.lock)};

static inline unsigned int nst_compat_nr_cpus(void)
{
	unsigned int nr = READ_ONCE(nst_compat_percpu.nr_cpus);
	long conf;

	if (likely(nr))
		return nr;
	conf = sysconf(_SC_NPROCESSORS_CONF);
	nr = conf > 0 ? (unsigned int)conf : 1;
	WRITE_ONCE(nst_compat_percpu.nr_cpus, nr);
	return nr;
}

#define nr_cpu_ids nst_compat_nr_cpus()
#define num_possible_cpus() nst_compat_nr_cpus()
#define for_each_possible_cpu(cpu) for ((cpu) = 0; (unsigned int)(cpu) < nr_cpu_ids; (cpu)++)

/* Where the thread was a moment ago. */
static inline unsigned int raw_smp_processor_id(void)
{
	int cpu = sched_getcpu();

	return cpu < 0 ? 0 : (unsigned int)cpu % nr_cpu_ids;
}

#define per_cpu_ptr(p, cpu)                                                                        \
	((__typeof__(p))((uintptr_t)(p) + (size_t)(unsigned int)(cpu)*PCPU_MIN_UNIT_SIZE))
#define NST_COMPAT_THIS_COPY(lvalue) per_cpu_ptr(&(lvalue), raw_smp_processor_id())

#define this_cpu_read(x) __atomic_load_n(NST_COMPAT_THIS_COPY(x), __ATOMIC_RELAXED)
#define this_cpu_write(x, v) __atomic_store_n(NST_COMPAT_THIS_COPY(x), v, __ATOMIC_RELAXED)
#define this_cpu_add(x, n) ((void)__atomic_fetch_add(NST_COMPAT_THIS_COPY(x), n, __ATOMIC_RELAXED))
#define this_cpu_sub(x, n) ((void)__atomic_fetch_sub(NST_COMPAT_THIS_COPY(x), n, __ATOMIC_RELAXED))
#define this_cpu_inc(x) this_cpu_add(x, 1)
#define this_cpu_dec(x) this_cpu_sub(x, 1)

/* ---- allocation ---- */

/* Where @cells free ones begin; NST_COMPAT_CELLS: nowhere. */
static inline size_t nst_compat_room(const struct nst_compat_chunk *c, size_t cells)
{
	size_t i, free = 0;

	for (i = 0; i < NST_COMPAT_CELLS; i++) {
		free = c->taken[i] ? 0 : free + 1;
		if (free == cells)
			return i + 1 - cells;
	}
	return NST_COMPAT_CELLS;
}

static inline struct nst_compat_chunk *nst_compat_chunk_make(gfp_t gfp)
{
	struct nst_compat_chunk *c = kzalloc(sizeof(*c), gfp);

	if (!c)
		return NULL;
	c->base = __vmalloc(nr_cpu_ids * PCPU_MIN_UNIT_SIZE, gfp);
	if (!c->base) {
		kfree(c);
		return NULL;
	}
	c->next = nst_compat_percpu.chunks;
	nst_compat_percpu.chunks = c;
	return c;
}

static inline void *nst_compat_percpu_alloc(size_t size, gfp_t gfp)
{
	const size_t cells = DIV_ROUND_UP(size, NST_COMPAT_CELL);
	size_t at = NST_COMPAT_CELLS, i;
	struct nst_compat_chunk *c;
	void *p = NULL;

	if (!size || cells > NST_COMPAT_CELLS)
		return NULL;
	mutex_lock(&nst_compat_percpu.lock);
	for (c = nst_compat_percpu.chunks; c; c = c->next) {
		at = nst_compat_room(c, cells);
		if (at < NST_COMPAT_CELLS)
			break;
	}
	if (!c) {
		c = nst_compat_chunk_make(gfp);
		at = 0;
	}
	if (c) {
		p = c->base + at * NST_COMPAT_CELL;
		for (i = 0; i < cells; i++)
			c->taken[at + i] = (unsigned short)(i ? 1 : cells);
		for (i = 0; i < nr_cpu_ids; i++)
			memset((char *)p + i * PCPU_MIN_UNIT_SIZE, 0, size);
	}
	mutex_unlock(&nst_compat_percpu.lock);
	return p;
}

static inline void free_percpu(const void *p)
{
	struct nst_compat_chunk *c;
	size_t at, i;

	if (!p)
		return;
	mutex_lock(&nst_compat_percpu.lock);
	for (c = nst_compat_percpu.chunks; c; c = c->next) {
		at = ((uintptr_t)p - (uintptr_t)c->base) / NST_COMPAT_CELL;
		if (at >= NST_COMPAT_CELLS)
			continue;
		for (i = c->taken[at]; i-- > 0;)
			c->taken[at + i] = 0;
		break;
	}
	WARN_ON(!c);
	mutex_unlock(&nst_compat_percpu.lock);
}

/* Zeroed; @gfp: one that may sleep. Of at most PCPU_MIN_UNIT_SIZE bytes. */
#define alloc_percpu_gfp(type, gfp) ((__typeof__(type) *)nst_compat_percpu_alloc(sizeof(type), gfp))
#define alloc_percpu(type) alloc_percpu_gfp(type, GFP_KERNEL)

#endif
