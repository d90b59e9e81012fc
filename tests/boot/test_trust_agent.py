#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# A measured guest whose host is this test: it says to the agent what no client of ours would, and
# asks of the processor what is not its to ask.
# timeout: 120
import hashlib
import os
import re
import socket
import stat
import struct
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import images
from agent_client import SERVICE, Client, Status, create, field, parse, process, ref, spec, text
from harness import NOBODY, Bench, contains, equal
from images import Oci
from trust import Between, Broker, Journey, Launch, Processor, receive
from trust_kbs import Guest, Policy, document

NAMES = ("a measured guest's answers to a host that lies",)
PRECONDITION, DENIED = 9, 7
YEAR_2100 = 4102444800
bench = Bench()
if not bench.needs_root(*NAMES):
    bench.end()
me = bench.root
broker = Broker(bench)
processor = Processor(bench)
between = Between(bench, processor.socket)
host = Journey(bench, me, broker, between.path, processor.dir)
image = Oci().add([images.base()]).write(os.path.join(bench.work, "image"))
path, _ = host.generate("main", image, "--", "true")
with open(path, encoding="utf-8") as file:
    JSON = file.read().strip()
POLICY = document(JSON).encode()
DIGEST = hashlib.sha256(POLICY).digest()


class Host:
    """Launches what a shim has asked for, with its own ends of the sockets."""

    def __init__(self, launch):
        words = " ".join(launch.argv)
        port = re.search(r"virtserialport,\S*chardev=(\w+),name=casemate\.agent", words)[1]
        agent_target = int(re.search(rf"socket,id={port},fd=(\d+)", words)[1])
        self.sockets = []
        for index, target in enumerate(launch.targets):
            if stat.S_ISSOCK(os.fstat(launch.fds[index]).st_mode):
                mine, theirs = socket.socketpair()
                launch.swap(index, theirs.detach())
                self.sockets.append(mine)
                if target == agent_target:
                    self.client = Client(mine)
        self.launcher = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.launcher.connect(processor.socket)
        message = launch.message()
        socket.send_fds(self.launcher, [struct.pack(">I", len(message)) + message], launch.fds)
        answer, pidfds = receive(self.launcher)
        assert pidfds, f"not launched: {answer!r}"

    def refusal(self, method, payload=b""):
        """(status code, message) of a call that has to fail."""
        try:
            self.client.call(method, payload)
        except Status as status:
            return status.code, status.message
        raise AssertionError(f"{method} was done")


caught = []


def is_lock(fd):
    return os.readlink(f"/proc/self/fd/{fd}").endswith(".lock")


def catch(launch):
    """A copy of a request, which goes on to be refused: the test is the host from then on."""
    # who holds a pod's lock is what is left of it, and killed: that one is not kept
    caught.append(Launch(launch.message(), [
        os.open("/dev/null", os.O_RDONLY) if is_lock(fd) else os.dup(fd) for fd in launch.fds]))
    launch.argv[0] = "/nothing"


with between.changing(catch):
    me("run", "--tee", "sim", "--policy", path, *host.config, image, "--", "true").refused("run:")
LAYER = {"root": "11" * 32, "data_blocks": 9, "hash_start": 9}
SPEC = spec([LAYER], process(["true"]))

with bench.check("before its policy is there, the agent does nothing but greet and end"):
    lying = Host(caught[0])
    answer = lying.client.call("Hello", field(1, 1) + field(2, 1) + field(3, b"x" * 64), 120)
    equal(answer[1][0], 1, "version")
    for method, payload in (("CreateContainer", create("main", SPEC, ["0"])),
                            ("ExecProcess", ref("main", "x") + field(3, process(["true"]))),
                            ("StartProcess", ref("main")), ("ListProcesses", ref("main")),
                            ("ReadOutput", ref("main") + field(4, 9)), ("WaitProcess", ref("main")),
                            ("WriteInput", ref("main") + field(3, b"x")), ("ListRefusals", b""),
                            ("SignalProcess", ref("main") + field(3, 9))):
        code, message = lying.refusal(method, payload)
        equal(code, PRECONDITION, f"{method}: {message}")

with bench.check("a policy in another form, or another than the signed one, is refused with its "
                 "reason; the signed one is taken, once"):
    other = document(JSON.replace('"read_only":false', '"read_only":true')).encode()
    for wrong, reason in ((other, "host-data-mismatch"), (POLICY + b"\n", "policy-malformed"),
                          (JSON.encode(), "policy-malformed"), (b"", "policy-malformed"),
                          (POLICY.replace(b'"schema":1', b'"schema": 1'), "policy-malformed")):
        code, message = lying.refusal("SetPolicy", field(1, wrong))
        equal((code, message.partition(":")[0]), (DENIED, reason), message)
    equal(lying.refusal("ListProcesses", ref("main"))[0], PRECONDITION, "still nothing")
    lying.client.call("SetPolicy", field(1, POLICY))
    assert lying.refusal("SetPolicy", field(1, POLICY))[0] != 0
    assert lying.refusal("SetPolicy", field(1, other))[0] != 0

with bench.check("what the policy's types have no name for is refused as such, and each refusal is "
                 "kept"):
    for what, reason in ((SPEC, "policy-layers"), (SPEC + field(77, 1), "policy-field"),
                         (SPEC + text(78, "later"), "policy-field")):
        code, message = lying.refusal("CreateContainer", create("main", what, ["0"]))
        equal((code, message.partition(":")[0]), (DENIED, reason), message)
    answer = lying.client.call("ListRefusals")
    equal(answer[2], [3], "count")
    for kept, reason in zip(answer[1], (b"policy-layers", b"policy-field", b"policy-field")):
        contains(kept, b"CreateContainer", reason)

with bench.check("the launcher is told when the guest has ended"):
    lying.client.call("Shutdown")
    equal(parse(receive(lying.launcher)[0]).get(1, [0]), [0], "QEMU's status")

HELLO = field(1, SERVICE) + field(2, "Hello")


def in_another_year(data):
    """A Hello that says what one without a TEE says, and is wrong."""
    if HELLO not in data:
        return data
    size, stream, kind, flags = struct.unpack(">IIBB", data[:10])
    equal(len(data), 10 + size, "a Hello's size")
    told.append(data)
    body = HELLO + field(3, field(1, 1) + field(2, YEAR_2100 * 10**9) + field(3, b"x" * 64))
    return struct.pack(">IIBB", len(body), stream, kind, flags) + body


with bench.check("what a host says of the time is not taken over"):
    told = []
    now, _ = host.generate("now", image, "--", "date", "+%s")
    with between.lying(in_another_year):
        result = host.run(now, image, "--", "date", "+%s").ok()
    equal(len(told), 1, "times that it was told")
    assert abs(int(result.out) - time.time()) < 3600, result.out

with bench.check("an ordinary user launches as himself, and as nobody else"):
    policy = Policy(broker, "default/model/key")
    scripted = Guest(bench, policy).processor
    for uid in (0, 90000, 89999, 1, NOBODY):
        pid = os.fork()
        if pid == 0:
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            try:
                Guest(bench, policy, scripted, uid=uid)
            except AssertionError:
                os._exit(1)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        equal(status, 0 if uid == NOBODY else 1, f"as {uid}")

processor.stop()
broker.stop()
bench.end()
