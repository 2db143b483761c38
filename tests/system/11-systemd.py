#!/usr/bin/python3
"""The units under a real systemd: an overlay of this machine's / with Ravelin installed is booted in namespaces of its own.

Nothing of it reaches the machine: the overlay's upper side is a tmpfs, the network is empty, and systemd is process 1 of its own
process namespace, so that ending it ends everything in it."""
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import rv

MASKED = ("systemd-logind console-getty getty@tty1 systemd-networkd systemd-resolved systemd-timesyncd systemd-udevd docker containerd ssh "
          "rpcbind cron apparmor networking e2scrub_reap strongswan-starter strongswan ipsec postfix nginx apache2 mysql postgresql redis-server "
          "systemd-binfmt systemd-modules-load fail2ban crowdsec crowdsec-firewall-bouncer").split()
TIMERS = "apt-daily apt-daily-upgrade dpkg-db-backup e2scrub_all fstrim man-db logrotate".split()

AUDIT = "stack-core-audit@TEST.service"
RESTARTS, PAUSE_MS, BUSY_MS = 9, 100, 2000  # the machine boots with the debug build, which is not quicker than what is installed

BOOT = r"""
set -e
mount --make-rprivate /
cd "$1"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 dev dev
mkdir -p dev/pts dev/shm dev/net
mknod -m 666 dev/null c 1 3; mknod -m 666 dev/zero c 1 5; mknod -m 666 dev/full c 1 7
mknod -m 666 dev/random c 1 8; mknod -m 666 dev/urandom c 1 9; mknod -m 666 dev/tty c 5 0
mknod -m 666 dev/net/tun c 10 200
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs -o mode=755 run run
mount -t tmpfs -o mode=1777 tmp tmp
mkdir -p run/old
pivot_root . run/old
cd /
umount -l run/old
exec env -i container=ravelin-test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --log-target=null
"""

PROFILE = """IPCONFIG IPSECURITY
IPCONFIG6 IPSECURITY
INTERFACE WIRE DEFINE AFPACKET DEVICE wire0 IPADDR 192.0.2.1/24
INTERFACE HOST DEFINE TUN DEVICE tun0 IPADDR 10.1.0.1/24
IPSEC
  IPSECRULE * * NOLOG PROTO ICMP
ENDIPSEC
WORKERS 1
"""
SAF = """ADDUSER ALICE OMVS(UID(20001))
RDEFINE SERVAUTH EZB.IPSECCMD.** UACC(NONE)
PERMIT EZB.IPSECCMD.** CLASS(SERVAUTH) ID(ALICE IBMUSER) ACCESS(READ)
RDEFINE SERVAUTH EZB.NETSTAT.** UACC(NONE)
PERMIT EZB.NETSTAT.** CLASS(SERVAUTH) ID(IBMUSER) ACCESS(READ)
"""


