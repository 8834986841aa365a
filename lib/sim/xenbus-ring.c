/* SPDX-License-Identifier: MIT */
#include "xenbus-ring.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

int buffer_add(struct buffer *b, const void *bytes, size_t length_bytes)
{
	size_t need = b->length_bytes + length_bytes;

	if (need > b->capacity_bytes) {
		size_t capacity = need < 4096 ? 4096 : 2 * need;
		char *grown = realloc(b->bytes, capacity);

		if (!grown)
			return -ENOMEM;
		b->bytes = grown;
		b->capacity_bytes = capacity;
	}
	if (length_bytes)
		memcpy(b->bytes + b->length_bytes, bytes, length_bytes);
	b->length_bytes = need;
	return 0;
}

void buffer_drop(struct buffer *b, size_t length_bytes)
{
	b->length_bytes -= length_bytes;
	memmove(b->bytes, b->bytes + length_bytes, b->length_bytes);
}

void buffer_free(struct buffer *b)
{
	free(b->bytes);
	*b = (struct buffer){0};
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

bool xenbus_ring_push(struct xenbus_ring *ring)
{
	struct xenstore_domain_interface *page = ring->page;
	bool moved = false;

	while (ring->out.length_bytes) {
		uint32_t prod = page->req_prod;
		uint32_t cons = *(volatile uint32_t *)&page->req_cons;
		uint32_t at = MASK_XENSTORE_IDX(prod);
		size_t n = least(XENSTORE_RING_SIZE - (prod - cons), XENSTORE_RING_SIZE - at);

		n = least(n, ring->out.length_bytes);
		if (!n)
			break;
		memcpy(page->req + at, ring->out.bytes, n);
		buffer_drop(&ring->out, n);
		atomic_thread_fence(memory_order_seq_cst);
		*(volatile uint32_t *)&page->req_prod = prod + (uint32_t)n;
		moved = true;
	}
	return moved;
}

bool xenbus_ring_pull(struct xenbus_ring *ring)
{
	struct xenstore_domain_interface *page = ring->page;
	bool moved = false;

	for (;;) {
		uint32_t prod = *(volatile uint32_t *)&page->rsp_prod;
		uint32_t cons = page->rsp_cons;
		uint32_t at = MASK_XENSTORE_IDX(cons);
		size_t n = least(prod - cons, XENSTORE_RING_SIZE - at);

		atomic_thread_fence(memory_order_seq_cst);
		if (!n || prod - cons > XENSTORE_RING_SIZE ||
		    buffer_add(&ring->in, page->rsp + at, n) < 0)
			return moved;
		atomic_thread_fence(memory_order_seq_cst);
		*(volatile uint32_t *)&page->rsp_cons = cons + (uint32_t)n;
		moved = true;
	}
}

bool xenbus_ring_message(struct xenbus_ring *ring, struct xsd_sockmsg *head,
			 char body[static XENSTORE_PAYLOAD_MAX + 1])
{
	struct buffer *in = &ring->in;

	if (in->length_bytes < sizeof(*head))
		return false;
	memcpy(head, in->bytes, sizeof(*head));
	if (head->len > XENSTORE_PAYLOAD_MAX || in->length_bytes < sizeof(*head) + head->len)
		return false;
	memcpy(body, in->bytes + sizeof(*head), head->len);
	body[head->len] = 0;
	buffer_drop(in, sizeof(*head) + head->len);
	return true;
}
