/* SPDX-License-Identifier: MIT */
/* alloc.h - <nostall/alloc.h> for programs that are built with -I to this folder alone. */
#include "../../alloc.h"
