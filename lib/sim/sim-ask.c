/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "sim/sim.h"

int sim_inside(struct err *e)
{
	int ret;

	if (getenv("TAP_SIM_DIR"))
		return 0;
	ret = err_set(e, -ENOENT, TAP_EXIT_DENIED, "not in a simulator");
	err_hint(e, "run this inside 'tap-sim COMMAND'");
	return ret;
}

static int connect_hypervisor(struct err *e)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	const char *dir = getenv("TAP_SIM_DIR");
	int fd, ret;

	if (sim_inside(e) < 0)
		return -ENOENT;
	snprintf(to.sun_path, sizeof(to.sun_path), "%s/" SIM_SOCKET, dir);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	ret = -errno;
	if (fd >= 0)
		close(fd);
	return err_set(e, ret, TAP_EXIT_DENIED, "cannot reach the simulator at '%s': %s", dir,
		       strerror(-ret));
}

static int ask(int fd, struct sim_request *request, struct wire_message *reply)
{
	int ret = wire_send_request(fd, request, NULL, 0);

	if (ret >= 0)
		ret = wire_receive(fd, reply);
	if (ret <= 0)
		return ret < 0 ? ret : -ECONNRESET;
	if (reply->head.reply.ret < 0) {
		ret = reply->head.reply.ret;
		wire_message_free(reply);
	}
	return ret < 0 ? ret : 0;
}

/* Returns 0 with @reply filled. */
static int ask_hypervisor(struct sim_request *request, struct wire_message *reply, struct err *e)
{
	struct sim_request hello = {.op = SIM_HELLO, .arg = {SIM_KIND_CONTROL, 0}};
	int fd = connect_hypervisor(e);
	int ret;

	if (fd < 0)
		return fd;
	ret = ask(fd, &hello, reply);
	if (ret == 0) {
		wire_message_free(reply);
		ret = ask(fd, request, reply);
	}
	close(fd);
	if (ret < 0)
		err_set(e, ret, ret == -ESRCH ? TAP_EXIT_NONE : err_exit_of(ret),
			"the simulator refuses: %s", strerror(-ret));
	return ret;
}

int sim_held(struct sim_held **items, size_t *count, struct err *e)
{
	struct sim_request request = {.op = SIM_HELD};
	struct wire_message reply;
	int ret = ask_hypervisor(&request, &reply, e);

	if (ret < 0)
		return ret;
	*count = reply.head.reply.payload_bytes / sizeof(**items);
	*items = reply.owned;
	reply.owned = NULL;
	wire_message_free(&reply);
	return 0;
}

int sim_destroy(uint32_t domid, struct err *e)
{
	struct sim_request request = {.op = SIM_DESTROY, .arg = {domid}};
	struct wire_message reply;
	int ret = ask_hypervisor(&request, &reply, e);

	if (ret == 0)
		wire_message_free(&reply);
	return ret;
}
