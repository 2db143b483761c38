#!/usr/bin/python3
"""Others take part in the defence: rules of dmd.conf that turn a stack's detections into filters, tags, and the real fail2ban. With real
daemons in namespaces. CrowdSec: 49-crowdsec.py."""
import json
import os
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import rv

STACK = "BRIDGE"
PROFILE = """IPCONFIG IPSECURITY
IPCONFIG6 IPSECURITY
INTERFACE WIRE DEFINE AFPACKET DEVICE wire0 IPADDR 192.0.2.1/24 IPADDR 2001:db8::1/64
IDSPOLICY 'stacks/ids.policy'
IPSEC
  IPSECRULE * * NOLOG PROTO *
ENDIPSEC
WORKERS 1
"""
POLICY = """
IDSReportSet grave { TypeActions LOG
 LoggingLevel 3 }
IDSAction count { ActionType SCAN_EVENT count }
IDSAction drop { ActionType ATTACK discard
 IDSReportSetRef grave }
IDSRule Scan { ConditionType ScanGlobal
 IDSScanGlobalCondition { FSInterval 1
 FSThreshold 5
 SSInterval 120
 SSThreshold 20 }
 IDSAction { ActionType SCAN_GLOBAL } }
IDSRule T { ConditionType ScanEvent
 IDSScanEventCondition { Protocol TCP }
 IDSActionRef count }
IDSRule Bad { ConditionType Attack
 IDSAttackCondition { AttackType MALFORMED_PACKET }
 IDSActionRef drop }
IDSRule Redirect { ConditionType Attack
 IDSAttackCondition { AttackType ICMP_REDIRECT }
 IDSActionRef drop }
"""
RULES = """
DmDefenceRule ScanBlock
{
  Event SCAN_FAST
  Lifetime 10
  Repeat Double
  FilterName scan
  Exclude 192.0.2.66
}
DmDefenceRule Thrice { Event MALFORMED_PACKET
  Threshold 3
  IDSRule Bad
  Severity 3
  SourcePrefix 28
  Exclude 192.0.2.98
  FilterName bad
  MaxFilters 1
}
DmDefenceRule Tried { Event ICMP_REDIRECT
  Mode Simulate
  Direction Inbound
}
"""
SEND = "import sys\nfrom scapy.all import *\nconf.verb=0\nsendp([Ether(dst=sys.argv[2])/x for x in eval(sys.argv[1])], iface='eth0')\n"


def conf(rules=RULES, more=""):
    rv.write("dmd.conf", "DmConfig { SyslogLevel 7 }\nDmStackConfig %s {\n Mode Active\n MaxLifetime 30\n Exclude 192.0.2.77\n}\n%s%s" % (STACK, rules, more))


def ctl(*args, **more):
    return rv.run("defmgrctl", *args, **more)


def as_json(*args):
    p = ctl("--json", *args)
    return json.loads(p.stdout) if p.returncode == 0 and p.stdout.strip() else {}


def rule(name):
    return next((r for r in as_json("rules").get("rules", []) if r["name"] == name), {})


def n(name, what):
    return int(rule(name).get(what, 0))


def filters(*args):
    return as_json("list", *args) or []


def names(*args):
    return {f["name"] for f in filters(*args)}


def send(expression):
    subprocess.run(rv.in_ns(outside) + ["/usr/bin/python3", "-c", SEND, expression, mac], capture_output=True, text=True, timeout=60, check=True)


def malformed(source, count=1):
    send("[IP(src='%s',dst='192.0.2.1')/TCP(dport=80,flags='SF')]*%d" % (source, count))


def scan(source):
    """Five probes and then echo requests: (milliseconds until the source was no longer answered or None, what was said)."""
    p = subprocess.run(rv.in_ns(outside) + ["/usr/bin/python3", os.path.join(rv.TOP, "tests/support/scanblock.py"), source, "192.0.2.1", "1.2"],
                       capture_output=True, text=True, timeout=60)
    return (float(p.stdout) if p.returncode == 0 else None), p.stdout + p.stderr


