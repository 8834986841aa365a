/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "address.h"
#include "num.h"

/* The numbering is xen-vbd-interface(7)'s: a short form shaped like Linux' major and minor numbers,
 * and an extended one for what the short form of xvd cannot say. */
#define VDEV_EXTENDED	(1u << 28)
#define VDEV_MAX	((VDEV_EXTENDED << 1) - 1)
#define EXTENDED_SHIFT	8
#define EXTENDED_DISKS	(1u << 20)
#define XVD_SHORT_DISKS 16u
#define XVD_SHORT_PARTS 16u

/** A run of numbers in the short form: @disks disks from @first_disk on, named @prefix. */
struct family {
	const char *prefix;
	uint32_t major, first_disk, disks;
	unsigned part_bits;
};

static const struct family families[] = {
	{"xvd", 202, 0, XVD_SHORT_DISKS, 4},
	{"sd", 8, 0, 16, 4},
	{"hd", 3, 0, 2, 6},
	{"hd", 22, 2, 2, 6},
};

static uint32_t extended(uint32_t disk, uint32_t part)
{
	return VDEV_EXTENDED | disk << EXTENDED_SHIFT | part;
}

/* "a" is 0, "z" 25, "aa" 26. Returns the letters taken, 0 when there is none or they say too much.
 */
static size_t take_letters(const char *text, uint32_t *disk)
{
	size_t n = 0;

	*disk = 0;
	for (; text[n] >= 'a' && text[n] <= 'z'; n++) {
		*disk = *disk * 26 + (uint32_t)(text[n] - 'a') + 1;
		if (*disk > EXTENDED_DISKS)
			return 0;
	}
	*disk -= n != 0;
	return n;
}

/* Absent is 0, the whole disk; a written one starts at 1 and has no leading zero. */
static int take_partition(const char *text, uint32_t *part)
{
	uint64_t value = 0;

	*part = 0;
	if (!*text)
		return 0;
	if (*text == '0' || num_parse(text, 1, (1u << EXTENDED_SHIFT) - 1, &value))
		return -EINVAL;
	*part = (uint32_t)value;
	return 0;
}

static int name_parse(const char *prefix, const char *rest, uint32_t *out)
{
	uint32_t disk, part;
	size_t letters = take_letters(rest, &disk);

	if (!letters || take_partition(rest + letters, &part))
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		const struct family *f = &families[i];

		if (strcmp(f->prefix, prefix) != 0 || disk < f->first_disk ||
		    disk - f->first_disk >= f->disks || part >> f->part_bits)
			continue;
		*out = f->major << 8 | (disk - f->first_disk) << f->part_bits | part;
		return 0;
	}
	if (strcmp(prefix, "xvd") != 0)
		return -EINVAL;
	*out = extended(disk, part);
	return 0;
}

int vdev_parse(const char *text, uint32_t *out)
{
	static const char *const prefixes[] = {"xvd", "sd", "hd"};
	uint64_t number;

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		size_t length = strlen(prefixes[i]);

		if (strncmp(text, prefixes[i], length) == 0)
			return name_parse(prefixes[i], text + length, out);
	}
	if (num_parse(text, 0, VDEV_MAX, &number))
		return -EINVAL;
	*out = (uint32_t)number;
	return 0;
}

static char *compose(const char *prefix, uint32_t disk, uint32_t part, char *buf)
{
	char letters[8]; /* 2^20 disks need five */
	char *c = letters + sizeof(letters) - 1;

	*c = '\0';
	for (uint32_t left = disk + 1; left; left = (left - 1) / 26)
		*--c = (char)('a' + (left - 1) % 26);
	if (part)
		snprintf(buf, ADDRESS_VDEV_MAX, "%s%s%u", prefix, c, part);
	else
		snprintf(buf, ADDRESS_VDEV_MAX, "%s%s", prefix, c);
	return buf;
}

char *vdev_name(uint32_t vdev, char buf[static ADDRESS_VDEV_MAX])
{
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		const struct family *f = &families[i];
		uint32_t minor = vdev & 0xff;

		if (vdev >> 8 == f->major && minor >> f->part_bits < f->disks)
			return compose(f->prefix, f->first_disk + (minor >> f->part_bits),
				       minor & ((1u << f->part_bits) - 1), buf);
	}
	if (vdev & VDEV_EXTENDED && vdev <= VDEV_MAX) {
		uint32_t disk = (vdev & (VDEV_EXTENDED - 1)) >> EXTENDED_SHIFT;
		uint32_t part = vdev & ((1u << EXTENDED_SHIFT) - 1);

		/* Its name would mean the short form: another number, so another disk. */
		if (disk >= XVD_SHORT_DISKS || part >= XVD_SHORT_PARTS)
			return compose("xvd", disk, part, buf);
	}
	snprintf(buf, ADDRESS_VDEV_MAX, "%u", vdev);
	return buf;
}

uint32_t vdev_xvd(unsigned n)
{
	return n < XVD_SHORT_DISKS ? 202u << 8 | n << 4 : extended(n, 0);
}

static bool is_name(const char *text)
{
	for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
		if (*c <= ' ' || *c == 0x7f || *c == '/')
			return false;
	}
	return *text;
}

static bool is_digits(const char *text)
{
	return *text && strspn(text, "0123456789") == strlen(text);
}

int address_parse_dom(const char *text, char dom[static ADDRESS_DOM_MAX], struct err *e)
{
	uint64_t id;

	if (is_digits(text) && num_parse(text, 0, DOMID_MAX, &id))
		return err_set(e, -EINVAL, TAP_EXIT_USAGE, "invalid domain '%s': an id is 0 to %u",
			       text, DOMID_MAX);
	if (!is_name(text))
		return err_set(e, -EINVAL, TAP_EXIT_USAGE,
			       "invalid domain '%s': expected an id or a name", text);
	if (strlen(text) >= ADDRESS_DOM_MAX)
		return err_set(e, -EINVAL, TAP_EXIT_USAGE,
			       "invalid domain '%s': longer than %d bytes", text,
			       ADDRESS_DOM_MAX - 1);
	strcpy(dom, text);
	return 0;
}

int address_parse(const char *text, struct address *out, struct err *e)
{
	const char *slash = strchr(text, '/');
	char dom[ADDRESS_DOM_MAX + 1]; /* one more, so that too long a name is seen to be */
	struct address address;
	int ret;

	if (!slash || slash == text || !slash[1])
		return err_set(e, -EINVAL, TAP_EXIT_USAGE,
			       "invalid disk '%s': expected DOM/VDEV, as in web1/xvda", text);
	snprintf(dom, sizeof(dom), "%.*s", (int)(slash - text), text);
	ret = address_parse_dom(dom, address.dom, e);
	if (ret)
		return ret;
	if (vdev_parse(slash + 1, &address.vdev))
		return err_set(e, -EINVAL, TAP_EXIT_USAGE,
			       "invalid vdev '%s' in '%s': expected a name as in xvda or hda1, or "
			       "a number up to %u",
			       slash + 1, text, VDEV_MAX);
	*out = address;
	return 0;
}
