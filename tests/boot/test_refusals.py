#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# What is refused before anything starts: flags, names, values, images; by name and in one line.
# timeout: 120
import os
import shutil
import sys
import tarfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import images
from harness import Bench, contains, equal
from images import Layer, Oci, entry, folder, hardlink, symlink, text

bench = Bench()
me = bench.root or bench.user
good = Oci().add([images.base()]).write(os.path.join(bench.work, "good"))
TRUE = ("--", "/bin/true")


def path(name):
    return os.path.join(bench.work, name)


# -- flags

NOT_THERE = [
    (["-p", "8080:80"], "-p"), (["--publish", "80"], "--publish"), (["-P"], "publish"),
    (["-v", "/:/host"], "-v"), (["--volume", "/:/host"], "--volume"),
    (["--mount", "type=tmpfs,dst=/x"], "--mount"), (["--tmpfs", "/x"], "--tmpfs"),
    (["--device", "/dev/null"], "--device"), (["--gpus", "many"], "--gpus"),
    (["--privileged"], "--privileged"), (["--cap-add", "ALL"], "--cap-add"),
    (["--cap-drop", "ALL"], "--cap-drop"), (["--security-opt", "x=y"], "--security-opt"),
    (["--restart", "always"], "--restart"), (["--dns", "1.1.1.1"], "--dns"),
    (["--add-host", "a:1.2.3.4"], "--add-host"), (["--ulimit", "nofile=1"], "--ulimit"),
    (["--userns", "host"], "--userns"), (["--pid", "host"], "--pid"), (["--init"], "--init"),
    (["-l", "a=b"], "-l"), (["--label", "a=b"], "--label"),
]

with bench.check("a flag known from podman that is not there yet is refused by name"):
    for flag, name in NOT_THERE:
        me("run", *flag, good, *TRUE).refused(name)

with bench.check("such a flag with its value attached is refused by name, too"):
    for flag, name in (("-p8080:80", "-p"), ("-v/:/host", "-v"), ("--volume=/:/h", "--volume"),
                       ("--publish=80", "--publish"), ("-itp80", "-p")):
        me("run", flag, good, *TRUE).refused(name)

with bench.check("a network other than none is refused, with what there is"):
    for network in ("host", "bridge", "slirp4netns", "container:x", ""):
        me("run", "--network", network, good, *TRUE).refused("--network", network)
        me("run", f"--network={network}", good, *TRUE).refused("--network", network)

with bench.check("an unknown flag is refused with the nearest there is"):
    me("run", "--nmae", "x", good, *TRUE).refused("--nmae", "--name")
    me("run", "--read-onyl", good, *TRUE).refused("--read-onyl", "--read-only")
    me("run", "--mem", "64m", good, *TRUE).refused("--mem", "--memory")
    me("run", "-Z", good, *TRUE).refused("-Z")
    me("exec", "--intractive", "a", "true").refused("--intractive", "--interactive")
    me("list", "--jsno").refused("--jsno", status=2)
    me("logs", "--bogus", "x").refused("--bogus", status=2)

with bench.check("a flag without its value, or with one it does not take, is refused"):
    me("run", "--name").refused("--name")
    me("run", "-e").refused("-e")
    me("run", "--rm=1", good, *TRUE).refused("--rm")
    me("run", "--read-only=maybe", good, *TRUE).refused("--read-only")

with bench.check("a flag that needs another is refused without it"):
    me("run", "-d", "-i", "--pod", "nobody-has-this", good, *TRUE).refused("nobody-has-this")
    me("run", "-t", good, *TRUE).refused("terminal")

with bench.check("sizes and numbers that make no sense are refused with the flag's name"):
    for size in ("", "0", "-1", "12q", "lots", "1.2.3", "99999999999999999999g", "k", "1 g"):
        me("run", "--memory", size, good, *TRUE).refused("--memory")
    for cpus in ("", "0", "-2", "many", "1e9", "nan", "inf", "0.0", "1,5"):
        me("run", "--cpus", cpus, good, *TRUE).refused("--cpus")
    me("run", "--cpus", "100000", good, *TRUE).refused("100000")
    me("run", "--memory", "4k", good, *TRUE).refused("memory")

