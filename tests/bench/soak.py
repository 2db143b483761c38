#!/usr/bin/python3
"""soak: two stacks at full speed for a long time, with everything changing under them: tests/bench/soak.py [MINUTES], 30 unless given.

Between them are two dynamic tunnels, IPv4 by ESP in UDP and IPv6 by bare ESP. All the time both are rekeyed every two seconds, defensive
filters come and go, profiles are reloaded, and LEFT is restarted with a handover, RIGHT never is. Under that, in turns:

  TCP in four streams by each tunnel, with pings of one packet and of several fragments
  a flood of UDP datagrams, as many as the kernel takes; of 64 bytes, of 1200 and of fragments, by IPv4 and IPv6, either way

and between them the wire goes down for a moment. What is promised: TCP never fails; each datagram that the kernel took is received or
counted by the stacks or by the kernel, to the packet; the memory that the stacks have (what they have touched of it is told, too: pools and
tables are there from the beginning, and are touched as bursts and flows need them) and their descriptors stay what they were after the first
tenth.

The kernel counts a super-packet that a ring has no room for as one. How many packets such losses were is what one stack sealed and
the other had nothing of, to open or to drop; and it is believed only if it fits what the kernel and the stack counted there.

Lines as of tests/bench/run: soak.tcp, soak.udp.unaccounted, ..., soak.memory.right; exit status 1 when a promise broke."""
import copy
import json
import os
import random
import re
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import rv
from dynpair import ME, POLICY, generation
from kept import Kept

PROFILE = """IPCONFIG IPSECURITY
IPCONFIG6 IPSECURITY
INTERFACE WIRE DEFINE AFPACKET DEVICE wire0 IPADDR 192.0.2.{me}/24 IPADDR 2001:db8::{me}/64
INTERFACE HOST DEFINE TUN DEVICE tun0 IPADDR 10.{me}.0.1/24 IPADDR 2001:db8:{me}::1/64
IPSEC
  IPSECRULE * * NOLOG PROTO ICMPV6
ENDIPSEC
WORKERS 2
BEGINROUTES
 ROUTE 10.{peer}.0.0/24 192.0.2.{peer} WIRE
 ROUTE 2001:db8:{peer}::/64 2001:db8::{peer} WIRE
{more}ENDROUTES
IPSECPOLICY '{policy}'
"""
RULE6 = """ IpFilterRule Net6 {{ IpSourceAddr 2001:db8:{me}::/64
  IpDestAddr 2001:db8:{peer}::/64
  IpServiceRef all
  IpGenericFilterActionRef ipsec
  IpDynVpnActionRef vpn
  IpLocalStartActionRef never }}
 IpFilterRule Near6 {{ IpSourceAddr 2001:db8::/64
  IpDestAddr 2001:db8::/64
  IpServiceRef all
  IpGenericFilterActionRef permit }}
"""
PERMIT = "IpGenericFilterAction permit {{ IpFilterAction Permit }}\n"
FLOODS = [(4, 64, 0), (6, 64, 0), (4, 1200, 0), (4, 4000, 2000), (6, 1200, 0), (6, 4000, 2000)]  # family, bytes, datagrams a second
TCP_SECONDS, FLOOD_SECONDS, RESTART_SECONDS, FILTERS = 16, 8, 25, 5000
CHATTER = re.compile("ARP_|ND_|IP_MULTICAST|IP_LINK_LOCAL|LINK_TYPE|LINK_OTHER_HOST|ICMP_|FILTER_IMPLICIT")  # of the hosts; no datagram of the flood
SUPER = 64  # datagrams that a super-packet may be
broken = []


def say(text):
    print("soak: " + text, file=sys.stderr, flush=True)


def promise(what, kept, detail=""):
    if not kept:
        broken.append(what)
        say("%s %s" % (what, detail))


def profile(name, more=""):
    me = ME[name]
    text = PERMIT + POLICY[:POLICY.rindex("}}")] + RULE6 + "}}\n"
    policy = rv.write("stacks/%s.policy" % name, text.format(me=me, peer=3 - me))
    rv.write("stacks/%s.profile" % name, PROFILE.format(me=me, peer=3 - me, more=more, policy=policy))


