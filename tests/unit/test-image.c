/* SPDX-License-Identifier: MIT */
/*
 * What an image is: names, what is refused, who is named as the other user.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>
#include <cmocka.h>

#include "image.h"
#include "num.h"

static char dir[] = "/tmp/taptools-test-XXXXXX";
static char path[64];

static const struct image_options writer = {0};
static const struct image_options reader = {.read_only = true};
static const struct image_options sharer = {.shared = true};

static int make_dir(void **state)
{
	strcpy(strrchr(dir, '-'), "-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/disk.img", dir);
	return 0;
}

static int remove_dir(void **state)
{
	unlink(path);
	return rmdir(dir);
}

static void make_file(off_t size_bytes)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size_bytes), 0);
	close(fd);
}

static void check_canonical(const char *spec, const char *want)
{
	char buf[IMAGE_SPEC_MAX];
	struct err e = {0};

	if (image_canonical(spec, buf, &e))
		fail_msg("'%s': %s", spec, e.what);
	assert_string_equal(buf, want);
}

static void names(void **state)
{
	char cwd[PATH_MAX], want[PATH_MAX + 32];

	assert_non_null(getcwd(cwd, sizeof(cwd)));
	snprintf(want, sizeof(want), "file:%s/a.img", cwd);
	check_canonical("a.img", want);
	check_canonical("./a.img", want);
	check_canonical(".//./a.img", want);
	check_canonical("file:a.img", want);
	check_canonical("/srv/a.img", "file:/srv/a.img");
	check_canonical("file:/srv/a.img", "file:/srv/a.img");
	check_canonical("aio:/srv/a.img", "file:/srv/a.img");
	check_canonical("/srv/null:1G", "file:/srv/null:1G");
	check_canonical("file:/srv/a:b", "file:/srv/a:b");
	snprintf(want, sizeof(want), "file:%s/null:1G", cwd);
	check_canonical("./null:1G", want);
	check_canonical("file:null:1G", want);
	check_canonical("null:1G", "null:1G");
}

static void names_that_are_none(void **state)
{
	static const char *const specs[] = {
		"",	  "file:",  "qcow2:a.img", "fil:a.img", ":a.img",    "null:",
		"null:0", "null:1", "null:-512",   "null:1000", "null: 512", "null:16777216T",
	};
	char buf[IMAGE_SPEC_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(specs); i++) {
		struct err e = {0};
		struct image *image;

		if (image_canonical(specs[i], buf, &e) >= 0 || e.exit != TAP_EXIT_USAGE)
			fail_msg("canonical '%s': exit %d", specs[i], e.exit);
		e = (struct err){0};
		if (image_open(&image, specs[i], NULL, &e) >= 0 || e.exit != TAP_EXIT_USAGE)
			fail_msg("open '%s': exit %d", specs[i], e.exit);
	}
}

static void names_that_are_too_long(void **state)
{
	char spec[IMAGE_SPEC_MAX + 1], buf[IMAGE_SPEC_MAX];
	struct err e = {0};

	memset(spec, 'x', IMAGE_SPEC_MAX);
	spec[IMAGE_SPEC_MAX] = '\0';
	assert_int_equal(image_canonical(spec, buf, &e), -ENAMETOOLONG);
	assert_int_equal(e.exit, TAP_EXIT_USAGE);
	assert_non_null(strstr(e.what, "xxx...': the name is too long"));
	spec[0] = '/';
	assert_int_equal(image_canonical(spec, buf, &e), -ENAMETOOLONG);
	spec[IMAGE_SPEC_MAX - sizeof("file:") + 1] = '\0';
	assert_int_equal(image_canonical(spec, buf, &e), -ENAMETOOLONG);
	spec[IMAGE_SPEC_MAX - sizeof("file:")] = '\0';
	assert_int_equal(image_canonical(spec, buf, &e), 0);
	assert_string_equal(buf + strlen("file:"), spec);
}

/* A name is relative to a folder that may be gone. */
static void in_no_folder(void **state)
{
	int before = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char buf[IMAGE_SPEC_MAX];
	struct err e = {0};
	int ret;

	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(chdir(path), 0);
	assert_int_equal(rmdir(path), 0);
	ret = image_canonical("a.img", buf, &e);
	assert_int_equal(fchdir(before), 0);
	close(before);
	assert_int_equal(ret, -ENOENT);
	assert_int_equal(e.exit, TAP_EXIT_SYSTEM);
	assert_non_null(strstr(e.what, "cannot make 'a.img' an absolute path"));
}

