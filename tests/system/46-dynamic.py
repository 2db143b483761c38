#!/usr/bin/python3
"""Dynamic tunnels of two real stack-cores, driven over the bus as ikeD does, with fixed keys: generations, anchors, packets that
wait, lifetimes, ESP in UDP through a NAT, what an IKE daemon's sockets need, restarts of its owner."""
import hashlib
import json
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import rv

HOME = {"LEFT": "192.0.2.1", "RIGHT": "198.51.100.2"}
SIX = {"LEFT": "2001:db8:1::", "RIGHT": "2001:db8:2::"}
INSIDE = {"LEFT": "10.1.0.1", "RIGHT": "10.2.0.1"}
GATE = {"LEFT": "192.0.2.254", "RIGHT": "198.51.100.254"}
OTHER = {"LEFT": "RIGHT", "RIGHT": "LEFT"}
PROFILE = """
IPCONFIG IPSECURITY
IPCONFIG6 IPSECURITY
INTERFACE WIRE DEFINE AFPACKET DEVICE wire0 IPADDR {home}/24
INTERFACE HOST DEFINE TUN DEVICE tun0 IPADDR {inside}/24 IPADDR {home}/32 IPADDR {six}1/64
BEGINROUTES
  ROUTE {peer_six}/64 = WIRE
  ROUTE DEFAULT {gate} WIRE
ENDROUTES
IPSECPOLICY '{policy}'
WORKERS 2
"""
POLICY = """
IpService all {{ Protocol all
 Routing Either }}
IpService ike {{ Protocol udp
 SourcePortRange 500 }}
IpService natt {{ Protocol udp
 SourcePortRange 4500 }}
IpService seven {{ Protocol udp
 {seven} 7000 }}
IpGenericFilterAction permit {{ IpFilterAction Permit }}
IpGenericFilterAction ipsec {{ IpFilterAction IpSec
 IpFilterLogging Yes }}
IpDataOffer gcm {{ HowToEncap Tunnel
 HowToEncrypt AES_GCM_16 KeyLength 128
 HowToAuth ESP NULL }}
IpDynVpnAction vpn {{ IpDataOfferRef gcm }}
IpLocalStartAction demand {{ AllowOnDemand Yes }}
IpLocalStartAction never {{ AllowOnDemand No }}
IpFilterPolicy {{
 IpFilterRule Ike {{ IpSourceAddr {home}
  IpDestAddr all4
  IpServiceRef ike
  IpServiceRef natt
  IpGenericFilterActionRef permit }}
 IpFilterRule Net {{ IpSourceAddr {inside}/24
  IpDestAddr {peer_inside}/24
  IpServiceRef all
  IpGenericFilterActionRef ipsec
  IpDynVpnActionRef vpn
  IpLocalStartActionRef demand }}
 IpFilterRule Six {{ IpSourceAddr {six}/64
  IpDestAddr {peer_six}/64
  IpServiceRef all
  IpGenericFilterActionRef ipsec
  IpDynVpnActionRef vpn
  IpLocalStartActionRef demand }}
 IpFilterRule Strict {{ IpSourceAddr {inside}/24
  IpDestAddr 10.3.0.0/24
  IpServiceRef all
  IpGenericFilterActionRef ipsec
  IpDynVpnActionRef vpn
  IpLocalStartActionRef never }}
 IpFilterRule Host {{ IpSourceAddr {home}
  IpDestAddr all4
  IpServiceRef seven
  IpGenericFilterActionRef ipsec
  IpDynVpnActionRef vpn
  IpLocalStartActionRef never }}
}}
"""


def inside(side, host):
    return INSIDE[side].rsplit(".", 1)[0] + ".%d" % host


def key(text, n=20):
    return hashlib.sha512(text.encode()).digest()[:n]


