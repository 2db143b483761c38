#!/usr/bin/python3
"""Reload under load: routes, filters, tunnels and intrusion detection of two stacks change again and again while TCP and pings go through
their tunnel; then interfaces come, change and go beside it. Nothing is lost."""
import json
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import gateways
import rv

# An ARP question with the tag of VLAN 7, as a switch sends it: not every kernel has VLAN devices.
ASK = """
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.bind(("wire1", 0))
s.settimeout(1)
me, target = s.getsockname()[4], socket.inet_aton(sys.argv[1])
ask = bytes.fromhex("0001080006040001") + me + socket.inet_aton("10.77.0.9") + bytes(6) + target
s.send(b"\\xff" * 6 + me + bytes.fromhex("810000070806") + ask + bytes(18))
while True:
    got, where = s.recvfrom(2000)
    if where[2] != 4 and got[12:14] == b"\\x08\\x06" and got[21] == 2 and got[28:32] == target:
        break
"""
PROFILE = """
IPCONFIG IPSECURITY
INTERFACE WIRE DEFINE AFPACKET DEVICE wire0 IPADDR 192.0.2.{me}/24
INTERFACE HOST DEFINE TUN DEVICE tun0 IPADDR 10.{me}.0.1/24
BEGINROUTES
  ROUTE 10.{peer}.0.0/24 192.0.2.{peer} WIRE
{routes}
ENDROUTES
IPSECPOLICY 'stacks/{name}.policy'
{ids}
WORKERS 2
"""
NAMES = {1: "LEFT", 2: "RIGHT"}
IDS = "IDSReportSet all { TypeActions LOG }\nIDSAction a { ActionType ATTACK discard\n IDSReportSetRef all }\n" \
      "IDSRule r { ConditionType Attack\n IDSAttackCondition { AttackType MALFORMED_PACKET }\n IDSActionRef a }\n"


def write(me, turn):
    """What is asked of stack @me at its @turn-th reload: tunnels before and behind the one in use come and go, and so do rules."""
    peer = 3 - me
    tunnels, rules = "", ""
    for i in range(turn % 3):
        keys = {me: "%02x" % (16 + 4 * i + me) * 20, peer: "%02x" % (64 + 4 * i + me) * 20}
        tunnels += gateways.manual(me, "192.0.2.%d" % me, "192.0.2.%d" % (10 + i), "a%d" % i, 2000 + 10 * i, keys)
        rules += gateways.rule("ra%d" % i, "10.%d.0.0/24" % me, "10.9.%d.0/24" % i, vpn="a%d" % i)
    for i in range(turn % 4 * 20):
        rules += gateways.rule("no%d" % i, "10.%d.0.0/24" % me, "10.8.%d.0/24" % i, "deny")
    tunnels += gateways.manual(me, "192.0.2.%d" % me, "192.0.2.%d" % peer)
    rules += gateways.sites(me, six=False)
    for i, own in enumerate(("198.51.100.0/24", "203.0.113.0/24")):
        rules += gateways.rule("near%d" % i, own, own, "permit")
    routes = "\n".join("  ROUTE 10.7.%d.0/24 192.0.2.%d WIRE" % (i, peer) for i in range(turn % 5 * 10))
    rv.write("stacks/%s.policy" % NAMES[me], gateways.policy(tunnels, rules))
    rv.write("stacks/%s.profile" % NAMES[me], PROFILE.format(me=me, peer=peer, name=NAMES[me], routes=routes,
                                                            ids="IDSPOLICY 'stacks/ids.policy'" if turn % 2 else ""))


def ctl(me, *args):
    return rv.run("stackctl", "-p", NAMES[me], "--json", *args)


def drops(me):
    p = ctl(me, "counters")
    return {c["name"]: int(c.get("packets", 0)) for c in json.loads(p.stdout)["counters"] if c.get("drop")} if p.returncode == 0 else {}


net = rv.Net("rvrel")
ns = {1: net.ns("left"), 2: net.ns("right")}
net.veth(ns[1], "wire0", ns[2], "wire0")
far = net.ns("far")
net.veth(ns[1], "wire1", far, "wire1")
for address in ("198.51.100.9/24", "203.0.113.9/24"):
    rv.run("ip", "addr", "add", address, "dev", "wire1", ns=far)
rv.Daemon.tun()
rv.run("safctl", "--init")
rv.saf_base(NAMES.values())
rv.write("stacks/ids.policy", IDS)
for name in NAMES.values():
    for what in ("LINKS", "COUNTERS", "ROUTES"):
        rv.permit("EZB.NETSTAT.{sysname}.%s.%s" % (name, what), "IBMUSER")
    rv.permit("EZB.IPSECCMD.{sysname}.%s.DISPLAY" % name, "IBMUSER")
    rv.permit("EZB.NETMGMT.{sysname}.%s.EVENTS" % name, "IBMUSER")
