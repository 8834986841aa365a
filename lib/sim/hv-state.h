/* SPDX-License-Identifier: MIT */
/* hv-state - what the parts of the hypervisor share. */
#ifndef TAP_SIM_HV_STATE_H
#define TAP_SIM_HV_STATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "hv.h"
#include "wire.h"

struct hv;
struct xenbus;

/** A descriptor in the loop. One event is handled per turn, so a handler may free any source. */
struct source {
	int fd;
	void (*ready)(struct hv *hv, struct source *source, uint32_t events);
};

/** An entry of a domain's grant table. */
struct grant {
	bool used;
	bool writable;
	bool orphan;	  /* its process is gone: free at the last unmap */
	uint16_t grantee; /* the domain that may map it */
	uint32_t frame;
	uint32_t maps; /* mappings and copies at work on it */
};

enum port_state {
	PORT_FREE,
	PORT_UNBOUND,
	PORT_INTERDOMAIN,
	PORT_VIRQ,
};

/** One end of an event channel. */
struct port {
	enum port_state state;
	uint16_t remote_domid;
	uint32_t remote;   /* the other end's port, or the virq */
	struct conn *conn; /* who bound it; NULL for a domain's kernel */
	bool masked;	   /* from its delivery until it is unmasked */
	bool pending;	   /* came while masked */
	bool closing;	   /* as soon as it is kept no more */
	unsigned kept;	   /* by mappings that notify it at their end */
};

struct domain {
	bool exists;
	bool dying;
	uint32_t id;
	struct grant *grants; /* SIM_GRANTS of them */
	uint32_t grants_top;  /* the table's size by now */
	uint32_t grant_hint;  /* none is free below */
	uint32_t grants_used;
	struct port *ports; /* SIM_PORTS of them */
	struct xenbus *xenbus;
};

struct held_ref {
	uint16_t domid;
	uint32_t ref;
};

/** What an end of a process must signal: header "UNMAP NOTIFICATION" in xengnttab.h. */
struct unmap_notify {
	uint32_t offset_bytes; /* SIM_NONE: no byte to clear */
	uint32_t port;	       /* SIM_NONE: no port to notify */
};

/** Grants that one call has mapped, pinned for a copy, or shared. */
struct hold {
	struct hold *next;
	uint32_t id;
	bool pin;
	bool writable;
	struct unmap_notify notify;
	uint32_t count;
	struct held_ref refs[];
};

/** A handle in some process. */
struct conn {
	struct source source;
	struct conn *next;
	enum sim_kind kind;
	uint32_t domid;
	pid_t pid;
	char command[16];
	uint32_t last_id;
	struct hold *holds; /* gnttab: what it maps; gntshr: what it shares */
	uint32_t mapped_pages;
	uint32_t limit_pages;
	int events;	     /* evtchn: ports are written here */
	uint32_t restricted; /* evtchn: to this domain, or SIM_NONE */
};

struct hv {
	const struct sim_config *config;
	int epoll;
	int ends; /* an epoll that only hears of connections that have ended */
	struct source control;
	struct source listener;
	struct source signals;
	struct source xenstored_ready;
	struct source grace; /* a timer, while processes are asked to end */
	int memory_fd;
	char *memory;
	uint8_t *frame_used;
	uint32_t frame_hint;
	struct domain domains[SIM_DOMAINS];
	struct conn *conns;
	pid_t xenstored;
	pid_t command;
	int command_status;
	bool ending;
	bool done;
};

/* hv.c */
int hv_watch(struct hv *hv, struct source *source, uint32_t events);
void hv_rewatch(struct hv *hv, struct source *source, uint32_t events);
/** Takes it out of the loop and closes it. */
void hv_unwatch(struct hv *hv, struct source *source);
/** A listening unix socket in the simulator's folder. Returns it or a negative errno. */
int hv_listen(const struct hv *hv, const char *name, int type);
void hv_tell(const struct hv *hv, enum hv_word word, int value);

/* hv-memory.c */
int memory_open(struct hv *hv);
int frame_alloc(struct hv *hv, uint32_t *frame);
/** The page's contents are gone for ever. */
void frame_free(struct hv *hv, uint32_t frame);
char *frame_at(const struct hv *hv, uint32_t frame);

