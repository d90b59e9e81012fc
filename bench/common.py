"""What the figures' programs share: the programs of the baseline, its guest, pods, tables."""
import argparse
import atexit
import json
import os
import re
import select
import shutil
import socket
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GUEST_LIMIT_S = 120
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wshadow", "-Wmissing-prototypes", "-Wconversion",
            "-Wno-sign-conversion", "-Wcast-qual", "-Wformat=2"]
TAR = ["--no-recursion", "--format=gnu", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"]


def die(text):
    sys.exit(f"bench: {text}")


def call(*argv, **more):
    """Runs a program that has nothing to say unless it goes wrong."""
    done = subprocess.run(argv, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          **more)
    if done.returncode != 0:
        die(f"'{' '.join(argv[:3])}' ended with {done.returncode}:\n"
            f"{done.stdout.decode(errors='replace')[-2000:]}")
    return done.stdout.decode(errors="replace")


class Bench:
    """One build tree, and what is made below it for the figures: BUILD/bench."""

    def __init__(self, text, rounds):
        parser = argparse.ArgumentParser(description=text)
        parser.add_argument("build", metavar="BUILD")
        parser.add_argument("-n", type=int, default=rounds, help=f"rounds ({rounds})")
        parser.add_argument("--accel", default="tcg", choices=("tcg", "kvm"))
        options = parser.parse_args()
        self.rounds, self.accel = options.n, options.accel
        self.build = os.path.abspath(options.build)
        self.folder = os.path.join(self.build, "bench")
        self.casemate = os.path.join(self.build, "casemate")
        self.image = os.path.join(self.build, "demo", "image")
        self.config = f"cache_dir={self.folder}/cache"
        for path in (self.casemate, f"{self.build}/guest/base.img"):
            if not os.path.exists(path):
                die(f"'{path}' is not there: `make guest` makes it")
        os.makedirs(f"{self.folder}/cache", mode=0o700, exist_ok=True)
        if not os.path.exists(self.image):
            self.make_sample(self.image)
        self.pods = set()
        atexit.register(self.end_pods)
        self.make_programs()

    def make_programs(self):
        libraries = [f"{self.build}/{name}" for name in
                     ("src/agent/libagent.a", "librpc.a", "libsys.a", "libbase.a",
                      "src/wire/proto/libproto.a")]
        call("ninja", "-C", self.build, "guest/mkimage",
             *[os.path.relpath(path, self.build) for path in libraries])
        compiler = ["cc", "-std=gnu17", "-O2", "-D_GNU_SOURCE", *WARNINGS, f"-I{ROOT}/src"]
        call(*compiler, "-static", "-Wl,--gc-sections", "-o", f"{self.folder}/baseline-init",
             f"{ROOT}/bench/baseline_init.c", *libraries[2:4])
        call(*compiler, f"-I{self.build}/src", "-o", f"{self.folder}/plan-dump",
             f"{ROOT}/bench/plan_dump.c", *libraries, "-ljansson", "-lprotobuf-c")

    def buildtype(self):
        with open(f"{self.build}/meson-info/intro-buildoptions.json", encoding="utf-8") as file:
            return {option["name"]: option["value"] for option in json.load(file)}["buildtype"]

    # Pods

    def run_argv(self, image, args, *flags):
        return [self.casemate, "run", "--accel", self.accel, "--config", self.config, "-u", "0",
                *flags, image, "--", *args]

    def pod(self, image, args, *flags):
        """A detached one; its name, and how long `casemate run -d` took."""
        name = f"bench-{os.getpid()}-{len(self.pods)}"
        self.pods.add(name)
        began = time.monotonic()
        call(*self.run_argv(image, args, "-d", "--name", name, *flags), stdin=subprocess.DEVNULL)
        return name, time.monotonic() - began

    def state(self, name):
        return json.loads(call(self.casemate, "state", name))

    def end(self, name):
        call(self.casemate, "delete", "--force", name)
        self.pods.discard(name)

    def end_pods(self):
        for name in self.pods:
            subprocess.run([self.casemate, "delete", "--force", name], check=False,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    # The baseline

    def rootfs(self):
        """The sample image as a directory."""
        path = f"{self.folder}/rootfs"
        if not os.path.exists(path):
            self.make_sample("--rootfs", path)
        return path

    def make_sample(self, *args):
        call(f"{ROOT}/tools/sample-image", *args,
             env={**os.environ, "CASEMATE_BUILD": self.build})

    def baseline(self, name, mode, image, args=("/bin/true",)):
        return Baseline(self, f"{self.folder}/{name}", mode, image, args)


class Baseline:
    """What casemate would start for that image, with a base image whose init is ours."""

    def __init__(self, bench, folder, mode, image, args):
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        call(f"{bench.folder}/plan-dump", bench.casemate, folder, image, bench.accel, bench.config,
             "/run/bench/root", *args)
        with open(f"{folder}/plan.json", encoding="utf-8") as file:
            self.plan = json.load(file)
        self.layers = [] if mode in ("bare", "stream") else self.plan["layers"]
        self.make_base(bench, mode)

    def make_base(self, bench, mode):
        """The guest's base image with one file replaced and two more."""
        tree, image = f"{self.folder}/tree", f"{self.folder}/base.img"
        call("fsck.erofs", f"--extract={tree}", f"{bench.build}/guest/base.img")
        os.remove(f"{tree}/sbin/casemate-init")
        shutil.copy(f"{bench.folder}/baseline-init", f"{tree}/sbin/casemate-init")
        os.mkdir(f"{tree}/bench")
        shutil.copy(f"{self.folder}/config.json", f"{tree}/bench")
        with open(f"{tree}/bench/job", "w", encoding="utf-8") as job:
            job.write(f"mode {mode}\n")
            for number, layer in enumerate(self.layers, 1):
                job.write(f"layer layer{number} {layer['root']} {layer['data_blocks']} "
                          f"{layer['hash_start']}\n")
        names = sorted(os.path.relpath(os.path.join(at, name), tree)
                       for at, folders, files in os.walk(tree) for name in folders + files)
        tar = subprocess.run(["tar", "-c", "-f", "-", "-C", tree, *TAR, "-T", "-"], check=True,
                             stdout=subprocess.PIPE, input="\n".join(names).encode()).stdout
        said = call(f"{bench.build}/guest/mkimage", image, input=tar)
        shutil.rmtree(tree)
        self.base = image
        self.facts = dict(word.split("=") for word in said.split())

    def boot(self):
        return Guest(self)


class Guest:
    """A QEMU with casemate's own arguments; only the numbers of descriptors are others."""

    def __init__(self, baseline):
        plan, self.fds, self.lines, self.rest = baseline.plan, [], [], b""
        numbers = {}
        for target in plan["files"]:
            path = f"{baseline.folder}/fd{target}"
            if f"fd={target},set={target}" in plan["argv"]:
                path = baseline.base
            numbers[target] = self.keep(os.open(path, os.O_RDONLY))
        self.sockets = {}
        for name in ("console", "agent", "qmp"):
            ours, theirs = socket.socketpair()
            self.sockets[name] = ours
            numbers[plan[name]] = self.keep(theirs.detach())
        argv = [self.rewrite(word, numbers, baseline.facts) for word in plan["argv"]]
        for number, layer in enumerate(baseline.layers, 1):
            fd = self.keep(os.open(layer["path"], os.O_RDONLY))
            argv += self.disk(number, fd)
        atexit.register(self.kill)
        self.began = time.monotonic()
        # in a session of its own, as a pod's is: Linux shares a busy machine out among sessions
        self.process = subprocess.Popen(argv, pass_fds=self.fds, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                        start_new_session=True)
        for fd in self.fds:
            os.close(fd)

    def keep(self, fd):
        self.fds.append(fd)
        return fd

    @staticmethod
    def rewrite(word, numbers, facts):
        word = re.sub(r"(\bfd=|\bset=|/dev/fdset/|/proc/self/fd/)(\d+)",
                      lambda match: match[1] + str(numbers[int(match[2])]), word)
        blocks = int(facts["data_blocks"])
        return re.sub(r"0 \d+ verity (.*) 4096 4096 \d+ \d+ sha256 \w+",
                      lambda match: f"0 {blocks * 8} verity {match[1]} 4096 4096 {blocks} "
                      f"{facts['hash_start']} sha256 {facts['root']}", word)

    @staticmethod
    def disk(number, fd):
        return ["-add-fd", f"fd={fd},set={fd}", "-blockdev",
                f"driver=raw,node-name=disk{number},read-only=on,auto-read-only=off,"
                f"file.driver=file,file.filename=/dev/fdset/{fd},file.read-only=on,"
                "file.auto-read-only=off,file.locking=off", "-device",
                f"scsi-hd,id=disk{number},bus=scsi.0,channel=0,scsi-id=0,lun={number},"
                f"drive=disk{number},serial=layer{number}"]

    def read_console(self, limit_s):
        """False once there is nothing more to come."""
        if not select.select([self.sockets["console"]], [], [], limit_s)[0]:
            self.fail(f"nothing on the console for {limit_s} s")
        try:
            got = self.sockets["console"].recv(65536)
        except ConnectionResetError:
            # said once, where QEMU left something of ours unread; what it wrote comes after
            return True
        *lines, self.rest = (self.rest + got).split(b"\n")
        self.lines += [line.decode(errors="replace").strip() for line in lines]
        return bool(got)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def fail(self, text):
        self.kill()
        die(f"the baseline's guest: {text}\n" + "\n".join(self.lines[-12:]) +
            self.process.stderr.read().decode(errors="replace"))

    def expect(self, word):
        """The words of the next result of that name."""
        while True:
            for number, line in enumerate(self.lines):
                words = line.split()
                if words[:2] == ["bench:", "error"]:
                    self.fail(line)
                if words[:2] == ["bench:", word]:
                    del self.lines[:number + 1]
                    return words[2:]
            if not self.read_console(GUEST_LIMIT_S):
                self.fail(f"it ended without a word on '{word}'")

    def send(self, text):
        self.sockets["console"].sendall(text)

    def finish(self):
        """Waits for the end; all results as lists of words."""
        try:
            self.process.wait(GUEST_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.fail("it does not end")
        self.seconds = time.monotonic() - self.began
        while self.read_console(GUEST_LIMIT_S):
            pass
        self.close()
        results = [line.split()[1:] for line in self.lines if line.startswith("bench:")]
        if self.process.returncode != 0 or any(words[0] == "error" for words in results):
            self.fail(f"QEMU's status is {self.process.returncode}")
        return results

    def close(self):
        for ours in self.sockets.values():
            ours.close()


# Tables

def median(values):
    return statistics.median(values)


def title(text):
    print(f"\n{text}")
    print(f"  {'':44} {'min':>10} {'median':>10} {'max':>10}")
    sys.stdout.flush()


def row(name, values, unit="ms"):
    print(f"  {name:44} {min(values):10.1f} {median(values):10.1f} {max(values):10.1f} {unit}")
    sys.stdout.flush()


def ratio(name, above, below, target=None, at_least=False):
    """Of the medians, and of what was measured side by side in one round."""
    pairs = [a / b for a, b in zip(above, below)]
    value = median(above) / median(below)
    print(f"  {name}: {value:.3f} of the medians; of pairs {min(pairs):.3f} / {median(pairs):.3f}"
          f" / {max(pairs):.3f}{verdict(value, target, at_least)}")
    return value


def verdict(value, target, at_least=False, unit=""):
    if target is None:
        return ""
    met = value >= target if at_least else value <= target
    return (f"   [target: at {'least' if at_least else 'most'} {target:g}{unit}: "
            f"{'met' if met else 'MISSED'}]")


def line(text):
    print(f"  {text}")
    sys.stdout.flush()
