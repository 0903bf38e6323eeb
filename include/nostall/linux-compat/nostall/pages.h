/* SPDX-License-Identifier: MIT */
/* pages.h - <nostall/pages.h> for programs that are built with -I to this folder alone. */
#include "../../pages.h"
