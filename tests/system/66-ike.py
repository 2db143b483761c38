#!/usr/bin/python3
"""ikeD against ikeD from policy files, and everything an operator does with it: commands and who may give them, reload, on demand,
auto-activation, kill -9 of ikeD, of stack-core and of the peer, events, audit records."""
import json
import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import rv
from ikelab import Gateway, Wire

ONLY = sys.argv[1:]
CONF = "DeadPeerInterval 2\n  DeadPeerTimeout 8"


class Pair:
    def __init__(self):
        self.wire = Wire("rvike")
        self.left = Gateway(1, self.wire.join("left", 1), peer=2, conf=CONF).policy()
        self.right = Gateway(2, self.wire.join("right", 2), peer=1, conf=CONF).policy()
        self.left.start()
        self.right.start()

    def clear(self):
        for g in self.left, self.right:
            g.run("ipsec", "-k", "deactivate", "-a", "all", "-e", "-p", g.name)
            g.run("ipsec", "-y", "deactivate", "-a", "all", "-p", g.name)
        rv.until(lambda: not self.left.dynamic() and not self.right.dynamic() and not self.left.tunnels(), 10, 0.1)

    def agree(self, left=None, right=None):
        self.clear()
        self.left.policy(**(left or {}))
        self.right.policy(**(right if right is not None else left or {}))
        for g in self.left, self.right:
            p = g.run("ikectl", "reload")
            if p.returncode:
                raise RuntimeError("reload: " + p.stdout + p.stderr)
        self.mark()

    def mark(self):
        self.at = len(self.left.log()), len(self.right.log())

    def said(self):
        return "--- LEFT\n%s\n--- RIGHT\n%s" % (self.left.log()[self.at[0]:][-1600:], self.right.log()[self.at[1]:][-1600:])

    def up(self):
        self.mark()
        p = self.left.activate()
        ok = p.returncode == 0 and self.left.up(5) and self.right.up(5)
        return ok or rv.check("the tunnel comes up", False, p.stdout + p.stderr + self.said())


def wanted(name):
    return not ONLY or any(o in name for o in ONLY)


def negotiated(p):
    ways = [("main mode, CBC", {}),
            ("aggressive mode", {"initiate": "Aggressive", "group": "Group19"}),
            ("GCM, P-384, no PFS", {"group": "Group20", "hash": "SHA2_384", "pfs": "None", "pfs_ok": "None",
                                    "data": "HowToEncrypt AES_GCM KeyLength 256\n  HowToAuth ESP NULL"}),
            ("AH over ESP", {"data": "HowToEncrypt AES_CBC KeyLength 128\n  HowToAuth AH HMAC_SHA1"}),
            ("AH", {"data": "HowToEncrypt DoNot\n  HowToAuth AH HMAC_SHA2_256_128"}),
            ("3DES and SHA1", {"enc": "3DES", "hash": "SHA1", "group": "Group2", "pfs": "Group2", "pfs_ok": "Group2",
                               "data": "HowToEncrypt 3DES\n  HowToAuth ESP HMAC_SHA1"})]
    for name, policy in ways:
        p.agree(policy)
        a = p.left.activate()
        rv.check(name + ": the command waits for the tunnel", a.returncode == 0 and re.search(r"Tunnel Y\d+: DONE", a.stdout), a.stdout + a.stderr + p.said())
        there = p.left.ping(4)
        back = p.right.ping(4)
        rv.check(name + ": traffic passes both ways", there == 4 and back == 4, (there, back, p.said()))
        rows = [t for t in p.left.in_stack() if t.get("state") == "Active"]
        rv.check(name + ": the stack counts it", rows and rows[0].get("out_packets", 0) >= 8 and rows[0].get("in_packets", 0) >= 8, rows)


