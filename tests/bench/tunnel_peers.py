"""Tunnels that the benchmark `tunnel` measures, all made alike: two namespaces, a veth wire with 198.18.0.1 and .2 where the peer
needs the kernel's own addresses, a daemon at each end. A Peer has the left namespace, the address on the far side, its processes."""
import os
import shutil
import subprocess

import charon
import gateways
import rv

OPENVPN = """dev tun0
proto udp
local {me}
remote {far}
port 1194
{role}
cert {dir}/{name}.crt
key {dir}/{name}.key
peer-fingerprint {fingerprint}
data-ciphers AES-128-GCM
ifconfig {inner} {inner_far}
disable-dco
verb 1
"""
NEBULA = """pki: {{ ca: {dir}/ca.crt, cert: {dir}/{name}.crt, key: {dir}/{name}.key }}
static_host_map: {{ "10.9.0.{other}": ["198.18.0.{other}:4242"] }}
lighthouse: {{ am_lighthouse: false, hosts: [] }}
listen: {{ host: 198.18.0.{number}, port: 4242 }}
cipher: aes
tun: {{ dev: tun0, mtu: 1440 }}
logging: {{ level: warning, format: text }}
firewall:
  outbound: [{{ port: any, proto: any, host: any }}]
  inbound: [{{ port: any, proto: any, host: any }}]
"""
STRONGSWAN = """charon {
  load_modular = no
  load = random nonce x509 revocation constraints pubkey pkcs1 pkcs7 pkcs8 pem openssl aesni aes sha2 hmac kdf gcm gmp kernel-libipsec kernel-netlink socket-default vici updown
  install_virtual_ip = no
  plugins {
    vici { socket = unix://%(dir)s/vici }
    kernel-netlink { fwmark = !0x42 }
    socket-default { fwmark = 0x42 }
    kernel-libipsec { allow_peer_ts = yes }
  }
  filelog { log { path = %(dir)s/log
    default = 1
    flush_line = yes } }
}
swanctl { socket = unix://%(dir)s/vici }
"""


def need(*programs_and_packages):
    """Installs what is missing; raises when that cannot be done."""
    for program, package in programs_and_packages:
        if shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"):
            continue
        r = subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", package], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                           env=dict(os.environ, DEBIAN_FRONTEND="noninteractive"))
        if r.returncode or not shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"):
            raise RuntimeError("package %s is missing and cannot be installed: %s" % (package, (r.stdout + r.stderr)[-300:]))


class Peer:
    def __init__(self, name, net, tag, offloads=True, addresses=True):
        self.name, self.processes = name, []
        self.left, self.right = net.ns(tag + "l"), net.ns(tag + "r")
        net.veth(self.left, "wire0", self.right, "wire0", offloads=offloads)
        if addresses:
            net.addr(self.left, "wire0", "198.18.0.1/24")
            net.addr(self.right, "wire0", "198.18.0.2/24")
        self.address = "198.18.0.2"

    def up(self):
        if not gateways.passes(self.left, self.address):
            raise RuntimeError("%s: nothing passes through the tunnel: %s" % (self.name, " ".join(p.output()[-500:] for p in self.processes)))
        return self

    def daemon(self, ns, argv, **env):
        self.processes.append(rv.Process(argv, ns=ns, env=env, name="%s-%d" % (self.name, len(self.processes))).start())


def veth(net, folder):
    return Peer("veth", net, "v").up()


def veth_plain(net, folder):
    return Peer("veth-no-offloads", net, "w", offloads=False).up()


def ours(net, folder, udp, tag=None, **how):
    p = Peer("ours-esp-udp" if udp else "ours-esp", net, tag or ("u" if udp else "e"), addresses=False)
    p.processes = [g.process for g in gateways.pair(folder, p.left, p.right, udp=udp, **how)]
    p.address = "10.2.0.1"
    return p.up()


