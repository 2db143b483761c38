#!/usr/bin/python3
"""rpcbindD against those who mean harm: amplification, DUMP over UDP, the memory of CVE-2017-8779, records that are slow, half or too
long, calls wrong in every way, floods; and calls for others, off and on, with and without labels. Strangers live in a namespace of their own."""
import os
import socket
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import rv
import rpcbind_place as place
import rpcmsg as rpc

PROG = 0x20000300
V4, V6 = "192.0.2.1", "2001:db8:1::1"
STRICT = "SourceRate 200 400\nMaxSourceConnections 16\nMaxConnections 64\nIdleTimeout 30\nRecordTimeout 2\nReapInterval 0\n"


class In:
    """Sockets made inside hold a namespace's network: with In(ns): rpc.udp(...)."""

    def __init__(self, ns):
        self.fd = os.open("/run/netns/" + ns, os.O_RDONLY)
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY)

    def __enter__(self):
        import ctypes
        if ctypes.CDLL(None, use_errno=True).setns(self.fd, 0x40000000):
            raise OSError("setns")

    def __exit__(self, *exc):
        import ctypes
        if ctypes.CDLL(None, use_errno=True).setns(self.home, 0x40000000):
            raise OSError("setns back")


def world():
    net = rv.Net("rvb")
    spaces = []
    for i in (2, 3):
        ns = net.ns("s%d" % i)
        rv.must("ip", "link", "add", "rvb%d" % i, "type", "veth", "peer", "name", "eth0", "netns", ns)
        rv.must("ip", "link", "set", "rvb%d" % i, "up")
        rv.must("ip", "link", "set", "eth0", "up", ns=ns)
        rv.must("ip", "addr", "add", "192.0.2.%d/24" % i, "brd", "+", "dev", "eth0", ns=ns)
        rv.must("ip", "addr", "add", "2001:db8:1::%d/64" % i, "dev", "eth0", "nodad", ns=ns)
        spaces.append(ns)
    rv.Net.bridge(None, "rvbr")
    for i in (2, 3):
        rv.must("ip", "link", "set", "rvb%d" % i, "master", "rvbr")
    rv.must("ip", "addr", "add", V4 + "/24", "brd", "+", "dev", "rvbr")
    rv.must("ip", "addr", "add", V6 + "/64", "dev", "rvbr", "nodad")
    return spaces


def fill(n):
    s = rpc.local()
    for i in range(n):
        rpc.ask(s, 2, rpc.SET, rpc.mapping(PROG + i, 1, 17, 3000))


def stranger(ns, host, how=rpc.udp, **more):
    with In(ns):
        return how(host, **more)


# --- answers longer than questions ---

def amplification(ns):
    for host in V4, V6:
        s = stranger(ns, host, timeout=2)
        for vers in 2, 3, 4:
            msg = rpc.call(vers, rpc.DUMP)
            s.send(msg)
            got = s.recv(65535)
            rv.check("DUMP v%d over UDP to a stranger (%s): no longer than the question" % (vers, host), len(got) <= len(msg) and rpc.Reply(got).how == "system",
                     len(got))
        worst = 0
        for vers, proc, args in ((4, rpc.GETSTAT, b""), (4, rpc.GETADDRLIST, rpc.rpcb(PROG, 1)), (4, rpc.GETADDR, rpc.rpcb(PROG, 1)), (2, rpc.GETADDR, rpc.mapping(PROG, 1, 17, 0)),
                                 (4, rpc.GETADDRLIST, rpc.rpcb(100000, 4)), (3, rpc.GETTIME, b""), (3, rpc.U2T, rpc.opaque("1.2.3.4.5.6")), (9, 0, b""), (4, 99, b"")):
            msg = rpc.call(vers, proc, args)
            s.send(msg)
            worst = max(worst, len(s.recv(65535)) / len(msg))
        rv.check("no answer over UDP is longer than 4 times its question (%s)" % host, 0 < worst <= 4, worst)
        t = stranger(ns, host, rpc.tcp)
        rv.check("over TCP the stranger gets the whole list (%s)" % host, len(rpc.dump(t)) > 500)
        rv.check("a stranger cannot register (%s)" % host, rpc.ask(t, 4, rpc.SET, rpc.rpcb(PROG + 9999, 1, "tcp", "0.0.0.0.9.9")).r.u32() == 0 and
                 rpc.ask(s, 2, rpc.UNSET, rpc.mapping(PROG, 1, 0, 0)).r.u32() == 0 and (PROG, 1) in {r[:2] for r in rpc.dump(t)})
        rv.check("GETPORT and GETADDR serve strangers (%s)" % host, rpc.ask(s, 2, rpc.GETADDR, rpc.mapping(PROG, 1, 17, 0)).r.u32() == 3000 and
                 rpc.ask(t, 4, rpc.GETADDR, rpc.rpcb(100000, 4)).r.text() == rpc.uaddr(host, 111))
        s.close()
        t.close()


