#!/usr/bin/python3
"""What a router owes the networks around it, with real packets: the path MTU of tunnels over a router that carries less, and who may speak of it.

The packet path alone (stack_run), as in 40-stack."""
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import rv

RUN = os.path.join(rv.BUILD, "tests/bench/stack_run")
SITES = {1: "192.0.2.1", 2: "198.51.100.2"}
ROUTERS = {1: "192.0.2.254", 2: "198.51.100.254"}
KEYS = {1: "a1" * 20, 2: "b2" * 20}
PROFILE = """
IPCONFIG IPSECURITY {options}
IPCONFIG6 IPSECURITY
INTERFACE WIRE DEFINE AFPACKET DEVICE wire0 IPADDR {own}/24 IPADDR {own6}/64 {wire}
INTERFACE HOST DEFINE TUN DEVICE tun0 IPADDR 10.{me}.0.1/24 IPADDR 2001:db8:{me}::1/64
BEGINROUTES
  ROUTE DEFAULT {router} WIRE
  ROUTE DEFAULT6 {router6} WIRE
ENDROUTES
IPSEC LOGENABLE
  IPSECRULE * * NOLOG PROTO ICMP
  IPSEC6RULE * * NOLOG PROTO ICMPV6
ENDIPSEC
WORKERS 2
"""
POLICY = """
IpService all {{ Protocol all
 Direction Bidirectional
 Routing Either }}
IpGenericFilterAction ipsec {{ IpFilterAction IpSec }}
IpManVpnAction gcm {{
  LocalSecurityEndpointAddr {own}
  RemoteSecurityEndpointAddr {peer_own}
  PassthroughDF Yes
  HowToEncap Tunnel
  HowToEncrypt AES_GCM KeyLength 128
  HowToAuth ESP NULL
  EncryptInboundSa {spi_in} 0x{key_in}
  EncryptOutboundSa {spi_out} 0x{key_out}
}}
IpFilterPolicy {{
  IpFilterRule four {{ IpSourceAddr 10.{me}.0.0/24
    IpDestAddr 10.{peer}.0.0/24
    IpServiceRef all
    IpGenericFilterActionRef ipsec
    IpManVpnActionRef gcm }}
  IpFilterRule six {{ IpSourceAddr 2001:db8:{me}::/64
    IpDestAddr 2001:db8:{peer}::/64
    IpServiceRef all
    IpGenericFilterActionRef ipsec
    IpManVpnActionRef gcm }}
}}
"""


