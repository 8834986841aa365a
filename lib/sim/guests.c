/* SPDX-License-Identifier: MIT */
#include "sim/guests.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <xenstore.h>

#include "num.h"
#include "sim/wire.h"

#define MEMORY_KIB 1048576u /* what a guest claims to have; no memory stands behind it */

/** Who may do what with a node, as in libxl: the owner, then one domain. */
struct rights {
	struct xs_permissions list[2];
	unsigned count;
};

/** The tree of one guest as it is written. */
struct tree {
	struct xs_handle *xs;
	uint32_t domid;
	struct rights none;  /* dom0 alone */
	struct rights read;  /* the guest may read */
	struct rights write; /* the guest's own */
};

/* Write a node below the domain's directory and, with @rights, set them. */
__attribute__((format(printf, 4, 5))) static int put(struct tree *t, const struct rights *rights,
						     const char *value, const char *path_fmt, ...)
{
	char path[256];
	va_list ap;
	int n;

	va_start(ap, path_fmt);
	n = vsnprintf(path, sizeof(path), path_fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	if (!xs_write(t->xs, XBT_NULL, path, value, (unsigned)strlen(value)))
		return -errno;
	if (rights && !xs_set_permissions(t->xs, XBT_NULL, path,
					  (struct xs_permissions *)rights->list, rights->count))
		return -errno;
	return 0;
}

static int put_dirs(struct tree *t, const struct rights *rights, const char *const *names)
{
	int ret = 0;

	for (; ret >= 0 && *names; names++)
		ret = put(t, rights, "", "/local/domain/%u/%s", t->domid, *names);
	return ret;
}

static int put_value(struct tree *t, const char *name, unsigned value)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", value);
	return put(t, NULL, text, "/local/domain/%u/%s", t->domid, name);
}

static int put_values(struct tree *t)
{
	const struct {
		const char *name;
		unsigned value;
	} values[] = {
		{"domid", t->domid},
		{"memory/static-max", MEMORY_KIB},
		{"memory/target", MEMORY_KIB},
		{"store/port", SIM_XENSTORE_PORT},
		{"store/ring-ref", SIM_XENSTORE_REF},
	};
	int ret = 0;

	for (size_t i = 0; ret >= 0 && i < ARRAY_SIZE(values); i++)
		ret = put_value(t, values[i].name, values[i].value);
	return ret < 0 ? ret
		       : put(t, NULL, "online", "/local/domain/%u/cpu/0/availability", t->domid);
}

static int put_guest(struct tree *t)
{
	static const char *const read_dirs[] = {"cpu", "memory", "device", "control", NULL};
	static const char *const write_dirs[] = {"control/shutdown",
						 "control/feature-poweroff",
						 "control/feature-reboot",
						 "control/feature-suspend",
						 "control/sysrq",
						 "device/suspend/event-channel",
						 "data",
						 "drivers",
						 "feature",
						 "attr",
						 "error",
						 NULL};
	char name[16], vm[64];
	int ret;

	snprintf(name, sizeof(name), "web%u", t->domid);
	snprintf(vm, sizeof(vm), "/vm/00000000-0000-0000-0000-%012u", t->domid);
	ret = put(t, &t->read, "", "/local/domain/%u", t->domid);
	if (ret >= 0)
		ret = put(t, &t->read, "", "%s", vm);
	if (ret >= 0)
		ret = put(t, NULL, name, "%s/name", vm);
	if (ret >= 0)
		ret = put(t, NULL, vm + strlen("/vm/"), "%s/uuid", vm);
	if (ret >= 0)
		ret = put(t, &t->none, "", "/libxl/%u", t->domid);
	if (ret >= 0)
		ret = put(t, NULL, vm, "/local/domain/%u/vm", t->domid);
	if (ret >= 0)
		ret = put(t, NULL, name, "/local/domain/%u/name", t->domid);
	if (ret >= 0)
		ret = put_dirs(t, &t->read, read_dirs);
	if (ret >= 0)
		ret = put_dirs(t, &t->write, write_dirs);
	return ret < 0 ? ret : put_values(t);
}

static int introduce(struct xs_handle *xs, uint32_t domid)
{
	struct tree t = {
		.xs = xs,
		.domid = domid,
		.none = {{{.id = 0, .perms = XS_PERM_NONE}}, 1},
		.read = {{{.id = 0, .perms = XS_PERM_NONE}, {.id = domid, .perms = XS_PERM_READ}},
			 2},
		.write = {{{.id = domid, .perms = XS_PERM_NONE}}, 1},
	};
	int ret = put_guest(&t);

	if (ret < 0)
		return ret;
	/* The frame number is of use to an old xenstored only; this one maps grant 1. */
	return xs_introduce_domain(xs, domid, 0, SIM_XENSTORE_PORT) ? 0 : -errno;
}

static int put_dom0(struct xs_handle *xs)
{
	struct tree t = {.xs = xs};
	int ret = put_value(&t, "domid", 0);

	return ret < 0 ? ret : put(&t, NULL, "Domain-0", "/local/domain/0/name");
}

int guests_introduce(unsigned count, struct err *e)
{
	struct xs_handle *xs = xs_open(0);
	int ret;

	if (!xs)
		return err_set(e, -errno, TAP_EXIT_SYSTEM, "cannot connect to xenstored: %m");
	ret = put_dom0(xs);
	for (uint32_t domid = 1; ret >= 0 && domid <= count; domid++)
		ret = introduce(xs, domid);
	xs_close(xs);
	if (ret < 0)
		err_set(e, ret, TAP_EXIT_SYSTEM, "cannot introduce the domains to xenstored: %s",
			strerror(-ret));
	return ret;
}

static int forget(struct xs_handle *xs, const char *fmt, uint32_t domid)
{
	char path[64];

	snprintf(path, sizeof(path), "%s%u", fmt, domid);
	return xs_rm(xs, XBT_NULL, path) || errno == ENOENT ? 0 : -errno;
}

int guests_forget(uint32_t domid, struct err *e)
{
	struct xs_handle *xs = xs_open(0);
	char vm[64];
	int ret;

	if (!xs)
		return err_set(e, -errno, TAP_EXIT_SYSTEM, "cannot connect to xenstored: %m");
	snprintf(vm, sizeof(vm), "/vm/00000000-0000-0000-0000-%012u", domid);
	ret = forget(xs, "/local/domain/", domid);
	if (ret == 0)
		ret = forget(xs, "/libxl/", domid);
	if (ret == 0)
		ret = xs_rm(xs, XBT_NULL, vm) || errno == ENOENT ? 0 : -errno;
	xs_close(xs);
	if (ret < 0)
		err_set(e, ret, TAP_EXIT_SYSTEM, "cannot remove the nodes of domain %u: %s", domid,
			strerror(-ret));
	return ret;
}
