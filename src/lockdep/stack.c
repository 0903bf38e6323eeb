/* SPDX-License-Identifier: MIT */
/*
 * stack.c - stacks, kept once each: what called the place at which something new was seen.
 *
 *	place: an address, or the number of a stack (numbers are less than any address)
 *	stack -> frames[], the place first, its callers behind it; found again by its hash
 *	place of a lock's class -> its stack: who took it there first
 *
 * A stack is made where there is no hurry: an order that is new, a class taken at a place for the first time, a report;
 * with the option check_stacks:all wherever a lock is taken. A known chain makes none.
 *
 * The walk goes by frame pointers (x86-64: rbp, aarch64: x29; each leads to the one before it, and above it is where its
 * function returns to). Two things are in its way, and neither may mislead. The library itself keeps none, so that the
 * one of its caller may be in any place that this function's callers saved it: the candidates are the words
 * between here and the place, which is itself found by its address. And code without frame pointers has anything in that
 * register, stacks are full of what earlier calls left: so each step must go up, by less than STEP_MAX, and return to
 * behind a call of the very function that was called, as its module's unwind tables have where that begins. A call by a pointer may
 * be of any: such a step counts if a later one is sure. Else the walk ends: callers may be missing, those that
 * are there are callers. All reads are the kernel's copies (nst_sys_peek()): none can fault.
 *
 * A program that has tables of its code can do better: nst_lockdep_set_unwinder().
 *
 * Needs: entered, but for nst_ld_place_find(), which anybody may call.
 */
#include "engine.h"

/* Broken variants that the tests must catch. */
#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 48 /* whatever is there is a caller */
#define ANYTHING_RETURNS 1
#else
#define ANYTHING_RETURNS 0
#endif

#define STEP_MAX (256u << 10)	 /* bytes of one function's frame */
#define FUNCTION_MAX (64u << 10) /* of its code, where it is not known how many they are */
#define PROBES 16u

/* ---- the stack, through a window ---- */

static struct {
	uintptr_t start;
	size_t bytes;
} window;

static int look_at(uintptr_t addr)
{
	window.start = addr;
	window.bytes = nst_sys_peek((const void *)addr, nst_ld.tables->window,
				    sizeof(nst_ld.tables->window));
	return window.bytes >= sizeof(uintptr_t);
}

/* 1: *@v is what is there. */
static int word_at(uintptr_t addr, uintptr_t *v)
{
	if (addr % sizeof(*v) ||
	    ((addr < window.start || addr + sizeof(*v) > window.start + window.bytes) &&
	     !look_at(addr)))
		return 0;
	__builtin_memcpy(v, (char *)nst_ld.tables->window + (addr - window.start), sizeof(*v));
	return 1;
}

/* ---- calls ---- */

enum call { NO_CALL, SOME_CALL, CALL_OF }; /* of whom, is known of the last alone */

static int read_at(uintptr_t addr, void *to, size_t bytes)
{
	return nst_sys_peek((const void *)addr, to, bytes) == bytes;
}

#if defined(__aarch64__)
/* bl, blr */
static enum call call_before(uintptr_t pc, uintptr_t *target)
{
	u32 i;

	if (!read_at(pc - 4, &i, sizeof(i)))
		return NO_CALL;
	if ((i & 0xfc000000u) == 0x94000000u) {
		*target = pc - 4 + (uintptr_t)((intptr_t)(int)(i << 6) >> 4);
		return CALL_OF;
	}
	return (i & 0xfffffc1fu) == 0xd63f0000u ? SOME_CALL : NO_CALL;
}

static uintptr_t through_table(uintptr_t target)
{
	return target;
}
#else
static uintptr_t relative(const unsigned char *operand, uintptr_t next)
{
	int v;

	__builtin_memcpy(&v, operand, sizeof(v));
	return next + (uintptr_t)(intptr_t)v;
}

/* call rel32; call *rel32(%rip); call of a register or of other memory, by the length of its operand */
static enum call call_before(uintptr_t pc, uintptr_t *target)
{
	unsigned char before[8];
	u32 n;

