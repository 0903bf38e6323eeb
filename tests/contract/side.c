/* SPDX-License-Identifier: MIT */
/*
 * side.c - C9: nst_free_nolock() never fails: what finds no place without waiting goes to a side
 * list, in its own memory (a run or mapping: in its descriptor), and comes back.
 *
 *	side		worker:off, drained by ordinary requests and frees alone
 *	side worker	drained by the worker alone: the program sleeps
 *	side maintain	worker:off, drained by nst_maintain() alone
 *	side exit	never drained: the process must end all the same
 *
 * Every try of a lock is made to fail while the objects are freed.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/testhook.h"
#include "common/mix.h"
#include "common/owner.h"
#include "common/pattern.h"
#include "common/trap.h"

#define NR_OBJECTS 4000u
#define TINY_BYTES 8u /* a link has two words */

struct object {
	void *ptr;
	size_t size;
};

static struct {
	struct mix_caches caches;
	struct nst_cache *tiny;
	struct object object[NR_OBJECTS];
} t;

static struct nst_stats *stats(void)
{
	static struct nst_stats now;

	if (nst_stats_read(&now, sizeof(now)))
		check_broken("nst_stats_read");
	return &now;
}

static void make(struct object *object, unsigned int i)
{
	switch (i % 6) {
	case 0:
		object->ptr = nst_cache_alloc(t.caches.ctor, NST_NORMAL);
		object->size = MIX_CTOR_BYTES;
		return;
	case 1:
		object->ptr = nst_cache_alloc(t.caches.small, NST_NORMAL);
		object->size = MIX_SMALL_BYTES;
		return;
	case 2:
		object->size = NST_PAGE_SIZE << (i / 6 % 4);
		object->ptr = nst_pages_alloc(i / 6 % 4, NST_NORMAL);
		return;
	case 3:
		object->size = i % 500 == 3 ? (size_t)3 << 20 : i % 100 == 3 ? 700000 : 9000;
		break;
	case 4:
		object->ptr = nst_cache_alloc(t.tiny, NST_NORMAL);
		object->size = TINY_BYTES;
		return;
	default:
		object->size = 8 + i * 37 % 8000;
	}
	object->ptr = nst_alloc(object->size, NST_NORMAL);
}

static void free_all_without_locks(void)
{
	/* The worker reads it. */
	__atomic_store_n(&nst_test_fail[NST_FAIL_TRYLOCK], -1, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < NR_OBJECTS; i++)
		switch (i % 3) {
		case 0:
			nst_free_nolock(t.object[i].ptr);
			break;
		case 1:
			nst_pages_free_nolock(t.object[i].ptr);
			break;
		default: {
			/* A no-lock scope makes every free a no-lock free. */
			nst_scope_t scope = nst_scope_enter(NST_SCOPE_NOLOCK);
			nst_free(t.object[i].ptr);
			nst_scope_exit(scope);
		}
		}
	__atomic_store_n(&nst_test_fail[NST_FAIL_TRYLOCK], 0, __ATOMIC_RELAXED);
}

static int drained(void)
{
	struct nst_stats *s = stats();

	return s->side_drained == s->side_pushed;
}

/* Bursts longer than a CPU's lists, as any program makes: what fits the lists is served by them. */
static void drain_by_ordinary(void)
{
	unsigned int rounds;
	void *burst[300];

	for (rounds = 0; rounds < 100 && !drained(); rounds++) {
		for (int i = 0; i < 300; i++)
			burst[i] = nst_alloc(48, rounds % 2 ? NST_NORMAL : NST_NOWAIT);
		for (int i = 0; i < 300; i++)
			nst_free(burst[i]);
	}
	printf("# drained after %u bursts\n", rounds);
}

static void drain_by_waiting(void)
{
	uint64_t since = 0;

	while (!(drained() && stats()->large_mappings == 0) && check_patience(&since))
		;
}

/* With debug:2 and up a free looks at what lies behind an object. */
static void check_used_again(void)
{
	unsigned int i;

	for (i = 0; i < NR_OBJECTS; i++)
		t.object[i].ptr = nst_cache_alloc(t.tiny, NST_NORMAL);
	for (i = 0; i < NR_OBJECTS; i++)
		nst_free(t.object[i].ptr);
	check(stats()->misuse == 0, "C9 a link leaves what lies behind its object", "%llu misuses",
	      (unsigned long long)stats()->misuse);
}

static void check_ctor_state(void)
{
	unsigned int built = 0;
	void *object[600];

	for (int i = 0; i < 600; i++) {
		uint64_t word;

		object[i] = nst_cache_alloc(t.caches.ctor, NST_NORMAL);
		memcpy(&word, object[i], sizeof(word));
		built += word == MIX_CTOR_WORD;
	}
	check(built == 600, "C9 a link in a constructed object leaves it constructed",
	      "%u of 600 are", built);
	for (int i = 0; i < 600; i++)
		nst_cache_free(t.caches.ctor, object[i]);
}

const char *test_conf(int argc, char **argv)
{
	return argc > 1 && !strcmp(argv[1], "worker") ? "worker:on" : "worker:off";
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "ordinary";

	conf_apply(argv);
	check_deadline(60, "C9 in time");
	mix_caches_make(&t.caches, 0);
	t.tiny = nst_cache_create("tiny", TINY_BYTES, 0, 0, NULL);
	for (unsigned int i = 0; i < NR_OBJECTS; i++) {
		make(&t.object[i], i);
		if (!t.object[i].ptr)
			check_broken("an object");
		if (i % 6)
			pattern_fill(t.object[i].ptr, t.object[i].size, i);
	}
	free_all_without_locks();
	struct nst_stats *s = stats();
	check(s->side_pushed > 100, "C9 frees without a lock go to the side list", "%llu of %u",
	      (unsigned long long)s->side_pushed, NR_OBJECTS);
	if (!strcmp(how, "exit"))
		return check_status();
	if (!strcmp(how, "worker"))
		drain_by_waiting();
	else if (!strcmp(how, "maintain"))
		nst_maintain();
	else
		drain_by_ordinary();
	s = stats();
	check(s->side_drained == s->side_pushed, "C9 all of it is drained", "%llu of %llu",
	      (unsigned long long)s->side_drained, (unsigned long long)s->side_pushed);
	check(s->side_corrupt == 0, "C9 no link failed its check", "%llu",
	      (unsigned long long)s->side_corrupt);
	check_used_again();
	check_ctor_state();
	if (strcmp(how, "worker"))
		nst_maintain();
	check(stats()->large_mappings == 0, "C9 mappings are given back", "%llu left",
	      (unsigned long long)stats()->large_mappings);
	size_t alive = mix_caches_destroy(&t.caches);

	alive += nst_cache_destroy(t.tiny);
	check(alive == 0, "C9 nothing lost", "%zu objects alive", alive);
	return check_status();
}
