#!/usr/bin/python3
"""ikeD and stack-core against libreswan's pluto, the second negotiator beside strongSwan's charon: each way to negotiate, both as
initiator and as responder, refusals that both can read, NAT traversal, dead peers, rekeying.

Here the kernel has no ESP: pluto's SAs are installed nowhere (tests/support/no_esp.c). That both sides hold the same keys is
shown with a packet of stack-core, caught on the wire and opened with the keys that pluto gave to its kernel, and with one made from those keys
that stack-core accepts."""
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import rv
from ikelab import Gateway, Wire
from pluto import Pluto, connection

ONLY = sys.argv[1:]  # names of parts, for who looks at one of them
GCM = "HowToEncrypt AES_GCM KeyLength 128\n  HowToAuth ESP NULL"
NO_PFS = {"pfs": "None", "pfs_ok": "None"}

# name, who initiates, what pluto's connection says, what our policy says, what pluto's status calls it
BOTH, WE, PLUTO = ("we", "pluto"), ("we",), ("pluto",)
WAYS = [
    ("main mode, PSK, AES-128, SHA2-256, group 14", BOTH, {}, NO_PFS, "AES_CBC_128-HMAC_SHA2_256-MODP2048", "AES_CBC_128-HMAC_SHA2_256_128"),
    ("AES-256, SHA2-384, P-256", WE, {"ike": "aes256-sha2_384;dh19", "esp": "aes256-sha2_512"},
     dict(NO_PFS, enc="AES_CBC KeyLength 256", hash="SHA2_384", group="Group19",
          data="HowToEncrypt AES_CBC KeyLength 256\n  HowToAuth ESP HMAC_SHA2_512_256"),
     "AES_CBC_256-HMAC_SHA2_384-DH19", "AES_CBC_256-HMAC_SHA2_512_256"),
    ("PFS, AES-256", PLUTO, {"pfs": "yes", "ike": "aes256-sha2_256;modp2048", "esp": "aes256-sha2_256;modp2048"},
     {"enc": "AES_CBC KeyLength 256", "data": "HowToEncrypt AES_CBC KeyLength 256\n  HowToAuth ESP HMAC_SHA2_256_128"},
     "AES_CBC_256-HMAC_SHA2_256-MODP2048", "AES_CBC_256-HMAC_SHA2_256_128"),
    ("AES-GCM", PLUTO, {"esp": "aes_gcm128-null"}, dict(NO_PFS, data=GCM), "AES_CBC_128-HMAC_SHA2_256-MODP2048", "AES_GCM_16_128"),
    ("3DES, SHA1, group 5", WE, {"ike": "3des-sha1;modp1536", "esp": "3des-sha1"},
     dict(NO_PFS, enc="3DES", hash="SHA1", group="Group5", data="HowToEncrypt 3DES\n  HowToAuth ESP HMAC_SHA1"),
     "3DES_CBC_192-HMAC_SHA1-MODP1536", "3DES_CBC_192-HMAC_SHA1_96"),
    ("several offers, the second is ours", PLUTO, {"ike": "aes256-sha2_512;modp4096,aes128-sha2_256;modp2048", "esp": "aes_gcm256-null,aes128-sha2_256"},
     NO_PFS, "AES_CBC_128-HMAC_SHA2_256-MODP2048", "AES_CBC_128-HMAC_SHA2_256_128"),
    ("aggressive mode, PSK", BOTH, {"extra": "aggressive=yes"}, dict(NO_PFS, initiate="Aggressive"), "AES_CBC_128-HMAC_SHA2_256-MODP2048",
     "AES_CBC_128-HMAC_SHA2_256_128"),
    ("main mode, RSA", BOTH, {"auth": "rsasig", "local_id": "@right.example.com", "remote_id": "@left.example.com"},
     dict(NO_PFS, peers="RsaSignature", local_id="Fqdn left.example.com", remote_id="Fqdn right.example.com"),
     "AES_CBC_128-HMAC_SHA2_256-MODP2048", "AES_CBC_128-HMAC_SHA2_256_128"),
    ("main mode, RSA, distinguished names", PLUTO, {"auth": "rsasig", "local_id": '"O=Example, CN=right"', "remote_id": '"O=Example, CN=left"'},
     dict(NO_PFS, peers="RsaSignature", local_id='X500dn "CN=left,O=Example"', remote_id='X500dn "CN=*,O=Example"'),
     "AES_CBC_128-HMAC_SHA2_256-MODP2048", "AES_CBC_128-HMAC_SHA2_256_128"),
]