	if (!read_at(pc - 8, before, sizeof(before)))
		return NO_CALL;
	if (before[3] == 0xe8) {
		*target = relative(before + 4, pc);
		return CALL_OF;
	}
	if (before[2] == 0xff && before[3] == 0x15)
		return read_at(relative(before + 4, pc), target, sizeof(*target)) ? CALL_OF
										  : NO_CALL;
	for (n = 2; n <= 7; n++)
		if (before[8 - n] == 0xff && (before[9 - n] & 0x38) == 0x10)
			return SOME_CALL;
	return NO_CALL;
}

/* From an entry of a procedure linkage table, endbr64 and bnd or not, to where it jumps. */
static uintptr_t through_table(uintptr_t target)
{
	unsigned char code[12];
	uintptr_t to;
	u32 i = 0;

	if (!read_at(target, code, sizeof(code)))
		return target;
	if (code[0] == 0xf3 && code[1] == 0x0f)
		i = 4;
	if (code[i] == 0xf2)
		i++;
	if (code[i] != 0xff || code[i + 1] != 0x25 ||
	    !read_at(relative(code + i + 2, target + i + 6), &to, sizeof(to)))
		return target;
	return to;
}
#endif

/* ---- what is known of code, which does not change: asking the kernel costs microseconds ---- */

#define KNOWN 256u

static struct {
	uintptr_t pc, target;
	enum call call;
} known_calls[KNOWN];
static struct {
	uintptr_t pc, start;
} known_starts[KNOWN];
/* Of these places no callers were found, so many times in a row: of code without frame pointers there never are. */
static struct {
	const void *ip;
	u32 times;
} without[KNOWN];
#define TRIES 4u

static u32 slot_of(uintptr_t pc)
{
	return (u32)nst_mix64(pc) % KNOWN;
}

static enum call call_at(uintptr_t pc, uintptr_t *target)
{
	const u32 i = slot_of(pc);

	if (known_calls[i].pc != pc) {
		known_calls[i].target = 0;
		known_calls[i].call = call_before(pc, &known_calls[i].target);
		known_calls[i].pc = pc;
	}
	*target = known_calls[i].target;
	return known_calls[i].call;
}

static uintptr_t start_of(uintptr_t pc)
{
	const u32 i = slot_of(pc);

	if (known_starts[i].pc != pc) {
		known_starts[i].start = nst_sys_function_start(pc);
		known_starts[i].pc = pc;
	}
	return known_starts[i].start;
}

static int is_hopeless(const void *ip)
{
	const u32 i = slot_of((uintptr_t)ip);

	return without[i].ip == ip && without[i].times >= TRIES;
}

static void tried(const void *ip, int found)
{
	const u32 i = slot_of((uintptr_t)ip);

	without[i].times = found ? 0 : without[i].ip == ip ? without[i].times + 1 : 1;
	without[i].ip = ip;
}

/*
 * Is @pc behind a call of the function that @inside lies in? CALL_OF: it is; SOME_CALL: it is behind a call, of whom is not
 * known; NO_CALL: of another, or there is none.
 */
static enum call returns_from(uintptr_t pc, uintptr_t inside)
{
	uintptr_t target = 0, start;
	enum call call;

	if (ANYTHING_RETURNS)
		return CALL_OF;
	call = pc > NST_PAGE_BYTES ? call_at(pc, &target) : NO_CALL;
	if (call != CALL_OF)
		return call;
	start = start_of(inside - 1);
	if (!start)
		return target <= inside && inside - target <= FUNCTION_MAX ? CALL_OF : SOME_CALL;
	return target == start || through_table(target) == start ? CALL_OF : NO_CALL;
}

/* ---- the walk ---- */

/* From the frame at @fp, of the function that @inside lies in, as far as it leads; how many that are sure. */
static u32 walk(uintptr_t fp, uintptr_t inside, const void **frame, u32 most)
{
	uintptr_t next, pc;
	u32 n = 0, sure = 0;

	while (n < most && word_at(fp, &next) && word_at(fp + 8, &pc)) {
		const enum call call = returns_from(pc, inside);

		if (!call)
			break;
		frame[n++] = (const void *)pc;
		if (call == CALL_OF)
			sure = n;
		if (next <= fp || next - fp > STEP_MAX || next % 16)
			break;
		fp = next;
		inside = pc;
	}
	return sure;
}

