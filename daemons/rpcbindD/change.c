/* SET and UNSET (RFC 1833 sections 2.1 and 2.2). Acknowledged when the store has them. */
#include "daemons/rpcbindD/rpcbind.h"
#include <string.h>

void rb_tell_set(struct rpcbind *rb, const struct registration *e, const char *topic)
{
	Rpcbind__Changed m = RPCBIND__CHANGED__INIT;
	Rpcbind__Registration r = RPCBIND__REGISTRATION__INIT;
	r.has_program = r.has_version = r.has_owner_uid = true;
	r.program = e->prog;
	r.version = e->vers;
	r.netid = (char *)(uintptr_t)netid_text(e->netid);
	r.address = (char *)(uintptr_t)e->uaddr;
	r.owner_uid = e->owner;
	m.registration = &r;
	bus_publish(rb->daemon->bus, topic, &m.base);
	log_info(topic[8] == 's' ? "registered" : "unregistered", "program", log_u64(e->prog), "version", log_u64(e->vers), "netid", netid_text(e->netid),
		"address", e->uaddr, "uid", log_u64(e->owner));
}

int rb_remove(struct rpcbind *rb, struct registration *e)
{
	int rc = store_delete(rb->store, e);
	if (rc)
		return rc;
	rb->counters.unset++;
	rb_tell_set(rb, e, "rpcbind.unset");
	registry_remove(rb->registry, e);
	return 0;
}

static unsigned held_by(const struct rpcbind *rb, uid_t uid)
{
	unsigned n = 0;
	for (const struct registration *e = registry_first(rb->registry); e; e = e->after)
		n += e->owner == uid;
	return n;
}

bool rb_set(struct rpcbind *rb, struct rb_caller *c, const struct rpcb *r, unsigned version)
{
	enum netid n = netid_parse(r->netid);
	struct registration *e;
	struct addr a;
	uint16_t port;
	if (n == NETID_NONE || uaddr_parse(n, r->uaddr, &a, &port) || (n != NETID_LOCAL && !port))
		return false;
	if (!rb_may_change(rb, c, r->prog, r->vers, n, port))
		return false;
	uid_t uid = (uid_t)c->uid;
	e = registry_find(rb->registry, r->prog, r->vers, n);
	if (e)
		return e->owner == uid && !strcmp(e->uaddr, r->uaddr); /* said again: as it is */
	if (uid && held_by(rb, uid) >= rb->conf->user_registrations) {
		rb_limited(rb, c);
		return false;
	}
	if (registry_add(rb->registry, r->prog, r->vers, n, r->uaddr, uid, &e)) {
		rb_limited(rb, c);
		return false;
	}
	if (store_put(rb->store, e)) {
		log_error("a registration cannot be stored", "program", log_u64(r->prog));
		registry_remove(rb->registry, e);
		return false;
	}
	rb->counters.set++;
	rb->stat[version - 2].set_ok++;
	rb_tell_set(rb, e, "rpcbind.set");
	return true;
}

bool rb_unset(struct rpcbind *rb, struct rb_caller *c, const struct rpcb *r, unsigned version)
{
	enum netid n = r->netid[0] ? netid_parse(r->netid) : NETID_NONE;
	bool any = false, all = true;
	if ((r->netid[0] && n == NETID_NONE) || !rb_may_change(rb, c, r->prog, r->vers, n, 0))
		return false;
	for (unsigned i = 0; i < NETID_COUNT; i++) {
		if (n != NETID_NONE && i != n)
			continue;
		if (version == 2 && netid_family((enum netid)i) != 4)
			continue;
		struct registration *e = registry_find(rb->registry, r->prog, r->vers, (enum netid)i);
		if (!e)
			continue;
		if (e->built_in || (c->uid != 0 && e->owner != (uid_t)c->uid) || rb_remove(rb, e))
			all = false;
		else
			any = true;
	}
	rb->stat[version - 2].unset_ok += any && all;
	return any && all;
}
