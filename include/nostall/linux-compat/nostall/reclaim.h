/* SPDX-License-Identifier: MIT */
/* reclaim.h - <nostall/reclaim.h> for programs that are built with -I to this folder alone. */
#include "../../reclaim.h"