net = rv.Net("rvbr")
gate, outside = net.ns("gate"), net.ns("out")
net.veth(gate, "wire0", outside, "eth0", offloads=False)
net.addr(outside, "eth0", *["192.0.2.%d/24" % i for i in (2, 66, 77, 98, 99, 100, 101, 102, 103, 104, 120)], "2001:db8::2/64")
mac = json.loads(rv.must("ip", "-j", "link", "show", "wire0", ns=gate))[0]["address"]
rv.saf_base([STACK])
rv.saf("RDELETE SERVAUTH EZB.NETMGMT.%s.%s.EVENTS" % (rv.SYSNAME, STACK))
rv.permit("EZB.NETMGMT.{sysname}.%s.EVENTS" % STACK, "IBMUSER")
for what in ("EZB.IPSECCMD.{sysname}.%s.CONTROL" % STACK, "EZB.IPSECCMD.{sysname}.%s.DISPLAY" % STACK, "EZB.IPSECCMD.{sysname}.DMD_GLOBAL.DISPLAY",
             "EZB.IPSECCMD.{sysname}.DMD_GLOBAL.CONTROL", "EZB.NETMGMT.{sysname}.DEFMGRD.EVENTS", "EZB.NETSTAT.{sysname}.DEFMGRD.STATS",
             "EZB.NETSTAT.{sysname}.%s.IDS" % STACK):
    rv.permit(what, "IBMUSER")
rv.permit("EZB.IPSECCMD.{sysname}.%s.DISPLAY" % STACK, "DEFMGRD")
rv.write("stacks/%s.profile" % STACK, PROFILE)
rv.write("stacks/ids.policy", POLICY)
stack = rv.Daemon("stack-core", STACK, ns=gate)

# --- rules: refusals ---
conf("DmDefenceRule x { Event FLOOD }\n")
p = rv.run("defmgrD", "--root", rv.root(), "--check")
rv.check("a rule for what has no source to block is refused with its place", p.returncode == 78 and "dmd.conf:7:" in p.stderr + p.stdout, p.stderr)
conf()
p = rv.run("defmgrD", "--root", rv.root(), "--check")
rv.check("right ones are accepted", p.returncode == 0, p.stderr)
dm = rv.Daemon("defmgrD", uid=rv.DEFMGRD_UID)


def installed():
    s = (as_json("stacks").get("stacks") or [{}])[0]
    return s.get("installed")


rv.check("the stack gets its filters from defmgrD", rv.until(installed, 10))
p = ctl("rules", uid=rv.MALLORY_UID)
rv.check("'rules' is refused to a stranger", p.returncode == 3 and not p.stdout, p.stderr)
ms, said = scan("192.0.2.120")
rv.check("without READ to the stack's events a rule hears nothing", ms is None and "still answered" in said and not names() and rule("ScanBlock").get("hears") is False,
         "%s %s" % (said, rule("ScanBlock")))
rv.check("and the log says what is missing", rv.until(lambda: "EVENTS is missing" in dm.output(), 20) and "DEFMGRD" in dm.output(), dm.output()[-500:])
rv.permit("EZB.NETMGMT.{sysname}.%s.EVENTS" % STACK, "DEFMGRD")
rv.check("with the permission it hears", rv.until(lambda: rule("ScanBlock").get("hears"), 15), rule("ScanBlock"))

# --- rules: a scan blocks its source ---
watch = rv.Process([rv.program("defmgrctl"), "watch", "--every", "1"]).start()
watch_json = rv.Process([rv.program("defmgrctl"), "watch", "--json"]).start()
time.sleep(1.5)
ms, said = scan("192.0.2.101")
rv.check("a fast scan blocks its source", ms is not None and "scan:192.0.2.101" in names(), said + str(names()))
print("# from the fifth probe to the block in force: %s ms" % ms)
rv.check("within a second, on a busy machine too", ms is not None and ms < 1000, ms)
f = (filters("scan:192.0.2.101") or [{}])[0]
rv.check("the filter says which rule and event made it, and whose it is", f.get("rule") == "ScanBlock" and "scan Fast source=192.0.2.101" in f.get("event", "") and
         f.get("user") == "DEFMGRD" and f.get("lifetime_min") == 10, f)
