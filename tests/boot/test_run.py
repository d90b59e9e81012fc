#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# One container in the foreground: its streams, its status, and what podman's flags mean.
# timeout: 300
import hashlib
import os
import shutil
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import images
from harness import SOAK, Bench, contains, equal
from images import Layer, Oci, text

MIB = 1 << 20
PODMAN_CAPABILITIES = "00000000800405fb"
bench = Bench()
me = bench.root or bench.user

NOISE = os.urandom(MIB)
CMD = "pwd; id; echo $GREETING; echo $PATH; echo $HOME; echo word >&2; exit 7"
own = Oci()
own.add([images.base(), Layer([text("srv/noise", NOISE), text("srv/run.sh", "#!/bin/sh\necho ran\n",
                                                                0o755)]),
         Layer([text("etc/words", "echo words\n", 0o755),
                text("etc/lost", "#!/no/such\n", 0o755)])], tag="plain")
own.add([images.base()], {"Env": ["GREETING=hello there", "PATH=/bin", "EMPTY="],
                          "Cmd": ["/bin/sh", "-c", CMD], "User": "app",
                          "WorkingDir": "/home/app/new"}, tag="own")
own.add([images.base()], {"Entrypoint": ["/bin/echo", "entry"], "Cmd": ["cmd"]}, tag="entry")
ref = own.write(os.path.join(bench.work, "own"))
plain = ref + ":plain"
script = ("--", "/bin/sh", "-c")

with bench.check("the image's own command, variables, user and directory; status 7", me):
    result = me("run", ref + ":own")
    equal(result.lines, ["/home/app/new", "uid=1000(app) gid=1000(app) groups=50(media),1000(app)",
                         "hello there", "/bin", "/home/app"], "standard output")
    equal(result.err, b"word\n", "standard error")
    equal(result.status, 7, "status")

ALL = """
cat /proc/self/status | grep -E '^(Uid|Gid|Groups|Cap)'
echo "A=$A B=$B C=$C D=$D E=$E F=$F G=${G-unset} H=$H"
pwd; hostname; uname -r
cat /sys/fs/cgroup/cpu.max /sys/fs/cgroup/memory.max
touch /x 2>&1; touch /srv/x 2>&1; echo fine > /dev/null && echo null
ls /sys/class/net
cat
exit 41
"""

with bench.check("flags mean what they mean to podman", me):
    variables = bench.file("variables", "# a comment\nA=file\nB=file\n\nC=\nE\nH=a b 'c' #d\n")
    result = me("run", "-i", "-e", "A=flag", "-e", "D=x=y z", "-e", "F", "-e", "G",
                "--env-file", variables, "-w", "/tmp", "-u", "web:media", "--hostname", "a-host",
                "--read-only", "--cpus", "0.5", "--memory", "64m", plain, *script, ALL,
                stdin=b"one\0two\xff\n", env={"E": "from outside", "F": "caller's"})
    lines = result.out.split(b"\n")
    equal(result.status, 41, "status")
    equal(result.err, b"", "standard error")
    equal([line.split()[1:] for line in lines[:3]],
          [[b"33"] * 4, [b"50"] * 4, [b"50"]], f"user, group, groups in {result}")
    equal([line.split()[1].decode() for line in lines[3:8]],
          ["0" * 16, "0" * 16, "0" * 16, PODMAN_CAPABILITIES, "0" * 16], "capabilities")
    equal(lines[8].decode(), "A=flag B=file C= D=x=y z E=from outside F=caller's G=unset "
          "H=a b 'c' #d", "variables")
    equal(lines[9:11], [b"/tmp", b"a-host"], "directory and host name")
    assert lines[11].decode() not in (os.uname().release, ""), lines[11]
    equal(lines[12:14], [b"50000 100000", b"67108864"], "the container's limits")
    contains(lines[14], b"Read-only file system")
    contains(lines[15], b"Read-only file system")
    equal(lines[16:], [b"null", b"lo", b"one\0two\xff", b""], "the rest")

