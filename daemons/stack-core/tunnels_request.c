/* tunnels_request: what ikeD says about a tunnel, as SAs and filters know it. Numbers of algorithms are IANA's, as they stood on the
 * wire. Each function returns NULL, or what is wrong. */
#include "daemons/stack-core/tunnels.h"
#include <ctype.h>
#include <string.h>

enum { OWNER_DATA_MAX = 2048, REPLAY_WINDOW = 1024 };

static bool cipher_of(const Stack__DynamicTunnel *t, struct sa_params *p)
{
	switch (t->esp_transform) { /* IANA IPSEC ESP Transform Identifiers */
	case 0:
	case 11:
		p->cipher = CIPHER_NULL;
		return true;
	case 2:
		p->cipher = CIPHER_DES_CBC;
		return true;
	case 3:
		p->cipher = CIPHER_3DES_CBC;
		return true;
	case 12:
		p->cipher = CIPHER_AES_CBC;
		return true;
	case 20:
		p->cipher = CIPHER_AES_GCM;
		return true;
	case 28: /* IKEv2's number: IKEv1 has none (RFC 7634 section 4) */
		p->cipher = CIPHER_CHACHA20_POLY1305;
		return true;
	default:
		return false;
	}
}

static bool auth_of(const Stack__DynamicTunnel *t, struct sa_params *p)
{
	static const enum crypto_auth known[] = {[0] = AUTH_NONE, [1] = AUTH_HMAC_MD5_96, [2] = AUTH_HMAC_SHA1_96, [5] = AUTH_HMAC_SHA2_256_128,
		[6] = AUTH_HMAC_SHA2_384_192, [7] = AUTH_HMAC_SHA2_512_256, [9] = AUTH_AES128_XCBC_96};
	uint32_t a = t->auth; /* IANA IPSEC Authentication Algorithm */

	if (a >= sizeof(known) / sizeof(*known) || (a && known[a] == AUTH_NONE))
		return false;
	p->auth = known[a];
	return true;
}

static const char *half_of(const Stack__DynamicTunnel *t, const Stack__SaHalf *h, struct sa_params *p)
{
	if (!h || !h->has_spi)
		return "in and out with spi are needed";
	if (h->encryption_key.len > SA_KEY_MAX || h->authentication_key.len > SA_KEY_MAX)
		return "a key is too long";
	p->spi = h->spi;
	p->key_len = (uint8_t)h->encryption_key.len;
	if (p->key_len)
		memcpy(p->key, h->encryption_key.data, p->key_len);
	p->auth_len = (uint8_t)h->authentication_key.len;
	if (p->auth_len)
		memcpy(p->auth_key, h->authentication_key.data, p->auth_len);
	if (t->key_bits && p->proto == SA_ESP && p->cipher != CIPHER_NULL &&
		t->key_bits / 8 + (crypto_cipher_info(p->cipher)->icv ? CRYPTO_SALT : 0u) != p->key_len)
		return "the encryption key is not of key_bits";
	return NULL;
}

static bool field_addr(const char *text, struct addr *ret)
{
	return text && addr_parse(text, ret) == 0;
}

static const char *path_of(const Stack__DynamicTunnel *t, struct sa_path *ret)
{
	*ret = (struct sa_path){.udp = t->udp};
	if (!field_addr(t->local, &ret->src) || !field_addr(t->remote, &ret->dst) || ret->src.family != ret->dst.family)
		return "local and remote: expected two addresses of one family";
	if (t->udp && (!t->local_port || !t->remote_port || t->local_port > 65535 || t->remote_port > 65535))
		return "local_port and remote_port: expected 1 to 65535";
	if (t->udp) {
		ret->sport = (uint16_t)t->local_port;
		ret->dport = (uint16_t)t->remote_port;
	}
	return NULL;
}

static bool dscp_of(const Stack__DynamicTunnel *t, struct sa_params *p)
{
	if (!t->has_outer_dscp || !t->outer_dscp.len)
		return true;
	if (t->outer_dscp.len != sizeof(p->dscp))
		return false;
	for (size_t i = 0; i < sizeof(p->dscp); i++)
		if (t->outer_dscp.data[i] >= sizeof(p->dscp))
			return false;
	memcpy(p->dscp, t->outer_dscp.data, sizeof(p->dscp));
	return p->map_dscp = true;
}

/* One direction of a bundle: what @p has of integrity and extended numbers goes to the AH over it. ESP numbers count only with an ICV of
 * its own. */
static const char *over(const Stack__DynamicTunnel *t, const Stack__SaHalf *h, struct sa_params *p, struct sa_params *ah)
{
	bool aead = crypto_cipher_info(p->cipher)->icv != 0;

	*ah = *p;
	ah->proto = SA_AH;
	ah->mode = SA_TRANSPORT;
	ah->cipher = CIPHER_NULL;
	ah->hard_bytes = 0; /* the pair's end is ESP's */
	p->auth = aead ? AUTH_NONE : AUTH_AH;
	p->esn = false;
	if (!aead)
		p->replay = 0;
	if (t->protocol != 3 || ah->auth == AUTH_NONE)
		return "in_ah, out_ah: expected ESP as the protocol, and an auth";
	return half_of(t, h, ah);
}

