#!/usr/bin/python3
"""A real stack-core, its filters and stackctl: authority, defences on live traffic, messages, exclusion, expiry, the switch."""
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import rv

STACK = "GATE"
PROFILE = """
IPCONFIG IPSECURITY
IPCONFIG6 IPSECURITY
INTERFACE WIRE DEFINE AFPACKET DEVICE wire0 IPADDR 192.0.2.1/24 IPADDR 2001:db8::1/64
IPSEC LOGENABLE LOGIMPLICIT
  IPSECRULE * * NOLOG PROTO ICMP
  IPSEC6RULE * * NOLOG PROTO ICMPV6
ENDIPSEC
IPSECPOLICY '{policy}'
WORKERS 2
"""
POLICY = """
IpService ping { Protocol icmp }
IpService ping6 { Protocol icmpv6 }
IpGenericFilterAction permit { IpFilterAction Permit }
IpGenericFilterAction deny { IpFilterAction Deny
 IpFilterLogging Yes }
IpFilterPolicy {
 IpFilterRule NotThem { IpSourceAddr 192.0.2.1
 IpDestAddr 192.0.2.66
 IpServiceRef ping
 IpGenericFilterActionRef deny }
 IpFilterRule Ping { IpSourceAddr all
 IpDestAddr all
 IpServiceRef ping
 IpGenericFilterActionRef permit }
 IpFilterRule Ping6 { IpSourceAddr all6
 IpDestAddr all6
 IpServiceRef ping6
 IpGenericFilterActionRef permit }
}
"""


def ctl(*args, uid=0):
    return rv.run("stackctl", "-p", STACK, *args, uid=uid)


def listed(*args):
    p = ctl("--json", *args)
    return json.loads(p.stdout) if p.returncode == 0 else {"failed": p.stderr}


def ping(source="192.0.2.2", target="192.0.2.1", count=1):
    p = rv.run("ping", "-c", count, "-i", "0.05", "-W", "0.5", "-I", source, target, ns=outside)
    return rv.ping_rate(p.stdout)[1] == count


def defend(**kw):
    q = stack_pb.DefendRequest(reset=kw.pop("reset", False), remove=kw.pop("remove", []))
    if "excludes" in kw:
        q.set_excludes = True
        q.excludes.extend(kw.pop("excludes"))
    for d in kw.pop("add", []):
        q.add.add(**dict({"family": 4, "inbound": True, "routing": 3, "log": True,
                          "expires_us": int((time.time() + 600) * 1e6)}, **d))
    code, text, reply = client.call("stack.Defend", q, stack_pb.DefendReply)
    return code, text, reply


