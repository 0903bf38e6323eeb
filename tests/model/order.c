/* SPDX-License-Identifier: MIT */
/*
 * order.c - the acquire and release pairs of floors 1 to 4, as litmus tests on this machine.
 *
 *	lock	nst_unlock() -> nst_trylock(), nst_lock_wait(): two plain words on two lines agree
 *	hand	nst_pcs_push() -> nst_pcs_pop(): what was written to an object plainly is read plainly
 *	install	nst_pcs_put() of a grown stack -> the load of the table: the slots of the new stack
 *	retire	nst_ring_push() -> nst_ring_take_sealed(), nst_ring_claim(): object, slot, stamp and count;
 *		nst_ring_add_ready() -> nst_ring_push(): the page that was emptied
 *
 * A word read stale is a message that passed without its content. In the form without sequences the
 * stripes' words are on trial (under an emulator of a weakly ordered CPU as far as that reorders);
 * with sequences the table's entry is. TEST_OPS a thread (100,000).
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include "percpu/percpu.h"
#include "percpu/ring.h"
#include "common/check.h"
#include <nostall/nostall.h>

#define NR_THREADS 3u
#define NR_OBJECTS 24u
#define CAP 16u
#define CAP_MOST 64u
#define SLOTS 4u

struct object {
	u64 word, inverse;
	u32 retired;
} NST_LINE_ALIGNED;

static struct {
	struct nst_lock lock;
	u64 first NST_LINE_ALIGNED;
	u64 second NST_LINE_ALIGNED;
	struct nst_pcs_table table;
	struct object object[NR_OBJECTS] NST_LINE_ALIGNED;
	struct nst_ring_table rings;
	struct object dead[NR_THREADS][NR_OBJECTS] NST_LINE_ALIGNED;
	u64 started;
	u64 seed, ops, disagree, torn, passed, installed, ripe, early;
	unsigned int running, enough;
} t;

static void use_lock(u64 n)
{
	if (n & 1)
		nst_lock_wait(&t.lock);
	else if (!nst_trylock(&t.lock))
		return;
	if (t.first != t.second)
		nst_add_relaxed(&t.disagree, 1);
	t.first = t.second + 1;
	t.second++;
	nst_unlock(&t.lock);
}

static void write_to(struct object *o, u64 word)
{
	o->word = word;
	o->inverse = ~word;
}

static void pass_on(struct rng *rng, struct object **held)
{
	struct object *o = *held ? *held : nst_pcs_pop(&t.table);

	*held = NULL;
	if (!o)
		return;
	if (o->word != ~o->inverse)
		nst_add_relaxed(&t.torn, 1);
	write_to(o, rng_next(rng));
	nst_add_relaxed(&t.passed, 1);
	if (nst_pcs_push(&t.table, o) != NST_PUSH_OK)
		*held = o;
}

/* Its first word is what the stamp may not be below. */
static void retire(struct object *o)
{
	u32 sealed;

	if (nst_load_acquire(&o->retired)) /* with: come_out() */
		return;
	write_to(o, nst_load_relaxed(&t.started));
	nst_store_relaxed(&o->retired, 1u);
	if (nst_ring_push(&t.rings, &t.started, o, &sealed) != NST_PUSH_OK)
		nst_store_relaxed(&o->retired, 0u);
}

static void come_out(const struct nst_sheaf *p, u32 from, u32 to, u64 stamp)
{
	for (u32 i = from; i < to; i++) {
		struct object *o = p->obj[i];

		t.ripe++;
		t.early += o->word > stamp;
		if (o->word != ~o->inverse)
			nst_add_relaxed(&t.torn, 1);
		nst_store_release(&o->retired, 0u); /* with: retire() */
	}
}

/* All that is sealed, and the beginning of the open page. */
static void empty_ring(struct nst_ring *r)
{
	struct nst_ring_cut cut;
	struct nst_sheaf *p;
	u32 prefix;

	while ((p = nst_ring_take_sealed(r, &prefix)) != NULL) {
		come_out(p, prefix, p->count, p->stamp);
		if (nst_ring_add_ready(r, p))
			check_broken("nst_ring_add_ready");
	}
	cut = nst_ring_look(r);
	if (nst_ring_claim(r, &cut) == 0)
		come_out(cut.page, cut.from, cut.to, ~(u64)0);
	nst_add_relaxed(&t.started, 1);
}

