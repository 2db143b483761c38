/* rpcbind: the registry of ONC RPC servers of this host (RFC 1833; zos.md section 9).
 *
 *   udp.c tcp.c     bytes from and to clients, on descriptors of systemd's or our own
 *   program.c       one call: its procedure and its answer; change.c SET and UNSET; stat.c GETSTAT; assist.c CALLIT, BCAST, INDIRECT
 *   authority.c     who a caller is (diag.c asks the kernel), and whether it may register
 *   registry.c store.c rate.c conf.c   what is registered; the same on disk; strangers' rates; rpcbind.conf
 *   remote.c label.c zone.c worker.c   target assistance
 *
 * One thread. A registration is acknowledged when it is in the store. */
#pragma once
#include "daemons/rpcbindD/call.h"
#include "daemons/rpcbindD/rate.h"
#include "daemons/rpcbindD/registry.h"
#include "daemons/rpcbindD/remote.h"
#include "daemons/rpcbindD/store.h"
#include "lib/daemon/daemon.h"
#include "lib/log/log.h"
#include "proto/rpcbind.pb-c.h"
#include <netinet/in.h>
#include <sys/socket.h>

enum { RB_PROCS = 13, RB_SOCKETS_MAX = 32, RB_INTERFACES_MAX = 16, RB_REPLY_MAX = 65536, RB_UDP_REPLY_MAX = 8800, RB_MISSES = 64 };

struct rb_conf {
	char name[9];		/* rpcbindname of the REGISTRY resource */
	char local_socket[108]; /* "" none */
	uint16_t port;
	bool netids[NETID_COUNT];
	struct addr interfaces[RB_INTERFACES_MAX];
	unsigned ninterfaces;
	unsigned registrations, user_registrations; /* most in all, of one uid other than 0 */
	unsigned rate, burst, factor, dump_udp;
	unsigned connections, connections_per_source, idle_s, record_s;
	bool warm_start;
	unsigned reap_s;
	struct remote_config remote;
};

enum rb_kind { RB_UDP, RB_TCP, RB_LOCAL };

struct rb_socket {
	struct rpcbind *rb;
	int fd;
	enum rb_kind kind;
	enum netid netid;
	struct loop_fd *watch;
	bool adopted; /* systemd's */
};

struct rb_conn;

/* Who calls, and how an answer reaches it. */
struct rb_caller {
	enum netid netid;
	bool local;	  /* from this host */
	bool uid_asked;
	int64_t uid;	  /* -1: unknown */
	struct addr addr, here; /* its address, and ours that it called; unset on the local socket */
	uint16_t port;
	uint16_t here_port;
	size_t request_len, room; /* the reply has at most .room bytes */
	const uint8_t *options;	  /* IPv4 options of the packet */
	size_t options_len;
	/* for answers that come later */
	int fd;
	struct rb_conn *conn; /* NULL: UDP */
	struct sockaddr_storage peer;
	socklen_t peer_len;
	unsigned ifindex;
	/* set by rb_serve: bytes to send behind what it wrote */
	const uint8_t *tail;
	size_t tail_len;
};

enum rb_outcome { RB_REPLY, RB_SILENT, RB_LATER };

/* An answer that a worker owes. */
struct rb_late {
	struct rb_late *next;
	struct rpcbind *rb;
	struct rb_caller caller;
	uint32_t xid, prog, vers, proc, version;
	bool indirect;
	struct addr target;
	uint16_t target_port;
};

struct rb_stat {
	uint64_t info[RB_PROCS], set_ok, unset_ok;
	struct {
		uint32_t prog, vers;
		enum netid netid;
		uint64_t failures;
	} misses[RB_MISSES];
	unsigned nmisses;
	struct {
		uint32_t prog, vers, proc;
		uint64_t ok, failed;
		bool indirect;
		enum netid netid;
	} remote[RB_MISSES];
	unsigned nremote;
};

struct rb_counters {
	uint64_t calls, set, unset, refused, limited, too_large, malformed, accepted, connections_refused, connections_closed, vanished, restored, dropped;
};

