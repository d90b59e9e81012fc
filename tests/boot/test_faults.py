#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# What goes wrong under way: bytes changed on disk, guests that do not come up, processes killed.
# timeout: 300
import contextlib
import glob
import hashlib
import os
import random
import re
import signal
import struct
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import images
from harness import SOAK, Bench, contains, equal, eventually
from images import Layer, Oci, folder, text

bench = Bench()
me = bench.root or bench.user
MIB = 1 << 20
SEED = int(os.environ.get("SEED", "1"))
NOISE = random.Random(SEED).randbytes(4 * MIB)
ref = Oci().add([images.base(), Layer([folder("srv"), text("srv/noise", NOISE)])]).write(
    os.path.join(bench.work, "image"))
SLEEP = ("--", "/bin/sleep", "1000")


def flip(path, offset):
    """In place, so that the guest that has it open sees it."""
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 0x10]))


def find_in_cache(data):
    """Which layer of the cache has these bytes, and where."""
    for path in glob.glob(os.path.join(me.cache_dir, "layers", "**", "*.img"), recursive=True):
        with open(path, "rb") as file:
            offset = file.read().find(data)
        if offset >= 0:
            return path, offset
    raise AssertionError("not in the cache")


def pids(name):
    """Of shim and QEMU of a pod."""
    pod = me.pod(name)
    return pod["shim_pid"], pod["qemu_pid"]


def start_pod(name, *flags):
    me("run", "-d", "--name", name, *flags, ref, *SLEEP).ok()


def console_quoted(result, *phases):
    """The error names a phase and has something of what the guest's console said."""
    equal((result.status, result.out), (125, b""), str(result))
    assert result.errors.startswith("casemate:"), str(result)
    assert any(phase in result.errors.splitlines()[0] for phase in phases), str(result)


HALTS, FAULTS = b"\xfa\xf4\xeb\xfd", b"\x0f\x0b"  # cli and hlt, for ever; ud2, and nobody handles it


def kernel_of(code):
    """What QEMU takes for a kernel and enters: the PVH note says where."""
    entry, align = 1 << 20, 4
    note = struct.pack("<III4sQ", 4, 8, 18, b"Xen", entry)	# XEN_ELFNOTE_PHYS32_ENTRY
    data_at = 64 + 2 * 56
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 2, 62, 1, entry, 64, 0, 0, 64, 56, 2,
                         0, 0, 0)
    parts, at = [], data_at
    for kind, address, data in (1, entry, code), (4, 0, note):	# PT_LOAD, PT_NOTE
        parts.append(struct.pack("<IIQQQQQQ", kind, 5, at, address, address, len(data), len(data),
                                 align))
        at += len(data)
    return header + b"".join(parts) + code + note


# -- bytes on disk

with bench.check("a byte of a cached layer that changes is an error to read, never other data", me):
    start_pod("flip")
    path, offset = find_in_cache(NOISE[MIB:MIB + 64])
    flip(path, offset + MIB)
    result = me("exec", "flip", "cat", "/srv/noise")
    assert result.status != 0, "read to the end"
    contains(result.errors, "Input/output error")
    equal(result.out, NOISE[:len(result.out)], "what came before")
    equal(hashlib.sha256(me("exec", "flip", "head", "-c", str(MIB), "/srv/noise").ok().out).digest(),
          hashlib.sha256(NOISE[:MIB]).digest(), "the part that is good")
    flip(path, offset + MIB)
    me("delete", "--force", "flip").ok()

with bench.check("a cached layer whose first blocks changed does not start, and says so", me):
    flip(path, 1024)
    result = me("run", ref, *SLEEP)
    flip(path, 1024)
    equal((result.status, result.out), (125, b""), str(result))
    assert result.errors.startswith("casemate:"), str(result)

