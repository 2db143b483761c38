#!/usr/bin/python3
"""tunnel.tcp1, tunnel.tcp4: TCP through two stack-cores and an AES-GCM-128 ESP tunnel between two namespaces, end to end;
tunnel.udp.tcp1, tunnel.udp.tcp4: the same by ESP in UDP, which the kernel carries in super-packets.

The peer is the same iperf3 over the same kind of cable without any protection and without the cable's offloads (each packet is built,
copied and received by itself, as on a NIC that helps with nothing): the cost of the packets alone. Both are measured in turn."""
import os
import re
import statistics
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import rv

RUNS, SECONDS = 5, 2
PROFILE = """IPCONFIG IPSECURITY
INTERFACE WIRE DEFINE AFPACKET DEVICE wire0 IPADDR 192.0.2.{me}/24
INTERFACE HOST DEFINE TUN DEVICE tun0 IPADDR 10.{me}.0.1/24
BEGINROUTES
  ROUTE 10.{peer}.0.0/24 192.0.2.{peer} WIRE
ENDROUTES
IPSECPOLICY '{policy}'
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
  EncryptInboundSa {in_} 0x{key_in}
  EncryptOutboundSa {out} 0x{key_out}
}}
IpFilterPolicy {{
  IpFilterRule all {{ IpSourceAddr 10.{me}.0.0/24
    IpDestAddr 10.{peer}.0.0/24
    IpServiceRef all
    IpGenericFilterActionRef ipsec
    IpManVpnActionRef gcm }}
}}
"""


def iperf(left, right, address, streams):
    server = rv.Process(["iperf3", "-s", "-1"], ns=right).start()
    rv.until(lambda: ":5201" in rv.run("ss", "-Hltn", ns=right).stdout, 3)
    r = rv.run("iperf3", "-c", address, "-t", SECONDS, "-P", streams, "-f", "m", "--connect-timeout", "3000", ns=left, timeout=30)
    server.wait(5)
    server.kill()
    m = re.findall(r"([\d.]+) Mbits/sec.*receiver", r.stdout)
    if not m:
        raise RuntimeError("iperf3 to %s: %s%s" % (address, r.stdout, r.stderr))
    return float(m[-1]) / 1000


def stack(folder, ns, me, peer, *how):
    profile, policy = os.path.join(folder, "%d.profile" % me), os.path.join(folder, "%d.policy" % me)
    keys = {1: os.urandom(20).hex() if me == 1 else KEYS[1], 2: os.urandom(20).hex() if me == 1 else KEYS[2]}
    KEYS.update(keys)
    with open(policy, "w") as f:
        f.write(POLICY.format(me=me, peer=peer, in_=1000 + me, out=1000 + peer, key_in=keys[me], key_out=keys[peer]))
    with open(profile, "w") as f:
        f.write(PROFILE.format(me=me, peer=peer, policy=policy))
    p = rv.Process([rv.program("stack_run"), *how, profile], ns=ns).start()
    if not rv.until(lambda: not p.running() or "tun0" in rv.run("ip", "-br", "link", ns=ns).stdout, 5) or not p.running():
        raise RuntimeError("the stack does not start: " + p.output())


KEYS = {}


def main():
    net = rv.Net("rvb")
    left, right = net.ns("left"), net.ns("right")
    udp_left, udp_right = net.ns("ul"), net.ns("ur")
    plain_left, plain_right = net.ns("pl"), net.ns("pr")
    net.veth(left, "wire0", right, "wire0")
    net.veth(udp_left, "wire0", udp_right, "wire0")
    net.veth(plain_left, "wire0", plain_right, "wire0", offloads=False)
    net.addr(plain_left, "wire0", "198.51.100.1/24")
    net.addr(plain_right, "wire0", "198.51.100.2/24")
    with tempfile.TemporaryDirectory(prefix="rv-bench-") as folder:
        stack(folder, left, 1, 2)
        stack(folder, right, 2, 1)
        stack(folder, udp_left, 1, 2, "--udp")
        stack(folder, udp_right, 2, 1, "--udp")
        for ns in (left, udp_left):
            if not rv.until(lambda: rv.run("ping", "-c1", "-W1", "10.2.0.1", ns=ns).returncode == 0, 10):
                raise RuntimeError("nothing passes through the tunnel")
        for name, streams, a, b in (("tunnel.tcp1", 1, left, right), ("tunnel.tcp4", 4, left, right),
                                    ("tunnel.udp.tcp1", 1, udp_left, udp_right), ("tunnel.udp.tcp4", 4, udp_left, udp_right)):
            ours, peers = [], []
            for _ in range(RUNS):
                ours.append(iperf(a, b, "10.2.0.1", streams))
                peers.append(iperf(plain_left, plain_right, "198.51.100.2", streams))
                time.sleep(0.1)
            x, y = statistics.median(ours), statistics.median(peers)
            print("%s\t%.3f\tGbit/s\tveth-clear-no-offloads\t%.3f\t%.3f" % (name, x, y, x / y), flush=True)
    rv.cleanup()
    return 0


if os.geteuid() != 0:
    sys.exit("tunnel: must run as root (it makes network namespaces)")
sys.exit(main())