class Side:
    def __init__(self, name, ns):
        self.name, self.ns, self.pb = name, ns, rv.protos().stack
        self.daemon = rv.Daemon("stack-core", name, ns=ns)
        self.client = rv.Client("stack-core@" + name)
        self.events = rv.Subscriber("stack-core@" + name, "stack.acquire", "stack.tunnel.", "stack.spi.", "stack.sa.", "stack.filter.denied")
        self.early = []

    def call(self, method, reply="ChangedReply", **fields):
        q = getattr(self.pb, method + "Request")(**fields)
        return self.client.call("stack." + method, q, getattr(self.pb, reply), timeout=10)

    def event(self, topic, want=lambda m: True, seconds=5.0):
        """The next event @topic for which @want holds; what else came is kept for later questions."""
        kinds = {"stack.acquire": "Acquire", "stack.spi.unknown": "UnknownSpi", "stack.filter.denied": "FilterLog",
                 "stack.sa.up": "SaEvent", "stack.sa.down": "SaEvent"}
        end = time.monotonic() + seconds
        while True:
            for e in list(self.early):
                if e[0] != topic:
                    continue
                m = getattr(self.pb, kinds.get(topic, "TunnelEvent")).FromString(e[2])
                self.early.remove(e)
                if want(m):
                    return m
            e = self.events.next(max(0.0, end - time.monotonic()))
            if e is None:
                return None
            self.early.append(e)

    def forget(self):
        while self.events.next(0.05):
            pass
        self.early = []

    def tunnels(self, **kw):
        code, text, reply = self.call("DynamicTunnels", "DynamicTunnelsReply", **kw)
        return list(reply.tunnels) if code == 1 else text

    def counters(self):
        code, text, reply = self.client.call("stack.Counters", rv.protos().common.Empty(), self.pb.CountersReply)
        return {c.name: c.packets for c in reply.counters} if code == 1 else {}

    def filters(self):
        code, text, reply = self.call("Filters", "FiltersReply", kind="current", limit=1000)
        return reply.filters

    def description(self, tunnel="Y1", generation=1, rule="Net", spi=4096, udp=None, selector=None, transport=False, **more):
        """A DynamicTunnel for this side. SPIs and keys follow from the tunnel, the generation and the direction."""
        me, peer = self.name, OTHER[self.name]
        d = self.pb.DynamicTunnel(tunnel_id=tunnel, generation=generation, parent_id="K1", rule=rule, vpn_action="vpn",
                                  local=HOME[me], remote=HOME[peer], tunnel_mode=not transport, protocol=3, esp_transform=20, key_bits=128,
                                  auth=0, esn=True, owner_data=b"owner of " + tunnel.encode())
        s = selector or (inside(me, 0), inside(me, 255),
                         inside(peer, 0), inside(peer, 255))
        d.selector.local_low, d.selector.local_high, d.selector.remote_low, d.selector.remote_high = s
        for half, owner in ((d.__getattribute__("in"), me), (d.out, peer)):
            half.spi = spi + 10 * generation + (owner == "RIGHT")
            half.encryption_key = key("%s %d %d %s" % (tunnel, generation, spi, owner))
        if udp:
            d.udp, d.local_port, d.remote_port = True, udp[0], udp[1]
            if len(udp) > 2:
                d.remote = udp[2]
        for k, v in more.items():
            if k == "selector_more":
                for a, b in v.items():
                    setattr(d.selector, a, b)
            else:
                setattr(d, k, v)
        return d

    def install(self, **kw):
        return self.call("InstallTunnel", tunnel=self.description(**kw))

    def ready(self, tunnel="Y1", generation=1):
        return self.call("ReadyTunnel", tunnel_id=tunnel, generation=generation)

    def remove(self, tunnel="Y1", generation=0):
        return self.call("RemoveTunnel", tunnel_id=tunnel, generation=generation, why="test")

    def ping(self, target=None, count=3, wait=1, *more):
        p = rv.run("ping", "-c", count, "-i", "0.05", "-W", wait, *more, "-I", INSIDE[self.name], target or INSIDE[OTHER[self.name]], ns=self.ns)
        return rv.ping_rate(p.stdout)[1]


def both(what, *args, **kw):
    return [getattr(s, what)(*args, **kw)[0] for s in (left, right)]


def fresh():
    for s in (left, right):
        for t in {t.tunnel_id for t in s.tunnels()}:
            s.remove(t)
        s.forget()


