#!/usr/bin/python3
"""What our IKE engines send, read by others: tshark with its IKEv1 decryption table, and scapy. Two engines talk in memory (ike_tool):
main and aggressive mode, quick mode with and without PFS, a rekey, dead peer detection and deletes. No message may be malformed for tshark; every
encrypted one must decrypt to the payloads that it should hold; scapy must find the same payloads in clear messages. Prints one
line a check. Usage: ike-tshark.py [PATH-OF-ike_tool]"""
import os
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

TOOL = sys.argv[1] if len(sys.argv) > 1 else os.path.join(TOP, "build", "debug", "tests", "interop", "ike_tool")
failed = 0

def check(good, text):
    global failed
    failed += not good
    print("%sok - %s" % ("" if good else "not ", text), flush=True)
    return good

def run_tool(scenario):
    r = subprocess.run([TOOL, scenario], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120)
    if not check(r.returncode == 0, "%s: the engines agree" % scenario):
        sys.exit(r.stderr or "ike_tool ended with %d" % r.returncode)
    keys, datagrams = [], []
    for line in r.stdout.splitlines():
        words = line.split()
        if words[0] == "key":
            keys.append((words[1], words[2]))
        elif words[0] == "datagram":
            datagrams.append((int(words[1]), bytes.fromhex(words[2])))
    return keys, datagrams

def write_pcap(path, datagrams):
    from scapy.all import IP, UDP, Ether, Raw, wrpcap
    wrpcap(path, [Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") /
                  IP(src="192.0.2.%d" % who, dst="192.0.2.%d" % (3 - who)) / UDP(sport=500, dport=500) / Raw(data)
                  for who, data in datagrams])

def tshark(path, keys, *more):
    argv = ["tshark", "-n", "-r", path]
    for icookie, key in keys:
        argv += ["-o", "uat:ikev1_decryption_table:%s,%s" % (icookie, key)]
    r = subprocess.run(argv + list(more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120)
    if r.returncode:
        sys.exit("tshark: " + r.stderr)
    return r.stdout

# What an exchange's messages must hold, by tshark's payload numbers; more (vendor ids, NAT-D, notifies) may stand there.
MAIN = [{1}, {1}, {4, 10}, {4, 10}, {5, 8}, {5, 8}]
AGGRESSIVE = [{1, 4, 10, 5}, {1, 4, 10, 5, 8}, {8}]

def payloads(path, keys):
    """One (exchange, message id, encrypted, set of payloads) a datagram; what does not decrypt has no payloads."""
    out = tshark(path, keys, "-T", "fields", "-E", "separator=|", "-E", "occurrence=a", "-e", "isakmp.exchangetype",
                 "-e", "isakmp.messageid", "-e", "isakmp.flags", "-e", "isakmp.typepayload")
    rows = []
    for line in out.splitlines():
        exchange, mid, flags, types = line.split("|")
        rows.append((int(exchange), int(mid, 16), int(flags, 16) & 1, {int(x) for x in types.split(",") if x}))
    return rows

def quick_modes(rows):
    exchanges = {}
    for exchange, mid, _, kinds in rows:
        if exchange == 32:
            exchanges.setdefault(mid, []).append(kinds)
    return list(exchanges.values())

def judge(scenario, work):
    keys, datagrams = run_tool(scenario)
    path = os.path.join(work, scenario + ".pcap")
    write_pcap(path, datagrams)
    bad = tshark(path, keys, "-Y", "_ws.malformed || _ws.expert.severity == error")
    check(not bad, "%s: tshark marks none of %d messages%s" % (scenario, len(datagrams), "\n" + bad if bad else ""))
    rows = payloads(path, keys)
    sealed = [r for r in rows if r[2]]
    check(sealed and all(r[3] for r in sealed), "%s: tshark decrypts all %d encrypted messages" % (scenario, len(sealed)))
    first = [r[3] for r in rows if r[0] in (2, 4)]
    want = AGGRESSIVE if scenario == "aggressive" else MAIN
    check(len(first) == len(want) and all(w <= g for w, g in zip(want, first)),
          "%s: phase 1 has its payloads" % scenario)
    quick = quick_modes(rows)
    need = {8, 1, 10, 5} | ({4} if scenario in ("pfs", "esn") else set())
    check(len(quick) == 2 and all(len(q) == 3 and need <= q[0] and need <= q[1] and 8 in q[2] for q in quick),
          "%s: two quick modes of three messages with their payloads" % scenario)
    informational = [r[3] for r in rows if r[0] == 5]
    check(sum(11 in k for k in informational) >= 2, "%s: R-U-THERE and its answer" % scenario)
    check(sum(12 in k for k in informational) >= 2, "%s: deletes of both phases" % scenario)
    text = tshark(path, keys, "-V", "-Y", "isakmp")
    check("R-U-THERE" in text and "Delete" in text, "%s: tshark reads the notifies by name" % scenario)
    scapy_agrees(scenario, datagrams)

def scapy_agrees(scenario, datagrams):
    from scapy.layers.isakmp import ISAKMP, ISAKMP_payload_SA
    clear = [d for _, d in datagrams if not d[19] & 1]
    parsed = [ISAKMP(d) for d in clear]
    check(all(bytes(p) == d and p.length == len(d) for p, d in zip(parsed, clear)),
          "%s: scapy builds the same %d clear messages from what it read" % (scenario, len(clear)))
    check(all(p.haslayer(ISAKMP_payload_SA) for p in parsed[:2]), "%s: scapy finds both SA payloads" % scenario)

def main():
    with tempfile.TemporaryDirectory(prefix="rv-wire-") as work:
        for scenario in "main", "aggressive", "vpn-a", "pfs", "esn", "ah":
            judge(scenario, work)
    return 1 if failed else 0

sys.exit(main())
