// SPDX-License-Identifier: MIT
/*
 * brings.c - programs that a preloaded malloc must leave alone, told by their file.
 *
 * A sanitizer's runtime leaves names among the symbols that the dynamic linker sees, whether it is
 * linked statically or not; the library linked statically leaves a note. The preload itself looks for
 * the same in a process (src/preload/aside.c), which this saves from being executed twice.
 */
#define _GNU_SOURCE
#include "brings.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TABLE_MAX ((size_t)64 << 20)
#define NOTES_MAX ((size_t)1 << 20)
#define NOTE_NAME "nostall"

static const struct {
	const char *symbol, *means;
} runtimes[] = {
	{"__asan_init", "is built with AddressSanitizer"},
	{"__hwasan_init", "is built with HWAddressSanitizer"},
	{"__msan_init", "is built with MemorySanitizer"},
	{"__tsan_init", "is built with ThreadSanitizer"},
	{"__lsan_init", "is built with LeakSanitizer"},
	/* gcc's, linked statically, leaves this alone. */
	{"__sanitizer_malloc_hook", "is built with a sanitizer"},
};

static int phdr_read(int fd, const Elf64_Ehdr *ehdr, unsigned int i, Elf64_Phdr *phdr)
{
	off_t at = (off_t)(ehdr->e_phoff + i * sizeof(*phdr));

	return i < ehdr->e_phnum && pread(fd, phdr, sizeof(*phdr), at) == sizeof(*phdr);
}

/* @bytes of the file and a 0 after them, to be freed; or NULL. */
static char *bytes_at(int fd, uint64_t offset, size_t bytes, size_t most)
{
	char *text = bytes && bytes <= most ? malloc(bytes + 1) : NULL;

	if (text && pread(fd, text, bytes, (off_t)offset) != (ssize_t)bytes) {
		free(text);
		return NULL;
	}
	if (text)
		text[bytes] = 0;
	return text;
}

/* ---- the strings of the dynamic linker ---- */

static uint64_t offset_of(int fd, const Elf64_Ehdr *ehdr, uint64_t vaddr)
{
	Elf64_Phdr phdr;

	for (unsigned int i = 0; phdr_read(fd, ehdr, i, &phdr); i++)
		if (phdr.p_type == PT_LOAD && vaddr - phdr.p_vaddr < phdr.p_filesz)
			return vaddr - phdr.p_vaddr + phdr.p_offset;
	return 0;
}

static char *strings_read(int fd, const Elf64_Ehdr *ehdr, const Elf64_Phdr *dynamic, size_t *bytes)
{
	Elf64_Dyn dyn;
	uint64_t at = 0;

	*bytes = 0;
	for (uint64_t i = 0; i + sizeof(dyn) <= dynamic->p_filesz; i += sizeof(dyn)) {
		if (pread(fd, &dyn, sizeof(dyn), (off_t)(dynamic->p_offset + i)) != sizeof(dyn))
			break;
		if (dyn.d_tag == DT_STRTAB)
			at = offset_of(fd, ehdr, dyn.d_un.d_ptr);
		if (dyn.d_tag == DT_STRSZ)
			*bytes = dyn.d_un.d_val;
	}
	return at ? bytes_at(fd, at, *bytes, TABLE_MAX) : NULL;
}

static const char *runtime_of(const char *strings, size_t bytes)
{
	for (size_t k = 0; k < sizeof(runtimes) / sizeof(*runtimes); k++)
		for (size_t i = 0; i < bytes; i += strlen(strings + i) + 1)
			if (!strcmp(strings + i, runtimes[k].symbol))
				return runtimes[k].means;
	return NULL;
}

static const char *sanitizer_in(int fd, const Elf64_Ehdr *ehdr, const Elf64_Phdr *dynamic)
{
	size_t bytes;
	char *strings = strings_read(fd, ehdr, dynamic, &bytes);
	const char *means = strings ? runtime_of(strings, bytes) : NULL;

	free(strings);
	return means;
}

/* ---- notes ---- */

static int has_note(int fd, const Elf64_Phdr *phdr)
{
	char *notes = bytes_at(fd, phdr->p_offset, phdr->p_filesz, NOTES_MAX);
	size_t at = 0, left = notes ? phdr->p_filesz : 0, bytes;
	int found = 0;

	while (!found && left >= sizeof(Elf64_Nhdr) + sizeof(NOTE_NAME)) {
		const Elf64_Nhdr *note = (const void *)(notes + at);

		found = note->n_namesz == sizeof(NOTE_NAME) &&
			!memcmp(note + 1, NOTE_NAME, sizeof(NOTE_NAME));
		bytes = sizeof(*note) + (note->n_namesz + 3ul) / 4 * 4 +
			(note->n_descsz + 3ul) / 4 * 4;
		if (bytes > left)
			break;
		at += bytes;
		left -= bytes;
	}
	free(notes);
	return found;
}

const char *brings_malloc(int fd, const Elf64_Ehdr *ehdr)
{
	const char *means = NULL;
	Elf64_Phdr phdr;

	for (unsigned int i = 0; !means && phdr_read(fd, ehdr, i, &phdr); i++) {
		if (phdr.p_type == PT_DYNAMIC)
			means = sanitizer_in(fd, ehdr, &phdr);
		else if (phdr.p_type == PT_NOTE && has_note(fd, &phdr))
			means = "contains a copy of the library";
	}
	return means;
}
