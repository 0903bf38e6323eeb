/* SPDX-License-Identifier: MIT */
/* brings.h - whether a program brings a malloc of its own that it counts on. */
#ifndef BRINGS_H
#define BRINGS_H

#include <elf.h>

/* NULL, or what it is or has: "is built with ...". @fd: the file, @ehdr its head. */
const char *brings_malloc(int fd, const Elf64_Ehdr *ehdr);

#endif
