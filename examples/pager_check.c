// SPDX-License-Identifier: MIT
/*
 * pager_check.c - threads that read, write and change a space, and know every byte of it.
 *
 *	slots	16 ranges of up to 1 MiB; two share a table of the last level, each pair lies in a GiB of its own
 *	changer	maps, unmaps, protects and punches a slot
 *	reader	compares a page, of the space or of one of its views, with what it must be
 *	writer	puts a word of its own into a page of a slot that is writable
 *	reaper	drops clean pages, and may not wait; with option max, where the library is out of memory (nst_oom_register()):
 *		then a taker takes all there is, again and again
 *	auditor	counts tables that no mapping needs
 *
 * A slot has a version, odd while it changes. A reader that has seen the same even version before and after knows what
 * all 4096 bytes had to be: of that source and page, zero, and the last word the writer's, if he had finished before.
 */
#define _GNU_SOURCE
#include "pager.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define SLOTS 16u
#define SLOT_PAGES 128u
#define SLOT_BYTES (SLOT_PAGES * PAGE)
#define PAIR_STRIDE ((size_t)1 << 30)
#define SPAN (SLOTS / 2 * PAIR_STRIDE)
#define SOURCES 2u /* a file, and a snapshot of another */
#define SOURCE_PAGES 1024u
#define TAKER_PAGES 65536u
#define PATIENCE 30.0 /* seconds more, on a slow machine */
#define SPARSE 64u    /* words of a page that differ, so that pages can be packed */

/** struct slot - what its pages must be; by lock, and for readers by version */
struct slot {
	pthread_mutex_t lock;
	uint64_t version;
	uint64_t mapped, source, page, write, generation;
	uint64_t hole, hole_end;      /* pages that read as zero */
	uint64_t written[SLOT_PAGES]; /* the generation in which a word was written, or 0 */
};

static struct {
	struct space space;
	struct source *source[SOURCES];
	struct slot slot[SLOTS];
	uintptr_t at[1 + SPACE_VIEWS]; /* where the space is, and its views */
	int stop;
	double seconds;
	int is_short; /* memory is, by option max */
	struct nst_oom_notifier *last;
	uint64_t bytes, raced, wrong, stale, audits, changes, writes, reaped, busy, failed, ooms;
} check;

static uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static uint64_t word_of(uint64_t source, uint64_t page, uint64_t i)
{
	return mix((source + 1) << 48 | page << 16 | i % SPARSE);
}

static uint64_t written_word(uint64_t slot, uint64_t generation, uint64_t page)
{
	return mix(~(slot << 56 | generation << 16 | page));
}

static uint64_t draw(uint64_t *seed, uint64_t below)
{
	*seed += 0x9e3779b97f4a7c15u;
	return mix(*seed) % below;
}

/* A word of a slot that readers look at meanwhile. */
static void put(uint64_t *to, uint64_t value)
{
	__atomic_store_n(to, value, __ATOMIC_RELAXED);
}

static uint64_t get(const uint64_t *from)
{
	return __atomic_load_n(from, __ATOMIC_RELAXED);
}

/* Half of all that happens happens in two slots of one table, and mostly in a few pages: so that it meets. */
static uint64_t draw_slot(uint64_t *seed)
{
	return draw(seed, draw(seed, 2) ? 2 : SLOTS);
}

static uint64_t draw_page(uint64_t *seed)
{
	return draw(seed, draw(seed, 4) ? 8 : SLOT_PAGES);
}

static uintptr_t slot_at(unsigned int view, uint64_t slot)
{
	return check.at[view] + slot / 2 * PAIR_STRIDE + slot % 2 * SLOT_BYTES;
}

/* ---- readers ---- */

struct expected {
	uint64_t version, mapped, source, page, write, generation, hole, hole_end, written;
};

static int expect(struct slot *s, uint64_t page, struct expected *x)
{
	x->version = __atomic_load_n(&s->version, __ATOMIC_ACQUIRE);
	x->mapped = get(&s->mapped);
	x->source = get(&s->source);
	x->page = get(&s->page);
	x->generation = get(&s->generation);
	x->hole = get(&s->hole);
	x->hole_end = get(&s->hole_end);
	x->written = __atomic_load_n(&s->written[page], __ATOMIC_ACQUIRE);
	return x->version % 2 == 0;
}

