#!/usr/bin/python3
"""The Debian package: built by CPack, installed with dpkg into an overlay of /, looked at, removed, purged."""
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import rv

WANTED = """usr/sbin/stack-core usr/sbin/defmgrD usr/bin/ipsec usr/bin/safctl usr/bin/stackctl usr/bin/defmgrctl usr/bin/busmon
usr/bin/auditctl lib/systemd/system/defmgrD.service lib/systemd/system/stack-core@.service usr/lib/sysusers.d/ravelin.conf
usr/lib/tmpfiles.d/ravelin.conf usr/share/man/man8/defmgrD.8 usr/share/man/man1/ipsec.1 usr/share/ravelin/saf/base.racf
etc/fail2ban/action.d/ravelin.conf usr/sbin/ravelin-bouncer usr/share/man/man7/ravelin-bridges.7
usr/libexec/ravelin/ravelin-signer usr/share/man/man8/ravelin-signer.8""".split()


def overlay():
    top = tempfile.mkdtemp(prefix="rvdeb", dir="/tmp")
    rv.at_end(lambda: shutil.rmtree(top, ignore_errors=True))
    rv.must("mount", "-t", "tmpfs", "-o", "size=512m,mode=755", "rv-package", top)
    rv.at_end(lambda: subprocess.run(["umount", "-l", top]))
    for d in ("upper", "work", "root"):
        os.mkdir(os.path.join(top, d))
    root = os.path.join(top, "root")
    rv.must("mount", "-t", "overlay", "overlay", "-o", "lowerdir=/,upperdir=%s/upper,workdir=%s/work" % (top, top), root)
    rv.at_end(lambda: subprocess.run(["umount", "-l", root]))
    rv.must("mount", "-t", "proc", "proc", root + "/proc")
    rv.at_end(lambda: subprocess.run(["umount", "-l", root + "/proc"]))
    rv.must("mount", "-t", "tmpfs", "tmpfs", root + "/run")
    rv.at_end(lambda: subprocess.run(["umount", "-l", root + "/run"]))
    shutil.rmtree(root + "/var/lib/ravelin", ignore_errors=True)
    return root


def inside(root, *argv):
    return subprocess.run(["chroot", root, *argv], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
                          env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"})


def main():
    out = rv.path("deb")
    p = subprocess.run(["cpack", "--config", rv.BUILD + "/CPackConfig.cmake", "-B", out], cwd=rv.BUILD, capture_output=True, text=True)
    debs = [f for f in os.listdir(out) if f.endswith(".deb")] if os.path.isdir(out) else []
    if not rv.check("cpack makes one package", p.returncode == 0 and len(debs) == 1, p.stdout + p.stderr):
        return rv.finish()
    deb = os.path.join(out, debs[0])
    names = {line.split()[5].lstrip("./") for line in rv.must("dpkg-deb", "-c", deb).splitlines()}
    flat = {n.replace("usr/lib/systemd", "lib/systemd").replace(".gz", "") for n in names}
    missing = [w for w in WANTED if w not in flat]
    rv.check("everything that is to be installed is in it", not missing, missing)
    rv.check("and nothing of the tests", not [n for n in names if "fake_stack" in n or "bench" in n or "stack_run" in n])
    fields = rv.must("dpkg-deb", "-f", deb)
    rv.check("it depends on the libraries that it uses", all(l in fields for l in ("libzmq5", "libsqlite3-0", "libevent", "systemd")), fields)

    root = overlay()
    shutil.copy(deb, root + "/root/ravelin.deb")
    p = inside(root, "dpkg", "-i", "/root/ravelin.deb")
    rv.check("dpkg installs it", p.returncode == 0, p.stdout + p.stderr)
    p = inside(root, "id", "ravelin-stack")
    rv.check("the accounts are there", p.returncode == 0 and inside(root, "id", "ravelin-defmgr").returncode == 0, p.stderr)
    rv.check("the SAF registry knows the daemons", "DEFMGRD" in inside(root, "safctl", "LISTUSER", "DEFMGRD").stdout,
             inside(root, "safctl", "LISTUSER", "DEFMGRD").stderr)
    for unit in ("defmgrD.service", "stack-core@TEST.service"):
        p = inside(root, "systemd-analyze", "verify", "--man=no", unit)
        said = [l for l in p.stderr.splitlines() if "ravelin" in l or unit.split(".")[0] in l]
        rv.check("%s as installed: systemd-analyze verify is silent" % unit, p.returncode == 0 and not said, p.stderr)
    p = inside(root, "dpkg", "-V", "ravelin")
    rv.check("what is installed is what was packed", p.returncode == 0 and not p.stdout.strip(), p.stdout)
    inside(root, "safctl", "ADDUSER", "KEEP")
    p = inside(root, "dpkg", "-i", "/root/ravelin.deb")
    rv.check("installing it again keeps the registry", p.returncode == 0 and inside(root, "safctl", "LISTUSER", "KEEP").returncode == 0,
             p.stderr)
    p = inside(root, "dpkg", "-r", "ravelin")
    rv.check("removing keeps state", p.returncode == 0 and os.path.exists(root + "/var/lib/ravelin/saf/registry.db") and
             not os.path.exists(root + "/usr/sbin/defmgrD"), p.stderr)
    p = inside(root, "dpkg", "-P", "ravelin")
    rv.check("purging takes it along", p.returncode == 0 and not os.path.exists(root + "/var/lib/ravelin"), p.stderr)
    return rv.finish()


if os.geteuid() != 0:
    sys.exit("12-package: must run as root")
sys.exit(main())
