/* SPDX-License-Identifier: BSD-3-Clause */
/* Fuzz target: the device side of a packed ring. */
#include "tests/fuzz/fuzz_chain.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	fuzz_chain(true, data, len);
	return 0;
}
