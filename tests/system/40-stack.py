#!/usr/bin/python3
"""Two stacks in two namespaces, a wire between them: clear and protected traffic, filters, ICMP, TCP super-packets.

The packet path alone (stack_run): the daemon with bus and SAF is tested elsewhere."""
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

BUILD = os.environ.get("RAVELIN_BUILD", "build/debug")
RUN = os.path.join(BUILD, "tests/bench/stack_run")
TAG = "rv-path-%d" % os.getpid()
failed = 0


def check(good, text):
    global failed
    failed += not good
    print(("ok - " if good else "not ok - ") + text, flush=True)


def sh(*args, **kw):
    return subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **kw)


def inside(side, *args, **kw):
    return sh("ip", "netns", "exec", TAG + side, *args, **kw)


PROFILE = """
IPCONFIG IPSECURITY
IPCONFIG6 IPSECURITY
INTERFACE WIRE DEFINE AFPACKET DEVICE wire0 IPADDR 192.0.2.{me}/24 IPADDR 2001:db8::{me}/64
INTERFACE HOST DEFINE TUN DEVICE tun0 IPADDR 10.{me}.0.1/24 IPADDR 2001:db8:{me}::1/64
BEGINROUTES
  ROUTE 10.{peer}.0.0/24 192.0.2.{peer} WIRE
  ROUTE 2001:db8:{peer}::/64 2001:db8::{peer} WIRE
ENDROUTES
IPSEC LOGENABLE
  IPSECRULE * * NOLOG PROTO ICMP
ENDIPSEC
WORKERS 2
"""

KEYS = {1: "a1" * 20, 2: "b2" * 20}
POLICY = """
IpService all {{ Protocol all
 Direction Bidirectional
 Routing Either }}
IpGenericFilterAction permit {{ IpFilterAction Permit }}
IpGenericFilterAction ipsec {{ IpFilterAction IpSec }}
IpManVpnAction gcm {{
  LocalSecurityEndpointAddr 192.0.2.{me}
  RemoteSecurityEndpointAddr 192.0.2.{peer}
  HowToEncap Tunnel
  HowToEncrypt AES_GCM KeyLength 128
  HowToAuth ESP NULL
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


class Stacks:
    running = []

    def __init__(self, folder, policy):
        self.procs = {}
        for me, peer in ((1, 2), (2, 1)):
            path = os.path.join(folder, "%d.profile" % me)
            text = PROFILE.format(me=me, peer=peer)
            if policy and policy != "one" or policy == "one" and me == 1:
                rules = path + ".policy"
                with open(rules, "w") as f:
                    f.write(POLICY.format(me=me, peer=peer, spi_in=1000 + me, spi_out=1000 + peer,
                                          key_in=KEYS[me][:40], key_out=KEYS[peer][:40]))
                text += "IPSECPOLICY '%s'\n" % rules
            with open(path, "w") as f:
                f.write(text)
            self.procs[me] = subprocess.Popen(["ip", "netns", "exec", TAG + str(me), RUN, path],
                                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        Stacks.running += self.procs.values()
        time.sleep(1)

    def stop(self):
        counters = {}
        for me, p in self.procs.items():
            p.send_signal(signal.SIGTERM)
            try:
                out, err = p.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                p.kill()
                out, err = p.communicate()
            check(p.returncode == 0, "stack %d ends in order" % me + ("" if p.returncode == 0 else ": " + err))
            counters[me] = {l.split("\t")[1]: int(l.split("\t")[2]) for l in out.splitlines()}
        return counters


def ping(dest, *more):
    r = inside("1", "ping", "-c", "3", "-i", "0.2", "-W", "1", *more, dest)
    m = re.search(r"(\d+) received", r.stdout)
    return int(m.group(1)) if m else 0


def iperf(dest):
    server = subprocess.Popen(["ip", "netns", "exec", TAG + "2", "iperf3", "-s", "-1"], stdout=subprocess.DEVNULL)
    time.sleep(0.5)
    r = inside("1", "iperf3", "-c", dest, "-t", "2", "-f", "m", "--connect-timeout", "1500", timeout=30)
    if "error" in r.stdout:
        server.kill()
    try:
        server.wait(timeout=5)
    except subprocess.TimeoutExpired:
        server.kill()
    m = re.search(r"([\d.]+) Mbits/sec\s+receiver", r.stdout)
    return float(m.group(1)) if m else 0.0


def clear(folder):
    s = Stacks(folder, None)
    check(ping("10.2.0.1") == 3, "IPv4 through two stacks in clear")
    check(ping("192.0.2.2") == 3, "the other stack's own address answers")
    check(ping("192.0.2.1") == 3, "the own stack's address answers")
    check(ping("2001:db8:2::1") == 0, "IPv6 is stopped by the implicit deny")
    check(iperf("10.2.0.1") == 0, "TCP is stopped: the profile permits ICMP alone")
    c = s.stop()
    check(c[1].get("FILTER_IMPLICIT", 0) > 3, "and counted")


def tunnel(folder):
    s = Stacks(folder, "both")
    dump = subprocess.Popen(["ip", "netns", "exec", TAG + "2", "tcpdump", "-ni", "wire0", "-c", "2000", "-l"],
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    time.sleep(0.7)
    check(ping("10.2.0.1") == 3, "IPv4 through the ESP tunnel")
    check(ping("10.2.0.1", "-s", "4000") == 3, "fragments of the host through the tunnel")
    check(ping("2001:db8:2::1") == 3, "IPv6 through the IPv4 tunnel")
    mbits = iperf("10.2.0.1")
    check(mbits > 50, "TCP through the tunnel (%.0f Mbit/s)" % mbits)
    time.sleep(0.3)
    dump.terminate()
    lines = dump.communicate()[0].splitlines()
    esp = [l for l in lines if " ESP(" in l]
    leaked = [l for l in lines if re.search(r"\b10\.[12]\.0\.1\b|db8:[12]::1", l)]
    check(len(esp) > 10 and not leaked, "the wire shows ESP and nothing of the inside (%d packets)" % len(esp))
    c = s.stop()
    for me in (1, 2):
        check(c[me].get("ENCAP", 0) > 100 and c[me].get("DECAP", 0) > 100, "stack %d protected and opened packets" % me)
        check(not [k for k in c[me] if k.startswith("ESP_") and k != "ESP_NO_SA"], "stack %d refused no protected packet" % me)


def one_sided(folder):
    s = Stacks(folder, "one")
    check(ping("10.2.0.1") == 0, "protected on one side only: nothing passes")
    c = s.stop()
    check(c[2].get("ESP_NO_SA", 0) >= 3, "and the other side counts an unknown SPI")


def main():
    try:
        for side in "12":
            sh("ip", "netns", "add", TAG + side)
            sh("ip", "-n", TAG + side, "link", "set", "lo", "up")
        sh("ip", "-n", TAG + "1", "link", "add", "wire0", "type", "veth", "peer", "name", "wire0", "netns", TAG + "2")
        with tempfile.TemporaryDirectory() as folder:
            clear(folder)
            tunnel(folder)
            one_sided(folder)
    finally:
        for p in Stacks.running:
            if p.poll() is None:
                p.kill()
        for side in "12":
            sh("ip", "netns", "del", TAG + side)
    return 1 if failed else 0


sys.exit(main())
