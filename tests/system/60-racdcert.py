#!/usr/bin/python3
"""RACDCERT and the signer process: what GENCERT makes stands before openssl, modes are enforced, a killed signer is replaced, and the
process that would talk to strangers never opens a key."""
import datetime
import glob
import json
import os
import random
import re
import signal
import stat
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import rv

IKED, OTHER = 20030, 20031
HASH = "00112233445566778899aabbccddeeff00112233"


def racdcert(text, uid=0):
    return rv.run("safctl", "RACDCERT " + text, uid=uid)


def good(text):
    p = racdcert(text)
    return rv.check("RACDCERT " + text.split("SUBJECTSDN")[0][:90], p.returncode == 0, p.stdout + p.stderr)


def refused(name, text, why, status=1):
    p = racdcert(text)
    rv.check(name, p.returncode == status and why in p.stdout + p.stderr, "%d %s%s" % (p.returncode, p.stdout, p.stderr))


def openssl(*args, stdin=None):
    return subprocess.run(["openssl", *args], capture_output=True, text=True, input=stdin or "", timeout=60)


def ring(*parts):
    return rv.path("var/lib/ravelin/keyring", *parts)


class Tool:
    """A daemon's side of the ring."""

    def __init__(self, uid=0, name="iked/keyring", wrap=()):
        argv = list(wrap) + rv.as_uid(uid) + [rv.public("signer_tool") if uid else rv.program("signer_tool"), name]
        self.p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1,
                                  env=rv.environment())
        rv.at_end(self.close)

    def ask(self, line):
        self.p.stdin.write(line + "\n")
        return self.p.stdout.readline().strip()

    def sign_again(self):
        """As a daemon does: what was in a signer that died is asked for once more."""
        answer = self.ask("sign gw_cert " + HASH)
        if answer.startswith("failed -104 the signer process was killed by signal 9"):
            answer = self.ask("sign gw_cert " + HASH)
        return answer

    def failure(self):
        out, err = self.p.communicate(timeout=60)
        return self.p.returncode, err.strip()

    def close(self):
        if self.p.poll() is None:
            self.p.stdin.close()
            try:
                self.p.wait(10)
            except subprocess.TimeoutExpired:
                self.p.kill()
        return self.p.wait(10)


def refusals():
    rv.saf("ADDUSER IKED OMVS(UID(%d))\nADDUSER NOUID\nADDUSER OTHER OMVS(UID(%d))" % (IKED, OTHER))
    refused("an unknown function", "ID(IKED) FROBNICATE", "MISSING FUNCTION")
    refused("an unknown keyword", "ID(IKED) ADDRING(x) COLOUR(RED)", "INVALID KEYWORD, COLOUR")
    refused("an unknown user", "ID(NOBODY) ADDRING(keyring)", "NOT DEFINED")
    refused("a user without uid", "ID(NOUID) ADDRING(keyring)", "HAS NO UID")
    refused("two owners", "ID(IKED) SITE LIST", "exclude each other")
    refused("a ring for CERTAUTH", "CERTAUTH ADDRING(keyring)", "has no key rings")
    refused("a ring that is not there", "ID(IKED) LISTRING(keyring)", "keyring")
    refused("a certificate that is not there", "ID(IKED) DELETE(LABEL('x'))", "")
    refused("a file that is not there", "ID(IKED) ADD('/nonexistent')", "No such file")
    refused("no subject", "ID(IKED) GENCERT WITHLABEL('x')", "MISSING SUBJECTSDN")
    refused("a key too small", "ID(IKED) GENCERT SUBJECTSDN(CN('x')) WITHLABEL('x') SIZE(512)", "INVALID SIZE")
    refused("an impossible date", "ID(IKED) GENCERT SUBJECTSDN(CN('x')) WITHLABEL('x') NOTAFTER(DATE(2030-02-31))", "INVALID NOTAFTER")
    refused("a bad address", "ID(IKED) GENCERT SUBJECTSDN(CN('x')) WITHLABEL('x') ALTNAME(IP(1.2.3))", "INVALID IP")
    refused("a long label", "ID(IKED) GENCERT SUBJECTSDN(CN('x')) WITHLABEL('%s')" % ("x" * 33), "INVALID LABEL")
    p = racdcert("ID(IKED) ADDRING(keyring)", uid=OTHER)
    rv.check("another user is not authorised", p.returncode == 3, p.stdout + p.stderr)


