#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# SIGKILL of a pod's shim, QEMU or both, at each line of its lease's journal and in between; then
# recover, or another pod with the same devices: each device has its driver and works, nothing is
# left. Seven kills chosen by SEED; with SOAK=1 all of them, with a new boot now and then.
import os
import random
import sys

sys.dont_write_bytecode = True
from harness import Bench, equal  # noqa: E402

import pods  # noqa: E402
from pods import AT  # noqa: E402

# Two chosen, and three held, since they reach the first: five drivers of three kinds. What gpu2 has
# had translated for igb comes to the root port above its switch.
FLAGS = pods.request(0, 0, ("gpu2", "igb"), "--tune-acs")
LEASED, DIRECT_TRANSLATED = 5, 0x40
# lines of the journal: boot, directory, user id, devices, two groups, ACS, process; all undone again
BEGUN = 3 + LEASED + 2 + 1 + 1
ENDED = BEGUN + 1 + 1 + 2 + LEASED  # the last of these goes with the journal
SOAK = os.environ.get("SOAK") == "1"
SEED = int(os.environ.get("SEED") or 1)
AT_A_TIME = 4 if SOAK else 8  # points in one boot: eight kills, or less
# Runs a pod, kills at the point, waits for the client's end; says what it did.
KILLER = r"""
import os, signal, sys, time
point, who, argv = sys.argv[1], sys.argv[2].split("+"), sys.argv[3:]
def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
def find(name):
    for pid in os.listdir("/proc"):
        if pid.isdigit() and read(f"/proc/{pid}/comm").startswith(name):
            return int(pid)
    return 0
def reached(shim):
    if point.isdigit():
        return read("/run/casemate/leases/killed.journal").count(b"\n") >= int(point)
    if point == "runs":
        return b"here" in read("/tmp/out")
    qemu = find(b"qemu")
    try:
        return any("/dev/vfio/vfio" == os.readlink(f"/proc/{qemu}/fd/{fd}")
                   for fd in os.listdir(f"/proc/{qemu}/fd"))
    except OSError:
        return False
open("/tmp/out", "w").close()
child = os.fork()
if child == 0:
    os.dup2(os.open("/tmp/out", os.O_WRONLY | os.O_TRUNC), 1)
    os.dup2(1, 2)
    os.execvp(argv[0], argv)
shim, did, end = 0, "nothing", time.monotonic() + 200
while time.monotonic() < end:
    shim = shim or find(b"casemate-shim")
    if shim and reached(shim):
        pids = {"shim": shim, "qemu": find(b"qemu") if "qemu" in who else 0}
        for pid in (pids[name] for name in who if pids[name]):
            try:
                os.kill(pid, signal.SIGKILL)
                did = "killed"
            except ProcessLookupError:  # it has ended, or it went with the one before
                pass
        break
    pid, status = os.waitpid(child, os.WNOHANG)
    if pid:
        child = 0
        break
    time.sleep(0.001)
while child and time.monotonic() < end:
    if os.waitpid(child, os.WNOHANG)[0]:
        child = 0
    time.sleep(0.01)
print(did, "hangs" if child else "ended")
print(read("/tmp/out").decode())
"""


def cases():
    """(where, who) of every kill; QEMU is there from the journal's line that announces it."""
    found = [(str(line), "shim") for line in range(1, BEGUN)]
    found += [(point, who) for point in (str(BEGUN), "vfio", "runs")
              for who in ("shim", "qemu", "shim+qemu") if point != str(BEGUN) or who == "shim"]
    return found + [(str(line), "shim") for line in range(BEGUN + 1, ENDED)]


def sample():
    """Some of each third, in their order."""
    every, choose = cases(), random.Random(SEED)
    begins = [case for case in every if case[0].isdigit() and int(case[0]) <= BEGUN]
    ends = [case for case in every if case[0].isdigit() and int(case[0]) > BEGUN]
    lives = [case for case in every if not case[0].isdigit()]
    picked = choose.sample(begins, 3) + choose.sample(lives, 2) + choose.sample(ends, 2)
    return [case for case in every if case in picked]


def works(bench):
    """That the drivers work on their devices, not only have them."""
    disk = f"/dev/{pods.disk(bench, 'nvme1')}"
    block = os.urandom(4096)
    bench.run("dd", f"of={disk}", "bs=4096", "seek=3", "oflag=direct", stdin=block).ok()
    equal(bench.run("dd", f"if={disk}", "bs=4096", "skip=3", "count=1", "iflag=direct").ok().out,
          block, "a block of nvme1")
    for name in ("gpu2", "gpu3"):
        bench.run("sh", "-c", f"exec 3<>/dev/dri/$(ls /sys/bus/pci/devices/{AT[name]}/drm | "
                  "grep renderD)").ok()
    for path in (f"{AT['nic1']}/virtio*/net", f"{AT['igb']}/net"):
        bench.run("sh", "-c", f"name=$(ls /sys/bus/pci/devices/{path}) && ip link set $name up && "
                  "ip link set $name down").ok()


def run_argv(name, stays=False):
    script = "echo here" + ("; exec sleep 1000" if stays else "")
    return ["casemate", "run", "--name", name, *FLAGS, "oci:/srv/image", "--", "sh", "-c", script]


def killed(point, who, again):
    def test(bench):
        before = pods.drivers(bench)
        argv = run_argv("killed", point == "runs")
        found = bench.python(KILLER, point, who, *argv, timeout_s=250).ok().text
        did, how = found.split()[:2]
        equal(how, "ended", f"the client: {found}")
        # what is to be killed at the end may have ended before
        assert did == "killed" or point.isdigit() and int(point) > BEGUN, found
        print(f"# {did}: {who} at {point}, then {'another pod' if again else 'recover'}")
        if again:
            bench.run(*run_argv("again"), timeout_s=pods.START_S).ok()
        else:
            bench.run("casemate", "recover", timeout_s=60).ok()
        pods.nothing_left(bench, before)
        works(bench)
    return test


def tuned(bench):
    """That port of the plan, that bit, and no other."""
    before = pods.drivers(bench)
    acs = pods.plan(bench, FLAGS)["acs"]
    equal([port["set"] for port in acs], [["DT"]])
    with pods.running(bench, "tuned", FLAGS):
        now = pods.drivers(bench)
        port = acs[0]["port"] + "/acs"
        equal(int(before[port], 16) & DIRECT_TRANSLATED, 0, "direct translated before")
        equal(int(now[port], 16), int(before[port], 16) | DIRECT_TRANSLATED, port)
        equal([name for name in now if name.endswith("/acs") and now[name] != before[name]], [port],
              "ports that are changed")
    pods.nothing_left(bench, before)


bench = Bench()
bench.test("a port's ACS is set for a pod while it lives", tuned)
for number, (point, who) in enumerate(cases() if SOAK else sample()):
    if number and number % AT_A_TIME == 0:
        bench.emulator.kill()
        bench.boot()
    for again in (False, True) if SOAK else (number % 5 == 4,):
        bench.test(f"{who} killed at {point}, then {'another pod' if again else 'recover'}",
                   killed(point, who, again))
bench.end()
