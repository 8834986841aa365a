/* SPDX-License-Identifier: MIT */
/*
 * calls - how often each process has called each function of libxengnttab and libxenevtchn, and,
 * where TAP_SIM_FAIL is set, what its program calls of libaio, libxenstore and for memory: one file
 * per process in TAP_SIM_DIR/calls, mapped by it, kept after its end.
 */
#ifndef TAP_SIM_CALLS_H
#define TAP_SIM_CALLS_H

#include <stdatomic.h>
#include <stdint.h>

#define SIM_CALLS_DIR "calls" /* in TAP_SIM_DIR */

/** Xen's, always counted: "any" in TAP_SIM_FAIL. */
#define SIM_XEN_CALLS(X)                   \
	X(xengnttab_open)                  \
	X(xengnttab_close)                 \
	X(xengnttab_map_grant_ref)         \
	X(xengnttab_map_grant_refs)        \
	X(xengnttab_map_domain_grant_refs) \
	X(xengnttab_map_grant_ref_notify)  \
	X(xengnttab_unmap)                 \
	X(xengnttab_set_max_grants)        \
	X(xengnttab_grant_copy)            \
	X(xengntshr_open)                  \
	X(xengntshr_close)                 \
	X(xengntshr_share_pages)           \
	X(xengntshr_share_page_notify)     \
	X(xengntshr_unshare)               \
	X(xenevtchn_open)                  \
	X(xenevtchn_close)                 \
	X(xenevtchn_notify)                \
	X(xenevtchn_bind_unbound_port)     \
	X(xenevtchn_bind_interdomain)      \
	X(xenevtchn_bind_virq)             \
	X(xenevtchn_unbind)                \
	X(xenevtchn_pending)               \
	X(xenevtchn_unmask)                \
	X(xenevtchn_restrict)

/** "aio" in TAP_SIM_FAIL. */
#define SIM_AIO_CALLS(X) \
	X(io_setup)      \
	X(io_submit)     \
	X(io_getevents)

/** "xenstore" in TAP_SIM_FAIL. */
#define SIM_STORE_CALLS(X)      \
	X(xs_open)              \
	X(xs_transaction_start) \
	X(xs_transaction_end)   \
	X(xs_read)              \
	X(xs_write)             \
	X(xs_rm)                \
	X(xs_directory)         \
	X(xs_set_permissions)   \
	X(xs_watch)             \
	X(xs_unwatch)           \
	X(xs_check_watch)

/** "memory" in TAP_SIM_FAIL. */
#define SIM_MEMORY_CALLS(X) \
	X(malloc)           \
	X(calloc)           \
	X(realloc)          \
	X(strdup)           \
	X(posix_memalign)   \
	X(mmap)

/** Every function that is counted and can be made to fail. */
#define SIM_CALLS(X)       \
	SIM_XEN_CALLS(X)   \
	SIM_AIO_CALLS(X)   \
	SIM_STORE_CALLS(X) \
	SIM_MEMORY_CALLS(X)

enum sim_call {
#define X(name) SIM_CALL_##name,
	SIM_CALLS(X)
#undef X
		SIM_CALL_COUNT,
};

#define SIM_CALLS_MAGIC 0x31736c6c61637374ull

struct sim_calls {
	uint64_t magic; /* SIM_CALLS_MAGIC, written last */
	int32_t pid;
	uint32_t domid;
	uint64_t first_ns; /* CLOCK_MONOTONIC at the first call */
	char command[32];
	_Atomic uint64_t count[SIM_CALL_COUNT];
};

#endif
