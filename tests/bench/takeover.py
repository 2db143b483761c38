#!/usr/bin/python3
"""How long packets wait while a stack is restarted (medians of seven restarts, under a service manager that is this program), beside the
plain restart, where nothing is kept, and tunnels and filters are installed anew as soon as the stack is ready again.

  takeover.gap.1, .1000, .10000   the longest a ping waited, with so many dynamic tunnels
  takeover.gap.filters            with one tunnel and 100,000 defensive filters
  takeover.lost.*                 pings lost in all seven

  tests/bench/takeover.py [--quick]      for a look: three restarts, and up to 1,000 tunnels and 10,000 filters"""
import os
import re
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import rv
from dynpair import ME, generation, write_profile
from kept import Kept

QUICK = "--quick" in sys.argv
RUNS = 3 if QUICK else 7
PING_MS, FILTERS_AT_ONCE = 5, 1000


class Pair:
    """LEFT, which is restarted, and RIGHT; @daemon makes LEFT's."""

    def __init__(self, tag, store):
        self.net = rv.Net("rvtk" + tag)
        self.ns = {"LEFT": self.net.ns("l"), "RIGHT": self.net.ns("r")}
        self.net.veth(self.ns["LEFT"], "wire0", self.ns["RIGHT"], "wire0", offloads=False)
        self.pb, self.store, self.n, self.filters, self.round, self.clients = rv.protos().stack, store, 0, 0, 0, {}
        self.daemons = {n: (Kept if store and n == "LEFT" else lambda n, ns: rv.Daemon("stack-core", n, ns=ns))(n, self.ns[n]) for n in ME}
        self.tunnels(("LEFT", "RIGHT"), 0, 1)
        self.n = 1
        if not rv.until(lambda: self.ping(1)[1] == 1, 20):
            raise RuntimeError("nothing passes")

    def call(self, name, method, request, reply="ChangedReply"):
        if name not in self.clients:
            self.clients[name] = rv.Client("stack-core@" + name)
        code, text, got = self.clients[name].call("stack." + method, request, getattr(self.pb, reply), timeout=60)
        if code != 1:
            raise RuntimeError("%s: %s %s" % (method, code, text))
        return got

    def tunnels(self, names, first, n):
        """Number 0 carries the pings; each other one is between two hosts of the networks."""
        for name in names:
            for i in range(first, n):
                t = generation(name, 16384 * self.round + i + 1)
                t.tunnel_id, t.outbound_ready = "Y%d" % (i + 1), True
                if i:
                    for side, net in ("local", ME[name]), ("remote", 3 - ME[name]):
                        for end in "_low", "_high":
                            setattr(t.selector, side + end, "10.%d.%d.%d" % (net, 1 + i // 256, i % 256))
                self.call(name, "InstallTunnel", self.pb.InstallTunnelRequest(tunnel=t))

    def defend(self, first, n):
        for at in range(first, n, FILTERS_AT_ONCE):
            q = self.pb.DefendRequest()
            for i in range(at, min(n, at + FILTERS_AT_ONCE)):
                q.add.add(id=i + 1, name="N%d" % i, family=4, inbound=True, routing=3, expires_us=int((time.time() + 7200) * 1e6),
                          source="198.%d.%d.%d/32" % (18 + (i >> 16), i >> 8 & 255, i & 255))
            self.call("LEFT", "Defend", q, "DefendReply")

    def grow(self, n, filters):
        self.tunnels(("LEFT",), self.n, n)
        self.defend(self.filters, filters)
        self.n, self.filters = max(self.n, n), filters

    def ping(self, count):
        return rv.ping_rate(rv.run("ping", "-c", count, "-i", PING_MS / 1000, "-W", 1, "10.2.0.1", ns=self.ns["LEFT"]).stdout)

    def restart(self):
        """(ms, lost)"""
        p = subprocess.Popen(rv.in_ns(self.ns["LEFT"]) + ["ping", "-D", "-i", str(PING_MS / 1000), "-W", "20", "10.2.0.1"], stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, text=True)
        time.sleep(0.4)
        d = self.daemons["LEFT"]
        if "LEFT" in self.clients:
            self.clients.pop("LEFT").close()
        d.stop(60)
        d.start(60)
        if not self.store:
            old = 16384 * self.round + 1
            self.round += 1  # a number under a key is used once
            self.tunnels(("RIGHT", "LEFT"), 0, 1)
            self.call("RIGHT", "RemoveTunnel", self.pb.RemoveTunnelRequest(tunnel_id="Y1", generation=old, why="restart"))
            self.tunnels(("LEFT",), 1, self.n)
            self.defend(0, self.filters)
        time.sleep(0.6)
        p.send_signal(2)
        text = p.communicate()[0]
        sent, received = rv.ping_rate(text)
        answers = [(float(a), float(b)) for a, b in re.findall(r"^\[([\d.]+)\] .*time=([\d.]+) ms", text, re.M)]
        silences = [b[0] - a[0] for a, b in zip(answers, answers[1:])]
        if len(answers) < 20:
            raise RuntimeError("nothing passes after a restart: %s" % d.output()[-2000:])
        return 1000 * max(silences), sent - received


def figure(name, ours, plain):
    a, b = statistics.median(g for g, _ in ours), statistics.median(g for g, _ in plain)
    print("takeover.gap.%s\t%.1f\tms\tplain-restart\t%.1f\t%.3f" % (name, a, b, a / b), flush=True)
    print("takeover.lost.%s\t%d\tpackets\tplain-restart\t%d\t-" % (name, sum(n for _, n in ours), sum(n for _, n in plain)), flush=True)
    print("takeover: %s: %s ms" % (name, ", ".join("%.0f" % g for g, _ in ours)), file=sys.stderr)


def main():
    pairs, filters = [], 10000 if QUICK else 100000
    for tag, store in ("s", True), ("p", False):
        with rv.system(tag):
            rv.run("safctl", "--init")
            rv.saf_base(list(ME))
            for stack in ME:
                write_profile(stack)
                path = rv.path("etc/ravelin/stacks", stack + ".policy")
                with open(path) as f:
                    text = f.read()
                with open(path, "w") as f:
                    f.write(text.replace(".0.0/24", ".0.0/16"))
                for resource in "RAVELIN.STACK.{sysname}.%s.TUNNEL", "RAVELIN.STACK.{sysname}.%s.DEFEND":
                    rv.permit(resource % stack, "IBMUSER")
            pairs.append((tag, Pair(tag, store)))
    for n, f in [(1, 0), (1, filters)] + [(n, 0) for n in ((1000,) if QUICK else (1000, 10000))]:
        got = {}
        for tag, pair in pairs:
            with rv.system(tag):
                if pair.filters and not f:
                    pair.call("LEFT", "Defend", pair.pb.DefendRequest(reset=True), "DefendReply")
                pair.grow(n, f)
                got[tag] = [pair.restart() for _ in range(RUNS)]
        figure("filters" if f else str(n), got["s"], got["p"])
    return 0


if os.geteuid() != 0:
    sys.exit("takeover: must run as root (it makes network namespaces)")
try:
    status = main()
finally:
    rv.cleanup()
sys.exit(status)