rv.check("'list --rule' has it, and of another rule nothing", names("--rule", "ScanBlock") == {"scan:192.0.2.101"} and not names("--rule", "Thrice"))
rv.check("'rules' counts it", n("ScanBlock", "added") == 1 and n("ScanBlock", "filters") == 1 and n("ScanBlock", "matched") == 1, rule("ScanBlock"))
p = ctl("rules", "ScanBlock")
rv.check("as text too", "scan:SOURCE" in p.stdout and "added 1" in p.stdout and "Thrice" not in p.stdout, p.stdout)
p = rv.run("ping", "-c1", "-W1", "192.0.2.1", ns=outside)
rv.check("others are answered as before", p.returncode == 0, p.stdout)
rv.check("the log has z/OS's message and the rule", "EZD1723I Defensive filter added:" in dm.output() and "defence rule added a filter" in dm.output())
rv.check("'watch' tells of it with rule and user", rv.until(lambda: re.search(r"added +BRIDGE scan:192.0.2.101 block 192.0.2.101/32 > all all 10 min by DEFMGRD rule ScanBlock", watch.output()), 5), watch.output())
rv.check("and how often it matched", rv.until(lambda: re.search(r"matched +BRIDGE scan:192.0.2.101 .* \d+ matches", watch.output()), 8), watch.output())
lines = [json.loads(x) for x in watch_json.output().splitlines()]
rv.check("as JSON lines too", any(x["event"] == "filter.added" and x["body"]["filter"]["rule"] == "ScanBlock" and x["body"]["by"] == "DEFMGRD" for x in lines), lines)

# --- rules: exclusions, repetition, simulation, thresholds, bounds ---
ms, said = scan("192.0.2.66")
rv.check("an excluded source is not blocked", ms is None and rv.until(lambda: n("ScanBlock", "excluded") == 1, 5) and "scan:192.0.2.66" not in names(), said)
ms, said = scan("192.0.2.77")
rv.check("nor one that the stack excludes", ms is None and rv.until(lambda: n("ScanBlock", "excluded") == 2, 5) and "scan:192.0.2.77" not in names(), said)
malformed("192.0.2.99", 2)
time.sleep(0.5)
rv.check("below its threshold nothing happens", n("Thrice", "below") == 2 and not names("--tag", "bad"), rule("Thrice"))
malformed("192.0.2.99")
rv.check("at it the source is blocked, and not wider than exclusions allow", rv.until(lambda: names("--tag", "bad") == {"bad:192.0.2.99"}, 5), names())
malformed("192.0.2.120", 3)
rv.check("a rule has no more than its MaxFilters", rv.until(lambda: n("Thrice", "limited") == 1, 5) and "has its MaxFilters" in dm.output() and
         names("--tag", "bad") == {"bad:192.0.2.99"}, rule("Thrice"))
ctl("delete", "bad:192.0.2.99")
malformed("192.0.2.120", 3)
rv.check("the prefix of a source is blocked with it", rv.until(lambda: names("--tag", "bad") == {"bad:192.0.2.112-28"}, 5), names())
send("[IP(src='192.0.2.103',dst='192.0.2.1')/ICMP(type=5,code=1,gw='192.0.2.66')/IP(src='192.0.2.1',dst='192.0.2.9')/UDP()]")
rv.check("a rule that simulates makes a filter that does", rv.until(lambda: {f["mode"] for f in filters("--tag", "Tried")} == {"SIMULATE"}, 5), filters("--tag", "Tried"))
p = rv.run("ping", "-c1", "-W1", "-I", "192.0.2.103", "192.0.2.1", ns=outside)
rv.check("and its source is answered", p.returncode == 0, p.stdout)
before = filters("--tag", "Tried")[0]
send("[IP(src='192.0.2.103',dst='192.0.2.1')/ICMP(type=5,code=1,gw='192.0.2.66')/IP(src='192.0.2.1',dst='192.0.2.9')/UDP()]")
rv.check("a repetition prolongs it and is counted", rv.until(lambda: filters("--tag", "Tried")[0].get("events") == 2, 5) and
         filters("--tag", "Tried")[0]["expires_us"] > before["expires_us"] and n("Tried", "repeated_events") == 1, filters("--tag", "Tried"))
ctl("add", "Tried:192.0.2.104", "srcip", "192.0.2.104", "mode", "simulate")
send("[IP(src='192.0.2.104',dst='192.0.2.1')/ICMP(type=5,code=1,gw='192.0.2.66')/IP(src='192.0.2.1',dst='192.0.2.9')/UDP()]")
rv.check("what somebody added under that name is left alone", rv.until(lambda: n("Tried", "failed") == 1, 5) and filters("Tried:192.0.2.104")[0].get("user") == "IBMUSER")
p = ctl("stats", "--openmetrics")
rv.check("OpenMetrics has the rules' counters", "ravelin_defmgr_rules_added_total" in p.stdout, p.stdout[-300:])

