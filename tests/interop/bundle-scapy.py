#!/usr/bin/python3
"""AH over ESP (transport adjacency, RFC 4301 section 4.1) against an independent codec: what scapy builds in two passes we open in
one, and the reverse: ESP in transport and tunnel mode, IPv4 and IPv6, both backends. Then what must not pass: one of the two alone,
the wrong order, a wrong ICV in either, a replay in either.

Prints "ok - text" or "not ok - text" for each check; exits with 1 on a failure, 77 when scapy is missing.
Usage: bundle-scapy.py PATH-OF-esp_tool"""
import importlib
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
esp = importlib.import_module("esp-scapy")
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrHopByHop
from scapy.layers.ipsec import AH, ESP, SecurityAssociation
from scapy.packet import bind_layers, split_layers

check = esp.check
AH_SPI = 0x2222
# cipher, key length, integrity of ESP (AH: none of its own), integrity of AH
KINDS = [("AES_CBC", 16, "AH", "HMAC_SHA1"), ("AES_CBC", 32, "AH", "HMAC_SHA2_256_128"), ("3DES", 24, "AH", "HMAC_MD5"),
         ("AES_GCM", 20, "NULL", "HMAC_SHA2_512_256"), ("CHACHA20_POLY1305", 36, "NULL", "HMAC_SHA2_384_192")]

BOUND = ((IP, {"proto": 50}), (IPv6, {"nh": 50}), (IPv6ExtHdrHopByHop, {"nh": 50}))


def covered(sa, packet):
    """@packet in AH. scapy signs the first ESP that it finds instead of AH: meanwhile it is not to know ESP."""
    for layer, fields in BOUND:
        split_layers(layer, ESP, **fields)
    try:
        return bytes(sa.encrypt(packet.__class__(bytes(packet))))
    finally:
        for layer, fields in BOUND:
            bind_layers(layer, ESP, **fields)


class Bundle:
    def __init__(self, kind, mode, inner, outer, esn=False):
        self.cipher, key_len, self.auth, self.ah_auth = kind
        self.mode, self.inner, self.outer, self.esn = mode, inner, outer if mode == "tunnel" else inner, esn
        self.aead = self.auth == "NULL"
        scapy_auth, auth_len, self.icv_len, _ = esp.AUTHS[self.ah_auth]
        self.key, self.ah_key = esp.key(key_len, b"cipher"), esp.key(auth_len, b"ah")
        self.name = "AH %s over %s-%d %s IPv%d in IPv%d%s" % (self.ah_auth, self.cipher, 8 * key_len, mode, inner, self.outer, " ESN" if esn else "")
        header = None
        if mode == "tunnel":
            src, dst = esp.OUTER[outer]
            header = IP(src=src, dst=dst, ttl=61) if outer == 4 else IPv6(src=src, dst=dst, hlim=61)
        args = dict(crypt_algo=esp.CIPHERS[self.cipher], crypt_key=self.key)
        self.esp_sa = lambda seq, **more: SecurityAssociation(ESP, spi=esp.SPI, seq_num=seq, tunnel_header=header, **{**args, **more})
        self.ah_sa = lambda seq: SecurityAssociation(AH, spi=AH_SPI, seq_num=seq, auth_algo=scapy_auth, auth_key=self.ah_key,
                                                     esn_en=esn, esn=esp.HIGH if esn else 0)

    def install(self, tool, backend="best", window=64):
        """ESP refuses replays of its own only when it has an ICV of its own."""
        src, dst = esp.OUTER[self.outer] if self.mode == "tunnel" else ("-", "-")
        last = 41 + (esp.HIGH << 32 if self.esn else 0)
        a = tool.ask("ah %s %s %d %d %d %d" % (self.ah_auth, self.ah_key.hex(), AH_SPI, self.esn, last, window))
        b = tool.ask("sa esp %s %s %s %s - %d %s %s 0 41 %s %d" % (self.mode, self.cipher, self.key.hex(), self.auth, esp.SPI, src, dst,
                                                                   backend, window if self.aead else 0))
        return check((a, b) == ("ok", "ok"), "%s: SAs: %s %s" % (self.name, a, b))

    def parse(self, data):
        return esp.parse(self.outer, bytes(data))

    def seal(self, clear, esp_seq=42, **more):
        return self.parse(self.esp_sa(esp_seq, **more).encrypt(clear))

    def cover(self, packet, ah_seq=42):
        return covered(self.ah_sa(ah_seq), self.parse(packet))

    def build(self, clear, esp_seq=42, ah_seq=42):
        return self.cover(self.seal(clear, esp_seq), ah_seq)

    def open(self, data):
        inside = self.ah_sa(42).decrypt(self.parse(data))
        return bytes(self.esp_sa(42).decrypt(self.parse(inside)))


