/* SPDX-License-Identifier: MIT */
/* xenbus-ring - the guest's end of its XenStore ring: a stream of messages each way. */
#ifndef TAP_SIM_XENBUS_RING_H
#define TAP_SIM_XENBUS_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/io/xs_wire.h>

/** Bytes waiting to go on. All zero is an empty one. */
struct buffer {
	char *bytes;
	size_t length_bytes, capacity_bytes;
};

/** Returns 0, or -ENOMEM with nothing added. */
int buffer_add(struct buffer *b, const void *bytes, size_t length_bytes);
/** Drop bytes from its front. */
void buffer_drop(struct buffer *b, size_t length_bytes);
void buffer_free(struct buffer *b);

struct xenbus_ring {
	struct xenstore_domain_interface *page;
	struct buffer out; /* not yet in the ring */
	struct buffer in;  /* out of the ring, not yet taken as messages */
};

/** Move what fits from out to the ring, or from the ring to in. True when the peer must be
 * notified. */
bool xenbus_ring_push(struct xenbus_ring *ring);
bool xenbus_ring_pull(struct xenbus_ring *ring);

/** Take one whole message from in; the body is given a NUL at its end. False when there is none. */
bool xenbus_ring_message(struct xenbus_ring *ring, struct xsd_sockmsg *head,
			 char body[static XENSTORE_PAYLOAD_MAX + 1]);

#endif
