/* SPDX-License-Identifier: MIT */
/*
 * consumer.c - a C program of somebody else: the installed headers and library, nothing of this tree.
 */
#include <nostall/nostall.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	struct nst_cache *cache = nst_cache_create("consumer", 48, 0, 0, NULL);
	void *object = cache ? nst_cache_alloc(cache, NST_NORMAL) : NULL;
	char *text = nst_alloc(100, NST_NORMAL | NST_ZERO);

	if (argc > 1 && strcmp(argv[1], nst_version()) != 0) {
		printf("not ok version: %s, the package says %s\n", nst_version(), argv[1]);
		return 1;
	}
	if (!object || !text || text[99] || nst_usable_size(text) < 100) {
		printf("not ok consumer: no memory\n");
		return 1;
	}
	nst_cache_free(cache, object);
	nst_free(text);
	if (nst_cache_destroy(cache) != 0) {
		printf("not ok consumer: objects left\n");
		return 1;
	}
	printf("ok consumer\n");
	return 0;
}
