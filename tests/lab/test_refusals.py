#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# What cannot be had is refused by name, at once, and nothing is left half done; what goes away
# while a pod has it is named, and the rest goes back.
import sys
import tempfile
import time

sys.dont_write_bytecode = True
from harness import Bench, equal  # noqa: E402

import pods  # noqa: E402
from pods import AT  # noqa: E402

AT_ONCE_S = 20  # of emulated processors; a guest alone takes longer
SWITCH2 = ("gpu2", "gpu3")


def refused(bench, code, words, flags, name="refused"):
    """By run, with these words; and whoever looks finds nothing changed."""
    before = pods.drivers(bench)
    held = bench.run("find", "/run/casemate", "-mindepth", "2").text
    started = time.monotonic()
    found = pods.start(bench, name, flags).ok(125)
    took = time.monotonic() - started
    text = found.err.decode()
    assert f"({code})" in text, str(found)
    for word in words:
        assert word in text, f"no '{word}' in {found}"
    assert took < AT_ONCE_S, f"refused after {took:.1f} s: {found}"
    equal(pods.drivers(bench), before, f"drivers after {found}")
    equal(bench.run("find", "/run/casemate", "-mindepth", "2").text, held,
          f"run directory after {found}")


def planned_not(bench, code, words, flags):
    found = pods.plan(bench, flags, 1)
    equal(found["feasible"], False)
    assert any(reason["code"] == code and all(word in reason["text"] for word in words)
               for reason in found["reasons"]), found["reasons"]


def both(bench, code, words, flags):
    planned_not(bench, code, words, flags)
    refused(bench, code, words, flags)


def too_many(bench):
    both(bench, "device-count", ("9 GPUs", "has 4"), pods.request(9))
    both(bench, "device-count", ("4 NVMe disks", "has 3"), pods.request(0, 0, (), "--nvme", "4"))
    both(bench, "device-count", ("3 devices within one switch",),
         pods.request(3, 0, (), "--near", "switch"))


def no_such(bench):
    both(bench, "device-none", ("0000:99:00.0",), pods.request(0, 0, ("0000:99:00.0",)))
    both(bench, "device-held", ("0000:22:00.0", "bridge"), pods.request(0, 0, ("0000:22:00.0",)))


def kept(bench):
    """nvme1 is below the switch of the two, whose ports have no ACS."""
    both(bench, "device-held",
         (AT["nvme1"], f"reaches {AT['gpu2']} below switch port", "no ACS", "'nvme'",
          "keep_drivers"),
         pods.request(0, 0, SWITCH2, "--config", "keep_drivers=nvme"))


def disk_in_use(bench):
    """Whoever asks for it, or for what makes that it must be held."""
    name = pods.disk(bench, "nvme1")
    for flags in (pods.request(0, 0, ("nvme1",)), pods.request(0, 0, ("gpu2",))):
        bench.run("sh", "-c", f"mkswap /dev/{name} && swapon /dev/{name}").ok()
        refused(bench, "device-held", (AT["nvme1"], f"'{name}' is swap"), flags)
        bench.run("swapoff", f"/dev/{name}").ok()
    flags = pods.request(0, 0, ("nvme1",))
    bench.run("sh", "-c", f"mkfs.minix /dev/{name} && mkdir -p /tmp/m && "
              f"mount -t minix /dev/{name} /tmp/m").ok()
    refused(bench, "device-held", (AT["nvme1"], f"'{name}' is mounted on '/tmp/m'"), flags)
    bench.run("umount", "/tmp/m").ok()
    bench.run("sh", "-c", f"unshare -m sh -c 'mount -t minix /dev/{name} /tmp/m && echo $$ >/tmp/is "
              "&& exec sleep 60' >/dev/null 2>&1 & until [ -e /tmp/is ]; do sleep 0.1; done").ok()
    refused(bench, "device-held", (AT["nvme1"], f"'{name}' is in use"), flags)
    bench.run("sh", "-c", "kill $(cat /tmp/is); rm /tmp/is; sleep 1").ok()


