#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# A pod with accelerators, a NIC, a DMA engine and its target: what the guest sees is what the plan
# says, who may use it is its container alone, one device writes into the other, and all goes back.
import re
import sys

sys.dont_write_bytecode = True
from harness import Bench, equal  # noqa: E402

import pods  # noqa: E402
import topologies  # noqa: E402
from pods import AT, execute, resource  # noqa: E402

NAME, PLAIN = "devices", "devices/plain"
FLAGS = pods.request(2, 1, ("edu", "ram"), "--mode", "replicate")
PAIR = pods.request(0, 0, ("edu", "ram"), "--mode", "replicate")
NO_PEERS = ("--config", "peer_to_peer=false")
WORD, MARK, FAR = 0x1122334455667788, 0x5a5a5a5a5a5a5a5a, 0x1000
# address, vendor and device, class, node, what is above, of each function
GUEST = r"""
cd /sys/bus/pci/devices && for name in *; do
	real=$(readlink -f "$name") && real=${real%/*}
	echo "$name $(cat "$name/vendor"):$(cat "$name/device") $(cat "$name/class")" \
		"$(cat "$name/numa_node") ${real##*/}"
done
test ! -e /sys/bus/pci/devices/*/iommu_group && test -z "$(ls /sys/kernel/iommu_groups)"
"""


class Pod:
    """The one that most tests look at: made by the first of them, and again after a new boot."""
    boot, before, plan, guest = None, None, None, None

    def ready(self, bench):
        if self.boot == bench.again:
            return self
        self.boot, self.before = bench.again, pods.drivers(bench)
        self.plan = pods.plan(bench, FLAGS)
        self.guest = {device["host"]: device["guest"] for device in self.plan["devices"]}
        pods.start(bench, NAME, FLAGS).ok()
        return self

    def at(self, name):
        return self.guest[AT[name]]

    def kind(self, word):
        return [device["guest"] for device in self.plan["devices"] if device["kind"] == word]


pod = Pod()


def chosen(bench):
    pod.ready(bench)
    kinds = sorted(device["kind"] for device in pod.plan["devices"])
    equal(kinds, ["gpu", "gpu", "nic", "other", "other"], "kinds")
    equal(set(pod.guest), {AT[name] for name in ("gpu0", "gpu1", "nic0", "edu", "ram")}, "devices")
    equal(pod.plan["mode"], "replicate")


def leased(bench):
    pod.ready(bench)
    taken = set(pod.guest) | {held["host"] for held in pod.plan["held"]}
    wanted = {name: "vfio-pci" if name in taken else driver
              for name, driver in pod.before.items()}
    equal(pods.drivers(bench), wanted, "drivers")


def jailed(bench):
    """QEMU is what the plan says, as a user that is nobody, and denied what it does not need."""
    pod.ready(bench)
    pid, argv = pods.qemu_of(bench)
    vfio = [word for word in argv if word.startswith("vfio-pci")]
    equal(vfio, [word for word in pod.plan["launch"]["argv"] if word.startswith("vfio-pci")],
          "QEMU's devices")
    equal(len(vfio), 5)
    sandbox = argv[argv.index("-sandbox") + 1]
    for word in ("obsolete", "elevateprivileges", "spawn", "resourcecontrol"):
        assert f"{word}=deny" in sandbox, sandbox
    status = bench.run("cat", f"/proc/{pid}/status").ok().text
    uids = set(re.search(r"^Uid:\s+(.*)$", status, re.M)[1].split())
    assert len(uids) == 1 and "0" not in uids, uids
    equal(re.search(r"^CapEff:\s+(.*)$", status, re.M)[1], "0" * 16, "capabilities")
    equal(re.search(r"^Seccomp:\s+(.*)$", status, re.M)[1], "2", "seccomp")


