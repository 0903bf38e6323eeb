/* SPDX-License-Identifier: MIT */
/*
 * deep.h - between deep.c and middle.c, whose header says what each is.
 */
#ifndef TEST_DEEP_H
#define TEST_DEEP_H

#define DEEP_MADE 2000u

int deep_ran_first(void);
unsigned int deep_wrong(void);
unsigned char *deep_made(unsigned int n);

#endif
