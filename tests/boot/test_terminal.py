#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Containers on a terminal: a real pseudo-terminal on this side, and what a person would do at it.
# timeout: 200
import os
import signal
import sys
import termios

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import images
from harness import Bench, equal, eventually
from images import Oci

bench = Bench()
me = bench.root or bench.user
ref = Oci().add([images.base()]).write(os.path.join(bench.work, "image"))
PROMPT = rb"# (\x1b\[6n)?$"


def modes(terminal):
    return termios.tcgetattr(terminal.fd)


def runs(pod, *words):
    """In the terminal's foreground; the shell has changed the terminal's modes before."""
    eventually(lambda: list(words) in [line.split()[1:] for line in me("ps", pod).ok().lines],
               f"{' '.join(words)} in ps")


def interrupted(terminal, pod):
    """^C ends what runs in the shell, not the shell."""
    terminal.send(b"sleep 2000\n")
    terminal.expect(rb"sleep 2000\r\n")
    runs(pod, "sleep", "2000")
    terminal.send(b"\x03")
    terminal.expect(rb"\^C\r\n[^\n]*# (\x1b\[6n)?$")
    terminal.send(b"echo status $?\n")
    terminal.expect(rb"status 130\r\n")
    terminal.expect(PROMPT)


def resized(terminal):
    terminal.send(b"stty size\n")
    terminal.expect(rb"\n31 97\r\n")
    terminal.expect(PROMPT)
    terminal.send(b"sh -c 'trap \"stty size; exit\" WINCH; echo go; while :; do sleep 0.1; done'\n")
    terminal.expect(rb"\ngo\r\n")
    terminal.resize(44, 133)
    terminal.expect(rb"44 133\r\n")
    terminal.expect(PROMPT)


with bench.check("run -it: echo, ^C, the window's size, CR LF, the status; modes as before", me):
    terminal = me.terminal("run", "-it", "--name", "it", ref, "--", "/bin/sh", rows=31, columns=97)
    before = modes(terminal)
    terminal.expect(PROMPT)
    terminal.send(b"tty; echo $TERM; test -t 0 && test -t 1 && test -t 2 && echo all; ls /dev\n")
    terminal.expect(rb"ls /dev\r\n/dev/(pts/0|console)\r\n")
    terminal.expect(rb"xterm\r\nall\r\n")
    terminal.expect(rb"console")
    terminal.expect(PROMPT)
    interrupted(terminal, "it")
    resized(terminal)
    terminal.send(b"exit 7\n")
    eventually(lambda: terminal.process.poll() is not None, "its end", 30)
    equal(terminal.process.returncode, 7, "status")
    equal(modes(terminal), before, "the terminal's modes")

with bench.check("exec -it in a pod that was started without one"):
    me("run", "-d", "--name", "bg", ref, "--", "sleep", "1000").ok()
    terminal = me.terminal("exec", "-it", "bg", "/bin/sh", rows=31, columns=97)
    before = modes(terminal)
    terminal.expect(PROMPT)
    interrupted(terminal, "bg")
    resized(terminal)
    terminal.send(b"cat\n")
    terminal.expect(rb"cat\r\n")
    runs("bg", "cat")  # what is typed sooner is dropped as the modes change
    terminal.send(b"typed\n")
    terminal.expect(rb"typed\r\ntyped\r\n")
    terminal.send(b"\x04")
    terminal.expect(PROMPT)
    terminal.send(b"exit 8\n")
    eventually(lambda: terminal.process.poll() is not None, "its end", 30)
    equal(terminal.process.returncode, 8, "status")
    equal(modes(terminal), before, "the terminal's modes")

with bench.check("a flood to a terminal arrives whole, and ^C stops one that never ends"):
    terminal = me.terminal("exec", "-it", "bg", "/bin/sh", "-c",
                           "i=0; while [ $i -lt 20000 ]; do echo n$i; i=$((i+1)); done")
    status, seen = terminal.end()
    equal((status, seen), (0, b"".join(b"n%d\r\n" % i for i in range(20000))), "output")
    terminal = me.terminal("exec", "-it", "bg", "yes")
    terminal.expect(rb"y\r\ny\r\n")
    terminal.send(b"\x03")
    status, _ = terminal.end(30)
    equal(status, 130, "status")

with bench.check("exec -t of a user's terminal belongs to that user"):
    terminal = me.terminal("exec", "-it", "-u", "app", "bg", "sh", "-c",
                           "stat -c %U $(tty); echo x > $(tty)")
    status, seen = terminal.end()
    equal((status, seen), (0, b"app\r\nx\r\n"), "output")

with bench.check("a client that is terminated puts the terminal back, and its process ends"):
    terminal = me.terminal("exec", "-it", "bg", "sleep", "6543")
    before = modes(terminal)
    eventually(lambda: "6543" in me("ps", "bg").text, "sleep 6543 in ps")
    eventually(lambda: modes(terminal) != before, "raw mode")
    for pid, _, line in bench.descendants():
        if "6543" in line and "setsid" not in line:
            os.kill(pid, signal.SIGTERM)
    eventually(lambda: terminal.process.poll() is not None, "its end", 30)
    equal(modes(terminal), before, "the terminal's modes")
    eventually(lambda: "6543" not in me("ps", "bg").text, "sleep 6543 to end")

with bench.check("a terminal that hangs up ends a foreground exec"):
    terminal = me.terminal("exec", "-it", "bg", "sleep", "6544")
    eventually(lambda: "6544" in me("ps", "bg").text, "sleep 6544 in ps")
    os.close(terminal.fd)
    eventually(lambda: terminal.process.poll() is not None, "its end", 30)
    eventually(lambda: "6544" not in me("ps", "bg").text, "sleep 6544 to end")

with bench.check("-t without a terminal is refused, -it of which one is not, too"):
    me("exec", "-t", "bg", "true").refused("terminal")
    me("exec", "-it", "bg", "true").refused("terminal")

with bench.check("nothing is left of them", me):
    me("delete", "--force", "bg").ok()

bench.end()
