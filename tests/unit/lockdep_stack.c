/* SPDX-License-Identifier: MIT */
/*
 * lockdep_stack.c - V18: for each step of a cycle, who called the place where the first lock was taken and that where
 * the second was waited for; more than one frame wherever there are frame pointers, and never one that is none.
 *
 * This file is compiled with them. A library that takes whatever lies on the stack for a caller must be caught (48).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include "unit/lockdep.h"

#ifdef __clang__
#define FAR __attribute__((noinline))
#else
#define FAR __attribute__((noipa))
#endif
#define KEEP __asm__ volatile("" ::: "memory")

static char last_json[65536];

static void keep_both(const struct nst_lockdep_report *r, void *arg)
{
	keep(r, arg);
	snprintf(last_json, sizeof(last_json), "%.*s", (int)r->json_len, r->json);
}

static struct nst_lockdep_map a = NST_LOCKDEP_MAP("a", NULL, NST_WAIT_SLEEP),
			      b = NST_LOCKDEP_MAP("b", NULL, NST_WAIT_SLEEP);

FAR static void innermost(struct nst_lockdep_map *first, struct nst_lockdep_map *second)
{
	nst_lockdep_acquire(second, 0);
	nst_lockdep_release(second);
	nst_lockdep_release(first);
	KEEP;
}

FAR static void taker(struct nst_lockdep_map *lock)
{
	nst_lockdep_acquire(lock, 0);
	KEEP;
}

FAR static void middle(struct nst_lockdep_map *first, struct nst_lockdep_map *second)
{
	taker(first);
	innermost(first, second);
	KEEP;
}

FAR static void *outer(void *arg)
{
	if (arg)
		middle(&a, &b);
	else
		middle(&b, &a);
	KEEP;
	return NULL;
}

/* More than any here has. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FUNCTION_BYTES 4096u
#else
#define FUNCTION_BYTES 1024u
#endif

/* Does the place at @s, "module+0xoffset", lie in @fn? */
static int place_is_in(const char *s, void (*fn)(void))
{
	const char *plus = strstr(s, "+0x");
	Dl_info info = {NULL, NULL, NULL, NULL};
	uintptr_t start, at;

	if (!plus || !strstr(s, "lockdep_stack") || strstr(s, "lockdep_stack") > plus ||
	    !dladdr((void *)(uintptr_t)fn, &info))
		return 0;
	start = (uintptr_t)fn - (uintptr_t)info.dli_fbase;
	at = (uintptr_t)strtoull(plus + 3, NULL, 16);
	return at > start && at <= start + FUNCTION_BYTES;
}

/* Of @list, a JSON array of places, the @n-th; NULL: it has fewer. */
static const char *frame_of(const char *list, unsigned int n)
{
	const char *end = strchr(list, ']'), *s = list;

	for (; end && s && s < end; s = strchr(s, ',')) {
		s += *s == ',';
		if (!n--)
			return s;
	}
	return NULL;
}

static int frame_is_in(const char *list, unsigned int n, void (*fn)(void))
{
	const char *s = frame_of(list, n);

	return s && place_is_in(s, fn);
}

static int is_in(const char *list, void (*fn)(void))
{
	unsigned int i;

	for (i = 0; frame_of(list, i); i++)
		if (frame_is_in(list, i, fn))
			return 1;
	return 0;
}

static unsigned int nr_frames(const char *list)
{
	unsigned int n = 0;

	while (frame_of(list, n))
		n++;
	return n;
}

/* The @n-th list with that name. */
static const char *list_of(const char *name, unsigned int n)
{
	const char *s = last_json;

	for (; (s = strstr(s, name)) != NULL; s++)
		if (!n--)
			return s + strlen(name);
	return "]";
}

static void inversion(void)
{
	forget();
	in_thread(outer, &a);
	in_thread(outer, NULL);
}

static void each_edge(void)
{
	unsigned int i;

	inversion();
	check(nr_reports == 1 && last.code == NST_NL_ORDER, "V18 an inversion", "%u\n%s",
	      nr_reports, last_text);
	for (i = 0; i < 2; i++) {
		const char *since = list_of("\"since\":[", i), *at = list_of("\"at\":[", i);

		check(is_in(since, (void (*)(void))taker) && is_in(since, (void (*)(void))middle) &&
			      is_in(since, (void (*)(void))outer),
		      i ? "V18 who took it, and its callers: the second step"
			: "V18 who took it, and its callers",
		      "%.300s", since);
		check(is_in(at, (void (*)(void))innermost) && is_in(at, (void (*)(void))middle) &&
			      is_in(at, (void (*)(void))outer),
		      i ? "V18 who waits, and its callers: the second step"
			: "V18 who waits, and its callers",
		      "%.300s", at);
	}
	check(strstr(last_text, "\n       called by ") != NULL, "V18 in the text, too", "%s",
	      last_text);
}

