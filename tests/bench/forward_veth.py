#!/usr/bin/python3
"""forward_veth.py BENCH_FORWARD: one worker between two veth pairs, by each driver, then the kernel's own forwarding in its place, same
generator in the same run.

Namespaces: A (flood) - M (router under test) - B (counts what arrives). forward.veth.DRIVER.LENGTH: what arrives, beside the kernel's;
forward.cpu.DRIVER.LENGTH: processor time of the stack for each packet that arrives (the kernel forwards in the generator's time)."""
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(sys.argv[1]))
STACK, FLOOD = os.path.join(HERE, "stack_run"), os.path.join(HERE, "flood")
TAG = "rv-fwd-%d" % os.getpid()
RUNS, SECONDS, LENGTHS = 5, 0.5, (64, 1400)

PROFILE = """
INTERFACE LEFT DEFINE AFPACKET DEVICE left DRIVER {0} IPADDR 192.0.2.1/24
INTERFACE RIGHT DEFINE AFPACKET DEVICE right DRIVER {0} IPADDR 198.51.100.1/24
BEGINROUTES
  ROUTE 203.0.113.0/24 198.51.100.254 RIGHT
ENDROUTES
WORKERS 1
"""


def ns(side, *args, check=True):
    return subprocess.run(["ip", "netns", "exec", TAG + side, *args], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True, check=check).stdout


def received():
    for line in ns("B", "cat", "/proc/net/dev").splitlines():
        if line.strip().startswith("b0:"):
            return int(line.split(":")[1].split()[1])
    return 0


def cpu(p):
    if not p:
        return 0
    with open("/proc/%d/stat" % p.pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rate(mac, length, stack):
    """Mpps that arrived, ns of the stack's processor time for each."""
    before, used, start = received(), cpu(stack), time.monotonic()
    ns("A", FLOOD, "a0", mac, "udp", "203.0.113.9", "9", str(length), str(SECONDS))
    took = time.monotonic() - start
    time.sleep(0.05)
    n = received() - before
    return n / took / 1e6, (cpu(stack) - used) / n * 1e9 if n else 0


def series(mac, length, stack=None):
    rate(mac, length, stack)
    runs = [rate(mac, length, stack) for _ in range(RUNS)]
    return statistics.median(r[0] for r in runs), statistics.median(r[1] for r in runs)


def driver(name, mac, folder):
    path = os.path.join(folder, name)
    with open(path, "w") as f:
        f.write(PROFILE.format(name))
    stack = subprocess.Popen(["ip", "netns", "exec", TAG + "M", STACK, path], stdout=subprocess.DEVNULL)
    try:
        time.sleep(1)
        return {length: series(mac, length, stack) for length in LENGTHS}
    finally:
        stack.send_signal(signal.SIGTERM)
        stack.wait(timeout=15)


def wire():
    for side in "AMB":
        subprocess.run(["ip", "netns", "add", TAG + side], check=True)
    for a, an, b, bn in (("A", "a0", "M", "left"), ("B", "b0", "M", "right")):
        subprocess.run(["ip", "-n", TAG + a, "link", "add", an, "type", "veth", "peer", "name", bn, "netns", TAG + b], check=True)
        ns(a, "ip", "link", "set", an, "up")
        ns(b, "ip", "link", "set", bn, "up")
    ns("B", "ip", "addr", "add", "198.51.100.254/24", "dev", "b0")
    return ns("M", "ip", "-br", "link", "show", "left").split()[2]


def kernel(mac):
    ns("M", "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.left.rp_filter=0",
       "net.ipv4.conf.right.rp_filter=0", "net.ipv4.conf.left.arp_ignore=0", "net.ipv4.conf.right.arp_ignore=0")
    ns("M", "ip", "addr", "add", "192.0.2.1/24", "dev", "left")
    ns("M", "ip", "addr", "add", "198.51.100.1/24", "dev", "right")
    ns("M", "ip", "route", "add", "203.0.113.0/24", "via", "198.51.100.254")
    return {length: series(mac, length)[0] for length in LENGTHS}


def main():
    try:
        mac = wire()
        with tempfile.TemporaryDirectory() as folder:
            ours = {name: driver(name, mac, folder) for name in ("SOCKET", "RING", "XDP")}
        theirs = kernel(mac)
        for name, figures in ours.items():
            for length, (mpps, cost) in figures.items():
                print("forward.veth.%s.%d\t%.3f\tMpps\tkernel\t%.3f\t%.2f" % (
                    name.lower(), length, mpps, theirs[length], mpps / theirs[length] if theirs[length] else 0))
                print("forward.cpu.%s.%d\t%.0f\tns/packet\tsocket\t%.0f\t%.2f" % (
                    name.lower(), length, cost, ours["SOCKET"][length][1], cost / (ours["SOCKET"][length][1] or 1)))
    finally:
        for side in "AMB":
            subprocess.run(["ip", "netns", "del", TAG + side], stderr=subprocess.DEVNULL, check=False)
    return 0


sys.exit(main())
