/* SPDX-License-Identifier: MIT */
/*
 * rcu_urcu.c - Q7: four flavours of liburcu as domains of one process, each with readers of its own: an object that
 * was replaced is spoilt after a period of its domain, and no reader ever finds one. C22: retired to it instead, memory is
 * spoilt by who has it next. Q8: a reader caught by a fork.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <nostall/nostall.h>
#include <nostall/urcu.h>
#include "common/check.h"
#include "common/trap.h"

#define NR_OBJECTS 64
#define NR_RETIRED 20000u
#define FINE 0x600d
#define SPOILT 0xdead

/* liburcu's headers declare that of the first one included, under a mapped name. */
extern const struct rcu_flavor_struct urcu_memb_flavor, urcu_mb_flavor, urcu_bp_flavor,
	urcu_qsbr_flavor;

TEST_CONF("rcu_stall_ms:100")

static struct flavour {
	const char *name;
	const struct rcu_flavor_struct *f;
	int by_state; /* qsbr: a reader by being online */
	struct nst_rcu_domain *domain;
	int *shared; /* what readers find */
	int object[NR_OBJECTS];
	int inside, leave, stop;
	int stay; /* a section in so many takes milliseconds, 0: none does */
	unsigned long reads, spoilt;
} flavours[] = {
	{.name = "memb", .f = &urcu_memb_flavor},
	{.name = "mb", .f = &urcu_mb_flavor},
	{.name = "bp", .f = &urcu_bp_flavor},
	{.name = "qsbr", .f = &urcu_qsbr_flavor, .by_state = 1},
};
#define NR_FLAVOURS (sizeof(flavours) / sizeof(flavours[0]))

/* ---- readers and an updater ---- */

/* What it finds stays as it is from the beginning to the end. */
static void section(struct flavour *v, int stays)
{
	int *p = nst_rcu_dereference(v->shared), found = __atomic_load_n(p, __ATOMIC_RELAXED), now;

	for (int i = 0; i < 200; i++) {
		if (stays && i % 50 == 0)
			usleep(1000);
		now = __atomic_load_n(p, __ATOMIC_RELAXED);
		if (now != found || now == SPOILT)
			__atomic_add_fetch(&v->spoilt, 1, __ATOMIC_RELAXED);
	}
}

static void *reader(void *arg)
{
	struct flavour *v = arg;

	v->f->register_thread();
	for (int i = 1; !__atomic_load_n(&v->stop, __ATOMIC_RELAXED); i++) {
		v->f->read_lock();
		section(v, v->stay && i % v->stay == 0);
		v->f->read_unlock();
		v->f->read_quiescent_state();
		__atomic_add_fetch(&v->reads, 1, __ATOMIC_RELAXED);
	}
	v->f->unregister_thread();
	return NULL;
}

static void update(struct flavour *v, unsigned int i, int registered)
{
	int *old = v->shared, *fresh = &v->object[i % NR_OBJECTS];
	nst_cookie_t c;
	int err;

	__atomic_store_n(fresh, FINE, __ATOMIC_RELAXED);
	nst_rcu_assign(v->shared, fresh);
	c = nst_gp_start_in(v->domain);
	err = i % 2 ? nst_gp_wait_in(v->domain, c) : nst_synchronize_rcu_in(v->domain);
	check_quiet(err == 0 && nst_gp_done_in(v->domain, c) == 1, "Q7 a period", "%s: %d", v->name,
		    err);
	if (registered && v->by_state)
		check_quiet(v->f->read_ongoing(), "Q7 online again", "%s", v->name);
	if (old != fresh)
		__atomic_store_n(old, SPOILT, __ATOMIC_RELAXED);
}

static void check_age(struct flavour *v)
{
	pthread_t thread[2];

	v->shared = &v->object[0];
	v->object[0] = FINE;
	for (int i = 0; i < 2; i++)
		pthread_create(&thread[i], NULL, reader, v);
	while (!__atomic_load_n(&v->reads, __ATOMIC_RELAXED))
		usleep(100);
	for (unsigned int i = 1; i < 150; i++)
		update(v, i, 0);
	v->f->register_thread();
	for (unsigned int i = 150; i < 300; i++)
		update(v, i, 1);
	v->f->unregister_thread();
	__atomic_store_n(&v->stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	check(v->spoilt == 0 && v->reads > 0, "Q7 no reader finds what was given up",
	      "%s: %lu of %lu", v->name, v->spoilt, v->reads);
}

/* ---- retired to it ---- */

/* Things of all kinds in turn, no two alike: memory that somebody else has by now shows. */
static int *fresh_thing(unsigned int i)
{
	static int number = FINE;
	int *p = nst_alloc(i % 512 == 0 ? 40000 : 64 + i % 4 * 32, NST_NORMAL);

	if (!p)
		check_broken("a thing");
	number += number + 1 == SPOILT ? 2 : 1;
	__atomic_store_n(p, number, __ATOMIC_RELAXED);
	return p;
}

static void replace(struct flavour *v, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		int *old = v->shared;

		nst_rcu_assign(v->shared, fresh_thing(i));
		nst_free_rcu_in(v->domain, old);
	}
}

