/* SPDX-License-Identifier: MIT */
/*
 * fault-inject.h - requests that fail because a test wants them to: the n-th, every n-th, by mode, by call site.
 *
 *	failslab.nth = 3;			the third request
 *	failslab.modes = NST_NORMAL;		of those that may sleep
 *	failslab.site = "tree_insert";		made in this function; or "tree.c:120"
 *	nst_fault_arm(&failslab);
 *	...
 *	nst_fault_disarm(&failslab);
 *	assert(failslab.failed == 1);
 *
 * failslab: objects, of all kinds. fail_page_alloc: runs of pages. NST_NOFAIL never fails. No-lock requests can: what
 * decides takes no lock. All fields but the last three are written while it is not armed.
 */
#ifndef NST_COMPAT_FAULT_INJECT_H
#define NST_COMPAT_FAULT_INJECT_H

#include <string.h>
#include <linux/types.h>

/* Where a request stands in the source. */
struct nst_compat_site {
	const char *file, *function;
	unsigned int line;
};
#define NST_COMPAT_SITE                                                                            \
	({                                                                                         \
		static const struct nst_compat_site nst_site = {__FILE__, __func__, __LINE__};     \
		&nst_site;                                                                         \
	})

struct fault_attr {
	unsigned long nth;	/* of those it is about, this one, from 1; 0: by interval */
	unsigned long interval; /* every such one; 0: none */
	unsigned long times;	/* so many fail at most; 0: any number */
	size_t min_bytes;	/* about requests of so much, and more */
	nst_mode_t modes;	/* about these, NST_NORMAL | NST_NOWAIT say; 0: all */
	const char *site;	/* about this function, file.c or file.c:line; NULL: all */
	unsigned int armed;
	unsigned long asked, failed; /* since it was armed */
};

NST_COMPAT_SHARED struct fault_attr failslab;
NST_COMPAT_SHARED struct fault_attr fail_page_alloc;

static inline void nst_fault_arm(struct fault_attr *attr)
{
	__atomic_store_n(&attr->asked, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&attr->failed, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&attr->armed, 1u, __ATOMIC_RELEASE);
}

static inline void nst_fault_disarm(struct fault_attr *attr)
{
	__atomic_store_n(&attr->armed, 0u, __ATOMIC_RELEASE);
}

static inline bool nst_compat_is_site(const char *wanted, const struct nst_compat_site *site)
{
	const char *slash = strrchr(site->file, '/');
	const char *file = slash ? slash + 1 : site->file, *colon = strchr(wanted, ':');
	unsigned long line;

	if (!strcmp(wanted, site->function) || !strcmp(wanted, file))
		return true;
	if (!colon || strncmp(wanted, file, (size_t)(colon - wanted)) || file[colon - wanted])
		return false;
	for (line = 0; *++colon >= '0' && *colon <= '9';)
		line = line * 10 + (unsigned long)(*colon - '0');
	return line == site->line;
}

static noinline bool nst_compat_decide(struct fault_attr *attr, size_t size, nst_mode_t mode,
				       const struct nst_compat_site *site)
{
	unsigned long nr, failed;

	if (mode & NST_NOFAIL || size < attr->min_bytes || (attr->modes && !(attr->modes & mode)) ||
	    (attr->site && !nst_compat_is_site(attr->site, site)))
		return false;
	nr = __atomic_add_fetch(&attr->asked, 1, __ATOMIC_RELAXED);
	if (nr != attr->nth && (!attr->interval || nr % attr->interval))
		return false;
	failed = __atomic_add_fetch(&attr->failed, 1, __ATOMIC_RELAXED);
	if (!attr->times || failed <= attr->times)
		return true;
	__atomic_sub_fetch(&attr->failed, 1, __ATOMIC_RELAXED);
	return false;
}

NST_COMPAT_INLINE bool nst_compat_should_fail(struct fault_attr *attr, size_t size, nst_mode_t mode,
					      const struct nst_compat_site *site)
{
	return unlikely(__atomic_load_n(&attr->armed, __ATOMIC_ACQUIRE)) &&
	       nst_compat_decide(attr, size, mode, site);
}

#endif
