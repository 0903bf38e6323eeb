/* SPDX-License-Identifier: MIT */
/*
 * told.c - what is told of accounts: statistics, and a descriptor to poll.
 *
 * Who meets a limit may be in a no-lock call: it sets a flag, and whoever has the next pass writes the descriptor.
 *
 * Fork: the child's accounts have no descriptors. Locks: takes nst_accounts_lock.
 */
#include "../mm.h"
#include "account.h"

#define LOOKS 1000u

static u64 stocked_locked(const struct nst_account *top)
{
	u64 units = 0;
	unsigned int i;
	u32 id;

	for (id = 1; id <= NST_ACCOUNTS_MAX; id++)
		if (nst_accounts[id] && nst_account_is_below(nst_accounts[id], top))
			for (i = 0; i < nst_pcs_nr_stacks(&nst_accounts[id]->stock); i++)
				units += nst_pcs_count(&nst_accounts[id]->stock, i);
	return units * NST_CHARGE_UNIT;
}

/* Both of one moment: no request was forced in the midst of it, and nothing of what was forced went. */
static void read_charged(const struct nst_account *a, struct nst_account_stats *s)
{
	unsigned int i;

	for (i = 0; i < LOOKS; i++) {
		/* Pairs with: nst_cas_release() and nst_sub_release() in repay(). */
		s->forced = nst_load_acquire(&a->forced_times);
		s->forced_bytes = nst_load_acquire(&a->forced);
		/* Pairs with: nst_add_release() in nst_charge_force(), nst_sub_release() in give_back(). */
		s->charged_bytes = nst_load_acquire(&a->charged);
		if (nst_hint(&a->forced_times) == s->forced &&
		    nst_hint(&a->forced) == s->forced_bytes)
			return;
	}
}

int nst_account_read(struct nst_account *account, struct nst_account_stats *out, size_t bytes)
{
	struct nst_account_stats s = {.high_bytes = 0};

	if (!account || !out || bytes < 8)
		return -22;
	nst_fork_check();
	nst_lock_wait(&nst_accounts_lock);
	nst_format(s.name, sizeof(s.name), "%s", account->name);
	s.high_bytes = account->high;
	s.max_bytes = account->max;
	s.stocked_bytes = stocked_locked(account);
	read_charged(account, &s);
	s.peak_bytes = nst_hint(&account->peak);
	s.refused = nst_hint(&account->refused);
	s.high_events = nst_hint(&account->high_events);
	s.max_events = nst_hint(&account->max_events);
	nst_unlock(&nst_accounts_lock);
	__builtin_memset(out, 0, bytes);
	__builtin_memcpy(out, &s, nst_min(bytes, sizeof(s)));
	return 0;
}

int nst_account_fd(struct nst_account *account)
{
	int fd;

	if (!account)
		return -22;
	nst_fork_check();
	nst_lock_wait(&nst_accounts_lock);
	if (account->fd < 0)
		account->fd = nst_sys_eventfd();
	fd = account->fd;
	if (fd < 0)
		account->fd = -1;
	nst_unlock(&nst_accounts_lock);
	return fd;
}

int nst_account_pass(void)
{
	int found = 0;
	u32 i;

	if (!nst_hint(&nst_accounts_told) ||
	    !nst_exchange_relaxed(&nst_accounts_told,
				  0u)) /* a hint: the account's own is set before */
		return 0;
	nst_lock_wait(&nst_accounts_lock);
	for (i = 1; i <= NST_ACCOUNTS_MAX; i++) {
		struct nst_account *a = nst_accounts[i];

		if (!a || !nst_hint(&a->told) || !nst_exchange_relaxed(&a->told, 0u)) /* a hint */
			continue;
		found = 1;
		if (a->fd >= 0)
			nst_sys_eventfd_add(a->fd);
	}
	nst_unlock(&nst_accounts_lock);
	return found;
}

/* The descriptors are the parent's: what is written there its threads would see. */
void nst_account_after_fork(void)
{
	u32 i;

	for (i = 1; i <= NST_ACCOUNTS_MAX; i++) {
		if (!nst_accounts[i])
			continue;
		nst_accounts[i]->fd = -1;
		nst_pcs_table_after_fork(&nst_accounts[i]->stock);
	}
}