net = rv.Net("rvd")
ns = {"LEFT": net.ns("l"), "RIGHT": net.ns("r"), "NAT": net.ns("n")}
net.veth(ns["LEFT"], "wire0", ns["NAT"], "left0", offloads=False)
net.veth(ns["RIGHT"], "wire0", ns["NAT"], "right0", offloads=False)
net.addr(ns["NAT"], "left0", GATE["LEFT"] + "/24")
net.addr(ns["NAT"], "right0", GATE["RIGHT"] + "/24")
rv.must("sysctl", "-qw", "net.ipv4.ip_forward=1", ns=ns["NAT"])
rv.run("safctl", "--init")
rv.saf_base(list(HOME))
for stack in HOME:
    for resource in ("EZB.IPSECCMD.{sysname}.%s.DISPLAY", "EZB.NETSTAT.{sysname}.%s.COUNTERS", "RAVELIN.STACK.{sysname}.%s.TUNNEL",
                     "EZB.NETMGMT.{sysname}.%s.EVENTS"):
        rv.permit(resource % stack, "IBMUSER")
    peer = OTHER[stack]
    rv.write("stacks/%s.profile" % stack, PROFILE.format(
        home=HOME[stack], inside=INSIDE[stack], gate=GATE[stack], six=SIX[stack], peer_six=SIX[peer],
        policy=rv.write("stacks/%s.policy" % stack, POLICY.format(
            home=HOME[stack], inside=inside(stack, 0), peer_inside=inside(peer, 0), six=SIX[stack], peer_six=SIX[peer],
            seven="DestinationPortRange" if stack == "LEFT" else "SourcePortRange"))))
left, right = Side("LEFT", ns["LEFT"]), Side("RIGHT", ns["RIGHT"])
time.sleep(0.5)


def sockets():
    """UDP 500 and 4500 of an address that is on a NIC reach an ordinary socket of this host, and large datagrams too."""
    echo = "import socket,sys\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\ns.bind((sys.argv[1],int(sys.argv[2])))\n" \
           "print('bound',flush=True)\nwhile True:\n d,a=s.recvfrom(65535)\n s.sendto(d[::-1],a)\n"
    ask = "import socket,sys\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\ns.bind((sys.argv[1],int(sys.argv[2])))\ns.settimeout(3)\n" \
          "d=bytes(4)+b'ike'*int(sys.argv[4])\ns.sendto(d,(sys.argv[3],int(sys.argv[2])))\nr,a=s.recvfrom(65535)\n" \
          "print(len(r) if r==d[::-1] else 'wrong')\n"
    for port in (500, 4500):
        server = rv.Process(["/usr/bin/python3", "-c", echo, HOME["RIGHT"], port], ns=ns["RIGHT"]).start()
        rv.until(lambda: "bound" in server.output(), 10)
        p = rv.run("/usr/bin/python3", "-c", ask, HOME["LEFT"], port, HOME["RIGHT"], 100, ns=ns["LEFT"])
        rv.check("a socket on the stack's address answers on UDP %d" % port, p.stdout.strip() == "304", p.stdout + p.stderr)
        p = rv.run("/usr/bin/python3", "-c", ask, HOME["LEFT"], port, HOME["RIGHT"], 2000, ns=ns["LEFT"])
        rv.check("a datagram of 6,004 bytes comes and goes in fragments on UDP %d" % port, p.stdout.strip() == "6004", p.stdout + p.stderr)
        server.kill()


