#!/usr/bin/python3
"""The units as installed: systemd-analyze has nothing to say about them, and finds little to attack."""
import glob
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
import rv

AUDIT, GUARD = "stack-core-audit@.service", "ravelin-portguard@.service"  # run once, as root
EXPOSURE_MAX = 25  # tenths, as --threshold takes it


def installed():
    """The whole installation below ROOT/inst, and its units with paths that exist on this machine."""
    dest = rv.path("inst")
    p = subprocess.run(["cmake", "--install", rv.BUILD, "--prefix", "/"], env=dict(os.environ, DESTDIR=dest), capture_output=True, text=True)
    rv.check("cmake --install works", p.returncode == 0, p.stderr)
    units = glob.glob(dest + "/lib/systemd/system/*.service")
    for u in units:
        with open(u) as f:
            text = f.read()
        programs = re.findall(r"^ExecStart=(\S+)", text, re.M)
        rv.check("%s starts an installed program" % os.path.basename(u),
                 len(programs) == 1 and (os.path.isfile(dest + "/sbin/" + os.path.basename(programs[0])) or
                                         (programs[0] == "/bin/sh" and os.path.basename(u) == AUDIT)), programs)
        with open(u, "w") as f:
            f.write(re.sub(r"(?m)^(Exec(?:Start|Stop)=)(?!/)", r"\1%s/sbin/" % dest, text))
    return dest, sorted(units)


def users_exist(dest):
    """sysusers.d as it would be applied, into a directory of ours; every User= of a unit is among them."""
    image = rv.path("image")
    os.makedirs(image + "/etc")
    p = subprocess.run(["systemd-sysusers", "--root=" + image, dest + "/lib/sysusers.d/ravelin.conf"],
                       capture_output=True, text=True)
    with open(image + "/etc/passwd") as f:
        names = {line.split(":")[0] for line in f}
    rv.check("systemd-sysusers makes the accounts", p.returncode == 0 and names >= {"ravelin-stack", "ravelin-defmgr"},
             p.stderr)
    return names


def tmpfiles(dest):
    image = rv.path("image")
    p = subprocess.run(["systemd-tmpfiles", "--create", "--root=" + image, dest + "/lib/tmpfiles.d/ravelin.conf"],
                       capture_output=True, text=True)
    rv.check("systemd-tmpfiles makes the directories", p.returncode == 0 and not p.stderr and
             os.path.isdir(image + "/var/log/ravelin"), p.stderr)
    keys = image + "/etc/ravelin/stacks"
    rv.check("policy files with keys are not for everyone", os.stat(keys).st_mode & 0o777 == 0o750)


def main():
    dest, units = installed()
    built = {"%s.service" % d for d in ("ikeD", "rpcbindD", "ravelin-bouncer") if os.path.exists("%s/daemons/%s/%s" % (rv.BUILD, d, d))}
    rv.check("all units are installed", {os.path.basename(u) for u in units} ==
             {"defmgrD.service", "stack-core@.service", AUDIT, GUARD} | built, units)
    names = users_exist(dest)
    tmpfiles(dest)
    for u in units:
        base = os.path.basename(u)
        with open(u) as f:
            user = re.search(r"(?m)^User=(\S+)", f.read()).group(1)
        rv.check("%s runs as an account of its own" % base, user in names or (base in (AUDIT, GUARD) and user == "root"), user)
        p = subprocess.run(["systemd-analyze", "verify", "--man=no", u], capture_output=True, text=True,
                           env=dict(os.environ, SYSTEMD_LOG_LEVEL="warning", SYSTEMD_UNIT_PATH=os.path.dirname(u) + ":"))
        said = "\n".join(x for x in p.stderr.splitlines() if "ravelin" in x or base in x or ".service:" in x)
        rv.check("systemd-analyze verify %s is silent" % base, p.returncode == 0 and not said, said or p.stderr)
        p = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=%d" % EXPOSURE_MAX, u],
                           capture_output=True, text=True)
        last = (p.stdout.strip().splitlines() or [""])[-1]
        rv.check("exposure of %s is at most 2.5" % base, p.returncode == 0 and "Overall exposure" in last, last + p.stderr)
    return rv.finish()


sys.exit(main())
