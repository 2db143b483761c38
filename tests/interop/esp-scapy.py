#!/usr/bin/python3
"""ESP and AH against an independent codec: what scapy's IPsec layer builds we open, what we build it opens, for every algorithm,
mode and address family, with both crypto backends; then tshark decrypts a capture of our packets.

Two gaps of Debian's scapy 2.5.0 are filled by hand here: it leaves the extended sequence number out of a separate ICV, and it
does not know AES-XCBC-MAC. scapy then builds or opens the packet without integrity, and the ICV is computed below.

Prints "ok - text" or "not ok - text" for each check; exits with 1 on a failure, 77 when scapy is missing.
Usage: esp-scapy.py PATH-OF-esp_tool [matrix | full]
matrix: sizes of 0 to 9000 bytes of payload, each with each algorithm; full: with each mode, family and kind of number, too (an hour)."""
import hashlib
import hmac
import os
import struct
import subprocess
import sys
import tempfile

try:
    import logging
    logging.getLogger("scapy").setLevel(logging.ERROR)
    from scapy.config import conf
    conf.load_layers = ["inet", "inet6", "ipsec"]
    from scapy.layers.inet import IP, UDP, IPOption_NOP, IPOption_Timestamp, IPOption_Router_Alert
    from scapy.layers.inet6 import IPv6, IPv6ExtHdrHopByHop, IPv6ExtHdrDestOpt, RouterAlert, PadN, HBHOptUnknown
    from scapy.layers.ipsec import AH, ESP, SecurityAssociation
    from scapy.packet import Raw
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
except ImportError as e:
    print("skipped: %s" % e)
    sys.exit(77)

failures = passes = 0


def check(good, text):
    global failures, passes
    passes += bool(good)
    failures += not good
    if not good or "-v" in sys.argv:
        print("%s - %s" % ("ok" if good else "not ok", text))
    return good


class Tool:
    def __init__(self, path):
        self.p = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, line):
        self.p.stdin.write(line + "\n")
        self.p.stdin.flush()
        return self.p.stdout.readline().strip()

    def packet(self, verb, data):
        answer = self.ask("%s %s" % (verb, bytes(data).hex()))
        return bytes.fromhex(answer[3:]) if answer.startswith("ok ") else answer

    def close(self):
        self.p.stdin.close()
        return self.p.wait(10)


def aes_ecb(key, block):
    e = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    return e.update(block) + e.finalize()


def xcbc(key, data):
    """RFC 3566 section 4."""
    k1, k2, k3 = (aes_ecb(key, bytes([i]) * 16) for i in (1, 2, 3))
    blocks = [data[i:i + 16] for i in range(0, len(data), 16)] or [b""]
    last = blocks.pop()
    mask = k2
    if len(last) < 16:
        last, mask = (last + b"\x80").ljust(16, b"\0"), k3
    e = bytes(16)
    for b in blocks:
        e = aes_ecb(k1, bytes(x ^ y for x, y in zip(b, e)))
    return aes_ecb(k1, bytes(x ^ y ^ z for x, y, z in zip(last, e, mask)))[:12]


def mac(digest, length):
    return lambda key, data: hmac.new(key, data, digest).digest()[:length]


