# SPDX-License-Identifier: Apache-2.0
"""What the tests of the casemate command share: who runs it, how it is run, what it leaves.

A test is one program: it makes a Bench, and prints a line for each `with bench.check(NAME)`. The
command is run by root in a mount namespace with run and cache directories of the test's own, so
that tests run side by side, and by an ordinary user with folders made for that. All processes
are descendants of the test, orphans too, so what one leaves can be seen and is ended.
"""
import contextlib
import ctypes
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
PROGRAMS = ("casemate", "containerd-shim-casemate-v2")
GUEST_FILES = ("vmlinux", "base.img", "manifest.json")
PR_SET_CHILD_SUBREAPER = 36
CLONE_NEWNS = 0x20000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
NOBODY = 65534
PATIENCE_S = 120
SOAK = os.environ.get("SOAK") == "1"

libc = ctypes.CDLL(None, use_errno=True)


def mount(source, target, flags):
    if libc.mount(source.encode(), target.encode(), None, flags, None) != 0:
        raise OSError(ctypes.get_errno(), "mount", target)


class Result:
    """Of a command that has ended: status, and both streams as bytes."""

    def __init__(self, args, status, out, err, seconds):
        self.args, self.status, self.out, self.err = args, status, out, err
        self.seconds = seconds

    @property
    def text(self):
        return self.out.decode("utf-8", "replace")

    @property
    def errors(self):
        return self.err.decode("utf-8", "replace")

    @property
    def lines(self):
        return self.text.splitlines()

    def json(self):
        return json.loads(self.out)

    def __str__(self):
        return (f"{' '.join(map(str, self.args))[:400]}: status {self.status} after "
                f"{self.seconds:.1f} s\n  out: {self.out[:1500]!r}\n  err: {self.err[:1500]!r}")

    def ok(self, status=0):
        """That it ended so, and that casemate had nothing to say."""
        assert self.status == status and self.err == b"", f"expected {status}, silent: {self}"
        return self

    def refused(self, *words, status=125):
        """That it ended so with one line of casemate's own that has all of these words."""
        assert self.status == status, f"expected status {status}: {self}"
        assert self.out == b"", f"expected no output: {self}"
        lines = self.errors.splitlines()
        assert len(lines) == 1 and lines[0].startswith("casemate:"), f"expected one line: {self}"
        for word in words:
            assert word in lines[0], f"expected '{word}' in the error: {self}"
        return self


def equal(found, expected, what=""):
    assert found == expected, f"{what}: found {found!r}, expected {expected!r}"


def contains(found, *expected):
    for part in expected:
        assert part in found, f"expected {part!r} in {found!r}"


