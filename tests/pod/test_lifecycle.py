#!/usr/bin/env python3
# test_lifecycle.py GROUP [PATTERN] - whole runs of casemate and its shim, with a stand-in for QEMU and
# the guest (stand_in.h) that does well or fails at a chosen step. GROUP is one of commands, failures,
# kills, streams, tee, user; PATTERN picks tests by name. One line a test, as tools/check reads them.
#
# CASEMATE and STAND_IN name the two programs. As root all but `user` run in a mount namespace with a
# /run of their own, `user` under another user id; whoever else starts this runs everything as himself.
import concurrent.futures
import concurrent.futures.thread	# now: another user may not be able to read it later
import contextlib
import fcntl
import glob
import json
import os
import random
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

WINDOW = 4 * (32 << 10)		# POD_STREAM_WINDOW
FIFO = 64 << 10			# the kernel's, between shim and client
PUMP = 32 << 10			# PUMP_BYTES, the client's
SHIM_RSS_KIB = 16 << 10		# of a debug build; bench/ has the release build's figure
PATTERN = bytes(range(251)) * 40000
NOBODY = 65534
TESTS = []


def test(*groups):
    def add(function):
        TESTS.append((groups, function.__doc__, function))
        return function
    return add


class Failed(Exception):
    pass


def check(true, *words):
    if not true:
        line = sys._getframe(1).f_lineno
        raise Failed(f"line {line}: " + " ".join(str(word) for word in words))


def until(condition, words, seconds=10.0):
    """Waits until condition() is true; gives what it gave."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise Failed(f"line {sys._getframe(1).f_lineno}: not in time: {words}{leftovers_text()}")
        time.sleep(0.01)


# --- what it runs -------------------------------------------------------------------------------

class Place:
    """A folder with programs, guest, image and cache; and where the pods are kept."""

    def __init__(self, uid):
        self.dir = tempfile.mkdtemp(prefix="casemate-test-")
        os.chmod(self.dir, 0o755)
        self.bin = os.path.join(self.dir, "bin")
        os.mkdir(self.bin)
        casemate = os.environ["CASEMATE"]
        shim = os.path.join(os.path.dirname(casemate), "containerd-shim-casemate-v2")
        simtee = os.path.join(os.path.dirname(casemate), "casemate-simtee")
        for path in casemate, shim, simtee, os.environ["STAND_IN"]:
            shutil.copy(path, self.bin)
        self.casemate = os.path.join(self.bin, "casemate")
        self.sanitized = b"__asan_init" in open(shim, "rb").read()
        self.make("guest/vmlinux", b"kernel")
        self.make("guest/base.img", b"base" * 1024)
        self.make("guest/manifest.json", json.dumps({
            "schema": 1, "version": "0-stand-in",
            "kernel": {"file": "vmlinux", "sha256": "0" * 64},
            "base": {"file": "base.img", "data_blocks": 1, "hash_start": 1, "root": "0" * 64},
        }).encode())
        self.make("firmware", b"firmware" * 512)	# a whole page
        self.make("rootfs/etc/name", b"a root file system\n")
        os.mkdir(os.path.join(self.dir, "cache"))
        os.mkdir(os.path.join(self.dir, "xdg"), 0o700)
        if uid != os.geteuid():
            for name in "cache", "xdg":
                os.chown(os.path.join(self.dir, name), uid, uid)
        self.run_dir = "/run/casemate" if uid == 0 else os.path.join(self.dir, "xdg", "casemate")

    def make(self, name, data):
        path = os.path.join(self.dir, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as out:
            out.write(data)

    def program(self, mode):
        """The stand-in by the name that makes it misbehave."""
        path = os.path.join(self.bin, "stand-in" + (f"-{mode}" if mode else ""))
        if not os.path.exists(path):
            os.link(os.path.join(self.bin, "stand-in"), path)
        return path

    def env(self):
        return {**os.environ, "XDG_RUNTIME_DIR": os.path.join(self.dir, "xdg"),
                "HOME": self.dir}


PLACE = None


def run_argv(*command, mode="", flags=(), timeout="30s", config=()):
    settings = [f"qemu={PLACE.program(mode)}", f"guest_dir={PLACE.dir}/guest",
                f"firmware={PLACE.dir}/firmware", f"cache_dir={PLACE.dir}/cache",
                f"start_timeout_tcg={timeout}", *config]
    return [PLACE.casemate, "run", "--accel", "tcg",
            *[word for setting in settings for word in ("--config", setting)], *flags,
            f"rootfs:{PLACE.dir}/rootfs", "--", *command]


def call(argv, stdin=b"", timeout=20):
    """Runs it to its end: status, standard output, standard error as text."""
    done = subprocess.run(argv, input=stdin, capture_output=True, timeout=timeout, check=False,
                          env=PLACE.env())
    return done.returncode, done.stdout, done.stderr.decode(errors="replace")


def run(*command, stdin=b"", **options):
    return call(run_argv(*command, **options), stdin)


def casemate(*argv, stdin=b""):
    return call([PLACE.casemate, *argv], stdin)


def start(*command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, **options):
    return subprocess.Popen(run_argv(*command, **options), stdin=stdin, stdout=stdout,
                            stderr=subprocess.PIPE, env=PLACE.env())


def detached(name, *command, **options):
    flags = ["-d", "--name", name, *options.pop("flags", ())]
    status, out, said = run(*command, flags=flags, **options)
    check(status == 0 and out.decode().strip() == name, "run -d:", status, out, said)


def status_of(target):
    """What the pod's shim says of a container; None if there is none."""
    status, out, _ = casemate("state", target)
    return json.loads(out)["container"]["status"] if status == 0 else None


def finish(client, seconds=15.0):
    try:
        out, said = client.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        client.kill()
        client.communicate()
        raise Failed(f"the client has not ended{leftovers_text()}") from None
    return client.returncode, out, said.decode(errors="replace")


def field(number, data):
    """A string or message of protobuf's, below 16 KiB."""
    data = data.encode() if isinstance(data, str) else data
    size = [len(data)] if len(data) < 128 else [len(data) & 127 | 128, len(data) >> 7]
    return bytes([number << 3 | 2, *size]) + data


