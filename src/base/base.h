/* SPDX-License-Identifier: MIT */
/*
 * base.h - FLOOR 0, the C language only: no libc call, no system call.
 */
#ifndef NST_BASE_BASE_H
#define NST_BASE_BASE_H

#include "compiler.h"
#include "atomic.h"
#include "bits.h"
#include "list.h"
#include "bug.h"
#include "testhook.h"
#include "thread.h"

#endif
