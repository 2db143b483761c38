#!/usr/bin/python3
"""Port access control on a real kernel: unmodified programs of several users and jobs bind and listen; the profile and SAF decide."""
import glob
import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import rv

STACK = "PORTS"
PROFILE = """
INTERFACE HOST DEFINE TUN DEVICE tunp0 IPADDR 10.77.0.1/24
WORKERS 1
TCPCONFIG RESTRICTLOWPORTS
PORT
  2020 TCP *        SAF FTPDATA   ; anybody who is permitted
  2021 TCP WEB                    ; the unit web.service
  2022 UDP RESERVED
  21   TCP WEB
  2080 TCP WEB      BIND 127.0.0.5
  2090 TCP MYSERV
PORTRANGE 3000 100 UDP WEB*
PORTJOB MYSERV EXECUTABLE {exe}
{unrsv}
"""
LISTEN = "PORT UNRSV TCP * SAF GENERIC WHENLISTEN\nPORT UNRSV UDP * SAF GENERIC"
BIND = "PORT UNRSV TCP WEB WHENBIND\n UNRSV TCP * DENY WHENBIND"
PROGRAM = r"""
import errno, os, socket, sys, time
cgroup, uid, family, kind, address, port, what = sys.argv[1:8]
if cgroup != "-":
    open(cgroup + "/cgroup.procs", "w").write(str(os.getpid()))
s = socket.socket(socket.AF_INET6 if family == "6" else socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
if "reuseport" in what:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
if int(uid):
    os.setgroups([]); os.setgid(int(uid)); os.setuid(int(uid))
try:
    if "nobind" not in what:
        s.bind((address, int(port)))
    if "listen" in what:
        s.listen(5)
        time.sleep(float(what.split("=")[1]) if "=" in what else 0.3)

        if s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 0:
            print("ENDED"); sys.exit()
    if "time" in what:
        t = time.perf_counter_ns
        best = []
        for i in range(2000):
            x = socket.socket(); a = t(); x.bind((address, int(port))); best.append(t() - a); x.close()
        print(sorted(best)[len(best) // 2]); sys.exit()
    print("OK %s" % (s.getsockname()[0]))
except OSError as e:
    print(errno.errorcode[e.errno])
"""


def runs(kind, port, what, uid=0, unit="plain", family="4"):
    """The same program, started through ravelin-portrun: asked at listen before it happens."""
    argv = ["nsenter", "--net=/run/netns/" + host, rv.program("ravelin-portrun"), "--stack", STACK, "--pins", pins, "--", "/usr/bin/python3",
            "-c", PROGRAM, make_cgroup(unit), str(uid), family, kind, "::" if family == "6" else "0.0.0.0", str(port), what]
    p = subprocess.run(argv, capture_output=True, text=True, timeout=30, env=dict(rv.environment(), PYTHONHOME="/usr"))
    return p.stdout.strip() or p.stderr.strip()[-300:]


def cgroup2():
    """A cgroup 2 hierarchy of the host, or one mounted for this test."""
    for line in open("/proc/mounts"):
        f = line.split()
        if f[2] == "cgroup2":
            return f[1]
    at = rv.path("cgroup2")
    os.makedirs(at)
    rv.must("mount", "-t", "cgroup2", "none", at)
    rv.at_end(lambda: subprocess.run(["umount", "-l", at], capture_output=True))
    return at


def make_cgroup(name):
    at = os.path.join(top, name)
    os.makedirs(at, exist_ok=True)
    return at


def remove_cgroups():
    for d in sorted(glob.glob(top + "/**/", recursive=True), key=len, reverse=True):
        for _ in range(50):
            try:
                os.rmdir(d)
                break
            except OSError:
                time.sleep(0.05)


def tries(kind, port, what="bind", uid=0, unit="plain", family="4", address=None, ns=None, exe="/usr/bin/python3"):
    """What an ordinary program hears."""
    address = address if address is not None else ("::" if family == "6" else "0.0.0.0")
    # not "ip netns exec": it hides /sys/fs/cgroup
    argv = ["nsenter", "--net=/run/netns/" + (ns or host), exe, "-c", PROGRAM, make_cgroup(unit), str(uid), family, kind, address, str(port), what]
    p = subprocess.run(argv, capture_output=True, text=True, timeout=30, env=dict(os.environ, PYTHONHOME="/usr"))
    return p.stdout.strip() or p.stderr.strip()[-200:]


