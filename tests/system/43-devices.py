#!/usr/bin/python3
"""Devices under a running stack go down, away and come back: by each driver, with VLANs, and the TUN. Each is told, counted, and used again
without a restart; the other interfaces lose nothing."""
import json
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import gateways
import rv

PROFILE = """
INTERFACE WIRE DEFINE AFPACKET DEVICE wire0 IPADDR 192.0.2.1/24
INTERFACE EAST DEFINE AFPACKET DEVICE wire1 DRIVER {driver} IPADDR 198.51.100.1/24 IPADDR 2001:db8:5::1/64
INTERFACE SEVEN DEFINE AFPACKET DEVICE wire1 DRIVER {driver} VLANID 7 IPADDR 10.77.0.1/24
INTERFACE HOST DEFINE TUN DEVICE tun0 IPADDR 10.1.0.1/24 IPADDR 2001:db8:1::1/64
BEGINROUTES
  ROUTE 10.9.0.0/24 192.0.2.2 WIRE
  ROUTE 2001:db8:9::/64 2001:db8:5::9 EAST
ENDROUTES
WORKERS 2
"""
# An ARP question with the tag of VLAN 7, as a switch sends it: not every kernel has VLAN devices.
ASK = """
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.bind(("wire1", 0))
s.settimeout(1)
me, target = s.getsockname()[4], socket.inet_aton("10.77.0.1")
ask = bytes.fromhex("0001080006040001") + me + socket.inet_aton("10.77.0.9") + bytes(6) + target
s.send(b"\\xff" * 6 + me + bytes.fromhex("810000070806") + ask + bytes(18))
while True:
    got, where = s.recvfrom(2000)
    if where[2] != 4 and got[12:14] == b"\\x08\\x06" and got[21] == 2 and got[28:32] == target:
        break
"""
net = rv.Net("rvdev")
ns, right, far = net.ns("left"), net.ns("right"), net.ns("far")
net.veth(ns, "wire0", right, "wire0")
rv.run("ip", "addr", "add", "192.0.2.2/24", "dev", "wire0", ns=right)


def ip(*args, where=ns):
    p = rv.run("ip", *args, ns=where)
    if p.returncode:
        raise RuntimeError("ip %s: %s" % (" ".join(args), p.stdout + p.stderr))


def plug():
    """A new wire1, with another MAC and another number."""
    net.veth(ns, "wire1", far, "wire1", offloads=False)
    ip("addr", "add", "198.51.100.9/24", "dev", "wire1", where=far)
    ip("-6", "addr", "add", "2001:db8:5::9/64", "dev", "wire1", "nodad", where=far)
    back()


def back():
    ip("-6", "route", "replace", "2001:db8:1::/64", "via", "2001:db8:5::1", where=far)


def links():
    p = rv.run("stackctl", "-p", "LEFT", "--json", "links")
    return {x["name"]: x for x in json.loads(p.stdout)["links"]} if p.returncode == 0 else {}


def ping(address, where=far, seconds=15):
    return rv.until(lambda: rv.run("ping", "-n", "-c", "1", "-W", "1", address, ns=where).returncode == 0, seconds)


def answers():
    return ping("198.51.100.1") and ping("2001:db8:5::1") and rv.until(lambda: rv.run("/usr/bin/python3", "-c", ASK, ns=far).returncode == 0, 10)


