#!/usr/bin/python3
"""Time conditions: at one full minute, which the test computes, filters come in force and go, intrusion detection begins, an IKE rule can be
used; some seconds later that rule ends, and its tunnel with it. Two gateways; the clock is the computer's."""
import json
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import rv
from ikelab import IKED_UID, Gateway, Wire, policy

SECONDS = 14  # that the IKE rule is in force
IDS = """IpTimeCondition later { ConditionTimeRange %(from)s:%(to)s
  TimeZone UTC }
IDSAction act { ActionType ATTACK nodiscard }
IDSRule protocols { ConditionType Attack
  IDSAttackCondition { AttackType RESTRICTED_IP_PROTOCOL
    ProtocolRange 100 }
  IDSActionRef act
  IpTimeConditionRef later }
"""
CONDITIONS = """
IpTimeCondition until { TimeOfDayRange %(before)s-%(minute)s
  TimeZone Local }
IpTimeCondition from { TimeOfDayRange %(minute)s-%(after)s
  DayOfWeekMask 1111111
  TimeZone UTC }
IpTimeCondition short { ConditionTimeRange %(from)s:%(end)s
  TimeZone UTC }
IpService ping { Protocol icmp
  Routing Either }
"""
RULES = """
  IpFilterRule early { IpSourceAddr 192.0.2.1
    IpDestAddr 192.0.2.7
    IpServiceRef ping
    IpGenericFilterActionRef permit
    IpTimeConditionRef until }
  IpFilterRule late { IpSourceAddr 192.0.2.1
    IpDestAddr 192.0.2.8
    IpServiceRef ping
    IpGenericFilterActionRef permit
    IpTimeConditionRef from }
"""


def words(at):
    """What the texts need, for a change at @at."""
    def minute(t, clock):
        return time.strftime("%H:%M", clock(t))
    def stamp(t):
        return time.strftime("%Y%m%d%H%M%S", time.gmtime(t))
    return {"before": minute(at - 600, time.localtime), "minute": minute(at, time.localtime), "after": minute(at + 600, time.gmtime),
            "from": stamp(at), "to": stamp(at + 600), "end": stamp(at + SECONDS - 1)}


def timed(gateway, at):
    """The usual policy with the conditions, on disk for stack-core and ikeD; its KeyExchangeRule holds from @at for SECONDS."""
    w = words(at)
    conditions = (CONDITIONS % w).replace("TimeOfDayRange %s-%s" % (w["minute"], w["after"]),
                                          "TimeOfDayRange %s-%s" % (time.strftime("%H:%M", time.gmtime(at)), w["after"]))
    text = conditions + policy(gateway.me, gateway.peer, rules=RULES, pfs="None", pfs_ok="None").replace(
        "KeyExchangeRule gw {", "KeyExchangeRule gw {\n    IpTimeConditionRef short")
    for where, uid in (("stacks", rv.STACKCOR_UID), ("ike", IKED_UID)):
        full = rv.write("%s/%s.policy" % (where, gateway.name), text)
        os.chown(full, uid, uid)
        os.chmod(full, 0o600)
    rv.write("stacks/ids.policy", IDS % w)
    with open(rv.path("etc/ravelin/stacks/%s.profile" % gateway.name), "a") as f:
        f.write("IDSPOLICY 'stacks/ids.policy'\n")


def pings(ns, source, count=3):
    return rv.ping_rate(rv.run("ping", "-n", "-c", str(count), "-i", "0.2", "-W", "1", "-I", source, "192.0.2.1", ns=ns).stdout)[1]


def filters(gateway, scope):
    """{name: (state, time condition)} of ipsec -f display."""
    out = gateway.run("ipsec", "-f", "display", "-c", scope, "-p", gateway.name).stdout
    got = {}
    for part in re.split(r"(?m)^(?=FilterName:)", out):
        name = re.match(r"FilterName:\s+(\S+)", part)
        if name:
            field = lambda word: (re.search(r"(?m)^\s*%s:\s+(.*?)\s*$" % word, part) or [None, None])[1]
            got[name.group(1)] = (field("State"), field("TimeCondition"))
    return got, out


