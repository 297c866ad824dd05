/* SPDX-License-Identifier: BSD-3-Clause */
/* Who on this machine uses an image file. */
#ifndef TOOLS_POOL_POOL_HOLDER_H
#define TOOLS_POOL_POOL_HOLDER_H

#include "core/base/errbuf.h"

/* @fd: the image, open by the caller, who does not count. 0: nobody that can be seen; -EBUSY: eb names one of them. */
int pool_holder_find(int fd, struct errbuf *eb);

#endif
