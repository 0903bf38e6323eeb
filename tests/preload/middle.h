/* SPDX-License-Identifier: MIT */
/*
 * middle.h - what a library that lies deep among the program's dependencies did before main().
 */
#ifndef TEST_MIDDLE_H
#define TEST_MIDDLE_H

/* Its constructor found that the malloc library had not started yet. */
int middle_ran_first(void);
/* Objects of its constructor and its atfork handlers that were not as they should be. */
unsigned int middle_wrong(void);
/* What its constructor made: 100 + @n bytes with @n in each; NULL after the last. */
unsigned char *middle_made(unsigned int n);

#endif
