/* Every reason to drop a packet, once: the enum, the counters' names and what stackctl says come from this list.
 * X(NAME, "stage", "help"). A drop sets p->drop; the worker counts it. Each part keeps its own list in its own folder. */
#pragma once
#include "daemons/stack-core/filter/drops.h"
#include "daemons/stack-core/ids/drops.h"
#include "daemons/stack-core/ip/drops.h"
#include "daemons/stack-core/ipsec/drops.h"

#define DROP_REASONS(X) IP_DROP_REASONS(X) IPSEC_DROP_REASONS(X) FILTER_DROP_REASONS(X) IDS_DROP_REASONS(X)

enum drop_reason {
	DROP_NONE = 0,
#define DROP_ENUM(name, stage, help) DROP_##name,
	DROP_REASONS(DROP_ENUM)
#undef DROP_ENUM
	DROP_MAX
};

const char *drop_name(unsigned reason); /* "IP_TTL" */
const char *drop_stage(unsigned reason);
const char *drop_help(unsigned reason);
