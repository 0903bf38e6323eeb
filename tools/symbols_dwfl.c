// SPDX-License-Identifier: MIT
/*
 * symbols_dwfl.c - names of functions, by elfutils, after the profiled process has gone.
 *
 * Debian strips its programs: what is left are the dynamic symbols, and the names of the rest if the
 * -dbgsym package is installed. The unwind tables stay, though, and they say where each function
 * begins, so that nameless code is still counted by function: liblzma.so.5.4.1+0x1a2b0.
 */
#define _GNU_SOURCE
#include "symbols.h"
#include "tool.h"

#include <dlfcn.h>
#include <elfutils/libdwfl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CACHE 65536 /* addresses remembered, by hash; a lookup costs half a microsecond without */

struct symbols {
	Dwfl *dwfl;
	const char *maps;
	struct {
		uint64_t pc;
		struct function *function;
	} cache[CACHE];
};

char *symbol_demangle(const char *name)
{
	typedef char *demangle_fn(const char *, char *, size_t *, int *);
	static demangle_fn *fn;
	static int tried;
	void *lib;

	if (strncmp(name, "_Z", 2))
		return NULL;
	if (!tried++) {
		lib = dlopen("libstdc++.so.6", RTLD_NOW | RTLD_LOCAL);
		fn = lib ? (demangle_fn *)dlsym(lib, "__cxa_demangle") : NULL;
	}
	return fn ? fn(name, NULL, NULL, NULL) : NULL;
}

struct symbols *symbols_open(char *maps)
{
	static const Dwfl_Callbacks callbacks = {
		.find_elf = dwfl_linux_proc_find_elf,
		.find_debuginfo = dwfl_standard_find_debuginfo,
	};
	struct symbols *s = must_alloc(sizeof(*s));
	FILE *file;

	s->maps = maps;
	s->dwfl = dwfl_begin(&callbacks);
	file = fmemopen(maps, strlen(maps), "r");
	if (s->dwfl && file) {
		dwfl_report_begin(s->dwfl);
		dwfl_linux_proc_maps_report(s->dwfl, file);
		dwfl_report_end(s->dwfl, NULL, NULL);
	}
	if (file)
		fclose(file);
	return s;
}

void symbols_close(struct symbols *s)
{
	if (s->dwfl)
		dwfl_end(s->dwfl);
	free(s);
}

/* The sorted table of .eh_frame_hdr, whose entries are (function, its unwind data), 4 bytes each. */
struct fde_table {
	const int32_t *entries;
	size_t nr;
	uint64_t vaddr; /* what the entries are relative to */
};

static int fde_table_find(Elf *elf, struct fde_table *table)
{
	static const unsigned char usual[4] = {1, 0x1b, 0x03,
					       0x3b}; /* the only form linkers write */
	size_t nr = 0;

	elf_getphdrnum(elf, &nr);
	for (size_t i = 0; i < nr; i++) {
		GElf_Phdr phdr;
		Elf_Data *data;
		uint32_t count;

		if (!gelf_getphdr(elf, (int)i, &phdr) || phdr.p_type != PT_GNU_EH_FRAME)
			continue;
		data = elf_getdata_rawchunk(elf, (int64_t)phdr.p_offset, phdr.p_filesz, ELF_T_BYTE);
		if (!data || data->d_size < 12 || memcmp(data->d_buf, usual, sizeof(usual)))
			return 0;
		memcpy(&count, (const char *)data->d_buf + 8, sizeof(count));
		if (count == 0 || (data->d_size - 12) / 8 < count)
			return 0;
		*table = (struct fde_table){(const int32_t *)data->d_buf + 3, count, phdr.p_vaddr};
		return 1;
	}
	return 0;
}

/* Where the function that holds @vaddr begins; 0 when the file has no table. */
static uint64_t function_start(Elf *elf, uint64_t vaddr)
{
	struct fde_table table;
	size_t low = 0, high;

	if (!elf || !fde_table_find(elf, &table))
		return 0;
	high = table.nr;
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (table.vaddr + (uint64_t)(int64_t)table.entries[middle * 2] <= vaddr)
			low = middle;
		else
			high = middle;
	}
	return table.vaddr + (uint64_t)(int64_t)table.entries[low * 2];
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static struct function *look_up(struct symbols *s, uint64_t pc)
{
	Dwfl_Module *module = s->dwfl ? dwfl_addrmodule(s->dwfl, pc) : NULL;
	const char *path = NULL, *name, *file;
	struct function *f;
	GElf_Addr bias = 0;
	Elf *elf;
	GElf_Off offset = 0;
	GElf_Sym symbol;
	uint64_t start;
	char *text;

	if (module)
		path = dwfl_module_info(module, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
	if (!path || *path != '/')
		return function_nameless(s->maps, pc);
	file = base_name(path);
	elf = dwfl_module_getelf(module, &bias);
	start = function_start(elf, pc - bias);
	name = dwfl_module_addrinfo(module, pc, &offset, &symbol, NULL, NULL, NULL);
	/* A label without a size may be the nearest symbol and lie in another function. */
	if (name && (symbol.st_size || pc - offset >= start + bias)) {
		text = symbol_demangle(name);
		f = function_of(text ? text : name, file);
		free(text);
		return f;
	}
	text = must_print("%s+0x%" PRIx64, file, start ? start : pc - bias);
	f = function_of(text, file);
	free(text);
	return f;
}

struct function *symbols_find(struct symbols *s, uint64_t pc)
{
	size_t i = (size_t)((pc * 0x9e3779b97f4a7c15u) >> 48) % CACHE;

	if (s->cache[i].pc != pc || !s->cache[i].function) {
		s->cache[i].function = look_up(s, pc);
		s->cache[i].pc = pc;
	}
	return s->cache[i].function;
}