# --- memory ---

def rss(d):
    with open("/proc/%d/status" % d.p.pid) as f:
        return int([line for line in f if line.startswith("VmRSS")][0].split()[1])


def memory(d, ns):
    """CVE-2017-8779: a length that promises gigabytes was allocated and kept."""
    before = rss(d)
    for host, how in ((V4, rpc.udp), (V6, rpc.udp)):
        s = stranger(ns, host, how, timeout=0.5)
        for _ in range(150):
            for args in (b"\0\0\0\1\0\0\0\1" + b"\x7f\xff\xff\xf0", b"\0\0\0\1\0\0\0\1" + b"\xff\xff\xff\xff"):
                s.send(rpc.call(4, rpc.GETADDR, args))
                s.send(rpc.call(3, rpc.T2U, b"\xff\xff\xff\xff" + b"\xff\xff\xff\xf0"))
                s.send(rpc.call(4, rpc.CALLIT, struct.pack(">4I", 1, 1, 1, 0xfffffff0)))
        s.close()
    s = rpc.udp()
    for _ in range(2000):
        rpc.ask(s, 4, rpc.GETADDR, b"\0\0\0\1\0\0\0\1" + b"\x7f\xff\xff\xf0")
        rpc.ask(s, 4, rpc.U2T, b"\x7f\xff\xff\xf0")
    rv.check("lengths that promise gigabytes cost no memory (CVE-2017-8779)", rss(d) - before < 4096, "%d KiB more" % (rss(d) - before))
    rv.check("and it goes on", rpc.ask(s, 4, 0).how == "ok")


# --- calls wrong in every way ---

def auth_sys(name=b"host", gids=1, cut=0):
    body = struct.pack(">I", 1) + rpc.opaque(name) + struct.pack(">3I", 0, 0, gids) + b"\0\0\0\0" * gids
    return (1, body[:len(body) - cut])


def wrong():
    for name, make in (("udp", rpc.udp), ("tcp", rpc.tcp), ("udp6", lambda: rpc.udp("::1")), ("tcp6", lambda: rpc.tcp("::1")), ("local", rpc.local)):
        s = make()
        for v in 0, 1, 3, 0xffffffff:
            r = rpc.ask(s, 4, 0, rpcvers=v)
            rv.check("%s: RPC version %d" % (name, v), (r.how, r.low, r.high) == ("rpc_mismatch", 2, 2))
        for flavor in 2, 3, 6, 390003, 0xffffffff:
            r = rpc.ask(s, 4, 0, cred=(flavor, b"abcd"))
            rv.check("%s: credentials of flavour %d" % (name, flavor), (r.how, r.stat) == ("auth", 2))
        rv.check("%s: AUTH_SYS" % name, rpc.ask(s, 4, 0, cred=auth_sys()).how == "ok" and rpc.ask(s, 4, 0, cred=auth_sys(gids=16)).how == "ok")
        for bad in (auth_sys(gids=17), auth_sys(name=b"x" * 256), auth_sys(cut=4), (1, b""), (1, b"\xff" * 400)):
            r = rpc.ask(s, 4, 0, cred=bad)
            rv.check("%s: AUTH_SYS that is none" % name, (r.how, r.stat) == ("auth", 1))
        r = rpc.ask(s, 4, 0, cred=(0, b"x" * 404))
        rv.check("%s: credentials too long" % name, r.how == "auth")
        s.close()
    s = rpc.udp(timeout=0.3)
    for junk in (b"", b"x", b"\0" * 7, b"\0" * 11, rpc.call(4, 0)[:20], struct.pack(">6I", 1, 1, 0, 0, 0, 0), os.urandom(1400)):
        s.send(junk)
    try:
        rv.check("what is no call has no answer", not s.recv(100))
    except TimeoutError:
        rv.check("what is no call has no answer", True)


