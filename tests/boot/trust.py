# SPDX-License-Identifier: Apache-2.0
"""Who takes part in the journey of a secret: a broker, a processor, and a host that may lie.

Written from the published formats and the man pages; what the programs say to each other is taken
apart and put together here by hand.
"""
import base64
import contextlib
import fcntl
import json
import os
import re
import signal
import socket
import stat
import struct
import subprocess
import threading
import time

from agent_client import every, field, parse
from harness import Result, contains, equal, eventually

RESOURCE = "default/model/key"
URI = "kbs:///" + RESOURCE
KEY_UID, UID_FIRST, UID_COUNT = 89999, 90000, 4096
F_ADD_SEALS, ALL_SEALS = 1033, 0xF


def flip(path, offset, bit=0x10):
    """In place, so that who has it open sees it; negative offsets are from the end."""
    with open(path, "r+b") as file:
        file.seek(offset, os.SEEK_END if offset < 0 else os.SEEK_SET)
        at = file.tell()
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ bit]))


def child_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as file:
        return int(file.read().split()[0])


# -- the broker

class Broker:
    """`casemate-broker serve`, with a store, rules that can be changed, and its audit log."""

    def __init__(self, bench, name="broker", port=0):
        self.bench, self.store = bench, os.path.join(bench.work, name)
        self.program = os.path.join(bench.build, "casemate-broker")
        self.rules_path = os.path.join(bench.work, name + ".yaml")
        self.write_rules([rule("none/none/none", "00" * 32, "00" * 48)])
        self.errors = open(os.path.join(bench.work, name + ".err"), "w+b")
        self.process = subprocess.Popen(
            [self.program, "serve", "--listen", f"127.0.0.1:{port}", self.store, self.rules_path],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.errors)
        line = self.process.stdout.readline().decode()
        found = re.search(r"port (\d+),.*key ([0-9a-f]{64})$", line.strip())
        assert found, f"the broker said {line!r}, {open(self.errors.name, 'rb').read()!r}"
        self.port, self.key = int(found[1]), found[2]
        self.url = f"https://127.0.0.1:{self.port}"
        bench.services.update(self.pids())

    def __call__(self, *args, stdin=b""):
        started = time.monotonic()
        done = subprocess.run([self.program, *args], input=stdin, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False, timeout=60)
        return Result(args, done.returncode, done.stdout, done.stderr, time.monotonic() - started)

    def put(self, secret, resource=RESOURCE):
        self("put", self.store, resource, stdin=secret).ok()

    def write_rules(self, rules):
        with open(self.rules_path, "w", encoding="utf-8") as file:
            file.write("rules:\n" + "".join(rules))

    def set_rules(self, *rules):
        self.write_rules(rules)
        contains(self.reread(), f"again: {len(rules)} rules")

    def reread(self):
        """Gives what it says of that, once it has."""
        before = len(self.said())
        self.process.send_signal(signal.SIGHUP)
        return eventually(lambda: self.said()[before:], "the broker to read its rules")

    def said(self):
        with open(self.errors.name, "rb") as file:
            return file.read().decode("utf-8", "replace")

    def audit(self):
        path = os.path.join(self.store, "audit.log")
        if not os.path.exists(path):
            return []
        with open(path, encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def released(self):
        return [line for line in self.audit() if line["verdict"] == "released"]

    @contextlib.contextmanager
    def releases_nothing(self, *codes):
        """And each decision of meanwhile was a no, with one of these codes among them."""
        before = self.audit()
        yield
        after = self.audit()
        equal(after[:len(before)], before, "audit lines of before")
        lines = after[len(before):]
        equal([line for line in lines if line["verdict"] == "released"], [], "released")
        if codes:
            found = {code for line in lines for code in line["codes"] or []}
            assert found & set(codes), f"codes {codes} in the audit lines {lines}"

    def pids(self):
        """Of the process that keeps the secrets, and of the one that faces the network."""
        return self.process.pid, child_of(self.process.pid)

    def stop(self):
        self.process.terminate()
        status = self.process.wait(20)
        self.process.stdout.close()
        return status


def rule(resource, policies, digests, **more):
    """One rule, as YAML. more: allow, sim_roots and the like, each a list."""
    lists = {"policies": policies, "launch_digests": digests, **more}
    lines = [f"  - resource: {resource}\n"]
    for name, values in lists.items():
        values = [values] if isinstance(values, str) else values
        if values:
            lines.append(f"    {name}:\n" + "".join(f"      - {value}\n" for value in values))
    return "".join(lines)


def rule_of(reference, resource=RESOURCE, **changed):
    """The rule that a file of `policy generate --reference` amounts to."""
    if isinstance(reference, str):
        with open(reference, encoding="utf-8") as file:
            reference = json.load(file)
    reference = {**reference, **changed}
    return rule(resource, reference["host_data"], reference["launch_digests"],
                allow=reference.get("allow", []), sim_roots=reference.get("sim_roots", []))


# -- the processor

class Processor:
    """`casemate-simtee` as a service, on a socket that everybody may use."""

    def __init__(self, bench, name="simtee", qemu=None, key=None):
        self.socket, self.qemu = os.path.join(bench.folder(name), "socket"), qemu
        self.dir = key or os.path.join(bench.work, name + "-key")
        self.errors = open(os.path.join(bench.work, name + ".err"), "w+b")
        self.process = subprocess.Popen(
            [os.path.join(bench.build, "casemate-simtee"), *(["--qemu", qemu] if qemu else []),
             "--dir", self.dir, "--uid", str(KEY_UID), "--uid-first", str(UID_FIRST),
             "--uid-count", str(UID_COUNT), "--socket", self.socket],
            stdin=subprocess.DEVNULL, stdout=self.errors, stderr=self.errors)
        eventually(lambda: os.path.exists(self.socket) or self.process.poll() is not None,
                   "the processor to listen", 20)
        assert self.process.poll() is None, f"the processor ended: {self.said()}"
        bench.services.update((self.process.pid, self.key_pid()))

    def said(self):
        with open(self.errors.name, "rb") as file:
            return file.read().decode("utf-8", "replace")

    def key_pid(self):
        return child_of(self.process.pid)

    def stop(self):
        self.process.terminate()
        return self.process.wait(20)


class Launch:
    """A tee.LaunchRequest with its descriptors, to be changed in place."""

    def __init__(self, message, fds):
        fields = parse(message)
        self.argv = [arg.decode() for arg in fields[1]]
        self.targets = numbers(fields[2])
        self.rest = {tag: values for tag, values in fields.items() if tag not in (1, 2, 4)}
        self.host_data = fields[4][0] if 4 in fields else b""
        self.fds = list(fds)

    def message(self):
        packed = b"".join(varied(2, target) for target in self.targets)
        rest = b"".join(field(tag, value) for tag, values in self.rest.items() for value in values)
        return every(1, self.argv) + packed + rest + field(4, self.host_data)

    def value(self, option):
        return self.argv[self.argv.index(option) + 1]

    def replace(self, option, old, new):
        at = self.argv.index(option) + 1
        contains(self.argv[at], old)
        self.argv[at] = self.argv[at].replace(old, new, 1)

    def target_of(self, option):
        """Which of the descriptors an option names as /proc/self/fd/N."""
        return self.targets.index(int(self.value(option).rpartition("/")[2]))

    def swap(self, index, fd):
        os.close(self.fds[index])
        self.fds[index] = fd


def varied(tag, number):
    """As field(), but a zero is said, too: it is one of a list."""
    return field(tag, number) or bytes([tag << 3, 0])


def numbers(values):
    """Of a repeated integer, packed or not."""
    found = []
    for value in values:
        if isinstance(value, int):
            found.append(value)
            continue
        number = shift = 0
        for byte in value:
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                found.append(number)
                number = shift = 0
    return found


def sealed(data, is_sealed=True):
    """A memory file as a launcher hands it over."""
    fd = os.memfd_create("of-the-test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    write_all(fd, data)
    if is_sealed:
        fcntl.fcntl(fd, F_ADD_SEALS, ALL_SEALS)
    return fd


def write_all(fd, data):
    data = memoryview(data)
    while data:
        data = data[os.write(fd, data):]


def read_fd(fd):
    size = os.fstat(fd).st_size
    return os.pread(fd, size, 0)


class Between:
    """A host's program between launchers and the processor: it can change what is asked for, and
    listens to every socket that QEMU is given.
    """

    def __init__(self, bench, processor, name="between"):
        self.path = os.path.join(bench.folder(name), "socket")
        self.processor = processor
        self.change = None
        self.seen = bytearray()
        self.lie = None
        self.launches = 0
        self.failure = None
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        os.chmod(self.path, 0o666)
        self.listener.listen(16)
        self.start(self.accept)

    @staticmethod
    def start(function, *arguments):
        threading.Thread(target=function, args=arguments, daemon=True).start()

    @contextlib.contextmanager
    def changing(self, change):
        self.change, self.failure, before = change, None, self.launches
        try:
            yield
        finally:
            self.change = None
        assert self.failure is None, f"the change failed: {self.failure!r}"
        assert self.launches > before, "no launch came by"

    @contextlib.contextmanager
    def lying(self, lie):
        """lie: what is sent over QEMU's sockets -> what goes on in its place."""
        self.lie = lie
        try:
            yield
        finally:
            self.lie = None

    def accept(self):
        while True:
            try:
                launcher = self.listener.accept()[0]
            except OSError:
                return
            self.start(self.serve, launcher)

    def serve(self, launcher):
        try:
            message, fds = receive(launcher)
            launch = Launch(message, fds)
            self.launches += 1
            if self.change:
                self.change(launch)
            self.tap(launch)
            other = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            other.connect(self.processor)
            packed = launch.message()
            socket.send_fds(other, [struct.pack(">I", len(packed)) + packed], launch.fds)
            for fd in launch.fds:
                os.close(fd)
            self.start(pump, launcher, other)
            pump(other, launcher)
        except Exception as error:  # it is the test's to say
            self.failure = error
            launcher.close()

    def tap(self, launch):
        for index, fd in enumerate(launch.fds):
            if not stat.S_ISSOCK(os.fstat(fd).st_mode):
                continue
            mine, qemus = socket.socketpair()
            theirs = socket.socket(fileno=os.dup(fd))
            theirs.setblocking(True)
            launch.swap(index, os.dup(qemus.fileno()))
            qemus.close()
            self.start(pump, mine, theirs, self.hear)
            self.start(pump, theirs, mine, self.hear)

    def hear(self, data):
        self.seen += data
        return self.lie(data) if self.lie else data

    def stop(self):
        self.listener.close()


def receive(sock):
    """A length, a message, and the descriptors that came with it."""
    data, fds = b"", []
    while len(data) < 4 or len(data) < 4 + struct.unpack(">I", data[:4])[0]:
        part, more, _, _ = socket.recv_fds(sock, 1 << 20, 250)
        assert part, "the launcher hung up"
        data, fds = data + part, fds + more
    return data[4:], fds


def pump(source, target, hear=None):
    """Bytes and descriptors, to the end of either; hear gives what goes on."""
    try:
        while True:
            data, fds, _, _ = socket.recv_fds(source, 1 << 20, 8)
            if not data:
                break
            if hear:
                data = hear(data)
            sent = socket.send_fds(target, [data], fds) if fds else 0
            target.sendall(data[sent:])
            for fd in fds:
                os.close(fd)
    except OSError:
        pass
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


# -- the tenant

class Journey:
    """What a tenant does, and a host: a policy, its reference values, and runs under it.

    who: bench.root or bench.user. flags: of the configuration, for all of it.
    """

    def __init__(self, bench, who, broker, socket_path, key_dir, *flags):
        self.bench, self.who, self.broker = bench, who, broker
        self.config = ("--config", f"simtee_socket={socket_path}",
                       "--config", f"simtee_dir={key_dir}", *flags)

    def generate(self, name, *args, broker=None, add=None, reference=True):
        """Writes NAME.json; gives its path and that of the reference values, NAME.ref."""
        broker = broker or self.broker
        folder = self.bench.folder("tenant", 0o1777)
        path, values = (os.path.join(folder, name + end) for end in (".json", ".ref"))
        flags = ["--add", add] if add else ["--broker", broker.url, "--broker-key", broker.key]
        flags += ["--reference", values] if reference else []
        done = self.who("policy", "generate", "--accel", "tcg", *self.config, *flags, *args)
        assert done.status == 0, str(done)
        with open(path, "wb") as file:
            file.write(done.out)
        os.chmod(path, 0o644)
        return path, values

    def run(self, policy, *args, **options):
        return self.who("run", "--tee", "sim", "--policy", policy, *self.config, *args, **options)

    def add(self, pod, *args, **options):
        return self.who("run", "--pod", pod, *self.config, *args, **options)

    def refusals(self, name):
        return self.who("state", name).ok().json()["casemate"]["refusals"]


# -- looking for what must not be there

def forms(secret):
    """How a secret may be spelt: as it is, in hex, in base64 wherever it begins."""
    found = {secret, secret.hex().encode(), secret.hex().upper().encode()}
    for shift in range(3):
        for how in (base64.b64encode, base64.urlsafe_b64encode):
            coded = how(b"\0" * shift + secret)
            # the first and the last group have bits of something else in them
            found.add(coded[4 if shift else 0:-4])
    return found


def find_in_bytes(data, secret, where):
    return [where for form in forms(secret) if form in data][:1]


def find_in_files(folder, secret):
    found = []
    for path, _, names in os.walk(folder):
        for name in names:
            name = os.path.join(path, name)
            with contextlib.suppress(OSError):
                if stat.S_ISREG(os.stat(name).st_mode):
                    with open(name, "rb") as file:
                        found += find_in_bytes(file.read(), secret, name)
    return found


def memory(pid, smallest=0, largest=1 << 40):
    """(where, bytes) of a process's mappings that are its own or shared memory, by their size."""
    with open(f"/proc/{pid}/maps", encoding="utf-8") as file:
        lines = file.readlines()
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for line in lines:
            span, mode = line.split()[:2]
            begin, end = (int(part, 16) for part in span.split("-"))
            if "r" not in mode or not smallest <= end - begin < largest or "[v" in line:
                continue
            for at in range(begin, end, 16 << 20):
                try:
                    mem.seek(at)
                    yield line.strip(), mem.read(min(16 << 20, end - at) + 4096)
                except (OSError, ValueError, OverflowError):
                    break


def find_in_memory(pid, secret, **sizes):
    return [where for line, data in memory(pid, **sizes)
            for where in find_in_bytes(data, secret, f"{pid}: {line}")]