static void check_refused(const char *spec, const struct image_options *options, int ret,
			  enum tap_exit status, const char *word)
{
	struct image *image;
	struct err e = {0};

	assert_int_equal(image_probe(spec, options, NULL, &e), ret);
	assert_int_equal(e.exit, status);
	if (!strstr(e.what, word))
		fail_msg("'%s' lacks '%s'", e.what, word);
	e = (struct err){0};
	assert_int_equal(image_open(&image, spec, options, &e), ret);
	assert_int_equal(e.exit, status);
	if (!strstr(e.what, word))
		fail_msg("'%s' lacks '%s'", e.what, word);
}

static void refused(void **state)
{
	char below[96];

	check_refused(path, &writer, -ENOENT, TAP_EXIT_NONE, path);
	check_refused(dir, &writer, -EISDIR, TAP_EXIT_IMAGE, "directory");
	check_refused("/dev/zero", &writer, -EINVAL, TAP_EXIT_IMAGE, "neither");
	make_file(0);
	check_refused(path, &writer, -EINVAL, TAP_EXIT_IMAGE, "empty");
	make_file(1000);
	check_refused(path, &writer, -EINVAL, TAP_EXIT_IMAGE, "multiple of 512");
	snprintf(below, sizeof(below), "%s/x", path);
	check_refused(below, &writer, -ENOTDIR, TAP_EXIT_NONE, below);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	check_refused(path, &reader, -EINVAL, TAP_EXIT_IMAGE, "neither"); /* and returns at all */
}

static void without_permission(void **state)
{
	if (!geteuid())
		assert_int_equal(seteuid(65534), 0);
	make_file(4096);
	assert_int_equal(chmod(path, 0400), 0);
	check_refused(path, &writer, -EACCES, TAP_EXIT_IMAGE, "Permission denied");
	assert_int_equal(image_probe(path, &reader, NULL, NULL), 0);
	assert_int_equal(chmod(path, 0), 0);
	check_refused(path, &reader, -EACCES, TAP_EXIT_IMAGE, "Permission denied");
	unlink(path);
}

static int make_dir_for_all(void **state)
{
	return make_dir(state) || chmod(dir, 0777);
}

static int remove_dir_as_root(void **state)
{
	return (!getuid() && seteuid(0)) || remove_dir(state);
}

static void facts(void **state)
{
	struct image_facts facts;
	struct stat st;

	make_file(1 << 20);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(image_probe(path, NULL, &facts, NULL), 0);
	assert_string_equal(facts.engine, "file");
	assert_int_equal(facts.size_bytes, 1 << 20);
	assert_int_equal(facts.logical_sector_bytes, 512);
	assert_false(facts.is_device);
	assert_int_equal(facts.inode, st.st_ino);
	assert_int_equal(facts.device, st.st_dev);
	/* Either way, but never without a reason. */
	assert_int_equal(facts.direct, !facts.note[0]);

	assert_int_equal(image_probe(path, &(struct image_options){.buffered = true}, &facts, NULL),
			 0);
	assert_false(facts.direct);
	assert_string_equal(facts.note, "");

	assert_int_equal(image_probe("null:3M", NULL, &facts, NULL), 0);
	assert_string_equal(facts.engine, "null");
	assert_int_equal(facts.size_bytes, 3 << 20);
}

