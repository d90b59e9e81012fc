#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# A secret reaches the container that it is for, and nobody else: the journey, with the simulated
# processor that root's own run starts, and with one that is a service for everybody.
# timeout: 300
import glob
import hashlib
import json
import os
import secrets
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import images
from harness import Bench, contains, equal, eventually
from images import Layer, Oci, folder, text
from trust import (KEY_UID, URI, Between, Broker, Journey, Processor, find_in_bytes,
                   find_in_files, find_in_memory, rule_of)

NAMES = ("a secret's journey, and who is kept from it",)
MIB = 1 << 20
bench = Bench()
if not bench.needs_root(*NAMES):
    bench.end()
me = bench.root
CANARY = b"canary-" + secrets.token_hex(24).encode()
LAST_CANARY = b"canary-" + secrets.token_hex(24).encode()
LAST_RESOURCE = "default/last/key"
DIGEST = hashlib.sha256(CANARY).hexdigest()
said = []  # what the programs have said, to look for the canary in


def heard(result):
    said.append(result.err)
    return result


ref = Oci().add([images.base(), Layer([folder("srv"), text("srv/x", "x\n")])]).write(
    os.path.join(bench.work, "image"))
broker = Broker(bench)
broker.put(CANARY)
broker.put(LAST_CANARY, LAST_RESOURCE)
processor = Processor(bench)
between = Between(bench, processor.socket)
# nobody listens at the first one's socket: root's run starts a processor, with the same key
own = Journey(bench, me, broker, os.path.join(bench.work, "none", "socket"), processor.dir)
served = Journey(bench, bench.user, broker, processor.socket, processor.dir)
SECRET = ("--secret", f"model-key={URI}")
CAT = (ref, "--", "cat", "/run/secrets/model-key")

# -- the journey

with bench.check("the container reads the secret from its file, after policy, measurement and rule",
                 me):
    policy, reference = own.generate("cat", *SECRET, *CAT)
    broker.set_rules(rule_of(reference))
    result = heard(own.run(policy, *SECRET, *CAT))
    equal((result.status, result.out, result.err), (0, CANARY, b""), str(result))

with bench.check("one digest: of measure, of the reference values, of the broker's audit lines"):
    measured = me("measure", "--tee", "sim", "--accel", "tcg", *own.config).ok().text.strip()
    values = json.load(open(reference, encoding="utf-8"))
    equal(values["launch_digests"], [measured], "reference values")
    lines = broker.audit()
    equal([line["launch"] for line in lines], [measured] * len(lines), "audit lines")
    equal([line["policy"] for line in lines], values["host_data"] * len(lines), "the policies")
    equal([line["verdict"] for line in lines], ["accepted", "released"], "verdicts")
    equal(lines[1]["resource"], "default/model/key", "resource")
    equal({line["tee"] for line in lines}, {"casemate-sim"}, "what it was")

SHOW = ("stat -c '%a %u %g %s' /run/secrets/model-key; grep ' /run/secrets ' /proc/mounts; "
        "ls -A /run/secrets; cat /run/secrets/model-key; echo; "
        "echo x 2>/dev/null >>/run/secrets/model-key || echo closed; "
        "touch /run/secrets/new 2>/dev/null || echo closed; env | grep -c canary")

with bench.check("an ordinary user's pod, by the service: a file of the container's user "
                 "alone, in a tmpfs", bench.user):
    args = ("-u", "app", *SECRET, ref, "--", "sh", "-c", SHOW)
    policy, reference = served.generate("show", *args)
    broker.set_rules(rule_of(reference))
    result = heard(served.run(policy, *args))
    lines = result.lines
    equal((result.status, result.err), (1, b""), str(result))  # grep -c has found none
    equal(lines[0], f"400 1000 1000 {len(CANARY)}", "mode, owner, group, size")
    equal(lines[1].split()[1:3], ["/run/secrets", "tmpfs"], "mount")
    for option in ("nosuid", "nodev", "noexec"):
        contains(lines[1].split()[3].split(","), option)
    equal(lines[2:], ["model-key", CANARY.decode(), "closed", "closed", "0"], "the rest")

