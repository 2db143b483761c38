#!/usr/bin/python3
"""defmgrD end to end under a private ROOT: authority, filters, globals, refresh, kill -9, expiry, bulk, forced command.

Most of it runs against tests/support/fake_stack: it remembers what it was told, so that the test can compare it with what was
acknowledged. The last part has a real stack-core and an attacker in namespaces. RAVELIN_BUILD names the build directory, RAVELIN_QUICK=1 leaves out what takes more than a minute (expiry)."""
import glob
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

BUILD = os.path.abspath(os.environ.get("RAVELIN_BUILD", "build/debug"))
QUICK = os.environ.get("RAVELIN_QUICK") == "1"
ALICE, BOB, STRANGER = 60001, 60002, 60003
failures = 0


def tool(name):
    for path in glob.glob(f"{BUILD}/**/{name}", recursive=True):
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    sys.exit(f"not ok - {name} is not in {BUILD}")


def check(good, text, detail=""):
    global failures
    if good:
        print(f"ok - {text}", flush=True)
    else:
        failures += 1
        print(f"not ok - {text} {detail}", flush=True)
    return good


class Place:
    """One ROOT with SAF loaded, its daemons and its commands."""

    def __init__(self):
        self.root = tempfile.mkdtemp(prefix="rv-defmgr-")
        os.chmod(self.root, 0o755)
        self.env = dict(os.environ, RAVELIN_ROOT=self.root, RAVELIN_SYSNAME="SYS1", LC_ALL="C")
        self.env.pop("DMD_FILE", None)
        self.running = {}
        self.gateway = None  # namespace of a real stack RIGHT
        self.bin = {n: tool(n) for n in ("defmgrD", "fake_stack", "stack-core", "ipsec", "defmgrctl", "safctl", "busmon", "auditctl")}
        # other users must reach the program: build directories may be private
        self.public = tempfile.mkdtemp(prefix="rv-defmgr-bin-")
        os.chmod(self.public, 0o755)
        for name in ("ipsec", "defmgrctl"):
            shutil.copy(self.bin[name], self.public)
            os.chmod(f"{self.public}/{name}", 0o755)
        os.makedirs(f"{self.root}/etc/ravelin")

    def conf(self, text):
        with open(f"{self.root}/etc/ravelin/dmd.conf", "w", encoding="ascii") as f:
            f.write(text)

    def saf(self, commands):
        p = subprocess.run([self.bin["safctl"], "--init"], env=self.env, capture_output=True, text=True)
        p = subprocess.run([self.bin["safctl"], "-f", "-"], env=self.env, input=commands, capture_output=True, text=True)
        return check(p.returncode == 0, "SAF takes the commands", p.stdout + p.stderr)

    def log(self, name):
        return f"{self.root}/{name.replace('@', '-')}.log"

    def start(self, name, file_limit=None):
        def limit():
            if file_limit:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))

        args = [self.bin["defmgrD"]] if name == "defmgrD" else [self.bin["fake_stack"], name]
        if name == "RIGHT" and self.gateway:
            args = ["ip", "netns", "exec", self.gateway, self.bin["stack-core"], name]
        with open(self.log(name), "ab") as out:
            self.running[name] = subprocess.Popen(args, env=self.env, stdout=out, stderr=out, preexec_fn=limit,
                                                  restore_signals=False)

    def stop(self, name, how=signal.SIGTERM):
        p = self.running.pop(name)
        p.send_signal(how)
        return p.wait(10)

    def run(self, words, uid=0, stdin=None, env=None, timeout=120):
        program, args = words.split(None, 1)
        cmd = [f"{self.public}/{program}"] + args.split()
        if uid:
            cmd = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"] + cmd
        return subprocess.run(cmd, env=dict(self.env, **(env or {})), input=stdin, capture_output=True, text=True,
                              timeout=timeout, cwd="/")

    def json(self, words):
        p = self.run(words + " --json")
        return json.loads(p.stdout) if p.returncode == 0 and p.stdout.strip() else []

    def names(self, scope):
        return {f["name"] for f in self.json(f"ipsec -F display {scope}")}

    def stack_filters(self, stack):
        p = self.run(f"ipsec -f display -p {stack} --json")
        return json.loads(p.stdout) if p.returncode == 0 else None

    def wait_total(self, stack, count, seconds=20):
        """Until the stack itself says that it holds so many."""
        end = time.time() + seconds
        while time.time() < end:
            if f"TotAvail: {count}\n" in self.run(f"ipsec -f display -n none -p {stack}").stdout:
                return True
            time.sleep(0.05)
        return False

    def wait_lost(self, stack, seconds=5):
        end = time.time() + seconds
        while time.time() < end and self.stacks()[stack]["running"]:
            time.sleep(0.05)

    def stacks(self):
        p = self.run("defmgrctl stacks --json")
        return {s["name"]: s for s in json.loads(p.stdout)["stacks"]} if p.returncode == 0 else {}

    def wait_installed(self, stack, seconds=8):
        end = time.time() + seconds
        while time.time() < end:
            if self.stacks().get(stack, {}).get("installed"):
                return True
            time.sleep(0.05)
        return False

    def wait_up(self, seconds=8):
        end = time.time() + seconds
        while time.time() < end:
            if self.run("defmgrctl stacks").returncode == 0:
                return True
            time.sleep(0.02)
        return False

    def text(self, name):
        with open(self.log(name), encoding="utf-8", errors="replace") as f:
            return f.read()

    def close(self):
        for name in list(self.running):
            try:
                self.stop(name, signal.SIGKILL)
            except Exception:  # the next one must still be ended
                pass
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.rmtree(self.public, ignore_errors=True)