def ask(pod, method, request):
    """A call of the Task API on a connection of its own: the answer's first field and the socket."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(10)
    connection.connect(f"{PLACE.run_dir}/pods/{pod}/shim.sock")
    body = field(1, "containerd.task.v2.Task") + field(2, method) + field(3, request)
    connection.sendall(struct.pack(">IIBB", len(body), 1, 1, 0) + body)
    answer = b""
    while len(answer) < 10 or len(answer) < 10 + struct.unpack(">I", answer[:4])[0]:
        more = connection.recv(4096)
        check(more, method, "is not answered")
        answer += more
    return answer[10] >> 3 if len(answer) > 10 else 0, connection


# --- what is left -------------------------------------------------------------------------------

def processes(name=""):
    """Process ids and command lines of what was started from the place, clients aside."""
    found = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            words = open(path, "rb").read().decode(errors="replace").split("\0")
        except OSError:
            continue
        if words[0].startswith(PLACE.bin + "/") and words[1:2] not in (["run"], ["exec"]) and \
                os.path.basename(words[0]).startswith(name):
            found.append((int(path.split("/")[2]), " ".join(words)[:100]))
    return found


def files():
    return [path for folder in ("pods", "leases", "uids")
            for path in glob.glob(f"{PLACE.run_dir}/{folder}/*")]


def leftovers_text():
    return f"; processes: {processes()}; files: {files()}"


def clean(seconds=5.0):
    until(lambda: not processes() and not files(), "nothing is left", seconds)


def pids(name):
    return [pid for pid, _ in processes(name)]


def kill(*victims):
    """All of them; then waits until they have let go of what they had open: locks, for one."""
    ends = []
    for pid in victims:
        with contextlib.suppress(ProcessLookupError):
            ends.append(os.pidfd_open(pid))
            signal.pidfd_send_signal(ends[-1], signal.SIGKILL)
    for pidfd in ends:
        check(select.select([pidfd], [], [], 10)[0], "a killed process does not end")
        os.close(pidfd)


def sweep():
    """After a test that failed: the next one begins with nothing."""
    for _ in range(50):
        kill(*[pid for pid, _ in processes()])
        time.sleep(0.02)
        if not processes():
            break
    for path in files():
        shutil.rmtree(path, ignore_errors=True)
        if os.path.lexists(path):
            os.unlink(path)


def error_lines(said):
    return [line for line in said.splitlines() if line.startswith("casemate: run:")]


# --- a secure processor -------------------------------------------------------------------------

SOCKET = "/run/casemate-simtee/socket"


def tee_options(*command, flags=(), config=()):
    """For run(): a policy for that command, and a processor that keeps its key in the place."""
    made = [PLACE.casemate, "policy", "generate",
            *[word for word in run_argv(*command)[2:]]]
    status, policy, said = call(made)
    check(status == 0, "policy generate:", said)
    PLACE.make("xdg/policy.json", policy)
    return {"flags": ["--tee", "sim", "--policy", f"{PLACE.dir}/xdg/policy.json", *flags],
            "config": [f"simtee_dir={PLACE.dir}/simtee", *config]}


class Service:
    """casemate-simtee where the configuration has it."""

    def __enter__(self):
        self.process = subprocess.Popen(
            [f"{PLACE.bin}/casemate-simtee", "--qemu", PLACE.program(""), "--dir",
             f"{PLACE.dir}/simtee", "--uid-first", "90000", "--uid-count", "4096",
             "--socket", SOCKET], stderr=subprocess.DEVNULL)
        until(self.listens, "the processor listens")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        check(self.process.wait(10) in (0, -signal.SIGKILL), "its end", self.process.returncode)
        until(lambda: not pids("casemate-simtee"), "the key's process ends with it")

    @staticmethod
    def listens():
        """A name alone may be what a killed one left, or not listened at yet."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            return connection.connect_ex(SOCKET) == 0

    def children(self):
        return [pid for pid, _ in processes("stand-in")]


@test("tee")
def tee_alone():
    """with no service there, root's pod starts a processor of its own, which ends with it"""
    options = tee_options("exit", "7")
    for _ in range(3):
        got = run("exit", "7", **options)
        check(got == (7, b"", ""), got)
        clean()
    detached("a", "sleep", **tee_options("sleep"))
    check(len(pids("casemate-simtee")) == 2, "it and its key's process", processes())
    check(casemate("delete", "--force", "a")[0] == 0)
    clean(1)


@test("tee")
def tee_served():
    """pods use the service that is there, and it outlives them"""
    options = tee_options("exit", "3")
    with Service() as service:
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            got = list(pool.map(lambda _: run("exit", "3", **options), range(8)))
        check(got == [(3, b"", "")] * 8, got)
        check(len(pids("casemate-simtee")) == 2, "no other was started", processes())
        check(service.process.poll() is None)
    clean()


@test("tee")
def tee_shim_killed():
    """when the shim is killed, the processor ends the VM, and recovery finds nothing to wait for"""
    with Service() as service:
        detached("a", "sleep", **tee_options("sleep"))
        kill(*pids("containerd-shim"))
        until(lambda: not service.children(), "QEMU has ended", 2)
        check(casemate("recover")[0] == 0)
        check(not files(), files())
        check(run("exit", "4", **tee_options("exit", "4"))[0] == 4)
    clean()


@test("tee")
def tee_processor_killed():
    """when the processor is killed, the VM ends and the pod says so"""
    with Service() as service:
        client = start("sleep", **tee_options("sleep"))
        until(service.children, "QEMU runs")
        time.sleep(0.3)
        kill(service.process.pid)
        status, _, said = finish(client)
        check(status in (125, 137), status, said)
        until(lambda: not service.children(), "QEMU has ended", 2)
    clean()


@test("tee")
def tee_vm_ends():
    """a VM that ends by itself is told with QEMU's status, as without a processor"""
    with Service():
        got = run("sleep", mode="die-run", **tee_options("sleep", config=(
            f"simtee_socket={PLACE.dir}/nobody",)))
        check(got[0] == 125 and "QEMU's status is 3)" in got[2], got)
    clean()


@test("tee")
def tee_refused():
    """what the processor refuses is one line with its reason, and nothing is left"""
    options = tee_options("exit", "0")
    with Service():
        got = run("exit", "0", mode="hang-qmp", **options)
        check(got[0] == 125 and "no other program" in got[2], got)
        check(len(error_lines(got[2])) == 1, got)
    clean()
    PLACE.make("notempty/file", b"x")
    options["config"] = [f"simtee_dir={PLACE.dir}/notempty"]
    got = run("exit", "0", **options)
    check(got[0] == 125 and "it is not empty" in got[2], got)
    clean()


@test("tee")
def tee_late():
    """a processor that takes its time within its own limits is waited for"""
    options = tee_options("exit", "6")
    with Service() as service:
        os.kill(service.process.pid, signal.SIGSTOP)
        client = start("exit", "6", **options)
        time.sleep(11)
        check(client.poll() is None, "it is not given up")
        os.kill(service.process.pid, signal.SIGCONT)
        got = finish(client)
        check(got == (6, b"", ""), got)
    clean()


