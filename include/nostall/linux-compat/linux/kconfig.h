/* SPDX-License-Identifier: MIT */
/* kconfig.h - the kernel's spelling: IS_ENABLED(CONFIG_X) is 1 if CONFIG_X is defined as 1 (-DCONFIG_X=1), else 0. */
#ifndef NST_COMPAT_KCONFIG_H
#define NST_COMPAT_KCONFIG_H

/* Of what is 1 an argument more is made, so that the second is another. */
#define NST_COMPAT_MORE_1 0,
#define NST_COMPAT_IS_1(value) NST_COMPAT_IS_1_HAS(value)
#define NST_COMPAT_IS_1_HAS(value) NST_COMPAT_IS_1_OF(NST_COMPAT_MORE_##value 1, 0, 0)
#define NST_COMPAT_IS_1_OF(...) NST_COMPAT_IS_1_SECOND(__VA_ARGS__)
#define NST_COMPAT_IS_1_SECOND(first, second, ...) second

#define IS_ENABLED(option) NST_COMPAT_IS_1(option)
#define IS_BUILTIN(option) IS_ENABLED(option)

#endif
