#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# A detached pod and what is done to it: exec, logs, list, state, ps, kill, delete, more containers.
# timeout: 300
import hashlib
import os
import re
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import images
from harness import Bench, contains, equal, eventually
from images import Layer, Oci, text

bench = Bench()
me = bench.root or bench.user
MIB = 1 << 20

# the first process answers some signals, and ends on another
MAIN = """#!/bin/sh
echo out; echo err >&2
trap 'echo term; exit 3' TERM
trap 'echo usr1' USR1
trap 'echo hup' HUP
echo ready
while :; do sleep 0.1; done
"""
LAYERS = [images.base(), Layer([text("srv/main", MAIN, 0o755), text("srv/data", "no program")])]
image = Oci().add(LAYERS,
                  {"Cmd": ["/srv/main"], "Env": ["FROM=image", "PATH=/bin:/usr/bin"]})
ref = image.write(os.path.join(bench.work, "image"))


def log_has(name, word, user=me):
    return eventually(lambda: word in user("logs", name).ok().text, f"'{word}' in {name}'s log")


def status_of(name):
    return me.container(name)["status"]


with bench.check("run -d prints the name and nothing else"):
    result = me("run", "-d", "--name", "web", "-e", "MORE=run", "-w", "/srv", ref)
    equal((result.status, result.out, result.err), (0, b"web\n", b""), str(result))
    log_has("web", "ready")

with bench.check("exec: output, errors, status, as of a program run here"):
    equal(me("exec", "web", "echo", "a  b").ok().out, b"a  b\n", "output")
    result = me("exec", "web", "sh", "-c", "echo e >&2; echo o; exit 42")
    equal((result.out, result.err, result.status), (b"o\n", b"e\n", 42), str(result))
    equal(me("exec", "web", "sh", "-c", "kill -9 $$").status, 137, "killed")
    equal(me("exec", "web", "sh", "-c", "kill -TERM $$").status, 143, "terminated")
    equal(me("exec", "web/main", "true").status, 0, "by its full name")
    equal(me("exec", "web", "--", "echo", "-n", "x").out, b"x", "after --")
    equal(me("exec", "web", "ls", "-d", "/bin").ok().out, b"/bin\n", "flags of the command's own")

with bench.check("exec: a command that is not there 127, that cannot be run 126, by name"):
    me("exec", "web", "/no/such").refused("/no/such", status=127)
    me("exec", "web", "no-such").refused("no-such", status=127)
    me("exec", "web", "/srv/data").refused("/srv/data", status=126)
    me("exec", "-w", "/no/dir", "web", "true").refused("/no/dir", status=126)

with bench.check("exec: variables, directory and user are the container's, or as asked for"):
    show = "echo $FROM $MORE $X $Y; pwd; id -un"
    equal(me("exec", "web", "sh", "-c", show).ok().lines, ["image run", "/srv", "root"], "own")
    env_file = bench.file("exec-env", "Y=file\nFROM=file\n")
    equal(me("exec", "-e", "X=x", "--env-file", env_file, "-w", "/tmp", "-u", "app", "web", "sh",
             "-c", show).ok().lines, ["file run x file", "/tmp", "app"], "asked for")
    found = me("exec", "-u", "app", "web", "grep", "-E", "^(CapEff|CapPrm|NoNew)",
               "/proc/self/status").ok().text
    contains(found, "CapEff:\t0000000000000000", "CapPrm:\t0000000000000000")
    contains(me("exec", "web", "grep", "CapEff", "/proc/self/status").ok().text,
             "00000000800405fb")

with bench.check("exec -i: 4 MiB in and out, binary; without -i nothing goes in"):
    data = os.urandom(4 * MIB + 1)
    equal(hashlib.sha256(me("exec", "-i", "web", "cat", stdin=data).ok().out).digest(),
          hashlib.sha256(data).digest(), "digest")
    equal(me("exec", "web", "cat", stdin=b"secret").ok().out, b"", "without -i")
    equal(me("exec", "-i", "web", "sh", "-c", "exec <&-; exit 5", stdin=data).status, 5,
          "one that does not read")
    equal(me("exec", "-i", "web", "head", "-c", "3", stdin=data).ok().out, data[:3],
          "one that reads a little")

with bench.check("exec: twenty side by side, each its own output"):
    many = [me.start("exec", "web", "sh", "-c", f"echo {number}; exit {number}")
            for number in range(20)]
    for number, process in enumerate(many):
        out, err = process.communicate(timeout=60)
        equal((process.returncode, out, err), (number, b"%d\n" % number, b""), str(number))

with bench.check("exec -d leaves it running, ps shows what runs and nothing of the guest"):
    equal(me("exec", "-d", "web", "sleep", "4321").ok().out, b"", "output")
    lines = eventually(lambda: [line for line in me("ps", "web").ok().lines if "4321" in line]
                       and me("ps", "web").lines, "sleep 4321 in ps")
    contains(lines[0], "PID")
    assert any("/srv/main" in line for line in lines), lines
    assert not any(re.search("agent|crun|casemate", line) for line in lines), lines
    assert all(re.match(r" *\d+ ", line) for line in lines[1:]), lines