def theirs(**given):
    return connection("192.0.2.2", "192.0.2.1", "10.2.0.0/24", "10.1.0.0/24", **given)


def wanted(name):
    return not ONLY or any(o in name for o in ONLY)


class Pair:
    def __init__(self):
        self.wire = Wire("rvlsw")
        self.ours = Gateway(1, self.wire.join("left", 1), rsa=True, conf="DeadPeerInterval 2\n  DeadPeerTimeout 6")
        self.right = self.wire.host("right", 2)
        self.peer = Pluto("right", self.right)
        self.peer.certificates(os.path.join(self.ours.root, "peer"))
        self.ours.policy(**NO_PFS)
        self.ours.start()

    def clear(self):
        """pluto is gone without a word, and we forget it."""
        self.peer.kill()
        self.ours.run("ipsec", "-y", "deactivate", "-a", "all", "-p", "LEFT")
        self.ours.run("ipsec", "-k", "deactivate", "-a", "all", "-e", "-p", "LEFT")
        rv.until(lambda: not self.ours.tunnels() and not self.ours.dynamic(), 10, 0.1)

    def agree(self, pluto=None, policy=None, psk="secret of both"):
        self.clear()
        self.ours.policy(**(policy or NO_PFS))
        p = self.ours.run("ikectl", "reload")
        if p.returncode:
            raise RuntimeError("reload: " + p.stdout + p.stderr)
        self.at = len(self.ours.log()), len(self.peer.log())
        self.peer.start(theirs(**(pluto or {})), psk)

    def said(self):
        """What both sides said since agree()."""
        return "--- ours\n%s\n--- pluto\n%s" % (self.ours.log()[self.at[0]:][-1500:], self.peer.log()[self.at[1]:][-2500:])

    def ours_says(self, what, seconds=12):
        return rv.until(lambda: re.search(what, self.ours.log()[self.at[0]:], re.I), seconds, 0.1)

    def peer_says(self, what, seconds=12):
        return rv.until(lambda: re.search(what, self.peer.log()[self.at[1]:], re.I), seconds, 0.1)

    def same_tunnel(self):
        """Both sides' reports name the same SPIs."""
        return rv.until(lambda: next((t for t in self.ours.dynamic() if t.get("state") == "DONE" and
                                      [(t.get("in_spi"), t.get("out_spi"))] == self.peer.tunnels()[:1]), None), 10, 0.2)


def association(installed, spi):
    """What scapy needs to open and to make packets of an SA that pluto gave to its kernel."""
    from scapy.layers.ipsec import ESP, SecurityAssociation
    sa = installed.get(spi, {})
    if "aead" in sa:
        return SecurityAssociation(ESP, spi=spi, crypt_algo="AES-GCM", crypt_key=sa["aead"][1])
    auth = {"sha1": "HMAC-SHA1-96", "hmac(sha256)": "SHA2-256-128", "hmac(sha512)": "SHA2-512-256"}
    name, key = sa.get("auth_trunc") or sa["auth"]
    return SecurityAssociation(ESP, spi=spi, crypt_algo={"aes": "AES-CBC", "des3_ede": "3DES"}[sa["crypt"][0].split("(")[-1].rstrip(")")],
                               crypt_key=sa["crypt"][1], auth_algo=auth[name], auth_key=key)


SEND = """import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
for packet in sys.argv[1:]:
    s.sendto(bytes.fromhex(packet), ("192.0.2.1", 0))
"""


def keys(pair, text, t):
    """Packets made of the keys that pluto negotiated pass stack-core, and stack-core's open with them."""
    from scapy.layers.inet import ICMP, IP
    from scapy.layers.ipsec import ESP
    from scapy.utils import rdpcap
    sas = pair.peer.installed()
    into, out = association(sas, t["in_spi"]), association(sas, t["out_spi"])
    caught = rv.path("caught.pcap")
    tcpdump = rv.Process(["tcpdump", "-U", "-i", "eth0", "-w", caught, "ip proto 50"], ns=pair.right, name="tcpdump").start()
    rv.until(lambda: "listening" in tcpdump.output(), 10, 0.05)
    packets = []
    for n in range(3):
        into.tunnel_header = IP(src="192.0.2.2", dst="192.0.2.1")
        p = into.encrypt(IP(src="10.2.0.1", dst="10.1.0.1") / ICMP(type=8, id=77, seq=n) / (b"pluto" * 9), seq_num=n + 1)
        packets.append(bytes(p).hex())
    rv.run("/usr/bin/python3", "-c", SEND, *packets, ns=pair.right)
    pair.ours.ping(1)
    time.sleep(0.3)
    tcpdump.stop()
    answers, asked = set(), 0
    for p in rdpcap(caught):
        if ESP in p and p[ESP].spi == t["out_spi"]:
            inner = out.decrypt(p[IP]).payload
            if ICMP in inner and inner[ICMP].type == 0 and inner[ICMP].id == 77 and b"pluto" in bytes(inner):
                answers.add(inner[ICMP].seq)
            asked += ICMP in inner and inner[ICMP].type == 8 and inner.src == "10.1.0.1" and inner.dst == "10.2.0.1"
    rv.check(text + ": a packet of ours opens with pluto's keys, three made with them pass and are answered", asked == 1 and
             answers == {0, 1, 2}, (asked, answers, sas))


