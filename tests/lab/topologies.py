# SPDX-License-Identifier: Apache-2.0
"""PCI trees as lspci and lstopo print them, read again."""
import re
import xml.etree.ElementTree as xml

_TOKEN = re.compile(r"\[(?P<root>[0-9a-f]{4}:[0-9a-f]{2})\]|(?P<function>[0-9a-f]{2}\.[0-7])"
                    r"|\[(?P<bus>[0-9a-f]{2})(?:-[0-9a-f]{2})?\]")


def of_lspci(text):
    """Parent by address, from `lspci -t`: the bridge's address, or the root bus, "0000:05".

    What hangs below one bus stands in one column, and the bus is named on the first such line.
    """
    parents, at_column = {}, {}
    for line in text.splitlines():
        if not line.strip():
            continue
        # a name may have anything in it; it is behind the last function and two blanks
        first = re.search(r"[0-9a-f]", line).start()
        tree = line[:first] + line[first:].partition("  ")[0]
        domain, bus, above, begun = None, None, None, False
        for token in _TOKEN.finditer(tree):
            column = token.start()
            if token["root"]:
                domain, bus = token["root"].split(":")
                above, begun = token["root"], True
            elif token["bus"]:
                bus, above, begun = token["bus"], address, True
            else:
                if begun:
                    at_column[column] = (domain, bus, above)
                domain, bus, above = at_column[column]
                begun = False
                address = f"{domain}:{bus}:{token['function']}"
                parents[address] = above
    return parents


def of_lstopo(text):
    """(parent by address, node set by root bus), from `lstopo --of xml`."""
    parents, nodes = {}, {}

    def walk(element, above, nodeset):
        nodeset = element.get("nodeset", nodeset)
        if element.get("pci_busid"):
            parents[element.get("pci_busid")] = above
            above = element.get("pci_busid")
        elif element.get("type") == "Bridge":
            domain, bus = re.match(r"([0-9a-f]{4}):\[([0-9a-f]{2})", element.get("bridge_pci")).groups()
            above = f"{domain}:{bus}"
            nodes[above] = int(nodeset, 16)
        for child in element.findall("object"):
            walk(child, above, nodeset)

    for element in xml.fromstring(text).findall("object"):
        walk(element, None, "0x0")
    return parents, nodes


def of_plan(plan):
    """(parent by address, node by root bus) of what a plan puts into the guest."""
    below = {port["bus"]: port["address"] for port in plan["ports"]}
    everything = [port["address"] for port in plan["ports"] if port["kind"] != "root-complex"]
    everything += [device["guest"] for device in plan["devices"]]
    parents = {name: below.get(int(name[5:7], 16), name[:7]) for name in everything}
    nodes = {port["address"]: port["node"] for port in plan["ports"]
             if port["kind"] == "root-complex"}
    return parents, nodes
