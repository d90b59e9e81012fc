# SPDX-License-Identifier: Apache-2.0
"""A guest on the real QEMU, and the agent's calls by hand: what no client of ours would send too.

Independent of the project's own code on purpose: protobuf and ttrpc are written out here.
"""
import collections
import json
import os
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

SERVICE = "casemate.agent.v1.Agent"
SIGKILL = 9
INVALID, DEADLINE, NOT_FOUND, EXISTS, DENIED, EXHAUSTED, PRECONDITION = 3, 4, 5, 6, 7, 8, 9
COMMANDS = ("sh cat cp dd echo env head hostname id ls mkdir mknod od rm sha256sum sleep stty test "
            "touch true wc").split()


class Status(Exception):
    """The agent answered a call with a gRPC status."""

    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out + bytes([number]))


def field(tag, value):
    """One field of a message; an integer's zero is silence, as in proto3."""
    if isinstance(value, int):
        return varint(tag << 3) + varint(int(value)) if value else b""
    value = value.encode() if isinstance(value, str) else value
    return varint(tag << 3 | 2) + varint(len(value)) + value


def text(tag, value):
    return field(tag, value) if value else b""


def every(tag, values):
    return b"".join(field(tag, value) for value in values)


def parse(body):
    """Fields by tag, each a list of integers or bytes."""
    fields, at = collections.defaultdict(list), 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = body[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(body):
        key = number()
        if key & 7 == 0:
            fields[key >> 3].append(number())
        else:
            size = number()
            fields[key >> 3].append(body[at:at + size])
            at += size
    return fields


def process(args, env=(), cwd="", user="", terminal=False):
    return every(1, args) + every(2, env) + text(3, cwd) + text(4, user) + field(5, terminal)


def ref(container, exec_id=""):
    return text(1, container) + text(2, exec_id)


def layer(image):
    return (field(1, bytes.fromhex(image["root"])) + field(2, image["data_blocks"]) +
            field(3, image["hash_start"]))


def spec(images, what, hostname="", read_only=False, resources=b"", devices=()):
    """devices: of each its vendor, device and class."""
    return (every(1, [layer(image) for image in images]) + field(2, what) + text(3, hostname) +
            field(4, read_only) + text(5, resources) +
            every(9, [b"".join(field(tag, number) for tag, number in enumerate(device, 1))
                      for device in devices]))


def create(container, what, serials, pod="pod", addresses=()):
    return (text(1, container) + field(2, what) + every(3, serials) + text(4, pod) +
            every(5, addresses))


class Client:
    """ttrpc, as the one client of a connection."""

    def __init__(self, sock, service=SERVICE):
        self.sock, self.stream, self.buffer, self.done = sock, -1, bytearray(), {}
        self.service = service

    def send(self, method, payload=b"", within_s=0):
        """within_s: what the call says of how long its answer is waited for; 0: nothing."""
        self.stream += 2
        body = (field(1, self.service) + field(2, method) + text(3, payload) +
                field(4, int(within_s * 1e9)))
        self.sock.sendall(struct.pack(">IIBB", len(body), self.stream, 1, 0) + body)
        return self.stream

    def frames(self):
        while len(self.buffer) >= 10:
            size, stream, _, _ = struct.unpack(">IIBB", self.buffer[:10])
            if len(self.buffer) < 10 + size:
                return
            self.done[stream] = parse(bytes(self.buffer[10:10 + size]))
            del self.buffer[:10 + size]

    def wait(self, stream, timeout_s=60):
        end = time.monotonic() + timeout_s
        while stream not in self.done:
            if not select.select([self.sock], [], [], max(0, end - time.monotonic()))[0]:
                raise TimeoutError("no answer from the agent")
            data = self.sock.recv(1 << 20)
            if not data:
                raise EOFError("the agent hung up")
            self.buffer += data
            self.frames()
        answer = self.done.pop(stream)
        status = parse(answer[1][0]) if 1 in answer else {}
        if status.get(1, [0])[0]:
            raise Status(status[1][0], status[2][0].decode() if 2 in status else "")
        return parse(answer[2][0]) if 2 in answer else {}

    def call(self, method, payload=b"", timeout_s=60):
        return self.wait(self.send(method, payload), timeout_s)

    def code(self, method, payload=b""):
        """0, or the status code of the answer."""
        try:
            self.call(method, payload)
        except Status as status:
            return status.code
        return 0


class Guest:
    """One VM with the base image of a guest folder, which has no other disk yet.

    more: QEMU's arguments for devices that a container may be given; fds: the descriptors that
    those speak of; append: more of the kernel's command line.
    """

    def __init__(self, folder, console, more=(), fds=(), append=""):
        with open(os.path.join(folder, "manifest.json"), encoding="utf-8") as file:
            base = json.load(file)["base"]
        cmdline = ("root=/dev/dm-0 rootfstype=erofs ro rootwait init=/sbin/casemate-init "
                   "dm-mod.waitfor=/dev/vda dm-mod.create=\"base,,,ro,0 {} verity 1 /dev/vda /dev/vda "
                   "4096 4096 {} {} sha256 {} -\" console=ttyS0 quiet panic=-1 reboot=t "
                   "no_timer_check scsi_mod.scan=manual".format(base["data_blocks"] * 8, base["data_blocks"],
                                           base["hash_start"], base["root"])) + append
        agent, agent_qemu = socket.socketpair()
        qmp, qmp_qemu = socket.socketpair()
        self.console = console
        with open(console, "wb") as out:
            self.qemu = subprocess.Popen([
                "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot",
                "-accel", "tcg", "-cpu", "max", "-m", "512", "-display", "none",
                "-machine", "q35,smm=off,sata=off,smbus=off,hpet=off,i8042=off",
                "-bios", "/usr/share/qemu/qboot.rom",
                "-kernel", os.path.join(folder, "vmlinux"), "-append", cmdline,
                "-chardev", "stdio,id=console", "-device", "isa-serial,chardev=console",
                "-chardev", f"socket,id=qmp,fd={qmp_qemu.fileno()}",
                "-mon", "chardev=qmp,mode=control",
                "-device", "virtio-scsi-pci,id=scsi", "-device", "virtio-serial-pci",
                "-chardev", f"socket,id=agent,fd={agent_qemu.fileno()}",
                "-device", "virtserialport,chardev=agent,name=casemate.agent",
            ] + self.disk_args(os.path.join(folder, base["file"])) + list(more),
                pass_fds=[agent_qemu.fileno(), qmp_qemu.fileno()] + list(fds), stdin=subprocess.DEVNULL,
                stdout=out, stderr=subprocess.STDOUT)
        agent_qemu.close()
        qmp_qemu.close()
        self.client = Client(agent)
        self.qmp_file = qmp.makefile("rwb")
        self.qmp_file.readline()
        self.qmp("qmp_capabilities")
        self.disks = 1

    @staticmethod
    def disk_args(path):
        return ["-blockdev", f"driver=raw,node-name=d0,read-only=on,file.driver=file,"
                f"file.filename={path},file.locking=off",
                "-device", "virtio-blk-pci,disable-legacy=on,drive=d0"]

    def qmp(self, command, **arguments):
        self.qmp_file.write(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        self.qmp_file.flush()
        while True:
            answer = json.loads(self.qmp_file.readline())
            if "error" in answer:
                raise RuntimeError(answer["error"]["desc"])
            if "return" in answer:
                return answer["return"]

    def add_disk(self, serial, path):
        node = f"d{self.disks}"
        self.qmp("blockdev-add", **{"driver": "raw", "node-name": node, "read-only": True, "file": {
            "driver": "file", "filename": path, "locking": "off"}})
        self.qmp("device_add", driver="scsi-hd", bus="scsi.0", lun=self.disks, drive=node,
                 serial=serial)
        self.disks += 1

    def hello(self):
        return self.client.call("Hello", field(1, 1) + field(2, time.time_ns()) +
                                field(3, os.urandom(64)), 120)

    def start(self, container, exec_id=""):
        return self.client.call("StartProcess", ref(container, exec_id))

    def wait(self, container, exec_id=""):
        return self.client.call("WaitProcess", ref(container, exec_id)).get(1, [0])[0]

    def read(self, container, exec_id="", stream=0, window=2, maximum=1 << 18):
        """All of a stream, up to its end."""
        request = ref(container, exec_id) + field(3, stream) + field(4, maximum)
        out, asked = bytearray(), collections.deque()
        for _ in range(window):
            asked.append(self.client.send("ReadOutput", request))
        is_ended = False
        while asked:
            answer = self.client.wait(asked.popleft())
            out += answer[1][0] if 1 in answer else b""
            is_ended = is_ended or 2 in answer
            if not is_ended:
                asked.append(self.client.send("ReadOutput", request))
        return bytes(out)

    def execute(self, container, exec_id, args, **options):
        """Its status, output and errors."""
        self.client.call("ExecProcess", ref(container, exec_id) + field(3, process(args, **options)))
        self.client.call("CloseInput", ref(container, exec_id))
        self.start(container, exec_id)
        result = (self.read(container, exec_id), self.read(container, exec_id, 1))
        status = self.wait(container, exec_id)
        self.client.call("DeleteProcess", ref(container, exec_id))
        return (status,) + result

    def end(self):
        """Asks the guest to go; how long that took."""
        began = time.monotonic()
        self.client.call("Shutdown")
        self.qemu.wait(30)
        return time.monotonic() - began

    def kill(self):
        self.qemu.kill()
        self.qemu.wait()


class Images:
    """Layers made on the spot by the writer that makes the base image."""

    def __init__(self, work):
        self.work = work
        build = os.environ.get("BUILD", "build")
        self.mkimage = next(path for path in (os.path.join(build, "base", "guest", "mkimage"),
                                              os.path.join(build, "guest", "mkimage"))
                            if os.access(path, os.X_OK))

    def make(self, name, files):
        tree = os.path.join(self.work, name)
        for path, (mode, content) in files.items():
            path = os.path.join(tree, path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if mode == "link":
                os.symlink(content, path)
                continue
            with open(path, "wb") as file:
                file.write(content)
            os.chmod(path, mode)
        image = os.path.join(self.work, name + ".img")
        tar = subprocess.Popen(["tar", "-C", tree, "--owner=0", "--group=0", "-c", "."],
                               stdout=subprocess.PIPE)
        facts = subprocess.run([self.mkimage, image], stdin=tar.stdout, check=True,
                               stdout=subprocess.PIPE, text=True).stdout.split()
        tar.wait()
        facts = dict(fact.split("=") for fact in facts)
        return {"path": image, "root": facts["root"], "data_blocks": int(facts["data_blocks"]),
                "hash_start": int(facts["hash_start"])}

    def busybox(self, more=None):
        with open(shutil.which("busybox"), "rb") as file:
            files = {"bin/busybox": (0o755, file.read())} | (more or {})
        files |= {f"bin/{name}": ("link", "busybox") for name in COMMANDS}
        files |= {
            "etc/passwd": (0o644, b"root:x:0:0::/root:/bin/sh\nweb:x:33:44::/srv:/bin/sh\n"),
            "etc/group": (0o644, b"root:x:0:\nwww:x:44:\nmedia:x:50:web\n"),
            "bin/plain": (0o644, b"#!/bin/sh\n"),
        }
        return self.make("busybox", files)


def expect(got, want, what=""):
    if got != want:
        raise AssertionError(f"{what} got {got!r}, want {want!r}".strip())


def main(title, cls):
    """Runs the methods test_* of a class, in the order they stand, on the guest of its object.

    One that returns a text was skipped for that reason.
    """
    failed = 0
    with tempfile.TemporaryDirectory() as work:
        tests = cls(work)
        try:
            for name in [name for name in vars(cls) if name.startswith("test_")]:
                line = f"{title}: " + name[len("test_"):].replace("_", " ")
                try:
                    why = getattr(tests, name)()
                    print(f"ok - {line}" + (f" # SKIP {why}" if why else ""), flush=True)
                except Exception as error:  # what went wrong is the test's result
                    print(f"not ok - {line}", flush=True)
                    for said in f"{type(error).__name__}: {error}".splitlines():
                        print(f"# {said}", flush=True)
                    failed += 1
        finally:
            tests.guest.kill()
        if failed:
            with open(os.path.join(work, "console"), encoding="utf-8", errors="replace") as console:
                print(console.read()[-2000:], file=sys.stderr)
    return 1 if failed else 0