for me in ns:
    write(me, 0)
daemons = {me: rv.Daemon("stack-core", NAMES[me], ns=ns[me]) for me in ns}
events = {me: rv.Subscriber("stack-core@" + NAMES[me], "stack.conf.") for me in ns}
server = rv.Process(["iperf3", "-s", "-1", "-B", "10.2.0.1"], ns=ns[2]).start()
rv.check("the tunnel carries pings", rv.until(lambda: rv.run("ping", "-n", "-c", "1", "-W", "1", "10.2.0.1", ns=ns[1]).returncode == 0, 20))
time.sleep(0.5)
before = {me: drops(me) for me in ns}
# A rate far below what the path carries: what is lost is lost by a reload.
client = subprocess.Popen(rv.in_ns(ns[1]) + ["iperf3", "-c", "10.2.0.1", "-t", "10", "-i", "1", "-b", "40M", "-J"], stdout=subprocess.PIPE, text=True)
flood = subprocess.Popen(rv.in_ns(ns[1]) + ["ping", "-n", "-q", "-i", "0.004", "-c", "2200", "-W", "3", "10.2.0.1"], stdout=subprocess.PIPE, text=True)
start, turn, loaded = time.monotonic(), 0, 0
while time.monotonic() - start < 8.5:
    turn += 1
    for me in ns:
        write(me, turn)
        daemons[me].reload()
    for me in ns:
        e = events[me].next(10)
        loaded += bool(e) and e[0] == "stack.conf.loaded"
    time.sleep(0.05)
out, _ = flood.communicate(timeout=30)
m = re.search(r"(\d+) packets transmitted, (\d+) received", out)
rv.check("both stacks took %d configurations" % turn, loaded == 2 * turn and turn >= 10, "%d of %d" % (loaded, 2 * turn))
rv.check("not one of %s pings was lost" % (m.group(1) if m else "?"), m and m.group(1) == m.group(2) and int(m.group(1)) > 500, out)
out, _ = client.communicate(timeout=30)
report = json.loads(out)
rv.check("the TCP connection went on", "error" not in report and all(i["sum"]["bytes"] > 0 for i in report.get("intervals", [])), out[-600:])
rate = report.get("end", {}).get("sum_received", {}).get("bits_per_second", 0)
rv.check("at its rate", rate > 30e6, rate)
for me in ns:
    lost = {k: v - before[me].get(k, 0) for k, v in drops(me).items() if v > before[me].get(k, 0)}
    rv.check("%s dropped nothing but what no rule speaks of" % NAMES[me],
             not [k for k in lost if k.startswith(("ESP", "FILTER_NO_TUNNEL", "FILTER_TUNNEL", "FILTER_CLEAR", "IP_NO_ROUTE"))], lost)

# --- what a reload may not do ---
write(1, 1)
with open(rv.path("etc/ravelin/stacks/LEFT.profile"), "a") as f:
    f.write("NONSENSE\n")
daemons[1].reload()
e = events[1].next(10)
rv.check("a bad file is refused", e and e[0] == "stack.conf.rejected", e)
rv.check("and the stack goes on", rv.run("ping", "-n", "-c", "2", "-i", "0.2", "-W", "2", "10.2.0.1", ns=ns[1]).returncode == 0)
def changed(old, new):
    """Reloads LEFT with that change of its profile; the event."""
    write(1, 1)
    with open(rv.path("etc/ravelin/stacks/LEFT.profile")) as f:
        text = f.read()
    rv.write("stacks/LEFT.profile", text.replace(old, new))
    daemons[1].reload()
    return events[1].next(10)


def loaded_with(interfaces):
    """LEFT has these beside its own."""
    e = changed("INTERFACE HOST", interfaces + "\nINTERFACE HOST")
    return e and e[0] == "stack.conf.loaded"


def links():
    return {x["name"]: x for x in json.loads(ctl(1, "links").stdout)["links"]}


def pings(address):
    return rv.until(lambda: rv.run("ping", "-n", "-c", "1", "-W", "1", address, ns=far).returncode == 0, 10)


def vlan_answers(address):
    return rv.until(lambda: rv.run("/usr/bin/python3", "-c", ASK, address, ns=far).returncode == 0, 10)


def fds():
    return len(os.listdir("/proc/%d/fd" % daemons[1].p.pid))


def kib():
    with open("/proc/%d/status" % daemons[1].p.pid) as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])


