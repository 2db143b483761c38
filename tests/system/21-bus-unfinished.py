#!/usr/bin/python3
"""A peer that begins a message and never ends it: a raw ZMTP client, without any authority, against a real daemon. libzmq by itself keeps
every frame of such a message (lib/bus/guard.h)."""
import os
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import rv

MIB = 1 << 20
OFFERED = 300 * MIB
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48)


def raw(name, kind):
    """A connection to the daemon's socket @name with ZMTP's handshake done, as a socket of type @kind."""
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.settimeout(10)
    s.connect(rv.path("run/ravelin/defmgrD", name))
    ready = b"\x05READY" + b"\x0bSocket-Type" + struct.pack(">I", len(kind)) + kind
    s.sendall(GREETING + bytes([4, len(ready)]) + ready)
    got = b""
    while len(got) < 66 or len(got) < 66 + got[65]:
        more = s.recv(4096)
        if not more:
            raise RuntimeError("the daemon ended the handshake")
        got += more
    return s


def offer(s, frame):
    """How much of OFFERED the daemon takes."""
    burst, taken = frame * max(1, 65536 // len(frame)), 0
    try:
        while taken < OFFERED:
            taken += s.send(burst)
    except (BrokenPipeError, ConnectionResetError, socket.timeout):
        pass
    s.close()
    return taken


def resident(pid):
    with open("/proc/%d/statm" % pid) as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def main():
    rv.saf_base(["LEFT"])
    rv.permit("EZB.NETSTAT.{sysname}.DEFMGRD.STATS", "IBMUSER")
    rv.write("dmd.conf", "DmStackConfig LEFT\n{\n  Mode Active\n}\n")
    d = rv.Daemon("defmgrD", uid=rv.DEFMGRD_UID)
    c = rv.Client("defmgrD")
    pb = rv.protos()

    def ended():
        code, _, reply = c.call("common.Stats", pb.common.Empty(), pb.common.StatsReply)
        return next(s.value for s in reply.stats if s.name == "bus_oversized_total") if code == 1 else -1

    before, count = resident(d.p.pid), 0
    # A subscription is short, and libzmq itself refuses a longer frame there.
    for name, kind, large in (("rpc", b"DEALER", 60000), ("events", b"SUB", 200)):
        for text, frame in (("large", b"\x03" + struct.pack(">Q", large) + bytes(large)), ("empty", b"\x01\x00")):
            count += 1
            taken = offer(raw(name, kind), frame)
            rv.check("%s frames without end at %s: the connection ends soon" % (text, name), taken < 16 * MIB, taken)
            rv.check("and is counted", rv.until(lambda: ended() == count, 5), ended())
    grown = resident(d.p.pid) - before
    rv.check("the daemon's memory is as it was", grown < 24 * MIB, "%d MiB more" % (grown // MIB))
    return rv.finish()


if __name__ == "__main__":
    sys.exit(main())
