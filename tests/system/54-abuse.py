#!/usr/bin/python3
"""A stack on a hostile wire: real traffic of two gateways is captured, and comes back to one of them cut at every byte and with bits
turned; then floods of spoofed sources, fragments, ARP, neighbour discovery and unknown SPIs.

What has to hold: the stack runs on, the tunnel's own traffic passes during each flood and after all, memory stays level, and each frame
that the wire gave is counted. With RAVELIN_BUILD=build/asan the address sanitizer watches."""
import ctypes
import json
import os
import random
import re
import select
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import gateways
import rv

SANITIZED = os.path.basename(rv.BUILD) in ("asan", "tsan")
FLIPS = 12        # damaged copies of a captured frame
FLOOD = 6000      # frames of each flood
PACE = 64         # frames, then a moment for the stack: what the kernel's queue loses reaches no counter of ours
LIBC = ctypes.CDLL(None, use_errno=True)
net = rv.Net("rv-abuse")
random.seed(54)
sent = 0


def packet_socket(ns, dev):
    """The socket stays in the namespace in which it was made, this process goes back."""
    made = []

    def make():
        with open("/run/netns/" + ns) as f:
            if LIBC.setns(f.fileno(), 0x40000000):
                raise OSError("setns " + ns)
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        s.bind((dev, 3))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        made.append(s)

    t = threading.Thread(target=make)  # a namespace is a thread's own
    t.start()
    t.join()
    return made[0]


def send(wire, frame):
    global sent
    if len(frame) < 14:
        return  # the kernel of the sender takes no less
    try:
        wire.send(frame[:1514])
    except OSError:
        return
    sent += 1
    if sent % PACE == 0:
        time.sleep(0.002)


def kind_of(frame):
    ethertype = struct.unpack(">H", frame[12:14])[0]
    if ethertype == 0x0800:
        part = struct.unpack(">H", frame[20:22])[0] & 0x3fff
        return "4", frame[23], bool(part), len(frame) > 300
    if ethertype == 0x86dd:
        return "6", frame[20], frame[54] if len(frame) > 54 else 0
    return ethertype, len(frame) > 60


def capture(wire, seconds, into):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if select.select([wire], [], [], 0.1)[0]:
            frame, where = wire.recvfrom(65535)
            if len(frame) <= 1514:
                into.setdefault(kind_of(frame), (frame, where[2] == socket.PACKET_OUTGOING))


