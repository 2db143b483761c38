#include "daemons/rpcbindD/registry.h"
#include "daemons/rpcbindD/xdr.h"
#include "lib/base/xalloc.h"
#include <errno.h>
#include <netinet/in.h>
#include <sys/random.h>

enum { BUCKETS = 4096 };

struct registry {
	unsigned max, count;
	uint64_t stamp, key[2];
	struct registration *first, *last;
	struct registration *hash[BUCKETS];  /* by program, version, netid */
	struct registration *progs[BUCKETS]; /* by program, netid */
	struct {
		uint8_t *text;
		size_t len;
		uint64_t stamp;
	} dumps[2];
};

static unsigned bucket(const struct registry *r, uint32_t prog, uint32_t vers, enum netid n)
{
	uint64_t h = r->key[0] ^ ((uint64_t)prog << 32 | vers);
	h = (h ^ h >> 32) * (r->key[1] | 1);
	h = (h ^ h >> 29 ^ (uint64_t)n) * 0xc4ceb9fe1a85ec53ull;
	return (unsigned)(h >> 40) % BUCKETS;
}

struct registry *registry_new(unsigned max)
{
	struct registry *r = xnew(struct registry);
	r->max = max;
	r->stamp = 1;
	if (getrandom(r->key, sizeof(r->key), 0) != sizeof(r->key))
		abort();
	return r;
}

void registry_free(struct registry *r)
{
	if (!r)
		return;
	while (r->first)
		registry_remove(r, r->first);
	free(r->dumps[0].text);
	free(r->dumps[1].text);
	free(r);
}

unsigned registry_count(const struct registry *r)
{
	return r->count;
}

uint64_t registry_stamp(const struct registry *r)
{
	return r->stamp;
}

struct registration *registry_first(const struct registry *r)
{
	return r->first;
}

struct registration *registry_find(const struct registry *r, uint32_t prog, uint32_t vers, enum netid n)
{
	struct registration *e = r->hash[bucket(r, prog, vers, n)];
	while (e && (e->prog != prog || e->vers != vers || e->netid != n))
		e = e->next_hash;
	return e;
}

struct registration *registry_find_any(const struct registry *r, uint32_t prog, uint32_t vers, enum netid n)
{
	struct registration *e = registry_find(r, prog, vers, n);
	if (e)
		return e;
	e = r->progs[bucket(r, prog, 0, n)];
	while (e && (e->prog != prog || e->netid != n))
		e = e->next_prog;
	return e;
}

int registry_add(struct registry *r, uint32_t prog, uint32_t vers, enum netid n, const char *uaddr, uid_t owner, struct registration **ret)
{
	struct addr a;
	uint16_t port;
	if (n >= NETID_COUNT || strlen(uaddr) > UADDR_MAX || uaddr_parse(n, uaddr, &a, &port))
		return -EINVAL;
	if (registry_find(r, prog, vers, n))
		return -EEXIST;
	if (r->count >= r->max)
		return -ENOSPC;
	struct registration *e = xnew(struct registration);
	*e = (struct registration){.prog = prog, .vers = vers, .netid = n, .addr = a, .port = port, .owner = owner, .before = r->last};
	memcpy(e->uaddr, uaddr, strlen(uaddr) + 1);
	struct registration **h = &r->hash[bucket(r, prog, vers, n)], **p = &r->progs[bucket(r, prog, 0, n)];
	e->next_hash = *h;
	*h = e;
	e->next_prog = *p;
	*p = e;
	*(r->last ? &r->last->after : &r->first) = e;
	r->last = e;
	r->count++;
	r->stamp++;
	if (ret)
		*ret = e;
	return 0;
}

void registry_remove(struct registry *r, struct registration *e)
{
	struct registration **p = &r->hash[bucket(r, e->prog, e->vers, e->netid)];
	while (*p != e)
		p = &(*p)->next_hash;
	*p = e->next_hash;
	p = &r->progs[bucket(r, e->prog, 0, e->netid)];
	while (*p != e)
		p = &(*p)->next_prog;
	*p = e->next_prog;
	*(e->before ? &e->before->after : &r->first) = e->after;
	*(e->after ? &e->after->before : &r->last) = e->before;
	r->count--;
	r->stamp++;
	free(e);
}

const char *owner_text(uid_t uid, char out[16])
{
	if (uid)
		(void)snprintf(out, 16, "%lu", (unsigned long)uid);
	else
		memcpy(out, "superuser", 10);
	return out;
}

static void write_one(struct wr *w, const struct registration *e, unsigned version)
{
	char owner[16];
	if (version == 2) {
		if (netid_family(e->netid) != 4)
			return;
		wr_u32(w, 1);
		wr_u32(w, e->prog);
		wr_u32(w, e->vers);
		wr_u32(w, netid_is_udp(e->netid) ? IPPROTO_UDP : IPPROTO_TCP);
		wr_u32(w, e->port);
		return;
	}
	wr_u32(w, 1);
	wr_u32(w, e->prog);
	wr_u32(w, e->vers);
	xdr_put_text(w, netid_text(e->netid));
	xdr_put_text(w, e->uaddr);
	xdr_put_text(w, owner_text(e->owner, owner));
}

const uint8_t *registry_dump(struct registry *r, unsigned version, size_t *ret_len)
{
	unsigned i = version == 2 ? 0 : 1;
	if (r->dumps[i].stamp != r->stamp) {
		size_t most = (size_t)r->count * (version == 2 ? 20 : 12 + 12 + 4 + UADDR_MAX + 4 + 16 + 4) + 4;
		r->dumps[i].text = xrealloc(r->dumps[i].text, 1, most);
		struct wr w = wr_init(r->dumps[i].text, most);
		for (const struct registration *e = r->first; e; e = e->after)
			write_one(&w, e, version);
		wr_u32(&w, 0);
		r->dumps[i].len = wr_len(&w);
		r->dumps[i].stamp = r->stamp;
	}
	*ret_len = r->dumps[i].len;
	return r->dumps[i].text;
}
