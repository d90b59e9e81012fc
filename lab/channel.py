# SPDX-License-Identifier: Apache-2.0
"""The host's end of a channel into the emulated server: one command, its streams, its status.

A channel is a virtio-serial port. What goes over it are frames: a letter, four bytes of length
with the least significant first, that many bytes; but first the host says HELLO and a nonce, and
both come back: what is before them, on either side, was another's. Then the host says R, with the terminal's rows and columns or nothing,
and the arguments, with NUL between them; then I, input; E, its end; W, another size of terminal.
The server says O and X, standard output and error, and S with one byte, the exit status, last.
To end a command before its time the host closes.
"""
import fcntl
import os
import select
import socket
import struct
import sys
import time

from server import PORTS

HEADER = struct.Struct("<cI")
HELLO = b"casemate-lab-"
CHUNK = 1 << 16
SILENCE_S = 60
GREETING_S = 10


class LabError(Exception):
    """The lab itself is not as it should be; what was run in it may be all right."""


class Silence(LabError):
    """Not one byte in SILENCE_S: the emulation hangs, not what was run."""


class TimedOut(Exception):
    pass


def _free_channel(run_dir):
    """(socket, lock) of one that nobody else has.

    It is the one that has not been used for longest: the server may take a moment to see that the
    last one has gone.
    """
    folder = os.open(run_dir, os.O_RDONLY | os.O_DIRECTORY)

    def used(number):
        try:
            return os.stat(f"channel{number}.lock", dir_fd=folder).st_mtime_ns
        except FileNotFoundError:
            return 0

    try:
        for number in sorted(range(PORTS), key=used):
            lock = os.open(f"channel{number}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600,
                           dir_fd=folder)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                continue
            channel = socket.socket(socket.AF_UNIX)
            try:
                # the path of a socket is short; that of a build folder may not be
                channel.connect(f"/proc/self/fd/{folder}/channel{number}")
            except OSError:
                os.close(lock)
                channel.close()
                raise
            return channel, lock
    except (FileNotFoundError, ConnectionRefusedError):
        raise LabError("the emulated server is not running") from None
    finally:
        os.close(folder)
    raise LabError(f"all {PORTS} channels into the emulated server are in use")


class Channel:
    """One that answers. `still` is called every second until it does, and may raise."""

    def __init__(self, run_dir, still=None):
        end = time.monotonic() + SILENCE_S
        while True:
            self.socket, self.lock = _free_channel(run_dir)
            self.seen = self.unsent = b""
            try:
                if self._greet(still):
                    return
            except BaseException:
                self.close()
                raise
            # it is still with the last one, who has gone
            self.close()
            if time.monotonic() > end:
                raise Silence(f"the emulated server has not answered for {SILENCE_S} s")

    def _greet(self, still):
        hello = HELLO + os.urandom(16).hex().encode()
        self.socket.sendall(hello)
        end = time.monotonic() + GREETING_S
        while hello not in self.seen:
            if still:
                still()
            elif time.monotonic() > end:
                return False
            if select.select([self.socket], [], [], 1)[0]:
                self._read()
        self.seen = self.seen.partition(hello)[2]
        return True

    def close(self):
        self.socket.close()
        os.utime(self.lock)
        os.close(self.lock)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, kind, data=b""):
        self.unsent += HEADER.pack(kind, len(data)) + data

    def _write(self):
        """As much as goes: the other side reads nothing while it waits for us to read."""
        try:
            self.unsent = self.unsent[self.socket.send(self.unsent, socket.MSG_DONTWAIT):]
        except BlockingIOError:
            pass
        except (BrokenPipeError, ConnectionResetError):
            raise LabError("the emulated server has ended") from None

    def _read(self):
        try:
            data = self.socket.recv(CHUNK)
        except ConnectionResetError:
            data = b""
        if not data:
            raise LabError("the emulated server has ended")
        self.seen += data

    def frames(self):
        """Those that are there in whole."""
        while len(self.seen) >= HEADER.size:
            kind, size = HEADER.unpack_from(self.seen)
            if len(self.seen) < HEADER.size + size:
                return
            data = self.seen[HEADER.size:HEADER.size + size]
            self.seen = self.seen[HEADER.size + size:]
            yield kind, data

    def run(self, argv, take, stdin=None, timeout_s=None, terminal=None):
        """Gives the status. take(kind, data) has the output; stdin is a descriptor or None.

        terminal is a function that gives rows and columns, whenever it is called.
        """
        size = terminal() if terminal else None
        words = [b"%d %d" % size if size else b"", *[os.fsencode(word) for word in argv]]
        if any(b"\0" in word for word in words) or not argv:
            raise ValueError("a command is one word at least, and no word has a NUL in it")
        self.send(b"R", b"\0".join(words))
        if stdin is None:
            self.send(b"E")
        end = time.monotonic() + timeout_s if timeout_s else None
        while True:
            for kind, data in self.frames():
                if kind == b"S":
                    return data[0]
                take(kind, data)
            wait = max(0, end - time.monotonic()) if end else 1
            more = [stdin] if stdin is not None and not self.unsent else []
            ready, writable, _ = select.select([self.socket, *more],
                                               [self.socket] if self.unsent else [], [],
                                               min(wait, 1))
            if end and time.monotonic() >= end:
                raise TimedOut(f"not done after {timeout_s} s")
            if terminal and terminal() != size:
                size = terminal()
                self.send(b"W", struct.pack("HHHH", *size, 0, 0))
            if stdin in ready:
                data = os.read(stdin, CHUNK)
                self.send(b"I" if data else b"E", data)
                stdin = stdin if data else None
            if writable:
                self._write()
            if self.socket in ready:
                self._read()


def write_all(fd, data):
    while data:
        data = data[os.write(fd, data):]


def to_own_streams(kind, data):
    write_all(1 if kind == b"O" else 2, data)
    sys.stdout.flush()
