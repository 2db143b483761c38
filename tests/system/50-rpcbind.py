#!/usr/bin/python3
"""rpcbindD for those who run it: rpcinfo in all its forms, servers of libtirpc and Debian, several users, warm start and kill -9,
rpcbindctl, events and audit. All in a network of its own."""
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import rv
import rpcbind_place as place
import rpcmsg as rpc

ALICE, MALLORY = 20001, 20002
PROG = 0x20000200


def ctl(*args, uid=0):
    return rv.run("rpcbindctl", *args, uid=uid)


def listed():
    return {(r[0], r[1], r[2]): r for r in rpc.dump(rpc.local())}


def info(*args, timeout=30):
    return rv.run("rpcinfo", *args, timeout=timeout)


# --- rpcinfo ---

def rpcinfo():
    v2, v34 = ["100000    2   tcp    111", "100000    4   udp    111"], ["udp6", "tcp6", "/run/rpcbind.sock", "superuser"]
    for args in (["-p"], ["-p", "127.0.0.1"], ["-p", "::1"]):
        p = info(*args)
        rv.check("rpcinfo %s" % " ".join(args), p.returncode == 0 and all(w in p.stdout for w in v2), p.stdout + p.stderr)
    for args in ([], ["127.0.0.1"], ["::1"]):
        p = info(*args)
        rv.check("rpcinfo %s" % " ".join(args), p.returncode == 0 and all(w in p.stdout for w in v34), p.stdout + p.stderr)
    for args in (["-s"], ["-s", "127.0.0.1"], ["-s", "::1"]):
        p = info(*args)
        rv.check("rpcinfo %s" % " ".join(args), p.returncode == 0 and "2,3,4" in p.stdout and "local" in p.stdout, p.stdout + p.stderr)
    for args in (["-m"], ["-m", "127.0.0.1"], ["-m", "::1"]):
        p = info(*args)
        rv.check("rpcinfo %s" % " ".join(args), p.returncode == 0 and "RPCBIND (version 4) statistics" in p.stdout, p.stdout + p.stderr)
    for host in "127.0.0.1", "::1":
        for args in (["-t", host, "100000"], ["-u", host, "100000", "4"], ["-t", host, "100000", "3"]):
            p = info(*args)
            rv.check("rpcinfo %s" % " ".join(args), p.returncode == 0 and "ready and waiting" in p.stdout, p.stdout + p.stderr)
        p = info("-l", host, "100000", "4")
        rv.check("rpcinfo -l %s" % host, p.returncode == 0 and "inet6/tcp/cots_ord" in p.stdout and "inet/udp/clts" in p.stdout, p.stdout + p.stderr)
    for netid, host in (("udp", "127.0.0.1"), ("tcp", "127.0.0.1"), ("udp6", "::1"), ("tcp6", "::1")):
        p = info("-T", netid, host, "100000", "4")
        rv.check("rpcinfo -T %s" % netid, p.returncode == 0 and "ready" in p.stdout, p.stdout + p.stderr)
        p = info("-a", host + ".0.111", "-T", netid, "100000", "4")
        rv.check("rpcinfo -a over %s" % netid, p.returncode == 0 and "ready" in p.stdout, p.stdout + p.stderr)
    p = info("-t", "127.0.0.1", "100000", "9")
    rv.check("a version that is not there is an error", p.returncode == 1, p.stdout + p.stderr)
    p = info("-u", "127.0.0.1", str(PROG), "1")
    rv.check("a program that is not there is an error", p.returncode == 1 and "not registered" in p.stdout + p.stderr, p.stdout + p.stderr)


# --- every procedure, on every transport ---

def transports():
    yield "udp", "127.0.0.1", rpc.udp()
    yield "tcp", "127.0.0.1", rpc.tcp()
    yield "udp6", "::1", rpc.udp("::1")
    yield "tcp6", "::1", rpc.tcp("::1")
    yield "local", None, rpc.local()


