"""What system tests, the demo and benchmarks share: a private ROOT, namespaces, daemons, commands, bus calls.

Everything made here is undone at the end of the program, also when a signal ends it: processes first, then
namespaces, then the ROOT. A test is a straight script:

    import rv
    rv.saf("ADDUSER ALICE OMVS(UID(20001))")
    d = rv.Daemon("defmgrD", conf={"dmd.conf": "..."})
    rv.check("alice is refused", rv.run("ipsec", "-F", "display", uid=20001).returncode == 3)
    sys.exit(rv.finish())
"""
import atexit
import contextlib
import os
import re
import select
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("RAVELIN_BUILD") or os.path.join(TOP, "build", "debug")
SYSNAME = "TEST"
# Users without an account: what counts is the uid. 20000 up is free on Debian.
DEFMGRD_UID, STACKCOR_UID, ALICE_UID, MALLORY_UID = 20010, 20011, 20001, 20002

_tally = {"passed": 0, "failed": 0}
_undo = []
_roots = {}   # by system; "" is the only one that most tests know
_system = ""


# --- results ---

def check(name, condition, detail=""):
    _tally["passed" if condition else "failed"] += 1
    text = str(detail).strip()
    print("%sok - %s%s" % ("" if condition else "not ", name, "" if condition or not text else ": " + text[-2000:]),
          flush=True)
    return bool(condition)


def finish():
    """Undoes everything now, and says how the program should end."""
    cleanup()
    return 1 if _tally["failed"] or not _tally["passed"] else 0


def until(condition, seconds=5.0, step=0.02):
    """What @condition gives as soon as it is true; its last value at the deadline."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(step)


# --- cleanup ---

def at_end(fn):
    _undo.append(fn)


def cleanup():
    while _undo:
        try:
            _undo.pop()()
        except Exception as e:  # the rest must still be undone
            print("cleanup: %s" % e, file=sys.stderr)


def _on_signal(signo, _frame):
    sys.exit(128 + signo)


atexit.register(cleanup)
signal.signal(signal.SIGTERM, _on_signal)
signal.signal(signal.SIGINT, _on_signal)
signal.signal(signal.SIGHUP, _on_signal)


# --- ROOT ---

def root():
    """The private prefix. Short, as socket paths hold 107 characters; 0755, as other uids must reach the sockets."""
    if _system not in _roots:
        made = _roots[_system] = tempfile.mkdtemp(prefix="rv", dir="/tmp")
        os.chmod(made, 0o755)
        for d in ("run/ravelin", "etc/ravelin/stacks", "var/lib/ravelin", "var/log/ravelin"):
            os.makedirs(os.path.join(made, d), mode=0o755)
        with open(os.path.join(made, "etc/ravelin/sysname"), "w") as f:
            f.write(SYSNAME + "\n")
        at_end(lambda: shutil.rmtree(made, ignore_errors=True))
    return _roots[_system]


@contextlib.contextmanager
def system(name):
    """What is done inside is done on another computer: with a ROOT, a registry and a bus of its own."""
    global _system
    before, _system = _system, name
    try:
        yield
    finally:
        _system = before


def path(*parts):
    return os.path.join(root(), *parts)


def write(name, text):
    """A configuration file: @name under ROOT/etc/ravelin."""
    full = path("etc/ravelin", name)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "w") as f:
        f.write(text)
    return full


def environment():
    env = {k: v for k, v in os.environ.items() if not k.startswith(("RAVELIN_", "NOTIFY_", "WATCHDOG_", "LISTEN_"))}
    env.update(RAVELIN_ROOT=root(), RAVELIN_SYSNAME=SYSNAME, LC_ALL="C.UTF-8")
    return env


def public(name):
    """A copy of the program that any uid can start: a checkout may lie in a directory that only root enters."""
    source = program(name)
    copy = path("bin", os.path.basename(name))
    if os.path.dirname(source) and not os.path.exists(copy):
        os.makedirs(path("bin"), mode=0o755, exist_ok=True)
        shutil.copy(source, copy)
        os.chmod(copy, 0o755)
        signer = os.path.join(BUILD, "lib/keyring/ravelin-signer")  # daemons look for it beside themselves
        if os.path.exists(signer) and not os.path.exists(path("bin/ravelin-signer")):
            shutil.copy(signer, path("bin/ravelin-signer"))
            os.chmod(path("bin/ravelin-signer"), 0o755)
    return copy if os.path.exists(copy) else source


def program(name):
    for where in ("daemons/" + name, "daemons/stack-core/port", "cli", "tests/bench", "cli/" + name):
        full = os.path.join(BUILD, where, name)
        if os.path.isfile(full) and os.access(full, os.X_OK):
            return full
    return name


# --- commands ---

def as_uid(uid):
    return ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups"] if uid else []


def in_ns(ns):
    return ["ip", "netns", "exec", ns] if ns else []


def run(name, *args, uid=0, ns=None, stdin=None, timeout=30, env=None):
    """One of our programs or any other; both outputs as text."""
    argv = in_ns(ns) + as_uid(uid) + [public(name) if uid else program(name)] + [str(a) for a in args]
    try:
        return subprocess.run(argv, input=stdin if stdin is not None else "", capture_output=True, text=True,
                              errors="replace", timeout=timeout, env=dict(environment(), **(env or {})))
    except subprocess.TimeoutExpired as e:
        return subprocess.CompletedProcess(argv, 124, (e.stdout or b"").decode(errors="replace"),
                                           (e.stderr or b"").decode(errors="replace") + "\ntimed out")


def scapy(ns, program):
    """Runs @program, which has scapy's names, and gives what it prints."""
    p = run("/usr/bin/python3", "-c", "from scapy.all import *\nconf.verb = 0\n" + program, ns=ns, timeout=60)
    return p.stdout + p.stderr


