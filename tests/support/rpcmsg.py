"""ONC RPC as bytes (RFC 5531, RFC 1833): what a test of the registry sends and understands. No libtirpc: a test must be able to be wrong."""
import os
import pickle
import random
import socket
import struct

PROG = 100000
NULL, SET, UNSET, GETADDR, DUMP, CALLIT, GETTIME, U2T, T2U, GETVERSADDR, INDIRECT, GETADDRLIST, GETSTAT = range(13)


def opaque(data):
    if isinstance(data, str):
        data = data.encode()
    return struct.pack(">I", len(data)) + data + b"\0" * (-len(data) % 4)


def call(vers, proc, args=b"", prog=PROG, xid=None, rpcvers=2, cred=(0, b""), verf=(0, b"")):
    xid = random.getrandbits(32) if xid is None else xid
    return struct.pack(">6I", xid, 0, rpcvers, prog, vers, proc) + struct.pack(">I", cred[0]) + opaque(cred[1]) + \
        struct.pack(">I", verf[0]) + opaque(verf[1]) + args


def mapping(prog, vers, prot, port):
    return struct.pack(">4I", prog, vers, prot, port)


def rpcb(prog, vers, netid="", addr="", owner=""):
    return struct.pack(">2I", prog, vers) + opaque(netid) + opaque(addr) + opaque(owner)


def uaddr(host, port):
    return "%s.%d.%d" % (host, port >> 8, port & 255)


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def u32(self):
        v = struct.unpack_from(">I", self.data, self.at)[0]
        self.at += 4
        return v

    def bytes(self):
        n = self.u32()
        v = self.data[self.at:self.at + n]
        assert len(v) == n, "counted bytes are cut"
        self.at += n + -n % 4
        return v

    def text(self):
        return self.bytes().decode()

    def left(self):
        return self.data[self.at:]


class Reply:
    """how: 'ok', 'prog_unavail', 'mismatch', 'proc_unavail', 'garbage', 'system', 'rpc_mismatch', 'auth'; .stat for auth, .low and .high."""

    def __init__(self, data):
        r = Reader(data)
        self.raw, self.xid, self.low, self.high, self.stat = data, r.u32(), None, None, None
        assert r.u32() == 1, "not a reply"
        if r.u32() == 0:
            r.u32()
            r.bytes()
            self.how = ["ok", "prog_unavail", "mismatch", "proc_unavail", "garbage", "system"][r.u32()]
        elif r.u32() == 0:
            self.how = "rpc_mismatch"
        else:
            self.how, self.stat = "auth", r.u32()
        if self.how in ("mismatch", "rpc_mismatch"):
            self.low, self.high = r.u32(), r.u32()
        self.r = r


def udp(host="127.0.0.1", port=111, timeout=5.0):
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(timeout)
    s.connect((host, port))
    return s


def tcp(host="127.0.0.1", port=111, timeout=5.0):
    s = socket.create_connection((host, port), timeout)
    s.settimeout(timeout)
    return s


def local(path="/run/rpcbind.sock", timeout=5.0):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(timeout)
    s.connect(path)
    return s


def record(data, cut=None):
    """With record marks; @cut: fragments of so many bytes."""
    if not cut:
        return struct.pack(">I", 0x80000000 | len(data)) + data
    parts = [data[i:i + cut] for i in range(0, len(data), cut)]
    return b"".join(struct.pack(">I", (0x80000000 if i == len(parts) - 1 else 0) | len(p)) + p for i, p in enumerate(parts))


def read_exact(s, n):
    data = b""
    while len(data) < n:
        more = s.recv(n - len(data))
        if not more:
            raise ConnectionError("closed")
        data += more
    return data


def read_record(s):
    data = b""
    while True:
        mark = struct.unpack(">I", read_exact(s, 4))[0]
        data += read_exact(s, mark & 0x7fffffff)
        if mark >> 31:
            return data


def ask(s, vers, proc, args=b"", **more):
    """One call on a connected socket; None when no answer comes in time."""
    msg = call(vers, proc, args, **more)
    try:
        if s.type == socket.SOCK_DGRAM:
            s.send(msg)
            while True:
                r = Reply(s.recv(65535))
                if r.xid == struct.unpack(">I", msg[:4])[0]:
                    return r
        s.sendall(record(msg))
        return Reply(read_record(s))
    except (TimeoutError, ConnectionError, BrokenPipeError):
        return None


def dump(s, vers=4):
    """(prog, vers, netid or protocol, address or port, owner) of all."""
    r = ask(s, vers, DUMP).r
    rows = []
    while r.u32():
        if vers == 2:
            rows.append((r.u32(), r.u32(), {6: "tcp", 17: "udp"}[r.u32()], r.u32(), ""))
        else:
            rows.append((r.u32(), r.u32(), r.text(), r.text(), r.text()))
    assert not r.left(), "bytes behind the list"
    return rows


def as_user(uid, fn, *args):
    """What @fn gives in a child with that uid, without capabilities."""
    out, into = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(out)
            if uid:
                os.setgroups([])
                os.setresgid(uid, uid, uid)
                os.setresuid(uid, uid, uid)
            with os.fdopen(into, "wb") as f:
                pickle.dump(fn(*args), f)
            code = 0
        finally:
            os._exit(code)
    os.close(into)
    with os.fdopen(out, "rb") as f:
        data = f.read()
    os.waitpid(pid, 0)
    if not data:
        raise RuntimeError("the child of uid %d failed" % uid)
    return pickle.loads(data)