def procedures():
    for netid, host, s in transports():
        answered = [rpc.ask(s, v, 0).how for v in (2, 3, 4)]
        rv.check("%s: NULL of all versions" % netid, answered == ["ok"] * 3, answered)
        r = rpc.ask(s, 4, rpc.GETTIME)
        rv.check("%s: GETTIME" % netid, abs(r.r.u32() - time.time()) < 3)
        r = rpc.ask(s, 4, rpc.GETADDR, rpc.rpcb(100000, 4, "tcp" if netid == "local" else ""))
        want = rpc.uaddr(host, 111) if host else "127.0.0.1.0.111"
        got = r.r.text()
        rv.check("%s: GETADDR names the address that was asked" % netid, got == want, got)
        r = rpc.ask(s, 4, rpc.GETVERSADDR, rpc.rpcb(100000, 9, "tcp"))
        rv.check("%s: GETVERSADDR takes no other version" % netid, r.r.text() == "")
        if host:
            net = rpc.ask(s, 3, rpc.U2T, rpc.opaque(rpc.uaddr(host, 2049))).r
            net.u32()
            raw = net.bytes()
            rv.check("%s: UADDR2TADDR gives a sockaddr" % netid, raw[2:4] == b"\x08\x01" and raw[0] in (socket.AF_INET, socket.AF_INET6), raw)
            back = rpc.ask(s, 3, rpc.T2U, (128).to_bytes(4, "big") + rpc.opaque(raw)).r.text()
            rv.check("%s: TADDR2UADDR gives it back" % netid, back == rpc.uaddr(host, 2049), back)
        rv.check("%s: another program" % netid, rpc.ask(s, 1, 0, prog=100003).how == "prog_unavail")
        r = rpc.ask(s, 5, 0)
        rv.check("%s: another version is told which there are" % netid, (r.how, r.low, r.high) == ("mismatch", 2, 4))
        rv.check("%s: procedures end with the version" % netid,
                 [rpc.ask(s, v, p).how for v, p in ((2, 6), (3, 9), (4, 13))] == ["proc_unavail"] * 3)
        rv.check("%s: arguments that are cut" % netid, rpc.ask(s, 2, rpc.GETADDR, b"\0\0\0\1").how == "garbage" and
                 rpc.ask(s, 4, rpc.GETADDR, rpc.rpcb(1, 1)[:-2]).how == "garbage")
        s.close()
    same = [rpc.dump(s, 4) for s in (rpc.tcp(), rpc.tcp("::1"), rpc.local(), rpc.udp())]
    rv.check("DUMP is the same everywhere", all(x == same[0] for x in same) and len(same[0]) >= 12)


# --- who may register ---

def set_unset(vers, proc, args, how=rpc.local, prog=None):
    s = how()
    r = rpc.ask(s, vers, proc, args)
    s.close()
    return bool(r.r.u32()) if r and r.how == "ok" else None


def as_alice(*args, **more):
    return rpc.as_user(ALICE, lambda: set_unset(*args, **more))


def users():
    ways = (("the local socket", rpc.local), ("UDP", rpc.udp), ("TCP", rpc.tcp), ("UDP over IPv6", lambda: rpc.udp("::1")),
            ("TCP over IPv6", lambda: rpc.tcp("::1")))
    for i, (name, how) in enumerate(ways):
        n = PROG + i
        rv.check("alice registers over %s" % name, as_alice(4, rpc.SET, rpc.rpcb(n, 1, "tcp", "0.0.0.0.40.1", "x"), how) is True)
        rv.check("her uid is the owner, not what she says", listed().get((n, 1, "tcp"), [""] * 5)[4] == str(ALICE), listed())
        rv.check("the same again is as it is", as_alice(4, rpc.SET, rpc.rpcb(n, 1, "tcp", "0.0.0.0.40.1"), how) is True)
        rv.check("another address for it is refused", as_alice(4, rpc.SET, rpc.rpcb(n, 1, "tcp", "0.0.0.0.40.2"), how) is False)
        rv.check("mallory cannot take it over", rpc.as_user(MALLORY, set_unset, 4, rpc.SET, rpc.rpcb(n, 1, "tcp", "0.0.0.0.40.1"), how) is False)
        rv.check("nor end it", rpc.as_user(MALLORY, set_unset, 4, rpc.UNSET, rpc.rpcb(n, 1, "tcp"), how) is False and (n, 1, "tcp") in listed())
        rv.check("alice ends it", as_alice(4, rpc.UNSET, rpc.rpcb(n, 1), how) is True and (n, 1, "tcp") not in listed())
    rv.check("version 2 registers udp and tcp", as_alice(2, rpc.SET, rpc.mapping(PROG, 1, 17, 3000)) and as_alice(2, rpc.SET, rpc.mapping(PROG, 1, 6, 3000)))
    rv.check("version 2's UNSET ends both", as_alice(2, rpc.UNSET, rpc.mapping(PROG, 1, 0, 0)) and not [k for k in listed() if k[0] == PROG])
    rv.check("a privileged port is not alice's to register", as_alice(2, rpc.SET, rpc.mapping(PROG, 1, 17, 700)) is False)
    rv.check("root may end what alice has", as_alice(2, rpc.SET, rpc.mapping(PROG, 1, 17, 3000)) and set_unset(2, rpc.UNSET, rpc.mapping(PROG, 1, 0, 0)))
    for text, args in (("an address that is none", rpc.rpcb(PROG, 1, "tcp", "1.2.3.4.5")), ("another family", rpc.rpcb(PROG, 1, "tcp", "::1.1.1")),
                       ("an unknown netid", rpc.rpcb(PROG, 1, "sctp", "1.2.3.4.5.6")), ("the registry itself", rpc.rpcb(100000, 7, "tcp", "0.0.0.0.1.1"))):
        rv.check("refused: %s" % text, set_unset(4, rpc.SET, args) is False)
    rv.check("the registry cannot be unregistered", set_unset(4, rpc.UNSET, rpc.rpcb(100000, 4)) is False and (100000, 4, "tcp") in listed())


