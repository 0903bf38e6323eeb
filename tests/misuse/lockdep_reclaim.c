/* SPDX-License-Identifier: MIT */
/*
 * lockdep_reclaim.c - a lock that a shrinker takes, held around a request; a thread that sleeps in a section that must not block
 *
 *	clause: B53
 *	level: check:on, worker:off
 *	exit: 0
 *	says: nostall: error NL-RECLAIM: reclaim can wait for who reclaims
 *	says:   1. thread main (N): cache (0xN, PROGRAM+0xN) held since PROGRAM+0xN;
 *	says:      may enter reclaim at PROGRAM+0xN
 *	says:   2. reclaim, begun at PROGRAM+0xN;
 *	says:      waits for cache (0xN, PROGRAM+0xN) at PROGRAM+0xN
 *	says:      holds                    | wants
 *	says:   1. cache | reclaim
 *	says:   2. reclaim | cache
 *	says:   thread 'main' holds 1 lock, innermost first:
 *	says:     cache (0xN, PROGRAM+0xN) since PROGRAM+0xN
 *	says:   fix: let go of the lock first, try it in reclaim, or a scope that excludes it
 *	says:   suppress: NL-RECLAIM locks=cache,reclaim
 *	says:   read: nostall explain NL-RECLAIM; id=ID
 *	says: nostall: error NL-SLEPT: slept in a section that must not
 *	says:   its end is at PROGRAM+0xN
 *	says:   thread 'main' holds 0 locks
 *	says:   in a section that must not block, begun at PROGRAM+0xN
 *	says:   fix: find what waited: strace shows it
 *	says:   suppress: NL-SLEPT id=ID
 *	says:   read: nostall explain NL-SLEPT; id=ID
 */
#include <sys/prctl.h>
#include <unistd.h>
#include "misuse.h"

static struct nst_lockdep_map cache = NST_LOCKDEP_MAP("cache", NULL, NST_WAIT_SLEEP);

int main(void)
{
	void *p;

	prctl(PR_SET_NAME, "main");
	nst_reclaiming_begin(0); /* what the shrinker does */
	nst_lockdep_acquire(&cache, 0);
	nst_lockdep_release(&cache);
	nst_reclaiming_end();
	nst_lockdep_acquire(&cache, 0);
	p = nst_alloc(64, NST_NORMAL); /* HERE */
	nst_lockdep_release(&cache);
	HOLDS(p);
	nst_free(p);
	nst_nonblock_begin();
	usleep(1000);
	nst_nonblock_end();
	return 0;
}
