/* What a stack says it holds, as the engine's child and as a row; the rows of what strangers named. */
#include "daemons/ikeD/iked.h"
#include "tests/support/check_main.h"

static Stack__Selector sel;
static Stack__SaHalf in, out;
static uint8_t owner[IKE_OWNER_DATA_MAX + 1] = {1, 2, 3};

static Stack__DynamicTunnel good(void)
{
	Stack__DynamicTunnel t = STACK__DYNAMIC_TUNNEL__INIT;
	stack__selector__init(&sel);
	stack__sa_half__init(&in);
	stack__sa_half__init(&out);
	sel.local_low = "10.1.0.0";
	sel.local_high = "10.1.0.255";
	sel.remote_low = "2001:db8::";
	sel.remote_high = "2001:db8::ff";
	sel.has_protocol = true;
	sel.protocol = 6;
	sel.has_local_port = true;
	sel.local_port = 22;
	in.has_spi = out.has_spi = true;
	in.spi = 0x1001;
	out.spi = 0x1002;
	t.tunnel_id = "Y7";
	t.has_generation = true;
	t.generation = 3;
	t.parent_id = "K2";
	t.rule = "rule";
	t.vpn_action = "vpn";
	t.local_rule = "local";
	t.selector = &sel;
	t.local = "192.0.2.1";
	t.remote = "192.0.2.2";
	t.has_udp = t.udp = true;
	t.has_local_port = t.has_remote_port = true;
	t.local_port = 4500;
	t.remote_port = 30000;
	t.has_tunnel_mode = t.tunnel_mode = true;
	t.has_protocol = true;
	t.protocol = IPSEC_PROTO_ESP;
	t.has_esp_transform = true;
	t.esp_transform = IPSEC_ESP_AES_GCM_16;
	t.has_key_bits = true;
	t.key_bits = 256;
	t.in = &in;
	t.out = &out;
	t.has_soft_us = t.has_hard_us = true;
	t.soft_us = 100000000;
	t.hard_us = 200000000;
	t.has_owner_data = true;
	t.owner_data = (ProtobufCBinaryData){3, owner};
	return t;
}

START_TEST(refuses_what_is_not_whole)
{
	struct ike_child c;
	Stack__DynamicTunnel t = good();
	t.tunnel_id = NULL;
	ck_assert_int_eq(tunnel_from_stack(&t, 0, &c), -EINVAL);
	t = good();
	t.generation = 0;
	ck_assert_int_eq(tunnel_from_stack(&t, 0, &c), -EINVAL);
	t = good();
	t.in = NULL;
	ck_assert_int_eq(tunnel_from_stack(&t, 0, &c), -EINVAL);
	t = good();
	t.out = NULL;
	ck_assert_int_eq(tunnel_from_stack(&t, 0, &c), -EINVAL);
	t = good();
	t.local = "192.0.2";
	ck_assert_int_eq(tunnel_from_stack(&t, 0, &c), -EINVAL);
	t = good();
	sel.remote_high = "x";
	ck_assert_int_eq(tunnel_from_stack(&t, 0, &c), -EINVAL);
	t = good();
	t.nat_oa_local = "::g";
	ck_assert_int_eq(tunnel_from_stack(&t, 0, &c), -EINVAL);
	t = good();
	t.owner_data.len = sizeof(owner);
	ck_assert_int_eq(tunnel_from_stack(&t, 0, &c), -EINVAL);
}
END_TEST

START_TEST(takes_all)
{
	struct ike_child c;
	Stack__DynamicTunnel t = good();
	char text[RANGE_TEXT_MAX];
	ck_assert_int_eq(tunnel_from_stack(&t, 40000000, &c), 0);
	ck_assert_str_eq(c.tunnel_id, "Y7");
	ck_assert_str_eq(c.parent_id, "K2");
	ck_assert_uint_eq(c.generation, 3);
	ck_assert_uint_eq(c.in.spi, 0x1001);
	ck_assert_uint_eq(c.out.spi, 0x1002);
	ck_assert_uint_eq(c.path.remote_port, 30000);
	ck_assert_uint_eq(c.sel.protocol, 6);
	ck_assert_uint_eq(c.sel.local_port, 22);
	ck_assert_str_eq(addr_range_text(&c.sel.local, text), "10.1.0.0/24");
	ck_assert_uint_eq(c.soft_s, 60);
	ck_assert_uint_eq(c.hard_s, 160);
	ck_assert_uint_eq(c.owner_len, 3);
	ck_assert_mem_eq(c.owner_data, owner, 3);
	ck_assert_uint_eq(c.in.enc_key_len, 0);
	/* what has run out is about to, not for ever; what had no end has none */
	ck_assert_int_eq(tunnel_from_stack(&t, 900000000, &c), 0);
	ck_assert_uint_eq(c.hard_s, 1);
	t.hard_us = 0;
	t.selector = NULL;
	ck_assert_int_eq(tunnel_from_stack(&t, 900000000, &c), 0);
	ck_assert_uint_eq(c.hard_s, 0);
	ck_assert_uint_eq(c.sel.protocol, POLICY_PROTO_ALL);
	ck_assert_str_eq(addr_range_text(&c.sel.local, text), "All");
}
END_TEST

