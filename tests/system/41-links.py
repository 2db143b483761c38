#!/usr/bin/python3
"""Every way to drive a device: a stack between two hosts, A - M - B, with packet sockets, a receive ring, and AF_XDP.

Each forwards, answers, passes fragments and TCP, keeps the order inside a flow, sleeps when idle and wakes at once, outlives its link, and
leaves the device usable when it is killed. Then VLANs and jumbo frames; what the kernel refuses is told."""
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import gateways
import rv

TAG = "rv-links-%d" % os.getpid()
failed = 0


def check(good, text):
    global failed
    failed += not good
    print(("ok - " if good else "not ok - ") + text, flush=True)


def sh(*args, **kw):
    return subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **kw)


def inside(side, *args, **kw):
    return sh("ip", "netns", "exec", TAG + side, *args, **kw)


def must(side, *args):
    r = inside(side, *args)
    if r.returncode:
        raise RuntimeError("%s: %s: %s" % (side, " ".join(args), r.stdout))


class Stack(gateways.StackRun):
    def __init__(self, side, profile, wait=True):
        super().__init__(TAG + side, rv.write("stacks/%s.profile" % side, profile))
        self.start()
        if wait:
            time.sleep(1)

    def ended(self):
        status = self.stop(15)
        check(status == 0, "the stack ends in order" + ("" if status == 0 else ": " + self.output()))
        return self.counters()

    def refused(self):
        return self.wait(15), self.output()


def wires(mtu=1500):
    """Fresh namespaces: a0 - left, b0 - right. A's and B's kernels are the hosts."""
    for side in "amb":
        sh("ip", "netns", "add", TAG + side)
        must(side, "ip", "link", "set", "lo", "up")
    for host, dev, peer, addr, gw in (("a", "a0", "left", "192.0.2.2/24", "192.0.2.1"), ("b", "b0", "right", "198.51.100.2/24", "198.51.100.1")):
        r = sh("ip", "-n", TAG + host, "link", "add", dev, "mtu", str(mtu), "numrxqueues", "2", "numtxqueues", "2", "type", "veth", "peer",
               "name", peer, "mtu", str(mtu), "numrxqueues", "2", "numtxqueues", "2", "netns", TAG + "m")
        if r.returncode:
            raise RuntimeError(r.stdout)
        must(host, "ip", "addr", "add", addr, "dev", dev)
        must(host, "ip", "link", "set", dev, "up")
        must(host, "ip", "route", "add", "default", "via", gw)


def unwire():
    for side in "amb":
        sh("ip", "netns", "del", TAG + side)


def plain_senders():
    """AF_XDP sees frames as they are: the hosts' kernels have to finish them."""
    for host, dev in (("a", "a0"), ("b", "b0")):
        must(host, "ethtool", "-K", dev, "tx", "off", "tso", "off", "gso", "off", "txvlan", "off")


def profile(driver, left="", right="", more=""):
    return """
INTERFACE LEFT DEFINE AFPACKET DEVICE left DRIVER {0} {1} IPADDR 192.0.2.1/24
INTERFACE RIGHT DEFINE AFPACKET DEVICE right DRIVER {0} {2} IPADDR 198.51.100.1/24
WORKERS 2
{3}""".format(driver, left, right, more)


def ping(dest, *more, side="a", count=3):
    r = inside(side, "ping", "-c", str(count), "-i", "0.2", "-W", "2", *more, dest)
    m = re.search(r"(\d+) received", r.stdout)
    return int(m.group(1)) if m else 0


def round_trips(dest, count, gap):
    out = inside("a", "ping", "-c", str(count), "-i", str(gap), "-W", "2", dest).stdout
    return [float(x) for x in re.findall(r"time=([\d.]+) ms", out)]


