/* SPDX-License-Identifier: MIT */
/* nostall.h - <nostall/nostall.h> for programs that are built with -I to this folder alone. */
#include "../../nostall.h"
