/* SPDX-License-Identifier: MIT */
/*
 * order.c - the acquire and release pairs of floors 1 to 4, as litmus tests on this machine.
 *
 *	lock	nst_unlock() -> nst_trylock(), nst_lock_wait(): two plain words on two lines agree
 *	hand	nst_pcs_push() -> nst_pcs_pop(): what was written to an object plainly is read plainly
 *	install	nst_pcs_put() of a grown stack -> the load of the table: the slots of the new stack
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
#include "common/check.h"
#include <nostall/nostall.h>

#define NR_THREADS 3u
#define NR_OBJECTS 24u
#define CAP 16u
#define CAP_MOST 64u

struct object {
	u64 word, inverse;
} NST_LINE_ALIGNED;

static struct {
	struct nst_lock lock;
	u64 first NST_LINE_ALIGNED;
	u64 second NST_LINE_ALIGNED;
	struct nst_pcs_table table;
	struct object object[NR_OBJECTS] NST_LINE_ALIGNED;
	u64 seed, ops, disagree, torn, passed, installed;
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

static void *user(void *arg)
{
	struct rng rng = {t.seed + (uintptr_t)arg};
	struct object *held = NULL;

	for (u64 n = 0; n < t.ops || (!nst_load_relaxed(&t.enough) && n < 1000 * t.ops); n++) {
		use_lock(n);
		pass_on(&rng, &held);
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

		s = nst_pcs_take(&t.table, stack);
		if (!s)
			continue;
		grown = s->cap < CAP_MOST ? nst_pcs_grow(s, s->cap + 8) : NULL;
		nst_pcs_put(&t.table, stack, grown ? grown : s);
		if (++t.installed > 10 && nst_load_relaxed(&t.passed) > t.ops / 10)
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
	t.running = NR_THREADS;
	if (pthread_create(&taker, NULL, installer, NULL))
		check_broken("pthread_create");
	for (uintptr_t i = 0; i < NR_THREADS; i++)
		if (pthread_create(&thread[i], NULL, user, (void *)i))
			check_broken("pthread_create");
	for (unsigned int i = 0; i < NR_THREADS; i++)
		pthread_join(thread[i], NULL);
	pthread_join(taker, NULL);
	printf("# sequences=%s locked=%llu passed=%llu installed=%llu\n", form,
	       (unsigned long long)t.second, (unsigned long long)t.passed,
	       (unsigned long long)t.installed);
	check(t.disagree == 0, "the lock hands over what was written", "%llu times not",
	      (unsigned long long)t.disagree);
	check(t.torn == 0, "an object's words come with it", "%llu times not",
	      (unsigned long long)t.torn);
	check(t.passed > t.ops / 10 && t.installed > 10, "messages passed", "too few");
	return check_status();
}
