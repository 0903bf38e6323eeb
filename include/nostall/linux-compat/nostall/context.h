/* SPDX-License-Identifier: MIT */
/* context.h - <nostall/context.h> for programs that are built with -I to this folder alone. */
#include "../../context.h"
