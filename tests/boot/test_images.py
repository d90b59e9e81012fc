#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# What a container finds of its image: OCI layouts and archives, bundles, directories, in a guest.
# timeout: 300
import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
import tarfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import images
from harness import Bench, contains, equal, eventually
from images import Layer, Oci, entry, folder, hardlink, symlink, text

bench = Bench()
me = bench.root or bench.user
DEEP = "/".join(["d" * 100] * 6)
LONG = "n" * 255
SHOW_XATTRS = r"""
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		char names[4096], value[4096];
		ssize_t size = llistxattr(argv[i], names, sizeof(names));
		for (char *name = names; name < names + size; name += strlen(name) + 1) {
			ssize_t length = lgetxattr(argv[i], name, value, sizeof(value));
			printf("%s %s ", argv[i], name);
			for (ssize_t j = 0; j < length; j++)
				printf("%02x", (unsigned char)value[j]);
			printf("\n");
		}
	}
	return 0;
}
"""


def path(name):
    return os.path.join(bench.work, name)


def sh(reference, script, *flags, user=None):
    return (user or me)("run", *flags, reference, "--", "/bin/sh", "-c", script)


def tool(source):
    """A static program of a few lines of C."""
    file = bench.file("tool.c", source)
    subprocess.run(["cc", "-static", "-Os", "-s", "-o", path("tool"), file], check=True)
    with open(path("tool"), "rb") as program:
        return program.read()


def capability(bits):
    """security.capability, revision 2, effective."""
    return struct.pack("<IIIII", 0x02000001, bits, 0, 0, 0).decode("latin-1")


# -- whiteouts, links, names, attributes

def rich():
    pax = {"SCHILY.xattr.user.one": "1", "SCHILY.xattr.user.long": "x" * 300,
           "SCHILY.xattr.trusted.t": "tt"}
    capable = {"SCHILY.xattr.security.capability": capability(1 << 10)}
    return [
        images.base("gzip"),
        Layer([folder("a"), text("a/gone", "1"), text("a/stays", "2"), folder("o"),
               text("o/below", "3"), folder("o/sub"), text("o/sub/x", "4"), folder("b"),
               text("b/first", "shared"), text("b/replaced", "old", 0o600, uid=7, gid=8),
               folder("was-dir"), text("was-dir/x", "5"), text("was-file", "6"),
               folder("keep", 0o2751, uid=33, gid=44, mtime=1000000001)], "zstd"),
        Layer([text("a/.wh.gone", ""), text("o/.wh..wh..opq", ""), text("o/above", "7"),
               hardlink("b/second", "b/first"), text("b/replaced", "new", 0o4755, uid=1, gid=2),
               text("was-dir", "file now"), text(".wh.was-file", ""), folder("was-file"),
               text("was-file/y", "8"), text("keep/in", "9")], "gzip"),
        Layer([folder("n"), text("n/" + LONG, "long"), text("n/" + DEEP + "/deep", "deep"),
               text("n/spa ce\nline", "s"), text("n/ü", "u"), text("n/old", "", mtime=1),
               text("n/far", "", mtime=0x1_0000_0003), symlink("n/link", "x" * 1000),
               entry("n/fifo", tarfile.FIFOTYPE), text("n/empty", ""),
               text("n/block", b"b" * 4096), text("n/more", b"c" * 4097),
               text("n/xattrs", "x", pax_headers=pax),
               text("n/big", b"".join(b"%07d\n" % i for i in range(300000))),
               text("n/busybox", _busybox(), 0o755, pax_headers=capable),
               text("n/show", tool(SHOW_XATTRS), 0o755)]),
    ]


def _busybox():
    with open(shutil.which("busybox"), "rb") as file:
        return file.read()


