#!/usr/bin/python3
"""Super-packets stay whole: through a tunnel of ESP in UDP between two stacks with two workers each, and through a router. Datagrams of
a flow arrive in the order in which they were sent, whichever worker had them. Those that wait for a worker go as super-packets, though
the program sent them one by one.

The packet path alone (stack_run)."""
import os
import re
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import gateways
import rv

ROUTER = """IPCONFIG DATAGRAMFWD
INTERFACE LEFT DEFINE AFPACKET DEVICE left IPADDR 192.0.2.1/24
INTERFACE RIGHT DEFINE AFPACKET DEVICE right IPADDR 198.51.100.1/24
WORKERS 2
"""
FLOWS, DATAGRAMS = 4, 3000
RECEIVER = """
import socket, struct, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 33, 32 << 20)  # SO_RCVBUFFORCE
s.bind(("10.2.0.1", 7000))
s.settimeout(3)
print("ready", flush=True)
last, got, wrong, bad = {}, 0, 0, 0
try:
    while got < %d:
        data = s.recv(2000)
        flow, number, size = struct.unpack(">III", data[:12])
        bad += len(data) != size or data[12:] != bytes([number & 255]) * (size - 12)
        wrong += number <= last.get(flow, -1)
        last[flow] = number
        got += 1
except TimeoutError:
    pass
print(got, wrong, bad, len(last))
"""
SENDER = """
import socket, struct, time
socks = []
for flow in range(%d):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("10.1.0.1", 6000 + flow))
    s.connect(("10.2.0.1", 7000))
    socks.append(s)
for number in range(%d):
    size = (64, 1400, 300, 64, 64, 1400)[number // 50 %% 6]
    for flow, s in enumerate(socks):
        s.send(struct.pack(">III", flow, number, size) + bytes([number & 255]) * (size - 12))
    if number %% 50 == 49:
        time.sleep(0.01)
"""


def iperf(ns_client, ns_server, address, *args):
    server = rv.Process(["iperf3", "-s", "-1"], ns=ns_server).start()
    rv.until(lambda: ":5201" in rv.run("ss", "-Hltn", ns=ns_server).stdout, 10)
    r = rv.run("iperf3", "-c", address, "-t", "2", "-f", "m", "--connect-timeout", "5000", *args, ns=ns_client, timeout=60)
    server.wait(5)
    server.kill()
    m = re.findall(r"([\d.]+) Mbits/sec.*receiver", r.stdout)
    return float(m[-1]) if m else 0.0


def ordered(left, right, datagrams=DATAGRAMS, least=0.9, paused=None):
    """With the process @paused they all wait until the last was sent."""
    total = FLOWS * datagrams
    receiver = subprocess.Popen(rv.in_ns(right) + ["/usr/bin/python3", "-c", RECEIVER % total], stdout=subprocess.PIPE, text=True)
    rv.at_end(receiver.kill)
    receiver.stdout.readline()
    if paused:
        paused.send_signal(signal.SIGSTOP)
    try:
        subprocess.run(rv.in_ns(left) + ["/usr/bin/python3", "-c", SENDER % (FLOWS, datagrams)], check=True, timeout=120)
    finally:
        if paused:
            paused.send_signal(signal.SIGCONT)
    out = receiver.communicate(timeout=60)[0].split()
    got, wrong, bad, flows = (int(x) for x in out)
    rv.check("datagrams of %d flows arrive (%d of %d)" % (FLOWS, got, total), got >= least * total and flows == FLOWS)
    rv.check("in order", wrong == 0, "%d out of order" % wrong)
    rv.check("and as they were sent", bad == 0, "%d differ" % bad)


def tunnel(net, folder):
    left, right = net.ns("l"), net.ns("r")
    net.veth(left, "wire0", right, "wire0")
    ends = gateways.pair(folder, left, right, udp=True, workers=2)
    rv.check("a tunnel of ESP in UDP, chosen by the policy file", gateways.passes(left))
    rv.check("IPv6 in it", rv.run("ping", "-c1", "-W5", "2001:db8:2::1", ns=left).returncode == 0)
    dump = subprocess.Popen(rv.in_ns(right) + ["tcpdump", "-ni", "wire0", "-c", "400", "-l", "not", "arp", "and", "not", "icmp6"],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    rv.at_end(dump.kill)
    dump.stderr.readline()
    for streams, address in (("1", "10.2.0.1"), ("4", "10.2.0.1"), ("1", "2001:db8:2::1")):
        rate = iperf(left, right, address, "-P", streams)
        rv.check("TCP to %s, %s streams (%.0f Mbit/s)" % (address, streams, rate), rate > 50)
    dump.terminate()
    seen = dump.communicate()[0].splitlines()
    rv.check("the wire shows UDP of port 4500 only", len(seen) > 100 and all(".4500" in x for x in seen), "\n".join(x for x in seen if ".4500" not in x))
    ordered(left, right)
    (_, a), (_, b) = [g.stop() for g in ends]
    rv.check("no super-packet was cut into packets", not a.get("SEGMENTED") and not b.get("SEGMENTED"), "%s %s" % (a, b))
    rv.check("filters decided for many packets at once (%d for %d)" % (b["IN_PERMIT"], b["DECAP"]), b["IN_PERMIT"] < b["DECAP"] / 5)
    refused = [k for c in (a, b) for k in c if k.startswith("ESP_")]
    rv.check("no protected packet was refused", not refused, refused)


def gathered(net, folder):
    left, right = net.ns("g"), net.ns("h")
    net.veth(left, "wire0", right, "wire0")
    ends = gateways.pair(folder, left, right, udp=True)
    rv.check("a tunnel for datagrams", gateways.passes(left))
    ordered(left, right, 250, 1, ends[0].process.p)
    (_, a), _ = [g.stop() for g in ends]
    rv.check("they were gathered (%d filtered for %d encrypted)" % (a["OUT_PERMIT"], a["ENCAP"]), a["OUT_PERMIT"] < a["ENCAP"] / 4)
    rv.check("and none cut before", not a.get("SEGMENTED"))


def router(net, folder):
    a, m, b = net.ns("a"), net.ns("m"), net.ns("b")
    net.veth(a, "a0", m, "left")
    net.veth(b, "b0", m, "right")
    net.addr(a, "a0", "192.0.2.9/24")
    net.addr(b, "b0", "198.51.100.9/24")
    net.route(a, "198.51.100.0/24", via="192.0.2.1")
    net.route(b, "192.0.2.0/24", via="198.51.100.1")
    profile = os.path.join(folder, "router.profile")
    with open(profile, "w") as f:
        f.write(ROUTER)
    p = rv.Process([rv.program("stack_run"), profile], ns=m).start()
    rv.check("a router between two networks", gateways.passes(a, "198.51.100.9"))
    rate = iperf(a, b, "198.51.100.9")
    rv.check("TCP through it (%.0f Mbit/s)" % rate, rate > 50)
    p.stop()
    c = {m[1]: int(m[2]) for m in re.finditer(r"(?m)^[^\t\n]+\t([A-Z0-9_]+)\t(\d+)$", p.output())}
    rv.check("super-packets were forwarded as they came", not c.get("SEGMENTED") and rate * 1e6 * 2 / 8 / c["FORWARD"] > 3000,
             "%.0f bytes a packet; %s" % (rate * 1e6 * 2 / 8 / c["FORWARD"], c))


def main():
    net = rv.Net("rv-sup")
    with tempfile.TemporaryDirectory() as folder:
        tunnel(net, folder)
        gathered(net, folder)
        router(net, folder)
    return rv.finish()


sys.exit(main())