def profile():
    events = rv.Subscriber("rpcbindD", "rpcbind.refused")
    rv.until(lambda: as_alice(2, rpc.SET, rpc.mapping(PROG, 1, 17, 700)) is False and events.next(0.3), 10)
    rv.saf("RDEFINE SERVAUTH EZB.RPCBIND.TEST.RPCBIND.REGISTRY UACC(NONE)")
    asked = lambda: as_alice(4, rpc.SET, rpc.rpcb(PROG, 1, "tcp", "0.0.0.0.40.1"))
    rv.check("with the REGISTRY profile alice is refused", rv.until(lambda: asked() is False, 5))
    e = rv.until(lambda: (lambda e: e if e and b"SAF refuses" in e[2] else None)(events.next(1)), 10)
    rv.check("the refusal is an event", e is not None)
    rv.saf("PERMIT EZB.RPCBIND.TEST.RPCBIND.REGISTRY CLASS(SERVAUTH) ID(ALICE) ACCESS(READ)")
    rv.check("with READ she registers", rv.until(asked, 5))
    rv.check("mallory does not", rpc.as_user(MALLORY, set_unset, 4, rpc.SET, rpc.rpcb(PROG, 2, "tcp", "0.0.0.0.40.1")) is False)
    rv.check("a user that SAF does not know does not", rpc.as_user(20077, set_unset, 4, rpc.SET, rpc.rpcb(PROG, 2, "tcp", "0.0.0.0.40.1")) is False)
    rv.check("nor may they end hers", rpc.as_user(MALLORY, set_unset, 4, rpc.UNSET, rpc.rpcb(PROG, 1)) is False)
    p = info("-d", str(PROG), "1")
    rv.check("rpcinfo -d needs the profile", p.returncode == 1 or (PROG, 1, "tcp") not in listed(), p.stdout + p.stderr)
    as_alice(4, rpc.UNSET, rpc.rpcb(PROG, 1))
    rv.saf("RDELETE SERVAUTH EZB.RPCBIND.TEST.RPCBIND.REGISTRY")
    rv.check("without the profile local callers register again", rv.until(lambda: rpc.as_user(MALLORY, set_unset, 4, rpc.SET, rpc.rpcb(PROG, 3, "tcp", "0.0.0.0.40.1")), 5))
    p = info("-d", str(PROG), "3")
    rv.check("rpcinfo -d by root ends it", (PROG, 3, "tcp") not in listed(), p.stdout + p.stderr)
    events.close()
    with open(rv.path("var/log/ravelin/rpcbindD.audit")) as f:
        records = [json.loads(line) for line in f]
    rv.check("refusals are audited", [r for r in records if r.get("resource", "").endswith(".REGISTRY") and r.get("program") == PROG and
                                      "ICH408I USER(MALLORY" in r.get("reason", "")], records[-3:])


# --- servers ---

