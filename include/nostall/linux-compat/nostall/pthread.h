/* SPDX-License-Identifier: MIT */
/* pthread.h - <nostall/pthread.h> for programs that are built with -I to this folder alone. */
#include "../../pthread.h"