def conf(left="Active", right="Active", more=""):
    return f"""DmConfig {{ SyslogLevel 7 }}
DmStackConfig LEFT
{{
  Mode {left}
  MaxLifetime 600
  DefaultLogLimit 9
  Exclude 198.51.100.1
}}
DmStackConfig RIGHT
{{
  Mode {right}
}}
{more}"""


def saf_commands():
    lines = [f"ADDUSER ALICE OMVS(UID({ALICE}))", f"ADDUSER BOB OMVS(UID({BOB}))", "SETROPTS CLASSACT(SERVAUTH) GENERIC(SERVAUTH)"]
    resources = ["EZB.IPSECCMD.SYS1.DMD_GLOBAL.CONTROL", "EZB.IPSECCMD.SYS1.DMD_GLOBAL.DISPLAY", "EZB.NETMGMT.SYS1.DEFMGRD.EVENTS",
                 "EZB.NETSTAT.SYS1.DEFMGRD.STATS"]
    for s in ("LEFT", "RIGHT"):
        resources += [f"EZB.IPSECCMD.SYS1.{s}.CONTROL", f"EZB.IPSECCMD.SYS1.{s}.DISPLAY", f"RAVELIN.STACK.SYS1.{s}.DEFEND",
                      f"EZB.NETMGMT.SYS1.{s}.EVENTS"]
    for r in resources:
        lines += [f"RDEFINE SERVAUTH {r} UACC(NONE)", f"PERMIT {r} CLASS(SERVAUTH) ID(IBMUSER) ACCESS(READ)"]
    for r in ("LEFT.CONTROL", "LEFT.DISPLAY", "DMD_GLOBAL.CONTROL"):
        lines.append(f"PERMIT EZB.IPSECCMD.SYS1.{r} CLASS(SERVAUTH) ID(ALICE) ACCESS(READ)")
    return "\n".join(lines) + "\n"


