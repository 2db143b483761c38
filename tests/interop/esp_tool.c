/* esp_tool: the stack's ESP and AH at the end of a pipe, for tests that hold it against other
 * implementations.
 *
 * Lines on stdin, one answer line each:
 *   sa PROTO MODE CIPHER KEY AUTH AUTHKEY SPI SRC DST ESN LASTSEQ BACKEND WINDOW [PORT]    ->  ok
 *   ah AUTH AUTHKEY SPI ESN LASTSEQ WINDOW          ->  ok: the next sa gets this AH over its ESP
 *   out HEX | in HEX                                                                ->  ok HEX |
 * drop REASON Names as in the code (esp ah, tunnel transport, AES_GCM, HMAC_SHA1, best openssl);
 * keys are hex, "-" for none; SRC and DST "-" for any. The inbound SA has the same addresses as the
 * outbound one: the tool is both ends. With PORT it is ESP in UDP between these ports. */
#include "daemons/stack-core/drop.h"
#include "daemons/stack-core/ipsec/esp.h"
#include "lib/base/sha256.h"
#include <stdlib.h>
#include <string.h>
#include <urcu-qsbr.h>

enum { LINE_MAX_LEN = 70000, BUF = 40000, FRONT = 256 };

static struct sadb *db;
static struct ipsec_worker *worker;
static struct tunnel *tunnel;
static struct sa_params over; /* spi 0: none */

static const char *reason(unsigned drop)
{
	static const char *const names[] = {"NONE",
#define NAME(name, stage, help) #name,
		DROP_REASONS(NAME)
#undef NAME
	};
	return drop < DROP_MAX ? names[drop] : "?";
}

static int cipher_of(const char *name)
{
	for (int i = 0; i < CIPHER_COUNT; i++) {
		if (!strcmp(crypto_cipher_info((enum crypto_cipher)i)->name, name))
			return i;
	}
	return -1;
}

static int auth_of(const char *name)
{
	for (int i = 0; i < AUTH_COUNT; i++) {
		if (!strcmp(crypto_auth_info((enum crypto_auth)i)->name, name))
			return i;
	}
	return -1;
}

static int key_of(const char *hex, uint8_t *out, uint8_t *ret_len)
{
	size_t n = strcmp(hex, "-") ? strlen(hex) / 2 : 0;

	*ret_len = (uint8_t)n;
	return n > SA_KEY_MAX ? -EINVAL : n ? hex_parse(hex, out, n) : 0;
}

static int address_of(const char *text, struct addr *out)
{
	return strcmp(text, "-") ? addr_parse(text, out) : 0;
}

static int set_sa(char *args, struct errbuf *err)
{
	char proto[8], mode[16], cipher[32], key[160], auth[32], auth_key[160], src[64], dst[64],
		backend[16];
	struct sa_params p = {.keep_dscp = true};
	unsigned spi, esn, window, port = 0;
	unsigned long long last;
	struct sa *in, *out;

	if (sscanf(args, "%7s %15s %31s %159s %31s %159s %u %63s %63s %u %llu %15s %u %u", proto, mode,
		    cipher, key, auth, auth_key, &spi, src, dst, &esn, &last, backend,
		    &window, &port) < 13)
		return err_set(err, EINVAL, "13 arguments expected");
	int c = cipher_of(cipher), a = auth_of(auth);
	if (c < 0 || a < 0 || key_of(key, p.key, &p.key_len) < 0 ||
		key_of(auth_key, p.auth_key, &p.auth_len) < 0 || address_of(src, &p.src) < 0 ||
		address_of(dst, &p.dst) < 0)
		return err_set(err, EINVAL, "bad argument");
	p.proto = !strcmp(proto, "ah") ? SA_AH : SA_ESP;
	p.mode = !strcmp(mode, "tunnel") ? SA_TUNNEL : SA_TRANSPORT;
	p.cipher = (enum crypto_cipher)c;
	p.auth = (enum crypto_auth)a;
	p.spi = spi;
	p.esn = esn != 0;
	p.first_seq = last;
	p.replay = window;
	p.udp = port != 0;
	p.sport = p.dport = (uint16_t)port;
	p.backend = !strcmp(backend, "best") ? CRYPTO_BEST : CRYPTO_OPENSSL;
	over.src = p.src;
	over.dst = p.dst;
	over.backend = p.backend;
	struct sa_params ah = over;
	over.spi = 0;
	int r = sa_new_bundle(&p, ah.spi ? &ah : NULL, true, 1, err, &in);
	if (r < 0)
		return r;
	r = sa_new_bundle(&p, ah.spi ? &ah : NULL, false, 1, err, &out);
	if (r < 0) {
		sa_free(in);
		return r;
	}
	if (tunnel)
		sadb_remove(db, tunnel);
	tunnel = NULL;
	return sadb_add(db, 'M', "t", in, out, true, err, &tunnel);
}

static int set_over(char *args, struct errbuf *err)
{
	char auth[32], key[160];
	unsigned spi, esn, window;
	unsigned long long last;

	memset(&over, 0, sizeof(over));
	if (sscanf(args, "%31s %159s %u %u %llu %u", auth, key, &spi, &esn, &last, &window) != 6)
		return err_set(err, EINVAL, "6 arguments expected");
	int a = auth_of(auth);
	if (a < 0 || key_of(key, over.auth_key, &over.auth_len) < 0)
		return err_set(err, EINVAL, "bad argument");
	over.proto = SA_AH;
	over.mode = SA_TRANSPORT;
	over.auth = (enum crypto_auth)a;
	over.esn = esn != 0;
	over.first_seq = last;
	over.replay = window;
	over.spi = spi;
	return 0;
}

static void run(const char *hex, bool inbound)
{
	static uint8_t buf[BUF];
	static char text[2 * BUF + 1];
	size_t n = strlen(hex) / 2;
	struct pkt p = {.buf = buf, .size = BUF, .off = FRONT, .len = (uint32_t)n};
	struct pkt *one = &p;

	p.encap = tunnel && sa_outside(tunnel->in)->udp;
	if (n > BUF - 2 * FRONT || !tunnel || hex_parse(hex, buf + FRONT, n) < 0) {
		puts("error");
		return;
	}
	if (inbound)
		ipsec_in(worker, &one, 1);
	else
		ipsec_out(worker, &one, &tunnel->out, 1);
	if (p.drop) {
		printf("drop %s\n", reason(p.drop));
		return;
	}
	hex_text(pkt_data(&p), p.len, text);
	printf("ok %s\n", text);
}

int main(void)
{
	static char line[LINE_MAX_LEN];

	rcu_register_thread();
	db = sadb_new(1);
	worker = ipsec_worker_new(db, 0);
	while (fgets(line, sizeof(line), stdin)) {
		struct errbuf err = {""};
		line[strcspn(line, "\n")] = 0;
		if (!strncmp(line, "sa ", 3))
			printf("%s%s\n", set_sa(line + 3, &err) < 0 ? "error " : "ok", err.text);
		else if (!strncmp(line, "ah ", 3))
			printf("%s%s\n", set_over(line + 3, &err) < 0 ? "error " : "ok", err.text);
		else if (!strncmp(line, "out ", 4))
			run(line + 4, false);
		else if (!strncmp(line, "in ", 3))
			run(line + 3, true);
		else
			puts("error");
		fflush(stdout);
	}
	ipsec_worker_free(worker);
	sadb_free(db);
	rcu_unregister_thread();
	return 0;
}
