#!/usr/bin/env python3
# The emulated server is what lab/server.py says, as its own kernel sees it; and what carries
# commands into it carries them whole.
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from harness import ROOT, Bench, equal  # noqa: E402

import server  # noqa: E402
from emulator import Emulator  # noqa: E402

# One line a function: address, ID, class, node, driver, VFs, parent, the first of its group.
LOOK = r"""
import os
root = "/sys/bus/pci/devices/"
def read(name, path):
    with open(root + name + "/" + path) as file:
        return file.read().strip()
def link(name, path):
    path = root + name + "/" + path
    return os.path.basename(os.path.realpath(path)) if os.path.exists(path) else "-"
for name in sorted(os.listdir(root)):
    above = os.path.basename(os.path.dirname(os.path.realpath(root + name)))
    vfs = read(name, "sriov_totalvfs") if os.path.exists(root + name + "/sriov_totalvfs") else "0"
    group = sorted(os.listdir(root + name + "/iommu_group/devices"))[0]
    print(name, read(name, "vendor")[2:] + ":" + read(name, "device")[2:], read(name, "class"),
          read(name, "numa_node"), link(name, "driver"), vfs, above, group)
"""


def functions(bench):
    rows = [line.split() for line in bench.python(LOOK).ok().text.splitlines()]
    return [row for row in rows if not row[0].startswith("0000:00:")]


def below_the_complexes(bench):
    wanted = [[seen.address, seen.pci_id, f"{seen.pci_class:#08x}", str(seen.node),
               seen.driver or "-", str(seen.vfs),
               seen.parent or f"pci{seen.address[:7]}", seen.group]
              for seen in server.expected()]
    found = functions(bench)
    equal([row for row in found if row not in wanted], [row for row in wanted if row not in found],
          "functions that are not as they should be")
    equal([row[0] for row in found], [row[0] for row in wanted], "addresses")


def capabilities(bench):
    """Of each function, what lspci names; ACS of the ports and ATS of the endpoints matter."""
    text = bench.run("lspci", "-D", "-vv").ok().text
    return {block.split(" ", 1)[0]: set(re.findall(r"Capabilities: \[\w+ v\d+\] ([^\n]+)", block))
            for block in text.split("\n\n") if block}


def acs_and_ats(bench):
    found = capabilities(bench)
    models = {device.name: device for root in server.TREE for port in root.ports
              for device in port.below}
    for seen in server.expected():
        names = found[seen.address]
        is_root_port = seen.pci_id == "1b36:000c"
        if seen.pci_class == 0x060400:
            equal("Access Control Services" in names, is_root_port, f"ACS of {seen.name}")
        else:
            equal("Address Translation Service (ATS)" in names,
                  "ats" in models[seen.name].options, f"ATS of {seen.name}")


def nodes(bench):
    for node in (0, 1):
        path = f"/sys/devices/system/node/node{node}"
        equal(bench.run("cat", f"{path}/cpulist").ok().text.strip(), str(node), "processors")
        total = re.search(r"MemTotal: +(\d+) kB", bench.run("cat", f"{path}/meminfo").ok().text)
        mib = int(total[1]) // 1024
        half = server.MEMORY_MIB // 2
        assert half * 9 // 10 <= mib <= half, f"node {node} has {mib} MiB"


def drivers(bench):
    """That the devices work, not only that a driver has taken them."""
    cards = [seen for seen in server.expected() if seen.name.startswith("gpu")]
    for seen in cards:
        names = bench.run("ls", f"/sys/bus/pci/devices/{seen.address}/drm").ok().text.split()
        names = [name for name in names if name.startswith(("card", "renderD"))]
        equal(len(names), 2, f"nodes of {seen.name}")
        for name in names:
            bench.run("test", "-c", f"/dev/dri/{name}").ok()
    for name in server.DISKS:
        address = [seen.address for seen in server.expected() if seen.name == name][0]
        disk = bench.run("sh", "-c", f"ls -d /sys/bus/pci/devices/{address}/nvme/nvme*/nvme*n1 | "
                         "sed 's,.*/,/dev/,'").ok().text.strip()
        block = os.urandom(4096)
        bench.run("dd", f"of={disk}", "bs=4096", "seek=7", "oflag=direct", stdin=block).ok()
        read = bench.run("dd", f"if={disk}", "bs=4096", "skip=7", "count=1", "iflag=direct").ok()
        assert read.out == block, f"{name}: another block came back"
    equal(bench.run("sh", "-c", "dmesg --level=emerg,alert,crit,err").ok().text, "", "errors")


def virtual_functions(bench):
    for seen in [seen for seen in server.expected() if seen.vfs]:
        path = f"/sys/bus/pci/devices/{seen.address}"
        bench.run("sh", "-c", f"echo 2 >{path}/sriov_numvfs").ok()
        links = bench.run("sh", "-c", f"ls -d {path}/virtfn*").ok().text.split()
        equal(len(links), 2, f"VFs of {seen.name}")
        bench.run("sh", "-c", f"echo 0 >{path}/sriov_numvfs").ok()


def userland(bench):
    for name in ("lspci -tv", "lstopo-no-graphics --of console", "nvme list", "numactl -H",
                 "ip link", "qemu-system-x86_64 --version", "casemate list"):
        found = bench.run(*name.split()).ok()
        assert found.out, f"{name} said nothing"
    equal(bench.run("stat", "-f", "-c", "%T", "/sys/fs/cgroup").ok().text.strip(), "cgroup2fs")
    assert "QEMU emulator version 1" in bench.run("qemu-system-x86_64", "--version").text


