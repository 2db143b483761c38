"""strongSwan's charon as a peer: Debian's, with its userland ESP (kernel-libipsec, ESP in UDP on port 4500 only), in a namespace of ours.

Its configuration, sockets and process id lie in a directory of their own: /run is a private tmpfs, STRONGSWAN_CONF and SWANCTL_DIR say the
rest. What it does is told by `swanctl`, what it thinks by its log.
"""
import os
import re
import subprocess

import rv

CONF = """charon {
  load_modular = no
  load = random nonce aes des md5 sha1 sha2 hmac kdf gmp curve25519 openssl x509 pem pkcs1 pkcs8 pubkey constraints revocation gcm cmac xcbc kernel-libipsec kernel-netlink socket-default vici updown
  install_routes = yes
  retransmit_tries = %(tries)d
  retransmit_timeout = 2.0
  i_dont_care_about_security_and_use_aggressive_mode_psk = yes
  dos_protection = no
  %(extra)s
  plugins {
    vici { socket = unix://%(dir)s/vici }
    kernel-netlink { fwmark = !0x42 }
    socket-default { fwmark = 0x42 }
    kernel-libipsec { allow_peer_ts = yes }
  }
  filelog { log { path = %(dir)s/log
    default = 1
    ike = 2
    cfg = 2
    knl = 1
    flush_line = yes } }
}
swanctl { socket = unix://%(dir)s/vici }
"""


class Charon:
    def __init__(self, name, ns, tries=3, extra=""):
        self.ns = ns
        self.dir = rv.path("charon-" + name)
        for d in ("x509", "x509ca", "x509ocsp", "x509aa", "x509ac", "x509crl", "pubkey", "private", "rsa", "ecdsa", "bliss", "pkcs8", "pkcs12"):
            os.makedirs(os.path.join(self.dir, "swanctl", d), exist_ok=True)
        with open(self.dir + "/strongswan.conf", "w") as f:
            f.write(CONF % {"dir": self.dir, "tries": tries, "extra": extra})
        self.env = {"STRONGSWAN_CONF": self.dir + "/strongswan.conf", "SWANCTL_DIR": self.dir + "/swanctl"}
        self.p = rv.Process(["sh", "-c", "mount -t tmpfs tmpfs /run && exec /usr/sbin/charon-systemd"], ns=ns, env=self.env,
                            name="charon-" + name)

    def start(self, conf):
        """swanctl.conf's text; returns when it is loaded."""
        self.p.start()
        if not rv.until(lambda: os.path.exists(self.dir + "/vici"), 20, 0.1):
            raise RuntimeError("charon does not start: " + self.p.output()[-1000:] + self.log()[-1000:])
        rv.must("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0", ns=self.ns)
        return self.load(conf)

    def load(self, conf):
        with open(self.dir + "/swanctl/swanctl.conf", "w") as f:
            f.write(conf)
        p = self.swanctl("--load-all", "--clear")
        if p.returncode or "failed" in p.stdout + p.stderr:
            raise RuntimeError("swanctl: " + p.stdout + p.stderr)
        return self

    def swanctl(self, *args, timeout=40):
        return subprocess.run(["swanctl", *args, "--uri", "unix://" + self.dir + "/vici"], capture_output=True, text=True, timeout=timeout,
                              env=dict(os.environ, **self.env))

    def initiate(self, child, seconds=15):
        return self.swanctl("--initiate", "--child", child, "--timeout", str(seconds), timeout=seconds + 20)

    def sas(self):
        return self.swanctl("--list-sas").stdout

    def terminate(self, ike="gw"):
        return self.swanctl("--terminate", "--ike", ike, "--timeout", "5")

    def log(self):
        try:
            with open(self.dir + "/log", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def counts(self):
        """(bytes in, bytes out) of its installed tunnels."""
        s = self.sas()
        return (sum(int(n) for n in re.findall(r"(?m)^\s+in .*?\s(\d+) bytes", s)),
                sum(int(n) for n in re.findall(r"(?m)^\s+out .*?\s(\d+) bytes", s)))

    def stop(self):
        self.p.stop()
        if os.path.exists(self.dir + "/vici"):
            os.unlink(self.dir + "/vici")

    def kill(self):
        self.p.kill()
        if os.path.exists(self.dir + "/vici"):
            os.unlink(self.dir + "/vici")


def connection(local, remote, local_ts, remote_ts, auth="psk", aggressive=False, proposals="aes128-sha256-modp2048", esp="aes128-sha256-modp2048",
               local_id=None, remote_id=None, psk="secret of both", encap=True, dpd=0, ike_extra="", child_extra="", secrets=True):
    """swanctl.conf with the connection gw and its child net."""
    auth_local = "auth = psk" if auth == "psk" else "auth = pubkey\n      certs = cert.pem"
    auth_remote = "auth = psk" if auth == "psk" else "auth = pubkey\n      cacerts = ca.pem"
    text = """connections {
  gw {
    version = 1
    aggressive = %s
    local_addrs = %s
    remote_addrs = %s
    proposals = %s
    encap = %s
    dpd_delay = %ds
    %s
    local {
      %s
      id = "%s"
    }
    remote {
      %s
      id = "%s"
    }
    children {
      net {
        local_ts = %s
        remote_ts = %s
        esp_proposals = %s
        mode = tunnel
        %s
      }
    }
  }
}
""" % ("yes" if aggressive else "no", local, remote, proposals, "yes" if encap else "no", dpd, ike_extra, auth_local, local_id or local,
       auth_remote, remote_id or remote, local_ts, remote_ts, esp, child_extra)
    if auth == "psk" and secrets:
        text += 'secrets { ike-1 { secret = "%s" } }\n' % psk
    return text