with bench.check("a name that could not be a name is refused"):
    for name in ("", ".", "..", "a/b", "-a", "a b", "a\nb", "a\x1bb", "ä", "x" * 256, "../x"):
        me("run", "--name", name, good, *TRUE).refused()
        equal(os.path.exists(os.path.join(me.run_dir, "x")), False, "a directory outside")

with bench.check("an escape sequence in an argument does not reach the terminal"):
    result = me("run", "--\x1b[2Jx", good, *TRUE).refused()
    equal(b"\x1b" in result.err, False, "an escape in the error")
    result = me("run", "rootfs:/no\x1b[31msuch\ndir", *TRUE).refused("control character")
    equal(b"\x1b" in result.err, False, "an escape in the error")

with bench.check("an environment that could not be one is refused"):
    me("run", "-e", "=x", good, *TRUE).refused("-e")
    me("run", "-e", "", good, *TRUE).refused("-e")
    me("run", "--env-file", path("no-such-file"), good, *TRUE).refused("no-such-file")
    me("run", "--env-file", bench.file("env-bad", "A=1\n=2\n"), good, *TRUE).refused("env-bad",
                                                                                    "2")
    me("run", "--env-file", bench.file("env-nul", b"A=1\nB=\0x\n"), good, *TRUE).refused("env-nul")

with bench.check("a user, directory or hostname that could not be one is refused"):
    me("run", "-w", "relative", good, *TRUE).refused("relative")
    me("run", "--hostname", "a b", good, *TRUE).refused("a b")
    me("run", "--hostname", "x" * 65, good, *TRUE).refused("hostname")
    me("run", "-u", "0:0:0", good, *TRUE).refused("0:0:0")
    me("run", "-u", "99999999999", good, *TRUE).refused("99999999999")

with bench.check("an accelerator or configuration key that is not there is refused"):
    me("run", "--accel", "warp", good, *TRUE).refused("warp", "tcg")
    me("run", "--config", "start_timeout_tgc=3s", good, *TRUE).refused("start_timeout_tgc",
                                                                      "start_timeout_tcg")
    me("run", "--config", "start_timeout_tcg=soon", good, *TRUE).refused("start_timeout_tcg",
                                                                        "soon")
    me("run", "--config", "start_timeout_tcg", good, *TRUE).refused("start_timeout_tcg")
    me("run", "--config", "log_size=-1", good, *TRUE).refused("log_size")
    me("run", "--config", "qemu=/no/such/qemu", good, *TRUE).refused("/no/such/qemu")
    me("run", "--config", "guest_dir=/no/such/guest", good, *TRUE).refused("/no/such/guest")

with bench.check("run without an image, or exec without a command, is refused"):
    me("run").refused()
    me("run", "--").refused()
    me("exec").refused()
    me("exec", "a").refused()

with bench.check("other commands: 2 for what is not understood, one line"):
    me("nonsense").refused("nonsense", status=2)
    me("lst").refused("lst", "list", status=2)
    me("kill").refused(status=2)
    me("state").refused(status=2)
    me("state", "a", "b").refused(status=2)
    me("list", "x").refused("x", status=2)
    me("config", "shwo").refused("shwo", "show", status=2)
    me("logs", "a/b/c").refused("a/b/c", status=2)
    me("delete").refused(status=2)

with bench.check("a pod that is not there: a well-formed no, by its name"):
    for command in (["state"], ["ps"], ["logs"], ["kill"], ["delete"]):
        result = me(*command, "ghost")
        assert result.status in (1, 2), str(result)
        result.refused("ghost", status=result.status)
    me("exec", "ghost", "true").refused("ghost")
    me("run", "--pod", "ghost", good, *TRUE).refused("ghost")

with bench.check("help and version are for standard output, and fine"):
    for args in (["--help"], ["run", "--help"], ["exec", "--help"], ["list", "--help"],
                 ["config", "--help"], ["--version"]):
        result = me(*args).ok()
        assert result.out.strip(), str(result)
    contains(me("--version").text, "0.")

with bench.check("no command at all is a usage error"):
    result = me()
    equal(result.status, 2, "status")


# -- images