# --- records ---

def closed(s, seconds=8):
    s.settimeout(seconds)
    try:
        return s.recv(1) == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False


def records(d):
    before = rss(d)
    s = rpc.tcp()
    msg = rpc.call(4, rpc.GETADDR, rpc.rpcb(100000, 4), xid=5)
    for cut in 1, 3, 16, 40:
        s.sendall(rpc.record(msg, cut))
        rv.check("a record in fragments of %d" % cut, rpc.Reply(rpc.read_record(s)).how == "ok")
    for b in rpc.record(msg):
        s.sendall(bytes([b]))
    rv.check("a record byte by byte", rpc.Reply(rpc.read_record(s)).how == "ok")
    s.sendall(rpc.record(msg) * 50)
    rv.check("fifty at once", all(rpc.Reply(rpc.read_record(s)).xid == 5 for _ in range(50)))
    for text, data in (("of 2 GiB", b"\x7f\xff\xff\xff"), ("of 2 GiB, the last", b"\xff\xff\xff\xff"), ("of 9 KiB and one", struct.pack(">I", 0x80000000 | 9217)),
                       ("empty without end", b"\0\0\0\0"), ("in fragments over the limit", (struct.pack(">I", 4000) + b"x" * 4000) * 3)):
        t = rpc.tcp()
        t.sendall(data)
        rv.check("a record %s ends the connection" % text, closed(t))
        t.close()
    slow = rpc.tcp()
    slow.sendall(rpc.record(msg)[:10])
    half = rpc.tcp("::1")
    half.sendall(b"\x80")
    begin = time.time()
    rv.check("a record that does not come to its end does", closed(slow) and closed(half) and time.time() - begin < 8, time.time() - begin)
    deaf = rpc.tcp()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    deaf.settimeout(0.5)
    try:
        for _ in range(3000):
            deaf.sendall(rpc.record(rpc.call(4, rpc.DUMP)))
    except (TimeoutError, ConnectionError):
        pass
    rv.check("a client that takes no answers costs little", rss(d) - before < 8192, "%d KiB more" % (rss(d) - before))
    rv.check("and is left in time", rv.until(lambda: rpc.ask(s, 4, 0) is not None, 5))
    deaf.close()
    shut = rpc.tcp()
    shut.sendall(rpc.record(msg))
    shut.shutdown(socket.SHUT_WR)
    rv.check("who closes one side still gets the answer", rpc.Reply(rpc.read_record(shut)).how == "ok" and closed(shut))


# --- floods ---

def flood(victims, attacker, d):
    """One source sends without pause; another, and this host, are served."""
    stop = threading.Event()
    s = stranger(attacker, V4)
    s.setblocking(False)
    msg = rpc.call(2, rpc.GETADDR, rpc.mapping(PROG, 1, 17, 0))
    sent = [0]

    def run():
        while not stop.is_set():
            try:
                for _ in range(50):
                    s.send(msg)
                    sent[0] += 1
            except OSError:
                pass
            time.sleep(0.002)

    t = threading.Thread(target=run)
    t.start()
    time.sleep(0.5)
    other, here = stranger(victims, V4, timeout=3), rpc.udp(timeout=3)
    good = sum(rpc.ask(other, 2, rpc.GETADDR, rpc.mapping(PROG, 1, 17, 0)) is not None for _ in range(100))
    mine = sum(rpc.ask(here, 2, rpc.GETADDR, rpc.mapping(PROG, 1, 17, 0)) is not None for _ in range(300))
    stop.set()
    t.join()
    heard = 0
    try:
        while s.recv(100):
            heard += 1
    except OSError:
        pass
    rv.check("a flood of %d from one source leaves another its service" % sent[0], sent[0] > 1000 and good >= 97, good)
    rv.check("and this host's", mine >= 297, mine)
    rv.check("the flooder itself is held to its rate", 0 < heard < sent[0] / 2, "%d of %d" % (heard, sent[0]))
    time.sleep(2.5)  # its rate recovers
    held = []
    for _ in range(40):
        try:
            held.append(stranger(attacker, V4, rpc.tcp, timeout=2))
        except OSError:
            break
    alive = sum(rpc.ask(c, 4, 0) is not None for c in held)
    rv.check("one source has at most its number of connections", 10 <= alive <= 16, alive)
    mob = []
    for i in range(10, 14):  # more sources than there are connections
        rv.must("ip", "addr", "add", "192.0.2.%d/24" % i, "dev", "eth0", ns=attacker)
        with In(attacker):
            for _ in range(16):
                t = socket.socket()
                t.bind(("192.0.2.%d" % i, 0))
                t.settimeout(2)
                try:
                    t.connect((V4, 111))
                    mob.append(t)
                except OSError:
                    pass
    answered = sum(rpc.ask(rpc.local(), 4, 0) is not None for _ in range(5)) + sum(rpc.ask(rpc.tcp(), 4, 0) is not None for _ in range(5))
    rv.check("when strangers hold all connections this host's programs still connect", answered == 10, answered)
    for t in mob + held:
        t.close()
    time.sleep(0.5)
    c = stranger(victims, V4, rpc.tcp)
    rv.check("another source can still connect", rpc.ask(c, 4, 0) is not None)
    p = rv.run("rpcbindctl", "stats", "--openmetrics")
    counted = {line.split()[0]: line.split()[1] for line in p.stdout.splitlines() if line.startswith("ravelin_rpcbind_")}
    limited = [v for k, v in counted.items() if "limited" in k]
    rv.check("and it is counted", limited and float(limited[0]) > 100, counted)
    rv.check("the daemon lives", d.running())


