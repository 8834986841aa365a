/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include "guest.h"

#include "inspect.h"
#include "num.h"
#include "ring-copy.h"
#include "sample.h"
#include "verdict.h"

#define VDEV 51712

/* A disk of kind vbd, which no tap-serve serves, with as much of a frontend as a test wants. */
struct scene {
	struct store *store;
	struct disk disk;
	struct guest guest;
	struct inspection in;
	struct err e;
};

/* As the guest may write it, of any length. */
static void put(struct scene *scene, const char *key, const char *value)
{
	char path[STORE_PATH_MAX];

	assert_int_equal(store_path(path, "%s/%s", scene->disk.frontend, key), 0);
	assert_true(xs_write(store_handle(scene->store), XBT_NULL, path, value,
			     (unsigned)strlen(value)));
}

static void put_number(struct scene *scene, const char *key, uint32_t value)
{
	assert_int_equal(
		store_write(scene->store, XBT_NULL, scene->disk.frontend, key, "%u", value), 0);
}

static void begin(struct scene *scene, unsigned pages)
{
	*scene = (struct scene){0};
	guest_begin(&scene->guest, pages);
	assert_int_equal(store_open(&scene->store, &scene->e), 0);
	assert_int_equal(disk_identify(scene->store, 0, "vbd", 1, VDEV, &scene->disk), 0);
	assert_int_equal(store_write(scene->store, XBT_NULL, scene->disk.backend, "state", "4"), 0);
	put(scene, "state", "4");
	put(scene, "protocol", "x86_64-abi");
}

static void end(struct scene *scene)
{
	assert_int_equal(store_remove(scene->store, XBT_NULL, scene->disk.backend), 0);
	assert_int_equal(store_remove(scene->store, XBT_NULL, scene->disk.frontend), 0);
	store_close(scene->store);
	guest_end(&scene->guest);
}

static int look(struct scene *scene)
{
	return inspect_disk(scene->store, &scene->disk, &scene->in, &scene->e);
}

static void set_indices(struct scene *scene, unsigned page, struct ring_indices indices)
{
	memcpy(scene->guest.page[page], &indices, sizeof(indices));
}

static void one_ring(void **state)
{
	struct scene scene;
	struct ring_copy copy;
	uint8_t page[RING_PAGE_BYTES];

	begin(&scene, 1);
	put_number(&scene, "ring-ref", scene.guest.gref[0]);
	put_number(&scene, "event-channel", 17);
	set_indices(&scene, 0, (struct ring_indices){9, 8, 7, 6});
	scene.guest.page[0][4095] = 0x5a;
	assert_int_equal(look(&scene), 0);
	assert_int_equal(scene.in.offer.queues, 1);
	assert_int_equal(scene.in.offer.queue[0].port, 17);
	assert_int_equal(scene.in.offer.queue[0].ring_refs[0], scene.guest.gref[0]);
	assert_int_equal(scene.in.frontend_state, XENBUS_CONNECTED);
	assert_int_equal(ring_copy_take(&scene.in, 0, &copy, &scene.e), 0);
	assert_string_equal(copy.disk, "web1/xvda");
	assert_memory_equal(copy.bytes, scene.guest.page[0], RING_PAGE_BYTES);
	assert_int_equal(ring_look(&copy.ring).req_prod, 9);
	assert_false(copy.has_private);
	ring_copy_free(&copy);
	assert_int_equal(ring_copy_take(&scene.in, 1, &copy, &scene.e), -ENXIO);
	assert_int_equal(scene.e.exit, TAP_EXIT_NONE);
	assert_int_equal(page_copy_take(1, scene.guest.gref[0], page, &scene.e), 0);
	assert_memory_equal(page, scene.guest.page[0], RING_PAGE_BYTES);
	end(&scene); /* which fails where a page is still mapped */
}

