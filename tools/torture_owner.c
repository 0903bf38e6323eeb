// SPDX-License-Identifier: MIT
/*
 * torture_owner.c - a byte for each 16 bytes of the address space: 1 where somebody holds an object.
 *
 * An allocator that hands memory out twice is found at the second handing out, not by luck later.
 * The map is address space only (8 TiB of it on x86-64): a page of it exists where objects have been. It is
 * private memory, so a fork child goes on with its own copy, as its heap does.
 */
#include "torture.h"

#include <sys/mman.h>

#if defined(__aarch64__)
#define ADDRESS_BITS 48
#else
#define ADDRESS_BITS 47
#endif
#define GRAIN_BITS 4

static _Atomic unsigned char *held;

int owner_start(void)
{
	void *map = mmap(NULL, (size_t)1 << (ADDRESS_BITS - GRAIN_BITS), PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (map == MAP_FAILED)
		return 0;
	held = map;
	madvise(map, (size_t)1 << (ADDRESS_BITS - GRAIN_BITS), MADV_NOHUGEPAGE);
	return 1;
}

/* One exchange a grain: two that claim the same object at once cannot both win. */
int owner_claim(const void *p, size_t bytes)
{
	size_t first = (uintptr_t)p >> GRAIN_BITS, last = ((uintptr_t)p + bytes - 1) >> GRAIN_BITS;
	int free_before = 1;

	for (size_t i = first; i <= last; i++)
		if (atomic_exchange_explicit(&held[i], 1, memory_order_relaxed))
			free_before = 0;
	return free_before;
}

/* Before the free: after it somebody else may hold the memory already. */
void owner_release(const void *p, size_t bytes)
{
	size_t first = (uintptr_t)p >> GRAIN_BITS, last = ((uintptr_t)p + bytes - 1) >> GRAIN_BITS;

	for (size_t i = first; i <= last; i++)
		atomic_store_explicit(&held[i], 0, memory_order_relaxed);
}
