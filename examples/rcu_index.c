// SPDX-License-Identifier: MIT
/*
 * rcu_index.c - a word index over the machine's own text, written, read and interrupted at the same time.
 *
 *	rcu_index [SECONDS [PARSERS [READERS [FOLDER...]]]]	default: 2, 2, 2, and where Debian has text
 *
 *	parser threads	document -> its words -> index: postings replaced, the old ones retired
 *	query threads	words of a bucket, in a section, again and again
 *	SIGALRM		interrupts both kinds at 1 kHz each, and queries: inside retiring, too
 *
 * It checks itself. Postings carry a sum and whose they are, which every reader compares. In the end every word is
 * counted again, by one thread and without the index; a difference is one line and exit status 1.
 *
 * The same program on other readers: index_rcu.h.
 */
#define _GNU_SOURCE
#include "index_words.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define CORPUS_BYTES (24u << 20)
#define THREADS_MOST 64
#define SIGNAL_NS 1000000
#define SAMPLE_NS 5000000
#define QUERY_WORDS 4u /* of a bucket */
#define DOCUMENT_LOG2 16
#define CORPUS_LOG2 21

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

struct thread {
	pthread_t id;
	uint64_t queries, documents, damaged, seed;
	struct index_numbers numbers;
};

static char *folders[] = {"/usr/include", "/usr/share/common-licenses", "/usr/share/doc",
			  "/usr/share/perl", NULL};
static struct corpus corpus;
static uint64_t next_document, handler_queries, handler_damaged;
static int stop;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint32_t draw(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*seed >> 33);
}

static int stopped(void)
{
	return __atomic_load_n(&stop, __ATOMIC_RELAXED);
}

/* ---- what runs ---- */

static void on_alarm(int sig)
{
	static uint64_t at;
	uint64_t damaged = 0;
	uint32_t n = (uint32_t)__atomic_fetch_add(&at, 1, __ATOMIC_RELAXED);

	(void)sig;
	index_query(n * 2654435761u, 1, &damaged);
	__atomic_fetch_add(&handler_queries, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&handler_damaged, damaged, __ATOMIC_RELAXED);
}

/* SIGALRM for the calling thread, from now on; returns the timer. */
static timer_t alarms_begin(void)
{
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM};
	struct itimerspec period = {{0, SIGNAL_NS}, {0, SIGNAL_NS}};
	timer_t timer;

	event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) ||
	    timer_settime(timer, 0, &period, NULL)) {
		perror("rcu_index: timer");
		exit(1);
	}
	return timer;
}

/* None comes after it: the thread may end. */
static void alarms_end(timer_t timer)
{
	sigset_t alarms;

	sigemptyset(&alarms);
	sigaddset(&alarms, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarms, NULL);
	timer_delete(timer);
}

static void parse(struct thread *t, struct tally *tally, uint64_t number)
{
	tally_add(tally, &corpus.document[number % corpus.nr], 1);
	for (uint32_t i = 0; i < tally->nr; i++)
		index_add(&tally->slot[tally->used[i]], (uint32_t)number, &t->numbers);
	tally_clear(tally);
	t->documents++;
}

static void *parser(void *arg)
{
	struct thread *t = arg;
	struct tally tally;
	timer_t timer;

	index_thread();
	tally_init(&tally, DOCUMENT_LOG2);
	timer = alarms_begin();
	while (!stopped())
		parse(t, &tally, __atomic_fetch_add(&next_document, 1, __ATOMIC_RELAXED));
	alarms_end(timer);
	tally_end(&tally);
	index_thread_end();
	return NULL;
}

static void *reader(void *arg)
{
	struct thread *t = arg;
	timer_t timer;

	index_thread();
	timer = alarms_begin();
	for (; !stopped(); t->queries++)
		index_query(draw(&t->seed), QUERY_WORDS, &t->damaged);
	alarms_end(timer);
	index_thread_end();
	return NULL;
}

/* ---- check ---- */

/* Each word as often as it occurs in the documents that were parsed. 0: that is what the index says. */
static int recount(struct tally *plain)
{
	uint64_t sum = 0, indexed, damaged = 0;

	tally_init(plain, CORPUS_LOG2);
	for (uint64_t i = 0; i < corpus.nr; i++)
		tally_add(plain, &corpus.document[i],
			  next_document / corpus.nr + (i < next_document % corpus.nr));
	for (uint32_t i = 0; i < plain->nr; i++) {
		const struct word *w = &plain->slot[plain->used[i]];

		indexed = index_count(w, &damaged);
		sum += w->count;
		if (indexed == w->count && !damaged)
			continue;
		printf("rcu_index: '%.*s' occurs %" PRIu64 " times, the index says %" PRIu64 "%s\n",
		       (int)w->len, w->text, w->count, indexed, damaged ? ", and is damaged" : "");
		return 1;
	}
	indexed = index_total(&damaged);
	if (indexed == sum && !damaged)
		return 0;
	printf("rcu_index: %" PRIu64 " words were read, %" PRIu64 " are in the index\n", sum,
	       indexed);
	return 1;
}