def authority(p):
    r = p.run("ipsec -F add srcip 192.0.2.66 -N bob1 -p LEFT", uid=BOB)
    check(r.returncode == 3, "a user who was not permitted ends with 3", r.stdout + r.stderr)
    r = p.run("ipsec -F add srcip 192.0.2.66 -N str1 -p LEFT", uid=STRANGER)
    check(r.returncode == 3, "a uid that SAF does not know ends with 3", r.stdout + r.stderr)
    check("ICH408I" in p.text("defmgrD") and "BOB" in p.text("defmgrD"), "the daemon's log has the ICH408I line")
    audit = f"{p.root}/var/log/ravelin/defmgrD.audit"
    text = open(audit, encoding="utf-8").read()
    check("EZB.IPSECCMD.SYS1.LEFT.CONTROL" in text and "BOB" in text, "the refusal is in the audit trail")
    v = subprocess.run([p.bin["auditctl"], "verify", audit], env=p.env, capture_output=True, text=True)
    check(v.returncode == 0, "the audit trail verifies", v.stdout + v.stderr)
    check(not p.names("-p LEFT"), "nothing was added by the refused")
    r = p.run("ipsec -F add srcip 192.0.2.66 -N alice1 -p LEFT", uid=ALICE)
    check(r.returncode == 0, "a permitted ordinary user adds", r.stdout + r.stderr)
    check({f["user"] for f in p.json("ipsec -F display -p LEFT")} == {"ALICE"}, "the filter names who added it")
    r = p.run("ipsec -F add srcip 192.0.2.66 -N alice2 -p RIGHT", uid=ALICE)
    check(r.returncode == 3, "authority over one stack is none over the other", r.stderr)
    r = p.run("ipsec -F add srcip 192.0.2.66 -N alice3 -G", uid=ALICE)
    check(r.returncode == 3, "a global add needs the authority over each stack", r.stderr)
    p.run("ipsec -F delete -a all -p LEFT")


def operands(p):
    for bad, word in (("srcip 10.0.0.1/8 -N x", "srcip"), ("lifetime 20161 -N x", "20160"), ("prot tcp srcport 0 -N x", "srcport"),
                      ("srcip 10.0.0.1 destip ::1 -N x", "same family"), ("dir up -N x", "inbound"), ("colour red -N x", "colour")):
        r = p.run(f"ipsec -F add {bad} -p LEFT")
        check(r.returncode == 2 and word in r.stderr, f"refused with the operand: {bad}", f"{r.returncode} {r.stderr}")
    r = p.run("ipsec -F add -N x -p NOSTACK")
    check(r.returncode in (1, 3), "a stack that has no DmStackConfig is refused", r.stderr)
    check(not p.names("-p LEFT"), "nothing was added by bad requests")


def life_of_a_filter(p):
    t = time.time()
    r = p.run("ipsec -F add srcip 192.0.2.7 prot tcp destport 22 lifetime 700 -N ssh -p LEFT")
    check(r.returncode == 0, f"add ({(time.time() - t) * 1000:.0f} ms with the program's start)", r.stderr)
    held = p.stack_filters("LEFT")
    check(sorted(f["extension"] for f in held if f["name"] == "ssh") == [1, 2], "acknowledged means in the stack, both directions", held)
    r = p.run("ipsec -F add srcip 192.0.2.8 -N ssh -p LEFT")
    check(r.returncode == 1 and "exists" in r.stderr, "the same name again is refused", r.stderr)
    f = p.json("ipsec -F display -N ssh -p LEFT")
    check(len(f) == 2 and f[0]["lifetime_min"] == 600 and f[0]["loglimit"] == 9, "MaxLifetime cuts, DefaultLogLimit fills in", f)
    check(f[1]["destination"] == "192.0.2.7/32" and f[1]["source_port_low"] == 22, "the outbound filter is the mirror")
    r = p.run("ipsec -F display -p LEFT")
    for word in ("Primary:  Defensive Filt", "Exclusion Address: 198.51.100.1/32", "Defensive Mode: Active", "Type:                         Defensive",
                 "DefensiveType:                Stack", "Action:                       Defensive Block", "2 entries selected"):
        check(word in r.stdout, f"report has '{word}'", r.stdout[:400])
    r = p.run("ipsec -F update mode simulate -N ssh -p LEFT")
    check(r.returncode == 0, "update", r.stderr)
    check({f["action"] for f in p.stack_filters("LEFT")} == {"Defensive Simulate"}, "the stack has the update")
    r = p.run("ipsec -F update mode block -N nothere -p LEFT")
    check(r.returncode == 1, "update of what is not there fails", r.stderr)
    r = p.run("ipsec -F delete -N ssh nothere -p LEFT")
    check(r.returncode == 1 and "ssh" in p.names("-p LEFT"), "a delete is all or nothing", r.stderr)
    r = p.run("ipsec -F delete -N ssh -p LEFT")
    check(r.returncode == 0 and p.stack_filters("LEFT") == [], "delete", r.stderr)
    log = p.text("defmgrD")
    for word in ("EZD1723I Defensive filter added:", "EZD1724I Defensive filter updated:", "EZD1725I Defensive filter deleted:"):
        check(word in log, f"log has {word}")