with bench.check("a cached layer that was cut short is refused or made again, not run", me):
    size = os.path.getsize(path)
    os.truncate(path, size - 4096)
    result = me("run", ref, "--", "/bin/sha256sum", "/srv/noise")
    if result.status == 0:
        contains(result.text, hashlib.sha256(NOISE).hexdigest())
    else:
        equal((result.status, result.out), (125, b""), str(result))
    os.unlink(path)
    contains(me("run", ref, "--", "/bin/sha256sum", "/srv/noise").ok().text,
             hashlib.sha256(NOISE).hexdigest())

programs = bench.copy_programs("own-programs")
base = os.path.join(programs, "guest", "base.img")
own_guest = ("--config", f"guest_dir={programs}/guest")

with bench.check("a base image with a changed block does not come up; the console's words say why",
                 me):
    flip(base, 1024)
    result = me("run", *own_guest, ref, *SLEEP)
    flip(base, 1024)
    console_quoted(result, "kernel", "guest", "base")
    assert re.search("verity|panic|mount|erofs", result.errors, re.I), str(result)
    assert result.seconds < 60, "it took the whole deadline"

with bench.check("a program of the base image with a changed block does not run", me):
    with open(base, "rb") as file:
        content = file.read()
    offset = content.find(b"\x7fELF") + 4096 * 3 + 100
    flip(base, offset)
    result = me("run", *own_guest, ref, *SLEEP)
    flip(base, offset)
    equal((result.status, result.out), (125, b""), str(result))
    assert result.errors.startswith("casemate:"), str(result)

with bench.check("a kernel that is none, and a guest without its files: refused", me):
    kernel = os.path.join(programs, "guest", "vmlinux")
    os.rename(kernel, kernel + ".good")
    me("run", *own_guest, ref, *SLEEP).refused("vmlinux")
    bench.file("own-programs/guest/vmlinux", b"\x7fELF" + b"\0" * 8192)
    result = me("run", *own_guest, "--config", "start_timeout_tcg=10s", ref, *SLEEP)
    equal((result.status, result.out), (125, b""), str(result))
    assert result.errors.startswith("casemate:"), str(result)
    os.rename(kernel + ".good", kernel)

with bench.check("a guest that takes longer than its deadline is ended, with the phase", me):
    os.rename(kernel, kernel + ".good")
    bench.file("own-programs/guest/vmlinux", kernel_of(HALTS))
    started = time.monotonic()
    result = me("run", *own_guest, "--config", "start_timeout_tcg=3s", ref, *SLEEP)
    os.rename(kernel + ".good", kernel)
    equal((result.status, result.out), (125, b""), str(result))
    equal(result.errors.splitlines()[0],
          "casemate: run: the guest did not come up in 3 s (phase: kernel) (guest-boot)")
    assert 3 <= time.monotonic() - started < 15, "it took much longer, or less"

with bench.check("a guest that resets itself before its agent is there: that is what is said", me):
    os.rename(kernel, kernel + ".good")
    bench.file("own-programs/guest/vmlinux", kernel_of(FAULTS))
    result = me("run", *own_guest, ref, *SLEEP)
    os.rename(kernel + ".good", kernel)
    equal((result.status, result.out), (125, b""), str(result))
    contains(result.errors, "the guest reset itself while it started")

with bench.check("a full disk is an error before anything starts", bench.root or None):
    if bench.root:
        small = bench.folder("small")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "none", small], check=True)
        me("run", "--config", f"cache_dir={small}", ref, "--", "/bin/true").refused("No space left")
        equal([name for _, _, names in os.walk(small) for name in names
               if name.endswith(".img")], [], "images in the cache")
        subprocess.run(["umount", small], check=True)

# -- processes killed

with bench.check("the shim killed: QEMU ends with it, recover leaves nothing", me):
    start_pod("victim")
    shim, qemu = pids("victim")
    os.kill(shim, signal.SIGKILL)
    eventually(lambda: not bench.processes(), "QEMU to end", 10)
    assert me.left(), "nothing was there to recover"
    me("recover").ok()
    equal(me.left(), [], "left after recover")
    me("recover").ok()

