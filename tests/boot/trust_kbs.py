# SPDX-License-Identifier: Apache-2.0
"""A client of a broker, and guests that ask the processor for reports, both by hand.

Key Broker Service protocol 0.4.0; JWE of RFC 7516 and 7518 (ECDH-ES+A256KW, A256GCM) with P-256 in
plain numbers and AES from openssl(1): slow, and nothing of it is the project's code.
"""
import base64
import hashlib
import http.client
import json
import os
import secrets
import socket
import ssl
import struct
import subprocess

from agent_client import Client, every, field
from trust import Processor, receive, sealed, varied

VERSION = "0.4.0"
PROCESSOR = "casemate.tee.v1.Processor"
KERNEL, FIRMWARE, TEE, RELAY = 3, 4, 8, 9
CERTIFICATE = b"-----BEGIN CERTIFICATE-----"


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


# -- P-256 (SEC 2, 2.4.2), y^2 = x^3 - 3x + b

P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
G = (0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
     0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5)


def add(one, two):
    if not one or not two:
        return one or two
    if one[0] == two[0]:
        if (one[1] + two[1]) % P == 0:
            return None
        slope = (3 * one[0] * one[0] - 3) * pow(2 * one[1], -1, P)
    else:
        slope = (two[1] - one[1]) * pow(two[0] - one[0], -1, P)
    x = (slope * slope - one[0] - two[0]) % P
    return x, (slope * (one[0] - x) - one[1]) % P


def multiply(number, point):
    found = None
    while number:
        if number & 1:
            found = add(found, point)
        point, number = add(point, point), number >> 1
    return found


# -- AES

def aes(mode, key, data, *flags):
    return subprocess.run(["openssl", "enc", f"-aes-256-{mode}", "-nopad", "-K", key.hex(), *flags],
                          input=data, stdout=subprocess.PIPE, check=True).stdout


def unwrap_key(key, wrapped):
    """RFC 3394, 2.2.2."""
    head, blocks = wrapped[:8], [wrapped[at:at + 8] for at in range(8, len(wrapped), 8)]
    for step in range(6 * len(blocks), 0, -1):
        index = (step - 1) % len(blocks)
        head = (int.from_bytes(head, "big") ^ step).to_bytes(8, "big")
        plain = aes("ecb", key, head + blocks[index], "-d")
        head, blocks[index] = plain[:8], plain[8:]
    if head != b"\xa6" * 8:
        raise ValueError("not wrapped to this key")
    return b"".join(blocks)


def ghash(key, *parts):
    """SP 800-38D, 6.4; each part is padded, and their lengths come last."""
    data = b"".join(part + bytes(-len(part) % 16) for part in parts)
    data += b"".join(struct.pack(">Q", 8 * len(part)) for part in parts)
    key, found = int.from_bytes(key, "big"), 0
    for at in range(0, len(data), 16):
        value, product = found ^ int.from_bytes(data[at:at + 16], "big"), 0
        factor = key
        for bit in range(127, -1, -1):
            if value >> bit & 1:
                product ^= factor
            factor = factor >> 1 ^ (0xE1 << 120 if factor & 1 else 0)
        found = product
    return found.to_bytes(16, "big")


def open_gcm(key, iv, data, text, tag):
    mask = aes("ecb", key, iv + b"\0\0\0\1")
    found = ghash(aes("ecb", key, bytes(16)), data, text)
    if bytes(a ^ b for a, b in zip(found, mask)) != tag:
        raise ValueError("not what was sealed")
    return aes("ctr", key, text, "-d", "-iv", (iv + b"\0\0\0\2").hex())


class Key:
    """A guest's key, which secrets are wrapped to."""

    def __init__(self):
        self.number = 1 + secrets.randbelow(N - 1)
        point = multiply(self.number, G)
        self.jwk = {"alg": "ECDH-ES+A256KW", "crv": "P-256", "kty": "EC",
                    "x": b64url(point[0].to_bytes(32, "big")),
                    "y": b64url(point[1].to_bytes(32, "big"))}

    def unwrap(self, jwe):
        header = json.loads(unb64url(jwe["protected"]))
        if (header["alg"], header["enc"]) != ("ECDH-ES+A256KW", "A256GCM"):
            raise ValueError(f"header {header}")
        x, y = (int.from_bytes(unb64url(header["epk"][name]), "big") for name in "xy")
        shared = multiply(self.number, (x, y))[0].to_bytes(32, "big")
        name = header["alg"].encode()
        # RFC 7518, 4.6.2: one round; no party's names
        info = struct.pack(">I", len(name)) + name + struct.pack(">III", 0, 0, 256)
        wrapping = hashlib.sha256(struct.pack(">I", 1) + shared + info).digest()
        key = unwrap_key(wrapping, unb64url(jwe["encrypted_key"]))
        return open_gcm(key, unb64url(jwe["iv"]), jwe["protected"].encode(),
                        unb64url(jwe["ciphertext"]), unb64url(jwe["tag"]))


