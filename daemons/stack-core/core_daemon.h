/* core_daemon: the declaration of stack-core to lib/daemon. */
#pragma once
#include "daemons/stack-core/core.h"

extern const struct daemon_spec core_spec;
