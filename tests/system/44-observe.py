#!/usr/bin/python3
"""Watching packets: traces show the way of a permitted, a denied and a protected packet; captures are read by tshark; who may not, does
not; a client that dies leaves nothing behind; top tells rates."""
import collections
import json
import os
import re
import signal
import stat
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
INTERFACE HOST DEFINE TUN DEVICE tun0 IPADDR 10.{me}.0.1/24 IPADDR 2001:db8:{me}::1/64
BEGINROUTES
  ROUTE 10.{peer}.0.0/24 192.0.2.{peer} WIRE
  ROUTE 2001:db8:{peer}::/64 2001:db8::{peer} WIRE
ENDROUTES
IPSECPOLICY 'stacks/{name}.policy'
WORKERS 2
"""
WEB = """IpService web { Protocol tcp
 DestinationPortRange 81
 Direction Bidirectional
 Routing Either }
"""
NAMES = {1: "LEFT", 2: "RIGHT"}

net = rv.Net("rvobs")
ns = {1: net.ns("left"), 2: net.ns("right")}
net.veth(ns[1], "wire0", ns[2], "wire0")
rv.Daemon.tun()
rv.run("safctl", "--init")
rv.saf_base(NAMES.values())
for name in NAMES.values():
    for what in ("LINKS", "COUNTERS", "STATS", "CONN"):
        rv.permit("EZB.NETSTAT.{sysname}.%s.%s" % (name, what), "IBMUSER")
    rv.permit("EZB.IPSECCMD.{sysname}.%s.DISPLAY" % name, "IBMUSER")
    rv.permit("EZB.TRCCTL.{sysname}.%s.PKTTRACE" % name, "IBMUSER", "UPDATE")
    rv.permit("EZB.TRCCTL.{sysname}.%s.PKTTRACE" % name, "ALICE", "READ")
for me, peer in ((1, 2), (2, 1)):
    rv.write("stacks/%s.profile" % NAMES[me], PROFILE.format(me=me, peer=peer, name=NAMES[me]))
    own, other = "2001:db8:%d::/64" % me, "2001:db8:%d::/64" % peer
    rules = gateways.rule("noweb", own, other, "deny", service="web") + gateways.rule("clear", own, other, "permit") + gateways.sites(me, six=False)
    rv.write("stacks/%s.policy" % NAMES[me], gateways.policy(gateways.manual(me, "192.0.2.%d" % me, "192.0.2.%d" % peer), rules, WEB))
daemons = {me: rv.Daemon("stack-core", NAMES[me], ns=ns[me]) for me in ns}


def ctl(me, *args, uid=0, timeout=60):
    return rv.run("stackctl", "-p", NAMES[me], *args, uid=uid, timeout=timeout)


def traces(me=1):
    """How many the stack says that run."""
    m = re.search(r"(?m)^ravelin_stack_traces\S* (\d+)", ctl(me, "stats", "--openmetrics").stdout)
    return int(m.group(1)) if m else -1


class Trace(rv.Process):
    """stackctl trace or capture in the background, running when this returns."""

    def __init__(self, me, *args):
        super().__init__([rv.program("stackctl"), "-p", NAMES[me], *args], name="trace")
        before = traces(me)
        self.start()
        if not rv.until(lambda: traces(me) > before, 10):
            rv.check("a trace begins", False, self.output())

    def end(self):
        """The output up to now: a signal ends it in order, with all that passed before."""
        time.sleep(0.3)
        self.signal(signal.SIGINT)
        rc = self.wait(15)
        rv.check("it ends in order", rc == 0, "%s %s" % (rc, self.output()[-600:]))
        return self.output()


def lines(text):
    """worker.packet, stage, verdict, rest of each line."""
    return [m.groups() for m in re.finditer(r"(?m)^\d\d:\d\d:\d\d\.\d{6} (\d+\.\d+) +(\S+) +(\S+|no route) +(.*)$", text)]


def paths(text):
    """For each packet its stages in order, as one text."""
    out = collections.OrderedDict()
    for packet, stage, _, _ in lines(text):
        out.setdefault(packet, []).append(stage)
    return [" ".join(v) for v in out.values()]


def ping(dest, count=3, *more):
    p = rv.run("ping", "-n", "-c", str(count), "-i", "0.05", "-W", "10", *more, dest, ns=ns[1], timeout=60)
    m = re.search(r"(\d+) received", p.stdout)
    return int(m.group(1)) if m else 0


rv.check("the tunnel carries pings", rv.until(lambda: ping("10.2.0.1", 1) == 1, 20))
rv.check("and the path in clear", rv.until(lambda: ping("2001:db8:2::1", 1) == 1, 20))

# --- the way of packets ---
t = Trace(1, "trace", "--host", "2001:db8:2::1")
rv.check("3 pings in clear", ping("2001:db8:2::1") == 3)
text = t.end()
want = {"link-rx route filter-out link-tx", "link-rx filter-in route link-tx"}
rv.check("a permitted packet: filter and route, both ways", set(paths(text)) == want and len(paths(text)) == 6, text)
rv.check("with rule, links and next hop", re.search(r"filter-out permit .* ICMPv6 type 128 code 0 length 104 HOST>WIRE via 2001:db8::2 rule clear", text, re.I), text)

t = Trace(1, "trace", "--prot", "tcp", "--destport", "81")
rv.run("/usr/bin/python3", "-c", "import socket; s=socket.socket(socket.AF_INET6); s.settimeout(0.5); s.connect(('2001:db8:2::1', 81))", ns=ns[1])
text = t.end()
rv.check("a denied packet: up to the filter", paths(text) and set(paths(text)) == {"link-rx route filter-out drop"}, text)
rv.check("with rule and reason", re.search(r"filter-out deny .*rule noweb", text) and re.search(r"drop +dropped .*FILTER_", text), text)

t = Trace(1, "trace", "--source", "10.1.0.1")
rv.check("3 pings through the tunnel", ping("10.2.0.1") == 3)
text = t.end()
rv.check("a protected packet: to the link as ESP", set(paths(text)) == {"link-rx route filter-out ipsec-out link-tx"} and len(paths(text)) == 3, text)
rv.check("with tunnel and SPI", re.search(r"filter-out protect .*10\.1\.0\.1 > 10\.2\.0\.1 ICMP.*rule four tunnel M1 \(gcm\) SPI 0x000003ea", text), text)
rv.check("and its outer addresses", re.search(r"link-tx +pass +192\.0\.2\.1 > 192\.0\.2\.2 ESP", text), text)

t = Trace(2, "trace", "--json", "spi", "1002", "stage", "ipsec-in,opened,filter-in,route,link-tx")
rv.check("3 pings more", ping("10.2.0.1") == 3)
records = [json.loads(x) for x in t.end().splitlines() if x.startswith("{")]
ways = collections.OrderedDict()
for r in records:
    ways.setdefault((r["worker"], r["packet"]), []).append((r["stage"], r["verdict"], r["source"], r.get("tunnel_id")))
rv.check("one that comes protected: opened, filtered, to the host", len(ways) == 3 and all(w == [
    ("ipsec-in", "pass", "192.0.2.1", None), ("opened", "pass", "10.1.0.1", "M1"), ("filter-in", "protect", "10.1.0.1", "M1"),
    ("route", "host", "10.1.0.1", "M1"), ("link-tx", "pass", "10.1.0.1", "M1")] for w in ways.values()), records)

p = ctl(1, "trace", "--count", "4", "--seconds", "20") if ping("10.2.0.1", 1, "-q") and subprocess.Popen(
    rv.in_ns(ns[1]) + ["ping", "-n", "-q", "-c", "20", "-i", "0.1", "10.2.0.1"], stdout=subprocess.DEVNULL) else None
rv.check("a trace has as many records as it was asked for", p and p.returncode == 0 and len(lines(p.stdout)) == 4 and "ended: count" in p.stderr, p)
p = ctl(1, "trace", "--seconds", "1", "--host", "198.51.100.77")
rv.check("and ends in time", p.returncode == 0 and "ended: time" in p.stderr and not lines(p.stdout), p.stderr)
t = Trace(1, "trace", "--dropped", "--link", "HOST")
rv.check("a ping", ping("10.2.0.1", 1) == 1)
rv.run("ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", "10.2.0.1", "-I", "10.1.0.1", "-t", "1", ns=ns[1])
rv.run("ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", "192.0.2.77", ns=ns[1])
text = t.end()
rv.check("only drops when only drops are wanted", lines(text) and all(stage == "drop" for _, stage, _, _ in lines(text)), text)

# --- refusals ---
for words, why in ((["trace"], "trace"), (["capture", "--write", "-"], "capture"), (["top", "--once"], "top")):
    p = ctl(1, *words, uid=rv.MALLORY_UID)
    rv.check("%s is refused to a stranger" % why, p.returncode == 3 and not p.stdout, "%d %s" % (p.returncode, p.stderr))
p = ctl(1, "trace", "--seconds", "1", uid=rv.ALICE_UID)
rv.check("READ is enough for a trace", p.returncode == 0, p.stderr)
secret = rv.path("alice.pcapng")
p = ctl(1, "capture", "--seconds", "1", "--write", secret, uid=rv.ALICE_UID)
rv.check("but not for bytes of packets", p.returncode == 3 and "UPDATE" in p.stderr and not os.path.exists(secret), p.stderr)
p = ctl(1, "capture", "--cleartext", "--seconds", "1", "--write", secret)
rv.check("nor UPDATE for what a tunnel protects", p.returncode == 3 and "EZB.TRCSEC.TEST.LEFT.IPSEC" in p.stderr and not os.path.exists(secret), p.stderr)
for words in (["trace", "--nonsense", "1"], ["trace", "--port", "99999"], ["trace", "--prot", "nothing"], ["trace", "--spi", "x"], ["trace", "--write", "x"],
              ["capture", "--stage", "drop"], ["top", "--interval", "0"], ["capture", "--write", "x", "--json"]):
    rv.check("'%s' is a usage error" % " ".join(words), ctl(1, *words).returncode == 2)
for words in (["--stage", "nowhere"], ["--source", "10.0.0.0/99"], ["--link", "NOWHERE"], ["--prot", "icmp", "--port", "1"], ["--count", "0"],
              ["--seconds", "0"], ["--source", "10.0.0.1", "--dest", "2001:db8::1"]):
    p = ctl(1, "trace", *words)
    rv.check("'trace %s' is refused" % " ".join(words), p.returncode == 1 and p.stderr.count("\n") == 1, "%d %s" % (p.returncode, p.stderr))
stack = rv.protos().stack
c = rv.Client("stack-core@LEFT")
code, text, reply = c.call("stack.StartTrace", stack.TraceRequest(seconds=60), stack.TraceReply)
rv.check("a trace by hand", code == 1 and reply.id and reply.count, text)
p = subprocess.run(rv.as_uid(rv.ALICE_UID) + ["/usr/bin/python3", "-c", """
import sys
sys.path[:0] = [%r, %r]
import rv
rv._roots[''] = %r
s = rv.protos().stack
c = rv.Client('stack-core@LEFT')
print(c.call('stack.ReadTrace', s.ReadTraceRequest(id=%d), s.ReadTraceReply)[0])
""" % (os.path.join(rv.TOP, "tests/support"), rv.path("py"), rv.root(), reply.id)], capture_output=True, text=True, timeout=30, env=rv.environment())
rv.check("is not for another user to read", p.stdout.strip() == "4", p.stdout + p.stderr)
rv.check("it runs", traces() == 1)
rv.check("and ends when nobody reads it", rv.until(lambda: traces() == 0, 10))
code, text, _ = c.call("stack.ReadTrace", stack.ReadTraceRequest(id=reply.id), stack.ReadTraceReply)
rv.check("then it is not there any more", code == 4, text)
for i in range(8):
    code, text, reply = c.call("stack.StartTrace", stack.TraceRequest(host="198.51.100.1", seconds=60), stack.TraceReply)
    rv.check("trace %d of 8" % (i + 1), code == 1, text)
code, text, reply = c.call("stack.StartTrace", stack.TraceRequest(seconds=60), stack.TraceReply)
rv.check("a ninth is too many", code == 6, text)
rv.check("all end", rv.until(lambda: traces() == 0, 15))

t = Trace(1, "trace", "--host", "198.51.100.77")
t.p.kill()
t.p.wait()
rv.check("a killed client's trace ends", rv.until(lambda: traces() == 0, 10))

# --- captures ---


def tshark(path, *args):
    p = rv.run("tshark", "-n", "-r", path, *args)
    rv.check("tshark has nothing to complain about", p.returncode == 0 and not [
        x for x in p.stderr.splitlines() if x.strip() and "Running as user" not in x], p.stderr)
    return p.stdout.splitlines()


capture = rv.path("all.pcapng")
t = Trace(1, "capture", "--write", capture, "--stage", "all", "--host", "10.2.0.1")
rv.check("100 pings", ping("10.2.0.1", 100, "-s", "600", "-q") == 100)
t.end()
mode = stat.S_IMODE(os.stat(capture).st_mode)
rv.check("a capture is for its owner alone", mode == 0o600, oct(mode))
rows = [x.split("\t") for x in tshark(capture, "-T", "fields", "-e", "frame.interface_name", "-e", "ip.src", "-e", "_ws.col.Protocol", "-e", "frame.comment",
                                      "-e", "frame.cap_len", "-e", "frame.len")]
seen = collections.Counter((r[0], r[1].split(",")[0], r[2]) for r in rows)
for key in (("link-rx HOST", "10.1.0.1", "ICMP"), ("route HOST", "10.1.0.1", "ICMP"), ("filter-out WIRE", "10.1.0.1", "ICMP"),
            ("ipsec-out WIRE", "192.0.2.1", "ESP"), ("link-tx WIRE", "192.0.2.1", "ESP"), ("opened WIRE", "10.2.0.1", "ICMP"),
            ("filter-in WIRE", "10.2.0.1", "ICMP"), ("link-tx HOST", "10.2.0.1", "ICMP")):
    rv.check("100 packets %s from %s at %s" % (key[2], key[1], key[0]), seen[key] == 100, seen)
rv.check("with what was decided as comments", sum("protect by rule four" in r[3] and "tunnel M1 (gcm) SPI 0x000003ea" in r[3] for r in rows) >= 100, rows[:3])
cut = [(int(r[4]), int(r[5])) for r in rows if r[0] in ("filter-out WIRE", "opened WIRE", "link-rx HOST", "link-tx HOST")]
rv.check("what the tunnel protects is cut to its headers", cut and all(c == (28, 628) for c in cut), cut[:4])
sealed = [(int(r[4]), int(r[5])) for r in rows if r[2] == "ESP"]
rv.check("and whole where it is sealed", sealed and all(a == b > 640 for a, b in sealed), sealed[:4])
rv.permit("EZB.TRCSEC.{sysname}.LEFT.IPSEC", "IBMUSER")
os.chmod(capture, 0o644)
t = Trace(1, "capture", "--write", capture, "--stage", "opened", "--cleartext", "--snaplen", "300")
rv.check("5 pings", ping("10.2.0.1", 5, "-s", "600") == 5)
t.end()
rows = [x.split("\t") for x in tshark(capture, "-T", "fields", "-e", "frame.cap_len", "-e", "frame.len", "-e", "icmp.type")]
rv.check("with authority the bytes are there, as many as were asked for", rows == [["300", "628", "0"]] * 5, rows)
rv.check("in a file that is private again", stat.S_IMODE(os.stat(capture).st_mode) == 0o600)
other = rv.path("other.pcapng")
rv.write(other, "theirs")
os.chown(other, rv.ALICE_UID, rv.ALICE_UID)
p = ctl(1, "capture", "--write", other, "--seconds", "1")
with open(other) as f:
    rv.check("another user's file is left alone", p.returncode == 1 and f.read() == "theirs", p.stderr)
p = subprocess.run("%s -p LEFT capture --write - --seconds 2 --stage drop | tshark -n -r - 2>&1" % rv.program("stackctl"), shell=True,
                   capture_output=True, text=True, timeout=60, env=rv.environment())
rv.check("a pipe to tshark works, also with nothing in it", p.returncode == 0, p.stdout + p.stderr)
p = subprocess.run("%s -p LEFT capture --write - --seconds 30 --stage all | head -c 100 >/dev/null" % rv.program("stackctl"), shell=True, text=True,
                   capture_output=True, timeout=20, env=rv.environment()) if subprocess.Popen(
    rv.in_ns(ns[1]) + ["ping", "-n", "-q", "-c", "60", "-i", "0.1", "10.2.0.1"], stdout=subprocess.DEVNULL) else None
rv.check("a reader that goes ends it", p and "output ended" in p.stderr, p)
with open(rv.path("var/log/ravelin/stack-core@LEFT.audit")) as f:
    audit = [json.loads(x) for x in f]
began = [a for a in audit if a.get("type") == 119 and a.get("subtype") == 240]
ended = [a for a in audit if a.get("type") == 119 and a.get("subtype") == 241]
rv.check("who watched is in the audit", any(a["cleartext"] and a["user"] == "IBMUSER" for a in began) and any(a["user"] == "ALICE" for a in began), began[-2:])
rv.check("and how it ended", {"count", "time", "stopped", "reader gone"} <= {a["why"] for a in ended}, {a["why"] for a in ended})
rv.check("all of them", rv.until(lambda: traces() == 0, 10) and len(began) >= 15)

# --- load ---
load = rv.Process(["ping", "-n", "-q", "-i", "0.005", "-s", "1000", "10.2.0.1"], ns=ns[1]).start()
time.sleep(4)
p = ctl(1, "top", "--once", "--json")
try:
    top = json.loads(p.stdout)
except ValueError:
    top = {"links": [], "tunnels": [], "workers": []}
link = {x["name"]: x for x in top["links"]}
rate = link.get("WIRE", {}).get("tx_packets_per_second", 0)
rv.check("top tells rates of links", 20 < rate < 400 and link["WIRE"]["tx_bits_per_second"] > 8000 * rate, p.stdout + p.stderr)
rv.check("of tunnels, both ways", len([x for x in top["tunnels"] if x["packets_per_second"] > 20]) == 2, top["tunnels"])
rv.check("of workers", 0 < sum(x["busy_percent"] for x in top["workers"]) < 200 and any(x["time_99_ns"] > 0 for x in top["workers"]) and
         all(x["batch_mean"] >= 1 for x in top["workers"] if x["packets_per_second"]), top["workers"])
flows = {(f["source"], f["destination"]): f for f in top.get("flows", [])}
rv.check("of flows, in clear from the host and sealed from the wire", 0.2 * rate < flows.get(("10.1.0.1", "10.2.0.1"), {}).get("packets_per_second", 0) < 5 * rate
         and ("192.0.2.2", "192.0.2.1") in flows, (rate, top.get("flows")))
p = rv.run("stackctl", "--json", "-p", "LEFT", "workers")
w = json.loads(p.stdout or "{}").get("workers", [])
rv.check("workers: their flow caches, which have answered most packets", w and all(x["cache_entries"] >= 1024 for x in w) and
         sum(x["cache_hits"] for x in w) > sum(x["cache_misses"] for x in w) > 0, p.stdout + p.stderr)
p = rv.run("stackctl", "-p", "LEFT", "workers")
rv.check("and as a table with the rate", "HIT%" in p.stdout and len(p.stdout.splitlines()) == len(w) + 1, p.stdout)
p = rv.run("stackctl", "-p", "LEFT", "top", "--interval", "0.3", "--count", "3", env={"TERM": "dumb"})
rv.check("pictures follow each other where there is no terminal", p.returncode == 0 and p.stdout.count("WORKER") == 3 and "\033" not in p.stdout, p.stdout)
rv.check("they show links and tunnels", "WIRE" in p.stdout and "M1" in p.stdout, p.stdout)
p = subprocess.run(["script", "-qec", "stty rows 24 cols 80; exec %s -p LEFT top --interval 0.3 --count 2" % rv.program("stackctl"), "/dev/null"],
                   capture_output=True, text=True, timeout=30, env=dict(rv.environment(), TERM="vt100"))
pictures = p.stdout.split("\033[H\033[J")[1:]
rv.check("on a terminal each replaces the last and fits it", len(pictures) == 2 and all(x.count("\n") <= 24 for x in pictures), p.stdout)
load.stop()
metrics = ctl(1, "stats", "--openmetrics").stdout
for name in ("stack_trace_records_total", "stack_worker_busy_milliseconds_total", "stack_batches_total", "stack_time_sampled_packets_total", "stack_batches_to_64_total",
             "stack_time_to_16777216_ns_total"):
    m = re.search(r"(?m)^ravelin_%s\S* (\d+)" % name, metrics)
    rv.check("metric %s counts" % name, m and int(m.group(1)) > 0, metrics[-1500:])
for me in ns:
    rv.check("%s ends in order" % NAMES[me], daemons[me].stop() == 0, daemons[me].output()[-1000:])
sys.exit(rv.finish())
