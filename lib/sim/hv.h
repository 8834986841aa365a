/* SPDX-License-Identifier: MIT */
/*
 * hv - the simulated hypervisor: one process, one thread, one loop.
 *
 * It owns the memory that guests share, their grant tables and event channels, plays the kernel of
 * each guest towards xenstored, and is the parent of xenstored and of the COMMAND.
 */
#ifndef TAP_SIM_HV_H
#define TAP_SIM_HV_H

#include <stdint.h>
#include <sys/types.h>

/** What runs in a simulator. */
struct sim_config {
	char dir[96];	    /* TAP_SIM_DIR; short, since names of sockets are */
	unsigned domains;   /* guests, with domain ids from 1 on */
	char library[4096]; /* libtapsim.so */
	char xenstored[4096];
	char *const *command; /* NULL-terminated */
	pid_t process_group;  /* of COMMAND: the terminal's */
};

/** What the hypervisor process and the one that started it tell each other: one word and a value.
 */
enum hv_word {
	HV_READY,	   /* xenstored takes connections */
	HV_RUN,		   /* to the hypervisor: start COMMAND */
	HV_STARTED,	   /* COMMAND's pid */
	HV_FAILED,	   /* an errno: it could not start what it should */
	HV_XENSTORED_GONE, /* its wait status */
	HV_ENDED,	   /* COMMAND's wait status, and all of its processes are gone */
};

struct hv_note {
	uint32_t word; /* enum hv_word */
	int32_t value;
};

/**
 * Be the hypervisor until COMMAND and all it started have ended, or until @control is at its end
 * (then whatever is left is killed). Removes @config->dir. Returns the process's exit status.
 */
int hv_main(const struct sim_config *config, int control);

#endif