def generate():
    good("CERTAUTH GENCERT SUBJECTSDN(CN('Example CA') O('Example') C('US')) WITHLABEL('Example CA') NOTAFTER(DATE(2040-12-31))")
    good("CERTAUTH GENCERT SUBJECTSDN(CN('Sub CA') O('Example') C('US')) WITHLABEL('Sub CA') NISTECC SIGNWITH(CERTAUTH LABEL('Example CA'))"
         " NOTAFTER(DATE(2039-12-31))")
    good("ID(IKED) GENCERT SUBJECTSDN(CN('gw') OU('net','deep') O('Example') C('US')) WITHLABEL('gw cert') SIGNWITH(CERTAUTH LABEL('Example CA'))"
         " ALTNAME(IP(192.0.2.1) DOMAIN('gw.example.com') EMAIL('gw@example.com')) KEYUSAGE(HANDSHAKE)")
    good("ID(IKED) GENCERT SUBJECTSDN(CN('sub gw')) WITHLABEL('under sub') SIGNWITH(CERTAUTH LABEL('Sub CA'))")
    refused("a label in use", "ID(IKED) GENCERT SUBJECTSDN(CN('x')) WITHLABEL('gw cert')", "already in use")
    refused("a host signs nothing", "ID(IKED) GENCERT SUBJECTSDN(CN('x')) WITHLABEL('x') SIGNWITH(LABEL('gw cert'))", "not the certificate of a CA")
    for owner, label, name in (("CERTAUTH", "Example CA", "ca"), ("CERTAUTH", "Sub CA", "sub"), ("ID(IKED)", "gw cert", "gw"),
                               ("ID(IKED)", "under sub", "undersub")):
        good("%s EXPORT(LABEL('%s')) DSN('%s')" % (owner, label, rv.path(name + ".pem")))
    ca, sub, gw = rv.path("ca.pem"), rv.path("sub.pem"), rv.path("gw.pem")
    p = openssl("verify", "-x509_strict", "-CAfile", ca, gw)
    rv.check("openssl verifies what GENCERT made", p.returncode == 0 and "OK" in p.stdout, p.stdout + p.stderr)
    p = openssl("verify", "-x509_strict", "-CAfile", ca, "-untrusted", sub, rv.path("undersub.pem"))
    rv.check("and a chain of three", p.returncode == 0, p.stdout + p.stderr)
    text = openssl("x509", "-in", gw, "-noout", "-text").stdout
    rv.check("subject, names and usage are those asked for",
             all(x in text for x in ("C = US, O = Example, OU = deep, OU = net, CN = gw", "IP Address:192.0.2.1", "DNS:gw.example.com",
                                     "email:gw@example.com", "Digital Signature, Key Encipherment", "Public-Key: (2048 bit)")), text)
    text = openssl("x509", "-in", ca, "-noout", "-text").stdout
    rv.check("a CA is one", "CA:TRUE" in text and "Certificate Sign, CRL Sign" in text and "2040" in text, text)


def connect():
    good("ID(IKED) ADDRING(keyring)")
    refused("a ring twice", "ID(IKED) ADDRING(keyring)", "already exists")
    good("ID(IKED) CONNECT(LABEL('under sub') RING(keyring) DEFAULT)")
    good("ID(IKED) CONNECT(LABEL('gw cert') RING(keyring) DEFAULT)")
    good("ID(IKED) CONNECT(CERTAUTH LABEL('Example CA') RING(keyring))")
    refused("a certificate that is not there", "ID(IKED) CONNECT(LABEL('none') RING(keyring))", "IRRD107I")
    p = rv.run("safctl", "--json", "RACDCERT ID(IKED) LISTRING(keyring)")
    try:
        certs = {c["label"]: c for c in json.loads(p.stdout)[0]["certificates"]}
    except (ValueError, IndexError, KeyError):
        certs = {}
    rv.check("LISTRING shows usage and the one default", len(certs) == 3 and certs["gw cert"]["default"] and not certs["under sub"]["default"]
             and certs["Example CA"]["usage"] == "CERTAUTH" and certs["gw cert"]["usage"] == "PERSONAL", p.stdout + p.stderr)
    key = os.stat(ring("IKED/keyring/gw%20cert/key.pem"))
    rv.check("the ring's key is the user's alone", key.st_uid == IKED and stat.S_IMODE(key.st_mode) == 0o600, key)
    rv.check("a CA's key does not come along", not os.path.exists(ring("IKED/keyring/Example%20CA/key.pem")))
    others = [p for p in glob.glob(ring("**"), recursive=True) if os.stat(p).st_mode & 0o022]
    rv.check("nothing is writable by others", not others, others)
    good("ID(OTHER) ADDRING(theirs)")
    good("ID(OTHER) CONNECT(ID(IKED) LABEL('gw cert') RING(theirs))")
    rv.check("another user's ring gets the certificate without the key",
             os.path.exists(ring("OTHER/theirs/gw%20cert/cert.pem")) and not os.path.exists(ring("OTHER/theirs/gw%20cert/key.pem")))


