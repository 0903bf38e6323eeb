/* SPDX-License-Identifier: MIT */
/*
 * ring.c - what goes into rings of retired pointers comes out once, in order, and never too early.
 *
 *	threads		retire marks, one by one and several, by every entry, on all CPUs
 *	handlers	a timer each, one of 20 us: the same
 *	director	delays at points of the sequences, moves between CPUs, forks
 *	worker		takes sealed pages, adds ready ones, claims prefixes; raises the word of the stamps
 *
 * A mark knows its party, its number there and what the word was before its retire began. A page that was
 * taken is poisoned, and looked at again before it is used again: nobody may have written to it.
 * NST_SECONDS (3); TEST_PERIOD_US (20) between signals, TEST_DELAY (3,000 loops at most): more of both
 * where all is slow. Ends early once something is wrong.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "percpu/percpu.h"
#include "percpu/ring.h"
#include "common/check.h"
#include "common/trap.h"
#include "rig.h"

#define NR_THREADS 3u
#define NR_PARTIES (2 * NR_THREADS)
#define MARKS 4096u /* of a party */
#define BATCH 6u
#define SLOTS 8u
#define POISON ((void *)(uintptr_t)0xdead5ea1)
#define TICK_US 1000u

struct mark {
	u32 busy; /* 1 from before it is retired until it has come out */
	u32 party;
	u64 number, before; /* written by the party, plainly */
	u64 inverse;	    /* of both */
};

struct party {
	struct rng rng;
	u32 id;
	unsigned int next;
	u64 number, full, out; /* retired, refused, come out */
	struct mark mark[MARKS];
};

struct pusher {
	pthread_t thread;
	pid_t tid;
	struct party plain, handler;
	int rests; /* nothing was ready: the worker is to have the CPU */
};

static struct {
	struct nst_ring_table table;
	u64 started;
	long period_ns;
	u32 delay_loops;
	struct pusher pusher[NR_THREADS];
	u64 last[NST_MAX_CPUS][NR_PARTIES]; /* newest number of each party seen, by ring */
	struct nst_sheaf *pool[NST_MAX_CPUS * SLOTS];
	unsigned int nr_pool, ready;
	int stop, stop_worker;
	u64 taken, claimed, stale, forks;
	u64 twice, torn, disorder, early, late_writes, foreign;
	u64 child_errors;
} t;

static __thread struct pusher *me;

/* The director looks at what the worker counts. */
static void wrong(u64 *counter, int is_wrong)
{
	if (is_wrong)
		nst_add_relaxed(counter, 1);
}

static struct party *party_of(u32 id)
{
	struct pusher *p = &t.pusher[id / 2];

	return id & 1 ? &p->handler : &p->plain;
}

/* ---- who retires ---- */

static struct mark *new_mark(struct party *p, u64 number)
{
	struct mark *m = &p->mark[p->next % MARKS];

	/* Pairs with the release where the mark came out. */
	if (__atomic_load_n(&m->busy, __ATOMIC_ACQUIRE))
		return NULL;
	p->next++;
	m->busy = 1;
	m->party = p->id;
	m->number = number;
	m->before = nst_load_relaxed(&t.started);
	m->inverse = ~(m->number ^ m->before);
	return m;
}

static size_t retire_some(struct party *p, void **in, size_t n)
{
	u32 sealed;

	switch (rng_below(&p->rng, 5)) {
	case 0:
		nst_tsan_release(in[0]);
		return nst_seq_retire(t.table.fast, &t.started, in[0]) == NST_PUSH_OK;
	case 1:
		return nst_ring_retire(&t.table, &t.started, in[0]) == NST_PUSH_OK;
	case 2:
		return nst_ring_push(&t.table, &t.started, in[0], &sealed) == NST_PUSH_OK;
	case 3:
		return nst_ring_retiren(&t.table, &t.started, in, n);
	default:
		return nst_ring_pushn(&t.table, &t.started, in, n);
	}
}

static void step(struct party *p)
{
	size_t n = 0, want = 1 + rng_below(&p->rng, BATCH), k, i;
	void *in[BATCH];

	while (n < want && (in[n] = new_mark(p, p->number + 1 + n)) != NULL)
		n++;
	if (!n)
		return;
	k = retire_some(p, in, n);
	p->number += k;
	p->full += k == 0;
	for (i = k; i < n; i++)
		((struct mark *)in[i])->busy = 0;
	p->next -= (unsigned int)(n - k);
}

