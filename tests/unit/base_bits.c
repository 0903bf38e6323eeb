/* SPDX-License-Identifier: MIT */
/*
 * base_bits.c - alignment, logarithms and the mixer, at their limits.
 */
#include "base/bits.h"
#include "common/check.h"

static void powers(void)
{
	for (unsigned int n = 0; n < 64; n++) {
		u64 p = 1ull << n;

		check_quiet(nst_is_pow2((size_t)p), "power of two", "2^%u", n);
		check_quiet(nst_log2(p) == n && nst_log2_up(p) == n, "log2 of a power", "2^%u", n);
		check_quiet(n < 2 || (nst_log2(p - 1) == n - 1 && nst_log2_up(p - 1) == n),
			    "log2 below a power", "2^%u - 1", n);
		check_quiet(n < 1 || n > 62 ||
				    (nst_log2(p + 1) == n && nst_log2_up(p + 1) == n + 1),
			    "log2 above a power", "2^%u + 1", n);
		check_quiet(nst_lowest_bit(p | (n < 63 ? 1ull << 63 : 0)) == n, "lowest bit",
			    "2^%u", n);
		check_quiet(nst_popcount(p - 1) == n, "bits set", "2^%u - 1", n);
	}
	check(!nst_is_pow2(0) && !nst_is_pow2(3) && !nst_is_pow2(SIZE_MAX), "no powers of two",
	      "one is");
}

static void rounding(void)
{
	for (size_t a = 1; a; a <<= 1) {
		size_t top = SIZE_MAX & ~(a - 1);

		check_quiet(nst_round_up(0, a) == 0 && nst_round_up(1, a) == a, "up from 0", "%zu",
			    a);
		check_quiet(nst_round_up(a, a) == a && nst_round_down(a, a) == a, "fixed", "%zu",
			    a);
		check_quiet(nst_round_down(2 * a - 1, a) == (a == 1 ? 1 : a), "down", "%zu", a);
		check_quiet(nst_round_up(top, a) == top && nst_round_down(SIZE_MAX, a) == top,
			    "top", "%zu", a);
	}
	check(nst_round_up(SIZE_MAX, 16) == 0, "past SIZE_MAX wraps to 0, as it says",
	      "it does not");
}

/* Different inputs give different outputs: a bijection shows at least no collision in a sample. */
static void mixing(void)
{
	static u64 seen[4096];
	unsigned int same = 0;

	for (u64 i = 0; i < 4096; i++)
		seen[i] = nst_mix64(i);
	for (unsigned int i = 0; i < 4096; i++)
		for (unsigned int j = 0; j < i; j++)
			same += seen[i] == seen[j];
	check(same == 0, "the mixer does not collide", "%u pairs", same);
}

int main(void)
{
	powers();
	rounding();
	mixing();
	check(nst_min(1, 2) == 1 && nst_max(1, 2) == 2, "min and max", "wrong");
	check(1, "powers and rounding", "-");
	return check_status();
}