def events(p):
    mon = subprocess.Popen([p.bin["busmon"], "--json"], env=p.env, stdout=subprocess.PIPE, text=True)
    time.sleep(1.0)
    p.run("ipsec -F add srcip 192.0.2.7 -N seen -p LEFT")
    p.run("ipsec -F delete -N seen -p LEFT")
    time.sleep(0.5)
    mon.send_signal(signal.SIGTERM)
    out = mon.communicate(timeout=10)[0]
    check("defmgr.filter.added" in out and "defmgr.filter.deleted" in out and '"seen"' in out, "subscribers hear of filters", out[-300:])


def globals_and_copies(p):
    r = p.run("ipsec -F add srcip 203.0.113.0/24 -N glob -G lifetime 1000")
    check(r.returncode == 0, "global add", r.stderr)
    check("glob" in p.names("-G") and "glob" in p.names("-p LEFT") and "glob" in p.names("-p RIGHT"), "a copy in every stack")
    check(p.json("ipsec -F display -p LEFT")[0]["lifetime_min"] == 600, "the copy is cut to the stack's MaxLifetime")
    r = p.run("ipsec -F display -G")
    check("Stack Name: *ALL*" in r.stdout and "display (global)" in r.stdout and "Global" in r.stdout, "display -G says so")
    r = p.run("ipsec -F add srcip 203.0.113.9 -N glob -p RIGHT")
    check(r.returncode == 1, "the name of a copy is taken", r.stderr)
    p.run("ipsec -F update mode simulate -N glob -p LEFT")
    modes = [{f["mode"] for f in p.json(f"ipsec -F display {s}")} for s in ("-p LEFT", "-p RIGHT", "-G")]
    check(modes == [{"SIMULATE"}, {"BLOCK"}, {"BLOCK"}], "update -p changes that copy alone", modes)
    p.run("ipsec -F update log no -N glob -G")
    modes = [{(f["mode"], f["log"]) for f in p.json(f"ipsec -F display {s}")} for s in ("-p LEFT", "-p RIGHT")]
    check(modes == [{("BLOCK", False)}] * 2, "a later update -G overrides it", modes)
    p.run("ipsec -F delete -N glob -p LEFT")
    check("glob" not in p.names("-p LEFT") and "glob" in p.names("-p RIGHT") and "glob" in p.names("-G"), "delete -p takes one copy away")
    p.stop("defmgrD", signal.SIGKILL)
    p.start("defmgrD")
    p.wait_up()
    check("glob" not in p.names("-p LEFT") and "glob" in p.names("-p RIGHT"), "a deleted copy stays away after a restart")
    p.run("ipsec -F delete -N glob -G")
    check(not p.names("-p RIGHT") and not p.names("-G"), "delete -G takes all away")