def refuse(name, oci, *words):
    me("run", oci.write(path(name)) if isinstance(oci, Oci) else oci, *TRUE).refused(*words)


def of(*entries):
    """An image whose second layer is made of these."""
    return Oci().add([images.base(), Layer(list(entries))])


with bench.check("an image reference that could not be one is refused"):
    for reference in ("", "busybox", "oci:", "docker://busybox", "rootfs:", "http://x/y",
                      "oci-archive:", "bundle:"):
        me("run", reference, *TRUE).refused()
    me("run", "docker://busybox", *TRUE).refused("docker:")
    me("run", "oci:" + path("not-there"), *TRUE).refused("not-there", "No such file")
    me("run", "rootfs:" + path("not-there"), *TRUE).refused("not-there", "No such file")
    me("run", "bundle:" + path("not-there"), *TRUE).refused("not-there", "No such file")
    me("run", "rootfs:" + bench.file("a-file", "x"), *TRUE).refused("a-file")
    me("run", "oci:" + bench.folder("empty"), *TRUE).refused("empty")

with bench.check("an image of several needs a tag, and one it has"):
    two = Oci().add([images.base()], tag="one").add([images.base()], {"Cmd": ["x"]}, tag="two")
    refuse("two", two, "one", "two")
    me("run", f"oci:{path('two')}:three", *TRUE).refused("three")

with bench.check("a blob with a wrong digest is refused with the file, before anything starts"):
    oci = of(text("x", "hello"))
    name = oci.manifests[0]["digest"]
    layer = Layer([text("x", "hello")])
    wrong = images.digest(layer.blob)
    oci.blobs[wrong] = layer.blob[:-1] + b"\x01"
    refuse("bad-layer", oci, wrong[7:], "digest")
    oci = of(text("y", "hello"))
    name = oci.manifests[0]["digest"]
    oci.blobs[name] = oci.blobs[name].replace(b'"schemaVersion"', b'"schemaVersioN"')
    refuse("bad-manifest", oci, name[7:], "digest")

with bench.check("a wrong size is refused, shorter and longer"):
    for change in (-1, 1, 1 << 40):
        def resize(manifest, change=change):
            manifest["layers"][1]["size"] += change
        oci = Oci().add([images.base(), Layer([text("x", "hello")])], change=resize)
        refuse(f"size{change}", oci, images.digest(Layer([text("x", "hello")]).blob)[7:], "size")

with bench.check("a diff ID that is not the layer's is refused"):
    def other(config):
        config["rootfs"]["diff_ids"][1] = images.digest(b"other")
    refuse("bad-diff", Oci().add([images.base(), Layer([text("x", "a")], "gzip")],
                                 config_change=other), images.digest(b"other")[7:])

with bench.check("a missing blob is refused by its name"):
    oci = of(text("x", "hello"))
    wrong = images.digest(Layer([text("x", "hello")]).blob)
    del oci.blobs[wrong]
    refuse("missing", oci, wrong[7:], "No such file")

with bench.check("a digest that is a path is refused"):
    def escape(manifest):
        manifest["layers"][1]["digest"] = "sha256:../../../../../../etc/passwd"
    refuse("escape", Oci().add([images.base(), Layer([text("x", "a")])], change=escape),
           "/layers/1/digest")

with bench.check("a blob that is a link out of the image is refused"):
    oci = of(text("x", "linked"))
    wrong = images.digest(Layer([text("x", "linked")]).blob)
    oci.write(path("linked"))
    blob = path("linked/blobs/sha256/" + wrong[7:])
    shutil.move(blob, path("elsewhere"))
    os.symlink(path("elsewhere"), blob)
    me("run", "oci:" + path("linked"), *TRUE).refused(wrong[7:])

with bench.check("a file outside of the root is refused with layer and member"):
    for number, bad in enumerate((text("../up", "x"), text("a/../../up", "x"),
                                  text("./../up", "x"), folder("../dir"), symlink("../l", "x"))):
        refuse(f"up{number}", of(bad), bad[0].name)
    refuse("up-link", of(text("a", "x"), hardlink("b", "../../etc/passwd")), "passwd")
    refuse("link-none", of(hardlink("b", "not/there")), "not/there")
    refuse("wh-up", of(text("a/.wh...", "")), ".wh...")

