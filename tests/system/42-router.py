#!/usr/bin/python3
"""What a router owes the networks around it, with real packets: the path MTU of tunnels over a router that carries less, and who may speak of it.

The packet path alone (stack_run), as in 40-stack."""
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import gateways
import rv

SITES = {1: "192.0.2.1", 2: "198.51.100.2"}
ROUTERS = {1: "192.0.2.254", 2: "198.51.100.254"}
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


def six(address):
    return "2001:db8:ffff:%s::%s" % (address.split(".")[0], address.split(".")[3])


def site(net_ns, me, options="", wire=""):
    values = dict(me=me, own=SITES[me], own6=six(SITES[me]), router=ROUTERS[me], router6=six(ROUTERS[me]), options=options, wire=wire)
    tunnel = gateways.manual(me, SITES[me], SITES[3 - me], more="  PassthroughDF Yes\n")
    return gateways.stack(net_ns, "S%d" % me, PROFILE.format(**values), gateways.policy(tunnel, gateways.sites(me)))


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
    out = rv.scapy(r, FORGED.format(src=SITES[1], dst=SITES[2], router=ROUTERS[1], mtu=600, spis="1, 999, 1001, 1003, 0x12345678"))
    rv.check("forged messages are sent", "sent" in out, out)
    out = rv.scapy(r, FORGED.format(src=SITES[1], dst=SITES[2], router=ROUTERS[1], mtu=300, spis="1002,"))
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
    c, _ = one.ended(), two.ended()
    rv.check("the messages of the router were believed", c.get("PMTU", 0) >= 1, c)
    rv.check("the forged ones were not: 5 about no SA, one implausible", c.get("PMTU_STRANGER") == 5 and c.get("PMTU_IMPLAUSIBLE") == 1, c)
    # An operator may not want that at all.
    one, two = site(a, 1, "NOPATHMTUDISCOVERY"), site(b, 2)
    rv.until(lambda: ping(a, "10.2.0.1") == 2, 10)
    rv.check("NOPATHMTUDISCOVERY believes nobody", ping(a, "10.2.0.1", "-M", "do", "-s", "1400", count=4) == 0)
    c, _ = one.ended(), two.ended()
    rv.check("and counts none", c.get("PMTU", 0) == 0, c)


