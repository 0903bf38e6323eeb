/* SPDX-License-Identifier: MIT */
/*
 * publish.c - the statistics page: a snapshot that other processes of the same user may read.
 *
 *	shared memory	| head | sequence | snapshot | draft |
 *	                                  ^------------ copied <- filled under the library's locks
 *
 * P1. sequence is odd exactly while the snapshot is being copied, which waits for nothing.
 * P2. One thread publishes at a time: it has the pass (worker.c).
 * P3. All signals of that thread are blocked meanwhile. So no handler forks a child that would go on
 *     here, in memory that it did not inherit (DONTFORK).
 * P4. A process writes no page but its own: a child forgets its parent's, and where the fork went
 *     unnoticed the PID tells.
 *
 * The page is made at the first publication, and never by a no-lock path; where it cannot be made, all
 * is as without. Fork: the child makes its own when it publishes. Exit: a destructor publishes the
 * last state, if there is a page or one was asked for (publish_dir).
 */
#include "mm.h"

#define PERIOD_NS 250000000ull
#define FIRST_NS 50000000ull /* a process that lives shorter has none, unless one was asked for */
#define EXIT_US 100000u	     /* what an exit waits for a pass to end */
#define MOST_FAILS 4u
#define READ_TRIES 16u
#define NO_SPACE (-28)
#define READ_ONLY (-30)
#define QUOTA (-122)

#define SNAPSHOT offsetof(struct nst_stats_page, published_ns)
#define ROWS offsetof(struct nst_stats_page, caches)
#define ROW sizeof(struct nst_cache_stats)
#define PAGE_BYTES nst_round_up(2 * sizeof(struct nst_stats_page), NST_PAGE_BYTES)

nst_static_assert(SNAPSHOT % 8 == 0 && ROWS % 8 == 0 && ROW % 8 == 0, "copied by words");

static struct {
	struct nst_sys_shared memory, parents;
	struct nst_stats_page *page; /* NULL: none */
	u32 pid;		     /* whose it is */
	u32 inherited;		     /* parents is a descriptor that a fork left open */
	u32 fails;		     /* times it could not be made */
	u32 ended;
	u32 asked;
	u64 due_ns;
} publish;

/* ---- the page ---- */

static void set_head(struct nst_stats_page *page, u32 pid)
{
	page->version = NST_STATS_PAGE_VERSION;
	page->bytes = sizeof(*page);
	page->pid = pid;
	page->start_ns = nst_sys_start_ns();
	nst_format(page->nostall, sizeof(page->nostall), "%s", nst_version());
	nst_format(page->program, sizeof(page->program), "%s", nst_sys_program());
	/* Pairs with: nst_load_acquire() in read_head(). */
	nst_store_release(&page->magic, NST_STATS_PAGE_MAGIC);
}

/* Of a folder that is full, once; not of one that this process may not, or can no longer, reach. */
static void say_full(int err)
{
	if (publish.fails || !*nst_option_publish_dir() ||
	    (err != NO_SPACE && err != QUOTA && err != READ_ONLY))
		return;
	nst_warn(
		"option publish_dir:%s: no statistics of this process (error %d); allowed: a folder "
		"with room for %zu bytes a process",
		nst_option_publish_dir(), -err, PAGE_BYTES);
}

static int make(u32 pid)
{
	int err;

	if (publish.inherited) {
		publish.inherited = 0;
		nst_sys_shared_close(&publish.parents);
	}
	if (publish.fails >= MOST_FAILS)
		return 0;
	err = nst_sys_share(&publish.memory, nst_option_publish_dir(), NST_STATS_PAGE_NAME,
			    PAGE_BYTES);
	if (err) {
		say_full(err);
		nst_hint_set(&publish.fails, publish.fails + 1);
		return 0;
	}
	publish.pid = pid;
	nst_hint_set(&publish.page, (struct nst_stats_page *)publish.memory.addr);
	set_head(publish.page, pid);
	return 1;
}

void nst_publish_after_fork(void)
{
	if (publish.page) {
		publish.parents = publish.memory;
		publish.inherited = 1;
	}
	nst_hint_set(&publish.page, (struct nst_stats_page *)NULL);
	nst_hint_set(&publish.fails, 0u);
	publish.ended = 0;
}

/* Ours, and where others find it; else a new one. */
static int ensure(void)
{
	u32 pid = nst_sys_pid();

	if (publish.page && publish.pid != pid)
		nst_publish_after_fork();
	if (publish.page && nst_sys_shared_is_there(&publish.memory))
		return 1;
	if (publish.page) /* the program has closed the descriptor */
		nst_sys_release(publish.memory.addr, publish.memory.bytes);
	nst_hint_set(&publish.page, (struct nst_stats_page *)NULL);
	return make(pid);
}

/* ---- a snapshot ---- */

static int fill(struct nst_stats_page *draft)
{
	int rows;

	if (!nst_stats_try(&draft->stats))
		return 0;
	rows = nst_stats_try_caches(draft->caches, NST_STATS_PAGE_CACHES, &draft->nr_caches);
	if (rows < 0)
		return 0;
	draft->nr_rows = (u32)rows;
	draft->ended = publish.ended;
	draft->published_ns = nst_sys_now_ns();
	return 1;
}

/*
 * Word by word, each with release: who sees one of them sees the odd sequence that was stored before,
 * and looks again.
 */