class Stack:
    def __init__(self, name, ns):
        self.name, self.ns, self.me, self.peer, self.pb = name, ns, ME[name], 3 - ME[name], rv.protos().stack
        profile(name)
        self.daemon = Kept(name, ns)
        self.client = None
        self.memory, self.touched, self.fds, self.ids, self.random = [], [], [], [], random.Random(self.me)

    def call(self, method, request, reply):
        if not self.client:
            self.client = rv.Client("stack-core@" + self.name)
        code, text, got = self.client.call("stack." + method, request, reply, timeout=30)
        if code != 1:
            raise RuntimeError("%s %s: %s %s" % (self.name, method, code, text))
        return got

    def tunnels(self, number):
        one = generation(self.name, number, udp=True)
        two = copy.deepcopy(one)
        two.tunnel_id, two.parent_id, two.rule = "Y2", "K2", "Net6"
        two.local, two.remote = "2001:db8::%d" % self.me, "2001:db8::%d" % self.peer
        for field in "udp", "local_port", "remote_port":
            two.ClearField(field)
        for side, who in ("local", self.me), ("remote", self.peer):
            setattr(two.selector, side + "_low", "2001:db8:%d::" % who)
            setattr(two.selector, side + "_high", "2001:db8:%d:0:ffff:ffff:ffff:ffff" % who)
        for half in getattr(two, "in"), two.out:
            half.spi += 8
        return one, two

    def install(self, number):
        for t in self.tunnels(number):
            self.call("InstallTunnel", self.pb.InstallTunnelRequest(tunnel=t), self.pb.ChangedReply)

    def ready(self, number):
        for t in "Y1", "Y2":
            self.call("ReadyTunnel", self.pb.ReadyTunnelRequest(tunnel_id=t, generation=number), self.pb.ChangedReply)

    def remove(self, number):
        for t in "Y1", "Y2":
            self.call("RemoveTunnel", self.pb.RemoveTunnelRequest(tunnel_id=t, generation=number, why="soak"), self.pb.ChangedReply)

    def churn(self):
        """A hundred defensive filters come, the oldest hundred go; none concerns the traffic."""
        q = self.pb.DefendRequest()
        for _ in range(100):
            i = self.random.getrandbits(48) | 1
            self.ids.append(i)
            q.add.add(id=i, name="N%x" % i, family=4, inbound=True, routing=3, expires_us=int((time.time() + 86400) * 1e6),
                      source="198.%d.%d.%d/32" % (18 + i % 2, i >> 8 & 255, i >> 16 & 255))
        if len(self.ids) > FILTERS:
            q.remove.extend(self.ids[:100])
            del self.ids[:100]
        self.call("Defend", q, self.pb.DefendReply)

    def reload(self, turn):
        profile(self.name, more=" ROUTE 10.9.%d.0/24 192.0.2.%d WIRE\n" % (turn % 200, self.peer))
        self.daemon.reload()

    def restart(self):
        self.client.close()
        self.client = None
        began = time.monotonic()
        promise("%s ended badly" % self.name, self.daemon.stop(30) == 0, self.daemon.output()[-1000:])
        self.daemon.start(60)
        return time.monotonic() - began

    def drops(self):
        got = self.call("Counters", rv.protos().common.Empty(), self.pb.CountersReply)
        return {"%s.%s" % (self.name, c.name if c.drop else "pass." + c.name): c.packets for c in got.counters
                if c.packets and (c.drop or c.name in ("ENCAP", "DECAP"))}

    def sample(self):
        pid = self.daemon.p.pid
        with open("/proc/%d/status" % pid) as f:
            text = f.read()
        self.memory.append(int(re.search(r"VmData:\s+(\d+)", text)[1]))
        self.touched.append(int(re.search(r"VmRSS:\s+(\d+)", text)[1]))
        self.fds.append(len(os.listdir("/proc/%d/fd" % pid)))


