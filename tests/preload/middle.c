/* SPDX-License-Identifier: MIT */
/*
 * middle.c - all that the program knows of deep.c.
 */
#include "deep.h"
#include "middle.h"

int middle_ran_first(void)
{
	return deep_ran_first();
}

unsigned int middle_wrong(void)
{
	return deep_wrong();
}

unsigned char *middle_made(unsigned int n)
{
	return n < DEEP_MADE ? deep_made(n) : 0;
}