INSIDE = """
echo $(cat /proc/self/status | sed -n 's/^Cap...:.//p')
echo $(id -u) $(id -G) $(pwd)
echo $(ls /sys/class/net) $(cat /sys/class/net/lo/flags)
echo $(ls /dev)
cat /sys/fs/cgroup/memory.max /proc/self/cgroup
echo $(ls -A /proc/1/root/proc | grep -c '^[0-9]')
touch /new /srv/new && rm /srv/run.sh && ls /srv
nc -w 3 192.0.2.1 80 < /dev/null 2>&1 | head -1
touch /proc/sys/kernel/hostname 2>/dev/null; echo x 2>/dev/null > /proc/sysrq-trigger || echo no
head -c 1 /proc/kcore 2>/dev/null | wc -c
mount -t tmpfs none /srv 2>&1
mknod /tmp/disk b 8 0 2>&1 && head -c 1 /tmp/disk
cat
"""

with bench.check("root in a container: podman's capabilities, loopback only, little of /dev", me):
    result = me("run", plain, *script, INSIDE, stdin=b"not asked for")
    lines = result.lines
    equal((result.status, result.errors.count("\n") > 2), (0, False), f"status {result}")
    equal(lines[0].split(), ["0" * 16] + [PODMAN_CAPABILITIES] * 3 + ["0" * 16], "capabilities")
    equal(lines[1], "0 0 /", "user, groups, directory")
    equal(lines[2], "lo 0x9", "networks: loopback, and that is up")
    equal(lines[3], "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty "
          "urandom zero", "/dev")
    assert lines[4] in ("max", "536870912"), f"memory.max: {lines[4]}"
    equal(lines[5], "0::/", "own cgroup namespace")
    equal(lines[6] in ("2", "3", "4", "5", "6"), True, f"few processes: {lines[6]}")
    equal(lines[7:9], ["new", "noise"], "writes go to the container's own layer")
    contains(lines[9], "unreachable")
    equal(lines[10:12], ["no", "0"], "proc is masked")
    contains(lines[12], "denied")
    assert not any("not asked for" in line for line in lines), "stdin without -i"
    assert b"Operation not permitted" in result.out + result.err, f"a disk's node: {result}"

with bench.check("nothing of the first container's writes is in the next", me):
    equal(me("run", plain, *script, "ls /srv /new").text, "/srv:\nnoise\nrun.sh\n", "/srv")

COUNT = 1024 if SOAK else 64

with bench.check(f"{COUNT} MiB out and 8 MiB in and out, not a byte lost or added", me):
    data = os.urandom(8 * MIB + 13)
    flood = f"cat; i=0; while [ $i -lt {COUNT} ]; do echo $i; cat /srv/noise; i=$((i+1)); done"
    out = hashlib.sha256()
    out.update(data)
    for number in range(COUNT):
        out.update(b"%d\n" % number + NOISE)
    with tempfile.TemporaryFile(dir=bench.work) as into:
        into.write(data)
        into.seek(0)
        process = me.start("run", "-i", plain, *script, flood, stdin=into)
        found, size = hashlib.sha256(), 0
        while True:
            block = process.stdout.read1(MIB)
            if not block:
                break
            found.update(block)
            size += len(block)
        error = process.stderr.read()
        equal((process.wait(60), error), (0, b""), "status and standard error")
    equal(size, len(data) + sum(len(b"%d\n" % i) + MIB for i in range(COUNT)), "size")
    equal(found.hexdigest(), out.hexdigest(), "digest")

with bench.check("both streams at once keep each its own order", me):
    both = "i=0; while [ $i -lt 3000 ]; do echo o$i; echo e$i >&2; i=$((i+1)); done"
    result = me("run", plain, *script, both)
    equal(result.out, b"".join(b"o%d\n" % i for i in range(3000)), "standard output")
    equal(result.err, b"".join(b"e%d\n" % i for i in range(3000)), "standard error")

