/* SPDX-License-Identifier: MIT */
#include <stdarg.h>

#include "xenlog.h"

__attribute__((format(printf, 5, 0))) static void say_nothing(struct xentoollog_logger *logger,
							      xentoollog_level level, int errnoval,
							      const char *context,
							      const char *format, va_list al)
{
}

struct xentoollog_logger *xenlog_silent(void)
{
	static struct xentoollog_logger silent = {.vmessage = say_nothing};

	return &silent;
}
