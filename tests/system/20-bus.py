#!/usr/bin/python3
"""The bus with a real daemon and real SAF: examples of the README, busmon, auditctl, other uids."""
import json
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import rv

SUPPORT = os.path.join(rv.TOP, "tests/support")


def code_lines(name):
    text = open(os.path.join(SUPPORT, name)).read().split('"""')[2]
    return len([l for l in text.splitlines() if l.strip()])


def example(name, *args, uid):
    copy = rv.path("bin", name)
    os.makedirs(rv.path("bin"), exist_ok=True)
    shutil.copy(os.path.join(SUPPORT, name), copy)
    os.chmod(copy, 0o755)
    return rv.Process(["/usr/bin/python3", copy, *args], uid=uid, env={"PYTHONPATH": rv.path("py")}, name=name)


def main():
    rv.saf_base(["LEFT"])
    for resource in ("EZB.IPSECCMD.{sysname}.LEFT.CONTROL", "EZB.IPSECCMD.{sysname}.LEFT.DISPLAY",
                     "EZB.NETMGMT.{sysname}.DEFMGRD.EVENTS"):
        rv.permit(resource, "ALICE")
        rv.permit(resource, "IBMUSER")
    pb = rv.protos()
    rv.must("chmod", "-R", "a+rX", rv.path("py"))
    rv.write("dmd.conf", "DmStackConfig LEFT\n{\n  Mode Active\n}\n")
    # A monitor that is there before the daemon is.
    early = rv.Process([rv.public("busmon"), "--json"], uid=rv.ALICE_UID, name="busmon").start()
    rv.Daemon("defmgrD", uid=rv.DEFMGRD_UID)
    for name in ("example_subscriber.py", "example_caller.py"):
        rv.check(name + " is at most ten lines", code_lines(name) <= 10, code_lines(name))
    sub = example("example_subscriber.py", uid=rv.ALICE_UID).start()
    deaf = example("example_subscriber.py", uid=rv.MALLORY_UID).start()
    root = rv.Subscriber("defmgrD")
    c = rv.Client("defmgrD")
    n = 0

    def add():
        nonlocal n
        n += 1
        request = pb.defmgr.AddRequest(stack="LEFT", filters=[pb.defmgr.Filter(name="bus%d" % n, source="192.0.2.%d" % n)])
        return c.call("defmgr.Add", request, pb.defmgr.AddReply)

    code, text, _ = add()
    rv.check("a call from Python works", code == 1, text)
    rv.check("the example subscriber prints the event", rv.until(lambda: add() and "defmgr.filter.added" in sub.output(), 8, 0.2),
             sub.output())
    rv.check("busmon that was there before the daemon prints it", rv.until(lambda: add() and "defmgr.filter.added" in early.output(), 8, 0.2),
             early.output())
    lines = [json.loads(l) for l in early.output().splitlines() if '"defmgr.filter.added"' in l]
    rv.check("as JSON with publisher, sequence and body", lines and lines[0]["publisher"] == "defmgrD" and lines[0]["seq"] > 0 and
             lines[0]["body"]["filter"]["name"].startswith("bus"), lines[:1])
    rv.check("who may not hear hears nothing", deaf.output() == "" and deaf.running(), deaf.output())
    event = root.wait("defmgr.heartbeat", 3)
    rv.check("a heartbeat each second", event is not None and event[1].boot_id)

    p = example("example_caller.py", "LEFT", uid=rv.ALICE_UID).start()
    p.wait(5)
    rv.check("the example caller lists the filters", "'bus1'" in p.output(), p.output())
    p = example("example_caller.py", "LEFT", uid=rv.MALLORY_UID).start()
    p.wait(5)
    rv.check("another uid is refused with the reason", "ICH408I" in p.output() and "MALLORY" in p.output(), p.output())

    p = rv.run("auditctl", "verify", "defmgrD")
    rv.check("the audit file is whole", p.returncode == 0 and ": ok," in p.stdout, p.stdout + p.stderr)
    p = rv.run("auditctl", "print", "--json", "defmgrD")
    records = [json.loads(l) for l in p.stdout.splitlines()]
    rv.check("the refusal is in it", any(r["type"] == 80 and r.get("user") == "MALLORY" for r in records), p.stdout[-1500:])
    audit = rv.path("var/log/ravelin/defmgrD.audit")
    with open(audit) as f:
        whole = f.read()
    copy = rv.path("copy.audit")
    shutil.copy(audit + ".head", copy + ".head")

    def verdict(text):
        with open(copy, "w") as out:
            out.write(text)
        p = rv.run("auditctl", "--json", "verify", copy)
        return p.returncode, json.loads(p.stdout)["verdict"]

    split = whole.splitlines(keepends=True)
    rv.check("an edited file is found", verdict(whole.replace("MALLORY", "NOBODYY", 1)) == (1, "edited"))
    rv.check("a cut file is found", verdict("".join(split[:-1])) == (1, "truncated"))
    if len(split) > 2:
        rv.check("a missing record is found", verdict(split[0] + "".join(split[2:])) == (1, "gap"))

    p = rv.run("busmon", "--help")
    rv.check("help", p.returncode == 0 and "usage: busmon" in p.stdout)
    rv.check("a bad option is usage", rv.run("busmon", "--nothing").returncode == 2)
    rv.check("a missing operand is usage", rv.run("auditctl", "verify").returncode == 2)
    rv.check("a missing file is a failure", rv.run("auditctl", "verify", "nobody").returncode == 1)
    early.signal(2)
    rv.check("busmon ends at SIGINT", early.wait(5) == 0)
    return rv.finish()


if __name__ == "__main__":
    sys.exit(main())
