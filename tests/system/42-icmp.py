#!/usr/bin/python3
"""ICMP errors and tunnels (RFC 4301 section 6.2), with real packets: a tunnel only for TCP port 5201 between two hosts, a router behind the
far gateway that is none of them, and a narrow link behind that router."""
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import gateways
import rv

PROFILE = """
IPCONFIG IPSECURITY {options}
IPCONFIG6 IPSECURITY {options}
INTERFACE WIRE DEFINE AFPACKET DEVICE wire0 IPADDR 192.0.2.{me}/24 SECCLASS 7
INTERFACE SITE DEFINE AFPACKET DEVICE site0 IPADDR 10.{me}.0.1/24 IPADDR 2001:db8:{me}::1/64 SECCLASS 8
BEGINROUTES
  ROUTE 10.{peer}.0.0/16 192.0.2.{peer} WIRE
  ROUTE 10.{me}.9.0/24 10.{me}.0.9 SITE
  ROUTE 2001:db8:{peer}::/48 2001:db8:{me}::2 SITE
ENDROUTES
WORKERS 1
"""
POLICY = """
IpService wire {{ Protocol tcp
 SourcePortRange {ports}
 DestinationPortRange {toports}
 Direction Bidirectional
 Routing Either
 SecurityClass 7 }}
IpService site {{ Protocol tcp
 Direction Bidirectional
 Routing Either
 SecurityClass 8 }}
IpGenericFilterAction ipsec {{ IpFilterAction IpSec }}
IpGenericFilterAction permit {{ IpFilterAction Permit }}
IpManVpnAction gcm {{
  LocalSecurityEndpointAddr 192.0.2.{me}
  RemoteSecurityEndpointAddr 192.0.2.{peer}
  OuterDSCP 46 Inner 10 12
  OuterDSCP 8 Inner 63
  HowToEncap Tunnel
  HowToEncrypt AES_GCM KeyLength 128
  HowToAuth ESP NULL
  EncryptInboundSa {spi_in} 0x{key_in}
  EncryptOutboundSa {spi_out} 0x{key_out}
}}
IpService anyicmp {{ Protocol icmp
 Direction Bidirectional
 Routing Either
 SecurityClass {icmp} }}
IpService siteicmp {{ Protocol icmp
 Direction Bidirectional
 Routing Either
 SecurityClass {siteicmp} }}
IpFilterPolicy {{
  IpFilterRule icmptunnel {{ IpSourceAddr all
    IpDestAddr all
    IpServiceRef anyicmp
    IpGenericFilterActionRef ipsec
    IpManVpnActionRef gcm }}
  IpFilterRule icmpsite {{ IpSourceAddr all
    IpDestAddr all
    IpServiceRef siteicmp
    IpGenericFilterActionRef permit }}
  IpFilterRule tunnel {{ IpSourceAddr {own}
    IpDestAddr {other}
    IpServiceRef wire
    IpGenericFilterActionRef ipsec
    IpManVpnActionRef gcm }}
  IpFilterRule out {{ IpSourceAddr {own}
    IpDestAddr {other}
    IpServiceRef site
    IpGenericFilterActionRef permit }}
  IpFilterRule in {{ IpSourceAddr {other}
    IpDestAddr {own}
    IpServiceRef site
    IpGenericFilterActionRef permit }}
}}
"""
HOSTS = {1: "10.1.0.5", 2: "10.2.9.5"}
KEYS = {1: "a1" * 20, 2: "b2" * 20}


def stack(ns, me, options="", icmp=False):
    peer = 3 - me
    values = dict(me=me, peer=peer, own=HOSTS[me], other=HOSTS[peer], options=options, icmp=7 if icmp else 99,
                  siteicmp=8 if icmp else 99, spi_in=1000 + me, spi_out=1000 + peer,
                  key_in=KEYS[me], key_out=KEYS[peer], ports="1 65535" if me == 1 else "5201", toports="5201" if me == 1 else "1 65535")
    return gateways.stack(ns, "G%d" % me, PROFILE.format(**values), POLICY.format(**values))


