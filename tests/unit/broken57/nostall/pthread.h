/* SPDX-License-Identifier: MIT */
/* pthread.h - broken on purpose (57): a try is told as a wait. The tests must catch it. */
#include_next <nostall/pthread.h>
#ifndef TEST_BROKEN_PTHREAD_H
#define TEST_BROKEN_PTHREAD_H

static inline int test_mutex_trylock(struct nst_pthread_mutex *m)
{
	nst_lockdep_acquire(&m->map, 0);
	return nst_pthread_had(&m->map, pthread_mutex_trylock(&m->lock));
}
#define nst_pthread_mutex_trylock(m) test_mutex_trylock(m)

#endif
