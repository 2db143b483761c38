#!/usr/bin/python3
"""The demo, started by conf/demo/run: what an operator sees of two stacks, a tunnel, an attacker and an authority."""
import os
import re
import socket
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../tests/support"))
import rv

FAST = "--fast" in sys.argv[1:]
ALICE, MALLORY, OPER = 20001, 20002, 20003
DEFMGRD, STACKCOR, IKED = 20010, 20011, 20012
SYSTEMS = {"LEFT": "", "RIGHT": "right"}  # two computers: each has a registry and a bus of its own
INTRUDER = "192.0.2.66"
PICTURE = """
      namespace left                 namespace wire                  namespace right
  +----------------------+   +---------------------------+   +----------------------+
  | programs   10.1.0.1  |   |                           |   |  10.2.0.1   programs |
  |    tun0              |   |  intruder   192.0.2.66    |   |              tun0    |
  | stack-core LEFT      |   |     |                     |   |     stack-core RIGHT |
  | ikeD                 |   |     |                     |   |                 ikeD |
  |    eth0   192.0.2.1 -+---+-- bridge -----------------+---+- 192.0.2.2   eth0    |
  +----------------------+   +---------------------------+   +----------------------+
"""
failures = []


def say(text=""):
    print(text, flush=True)


def title(text):
    say("\n== " + text)


def step(good, text, detail=""):
    say("  %s %s" % ("[ok]    " if good else "[FAILED]", text))
    if not good:
        failures.append(text)
        for line in str(detail).strip().splitlines()[-15:]:
            say("           | " + line)
    return good


def typed(who, uid, words, side="LEFT"):
    """A command as that user on that side, shown as typed, with its answer."""
    say("  %s@%s$ %s" % (who, side.lower(), words))
    start = time.monotonic()
    name, *args = words.split()
    with rv.system(SYSTEMS[side]):
        p = rv.run(name, *args, uid=uid)
    p.seconds = time.monotonic() - start
    for line in (p.stdout + p.stderr).rstrip().splitlines()[:12]:
        say("    " + line)
    return p


class Events:
    """busmon of a network operator, scrolling beside."""

    def __init__(self):
        self.process = rv.Process([rv.public("busmon")], uid=OPER, name="busmon").start()
        self.shown = 0
        self.quit = threading.Event()
        self.thread = threading.Thread(target=self.scroll, daemon=True)
        self.thread.start()

    def lines(self):
        return [x for x in self.process.output().splitlines() if "heartbeat" not in x]

    def scroll(self):
        while not self.quit.is_set():
            self.show()
            self.quit.wait(0.1)

    def show(self):
        lines = self.lines()
        for line in lines[self.shown:]:
            say("                                  event | " + line[:150])
        self.shown = len(lines)

    def end(self):
        self.quit.set()
        self.thread.join()
        self.process.stop()
        self.show()


class Wire:
    """tcpdump on the wire, for the length of a step."""

    def __init__(self, ns, name, *options):
        self.file = rv.path(name + ".pcap")
        self.process = rv.Process(["tcpdump", "-Z", "root", "-nU", "-s", "128", "-i", "left", "-w", self.file, *options], ns=ns,
                                  name="tcpdump-" + name).start()
        rv.until(lambda: "listening on" in self.process.output())

    def stop(self):
        time.sleep(0.2)
        self.process.stop()

    def read(self, *expression):
        p = subprocess.run(["tcpdump", "-nr", self.file, *expression], capture_output=True, text=True)
        return p.stdout.splitlines()