static uint64_t word_must_be(const struct expected *x, uint64_t page, uint64_t i)
{
	if (!x->mapped || (page >= x->hole && page < x->hole_end))
		return 0;
	return word_of(x->source, x->page + page, i);
}

/* How many words are wrong, and the first. */
static uint64_t compare(const struct expected *x, uint64_t slot, uint64_t page,
			const uint64_t *have, uint64_t *first)
{
	uint64_t wrong = 0, last = written_word(slot, x->generation, page);

	for (uint64_t i = 0; i < WORDS; i++) {
		uint64_t must = word_must_be(x, page, i);
		int good = have[i] == must;

		if (i == WORDS - 1 && x->mapped)
			good = have[i] == last || (good && x->written != x->generation);
		if (!good && !wrong++)
			*first = i;
	}
	return wrong;
}

static void complain(const struct expected *x, unsigned int view, uint64_t slot, uint64_t page,
		     const uint64_t *have, uint64_t first, uint64_t wrong)
{
	if (COUNT(check.wrong) >= 3)
		return;
	printf("pager: view %u slot %" PRIu64 " page %" PRIu64 ": %" PRIu64
	       " words wrong, from %" PRIu64 ": %" PRIx64 ", not %" PRIx64 "; mapped=%" PRIu64
	       " generation=%" PRIu64 " written=%" PRIu64 "\n",
	       view, slot, page, wrong, first, have[first], word_must_be(x, page, first), x->mapped,
	       x->generation, x->written);
}

static void read_page(uint64_t *seed)
{
	unsigned int view = (unsigned int)draw(seed, 1u + (unsigned int)check.space.nr_views);
	uint64_t slot = draw_slot(seed), page = draw_page(seed), first = 0, wrong;
	const uint64_t *from = (const uint64_t *)(slot_at(view, slot) + page * PAGE);
	uint64_t have[WORDS];
	struct expected x;

	if (!expect(&check.slot[slot], page, &x)) {
		sched_yield();
		return;
	}
	for (uint64_t i = 0; i < WORDS; i++)
		have[i] = get(&from[i]);
	if (__atomic_fetch_add(&check.slot[slot].version, 0, __ATOMIC_ACQ_REL) != x.version) {
		COUNT(check.raced);
		return;
	}
	wrong = compare(&x, slot, page, have, &first);
	if (wrong)
		complain(&x, view, slot, page, have, first, wrong);
	__atomic_fetch_add(&check.bytes, PAGE, __ATOMIC_RELAXED);
}

/* ---- writers and changers: they have the slot ---- */

static void write_page(uint64_t *seed)
{
	uint64_t slot = draw_slot(seed), page = draw_page(seed);
	uint64_t *to = (uint64_t *)(slot_at(0, slot) + page * PAGE);
	struct slot *s = &check.slot[slot];

	if (pthread_mutex_trylock(&s->lock))
		return;
	if (s->mapped && s->write) {
		put(&to[WORDS - 1], written_word(slot, s->generation, page));
		__atomic_store_n(&s->written[page], s->generation, __ATOMIC_RELEASE);
		COUNT(check.writes);
	}
	pthread_mutex_unlock(&s->lock);
}

static void forget_written(struct slot *s, uint64_t from, uint64_t end)
{
	for (; from < end; from++)
		put(&s->written[from], 0);
}

static int map_slot(struct slot *s, uintptr_t at, uint64_t *seed)
{
	uint64_t source = draw(seed, SOURCES), page = draw(seed, SOURCE_PAGES - SLOT_PAGES);
	int write = check.space.protects && draw(seed, 2);
	int err = space_map(&check.space, at, at + SLOT_BYTES, check.source[source], page, write);

	if (err)
		return err;
	put(&s->source, source);
	put(&s->page, page);
	put(&s->write, (uint64_t)write);
	put(&s->generation, s->generation + 1);
	put(&s->hole, 0);
	put(&s->hole_end, 0);
	put(&s->mapped, 1);
	return 0;
}

static int punch_slot(struct slot *s, uintptr_t at, uint64_t *seed)
{
	uint64_t from = draw(seed, SLOT_PAGES), end = from + 1 + draw(seed, SLOT_PAGES - from);
	int err = space_punch(&check.space, at + from * PAGE, at + end * PAGE);

	if (err)
		return err;
	put(&s->hole, from);
	put(&s->hole_end, end);
	forget_written(s, from, end);
	return 0;
}