static void handler(int sig)
{
	(void)sig;
	for (int i = 0; me && !me->rests && i < 3; i++)
		step(&me->handler);
}

static void *run(void *arg)
{
	struct pusher *self = arg;
	timer_t timer;

	self->tid = gettid();
	me = self;
	timer = rig_timer(self == t.pusher ? t.period_ns : 5 * t.period_ns);
	__atomic_fetch_add(&t.ready, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&t.stop, __ATOMIC_ACQUIRE)) {
		u64 full = self->plain.full;

		step(&self->plain);
		if (self->plain.full == full || rng_below(&self->plain.rng, 4))
			continue;
		nst_store_relaxed(&self->rests, 1);
		rig_nap_us(200);
		nst_store_relaxed(&self->rests, 0);
	}
	rig_timer_stop(timer);
	me = NULL; /* one may still be on its way: it must find nobody */
	return NULL;
}

/* ---- the worker ---- */

static void come_out(unsigned int ring, u64 stamp, struct mark *m)
{
	struct party *p;

	if ((void *)m == POISON || !m || m->party >= NR_PARTIES) {
		wrong(&t.foreign, 1);
		return;
	}
	p = party_of(m->party);
	if (m < p->mark || m >= p->mark + MARKS) {
		wrong(&t.foreign, 1);
		return;
	}
	wrong(&t.twice, m->busy != 1);
	wrong(&t.torn, m->inverse != ~(m->number ^ m->before));
	wrong(&t.disorder, m->number <= t.last[ring][m->party]);
	wrong(&t.early, m->before > stamp);
	t.last[ring][m->party] = m->number;
	p->out++;
	__atomic_store_n(&m->busy, 0u, __ATOMIC_RELEASE);
}

/* Nobody writes to it any more. */
static void poison(struct nst_sheaf *p)
{
	for (u32 i = 0; i < p->cap; i++)
		p->obj[i] = POISON;
	p->stamp = (u64)(uintptr_t)POISON;
	p->count = 0;
}

static void look_for_poison(const struct nst_sheaf *p)
{
	int as_it_was = p->count == 0 && p->stamp == (u64)(uintptr_t)POISON;

	for (u32 i = 0; i < p->cap; i++)
		as_it_was &= p->obj[i] == POISON;
	wrong(&t.late_writes, !as_it_was);
}

static struct nst_sheaf *new_page(u32 cap)
{
	struct nst_sheaf *p = calloc(1, sizeof(*p) + cap * sizeof(void *));

	if (!p)
		check_broken("calloc");
	p->cap = cap;
	poison(p);
	return p;
}

static void take_sealed(unsigned int i, struct nst_ring *r)
{
	struct nst_sheaf *p;
	u32 prefix;

	while ((p = nst_ring_take_sealed(r, &prefix)) != NULL) {
		for (u32 k = prefix; k < p->count; k++)
			come_out(i, p->stamp, p->obj[k]);
		poison(p);
		t.pool[t.nr_pool++] = p;
		nst_add_relaxed(&t.taken, 1);
	}
}

/* The oldest in the pool first: late writes have time to show. */
static void add_ready(struct rng *rng, struct nst_ring *r)
{
	unsigned int n = rng_below(rng, SLOTS);

	while (n-- && t.nr_pool && !nst_ring_add_ready(r, t.pool[0]))
		memmove(t.pool, t.pool + 1, --t.nr_pool * sizeof(t.pool[0]));
}

static void round_of(struct rng *rng)
{
	static struct nst_ring_cut cut[NST_MAX_CPUS];
	unsigned int i, nr = nst_ring_nr(&t.table);

	for (i = 0; i < nr; i++)
		cut[i] = nst_ring_look(nst_ring_number(&t.table, i));
	nst_add_relaxed(&t.started, 1);
	if (rng_below(rng, 2))
		rig_nap_us(rng_below(rng, 150));
	for (i = 0; i < nr; i++) {
		struct nst_ring *r = nst_ring_number(&t.table, i);

		nst_add_relaxed(&t.started, 1);
		take_sealed(i, r);
		if (rng_below(rng, 2) && cut[i].from < cut[i].to) {
			int err = nst_ring_claim(r, &cut[i]);

			for (u32 k = cut[i].from; !err && k < cut[i].to; k++)
				come_out(i, ~(u64)0, cut[i].page->obj[k]);
			nst_add_relaxed(err ? &t.stale : &t.claimed, 1);
		}
		add_ready(rng, r);
	}
	for (i = 0; i < t.nr_pool; i++)
		look_for_poison(t.pool[i]);
}