# What comes back for one SYN: who says what.
ASK = """
a = sr1(IP(src="%s", dst="%s", ttl=%d, flags="%s") / TCP(sport=4000, dport=%d) / Raw(bytes(%d)), timeout=4)
print("answer", a.sprintf("%%IP.src%% %%ICMP.type%%") if a and ICMP in a else a and a.summary())
"""


def ask(ns, dst, ttl=64, port=5201, size=0, flags="DF"):
    return rv.scapy(ns, ASK % (HOSTS[1], dst, ttl, flags, port, size))


# What somebody behind the far gateway may write: it says it is about what the near host has sent.
FORGED = """
e = lambda dst, q: send(IP(src="10.2.0.9", dst=dst) / ICMP(type=3, code=1) / q)
host, far = "10.1.0.5", "10.2.9.5"
ok = IP(src=host, dst=far) / TCP(sport=4000, dport=5201)
e(host, IP(src=host, dst=far) / TCP(sport=4000, dport=22))          # another port: not the tunnel's
e(host, IP(src=host, dst="10.3.0.1") / TCP(sport=4000, dport=5201)) # another host
e(host, IP(src=host, dst=far) / UDP(sport=4000, dport=5201))        # another protocol
e(host, Raw(bytes(ok)[:27]))                                        # cut short
e("10.1.0.6", ok)                                                   # to who has not sent it
e(host, IP(src=host, dst=far) / ICMP(type=3) / ok)                  # about an error
print("sent")
"""