def must(*argv, ns=None):
    p = subprocess.run(in_ns(ns) + list(argv), capture_output=True, text=True, timeout=30)
    if p.returncode:
        raise RuntimeError("%s: %s" % (" ".join(argv), p.stderr.strip() or p.stdout.strip()))
    return p.stdout


def saf(text):
    """RACF commands, one a line, as the owner of the registry."""
    if not os.path.exists(path("var/lib/ravelin/saf/snapshot")):
        run("safctl", "--init")
    p = run("safctl", "-", stdin=text.strip() + "\n")
    if p.returncode:
        raise RuntimeError("safctl: %s%s" % (p.stdout, p.stderr))
    return p.stdout


def saf_base(stacks=()):
    """Registry with the daemons as users, and the profiles that let them work with each other."""
    lines = ["ADDUSER DEFMGRD OMVS(UID(%d))" % DEFMGRD_UID, "ADDUSER STACKCOR OMVS(UID(%d))" % STACKCOR_UID,
             "ADDUSER ALICE OMVS(UID(%d))" % ALICE_UID, "ADDUSER MALLORY OMVS(UID(%d))" % MALLORY_UID,
             "SETROPTS CLASSACT(SERVAUTH) GENERIC(SERVAUTH)"]
    for s in stacks:
        name = "RAVELIN.STACK.%s.%s.DEFEND" % (SYSNAME, s)
        lines += ["RDEFINE SERVAUTH %s UACC(NONE)" % name, "PERMIT %s CLASS(SERVAUTH) ID(DEFMGRD) ACCESS(READ)" % name]
        name = "EZB.NETMGMT.%s.%s.EVENTS" % (SYSNAME, s)
        lines += ["RDEFINE SERVAUTH %s UACC(NONE)" % name, "PERMIT %s CLASS(SERVAUTH) ID(DEFMGRD) ACCESS(READ)" % name]
    return saf("\n".join(lines))


def permit(resource, who, level="READ"):
    resource = resource.replace("{sysname}", SYSNAME)
    run("safctl", "RDEFINE", "SERVAUTH", resource, "UACC(NONE)")  # may exist
    return saf("PERMIT %s CLASS(SERVAUTH) ID(%s) ACCESS(%s)" % (resource, who, level))


# --- namespaces ---