def both_protocols(p):
    """AH over ESP: what is shown, a renewal and a restart of ikeD under traffic, and that each end's delete takes both."""
    p.agree({"data": "HowToEncrypt AES_GCM KeyLength 128\n  HowToAuth AH HMAC_SHA2_256_128"})
    p.up()
    out = p.left.run("ipsec", "-y", "display", "-p", "LEFT").stdout
    spis = {n: re.search(r"%sSpi: +(0x[0-9A-F]{8})" % n, out) for n in ("AuthInbound", "AuthOutbound", "EncryptInbound", "EncryptOutbound")}
    rv.check("both protocols: ipsec -y shows four SPIs", all(spis.values()) and len({m[1] for m in spis.values()}) == 4 and
             re.search(r"HowToAuth: +AH\n", out) and re.search(r"HowToEncrypt: +AES-GCM", out), out)
    other = p.right.run("ipsec", "-y", "display", "-p", "RIGHT").stdout
    rv.check("both protocols: what one sends by the other receives by", all(spis.values()) and
             re.search("AuthInboundSpi: +" + spis["AuthOutbound"][1], other) and re.search("EncryptInboundSpi: +" + spis["EncryptOutbound"][1], other), other)
    y = p.left.up(1) or {}
    q = p.left.run("ipsec", "-y", "refresh", "-a", y.get("tunnel_id", "Y0"), "-p", "LEFT")
    fresh = rv.until(lambda: next((t for t in p.left.dynamic() if t.get("state") == "DONE" and t.get("in_ah_spi") != y.get("in_ah_spi")), None), 8, 0.1)
    rv.check("both protocols: renewed, with other SPIs for both", fresh and fresh.get("in_ah_spi") and fresh["in_spi"] != y["in_spi"] and
             p.left.ping(4) == 4 and p.right.ping(4) == 4, (q.stderr, fresh, p.said()))
    p.left.iked.kill()
    p.left.start_iked().wait_ready()
    again = rv.until(lambda: [d for d in p.left.dynamic() if d.get("ipsec_protocol") == "AH+ESP" and d.get("in_ah_spi")], 8, 0.1)
    rv.check("both protocols: ikeD killed: the new one owns both", again and p.left.ping(3) == 3, (again, p.said()))
    rv.until(lambda: [t for t in p.left.tunnels() if t.get("state") == "DONE"], 15, 0.2)
    p.right.run("ipsec", "-y", "deactivate", "-a", "all", "-p", "RIGHT")
    rv.check("both protocols: a delete at one end takes both at the other", rv.until(lambda: not p.left.dynamic() and not p.left.in_stack(), 8, 0.1),
             (p.left.dynamic(), p.left.in_stack(), p.said()))


def on_demand(p):
    p.agree()
    got = p.left.ping(8, interval="0.3")
    rv.check("on demand: the first packets raise the tunnel", got >= 5 and p.left.up(1), (got, p.said()))
    p.agree({"on_demand": "No"}, {})
    p.left.stack.reload()
    time.sleep(0.5)
    got = p.left.ping(3, interval="0.3")
    rv.check("on demand: not where the policy does not allow it", got == 0 and not p.left.dynamic(), (got, p.left.dynamic()))
    p.left.policy()
    p.left.stack.reload()
    p.agree()


def automatic(p):
    p.right.use()
    p.right.iked.stop()
    p.agree_left = p.left.policy(auto="Yes")
    p.mark()
    p.left.run("ikectl", "reload")
    time.sleep(4)
    rv.check("auto-activation: without a peer there is no tunnel", not [t for t in p.left.dynamic() if t.get("state") == "DONE"], p.left.dynamic())
    p.right.start_iked().wait_ready()
    rv.check("auto-activation: it is tried until the peer is there", p.left.up(40), p.said())
    p.left.run("ipsec", "-y", "deactivate", "-l", "net", "-p", "LEFT")
    rv.check("auto-activation: and again when the tunnel went", rv.until(lambda: p.left.up(1) and p.left.ping(2) == 2, 30, 0.3), p.said())
    p.agree()


