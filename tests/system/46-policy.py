#!/usr/bin/python3
"""Policy files: policyctl on good and bad ones, the sample, keys that others may read; a stack with a common file and anchors, displayed."""
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import rv

STACK = "GATE"
PROFILE = """
IPCONFIG IPSECURITY
INTERFACE WIRE DEFINE AFPACKET DEVICE wire0 IPADDR 192.0.2.1/24
IPSECPOLICY 'stacks/gate.policy' COMMON 'common.policy'
WORKERS 1
"""
POLICY = """
IpAddrSet remote { Prefix 10.2.0.0/16 }
IpLocalStartAction whole { LocalIpGranularity Rule
  RemoteIpGranularity Rule
  AllowOnDemand Yes }
IpFilterPolicy {
  IpFilterGroup tunnels {
    IpFilterRule wide { IpSourceAddr 10.1.0.0/16
      IpDestAddrSetRef remote
      IpServiceRef all
      IpGenericFilterActionRef protect
      IpDynVpnActionRef aes
      IpLocalStartActionRef whole }
  }
  IpFilterRule answered { IpSourceAddr 10.1.0.0/16
    IpDestAddr 10.3.0.0/16
    IpServiceRef all
    IpGenericFilterActionRef protect
    IpDynVpnActionRef aes }
}
"""
COMMON = """
IpService all { Protocol all
  Routing Either }
IpAddrSet remote { Prefix 10.9.0.0/16 }
IpGenericFilterAction protect { IpFilterAction IpSec }
IpDynVpnAction aes { IpDataOffer { HowToEncap Tunnel
  HowToEncrypt AES_GCM } }
"""
KEYS = """
KeyExchangePolicy { KeyExchangeRule r {
  LocalSecurityEndpoint { Location 192.0.2.1 }
  RemoteSecurityEndpoint { Location 192.0.2.2 }
  KeyExchangeAction { KeyExchangeOffer { Suite VPN-B
    HowToAuthPeers PresharedKey } }
  SharedKey Ascii geheimnisvoll } }
"""


def file(name, text, mode=0o644):
    full = rv.write(name, text)
    os.chmod(full, mode)
    return full


def check(*args):
    return rv.run("policyctl", *args)


def tool():
    with open(os.path.join(rv.TOP, "conf/policy/ipsec.policy")) as f:
        sample = f.read()
    p = check("check", file("sample.policy", sample, 0o640))
    rv.check("the sample of conf/policy is good", p.returncode == 0 and "6 filter rules" in p.stdout, p.stdout + p.stderr)
    p = check("check", file("sample.policy", sample, 0o644))
    rv.check("readable by others it is refused, with mode and reason",
             p.returncode == 1 and "found mode 0644, expected 0640 or less: it holds a SharedKey" in p.stderr, p.stderr)
    p = check("--json", "check", file("sample.policy", sample, 0o600))
    j = json.loads(p.stdout) if p.returncode == 0 else {}
    rules = {r["name"]: r for r in j.get("filter_rules", [])}
    rv.check("--json shows it resolved", rules.get("Branch", {}).get("local_start_action", {}).get("name") == "to-branch" and
             [r["name"] for r in j["key_exchange_rules"]] == ["branch", "laboratory", "partners"], p.stdout[:500] + p.stderr)
    rv.check("nothing in it is doubtful", p.stderr == "", p.stderr)
    q = check("check", file("stacks/gate.policy", POLICY), file("common.policy", COMMON))
    rv.check("anchors that nothing can use are worth warnings", q.returncode == 0 and "no rule permits IKE" in q.stderr and
             "no KeyExchangeRule" in q.stderr, q.stderr)
    rv.check("and no key", "change-me" not in p.stdout and "00010203" not in p.stdout)
    bad = file("bad.policy", "IpFilterPolicy { IpFilterRuleRef nix }\nKeyExchangePolicy { AllowNat Maybe }\nNonsense\n")
    p = check("check", bad)
    rv.check("every mistake of a file is named with its place", p.returncode == 1 and "%s:2:30: found 'Maybe'" % bad in p.stderr and
             "%s:3:1: found 'Nonsense'" % bad in p.stderr, p.stderr)
    p = check("check", file("bad.policy", "IpFilterPolicy { IpFilterRuleRef nix }\n"))
    rv.check("a name that nothing has, too", "%s:1:18: found IpFilterRuleRef 'nix'" % bad in p.stderr and p.returncode == 1, p.stderr)
    rv.check("a missing file fails", check("check", "/nonexistent").returncode == 1)
    rv.check("usage is usage", check("check").returncode == 2 and check("nonsense").returncode == 2)
    p = check("defaults")
    rv.check("defaults names statements", all(w in p.stdout for w in ("IpDynVpnAction", "KeyExchangeOffer", "LocalDynVpnRule")))
    p = rv.run("mandoc", "-Tlint", "-Wwarning", os.path.join(rv.TOP, "lib/policy/ravelin-ipsec-policy.5"))
    rv.check("ravelin-ipsec-policy(5) is sound", p.returncode == 0, p.stdout)


