/* GETSTAT: three rpcb_stat, for versions 2, 3 and 4 (RFC 1833 section 2.2.1). Counts of lookups stand in the registrations; failures and calls
 * for others in small tables: what does not fit is not told. */
#include "daemons/rpcbindD/rpcbind.h"
#include "daemons/rpcbindD/xdr.h"

void rb_stat_miss(struct rb_stat *s, uint32_t prog, uint32_t vers, enum netid n)
{
	unsigned i = 0;
	while (i < s->nmisses && (s->misses[i].prog != prog || s->misses[i].vers != vers || s->misses[i].netid != n))
		i++;
	if (i == RB_MISSES)
		return;
	if (i == s->nmisses) {
		s->nmisses++;
		s->misses[i].prog = prog;
		s->misses[i].vers = vers;
		s->misses[i].netid = n;
	}
	s->misses[i].failures++;
}

void rb_stat_remote(struct rb_stat *s, const struct rb_late *l, bool ok)
{
	unsigned i = 0;
	while (i < s->nremote && (s->remote[i].prog != l->prog || s->remote[i].vers != l->vers || s->remote[i].proc != l->proc ||
					 s->remote[i].indirect != l->indirect || s->remote[i].netid != l->caller.netid))
		i++;
	if (i == RB_MISSES)
		return;
	if (i == s->nremote) {
		s->nremote++;
		s->remote[i].prog = l->prog;
		s->remote[i].vers = l->vers;
		s->remote[i].proc = l->proc;
		s->remote[i].indirect = l->indirect;
		s->remote[i].netid = l->caller.netid;
	}
	(void)(ok ? s->remote[i].ok++ : s->remote[i].failed++);
}

static void write_lookups(const struct rpcbind *rb, unsigned version, struct wr *w)
{
	const struct rb_stat *s = &rb->stat[version];
	unsigned room = 256;
	for (const struct registration *e = registry_first(rb->registry); e && room; e = e->after) {
		if (!e->hits[version])
			continue;
		room--;
		wr_u32(w, 1);
		wr_u32(w, e->prog);
		wr_u32(w, e->vers);
		wr_u32(w, (uint32_t)e->hits[version]);
		wr_u32(w, 0);
		xdr_put_text(w, netid_text(e->netid));
	}
	for (unsigned i = 0; i < s->nmisses; i++) {
		wr_u32(w, 1);
		wr_u32(w, s->misses[i].prog);
		wr_u32(w, s->misses[i].vers);
		wr_u32(w, 0);
		wr_u32(w, (uint32_t)s->misses[i].failures);
		xdr_put_text(w, netid_text(s->misses[i].netid));
	}
	wr_u32(w, 0);
}

void rb_stat_write(const struct rpcbind *rb, struct wr *w)
{
	for (unsigned v = 0; v < 3; v++) {
		const struct rb_stat *s = &rb->stat[v];
		for (unsigned i = 0; i < RB_PROCS; i++)
			wr_u32(w, (uint32_t)s->info[i]);
		wr_u32(w, (uint32_t)s->set_ok);
		wr_u32(w, (uint32_t)s->unset_ok);
		write_lookups(rb, v, w);
		for (unsigned i = 0; i < s->nremote; i++) {
			wr_u32(w, 1);
			wr_u32(w, s->remote[i].prog);
			wr_u32(w, s->remote[i].vers);
			wr_u32(w, s->remote[i].proc);
			wr_u32(w, (uint32_t)s->remote[i].ok);
			wr_u32(w, (uint32_t)s->remote[i].failed);
			wr_u32(w, s->remote[i].indirect);
			xdr_put_text(w, netid_text(s->remote[i].netid));
		}
		wr_u32(w, 0);
	}
}