def commands(p):
    p.agree()
    p.up()
    k, y = (p.left.tunnels() or [{}])[0], p.left.up(1) or {}
    out = p.left.run("ipsec", "-k", "display", "-p", "LEFT").stdout
    fields = re.findall(r"(?m)^(\w+):\s", out)
    rv.check("ipsec -k: heading", re.match(r"CS V1R10 ipsec  Stack Name: LEFT  .*\nPrimary:  IKE tunnel +Function: Display +Format:   Detail\n"
                                           r"Source:   IKED +Scope:    Current +TotAvail: 1\n", out), out)
    order = "TunnelID Generation IKEVersion KeyExchangeRuleName KeyExchangeActionName LocalEndpoint LocalIDType LocalID RemoteEndpoint RemoteIDType " \
            "RemoteID ExchangeMode State AuthenticationAlgorithm EncryptionAlgorithm KeyLength PseudoRandomFunction DiffieHellmanGroup " \
            "AuthenticationMethod InitiatorCookie ResponderCookie Lifesize CurrentByteCount Lifetime LifetimeRefresh LifetimeExpires Role " \
            "AssociatedDynamicTunnels NATTSupportLevel NATInFrntLclScEndPt NATInFrntRmtScEndPt zOSCanInitiateP1SA AllowNat RmtNAPTDetected " \
            "RmtUdpEncapPort"
    rv.check("ipsec -k: the fields of z/OS in their order", fields[2:] == order.split() or " ".join(order.split()) in " ".join(fields), fields)
    rv.check("ipsec -k: what was agreed", re.search(r"State: +DONE", out) and re.search(r"EncryptionAlgorithm: +AES-CBC", out) and
             re.search(r"DiffieHellmanGroup: +14", out) and re.search(r"Role: +Initiator", out) and re.search(r"RemoteID: +192.0.2.2", out), out)
    out = p.left.run("ipsec", "-k", "display", "-e", "-p", "LEFT").stdout
    rv.check("ipsec -k -e: with its dynamic tunnels", "Display (cascade)" in out and
             re.findall(r"AssociatedTunnelID: +(\S+)", out) == [y.get("tunnel_id")], out)
    out = p.left.run("ipsec", "-k", "display", "-e", "--json", "-p", "LEFT").stdout
    nested = [t for t in json.loads(out or "[]") if t.get("tunnel_id") == k.get("tunnel_id")]
    rv.check("ipsec -k -e --json: its dynamic tunnels below it", len(nested) == 1 and
             [t["tunnel_id"] for t in nested[0]["dynamic_tunnels"]] == [y.get("tunnel_id")], out)
    out = p.left.run("ipsec", "-k", "display", "--json", "-p", "LEFT").stdout
    rv.check("and none without -e", json.loads(out or "[]") and "dynamic_tunnels" not in out, out)
    out = p.left.run("ipsec", "-y", "display", "-p", "LEFT").stdout
    rv.check("ipsec -y: no router has told of a path MTU", re.search(r"PathMTU: +n/a", out), out)
    rv.check("ipsec -y: the stack's view counts packets", "Source:   Stack" in out and re.search(r"(?m)^OutboundPackets: +\d", out) and
             re.search(r"LocalAddressBase: +10.1.0.0", out) and re.search(r"ParentIKETunnelID: +%s" % k.get("tunnel_id"), out), out)
    out = p.left.run("ipsec", "-y", "display", "-b", "-a", y.get("tunnel_id", "Y0"), "-p", "LEFT").stdout
    rv.check("ipsec -y -b: IKED's view", "Source:   IKED" in out and "1 entries selected" in out and "OutboundPackets" not in out, out)
    q = p.left.run("ipsec", "-y", "refresh", "-a", y.get("tunnel_id", "Y0"), "-p", "LEFT")
    fresh = rv.until(lambda: next((t for t in p.left.dynamic() if t.get("state") == "DONE" and t.get("in_spi") != y.get("in_spi")), None), 8, 0.1)
    rv.check("ipsec -y refresh: another generation", q.returncode == 0 and fresh and fresh["generation"] > y.get("generation", 0), (q.stderr, fresh, p.said()))
    cookies = k.get("icookie")
    q = p.left.run("ipsec", "-k", "refresh", "-a", k.get("tunnel_id", "K0"), "-p", "LEFT")
    rv.check("ipsec -k refresh: other cookies", q.returncode == 0 and
             rv.until(lambda: [t for t in p.left.tunnels() if t.get("state") == "DONE" and t.get("icookie") != cookies], 8, 0.1), p.said())
    rv.check("traffic goes on", p.left.ping(3) == 3, p.said())
    q = p.left.run("ikectl", "show", (p.left.tunnels() or [{}])[0].get("tunnel_id", "K0"))
    rv.check("ikectl show", q.returncode == 0 and '"rule":"gw"' in q.stdout, q.stdout + q.stderr)
    for words, status, why in ((("-y", "deactivate", "-a", "Y999"), 1, "no tunnel Y999"), (("-y", "activate", "-l", "none"), 1, "no LocalDynVpnRule none"),
                               (("-k", "refresh", "-a", "Y1"), 2, "K and a number"), (("-w",), 2, "Network Security Services"),
                               (("-y", "display", "-p", "OTHER"), 3, "")):
        q = p.left.run("ipsec", *words)
        rv.check("ipsec %s is refused: %s" % (" ".join(words), why or "no profile"), q.returncode == status and why in q.stderr, "%d %s" % (q.returncode, q.stderr))
    q = p.left.run("ipsec", "-k", "deactivate", "-a", "all", "-e", "-p", "LEFT")
    rv.check("ipsec -k deactivate -e: all is gone on both sides", q.returncode == 0 and
             rv.until(lambda: not p.left.tunnels() and not p.left.dynamic() and not p.right.dynamic() and not p.right.in_stack(), 8, 0.1), p.said())