before_links = links()
for old, new, what in (("INTERFACE HOST", "INTERFACE EAST DEFINE AFPACKET DEVICE lo\nINTERFACE HOST", "device lo is not Ethernet"),
                       ("INTERFACE HOST", "INTERFACE EAST DEFINE AFPACKET DEVICE wire1\nINTERFACE NEAR DEFINE AFPACKET DEVICE nodev\nINTERFACE HOST",
                        "there is no device nodev"),
                       ("INTERFACE WIRE", "INTERFACE WEST", "no INTERFACE statement defines"),
                       ("DEVICE tun0", "DEVICE tun7", "restart"), ("WORKERS 2", "WORKERS 3", "WORKERS is 3 instead of 2")):
    e = changed(old, new)
    rejected = rv.protos().common.ConfRejected.FromString(e[2]) if e and e[0] == "stack.conf.rejected" else None
    rv.check("refused: %s" % what, rejected and any(what in x for x in rejected.errors), rejected or e)
rv.check("and the interfaces are what they were", sorted(links()) == sorted(before_links) == ["HOST", "WIRE"], links())

# --- interfaces come, change and go, while each ping over another one is counted ---
told = rv.Subscriber("stack-core@LEFT", "stack.link.")
time.sleep(1)  # a subscriber that comes late hears nothing
flood = subprocess.Popen(rv.in_ns(ns[1]) + ["ping", "-n", "-q", "-i", "0.004", "-c", "4500", "-W", "3", "10.2.0.1"], stdout=subprocess.PIPE, text=True)
start = time.monotonic()
B = "INTERFACE BETA DEFINE AFPACKET DEVICE wire1 "
rv.check("an interface is added", loaded_with(B + "IPADDR 198.51.100.1/24") and "BETA" in links(), links())
e = told.next(5)
rv.check("which an event tells", e and e[0] == "stack.link.added" and rv.protos().stack.LinkEvent.FromString(e[2]).link == "BETA", e)
rv.check("and it answers", pings("198.51.100.1"))
rv.check("its address changes", loaded_with(B + "IPADDR 203.0.113.1/24 MTU 1400") and pings("203.0.113.1"))
e = told.next(5)
rv.check("which an event tells, too", e and e[0] == "stack.link.changed", e)
rv.check("the old one is nobody's", rv.run("ping", "-n", "-c", "1", "-W", "1", "198.51.100.1", ns=far).returncode != 0)
rv.check("its MTU is another, its counters go on", links()["BETA"]["mtu"] == 1400 and int(links()["BETA"]["rx_packets"]) > 1, links()["BETA"])
GAMMA = "\nINTERFACE GAMMA DEFINE AFPACKET DEVICE wire1 VLANID 7 IPADDR 10.77.0.1/24"
rv.check("a VLAN is added on its device", loaded_with(B + "IPADDR 203.0.113.1/24" + GAMMA) and vlan_answers("10.77.0.1") and pings("203.0.113.1"))
rv.check("and stays when the first interface of the device goes", loaded_with(GAMMA) and vlan_answers("10.77.0.1") and sorted(links()) == ["GAMMA", "HOST", "WIRE"], links())
rv.check("the first one comes back, driven in another way", loaded_with(B + "DRIVER SOCKET IPADDR 203.0.113.1/24") and pings("203.0.113.1"))
rv.check("as stackctl says", links()["BETA"].get("driver") == "SOCKET", links()["BETA"])
rv.check("it goes", loaded_with("") and sorted(links()) == ["HOST", "WIRE"], links())
rv.check("and answers no more", rv.run("ping", "-n", "-c", "1", "-W", "1", "203.0.113.1", ns=far).returncode != 0)
# The first rounds fill what is filled once.
count = None
rounds = 0
while rounds < 60:
    rounds += 1
    ok = loaded_with(B + "IPADDR 198.51.100.1/24") and loaded_with("")
    if not ok:
        break
    if rounds == 5:
        count, memory = fds(), kib()
rv.check("%d rounds of adding and removing" % rounds, ok and rounds == 60)
rv.check("leave no descriptor behind", fds() == count, (count, fds()))
rv.check("nor memory", kib() < memory + 8192, (memory, kib()))
out, _ = flood.communicate(timeout=60)
m = re.search(r"(\d+) packets transmitted, (\d+) received", out)
rv.check("not one of %s pings over the other interface was lost" % (m.group(1) if m else "?"), m and m.group(1) == m.group(2) and int(m.group(1)) > 500, out)
print("# %.1f s of changes of interfaces" % (time.monotonic() - start))
e = changed("DEVICE wire0", "DEVICE wire0 SECCLASS 9")
rv.check("a security class may change", e and e[0] == "stack.conf.loaded", e)
rv.check("with traffic going on", rv.run("ping", "-n", "-c", "2", "-i", "0.2", "-W", "5", "10.2.0.1", ns=ns[1]).returncode == 0)
for me in ns:
    rv.check("%s ends in order" % NAMES[me], daemons[me].stop() == 0, daemons[me].output()[-1000:])
sys.exit(rv.finish())
