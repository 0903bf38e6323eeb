/* SPDX-License-Identifier: MIT */
/* speculate.h - <nostall/speculate.h> for programs that are built with -I to this folder alone. */
#include "../../speculate.h"
