/* SPDX-License-Identifier: MIT */
/*
 * eater.c - needs EATEN bytes of static thread-local storage.
 */
char *eater_use(void);

static __thread char eaten[EATEN] __attribute__((tls_model("initial-exec")));

char *eater_use(void)
{
	return eaten;
}