# --- rules: kill -9 ---
held = names()
dm.kill()
dm.start()
rv.check("killed and started again, defmgrD has the filters and what made them", rv.until(installed, 10) and names() == held and
         (filters("scan:192.0.2.101") or [{}])[0].get("rule") == "ScanBlock", names())
rv.check("and they count against MaxFilters", n("Thrice", "filters") == 1, rule("Thrice"))
ms, said = scan("192.0.2.102")
rv.check("and the rules work", ms is not None and "scan:192.0.2.102" in names(), said)
conf("")
dm.reload()
rv.check("without rules the filters stay until they end", rv.until(lambda: not as_json("rules").get("rules"), 5) and "scan:192.0.2.102" in names())
ms, said = scan("192.0.2.100")
rv.check("and nothing more is blocked", ms is None and "scan:192.0.2.100" not in names(), said)
watch.stop()
rv.check("'watch' ends in order", watch.p.returncode == 0)

# --- tags: what bridges are made of ---
ctl("delete", "--all")
for args, word in ((["add", "--tag", "a:b", "srcip", "192.0.2.7"], "tag"), (["add", "--tag", "jail"], "srcip"), (["delete", "--tag", "jail", "nonsense"], "address"),
                   (["delete", "--tag", "jail"], "allowed"), (["add", "--tag", "jail", "srcip", "all"], "srcip")):
    p = ctl(*args)
    rv.check("refused: %s" % " ".join(args), p.returncode == 2 and word in p.stderr, "%d %s" % (p.returncode, p.stderr))
p = ctl("add", "--replace", "--tag", "jail", "srcip", "198.51.100.7", uid=rv.MALLORY_UID)
rv.check("a stranger cannot add by a tag either", p.returncode == 3, p.stderr)
for want in ("added: 1", "unchanged: 1"):
    p = ctl("add", "--replace", "--tag", "jail", "srcip", "198.51.100.7", "lifetime", "20")
    rv.check("adding with --replace: %s" % want, p.returncode == 0 and want in p.stdout, p.stdout + p.stderr)
p = ctl("add", "--replace", "--tag", "jail", "srcip", "198.51.100.7", "lifetime", "25")
rv.check("another lifetime updates", "updated: 1" in p.stdout and filters("jail:198.51.100.7")[0]["lifetime_min"] == 25, p.stdout)
p = ctl("add", "--replace", "--tag", "jail", "srcip", "198.51.100.7", "prot", "tcp")
rv.check("another match takes its place", "updated: 1" in p.stdout and {f["protocol"] for f in filters("jail:198.51.100.7")} == {"tcp"}, p.stdout)
p = ctl("add", "--tag", "jail", "srcip", "198.51.100.7")
rv.check("without --replace it exists", p.returncode == 1 and "exists" in p.stderr, p.stderr)
p = ctl("delete", "--tag", "jail", "198.51.100.7", "198.51.100.8")
rv.check("deleting by tag and source forgives what is not there", p.returncode == 0 and "changed: 1" in p.stdout and not names(), p.stdout)
ctl("add", "--tag", "jail", "srcip", "2001:db8:1111:2222:3333:4444:5555:6666")
ctl("add", "--tag", "jail2", "srcip", "2001:db8:1111:2222:3333:4444:5555:6666")
ctl("add", "-G", "--tag", "jail", "srcip", "203.0.113.9")
p = ctl("delete", "--tag", "jail", "--all")
rv.check("a tag is emptied alone", p.returncode == 0 and len(names()) == 1 and len(names("--tag", "jail2")) == 1, names())
ctl("delete", "-G", "--tag", "jail", "--all")
ctl("delete", "--all")

# --- fail2ban ---
F2B = rv.path("f2b")
for d in ("action.d", "filter.d", "jail.d"):
    os.makedirs(os.path.join(F2B, d))
shutil.copy(os.path.join(rv.TOP, "conf/fail2ban/action.d/ravelin.conf"), F2B + "/action.d/ravelin.conf")
LOG = rv.path("service.log")


def put(name, text):
    with open(name, "w") as out:
        out.write(text)