static void *work(void *arg)
{
	while (!__atomic_load_n(&t.stop_worker, __ATOMIC_ACQUIRE))
		round_of(arg);
	return NULL;
}

/* ---- a fork child: what it finds in the rings ---- */

static u64 child_errors(void)
{
	struct nst_sheaf *p;
	u32 prefix;
	u64 errors = 0;

	nst_ring_table_after_fork(&t.table);
	for (unsigned int i = 0; i < nst_ring_nr(&t.table); i++) {
		struct nst_ring *r = nst_ring_number(&t.table, i);

		errors += nst_ring_sealed(r) + nst_ring_ready(r) >= SLOTS - 1;
		while ((p = nst_ring_take_any(r, &prefix)) != NULL) {
			for (u32 k = prefix; k < p->count; k++) {
				struct mark *m = p->obj[k];

				if (!m || (void *)m == POISON || m->party >= NR_PARTIES) {
					errors++;
					continue;
				}
				errors += m->number <= t.last[i][m->party] || m->busy != 1;
				t.last[i][m->party] = m->number;
			}
		}
	}
	return errors;
}

static void fork_once(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(child_errors() != 0);
	if (pid < 0)
		check_broken("fork");
	if (waitpid(pid, &status, 0) != pid)
		check_broken("waitpid");
	t.forks++;
	t.child_errors += status != 0;
}

/* ---- the director ---- */

static u64 errors(void)
{
	return nst_load_relaxed(&t.twice) + nst_load_relaxed(&t.torn) +
	       nst_load_relaxed(&t.disorder) + nst_load_relaxed(&t.early) +
	       nst_load_relaxed(&t.late_writes) + nst_load_relaxed(&t.foreign) + t.child_errors;
}

static void some_delay(struct rng *rng)
{
	unsigned int seq = NST_SEQ_RETIRE + rng_below(rng, 4);

	rig_no_delay();
	if (seq <= NST_SEQ_ADVANCE)
		nst_store_relaxed(&nst_test_delay[seq][rng_below(rng, NST_SEQ_POINTS)],
				  1 + rng_below(rng, t.delay_loops));
}

/* Else nothing would have been shown. */
static int enough(void)
{
	int interrupted = 1;

	for (unsigned int i = NST_SEQ_RETIRE; i <= NST_SEQ_ADVANCE && !rig_is_none(); i++)
		interrupted &= nst_load_relaxed(&nst_test_restarts[i]) > 0;
	return interrupted && nst_load_relaxed(&t.taken) > 100 &&
	       nst_load_relaxed(&t.claimed) > 10 && nst_load_relaxed(&t.stale) > 0 && t.forks > 1;
}

static void direct(double seconds, u64 seed)
{
	struct rng rng = {seed + 1000};
	double begin = rig_now();

	for (unsigned int tick = 0; rig_goes_on(begin, seconds, enough) && !errors(); tick++) {
		some_delay(&rng);
		if (cpu_nth(1) >= 0)
			run_on_cpu(t.pusher[tick % NR_THREADS].tid,
				   rng_below(&rng, 3) ? -1 : cpu_nth(rng_below(&rng, 2)));
		if (tick % 64 == 0)
			fork_once();
		rig_nap_us(TICK_US);
	}
	rig_no_delay();
}

/* ---- beginning and end ---- */

static void begin(u64 seed)
{
	if (nst_ring_table_init(&t.table, SLOTS))
		check_broken("a table");
	for (unsigned int i = 0; i < nst_ring_nr(&t.table); i++) {
		if (nst_ring_make(&t.table, i, new_page(4)))
			check_broken("a ring");
		/* Fewer than there are slots, so that pushers find nothing ready now and then. */
		for (unsigned int k = 0; k < SLOTS - 3; k++)
			t.pool[t.nr_pool++] = new_page(4 + 7 * (k % 3));
	}
	for (unsigned int i = 0; i < NR_PARTIES; i++) {
		party_of(i)->id = i;
		party_of(i)->rng.state = seed + i;
	}
}

