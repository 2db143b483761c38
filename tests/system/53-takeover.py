#!/usr/bin/python3
"""A stack that is restarted, or dies, and the next run that takes over its links, tunnels and filters from the service manager's store:
TCP and pings of the host's programs go on. The manager here is this test; 11-systemd has the real one start the units."""
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import rv
from dynpair import ME, generation, key, write_profile
from kept import Kept


class Side:
    def __init__(self, name, ns):
        self.name, self.ns, self.pb = name, ns, rv.protos().stack
        self.daemon = Kept(name, ns)
        self.client = None

    def call(self, method, reply="ChangedReply", **fields):
        if not self.client:
            self.client = rv.Client("stack-core@" + self.name)
        code, text, got = self.client.call("stack." + method, getattr(self.pb, method + "Request")(**fields), getattr(self.pb, reply), timeout=10)
        if code != 1:
            raise RuntimeError("%s: %s %s" % (method, code, text))
        return got

    def restart(self, how=signal.SIGTERM):
        if self.client:
            self.client.close()
        self.client = None
        self.daemon.signal(how)
        self.daemon.wait(20)
        self.daemon.start()

    def install(self, number, ready=True):
        self.call("InstallTunnel", tunnel=generation(self.name, number, outbound_ready=ready))

    def tunnels(self):
        return self.call("DynamicTunnels", "DynamicTunnelsReply")

    def counters(self):
        self.tunnels()
        code, text, got = self.client.call("stack.Counters", rv.protos().common.Empty(), self.pb.CountersReply)
        return {c.name: c.packets for c in got.counters} if code == 1 else text

    def ping(self, count=3):
        p = rv.run("ping", "-c", count, "-i", "0.05", "-W", 2, "10.%d.0.1" % (3 - ME[self.name]), ns=self.ns)
        return rv.ping_rate(p.stdout)[1]


def flood(ns, count):
    return subprocess.Popen(rv.in_ns(ns) + ["ping", "-i", "0.005", "-c", str(count), "-W", "2", "10.2.0.1"], stdout=subprocess.PIPE, text=True)


def lost(ping):
    """(sent, received, the longest time between two answers in seconds, by their numbers)"""
    text = ping.communicate()[0]
    sent, received = rv.ping_rate(text)
    seen = [int(n) for n in re.findall(r"icmp_seq=(\d+) ttl", text)]
    rtts = [float(t) for t in re.findall(r"time=([\d.]+) ms", text)]
    return sent, received, max(rtts, default=0), sorted(set(range(1, sent + 1)) - set(seen))


net = rv.Net("rvto")
ns = {"LEFT": net.ns("l"), "RIGHT": net.ns("r")}
net.veth(ns["LEFT"], "wire0", ns["RIGHT"], "wire0", offloads=False)
rv.run("safctl", "--init")
rv.saf_base(list(ME))
for stack in ME:
    for resource in ("EZB.IPSECCMD.{sysname}.%s.DISPLAY", "RAVELIN.STACK.{sysname}.%s.TUNNEL", "RAVELIN.STACK.{sysname}.%s.DEFEND",
                     "EZB.NETMGMT.{sysname}.%s.EVENTS", "EZB.NETSTAT.{sysname}.%s.COUNTERS"):
        rv.permit(resource % stack, "IBMUSER")
    write_profile(stack)
left, right = Side("LEFT", ns["LEFT"]), Side("RIGHT", ns["RIGHT"])
time.sleep(0.5)


