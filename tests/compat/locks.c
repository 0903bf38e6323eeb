/* SPDX-License-Identifier: MIT */
/*
 * locks.c - K3: the kernel's locks exclude, with NST_COMPAT_RT and without; what waits wakes; signals stay out.
 */
#include <linux/completion.h>
#include <linux/kernel.h>
#include <linux/mutex.h>
#include <linux/rtmutex.h>
#include <linux/rwsem.h>
#include <linux/rwlock.h>
#include <linux/seqlock.h>
#include <linux/spinlock.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include "common/check.h"

#define THREADS 4u
#define TURNS 4000u

static DEFINE_RAW_SPINLOCK(raw);
static DEFINE_SPINLOCK(spin);
static DEFINE_MUTEX(mutex);
static DEFINE_RT_MUTEX(rt);
static DEFINE_RWLOCK(rwlock);
static DECLARE_RWSEM(rwsem);
static DEFINE_SEQLOCK(seq);

static void take_raw(void)
{
	raw_spin_lock(&raw);
}

static void give_raw(void)
{
	raw_spin_unlock(&raw);
}

static void take_spin(void)
{
	spin_lock(&spin);
}

static void give_spin(void)
{
	spin_unlock(&spin);
}

static void take_mutex(void)
{
	mutex_lock(&mutex);
}

static void give_mutex(void)
{
	mutex_unlock(&mutex);
}

static void take_rt(void)
{
	rt_mutex_lock(&rt);
}

static void give_rt(void)
{
	rt_mutex_unlock(&rt);
}

static void take_rwlock(void)
{
	write_lock(&rwlock);
}

static void give_rwlock(void)
{
	write_unlock(&rwlock);
}

static void take_rwsem(void)
{
	down_write(&rwsem);
}

static void give_rwsem(void)
{
	up_write(&rwsem);
}

static void take_seq(void)
{
	write_seqlock(&seq);
}

static void give_seq(void)
{
	write_sequnlock(&seq);
}

static const struct kind {
	const char *name;
	void (*take)(void), (*give)(void);
} kinds[] = {{"K3 raw_spinlock_t", take_raw, give_raw},
	     {"K3 spinlock_t", take_spin, give_spin},
	     {"K3 mutex", take_mutex, give_mutex},
	     {"K3 rwlock_t", take_rwlock, give_rwlock},
	     {"K3 rw_semaphore", take_rwsem, give_rwsem},
	     {"K3 seqlock_t", take_seq, give_seq},
	     {"K3 rt_mutex", take_rt, give_rt}};

/* Of the lock of the kind in turn; two words that are the same while nobody holds it. */
static unsigned long first, second;
static unsigned int torn;

static void *hammer(void *arg)
{
	const struct kind *k = arg;
	unsigned int i;

	for (i = 0; i < TURNS; i++) {
		k->take();
		WRITE_ONCE(first, first + 1);
		if (i % 64 == 0)
			sched_yield();
		WRITE_ONCE(second, second + 1);
		k->give();
	}
	return NULL;
}

static void look(const unsigned long a, const unsigned long b)
{
	if (a != b)
		__atomic_add_fetch(&torn, 1, __ATOMIC_RELAXED);
}

/* Readers of all kinds that have them, beside the writers. */
static void *reader(void *arg)
{
	unsigned long a, b;
	unsigned int i, begun;

	for (i = 0; i < TURNS; i++) {
		if (arg == (void *)&rwlock) {
			read_lock(&rwlock);
			look(READ_ONCE(first), READ_ONCE(second));
			read_unlock(&rwlock);
		} else if (arg == (void *)&rwsem) {
			down_read(&rwsem);
			look(READ_ONCE(first), READ_ONCE(second));
			up_read(&rwsem);
		} else {
			do {
				begun = read_seqbegin(&seq);
				a = READ_ONCE(first);
				b = READ_ONCE(second);
			} while (read_seqretry(&seq, begun));
			look(a, b);
		}
	}
	return NULL;
}

