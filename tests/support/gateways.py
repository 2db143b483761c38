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
POLICY = """IpService all {{ Protocol all
 Direction Bidirectional
 Routing Either }}
IpGenericFilterAction ipsec {{ IpFilterAction IpSec }}
IpManVpnAction gcm {{
  LocalSecurityEndpointAddr 192.0.2.{me}
  RemoteSecurityEndpointAddr 192.0.2.{peer}
  HowToEncap Tunnel
  HowToEncrypt AES_GCM KeyLength 128
  HowToAuth ESP NULL
  UdpEncapsulation {udp}
  EncryptInboundSa {spi_in} 0x{key_in}
  EncryptOutboundSa {spi_out} 0x{key_out}
}}
IpFilterPolicy {{
  IpFilterRule four {{ IpSourceAddr 10.{me}.0.0/24
    IpDestAddr 10.{peer}.0.0/24
    IpServiceRef all
    IpGenericFilterActionRef ipsec
    IpManVpnActionRef gcm }}
  IpFilterRule six {{ IpSourceAddr 2001:db8:{me}::/64
    IpDestAddr 2001:db8:{peer}::/64
    IpServiceRef all
    IpGenericFilterActionRef ipsec
    IpManVpnActionRef gcm }}
}}
"""
KEYS = {1: os.urandom(20).hex(), 2: os.urandom(20).hex()}  # of what the first and the second receive


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


def stack(ns, name, profile, policy=None):
    """A StackRun by these texts, started."""
    if policy:
        profile += "IPSECPOLICY '%s'\n" % rv.write("stacks/%s.policy" % name, policy)
    return StackRun(ns, rv.write("stacks/%s.profile" % name, profile)).start()


class Gateway:
    """Number @me (1 or 2). @protect: with the tunnel in its policy, else only what the profile permits. @udp: ESP in UDP."""

    def __init__(self, folder, ns, me, protect=True, udp=False, workers=1, driver=""):
        self.ns, self.me, peer = ns, me, 3 - me
        profile, policy = (os.path.join(folder, "%s-%d.%s" % (ns, me, kind)) for kind in ("profile", "policy"))
        text = PROFILE.format(me=me, peer=peer, workers=workers, driver="DRIVER %s " % driver if driver else "")
        if protect:
            with open(policy, "w") as f:
                f.write(POLICY.format(me=me, peer=peer, spi_in=1000 + me, spi_out=1000 + peer, key_in=KEYS[me], key_out=KEYS[peer],
                                      udp="Yes" if udp else "No"))
            text += "IPSECPOLICY '%s'\n" % policy
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
