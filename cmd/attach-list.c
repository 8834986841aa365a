/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "attach-job.h"
#include "num.h"
#include "rundir.h"
#include "stats.h"

enum column { DISK, KIND, BACKEND, FRONTEND, MODE, SIZE, SERVER, IMAGE, PROBLEM, COLUMNS };

static const char *const titles[COLUMNS] = {"DISK", "KIND",   "BACKEND", "FRONTEND", "MODE",
					    "SIZE", "SERVER", "IMAGE",	 "PROBLEM"};

struct row {
	char *cell[COLUMNS];
	struct row *next;
};

/* A disk as it is now. */
struct facts {
	enum xenbus_state back, front;
	char mode[2];
	bool has_size, shared;
	uint64_t size_bytes;
	pid_t server;
	char image[STORE_VALUE_MAX];
	char problem[256]; /* empty: none */
	enum stale_reason stale;
};

struct listing {
	struct job *job;
	const uint32_t *domids; /* NULL: of all */
	int domains;
	struct row *first, **end;
};

static void say_problem(struct facts *facts, const char *what, const char *more)
{
	size_t used = strlen(facts->problem);
	char text[160];

	if (used < sizeof(facts->problem))
		snprintf(facts->problem + used, sizeof(facts->problem) - used, "%s%s%s",
			 used ? "; " : "", what,
			 msg_printable(more, strlen(more), text, sizeof(text)));
}

static void find_stopped(const struct disk *disk, struct facts *facts)
{
	struct stats_file *stats = malloc(sizeof(*stats));
	unsigned stopped = stats && !stats_read(disk, stats) ? stats_stopped(stats) : 0;
	char text[64];

	if (stopped) {
		snprintf(text, sizeof(text), "%u of %u rings stopped until the guest reconnects",
			 stopped, stats->queues);
		say_problem(facts, "broken: ", text);
	}
	free(stats);
}

static void find_problems(struct store *store, const struct disk *disk, struct facts *facts)
{
	char error[STORE_VALUE_MAX];
	uint64_t online = 1;

	store_read_number(store, XBT_NULL, disk->backend, "online", 0, 1, &online);
	facts->stale = stale_reason_of(store, XBT_NULL, disk);
	if (facts->stale)
		say_problem(facts, "stale: ", stale_reason_text(facts->stale));
	else if (!online)
		say_problem(facts, "being detached", "");
	if (!facts->server && !disk_has_other_server(disk))
		say_problem(facts, "unserved", "");
	if (facts->server)
		find_stopped(disk, facts);
	if (xenbus_read_error(store, disk->backend, error) > 0)
		say_problem(facts, "backend: ", error);
	if (xenbus_read_error(store, disk->frontend, error) > 0)
		say_problem(facts, "frontend: ", error);
}

/* Before a server has said the size, the image does. */
static void find_size(struct store *store, const struct disk *disk, struct facts *facts)
{
	const struct image_options options = {.read_only = true, .shared = true, .buffered = true};
	struct image_facts image;
	uint64_t sectors;

	facts->has_size = true;
	if (!store_read_number(store, XBT_NULL, disk->backend, "sectors", 0,
			       UINT64_MAX / SECTOR_BYTES, &sectors))
		facts->size_bytes = sectors * SECTOR_BYTES;
	else if (!disk_has_other_server(disk) && facts->image[0] &&
		 !image_probe(facts->image, &options, &image, NULL))
		facts->size_bytes = image.size_bytes;
	else
		facts->has_size = false;
}

static void look(struct store *store, const struct disk *disk, struct facts *facts)
{
	char value[STORE_VALUE_MAX];
	uint64_t shared = 0;

	*facts = (struct facts){.mode = "-"};
	facts->back = xenbus_state(store, disk->backend);
	facts->front = xenbus_state(store, disk->frontend);
	facts->server = rundir_server(disk);
	if (store_read_in(store, XBT_NULL, disk->backend, "mode", value) > 0)
		facts->mode[0] = value[0] == 'r' ? 'r' : 'w';
	store_read_number(store, XBT_NULL, disk->backend, NODE_SHARED, 0, 1, &shared);
	facts->shared = shared;
	store_read_in(store, XBT_NULL, disk->backend, NODE_IMAGE, facts->image);
	find_size(store, disk, facts);
	find_problems(store, disk, facts);
}

