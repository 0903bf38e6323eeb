/* SPDX-License-Identifier: MIT */
/*
 * fuzz.h - the fuzz target, by the name that libFuzzer calls.
 */
#ifndef TEST_FUZZ_H
#define TEST_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Operations made so far. */
uint64_t fuzz_operations(void);

#endif
