/* SPDX-License-Identifier: MIT */
/* math.h - the kernel's spelling: quotients and multiples; those of round_up() and round_down() are powers of two. */
#ifndef NST_COMPAT_MATH_H
#define NST_COMPAT_MATH_H

#define round_up(x, y) ((((x)-1) | ((__typeof__(x))((y)-1))) + 1)
#define round_down(x, y) ((x) & ~((__typeof__(x))((y)-1)))
#ifndef DIV_ROUND_UP
#define DIV_ROUND_UP(n, d) (((n) + (d)-1) / (d))
#endif
#define DIV_ROUND_CLOSEST(n, d) (((n) + (d) / 2) / (d)) /* of what is not below 0 */
#define roundup(x, y) (DIV_ROUND_UP(x, y) * (y))
#define rounddown(x, y) ((x) - (x) % (y))

#endif
