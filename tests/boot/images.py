# SPDX-License-Identifier: Apache-2.0
"""Small OCI images, made by hand so that every byte of them can be a wrong one."""
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
MTIME = 1234567890
PASSWD = """root:x:0:0:root:/root:/bin/sh
app:x:1000:1000:App:/home/app:/bin/sh
web:x:33:44::/srv:/bin/sh
"""
GROUP = "root:x:0:\napp:x:1000:\nwww:x:44:\nmedia:x:50:app,web\n"


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def entry(name, kind=tarfile.REGTYPE, data=b"", mode=None, **fields):
    """One member of a layer."""
    info = tarfile.TarInfo(name)
    info.type, info.mtime, info.size = kind, MTIME, len(data)
    info.mode = mode if mode is not None else (0o755 if kind == tarfile.DIRTYPE else 0o644)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def folder(name, mode=0o755, **fields):
    return entry(name, tarfile.DIRTYPE, mode=mode, **fields)


def text(name, content, mode=0o644, **fields):
    return entry(name, data=content if isinstance(content, bytes) else content.encode(),
                 mode=mode, **fields)


def symlink(name, target):
    return entry(name, tarfile.SYMTYPE, mode=0o777, linkname=target)


def hardlink(name, target):
    return entry(name, tarfile.LNKTYPE, linkname=target)


def tar(entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, data in entries:
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def pack(data, how):
    if how == "gzip":
        return gzip.compress(data, 1, mtime=0)
    if how == "zstd":
        return subprocess.run(["zstd", "-q", "-c", "-1"], input=data, stdout=subprocess.PIPE,
                              check=True).stdout
    return data


class Layer:
    def __init__(self, entries, how=""):
        data = entries if isinstance(entries, bytes) else tar(entries)
        self.diff_id, self.blob = digest(data), pack(data, how)
        self.media_type = LAYER + ("+" + how if how else "")


_base = []


def base(how=""):
    """Busybox with all its names, and a few users."""
    if not _base:
        busybox = shutil.which("busybox")
        names = subprocess.run([busybox, "--list"], stdout=subprocess.PIPE, check=True,
                               text=True).stdout.split()
        with open(busybox, "rb") as file:
            program = file.read()
        _base.extend([folder(path) for path in ("bin", "etc", "home", "srv", "usr", "var")])
        _base.extend([folder("root", 0o700), folder("tmp", 0o1777),
                      folder("home/app", 0o750, uid=1000, gid=1000),
                      text("bin/busybox", program, 0o755),
                      text("etc/passwd", PASSWD), text("etc/group", GROUP)])
        _base.extend(symlink(f"bin/{name}", "busybox") for name in names if name != "busybox")
    return Layer(_base, how)


class Oci:
    """An image layout; change `blobs`, `index` or `manifests` before write() to make it wrong."""

    def __init__(self):
        self.blobs, self.manifests = {}, []

    def put(self, data):
        data = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.blobs[digest(data)] = data
        return {"digest": digest(data), "size": len(data)}

    def add(self, layers, config=None, tag=None, **wrong):
        """An image. `wrong`: change=function(manifest), config_change=function(config)."""
        image = {"architecture": "amd64", "os": "linux", "config": config or {},
                 "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]}}
        wrong.get("config_change", lambda _: None)(image)
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST,
                    "config": {"mediaType": CONFIG, **self.put(image)},
                    "layers": [{"mediaType": layer.media_type, **self.put(layer.blob)}
                               for layer in layers]}
        wrong.get("change", lambda _: None)(manifest)
        described = {"mediaType": MANIFEST, **self.put(manifest),
                     "platform": {"architecture": "amd64", "os": "linux"}}
        if tag:
            described["annotations"] = {"org.opencontainers.image.ref.name": tag}
        self.manifests.append(described)
        return self

    def files(self):
        yield "oci-layout", b'{"imageLayoutVersion": "1.0.0"}'
        yield "index.json", json.dumps({"schemaVersion": 2, "mediaType": INDEX,
                                        "manifests": self.manifests}).encode()
        for name, data in self.blobs.items():
            yield "blobs/" + name.replace(":", "/"), data

    def write(self, path):
        """As a directory; gives its reference."""
        for name, data in self.files():
            name = os.path.join(path, name)
            os.makedirs(os.path.dirname(name), exist_ok=True)
            with open(name, "wb") as file:
                file.write(data)
        return "oci:" + path

    def archive(self, path, how=""):
        with open(path, "wb") as file:
            file.write(pack(tar([text(name, data) for name, data in self.files()]), how))
        return "oci-archive:" + path
