/* SPDX-License-Identifier: MIT */
/*
 * mode.c - modes in words, what they may do here and now, and the scopes that restrict them.
 *
 * Fork: the child's thread stays in its scopes. Signal: legal; a handler's enter and exit nest.
 */
#include "mm.h"

const struct nst_mode_row nst_mode_rows[NST_NR_MODES] = {
#define ROW(name, code, ...) {#name, code, FIRST_NINE(__VA_ARGS__)},
#define FIRST_NINE(a, b, c, d, e, f, g, h, i, ...) a, b, c, d, e, f, g, h, i
	NST_MODE_TABLE(ROW)
#undef ROW
};

static const char *const modifier_names[] = {
#define ROW(name, ...) #name,
	NST_MODIFIER_TABLE(ROW)
#undef ROW
};

static const char *bit_name(unsigned int bit)
{
	if (bit < NST_NR_MODES)
		return nst_mode_rows[bit].name;
	if (bit >= NST_MODIFIER_FIRST && bit < NST_MODIFIER_END)
		return modifier_names[bit - NST_MODIFIER_FIRST];
	return NULL;
}

size_t nst_mode_name(nst_mode_t mode, char *buf, size_t len)
{
	size_t n = 0;
	u32 rest = mode;

	if (!mode)
		return nst_format(buf, len, "0");
	for (; rest; rest &= rest - 1) {
		unsigned int bit = nst_lowest_bit(rest);
		const char *name = bit_name(bit);
		char *to = n < len ? buf + n : NULL;
		size_t room = n < len ? len - n : 0;

		if (name)
			n += nst_format(to, room, "%s%s", n ? "|" : "", name);
		else
			n += nst_format(to, room, "%s0x%x", n ? "|" : "", 1u << bit);
	}
	return n;
}

nst_mode_t nst_mode_effective(nst_mode_t mode)
{
	return NST_MODE_VALID(mode) ? nst_mode_in_scope(mode) : 0;
}

int nst_mode_may_wait(nst_mode_t mode)
{
	return NST_MODE_VALID(mode) && nst_mode_row(nst_mode_in_scope(mode))->waits != 0;
}

int nst_mode_may_wake(nst_mode_t mode)
{
	return NST_MODE_VALID(mode) && nst_mode_row(nst_mode_in_scope(mode))->wakes != 0;
}

#define ALL_SCOPES                                                                                 \
	((u32)(NST_SCOPE_NOLOCK | NST_SCOPE_NORECLAIM | NST_SCOPE_NOIO | NST_SCOPE_NOCLIENT))

nst_scope_t nst_scope_enter(uint32_t what)
{
	u32 fresh = what & ~nst_thread.scopes;

	if (what & ~ALL_SCOPES) {
		nst_warn("nst_scope_enter(0x%x): unknown bits 0x%x; allowed: 0x%x", what,
			 what & ~ALL_SCOPES, ALL_SCOPES);
		return 0;
	}
	nst_thread.scopes |= what;
	if (fresh & NST_SCOPE_NOLOCK)
		nst_lean_end();
	return fresh;
}

void nst_scope_exit(nst_scope_t scope)
{
	nst_thread.scopes &= ~scope;
}

void nst_caller_set(const char *file_line)
{
	nst_thread.caller = file_line;
}
