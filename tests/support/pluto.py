"""libreswan's pluto as a peer: Debian's, unpacked beside our build, as its package does not go together with strongSwan's.

pluto starts its helpers by their installed names, so it runs in mounts of its own in which /usr/libexec holds them and /run is a
private tmpfs; the computer itself is not touched. Where the kernel has no ESP, tests/support/no_esp.c lets a negotiation end; the
SAs that pluto wanted to install can then be read (installed()).
"""
import fcntl
import glob
import os
import re
import shutil
import struct
import subprocess

import rv

PACKAGE = "libreswan"


def unpacked():
    """Where the package lies: fetched once, then kept under the build directory."""
    place = os.path.join(rv.BUILD, "peers", PACKAGE)
    os.makedirs(place, exist_ok=True)
    with open(os.path.join(place, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        tree = os.path.join(place, "tree")
        if os.path.exists(os.path.join(tree, "usr/libexec/ipsec/pluto")):
            return tree
        fetch = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", PACKAGE]
        p = subprocess.run(fetch, cwd=place, capture_output=True, text=True, timeout=300)
        if p.returncode:
            subprocess.run(["apt-get", "-q", "update"], capture_output=True, timeout=600)
            p = subprocess.run(fetch, cwd=place, capture_output=True, text=True, timeout=300)
        found = sorted(glob.glob(os.path.join(place, PACKAGE + "_*.deb")))
        if p.returncode or not found:
            raise RuntimeError("apt-get download: " + p.stdout + p.stderr)
        new = tree + ".new"
        shutil.rmtree(new, ignore_errors=True)
        rv.must("dpkg", "-x", found[-1], new)
        os.rename(new, tree)
        return tree


def connection(local, remote, local_ts, remote_ts, auth="secret", ike="aes128-sha2_256;modp2048", esp="aes128-sha2_256", pfs="no", extra="",
               local_id=None, remote_id=None):
    """ipsec.conf with the connection gw."""
    if auth == "rsasig":
        extra += "\n    leftcert=peer\n    leftsendcert=always\n    rightrsasigkey=%cert"
    return """config setup
    ikev1-policy=accept
    uniqueids=yes
conn gw
    left=%s
    leftid=%s
    leftsubnet=%s
    right=%s
    rightid=%s
    rightsubnet=%s
    authby=%s
    ikev2=never
    ike=%s
    esp=%s
    pfs=%s
    ikelifetime=4h
    salifetime=4h
    retransmit-timeout=8s
    keyingtries=1
    leftupdown=/bin/true
    auto=add
    %s
""" % (local, local_id or local, local_ts, remote, remote_id or remote, remote_ts, auth, ike, esp, pfs, extra)


class Pluto:
    def __init__(self, name, ns):
        self.ns, self.tree = ns, unpacked()
        self.dir = rv.path("pluto-" + name)
        self.tool = os.path.join(self.tree, "usr/libexec/ipsec")
        self.run_dir = self.dir + "/run"
        os.makedirs(self.dir + "/nss")
        rv.must("certutil", "-N", "-d", "sql:" + self.dir + "/nss", "--empty-password")
        program = [os.path.join(self.tool, "pluto"), "--nofork", "--stderrlog", "--config", self.dir + "/conf", "--secretsfile", self.dir + "/secrets",
                   "--nssdir", self.dir + "/nss", "--rundir", self.run_dir, "--use-xfrm"]
        script = 'mount -t tmpfs tmpfs /run && mkdir /run/pluto && mount --bind "$0" /usr/libexec && LD_PRELOAD="$1" exec "${@:2}"'
        self.p = rv.Process(["unshare", "-m", "bash", "-c", script, os.path.dirname(self.tool), os.path.join(rv.BUILD, "tests/support/no_esp.so"),
                             *program], ns=ns, env={"NO_ESP_LOG": self.dir + "/sas"}, name="pluto-" + name)

    def certificates(self, where):
        """ca.pem, cert.pem and key.pem of directory @where: into pluto's database."""
        nss, p12 = "sql:" + self.dir + "/nss", self.dir + "/peer.p12"
        rv.must("openssl", "pkcs12", "-export", "-in", where + "/cert.pem", "-inkey", where + "/key.pem", "-name", "peer", "-passout", "pass:x",
                "-out", p12)
        rv.must("pk12util", "-i", p12, "-d", nss, "-W", "x", "-K", "")
        rv.must("certutil", "-A", "-n", "ca", "-t", "CT,,", "-i", where + "/ca.pem", "-d", nss)

    def start(self, conf, psk="secret of both"):
        """Ready when it returns: the connection is loaded, and it listens."""
        shutil.rmtree(self.run_dir, ignore_errors=True)
        os.makedirs(self.run_dir)
        open(self.dir + "/sas", "w").close()
        for name, text in (("conf", conf), ("secrets", ': PSK "%s"\n' % psk)):
            with open(os.open(self.dir + "/" + name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
                f.write(text)
        at = len(self.log())
        self.p.start()
        if not rv.until(lambda: "loading secrets" in self.log()[at:] and "added IKEv1 connection" in self.log()[at:], 30, 0.05):
            raise RuntimeError("pluto does not start: " + self.log()[at:][-2000:])
        return self

    def whack(self, *args, timeout=40):
        argv = rv.in_ns(self.ns) + [self.tool + "/whack", "--rundir", self.run_dir, *args]
        return subprocess.run(argv, capture_output=True, text=True, timeout=timeout)

    def initiate(self, seconds=20):
        """The negotiation as pluto tells it; it ends by itself, at the latest when pluto stops repeating itself."""
        try:
            return self.whack("--name", "gw", "--initiate", timeout=seconds).stdout
        except subprocess.TimeoutExpired as e:
            return (e.stdout or b"").decode() + "\ntimed out"

    def terminate(self):
        return self.whack("--name", "gw", "--terminate")

    def status(self):
        return self.whack("--status").stdout

    def tunnels(self):
        """The SPIs (what it sends with, what it receives with) of each tunnel it believes in, the newest first."""
        found = re.findall(r'(?m)^000 #(\d+): "gw".* esp\.([0-9a-f]+)@\S+ esp\.([0-9a-f]+)@', self.status())
        return [(int(out, 16), int(into, 16)) for _, out, into in sorted(found, key=lambda f: -int(f[0]))]

    def installed(self):
        """The SAs that pluto gave to the kernel: {spi: {what: key}}."""
        got = {}
        with open(self.dir + "/sas") as f:
            for line in f:
                raw = bytes.fromhex(line.strip())
                got[struct.unpack(">I", raw[16 + 56 + 16:16 + 56 + 20])[0]] = attributes(raw[16 + 224:])
        return got

    def log(self):
        return self.p.output()

    def stop(self):
        self.p.stop()

    def kill(self):
        self.p.kill()


ALGORITHMS = {1: "auth", 2: "crypt", 18: "aead", 20: "auth_trunc"}  # XFRMA_ALG_*


def attributes(raw):
    """The algorithms of a struct xfrm_usersa_info's netlink attributes: {kind: (name, key)}."""
    got = {}
    while len(raw) >= 4:
        size, kind = struct.unpack("<HH", raw[:4])
        if size < 4:
            break
        value = raw[4:size]
        if kind in ALGORITHMS and len(value) >= 68:
            head = 72 if ALGORITHMS[kind] in ("aead", "auth_trunc") else 68
            bits = struct.unpack("<I", value[64:68])[0]
            got[ALGORITHMS[kind]] = (value[:64].rstrip(b"\0").decode(), value[head:head + bits // 8])
        raw = raw[(size + 3) & ~3:]
    return got
