/* SPDX-License-Identifier: MIT */
/* index_text.h - documents, their words, and how often each occurs: what rcu_index.c reads, and counts again. */
#ifndef INDEX_TEXT_H
#define INDEX_TEXT_H

#include <stddef.h>
#include <stdint.h>

#define DOCUMENT_MOST 65536u /* bytes; of longer files the beginning */

struct document {
	const char *text; /* in lower case */
	size_t bytes;
};

struct corpus {
	struct document *document;
	size_t nr, bytes;
};

/* Text files below @folders, together at most @bytes. Exits where there are none. */
void corpus_read(struct corpus *c, size_t bytes, char *const *folders);

struct word {
	const char *text; /* in a document, not terminated */
	uint32_t len, hash;
	uint64_t count;
};

/** struct tally - how often each word occurs; one thread's */
struct tally {
	struct word *slot;
	uint32_t mask, nr;
	uint32_t *used; /* the first @nr are slots with a word */
};

/* Room for half of 2^@log2 words. */
void tally_init(struct tally *t, unsigned int log2);
void tally_end(struct tally *t);
void tally_clear(struct tally *t);
/* Every word of @d, each as often as it occurs there @times. */
void tally_add(struct tally *t, const struct document *d, uint64_t times);

#endif
