#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# casemate topology says of the server what its kernel, lspci and numactl say.
import ast
import json
import re
import sys

sys.dont_write_bytecode = True
from harness import Bench, equal  # noqa: E402

import server  # noqa: E402
import topologies  # noqa: E402

# A JSON object for each function, of sysfs alone, with topology's words.
LOOK = r"""
import os
root = "/sys/bus/pci/devices/"
def read(path):
    try:
        return open(path).read().strip()
    except OSError:
        return None
def link(path):
    return os.path.basename(os.path.realpath(path)) if os.path.exists(path) else None
def bars(path):
    for index, line in enumerate(open(path).read().splitlines()[:6]):
        start, end, flags = (int(word, 16) for word in line.split())
        if end:
            yield [index, end - start + 1, start, bool(flags & 0x100), bool(flags & 0x2000)]
for name in sorted(os.listdir(root)):
    path = root + name
    above = os.path.basename(os.path.dirname(os.path.realpath(path)))
    total = read(path + "/sriov_totalvfs")
    print(repr({"address": name, "class": read(path + "/class"), "vendor": read(path + "/vendor"),
        "device": read(path + "/device"), "subsystem_vendor": read(path + "/subsystem_vendor"),
        "subsystem_device": read(path + "/subsystem_device"), "driver": link(path + "/driver"),
        "group": int(link(path + "/iommu_group")), "numa": int(read(path + "/numa_node")),
        "parent": above if above.count(":") == 2 else None, "physfn": link(path + "/physfn"),
        "vfs": int(total) if total is not None else None, "bars": list(bars(path + "/resource")),
        "reset_methods": read(path + "/reset_method")}))
"""
ACS = {"SrcValid": "SV", "TransBlk": "TB", "ReqRedir": "RR", "CmpltRedir": "CR",
       "UpstreamFwd": "UF", "EgressCtrl": "EC", "DirectTrans": "DT"}


def topology(bench):
    return json.loads(bench.run("casemate", "topology", "--format", "json").ok().text)


def seen(bench):
    """By address."""
    rows = [ast.literal_eval(line) for line in bench.python(LOOK).ok().text.splitlines()]
    return {row["address"]: row for row in rows}


def devices(bench):
    found = {device["address"]: device for device in topology(bench)["devices"]}
    kernel = seen(bench)
    equal(list(found), sorted(kernel), "addresses, in their order")
    assert len(found) > len(server.expected()), "and those on the first bus"
    for address, row in kernel.items():
        device = found[address]
        for key in ("class", "vendor", "device", "subsystem_vendor", "subsystem_device", "driver",
                    "group", "parent", "physfn"):
            equal(device[key], row[key], f"{key} of {address}")
        # the kernel has no such file for what it cannot reset
        equal(device["reset_methods"], row["reset_methods"] or "", f"resets of {address}")
        equal(device["numa"], row["numa"] if row["numa"] >= 0 else None, f"numa of {address}")
        equal(device["sriov"] and device["sriov"]["total"], row["vfs"] or False, f"VFs of {address}")
        if row["class"][:6] != "0x0604":  # the rest of a bridge's are windows
            equal([[bar["index"], bar["size"], bar["start"], bar["io"], bar["prefetchable"]]
                   for bar in device["bars"]], row["bars"], f"BARs of {address}")


def capabilities(bench):
    """ACS and ATS, what a function can and what is on, as lspci decodes the same registers."""
    found = {device["address"]: device for device in topology(bench)["devices"]}
    text = bench.run("lspci", "-D", "-vvv").ok().text
    ports = {"Root Port": "root-port", "Upstream Port": "upstream", "Downstream Port": "downstream"}
    for block in text.strip().split("\n\n"):
        device = found.pop(block.split(" ", 1)[0])
        for bits, key in (("ACSCap", "capable"), ("ACSCtl", "enabled")):
            line = re.search(rf"{bits}:\t(.*)", block)
            wanted = [ACS[word[:-1]] for word in line[1].split() if word[-1] == "+"] if line else None
            equal(sorted(device["acs"][key]) if device["acs"] else None,
                  sorted(wanted) if line else None, f"{bits} of {device['address']}")
        ats = re.search(r"ATSCtl:\tEnable([+-])", block)
        equal(device["ats"] and device["ats"]["enabled"], ats[1] == "+" if ats else False,
              f"ATS of {device['address']}")
        kind = re.search(r"Express \(v\d\) ([A-Z][a-z]+ Port)", block)
        if kind:
            assert ports[kind[1]].split("-")[0] in device["port"], (device["port"], kind[1])
    equal(found, {}, "what lspci does not have")


