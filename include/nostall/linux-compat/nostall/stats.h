/* SPDX-License-Identifier: MIT */
/* stats.h - <nostall/stats.h> for programs that are built with -I to this folder alone. */
#include "../../stats.h"