def openssl_accepts(signature):
    """Is the bare hash what the public key recovers from it (RFC 2409 section 5.1)."""
    if not re.fullmatch("[0-9a-f]{512}", signature):
        return False, signature
    with open(rv.path("sig"), "wb") as f:
        f.write(bytes.fromhex(signature))
    p = subprocess.run(["openssl", "pkeyutl", "-verifyrecover", "-certin", "-inkey", rv.path("gw.pem"), "-in", rv.path("sig")],
                       capture_output=True, timeout=60)
    return p.stdout.hex() == HASH, p.stderr


def signs():
    t = Tool(uid=IKED)
    ok, why = openssl_accepts(t.ask("sign gw_cert " + HASH))
    rv.check("the owner's signature is what openssl recovers the hash from", ok, why)
    rv.check("the certificate is found by identity", t.ask("find IpAddr 192.0.2.1") == "gw cert")
    rv.check("and none for another", "no certificate for that identity" in t.ask("find Fqdn other.example.com"))
    return t


def process(t):
    pid = int(t.ask("pid"))
    with open("/proc/%d/status" % pid) as f:
        status = f.read()
    with open("/proc/%d/limits" % pid) as f:
        limits = f.read()
    rv.check("the signer has a system call filter, no capability, no new privileges",
             "Seccomp:\t2" in status and "CapEff:\t0000000000000000" in status and "CapPrm:\t0000000000000000" in status and "NoNewPrivs:\t1" in status, status)
    rv.check("its core dumps are off", re.search(r"Max core file size\s+0\s+0", limits), limits)
    p = rv.run("cat", "/proc/%d/maps" % pid, uid=IKED)
    rv.check("its memory is closed to its own uid", p.returncode != 0 and "Permission denied" in p.stderr, p.stderr)
    fds = {os.readlink(x) for x in glob.glob("/proc/%d/fd/*" % pid)}
    rv.check("it holds its socket and nothing of the ring", any(x.startswith("socket:") for x in fds) and not any("keyring" in x for x in fds), fds)
    fds = {os.readlink(x) for x in glob.glob("/proc/%d/fd/*" % t.p.pid)}
    rv.check("the daemon holds nothing of the ring either", not any("keyring" in x for x in fds), fds)


def killed(t):
    pid = int(t.ask("pid"))
    os.kill(pid, signal.SIGKILL)
    ok, why = openssl_accepts(t.sign_again())
    rv.check("a killed signer is replaced and signs", ok, why)
    rv.check("by another process", int(t.ask("pid")) not in (0, pid))
    for _ in range(3):
        os.kill(int(t.ask("pid")), signal.SIGKILL)
        t.sign_again()
    rv.check("again and again", openssl_accepts(t.sign_again())[0])
    pid = int(t.ask("pid"))
    t.p.kill()
    t.p.wait()
    rv.check("it does not outlive the daemon", rv.until(lambda: not os.path.exists("/proc/%d" % pid), 10))


def never_opens():
    log = rv.path("strace")
    t = Tool(uid=0, name="root/own", wrap=["strace", "-f", "-qq", "-e", "trace=open,openat,openat2,execve", "-o", log])
    rv.check("under strace it signs too", len(t.ask("sign me " + HASH)) == 512)
    t.close()
    with open(log) as f:
        lines = f.read().splitlines()
    signers = {x.split()[0] for x in lines if "execve(" in x and "ravelin-signer" in x}
    keys = [x for x in lines if '"key.' in x]
    rv.check("the key was opened by the signer, and only by it",
             len(signers) == 1 and keys and all(x.split()[0] in signers for x in keys), "\n".join(keys) + str(signers))
    rv.check("certificates were opened by the daemon", any('"cert.pem"' in x and x.split()[0] not in signers for x in lines))


