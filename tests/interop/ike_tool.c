/* ike_tool: two of our engines talk in memory, and what they said is printed for other programs to
 * judge: key ICOOKIE KEY            of every phase 1, in hexadecimal: the cipher's key, for
 * tshark's IKEv1 decryption table datagram FROM HEX          FROM is 1 or 2 agreed ENC-KEY-LENGTH
 * both ends have the same tunnel The argument is the scenario. */
#include "tests/unit/lib/ike/pair.h"
#include "lib/ike/engine.h"

#define DATA(encap, enc, auth, rest) "IpDataOffer { HowToEncap " encap "\n HowToEncrypt " enc "\n HowToAuth " auth "\n" rest "}\n"
#define GCM DATA("Tunnel", "AES_GCM KeyLength 128", "ESP NULL", "")

static const struct {
	const char *name;
	struct pair_policy policy;
} scenarios[] = {
	{"main", {.data = GCM}},
	{"aggressive", {.initiate = "Aggressive", .data = GCM}},
	{"vpn-a", {.offers = "KeyExchangeOffer { Suite VPN-A\n HowToAuthPeers PresharedKey\n}\n", .data = "IpDataOffer { HowToEncap Tunnel\n Suite VPN-A\n}\n"}},
	{"pfs", {.offers = PAIR_OFFER("AES_CBC KeyLength 256", "SHA1", "PresharedKey", "Group14", ""), .pfs = "Group14", .pfs_ok = "Group14",
			.data = DATA("Tunnel", "AES_CBC KeyLength 256", "ESP HMAC_SHA2_256_128", "") DATA("Tunnel", "3DES", "ESP HMAC_SHA1", "")}},
	{"esn", {.offers = PAIR_OFFER("AES_CBC KeyLength 192", "SHA2_512", "PresharedKey", "Group20", ""), .pfs = "Group19", .pfs_ok = "Group19",
			.data = DATA("Tunnel", "AES_GCM KeyLength 256", "ESP NULL", "ExtendedSequenceNumbers Yes\n")}},
	{"ah", {.data = DATA("Tunnel", "DoNot", "AH HMAC_SHA2_256_128", "")}},
};

static void must(bool good)
{
	if (!good)
		abort();
}

static void print_hex(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		printf("%02x", p[i]);
}

static void print_keys(const struct pair *n)
{
	struct p1 *p;

	TAILQ_FOREACH(p, &n->peer[0].k->p1s, entry)
	{
		printf("key ");
		print_hex(p->icookie, IKE_COOKIE);
		printf(" ");
		print_hex(p->keys.enc_key, p->suite.key_len);
		printf("\n");
	}
}

int main(int argc, char **argv)
{
	size_t i = 0, n = sizeof(scenarios) / sizeof(scenarios[0]);
	char id[16] = "";

	while (i < n && (argc != 2 || strcmp(argv[1], scenarios[i].name) != 0))
		i++;
	if (i == n) {
		fprintf(stderr, "usage: ike_tool main|aggressive|vpn-a|pfs|esn|ah\n");
		return 2;
	}
	struct pair *p = pair_new(&scenarios[i].policy, &scenarios[i].policy, NULL, NULL);
	must(pair_activate(p, 0, id) == 0);
	pair_pass(p, 2 * PAIR_SECOND);
	must(pair_up(p));
	printf("agreed %u\n", p->peer[0].children[0].c.in.enc_key_len);
	print_keys(p);
	must(ike_refresh(p->peer[0].k, id, p->now) == 0); /* quick mode again */
	pair_pass(p, 40 * PAIR_SECOND); /* dead peer detection */
	must(ike_deactivate(p->peer[1].k, id, false, p->now) == 0);
	pair_pass(p, PAIR_SECOND);
	must(ike_deactivate(p->peer[0].k, "K1", true, p->now) == 0);
	pair_pass(p, PAIR_SECOND);
	for (size_t k = 0; k < p->n_past; k++) {
		printf("datagram %u ", 2 - p->past[k].to);
		print_hex(p->past[k].data, p->past[k].len);
		printf("\n");
	}
	pair_free(p);
	return 0;
}