def authority(p):
    p.agree()
    p.up()
    p.left.use()
    for words in ("ipsec -k display", "ipsec -y display", "ipsec -y display -b", "ipsec -o", "ipsec -k deactivate -a all", "ipsec -y refresh -a all",
                  "ipsec -y activate -l net", "ikectl list", "ikectl stacks", "ikectl reload"):
        words = words.split()
        q = p.left.run(*words, *(["-p", "LEFT"] if words[0] == "ipsec" else []), uid=rv.MALLORY_UID)
        rv.check("%s is refused to who may not" % " ".join(words), q.returncode == 3 and "ICH408I" in q.stderr, "%d %s" % (q.returncode, q.stderr))
    rv.permit("EZB.IPSECCMD.{sysname}.LEFT.DISPLAY", "ALICE")
    q = p.left.run("ipsec", "-k", "display", "-p", "LEFT", uid=rv.ALICE_UID)
    rv.check("DISPLAY lets one look", q.returncode == 0 and "1 entries selected" in q.stdout, q.stdout + q.stderr)
    q = p.left.run("ipsec", "-k", "deactivate", "-a", "all", "-p", "LEFT", uid=rv.ALICE_UID)
    rv.check("and not touch", q.returncode == 3 and p.left.dynamic(), "%d %s" % (q.returncode, q.stderr))
    q = rv.run("busmon", "--json", "ike.", uid=rv.MALLORY_UID, timeout=3)
    rv.check("events are not for everyone", "ike.sa" not in q.stdout, q.stdout)
    code, text, _ = rv.Client("stack-core@LEFT").call("stack.DynamicTunnels", rv.protos().stack.DynamicTunnelsRequest(), rv.protos().stack.DynamicTunnelsReply)
    rv.check("what the stack keeps for ikeD is ikeD's alone", code == 3, (code, text))