@test("tee")
def tee_refusals():
    """what the agent's policy refused is told; if the agent does not tell it, that is unknown"""
    for mode, known in ("", ([], 0)), ("refused", (["policy-exec"], 70)), \
            ("hang-refusals", (None, None)):
        detached("a", "sleep", mode=mode, **tee_options("sleep", config=(
            f"simtee_socket={PLACE.dir}/nobody",)))
        status, out, said = casemate("state", "a")
        check(status == 0, said)
        told = json.loads(out)["casemate"]
        codes = told["refusals"] and [one["code"] for one in told["refusals"]]
        check((codes, told["refusal_count"]) == known, mode, told)
        check(casemate("delete", "--force", "a")[0] == 0)
        clean()
    detached("a", "sleep")
    check("refusals" not in json.loads(casemate("state", "a")[1])["casemate"], "without a policy")
    check(casemate("delete", "--force", "a")[0] == 0)
    clean()


@test("user")
def tee_without():
    """without a processor --tee sim is refused by name"""
    got = run("exit", "0", **tee_options("exit", "0", config=(
        f"simtee_socket={PLACE.dir}/nobody",)))
    check(got[0] == 125 and "there is no processor at" in got[2] and
          "start casemate-simtee" in got[2], got)
    clean()


# --- commands -----------------------------------------------------------------------------------

@test("commands", "user")
def statuses():
    """a command's exit status is run's"""
    for status in 0, 1, 2, 77, 125, 127, 128, 137, 255:
        got = run("exit", str(status))
        check(got == (status, b"", ""), status, got)
    clean()


@test("commands")
def every_status():
    """each exit status from 0 to 255 comes back through exec"""
    detached("a", "sleep")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda n: casemate("exec", "a", "exit", str(n)), range(256)))
    check([one[0] for one in got] == list(range(256)), got)
    check(casemate("delete", "--force", "a")[0] == 0)
    clean()


@test("commands")
def cannot_start():
    """a program that is not there is 127, one that is none 126, and nothing is left"""
    for name, status in ("nonesuch", 127), ("noexec", 126):
        got = run(name)
        check(got[0] == status and len(error_lines(got[2])) == 1, got)
        clean()


@test("commands", "user")
def name_taken():
    """a name that is taken is refused, and free again after delete"""
    detached("a", "sleep")
    status, _, said = run("exit", "0", flags=["--name", "a"])
    check(status == 125 and "name-taken" in said.replace("_", "-"), status, said)
    check(casemate("exec", "a", "exit", "7")[0] == 7, "the live pod is still there")
    check(casemate("delete", "a")[0] == 1, "a running pod is not deleted without --force")
    check(casemate("delete", "--force", "a")[0] == 0)
    clean(1)
    check(run("exit", "5", flags=["--name", "a"])[0] == 5)
    clean()


@test("commands")
def after_the_end():
    """a detached pod that has ended keeps its status until it is deleted"""
    detached("a", "exit", "9")
    until(lambda: status_of("a") == "stopped", "the pod has stopped")
    state = json.loads(casemate("state", "a")[1])
    check(state["container"]["exit_status"] == 9, state)
    until(lambda: not pids("stand-in"), "QEMU does not outlive the last container")
    check(casemate("exec", "a", "exit", "0")[0] == 125, "no exec in what has ended")
    check(casemate("kill", "a")[0] != 0, "no signal to what has ended")
    check(run("exit", "0", flags=["--pod", "a"])[0] == 125, "no container in what has ended")
    check(casemate("delete", "a")[0] == 0)
    clean(1)


@test("commands")
def removed():
    """-d --rm leaves nothing once it has ended"""
    detached("a", "sleep", flags=["--rm"])
    check(casemate("kill", "a", "KILL")[0] == 0)
    clean()


@test("commands", "user")
def second_container():
    """run --pod adds a container to a pod, which goes on when that ends"""
    detached("a", "sleep")
    check(run("exit", "3", flags=["--pod", "a"])[0] == 3)
    check(run("sleep", flags=["--pod", "a", "--name", "b", "-d"])[1] == b"a/b\n")
    got = run("exit", "0", flags=["--pod", "a", "--name", "b"])
    check(got[0] == 125 and "has one of that name" in got[2], got)
    got = run("cat", flags=["--pod", "a", "-i"], stdin=b"through the second")
    check(got == (0, b"through the second", ""), got)
    names = [one["name"] for one in json.loads(casemate("state", "a")[1])["casemate"]["containers"]]
    check(names == ["main", "b"], "those that ended in the foreground are gone", names)
    check(casemate("kill", "a/b", "KILL")[0] == 0)
    until(lambda: casemate("delete", "a/b")[0] == 0, "the second is deleted")
    check(casemate("exec", "a", "exit", "4")[0] == 4)
    check(casemate("delete", "--force", "a/main")[0] == 0)
    clean()


@test("commands", "user")
def own_run_dir():
    """a pod with a run directory of its own is there for whoever names that with --config"""
    folder = os.path.join(PLACE.dir, "xdg", "own")
    there = ["--config", f"run_dir={folder}"]
    detached("a", "sleep", config=[there[1]])
    check(casemate("list", "--json")[1].split() == [b"[]"], "it is in no other")
    for command in ["state"], ["ps"], ["logs"], ["kill"], ["delete"]:
        check(casemate(*command, "a")[0] == 1, command, "finds it without")
    check(casemate("exec", "a", "exit", "0")[0] == 125)
    check(json.loads(casemate("list", "--json", *there)[1])[0]["pod"] == "a")
    for command in ["state"], ["ps"], ["logs"]:
        check(casemate(*command, *there, "a")[0] == 0, command)
        check(casemate(*command, "a", *there)[0] == 0, command)
    check(casemate("exec", *there, "a", "exit", "5")[0] == 5)
    check(casemate("recover", *there)[1] == b"nothing to recover\n")
    check(casemate("kill", *there, "a", "KILL")[0] == 0)
    until(lambda: casemate("delete", "a", *there)[0] == 0, "it is deleted")
    check(not glob.glob(f"{folder}/pods/*"), "left behind")
    clean()


@test("commands")
def signals():
    """kill reaches the process, a signal to a foreground client too"""
    detached("a", "deaf")
    check(casemate("kill", "a")[0] == 0)
    check(status_of("a") == "running", "it is deaf")
    check(casemate("kill", "a", "9")[0] == 0)
    until(lambda: status_of("a") == "stopped", "SIGKILL ends it")
    check(json.loads(casemate("state", "a")[1])["container"]["exit_status"] == 137)
    check(casemate("delete", "a")[0] == 0)
    client = start("sleep", flags=["--name", "b"])
    until(lambda: status_of("b") == "running", "it runs")
    client.send_signal(signal.SIGTERM)
    check(finish(client)[0] == 143)
    clean()


@test("commands", "user")
def interrupted():
    """SIGINT before the command has started ends everything, with 130"""
    for mode in "hang-exec", "hang-hello", "hang-create", "hang-start":
        client = start("sleep", mode=mode)
        until(lambda: pids("stand-in"), "QEMU is there")
        time.sleep(0.05)
        client.send_signal(signal.SIGINT)
        status, _, said = finish(client)
        check(status == 130, mode, status, said)
        clean(2)


