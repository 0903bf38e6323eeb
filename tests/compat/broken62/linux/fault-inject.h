/* SPDX-License-Identifier: MIT */
/* fault-inject.h - broken on purpose (62): the count begins one too late. The tests must catch it. */
#include_next <linux/fault-inject.h>
#ifndef TEST_BROKEN_FAULT_INJECT_H
#define TEST_BROKEN_FAULT_INJECT_H

#define nst_fault_arm(attr) (nst_fault_arm(attr), (void)((attr)->asked = 1))

#endif