/* Of @frame[0..@n) what is above @ip: it is cut off with what is before it. */
static u32 behind(const void **frame, u32 n, const void *ip)
{
	u32 i, k;

	for (i = 0; i < n && frame[i] != ip; i++)
		;
	if (i == n)
		return n;
	for (k = 0, i++; i < n; i++)
		frame[k++] = frame[i];
	return k;
}

/* The last word of the first window, before @end, that is @ip; 0: there is none. */
static uintptr_t find_word(uintptr_t here, uintptr_t end, const void *ip)
{
	uintptr_t at = end, v;

	if (window.start != here && !look_at(here))
		return 0;
	while (at > here) {
		at -= sizeof(v);
		if (at + sizeof(v) <= here + window.bytes && word_at(at, &v) && v == (uintptr_t)ip)
			return at;
	}
	return 0;
}

/* The least word below @returns that leads above @after, as a frame pointer does; 0: there is none. */
static uintptr_t least_pointer(uintptr_t here, uintptr_t returns, uintptr_t after)
{
	uintptr_t at, v, least = 0;

	if (window.start != here && !look_at(here))
		return 0;
	for (at = here; at < returns; at += sizeof(v))
		if (word_at(at, &v) && v > after && v % 16 == 0 && v - returns <= STEP_MAX &&
		    (!least || v < least))
			least = v;
	return least;
}

/* By the frame pointers that were saved below @returns: the innermost that is one. */
static u32 callers_above(uintptr_t here, uintptr_t returns, const void *ip, const void **frame)
{
	uintptr_t fp = returns;
	u32 n = 0;

	while (!n && (fp = least_pointer(here, returns, fp)) != 0)
		n = walk(fp, (uintptr_t)ip, frame, NST_LD_FRAMES - 1);
	return n;
}

/*
 * The callers of @ip, which this thread is inside of; how many of at most NST_LD_FRAMES - 1. The place to return to is the
 * last word that is @ip: what is below are copies of it. One that was left above by an earlier call, in what nobody has
 * written since, hides callers and makes none up; then the one before it is looked at.
 */
static NST_NOINLINE u32 callers_of(const void *ip, const void **frame)
{
	const uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	uintptr_t returns;
	u32 n = 0;

	/* Whoever saved the registers of who called the library. */
	__builtin_unwind_init();
	window.start = 0;
	for (returns = find_word(here, here + sizeof(nst_ld.tables->window), ip); returns && !n;
	     returns = find_word(here, returns, ip))
		n = callers_above(here, returns, ip, frame);
	return n;
}

static u32 from_unwinder(const void *ip, const void **frame)
{
	nst_lockdep_unwinder_t unwind = nst_ld.unwind;
	u32 n = unwind ? unwind((void **)(uintptr_t)frame, NST_LD_UNWOUND) : 0;
	u32 left = n <= NST_LD_UNWOUND ? behind(frame, n, ip) : 0;

	/* Not found: it goes astray. */
	return left == n ? 0 : left < NST_LD_FRAMES ? left : NST_LD_FRAMES - 1;
}

/* ---- kept ---- */

static u64 hash_of(const void *const *frame, u32 nr)
{
	u64 h = nr;
	u32 i;

	for (i = 0; i < nr; i++)
		h = nst_mix64(h + (u64)(uintptr_t)frame[i]);
	return h | 1;
}

static const struct nst_ld_stack *stack_of(u32 number)
{
	return &nst_ld.tables->stack[number];
}

