/* SPDX-License-Identifier: MIT */
/*
 * hello_nst.c - the hello-world of idle.c linked with the library; "one": allocates once.
 */
#include "hello.h"

#include <nostall/nostall.h>

#include <string.h>

int main(int argc, char **argv)
{
	char *p;

	if (argc < 3)
		return 2;
	if (nst_version()[0] == '\0')
		return 3; /* never: keeps the library linked */
	if (strcmp(argv[1], "one") == 0) {
		p = nst_alloc(100, NST_NORMAL);
		if (!p)
			return 1;
		*(volatile char *)p = 1;
		nst_free(p);
	}
	return hello_report(argv[2]);
}