struct rpcbind {
	struct daemon *daemon;
	struct rb_conf *conf;
	struct registry *registry;
	struct store *store;
	struct remote *remote;
	struct rate *rate;
	struct rb_socket sockets[RB_SOCKETS_MAX];
	unsigned nsockets;
	struct rb_conn *conns; /* most recently used first */
	struct rb_conn *conns_last;
	unsigned nconns;
	struct rb_late *lates;
	struct loop_timer *tick;
	unsigned ticks, lo_index;
	uint64_t trace_until_ms;
	struct log_limit log_refused, log_limited, log_trace;
	struct rb_stat stat[3];
	struct rb_counters counters;
};

extern const struct daemon_spec rb_spec;
extern const struct conf_spec rb_conf_spec;
extern const struct bus_method rb_methods[];
extern const struct bus_event rb_events[];
int rb_conf_build(struct conf *c, const char *instance, void **ret_built);
void rb_conf_free(void *built);

/* program.c: one call in @msg; its answer in @out (and c->tail). */
enum rb_outcome rb_serve(struct rpcbind *rb, struct rb_caller *c, const uint8_t *msg, size_t len, struct wr *out);
struct rpcb {
	uint32_t prog, vers;
	char netid[17], uaddr[UADDR_TEXT_MAX], owner[65];
};
bool rb_get_rpcb(struct rd *r, struct rpcb *ret);
/* The address of @e as the caller should use it, wildcards filled in. */
const char *rb_merged(const struct registration *e, const struct rb_caller *c, char out[UADDR_TEXT_MAX]);

/* change.c: version 2 when @mapping. The answer is a boolean. */
bool rb_set(struct rpcbind *rb, struct rb_caller *c, const struct rpcb *r, unsigned version);
bool rb_unset(struct rpcbind *rb, struct rb_caller *c, const struct rpcb *r, unsigned version);
int rb_remove(struct rpcbind *rb, struct registration *e); /* from store and registry, with its event; 0 or -EIO */
void rb_limited(struct rpcbind *rb, const struct rb_caller *c);

/* stat.c */
void rb_stat_write(const struct rpcbind *rb, struct wr *w);
void rb_stat_miss(struct rb_stat *s, uint32_t prog, uint32_t vers, enum netid n);
void rb_stat_remote(struct rb_stat *s, const struct rb_late *l, bool ok);

/* assist.c: the calls for others; @indirect: errors are answered. */
enum rb_outcome rb_assist(struct rpcbind *rb, struct rb_caller *c, const struct call_head *h, struct rd *r, struct wr *out);
void rb_late_forget(struct rpcbind *rb, const struct rb_conn *conn);

/* authority.c */
void rb_find_uid(struct rb_caller *c);
/* May the caller register @port on @n (0: unregister)? Says, audits and publishes a refusal. */
bool rb_may_change(struct rpcbind *rb, struct rb_caller *c, uint32_t prog, uint32_t vers, enum netid n, uint16_t port);

/* diag.c: sock_diag(7) of this network namespace. */
int64_t diag_owner(enum netid n, const struct addr *client, uint16_t client_port, const struct addr *here, uint16_t port);
/* A socket that listens (TCP) or is bound (UDP) on @port: its owner; -1 none; -2 the kernel does not say. @uid: the one looked for, when several share it. */
int64_t diag_server(enum netid n, uint16_t port, int64_t uid);

/* An address and port as the kernel writes them; an IPv4 address inside an IPv6 one becomes IPv4. */
void rb_take_address(const struct sockaddr_storage *s, struct addr *ret, uint16_t *ret_port);

/* udp.c, tcp.c, listen.c */
int rb_listen(struct rpcbind *rb, const struct rb_conf *c, struct errbuf *e);
void rb_watch(struct rpcbind *rb); /* start to serve */
void rb_close(struct rpcbind *rb);
void rb_udp_ready(void *sock, int fd, unsigned events);
void rb_tcp_ready(void *sock, int fd, unsigned events);
void rb_udp_answer(const struct rb_caller *c, const uint8_t *text, size_t len);
void rb_tcp_answer(struct rb_conn *c, const uint8_t *text, size_t len);
void rb_tcp_tick(struct rpcbind *rb);
void rb_tcp_close_all(struct rpcbind *rb);
void rb_tell_set(struct rpcbind *rb, const struct registration *e, const char *topic);