LOOK = f"""
echo a: $(ls /a) o: $(ls -A /o) b: $(ls /b) $(cat /was-dir) $(cat /was-file/y)
cat /b/first /b/second /b/replaced; echo; stat -c '%a %u %g' /b/replaced /keep; stat -c %Y /keep
stat -c '%h' /b/first; [ $(stat -c %i /b/first) = $(stat -c %i /b/second) ] && echo same
cat /n/{LONG} /n/{DEEP}/deep /n/ü; ls /n | wc -l; stat -c %Y /n/old /n/far
readlink /n/link | wc -c; stat -c %F /n/fifo; wc -c < /n/empty; md5sum < /n/block; md5sum < /n/more
sha256sum < /n/big; dd if=/n/big bs=8 skip=200000 count=1 2>/dev/null
/n/show /n/xattrs
su app -c '/n/busybox grep CapEff /proc/self/status'
"""

with bench.check("whiteouts, links, long names, times, owners, attributes are as in the layers", me):
    oci = Oci().add(rich())
    reference = oci.write(path("rich"))
    result = sh(reference, LOOK)
    lines = result.lines
    equal((result.status, result.err), (0, b""), str(result))
    equal(lines[0], "a: stays o: above b: first replaced second file now 8", "whiteouts")
    equal(lines[1:4], ["sharedsharednew", "4755 1 2", "2751 33 44"], "owners and modes")
    equal(lines[4], "1000000001", "time of a directory that a later layer only adds to")
    equal(lines[5:7], ["2", "same"], "hard link to a file below")
    equal(lines[7], "longdeepu15", "names")
    equal(lines[8:10], ["1", str(0x1_0000_0003)], "times")
    equal(lines[10:13], ["1001", "fifo", "0"], "symbolic link, fifo, empty file")
    equal([line.split()[0] for line in lines[13:16]],
          [hashlib.md5(b"b" * 4096).hexdigest(), hashlib.md5(b"c" * 4097).hexdigest(),
           hashlib.sha256(b"".join(b"%07d\n" % i for i in range(300000))).hexdigest()], "content")
    equal(lines[16], "0200000", "in the middle")
    xattrs = "\n".join(lines[17:])
    contains(xattrs, "user.one 31", "user.long " + "78" * 300)
    contains(lines[-1], "CapEff:\t0000000000000400")

with bench.check("a sparse file keeps its size and stores next to nothing", me):
    tree = bench.folder("sparse")
    with open(os.path.join(tree, "hole"), "wb") as file:
        file.write(b"start")
        file.seek(3 << 30)
        file.write(b"end")
    tar = subprocess.run(["tar", "-C", tree, "-S", "--owner=0", "--group=0", "-c", "hole"],
                         stdout=subprocess.PIPE, check=True).stdout
    result = sh(Oci().add([images.base(), Layer(tar)]).write(path("sparse-image")),
                "stat -c %s /hole; head -c 6 /hole | od -c | head -1; tail -c 4 /hole | od -c")
    equal(result.lines[0], str((3 << 30) + 3), "size")
    contains(result.text, "s   t   a   r   t  \\0", "\\0   e   n   d")
    equal(me("run", "--config", "layer_max_size=4MiB", "oci:" + path("sparse-image"), "--",
             "/bin/true").status, 0, "holes are free")

with bench.check("60 layers, the uppermost on top, and a second time from the cache", me):
    layers = [images.base()] + [Layer([folder("l"), text(f"l/{number}", str(number)),
                                       text("l/last", str(number))]) for number in range(59)]
    reference = Oci().add(layers).write(path("sixty"))
    result = sh(reference, "ls /l | wc -l; cat /l/0 /l/58 /l/last; echo; sleep 1000 & "
                           "grep -c dm- /proc/diskstats")
    equal(result.lines[:2], ["60", "05858"], str(result))