def told(topic, word, seconds=3.0):
    """The text of the next event @topic that has @word in it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        e = events.wait(topic, end - time.monotonic())
        if e:
            message = stack_pb.FilterLog.FromString(e[2]).message
            if word in message:
                return message
    return ""


net = rv.Net("rvf")
gate, outside = net.ns("gate"), net.ns("out")
net.veth(gate, "wire0", outside, "eth0", offloads=False)
net.addr(outside, "eth0", "192.0.2.2/24", "192.0.2.66/24", "2001:db8::2/64")

p = rv.run("stackctl", "links")
rv.check("no stack: said so, status 1", p.returncode == 1 and "no stack-core is running" in p.stderr, p.stderr)
rv.run("safctl", "--init")
rv.saf_base([STACK])
for what in ("LINKS", "ROUTES", "NEIGHBOURS", "COUNTERS", "STATS"):
    rv.permit("EZB.NETSTAT.{sysname}.%s.%s" % (STACK, what), "IBMUSER")
for resource in ("EZB.IPSECCMD.{sysname}.%s.DISPLAY", "EZB.IPSECCMD.{sysname}.%s.CONTROL", "RAVELIN.STACK.{sysname}.%s.DEFEND",
                 "EZB.NETMGMT.{sysname}.%s.EVENTS"):
    rv.permit(resource % STACK, "IBMUSER")
rv.write("stacks/%s.profile" % STACK, PROFILE.format(policy=rv.write("stacks/gate.policy", POLICY)))
daemon = rv.Daemon("stack-core", STACK, ns=gate)
stack_pb = rv.protos().stack
client = rv.Client("stack-core@" + STACK)
events = rv.Subscriber("stack-core@" + STACK, "stack.filter.")
time.sleep(0.3)

# --- authority and usage ---
for words in (["links"], ["routes"], ["neighbours"], ["sas"], ["filters"], ["defences"], ["counters"], ["drops"], ["stats"],
              ["filters", "switch", "default"], ["filters", "test", "192.0.2.2", "192.0.2.1"]):
    p = rv.run("stackctl", "-p", STACK, *words, uid=rv.MALLORY_UID)
    rv.check("'%s' is refused to a stranger" % " ".join(words), p.returncode == 3 and p.stdout == "", "%d %s" % (p.returncode, p.stderr))
for words in (["nonsense"], ["filters", "nonsense"], ["filters", "switch", "nonsense"], ["filters", "test", "1.2.3.4"],
              ["filters", "test", "1.2.3.4", "1.2.3.5", "prot", "256"], ["filters", "test", "1.2.3.4", "1.2.3.5", "prot"],
              ["stats", "nonsense"], ["links", "too", "many"]):
    p = ctl(*words)
    rv.check("'%s' is a usage error" % " ".join(words), p.returncode == 2, "%d %s" % (p.returncode, p.stderr))
p = rv.run("stackctl", "-p", "NOSUCH", "--timeout", "500", "links")
rv.check("a stack that does not run is named", p.returncode == 1 and "NOSUCH" in p.stderr, p.stderr)

# --- displays ---
for words in (["links"], ["routes"], ["neighbours"], ["sas"], ["filters"], ["defences"], ["counters"], ["drops"], ["stats"]):
    p, j = ctl(*words), listed(*words)
    rv.check("'%s' answers as text and as JSON" % words[0], p.returncode == 0 and p.stdout.strip() and "failed" not in j, p.stderr or j)
rv.check("links shows the addresses", "192.0.2.1/24" in ctl("links").stdout and "wire0" in ctl("links").stdout, ctl("links").stdout)
p = ctl("stats", "--openmetrics")
rv.check("stats speaks OpenMetrics", "# TYPE ravelin_" in p.stdout and p.stdout.rstrip().endswith("# EOF"), p.stdout[-200:] + p.stderr)
names = [f["name"] for f in listed("filters").get("filters", [])]
rv.check("the policy's filters are in force, then the implicit deny",
         names[:2] == ["NotThem", "NotThem"] and names[-1] == "SYSDEFAULTDENYRULE", names)
profile = listed("filters", "profile").get("filters", [])
rv.check("profile rules come in pairs", [(f["name"], f["direction"]) for f in profile[:2]] ==
         [("SYSDEFAULTRULE.1", "Outbound"), ("SYSDEFAULTRULE.1", "Inbound")], profile[:2])

# --- live traffic ---
rv.check("ping passes", ping())
rv.check("ping passes over IPv6", ping("2001:db8::2", "2001:db8::1"))
rv.check("the policy denies its host", not ping("192.0.2.66"))
text = told("stack.filter.denied", "EZD0815I")
rv.check("and says so", "filter rule= NotThem" in text and "sipaddr= 192.0.2.66 dipaddr= 192.0.2.1 proto= ICMP(1) type= 8 code= 0" in text, text)
rv.check("filters switch default", ctl("filters", "switch", "default").returncode == 0 and ping("192.0.2.66"))
rv.run("bash", "-c", "exec 3<>/dev/tcp/192.0.2.1/23", ns=outside, timeout=2)
text = told("stack.filter.denied", "SYSDEFAULTDENYRULE")
rv.check("the implicit deny logs when LOGIMPLICIT says so", "EZD0815I" in text and "dport= 23" in text, text)
rv.check("filters switch policy", ctl("filters", "switch", "policy").returncode == 0 and not ping("192.0.2.66"))
test = [f["name"] for f in listed("filters", "test", "192.0.2.66", "192.0.2.1", "prot", "1", "dir", "in").get("filters", [])]
rv.check("filters test names all that could match", test == ["NotThem", "Ping", "SYSDEFAULTDENYRULE"], test)

# --- defences ---
started = time.monotonic()
code, why, reply = defend(add=[{"id": 7, "name": "Intruder", "extension": 1, "source": "192.0.2.2/32"}])
took = (time.monotonic() - started) * 1000
rv.check("a defence is installed", code == 1 and reply.installed == 1, why)
rv.check("within 50 ms", took < 50, "%.1f ms" % took)
rv.check("and blocks the next packet", not ping())
text = told("stack.filter.denied", "EZD1721I")
rv.check("with its message", text.startswith("EZD1721I Packet denied by defensive filter: ") and
         "filter rule= Intruder ext= 1 sipaddr= 192.0.2.2 dipaddr= 192.0.2.1" in text and "ifcname= WIRE" in text, text)
shown = listed("defences").get("filters", [{}])[0]
rv.check("defences counts the match", shown.get("name") == "Intruder" and shown.get("matches", 0) >= 1 and
         shown.get("action") == "Defensive Block" and shown.get("expires_us", 0) > time.time() * 1e6, shown)
rv.check("drops names the reason", "FILTER_DEFENSIVE" in ctl("drops").stdout, ctl("drops").stdout)
rv.check("other traffic is not touched", ping("2001:db8::2", "2001:db8::1"))
code, why, reply = defend(add=[{"id": 8, "name": "Good", "source": "192.0.2.9/32"}, {"id": 9, "name": "Bad", "source": "2001:db8::/32"}])
rv.check("all or nothing: one bad filter, none is installed", code == 2 and len(listed("defences").get("filters", [])) == 1, why)
defend(excludes=["192.0.2.2/32"])
rv.check("an excluded address passes", ping())
rv.check("and is shown", listed("defences").get("exclusions") == ["192.0.2.2/32"], listed("defences"))
defend(excludes=[])
defend(add=[{"id": 7, "name": "Intruder", "extension": 1, "source": "192.0.2.2/32", "simulate": True}])
rv.check("simulated: the packet passes", ping())
text = told("stack.filter.simulated", "EZD1722I")
rv.check("with the message that it would not have", "filter rule= Intruder ext= 1" in text, text)
defend(add=[{"id": 7, "name": "Intruder", "source": "192.0.2.2/32", "expires_us": int((time.time() + 1.5) * 1e6)}])
rv.check("blocked until it expires", not ping())
rv.check("expired: gone by itself", rv.until(ping, 4.0) and rv.until(lambda: not listed("defences").get("filters"), 3.0),
         listed("defences"))

# --- many ---
code = 1
for base in range(0, 20000, 2000):
    code = max(code, defend(add=[{"id": 1000 + base + i, "name": "Many", "extension": i, "source": "10.%d.%d.%d/32" %
                                  (base >> 12, (base + i) >> 8 & 255, (base + i) & 255)} for i in range(2000)])[0])
rv.check("20,000 defences are held", code == 1 and len(listed("defences").get("filters", [])) == 20000)
rv.check("and traffic passes by them", ping(count=10))
rv.check("reset takes them all", defend(reset=True)[2].installed == 0 and not listed("defences").get("filters"))
rv.check("the daemon ends in order", daemon.stop() == 0, daemon.output()[-500:])
client.close()
events.close()
sys.exit(rv.finish())
