/* SPDX-License-Identifier: MIT */
/* lockdep.h - <nostall/lockdep.h> for programs that are built with -I to this folder alone. */
#include "../../lockdep.h"