def clear_of(b, size, plus=None):
    return esp.parse(b.inner, bytes(esp.plain(b.inner, size, plus)))


def both_ways(tool, b, backend, size, plus=None):
    name = "%s, %s, %d bytes%s" % (b.name, backend, size, ", options" if plus else "")
    clear = clear_of(b, size, plus)
    if not b.install(tool, backend):
        return
    built = b.build(clear)
    got = tool.packet("in", built)
    check(got == bytes(clear), "%s: we open scapy's: %s" % (name, got if isinstance(got, str) else got.hex()))
    check(tool.packet("in", built) == "drop ESP_REPLAY", name + ": a second time it is a replay")
    ours = tool.packet("out", bytes(clear))
    if not check(isinstance(ours, bytes), "%s: we build: %s" % (name, ours)):
        return
    packet = b.parse(ours)
    check(AH in packet and packet[AH].nh == 50 and packet[AH].spi == AH_SPI and packet[AH].seq == 42, name + ": AH in front, ESP in it")
    try:
        check(b.open(ours) == bytes(clear), name + ": scapy opens ours")
    except Exception as e:
        check(False, "%s: scapy refuses ours: %r" % (name, e))


def shapes():
    for mode, inner, outer in [("transport", 4, 4), ("transport", 6, 6)] + [("tunnel", i, o) for i in (4, 6) for o in (4, 6)]:
        yield mode, inner, outer