# our name: (scapy's name, key length, ICV length, the MAC by hand)
AUTHS = {
    "HMAC_MD5": ("HMAC-MD5-96", 16, 12, mac("md5", 12)),
    "HMAC_SHA1": ("HMAC-SHA1-96", 20, 12, mac("sha1", 12)),
    "HMAC_SHA2_256_128": ("SHA2-256-128", 32, 16, mac("sha256", 16)),
    "HMAC_SHA2_384_192": ("SHA2-384-192", 48, 24, mac("sha384", 24)),
    "HMAC_SHA2_512_256": ("SHA2-512-256", 64, 32, mac("sha512", 32)),
    "AES128_XCBC_96": (None, 16, 12, xcbc),
    "NULL": ("NULL", 0, 0, None),
}
CIPHERS = {
    "CHACHA20_POLY1305": "CHACHA20-POLY1305", "AES_GCM": "AES-GCM", "AES_CBC": "AES-CBC", "3DES": "3DES", "DES": "DES", "NULL": "NULL",
}
SUITES = [
    ("esp", "AES_GCM", 20, "NULL"), ("esp", "AES_GCM", 28, "NULL"), ("esp", "AES_GCM", 36, "NULL"),
    ("esp", "CHACHA20_POLY1305", 36, "NULL"), ("esp", "AES_CBC", 16, "HMAC_SHA1"),
    ("esp", "AES_CBC", 32, "HMAC_SHA1"), ("esp", "AES_CBC", 16, "HMAC_SHA2_256_128"),
    ("esp", "AES_CBC", 32, "HMAC_SHA2_256_128"), ("esp", "AES_CBC", 32, "HMAC_SHA2_384_192"),
    ("esp", "AES_CBC", 32, "HMAC_SHA2_512_256"), ("esp", "AES_CBC", 16, "AES128_XCBC_96"),
    ("esp", "3DES", 24, "HMAC_SHA1"), ("esp", "DES", 8, "HMAC_MD5"), ("esp", "NULL", 0, "HMAC_SHA1"),
    ("esp", "NULL", 0, "HMAC_SHA2_256_128"), ("esp", "NULL", 0, "AES128_XCBC_96"),
    ("ah", "NULL", 0, "HMAC_MD5"), ("ah", "NULL", 0, "HMAC_SHA1"), ("ah", "NULL", 0, "HMAC_SHA2_256_128"),
    ("ah", "NULL", 0, "HMAC_SHA2_384_192"), ("ah", "NULL", 0, "HMAC_SHA2_512_256"),
]
SUITES_4308 = {  # RFC 4308 section 2
    "VPN-A": ("esp", "3DES", 24, "HMAC_SHA1"), "VPN-B": ("esp", "AES_CBC", 16, "AES128_XCBC_96"),
}
OUTER = {4: ("192.0.2.1", "192.0.2.2"), 6: ("2001:db8::1", "2001:db8::2")}
INNER = {4: ("10.1.0.1", "10.2.0.1"), 6: ("2001:db8:1::1", "2001:db8:2::1")}
SPI = 0x12345678
HIGH = 5  # of the extended sequence numbers


def key(n, seed):
    return hashlib.sha512(seed).digest()[:n]


def plain(family, size, plus=None):
    src, dst = INNER[family]
    if family == 4:
        ip = IP(src=src, dst=dst, tos=0xb8, id=0x4321, ttl=63, flags="DF", options=plus or [])
    else:
        ip = IPv6(src=src, dst=dst, tc=0xb8, fl=0x12345, hlim=63)
        if plus:
            ip = ip / plus
    return ip / UDP(sport=1000, dport=2000) / Raw(bytes(i & 255 for i in range(size)))


def parse(family, data):
    return IP(data) if family == 4 else IPv6(data)


class Case:
    def __init__(self, suite, mode, inner, outer, esn):
        self.proto, self.cipher, key_len, self.auth = suite
        self.mode, self.inner, self.outer, self.esn = mode, inner, outer, esn
        self.scapy_auth, auth_len, self.icv_len, self.mac = AUTHS[self.auth]
        self.key, self.auth_key = key(key_len, b"cipher"), key(auth_len, b"auth")
        self.last = (HIGH << 32) + 41 if esn else 41
        # by hand: the ICV that scapy gets wrong or does not know
        self.hand = self.proto == "esp" and self.mac and (esn or not self.scapy_auth)
        self.name = "%s %s-%d %s %s IPv%d%s%s" % (self.proto, self.cipher, 8 * key_len, self.auth, mode, inner,
            " in IPv%d" % outer if mode == "tunnel" else "", " ESN" if esn else "")

    def sa_line(self, backend):
        src, dst = OUTER[self.outer] if self.mode == "tunnel" else ("-", "-")
        return "sa %s %s %s %s %s %s %d %s %s %d %d %s 64" % (self.proto, self.mode, self.cipher, self.key.hex() or "-", self.auth,
            self.auth_key.hex() or "-", SPI, src, dst, self.esn, self.last, backend)

    def scapy(self):
        header = None
        if self.mode == "tunnel":
            src, dst = OUTER[self.outer]
            header = IP(src=src, dst=dst, ttl=61) if self.outer == 4 else IPv6(src=src, dst=dst, hlim=61)
        args = dict(spi=SPI, seq_num=42, tunnel_header=header, esn_en=self.esn, esn=HIGH if self.esn else 0)
        if self.proto == "esp":
            args.update(crypt_algo=CIPHERS[self.cipher], crypt_key=self.key or None)
        if not self.hand and self.mac:
            args.update(auth_algo=self.scapy_auth, auth_key=self.auth_key)
        return SecurityAssociation(ESP if self.proto == "esp" else AH, **args)

    def hand_icv(self, packet):
        """The ICV over an ESP packet without ICV."""
        esp = bytes(packet[ESP])
        return self.mac(self.auth_key, esp + (struct.pack("!I", HIGH) if self.esn else b""))

    def build(self, clear):
        packet = self.scapy().encrypt(clear)
        if not self.hand:
            return bytes(packet)
        packet[ESP].data = bytes(packet[ESP].data) + self.hand_icv(packet)
        return self.refit(packet)

    def refit(self, packet):
        top = packet.copy()
        if isinstance(top, IP):
            del top.len, top.chksum
        else:
            del top.plen
        return bytes(top)

    def open(self, data):
        family = self.outer if self.mode == "tunnel" else self.inner
        packet = parse(family, data)
        if self.hand:
            body = bytes(packet[ESP].data)
            packet[ESP].data = body[:-self.icv_len]
            if self.hand_icv(packet) != body[-self.icv_len:]:
                raise ValueError("ICV")
            packet = parse(family, self.refit(packet))
        return self.scapy().decrypt(packet, verify=not self.hand, esn_en=self.esn, esn=HIGH if self.esn else 0)


