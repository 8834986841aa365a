/* SPDX-License-Identifier: MIT */
/* Event channels. */
#include "hv-state.h"

#include <errno.h>
#include <unistd.h>
#include <xen/xen.h>

static int free_port(const struct domain *d)
{
	for (int i = 1; i < (int)SIM_PORTS; i++)
		if (d->ports[i].state == PORT_FREE)
			return i;
	return -ENOSPC;
}

/* Hand a pending port to whoever bound it, unless it is masked. */
static void deliver(struct hv *hv, struct domain *d, uint32_t port)
{
	struct port *p = &d->ports[port];

	if (!p->pending || p->masked)
		return;
	if (!p->conn) {
		p->pending = false;
		if (d->xenbus && port == SIM_XENSTORE_PORT)
			xenbus_event(hv, d);
		return;
	}
	/* Full only when thousands of closed ports were never read: then it stays pending. */
	if (write(p->conn->events, &port, sizeof(port)) != sizeof(port))
		return;
	p->pending = false;
	p->masked = true;
}

static void set_pending(struct hv *hv, struct domain *d, uint32_t port)
{
	d->ports[port].pending = true;
	deliver(hv, d, port);
}

int port_bind_unbound(struct domain *d, struct conn *conn, uint32_t remote_domid)
{
	int port = free_port(d);

	if (conn && conn->restricted != SIM_NONE)
		return -EACCES;
	if (remote_domid > UINT16_MAX)
		return -EINVAL;
	if (port > 0)
		d->ports[port] = (struct port){.state = PORT_UNBOUND,
					       .remote_domid = (uint16_t)remote_domid,
					       .conn = conn};
	return port;
}

int port_bind_interdomain(struct hv *hv, struct domain *d, struct conn *conn, uint32_t domid,
			  uint32_t remote)
{
	struct domain *other = domain_get(hv, domid);
	struct port *far;
	int port;

	if (conn->restricted != SIM_NONE && conn->restricted != domid)
		return -EACCES;
	if (!other)
		return -ESRCH;
	if (!remote || remote >= SIM_PORTS)
		return -EINVAL;
	far = &other->ports[remote];
	if (far->state != PORT_UNBOUND || far->remote_domid != d->id)
		return -EINVAL;
	port = free_port(d);
	if (port < 0)
		return port;
	d->ports[port] = (struct port){.state = PORT_INTERDOMAIN,
				       .remote_domid = (uint16_t)domid,
				       .remote = remote,
				       .conn = conn};
	far->state = PORT_INTERDOMAIN;
	far->remote = (uint32_t)port;
	/* Notifications may have been lost while the other end was unbound: Xen makes up for them.
	 */
	set_pending(hv, d, (uint32_t)port);
	return port;
}

int port_bind_virq(struct hv *hv, struct domain *d, struct conn *conn, uint32_t virq)
{
	int port;

	if (conn->restricted != SIM_NONE)
		return -EACCES;
	if (virq >= NR_VIRQS)
		return -EINVAL;
	if (virq == VIRQ_DOM_EXC && d->id)
		return -EPERM;
	for (int i = 1; i < (int)SIM_PORTS; i++)
		if (d->ports[i].state == PORT_VIRQ && d->ports[i].remote == virq)
			return -EEXIST;
	port = free_port(d);
	if (port > 0)
		d->ports[port] = (struct port){.state = PORT_VIRQ, .remote = virq, .conn = conn};
	return port;
}

int port_restrict(struct conn *conn, uint32_t domid)
{
	if (conn->restricted != SIM_NONE)
		return -EACCES;
	if (!domid || domid >= DOMID_FIRST_RESERVED)
		return -EINVAL;
	conn->restricted = domid;
	return 0;
}

int port_check(const struct domain *d, const struct conn *conn, uint32_t port)
{
	if (port >= SIM_PORTS)
		return -EINVAL;
	return d->ports[port].state == PORT_FREE || d->ports[port].conn != conn ? -ENOTCONN : 0;
}

/* The other end becomes unbound again, reserved for the domain whose end this was. */
void port_close(struct hv *hv, struct domain *d, uint32_t port)
{
	struct port *p = &d->ports[port];

	if (p->kept) {
		p->closing = true;
		p->conn = NULL;
		return;
	}
	if (p->state == PORT_INTERDOMAIN) {
		struct port *far = &hv->domains[p->remote_domid].ports[p->remote];

		far->state = PORT_UNBOUND;
		far->remote_domid = (uint16_t)d->id;
		far->remote = 0;
	}
	*p = (struct port){0};
}

void port_keep(struct domain *d, uint32_t port)
{
	d->ports[port].kept++;
}

void port_put(struct hv *hv, struct domain *d, uint32_t port)
{
	struct port *p = &d->ports[port];

	p->kept--;
	if (p->closing)
		port_close(hv, d, port);
}

void port_unmask(struct hv *hv, struct domain *d, uint32_t port)
{
	d->ports[port].masked = false;
	deliver(hv, d, port);
}

void port_notify(struct hv *hv, struct domain *d, uint32_t port)
{
	const struct port *p = &d->ports[port];

	if (p->state == PORT_INTERDOMAIN)
		set_pending(hv, &hv->domains[p->remote_domid], p->remote);
}

void port_raise_virq(struct hv *hv, uint32_t virq)
{
	struct domain *dom0 = &hv->domains[0];

	for (uint32_t i = 1; i < SIM_PORTS; i++)
		if (dom0->ports[i].state == PORT_VIRQ && dom0->ports[i].remote == virq)
			set_pending(hv, dom0, i);
}

void port_release(struct hv *hv, struct conn *conn)
{
	struct domain *d = &hv->domains[conn->domid];

	for (uint32_t i = 1; i < SIM_PORTS; i++)
		if (d->ports[i].state != PORT_FREE && d->ports[i].conn == conn)
			port_close(hv, d, i);
}
