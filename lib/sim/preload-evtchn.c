/* SPDX-License-Identifier: MIT */
/* libxenevtchn. */
#include "preload.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <xenevtchn.h>

SIM_EXPORT xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *logger, unsigned int flags)
{
	xenevtchn_handle *xce;

	if (SIM_FAILS(xenevtchn_open))
		return NULL;
	if (flags & ~XENEVTCHN_NO_CLOEXEC) {
		errno = EINVAL;
		return NULL;
	}
	xce = malloc(sizeof(*xce));
	if (xce && !sim_open(&xce->sim, SIM_KIND_EVTCHN, !(flags & XENEVTCHN_NO_CLOEXEC)))
		return xce;
	free(xce);
	return NULL;
}

/* Only a xenstored that updates itself live takes over a handle, and none does so in a simulator.
 */
SIM_EXPORT xenevtchn_handle *xenevtchn_fdopen(struct xentoollog_logger *logger, int fd,
					      unsigned open_flags)
{
	errno = ENOTSUP;
	return NULL;
}

/* A close cannot fail half-way: a call that TAP_SIM_FAIL names says -1, and all is released. */
SIM_EXPORT int xenevtchn_close(xenevtchn_handle *xce)
{
	bool fails = SIM_FAILS(xenevtchn_close);
	int error = errno;

	if (!xce)
		return 0;
	sim_close(&xce->sim);
	free(xce);
	errno = error;
	return fails ? -1 : 0;
}

SIM_EXPORT int xenevtchn_fd(xenevtchn_handle *xce)
{
	return xce->sim.fd;
}

static int request(xenevtchn_handle *xce, enum sim_op op, uint32_t arg)
{
	struct sim_request r = {.op = op, .arg = {arg}};

	return sim_call(&xce->sim, &r, NULL, 0, NULL);
}

static int bind_port(xenevtchn_handle *xce, struct sim_request *r)
{
	struct wire_message reply;
	int port;

	if (sim_call(&xce->sim, r, NULL, 0, &reply) < 0)
		return -1;
	port = (int)reply.head.reply.arg[0];
	wire_message_free(&reply);
	return port;
}

SIM_EXPORT int xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t port)
{
	if (SIM_FAILS(xenevtchn_notify))
		return -1;
	return request(xce, SIM_NOTIFY, port);
}

SIM_EXPORT xenevtchn_port_or_error_t xenevtchn_bind_unbound_port(xenevtchn_handle *xce,
								 uint32_t domid)
{
	struct sim_request r = {.op = SIM_BIND_UNBOUND, .arg = {domid}};

	if (SIM_FAILS(xenevtchn_bind_unbound_port))
		return -1;
	return bind_port(xce, &r);
}

SIM_EXPORT xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *xce,
								uint32_t domid,
								evtchn_port_t remote_port)
{
	struct sim_request r = {.op = SIM_BIND_INTERDOMAIN, .arg = {domid, remote_port}};

	if (SIM_FAILS(xenevtchn_bind_interdomain))
		return -1;
	return bind_port(xce, &r);
}

SIM_EXPORT xenevtchn_port_or_error_t xenevtchn_bind_virq(xenevtchn_handle *xce, unsigned int virq)
{
	struct sim_request r = {.op = SIM_BIND_VIRQ, .arg = {virq}};

	if (SIM_FAILS(xenevtchn_bind_virq))
		return -1;
	return bind_port(xce, &r);
}

SIM_EXPORT int xenevtchn_unbind(xenevtchn_handle *xce, evtchn_port_t port)
{
	if (SIM_FAILS(xenevtchn_unbind))
		return -1;
	return request(xce, SIM_UNBIND, port);
}

SIM_EXPORT xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *xce)
{
	evtchn_port_t port;
	ssize_t n;

	if (SIM_FAILS(xenevtchn_pending))
		return -1;
	n = read(xce->sim.fd, &port, sizeof(port));
	if (n == (ssize_t)sizeof(port))
		return (int)port;
	if (n >= 0)
		errno = EIO; /* the hypervisor is gone */
	return -1;
}

SIM_EXPORT int xenevtchn_unmask(xenevtchn_handle *xce, evtchn_port_t port)
{
	if (SIM_FAILS(xenevtchn_unmask))
		return -1;
	return request(xce, SIM_UNMASK, port);
}

SIM_EXPORT int xenevtchn_restrict(xenevtchn_handle *xce, domid_t domid)
{
	if (SIM_FAILS(xenevtchn_restrict))
		return -1;
	return request(xce, SIM_RESTRICT, domid);
}