with bench.check("a layer that leaves out directories takes them from what is below, or makes them",
                 me):
    layers = [images.base(), Layer([folder("p", 0o700, uid=33, gid=44),
                                    folder("p/q", 0o1777, uid=5)]),
              Layer([text("p/q/file", "1"), text("new/made/file", "2")])]
    result = sh(Oci().add(layers).write(path("parents")),
                "stat -c '%a %u %g' /p /p/q /new /new/made; cat /p/q/file /new/made/file")
    equal(result.ok().lines, ["700 33 44", "1777 5 0", "755 0 0", "755 0 0", "12"], "directories")

# -- archives and indexes

with bench.check("archives, plain and packed, and images by tag, all say the same", me):
    small = Oci().add([images.base(), Layer([text("who", "one")])], tag="one")
    small.add([images.base(), Layer([text("who", "two")], "zstd")], tag="two")
    for how in ("", "gzip", "zstd"):
        reference = small.archive(path("archive" + how), how)
        for tag in ("one", "two") if not how else ("one",):
            equal(sh(f"{reference}:{tag}", "cat /who").ok().text, tag, f"{how} {tag}")
    equal(sh(small.write(path("tagged")) + ":two", "cat /who").ok().text, "two", "by tag")

with bench.check("an index of several platforms: this machine's is taken", me):
    many = Oci().add([images.base(), Layer([text("who", "amd64")])])
    many.add([images.base(), Layer([text("who", "arm")])])
    many.manifests[1]["platform"]["architecture"] = "arm64"
    inner = {"schemaVersion": 2, "mediaType": images.INDEX, "manifests": many.manifests}
    many.manifests = [{"mediaType": images.INDEX, **many.put(inner)}]
    equal(sh(many.write(path("platforms")), "cat /who").ok().text, "amd64", "platform")

# -- directories

def tree(name):
    """A root file system of hard-working files in a directory."""
    top = bench.folder(name)
    for info, data in images._base:
        target = os.path.join(top, info.name)
        if info.isdir():
            os.makedirs(target, exist_ok=True)
            os.chmod(target, info.mode)
        elif info.issym():
            os.symlink(info.linkname, target)
        else:
            bench.file(os.path.join(name, info.name), data, info.mode)
    bench.file(name + "/srv/data", "data")
    bench.file(name + "/srv/.wh.name", "not a whiteout")
    os.link(top + "/srv/data", top + "/srv/linked")
    with open(top + "/srv/hole", "wb") as file:
        file.truncate(1 << 30)
    return top


images.base()
top = tree("tree")

with bench.check("rootfs: owners, modes, links, holes as they are; writes stay in the pod", me):
    bench.file("tree/srv/suid", "x", 0o4750)
    if bench.root:
        os.chown(top + "/srv/suid", 33, 44)
        os.chmod(top + "/srv/suid", 0o4750)
        os.setxattr(top + "/srv/data", "trusted.mine", b"v")
    result = sh("rootfs:" + top, "stat -c '%a %u %g' /srv/suid; stat -c '%h %i' /srv/data /srv/linked"
                "; stat -c %s /srv/hole; cat '/srv/.wh.name'; echo new > /srv/data; rm /srv/linked")
    lines = result.ok().lines
    equal(lines[0], "4750 33 44" if bench.root else "4750 0 0", "mode and owner")
    equal((lines[1].split()[0], lines[1]), ("2", lines[2]), "hard links")
    equal(lines[3:], [str(1 << 30), "not a whiteout"], "hole, odd name")
    with open(top + "/srv/data", encoding="utf-8") as file:
        equal(file.read(), "data", "the file here")
    assert os.path.exists(top + "/srv/linked"), "the file here is gone"


def cached(name):
    me("run", "-d", "--name", name, "rootfs:" + top, "--", "/bin/sleep", "1000").ok()
    return [layer["cached"] for layer in me.container(name)["container"]["layers"]]


