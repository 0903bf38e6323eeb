/* SPDX-License-Identifier: MIT */
/*
 * lockdep_gone.c - V27: locks that are freed while they are held, and locks whose holders a fork leaves behind.
 *
 * NOSTALL_CONF has check:possible: frees that this CPU has room for are seen as well.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "unit/lockdep.h"

struct object {
	char before[16];
	struct nst_lockdep_map map;
	char behind[16];
};

static struct object *make(nst_mode_t mode, size_t size)
{
	struct object *o = nst_alloc(size, mode);

	if (!o)
		check_broken("nst_alloc");
	nst_lockdep_map_init(&o->map, "in an object", NULL, NST_WAIT_SPIN, NST_WAIT_SLEEP);
	return o;
}

static void freed_held(void (*fn)(void *p), size_t size, const char *name)
{
	struct object *o = make(NST_NORMAL, size);

	nst_lockdep_acquire(&o->map, 0);
	fn(o);
	one_report(NST_NL_INIT, NST_LD_ERROR, name);
	/* Its memory is gone, and that it is held has to be forgotten. */
	nst_lockdep_stop();
	start_checking();
}

static void freed(void)
{
	static struct nst_lockdep_map other = NST_LOCKDEP_MAP("other", NULL, NST_WAIT_SLEEP);
	struct object *o = make(NST_NORMAL, sizeof(*o)), *p = make(NST_NORMAL, sizeof(*p));

	nst_lockdep_acquire(&o->map, 0);
	nst_lockdep_release(&o->map);
	nst_lockdep_acquire(&other, 0);
	nst_free(o);
	nst_lockdep_release(&other);
	no_report("V27 freed and not held: nothing");
	o = make(NST_NORMAL, sizeof(*o));
	nst_lockdep_acquire(&o->map, 0);
	nst_free_nolock(p);
	no_report("V27 another object is freed: nothing");
	nst_lockdep_release(&o->map);
	nst_free(o);
	freed_held(nst_free, sizeof(*o), "V27 freed with a lock in it held");
	freed_held(nst_free_nolock, sizeof(*o), "V27 the same without waiting");
	freed_held(nst_free, 100000, "V27 the same, a run of pages");
	freed_held(nst_free, 4u << 20, "V27 the same, a mapping");
	/* Until the readers are gone it may be let go. */
	o = make(NST_NORMAL, sizeof(*o));
	nst_lockdep_acquire(&o->map, 0);
	nst_free_rcu(o);
	nst_lockdep_release(&o->map);
	no_report("V27 retired and then let go: nothing");
}

/* ---- a fork ---- */

static struct nst_lockdep_map written = NST_LOCKDEP_MAP("written", NULL, NST_WAIT_SLEEP),
			      read_by = NST_LOCKDEP_MAP("read", NULL, NST_WAIT_SLEEP),
			      mine = NST_LOCKDEP_MAP("mine", NULL, NST_WAIT_SLEEP),
			      anew = NST_LOCKDEP_MAP("anew", NULL, NST_WAIT_SLEEP);
static int held, may_go;

static void *holder(void *arg)
{
	nst_lockdep_acquire(&written, 0);
	nst_lockdep_acquire(&read_by, NST_LD_READ);
	nst_lockdep_acquire(&anew, 0);
	__atomic_store_n(&held, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&may_go, __ATOMIC_ACQUIRE))
		usleep(100);
	nst_lockdep_release(&anew);
	nst_lockdep_release(&read_by);
	nst_lockdep_release(&written);
	return arg;
}

static void take(struct nst_lockdep_map *map, uint32_t how)
{
	nst_lockdep_acquire(map, how);
	nst_lockdep_release(map);
}

static void in_child(void)
{
	nst_lockdep_release(&mine);
	no_report("V27 in the child: what this thread held it lets go");
	take(&written, NST_LD_TRY);
	take(&written, NST_LD_TIMED);
	no_report("V27 in the child: a try and a timed wait end");
	take(&read_by, NST_LD_READ);
	no_report("V27 in the child: a reader beside one that is gone");
	take(&written, 0);
	one_report(NST_NL_FORK, NST_LD_ERROR, "V27 in the child: waits for a writer that is gone");
	take(&written, 0);
	no_report("V27 in the child: that is told once");
	take(&read_by, 0);
	one_report(NST_NL_FORK, NST_LD_ERROR, "V27 in the child: waits for a reader that is gone");
	nst_lockdep_map_init(&anew, "anew", NULL, NST_WAIT_SLEEP, NST_WAIT_SLEEP);
	take(&anew, 0);
	no_report("V27 in the child: a lock made anew");
}

static void forked(void)
{
	pthread_t thread;
	int status = 0;
	pid_t pid;

	if (pthread_create(&thread, NULL, holder, NULL))
		check_broken("pthread_create");
	while (!__atomic_load_n(&held, __ATOMIC_ACQUIRE))
		usleep(100);
	nst_lockdep_acquire(&mine, 0);
	pid = fork();
	if (!pid) {
		in_child();
		_exit(check_status());
	}
	nst_lockdep_release(&mine);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		check_broken("fork");
	check(status == 0, "V27 in the child: all of it", "status 0x%x", (unsigned int)status);
	__atomic_store_n(&may_go, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	take(&written, 0);
	take(&read_by, 0);
	take(&anew, 0);
	no_report("V27 in the parent: nothing");
}

int main(void)
{
	start_checking();
	freed();
	forked();
	return check_status();
}