static void add_json(struct job *job, const struct disk *disk, const struct facts *facts)
{
	struct json_object *item = job_item(job, disk);

	if (!item)
		return;
	json_set_text(item, "backend_state", xenbus_state_text(facts->back));
	json_set_text(item, "frontend_state", xenbus_state_text(facts->front));
	json_set_text(item, "mode", facts->mode);
	json_set_bool(item, "shared", facts->shared);
	if (facts->has_size)
		json_set_number(item, "size_bytes", facts->size_bytes);
	else
		json_set_text(item, "size_bytes", NULL);
	if (facts->server)
		json_set_number(item, "server", (uint64_t)facts->server);
	else
		json_set_text(item, "server", NULL);
	json_set_text(item, "image", facts->image);
	json_set_bool(item, "stale", facts->stale != STALE_NOT);
	json_set_text(item, "problem", facts->problem[0] ? facts->problem : NULL);
	job_end_item(job, item);
}

static bool add_row(struct listing *listing, const struct disk *disk, const struct facts *facts)
{
	struct row *row = calloc(1, sizeof(*row));
	char size[16] = "-", server[16] = "-", image[STORE_VALUE_MAX];
	const char *const cell[COLUMNS] = {
		[DISK] = disk->name,
		[KIND] = disk->kind,
		[BACKEND] = xenbus_state_text(facts->back),
		[FRONTEND] = xenbus_state_text(facts->front),
		[MODE] = facts->mode,
		[SIZE] = size,
		[SERVER] = server,
		[IMAGE] = facts->image[0] ? image : "-",
		[PROBLEM] = facts->problem[0] ? facts->problem : "-",
	};

	if (!row)
		return false;
	*listing->end = row;
	listing->end = &row->next;
	msg_printable(facts->image, strlen(facts->image), image, sizeof(image));
	if (facts->has_size)
		num_format_size(facts->size_bytes, size);
	if (facts->server)
		snprintf(server, sizeof(server), "%d", (int)facts->server);
	for (int i = 0; i < COLUMNS; i++) {
		row->cell[i] = strdup(cell[i]);
		if (!row->cell[i])
			return false;
	}
	return true;
}

static bool is_wanted(const struct listing *listing, uint32_t domid)
{
	if (!listing->domids)
		return true;
	for (int i = 0; i < listing->domains; i++) {
		if (listing->domids[i] == domid)
			return true;
	}
	return false;
}

static int add_disk(const struct disk *disk, void *opaque)
{
	struct listing *listing = opaque;
	struct facts facts;

	if (!is_wanted(listing, disk->domid))
		return 0;
	look(listing->job->store, disk, &facts);
	if (listing->job->envelope)
		add_json(listing->job, disk, &facts);
	else if (!add_row(listing, disk, &facts))
		return -ENOMEM;
	return 0;
}

static void print_cells(const char *const cell[COLUMNS], const int width[COLUMNS])
{
	for (int i = 0; i < COLUMNS - 1; i++)
		printf("%-*s ", width[i], cell[i]);
	printf("%s\n", cell[COLUMNS - 1]);
}

static void print_rows(const struct listing *listing)
{
	int width[COLUMNS] = {0};

	for (int i = 0; i < COLUMNS; i++) {
		width[i] = (int)strlen(titles[i]);
		for (const struct row *row = listing->first; row; row = row->next) {
			if ((int)strlen(row->cell[i]) > width[i])
				width[i] = (int)strlen(row->cell[i]);
		}
	}
	print_cells(titles, width);
	for (const struct row *row = listing->first; row; row = row->next)
		print_cells((const char *const *)row->cell, width);
}

static void free_rows(struct row *row)
{
	while (row) {
		struct row *next = row->next;

		for (int i = 0; i < COLUMNS; i++)
			free(row->cell[i]);
		free(row);
		row = next;
	}
}

static int resolve_domains(struct job *job, char **doms, int n, uint32_t *domids, struct err *e)
{
	for (int i = 0; i < n; i++) {
		char dom[ADDRESS_DOM_MAX];
		int ret = address_parse_dom(doms[i], dom, e);

		if (!ret)
			ret = domain_resolve(job->store, dom, &domids[i], e);
		if (ret)
			return ret;
	}
	return 0;
}

int job_list(struct job *job, char **doms, int n, struct err *e)
{
	uint32_t *domids = n ? calloc((size_t)n, sizeof(*domids)) : NULL;
	struct listing listing = {.job = job, .domids = domids, .domains = n};
	int ret;

	listing.end = &listing.first;
	if (n && !domids)
		return err_set(e, -ENOMEM, TAP_EXIT_SYSTEM, "out of memory");
	ret = resolve_domains(job, doms, n, domids, e);
	if (ret)
		goto out;
	ret = disk_each(job->store, job->kind, add_disk, &listing);
	if (ret)
		err_set(e, ret, err_exit_of(ret), "cannot list the disks in XenStore: %s",
			strerror(-ret));
	else if (!job->envelope)
		print_rows(&listing);
out:
	free_rows(listing.first);
	free(domids);
	return ret;
}