with bench.check("without --accel one line says that it runs under TCG, and why", me):
    if os.path.exists("/dev/kvm") and "svm" in open("/proc/cpuinfo", encoding="utf-8").read():
        me("run", "--accel", "auto", plain, *script, "exit 3")
    else:
        result = me("run", "--accel", "auto", plain, *script, "exit 3")
        equal((result.status, result.out, result.err.count(b"\n")), (3, b"", 1), str(result))
        contains(result.errors, "casemate: ", "TCG")

with bench.check("a command that is not there: 127; one that cannot be run: 126", me):
    me("run", plain, "--", "/no/such", "x").refused("/no/such", status=127)
    me("run", plain, "--", "/srv/noise").refused("/srv/noise", status=126)
    me("run", plain, "--", "/etc/words").refused("/etc/words", "exec format error", status=126)
    me("run", "-d", "-e", "PATH=/etc", plain, "--", "lost").refused("lost", "/no/such", status=127)

with bench.check("processes and threads: 2048 at most, or as asked for", me):
    limit = "cat /sys/fs/cgroup/pids.max"
    equal(me("run", plain, *script, limit).ok().out, b"2048\n", "by default")
    equal(me("run", "--pids-limit", "-1", plain, *script, limit).ok().out, b"max\n", "none")
    result = me("run", "--pids-limit=8", plain, *script,
                limit + "; for i in 1 2 3 4 5 6 7 8 9; do sleep 9 & done")
    equal(result.out, b"8\n", "as asked for")
    assert result.status != 0 and "fork" in result.errors, str(result)

with bench.check("a reader that goes away ends the run, a closed output does not hang it", me):
    process = me.start("run", plain, *script, "yes")
    equal(len(process.stdout.read(4096)), 4096, "what is read")
    process.stdout.close()
    process.wait(30)
    assert process.returncode != 0, "yes ended well"

with bench.check("output that cannot be written is a failure with a reason, not a silence", me):
    with open("/dev/full", "wb") as full:
        process = me.start("run", plain, *script, "echo x; exit 0", stdout=full)
        equal(process.wait(60), 125, "status")
        contains(process.stderr.read().decode(), "casemate: run:", "No space left")

# -- the rest beside one another in one VM

with bench.check("entrypoint and command are put together as podman does"):
    me("run", "-d", "--name", "one", plain, "--", "/bin/sleep", "1000")
    for flags, words, expected in (
            ([], [], "entry cmd\n"), ([], ["a", "b"], "entry a b\n"),
            (["--entrypoint", "/bin/basename"], ["/x/y"], "y\n"),
            (["--entrypoint", ""], ["/bin/echo", "bare"], "bare\n"),
            (["--entrypoint", "/bin/pwd"], [], "/\n"),
            (["--entrypoint", '["/bin/echo", "json"]'], ["z"], "json z\n")):
        result = me("run", "--pod", "one", *flags, ref + ":entry", *(["--", *words] if words else []))
        equal((result.out, result.err, result.status), (expected.encode(), b"", 0), str(flags))

with bench.check("a command is found along the image's PATH, a script by its first line"):
    equal(me("run", "--pod", "one", plain, "--", "/srv/run.sh").ok().out, b"ran\n", "script")
    equal(me("run", "--pod", "one", "-e", "PATH=/srv:/bin", plain, "--", "run.sh").ok().out,
          b"ran\n", "PATH")
    equal(me("run", "--pod", "one", plain, "--", "echo", "--", "-x").ok().out, b"-- -x\n", "--")
    equal(me("run", "--pod", "one", plain, "echo", "-n", "x").ok().out, b"x", "without --")

