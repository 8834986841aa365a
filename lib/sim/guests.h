/* SPDX-License-Identifier: MIT */
/* guests - what the toolstack leaves in XenStore for each domain. */
#ifndef TAP_SIM_GUESTS_H
#define TAP_SIM_GUESTS_H

#include <stdint.h>

#include "msg.h"

/**
 * Introduce domains 1 to @count to xenstored and write their nodes, and those of dom0, with the
 * permissions that libxl gives them. Domain N is called webN. XENSTORED_PATH must name the socket.
 * Returns 0, or a negative errno with @e filled.
 */
int guests_introduce(unsigned count, struct err *e);

/** Remove the nodes of a domain that is no more, those of its backends excepted. As above. */
int guests_forget(uint32_t domid, struct err *e);

#endif
