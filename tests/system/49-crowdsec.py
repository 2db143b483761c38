#!/usr/bin/python3
"""ravelin-bouncer against the real CrowdSec, a real stack and an API that lies: what is banned is blocked, nothing else, and whatever dies
comes back without a gap."""
import json
import os
import re
import shutil
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import rv

STACK = "CROWD"
PROFILE = """IPCONFIG IPSECURITY
INTERFACE WIRE DEFINE AFPACKET DEVICE wire0 IPADDR 192.0.2.1/24
IPSEC
  IPSECRULE * * NOLOG PROTO *
ENDIPSEC
WORKERS 1
"""


def ctl(*args, **more):
    return rv.run("defmgrctl", *args, **more)


def as_json(*args):
    p = ctl("--json", *args)
    return json.loads(p.stdout) if p.returncode == 0 and p.stdout.strip() else {}


def filters(*args):
    return as_json("list", *args) or []


def names(*args):
    return {f["name"] for f in filters(*args)}


def put(name, text):
    with open(name, "w") as out:
        out.write(text)


def installed():
    return (as_json("stacks").get("stacks") or [{}])[0].get("installed")


net = rv.Net("rvcs")
gate, outside = net.ns("gate"), net.ns("out")
net.veth(gate, "wire0", outside, "eth0", offloads=False)
net.addr(outside, "eth0", "192.0.2.2/24", "192.0.2.99/24")
rv.saf_base([STACK])
for what in ("EZB.IPSECCMD.{sysname}.%s.CONTROL" % STACK, "EZB.IPSECCMD.{sysname}.%s.DISPLAY" % STACK, "EZB.IPSECCMD.{sysname}.DMD_GLOBAL.DISPLAY"):
    rv.permit(what, "IBMUSER")
rv.permit("EZB.IPSECCMD.{sysname}.%s.DISPLAY" % STACK, "DEFMGRD")
rv.write("stacks/%s.profile" % STACK, PROFILE)
rv.write("dmd.conf", "DmConfig { SyslogLevel 7 }\nDmStackConfig %s {\n Mode Active\n MaxLifetime 30\n}\n" % STACK)
stack = rv.Daemon("stack-core", STACK, ns=gate)
dm = rv.Daemon("defmgrD", uid=rv.DEFMGRD_UID)
rv.check("the stack gets its filters from defmgrD", rv.until(installed, 10))

CS = rv.path("cs")
for d in ("data", "hub", "notifications", "plugins"):
    os.makedirs(os.path.join(CS, d))
put(CS + "/config.yaml", """common: {daemonize: false, log_media: stdout, log_level: info, working_dir: .}
config_paths: {config_dir: %(d)s, data_dir: %(d)s/data, simulation_path: %(d)s/simulation.yaml, hub_dir: %(d)s/hub,
  index_path: %(d)s/hub/.index.json, notification_dir: %(d)s/notifications, plugin_dir: %(d)s/plugins}
crowdsec_service: {enable: false}
cscli: {output: raw}
db_config: {type: sqlite, db_path: %(d)s/data/crowdsec.db}
api:
  client: {credentials_path: %(d)s/lapi_credentials.yaml}
  server: {enable: true, listen_uri: "127.0.0.1:8080", profiles_path: %(d)s/profiles.yaml, log_level: info}
prometheus: {enabled: false}
""" % {"d": CS})
put(CS + "/lapi_credentials.yaml", "")
put(CS + "/hub/.index.json", "{}")
for name in ("profiles.yaml", "simulation.yaml"):
    shutil.copy("/etc/crowdsec/" + name, CS)


def cscli(*args):
    return rv.run("cscli", "-c", CS + "/config.yaml", *args, ns=gate)


BOUNCER_UID = 20013
rv.saf("ADDUSER BOUNCER OMVS(UID(%d))" % BOUNCER_UID)
rv.permit("EZB.NETSTAT.{sysname}.RAVELIN-BOUNCER.STATS", "IBMUSER")
rv.permit("EZB.NETMGMT.{sysname}.RAVELIN-BOUNCER.EVENTS", "IBMUSER")
cscli("machines", "add", "test", "--auto", "--force", "-f", CS + "/lapi_credentials.yaml")
crowdsec = rv.Process(["crowdsec", "-no-cs", "-c", CS + "/config.yaml"], ns=gate)
crowdsec.start()
key = cscli("bouncers", "add", "rvtest", "-o", "raw").stdout.strip()
rv.check("crowdsec's local API runs and gives a key", rv.until(lambda: "listening" in crowdsec.output(), 20) and len(key) >= 16, crowdsec.output())
KEY = rv.path("etc/ravelin/bouncer.key")


def bouncer_conf(url="http://127.0.0.1:8080", more=""):
    rv.write("bouncer.conf", "BouncerConfig {\n Url %s\n Interval 1\n Exclude 192.0.2.0/28\n Exclude 2001:db8::/64\n%s}\n" % (url, more))


def key_file(text=None, mode=0o600, uid=BOUNCER_UID):
    put(KEY, (text or key) + "\n")
    os.chmod(KEY, mode)
    os.chown(KEY, uid, uid)