static void no_longer_granted(void **state)
{
	struct scene scene;
	struct ring_copy copy;
	uint8_t page[RING_PAGE_BYTES];

	begin(&scene, 1);
	put_number(&scene, "ring-ref", scene.guest.gref[0]);
	put_number(&scene, "event-channel", 17);
	assert_int_equal(guest_revoke(&scene.guest, 0), 0);
	assert_int_equal(look(&scene), 0);
	assert_int_equal(ring_copy_take(&scene.in, 0, &copy, &scene.e), -ENXIO);
	assert_int_equal(scene.e.exit, TAP_EXIT_NONE);
	assert_non_null(strstr(scene.e.what, "not granted"));
	assert_int_equal(page_copy_take(1, scene.guest.gref[0], page, &scene.e), -ENXIO);
	end(&scene);
}

static void several_queues_and_pages(void **state)
{
	struct scene scene;
	struct ring_copy copy;
	char key[32];

	begin(&scene, 4);
	put(&scene, "ring-page-order", "1");
	put(&scene, "multi-queue-num-queues", "2");
	for (unsigned i = 0; i < 4; i++) {
		snprintf(key, sizeof(key), "queue-%u/ring-ref%u", i / 2, i % 2);
		put_number(&scene, key, scene.guest.gref[i]);
		snprintf(key, sizeof(key), "queue-%u/event-channel", i / 2);
		put_number(&scene, key, 20 + i / 2);
		scene.guest.page[i][4000] = (uint8_t)i;
	}
	assert_int_equal(look(&scene), 0);
	assert_int_equal(scene.in.offer.queues, 2);
	assert_int_equal(scene.in.offer.queue[1].port, 21);
	assert_int_equal(ring_copy_take(&scene.in, 1, &copy, &scene.e), 0);
	assert_int_equal(copy.ring.slots, 64);
	assert_int_equal(copy.bytes[4000], 2);
	assert_int_equal(copy.bytes[4096 + 4000], 3);
	ring_copy_free(&copy);
	end(&scene);
}

/* The frontend's directory is the guest's: whatever stands there is refused by name. */
static void malformed_nodes(void **state)
{
	static const struct {
		const char *key, *value, *blamed;
	} rows[] = {
		{"protocol", "arm", "protocol"},
		{"protocol", "", "protocol"},
		{"ring-ref", "0", "ring-ref"},
		{"ring-ref", "4294967296", "ring-ref"},
		{"ring-ref", "-1", "ring-ref"},
		{"ring-ref", "\033[2J", "ring-ref"},
		{"event-channel", "", "event-channel"},
		{"event-channel", "99999999999999999999", "event-channel"},
		{"ring-page-order", "5", "ring-page-order"},
		{"ring-page-order", "-1", "ring-page-order"},
		{"ring-page-order", "31", "ring-page-order"},
		{"ring-page-order", "x", "ring-page-order"},
		{"num-ring-pages", "0", "num-ring-pages"},
		{"num-ring-pages", "3", "num-ring-pages"},
		{"num-ring-pages", "32", "num-ring-pages"},
		{"multi-queue-num-queues", "0", "multi-queue-num-queues"},
		{"multi-queue-num-queues", "17", "multi-queue-num-queues"},
		{"multi-queue-num-queues", "4294967297", "multi-queue-num-queues"},
	};
	struct scene scene;
	struct sample sample;
	char huge[STORE_VALUE_MAX + 1];

	begin(&scene, 0);
	memset(huge, '1', sizeof(huge) - 1);
	huge[sizeof(huge) - 1] = '\0';
	for (size_t i = 0; i <= ARRAY_SIZE(rows); i++) {
		bool last = i == ARRAY_SIZE(rows);
		const char *blamed = last ? "ring-ref" : rows[i].blamed;
		int ret;

		put(&scene, "protocol", "x86_64-abi");
		put(&scene, "ring-ref", "8");
		put(&scene, "event-channel", "17");
		put(&scene, last ? "ring-ref" : rows[i].key, last ? huge : rows[i].value);
		ret = look(&scene);
		if (ret != -EPROTO || scene.e.exit != TAP_EXIT_FOUND ||
		    !strstr(scene.e.what, blamed) || scene.in.offer.queues)
			fail_msg("row %zu: %d, '%s'", i, ret, scene.e.what);
		assert_int_equal(sample_disk(scene.store, &scene.disk, &sample), 0);
		assert_string_equal(sample.state, "malformed");
		assert_int_equal(sample.source, SAMPLE_NOTHING);
		assert_int_equal(store_remove(scene.store, XBT_NULL, scene.disk.frontend), 0);
	}
	end(&scene);
}

