/* SPDX-License-Identifier: BSD-3-Clause */
/* Files that shrink under their mappings. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/cc.h"
#include "core/sigbus.h"

#define PAGE  4096u
#define PAGES 8u

/* In each test: cmocka sets handlers of its own before it. */
static void guard(void)
{
	assert_int_equal(sigbus_guard_start(), 0);
	assert_int_equal(sigbus_guard_start(), 0);
}

struct file {
	int fd;
	volatile char *va;
};

static void file_make(struct file *f)
{
	f->fd = memfd_create("file", MFD_CLOEXEC);
	assert_true(f->fd >= 0);
	assert_int_equal(ftruncate(f->fd, PAGES * PAGE), 0);
	f->va = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
	assert_ptr_not_equal(f->va, MAP_FAILED);
	for (unsigned i = 0; i < PAGES; i++)
		f->va[i * PAGE] = (char)('a' + i);
}

static void file_add(const struct file *f, struct sigbus_owner *owner)
{
	const struct sigbus_range r = { (void *)(uintptr_t)f->va, PAGES * PAGE, PAGE, "test",
					owner };

	assert_int_equal(sigbus_range_add(&r), 0);
}

static void file_drop(struct file *f)
{
	munmap((void *)(uintptr_t)f->va, PAGES * PAGE);
	close(f->fd);
}

/* From the page that was touched on there are zeroes, writable ones; what is there still is the
 * file's. */
static void what_is_gone_reads_as_zero(void **state)
{
	struct sigbus_owner o;
	struct file f;
	uint64_t n = 0;

	(void)state;
	guard();
	assert_int_equal(sigbus_owner_init(&o), 0);
	file_make(&f);
	file_add(&f, &o);
	assert_int_equal(ftruncate(f.fd, 3 * PAGE), 0);
	assert_int_equal(f.va[2 * PAGE], 'c');
	assert_null(o.what);
	assert_int_equal(f.va[5 * PAGE + 7], 0);
	assert_string_equal(o.what, "test");
	assert_int_equal(read(o.fd, &n, sizeof(n)), sizeof(n));
	assert_int_equal(n, 1);
	f.va[7 * PAGE] = 'x'; /* the same pages: no further fault */
	assert_true(read(o.fd, &n, sizeof(n)) < 0);
	f.va[3 * PAGE] = 'y';
	assert_int_equal(read(o.fd, &n, sizeof(n)), sizeof(n));
	assert_int_equal(f.va[2 * PAGE], 'c');
	sigbus_range_del((const void *)(uintptr_t)f.va);
	file_drop(&f);
	sigbus_owner_fini(&o);
}

#define MANY 700

static void any_number_of_ranges(void **state)
{
	static struct file files[MANY];
	struct sigbus_owner o;

	(void)state;
	guard();
	assert_int_equal(sigbus_owner_init(&o), 0);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < MANY; i++) {
			file_make(&files[i]);
			file_add(&files[i], i == MANY - 1 ? &o : NULL);
		}
		for (unsigned i = round; i < MANY; i += 3) {
			assert_int_equal(ftruncate(files[i].fd, 0), 0);
			assert_int_equal(files[i].va[PAGE], 0);
		}
		for (unsigned i = 0; i < MANY; i++) {
			sigbus_range_del((const void *)(uintptr_t)files[i].va);
			file_drop(&files[i]);
		}
	}
	assert_non_null(o.what); /* the last one, in the first round */
	sigbus_owner_fini(&o);
}

/* Touch the second page of @f in a child: does it survive? */
static bool child_survives(const struct file *f)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)signal(SIGBUS, SIG_DFL);
		guard();
		_exit(f->va[PAGE]);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Other mappings, and those that were taken back: as without the guard. */
static void all_others_end_the_process(void **state)
{
	struct file f, other;

	(void)state;
	guard();
	file_make(&f);
	file_make(&other);
	assert_int_equal(ftruncate(f.fd, 0), 0);
	assert_int_equal(ftruncate(other.fd, 0), 0);
	assert_false(child_survives(&f));
	file_add(&f, NULL);
	assert_true(child_survives(&f));
	assert_false(child_survives(&other));
	sigbus_range_del((const void *)(uintptr_t)f.va);
	assert_false(child_survives(&f));
	file_drop(&f);
	file_drop(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_gone_reads_as_zero),
		cmocka_unit_test(any_number_of_ranges),
		cmocka_unit_test(all_others_end_the_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