def sysfs(bench):
    pod.ready(bench)
    rows = [line.split() for line in execute(bench, NAME, GUEST, user="app").text.splitlines()]
    parents, nodes = topologies.of_plan(pod.plan)
    seen = {row[0]: row for row in rows}
    ours = {name for name in seen if name[:7] != "0000:00" or name in parents}
    equal(ours, set(parents), "functions beyond the guest's own")
    models = {address: bench.run("sh", "-c", f"cd /sys/bus/pci/devices/{address} && echo "
                                 "$(cat vendor):$(cat device) $(cat class)").ok().text.split()
              for address in pod.guest}
    for host, guest in pod.guest.items():
        equal(seen[guest][1:3], models[host], f"model of {guest}, {host} on the host")
    for name, above in parents.items():
        wanted = f"pci{above}" if len(above) == 7 else above
        equal(seen[name][4], wanted, f"above {name}")
        root = name
        while len(root) > 7:
            root = parents[root]
        equal(int(seen[name][3]), nodes.get(root, -1), f"node of {name}")


def lspci(bench):
    pod.ready(bench)
    text = execute(bench, NAME, "lspci -tv", user="app").text
    wanted, _ = topologies.of_plan(pod.plan)
    found = topologies.of_lspci(text)
    equal({name: above for name, above in found.items() if name in wanted}, wanted,
          f"tree of\n{text}")
    equal([name for name in found if name not in wanted and name[:7] != "0000:00"], [], "others")


def lstopo(bench):
    pod.ready(bench)
    text = execute(bench, NAME, "lstopo-no-graphics --of xml --filter io:all", user="app").text
    wanted, nodes = topologies.of_plan(pod.plan)
    found, node_sets = topologies.of_lstopo(text)
    equal({name: above for name, above in found.items() if name in wanted}, wanted, "tree")
    for root, node in nodes.items():
        equal(node_sets[root], 1 << node, f"node of {root}")
    equal(text.count('type="NUMANode"'), len(pod.plan["nodes"]), "nodes")


def device_nodes(bench):
    """They open in this container, for its own user; another in the same pod has none of them."""
    pod.ready(bench)
    equal(execute(bench, NAME, "ls /dev/dri").text.split(),
          ["card0", "card1", "renderD128", "renderD129"], "device nodes")
    execute(bench, NAME, "for node in /dev/dri/*; do exec 3<>$node || exit 1; done", user="app")
    owners = execute(bench, NAME, "for name in /sys/class/drm/card? ; do readlink -f $name; done").text
    for address, line in zip(sorted(pod.kind("gpu")), sorted(owners.split()), strict=True):
        assert f"/{address}/" in line, owners
    interface = execute(bench, NAME, "ls /sys/class/net").text.split()
    equal(len(interface), 2, f"interfaces, {interface} with loopback")
    if "plain" not in bench.run("casemate", "list").text:
        bench.run("casemate", "run", "-d", "--pod", NAME, "--name", "plain", pods.TOOLS, "--",
                  *pods.SLEEP).ok()
    execute(bench, PLAIN, "test ! -e /dev/dri")
    equal(execute(bench, PLAIN, "ls /sys/class/net").text.split(), ["lo"], "interfaces")
    for what in (f"mmio {resource(pod.at('ram'), 2)} 64:0=1", "mknod /tmp/card c 226 0 && "
                 "exec 3<>/tmp/card"):
        found = pods.attempt(bench, PLAIN, what)
        assert found.status in (1, 2), f"another container can: {found}"


def writable(bench):
    pod.ready(bench)
    found = execute(bench, NAME, "find -L /sys/bus/pci/devices/*/* -maxdepth 0 -type f -writable; "
                    "find /sys -type f -writable -printf '%p\\n'").text.split()
    wanted = {(pod.at("edu"), "resource0"), (pod.at("ram"), "resource0"),
              (pod.at("ram"), "resource2")}
    equal({tuple(path.split("/")[-2:]) for path in found}, wanted, "what can be written in /sys")
    execute(bench, NAME, f"! echo 1 >/sys/bus/pci/devices/{pod.at('edu')}/remove 2>/dev/null")
    equal(execute(bench, PLAIN, "find /sys -type f -writable").text, "",
          "what another container can write in /sys")


def peers(bench):
    """The word arrives, as the container reads it there, as its own user."""
    pod.ready(bench)
    ram, edu = pod.at("ram"), pod.at("edu")
    start = pods.bar(bench, NAME, ram, 2)
    faults = pods.faults(bench)
    execute(bench, NAME, f"mmio {resource(ram, 2)} 64:0={WORD} 64:{FAR}={MARK}", user="app")
    pods.copy_by_edu(bench, NAME, edu, start, start + FAR, user="app")
    equal(execute(bench, NAME, f"mmio {resource(ram, 2)} 64:{FAR}", user="app").text,
          f"{WORD:#x}\n", "at the destination")
    equal(pods.faults(bench), faults, "faults of the IOMMU")


