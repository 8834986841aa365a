/* SPDX-License-Identifier: MIT */
/* Domains: their making, their end. */
#include "hv-state.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <xen/xen.h>

struct domain *domain_get(struct hv *hv, uint32_t domid)
{
	return domid < SIM_DOMAINS && hv->domains[domid].exists ? &hv->domains[domid] : NULL;
}

int domain_create(struct hv *hv, uint32_t domid)
{
	struct domain *d = &hv->domains[domid];
	int ret;

	*d = (struct domain){.exists = true, .id = domid, .grant_hint = SIM_GRANT_FIRST};
	d->grants = calloc(SIM_GRANTS, sizeof(*d->grants));
	d->ports = calloc(SIM_PORTS, sizeof(*d->ports));
	if (!d->grants || !d->ports)
		return -ENOMEM;
	/* The first port of a domain, so its number is known: SIM_XENSTORE_PORT. */
	ret = port_bind_unbound(d, NULL, 0);
	if (ret < 0 || !domid)
		return ret < 0 ? ret : 0;
	ret = grant_add_at(hv, d, SIM_XENSTORE_REF, 0, true);
	return ret < 0 ? ret : xenbus_open(hv, d);
}

void domain_settle(struct domain *d)
{
	if (!d->dying || d->grants_used)
		return;
	free(d->grants);
	free(d->ports);
	*d = (struct domain){0};
}

/* What runs in the domain dies with it; the others' mappings of its pages stay until unmapped. */
int domain_destroy(struct hv *hv, uint32_t domid)
{
	struct domain *d = domain_get(hv, domid);

	if (!d || d->dying)
		return -ESRCH;
	if (!domid)
		return -EPERM;
	xenbus_close(hv, d);
	for (struct conn *c = hv->conns, *next; c; c = next) {
		next = c->next;
		if (c->domid != domid)
			continue;
		kill(c->pid, SIGKILL);
		conn_end(hv, c);
	}
	for (uint32_t port = 1; port < SIM_PORTS; port++)
		port_close(hv, d, port);
	for (uint32_t ref = 0; ref < SIM_GRANTS; ref++)
		if (d->grants[ref].used && !d->grants[ref].orphan)
			grant_end(hv, d, ref);
	d->dying = true;
	domain_settle(d);
	port_raise_virq(hv, VIRQ_DOM_EXC);
	return 0;
}
