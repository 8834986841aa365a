/* SPDX-License-Identifier: MIT */
/*
 * msg - what went wrong, in words, and the exit status that stands for it.
 *
 * The library never prints and never exits. A function that can fail in a way an operator must
 * understand takes a `struct err *`, fills it and returns a negative errno; the tool that called
 * prints it with err_print() and exits with err->exit. A long-lived server reports through a
 * `struct log`.
 */
#ifndef TAP_MSG_H
#define TAP_MSG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/** Exit status, the same in every tool. Documented in taptools(7). */
enum tap_exit {
	TAP_EXIT_DONE = 0,    /* done */
	TAP_EXIT_FOUND = 1,   /* a check found what it looks for */
	TAP_EXIT_USAGE = 2,   /* the command line is wrong */
	TAP_EXIT_NONE = 3,    /* no such domain, disk or file */
	TAP_EXIT_BUSY = 4,    /* busy, or in use by someone */
	TAP_EXIT_TIMEOUT = 5, /* timed out */
	TAP_EXIT_DENIED = 6,  /* not permitted, or no Xen here */
	TAP_EXIT_IMAGE = 7,   /* the image or its device failed */
	TAP_EXIT_REFUSED = 8, /* refused, because it could lose data */
	TAP_EXIT_SYSTEM = 9,  /* any other system error */
};

/** A failure as an operator should read it. Zero-initialise before use. */
struct err {
	enum tap_exit exit; /* what a tool exits with */
	char what[384];	    /* one line: "cannot VERB OBJECT: reason" */
	char hint[256];	    /* the next step, or empty */
};

/**
 * Fill @e: @exit and a formatted line. Clears the hint. @e may be NULL (the words are dropped).
 *
 * Control characters in the result become '?': parts of it may come from a guest.
 * Returns @ret, which must be a negative errno, so that `return err_set(e, -ENOENT, ...)` reads
 * well.
 */
int err_set(struct err *e, int ret, enum tap_exit exit, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/** Add the line that names the next step. @e may be NULL. */
void err_hint(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** The exit status for negative errno @ret when nothing better is known. */
enum tap_exit err_exit_of(int ret);

/**
 * Print @e on @to as `TOOL: DISK: what` and, if there is one, a second line `TOOL: hint`.
 * @disk may be NULL. Returns @e->exit (TAP_EXIT_SYSTEM if that was left at 0).
 */
enum tap_exit err_print(FILE *to, const char *tool, const char *disk, const struct err *e);

/** Text in @buf for "%s" of something untrusted: control and non-ASCII bytes become '?'. */
char *msg_printable(const char *untrusted, size_t length_bytes, char *buf, size_t buf_bytes);

enum log_level { LOG_ERROR, LOG_NOTICE, LOG_DEBUG };

/** Where a server's lines go. Set by the tool, carried by whatever may need to speak. */
struct log {
	/** @disk is "DOM/VDEV" or NULL; @text is one line without a newline. */
	void (*line)(void *opaque, enum log_level level, const char *disk, const char *text);
	void *opaque;
};

/** A bound on the lines that one guest can cause. Zero-initialise. */
struct log_limit {
	uint64_t window_start_ns;
	unsigned lines;
	uint64_t suppressed; /* since the last line that came through */
};

/** Lines a guest may cause in each window of LOG_LIMIT_WINDOW_NS. */
#define LOG_LIMIT_LINES	    5
#define LOG_LIMIT_WINDOW_NS 1000000000ull

/** One line through @log. */
void log_line(const struct log *log, enum log_level level, const char *disk, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/**
 * The same for a line that a guest caused: at most LOG_LIMIT_LINES in a window get through, and the
 * first one of the next window says how many did not.
 */
void log_guest(const struct log *log, struct log_limit *limit, const char *disk, const char *fmt,
	       ...) __attribute__((format(printf, 4, 5)));

/** CLOCK_MONOTONIC in nanoseconds. */
uint64_t now_ns(void);

#endif