with bench.check("the client of an exec that is killed does not leave the process"):
    process = me.start("exec", "web", "sleep", "5432")
    eventually(lambda: "5432" in me("ps", "web").text, "sleep 5432 in ps")
    process.kill()
    process.wait()
    eventually(lambda: "5432" not in me("ps", "web").text, "sleep 5432 to end", 10)

with bench.check("list: a table, and JSON with what is stable in it"):
    lines = me("list").ok().lines
    equal(lines[0].split(), ["POD", "CONTAINER", "STATUS", "EXIT", "IMAGE"], "header")
    contains(lines[1], "web", "main", "running", ref)
    assert lines[1].split()[3] != "0", f"an exit status of one that runs: {lines[1]!r}"
    pod = me.pod("web")
    for field in ("schema", "pod", "accel", "guest_kernel", "host_kernel", "containers"):
        assert field in pod, f"{field} in {pod}"
    equal((pod["accel"], pod["schema"]), ("tcg", 1), "accelerator")
    equal([(entry["name"], entry["status"], entry["image"]) for entry in pod["containers"]],
          [("main", "running", ref)], "containers")
    equal(len([pod for pod in me("list", "--json").json()]), 1, "pods")

with bench.check("state: the fields of the OCI runtime, and the pod under casemate"):
    state = me.container("web")
    equal((state["id"], state["status"]), ("web/main", "running"), "id and status")
    contains(state["ociVersion"], "1.")
    assert os.path.isdir(f"/proc/{state['pid']}"), f"process {state['pid']}"
    contains(str(state), "bundle")
    pod = state["casemate"]
    equal(pod["guest_kernel"], me("exec", "web", "uname", "-r").text.strip(), "guest's kernel")
    equal(pod["host_kernel"], os.uname().release, "host's kernel")
    layers = state["container"]["layers"]
    # the second one leaves out its parent, so that it is known by the chain
    below, above = (layer.diff_id for layer in LAYERS)
    equal([layer["id"] for layer in layers], [below, images.digest(f"{below} {above}".encode())],
          "layers")
    for layer in layers:
        assert re.fullmatch("[0-9a-f]{64}", layer["root"]) and layer["bytes"] > 0, layer
    equal(state["container"]["image_digest"], image.manifests[0]["digest"], "image digest")
    for phase in ("prepare", "kernel", "start"):
        assert pod["phases_us"][phase] > 0, pod["phases_us"]

with bench.check("logs: both streams in order, and -f goes on"):
    equal(sorted(me("logs", "web").text.split()[:3]), ["err", "out", "ready"], "log")
    follower = me.start("logs", "-f", "web")
    time.sleep(0.3)
    me("kill", "web", "USR1").ok()
    found = b""
    while b"usr1" not in found:
        data = os.read(follower.stdout.fileno(), 4096)
        assert data, f"the follower ended: {found!r}"
        found += data

with bench.check("kill: by name, with SIG, by number; an unknown one is refused"):
    for signal_name in ("HUP", "SIGHUP", "1", "hup"):
        before = me("logs", "web").text.count("hup")
        me("kill", "web", signal_name).ok()
        eventually(lambda before=before: me("logs", "web").text.count("hup") > before,
                   f"{signal_name} to arrive")
    for wrong in ("BOGUS", "99", "-1", "", "SIG"):
        me("kill", "web", wrong).refused(wrong, status=2)
    equal(status_of("web"), "running", "status")

with bench.check("a name that is taken is refused, and the pod that has it goes on"):
    me("run", "-d", "--name", "web", ref).refused("web")
    me("run", "--name", "web", ref, "--", "true").refused("web")
    equal(me("exec", "web", "echo", "x").ok().out, b"x\n", "exec")

with bench.check("run --pod adds a container: own files, same kernel, found as POD/CONTAINER"):
    equal(me("run", "-d", "--pod", "web", "--name", "side", ref).ok().out, b"web/side\n", "printed")
    log_has("web/side", "ready")
    me("exec", "web/side", "sh", "-c", "echo s > /srv/who").ok()
    me("exec", "web", "test", "!", "-e", "/srv/who").ok()
    equal(me("exec", "web/side", "cat", "/srv/who").ok().out, b"s\n", "file")
    equal(me("exec", "web/side", "cat", "/proc/sys/kernel/random/boot_id").ok().out,
          me("exec", "web", "cat", "/proc/sys/kernel/random/boot_id").ok().out, "one kernel")
    assert "4321" not in me("ps", "web/side").ok().text, "another container's process"
    result = me("run", "--pod", "web", "--name", "third", ref, "--", "sh", "-c", "echo 3; exit 4")
    equal((result.out, result.err, result.status), (b"3\n", b"", 4), str(result))
    equal(sorted(entry["name"] for entry in me.pod("web")["containers"]), ["main", "side"],
          "containers")
    equal(me.container("web/side")["id"], "web/side", "state")
    me("run", "-d", "--pod", "web", "--name", "side", ref).refused("side")
    me("exec", "web/none", "true").refused("none")

