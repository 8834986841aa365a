/* SPDX-License-Identifier: MIT */
/* What sectors and pages must hold. */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "model.h"
#include "num.h"

/* Bytes of a page that are nobody's. A page has others each time, so that old ones are seen. */
static uint8_t filler(const struct asked *asked)
{
	return (uint8_t)(0x80 | asked->asked_at);
}

/* What stands in a sector that was written with @tag: nowhere else the same. */
static void content(uint32_t tag, uint64_t sector, uint64_t words[static SECTOR_BYTES / 8])
{
	for (unsigned i = 0; i < SECTOR_BYTES / 8; i++)
		words[i] = ((uint64_t)tag << 32 | sector << 8 | i) * 0x9e3779b97f4a7c15ull;
}

static bool is_content(const uint8_t *at, uint32_t tag, uint64_t sector)
{
	uint64_t words[SECTOR_BYTES / 8];

	content(tag, sector, words);
	return !memcmp(at, words, sizeof(words));
}

static bool is_zero(const uint8_t *at)
{
	static const uint8_t zero[SECTOR_BYTES];

	return !memcmp(at, zero, sizeof(zero));
}

static void check_sector(const struct sector *sector, uint64_t n, const uint8_t *at,
			 const char *where)
{
	if (sector->state == SECTOR_ANY || is_content(at, sector->tag, n))
		return;
	need(sector->state == SECTOR_OR_ZERO && is_zero(at),
	     "%s: sector %" PRIu64 " is not what was written there (%#x, tag %u)", where, n, at[0],
	     sector->tag);
}

void shadow_fill_image(struct model *m)
{
	uint64_t words[SECTOR_BYTES / 8];
	int fd = open(MODEL_IMAGE, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	need(fd >= 0, "cannot make '%s': %m", MODEL_IMAGE);
	for (uint64_t n = 0; n < SECTORS; n++) {
		content(0, n, words);
		need(write(fd, words, sizeof(words)) == sizeof(words), "write: %m");
	}
	close(fd);
}

void shadow_check_image(struct model *m)
{
	uint8_t bytes[SECTOR_BYTES];
	int fd = open(MODEL_IMAGE, O_RDONLY | O_CLOEXEC);

	need(fd >= 0, "cannot open '%s': %m", MODEL_IMAGE);
	for (uint64_t n = 0; n < SECTORS; n++) {
		need(read(fd, bytes, sizeof(bytes)) == sizeof(bytes), "read: %m");
		check_sector(&m->shadow[n], n, bytes, "image");
	}
	close(fd);
}

static bool changes_sectors(const struct asked *asked)
{
	return asked->effect == EFFECT_WRITE || asked->effect == EFFECT_DISCARD;
}

/* What a write carries: its pages' bytes, one sector after the other. */
static void fill_pages(struct model *m, struct asked *asked)
{
	uint64_t n = asked->sector;

	for (unsigned s = 0; s < asked->spans; s++) {
		const struct span *span = &asked->span[s];
		uint8_t *page = m->page[span->page].at;

		memset(page, filler(asked), RING_PAGE_BYTES);
		for (unsigned i = span->first_sect; i <= span->last_sect; i++) {
			uint64_t words[SECTOR_BYTES / 8];

			if (asked->effect != EFFECT_WRITE)
				break;
			content(asked->tag, n++, words);
			memcpy(page + i * SECTOR_BYTES, words, sizeof(words));
		}
	}
}

void shadow_ask(struct model *m, struct asked *asked)
{
	asked->asked_at = ++m->clock;
	asked->tag = m->next_tag++;
	fill_pages(m, asked);
	if (!changes_sectors(asked))
		return;
	for (uint64_t n = asked->sector; n < asked->sector + asked->sectors; n++) {
		m->shadow[n].writers++;
		m->shadow[n].changed_at = asked->asked_at;
	}
}

static void all_filler(const struct asked *asked, const uint8_t *at)
{
	for (unsigned i = 0; i < SECTOR_BYTES; i++)
		need(at[i] == filler(asked),
		     "request %" PRIu64 ": a byte of the guest that it does not name is %#x, "
		     "not %#x",
		     asked->id, at[i], filler(asked));
}

/* Is the content of a sector certain for one that was asked for at @asked_at? */
static bool is_settled(const struct sector *sector, uint64_t asked_at)
{
	return !sector->writers && sector->changed_at <= asked_at;
}

/* One sector of a page that belongs to a request, and what must stand in it now. */
static void check_in_page(struct model *m, const struct asked *asked, const uint8_t *at, uint64_t n,
			  bool okay)
{
	switch (asked->effect) {
	case EFFECT_READ:
		if (okay && is_settled(&m->shadow[n], asked->asked_at))
			check_sector(&m->shadow[n], n, at, "read");
		break;
	case EFFECT_WRITE:
		need(is_content(at, asked->tag, n), "a page that was written from has changed");
		break;
	default:
		all_filler(asked, at);
	}
}

static void check_pages(struct model *m, const struct asked *asked, bool okay)
{
	uint64_t n = asked->sector;

	if (asked->effect == EFFECT_SPOILS)
		return;
	for (unsigned s = 0; s < asked->spans; s++) {
		const struct span *span = &asked->span[s];

		for (unsigned i = 0; i < RING_PAGE_BYTES / SECTOR_BYTES; i++) {
			const uint8_t *at = m->page[span->page].at + i * SECTOR_BYTES;

			if (i < span->first_sect || i > span->last_sect)
				all_filler(asked, at);
			else
				check_in_page(m, asked, at, n++, okay);
		}
	}
}

/* Where another write was asked for or answered meanwhile, nobody knows which came first. */
static void settle_sector(struct model *m, const struct asked *asked, struct sector *sector,
			  bool okay)
{
	sector->writers--;
	if (!okay || sector->writers || sector->changed_at != asked->asked_at) {
		sector->state = SECTOR_ANY;
	} else if (asked->effect == EFFECT_WRITE) {
		sector->state = SECTOR_KNOWN;
		sector->tag = asked->tag;
	} else if (sector->state == SECTOR_KNOWN) {
		sector->state = SECTOR_OR_ZERO;
	}
	sector->changed_at = ++m->clock;
}

static void settle_sectors(struct model *m, const struct asked *asked, bool okay)
{
	if (!changes_sectors(asked))
		return;
	for (uint64_t n = asked->sector; n < asked->sector + asked->sectors; n++)
		settle_sector(m, asked, &m->shadow[n], okay);
}

void shadow_answer(struct model *m, struct asked *asked, bool okay)
{
	check_pages(m, asked, okay);
	settle_sectors(m, asked, okay);
}

void shadow_forget(struct model *m, struct asked *asked)
{
	settle_sectors(m, asked, false);
}
