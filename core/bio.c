/* SPDX-License-Identifier: BSD-3-Clause */
/* Names of block operations. */
#include "core/bio.h"

static const char *const op_names[] = {
	[BIO_READ] = "read",
	[BIO_WRITE] = "write",
	[BIO_FLUSH] = "flush",
	[BIO_DISCARD] = "discard",
	[BIO_WRITE_ZEROES] = "write_zeroes",
};
static_assert(ARRAY_SIZE(op_names) == BIO_OP_COUNT, "every operation has a name");

const char *bio_op_name(enum bio_op op)
{
	return op_names[op];
}
