"""Gateways for the IKE tests: a stack-core and an ikeD with a ROOT and a namespace of their own, on a wire with others.

    wire namespace: a bridge; gateway n has 192.0.2.n on it and the network 10.n.0.0/24 behind it
"""
import glob
import json
import os
import re
import shutil

import rv

IKED_UID = 20012
NAMES = {1: "LEFT", 2: "RIGHT", 3: "THIRD"}


class Wire:
    def __init__(self, tag="rvike"):
        self.net = rv.Net(tag)
        self.ns = self.net.ns("wire")
        self.net.bridge(self.ns, "br0")

    def join(self, name, n):
        """A namespace with eth0 on the wire."""
        ns = self.net.ns(name)
        port = "p%d" % n
        self.net.veth(ns, "eth0", self.ns, port, offloads=False)
        rv.must("ip", "link", "set", port, "master", "br0", ns=self.ns)
        return ns

    def host(self, name, n):
        """The same for a gateway that is the kernel's: with its addresses and its network."""
        ns = self.join(name, n)
        self.net.addr(ns, "eth0", "192.0.2.%d/24" % n)
        self.net.bridge(ns, "d0")
        self.net.addr(ns, "d0", "10.%d.0.1/24" % n)
        return ns


def profile(me, peer, extra="", address=None, gateway=None):
    return """IPCONFIG IPSECURITY DATAGRAMFWD
INTERFACE WIRE DEFINE AFPACKET DEVICE eth0 IPADDR %(address)s/24
INTERFACE HOST DEFINE TUN DEVICE tun0 IPADDR 10.%(me)d.0.1/24 IPADDR %(address)s/32
BEGINROUTES
  ROUTE 10.%(peer)d.0.0/24 %(gateway)s WIRE
%(extra)sENDROUTES
IPSEC LOGENABLE
  IPSECRULE * * NOLOG PROTO UDP SRCPORT * DESTPORT 500
  IPSECRULE * * NOLOG PROTO UDP SRCPORT * DESTPORT 4500
ENDIPSEC
IPSECPOLICY 'stacks/%(name)s.policy'
WORKERS 1
""" % {"me": me, "peer": peer, "name": NAMES[me], "extra": extra, "address": address or "192.0.2.%d" % me,
       "gateway": gateway or "192.0.2.%d" % peer}


DEFAULTS = {
    "enc": "AES_CBC KeyLength 128", "hash": "SHA2_256", "peers": "PresharedKey", "group": "Group14", "initiate": "Main", "respond": "Either",
    "key": "secret of both", "data": "HowToEncrypt AES_CBC KeyLength 128\n  HowToAuth ESP HMAC_SHA2_256_128", "pfs": "Group14",
    "pfs_ok": "Group14", "on_demand": "Yes", "auto": "No", "vpn": "", "nat": "Yes", "kex": "", "offer": "", "data_life": "", "rules": "",
    "keepalive": "20", "ca": "", "remote_location": None, "local_id": None, "remote_id": None, "local": None, "remote": None,
    "encap": "Tunnel", "initiation": "Either", "mine": None, "yours": None, "local_location": None, "service": "all",
    "protocol": "", "more": "",
}