static int unmap_slot(struct slot *s, uintptr_t at)
{
	int err = space_unmap(&check.space, at, at + SLOT_BYTES);

	if (err)
		return err;
	put(&s->mapped, 0);
	forget_written(s, 0, SLOT_PAGES);
	return 0;
}

static int protect_slot(struct slot *s, uintptr_t at)
{
	int write = !s->write && check.space.protects;
	int err = space_protect(&check.space, at, at + SLOT_BYTES, write);

	if (!err)
		put(&s->write, (uint64_t)write);
	return err;
}

static int change_to(struct slot *s, uintptr_t at, uint64_t *seed)
{
	if (!s->mapped)
		return map_slot(s, at, seed);
	switch (draw(seed, 6)) {
	case 0:
	case 1:
		return unmap_slot(s, at);
	case 2:
		return map_slot(s, at, seed); /* over what is there */
	case 3:
		return s->hole_end ? unmap_slot(s, at) : punch_slot(s, at, seed);
	default:
		return protect_slot(s, at);
	}
}

static void change_slot(uint64_t *seed)
{
	uint64_t slot = draw_slot(seed);
	struct slot *s = &check.slot[slot];

	pthread_mutex_lock(&s->lock);
	__atomic_fetch_add(&s->version, 1, __ATOMIC_ACQ_REL);
	if (change_to(s, slot_at(0, slot), seed))
		COUNT(check.failed);
	__atomic_fetch_add(&s->version, 1, __ATOMIC_ACQ_REL);
	pthread_mutex_unlock(&s->lock);
	COUNT(check.changes);
}

/* ---- threads ---- */