class Net:
    """Namespaces of its own: names carry the process id, so that runs side by side do not meet."""

    def __init__(self, tag="rv"):
        self.tag = "%s%d" % (tag, os.getpid() % 100000)

    def ns(self, name):
        full = "%s-%s" % (self.tag, name)
        must("ip", "netns", "add", full)
        at_end(lambda: subprocess.run(["ip", "netns", "del", full], capture_output=True))
        must("ip", "link", "set", "lo", "up", ns=full)
        must("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0", "net.ipv6.conf.all.accept_dad=0", ns=full)
        return full

    @staticmethod
    def veth(ns_a, dev_a, ns_b, dev_b, mtu=1500, offloads=True):
        must("ip", "link", "add", dev_a, "netns", ns_a, "mtu", str(mtu), "type", "veth", "peer", "name", dev_b,
             "netns", ns_b, "mtu", str(mtu))
        for ns, dev in ((ns_a, dev_a), (ns_b, dev_b)):
            if not offloads:
                must("ethtool", "-K", dev, "tx", "off", "rx", "off", "tso", "off", "gso", "off", "gro", "off", ns=ns)
            must("ip", "link", "set", dev, "up", ns=ns)

    @staticmethod
    def bridge(ns, name):
        must("ip", "link", "add", name, "type", "bridge", "stp_state", "0", "forward_delay", "0", ns=ns)
        must("ip", "link", "set", name, "up", ns=ns)
        return name

    @staticmethod
    def addr(ns, dev, *addrs):
        for a in addrs:
            must("ip", "addr", "add", a, "dev", dev, *(["nodad"] if ":" in a else []), ns=ns)

    @staticmethod
    def route(ns, dest, via=None, dev=None):
        must("ip", "route", "replace", dest, *(["via", via] if via else []), *(["dev", dev] if dev else []), ns=ns)


# --- processes and daemons ---

