#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Where a plan says that the guest finds its devices is where firmware puts them: the guest's tree,
# built by QEMU from the plan's own arguments, a stand-in in each passed device's place.
# timeout: 120
import json
import os
import re
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from harness import Bench, ROOT, equal

bench = Bench()
me = bench.root or bench.user
guest = os.path.join(bench.build, "guest")
STAND_IN = (0x1234, 0x11e8)  # edu
UNNUMBERED = (0, 255)  # a bus before firmware sees its bridge, and from then until its turn
CAPTURES = os.environ.get("CASEMATE_CAPTURES") or os.path.join(
    os.path.dirname(ROOT), "shared", "captures")


def bridge(address, first, last, inner, depth):
    return (f'<object type="Bridge" bridge_type="1-1" depth="{depth}" '
            f'bridge_pci="0000:[{first:02x}-{last:02x}]" pci_busid="{address}" '
            f'pci_type="0604 [10b5:8747] [0000:0000] 00">{inner}</object>')


def gpu(bus):
    return (f'<object type="PCIDev" pci_busid="0000:{bus:02x}:00.0" '
            f'pci_type="0302 [10de:20b0] [10de:0000] a1"/>')


def switch(bus, inner, last, depth):
    """A switch whose upstream port is on a bus, each of inner below a port of its own."""
    ports = "".join(bridge(f"0000:{bus + 1:02x}:{i:02x}.0", number, number, text, depth + 1)
                    for i, (number, text) in enumerate(inner))
    return bridge(f"0000:{bus:02x}:00.0", bus + 1, last, ports, depth)


def server():
    """Two root complexes; below the first a switch of switches, below the second two ports."""
    inner = switch(0x04, [(0x06, gpu(0x06)), (0x07, gpu(0x07))], 0x07, 4)
    outer = switch(0x02, [(0x04, inner), (0x08, gpu(0x08))], 0x08, 2)
    first = bridge("0000:00:01.0", 0x02, 0x08, outer, 1)
    second = (bridge("0000:80:01.0", 0x81, 0x81, gpu(0x81), 1)
              + bridge("0000:80:02.0", 0x82, 0x82, gpu(0x82), 1))
    roots = "".join(f'<object type="Bridge" bridge_type="0-1" depth="0" '
                    f'bridge_pci="0000:[{bus:02x}-{bus + 0x7f:02x}]">{text}</object>'
                    for bus, text in ((0, first), (0x80, second)))
    return ('<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE topology SYSTEM "hwloc2.dtd">\n'
            '<topology version="2.0"><object type="Machine" os_index="0" cpuset="0x1" '
            'complete_cpuset="0x1" allowed_cpuset="0x1" nodeset="0x1" complete_nodeset="0x1" '
            'allowed_nodeset="0x1">'
            '<object type="NUMANode" os_index="0" cpuset="0x1" complete_cpuset="0x1" '
            'nodeset="0x1" complete_nodeset="0x1" local_memory="1073741824"/>'
            f'{roots}</object></topology>\n')


def with_stand_ins(argv):
    """The plan's arguments for a QEMU of the test's own: files, no descriptors; stand-ins."""
    made = [argv[0]]
    for option, value in pairs(argv[1:]):
        if option in ("-add-fd", "-mon", "-sandbox"):
            continue
        if option == "-chardev":
            value = re.sub(r"^socket,id=(\w+),fd=\d+$", r"null,id=\1", value)
        elif option == "-bios":
            value = "/usr/share/seabios/bios-256k.bin"
        elif option == "-kernel":
            value = os.path.join(guest, "vmlinux")
        elif option == "-blockdev":
            value = re.sub(r"/dev/fdset/\d+", os.path.join(guest, "base.img"), value)
        elif option == "-device":
            value = re.sub(r"^vfio-pci,id=(\w+),host=[^,]+(.*?)(,rombar=0)?$", r"edu,id=\1\2",
                           value)
        elif option == "-object":
            value = re.sub(r",host-nodes=.*", "", value)  # of the captured host, not of this one
        made += [option] if value is None else [option, value]
    return [*made, "-qmp", "stdio"]


def pairs(words):
    """(option, value or None)"""
    words = list(words)
    while words:
        option = words.pop(0)
        yield option, words.pop(0) if words and not words[0].startswith("-") else None


def walk(devices):
    for device in devices:
        yield device
        yield from walk(device.get("pci_bridge", {}).get("devices", []))


def ask(qemu, command):
    qemu.stdin.write(json.dumps({"execute": command}).encode() + b"\n")
    qemu.stdin.flush()
    while True:
        answer = json.loads(qemu.stdout.readline())
        if "return" in answer:
            return answer["return"]


def found_by_firmware(argv, count):
    """The addresses of the stand-ins, once firmware has numbered the buses."""
    with subprocess.Popen(["timeout", "60", *argv], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as qemu:
        try:
            ask(qemu, "qmp_capabilities")
            end = time.monotonic() + 40
            while True:
                found = sorted(
                    f"0000:{device['bus']:02x}:{device['slot']:02x}.{device['function']:x}"
                    for bus in ask(qemu, "query-pci") for device in walk(bus["devices"])
                    if (device["id"]["vendor"], device["id"]["device"]) == STAND_IN
                    and device["bus"] not in UNNUMBERED)
                if len(found) == count or time.monotonic() > end:
                    return found
                time.sleep(0.2)
        finally:
            qemu.kill()


def compare(path, *flags):
    flags = ["--from", path, "--accel", "tcg", *flags]
    plan = me("plan", *flags, "--format", "json").ok().json()
    argv = me("plan", *flags, "--format", "qemu").ok().lines
    expected = sorted(device["guest"] for device in plan["devices"])
    assert plan["feasible"] and expected, plan
    for pair in plan["pairs"]:
        if "replicate" in flags:
            equal(pair["guest_class"], pair["host_class"], str(pair))
    equal(found_by_firmware(with_stand_ins(argv), len(expected)), expected, " ".join(flags))


with bench.check("a replicated tree of nested switches and two root complexes"):
    compare(bench.file("server.xml", server()), "--gpus", "5", "--mode", "replicate")

with bench.check("the same devices, flattened"):
    compare(bench.file("server.xml", server()), "--gpus", "5", "--mode", "flatten")

dgx = os.path.join(CAPTURES, "hwloc-nvidia-dgx2-16v100", "nvidiaDGX2.xml")
if os.path.exists(dgx):
    with bench.check("all GPUs of a captured server with 12 switches"):
        compare(dgx, "--gpus", "16", "--mode", "replicate")
else:
    print("ok - all GPUs of a captured server with 12 switches # SKIP data: no captures")

bench.end()
