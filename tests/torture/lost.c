/* SPDX-License-Identifier: MIT */
/*
 * lost.c - C6: a stack that a lost thread had taken away is not found again by a fork child.
 *
 * The child of a fork lets go of stripes whose holders it does not have. One of those may have been
 * taking the stack: growing it, with the old one freed already. Played through without a fork: another
 * thread says what a child would say, while this one has the stack.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include "percpu/percpu.h"
#include "common/check.h"
#include "common/trap.h"
#include "rig.h"

#define CAP 8u

TEST_CONF("sequences:none,worker:off")

static struct {
	struct nst_pcs_table table;
	int object[CAP];
	void *popped;
	enum nst_push pushed;
} t;

static void *child(void *arg)
{
	nst_pcs_table_after_fork(&t.table);
	t.popped = nst_pcs_pop(&t.table);
	t.pushed = nst_pcs_push(&t.table, &t.object[CAP - 1]);
	return arg;
}

int main(int argc, char **argv)
{
	struct nst_pcs *taken[NST_STRIPES];
	pthread_t thread;
	unsigned int first, i;

	conf_apply(argv);
	seed_of(argc, argv);
	if (!rig_is_none() || nst_pcs_table_init(&t.table, CAP) || nst_pcs_ensure(&t.table, 0))
		check_broken("a table of stripes");
	for (i = 0; i < 3; i++)
		check(nst_pcs_push(&t.table, &t.object[i]) == NST_PUSH_OK, "pushed", "full");
	first = nst_pcs_nr_stacks(&t.table) - NST_STRIPES;
	for (i = 0; i < NST_STRIPES; i++)
		taken[i] = nst_pcs_take(&t.table, first + i);
	if (pthread_create(&thread, NULL, child, NULL))
		check_broken("pthread_create");
	pthread_join(thread, NULL);
	check(t.popped == NULL, "a child pops nothing that was taken", "%p", t.popped);
	check(t.pushed == NST_PUSH_FULL, "and pushes nothing there", "result %d", (int)t.pushed);
	for (i = 0; i < NST_STRIPES; i++)
		nst_pcs_put(&t.table, first + i, taken[i]);
	for (i = 0; i < 3; i++)
		check(nst_pcs_pop(&t.table) == &t.object[2 - i], "what is put back is there",
		      "not");
	nst_pcs_table_exit(&t.table);
	return check_status();
}
