#!/usr/bin/python3
"""A negotiated tunnel and a manual one, either inside the other: what ikeD agrees on goes through, or around, what the policy file says."""
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import rv
from ikelab import Gateway, Wire

KEYS = {1: "c3" * 20, 2: "d4" * 20}
MANUAL = """
IpService esp {{ Protocol esp
  Routing Either }}
IpManVpnAction manual {{
  LocalSecurityEndpointAddr {net}{me}
  RemoteSecurityEndpointAddr {net}{peer}
  HowToEncap Tunnel
  HowToEncrypt AES_GCM KeyLength 128
  HowToAuth ESP NULL
  EncryptInboundSa 200{me} 0x{key_in}
  EncryptOutboundSa 200{peer} 0x{key_out}
}}
"""
RULE = """
  IpFilterRule manual { IpSourceAddr %s
    IpDestAddr %s
    IpServiceRef %s
    IpGenericFilterActionRef protect
    IpManVpnActionRef manual }
"""


def manual(me, net):
    return MANUAL.format(net=net, me=me, peer=3 - me, key_in=KEYS[me], key_out=KEYS[3 - me])


def inner(me):
    """The networks' tunnel is negotiated, and its ESP goes through the manual one, between the same ends."""
    return dict(rules=RULE % ("192.0.2.%d" % me, "192.0.2.%d" % (3 - me), "esp"), more=manual(me, "192.0.2."))


def outer(me):
    """The networks' tunnel is manual, with other ends, and its ESP goes through the negotiated one."""
    return dict(rules=RULE % ("10.%d.0.0/24" % me, "10.%d.0.0/24" % (3 - me), "all"), more=manual(me, "203.0.113."),
                mine="203.0.113.%d" % me, yours="203.0.113.%d" % (3 - me), service="esp", protocol="Protocol esp")


def wire_spis(ns, go):
    """SPIs of ESP that the wire shows while @go is done."""
    hears = subprocess.Popen(rv.in_ns(ns) + ["/usr/bin/python3", "-c", """
from scapy.all import *
print("ready", flush=True)
got = sniff(iface="br0", filter="ip proto 50", count=6, timeout=20)
print(*sorted({int.from_bytes(bytes(p[IP].payload)[:4], "big") for p in got}), flush=True)
"""], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    rv.at_end(hears.kill)
    hears.stdout.readline()
    time.sleep(1)
    n = go()
    return n, {int(x) for x in hears.communicate(timeout=60)[0].split()}


def case(wire, gates, how, text):
    left, right = gates
    for g in gates:
        g.policy(on_demand="No", **how(g.me))
        if g.stack is None:
            g.start()
        else:
            g.use()
            g.stack.reload()
            rv.check("%s: ikeD reads its policy" % text, g.run("ikectl", "reload").returncode == 0)
    p = left.activate()
    up = p.returncode == 0 and left.up(10) and right.up(10)
    rv.check("%s: IKE agrees" % text, up, p.stdout + p.stderr + left.log()[-2000:])
    n, seen = wire_spis(wire.ns, lambda: left.ping(6))
    negotiated = {int(t[k], 0) if isinstance(t[k], str) else t[k] for t in left.dynamic() for k in ("in_spi", "out_spi")}
    want = {2001, 2002} if how is inner else negotiated
    rv.check("%s: pings pass" % text, n >= 5, n)
    rv.check("%s: the wire shows the outer tunnel alone" % text, seen == want, (seen, negotiated))
    rows = [t for t in left.in_stack() if t.get("state") == "Active"]
    rv.check("%s: the negotiated one carries them" % text, rows and rows[0].get("out_packets", 0) >= n and rows[0].get("in_packets", 0) >= n, rows)
    for g in gates:
        g.run("ipsec", "-y", "deactivate", "-a", "all", "-p", g.name)
    gone = rv.until(lambda: not left.dynamic() and not right.dynamic(), 10, 0.1)
    rv.check("%s: without it nothing passes" % text, gone and left.ping(2) == 0, left.dynamic())


def main():
    wire = Wire("rvikn")
    extra = "  ROUTE 203.0.113.%d/32 192.0.2.%d WIRE\n"
    gates = [Gateway(me, wire.join("g%d" % me, me), peer=3 - me, extra=extra % (3 - me, 3 - me)) for me in (1, 2)]
    for g in gates:
        g.use()
        name = "stacks/%s.profile" % g.name
        with open(rv.path("etc/ravelin", name)) as f:
            text = f.read()
        rv.write(name, text.replace("DEVICE eth0 ", "DEVICE eth0 IPADDR 203.0.113.%d/32 " % g.me))
    case(wire, gates, inner, "inner")
    case(wire, gates, outer, "outer")
    for g in gates:
        g.policy(**outer(g.me))
        g.stack.reload()
        g.run("ikectl", "reload")
    rv.check("outer: the first packets raise it", gates[0].ping(10, interval="0.3") >= 6 and gates[0].up(1), gates[0].log()[-2000:])
    return rv.finish()


sys.exit(main())