def profile(unrsv):
    rv.write("stacks/%s.profile" % STACK, PROFILE.format(exe=copy, unrsv=unrsv))


def guard(*args):
    return rv.run("ravelin-portguard", "--pins", pins, "--cgroup", top, *args)


def ports():
    return json.loads(rv.run("stackctl", "-p", STACK, "--json", "ports").stdout)


def reload(unrsv):
    """The new profile is in force when the daemon says so in its list."""
    profile(unrsv)
    stack.reload()
    return rv.until(lambda: sum(p["unrsv"] for p in ports().get("ports", []) if p.get("unrsv")) == unrsv.count("UNRSV"), 10)


rv.root()
rv.saf_base([STACK])
rv.permit("EZB.NETSTAT.{sysname}.%s.PORTLIST" % STACK, "IBMUSER")
rv.permit("EZB.NETMGMT.{sysname}.%s.EVENTS" % STACK, "IBMUSER")
for name in ("FTPDATA", "GENERIC"):
    rv.saf("RDEFINE SERVAUTH EZB.PORTACCESS.%s.%s.%s UACC(NONE)" % (rv.SYSNAME, STACK, name))
rv.permit("EZB.PORTACCESS.{sysname}.%s.FTPDATA" % STACK, "ALICE")

net = rv.Net("rvp")
host, container = net.ns("host"), net.ns("box")
top = os.path.join(cgroup2(), "rv-ports-%d" % os.getpid())
os.makedirs(top)
rv.at_end(remove_cgroups)
copy = rv.path("myserver")
subprocess.run(["cp", os.path.realpath("/usr/bin/python3"), copy], check=True)
other_copy = rv.path("other")
subprocess.run(["cp", copy, other_copy], check=True)
bpffs = rv.path("bpf")
os.makedirs(bpffs)
rv.must("mount", "-t", "bpf", "bpf", bpffs)
rv.at_end(lambda: subprocess.run(["umount", "-l", bpffs], capture_output=True))
pins = bpffs + "/ravelin"
rv.at_end(lambda: guard("detach", STACK))

profile(LISTEN)
stack = rv.Daemon("stack-core", STACK, ns=host, uid=rv.STACKCOR_UID, caps=("net_admin", "net_raw"), env={"RAVELIN_PORT_PINS": pins})
rv.check("without portguard the stack runs and says that ports are open", not ports().get("enforced") and "not enforced" in stack.output())
rv.check("stackctl says NOT ENFORCED", "NOT ENFORCED" in rv.run("stackctl", "-p", STACK, "ports").stdout)
rv.check("before anything is attached every bind works", tries("tcp", 2021) == "OK 0.0.0.0")
p = rv.run("ravelin-portguard", "--pins", rv.path("nobpf/ravelin"), "--cgroup", top, "attach", STACK)
rv.check("a place that is no BPF file system is refused with what to do", p.returncode == 1 and "mount -t bpf" in p.stderr, p.stderr)
p = guard("--user", "nosuchuser", "attach", STACK)
rv.check("an unknown owner is refused and nothing stays attached", p.returncode == 1 and guard("status", STACK).returncode == 1, p.stderr)
p = guard("attach", STACK)
rv.check("portguard attaches", p.returncode == 0, p.stdout + p.stderr)
for name in os.listdir(os.path.join(pins, STACK)):
    os.chown(os.path.join(pins, STACK, name), rv.STACKCOR_UID, rv.STACKCOR_UID)
rv.check("attaching again changes nothing", "already" in guard("attach", STACK).stdout)
rv.check("the stack takes it up within seconds", rv.until(lambda: ports().get("enforced"), 10), stack.output()[-500:])

events = rv.Subscriber("stack-core@" + STACK, "stack.port.denied")
print("# reserved by number")
rv.check("a reserved port is refused to another job with EACCES", tries("tcp", 2021) == "EACCES")
e = events.wait("stack.port.denied", 5)
rv.check("and that is an event", e is not None)
rv.check("a reserved port is the job's", tries("tcp", 2021, unit="web.service") == "OK 0.0.0.0")
rv.check("in IPv6 too", tries("tcp", 2021, unit="web.service", family="6") == "OK ::" and tries("tcp", 2021, family="6") == "EACCES")
rv.check("the outermost unit counts: a user's own web.service is not WEB",
         tries("tcp", 2021, unit="user@1000.service/web.service", uid=rv.ALICE_UID) == "EACCES")
