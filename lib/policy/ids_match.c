/* What an IDS rule is asked. */
#include "lib/policy/ids.h"

static const char *const words[IDS_ATTACKS] = {
#define WORD(name, word, text) [IDS_##name] = word,
	IDS_ATTACK_TYPES(WORD)
#undef WORD
};
static const char *const texts[IDS_ATTACKS] = {
#define TEXT(name, word, text) [IDS_##name] = text,
	IDS_ATTACK_TYPES(TEXT)
#undef TEXT
};

const char *ids_attack_word(enum ids_attack a)
{
	return a < IDS_ATTACKS ? words[a] : "?";
}

const char *ids_attack_text(enum ids_attack a)
{
	return a < IDS_ATTACKS ? texts[a] : "?";
}

static const struct ids_rule *rule_for(const struct ids_policy *p, enum ids_condition c, enum ids_protocol proto, const struct addr *dst, uint16_t port)
{
	for (size_t i = 0; i < p->n_rules; i++) {
		const struct ids_rule *r = &p->rules[i];
		bool host = !r->n_hosts;
		if (r->condition != c || r->protocol != proto || (r->local && proto != IDS_ICMP && !ids_port(r->local, port)))
			continue;
		for (size_t h = 0; !host && h < r->n_hosts; h++)
			host = addr_range_covers(&r->hosts[h], dst);
		if (host)
			return r;
	}
	return NULL;
}

const struct ids_rule *ids_scan_rule(const struct ids_policy *p, enum ids_protocol proto, const struct addr *dst, uint16_t port)
{
	return rule_for(p, IDS_COND_SCAN_EVENT, proto, dst, port);
}

const struct ids_rule *ids_tr_rule(const struct ids_policy *p, enum ids_protocol proto, const struct addr *dst, uint16_t port)
{
	return rule_for(p, IDS_COND_TR, proto, dst, port);
}

bool ids_excluded(const struct ids_rule *r, const struct addr *src, uint16_t sport)
{
	for (size_t i = 0; i < r->n_excludes; i++)
		if (addr_range_covers(&r->excludes[i].from, src) && sport >= r->excludes[i].lo && sport <= r->excludes[i].hi)
			return true;
	return false;
}