@test("commands", "user")
def many_execs():
    """twenty execs at once each get their own input and output"""
    detached("a", "sleep")

    def one(n):
        data = random.Random(n).randbytes(10000 + 7001 * n)
        got = casemate("exec", "-i", "a", "cat", stdin=data)
        return got == (0, data, "")

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        check(all(pool.map(one, range(20))))
    check(b"sleep" in casemate("ps", "a")[1])
    check(casemate("exec", "-d", "a", "sleep")[0] == 0)
    until(lambda: casemate("ps", "a")[1].count(b"sleep") == 2, "an exec in the background")
    check(casemate("delete", "--force", "a")[0] == 0)
    clean()


@test("commands", "user")
def execs_beyond():
    """seventy sessions at once, beyond 256 descriptors, and beside them who asks is answered"""
    argv = run_argv("sleep", flags=["-d", "--name", "a"])
    status, _, said = call(["sh", "-c", 'ulimit -S -n 256 && exec "$@"', "sh", *argv])
    check(status == 0, said)
    sessions = [subprocess.Popen([PLACE.casemate, "exec", "-i", "a", "cat"], env=PLACE.env(),
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE) for _ in range(70)]
    until(lambda: b"cat" in casemate("ps", "a")[1] and all(
        len(glob.glob(f"{PLACE.run_dir}/pods/a/io-{session.pid}-*")) == 0 for session in sessions),
          "all have their streams")
    check(status_of("a") == "running")
    for n, session in enumerate(sessions):
        out, said = session.communicate(b"%d" % n, 20)
        check((session.returncode, out, said) == (0, b"%d" % n, b""), n, session.returncode, said)
    check(casemate("delete", "--force", "a")[0] == 0)
    clean()


@test("commands", "user")
def exec_ends_with_client():
    """what is exec'd ends with its client, and leaves no trace, however often"""
    detached("a", "sleep")
    for _ in range(3):
        clients = [subprocess.Popen([PLACE.casemate, "exec", "a", "deaf"], env=PLACE.env(),
                                    stdout=subprocess.DEVNULL) for _ in range(5)]
        until(lambda: casemate("ps", "a")[1].count(b"deaf") == 5, "they run")
        for client in clients:
            client.kill()
            client.wait()
        until(lambda: b"deaf" not in casemate("ps", "a")[1], "they have ended with their clients")
    until(lambda: not glob.glob(f"{PLACE.run_dir}/pods/a/io-*"), "their folders are gone", 3)
    check(casemate("exec", "a", "exit", "6")[0] == 6)
    check(casemate("delete", "--force", "a")[0] == 0)
    clean()


@test("commands")
def exec_slots():
    """execs whose clients were killed do not use up the pod's room for execs"""
    detached("a", "sleep")

    def one(_):
        client = subprocess.Popen([PLACE.casemate, "exec", "a", "deaf"], env=PLACE.env(),
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(random.random() * 0.2)	# before, while, and after it is made and started
        client.kill()
        client.wait()

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(one, range(300)))		# POD_MAX_EXECS is 256
    until(lambda: b"deaf" not in casemate("ps", "a")[1], "they have ended with their clients")
    check(casemate("exec", "a", "exit", "6")[0] == 6)
    check(casemate("delete", "--force", "a")[0] == 0)
    clean()


@test("commands", "user")
def exec_never_started():
    """execs that were made and never started go with the connection that asked for them"""
    detached("a", "sleep")
    spec = field(1, "casemate.dev/Process") + field(2, field(1, "sleep"))
    for n in range(300):			# POD_MAX_EXECS is 256
        said, connection = ask("a", "Exec", field(1, "main") + field(2, f"e{n}") + field(7, spec))
        check(said != 1, "the exec is refused, after", n)
        connection.close()
    check(casemate("exec", "a", "exit", "6")[0] == 6)
    check(casemate("delete", "--force", "a")[0] == 0)
    clean()


@test("commands", "user")
def exec_ends_with_container():
    """an exec that is starting when its container ends is over too, with 137"""
    detached("a", "sleep")
    check(casemate("exec", "a", "last") == (137, b"", ""))
    check(status_of("a") == "stopped")
    check(casemate("delete", "a")[0] == 0)
    clean()


@test("commands")
def container_ends_with_client():
    """a second container ends with its client, and its pod goes on"""
    detached("a", "sleep")
    client = start("deaf", flags=["--pod", "a", "--name", "b"])
    until(lambda: status_of("a/b") == "running", "it runs")
    client.kill()
    finish(client)
    until(lambda: status_of("a/b") is None, "it is gone with its client")
    check(casemate("exec", "a", "exit", "6")[0] == 6)
    check(casemate("delete", "--force", "a")[0] == 0)
    clean()


@test("commands", "user")
def log_is_bounded():
    """a detached container's log keeps the last of its output, within its size"""
    detached("a", "write", "1000000", config=["log_size=64KiB"])
    until(lambda: status_of("a") == "stopped", "it has ended")
    until(lambda: not pids("stand-in"), "and its output was read")
    size = sum(os.stat(path).st_size for path in glob.glob(f"{PLACE.run_dir}/pods/a/*.log*"))
    check(32 << 10 <= size <= 64 << 10, "bytes on disk:", size)
    log = casemate("logs", "a")[1]
    check(len(log) == size and log == PATTERN[:1000000][-len(log):], len(log), size)
    check(casemate("delete", "a")[0] == 0)
    clean()


@test("commands")
def while_it_starts():
    """questions about a pod that is starting harm nothing, and delete --force ends it"""
    for mode in "hang-exec", "hang-hello", "hang-create", "hang-start":
        client = start("sleep", mode=mode, flags=["--name", "a"])
        until(lambda: glob.glob(f"{PLACE.run_dir}/pods/a/shim.sock"), "the shim is there")
        until(lambda: casemate("list")[0] == 0 and pids("stand-in"), "QEMU is there")
        time.sleep(0.03)
        for command in ["list"], ["state", "a"], ["state", "a/b"], ["ps", "a"], ["kill", "a"], \
                ["exec", "a", "exit", "0"], ["logs", "a"], ["delete", "a/main"]:
            status, _, said = casemate(*command)
            check(status in (0, 1, 2, 3, 125) and "shim has ended" not in said, command, said)
        if mode in ("hang-exec", "hang-hello"):
            status, _, said = run("sleep", flags=["--pod", "a"])
            check(status == 125 and "still starting" in said, status, said)
        check(client.poll() is None, "the client still waits")
        check(casemate("delete", "--force", "a")[0] == 0)
        status, _, said = finish(client)
        check(status in (125, 137) and len(error_lines(said)) <= 1, mode, status, said)
        clean(1)


