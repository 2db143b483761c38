/* bus: requests, replies and events between processes of one host, over ZeroMQ ipc sockets.
 *
 * No broker. A daemon binds ipc://ROOT/run/ravelin/NAME/rpc (ROUTER) and .../events (XPUB, manual mode).
 *   request  frames: method ("defmgr.Add": proto package, '.', rpc name) | call id (1..16 bytes, opaque) | protobuf body
 *   reply    frames: call id | common.Status | body (present when Status.code is OK)
 *   event    frames: topic ("defmgr.filter.added") | common.EventHeader | protobuf body
 * Identity is the kernel's word (SO_PEERCRED through libzmq's Peer-Address, last three ':' fields) and nothing else that
 * a peer says. Before a handler runs, this library has size-checked, unpacked into a budgeted arena, validated (UTF-8, embedded
 * NUL, enum values, lengths), mapped uid to SAF user, checked the method's resource and audited a refusal. A service method
 * without a row and a row without a resource stop the daemon at start.
 *
 * Limits per connection: a frame BUS_MESSAGE_MAX, a message that is not whole yet FRAMES_MAX frames and FRAMES_BYTES_MAX bytes
 * (lib/bus/frames.h), 1000 whole requests that wait, and BUS_WAITING_MAX bytes of them (a short request counts 8 KiB, what libzmq
 * may keep for it). Who goes above the first two loses the connection (stats.oversized, metric bus_oversized_total), and libzmq frees
 * what it had of the message; who reaches the third is not read from until the daemon has caught up; who would go above the fourth
 * loses the connection (stats.overfull, bus_overfull_total). Limits per uid, for each of a daemon's two sockets: BUS_CONNECTIONS_UID_MAX
 * connections, one more is refused (stats.crowded, bus_crowded_total), and BUS_WAITING_UID_MAX bytes that wait; BUS_CONNECTIONS_MAX
 * connections of all uids. Neither is for uid 0. Peers speak ZMTP 3 or later.
 *
 * Sequence numbers are per topic, with a random boot id per publisher start; "PKG.heartbeat" carries the last sequence of
 * every topic each second, so that a lost tail is visible (the heartbeat needs no row, and whoever may see one topic may see it). Subscriptions are authorised per topic by SAF; when a
 * permission is withdrawn the events socket is recycled and everyone subscribes anew. */
#pragma once
#include "lib/audit/audit.h"
#include "lib/base/err.h"
#include "lib/loop/loop.h"
#include "lib/saf/saf.h"
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>

/* Status codes, = common.Status.Code in proto/common.proto. */
enum bus_code {
	BUS_OK = 1,
	BUS_INVALID = 2,	/* the request; text says which field */
	BUS_NOT_AUTHORIZED = 3,
	BUS_NOT_FOUND = 4,
	BUS_EXISTS = 5,
	BUS_LIMIT = 6,		/* a table is full, a message too large */
	BUS_UNAVAILABLE = 7,	/* NAME is not running, or did not answer by the deadline */
	BUS_INTERNAL = 8,
	BUS_NO_METHOD = 9,
	BUS_CONFLICT = 10,	/* state does not allow it now */
};

enum { BUS_MESSAGE_MAX = 1 << 20, BUS_NAME_MAX = 32 };
enum { BUS_CONNECTIONS_UID_MAX = 32, BUS_CONNECTIONS_MAX = 256, BUS_WAITING_MAX = 16 << 20, BUS_WAITING_UID_MAX = 64 << 20 };

struct bus_call; /* one request being served; valid until answered */

typedef void (*bus_handler)(struct bus_call *call, const ProtobufCMessage *request);

struct bus_method {
	const char *name;	  /* rpc name in the service ("Add") */
	const char *class_name;  /* SAF class, mostly "SERVAUTH" */
	/* Resource template: "EZB.IPSECCMD.{sysname}.{stack|DMD_GLOBAL}.CONTROL". {sysname}, {instance} (of this daemon), {name}
	 * (the instance, or the daemon's name where it has none; upper case), or
	 * {field} = a string field of the request, upper-cased; {field|X}: X when it is absent or empty. A field value that is
	 * not one qualifier (1-24 of A-Z 0-9 @ # $ _ -) is refused as invalid. The word "ANY" alone as template = no authority
	 * needed (allowed only for Ping and the like; shown as such by the method list). */
	const char *resource;
	enum saf_level level;
	const ProtobufCMessageDescriptor *request, *reply;
	bus_handler fn;
};

struct bus_event {
	const char *topic; /* "defmgr.filter.added"; no topic may be a prefix of another */
	const ProtobufCMessageDescriptor *body;
	const char *class_name, *resource; /* READ needed to subscribe; template with {sysname}, {instance}, {name} */
};

struct bus_server_spec {
	const char *name;     /* "defmgrD", "stack-core@LEFT": the directory under run */
	const char *instance; /* "LEFT" or NULL */
	const ProtobufCServiceDescriptor *service;
	const struct bus_method *methods; /* ends with .name NULL */
	const struct bus_event *events;	  /* ends with .topic NULL; NULL: none */
	/* A second service that the skeleton answers in every daemon (common.Daemon): same rules, own user. NULL: none. */
	const ProtobufCServiceDescriptor *extra_service;
	const struct bus_method *extra_methods;
	const struct bus_event *extra_events;
	void *extra_user; /* bus_call_user() in handlers of .extra_methods */
	struct saf *saf;
	struct audit *audit;
	void *user;	     /* bus_call_user() in handlers of .methods */
	loop_fn flush; /* NULL, or called after each burst of requests: commit what they collected; arg = .user */
};

