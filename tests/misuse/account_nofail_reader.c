/* SPDX-License-Identifier: MIT */
/*
 * account_nofail_reader.c - NST_NOFAIL past what can be forced, in a read section: it would wait for itself
 *
 *	clause: B38
 *	level: debug:0
 *	exit: abort
 *	says: nostall: nst_alloc: account 'a' has 0 bytes of 4096, no more can be forced, and NST_NOFAIL cannot wait: what would be freed waits for this thread; allowed: outside of read sections and of what nst_call_rcu() calls
 */
#include "misuse.h"

int main(void)
{
	nst_account_enter(nst_account_create("a", NULL, NST_NO_LIMIT, 4096));
	nst_rcu_read_begin();
	HOLDS(nst_alloc(1 << 30, NST_NOFAIL));
	return 0;
}
