"""A stack under a service manager that keeps descriptors for it (FileDescriptorStoreMax=): the manager is the program at hand."""
import array
import os
import re
import socket
import subprocess
import threading

import rv

# What systemd does between fork and exec; bash: dash knows no descriptor above 9.
EXEC = 'n=$1 names=$2; shift 2; export LISTEN_PID=$$ LISTEN_FDS=$n LISTEN_FDNAMES=$names; for ((i = 0; i < n; i++)); do eval "exec $((3 + i))<&$((HIGH + i)) $((HIGH + i))<&-"; done; exec "$@"'
HIGH = 200


class Manager(threading.Thread):
    """The part of systemd that matters: READY=1, FDSTORE=1, FDSTOREREMOVE=1, BARRIER=1."""

    def __init__(self):
        super().__init__(daemon=True)
        self.path = rv.path("notify.%s" % id(self))
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.s.bind(self.path)
        self.store, self.ready = {}, threading.Event()
        self.start()

    def run(self):
        while True:
            data, control, _, _ = self.s.recvmsg(8192, socket.CMSG_SPACE(64))
            fds = array.array("i")
            for _, _, d in control:
                fds.frombytes(d[:len(d) - len(d) % 4])
            lines = data.decode().split("\n")
            name = next((line[7:] for line in lines if line.startswith("FDNAME=")), None)
            if "FDSTOREREMOVE=1" in lines and name in self.store:
                os.close(self.store.pop(name))
            if "FDSTORE=1" in lines:
                self.store[name] = fds.pop()
            for f in fds:
                os.close(f)
            if "READY=1" in lines:
                self.ready.set()


class Kept(rv.Daemon):
    """A stack under a manager with a store."""

    def __init__(self, name, ns):
        self.manager = Manager()
        super().__init__("stack-core", name, ns=ns, start=False)
        self.plain = list(self.argv)
        self.start()

    def start(self, seconds=20):
        names = sorted(self.manager.store)
        fds = [HIGH + i for i in range(len(names))]
        for fd, name in zip(fds, names):
            os.dup2(self.manager.store[name], fd)
        self.argv = ["bash", "-c", EXEC.replace("HIGH", str(HIGH)), "bash", str(len(fds)), ":".join(names)] + self.plain
        self.env["NOTIFY_SOCKET"] = self.manager.path
        self.manager.ready.clear()
        with open(self.log, "ab") as out:
            self.p = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=self.env, pass_fds=fds)
        for fd in fds:
            os.close(fd)
        if not self.manager.ready.wait(seconds):
            raise RuntimeError("%s did not get ready:\n%s" % (self.name, self.output()[-3000:]))
        return self

    def forget(self):
        """As systemctl stop does once the process has ended."""
        for name in list(self.manager.store):
            os.close(self.manager.store.pop(name))

    def pauses(self):
        return [int(n) for n in re.findall(r"took over from the last run.*?pause_ms=(\d+)", self.output())]
