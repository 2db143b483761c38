/* Why ipsec/ drops a packet: a part of the one list in drop.h. X(NAME, "stage", "help"). */
#pragma once

#define IPSEC_DROP_REASONS(X)                                                                      \
	X(ESP_NO_SA, "ipsec-in", "no active security association for this destination and SPI")    \
	X(ESP_EXPIRED, "ipsec", "the security association's hard lifetime is over")                \
	X(ESP_MALFORMED, "ipsec-in", "ESP or AH packet too short, or its lengths disagree")        \
	X(ESP_FRAGMENT, "ipsec-in", "ESP or AH in a fragment that was not reassembled")            \
	X(ESP_REPLAY, "ipsec-in", "sequence number already seen")                                  \
	X(ESP_REPLAY_OLD, "ipsec-in", "sequence number older than the replay window")              \
	X(ESP_AUTH, "ipsec-in", "integrity check failed")                                          \
	X(ESP_PADDING, "ipsec-in", "authenticated, but the ESP padding is wrong")                  \
	X(ESP_DUMMY, "ipsec-in", "dummy packet of traffic flow confidentiality (next header 59)")  \
	X(ESP_INNER, "ipsec-in", "the protected packet is malformed or of the wrong kind")         \
	X(ESP_NESTED, "ipsec-in", "a tunnel in a tunnel in a tunnel: more than two are not opened")     \
	X(ESP_ECN, "ipsec-in", "congestion mark on a flow that cannot carry it (RFC 6040)")        \
	X(BUNDLE_NO_AH, "ipsec-in", "ESP of an association that comes inside AH only, without its AH") \
	X(BUNDLE_NO_ESP, "ipsec-in", "AH of an association that holds ESP only, without ESP inside") \
	X(BUNDLE_MIXED, "ipsec-in", "AH and ESP inside it whose associations do not belong together") \
	X(ESP_OUT_NO_SA, "ipsec-out", "no active security association towards this destination")   \
	X(ESP_OUT_SEQ, "ipsec-out", "sequence numbers used up: the association has to be renewed") \
	X(ESP_OUT_ROOM, "ipsec-out", "no room in the buffer for headers or trailer")               \
	X(ESP_OUT_SIZE, "ipsec-out", "longer than an IP packet may be")                            \
	X(ESP_OUT_UNFIT, "ipsec-out", "transport mode cannot carry it: fragment, or other hosts")  \
	X(ESP_OUT_MALFORMED, "ipsec-out", "packet to protect is malformed")                        \
	X(PMTU_STRANGER, "icmp", "too-big message about a protected packet that is none of ours")        \
	X(PMTU_IMPLAUSIBLE, "icmp", "too-big message that is damaged, or that no router would send")     \
	X(ESP_CRYPTO, "ipsec", "the crypto library refused the job")
