// SPDX-License-Identifier: MIT
/*
 * pager_uffd.c - userfaultfd, as far as this pager needs it: faults of user mode, which any user may ask for.
 */
#define _GNU_SOURCE
#include "pager.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

static int done(int result)
{
	return result < 0 ? -errno : 0;
}

static int open_one(uint64_t features)
{
	struct uffdio_api api = {.api = UFFD_API, .features = features};
	int err, fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);

	if (fd < 0)
		return -errno;
	if (ioctl(fd, UFFDIO_API, &api) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

int uffd_open(int *protects)
{
	int fd = open_one(UFFD_FEATURE_PAGEFAULT_FLAG_WP);

	*protects = fd >= 0;
	return fd == -EINVAL ? open_one(0) : fd;
}

int uffd_register(int uffd, uintptr_t at, size_t bytes, int protects)
{
	struct uffdio_register r = {.range = {at, bytes},
				    .mode = UFFDIO_REGISTER_MODE_MISSING |
					    (protects ? UFFDIO_REGISTER_MODE_WP : 0)};

	return done(ioctl(uffd, UFFDIO_REGISTER, &r));
}

/* Wakes nobody: G3. */
int uffd_copy(int uffd, uintptr_t at, const void *from, int protect)
{
	struct uffdio_copy c = {.dst = at, .src = (uintptr_t)from, .len = PAGE};
	int err;

	c.mode = UFFDIO_COPY_MODE_DONTWAKE | (protect ? UFFDIO_COPY_MODE_WP : 0);
	do
		err = done(ioctl(uffd, UFFDIO_COPY, &c));
	while (err == -EAGAIN);
	return err;
}

int uffd_protect(int uffd, uintptr_t at, size_t bytes, int on)
{
	struct uffdio_writeprotect w = {.range = {at, bytes}};
	int err;

	w.mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : UFFDIO_WRITEPROTECT_MODE_DONTWAKE;
	do
		err = done(ioctl(uffd, UFFDIO_WRITEPROTECT, &w));
	while (err == -EAGAIN);
	return err;
}

int uffd_wake(int uffd, uintptr_t at, size_t bytes)
{
	struct uffdio_range r = {at, bytes};

	return done(ioctl(uffd, UFFDIO_WAKE, &r));
}

/* ---- to another process ---- */

struct letter {
	uintptr_t at;
	size_t bytes;
	int protects;
};

union room {
	struct cmsghdr head;
	char bytes[CMSG_SPACE(sizeof(int))];
};

int uffd_send(int socket, int uffd, uintptr_t at, size_t bytes, int protects)
{
	struct letter letter = {at, bytes, protects};
	struct iovec io = {&letter, sizeof(letter)};
	union room room;
	struct msghdr msg = {.msg_iov = &io,
			     .msg_iovlen = 1,
			     .msg_control = &room,
			     .msg_controllen = sizeof(room)};

	memset(&room, 0, sizeof(room));
	room.head.cmsg_level = SOL_SOCKET;
	room.head.cmsg_type = SCM_RIGHTS;
	room.head.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&room.head), &uffd, sizeof(int));
	return sendmsg(socket, &msg, MSG_NOSIGNAL) == sizeof(letter) ? 0 : -EIO;
}

int uffd_receive(int socket, uintptr_t *at, size_t *bytes, int *protects)
{
	struct letter letter;
	struct iovec io = {&letter, sizeof(letter)};
	union room room;
	struct msghdr msg = {.msg_iov = &io,
			     .msg_iovlen = 1,
			     .msg_control = &room,
			     .msg_controllen = sizeof(room)};
	int fd;

	if (recvmsg(socket, &msg, MSG_CMSG_CLOEXEC) != sizeof(letter) || !CMSG_FIRSTHDR(&msg))
		return -EIO;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	*at = letter.at;
	*bytes = letter.bytes;
	*protects = letter.protects;
	return fd;
}