static void *user(void *arg)
{
	struct rng rng = {t.seed + (uintptr_t)arg};
	struct object *held = NULL;

	for (u64 n = 0; n < t.ops || (!nst_load_relaxed(&t.enough) && n < 1000 * t.ops); n++) {
		use_lock(n);
		pass_on(&rng, &held);
		retire(&t.dead[(uintptr_t)arg][n % NR_OBJECTS]);
	}
	nst_sub_relaxed(&t.running, 1u);
	return held;
}

/* Takes stacks and puts others with the same objects in their place, all over. */
static void *installer(void *arg)
{
	struct nst_pcs *s, *grown;

	for (unsigned int i = 0; nst_load_relaxed(&t.running); i++) {
		unsigned int stack = i % nst_pcs_nr_stacks(&t.table);

		empty_ring(nst_ring_number(&t.rings, i % nst_ring_nr(&t.rings)));
		s = nst_pcs_take(&t.table, stack);
		if (!s)
			continue;
		grown = s->cap < CAP_MOST ? nst_pcs_grow(s, s->cap + 8) : NULL;
		nst_pcs_put(&t.table, stack, grown ? grown : s);
		if (++t.installed > 10 && t.ripe > 1000 && nst_load_relaxed(&t.passed) > t.ops / 10)
			nst_store_relaxed(&t.enough, 1u); /* the others may end */
		if (i % 16 == 0)
			sched_yield();
	}
	return arg;
}

static void start_objects(void)
{
	for (unsigned int cpu = 0; cpu < nst_sys_cpus.nr; cpu++)
		if (nst_pcs_ensure(&t.table, cpu))
			check_broken("nst_pcs_ensure");
	for (unsigned int i = 0; i < NR_OBJECTS; i++) {
		write_to(&t.object[i], i);
		/* What finds no room on this CPU stays out of the game. */
		(void)nst_pcs_push(&t.table, &t.object[i]);
	}
}

static void start_rings(void)
{
	if (nst_ring_table_init(&t.rings, SLOTS))
		check_broken("nst_ring_table_init");
	for (unsigned int i = 0; i < nst_ring_nr(&t.rings); i++)
		for (unsigned int k = 0; k < SLOTS - 1; k++) {
			struct nst_sheaf *p = nst_meta_alloc(sizeof(*p) + CAP * sizeof(void *));

			if (p)
				p->cap = CAP;
			if (!p || (k ? nst_ring_add_ready(nst_ring_number(&t.rings, i), p)
				     : nst_ring_make(&t.rings, i, p)))
				check_broken("a ring");
		}
}

int main(int argc, char **argv)
{
	pthread_t thread[NR_THREADS], taker;
	char form[32];

	t.seed = seed_of(argc, argv);
	t.ops = (u64)env_long("TEST_OPS", 100000);
	check_deadline(200, "litmus tests end");
	nst_info("sequences", form, sizeof(form));
	nst_lock_init(&t.lock, NST_LOCK_META);
	if (nst_pcs_table_init(&t.table, CAP))
		check_broken("nst_pcs_table_init");
	start_objects();
	start_rings();
	t.running = NR_THREADS;
	if (pthread_create(&taker, NULL, installer, NULL))
		check_broken("pthread_create");
	for (uintptr_t i = 0; i < NR_THREADS; i++)
		if (pthread_create(&thread[i], NULL, user, (void *)i))
			check_broken("pthread_create");
	for (unsigned int i = 0; i < NR_THREADS; i++)
		pthread_join(thread[i], NULL);
	pthread_join(taker, NULL);
	printf("# sequences=%s locked=%llu passed=%llu installed=%llu ripe=%llu\n", form,
	       (unsigned long long)t.second, (unsigned long long)t.passed,
	       (unsigned long long)t.installed, (unsigned long long)t.ripe);
	check(t.early == 0, "a stamp is not older than what was retired last", "%llu times",
	      (unsigned long long)t.early);
	check(t.disagree == 0, "the lock hands over what was written", "%llu times not",
	      (unsigned long long)t.disagree);
	check(t.torn == 0, "an object's words come with it", "%llu times not",
	      (unsigned long long)t.torn);
	check(t.passed > t.ops / 10 && t.installed > 10 && t.ripe > 1000, "messages passed",
	      "too few");
	return check_status();
}
