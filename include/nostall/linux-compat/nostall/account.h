/* SPDX-License-Identifier: MIT */
/* account.h - <nostall/account.h> for programs that are built with -I to this folder alone. */
#include "../../account.h"
