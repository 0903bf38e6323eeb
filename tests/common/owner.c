/* SPDX-License-Identifier: MIT */
/*
 * owner.c - the owner map.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include "check.h"
#include "owner.h"

#define BLOCK_SHIFT 21
#define GRANULE_SHIFT 3
#define TOP_ENTRIES ((size_t)1 << (48 - BLOCK_SHIFT))
#define LEAF_BYTES ((size_t)1 << (BLOCK_SHIFT - GRANULE_SHIFT))
#define NR_LEAVES 4096u
#define NR_FIRST 8u

struct owner_error {
	const void *ptr;
	size_t size, offset;
	unsigned int wanted, found, to;
};

static struct {
	uint8_t **top;
	uint8_t *leaves;
	uint32_t nr_leaves;
	uint64_t errors, live;
	struct owner_error first[NR_FIRST];
} owners;

static void *lazy(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		check_broken("owner map");
	return p;
}

void owner_start(void)
{
	owners.top = lazy(TOP_ENTRIES * sizeof(*owners.top));
	owners.leaves = lazy(NR_LEAVES * LEAF_BYTES);
}

static uint8_t *leaf_of(uintptr_t address)
{
	uint8_t **entry = &owners.top[(address >> BLOCK_SHIFT) & (TOP_ENTRIES - 1)];
	uint8_t *leaf = __atomic_load_n(entry, __ATOMIC_ACQUIRE);

	if (leaf)
		return leaf;
	uint32_t n = __atomic_fetch_add(&owners.nr_leaves, 1, __ATOMIC_RELAXED);
	if (n >= NR_LEAVES)
		abort();
	uint8_t *mine = owners.leaves + n * LEAF_BYTES;
	/* Who loses the race leaves its leaf unused. */
	if (__atomic_compare_exchange_n(entry, &leaf, mine, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return mine;
	return leaf;
}

static void swap(const void *ptr, size_t size, size_t offset, unsigned int from, unsigned int to)
{
	uintptr_t address = (uintptr_t)ptr + offset;
	uint8_t *cell = leaf_of(address) + ((address & ((1u << BLOCK_SHIFT) - 1)) >> GRANULE_SHIFT);
	unsigned int found = __atomic_exchange_n(cell, (uint8_t)to, __ATOMIC_ACQ_REL);

	if (found == from)
		return;
	uint64_t n = __atomic_fetch_add(&owners.errors, 1, __ATOMIC_RELAXED);
	if (n < NR_FIRST)
		owners.first[n] = (struct owner_error){ptr, size, offset, from, found, to};
}

static void swap_all(const void *ptr, size_t size, unsigned int from, unsigned int to)
{
	size_t step = size <= 512 ? 8 : 256;

	if (size > LEAF_BYTES)
		step = LEAF_BYTES / 16;
	for (size_t offset = 0; offset < size; offset += step)
		swap(ptr, size, offset, from, to);
	if (size > 8 && (size - 1) / 8 * 8 % step)
		swap(ptr, size, (size - 1) / 8 * 8, from, to);
}

void owner_take(const void *ptr, size_t size, unsigned int who)
{
	swap_all(ptr, size, 0, who);
	__atomic_fetch_add(&owners.live, 1, __ATOMIC_RELAXED);
}

void owner_give(const void *ptr, size_t size, unsigned int who)
{
	swap_all(ptr, size, who, 0);
	__atomic_fetch_sub(&owners.live, 1, __ATOMIC_RELAXED);
}

uint64_t owner_errors(void)
{
	return __atomic_load_n(&owners.errors, __ATOMIC_RELAXED);
}

uint64_t owner_live(void)
{
	return __atomic_load_n(&owners.live, __ATOMIC_RELAXED);
}

void owner_report(void)
{
	uint64_t n = owner_errors();

	for (uint64_t i = 0; i < n && i < NR_FIRST; i++) {
		const struct owner_error *e = &owners.first[i];
		printf("owner map: object %p of %zu bytes, offset %zu: %s by %u, but owned by %u\n",
		       e->ptr, e->size, e->offset, e->to ? "taken" : "given back",
		       e->to ? e->to : e->wanted, e->found);
	}
}