def heard_by(ns, program, ns_program, wait=1.0):
    """What ICMP errors arrive at eth0 of @ns while @program runs in @ns_program."""
    hears = subprocess.Popen(rv.in_ns(ns) + ["/usr/bin/python3", "-c", """
from scapy.all import *
print("ready", flush=True)
got = []
sniff(iface="eth0", filter="icmp or udp port 9", store=False, timeout=40, prn=lambda p: got.append(p.summary()) if ICMP in p else None,
      stop_filter=lambda p: b"theend" in bytes(p))
print(len(got), got, flush=True)
"""], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    rv.at_end(hears.kill)
    hears.stdout.readline()
    time.sleep(1)
    out = rv.scapy(ns_program, program)
    time.sleep(wait)
    rv.scapy(ns, 'send(IP(dst="10.1.0.1") / UDP(sport=9, dport=9) / "theend")')
    return out, hears.communicate(timeout=60)[0]


def dscps(h1, g2):
    """What the wire between the gateways shows of the DSCP inside."""
    hears = subprocess.Popen(rv.in_ns(g2) + ["/usr/bin/python3", "-c", """
from scapy.all import *
print("ready", flush=True)
got = sniff(iface="wire0", filter="proto 50 and src 192.0.2.1", count=5, timeout=30)
print([p[IP].tos for p in got], flush=True)
"""], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    rv.at_end(hears.kill)
    hears.stdout.readline()
    time.sleep(1)
    rv.scapy(h1, """
for tos in (10 << 2, 12 << 2 | 1, 13 << 2, 63 << 2 | 2, 0):
    send(IP(src="10.1.0.5", dst="10.2.9.5", tos=tos) / TCP(sport=4001, dport=5201, flags="R"))
""")
    out = hears.communicate(timeout=60)[0].strip()
    rv.check("OuterDSCP: the outer header has what the map says, ECN as it was", out == str([46 << 2, 46 << 2 | 1, 13 << 2, 8 << 2 | 2, 0]), out)


def make(net):
    names = h1, g1, g2, r2, h2 = [net.ns(n) for n in ("h1", "g1", "g2", "r2", "h2")]
    net.veth(h1, "eth0", g1, "site0", offloads=False)
    net.veth(g1, "wire0", g2, "wire0", offloads=False)
    net.veth(g2, "site0", r2, "eth0", offloads=False)
    net.veth(r2, "eth1", h2, "eth0", mtu=1300, offloads=False)
    net.addr(h1, "eth0", "10.1.0.5/24")
    net.addr(r2, "eth0", "10.2.0.9/24")
    net.addr(r2, "eth1", "10.2.9.1/24")
    net.addr(h2, "eth0", "10.2.9.5/24")
    net.route(h1, "default", "10.1.0.1")
    net.route(r2, "default", "10.2.0.1")
    net.route(h2, "default", "10.2.9.1")
    rv.must("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.icmp_ratelimit=0", ns=r2)
    return names


def main():
    net = rv.Net("rvi")
    h1, g1, g2, r2, h2 = make(net)
    one, two = stack(g1, 1), stack(g2, 2)
    server = subprocess.Popen(rv.in_ns(h2) + ["iperf3", "-s"], stdout=subprocess.DEVNULL)
    rv.at_end(server.kill)
    rv.check("the tunnel carries TCP to its port", rv.until(lambda: "TCP 10.2.9.5:5201" in ask(h1, HOSTS[2]), 20))
    rv.check("and no ping", rv.ping_rate(rv.run("ping", "-c", "2", "-i", "0.2", "-W", "1", HOSTS[2], ns=h1).stdout)[1] == 0)
    dscps(h1, g2)
    # Refusals first: nothing of this reaches the host.
    out, heard = heard_by(h1, FORGED, r2)
    rv.check("errors about other connections, cut short, or about errors are sent", "sent" in out, out)
    rv.check("none of them arrives", heard.startswith("0 "), heard)
    # What a router behind the peer says of the tunnel's packets arrives, though no rule permits ICMP.
    out = ask(h1, HOSTS[2], ttl=3)
    rv.check("TTL used up at the router behind the peer: its word arrives", "answer 10.2.0.9 time-exceeded" in out, out)
    out = ask(h1, HOSTS[2], ttl=2)
    rv.check("and that of the peer itself, about what came by the tunnel", "time-exceeded" in out, out)
    out = ask(h1, HOSTS[2], ttl=1)
    rv.check("our own gateway's about what came in clear: no rule permits it", "answer None" in out, out)
    out = ask(h1, HOSTS[2], size=1360)
    rv.check("a link behind the peer is too narrow: the sender is told", "dest-unreach" in out, out)
    p = rv.run("iperf3", "-c", HOSTS[2], "-t", "1", "-f", "m", "--connect-timeout", "4000", ns=h1, timeout=30)
    rv.check("so TCP passes, with its path MTU found inside the tunnel", p.returncode == 0 and "receiver" in p.stdout, p.stdout + p.stderr)
    c, d = one.ended(), two.ended()
    rv.check("counted: passed by what they return", c.get("ICMP_RETURNED", 0) >= 3 and d.get("ICMP_RETURNED", 0) >= 3, (c, d))
    rv.check("counted: what our side of the peer refused", d.get("FILTER_IMPLICIT", 0) >= 6, d)
    # A peer that puts everything into the tunnel: our side asks what is in it.
    one, two = stack(g1, 1), stack(g2, 2, icmp=True)
    rv.check("a peer that sends every error by the tunnel", rv.until(lambda: "TCP 10.2.9.5:5201" in ask(h1, HOSTS[2]), 20))
    out, heard = heard_by(h1, FORGED, r2)
    rv.check("none that is not about its packets arrives", "sent" in out and heard.startswith("0 "), out + heard)
    out = ask(h1, HOSTS[2], ttl=3)
    rv.check("and those that are do", "answer 10.2.0.9 time-exceeded" in out, out)
    c, _ = one.ended(), two.ended()
    rv.check("counted: three are about others, three return no packet", c.get("FILTER_ICMP_RETURNED") == 3 and c.get("FILTER_ICMP_QUOTE") == 3, c)
    return rv.finish()


sys.exit(main())
