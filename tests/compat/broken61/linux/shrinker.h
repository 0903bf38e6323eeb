/* SPDX-License-Identifier: MIT */
/* shrinker.h - broken on purpose (61): nobody is asked to give memory back. The tests must catch it. */
#include_next <linux/shrinker.h>
#ifndef TEST_BROKEN_SHRINKER_H
#define TEST_BROKEN_SHRINKER_H

#define shrinker_register(s) ((void)(s))

#endif
