/* SPDX-License-Identifier: MIT */
/* The XenStore socket of a simulated guest, spoken to byte by byte: many clients, one ring. */
#include "in-sim.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <xen/io/xs_wire.h>

struct answer {
	struct xsd_sockmsg head;
	char body[XENSTORE_PAYLOAD_MAX + 1];
};

static int connect_guest(unsigned domid)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(to.sun_path, sizeof(to.sun_path), "%s/xenbus-%u", getenv("TAP_SIM_DIR"), domid);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static void send_request(int fd, uint32_t type, uint32_t tx, const char *body, size_t length)
{
	struct xsd_sockmsg head = {type, 7, tx, (uint32_t)length};

	assert_int_equal(send(fd, &head, sizeof(head), MSG_NOSIGNAL), sizeof(head));
	if (length)
		assert_int_equal(send(fd, body, length, MSG_NOSIGNAL), length);
}

static void receive(int fd, struct answer *a)
{
	assert_int_equal(recv(fd, &a->head, sizeof(a->head), MSG_WAITALL), sizeof(a->head));
	assert_in_range(a->head.len, 0, XENSTORE_PAYLOAD_MAX);
	if (a->head.len)
		assert_int_equal(recv(fd, a->body, a->head.len, MSG_WAITALL), a->head.len);
	a->body[a->head.len] = 0;
}

static void ask(int fd, uint32_t type, uint32_t tx, const char *body, size_t length,
		struct answer *a)
{
	send_request(fd, type, tx, body, length);
	receive(fd, a);
	assert_int_equal(a->head.req_id, 7);
}

static bool is_error(const struct answer *a, const char *error)
{
	return a->head.type == XS_ERROR && !strcmp(a->body, error);
}

static uint32_t start_transaction(int fd)
{
	struct answer a;

	ask(fd, XS_TRANSACTION_START, 0, "", 1, &a);
	assert_int_equal(a.head.type, XS_TRANSACTION_START);
	return (uint32_t)strtoul(a.body, NULL, 10);
}

static void an_open_transaction_ends_with_its_client(void **state)
{
	struct answer a;

	/* xenstored allows a guest ten at a time */
	for (int i = 0; i < 30; i++) {
		int fd = connect_guest(1);
		uint32_t tx = start_transaction(fd);

		ask(fd, XS_READ, tx, "domid", 6, &a);
		assert_int_equal(a.head.type, XS_READ);
		assert_string_equal(a.body, "1");
		close(fd);
	}
}

static void a_transaction_belongs_to_one_client(void **state)
{
	int fd = connect_guest(1), other = connect_guest(1);
	uint32_t tx = start_transaction(fd);
	struct answer a;

	ask(other, XS_READ, tx, "domid", 6, &a);
	assert_true(is_error(&a, "ENOENT"));
	ask(fd, XS_TRANSACTION_END, tx, "T", 2, &a);
	assert_int_equal(a.head.type, XS_TRANSACTION_END);
	ask(fd, XS_READ, tx, "domid", 6, &a);
	assert_true(is_error(&a, "ENOENT"));
	close(fd);
	close(other);
}

static void a_client_that_goes_before_its_answer_leaves_nothing(void **state)
{
	struct answer a;
	int fd;

	for (int i = 0; i < 200; i++) {
		fd = connect_guest(1);
		send_request(fd, XS_TRANSACTION_START, 0, "", 1);
		send_request(fd, XS_WATCH, 0, "data\0token", 11);
		close(fd);
	}
	fd = connect_guest(1);
	/* Behind this answer, all of those have come, and what they began is being ended. */
	ask(fd, XS_READ, 0, "domid", 6, &a);
	assert_true(start_transaction(fd) > 0);
	ask(fd, XS_WATCH, 0, "data\0token", 11, &a);
	assert_int_equal(a.head.type, XS_WATCH);
	close(fd);
}

static void expect_event(int fd, const char *path, const char *token)
{
	struct answer a;

	receive(fd, &a);
	assert_int_equal(a.head.type, XS_WATCH_EVENT);
	assert_string_equal(a.body, path);
	assert_string_equal(a.body + strlen(path) + 1, token);
	assert_int_equal(a.head.len, strlen(path) + strlen(token) + 2);
}

static void clients_may_use_the_same_token(void **state)
{
	int fds[] = {connect_guest(1), connect_guest(1)};
	struct answer a;

	for (int i = 0; i < 2; i++) {
		ask(fds[i], XS_WATCH, 0, "data/w\0same", 12, &a);
		assert_int_equal(a.head.type, XS_WATCH);
		expect_event(fds[i], "data/w", "same");
	}
	ask(fds[0], XS_WATCH, 0, "data/w\0same", 12, &a);
	assert_true(is_error(&a, "EEXIST"));
	ask(fds[0], XS_UNWATCH, 0, "data/w\0same", 12, &a);
	assert_int_equal(a.head.type, XS_UNWATCH);
	ask(fds[0], XS_WRITE, 0, "data/w/x\0001", 10, &a);
	assert_int_equal(a.head.type, XS_WRITE);
	/* only the other one still watches */
	expect_event(fds[1], "data/w/x", "same");
	ask(fds[0], XS_READ, 0, "domid", 6, &a);
	assert_int_equal(a.head.type, XS_READ);
	close(fds[0]);
	close(fds[1]);
}

static void no_client_ends_the_watches_of_all(void **state)
{
	int fd = connect_guest(1);
	struct answer a;

	ask(fd, XS_RESET_WATCHES, 0, "", 1, &a);
	assert_true(is_error(&a, "EPERM"));
	close(fd);
}

static void a_malformed_watch_is_refused(void **state)
{
	int fd = connect_guest(1);
	struct answer a;

	ask(fd, XS_WATCH, 0, "data", 5, &a);
	assert_true(is_error(&a, "EINVAL"));
	ask(fd, XS_WATCH, 0, "data\0tok", 8, &a);
	assert_true(is_error(&a, "EINVAL"));
	ask(fd, XS_WATCH, 0, "", 0, &a);
	assert_true(is_error(&a, "EINVAL"));
	close(fd);
}

static void a_message_that_is_too_long_ends_the_connection(void **state)
{
	struct xsd_sockmsg head = {XS_READ, 7, 0, XENSTORE_PAYLOAD_MAX + 1};
	int fd = connect_guest(1);
	char byte;

	assert_int_equal(send(fd, &head, sizeof(head), MSG_NOSIGNAL), sizeof(head));
	assert_int_equal(recv(fd, &byte, 1, 0), 0);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_open_transaction_ends_with_its_client),
		cmocka_unit_test(a_transaction_belongs_to_one_client),
		cmocka_unit_test(a_client_that_goes_before_its_answer_leaves_nothing),
		cmocka_unit_test(clients_may_use_the_same_token),
		cmocka_unit_test(no_client_ends_the_watches_of_all),
		cmocka_unit_test(a_malformed_watch_is_refused),
		cmocka_unit_test(a_message_that_is_too_long_ends_the_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