rv.check("a low port that is reserved to the job needs no capability", tries("tcp", 21, unit="web.service", uid=rv.MALLORY_UID) == "OK 0.0.0.0")
rv.check("RESTRICTLOWPORTS refuses other low ports to users", tries("tcp", 22, uid=rv.ALICE_UID) in ("EACCES",))
rv.check("and allows them to uid 0", tries("tcp", 22) == "OK 0.0.0.0")
rv.check("RESERVED is for nobody", tries("udp", 2022) == "EACCES" and tries("udp", 2022, unit="web.service") == "EACCES")
rv.check("the same number of the other protocol is not reserved", tries("tcp", 2022) == "OK 0.0.0.0")
rv.check("a range is the job's, by a partial name", tries("udp", 3099, unit="webapp.service") == "OK 0.0.0.0" and tries("udp", 3099) == "EACCES")
rv.check("BIND gives the wildcard bind its address", tries("tcp", 2080, unit="web.service") == "OK 127.0.0.5")
rv.check("a specific address stays", tries("tcp", 2080, unit="web.service", address="127.0.0.7") == "OK 127.0.0.7")
rv.check("SO_REUSEPORT goes around nothing", tries("tcp", 2021, "bind reuseport") == "EACCES")
rv.check("PORTJOB names an executable", tries("tcp", 2090, exe=copy) == "OK 0.0.0.0")
rv.check("and a copy of it is another program", tries("tcp", 2090, exe=other_copy) == "EACCES")
rv.check("another network namespace has its own ports", tries("tcp", 2021, ns=container) == "OK 0.0.0.0")

print("# SAF")
rv.check("SAF: who is permitted binds", tries("tcp", 2020, uid=rv.ALICE_UID) == "OK 0.0.0.0")
rv.check("SAF: who is not is refused", tries("tcp", 2020, uid=rv.MALLORY_UID) == "EACCES")
rv.check("with an ICH408I line", rv.until(lambda: "ICH408I" in stack.output() and "FTPDATA" in stack.output(), 5), stack.output()[-800:])
rv.check("and an audit record", rv.until(lambda: "FTPDATA" in open(rv.path("var/log/ravelin/stack-core@%s.audit" % STACK)).read(), 5))
rv.check("a uid that SAF does not know is refused", tries("tcp", 2020, uid=54321) == "EACCES")
rv.permit("EZB.PORTACCESS.{sysname}.%s.FTPDATA" % STACK, "MALLORY")
t = time.monotonic()
ok = rv.until(lambda: tries("tcp", 2020, uid=rv.MALLORY_UID) == "OK 0.0.0.0", 10)
rv.check("a PERMIT is followed", ok)
print("# followed a PERMIT in %.2f s" % (time.monotonic() - t))
rv.saf("PERMIT EZB.PORTACCESS.%s.%s.FTPDATA CLASS(SERVAUTH) ID(MALLORY) DELETE" % (rv.SYSNAME, STACK))
rv.check("and so is its withdrawal", rv.until(lambda: tries("tcp", 2020, uid=rv.MALLORY_UID) == "EACCES", 10))

print("# unreserved ports")
rv.check("UDP is asked at bind", tries("udp", 5000, uid=rv.MALLORY_UID) == "EACCES")
rv.check("port 0 is never asked", tries("udp", 0, uid=rv.MALLORY_UID) == "OK 0.0.0.0" and tries("tcp", 0, "bind listen", uid=rv.MALLORY_UID) == "OK 0.0.0.0")
rv.check("WHENLISTEN: the bind passes", tries("tcp", 5001, uid=rv.MALLORY_UID) == "OK 0.0.0.0")
rv.check("WHENLISTEN: an unpermitted listener is ended", tries("tcp", 5001, "bind listen", uid=rv.MALLORY_UID) in ("ENDED", "EINVAL"))
rv.check("in IPv6 too", tries("tcp", 5001, "bind listen", uid=rv.MALLORY_UID, family="6") in ("ENDED", "EINVAL"))
rv.permit("EZB.PORTACCESS.{sysname}.%s.GENERIC" % STACK, "MALLORY")
rv.check("WHENLISTEN: a permitted one stays", rv.until(lambda: tries("tcp", 5001, "bind listen", uid=rv.MALLORY_UID) == "OK 0.0.0.0", 10))
rv.permit("RAVELIN.STACK.{sysname}.%s.PORTCHECK" % STACK, "IBMUSER")
print("# the launcher")
rv.check("portrun: an unpermitted listen is EACCES", runs("tcp", 5003, "bind listen", uid=rv.ALICE_UID) == "EACCES")
rv.check("portrun: in IPv6 too", runs("tcp", 5003, "bind listen", uid=rv.ALICE_UID, family="6") == "EACCES")
rv.check("portrun: a permitted one listens and stays", runs("tcp", 5003, "bind listen", uid=rv.MALLORY_UID) == "OK 0.0.0.0")
rv.check("portrun: a reserved port was asked at bind", runs("tcp", 2021, "bind listen", unit="web.service") == "OK 0.0.0.0" and
         runs("tcp", 2021, "bind listen") == "EACCES")
