#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# A host that lies, and what comes of it: another guest, another image, another policy, another
# broker. Each ends with the reason's name, nothing released, nothing begun, nothing left.
# timeout: 400
import contextlib
import glob
import hashlib
import json
import os
import random
import secrets
import shutil
import socket
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import images
from harness import GUEST_FILES, MS_BIND, SOAK, Bench, contains, equal, libc, mount
from images import Layer, Oci, folder, text
from trust import URI, Between, Broker, Journey, Processor, flip, read_fd, rule_of, sealed

NAMES = ("what a host may change of a guest without anybody's secret going to it: nothing",)
MIB, BLOCK = 1 << 20, 4096
bench = Bench()
if not bench.needs_root(*NAMES):
    bench.end()
me = bench.root
CANARY = b"canary-" + secrets.token_hex(24).encode()
NOISE = random.Random(int(os.environ.get("SEED", "1"))).randbytes(4 * MIB)
LAYERS = [images.base(), Layer([folder("srv"), text("srv/noise", NOISE)])]
ref = Oci().add(LAYERS).write(os.path.join(bench.work, "image"))
SECRET = ("--secret", f"model-key={URI}")
# what it would say had it begun, whatever became of the secret
COMMAND = ("--", "sh", "-c", "echo begun; cat /run/secrets/model-key")
MAIN = (*SECRET, ref, *COMMAND)

broker = Broker(bench)
broker.put(CANARY)
processor = Processor(bench)
between = Between(bench, processor.socket)
host = Journey(bench, me, broker, between.path, processor.dir)
own = Journey(bench, me, broker, os.path.join(bench.work, "none", "socket"), processor.dir)
policy, reference = host.generate("main", *MAIN)
broker.set_rules(rule_of(reference))


def never(result, *words):
    """Nothing began; one line says why."""
    assert CANARY not in result.out + result.err, "the secret"
    return result.refused(*words)


def never_up(result):
    """Nothing began; what the guest's console said last is there, too."""
    equal((result.status, result.out), (125, b""), str(result))
    assert result.errors.splitlines()[-1].startswith("casemate: run:"), str(result)


@contextlib.contextmanager
def changed_guest():
    """The copy of the guest may be changed, and is as it was afterwards."""
    try:
        yield
    finally:
        for name in GUEST_FILES:
            shutil.copy(os.path.join(bench.build, "guest", name), copied)


# -- measured: what QEMU was really started with

copied = bench.folder("guest")
with changed_guest():
    pass
MANIFEST = os.path.join(copied, "manifest.json")
KERNEL = os.path.join(copied, "vmlinux")
BASE = os.path.join(copied, "base.img")
FIRMWARE = "/usr/share/qemu/qboot.rom"
own_guest = ("--config", f"guest_dir={copied}")


def change_manifest(change):
    with open(MANIFEST, encoding="utf-8") as file:
        manifest = json.load(file)
    with open(KERNEL, "rb") as file:
        manifest["kernel"]["sha256"] = hashlib.sha256(file.read()).hexdigest()
    change(manifest)
    with open(MANIFEST, "w", encoding="utf-8") as file:
        json.dump(manifest, file)


