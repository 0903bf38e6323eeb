/* SPDX-License-Identifier: MIT */
/*
 * index_words.h - the index itself: for each word the documents it is in. Many threads write, any context reads.
 *
 *	bucket -> entry "memory" -> entry "stall" -> NULL		entries stay
 *			 |
 *			 +-> postings, the newest few -> postings, full -> ... -> NULL
 *
 * To add a document to a word, its newest postings are copied with one more, the copy is published in their
 * place, and the old ones are retired: readers may be reading them.
 */
#ifndef INDEX_WORDS_H
#define INDEX_WORDS_H

#include "index_text.h"

#define INDEX_BUCKETS 16384u /* a power of two */

struct index_numbers {
	uint64_t replaced; /* postings: retired */
	uint64_t words;
};

/* Which readers these are. */
const char *index_way(void);
/* Before and after a thread's calls of the functions below. */
void index_thread(void);
void index_thread_end(void);

/* The word @w occurs w->count times in document number @document. Context: thread, no section. */
void index_add(const struct word *w, uint32_t document, struct index_numbers *n);
/*
 * How often the words of bucket @bucket occur: all of them, or the first @most. In *@damaged how many postings were
 * not what had been written. Context: any.
 */
uint64_t index_query(uint32_t bucket, unsigned int most, uint64_t *damaged);
/* How often @w occurs; @damaged as above. */
uint64_t index_count(const struct word *w, uint64_t *damaged);
/* Of all words. */
uint64_t index_total(uint64_t *damaged);
/* Until all that was retired is freed. */
void index_settle(void);
/* What is not, and how many grace periods there were; 0: not known. Context: thread. */
void index_waiting(uint64_t *bytes, uint64_t *periods);

#endif