class UdpCase(Case):
    """The same in UDP (RFC 3948)."""
    def __init__(self, *args):
        super().__init__(*args)
        self.name += " in UDP"

    def sa_line(self, backend):
        return super().sa_line(backend) + " 4500"

    def scapy(self):
        sa = super().scapy()
        sa.nat_t_header = UDP(sport=4500, dport=4500)
        return sa

    def build(self, clear):
        """scapy counts the UDP header alone in its length."""
        data = super().build(clear)
        at = (data[0] & 15) * 4 + 4
        return data[:at] + struct.pack("!H", len(data) - at + 4) + data[at + 2:]


def run_case(tool, case, backend, size, plus=None):
    name = "%s, %s, %d bytes%s" % (case.name, backend, size, ", options" if plus else "")
    clear = plain(case.inner, size, plus)
    clear = parse(case.inner, bytes(clear))
    if not check(tool.ask(case.sa_line(backend)) == "ok", name + ": SA"):
        return
    try:
        built = case.build(clear)
    except Exception as e:
        check(False, "%s: scapy cannot build: %r" % (name, e))
        return
    opened = tool.packet("in", built)
    check(opened == bytes(clear), "%s: we open scapy's: %s" % (name, opened if isinstance(opened, str) else opened.hex()))
    check(tool.packet("in", built) == "drop ESP_REPLAY", name + ": a second time it is a replay")
    ours = tool.packet("out", bytes(clear))
    if not check(isinstance(ours, bytes), "%s: we build: %s" % (name, ours)):
        return
    try:
        seen = case.open(ours)
        check(bytes(seen) == bytes(clear), "%s: scapy opens ours: %s" % (name, bytes(seen).hex()))
    except Exception as e:
        check(False, "%s: scapy refuses ours: %r" % (name, e))


def all_cases(tool):
    for suite in SUITES:
        for esn in (False, True):
            for inner in (4, 6):
                cases = [Case(suite, "transport", inner, inner, esn)] + [Case(suite, "tunnel", inner, o, esn) for o in (4, 6)]
                for case in cases:
                    for backend in ("best", "openssl"):
                        for size in (0, 1, 13, 1300) if backend == "best" else (13,):
                            run_case(tool, case, backend, size)


def in_udp(tool):
    for suite in SUITES:
        for mode, inner, outer in (("transport", 4, 4), ("tunnel", 4, 4), ("tunnel", 6, 4)):
            for esn in (False, True):
                case = UdpCase(suite, mode, inner, outer, esn)
                if case.proto == "esp" and not case.hand:
                    for size in (0, 13, 1300):
                        run_case(tool, case, "best", size)