class Process:
    """A program in the background with its output in a file; ended with this program."""

    def __init__(self, argv, ns=None, uid=0, env=None, name=None):
        self.argv = in_ns(ns) + as_uid(uid) + [str(a) for a in argv]
        self.env = dict(environment(), **(env or {}))
        self.log = path("%s.%d.out" % (name or os.path.basename(argv[0]), len(_undo)))
        self.p = None
        at_end(self.kill)

    def start(self):
        with open(self.log, "ab") as out:
            self.p = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                      env=self.env)
        return self

    def output(self):
        try:
            with open(self.log, errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def running(self):
        return self.p is not None and self.p.poll() is None

    def signal(self, signo):
        if self.running():
            self.p.send_signal(signo)

    def wait(self, seconds=10):
        try:
            return self.p.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def kill(self):
        if self.running():
            self.p.kill()
            self.p.wait()

    def stop(self, seconds=10):
        """SIGTERM; the exit status, None when it had to be killed."""
        self.signal(signal.SIGTERM)
        rc = self.wait(seconds) if self.p else None
        self.kill()
        return rc


class Daemon(Process):
    """A daemon of the build under our ROOT, ready when this returns (READY=1 as systemd would hear it)."""

    def __init__(self, name, instance=None, ns=None, uid=0, caps=(), args=(), start=True, env=None):
        self.name = name + ("@" + instance if instance else "")
        argv = [public(name) if uid else program(name), "--root", root(), *args] + ([instance] if instance else [])
        super().__init__(argv, ns=ns, uid=0, env=env, name=self.name)
        if uid:
            keep = ",".join("+" + c for c in caps)
            self.argv = in_ns(ns) + (self.tun() if ns else []) + as_uid(uid) + (
                ["--inh-caps", keep, "--ambient-caps", keep] if caps else []) + argv
            self.places(uid)
        if start:
            self.start()

    @staticmethod
    def tun():
        """/dev/net/tun with the mode that udev gives it (0666), also where no udev runs: only in the namespace's mounts."""
        node = path("tun")
        if not os.path.exists(node):
            os.mknod(node, 0o666 | stat.S_IFCHR, os.makedev(10, 200))
            os.chmod(node, 0o666)
        return ["sh", "-c", 'mount --bind "$0" /dev/net/tun && exec "$@"', node]

    def places(self, uid):
        """What the unit makes on a real system."""
        for f in (self.name + ".audit", self.name + ".audit.head"):
            with open(path("var/log/ravelin", f), "a"):
                pass
            os.chown(path("var/log/ravelin", f), uid, uid)
        for d, mode in (("run/ravelin/" + self.name, 0o755), ("var/lib/ravelin/" + self.name, 0o700)):
            os.makedirs(path(d), mode=mode, exist_ok=True)
            os.chown(path(d), uid, uid)

    def start(self, seconds=15):
        """Raises when it does not get ready, with what it said."""
        notify = path("notify.%d" % os.getpid())
        if os.path.exists(notify):
            os.unlink(notify)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.bind(notify)
            os.chmod(notify, 0o666)
            self.env["NOTIFY_SOCKET"] = notify
            super().start()
            end = time.monotonic() + seconds
            while time.monotonic() < end and self.running():
                if select.select([s], [], [], 0.05)[0] and b"READY=1" in s.recv(4096):
                    return self
        raise RuntimeError("%s did not get ready (status %s):\n%s" % (self.name, self.p.poll(), self.output()[-3000:]))

    def restart(self):
        self.stop()
        return self.start()

    def reload(self):
        self.signal(signal.SIGHUP)


# --- the bus, from Python ---

def protos():
    """proto/*.proto as Python modules, made in the ROOT: returns a namespace with .common, .defmgr, .stack ..."""
    where = path("py")
    if not os.path.isdir(where):
        os.makedirs(where)
        src = os.path.join(TOP, "proto")
        files = [os.path.join(src, f) for f in sorted(os.listdir(src)) if f.endswith(".proto")]
        must("protoc", "--proto_path=" + TOP, "--python_out=" + where, *files)
    if where not in sys.path:
        sys.path.insert(0, where)
    import importlib
    names = [f[:-7] for f in os.listdir(os.path.join(where, "proto")) if f.endswith("_pb2.py")]
    return type("Protos", (), {n: importlib.import_module("proto.%s_pb2" % n) for n in names})


class Client:
    """Calls on one daemon's rpc socket; the caller is the uid that connected, here root."""

    def __init__(self, daemon):
        import zmq
        self.common = protos().common
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.connect("ipc://" + path("run/ravelin", daemon, "rpc"))
        self.id = 0

    def call(self, method, request, reply, timeout=5.0):
        """(code, text, reply); code None when no answer came in time."""
        self.id += 1
        cid = struct.pack(">Q", self.id)
        self.socket.send_multipart([method.encode(), cid, request.SerializeToString()])
        end = time.monotonic() + timeout
        while self.socket.poll(max(0, int(1000 * (end - time.monotonic())))):
            frames = self.socket.recv_multipart()
            if frames[0] != cid:
                continue
            status = self.common.Status.FromString(frames[1])
            return status.code, status.text, reply.FromString(frames[2]) if len(frames) > 2 else None
        return None, "no answer", None

    def close(self):
        self.socket.close()


class Subscriber:
    def __init__(self, daemon, *topics):
        import zmq
        self.common = protos().common
        self.socket = zmq.Context.instance().socket(zmq.SUB)
        self.socket.setsockopt(zmq.LINGER, 0)
        for t in topics or ("",):
            self.socket.setsockopt(zmq.SUBSCRIBE, t.encode())
        self.socket.connect("ipc://" + path("run/ravelin", daemon, "events"))

    def next(self, timeout=5.0):
        """(topic, header, body bytes) of the next event; None at the deadline."""
        if not self.socket.poll(int(1000 * timeout)):
            return None
        topic, header, body = self.socket.recv_multipart()
        return topic.decode(), self.common.EventHeader.FromString(header), body

    def wait(self, topic, timeout=5.0):
        end = time.monotonic() + timeout
        while True:
            e = self.next(max(0.0, end - time.monotonic()))
            if e is None or e[0] == topic:
                return e

    def close(self):
        self.socket.close()


def ping_rate(output):
    """(sent, received) as ping(8) sums up."""
    m = re.search(r"(\d+) packets transmitted, (\d+) received", output)
    return (int(m.group(1)), int(m.group(2))) if m else (0, 0)