def reload(p):
    p.agree()
    p.up()
    before = p.left.up(1)
    p.left.policy(rules="  # nothing new\n")
    q = p.left.run("ikectl", "reload")
    rv.check("reload: a tunnel that the policy still allows stays", q.returncode == 0 and p.left.up(1) and
             p.left.up(1)["in_spi"] == before["in_spi"] and p.left.ping(3) == 3, q.stderr + p.said())
    rv.write("ike/LEFT.policy", "IpFilterPolicy { Nonsense }\n")
    q = p.left.run("ikectl", "reload")
    rv.check("reload: a bad policy is told with its line, and changes nothing", q.returncode == 1 and "LEFT.policy:1:" in q.stderr and
             p.left.ping(2) == 2, q.stdout + q.stderr)
    p.left.policy(key="another secret")
    q = p.left.run("ikectl", "reload")
    p.left.run("ipsec", "-k", "deactivate", "-a", "all", "-e", "-p", "LEFT")
    q = p.left.activate()
    rv.check("reload: another key is in force, and does not fit", q.returncode == 1 and not p.left.ping(1), q.stdout + q.stderr + p.said())
    rv.check("and the command says that it failed", re.search(r"Y\d+|negotiat|retransmi|respon", q.stderr, re.I), q.stderr)
    p.agree()


class Traffic:
    """Pings ten times a second; afterwards it is known how many got through."""

    def __init__(self, gateway):
        self.p = rv.Process(["ping", "-n", "-i", "0.1", "-W", "1", "-I", "10.%d.0.1" % gateway.me, "10.%d.0.1" % gateway.peer], ns=gateway.ns,
                            name="traffic").start()

    def end(self):
        self.p.signal(signal.SIGINT)
        self.p.wait(5)
        return rv.ping_rate(self.p.output())


def iked_killed(p):
    p.agree()
    p.up()
    before = p.left.up(1)
    p.left.use()
    t = Traffic(p.left)
    time.sleep(1)
    p.left.iked.kill()
    time.sleep(2)
    p.left.start_iked().wait_ready()
    rv.check("ikeD killed: the new one owns the tunnel", rv.until(lambda: [d for d in p.left.dynamic() if d.get("in_spi") == before["in_spi"]], 8, 0.1) and
             p.left.stat("ike_resumed_total") == 1, p.left.dynamic())
    time.sleep(1)
    sent, got = t.end()
    rv.check("ikeD killed: %d of %d packets passed meanwhile" % (got, sent), sent > 20 and got >= sent - 1, p.said())
    p.left.run("ipsec", "-y", "refresh", "-a", before["tunnel_id"], "-p", "LEFT")
    fresh = rv.until(lambda: next((d for d in p.left.dynamic() if d.get("state") == "DONE" and d.get("in_spi") != before["in_spi"]), None), 12, 0.1)
    rv.check("ikeD killed: the new one can refresh it", fresh and p.left.ping(3) == 3, (p.left.dynamic(), p.said()))
    p.left.run("ipsec", "-y", "deactivate", "-a", "all", "-p", "LEFT")
    rv.check("ikeD killed: and end it, which the peer hears", rv.until(lambda: not p.right.dynamic(), 8, 0.1), p.right.dynamic())


def stack_killed(p):
    p.agree()
    p.up()
    ev = rv.Subscriber("ikeD", "ike.stack.") if p.left.use() else None
    time.sleep(0.3)
    p.left.stack.kill()
    p.left.start_stack()
    e = ev.wait("ike.stack.ready", 15)
    n = rv.protos().ike.StackEvent.FromString(e[2]).renegotiated if e else None
    rv.check("stack-core killed: ikeD notices and negotiates its tunnel anew", n == 1, n)
    ok = rv.until(lambda: p.left.ping(2) == 2, 15, 0.2)
    rv.check("stack-core killed: traffic passes again", ok, p.said())
    ev.close()


