/* SPDX-License-Identifier: MIT */
/*
 * metadata.c - S1: metadata is out of band; S3: guard space around zones; S4: slab order cannot be
 * foretold at debug:1; S2: a damaged link of the side list is reported, never followed.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/testhook.h"
#include "mm/mm.h"
#include "common/check.h"
#include "common/owner.h"
#include "common/trap.h"

#define NR 3000u

static sigjmp_buf after_fault;

static void fault(int sig)
{
	(void)sig;
	siglongjmp(after_fault, 1);
}

static int faults(const volatile char *p)
{
	struct sigaction sa = {.sa_handler = fault, .sa_flags = SA_NODEFER};

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	if (sigsetjmp(after_fault, 1))
		return 1;
	(void)*p;
	return 0;
}

/* ---- S1 ---- */

static size_t size_at(unsigned int i)
{
	return i % 3 == 0 ? 64 : i % 3 == 1 ? 1000 : 4096;
}

/* Unseen by AddressSanitizer, which finds this very bug. */
__attribute__((no_sanitize("address"))) static void scribble(void *object, size_t bytes)
{
	for (volatile unsigned char *b = object; bytes; bytes--)
		*b++ = 0xff;
}

/* Written after it was freed: a bug of the program. It hurts who owns the bytes, nobody else. */
static void check_out_of_band(void)
{
	static void *object[NR];

	for (unsigned int i = 0; i < NR; i++)
		object[i] = nst_alloc(size_at(i), NST_NORMAL);
	for (unsigned int i = 0; i < NR; i++) {
		nst_free(object[i]);
		scribble(object[i], size_at(i));
	}
	for (unsigned int i = 0; i < NR; i++) {
		object[i] = nst_alloc(size_at(i), NST_NORMAL);
		owner_take(object[i], size_at(i), 1);
		memset(object[i], 0x55, size_at(i));
	}
	for (unsigned int i = 0; i < NR; i++) {
		owner_give(object[i], size_at(i), 1);
		nst_free(object[i]);
	}
	nst_maintain();
	check(owner_errors() == 0, "S1 writing over freed objects changes no list", "%llu errors",
	      (unsigned long long)owner_errors());
}

/* ---- S2 ---- */

enum damage { DAMAGE_ONES, DAMAGE_ZERO, DAMAGE_TEXT, DAMAGE_COPY, DAMAGE_TWICE, NR_DAMAGES };

static void damage(unsigned char *object, const unsigned char *other, enum damage how)
{
	switch (how) {
	case DAMAGE_ONES:
		memset(object, 0xff, 16);
		break;
	case DAMAGE_ZERO:
		memset(object, 0, 16);
		break;
	case DAMAGE_TEXT:
		memcpy(object, "AAAAAAAABBBBBBBB", 16);
		break;
	default:
		/* A good link, of another object: replayed. */
		memcpy(object, other, 16);
	}
}

/* In a child: objects on the side list, the link of one in the middle damaged, then a drain. */
static void drain_damaged(enum damage how)
{
	static struct nst_stats stats;
	unsigned char *object[64];

	for (int i = 0; i < 64; i++) {
		object[i] = nst_alloc(96, NST_NORMAL);
		memset(object[i], 0, 96);
	}
	/* So full that no further one finds room on this CPU. */
	void *filler[4000];
	for (int i = 0; i < 4000; i++)
		filler[i] = nst_alloc(96, NST_NORMAL);
	nst_test_fail[NST_FAIL_TRYLOCK] = -1;
	for (int i = 0; i < 4000; i++)
		nst_free_nolock(filler[i]);
	for (int i = 0; i < 64; i++)
		nst_free_nolock(object[i]);
	/* Freed twice: on the list twice, and the list a circle. */
	if (how == DAMAGE_TWICE)
		nst_free_nolock(object[30]);
	else
		damage(object[30], object[10], how);
	nst_test_fail[NST_FAIL_TRYLOCK] = 0;
	nst_maintain();
	nst_stats_read(&stats, sizeof(stats));
	_exit(stats.side_corrupt ? 0 : 1);
}

