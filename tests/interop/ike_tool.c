/* ike_tool: two of our engines talk in memory, and what they said is printed for other programs to
 * judge: key ICOOKIE KEY            of every phase 1, in hexadecimal: the cipher's key, for
 * tshark's IKEv1 decryption table datagram FROM HEX          FROM is 1 or 2 agreed ENC-KEY-LENGTH
 * both ends have the same tunnel The argument is the scenario. */
#include "tests/support/check_abort.h"
#include "tests/unit/lib/ike/pair/pair.h"
#include "lib/ike/engine.h"

static const struct {
	const char *name, *kex, *vpn;
} scenarios[] = {
	{"main", KEX_PSK, VPN_GCM},
	{"aggressive", "HowToInitiate Aggressive\n" KEX_PSK, VPN_GCM},
	{"vpn-a", "KeyExchangeOffer { Suite VPN-A\n HowToAuthPeers PresharedKey }\n",
		"IpDataOffer { HowToEncap Tunnel\n Suite VPN-A }\n"},
	{"pfs",
		"KeyExchangeOffer { HowToEncrypt AES_CBC KeyLength 256\n HowToAuthMsgs SHA1\n"
		" HowToAuthPeers PresharedKey\n DHGroup Group14 }\n",
		"InitiateWithPfs Group14\n AcceptablePfs Group14\n IpDataOffer { HowToEncap "
		"Tunnel\n"
		" HowToEncrypt AES_CBC KeyLength 256\n HowToAuth ESP HMAC_SHA2_256_128 }\n"
		"IpDataOffer { HowToEncap Tunnel\n HowToEncrypt 3DES\n HowToAuth ESP HMAC_SHA1 "
		"}\n"},
	{"esn",
		"KeyExchangeOffer { HowToEncrypt AES_CBC KeyLength 192\n HowToAuthMsgs SHA2_512\n"
		" HowToAuthPeers PresharedKey\n DHGroup Group20 }\n",
		"InitiateWithPfs Group19\n AcceptablePfs Group19\n IpDataOffer { HowToEncap "
		"Tunnel\n"
		" HowToEncrypt AES_GCM KeyLength 256\n ExtendedSequenceNumbers Yes }\n"},
	{"ah", KEX_PSK, "IpDataOffer { HowToEncap Tunnel\n HowToAuth AH HMAC_SHA2_256_128 }\n"},
};

static void print_hex(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		printf("%02x", p[i]);
}

static void print_keys(void)
{
	struct p1 *p;

	TAILQ_FOREACH(p, &net.peer[0].ike->p1s, entry)
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
	pair_simple(scenarios[i].kex, scenarios[i].vpn);
	must(activate(id) == 0);
	pass(2 * SECOND);
	must(newest(0) && other_end(newest(0)));
	printf("agreed %u\n", newest(0)->child.in.enc_key_len);
	print_keys();
	must(ike_refresh(net.peer[0].ike, id, net.now) == 0); /* quick mode again */
	pass(40ull * SECOND);				      /* dead peer detection */
	must(ike_deactivate(net.peer[1].ike, newest(1)->child.tunnel_id, false, net.now) == 0);
	pass(1 * SECOND);
	must(ike_deactivate(net.peer[0].ike, "K1", true, net.now) == 0);
	pass(1 * SECOND);
	for (unsigned k = 0; k < net.n_record; k++) {
		printf("datagram %u ", 2 - net.record[k].to);
		print_hex(net.record[k].data, net.record[k].len);
		printf("\n");
	}
	pair_stop();
	return 0;
}
