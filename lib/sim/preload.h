/* SPDX-License-Identifier: MIT */
/*
 * preload - what the parts of libtapsim.so share: a handle is a connection to the hypervisor.
 *
 * The library is loaded into every process of a simulator, so it depends on nothing but libc, and a
 * process that makes no Xen call pays nothing.
 */
#ifndef TAP_SIM_PRELOAD_H
#define TAP_SIM_PRELOAD_H

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "calls.h"
#include "wire.h"

/** The Xen functions that this library defines in place of the real ones. */
#define SIM_EXPORT __attribute__((visibility("default")))

/** Pages that a handle has mapped, by the hypervisor's id of the mapping. */
struct sim_range {
	struct sim_range *next;
	char *start;
	uint32_t count_pages;
	uint32_t id;
};

struct sim_handle {
	int socket;
	int fd;	   /* gnttab, gntshr: guest memory; evtchn: readable when a port is pending */
	pid_t pid; /* who opened it: a forked child may only close it */
	pthread_mutex_t lock;
	struct sim_range *ranges;
	char *memory; /* all of guest memory, for copies; mapped at the first one */
};

/** The libraries' opaque types. */
struct xengntdev_handle {
	struct sim_handle sim;
};
struct xenevtchn_handle {
	struct sim_handle sim;
};

/** TAP_SIM_DIR, or NULL outside of a simulator. */
const char *sim_dir(void);

/** TAP_SIM_DOMID: 0 when unset, SIM_NONE when it is no number. */
uint32_t sim_domid(void);

/** Connect. Returns 0, or -1 with errno; ENOENT, as without Xen, outside of a simulator. */
int sim_open(struct sim_handle *h, enum sim_kind kind, bool close_on_exec);

/**
 * Give up all that the handle holds and wait until the hypervisor has done so; in a forked child
 * only close the descriptors.
 */
void sim_close(struct sim_handle *h);

/**
 * One request and its reply. Returns 0 with @reply filled (wire_message_free() it), or -1 with
 * errno, also when the hypervisor's answer is an error. @reply may be NULL.
 */
int sim_call(struct sim_handle *h, struct sim_request *request, const void *payload, size_t bytes,
	     struct wire_message *reply);

/** Map frames at contiguous addresses. @stride: words from one frame number to the next. */
char *sim_map_frames(const struct sim_handle *h, const uint32_t *frames, uint32_t stride,
		     uint32_t count, int prot);

/** Remember and find the ranges that a handle has mapped. Take the handle's lock themselves. */
int sim_range_add(struct sim_handle *h, char *start, uint32_t count_pages, uint32_t id);
bool sim_range_find(struct sim_handle *h, const void *start, uint32_t count_pages, uint32_t *id);
void sim_range_drop(struct sim_handle *h, uint32_t id);

/**
 * Count one call. Returns true, with errno set, when TAP_SIM_FAIL wants this one to fail.
 * A TAP_SIM_FAIL that cannot be understood ends the process with status 2.
 */
bool sim_count(enum sim_call call);

#define SIM_FAILS(name) sim_count(SIM_CALL_##name)

/** TAP_SIM_FAIL is set: calls that are not Xen's are counted, too. */
extern bool sim_armed;

/** Is @caller in the program itself, not in a library? */
bool sim_is_program(const void *caller);

/** The same as SIM_FAILS() for a function that is not Xen's, called by the program. */
#define SIM_OWN_FAILS(name) \
	(sim_armed && sim_is_program(__builtin_return_address(0)) && sim_count(SIM_CALL_##name))

/** The function @name of the library that would have been called without this one. */
#define SIM_NEXT(name)                                                                     \
	__extension__({                                                                    \
		static __typeof__(name) *_Atomic next_##name;                              \
                                                                                           \
		if (!atomic_load_explicit(&next_##name, memory_order_relaxed))             \
			atomic_store_explicit(&next_##name,                                \
					      (__typeof__(name) *)dlsym(RTLD_NEXT, #name), \
					      memory_order_relaxed);                       \
		atomic_load_explicit(&next_##name, memory_order_relaxed);                  \
	})

#endif
