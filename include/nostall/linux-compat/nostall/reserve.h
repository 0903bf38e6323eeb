/* SPDX-License-Identifier: MIT */
/* reserve.h - <nostall/reserve.h> for programs that are built with -I to this folder alone. */
#include "../../reserve.h"