def status():
    p = ctl("--json", "bouncer")
    return json.loads(p.stdout) if p.returncode == 0 and p.stdout.strip() else {}


def stat(name):
    m = re.search(r"(?m)^ravelin_bouncer_%s (\d+)" % name, ctl("bouncer", "--openmetrics").stdout)
    return int(m.group(1)) if m else -1


bouncer_conf()
for what, prepare in (("that others can read", lambda: key_file(mode=0o644)), ("that somebody else owns", lambda: key_file(uid=rv.MALLORY_UID)),
                      ("that is no line of text", lambda: key_file(text="a b")), ("that is not there", lambda: os.unlink(KEY))):
    prepare()
    refused = rv.Daemon("ravelin-bouncer", uid=BOUNCER_UID, ns=gate, start=False)
    rv.Process.start(refused)
    rv.check("a key file %s is refused" % what, refused.wait(10) == 71 and "bouncer.key" in refused.output() and key not in refused.output(), refused.output())
bouncer_conf(more=" FilterName a:b\n")
p = rv.run("ravelin-bouncer", "--root", rv.root(), "--check")
rv.check("a bad configuration is refused with its place", p.returncode == 78 and "bouncer.conf:6:" in p.stderr, p.stderr)
bouncer_conf()
key_file()
for args in (("--ip", "203.0.113.7", "--duration", "20m"), ("--range", "198.51.100.0/24", "--duration", "4h"), ("--ip", "2001:db8:77::7", "--duration", "10m"),
             ("--ip", "203.0.113.8", "--duration", "10m", "--type", "captcha"), ("--ip", "192.0.2.2", "--duration", "4h"),
             ("--range", "0.0.0.0/1"), ("--range", "192.0.0.0/16")):
    p = cscli("decisions", "add", *args)
    if p.returncode:
        rv.check("cscli decisions add %s" % " ".join(args), False, p.stderr)
bouncer = rv.Daemon("ravelin-bouncer", uid=BOUNCER_UID, ns=gate)
rv.check("without authority nothing is blocked, and why is told", rv.until(lambda: "not authorized" in status().get("why", "").lower() or "ICH408I" in status().get("why", "")
         or status().get("fails"), 10) and not status().get("synced") and not names(), status())
rv.check("the refusal is in defmgrD's log", rv.until(lambda: "USER(BOUNCER" in dm.output(), 10), dm.output()[-400:])
for what in ("CONTROL", "DISPLAY"):
    rv.permit("EZB.IPSECCMD.{sysname}.%s.%s" % (STACK, what), "BOUNCER")
WANT = {"cs:203.0.113.7", "cs:198.51.100.0-24", "cs:2001:db8:77::7"}
rv.check("with it what CrowdSec bans is blocked: Ip and Range, IPv4 and IPv6, and nothing else", rv.until(lambda: names("--tag", "cs") == WANT, 20), "%s %s" % (names(), status()))
f = {x["name"]: x for x in filters("--tag", "cs")}
rv.check("as long as it bans, at most as long as the stack allows", 19 <= f["cs:203.0.113.7"]["lifetime_min"] <= 20 and f["cs:198.51.100.0-24"]["lifetime_min"] == 30 and
         f["cs:203.0.113.7"]["user"] == "BOUNCER", f)
rv.check("exclusions, widths and other types are counted", stat("excluded_total") >= 2 and stat("too_wide_total") >= 1 and stat("ignored_type_total") >= 1,
         ctl("bouncer").stdout)
