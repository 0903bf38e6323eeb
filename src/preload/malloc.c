/* SPDX-License-Identifier: MIT */
/*
 * malloc.c - FLOOR 7: libc's names for memory, served by libnostall.so.0, which this library needs.
 *
 *	malloc, calloc, realloc ... -> NST_NORMAL -> the thread's scopes -> errno = ENOMEM on NULL
 *
 * In a scope NST_SCOPE_NOLOCK every call here is a no-lock one, in a third party's code as well; NULL
 * and ENOMEM are its answers. Size 0 is an object of its own, as in glibc. C++ operators come
 * through malloc.
 *
 * Fork: fork.c has it. Signal: as the mode: only inside a no-lock scope. vfork: is a fork here. Programs
 * allocate in such a child (shells do, before they execute), and ours would corrupt the parent: it
 * shares memory under the CPU number of a thread that sleeps.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#define NST_NO_MACROS
#include <nostall/nostall.h>
#include "names.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define ALIGN_MAX ((size_t)1 << 30)

/* Of the next C standard, and of old: this libc's headers have them not. */
void free_sized(void *ptr, size_t size);
void free_aligned_sized(void *ptr, size_t align, size_t size);
void cfree(void *ptr);

static __attribute__((noinline, cold)) void *no_memory(void)
{
	errno = ENOMEM;
	return NULL;
}

/* Size 0 gets the smallest object. */
static size_t at_least_1(size_t size)
{
	return size + !size;
}

/* Its callers may know of no budget for what is retired: option rcu_budget_malloc. */
#define MODE (NST_NORMAL | NST_OVERBUDGET)

static void *or_errno(void *p)
{
	return likely(p != NULL) ? p : no_memory();
}

EXPORT void *malloc(size_t size)
{
	return or_errno(nst_alloc_checked(at_least_1(size), MODE));
}

EXPORT void free(void *ptr)
{
	nst_free(ptr);
}

EXPORT void *calloc(size_t nr, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(nr, size, &bytes))
		return no_memory();
	return or_errno(nst_alloc(at_least_1(bytes), MODE | NST_ZERO));
}

EXPORT void *realloc(void *ptr, size_t size)
{
	if (ptr && !size) {
		nst_free(ptr);
		return NULL;
	}
	return or_errno(nst_realloc(ptr, at_least_1(size), MODE));
}

EXPORT void *reallocarray(void *ptr, size_t nr, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(nr, size, &bytes))
		return no_memory();
	return realloc(ptr, bytes);
}

/* An alignment that is none is rounded up, as glibc does for memalign() and aligned_alloc(). */
static size_t as_alignment(size_t align)
{
	size_t power = 1;

	while (power < align && power)
		power <<= 1;
	return power;
}

static void *aligned(size_t align, size_t size)
{
	if (align > ALIGN_MAX)
		return no_memory();
	return or_errno(nst_alloc_aligned(at_least_1(size), align, MODE));
}

EXPORT void *memalign(size_t align, size_t size)
{
	align = as_alignment(align);
	if (!align) {
		errno = EINVAL;
		return NULL;
	}
	return aligned(align, size);
}

EXPORT void *aligned_alloc(size_t align, size_t size)
{
	return memalign(align, size);
}

EXPORT int posix_memalign(void **out, size_t align, size_t size)
{
	void *p;

	if (align % sizeof(void *) || align & (align - 1) || !align)
		return EINVAL;
	p = align > ALIGN_MAX ? NULL : nst_alloc_aligned(at_least_1(size), align, MODE);
	if (!p)
		return ENOMEM;
	*out = p;
	return 0;
}

EXPORT void *valloc(size_t size)
{
	return aligned(NST_PAGE_SIZE, size);
}

EXPORT void *pvalloc(size_t size)
{
	if (size > PTRDIFF_MAX - NST_PAGE_SIZE)
		return no_memory();
	return aligned(NST_PAGE_SIZE,
		       (at_least_1(size) + NST_PAGE_SIZE - 1) & ~(NST_PAGE_SIZE - 1));
}

EXPORT void free_sized(void *ptr, size_t size)
{
	if (ptr)
		nst_free_sized(ptr, at_least_1(size));
}

/* The object may be one of a larger class, for its alignment. */
EXPORT void free_aligned_sized(void *ptr, size_t align, size_t size)
{
	(void)align;
	(void)size;
	nst_free(ptr);
}

EXPORT void cfree(void *ptr)
{
	nst_free(ptr);
}

EXPORT size_t malloc_usable_size(void *ptr)
{
	return ptr ? nst_usable_size(ptr) : 0;
}

/* One pass of the worker's: bounded. @pad has no meaning here: nothing lies at the top of a heap. */
EXPORT int malloc_trim(size_t pad)
{
	(void)pad;
	return nst_maintain() != 0;
}

/* No parameter of glibc's has a counterpart; it says 1 as for one that was taken. */
EXPORT int mallopt(int parameter, int value)
{
	(void)parameter;
	(void)value;
	return 1;
}

/* The standard lets it be a fork, and who may not rely on more does not see the difference. */
EXPORT pid_t vfork(void)
{
	return fork();
}

/* Under libc's own names: who takes from there, a malloc() of the program's say, gives to free(). */
NST_ALSO(__libc_malloc, malloc);
NST_ALSO(__libc_calloc, calloc);
NST_ALSO(__libc_realloc, realloc);
NST_ALSO(__libc_memalign, memalign);
NST_ALSO(__libc_valloc, valloc);
NST_ALSO(__libc_pvalloc, pvalloc);
NST_ALSO(__libc_free, free);
NST_ALSO(__posix_memalign, posix_memalign);
NST_ALSO(__libc_mallopt, mallopt);

/* That this is here, for who serves it (mm/lean.c). */
EXPORT extern const char nst_preload;
const char nst_preload = 1;
