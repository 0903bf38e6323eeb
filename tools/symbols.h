/* SPDX-License-Identifier: MIT */
/* symbols.h - code addresses of another process become functions. */
#ifndef SYMBOLS_H
#define SYMBOLS_H

#include <stddef.h>
#include <stdint.h>

/* One per name and file; equal functions are the same pointer, over several processes too. */
struct function {
	char *name;		       /* a symbol, or file+0xaddress where the file has none */
	char *file;		       /* last part of its path */
	struct function *next, *chain; /* all of them; those of one hash bucket */
	uint64_t self, total;	       /* the report's: samples in it, and in it or below */
	uint64_t stamp;
};

struct symbols;

/* @maps: the text of /proc/PID/maps, terminated; it stays the caller's, until close. */
struct symbols *symbols_open(char *maps);
struct function *symbols_find(struct symbols *symbols, uint64_t pc);
void symbols_close(struct symbols *symbols);

/* C++ names, where libstdc++ is there to read them. The result is malloc's; NULL when it is none. */
char *symbol_demangle(const char *name);

/* All functions ever found, linked by next. */
struct function *functions_all(void);
struct function *function_of(const char *name, const char *file);
/* For code that no symbol names: its file and the offset of @pc in it. */
struct function *function_nameless(const char *maps, uint64_t pc);

#endif