def refusals():
    code = lambda **kw: left.install(**kw)[0]
    rv.check("refused: no such rule", code(rule="Nothing") == 4)
    rv.check("refused: the selector does not meet the rule", code(selector=("10.9.0.0", "10.9.0.1", "10.2.0.0", "10.2.0.1")) == 4)
    rv.check("refused: a tunnel id for manual tunnels", code(tunnel="M1") == 2)
    rv.check("refused: generation 0", code(generation=0) == 2)
    rv.check("refused: an SPI below 256", code(spi=1) == 2)
    rv.check("refused: a key of another length", code(key_bits=256) == 2)
    rv.check("refused: an algorithm that is not here", code(esp_transform=13) == 2)
    rv.check("refused: AH in UDP", code(protocol=2, esp_transform=0, auth=2, udp=(4500, 4500)) == 2)
    rv.check("refused: addresses of two families", code(remote="2001:db8::1") == 2)
    rv.check("refused: ready for what is not there", left.ready("Y9")[0] == 4)
    rv.check("removing what is not there changes nothing", left.remove("Y9")[2].changed == 0)
    rv.check("nothing of it is left", left.tunnels() == [] and not [f for f in left.filters() if f.type == "Dynamic"])
    q = left.pb.DynamicTunnelsRequest()
    rv.check("a stranger is refused", rv.run("stackctl", "-p", "LEFT", "sas", uid=rv.MALLORY_UID).returncode == 3)


def life():
    rv.check("both install", both("install", tunnel="Y1") == [1, 1])
    rv.check("the same again changes nothing", left.install(tunnel="Y1")[2].changed == 0)
    rv.check("its inbound SPI is in use", left.install(tunnel="Y2")[0] == 5)
    rv.check("inbound alone: state Installed", [t.state for t in left.tunnels()] == ["Installed"])
    types = [f.type for f in left.filters() if f.name == "Net"]
    rv.check("two dynamic filters before their anchors", types == ["Dynamic", "Dynamic Anchor", "Dynamic", "Dynamic Anchor"], types)
    dynamic = [f for f in left.filters() if f.type == "Dynamic"]
    rv.check("with the selector and the tunnel", dynamic[0].tunnel_id == "Y1" and dynamic[0].source in ("10.1.0.0-10.1.0.255", "10.1.0.0/24") and
             dynamic[0].vpn_action == "vpn", dynamic)
    rv.check("ready", both("ready") == [1, 1])
    rv.check("stack.sa.up says so", left.event("stack.sa.up", lambda m: m.sa.tunnel_id == "Y1"))
    rv.check("ping through the tunnel", left.ping() == 3)
    rv.check("first traffic is told", right.event("stack.tunnel.traffic", lambda m: (m.tunnel_id, m.generation) == ("Y1", 1)))
    t = left.tunnels()[0]
    rv.check("the listing has counters, owner data and no keys", t.out_packets >= 3 and t.in_packets >= 3 and t.in_bytes > 300 and
             t.owner_data == b"owner of Y1" and not t.out.encryption_key and t.out.spi and t.state == "Active" and t.filtered, t)
    sas = json.loads(rv.run("stackctl", "-p", "LEFT", "--json", "sas").stdout)["sas"]
    rv.check("stackctl sas shows it", [s["tunnel_id"] for s in sas] == ["Y1", "Y1"], sas)
    rv.check("fragments of the host go through whole", left.ping(None, 3, 1, "-s", "4000") == 3)
    iperf = subprocess.Popen(rv.in_ns(ns["RIGHT"]) + ["iperf3", "-s", "-1"], stdout=subprocess.DEVNULL)
    time.sleep(0.5)
    p = rv.run("iperf3", "-c", INSIDE["RIGHT"], "-t", "2", "-f", "m", ns=ns["LEFT"])
    m = re.search(r"([\d.]+) Mbits/sec\s+receiver", p.stdout)
    rv.check("TCP through the tunnel (%s Mbit/s)" % (m.group(1) if m else "?"), m and float(m.group(1)) > 20, p.stdout + p.stderr)
    iperf.kill()
    iperf.wait()
    text = rv.run("cat", rv.path("var/log/ravelin/stack-core@LEFT.audit")).stdout
    rv.check("audited: 77", '"type":119,"subtype":77' in text and key("Y1 1 4096 LEFT").hex() not in text, text[-500:])