def policy(me, peer, **given):
    """The policy of gateway @me: its network and the peer's are protected, IKE and ESP pass in clear."""
    v = dict(DEFAULTS, **given)
    local, remote = v["local"] or "192.0.2.%d" % me, v["remote"] or "192.0.2.%d" % peer
    v.update(me=me, peer=peer, local=local, remote=remote, local_id=v["local_id"] or "IpAddr " + local,
             remote_id=v["remote_id"] or "IpAddr " + remote, remote_location=v["remote_location"] or remote,
             mine=v["mine"] or "10.%d.0.0/24" % me, yours=v["yours"] or "10.%d.0.0/24" % peer, local_location=v["local_location"] or local,
             shared='SharedKey Ascii "%s"' % v["key"] if v["peers"] == "PresharedKey" else "")
    return """IpService all { Protocol all
  Routing Either }
IpService ike { Protocol udp
  SourcePortRange 500
  Routing Either }
IpService ike-to { Protocol udp
  DestinationPortRange 500
  Routing Either }
IpService natt { Protocol udp
  SourcePortRange 4500
  Routing Either }
IpService natt-to { Protocol udp
  DestinationPortRange 4500
  Routing Either }
IpGenericFilterAction permit { IpFilterAction Permit }
IpGenericFilterAction protect { IpFilterAction IpSec }
IpDataOffer data { HowToEncap %(encap)s
  %(data)s
  %(data_life)s
}
IpDynVpnAction vpn {
  Initiation %(initiation)s
  InitiateWithPfs %(pfs)s
  AcceptablePfs %(pfs_ok)s
  %(vpn)s
  IpDataOfferRef data
}
IpLocalStartAction start {
  AllowOnDemand %(on_demand)s
  LocalIpGranularity Rule
  RemoteIpGranularity Rule
  LocalSecurityEndpointAddr %(local)s
  RemoteSecurityEndpointAddr %(remote)s
}
IpFilterPolicy {
  PreDecap Off
  FilterLogging On
  IpFilterRule ikerule { IpSourceAddr %(local)s
    IpDestAddr All4
    IpServiceRef ike
    IpServiceRef ike-to
    IpServiceRef natt
    IpServiceRef natt-to
    IpGenericFilterActionRef permit }
%(rules)s
  IpFilterRule nets { IpSourceAddr %(mine)s
    IpDestAddr %(yours)s
    IpServiceRef %(service)s
    IpGenericFilterActionRef protect
    IpDynVpnActionRef vpn
    IpLocalStartActionRef start }
}
LocalDynVpnPolicy {
  LocalDynVpnRule net { LocalIp %(mine)s
    RemoteIp %(yours)s
    %(protocol)s
    AutoActivate %(auto)s }
}
KeyExchangePolicy {
  AllowNat %(nat)s
  NatKeepAliveInterval %(keepalive)s
  KeyExchangeRule gw {
    LocalSecurityEndpoint { Identity %(local_id)s
      Location %(local_location)s }
    RemoteSecurityEndpoint { Identity %(remote_id)s
      Location %(remote_location)s
      %(ca)s }
    KeyExchangeAction { HowToInitiate %(initiate)s
      HowToRespond %(respond)s
      KeyExchangeOffer { HowToEncrypt %(enc)s
        HowToAuthMsgs %(hash)s
        HowToAuthPeers %(peers)s
        DHGroup %(group)s
        %(offer)s }
      %(kex)s }
    %(shared)s
  }
}
%(more)s""" % v


CONF = "IkeConfig {\n  IkeSyslogLevel 3\n  SMF119 IKEALL\n  IkeInitWait 1\n  IkeRetries 3\n  %s\n}\nStackPolicy %s ike/%s.policy\n"


