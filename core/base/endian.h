/* SPDX-License-Identifier: BSD-3-Clause */
/* Little-endian integers of the wire as types, so that a missing conversion does not compile. */
#ifndef CORE_BASE_ENDIAN_H
#define CORE_BASE_ENDIAN_H

#include <endian.h>
#include <stdint.h>

typedef struct {
	uint16_t v;
} le16;

typedef struct {
	uint32_t v;
} le32;

typedef struct {
	uint64_t v;
} le64;

static inline uint16_t le16_get(le16 x)
{
	return le16toh(x.v);
}

static inline uint32_t le32_get(le32 x)
{
	return le32toh(x.v);
}

static inline uint64_t le64_get(le64 x)
{
	return le64toh(x.v);
}

static inline le16 le16_make(uint16_t x)
{
	return (le16){ htole16(x) };
}

static inline le32 le32_make(uint32_t x)
{
	return (le32){ htole32(x) };
}

static inline le64 le64_make(uint64_t x)
{
	return (le64){ htole64(x) };
}

#endif