def rekey():
    """A ping flood runs while generations change: not one packet may be lost. It ends by a count: at a deadline (-w) ping does not wait
    for its last answer, and calls that a loss."""
    flood = subprocess.Popen(rv.in_ns(ns["LEFT"]) + ["ping", "-i", "0.002", "-c", "3500", "-W", "2", "-I", INSIDE["LEFT"], INSIDE["RIGHT"]],
                             stdout=subprocess.PIPE, text=True)
    time.sleep(0.5)
    good = True
    for generation in range(2, 8):
        good &= both("install", generation=generation) == [1, 1]
        time.sleep(0.1)
        good &= right.ready(generation=generation)[0] == 1
        time.sleep(0.1)
        good &= left.ready(generation=generation)[0] == 1
        time.sleep(0.3)
        good &= left.remove(generation=generation - 1)[2].changed == 1 and right.remove(generation=generation - 1)[2].changed == 1
    text = flood.communicate()[0]
    sent, received = rv.ping_rate(text)
    missing = sorted(set(range(1, sent + 1)) - {int(n) for n in re.findall(r"icmp_seq=(\d+) ttl", text)})
    rv.check("six rekeys under load", good)
    rv.check("no packet was lost (%d sent, %d came back)" % (sent, received), sent == 3500 and received == sent, "missing: %s" % missing[:20])
    rv.check("one generation is left", [t.generation for t in left.tunnels()] == [7])
    rv.check("each told its first traffic", right.event("stack.tunnel.traffic", lambda m: m.generation == 7))
    left.install(generation=8)
    left.ready(generation=8)
    rv.check("an older one is a shadow", {t.generation: t.state for t in left.tunnels()} == {7: "Shadow", 8: "Active"}, left.tunnels())
    rv.check("and takes over when the newer one goes", left.remove(generation=8)[2].changed == 1 and left.ping() == 3)


def anchors():
    fresh()
    c = left.counters()
    rv.check("no tunnel: nothing passes", left.ping(count=2) == 0)
    m = left.event("stack.acquire")
    rv.check("but it is asked for, once", m and m.rule == "Net" and m.vpn_action == "vpn" and m.source == INSIDE["LEFT"] and
             m.destination == INSIDE["RIGHT"] and m.protocol == 1 and m.held and not left.event("stack.acquire", seconds=0.5), m)
    rv.check("its packets waited, and were counted", rv.until(lambda: left.counters().get("HELD", 0) >= c.get("HELD", 0) + 1, 3))
    time.sleep(6)
    left.forget()
    waiting = subprocess.Popen(rv.in_ns(ns["LEFT"]) + ["ping", "-c", "1", "-W", "5", "-I", INSIDE["LEFT"], INSIDE["RIGHT"]],
                               stdout=subprocess.PIPE, text=True)
    m = left.event("stack.acquire")
    both("install", tunnel="Y2", spi=8192)
    both("ready", "Y2")
    rv.check("the packet that asked goes through when the tunnel is ready", m and rv.ping_rate(waiting.communicate()[0]) == (1, 1))
    rv.check("no on demand: denied, with EZD0821I", left.ping("10.3.0.9", 1) == 0 and
             left.event("stack.filter.denied", lambda m: "EZD0821I" in m.message and m.rule == "Strict"))
    rv.check("and nobody is asked", not left.event("stack.acquire", lambda m: m.rule == "Strict", seconds=0.5))
    right.remove("Y2")
    left.ping(count=1)
    m = right.event("stack.spi.unknown")
    rv.check("an unknown SPI is told", m and m.remote == HOME["LEFT"] and m.spi == left.tunnels()[0].out.spi and m.protocol == 3, m)


def selectors():
    """RFC 4301 5.2: what comes out of a tunnel must be what it was negotiated for; two tunnels of one selector both serve."""
    fresh()
    narrow = ("10.1.0.1", "10.1.0.1", "10.2.0.1", "10.2.0.1")
    far = ("10.2.0.1", "10.2.0.1", "10.1.0.77", "10.1.0.77")
    rv.check("tunnels that disagree", left.install(tunnel="Y3", selector=narrow)[0] == 1 and right.install(tunnel="Y3", selector=far)[0] == 1)
    both("ready", "Y3")
    rv.check("a packet outside of its tunnel's selector is denied", left.ping(count=2) == 0)
    rv.check("with EZD0833I", right.event("stack.filter.denied", lambda m: "EZD0833I" in m.message and m.rule == "Net" and m.inbound))
    rv.check("counted", right.counters().get("FILTER_TUNNEL", 0) >= 1)
    fresh()
    both("install", tunnel="Y4", spi=20000)
    both("install", tunnel="Y5", spi=30000)
    left.ready("Y4")
    right.ready("Y5")
    rv.check("each end uses another of two equal tunnels: both serve", left.ping() == 3)
    fresh()
    rv.check("in clear what should be protected: denied", plain_in() and
             right.event("stack.filter.denied", lambda m: "EZD0833I" in m.message and m.source == "10.1.0.50"))


