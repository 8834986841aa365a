/* SPDX-License-Identifier: MIT */
/*
 * The parsers of single values: num_*, ring_abi_parse(). Input: the value.
 */
#include "fuzz.h"

#include <errno.h>

#include "num.h"
#include "ring.h"

#define MIN_SOME 17u
#define MAX_SOME 4711u

/* What a decimal number is, said another way. False: it is none, or does not fit. */
static bool is_number(const char *text, uint64_t *out)
{
	*out = 0;
	if (!*text || strspn(text, "0123456789") != strlen(text))
		return false;
	errno = 0;
	*out = strtoull(text, NULL, 10);
	return !errno;
}

static void check_plain(const char *text)
{
	uint64_t expected, value = UINT64_MAX - 1;
	bool good = is_number(text, &expected);

	if (!num_parse(text, 0, UINT64_MAX, &value))
		must(good && value == expected);
	else
		must(!good && value == UINT64_MAX - 1);
	if (!num_parse(text, MIN_SOME, MAX_SOME, &value))
		must(good && value == expected && value >= MIN_SOME && value <= MAX_SOME);
	else
		must(!good || expected < MIN_SOME || expected > MAX_SOME);
}

static void check_bytes(const uint8_t *bytes, size_t length_bytes, const char *text)
{
	uint64_t expected, value;
	int ret = num_parse_bytes((const char *)bytes, length_bytes, 0, UINT64_MAX, &value);

	if (!ret)
		must(is_number(text, &expected) && value == expected);
	else
		must(ret == -EINVAL || ret == -ERANGE);
}

/* No unit makes a size wrap: divided again, it is the digits. */
static void must_not_have_wrapped(const char *text, uint64_t size_bytes)
{
	static const char units[] = "KMGT";
	size_t digits = strspn(text, "0123456789");
	const char *unit = text[digits] ? strchr(units, text[digits]) : NULL;

	must(size_bytes >> (unit ? 10 * (unit - units + 1) : 0) == strtoull(text, NULL, 10));
}

static void check_units(const char *text)
{
	uint64_t plain, value, narrow;
	char words[16];

	if (!num_parse_size(text, 0, UINT64_MAX, &value)) {
		must(!is_number(text, &plain) || value == plain);
		must_not_have_wrapped(text, value);
		must(strlen(num_format_size(value, words)) < sizeof(words) - 1);
	}
	if (!num_parse_size(text, MIN_SOME, MAX_SOME, &narrow))
		must(narrow == value && narrow >= MIN_SOME && narrow <= MAX_SOME);
	if (!num_parse_time(text, 0, UINT64_MAX, &value)) {
		must(!is_number(text, &plain) || value == plain * 1000000000);
		must(strlen(num_format_time(value, words)) < sizeof(words));
	}
	if (!num_parse_time(text, MIN_SOME, MAX_SOME, &narrow))
		must(narrow == value && narrow >= MIN_SOME && narrow <= MAX_SOME);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length_bytes)
{
	char *text = input_text(bytes, length_bytes);
	enum ring_abi abi = RING_ABI_X86_32 + 1;

	check_plain(text);
	check_bytes(bytes, length_bytes, text);
	check_units(text);
	if (!ring_abi_parse(text, &abi))
		must(!strcmp(ring_abi_name(abi), text));
	else
		must(abi == RING_ABI_X86_32 + 1);
	free(text);
	return 0;
}
