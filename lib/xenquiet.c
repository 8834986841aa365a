/* SPDX-License-Identifier: MIT */
#include <xentoollog.h>

#include "xenquiet.h"

static __attribute__((format(printf, 5, 0))) void drop(struct xentoollog_logger *logger,
						       xentoollog_level level, int errnoval,
						       const char *context, const char *format,
						       va_list al)
{
}

struct xentoollog_logger *xenquiet(void)
{
	static struct xentoollog_logger logger = {.vmessage = drop};

	return &logger;
}
