/* SPDX-License-Identifier: MIT */
/*
 * base_list.c - the list against an array that does the same.
 */
#include <string.h>
#include "base/list.h"
#include "common/check.h"

#define NR 64u

struct element {
	unsigned int id;
	struct nst_list list;
};

static struct element element[NR];
static struct nst_list head;
static unsigned int model[NR], nr;

static void compare(void)
{
	struct nst_list *pos, *tmp;
	unsigned int i = 0;

	nst_list_for_each (pos, tmp, &head) {
		struct element *e = nst_container_of(pos, struct element, list);
		check_quiet(i < nr && model[i] == e->id, "order", "place %u", i);
		check_quiet(pos->next->prev == pos && pos->prev->next == pos, "links", "place %u",
			    i);
		i++;
	}
	check_quiet(i == nr, "length", "%u, not %u", i, nr);
	check_quiet(nst_list_empty(&head) == !nr, "empty", "%u elements", nr);
}

static void model_insert(unsigned int at, unsigned int id)
{
	memmove(model + at + 1, model + at, (nr - at) * sizeof(*model));
	model[at] = id;
	nr++;
}

static void model_remove(unsigned int id)
{
	unsigned int at = 0;

	while (model[at] != id)
		at++;
	nr--;
	memmove(model + at, model + at + 1, (nr - at) * sizeof(*model));
}

static void step(struct rng *rng)
{
	unsigned int id = rng_below(rng, NR);
	struct nst_list *l = &element[id].list;

	if (!nst_list_empty(l)) {
		nst_list_del(l);
		model_remove(id);
		check_quiet(nst_list_empty(l), "a removed element is a list of its own", "%u", id);
	} else if (rng_below(rng, 2)) {
		nst_list_add(&head, l);
		model_insert(0, id);
	} else {
		nst_list_add_tail(&head, l);
		model_insert(nr, id);
	}
}

/* Deleting the element one stands on. */
static void empty_while_walking(void)
{
	struct nst_list *pos, *tmp;

	nst_list_for_each (pos, tmp, &head)
		nst_list_del(pos);
	nr = 0;
	compare();
}

int main(int argc, char **argv)
{
	struct rng rng = {seed_of(argc, argv)};

	nst_list_init(&head);
	for (unsigned int i = 0; i < NR; i++) {
		element[i].id = i;
		nst_list_init(&element[i].list);
	}
	for (int i = 0; i < 20000; i++) {
		step(&rng);
		compare();
	}
	empty_while_walking();
	check(1, "20000 steps agree with the model", "-");
	return check_status();
}