def given_back(bench):
    """Every device has its driver again, and the word is in the target's memory on the host."""
    peers(bench)
    pods.end(bench, NAME).ok()
    pods.nothing_left(bench, pod.before)
    pod.boot = None
    pods.put_mmio(bench)
    memory = f"/sys/bus/pci/devices/{AT['ram']}"
    equal(bench.run("sh", "-c", f"echo 1 >{memory}/enable && /run/mmio {memory}/resource2 64:{FAR}; "
                    f"echo 0 >{memory}/enable").ok().text, f"{WORD:#x}\n", "on the host")
    for name in ("gpu0", "gpu1"):
        bench.run("sh", "-c", f"exec 3<>/dev/dri/$(ls /sys/bus/pci/devices/{AT[name]}/drm | "
                  "grep renderD)").ok()


def unmapped(bench, name, plan, flags):
    """The word stays where it was, and the server's IOMMU says so."""
    before = pods.drivers(bench)
    equal(plan["peer_to_peer"], False)
    guest = {device["host"]: device["guest"] for device in plan["devices"]}
    ram, edu = guest[AT["ram"]], guest[AT["edu"]]
    pods.start(bench, name, flags).ok()
    start = pods.bar(bench, name, ram, 2)
    faults = pods.faults(bench)
    execute(bench, name, f"mmio {resource(ram, 2)} 64:0={WORD} 64:{FAR}={MARK}")
    pods.copy_by_edu(bench, name, edu, start, start + FAR)
    equal(execute(bench, name, f"mmio {resource(ram, 2)} 64:0 64:{FAR}").text,
          f"{WORD:#x}\n{MARK:#x}\n", "source and destination")
    more = pods.faults(bench)[len(faults):]
    equal({(what, device, where & ~0xfff) for what, device, where in more},
          {("Read", AT["edu"], start), ("Write", AT["edu"], start + FAR)}, "faults of the IOMMU")
    pods.end(bench, name).ok()
    pods.nothing_left(bench, before)


def without_mapping(bench):
    """The same with the target's BAR not mapped for DMA."""
    flags = [*PAIR, *NO_PEERS]
    unmapped(bench, "apart", pods.plan(bench, flags), flags)


def confidential(bench):
    """What the guest shares with devices is what it bounces for them: no BAR is mapped."""
    plan, policy = pods.plan(bench, [*PAIR, "--tee", "sim"]), "/tmp/policy.json"
    assert any("peer-to-peer" in note for note in plan["notes"]), plan["notes"]
    made = bench.run("casemate", "policy", "generate", *PAIR, "--exec", "any", pods.TOOLS, "--",
                     *pods.SLEEP).ok()
    bench.run("sh", "-c", f"cat >{policy}", stdin=made.text.encode()).ok()
    unmapped(bench, "confidential", plan, [*PAIR, "--tee", "sim", "--policy", policy])


bench = Bench()
bench.test("two GPUs and the NIC beside the named devices are chosen", chosen)
bench.test("what is given and what is held has vfio-pci, and nothing else has", leased)
bench.test("QEMU has the plan's devices, no rights and a sandbox", jailed)
bench.test("the guest's sysfs is the plan's tree, with its nodes, without groups", sysfs)
bench.test("lspci in the container prints the plan's tree", lspci)
bench.test("lstopo in the container prints the plan's tree and nodes", lstopo)
bench.test("device nodes and the NIC are in their container, and in no other", device_nodes)
bench.test("of /sys the BARs of what has no driver can be written, and nothing else", writable)
bench.test("a device writes into another's memory, as the container tells it to", peers)
bench.test("when the pod has ended everything is as it was, and the word is there", given_back)
bench.test("unmapped, the word does not arrive, and the server's IOMMU logs why", without_mapping)
bench.test("with a TEE the plan says why no device reaches another, and so it is", confidential)
bench.end()