class Ledger:
    """Everything that is counted between a datagram's send(2) and its recv(2): the stacks' drops and the kernel's, of both namespaces."""

    def __init__(self, stacks):
        self.stacks = stacks

    @staticmethod
    def kernel(s):
        got = {}
        for link in json.loads(rv.must("ip", "-s", "-j", "link", ns=s.ns)):
            n, st = link["ifname"], link["stats64"]
            if n == "tun0":
                got[n + ".rx"] = st["rx"]["dropped"] + st["rx"]["errors"]
            if n in ("tun0", "wire0"):
                got[n + ".tx"] = st["tx"]["dropped"] + st["tx"]["errors"]
        for q in json.loads(rv.must("tc", "-s", "-j", "qdisc", "show", ns=s.ns)):
            if q.get("root") and q["dev"] in ("tun0", "wire0"):
                got[q["dev"] + ".qdisc"] = q["drops"]
        text = rv.must("cat", "/proc/net/snmp", ns=s.ns).splitlines()
        for names, values in zip(text[::2], text[1::2]):
            table = dict(zip(names.split()[1:], values.split()[1:]))
            for k in {"Udp:": ["InErrors", "NoPorts"], "Ip:": ["InDiscards", "InHdrErrors"]}.get(names.split()[0], []):
                got[names.split()[0] + k] = int(table[k])
        six = dict(line.split() for line in rv.must("cat", "/proc/net/snmp6", ns=s.ns).splitlines())
        for k in "Udp6InErrors", "Udp6NoPorts":
            got[k] = int(six[k])
        tun = dict(line.split() for line in rv.must("cat", "/proc/net/dev_snmp6/tun0", ns=s.ns).splitlines())  # on wire0 the host has no IPv6
        for k in "Ip6InDiscards", "Ip6InHdrErrors":
            got[k] = int(tun[k])
        return {s.name + ".kernel." + k: v for k, v in got.items()}

    def take(self):
        now = {}
        for s in self.stacks:
            now.update(self.kernel(s))
            now.update({k: v for k, v in s.drops().items() if not CHATTER.search(k)})
        return now


class Churn(threading.Thread):
    """What changes under the traffic; it holds @lock while it does, so that nobody looks at counters of a stack that is not there."""

    def __init__(self, left, right):
        super().__init__(daemon=True)
        self.left, self.right, self.lock, self.ended, self.error = left, right, threading.Lock(), threading.Event(), None
        self.rekeys, self.restarts = 1, 0

    def rekey(self):
        self.rekeys += 1
        for act in (lambda s: s.install(self.rekeys)), (lambda s: s.ready(self.rekeys)):
            for s in (self.left, self.right):
                act(s)
        time.sleep(0.5)  # what was sent before is on its way
        for s in (self.left, self.right):
            s.remove(self.rekeys - 1)

    def run(self):
        turn, restarted = 0, time.monotonic()
        try:
            while not self.ended.wait(1.5):
                turn += 1
                with self.lock:
                    self.rekey()
                    for s in (self.left, self.right):
                        s.churn()
                        s.sample()
                    if turn % 5 == 0:
                        (self.left if turn % 10 else self.right).reload(turn)
                    if time.monotonic() > restarted + RESTART_SECONDS:
                        self.left.restart()
                        self.restarts += 1
                        restarted = time.monotonic()
        except Exception as e:  # told by the main thread
            self.error = e


def tcp(left, right, turn):
    """Gbit/s of four streams each by IPv4 and IPv6; what pings were lost."""
    servers, clients, rates = [], [], []
    for i, a in enumerate(("10.2.0.1", "2001:db8:2::1")):
        servers.append(rv.Process(["iperf3", "-s", "-1", "-p", 5301 + i], ns=right.ns).start())
        rv.until(lambda: ":%d" % (5301 + i) in rv.run("ss", "-Hltn", ns=right.ns).stdout, 10)
        clients.append(rv.Process(["iperf3", "-c", a, "-p", 5301 + i, "-t", TCP_SECONDS, "-P", 4, "-f", "m", *(["-R"] if (turn + i) % 2 else [])],
                                  ns=left.ns).start())
    pings = [subprocess.Popen(rv.in_ns(left.ns) + ["ping", "-q", "-i", "0.05", "-c", str(20 * (TCP_SECONDS - 4)), "-W", "8", "-s", size, a],
                              stdout=subprocess.PIPE, text=True)
             for a, size in (("10.2.0.1", "56"), ("10.2.0.1", "4000"), ("2001:db8:2::1", "56"), ("2001:db8:2::1", "4000"))]
    for c in clients:
        rc = c.wait(TCP_SECONDS + 60)
        m = re.findall(r"SUM.*?([\d.]+) Mbits/sec.*receiver", c.output())
        promise("TCP failed", rc == 0 and m, c.output()[-500:])
        rates.append(float(m[-1]) / 1000 if m else 0.0)
    lost = 0
    for p in pings:
        sent, received = rv.ping_rate(p.communicate()[0])
        lost += sent - received
    for s in servers:
        s.kill()
    return sum(rates), lost