with bench.check("the shim killed: the next run cleans up, and can have the name", me):
    start_pod("victim")
    os.kill(pids("victim")[0], signal.SIGKILL)
    eventually(lambda: not bench.processes(), "QEMU to end", 10)
    found = me("list")
    assert found.status == 0, str(found)
    equal(me("run", "--name", "victim", ref, "--", "/bin/echo", "x").ok().out, b"x\n", "output")

with bench.check("a client on its way when the shim is killed gets an error, not a hang", me):
    start_pod("victim")
    client = me.start("exec", "victim", "sleep", "1000")
    eventually(lambda: "sleep 1000" in me("ps", "victim").text.replace("sleep 1000", "", 1),
               "exec to run")
    os.kill(pids("victim")[0], signal.SIGKILL)
    equal(client.wait(20), 125, "status")
    contains(client.stderr.read().decode(), "casemate: exec:")
    # the shim's connections may be gone before its lock: QEMU ends after both
    eventually(lambda: not bench.processes(), "QEMU to end", 10)
    me("recover").ok()

with bench.check("QEMU killed: a foreground run fails with 125 and a reason", me):
    client = me.start("run", "--name", "front", ref, "--", "/bin/sh", "-c", "echo up; sleep 1000")
    equal(client.stdout.readline(), b"up\n", "output")
    os.kill(pids("front")[1], signal.SIGKILL)
    equal(client.wait(20), 125, "status")
    contains(client.stderr.read().decode(), "casemate: run:")

with bench.check("QEMU killed: a detached pod is stopped and can be deleted", me):
    start_pod("victim")
    os.kill(pids("victim")[1], signal.SIGKILL)
    eventually(lambda: me.pod("victim")["containers"][0]["status"] == "stopped", "it to stop")
    result = me("exec", "victim", "true")
    result.refused("victim")
    me("delete", "victim").ok()

with bench.check("QEMU stopped, as a guest that hangs: delete --force still ends it", me):
    start_pod("victim")
    os.kill(pids("victim")[1], signal.SIGSTOP)
    me("delete", "--force", "victim", timeout=60).ok()

with bench.check("the client of a foreground pod killed: the pod ends", me):
    client = me.start("run", ref, "--", "/bin/sh", "-c", "echo up; sleep 1000")
    equal(client.stdout.readline(), b"up\n", "output")
    client.kill()
    client.wait()

with bench.check("the client killed while the pod starts: nothing is left, at whatever moment", me):
    chance = random.Random(SEED)
    for _ in range(20 if SOAK else 4):
        client = me.start("run", ref, *SLEEP)
        time.sleep(chance.uniform(0, 3))
        client.kill()
        client.wait()
        me.nothing_left()

with bench.check(f"all of it killed at a random moment, then recover: nothing left (seed {SEED})", me):
    chance = random.Random(SEED)
    for _ in range(40 if SOAK else 5):
        client = me.start("run", "-d", "--name", "victim", ref, *SLEEP)
        time.sleep(chance.uniform(0, 3))
        kinds = chance.sample(["casemate-shim", "qemu", "casemate", "prepare"],
                              chance.randint(1, 4))
        for pid, line in bench.processes():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended
                with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
                    comm = file.read().strip()
                if any(kind in comm or kind in line for kind in kinds):
                    os.kill(pid, signal.SIGKILL)
        client.wait(150)
        if client.returncode == 0 and me.pod("victim"):
            me("delete", "--force", "victim").ok()
        eventually(lambda: me("recover").status == 0 and not me.left(), f"nothing left of {kinds}")

with bench.check("recover beside a live pod changes nothing, two at once neither"):
    start_pod("alive")
    before = me.left()
    both = [me.start("recover") for _ in range(2)]
    for process in both:
        equal((process.wait(20), process.stderr.read()), (0, b""), "recover")
    equal(me.left(), before, "the pod's files and processes")
    equal(me("exec", "alive", "echo", "x").ok().out, b"x\n", "exec")
    found = me("recover", "--json").ok().json()
    assert isinstance(found, (dict, list)), str(found)

