/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "msg.h"

/* Length of the UTF-8 character at @c, 1 for a byte that begins none. */
static unsigned char_length(const unsigned char *c)
{
	unsigned length = *c >= 0xf0 && *c < 0xf5   ? 4
			  : *c >= 0xe0 && *c < 0xf0 ? 3
			  : *c >= 0xc2 && *c < 0xe0 ? 2
						    : 1;

	for (unsigned i = 1; i < length; i++) {
		if ((c[i] & 0xc0) != 0x80)
			return 1;
	}
	return length;
}

/*
 * UTF-8 of file names passes; what moves a terminal's cursor does not: C0, DEL, and C1, as UTF-8 or
 * as the bytes that an 8-bit terminal takes for it.
 */
static void blank_controls(char *text)
{
	for (unsigned char *c = (unsigned char *)text; *c;) {
		unsigned length = char_length(c);

		if (length == 1 && (*c < 0x20 || (*c >= 0x7f && *c <= 0x9f)))
			*c = '?';
		else if (length == 2 && c[0] == 0xc2 && c[1] <= 0x9f)
			c[0] = c[1] = '?';
		c += length;
	}
}

__attribute__((format(printf, 3, 0))) static void format_line(char *buf, size_t buf_bytes,
							      const char *fmt, va_list ap)
{
	if (vsnprintf(buf, buf_bytes, fmt, ap) < 0)
		buf[0] = '\0';
	blank_controls(buf);
}

int err_set(struct err *e, int ret, enum tap_exit exit, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return ret;
	e->exit = exit;
	e->hint[0] = '\0';
	va_start(ap, fmt);
	format_line(e->what, sizeof(e->what), fmt, ap);
	va_end(ap);
	return ret;
}

void err_hint(struct err *e, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return;
	va_start(ap, fmt);
	format_line(e->hint, sizeof(e->hint), fmt, ap);
	va_end(ap);
}

enum tap_exit err_exit_of(int ret)
{
	switch (-ret) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
	case ENOTDIR:
		return TAP_EXIT_NONE;
	case EBUSY:
	case EEXIST:
	case ETXTBSY:
		return TAP_EXIT_BUSY;
	case ETIMEDOUT:
	case ETIME:
		return TAP_EXIT_TIMEOUT;
	case EACCES:
	case EPERM:
		return TAP_EXIT_DENIED;
	default:
		return TAP_EXIT_SYSTEM;
	}
}

enum tap_exit err_print(FILE *to, const char *tool, const char *disk, const struct err *e)
{
	fprintf(to, "%s: %s%s%s\n", tool, disk ? disk : "", disk ? ": " : "",
		e->what[0] ? e->what : "failed for an unknown reason");
	if (e->hint[0])
		fprintf(to, "%s: %s\n", tool, e->hint);
	return e->exit ? e->exit : TAP_EXIT_SYSTEM;
}

char *msg_printable(const char *untrusted, size_t length_bytes, char *buf, size_t buf_bytes)
{
	size_t n = length_bytes < buf_bytes - 1 ? length_bytes : buf_bytes - 1;

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)untrusted[i];

		buf[i] = c < 0x20 || c >= 0x7f ? '?' : (char)c;
	}
	buf[n] = '\0';
	return buf;
}

void log_line(const struct log *log, enum log_level level, const char *disk, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	if (!log || !log->line)
		return;
	va_start(ap, fmt);
	format_line(text, sizeof(text), fmt, ap);
	va_end(ap);
	log->line(log->opaque, level, disk, text);
}

void log_guest(const struct log *log, struct log_limit *limit, const char *disk, const char *fmt,
	       ...)
{
	uint64_t now = now_ns(), suppressed = 0;
	char text[512];
	va_list ap;

	if (!log || !log->line)
		return;
	if (!limit->window_start_ns || now - limit->window_start_ns >= LOG_LIMIT_WINDOW_NS) {
		suppressed = limit->suppressed;
		*limit = (struct log_limit){.window_start_ns = now};
	}
	if (limit->lines >= LOG_LIMIT_LINES) {
		limit->suppressed++;
		return;
	}
	limit->lines++;
	va_start(ap, fmt);
	format_line(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (suppressed)
		log_line(log, LOG_NOTICE, disk, "%.440s (%llu lines before this one left out)",
			 text, (unsigned long long)suppressed);
	else
		log->line(log->opaque, LOG_NOTICE, disk, text);
}

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
