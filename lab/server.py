# SPDX-License-Identifier: Apache-2.0
"""The emulated server as data: its tree of devices, and QEMU's arguments for it.

Two sockets with a processor and half of the memory each, a root complex behind each, and below it
a root port with a switch, and one without. The table is the only place where a device is named;
tests compare what the server's kernel sees with expected(), which is computed from it.

What keeps it steady was tried: exactly two processors, one a node, in threads of their own, of which
the first runs no guest (README). With four, every third boot ends in an assertion of QEMU's.
"""
from dataclasses import dataclass, field

MEMORY_MIB = 4096
STALL_S = 10  # a processor that does nothing for so long has lost its timer: QEMU's failure
PROCESSORS = 2
PORTS = 8  # channels into it, each for one command at a time
ROOT_PORT, UPSTREAM, DOWNSTREAM = "pcie-root-port", "x3130-upstream", "xio3130-downstream"
BEHIND_IOMMU = {"ats": "on", "iommu_platform": "on", "disable-legacy": "on"}
DISK_MIB = 64


@dataclass
class Device:
    """One function; `driver` is the kernel's own for it, None if there is none."""
    name: str
    model: str
    pci_id: str
    pci_class: int
    driver: str | None
    options: dict = field(default_factory=dict)
    vfs: int = 0


def accelerator(name):
    return Device(name, "virtio-gpu-pci", "1af4:1050", 0x038000, "virtio-pci", BEHIND_IOMMU)


def nic(name, mac):
    return Device(name, "virtio-net-pci", "1af4:1041", 0x020000, "virtio-pci",
                  {**BEHIND_IOMMU, "netdev": name, "mac": mac, "romfile": ""})


@dataclass
class Port:
    """A root port: with one device, or with a switch that has one below each of its ports."""
    name: str
    below: list
    switch: bool = False


@dataclass
class Complex:
    name: str
    bus: int
    node: int
    ports: list


TREE = [
    Complex("pxb0", 0x20, 0, [
        Port("rp0", [
            accelerator("gpu0"),
            accelerator("gpu1"),
            nic("nic0", "52:54:00:ca:5e:00"),
            # a DMA engine that any program can drive, and memory for it to write to
            Device("edu", "edu", "1234:11e8", 0x00ff00, None, {"dma_mask": "0xffffffffffffffff"}),
            Device("ram", "ivshmem-plain", "1af4:1110", 0x050000, None, {"memdev": "ram"}),
        ], switch=True),
        Port("rp1", [
            Device("nvme0", "nvme", "1b36:0010", 0x010802, "nvme",
                   {"serial": "lab-nvme0", "subsys": "subsys0", "sriov_max_vfs": 4,
                    "sriov_vq_flexible": 8, "sriov_vi_flexible": 4, "max_ioqpairs": 10,
                    "msix_qsize": 9}, vfs=4),
        ]),
    ]),
    Complex("pxb1", 0x80, 1, [
        Port("rp2", [
            accelerator("gpu2"),
            accelerator("gpu3"),
            nic("nic1", "52:54:00:ca:5e:01"),
            # a disk that the server itself may be using
            Device("nvme1", "nvme", "1b36:0010", 0x010802, "nvme", {"serial": "lab-nvme1"}),
        ], switch=True),
        Port("rp3", [
            Device("igb", "igb", "8086:10c9", 0x020000, "igb",
                   {"netdev": "igb", "mac": "52:54:00:ca:5e:10", "romfile": ""}, vfs=7),
        ]),
    ]),
]
DISKS = ("nvme0", "nvme1")


@dataclass
class Seen:
    """A function as the server's kernel should see it."""
    name: str
    address: str
    parent: str | None
    node: int
    pci_id: str
    pci_class: int
    driver: str | None
    vfs: int
    group: str  # the address of the first function of its IOMMU group


def _address(bus, slot):
    return f"0000:{bus:02x}:{slot:02x}.0"


def expected():
    """Every function below the two root complexes, in the order of their addresses.

    The firmware numbers buses depth first. Only root ports have ACS: what is below a switch port
    is in its group, what is below a root port is in one of its own.
    """
    found = []
    for root in TREE:
        bus = root.bus

        def port(name, parent, bus, slot, pci_id):
            address = _address(bus, slot)
            found.append(Seen(name, address, parent, root.node, pci_id, 0x060400, "pcieport", 0,
                              address))
            return address

        for slot, top in enumerate(root.ports):
            parent, group = port(top.name, None, root.bus, slot, "1b36:000c"), None
            bus += 1
            if top.switch:
                up = port(f"{top.name}up", parent, bus, 0, "104c:8232")
                bus += 1
                switch_bus = bus
            for below, device in enumerate(top.below):
                if top.switch:
                    group = parent = port(f"{top.name}down{below}", up, switch_bus, below,
                                          "104c:8233")
                    bus += 1
                address = _address(bus, 0)
                found.append(Seen(device.name, address, parent, root.node, device.pci_id,
                                  device.pci_class, device.driver, device.vfs, group or address))
    return sorted(found, key=lambda seen: seen.address)


