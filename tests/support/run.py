#!/usr/bin/python3
"""Builds and runs every test and counts what they say. Started by tests/run, which see.

What counts: Check's closing line '100%: Checks: N, Failures: F, Errors: E', and lines that begin with 'ok - ' or
'not ok - '. A program that ends with anything but 0, runs out of time or proves nothing countable is one failure: a
test that was skipped by accident must not look like success.
"""
import os
import re
import signal
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LOGS = os.path.join(TOP, "build", "logs")
SECONDS = 180
PARTS = ("unit", "asan", "tsan", "interop", "system")
CHECK = re.compile(r"^(?:\d+: )?\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)")
TALLY = {"passed": 0, "failed": 0}


def count(lines):
    passed = failed = 0
    for line in lines:
        m = CHECK.match(line)
        if m:
            checks, failures, errors = (int(x) for x in m.groups())
            passed += checks - failures - errors
            failed += failures + errors
        elif re.match(r"^(?:\d+: )?ok - ", line):
            passed += 1
        elif re.match(r"^(?:\d+: )?not ok - ", line):
            failed += 1
    return passed, failed


def report(name, passed, failed, seconds, log):
    TALLY["passed"] += passed
    TALLY["failed"] += failed
    print("%-40s %5d passed %3d failed %7.1f s" % (name, passed, failed, seconds), flush=True)
    if failed:
        with open(log, errors="replace") as f:
            lines = f.read().splitlines()
        bad = [x for x in lines if "not ok - " in x or re.search(r":[EF]:|(?:Address|Thread)Sanitizer|runtime error:|\*\*\*Failed", x)]
        for line in bad[:40] + ["..."] + lines[-30:]:
            print("    " + line[:300])
        print("    (all of it: %s)" % os.path.relpath(log, TOP), flush=True)


def execute(argv, log, seconds, env=None):
    """Runs argv in its own process group with its output in log; the group is gone when this returns."""
    with open(log, "wb") as out:
        p = subprocess.Popen(argv, cwd=TOP, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                             start_new_session=True, env=dict(os.environ, **(env or {})))
        try:
            rc = p.wait(seconds)
        except subprocess.TimeoutExpired:
            out.write(b"\n*** out of time after %d s\n" % seconds)
            rc = -1
            # TERM first: a script that made namespaces must get to delete them.
            os.killpg(p.pid, signal.SIGTERM)
            try:
                p.wait(10)
            except subprocess.TimeoutExpired:
                pass
        except BaseException:
            os.killpg(p.pid, signal.SIGTERM)
            p.wait()
            raise
    try:
        os.killpg(p.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    p.wait()
    return rc


def build(preset):
    log = os.path.join(LOGS, "build-%s.log" % preset)
    start = time.monotonic()
    launcher = ["-DCMAKE_C_COMPILER_LAUNCHER=ccache"] if os.path.exists("/usr/bin/ccache") else []
    rc = execute(["cmake", "--preset", preset] + launcher, log, 300)
    if rc == 0:
        rc = execute(["cmake", "--build", "--preset", preset], log, 2400)
    if rc == 0:
        print("%-40s %s %30.1f s" % ("build " + preset, "done", time.monotonic() - start), flush=True)
    else:
        report("build " + preset, 0, 1, time.monotonic() - start, log)
    return rc == 0


def ctest(preset, names):
    """One run of ctest; its -V output carries each program's lines behind 'NUMBER: '."""
    if not build(preset):
        return
    log = os.path.join(LOGS, "ctest-%s.log" % preset)
    argv = ["ctest", "--preset", preset, "-j2", "-V", "--timeout", "600"]
    if names:
        argv += ["-R", "|".join(re.escape(n) for n in names)]
    start = time.monotonic()
    # A slow or busy machine is no failure: Check's limits are there to end what hangs.
    env = {"CK_TIMEOUT_MULTIPLIER": "10"}
    if preset == "asan":
        env.update({"ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0", "UBSAN_OPTIONS": "print_stacktrace=1"})
    execute(argv, log, 1800, env)
    output, verdict = {}, {}
    with open(log, errors="replace") as f:
        for line in f:
            m = re.match(r"^(\d+): (.*)", line)
            if m:
                output.setdefault(m.group(1), []).append(m.group(2))
            m = re.match(r"^\s*\d+/\d+ Test\s+#(\d+): (\S+) \.*\s*(\S+)", line)
            if m:
                verdict[m.group(1)] = (m.group(2), m.group(3) == "Passed")
    passed = failed = 0
    for number, (name, good) in sorted(verdict.items(), key=lambda x: x[1][0]):
        ok, bad = count(output.get(number, []))
        if bad == 0 and (not good or ok == 0):
            bad = 1
            with open(log, "a") as f:
                f.write("not ok - %s %s\n" % (name, "proved nothing countable" if good else "ended badly"))
        passed, failed = passed + ok, failed + bad
    if not verdict:
        failed = 1
    report("ctest %s (%d programs)" % (preset, len(verdict)), passed, failed, time.monotonic() - start, log)


def scripts(folder, names):
    where = os.path.join(TOP, "tests", folder)
    found = sorted(f for f in os.listdir(where) if f.endswith(".py")) if os.path.isdir(where) else []
    for name in found:
        if names and not any(n in name for n in names):
            continue
        log = os.path.join(LOGS, "%s-%s.log" % (folder, name[:-3]))
        start = time.monotonic()
        rc = execute(["/usr/bin/python3", os.path.join(where, name)], log, SECONDS,
                     {"RAVELIN_BUILD": os.path.join(TOP, "build", "debug"), "PYTHONDONTWRITEBYTECODE": "1"})
        with open(log, errors="replace") as f:
            passed, failed = count(f)
        if failed == 0 and (rc != 0 or passed == 0):
            failed = 1
        report("%s %s" % (folder, name[:-3]), passed, failed, time.monotonic() - start, log)


def main():
    args = sys.argv[1:]
    if args and args[0] not in PARTS:
        print("usage: tests/run [%s [NAME...]]" % "|".join(PARTS), file=sys.stderr)
        return 2
    parts, names = ([args[0]], args[1:]) if args else (PARTS, [])
    os.makedirs(LOGS, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if "unit" in parts:
        ctest("debug", names)
    elif set(parts) & {"interop", "system"} and not build("debug"):
        parts = []
    for preset in ("asan", "tsan"):
        if preset in parts:
            ctest(preset, names)
    for folder in ("interop", "system"):
        if folder in parts:
            scripts(folder, names)
    print("%d passed, %d failed" % (TALLY["passed"], TALLY["failed"]), flush=True)
    return 1 if TALLY["failed"] or not TALLY["passed"] else 0


sys.exit(main())