with bench.check("--read-only leaves /tmp, /run and /var/tmp to write to, as podman does"):
    found = me("run", "--pod", "one", "--read-only", plain, *script,
               "for d in /tmp /run /var/tmp; do touch $d/x && echo $d; done; touch /srv/x")
    equal(found.lines, ["/tmp", "/run", "/var/tmp"], str(found))
    contains(found.errors, "/srv/x: Read-only file system")

# the group is among the supplementary ones, as in podman: a file may be closed to it
USERS = (("0", "0 0 [0] /root"), ("app", "1000 1000 [50 1000] /home/app"),
         ("1000", "1000 1000 [50 1000] /home/app"), ("1000:50", "1000 50 [50] /home/app"),
         ("web:app", "33 1000 [1000] /srv"), ("4242", "4242 0 [0] /"),
         ("4242:4343", "4242 4343 [4343] /"))
WHO = "echo $(id -u) $(id -g) [$(sed -n 's/^Groups:.//p' /proc/self/status | xargs)] $HOME"

with bench.check("users and groups by name and number, from the image's own files"):
    wrong = []
    for user, expected in USERS:
        for command in (["run", "--pod", "one", "-u", user, plain, "--"],
                        ["exec", "-u", user, "one"]):
            found = me(*command, "/bin/sh", "-c", WHO)
            if found.text.strip() != expected:
                wrong.append(f"{command[0]} -u {user}: {found.text.strip()}{found.errors}, "
                             f"expected {expected}")
    equal(wrong, [])

with bench.check("a user or group that the image does not have is refused by name"):
    for user, word in (("ghost", "ghost"), ("app:ghosts", "ghosts")):
        result = me("run", "--pod", "one", "-u", user, plain, "--", "/bin/true")
        assert result.status in (125, 126), str(result)
        result.refused(word, status=result.status)
        result = me("exec", "-u", user, "one", "/bin/true")
        assert result.status in (125, 126), str(result)
        result.refused(word, status=result.status)

with bench.check("a container of a running pod has its own limits, name and end"):
    result = me("run", "--pod", "one", "--name", "small", "--memory", "16m", "--cpus", "0.5",
                plain, *script, "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max; hostname; "
                "dd if=/dev/zero of=/tmp/x bs=1M count=50")
    equal(result.lines, ["16777216", "50000 100000", "one"], "limits and host name")
    equal(result.status, 137, "killed for its memory")
    equal([entry["name"] for entry in me.pod("one")["containers"]], ["main"], "containers")

with bench.check("all of the pod goes with it", me):
    me("delete", "--force", "one").ok()

with bench.check("as an ordinary user: the same, with the user's own folders", bench.user):
    result = bench.user("run", "-i", "-e", "A=b", "--memory", "96m", plain, *script,
                        "id -u; echo $A; cat; cat /sys/fs/cgroup/memory.max; uname -r; exit 9",
                        stdin=b"in\n")
    equal((result.status, result.err), (9, b""), str(result))
    equal(result.lines[:4], ["0", "b", "in", "100663296"], "output")
    assert os.listdir(bench.user.cache_dir), "no cache in the user's folder"

with bench.check("as a user without a runtime directory: a folder of that user's in /tmp",
                 bench.user):
    uid = 60000 + os.getpid() % 5000 if bench.root else os.getuid()
    folder, env = f"/tmp/casemate-{uid}", {"XDG_RUNTIME_DIR": ""}
    if not os.path.exists(folder):
        other = bench.another_user("other", uid) if bench.root else me
        try:
            equal(other("run", plain, *script, "echo x", env=env).ok().out, b"x\n", "output")
            facts = os.stat(folder)
            equal((facts.st_mode & 0o777, facts.st_uid), (0o700, uid), "mode and owner")
            equal([name for sub in os.listdir(folder) for name in os.listdir(folder + "/" + sub)],
                  [], "left in it")
            os.chmod(folder, 0o777)
            other("run", plain, *script, "echo x", env=env).refused(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

bench.end()