def flip(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


def refusals(tool, b):
    """Each on SAs made anew; after each, what is right still passes."""
    clear = clear_of(b, 100)
    good = b.build(clear)
    sealed = b.seal(clear)
    ip = 20 if b.outer == 4 else 40
    align = 4 if b.outer == 4 else 8
    ah_len = (12 + b.icv_len + align - 1) // align * align
    # AH over the packet in clear: in tunnel mode what is between the gateways
    bare = clear if b.mode == "transport" else b.parse(b.parse(sealed).__class__(src=esp.OUTER[b.outer][0], dst=esp.OUTER[b.outer][1]) / bytes(40))
    # ESP over AH
    wrong_way = bytes(b.seal(esp.parse(b.inner, bytes(SecurityAssociation(AH, spi=AH_SPI, seq_num=42, auth_algo=esp.AUTHS[b.ah_auth][0],
                                                                          auth_key=b.ah_key).encrypt(clear)))))
    cases = [("ESP without AH", bytes(sealed), "drop BUNDLE_NO_AH"), ("AH without ESP", b.cover(bare), "drop BUNDLE_NO_ESP"),
             ("ESP over AH", wrong_way, "drop BUNDLE_NO_AH"), ("AH's ICV is wrong", flip(good, ip + 12), "drop ESP_AUTH"),
             ("the ciphertext is wrong", flip(good, ip + ah_len + 20), "drop ESP_AUTH"),
             ("the last byte is wrong", flip(good, len(good) - 1), "drop ESP_AUTH"),
             ("AH's number is wrong", flip(good, ip + 11), "drop ESP_AUTH"),
             ("AH over AH", b.cover(b.cover(sealed, 43), 42), "drop BUNDLE_NO_ESP"),
             ("another ESP's SPI in good AH", b.cover(flip(bytes(sealed), ip + 3)), "drop BUNDLE_MIXED"),
             ("AH of an unknown SPI", flip(good, ip + 7), "drop ESP_NO_SA")]
    if b.aead:
        cases.append(("ESP's ICV is wrong in good AH", b.cover(flip(bytes(sealed), len(bytes(sealed)) - 1)), "drop ESP_AUTH"))
    for text, data, want in cases:
        if not b.install(tool):
            return
        got = tool.packet("in", data)
        check(got == want, "%s: %s: %s" % (b.name, text, got if isinstance(got, str) else "passed"))
        got = tool.packet("in", b.build(clear, 44, 44))
        check(got == bytes(clear), "%s: %s, and then the right one: %s" % (b.name, text, got))


def replays(tool, b):
    clear = clear_of(b, 60)
    b.install(tool)
    check(tool.packet("in", b.build(clear, 42, 42)) == bytes(clear), b.name + ": the first")
    check(tool.packet("in", b.build(clear, 43, 42)) == "drop ESP_REPLAY", b.name + ": AH's number again over a new ESP")
    again = tool.packet("in", b.build(clear, 42, 43))
    if b.aead:
        check(again == "drop ESP_REPLAY", "%s: ESP's number again in new AH: %s" % (b.name, again))
    else:  # who made the AH has its key: what it covers is new
        check(again == bytes(clear), "%s: ESP without ICV has no numbers to keep: %s" % (b.name, again))
    check(tool.packet("in", b.build(clear, 300, 300)) == bytes(clear), b.name + ": far ahead")
    check(tool.packet("in", b.build(clear, 301, 236)) == "drop ESP_REPLAY_OLD", b.name + ": behind the window")


def routers_touch_it(tool):
    for outer in (4, 6):
        b = Bundle(KINDS[0], "tunnel", 4, outer)
        b.install(tool)
        clear = clear_of(b, 50)
        clear.tos = 0xb9  # ECT(1)
        del clear.chksum
        clear = IP(bytes(clear))
        packet = b.parse(tool.packet("out", bytes(clear)))
        if outer == 4:
            packet.ttl -= 3
            packet.tos |= 3
            del packet.chksum
        else:
            packet.hlim -= 3
            packet.tc |= 3
        clear.tos = 0xbb
        del clear.chksum
        got = tool.packet("in", bytes(packet))
        check(got == bytes(clear), "AH over ESP in IPv%d: hop limit and ECN change on the way, CE is passed on: %s" % (outer, got))


def refused_sas(tool):
    b = Bundle(KINDS[0], "tunnel", 4, 4)
    src, dst = esp.OUTER[4]
    line = "sa esp tunnel AES_CBC %s AH - %d %s %s" % (b.key.hex(), esp.SPI, src, dst)
    ah = "ah HMAC_SHA1 %s %d 0 41 64" % (b.ah_key.hex(), AH_SPI)
    check(tool.ask(line + " 0 41 best 0").startswith("error"), "ESP without integrity and without AH is refused")
    for text, more in (("a replay window", " 0 41 best 64"), ("extended numbers", " 1 41 best 0"), ("UDP", " 0 41 best 0 4500")):
        tool.ask(ah)
        check(tool.ask(line + more).startswith("error"), "ESP without integrity in AH, with %s, is refused" % text)


def main():
    build = os.environ.get("RAVELIN_BUILD") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../build/debug")
    words = [a for a in sys.argv[1:] if a != "-v"]
    tool = esp.Tool(words[0] if words else os.path.join(build, "tests/interop/esp_tool"))
    refused_sas(tool)
    for kind in KINDS:
        for mode, inner, outer in shapes():
            for esn in (False, True):
                b = Bundle(kind, mode, inner, outer, esn)
                for backend in ("best", "openssl"):
                    for size in (0, 1, 13, 14, 15, 16, 1300) if backend == "best" else (13,):
                        both_ways(tool, b, backend, size)
            b = Bundle(kind, mode, inner, outer)
            refusals(tool, b)
            replays(tool, b)
        both_ways(tool, Bundle(kind, "transport", 4, 4), "best", 100, [esp.IPOption_NOP(), esp.IPOption_Router_Alert()])
        both_ways(tool, Bundle(kind, "transport", 6, 6), "best", 100, esp.IPv6ExtHdrHopByHop(
            options=[esp.RouterAlert(), esp.HBHOptUnknown(otype=0x3e, optdata=b"changes!"), esp.PadN(optdata=b"\0\0")]))
    routers_touch_it(tool)
    check(tool.close() == 0, "esp_tool ends well")
    print("%s - AH over ESP and scapy: %d checks passed, %d failed" % ("not ok" if esp.failures else "ok", esp.passes, esp.failures))
    return 1 if esp.failures else 0


sys.exit(main())
