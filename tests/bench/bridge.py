#!/usr/bin/python3
"""ids.scan.blocked: milliseconds from the fifth probe of a scan to the first packet of its source that is no longer answered; a real scan
over a real link, stack-core, the bus and defmgrD with one DmDefenceRule. Median of 7.

bridge.100k: seconds in which ravelin-bouncer, started anew, has 100,000 decisions of a local API in force in a stack-core: fetched, read,
stored on disk by defmgrD, installed in both directions. Peer: 'nft -f' of a set with the same addresses and timeouts, from a file that is there
already, and stored and renewed by nobody. Median of 5."""
import json
import os
import random
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import rv

STACK, N, RUNS, SCANS = "BENCH", 100000, 5, 7
PROFILE = """IPCONFIG IPSECURITY
INTERFACE WIRE DEFINE AFPACKET DEVICE wire0 IPADDR 192.0.2.1/24
IDSPOLICY 'stacks/ids.policy'
IPSEC
  IPSECRULE * * NOLOG PROTO *
ENDIPSEC
WORKERS 1
"""
POLICY = """
IDSAction count { ActionType SCAN_EVENT count }
IDSRule Scan { ConditionType ScanGlobal
 IDSScanGlobalCondition { FSInterval 1
 FSThreshold 5 }
 IDSAction { ActionType SCAN_GLOBAL } }
IDSRule T { ConditionType ScanEvent
 IDSScanEventCondition { Protocol TCP }
 IDSActionRef count }
"""
DMD = """DmConfig { SyslogLevel 3 }
DmStackConfig %s { Mode Active }
DmDefenceRule ScanBlock { Event SCAN_FAST }
""" % STACK


def addresses():
    rng, seen = random.Random(1), set()
    while len(seen) < N:
        seen.add("%d.%d.%d.%d" % (rng.randrange(1, 120), rng.randrange(256), rng.randrange(256), rng.randrange(256)))
    return sorted(seen)


API = r"""
import http.server, sys
body = open(sys.argv[1], "rb").read()
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        out = body if "startup=true" in self.path else b'{"deleted":null,"new":null}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(out)))
        self.end_headers()
        self.wfile.write(out)
    do_HEAD = do_GET
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer(("127.0.0.1", 8080), H).serve_forever()
"""


def line(name, value, unit, peer="-", peers=None):
    print("%s\t%.3f\t%s\t%s\t%s\t%s" % (name, value, unit, peer, "%.3f" % peers if peers else "-", "%.3f" % (value / peers) if peers else "-"), flush=True)


def scan(ns, source):
    p = subprocess.run(rv.in_ns(ns) + ["/usr/bin/python3", os.path.join(rv.TOP, "tests/support/scanblock.py"), source, "192.0.2.1"],
                       capture_output=True, text=True, timeout=60)
    if p.returncode:
        raise RuntimeError("the scan of %s: %s" % (source, p.stderr))
    return float(p.stdout)


def ours(client, bouncer, pb):
    """Seconds from the start of the bouncer until all is in force."""
    start = time.perf_counter()
    bouncer.start()
    while True:
        code, _, reply = client.call("defmgr.Stacks", pb.common.Empty(), pb.defmgr.StacksReply)
        if code == 1 and reply.stacks[0].filters >= N:
            break
        if time.perf_counter() > start + 120:
            raise RuntimeError("not all filters came: %s %s" % (reply, bouncer.output()[-500:]))
        time.sleep(0.02)
    status = rv.Client("ravelin-bouncer")   # what was added is acknowledged when the stack has it
    while True:
        code, _, reply = status.call("bouncer.Status", pb.common.Empty(), pb.bouncer.StatusReply)
        if code == 1 and reply.synced:
            break
        time.sleep(0.02)
    took = time.perf_counter() - start
    status.close()
    bouncer.stop()
    request = pb.defmgr.DeleteRequest(stack=STACK, all=True)
    code, text, _ = client.call("defmgr.Delete", request, pb.defmgr.ChangeReply, 60)
    if code != 1:
        raise RuntimeError("delete: %s" % text)
    return took