def plain_in():
    """A packet from 10.1.0.50 to the right's inside comes over the wire in clear."""
    rv.must("ip", "addr", "replace", "10.1.0.50/32", "dev", "right0", ns=ns["NAT"])
    rv.must("ip", "route", "replace", "10.2.0.0/24", "via", HOME["RIGHT"], ns=ns["NAT"])
    before = right.counters().get("FILTER_CLEAR", 0)
    rv.run("ping", "-c", "1", "-W", "1", "-I", "10.1.0.50", INSIDE["RIGHT"], ns=ns["NAT"])
    return rv.until(lambda: right.counters().get("FILTER_CLEAR", 0) > before, 3)


def lifetimes():
    fresh()
    now = time.time()
    soon = {"soft_us": int((now + 1.5) * 1e6), "hard_us": int((now + 4) * 1e6)}
    rv.check("a tunnel with little time", left.install(tunnel="Y6", **soon)[0] == 1 and right.install(tunnel="Y6")[0] == 1)
    both("ready", "Y6")
    rv.check("works", left.ping() == 3)
    m = left.event("stack.tunnel.soft", seconds=6)
    rv.check("soft time is told", m and (m.tunnel_id, m.generation, m.why) == ("Y6", 1, "time") and left.ping(count=1) == 1, m)
    m = left.event("stack.tunnel.hard", seconds=8)
    rv.check("hard time is told", m and m.why == "time", m)
    rv.check("and it is used no more", left.ping(count=1) == 0 and left.tunnels()[0].state == "Expired")
    fresh()
    left.install(tunnel="Y7", soft_bytes=5000, hard_bytes=20000)
    right.install(tunnel="Y7")
    both("ready", "Y7")
    left.ping(None, 5, 1, "-s", "1000")
    m = left.event("stack.tunnel.soft", seconds=4)
    rv.check("soft bytes are told", m and m.why == "bytes", m)
    got = left.ping(None, 40, 1, "-s", "1000")
    m = left.event("stack.tunnel.hard", seconds=4)
    rv.check("hard bytes stop it at once", m and m.why == "bytes" and got < 25, "%s, %d of 40 passed" % (m, got))


def udp():
    fresh()
    rv.check("ESP in UDP installs", both("install", tunnel="Y8", udp=(4500, 4500)) == [1, 1])
    both("ready", "Y8")
    dump = rv.Process(["tcpdump", "-ni", "right0", "-l", "-c", "2000"], ns=ns["NAT"]).start()
    time.sleep(1)
    rv.check("ping through it", left.ping() == 3)
    rv.check("and 1,400 bytes, and fragments", left.ping(None, 2, 1, "-s", "1400") == 2 and left.ping(None, 2, 1, "-s", "3000") == 2)
    time.sleep(0.5)
    dump.stop()
    rv.check("the wire shows UDP-encap ESP", len(re.findall(r"4500: UDP-encap: ESP", dump.output())) >= 6, dump.output()[-800:])
    rv.check("filters of a NAT's tunnel are named so", {"NATT Dynamic", "NATT Anchor"} <= {f.type for f in left.filters()},
             [f.type for f in left.filters()])
    sockets()
    server = subprocess.Popen(rv.in_ns(ns["RIGHT"]) + ["iperf3", "-s", "-1"], stdout=subprocess.DEVNULL)
    time.sleep(0.5)
    p = rv.run("iperf3", "-c", INSIDE["RIGHT"], "-t", "2", "-f", "m", ns=ns["LEFT"])
    m = re.search(r"([\d.]+) Mbits/sec\s+receiver", p.stdout)
    rv.check("TCP through it (%s Mbit/s)" % (m.group(1) if m else "?"), m and float(m.group(1)) > 20, p.stdout + p.stderr)
    server.kill()
    server.wait()
    before = right.counters().get("KEEPALIVE", 0)
    rv.run("/usr/bin/python3", "-c", "import socket\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\ns.bind(('%s',4500))\n"
           "s.sendto(b'\\xff',('%s',4500))" % (HOME["LEFT"], HOME["RIGHT"]), ns=ns["LEFT"])
    rv.check("keepalives are swallowed and counted", rv.until(lambda: right.counters().get("KEEPALIVE", 0) == before + 1, 3))