def orderly():
    left.install(1)
    right.install(1)
    rv.check("the tunnel works", left.ping() == 3)
    names = sorted(left.daemon.manager.store)
    rv.check("the manager holds the queues of both links and no tunnels", len(names) == 4 and "handover" not in names, names)
    before = left.tunnels()
    index = rv.run("cat", "/sys/class/net/tun0/ifindex", ns=ns["LEFT"]).stdout
    server = rv.Process(["iperf3", "-s"], ns=ns["RIGHT"]).start()
    rv.until(lambda: ":5201" in rv.run("ss", "-Hltn", ns=ns["RIGHT"]).stdout, 10)
    tcp = rv.Process(["iperf3", "-c", "10.2.0.1", "-t", "8", "-b", "50M", "-i", "0"], ns=ns["LEFT"]).start()
    pings = flood(ns["LEFT"], 1200)
    time.sleep(1)
    for _ in range(3):
        left.restart()
        time.sleep(1)
    rv.check("TCP went on through three restarts", tcp.wait(60) == 0 and "receiver" in tcp.output(), tcp.output())
    server.kill()
    sent, received, longest, missing = lost(pings)
    rv.check("no packet was lost (%d sent, %d came back)" % (sent, received), received == sent == 1200, missing[:20])
    rv.check("none waited for more than a second (longest %.0f ms)" % longest, longest < 1000)
    pauses = left.daemon.pauses()
    print("takeover.pause\t%d\tms\tlongest\t%d\t-" % (sorted(pauses)[len(pauses) // 2], max(pauses)) if pauses else "no pause", flush=True)
    rv.check("each run took over: pauses of %s ms" % ", ".join(map(str, pauses)), len(pauses) == 3)
    rv.check("the TUN device stayed", rv.run("cat", "/sys/class/net/tun0/ifindex", ns=ns["LEFT"]).stdout == index)
    after = left.tunnels()
    rv.check("the same tunnel, in use", [(t.tunnel_id, t.generation, t.state, t.owner_data) for t in after.tunnels] ==
             [("Y1", 1, "Active", b"owner")], after)
    rv.check("its counters went on", after.tunnels[0].out_packets >= before.tunnels[0].out_packets + 1200 and
             after.tunnels[0].installed_us == before.tunnels[0].installed_us, after)
    rv.check("it says whose heir it is", after.heir_of and after.boot_id not in (before.boot_id, after.heir_of), after)
    rv.check("no key is told", not after.tunnels[0].out.encryption_key)
    rv.check("and none is left in the store", "handover" not in left.daemon.manager.store)


def both_at_once():
    left.install(2, ready=False)
    right.install(2)
    rv.check("a newer generation, used by one end", left.ping() == 3)
    right.restart()
    left.restart()
    rv.check("both ends restarted: replay windows and numbers fit", left.ping(20) == 20 and right.ping(20) == 20)
    rv.check("two generations, the older in use", {(t.generation, t.state) for t in left.tunnels().tunnels} == {(1, "Active"), (2, "Installed")},
             left.tunnels())


def defences():
    def defend(**kw):
        return left.client.call("stack.Defend", left.pb.DefendRequest(**kw), left.pb.DefendReply)

    block = left.pb.Defence(id=7, name="BLOCK", family=4, source="10.2.0.1/32", inbound=True, routing=3, expires_us=int((time.time() + 600) * 1e6))
    left.tunnels()
    got = defend(add=[block], set_excludes=True, excludes=["198.51.100.0/24"])
    rv.check("a defence is installed and blocks", got[0] == 1 and left.ping(2) == 0, got)
    before = left.counters()
    left.restart()
    after = left.counters()
    rv.check("the stack's counters went on", before["FILTER_DEFENSIVE"] >= 2 and all(after[k] >= before[k] for k in before), (before, after))
    rv.check("it is in force from the first packet after a restart", left.ping(2) == 0)
    left.tunnels()
    rv.check("and goes when defmgrD says so", defend(reset=True)[0] == 1 and left.ping(2) == 2)


def crash():
    index = rv.run("cat", "/sys/class/net/tun0/ifindex", ns=ns["LEFT"]).stdout
    left.restart(signal.SIGKILL)
    rv.check("after kill -9 the device stayed", rv.run("cat", "/sys/class/net/tun0/ifindex", ns=ns["LEFT"]).stdout == index)
    got = left.tunnels()
    rv.check("no tunnel did: its numbers are not known", not got.tunnels and not got.heir_of, got)
    routes = rv.run("ip", "route", ns=ns["LEFT"]).stdout
    rv.check("the host's routes are there", "10.2.0.0/24 dev tun0" in routes, routes)
    left.install(3)
    right.install(3)
    rv.check("a new tunnel works", left.ping() == 3)


def changed():
    write_profile("LEFT", more=" ROUTE 10.9.0.0/24 192.0.2.2 WIRE\n")
    left.restart()
    rv.check("a new route of the profile is the host's", "10.9.0.0/24 dev tun0" in rv.run("ip", "route", ns=ns["LEFT"]).stdout)
    write_profile("LEFT")
    left.restart()
    rv.check("and goes with it", "10.9.0.0/24" not in rv.run("ip", "route", ns=ns["LEFT"]).stdout)
    rv.check("the tunnel is there still", left.ping() == 3)
    write_profile("LEFT", workers=1)
    left.restart()
    names, answers = sorted(left.daemon.manager.store), left.ping(5)
    rv.check("fewer workers: queues are made anew", len(names) == 2 and answers == 5, "%s, %d answers" % (names, answers))
    write_profile("LEFT", more=" ROUTE 10.9.0.0/24 192.0.2.2 WIRE\n", workers=1)
    left.restart(signal.SIGKILL)
    write_profile("LEFT", workers=1)
    left.restart(signal.SIGKILL)
    routes = rv.run("ip", "route", ns=ns["LEFT"]).stdout
    rv.check("a crash leaves no route that the profile does not have", "10.9.0.0/24" not in routes and "10.2.0.0/24 dev tun0" in routes, routes)


def left_behind():
    """LEFT ends; the file that waits for its successor."""
    left.daemon.signal(signal.SIGTERM)
    left.daemon.wait(20)
    left.client.close()
    left.client = None
    return left.daemon.manager.store["handover"]


def damaged(what, number, damage):
    """What lies in the store is another's, or cut off: told, and done without, all of it."""
    left.install(number)
    right.install(number)
    fd = left_behind()
    size = os.fstat(fd).st_size
    rv.check("an orderly end leaves the tunnel", key(number, 2)[:16] in os.pread(fd, size, 0))
    damage(fd, size)
    copy = os.dup(fd)
    said = left.daemon.output().count("cannot be read")
    left.daemon.start()
    rv.check("%s: refused" % what, left.daemon.output().count("cannot be read") == said + 1)
    got = left.tunnels()
    rv.check("%s: no tunnel is there, and it is nobody's heir" % what, not got.tunnels and not got.heir_of, got)
    rv.check("%s: wiped where it lay" % what, not any(os.pread(copy, size, 0)))
    os.close(copy)


def stopped():
    left_behind()
    left.daemon.forget()
    rv.check("a stop lets the device go", rv.until(lambda: "tun0" not in rv.run("ip", "-br", "link", ns=ns["LEFT"]).stdout))
    left.daemon.start()
    left.install(9)
    right.install(9)
    rv.check("and a start makes all anew", left.ping() == 3)


FIVE = "INTERFACE FIVE DEFINE AFPACKET DEVICE wire5 IPADDR %s\nINTERFACE HOST"
NEAR = """IpFilterPolicy {
 IpFilterRule Near { IpSourceAddr 203.0.113.0/24
  IpDestAddr 203.0.113.0/24
  IpServiceRef all
  IpGenericFilterActionRef permit }"""
# Its inbound SPI is that of generation 1 of the dynamic tunnel.
MANUAL = """IpManVpnAction taken {
  LocalSecurityEndpointAddr 192.0.2.1
  RemoteSecurityEndpointAddr 192.0.2.2
  HowToEncap Tunnel
  HowToEncrypt AES_GCM KeyLength 128
  HowToAuth ESP NULL
  EncryptInboundSa %d 0x%s
  EncryptOutboundSa 9999 0x%s
}
IpFilterPolicy {
 IpFilterRule Taken { IpSourceAddr 10.1.0.0/24
  IpDestAddr 10.66.0.0/24
  IpServiceRef all
  IpGenericFilterActionRef ipsec
  IpManVpnActionRef taken }"""


def changed_by_reload(five, policy=NEAR, more=()):
    """The event that LEFT answers with to a profile with these changes."""
    write_profile("LEFT")
    for name, changes in (("stacks/LEFT.profile", [("INTERFACE HOST", FIVE % five)] if five else []),
                          ("stacks/LEFT.policy", [("IpFilterPolicy {", "IpGenericFilterAction permit { IpFilterAction Permit }\n" + policy)])):
        with open(rv.path("etc/ravelin", name)) as f:
            text = f.read()
        for old, new in changes + (list(more) if name.endswith("profile") else []):
            text = text.replace(old, new, 1)
        rv.write(name, text)
    left.daemon.reload()
    return conf().next(10)


def conf():
    """Hears what LEFT says of its configuration; a new run is another publisher."""
    if not heard or heard[0] != left.daemon.p.pid:
        heard[:] = [left.daemon.p.pid, rv.Subscriber("stack-core@LEFT", "stack.conf.")]
        time.sleep(0.7)
    return heard[1]


def through_restarts(address, times=2):
    p = subprocess.Popen(rv.in_ns(far) + ["ping", "-n", "-i", "0.005", "-c", "500", "-W", "3", address], stdout=subprocess.PIPE, text=True)
    for _ in range(times):
        time.sleep(0.3)
        left.restart()
    sent, received, _, missing = lost(p)
    return sent == received == 500 or missing[:20]


def five_answers(address):
    return rv.until(lambda: rv.run("ping", "-n", "-c", "1", "-W", "1", address, ns=far).returncode == 0, 10)


def links_of_a_reload():
    """The store follows what a reload does to links, and what it undoes."""
    plain = sorted(left.daemon.manager.store)
    conf()
    e = changed_by_reload("203.0.113.1/24")
    rv.check("a reload adds an interface", e and e[0] == "stack.conf.loaded" and five_answers("203.0.113.1"), e)
    five = sorted(left.daemon.manager.store)
    rv.check("the manager holds its queues, too", set(plain) < set(five) and len(five) == len(plain) + 2, five)
    rv.check("which two restarts take over without a loss", through_restarts("203.0.113.1") is True)
    conf()
    spi = 4096 + 16 * 1 + 1
    e = changed_by_reload("203.0.113.77/24 MTU 1400", NEAR.replace("IpFilterPolicy {", MANUAL % (spi, "c3" * 20, "d4" * 20)),
                          [("IPADDR 10.1.0.1/24", "IPADDR 10.1.0.9/24"),
                           ("INTERFACE HOST", "INTERFACE SIX DEFINE AFPACKET DEVICE wire5 VLANID 6 IPADDR 10.6.0.1/24\nINTERFACE HOST")])
    errors = rv.protos().common.ConfRejected.FromString(e[2]).errors if e and e[0] == "stack.conf.rejected" else []
    rv.check("a reload that a tunnel in use refuses", any("belongs to dynamic tunnel" in x for x in errors), errors or e or left.daemon.output()[-700:])
    addrs = rv.run("ip", "addr", "show", "dev", "tun0", ns=ns["LEFT"]).stdout
    rv.check("is undone: the TUN has its address", "10.1.0.1/24" in addrs and "10.1.0.9" not in addrs, addrs)
    rv.check("the interface has its own", five_answers("203.0.113.1") and
             rv.run("ping", "-n", "-c", "1", "-W", "1", "203.0.113.77", ns=far).returncode != 0)
    rv.check("the tunnel works", left.ping() == 3)
    rv.check("and the manager holds what it held", rv.until(lambda: sorted(left.daemon.manager.store) == five, 5), sorted(left.daemon.manager.store))
    e = changed_by_reload("203.0.113.5/24")
    rv.check("an interface with another address is taken over, too", e and e[0] == "stack.conf.loaded" and five_answers("203.0.113.5") and
             through_restarts("203.0.113.5", 1) is True, e)
    conf()
    e = changed_by_reload(None)
    rv.check("and one that goes is let go", e and e[0] == "stack.conf.loaded" and rv.until(lambda: sorted(left.daemon.manager.store) == plain, 5),
             sorted(left.daemon.manager.store))
    write_profile("LEFT")


heard = []
far = net.ns("far")
net.veth(ns["LEFT"], "wire5", far, "wire5", offloads=False)
rv.run("ip", "addr", "add", "203.0.113.9/24", "dev", "wire5", ns=far)
orderly()
links_of_a_reload()
both_at_once()
defences()
crash()
changed()
damaged("half of it", 4, lambda fd, size: os.ftruncate(fd, size // 2))
damaged("the file of a version that does not exist yet", 5, lambda fd, size: os.pwrite(fd, b"RVHANDO9", 0))
damaged("another length", 6, lambda fd, size: os.pwrite(fd, (size - 17).to_bytes(8, "little"), 8))
stopped()
for side in (left, right):
    rv.check("%s ends in order" % side.name, side.daemon.stop() == 0, side.daemon.output()[-2000:])
sys.exit(rv.finish())
