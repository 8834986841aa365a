/* SPDX-License-Identifier: MIT */
/*
 * hostile CLASS VDEV       one round of an attack by the guest TAP_SIM_DOMID on its disk
 * hostile --stopped VDEV   connects, has its ring stopped, says so, stays until SIGTERM
 * hostile --list           the classes, one a line
 *
 *   --until PID            rounds until that process has ended, one at least
 *   --abi ABI              of the ring
 *   --persistent           offer persistent grants
 *
 * Prints how many requests were answered and how many of them refused, by class, as JSON.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "address.h"
#include "hostile.h"
#include "num.h"

static const struct hostile_class *const groups[] = {
	index_classes, request_classes, indirect_classes, grant_classes,
	node_classes,  state_classes,	storm_classes,
};

static const struct hostile_class *find(const char *name)
{
	for (size_t g = 0; g < ARRAY_SIZE(groups); g++) {
		for (const struct hostile_class *class = groups[g]; class->name; class ++) {
			if (!strcmp(class->name, name))
				return class;
		}
	}
	return NULL;
}

static int list(void)
{
	for (size_t g = 0; g < ARRAY_SIZE(groups); g++) {
		for (const struct hostile_class *class = groups[g]; class->name; class ++)
			printf("%-20s %s\n", class->name, class->what);
	}
	return 0;
}

static void report(const struct hostile *h, unsigned rounds)
{
	printf("{\"rounds\":%u,\"answered\":%" PRIu64 ",\"either\":%" PRIu64 ",\"breaks\":%" PRIu64,
	       rounds, h->total, h->either, h->breaks);
	for (unsigned fault = REQUEST_FINE + 1; fault < REQUEST_FAULTS; fault++)
		printf(",\"%s\":%" PRIu64, request_fault_name(fault), h->fault[fault]);
	puts("}");
}

/* Has the process ended that the attack is to last as long as? */
static bool is_over(int pidfd)
{
	struct pollfd end = {.fd = pidfd, .events = POLLIN};

	return pidfd < 0 || poll(&end, 1, 0) == 1;
}

static void attack(struct hostile *h, const struct hostile_class *class, int pidfd)
{
	unsigned rounds = 0;

	hostile_reset(h);
	hostile_connect(h, 0);
	do {
		class->run(h);
		rounds++;
	} while (!h->gone && !is_over(pidfd));
	/* A server that cannot do its work any more is found here at the latest. */
	if (!h->gone) {
		hostile_prove(h);
		hostile_disconnect(h);
	}
	hostile_judge(h);
	hostile_close(h);
	report(h, rounds);
}

static void stay_stopped(struct hostile *h)
{
	sigset_t end;
	int which;

	sigemptyset(&end);
	sigaddset(&end, SIGTERM);
	need(!sigprocmask(SIG_BLOCK, &end, NULL), "signals: %m");
	hostile_reset(h);
	hostile_connect(h, 0);
	hostile_leave_stopped(h);
	need(puts("stopped") >= 0 && !fflush(stdout), "stdout: %m");
	sigwait(&end, &which);
	hostile_reset(h);
	hostile_judge(h);
	hostile_close(h);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"list", no_argument, NULL, 'l'},	{"until", required_argument, NULL, 'u'},
		{"stopped", no_argument, NULL, 's'},	{"abi", required_argument, NULL, 'a'},
		{"persistent", no_argument, NULL, 'p'}, {0},
	};
	static struct hostile h;
	const struct hostile_class *class;
	const char *domid = getenv("TAP_SIM_DOMID");
	enum ring_abi abi = RING_ABI_X86_64;
	uint64_t from = 1;
	bool persistent = false, stopped = false;
	uint32_t vdev = 0;
	int option, pidfd = -1;

	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (option == 'l')
			return list();
		if (option == 'u')
			pidfd = (int)syscall(SYS_pidfd_open, atoi(optarg), 0);
		else if (option == 'a')
			need(!ring_abi_parse(optarg, &abi), "no ABI '%s'", optarg);
		else if (option == 'p')
			persistent = true;
		else if (option == 's')
			stopped = true;
		else
			return 2;
		need(option != 'u' || pidfd >= 0, "no process '%s'", optarg);
	}
	need(argc - optind == (stopped ? 1 : 2), "usage: hostile [OPTION...] CLASS VDEV");
	class = find(argv[optind]);
	need(class || stopped, "no class '%s'", argv[optind]);
	need(!vdev_parse(argv[argc - 1], &vdev), "no disk '%s'", argv[argc - 1]);
	need(!domid || !num_parse(domid, 1, DOMID_MAX, &from), "TAP_SIM_DOMID");
	hostile_open(&h, (uint32_t)from, vdev, abi);
	h.persistent = persistent;
	if (stopped)
		stay_stopped(&h);
	else
		attack(&h, class, pidfd);
	return 0;
}