with bench.check("rootfs: unchanged from the cache; a change is seen, even with size and time kept",
                 me):
    cached("warm")
    me("delete", "--force", "warm").ok()
    equal(cached("again"), [True], "the second time")
    facts = os.stat(top + "/srv/data")
    bench.file("tree/srv/data", "DATA")
    os.utime(top + "/srv/data", ns=(facts.st_atime_ns, facts.st_mtime_ns))
    equal(me("exec", "again", "cat", "/srv/data").ok().text, "data", "a running pod's")
    me("delete", "--force", "again").ok()
    equal(cached("changed"), [False], "after a change")
    equal(me("exec", "changed", "cat", "/srv/data").ok().text, "DATA", "content")
    me("delete", "--force", "changed").ok()
    os.chmod(top + "/srv/data", 0o640)
    equal(sh("rootfs:" + top, "stat -c %a /srv/data").ok().text, "640\n", "mode")

if bench.needs_root("rootfs: by a user: the own uid becomes 0", "rootfs: device nodes are inert"):
    with bench.check("rootfs: by a user: the own uid becomes 0", bench.user):
        mine = tree("mine")
        subprocess.run(["chown", "-R", "65534:65534", mine], check=True)
        os.chown(mine + "/srv/suid" if os.path.exists(mine + "/srv/suid") else mine + "/srv/linked",
                 33, 44)
        os.chown(mine + "/etc/group", 65534, 44)
        result = sh("rootfs:" + mine, "id -u; stat -c '%u %g' /bin /etc/group /srv/linked; touch /root/x",
                    user=bench.user)
        equal(result.ok().lines, ["0", "0 0", "0 44", "33 44"], "owners")

    with bench.check("rootfs: device nodes are inert", me):
        os.mknod(top + "/srv/disk", 0o60666, os.makedev(8, 0))
        os.mknod(top + "/srv/null", 0o20666, os.makedev(1, 3))
        result = sh("rootfs:" + top, "head -c 1 /srv/disk | wc -c; echo ran")
        if result.status == 125:
            result.refused("srv/disk")
        else:
            equal(result.lines[-2:], ["0", "ran"], str(result))
        os.unlink(top + "/srv/disk")
        os.unlink(top + "/srv/null")

# -- bundles

STATUS = "grep -E '^(Cap|NoNew)' /proc/self/status"


def status(sets, no_new_privileges):
    """What STATUS shows: the inheritable, permitted, effective, bounding and ambient set."""
    names = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
    return [f"{name}:\t{mask:0>16}" for name, mask in zip(names, sets.split())] + \
        [f"NoNewPrivs:\t{no_new_privileges}"]


with bench.check("bundle: as `crun spec` makes it, its process, host name, read-only root", me):
    bundle = bench.folder("bundle")
    subprocess.run(["crun", "spec"], cwd=bundle, check=True)
    os.rename(top, bundle + "/rootfs")
    with open(bundle + "/config.json", encoding="utf-8") as file:
        config = json.load(file)
    config["process"]["terminal"] = False
    config["process"]["args"] = ["/bin/sh", "-c", "hostname; touch /x; id -u; pwd; echo $V; "
                                 f"{STATUS}; ulimit -n; ulimit -Hn; exit 6"]
    config["process"]["env"] += ["V=w"]
    config["process"]["cwd"] = "/srv"
    config["hostname"] = "of-bundle"

    def bundle_run(*flags):
        with open(bundle + "/config.json", "w", encoding="utf-8") as out:
            json.dump(config, out)
        return me("run", *flags, "bundle:" + bundle)

    result = bundle_run()
    equal(result.status, 6, str(result))
    equal(result.lines[:4], ["of-bundle", "0", "/srv", "w"], "output")
    # kill, net_bind_service and audit_write: ambient without inheritable comes to nothing
    equal(result.lines[4:], [*status("0 20000420 20000420 20000420 0", 1), "1024", "1024"],
          "privileges")
    contains(result.errors, "Read-only file system")