rv.check("portrun: an ephemeral port is never asked", runs("tcp", 0, "bind listen", uid=rv.ALICE_UID) == "OK 0.0.0.0" and
         runs("tcp", 0, "nobind listen", uid=rv.ALICE_UID) == "OK 0.0.0.0")
rv.check("portrun: no such program is said", "No such file" in rv.run("ravelin-portrun", "--stack", STACK, "/nonexistent").stderr)
rv.check("a listen without a bind is an ephemeral port, never asked", tries("tcp", 0, "nobind listen", uid=rv.ALICE_UID) == "OK 0.0.0.0")
rv.check("a new profile is taken up", reload(BIND))
rv.check("WHENBIND: refused at bind", tries("tcp", 5002, uid=rv.MALLORY_UID) == "EACCES")
rv.check("WHENBIND: the job that is named binds", tries("tcp", 5002, unit="web.service", uid=rv.MALLORY_UID) == "OK 0.0.0.0")
rv.check("UDP has no UNRSV entry any more: free", tries("udp", 5000, uid=rv.ALICE_UID) == "OK 0.0.0.0")
rv.check("reserved ports are as before", tries("tcp", 2021) == "EACCES")
profile("PORT UNRSV UDP * WHENLISTEN")
stack.reload()
rv.check("a bad profile is refused", rv.until(lambda: "UDP has no listen" in stack.output(), 10))
rv.check("and the old one stays in force", tries("tcp", 5002, uid=rv.MALLORY_UID) == "EACCES")

print("# the stack goes away")
stack.kill()
rv.check("portrun: without the stack listen fails", runs("tcp", 5003, "bind listen", uid=rv.MALLORY_UID) == "EACCES")
rv.check("killed: nothing opens", tries("tcp", 2021) == "EACCES" and tries("tcp", 2020, uid=rv.ALICE_UID) == "OK 0.0.0.0")
profile(LISTEN)
stack.start()
rv.check("started again with another profile: that one", rv.until(lambda: tries("tcp", 5002) == "OK 0.0.0.0", 10) and tries("tcp", 2021) == "EACCES")
out = rv.run("stackctl", "-p", STACK, "ports").stdout
rv.check("stackctl ports shows netstat -o's table", all(w in out for w in ("2080", "UNRSV", "3000-3099", "FTPDATA", "RESERVED", "127.0.0.5", "Enforced")), out)
rv.check("stackctl ports needs SAF", rv.run("stackctl", "-p", STACK, "ports", uid=rv.MALLORY_UID).returncode == 3)
rv.check("the audit trail is whole", rv.run("auditctl", "verify", rv.path("var/log/ravelin/stack-core@%s.audit" % STACK)).returncode == 0)
spent = [int(tries("tcp", 2085 + i, "nobind time")) for i in range(3)]
stack.stop()
rv.check("detaching is explicit", guard("detach", STACK).returncode == 0 and tries("tcp", 2021) == "OK 0.0.0.0")
bare = [int(tries("tcp", 2085 + i, "nobind time")) for i in range(3)]
cost = sorted(spent)[1] - sorted(bare)[1]
print("# a bind: %d ns with, %d ns without, decision %d ns" % (sorted(spent)[1], sorted(bare)[1], cost))
rv.check("the decision costs microseconds, not a round trip", cost < 20000, str(cost))
rv.finish()
