#!/usr/bin/python3
"""ikeD and stack-core against strongSwan's charon: first charon against charon, so that the peer is known to be good, then each way to
negotiate, both as initiator and as responder; rekeying under load, dead peers, refusals that both sides can read, NAT.

charon's ESP is kernel-libipsec, which speaks ESP in UDP on port 4500 alone: it pretends to be behind a NAT (encap = yes)."""
import os
import re
import shutil
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import rv
from charon import Charon, connection
from ikelab import Gateway, Wire

LEFT_NET, RIGHT_NET = "10.1.0.0/24", "10.2.0.0/24"
LIFE = "rekey_time = 3h\n        life_time = 4h"  # what our policy accepts: 120 to 480 minutes
ONLY = sys.argv[1:]  # names of parts, for who looks at one of them

# name, what charon's connection says, what our policy says
WAYS = [
    ("main mode, PSK, AES-CBC, PFS", {}, {}),
    ("aggressive mode, PSK", {"aggressive": True}, {"initiate": "Aggressive"}),
    ("AES-GCM, no PFS", {"esp": "aes128gcm16"},
     {"data": "HowToEncrypt AES_GCM KeyLength 128\n  HowToAuth ESP NULL", "pfs": "None", "pfs_ok": "None"}),
    ("AES-256, SHA2-384, P-256", {"proposals": "aes256-sha384-ecp256", "esp": "aes256gcm16-ecp256"},
     {"enc": "AES_CBC KeyLength 256", "hash": "SHA2_384", "group": "Group19", "pfs": "Group19", "pfs_ok": "Group19",
      "data": "HowToEncrypt AES_GCM KeyLength 256\n  HowToAuth ESP NULL"}),
    ("suite VPN-A: 3DES, SHA1, group 2", {"proposals": "3des-sha1-modp1024", "esp": "3des-sha1-modp1024"},
     {"enc": "3DES", "hash": "SHA1", "group": "Group2", "pfs": "Group2", "pfs_ok": "Group2",
      "data": "HowToEncrypt 3DES\n  HowToAuth ESP HMAC_SHA1"}),
    ("main mode, RSA", {"auth": "pubkey", "local_id": "right.example.com", "remote_id": "left.example.com"},
     {"peers": "RsaSignature", "local_id": "Fqdn left.example.com", "remote_id": "Fqdn right.example.com"}),
    ("main mode, RSA, distinguished names", {"auth": "pubkey", "local_id": "O=Example, CN=right", "remote_id": "O=Example, CN=left"},
     {"peers": "RsaSignature", "local_id": 'X500dn "CN=left,O=Example"', "remote_id": 'X500dn "CN=*,O=Example"'}),
]


def theirs(**given):
    return connection("192.0.2.2", "192.0.2.1", RIGHT_NET, LEFT_NET, child_extra=LIFE, **given)


def wanted(name):
    return not ONLY or any(o in name for o in ONLY)


def baseline(wire):
    """charon against charon in the same namespaces."""
    a = wire.host("known-a", 8)
    b = wire.host("known-b", 9)
    pa = Charon("known-a", a).start(connection("192.0.2.8", "192.0.2.9", "10.8.0.0/24", "10.9.0.0/24"))
    pb = Charon("known-b", b).start(connection("192.0.2.9", "192.0.2.8", "10.9.0.0/24", "10.8.0.0/24"))
    p = pa.initiate("net")
    ping = None

    def answered():  # the first packets may come before charon's TUN device has its routes
        nonlocal ping
        ping = rv.run("ping", "-n", "-c", "3", "-i", "0.2", "-W", "1", "-I", "10.8.0.1", "10.9.0.1", ns=a)
        return rv.ping_rate(ping.stdout)[1] == 3

    rv.until(answered, 10, 0.2)
    rv.check("charon against charon: the peer is known to be good", p.returncode == 0 and rv.ping_rate(ping.stdout)[1] == 3 and
             min(pa.counts()) >= 252, p.stdout[-500:] + p.stderr + ping.stdout)
    pa.stop()
    pb.stop()


