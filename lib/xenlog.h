/* SPDX-License-Identifier: MIT */
/*
 * xenlog - the logger that Xen's libraries are opened with.
 *
 * Opened without one they write to stderr, a line for each grant that does not map: a guest could
 * write into our log without limit (XSA-180). What went wrong comes back as errno all the same.
 */
#ifndef TAP_XENLOG_H
#define TAP_XENLOG_H

#include <xentoollog.h>

/** A logger that says nothing; for xengnttab_open(), xengntshr_open() and xenevtchn_open(). */
struct xentoollog_logger *xenlog_silent(void);

#endif
