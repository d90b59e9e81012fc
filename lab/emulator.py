# SPDX-License-Identifier: Apache-2.0
"""The emulated server of one build folder: what it boots from, its QEMU, its life.

All that it makes is in BUILD/lab/run; the folder's lock is held as long as QEMU or the process
that keeps it lives. QEMU is killed by the kernel when that process ends, however it does.
"""
import contextlib
import ctypes
import fcntl
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time

import server
from channel import SILENCE_S, Channel, LabError, to_own_streams

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(HERE)
STARTS_MAX = 3
QMP_S = 5
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None)


class Infrastructure(LabError):
    """Nothing that we made: the emulator failed."""


def say(text):
    print(f"lab: {text}", file=sys.stderr, flush=True)


def die_with(sig):
    """To be run in a child between fork and exec: it gets the signal when its parent ends."""
    parent = os.getpid()

    def setup():
        libc.prctl(PR_SET_PDEATHSIG, sig, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
    return setup


def call(argv, log, **options):
    with open(log, "ab") as out:
        if subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False,
                          **options).returncode:
            raise LabError(f"run '{argv[0]}': see '{log}'")


class Emulator:
    """One emulated server: that of a build folder."""

    def __init__(self, build):
        self.build = os.path.abspath(build)
        self.image = os.path.join(self.build, "lab")
        self.dir = os.path.join(self.image, "run")
        self.qemu, self.lock, self.failed = None, -1, 0

    def path(self, *names):
        return os.path.join(self.dir, *names)

    # -- what is put over the userland

    def make_payload(self, programs):
        """What `make install` would have put on it, the images, lab's own part."""
        tree, log = self.path("payload"), self.path("prepare.log")
        shutil.rmtree(tree, ignore_errors=True)
        os.makedirs(tree)
        call(["make", "-s", "-C", ROOT, "install", f"BUILD={self.build}", f"DESTDIR={tree}",
              "PREFIX=/usr"], log)
        for folder, _, names in os.walk(os.path.join(tree, "usr", "bin")):
            for name in names:
                if programs and os.path.exists(os.path.join(programs, name)):
                    shutil.copy(os.path.join(programs, name), os.path.join(folder, name))
        for source, name in (("demo/image", "image"), ("lab/tools-image", "tools")):
            if os.path.isdir(os.path.join(self.build, source)):
                shutil.copytree(os.path.join(self.build, source), os.path.join(tree, "srv", name))
        self.add_guest(tree)
        call(["mkfs.erofs", "--quiet", "--all-root", self.path("payload.img"), tree], log)
        shutil.rmtree(tree)

    def add_guest(self, tree):
        """The guest with the stand-ins' drivers, and the configuration that takes it."""
        profile = os.path.join(self.build, "guest", "lab")
        if not os.path.isdir(profile):
            raise LabError(f"'{profile}' is not there: 'make guest' builds it")
        shutil.copytree(profile, os.path.join(tree, "usr", "lib", "casemate", "guest-lab"))
        os.makedirs(os.path.join(tree, "etc", "casemate"))
        with open(os.path.join(tree, "etc", "casemate", "config.yaml"), "w",
                  encoding="ascii") as file:
            file.write("guest_dir: /usr/lib/casemate/guest-lab\n"
                       "start_timeout_kvm: 3m\n")  # everything is emulated here

    def make_initrd(self):
        """A few modules, a busybox and the lab's own programs: quicker made than looked up."""
        tree = self.path("initrd")
        shutil.rmtree(tree, ignore_errors=True)
        for name in ("bin", "dev", "proc", "sys", "lab", "server", "layer/root",
                     "layer/payload", "layer/memory"):
            os.makedirs(os.path.join(tree, name))
        shutil.copytree(os.path.join(self.image, "modules"), os.path.join(tree, "modules"))
        busybox = shutil.which("busybox") or "/bin/busybox"
        for source, target in ((busybox, "bin/busybox"), (os.path.join(HERE, "boot"), "init"),
                               (os.path.join(HERE, "init"), "lab/init"),
                               (os.path.join(HERE, "agent"), "lab/agent")):
            shutil.copy(source, os.path.join(tree, target))
        call(["sh", "-c", f"find . | cpio --quiet -o -H newc -R 0:0 >'{self.path('initrd.img')}'"],
             self.path("prepare.log"), cwd=tree)
        shutil.rmtree(tree)

    def take_lock(self):
        """Of the run folder, with our number in it, for who wants it to end."""
        os.makedirs(self.dir, mode=0o700, exist_ok=True)
        if self.lock < 0:
            self.lock = os.open(self.path("lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LabError("it runs already; 'lab stop' ends it") from None
        os.ftruncate(self.lock, 0)
        os.pwrite(self.lock, b"%d\n" % os.getpid(), 0)

    def stop(self, patience_s):
        """Ends the one that another process keeps."""
        end = time.monotonic() + patience_s
        while os.path.exists(self.path("lock")) and time.monotonic() < end:
            with open(self.path("lock"), "rb") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return
                except BlockingIOError:
                    with contextlib.suppress(ValueError, ProcessLookupError):
                        os.kill(int(lock.read()), signal.SIGTERM)
            time.sleep(0.1)
        if os.path.exists(self.path("lock")):
            raise LabError(f"it did not end in {patience_s} s")

    def prepare(self, programs):
        if not os.path.exists(os.path.join(self.image, "key")):
            raise LabError(f"find '{self.image}/root.img': run lab/make-image {self.build} first")
        self.make_payload(programs)
        self.make_initrd()

    # -- the machine

    def spawn(self, extra):
        for name in ("console.log", "qmp", *[f"channel{n}" for n in range(server.PORTS)]):
            if os.path.lexists(self.path(name)):
                os.unlink(self.path(name))
        for name in server.DISKS:
            with open(self.path(f"{name}.img"), "wb") as file:
                file.truncate(server.DISK_MIB << 20)
        args = server.arguments(self.image, "payload.img", "initrd.img", extra)
        with open(self.path("qemu.log"), "ab") as log:
            self.qemu = subprocess.Popen(args, cwd=self.dir, stdin=subprocess.DEVNULL, stdout=log,
                                         stderr=log, pass_fds=[self.lock],
                                         preexec_fn=die_with(signal.SIGKILL))

    def kill(self):
        self.qemu.kill()
        self.qemu.wait()

    def said(self, pattern, since=0):
        """The first line of the server's kernel that has it, from that byte on; or an empty one."""
        try:
            with open(self.path("console.log"), encoding="utf-8", errors="replace") as file:
                file.seek(since)
                return next((line.strip() for line in file if re.search(pattern, line)), "")
        except FileNotFoundError:
            return ""

    def console_size(self):
        return os.path.getsize(self.path("console.log"))

    def console(self, since):
        """Its lines from that byte on, or from a new boot's first."""
        with open(self.path("console.log"), encoding="utf-8", errors="replace") as file:
            file.seek(since if since <= self.console_size() else 0)
            return file.read().splitlines()

    def monitor(self, *commands):
        """What QEMU's says to each: the only one who can say more once the server is silent."""
        ask = [{"execute": "qmp_capabilities"}] + [
            {"execute": "human-monitor-command", "arguments": {"command-line": line}}
            for line in commands]
        folder = os.open(self.dir, os.O_PATH)  # a socket's path has to be short
        try:
            with socket.socket(socket.AF_UNIX) as qmp, qmp.makefile("rw", encoding="utf-8") as lines:
                qmp.settimeout(QMP_S)
                qmp.connect(f"/proc/self/fd/{folder}/qmp")
                lines.write("".join(json.dumps(line) + "\n" for line in ask))
                lines.flush()
                said = (answer["return"] for answer in map(json.loads, lines)
                        if answer.get("return"))
                return [next(said) for _ in commands]
        except (OSError, ValueError, StopIteration) as error:
            raise LabError(f"QEMU's monitor: {error}") from None
        finally:
            os.close(folder)

    def processors(self):
        """Where they are, a few lines each, and what their interrupt controllers have."""
        try:
            said = self.monitor("info registers -a",
                                *(f"info lapic {cpu}" for cpu in range(server.PROCESSORS)))
        except LabError as error:
            return [str(error)]
        return [line for line in "\n".join(said).splitlines()
                if re.match(r"CPU#|RIP|CR0|EFER|CS |dumping|ISR|IRR", line)]

    def lost(self, since):
        """What the server's KVM has seen of a guest that the emulated processor has lost."""
        return self.said("^emulation: .*kvm_exit", since)

    def stalled(self):
        """An emulated processor whose timer never fires again: QEMU's failure, not the kernel's."""
        return self.said("INFO: rcu_preempt .*stall|panic.*: timer doesn't work through")

    def ended(self):
        """Why. A signal is an assertion of QEMU's; most else, the server did itself."""
        if self.qemu.returncode < 0:
            return Infrastructure(f"QEMU: {last_line(self.path('qemu.log'))}")
        if self.stalled():
            return Infrastructure(self.stalled())
        return LabError(self.said("Kernel panic") or f"QEMU: {last_line(self.path('qemu.log'))}")

    def cause(self, error):
        """What is behind a failure: QEMU's end, if it has come to that."""
        if isinstance(error, Infrastructure):
            return error
        try:
            self.qemu.wait(1)
        except subprocess.TimeoutExpired:
            return error
        return self.ended()

    def heard(self):
        return sum(os.path.getsize(self.path(name)) for name in ("console.log", "qemu.log")
                   if os.path.exists(self.path(name)))

    def await_ready(self):
        """Until it answers. LabError if it has ended, or is silent."""
        heard, since = -1, time.monotonic()

        def still():
            nonlocal heard, since
            if self.qemu.poll() is not None:
                raise self.ended()
            if self.stalled():
                raise Infrastructure(self.stalled())
            if self.heard() != heard:
                heard, since = self.heard(), time.monotonic()
            if time.monotonic() - since > SILENCE_S:
                raise Infrastructure(f"it was silent for {SILENCE_S} s")

        while not os.path.exists(self.path(f"channel{server.PORTS - 1}")):
            still()
            time.sleep(0.02)
        with Channel(self.dir, still) as channel:
            channel.run(["true"], to_own_streams)

    def boot(self, programs=None, extra=()):
        """Gives the seconds it took. Infrastructure is started again, and counted in `failed`."""
        self.take_lock()
        for name in ("prepare.log", "qemu.log"):
            if os.path.exists(self.path(name)):
                os.unlink(self.path(name))
        self.prepare(programs)
        for turn in range(1, STARTS_MAX + 1):
            started = time.monotonic()
            self.spawn(extra)
            try:
                self.await_ready()
            except LabError as error:
                error = self.cause(error)
                self.kill()
                if not isinstance(error, Infrastructure):
                    raise error from None
                self.failed += 1
                os.replace(self.path("console.log"), self.path(f"console.{turn}.log"))
                say(f"infrastructure: start {turn} of at most {STARTS_MAX}: {error}")
                continue
            except BaseException:
                self.kill()
                raise
            return time.monotonic() - started
        raise LabError(f"it did not come up in {STARTS_MAX} starts: see 'lab log'")

    def keep(self, life_s, pidfd=-1):
        """Until QEMU ends, its time is over, or that process has ended."""
        end = time.monotonic() + life_s
        try:
            while self.qemu.poll() is None and time.monotonic() < end:
                if select.select([pidfd] if pidfd >= 0 else [], [], [], 0.5)[0]:
                    return
        finally:
            self.kill()


def last_line(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = [line.strip() for line in file if line.strip()]
    return lines[-1] if lines else "it said nothing"


