#include "lib/ike/natd.h"
#include <errno.h>
#include <string.h>

int natd_hash(uint16_t hash, const uint8_t icookie[ISAKMP_COOKIE],
	const uint8_t rcookie[ISAKMP_COOKIE], const struct addr *a, uint16_t port, uint8_t *out)
{
	uint8_t port_bytes[2] = {(uint8_t)(port >> 8), (uint8_t)port};
	struct ike_part parts[] = {{icookie, ISAKMP_COOKIE}, {rcookie, ISAKMP_COOKIE},
		{a->b, addr_len(a)}, {port_bytes, sizeof(port_bytes)}};

	if (!addr_len(a))
		return -EINVAL;
	return ike_hash(hash, parts, sizeof(parts) / sizeof(parts[0]), out);
}

int natd_judge(uint16_t hash, const struct isakmp_header *h, const struct isakmp_payloads *p,
	uint8_t type, const struct addr *local, uint16_t local_port, const struct addr *remote,
	uint16_t remote_port, struct natd_result *ret, struct ike_refusal *why)
{
	uint8_t ours[IKE_HASH_MAX], theirs[IKE_HASH_MAX];
	size_t len = ike_hash_len(hash), nth = 0;
	struct natd_result r = {.local = true, .remote = true};
	const struct isakmp_payload *d;

	int rc = natd_hash(hash, h->icookie, h->rcookie, local, local_port, ours);
	if (!rc)
		rc = natd_hash(hash, h->icookie, h->rcookie, remote, remote_port, theirs);
	if (rc)
		return rc;
	for (; (d = isakmp_find(p, type, nth)); nth++) {
		if (d->len != len)
			return ike_refuse(why, NOTIFY_PAYLOAD_MALFORMED,
				"EZD1098I rsn=1: a NAT-D hash of the wrong length");
		if (nth == 0)
			r.local = memcmp(d->body, ours, len) != 0;
		else if (memcmp(d->body, theirs, len) == 0)
			r.remote = false;
	}
	if (nth < 2)
		return ike_refuse(
			why, NOTIFY_PAYLOAD_MALFORMED, "EZD1098I rsn=2: too few NAT-D payloads");
	*ret = r;
	return 0;
}
