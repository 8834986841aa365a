/* SPDX-License-Identifier: MIT */
/*
 * wire - what libtapsim.so and the simulated hypervisor say to each other.
 *
 * Each open handle (gnttab, gntshr, evtchn) is one SOCK_SEQPACKET connection to
 * TAP_SIM_DIR/hypervisor, so that the kernel tells the hypervisor when its process is gone. A
 * request is one message and has one reply, whatever its size: a payload that does not fit a
 * message travels as a memfd beside it.
 */
#ifndef TAP_SIM_WIRE_H
#define TAP_SIM_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_PAGE_BYTES 4096u
/* Of guest memory, all domains together: 4 GiB, sparse. Each process that copies maps all of it,
 * and valgrind must be able to. */
#define SIM_FRAMES	 (1u << 20)
#define SIM_GRANTS	 32768u /* per domain: Xen's max_grant_frames default, 64 frames of 512 */
#define SIM_GRANTS_FRAME 512u	/* a grant table grows by so many entries */
#define SIM_PORTS	 4096u	/* per domain */
#define SIM_DOMAINS	 128u	/* domain ids are below */
#define SIM_BATCH	 65536u /* pages in one call, gntdev's default limit */

#define SIM_XENSTORE_REF  1u /* the ring page of a domain's XenStore connection */
#define SIM_XENSTORE_PORT 1u /* the port of it */
#define SIM_GRANT_FIRST	  8u /* lower references are reserved */

#define SIM_SOCKET     "hypervisor" /* in TAP_SIM_DIR */
#define SIM_NONE       UINT32_MAX   /* no notify offset, no notify port */
#define SIM_INLINE_MAX 32768u	    /* bytes of payload inside a message */

enum sim_kind {
	SIM_KIND_NONE, /* before SIM_HELLO */
	SIM_KIND_GNTTAB,
	SIM_KIND_GNTSHR,
	SIM_KIND_EVTCHN,
	SIM_KIND_CONTROL,
};

/** Operations; arg[] in this order, what follows as payload, and what comes back. */
enum sim_op {
	SIM_HELLO,     /* kind, domid; command name -> gnttab, gntshr: the memory's descriptor;
			* evtchn: the descriptor that ports become readable on */
	SIM_RELEASE,   /* all that this connection holds, as at its end */
	SIM_MAP,       /* writable, notify offset, notify port; sim_ref[] -> id; frames */
	SIM_UNMAP,     /* id */
	SIM_LIMIT,     /* pages that may be mapped */
	SIM_COPY,      /* sim_segment[] -> id of the pin; sim_verdict[] */
	SIM_COPY_DONE, /* id */
	SIM_SHARE,     /* domid, writable, count, notify offset, notify port -> id; sim_shared[] */
	SIM_UNSHARE,   /* id */
	SIM_BIND_UNBOUND,     /* domid -> port */
	SIM_BIND_INTERDOMAIN, /* domid, port -> port */
	SIM_BIND_VIRQ,	      /* virq -> port */
	SIM_UNBIND,	      /* port */
	SIM_NOTIFY,	      /* port */
	SIM_UNMASK,	      /* port */
	SIM_RESTRICT,	      /* domid */
	SIM_DOMAIN,	      /* first domid -> domid, enum sim_domain_flags */
	SIM_HELD,	      /* -> sim_held[] */
	SIM_DESTROY,	      /* domid */
	SIM_OP_COUNT,
};

enum sim_domain_flags {
	SIM_DOMAIN_DYING = 1,
};

#define SIM_ARGS 6

struct sim_request {
	uint32_t op;
	uint32_t payload_bytes;
	uint32_t arg[SIM_ARGS];
};

struct sim_reply {
	int32_t ret; /* 0 or a negative errno */
	uint32_t payload_bytes;
	uint32_t arg[SIM_ARGS];
};

struct sim_ref {
	uint32_t domid;
	uint32_t ref;
};

struct sim_shared {
	uint32_t ref;
	uint32_t frame;
};

/** One end of a segment. A local one has domid SIM_NONE. */
struct sim_end {
	uint32_t domid;
	uint32_t ref;
	uint32_t offset_bytes;
};

struct sim_segment {
	struct sim_end source;
	struct sim_end dest;
	uint32_t length_bytes;
};

struct sim_verdict {
	int32_t status; /* GNTST_* */
	uint32_t source_frame;
	uint32_t dest_frame;
};

enum sim_held_kind {
	SIM_HELD_GRANT,
	SIM_HELD_PORT,
};

/** What a process holds. A mapping over several granting domains names the first. */
struct sim_held {
	uint32_t kind;
	uint32_t domid; /* of the holder */
	int32_t pid;
	uint32_t remote_domid;
	uint32_t remote; /* first reference, or the remote port */
	uint32_t local;	 /* the port; unused for a grant */
	uint32_t count;	 /* pages, or 1 */
	uint32_t writable;
	char command[16];
};

/** A received message. wire_message_free() gives it back. */
struct wire_message {
	union {
		struct sim_request request;
		struct sim_reply reply;
	} head;
	const void *payload; /* head's payload_bytes of it, aligned for any item */
	int fd;		     /* what came beside it, -1 for none; the receiver's to close */
	void *owned;	     /* storage of the payload */
};

/**
 * Send a head with its payload and, when @fd is not -1, a descriptor beside it (which then excludes
 * a payload above SIM_INLINE_MAX). Sets the head's payload_bytes. Returns 0 or a negative errno.
 */
int wire_send_request(int socket, struct sim_request *request, const void *payload, size_t bytes);
int wire_send_reply(int socket, struct sim_reply *reply, const void *payload, size_t bytes, int fd);

/** Receive one message. Returns 1, 0 at the end of the connection, or a negative errno. */
int wire_receive(int socket, struct wire_message *message);

void wire_message_free(struct wire_message *message);

#endif
