/* SPDX-License-Identifier: MIT */
/*
 * A block device as an image, on a machine that is made up: see machine.h.
 */
#include <poll.h>

#include "image.h"
#include "machine.h"

static const struct image_options writer = {0};
static const struct image_options reader = {.read_only = true};

static struct image *image;

static int close_image(void **state)
{
	image_close(image);
	image = NULL;
	return machine_remove(state);
}

static const struct image_facts *open_image(const char *path)
{
	struct err e = {0};

	image_close(image);
	image = NULL;
	if (image_open(&image, path, &writer, &e))
		fail_msg("%s", e.what);
	return image_facts(image);
}

static void check_refused(const struct image_options *options, int ret, const char *reason)
{
	struct err e = {0};

	assert_int_equal(image_probe("/dev/sda", options, NULL, &e), ret);
	assert_int_equal(e.exit, TAP_EXIT_IMAGE);
	if (!strstr(e.what, reason))
		fail_msg("'%s' lacks '%s'", e.what, reason);
}

/* --- what it is ------------------------------------------------------------------------------- */

static void size_and_sectors(void **state)
{
	const struct image_facts *facts;

	kernel.size_bytes = 3 * SECTOR_BYTES;
	kernel.physical_bytes = 4096;
	facts = open_image("/dev/sda1");
	assert_string_equal(facts->engine, "file");
	assert_true(facts->is_device);
	assert_int_equal(facts->device, makedev(8, 1));
	assert_int_equal(facts->inode, 0);
	assert_int_equal(facts->size_bytes, 3 * SECTOR_BYTES);
	assert_int_equal(facts->logical_sector_bytes, 512);
	assert_int_equal(facts->physical_sector_bytes, 4096);
	kernel.logical_bytes = 4096;
	assert_int_equal(open_image("/dev/sda1")->logical_sector_bytes, 4096);
}

static void one_that_grows(void **state)
{
	open_image("/dev/sda");
	kernel.size_bytes *= 2;
	assert_int_equal(image_resize(image, NULL), 0);
	assert_int_equal(image_facts(image)->size_bytes, 2 * 1024 * 1024);
}

static void one_that_is_gone(void **state)
{
	kernel.size_bytes = 0;
	check_refused(&writer, -ENOTTY, "Inappropriate ioctl");
}

static void one_that_is_read_only(void **state)
{
	kernel.read_only = true;
	check_refused(&writer, -EROFS, "the device is read-only");
	assert_int_equal(image_probe("/dev/sda", &reader, NULL, NULL), 0);
}

/* --- discards --------------------------------------------------------------------------------- */

static void where_it_cannot_discard(void **state)
{
	kernel.discard = EOPNOTSUPP;
	assert_false(open_image("/dev/sda")->can_discard);
	kernel.discard = ENOTTY;
	assert_false(open_image("/dev/sda")->can_discard);
	kernel.discard = 0;
	kernel.secure_discard = EOPNOTSUPP;
	assert_true(open_image("/dev/sda")->can_discard);
	assert_false(image_facts(image)->can_discard_secure);
	kernel.secure_discard = 0;
	assert_true(open_image("/dev/sda")->can_discard_secure);
	assert_int_equal(kernel.range[1], 0); /* to ask was not to discard */
}

static void check_units(const char *path, unsigned granularity_bytes, unsigned alignment_bytes)
{
	const struct image_facts *facts = open_image(path);

	assert_int_equal(facts->discard_granularity_bytes, granularity_bytes);
	assert_int_equal(facts->discard_alignment_bytes, alignment_bytes);
}

static void units_of_discards(void **state)
{
	static const char granularity[] = "/sys/devices/sda/queue/discard_granularity";

	check_units("/dev/sda", SECTOR_BYTES, 0); /* where sysfs has no word */
	machine_put(granularity, "65536\n");
	machine_put("/sys/devices/sda/discard_alignment", "4096\n");
	machine_put("/sys/devices/sda/sda1/discard_alignment", "512\n");
	check_units("/dev/sda", 65536, 4096);
	check_units("/dev/sda1", 65536, 512); /* has no queue of its own */
	machine_put(granularity, "0\n");
	check_units("/dev/sda", SECTOR_BYTES, 4096);
	machine_put(granularity, "4294967296\n");
	check_units("/dev/sda", SECTOR_BYTES, 4096);
	machine_put(granularity, "none\n");
	check_units("/dev/sda", SECTOR_BYTES, 4096);
}

/* Result of a discard of 8 sectors from the 16th on. */
static int discard(bool secure)
{
	struct image_op op = {.operation = IMAGE_DISCARD,
			      .secure = secure,
			      .offset_bytes = 16 * SECTOR_BYTES,
			      .length_bytes = 8 * SECTOR_BYTES,
			      .result = 4711},
			*ops[] = {&op};
	struct pollfd fd = {.events = POLLIN};
	struct image_io *io;
	uint64_t calls = 0;

	assert_int_equal(image_io_open(&io, image, 1), 0);
	fd.fd = image_io_fd(io);
	image_io_submit(io, ops, 1, &calls);
	do {
		assert_int_equal(poll(&fd, 1, 10000), 1);
	} while (!image_io_reap(io, ops, 1, &calls));
	image_io_close(io);
	return op.result;
}

static void ranges_of_discards(void **state)
{
	open_image("/dev/sda");
	assert_int_equal(discard(false), 0);
	assert_int_equal(kernel.range[0], 16 * SECTOR_BYTES);
	assert_int_equal(kernel.range[1], 8 * SECTOR_BYTES);
	assert_false(kernel.was_secure);
	kernel.range[0] = 0;
	assert_int_equal(discard(true), 0);
	assert_int_equal(kernel.range[0], 16 * SECTOR_BYTES);
	assert_true(kernel.was_secure);
}

static void discards_that_fail(void **state)
{
	open_image("/dev/sda");
	kernel.discard = ENOTTY;
	assert_int_equal(discard(false), -EOPNOTSUPP);
	kernel.discard = EREMOTEIO;
	assert_int_equal(discard(false), -EREMOTEIO);
	assert_int_equal(discard(true), 0);
}

#define on_device(test) cmocka_unit_test_setup_teardown(test, machine_make, close_image)

int main(void)
{
	const struct CMUnitTest tests[] = {
		on_device(size_and_sectors),	    on_device(one_that_grows),
		on_device(one_that_is_gone),	    on_device(one_that_is_read_only),
		on_device(where_it_cannot_discard), on_device(units_of_discards),
		on_device(ranges_of_discards),	    on_device(discards_that_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
