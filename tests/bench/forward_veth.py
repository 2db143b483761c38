#!/usr/bin/python3
"""forward_veth.py BENCH_FORWARD: one worker between two veth pairs, then the kernel's own forwarding in its place, same generator.

Namespaces: A (generator) - M (router under test) - B (counts what arrives)."""
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time

BENCH = os.path.abspath(sys.argv[1])
STACK = os.path.join(os.path.dirname(BENCH), "stack_run")
TAG = "rv-fwd-%d" % os.getpid()
RUNS, SECONDS = 5, 0.6

PROFILE = """
INTERFACE LEFT DEFINE AFPACKET DEVICE left IPADDR 192.0.2.1/24
INTERFACE RIGHT DEFINE AFPACKET DEVICE right IPADDR 198.51.100.1/24
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


def rate(mac, length):
    before, start = received(), time.monotonic()
    ns("A", BENCH, "--send", "a0", mac, str(length), str(SECONDS))
    time.sleep(0.05)
    return (received() - before) / (time.monotonic() - start) / 1e6


def series(mac, length):
    rate(mac, length)
    return statistics.median(rate(mac, length) for _ in range(RUNS))


def main():
    stack = None
    try:
        for side in "AMB":
            subprocess.run(["ip", "netns", "add", TAG + side], check=True)
        for a, an, b, bn in (("A", "a0", "M", "left"), ("B", "b0", "M", "right")):
            subprocess.run(["ip", "-n", TAG + a, "link", "add", an, "type", "veth", "peer", "name", bn, "netns", TAG + b], check=True)
            ns(a, "ip", "link", "set", an, "up")
            ns(b, "ip", "link", "set", bn, "up")
        ns("B", "ip", "addr", "add", "198.51.100.254/24", "dev", "b0")
        mac = ns("M", "cat", "/sys/class/net/left/address", check=False).strip()
        if not mac:
            words = ns("M", "ip", "-br", "link", "show", "left").split()
            mac = words[2]
        ours, kernel = {}, {}
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "profile")
            with open(path, "w") as f:
                f.write(PROFILE)
            stack = subprocess.Popen(["ip", "netns", "exec", TAG + "M", STACK, path], stdout=subprocess.DEVNULL)
            time.sleep(1)
            for length in (64, 1400):
                ours[length] = series(mac, length)
            stack.send_signal(signal.SIGTERM)
            stack.wait(timeout=10)
        ns("M", "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.left.rp_filter=0",
           "net.ipv4.conf.right.arp_ignore=0")
        ns("M", "ip", "addr", "add", "192.0.2.1/24", "dev", "left")
        ns("M", "ip", "addr", "add", "198.51.100.1/24", "dev", "right")
        ns("M", "ip", "route", "add", "203.0.113.0/24", "via", "198.51.100.254")
        for length in (64, 1400):
            kernel[length] = series(mac, length)
            print("forward.veth.%d\t%.3f\tMpps\tkernel\t%.3f\t%.2f" % (length, ours[length], kernel[length],
                                                                     ours[length] / kernel[length] if kernel[length] else 0))
    finally:
        if stack and stack.poll() is None:
            stack.kill()
        for side in "AMB":
            subprocess.run(["ip", "netns", "del", TAG + side], stderr=subprocess.DEVNULL, check=False)
    return 0


sys.exit(main())