def event(topic, link, why=""):
    """The next event of that link is that one."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        e = told.next(max(0.1, end - time.monotonic()))
        m = rv.protos().stack.LinkEvent.FromString(e[2]) if e else None
        if m and m.link == link and e[0] in ("stack.link.down", "stack.link.up"):
            return rv.check("event: %s %s%s" % (topic, link, " (%s)" % why if why else ""), e[0] == topic and m.why == why, (e[0], m))
    return rv.check("event: %s %s" % (topic, link), False, "none came")


def mac(link):
    return links()[link]["mac"]


def device_mac(name):
    return json.loads(rv.run("ip", "-j", "link", "show", name, ns=ns).stdout)[0]["address"]


def down_and_up():
    downs = int(links()["EAST"].get("downs", 0))
    ip("link", "set", "wire1", "down")
    event("stack.link.down", "EAST", "device down")
    event("stack.link.down", "SEVEN", "device down")
    now = links()["EAST"]
    rv.check("stackctl says so, and how often", not now.get("up") and int(now["downs"]) == downs + 1, now)
    ip("link", "set", "wire1", "up")
    event("stack.link.up", "EAST")
    rv.check("up again, packets flow, also in its VLAN", answers())
    ip("link", "set", "wire1", "down", where=far)
    event("stack.link.down", "EAST", "device down")
    ip("link", "set", "wire1", "up", where=far)
    ip("-6", "addr", "replace", "2001:db8:5::9/64", "dev", "wire1", "nodad", where=far)
    event("stack.link.up", "EAST")
    rv.check("the same when the other end loses the wire", answers())


def unplugged(driver):
    before = links()["EAST"]
    ip("link", "del", "wire1")
    event("stack.link.down", "EAST", "device gone")
    busy, start = gateways.cpu_seconds([daemon]), time.monotonic()
    time.sleep(1)
    share = (gateways.cpu_seconds([daemon]) - busy) / (time.monotonic() - start)
    rv.check("%s: without its device, nothing spins (%.0f %% of a processor)" % (driver, share * 100), share < 0.4)
    plug()
    event("stack.link.up", "EAST")
    event("stack.link.up", "SEVEN")
    rv.check("%s: the device is there again and is used, also in its VLAN" % driver, answers())
    now = links()["EAST"]
    rv.check("%s: with its own MAC, and counters that go on" % driver, now["mac"] == device_mac("wire1") != before["mac"] and
             int(now["rx_packets"]) >= int(before["rx_packets"]) and now["driver"] == driver, (before, now))


def useless():
    ip("link", "del", "wire1")
    event("stack.link.down", "EAST", "device gone")
    ip("tuntap", "add", "dev", "wire1", "mode", "tun")
    rv.check("one of that name that is not Ethernet is told and left alone",
             rv.until(lambda: "device wire1 is not Ethernet" in daemon.output(), 10) and not links()["EAST"].get("up"))
    ip("tuntap", "del", "dev", "wire1", "mode", "tun")
    plug()
    event("stack.link.up", "EAST")
    rv.check("and the right one is taken", answers())


def replaced():
    """Gone and there again before anybody looks, under the same number."""
    number = json.loads(rv.run("ip", "-j", "link", "show", "wire1", ns=ns).stdout)[0]["ifindex"]
    swap = rv.write("swap", "link del wire1\nlink add wire1 index %d type veth peer name wire1 netns %s\nlink set wire1 up\n" % (number, far))
    ip("-b", swap)
    ip("link", "set", "wire1", "up", where=far)
    ip("addr", "add", "198.51.100.9/24", "dev", "wire1", where=far)
    ip("-6", "addr", "add", "2001:db8:5::9/64", "dev", "wire1", "nodad", where=far)
    back()
    event("stack.link.down", "EAST", "device gone")
    event("stack.link.up", "EAST")
    rv.check("another device under the same number is another device", answers() and mac("EAST") == device_mac("wire1"))


def other_mac():
    ip("link", "set", "wire1", "address", "02:00:00:00:77:01")
    rv.check("another MAC of the device is the interface's", rv.until(lambda: mac("EAST") == mac("SEVEN") == "02:00:00:00:77:01", 10), links())
    rv.check("and packets flow", answers())


def host_has():
    routes = rv.run("ip", "route", ns=ns).stdout + rv.run("ip", "-6", "route", ns=ns).stdout
    addrs = rv.run("ip", "addr", "show", "dev", "tun0", ns=ns).stdout
    missing = [x for x in ("10.9.0.0/24 dev tun0", "198.51.100.0/24 dev tun0", "2001:db8:9::/64 dev tun0") if x not in routes]
    return not missing + [x for x in ("10.1.0.1/24", "2001:db8:1::1/64") if x not in addrs]


def host():
    rv.check("the host reaches the wire", ping("192.0.2.2", ns) and ping("2001:db8:5::9", ns) and host_has())
    ip("link", "set", "tun0", "down")
    event("stack.link.down", "HOST", "device down")
    ip("link", "set", "tun0", "up")
    event("stack.link.up", "HOST")
    rv.check("TUN down and up: the host has its addresses and routes", rv.until(host_has, 10), rv.run("ip", "-6", "route", ns=ns).stdout)
    rv.check("and reaches the wire", ping("192.0.2.2", ns) and ping("2001:db8:5::9", ns))
    ip("link", "del", "tun0")
    event("stack.link.down", "HOST", "device gone")
    event("stack.link.up", "HOST")
    rv.check("TUN deleted: it is made again, with addresses and routes", rv.until(host_has, 10), rv.run("ip", "-6", "route", ns=ns).stdout)
    rv.check("and the host reaches the wire", ping("192.0.2.2", ns) and ping("2001:db8:5::9", ns))


def profile(driver, *changes):
    text = PROFILE.format(driver=driver)
    for old, new in changes:
        if old not in text:
            raise RuntimeError("the profile has no %s" % old)
        text = text.replace(old, new)
    rv.write("stacks/LEFT.profile", text)


def driven_by(driver):
    return rv.until(lambda: links().get("EAST", {}).get("driver") == driver, 10)


def loaded(*changes):
    profile("XDP", *changes)
    daemon.reload()
    e = conf.next(10)
    return e and e[0] == "stack.conf.loaded"


def silent(address):
    return rv.run("ping", "-n", "-c", "1", "-W", "1", address, ns=far).returncode != 0


def reloads():
    """What a reload changes of links that AF_XDP drives: the program's tables follow."""
    for address in ("203.0.113.9/24", "2001:db8:6::9/64"):
        ip("addr", "add", address, "dev", "wire1", *(["nodad"] if ":" in address else []), where=far)
    other = (("198.51.100.1/24", "203.0.113.1/24"), ("2001:db8:5::1/64", "2001:db8:6::1/64"))
    rv.check("XDP: other addresses by a reload answer", loaded(*other, ("2001:db8:5::9", "2001:db8:6::9")) and ping("203.0.113.1") and ping("2001:db8:6::1"))
    rv.check("and the old ones do not", silent("198.51.100.1") and silent("2001:db8:5::1"))
    seven = [line for line in PROFILE.format(driver="XDP").splitlines() if "SEVEN" in line][0]
    asked = lambda: rv.run("/usr/bin/python3", "-c", ASK, ns=far).returncode == 0
    rv.check("XDP: a VLAN goes by a reload", loaded((seven, "")) and sorted(links()) == ["EAST", "HOST", "WIRE"] and not asked() and ping("198.51.100.1"))
    rv.check("and comes", loaded() and answers())
    east = [line for line in PROFILE.format(driver="XDP").splitlines() if "EAST" in line][0]
    route = "  ROUTE 2001:db8:9::/64 2001:db8:5::9 EAST\n"
    rv.check("XDP: the first of the device goes, its VLAN stays", loaded((east, ""), (route, "")) and rv.until(asked, 5) and silent("198.51.100.1"))
    rv.check("with the last the program goes", loaded((east, ""), (seven, ""), (route, "")) and "xdp" not in rv.run("ip", "link", "show", "wire1", ns=ns).stdout)
    rv.check("and all come back", loaded() and answers() and driven_by("XDP"))
    for address in ("203.0.113.9/24", "2001:db8:6::9/64"):
        ip("addr", "del", address, "dev", "wire1", where=far)


