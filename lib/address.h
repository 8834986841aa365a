/* SPDX-License-Identifier: MIT */
/*
 * address - DOM/VDEV, the name of a disk everywhere.
 *
 * DOM is a domain id or a name; VDEV is a name (xvda, hda, sdb1, xvdaa) or a number (51712). This
 * file knows the syntax and the numbering (docs/man/xen-vbd-interface.7 of Xen); resolving a
 * domain's name needs XenStore and is disk_resolve()'s business (xenbus.h).
 */
#ifndef TAP_ADDRESS_H
#define TAP_ADDRESS_H

#include <stdint.h>

#include "msg.h"

#define ADDRESS_DOM_MAX	 64 /* bytes of a domain's name, NUL included */
#define ADDRESS_VDEV_MAX 16 /* bytes of a vdev's name, NUL included */
#define ADDRESS_MAX	 (ADDRESS_DOM_MAX + ADDRESS_VDEV_MAX)
#define DOMID_MAX	 0x7fefu /* DOMID_FIRST_RESERVED - 1 */

struct address {
	char dom[ADDRESS_DOM_MAX]; /* as it was given: digits or a name */
	uint32_t vdev;		   /* the number in XenStore */
};

/** Parse DOM/VDEV. Returns 0, or -EINVAL with @e filled as a usage error that names @text. */
int address_parse(const char *text, struct address *out, struct err *e);

/**
 * Parse DOM alone (for `tap-attach DOM IMAGE` and `tap-stat DOM`): a decimal id up to DOMID_MAX or
 * a name without '/', blanks or control characters. Returns 0 or -EINVAL.
 */
int address_parse_dom(const char *text, char dom[static ADDRESS_DOM_MAX], struct err *e);

/** A vdev's name or number to its number. Returns 0 or -EINVAL. */
int vdev_parse(const char *text, uint32_t *out);

/** The name of a vdev number ("xvda", "sdb1"); the number in decimal where it has no name. */
char *vdev_name(uint32_t vdev, char buf[static ADDRESS_VDEV_MAX]);

/** The number of the Nth whole xvd disk, in the numbering's short form as long as that reaches
 * (xvda-xvdp). */
uint32_t vdev_xvd(unsigned n);

#endif
