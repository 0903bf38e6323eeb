/* SPDX-License-Identifier: MIT */
/* printk.h - the kernel's spelling: lines to standard error. No levels are filtered. */
#ifndef NST_COMPAT_PRINTK_H
#define NST_COMPAT_PRINTK_H

#include <stdio.h>

#ifndef pr_fmt
#define pr_fmt(text) text
#endif
#define KERN_ERR ""
#define KERN_WARNING ""
#define KERN_NOTICE ""
#define KERN_INFO ""
#define KERN_DEBUG ""
#define printk(...) fprintf(stderr, __VA_ARGS__)
#define pr_err(text, ...) fprintf(stderr, pr_fmt(text), ##__VA_ARGS__)
#define pr_warn(text, ...) fprintf(stderr, pr_fmt(text), ##__VA_ARGS__)
#define pr_notice(text, ...) fprintf(stderr, pr_fmt(text), ##__VA_ARGS__)
#define pr_info(text, ...) fprintf(stderr, pr_fmt(text), ##__VA_ARGS__)
#define pr_devel(text, ...) pr_debug(text, ##__VA_ARGS__)
#define pr_debug(text, ...) ((void)sizeof(fprintf(stderr, pr_fmt(text), ##__VA_ARGS__)))

#endif
