# SPDX-License-Identifier: Apache-2.0
"""Pods in the emulated server: making them, looking at them, and what must be when they are gone."""
import contextlib
import json
import os
import re

import server
from harness import equal

AT = {seen.name: seen.address for seen in server.expected()}
TOOLS = "oci:/srv/tools"  # lspci, lstopo, mmio: tools/lab-tools
START_S = 280
SLEEP = ("sleep", "1000")
# edu's registers, and its buffer of a page
EDU_SOURCE, EDU_TARGET, EDU_COUNT, EDU_COMMAND, EDU_BUFFER = 0x80, 0x88, 0x90, 0x98, 0x40000

# Drivers; of ports with ACS (an extended capability, 13) also its control, six bytes in.
LOOK = r"""
import os
root = "/sys/bus/pci/devices/"
for name in sorted(os.listdir(root)):
    driver = root + name + "/driver"
    print(name, os.path.basename(os.path.realpath(driver)) if os.path.exists(driver) else "-")
    with open(root + name + "/config", "rb") as file:
        space = file.read()
    at = 256
    while 0 < at < len(space) and space[at:at + 2] not in (b"", b"\0\0"):
        if space[at:at + 2] == b"\x0d\0":
            print(name + "/acs", "%#x" % int.from_bytes(space[at + 6:at + 8], "little"))
        at = int.from_bytes(space[at + 2:at + 4], "little") >> 4
"""
PROCESSES = r"""
import os
for pid in os.listdir("/proc"):
    try:
        name = open(f"/proc/{pid}/comm").read().strip() if pid.isdigit() else ""
    except OSError:
        continue
    if name.startswith(("qemu", "casemate", "containerd-shim")):
        print(pid, name)
"""


def drivers(bench):
    """Driver by address, of all of the server's functions; of ports ACS by "ADDRESS/acs"."""
    return dict(line.split() for line in bench.python(LOOK).ok().text.splitlines())


def request(gpus=0, nics=0, devices=(), *more):
    """Flags, the same for plan and run."""
    flags = [word for name in devices for word in ("--device", AT.get(name, name))]
    for flag, count in (("--gpus", gpus), ("--nics", nics)):
        flags += [flag, str(count)] if count else []
    return [*flags, "--cpus", "2", "--memory", "128m", *more]


def plan(bench, flags, status=0):
    return json.loads(bench.run("casemate", "plan", *flags, "--format", "json").ok(status).text)


def plan_of(bench, address):
    """With that device alone; also while a pod has it."""
    return plan(bench, request(0, 0, (address,), "--config", "run_dir=/tmp/nothing"))


def start(bench, name, flags, command=SLEEP, image=TOOLS, timeout_s=START_S):
    """A pod in the background; not checked."""
    return bench.run("casemate", "run", "-d", "--name", name, *flags, image, "--", *command,
                     timeout_s=timeout_s)


def attempt(bench, name, script, user="root", stdin=b""):
    """A shell script in a container, which may fail."""
    return bench.run("casemate", "exec", "-i", "-u", user, name, "sh", "-c", script, stdin=stdin)


def execute(bench, name, script, status=0, **options):
    return attempt(bench, name, script, **options).ok(status)


def end(bench, name):
    return bench.run("casemate", "delete", "--force", name)


@contextlib.contextmanager
def running(bench, name, flags, **options):
    """A pod, as long as the block lasts, however that ends."""
    start(bench, name, flags, **options).ok()
    try:
        yield name
    finally:
        end(bench, name)


def kill(bench, name, shim=True, qemu=True):
    """With SIGKILL, both at once; nobody cleans up."""
    about = state(bench, name)["casemate"]
    pids = [about["shim_pid"]] * shim + [about["qemu_pid"]] * qemu
    bench.run("kill", "-9", *map(str, pids)).ok()


def processes(bench):
    return [line.split() for line in bench.python(PROCESSES).ok().text.splitlines()]


def nothing_left(bench, before):
    """No pod, no process, no lease; every device with the driver it had."""
    found = bench.run("casemate", "recover").ok()
    equal((found.text, found.err), ("nothing to recover\n", b""), "what recover has to say")
    equal(processes(bench), [], "processes")
    left = bench.run("find", "/run/casemate", "-mindepth", "2").ok().text
    equal(left, "", "what is left in the run directory")
    now = drivers(bench)
    equal({name: driver for name, driver in now.items() if driver != before.get(name)}, {},
          "drivers and ACS that are not what they were")
    equal(set(now), set(before), "functions")


def state(bench, name):
    return json.loads(bench.run("casemate", "state", name).ok().text)


def qemu_of(bench):
    """Process number and arguments of the only one there is."""
    found = [pid for pid, name in processes(bench) if name.startswith("qemu")]
    equal(len(found), 1, "how many QEMUs run")
    return found[0], bench.run("cat", f"/proc/{found[0]}/cmdline").ok().text.split("\0")[:-1]


def bar(bench, name, address, index):
    """Where the guest has it."""
    text = execute(bench, name, f"cat /sys/bus/pci/devices/{address}/resource").text
    return int(text.splitlines()[index].split()[0], 16)


def resource(address, index):
    return f"/sys/bus/pci/devices/{address}/resource{index}"


def copy_by_edu(bench, name, edu, source, target, user="root"):
    """Eight bytes, from one address of the bus to another; in the container of that pod."""
    steps = []
    for begin, finish, command in ((source, EDU_BUFFER, 1), (EDU_BUFFER, target, 3)):
        steps += [f"64:{EDU_SOURCE}={begin}", f"64:{EDU_TARGET}={finish}", f"64:{EDU_COUNT}=8",
                  f"64:{EDU_COMMAND}={command}", f"'64:{EDU_COMMAND}?1'"]
    execute(bench, name, f"mmio {resource(edu, 0)} {' '.join(steps)}", user=user)


def below(bench, address, folder):
    """The one entry of that class which the function's driver has made, as soon as it is there."""
    names = bench.run("sh", "-c", f"for i in 1 2 3 4 5 6 7 8 9; do ls /sys/bus/pci/devices/{address}/"
                      f"{folder} 2>/dev/null && exit; sleep 1; done; exit 1").ok().text.split()
    equal(len(names), 1, f"{folder} of {address}")
    return names[0]


def disk(bench, name):
    """A namespace is of its subsystem, whose number need not be the controller's."""
    controller = below(bench, AT.get(name, name), "nvme")
    return bench.run("sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do for system in "
                     "/sys/class/nvme-subsystem/*; do "
                     f"[ -e $system/{controller} ] && cd $system && ls -d nvme*n1 2>/dev/null && exit; "
                     "done; sleep 1; done; exit 1").ok().text.strip()


def put_mmio(bench):
    """The program for a device's memory, in the server itself."""
    with open(os.path.join(bench.build, "lab", "mmio"), "rb") as file:
        bench.run("sh", "-c", "cat >/run/mmio && chmod 755 /run/mmio", stdin=file.read()).ok()


def faults(bench):
    """Of the server's IOMMU, as its kernel logs them: (what, address of the device, where)."""
    text = bench.run("dmesg").ok().text
    return [(what, f"0000:{device}", int(where, 16)) for what, device, where in
            re.findall(r"DMAR: \[DMA (\w+)[^\]]*\] Request device \[([0-9a-f:.]+)\] "
                       r"fault addr (0x[0-9a-f]+)", text)]
