/* SPDX-License-Identifier: BSD-3-Clause */
/* A driver that plays a fuzzer's tune on a ring: inputs are acts, not noise. */
#ifndef TESTS_FUZZ_FUZZ_CHAIN_H
#define TESTS_FUZZ_FUZZ_CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Play @data on one ring; aborts when the device side does what it never may. */
void fuzz_chain(bool packed, const uint8_t *data, size_t len);

#endif