# --- calls for others ---

def call_args(prog, vers, proc, args):
    return struct.pack(">3I", prog, vers, proc) + rpc.opaque(args)


class Echo:
    """A UDP server that gives back what it is sent, and remembers from where."""

    def __init__(self, uid=0):
        self.s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.s.bind(("0.0.0.0", 0))
        self.s.setsockopt(socket.IPPROTO_IP, 6, 1)  # IP_RECVOPTS
        self.port = self.s.getsockname()[1]
        self.seen, self.on_call = [], None
        threading.Thread(target=self.run, daemon=True).start()
        rpc.ask(rpc.local(), 2, rpc.UNSET, rpc.mapping(PROG + 5000 + uid, 1, 0, 0))
        ok = rpc.as_user(uid, lambda: rpc.ask(rpc.local(), 2, rpc.SET, rpc.mapping(PROG + 5000 + uid, 1, 17, self.port)).r.u32())
        rv.check("the target registers", ok == 1)

    def run(self):
        while True:
            data, control, _, peer = self.s.recvmsg(9000, 200)
            options = b"".join(c[2] for c in control if c[0] == socket.IPPROTO_IP)
            self.seen.append((peer, data, options, self.on_call(peer[1]) if self.on_call else None))
            self.s.sendto(data[:4] + struct.pack(">5I", 1, 0, 0, 0, 0) + data[40:], peer)


def silent(s, *args):
    s.settimeout(1.5)
    return rpc.ask(s, *args) is None


def remote_off(ns):
    e = Echo()
    s = stranger(ns, V4)
    rv.check("calls for others are off: CALLIT and BCAST are silent", silent(s, 2, rpc.CALLIT, call_args(PROG + 5000, 1, 1, b"x")) and
             silent(s, 4, rpc.CALLIT, call_args(PROG + 5000, 1, 1, b"x")) and not e.seen)
    rv.check("and INDIRECT says unavailable", rpc.ask(s, 4, rpc.INDIRECT, call_args(PROG + 5000, 1, 1, b"x")).how == "prog_unavail" and not e.seen)
    return e


