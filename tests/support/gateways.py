"""Two gateways with a wire between them and a network behind each: the set-up that tests and measurements of the packet path share.

    left, right = gateways.pair(folder, ns_left, ns_right, udp=True)     # 10.1.0.1 behind the left, 10.2.0.1 behind the right
    ...
    status, counters = left.stop()

Each is a stack_run (the packet path alone, without bus and SAF) with a device wire0, which the caller has made, and a TUN."""
import os
import re

import rv

PROFILE = """IPCONFIG IPSECURITY
IPCONFIG6 IPSECURITY
INTERFACE WIRE DEFINE AFPACKET DEVICE wire0 {driver}IPADDR 192.0.2.{me}/24 IPADDR 2001:db8::{me}/64
INTERFACE HOST DEFINE TUN DEVICE tun0 IPADDR 10.{me}.0.1/24 IPADDR 2001:db8:{me}::1/64
BEGINROUTES
  ROUTE 10.{peer}.0.0/24 192.0.2.{peer} WIRE
  ROUTE 2001:db8:{peer}::/64 2001:db8::{peer} WIRE
ENDROUTES
IPSEC LOGENABLE
  IPSECRULE * * NOLOG PROTO ICMP
ENDIPSEC
WORKERS {workers}
"""
KEYS = {1: os.urandom(20).hex(), 2: os.urandom(20).hex()}  # of what the first and the second receive


def manual(me, local, remote, name="gcm", base=1000, keys=None, more=""):
    """A manual tunnel's action as number @me (1 or 2) needs it; @more: further statements."""
    keys = keys or KEYS
    return """IpManVpnAction %s {
  LocalSecurityEndpointAddr %s
  RemoteSecurityEndpointAddr %s
%s  HowToEncap Tunnel
  HowToEncrypt AES_GCM KeyLength 128
  HowToAuth ESP NULL
  EncryptInboundSa %d 0x%s
  EncryptOutboundSa %d 0x%s
}
""" % (name, local, remote, more, base + me, keys[me], base + 3 - me, keys[3 - me])


def rule(name, source, dest, action="ipsec", vpn="gcm", service="all"):
    """A filter rule; @vpn: the tunnel's action, for ipsec."""
    return "  IpFilterRule %s { IpSourceAddr %s\n    IpDestAddr %s\n    IpServiceRef %s\n    IpGenericFilterActionRef %s\n%s  }\n" % (
        name, source, dest, service, action, "    IpManVpnActionRef %s\n" % vpn if action == "ipsec" else "")


def sites(me, six=True):
    """The rules that send what goes between the two sites through the tunnel."""
    four = rule("four", "10.%d.0.0/24" % me, "10.%d.0.0/24" % (3 - me))
    return four + (rule("six", "2001:db8:%d::/64" % me, "2001:db8:%d::/64" % (3 - me)) if six else "")


def policy(tunnels, rules, more=""):
    """A policy of these actions and rules, with a service for everything and a generic action of each kind; @more: further objects."""
    kinds = ("ipsec", "permit", "deny")
    return ("IpService all { Protocol all\n Direction Bidirectional\n Routing Either }\n" +
            "".join("IpGenericFilterAction %s { IpFilterAction %s }\n" % (k, "IpSec" if k == "ipsec" else k.capitalize()) for k in kinds) +
            more + tunnels + "IpFilterPolicy {\n" + rules + "}\n")


class StackRun(rv.Process):
    """stack_run, the packet path alone, by the profile in @file."""

    def __init__(self, ns, file, name="stack_run"):
        super().__init__([rv.program("stack_run"), file], ns=ns, name=name)

    def counters(self):
        """What it counted by name, when it has ended."""
        return {m[1]: int(m[2]) for m in re.finditer(r"(?m)^[^\t\n]+\t([A-Z0-9_.]+)\t(\d+)$", self.output())}

    def ended(self):
        """Ends it, which is a check; what it counted."""
        rv.check("the stack ends in order", self.stop(15) == 0, self.output())
        return self.counters()


def stack(ns, name, profile, rules=None):
    """A StackRun by these texts, started."""
    if rules:
        profile += "IPSECPOLICY '%s'\n" % rv.write("stacks/%s.policy" % name, rules)
    return StackRun(ns, rv.write("stacks/%s.profile" % name, profile)).start()


class Gateway:
    """Number @me (1 or 2). @protect: with the tunnel in its policy, else only what the profile permits. @udp: ESP in UDP."""

    def __init__(self, folder, ns, me, protect=True, udp=False, workers=1, driver=""):
        self.ns, self.me, peer = ns, me, 3 - me
        profile, rules = (os.path.join(folder, "%s-%d.%s" % (ns, me, kind)) for kind in ("profile", "policy"))
        text = PROFILE.format(me=me, peer=peer, workers=workers, driver="DRIVER %s " % driver if driver else "")
        if protect:
            with open(rules, "w") as f:
                f.write(policy(manual(me, "192.0.2.%d" % me, "192.0.2.%d" % peer, more="  UdpEncapsulation %s\n" % ("Yes" if udp else "No")),
                               sites(me)))
            text += "IPSECPOLICY '%s'\n" % rules
        with open(profile, "w") as f:
            f.write(text)
        self.process = StackRun(ns, profile, name="stack_run-%s-%d" % (ns, me))

    def start(self):
        self.process.start()
        up = rv.until(lambda: not self.process.running() or "tun0" in rv.run("ip", "-br", "link", ns=self.ns).stdout, 20)
        if not up or not self.process.running():
            raise RuntimeError("the stack does not start: " + self.process.output())
        return self

    def stop(self):
        """Its exit status, and what it counted by name."""
        status = self.process.stop()
        return status, self.process.counters()


def pair(folder, ns_left, ns_right, **how):
    return Gateway(folder, ns_left, 1, **how).start(), Gateway(folder, ns_right, 2, **how).start()


def passes(ns, address="10.2.0.1", seconds=20):
    """Whether a ping gets through within that time."""
    return bool(rv.until(lambda: rv.run("ping", "-c1", "-W1", address, ns=ns).returncode == 0, seconds))


def cpu_seconds(processes):
    """What they used until now, in user and system mode."""
    ticks = 0
    for p in processes:
        with open("/proc/%d/stat" % p.p.pid) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
