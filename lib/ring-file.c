/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "num.h"
#include "ring-copy.h"

#define MAGIC_LINE     "taptools-ring 1"
#define LINE_MAX_BYTES (ADDRESS_MAX + 32)
#define QUEUE_MAX      65535
#define ERRNO_MAX      4095

int ring_copy_write(const struct ring_copy *copy, FILE *to)
{
	size_t length = (size_t)RING_PAGE_BYTES << copy->order;

	fprintf(to, MAGIC_LINE "\n");
	if (copy->disk[0])
		fprintf(to, "disk %s\n", copy->disk);
	fprintf(to, "queue %u\nabi %s\norder %u\ntaken-ns %llu\n", copy->queue,
		ring_abi_name(copy->abi), copy->order, (unsigned long long)copy->taken_ns);
	if (copy->has_private)
		fprintf(to, "req-cons %u\nrsp-prod-pvt %u\n", copy->req_cons, copy->rsp_prod_pvt);
	if (copy->oldest_age_ns)
		fprintf(to, "oldest-age-ns %llu\n", (unsigned long long)copy->oldest_age_ns);
	if (copy->stopped)
		fprintf(to, "stopped %u\n", copy->stopped);
	fputc('\n', to);
	if (fwrite(copy->bytes, 1, length, to) != length || fflush(to) || ferror(to))
		return -EIO;
	return 0;
}

/* The keys of the header, and which of them were there. */
enum key {
	KEY_DISK,
	KEY_QUEUE,
	KEY_ABI,
	KEY_ORDER,
	KEY_TAKEN,
	KEY_CONS,
	KEY_PROD,
	KEY_AGE,
	KEY_STOPPED,
	KEYS
};

struct header {
	struct ring_copy *copy;
	bool seen[KEYS];
};

static const char *const key_names[KEYS] = {
	[KEY_DISK] = "disk",	     [KEY_QUEUE] = "queue",	  [KEY_ABI] = "abi",
	[KEY_ORDER] = "order",	     [KEY_TAKEN] = "taken-ns",	  [KEY_CONS] = "req-cons",
	[KEY_PROD] = "rsp-prod-pvt", [KEY_AGE] = "oldest-age-ns", [KEY_STOPPED] = "stopped",
};

static int take_disk(struct ring_copy *copy, const char *value)
{
	char printable[ADDRESS_MAX];
	size_t length = strlen(value);

	if (!length || length >= sizeof(copy->disk))
		return -EINVAL;
	msg_printable(value, length, printable, sizeof(printable));
	if (strcmp(value, printable))
		return -EINVAL;
	memcpy(copy->disk, value, length + 1);
	return 0;
}

static int take_value(struct ring_copy *copy, enum key key, const char *value)
{
	static const uint64_t max[KEYS] = {
		[KEY_QUEUE] = QUEUE_MAX,   [KEY_ORDER] = RING_ORDER_MAX, [KEY_TAKEN] = UINT64_MAX,
		[KEY_CONS] = UINT32_MAX,   [KEY_PROD] = UINT32_MAX,	 [KEY_AGE] = UINT64_MAX,
		[KEY_STOPPED] = ERRNO_MAX,
	};
	uint64_t number;
	int ret;

	if (key == KEY_DISK)
		return take_disk(copy, value);
	if (key == KEY_ABI)
		return ring_abi_parse(value, &copy->abi);
	ret = num_parse(value, 0, max[key], &number);
	if (ret)
		return ret;
	if (key == KEY_QUEUE)
		copy->queue = (unsigned)number;
	else if (key == KEY_ORDER)
		copy->order = (unsigned)number;
	else if (key == KEY_TAKEN)
		copy->taken_ns = number;
	else if (key == KEY_CONS)
		copy->req_cons = (uint32_t)number;
	else if (key == KEY_PROD)
		copy->rsp_prod_pvt = (uint32_t)number;
	else if (key == KEY_AGE)
		copy->oldest_age_ns = number;
	else
		copy->stopped = (uint32_t)number;
	return 0;
}

