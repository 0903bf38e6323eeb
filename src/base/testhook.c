/* SPDX-License-Identifier: MIT */
/*
 * testhook.c - what the test build's hooks read and write.
 */
#include "base.h"

#ifdef NST_TEST
void (*nst_test_held)(int lock_class);
uint32_t nst_test_delay[NST_NR_ALL_SEQS][NST_SEQ_POINTS];
uint64_t nst_test_delayed;
uint64_t nst_test_restarts[NST_NR_ALL_SEQS];
long nst_test_fail[NST_NR_FAILS];
int nst_test_fail_on;
void (*nst_test_before)(enum nst_fail what);
uint64_t nst_test_now_ns;
void (*nst_test_nap)(uint64_t us);
const char *nst_test_root = "";
NST_TLS unsigned int nst_test_holding[8];
NST_TLS unsigned int nst_test_in_stripe;

int nst_test_should_fail(enum nst_fail what)
{
	long n;

	if (nst_test_before)
		nst_test_before(what);
	n = nst_load_relaxed(&nst_test_fail[what]); /* set by one test thread */
	if (n < 0)
		return 1;
	while (n > 0) {
		long next = n == 1 && nst_test_fail_on ? -1 : n - 1;

		if (nst_cas_relaxed(&nst_test_fail[what], n, next))
			return n == 1;
		n = nst_load_relaxed(&nst_test_fail[what]);
	}
	return 0;
}
#else
typedef int nst_no_testhook; /* ISO C wants a declaration */
#endif
