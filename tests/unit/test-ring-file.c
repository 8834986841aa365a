/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "num.h"
#include "ring-copy.h"

#define HEAD "taptools-ring 1\n"
#define GOOD HEAD "abi x86_64-abi\norder 0\n"

/* Read @head and @tail_bytes of pages behind it. */
static int read_back(const char *head, size_t head_bytes, size_t tail_bytes, struct ring_copy *out,
		     struct err *e)
{
	char *bytes = calloc(1, head_bytes + tail_bytes + 1);
	FILE *from;
	int ret;

	assert_non_null(bytes);
	memcpy(bytes, head, head_bytes);
	from = fmemopen(bytes, head_bytes + tail_bytes, "r");
	assert_non_null(from);
	ret = ring_copy_read(out, from, "dump", e);
	fclose(from);
	free(bytes);
	return ret;
}

static void written_and_read_back(void **state)
{
	struct ring_copy copy = {
		.disk = "web1/xvda",
		.queue = 3,
		.abi = RING_ABI_X86_32,
		.order = 1,
		.taken_ns = UINT64_MAX,
		.has_private = true,
		.req_cons = UINT32_MAX,
		.rsp_prod_pvt = 17,
		.oldest_age_ns = 5,
	};
	struct ring_copy back;
	struct err e = {0};
	FILE *file = tmpfile();

	assert_non_null(file);
	copy.bytes = malloc(2 * RING_PAGE_BYTES);
	assert_non_null(copy.bytes);
	for (unsigned i = 0; i < 2 * RING_PAGE_BYTES; i++)
		copy.bytes[i] = (uint8_t)(i * 7 + i / 256);
	assert_int_equal(ring_copy_write(&copy, file), 0);
	rewind(file);
	assert_int_equal(ring_copy_read(&back, file, "dump", &e), 0);
	fclose(file);
	assert_string_equal(back.disk, copy.disk);
	assert_int_equal(back.queue, copy.queue);
	assert_int_equal(back.abi, copy.abi);
	assert_int_equal(back.order, copy.order);
	assert_true(back.taken_ns == copy.taken_ns);
	assert_true(back.has_private);
	assert_int_equal(back.req_cons, copy.req_cons);
	assert_int_equal(back.rsp_prod_pvt, copy.rsp_prod_pvt);
	assert_true(back.oldest_age_ns == copy.oldest_age_ns);
	assert_memory_equal(back.bytes, copy.bytes, 2 * RING_PAGE_BYTES);
	assert_int_equal(back.ring.slots, 64);
	ring_copy_free(&back);
	free(copy.bytes);
}

static void the_least_that_will_do(void **state)
{
	struct ring_copy copy;
	struct err e = {0};

	assert_int_equal(read_back(GOOD "\n", sizeof(GOOD "\n") - 1, RING_PAGE_BYTES, &copy, &e),
			 0);
	assert_false(copy.has_private);
	assert_int_equal(copy.ring.slots, 32);
	ring_copy_free(&copy);
}

#define BYTES(text) text, sizeof(text) - 1

