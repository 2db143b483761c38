#!/usr/bin/python3
"""A tunnel inside a tunnel (RFC 4301 section 5.2), with real packets: a rule protects what another rule's tunnel has made."""
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
INTERFACE WIRE DEFINE AFPACKET DEVICE wire0 IPADDR 192.0.2.{me}/24 IPADDR 203.0.113.{me}/32 IPADDR 2001:db8::{me}/64 IPADDR 2001:db8:f::{me}/128
INTERFACE HOST DEFINE TUN DEVICE tun0 IPADDR 10.{me}.0.1/24
BEGINROUTES
  ROUTE 10.{peer}.0.0/24 192.0.2.{peer} WIRE
  ROUTE 203.0.113.{peer}/32 192.0.2.{peer} WIRE
  ROUTE 2001:db8:f::{peer}/128 2001:db8::{peer} WIRE
ENDROUTES
WORKERS 1
"""
TUNNEL = """
IpManVpnAction {name} {{
  LocalSecurityEndpointAddr {net}{me}
  RemoteSecurityEndpointAddr {net}{peer}
  UdpEncapsulation {udp}
  HowToEncap Tunnel
  HowToEncrypt {cipher}
  HowToAuth ESP NULL
  EncryptInboundSa {base}{me} 0x{key_in}
  EncryptOutboundSa {base}{peer} 0x{key_out}
}}
"""
RULES = """
IpService all {{ Protocol all
 Routing Either }}
IpService esp {{ Protocol esp
 Routing Either }}
IpGenericFilterAction ipsec {{ IpFilterAction IpSec }}
IpFilterPolicy {{
  IpFilterRule inner {{ IpSourceAddr 10.{me}.0.0/24
    IpDestAddr 10.{peer}.0.0/24
    IpServiceRef all
    IpGenericFilterActionRef ipsec
    IpManVpnActionRef first }}
{second}
}}
"""
SECOND = """
  IpFilterRule outer {{ IpSourceAddr {net}{me}
    IpDestAddr {net}{peer}
    IpServiceRef esp
    IpGenericFilterActionRef ipsec
    IpManVpnActionRef second }}
"""
KEYS = {1: "a1" * 20, 2: "b2" * 20}
MORE = {1: "c3" * 20, 2: "d4" * 20}


def stack(ns, me, nested=True, net="203.0.113.", wire="192.0.2.", udp="No"):
    """@nested: with the second rule. @net, @wire: of the ends of the first tunnel and of the second; @udp: of the second."""
    v = dict(me=me, peer=3 - me, net=net, udp="No")
    second = SECOND.format(**v) if nested else ""
    policy = TUNNEL.format(name="first", base=100, cipher="AES_GCM KeyLength 128", key_in=KEYS[me], key_out=KEYS[3 - me], **v)
    v.update(net=wire, udp=udp)
    policy += TUNNEL.format(name="second", base=200, cipher="AES_GCM KeyLength 128", key_in=MORE[me], key_out=MORE[3 - me], **v)
    policy += RULES.format(second=second, **v)
    return gateways.stack(ns, "N%d" % me, PROFILE.format(**v), policy)


def ping(ns, *more, count=3):
    p = rv.run("ping", "-c", count, "-i", "0.1", "-W", "1", *more, "10.2.0.1", ns=ns)
    return rv.ping_rate(p.stdout)[1]


def spis(ns, other):
    """Who sent ESP on the wire, bare or in UDP, and by what SPI, while @ns pings."""
    hears = subprocess.Popen(rv.in_ns(other) + ["/usr/bin/python3", "-c", """
import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.bind(("wire0", 0))
s.settimeout(20)
print("ready", flush=True)
seen = []
while len(seen) < 6:
    f = s.recv(65535)
    if f[12:14] == b"\\x08\\x00":
        proto, src, l4 = f[23], socket.inet_ntop(socket.AF_INET, f[26:30]), f[14 + (f[14] & 15) * 4:]
    elif f[12:14] == b"\\x86\\xdd":
        proto, src, l4 = f[20], socket.inet_ntop(socket.AF_INET6, f[22:38]), f[54:]
    else:
        continue
    if proto == 50:
        seen.append((src, "bare", int.from_bytes(l4[:4], "big")))
    elif proto == 17 and l4[:4] == bytes([0x11, 0x94] * 2):
        seen.append((src, "udp", int.from_bytes(l4[8:12], "big")))