def detection(gateway):
    p = gateway.run("stackctl", "-p", gateway.name, "--json", "ids")
    return json.loads(p.stdout) if p.returncode == 0 else {}


def before(left, friend):
    rv.check("before: the filter whose time it is lets pass", pings(friend, "192.0.2.7") == 3)
    rv.check("before: the other does not", pings(friend, "192.0.2.8") == 0)
    got, out = filters(left, "current")
    rv.check("before: the display names the condition, and only filters in force", got.get("early") == ("Active", "until") and
             "late" not in got, out[-1500:])
    got, out = filters(left, "policy")
    rv.check("before: the display of the policy has the sleeping one, too", got.get("late") == ("Inactive", "from") and
             got.get("early") == ("Active", "until") and got.get("nets") == ("Active", "n/a"), out[-1500:])
    rv.check("before: the rule of intrusion detection sleeps", int(detection(left).get("rules", 0)) == 0, detection(left))
    p = left.activate()
    rv.check("before: no KeyExchangeRule for the peer, which is said", p.returncode != 0 and "KeyExchangeRule" in p.stdout + p.stderr,
             p.stdout + p.stderr)


def after(left, right, friend, at):
    for who, source in (("begins", "192.0.2.8"), ("ends", "192.0.2.7")):
        want = who == "begins"
        rv.check("the filter whose time %s does so within three seconds of its minute" % who,
                 rv.until(lambda: (pings(friend, source, 1) == 1) == want, max(0, at + 3 - time.time()), 0.1) and
                 pings(friend, source) == (3 if want else 0), (time.time() - at, left.stack.output()[-800:]))
    got, out = filters(left, "policy")
    rv.check("after: the display says so", got.get("late") == ("Active", "from") and got.get("early") == ("Inactive", "until"), out[-1500:])
    rv.check("after: the rule of intrusion detection is in force", rv.until(lambda: int(detection(left).get("rules", 0)) == 1, 3, 0.1),
             detection(left))
    p = rv.until(lambda: (lambda p: p.returncode == 0 and p)(left.activate()), 4, 0.3)
    rv.check("after: IKE negotiates", p and left.up(5) and left.ping(3) == 3, (p, left.log()[-800:]))
    rv.until(lambda: time.time() >= at + SECONDS, 60, 0.1)
    rv.check("when the rule's time is over its tunnel ends, and the peer hears it", rv.until(lambda: not left.dynamic() and not left.tunnels()
             and not left.in_stack() and not right.dynamic(), 5, 0.1), (left.dynamic(), right.dynamic(), left.log()[-800:]))
    rv.check("and no other is made", left.activate().returncode != 0 and right.activate().returncode != 0, left.log()[-800:])


def main():
    wire = Wire("rvtime")
    left, right = Gateway(1, wire.join("left", 1)), Gateway(2, wire.join("right", 2), peer=1)
    friend = wire.join("friend", 7)
    rv.Net.addr(friend, "eth0", "192.0.2.7/24", "192.0.2.8/24")
    right.policy(pfs="None", pfs_ok="None")
    right.start()
    left.use()
    at = (int(time.time()) + 10 + 59) // 60 * 60
    timed(left, at)
    rv.permit("EZB.NETSTAT.{sysname}.LEFT.IDS", "IBMUSER")
    left.start()
    before(left, friend)
    rv.check("all of this was before the minute", time.time() < at, time.time() - at)
    time.sleep(max(0, at - time.time()))
    after(left, right, friend, at)
    rv.check("both end in order", left.iked.stop() == 0 and left.stack.stop() == 0, left.log()[-500:])
    return rv.finish()


sys.exit(main())