def six():
    """IPv6 through the IPv4 tunnel, on demand, by ESP in UDP and by ESP with AES-CBC and HMAC-SHA-256."""
    def ping6(count=3, wait=1):
        return rv.ping_rate(rv.run("ping", "-c", count, "-i", "0.05", "-W", wait, "-s", "1200", SIX["RIGHT"] + "1", ns=ns["LEFT"]).stdout)[1]
    cbc = {"esp_transform": 12, "key_bits": 256, "auth": 5}
    for kind, more in (("UDP", {"udp": (4500, 4500)}), ("CBC", cbc)):
        fresh()
        rv.check("IPv6 (%s): asks for a tunnel" % kind, ping6(1) == 0 and left.event("stack.acquire", lambda m: m.rule == "Six"))
        time.sleep(5.5 if kind == "UDP" else 0)
        good = True
        for s in (left, right):
            me, peer = SIX[s.name], SIX[OTHER[s.name]]
            d = s.description(tunnel="Y60", rule="Six", selector=(me, me[:-1] + "0:ffff:ffff:ffff:ffff", peer, peer[:-1] + "0:ffff:ffff:ffff:ffff"), **more)
            if kind == "CBC":
                for half in (d.__getattribute__("in"), d.out):
                    half.authentication_key = key("auth %d" % half.spi, 32)
                    half.encryption_key = key("cipher %d" % half.spi, 32)
            d.outbound_ready = True
            good &= s.call("InstallTunnel", tunnel=d)[0] == 1
        rv.check("IPv6 (%s): installs ready at once, and passes" % kind, good and ping6() == 3)


def nat(port):
    rv.run("nft", "flush", "ruleset", ns=ns["NAT"])
    p = rv.run("nft", "-f", "-", ns=ns["NAT"], stdin="table ip n { chain post { type nat hook postrouting priority 100;\n"
               "oifname right0 ip protocol udp masquerade to :%d\n}\n}\n" % port)
    if p.returncode:
        raise RuntimeError("nft: " + p.stderr)
    time.sleep(3)  # what the NAT remembers expires after one second


