#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The writer against those who know better: GNU tar, fsck.erofs, veritysetup, the kernel.

usage: oracle.py TAR2IMG [FILES]

Makes a directory that has some of everything and FILES small files (3000; with SOAK=1 100000),
packs it with GNU tar, and compares what GNU tar extracts with what is in the image, as fsck.erofs
extracts it and, for root where the kernel has loop devices and erofs, as the kernel shows it. The
hash tree is compared with veritysetup's, byte for byte. Exit 77: a tool is missing.
"""

import hashlib
import os
import resource
import shutil
import stat
import subprocess
import sys
import tempfile
import time

BLOCK = 4096
HOLED = ["zeros", "sparse-empty", "sparse", "sparse-even"]
SOAK = os.environ.get("SOAK") == "1"
SIZES = [0, 1, 1023, 1024, 1025, 4095, 4096, 4097, 8192, 100000]


def run(*argv):
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(argv)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def put(path, data=b"", mtime_ns=1_000_000_000_123_456_789):
    with open(path, "wb") as out:
        out.write(data)
    os.utime(path, ns=(mtime_ns, mtime_ns))


def put_sparse(path, size, islands):
    with open(path, "wb") as out:
        for offset, data in islands:
            out.seek(offset)
            out.write(data)
        out.truncate(size)


def fill_names(top):
    os.mkdir(top + "/names")
    for name in ["n" * 255, "-", "!", ".-", "...", ".a", "+x", "\u00e9", "e\u0301", b"\xff\xfe",
                 "a b", "new\nline"]:
        raw = name if isinstance(name, bytes) else name.encode()
        put(os.fsencode(f"{top}/names/") + raw, raw)
    deep = top
    for i in range(40):
        deep += f"/deep{i}-" + "d" * 60
        os.mkdir(deep)
    put(deep + "/end", b"down here")
    os.mkdir(top + "/empty", 0o1777)
    for i, length in enumerate([1, 100, 1024, 1025, 4000, 4095]):
        os.symlink("s" * length, f"{top}/symlink{i}")
    os.mkfifo(top + "/fifo")


def fill_files(top):
    rng = hashlib.shake_256(b"casemate").digest(200000)
    for size in SIZES:
        put(f"{top}/size{size}", rng[:size])
        os.link(f"{top}/size{size}", f"{top}/link{size}")
    put(top + "/zeros", bytes(300000))
    put(top + "/before1970", b"old", -5_000_000_000)
    put(top + "/after2106", b"new", 5_000_000_000_000_000_001)
    put_sparse(top + "/sparse-empty", 9 << 20, [])
    put_sparse(top + "/sparse", 8 << 20, [(5, b"a"), (1 << 20, rng), ((8 << 20) - 1, b"z")])
    put_sparse(top + "/sparse-even", 1 << 20, [(i << 16, rng[:40000]) for i in range(3, 16, 4)])
    put(top + "/setuid", b"s")
    os.chmod(top + "/setuid", 0o6751)


def fill_many(top, files):
    for i in range(files):
        folder = f"{top}/many/{i % 97}"
        if i < 97:
            os.makedirs(folder)
        put(f"{folder}/file{i}", b"%d\n" % i * (i % 300))


def fill_root(top):
    """What only root can make."""
    os.chown(top + "/size1", 70000, 3000000000)
    os.setxattr(top + "/size1", "user.one", b"1")
    os.setxattr(top + "/size1", "user.empty", b"")
    os.setxattr(top + "/size4096", "trusted.long", b"v" * 3000)
    os.setxattr(top + "/empty", "user." + "k" * 250, b"value")
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    os.setxattr(top + "/size100000", "security.capability", capability)


def look(path):
    """All that there is to compare of one path, but its contents."""
    st = os.lstat(path)
    kind = stat.S_IFMT(st.st_mode)
    seen = {"mode": oct(st.st_mode), "owner": (st.st_uid, st.st_gid)}
    seen["dirtime" if kind == stat.S_IFDIR else "mtime"] = st.st_mtime_ns
    if kind != stat.S_IFDIR:
        seen["links"] = st.st_nlink
    if kind == stat.S_IFREG:
        seen["size"] = st.st_size
    if kind == stat.S_IFLNK:
        seen["target"] = os.readlink(path)
    else:
        seen["xattrs"] = {n: os.getxattr(path, n) for n in sorted(os.listxattr(path))}
    return seen


def digest(path):
    with open(path, "rb") as data:
        return hashlib.file_digest(data, "sha256").digest() if hasattr(hashlib, "file_digest") \
            else hashlib.sha256(data.read()).digest()


def walk(top):
    for folder, dirs, files in os.walk(top):
        dirs.sort()
        for name in dirs + files:
            yield os.path.relpath(os.path.join(folder, name), top)


def compare(want, got, forget=(), forget_bits=0, skip=()):
    paths = sorted(walk(want))
    differ = sorted(set(paths) ^ set(walk(got)))
    if differ:
        sys.exit(f"{len(differ)} paths are in one only, such as {differ[0]!r}")
    twins = {}
    paths = [path for path in paths if path not in skip]
    for path in [".", *paths]:
        a, b = (look(os.path.join(top, path)) for top in (want, got))
        for key in forget:
            a.pop(key, None)
            b.pop(key, None)
        for seen in (a, b):
            seen["mode"] = oct(int(seen["mode"], 8) & ~forget_bits)
        if a != b:
            sys.exit(f"{path!r} is {b}, not {a}")
        full = [os.path.join(top, path) for top in (want, got)]
        if stat.S_ISREG(int(a["mode"], 8)) and digest(full[0]) != digest(full[1]):
            sys.exit(f"{path!r}: contents differ")
        if "links" not in forget and "links" in a and a["links"] > 1:
            ours = os.lstat(full[1]).st_ino
            if twins.setdefault(os.lstat(full[0]).st_ino, ours) != ours:
                sys.exit(f"{path!r}: hard links are not the same file")
    return len(paths)


def check_tree(image, work, root, blocks):
    data, tree = work + "/data", work + "/tree"
    with open(image, "rb") as whole:
        with open(data, "wb") as out:
            shutil.copyfileobj(whole, out)
            out.truncate(blocks * BLOCK)
        whole.seek(blocks * BLOCK)
        ours = whole.read()
    fixed = ["--no-superblock", "--salt=-", "--hash=sha256", "--format=1",
             "--data-block-size=4096", "--hash-block-size=4096", f"--data-blocks={blocks}"]
    said = run("veritysetup", "format", *fixed, data, tree)
    theirs = [line.split()[-1] for line in said.splitlines() if line.startswith("Root hash")]
    if theirs != [root]:
        sys.exit(f"root hash {root}, veritysetup says {theirs}")
    with open(tree, "rb") as want:
        if want.read().rstrip(b"\0") != ours.rstrip(b"\0"):
            sys.exit("the hash tree is not veritysetup's")
    run("veritysetup", "verify", *fixed, f"--hash-offset={blocks * BLOCK}", image, image, root)


def check_mounted(image, blocks, want, work):
    mounted = work + "/mnt"
    os.mkdir(mounted)
    if subprocess.run(["mount", "-t", "erofs", "-o", f"ro,loop,sizelimit={blocks * BLOCK}",
                       image, mounted], capture_output=True).returncode:
        print("kernel: no loop device or no erofs here")
        return False
    try:
        print(f"kernel: {compare(want, mounted)} paths are the same")
    finally:
        run("umount", mounted)
    return True


def check_stacked(work, tar2img):
    """Whiteouts and opaque directories, as the kernel's overlayfs takes them."""
    mounted = []
    try:
        for i, paths in enumerate([
                ["dir/kept", "dir/gone", "gone", "opaque/hidden", "swapped/hidden"],
                ["dir/.wh.gone", ".wh.gone", "opaque/.wh..wh..opq", "opaque/new", ".wh.swapped",
                 "swapped/new"]]):
            top, image = f"{work}/layer{i}", f"{work}/layer{i}.img"
            for path in paths:
                os.makedirs(os.path.dirname(f"{top}/{path}"), exist_ok=True)
                put(f"{top}/{path}", path.encode())
            if i == 0:
                os.setxattr(top + "/dir", "trusted.overlay.opaque", b"y")
            run("tar", "--xattrs", "--xattrs-include=*", "-C", top, "-cf", image + ".tar", ".")
            run(tar2img, image + ".tar", image)
            mounted.append(f"{work}/mnt{i}")
            os.mkdir(mounted[-1])
            run("mount", "-t", "erofs", "-o", "ro,loop", image, mounted[-1])
        top = f"{work}/merged"
        os.mkdir(top)
        run("mount", "-t", "overlay", "-o", f"ro,lowerdir={mounted[1]}:{mounted[0]}", "x", top)
        mounted.append(top)
        got = sorted(walk(top))
        want = ["dir", "dir/kept", "opaque", "opaque/new", "swapped", "swapped/new"]
        if got != want:
            sys.exit(f"overlayfs shows {got}, not {want}")
        print("overlayfs: whiteouts and opaque directories hold")
    finally:
        for path in reversed(mounted):
            subprocess.run(["umount", path], check=False, stderr=subprocess.DEVNULL)


