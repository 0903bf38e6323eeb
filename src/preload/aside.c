/* SPDX-License-Identifier: MIT */
/*
 * aside.c - a program that brings a malloc of its own and counts on it is left alone: one line, and it
 * is executed again without the library.
 *
 *	relocated -> (here) -> preinit_array, where sanitizers start -> constructors -> main()
 *
 * Who does: a program built with a sanitizer, whose runtime must see each object, and one that contains
 * this library, whose scopes do not reach a second copy. Executed again, and not served by handing
 * calls on, because then all is as without: the order of libraries, which AddressSanitizer checks, and
 * every backtrace. An indirect function is asked for after our relocations and before any code of the
 * program's: no constructor is early enough.
 */
#include <elf.h>
#include <link.h>
#include <stddef.h>
#include "../sys/sys.h"

/* Each runtime has one of these. The loader finds it, or leaves NULL. */
void __asan_init(void) __attribute__((weak));
void __hwasan_init(void) __attribute__((weak));
void __lsan_init(void) __attribute__((weak));
void __msan_init(void) __attribute__((weak));
void __tsan_init(void) __attribute__((weak));

static const char *sanitizer(void)
{
	if (__asan_init)
		return "is built with AddressSanitizer";
	if (__hwasan_init)
		return "is built with HWAddressSanitizer";
	if (__msan_init)
		return "is built with MemorySanitizer";
	if (__tsan_init)
		return "is built with ThreadSanitizer";
	return __lsan_init ? "is built with LeakSanitizer" : NULL;
}

/* ---- the library, linked statically, leaves a note (mm/init.c) ---- */

static int is_our_note(const ElfW(Nhdr) * note)
{
	static const char name[] = NST_NOTE_NAME;
	const char *s = (const char *)(note + 1);
	size_t i;

	for (i = 0; i < sizeof(name); i++)
		if (note->n_namesz != sizeof(name) || s[i] != name[i])
			return 0;
	return 1;
}

static int has_our_note(const char *at, const char *end)
{
	while ((size_t)(end - at) >= sizeof(ElfW(Nhdr))) {
		const ElfW(Nhdr) *note = (const void *)at;
		size_t bytes = sizeof(*note) + nst_round_up((size_t)note->n_namesz, 4) +
			       nst_round_up((size_t)note->n_descsz, 4);

		if (is_our_note(note))
			return 1;
		if (bytes > (size_t)(end - at))
			break;
		at += bytes;
	}
	return 0;
}

static int contains_library(void)
{
	const ElfW(Phdr) *phdr = (const void *)nst_sys_auxv_early(AT_PHDR);
	size_t nr = phdr ? nst_sys_auxv_early(AT_PHNUM) : 0, i;
	const char *base = NULL;

	for (i = 0; i < nr; i++)
		if (phdr[i].p_type == PT_PHDR)
			base = (const char *)phdr - phdr[i].p_vaddr;
	for (i = 0; base && i < nr; i++) {
		const char *start = base + phdr[i].p_vaddr;

		if (phdr[i].p_type == PT_NOTE && has_our_note(start, start + phdr[i].p_memsz))
			return 1;
	}
	return 0;
}

/* ---- before all else ---- */

static void step_aside(const char *why)
{
	const char *line[] = {"nostall: this program ", why,
			      ": stepping aside, it runs without this library\n"};
	const char *refused[] = {"nostall: this program ", why,
				 " and cannot be executed again without this library: take it out "
				 "of what is preloaded\n"};
	/* Not of this thread's stack, which may be small. */
	static struct nst_sys_again again;

	if (nst_sys_again_prepare(&again)) {
		nst_sys_say_early(refused, 3);
		return;
	}
	nst_sys_say_early(line, 3);
	nst_sys_again(&again);
}

static void nothing(void)
{
}

/* used: clang does not count that an attribute names it. */
static __attribute__((used)) void (*look(void))(void)
{
	const char *why = sanitizer();

	if (!why && contains_library())
		why = "contains a copy of the library";
	if (why)
		step_aside(why);
	return nothing;
}

/* Not static, or clang 14 makes it a symbol that the loader looks up, and too early. */
void nst_preload_looked(void) __attribute__((ifunc("look"), visibility("hidden")));
/* Nobody calls it: that there is a pointer makes the loader ask. */
void (*const nst_preload_asks)(void)
	__attribute__((visibility("hidden"), used)) = nst_preload_looked;
