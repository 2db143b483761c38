"""How long a scanner is still answered: used by tests/system/49-bridges.py and tests/bench/bridge.py.

    python3 scanblock.py SOURCE TARGET [SECONDS]

Five SYNs to ports of TARGET from SOURCE, then echo requests, five a millisecond; prints the milliseconds from the fifth SYN to the first of
the requests that was never answered. A process of its own, as it runs inside the attacker's namespace."""
import select
import socket
import struct
import sys
import time


def checksum(data):
    data += b"\0" * (len(data) & 1)
    s = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    s = (s >> 16) + (s & 0xffff)
    return ~(s + (s >> 16)) & 0xffff


def syn(source, target, port):
    a, b = socket.inet_aton(source), socket.inet_aton(target)
    head = struct.pack("!HHLLBBHHH", 40000 + port % 1000, port, 1, 0, 5 << 4, 2, 1024, 0, 0)
    total = checksum(a + b + struct.pack("!BBH", 0, 6, len(head)) + head)
    return head[:16] + struct.pack("!H", total) + head[18:]


def echo(seq):
    head = struct.pack("!BBHHH", 8, 0, 0, 0x5343, seq & 0xffff)
    return head[:2] + struct.pack("!H", checksum(head)) + head[4:]


def main(source, target, seconds="3"):
    tcp = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
    icmp = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    for s in (tcp, icmp):
        s.bind((source, 0))
    icmp.sendto(echo(65000), (target, 0))   # neighbours are known before the clock runs
    time.sleep(0.3)
    sent, answered, seq = {}, set(), 0

    def hear():
        while select.select([icmp], [], [], 0)[0]:
            p = icmp.recv(2000)
            if len(p) >= 28 and p[20] == 0 and struct.unpack("!H", p[24:26])[0] == 0x5343:
                answered.add(struct.unpack("!H", p[26:28])[0])

    hear()
    if 65000 not in answered:
        sys.exit("the target does not answer to begin with")
    for port in range(3001, 3006):
        tcp.sendto(syn(source, target, port), (target, 0))
    fifth = time.perf_counter()
    while time.perf_counter() < fifth + float(seconds) and seq < 60000:
        sent[seq] = time.perf_counter()
        icmp.sendto(echo(seq), (target, 0))
        hear()
        seq += 1
        time.sleep(0.0002)
        if seq % 64 == 0 and seq > 200 and not any(k in answered for k in range(seq - 200, seq)):
            break
    time.sleep(0.2)
    hear()
    last = max(answered - {65000}, default=-1)
    if last + 1 >= seq:
        sys.exit("the source is still answered")
    print("%.3f" % max(0.0, (sent[last + 1] - fifth) * 1e3))


main(*sys.argv[1:4])