def nft(ns, path):
    start = time.perf_counter()
    rv.must("nft", "-f", path, ns=ns)
    took = time.perf_counter() - start
    rv.must("nft", "flush", "ruleset", ns=ns)
    return took


def set_up(gate):
    rv.saf("SETROPTS CLASSACT(SERVAUTH) GENERIC(SERVAUTH)\nRDEFINE SERVAUTH EZB.** UACC(NONE)\nPERMIT EZB.** CLASS(SERVAUTH) ID(IBMUSER) ACCESS(READ)\n"
           "RDEFINE SERVAUTH RAVELIN.** UACC(NONE)\nPERMIT RAVELIN.** CLASS(SERVAUTH) ID(IBMUSER) ACCESS(READ)")
    rv.write("stacks/%s.profile" % STACK, PROFILE)
    rv.write("stacks/ids.policy", POLICY)
    rv.write("dmd.conf", DMD)
    rv.write("bouncer.conf", "BouncerConfig { Interval 3600 }\n")
    with open(os.open(rv.write("bouncer.key", ""), os.O_WRONLY), "w") as f:
        f.write("benchbench\n")
    os.chmod(rv.path("etc/ravelin/bouncer.key"), 0o600)
    stack, dm = rv.Daemon("stack-core", STACK, ns=gate), rv.Daemon("defmgrD")
    pb, client = rv.protos(), rv.Client("defmgrD")

    def ready():
        code, _, reply = client.call("defmgr.Rules", pb.common.Empty(), pb.defmgr.RulesReply)
        up, _, stacks = client.call("defmgr.Stacks", pb.common.Empty(), pb.defmgr.StacksReply)
        return code == 1 and up == 1 and reply.rules[0].hears and stacks.stacks[0].installed

    if not rv.until(ready, 20):
        raise RuntimeError("defmgrD and the stack do not find each other: " + dm.output() + stack.output())
    return pb, client


def main():
    net = rv.Net("rvbb")
    gate, outside, tables = net.ns("gate"), net.ns("out"), net.ns("nft")
    net.veth(gate, "wire0", outside, "eth0", offloads=False)
    net.addr(outside, "eth0", *["192.0.2.%d/24" % (101 + i) for i in range(SCANS)])
    pb, client = set_up(gate)
    line("ids.scan.blocked", statistics.median(scan(outside, "192.0.2.%d" % (101 + i)) for i in range(SCANS)), "ms")
    client.call("defmgr.Delete", pb.defmgr.DeleteRequest(stack=STACK, all=True), pb.defmgr.ChangeReply, 60)
    where = rv.path("bench")
    os.makedirs(where)
    hosts = addresses()
    with open(where + "/answer", "w") as f:
        json.dump({"deleted": None, "new": [{"duration": "3h59m59.5s", "id": i + 1, "origin": "lists", "scenario": "a blocklist", "scope": "Ip",
                                             "type": "ban", "value": a} for i, a in enumerate(hosts)]}, f)
    with open(where + "/set", "w") as f:
        f.write("table ip bench {\n set blacklist { type ipv4_addr; flags timeout; }\n chain in { type filter hook input priority -10; ip saddr @blacklist drop; }\n}\n"
                "add element ip bench blacklist { %s }\n" % ", ".join("%s timeout 4h" % a for a in hosts))
    rv.Process(["/usr/bin/python3", "-c", API, where + "/answer"], ns=gate, name="api").start()
    if not rv.until(lambda: ":8080" in rv.run("ss", "-Hltn", ns=gate).stdout, 10):
        raise RuntimeError("the API does not start")
    bouncer = rv.Daemon("ravelin-bouncer", ns=gate, start=False)
    a, b = [], []
    for _ in range(RUNS):
        a.append(ours(client, bouncer, pb))
        b.append(nft(tables, where + "/set"))
    line("bridge.100k", statistics.median(a), "s", "nft -f", statistics.median(b))
    rv.cleanup()
    return 0


if os.geteuid() != 0:
    sys.exit("bridge: must run as root (it makes network namespaces)")
sys.exit(main())