static void damaged(void **state)
{
	static const struct {
		const char *head;
		size_t head_bytes, pages_bytes;
		const char *why;
	} rows[] = {
		{BYTES("x"), 0, "no ring copy"},
		{BYTES("taptools-ring 2\nabi x86_64-abi\norder 0\n\n"), 4096, "no ring copy"},
		{BYTES("taptools-ring 1"), 0, "no ring copy"},
		{BYTES("taptools-ring 1 \nabi native\norder 0\n\n"), 4096, "no ring copy"},
		{BYTES("\n\n\n"), 4096, "no ring copy"},
		{BYTES("\x7f"
		       "ELF\0\0\0\0"),
		 4096, "no ring copy"},
		{BYTES(HEAD), 0, "within its header"},
		{BYTES(HEAD "abi x86_64-abi"), 0, "within its header"},
		{BYTES(GOOD), 0, "within its header"},
		{BYTES(GOOD), 4096, "line 4: it holds a NUL"},
		{BYTES(HEAD "\n"), 4096, "lacks"},
		{BYTES(HEAD "abi x86_64-abi\n\n"), 4096, "lacks"},
		{BYTES(HEAD "order 0\n\n"), 4096, "lacks"},
		{BYTES(GOOD "\n"), 4095, "within the ring's pages"},
		{BYTES(GOOD "\n"), 4097, "bytes follow"},
		{BYTES(HEAD "abi x86_64-abi\norder 1\n\n"), 4096, "within the ring's pages"},
		{BYTES(HEAD "abi x86_64-abi\norder 5\n\n"), 4096, "line 3: impossible"},
		{BYTES(HEAD "abi x86_64-abi\norder -1\n\n"), 4096, "line 3: impossible"},
		{BYTES(HEAD "abi x86_64-abi\norder \n\n"), 4096, "line 3: impossible"},
		{BYTES(HEAD "abi x86_64-abi\norder\n\n"), 4096, "line 3: no 'KEY VALUE'"},
		{BYTES(HEAD "abi x86_64-abi\norder 0 \n\n"), 4096, "line 3: impossible"},
		{BYTES(HEAD "abi x86_64-abi\norder 4294967296\n\n"), 4096, "line 3: impossible"},
		{BYTES(HEAD "abi arm\norder 0\n\n"), 4096, "line 2: impossible value of 'abi'"},
		{BYTES(GOOD "order 0\n\n"), 4096, "line 4: 'order' stands twice"},
		{BYTES(GOOD "colour red\n\n"), 4096, "line 4: unknown key"},
		{BYTES(GOOD "\r\n\n"), 4096, "line 4: no 'KEY VALUE'"},
		{BYTES(GOOD "disk \n\n"), 4096, "line 4: impossible value of 'disk'"},
		{BYTES(GOOD "disk a\033[2J\n\n"), 4096, "line 4: impossible value of 'disk'"},
		{BYTES(GOOD "queue 65536\n\n"), 4096, "line 4: impossible"},
		{BYTES(GOOD "req-cons 4294967296\nrsp-prod-pvt 0\n\n"), 4096, "line 4: impossible"},
		{BYTES(GOOD "req-cons 1\n\n"), 4096, "stand together"},
		{BYTES(GOOD "rsp-prod-pvt 1\n\n"), 4096, "stand together"},
		{BYTES(GOOD "taken-ns 18446744073709551616\n\n"), 4096, "line 4: impossible"},
		{BYTES(GOOD
		       "disk 0123456789012345678901234567890123456789012345678901234567890123456"
		       "01234567890123456789\n\n"),
		 4096, "line 4: impossible"},
		{BYTES(GOOD
		       "disk 0123456789012345678901234567890123456789012345678901234567890123456"
		       "0123456789012345678901234567890123456789012345678901234567890\n\n"),
		 4096, "line 4: it is too long"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ring_copy copy;
		struct err e = {0};
		int ret =
			read_back(rows[i].head, rows[i].head_bytes, rows[i].pages_bytes, &copy, &e);

		if (ret != -EINVAL || e.exit != TAP_EXIT_USAGE || !strstr(e.what, rows[i].why) ||
		    copy.bytes)
			fail_msg("row %zu: %d, exit %d, '%s' instead of '%s'", i, ret, e.exit,
				 e.what, rows[i].why);
	}
}

/* Each single byte of a good file changed or cut off: never more than a refusal. */
static void each_byte(void **state)
{
	static const char head[] = GOOD "queue 1\nreq-cons 1\nrsp-prod-pvt 1\n\n";
	size_t length = sizeof(head) - 1;
	char bad[sizeof(head)];

	for (size_t at = 0; at < length; at++) {
		for (int value = 0; value < 256; value++) {
			struct ring_copy copy;
			struct err e = {0};
			int ret;

			memcpy(bad, head, sizeof(head));
			bad[at] = (char)value;
			ret = read_back(bad, length, RING_PAGE_BYTES, &copy, &e);
			assert_true(ret == 0 || ret == -EINVAL);
			if (ret)
				assert_string_not_equal(e.what, "");
			else
				ring_copy_free(&copy);
		}
	}
	for (size_t cut = 1; cut < length; cut++) {
		struct ring_copy copy;
		struct err e = {0};

		assert_int_equal(read_back(head, cut, 0, &copy, &e), -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(written_and_read_back),
		cmocka_unit_test(the_least_that_will_do),
		cmocka_unit_test(damaged),
		cmocka_unit_test(each_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