/* ---- report ---- */

struct result {
	double seconds;
	uint64_t waiting_peak, waiting, periods;
	struct thread sum;
};

/* Sleeps for @seconds, and looks. */
static void watch(struct result *r, double seconds)
{
	const struct timespec nap = {0, SAMPLE_NS};
	uint64_t begun = now_ns(), before, after;

	index_waiting(&r->waiting, &before);
	do {
		nanosleep(&nap, NULL);
		index_waiting(&r->waiting, &after);
		if (r->waiting > r->waiting_peak)
			r->waiting_peak = r->waiting;
		r->seconds = (double)(now_ns() - begun) / 1e9;
	} while (r->seconds < seconds);
	r->periods = after - before;
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
}

static void print(const struct result *r, const struct tally *plain)
{
	printf("  documents/s=%.0f queries/s=%.0f queries_in_handlers/s=%.0f\n",
	       (double)r->sum.documents / r->seconds, (double)r->sum.queries / r->seconds,
	       (double)handler_queries / r->seconds);
	printf("  words=%u postings_replaced=%" PRIu64 " bytes_waiting_peak=%" PRIu64
	       " bytes_waiting_at_end=%" PRIu64 " periods=",
	       plain->nr, r->sum.numbers.replaced, r->waiting_peak, r->waiting);
	if (r->periods)
		printf("%" PRIu64 "\n", r->periods);
	else
		printf("not_known\n");
	printf("  every word counted again by one thread: the same\n");
}

static void join(struct thread *threads, int nr, struct result *r)
{
	for (int i = 0; i < nr; i++) {
		pthread_join(threads[i].id, NULL);
		r->sum.documents += threads[i].documents;
		r->sum.queries += threads[i].queries;
		r->sum.damaged += threads[i].damaged;
		r->sum.numbers.replaced += threads[i].numbers.replaced;
		r->sum.numbers.words += threads[i].numbers.words;
	}
}

/* Threads that were interrupted may end; this one waits, reads nothing and is left alone. */
static void run(double seconds, int parsers, int readers, struct result *r)
{
	static struct thread threads[2 * THREADS_MOST];
	struct sigaction on = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
	uint64_t periods;

	sigaction(SIGALRM, &on, NULL);
	for (int i = 0; i < parsers + readers; i++) {
		threads[i].seed = (uint64_t)i;
		if (pthread_create(&threads[i].id, NULL, i < parsers ? parser : reader,
				   &threads[i])) {
			fprintf(stderr, "rcu_index: no thread\n");
			exit(1);
		}
	}
	watch(r, seconds);
	join(threads, parsers + readers, r);
	index_settle();
	index_waiting(&r->waiting, &periods);
}

static int number(const char *text, int most)
{
	int n = atoi(text);

	if (n >= 1 && n <= most)
		return n;
	fprintf(stderr, "rcu_index: '%s' is not a number from 1 to %d\n", text, most);
	exit(2);
}

int main(int argc, char **argv)
{
	int seconds = argc > 1 ? number(argv[1], 3600) : 2;
	int parsers = argc > 2 ? number(argv[2], THREADS_MOST) : 2;
	int readers = argc > 3 ? number(argv[3], THREADS_MOST) : 2;
	struct result r = {0};
	struct tally plain;
	int wrong;

	corpus_read(&corpus, CORPUS_BYTES, argc > 4 ? argv + 4 : folders);
	printf("rcu_index: %s; %d parsers, %d readers, %zu documents of %zu bytes\n", index_way(),
	       parsers, readers, corpus.nr, corpus.bytes);
	run(seconds, parsers, readers, &r);
	index_thread();
	wrong = recount(&plain);
	index_thread_end();
	if (r.sum.damaged + handler_damaged) {
		printf("rcu_index: %" PRIu64 " postings were damaged when they were read\n",
		       r.sum.damaged + handler_damaged);
		wrong = 1;
	}
	if (!wrong)
		print(&r, &plain);
	return wrong;
}