def refresh(p):
    p.run("ipsec -F add srcip 192.0.2.9 -N stay -p LEFT")
    p.run("ipsec -F add srcip 192.0.2.10 -N gstay -G")
    d = p.running["defmgrD"]

    def reload(text, wait):
        p.conf(text)
        d.send_signal(signal.SIGHUP)
        end = time.time() + 5
        while time.time() < end and not wait():
            time.sleep(0.05)
        return wait()

    check(reload(conf(left="Simulate"), lambda: {f["action"] for f in p.stack_filters("LEFT")} == {"Defensive Simulate"}),
          "refresh to Simulate: all filters of the stack simulate")
    check(reload(conf(left="Inactive"), lambda: p.stack_filters("LEFT") == []), "refresh to Inactive: the stack has none")
    r = p.run("ipsec -F add srcip 192.0.2.9 -N more -p LEFT")
    check(r.returncode == 1 and "Inactive" in r.stderr, "an Inactive stack takes none", r.stderr)
    p.conf("DmStackConfig LEFT { Mode Sometimes }\n")
    d.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    check(set(p.stacks()) == {"LEFT", "RIGHT"} and "dmd.conf:1:" in p.text("defmgrD"), "a bad file changes nothing and is told by line")
    p.conf(conf(more="DmConfig { DefensiveFilterDirectory /elsewhere }").replace("DmConfig { SyslogLevel 7 }\n", ""))
    d.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    check(p.stacks()["LEFT"]["mode"] == "Inactive" and d.poll() is None, "the directory cannot change")
    check(reload(conf(), lambda: {f["name"] for f in p.stack_filters("LEFT")} == {"stay", "gstay"}),
          "back to Active: what was kept is installed again")
    check(reload(conf(more="DmStackConfig THIRD { Mode Active }\n"), lambda: p.stacks().get("THIRD", {}).get("filters") == 1),
          "a stack that is new gets the globals")
    check(reload(conf(), lambda: set(p.stacks()) == {"LEFT", "RIGHT"}), "and goes again")
    r = p.run("defmgrctl force-inactive LEFT")
    check(r.returncode == 0 and p.stack_filters("LEFT") == [] and not p.names("-p LEFT"), "force-inactive drops all", r.stderr)
    r = p.run("ipsec -F add srcip 192.0.2.9 -N more -p LEFT")
    check(r.returncode == 1, "and takes none", r.stderr)
    check(reload(conf(), lambda: {f["name"] for f in p.stack_filters("LEFT")} == {"gstay"}), "a refresh brings it back, with the globals")
    p.run("ipsec -F delete -a all -G")


def killed(p):
    """kill -9 of either at random moments while filters are added: what was acknowledged is there, in both."""
    acknowledged = set()
    for turn in range(6):
        victim = "defmgrD" if turn % 2 == 0 else "LEFT"
        client = subprocess.Popen(["/bin/sh", "-c", f'i=0; while [ $i -lt 400 ]; do {p.public}/ipsec -F add srcip 192.0.2.$((i % 250)) -N '
                                   f't{turn}.$i -p LEFT >/dev/null 2>&1 && echo t{turn}.$i || exit 1; i=$((i+1)); done'], env=p.env,
                                  stdout=subprocess.PIPE, text=True)
        time.sleep(0.2 + random.random() * 0.6)
        p.stop(victim, signal.SIGKILL)
        if victim == "LEFT":
            time.sleep(0.1)
        client.terminate()
        acknowledged |= set(client.communicate(timeout=15)[0].split())
        p.start(victim)
        p.wait_up()
    check(len(acknowledged) > 20, f"{len(acknowledged)} filters were acknowledged between kills")
    check(p.wait_installed("LEFT"), "the stack is installed again")
    check(acknowledged <= p.names("-p LEFT"), "no acknowledged filter is lost in defmgrD", acknowledged - p.names("-p LEFT"))
    deadline = time.time() + 5
    while time.time() < deadline and not acknowledged <= {f["name"] for f in p.stack_filters("LEFT") or []}:
        time.sleep(0.1)
    missing = acknowledged - {f["name"] for f in p.stack_filters("LEFT")}
    check(not missing, "and none in the stack", missing)
    p.stop("LEFT", signal.SIGKILL)
    t = time.time()
    r = p.run("ipsec -F add srcip 192.0.2.1 -N meanwhile -p LEFT")
    check(r.returncode == 0 and "does not answer" in r.stdout and time.time() - t < 2, "a stack that is down is named as pending", r.stdout)
    p.start("LEFT")
    check(p.wait_installed("LEFT"), "and is installed when it is back")
    p.run("ipsec -F delete -a all -p LEFT")


