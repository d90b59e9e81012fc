"""One round in the emulated server: casemate with devices, then QEMU by hand with the same.

rounds.py BLOCKS HASH_START ROOT ADDRESS...; the first three are of the bare base image, /tmp/bare.img.
"""
import os
import re
import subprocess
import sys
import time

IMAGE = "oci:/srv/image"
MEMORY = "128m"
GUEST = "/usr/lib/casemate/guest-lab"
SYSFS = "/sys/bus/pci"


def flags(devices):
    return [word for device in devices for word in ("--device", device)]


def out(*argv):
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE).stdout.decode()


def casemate(devices):
    """Milliseconds to the first byte, and the phases that casemate tells of a detached one."""
    began = time.monotonic()
    run = subprocess.Popen(["casemate", "run", "--memory", MEMORY, *flags(devices), IMAGE, "--",
                            "/bin/echo", "x"], stdout=subprocess.PIPE)
    if run.stdout.read(1) != b"x":
        sys.exit("casemate run has no output")
    took = (time.monotonic() - began) * 1000
    if run.wait() != 0:
        sys.exit("casemate run failed")
    out("casemate", "run", "-d", "--name", "bench", "--memory", MEMORY, *flags(devices), IMAGE,
        "--", "/bin/sleep", "600")
    told = re.search(r'"phases_us": *\{(.*?)\}', out("casemate", "state", "bench"), re.S)[1]
    out("casemate", "delete", "--force", "bench")
    return took, {name: int(us) / 1000 for name, us in re.findall(r'"(\w+)": *(\d+)', told)}


def write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def give(devices, driver):
    """Binds each to the driver; with "", to the one that the kernel would take."""
    for device in devices:
        folder = f"{SYSFS}/devices/{device}"
        write(f"{folder}/driver_override", driver or "\n")
        if os.path.exists(f"{folder}/driver"):
            write(f"{folder}/driver/unbind", device)
        write(f"{SYSFS}/drivers_probe", device)


def by_hand(devices, blocks, hash_start, root):
    """From the start of a QEMU with casemate's arguments to its end."""
    argv = out("casemate", "plan", "--accel", "kvm", "--memory", MEMORY, *flags(devices),
               "--format", "qemu").splitlines()
    made, skip = [], False
    for option, value in zip(argv, [*argv[1:], ""]):
        if skip:
            skip = False
            continue
        skip = option.startswith("-") and not value.startswith("-") and value != ""
        if option in ("-add-fd", "-mon"):
            continue
        if option == "-accel":
            value = "kvm"
        elif option == "-append":
            value = re.sub(r"0 \d+ verity (.*) 4096 4096 \d+ \d+ sha256 \w+",
                           f"0 {int(blocks) * 8} verity \\1 4096 4096 {blocks} {hash_start} "
                           f"sha256 {root}", value)
        elif option == "-bios":
            value = ("/usr/share/seabios/bios-256k.bin" if devices
                     else "/usr/share/qemu/qboot.rom")
        elif option == "-kernel":
            value = f"{GUEST}/vmlinux"
        elif option == "-blockdev":
            value = re.sub(r"/dev/fdset/\d+", "/tmp/bare.img", value)
        elif option == "-chardev":
            value = re.sub(r"^socket,id=(\w+),fd=\d+$", r"null,id=\1", value)
        made += [option, value] if skip else [option]
    give(devices, "vfio-pci")
    began = time.monotonic()
    done = subprocess.run(made, check=False, timeout=200)
    took = (time.monotonic() - began) * 1000
    give(devices, "")
    if done.returncode != 0:
        sys.exit(f"QEMU by hand ended with {done.returncode}")
    return took


def debian():
    """The same, of Debian's generic kernel without devices, whose init ends it at once."""
    began = time.monotonic()
    done = subprocess.run(["qemu-system-x86_64", "-nodefaults", "-no-reboot", "-display", "none",
                           "-machine", "q35", "-accel", "kvm", "-cpu", "host", "-m", "512M",
                           "-serial", "null", "-kernel", "/tmp/debian.vmlinux",
                           "-initrd", "/tmp/debian.cpio",
                           "-append", "console=ttyS0 quiet panic=-1 reboot=t"],
                          check=False, timeout=200)
    if done.returncode != 0:
        sys.exit(f"QEMU with Debian's kernel ended with {done.returncode}")
    return (time.monotonic() - began) * 1000


def main():
    blocks, hash_start, root, *devices = sys.argv[1:]
    took, phases = casemate(devices)
    print(repr({"casemate": took, "raw": by_hand(devices, blocks, hash_start, root),
                "phases": phases, "debian": debian()}))


main()
