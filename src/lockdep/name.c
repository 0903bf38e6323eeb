/* SPDX-License-Identifier: MIT */
/*
 * name.c - places and locks in words, without symbols: files and offsets in them, which `nostall symbols` reads.
 *
 *	code: module+0xoffset		static lock: module+0xoffset, of its data
 *	lock in an object of ours: who allocated that, and how far in it is (debug:3 keeps such places)
 *	another: who initialised it
 *
 * What is mapped where is read once a report or dump, with the first name in it. A lock may be gone: it is read as what
 * may not be there.
 */
#include <stddef.h>
#include "report.h"

static u32 nr_mappings, are_read;

void nst_ld_names_begin(void)
{
	are_read = 0;
}

const struct nst_sys_mapping *nst_ld_mapping(u32 i)
{
	if (!are_read) {
		nr_mappings = nst_sys_mappings(nst_ld.tables->mapping, NST_LD_MAPPINGS);
		are_read = 1;
	}
	return i < nr_mappings ? &nst_ld.tables->mapping[i] : NULL;
}

static const struct nst_sys_mapping *mapping_of(const void *addr)
{
	const struct nst_sys_mapping *m;
	u32 i;

	for (i = 0; (m = nst_ld_mapping(i)) != NULL; i++)
		if ((uintptr_t)addr >= m->start && (uintptr_t)addr < m->end)
			return m;
	return NULL;
}

static size_t in_module(const struct nst_sys_mapping *m, const void *addr, char *buf, size_t len)
{
	return nst_format(buf, len, "%s+0x%llx", nst_sys_base_name(m->path),
			  (unsigned long long)(uintptr_t)addr - m->start + m->offset);
}

const char *nst_ld_where(const void *place, char *buf, size_t len)
{
	const void *addr = nst_ld_address_of(place);
	const struct nst_sys_mapping *m = mapping_of(addr);

	if (m)
		in_module(m, addr, buf, len);
	else
		nst_sys_code_name(addr, buf, len);
	return buf;
}

/* Who initialised a map, if it is one and still there. */
static const void *site_of(u32 class, const void *lock)
{
	const void *site = NULL;

	if (class <= NST_LD_RCU ||
	    nst_sys_peek((const char *)lock + offsetof(struct nst_lockdep_map, site), &site,
			 sizeof(site)) != sizeof(site))
		return NULL;
	return site;
}

const char *nst_ld_what(u32 class, const void *lock, char *buf, size_t len)
{
	const struct nst_sys_mapping *m = mapping_of(lock);
	struct nst_lockdep_object o = {.site = NULL};
	char where[NST_LD_WHERE];
	const void *site;

	buf[0] = 0;
	if (m) {
		buf[0] = ',';
		buf[1] = ' ';
		in_module(m, lock, buf + 2, len - 2);
		return buf;
	}
	if (nst_lockdep_object_of && nst_lockdep_object_of(lock, &o) && o.site)
		nst_format(buf, len, ", heap, allocated at %s, +%zu",
			   nst_ld_where(o.site, where, sizeof(where)),
			   (size_t)((const char *)lock - (const char *)o.start));
	else if ((site = site_of(class, lock)) != NULL)
		nst_format(buf, len, ", initialised at %s",
			   nst_ld_where(site, where, sizeof(where)));
	return buf;
}