print(sorted(set(seen)), flush=True)
"""], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    rv.at_end(hears.kill)
    hears.stdout.readline()
    n = ping(ns, count=5)
    return n, hears.communicate(timeout=60)[0].strip()


LAYERS = """
from scapy.all import *
from scapy.layers.ipsec import ESP, SecurityAssociation
conf.verb = 0
second = SecurityAssociation(ESP, spi=2002, crypt_algo="AES-GCM", crypt_key=bytes.fromhex("%s"), tunnel_header=IP(src="192.0.2.1", dst="192.0.2.2"))
first = SecurityAssociation(ESP, spi=1002, crypt_algo="AES-GCM", crypt_key=bytes.fromhex("%s"), tunnel_header=IP(src="192.0.2.1", dst="192.0.2.2"))
ping = IP(src="10.1.0.1", dst="10.2.0.1") / ICMP()
two = second.encrypt(first.encrypt(ping))
for p in (two, second.encrypt(two), second.encrypt(second.encrypt(second.encrypt(two)))):
    sendp(Ether(dst="%s") / IP(bytes(p)), iface="wire0")
print("sent")
"""


def layers(a, b):
    """Who has the keys may send more than two; none of them is opened further."""
    s = stack(b, 2, net="192.0.2.")
    mac = rv.run("cat", "/sys/class/net/wire0/address", ns=b).stdout.strip()
    time.sleep(2)
    p = rv.run("/usr/bin/python3", "-c", LAYERS % (MORE[2], KEYS[2], mac), ns=a, timeout=30)
    rv.check("two, three and five layers are sent", "sent" in p.stdout, p.stdout + p.stderr)
    time.sleep(1)
    c = s.ended()
    rv.check("two are opened, the third is not", c.get("ESP_NESTED") == 2 and c.get("DECAP") == 6 and c.get("HOST", 0) >= 1, c)


def tcp(a, b):
    s = subprocess.Popen(rv.in_ns(b) + ["iperf3", "-s", "-1"], stdout=subprocess.DEVNULL)
    rv.at_end(s.kill)
    time.sleep(0.5)
    p = rv.run("iperf3", "-c", "10.2.0.1", "-t", "1", "--connect-timeout", "4000", ns=a, timeout=30)
    return p.returncode == 0 and "receiver" in p.stdout, p.stdout + p.stderr


def both(a, b, text, net="203.0.113.", wire="192.0.2.", udp="No"):
    one, two = (stack(ns, me, net=net, wire=wire, udp=udp) for ns, me in ((a, 1), (b, 2)))
    rv.check("%s: pings pass through both" % text, rv.until(lambda: ping(a) == 3, 15))
    n, seen = spis(a, b)
    rv.check("%s: the wire shows only the second" % text, n == 5 and
             seen == str([(wire + str(me), "bare" if udp == "No" else "udp", 2003 - me) for me in (1, 2)]), (n, seen))
    p = rv.run("ping", "-c", "3", "-W", "1", "-M", "do", "-s", "1440", "10.2.0.1", ns=a)
    rv.check("%s: what does not fit both is told with the MTU less both" % text, "mtu" in (p.stdout + p.stderr).lower(), p.stdout + p.stderr)
    rv.check("%s: what may be cut passes" % text, rv.until(lambda: ping(a, "-M", "dont", "-s", "4000") == 3, 10))
    rv.check("%s: TCP passes" % text, *tcp(a, b))
    c, d = one.ended(), two.ended()
    rv.check("%s: counted" % text, c.get("NESTED", 0) >= 10 and d.get("NESTED", 0) >= 10 and c.get("DECAP", 0) >= 2 * 10, (c, d))


def main():
    net = rv.Net("rvn")
    a, b = net.ns("a"), net.ns("b")
    net.veth(a, "wire0", b, "wire0", offloads=False)
    # Refusals first: one side wraps once, where the other one's policy asks for two.
    one, two = stack(a, 1, nested=False), stack(b, 2)
    rv.check("one layer, where two are asked for, does not pass", not rv.until(lambda: ping(a, count=2), 4))
    c, d = one.ended(), two.ended()
    rv.check("it is counted", d.get("FILTER_CLEAR", 0) >= 2 and not c.get("NESTED"), d)
    one, two = stack(a, 1), stack(b, 2, nested=False)
    rv.check("nor do two, where one is asked for", not rv.until(lambda: ping(a, count=2), 4))
    c, d = one.ended(), two.ended()
    rv.check("they were two", c.get("NESTED", 0) >= 2, c)
    layers(a, b)
    both(a, b, "other ends")
    both(a, b, "the same ends", net="192.0.2.")
    both(a, b, "the second in IPv6", wire="2001:db8::")
    both(a, b, "both in IPv6", net="2001:db8:f::", wire="2001:db8::")
    both(a, b, "the second in UDP", udp="Yes")
    return rv.finish()


sys.exit(main())
