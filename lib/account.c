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

void account_put(struct account *account)
{
	if (!account || --account->users)
		return;
	LIST_REMOVE(account, entry);
	free(account);
}
