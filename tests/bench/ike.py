#!/usr/bin/python3
"""ike.*: set-ups of phase 1 and phase 2 a second by one load of initiators (bench_ike), once against ikeD with its stack-core and once against
strongSwan's charon (ESP by its kernel-libipsec) as responder, in turn; the responder's own processor time for each; memory and number of
associations held; and what a flood of first messages with false sources does to a legitimate peer. Arguments name parts: rates, flood, held.

The initiator is the same program in both, and shares the machine's processors with the responder."""
import os
import re
import select
import shutil
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import rv
from charon import Charon, connection
from ikelab import Gateway, Wire, policy

RUNS, COUNT, WINDOW = 5, int(os.environ.get("RAVELIN_BENCH_IKE_COUNT", "200")), 32
HELD = int(os.environ.get("RAVELIN_BENCH_IKE_HELD", "10000"))
HELD_SECONDS = 900  # for as many set-ups as are held, on a busy machine
LOAD_NET, NET = "10.9.0.0/16", "10.1.0.0/24"
WAYS = {
    "psk": ({"group": "Group14"}, {"proposals": "aes128-sha256-modp2048"}),
    "psk.p256": ({"group": "Group19"}, {"proposals": "aes128-sha256-ecp256"}),
    "rsa": ({"group": "Group14", "peers": "RsaSignature"}, {"proposals": "aes128-sha256-modp2048", "auth": "pubkey"}),
}


def cpu(*pids):
    """Seconds of processor time."""
    total = 0.0
    for pid in pids:
        with open("/proc/%d/stat" % pid) as f:
            fields = f.read().rsplit(") ", 1)[1].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def descendants(pid):
    out = [pid]
    for child in subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True).stdout.split():
        out += descendants(int(child))
    return out


def memory(pid):
    with open("/proc/%d/status" % pid) as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1)) * 1024


class Lab:
    def __init__(self):
        self.wire = Wire("rvbike")
        self.load = self.wire.host("load", 2)
        for net in LOAD_NET, "10.128.0.0/9":
            rv.must("ip", "route", "add", "local", net, "dev", "lo", ns=self.load)
        # A router asks with the address that it has on the wire; the stack answers nobody else.
        rv.must("sysctl", "-qw", "net.ipv4.conf.all.arp_announce=2", ns=self.load)
        self.ours = Gateway(1, self.wire.join("left", 1), rsa=True, conf="HalfOpenLimit 4096 64",
                            extra="  ROUTE 10.9.0.0/16 192.0.2.2 WIRE\n  ROUTE 10.128.0.0/9 192.0.2.2 WIRE\n")
        self.ring = self.ours.root
        self.set_ours("psk")
        self.ours.start()
        ns = self.wire.join("known", 3)
        self.wire.net.addr(ns, "eth0", "192.0.2.3/24")
        self.wire.net.bridge(ns, "d0")
        self.wire.net.addr(ns, "d0", "10.1.0.1/24")
        self.wire.net.route(ns, LOAD_NET, "192.0.2.2")
        self.peer = Charon("known", ns)
        for name, where in (("ca.pem", "x509ca"), ("cert.pem", "x509"), ("key.pem", "private")):
            shutil.copy(os.path.join(self.ours.root, "peer", name), os.path.join(self.peer.dir, "swanctl", where, name))
        self.peer.start(self.theirs("psk"))

    @staticmethod
    def ours_says(way):
        rsa = way == "rsa"
        return dict(WAYS[way][0], yours=LOAD_NET, remote_location=LOAD_NET, pfs="None", pfs_ok="None",
                    local_id="Fqdn right.example.com" if rsa else None,
                    remote_id="Fqdn left.example.com" if rsa else "IpAddr " + LOAD_NET)

    def set_ours(self, way):
        given = self.ours_says(way)
        if way == "rsa":  # our ring's own certificate is left's
            given.update(local_id="Fqdn left.example.com", remote_id="Fqdn left.example.com")
        self.ours.policy(**given)

    def theirs(self, way):
        rsa = way == "rsa"
        return connection("192.0.2.3", "%any", NET, LOAD_NET, encap=True, esp="aes128-sha256", remote_id="left.example.com" if rsa else "%any",
                          local_id="right.example.com" if rsa else "192.0.2.3", ike_extra="unique = never", **WAYS[way][1])

    def initiator(self, way, remote, *more, count=COUNT, window=WINDOW, timeout=120):
        rsa = way == "rsa"
        name = "right.example.com" if remote.endswith(".3") else "left.example.com"
        text = policy(9, 1, mine=LOAD_NET, yours=NET, local="10.9.0.1", local_location=LOAD_NET, remote=remote, pfs="None", pfs_ok="None",
                      local_id="Fqdn left.example.com" if rsa else None, remote_id="Fqdn " + name if rsa else None, **WAYS[way][0])
        self.ours.use()
        path = rv.path("load.policy")
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, 0o600)
        argv = [rv.program("bench_ike"), remote, "10.9.0.1", str(count), str(window), path, "IKED/keyring" if rsa else "-", *more]
        return subprocess.Popen(rv.in_ns(self.load) + argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=rv.environment())

    def clear(self):
        self.ours.run("ipsec", "-y", "deactivate", "-a", "all", "-p", "LEFT")
        self.ours.run("ipsec", "-k", "deactivate", "-a", "all", "-e", "-p", "LEFT")
        self.peer.swanctl("--terminate", "--ike", "gw", "--force")
        time.sleep(0.5)