with bench.check("the launcher is not the processor: QEMU is the service's child and the "
                 "user's", me):
    pass_args = (ref, "--", "sleep", "1000")
    quiet, _ = served.generate("quiet", *pass_args)
    served.run(quiet, "-d", "--name", "quiet", *pass_args).ok()
    pod = bench.user.pod("quiet")
    with open(f"/proc/{pod['qemu_pid']}/status", encoding="utf-8") as file:
        fields = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    equal(fields["PPid"], str(processor.process.pid), "parent")
    uid = str(os.stat(bench.user.env["HOME"]).st_uid)
    equal(set(fields["Uid"].split()), {uid}, "user")
    equal((fields["CapEff"], fields["Seccomp"], fields["NoNewPrivs"]), ("0" * 16, "2", "1"),
          "rights")
    with open(f"/proc/{pod['qemu_pid']}/cmdline", "rb") as file:
        words = file.read().split(b"\0")
    for word in words:
        if word.startswith(b"virtio-"):
            contains(word.split(b","), b"iommu_platform=on")
    append = words[words.index(b"-append") + 1]
    contains(append, b"swiotlb=", b"force", b"casemate.tee=sim")
    bench.user("delete", "--force", "quiet").ok()
    bench.user.nothing_left()

with bench.check("a processor that ends takes its VM along: nothing runs on unmeasured",
                 bench.user):
    second = Processor(bench, "second", key=processor.dir)
    other = Journey(bench, bench.user, broker, second.socket, processor.dir)
    other.run(quiet, "-d", "--name", "quiet", *pass_args).ok()
    qemu = bench.user.pod("quiet")["qemu_pid"]
    second.process.kill()
    second.process.wait()
    eventually(lambda: qemu not in [pid for pid, _ in bench.processes()], "QEMU to end", 10)
    eventually(lambda: bench.user.pod("quiet")["containers"][0]["status"] == "stopped", "a status")
    bench.user("delete", "--force", "quiet").ok()

# -- one pod, four containers, and calls against its policy

SUM = ("sha256sum", "/run/secrets/model-key")
SUM_SAYS = f"{DIGEST}  /run/secrets/model-key\n".encode()
LAST_SECRET = ("--secret", f"last-key=kbs:///{LAST_RESOURCE}")
MAIN = (*SECRET, ref, "--", "sleep", "1000")
SECOND = (ref, "--", "sh", "-c", "ls -A /run/secrets 2>/dev/null; echo end")
THIRD = ("--read-only", "-u", "app", "-e", "A=b", *SECRET, ref, "--", *SUM)
LAST = (*LAST_SECRET, ref, "--", "sleep", "2000")
tapped = Journey(bench, me, broker, between.path, processor.dir)
policy, reference = tapped.generate("held", "--exec", json.dumps(SUM), "--exec", '["id","-u"]',
                                    *MAIN)
for container in (SECOND, THIRD, LAST):
    # with each one added it is another policy: the last has them all
    policy, reference = tapped.generate("held", *container, add=policy)
broker.set_rules(rule_of(reference), rule_of(reference, LAST_RESOURCE))


def unharmed():
    equal(heard(me("exec", "held", *SUM)).ok().out, SUM_SAYS, "exec")
    equal(me.container("held")["status"], "running", "main")


with bench.check("exec that the policy allows runs"):
    heard(tapped.run(policy, "-d", "--name", "held", *MAIN)).ok()
    unharmed()
    equal(me("exec", "held", "id", "-u").ok().out, b"0\n", "exec")
    equal(tapped.refusals("held"), [], "refusals")
    equal(me.container("held")["casemate"]["tee"], "sim", "tee")

with bench.check("exec against the policy is refused and recorded, the pod unharmed"):
    wrong = (("held", "sh", "-c", "cat /run/secrets/model-key"), ("held", SUM[0]),
             ("held", *SUM, SUM[1]), ("-u", "app", "held", "id", "-u"),
             ("-e", "LD_PRELOAD=/x", "held", "id", "-u"), ("-w", "/tmp", "held", "id", "-u"),
             ("held", "id"), ("-d", "held", "sleep", "7"))
    for args in wrong:
        heard(me("exec", *args)).refused("policy-exec")
    found = tapped.refusals("held")
    equal([(one["method"], one["container"], one["code"]) for one in found],
          [("ExecProcess", "main", "policy-exec")] * len(wrong), "refusals")
    equal(me.container("held")["casemate"]["refusal_count"], len(found), "count")
    unharmed()

