"""A private place for tests of the registry: own network, own mounts, /run that is ROOT/run, so that libtirpc's programs find /run/rpcbind.sock."""
import os
import subprocess
import sys

import rv

CONF = "RpcbindConfig {\n%s\n}\n"
SAF = """SETROPTS CLASSACT(SERVAUTH) GENERIC(SERVAUTH)
ADDUSER ALICE OMVS(UID(20001))
ADDUSER MALLORY OMVS(UID(20002))
RDEFINE SERVAUTH EZB.RPCBIND.TEST.RPCBINDD.** UACC(NONE)
PERMIT EZB.RPCBIND.TEST.RPCBINDD.** CLASS(SERVAUTH) ID(IBMUSER) ACCESS(READ)
RDEFINE SERVAUTH EZB.NETMGMT.** UACC(NONE)
PERMIT EZB.NETMGMT.** CLASS(SERVAUTH) ID(IBMUSER) ACCESS(READ)
RDEFINE SERVAUTH EZB.NETSTAT.** UACC(NONE)
PERMIT EZB.NETSTAT.** CLASS(SERVAUTH) ID(IBMUSER) ACCESS(READ)
"""


def enter():
    """Starts this program again in namespaces of its own, once."""
    if os.geteuid() != 0:
        sys.exit("not ok - must run as root")
    if os.environ.get("RV_RPCBIND_PLACE") != "1":
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        os.set_inheritable(home, True)
        os.environ.update(RV_RPCBIND_PLACE="1", RV_HOME_NET=str(home))
        os.execvp("unshare", ["unshare", "--net", "--mount", "--", sys.executable, os.path.abspath(sys.argv[0])] + sys.argv[1:])
    rv.must("mount", "--make-rprivate", "/")
    rv.must("mount", "-t", "tmpfs", "-o", "mode=755", "run", "/run")
    os.makedirs(rv.path("run"), exist_ok=True)
    os.makedirs("/run/ravelin", exist_ok=True)
    rv.must("mount", "--bind", "/run", rv.path("run"))
    rv.at_end(lambda: subprocess.run(["umount", "-l", rv.path("run")]))
    rv.must("ip", "link", "set", "lo", "up")
    rv.saf(SAF)


def at_home(*argv):
    """A command in the network that this program was started in: only there the kernel is told of DOIs."""
    fd = int(os.environ["RV_HOME_NET"])
    return subprocess.run(["nsenter", "--net=/proc/self/fd/%d" % fd, *argv], capture_output=True, text=True, pass_fds=[fd])


def conf(text=""):
    rv.write("rpcbind.conf", CONF % text)


def daemon(text="", **more):
    conf(text)
    return rv.Daemon("rpcbindD", **more)
