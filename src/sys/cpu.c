/* SPDX-License-Identifier: MIT */
/*
 * cpu.c - how many CPUs are possible, and the NUMA node of each, from /sys.
 *
 * Read once at start with raw system calls: libc's own functions allocate.
 */
#include <fcntl.h>
#include "sys.h"
#include "syscall.h"

struct nst_sys_cpus nst_sys_cpus = {.nr = 1, .nr_nodes = 1};

static size_t read_file(const char *path, char *buf, size_t len)
{
	long fd = nst_syscall(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0, 0);
	long n;

	buf[0] = 0;
	if (fd < 0)
		return 0;
	n = nst_syscall(SYS_read, fd, (long)buf, (long)len - 1, 0, 0, 0);
	nst_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
	if (n < 0)
		n = 0;
	buf[n] = 0;
	return (size_t)n;
}

static const char *parse_number(const char *s, unsigned int *out)
{
	unsigned int v = 0;

	for (; *s >= '0' && *s <= '9'; s++)
		v = v < 1000000 ? v * 10 + (unsigned int)(*s - '0') : v;
	*out = v;
	return s;
}

/* Calls @fn for each number of a list such as "0-3,8". */
static void for_each_in_list(const char *s, void (*fn)(unsigned int v, unsigned int arg),
			     unsigned int arg)
{
	while (*s >= '0' && *s <= '9') {
		unsigned int first, last;

		s = parse_number(s, &first);
		last = first;
		if (*s == '-')
			s = parse_number(s + 1, &last);
		for (; first <= last && first < NST_MAX_CPUS; first++)
			fn(first, arg);
		if (*s == ',')
			s++;
	}
}

static void count_cpu(unsigned int cpu, unsigned int arg)
{
	(void)arg;
	if (cpu + 1 > nst_sys_cpus.nr)
		nst_sys_cpus.nr = cpu + 1;
}

static void set_node(unsigned int cpu, unsigned int node)
{
	nst_sys_cpus.node[cpu] = (u8)node;
	if (node + 1 > nst_sys_cpus.nr_nodes)
		nst_sys_cpus.nr_nodes = node + 1;
}

/* Of the nodes that have memory or CPUs. */
static void read_node(unsigned int node, unsigned int arg)
{
	char text[1024], path[64];

	(void)arg;
	if (node >= NST_STATS_NODES)
		return;
	nst_format(path, sizeof(path), "/sys/devices/system/node/node%u/cpulist", node);
	if (read_file(path, text, sizeof(text)))
		for_each_in_list(text, set_node, node);
}

void nst_sys_cpu_init(unsigned int fake_cpus, unsigned int fake_nodes)
{
	char text[1024];
	unsigned int i;

	read_file("/sys/devices/system/cpu/possible", text, sizeof(text));
	for_each_in_list(text, count_cpu, 0);
	if (fake_cpus)
		nst_sys_cpus.nr = fake_cpus;
	if (!fake_nodes && read_file("/sys/devices/system/node/online", text, sizeof(text)))
		for_each_in_list(text, read_node, 0);
	for (i = 0; i < nst_sys_cpus.nr && fake_nodes; i++)
		set_node(i, i % fake_nodes);
	if (fake_nodes)
		nst_sys_cpus.nr_nodes = fake_nodes;
}
