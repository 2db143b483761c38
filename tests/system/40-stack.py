#!/usr/bin/python3
"""Two stacks in two namespaces, a wire between them: clear and protected traffic, filters, ICMP, TCP super-packets.

The packet path alone (stack_run): the daemon with bus and SAF is tested elsewhere."""
import os
import re
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import gateways
import rv

net = rv.Net("rv-path")
sides = {}


def check(good, text):
    rv.check(text, good)


def inside(side, *args, **kw):
    return rv.run(*args, ns=sides[side], **kw)


class Stacks:
    """@policy: "both", None (what the profile permits) or "one", the first alone with the tunnel."""

    def __init__(self, folder, policy):
        self.all = [gateways.Gateway(folder, sides[str(me)], me, protect=policy == "both" or (policy == "one" and me == 1), workers=2)
                    for me in (1, 2)]
        for g in self.all:
            g.start()
        time.sleep(1)

    def stop(self):
        counters = {}
        for g in self.all:
            status, counters[g.me] = g.stop()
            check(status == 0, "stack %d ends in order" % g.me + ("" if status == 0 else ": " + g.process.output()))
        return counters


def ping(dest, *more):
    r = inside("1", "ping", "-c", "3", "-i", "0.2", "-W", "1", *more, dest)
    m = re.search(r"(\d+) received", r.stdout)
    return int(m.group(1)) if m else 0


def iperf(dest):
    server = subprocess.Popen(["ip", "netns", "exec", sides["2"], "iperf3", "-s", "-1"], stdout=subprocess.DEVNULL)
    time.sleep(0.5)
    r = inside("1", "iperf3", "-c", dest, "-t", "2", "-f", "m", "--connect-timeout", "1500", timeout=30)
    if "error" in r.stdout:
        server.kill()
    try:
        server.wait(timeout=5)
    except subprocess.TimeoutExpired:
        server.kill()
    m = re.search(r"([\d.]+) Mbits/sec\s+receiver", r.stdout)
    return float(m.group(1)) if m else 0.0


def clear(folder):
    s = Stacks(folder, None)
    check(ping("10.2.0.1") == 3, "IPv4 through two stacks in clear")
    check(ping("192.0.2.2") == 3, "the other stack's own address answers")
    check(ping("192.0.2.1") == 3, "the own stack's address answers")
    check(ping("2001:db8:2::1") == 0, "IPv6 is stopped by the implicit deny")
    check(iperf("10.2.0.1") == 0, "TCP is stopped: the profile permits ICMP alone")
    c = s.stop()
    check(c[1].get("FILTER_IMPLICIT", 0) > 3, "and counted")


def tunnel(folder):
    s = Stacks(folder, "both")
    dump = subprocess.Popen(["ip", "netns", "exec", sides["2"], "tcpdump", "-ni", "wire0", "-c", "2000", "-l"],
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    time.sleep(0.7)
    check(ping("10.2.0.1") == 3, "IPv4 through the ESP tunnel")
    check(ping("10.2.0.1", "-s", "4000") == 3, "fragments of the host through the tunnel")
    check(ping("2001:db8:2::1") == 3, "IPv6 through the IPv4 tunnel")
    mbits = iperf("10.2.0.1")
    check(mbits > 50, "TCP through the tunnel (%.0f Mbit/s)" % mbits)
    time.sleep(0.3)
    dump.terminate()
    lines = dump.communicate()[0].splitlines()
    esp = [l for l in lines if " ESP(" in l]
    leaked = [l for l in lines if re.search(r"\b10\.[12]\.0\.1\b|db8:[12]::1", l)]
    check(len(esp) > 10 and not leaked, "the wire shows ESP and nothing of the inside (%d packets)" % len(esp))
    c = s.stop()
    for me in (1, 2):
        check(c[me].get("ENCAP", 0) > 100 and c[me].get("DECAP", 0) > 100, "stack %d protected and opened packets" % me)
        check(not [k for k in c[me] if k.startswith("ESP_") and k != "ESP_NO_SA"], "stack %d refused no protected packet" % me)


def one_sided(folder):
    s = Stacks(folder, "one")
    check(ping("10.2.0.1") == 0, "protected on one side only: nothing passes")
    c = s.stop()
    check(c[2].get("ESP_NO_SA", 0) >= 3, "and the other side counts an unknown SPI")


def main():
    for side in "12":
        sides[side] = net.ns(side)
    net.veth(sides["1"], "wire0", sides["2"], "wire0")
    with tempfile.TemporaryDirectory() as folder:
        clear(folder)
        tunnel(folder)
        one_sided(folder)
    return rv.finish()


sys.exit(main())