def move_tree():
    with open(MANIFEST, encoding="utf-8") as file:
        at = json.load(file)["base"]["hash_start"] * BLOCK
    with open(BASE, "r+b") as file:
        data = file.read()
        file.seek(0)
        file.write(data[:at] + bytes(BLOCK) + data[at:])
    change_manifest(lambda manifest: manifest["base"].update(hash_start=at // BLOCK + 1))


def unused_byte(data):
    """In the middle of zeros: who runs these bytes does not miss it."""
    at = data.find(bytes(256), len(data) // 4)
    assert at > 0, "no zeros"
    return at + 128


with bench.check("an honest host gets through: what follows is refused for what is changed in "
                 "it", me):
    result = host.run(policy, *own_guest, *MAIN)
    equal((result.status, result.out, result.err), (0, b"begun\n" + CANARY, b""), str(result))

with bench.check("a byte of the kernel: launch-digest-mismatch", me):
    with changed_guest(), broker.releases_nothing("launch-digest-mismatch"):
        flip(KERNEL, -1)  # of a table that no kernel looks at as it runs
        change_manifest(lambda manifest: None)
        never(own.run(policy, *own_guest, *MAIN), "launch-digest-mismatch")

with bench.check("a byte of the command line: launch-digest-mismatch", me):
    with changed_guest(), broker.releases_nothing("launch-digest-mismatch"):
        move_tree()  # the same base, with a block more between the data and what vouches for them
        never(own.run(policy, *own_guest, *MAIN), "launch-digest-mismatch")

with bench.check("a byte of the firmware: launch-digest-mismatch", me):
    with open(FIRMWARE, "rb") as file:
        firmware = bytearray(file.read())
    firmware[unused_byte(firmware)] ^= 1
    changed = bench.file("firmware", bytes(firmware))
    with broker.releases_nothing("launch-digest-mismatch"):
        never(own.run(policy, "--config", f"firmware={changed}", *MAIN), "launch-digest-mismatch")

ROMS = ["/usr/share/qemu/linuxboot_dma.bin", "/usr/share/qemu/kvmvapic.bin"]
for rom in ROMS if SOAK else ROMS[:1]:
    with bench.check(f"a byte of one of QEMU's own ROMs ({os.path.basename(rom)}): "
                     "launch-digest-mismatch", me):
        with open(rom, "rb") as file:
            contents = bytearray(file.read())
        contents[-1] ^= 1
        mount(bench.file("rom", bytes(contents)), os.path.realpath(rom), MS_BIND)
        try:
            with broker.releases_nothing("launch-digest-mismatch"):
                never(own.run(policy, *MAIN), "launch-digest-mismatch")
        finally:
            libc.umount2(os.path.realpath(rom).encode(), 0)


def of_kernel(launch):
    index = launch.target_of("-kernel")
    data = bytearray(read_fd(launch.fds[index]))
    data[-1] ^= 1
    launch.swap(index, sealed(data))


def of_firmware(launch):
    index = launch.target_of("-bios")
    data = bytearray(read_fd(launch.fds[index]))
    data[unused_byte(data)] ^= 1
    launch.swap(index, sealed(data))


ON_THE_WAY = [
    ("one more argument", lambda launch: launch.argv.extend(["-rtc", "base=2001-01-01"]), False),
    ("another kernel's descriptor", of_kernel, False),
    ("another firmware's descriptor", of_firmware, True),
    ("a word of the command line", lambda launch: launch.replace("-append", "quiet", "loglevel=1"),
     True),
    ("one argument less", lambda launch: launch.argv.remove("-no-reboot"), True),
    ("the order of arguments", lambda launch: launch.argv.extend(
        [launch.argv.pop(launch.argv.index("-no-reboot"))]), True),
]
with bench.check("another number of vCPUs, changed between launcher and processor: "
                 "launch-digest-mismatch", me):
    for turn in range(3):
        with broker.releases_nothing(), between.changing(
                lambda launch: launch.replace("-smp", "cpus=1", "cpus=2")):
            result = host.run(policy, "--config", "start_timeout_tcg=40s", *MAIN)
        # two of TCG's processors beside other work may take for ever to find each other
        if turn == 2 or "(phase: kernel)" not in result.errors:
            break
        print(f"# infrastructure: {result.errors.splitlines()[0]}")
    never(result, "launch-digest-mismatch")

for name, change, is_for_soak in ON_THE_WAY:
    if is_for_soak and not SOAK:
        continue
    with bench.check(f"{name}, changed between launcher and processor: launch-digest-mismatch", me):
        with broker.releases_nothing("launch-digest-mismatch"), between.changing(change):
            never(host.run(policy, *MAIN), "launch-digest-mismatch")


def unsealed(launch):
    index = launch.target_of("-kernel")
    launch.swap(index, sealed(read_fd(launch.fds[index]), is_sealed=False))


def a_file(launch):
    launch.swap(launch.target_of("-kernel"), os.open(KERNEL, os.O_RDONLY))


with bench.check("the processor starts what it can measure, from one place, as a pod's user: else "
                 "nothing", me):
    for name, change in (
            ("memory that may still change", unsealed), ("a file", a_file),
            ("an initial RAM disk", lambda launch: launch.argv.extend(
                ["-initrd", f"/proc/self/fd/{launch.targets[0]}"])),
            ("a second kernel", lambda launch: launch.argv.extend(
                ["-kernel", launch.value("-kernel")])),
            ("a kernel by its path", lambda launch: launch.replace(
                "-kernel", launch.value("-kernel"), KERNEL)),
            ("another program", lambda launch: launch.argv.__setitem__(0, "/bin/busybox")),
            ("root's rights", lambda launch: launch.rest.update({5: [0], 6: [0]})),
            ("the key's user", lambda launch: launch.rest.update({5: [89999], 6: [89999]})),
            ("another's user", lambda launch: launch.rest.update({5: [1], 6: [1]})),
            ("host data too short", lambda launch: setattr(launch, "host_data", b"x")),
            ("a descriptor less", lambda launch: os.close(launch.fds.pop()))):
        with broker.releases_nothing(), between.changing(change):
            try:
                never(host.run(policy, *MAIN), "casemate: run:")
            except AssertionError as error:
                raise AssertionError(f"{name}: {error}") from None

with bench.check("a guest that is not told that it is measured gives its pod no secret", me):
    with broker.releases_nothing(), between.changing(
            lambda launch: launch.replace("-append", " casemate.tee=sim", "")):
        never(host.run(policy, *MAIN), "casemate: run:")

PLAIN = (ref, "--", "echo", "begun")
plain, _ = host.generate("plain", *PLAIN)

with bench.check("a policy that is not the signed one's: host-data-mismatch, by the agent itself, "
                 "before it asks any broker", me):
    asked = broker.audit()
    for which, args in ((plain, PLAIN), (policy, MAIN)):
        with between.changing(lambda launch: setattr(launch, "host_data", bytes(32))):
            never(host.run(which, *args), "host-data-mismatch")
    equal(broker.audit(), asked, "what the broker was asked")

# -- bytes of what is read later


def find_in_cache(data):
    for path in glob.glob(os.path.join(me.cache_dir, "layers", "**", "*.img"), recursive=True):
        with open(path, "rb") as file:
            offset = file.read().find(data)
        if offset >= 0:
            return path, offset
    raise AssertionError("not in the cache")


path, offset = find_in_cache(NOISE[MIB:MIB + 64])

with bench.check("a byte of the base image, in what is read at start: the container never "
                 "starts", me):
    with changed_guest(), broker.releases_nothing():
        flip(BASE, 1024)
        never_up(own.run(policy, *own_guest, *MAIN))

if SOAK:
    with bench.check("a byte of the agent itself: the container never starts", me):
        with open(BASE, "rb") as file:
            at = file.read().find(b"casemate.agent")
        with changed_guest(), broker.releases_nothing():
            flip(BASE, at)
            never_up(own.run(policy, *own_guest, *MAIN))


def other_base(launch):
    for index, fd in enumerate(launch.fds):
        if os.readlink(f"/proc/self/fd/{fd}").endswith("/base.img"):
            launch.swap(index, os.open(BASE, os.O_RDONLY))
            return
    raise AssertionError("no base image")


with bench.check("another base image's descriptor in its place: the container never starts", me):
    with changed_guest(), broker.releases_nothing(), between.changing(other_base):
        flip(BASE, 1024)
        never_up(host.run(policy, *MAIN))

with bench.check("a byte of a layer, in what is read at start: the container never starts", me):
    flip(path, 1024)
    with broker.releases_nothing():
        never_up(own.run(policy, *MAIN))
    flip(path, 1024)

OTHER = Oci().add([images.base(), Layer([folder("srv"), text("srv/noise", NOISE[::-1])])]).write(
    os.path.join(bench.work, "other"))

with bench.check("another layer's bytes in the place of one: the container never starts", me):
    own.generate("other", OTHER, *COMMAND)
    other = find_in_cache(NOISE[::-1][:64])[0]
    assert other != path and os.path.getsize(other) == os.path.getsize(path), "not alike"
    with open(path, "rb") as file:
        good = file.read()
    shutil.copy(other, path)
    with broker.releases_nothing():
        never_up(own.run(policy, *MAIN))
    with open(path, "wb") as file:
        file.write(good)

READ = ("cat", "/srv/noise")
SLEEP = (*SECRET, ref, "--", "sleep", "1000")
sleeping, values = own.generate("sleep", "--exec", json.dumps(READ),
                                "--exec", '["head","-c","1048576","/srv/noise"]', *SLEEP)

with bench.check("a byte of a layer elsewhere: to read it is an error, and no altered byte is ever "
                 "seen", me):
    broker.set_rules(rule_of(values))
    own.run(sleeping, "-d", "--name", "flip", *SLEEP).ok()
    flip(path, offset + MIB)
    result = me("exec", "flip", *READ)
    assert result.status != 0, "read to the end"
    contains(result.errors, "Input/output error")
    equal(result.out, NOISE[:len(result.out)], "what came before")
    assert MIB <= len(result.out) <= 2 * MIB, f"{len(result.out)} bytes came before"
    equal(me("exec", "flip", "head", "-c", str(MIB), "/srv/noise").ok().out, NOISE[:MIB],
          "the rest")
    flip(path, offset + MIB)
    me("delete", "--force", "flip").ok()
    broker.set_rules(rule_of(reference))

with open(MANIFEST, encoding="utf-8") as file:
    BLOCKS = json.load(file)["base"]["data_blocks"]
choice = random.Random(int(os.environ.get("SEED", "1")))

with bench.check("a byte of any block of the base image: the container never starts, or is what it "
                 "should be", me):
    for block in choice.sample(range(BLOCKS), 80 if SOAK else 4):
        with changed_guest():
            flip(BASE, block * BLOCK + choice.randrange(BLOCK))
            result = own.run(policy, *own_guest, *MAIN)
        if result.status == 0:
            equal((result.out, result.err), (b"begun\n" + CANARY, b""), f"block {block}: {result}")
        else:
            never_up(result)

with bench.check("a byte of each of its blocks, once a container runs: what is read anew is an error, "
                 "and the pod goes on", me):
    first = (ref, "--", "sleep", "1000")
    both, _ = own.generate("both", "--exec", json.dumps(READ), *first)
    both, values = own.generate("both", *MAIN, add=both)
    broker.set_rules(rule_of(values))
    with changed_guest():
        own.run(both, "-d", "--name", "base", *own_guest, *first).ok()
        for block in range(BLOCKS):
            flip(BASE, block * BLOCK + choice.randrange(BLOCK))
        with broker.releases_nothing():
            never(own.add("base", *MAIN), "report-unavailable")
        equal(me("exec", "base", *READ).ok().out, NOISE, "what the first reads")
        me("delete", "--force", "base").ok()
    broker.set_rules(rule_of(reference))

# -- asked for: what the policy does not list

SWAPPED = Oci().add(LAYERS[::-1]).write(os.path.join(bench.work, "swapped"))
MORE = Oci().add([*LAYERS, Layer([text("etc/more", "x")])]).write(os.path.join(bench.work, "more"))
ASKED = [
    ("another image", (*SECRET, OTHER, *COMMAND), "policy-layers", False),
    ("another command", (*SECRET, ref, "--", "sh", "-c", "cat /run/secrets/model-key"),
     "policy-args", False),
    ("another user", ("-u", "app", *MAIN), "policy-user", False),
    ("another way to mount its root", ("--read-only", *MAIN), "policy-read-only", False),
    ("another secret", ("--secret", "model-key=kbs:///default/other/key", ref, *COMMAND),
     "policy-secret", False),
    ("layers in another order", (*SECRET, SWAPPED, *COMMAND), "policy-layers", True),
    ("one layer more", (*SECRET, MORE, *COMMAND), "policy-layers", True),
    ("one more variable", ("-e", "A=b", *MAIN), "policy-env", True),
    ("another directory", ("-w", "/tmp", *MAIN), "policy-cwd", True),
    # and with it TERM, which is looked at before
    ("a terminal", ("-d", "-t", *MAIN), "policy-env", True),
    ("another host name", ("--hostname", "x", *MAIN), "policy-hostname", True),
    ("another limit", ("--pids-limit", "5", *MAIN), "policy-resources", True),
    ("more memory", ("--memory", "600m", *MAIN), "policy-resources", True),
]
for name, args, code, is_for_soak in ASKED:
    if is_for_soak and not SOAK:
        continue
    with bench.check(f"{name} than the policy's: {code}", me):
        with broker.releases_nothing():
            never(own.run(policy, *args), code)

with bench.check("another policy, that allows the same: the broker's rule names the one",
                 me):
    wider, _ = own.generate("wider", "--exec", "any", *MAIN)
    with broker.releases_nothing("host-data-mismatch"):
        never(own.run(wider, *MAIN), "host-data-mismatch")

# -- brokers

with bench.check("sim evidence where the rule does not allow simulated: refused", me):
    broker.set_rules(rule_of(reference, allow=[], sim_roots=[]))
    with broker.releases_nothing("simulated"):
        never(own.run(policy, *MAIN), "simulated")
    broker.set_rules(rule_of(reference))

with bench.check("what the policy lists and no rule has: resource-denied", me):
    broker.set_rules(rule_of(reference, "default/other/key"))
    with broker.releases_nothing("resource-denied"):
        never(own.run(policy, *MAIN), "resource-denied")
    broker.set_rules(rule_of(reference))

with bench.check("an impostor at the broker's address, with a key of its own: "
                 "broker-key-mismatch", me):
    port = broker.port
    equal(broker.stop(), 0, "the broker's status")
    impostor = Broker(bench, "impostor", port)
    impostor.put(b"not the secret")
    impostor.set_rules(rule_of(reference))
    never(own.run(policy, *MAIN), "broker-key-mismatch")
    equal(impostor.audit(), [], "what the impostor was told")
    impostor.stop()

with bench.check("nobody at the broker's address: broker-unreachable", me):
    never(own.run(policy, *MAIN), "broker-unreachable")

with bench.check("one who takes connections and says nothing: broker-unreachable, in good time",
                 me):
    with socket.create_server(("127.0.0.1", port)):
        result = never(own.run(policy, *MAIN), "broker-unreachable")
        assert result.seconds < 60, f"{result.seconds} s"

with bench.check("nothing of all that is left behind", me):
    bench.user.nothing_left()
    processor.stop()

bench.end()
