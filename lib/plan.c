/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdarg.h>

#include "plan.h"

static struct plan_step *add(struct plan *plan, enum plan_verb verb)
{
	struct plan_step *step;

	if (plan->n >= PLAN_STEPS_MAX) {
		plan->failed = -ENOSPC;
		return NULL;
	}
	step = &plan->step[plan->n++];
	step->verb = verb;
	return step;
}

static void note(struct plan *plan, int ret)
{
	if (ret && !plan->failed)
		plan->failed = ret;
}

void plan_make(struct plan *plan, const char *path)
{
	struct plan_step *step = add(plan, PLAN_MAKE);

	if (step)
		note(plan, store_path(step->path, "%s", path));
}

void plan_write(struct plan *plan, const char *dir, const char *key, const char *fmt, ...)
{
	struct plan_step *step = add(plan, PLAN_WRITE);
	va_list ap;
	int n;

	if (!step)
		return;
	note(plan, store_path(step->path, "%s/%s", dir, key));
	va_start(ap, fmt);
	n = vsnprintf(step->text, sizeof(step->text), fmt, ap);
	va_end(ap);
	if (n < 0 || n >= (int)sizeof(step->text))
		note(plan, -EMSGSIZE);
}

void plan_permit(struct plan *plan, const char *path, uint32_t owner, uint32_t reader)
{
	struct plan_step *step = add(plan, PLAN_PERMIT);

	if (!step)
		return;
	note(plan, store_path(step->path, "%s", path));
	step->owner = owner;
	step->reader = reader;
}

void plan_remove(struct plan *plan, const char *path, const char *stop)
{
	struct plan_step *step = add(plan, PLAN_REMOVE);

	if (!step)
		return;
	note(plan, store_path(step->path, "%s", path));
	if (snprintf(step->text, sizeof(step->text), "%s", stop) >= (int)sizeof(step->text))
		note(plan, -ENAMETOOLONG);
}

static int apply_step(const struct plan_step *step, struct store *store, xs_transaction_t tx)
{
	switch (step->verb) {
	case PLAN_MAKE:
		return store_write(store, tx, step->path, NULL, "%s", "");
	case PLAN_WRITE:
		return store_write(store, tx, step->path, NULL, "%s", step->text);
	case PLAN_PERMIT:
		return store_permit(store, tx, step->path, step->owner, step->reader);
	case PLAN_REMOVE:
		return store_prune(store, tx, step->path, step->text);
	}
	return -EINVAL;
}

int plan_apply(const struct plan *plan, struct store *store, xs_transaction_t tx)
{
	int ret = plan->failed;

	for (unsigned i = 0; i < plan->n && !ret; i++)
		ret = apply_step(&plan->step[i], store, tx);
	return ret;
}

static void print_step(const struct plan_step *step, FILE *to)
{
	switch (step->verb) {
	case PLAN_MAKE:
		fprintf(to, "make %s\n", step->path);
		break;
	case PLAN_WRITE:
		fprintf(to, "write %s = %s\n", step->path, step->text);
		break;
	case PLAN_PERMIT:
		fprintf(to, "permit %s owner %u, reader %u\n", step->path, step->owner,
			step->reader);
		break;
	case PLAN_REMOVE:
		fprintf(to, "remove %s\n", step->path);
		break;
	}
}

int plan_print(const struct plan *plan, FILE *to)
{
	for (unsigned i = 0; i < plan->n && !plan->failed; i++)
		print_step(&plan->step[i], to);
	return plan->failed;
}