with bench.check("kill --all: every process of one container, and no other"):
    me("exec", "-d", "web/side", "sleep", "7777").ok()
    me("kill", "--all", "web/side", "KILL").ok()
    eventually(lambda: status_of("web/side") == "stopped", "side to stop")
    equal(me.container("web/side")["container"]["exit_status"], 137, "status of side")
    equal(status_of("web"), "running", "status of main")
    contains(me("logs", "web/side").ok().text, "ready")
    me("exec", "web/side", "true").refused("side")

with bench.check("delete: one that runs is a no, one that has ended goes, its pod stays"):
    me("delete", "web").refused("web", "running", status=1)
    me("delete", "web/side").ok()
    equal([entry["name"] for entry in me.pod("web")["containers"]], ["main"], "containers")
    me("state", "web/side").refused("side", status=me("state", "web/side").status)

with bench.check("another user sees nothing of it, and cannot reach it"):
    if bench.root:
        equal(bench.user("list", "--json").ok().json(), [], "list")
        bench.user("exec", "web", "true").refused("web")
        equal(os.stat(me.run_dir).st_mode & 0o077, 0, "mode of the run directory")

with bench.check("kill without a signal is SIGTERM; then it is stopped, with its status and log"):
    me("kill", "web").ok()
    eventually(lambda: status_of("web") == "stopped", "web to stop")
    equal(me.container("web")["container"]["exit_status"], 3, "status")
    equal(me("list").ok().lines[1].split()[2:4], ["stopped", "3"], "list")
    log_has("web", "term\n")  # which may come after its status
    equal(follower.wait(20), 0, "the follower ends with it")
    result = me("kill", "web")
    result.refused("web", status=1)
    me("exec", "web", "true").refused("web")
    eventually(lambda: not any("qemu" in line for _, line in bench.processes()), "QEMU to end")

with bench.check("delete of what has ended leaves nothing", me):
    me("delete", "web").ok()
    equal(me("list", "--json").json(), [], "list")

with bench.check("-d --rm is gone once it has ended; its name can be had again", me):
    me("run", "-d", "--rm", "--name", "brief", ref, "--", "sh", "-c", "sleep 1; exit 9").ok()
    eventually(lambda: me.pod("brief") is None, "brief to go", 30)

with bench.check("a log is bounded and keeps the newest", me):
    flood = "i=0; while [ $i -lt 30000 ]; do echo line $i; i=$((i+1)); done; sleep 1000"
    me("run", "-d", "--name", "log", "--config", "log_size=64KiB", ref, "--", "sh", "-c", flood).ok()
    log_has("log", "line 29999\n")
    found = me("logs", "log").ok()
    assert 16 << 10 < len(found.out) <= 64 << 10, f"{len(found.out)} bytes of log"
    equal(found.lines[1:], [f"line {number}" for number in
                            range(30001 - len(found.lines), 30000)], "the newest lines")
    disk = int(subprocess.run(["du", "-sk", me.run_dir], stdout=subprocess.PIPE, check=True,
                              text=True).stdout.split()[0])
    assert disk < 400, f"{disk} KiB in the run directory"
    me("delete", "--force", "log").ok()

with bench.check("a foreground pod: signals go to its first process, kill from outside ends it", me):
    process = me.start("run", "--name", "front", ref)
    log = b""
    while b"ready" not in log:
        data = os.read(process.stdout.fileno(), 4096)
        assert data, f"ended: {process.stderr.read()}"
        log += data
    process.send_signal(signal.SIGHUP)
    while b"hup" not in log:
        log += os.read(process.stdout.fileno(), 4096)
    equal(me("exec", "front", "echo", "x").ok().out, b"x\n", "exec")
    process.send_signal(signal.SIGTERM)
    equal(process.wait(30), 3, "status")

with bench.check("a foreground pod whose first process is killed: 137", me):
    process = me.start("run", "--name", "front", ref, stdout=subprocess.DEVNULL)
    eventually(lambda: me.pod("front") and me("exec", "front", "true").status == 0, "front to run",
               60)
    equal(process.stderr.readline(), b"err\n", "errors")  # said before it is killed
    me("kill", "front", "KILL").ok()
    equal((process.wait(30), process.stderr.read()), (137, b""), "status and errors")

with bench.check("a generated name is printed and can be used, by a user as by root", bench.user):
    name = bench.user("run", "-d", ref).ok().text.strip()
    assert re.fullmatch("[a-z0-9][a-z0-9_.-]+", name), name
    log_has(name, "ready", bench.user)
    equal(bench.user("exec", "-i", name, "cat", stdin=b"x").ok().out, b"x", "exec")
    equal(bench.user.pod(name)["containers"][0]["status"], "running", "status")
    bench.user("delete", "--force", name).ok()

bench.end()
