#!/usr/bin/python3
"""The gateway on one core beside DPDK's ipsec-secgw, AES-GCM-128 in tunnel mode, packets a second in and out:

  secgw.out.64, .1400, secgw.in.64, .1400

Both run in memory: bench_secgw.c from a link that gives packets to one that forgets them, secgw over two devices that do the same
(secgw_dev.c), with the same 256 packets, filters (a pair of security policies there), SA and routes, on the same core, in turn; medians
of five. Sizes are those of the inner IP packet. Arguments, if any, are the figures wanted. secgw runs as it comes from its sources and gets its best: the crypto device for GCM, the
checksums done by its device, both of its code paths (with librte_ipsec and without), of which the better one counts.

RAVELIN_SECGW names the binary: dpdk-ipsec-secgw of DPDK 22.11, built with the net and crypto drivers for virtual devices and
intel-ipsec-mb as DPDK's own documentation says; it stands in build/examples of DPDK's sources, which are also needed to compile the
device (RAVELIN_DPDK names them if they are elsewhere). Root is needed."""
import glob
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get("RAVELIN_BUILD", os.path.join(HERE, "..", "..", "build", "release"))
OURS = os.path.join(BUILD, "tests", "bench", "bench_secgw")
RUNS, SECONDS = 5, 1.0
KEY = ":".join("%02x" % i for i in range(20))
CONF = """sp ipv4 out esp protect 256 pri 1 src 192.0.2.0/24 dst 203.0.113.0/24 sport 0:65535 dport 0:65535
sp ipv4 in esp protect 256 pri 1 src 203.0.113.0/24 dst 192.0.2.0/24 sport 0:65535 dport 0:65535
sa out 256 aead_algo aes-128-gcm aead_key %(key)s mode ipv4-tunnel src 198.51.100.1 dst 198.51.100.2
sa in 256 aead_algo aes-128-gcm aead_key %(key)s mode ipv4-tunnel src 198.51.100.2 dst 198.51.100.1
rt ipv4 dst 198.51.100.2/32 port 1
rt ipv4 dst 192.0.2.0/24 port 0
""" % {"key": KEY}


def compile_device(sources, into):
    dirs = ["config", "build", "lib/eal/include", "lib/eal/linux/include", "lib/eal/x86/include", "drivers/bus/vdev"]
    dirs = [os.path.join(sources, d) for d in dirs] + sorted(glob.glob(os.path.join(sources, "lib", "*", "")))
    out = os.path.join(into, "secgw_dev.so")
    r = subprocess.run(["cc", "-O3", "-march=native", "-shared", "-fPIC", "-DALLOW_INTERNAL_API", "-include", "rte_config.h"] +
                       ["-I" + d for d in dirs] + [os.path.join(HERE, "secgw_dev.c"), "-o", out], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True)
    if r.returncode:
        sys.exit("%s\nsecgw: the device cannot be compiled against %s: are DPDK's sources there, and built? (RAVELIN_DPDK)" %
                 (r.stdout[-1500:], sources))
    return out


def samples(path):
    try:
        return [(float(t), int(n)) for t, n in (line.split() for line in open(path).read().splitlines())]
    except (OSError, ValueError):
        return []


class Peer:
    def __init__(self, binary, device, work, core):
        self.binary, self.device, self.work, self.core = binary, device, work, core
        self.conf = os.path.join(work, "secgw.cfg")
        with open(self.conf, "w") as f:
            f.write(CONF)

    def devices(self, direction, packets, length):
        source = 0 if direction == "out" else 1
        args = []
        for port in 0, 1:
            args += ["--vdev", "net_secgw%d,%scount=%s" % (port, "packets=%d:%s," % (length, packets) if port == source else "",
                                                         os.path.join(self.work, "count%d" % port))]
        return args, os.path.join(self.work, "count%d" % (1 - source))

    def rate(self, direction, packets, length, librte_ipsec):
        """Packets a second that leave, after it has warmed up."""
        devices, count = self.devices(direction, packets, length)
        if os.path.exists(count):
            os.unlink(count)
        argv = [self.binary, "-l", str(self.core), "--no-huge", "-m", "1024", "--no-pci", "--no-telemetry", "--file-prefix", "ravelin-secgw",
                "-d", self.device, "--vdev", "crypto_aesni_gcm0"] + devices + ["--", "-p", "3", "-P", "-u", "2", "--config",
                "(0,0,%d),(1,0,%d)" % (self.core, self.core), "-f", self.conf] + (["-l"] if librte_ipsec else [])
        log = os.path.join(self.work, "secgw.log")
        with open(log, "w") as f:
            p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=f, stderr=subprocess.STDOUT)
        try:
            give_up = time.monotonic() + 60
            while time.monotonic() < give_up and p.poll() is None:
                s = samples(count)
                if len(s) > 2 and s[-1][0] - s[1][0] >= SECONDS:
                    return (s[-1][1] - s[1][1]) / (s[-1][0] - s[1][0])
                time.sleep(0.05)
        finally:
            p.send_signal(signal.SIGINT)
            try:
                p.wait(5)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        sys.exit("%s\nsecgw: ipsec-secgw sends nothing" % open(log, errors="replace").read()[-1500:])


def ours(core, *args):
    r = subprocess.run(["taskset", "-c", str(core), OURS] + [str(a) for a in args], stdout=subprocess.PIPE, text=True)
    if r.returncode:
        sys.exit("secgw: bench_secgw failed")
    return float(r.stdout)


def measure(peer, core, work, direction, size):
    packets = os.path.join(work, "packets")
    length = int(ours(core, "packets", direction, size, packets))
    mine, plain, library = [], [], []
    for _ in range(RUNS):
        mine.append(ours(core, direction, size, SECONDS))
        plain.append(peer.rate(direction, packets, length, False))
        library.append(peer.rate(direction, packets, length, True))
    a, b = statistics.median(mine) / 1e6, max(statistics.median(plain), statistics.median(library)) / 1e6
    print("secgw.%s.%d\t%.3f\tMpps\tDPDK ipsec-secgw\t%.3f\t%.2f" % (direction, size, a, b, a / b), flush=True)


def main():
    binary = os.environ.get("RAVELIN_SECGW")
    if not binary:
        sys.exit(__doc__ + "\n\nsecgw: RAVELIN_SECGW is not set")
    if os.geteuid() != 0:
        sys.exit("secgw: root is needed")
    binary = os.path.abspath(binary)
    sources = os.environ.get("RAVELIN_DPDK") or os.path.dirname(os.path.dirname(os.path.dirname(binary)))
    core = max(os.sched_getaffinity(0))
    work = os.path.join(os.path.abspath(BUILD), "secgw")  # EAL loads nothing from below a directory that all may write to
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work, 0o700)
    try:
        peer = Peer(binary, compile_device(sources, work), work, core)
        for direction in "out", "in":
            for size in 64, 1400:
                if len(sys.argv) < 2 or "secgw.%s.%d" % (direction, size) in sys.argv[1:]:
                    measure(peer, core, work, direction, size)
    finally:
        shutil.rmtree(work, ignore_errors=True)


main()
