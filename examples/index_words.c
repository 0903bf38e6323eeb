// SPDX-License-Identifier: MIT
/*
 * index_words.c - a hash table of words that is read under RCU while many threads replace what it holds.
 *
 * I1. What postings say is written before they are published, and never again.
 * I2. Postings that were replaced are retired by who replaced them; full ones stay.
 * I3. A copy is made and published inside a section, so that its original is not freed and begun anew meanwhile.
 */
#include "index_words.h"
#include "index_rcu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POSTINGS 62u /* then the next are begun */

struct posting {
	uint32_t document, count;
};

struct postings {
	RCU_HEAD
	const struct entry *of; /* whose they are: readers check it */
	struct postings *older;
	uint64_t sum; /* of the counts: readers check it */
	uint32_t nr;
	struct posting posting[];
};

struct entry {
	struct entry *next;
	struct postings *newest;
	uint32_t hash, len;
	char text[];
};

static struct entry *buckets[INDEX_BUCKETS];

const char *index_way(void)
{
	return RCU_NAME;
}

void index_thread(void)
{
	section_thread();
}

void index_thread_end(void)
{
	section_thread_end();
}

void index_settle(void)
{
	memory_settle();
}

void index_waiting(uint64_t *bytes, uint64_t *periods)
{
	memory_numbers(bytes, periods);
}

static void *must(void *p)
{
	if (p)
		return p;
	fprintf(stderr, "rcu_index: no memory\n");
	exit(1);
}

/* ---- writers ---- */

static size_t postings_bytes(uint32_t nr)
{
	return sizeof(struct postings) + nr * sizeof(struct posting);
}

/* @old and one more, or, if @old are full, one behind which they stand. */
static struct postings *with(const struct entry *e, struct postings *old, struct posting p)
{
	uint32_t nr = old && old->nr < POSTINGS ? old->nr : 0;
	struct postings *new = must(memory_alloc(postings_bytes(nr + 1)));

	new->of = e;
	new->older = nr ? old->older : old;
	new->sum = (nr ? old->sum : 0) + p.count;
	new->nr = nr + 1;
	if (nr)
		memcpy(new->posting, old->posting, nr * sizeof(p));
	new->posting[nr] = p;
	return new;
}

static void replace(struct entry *e, struct posting p, struct index_numbers *n)
{
	struct postings *old, *new;
	int published;

	do {
		section_t section = section_begin();

		old = __atomic_load_n(&e->newest, __ATOMIC_CONSUME);
		new = with(e, old, p);
		published = __atomic_compare_exchange_n(&e->newest, &old, new, 0, __ATOMIC_RELEASE,
							__ATOMIC_RELAXED);
		section_end(section);
		if (!published)
			memory_free(new);
	} while (!published);
	if (new->nr == 1)
		return; /* nothing, or full ones, which stay */
	memory_retire(old, postings_bytes(old->nr));
	n->replaced++;
}

/* From @e on, up to @end, which is not looked at. */
static struct entry *find(struct entry *e, const struct entry *end, const struct word *w)
{
	for (; e != end; e = e->next)
		if (e->hash == w->hash && e->len == w->len && !memcmp(e->text, w->text, w->len))
			return e;
	return NULL;
}

static struct entry *entry_of(const struct word *w, struct index_numbers *n)
{
	struct entry **bucket = &buckets[w->hash % INDEX_BUCKETS];
	struct entry *first = __atomic_load_n(bucket, __ATOMIC_ACQUIRE), *seen = NULL, *new, *e;

	e = find(first, NULL, w);
	if (e)
		return e;
	new = must(memory_alloc(sizeof(*new) + w->len));
	*new = (struct entry){.hash = w->hash, .len = w->len};
	memcpy(new->text, w->text, w->len);
	do { /* what others put in front meanwhile may be it */
		e = find(first, seen, w);
		if (e) {
			memory_free(new);
			return e;
		}
		new->next = seen = first;
	} while (!__atomic_compare_exchange_n(bucket, &first, new, 0, __ATOMIC_RELEASE,
					      __ATOMIC_ACQUIRE));
	n->words++;
	return new;
}

void index_add(const struct word *w, uint32_t document, struct index_numbers *n)
{
	replace(entry_of(w, n), (struct posting){document, (uint32_t)w->count}, n);
}

/* ---- readers ---- */

static uint64_t sum_of(const struct postings *p)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < p->nr && i < POSTINGS; i++)
		sum += p->posting[i].count;
	return sum;
}

/* In a section. */
static uint64_t total(struct entry *e, uint64_t *damaged)
{
	const struct postings *p = __atomic_load_n(&e->newest, __ATOMIC_CONSUME);
	uint64_t sum = 0;

	for (; p; p = p->older) {
		if (p->of != e || sum_of(p) != p->sum) {
			(*damaged)++;
			break; /* where it leads nobody knows */
		}
		sum += p->sum;
	}
	return sum;
}

uint64_t index_query(uint32_t bucket, unsigned int most, uint64_t *damaged)
{
	struct entry *e = __atomic_load_n(&buckets[bucket % INDEX_BUCKETS], __ATOMIC_ACQUIRE);
	section_t section = section_begin();
	uint64_t sum = 0;

	for (; e && most; e = e->next, most--)
		sum += total(e, damaged);
	section_end(section);
	return sum;
}

uint64_t index_count(const struct word *w, uint64_t *damaged)
{
	section_t section = section_begin();
	struct entry *e = find(buckets[w->hash % INDEX_BUCKETS], NULL, w);
	uint64_t sum = e ? total(e, damaged) : 0;

	section_end(section);
	return sum;
}

uint64_t index_total(uint64_t *damaged)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < INDEX_BUCKETS; i++)
		sum += index_query(i, UINT32_MAX, damaged);
	return sum;
}