def root_ring():
    """A ring of a user with uid 0, for the trace: strace follows no change of uid."""
    rv.saf("ADDUSER ROOT OMVS(UID(0))")
    good("ID(ROOT) GENCERT SUBJECTSDN(CN('me')) WITHLABEL('me')")
    good("ID(ROOT) ADDRING(own)")
    good("ID(ROOT) CONNECT(LABEL('me') RING(own) DEFAULT)")


def modes():
    key = ring("IKED/keyring/gw%20cert/key.pem")
    for mode in (0o644, 0o640, 0o660):
        os.chmod(key, mode)
        rc, err = Tool(uid=IKED).failure()
        rv.check("a key of mode %04o is refused with the reason" % mode, rc == 1 and "mode %04o: it must be 0600" % mode in err, err)
    os.chmod(key, 0o600)
    rc, err = Tool(uid=OTHER).failure()
    rv.check("another uid is refused", rc == 1 and "must belong to uid %d" % OTHER in err, err)
    os.chmod(ring("IKED"), 0o777)
    rc, err = Tool(uid=IKED).failure()
    rv.check("a parent that others may write is refused", rc == 1 and "others than its owner may write it" in err, err)
    os.chmod(ring("IKED"), 0o755)
    t = Tool(uid=IKED)
    rv.check("the ring as it should be opens", int(t.ask("pid") or 0) > 0)
    os.chmod(key, 0o604)
    rv.check("a reload that fails says why", "it must be 0600" in t.ask("reload"))
    rv.check("and the old keys go on", openssl_accepts(t.ask("sign gw_cert " + HASH))[0])
    os.chmod(key, 0o600)
    rv.check("a reload that works", t.ask("reload") == "ok")
    rv.check("signs too", openssl_accepts(t.ask("sign gw_cert " + HASH))[0])
    t.close()


def trust():
    t = Tool(uid=IKED)
    rv.check("before ALTER it signs", openssl_accepts(t.ask("sign gw_cert " + HASH))[0])
    good("ID(IKED) ALTER(LABEL('gw cert')) NOTRUST")
    rv.check("reload after NOTRUST", t.ask("reload") == "ok")
    rv.check("what is not trusted signs nothing", "failed" in t.ask("sign gw_cert " + HASH))
    good("ID(IKED) ALTER(LABEL('gw cert')) TRUST")
    rv.check("reload after TRUST", t.ask("reload") == "ok")
    rv.check("and signs again", openssl_accepts(t.ask("sign gw_cert " + HASH))[0])
    t.close()


def renewal():
    good("ID(IKED) GENREQ(LABEL('gw cert')) DSN('%s')" % rv.path("gw.req"))
    p = openssl("req", "-in", rv.path("gw.req"), "-noout", "-verify", "-text")
    rv.check("openssl takes the request, with its names", p.returncode == 0 and "DNS:gw.example.com" in p.stdout, p.stdout + p.stderr)
    good("CERTAUTH EXPORT(LABEL('Example CA')) DSN('%s') FORMAT(PKCS12DER) PASSWORD('secret word')" % rv.path("ca.p12"))
    rv.check("an exported key is the caller's alone", stat.S_IMODE(os.stat(rv.path("ca.p12")).st_mode) == 0o600)
    p = openssl("pkcs12", "-in", rv.path("ca.p12"), "-nodes", "-passin", "pass:secret word", "-out", rv.path("ca-key.pem"))
    rv.check("openssl reads the exported PKCS #12", p.returncode == 0, p.stderr)
    with open(rv.path("ext"), "w") as f:
        f.write("subjectAltName=DNS:gw.example.com,IP:192.0.2.1\n")
    p = openssl("x509", "-req", "-in", rv.path("gw.req"), "-CA", rv.path("ca.pem"), "-CAkey", rv.path("ca-key.pem"), "-set_serial", "77", "-days", "90",
                "-extfile", rv.path("ext"), "-out", rv.path("gw2.pem"))
    rv.check("another CA answers the request", p.returncode == 0, p.stderr)
    good("ID(IKED) ADD('%s') WITHLABEL('gw cert')" % rv.path("gw2.pem"))
    with open(ring("IKED/keyring/gw%20cert/cert.pem")) as f:
        serial = openssl("x509", "-noout", "-serial", stdin=f.read()).stdout
    rv.check("the answer takes the old one's place, in the ring too", "=4D" in serial, serial)
    t = Tool(uid=IKED)
    rv.check("with the key that was there", openssl_accepts(t.ask("sign gw_cert " + HASH))[0])
    t.close()
    refused("a certificate of another key does not", "ID(IKED) ADD('%s') WITHLABEL('gw cert')" % rv.path("undersub.pem"), "with another key")