@test("commands", "user")
def many_pods():
    """a dozen pods at once each have their own name, user id and output"""
    def one(n):
        return run("write", str(1000 + n)) == (0, PATTERN[:1000 + n], "")

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        check(all(pool.map(one, range(24))))
    clean()


@test("commands")
def logs_follow():
    """logs -f ends when the container has, with all its output, also what comes after its end"""
    for command in "write", "trail":
        detached("a", command, "300000")
        status, out, said = casemate("logs", "-f", "a")
        check((status, said) == (0, "") and out == PATTERN[:300000], command, status, len(out), said)
        check(casemate("delete", "a")[0] == 0)
        clean()


# has the lock file that a process has too, until its standard input ends
HOLDER = """
import ctypes, os, sys
pid, fd = map(int, sys.argv[1:])
PIDFD_GETFD = 438
assert ctypes.CDLL(None).syscall(PIDFD_GETFD, os.pidfd_open(pid), fd, 0) >= 0
print("held", flush=True)
sys.stdin.read()
"""


@test("commands")
def asked_at_the_end():
    """who asks a pod that is giving back what it held is told that it has ended, once it has"""
    detached("a", "sleep")
    qemu = pids("stand-in")[0]
    lock = [path.rpartition("/")[2] for path in glob.glob(f"/proc/{qemu}/fd/*")
            if os.readlink(path).startswith(PLACE.run_dir)][0]
    asked = [["delete", "--force", "a"], ["delete", "a"], ["kill", "a"], ["state", "a"], ["list"]]
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(qemu), lock], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as holder, \
            concurrent.futures.ThreadPoolExecutor(1 + len(asked)) as pool:
        check(holder.stdout.readline() == b"held\n")
        first = pool.submit(casemate, "delete", "--force", "a")
        until(lambda: not pids("stand-in"), "QEMU has ended")
        got = [pool.submit(casemate, *argv) for argv in asked]
        time.sleep(0.5)
        check(not first.done() and not any(one.done() for one in got), "they wait")
        holder.stdin.close()
        got = [one.result() for one in got]
        check(first.result()[0] == 0, first.result())
    check([one[0] for one in got[:2]] == [0, 0], got)
    check(all(one[0] != 0 and "'a' has just ended (no-such-pod)" in one[2] for one in got[2:4]), got)
    check(got[4][0] == 0 and b"main" not in got[4][1] and not got[4][2], got)
    clean()


@test("commands")
def asked_of_one_that_hangs():
    """list names a pod whose shim does not answer, and shows the others"""
    detached("a", "sleep")
    detached("b", "sleep")
    hung = [pid for pid, words in processes("containerd-shim") if "-id a " in words][0]
    os.kill(hung, signal.SIGSTOP)
    status, out, said = casemate("list")
    os.kill(hung, signal.SIGCONT)
    check(status != 0 and re.search(r"\nb +main", out.decode()) and "pod 'a'" in said, status, out, said)
    check(casemate("delete", "--force", "a", "b")[0] == 0)
    clean()


def open_files(pid):
    found = []
    for path in glob.glob(f"/proc/{pid}/fd/*"):
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(path))
    return found


@test("commands")
def deleted_as_it_is_killed():
    """delete says so if the shim was killed before it could give anything back"""
    detached("a", "sleep")
    shim = pids("containerd-shim")[0]
    os.kill(shim, signal.SIGSTOP)
    asked = subprocess.Popen([PLACE.casemate, "delete", "--force", "a"], env=PLACE.env(),
                             stderr=subprocess.PIPE)
    until(lambda: any(path.endswith("/leases/a.journal") for path in open_files(asked.pid)),
          "it has connected, and has looked what the pod holds")
    kill(shim)
    status, _, said = finish(asked)
    check(status == 3 and "casemate recover" in said, status, said)
    until(lambda: not processes(), "QEMU ends with its shim")
    check(casemate("recover")[0] == 0)
    clean()


@test("commands")
def deleted_at_the_start():
    """delete without --force is a no to a pod whose container has not begun yet"""
    client = start("sleep", mode="hang-create", flags=["--name", "a"])
    until(lambda: status_of("a") == "creating", "it is made")
    status, _, said = casemate("delete", "a")
    check(status == 1 and "creating" in said, status, said)
    check(client.poll() is None and casemate("delete", "--force", "a")[0] == 0)
    finish(client)
    clean()


# --- failures -----------------------------------------------------------------------------------

# mode, what the error line says, whether the console's last lines follow
FAILURES = [
    ("hang-exec", "did not come up in 3 s", False),
    ("hang-qmp", "in 3 s.*disks", True),
    ("hang-disk", "in 3 s.*disks", True),
    ("hang-hello", "did not come up in 3 s.*agent", True),
    ("hang-create", "in 3 s.*create", True),
    ("hang-start", "in 3 s.*start", True),
    ("flood-port", "did not come up in 3 s.*agent|broke the protocol", True),
    ("die-qmp", "ended by itself.*status is 3", True),
    ("die-hello", "ended by itself.*status is 3", True),
    ("die-create", "ended by itself.*status is 3", True),
    ("die-start", "ended by itself.*status is 3", True),
    ("die-run", "ended by itself.*status is 3", True),
    ("slow-end", "ended by itself.*status is 3", True),
    ("garbage-hello", "broke the protocol|as an agent does", True),
    ("garbage-run", "broke the protocol", True),
    ("old-hello", "as an agent does", True),
    ("shutdown", "the guest shut down", True),
    ("refuse-qmp", "no such luck", False),
    ("refuse-create", "the root hash is another", False),
    ("long-output", "broke the protocol|more than was asked for", True),
]


def failing(mode, words, with_console):
    def function():
        began = time.monotonic()
        hangs = mode.startswith(("hang", "flood"))
        command = ["write", "100000"] if mode == "long-output" else ["sleep"]
        status, out, said = run(*command, mode=mode, timeout="3s" if hangs else "30s")
        took = time.monotonic() - began
        lines = error_lines(said)
        check(status == 125, "status", status, said)
        check(len(lines) == 1 and re.search(words, lines[0]), said)
        check(not out, "bytes on standard output:", len(out))
        check(with_console == ("stand-in: " + mode in said), "the console's last lines:", said)
        check(took < 8, "it took", took)
        clean(1)
    function.__doc__ = f"a guest that does '{mode}' ends in one clear line, and nothing is left"
    return function


for _mode, _words, _console in FAILURES:
    test(*(["failures", "user"] if _mode in ("hang-hello", "die-run") else ["failures"]))(
        failing(_mode, _words, _console))