GATE = """
IPCONFIG IPSECURITY
IPCONFIG6 IPSECURITY
INTERFACE LEFT DEFINE AFPACKET DEVICE left0 IPADDR 192.0.2.1/24 IPADDR 2001:db8:1::1/64 URPF STRICT
INTERFACE RIGHT DEFINE AFPACKET DEVICE right0 IPADDR 198.51.100.1/24 IPADDR 2001:db8:2::1/64
BEGINROUTES
  ROUTE 203.0.113.0/24 198.51.100.9 RIGHT
ENDROUTES
WORKERS 1
"""
# Port 3000 may not pass, all else may: what shows no port would.
GATE_POLICY = """
IpService rest { Protocol all
 Direction Bidirectional
 Routing Either }
IpGenericFilterAction permit { IpFilterAction Permit }
IpGenericFilterAction deny { IpFilterAction Deny }
IpService three { Protocol udp
 DestinationPortRange 3000
 Direction Bidirectional
 Routing Either }
IpFilterPolicy {
  IpFilterRule no { IpSourceAddr all
    IpDestAddr all
    IpServiceRef three
    IpGenericFilterActionRef deny }
  IpFilterRule rest { IpSourceAddr all
    IpDestAddr all
    IpServiceRef rest
    IpGenericFilterActionRef permit }
  IpFilterRule no6 { IpSourceAddr all6
    IpDestAddr all6
    IpServiceRef three
    IpGenericFilterActionRef deny }
  IpFilterRule rest6 { IpSourceAddr all6
    IpDestAddr all6
    IpServiceRef rest
    IpGenericFilterActionRef permit }
}
"""
# What is sent, each with its own UDP payload or ICMP id as its name; those that may arrive come last.
SENT = """
g = getmacbyip("192.0.2.1")
e = Ether(dst=g, src=get_if_hwaddr("eth0"))
def out(*pkts):
    for p in pkts:
        sendp(e / p, iface="eth0")
u = lambda name, **kw: IP(**dict(dict(src="192.0.2.9", dst="198.51.100.9"), **kw)) / UDP(sport=7, dport=2000) / name
u6 = lambda name, **kw: IPv6(**dict(dict(src="2001:db8:1::9", dst="2001:db8:2::9"), **kw)) / UDP(sport=7, dport=2000) / name
out(u("mart1", src="127.0.0.1"), u("mart2", src="0.1.2.3"), u("mart3", dst="240.1.1.1"), u6("mart4", src="::ffff:10.0.0.1"))
out(u("srce1", src="224.0.0.9"), u("srce2", src="240.0.0.1"), u("srce3", src="192.0.2.255"), u6("srce4", src="::"))
out(u("link1", src="169.254.1.1"), u("link2", dst="169.254.1.1"), u6("link3", src="fe80::9"))
out(u("lsrr1", options=[IPOption(b"\\x83\\x07\\x04\\xc6\\x33\\x64\\x09\\x00")]), u("ssrr1", options=[IPOption(b"\\x89\\x07\\x04\\xc6\\x33\\x64\\x09\\x00")]))
out(IPv6(src="2001:db8:1::9", dst="2001:db8:2::9") / IPv6ExtHdrRouting(type=0, addresses=["2001:db8:2::8"]) / UDP(sport=7, dport=2000) / "rhdr0")
out(u("urpf1", src="203.0.113.5"), u("urpf2", src="198.51.100.77"), u("urpf3", src="100.64.0.1"))
out(u("spoof", src="192.0.2.1"), u("spof2", src="198.51.100.1"))
out(IP(src="192.0.2.9", dst="192.0.2.1") / ICMP(type=5, code=1, gw="192.0.2.66") / u("redir"))
sendp(Ether(dst=g) / IPv6(src="fe80::9", dst="2001:db8:1::1", hlim=255) / ICMPv6ND_Redirect(tgt="fe80::66", dst="2001:db8:2::9"), iface="eth0")
# fragments: the first shows the port; the rest has to share its fate
def pieces(dport, name, ident):
    whole = IP(src="192.0.2.9", dst="198.51.100.9", id=ident) / UDP(sport=7, dport=dport, chksum=0) / (name * 300)
    return fragment(whole, fragsize=480)
a = pieces(3000, "frag3", 1)
out(*a)
out(*reversed(pieces(3000, "frag3", 2)))
out(*pieces(3000, "frag3", 3)[1:])          # its first never comes
b = pieces(2000, "frag2", 4)
over = b[1].copy(); over[IP].frag = 1; del over[IP].chksum, over[IP].len
out(b[0], over, b[2])                       # overwrites the first
f6 = fragment6(IPv6(src="2001:db8:1::9", dst="2001:db8:2::9") / IPv6ExtHdrFragment(id=7) / UDP(sport=7, dport=3000) / ("frag3" * 400), 1280)
out(*f6)
out(*pieces(2000, "good1", 5))
out(*reversed(pieces(2000, "good2", 6)))
f6 = fragment6(IPv6(src="2001:db8:1::9", dst="2001:db8:2::9") / IPv6ExtHdrFragment(id=8) / UDP(sport=7, dport=2000) / ("good3" * 400), 1280)
out(*f6)
out(u("good4"), u6("good5"))
print("sent all")
"""
HEARD = """
import sys
names = {}
mine = get_if_hwaddr("eth0")
def saw(p):
    if p.src == mine:  # answers of this kernel
        return
    for raw in [bytes(p)]:
        for n in (b"mart", b"srce", b"link", b"lsrr", b"ssrr", b"rhdr", b"urpf", b"spoof", b"spof2", b"redir", b"frag3", b"frag2", b"good"):
            at = raw.find(n)
            if at >= 0:
                key = raw[at:at + 5].decode()
                names[key] = names.get(key, 0) + 1
print("ready", flush=True)
sniff(iface="eth0", prn=saw, store=False, timeout=40, stop_filter=lambda p: b"theend" in bytes(p))
print(names, flush=True)
"""


