#!/usr/bin/python3
"""iperf3 from namespace to namespace through two stack-cores with AES-GCM-128, beside what else can be had for that, all measured in
turn in one run; one line a peer and figure.

  tunnel.tcp1, tunnel.tcp4      TCP, one and four streams, ESP in UDP; tunnel.esp.tcp1, .tcp4: bare ESP (protocol 50)
  tunnel.tcp1.cpu, ...          seconds of processor time of both ends' daemons per Gbit carried: less is better
  tunnel.udp64, tunnel.udp1400  datagrams of 64 and 1400 bytes delivered a second at the best of several offered rates
  tunnel.udp64.over, ...        delivered when at least twice that is offered, as a part of the best: 1 is no collapse
  tunnel.udp64.cpu, ...         microseconds of processor time of both ends' daemons per datagram delivered, at the best rate
  tunnel.tcp4.workers           TCP, four streams through one SA, with WORKERS 2 beside WORKERS 1

Peers: the wire alone (veth), the wire without its offloads (each packet is built, copied and received by itself, as on a NIC that helps
with nothing: the cost of the packets alone), strongSwan's kernel-libipsec, wireguard-go, OpenVPN, nebula; Debian's packages,
installed when they are not there. One that cannot be had or does not work is told on standard error and by the status.

  tests/bench/tunnel.py [--quick] [--tcp] [--udp] [PEER ...]      for a look: fewer runs, a part of the peers"""
import os
import re
import statistics
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gateways
import rv
import tunnel_peers

QUICK = "--quick" in sys.argv
WANTED = [a for a in sys.argv[1:] if not a.startswith("--")]
TCP, UDP = ("--tcp" in sys.argv or "--udp" not in sys.argv), ("--udp" in sys.argv or "--tcp" not in sys.argv)
RUNS, SECONDS = (1, 2) if QUICK else (5, 2)
RATES = [25, 50, 100, 200, 400]  # offered, thousands a second; iperf3 itself ends at about 300, which is then all that is offered
FINE = [0.7, 1, 1.2, 1.4, 1.7, 2, 4]  # of that of these which a peer delivers most at: where its maximum is looked for


def iperf(peer, *args, seconds=SECONDS):
    """What the client printed, and the processor time of the daemons meanwhile."""
    for _ in range(2):
        server = rv.Process(["iperf3", "-s", "-1"], ns=peer.right).start()
        rv.until(lambda: ":5201" in rv.run("ss", "-Hltn", ns=peer.right).stdout, 5)
        before = gateways.cpu_seconds(peer.processes)
        r = rv.run("iperf3", "-c", peer.address, "-t", seconds, "-f", "m", "--connect-timeout", "5000", *args, ns=peer.left, timeout=seconds + 30)
        used = gateways.cpu_seconds(peer.processes) - before
        server.wait(3)
        server.kill()
        if "receiver" in r.stdout:
            return r.stdout, used
    raise RuntimeError("%s: iperf3: %s%s" % (peer.name, r.stdout[-500:], r.stderr[-500:]))


def tcp(peer, streams):
    """(Gbit/s, seconds of processor time per Gbit)"""
    out, used = iperf(peer, "-P", streams)
    rate = float(re.findall(r"([\d.]+) Mbits/sec.*receiver", out)[-1]) / 1000
    return rate, used / (rate * SECONDS) if rate else 0


def udp(peer, size, kpps):
    """(delivered in thousands a second, microseconds of processor time for each)"""
    out, used = iperf(peer, "-u", "-b", int(kpps * 1000 * size * 8), "-l", size, seconds=1)
    got = re.findall(r"([\d.]+)\s+sec.*?(\d+)/(\d+) \(\S+\)\s+receiver", out)[-1]
    delivered = int(got[2]) - int(got[1])
    return delivered / float(got[0]) / 1000, used * 1e6 / delivered if delivered else 0


