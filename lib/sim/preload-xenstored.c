/* SPDX-License-Identifier: MIT */
/* What only xenstored needs: domains as the hypervisor knows them, and the files of Linux's xenfs.
 */
#include "preload.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#define __XEN_TOOLS__ 1
#include <xenctrl.h>
#include <xen/domctl.h>

/* The hypercall interface as seen by xenstored: one connection. */
static struct sim_handle domains;

SIM_EXPORT xc_interface *xc_interface_open(xentoollog_logger *logger, xentoollog_logger *dombuild,
					   unsigned open_flags)
{
	if (sim_open(&domains, SIM_KIND_CONTROL, true) < 0)
		return NULL;
	return (xc_interface *)&domains;
}

SIM_EXPORT int xc_interface_close(xc_interface *xch)
{
	if (xch)
		sim_close((struct sim_handle *)xch);
	return 0;
}

/* The first domain from @first on. Returns 0, or -1 with errno ESRCH where there is none. */
static int next_domain(xc_interface *xch, uint32_t first, uint32_t *domid, bool *dying)
{
	struct sim_request r = {.op = SIM_DOMAIN, .arg = {first}};
	struct wire_message reply;

	if (sim_call((struct sim_handle *)xch, &r, NULL, 0, &reply) < 0)
		return -1;
	*domid = reply.head.reply.arg[0];
	*dying = reply.head.reply.arg[1] & SIM_DOMAIN_DYING;
	wire_message_free(&reply);
	return 0;
}

#if XEN_DOMCTL_INTERFACE_VERSION <= 0x15 /* Xen 4.17 and before */

SIM_EXPORT int xc_domain_getinfo(xc_interface *xch, uint32_t first_domid, unsigned int max_doms,
				 xc_dominfo_t *info)
{
	unsigned n;

	for (n = 0; n < max_doms; n++) {
		uint32_t domid;
		bool dying;

		if (next_domain(xch, first_domid, &domid, &dying) < 0)
			break;
		info[n] = (xc_dominfo_t){.domid = domid, .dying = dying, .running = !dying};
		first_domid = domid + 1;
	}
	return n ? (int)n : -1;
}

#else

static void fill(xc_domaininfo_t *info, uint32_t domid, bool dying)
{
	*info = (xc_domaininfo_t){
		.domain = (domid_t)domid,
		.flags = dying ? XEN_DOMINF_dying : XEN_DOMINF_running,
	};
}

SIM_EXPORT int xc_domain_getinfo_single(xc_interface *xch, uint32_t domid, xc_domaininfo_t *info)
{
	uint32_t found;
	bool dying;

	if (next_domain(xch, domid, &found, &dying) < 0)
		return -1;
	if (found != domid) {
		errno = ESRCH;
		return -1;
	}
	if (info)
		fill(info, domid, dying);
	return 0;
}

SIM_EXPORT int xc_domain_getinfolist(xc_interface *xch, uint32_t first_domain,
				     unsigned int max_domains, xc_domaininfo_t *info)
{
	unsigned n;

	for (n = 0; n < max_domains; n++) {
		uint32_t domid;
		bool dying;

		if (next_domain(xch, first_domain, &domid, &dying) < 0)
			break;
		fill(&info[n], domid, dying);
		first_domain = domid + 1;
	}
	return (int)n;
}

#endif

static int file_of(const char *name, const void *bytes, size_t length)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	if (fd < 0)
		return -1;
	if (ftruncate(fd, SIM_PAGE_BYTES) == 0 && pwrite(fd, bytes, length, 0) == (ssize_t)length)
		return fd;
	close(fd);
	errno = EIO;
	return -1;
}

/*
 * xenstored finds its own domain's connection in two files. The page behind xsd_kva is shared with
 * nobody: dom0's tools come by the socket.
 */
SIM_EXPORT int open(const char *path, int flags, ...)
{
	static int (*real_open)(const char *, int, ...);
	static const char port[] = {'0' + SIM_XENSTORE_PORT, '\n'};
	mode_t mode = 0;
	va_list ap;

	if (sim_dir() && !strcmp(path, "/proc/xen/xsd_port"))
		return file_of("xsd_port", port, sizeof(port));
	if (sim_dir() && !strcmp(path, "/proc/xen/xsd_kva"))
		return file_of("xsd_kva", "", 1);
	if (flags & (O_CREAT | __O_TMPFILE)) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	if (!real_open)
		real_open = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
	return real_open(path, flags, mode);
}

/* Tells who waits for xenstored that a connection to it will succeed from here on. */
SIM_EXPORT int listen(int fd, int backlog)
{
	static int (*real_listen)(int, int);
	const char *ready = getenv("TAP_SIM_READY_FD");
	int ret;

	if (!real_listen)
		real_listen = (int (*)(int, int))dlsym(RTLD_NEXT, "listen");
	ret = real_listen(fd, backlog);
	if (ret == 0 && ready) {
		int to = atoi(ready);

		unsetenv("TAP_SIM_READY_FD");
		if (write(to, "", 1) == 1)
			close(to);
	}
	return ret;
}
