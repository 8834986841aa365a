/* SPDX-License-Identifier: MIT */
/*
 * xenquiet - keeps Xen's libraries from printing: a failed call is reported by its return value.
 *
 * Without a logger of ours, libxengnttab and libxenevtchn write to stderr on each failed call, also
 * on those that a guest can cause at will.
 */
#ifndef TAP_XENQUIET_H
#define TAP_XENQUIET_H

struct xentoollog_logger;

/** For xengnttab_open(), xengntshr_open() and xenevtchn_open(). Static: nothing to free. */
struct xentoollog_logger *xenquiet(void);

#endif
