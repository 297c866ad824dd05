/* SPDX-License-Identifier: BSD-3-Clause */
/* Written beside, renamed, and the folder after it. */
#include "tools/shared/jsonfile.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FLAGS (JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE)

static int write_all(int fd, const char *text)
{
	size_t left = strlen(text);

	while (left) {
		ssize_t n = write(fd, text, left);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			text += n;
			left -= (size_t)n;
		}
	}
	return 0;
}

/* A rename is durable once the folder is. */
static int sync_folder(const char *path)
{
	char dir[PATH_MAX];
	char *slash;
	int fd, err = 0;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (slash)
		slash[slash == dir] = '\0';
	fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fsync(fd))
		err = -errno;
	close(fd);
	return err;
}

static int fill(int fd, const char *path, struct json_object *json, mode_t mode)
{
	struct stat st;
	int err = write_all(fd, json_object_to_json_string_ext(json, FLAGS));

	if (!err)
		err = write_all(fd, "\n");
	if (!err && (fchmod(fd, stat(path, &st) == 0 ? st.st_mode & 0777 : mode) || fsync(fd)))
		err = -errno;
	return err;
}

int jsonfile_save(const char *path, struct json_object *json, mode_t mode, struct errbuf *eb)
{
	char tmp[PATH_MAX]; /* does not end in .json: whoever reads a folder of them passes it over */
	int fd, err;

	if ((size_t)snprintf(tmp, sizeof(tmp), "%s.XXXXXX", path) >= sizeof(tmp))
		return errbuf_set(eb, -ENAMETOOLONG, "%.200s: the path is too long", path);
	fd = mkostemp(tmp, O_CLOEXEC);
	if (fd < 0)
		return errbuf_set(eb, -errno, "%s: cannot write: %s", path, strerror(errno));
	err = fill(fd, path, json, mode);
	close(fd);
	if (!err && rename(tmp, path))
		err = -errno;
	if (err)
		unlink(tmp);
	else
		err = sync_folder(path);
	return err ? errbuf_set(eb, err, "%s: cannot write: %s", path, strerror(-err)) : 0;
}

int jsonfile_remove(const char *path, struct errbuf *eb)
{
	int err = unlink(path) ? -errno : sync_folder(path);

	return err ? errbuf_set(eb, err, "%s: cannot be removed: %s", path, strerror(-err)) : 0;
}