def streams(bench):
    data = os.urandom(8 << 20)
    found = bench.run("sh", "-c", "cat; echo words >&2; exit 7", stdin=data).ok(7)
    assert found.out == data, f"{len(data)} bytes went in, {len(found.out)} others came out"
    equal(found.err, b"words\n")
    equal(bench.run("printf", "%s|", "a b", "", "\n'\"$x").out, b"a b||\n'\"$x|")
    equal(bench.run("sh", "-c", "kill -9 $$").status, 128 + signal.SIGKILL)
    equal(bench.run("no-such-program").status, 127)


def time_is_up(bench):
    try:
        bench.run("sh", "-c", "echo begun; exec sleep 4321", timeout_s=2)
    except AssertionError as error:
        assert "begun" in str(error), str(error)
    else:
        raise AssertionError("4321 seconds have passed")
    end = time.monotonic() + 10
    while bench.run("pgrep", "-f", "sleep 4321").status == 0:
        assert time.monotonic() < end, "what was not done in time still runs"


def kvm(bench):
    """KVM inside runs a guest of our own."""
    found = bench.run("casemate", "run", "--accel", "kvm", "oci:/srv/image", "--",
                      "/bin/sh", "-c", "uname -r; exit 3", timeout_s=300).ok(3)
    assert "casemate" in found.text, str(found)


# From the reset vector: no interrupt table, the local APIC in x2APIC mode, interrupts on, one to itself.
FIRMWARE = bytes.fromhex(
    "2e0f011e40ff" "66b91b000000" "0f32" "660d000c0000" "0f30" "6631d2" "66b90f080000"
    "66b8ff010000" "0f30" "fb" "66b93f080000" "66b840000000" "0f30" "ebfe").ljust(0xf0, b"\0") + \
    bytes.fromhex("e90dff").ljust(16, b"\0")


def lost_guests(bench):
    """KVM tells of a guest that an interrupt ended, and not of one that resets itself."""
    def guest(*argv):
        bench.run("qemu-system-x86_64", "-nodefaults", "-no-reboot", "-display", "none", "-machine",
                  "q35", "-accel", "kvm", "-cpu", "host", "-m", "256M", *argv).ok()

    since = bench.emulator.console_size()
    bench.run("sh", "-c", "cat >/tmp/firmware", stdin=FIRMWARE.rjust(1 << 16, b"\0")).ok()
    guest("-kernel", "/usr/lib/casemate/guest-lab/vmlinux", "-append", "quiet panic=-1 reboot=t")
    guest("-bios", "/tmp/firmware")
    end = time.monotonic() + 10
    while not bench.emulator.lost(since):
        assert time.monotonic() < end, "KVM has told of none"
        time.sleep(0.1)
    assert "intr_info 0x80000040" in bench.emulator.lost(since), bench.emulator.lost(since)


def seen(bench):
    """What a failed test shows of the processors: where each is, what each interrupt controller has."""
    lines = bench.emulator.processors()
    for word in ("CPU#", "RIP=", "ISR", "IRR"):
        found = [line for line in lines if line.startswith(word)]
        equal(len(found), server.PROCESSORS, f"{word} in {lines}")


def none_left(bench):
    """QEMU ends with the process that keeps it, even if that is killed."""
    work = os.path.join(bench.build, "check", "lab-none-left")
    os.makedirs(work, exist_ok=True)
    for name in ("casemate", "guest", "lab/root.img", "lab/vmlinux", "lab/key", "lab/modules"):
        os.makedirs(os.path.dirname(os.path.join(work, name)), exist_ok=True)
        if not os.path.lexists(os.path.join(work, name)):
            os.symlink(os.path.join(bench.build, name), os.path.join(work, name))
    program = ("import sys; sys.path.insert(0, sys.argv[1]); from emulator import *\n"
               "one = Emulator(sys.argv[2]); one.take_lock(); one.make_payload = lambda _: "
               "open(one.path('payload.img'), 'wb').truncate(4096)\n"
               "one.prepare(None); one.spawn([]); print(one.qemu.pid, flush=True); one.keep(60)")
    keeper = subprocess.Popen([sys.executable, "-B", "-c", program, os.path.join(ROOT, "lab"), work],
                              stdout=subprocess.PIPE, text=True)
    qemu = os.pidfd_open(int(keeper.stdout.readline()))
    assert not select.select([qemu], [], [], 0)[0], "there is no QEMU"
    keeper.kill()
    keeper.wait()
    Emulator(work).stop(5)
    # it lets go of the lock a moment before it has ended
    assert select.select([qemu], [], [], 5)[0], "QEMU is still there"
    os.close(qemu)
    shutil.rmtree(work)


bench = Bench()
bench.test("every function is where the table has it, with its driver, node and group",
           below_the_complexes)
bench.test("root ports have ACS, ports of the switches have not, and ATS is where it should be",
           acs_and_ats)
bench.test("each of two nodes has a processor and half of the memory", nodes)
bench.test("the devices work", drivers)
bench.test("virtual functions come and go", virtual_functions)
bench.test("the userland is all there", userland)
bench.test("streams and status of a command come back whole", streams)
bench.test("a command that is not done in time is ended", time_is_up)
bench.test("a guest of our own runs under KVM", kvm)
bench.test("a guest that is lost is told from one that resets itself", lost_guests)
bench.test("processors and their interrupts can be seen from outside", seen)
bench.test("no QEMU is left by one who was killed", none_left)
bench.end()