with bench.check("a second and a third container that the policy allows start; the secret is where "
                 "it was asked for, and nowhere else"):
    equal(heard(tapped.add("held", *SECOND)).ok().out, b"end\n", "the second's secrets")
    equal(heard(tapped.add("held", *THIRD)).ok().out, SUM_SAYS, "the third's")
    unharmed()

with bench.check("a third container that the policy does not allow is refused and recorded, "
                 "the pod unharmed"):
    stranger = Oci().add([images.base(), Layer([folder("srv"), text("srv/x", "y\n")])]).write(
        os.path.join(bench.work, "stranger"))
    shorter = Oci().add([images.base()]).write(os.path.join(bench.work, "shorter"))
    wrong = (((stranger, *SECOND[1:]), "policy-layers"), ((shorter, *SECOND[1:]), "policy-layers"),
             ((ref, "--", "ls", "/run/secrets"), "policy-args"),
             (("-u", "app", *SECOND), "policy-user"),
             (("--read-only", *SECOND), "policy-read-only"),
             (("-e", "LD_PRELOAD=/x", *SECOND), "policy-env"),
             (("-w", "/tmp", *SECOND), "policy-cwd"),
             (("--hostname", "x", *SECOND), "policy-hostname"),
             (("--pids-limit", "7", *SECOND), "policy-resources"),
             (("--cpus", "0.5", *SECOND), "policy-resources"),
             ((*SECRET, *SECOND), "policy-secret"),
             (("--secret", f"other={URI}", *MAIN[2:]), "policy-secret"),
             (("--secret", f"model-key=kbs:///{LAST_RESOURCE}", *MAIN[2:]), "policy-secret"))
    before = tapped.refusals("held")
    with broker.releases_nothing():
        for args, code in wrong:
            heard(tapped.add("held", "--name", "wrong", *args)).refused(code)
    found = tapped.refusals("held")[len(before):]
    equal([(one["method"], one["code"]) for one in found],
          [("CreateContainer", code) for _, code in wrong], "recorded")
    equal([entry["name"] for entry in me.pod("held")["containers"]], ["main"], "containers")
    unharmed()

# -- the canaries: nothing here ever printed them, but the containers of the first checks

pod = me.pod("held")
RAM = pod["memory_mib"] * MIB

with bench.check("a secret is wiped from the guest's memory as its container is deleted"):
    tapped.add("held", "-d", "--name", "last", *LAST).ok()
    # the guest's memory is what a simulated processor cannot close to the host: that one may look
    assert find_in_memory(pod["qemu_pid"], LAST_CANARY, smallest=RAM, largest=2 * RAM), \
        "the secret is not in the guest: this check would see nothing"
    me("delete", "--force", "held/last").ok()
    equal(find_in_memory(pod["qemu_pid"], LAST_CANARY, smallest=RAM, largest=2 * RAM), [], "found")
    unharmed()