def gate(net):
    left, g, right = net.ns("left"), net.ns("gate"), net.ns("right")
    net.veth(left, "eth0", g, "left0", offloads=False)
    net.veth(right, "eth0", g, "right0", offloads=False)
    net.addr(left, "eth0", "192.0.2.9/24", "2001:db8:1::9/64")
    net.addr(right, "eth0", "198.51.100.9/24", "2001:db8:2::9/64")
    for n, via, via6 in ((left, "192.0.2.1", "2001:db8:1::1"), (right, "198.51.100.1", "2001:db8:2::1")):
        net.route(n, "default", via)
        rv.must("ip", "-6", "route", "replace", "default", "via", via6, ns=n)
    s = gateways.stack(g, "GATE", GATE, GATE_POLICY)
    rv.check("the gate forwards, IPv4 and IPv6", rv.until(lambda: ping(left, "198.51.100.9") == 2, 10) and
             rv.until(lambda: ping(left, "2001:db8:2::9") == 2, 10))
    hears = subprocess.Popen(rv.in_ns(right) + ["/usr/bin/python3", "-c", "from scapy.all import *\nconf.verb = 0\n" + HEARD],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    rv.at_end(hears.kill)
    rv.check("somebody listens on the other side", "ready" in hears.stdout.readline())
    time.sleep(1)
    out = rv.scapy(left, SENT)
    rv.check("all sorts of packets are sent", "sent all" in out, out)
    time.sleep(1.5)  # what waits for a first that never comes is given up
    rv.scapy(left, 'send(IP(dst="198.51.100.9") / UDP(sport=7, dport=2000) / "theend")')
    heard = hears.communicate(timeout=60)[0].strip()
    names = eval(heard) if heard.startswith("{") else {}
    rv.check("good packets and whole good fragments arrive", all(names.get("good%d" % i, 0) >= 1 for i in (1, 2, 3, 4, 5)), heard)
    rv.check("four fragments each, in any order", names.get("good1") == 4 and names.get("good2") == 4, heard)
    for what, text in (("mart", "martians"), ("srce", "sources that no host has"), ("link", "link-local addresses"), ("lsrr", "loose source routes"),
                       ("ssrr", "strict source routes"), ("rhdr", "routing headers of type 0"), ("urpf", "packets from where they do not belong"),
                       ("spo", "packets that claim to be from the gate"), ("redir", "redirects")):
        rv.check("%s do not pass" % text, not [n for n in names if n.startswith(what)], heard)
    rv.check("no fragment of what a port denies passes: in order, backwards, without its first, IPv6", "frag3" not in names, heard)
    rv.check("fragments that overwrite their first void the packet", names.get("frag2", 0) <= 1, heard)
    claims(left, g)
    c = s.ended()
    for name, least in (("IP_MARTIAN", 4), ("IP_SOURCE", 3), ("IP_LINK_LOCAL", 2), ("IP_SOURCE_ROUTE", 3), ("IP_REVERSE_PATH", 3), ("IP_SPOOFED", 2),
                        ("IP_REDIRECT", 1), ("ND_REDIRECT", 1), ("IP_OVERLAP", 2), ("IP_REASS_TIME", 3), ("FILTER_DENY", 10)):
        rv.check("%s is counted" % name, c.get(name, 0) >= least, "%s: %s" % (c.get(name), c))


def neighbours(ns, program):
    return rv.scapy(ns, 'me = get_if_hwaddr("eth0")\n' + program)


def claims(left, g):
    """Who may say where an address is."""
    out = neighbours(left, """
for op in (1, 2):
    for dst in ("ff:ff:ff:ff:ff:ff", getmacbyip("192.0.2.1")):
        sendp(Ether(dst=dst, src=me) / ARP(op=op, hwsrc="02:00:00:00:66:66", psrc="192.0.2.9", hwdst="00:00:00:00:00:00", pdst="192.0.2.1"), iface="eth0")
a = srp1(Ether(dst="ff:ff:ff:ff:ff:ff") / ARP(pdst="192.0.2.77"), timeout=1, iface="eth0")
b = srp1(Ether(dst="ff:ff:ff:ff:ff:ff") / ARP(pdst="198.51.100.1"), timeout=1, iface="eth0")
c = srp1(Ether(dst="ff:ff:ff:ff:ff:ff") / ARP(pdst="192.0.2.1"), timeout=3, iface="eth0")
print("answers", a is not None, b is not None, c is not None)
""")
    rv.check("ARP: only its own address on that link is answered for", "answers False False True" in out, out)
    rv.check("an address that somebody has is not taken away by claims", ping(left, "198.51.100.9", count=3) == 3)


OWN = """
INTERFACE WIRE DEFINE AFPACKET DEVICE wire0 IPADDR 192.0.2.1/24 IPADDR 192.0.2.3/24 IPADDR 2001:db8::1/64 IPADDR 2001:db8::3/64 DUPADDRDET 2
WORKERS 1
"""


def own(net):
    """Addresses that somebody else has already are not used; ours are defended."""
    g, out = net.ns("own"), net.ns("other")
    net.veth(g, "wire0", out, "eth0", offloads=False)
    net.addr(out, "eth0", "192.0.2.9/24", "192.0.2.3/24", "2001:db8::9/64", "2001:db8::3/64")
    rv.must("sysctl", "-qw", "net.ipv4.conf.eth0.arp_accept=1", ns=out)
    rv.write("stacks/OWN.profile", OWN)
    rv.run("safctl", "--init")
    rv.saf_base(["OWN"])
    rv.permit("EZB.NETMGMT.{sysname}.OWN.EVENTS", "IBMUSER")
    daemon = rv.Daemon("stack-core", "OWN", ns=g)
    events = rv.Subscriber("stack-core@OWN", "stack.address.")

    def refused():
        return sorted(re.findall(r"somebody else has an address .*?address=\"?([0-9a-f.:]+)", daemon.output()))
    rv.check("two addresses are somebody else's: told", rv.until(lambda: refused() == ["192.0.2.3", "2001:db8::3"], 10), daemon.output())
    rv.check("they are not answered for", rv.scapy(out, """
a = srp1(Ether(dst="ff:ff:ff:ff:ff:ff") / ARP(psrc="192.0.2.9", pdst="192.0.2.3"), timeout=1, iface="eth0")
b = srp1(Ether(dst="ff:ff:ff:ff:ff:ff") / ARP(psrc="192.0.2.9", pdst="192.0.2.1"), timeout=3, iface="eth0")
print("answers", a is not None, b is not None)
""").strip().endswith("answers False True"))
    rv.check("the others are used", ping(out, "192.0.2.1") == 2 and ping(out, "2001:db8::1") == 2)
    time.sleep(2.5)  # until it is sure of them
    claim = 'sendp(Ether(dst="ff:ff:ff:ff:ff:ff", src="02:00:00:00:66:66") / ARP(op=2, hwsrc="02:00:00:00:66:66", psrc="192.0.2.1", pdst="192.0.2.1"), iface="eth0")'
    sniffed = rv.scapy(out, """
s = AsyncSniffer(iface="eth0", filter="arp", count=0)
s.start()
time.sleep(1)
for i in range(3):
    %s
time.sleep(2)
told = [p for p in s.stop() if ARP in p and p[ARP].psrc == p[ARP].pdst == "192.0.2.1" and p.src != "02:00:00:00:66:66"]
print("announced", len(told))
""" % claim)
    rv.check("a claim to an address of ours is answered, once in ten seconds", sniffed.strip().endswith("announced 1"), sniffed)
    e = events.wait("stack.address.conflict", 5)
    t = rv.protos().stack.AddressEvent.FromString(e[2]) if e else None
    rv.check("and told", t and t.address == "192.0.2.1" and not t.refused and t.mac == "02:00:00:00:66:66", t)
    rv.check("it stays ours", ping(out, "192.0.2.1") == 2)
    rv.check("the stack ends in order", daemon.stop() == 0)


def main():
    net = rv.Net("rvr")
    table()
    own(net)
    gate(net)
    path_mtu(net)
    return rv.finish()


sys.exit(main())