START_TEST(both_protocols)
{
	struct iked_stack s = {.conf = {.name = "LEFT"}};
	Stack__SaHalf in_ah, out_ah;
	struct iked_dyn_view v;
	struct ike_child c;
	Stack__DynamicTunnel t = good();
	stack__sa_half__init(&in_ah);
	stack__sa_half__init(&out_ah);
	in_ah.spi = 0x2001;
	out_ah.spi = 0x2002;
	t.in_ah = &in_ah; /* one is none */
	ck_assert_int_eq(tunnel_from_stack(&t, 0, &c), 0);
	ck_assert(!c.bundle && !c.in_ah.spi);
	view_child(&s, &c, &v);
	ck_assert(!v.msg.has_in_ah_spi && !v.msg.has_out_ah_spi);
	ck_assert_str_eq(v.msg.ipsec_protocol, "ESP");
	t.out_ah = &out_ah;
	ck_assert_int_eq(tunnel_from_stack(&t, 0, &c), 0);
	ck_assert(c.bundle && c.in_ah.spi == 0x2001 && c.out_ah.spi == 0x2002 && c.in.spi == 0x1001);
	view_child(&s, &c, &v);
	ck_assert_str_eq(v.msg.ipsec_protocol, "AH+ESP");
	ck_assert(v.msg.in_ah_spi == 0x2001 && v.msg.out_ah_spi == 0x2002 && v.msg.in_spi == 0x1001);
}
END_TEST

START_TEST(a_row_has_no_key)
{
	struct iked_stack s = {.conf = {.name = "LEFT"}};
	struct iked_dyn_view v;
	struct ike_child c;
	Stack__DynamicTunnel t = good();
	ck_assert_int_eq(tunnel_from_stack(&t, 0, &c), 0);
	memset(c.in.enc_key, 0xa7, sizeof(c.in.enc_key));
	c.in.enc_key_len = 36;
	memset(c.owner_data, 0xa7, sizeof(c.owner_data));
	view_child(&s, &c, &v);
	ck_assert_str_eq(v.msg.encryption, "AES-GCM-16");
	ck_assert_str_eq(v.msg.authentication, "n/a");
	ck_assert_str_eq(v.msg.remote_addresses, "2001:db8::/120");
	ck_assert_str_eq(v.msg.stack, "LEFT");
	uint8_t packed[4096];
	size_t n = ike__dyn_tunnel__get_packed_size(&v.msg);
	ck_assert_uint_lt(n, sizeof(packed));
	(void)ike__dyn_tunnel__pack(&v.msg, packed);
	for (size_t i = 0; i + 4 <= n; i++)
		ck_assert(memcmp(packed + i, "\xa7\xa7\xa7\xa7", 4) != 0);
}
END_TEST

START_TEST(phase_1_as_a_row)
{
	struct iked_stack s = {.conf = {.name = "LEFT"}};
	struct iked_tunnel_view v;
	struct ike_p1_info p = {.tunnel_id = "K3", .generation = 1, .state = IKE_HALF_CLOSED, .rule = "r", .action = "a",
		.remote_id_type = IKE_ID_DER_DN, .remote_id = "CN=gw", .icookie = {0xde, 0xad}, .expires_us = UINT64_MAX};
	view_tunnel(&s, &p, &v);
	ck_assert_str_eq(v.msg.state, "HALF-CLOSED");
	ck_assert_str_eq(v.msg.icookie, "dead000000000000");
	ck_assert_str_eq(v.msg.remote_id_type, "ID_DER_ASN1_DN");
	ck_assert_uint_eq(v.msg.expires_us, 0);
	ck_assert_ptr_null(v.msg.encryption); /* nothing agreed yet */
	p.offer = (struct kex_offer){.enc = IKE_ENC_AES, .key_bits = 128, .hash = IKE_HASH_SHA1, .xcbc = true, .auth = IKE_AUTH_RSA_SIG, .group = 14};
	view_tunnel(&s, &p, &v);
	ck_assert_str_eq(v.msg.prf, "AES128-XCBC-PRF");
	ck_assert_str_eq(v.msg.authentication, "RSA SIGNATURE");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("tunnel");
	TCase *t = tcase_create("tunnel");
	tcase_add_test(t, refuses_what_is_not_whole);
	tcase_add_test(t, takes_all);
	tcase_add_test(t, both_protocols);
	tcase_add_test(t, a_row_has_no_key);
	tcase_add_test(t, phase_1_as_a_row);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