class Stack:
    """stack_run in namespace @ns; .counters after stop()."""

    def __init__(self, ns, name, profile, policy=None):
        if policy:
            profile += "IPSECPOLICY '%s'\n" % rv.write("stacks/%s.policy" % name, policy)
        self.p = subprocess.Popen(rv.in_ns(ns) + [RUN, rv.write("stacks/%s.profile" % name, profile)],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        rv.at_end(self.kill)

    def kill(self):
        if self.p.poll() is None:
            self.p.kill()
            self.p.wait()

    def stop(self):
        self.p.send_signal(signal.SIGTERM)
        try:
            out, err = self.p.communicate(timeout=15)
        except subprocess.TimeoutExpired:
            self.p.kill()
            out, err = self.p.communicate()
        rv.check("the stack ends in order", self.p.returncode == 0, err)
        return {l.split("\t")[1]: int(l.split("\t")[2]) for l in out.splitlines() if l.count("\t") >= 2}


def six(address):
    return "2001:db8:ffff:%s::%s" % (address.split(".")[0], address.split(".")[3])


def site(net_ns, me, options="", wire=""):
    peer = 3 - me
    values = dict(me=me, peer=peer, own=SITES[me], peer_own=SITES[peer], own6=six(SITES[me]), router=ROUTERS[me],
                  router6=six(ROUTERS[me]), options=options, wire=wire, spi_in=1000 + me, spi_out=1000 + peer, key_in=KEYS[me][:40],
                  key_out=KEYS[peer][:40])
    return Stack(net_ns, "S%d" % me, PROFILE.format(**values), POLICY.format(**values))


def ping(ns, dest, *more, count=2):
    p = rv.run("ping", "-c", count, "-i", "0.1", "-W", "1", *more, dest, ns=ns)
    return rv.ping_rate(p.stdout)[1]


def iperf(client, server, dest, seconds=2):
    s = subprocess.Popen(rv.in_ns(server) + ["iperf3", "-s", "-1"], stdout=subprocess.DEVNULL)
    time.sleep(0.5)
    try:
        out = rv.run("iperf3", "-c", dest, "-t", seconds, "-f", "m", "--connect-timeout", "4000", ns=client, timeout=30).stdout
        s.wait(timeout=5)
    except subprocess.TimeoutExpired:
        out = ""
    finally:
        if s.poll() is None:
            s.kill()
            s.wait()
    m = re.search(r"([\d.]+) Mbits/sec\s+receiver", out)
    return float(m.group(1)) if m else 0.0


def scapy(ns, program):
    """Runs @program with scapy's names; what it prints."""
    p = rv.run("/usr/bin/python3", "-c", "from scapy.all import *\nconf.verb = 0\n" + program, ns=ns, timeout=60)
    return p.stdout + p.stderr


def table():
    """Every test that RFC4301.md names is there."""
    missing = []
    with open(os.path.join(rv.TOP, "daemons/stack-core/RFC4301.md")) as f:
        text = f.read()
    for file, name in re.findall(r"`([\w/-]+\.(?:c|py))(?: (\w+))?`", text):
        places = [os.path.join(rv.TOP, "tests", d, file) for d in ("unit/daemons/stack-core", "unit", "system", "interop")]
        found = [p for p in places if os.path.exists(p)]
        if not found or (name and "START_TEST(%s)" % name not in open(found[0]).read()):
            missing.append((file, name))
    rv.check("RFC4301.md names tests that are there", text.count("|") > 300 and not missing, missing)


FORGED = """
inner = IP(src="{src}", dst="{dst}", flags="DF", len=1400, proto=50)
for spi in ({spis}):
    e = IP(src="{router}", dst="{src}") / ICMP(type=3, code=4, nexthopmtu={mtu}) / inner / Raw(struct.pack("!II", spi, 1) + bytes(64))
    send(e)
print("sent")
"""


def path_mtu(net):
    a, r, b = net.ns("a"), net.ns("r"), net.ns("b")
    net.veth(a, "wire0", r, "to1")
    net.veth(b, "wire0", r, "to2", mtu=1400)
    for n, me in (("to1", 1), ("to2", 2)):
        net.addr(r, n, ROUTERS[me] + "/24", six(ROUTERS[me]) + "/64")
    rv.must("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1", "net.ipv4.icmp_ratelimit=0", ns=r)
    one, two = site(a, 1), site(b, 2)
    rv.until(lambda: ping(a, "10.2.0.1") == 2, 10)
    # Refusals: what somebody who knows the addresses, but not the SPI, may say.
    out = scapy(r, FORGED.format(src=SITES[1], dst=SITES[2], router=ROUTERS[1], mtu=600, spis="1, 999, 1001, 1003, 0x12345678"))
    rv.check("forged messages are sent", "sent" in out, out)
    out = scapy(r, FORGED.format(src=SITES[1], dst=SITES[2], router=ROUTERS[1], mtu=300, spis="1002,"))
    rv.check("one with a value that is none, too", "sent" in out, out)
    rv.check("they change nothing: what fits passes", ping(a, "10.2.0.1", "-M", "do", "-s", "1300") == 2)
    p = rv.run("ping", "-c", "6", "-i", "0.3", "-W", "1", "-M", "do", "-s", "1400", "10.2.0.1", ns=a)
    m = re.search(r"mtu ?= ?(\d+)", p.stdout + p.stderr)
    rv.check("a packet that the path does not carry: its sender is told what it does, less the tunnel",
             m and 1320 <= int(m.group(1)) <= 1360, p.stdout + p.stderr)
    rv.check("what may be cut is cut, and arrives", ping(a, "10.2.0.1", "-M", "dont", "-s", "1400") == 2)
    rv.check("and IPv6 in it learns the same", ping(a, "2001:db8:2::1", "-s", "1400", count=6) >= 3)
    mbits = iperf(a, b, "10.2.0.1")
    rv.check("TCP goes on through the narrow path (%.0f Mbit/s)" % mbits, mbits > 20)
    mbits = iperf(a, b, "2001:db8:2::1")
    rv.check("TCP over IPv6, too (%.0f Mbit/s)" % mbits, mbits > 20)
    c, _ = one.stop(), two.stop()
    rv.check("the messages of the router were believed", c.get("PMTU", 0) >= 1, c)
    rv.check("the forged ones were not: 5 about no SA, one implausible", c.get("PMTU_STRANGER") == 5 and c.get("PMTU_IMPLAUSIBLE") == 1, c)
    # An operator may not want that at all.
    one, two = site(a, 1, "NOPATHMTUDISCOVERY"), site(b, 2)
    rv.until(lambda: ping(a, "10.2.0.1") == 2, 10)
    rv.check("NOPATHMTUDISCOVERY believes nobody", ping(a, "10.2.0.1", "-M", "do", "-s", "1400", count=4) == 0)
    c, _ = one.stop(), two.stop()
    rv.check("and counts none", c.get("PMTU", 0) == 0, c)


def main():
    net = rv.Net("rvr")
    table()
    path_mtu(net)
    return rv.finish()


sys.exit(main())
