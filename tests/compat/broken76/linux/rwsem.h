/* SPDX-License-Identifier: MIT */
/* rwsem.h - broken on purpose (76): who waits for a rw_semaphore does not say so. The tests must catch it. */
#ifndef TEST_BROKEN_RWSEM_H
#define TEST_BROKEN_RWSEM_H

#include <linux/lockdep.h>
#define nst_lockdep_contended(map) ((void)(map))
#include_next <linux/rwsem.h>
#undef nst_lockdep_contended

#endif
