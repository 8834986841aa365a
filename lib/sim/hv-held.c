/* SPDX-License-Identifier: MIT */
/* The list of what is held, for tap-sim --held. */
#include "hv-state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct list {
	struct sim_held *items;
	size_t count, capacity;
};

static int append(struct list *list, const struct conn *conn, struct sim_held item)
{
	if (list->count == list->capacity) {
		size_t more = list->capacity ? 2 * list->capacity : 64;
		void *items = realloc(list->items, more * sizeof(*list->items));

		if (!items)
			return -ENOMEM;
		list->items = items;
		list->capacity = more;
	}
	item.domid = conn->domid;
	item.pid = conn->pid;
	memcpy(item.command, conn->command, sizeof(item.command));
	list->items[list->count++] = item;
	return 0;
}

static int append_grants(struct list *list, const struct conn *conn)
{
	for (const struct hold *h = conn->holds; h; h = h->next) {
		int ret = h->pin ? 0
				 : append(list, conn,
					  (struct sim_held){.kind = SIM_HELD_GRANT,
							    .remote_domid = h->refs[0].domid,
							    .remote = h->refs[0].ref,
							    .count = h->count,
							    .writable = h->writable});
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int append_ports(struct hv *hv, struct list *list, const struct conn *conn)
{
	for (uint32_t i = 1; i < SIM_PORTS; i++) {
		const struct port *p = &hv->domains[conn->domid].ports[i];
		int ret = 0;

		if (p->state == PORT_INTERDOMAIN && p->conn == conn)
			ret = append(list, conn,
				     (struct sim_held){.kind = SIM_HELD_PORT,
						       .remote_domid = p->remote_domid,
						       .remote = p->remote,
						       .local = i,
						       .count = 1});
		if (ret < 0)
			return ret;
	}
	return 0;
}

int held_list(struct hv *hv, struct conn *conn)
{
	struct list list = {0};
	int ret = 0;

	for (const struct conn *c = hv->conns; c && ret >= 0; c = c->next) {
		if (c->pid == hv->xenstored)
			continue;
		if (c->kind == SIM_KIND_GNTTAB)
			ret = append_grants(&list, c);
		if (c->kind == SIM_KIND_EVTCHN)
			ret = append_ports(hv, &list, c);
	}
	if (ret >= 0)
		ret = conn_reply(conn, 0, list.items, list.count * sizeof(*list.items), -1);
	free(list.items);
	return ret;
}