def _option(model, *options, **more):
    pairs = [f"{name}={value}" for name, value in [*options, *more.items()]]
    return ["-device", ",".join([model, *pairs])]


def _tree():
    args, chassis = [], 0
    for root in TREE:
        args += _option("pxb-pcie", ("id", root.name), ("bus", "pcie.0"), bus_nr=root.bus,
                        numa_node=root.node)
        for slot, top in enumerate(root.ports):
            chassis += 1
            args += _option(ROOT_PORT, ("id", top.name), ("bus", root.name), addr=f"{slot:#x}",
                            chassis=chassis, slot=chassis)
            if top.switch:
                args += _option(UPSTREAM, ("id", f"{top.name}up"), ("bus", top.name))
            for below, device in enumerate(top.below):
                bus = top.name
                if top.switch:
                    chassis += 1
                    bus = f"{top.name}down{below}"
                    args += _option(DOWNSTREAM, ("id", bus), ("bus", f"{top.name}up"),
                                    addr=f"{below:#x}", chassis=chassis, slot=chassis)
                if device.name in DISKS:
                    args += _disk(device)
                args += _option(device.model, ("id", device.name), ("bus", bus),
                                *device.options.items())
                if device.name in DISKS:
                    args += _option("nvme-ns", ("bus", device.name), ("drive", device.name),
                                    nsid=1)
    return args


def _disk(device):
    args = ["-blockdev", f"driver=raw,node-name={device.name},file.driver=file,"
            f"file.filename={device.name}.img"]
    if "subsys" in device.options:
        args += _option("nvme-subsys", ("id", device.options["subsys"]))
    return args


def _read_only(name, path):
    return ["-blockdev", f"driver=raw,node-name={name},read-only=on,file.driver=file,"
            f"file.filename={path},file.locking=off",
            *_option("virtio-blk-pci", ("id", name), ("drive", name), ("bus", "pcie.0"),
                     serial=name)]


def arguments(image, payload, initrd, extra=()):
    """QEMU's. Paths that are not given are relative: to the folder where it is started."""
    half = MEMORY_MIB // 2
    args = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot",
            "-display", "none", "-name", "casemate-lab",
            "-M", "q35,accel=tcg,kernel-irqchip=split,sata=off,smbus=off,i8042=off,vmport=off",
            "-cpu", "max,+svm,+npt", "-m", str(MEMORY_MIB), "-smp",
            f"{PROCESSORS},sockets=2"]
    for node in range(PROCESSORS):
        args += ["-object", f"memory-backend-ram,id=node{node},size={half}M",
                 "-numa", f"node,nodeid={node},cpus={node},memdev=node{node}"]
    # a tick comes again and again: a timer set once, whose interrupt the emulation loses, does not
    args += ["-kernel", f"{image}/vmlinux", "-initrd", initrd, "-append",
             "console=ttyS0 quiet loglevel=5 panic=-1 intel_iommu=on random.trust_cpu=on "
             "drm_kms_helper.fbdev_emulation=0 nohz=off highres=off "
             f"rcupdate.rcu_cpu_stall_timeout={STALL_S} sysctl.kernel.panic_on_rcu_stall=1",
             "-chardev", "file,id=console,path=console.log", "-serial", "chardev:console",
             "-qmp", "unix:qmp,server=on,wait=off"]
    args += _option("intel-iommu", **{"caching-mode": "on", "device-iotlb": "on",
                                      "intremap": "on"})
    args += _read_only("root", f"{image}/root.img") + _read_only("payload", payload)
    args += _option("virtio-serial-pci", ("id", "channels"), ("bus", "pcie.0"),
                    max_ports=PORTS + 1)
    for number in range(PORTS):
        args += ["-chardev", f"socket,id=channel{number},path=channel{number},server=on,wait=off"]
        args += _option("virtserialport", ("bus", "channels.0"), ("chardev", f"channel{number}"),
                        nr=number + 1, name=f"lab.{number}")
    # the two NICs are on one wire; igb is on another, with a DHCP server and nothing behind it
    for name in ("nic0", "nic1"):
        args += ["-netdev", f"hubport,id={name},hubid=0"]
    args += ["-netdev", "user,id=igb,restrict=on"]
    args += ["-object", "memory-backend-ram,id=ram,size=4M,share=on"]
    return args + _tree() + list(extra)
