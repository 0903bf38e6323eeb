/* SPDX-License-Identifier: MIT */
/*
 * steps.c - runs a target one instruction at a time between its marks (steps.h) and prints each with the
 * registers before it, for bench/counts to add up.
 *
 *	steps PRELOAD|- TARGET
 *
 * A trap inside a restartable sequence restarts it, for ever. So the target that has sequences takes its
 * thread's rseq area back from the kernel first and leaves a CPU number in it: the same
 * instructions run, and nobody restarts them.
 *
 * Output:	op NAME CALLS
 *		RIP FS_BASE RAX RBX RCX RDX RSI RDI RBP RSP R8..R15	hexadecimal, one instruction
 *		map START END OFFSET PATH				executable mappings and the stack, first
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__)

static int read_target(pid_t pid, unsigned long long at, void *buf, size_t bytes)
{
	struct iovec here = {buf, bytes}, there = {(void *)(uintptr_t)at, bytes};

	return process_vm_readv(pid, &here, 1, &there, 1, 0) == (ssize_t)bytes ? 0 : -1;
}

static void print_step(const struct user_regs_struct *r)
{
	printf("%llx %llx %llx %llx %llx %llx %llx %llx %llx %llx %llx %llx %llx %llx %llx %llx %llx %llx\n",
	       r->rip, r->fs_base, r->rax, r->rbx, r->rcx, r->rdx, r->rsi, r->rdi, r->rbp, r->rsp,
	       r->r8, r->r9, r->r10, r->r11, r->r12, r->r13, r->r14, r->r15);
}

static void print_begin(pid_t pid, const struct user_regs_struct *r)
{
	char name[128] = "?";
	size_t i;

	for (i = 0; i < sizeof(name) - 1; i++)
		if (read_target(pid, r->rax + i, &name[i], 1) || !name[i])
			break;
	name[i] = '\0';
	printf("op %s\t%lld\n", name, (long long)r->rdx);
}

/* From one mark to the next. Returns 0 if the target ended instead. */
static int step_to_mark(pid_t pid)
{
	struct user_regs_struct r;
	unsigned char next;
	int status;

	for (;;) {
		if (ptrace(PTRACE_GETREGS, pid, NULL, &r) || read_target(pid, r.rip, &next, 1))
			return 0;
		if (next == 0xcc)
			return 1;
		print_step(&r);
		if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) || waitpid(pid, &status, 0) != pid ||
		    !WIFSTOPPED(status))
			return 0;
	}
}

static void print_maps(pid_t pid)
{
	char path[64], line[4096], perms[8], file[4096];
	unsigned long start, end, offset;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx %7s %lx %*s %*s %4095s", &start, &end, perms, &offset,
			   file) == 5 &&
		    (perms[2] == 'x' || strcmp(file, "[stack]") == 0))
			printf("map %lx %lx %lx %s\n", start, end, offset, file);
	if (f)
		fclose(f);
}

/*
 * Marks come in pairs; from the second of one to the first of the next the target runs at full speed.
 * The trap of exec has 0 in rax, as the second mark has.
 */
static void trace(pid_t pid)
{
	struct user_regs_struct r;
	int status, mapped = 0;

	while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
		int sig = WSTOPSIG(status);

		if (sig == SIGTRAP && ptrace(PTRACE_GETREGS, pid, NULL, &r) == 0 && r.rax != 0) {
			if (!mapped++)
				print_maps(pid);
			print_begin(pid, &r);
			if (!step_to_mark(pid))
				break;
		}
		ptrace(PTRACE_CONT, pid, NULL, sig == SIGTRAP ? 0 : sig);
	}
	if (WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status)))
		fprintf(stderr, "steps: the target failed\n");
}

int main(int argc, char **argv)
{
	pid_t pid;

	if (argc < 3)
		return 2;
	pid = fork();
	if (pid == 0) {
		setenv("LD_BIND_NOW", "1", 1);
		if (strcmp(argv[1], "-") != 0)
			setenv("LD_PRELOAD", argv[1], 1);
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		execl(argv[2], argv[2], (char *)NULL);
		_exit(127);
	}
	trace(pid);
	return 0;
}

#else

int main(void)
{
	fprintf(stderr, "steps: only on x86-64\n");
	return 0;
}

#endif