def ways(pair):
    for name, sides, pluto, policy, ike, esp in WAYS:
        for who in sides:
            if not wanted(name):
                continue
            text = "%s, %s initiate%s" % (name, who, "" if who == "we" else "s")
            pair.agree(pluto, policy)
            said = pair.ours.activate() if who == "we" else pair.peer.initiate()
            t = pair.same_tunnel()
            rv.check(text + ": a tunnel with the same SPIs on both sides", t, (said, pair.ours.dynamic(), pair.peer.tunnels(), pair.said()))
            s = pair.peer.status()
            rv.check(text + ": pluto calls it what it is", "newest: " + ike in s and "newest: " + esp in s, re.findall("(?m)^.*newest.*$", s))
            k = (pair.ours.tunnels() or [{}])[0]
            rv.check(text + ": our report says the same", k.get("state") == "DONE" and bool(k.get("initiator")) == (who == "we") and
                     bool(k.get("aggressive")) == ("aggressive" in pluto.get("extra", "")) and
                     k.get("authentication") == ("RSA SIGNATURE" if pluto.get("auth") == "rsasig" else "PRESHARED KEY"), k)
            if t:
                keys(pair, text, t)


def announced(pair):
    """The vendor ids of either side are known by the other."""
    pair.agree({"extra": "dpddelay=2\n    dpdtimeout=8\n    dpdaction=clear"})
    pair.ours.activate()
    t = pair.same_tunnel()
    k = (pair.ours.tunnels() or [{}])[0]
    rv.check("announcements: we know that pluto does NAT traversal, dead peer detection and fragments", k.get("nat_t") and k.get("dpd") and
             k.get("fragmentation") and not k.get("nat_remote"), k)
    rv.check("announcements: pluto knows that we answer whether we live", t and pair.peer_says("DPD=active"), pair.said())
    time.sleep(3)
    rv.check("announcements: both ask for some seconds, and believe in each other", pair.ours.tunnels() and pair.same_tunnel(), pair.said())


def nat(pair):
    """pluto says that it is behind a NAT: port 4500, ESP in UDP."""
    for who in "we", "pluto":
        pair.agree({"extra": "encapsulation=yes"})
        said = pair.ours.activate() if who == "we" else pair.peer.initiate()
        t = pair.same_tunnel()
        k = (pair.ours.tunnels() or [{}])[0]
        rv.check("NAT, %s first: found by RFC 3947, both at port 4500, ESP in UDP" % who, t and t.get("udp") and k.get("nat_remote") and
                 k.get("remote_port") == 4500 and k.get("local_port") == 4500, (said, t, k, pair.said()))
        rv.check("NAT, %s first: pluto says so, too" % who, pair.peer_says(r"ESPinUDP=>0x"), pair.said())


def refused(pair, name, pluto, policy, ours, theirs_say, psk="secret of both", sides=BOTH):
    """Nothing comes up, and both logs say why."""
    for who in sides:
        text = "%s, %s first" % (name, who)
        pair.agree(pluto, policy, psk)
        said = pair.ours.activate() if who == "we" else pair.peer.initiate(3)
        rv.check(text + ": our log says why", pair.ours_says(ours), (said, pair.said()))
        rv.check(text + ": pluto's log says why", pair.peer_says(theirs_say), (said, pair.said()))
        rv.check(text + ": nothing comes up", not pair.peer.tunnels() and not [t for t in pair.ours.dynamic() if t.get("state") == "DONE"],
                 (pair.ours.dynamic(), pair.said()))