def servers():
    p = rv.Process([rv.program("rpc_server"), str(PROG + 50), "3"], uid=0).start()
    rv.check("a libtirpc server registers on all transports", rv.until(lambda: len([k for k in listed() if k[0] == PROG + 50]) >= 4, 10), listed())
    for how, host in (("-t", "127.0.0.1"), ("-u", "127.0.0.1"), ("-t", "::1"), ("-u", "::1")):
        r = info(how, host, str(PROG + 50), "3")
        rv.check("rpcinfo %s %s finds and calls it" % (how, host), r.returncode == 0 and "ready" in r.stdout, r.stdout + r.stderr)
    p.kill()
    p = rv.Process(["rpc.statd", "-F", "--no-notify"]).start()
    rv.check("rpc.statd registers", rv.until(lambda: {(100024, 1, "udp"), (100024, 1, "tcp6")} <= set(listed()), 15), p.output())
    r = info("-t", "127.0.0.1", "100024")
    rv.check("and is found", r.returncode == 0 and "ready" in r.stdout, r.stdout + r.stderr)
    p.stop()
    rv.check("and unregisters at its end", rv.until(lambda: not [k for k in listed() if k[0] == 100024], 10))
    p = rv.Process(["rpc.mountd", "-F"]).start()
    found = rv.until(lambda: {(100005, 3, "udp"), (100005, 3, "tcp")} <= set(listed()), 10)
    rv.check("rpc.mountd of nfs-kernel-server registers", found, p.output())
    r = info("-T", "tcp", "127.0.0.1", "100005", "3")
    rv.check("and is found", r.returncode == 0 and "ready" in r.stdout, r.stdout + r.stderr)
    p.stop()
    rpc.ask(rpc.local(), 4, rpc.UNSET, rpc.rpcb(100005, 3))
    for v in (1, 2, 3):
        info("-d", "100005", str(v))
    for v in (3,):
        info("-d", str(PROG + 50), str(v))


# --- warm start ---

