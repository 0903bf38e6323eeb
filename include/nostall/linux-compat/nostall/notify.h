/* SPDX-License-Identifier: MIT */
/* notify.h - <nostall/notify.h> for programs that are built with -I to this folder alone. */
#include "../../notify.h"
