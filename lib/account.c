/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "account.h"

struct account *account_get(struct accounts *accounts, uint32_t domid)
{
	struct account *account;

	LIST_FOREACH (account, &accounts->list, entry)
		if (account->domid == domid)
			break;
	if (!account) {
		account = calloc(1, sizeof(*account));
		if (!account)
			return NULL;
		account->domid = domid;
		LIST_INSERT_HEAD(&accounts->list, account, entry);
	}
	account->users++;
	return account;
}

/* A leaky bucket: @even_ns is when the guest will have had its part and no more. */
void account_spend(struct account *account, uint64_t began_ns, uint64_t ended_ns)
{
	const uint64_t most_ns = ended_ns + ACCOUNT_PART * ACCOUNT_BURST_NS + ACCOUNT_REST_NS;

	if (account->even_ns < began_ns)
		account->even_ns = began_ns;
	account->even_ns += ACCOUNT_PART * (ended_ns - began_ns);
	if (account->even_ns > most_ns)
		account->even_ns = most_ns;
}

uint64_t account_rests_until(const struct account *account, uint64_t at_ns)
{
	const uint64_t until_ns = account->even_ns - ACCOUNT_PART * ACCOUNT_BURST_NS;

	return account->even_ns > at_ns + ACCOUNT_PART * ACCOUNT_BURST_NS ? until_ns : 0;
}

void account_put(struct account *account)
{
	if (!account || --account->users)
		return;
	LIST_REMOVE(account, entry);
	free(account);
}