rv.check("'defmgrctl bouncer' says that the list is followed", rv.until(lambda: status().get("synced"), 5) and status().get("filters") == 3, status())
p = ctl("bouncer", uid=rv.MALLORY_UID)
rv.check("and refuses a stranger", p.returncode == 3 and not p.stdout, p.stderr)
cscli("decisions", "add", "--ip", "192.0.2.99", "--duration", "1h")
rv.check("who is banned is not answered any more", rv.until(lambda: rv.run("ping", "-c1", "-W1", "-I", "192.0.2.99", "192.0.2.1", ns=outside).returncode, 15))
rv.check("and others are", rv.run("ping", "-c1", "-W1", "-I", "192.0.2.2", "192.0.2.1", ns=outside).returncode == 0)
cscli("decisions", "delete", "--ip", "192.0.2.99")
rv.check("until the ban is lifted", rv.until(lambda: not rv.run("ping", "-c1", "-W1", "-I", "192.0.2.99", "192.0.2.1", ns=outside).returncode, 15))
cscli("decisions", "add", "--ip", "203.0.113.9", "--duration", "1h")
rv.check("a new decision arrives", rv.until(lambda: "cs:203.0.113.9" in names(), 10), names())
cscli("decisions", "delete", "--ip", "203.0.113.7")
rv.check("one that is deleted goes", rv.until(lambda: "cs:203.0.113.7" not in names(), 10), names())
put(rv.path("list.json"), json.dumps([{"duration": "1h", "scope": "ip", "type": "ban", "value": "100.64.%d.%d" % (i // 250, i % 250 + 1)} for i in range(3000)]))
p = cscli("decisions", "import", "-i", rv.path("list.json"))
rv.check("a list of 3000 that is imported arrives whole", p.returncode == 0 and rv.until(lambda: len(names("--tag", "cs")) == 3003, 30), "%d %s" % (len(names()), p.stderr))

crowdsec.kill()
rv.check("CrowdSec gone: told, and the filters stay", rv.until(lambda: not status().get("synced") and "CrowdSec" in status().get("why", ""), 15) and
         len(names("--tag", "cs")) == 3003, status())
crowdsec.start()
added = stat("filters_added_total")
rv.check("CrowdSec restarted: followed again", rv.until(lambda: status().get("synced"), 40), status())
rv.check("and what was there was not installed anew", stat("filters_added_total") == added and len(names("--tag", "cs")) == 3003, ctl("bouncer").stdout)
bouncer.kill()
cscli("decisions", "delete", "--ip", "203.0.113.9")
ctl("delete", "cs:198.51.100.0-24")
bouncer.start()
rv.check("the bouncer killed and started: only what differs is sent", rv.until(lambda: status().get("synced"), 20) and stat("filters_added_total") == 1 and
         stat("filters_deleted_total") == 1 and "cs:203.0.113.9" not in names() and "cs:198.51.100.0-24" in names(), ctl("bouncer").stdout)
dm.kill()
cscli("decisions", "add", "--ip", "203.0.113.10", "--duration", "1h")
rv.check("defmgrD killed -9: told", rv.until(lambda: "defmgrD" in status().get("why", ""), 40), status())
dm.start()
rv.check("and caught up when it is back", rv.until(lambda: "cs:203.0.113.10" in names() and status().get("synced"), 60), status())
bouncer_conf(more=" MaxFilters 100\n Exclude 203.0.113.0/24\n")
bouncer.reload()
rv.check("a reload puts bounds and exclusions in force", rv.until(lambda: status().get("synced") and len(names("--tag", "cs")) <= 100 and "cs:203.0.113.10" not in names(), 20),
         "%d %s" % (len(names()), status()))
rv.check("and counts what is over them", stat("over_limit_total") >= 2900, stat("over_limit_total"))
rv.check("the key is in no output and no list of processes", key not in bouncer.output() and key not in rv.run("ps", "-eo", "args").stdout)

# --- an API that lies ---
LIAR = r"""
import http.server, sys
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        how = open(sys.argv[1]).read().strip()
        ban = b'{"duration":"1h","scope":"Ip","type":"ban","value":"203.0.113.200"}'
        body = {"malformed": b'{"new":[' + ban + b',{"x":]', "cut": b'{"new":[' + ban + b'],"deleted":nu', "html": b"<html>hello</html>", "empty": b"{}",
                "list": b"[]", "other": b'{"new":"' + b"x" * 9 + b'","deleted":null}'}.get(how, b'{"new":[' + ban + b',{"duration":"1h","scope":"AS","type":"ban","value":"64500"}],"deleted":null}')
        self.send_response({"refused": 403, "broken": 500, "moved": 302}.get(how, 200))
        if how == "moved": self.send_header("Location", "http://127.0.0.1:8080/v1/decisions/stream?startup=true")
        self.end_headers()
        try:
            if how == "huge":
                row = (b'{"duration":"1h","scope":"AS","type":"ban","value":"1"},') * 1000
                self.wfile.write(b'{"new":[')
                for _ in range(60): self.wfile.write(row)
            self.wfile.write(body)
        except OSError: pass
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer(("127.0.0.1", 8081), H).serve_forever()
"""
bouncer.stop()
put(rv.path("how"), "malformed")
liar = rv.Process(["/usr/bin/python3", "-c", LIAR, rv.path("how")], ns=gate, name="liar").start()
before = names()
bouncer_conf("http://127.0.0.1:8081/", " MaxAnswer 1\n")
bouncer.start()
for how, word in (("malformed", "JSON"), ("cut", "JSON|missing"), ("html", "JSON"), ("empty", "missing"), ("list", "not a list of decisions"), ("other", "not a list of decisions"),
                  ("huge", "MaxAnswer"), ("refused", "key"), ("broken", "500"), ("moved", "302")):
    put(rv.path("how"), how)
    bouncer.reload()
    rv.check("an answer that is %s changes nothing and is told" % how, rv.until(lambda: re.search(word, status().get("why", "")), 10) and names() == before, status())
put(rv.path("how"), "good")
bouncer.reload()
rv.check("a good one is believed again", rv.until(lambda: names("--tag", "cs") == {"cs:203.0.113.200"}, 15), names())
rv.check("and scopes that are no addresses are counted", stat("ignored_scope_total") >= 1, ctl("bouncer").stdout)
rv.check("the bouncer ends in order, and its filters stay", bouncer.stop() == 0 and names("--tag", "cs") == {"cs:203.0.113.200"}, bouncer.output()[-300:])
sys.exit(rv.finish())
