/* SPDX-License-Identifier: MIT */
/*
 * module.c - our own module, which a no-lock call may fault on neither text nor data of, and who needs it.
 *
 * Fork: what was found at start holds in the child.
 */
#define _GNU_SOURCE
#include <link.h>
#include "sys.h"
#include "syscall.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

struct range {
	uintptr_t start, end;
};

static struct range pages_of(const struct dl_phdr_info *info, const ElfW(Phdr) * ph)
{
	uintptr_t start = info->dlpi_addr + ph->p_vaddr;

	return (struct range){nst_round_down(start, NST_PAGE_BYTES),
			      nst_round_up(start + ph->p_memsz, NST_PAGE_BYTES)};
}

static void populate_segment(struct range r, struct range relro, int writable)
{
	if (!writable) {
		nst_sys_populate_read((void *)r.start, r.end - r.start);
		return;
	}
	if (relro.start == r.start && relro.end > relro.start)
		r.start = nst_round_down(relro.end, NST_PAGE_BYTES);
	if (r.start < r.end)
		nst_syscall(SYS_madvise, (long)r.start, (long)(r.end - r.start),
			    MADV_POPULATE_WRITE, 0, 0, 0);
}

/*
 * Our module, found once at start: the loader's lock, which the search takes, may be held for ever by
 * a thread that a child of _Fork() does not have.
 */
static struct dl_phdr_info own;

static int find_own(struct dl_phdr_info *info, size_t size, void *address)
{
	int i;

	(void)size;
	for (i = 0; i < info->dlpi_phnum; i++) {
		struct range r = pages_of(info, &info->dlpi_phdr[i]);

		if (info->dlpi_phdr[i].p_type != PT_LOAD ||
		    (uintptr_t)address - r.start >= r.end - r.start)
			continue;
		own = *info;
		return 1;
	}
	return 0;
}

static struct range relro_of(const struct dl_phdr_info *info)
{
	int i;

	for (i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];

		if (ph->p_type == PT_GNU_RELRO)
			return (struct range){
				pages_of(info, ph).start,
				nst_round_down(info->dlpi_addr + ph->p_vaddr + ph->p_memsz,
					       NST_PAGE_BYTES)};
	}
	return (struct range){0, 0};
}

void nst_sys_populate_own_module(void)
{
	int i;

	if (!own.dlpi_phnum)
		dl_iterate_phdr(find_own, &nst_lock_counters);
	for (i = 0; i < own.dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &own.dlpi_phdr[i];

		if (ph->p_type == PT_LOAD)
			populate_segment(pages_of(&own, ph), relro_of(&own),
					 (ph->p_flags & PF_W) != 0);
	}
}

/* ---- who needs it ---- */

#define OUR_NAME "libnostall.so.0"

static int is_our_name(const char *s)
{
	static const char name[] = OUR_NAME;
	size_t i;

	for (i = 0; i < sizeof(name); i++)
		if (s[i] != name[i])
			return 0;
	return 1;
}

/* Where a module says what it needs: the loader of glibc has made an address of the offset, others leave it. */
static const char *strings_of(const struct dl_phdr_info *info, const ElfW(Dyn) * dyn)
{
	for (; dyn->d_tag != DT_NULL; dyn++)
		if (dyn->d_tag == DT_STRTAB)
			return (const char *)(dyn->d_un.d_ptr < info->dlpi_addr
						      ? info->dlpi_addr + dyn->d_un.d_ptr
						      : dyn->d_un.d_ptr);
	return NULL;
}

static int needs_us(const struct dl_phdr_info *info, const ElfW(Dyn) * dyn)
{
	const char *strings = strings_of(info, dyn);

	for (; strings && dyn->d_tag != DT_NULL; dyn++)
		if (dyn->d_tag == DT_NEEDED && is_our_name(strings + dyn->d_un.d_val))
			return 1;
	return 0;
}

static int count_needing(struct dl_phdr_info *info, size_t size, void *nr)
{
	int i;

	(void)size;
	for (i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
			*(unsigned int *)nr += (unsigned int)needs_us(
				info, (const void *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr));
	return 0;
}

unsigned int nst_sys_nr_modules_that_need_us(void)
{
	unsigned int nr = 0;

	dl_iterate_phdr(count_needing, &nr);
	return nr;
}
