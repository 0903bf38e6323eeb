// SPDX-License-Identifier: MIT
/*
 * target.c - what stands in the way of LD_PRELOAD is said before the program runs, not after.
 *
 * The dynamic linker alone loads a preload. A program without one (static), one it does not trust
 * (setuid, setgid, with capabilities) and one for another machine would run as if nothing was asked.
 */
#define _GNU_SOURCE
#include "target.h"
#include "brings.h"
#include "tool.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

struct reason {
	char *text;
	size_t len;
};

#define REFUSE(r, code, ...) (snprintf((r)->text, (r)->len, __VA_ARGS__), (code))

static int in_path(const char *name, char *path, size_t len)
{
	const char *dirs = getenv("PATH");

	if (strchr(name, '/'))
		return snprintf(path, len, "%s", name) < (int)len && !access(path, F_OK);
	for (const char *dir = dirs ? dirs : "/usr/bin:/bin"; dir; dir = strchr(dir, ':')) {
		int n;

		dir += *dir == ':';
		n = (int)strcspn(dir, ":");
		snprintf(path, len, "%.*s%s%s", n, dir, n ? "/" : "", name);
		if (!access(path, X_OK))
			return 1;
	}
	return 0;
}

/* Would the kernel raise the privileges of whoever executes this file? */
static int is_privileged(const char *path, const struct stat *st)
{
	if ((st->st_mode & S_ISUID) && st->st_uid != geteuid())
		return 1;
	if ((st->st_mode & S_ISGID) && st->st_gid != getegid())
		return 1;
	return geteuid() != 0 && getxattr(path, "security.capability", NULL, 0) > 0;
}

static int has_interpreter(int fd, const Elf64_Ehdr *ehdr)
{
	for (unsigned int i = 0; i < ehdr->e_phnum; i++) {
		Elf64_Phdr phdr;

		if (pread(fd, &phdr, sizeof(phdr), (off_t)(ehdr->e_phoff + i * sizeof(phdr))) !=
		    sizeof(phdr))
			break;
		if (phdr.p_type == PT_INTERP)
			return 1;
	}
	return 0;
}

static int own_machine(void)
{
#if defined(__x86_64__)
	return EM_X86_64;
#else
	return EM_AARCH64;
#endif
}

static int check_elf(int fd, const char *path, struct reason *why)
{
	const char *brings;
	Elf64_Ehdr ehdr = {0};
	ssize_t n = pread(fd, &ehdr, sizeof(ehdr), 0);

	/* Up to there all classes are alike. */
	if (n < (ssize_t)offsetof(Elf64_Ehdr, e_version) || memcmp(ehdr.e_ident, ELFMAG, SELFMAG))
		return REFUSE(why, TOOL_NOEXEC, "%s is not a program", path);
	if (ehdr.e_ident[EI_CLASS] != ELFCLASS64 || ehdr.e_machine != own_machine())
		return REFUSE(why, TOOL_RUN,
			      "%s is for another machine (class %d, machine %d), for which "
			      "this library is not built",
			      path, ehdr.e_ident[EI_CLASS], ehdr.e_machine);
	if (n != sizeof(ehdr))
		return REFUSE(why, TOOL_NOEXEC, "%s is not a program", path);
	if (!has_interpreter(fd, &ehdr))
		return REFUSE(why, TOOL_RUN,
			      "%s is statically linked: no dynamic linker runs, so "
			      "LD_PRELOAD has no effect",
			      path);
	brings = brings_malloc(fd, &ehdr);
	if (brings)
		return REFUSE(why, TARGET_ASIDE, "%s %s", path, brings);
	return 0;
}

static int check_file(const char *path, int depth, struct reason *why);

/* "#!/path arg": the interpreter is what the dynamic linker loads. */
static int check_script(char *line, const char *path, int depth, struct reason *why)
{
	char *interpreter = line + 2 + strspn(line + 2, " \t");

	interpreter[strcspn(interpreter, " \t\n")] = '\0';
	if (depth)
		return REFUSE(why, TOOL_NOEXEC, "%s is a script run by a script", path);
	return check_file(interpreter, depth + 1, why);
}

static int check_open(int fd, const char *path, int depth, struct reason *why)
{
	char line[PATH_MAX] = "";
	struct stat st;

	if (fstat(fd, &st))
		return REFUSE(why, TOOL_NOEXEC, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return REFUSE(why, TOOL_NOEXEC, "%s is not a file", path);
	if (is_privileged(path, &st))
		return REFUSE(
			why, TOOL_RUN,
			"%s gains privileges when it is run (setuid, setgid or "
			"capabilities): the dynamic linker ignores LD_PRELOAD there; run as %s",
			path, "the user it changes to");
	if (pread(fd, line, sizeof(line) - 1, 0) > 2 && line[0] == '#' && line[1] == '!')
		return check_script(line, path, depth, why);
	return check_elf(fd, path, why);
}

static int check_file(const char *path, int depth, struct reason *why)
{
	int fd, code;

	if (access(path, X_OK))
		return REFUSE(why, errno == ENOENT ? TOOL_NOTFOUND : TOOL_NOEXEC, "%s: %s", path,
			      strerror(errno));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0; /* executable but not readable: nothing to be known; exec decides */
	code = check_open(fd, path, depth, why);
	close(fd);
	return code;
}

int target_find(const char *name, char *path, size_t len, char *why, size_t why_len)
{
	struct reason reason = {why, why_len};

	if (!*name || !in_path(name, path, len))
		return REFUSE(&reason, TOOL_NOTFOUND, "'%s' is not found", name);
	return check_file(path, 0, &reason);
}