with bench.check("a file below what is not a directory is refused"):
    refuse("through", of(symlink("etc2", "/etc"), text("etc2/passwd", "x")), "etc2")
    refuse("below", of(text("f", "x"), text("f/g", "x")), "f")

with bench.check("a device node is refused, whatever kind"):
    for kind, name in ((tarfile.CHRTYPE, "c"), (tarfile.BLKTYPE, "b")):
        refuse("dev" + name, of(entry("dev/sdx", kind, devmajor=8, devminor=0)), "dev/sdx",
               "device")

with bench.check("a layer that ends early, or is no tar, is refused"):
    data = images.tar([text("x", b"y" * 5000)])
    refuse("short", Oci().add([images.base(), Layer(data[:2000])]),
           images.digest(data[:2000])[7:])
    refuse("noise", Oci().add([images.base(), Layer(os.urandom(4096))]))
    packed = Layer([text("z", os.urandom(8192))], "gzip")
    packed.blob = packed.blob[:len(packed.blob) // 2]
    refuse("short-gzip", Oci().add([images.base(), packed]))

with bench.check("a layer that stores more than the configured size is refused with the key"):
    oci = of(text("big", b"\1" * (3 << 20))).write(path("big"))
    me("run", "--config", "layer_max_size=2MiB", oci, *TRUE).refused("layer_max_size")
    oci = of(*[text(f"many/{number}", "") for number in range(50)]).write(path("many"))
    me("run", "--config", "layer_max_entries=20", oci, *TRUE).refused("layer_max_entries")

with bench.check("a small layer that unpacks to a huge one is stopped"):
    bomb = Layer([text("bomb", b"\1" * (64 << 20))], "gzip")
    me("run", "--config", "layer_max_size=8MiB", Oci().add([images.base(), bomb]).write(
        path("bomb")), *TRUE).refused(bomb.diff_id[7:], "layer_max_size")

with bench.check("JSON that is wrong is refused with file and place"):
    for name, content in (("index.json", b'{"schemaVersion": 2,\n "manifests": [}'),
                          ("index.json", b"\xff\xfe"), ("index.json", b""),
                          ("index.json", b'{"schemaVersion":2,"manifests":"x"}'),
                          ("index.json", b"[" * 100000)):
        of().write(path("json"))
        bench.file("json/" + name, content)
        me("run", "oci:" + path("json"), *TRUE).refused(name)

with bench.check("an image of another architecture or operating system is refused by name"):
    def arm(config):
        config["architecture"] = "arm64"
    refuse("arm", Oci().add([images.base()], config_change=arm), "arm64")

with bench.check("a media type that is not known, or encrypted, is refused by name"):
    def encrypted(manifest):
        manifest["layers"][0]["mediaType"] += "+encrypted"
    refuse("encrypted", Oci().add([images.base()], change=encrypted), "+encrypted")

with bench.check("more layers than can be stacked are refused with the number"):
    many = [Layer([text(f"f{number}", str(number))]) for number in range(129)]
    refuse("many-layers", Oci().add(many), "128")

with bench.check("an image without a command, and none given, is refused"):
    me("run", good).refused("command")

with bench.check("a bundle that is wrong is refused with file and field"):
    bench.file("bundle/config.json", '{"ociVersion": "1.0.2", "process": {"args": "x"}}')
    me("run", "bundle:" + path("bundle")).refused("config.json", "args")
    bench.file("bundle/config.json", '{"ociVersion": "9.0.0"}')
    me("run", "bundle:" + path("bundle")).refused("config.json", "ociVersion")
    bench.file("bundle/config.json", "{")
    me("run", "bundle:" + path("bundle")).refused("config.json")

with bench.check("a file that a user may not read is refused by name"):
    bench.folder("private/etc", 0o755)
    bench.file("private/etc/secret", "x", 0o600)
    if bench.root:
        bench.user("run", "rootfs:" + path("private"), *TRUE).refused("etc/secret")

with bench.check("nothing of all that is left behind"):
    me.nothing_left()
    bench.user.nothing_left()
    if bench.root:
        equal(os.path.exists("/tmp/casemate-0"), False, "root's state in /tmp")

bench.end()
