#!/usr/bin/python3
"""Both protocols of one tunnel, AH over ESP (HowToAuth AH beside HowToEncrypt), with real packets and manual keys: what the wire shows,
that only both together pass, PMTU, TCP; in tunnel and transport mode, IPv4 and IPv6 outside."""
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import gateways
import rv

PROFILE = """
IPCONFIG IPSECURITY
IPCONFIG6 IPSECURITY
INTERFACE WIRE DEFINE AFPACKET DEVICE wire0 IPADDR 192.0.2.{me}/24 IPADDR 2001:db8::{me}/64
INTERFACE HOST DEFINE TUN DEVICE tun0 IPADDR 10.{me}.0.1/24
BEGINROUTES
  ROUTE 10.{peer}.0.0/24 192.0.2.{peer} WIRE
ENDROUTES
IPSEC LOGENABLE
  IPSECRULE * * NOLOG PROTO ICMPV6
ENDIPSEC
WORKERS 1
"""
POLICY = """
IpService all {{ Protocol all
 Routing Either }}
IpGenericFilterAction ipsec {{ IpFilterAction IpSec }}
IpManVpnAction both {{
  LocalSecurityEndpointAddr {local}
  RemoteSecurityEndpointAddr {remote}
  HowToEncap {mode}
  HowToEncrypt {cipher}
  HowToAuth {auth}
  {keys}
}}
IpFilterPolicy {{
  IpFilterRule rule {{ IpSourceAddr {source}
    IpDestAddr {dest}
    IpServiceRef all
    IpGenericFilterActionRef ipsec
    IpManVpnActionRef both }}
}}
"""
ESP_KEY = {1: "a1" * 16, 2: "b2" * 16}
AH_KEY = {1: "c3" * 20, 2: "d4" * 20}
GCM_KEY = {1: "a1" * 20, 2: "b2" * 20}


def stack(ns, me, kind="both", mode="Tunnel", six=False):
    """@kind: both; gcm: both, with an AEAD; esp, ah: this one alone, by the numbers and keys of both."""
    peer = 3 - me
    sa = lambda name, n, key: "%sInboundSa %d%d 0x%s\n  %sOutboundSa %d%d 0x%s" % (name, n, me, key[me], name, n, peer, key[peer])
    how = {"both": ("AES_CBC KeyLength 128", "AH HMAC_SHA1", sa("Encrypt", 100, ESP_KEY) + "\n  " + sa("Auth", 200, AH_KEY)),
           "gcm": ("AES_GCM KeyLength 128", "AH HMAC_SHA1", sa("Encrypt", 100, GCM_KEY) + "\n  " + sa("Auth", 200, AH_KEY)),
           "esp": ("AES_GCM KeyLength 128", "ESP NULL", sa("Encrypt", 100, GCM_KEY)),
           "ah": ("DoNot", "AH HMAC_SHA1", sa("Auth", 200, AH_KEY))}[kind]
    end = "10.%d.0.1" if mode == "Transport" else "2001:db8::%d" if six else "192.0.2.%d"
    policy = POLICY.format(me=me, peer=peer, local=end % me, remote=end % peer, mode=mode, cipher=how[0], auth=how[1], keys=how[2],
                           source="10.%d.0.0/24" % me, dest="10.%d.0.0/24" % peer)
    return gateways.stack(ns, "B%d" % me, PROFILE.format(me=me, peer=peer), policy)


def ping(ns, *more, count=3, to="10.2.0.1"):
    p = rv.run("ping", "-c", count, "-i", "0.1", "-W", "1", *more, to, ns=ns)
    return rv.ping_rate(p.stdout)[1]


SEES = """
from scapy.all import *
from scapy.layers.ipsec import AH, ESP
print("ready", flush=True)
got = sniff(iface="wire0", filter="%s", count=6, timeout=30)
print(sorted({(p[IPv6].src if IPv6 in p else p[IP].src, p[AH].spi, p[AH].nh, int.from_bytes(bytes(p[AH].payload)[:4], "big")) for p in got if AH in p}), flush=True)
"""