def foreign():
    p = openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=foreign", "-keyout", rv.path("f.key"), "-out", rv.path("f.pem"), "-days", "9")
    p12 = openssl("pkcs12", "-export", "-inkey", rv.path("f.key"), "-in", rv.path("f.pem"), "-passout", "pass:pw", "-out", rv.path("f.p12"))
    der = openssl("x509", "-in", rv.path("f.pem"), "-outform", "DER", "-out", rv.path("f.der"))
    rv.check("openssl makes certificates", p.returncode == p12.returncode == der.returncode == 0, p.stderr + p12.stderr + der.stderr)
    refused("PKCS #12 with a wrong password", "ID(IKED) ADD('%s') WITHLABEL('p12') PASSWORD('no')" % rv.path("f.p12"), "IRRD104I")
    good("ID(IKED) ADD('%s') WITHLABEL('p12') PASSWORD('pw')" % rv.path("f.p12"))
    good("SITE ADD('%s') WITHLABEL('site der')" % rv.path("f.der"))
    refused("a host certificate is no CERTAUTH", "CERTAUTH ADD('%s') WITHLABEL('x')" % rv.path("gw.pem"), "not that of a CA")
    with open(rv.path("both.pem"), "w") as f:
        f.write(open(rv.path("f.pem")).read() + open(rv.path("f.key")).read())
    p = racdcert("SITE ADD('%s')" % rv.path("both.pem"))
    rv.check("without a label one is made", p.returncode == 0 and "LABEL00000001" in p.stdout, p.stdout + p.stderr)
    p = rv.run("safctl", "--json", "RACDCERT SITE LIST")
    try:
        listed = {c["label"]: c["private_key"] for c in json.loads(p.stdout)}
    except (ValueError, KeyError):
        listed = p.stdout
    rv.check("LIST shows which have keys", listed == {"site der": False, "LABEL00000001": True}, listed)
    good("ID(IKED) EXPORT(LABEL('p12')) DSN('%s') FORMAT(CERTDER)" % rv.path("f2.der"))
    with open(rv.path("f.der"), "rb") as a, open(rv.path("f2.der"), "rb") as b:
        rv.check("what was added comes out as it was", a.read() == b.read())
    with open(rv.path("junk"), "wb") as f:
        f.write(os.urandom(3000))
    refused("noise is no certificate", "ID(IKED) ADD('%s') WITHLABEL('x')" % rv.path("junk"), "IRRD104I")