def expiry_begin(p):
    p.run("ipsec -F add srcip 192.0.2.20 lifetime 1 -N early -p LEFT")
    first = time.time()
    p.run("ipsec -F add srcip 192.0.2.21 lifetime 1 -N early.copy -G")
    p.run("ipsec -F add srcip 192.0.2.22 lifetime 5 -N kept -p LEFT")
    time.sleep(4)
    p.run("ipsec -F add srcip 192.0.2.23 lifetime 1 -N late -p LEFT")
    return first


def expiry_end(p, first):
    left = lambda: p.names("-p LEFT")
    check({"early", "early.copy", "kept", "late"} <= left(), "filters live until their time")
    time.sleep(max(0, first + 61 - time.time()))
    check("early" not in left() and "early.copy" not in p.names("-G"), "a filter expires", left())
    check("late" in left(), "another one is not yet due")
    check("EZD1726I Defensive filter expired:" in p.text("defmgrD"), "log has EZD1726I")
    p.stop("defmgrD", signal.SIGKILL)
    p.stop("LEFT", signal.SIGKILL)
    time.sleep(max(0, first + 66 - time.time()))
    p.start("LEFT")
    p.start("defmgrD")
    p.wait_up()
    check(p.wait_installed("LEFT"), "both are back")
    check(left() == {"kept"}, "what expired meanwhile is not revived", left())
    check({f["name"] for f in p.stack_filters("LEFT")} == {"kept"}, "nor in the stack")
    rest = p.json("ipsec -F display -N kept -p LEFT")[0]["expires_us"] / 1e6 - first
    check(295 < rest < 305, "the remaining life is kept", rest)
    p.run("ipsec -F delete -a all -p LEFT")


def bulk(p):
    lines = "".join(f"-F add srcip 10.{i >> 16}.{i >> 8 & 255}.{i & 255} lifetime 100 -N b{i} -p LEFT\n" for i in range(100000))
    t = time.time()
    r = p.run("ipsec --batch", stdin=lines)
    t = time.time() - t
    check(r.returncode == 0 and "100000 filters added, 0 refused" in r.stdout, f"100,000 filters in bulk, {100000 / t:.0f}/s", r.stdout[-200:] + r.stderr[-300:])
    r = p.run("ipsec -F add srcip 10.0.0.1 -N onemore -p LEFT")
    check(r.returncode == 1 and "at most 100000" in r.stderr, "one more is refused with the limit", r.stderr)
    p.stop("LEFT", signal.SIGKILL)
    t = time.time()
    p.start("LEFT")
    check(p.wait_total("LEFT", 200000), f"a stack that restarts has all of them again ({time.time() - t:.1f} s)")
    p.stop("defmgrD")
    t = time.time()
    p.start("defmgrD")
    check(p.wait_up(20) and p.stacks()["LEFT"]["filters"] == 100000, f"defmgrD that restarts too ({time.time() - t:.1f} s)")
    check(p.wait_installed("LEFT", 20) and p.wait_total("LEFT", 200000), "and the stack has them")
    r = p.run("ipsec --batch", stdin="-F add srcip 10.0.0.999 -N bad -p LEFT\n-F delete -a all -p LEFT\n-F add -N ok1 -p LEFT\nrubbish\n")
    check(r.returncode == 2 and "line 4" in r.stderr and "lines 1-1" in r.stderr, "a batch names the lines at fault", r.stderr)
    check(p.names("-p LEFT") == {"ok1"}, "and does the others")
    p.run("ipsec -F delete -a all -p LEFT")


