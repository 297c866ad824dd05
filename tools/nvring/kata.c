/* SPDX-License-Identifier: BSD-3-Clause */
/* Direct volumes of Kata Containers. */
#include "tools/nvring/kata.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/nvring/cdi.h"
#include "tools/shared/b64.h"
#include "tools/shared/jget.h"
#include "tools/shared/jsonfile.h"

#define VOLUME_TYPE "spdkvol"
#define FILE_NAME   "mountInfo.json"
#define VOLUME_MAX  180 /* a file's name has 255 characters, base64 makes four of three */

int kata_folder(const char *dir, const char *volume, char ret[PATH_MAX], struct errbuf *eb)
{
	char name[B64_CHARS(VOLUME_MAX)];

	if (volume[0] != '/')
		return errbuf_set(eb, -EINVAL, "%.200s: must be a whole path", volume);
	if (strlen(volume) > VOLUME_MAX)
		return errbuf_set(eb, -ENAMETOOLONG, "%.200s: longer than %d characters", volume, VOLUME_MAX);
	b64_encode(volume, strlen(volume), name);
	if ((size_t)snprintf(ret, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX)
		return errbuf_set(eb, -ENAMETOOLONG, "%.200s: the path is too long", dir);
	return 0;
}

struct json_object *kata_build(const char *socket, const char *fstype)
{
	struct json_object *obj = json_object_new_object();

	json_object_object_add(obj, "volume_type", json_object_new_string(VOLUME_TYPE));
	json_object_object_add(obj, "device", json_object_new_string(socket));
	json_object_object_add(obj, "fs_type", json_object_new_string(fstype));
	json_object_object_add(obj, "metadata", json_object_new_object());
	json_object_object_add(obj, "options", json_object_new_array());
	return obj;
}

/* The file of @volume: 0 ours, -ENOENT none, else -errno with eb. */
static int find_file(const char *folder, char path[PATH_MAX], struct errbuf *eb)
{
	struct json_object *obj;
	int err = 0;

	if ((size_t)snprintf(path, PATH_MAX, "%s/" FILE_NAME, folder) >= PATH_MAX)
		return errbuf_set(eb, -ENAMETOOLONG, "%.200s: the path is too long", folder);
	if (access(path, F_OK))
		return errno == ENOENT ? -ENOENT : errbuf_set(eb, -errno, "%s: %s", path, strerror(errno));
	obj = json_object_from_file(path);
	if (strcmp(jget_text(obj, "volume_type"), VOLUME_TYPE) != 0)
		err = errbuf_set(eb, -EEXIST, "%s: is not of type " VOLUME_TYPE ", left as it is", path);
	json_object_put(obj);
	return err;
}

int kata_write(const char *dir, const char *volume, struct json_object *obj, struct errbuf *eb)
{
	char folder[PATH_MAX], path[PATH_MAX];
	int err = kata_folder(dir, volume, folder, eb);

	if (!err)
		err = find_file(folder, path, eb);
	if (err && err != -ENOENT)
		return err;
	if (mkdir(folder, 0700) && errno != EEXIST)
		return errbuf_set(eb, -errno, "%s: cannot be made: %s", folder, strerror(errno));
	return jsonfile_save(path, obj, 0644, eb);
}

int kata_remove(const char *dir, const char *volume, struct errbuf *eb)
{
	char folder[PATH_MAX], path[PATH_MAX];
	int err = kata_folder(dir, volume, folder, eb);

	if (err)
		return err;
	err = find_file(folder, path, eb);
	if (err == -ENOENT)
		return errbuf_set(eb, -ENOENT, "%s: no such file: the volume is not known", path);
	if (!err && unlink(path))
		err = errbuf_set(eb, -errno, "%s: %s", path, strerror(errno));
	if (!err)
		(void)rmdir(folder); /* not empty: the runtime's own files */
	return err;
}
