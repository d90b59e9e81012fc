#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Each device on its own root port; BARs as large as a GPU's, on a server whose processors have
# addresses for them; NVIDIA's virtual peer-to-peer capability, as a guest finds it.
import re
import sys

sys.dont_write_bytecode = True
from harness import Bench, equal  # noqa: E402

import pods  # noqa: E402
import server  # noqa: E402
import topologies  # noqa: E402
from pods import AT, execute, resource  # noqa: E402

FLAGS = pods.request(2, 1, ("edu", "ram"), "--mode", "flatten")
WORD, FAR = 0x1020304050607080, 0x1000
GIB = 1 << 30
BARS_GIB = (64, 128, 256, 512)  # of GPUs with 40 GB and more
# Below one switch, each of two has a small BAR beside the large one, as GPUs with 80 GB have: what
# the guest's firmware gives them is not where they can be.
PAIR_GIB, SMALL_MIB = 128, 32


def more():
    """Of QEMU's: addresses of 46 bits, the large ones on root ports, the pair below a switch."""
    args = server.arguments("", "", "")
    extra = ["-cpu", "max,+svm,+npt,phys-bits=46",
             "-append", args[args.index("-append") + 1] + " pci=realloc"]
    for number, size in enumerate(BARS_GIB):
        extra += ["-device", f"pcie-root-port,id=big{number},bus=pcie.0,addr={number + 16:#x},"
                  f"chassis={40 + number},slot={40 + number},pref64-reserve={2 * size}G",
                  "-device", f"pci-testdev,membar={size}G,bus=big{number}"]
    extra += ["-device", "pcie-root-port,id=pair,bus=pcie.0,addr=0x18,chassis=50,slot=50,"
              f"pref64-reserve={4 * PAIR_GIB}G", "-device", "x3130-upstream,id=pairup,bus=pair"]
    for number in range(2):
        extra += ["-object", f"memory-backend-ram,id=small{number},size={SMALL_MIB}M,share=on",
                  "-device", f"xio3130-downstream,id=pair{number},bus=pairup,addr={number},"
                  f"chassis={51 + number},slot={51 + number}",
                  "-device", f"pci-testdev,membar={PAIR_GIB}G,bus=pair{number},addr=0.0,"
                  "multifunction=on",
                  "-device", f"ivshmem-plain,memdev=small{number},bus=pair{number},addr=0.1"]
    return extra


# A capture with the accelerators below one switch turned into NVIDIA's: the files that a plan reads.
DISGUISE = r"""
import sys
for address in sys.argv[2:]:
    folder = f"{sys.argv[1]}/sys/bus/pci/devices/{address}/"
    for name, text in (("vendor", "0x10de"), ("device", "0x2330"), ("class", "0x030200")):
        with open(folder + name, "w") as file:
            file.write(text + "\n")
    with open(folder + "config", "r+b") as file:
        file.write(bytes((0xde, 0x10, 0x30, 0x23)))
        file.seek(9)
        file.write(bytes((0, 2, 3)))
"""
# The capability as the guest's processor reads it, by mechanism #1 (PCI 3.0, 3.2.2.3.2), when its
# firmware has numbered the buses.
ASK = r"""
sleep 8
for bus in 1 2; do
	for register in $(seq 52 4 252); do
		printf 'o /4 0xcf8 0x80%02x00%02x\ni /4 0xcfc\n' $bus $register
	done
done
echo quit
"""
FIRST, DEVICE_BYTES = 0x34, 256


def flat(bench):
    before, plan = pods.drivers(bench), pods.plan(bench, FLAGS)
    equal(plan["mode"], "flatten")
    equal([port["kind"] for port in plan["ports"]], ["root-port"] * 5, "ports")
    guest = {device["host"]: device["guest"] for device in plan["devices"]}
    equal(len({address[:7] for address in guest.values()}), 5, "buses of devices")
    wanted, _ = topologies.of_plan(plan)
    with pods.running(bench, "flat", FLAGS):
        found = topologies.of_lspci(execute(bench, "flat", "lspci -tv").text)
        equal({name: above for name, above in found.items() if name in wanted}, wanted, "tree")
        ram, edu = guest[AT["ram"]], guest[AT["edu"]]
        start = pods.bar(bench, "flat", ram, 2)
        execute(bench, "flat", f"mmio {resource(ram, 2)} 64:0={WORD} 64:{FAR}=0")
        pods.copy_by_edu(bench, "flat", edu, start, start + FAR)
        equal(execute(bench, "flat", f"mmio {resource(ram, 2)} 64:{FAR}").text, f"{WORD:#x}\n",
              "at the destination")
        equal(execute(bench, "flat", "ls /dev/dri").text.split(),
              ["card0", "card1", "renderD128", "renderD129"], "device nodes")
    pods.nothing_left(bench, before)


def large(bench):
    """Bytes of BAR 2, by address: of those on root ports, of the pair's."""
    rows = bench.run("lspci", "-D", "-d", "1b36:0005").ok().text.split("\n")[:-1]
    found = [row.split()[0] for row in rows]
    equal(len(found), len(BARS_GIB) + 2, "stand-ins with large BARs")
    alone = {address: size * GIB for address, size in zip(found, BARS_GIB)}
    pair = {}
    for address in found[len(BARS_GIB):]:
        pair[address] = PAIR_GIB * GIB
        pair[address[:-1] + "1"] = SMALL_MIB << 20
    return alone, pair