def natted():
    """The left is behind a NAT; the right knows its public address, and learns when the NAT changes the port."""
    fresh()
    nat(40001)
    rv.must("sysctl", "-qw", "net.netfilter.nf_conntrack_udp_timeout=1", "net.netfilter.nf_conntrack_udp_timeout_stream=1", ns=ns["NAT"])
    nat(40001)
    udp_left, udp_right = (4500, 4500), (4500, 40001, GATE["RIGHT"])
    rv.check("tunnel through a NAT", left.install(tunnel="Y9", udp=udp_left)[0] == 1 and right.install(tunnel="Y9", udp=udp_right)[0] == 1)
    both("ready", "Y9")
    rv.check("ping through the NAT", left.ping() == 3)
    right.forget()
    nat(40002)
    rv.until(lambda: left.ping(count=1) == 1, 0.1)
    left.ping(count=2)
    m = right.event("stack.tunnel.moved", seconds=5)
    rv.check("the NAT's new port is noticed", m and m.tunnel_id == "Y9" and m.remote == GATE["RIGHT"] and m.remote_port == 40002, m)
    code = right.call("MoveTunnel", tunnel_id="Y9", remote=m.remote if m else "", remote_port=m.remote_port if m else 0)[0]
    rv.check("the tunnel moves without a new key", code == 1 and left.ping() == 3 and right.tunnels()[0].remote_port == 40002)
    fresh()
    # Transport mode: packets show the NAT's address; checksums were made over the one behind it.
    nat(40003)
    sel_left = (HOME["LEFT"], HOME["LEFT"], HOME["RIGHT"], HOME["RIGHT"])
    sel_right = (HOME["RIGHT"], HOME["RIGHT"], HOME["LEFT"], HOME["LEFT"])
    ok = left.install(tunnel="Y10", rule="Host", transport=True, udp=udp_left, selector=sel_left, nat_oa_remote=HOME["RIGHT"], nat_oa_local=GATE["RIGHT"],
                      selector_more={"protocol": 17, "remote_port": 7000})[0] == 1
    ok &= right.install(tunnel="Y10", rule="Host", transport=True, udp=(4500, 40003, GATE["RIGHT"]), selector=sel_right,
                        nat_oa_remote=HOME["LEFT"], nat_oa_local=HOME["RIGHT"], selector_more={"protocol": 17, "local_port": 7000})[0] == 1
    rv.check("transport mode through a NAT installs", ok)
    both("ready", "Y10")
    server = rv.Process(["/usr/bin/python3", "-c", "import socket\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\ns.bind(('%s',7000))\n"
                         "print('bound',flush=True)\nwhile True:\n d,a=s.recvfrom(999)\n print(d,a[0],flush=True)\n s.sendto(d*2,a)" % HOME["RIGHT"]],
                        ns=ns["RIGHT"]).start()
    rv.until(lambda: "bound" in server.output(), 10)
    p = rv.run("/usr/bin/python3", "-c", "import socket\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\ns.bind(('%s',0))\ns.settimeout(3)\n"
               "s.sendto(b'abc',('%s',7000))\nprint(s.recv(99))" % (HOME["LEFT"], HOME["RIGHT"]), ns=ns["LEFT"])
    rv.check("a datagram arrives with its checksum corrected, and its answer", "abcabc" in p.stdout and GATE["RIGHT"] in server.output(),
             p.stdout + p.stderr + server.output())
    server.kill()


def many():
    """A thousand tunnels: quick to install, listed in pages, quick to remove."""
    fresh()
    start = time.monotonic()
    good = 0
    for i in range(1000):
        d = left.description(tunnel="Y%d" % (1000 + i), spi=100000 + 100 * i, selector=("10.1.0.%d" % (i % 250),) * 2 + ("10.2.0.%d" % (i // 250),) * 2)
        good += left.call("InstallTunnel", tunnel=d)[0] == 1
    took = time.monotonic() - start
    rv.check("1,000 tunnels install (%.0f a second)" % (1000 / took), good == 1000 and took < 20)
    seen, after, pages = set(), 0, 0
    while True:
        code, text, reply = left.call("DynamicTunnels", "DynamicTunnelsReply", after=after)
        seen |= {t.tunnel_id for t in reply.tunnels}
        pages += 1
        if not reply.HasField("next"):
            break
        after = reply.next
    rv.check("and are listed in pages", len(seen) == 1000 and pages > 2 and reply.total == 1000 and reply.boot_id)
    sizes = [left.remove("Y%d" % (1000 + i))[2].changed for i in range(1000)]
    rv.check("all go", sum(sizes) == 1000 and left.tunnels() == [] and not [f for f in left.filters() if f.type == "Dynamic"])


def reload():
    """The policy is read again: dynamic filters stand in front of the new anchors."""
    fresh()
    both("install", tunnel="Y20")
    both("ready", "Y20")
    rv.check("a tunnel before the reload", left.ping() == 3)
    left.daemon.reload()
    time.sleep(1)
    rv.check("and after it", left.ping() == 3 and [t.filtered for t in left.tunnels()] == [True])


for part in (sockets, refusals, life, rekey, anchors, selectors, lifetimes, udp, six, natted, many, reload):
    if len(sys.argv) < 2 or part.__name__ in sys.argv[1:]:
        part()
for s in (left, right):
    s.client.close()
    s.events.close()
    rv.check("stack %s ends in order" % s.name, s.daemon.stop() == 0, s.daemon.output()[-1000:])
sys.exit(rv.finish())