def one_run(lab, way, remote, pids):
    before = cpu(*pids())
    p = lab.initiator(way, remote)
    out, _ = p.communicate(timeout=180)
    m = re.search(r"done (\d+) failed (\d+) seconds ([\d.]+)", out)
    if not m or int(m.group(1)) < COUNT:
        raise RuntimeError("%s against %s: %s" % (way, remote, out))
    return COUNT / float(m.group(3)), 1000 * (cpu(*pids()) - before) / COUNT


def line(name, value, unit, peer="-", peer_value=None):
    print("%s\t%.4g\t%s\t%s\t%s\t%s" % (name, value, unit, peer, "-" if peer_value is None else "%.4g" % peer_value,
                                      "-" if not peer_value else "%.3f" % (value / peer_value)), flush=True)


def rates(lab):
    for way in WAYS:
        lab.clear()
        lab.set_ours(way)
        if lab.ours.run("ikectl", "reload").returncode:
            raise RuntimeError("reload")
        lab.peer.load(lab.theirs(way))
        ours, theirs = [], []
        for _ in range(RUNS):
            ours.append(one_run(lab, way, "192.0.2.1", lambda: descendants(lab.ours.iked.p.pid)))
            theirs.append(one_run(lab, way, "192.0.2.3", lambda: descendants(lab.peer.p.p.pid)))
            lab.clear()
        mid = [statistics.median(x[i] for x in side) for i in (0, 1) for side in (ours, theirs)]
        line("ike.%s.rate" % way, mid[0], "setups/s", "charon", mid[1])
        line("ike.%s.cpu" % way, mid[2], "ms/setup", "charon", mid[3])


def held(lab):
    lab.clear()
    lab.set_ours("psk.p256")
    lab.ours.run("ikectl", "reload")
    pids = lab.ours.iked.p.pid, lab.ours.stack.p.pid
    before = [memory(pid) for pid in pids]
    p = lab.initiator("psk.p256", "192.0.2.1", "hold", count=HELD, window=64)
    said = p.stdout.readline() if select.select([p.stdout], [], [], HELD_SECONDS)[0] else "not done in %d s" % HELD_SECONDS
    n = lab.ours.stat("ike_dynamic_tunnels") or 0
    line("ike.sa.held", n, "tunnels")
    for name, pid, first in zip(("ike.sa.memory", "ike.sa.memory.stack"), pids, before):
        line(name, (memory(pid) - first) / max(n, 1), "bytes/tunnel")
    p.stdin.close()
    try:
        p.wait(60)
    except subprocess.TimeoutExpired:
        p.kill()
        p.wait()
    if n < HELD:
        print("only %d of %d held: %s" % (n, HELD, said), file=sys.stderr)
    return n >= HELD


def flood(lab):
    lab.clear()
    lab.set_ours("psk.p256")
    lab.ours.run("ikectl", "reload")
    p = lab.initiator("psk.p256", "192.0.2.1", "flood", count=2)
    out, _ = p.communicate(timeout=120)
    m = re.search(r"flood (\d+) legitimate (yes|no) seconds ([\d.]+)", out)
    sent = re.search(r"sent (\d+) seconds ([\d.]+)", out)
    if not m or m.group(2) != "yes" or not sent or int(sent.group(1)) < 100000:
        print("flood: " + out, file=sys.stderr)
        return False
    line("ike.flood.setup", 1000 * float(m.group(3)), "ms")
    return True


def main():
    lab, good = Lab(), True
    parts = {"rates": rates, "flood": flood, "held": held}
    for name in sys.argv[1:] or parts:
        good = parts[name](lab) is not False and good
    rv.cleanup()
    return 0 if good else 1


sys.exit(main())
