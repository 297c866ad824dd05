/* SPDX-License-Identifier: BSD-3-Clause */
/* Guest memory of a session. Folder-internal; control thread. */
#ifndef VHOST_USER_VU_MEM_H
#define VHOST_USER_VU_MEM_H

#include "vhost/user/vu_session.h"

/* 0, -ENOMEM. */
int vu_mem_init(struct vu_mem *mem);
/* No ring runs. */
void vu_mem_fini(struct vu_mem *mem);

#endif