def iperf(dest, *more, server="b", client="a"):
    s = subprocess.Popen(["ip", "netns", "exec", TAG + server, "iperf3", "-s", "-1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.5)
    r = inside(client, "iperf3", "-c", dest, "-J", "-t", "1", "--connect-timeout", "3000", *more, timeout=60)
    try:
        s.wait(timeout=5)
    except subprocess.TimeoutExpired:
        s.kill()
        s.wait()
    try:
        return json.loads(r.stdout).get("end", {})
    except ValueError:
        return {}


def tcp(dest, **kw):
    return iperf(dest, **kw).get("sum_received", {}).get("bytes", 0)


def misordered(dest, **kw):
    """Datagrams of four flows that came, and how many came late."""
    end = iperf(dest, "-u", "-b", "20M", "-l", "500", "-P", "4", **kw)
    streams = [s["udp"] for s in end.get("streams", [])]
    return sum(s["packets"] for s in streams), sum(s.get("out_of_order", 0) for s in streams)


def idle(s, name):
    before, start = gateways.cpu_seconds([s]), time.monotonic()
    time.sleep(2)
    share = (gateways.cpu_seconds([s]) - before) / (time.monotonic() - start)
    check(share < 0.01, "%s: idle, it takes under 1 %% of a processor (%.2f %%)" % (name, share * 100))
    after_pause = min(round_trips("192.0.2.1", 1, 1)[:1] + round_trips("192.0.2.1", 2, 2)[1:] or [999])
    busy = statistics.median(round_trips("192.0.2.1", 20, 0.01) or [0])
    check(0 < busy and after_pause < 5 * busy + 0.5, "%s: the first packet after 2 s waits for no poll (%.3f ms, busy %.3f ms)" % (name, after_pause, busy))


def down_and_up(name):
    must("m", "ip", "link", "set", "left", "down")
    time.sleep(0.3)
    dead = ping("198.51.100.2", count=1)
    must("m", "ip", "link", "set", "left", "up")
    time.sleep(0.5)
    check(dead == 0 and ping("198.51.100.2", count=4) >= 3, "%s: the link goes down, and after it came up packets flow again" % name)


def driver(name, more=""):
    wires()
    if name == "XDP":
        must("m", "ip", "addr", "add", "192.0.2.50/24", "dev", "left")
        plain_senders()
    s = Stack("m", profile(name, more, more))
    check(ping("198.51.100.2") == 3 and ping("192.0.2.1") == 3, "%s: it forwards, and answers" % name)
    check(ping("198.51.100.2", "-s", "4000") == 3, "%s: fragments pass" % name)
    got = tcp("198.51.100.2")
    check(got > 2e6, "%s: TCP passes (%.0f Mbit/s)" % (name, got * 8 / 1e6))
    came, late = misordered("198.51.100.2")
    check(came > 1000 and late == 0, "%s: four flows keep their order over two workers (%d datagrams, %d late)" % (name, came, late))
    idle(s, name)
    down_and_up(name)
    if name == "XDP":
        xdp_leaves(s)
    c = s.ended()
    if name != "XDP":
        check(got / max(1, c.get("TX", 0)) > 1500, "%s: super-packets stay whole (%d bytes of TCP a packet sent)" % (name, got / max(1, c["TX"])))
    check(not c.get("LINK_TX") and not c.get("LINK_FRAME"), "%s: no packet was refused by a device" % name)
    killed(name, more)
    unwire()


def killed(name, more):
    s = Stack("m", profile(name, more, more))
    alive = ping("198.51.100.2")
    child = sh("pgrep", "-P", str(s.p.pid)).stdout.split()
    for pid in child + [s.p.pid]:
        os.kill(int(pid), signal.SIGKILL)
    s.wait()
    time.sleep(0.3)
    must("m", "sysctl", "-qw", "net.ipv4.conf.left.arp_ignore=0", "net.ipv4.conf.all.arp_ignore=0")
    must("m", "ip", "addr", "replace", "192.0.2.60/24", "dev", "left")
    show = inside("m", "ip", "link", "show", "left").stdout
    check(alive == 3 and "xdp" not in show and ping("192.0.2.60") == 3, "%s: killed, it leaves the device to the kernel" % name)


def lldp_seen():
    dump = subprocess.Popen(["ip", "netns", "exec", TAG + "m", "tcpdump", "-lni", "left", "-c", "1", "ether", "proto", "0x88cc"],
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    time.sleep(0.7)
    inside("a", "/usr/bin/python3", "-c", "import socket; s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind(('a0', 0)); "
           "s.send(bytes.fromhex('0180c200000e02000000000188cc') + bytes(50))")
    try:
        return dump.communicate(timeout=5)[0] != ""
    except subprocess.TimeoutExpired:
        dump.kill()
        return False


def xdp_leaves(s):
    check("xdpgeneric" not in inside("m", "ip", "link", "show", "left").stdout and "xdp" in inside("m", "ip", "link", "show", "left").stdout,
          "XDP: the program runs in the device's driver")
    check(ping("192.0.2.50") == 3, "XDP: the kernel's own address on the device goes on")
    check(lldp_seen(), "XDP: a foreign protocol reaches the kernel")


def refusals():
    wires()
    cases = (("XDP XDPMODE ZEROCOPY", 71, "zero copy"), ("RING XDPMODE COPY", 78, "XDPMODE"), ("XPD", 78, "RING"), ("RING VLANID 4095", 78, "4094"))
    for words, rc, text in cases:
        got, err = Stack("m", profile(words), wait=False).refused()
        check(got == rc and text in err, "refused: DRIVER %s (%s)" % (words, err.strip().splitlines()[0] if err.strip() else got))
    two = profile("RING").replace("DEVICE right", "DEVICE left")
    got, err = Stack("m", two, wait=False).refused()
    check(got == 78 and "expected another VLANID" in err, "refused: two interfaces on one device without VLANID")
    r = inside("m", "setpriv", "--bounding-set=-all,+net_admin,+net_raw", "--inh-caps=-all", rv.program("stack_run"),
               rv.write("stacks/unprivileged.profile", profile("XDP")))
    check(r.returncode == 71 and "CAP_BPF" in r.stdout, "refused: XDP without CAP_BPF (%s)" % r.stdout.strip())
    check(ping("192.0.2.1", count=1) == 0 and "xdp" not in inside("m", "ip", "link", "show", "left").stdout, "what was refused left nothing behind")
    unwire()


VLAN_A = """
INTERFACE TEN DEFINE AFPACKET DEVICE a0 DRIVER SOCKET VLANID 10 IPADDR 192.0.2.2/24
INTERFACE TWENTY DEFINE AFPACKET DEVICE a0 DRIVER SOCKET VLANID 20 IPADDR 203.0.113.2/24
INTERFACE HOST DEFINE TUN DEVICE tun0 IPADDR 10.1.0.1/24
BEGINROUTES
  ROUTE 198.51.100.2/32 192.0.2.1 TEN
  ROUTE 198.51.100.3/32 203.0.113.1 TWENTY
ENDROUTES
WORKERS 2
"""
VLAN_M = """INTERFACE SECOND DEFINE AFPACKET DEVICE left DRIVER %s VLANID 20 IPADDR 203.0.113.1/24
BEGINROUTES
  ROUTE 10.1.0.0/24 192.0.2.2 LEFT
ENDROUTES
"""
ASK = """
import socket, sys
tag, target = bytes.fromhex(sys.argv[1]), sys.argv[2]
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.bind(("a0", 0))
s.settimeout(1)
me = s.getsockname()[4]
ask = bytes.fromhex("0001080006040001") + me + socket.inet_aton(sys.argv[3]) + bytes(6) + socket.inet_aton(target)
frame = b"\\xff" * 6 + me + tag + bytes.fromhex("0806") + ask
s.send(frame + bytes(18))
try:
    while True:
        got, where = s.recvfrom(2000)
        if where[2] != 4 and got[12:14] == b"\\x08\\x06" and got[21] == 2 and got[28:32] == socket.inet_aton(target):
            print("answered")
            break
except TimeoutError:
    print("silence")
"""


def ask(tag, target, sender):
    """An ARP question with the tag in the frame, as a switch sends it."""
    return inside("a", "/usr/bin/python3", "-c", ASK, tag, target, sender).stdout.strip()


def vlan(name):
    wires()
    must("a", "ip", "addr", "flush", "dev", "a0")
    must("b", "ip", "addr", "add", "198.51.100.3/24", "dev", "b0")
    if name == "XDP":
        plain_senders()
    s = Stack("m", profile(name, "VLANID 10", "", VLAN_M % name), wait=False)
    host = Stack("a", VLAN_A)
    dump = subprocess.Popen(["ip", "netns", "exec", TAG + "a", "tcpdump", "-leni", "a0", "icmp or (vlan and icmp)"], stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, text=True)
    time.sleep(0.7)
    check(ping("198.51.100.2") == 3, "%s: VLAN 10 passes to a device without tags" % name)
    check(ping("198.51.100.3") == 3, "%s: VLAN 20 on the same device as well" % name)
    time.sleep(0.3)
    dump.terminate()
    lines = dump.communicate()[0].splitlines()
    both = [[l for l in lines if "vlan %d," % v in l and "echo request" in l] for v in (10, 20)]
    answers = [l for l in lines if "vlan 10," in l and "echo reply" in l]
    check(len(both[0]) == 3 and len(both[1]) == 3 and len(answers) == 6, "%s: every frame on the wire has its tag (%d, %d, %d)" % (
        name, len(both[0]), len(both[1]), len(answers)))
    got = tcp("198.51.100.2")
    check(got > 2e6, "%s: TCP passes in a VLAN (%.0f Mbit/s)" % (name, got * 8 / 1e6))
    got = iperf("198.51.100.2", "-R", "-P", "16").get("sum_received", {}).get("bytes", 0)
    check(got > 2e6, "%s: and the other way, in 16 streams (%.0f Mbit/s)" % (name, got * 8 / 1e6))
    check(ask("8100000a", "192.0.2.1", "192.0.2.7") == "answered", "%s: a tagged question is answered" % name)
    check(ask("8100001e", "192.0.2.1", "192.0.2.7") == "silence" and ask("", "192.0.2.1", "192.0.2.7") == "silence",
          "%s: with a foreign tag, or none, it is not" % name)
    h = host.ended()
    lesser = min(h["HOST.0"], h["HOST.1"])
    check(lesser > 20, "%s: both queues of the TUN carry packets (%d and %d)" % (name, h["HOST.0"], h["HOST.1"]))
    c = s.ended()
    check(name == "XDP" or c.get("LINK_VLAN", 0) >= 2, "%s: but counted, or left to the kernel (%d)" % (name, c.get("LINK_VLAN", 0)))
    unwire()


def jumbo(name):
    wires(9000)
    if name == "XDP":
        plain_senders()
    s = Stack("m", profile(name))
    check(ping("198.51.100.2", "-s", "8900", "-M", "do") == 3, "%s: frames of 9000 bytes pass" % name)
    check(ping("192.0.2.1", "-s", "8900", "-M", "do") == 3, "%s: and are answered" % name)
    got = tcp("198.51.100.2")
    check(got > 2e6, "%s: TCP passes with jumbo frames (%.0f Mbit/s)" % (name, got * 8 / 1e6))
    check(ask("8100a000", "192.0.2.1", "192.0.2.7") == "answered", "%s: a priority tag counts as none" % name)
    s.ended()
    unwire()


TUNNEL = """
IPCONFIG IPSECURITY
INTERFACE WIRE DEFINE AFPACKET DEVICE wire0 DRIVER {driver} IPADDR 192.0.2.{me}/24
INTERFACE HOST DEFINE TUN DEVICE tun0 IPADDR 10.{me}.0.1/24 MTU {mtu}
BEGINROUTES
  ROUTE 10.{peer}.0.0/24 192.0.2.{peer} WIRE
ENDROUTES
IPSEC
  IPSECRULE * * NOLOG PROTO ICMP
ENDIPSEC
WORKERS 2
IPSECPOLICY '{policy}'
"""


# Nobody answers: so the TUN spreads flows by their hash, and does not follow the queue that brings the answers.
HEAR = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
s.bind(("10.2.0.1", 7777))
last, came, late = {}, 0, 0
s.settimeout(10)
try:
    while True:
        data, port = s.recvfrom(100)
        n, came = int(data), came + 1
        late += n <= last.get(port, -1)
        last[port] = n
        s.settimeout(2)
except TimeoutError:
    print(came, late)
"""
SAY = """
import socket, time
flows = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(16)]
for f in flows:
    f.connect(("10.2.0.1", 7777))
for n in range(250):
    for f in flows:
        f.send(b"%d" % n)
    time.sleep(0.002)
"""


def one_way():
    """Datagrams of 16 flows that came through the tunnel, and how many of them after a later one of their flow."""
    hear = subprocess.Popen(["ip", "netns", "exec", TAG + "b", "/usr/bin/python3", "-c", HEAR], stdout=subprocess.PIPE, text=True)
    time.sleep(0.7)
    inside("a", "/usr/bin/python3", "-c", SAY)
    return [int(n) for n in hear.communicate(timeout=30)[0].split()]


def tunnel(folder, name, mtu):
    """Two stacks, ESP between them, each with its host behind a TUN."""
    for side in "ab":
        sh("ip", "netns", "add", TAG + side)
    must("a", "ip", "link", "add", "wire0", "mtu", str(mtu), "type", "veth", "peer", "name", "wire0", "mtu", str(mtu), "netns", TAG + "b")
    stacks = []
    for side, me, peer in (("a", 1, 2), ("b", 2, 1)):
        policy = os.path.join(folder, "%s.policy" % side)
        with open(policy, "w") as f:
            f.write(gateways.policy(gateways.manual(me, "192.0.2.%d" % me, "192.0.2.%d" % peer), gateways.sites(me, six=False)))
        stacks.append(Stack(side, TUNNEL.format(driver=name, me=me, peer=peer, mtu=mtu, policy=policy), wait=False))
    time.sleep(1.5)
    if mtu > 1500:
        check(ping("10.2.0.1", "-s", "8900", "-M", "do") == 3, "%s: packets of 8928 bytes pass an ESP tunnel over jumbo frames" % name)
    check(ping("10.2.0.1", "-s", "1300") == 3, "%s: packets pass an ESP tunnel" % name)
    came, late = misordered("10.2.0.1")
    check(came > 1000 and late == 0, "%s: flows of the host keep their order through TUN and tunnel (%d datagrams, %d late)" % (name, came, late))
    end = iperf("10.2.0.1", "-P", "8")
    check(end.get("sum_received", {}).get("bytes", 0) > 2e6, "%s: TCP passes the tunnel" % name)
    came, late = one_way()
    check(came > 1000 and late == 0, "%s: 16 flows into one SA keep their order each (%d datagrams, %d late)" % (name, came, late))
    left, right = [s.ended() for s in stacks]
    check(min(left["HOST.0"], left["HOST.1"]) > 20 and right["DECAP"] > 1000, "%s: two workers with a queue each of the TUN used one SA (%d and %d packets)" % (
        name, left["HOST.0"], left["HOST.1"]))
    wrong = {k: v for c in (left, right) for k, v in c.items() if k.startswith("ESP_")}
    check(not wrong, "%s: no sequence number came twice, none out of the replay window %s" % (name, wrong or ""))
    for side in "ab":
        sh("ip", "netns", "del", TAG + side)


def generic():
    """A device without XDP of its own: a bridge, with the wire as its port."""
    wires()
    must("m", "ip", "link", "add", "br0", "type", "bridge")
    must("m", "ip", "link", "set", "left", "master", "br0", "up")
    plain_senders()
    s = Stack("m", profile("XDP").replace("DEVICE left", "DEVICE br0"))
    time.sleep(1)
    check(ping("198.51.100.2") == 3, "XDP: it forwards from a device whose driver has none")
    check("xdpgeneric" in inside("m", "ip", "link", "show", "br0").stdout, "XDP: in the kernel's generic way")
    s.ended()
    unwire()


def part(name):
    """What one of the parts below does, in namespaces of its own."""
    try:
        if name == "REST":
            generic()
            refusals()
            return
        driver(name)
        vlan(name)
        if name == "SOCKET":
            return
        jumbo(name)
        with tempfile.TemporaryDirectory() as folder:
            tunnel(folder, name, 9000)
    finally:
        rv.cleanup()
        unwire()


def main():
    if len(sys.argv) == 2:
        part(sys.argv[1])
        return 1 if failed else 0
    parts = [subprocess.Popen([sys.executable, sys.argv[0], name], stdout=subprocess.PIPE, text=True) for name in ("SOCKET", "RING", "XDP", "REST")]
    for p in parts:
        print(p.communicate()[0], end="", flush=True)
    return 1 if any(p.returncode for p in parts) else 0


sys.exit(main())