class Owner:
    """A socket bound by a user, so that registrations of its port have a server."""

    def __init__(self, uid):
        out, into = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.bind(("127.0.0.1", 0))
            os.write(into, b"%d\n" % s.getsockname()[1])
            signal.pause()
        self.port = int(os.read(out, 16))
        os.close(out)
        os.close(into)
        rv.at_end(self.end)

    def end(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = None


def warm(d):
    stays, goes, other = Owner(ALICE), Owner(ALICE), Owner(MALLORY)
    for i, port in enumerate((stays.port, goes.port, other.port)):
        as_alice(2, rpc.SET, rpc.mapping(PROG + 60 + i, 1, 17, port))
    goes.end()
    d.signal(signal.SIGKILL)
    d.wait()
    d.start()
    have = {k[0] for k in listed()}
    rv.check("after kill -9 a server's registration is there", PROG + 60 in have)
    rv.check("one whose port is closed is gone", PROG + 61 not in have)
    rv.check("one whose port another user has is gone", PROG + 62 not in have)
    rv.check("the owner is the same", listed()[(PROG + 60, 1, "udp")][4] == str(ALICE))
    d.stop()
    d.start()
    rv.check("after an orderly restart too", PROG + 60 in {k[0] for k in listed()})
    stays.end()
    rv.check("a server that ends without a word is missed in time", rv.until(lambda: PROG + 60 not in {k[0] for k in listed()}, 20, 0.3))
    other.end()


def load(acked, port, stop):
    """SETs one after another; what was acknowledged goes into @acked."""
    n = 0
    while not stop.is_set():
        try:
            s = rpc.local(timeout=2)
            while not stop.is_set():
                n += 1
                r = rpc.ask(s, 2, rpc.SET, rpc.mapping(PROG + 1000 + n, 1, 17, port))
                if r is None:
                    break
                if r.how == "ok" and r.r.u32():
                    acked.add(PROG + 1000 + n)
        except OSError:
            time.sleep(0.005)


def killed(d):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", 0))
    acked, stop = set(), threading.Event()
    t = threading.Thread(target=load, args=(acked, s.getsockname()[1], stop))
    t.start()
    lost = set()
    for _ in range(8):
        time.sleep(random.uniform(0.05, 0.4))
        d.signal(signal.SIGKILL)
        d.wait()
        before = set(acked)
        d.start()
        lost |= before - {k[0] for k in listed()}
    stop.set()
    t.join()
    lost |= acked - {k[0] for k in listed()}
    rv.check("kill -9 eight times under SETs: nothing of %d acknowledged is lost" % len(acked), len(acked) > 100 and not lost, sorted(lost)[:5])
    for n in acked:
        set_unset(2, rpc.UNSET, rpc.mapping(n, 1, 0, 0))
    s.close()


def gone_before_it_is_asked(d):
    """A socket that is closed has no uid any more, and the kernel says 0 for it: its call must not count as root's."""
    def hit_and_run(host, vers, proc, args):
        s = rpc.tcp(host)
        s.sendall(rpc.record(rpc.call(vers, proc, args)))
        s.close()
        return True

    rv.check("root registers one", set_unset(2, rpc.SET, rpc.mapping(PROG + 90, 1, 6, 3000)))
    d.signal(signal.SIGSTOP)
    for i, host in enumerate(("127.0.0.1", "::1")):
        rpc.as_user(MALLORY, hit_and_run, host, 2, rpc.SET, rpc.mapping(PROG + 91 + i, 1, 6, 700))
        rpc.as_user(MALLORY, hit_and_run, host, 2, rpc.UNSET, rpc.mapping(PROG + 90, 1, 0, 0))
    time.sleep(0.2)
    d.signal(signal.SIGCONT)
    time.sleep(1)
    held = {k[0] for k in listed()}
    rv.check("who closes before it is looked at registers nothing", not held & {PROG + 91, PROG + 92}, held)
    rv.check("and ends nothing of root's", PROG + 90 in held, held)
    set_unset(2, rpc.UNSET, rpc.mapping(PROG + 90, 1, 0, 0))


# --- the operator ---

def operator(d):
    as_alice(2, rpc.SET, rpc.mapping(PROG, 1, 17, 3000))
    p = ctl("--json", "list")
    rows = json.loads(p.stdout) if p.returncode == 0 else {}
    rows = rows.get("registrations", rows) if isinstance(rows, dict) else rows
    mine = [r for r in rows if r.get("program") == PROG]
    rv.check("rpcbindctl list shows it and its SAF user", len(mine) == 1 and mine[0]["owner"] == "ALICE" and mine[0]["netid"] == "udp", p.stdout + p.stderr)
    rv.check("rpcbindctl list needs authority", ctl("list", uid=MALLORY).returncode == 3)
    rv.check("rpcbindctl unset needs authority", ctl("unset", PROG, 1, uid=ALICE).returncode == 3)
    events = rv.Subscriber("rpcbindD", "rpcbind.set", "rpcbind.unset")
    seen = rv.until(lambda: (as_alice(2, rpc.SET, rpc.mapping(PROG + 1, 1, 17, 3000)), as_alice(2, rpc.UNSET, rpc.mapping(PROG + 1, 1, 0, 0)),
                             events.next(0.2))[2], 10)
    rv.check("a registration is an event", seen and seen[0] in ("rpcbind.set", "rpcbind.unset"))
    p = ctl("unset", PROG, 1)
    rv.check("rpcbindctl unset ends it", p.returncode == 0 and PROG not in {k[0] for k in listed()}, p.stdout + p.stderr)
    rv.check("and says so where there is none", ctl("unset", PROG, 1).returncode == 1)
    events.close()
    calls = rv.Subscriber("rpcbindD", "rpcbind.call")
    p = ctl("trace", "on", 30)
    heard = rv.until(lambda: (rpc.ask(rpc.udp(), 4, rpc.GETTIME), calls.next(0.2))[1], 10)
    rv.check("rpcbindctl trace publishes calls", p.returncode == 0 and heard and heard[0] == "rpcbind.call", p.stdout + p.stderr)
    rv.check("and ends", ctl("trace", "off").returncode == 0)
    calls.close()
    p = ctl("stat")
    rv.check("rpcbindctl stat counts", p.returncode == 0 and "SET" in p.stdout, p.stdout + p.stderr)
    p = ctl("stats", "--openmetrics")
    rv.check("rpcbindctl stats --openmetrics", p.returncode == 0 and "ravelin_rpcbind_calls_total" in p.stdout and p.stdout.rstrip().endswith("# EOF"), p.stderr)
    d.signal(signal.SIGHUP)
    place.conf("SourceRate 0\nReapInterval 1\nPort 112")
    d.reload()
    rv.check("a reload that would move the port is refused, and it goes on", rv.until(lambda: "cannot change" in d.output(), 5) and listed(), d.output()[-500:])


def main():
    place.enter()
    d = place.daemon("ReapInterval 1")
    rv.check("it starts", d.running())
    for part in rpcinfo, procedures, users, profile, servers:
        part()
    gone_before_it_is_asked(d)
    warm(d)
    killed(d)
    operator(d)
    rv.check("it ends in order", d.stop() == 0, d.output()[-500:])
    rv.check("and its socket file is gone", not os.path.exists("/run/rpcbind.sock"))
    return rv.finish()


sys.exit(main())
