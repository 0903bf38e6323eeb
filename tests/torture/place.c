/* SPDX-License-Identifier: MIT */
/*
 * place.c - descriptors of sequences, symbols, and the verdict on a saved context.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <ucontext.h>
#include <unistd.h>
#include <nostall/stats.h>
#include "base/testhook.h"
#include "common/check.h"
#include "place.h"

/* What the kernel reads, rseq(2). */
struct descriptor {
	uint32_t version, flags;
	uint64_t start, bytes, abort;
};
extern const struct descriptor cs_start[] __asm__("__start___rseq_cs") __attribute__((weak));
extern const struct descriptor cs_stop[] __asm__("__stop___rseq_cs") __attribute__((weak));

struct sequence {
	uintptr_t abort;
	int seq;
	char label[72];
};

static struct {
	struct sequence sequence[PLACE_SEQUENCES];
	unsigned int nr_sequences;
	uintptr_t load;	 /* what the loader added to addresses in the file */
	const char *elf; /* the program's file */
	const ElfW(Sym) * symbols;
	size_t nr_symbols;
	const char *names;
} places;

static const char *const lock_names[] = {
#define NST_STATS_NAME(name, ...) #name,
	NST_LOCK_TABLE(NST_STATS_NAME)
#undef NST_STATS_NAME
};
_Static_assert(NST_NR_LOCKS <= 8, "nst_test_holding[] has room");

static int find_load(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size;
	*(uintptr_t *)arg = info->dlpi_addr;
	return 1; /* the program comes first */
}

static void open_symbols(void)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct stat st;

	dl_iterate_phdr(find_load, &places.load);
	if (fd < 0 || fstat(fd, &st))
		check_broken("own file");
	places.elf = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (places.elf == MAP_FAILED)
		check_broken("own file");
	const ElfW(Ehdr) *header = (const void *)places.elf;
	const ElfW(Shdr) *section = (const void *)(places.elf + header->e_shoff);
	for (unsigned int i = 0; i < header->e_shnum; i++) {
		if (section[i].sh_type != SHT_SYMTAB)
			continue;
		places.symbols = (const void *)(places.elf + section[i].sh_offset);
		places.nr_symbols = section[i].sh_size / sizeof(*places.symbols);
		places.names = places.elf + section[section[i].sh_link].sh_offset;
	}
}

const char *place_function(uintptr_t ip)
{
	for (size_t i = 0; i < places.nr_symbols; i++) {
		const ElfW(Sym) *s = &places.symbols[i];

		if ((s->st_info & 15) == STT_FUNC && ip - places.load - s->st_value < s->st_size)
			return places.names + s->st_name;
	}
	return "?";
}

size_t place_range(const char *function, uintptr_t *start)
{
	for (size_t i = 0; i < places.nr_symbols; i++) {
		const ElfW(Sym) *s = &places.symbols[i];

		if ((s->st_info & 15) != STT_FUNC ||
		    strcmp(places.names + s->st_name, function) != 0)
			continue;
		*start = places.load + s->st_value;
		return s->st_size;
	}
	return 0;
}

static int sequence_of_delay(uintptr_t word)
{
	uintptr_t index = (word - (uintptr_t)nst_test_delay) / sizeof(nst_test_delay[0]);

	return index < NST_NR_SEQS ? (int)index : -1;
}

/*
 * Which sequence a copy is: in the test build each begins with the load of its delay at point 0, relative
 * to the instruction pointer. -1 where this cannot be read off.
 */
static int sequence_at(uintptr_t start)
{
#if defined(__x86_64__)
	const unsigned char *code = (const unsigned char *)start;
	int32_t distance;

	code += *code == 0x44; /* REX.R: one of the upper registers */
	if (code[0] != 0x8b || (code[1] & 0xc7) != 0x05)
		return -1;
	memcpy(&distance, code + 2, sizeof(distance));
	return sequence_of_delay((uintptr_t)code + 6 + (uintptr_t)(intptr_t)distance);
#elif defined(__aarch64__)
	uint32_t adrp, ldr; /* the page, and a word in it */

	memcpy(&adrp, (const void *)start, sizeof(adrp));
	memcpy(&ldr, (const char *)start + 4, sizeof(ldr));
	if ((adrp & 0x9f000000) != 0x90000000 || (ldr & 0xffc00000) != 0xb9400000)
		return -1;
	int64_t pages = (int32_t)(((adrp >> 5 & 0x7ffff) << 2 | (adrp >> 29 & 3)) << 11) >> 11;
	return sequence_of_delay((start & ~(uintptr_t)4095) + (uintptr_t)(pages * 4096) +
				 (ldr >> 10 & 0xfff) * 4);
#else
	(void)start;
	return -1;
#endif
}

void place_start(void)
{
	static const char *const names[] = {"pop",    "push",	 "popn",   "pushn",
					    "retire", "retiren", "advance"};

	open_symbols();
	for (const struct descriptor *d = cs_start; d < cs_stop; d++) {
		struct sequence *s = &places.sequence[places.nr_sequences];

		if (places.nr_sequences == PLACE_SEQUENCES)
			check_broken("too many sequences: raise PLACE_SEQUENCES");
		if (!d->bytes)
			continue;
		places.nr_sequences++;
		s->abort = d->abort;
		s->seq = sequence_at(d->start);
		snprintf(s->label, sizeof(s->label), "%s in %s",
			 s->seq < 0 ? "sequence" : names[s->seq], place_function(d->start));
	}
}

uintptr_t place_ip(const void *context)
{
	const ucontext_t *uc = context;

#if defined(__x86_64__)
	return (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];
#else
	return (uintptr_t)uc->uc_mcontext.pc;
#endif
}

unsigned int place_of(const void *context)
{
	uintptr_t ip = place_ip(context);

	for (unsigned int i = 0; i < places.nr_sequences; i++)
		if (places.sequence[i].abort == ip)
			return i + 1;
	if (nst_test_in_stripe)
		return PLACE_STRIPE;
	for (unsigned int i = 0; i < NST_NR_LOCKS; i++)
		if (nst_test_holding[i])
			return PLACE_LOCK + i;
	return 0;
}

int place_sequence(unsigned int place)
{
	return place - 1 < places.nr_sequences ? places.sequence[place - 1].seq : -1;
}

static void name_of(unsigned int place, char *name, size_t bytes)
{
	if (place == PLACE_STRIPE)
		snprintf(name, bytes, "stripe");
	else if (place >= PLACE_LOCK)
		snprintf(name, bytes, "lock %s", lock_names[place - PLACE_LOCK]);
	else
		snprintf(name, bytes, "%s", places.sequence[place - 1].label);
}

uint64_t place_print(const struct place_hits *hits)
{
	uint64_t sum = 0;

	for (unsigned int i = 1; i < PLACES; i++) {
		char name[80];

		if (!hits->at[i])
			continue;
		sum += hits->at[i];
		name_of(i, name, sizeof(name));
		printf("# inside %-56s %llu\n", name, (unsigned long long)hits->at[i]);
	}
	return sum;
}

void place_add(struct place_hits *sum, const struct place_hits *hits)
{
	for (unsigned int i = 0; i < PLACES; i++)
		sum->at[i] += hits->at[i];
}
