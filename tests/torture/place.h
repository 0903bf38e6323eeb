/* SPDX-License-Identifier: MIT */
/*
 * place.h - where in the library a signal handler hit, from what the kernel saved.
 *
 * A signal inside a sequence: the kernel has moved the saved instruction pointer to the sequence's
 * abort address, and a descriptor in section __rseq_cs names that address. A signal inside a held
 * region or a stripe: the counters of this thread say so (base/testhook.h). Nothing else counts.
 *
 *	place:  0                              none of these
 *	        1 .. nr_sequences              a copy of a sequence, by descriptor
 *	        PLACE_LOCK + enum nst_lock_class
 *	        PLACE_STRIPE
 */
#ifndef TEST_PLACE_H
#define TEST_PLACE_H

#include <stddef.h>
#include <stdint.h>

#define PLACE_SEQUENCES 224u /* room for copies of sequences in one program */
#define PLACE_LOCK (PLACE_SEQUENCES + 1u)
#define PLACE_STRIPE (PLACE_LOCK + 16u)
#define PLACES (PLACE_STRIPE + 1u)

/* Hits of one thread's handlers, by place. */
struct place_hits {
	uint64_t at[PLACES];
};

/* Reads the descriptors and this program's symbols. Thread, once, before the first signal. */
void place_start(void);
/* @context: the handler's third argument. Any context. */
unsigned int place_of(const void *context);
/* The saved instruction pointer. */
uintptr_t place_ip(const void *context);
/* The sequence (enum nst_seq) that a place is a copy of, or -1. */
int place_sequence(unsigned int place);
/* The function an address lies in, "?" if unknown. Thread. */
const char *place_function(uintptr_t ip);
/* Where a function of this program begins, and its bytes: 0 if there is none of that name. Thread. */
size_t place_range(const char *function, uintptr_t *start);
/* Prints one line for each place hit and returns the sum of all but place 0. Thread. */
uint64_t place_print(const struct place_hits *hits);
void place_add(struct place_hits *sum, const struct place_hits *hits);

#endif