def flood(one, other, family, size, rate):
    """(sent, received)"""
    address = "10.%d.0.1" % other.me if family == 4 else "2001:db8:%d::1" % other.me
    sink = rv.Process([rv.program("load"), "receive", address, "7000"], ns=other.ns).start()
    rv.until(lambda: ":7000" in rv.run("ss", "-Hlun", ns=other.ns).stdout, 10)
    sent = int(rv.run("load", "send", address, 7000, size, FLOOD_SECONDS, rate, ns=one.ns, timeout=FLOOD_SECONDS + 60).stdout)
    time.sleep(1.5)  # queues become empty
    sink.signal(15)
    sink.wait(30)
    return sent, int(sink.output().split()[-1])


class Tally:
    def __init__(self):
        self.tcp, self.sent, self.received, self.counted, self.unaccounted, self.pings_lost, self.pings_unaccounted = [], 0, 0, 0, [], 0, 0

    @staticmethod
    def wire(one, other, moved):
        """(what the kernel and @other counted as lost before @other had it, how many packets that were)"""
        events = sum(moved.pop("%s.%s" % (other.name, k), 0) for k in ("LINK_OVERRUN", "LINK_NO_BUFFER"))
        sealed, opened = moved.pop(one.name + ".pass.ENCAP", 0), moved.pop(other.name + ".pass.DECAP", 0)
        for s in (one, other):
            for k in ("ENCAP", "DECAP"):
                moved.pop("%s.pass.%s" % (s.name, k), None)
        behind = sum(n for k, n in moved.items() if re.match(one.name + r"\.(LINK|NEIGH)_(TX|DOWN|QUEUE|TIMEOUT|RING)", k))
        refused = sum(n for k, n in moved.items() if re.match(other.name + r"\.(ESP|AH)_", k))
        return events, sealed - behind - opened - refused

    def flooded(self, what, ends, sent, received, before, after):
        moved = {k: after[k] - before.get(k, 0) for k in after if after[k] != before.get(k, 0)}
        events, wire = self.wire(*ends, moved)
        if events or wire:
            moved["wire (%d counted)" % events] = wire
        counted = sum(moved.values())
        self.sent += sent
        self.received += received
        self.counted += counted
        left = sent - received - counted
        if what[1] > 1500:  # a datagram is lost with its first lost fragment, of which it has three
            left = max(0, left) or min(0, 3 * (sent - received) - counted)
        if not 0 <= wire <= events * SUPER:
            left = left or wire
        self.unaccounted.append(left)
        say("IPv%d %d bytes: sent %d, received %d, counted %d, unaccounted %d %s" % (what[0], what[1], sent, received, counted, left, moved))


def cycle(left, right, churn, ledger, tally, turn):
    def snapshot():
        with churn.lock:
            return ledger.take()

    before = snapshot()
    rate, lost = tcp(left, right, turn)
    time.sleep(1)
    after = snapshot()
    tally.tcp.append(rate)
    tally.pings_lost += lost
    counted = sum(after[k] - before.get(k, 0) for k in after if ".pass." not in k)
    tally.pings_unaccounted += max(0, lost - counted)
    what = FLOODS[turn % len(FLOODS)]
    one, other = (left, right) if turn // len(FLOODS) % 2 == 0 else (right, left)
    before = snapshot()
    sent, received = flood(one, other, *what)
    tally.flooded(what, (one, other), sent, received, before, snapshot())
    rv.must("ip", "link", "set", "wire0", "down", ns=right.ns)
    time.sleep(0.2)
    rv.must("ip", "link", "set", "wire0", "up", ns=right.ns)
    back = all(rv.until(lambda: rv.run("ping", "-c1", "-W1", a, ns=left.ns).returncode == 0, 20) for a in ("10.2.0.1", "2001:db8:2::1"))
    promise("nothing passes after the wire was down", back)


