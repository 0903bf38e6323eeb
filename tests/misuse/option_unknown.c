/* SPDX-License-Identifier: MIT */
/*
 * option_unknown.c - an unknown option: one line, the rest still taken
 *
 *	clause: B14
 *	level: no_such_key:7
 *	exit: 0
 *	says: nostall: NOSTALL_CONF: unknown option 'no_such_key'; allowed: conf_file, publish_dir, debug, worker, sequences, cid, nolock_budget, stats, misuse, reserve, max, high, debt, lock, warn, fork_ready, rcu_budget, rcu_budget_malloc, rcu_pages, publish, pressure, pressure_stall, pressure_at, cgroup, rcu_stall_ms, check, check_json, check_stacks, check_watchdog, check_halt, check_exit, check_hold, nodes, cpus, check_log, check_suppress, check_realtime
 */
#include "misuse.h"

int main(void)
{
	char text[256];

	nst_info("options", text, sizeof(text));
	HOLDS(!strstr(text, "no_such"));
	return 0;
}