static void last_round(void)
{
	struct rng rng = {0};
	struct nst_sheaf *p;
	u32 prefix;

	round_of(&rng);
	for (unsigned int i = 0; i < nst_ring_nr(&t.table); i++) {
		struct nst_ring *r = nst_ring_number(&t.table, i);

		while ((p = nst_ring_take_any(r, &prefix)) != NULL) {
			for (u32 k = prefix; k < p->count; k++)
				come_out(i, p->stamp, p->obj[k]);
			free(p);
		}
	}
	while (t.nr_pool)
		free(t.pool[--t.nr_pool]);
	nst_ring_table_exit(&t.table);
}

static void none(u64 times, const char *name)
{
	check(times == 0, name, "%llu times not", (unsigned long long)times);
}

static void judge(void)
{
	u64 in = 0, out = 0, full = 0, lost = 0;

	for (unsigned int i = 0; i < NR_PARTIES; i++) {
		in += party_of(i)->number;
		out += party_of(i)->out;
		full += party_of(i)->full;
		for (unsigned int k = 0; k < MARKS; k++)
			lost += party_of(i)->mark[k].busy;
	}
	printf("# sequences=%s retired=%llu refused=%llu pages=%llu claims=%llu stale=%llu forks=%llu "
	       "restarts=%llu,%llu,%llu\n",
	       rig_form(), (unsigned long long)in, (unsigned long long)full,
	       (unsigned long long)t.taken, (unsigned long long)t.claimed,
	       (unsigned long long)t.stale, (unsigned long long)t.forks,
	       (unsigned long long)nst_test_restarts[NST_SEQ_RETIRE],
	       (unsigned long long)nst_test_restarts[NST_SEQ_RETIREN],
	       (unsigned long long)nst_test_restarts[NST_SEQ_ADVANCE]);
	check(in == out && !lost, "all that went in came out", "%llu in, %llu out, %llu lost",
	      (unsigned long long)in, (unsigned long long)out, (unsigned long long)lost);
	none(t.twice, "each comes out once");
	none(t.foreign, "nothing else comes out");
	none(t.torn, "with what was written before");
	none(t.disorder, "in order");
	none(t.early, "no stamp is too early");
	none(t.late_writes, "nobody writes to a page that was taken");
	none(t.child_errors, "a child finds one cut");
}

TEST_CONF("worker:off")

int main(int argc, char **argv)
{
	struct sigaction sa = {.sa_handler = handler, .sa_flags = SA_RESTART};
	long seconds = env_long("NST_SECONDS", 3);
	u64 seed = seed_of(argc, argv);
	struct rng worker_rng = {seed + 2000};
	pthread_t worker;

	conf_apply(argv);
	cpu_nth(0);
	nst_free(nst_alloc(16, NST_NORMAL));
	t.period_ns = 1000 * env_long("TEST_PERIOD_US", 20);
	t.delay_loops = (u32)env_long("TEST_DELAY", 3000);
	check_deadline((unsigned int)seconds + 90, "the rings' storm ends");
	begin(seed);
	sigaction(RIG_SIGNAL, &sa, NULL);
	if (pthread_create(&worker, NULL, work, &worker_rng))
		check_broken("pthread_create");
	for (unsigned int i = 0; i < NR_THREADS; i++)
		if (pthread_create(&t.pusher[i].thread, NULL, run, &t.pusher[i]))
			check_broken("pthread_create");
	while (__atomic_load_n(&t.ready, __ATOMIC_ACQUIRE) < NR_THREADS)
		rig_nap_us(100);
	direct((double)seconds, seed);
	__atomic_store_n(&t.stop, 1, __ATOMIC_RELEASE);
	for (unsigned int i = 0; i < NR_THREADS; i++)
		pthread_join(t.pusher[i].thread, NULL);
	__atomic_store_n(&t.stop_worker, 1, __ATOMIC_RELEASE);
	pthread_join(worker, NULL);
	last_round();
	judge();
	if (!check_status())
		check_seen(enough(), "each sequence was interrupted, pages, prefixes, forks",
			   "too few: nothing was shown");
	return check_status();
}