with bench.check("bundle: exec gets what the container may have, never more", me):
    keep = json.dumps(config)
    config["process"]["args"] = ["/bin/sleep", "1000"]
    bundle_run("-d", "--name", "modest").ok()
    more = status("0 20000420 20000420 20000420 0", 1)
    none = status("0 0 0 20000420 0", 1)
    for user, wanted in ((), more), (("-u", "0"), more), (("-u", "app"), none):
        result = me("exec", *user, "modest", "/bin/sh", "-c", STATUS + "; ulimit -Hn").ok()
        equal(result.lines, [*wanted, "1024"], str(user))
    me("delete", "--force", "modest").ok()

with bench.check("bundle: no capabilities if it names none; limits as it says", me):
    config = json.loads(keep)
    process = config["process"]
    del process["capabilities"]
    process.update(noNewPrivileges=False, rlimits=[
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 4096},
        {"type": "RLIMIT_NOFILE", "soft": 64, "hard": 1048576},
        {"type": "RLIMIT_MEMLOCK", "soft": 65536, "hard": 2 ** 64 - 1},
        {"type": "RLIMIT_STACK", "soft": 2 ** 64 - 1, "hard": 2 ** 64 - 1}])
    process["args"] = ["/bin/sh", "-c", f"{STATUS}; ulimit -n; ulimit -Hn; ulimit -l; ulimit -Hl; "
                                        "ulimit -s; ulimit -c; ulimit -Hc; wc -c </proc/interrupts"]
    equal(bundle_run().ok().lines,
          [*status("0 0 0 0 0", 0), "64", "1048576", "64", "unlimited", "unlimited", "0", "8", "0"],
          "privileges")

with bench.check("bundle: capabilities beyond podman's, ambient ones, and another user's", me):
    config = json.loads(keep)
    process = config["process"]
    both = ["CAP_NET_BIND_SERVICE", "CAP_SYS_ADMIN"]
    process.update(noNewPrivileges=False, user={"uid": 1000, "gid": 1000},
                   args=["/bin/sh", "-c", STATUS], capabilities={
                       "bounding": both, "permitted": both[:1], "effective": both[:1],
                       "inheritable": both[:1], "ambient": both[:1]})
    equal(bundle_run().ok().lines, status("400 400 400 200400 400", 0), "the bundle's user")
    equal(bundle_run("-u", "0").ok().lines, status("0 200400 200400 200400 0", 0), "root")
    equal(bundle_run("-u", "1001").ok().lines, status("0 0 0 200400 0", 0), "another")

with bench.check("bundle: what there is not yet is refused by name, not left out"):
    for change, word in ((lambda: config["mounts"].append(
            {"destination": "/host", "type": "bind", "source": "/etc", "options": ["rbind"]}),
            "/mounts"),
            (lambda: config.update(hooks={"prestart": [{"path": "/bin/true"}]}), "hooks"),
            (lambda: config["linux"].setdefault("devices", []).append(
                {"path": "/dev/sda", "type": "b", "major": 8, "minor": 0}), "devices"),
            (lambda: config["linux"].update(seccomp={"defaultAction": "SCMP_ACT_ALLOW"}),
             "seccomp"),
            (lambda: config["process"].update(apparmorProfile="x"), "apparmorProfile"),
            (lambda: config["process"].update(oomScoreAdj=500), "oomScoreAdj"),
            (lambda: config["process"]["capabilities"].update(bounding=["CAP_NONE"]),
             "/process/capabilities/bounding/0"),
            (lambda: config["process"].update(rlimits=[
                {"type": "RLIMIT_NOFILE", "soft": 1, "hard": 1048577}]), "/process/rlimits/0/hard"),
            (lambda: config["process"].update(cwd="relative"), "cwd"),
            (lambda: config["process"].update(args=[]), "args")):
        config = json.loads(keep)
        change()
        bundle_run().refused("config.json", word)
    config = json.loads(keep)
    me.nothing_left()

bench.end()
