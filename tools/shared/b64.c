/* SPDX-License-Identifier: BSD-3-Clause */
/* Three bytes are four characters. */
#include "tools/shared/b64.h"

#include <errno.h>
#include <stdint.h>

void b64_encode(const void *data, size_t len, char *buf)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	const uint8_t *p = data;

	for (; len >= 3; len -= 3, p += 3) {
		*buf++ = digits[p[0] >> 2];
		*buf++ = digits[(p[0] & 3) << 4 | p[1] >> 4];
		*buf++ = digits[(p[1] & 15) << 2 | p[2] >> 6];
		*buf++ = digits[p[2] & 63];
	}
	if (len) {
		unsigned second = len == 2 ? p[1] : 0;

		*buf++ = digits[p[0] >> 2];
		*buf++ = digits[(p[0] & 3) << 4 | second >> 4];
		*buf++ = len == 2 ? digits[(second & 15) << 2] : '=';
		*buf++ = '=';
	}
	*buf = '\0';
}

static int digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '-' || c == '+')
		return 62;
	return c == '_' || c == '/' ? 63 : -1;
}

int b64_decode(const char *text, size_t len, void *buf, size_t room, size_t *ret_len)
{
	uint8_t *out = buf;
	uint32_t bits = 0;
	unsigned nbits = 0;
	size_t n = 0;

	for (unsigned i = 0; i < 2 && len && text[len - 1] == '='; i++)
		len--;
	if (len % 4 == 1)
		return -EINVAL;
	for (; len; len--, text++) {
		int d = digit(*text);

		if (d < 0)
			return -EINVAL;
		bits = bits << 6 | (uint32_t)d;
		nbits += 6;
		if (nbits < 8)
			continue;
		nbits -= 8;
		if (n == room)
			return -ENOSPC;
		out[n++] = (uint8_t)(bits >> nbits);
	}
	*ret_len = n;
	return 0;
}