class Pair:
    def __init__(self):
        self.wire = Wire("rvssw")
        self.ours = Gateway(1, self.wire.join("left", 1), rsa=True, conf="DeadPeerInterval 2\n  DeadPeerTimeout 8")
        self.right = self.wire.host("right", 2)
        self.peer = Charon("right", self.right)
        for name, where in (("ca.pem", "x509ca"), ("cert.pem", "x509"), ("key.pem", "private")):
            shutil.copy(os.path.join(self.ours.root, "peer", name), os.path.join(self.peer.dir, "swanctl", where, name))
        self.ours.policy()
        self.ours.start()
        self.peer.start(theirs())

    def clear(self):
        """No tunnel on either side."""
        self.ours.run("ipsec", "-y", "deactivate", "-a", "all", "-p", "LEFT")
        self.ours.run("ipsec", "-k", "deactivate", "-a", "all", "-e", "-p", "LEFT")
        self.peer.terminate()
        rv.until(lambda: not self.ours.tunnels() and not self.ours.dynamic() and "gw:" not in self.peer.sas(), 10, 0.1)

    def agree(self, charon=None, policy=None):
        self.clear()
        self.ours.policy(**(policy or {}))
        p = self.ours.run("ikectl", "reload")
        if p.returncode:
            raise RuntimeError("reload: " + p.stdout + p.stderr)
        self.peer.load(theirs(**(charon or {})))

    def mark(self):
        self.at = len(self.ours.log()), len(self.peer.log())
        return self

    def said(self):
        """What both sides said since mark()."""
        return "--- ours\n%s\n--- charon\n%s" % (self.ours.log()[self.at[0]:][-1500:], self.peer.log()[self.at[1]:][-1800:])


def passes(pair, text):
    """Traffic both ways, protected: both sides count it."""
    before = pair.peer.counts()
    there = pair.ours.ping(4)
    p = rv.run("ping", "-n", "-c", "3", "-i", "0.2", "-W", "1", "-s", "1000", "-I", "10.2.0.1", "10.1.0.1", ns=pair.right)
    after = pair.peer.counts()
    back = rv.ping_rate(p.stdout)[1]
    return rv.check(text + ": traffic passes both ways through the tunnel", there == 4 and back == 3 and
                    after[0] - before[0] >= 7 * 84 and after[1] - before[1] >= 7 * 84, (there, back, before, after, pair.said()))


def ways(pair):
    for name, charon, policy in WAYS:
        if not wanted(name):
            continue
        pair.agree(charon, policy)
        pair.mark()
        p = pair.ours.activate()
        rv.check(name + ": we initiate", p.returncode == 0 and pair.ours.up(5), p.stdout + p.stderr + pair.said())
        passes(pair, name + ", we initiated")
        t = (pair.ours.tunnels() or [{}])[0]
        rv.check(name + ": our report says the same", t.get("state") == "DONE" and bool(t.get("initiator")) and
                 bool(t.get("aggressive")) == bool(charon.get("aggressive")) and
                 t.get("authentication") == ("RSA SIGNATURE" if charon.get("auth") == "pubkey" else "PRESHARED KEY"), t)
        pair.clear()
        pair.mark()
        p = pair.peer.initiate("net")
        rv.check(name + ": charon initiates", p.returncode == 0 and pair.ours.up(5), p.stdout[-800:] + p.stderr + pair.said())
        passes(pair, name + ", charon initiated")


def on_demand(pair):
    pair.agree()
    pair.mark()
    got = pair.ours.ping(8, wait=1, interval="0.3")
    rv.check("on demand: the first packets raise the tunnel, the others pass", got >= 4, (got, pair.said()))


