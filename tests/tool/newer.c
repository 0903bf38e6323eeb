// SPDX-License-Identifier: MIT
/*
 * newer.c - what `nostall run --library` finds where the library is of another version than the tool: it
 * leaves a page that this tool does not know.
 */
#define _GNU_SOURCE
#include "foreign_page.h"
#include <fcntl.h>
#include <stdio.h>

__attribute__((constructor)) static void leave_page(void)
{
	const char *conf = getenv("NOSTALL_CONF"),
		   *dir = conf ? strstr(conf, "publish_dir:") : NULL;
	char path[300];

	if (!dir)
		return;
	dir = strchr(dir, ':') + 1;
	snprintf(path, sizeof(path), "%.*s/" NST_STATS_PAGE_NAME ".%d.0", (int)strcspn(dir, ","),
		 dir, (int)getpid());
	foreign_page_write(open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600),
			   NST_STATS_PAGE_MAGIC, NST_STATS_PAGE_VERSION + 1);
}
