/* args: the command line that all daemons share. */
#pragma once
#include "lib/daemon/daemon.h"
#include "lib/log/log.h"

enum args_mode { ARGS_RUN, ARGS_CHECK, ARGS_PRINT_DEFAULTS, ARGS_PRINT_MDOC, ARGS_DONE, ARGS_USAGE };

struct args {
	enum args_mode mode; /* ARGS_DONE: --help or --version was answered; ARGS_USAGE: refused, the reason is on stderr */
	const char *root, *config, *user, *instance; /* borrowed from argv; NULL: not given */
	enum log_level log_level;
};

void args_parse(const struct daemon_spec *spec, int argc, char **argv, struct args *ret);
/* 1 to 8 of A-Z 0-9 @ # $: one qualifier of a resource name, and safe as a part of a path. */
bool args_instance_ok(const char *instance);