put(F2B + "/fail2ban.conf", """[Definition]
loglevel = INFO
logtarget = %s/log
syslogsocket = auto
socket = %s/sock
pidfile = %s/pid
dbfile = %s/db
dbpurgeage = 1d
dbmaxmatches = 10
[Thread]
stacksize = 0
""" % (F2B, F2B, F2B, F2B))
put(F2B + "/filter.d/rvtest.conf", "[Definition]\nfailregex = ^ bad login from <HOST>$\ndatepattern = {^LN-BEG}EPOCH\n")
put(F2B + "/jail.conf", """[DEFAULT]
banaction = ravelin[ctl=%s]
ignoreself = false
ignoreip =
usedns = no
backend = polling
maxretry = 3
findtime = 600
bantime = 600
action = %%(banaction)s
[rvtest]
enabled = true
filter = rvtest
logpath = %s
[a-jail-with-a-long-name]
enabled = true
filter = rvtest
logpath = %s.second
""" % (rv.program("defmgrctl"), LOG, LOG))
for name in (LOG, LOG + ".second"):
    put(name, "")


def bad_logins(source, count=3, log=LOG):
    with open(log, "a") as out:
        for _ in range(count):
            out.write("%d bad login from %s\n" % (time.time(), source))


def f2b_client(*args):
    return rv.run("fail2ban-client", "-c", F2B, "-s", F2B + "/sock", *args)


def f2b_log():
    try:
        with open(F2B + "/log") as f:
            return f.read()
    except FileNotFoundError:
        return ""


fail2ban = rv.Process(["fail2ban-server", "-c", F2B, "-s", F2B + "/sock", "-p", F2B + "/pid", "-f", "start"], ns=outside, name="fail2ban")
fail2ban.start()
rv.check("fail2ban starts its jails with the action", rv.until(lambda: f2b_client("status", "rvtest").returncode == 0, 20), fail2ban.output() + f2b_log())
bad_logins("198.51.100.20", 2)
bad_logins("198.51.100.21")
bad_logins("2001:db8:1111:2222:3333:4444:5555:6666")
rv.check("fail2ban bans by filters, IPv4 and IPv6", rv.until(lambda: len(names("--tag", "f2b-rvtest")) == 2, 20) and "f2b-rvtest:198.51.100.21" in names(), f2b_log()[-800:])
f = (filters("f2b-rvtest:198.51.100.21") or [{}])[0]
rv.check("that outlive the ban by some minutes", f.get("lifetime_min") == 15 and f.get("mode") == "BLOCK" and f.get("user") == "IBMUSER", f)
bad_logins("198.51.100.21", log=LOG + ".second")
rv.check("another jail has its own for the same source", rv.until(lambda: len(names("--tag", "f2b-a-jail-with-a-long-name")) == 1, 20), names())
p = f2b_client("set", "rvtest", "unbanip", "198.51.100.21")
rv.check("an unban takes it away, and the other jail's stays", p.returncode == 0 and rv.until(lambda: "f2b-rvtest:198.51.100.21" not in names(), 5) and
         len(names("--tag", "f2b-a-jail-with-a-long-name")) == 1, p.stdout + p.stderr)
f2b_client("set", "rvtest", "banip", "198.51.100.22")
rv.check("a ban by hand too", rv.until(lambda: "f2b-rvtest:198.51.100.22" in names(), 5), f2b_log()[-500:])
rv.check("fail2ban stops in order", fail2ban.stop(20) is not None)
rv.check("and its filters are flushed", rv.until(lambda: not names(), 5), names())
fail2ban.start()
rv.check("started again it restores its bans", rv.until(lambda: len(names()) == 3 and "f2b-rvtest:198.51.100.22" in names(), 20), "%s %s" % (names(), f2b_log()[-500:]))
dm.kill()
p = ctl("check")
rv.check("with defmgrD down 'check' says so", p.returncode == 1 and "defmgrD is not running" in p.stderr, p.stderr)
f2b_client("set", "rvtest", "banip", "198.51.100.23")
rv.check("and fail2ban's log does", rv.until(lambda: "defmgrD is not running" in f2b_log(), 20), f2b_log()[-800:])
dm.start()
rv.until(installed, 10)
f2b_client("set", "rvtest", "banip", "198.51.100.24")
rv.check("with defmgrD back it bans again", rv.until(lambda: {"f2b-rvtest:198.51.100.24", "f2b-rvtest:198.51.100.22"} <= names(), 20), "%s %s" % (names(), f2b_log()[-800:]))
fail2ban.stop(20)
ctl("delete", "--all")
rv.check("nobody touched nftables", "table" not in rv.run("nft", "list", "ruleset", ns=outside).stdout)
sys.exit(rv.finish())