class Machine:
    def __init__(self):
        self.top = tempfile.mkdtemp(prefix="rvsd", dir="/tmp")
        rv.at_end(lambda: shutil.rmtree(self.top, ignore_errors=True))
        rv.must("mount", "-t", "tmpfs", "-o", "size=512m,mode=755", "rv-systemd", self.top)
        rv.at_end(lambda: subprocess.run(["umount", "-l", self.top]))
        for d in ("upper", "work", "root"):
            os.mkdir(os.path.join(self.top, d))
        self.root = os.path.join(self.top, "root")
        rv.must("mount", "-t", "overlay", "overlay", "-o",
                "lowerdir=/,upperdir=%s/upper,workdir=%s/work" % (self.top, self.top), self.root)
        rv.at_end(lambda: subprocess.run(["umount", "-l", self.root]))
        self.boss = self.pid = None

    def write(self, path, text, mode=0o644):
        full = self.root + path
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w") as f:
            f.write(text)
        os.chmod(full, mode)

    def chroot(self, *argv, stdin=""):
        return subprocess.run(["chroot", self.root, *argv], input=stdin, text=True, capture_output=True,
                              env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"})

    def install(self):
        p = subprocess.run(["cmake", "--install", rv.BUILD, "--prefix", "/usr"], capture_output=True, text=True,
                           env=dict(os.environ, DESTDIR=self.root))
        rv.check("installed as a package does", p.returncode == 0, p.stderr)
        shutil.rmtree(self.root + "/var/lib/ravelin", ignore_errors=True)
        if os.path.lexists(self.root + "/usr/sbin/ipsec"):
            os.unlink(self.root + "/usr/sbin/ipsec")  # strongSwan's, where it is installed as a peer for other tests
        # The build names its own prefix where the unit starts the daemon.
        for unit in "defmgrD.service", "stack-core@.service", "rpcbindD.service":
            path = self.root + "/usr/lib/systemd/system/" + unit
            with open(path) as f:
                text = re.sub(r"(?m)^ExecStart=\S*/sbin/", "ExecStart=/usr/sbin/", f.read())
            self.write("/usr/lib/systemd/system/" + unit, text)
        for m in [m + ".service" for m in MASKED] + [t + ".timer" for t in TIMERS]:
            path = self.root + "/etc/systemd/system/" + m
            if os.path.lexists(path):
                os.unlink(path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.symlink("/dev/null", path)
        self.write("/etc/systemd/system/default.target", "[Unit]\nDescription=Test\nRequires=basic.target\nAfter=basic.target\n")
        self.write("/etc/fstab", "")
        self.write("/etc/machine-id", os.urandom(16).hex() + "\n")
        for argv in ["systemd-sysusers", "sysusers.d"], ["systemd-tmpfiles", "--create", "tmpfiles.d"]:
            p = subprocess.run(argv[:-1] + ["--root=" + self.root, "%s/usr/lib/%s/ravelin.conf" % (self.root, argv[-1])],
                               capture_output=True, text=True)
            rv.check("%s takes our file" % argv[0], p.returncode == 0, p.stderr)
        p = self.chroot("safctl", "--init")
        with open(rv.TOP + "/conf/saf/base.racf") as f:
            p = self.chroot("safctl", "-f", "-", stdin=f.read() + SAF)
        rv.check("SAF takes conf/saf/base.racf and the test's users", p.returncode == 0, p.stdout + p.stderr)
        self.write("/etc/ravelin/sysname", "TEST\n")
        self.write("/etc/ravelin/dmd.conf", "DmConfig { SyslogLevel 7 }\nDmStackConfig TEST { Mode Active }\n")
        self.write("/etc/ravelin/stacks/TEST.profile", PROFILE)
        self.write("/etc/ravelin/stacks/BAD.profile", "INTERFACE WIRE DEFINE PIGEON\n")
        gid = int(self.chroot("id", "-g", "ravelin-stack").stdout)
        for name in "TEST", "BAD":
            os.chown("%s/etc/ravelin/stacks/%s.profile" % (self.root, name), 0, gid)
        for unit in "defmgrD", "stack-core@":
            self.write("/etc/systemd/system/%s.service.d/quick.conf" % unit, "[Service]\nWatchdogSec=2\nTimeoutAbortSec=2\n")

    def boot(self):
        base = "/sys/fs/cgroup/unified" if os.path.isdir("/sys/fs/cgroup/unified") else "/sys/fs/cgroup"
        self.group = group = "%s/rv-systemd-%d" % (base, os.getpid())
        os.mkdir(group)
        rv.at_end(lambda: self.remove_group(group))

        def enter():
            with open(group + "/cgroup.procs", "w") as f:
                f.write(str(os.getpid()))

        self.boss = subprocess.Popen(["unshare", "--pid", "--mount", "--cgroup", "--uts", "--ipc", "--net", "--fork", "--kill-child",
                                      "bash", "-c", BOOT, "boot", self.root], preexec_fn=enter, stdin=subprocess.DEVNULL,
                                     stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        rv.at_end(self.end)
        self.pid = rv.until(self.child, 5)
        if not self.pid:
            return False
        return rv.until(lambda: self.sh("systemctl is-system-running").stdout.strip() in ("running", "degraded"), 30, 0.2)

    def child(self):
        try:
            with open("/proc/%d/task/%d/children" % (self.boss.pid, self.boss.pid)) as f:
                pids = f.read().split()
            if pids and os.path.realpath("/proc/%s/exe" % pids[0]).endswith("/systemd"):
                return int(pids[0])
        except OSError:
            pass
        return None

    def argv(self, *argv):
        return ["nsenter", "-t", str(self.pid), "-m", "-u", "-i", "-n", "-p", "-C", "--root=/proc/%d/root" % self.pid, "--wd=/", *argv]

    def sh(self, text, timeout=30):
        return subprocess.run(self.argv("env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "SYSTEMD_PAGER=", "bash", "-c", text),
                              capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL, cwd="/")

    def show(self, unit, name):
        return self.sh("systemctl show -P %s %s" % (name, unit)).stdout.strip()

    def work(self):
        """Milliseconds of CPU time that everything in the machine has had."""
        with open(self.group + "/cpu.stat") as f:
            return int(re.search(r"usage_usec (\d+)", f.read())[1]) / 1000

    def journal(self, unit):
        return self.sh("systemctl status --no-pager -n 30 %s; journalctl --no-pager -n 40 -u %s" % (unit, unit)).stdout

    def end(self):
        if self.boss.poll() is None and self.pid:
            os.kill(self.pid, signal.SIGRTMIN + 4)
            try:
                self.boss.wait(10)
            except subprocess.TimeoutExpired:
                pass
        if self.boss.poll() is None:
            self.boss.kill()
            self.boss.wait()

    @staticmethod
    def remove_group(group):
        for where, _, _ in os.walk(group, topdown=False):
            rv.until(lambda w=where: not os.path.isdir(w) or rmdir(w), 3, 0.1)


def rmdir(path):
    try:
        os.rmdir(path)
        return True
    except OSError:
        return False


def started(m):
    m.sh("ip link add wire0 type veth peer name wire1; ip link set wire1 up")
    for unit, user, caps in (("defmgrD", "ravelin-defmgr", 0), ("stack-core@TEST", "ravelin-stack", 0x3000)):
        p = m.sh("systemctl start " + unit)
        if not rv.check("%s starts and says READY=1" % unit, p.returncode == 0, p.stderr + m.journal(unit)):
            continue
        rv.check("%s is active" % unit, m.show(unit, "ActiveState") == "active")
        rv.check("%s tells a status" % unit, m.show(unit, "StatusText") != "")
        pid = m.show(unit, "MainPID")
        status = dict(l.split(":\t", 1) for l in m.sh("cat /proc/%s/status" % pid).stdout.splitlines() if ":\t" in l)
        uid = m.sh("id -u " + user).stdout.strip()
        rv.check("%s runs as %s" % (unit, user), set(status["Uid"].split()) == {uid}, status["Uid"])
        rv.check("%s keeps capabilities %x and can gain none" % (unit, caps), all(int(status[k], 16) == caps for k in ("CapEff", "CapPrm", "CapBnd")),
                 [status[k] for k in ("CapEff", "CapPrm", "CapBnd")])
        rv.check("%s has no new privileges and a system call filter" % unit, status["NoNewPrivs"] == "1" and status["Seccomp"] == "2")
        where = m.sh("stat -c %U:%a /run/ravelin/" + unit).stdout.strip()
        rv.check("%s owns its bus directory" % unit, where == user + ":755", where)


def protected(m):
    """What a stack owns, the host's kernel must not answer for."""
    want = {"ipv4/conf/wire0/rp_filter": "1", "ipv4/conf/wire0/arp_ignore": "8", "ipv6/conf/wire0/disable_ipv6": "1"}
    got = {k: m.sh("cat /proc/sys/net/" + k).stdout.strip() for k in want}
    rv.check("the host's kernel is told to leave the stack's device alone", got == want, str(got) + m.journal("stack-core@TEST"))
    rv.check("the TUN has the stack's address", "10.1.0.1/24" in m.sh("ip -br addr show tun0").stdout)


def works(m):
    p = rv.until(lambda: (lambda r: r if '"installed":true' in r.stdout.replace(" ", "") else None)(m.sh("defmgrctl --json stacks")), 10)
    rv.check("defmgrD found the stack", p is not None, m.sh("defmgrctl --json stacks; defmgrctl stacks 2>&1").stdout + m.journal("defmgrD"))
    alice = "setpriv --reuid=20001 --regid=20001 --clear-groups "
    p = m.sh(alice + "ipsec -F add srcip 198.51.100.7 -N intruder")
    rv.check("a permitted user adds a defensive filter", p.returncode == 0, p.stderr)
    p = m.sh("setpriv --reuid=20002 --regid=20002 --clear-groups ipsec -F add srcip 198.51.100.8 -N other")
    rv.check("another is refused", p.returncode == 3, p.stdout + p.stderr)
    rv.check("the stack has the filter", rv.until(lambda: "intruder" in m.sh("stackctl -p TEST defences").stdout, 5),
             m.sh("stackctl -p TEST defences 2>&1").stdout)


def restarts(m):
    for unit in "defmgrD", "stack-core@TEST":
        pid = m.show(unit, "MainPID")
        if not rv.check("%s has a main process" % unit, pid != "0"):
            continue
        m.sh("kill -KILL " + pid)
        back = rv.until(lambda: m.show(unit, "ActiveState") == "active" and m.show(unit, "MainPID") not in ("0", pid), 10, 0.1)
        rv.check("%s is started again after kill -9" % unit, back and m.show(unit, "NRestarts") == "1", m.journal(unit))
    rv.check("the filter outlived both", rv.until(lambda: "intruder" in m.sh("stackctl -p TEST defences").stdout, 10, 0.2),
             m.sh("stackctl -p TEST defences 2>&1; defmgrctl stacks 2>&1").stdout)
    for unit in "defmgrD", "stack-core@TEST":
        pid = m.show(unit, "MainPID")
        if pid == "0":
            continue
        m.sh("kill -STOP " + pid)
        back = rv.until(lambda: m.show(unit, "ActiveState") == "active" and m.show(unit, "MainPID") not in ("0", pid), 15, 0.2)
        rv.check("%s that hangs is found by the watchdog and started again" % unit, back and m.show(unit, "NRestarts") == "2",
                 m.journal(unit))


def busy():
    """Does other work share the machine?"""
    with open("/proc/loadavg") as f:
        return float(f.read().split()[0]) > 0.75 * os.cpu_count()


def pauses(m):
    """From the last packet of the old run to the first of the new one, systemd's part in between, in medians of RESTARTS. Where the machine
    has other work, too, the pause takes as long as that lets it: then the work is measured of which the pause is a part. It is the same
    on a busy machine, and as little of it as is allowed here fits into the pause."""
    was, once = busy(), m.show(AUDIT, "ExecMainStartTimestampMonotonic")
    took, work = [], []
    for _ in range(RESTARTS):
        m.sh("systemctl reset-failed stack-core@TEST")
        before, began = m.work(), time.monotonic()
        m.sh("systemctl restart stack-core@TEST")
        work.append(m.work() - before)
        took.append(1000 * (time.monotonic() - began))
        time.sleep(0.2)
    text = m.sh("journalctl --no-pager -u stack-core@TEST").stdout
    said = [int(n) for n in re.findall(r"took over from the last run.*?pause_ms=(\d+)", text)][-RESTARTS:]
    what = "%s ms, of restarts that took %.0f ms and %.0f ms of CPU time" % (said, statistics.median(took), statistics.median(work))
    limit = PAUSE_MS if not (was or busy()) else BUSY_MS
    rv.check("each of %d runs took over from the one before" % RESTARTS, len(said) == RESTARTS, text)
    rv.check("the median of the pauses is less than %d ms: %s" % (limit, what), said and statistics.median(said) < limit)
    rv.check("and all the work of a restart is less than %d ms" % PAUSE_MS, statistics.median(work) < PAUSE_MS, work)
    rv.check("nothing is started before a stack but once", m.show(AUDIT, "ExecMainStartTimestampMonotonic") == once != "0" and
             m.show("stack-core@TEST", "ExecStartPre") == "")
    print("takeover.pause\t%d\tms\twork\t%.0f\t-" % (statistics.median(said or [0]), statistics.median(work)), flush=True)


def takes_over(m):
    """systemctl restart of a stack: its TUN stays, and its defensive filters are there at once."""
    if not rv.check("the stack can be restarted", m.sh("systemctl reset-failed; systemctl restart stack-core@TEST").returncode == 0,
                    m.journal("stack-core@TEST")):
        return
    index = m.sh("cat /sys/class/net/tun0/ifindex").stdout
    p = m.sh("systemctl restart stack-core@TEST")
    rv.check("systemctl restart", p.returncode == 0, p.stderr + m.journal("stack-core@TEST"))
    rv.check("kept the TUN device", m.sh("cat /sys/class/net/tun0/ifindex").stdout == index != "", m.journal("stack-core@TEST"))
    pauses(m)
    m.sh("systemctl stop stack-core@TEST")
    rv.check("the next start looks for the audit trail again", m.show(AUDIT, "ActiveState") == "inactive", m.show(AUDIT, "ActiveState"))
    rv.check("systemctl stop lets the device go", rv.until(lambda: m.sh("ip link show tun0").returncode != 0, 5))
    m.sh("systemctl start stack-core@TEST")


def reloads(m):
    pid = m.show("defmgrD", "MainPID")
    m.sh("echo 'DmConfig { Nonsense 1 }' >/etc/ravelin/dmd.conf; systemctl reload defmgrD")
    said = rv.until(lambda: re.search(r"dmd\.conf:1:\d+", m.journal("defmgrD")), 5, 0.2)
    rv.check("a bad file at reload is named with its line", said, m.journal("defmgrD"))
    rv.check("and defmgrD goes on with the old one", m.show("defmgrD", "MainPID") == pid and
             "intruder" in m.sh("ipsec -F display -p TEST").stdout, m.sh("ipsec -F display -p TEST 2>&1").stdout)
    m.sh("systemctl start stack-core@BAD")
    rv.check("a stack with a bad profile ends with 78 and is not tried again", rv.until(lambda: m.show("stack-core@BAD", "ExecMainStatus") == "78", 5)
             and m.show("stack-core@BAD", "NRestarts") == "0", m.journal("stack-core@BAD"))


def stops(m):
    for unit in "stack-core@TEST", "defmgrD":
        m.sh("systemctl stop " + unit)
        rv.check("%s stops in order" % unit, m.show(unit, "ActiveState") == "inactive" and m.show(unit, "Result") == "success" and
                 m.show(unit, "ExecMainStatus") == "0", m.journal(unit))


CALLIT = r"""
import socket, struct
u = lambda *v: b"".join(struct.pack(">I", x) for x in v)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(10)
s.sendto(u(7, 0, 2, 100000, 4, 10, 0, 0, 0, 0, 100005, 3, 0, 0), ("127.0.0.1", 111))
print(s.recv(1000).hex())
"""


def registry(m):
    """rpcbindD in the place of rpcbind: the names others ask for, socket activation, warm start, and a worker under the unit's filter."""
    m.write("/etc/ravelin/rpcbind.conf", "RpcbindConfig { RemoteCalls yes }\n")
    m.sh("rm -f /etc/systemd/system/rpcbind.service; systemctl daemon-reload")
    p = m.sh("systemctl enable rpcbindD")
    rv.check("rpcbindD is enabled", p.returncode == 0, p.stderr)
    p = m.sh("systemctl start rpcbind.socket")
    rv.check("rpcbind.socket is rpcbindD's, as nfs-utils asks for it", p.returncode == 0 and m.show("rpcbind.socket", "Id") == "rpcbindD.socket" and
             m.show("rpcbindD", "ActiveState") == "inactive", p.stderr + m.show("rpcbind.socket", "Id"))
    p = m.sh("ip link set lo up; rpcinfo -p")
    rv.check("the first question starts the daemon", p.returncode == 0 and "portmapper" in p.stdout and
             m.show("rpcbindD", "ActiveState") == "active", p.stdout + p.stderr + m.journal("rpcbindD"))
    pid = m.show("rpcbindD", "MainPID")
    status = dict(l.split(":\t", 1) for l in m.sh("cat /proc/%s/status" % pid).stdout.splitlines() if ":\t" in l)
    rv.check("it runs as ravelin-rpcbind without a capability", set(status["Uid"].split()) == {m.sh("id -u ravelin-rpcbind").stdout.strip()} and
             all(int(status[k], 16) == 0 for k in ("CapEff", "CapPrm", "CapBnd", "CapAmb")), status)
    for how in "-T udp 127.0.0.1", "-T tcp 127.0.0.1", "-T udp6 ::1", "-T tcp6 ::1":
        p = m.sh("rpcinfo %s 100000 4" % how)
        rv.check("it answers rpcinfo %s" % how, p.returncode == 0, p.stdout + p.stderr)
    m.sh("systemd-run --unit=mountd --collect rpc.mountd -F -p 20048")
    there = "rpcinfo -s | grep -q mountd"
    rv.check("mountd registers", rv.until(lambda: m.sh(there).returncode == 0, 10, 0.2), m.journal("mountd") + m.journal("rpcbindD"))
    p = m.sh("/usr/bin/python3 -c '%s'" % CALLIT)
    rv.check("a worker calls mountd for a client", p.stdout.startswith("00000007" + "00000001" + "00000000" * 4), p.stdout + p.stderr + m.journal("rpcbindD"))
    m.sh("kill -KILL " + pid)
    p = m.sh(there)
    rv.check("killed and asked at once: systemd holds the sockets, the registrations are there", p.returncode == 0 and
             m.show("rpcbindD", "MainPID") not in ("0", pid), p.stderr + m.journal("rpcbindD"))
    m.sh("systemctl stop rpcbindD rpcbindD.socket; systemctl kill -s KILL mountd")
    rv.check("rpcbindD stops in order", m.show("rpcbindD", "Result") == "success" and m.show("rpcbindD", "ExecMainStatus") == "0", m.journal("rpcbindD"))
    m.sh("systemctl start rpcbindD")
    p = m.sh("rpcinfo -s")
    rv.check("a server that is gone is not registered after a warm start", p.returncode == 0 and "portmapper" in p.stdout and "mountd" not in p.stdout,
             p.stdout + p.stderr)
    m.sh("systemctl stop rpcbindD rpcbindD.socket")


def main():
    m = Machine()
    m.install()
    if rv.check("systemd boots", m.boot(), m.boss.stderr.read() if m.boss.poll() is not None else
                m.sh("systemctl --no-pager list-jobs; systemctl --no-pager --failed").stdout if m.pid else ""):
        for part in started, protected, works, restarts, takes_over, reloads, stops, registry:
            part(m)
    return rv.finish()


if os.geteuid() != 0:
    sys.exit("11-systemd: must run as root")
sys.exit(main())
