/* SPDX-License-Identifier: MIT */
/*
 * stock.c - the least that charging each object to a CPU's stock can cost: a debit and a credit in line, and nothing else.
 *
 * A charged pair makes these two besides what any pair does. They are the library's own sequences, so this program is
 * linked with what tests are linked with.
 */
#include "mm/mm.h"
#include "mm/claim/account.h"
#include "bench.h"

#define ROUNDS 40
#define PAIRS 1000000u

static struct nst_account *make(void)
{
	struct nst_account *a = nst_account_create("stock", NULL, NST_NO_LIMIT, (uint64_t)1 << 30);
	nst_account_token_t token = nst_account_enter(a);

	nst_free(nst_alloc(64, NST_NORMAL)); /* now this CPU has a stock */
	nst_account_exit(token);
	return a;
}

static double round_of(const struct nst_account *a)
{
	uint64_t begun = bench_cpu_ns();
	uint32_t i, n = 0;

	for (i = 0; i < PAIRS; i++) {
		n += (uint32_t)nst_seq_debit_by(a->stock.real, nst_sys_rseq.index, 8);
		n += (uint32_t)nst_seq_credit_by(a->stock.real, nst_sys_rseq.index, 8);
	}
	return n < PAIRS ? -1 : (double)(bench_cpu_ns() - begun) / PAIRS;
}

int main(void)
{
	struct nst_account *a = make();
	double ns, least = 1e9;
	int i;

	if (!a || !nst_sys_rseq.usable) {
		printf("no stock, or no sequences, on this machine\n");
		return 1;
	}
	for (i = 0; i < ROUNDS; i++) {
		ns = round_of(a);
		least = ns >= 0 && ns < least ? ns : least;
	}
	printf("\na debit and a credit of a CPU's stock, in line, in a loop: %.2f ns, the least of %d rounds\n",
	       least, ROUNDS);
	return 0;
}