def wire(ns, other, six=False):
    """What AH and ESP the wire shows while @ns pings."""
    hears = subprocess.Popen(rv.in_ns(other) + ["/usr/bin/python3", "-c", SEES % ("ip6 proto 51" if six else "ip proto 51")],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    rv.at_end(hears.kill)
    hears.stdout.readline()
    time.sleep(1)
    n = ping(ns, count=5)
    return n, hears.communicate(timeout=60)[0].strip()


def refused(a, b):
    """One end has both protocols, the other one only one, with the right keys and numbers."""
    for kind, text, why in (("esp", "ESP alone", "BUNDLE_NO_AH"), ("ah", "AH alone", "BUNDLE_NO_ESP")):
        one, two = stack(a, 1, kind), stack(b, 2, "gcm")
        rv.check(text + " does not pass where both are asked for", not rv.until(lambda: ping(a, count=2), 4))
        c, d = one.ended(), two.ended()
        rv.check(text + " is counted", d.get(why, 0) >= 2 and not d.get("DECAP"), (c, d))
    one, two = stack(a, 1, "gcm"), stack(b, 2, "ah")
    rv.check("nor do both where one is asked for", not rv.until(lambda: ping(a, count=2), 4))
    one.ended(), two.ended()


def passes(a, b, kind, six):
    text = "%s in IPv%d" % (kind, 6 if six else 4)
    net = "2001:db8::" if six else "192.0.2."
    one, two = stack(a, 1, kind, six=six), stack(b, 2, kind, six=six)
    rv.check(text + ": pings pass", rv.until(lambda: ping(a) == 3, 15))
    n, seen = wire(a, b, six)
    want = [(net + "1", 2002, 50, 1002), (net + "2", 2001, 50, 1001)]
    rv.check(text + ": the wire shows AH, and ESP in it", n == 5 and seen == str(want), (n, seen))
    p = rv.run("ping", "-c", "3", "-W", "1", "-M", "do", "-s", "1440", "10.2.0.1", ns=a)
    rv.check(text + ": what does not fit is told with an MTU", "mtu" in (p.stdout + p.stderr).lower(), p.stdout + p.stderr)
    rv.check(text + ": what may be cut passes", ping(a, "-M", "dont", "-s", "4000") == 3)
    s = subprocess.Popen(rv.in_ns(b) + ["iperf3", "-s", "-1"], stdout=subprocess.DEVNULL)
    rv.at_end(s.kill)
    time.sleep(0.5)
    p = rv.run("iperf3", "-c", "10.2.0.1", "-t", "1", "--connect-timeout", "4000", ns=a, timeout=30)
    rv.check(text + ": TCP passes", p.returncode == 0 and "receiver" in p.stdout, p.stdout + p.stderr)
    c, d = one.ended(), two.ended()
    rv.check(text + ": nothing is refused", c.get("DECAP", 0) >= 8 and not any(d.get(n) for n in ("BUNDLE_NO_AH", "BUNDLE_NO_ESP", "BUNDLE_MIXED",
             "ESP_AUTH", "ESP_REPLAY")), (c, d))


def transport(a, b):
    """Between the two hosts themselves."""
    one, two = stack(a, 1, "both", "Transport"), stack(b, 2, "both", "Transport")
    rv.check("transport mode: pings pass", rv.until(lambda: ping(a) == 3, 15))
    n, seen = wire(a, b)
    want = [("10.1.0.1", 2002, 50, 1002), ("10.2.0.1", 2001, 50, 1001)]
    rv.check("transport mode: AH and ESP between the hosts", n == 5 and seen == str(want), (n, seen))
    c, d = one.ended(), two.ended()
    rv.check("transport mode: counted", d.get("DECAP", 0) >= 3, (c, d))


def main():
    net = rv.Net("rvb")
    a, b = net.ns("a"), net.ns("b")
    net.veth(a, "wire0", b, "wire0", offloads=False)
    refused(a, b)
    passes(a, b, "both", False)
    passes(a, b, "gcm", True)
    transport(a, b)
    return rv.finish()


sys.exit(main())