struct bus_server;
/* Binds under a lock file. -EADDRINUSE: another instance runs; -EINVAL: tables and service do not agree (text says how). */
int bus_server_new(struct loop *l, const struct bus_server_spec *spec, struct bus_server **ret, struct errbuf *e);
void bus_server_free(struct bus_server *b);
uint64_t bus_server_boot_id(const struct bus_server *b);

void *bus_call_user(const struct bus_call *c);
const struct saf_subject *bus_call_subject(const struct bus_call *c);
/* A further check inside a handler; audits a refusal. false: the handler has been answered NOT_AUTHORIZED for you. */
bool bus_call_check(struct bus_call *c, const char *class_name, const char *resource, enum saf_level level);
/* Exactly one of these ends every call, now or later; @reply is packed at once (borrowed). */
void bus_reply(struct bus_call *c, const ProtobufCMessage *reply);
void bus_fail(struct bus_call *c, enum bus_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Publishes; never blocks. @topic must be in the spec's table. */
void bus_publish(struct bus_server *b, const char *topic, const ProtobufCMessage *body);

struct bus_stats {
	uint64_t requests, refused, malformed, oversized, overfull, crowded, unknown_peer, replies_dropped, events, subscriptions_refused,
		unauthorized;
};
void bus_server_stats(const struct bus_server *b, struct bus_stats *ret);

/* --- client --- */
struct bus_client;
/* A lasting connection to the daemon @name; connects lazily, survives its restarts. The server's uid must own its run directory.
 * @l NULL: synchronous use only. */
struct bus_client *bus_client_new(struct loop *l, const char *name);
void bus_client_free(struct bus_client *c); /* pending calls end with BUS_UNAVAILABLE */
/* Asynchronous call; @fn runs exactly once: @reply is NULL unless @code is BUS_OK; both borrowed for the call. */
typedef void (*bus_reply_fn)(void *arg, enum bus_code code, const char *text, const ProtobufCMessage *reply);
void bus_client_call(struct bus_client *c, const char *method, const ProtobufCMessage *request,
	const ProtobufCMessageDescriptor *reply, unsigned deadline_ms, bus_reply_fn fn, void *arg);
/* Synchronous call: *@ret_reply owned by the caller (protobuf_c_message_free_unpacked), NULL unless BUS_OK. Text (at most 255 bytes) in @e.
 * At the deadline: "NAME is not running" when nobody is bound, else "NAME did not answer within N ms". */
enum bus_code bus_client_call_sync(struct bus_client *c, const char *method, const ProtobufCMessage *request,
	const ProtobufCMessageDescriptor *reply, unsigned deadline_ms, ProtobufCMessage **ret_reply, struct errbuf *e);

/* --- subscriber --- */
struct bus_event_info {
	const char *publisher, *topic, *stack;
	uint64_t boot_id, seq, time_us;
	uint64_t lost; /* events of this topic missed just before this one (or seen missing by the heartbeat: body NULL) */
	bool restarted; /* first event of another boot id than before: catch up by List */
};
/* Also called with @body NULL: for a loss that a heartbeat shows, and for the first heartbeat of a boot id (topic
 * "PKG.heartbeat", lost 0), so that a publisher's start is noticed when it has nothing else to say. */
typedef void (*bus_event_fn)(void *arg, const struct bus_event_info *info, const void *body, size_t len);
struct bus_subscriber;
/* Subscribes to @topic prefix of daemon @name ("" = all one may see); reconnects by itself. */
struct bus_subscriber *bus_subscriber_new(struct loop *l, const char *name, const char *const *topics, bus_event_fn fn, void *arg);
void bus_subscriber_free(struct bus_subscriber *s);

/* --- pulse --- */
/* Is a daemon there, and which run of it: asked by common.Ping when its user says so, and told by every event. */
struct bus_pulse_spec {
	const char *name;
	const char *const *topics;
	unsigned deadline_ms; /* of a Ping */
	void (*seen)(void *arg, uint64_t boot_id); /* a sign of life */
	loop_fn silent;				   /* a Ping was not answered */
	bus_event_fn event;			   /* after .seen */
	void *arg;
};
struct bus_pulse;
struct bus_pulse *bus_pulse_new(struct loop *l, const struct bus_pulse_spec *spec);
void bus_pulse_free(struct bus_pulse *p); /* NULL allowed; pending calls end, a Ping is one */
void bus_pulse_ask(struct bus_pulse *p);  /* unless it is being asked */
struct bus_client *bus_pulse_client(struct bus_pulse *p); /* the connection, for other calls: the pulse's own */

/* The names of daemons whose run directory has an rpc socket with a live lock: callback per name. */
void bus_discover(void (*fn)(void *arg, const char *name), void *arg);

/* Unpacks into one allocation-budgeted arena (64 x len + 4 KiB, at most 8 MiB: an unpacked repeated number costs 2 bytes on
 * the wire and up to 72 while it is unpacked) and validates; NULL with text in @e. Free with bus_unpack_free. */
ProtobufCMessage *bus_unpack(const ProtobufCMessageDescriptor *d, const void *data, size_t len, struct errbuf *e);
void bus_unpack_free(ProtobufCMessage *m);
/* The message as JSON through its descriptor (enums by name, bytes as hex, 64-bit as numbers). */
void bus_json(struct json *j, const ProtobufCMessage *m);
void bus_json_members(struct json *j, const ProtobufCMessage *m); /* of an object that the caller opens and closes */
