/* SPDX-License-Identifier: MIT */
/*
 * DOM/VDEV, DOM and VDEV, and the names that numbers have. Input: the text; its first four bytes
 * are a number as well.
 */
#include "fuzz.h"

#include <errno.h>

#include "address.h"

/* The name of a number means that number: it never leads to another disk. */
static void must_come_back(uint32_t vdev)
{
	char name[ADDRESS_VDEV_MAX];
	uint32_t again;

	must(vdev_name(vdev, name) == name && strlen(name) < sizeof(name));
	if (vdev < 1u << 29)
		must(!vdev_parse(name, &again) && again == vdev);
	else
		must(vdev_parse(name, &again) == -EINVAL);
}

static void check_dom(const char *text)
{
	char dom[ADDRESS_DOM_MAX];
	struct err e = {0};

	if (!address_parse_dom(text, dom, &e)) {
		must(!strcmp(dom, text) && *dom && !strchr(dom, '/'));
	} else {
		must_be_told(&e);
		must(e.exit == TAP_EXIT_USAGE);
	}
}

static void check_address(const char *text)
{
	struct address address, again;
	char composed[ADDRESS_MAX + 1], name[ADDRESS_VDEV_MAX];
	struct err e = {0};

	if (address_parse(text, &address, &e)) {
		must_be_told(&e);
		must(e.exit == TAP_EXIT_USAGE);
		return;
	}
	must(!strncmp(text, address.dom, strlen(address.dom)));
	must_come_back(address.vdev);
	snprintf(composed, sizeof(composed), "%s/%s", address.dom, vdev_name(address.vdev, name));
	must(!address_parse(composed, &again, &e));
	must(!strcmp(again.dom, address.dom) && again.vdev == address.vdev);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length_bytes)
{
	struct input number = {bytes, length_bytes};
	char *text = input_text(bytes, length_bytes);
	uint32_t vdev;

	check_dom(text);
	check_address(text);
	if (!vdev_parse(text, &vdev))
		must_come_back(vdev);
	input_take(&number, &vdev, sizeof(vdev));
	must_come_back(vdev);
	free(text);
	return 0;
}