def settle(left, right):
    for s in (left, right):
        s.install(1)
    for s in (left, right):
        s.ready(1)
    for a in "10.2.0.1", "2001:db8:2::1":
        if not rv.until(lambda: rv.run("ping", "-c1", "-W1", a, ns=left.ns).returncode == 0, 20):
            raise RuntimeError("nothing passes to %s: %s" % (a, left.drops()))


def main():
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 30
    net = rv.Net("rvsoak")
    ns = {"LEFT": net.ns("l"), "RIGHT": net.ns("r")}
    net.veth(ns["LEFT"], "wire0", ns["RIGHT"], "wire0")
    rv.run("safctl", "--init")
    rv.saf_base(list(ME))
    for stack in ME:
        for resource in ("RAVELIN.STACK.{sysname}.%s.TUNNEL", "RAVELIN.STACK.{sysname}.%s.DEFEND", "EZB.NETSTAT.{sysname}.%s.COUNTERS"):
            rv.permit(resource % stack, "IBMUSER")
    left, right = Stack("LEFT", ns["LEFT"]), Stack("RIGHT", ns["RIGHT"])
    settle(left, right)
    churn, ledger, tally, turn = Churn(left, right), Ledger((left, right)), Tally(), 0
    churn.start()
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end and not churn.error:
        cycle(left, right, churn, ledger, tally, turn)
        turn += 1
        say("%d rekeys, %d restarts, %.1f min left, memory %d and %d KiB, TCP %.2f Gbit/s, pings lost %d" % (churn.rekeys, churn.restarts,
            (end - time.monotonic()) / 60, left.touched[-1], right.touched[-1], tally.tcp[-1], tally.pings_lost))
    churn.ended.set()
    churn.join()
    promise("changing things failed", not churn.error, churn.error)
    report(left, right, churn, tally)
    return 1 if broken else 0


def level(values):
    """(after the first tenth, at the end): medians of a tenth each."""
    n = max(1, len(values) // 10)
    return sorted(values[n:2 * n])[n // 2] if len(values) >= 2 * n else values[0], sorted(values[-n:])[n // 2]


def report(left, right, churn, tally):
    rates = sorted(tally.tcp)
    print("soak.tcp\t%.2f\tGbit/s\tfailed\t%d\t-" % (rates[len(rates) // 2], sum(r == 0 for r in rates)))
    print("soak.udp.received\t%d\tpackets\tsent\t%d\t%.3f" % (tally.received, tally.sent, tally.received / max(1, tally.sent)))
    print("soak.udp.unaccounted\t%d\tpackets\tcounted drops\t%d\t-" % (sum(abs(n) for n in tally.unaccounted), tally.counted))
    promise("datagrams were lost that no counter knows", not any(tally.unaccounted), tally.unaccounted)
    print("soak.ping.unaccounted\t%d\tpackets\tlost\t%d\t-" % (tally.pings_unaccounted, tally.pings_lost))
    promise("pings were lost that no counter knows", not tally.pings_unaccounted)
    print("soak.rekeys\t%d\t-\trestarts\t%d\t-" % (churn.rekeys, churn.restarts))
    pauses = sorted(left.daemon.pauses())
    if pauses:
        print("soak.pause\t%d\tms\tlongest\t%d\t-" % (pauses[len(pauses) // 2], pauses[-1]))
    promise("a restart took nothing over", len(pauses) == churn.restarts, pauses)
    for s in (left, right):
        for what, unit, values, more in ("memory", "KiB", s.memory, 2048), ("fds", "-", s.fds, 4):
            first, last = level(values)
            print("soak.%s.%s\t%d\t%s\tat the beginning\t%d\t%.3f" % (what, s.name.lower(), last, unit, first, last / first))
            promise("%s of %s grew" % (what, s.name), last <= first + more, values[:: max(1, len(values) // 20)])
        first, last = level(s.touched)
        print("soak.touched.%s\t%d\tKiB\tat the beginning\t%d\t%.3f" % (s.name.lower(), last, first, last / first))
        promise("%s ended badly" % s.name, s.daemon.stop(30) == 0, s.daemon.output()[-1000:])


if os.geteuid() != 0:
    sys.exit("soak: must run as root")
try:
    status = main()
finally:
    rv.finish()
sys.exit(status)
