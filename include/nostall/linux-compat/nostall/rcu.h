/* SPDX-License-Identifier: MIT */
/* rcu.h - <nostall/rcu.h> for programs that are built with -I to this folder alone. */
#include "../../rcu.h"