static void no_ring_yet(void **state)
{
	struct scene scene;
	struct ring_copy copy;

	begin(&scene, 0);
	assert_int_equal(look(&scene), 0);
	assert_int_equal(scene.in.offer.queues, 0);
	assert_int_equal(ring_copy_take(&scene.in, 0, &copy, &scene.e), -ENXIO);
	assert_non_null(strstr(scene.e.what, "published no ring"));
	put(&scene, "ring-ref", "8");
	assert_int_equal(look(&scene), -EPROTO);
	assert_non_null(strstr(scene.e.what, "event-channel': it is missing"));
	assert_int_equal(store_remove(scene.store, XBT_NULL, scene.disk.backend), 0);
	assert_int_equal(look(&scene), -ENOENT);
	end(&scene);
}

/* Without a protocol node a guest of blkback is 32 bits wide, one of QEMU is native. */
static void no_protocol_node(void **state)
{
	struct scene scene;
	char path[STORE_PATH_MAX];

	begin(&scene, 0);
	assert_int_equal(store_path(path, "%s/protocol", scene.disk.frontend), 0);
	assert_int_equal(store_remove(scene.store, XBT_NULL, path), 0);
	assert_int_equal(look(&scene), 0);
	assert_int_equal(scene.in.offer.abi, RING_ABI_X86_32);
	strcpy(scene.disk.kind, "qdisk");
	assert_int_equal(look(&scene), 0);
	assert_int_equal(scene.in.offer.abi, RING_ABI_NATIVE);
	end(&scene);
}

/* Of a disk that others serve, the indices alone tell what happens. */
static void sampled_by_its_indices(void **state)
{
	struct scene scene;
	struct sample first, second;
	struct sample_delta delta;

	begin(&scene, 2);
	put_number(&scene, "ring-ref", scene.guest.gref[0]);
	put_number(&scene, "event-channel", 17);
	set_indices(&scene, 0, (struct ring_indices){UINT32_MAX, 0, UINT32_MAX - 1, 0});
	assert_int_equal(sample_disk(scene.store, &scene.disk, &first), 0);
	assert_int_equal(first.source, SAMPLE_RING);
	assert_int_equal(first.in_flight, 1);
	assert_string_equal(first.state, "Connected(4)");
	sample_between(NULL, &first, &delta);
	assert_false(delta.known);

	set_indices(&scene, 0, (struct ring_indices){8, 0, 3, 0});
	assert_int_equal(sample_disk(scene.store, &scene.disk, &second), 0);
	assert_true(sample_same_disk(&first, &second));
	assert_int_equal(second.in_flight, 5);
	sample_between(&first, &second, &delta);
	assert_true(delta.known);
	assert_false(delta.has_counters);
	assert_int_equal(delta.requests, 5);
	assert_true(delta.interval_ns > 0);

	/* Another ring: nothing follows from the indices of the one before. */
	put_number(&scene, "ring-ref", scene.guest.gref[1]);
	assert_int_equal(sample_disk(scene.store, &scene.disk, &first), 0);
	sample_between(&second, &first, &delta);
	assert_false(delta.known);
	assert_int_equal(delta.requests, 0);

	set_indices(&scene, 1, (struct ring_indices){100, 0, 3, 0});
	assert_int_equal(sample_disk(scene.store, &scene.disk, &second), 0);
	assert_string_equal(second.state, "broken");
	end(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_ring),
		cmocka_unit_test(no_longer_granted),
		cmocka_unit_test(several_queues_and_pages),
		cmocka_unit_test(malformed_nodes),
		cmocka_unit_test(no_ring_yet),
		cmocka_unit_test(no_protocol_node),
		cmocka_unit_test(sampled_by_its_indices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
