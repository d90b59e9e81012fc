#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Virtual functions in pods: an NVMe one reads and writes its disk, beside a pod with a whole NIC.
import json
import os
import sys

sys.dont_write_bytecode = True
from harness import Bench, equal  # noqa: E402

import pods  # noqa: E402
from pods import AT, execute  # noqa: E402

PF = f"/sys/bus/pci/devices/{AT['nvme0']}"
QUEUES, INTERRUPTS = 2, 1  # of eight and four that the controller can lend to four
SECONDARY_ASSIGN, SECONDARY_ONLINE, SECONDARY_OFFLINE = 8, 9, 7
WHERE = 5  # the block that is written


def manage(bench, controller, action, *more):
    bench.run("nvme", "virt-mgmt", f"/dev/{controller}", "-c", "1", "-a", str(action), *more).ok()


def make_vf(bench):
    """One, that no driver of the server takes, with what it needs; gives its address."""
    controller = pods.below(bench, AT["nvme0"], "nvme")
    bench.run("sh", "-c", f"echo 0 >{PF}/sriov_drivers_autoprobe && echo 1 >{PF}/sriov_numvfs").ok()
    for kind, count in enumerate((QUEUES, INTERRUPTS)):
        manage(bench, controller, SECONDARY_ASSIGN, "-r", str(kind), "-n", str(count))
    manage(bench, controller, SECONDARY_ONLINE)
    return os.path.basename(bench.run("readlink", f"{PF}/virtfn0").ok().text.strip())


def drop_vf(bench):
    manage(bench, pods.below(bench, AT["nvme0"], "nvme"), SECONDARY_OFFLINE)
    bench.run("sh", "-c", f"echo 0 >{PF}/sriov_numvfs").ok()


def read(bench):
    """The block, as the server's own driver has it by the physical function."""
    bench.run("sh", "-c", "echo 3 >/proc/sys/vm/drop_caches").ok()
    return bench.run("dd", f"if=/dev/{pods.disk(bench, 'nvme0')}", "bs=4096", f"skip={WHERE}",
                     "count=1", "iflag=direct").ok().out


def use_vf(bench, vf):
    """The container writes a block, the server finds it; and the other way round."""
    word, back = os.urandom(4096), os.urandom(4096)
    equal(execute(bench, "vf", "ls /sys/bus/pci/drivers/nvme | grep :").text.strip(),
          pods.plan_of(bench, vf)["devices"][0]["guest"], "the driver's device")
    execute(bench, "vf", "test -b /dev/nvme0n1")
    execute(bench, "vf", f"dd of=/dev/nvme0n1 bs=4096 seek={WHERE} iflag=fullblock oflag=direct",
            stdin=word)
    assert read(bench) == word, "the server reads another block than was written in the container"
    bench.run("dd", f"of=/dev/{pods.disk(bench, 'nvme0')}", "bs=4096", f"seek={WHERE}",
              "oflag=direct", stdin=back).ok()
    found = execute(bench, "vf", f"dd if=/dev/nvme0n1 bs=4096 skip={WHERE} count=1 iflag=direct")
    assert found.out == back, "the container reads another block than was written in the server"


def both(bench):
    """A VF of the one and the PF of the other SR-IOV device, at the same time."""
    vf = make_vf(bench)
    before = pods.drivers(bench)
    with pods.running(bench, "vf", pods.request(0, 0, (vf,))):
        found = pods.start(bench, "refused", pods.request(0, 0, ("nvme0",))).ok(125)
        assert AT["nvme0"] in found.err.decode() and "1 virtual function" in found.err.decode(), found
        with pods.running(bench, "pf", pods.request(0, 0, ("igb",))):
            now = pods.drivers(bench)
            equal({name: now[name] for name in before if now[name] != before[name]},
                  {vf: "vfio-pci", AT["igb"]: "vfio-pci"}, "leased")
            found = bench.run("casemate", "devices", "vfs", AT["igb"], "1").ok(1)
            assert AT["igb"] in found.err.decode() and "pod 'pf' has it" in found.err.decode(), found
            use_vf(bench, vf)
            mac = execute(bench, "pf", "cat /sys/class/net/eth0/address").text.strip()
            equal(mac, "52:54:00:ca:5e:10", "the NIC's address")
            execute(bench, "pf", "test ! -e /dev/nvme0n1")
            execute(bench, "vf", "test ! -e /sys/class/net/eth0")
    pods.nothing_left(bench, before)
    drop_vf(bench)
    assert vf not in pods.drivers(bench), "the VF is still there"


