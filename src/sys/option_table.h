/* SPDX-License-Identifier: MIT */
/*
 * option_table.h - the one table of options: what NOSTALL_CONF may say, one line an option.
 *
 * NST_OPTION(name, kind, default, least, most, text)
 * kind: NUMBER, BYTES (with K, M, G), SWITCH (off, on) or a list of words "a|b" that count from 0.
 * No include guard: it is read once for each thing that is made from it.
 */
NST_OPTION(
	debug, "number", 0, 0, 3,
	"1: immediate double-free and foreign-pointer detection, random slab order; 2: and fill, red zones; 3: and call sites, quarantine")
NST_OPTION(worker, "off|on", 1, 0, 1,
	   "the background thread; off: the program calls nst_maintain()")
NST_OPTION(sequences, "auto|none", 0, 0, 1,
	   "none: stripes with a try-held word even where rseq is there")
NST_OPTION(cid, "off|on", 0, 0, 1, "index by concurrency id instead of CPU number")
NST_OPTION(nolock_budget, "number", 0, 0, 1u << 30,
	   "no-lock objects per CPU between two refills; 0: no budget")
NST_OPTION(stats, "on|full", 0, 0, 1, "full: count requests on the fast path as well")
NST_OPTION(misuse, "abort|continue", 0, 0, 1, "after the line that reports a misuse")
NST_OPTION(reserve, "bytes", 0, 0, 1ull << 46,
	   "address space; 0: 4 x RAM or RLIMIT_DATA; under RLIMIT_AS as much as is used")
NST_OPTION(max, "bytes", 0, 0, 1ull << 46, "most memory made ready; 0: no limit")
NST_OPTION(
	high, "bytes", 1u << 20, 1u << 16, 1ull << 40,
	"free ready memory the worker keeps up per node; low is half, min a quarter; under the malloc preload alone 128K until a no-lock request")
NST_OPTION(
	debt, "off|on", 1, 0, 1,
	"who takes without waiting while memory is short owes it, and is slowed down where it may sleep")
NST_OPTION(lock, "off|on", 0, 0, 1, "lock ready memory (mlock)")
NST_OPTION(warn, "off|on", 1, 0, 1, "warnings")
NST_OPTION(fork_ready, "off|on", 0, 0, 1,
	   "make copy-on-write pages ready again inside fork(), not at the next nst_maintain()")
NST_OPTION(
	rcu_budget, "bytes", 0, 0, 1ull << 46,
	"retired memory that may wait before requests are slowed down, then refused; 0: a quarter of RAM, or of the limit of the control group at the first use")
NST_OPTION(rcu_budget_malloc, "off|on", 0, 0, 1,
	   "above rcu_budget malloc of libnostall-malloc.so gives NULL; off: it is slowed down")
NST_OPTION(
	rcu_pages, "number", 0, 0, 1u << 30,
	"pages of 4096 bytes that foreign pointers may wait in, beside those in rings; 0: 1/1024 of RAM")
NST_OPTION(publish, "off|on", 1, 0, 1,
	   "a page of statistics that other processes of the same user may read")
NST_OPTION(
	pressure, "auto|off|PATH", 0, 0, 2,
	"what says that memory is short, and idle memory goes back; auto: PSI and the control group; PATH: a file as those, or a FIFO, that begins with /")
NST_OPTION(pressure_stall, "number", 150, 1, 2000,
	   "milliseconds, of 2 seconds, that threads stall for memory until that is pressure")
NST_OPTION(pressure_at, "number", 90, 1, 100,
	   "percent of the control group's memory limit above which there is pressure")
NST_OPTION(cgroup, "off|on", 1, 0, 1,
	   "on: the control group's memory limit, less a margin, is a limit as max is")
NST_OPTION(rcu_stall_ms, "number", 1000, 1, 1u << 30,
	   "milliseconds after which a grace period that does not end is reported, once")
NST_OPTION(
	check, "off|on|possible", 0, 0, 2,
	"the validator of locks and contexts; possible: tell also what could not have happened as it was seen")
NST_OPTION(check_json, "off|on|both", 0, 0, 2,
	   "reports of the validator as JSON, an object a line, instead of text; both: behind it")
NST_OPTION(
	check_stacks, "off|new|all", 1, 0, 2,
	"stacks in reports: the callers of the first of its kind; all: of each lock taken, which costs a microsecond; off: one address a place")
NST_OPTION(
	check_watchdog, "number", 1000, 0, 1u << 30,
	"milliseconds that threads wait for each other before the validator reports it; 0: never")
NST_OPTION(check_halt, "off|on", 0, 0, 1,
	   "the process ends behind the first error that the validator tells")
NST_OPTION(
	check_exit, "number", 0, 0, 255,
	"the status of a process that would end with 0 and in which the validator told errors, and of check_halt; 0: its own, and abort()")
NST_OPTION(check_hold, "number", 0, 0, 1ull << 40,
	   "microseconds that a lock may be held for before the validator reports it; 0: for ever")
NST_OPTION(nodes, "number", 0, 0, 8, "test build: pretend this many NUMA nodes")
NST_OPTION(cpus, "number", 0, 0, 4096,
	   "test build: pretend this many CPUs; a test of one thread says on which it is")
