#!/usr/bin/python3
"""synflood.py: a service of the host behind a stack, while its port is flooded with SYNs of invented sources as fast as this machine makes them.

Namespaces: A (flood, and a client that nobody knew before) - M (the stack; behind its TUN a service of the host's kernel). With
conf/policy/ids.policy in force, which challenges SYNs under a flood, and without it, when the host's kernel has to help itself (SYN cookies).
ids.synflood: SYNs a second that came to the stack by AF_XDP (.ring: by a receive ring) while the client was served; ids.synflood.served: the share of connections that
came about within two seconds, beside the host's; ids.synflood.connect: the median time they took, beside the time without a flood."""
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("RAVELIN_BUILD", os.path.join(TOP, "build", "release"))
STACK, FLOOD = (os.path.join(BUILD, "tests", "bench", name) for name in ("stack_run", "flood"))
TAG = "rv-syn-%d" % os.getpid()
TRIES, ROUNDS = 10, 5
PROFILE = """
INTERFACE WIRE DEFINE AFPACKET DEVICE wire DRIVER {driver} IPADDR 192.0.2.1/24
INTERFACE HOST DEFINE TUN DEVICE tun0 IPADDR 10.1.0.1/24
WORKERS 1
"""
SERVICE = """
import socket
s = socket.create_server(("10.1.0.1", 80), backlog=128)
while True:
    c = s.accept()[0]
    try:
        c.settimeout(2)
        c.sendall(b"served")
    except OSError:
        pass
    c.close()
"""
CLIENT = """
import socket, sys, time
for i in range(int(sys.argv[1])):
    start = time.monotonic()
    try:
        with socket.create_connection(("10.1.0.1", 80), timeout=2) as s:
            s.settimeout(2)
            print(time.monotonic() - start if s.recv(6) == b"served" else -1)
    except OSError:
        print(-1)
"""


def ns(side, *args):
    return subprocess.run(["ip", "netns", "exec", TAG + side, *args], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout


def start(side, *args):
    return subprocess.Popen(["ip", "netns", "exec", TAG + side, *args], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def received():
    for line in ns("M", "cat", "/proc/net/dev").splitlines():
        if line.strip().startswith("wire:"):
            return int(line.split(":")[1].split()[1])
    return 0


def client():
    return [float(x) for x in ns("A", "/usr/bin/python3", "-c", CLIENT, str(TRIES)).split()]


def under_flood(mac):
    """What a client sees, and the SYNs a second meanwhile."""
    flood = start("A", FLOOD, "a0", mac, "syn", "10.1.0.1", "80", "40", "120")
    try:
        time.sleep(2)
        before, at = received(), time.monotonic()
        times = client()
        return times, (received() - before) / (time.monotonic() - at)
    finally:
        flood.send_signal(signal.SIGTERM)
        flood.wait(timeout=10)


def run(folder, driver, policy):
    path = os.path.join(folder, "profile")
    with open(path, "w") as f:
        f.write(PROFILE.format(driver=driver) + policy)
    procs = [start("M", STACK, path)]
    try:
        time.sleep(1)
        procs.append(start("M", "/usr/bin/python3", "-c", SERVICE))
        time.sleep(1)
        mac = ns("M", "ip", "-br", "link", "show", "wire").split()[2]
        quiet = client()
        rounds = [under_flood(mac) for _ in range(ROUNDS)]
        return quiet, rounds
    finally:
        for p in procs:
            p.send_signal(signal.SIGTERM)
        for p in procs:
            p.wait(timeout=15)


def share(rounds):
    return statistics.median(sum(t >= 0 for t in times) / TRIES for times, _ in rounds)


def figures(name, folder, driver):
    quiet, ours = run(folder, driver, "IDSPOLICY '%s'\n" % os.path.join(TOP, "conf", "policy", "ids.policy"))
    _, host = run(folder, driver, "")
    print("%s\t%.3f\tMpps\thost\t%.3f\t-" % (name, statistics.median(r / 1e6 for _, r in ours), statistics.median(r / 1e6 for _, r in host)))
    print("%s.served\t%.2f\tshare\thost\t%.2f\t%s" % (name, share(ours), share(host), "%.2f" % (share(ours) / share(host)) if share(host) else "-"))
    took, calm = ([t * 1e3 for t in times if t >= 0] for times in (sum((t for t, _ in ours), []), quiet))
    if took and calm:
        print("%s.connect\t%.2f\tms\tquiet\t%.2f\t%.2f" % (
            name, statistics.median(took), statistics.median(calm), statistics.median(took) / statistics.median(calm)), flush=True)


def main():
    try:
        for side in "AM":
            subprocess.run(["ip", "netns", "add", TAG + side], check=True)
        subprocess.run(["ip", "-n", TAG + "A", "link", "add", "a0", "type", "veth", "peer", "name", "wire", "netns", TAG + "M"], check=True)
        ns("A", "ip", "addr", "add", "192.0.2.2/24", "dev", "a0")
        ns("A", "ip", "link", "set", "a0", "up")
        ns("A", "ip", "route", "add", "default", "via", "192.0.2.1")
        ns("A", "ethtool", "-K", "a0", "tx", "off", "tso", "off", "gso", "off")  # AF_XDP sees frames as they are
        with tempfile.TemporaryDirectory() as folder:
            for driver in "XDP", "RING":
                figures("ids.synflood" + ("" if driver == "XDP" else ".ring"), folder, driver)
    finally:
        for side in "AM":
            subprocess.run(["ip", "netns", "del", TAG + side], stderr=subprocess.DEVNULL, check=False)
    return 0


sys.exit(main())
