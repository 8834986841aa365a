/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "num.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/*
 * The digits at the start of [text, end). Returns how many there are; *overflow says that their
 * value does not fit. At least one digit is needed: 0 means that there was none.
 */
static size_t take_digits(const char *text, const char *end, uint64_t *value, bool *overflow)
{
	const char *c = text;

	*value = 0;
	*overflow = false;
	for (; c < end && is_digit(*c); c++) {
		if (mul_overflows(*value, 10, value) ||
		    add_overflows(*value, (uint64_t)(*c - '0'), value))
			*overflow = true;
	}
	return (size_t)(c - text);
}

static int in_range(bool overflow, uint64_t value, uint64_t min, uint64_t max, uint64_t *out)
{
	if (overflow || value < min || value > max)
		return -ERANGE;
	*out = value;
	return 0;
}

int num_parse_bytes(const char *bytes, size_t length_bytes, uint64_t min, uint64_t max,
		    uint64_t *out)
{
	uint64_t value;
	bool overflow;
	size_t n = take_digits(bytes, bytes + length_bytes, &value, &overflow);

	if (!n || n != length_bytes)
		return -EINVAL;
	return in_range(overflow, value, min, max, out);
}

int num_parse(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
	return num_parse_bytes(text, strlen(text), min, max, out);
}

struct unit {
	const char *name;
	uint64_t factor;
};

static uint64_t find_unit(const struct unit *units, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (!strcmp(units[i].name, name))
			return units[i].factor;
	}
	return 0;
}

int num_parse_size(const char *text, uint64_t min_bytes, uint64_t max_bytes, uint64_t *out_bytes)
{
	static const struct unit units[] = {
		{"", 1},	   {"B", 1},
		{"K", 1ull << 10}, {"KiB", 1ull << 10},
		{"M", 1ull << 20}, {"MiB", 1ull << 20},
		{"G", 1ull << 30}, {"GiB", 1ull << 30},
		{"T", 1ull << 40}, {"TiB", 1ull << 40},
	};
	uint64_t value, factor;
	bool overflow;
	size_t n = take_digits(text, text + strlen(text), &value, &overflow);

	if (!n)
		return -EINVAL;
	factor = find_unit(units, ARRAY_SIZE(units), text + n);
	if (!factor)
		return -EINVAL;
	overflow |= mul_overflows(value, factor, &value);
	return in_range(overflow, value, min_bytes, max_bytes, out_bytes);
}

int num_parse_time(const char *text, uint64_t min_ns, uint64_t max_ns, uint64_t *out_ns)
{
	static const struct unit units[] = {
		{"", 1000000000},
		{"ns", 1},
		{"us", 1000},
		{"ms", 1000000},
		{"s", 1000000000},
		{"m", 60ull * 1000000000},
		{"h", 3600ull * 1000000000},
	};
	const char *rest, *fraction = NULL;
	uint64_t value, unit, digit_ns;
	bool overflow;
	size_t n = take_digits(text, text + strlen(text), &value, &overflow);

	if (!n)
		return -EINVAL;
	rest = text + n;
	if (*rest == '.') {
		fraction = rest + 1;
		n = strspn(fraction, "0123456789");
		if (!n)
			return -EINVAL;
		rest = fraction + n;
	}
	unit = find_unit(units, ARRAY_SIZE(units), rest);
	if (!unit)
		return -EINVAL;
	overflow |= mul_overflows(value, unit, &value);
	/* Parts of a nanosecond are dropped. */
	digit_ns = unit;
	for (const char *c = fraction; c && is_digit(*c); c++) {
		digit_ns /= 10;
		overflow |= add_overflows(value, (uint64_t)(*c - '0') * digit_ns, &value);
	}
	return in_range(overflow, value, min_ns, max_ns, out_ns);
}

char *num_format_size(uint64_t bytes, char buf[static 16])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes;
	size_t i = 0;

	/* 1023.95 and more would be rounded to "1024.0". */
	while (i + 1 < ARRAY_SIZE(units) && value >= (i ? 1023.95 : 1024.0)) {
		value /= 1024;
		i++;
	}
	snprintf(buf, 16, i ? "%.1f %s" : "%.0f %s", value, units[i]);
	return buf;
}

char *num_format_time(uint64_t ns, char buf[static 16])
{
	static const char *const units[] = {"ns", "us", "ms", "s"};
	double value = (double)ns;
	size_t i = 0;

	while (i + 1 < ARRAY_SIZE(units) && value >= (i ? 999.95 : 1000.0)) {
		value /= 1000;
		i++;
	}
	snprintf(buf, 16, i ? "%.1f %s" : "%.0f %s", value, units[i]);
	return buf;
}
