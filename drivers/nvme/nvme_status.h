/* SPDX-License-Identifier: BSD-3-Clause */
/* What a completion says: as an error number, as words, and whether to try again (3.3.3.2.1). */
#ifndef DRIVERS_NVME_NVME_STATUS_H
#define DRIVERS_NVME_NVME_STATUS_H

#include <stdbool.h>
#include <stdint.h>

/* @status: the field without the phase bit, with CRD, M and DNR. 0 for success, else -errno. */
int nvme_status_errno(uint16_t status);

/* May the same command succeed later? DNR says no; so does an error of our own. */
bool nvme_status_may_retry(uint16_t status);

/* Is it about the way between us and the namespace (SCT 3h), and not for good? The command has ended all the same. Whether
 * this controller, or only another one, can carry it out later is not for us to say. */
bool nvme_status_is_path(uint16_t status);

/* Static text, never NULL. */
const char *nvme_status_name(uint16_t status);

#endif
