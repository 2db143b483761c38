/* Which message an event topic carries: the daemons' event lists once more, for programs that print any event. A test holds this table
 * against what the daemons declare. */
#include "cli/common/cli.h"
#include "proto/bouncer.pb-c.h"
#include "proto/common.pb-c.h"
#include "proto/defmgr.pb-c.h"
#include "proto/rpcbind.pb-c.h"
#include "proto/ike.pb-c.h"
#include "proto/stack.pb-c.h"
#include <string.h>

static const struct {
	const char *prefix; /* of the topic; one that starts with '.' is an ending */
	const ProtobufCMessageDescriptor *body;
} types[] = {
	{".heartbeat", &common__heartbeat__descriptor},
	{".conf.rejected", &common__conf_rejected__descriptor},
	{".conf.loaded", &common__conf_loaded__descriptor},
	{"defmgr.filter.", &defmgr__filter_event__descriptor},
	{"defmgr.stack.", &defmgr__stack_event__descriptor},
	{"bouncer.feed.", &bouncer__feed_event__descriptor},
	{"rpcbind.set", &rpcbind__changed__descriptor},
	{"rpcbind.unset", &rpcbind__changed__descriptor},
	{"rpcbind.refused", &rpcbind__refused__descriptor},
	{"rpcbind.limited", &rpcbind__limited__descriptor},
	{"rpcbind.call", &rpcbind__call__descriptor},
	{"ike.sa.", &ike__sa_event__descriptor},
	{"ike.peer.", &ike__sa_event__descriptor},
	{"ike.rule.", &ike__sa_event__descriptor},
	{"ike.protocol.", &ike__trouble__descriptor},
	{"ike.flood", &ike__trouble__descriptor},
	{"ike.stack.", &ike__stack_event__descriptor},
	{"stack.started", &stack__started__descriptor},
	{"stack.filter.", &stack__filter_log__descriptor},
	{"stack.sa.", &stack__sa_event__descriptor},
	{"stack.address.", &stack__address_event__descriptor},
	{"stack.link.", &stack__link_event__descriptor},
	{"stack.neighbour.", &stack__neighbour_event__descriptor},
	{"stack.acquire", &stack__acquire__descriptor},
	{"stack.tunnel.", &stack__tunnel_event__descriptor},
	{"stack.spi.", &stack__unknown_spi__descriptor},
	{"stack.ids.", &stack__ids_event__descriptor},
	{"stack.port.", &stack__port_denied__descriptor},
};

const ProtobufCMessageDescriptor *cli_event_type(const char *topic)
{
	size_t len = strlen(topic);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		size_t n = strlen(types[i].prefix);
		const char *at = types[i].prefix[0] == '.' ? topic + (len > n ? len - n : len) : topic;
		if (!strncmp(at, types[i].prefix, n))
			return types[i].body;
	}
	return NULL;
}
