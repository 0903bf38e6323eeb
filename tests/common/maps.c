/* SPDX-License-Identifier: MIT */
/*
 * maps.c - /proc/self/maps, line by line.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include "check.h"
#include "maps.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

void maps_each(void (*visit)(char *from, size_t bytes, const char *perms, const char *name))
{
	FILE *maps = fopen("/proc/self/maps", "r");
	static char line[1024];

	if (!maps)
		check_broken("/proc/self/maps");
	while (fgets(line, sizeof(line), maps)) {
		unsigned long from, to;
		char perms[8];
		int name = 0;

		if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %n", &from, &to, perms, &name) < 3)
			continue;
		line[strcspn(line, "\n")] = 0;
		visit((char *)from, to - from, perms, line + name);
	}
	fclose(maps);
}

static void make_resident(char *from, size_t bytes, const char *perms, const char *name)
{
	if (name[0] != '/' && strcmp(name, "[stack]"))
		return;
	if (perms[1] != 'w')
		madvise(from, bytes, MADV_POPULATE_READ);
	else if (!strstr(name, "libnostall"))
		madvise(from, bytes, MADV_POPULATE_WRITE);
}

/* What is not in the program's file has no name in the list of mappings. */
static void make_zeroes_resident(void)
{
	extern char __bss_start[], _end[];
	uintptr_t from = (uintptr_t)__bss_start & ~(uintptr_t)4095;

	madvise((void *)from, (uintptr_t)_end - from, MADV_POPULATE_WRITE);
}

void stack_make_resident(void)
{
	volatile char room[65536];

	for (size_t i = 0; i < sizeof(room); i += 4096)
		room[i] = 0;
}

void maps_make_resident(void)
{
	maps_each(make_resident);
	stack_make_resident();
	make_zeroes_resident();
}