@test("failures")
def console_flood():
    """a guest that floods its console costs no memory and holds nothing up"""
    detached("a", "sleep", mode="flood-console")
    time.sleep(0.5)
    check(rss_kib(pids("containerd-shim")[0]) < SHIM_RSS_KIB or is_sanitized())
    began = time.monotonic()
    check(casemate("exec", "a", "exit", "8")[0] == 8)
    check(casemate("delete", "--force", "a")[0] == 0)
    check(time.monotonic() - began < 3, "it takes too long")
    clean()


@test("failures")
def hanging_calls():
    """an agent that does not answer a call any more ends with the call's deadline, not never"""
    detached("a", "sleep", mode="hang-exec-process", timeout="3s")
    began = time.monotonic()
    status, _, said = casemate("exec", "a", "exit", "0")
    check(status == 125 and time.monotonic() - began < 7, status, said)
    check(casemate("delete", "--force", "a")[0] == 0)
    clean()
    detached("a", "sleep", mode="hang-kill", timeout="3s")
    began = time.monotonic()
    check(casemate("kill", "a")[0] not in (0, None))
    check(time.monotonic() - began < 7)
    check(casemate("delete", "--force", "a")[0] == 0)
    clean()


@test("failures", "user")
def bad_requests():
    """what is refused before anything starts leaves nothing"""
    for flags in ["--config", "nonesuch=1"], ["--memory", "1k"], ["--hostname", "a b"], \
            ["--config", f"guest_dir={PLACE.dir}/rootfs"], ["--config", "qemu=/nonesuch"]:
        status, out, said = run("exit", "0", flags=flags)
        check(status == 125 and not out and len(error_lines(said)) == 1, flags, status, said)
        clean(1)
    argv = run_argv("exit", "0")
    argv[argv.index(f"rootfs:{PLACE.dir}/rootfs")] = f"rootfs:{PLACE.dir}/nonesuch"
    status, _, said = call(argv)
    check(status == 125 and "nonesuch" in said, status, said)
    clean(1)


@test("failures")
def full_disk():
    """a full disk under the run directory is an error, and nothing is left"""
    if not os.path.ismount("/run") or os.geteuid() != 0:
        return "machine: no /run of its own"
    check(run("exit", "0")[0] == 0)
    filler = "/run/filler"
    try:
        filler_fd = os.open(filler, os.O_WRONLY | os.O_CREAT)
        try:
            while os.write(filler_fd, bytes(4096)):
                pass
        except OSError:
            os.close(filler_fd)
        status, _, said = run("exit", "0")
        check(status == 125 and "No space left" in said, status, said)
    finally:
        os.unlink(filler)
    clean()
    check(run("exit", "0")[0] == 0)
    clean()
    return None


# --- kills --------------------------------------------------------------------------------------

STEPS = [("exec", "hang-exec", "sleep"), ("qmp", "hang-qmp", "sleep"), ("hello", "hang-hello", "sleep"),
         ("create", "hang-create", "sleep"), ("start", "hang-start", "sleep"),
         ("running", "", "sleep"), ("flowing", "", "flood")]
VICTIMS = [("shim",), ("qemu",), ("client",), ("shim", "qemu"), ("shim", "client"),
           ("qemu", "client")]


def recover_says(*words):
    status, out, said = casemate("recover")
    check(status == 0, status, out, said)
    for word in words:
        check(word in out.decode(), word, "in what recover says:", out)
    check(casemate("recover")[1] == b"nothing to recover\n", "nothing is left to do")


def killing(step, mode, command, victims, background):
    def function():
        started = step in ("running", "flowing")
        flags = ["--name", "a", *(["-d"] if background else [])]
        client = start(command, mode=mode, flags=flags)
        until(lambda: pids("stand-in"), "QEMU is there")
        if started:
            until(lambda: status_of("a") == "running", "it runs")
        else:
            time.sleep(0.03)
        if background and started:
            check(finish(client)[0] == 0)
        kill(*[pid for victim in victims for pid in
               {"shim": pids("containerd-shim"), "qemu": pids("stand-in"),
                "client": [client.pid]}[victim]])
        if not (background and started):
            status, _, said = finish(client)
            check(status == 125 or "client" in victims and status == -9, status, said)
            check("client" in victims or len(error_lines(said)) == 1, said)
        if "shim" in victims:
            until(lambda: not processes(), "QEMU ends with its shim")
            recover_says("a: ", "process")
        elif background and started:
            until(lambda: status_of("a") == "stopped", "it has ended")
            check(casemate("delete", "a")[0] == 0)
        clean()
    function.__doc__ = (f"SIGKILL of {' and '.join(victims)} at '{step}', "
                        f"{'detached' if background else 'in the foreground'}: nothing is left")
    return function


for _step, _mode, _command in STEPS:
    for _victims in VICTIMS:
        for _background in False, True:
            if _background and (len(_victims) > 1 or
                                _victims == ("client",) and _step in ("running", "flowing")):
                continue
            _user = _step == "running" and _victims in (("shim",), ("client",))
            test(*(["kills", "user"] if _user else ["kills"]))(
                killing(_step, _mode, _command, _victims, _background))


def start_and_wait(command, flags):
    """A foreground run of a command that stays and says something, which waits for its end now: it
    does before it hands on the first of the output."""
    reader, writer = os.pipe()
    client = start("cat" if command == "sleep" else command, flags=["-i", *flags], stdin=reader)
    os.close(reader)
    os.write(writer, b"x")
    check(os.read(client.stdout.fileno(), 1), "it says nothing")
    return client, writer


@test("kills", "user")
def told_to_end():
    """SIGTERM, SIGINT or SIGHUP to a shim ends its pod, whatever that does, and nothing is left"""
    for number in signal.SIGTERM, signal.SIGINT, signal.SIGHUP:
        for step, mode, command in STEPS:
            for flags in [], ["-d"]:
                started, input_fd = step in ("running", "flowing"), None
                if started and not flags:
                    client, input_fd = start_and_wait(command, ["--name", "a"])
                else:
                    client = start(command, mode=mode, flags=["--name", "a", *flags])
                until(lambda: pids("stand-in"), "QEMU is there")
                if started:
                    until(lambda: status_of("a") == "running", "it runs")
                else:
                    time.sleep(0.03)
                os.kill(pids("containerd-shim")[0], number)
                status, _, said = finish(client)
                # at the start it depends on who is first: 126 is a Start that comes too late
                wanted = [0 if flags else 137] if started else \
                    [0, 125, 126, 137] if step == "start" else [125]
                check(status in wanted, step, flags, status, said)
                check(status != 125 or len(error_lines(said)) == 1 and "ended" in said, said)
                if input_fd is not None:
                    os.close(input_fd)
                clean(2)
                check(casemate("recover")[1] == b"nothing to recover\n")
    detached("a", "exit", "0")
    until(lambda: status_of("a") == "stopped", "it has ended")
    os.kill(pids("containerd-shim")[0], signal.SIGTERM)
    clean(2)