def crl():
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    with open(rv.path("ca-key.pem"), "rb") as f:
        data = f.read()
    ca, key = x509.load_pem_x509_certificate(data), serialization.load_pem_private_key(data, None)
    with open(rv.path("gw2.pem"), "rb") as f:
        gw = x509.load_pem_x509_certificate(f.read())
    now = datetime.datetime.utcnow()
    t = Tool(uid=IKED)
    rv.check("a peer's certificate is good", t.ask("verify %s Fqdn gw.example.com" % rv.path("gw2.pem")).startswith("ok CN=gw"))
    rv.check("of somebody else it is not", t.ask("verify %s Fqdn evil.example.com" % rv.path("gw2.pem")).startswith("identity "))
    rv.check("a stranger's is not", t.ask("verify %s X500dn CN=foreign" % rv.path("f.pem")).startswith("untrusted "))
    for revoked in (True, False):
        b = x509.CertificateRevocationListBuilder().issuer_name(ca.subject).last_update(now - datetime.timedelta(1)).next_update(now + datetime.timedelta(9))
        if revoked:
            b = b.add_revoked_certificate(x509.RevokedCertificateBuilder().serial_number(gw.serial_number).revocation_date(now).build())
        with open(rv.path("ca.crl"), "wb") as f:
            f.write(b.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        good("ID(IKED) ADDCRL(keyring) DSN('%s')" % rv.path("ca.crl"))
        rv.check("reload with the CRL", t.ask("reload") == "ok")
        answer = t.ask("verify %s Fqdn gw.example.com" % rv.path("gw2.pem"))
        rv.check("revoked is refused" if revoked else "a newer CRL takes its place", answer.startswith("revoked " if revoked else "ok "), answer)
    refused("a certificate is no CRL", "ID(IKED) ADDCRL(keyring) DSN('%s')" % rv.path("ca.pem"), "is no CRL")
    t.close()


def torn():
    """safctl killed at any moment leaves the old state or the new."""
    before = rv.run("safctl", "--json", "RACDCERT ID(IKED) LISTRING(keyring)").stdout
    bad = []
    for i in range(25):
        p = subprocess.Popen([rv.program("safctl"), "RACDCERT ID(IKED) CONNECT(LABEL('gw cert') RING(keyring) DEFAULT)"], env=rv.environment(),
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(random.uniform(0.001, 0.03))
        p.kill()
        p.wait()
        now = rv.run("safctl", "--json", "RACDCERT ID(IKED) LISTRING(keyring)")
        if now.returncode or now.stdout != before:
            bad.append(now.stdout + now.stderr)
    rv.check("25 killed commands left a whole ring", not bad, bad[:2])
    good("ID(IKED) CONNECT(LABEL('gw cert') RING(keyring) DEFAULT)")
    left = glob.glob(ring("**/.new"), recursive=True) + glob.glob(ring("*/*/.new"))
    rv.check("nothing half made is left", not left, left)


def while_it_changes():
    """Whoever reads a ring while RACDCERT exchanges its folders reads the old or the new."""
    t = Tool(uid=IKED)
    stop = time.monotonic() + 3
    bad, reloads, writer = [], 0, None
    while time.monotonic() < stop or reloads < 5:
        if writer is None or writer.poll() is not None:
            writer = subprocess.Popen([rv.program("safctl"), "RACDCERT ID(IKED) CONNECT(LABEL('gw cert') RING(keyring) DEFAULT)"],
                                      env=rv.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        answer = t.ask("reload")
        reloads += 1
        if answer != "ok":
            bad.append(answer)
    writer.wait()
    rv.check("%d reloads while the ring was written" % reloads, not bad, bad[:3])
    rv.check("and it signs", openssl_accepts(t.ask("sign gw_cert " + HASH))[0])
    t.close()


def endings():
    good("ID(IKED) REMOVE(LABEL('under sub') RING(keyring))")
    refused("twice", "ID(IKED) REMOVE(LABEL('under sub') RING(keyring))", "IRRD107I")
    good("ID(IKED) DELETE(LABEL('gw cert'))")
    rv.check("DELETE takes it from every ring", not glob.glob(ring("*/*/gw%20cert")), glob.glob(ring("*/*/gw%20cert")))
    rc, err = Tool(uid=IKED, name="iked/none").failure()
    rv.check("a daemon without its ring says so", rc == 1 and "IKED/none" in err, err)
    good("ID(IKED) DELRING(keyring)")
    rv.check("DELRING leaves nothing", not os.path.exists(ring("IKED/keyring")))
    with open(rv.path("var/log/ravelin/safctl.audit")) as f:
        records = f.read()
    rv.check("the audit trail names function, owner and label", '"function":"GENCERT","object":"IKED","detail":"gw cert"' in records, records[-500:])
    rv.check("and no password", "secret word" not in records and '"pw"' not in records)
    p = rv.run("auditctl", "verify", rv.path("var/log/ravelin/safctl.audit"))
    rv.check("its chain is whole", p.returncode == 0, p.stdout + p.stderr)


def main():
    if os.geteuid() != 0:
        sys.exit("not ok - must run as root")
    refusals()
    generate()
    connect()
    t = signs()
    process(t)
    killed(t)
    root_ring()
    never_opens()
    modes()
    trust()
    renewal()
    foreign()
    crl()
    torn()
    while_it_changes()
    endings()


main()
sys.exit(rv.finish())