with bench.check("a kill under a flood of output ends it in good time"):
    flood = me.start("exec", "alive", "sh", "-c", "cat /dev/zero")
    equal(len(flood.stdout.read(MIB)), MIB, "flood")
    started = time.monotonic()
    me("kill", "--all", "alive", "KILL").ok()
    while flood.stdout.read1(MIB):
        pass
    flood.wait(20)
    assert time.monotonic() - started < 10, f"{time.monotonic() - started:.1f} s"
    eventually(lambda: me.container("alive")["status"] == "stopped", "it to stop", 10)

with bench.check("the flooded pod leaves nothing", me):
    me("delete", "--force", "alive").ok()

with bench.check("a client that does not read holds up nothing else", me):
    start_pod("slow")
    flood = me.start("exec", "slow", "sh", "-c", "cat /dev/zero")
    time.sleep(1)
    for _ in range(3):
        equal(me("exec", "slow", "echo", "x", timeout=20).ok().out, b"x\n", "beside it")
    with open(f"/proc/{pids('slow')[0]}/status", encoding="utf-8") as file:
        size = int(re.search(r"VmRSS:\s+(\d+)", file.read())[1])
    assert size < 64 * 1024, f"the shim has {size} KiB"
    flood.stdout.close()
    flood.kill()
    flood.wait()
    me("delete", "--force", "slow").ok()

with bench.check("a container that eats all of its memory is killed alone, the pod goes on", me):
    me("run", "-d", "--name", "hog", "--memory", "48m", ref, *SLEEP).ok()
    # shared memory, which cannot be reclaimed: at the limit there is nothing left but to kill
    equal(me("exec", "hog", "dd", "if=/dev/zero", "of=/tmp/x", "bs=1M", "count=200").status, 137,
          "status")
    eventually(lambda: me.pod("hog")["containers"][0]["status"] in ("running", "stopped"), "a state")
    me("delete", "--force", "hog").ok()

with bench.check("without a limit of its own a container cannot take the guest's own memory", me):
    start_pod("greedy")
    result = me("exec", "greedy", "sh", "-c", "head -c 2g /dev/zero | tail > /dev/null; exit 77")
    assert result.status in (77, 137), str(result)
    result = me("exec", "greedy", "true")
    if result.status != 0:
        equal(me.pod("greedy")["containers"][0]["status"], "stopped", "main")
    assert any("qemu" in line for _, line in bench.processes()), "the guest died of it"
    me("delete", "--force", "greedy").ok()

with bench.check("a fork bomb ends with its container", me):
    me("run", "-d", "--name", "bomb", "--memory", "64m", ref, *SLEEP).ok()
    me("exec", "-d", "bomb", "sh", "-c", "f() { f | f & }; f").ok()
    time.sleep(2)
    me("delete", "--force", "bomb", timeout=60).ok()


# -- QEMU's containment