def rekey(pair):
    """Refreshed again and again from both sides while TCP runs: nothing fails."""
    pair.agree()
    pair.mark()
    rv.check("load: the tunnel is up", pair.ours.activate().returncode == 0, pair.said())
    server = rv.Process(["iperf3", "-s", "-1", "-B", "10.2.0.1"], ns=pair.right, name="iperf-server").start()
    time.sleep(0.5)
    client = rv.Process(["iperf3", "-c", "10.2.0.1", "-B", "10.1.0.1", "-t", "10", "-b", "30M", "--json"], ns=pair.ours.ns,
                        name="iperf-client").start()
    time.sleep(1)
    generations = set()
    for turn in range(5):
        if turn % 2:
            pair.peer.swanctl("--rekey", "--child", "net")
        else:
            pair.ours.run("ipsec", "-y", "refresh", "-l", "net", "-p", "LEFT")
        time.sleep(1.3)
        generations |= {(t.get("generation"), t.get("in_spi")) for t in pair.ours.dynamic() if t.get("state") == "DONE"}
    pair.ours.run("ipsec", "-k", "refresh", "-a", "all", "-p", "LEFT")
    rc = client.wait(30)
    text = client.output()
    m = re.search(r'"sum_received":\s*\{[^}]*"bytes":\s*(\d+)', text)
    rv.check("load: five refreshes under TCP, %d associations seen, the transfer does not fail" % len(generations),
             rc == 0 and m and int(m.group(1)) > 20e6 and len(generations) >= 4, (rc, text[-500:], generations, pair.said()))
    m = re.search(r'"sum_sent":\s*\{[^}]*"retransmits":\s*(\d+)', text)
    rv.check("load: few segments had to be sent again", m and int(m.group(1)) < 200, m and m.group(0))
    server.stop()
    passes(pair, "load, afterwards")


def delete(pair):
    pair.agree()
    pair.mark()
    pair.ours.activate()
    pair.ours.up()
    pair.ours.run("ipsec", "-y", "deactivate", "-a", "all", "-p", "LEFT")
    rv.check("delete: charon hears that our tunnel is gone", rv.until(lambda: "INSTALLED" not in pair.peer.sas(), 5, 0.1), pair.said())
    pair.ours.run("ipsec", "-k", "deactivate", "-a", "all", "-p", "LEFT")
    rv.check("delete: and that phase 1 is", rv.until(lambda: "ESTABLISHED" not in pair.peer.sas(), 5, 0.1), pair.peer.sas() + pair.said())
    pair.ours.activate()
    pair.ours.up()
    pair.peer.terminate()
    rv.check("delete: we hear that charon's are gone", rv.until(lambda: not pair.ours.dynamic() and not pair.ours.tunnels(), 5, 0.1) and
             rv.until(lambda: not pair.ours.in_stack(), 5, 0.1), (pair.ours.dynamic(), pair.ours.tunnels(), pair.said()))


def refused(pair, name, charon, policy, ours, theirs_say):
    """Each side initiates; none comes up, and both logs say why."""
    for who in "us", "charon":
        pair.agree(charon, policy)
        pair.mark()
        p = pair.ours.activate() if who == "us" else pair.peer.initiate("net", 4)
        text = p.stdout + p.stderr
        log = rv.until(lambda: pair.ours.log()[pair.at[0]:] if re.search(ours, pair.ours.log()[pair.at[0]:], re.I) else None, 12, 0.2)
        rv.check("%s, initiated by %s: nothing comes up" % (name, who), p.returncode != 0 and
                 not [t for t in pair.ours.dynamic() if t.get("state") == "DONE"], text[-300:] + pair.said())
        rv.check("%s, initiated by %s: our log says why" % (name, who), log, pair.said())
        rv.check("%s, initiated by %s: charon's log says why" % (name, who),
                 rv.until(lambda: re.search(theirs_say, pair.peer.log()[pair.at[1]:], re.I), 12, 0.2), pair.said())


def refusals(pair):
    refused(pair, "wrong key", {"psk": "another secret"}, {}, r"negotiation failed|protocol error|decrypt|auth",
            r"payload|integrity|AUTHENTICATION_FAILED|could not decrypt|parsing failed|INVALID|peer not responding|retransmit")
    refused(pair, "wrong identity", {"local_id": "mallory.example.com"}, {}, r"negotiation failed|identity|no KeyExchangeRule",
            r"AUTHENTICATION_FAILED|INVALID_ID|IDir|no matching|INVALID|DELETE|peer not responding|retransmit|no shared key|does not match")
    refused(pair, "no proposal chosen in phase 1", {"proposals": "aes256-sha512-modp4096"}, {}, r"no proposal|NO-PROPOSAL|proposal",
            r"NO_PROPOSAL_CHOSEN|NO_PROP|no proposal")
    refused(pair, "no proposal chosen in phase 2", {"esp": "aes256-sha512-modp4096"}, {}, r"no proposal|NO-PROPOSAL|proposal",
            r"NO_PROPOSAL_CHOSEN|NO_PROP|no proposal|no matching proposal")


