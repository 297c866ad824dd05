/* SPDX-License-Identifier: BSD-3-Clause */
/* Built without libfuse3. */
#include "vdpa/fusefile_sess.h"

#include <errno.h>

int fusefile_sess_check(struct errbuf *eb)
{
	return errbuf_set(eb, -ENOTSUP,
			  "this nvring was built without libfuse3: attach as ublk or nbd, or build it with libfuse3-dev");
}

int fusefile_sess_open(struct fusefile_sess *s, int fd, struct errbuf *eb)
{
	(void)s;
	(void)fd;
	return fusefile_sess_check(eb);
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
