/* SPDX-License-Identifier: MIT */
/*
 * lockdep_name.c - V18: a lock is named by what it is: a static one by its file and offset, one in an object of ours by who
 * allocated that, another by who initialised it.
 *
 * NOSTALL_CONF has debug:3, at which objects keep who allocated them.
 */
#include "unit/lockdep.h"

struct object {
	char before[16];
	struct nst_lockdep_map map;
};

static struct nst_lockdep_map fixed = NST_LOCKDEP_MAP("fixed", NULL, NST_WAIT_SLEEP);
static struct nst_lockdep_map zeroed; /* of what no file has */

/* What stands in brackets behind the lock's name. */
static const char *what(struct nst_lockdep_map *map)
{
	static char text[512];
	const char *s;

	forget();
	nst_lockdep_acquire(map, 0);
	nst_lockdep_acquire(map, 0);
	nst_lockdep_release(map);
	nst_lockdep_release(map);
	s = strchr(last_text, '(');
	snprintf(text, sizeof(text), "%s", s ? s : "");
	text[strcspn(text, ")")] = 0;
	forget();
	return text;
}

static void init(struct nst_lockdep_map *map)
{
	nst_lockdep_map_init(map, "made", NULL, NST_WAIT_SLEEP, NST_WAIT_SLEEP);
}

int main(void)
{
	struct nst_lockdep_map here;
	struct object *o = nst_alloc(sizeof(*o), NST_NORMAL);
	const char *s;

	if (!o)
		check_broken("nst_alloc");
	start_checking();
	s = what(&fixed);
	check(strstr(s, ", ") && strstr(s, "lockdep_name+0x") > strstr(s, ", "),
	      "V18 a static lock: file and offset", "%s", s);
	init(&zeroed);
	s = what(&zeroed);
	check(strstr(s, "lockdep_name+0x") != NULL, "V18 also where it is zeroed at first", "%s",
	      s);
	init(&o->map);
	s = what(&o->map);
	check(strstr(s, ", heap, allocated at ") && strstr(s, "lockdep_name+0x") &&
		      strstr(s, ", +16"),
	      "V18 a lock in an object: who allocated it, and how far in it is", "%s", s);
	nst_free(o);
	init(&here);
	s = what(&here);
	check(strstr(s, ", initialised at ") && strstr(s, "lockdep_name+0x"),
	      "V18 another: who initialised it", "%s", s);
	nst_lockdep_stop();
	return check_status();
}