def dead_peer(pair):
    pair.agree()
    pair.mark()
    pair.ours.activate()
    rv.check("dead peer: the tunnel is up", pair.ours.up(), pair.said())
    ev = rv.Subscriber("ikeD", "ike.peer.")
    time.sleep(0.5)
    pair.peer.kill()
    start = time.monotonic()
    e = ev.wait("ike.peer.dead", 25)
    rv.check("dead peer: found within its time (%.1f s)" % (time.monotonic() - start), e is not None, pair.said())
    rv.check("dead peer: its tunnels are gone", rv.until(lambda: not pair.ours.dynamic() and not pair.ours.in_stack(), 5, 0.1), pair.said())
    ev.close()
    pair.peer = Charon("again", pair.right).start(theirs())
    got = pair.ours.ping(8, interval="0.3")
    rv.check("dead peer: when it is back, a packet raises the tunnel anew", got >= 4, (got, pair.said()))


def behind_nat(pair):
    """Another charon behind a NAT of nftables: its ports are changed, and it asks."""
    net = pair.wire.net
    nat, inner = pair.wire.join("nat", 7), net.ns("inner")
    net.addr(nat, "eth0", "192.0.2.7/24")
    net.veth(nat, "in0", inner, "eth0", offloads=False)
    net.addr(nat, "in0", "172.16.7.1/24")
    net.addr(inner, "eth0", "172.16.7.2/24")
    net.route(inner, "default", "172.16.7.1")
    net.bridge(inner, "d0")
    net.addr(inner, "d0", "10.2.0.1/24")
    rv.must("sysctl", "-qw", "net.ipv4.ip_forward=1", ns=nat)
    for rule in ("add table ip nat", "add chain ip nat post { type nat hook postrouting priority 100 ; }",
                 "add rule ip nat post oifname eth0 ip protocol udp masquerade to :20000-30000"):
        rv.must("nft", rule, ns=nat)
    pair.peer.stop()
    pair.agree_ours = pair.ours.policy(remote="192.0.2.7", remote_id="IpAddr 172.16.7.2", keepalive="2")
    pair.ours.run("ikectl", "reload")
    pair.ours.stack.reload()
    peer = Charon("inner", inner).start(connection("172.16.7.2", "192.0.2.1", RIGHT_NET, LEFT_NET, encap=False, child_extra=LIFE))
    pair.at = len(pair.ours.log()), 0
    p = peer.initiate("net")
    rv.check("NAT: a peer behind it negotiates", p.returncode == 0 and pair.ours.up(5), p.stdout[-800:] + p.stderr + pair.ours.log()[-1500:])
    t = (pair.ours.tunnels() or [{}])[0]
    rv.check("NAT: it is found, and its port", t.get("nat_t") and t.get("nat_remote") and t.get("remote_port", 0) >= 20000, t)
    there = pair.ours.ping(4)
    back = rv.ping_rate(rv.run("ping", "-n", "-c", "3", "-i", "0.2", "-W", "1", "-I", "10.2.0.1", "10.1.0.1", ns=inner).stdout)[1]
    rv.check("NAT: traffic passes both ways", there == 4 and back == 3, (there, back, pair.ours.log()[-800:]))
    p = pair.ours.run("ipsec", "-o", "-p", "LEFT")
    rv.check("NAT: ipsec -o shows the port", "192.0.2.7" in p.stdout and str(t.get("remote_port")) in p.stdout, p.stdout + p.stderr)
    peer.stop()


def main():
    parts = [("on demand", on_demand), ("rekey", rekey), ("delete", delete), ("refusals", refusals), ("dead peer", dead_peer), ("nat", behind_nat)]
    pair = Pair()
    if not ONLY:
        baseline(pair.wire)
        pair.ours.use()
    ways(pair)
    for name, part in parts:
        if wanted(name):
            part(pair)
    rv.check("ikeD still runs", pair.ours.iked.running() and pair.ours.stack.running(), pair.ours.log()[-1000:])
    rv.check("and ends in order", pair.ours.iked.stop() == 0, pair.ours.log()[-1000:])
    return rv.finish()


sys.exit(main())
