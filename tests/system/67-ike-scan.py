#!/usr/bin/python3
"""ikeD seen by ike-scan: a scanner finds what the policy offers, and nothing else. Every algorithm that the policy does not name is offered
alone, and all of them together; main and aggressive mode; what the answers tell of us."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import rv
from ikelab import Gateway, Wire

OURS = {"enc": "7", "bits": "128", "hash": "4", "auth": "1", "group": "14"}
OTHERS = {"enc": ["1", "2", "3", "4", "5", "6"], "bits": ["192", "256", "64"], "hash": ["1", "2", "3", "5", "6"],
          "auth": ["2", "3", "4", "5", "64221", "65001"], "group": ["1", "2", "3", "4", "5", "15", "16", "19", "20", "21", "24"]}


def transform(**changes):
    v = dict(OURS, **changes)
    bits = ",14=%s" % v["bits"] if v["enc"] == "7" else ""
    return "--trans=(1=%s%s,2=%s,3=%s,4=%s)" % (v["enc"], bits, v["hash"], v["auth"], v["group"])


class Scanner:
    def __init__(self, ns):
        self.ns = ns

    def scan(self, *args):
        p = rv.run("ike-scan", "--sport=500", "--retry=2", "--timeout=3000", "--multiline", *args, "192.0.2.1", ns=self.ns, timeout=60)
        return p.stdout + p.stderr


def handshake(text):
    return "Handshake returned" in text


def found(s):
    text = s.scan(transform())
    rv.check("main mode: the policy's offer is answered", "Main Mode Handshake returned" in text, text)
    rv.check("main mode: with these algorithms and no others",
             re.search(r"SA=\(.*Enc=AES.*Hash=SHA2-256.*Auth=PSK.*Group=14", text) and text.count("SA=(") == 1, text)
    rv.check("main mode: a responder cookie that is not zero", not re.search(r"CKY-R=0{16}", text) and "CKY-R=" in text, text)
    rv.check("main mode: dead peer detection and fragmentation are told", "Dead Peer Detection" in text and "Fragmentation" in text, text)
    text = s.scan("--vendor=4a131c81070358455c5728f20e95452f", transform())
    rv.check("NAT traversal of RFC 3947 is told", "RFC 3947" in text, text)
    first, second = (re.search(r"CKY-R=([0-9a-f]+)", s.scan(transform())).group(1) for _ in range(2))
    rv.check("every negotiation has a cookie of its own", first != second, first)


def refused(s):
    for what, values in OTHERS.items():
        answers = {v: s.scan(transform(**{what: v})) for v in values}
        bad = {v: a for v, a in answers.items() if handshake(a)}
        rv.check("%s: none of %s is answered with a handshake" % (what, ", ".join(values)), not bad, bad)
        told = [v for v, a in answers.items() if "NO-PROPOSAL-CHOSEN" in a]
        rv.check("%s: and each is told NO-PROPOSAL-CHOSEN" % what, told == values, answers)
    text = s.scan()
    rv.check("ike-scan's own set of weak transforms: NO-PROPOSAL-CHOSEN", not handshake(text) and "NO-PROPOSAL-CHOSEN" in text, text)
    every = [transform(**{what: v}) for what, values in OTHERS.items() for v in values]
    text = s.scan(*every)
    rv.check("all %d together: NO-PROPOSAL-CHOSEN" % len(every), not handshake(text) and "NO-PROPOSAL-CHOSEN" in text, text)
    text = s.scan(*every, transform())
    rv.check("ours behind all of them: ours is chosen", handshake(text) and re.search(r"Enc=AES.*Hash=SHA2-256.*Group=14", text), text)
    text = s.scan(transform().replace(")", ",11=1,12=28800)"))
    rv.check("a lifetime that the policy accepts is answered", handshake(text) and "LifeDuration=28800" in text, text)
    text = s.scan(transform().replace(")", ",11=1,12=60)"))
    rv.check("a lifetime that the policy does not accept: NO-PROPOSAL-CHOSEN", not handshake(text) and "NO-PROPOSAL-CHOSEN" in text, text)


def aggressive(s, gateway):
    how = ("--aggressive", "--dhgroup=14", "--idtype=1", transform())
    text = s.scan(*how, "--id=0xc0000202")
    rv.check("aggressive mode: answered to the identity that the rule names", "Aggressive Mode Handshake returned" in text, text)
    text = s.scan(*how, "--id=0xc0000263")
    rv.check("aggressive mode: not to another identity", not handshake(text), text)
    gateway.policy(respond="Main")
    rv.check("reload with HowToRespond Main", gateway.run("ikectl", "reload").returncode == 0)
    text = s.scan(*how, "--id=0xc0000202")
    rv.check("aggressive mode: refused when the rule responds to main mode only", not handshake(text), text)
    rv.check("main mode: still answered", handshake(s.scan(transform())))


def main():
    wire = Wire("rvscan")
    gateway = Gateway(1, wire.join("left", 1), peer=2).policy().start()
    s = Scanner(wire.host("scan", 2))
    found(s)
    refused(s)
    aggressive(s, gateway)
    rv.check("no IKE tunnel came of it", gateway.tunnels() == [], gateway.tunnels())
    rv.check("ikeD runs, and ends in order", gateway.iked.running() and gateway.iked.stop() == 0, gateway.log()[-1500:])
    return rv.finish()


sys.exit(main())