def disk_full(p):
    """A disk that takes no more: what cannot be kept is refused whole, the rest stays, and the daemon goes on."""
    p.stop("defmgrD")
    os.truncate(p.log("defmgrD"), 0)
    p.conf(conf().replace("SyslogLevel 7", "SyslogLevel 1"))
    p.start("defmgrD", file_limit=1536 * 1024)
    check(p.wait_up() and p.wait_installed("LEFT"), "defmgrD runs on a small disk")
    lines = "".join(f"-F add srcip 10.1.{i >> 8}.{i & 255} -N d{i} -p LEFT\n" for i in range(20000))
    r = p.run("ipsec --batch", stdin=lines)
    added = int(r.stdout.split()[0])
    check(r.returncode == 1 and 0 < added < 20000 and "could not be stored" in r.stderr, f"{added} of 20000 fit, the others are refused",
          r.stdout + r.stderr[-200:])
    check(len(p.names("-p LEFT")) == added and p.wait_total("LEFT", added * 2), "memory and stack hold what was acknowledged")
    check("could not be stored" in p.text("defmgrD"), "and the log says so")
    p.stop("defmgrD", signal.SIGKILL)
    p.conf(conf())
    p.start("defmgrD")
    check(p.wait_up() and len(p.names("-p LEFT")) == added, "after a kill -9 exactly those are there")
    check(p.run("ipsec -F add -N roomagain -p LEFT").returncode == 0, "with room again, adds work again")
    p.run("ipsec -F delete -a all -p LEFT")


def forced(p):
    def ssh(text):
        return p.run("ipsec --forced-command", uid=ALICE, env={"SSH_ORIGINAL_COMMAND": text})

    r = ssh("ipsec -F add srcip 192.0.2.30 -N 'from.ssh' -p LEFT")
    check(r.returncode == 0 and "from.ssh" in p.names("-p LEFT"), "a forced command of SSH adds", r.stderr)
    marker = f"{p.root}/marker"
    for text in (f"touch {marker}", f"ipsec -F display; touch {marker}", f"ipsec -F add -N $(touch {marker}) -p LEFT", "", "/bin/sh"):
        r = ssh(text)
        check(r.returncode == 2 and not os.path.exists(marker), f"and refuses '{text.replace(p.root, '')}'", f"{r.returncode} {r.stderr}")
    r = p.run("ipsec --forced-command", uid=ALICE)
    check(r.returncode == 2, "and a login without a command", r.stderr)
    p.run("ipsec -F delete -a all -p LEFT")