static void nap(long us)
{
	const struct timespec t = {0, us * 1000};

	nanosleep(&t, NULL);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int going(void)
{
	return !__atomic_load_n(&check.stop, __ATOMIC_RELAXED);
}

static void *reader(void *arg)
{
	uint64_t seed = (uintptr_t)arg;

	while (going()) {
		read_page(&seed);
		if (draw(&seed, 4) == 0)
			write_page(&seed);
	}
	return NULL;
}

static void *changer(void *arg)
{
	uint64_t seed = (uintptr_t)arg;

	while (going()) {
		change_slot(&seed);
		nap((long)draw(&seed, 500));
	}
	return NULL;
}

static void *reaper(void *arg)
{
	uint64_t seed = (uintptr_t)arg;

	while (going() && !check.is_short) {
		uintptr_t at = slot_at(0, draw_slot(&seed));
		long n = space_reap(&check.space, at, at + SLOT_BYTES);

		__atomic_fetch_add(&check.reaped, n > 0 ? (uint64_t)n : 0, __ATOMIC_RELAXED);
		__atomic_fetch_add(&check.busy, n == -EAGAIN, __ATOMIC_RELAXED);
		nap(1000);
	}
	return NULL;
}

/* Called when nothing else gives memory. */
static size_t out_of_memory(void *arg, const struct nst_oom *oom)
{
	size_t n = space_oom(arg, oom);

	COUNT(check.ooms);
	if (n == NST_OOM_AGAIN)
		COUNT(check.busy);
	else
		__atomic_fetch_add(&check.reaped, n / PAGE, __ATOMIC_RELAXED);
	return n;
}

/* All there is, until they have been called, and back: faults in between find nothing, and ask again. */
static void *taker(void *arg)
{
	static void *page[TAKER_PAGES];
	size_t nr;

	(void)arg;
	while (going() && check.is_short) {
		uint64_t before = COUNTED(check.ooms);

		for (nr = 0; nr < TAKER_PAGES && COUNTED(check.ooms) == before; nr++) {
			page[nr] = nst_pages_alloc(0, NST_NORMAL | NST_NOWARN);
			if (!page[nr])
				break;
		}
		while (nr)
			nst_pages_free(page[--nr]);
		nap(2000);
	}
	return NULL;
}

static uint64_t audit(void)
{
	uint64_t stale;

	pthread_rwlock_wrlock(&check.space.lock);
	stale = table_stale(&check.space);
	pthread_rwlock_unlock(&check.space.lock);
	__atomic_fetch_add(&check.stale, stale, __ATOMIC_RELAXED);
	COUNT(check.audits);
	return stale;
}

static void *auditor(void *arg)
{
	(void)arg;
	while (going()) {
		audit();
		nap(5000);
	}
	return NULL;
}

static void *(*const work[])(void *) = {reader, reader, changer, changer, reaper, taker, auditor};
#define WORKERS (sizeof(work) / sizeof(work[0]))

/* ---- the stage ---- */

static void write_source(int fd, uint64_t source)
{
	uint64_t bytes[WORDS];

	for (uint64_t page = 0; page < SOURCE_PAGES; page++) {
		for (uint64_t i = 0; i < WORDS; i++)
			bytes[i] = word_of(source, page, i);
		if (write(fd, bytes, PAGE) != (ssize_t)PAGE)
			abort();
	}
}

/* A file of known bytes; the second is packed. Nothing of it stays in the folder. */
static struct source *make_source(uint64_t source)
{
	char path[] = "/tmp/pager-XXXXXX", packed[32];
	int fd = mkstemp(path);
	struct source *plain, *src;

	if (fd < 0)
		return NULL;
	write_source(fd, source);
	close(fd);
	plain = source_file(path);
	src = plain;
	if (plain && source % 2) {
		snprintf(packed, sizeof(packed), "%s.lz4", path);
		src = source_pack(plain, packed) ? source_snapshot(packed) : NULL;
		unlink(packed);
		source_close(plain);
	}
	unlink(path);
	return src;
}

/* A stretch of addresses, of which the slots are writable. */
static uintptr_t reserve(int uffd, int protects)
{
	uintptr_t at = (uintptr_t)mmap(NULL, SPAN + PAIR_STRIDE, PROT_NONE,
				       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == (uintptr_t)MAP_FAILED)
		return 0;
	at = (at + PAIR_STRIDE - 1) & ~(PAIR_STRIDE - 1);
	for (unsigned int i = 0; i < SLOTS / 2; i++) {
		uintptr_t pair = at + i * PAIR_STRIDE;

		if (mprotect((void *)pair, 2 * SLOT_BYTES, PROT_READ | PROT_WRITE) ||
		    madvise((void *)pair, 2 * SLOT_BYTES, MADV_NOHUGEPAGE) ||
		    uffd_register(uffd, pair, 2 * SLOT_BYTES, protects))
			return 0;
	}
	return at;
}

static int prepare(void)
{
	int protects, uffd = uffd_open(&protects);

	if (uffd < 0) {
		printf("SKIP pager: userfaultfd: %s (UFFD_USER_MODE_ONLY)\n", strerror(-uffd));
		return 77;
	}
	for (unsigned int i = 0; i < SOURCES; i++)
		if (!(check.source[i] = make_source(i)))
			return 1;
	for (unsigned int i = 0; i < 1 + SPACE_VIEWS; i++)
		if (!(check.at[i] = reserve(uffd, protects && i == 0)))
			return 1;
	if (space_init(&check.space, uffd, protects, check.at[0], SPAN))
		return 1;
	for (unsigned int i = 1; i < 1 + SPACE_VIEWS; i++)
		if (!view_add(&check.space, (intptr_t)(check.at[i] - check.at[0])))
			return 1;
	for (unsigned int i = 0; i < SLOTS; i++)
		pthread_mutex_init(&check.slot[i].lock, NULL);
	check.last = nst_oom_register(out_of_memory, NST_NOTIFIER_CLIENT, &check.space);
	return check.last == NULL;
}

/* Memory is short, and nobody has given any yet. */
static int is_unserved(void)
{
	return check.is_short && (!COUNTED(check.ooms) || !COUNTED(check.reaped));
}

/* All is unmapped: no table is left, and each that was made was retired once. */
static int check_end(void)
{
	uint64_t stale;

	for (unsigned int i = 0; i < SLOTS; i++)
		unmap_slot(&check.slot[i], slot_at(0, i));
	stale = audit();
	if (tables_made != tables_retired || stale)
		printf("pager: %" PRIu64 " tables made, %" PRIu64 " retired, %" PRIu64 " stale\n",
		       tables_made, tables_retired, stale);
	if (is_unserved())
		printf("pager: memory was short, and nobody gave any\n");
	return tables_made != tables_retired || check.stale || check.wrong || pager.errors ||
	       is_unserved();
}

static void report(void)
{
	struct nst_speculate_stats s;

	nst_speculate_read(&pager.site, &s);
	printf("  faults/s=%.0f success=%" PRIu64 " abort=%" PRIu64 " retry=%" PRIu64
	       " miss=%" PRIu64 " nulls=%" PRIu64 " paid=%" PRIu64 " locked=%" PRIu64 "\n",
	       (double)pager.faults / check.seconds, s.success, s.abort, s.retry, s.miss, s.nulls,
	       s.paid, pager.locked);
	printf("  bytes_checked=%" PRIu64 " wrong=%" PRIu64 " reads_raced=%" PRIu64
	       " changes=%" PRIu64 " writes=%" PRIu64 " pages_copied=%" PRIu64
	       " views_shown=%" PRIu64 "\n",
	       check.bytes, check.wrong, check.raced, check.changes, check.writes, pager.copied,
	       pager.shown);
	printf("  tables_made=%" PRIu64 " retired=%" PRIu64 " stale=%" PRIu64 " audits=%" PRIu64
	       " reaped=%" PRIu64 " reaper_refused=%" PRIu64 " out_of_memory=%" PRIu64
	       " starved=%" PRIu64 "\n",
	       tables_made, tables_retired, check.stale, check.audits, check.reaped, check.busy,
	       check.ooms, pager.starved);
}

/* ---- what may not be written ---- */

#define LETTER UINT64_C(0x6c6574746572)
static int letter_written;

static void *write_letter(void *arg)
{
	put(arg, LETTER);
	__atomic_store_n(&letter_written, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* Before the others begin: a write to what may not be written waits until it may. */
static int check_protection(void)
{
	uintptr_t at = slot_at(0, 0);
	pthread_t thread;
	int early, lost;

	if (!check.space.protects)
		return 0;
	if (space_map(&check.space, at, at + SLOT_BYTES, check.source[0], 0, 0) ||
	    pthread_create(&thread, NULL, write_letter, (void *)at))
		return 1;
	nap(20000);
	early = __atomic_load_n(&letter_written, __ATOMIC_ACQUIRE);
	space_protect(&check.space, at, at + SLOT_BYTES, 1);
	pthread_join(thread, NULL);
	lost = get((const uint64_t *)at) != LETTER ||
	       get((const uint64_t *)slot_at(1, 0)) != LETTER;
	if (early || lost)
		printf("pager: a write to what may not be written %s\n",
		       early ? "did not wait" : "was lost");
	return space_unmap(&check.space, at, at + SLOT_BYTES) || early || lost;
}

static int run(double seconds, int threads)
{
	struct space *spaces[] = {&check.space};
	struct pager_threads *p = pager_start(spaces, 1, threads);
	pthread_t thread[WORKERS];
	double begun = now();

	if (!p)
		return 1;
	if (check_protection()) {
		pager_stop(p);
		return 1;
	}
	for (size_t i = 0; i < WORKERS; i++)
		if (pthread_create(&thread[i], NULL, work[i], (void *)(i + 1)))
			return 1;
	while ((now() - begun < seconds || (is_unserved() && now() - begun < seconds + PATIENCE)) &&
	       !COUNTED(check.wrong) && !COUNTED(check.stale))
		nap(10000);
	check.seconds = now() - begun;
	__atomic_store_n(&check.stop, 1, __ATOMIC_RELAXED);
	for (size_t i = 0; i < WORKERS; i++)
		pthread_join(thread[i], NULL);
	pager_stop(p);
	return check_end();
}

int pager_check(double seconds, enum pager_policy policy, enum pager_step fail, int threads)
{
	char options[512];
	int rc = prepare();

	if (rc)
		return rc;
	if (nst_info("options", options, sizeof(options)) > 0)
		check.is_short = strstr(options, "max:") != NULL;
	pager.policy = policy;
	pager.fail = fail;
	pager.nap = fail == STEP_ANY;
	pager.site.policy = policy < PAGER_LOCK ? (uint32_t)policy : 0;
	rc = run(seconds, threads);
	report();
	nst_oom_unregister(check.last);
	space_end(&check.space);
	for (unsigned int i = 0; i < SOURCES; i++)
		source_close(check.source[i]);
	close(check.space.uffd);
	return rc;
}