#define RING 6u
static struct nst_lockdep_map ring[RING], beside[RING][4];

FAR static void *step(void *arg)
{
	unsigned int i = (unsigned int)(uintptr_t)arg, k;

	/* So that there is more to say. */
	for (k = 0; k < 4; k++)
		nst_lockdep_acquire(&beside[i][k], NST_LD_TRY);
	middle(&ring[i], &ring[(i + 1) % RING]);
	while (k-- > 0)
		nst_lockdep_release(&beside[i][k]);
	return NULL;
}

static void fair(void)
{
	static const char *const names[RING] = {"r0", "r1", "r2", "r3", "r4", "r5"};
	unsigned int i, k, lines = 0;
	const char *s;

	forget();
	for (i = 0; i < RING; i++) {
		nst_lockdep_map_init(&ring[i], names[i], NULL, NST_WAIT_SLEEP, NST_WAIT_SLEEP);
		for (k = 0; k < 4; k++)
			nst_lockdep_map_init(&beside[i][k], "beside", NULL, NST_WAIT_SLEEP,
					     NST_WAIT_SLEEP);
	}
	for (i = 0; i < RING; i++)
		in_thread(step, (void *)(uintptr_t)i);
	for (s = last_text; (s = strchr(s, '\n')) != NULL; s++)
		lines++;
	check(nr_reports == 1 && lines <= 30, "V18 with callers, too, 30 lines at most", "%u\n%s",
	      lines, last_text);
	check(strstr(last_text, "  the callers of ") &&
		      strstr(last_text, " places are left out\n") &&
		      strstr(last_text, "  read: nostall explain NL-ORDER"),
	      "V18 what is left out is said", "%s", last_text);
	for (i = 0; i < RING; i++)
		check(is_in(list_of("\"since\":[", i), (void (*)(void))step) &&
			      is_in(list_of("\"at\":[", i), (void (*)(void))step),
		      "V18 and JSON has all", "step %u", i);
	forget();
}

static struct nst_lockdep_map deep_map = NST_LOCKDEP_MAP("deep", NULL, NST_WAIT_SLEEP);

FAR static void deep(unsigned int n)
{
	volatile char room[64];

	room[0] = (char)n;
	if (n)
		deep(n - 1);
	else
		nst_assert_held(&deep_map);
	room[1] = room[0];
	KEEP;
}

static void bounded(void)
{
	forget();
	deep(40);
	check(nr_frames(list_of("\"at\":[", 0)) == 16, "V18 of a deep one the 16 innermost",
	      "%u: %s", nr_frames(list_of("\"at\":[", 0)), last_json);
	check(strstr(last_text, ", 11 more\n") != NULL,
	      "V18 and the text says how many it leaves out", "%s", last_text);
	forget();
}

