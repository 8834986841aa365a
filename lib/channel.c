/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <xenevtchn.h>

#include "channel.h"
#include "xenquiet.h"

struct channel {
	xenevtchn_handle *evtchn;
	evtchn_port_t port;
};

static int channel_open(struct channel **out)
{
	struct channel *channel = calloc(1, sizeof(*channel));
	int ret;

	if (!channel)
		return -ENOMEM;
	channel->evtchn = xenevtchn_open(xenquiet(), 0);
	if (!channel->evtchn) {
		ret = -errno;
		free(channel);
		return ret;
	}
	*out = channel;
	return 0;
}

/* Keep @port, which a bind returned, or close what has none. */
static int channel_keep(struct channel *channel, xenevtchn_port_or_error_t port,
			struct channel **out)
{
	int ret;

	if (port < 0) {
		ret = -errno;
		xenevtchn_close(channel->evtchn);
		free(channel);
		return ret;
	}
	channel->port = (evtchn_port_t)port;
	*out = channel;
	return 0;
}

int channel_bind(struct channel **out, uint32_t domid, uint32_t remote_port)
{
	struct channel *channel;
	int ret = channel_open(&channel);

	if (ret)
		return ret;
	return channel_keep(channel,
			    xenevtchn_bind_interdomain(channel->evtchn, domid, remote_port), out);
}

int channel_offer(struct channel **out, uint32_t domid)
{
	struct channel *channel;
	int ret = channel_open(&channel);

	if (ret)
		return ret;
	return channel_keep(channel, xenevtchn_bind_unbound_port(channel->evtchn, domid), out);
}

void channel_close(struct channel *channel)
{
	if (!channel)
		return;
	xenevtchn_unbind(channel->evtchn, channel->port);
	xenevtchn_close(channel->evtchn);
	free(channel);
}

int channel_fd(const struct channel *channel)
{
	return xenevtchn_fd(channel->evtchn);
}

uint32_t channel_port(const struct channel *channel)
{
	return channel->port;
}

int channel_take(struct channel *channel)
{
	struct pollfd event = {.fd = xenevtchn_fd(channel->evtchn), .events = POLLIN};
	xenevtchn_port_or_error_t port;

	/* The driver may block although it was told not to (xenevtchn.h): ask first. */
	if (poll(&event, 1, 0) < 0)
		return errno == EINTR ? 0 : -errno;
	if (!event.revents)
		return 0;
	port = xenevtchn_pending(channel->evtchn);
	if (port < 0)
		return errno == EINTR || errno == EAGAIN ? 0 : -errno;
	return (evtchn_port_t)port == channel->port ? 1 : -EPROTO;
}

int channel_rearm(struct channel *channel)
{
	return xenevtchn_unmask(channel->evtchn, channel->port) ? -errno : 0;
}

int channel_notify(struct channel *channel)
{
	return xenevtchn_notify(channel->evtchn, channel->port) ? -errno : 0;
}
