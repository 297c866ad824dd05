/* SPDX-License-Identifier: BSD-3-Clause */
/* Status codes in the words of the specification. */
#ifndef TOOLS_NVRING_NVME_STATUS_H
#define TOOLS_NVRING_NVME_STATUS_H

#include <stdint.h>

#define NVP_STATUS_TEXT_MAX 160

/* "Invalid Field in Command: …" of NVME_STATUS() with or without the bits above. Returns @buf. Pure. */
const char *nvp_status_text(uint16_t status, char buf[NVP_STATUS_TEXT_MAX]);

#endif