@test("kills")
def any_moment():
    """SIGKILL at any moment, of any of them: recover leaves nothing"""
    for turn in range(30):
        client = start("exit", "0", flags=["--name", "a"])
        time.sleep(random.random() * 0.08)
        who = (["containerd-shim"], ["stand-in"], ["casemate"], ["containerd-shim", "casemate"],
               ["client"])[turn % 5]
        kill(*([client.pid] if who == ["client"] else
               [pid for name in who for pid in pids(name)]))
        finish(client)
        until(lambda: not pids("stand-in") and not pids("casemate"), "all of them end")
        # a shim that had no client yet waits for one, and may be only now on its way
        until(lambda: kill(*pids("containerd-shim")) or not processes() and
              casemate("recover")[0] == 0 and not files(), "nothing is left")


@test("kills")
def client_before_create():
    """a shim whose client is killed before it has asked for anything ends soon"""
    detached("first", "sleep")
    shims = pids("containerd-shim")
    argv = [os.path.join(PLACE.bin, "containerd-shim-casemate-v2"), "-id", "b", "-run-dir",
            PLACE.run_dir, "start"]
    status, out, said = call(argv)
    check(status == 0 and out.startswith(b"unix://"), status, out, said)
    check(casemate("state", "b")[0] != 0, "a client comes and goes")
    until(lambda: pids("containerd-shim") == shims, "it has ended")
    check(casemate("delete", "--force", "first")[0] == 0)
    clean()


@test("kills", "user")
def client_before_connecting():
    """a shim whose starter goes before it has connected ends at once; else it stays"""
    argv = [os.path.join(PLACE.bin, "containerd-shim-casemate-v2"), "-id", "a", "-run-dir",
            PLACE.run_dir, "-held", "start"]
    for connects in False, True:
        shim = subprocess.Popen(argv, env=PLACE.env(), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        check(shim.stdout.readline().startswith(b"unix://") and shim.wait(10) == 0)
        check(pids("containerd-shim"), "it is there while its starter is")
        if connects:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.connect(f"{PLACE.run_dir}/pods/a/shim.sock")
        shim.stdin.close()
        shim.stdout.close()
        if connects:
            check(ask("a", "Connect", b"")[0] != 1 and pids("containerd-shim"), "it stays")
            connection.close()
        clean(1 if not connects else 10)


@test("kills", "user")
def live_pod():
    """recover beside a live pod changes nothing"""
    detached("a", "sleep")
    before = sorted(files())
    check(casemate("recover") == (0, b"nothing to recover\n", ""))
    check(sorted(files()) == before and len(processes()) == 2)
    held = [os.readlink(path) for path in glob.glob(f"/proc/{pids('stand-in')[0]}/fd/*")] \
        if os.geteuid() == 0 else [PLACE.run_dir]
    check(any(path.startswith(PLACE.run_dir) for path in held), "QEMU holds its lock:", held)
    check(casemate("exec", "a", "exit", "6")[0] == 6)
    check(casemate("delete", "--force", "a")[0] == 0)
    clean()


@test("kills")
def two_recoveries():
    """two recoveries at once, beside a live pod, undo five dead ones between them"""
    for name in "abcdef":
        detached(name, "sleep")
    dead = [pid for pid, words in processes("containerd-shim") if "-id f " not in words]
    check(len(dead) == 5, dead)
    kill(*dead)
    until(lambda: len(pids("containerd-shim")) == 1, "the killed are gone")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        got = list(pool.map(lambda _: casemate("recover"), range(2)))
    check([one[0] for one in got] == [0, 0], got)
    for name in "abcde":
        check(sum(f"{name}: undone process".encode() in one[1] for one in got) == 1, name, got)
    check(casemate("exec", "f", "exit", "6")[0] == 6)
    check(casemate("delete", "--force", "f")[0] == 0)
    clean()


@test("kills")
def next_run():
    """what a dead pod left is undone by the next run, of another name or of the same"""
    for name in "b", "a":
        detached("a", "sleep")
        kill(*pids("containerd-shim"))
        check(run("exit", "4", flags=["--name", name])[0] == 4)
        clean()


# --- streams ------------------------------------------------------------------------------------

def is_sanitized():
    return PLACE.sanitized


def rss_kib(pid):
    text = open(f"/proc/{pid}/status", encoding="utf-8").read()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1])


def cpu_s(pid):
    fields = open(f"/proc/{pid}/stat", encoding="utf-8").read().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def taken_in(pid):
    """Bytes that it has read, of whatever."""
    return int(re.search(r"rchar: (\d+)", open(f"/proc/{pid}/io", encoding="utf-8").read())[1])


def stands(value):
    """The value, once it does not change any more."""
    before = value()
    time.sleep(0.2)
    return before == value()


def asked(pod):
    status, out, said = casemate("exec", pod, "asked")
    check(status == 0, said)
    return [int(n) for n in re.fullmatch(rb"asked=(\d+) sent=(\d+)\n", out).groups()]


@test("streams", "user")
def through_cat():
    """what goes in comes out, byte by byte, around every buffer's size"""
    sizes = [0, 1, 4095, 4096, 4097, 32767, 32768, 32769, 65535, 65536, 65537, 98304, 131073,
             (3 << 20) + 7]
    for size in sizes:
        data = random.Random(size).randbytes(size)
        status, out, said = run("cat", flags=["-i"], stdin=data)
        check(status == 0 and said == "", size, status, said)
        check(out == data, size, "bytes went in,", len(out), "came out")
    clean()


@test("streams")
def through_files():
    """regular files serve as standard input and output"""
    data = random.Random(1).randbytes(300001)
    PLACE.make("input", data)
    with open(f"{PLACE.dir}/input", "rb") as source, open(f"{PLACE.dir}/output", "wb") as sink:
        client = start("cat", flags=["-i"], stdin=source, stdout=sink)
        check(finish(client)[0] == 0)
    check(open(f"{PLACE.dir}/output", "rb").read() == data)
    clean()


@test("streams")
def two_streams():
    """standard output and standard error arrive whole, each where it belongs"""
    for size in 1, 32768, 100000, 1000003:
        check(run("write", str(size)) == (0, PATTERN[:size], ""))
        argv = run_argv("err", str(size))
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False,
                              env=PLACE.env(), timeout=20)
        check(done.returncode == 0 and not done.stdout and done.stderr == PATTERN[:size], size)
    clean()


@test("streams")
def no_input():
    """without -i standard input is at its end at once"""
    check(run("cat", stdin=b"not for the container") == (0, b"", ""))
    clean()


