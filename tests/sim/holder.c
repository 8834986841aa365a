/* SPDX-License-Identifier: MIT */
/*
 * holder - holds grants and ports while the simulator is asked about them.
 *
 *   holder held        what `tap-sim --held` prints meanwhile
 *   holder destroyed   `tap-sim --destroy 1`, seen from a backend that maps a page of domain 1
 *   holder connected   a client of domain 1's XenStore: waits for the end of its connection
 *
 * Exits 1 and says why when something is not as it should be.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xenevtchn.h>
#include <xengnttab.h>
#include <xenstore.h>

#define PAGES 3

struct front {
	uint32_t refs[PAGES];
	int port;
};

struct back {
	xengnttab_handle *tab;
	xenevtchn_handle *events;
	char *pages;
	int port;
};

/* Held until the process ends. */
static xengntshr_handle *shr;
static xenevtchn_handle *front_events;
static struct back back;

static void need(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "holder: %s: %m\n", what);
	exit(1);
}

static struct front grant(void)
{
	struct front front;
	char *pages;

	setenv("TAP_SIM_DOMID", "1", 1);
	shr = xengntshr_open(NULL, 0);
	need(shr, "xengntshr_open");
	pages = xengntshr_share_pages(shr, 0, PAGES, front.refs, 1);
	need(pages, "xengntshr_share_pages");
	strcpy(pages, "still here");
	front_events = xenevtchn_open(NULL, 0);
	need(front_events, "xenevtchn_open");
	front.port = xenevtchn_bind_unbound_port(front_events, 0);
	need(front.port > 0, "xenevtchn_bind_unbound_port");
	return front;
}

static void hold(struct front front)
{
	setenv("TAP_SIM_DOMID", "0", 1);
	back.tab = xengnttab_open(NULL, 0);
	need(back.tab, "xengnttab_open");
	back.pages = xengnttab_map_domain_grant_refs(back.tab, PAGES, 1, front.refs, PROT_READ);
	need(back.pages, "xengnttab_map_domain_grant_refs");
	back.events = xenevtchn_open(NULL, 0);
	need(back.events, "xenevtchn_open");
	back.port = xenevtchn_bind_interdomain(back.events, 1, (evtchn_port_t)front.port);
	need(back.port > 0, "xenevtchn_bind_interdomain");
}

static int held(void)
{
	int status;

	hold(grant());
	status = system("tap-sim --held");
	need(WIFEXITED(status) && WEXITSTATUS(status) == 1, "tap-sim --held did not exit 1");
	return 0;
}

/* A frontend in a process of its own, which waits to be killed. */
static pid_t fork_front(struct front *front)
{
	int pipes[2];
	pid_t pid;

	need(pipe(pipes) == 0, "pipe");
	pid = fork();
	if (!pid) {
		*front = grant();
		need(write(pipes[1], front, sizeof(*front)) == sizeof(*front), "write");
		for (;;)
			pause();
	}
	close(pipes[1]);
	need(read(pipes[0], front, sizeof(*front)) == sizeof(*front), "read");
	close(pipes[0]);
	return pid;
}

static void await_watch(struct xs_handle *xs)
{
	struct pollfd ready = {xs_fileno(xs), POLLIN, 0};
	char **event;

	need(poll(&ready, 1, 20000) == 1, "no watch event");
	event = xs_check_watch(xs);
	need(event, "xs_check_watch");
	free(event);
}

static int destroyed(void)
{
	struct xs_handle *xs = xs_open(0);
	struct front front;
	pid_t pid = fork_front(&front);
	int status;

	hold(front);
	need(xs && xs_watch(xs, "@releaseDomain", "t"), "xs_watch");
	await_watch(xs); /* the first one comes at once */
	need(xs_is_domain_introduced(xs, 1), "domain 1 is not introduced");
	need(system("tap-sim --destroy 1") == 0, "tap-sim --destroy 1");
	await_watch(xs);
	need(!xs_is_domain_introduced(xs, 1), "domain 1 is still introduced");
	need(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status), "the frontend was not killed");
	need(!strcmp(back.pages, "still here"), "a page that is mapped has changed");
	need(xenevtchn_notify(back.events, (evtchn_port_t)back.port) == 0, "xenevtchn_notify");
	need(!xengnttab_map_grant_ref(back.tab, 1, front.refs[0], PROT_READ), "a new map works");
	need(xengnttab_unmap(back.tab, back.pages, PAGES) == 0, "xengnttab_unmap");
	need(xenevtchn_bind_interdomain(back.events, 1, 1) == -1 && errno == ESRCH,
	     "the domain is not gone after the last unmap");
	xs_close(xs);
	return 0;
}

static int connected(void)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	char byte;

	snprintf(to.sun_path, sizeof(to.sun_path), "%s/xenbus-1", getenv("TAP_SIM_DIR"));
	need(connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0, "connect");
	puts("connected");
	fflush(stdout);
	need(recv(fd, &byte, 1, 0) == 0, "recv");
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "held"))
		return held();
	if (argc == 2 && !strcmp(argv[1], "destroyed"))
		return destroyed();
	if (argc == 2 && !strcmp(argv[1], "connected"))
		return connected();
	fprintf(stderr, "usage: holder held|destroyed|connected\n");
	return 2;
}
