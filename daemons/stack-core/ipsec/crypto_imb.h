/* crypto_imb: what the two files of the intel-ipsec-mb backend share: crypto_imb_key.c makes managers and keys,
 * crypto_imb.c runs jobs. */
#pragma once
#include "daemons/stack-core/ipsec/crypto_backend.h"
#include <intel-ipsec-mb.h>

struct imb_key {
	union {
		struct {
			struct gcm_key_data gcm;
			aes_gcm_enc_dec_t seal, open;
		};
		struct {
			uint32_t enc[60] __attribute__((aligned(16)));
			uint32_t dec[60] __attribute__((aligned(16)));
			uint8_t ipad[64] __attribute__((aligned(16)));
			uint8_t opad[64] __attribute__((aligned(16)));
			uint32_t k1[44] __attribute__((aligned(16)));
			uint8_t k2[16] __attribute__((aligned(16)));
			uint8_t k3[16] __attribute__((aligned(16)));
		};
		uint8_t chacha[32];
	};
};

/* A worker has two managers. The AEADs go through the widest code of the CPU. HMAC goes through the SSE
 * code where the CPU has SHA instructions but no AVX-512: in release 1.3 only these two use them,
 * and one stream of SHA instructions is three times as fast as eight AVX2 lanes (1.25 against 3.7
 * us for 1400 bytes of CBC with SHA-256, 3 against 29 for a lone packet). */
struct imb_worker {
	IMB_MGR *wide, *lanes;
	struct gcm_context_data gcm;
	uint8_t tags[CRYPTO_JOBS_MAX][64]; /* of what is decrypted */
};