@test("streams", "user")
def window():
    """a client that does not read bounds what is asked of the guest: the window, and no more"""
    reader, writer = os.pipe()
    pipe = fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    client = start("flood", flags=["--name", "a"], stdout=writer)
    os.close(writer)
    consumed = 0
    until(lambda: status_of("a") == "running", "it runs")
    shim = pids("containerd-shim")[0]
    for more in 0, 1000, 3 << 20:
        while more:
            data = os.read(reader, more)
            check(data == (PATTERN[consumed % 251:])[:len(data)], "the pattern, at", consumed)
            more -= len(data)
            consumed += len(data)
        settled = lambda: (lambda first: time.sleep(0.05) or first == asked("a") and first)(asked("a"))
        asked_for, sent = until(settled, "the flood stands")
        outside = FIFO + PUMP + pipe
        check(asked_for - consumed <= WINDOW + outside, "asked for", asked_for - consumed,
              "not consumed, of which", outside, "are not the shim's")
        check(asked_for - consumed > outside, "the window is used", asked_for, consumed)
        check(sent <= asked_for)
        if not is_sanitized():
            check(rss_kib(shim) < SHIM_RSS_KIB, "the shim's memory:", rss_kib(shim), "KiB")
    began = time.monotonic()
    check(casemate("kill", "a", "KILL")[0] == 0)
    until(lambda: not pids("stand-in") or not os.read(reader, 1 << 16), "it ends", 5)
    while os.read(reader, 1 << 16):
        pass
    check(finish(client)[0] == 137)
    check(time.monotonic() - began < 3)
    os.close(reader)
    clean()


@test("streams")
def kill_under_flood():
    """kill under a flood of output that is read as fast as it comes takes under a second"""
    client = start("flood", flags=["--name", "a"])
    reading = threading.Thread(target=lambda: [None for _ in iter(
        lambda: os.read(client.stdout.fileno(), 1 << 16), b"")])
    until(lambda: status_of("a") == "running", "it runs")
    reading.start()
    time.sleep(0.2)
    began = time.monotonic()
    check(casemate("kill", "a", "KILL")[0] == 0)
    check(client.wait(10) == 137)
    check(time.monotonic() - began < (1 if not is_sanitized() else 5), time.monotonic() - began)
    reading.join()
    finish(client)
    clean()


@test("streams", "user")
def nobody_reads():
    """a client whose reader has gone ends as SIGPIPE ends a program, and its pod with it"""
    for command in "flood", "cat":
        source, feed = os.pipe()
        reader, writer = os.pipe()
        client = start(command, flags=["-i", "--name", "a"], stdin=source, stdout=writer)
        os.close(writer)
        os.close(source)
        os.write(feed, b"once")
        check(os.read(reader, 4))
        os.close(reader)
        os.write(feed, b"twice")
        status, _, said = finish(client)
        check(status == 141 and said == "", status, said)
        os.close(feed)
        clean(1)


@test("streams", "user")
def guest_stalls():
    """what many put in at once waits for a guest that takes nothing for a while: no byte is lost"""
    detached("a", "sleep")
    data = [random.Random(n).randbytes(160000 + n) for n in range(24)]
    clients = [subprocess.Popen([PLACE.casemate, "exec", "-i", "a", "cat"], env=PLACE.env(),
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE) for _ in data]
    until(lambda: casemate("ps", "a")[1].count(b"cat") == len(data), "they run")
    guest, shim = pids("stand-in")[0], pids("containerd-shim")[0]
    os.kill(guest, signal.SIGSTOP)
    with concurrent.futures.ThreadPoolExecutor(len(data)) as pool:
        got = [pool.submit(client.communicate, own, 20) for client, own in zip(clients, data)]
        until(lambda: all(taken_in(client.pid) > FIFO for client in clients),
              "each has read what its FIFO takes")
        until(lambda: stands(lambda: taken_in(shim)), "the shim takes no more")
        os.kill(guest, signal.SIGCONT)
        for client, own, one in zip(clients, data, got):
            check(one.result() == (own, b"") and client.returncode == 0, client.returncode,
                  len(one.result()[0]), "of", len(own), one.result()[1])
    check(casemate("delete", "--force", "a")[0] == 0)
    clean()


@test("streams")
def closed_input_waits():
    """a shim whose client's input has ended, and is not taken yet, does not spin"""
    client = start("sleep", flags=["-i", "--name", "a"], mode="hang-start",
                   stdin=subprocess.DEVNULL)
    until(lambda: pids("stand-in"), "QEMU is there")
    time.sleep(0.2)
    shim = pids("containerd-shim")[0]
    before = cpu_s(shim)
    time.sleep(0.5)
    check(cpu_s(shim) - before < 0.1, "seconds of CPU:", cpu_s(shim) - before)
    client.send_signal(signal.SIGINT)
    check(finish(client)[0] == 130)
    clean()


# --- main ---------------------------------------------------------------------------------------

def run_tests(group, pattern, uid):
    failed = 0
    for groups, name, function in TESTS:
        if group not in groups or not re.search(pattern, f"{function.__name__} {name}"):
            continue
        began = time.monotonic()
        try:
            skip = function()
            note = f" # SKIP {skip}" if skip else ""
            print(f"ok - {name}{note}", flush=True)
        except (Failed, OSError, ValueError, IndexError, subprocess.SubprocessError) as error:
            failed += 1
            print(f"  {type(error).__name__}: {error}")
            print(f"not ok - {name}", flush=True)
            sweep()
        if "TIMES" in os.environ:
            print(f"  {time.monotonic() - began:.2f} s", flush=True)
    return failed


def as_user(group, pattern, uid):
    """A child that is nobody; what it needs was made readable."""
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        os._exit(run_tests(group, pattern, uid) > 0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def own_run(argv):
    """The same again, as root with a /run that nobody else has."""
    probe = ["unshare", "--mount", "--propagation", "private", "sh", "-c",
             'mount -t tmpfs -o size=16m,mode=755 none /run && exec "$@"', "sh"]
    if subprocess.run([*probe, "true"], capture_output=True, check=False).returncode != 0:
        print("machine: root may not mount here")
        sys.exit(77)
    os.environ["OWN_RUN"] = "1"
    os.execvp(probe[0], [*probe, sys.executable, *argv])


def main():
    global PLACE
    group, pattern = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
    random.seed(int(os.environ.get("SEED", "1")))
    if os.geteuid() == 0 and group != "user" and "OWN_RUN" not in os.environ:
        own_run(sys.argv)
    uid = NOBODY if os.geteuid() == 0 and group == "user" else os.geteuid()
    PLACE = Place(uid)
    for words in [""] + [mode for mode, _, _ in FAILURES] + [mode for _, mode, _ in STEPS] + \
            ["flood-console", "hang-exec-process", "hang-kill"]:
        PLACE.program(words)
    try:
        failed = as_user(group, pattern, uid) if uid != os.geteuid() else \
            run_tests(group, pattern, uid)
    finally:
        shutil.rmtree(PLACE.dir, ignore_errors=True)
    return 1 if failed else 0


sys.exit(main())