def remote_on(ns, e):
    for name, s in (("a stranger", stranger(ns, V4)), ("this host", rpc.udp()), ("the local socket", rpc.local()), ("IPv6", stranger(ns, V6)), ("TCP", rpc.tcp())):
        r = rpc.ask(s, 4, rpc.INDIRECT, call_args(PROG + 5000, 1, 1, b"question"))
        ok = r is not None and r.how == "ok" and (r.r.text().endswith(rpc.uaddr("", e.port)) and r.r.bytes() == b"question")
        rv.check("INDIRECT for %s" % name, ok, r and r.how)
        r = rpc.ask(s, 2, rpc.CALLIT, call_args(PROG + 5000, 1, 1, b"again"))
        rv.check("CALLIT for %s" % name, r is not None and r.how == "ok" and r.r.u32() == e.port and r.r.bytes() == b"again", r and r.how)
    rv.check("the target is called from a port without privilege, without credentials", all(p[1] >= 1024 and d[24:40] == b"\0" * 16 for p, d, _, _ in e.seen))
    s = stranger(ns, V4)
    rv.check("never the registry itself", rpc.ask(s, 4, rpc.INDIRECT, call_args(100000, 2, 1, rpc.mapping(PROG + 77, 1, 17, 99))).how == "auth" and
             silent(s, 2, rpc.CALLIT, call_args(100000, 2, 1, rpc.mapping(PROG + 77, 1, 17, 99))) and PROG + 77 not in {r[0] for r in rpc.dump(rpc.local())})
    s.settimeout(5)
    rv.check("nor a call of mountd", rpc.ask(s, 4, rpc.INDIRECT, call_args(100005, 3, 1, b"")).how == "auth")
    rv.check("a program that is not there: INDIRECT tells, CALLIT is silent", rpc.ask(s, 4, rpc.INDIRECT, call_args(7, 1, 1, b"")).how == "prog_unavail" and
             silent(s, 2, rpc.CALLIT, call_args(7, 1, 1, b"")))
    p = rv.run("rpcinfo", "-b", str(PROG + 5000), "1", ns=ns, timeout=60)
    rv.check("rpcinfo -b finds it by broadcast", V4 in p.stdout, p.stdout + p.stderr)
    with In(ns):
        group = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        group.settimeout(5)
        group.sendto(rpc.call(4, rpc.CALLIT, call_args(PROG + 5000, 1, 1, b"anybody"), xid=9), ("ff02::202", 111, 0, socket.if_nametoindex("eth0")))
    try:
        data, peer = group.recvfrom(9000)
        r = rpc.Reply(data)
        rv.check("a call to the group of all registries on the link is answered", r.how == "ok" and r.r.text().endswith(rpc.uaddr("", e.port)) and r.r.bytes() == b"anybody", peer)
    except TimeoutError:
        rv.check("a call to the group of all registries on the link is answered", False)
    big = rpc.ask(stranger(ns, V4), 4, rpc.INDIRECT, call_args(PROG + 5000, 1, 1, b"y" * 8000))
    rv.check("long arguments pass", big is not None and big.how == "ok" and (big.r.text(), len(big.r.bytes()))[1] == 8000)


LABELS = """RDEFINE SECDATA SECLEVEL ADDMEM(LOW/10 HIGH/100)
RDEFINE SECDATA CATEGORY ADDMEM(BLUE RED)
RDEFINE SECLABEL SECRED SECLEVEL(HIGH) ADDCATEGORY(RED)
RDEFINE SECLABEL SECBLUE SECLEVEL(HIGH) ADDCATEGORY(BLUE)
ALTUSER IBMUSER OMVS(UID(0)) SECLABEL(SECRED)
ADDUSER BLUESRV OMVS(UID(20005)) SECLABEL(SECBLUE)
RDEFINE SERVAUTH EZB.NETACCESS.TEST.TCPIP.REDZONE UACC(READ) SECLABEL(SECRED)
RDEFINE SERVAUTH EZB.NETACCESS.TEST.TCPIP.BLUEZONE UACC(READ) SECLABEL(SECBLUE)
SETROPTS CLASSACT(SECLABEL)
SETROPTS MLACTIVE(FAILURES) MLS(FAILURES)
"""
ZONES = "RemoteCalls yes\nNetAccess 192.0.2.2/32 REDZONE\nNetAccess 192.0.2.3/32 BLUEZONE\nNetAccess 2001:db8:1::2/128 REDZONE\n"
DOI = 0x524c


def label_of(port):
    """What a server asks, over the bus: under which label was this call made?"""
    m = rv.protos().rpcbind
    c = rv.Client("rpcbindD")
    code, text, reply = c.call("rpcbind.LabelOf", m.LabelRequest(port=port), m.LabelReply)
    c.close()
    return reply.label if reply else text