def attacker(p):
    """A real stack and an attacker before it: what defmgrD acknowledges stops packets, at once."""
    gateway, outside = f"rv-defmgr-{os.getpid()}-g", f"rv-defmgr-{os.getpid()}-o"

    def ip(*words, ns=None):
        subprocess.run(["ip"] + (["-n", ns] if ns else []) + list(words), check=True)

    def ping(count=3):
        r = subprocess.run(["ip", "netns", "exec", outside, "ping", "-n", "-i", "0.1", "-W", "1", "-c", str(count), "192.0.2.1"],
                           capture_output=True, text=True)
        return int(r.stdout.split(" received")[0].rsplit(" ", 1)[1]) if " received" in r.stdout else -1

    def matches():
        return sum(f.get("matches", 0) for f in p.json("ipsec -F display -N intruder -p RIGHT"))

    p.stop("RIGHT")
    p.wait_lost("RIGHT")
    os.makedirs(f"{p.root}/etc/ravelin/stacks", exist_ok=True)
    with open(f"{p.root}/etc/ravelin/stacks/RIGHT.profile", "w", encoding="ascii") as f:
        f.write("IPCONFIG IPSECURITY\nINTERFACE WIRE DEFINE AFPACKET DEVICE wire0 IPADDR 192.0.2.1/24\n"
                "IPSEC LOGENABLE\n  IPSECRULE * * NOLOG PROTO *\nENDIPSEC\nWORKERS 1\n")
    try:
        for ns in (gateway, outside):
            ip("netns", "add", ns)
        ip("link", "add", "wire0", "netns", gateway, "type", "veth", "peer", "name", "out0", "netns", outside)
        ip("link", "set", "wire0", "up", ns=gateway)
        ip("link", "set", "out0", "up", ns=outside)
        ip("addr", "add", "192.0.2.7/24", "dev", "out0", ns=outside)
        p.gateway = gateway
        p.run("ipsec -F delete -a all -p RIGHT")
        p.start("RIGHT")
        if not check(p.wait_installed("RIGHT"), "a real stack-core is installed", p.text("RIGHT")[-500:]):
            return
        check(ping() == 3, "the attacker reaches the stack")
        r = p.run("ipsec -F add srcip 192.0.2.7 -N intruder -p RIGHT lifetime 10")
        check(r.returncode == 0 and ping() == 0, "an acknowledged block stops every packet", r.stderr)
        check(matches() >= 3, "display -p shows the counts", matches())
        p.run("ipsec -F update mode simulate -N intruder -p RIGHT")
        before = matches()
        check(ping() == 3 and matches() > before, "a simulating filter lets them pass and counts them")
        p.run("ipsec -F update mode block -N intruder -p RIGHT")
        p.stop("RIGHT", signal.SIGKILL)
        p.start("RIGHT")
        t = time.time()
        while time.time() < t + 5 and ping(1):
            pass
        check(ping() == 0, f"the block is there again after kill -9 of the stack ({time.time() - t:.1f} s)")
        p.stop("defmgrD", signal.SIGKILL)
        check(ping() == 0, "and stays while defmgrD is down")
        p.start("defmgrD")
        p.wait_up()
        p.wait_installed("RIGHT")
        check(ping() == 0, "and when it is back")
        p.run("ipsec -F delete -N intruder -p RIGHT")
        check(ping() == 3, "deleted, the packets pass again")
        p.conf(conf(more="").replace("DmStackConfig RIGHT\n{", "DmStackConfig RIGHT\n{\n  Exclude 192.0.2.7"))
        p.running["defmgrD"].send_signal(signal.SIGHUP)
        time.sleep(0.7)
        p.run("ipsec -F add -N all -p RIGHT")
        check(ping() == 3, "an excluded address is not touched by a filter for all")
    finally:
        if "RIGHT" in p.running:
            p.stop("RIGHT", signal.SIGKILL)
        p.gateway = None
        for ns in (gateway, outside):
            subprocess.run(["ip", "netns", "del", ns], stderr=subprocess.DEVNULL)


def numbers(p):
    r = p.run("defmgrctl stats --openmetrics")
    check(r.returncode == 0 and "ravelin_defmgr_filters_added_total" in r.stdout and r.stdout.rstrip().endswith("# EOF"), "stats as OpenMetrics", r.stderr)
    check(p.running["defmgrD"].poll() is None, "defmgrD still runs")
    check(p.stop("defmgrD") == 0, "and ends in order")
    r = p.run("ipsec -F add srcip 192.0.2.1 -N x -p LEFT")
    check(r.returncode == 1 and "not running" in r.stderr, "without it, add says so", r.stderr)


def main():
    if os.geteuid() != 0:
        sys.exit("not ok - must run as root")
    p = Place()
    try:
        p.conf(conf())
        p.saf(saf_commands())
        for name in ("LEFT", "RIGHT", "defmgrD"):
            p.start(name)
        if not check(p.wait_up() and p.wait_installed("LEFT") and p.wait_installed("RIGHT"), "defmgrD runs and finds its stacks",
                     p.text("defmgrD") + p.text("LEFT")):
            return
        authority(p)
        operands(p)
        life_of_a_filter(p)
        events(p)
        globals_and_copies(p)
        refresh(p)
        killed(p)
        disk_full(p)
        forced(p)
        bulk(p)
        attacker(p)
        if not QUICK:
            expiry_end(p, expiry_begin(p))
        numbers(p)
    finally:
        p.close()


main()
sys.exit(1 if failures else 0)