# -- the protocol

def canonical(value):
    """RFC 8785, for what has plain strings only."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def runtime(nonce, key):
    """Report data that bind a nonce and a key."""
    bound = {"additional-evidence": "", "nonce": base64.b64encode(nonce).decode(),
             "tee-pubkey": key.jwk}
    return hashlib.sha384(canonical(bound)).digest() + bytes(16)


class Session:
    """From its nonce on. Answers are (status, body), or (None, b"") if the broker hung up."""

    def __init__(self, broker, tee="casemate-sim"):
        self.port, self.cookie, self.key = broker.port, None, Key()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE
        status, body = self.call("POST", "/kbs/v0/auth", {
            "version": VERSION, "tee": tee,
            "extra-params": {"supported-hash-algorithms": ["sha384"]}})
        if status != 200:
            raise AssertionError(f"no nonce: {status} {body[:300]!r}")
        self.nonce = base64.b64decode(json.loads(body)["nonce"])

    def call(self, method, path, body=None):
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=self.context,
                                                 timeout=20)
        headers = {"Cookie": f"kbs-session-id={self.cookie}"} if self.cookie else {}
        if body is not None:
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            for value in answer.headers.get_all("Set-Cookie") or []:
                name, _, rest = value.partition("=")
                if name == "kbs-session-id":
                    self.cookie = rest.partition(";")[0]
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return None, b""
        finally:
            connection.close()

    def attest(self, body):
        return self.call("POST", "/kbs/v0/attest", body)

    def resource(self, path):
        return self.call("GET", "/kbs/v0/resource/" + path)


# -- evidence

def parts(report):
    """A report by the names that evidence has for its fields."""
    known = bytearray(len(report))

    def of(at, size):
        known[at:at + size] = bytes([1]) * size
        return report[at:at + size]

    def integer(at, size):
        return int.from_bytes(of(at, size), "little")

    def tcb(at):
        level = of(at, 8)
        known[at + 2:at + 6] = bytes(4)
        return {"fmc": None, "bootloader": level[0], "tee": level[1], "snp": level[6],
                "microcode": level[7]}

    def build(at):
        return {"build": of(at, 3)[0], "minor": report[at + 1], "major": report[at + 2]}

    version = integer(0, 4)
    found = {
        "version": version, "guest_svn": integer(4, 4), "policy": integer(8, 8),
        "family_id": list(of(0x10, 16)), "image_id": list(of(0x20, 16)), "vmpl": integer(0x30, 4),
        "sig_algo": integer(0x34, 4), "current_tcb": tcb(0x38), "plat_info": integer(0x40, 8),
        "key_info": integer(0x48, 4), "report_data": list(of(0x50, 64)),
        "measurement": list(of(0x90, 48)), "host_data": list(of(0xC0, 32)),
        "id_key_digest": list(of(0xE0, 48)), "author_key_digest": list(of(0x110, 48)),
        "report_id": list(of(0x140, 32)), "report_id_ma": list(of(0x160, 32)),
        "reported_tcb": tcb(0x180)}
    for index, name in enumerate(("cpuid_fam_id", "cpuid_mod_id", "cpuid_step")):
        found[name] = integer(0x188 + index, 1) if version >= 3 else None
    found |= {"chip_id": list(of(0x1A0, 64)), "committed_tcb": tcb(0x1E0), "current": build(0x1E8),
              "committed": build(0x1EC), "launch_tcb": tcb(0x1F0)}
    for index, name in enumerate(("launch_mit_vector", "current_mit_vector")):
        found[name] = integer(0x1F8 + 8 * index, 8) if version >= 5 else None
    found["signature"] = {"r": list(of(0x2A0, 72)), "s": list(of(0x2E8, 72))}
    if any(byte and not seen for byte, seen in zip(report, known)):
        raise ValueError("bytes without a name")
    return found


def certificates_of(pem):
    """DER of each."""
    return [ssl.PEM_cert_to_DER_cert((CERTIFICATE + part).decode())
            for part in pem.split(CERTIFICATE)[1:]]


def evidence(report, certificates, nonce, key, policy):
    kinds = ("VCEK", "ASK", "ARK")
    chain = [{"cert_type": kind, "data": list(der)}
             for kind, der in zip(kinds, certificates_of(certificates))]
    return {"init-data": {"format": "toml", "body": policy.text},
            "runtime-data": {"nonce": base64.b64encode(nonce).decode(), "tee-pubkey": key.jwk},
            "tee-evidence": {"primary_evidence": {"attestation_report": parts(report),
                                                  "cert_chain": chain},
                             "additional_evidence": ""}}


def document(policy):
    """A policy's one form, as processors sign its digest, of its JSON in one line."""
    return f'algorithm = "sha256"\nversion = "0.1.0"\n\n[data]\n"policy.json" = \'{policy}\'\n'