/* A line without its newline. -ENODATA at the end of the file or before a newline was met. */
static int read_line(FILE *from, char line[static LINE_MAX_BYTES])
{
	for (unsigned i = 0; i < LINE_MAX_BYTES; i++) {
		int c = getc(from);

		if (c == EOF)
			return ferror(from) ? -EIO : -ENODATA;
		if (c == '\n') {
			line[i] = '\0';
			return 0;
		}
		if (!c)
			return -EINVAL;
		line[i] = (char)c;
	}
	return -EMSGSIZE;
}

static int bad_line(const char *name, unsigned number, const char *why, struct err *e)
{
	return err_set(e, -EINVAL, TAP_EXIT_USAGE, "cannot read '%s': line %u: %s", name, number,
		       why);
}

static int bad_file(const char *name, const char *why, struct err *e)
{
	return err_set(e, -EINVAL, TAP_EXIT_USAGE, "cannot read '%s': %s", name, why);
}

static int take_line(struct header *header, char *line, const char *name, unsigned number,
		     struct err *e)
{
	char why[64];
	char *value = strchr(line, ' ');

	if (!value)
		return bad_line(name, number, "no 'KEY VALUE'", e);
	*value++ = '\0';
	for (enum key key = 0; key < KEYS; key++) {
		if (strcmp(line, key_names[key]))
			continue;
		snprintf(why, sizeof(why), "'%s' stands twice", key_names[key]);
		if (header->seen[key])
			return bad_line(name, number, why, e);
		snprintf(why, sizeof(why), "impossible value of '%s'", key_names[key]);
		if (take_value(header->copy, key, value))
			return bad_line(name, number, why, e);
		header->seen[key] = true;
		return 0;
	}
	return bad_line(name, number, "unknown key", e);
}

static int read_header(struct ring_copy *copy, FILE *from, const char *name, struct err *e)
{
	struct header header = {.copy = copy};
	char line[LINE_MAX_BYTES];
	int ret = read_line(from, line);

	if (ret == -EIO)
		return err_set(e, ret, TAP_EXIT_SYSTEM, "cannot read '%s': %s", name,
			       strerror(-ret));
	if (ret || strcmp(line, MAGIC_LINE)) {
		bad_file(name, "it is no ring copy (its first line is not '" MAGIC_LINE "')", e);
		err_hint(e, "'tap-map --dump DOM/VDEV' writes one");
		return -EINVAL;
	}
	/* Each key stands once: that bounds the number of lines. */
	for (unsigned number = 2;; number++) {
		ret = read_line(from, line);
		if (ret == -EMSGSIZE)
			return bad_line(name, number, "it is too long", e);
		if (ret == -EINVAL)
			return bad_line(name, number, "it holds a NUL", e);
		if (ret)
			return bad_file(name, "it ends within its header", e);
		if (!line[0])
			break;
		ret = take_line(&header, line, name, number, e);
		if (ret)
			return ret;
	}
	if (!header.seen[KEY_ABI] || !header.seen[KEY_ORDER])
		return bad_file(name, "its header lacks 'abi' or 'order'", e);
	if (header.seen[KEY_CONS] != header.seen[KEY_PROD])
		return bad_file(name, "'req-cons' and 'rsp-prod-pvt' stand together or not at all",
				e);
	copy->has_private = header.seen[KEY_CONS];
	return 0;
}

int ring_copy_read(struct ring_copy *out, FILE *from, const char *name, struct err *e)
{
	size_t length;
	int ret;

	memset(out, 0, sizeof(*out));
	ret = read_header(out, from, name, e);
	if (ret)
		return ret;
	length = (size_t)RING_PAGE_BYTES << out->order;
	out->bytes = malloc(length);
	if (!out->bytes)
		return err_set(e, -ENOMEM, TAP_EXIT_SYSTEM, "no memory for a copy of the ring");
	if (fread(out->bytes, 1, length, from) != length)
		ret = bad_file(name, "it ends within the ring's pages", e);
	else if (getc(from) != EOF)
		ret = bad_file(name, "bytes follow the ring's pages", e);
	else if (ring_setup(&out->ring, out->bytes, out->abi, out->order))
		ret = bad_file(name, "such a ring cannot be", e);
	if (ret)
		ring_copy_free(out);
	return ret;
}
