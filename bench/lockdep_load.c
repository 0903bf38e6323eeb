/* SPDX-License-Identifier: MIT */
/*
 * lockdep_load.c - the loops of the validator's benchmark, one program for each way to build it.
 *
 *	lockdep_load [PART]		a line for each loop: name=ns, by CPU time of this thread, the best of five turns; PART: of so
 *					much less work
 *	lockdep_load --count LOOP N	N rounds of one loop and no more, for who counts instructions
 *	lockdep_load --start		CPU time until main(), and what is resident
 *
 * -DLOAD_NATIVE: libc's calls and nothing else. Else <nostall/pthread.h>, with -DNST_NO_LOCKDEP or not; whether the
 * validator is on, NOSTALL_CONF says.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef LOAD_NATIVE
struct mutex {
	pthread_mutex_t lock;
};
struct rwlock {
	pthread_rwlock_t lock;
};
#define MUTEX(name)                                                                                \
	{                                                                                          \
		PTHREAD_MUTEX_INITIALIZER                                                          \
	}
#define RWLOCK(name)                                                                               \
	{                                                                                          \
		PTHREAD_RWLOCK_INITIALIZER                                                         \
	}
#define lock(m) pthread_mutex_lock(&(m)->lock)
#define unlock(m) pthread_mutex_unlock(&(m)->lock)
#define rdlock(l) pthread_rwlock_rdlock(&(l)->lock)
#define rdunlock(l) pthread_rwlock_unlock(&(l)->lock)
#define mutex_make(m, of) pthread_mutex_init(&(m)->lock, NULL)
#else
#include <nostall/pthread.h>
#define mutex nst_pthread_mutex
#define rwlock nst_pthread_rwlock
#define MUTEX(name) NST_PTHREAD_MUTEX(name)
#define RWLOCK(name) NST_PTHREAD_RWLOCK(name)
#define lock(m) nst_pthread_mutex_lock(m)
#define unlock(m) nst_pthread_mutex_unlock(m)
#define rdlock(l) nst_pthread_rwlock_rdlock(l)
#define rdunlock(l) nst_pthread_rwlock_unlock(l)
static struct nst_lockdep_key bucket_key;
#define mutex_make(m, of) nst_pthread_mutex_init(m, of, &bucket_key, NULL)
#endif

#define BUCKETS 64u
#define NODES 4096u

static struct mutex one = MUTEX("one"), two = MUTEX("two");
static struct mutex deep[8] = {MUTEX("d0"), MUTEX("d1"), MUTEX("d2"), MUTEX("d3"),
			       MUTEX("d4"), MUTEX("d5"), MUTEX("d6"), MUTEX("d7")};
static struct rwlock rw = RWLOCK("rw");

struct node {
	struct node *next;
	uint32_t key, value;
	char text[24];
};

static struct bucket {
	struct mutex lock;
	struct node *first;
} table[BUCKETS];

static void pair(uint32_t n)
{
	while (n--) {
		lock(&one);
		unlock(&one);
	}
}

static void nested(uint32_t n)
{
	while (n--) {
		lock(&one);
		lock(&two);
		unlock(&two);
		unlock(&one);
	}
}

static void eight(uint32_t n)
{
	unsigned int i;

	while (n--) {
		for (i = 0; i < 8; i++)
			lock(&deep[i]);
		for (i = 8; i-- > 0;)
			unlock(&deep[i]);
	}
}

static void readers(uint32_t n)
{
	while (n--) {
		rdlock(&rw);
		rdunlock(&rw);
	}
}

/* The node of @key is looked for; one in two is taken out and freed, or made and put in. */
static void hash_step(uint32_t key)
{
	struct bucket *b = &table[key % BUCKETS];
	struct node **at, *n;

	lock(&b->lock);
	for (at = &b->first; (n = *at) != NULL && n->key != key; at = &n->next)
		;
	if (n) {
		*at = n->next;
		free(n);
	} else {
		n = malloc(sizeof(*n));
		if (!n)
			abort();
		n->key = n->value = key;
		memset(n->text, (int)key, sizeof(n->text));
		n->next = b->first;
		b->first = n;
	}
	unlock(&b->lock);
}

static void hash(uint32_t n)
{
	static uint32_t seed = 1;

	while (n--) {
		seed = seed * 1664525u + 1013904223u;
		hash_step((seed >> 8) % (NODES / 8));
	}
}

static void memory(uint32_t n)
{
	while (n--) {
		void *p = malloc(64);

		__asm__ volatile("" : "+r"(p)::"memory");
		free(p);
	}
}

static const struct {
	const char *name;
	void (*run)(uint32_t n);
	uint32_t locks; /* that a round takes: figures are for one */
	uint32_t rounds;
} loops[] = {
	{"pair", pair, 1, 200000},  {"nested", nested, 2, 100000},
	{"eight", eight, 8, 30000}, {"reader", readers, 1, 200000},
	{"hash", hash, 1, 100000},  {"malloc", memory, 1, 200000},
};
#define NR_LOOPS (sizeof(loops) / sizeof(loops[0]))

static double cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

/* A second thread, as programs have: libc's locks are cheaper without. */
static void *rests(void *arg)
{
	pthread_mutex_lock(arg);
	return NULL;
}

static void measure(unsigned int divide)
{
	unsigned int i, turn;

	for (i = 0; i < NR_LOOPS; i++) {
		const uint32_t n = loops[i].rounds / divide;
		double best = 1e18;

		loops[i].run(n / 10 + 1);
		for (turn = 0; turn < 5; turn++) {
			double since = cpu_ns(), took;

			loops[i].run(n);
			took = (cpu_ns() - since) / n / loops[i].locks;
			best = took < best ? took : best;
		}
		printf("%s=%.2f ", loops[i].name, best);
	}
	printf("\n");
}

/* CPU time of the process so far, and what is resident, with a lock taken. */
static int started(void)
{
	unsigned long pages = 0;
	struct timespec ts;
	FILE *f;

	lock(&one);
	unlock(&one);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	f = fopen("/proc/self/statm", "r");
	if (!f || fscanf(f, "%*u %lu", &pages) != 1)
		return 1;
	printf("ns=%.0f kib=%lu\n", (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec, pages * 4);
	return fclose(f);
}

int main(int argc, char **argv)
{
	static pthread_mutex_t never = PTHREAD_MUTEX_INITIALIZER;
	pthread_t t;
	unsigned int i;

	if (argc > 1 && strcmp(argv[1], "--start") == 0)
		return started();
	pthread_mutex_lock(&never);
	if (pthread_create(&t, NULL, rests, &never))
		return 1;
	for (i = 0; i < BUCKETS; i++)
		mutex_make(&table[i].lock, "bucket");
	if (argc > 3)
		for (i = 0; i < NR_LOOPS; i++)
			if (strcmp(loops[i].name, argv[2]) == 0)
				loops[i].run((uint32_t)atoi(argv[3]));
	if (argc < 3)
		measure(argc > 1 ? (unsigned int)atoi(argv[1]) : 1);
	exit(0);
}