static const char *params_of(const Stack__DynamicTunnel *t, const struct sa_path *path, struct tunnel_sas *s)
{
	struct sa_params *in = &s->in, *out = &s->out;
	struct sa_params p = {.mode = t->tunnel_mode ? SA_TUNNEL : SA_TRANSPORT, .esn = t->esn, .udp = path->udp, .keep_dscp = t->passthrough_dscp,
		.hard_bytes = t->hard_bytes, .src = path->src, .dst = path->dst, .sport = path->sport, .dport = path->dport};
	const char *wrong;

	if (t->protocol != 2 && t->protocol != 3)
		return "protocol: expected 2 (AH) or 3 (ESP)";
	p.proto = t->protocol == 2 ? SA_AH : SA_ESP;
	if (!cipher_of(t, &p) || !auth_of(t, &p))
		return "esp_transform or auth: no such algorithm here";
	if (t->df > 2)
		return "df: expected 0 to 2";
	p.df = (enum sa_df)t->df;
	if (!dscp_of(t, &p))
		return "outer_dscp: expected 64 bytes, each below 64";
	*out = *in = p;
	in->src = p.dst;
	in->dst = p.src;
	in->sport = p.dport;
	in->dport = p.sport;
	in->replay = REPLAY_WINDOW;
	if ((t->nat_oa_remote && *t->nat_oa_remote && !field_addr(t->nat_oa_remote, &in->oa_src)) ||
		(t->nat_oa_local && *t->nat_oa_local && !field_addr(t->nat_oa_local, &in->oa_dst)))
		return "nat_oa_local, nat_oa_remote: expected addresses";
	s->bundle = t->in_ah || t->out_ah;
	if (s->bundle && ((wrong = over(t, t->in_ah, in, &s->in_ah)) || (wrong = over(t, t->out_ah, out, &s->out_ah))))
		return wrong;
	if ((wrong = half_of(t, t->in, in)))
		return wrong;
	return half_of(t, t->out, out);
}

/* Neither of them: every address of the family outside. */
static bool side_of(const char *low, const char *high, uint8_t family, struct addr *lo, struct addr *hi)
{
	if ((low && *low) || (high && *high))
		return field_addr(low, lo) && field_addr(high, hi);
	*lo = *hi = (struct addr){.family = family};
	memset(hi->b, 0xff, addr_len(hi));
	return true;
}

static const char *protect_of(const Stack__DynamicTunnel *t, const struct sa_path *path, struct filter_protect *ret)
{
	const Stack__Selector *s = t->selector;

	memset(ret, 0, sizeof(*ret));
	if (!s || !side_of(s->local_low, s->local_high, path->src.family, &ret->local_lo, &ret->local_hi) ||
		!side_of(s->remote_low, s->remote_high, path->src.family, &ret->remote_lo, &ret->remote_hi))
		return "selector: expected a low and a high address for each side, or none";
	if (s->local_port > 65535 || s->remote_port > 65535 || s->protocol > FILTER_PROTO_ANY)
		return "selector: port or protocol out of range";
	ret->proto = s->has_protocol ? (uint16_t)s->protocol : FILTER_PROTO_ANY;
	ret->local_port = (uint16_t)s->local_port;
	ret->remote_port = (uint16_t)s->remote_port;
	(void)snprintf(ret->rule, sizeof(ret->rule), "%s", t->rule);
	ret->natt = path->udp;
	/* In transport mode packets show the NAT's address, while the selector may name what is behind it. */
	if (path->udp && !t->tunnel_mode && ((t->nat_oa_remote && *t->nat_oa_remote) || (t->nat_oa_local && *t->nat_oa_local))) {
		ret->natt_local = path->src;
		ret->natt_remote = path->dst;
	}
	return NULL;
}

static const char *names_of(const Stack__DynamicTunnel *t)
{
	size_t n = t && t->tunnel_id ? strlen(t->tunnel_id) : 0;

	if (!n || n >= sizeof(((struct tunnel *)0)->id))
		return "tunnel_id: expected 1 to 15 characters";
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)t->tunnel_id[i]))
			return "tunnel_id: expected letters and digits";
	if (t->tunnel_id[0] == 'M')
		return "tunnel_id: M is for manual tunnels";
	if (!t->generation)
		return "generation: expected 1 or more";
	if (!t->rule || !*t->rule || strlen(t->rule) >= FILTER_NAME_MAX)
		return "rule: expected a name of at most 64 characters";
	if (t->owner_data.len > OWNER_DATA_MAX)
		return "owner_data is too long";
	return NULL;
}

const char *tunnels_request(const Stack__DynamicTunnel *t, struct tunnel_sas *sas, struct filter_protect *protect)
{
	struct sa_path path;
	const char *wrong = names_of(t);

	memset(sas, 0, sizeof(*sas));
	if (!wrong)
		wrong = path_of(t, &path);
	if (!wrong)
		wrong = protect_of(t, &path, protect);
	return wrong ? wrong : params_of(t, &path, sas);
}