def labels(red, blue):
    rv.saf(LABELS)
    d = place.daemon(STRICT + ZONES)
    e, b = Echo(), Echo(20005)
    e.on_call = label_of
    ask = lambda ns, host, prog: rpc.ask(stranger(ns, host), 4, rpc.INDIRECT, call_args(prog, 1, 1, b"secret"))
    r = ask(red, V4, PROG + 5000)
    rv.check("a client of the red zone reaches the red server", r.how == "ok" and e.seen[-1][3] == "SECRED", (r.how, e.seen[-1:]))
    r = ask(red, V6, PROG + 5000)
    rv.check("over IPv6 too", r.how == "ok" and e.seen[-1][3] == "SECRED", (r.how, e.seen[-1:]))
    n = len(e.seen)
    rv.check("a client of the blue zone does not", ask(blue, V4, PROG + 5000).how == "auth" and len(e.seen) == n)
    rv.check("CALLIT is silent about it", silent(stranger(blue, V4), 2, rpc.CALLIT, call_args(PROG + 5000, 1, 1, b"x")) and len(e.seen) == n)
    r = ask(blue, V4, PROG + 25005)
    rv.check("the blue server is reached by blue", r.how == "ok" and len(b.seen) == 1, r.how)
    rv.check("and not by red", ask(red, V4, PROG + 25005).how == "auth" and len(b.seen) == 1)
    rv.check("a client in no zone has no label and no call", ask(blue, V6, PROG + 5000).how == "auth" and len(e.seen) == n)
    rv.check("root of this host has its user's label", rpc.ask(rpc.local(), 4, rpc.INDIRECT, call_args(PROG + 5000, 1, 1, b"x")).how == "ok")
    rv.check("a user without one has no call", rpc.as_user(20002, lambda: rpc.ask(rpc.udp(), 4, rpc.INDIRECT, call_args(PROG + 5000, 1, 1, b"x")).how) == "auth")
    workers = subprocess.run(["ps", "--ppid", str(d.p.pid), "-o", "pid="], capture_output=True, text=True).stdout.split()
    caps = [open("/proc/%s/status" % p).read() for p in workers]
    rv.check("a worker for each label, without capabilities", len(workers) == 2 and all("CapEff:\t0000000000000000" in c and "Seccomp:\t2" in c for c in caps), workers)
    d.stop()


def doi_known():
    """The kernel takes labels of a DOI that the first network namespace told it; this one sees it then."""
    p = place.at_home("netlabelctl", "cipsov4", "add", "pass", "doi:%d" % DOI, "tags:1")
    rv.at_end(lambda: place.at_home("netlabelctl", "cipsov4", "del", "doi:%d" % DOI))
    return p


def carried(red):
    p = doi_known()
    if not rv.check("netlabelctl makes the DOI known", p.returncode == 0, p.stdout + p.stderr):
        return
    d = place.daemon(STRICT + ZONES + "CipsoDoi %d\n" % DOI)
    e = Echo()
    r = rpc.ask(stranger(red, V4), 4, rpc.INDIRECT, call_args(PROG + 5000, 1, 1, b"secret"))
    # level 100, category 1: type 134, DOI, tag 1, bit 1
    want = struct.pack(">BBIBBBBB", 134, 11, DOI, 1, 5, 0, 100, 0x40)
    rv.check("the label goes with the packet as CIPSO", r is not None and r.how == "ok" and e.seen and e.seen[-1][2][:11] == want, (r and r.how, e.seen[-1:]))
    worker = subprocess.run(["ps", "--ppid", str(d.p.pid), "-o", "pid="], capture_output=True, text=True).stdout.split()
    caps = open("/proc/%s/status" % worker[0]).read() if worker else ""
    rv.check("such a worker has CAP_NET_RAW and nothing else", "CapEff:\t0000000000002000" in caps, caps[-400:])
    with In(red):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.setsockopt(socket.IPPROTO_IP, 4, struct.pack(">BBIBBBBB", 134, 11, DOI, 1, 5, 0, 100, 0x80) + b"\0")
        s.settimeout(5)
        s.connect((V4, 111))
    n = len(e.seen)
    r = rpc.ask(s, 4, rpc.INDIRECT, call_args(PROG + 5000, 1, 1, b"secret"))
    rv.check("a packet whose own label its zone does not permit has no call", r is not None and r.how == "auth" and len(e.seen) == n, r and r.how)
    d.stop()


def main():
    place.enter()
    red, blue = world()
    d = place.daemon(STRICT)
    fill(512)
    amplification(red)
    time.sleep(2)
    memory(d, red)
    wrong()
    records(d)
    flood(blue, red, d)
    time.sleep(2)
    e = remote_off(blue)
    d.stop()
    d = place.daemon(STRICT + "RemoteCalls yes\n")
    remote_on(red, e)
    rv.check("it ends in order", d.stop() == 0, d.output()[-500:])
    labels(red, blue)
    carried(red)
    return rv.finish()


sys.exit(main())
