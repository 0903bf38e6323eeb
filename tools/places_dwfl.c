// SPDX-License-Identifier: MIT
/*
 * places_dwfl.c - names and lines of one file, by elfutils; the process that had it mapped may be gone.
 *
 * A report has offsets in the file; symbols have addresses, which differ by segment. What a stack holds are places to
 * return to: the call is before them. Data that is zeroed lies behind the end of its segment in the file.
 */
#define _GNU_SOURCE
#include "places.h"
#include "symbols.h"
#include "tool.h"

#include <dwarf.h>
#include <elfutils/libdwfl.h>
#include <stdlib.h>
#include <string.h>

struct object {
	Dwfl *dwfl;
	Dwfl_Module *module;
	Elf *elf;
	GElf_Addr bias;
};

struct object *object_open(const char *path)
{
	static const Dwfl_Callbacks callbacks = {
		.find_elf = dwfl_build_id_find_elf,
		.find_debuginfo = dwfl_standard_find_debuginfo,
		.section_address = dwfl_offline_section_address,
	};
	struct object *o = must_alloc(sizeof(*o));

	o->dwfl = dwfl_begin(&callbacks);
	if (o->dwfl) {
		dwfl_report_begin(o->dwfl);
		o->module = dwfl_report_offline(o->dwfl, path, path, -1);
		dwfl_report_end(o->dwfl, NULL, NULL);
	}
	if (o->module)
		o->elf = dwfl_module_getelf(o->module, &o->bias);
	if (o->elf)
		return o;
	if (o->dwfl)
		dwfl_end(o->dwfl);
	free(o);
	return NULL;
}

/* The address of an offset; *@is_code. 0: it is in no segment. */
static GElf_Addr address_of(Elf *elf, uint64_t offset, int *is_code)
{
	size_t nr = 0;
	GElf_Addr found = 0;

	elf_getphdrnum(elf, &nr);
	for (size_t i = 0; i < nr; i++) {
		GElf_Phdr p;

		/* The kernel maps whole pages: one that begins amid a page has what is before it, too. */
		if (!gelf_getphdr(elf, (int)i, &p) || p.p_type != PT_LOAD || offset < p.p_offset ||
		    offset - p.p_offset >= p.p_memsz)
			continue;
		found = offset - p.p_offset + p.p_vaddr;
		*is_code = (p.p_flags & PF_X) != 0;
		if (offset - p.p_offset < p.p_filesz)
			break;
	}
	return found;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* An annotation is inlined where it is written: who did so is meant. */
static int is_ours(Dwarf_Die *die)
{
	const char *file = dwarf_decl_file(die), *name = dwarf_diename(die);

	return (name && !strncmp(name, "nst_", 4)) || (file && strstr(file, "/nostall/"));
}

static int number_of(Dwarf_Die *die, unsigned int what)
{
	Dwarf_Attribute attribute;
	Dwarf_Word v;

	return dwarf_formudata(dwarf_attr(die, what, &attribute), &v) ? 0 : (int)v;
}

static const char *call_file(Dwarf_Die *unit, int n)
{
	Dwarf_Files *files;
	size_t nr;

	return dwarf_getsrcfiles(unit, &files, &nr) || (size_t)n >= nr
		       ? NULL
		       : dwarf_filesrc(files, (size_t)n, NULL, NULL);
}

/* Where the code of a line comes from. */
struct source {
	const char *function, *file;
	int line;
};

/* Of the unit that has @addr. Not each compiler makes a table of them (clang: -gdwarf-aranges): else each is asked. */
static Dwarf_Die *unit_of(Dwfl_Module *module, GElf_Addr addr, Dwarf_Addr *bias)
{
	Dwarf_Die *unit = dwfl_module_addrdie(module, addr, bias);

	if (unit)
		return unit;
	while ((unit = dwfl_module_nextcu(module, unit, bias)) != NULL)
		if (dwarf_haspc(unit, addr - *bias) > 0)
			break;
	return unit;
}

/*
 * Its line; or, from the innermost function that is inlined there outwards, who wrote it, as long as it is ours: as they
 * are inlined, where dwarf_getscopes() goes on, behind the innermost, by where that one was written.
 */
static void source_of(Dwfl_Module *module, GElf_Addr addr, struct source *s)
{
	Dwarf_Addr bias = 0;
	Dwarf_Die *unit = unit_of(module, addr, &bias), *innermost = NULL, *scopes = NULL;
	Dwarf_Line *line = unit ? dwarf_getsrc_die(unit, addr - bias) : NULL;
	int nr = line && dwarf_getscopes(unit, addr - bias, &innermost) > 0
			 ? dwarf_getscopes_die(innermost, &scopes)
			 : 0;

	if (line) {
		s->file = dwarf_linesrc(line, NULL, NULL);
		dwarf_lineno(line, &s->line);
	}
	for (int i = 0; i < nr; i++) {
		const int tag = dwarf_tag(&scopes[i]);

		if (tag != DW_TAG_inlined_subroutine && tag != DW_TAG_subprogram)
			continue;
		if (tag == DW_TAG_subprogram || !is_ours(&scopes[i])) {
			s->function = dwarf_diename(&scopes[i]);
			break;
		}
		s->file = call_file(unit, number_of(&scopes[i], DW_AT_call_file));
		s->line = number_of(&scopes[i], DW_AT_call_line);
	}
	free(scopes);
	free(innermost);
}

char *object_place(struct object *o, uint64_t offset)
{
	struct source s = {NULL, NULL, 0};
	const char *name;
	GElf_Off into = 0;
	GElf_Addr addr;
	GElf_Sym symbol;
	char *text, *plain;
	int is_code = 0;

	addr = address_of(o->elf, offset, &is_code);
	if (!addr)
		return NULL;
	addr += o->bias - (is_code ? 1 : 0);
	name = dwfl_module_addrinfo(o->module, addr, &into, &symbol, NULL, NULL, NULL);
	if (name && symbol.st_size && into >= symbol.st_size)
		name = NULL;
	if (is_code)
		source_of(o->module, addr, &s);
	if (!name && !s.file)
		return NULL;
	plain = name ? symbol_demangle(name) : NULL;
	name = plain ? plain : s.function ? s.function : name ? name : "?";
	if (s.file)
		text = must_print("%s (%s:%d)", name, base_name(s.file), s.line);
	else
		text = must_print("%s", name);
	free(plain);
	return text;
}