def host_addresses():
    rv.check("the TUN has other addresses by a reload", loaded(("10.1.0.1/24", "10.1.7.1/24"), ("2001:db8:1::1/64", "2001:db8:1:7::1/64")))
    addrs = rv.run("ip", "addr", "show", "dev", "tun0", ns=ns).stdout
    rv.check("which are the host's, and the old ones are not", "10.1.7.1/24" in addrs and "2001:db8:1:7::1/64" in addrs and "10.1.0.1/24" not in addrs and
             "2001:db8:1::1/64" not in addrs, addrs)
    ip("route", "add", "10.1.7.0/24", "via", "192.0.2.1", where=right)
    ip("-6", "route", "add", "2001:db8:1:7::/64", "via", "2001:db8:5::1", where=far)
    rv.check("and its routes lead on", ping("192.0.2.2", ns) and ping("2001:db8:5::9", ns))
    rv.check("who is asked for them answers", ping("10.1.7.1", right) and ping("2001:db8:1:7::1", far))


plug()
rv.Daemon.tun()
rv.run("safctl", "--init")
rv.saf_base(["LEFT"])
rv.permit("EZB.NETSTAT.{sysname}.LEFT.LINKS", "IBMUSER")
rv.permit("EZB.NETMGMT.{sysname}.LEFT.EVENTS", "IBMUSER")
profile("RING")
daemon = rv.Daemon("stack-core", "LEFT", ns=ns)
ip("route", "add", "10.1.0.0/24", "via", "192.0.2.1", where=right)
told = rv.Subscriber("stack-core@LEFT", "stack.link.")
rv.check("the interface answers, also in its VLAN", answers() and ping("192.0.2.1", right))
flood = subprocess.Popen(rv.in_ns(right) + ["ping", "-n", "-q", "-i", "0.01", "-w", "45", "-W", "3", "192.0.2.1"], stdout=subprocess.PIPE, text=True)
down_and_up()
unplugged("RING")
useless()
replaced()
other_mac()
host()
profile("SOCKET")
daemon.reload()
rv.check("SOCKET by a reload", driven_by("SOCKET") and answers(), links())
unplugged("SOCKET")
profile("XDP")
daemon.reload()
rv.check("XDP by a reload, when none was there at the start: refused, for CAP_BPF was given up", rv.until(lambda: "needs CAP_BPF" in daemon.output(), 10) and
         driven_by("SOCKET") and answers())
flood.send_signal(2)
out, _ = flood.communicate(timeout=60)
m = re.search(r"(\d+) packets transmitted, (\d+) received", out)
rv.check("not one of %s pings over the other interface was lost" % (m[1] if m else "?"), m and int(m[1]) - int(m[2]) <= 1 and int(m[1]) > 300, out)
daemon.stop()
daemon.start()
rv.check("XDP at the start", driven_by("XDP") and answers(), links())
told, conf = (rv.Subscriber("stack-core@LEFT", topic) for topic in ("stack.link.", "stack.conf."))
time.sleep(1)  # a subscriber that comes late hears nothing
unplugged("XDP")
other_mac()
reloads()
host_addresses()
rv.check("LEFT ends in order", daemon.stop() == 0, daemon.output()[-1500:])
sys.exit(rv.finish())
