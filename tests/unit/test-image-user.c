/* SPDX-License-Identifier: MIT */
/*
 * Who else uses an image, on a machine that is made up: see machine.h.
 */
#include "image-claim.h"
#include "machine.h"

static const struct image_options writer = {0};
static const struct image_options reader = {.read_only = true};
static const struct image_options sharer = {.shared = true};

/* The image is refused, and @user is named as the one who has it. */
static void check_in_use(const char *path, const struct image_options *options, const char *user)
{
	char want[IMAGE_USER_MAX + 64];
	struct image *image;
	struct err e = {0};

	assert_int_equal(image_open(&image, path, options, &e), -EBUSY);
	assert_int_equal(e.exit, TAP_EXIT_BUSY);
	snprintf(want, sizeof(want), "cannot open image '%s': in use by %s", path, user);
	assert_string_equal(e.what, want);
	assert_non_null(strstr(e.hint, "--share"));
}

static void check_free(const char *path, const struct image_options *options)
{
	struct image *image;
	struct err e = {0};

	if (image_open(&image, path, options, &e))
		fail_msg("%s", e.what);
	image_close(image);
}

/* A file of a MiB; its name in @path. */
static void make_file(char path[static PATH_MAX])
{
	machine_put("/srv/disk.img", "");
	snprintf(path, PATH_MAX, "%s/srv/disk.img", machine_dir);
	assert_int_equal(truncate(path, 1024 * 1024), 0);
}

/* --- devices ---------------------------------------------------------------------------------- */

static void a_device_is_kept_from_a_second_writer(void **state)
{
	check_free("/dev/sda1", &writer);
	kernel.exclusive = EBUSY;
	check_in_use("/dev/sda1", &writer, "another process");
	check_free("/dev/sda1", &reader);
	check_free("/dev/sda1", &sharer);
	assert_int_equal(image_probe("/dev/sda1", &writer, NULL, NULL), 0);
}

#define MOUNT(numbers, point, source) \
	"36 35 " numbers " / " point " rw shared:1 - x " source " rw\n"

/* What is mounted from a partition keeps the whole disk, and the other way round. */
static void a_mounted_file_system(void **state)
{
	static const struct {
		const char *line, *user;
	} cases[] = {
		{MOUNT("8:1", "/srv", "none"), "the file system on /srv"},
		{MOUNT("8:0", "/srv", "none"), "the file system on /srv"},
		{MOUNT("8:1", "/a\\040b\\134c\\777", "none"), "the file system on /a b\\c\\777"},
		/* a number of its own, as btrfs has */
		{MOUNT("0:40", "/home", "/dev/sda1"), "the file system on /home"},
		{MOUNT("0:40", "/home", "/dev/sd\\141"), "the file system on /home"},
		{MOUNT("0:40", "/proc", "proc"), "another process"},
		{MOUNT("0:40", "/x", "/dev/none"), "another process"},
		{"36 35 8:1 / /srv rw\n", "another process"},
		{"36 35 8:1 - x y\n", "another process"},
		{"36 35 eight / /srv rw - x /dev/sda1 rw\n", "another process"},
		{"36 35 0:40 / /srv rw - x\n", "another process"},
	};

	kernel.exclusive = EBUSY;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		machine_put("/proc/self/mountinfo", cases[i].line);
		check_in_use("/dev/sda1", &writer, cases[i].user);
		check_in_use("/dev/sda", &writer, cases[i].user);
	}
}

static void swap_space(void **state)
{
	kernel.exclusive = EBUSY;
	machine_put("/proc/swaps", "Filename\t\t\t\tType\t\tSize\n"
				   "/dev/zram0                              partition\t100\n"
				   "/dev/sd\\1411                           partition\t100\n");
	check_in_use("/dev/sda1", &writer, "the system, as swap space");
	machine_add_device("sdb", 8, 16, "sdb");
	check_in_use("/dev/sdb", &writer, "another process");
}

static void a_device_on_top(void **state)
{
	kernel.exclusive = EBUSY;
	machine_put("/sys/devices/sda/holders/md0/dev", "9:0\n");
	check_in_use("/dev/sda", &writer, "device md0");
	check_in_use("/dev/sda1", &writer, "device md0");
	machine_put("/sys/devices/sda/sda1/holders/dm-3/dm/name", "vg-root\n");
	check_in_use("/dev/sda1", &writer, "device dm-3 (vg-root)");
}