def main():
    files = int(sys.argv[2]) if len(sys.argv) > 2 else 100000 if SOAK else 3000
    for tool in ["fsck.erofs", "veritysetup", "tar"]:
        if not shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
            print(f"{tool} is not here")
            return 77
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    is_root = os.geteuid() == 0
    with tempfile.TemporaryDirectory(prefix="oracle") as work:
        source, tar, image, want = (f"{work}/{name}" for name in ("src", "tar", "image", "want"))
        os.mkdir(source)
        os.mkdir(want)
        fill_names(source)
        fill_files(source)
        fill_many(source, files)
        if is_root:
            fill_root(source)
        xattrs = ["--xattrs", "--xattrs-include=*"] if is_root else []
        run("tar", "--format=posix", "--sparse", *xattrs, "-C", source, "-cf", tar, ".")
        run("tar", *xattrs, "-C", want, "-xpf", tar)
        began = time.monotonic()
        root, blocks, hashes, total = run(sys.argv[1], tar, image).split()
        took = time.monotonic() - began
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
        print(f"image: {total} bytes, {blocks} blocks of data, {took:.2f} s, {peak} MiB at most")
        if run(sys.argv[1], tar, image + "2").split()[0] != root:
            sys.exit("the same tar has two roots")
        blocks = int(blocks)
        assert int(hashes) == blocks and os.path.getsize(image) == int(total)
        check_tree(image, work, root, blocks)
        run("fsck.erofs", f"--extract={work}/fsck", image)
        forget = ["xattrs", "links", "dirtime"] + ([] if is_root else ["owner"])
        # fsck.erofs 1.5 and 1.8 give a file to its owner last, which takes set-uid away from it,
        # and do not extract holes. The kernel is asked about both.
        same = compare(want, work + "/fsck", forget, stat.S_ISUID | stat.S_ISGID, HOLED)
        print(f"fsck.erofs: {same} paths are the same")
        if is_root and check_mounted(image, blocks, want, work):
            check_stacked(work, sys.argv[1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