class Gateway:
    """A stack and its ikeD, a system of their own for rv: everything is done with its ROOT."""

    def __init__(self, me, ns, peer=2, conf="", rsa=False, **profile_args):
        self.me, self.name, self.ns, self.peer = me, NAMES[me], ns, peer
        self.stack = self.iked = None
        self.use()
        self.root = rv.root()
        rv.saf_base([self.name])
        rv.saf("ADDUSER IKED OMVS(UID(%d))" % IKED_UID)
        for what in ("RAVELIN.STACK.{sysname}.%s.TUNNEL", "EZB.NETSTAT.{sysname}.%s.LINKS", "EZB.NETMGMT.{sysname}.%s.EVENTS"):
            rv.permit(what % self.name, "IKED")
        for what in ("EZB.IPSECCMD.{sysname}.%s.DISPLAY", "EZB.IPSECCMD.{sysname}.%s.CONTROL", "EZB.NETSTAT.{sysname}.%s.COUNTERS"):
            rv.permit(what % self.name, "IBMUSER")
        for what in ("EZB.NETSTAT.{sysname}.IKED.STACKS", "EZB.NETSTAT.{sysname}.IKED.STATS", "EZB.NETMGMT.{sysname}.IKED.EVENTS"):
            rv.permit(what, "IBMUSER")
        rv.saf("SETROPTS CLASSACT(OPERCMDS)\nRDEFINE OPERCMDS MVS.SERVMGR.IKED UACC(NONE)\n"
               "PERMIT MVS.SERVMGR.IKED CLASS(OPERCMDS) ID(IBMUSER) ACCESS(CONTROL)")
        if rsa:
            self.ring()
        rv.write("stacks/%s.profile" % self.name, profile(me, peer, **profile_args))
        self.conf(conf)

    def ring(self):
        """A CA, a certificate of ours and one for a peer; the peer's are exported into ROOT/peer."""
        def racdcert(text):
            p = rv.run("safctl", "RACDCERT " + text)
            if p.returncode:
                raise RuntimeError(text + ": " + p.stdout + p.stderr)
        racdcert("CERTAUTH GENCERT SUBJECTSDN(CN('Test CA') O('Example')) WITHLABEL('Test CA') NOTAFTER(DATE(2040-12-31))")
        for label in "left", "right":
            racdcert("ID(IKED) GENCERT SUBJECTSDN(CN('%s') O('Example')) WITHLABEL('%s') SIGNWITH(CERTAUTH LABEL('Test CA')) "
                     "ALTNAME(DOMAIN('%s.example.com') IP(192.0.2.%d))" % (label, label, label, 1 if label == "left" else 2))
        racdcert("ID(IKED) ADDRING(keyring)")
        racdcert("ID(IKED) CONNECT(LABEL('left') RING(keyring) DEFAULT)")
        racdcert("ID(IKED) CONNECT(CERTAUTH LABEL('Test CA') RING(keyring))")
        os.makedirs(rv.path("peer"), exist_ok=True)
        racdcert("CERTAUTH EXPORT(LABEL('Test CA')) DSN('%s')" % rv.path("peer/ca.pem"))
        racdcert("ID(IKED) EXPORT(LABEL('right')) DSN('%s')" % rv.path("peer/cert.pem"))
        keys = glob.glob(rv.path("var/lib/ravelin/keyring/IKED/.certs/*right*/key.pem"))
        shutil.copy(keys[0], rv.path("peer/key.pem"))

    def use(self):
        rv._system = self.name
        return self

    def conf(self, text=""):
        self.use()
        rv.write("iked.conf", CONF % (text, self.name, self.name))

    def policy(self, **given):
        """Two copies, as each daemon reads its own: they are of different users here."""
        self.use()
        text = policy(self.me, self.peer, **given)
        for where, uid in (("stacks", rv.STACKCOR_UID), ("ike", IKED_UID)):
            full = rv.write("%s/%s.policy" % (where, self.name), text)
            os.chown(full, uid, uid)
            os.chmod(full, 0o600)
        return self

    def start_stack(self):
        self.use()
        if self.stack is None:
            self.stack = rv.Daemon("stack-core", self.name, ns=self.ns, uid=rv.STACKCOR_UID, caps=("net_admin", "net_raw"), start=False)
        self.stack.start()
        return self

    def start_iked(self):
        self.use()
        if self.iked is None:
            self.iked = rv.Daemon("ikeD", ns=self.ns, uid=IKED_UID, caps=("net_bind_service",), start=False)
        self.iked.start()
        return self

    def start(self):
        return self.start_stack().start_iked().wait_ready()

    def wait_ready(self, seconds=20):
        if not rv.until(lambda: self.stacks().get(self.name, {}).get("ready") and self.stacks()[self.name].get("addresses"), seconds, 0.1):
            raise RuntimeError("%s: ikeD is not ready: %s\n%s" % (self.name, self.stacks(), self.iked.output()[-2000:]))
        return self

    def stop(self):
        self.use()
        for d in (self.iked, self.stack):
            if d is not None:
                d.stop()

    def run(self, *args, **kw):
        self.use()
        return rv.run(*args, **kw)

    def inside(self, *args, timeout=60):
        self.use()
        return rv.run(*args, ns=self.ns, timeout=timeout)

    def lines(self, *args):
        p = self.run(*args)
        return [json.loads(x) for x in p.stdout.splitlines() if x.startswith("{")]

    def stacks(self):
        got = self.lines("ikectl", "--json", "stacks")
        return {s["name"]: s for s in got[0].get("stacks", [])} if got else {}

    def tunnels(self):
        return self.lines("ikectl", "--json", "-p", self.name, "list", "ike")

    def dynamic(self):
        return self.lines("ikectl", "--json", "-p", self.name, "list", "dynamic")

    def in_stack(self):
        p = self.run("ipsec", "-y", "display", "-p", self.name, "--json")
        return json.loads(p.stdout) if p.returncode == 0 else []

    def up(self, seconds=15):
        """A dynamic tunnel that is done, or None."""
        return rv.until(lambda: next((t for t in self.dynamic() if t.get("state") == "DONE"), None), seconds, 0.1)

    def activate(self, rule="net"):
        return self.run("ipsec", "-y", "activate", "-l", rule, "-p", self.name)

    def ping(self, count=3, wait=1, size=56, interval="0.2"):
        p = self.inside("ping", "-n", "-c", str(count), "-i", interval, "-W", str(wait), "-s", str(size), "-I", "10.%d.0.1" % self.me,
                        "10.%d.0.1" % self.peer)
        return rv.ping_rate(p.stdout)[1]

    def log(self):
        return self.iked.output() if self.iked else ""

    def audit(self, subtype):
        path = os.path.join(self.root, "var/log/ravelin/ikeD.audit")
        with open(path) as f:
            records = [json.loads(line) for line in f]
        return [r for r in records if r.get("type") == 119 and r.get("subtype") == subtype]

    def stat(self, name):
        p = self.run("ikectl", "stats", "--openmetrics")
        m = re.search(r"(?m)^ravelin_%s(?:\{.*\})? (\d+)" % name, p.stdout)
        return int(m.group(1)) if m else None
