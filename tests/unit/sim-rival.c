/* SPDX-License-Identifier: MIT */
/*
 * Two disks of one image, through devices of a machine that is made up: see machine.h.
 */
#include "attach.h"
#include "machine.h"
#include "store.h"

#define BACKEND "/local/domain/0/backend/vbd/2/51728"

static const struct image_options writer = {0};
static const struct image_options reader = {.read_only = true};

static struct store *store;
static char file[PATH_MAX];

static int begin(void **state)
{
	char line[PATH_MAX + 1];

	if (machine_make(state) || store_open(&store, NULL))
		return -1;
	machine_put("/srv/disk.img", "");
	snprintf(file, sizeof(file), "%s/srv/disk.img", machine_dir);
	machine_add_device("loop0", 7, 0, "loop0");
	snprintf(line, sizeof(line), "%s\n", file);
	machine_put("/sys/devices/loop0/loop/backing_file", line);
	return 0;
}

static int end(void **state)
{
	int ret = store_remove(store, XBT_NULL, "/local/domain/0/backend");

	store_close(store);
	return ret || machine_remove(state);
}

/* Domain 2 has @image as xvdb, in blkback's words. */
static void attach(const char *image, const char *mode)
{
	assert_int_equal(store_write(store, XBT_NULL, BACKEND, NODE_IMAGE, "%s", image), 0);
	assert_int_equal(store_write(store, XBT_NULL, BACKEND, "mode", "%s", mode), 0);
}

static void check_rival(const char *image, const struct image_options *options, bool found)
{
	struct err e = {0};
	int ret = rival_find(store, XBT_NULL, image, options, &e);

	if (ret != (found ? -EBUSY : 0))
		fail_msg("'%s' got %d: %s", image, ret, e.what);
	if (!found)
		return;
	assert_int_equal(e.exit, TAP_EXIT_BUSY);
	assert_non_null(strstr(e.what, "web2/xvdb (kind vbd"));
}

static void a_loop_device_is_its_file(void **state)
{
	attach("/dev/loop0", "w");
	check_rival(file, &writer, true);
	check_rival("/dev/loop0", &writer, true);
	check_rival("/dev/sda", &writer, false);
	attach(file, "r");
	check_rival("/dev/loop0", &writer, true);
	check_rival("/dev/loop0", &reader, false);
}

static void a_loop_device_without_a_file(void **state)
{
	char path[PATH_MAX + 64];

	attach("/dev/loop0", "w");
	machine_put("/sys/devices/loop0/loop/backing_file", "");
	check_rival(file, &writer, false);
	snprintf(path, sizeof(path), "%s/sys/devices/loop0/loop/backing_file", machine_dir);
	assert_int_equal(unlink(path), 0);
	check_rival(file, &writer, false);
	check_rival("/dev/loop0", &writer, true);
}

static void a_disk_without_an_image(void **state)
{
	assert_int_equal(store_write(store, XBT_NULL, BACKEND, "mode", "w"), 0);
	check_rival("/dev/sda", &writer, false);
	attach("/dev/sda", "w");
	check_rival("/dev/sda", &writer, true);
}

#define with_store(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_store(a_loop_device_is_its_file),
		with_store(a_loop_device_without_a_file),
		with_store(a_disk_without_an_image),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