/* With @room for a frame pointer, as code has it that uses the register for something else. */
#if defined(__x86_64__)
static void assert_with(volatile uintptr_t *room)
{
	void (*assert_on)(const struct nst_lockdep_map *, enum nst_lockdep_held) =
		nst_lockdep_assert_on;

	__asm__ volatile("mov %%rsp, %%r12\n\t"
			 "mov %%rbp, %%r13\n\t"
			 "sub $128, %%rsp\n\t"
			 "and $-16, %%rsp\n\t"
			 "mov %%rbx, %%rbp\n\t"
			 "call *%%rax\n\t"
			 "mov %%r12, %%rsp\n\t"
			 "mov %%r13, %%rbp"
			 : "+a"(assert_on)
			 : "D"(&deep_map), "S"(NST_LD_HELD), "b"(room)
			 : "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "memory", "cc");
}
#else
static void assert_with(volatile uintptr_t *room)
{
	__asm__ volatile("" : : "r"(room) : "memory");
	nst_assert_held(&deep_map);
}
#endif

/* Words that look like a frame, and lead to what is readable and no code. */
FAR static void misled(void)
{
	static uintptr_t never[2];
	volatile uintptr_t room[64] __attribute__((aligned(16)));
	unsigned int i;

	for (i = 0; i < 64; i += 2) {
		room[i] = (uintptr_t)&room[i < 60 ? i + 4 : i];
		room[i + 1] = (uintptr_t)never;
	}
	assert_with(room);
	KEEP;
}

FAR static void nothing_made_up(void)
{
	const char *at;

	forget();
	misled();
	at = list_of("\"at\":[", 0);
	check(nr_reports == 1 && frame_is_in(at, 0, (void (*)(void))misled) &&
		      (nr_frames(at) == 1 || frame_is_in(at, 1, (void (*)(void))nothing_made_up)),
	      "V18 what leads nowhere is no caller", "%.600s", at);
	forget();
}

static void *place;
static unsigned int called;

/* As one of libgcc's would: itself, what called it, and on. */
static unsigned int better(void **frame, unsigned int most)
{
	called++;
	frame[0] = (void *)((uintptr_t)better + 1);
	frame[1] = place;
	frame[2] = (void *)((uintptr_t)outer + 1);
	return most < 3 ? 0 : 3;
}

/* Where it returns to, as the library sees it. */
FAR static void asserts(void)
{
	nst_lockdep_assert_on(&deep_map, NST_LD_HELD);
	KEEP;
}

/* That is behind the call: the first such address of the function. */
static unsigned int here(void **frame, unsigned int most)
{
	place = most ? __builtin_return_address(0) : frame[0];
	return 0;
}

FAR static void unwinder(void)
{
	const char *at;
	Dl_info info = {NULL, NULL, NULL, NULL};

	nst_lockdep_set_unwinder(here);
	asserts();
	at = list_of("\"at\":[", 0);
	check(place != NULL && is_in(at, (void (*)(void))asserts),
	      "V18 where an unwinder finds nothing, frame pointers do", "%.300s", at);
	if (!dladdr((void *)(uintptr_t)asserts, &info))
		check_broken("dladdr");
	place = (char *)info.dli_fbase + strtoull(strstr(at, "+0x") + 3, NULL, 16);
	forget();
	nst_lockdep_set_unwinder(better);
	asserts();
	at = list_of("\"at\":[", 0);
	check(called == 1 && nr_frames(at) == 2 && frame_is_in(at, 0, (void (*)(void))asserts) &&
		      frame_is_in(at, 1, (void (*)(void))outer),
	      "V18 what an unwinder finds above the place is what counts", "%u calls, %.300s",
	      called, at);
	forget();
	place = (char *)place + 1;
	asserts();
	at = list_of("\"at\":[", 0);
	check(called == 2 && frame_is_in(at, 1, (void (*)(void))unwinder),
	      "V18 of one that goes astray nothing is taken", "%u calls, %.300s", called, at);
	nst_lockdep_set_unwinder(NULL);
	forget();
	asserts();
	check(called == 2 && nr_reports == 1, "V18 once put off it is not asked", "%u calls",
	      called);
	forget();
}

/* A known chain makes no stack, and so no call. */
static void known(void)
{
	place = NULL;
	nst_lockdep_set_unwinder(better);
	outer(&a);
	called = 0;
	outer(&a);
	check(!called, "V18 none is made for what was seen", "%u calls", called);
	nst_lockdep_set_unwinder(NULL);
	forget();
}

/* Each time another caller. */
static unsigned int another(void **frame, unsigned int most)
{
	frame[0] = place;
	frame[1] = (void *)((uintptr_t)outer + ++called);
	return most < 2 ? 0 : 2;
}

FAR static void takes(struct nst_lockdep_map *map)
{
	nst_lockdep_acquire_on(map, 0, NULL);
	nst_lockdep_release(map);
	KEEP;
}

static void filled(void)
{
	static struct nst_lockdep_key key[4200];
	struct nst_lockdep_map map = NST_LOCKDEP_MAP("many", NULL, NST_WAIT_SLEEP);
	struct nst_lockdep_stats s;
	Dl_info info = {NULL, NULL, NULL, NULL};
	const char *at;
	unsigned int i;

	/* Where takes() takes it. */
	takes(&map);
	nst_lockdep_acquire(&map, 0);
	takes(&map);
	at = list_of("\"at\":[", 0);
	if (nr_reports != 1 || last.code != NST_NL_SELF || !dladdr((void *)(uintptr_t)takes, &info))
		check_broken("a report of takes()");
	place = (char *)info.dli_fbase + strtoull(strstr(at, "+0x") + 3, NULL, 16);
	nst_lockdep_release(&map);
	forget();
	nst_lockdep_set_unwinder(another);
	called = 0;
	for (i = 0; i < 4200; i++) {
		nst_lockdep_set_class(&map, NULL, &key[i], 0);
		takes(&map);
	}
	nst_lockdep_read(&s, sizeof(s));
	check(called == 4200 && s.stacks == 4095 && s.full == 1u << 6,
	      "V18 a full table of stacks is known to be", "%u asked for, %llu there, full 0x%llx",
	      called, (unsigned long long)s.stacks, (unsigned long long)s.full);
	inversion();
	check(nr_reports == 1 && nr_frames(list_of("\"at\":[", 0)) >= 1,
	      "V18 and reports go on, with what there is", "%u reports", nr_reports);
	forget();
	nst_lockdep_set_unwinder(NULL);
}

int main(void)
{
	nst_lockdep_on_report(keep_both, NULL);
	if (nst_lockdep_start(NST_LD_POSSIBLE))
		check_broken("nst_lockdep_start");
	each_edge();
	fair();
	bounded();
	nothing_made_up();
	unwinder();
	known();
	filled();
	nst_lockdep_stop();
	return check_status();
}