def fields(text):
    """Each entry of a detailed report as a dictionary."""
    entries, now = [], None
    for name, value in re.findall(r"(?m)^ *(\w+): +(.*?) *$", text):
        if name == "FilterName":
            now = {}
            entries.append(now)
        if now is not None:
            now[name] = value
    return entries


def stack():
    net = rv.Net("rvp")
    gate, outside = net.ns("gate"), net.ns("out")
    net.veth(gate, "wire0", outside, "eth0", offloads=False)
    rv.run("safctl", "--init")
    rv.saf_base([STACK])
    rv.permit("EZB.IPSECCMD.{sysname}.%s.DISPLAY" % STACK, "IBMUSER")
    rv.write("stacks/%s.profile" % STACK, PROFILE)
    common = file("common.policy", COMMON + KEYS, 0o644)
    file("stacks/gate.policy", POLICY)
    p = rv.run("stack-core", "--root", rv.root(), "--check", STACK)
    rv.check("a stack refuses a common file with keys for all to read", p.returncode != 0 and
             "%s: found mode 0644" % common in p.stdout + p.stderr, p.stdout + p.stderr)
    file("common.policy", COMMON, 0o644)
    rv.Daemon("stack-core", STACK, ns=gate)
    p = rv.run("ipsec", "-f", "display", "-p", STACK)
    rows = fields(p.stdout)
    rv.check("four simple filters of two anchors, and the implicit ones", [(r["FilterName"], r["FilterNameExtension"]) for r in rows][:4] ==
             [("wide", "1"), ("wide", "2"), ("answered", "1"), ("answered", "2")], p.stdout + p.stderr)
    wide = rows[0] if rows else {}
    for name, value in (("Type", "Dynamic Anchor"), ("GroupName", "tunnels"), ("LocalStartActionName", "whole"), ("VpnActionName", "aes"),
                        ("OnDemand", "Yes"), ("TunnelID", "0x00"), ("Action", "Permit"), ("Direction", "Outbound")):
        rv.check("%s of the first is %s" % (name, value), wide.get(name) == value, wide.get(name))
    rv.check("its destination is the stack file's, not the common one's", "10.2.0.0" in p.stdout and "10.9.0.0" not in p.stdout, p.stdout)
    second = rows[2] if len(rows) > 2 else {}
    rv.check("a rule without start action follows the policy", second.get("OnDemand") == "No" and
             second.get("LocalStartActionName") == "n/a", second)
    p = rv.run("ipsec", "-f", "display", "-p", STACK, "--json")
    j = json.loads(p.stdout) if p.returncode == 0 else []
    rv.check("--json has the same", j and j[0].get("type") == "Dynamic Anchor" and j[0].get("on_demand") is True and
             j[0].get("local_start_action") == "whole", p.stdout[:400])
    rv.permit("EZB.NETSTAT.{sysname}.%s.LINKS" % STACK, "IBMUSER")
    p = rv.run("stackctl", "-p", STACK, "filters")
    rv.check("stackctl filters calls them anchors", len(re.findall(r"Dynamic Anchor", p.stdout)) == 4, p.stdout + p.stderr)


tool()
stack()
sys.exit(rv.finish())