static void copy_out(struct nst_stats_page *page, const struct nst_stats_page *draft)
{
	size_t i, end = ROWS + draft->nr_rows * ROW;
	u64 word, sequence = page->sequence;

#if !(defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 5) /* never odd: torn */
	/* relaxed: each store below is after it */
	nst_store_relaxed(&page->sequence, sequence + 1);
#endif
	for (i = SNAPSHOT; i < end; i += 8) {
		__builtin_memcpy(&word, (const char *)draft + i, 8);
		/* Pairs with: nst_load_acquire() in copy_words(). */
		nst_store_release((u64 *)(void *)((char *)page + i), word);
	}
	/* Pairs with: nst_load_acquire() in copy_in(). */
	nst_store_release(&page->sequence, sequence + 2);
}

static int publish_now(void)
{
	u64 before = nst_sys_signals_block();
	int done = 0;

	if (ensure()) {
		nst_stats_settle();
		done = fill(publish.page + 1);
		if (done)
			copy_out(publish.page, publish.page + 1);
		else
			nst_stats_move();
	}
	nst_sys_signals_restore(before);
	return done;
}

/* ---- when ---- */

void nst_publish_ask(void)
{
	nst_store_relaxed(&publish.asked, 1u); /* a hint */
	nst_worker_flag();
}

static int is_due(void)
{
	u64 now;

	if (nst_exchange_relaxed(&publish.asked, 0u)) /* a hint */
		return 1;
	if (!nst_stats_moved() || publish.fails >= MOST_FAILS)
		return 0;
	if (!publish.due_ns && !*nst_option_publish_dir())
		publish.due_ns = nst_sys_start_ns() + FIRST_NS;
	now = nst_sys_now_ns();
	if (now < publish.due_ns)
		return 0;
	publish.due_ns = now + PERIOD_NS;
	return 1;
}

void nst_publish_pass(int now)
{
	if (nst_option(NST_OPT_publish) && (is_due() || now))
		publish_now();
}

/* After the destructors of all that allocates here; other threads may still run, and hold what they like. */
__attribute__((destructor(101))) static void publish_last(void)
{
	if (!nst_is_started() || !nst_option(NST_OPT_publish))
		return;
	nst_fork_check();
	if (!nst_hint(&publish.page) && !*nst_option_publish_dir())
		return;
	if (!nst_maintain_pause_us(EXIT_US))
		return;
	publish.ended = 1;
	publish_now();
	nst_maintain_resume();
}

const char *nst_publish_state(void)
{
	if (!nst_option(NST_OPT_publish))
		return "off";
	if (nst_hint(&publish.page))
		return *nst_option_publish_dir() ? "file" : "memfd";
	return nst_hint(&publish.fails) ? "refused" : "not yet";
}

/* ---- who reads ---- */

static void copy_words(struct nst_stats_page *out, const struct nst_stats_page *page, size_t from,
		       size_t end)
{
	u64 word;

	for (; from < end; from += 8) {
		/* Pairs with: nst_store_release() in copy_out(). */
		word = nst_load_acquire((const u64 *)(const void *)((const char *)page + from));
		__builtin_memcpy((char *)out + from, &word, 8);
	}
}

static int copy_in(struct nst_stats_page *out, const struct nst_stats_page *page)
{
	/* Pairs with: nst_store_release() in copy_out(). */
	u64 sequence = nst_load_acquire(&page->sequence);

	if (!sequence || sequence & 1)
		return 0;
	copy_words(out, page, SNAPSHOT, ROWS);
	out->nr_rows = (u32)nst_min(out->nr_rows, NST_STATS_PAGE_CACHES);
	copy_words(out, page, ROWS, ROWS + out->nr_rows * ROW);
	out->sequence = sequence;
	/* relaxed: the loads before it are acquires */
	return nst_load_relaxed(&page->sequence) == sequence;
}

static int read_head(struct nst_stats_page *out, const struct nst_stats_page *page)
{
	/* Pairs with: nst_store_release() in set_head(). */
	if (nst_load_acquire(&page->magic) != NST_STATS_PAGE_MAGIC)
		return -22;
	__builtin_memcpy(out, page, offsetof(struct nst_stats_page, sequence));
	out->nostall[sizeof(out->nostall) - 1] = 0;
	out->program[sizeof(out->program) - 1] = 0;
	return out->version == NST_STATS_PAGE_VERSION && out->bytes == sizeof(*out) ? 0 : -71;
}

static void terminate_names(struct nst_stats_page *out)
{
	u32 i;

	for (i = 0; i < out->nr_rows; i++)
		out->caches[i].name[sizeof(out->caches[i].name) - 1] = 0;
	out->stats.nr_nodes = (u32)nst_min(out->stats.nr_nodes, NST_STATS_NODES);
}

int nst_stats_page_read(const void *page, size_t bytes, struct nst_stats_page *out)
{
	unsigned int i;
	int err;

	if (!page || !out || bytes < SNAPSHOT || (uintptr_t)page % 8)
		return -22;
	__builtin_memset(out, 0, sizeof(*out));
	err = read_head(out, page);
	if (err)
		return err;
	if (bytes < sizeof(*out))
		return -22;
	for (i = 0; i < READ_TRIES; i++) {
		if (copy_in(out, page)) {
			terminate_names(out);
			return 0;
		}
		nst_cpu_relax();
	}
	return -11;
}