def tree(bench):
    """As lspci draws it, and which node each root complex is of."""
    found = topology(bench)
    roots = [root["bus"] for root in found["machine"]["roots"]]
    parents = {device["address"]: device["parent"] or roots[device["root"]]
               for device in found["devices"]}
    equal(topologies.of_lspci(bench.run("lspci", "-tv").ok().text), parents, "tree")
    nodes = {root["bus"]: root["numa"] for root in found["machine"]["roots"]}
    for root in server.TREE:
        equal(nodes[f"0000:{root.bus:02x}"], root.node, f"node of {root.name}")


def groups(bench):
    listed = bench.run("sh", "-c", "cd /sys/kernel/iommu_groups && for group in *; do "
                       "echo $group $(cat $group/type) $(ls $group/devices); done").ok().text
    wanted = {int(words[0]): (words[1], words[2:])
              for words in (line.split() for line in listed.splitlines())}
    found = {group["id"]: (group["type"], group["members"]) for group in topology(bench)["groups"]
             if group["source"] == "kernel"}
    equal(found, wanted, "groups")


def machine(bench):
    found = topology(bench)["machine"]
    equal(found["kernel"], bench.run("uname", "-r").ok().text.strip(), "kernel")
    equal(found["iommu"], True, "IOMMU")
    text = bench.run("numactl", "-H").ok().text
    cpus = {int(node): [int(cpu) for cpu in rest.split()]
            for node, rest in re.findall(r"^node (\d+) cpus:(.*)$", text, re.M)}
    rows = text.split("node distances:")[1].split("\n")[2:]
    distances = {int(row.split(":")[0]): [int(word) for word in row.split(":")[1].split()]
                 for row in rows if ":" in row}
    equal({node["id"]: node["cpus"] for node in found["nodes"]}, cpus, "CPUs of nodes")
    equal({node["id"]: node["distances"] for node in found["nodes"]}, distances, "distances")
    bits = re.search(r"address sizes\s*: (\d+) bits physical, (\d+)",
                     bench.run("cat", "/proc/cpuinfo").ok().text)
    equal((found["physical_bits"], found["virtual_bits"]), (int(bits[1]), int(bits[2])), "bits")


def pairs(bench):
    """How far apart each two are, worked out of the table the server was made of."""
    kinds = {seen.name: seen for seen in server.expected()}
    found = {frozenset((pair["a"], pair["b"])): pair["class"] for pair in topology(bench)["pairs"]}
    inside = {}
    for root in server.TREE:
        for port in root.ports:
            for device in port.below:
                if device.pci_class >> 16 in (0x02, 0x03):
                    inside[device.name] = (root.name, port.name)
    names, wanted = sorted(inside), {}
    for number, a in enumerate(names):
        for b in names[number + 1:]:
            word = "SYS" if inside[a][0] != inside[b][0] else "PHB"
            if inside[a] == inside[b]:
                word = "PIX"
            wanted[frozenset((kinds[a].address, kinds[b].address))] = word
    equal(found, wanted, "pairs")


def saved(bench):
    """What was saved says the same; and a second look, too."""
    bench.run("casemate", "topology", "--save", "/tmp/saved.tar.zst").ok()
    again = json.loads(bench.run("casemate", "topology", "--from", "/tmp/saved.tar.zst", "--format",
                                 "json").ok().text)
    found = topology(bench)
    for one in (again, found):
        del one["machine"]["source"]
    equal(again, found, "saved topology")


bench = Bench()
bench.test("every function has the IDs, class, driver, group, node and parent of sysfs", devices)
bench.test("ACS, ATS and kinds of ports are what lspci decodes", capabilities)
bench.test("the tree is lspci's, and each root complex is of its node", tree)
bench.test("IOMMU groups are the kernel's", groups)
bench.test("kernel, nodes, CPUs, distances and address bits are the server's", machine)
bench.test("how far apart each two are follows from how the server was made", pairs)
bench.test("a saved topology is the same", saved)
bench.end()