/* The disk itself is not in use: what is on it is, in one of many folders there. */
static void a_device_on_a_partition(void **state)
{
	kernel.exclusive = EBUSY;
	machine_put("/sys/devices/sda/queue/rotational", "0\n");
	machine_put("/sys/devices/sda/sda2/partition", "2\n"); /* and no number */
	check_in_use("/dev/sda", &writer, "another process");
	machine_put("/sys/devices/sda/sda1/holders/dm-3/dm/name", "vg-root\n");
	check_in_use("/dev/sda", &writer, "device dm-3 (vg-root)");
}

/* --- processes -------------------------------------------------------------------------------- */

/* Process 7 has @path open, and, said by @fdinfo, a lock on it. */
static void open_in_process(const char *path, const char *fdinfo)
{
	machine_link("/proc/7/fd/3", path);
	machine_put("/proc/7/fdinfo/3", fdinfo);
	machine_put("/proc/7/comm", "qemu\x1b\n");
	machine_put("/proc/meminfo", "");
}

static void a_process_that_has_the_device_open(void **state)
{
	kernel.exclusive = EBUSY;
	open_in_process("../../../dev/sda", "pos:\t0\n");
	check_in_use("/dev/sda", &writer, "process 7 (qemu?)");
	check_in_use("/dev/sda1", &writer, "another process");
}

static void a_process_without_a_name(void **state)
{
	kernel.exclusive = EBUSY;
	machine_link("/proc/7/fd/3", "../../../dev/sda");
	check_in_use("/dev/sda", &writer, "process 7");
}

/* To have a file open is not to lock it. */
static void a_process_that_locks_the_file(void **state)
{
	char path[PATH_MAX];

	make_file(path);
	kernel.lock = EAGAIN;
	open_in_process(path, "pos:\t0\n");
	check_in_use(path, &writer, "another process");
	machine_put("/proc/7/fdinfo/3", "pos:\t0\nlock:\t1: OFDLCK  ADVISORY  WRITE\n");
	check_in_use(path, &writer, "process 7 (qemu?)");
}

static void where_nobody_can_lock(void **state)
{
	char path[PATH_MAX];
	struct image *image;
	struct err e = {0};

	make_file(path);
	kernel.lock = ENOLCK;
	assert_int_equal(image_open(&image, path, &writer, &e), -ENOLCK);
	assert_int_equal(e.exit, TAP_EXIT_IMAGE);
	assert_non_null(strstr(e.what, "cannot lock image"));
	check_free(path, &sharer);
}

/* --- files ------------------------------------------------------------------------------------ */

static void a_swap_file(void **state)
{
	char path[PATH_MAX], swaps[2 * PATH_MAX];

	make_file(path);
	snprintf(swaps, sizeof(swaps), "Filename Type\n%s file 100\n", path);
	machine_put("/proc/swaps", swaps);
	check_free(path, &writer); /* the kernel's word counts */
	kernel.any = ETXTBSY;
	check_in_use(path, &writer, "the system, as swap space");
}

static void add_loop_device(const char *file)
{
	char line[PATH_MAX + 1];

	machine_add_device("loop0", 7, 0, "loop0");
	machine_link("/sys/block/loop0", "../devices/loop0");
	machine_link("/sys/block/sda", "../devices/sda");
	snprintf(line, sizeof(line), "%s\n", file);
	machine_put("/sys/devices/loop0/loop/backing_file", line);
	machine_put("/sys/devices/loop0/ro", "0\n");
}

static void a_loop_device_over_the_file(void **state)
{
	char path[PATH_MAX];

	make_file(path);
	add_loop_device("/srv/other.img");
	check_free(path, &writer);
	machine_put("/sys/devices/loop0/loop/backing_file", path);
	check_in_use(path, &writer, "/dev/loop0");
	check_in_use(path, &reader, "/dev/loop0");
	check_free(path, &sharer);
	machine_put("/sys/devices/loop0/ro", "1\n");
	check_in_use(path, &writer, "/dev/loop0");
	check_free(path, &reader);
	machine_put("/proc/self/mountinfo", MOUNT("7:0", "/mnt", "/dev/loop0"));
	check_in_use(path, &writer, "/dev/loop0 (in use by the file system on /mnt)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		on_machine(a_device_is_kept_from_a_second_writer),
		on_machine(a_mounted_file_system),
		on_machine(swap_space),
		on_machine(a_device_on_top),
		on_machine(a_device_on_a_partition),
		on_machine(a_process_that_has_the_device_open),
		on_machine(a_process_without_a_name),
		on_machine(a_process_that_locks_the_file),
		on_machine(where_nobody_can_lock),
		on_machine(a_swap_file),
		on_machine(a_loop_device_over_the_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