def refusals(pair):
    refused(pair, "wrong key", {}, None, r"negotiation failed|protocol error|decrypt|auth",
            r"malformed payload|mangled|PAYLOAD_MALFORMED|INVALID|retransmission", psk="another secret of theirs")
    refused(pair, "wrong identity", {"local_id": "@mallory.example.com"}, None, r"negotiation failed|identity|no KeyExchangeRule",
            r"INVALID_ID|AUTHENTICATION_FAILED|retransmission|no suitable connection|Peer ID", sides=PLUTO)
    refused(pair, "no proposal chosen in phase 1", {"ike": "aes256-sha2_512;modp4096"}, None, r"no proposal|NO-PROPOSAL|proposal",
            r"NO_PROPOSAL_CHOSEN|no acceptable Oakley")
    refused(pair, "no proposal chosen in phase 2", {"esp": "aes256-sha2_512"}, None, r"no proposal|NO-PROPOSAL|proposal",
            r"NO_PROPOSAL_CHOSEN|no acceptable Proposal")


def rekey(pair):
    pair.agree()
    pair.ours.activate()
    t = pair.same_tunnel()
    pair.ours.run("ipsec", "-y", "refresh", "-l", "net", "-p", "LEFT")
    new = rv.until(lambda: (lambda n: n and n["in_spi"] != t["in_spi"] and n)(pair.same_tunnel()), 10, 0.2)
    rv.check("rekey: we refresh the tunnel, both go on with the new one", t and new, (t, new, pair.said()))
    if new:
        keys(pair, "rekey", new)
    said = pair.peer.initiate()  # a second quick mode under the same phase 1
    newer = rv.until(lambda: (lambda n: n and new and n["in_spi"] != new["in_spi"] and n)(pair.same_tunnel()), 10, 0.2)
    rv.check("rekey: pluto makes a new one, both go on with it", newer, (said, pair.peer.tunnels(), pair.ours.dynamic()))
    before = {k["icookie"] for k in pair.ours.tunnels()}
    pair.ours.run("ipsec", "-k", "refresh", "-a", "all", "-p", "LEFT")
    rv.check("rekey: a new phase 1", rv.until(lambda: {k["icookie"] for k in pair.ours.tunnels() if k["state"] == "DONE"} - before, 10, 0.2),
             (pair.ours.tunnels(), pair.said()))


def delete(pair):
    pair.agree()
    pair.ours.activate()
    pair.same_tunnel()
    pair.ours.run("ipsec", "-y", "deactivate", "-a", "all", "-p", "LEFT")
    rv.check("delete: pluto hears that our tunnel is gone", rv.until(lambda: not pair.peer.tunnels(), 10, 0.2), pair.said())
    pair.ours.run("ipsec", "-k", "deactivate", "-a", "all", "-p", "LEFT")
    rv.check("delete: and that phase 1 is", rv.until(lambda: "IKE SA established" not in pair.peer.status(), 10, 0.2), pair.said())
    pair.ours.activate()
    rv.check("delete: up again", pair.same_tunnel(), pair.said())
    pair.peer.terminate()
    rv.check("delete: we hear that pluto's are gone", rv.until(lambda: not pair.ours.dynamic() and not pair.ours.tunnels() and
                                                            not pair.ours.in_stack(), 10, 0.2), (pair.ours.dynamic(), pair.said()))


def dead_peers(pair):
    pair.agree({"extra": "dpddelay=1\n    dpdtimeout=4\n    dpdaction=clear"})
    pair.ours.activate()
    rv.check("dead peers: the tunnel is up", pair.same_tunnel(), pair.said())
    ev = rv.Subscriber("ikeD", "ike.peer.")
    time.sleep(0.5)
    pair.peer.kill()
    rv.check("dead peers: we find pluto dead", ev.wait("ike.peer.dead", 30) is not None, pair.said())
    rv.check("dead peers: its tunnel is gone", rv.until(lambda: not pair.ours.dynamic() and not pair.ours.in_stack(), 10, 0.1), pair.said())
    ev.close()
    pair.agree({"extra": "dpddelay=1\n    dpdtimeout=4\n    dpdaction=clear"})
    pair.peer.initiate()
    rv.check("dead peers: up again", pair.same_tunnel(), pair.said())
    pair.ours.iked.kill()
    rv.check("dead peers: pluto finds us dead", rv.until(lambda: not pair.peer.tunnels(), 30, 0.2), pair.said())


def main():
    pair = Pair()
    ways(pair)
    for name, part in (("announced", announced), ("nat", nat), ("refusals", refusals), ("rekey", rekey), ("delete", delete),
                       ("dead peers", dead_peers)):
        if wanted(name):
            part(pair)
    rv.check("stack-core still runs, and ends in order", pair.ours.stack.stop() == 0)
    return rv.finish()


sys.exit(main())
