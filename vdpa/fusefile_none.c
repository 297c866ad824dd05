/* SPDX-License-Identifier: BSD-3-Clause */
/* Built without libfuse3. */
#include "vdpa/fusefile_sess.h"

#include <errno.h>

int fusefile_sess_open(struct fusefile_sess *s, int fd, struct errbuf *eb)
{
	(void)s;
	(void)fd;
	return errbuf_set(eb, -ENOTSUP, "this nvring was built without libfuse3: install libfuse3-dev and build it again");
}

void fusefile_sess_close(struct fusefile_sess *s)
{
	(void)s;
}

void fusefile_sess_start(struct fusefile_sess *s, struct bdev_chan *chan)
{
	(void)s;
	(void)chan;
}

void fusefile_sess_leave(struct fusefile_sess *s)
{
	(void)s;
}