def strongswan(net, folder):
    need(("swanctl", "strongswan-swanctl"), ("charon-systemd", "charon-systemd"))
    p = Peer("strongswan-libipsec", net, "s")
    p.address = "10.2.0.1"
    ends = []
    for n, ns, far in ((1, p.left, 2), (2, p.right, 1)):
        net.addr(ns, "lo", "10.%d.0.1/32" % n)
        c = charon.Charon(str(n), ns)
        with open(c.dir + "/strongswan.conf", "w") as f:
            f.write(STRONGSWAN % {"dir": c.dir})
        ends.append(c.start(charon.connection("198.18.0.%d" % n, "198.18.0.%d" % far, "10.%d.0.1/32" % n, "10.%d.0.1/32" % far,
                                              proposals="aes128-sha256-modp2048", esp="aes128gcm16")))
        p.processes.append(c.p)
    r = ends[0].initiate("net")
    if r.returncode:
        raise RuntimeError("strongSwan does not connect: " + r.stdout + r.stderr + ends[0].log()[-800:])
    return p.up()


def wireguard(net, folder):
    need(("wireguard-go", "wireguard-go"), ("wg", "wireguard-tools"))
    p = Peer("wireguard-go", net, "g")
    p.address = "10.9.2.1"
    ends = [(p.left, 1, "wgl%d" % (os.getpid() % 100000)), (p.right, 2, "wgr%d" % (os.getpid() % 100000))]
    keys = [rv.run("wg", "genkey").stdout.strip() for _ in ends]
    for (ns, n, dev), key in zip(ends, keys):
        file = os.path.join(folder, "wg%d" % n)
        with open(file, "w") as f:
            f.write(key)
        p.daemon(ns, ["wireguard-go", "-f", dev])
        rv.until(lambda: dev in rv.run("ip", "-br", "link", ns=ns).stdout, 5)
        far, public = 3 - n, rv.run("wg", "pubkey", stdin=keys[2 - n]).stdout.strip()
        rv.must("wg", "set", dev, "private-key", file, "listen-port", "51820", "peer", public, "allowed-ips", "10.9.%d.0/24" % far,
                "endpoint", "198.18.0.%d:51820" % far, ns=ns)
        net.addr(ns, dev, "10.9.%d.1/24" % n)
        rv.must("ip", "link", "set", dev, "mtu", "1420", "up", ns=ns)
        net.route(ns, "10.9.%d.0/24" % far, dev=dev)
    return p.up()


def openvpn(net, folder):
    need(("openvpn", "openvpn"), ("openssl", "openssl"))
    p = Peer("openvpn", net, "o")
    p.address = "10.8.0.2"
    prints = {}
    for n in "12":
        crt = os.path.join(folder, n + ".crt")
        rv.must("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=end" + n, "-days", "3",
                "-keyout", os.path.join(folder, n + ".key"), "-out", crt)
        prints[n] = rv.run("openssl", "x509", "-in", crt, "-noout", "-fingerprint", "-sha256").stdout.strip().split("=")[1]
    for ns, n, far, role in ((p.right, "2", "1", "tls-server\ndh none"), (p.left, "1", "2", "tls-client")):
        file = os.path.join(folder, "openvpn%s.conf" % n)
        with open(file, "w") as f:
            f.write(OPENVPN.format(me="198.18.0." + n, far="198.18.0." + far, role=role, dir=folder, name=n, fingerprint=prints[far],
                                   inner="10.8.0." + n, inner_far="10.8.0." + far))
        p.daemon(ns, ["/usr/sbin/openvpn", "--config", file])
    return p.up()


def nebula(net, folder):
    need(("nebula", "nebula"), ("nebula-cert", "nebula"))
    p = Peer("nebula", net, "n")
    p.address = "10.9.0.2"
    ca = os.path.join(folder, "ca")
    rv.must("nebula-cert", "ca", "-name", "bench", "-out-crt", ca + ".crt", "-out-key", ca + ".key")
    for ns, n in ((p.right, 2), (p.left, 1)):
        out = os.path.join(folder, "n%d" % n)
        rv.must("nebula-cert", "sign", "-name", "n%d" % n, "-ip", "10.9.0.%d/24" % n, "-ca-crt", ca + ".crt", "-ca-key", ca + ".key",
                "-out-crt", out + ".crt", "-out-key", out + ".key")
        with open(out + ".yml", "w") as f:
            f.write(NEBULA.format(dir=folder, name="n%d" % n, number=n, other=3 - n))
        p.daemon(ns, ["nebula", "-config", out + ".yml"])
    return p.up()


OURS = [lambda net, folder: ours(net, folder, True), lambda net, folder: ours(net, folder, False)]
PEERS = [veth, veth_plain, strongswan, wireguard, openvpn, nebula]
