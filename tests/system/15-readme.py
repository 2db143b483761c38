#!/usr/bin/python3
"""README.md says what is true: its programs are those of tests/support, its files, daemons and figures exist, its profile is accepted."""
import glob
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import rv


def read(path):
    with open(os.path.join(rv.TOP, path)) as f:
        return f.read()


def main():
    text = read("README.md")
    blocks = re.findall(r"(?s)```python\n(.*?)```", text)
    for name, block in zip(("example_subscriber.py", "example_caller.py"), blocks + ["", ""]):
        # 20-bus.py runs the files; a reader gets exactly those.
        rv.check("README.md shows %s as it is" % name, block and block == read("tests/support/" + name))
    for link in re.findall(r"\]\(([A-Za-z.]+)\)", text):
        rv.check("%s exists" % link, os.path.exists(os.path.join(rv.TOP, link)))
    for command in ("conf/demo/run", "tests/run", "tests/bench/run", ".ci/run"):
        rv.check("%s can be executed" % command, os.access(os.path.join(rv.TOP, command), os.X_OK))
    for main_c in glob.glob(rv.TOP + "/daemons/*/main.c"):
        name = os.path.basename(os.path.dirname(main_c))
        rv.check("%s stands in the table of daemons" % name, re.search(r"(?m)^\| `%s(@NAME)?` \|" % re.escape(name), text))
        p = rv.run("mandoc", "-Tlint", "-Werror", "%s/daemons/%s/%s.8" % (rv.TOP, name, name))
        rv.check("%s.8 is there and sound" % name, p.returncode == 0, p.stdout)
    for page in re.findall(r"(\w+)\(1\)", text):
        p = rv.run("mandoc", "-Tlint", "-Werror", "%s/cli/%s.1" % (rv.TOP, page))
        rv.check("%s.1 is there and sound" % page, p.returncode == 0, p.stdout + p.stderr)
    profile = re.search(r"(?m)^    IPCONFIG(.|\n    )*", text).group(0)
    profile = "\n".join(line[4:] for line in profile.splitlines() if "IPSECPOLICY" not in line) + "\n"
    rv.write("stacks/TCPCS.profile", profile)
    rv.write("stacks/TCPCS.ids", read("conf/policy/ids.policy"))
    p = rv.run("stack-core", "--root", rv.root(), "--check", "TCPCS")
    rv.check("the profile of README.md is accepted", p.returncode == 0 and "ROUTE" in profile, p.stdout + p.stderr)
    return rv.finish()


sys.exit(main())