static void exclude(const struct kind *k, void *readers)
{
	pthread_t thread[THREADS + 2];
	unsigned int i, n = THREADS;

	first = second = 0;
	for (i = 0; i < THREADS; i++)
		if (pthread_create(&thread[i], NULL, hammer, (void *)(uintptr_t)k))
			check_broken("pthread_create");
	for (i = 0; readers && i < 2; i++)
		if (pthread_create(&thread[n++], NULL, reader, readers))
			check_broken("pthread_create");
	for (i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
	check(first == THREADS * TURNS && second == first && !torn, k->name, "%lu %lu, %u torn",
	      first, second, torn);
}

/* ---- tries, and who holds ---- */

static void *others_try(void *arg)
{
	unsigned int *had = arg;

	if (raw_spin_trylock(&raw)) {
		raw_spin_unlock(&raw);
		*had |= 1;
	}
	if (spin_trylock(&spin)) {
		spin_unlock(&spin);
		*had |= 2;
	}
	if (mutex_trylock(&mutex)) {
		mutex_unlock(&mutex);
		*had |= 4;
	}
	if (write_trylock(&rwlock)) {
		write_unlock(&rwlock);
		*had |= 8;
	}
	if (read_trylock(&rwlock)) {
		read_unlock(&rwlock);
		*had |= 16;
	}
	if (down_write_trylock(&rwsem)) {
		up_write(&rwsem);
		*had |= 32;
	}
	if (down_read_trylock(&rwsem)) {
		up_read(&rwsem);
		*had |= 64;
	}
	if (rt_mutex_trylock(&rt)) {
		rt_mutex_unlock(&rt);
		*had |= 256;
	}
	if (lockdep_is_held(&mutex) || lockdep_is_held(&spin) || lockdep_is_held(&raw))
		*had |= 128;
	return NULL;
}

static unsigned int by_others(void)
{
	unsigned int had = 0;
	pthread_t thread;

	if (pthread_create(&thread, NULL, others_try, &had))
		check_broken("pthread_create");
	pthread_join(thread, NULL);
	return had;
}

static void tries(void)
{
	unsigned int had;

	had = by_others();
	check(had == 383, "K3 what is free can be tried", "0x%x", had);
	raw_spin_lock(&raw);
	spin_lock(&spin);
	mutex_lock(&mutex);
	rt_mutex_lock(&rt);
	write_lock(&rwlock);
	down_write(&rwsem);
	check(lockdep_is_held(&raw) && lockdep_is_held(&spin) && lockdep_is_held(&mutex) &&
		      lockdep_is_held(&rwlock) && lockdep_is_held(&rwsem) &&
		      raw_spin_is_locked(&raw) && spin_is_locked(&spin) && mutex_is_locked(&mutex),
	      "K3 lockdep_is_held()", "not so");
	had = by_others();
	check(had == 0, "K3 what is held cannot", "0x%x", had);
	downgrade_write(&rwsem);
	write_unlock(&rwlock);
	read_lock(&rwlock);
	had = by_others();
	check(had == (16 | 64), "K3 readers beside readers; a writer downgraded", "0x%x", had);
	read_unlock(&rwlock);
	up_read(&rwsem);
	check(rt_mutex_is_locked(&rt), "K3 rt_mutex_is_locked()", "it is not");
	rt_mutex_unlock(&rt);
	mutex_unlock(&mutex);
	spin_unlock(&spin);
	raw_spin_unlock(&raw);
	check(!rt_mutex_is_locked(&rt) && !lockdep_is_held(&rwsem) && !lockdep_is_held(&mutex) &&
		      by_others() == 383,
	      "K3 all let go", "not so");
}

/* ---- locks that are initialised at run time ---- */

static void made(void)
{
	struct mine {
		raw_spinlock_t raw;
		spinlock_t spin;
		struct mutex mutex;
		struct rt_mutex rt;
		rwlock_t rwlock;
		struct rw_semaphore rwsem;
		seqlock_t seq;
	} m;

	memset(&m, 0xa5, sizeof(m));
	raw_spin_lock_init(&m.raw);
	spin_lock_init(&m.spin);
	mutex_init(&m.mutex);
	rt_mutex_init(&m.rt);
	rwlock_init(&m.rwlock);
	init_rwsem(&m.rwsem);
	seqlock_init(&m.seq);
	check(raw_spin_trylock(&m.raw) && spin_trylock(&m.spin) && mutex_trylock(&m.mutex) &&
		      rt_mutex_trylock(&m.rt) && read_trylock(&m.rwlock) &&
		      down_read_trylock(&m.rwsem) && read_seqbegin(&m.seq) == 0,
	      "K3 made by an initialiser", "held");
	up_read(&m.rwsem);
	read_unlock(&m.rwlock);
	rt_mutex_unlock(&m.rt);
	mutex_unlock(&m.mutex);
	spin_unlock(&m.spin);
	raw_spin_unlock(&m.raw);
	mutex_destroy(&m.mutex);
}

/* ---- signals ---- */

static unsigned int handled;

static void handler(int sig)
{
	(void)sig;
	handled++;
}

static void signals(void)
{
	unsigned long flags, inner;
	const unsigned int spin_keeps_out = !NST_COMPAT_RT;
	unsigned int during;

	signal(SIGUSR1, handler);
	raw_spin_lock_irqsave(&raw, flags);
	check(irqs_disabled(), "K3 raw_spin_lock_irqsave()", "signals are on");
	local_irq_save(inner);
	raise(SIGUSR1);
	local_irq_restore(inner);
	during = handled;
	raw_spin_unlock_irqrestore(&raw, flags);
	check(during == 0 && handled == 1 && !irqs_disabled(),
	      "K3 a signal waits for the outermost", "%u then %u", during, handled);
	spin_lock_irqsave(&spin, flags);
	raise(SIGUSR1);
	during = handled;
	spin_unlock_irqrestore(&spin, flags);
	check(during == 2 - spin_keeps_out && handled == 2,
	      "K3 spin_lock_irqsave() as the kernel's: signals are on with RT", "%u then %u",
	      during, handled);
	raw_spin_lock_irq(&raw);
	raise(SIGUSR1);
	during = handled;
	raw_spin_unlock_irq(&raw);
	check(during == 2 && handled == 3, "K3 raw_spin_lock_irq()", "%u then %u", during, handled);
}

/* ---- completions ---- */

static struct completion done;
static DECLARE_COMPLETION(asked);

static void *waiter(void *arg)
{
	complete(&asked);
	wait_for_completion(&done);
	return arg;
}

static void completions(void)
{
	pthread_t thread[3];
	unsigned int i;

	init_completion(&done);
	check(!try_wait_for_completion(&done) && !completion_done(&done) &&
		      wait_for_completion_timeout(&done, msecs_to_jiffies(5)) == 0,
	      "K3 nothing is complete", "it is");
	for (i = 0; i < 3; i++)
		if (pthread_create(&thread[i], NULL, waiter, NULL))
			check_broken("pthread_create");
	for (i = 0; i < 3; i++)
		wait_for_completion(&asked);
	complete_all(&done);
	for (i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	check(completion_done(&done) && wait_for_completion_timeout(&done, 1000) >= 1,
	      "K3 complete_all() is for all, and stays", "not so");
	reinit_completion(&done);
	complete(&done);
	check(try_wait_for_completion(&done) && !try_wait_for_completion(&done),
	      "K3 complete() is for one", "not so");
}

#if NST_COMPAT_RT
#ifdef __GLIBC__
#define INHERITS(m) ((m)->__data.__kind & 0x20)
#else
#define INHERITS(m) 1
#endif
/* That who holds it is raised can be seen with a right to priorities alone; that libc's mutex is of that kind, always. */
static void inherits(void)
{
	struct nst_compat_config l = {.made = 0};

	nst_compat_config_wait(&l);
	check(pthread_mutex_trylock(&l.mutex) != 0 && l.made == 2 && INHERITS(&l.mutex),
	      "K3 RT: spinlock_t sleeps and inherits priority", "%u", l.made);
	nst_compat_config_done(&l);
	check(sizeof(spinlock_t) > sizeof(raw_spinlock_t), "K3 RT: raw_spinlock_t is as it was",
	      "not so");
}
#else
static void inherits(void)
{
	check(sizeof(spinlock_t) == sizeof(raw_spinlock_t), "K3 both spin", "not so");
}
#endif

int main(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		exclude(&kinds[i], i == 3   ? (void *)&rwlock
				   : i == 4 ? (void *)&rwsem
				   : i == 5 ? (void *)&seq
					    : NULL);
	tries();
	made();
	signals();
	completions();
	inherits();
	return check_status();
}