def status_fields(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def contained(user, name):
    """What holds for QEMU of either; gives its pid."""
    user("run", "-d", "--name", name, ref, *SLEEP).ok()
    pod = user.pod(name)
    fields = status_fields(pod["qemu_pid"])
    for field in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
        equal(fields[field], "0" * 16, field)
    equal((fields["Seccomp"], fields["NoNewPrivs"]), ("2", "1"), "seccomp and no_new_privs")
    with open(f"/proc/{pod['qemu_pid']}/environ", "rb") as file:
        equal(file.read(), b"", "environment")
    with open(f"/proc/{pod['qemu_pid']}/limits", encoding="utf-8") as file:
        assert re.search(r"Max core file size +0 +0", file.read()), "core dumps"
    with open(f"/proc/{pod['qemu_pid']}/cmdline", "rb") as file:
        words = file.read().split(b"\0")
    sandbox = words[words.index(b"-sandbox") + 1]
    contains(sandbox, b"obsolete=deny", b"elevateprivileges=deny", b"spawn=deny",
             b"resourcecontrol=deny")
    assert b"-nodefaults" in words and b"-no-user-config" in words, words
    return pod


if bench.needs_root("QEMU of root's pod is contained", "QEMU of a user's pod is contained"):
    with bench.check("QEMU of root's pod is contained", me):
        pod = contained(me, "held")
        pid = pod["qemu_pid"]
        fields = status_fields(pid)
        equal(set(fields["Uid"].split()), {str(pod["qemu_uid"])}, "user")
        assert pod["qemu_uid"] >= 90000 and "0" not in fields["Gid"].split(), fields["Gid"]
        equal(fields["Groups"].strip(), "", "groups")
        for space in ("mnt", "net", "pid", "ipc", "uts"):
            assert os.readlink(f"/proc/{pid}/ns/{space}") != os.readlink(f"/proc/self/ns/{space}"), \
                f"shares the {space} namespace"
        with open(f"/proc/{pid}/net/dev", encoding="utf-8") as file:
            equal([line.split(":")[0].strip() for line in file.readlines()[2:]], ["lo"], "networks")
        with open(f"/proc/{pid}/net/if_inet6", encoding="utf-8") as file:
            equal(file.read(), "", "addresses")
        top = set(os.listdir(f"/proc/{pid}/root"))
        assert not top & {"home", "root", "tmp", "var", "run", "work", "boot", "srv", "mnt"}, top
        equal(os.listdir(f"/proc/{pid}/root/etc"), ["ld.so.cache"], "its /etc")
        equal(set(os.listdir(f"/proc/{pid}/root/dev")) - {"null", "urandom", "kvm"}, set(), "its /dev")
        for number in os.listdir(f"/proc/{pid}/fd"):
            target = os.readlink(f"/proc/{pid}/fd/{number}")
            assert re.match(r"socket:|anon_inode:|/memfd:(kernel|firmware)|/null$|/dev/null$|/dev/kvm$"
                            rf"|{re.escape(me.cache_dir)}/.*\.img$|.*/guest/base\.img$"
                            rf"|{re.escape(me.run_dir)}/pods/held/[a-z]+\.lock$", target), target
            with open(f"/proc/{pid}/fdinfo/{number}", encoding="utf-8") as file:
                flags = int(re.search(r"flags:\s+(\d+)", file.read())[1], 8)
            if target.endswith(".img"):
                equal(flags & 3, 0, f"{target} is open for writing")
        second = contained(me, "held2")
        assert second["qemu_uid"] != pod["qemu_uid"], "two pods share a user"
        result = subprocess.run(["setpriv", f"--reuid={second['qemu_uid']}", "--clear-groups", "ls",
                                 f"/proc/{pid}/fd/"], stderr=subprocess.PIPE, check=False)
        assert result.returncode != 0, "another pod's user sees its descriptors"
        shim = status_fields(pod["shim_pid"])
        equal(shim["Name"].startswith("casemate"), True, shim["Name"])
        me("delete", "--force", "held", "held2").ok()

    with bench.check("QEMU of a user's pod is contained", bench.user):
        pod = contained(bench.user, "held")
        pid = pod["qemu_pid"]
        equal(set(status_fields(pid)["Uid"].split()), {str(os.stat(bench.user.env["HOME"]).st_uid)},
              "user")
        if os.readlink(f"/proc/{pid}/ns/user") != os.readlink("/proc/self/ns/user"):
            with open(f"/proc/{pid}/net/dev", encoding="utf-8") as file:
                equal(len(file.readlines()), 3, "networks")
            assert "home" not in os.listdir(f"/proc/{pid}/root"), "the host's root"
        else:
            print("# user namespaces cannot be had here")
        bench.user("delete", "--force", "held").ok()

with bench.check("nothing is left at the end", me):
    equal(me("list", "--json").ok().json(), [], "list")

bench.end()