def checksum(data):
    n = sum(struct.unpack(">%dH" % (len(data) // 2), data))
    n = (n & 0xffff) + (n >> 16)
    return ~((n & 0xffff) + (n >> 16)) & 0xffff


def ip4(src, dst, proto, payload, part=0, ident=0):
    h = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), ident, part, 64, proto, 0, src, socket.inet_aton(dst))
    return h[:10] + struct.pack(">H", checksum(h)) + h[12:] + payload


def ether(ethertype, payload, mac):
    return mac + bytes([2, 0, 0]) + os.urandom(3) + struct.pack(">H", ethertype) + payload


def spoofed():
    return bytes([random.choice((11, 100, 203)), random.randrange(256), random.randrange(256), random.randrange(1, 255)])


def nd(i):
    """A solicitation of a stranger for our address."""
    src, dst = bytes.fromhex("20010db8") + os.urandom(12), bytes.fromhex("20010db8") + bytes(11) + b"\1"
    body = bytes([135, 0, 0, 0, 0, 0, 0, 0]) + dst + bytes([1, 1, 2, 0, 0]) + struct.pack(">HB", i & 0xffff, 9)
    pseudo = src + dst + struct.pack(">II", len(body), 58)
    body = body[:2] + struct.pack(">H", checksum(pseudo + body)) + body[4:]
    return struct.pack(">IHBB", 6 << 28, len(body), 58, 255) + src + dst + body


FLOODS = {
    "spoofed sources": lambda i, mac: ether(0x0800, ip4(spoofed(), "10.1.0.1", 17, struct.pack(">HHHH", i & 0xffff, 53, 20, 0) + bytes(12)), mac),
    "first fragments of unknown SAs": lambda i, mac: ether(0x0800, ip4(spoofed(), "192.0.2.1", 50, os.urandom(800), 0x2000, i & 0xffff), mac),
    "last fragments": lambda i, mac: ether(0x0800, ip4(bytes([192, 0, 2, 2]), "192.0.2.1", 50, os.urandom(80), 100, i & 0xffff), mac),
    "ARP questions": lambda i, mac: ether(0x0806, struct.pack(">HHBBH", 1, 0x0800, 6, 4, 1) + os.urandom(6) + struct.pack(
        ">BBBB", 192, 0, 2, 3 + i % 250) + bytes(6) + bytes([192, 0, 2, 1]), b"\xff" * 6),
    "neighbour solicitations": lambda i, mac: ether(0x86dd, nd(i), mac),
    "ESP of unknown SPIs": lambda i, mac: ether(0x0800, ip4(bytes([192, 0, 2, 2]), "192.0.2.1", 50, struct.pack(
        ">II", 5000 + i, i) + os.urandom(64)), mac),
}


def lost(ns):
    """Frames that the kernel lost between the sender and the stack's socket, where its own backlog was full."""
    return json.loads(rv.must("ip", "-j", "-s", "link", "show", "m1", ns=ns))[0]["stats64"]["tx"]["dropped"]


def rss(p):
    with open("/proc/%d/status" % p.pid) as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


def ping(ns, count, *more):
    p = rv.run("ping", "-c", count, "-i", "0.2", "-W", "2", *more, "10.2.0.1", ns=ns)
    return rv.ping_rate(p.stdout)[1]


def traffic(ns):
    """Something of each sort, for the capture."""
    ping(ns, 3)
    ping(ns, 2, "-s", "3000")
    rv.run("ping", "-c", "2", "-i", "0.2", "-W", "1", "2001:db8:2::1", ns=ns)
    rv.run("ping", "-c", "2", "-i", "0.2", "-W", "1", "192.0.2.2", ns=ns)
    rv.run("ping", "-c", "2", "-i", "0.2", "-W", "1", "2001:db8::2", ns=ns)


def damage(wire, frames):
    """To the first gateway: each sort of frame cut at every byte of its headers, with bits turned, and in a VLAN's tag."""
    for frame in frames:
        for n in range(14, min(len(frame), 130)):
            send(wire, frame[:n])
        for _ in range(FLIPS * 8):
            bad = bytearray(frame)
            for _ in range(random.randrange(1, 4)):
                # The link addresses stay: what is sent elsewhere proves nothing. What ARP and ND say may change.
                at = random.randrange(12, min(len(bad), 12 + random.choice((30, 60, 1500))))
                bad[at] ^= 1 << random.randrange(8)
            send(wire, bytes(bad))
        send(wire, frame[:12] + struct.pack(">HH", 0x8100, 7) + frame[12:])
        send(wire, frame[:12] + struct.pack(">HHHH", 0x8100, 0, 0x8100, 0) + frame[12:])


def round_of(folder, udp, sides, wire):
    global sent
    what = "ESP in UDP" if udp else "ESP"
    first, second = gateways.pair(folder, sides["1"], sides["2"], udp=udp)
    frames = {}
    t = threading.Thread(target=capture, args=(wire, 6, frames))
    t.start()
    rv.check("%s: the tunnel works" % what, rv.until(lambda: ping(sides["1"], 3) == 3, 15))
    traffic(sides["1"])
    t.join()
    # From the second to the first is what comes out of this end for the first.
    mine = [f for f, _ in frames.values()]
    mac = next((f[6:12] for f, out in frames.values() if not out), None)
    rv.check("%s: frames of %d sorts were captured" % (what, len(frames)), len(frames) >= 4 and mac, sorted(map(str, frames)))
    before, away, sent = rss(first.process.p), lost(sides["m"]), 0
    damage(wire, mine)
    rv.check("%s: traffic passes after %d damaged frames" % (what, sent), rv.until(lambda: ping(sides["1"], 3) == 3, 20))
    for name, make in list(FLOODS.items())[-2 if udp else 0:]:
        good = subprocess.Popen(rv.in_ns(sides["1"]) + ["ping", "-c", "5", "-i", "0.2", "-W", "2", "10.2.0.1"], stdout=subprocess.PIPE, text=True)
        for i in range(FLOOD):
            send(wire, make(i, mac))
        got = rv.ping_rate(good.communicate(timeout=20)[0])[1]
        # A queue that is full loses friends, too: most pass.
        rv.check("%s: a flood of %s, and the tunnel's traffic goes on" % (what, name), got >= 3, "%d of 5" % got)
    away = lost(sides["m"]) - away
    grown = rss(first.process.p) - before
    limit = (256 if SANITIZED else 24) << 10  # sanitizers keep what was freed for a while, and notes about it
    rv.check("%s: memory stays level (%d KiB more)" % (what, grown), grown < limit, "%d KiB" % grown)
    status, c = first.stop()
    rv.check("%s: the stack ends in order" % what, status == 0, first.process.output())
    rv.check("%s: the other one, too" % what, second.stop()[0] == 0, second.process.output())
    dropped = sum(int(n) for n in re.findall(r"(?m)^drop\t\w+\t(\d+)$", first.process.output()))
    taken = sum(int(n) for n in re.findall(r"(?m)^\w+\tWIRE\.\d+\t(\d+)$", first.process.output()))
    seen = min(taken, c.get("RX", 0)) + c.get("LINK_OVERRUN", 0)
    rv.check("%s: every frame was received and counted (%d sent, %d seen, %d lost by the kernel)" % (what, sent, seen, away), seen + away >= sent, c)
    rv.check("%s: each unknown SPI is counted" % what, c.get("ESP_NO_SA", 0) + c.get("LINK_OVERRUN", 0) + away >= FLOOD, c)
    rv.check("%s: what was received and not passed on has a reason (%d drops)" % (what, dropped), dropped >= (1 if udp else 3) * FLOOD, c)
    sys.stdout.flush()


def main():
    sides = {}
    for side in "12m":
        sides[side] = net.ns(side)
    for me in "12":
        net.veth(sides[me], "wire0", sides["m"], "m" + me)
    net.bridge(sides["m"], "br0")
    for me in "12":
        rv.must("ip", "link", "set", "m" + me, "master", "br0", ns=sides["m"])
    wire = packet_socket(sides["m"], "m1")
    with tempfile.TemporaryDirectory() as folder:
        for udp in (False, True):
            round_of(folder, udp, sides, wire)
    wire.close()
    return rv.finish()


sys.exit(main())