def shapes(suite):
    """Mode, inner and outer family, ESN, in UDP: all that there are for a suite."""
    for esn in (False, True):
        for inner in (4, 6):
            yield Case(suite, "transport", inner, inner, esn)
            for outer in (4, 6):
                yield Case(suite, "tunnel", inner, outer, esn)
            if suite[0] == "esp":
                case = UdpCase(suite, "tunnel", inner, 4, esn)
                if not case.hand:
                    yield case
        if suite[0] == "esp":
            case = UdpCase(suite, "transport", 4, 4, esn)
            if not case.hand:
                yield case


def matrix_sizes():
    """Of the UDP payload: everything to 300 bytes, what lies around blocks and pages, around 1500 and 9000 bytes of packet."""
    sizes = set(range(301))
    for middle in (512, 1024, 1400, 1472, 1500, 2048, 4096, 8192, 8952, 8972, 9000):
        sizes |= set(range(middle - 17, middle + 18, 1 if middle in (1472, 8972) else 5))
    return sorted(n for n in sizes if n <= 9000)


def matrix(tool, full):
    """Algorithm x mode x family x ESN x UDP x size. Without "full" each size meets each algorithm, in the next of its shapes:
    in a period as long as the number of shapes, so every shape meets sizes of every remainder of every block."""
    sizes = matrix_sizes()
    for at, suite in enumerate(SUITES):
        cases = list(shapes(suite))
        for n, size in enumerate(sizes):
            chosen = cases if full else [cases[(n * 7 + at) % len(cases)]]
            for case in chosen:
                run_case(tool, case, "openssl" if n % 16 == 5 else "best", size)
    for name, suite in SUITES_4308.items():
        check(suite in SUITES, name)


def mutable_fields(tool):
    """AH with options that change on the way and options that do not."""
    v4 = [IPOption_NOP(), IPOption_Router_Alert(), IPOption_Timestamp(timestamp=0x01020304)]
    v6 = IPv6ExtHdrHopByHop(options=[RouterAlert(), HBHOptUnknown(otype=0x3e, optdata=b"changes!"), PadN(optdata=b"\0\0")])
    for suite in SUITES:
        if suite[0] == "ah" or suite[1] == "AES_GCM":
            run_case(tool, Case(suite, "transport", 4, 4, False), "best", 100, v4)
            run_case(tool, Case(suite, "transport", 6, 6, False), "best", 100, v6)


def routers_touch_it(tool):
    """A hop limit lowered and a congestion mark set on the way do not break AH; the mark arrives."""
    for outer in (4, 6):
        case = Case(("ah", "NULL", 0, "HMAC_SHA2_256_128"), "tunnel", 4, outer, False)
        tool.ask(case.sa_line("best"))
        clear = plain(4, 50)
        clear[IP].tos = 0xb9  # ECT(1)
        packet = parse(outer, tool.packet("out", bytes(clear)))
        if outer == 4:
            packet.ttl -= 3
            packet.tos |= 3
            del packet.chksum
        else:
            packet.hlim -= 3
            packet.tc |= 3
        got = tool.packet("in", bytes(packet))
        clear[IP].tos = 0xbb
        check(got == bytes(clear), "AH in IPv%d: hop limit and ECN change on the way, CE is passed on" % outer)


def tfc(tool):
    """Traffic flow confidentiality: padding behind the inner packet is stripped, dummy packets are dropped."""
    case = Case(("esp", "NULL", 0, "HMAC_SHA1"), "tunnel", 4, 4, False)
    src, dst = OUTER[4]
    clear = bytes(plain(4, 20))

    def seal(payload, next_header, pad=None):
        pad = bytes(range(1, 1 + (-(len(payload) + 2)) % 4)) if pad is None else pad
        body = struct.pack("!II", SPI, 42) + payload + pad + bytes([len(pad), next_header])
        body += case.mac(case.auth_key, body)
        return bytes(IP(src=src, dst=dst, proto=50) / Raw(body))

    for payload, nh, pad, want, text in (
            (clear + bytes(100), 4, None, clear, "TFC padding is stripped"),
            (clear, 4, bytes(range(1, 255)), clear, "254 bytes of padding"),
            (bytes(20), 59, None, "drop ESP_DUMMY", "a dummy packet is dropped"),
            (clear, 4, b"\1\3", "drop ESP_PADDING", "padding of the wrong bytes"),
            (clear, 41, None, "drop ESP_INNER", "IPv4 that is said to be IPv6"),
            (clear, 17, None, "drop ESP_INNER", "a transport payload in a tunnel SA"),
            (clear[:30], 4, None, "drop ESP_INNER", "an inner packet that is cut"),
            (b"", 4, None, "drop ESP_INNER", "nothing inside")):
        tool.ask(case.sa_line("best"))
        if pad and (len(payload) + len(pad) + 2) % 4:
            pad = pad[:len(pad) - (len(payload) + len(pad) + 2) % 4]
        got = tool.packet("in", seal(payload, nh, pad))
        check(got == want, "%s: %s" % (text, got))


