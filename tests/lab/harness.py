# SPDX-License-Identifier: Apache-2.0
"""What the tests in the emulated server share: booting it, running commands in it, counting.

A test is one program: it makes a Bench, gives functions to test(), and calls end(). QEMU is a
child of the program and ends with it. A QEMU that aborts, or is silent for a minute before a test
has had its first line, has not tested anything; nor has a test that failed while the server's KVM
saw the emulated processor lose a guest (lab/README.md). The server is booted anew and the test run
again, twice at most in a program, counted and printed. What fails after that has failed.
"""
import os
import sys
import time
import traceback

sys.dont_write_bytecode = True
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "lab"))

from channel import Channel, LabError, Silence, TimedOut  # noqa: E402
from emulator import Emulator, Infrastructure  # noqa: E402

AGAIN_MAX = 2
PATIENCE_S = 120
CONSOLE_LINES = 80


class Result:
    """Of a command in the server: status, and both streams as bytes."""

    def __init__(self, argv, status, out, err):
        self.argv, self.status, self.out, self.err = argv, status, out, err

    @property
    def text(self):
        return self.out.decode("utf-8", "replace")

    def ok(self, status=0):
        assert self.status == status, f"expected status {status}: {self}"
        return self

    def __str__(self):
        return (f"{' '.join(self.argv)[:300]}: status {self.status}\n  out: {self.out[-1500:]!r}\n"
                f"  err: {self.err[-1500:]!r}")


def equal(found, expected, what=""):
    assert found == expected, f"{what}: found {found!r}, expected {expected!r}"


class Bench:
    def __init__(self, extra=()):
        self.build = os.path.abspath((sys.argv[1:] or [os.environ.get("BUILD")
                                                       or os.path.join(ROOT, "build")])[0])
        self.extra, self.failed, self.again = list(extra), 0, 0
        self.emulator = Emulator(self.build)
        if not os.path.exists(os.path.join(self.emulator.image, "key")):
            print("the lab has no image: run lab/make-image first" if os.geteuid() == 0 else
                  "machine: the lab has no image, and only root makes one")
            sys.exit(77)
        self.boot()

    def boot(self):
        seconds = self.emulator.boot(extra=self.extra)
        print(f"# the server was ready after {seconds:.1f} s", flush=True)

    def run(self, *argv, stdin=b"", timeout_s=PATIENCE_S):
        """One command in the server."""
        streams = {b"O": bytearray(), b"X": bytearray()}
        stdin_fd = os.memfd_create("stdin")
        try:
            os.write(stdin_fd, stdin)
            os.lseek(stdin_fd, 0, os.SEEK_SET)
            with Channel(self.emulator.dir) as channel:
                status = channel.run(argv, lambda kind, data: streams[kind].extend(data),
                                     stdin_fd, timeout_s)
        except TimedOut as error:
            raise AssertionError(
                f"{' '.join(argv)[:300]}: {error}\n  out: {bytes(streams[b'O'][-500:])!r}\n"
                f"  err: {bytes(streams[b'X'][-500:])!r}") from None
        finally:
            os.close(stdin_fd)
        return Result(argv, status, bytes(streams[b"O"]), bytes(streams[b"X"]))

    def python(self, program, *argv, timeout_s=PATIENCE_S):
        """A program for the server's Python, which has only the smallest library."""
        return self.run("python3", "-", *argv, stdin=program.encode(), timeout_s=timeout_s)

    def first_line(self):
        try:
            self.run("true")
        except Silence as error:
            raise Infrastructure(str(error)) from None

    def once(self, function):
        """Infrastructure if it was QEMU that failed."""
        since = self.emulator.console_size()
        try:
            self.first_line()
            function(self)
        except LabError as error:
            raise self.emulator.cause(error) from None
        except Exception as error:
            lost = self.emulator.lost(since)
            if not lost:
                raise
            raise Infrastructure(f"{lost}: {error}") from None

    def steadily(self, function):
        """Once; again, in a server that is booted anew, if it was QEMU that failed."""
        while True:
            try:
                return self.once(function)
            except Infrastructure as error:
                self.again += 1
                print(f"# infrastructure: {self.again} of at most {AGAIN_MAX}: {error}", flush=True)
                self.emulator.kill()
                if self.again > AGAIN_MAX:
                    sys.exit("the emulator fails too often")
                self.boot()

    def test(self, name, function):
        started, since = time.monotonic(), self.emulator.console_size()
        try:
            self.steadily(function)
        except Exception as error:  # every failure of a test is its own line
            self.failed += 1
            frames = [frame.lineno for frame in traceback.extract_tb(error.__traceback__)
                      if os.path.basename(frame.filename).startswith("test_")]
            kind = "" if isinstance(error, AssertionError) else type(error).__name__ + ": "
            print(f"not ok - {name}")
            print("".join(f"#   {line}\n" for line in
                          f"line {frames[-1:]}: {kind}{error}".splitlines()), end="")
            for line in self.emulator.console(since)[-CONSOLE_LINES:]:
                print(f"#   console: {line}")
            print("".join(f"#   processors: {line}\n" for line in self.emulator.processors()), end="")
        else:
            print(f"ok - {name}")
        print(f"# {time.monotonic() - started:.1f} s", flush=True)

    def end(self):
        self.emulator.kill()
        sys.exit(1 if self.failed else 0)