class Policy:
    """An agent policy, in its one form, that no agent ever sees: it lists resources."""

    def __init__(self, broker, *resources):
        container = {
            "name": "main", "layers": [{"root": "11" * 32, "data_blocks": 9, "hash_start": 9}],
            "process": {"args": ["sh"], "env": [], "cwd": "/", "user": "", "terminal": False},
            "hostname": "", "read_only": False, "no_new_privileges": False,
            "resources": {"cpu_milli": 0, "memory_bytes": 0, "pids": 0}, "capabilities": None,
            "rlimits": [], "devices": [], "exec": [],
            "secrets": [{"name": f"s{index}", "uri": "kbs:///" + resource}
                        for index, resource in enumerate(resources)]}
        policy = {"schema": 1, "broker": {"url": broker.url, "key": broker.key},
                  "containers": [container]}
        self.text = document(json.dumps(policy, separators=(",", ":")))
        self.digest = hashlib.sha256(self.text.encode()).hexdigest()


# -- a guest

SCRIPT = "#!/bin/sh\ncat <&8 >&9 & cat <&9 >&8; sleep 1000\n"


class Guest:
    """The processor's guest: QEMU's place has a script that hands on what this one says."""

    def __init__(self, bench, policy, processor=None, kernel=b"kernel" * 1000,
                 firmware=b"\0" * 65536, append="quiet", vcpus=1, more=(), uid=90000):
        self.processor = processor or Processor(bench, "guests",
                                                qemu=bench.file("no-qemu", SCRIPT, 0o755))
        mine, theirs = socket.socketpair()
        fds = [sealed(kernel), sealed(firmware), theirs.detach()]
        argv = [self.processor.qemu, "-kernel", f"/proc/self/fd/{KERNEL}",
                "-bios", f"/proc/self/fd/{FIRMWARE}", "-append", append,
                "-smp", f"cpus={vcpus}", *more]
        targets = b"".join(varied(2, target) for target in (KERNEL, FIRMWARE, RELAY))
        message = (every(1, argv) + targets + field(3, TEE) + field(4, bytes.fromhex(policy.digest))
                   + field(5, uid) + field(6, uid))
        self.launcher = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.launcher.connect(self.processor.socket)
        socket.send_fds(self.launcher, [struct.pack(">I", len(message)) + message], fds)
        for fd in fds:
            os.close(fd)
        self.answer, self.pidfds = receive(self.launcher)
        if not self.pidfds:
            raise AssertionError(f"not launched: {self.answer!r}")
        self.client = Client(mine, PROCESSOR)

    def report(self, data):
        """(report, certificates) for 64 bytes."""
        answer = self.client.call("Report", field(1, data))
        return answer[1][0], answer[2][0]

    def digest(self):
        return self.report(bytes(64))[0][0x90:0x90 + 48].hex()

    def root(self):
        """SHA-256 of the root's certificate."""
        with open(os.path.join(self.processor.dir, "root.pem"), "rb") as file:
            return hashlib.sha256(certificates_of(file.read())[0]).hexdigest()

    def end(self):
        self.launcher.close()
        for fd in self.pidfds:
            os.close(fd)