static uint64_t to_others(void)
{
	static struct nst_stats s;

	nst_stats_read(&s, sizeof(s));
	return s.retired.others;
}

/* Of a thread that is no reader, then of one that is: qsbr's is online, and waits for itself unless it stands aside. */
static void check_retired(struct flavour *v)
{
	unsigned long reads = v->reads;
	uint64_t others = to_others(), since = 0;
	pthread_t thread[2];
	int err;

	v->stop = 0;
	v->stay = 16;
	v->shared = fresh_thing(1);
	for (int i = 0; i < 2; i++)
		pthread_create(&thread[i], NULL, reader, v);
	while (__atomic_load_n(&v->reads, __ATOMIC_RELAXED) == reads)
		usleep(100);
	/* Until there are rings, which runs have no use for: two, of which one is none. */
	do {
		replace(v, 2);
		nst_maintain();
	} while (to_others() == others && check_patience(&since));
	check(to_others() > others, "C22 what is retired lies in pages of the domain", "%s: none",
	      v->name);
	replace(v, NR_RETIRED / 2);
	v->f->register_thread();
	replace(v, NR_RETIRED / 2);
	err = nst_rcu_barrier();
	v->f->unregister_thread();
	check(err == 0, "C22 a barrier of a reader", "%s: %d", v->name, err);
	__atomic_store_n(&v->stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	check(v->spoilt == 0, "C22 no reader finds what was freed", "%s: %lu", v->name, v->spoilt);
	nst_free(v->shared);
}

/* ---- refused ---- */

static void check_inside(struct flavour *v)
{
	int err;

	v->f->register_thread();
	v->f->read_lock();
	err = nst_synchronize_rcu_in(v->domain);
	check(err == (v->by_state ? 0 : -EDEADLK), "Q7 a wait inside a section", "%s: %d", v->name,
	      err);
	v->f->read_unlock();
	err = nst_synchronize_rcu_in(v->domain);
	check(err == 0, "Q7 and behind it", "%s: %d", v->name, err);
	v->f->unregister_thread();
}

static void *stay(void *arg)
{
	struct flavour *v = arg;

	v->f->register_thread();
	v->f->read_lock();
	__atomic_store_n(&v->inside, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&v->leave, __ATOMIC_ACQUIRE))
		usleep(1000);
	v->f->read_unlock();
	v->f->unregister_thread();
	return NULL;
}

static int in_child(struct flavour *v, int expected)
{
	int status = 0, err;
	pid_t pid = fork();

	if (pid == 0) {
		nst_free_rcu_in(v->domain, fresh_thing(1));
		nst_free_rcu(fresh_thing(2));
		err = nst_rcu_barrier();
		if (err == expected)
			err = nst_synchronize_rcu_in(v->domain);
		_exit(err == expected && nst_synchronize_rcu() == 0 ? 0 : 1 - err);
	}
	if (child_wait(pid, 40, &status))
		return -1; /* it hung */
	return WIFEXITED(status) ? WEXITSTATUS(status) : -2;
}

static void check_fork(struct flavour *v)
{
	pthread_t thread;
	nst_cookie_t c;
	int got = in_child(v, 0);

	check(got == 0, "Q8 a child's periods", "%s: %d", v->name, got);
	pthread_create(&thread, NULL, stay, v);
	while (!__atomic_load_n(&v->inside, __ATOMIC_ACQUIRE))
		usleep(1000);
	c = nst_gp_start_in(v->domain);
	usleep(20000);
	check(nst_gp_done_in(v->domain, c) == 0, "Q7 a section holds it up", "%s", v->name);
	got = in_child(v, -EDEADLK);
	check(got == 0, "Q8 a reader caught by the fork: refused", "%s: %d", v->name, got);
	__atomic_store_n(&v->leave, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	check(nst_gp_wait_in(v->domain, c) == 0, "Q7 until it ends", "%s", v->name);
}

int main(int argc, char **argv)
{
	struct nst_rcu_domain *d;

	(void)argc;
	conf_apply(argv);
	check_deadline(110, "domains end");
	check(nst_urcu_domain_create("none", NULL, &d) == -EINVAL, "Q7 no flavour", "0");
	for (struct flavour *v = flavours; v < flavours + NR_FLAVOURS; v++)
		if (nst_urcu_domain_create(v->name, v->f, &v->domain))
			check_broken("nst_urcu_domain_create");
	for (struct flavour *v = flavours; v < flavours + NR_FLAVOURS; v++) {
		check_age(v);
		check_retired(v);
		check_inside(v);
		check_fork(v);
	}
	for (struct flavour *v = flavours; v < flavours + NR_FLAVOURS; v++)
		check(nst_rcu_domain_destroy(v->domain) == 0, "Q7 destroyed", "%s", v->name);
	return check_status();
}