def hold_vfs(bench, count):
    """`casemate devices vfs` in the server's background; its process."""
    # without the one before: it may be read sooner than it is emptied
    bench.run("sh", "-c", "rm -f /tmp/vfs; "
              f"casemate devices vfs {AT['nvme0']} {count} >/tmp/vfs 2>&1 & "
              "echo $! >/tmp/vfs.pid; for i in 1 2 3 4 5 6 7 8 9; do "
              "grep -qs has /tmp/vfs && exit; sleep 1; done; cat /tmp/vfs; exit 1").ok()
    return bench.run("cat", "/tmp/vfs.pid").ok().text.strip()


def number(bench):
    return bench.run("cat", f"{PF}/sriov_numvfs").ok().text.strip()


def made(bench):
    """They work in a pod, and go with the command that has made them, unless a pod has one."""
    before = pods.drivers(bench)
    pid = hold_vfs(bench, 2)
    vf = os.path.basename(bench.run("readlink", f"{PF}/virtfn1").ok().text.strip())
    equal(pods.drivers(bench)[vf], "-", "driver")
    with pods.running(bench, "vf", pods.request(0, 0, (vf,))):
        listed = {row["address"]: row for row in
                  json.loads(bench.run("casemate", "devices", "list", "--json").ok().text)}
        equal((listed[vf]["held_by"], listed[vf]["driver"]), ("pod 'vf' has it", "vfio-pci"))
        equal((listed[AT["nvme0"]]["vfs"], listed[AT["nvme0"]]["driver"]), (2, "nvme"))
        use_vf(bench, vf)
        bench.run("kill", pid).ok()
        bench.run("sh", "-c", f"while [ -e /proc/{pid} ]; do sleep 0.2; done").ok()
        assert f"pod 'vf' has its VF {vf}" in bench.run("cat", "/tmp/vfs").text
        equal(number(bench), "2", "VFs while a pod has one")
    bench.run("casemate", "recover").ok()
    equal(number(bench), "0", "VFs")
    pods.nothing_left(bench, before)


def made_and_killed(bench):
    before = pods.drivers(bench)
    pid = hold_vfs(bench, 4)
    found = bench.run("casemate", "devices", "vfs", AT["nvme0"], "3")
    equal(found.status, 1, str(found))
    bench.run("kill", "-9", pid).ok()
    equal(number(bench), "4", "VFs of a dead owner")
    assert AT["nvme0"] in bench.run("casemate", "recover").ok().text
    equal(number(bench), "0", "VFs")
    pods.nothing_left(bench, before)


def gone(bench):
    """The VFs have been switched off before recovery: that is said, and is no failure for ever."""
    vf = make_vf(bench)
    with pods.running(bench, "killed", pods.request(0, 0, (vf,))):
        pods.kill(bench, "killed")
        drop_vf(bench)
        before = pods.drivers(bench)
        found = bench.run("casemate", "recover")
        assert vf in found.text + found.err.decode(), str(found)
    pods.nothing_left(bench, before)


bench = Bench()
bench.test("an NVMe VF reads and writes, while another pod has the other SR-IOV device", both)
bench.test("VFs that casemate has made work in a pod, and go when it ends", made)
bench.test("VFs whose owner was killed go when that is recovered", made_and_killed)
bench.test("a VF that has gone when its pod is recovered is named", gone)
bench.end()