def eventually(condition, what, seconds=20):
    """Turns until the condition gives something true; gives that."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.05)


class Terminal:
    """A program on a pseudo-terminal."""

    def __init__(self, args, rows=24, columns=80, **options):
        self.fd, other = pty.openpty()
        self.resize(rows, columns)
        # setsid --ctty: SIGWINCH comes only to the terminal's own session
        self.process = subprocess.Popen(["setsid", "--ctty", "--wait", *args], stdin=other,
                                        stdout=other, stderr=other, start_new_session=False,
                                        **options)
        os.close(other)
        self.seen = b""

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def send(self, data):
        os.write(self.fd, data)

    def _read(self, seconds):
        if not select.select([self.fd], [], [], seconds)[0]:
            return None
        for _ in range(2):  # the first EIO may be from before the last that was written
            try:
                return os.read(self.fd, 65536)
            except OSError:
                pass
        return b""

    def expect(self, pattern, seconds=60):
        """Reads until the pattern is there; gives the match and forgets all up to its end."""
        end = time.monotonic() + seconds
        while True:
            match = re.search(pattern, self.seen)
            if match:
                self.seen = self.seen[match.end():]
                return match
            data = self._read(max(0, end - time.monotonic()))
            assert data, f"expected {pattern!r}, saw {self.seen[-600:]!r}"
            self.seen += data

    def end(self, seconds=60):
        """Reads to the end; gives the status and what was seen."""
        end = time.monotonic() + seconds
        while True:
            data = self._read(max(0, end - time.monotonic()))
            assert data is not None, f"no end, saw {self.seen[-600:]!r}"
            if not data:
                break
            self.seen += data
        status = self.process.wait(max(1, end - time.monotonic()))
        os.close(self.fd)
        return status, self.seen


class User:
    """One who runs casemate: root, or nobody with folders of the test's own."""

    def __init__(self, bench, name, prefix, program, run_dir, cache_dir, env):
        self.bench, self.name, self.prefix, self.program = bench, name, prefix, program
        self.run_dir, self.cache_dir, self.env = run_dir, cache_dir, env

    def command(self, *args):
        args = [str(arg) for arg in args]
        if args[:1] == ["run"] and not any(arg.startswith("--accel") for arg in args):
            args[1:1] = ["--accel", "tcg"]
        return [*self.prefix, self.program, *args]

    def __call__(self, *args, stdin=b"", timeout=PATIENCE_S, env=None, cwd=None):
        command = self.command(*args)
        started = time.monotonic()
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE if isinstance(stdin, bytes) else stdin,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**self.env, **(env or {})},
            cwd=cwd or self.bench.work)
        try:
            out, err = process.communicate(stdin if isinstance(stdin, bytes) else None, timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"no end within {timeout} s: {' '.join(command)[:400]}\n"
                                 f"  out: {out[-500:]!r}\n  err: {err[-500:]!r}") from None
        return Result(args, process.returncode, out, err, time.monotonic() - started)

    def start(self, *args, env=None, **options):
        """In the background; the caller has the Popen."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                   "stderr": subprocess.PIPE, **options}
        return subprocess.Popen(self.command(*args), env={**self.env, **(env or {})},
                                cwd=self.bench.work, **options)

    def terminal(self, *args, rows=24, columns=80, env=None):
        return Terminal(self.command(*args), rows, columns, cwd=self.bench.work,
                        env={**self.env, "TERM": "vt100", **(env or {})})

    def pod(self, name):
        """What `list --json` has about a pod, or None."""
        found = [pod for pod in self("list", "--json").ok().json() if pod["pod"] == name]
        return found[0] if found else None

    def container(self, name):
        return self("state", name).ok().json()

    def left(self):
        """What there is of pods on disk, and of processes anywhere below the test."""
        found = [f"{pid} ({line})" for pid, line in self.bench.processes()]
        for folder in ("pods", "leases", "uids"):
            path = os.path.join(self.run_dir, folder)
            found += [os.path.join(path, name) for name in
                      (os.listdir(path) if os.path.isdir(path) else [])]
        building = os.path.join(self.cache_dir, "layers")
        for path, _, names in os.walk(building):
            found += [os.path.join(path, name) for name in names
                      if not name.endswith((".img", ".json", ".lock")) or name.startswith(".")]
        return found

    def nothing_left(self, seconds=15):
        end = time.monotonic() + seconds
        while True:
            left = self.left()
            if not left:
                return
            assert time.monotonic() < end, "left behind: " + ", ".join(left)
            time.sleep(0.05)

    def clear(self):
        """After a test that went wrong: nothing of it is to disturb the next."""
        self.bench.kill_all(self.bench.services)
        with contextlib.suppress(AssertionError):
            self("recover", timeout=30)
        for folder in ("pods", "leases", "uids"):
            shutil.rmtree(os.path.join(self.run_dir, folder), ignore_errors=True)


class Bench:
    def __init__(self):
        self.failed = 0
        self.services = set()  # pids that live as long as the test: nobody's left-overs
        self.build = os.path.abspath(
            (sys.argv[1:] or [os.environ.get("CASEMATE_BUILD") or os.environ.get("BUILD")
                              or os.path.join(ROOT, "build")])[0])
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.work = tempfile.mkdtemp(prefix="casemate-boot-")
        os.chmod(self.work, 0o755)
        self.env = {name: os.environ[name] for name in
                    ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LLVM_PROFILE_FILE")
                    if name in os.environ}
        self.root = self.user = None
        if os.getuid() == 0:
            self.root = self._root()
            prefix = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
            self.user = self._user("user", NOBODY, prefix)
        else:
            self.user = self._user("user", os.getuid(), [])

    # -- who

    def _root(self):
        run_dir, cache_dir = "/run/casemate", "/var/cache/casemate"
        if libc.unshare(CLONE_NEWNS) != 0:
            raise SystemExit("no mount namespace can be had: run this as an ordinary user")
        mount("none", "/", MS_REC | MS_PRIVATE)
        for path, mode in ((run_dir, 0o700), (cache_dir, 0o755)):
            os.makedirs(path, exist_ok=True)
            own = self.folder("root" + path.replace("/", "-"), mode)
            mount(own, path, MS_BIND)
        return User(self, "root", [], os.path.join(self.build, "casemate"), run_dir, cache_dir,
                    {**self.env, "HOME": "/root"})

    def another_user(self, name, uid):
        """For root's tests: one of this number, who need not be in /etc/passwd."""
        return self._user(name, uid, ["setpriv", f"--reuid={uid}", f"--regid={uid}",
                                      "--clear-groups"])

    def _user(self, name, uid, prefix):
        home = self.folder(name, 0o700, uid)
        runtime, cache = (self.folder(os.path.join(name, sub), 0o700, uid)
                          for sub in ("runtime", "cache"))
        program = os.path.join(self.build, "casemate")
        base = os.path.join(self.build, "guest", "base.img")
        reach = f"test -x '{program}' && test -r '{base}'"
        if prefix and subprocess.run([*prefix, "sh", "-c", reach], check=False).returncode != 0:
            program = os.path.join(self.copy_programs("programs"), "casemate")
        return User(self, name, prefix, program, os.path.join(runtime, "casemate"),
                    os.path.join(cache, "casemate"),
                    {**self.env, "HOME": home, "XDG_RUNTIME_DIR": runtime,
                     "XDG_CACHE_HOME": cache})

    def copy_programs(self, name):
        """A folder with programs and guest, for one who may not read the build, or to change."""
        folder = self.folder(name, 0o755)
        self.folder(os.path.join(name, "guest"), 0o755)
        for path in [*PROGRAMS, *(os.path.join("guest", file) for file in GUEST_FILES)]:
            shutil.copy(os.path.join(self.build, path), os.path.join(folder, path))
        return folder

    def folder(self, name, mode=0o755, uid=None):
        path = os.path.join(self.work, name)
        os.makedirs(path, exist_ok=True)
        os.chmod(path, mode)
        if uid is not None and os.getuid() == 0:
            os.chown(path, uid, uid)
        return path

    def file(self, name, content, mode=0o644):
        path = os.path.join(self.work, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        os.chmod(path, mode)
        return path

    def needs_root(self, *names):
        """False, and a skip for each name, where root's tests cannot be run."""
        if self.root:
            return True
        for name in names:
            print(f"ok - {name} # SKIP machine: this is not root")
        return False

    # -- processes

    def descendants(self):
        """(pid, state, command line) of all below the test, orphans included."""
        parents, facts = {}, {}
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                    state, parent = file.read().rpartition(") ")[2].split()[:2]
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    line = file.read().replace(b"\0", b" ").decode("utf-8", "replace")
            except OSError:
                continue
            parents[int(entry)] = int(parent)
            facts[int(entry)] = (state, line.strip()[:100])
        found = []
        for pid, (state, line) in facts.items():
            above = parents[pid]
            while above > 1 and above != os.getpid():
                above = parents.get(above, 0)
            if above == os.getpid():
                found.append((pid, state, line))
        return found

    def processes(self):
        """Casemate's and QEMU's that live; ended orphans are reaped on the way."""
        found = []
        for pid, state, line in self.descendants():
            if state != "Z":
                if pid not in self.services and re.search(r"casemate|qemu", line.split(" ", 1)[0]):
                    found.append((pid, line))
            elif pid not in Started.pids:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
        return found

    def kill_all(self, spared=()):
        for _ in range(20):
            alive = [pid for pid, state, _ in self.descendants()
                     if state != "Z" and pid not in spared]
            for pid in alive:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if not alive:
                return
            time.sleep(0.05)

    # -- the report

    @contextlib.contextmanager
    def check(self, name, leaves_nothing=None):
        """Prints a line for what is inside; with a user, nothing of casemate may be left."""
        started = time.monotonic()
        try:
            yield
            if leaves_nothing:
                leaves_nothing.nothing_left()
        except Exception as error:  # every failure of a check is its own line
            self.failed += 1
            where = traceback.extract_tb(error.__traceback__)
            lines = [frame.lineno for frame in where if frame.filename == sys.argv[0]
                     or os.path.basename(frame.filename).startswith("test_")]
            kind = "" if isinstance(error, AssertionError) else type(error).__name__ + ": "
            print(f"not ok - {name}")
            print("".join(f"#   {line}\n" for line in
                          f"line {lines[-1:]}: {kind}{error}".splitlines()), end="")
            if leaves_nothing:
                leaves_nothing.clear()
        else:
            print(f"ok - {name}")
        finally:
            if os.environ.get("TIMES"):
                print(f"# {time.monotonic() - started:.1f} s")
            sys.stdout.flush()

    def end(self):
        self.kill_all()
        if os.environ.get("KEEP"):
            print(f"# kept: {self.work}")
        else:
            shutil.rmtree(self.work, ignore_errors=True)
        sys.exit(1 if self.failed else 0)


class Started:
    """The pids that a Popen of this program has, which nobody else may reap."""
    pids = set()


_popen_init = subprocess.Popen.__init__


def _noted(self, *args, **options):
    _popen_init(self, *args, **options)
    Started.pids.add(self.pid)


subprocess.Popen.__init__ = _noted