/* Its number; 0: there is no room. */
static u32 keep(const void *const *frame, u32 nr)
{
	struct nst_ld_tables *tb = nst_ld.tables;
	const u64 h = hash_of(frame, nr);
	u32 i = (u32)(h % NST_LD_STACK_SLOTS), n, k;

	for (; (n = tb->stack_slot[i]) != 0; i = (i + 1) % NST_LD_STACK_SLOTS)
		if (stack_of(n)->hash == h)
			return n;
	if (nst_ld.nr_stacks + 1 >= NST_LD_STACKS || nst_ld.nr_frames + nr > NST_LD_STACK_FRAMES) {
		nst_ld_full(NST_LD_FULL_STACKS);
		return 0;
	}
	n = nst_ld.nr_stacks + 1;
	tb->stack[n] = (struct nst_ld_stack){.hash = h, .first = nst_ld.nr_frames, .nr = nr};
	for (k = 0; k < nr; k++)
		tb->frame[nst_ld.nr_frames + k] = frame[k];
	nst_ld.nr_frames += nr;
	tb->stack_slot[i] = (u16)n;
	nst_store_relaxed(&nst_ld.nr_stacks, n); /* a counter */
	return n;
}

static int is_stack(const void *place)
{
	return (uintptr_t)place < NST_LD_STACKS;
}

const void *nst_ld_stack_here(const void *ip)
{
	const void *frame[NST_LD_UNWOUND];
	u32 n, number;

	if (!ip || is_stack(ip) || nst_ld.stacks == NST_LD_STACKS_OFF)
		return ip;
	n = from_unwinder(ip, frame);
	if (!n && !is_hopeless(ip)) {
		n = callers_of(ip, frame);
		tried(ip, n != 0);
	}
	if (!n)
		return ip;
	__builtin_memmove(&frame[1], &frame[0], n * sizeof(frame[0]));
	frame[0] = ip;
	number = keep(frame, n + 1);
	return number ? (const void *)(uintptr_t)number : ip;
}

u32 nst_ld_frames_of(const void *place, const void *const **frame)
{
	static const void *alone;

	if (is_stack(place) && place) {
		*frame = &nst_ld.tables->frame[stack_of((u32)(uintptr_t)place)->first];
		return stack_of((u32)(uintptr_t)place)->nr;
	}
	alone = place;
	*frame = &alone;
	return 1;
}

const void *nst_ld_address_of(const void *place)
{
	return is_stack(place) && place
		       ? nst_ld.tables->frame[stack_of((u32)(uintptr_t)place)->first]
		       : place;
}

/* ---- who took a class at a place first ---- */

static u64 key_of(u32 class, const void *ip)
{
	return nst_mix64((u64)(uintptr_t)ip * NST_LD_CLASSES + class) | 1;
}

/* The slot of @key, or a free one; NULL: neither is near. */
static struct nst_ld_place *look_up(u64 key, u64 *there)
{
	u32 i = (u32)(key >> 1) % NST_LD_PLACES, k;

	for (k = 0; k < PROBES; k++, i = (i + 1) % NST_LD_PLACES) {
		struct nst_ld_place *p = &nst_ld.tables->place[i];

		/* Pairs with: nst_store_release() in nst_ld_place_new(). */
		*there = nst_load_acquire(&p->key);
		if (*there == key || !*there)
			return p;
	}
	return NULL;
}

const void *nst_ld_place_find(u32 class, const void *ip)
{
	u64 there = 0;
	const struct nst_ld_place *p = is_stack(ip) ? NULL : look_up(key_of(class, ip), &there);

	return p && there ? p->place : NULL;
}

const void *nst_ld_place_new(u32 class, const void *ip)
{
	const u64 key = key_of(class, ip);
	u64 there = 0;
	struct nst_ld_place *p = look_up(key, &there);

	if (p && there)
		return p->place;
	ip = nst_ld_stack_here(ip);
	if (p) {
		p->place = ip;
		/* Pairs with: nst_load_acquire() in look_up(). */
		nst_store_release(&p->key, key);
	}
	return ip;
}

void nst_lockdep_set_unwinder(nst_lockdep_unwinder_t unwind)
{
	struct nst_ld_entered in = nst_ld_enter(NULL);

	nst_ld.unwind = unwind;
	nst_ld_leave(in);
}