def rates_of(peer, size):
    """The rates to measure @peer at: finer about where a first look says that its maximum is, and all others, for that look may be wrong."""
    best = max(RATES, key=lambda r: udp(peer, size, r)[0])
    return sorted({min(round(best * f), RATES[-1]) for f in FINE} | set(RATES))


def median(values):
    return statistics.median(values) if values else 0


def line(name, value, unit, peer, other):
    ratio = "%.3f" % (value / other) if other else "-"
    print("%s\t%.3f\t%s\t%s\t%s\t%s" % (name, value, unit, peer, "%.3f" % other if other else "-", ratio), flush=True)


def measure_tcp(peers, streams):
    rates, cpu = {p.name: [] for p in peers}, {p.name: [] for p in peers}
    for _ in range(RUNS):
        for p in peers:
            rate, per = tcp(p, streams)
            rates[p.name].append(rate)
            cpu[p.name].append(per)
    for own, tag in (("ours-esp-udp", "tunnel.tcp%d"), ("ours-esp", "tunnel.esp.tcp%d")):
        if own not in rates:
            continue
        for p in peers:
            if p.name != own:
                line(tag % streams, median(rates[own]), "Gbit/s", p.name, median(rates[p.name]))
        for p in peers:
            if p.name != own and p.processes:
                line(tag % streams + ".cpu", median(cpu[own]), "s/Gbit", p.name, median(cpu[p.name]))


def measure_udp(peers, size):
    rates = {p.name: rates_of(p, size) for p in peers}
    got = {p.name: {r: [] for r in rates[p.name]} for p in peers}
    for _ in range(RUNS):
        for p in peers:
            for r in rates[p.name]:
                got[p.name][r].append(udp(p, size, r))
    best, kept, cpu = {}, {}, {}
    for name, runs in got.items():
        full = {r: median([x[0] for x in v]) for r, v in runs.items()}
        at = max(full, key=full.get)
        twice = min([r for r in full if r >= 2 * at] or [max(full)])
        best[name], cpu[name] = full[at], median([x[1] for x in runs[at]])
        kept[name] = full[twice] / full[at] if full[at] else 0
        print("tunnel: %d bytes, %s: %s" % (size, name, ", ".join("%d offered %.1f delivered" % x for x in sorted(full.items()))), file=sys.stderr)
    own = "ours-esp-udp"
    for p in peers:
        if p.name != own and own in best:
            line("tunnel.udp%d" % size, best[own], "kpps", p.name, best[p.name])
            line("tunnel.udp%d.over" % size, kept[own], "part", p.name, kept[p.name])
            if p.processes:
                line("tunnel.udp%d.cpu" % size, cpu[own], "us/datagram", p.name, cpu[p.name])


def measure_workers(net, folder, one):
    """Flows of one SA over several workers, beside one."""
    two = tunnel_peers.ours(net, folder, True, tag="t", workers=2)
    rates = {1: [], 2: []}
    for _ in range(RUNS):
        for n, p in ((1, one), (2, two)):
            rates[n].append(tcp(p, 4)[0])
    line("tunnel.tcp4.workers", median(rates[2]), "Gbit/s", "one-worker", median(rates[1]))


def main():
    net, missing = rv.Net("rvb"), []
    with tempfile.TemporaryDirectory(prefix="rv-bench-") as folder:
        os.chmod(folder, 0o755)
        peers = [make(net, folder) for make in tunnel_peers.OURS]
        for make in tunnel_peers.PEERS:
            if WANTED and make.__name__ not in WANTED:
                continue
            try:
                peers.append(make(net, folder))
            except RuntimeError as e:
                missing.append(make.__name__)
                print("tunnel: %s" % e, file=sys.stderr)
        for streams in (1, 4) if TCP else ():
            measure_tcp(peers, streams)
        if TCP:
            measure_workers(net, folder, peers[0])
        for size in (64, 1400) if UDP else ():
            measure_udp([p for p in peers if p.name != "ours-esp"], size)
    rv.cleanup()
    return 1 if missing else 0


if os.geteuid() != 0:
    sys.exit("tunnel: must run as root (it makes network namespaces)")
sys.exit(main())