/* hv-domain.c */
int domain_create(struct hv *hv, uint32_t domid);
int domain_destroy(struct hv *hv, uint32_t domid);
/** The domain if it exists, dying or not, else NULL. */
struct domain *domain_get(struct hv *hv, uint32_t domid);
/** Forget a dying domain once nobody maps its pages any more. */
void domain_settle(struct domain *d);

/* hv-grant.c */
int grant_add(struct hv *hv, struct domain *d, uint32_t grantee, bool writable, uint32_t *ref);
int grant_add_at(struct hv *hv, struct domain *d, uint32_t ref, uint32_t grantee, bool writable);
/** Free it, or leave that to the last unmap. */
void grant_end(struct hv *hv, struct domain *d, uint32_t ref);
/** A reference that @by may use, else NULL and a GNTST_ status. */
struct grant *grant_find(struct hv *hv, uint32_t domid, uint32_t ref, uint32_t by, bool write,
			 int *status);
/** Drop one use of it. */
void grant_put(struct hv *hv, uint32_t domid, uint32_t ref);

/* hv-hold.c */
struct hold *hold_new(struct conn *conn, uint32_t capacity);
/** Take the hold @id out of the connection's list; NULL if there is none. */
struct hold *hold_take(struct conn *conn, uint32_t id);
struct hold *hold_find(struct conn *conn, uint32_t id);
/** Set what its end must signal. Returns 0, or -EINVAL if that makes no sense. */
int hold_notify(struct hv *hv, const struct conn *conn, struct hold *hold,
		const struct unmap_notify *n);
void hold_send_notify(struct hv *hv, const struct conn *conn, const struct hold *hold,
		      uint32_t frame);

/* hv-map.c: reply with what was asked */
int map_refs(struct hv *hv, struct conn *conn, const struct wire_message *m);
int map_unmap(struct hv *hv, struct conn *conn, uint32_t id);
int map_copy(struct hv *hv, struct conn *conn, const struct wire_message *m);
void map_release(struct hv *hv, struct conn *conn);

/* hv-share.c */
int share_pages(struct hv *hv, struct conn *conn, const struct wire_message *m);
int share_end(struct hv *hv, struct conn *conn, uint32_t id);
void share_release(struct hv *hv, struct conn *conn);

/* hv-port.c: a port, or a negative errno */
int port_bind_unbound(struct domain *d, struct conn *conn, uint32_t remote_domid);
int port_bind_interdomain(struct hv *hv, struct domain *d, struct conn *conn, uint32_t domid,
			  uint32_t remote);
int port_bind_virq(struct hv *hv, struct domain *d, struct conn *conn, uint32_t virq);
int port_restrict(struct conn *conn, uint32_t domid);
/** 0, -EINVAL (no such port) or -ENOTCONN (not bound through this handle). */
int port_check(const struct domain *d, const struct conn *conn, uint32_t port);
void port_close(struct hv *hv, struct domain *d, uint32_t port);
/** Keep it from being closed until notified: the driver counts its users in the same way. */
void port_keep(struct domain *d, uint32_t port);
void port_put(struct hv *hv, struct domain *d, uint32_t port);
void port_unmask(struct hv *hv, struct domain *d, uint32_t port);
/** Signal the other end. Silently dropped, as Xen does, when there is none. */
void port_notify(struct hv *hv, struct domain *d, uint32_t port);
void port_raise_virq(struct hv *hv, uint32_t virq);
void port_release(struct hv *hv, struct conn *conn);

/* hv-conn.c */
void conn_accept(struct hv *hv, struct source *source, uint32_t events);
void conn_end(struct hv *hv, struct conn *conn);
int conn_reply(const struct conn *conn, uint32_t arg, const void *payload, size_t bytes, int fd);

/* hv-held.c */
int held_list(struct hv *hv, struct conn *conn);

/* hv-xenbus.c */
int xenbus_open(struct hv *hv, struct domain *d);
/** Nobody will answer any more: the clients see the end of their connections. */
void xenbus_close(struct hv *hv, struct domain *d);
/** xenstored has notified the domain's kernel. */
void xenbus_event(struct hv *hv, struct domain *d);

/* hv-process.c */
int process_signals(struct hv *hv);
int process_start_xenstored(struct hv *hv);
int process_start_command(struct hv *hv);
/** End all that runs here, politely first unless @at_once, then xenstored; then hv->done. */
void process_end_all(struct hv *hv, bool at_once);

#endif