with bench.check("the secret is in no log and no file of the host's, and not in what QEMU is told"):
    found = []
    for path in (me.run_dir, me.cache_dir, bench.user.run_dir, bench.user.cache_dir,
                 os.path.join(bench.work, "tenant")):
        found += find_in_files(path, CANARY) + find_in_files(path, LAST_CANARY)
    for path in [*glob.glob(os.path.join(bench.work, "*.err")), broker.store + "/audit.log"]:
        with open(path, "rb") as file:
            data = file.read()
        found += find_in_bytes(data, CANARY, path) + find_in_bytes(data, LAST_CANARY, path)
    for number, data in enumerate(said):
        found += find_in_bytes(data, CANARY, f"standard error of run {number}")
    assert len(between.seen) > 16384, "nothing was heard of what QEMU is told"
    contains(bytes(between.seen), DIGEST.encode())
    found += find_in_bytes(bytes(between.seen), CANARY, "QEMU's sockets")
    found += find_in_bytes(bytes(between.seen), LAST_CANARY, "QEMU's sockets")
    if subprocess.run(["sh", "-c", "command -v journalctl"], stdout=subprocess.DEVNULL,
                      check=False).returncode == 0:
        journal = subprocess.run(["journalctl", "--no-pager", "-n", "10000"], check=False,
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        found += find_in_bytes(journal, CANARY, "the journal")
    equal(found, [], "found in")

with bench.check("the secret is in no memory of the host's programs: shim, processor, key, the "
                 "broker's front, QEMU's but for the guest's own"):
    assert find_in_memory(pod["qemu_pid"], CANARY, smallest=RAM, largest=2 * RAM), \
        "the secret is not in the guest: this check would see nothing"
    found = []
    for pid in (pod["shim_pid"], processor.process.pid, processor.key_pid(), broker.pids()[1]):
        found += find_in_memory(pid, CANARY) + find_in_memory(pid, LAST_CANARY)
    for secret in (CANARY, LAST_CANARY):
        found += find_in_memory(pod["qemu_pid"], secret, largest=RAM)
    equal(found, [], "found in")

with bench.check("the pod goes, and nothing of it is left", me):
    me("delete", "--force", "held").ok()

# -- who may not

with bench.check("the processor's key cannot be had by an ordinary user, nor by a pod's; its root "
                 "certificate can"):
    facts = os.stat(processor.dir)
    equal((facts.st_uid, facts.st_mode & 0o022), (KEY_UID, 0), "owner and mode of the directory")
    private = [path for path in glob.glob(processor.dir + "/*")
               if os.path.basename(path) != "root.pem"]
    assert private, "no key"
    pid = processor.key_pid()
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        fields = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    equal(set(fields["Uid"].split()), {str(KEY_UID)}, "the key's user")
    equal((fields["CapEff"], fields["CapPrm"], fields["NoNewPrivs"]), ("0" * 16, "0" * 16, "1"),
          "its rights")
    for uid in (os.stat(bench.user.env["HOME"]).st_uid, 90000):
        for path in (*private, f"/proc/{pid}/mem", f"/proc/{pid}/environ", f"/proc/{pid}/root/.",
                     f"/proc/{processor.process.pid}/mem"):
            as_user = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
            tried = subprocess.run([*as_user, "head", "-c", "1", path], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, check=False)
            assert tried.returncode != 0 and b"denied" in tried.stderr, f"{uid}: {tried}"
        traced = subprocess.run([*as_user, "strace", "-p", str(pid)], stdin=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, check=False, timeout=20)
        assert traced.returncode != 0 and b"not permitted" in traced.stderr, str(traced)
        tried = subprocess.run([*as_user, "cat", processor.dir + "/root.pem"], check=False,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        contains(tried.stdout, b"BEGIN CERTIFICATE")

with bench.check("an ordinary user without a processor is refused by name, before anything starts",
                 bench.user):
    alone = Journey(bench, bench.user, broker, os.path.join(bench.work, "none", "socket"),
                    processor.dir)
    alone.run(quiet, ref, "--", "sleep", "1000").refused(
        "--tee sim", "processor", "casemate-simtee")

with bench.check("sev-snp and tdx are refused by name with what is lacking; so is a TEE "
                 "without its policy", me):
    for tee, lacking in (("sev-snp", "firmware that measures the kernel"), ("tdx", "tdx-guest")):
        me("run", "--tee", tee, "--policy", quiet, *own.config, ref, "--", "true").refused(
            f"--tee {tee}", lacking)
    me("run", "--tee", "sim", *own.config, ref, "--", "true").refused("--policy")
    me("run", *SECRET, *own.config, ref, "--", "true").refused("--secret")
    me("run", "--policy", quiet, *own.config, ref, "--", "true").refused("--policy")
    me("run", "--tee", "other", "--policy", quiet, ref, "--", "true").refused("other")

with bench.check("broker and processor end when they are told to", me):
    equal((broker.stop(), processor.stop()), (0, 0), "statuses")

bench.end()