static void check_side_links(void)
{
	static const char *const names[] = {"ones", "zeroes", "text", "another's link",
					    "freed twice"};

	for (enum damage how = 0; how < NR_DAMAGES; how++) {
		char text[512] = "";
		int end[2], status = 0;
		ssize_t n, used = 0;

		if (pipe(end))
			check_broken("pipe");
		fflush(stdout);
		pid_t pid = fork();
		if (pid == 0) {
			dup2(end[1], STDERR_FILENO);
			drain_damaged(how);
		}
		close(end[1]);
		while ((n = read(end[0], text + used, sizeof(text) - 1 - (size_t)used)) > 0)
			used += n;
		close(end[0]);
		waitpid(pid, &status, 0);
		int reported = strstr(text, "nostall: ") && strstr(text, "side list");
		int ended = (WIFEXITED(status) && WEXITSTATUS(status) == 0) ||
			    (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
		check(reported && ended, "S2 a damaged link is reported", "%s: %s, stderr '%s'",
		      names[how], child_status(status), text);
	}
}

/* ---- S3 ---- */

static void check_guards(void)
{
	unsigned int guards = 0, open = 0;

	for (unsigned int i = 0; i < nst_mm.nr_arenas; i++) {
		const struct nst_arena *a = &nst_arenas[i];
		const char *base = (const char *)a->base;

		/* Outside: the last byte before, and the first after. */
		open += !faults(base - 1) + !faults(base + a->bytes);
		for (size_t block = 0; block < a->nr_blocks; block++) {
			const char *from = base + block * NST_BLOCK_BYTES;

			if (a->block[block] != NST_BLOCK_GUARD)
				continue;
			guards++;
			open += !faults(from) + !faults(from + NST_BLOCK_BYTES - 1);
		}
	}
	check(open == 0, "S3 what lies around a zone cannot be touched", "%u places can", open);
	check(guards >= 2, "S3 there is guard space", "%u blocks", guards);
}

static void check_not_ready(void)
{
	volatile char *p;
	char *q = nst_alloc((size_t)3 << 20, NST_NORMAL);
	size_t bytes = nst_usable_size(q);

	p = q;

	memset(q, 1, bytes);
	check(!faults(p) && !faults(p + bytes - 1), "S3 a mapping is there to its last byte", "-");
	nst_free(q);
	nst_maintain();
	check(faults(p) || *p == 0, "S3 its memory goes when it is freed",
	      "what was written is there");
}

/* ---- S4 ---- */

#define NR_SLOTS 32u

/* Offsets of the first objects of a fresh cache, in the order they are handed out. */
static void order_of(unsigned int *order)
{
	struct nst_cache *cache = nst_cache_create("order", 128, 0, 0, NULL);
	char *object[NR_SLOTS];

	for (unsigned int i = 0; i < NR_SLOTS; i++) {
		object[i] = nst_cache_alloc(cache, NST_NORMAL);
		order[i] = (unsigned int)((uintptr_t)object[i] & 4095) / 128;
	}
	for (unsigned int i = 0; i < NR_SLOTS; i++)
		nst_cache_free(cache, object[i]);
	nst_cache_destroy(cache);
}

static void check_order(void)
{
	unsigned int first[NR_SLOTS], next[NR_SLOTS], steps = 0, same = 0;

	order_of(first);
	for (int round = 0; round < 4; round++) {
		order_of(next);
		same += !memcmp(first, next, sizeof(first));
	}
	for (unsigned int i = 1; i < NR_SLOTS; i++)
		steps += first[i] == first[i - 1] + 1 || first[i] + 1 == first[i - 1];
	check(same == 0, "S4 each slab has an order of its own", "%u of 4 are equal", same);
	check(steps < NR_SLOTS / 2, "S4 neighbours do not follow each other", "%u of %u do", steps,
	      NR_SLOTS - 1);
}

const char *test_conf(int argc, char **argv)
{
	return argc > 1 && !strcmp(argv[1], "order") ? "worker:off,debug:1"
						     : "worker:off,debug:0,fork_ready:on";
}

int main(int argc, char **argv)
{
	int order = argc > 1 && !strcmp(argv[1], "order");

	conf_apply(argv);
	check_deadline(60, "S1 in time");
	owner_start();
	if (order) {
		check_order();
		return check_status();
	}
	check_side_links();
	check_out_of_band();
	check_guards();
	check_not_ready();
	return check_status();
}
