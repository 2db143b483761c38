#!/usr/bin/python3
"""soak: two stacks at full speed for a long time, with everything changing under them: tests/bench/soak.py [MINUTES], 30 unless given.

Between them a dynamic tunnel (ESP in UDP) is rekeyed every two seconds, defensive filters come and go, profiles are reloaded and the stacks
are restarted now and then with a handover, while TCP fills the tunnel and a ping counts what is lost. At the end: TCP never failed, no ping
was lost but for counted drops, and the stacks' memory after the first tenth (at least three minutes) is their memory at the end.

Lines as of tests/bench/run: soak.tcp, soak.ping.lost, soak.drops, soak.memory.left, soak.memory.right; exit status 1 when a promise broke."""
import os
import random
import re
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import rv
from dynpair import ME, generation, write_profile

TCP_SECONDS = 20
broken = []


def promise(what, kept, detail=""):
    if not kept:
        broken.append(what)
        print("soak: %s %s" % (what, detail), file=sys.stderr, flush=True)


class Stack:
    def __init__(self, name, ns):
        self.name, self.ns, self.me, self.peer, self.pb = name, ns, ME[name], 3 - ME[name], rv.protos().stack
        write_profile(name)
        self.daemon = rv.Daemon("stack-core", name, ns=ns)
        self.client = rv.Client("stack-core@" + name)
        self.common = rv.protos().common
        self.memory = []
        self.random = random.Random(self.me)
        self.ids = []

    def call(self, method, request, reply):
        code, text, got = self.client.call("stack." + method, request, reply, timeout=20)
        if code != 1:
            raise RuntimeError("%s %s: %s %s" % (self.name, method, code, text))
        return got

    def install(self, number):
        self.call("InstallTunnel", self.pb.InstallTunnelRequest(tunnel=generation(self.name, number, udp=True)), self.pb.ChangedReply)

    def ready(self, number):
        self.call("ReadyTunnel", self.pb.ReadyTunnelRequest(tunnel_id="Y1", generation=number), self.pb.ChangedReply)

    def remove(self, number):
        self.call("RemoveTunnel", self.pb.RemoveTunnelRequest(tunnel_id="Y1", generation=number, why="soak"), self.pb.ChangedReply)

    def churn(self):
        """A hundred defensive filters come, the oldest hundred go; none concerns the traffic."""
        q = self.pb.DefendRequest()
        for _ in range(100):
            i = self.random.getrandbits(48) | 1
            self.ids.append(i)
            q.add.add(id=i, name="N%x" % i, family=4, inbound=True, routing=3, expires_us=int((time.time() + 600) * 1e6),
                      source="198.%d.%d.%d/32" % (18 + i % 2, i >> 8 & 255, i >> 16 & 255))
        if len(self.ids) > 5000:
            q.remove.extend(self.ids[:100])
            del self.ids[:100]
        self.call("Defend", q, self.pb.DefendReply)

    def reload(self, turn):
        write_profile(self.name, more=" ROUTE 10.9.%d.0/24 192.0.2.%d WIRE\n" % (turn % 200, self.peer))
        self.daemon.reload()

    def drops(self):
        got = self.call("Counters", self.common.Empty(), self.pb.CountersReply)
        return {c.name: c.packets for c in got.counters if c.drop and c.packets}

    def sample(self):
        with open("/proc/%d/status" % self.daemon.p.pid) as f:
            self.memory.append(int(re.search(r"VmRSS:\s+(\d+)", f.read())[1]))


def tcp(ns, end, totals):
    """iperf3 again and again, both ways."""
    while time.monotonic() < end:
        p = rv.run("iperf3", "-c", "10.2.0.1", "-t", TCP_SECONDS, "-P", 2, "-f", "m", *(["-R"] if len(totals) % 2 else []), ns=ns,
                   timeout=TCP_SECONDS + 60)
        m = re.findall(r"SUM.*?([\d.]+) Mbits/sec.*receiver", p.stdout)
        if time.monotonic() < end + TCP_SECONDS:
            promise("TCP failed", p.returncode == 0 and m, p.stdout[-500:] + p.stderr)
        totals.append(float(m[-1]) / 1000 if m else 0.0)


def settle(left, right):
    for s in (left, right):
        s.install(1)
    for s in (left, right):
        s.ready(1)
    if not rv.until(lambda: rv.run("ping", "-c1", "-W1", "10.2.0.1", ns=left.ns).returncode == 0, 20):
        raise RuntimeError("nothing passes")


def rekey(left, right, number):
    for s in (left, right):
        s.install(number)
    for s in (left, right):
        s.ready(number)
    time.sleep(0.3)  # what was sent before is on its way
    for s in (left, right):
        s.remove(number - 1)


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
    server = rv.Process(["iperf3", "-s"], ns=ns["RIGHT"]).start()
    rv.until(lambda: ":5201" in rv.run("ss", "-Hltn", ns=ns["RIGHT"]).stdout, 10)
    end, totals, number, turn, said = time.monotonic() + 60 * minutes, [], 1, 0, 0.0
    pings = subprocess.Popen(rv.in_ns(ns["LEFT"]) + ["ping", "-q", "-i", "0.05", "-c", str(int(minutes * 60 / 0.05)), "-W", "5", "10.2.0.1"],
                             stdout=subprocess.PIPE, text=True)
    traffic = threading.Thread(target=tcp, args=(ns["LEFT"], end, totals))
    traffic.start()
    while time.monotonic() < end:
        number += 1
        turn += 1
        rekey(left, right, number)
        for s in (left, right):
            s.churn()
            s.sample()
        if turn % 5 == 0:
            (left if turn % 10 else right).reload(turn)
        if time.monotonic() > said + 60:
            said = time.monotonic()
            print("soak: %d rekeys, %.1f min left, memory %d and %d KiB, TCP %.2f Gbit/s" % (number, (end - said) / 60, left.memory[-1],
                  right.memory[-1], totals[-1] if totals else 0), file=sys.stderr, flush=True)
        time.sleep(1.5)
    traffic.join()
    sent, received = rv.ping_rate(pings.communicate()[0])
    drops = [s.drops() for s in (left, right)]
    server.kill()
    report(left, right, totals, sent - received, drops, number)
    return 1 if broken else 0


def report(left, right, totals, lost, drops, rekeys):
    ordered = sorted(totals)
    print("soak.tcp\t%.2f\tGbit/s\tfailed\t%d\t-" % (ordered[len(ordered) // 2], totals.count(0.0)))
    counted = sum(sum(d.values()) for d in drops)
    print("soak.ping.lost\t%d\tpackets\tcounted drops\t%d\t-" % (lost, counted))
    promise("packets were lost that no counter knows", lost <= counted, "%d, %s" % (lost, drops))
    print("soak.rekeys\t%d\t-\t-\t-\t-" % rekeys)
    for s in (left, right):
        first, last = s.memory[min(len(s.memory) - 1, max(100, len(s.memory) // 10))], s.memory[-1]  # from then on all filters are there
        print("soak.memory.%s\t%d\tKiB\tat the beginning\t%d\t%.3f" % (s.name.lower(), last, first, last / first))
        promise("memory of %s grew" % s.name, last < first * 1.05 + 2048, s.memory[:: max(1, len(s.memory) // 20)])
        promise("%s ended badly" % s.name, s.daemon.stop() == 0, s.daemon.output()[-1000:])
    print("soak: drops %s" % drops, file=sys.stderr)


if os.geteuid() != 0:
    sys.exit("soak: must run as root")
try:
    status = main()
finally:
    rv.finish()
sys.exit(status)
