/* label: security labels on the wire, and the label of a client.
 *
 * CIPSO (draft-ietf-cipso-ipsecurity-01, FIPS 188): IPv4 option 134 = DOI and tags; a tag has a level and a set of categories. Tags 1 (bit
 * map), 2 (enumerated) and 5 (ranges) are read, 1 and, where a category is too high for its map, 2 are written. CALIPSO (RFC 5570): the same for IPv6, a hop-by-hop option.
 * Level and categories are those of the SECLABEL profile. Options come from strangers: every length is checked, and what is not
 * understood whole is no label. */
#pragma once
#include "daemons/rpcbindD/zone.h"

enum { LABEL_CIPSO_MAX = 40, LABEL_CALIPSO_MAX = 64, LABEL_UID_UNKNOWN = -1 };

/* The label in IPv4 options as IP_RECVOPTS or getsockopt(IP_OPTIONS) give them. 0; -ENOENT: no CIPSO in there; -EINVAL: malformed, another DOI, no tag
 * that is understood, or two options; -ERANGE: a category above 255. */
int label_from_cipso(const uint8_t *options, size_t len, uint32_t doi, struct saf_label *ret);
/* IPv4 options for setsockopt(IP_OPTIONS): their length, a multiple of 4; -ERANGE: the categories do not fit. */
int label_to_cipso(const struct saf_label *l, uint32_t doi, uint8_t out[LABEL_CIPSO_MAX]);
/* A hop-by-hop header for setsockopt(IPV6_HOPOPTS): its length. */
int label_to_calipso(const struct saf_label *l, uint32_t doi, uint8_t out[LABEL_CALIPSO_MAX]);

struct label_source {
	struct saf *saf;
	const struct zone_table *zones;
	const char *sysname, *tcpname;
	uint32_t doi; /* 0: options are not looked at */
};

struct label_client {
	bool local; /* by a way that only this host has: the local socket, loopback */
	int64_t uid; /* of a local client; LABEL_UID_UNKNOWN */
	struct addr addr;
	const uint8_t *options; /* IPv4 options its packet carried; NULL: none */
	size_t options_len;
};

/* The label that stands for a client: a local one has that of its user; another that of its zone, or, when its packet carries one,
 * this, provided that the zone's label dominates it or is SYSMULTI: a zone vouches for its labels. 0; -ENOENT: it has none;
 * -EACCES: it carries one that does not hold. */
int label_of_client(const struct label_source *s, const struct label_client *c, char ret_label[SAF_USER_MAX]);
/* The label of the server that @uid runs: -ENOENT without one. */
int label_of_server(struct saf *s, uid_t uid, char ret_label[SAF_USER_MAX]);