TSHARK_CIPHERS = {"AES_GCM": "AES-GCM with 16 octet ICV [RFC4106]", "AES_CBC": "AES-CBC [RFC3602]", "3DES": "TripleDES-CBC [RFC2451]", "NULL": "NULL"}
TSHARK_AUTHS = {"HMAC_SHA1": "HMAC-SHA-1-96 [RFC2404]", "HMAC_SHA2_256_128": "HMAC-SHA-256-128 [RFC4868]",
    "HMAC_SHA2_384_192": "HMAC-SHA-384-192 [RFC4868]", "HMAC_SHA2_512_256": "HMAC-SHA-512-256 [RFC4868]",
    "HMAC_MD5": "HMAC-MD5-96 [RFC2403]", "NULL": "NULL"}


def tshark(tool):
    """A capture with one packet of each suite, decrypted and checked by tshark."""
    cases = [Case(s, m, 4, o, False) for s in SUITES if s[0] == "esp" and s[1] in TSHARK_CIPHERS and s[3] in TSHARK_AUTHS
        for m, o in (("tunnel", 4), ("tunnel", 6), ("transport", 4))]
    uat, packets = [], []
    for n, case in enumerate(cases):
        spi = 0x1000 + n
        line = case.sa_line("best").replace(" %d " % SPI, " %d " % spi)
        tool.ask(line)
        packets.append(tool.packet("out", bytes(plain(4, 100 + n))))
        uat += ["-o", 'uat:esp_sa:"IPv%d","*","*","0x%08x","%s","%s","%s","%s"' % (case.outer, spi, TSHARK_CIPHERS[case.cipher],
            "0x" + case.key.hex() if case.key else "", TSHARK_AUTHS[case.auth], "0x" + case.auth_key.hex() if case.auth_key else "")]
    with tempfile.TemporaryDirectory() as home:
        path = os.path.join(home, "esp.pcap")
        with open(path, "wb") as f:
            f.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 101))
            for data in packets:
                f.write(struct.pack("<IIII", 0, 0, len(data), len(data)) + data)
        command = ["tshark", "-r", path, "-o", "esp.enable_encryption_decode:TRUE", "-o", "esp.enable_authentication_check:TRUE"]
        command += uat + ["-T", "fields", "-e", "esp.sequence", "-e", "udp.length", "-e", "esp.icv_good"]
        try:
            out = subprocess.run(command, capture_output=True, text=True, timeout=60, env=dict(os.environ, HOME=home))
        except FileNotFoundError:
            print("tshark is not installed: its part is left out")
            return
    lines = out.stdout.splitlines()
    if not check(len(lines) == len(cases), "tshark reads the capture: %s" % out.stderr[-600:]):
        return
    for n, (case, line) in enumerate(zip(cases, lines)):
        fields = (line + "\t\t").split("\t")
        check(fields[0] == "42" and fields[1] == str(108 + n), "tshark decrypts %s: %s" % (case.name, line))


def main():
    build = os.environ.get("RAVELIN_BUILD") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../build/debug")
    words = [a for a in sys.argv[1:] if a not in ("-v", "matrix", "full")]
    tool = Tool(words[0] if words else os.path.join(build, "tests/interop/esp_tool"))
    if "matrix" in sys.argv or "full" in sys.argv:
        matrix(tool, "full" in sys.argv)
    else:
        all_cases(tool)
        in_udp(tool)
        mutable_fields(tool)
        routers_touch_it(tool)
        tfc(tool)
        tshark(tool)
    check(tool.close() == 0, "esp_tool ends well")
    print("%s - scapy and tshark: %d checks passed, %d failed" % ("not ok" if failures else "ok", passes, failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