class Demo:
    def __init__(self):
        self.net = rv.Net("demo")
        self.figures = []

    def networks(self):
        n = self.net
        self.left, self.wire, self.right = n.ns("left"), n.ns("wire"), n.ns("right")
        n.bridge(self.wire, "br0")
        for ns, port in ((self.left, "left"), (self.right, "right")):
            n.veth(ns, "eth0", self.wire, port, offloads=False)
            rv.must("ip", "link", "set", port, "master", "br0", ns=self.wire)
        n.addr(self.wire, "br0", INTRUDER + "/24")
        n.route(self.wire, "10.1.0.0/24", via="192.0.2.1")

    def configure(self):
        """The same on both sides; only ikeD may read the keys (.kex)."""
        for side, system in SYSTEMS.items():
            with rv.system(system):
                for source, name in ((side + ".profile", "stacks/"), (side + ".policy", "stacks/"), (side + ".kex", "stacks/"),
                                     (side + ".iked.conf", "iked.conf"), ("dmd.conf", "dmd.conf"), ("saf.racf", "")):
                    with open(os.path.join(HERE, source)) as f:
                        text = f.read()
                    if not name:
                        rv.saf(text)
                        continue
                    made = rv.write(name + source if name.endswith("/") else name, text)
                    if source.endswith(".kex"):
                        os.chmod(made, 0o600)
                        os.chown(made, IKED, IKED)
        say("  safctl -f saf.racf on both: %d RACF commands" % len(re.findall(r"(?m)^[A-Z]", text)))

    def start(self):
        caps = ("net_admin", "net_raw")
        for (side, system), ns in zip(SYSTEMS.items(), (self.left, self.right)):
            with rv.system(system):
                rv.Daemon("stack-core", side, ns=ns, uid=STACKCOR, caps=caps)
                rv.Daemon("ikeD", ns=ns, uid=IKED, caps=("net_bind_service",))
        rv.Daemon("defmgrD", uid=DEFMGRD)
        step(True, "a stack-core and an ikeD on each side, and defmgrD on the left, are ready, none of them as root")
        self.events = Events()
        rv.until(lambda: "installed" in rv.run("defmgrctl", "stacks", uid=OPER).stdout, 3)

    def negotiate(self):
        """The operator asks for the tunnel by the name of its LocalDynVpnRule."""
        wire = Wire(self.wire, "ike", "--immediate-mode")
        start = time.monotonic()
        p = typed("oper", OPER, "ipsec -y activate -l leftright -p LEFT")
        step(p.returncode == 0, "the left gateway begins", p.stderr)

        def done(side):
            with rv.system(SYSTEMS[side]):
                out = rv.run("ipsec", "-y", "display", "-p", side, uid=OPER).stdout
            return re.search(r"State: +(Active|DONE)", out)
        good = rv.until(lambda: done("LEFT") and done("RIGHT"), 15)
        self.negotiated = time.monotonic() - start
        wire.stop()
        typed("oper", OPER, "ipsec -k display -r short -p LEFT")
        typed("oper", OPER, "ipsec -y display -r short -p RIGHT", "RIGHT")
        step(good, "IKE: both gateways have a tunnel, %.0f ms after Enter" % (1000 * self.negotiated))
        ike = wire.read("udp port 500")
        for line in ike[:1] + ike[-1:]:
            say("    wire> " + line[:110])
        step(len(ike) >= 9, "main mode and quick mode took %d messages on the wire" % len(ike), "\n".join(ike))

    def traffic(self, when):
        """A ping and an iperf3 from left to right, with tcpdump on the wire."""
        wire = Wire(self.wire, when)
        p = rv.run("ping", "-c", "5" if FAST else "10", "-i", "0.1", "-W", "1", "10.2.0.1", ns=self.left)
        sent, received = rv.ping_rate(p.stdout)
        m = re.search(r"= [\d.]+/([\d.]+)/", p.stdout)
        rtt = float(m.group(1)) if m else 0.0
        step(sent == received > 0, "ping 10.1.0.1 -> 10.2.0.1: %d of %d answered, %.2f ms" % (received, sent, rtt), p.stdout)
        server = rv.Process(["iperf3", "-s", "-1", "-B", "10.2.0.1"], ns=self.right, name="iperf3-" + when).start()
        rv.until(lambda: "listening" in server.output(), 3)
        p = rv.run("iperf3", "-c", "10.2.0.1", "-t", "1" if FAST else "3", "-f", "m", ns=self.left, timeout=25)
        server.stop(3)
        m = re.search(r"([\d.]+) Mbits/sec\s.*receiver", p.stdout)
        rate = float(m.group(1)) if m else 0.0
        step(rate > 1, "iperf3 10.1.0.1 -> 10.2.0.1: %.0f Mbit/s" % rate, p.stdout + p.stderr)
        wire.stop()
        self.figures.append((when, rtt, rate))
        return wire

    def show_wire(self, wire, protected):
        clear = wire.read("ip and not ip proto 50 and not udp port 500")
        esp = wire.read("ip proto 50")
        for line in (esp if protected else clear)[:3]:
            say("    wire> " + line[:110])
        if protected:
            step(esp and not clear, "the wire carries protocol 50 (ESP) and nothing else: %d packets" % len(esp),
                 "\n".join(clear[:5]))
        else:
            step(clear and not esp, "the wire shows everything in the clear: %d packets" % len(clear))

    def switch(self, word):
        for stack in ("LEFT", "RIGHT"):
            p = typed("oper", OPER, "ipsec -f %s -p %s" % (word, stack), stack)
            if p.returncode:
                step(False, "the filters of %s are switched" % stack, p.stderr)

    def attack(self):
        """2,000 datagrams a second at a public service, each with the time at which it left."""
        code = ("import socket,struct,time\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\nend=time.monotonic()+60\n"
                "while time.monotonic()<end:\n s.sendto(struct.pack('d',time.monotonic()),('10.1.0.1',5000))\n time.sleep(.0005)\n")
        sink = ("import socket,struct,sys,time\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\ns.bind(('10.1.0.1',5000))\n"
                "print('bound',flush=True)\nwhile True:\n print(struct.unpack('d',s.recv(64))[0],flush=True)\n")
        self.sink = rv.Process(["/usr/bin/python3", "-c", sink], ns=self.left, name="service").start()
        rv.until(lambda: "bound" in self.sink.output())
        self.intruder = rv.Process(["/usr/bin/python3", "-c", code], ns=self.wire, name="intruder").start()

    def hits(self):
        return [float(x) for x in self.sink.output().split()[1:] if re.fullmatch(r"\d+\.\d+", x)]

    def defend(self):
        self.attack()
        time.sleep(0.5 if FAST else 1.5)
        before = len(self.hits())
        step(before > 50, "%s floods the public service at 10.1.0.1:5000: %d datagrams so far" % (INTRUDER, before))

        words = "ipsec -F add srcip %s -N intruder -p LEFT" % INTRUDER
        p = typed("mallory", MALLORY, words)
        step(p.returncode == 3 and "ICH408I USER(MALLORY" in p.stderr, "MALLORY is refused (exit status 3), and told why",
             p.stderr)
        time.sleep(0.2)
        step(len(self.hits()) > before, "and the flood goes on")

        start = time.monotonic()
        p = typed("alice", ALICE, words + " lifetime 5")
        acknowledged = time.monotonic()
        time.sleep(0.5)
        hits = self.hits()
        last = hits[-1] if hits else start
        late = [h for h in hits if h > acknowledged]
        step(p.returncode == 0, "ALICE is permitted", p.stderr)
        step(not late and self.intruder.running(), "not one datagram sent after her command was answered got through",
             "%d came late" % len(late))
        say("  time to block: %.1f ms from Enter to the last datagram that got through (the command took %.1f ms)" %
            (1000 * max(0.0, last - start), 1000 * (acknowledged - start)))
        typed("oper", OPER, "ipsec -F display -r short -p LEFT")
        typed("oper", OPER, "stackctl -p LEFT drops")

    def audit(self):
        for name in ("ikeD", "defmgrD"):
            p = rv.run("auditctl", "verify", rv.path("var/log/ravelin/%s.audit" % name))
            step(p.returncode == 0, "the audit trail of %s is whole: %s" % (name, p.stdout.strip() or "no word"), p.stderr)
        with open(rv.path("var/log/ravelin/defmgrD.audit")) as f:
            lines = [x for x in f.read().splitlines() if "MALLORY" in x]
        for line in lines[:1]:
            say("    " + line[:200])
        step(bool(lines), "MALLORY's attempt is in it")

    def summary(self):
        title("Summary")
        say("  %-8s %12s %14s" % ("", "ping", "iperf3"))
        for when, rtt, rate in self.figures:
            say("  %-8s %9.2f ms %7.0f Mbit/s" % (when, rtt, rate))

    def play(self):
        title("Two networks, a stack in front of each")
        say(PICTURE)
        self.networks()
        self.configure()
        self.start()
        title("Before: default filters, everything in the clear")
        self.switch("default")
        self.show_wire(self.traffic("before"), False)
        title("Inside: the policy is in force, the gateways negotiate a tunnel")
        self.switch("reload")
        self.negotiate()
        self.show_wire(self.traffic("inside"), True)
        typed("oper", OPER, "stackctl -p LEFT sas")
        title("An intruder on the wire, and who may do something about it")
        self.defend()
        title("After: the intruder knocks on, the tunnel carries traffic as before")
        wire = self.traffic("after")
        crossed = wire.read("ip and not ip proto 50 and not udp port 500 and not src host " + INTRUDER)
        step(not crossed, "still nothing in the clear between the gateways", "\n".join(crossed[:5]))
        self.events.end()
        seen = "\n".join(self.events.lines())
        step("defmgr.filter.added" in seen, "events told of the new filter")
        step("stack.filter.denied" in seen, "events told of packets that it denied", seen[-500:])
        step("ike.sa." in seen, "events told of the negotiated tunnel", seen[:500])
        self.audit()
        self.summary()


def main():
    if set(sys.argv[1:]) - {"--fast"}:
        say("usage: conf/demo/run [--fast]")
        return 2
    start = time.monotonic()
    try:
        Demo().play()
    except (RuntimeError, OSError, subprocess.SubprocessError) as e:
        step(False, "the demo could not go on", e)
    rv.cleanup()
    say("\n%s (%.0f s)" % ("The demo FAILED: %s" % "; ".join(failures) if failures else "Everything as it should be.",
                            time.monotonic() - start))
    return 1 if failures else 0


sys.exit(main())
