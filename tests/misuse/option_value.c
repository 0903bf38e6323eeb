/* SPDX-License-Identifier: MIT */
/*
 * option_value.c - a value out of range: one line each, the default stays
 *
 *	clause: B14
 *	level: debug:9, worker:maybe, max:12Q, pressure:PATH, pressure_at:101, check_realtime:
 *	exit: 0
 *	says: nostall: NOSTALL_CONF: debug:9 is out of range; allowed: 0 to 3
 *	says: nostall: NOSTALL_CONF: worker:maybe is not known; allowed: off|on
 *	says: nostall: NOSTALL_CONF: max:12Q is not a size; allowed: 0 to 70368744177664, with K, M or G
 *	says: nostall: NOSTALL_CONF: pressure:PATH is not known; allowed: auto|off|PATH
 *	says: nostall: NOSTALL_CONF: pressure_at:101 is out of range; allowed: 1 to 100
 *	says: nostall: NOSTALL_CONF: check_realtime is neither policy nor a thread's name, of at most 31 bytes
 */
#include "misuse.h"

int main(void)
{
	nst_free(nst_alloc(64, NST_NORMAL));
	return 0;
}