def interface_in_use(bench):
    name = pods.below(bench, AT["nic1"], "virtio*/net")
    flags = pods.request(0, 0, ("nic1",))
    bench.run("sh", "-c", f"ip link set {name} up && ip addr add 10.9.9.1/24 dev {name}").ok()
    refused(bench, "device-held", (AT["nic1"], f"'{name}' is up and has an address"), flags)
    refused(bench, "device-held", (AT["nic1"], f"'{name}' is up"), pods.request(0, 0, ("gpu3",)))
    bench.run("sh", "-c", f"ip addr flush dev {name}; ip route add default dev {name}").ok()
    refused(bench, "device-held", (AT["nic1"], f"'{name}' is where the default route goes"), flags)
    bench.run("ip", "link", "set", name, "down").ok()
    bench.run("sh", "-c", f"ip link add name br0 type bridge && ip link set {name} master br0").ok()
    refused(bench, "device-held", (AT["nic1"], f"'{name}' is a member of 'br0'"), flags)
    bench.run("ip", "link", "del", "br0").ok()


def two_of(bench):
    """Addresses of the NIC and the disk that are functions of one device, in one group."""
    nic = [row.split()[0] for row in
           bench.run("lspci", "-D", "-n", "-d", "1af4:1041").ok().text.splitlines()]
    nic, = [address for address in nic if address not in AT.values()]
    return nic, nic[:-1] + "1"


def shared_group(bench):
    """What shares the group with it may not be taken: kept by the host, or in use."""
    nic, disk = two_of(bench)
    flags = pods.request(0, 0, (nic,))
    equal({device["host"] for device in pods.plan(bench, flags)["devices"]}, {nic, disk})
    both(bench, "device-held", (disk, "IOMMU group", nic, "keep_drivers"),
         [*flags, "--config", "keep_drivers=nvme"])
    name = pods.disk(bench, disk)
    bench.run("sh", "-c", f"mkswap /dev/{name} && swapon /dev/{name}").ok()
    both(bench, "device-held", (disk, "IOMMU group", nic, f"'{name}' is swap"), flags)
    bench.run("swapoff", f"/dev/{name}").ok()


def without_reset(bench):
    """The kernel has no way to reset it: it is given back all the same, and that is said."""
    before, at = pods.drivers(bench), f"/sys/bus/pci/devices/{AT['igb']}"
    methods = bench.run("cat", f"{at}/reset_method").ok().text.strip()
    pods.start(bench, "killed", pods.request(0, 0, ("igb",))).ok()
    pods.kill(bench, "killed")
    bench.run("sh", "-c", f"echo >{at}/reset_method").ok()
    found = bench.run("casemate", "recover").ok()
    assert AT["igb"] in found.text and "could not be reset" in found.text, str(found)
    bench.run("sh", "-c", f"echo {methods} >{at}/reset_method").ok()
    pods.nothing_left(bench, before)


def chosen_around(bench):
    """What is counted is chosen among what nobody uses."""
    name = pods.disk(bench, "nvme1")
    flags = pods.request(0, 0, (), "--nvme", "1")
    bench.run("sh", "-c", f"mkswap /dev/{name} && swapon /dev/{name}").ok()
    assert AT["nvme1"] not in [device["host"] for device in pods.plan(bench, flags)["devices"]]
    planned_not(bench, "device-count", ("3 NVMe disks", "has 3", "2 can be given"),
                pods.request(0, 0, (), "--nvme", "3"))
    bench.run("swapoff", f"/dev/{name}").ok()


def chosen_apart(bench):
    """Two that ask for one at the same time each get one, also while they do not know each other."""
    before = pods.drivers(bench)
    line = " ".join(("casemate", "run", "-d", *pods.request(1)))
    found = bench.run("sh", "-c", f"{line} --name one {pods.TOOLS} -- sleep 1000 & "
                      f"{line} --name two {pods.TOOLS} -- sleep 1000 && wait $!",
                      timeout_s=pods.START_S)
    ended = [pods.end(bench, name).status for name in ("one", "two")]
    assert found.status == 0 and ended == [0, 0], f"{found}; {ended}"
    pods.nothing_left(bench, before)


def taken_by_another(bench):
    """The second is refused by the first one's name; and again what is held for its sake."""
    before = pods.drivers(bench)
    with pods.running(bench, "first", pods.request(0, 0, ("gpu2",))):
        for name in SWITCH2:
            both(bench, "device-held", (AT[name], "pod 'first' has it"),
                 pods.request(0, 0, (name,)))
    pods.nothing_left(bench, before)