def in_place(bench, sizes, mode):
    """Each BAR 2 is whole, at a multiple of its size, and nobody else's."""
    # their memory is none that could be mapped for others' DMA
    flags = pods.request(0, 0, [address for address in sizes if address.endswith("0")],
                         "--mode", mode, "--config", "peer_to_peer=false")
    plan, taken = pods.plan(bench, flags), []
    assert plan["windows"]["bar_bytes"] >= sum(sizes.values()), plan["windows"]
    equal({device["host"] for device in plan["devices"]}, set(sizes), "devices")
    with pods.running(bench, "large", flags):
        for device in plan["devices"]:
            text = execute(bench, "large",
                           f"cat /sys/bus/pci/devices/{device['guest']}/resource").text
            start, end, _ = (int(word, 16) for word in text.splitlines()[2].split())
            size = sizes[device["host"]]
            equal(end - start + 1, size, f"BAR 2 of {device['guest']}, {mode}")
            equal(start % size, 0, "its address")
            taken.append((start, end))
    taken.sort()
    assert all(one[1] < other[0] for one, other in zip(taken, taken[1:])), taken


def large_bars(bench):
    before = pods.drivers(bench)
    for mode in ("flatten", "replicate"):
        in_place(bench, large(bench)[0], mode)
        pods.nothing_left(bench, before)


def displaced(bench):
    before = pods.drivers(bench)
    for mode in ("flatten", "replicate"):
        in_place(bench, large(bench)[1], mode)
        pods.nothing_left(bench, before)


def capture(bench, folder):
    bench.run("sh", "-c", f"rm -rf {folder} && mkdir {folder} && "
              f"casemate topology --save {folder}.tar && tar -C {folder} -xf {folder}.tar").ok()
    return ("--from", folder)


def too_large(bench):
    """On the same server with fewer address bits: how much was wanted, and how much there is."""
    flags = pods.request(0, 0, large(bench)[0], "--mode", "flatten")
    where = capture(bench, "/tmp/narrow")
    equal(pods.plan(bench, [*flags, *where])["feasible"], True, "with 46 bits")
    for bits in (38, 40):
        bench.run("sed", "-i", f"s/[0-9]* bits physical/{bits} bits physical/",
                  "/tmp/narrow/proc/cpuinfo").ok()
        found = pods.plan(bench, [*flags, *where], 1)
        reason = found["reasons"][0]
        equal(reason["code"], "device-space", str(found["reasons"]))
        assert f"{bits}" in reason["text"] and re.search(r"\d+ GiB", reason["text"]), reason


def clique(bench):
    """QEMU's arguments are the plan's, of NVIDIA's GPUs; the stand-ins are only made to say so."""
    gpus, before = [AT["gpu0"], AT["gpu1"]], pods.drivers(bench)
    where = capture(bench, "/tmp/nvidia")
    bench.python(DISGUISE, "/tmp/nvidia", *gpus).ok()
    flags = [*pods.request(0, 0, gpus, "--mode", "flatten"), *where]
    argv = bench.run("casemate", "plan", *flags, "--format", "qemu").ok().text.splitlines()
    devices = [word for word in argv if word.startswith(("pcie-root-port", "vfio-pci"))]
    equal([word.rpartition(",")[2] for word in devices[2:]], ["x-nv-gpudirect-clique=0"] * 2)
    devices[2:] = [word + ",x-pci-vendor-id=0x10de" for word in devices[2:]]
    siblings = [AT[name] for name in ("gpu0", "gpu1")]
    give = "".join(f"echo vfio-pci >/sys/bus/pci/devices/{name}/driver_override; echo {name} "
                   f">/sys/bus/pci/devices/{name}/driver/unbind; echo {name} "
                   ">/sys/bus/pci/drivers_probe; " for name in siblings)
    back = "".join(f"echo >/sys/bus/pci/devices/{name}/driver_override; echo {name} "
                   f">/sys/bus/pci/devices/{name}/driver/unbind; echo {name} "
                   ">/sys/bus/pci/drivers_probe; " for name in siblings)
    machine = argv[argv.index("-machine") + 1]
    bench.run("sh", "-c", give).ok()
    try:
        found = bench.run("sh", "-c", f"({ASK}) | qemu-system-x86_64 -nodefaults -display none "
                          f"-machine {machine} -accel kvm -cpu host -m 64 -monitor stdio "
                          + " ".join(f"-device {word}" for word in devices)).ok().text
    finally:
        bench.run("sh", "-c", back).ok()
    words = re.findall(r"portl\[0x0cfc\] = (0x[0-9a-f]+)", found)
    each = (DEVICE_BYTES - FIRST) // 4
    equal(len(words), 2 * each, found[-2000:])
    for begin in (0, each):
        space = b"".join(int(word, 16).to_bytes(4, "little") for word in words[begin:begin + each])
        space = bytes(FIRST) + space
        # vendor-specific, last in the list, eight bytes, 'P2P', version 0, clique 0
        equal(space[0xd4:0xdc], b"\x09\0\x08P2P\0\0", "at D4h")
        at = space[FIRST]
        while at not in (0, 0xd4):
            at = space[at + 1]
        equal(at, 0xd4, "where the list of capabilities leads")
    equal(pods.drivers(bench), before, "drivers")


bench = Bench(more())
bench.test("flattened, each has its own root port, and one writes into another", flat)
bench.test(f"BARs of {BARS_GIB[0]} to {BARS_GIB[-1]} GiB are whole in the guest, flattened and replicated", large_bars)
bench.test("a small BAR beside a large one puts neither out of place", displaced)
bench.test("what is beyond the address bits is refused in numbers", too_large)
bench.test("NVIDIA's GPUs have the virtual peer-to-peer capability, with their clique", clique)
bench.end()
