/* SPDX-License-Identifier: MIT */
/*
 * channel - one end of an event channel. Each has a libxenevtchn handle of its own, so that queues
 * share nothing and can move to threads.
 *
 * The way of an event: the descriptor becomes readable; channel_take() takes the event, and the
 * port is masked from then on; the work is done; channel_rearm() unmasks it (XSA-332: unmask after
 * the work). An event that comes in between is delivered after the rearm.
 */
#ifndef TAP_CHANNEL_H
#define TAP_CHANNEL_H

#include <stdint.h>

struct channel;

/** Bind to a port that domain @domid offers (a backend does). 0 or a negative errno. */
int channel_bind(struct channel **out, uint32_t domid, uint32_t remote_port);

/** Offer a port to domain @domid (a frontend does); its number is channel_port(). */
int channel_offer(struct channel **out, uint32_t domid);

/** Unbind and close. The other end returns to unbound, ready for another bind. NULL is fine. */
void channel_close(struct channel *channel);

int channel_fd(const struct channel *channel);
uint32_t channel_port(const struct channel *channel);

/** Take a waiting event: 1, or 0 when none waits (never blocks), or a negative errno. */
int channel_take(struct channel *channel);
int channel_rearm(struct channel *channel);
int channel_notify(struct channel *channel);

#endif