def left_by_the_dead(bench):
    """A killed pod's device can be planned with; the next pod that starts gives it back first."""
    before = pods.drivers(bench)
    pods.start(bench, "killed", pods.request(0, 0, ("gpu2",))).ok()
    pods.kill(bench, "killed")
    equal(pods.plan(bench, pods.request(0, 0, ("gpu2",)))["feasible"], True)
    with pods.running(bench, "next", pods.request(0, 0, ("gpu2",))):
        pass
    pods.nothing_left(bench, before)


def vanished(bench):
    """One is pulled after its pod has been killed: it is named, all others have their drivers."""
    before, gone = pods.drivers(bench), AT["gpu3"]
    with pods.running(bench, "killed", pods.request(0, 0, ("gpu2",))):
        pods.kill(bench, "killed")
        bench.run("sh", "-c", f"echo 1 >/sys/bus/pci/devices/{gone}/remove").ok()
        found = bench.run("casemate", "recover")
        assert gone in found.text + found.err.decode(), str(found)
        equal(pods.drivers(bench),
              {name: driver for name, driver in before.items() if name != gone}, "drivers")
        planned_not(bench, "device-none", (gone,), pods.request(0, 0, ("gpu3",)))
        bench.run("sh", "-c", "echo 1 >/sys/bus/pci/rescan").ok()
    pods.nothing_left(bench, before)


def driver_refuses(bench):
    """Its module is out of reach when its device is to go back: named, kept, and tried again."""
    before = pods.drivers(bench)
    with pods.running(bench, "card", pods.request(0, 0, ("igb", "gpu0"))):
        pods.kill(bench, "card")
        bench.run("rmmod", "igb").ok()
        found = bench.run("casemate", "recover")
        assert found.status != 0 and AT["igb"] in found.text + found.err.decode(), str(found)
        now = pods.drivers(bench)
        equal({name for name in before if now[name] != before[name]}, {AT["igb"]}, "not back")
        bench.run("modprobe", "igb").ok()
        bench.run("casemate", "recover").ok()
    pods.nothing_left(bench, before)


def driver_refuses_at_the_end(bench):
    """The same at a pod's own end: who ended it is told, by run and by delete."""
    before = pods.drivers(bench)
    flags = pods.request(0, 0, ("igb",))
    with pods.running(bench, "card", flags):
        bench.run("rmmod", "igb").ok()
        found = pods.end(bench, "card")
        assert found.status == 3 and "casemate recover" in found.err.decode(), str(found)
        assert AT["igb"] in bench.run("casemate", "recover").err.decode()
        bench.run("modprobe", "igb").ok()
        bench.run("casemate", "recover").ok()
    pods.nothing_left(bench, before)


# a NIC and a disk that are functions of one device
DISK = tempfile.NamedTemporaryFile()
DISK.truncate(64 << 20)
EXTRA = ["-device", "pcie-root-port,id=two,bus=pcie.0,addr=0x10,chassis=40,slot=40",
         "-netdev", "hubport,id=two,hubid=0",
         "-device", "virtio-net-pci,bus=two,addr=0.0,multifunction=on,netdev=two,"
         "disable-legacy=on,iommu_platform=on,ats=on,romfile=",
         "-blockdev", f"driver=raw,node-name=two,file.driver=file,file.filename={DISK.name}",
         "-device", "nvme,id=twodisk,bus=two,addr=0.1,serial=lab-two",
         "-device", "nvme-ns,bus=twodisk,drive=two,nsid=1"]

bench = Bench(EXTRA)
bench.test("more than there are is refused in numbers", too_many)
bench.test("what is not there, or a bridge, is refused by address", no_such)
bench.test("a sibling whose driver the host keeps is refused, with the way to it", kept)
bench.test("a disk in use is refused by name, also where it must only be held", disk_in_use)
bench.test("an interface in use is refused by name, also where it must only be held",
           interface_in_use)
bench.test("another pod's device is refused by that pod's name", taken_by_another)
bench.test("a device whose group has one that may not be taken is refused, by both names",
           shared_group)
bench.test("a device that cannot be reset goes back, and that is said", without_reset)
bench.test("what is counted is chosen among what the host does not use", chosen_around)
bench.test("two pods that count on one at the same time get one each", chosen_apart)
bench.test("what a dead pod has left does not keep a plan from being made", left_by_the_dead)
bench.test("a device that has vanished when it is to go back is named, and the rest goes back",
           vanished)
bench.test("a device whose driver is not there any more stays, is named, and goes back later",
           driver_refuses)
bench.test("the same at a pod's own end is told to who ends it", driver_refuses_at_the_end)
bench.end()
