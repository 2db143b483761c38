#!/usr/bin/python3
"""tshark's dissectors of ONC RPC and of the registry read every answer of rpcbindD without a mark of malformation, over UDP and TCP, IPv4 and IPv6."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import rv
import rpcbind_place as place
import rpcmsg as rpc

PROG = 0x20000400


def questions():
    """Each procedure of each version, right and wrong."""
    m, r = rpc.mapping(PROG, 1, 17, 3000), rpc.rpcb(PROG, 1, "udp", "0.0.0.0.11.184", "x")
    args = {2: {1: m, 3: m, 4: b"", 2: m}, 3: {1: r, 3: r, 4: b"", 6: b"", 7: rpc.opaque("127.0.0.1.0.111"), 2: r},
            4: {1: r, 3: r, 4: b"", 6: b"", 7: rpc.opaque("127.0.0.1.0.111"), 9: r, 11: r, 12: b"", 2: r}}
    for vers, procs in args.items():
        yield vers, 0, b"", {}
        for proc, body in procs.items():
            yield vers, proc, body, {}
        yield vers, 3, b"\0", {}
        yield vers, 77, b"", {}
    yield 9, 0, b"", {}
    yield 4, 0, b"", {"rpcvers": 3}
    yield 4, 0, b"", {"cred": (1, b"\0")}
    yield 4, 0, b"", {"prog": 100003}


def main():
    place.enter()
    d = place.daemon()
    capture = rv.path("rpc.pcap")
    dump = rv.Process(["tcpdump", "-i", "lo", "-U", "-Z", "root", "-w", capture, "port 111"]).start()
    rv.until(lambda: "listening" in dump.output(), 20)
    asked = 0
    for make in (rpc.udp, rpc.tcp, lambda: rpc.udp("::1"), lambda: rpc.tcp("::1")):
        s = make()
        for vers, proc, body, more in questions():
            asked += rpc.ask(s, vers, proc, body, **more) is not None
        s.close()
    want = 4 * len(list(questions()))
    rv.check("every question has an answer", asked == want, "%d of %d" % (asked, want))

    def tshark(*args):
        return subprocess.run(["tshark", "-r", capture, "-o", "rpc.find_fragment_start:FALSE", *args], capture_output=True, text=True, env=dict(os.environ, HOME=rv.root()))

    replies = lambda: len(tshark("-Y", "rpc.msgtyp == 1", "-T", "fields", "-e", "rpc.xid").stdout.replace(",", "\n").split())
    known = want - 4  # to tshark a call of RPC version 3 is none, nor is its answer
    rv.check("tshark sees them all", rv.until(lambda: replies() >= known, 20, 0.5), "%d of %d" % (replies(), known))
    dump.stop()
    p = tshark("-Y", "rpc.msgtyp == 1 && (_ws.malformed || _ws.expert.severity == error || _ws.unreassembled)")
    rv.check("none is malformed", p.returncode == 0 and not p.stdout.strip(), p.stdout[:600] + p.stderr[:300])
    p = tshark("-Y", "rpc.msgtyp == 1 && portmap", "-V")
    rv.check("and the registry's own dissector reads the lists", p.stdout.count("Universal Address:") > 20 or p.stdout.count("Map Entry") > 10, p.stdout[-300:])
    d.stop()
    return rv.finish()


sys.exit(main())