static void no_direct_io_is_said(void **state)
{
	struct image_facts facts;

	/* A file of sysfs has the size of a page and no O_DIRECT. */
	if (access("/sys/kernel/uevent_seqnum", R_OK))
		skip();
	if (image_probe("/sys/kernel/uevent_seqnum", &reader, &facts, NULL))
		skip();
	assert_false(facts.direct);
	assert_true(facts.note[0]);
}

static void check_pair(const struct image_options *first, const struct image_options *second,
		       int want)
{
	struct image *one, *two;
	struct err e = {0};
	int ret;

	assert_int_equal(image_open(&one, path, first, NULL), 0);
	ret = image_open(&two, path, second, &e);
	if (ret != want)
		fail_msg("the second one got %d instead of %d: %s", ret, want, e.what);
	if (!ret) {
		image_close(two);
	} else {
		char holder[64];

		snprintf(holder, sizeof(holder), "in use by process %d (", (int)getpid());
		assert_int_equal(e.exit, TAP_EXIT_BUSY);
		if (!strstr(e.what, holder))
			fail_msg("'%s' lacks '%s'", e.what, holder);
	}
	/* A probe neither minds nor leaves a lock. */
	assert_int_equal(image_probe(path, second, NULL, NULL), 0);
	image_close(one);
	assert_int_equal(image_open(&one, path, &writer, NULL), 0);
	assert_int_equal(image_probe(path, &writer, NULL, NULL), 0);
	image_close(one);
}

static void one_writer(void **state)
{
	make_file(4096);
	check_pair(&writer, &writer, -EBUSY);
	check_pair(&writer, &reader, -EBUSY);
	check_pair(&reader, &writer, -EBUSY);
	check_pair(&writer, &sharer, -EBUSY);
	check_pair(&sharer, &writer, -EBUSY);
	check_pair(&reader, &reader, 0);
	check_pair(&sharer, &sharer, 0);
	check_pair(&sharer, &reader, 0);
}

/* A lock of the old kind belongs to a process, which the kernel can name. */
static void other_programs_locks_count(void **state)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 1};
	struct image *image;
	struct err e = {0};
	char holder[64];
	int fd;

	make_file(4096);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(fcntl(fd, F_SETLK, &lock), 0);
	assert_int_equal(image_open(&image, path, NULL, &e), -EBUSY);
	snprintf(holder, sizeof(holder), "in use by process %d (", (int)getpid());
	assert_non_null(strstr(e.what, holder));
	close(fd);
}

static void resizing(void **state)
{
	struct image *image;
	struct err e = {0};

	make_file(4096);
	assert_int_equal(image_open(&image, path, NULL, NULL), 0);
	assert_true(image_facts(image)->can_flush);
	assert_int_equal(truncate(path, 8192), 0);
	assert_int_equal(image_facts(image)->size_bytes, 4096);
	assert_int_equal(image_resize(image, NULL), 0);
	assert_int_equal(image_facts(image)->size_bytes, 8192);
	assert_int_equal(truncate(path, 8193), 0);
	assert_int_equal(image_resize(image, &e), -EINVAL);
	assert_int_equal(e.exit, TAP_EXIT_IMAGE);
	assert_int_equal(image_facts(image)->size_bytes, 8192);
	assert_int_equal(truncate(path, 4096), 0);
	assert_int_equal(image_resize(image, NULL), 0);
	assert_int_equal(image_facts(image)->size_bytes, 4096);
	image_close(image);
}

#define in_dir(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(names_that_are_none),
		cmocka_unit_test(names_that_are_too_long),
		in_dir(in_no_folder),
		in_dir(refused),
		cmocka_unit_test_setup_teardown(without_permission, make_dir_for_all,
						remove_dir_as_root),
		in_dir(facts),
		cmocka_unit_test(no_direct_io_is_said),
		in_dir(one_writer),
		in_dir(other_programs_locks_count),
		in_dir(resizing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
