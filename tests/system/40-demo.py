#!/usr/bin/python3
"""The demo as an operator starts it: what it must show, its exit status, and that it leaves nothing behind."""
import glob
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
import rv

RUN = os.path.join(rv.TOP, "conf/demo/run")


def left_behind(pid):
    """Namespaces and processes of the demo that ran as @pid."""
    ns = [x for x in rv.must("ip", "netns", "list").split() if x.startswith("demo%d-" % (pid % 100000))]
    return ns


def start(*args):
    return subprocess.Popen([RUN, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True, env=dict(os.environ, RAVELIN_BUILD=rv.BUILD), start_new_session=True)


def whole():
    p = start("--fast")
    out, _ = p.communicate(timeout=150)
    rv.check("the demo ends well", p.returncode == 0, out)
    for what, pattern in (
            ("in the clear before", r"\[ok\] +the wire shows everything in the clear"),
            ("a tunnel that was negotiated", r"\[ok\] +IKE: both gateways have a tunnel, \d+ ms after Enter"),
            ("only ESP inside", r"\[ok\] +the wire carries protocol 50 \(ESP\) and nothing else: [1-9]"),
            ("traffic three times", r"(?s)before +[\d.]+ ms +\d+ Mbit/s.*inside +[\d.]+ ms +\d+.*after +[\d.]+ ms +\d+"),
            ("who was refused, in RACF's words", r"ICH408I USER\(MALLORY\).*EZB\.IPSECCMD\.TEST\.LEFT\.CONTROL"),
            ("the intruder blocked, and how fast", r"time to block: [\d.]+ ms"),
            ("events beside it", r"event \| .*defmgr\.filter\.added"),
            ("an audit trail that is whole", r"\[ok\] +the audit trail of defmgrD is whole")):
        rv.check("it shows " + what, re.search(pattern, out), out)
    rv.check("it leaves no namespace behind", not left_behind(p.pid), left_behind(p.pid))


def interrupted():
    """Ctrl-C in the middle: the same cleanup, and an exit status that says that it did not end well."""
    before = set(glob.glob("/tmp/rv*"))
    p = start("--fast")
    rv.until(lambda: left_behind(p.pid), 20)
    time.sleep(1.0)
    started = bool(left_behind(p.pid))
    os.killpg(p.pid, signal.SIGINT)
    out, _ = p.communicate(timeout=30)
    rv.check("interrupted, it ends with another status", started and p.returncode != 0, out)
    rv.check("interrupted, it leaves no namespace behind", not left_behind(p.pid), left_behind(p.pid))
    mine = [d for d in set(glob.glob("/tmp/rv*")) - before if os.path.isdir(d + "/etc/ravelin/stacks")]
    alive = subprocess.run(["pgrep", "-f", "--", "--root (%s)" % "|".join(mine or ["/nowhere"])], capture_output=True,
                           text=True).stdout.split()
    rv.check("interrupted, no daemon of it runs on", not alive, alive)


p = subprocess.run([RUN, "--wrong"], capture_output=True, text=True, env=dict(os.environ, RAVELIN_BUILD=rv.BUILD))
rv.check("what it does not know it refuses", p.returncode == 2, p.stdout + p.stderr)
whole()
interrupted()
sys.exit(rv.finish())
