// SPDX-License-Identifier: MIT
/*
 * foreign_page.h - a statistics page as another version of the library would write it, or what is none.
 */
#ifndef TEST_TOOL_FOREIGN_PAGE_H
#define TEST_TOOL_FOREIGN_PAGE_H

#include <nostall/nostall.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static inline void foreign_page_write(int fd, uint64_t magic, uint32_t version)
{
	struct nst_stats_page *page = calloc(1, sizeof(*page));

	if (!page || fd < 0)
		exit(90);
	page->magic = magic;
	page->version = version;
	page->bytes = 123;
	strcpy(page->nostall, "9.8.7");
	if (write(fd, page, sizeof(*page)) != sizeof(*page))
		exit(91);
	free(page);
}

#endif