def peer_killed(p):
    p.agree()
    p.up()
    p.left.use()
    ev = rv.Subscriber("ikeD", "ike.peer.", "ike.sa.")
    time.sleep(0.3)
    p.right.use()
    p.right.iked.kill()
    p.right.stack.kill()
    start = time.monotonic()
    p.left.use()
    e = ev.wait("ike.peer.dead", 25)
    rv.check("peer killed: found dead within its time (%.1f s)" % (time.monotonic() - start), e is not None, p.said())
    rv.check("peer killed: its tunnels are gone", rv.until(lambda: not p.left.dynamic() and not p.left.in_stack(), 5, 0.1), p.left.dynamic())
    p.right.start()
    got = p.left.ping(10, interval="0.3")
    rv.check("peer killed: when it is back, packets raise the tunnel", got >= 5, (got, p.said()))
    p.right.use()
    p.right.iked.kill()
    p.right.stack.kill()
    p.right.start()
    ok = rv.until(lambda: p.right.ping(2) == 2, 30, 0.2)
    rv.check("peer killed: it may also be the one that starts again (initial contact)", ok, p.said())
    ev.close()


def events_and_audit(p):
    p.agree()
    p.left.use()
    ev = rv.Subscriber("ikeD", "ike.sa.")  # not "ike.": heartbeats never end
    time.sleep(0.5)
    counts = {s: len(p.left.audit(s)) for s in (73, 74, 75, 76)}
    p.up()
    p.left.run("ipsec", "-k", "deactivate", "-a", "all", "-e", "-p", "LEFT")
    seen = []
    while True:
        e = ev.next(2)
        if e is None:
            break
        if e[0].startswith("ike.sa."):
            m = rv.protos().ike.SaEvent.FromString(e[2])
            seen.append((e[0], m.phase, m.stack))
    rv.check("events: both phases come up and go down", all((t, n, "LEFT") in seen for t in ("ike.sa.up", "ike.sa.down") for n in (1, 2)), seen)
    now = {s: p.left.audit(s) for s in counts}
    rv.check("audit: records 73 to 76", all(len(now[s]) > counts[s] for s in counts), {s: len(now[s]) - counts[s] for s in counts})
    last = now[73][-1] if now[73] else {}
    rv.check("audit: 73 says who, how and what", last.get("remote_id") == "192.0.2.2" and last.get("encryption") == "AES-CBC" and
             last.get("exchange_mode") == "Main" and last.get("stack") == "LEFT", last)
    last = now[75][-1] if now[75] else {}
    rv.check("audit: 75 says what is protected", last.get("remote_addresses") == "10.2.0.0/24" and last.get("filter_rule") == "nets", last)
    text = open(os.path.join(p.left.root, "var/log/ravelin/ikeD.audit")).read() + p.left.log()
    rv.check("no key in log or audit", "secret of both" not in text, "")
    q = p.left.run("auditctl", "verify", os.path.join(p.left.root, "var/log/ravelin/ikeD.audit"))
    rv.check("audit: the chain holds", q.returncode == 0, q.stdout + q.stderr)
    ev.close()
    p.left.policy(key="another secret")
    p.left.run("ikectl", "reload")
    p.left.use()
    ev = rv.Subscriber("ikeD", "ike.sa.failed", "ike.protocol.")
    time.sleep(0.3)
    p.left.activate()
    rv.check("events: a negotiation that fails is told", ev.next(20) is not None, p.said())
    ev.close()
    p.agree()


PARTS = [("negotiated", negotiated), ("on demand", on_demand), ("automatic", automatic), ("commands", commands), ("authority", authority),
         ("both protocols", both_protocols), ("reload", reload), ("iked killed", iked_killed), ("stack killed", stack_killed), ("peer killed", peer_killed), ("events", events_and_audit)]


def main():
    pair = Pair()
    pair.mark()
    for name, part in PARTS:
        if wanted(name):
            part(pair)
    for g in pair.left, pair.right:
        rv.check("ikeD of %s runs, and ends in order" % g.name, g.iked.running() and g.iked.stop() == 0, g.log()[-1500:])
    return rv.finish()


sys.exit(main())
