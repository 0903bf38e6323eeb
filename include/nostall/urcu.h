/* SPDX-License-Identifier: MIT */
/*
 * urcu.h - a grace-period domain of any liburcu flavour: memb, mb, bp, qsbr.
 *
 *	#include <urcu/urcu-memb.h>
 *	#include <nostall/urcu.h>
 *	nst_urcu_domain_create("index", &urcu_memb_flavor, &domain);
 *
 * After liburcu's header: that declares the flavour's structure under its name.
 *
 * For programs whose readers are liburcu's. Everything here is inline: the program compiles it and links to the
 * flavour, libnostall to none. It takes nothing of liburcu but the flavour's structure, of which it reads what
 * 0.13 has, and calls its functions, which need not be registered for: synchronize, read_ongoing, online, offline.
 *
 * A thread that waits for such a domain (nst_gp_wait_in()) may be registered or not. One of qsbr that is
 * online is taken offline meanwhile; one inside a section of the others is refused with -EDEADLK. Register with
 * liburcu before the first section, as ever.
 *
 * Fork: liburcu's memb, mb and qsbr keep lost threads registered in the child (bp, unless its own fork hooks are
 * called): if one of them was inside a section, who waits in the child gets -EDEADLK after rcu_stall_ms.
 */
#ifndef NOSTALL_URCU_H
#define NOSTALL_URCU_H

#include <nostall/rcu.h>
#include <urcu/flavor.h>

#ifdef __cplusplus
extern "C" {
#endif

static inline void nst_urcu_synchronize(void *flavor)
{
	((const struct rcu_flavor_struct *)flavor)->update_synchronize_rcu();
}

static inline int nst_urcu_read_ongoing(void *flavor)
{
	return ((const struct rcu_flavor_struct *)flavor)->read_ongoing();
}

static inline void nst_urcu_online(void *flavor)
{
	((const struct rcu_flavor_struct *)flavor)->thread_online();
}

static inline void nst_urcu_offline(void *flavor)
{
	((const struct rcu_flavor_struct *)flavor)->thread_offline();
}

/* nst_rcu_domain_create() of a flavour, which stays while the domain does. Returns what that does. */
static inline int nst_urcu_domain_create(const char *name, const struct rcu_flavor_struct *flavor,
					 struct nst_rcu_domain **out)
{
	struct nst_rcu_domain_ops ops;

	if (!flavor)
		return nst_rcu_domain_create(name, NULL, out);
	ops.synchronize = nst_urcu_synchronize;
	ops.read_ongoing = nst_urcu_read_ongoing;
	ops.online = nst_urcu_online;
	ops.offline = nst_urcu_offline;
	ops.ctx = (void *)(uintptr_t)flavor;
	return nst_rcu_domain_create(name, &ops, out);
}

#ifdef __cplusplus
}
#endif
#endif
