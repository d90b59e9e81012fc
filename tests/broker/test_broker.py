#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# test_broker.py GROUP - casemate-broker over HTTPS, with a guest whose evidence is made up.
#
# GROUP is refusals, requests or commands; $BROKER and $GUEST are the two programs.
import base64
import contextlib
import hashlib
import http.client
import json
import os
import re
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

BROKER, GUEST = os.environ["BROKER"], os.environ["GUEST"]
WORK = tempfile.mkdtemp(prefix="casemate-broker-")
SECRET = b"the-canary-of-this-run-" + os.urandom(8).hex().encode()
LAUNCH, OTHER_LAUNCH = "ab" * 48, "cd" * 48
RESOURCE = "default/model/key"
POLICY = {
    "schema": 1,
    "containers": [{
        "name": "main",
        "layers": [{"root": "11" * 32, "data_blocks": 9, "hash_start": 9}],
        "process": {"args": ["sh"]},
        "secrets": [{"name": "model-key", "uri": f"kbs:///{RESOURCE}"},
                    {"name": "gone", "uri": "kbs:///default/model/gone"},
                    {"name": "unruled", "uri": "kbs:///default/model/unruled"}],
    }],
}
# secrets stay in memory of programs that look into no other: the leak checker cannot trace them
ENV = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
STARTED = []
count = 0


def path(*names):
    return os.path.join(WORK, *names)


def write(name, text):
    with open(path(name), "wb") as file:
        file.write(text if isinstance(text, bytes) else text.encode())
    return path(name)


def guest(*words, data=b""):
    done = subprocess.run([GUEST, *words], input=data, capture_output=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"guest {words[0]}: {done.stderr.decode()}")
    return done.stdout


def broker(*words, data=b""):
    return subprocess.run([BROKER, *words], input=data, capture_output=True, env=ENV, check=False)


def equal(have, want):
    assert have == want, f"it is {have!r}, not {want!r}"


@contextlib.contextmanager
def check(name):
    global count
    count += 1
    yield
    print(f"ok {count} - {name}", flush=True)


class Chip:
    """A processor: its root, and what it signs."""

    def __init__(self, name):
        self.folder = path(name)
        os.mkdir(self.folder)
        self.root = guest("chip", self.folder).decode().strip()


def document(name, policy):
    return write(name, guest("document", write(name + ".json", json.dumps(policy))))


def rule(resource=RESOURCE, **more):
    fields = {"resource": resource, "policies": [POLICY_DIGEST], "launch_digests": [LAUNCH],
              "allow": ["simulated"], "sim_roots": [CHIP.root], **more}
    return {name: value for name, value in fields.items() if value is not None}


def rules_text(rules):
    """JSON is YAML, too."""
    return json.dumps({"rules": rules})


class Served:
    """`casemate-broker serve` on a port of its own."""

    def __init__(self, name, rules, **how):
        self.store, self.rules = path(name), path(name + ".yaml")
        write(name + ".yaml", rules_text(rules))
        done = broker("put", self.store, RESOURCE, data=SECRET)
        equal((done.returncode, done.stderr), (0, b""))
        equal(broker("put", self.store, "default/model/unruled", data=SECRET).returncode, 0)
        if "user" in how:
            for folder, _, names in os.walk(self.store):
                for each in [".", *names]:
                    os.chown(os.path.join(folder, each), how["user"], how["group"])
            os.chmod(self.rules, 0o644)
        self.errors = open(path(name + ".err"), "w+b")
        self.process = subprocess.Popen(
            [BROKER, "serve", "--listen", "127.0.0.1:0", self.store, self.rules], env=ENV,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.errors, **how)
        STARTED.append(self.process)
        line = self.process.stdout.readline().decode()
        match = re.match(r"serving on port (\d+), (\d+) rules, key ([0-9a-f]{64})$", line.strip())
        assert match, f"it said '{line}' and '{self.said()}'"
        self.port, self.key = int(match[1]), match[3]

    def said(self):
        self.errors.flush()
        with open(self.errors.name, encoding="utf-8") as file:
            return file.read()

    def audit(self):
        with open(os.path.join(self.store, "audit.log"), encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def connect(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=context,
                                                 timeout=20)
        connection.connect()
        return connection

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        equal(self.process.wait(20), 0)
        self.process.stdout.close()
        self.errors.close()


class Session:
    """One guest at a broker."""

    def __init__(self, served, tee="casemate-sim", chip=None, policy=None, launch=LAUNCH):
        self.served, self.chip = served, chip or CHIP
        self.policy, self.launch = policy or POLICY_FILE, launch
        self.connection, self.cookie = served.connect(), None
        self.key = guest("key").decode().strip()
        self.token = None
        status, answer = self.call("POST", "/kbs/v0/auth", {
            "version": "0.4.0", "tee": tee, "extra-params": ""})
        equal(status, 200)
        self.nonce = answer["nonce"]
        equal(len(base64.b64decode(self.nonce, validate=True)), 32)

    def call(self, method, url, body=None, headers=None):
        headers = dict(headers or {})
        if self.cookie and "Authorization" not in headers:
            headers["Cookie"] = f"kbs-session-id={self.cookie}"
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        self.connection.request(method, url, body, headers)
        response = self.connection.getresponse()
        cookie = re.match(r"kbs-session-id=([0-9a-f]{32});", response.getheader("Set-Cookie", ""))
        self.cookie = cookie[1] if cookie else self.cookie
        text = response.read()
        assert SECRET not in text
        equal(response.getheader("Content-Type"), "application/json")
        return response.status, json.loads(text)

    def request(self, *alterations, nonce=None):
        return guest("request", self.chip.folder, self.key, nonce or self.nonce, self.policy,
                     self.launch, *alterations)

    def attest(self, *alterations, nonce=None):
        status, answer = self.call("POST", "/kbs/v0/attest",
                                   self.request(*alterations, nonce=nonce))
        if status == 200:
            self.token = answer["token"]
        return status, answer

    def get(self, resource=RESOURCE, headers=None):
        return self.call("GET", f"/kbs/v0/resource/{resource}", headers=headers)

    def unwrap(self, answer):
        return guest("unwrap", self.key, data=json.dumps(answer).encode())


def refused(answered, code, where=None):
    """The right answer, and the audit log has it, and nothing else."""
    status, answer = answered
    equal(status, 401)
    equal(sorted(answer), ["detail", "type"])
    assert answer["type"].startswith("https://github.com/confidential-containers/kbs/errors/")
    equal(answer["detail"].split(": ")[0], code)
    if where:
        last = where.audit()[-1]
        equal((last["verdict"], last["codes"][0]), ("refused", code))
        equal(last["peer"].split(":")[0], "127.0.0.1")


def good(served, **more):
    session = Session(served, **more)
    status, answer = session.attest()
    equal((status, list(answer)), (200, ["token"]))
    return session


# -- groups

def refusals():
    other_policy = document("other", {**POLICY, "containers": [
        {**POLICY["containers"][0], "process": {"args": ["id"]}}]})
    unlisting = document("unlisting", {**POLICY, "containers": [
        {**POLICY["containers"][0], "secrets": []}]})
    digest = hashlib.sha256(open(unlisting, "rb").read()).hexdigest()
    impostor = Chip("impostor")
    served = Served("refusals", [
        rule(), rule("default/model/gone"),
        rule("default/model/real", allow=None, sim_roots=None),
        rule("default/unlisted/key", policies=[digest, POLICY_DIGEST])])

    with check("the right guest gets the secret, wrapped to its key, and that is in the audit log"):
        session = good(served)
        status, answer = session.get()
        equal(status, 200)
        equal(sorted(answer), ["ciphertext", "encrypted_key", "iv", "protected", "tag"])
        equal(session.unwrap(answer), SECRET)
        equal([(line["event"], line["verdict"], line["resource"], line["codes"])
               for line in served.audit()],
              [("attest", "accepted", None, []), ("resource", "released", RESOURCE, [])])
        last = served.audit()[-1]
        equal((last["policy"], last["launch"], last["tee"]),
              (POLICY_DIGEST, LAUNCH, "casemate-sim"))
        equal(last["chip"], bytes(range(1, 65)).hex())

    with check("it is not opened by another key"):
        done = subprocess.run([GUEST, "unwrap", guest("key").decode().strip()],
                              input=json.dumps(answer).encode(), capture_output=True, check=False)
        assert done.returncode == 1 and SECRET not in done.stdout

    with check("the same secret is wrapped anew each time"):
        _, again = session.get()
        equal(session.unwrap(again), SECRET)
        assert not any(answer[name] == again[name] for name in answer)

    with check("a report for another nonce is refused"):
        session = Session(served)
        old = base64.b64encode(bytes(32)).decode()
        refused(session.attest(f"report-nonce={old}"), "report-data-mismatch", served)
        refused(session.get(), "session-unknown", served)

    with check("a nonce that the session was not given is refused"):
        session = Session(served)
        refused(session.attest(nonce=Session(served).nonce), "report-data-mismatch", served)

    with check("a nonce is for one report: the same request again, here or there, is refused"):
        session, other = Session(served), Session(served)
        request = session.request()
        equal(session.call("POST", "/kbs/v0/attest", request)[0], 200)
        refused(session.call("POST", "/kbs/v0/attest", request), "session-unknown", served)
        refused(other.call("POST", "/kbs/v0/attest", request), "report-data-mismatch", served)

    with check("after a bad report a good one comes too late"):
        session = Session(served)
        refused(session.attest("flip=200"), "report-signature", served)
        refused(session.attest(), "session-unknown", served)

    with check("every part of an altered report is refused"):
        for offset, code in ((0x04, "report-signature"), (0x50, "report-signature"),
                             (0x90, "report-signature"), (0xc0, "report-signature"),
                             (0x180, "report-signature"), (0x1a0, "report-signature"),
                             (0x2a0, "report-signature"), (0x2e8, "report-signature")):
            refused(Session(served).attest(f"flip={offset}"), code, served)

    with check("a report for another key is refused"):
        other = guest("key").decode().strip()
        refused(Session(served).attest(f"report-key={other}"), "report-data-mismatch", served)

    with check("a policy that is not the one launched with is refused"):
        refused(Session(served).attest("host-data=" + "77" * 32), "host-data-mismatch", served)

    with check("another chain's evidence, with the same names, is refused"):
        refused(Session(served, chip=impostor).attest(), "certificate-untrusted", served)

    with check("evidence without its certificates is refused, and none are fetched"):
        refused(Session(served).attest("certs=none"), "certificate-missing", served)

    with check("evidence of another TEE than was announced is refused"):
        refused(Session(served, tee="snp").attest(), "simulated", served)
        refused(Session(served).attest("product=genoa"), "product-mismatch", served)

    with check("another launch is refused, for the resource"):
        session = good(served, launch=OTHER_LAUNCH)
        refused(session.get(), "launch-digest-mismatch", served)
        equal(served.audit()[-1]["launch"], OTHER_LAUNCH)

    with check("another policy is refused, for the resource"):
        refused(good(served, policy=other_policy).get(), "host-data-mismatch", served)

    with check("simulated evidence is refused where the rule does not say that it may be"):
        refused(good(served).get("default/model/real"), "simulated", served)

    with check("a resource that the guest's own policy does not list is refused, as if it were not"):
        for session in (good(served), good(served, policy=unlisting)):
            answered = session.get("default/unlisted/key")
            refused(answered, "resource-denied")
            equal(answered, session.get("default/model/none"))
            equal(served.audit()[-2]["codes"], ["policy-secret"])

    with check("no rule, and no such secret: the same answer to both"):
        session = good(served)
        answers = [session.get("default/model/gone"), session.get("default/model/unruled"),
                   session.get("default/model/none")]
        for answered in answers:
            refused(answered, "resource-denied", served)
        equal(answers[0], answers[1])
        equal(answers[0], answers[2])

    with check("who was not judged gets nothing, by cookie or token"):
        session = Session(served)
        refused(session.get(), "session-unknown", served)
        session.cookie = "00" * 16
        refused(session.get(), "session-unknown", served)
        refused(session.get(headers={"Authorization": "Bearer eyJhbGciOiJub25lIn0.e30."}),
                "session-unknown", served)
        session.cookie = None
        refused(session.get(), "session-unknown", served)

    with check("rules are read again at SIGHUP; a file that is wrong changes nothing"):
        session = good(served)
        write("refusals.yaml", "rules:\n  - resource: default/model/key\n    polices: [ab]\n")
        served.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "polices" in served.said())
        assert "3:15: 'polices' is no list" in served.said(), served.said()
        equal(session.get()[0], 200)
        write("refusals.yaml", rules_text([rule(launch_digests=[OTHER_LAUNCH])]))
        served.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "1 rules" in served.said())
        refused(session.get(), "launch-digest-mismatch", served)

    served.end()
    with check("the secret is in no file but the database, and no key of a session is"):
        for folder, _, names in os.walk(WORK):
            for name in names:
                if name not in ("secrets.db",):
                    with open(os.path.join(folder, name), "rb") as file:
                        assert SECRET not in file.read(), name


def wait_for(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def children(pid):
    return [int(word) for word in open(f"/proc/{pid}/task/{pid}/children").read().split()]


def cpu_s(pid):
    fields = open(f"/proc/{pid}/stat").read().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def claims(token):
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def requests():
    served = Served("requests", [rule()])

    with check("the TLS key is the one that `key` prints, and only TLS 1.3 is spoken"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", served.port)) as plain:
            with context.wrap_socket(plain) as tls:
                equal(tls.version(), "TLSv1.3")
                der = tls.getpeercert(binary_form=True)
        spki = subprocess.run(
            "openssl x509 -inform DER -noout -pubkey | openssl pkey -pubin -outform DER",
            shell=True, input=der, capture_output=True, check=True).stdout
        equal(hashlib.sha256(spki).hexdigest(), served.key)
        equal(broker("key", served.store).stdout.decode().strip(), served.key)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with socket.create_connection(("127.0.0.1", served.port)) as plain:
            try:
                context.wrap_socket(plain)
            except (ssl.SSLError, OSError):
                pass
            else:
                raise AssertionError("it speaks TLS 1.2")

    with check("another version, TEE or hash is refused"):
        session = Session(served)
        for altered in ({"version": "0.1.1"}, {"version": "0.4.1"}, {"version": 4}, {"tee": "tdx"},
                        {"tee": "sample"}, {"extra-params": {"supported-hash-algorithms":
                                                             ["sha512"]}}, {"more": 1}):
            request = {"version": "0.4.0", "tee": "casemate-sim", "extra-params": "", **altered}
            refused(session.call("POST", "/kbs/v0/auth", request), "message-malformed")
        equal(session.call("POST", "/kbs/v0/auth", {
            "version": "0.4.0", "tee": "snp",
            "extra-params": {"supported-hash-algorithms": ["sha512", "sha384"]}})[0], 200)

    with check("what is no request of the protocol is refused, and the broker lives on"):
        for body in (b"", b"{", b"[]", b"{}", b"\xff" * 100, b"[" * 5000, b"null"):
            session = Session(served)
            refused(session.call("POST", "/kbs/v0/auth", body), "message-malformed")
            refused(session.call("POST", "/kbs/v0/attest", body), "message-malformed", served)
            refused(session.attest(), "session-unknown", served)

    with check("a part that is missing, unknown or of another kind is refused"):
        def altered(change):
            session = Session(served)
            request = json.loads(session.request())
            change(request)
            refused(session.call("POST", "/kbs/v0/attest", request), "message-malformed", served)
        altered(lambda r: r.pop("runtime-data"))
        altered(lambda r: r["runtime-data"].update({"more": "x"}))
        altered(lambda r: r["runtime-data"]["tee-pubkey"].update({"kid": "x"}))
        altered(lambda r: r["runtime-data"]["tee-pubkey"].update({"crv": "P-521"}))
        altered(lambda r: r["runtime-data"]["tee-pubkey"].update(
            {"y": r["runtime-data"]["tee-pubkey"]["x"]}))
        altered(lambda r: r["tee-evidence"].update({"additional_evidence": "{}"}))
        altered(lambda r: r["tee-evidence"]["primary_evidence"]["attestation_report"].pop("vmpl"))
        altered(lambda r: r["tee-evidence"]["primary_evidence"]["attestation_report"]
                ["chip_id"].append(0))
        altered(lambda r: r["tee-evidence"]["primary_evidence"]["cert_chain"].extend(
            r["tee-evidence"]["primary_evidence"]["cert_chain"] * 3))
        altered(lambda r: r["init-data"].update({"format": "json"}))

    with check("evidence without a policy is refused"):
        session = Session(served)
        request = json.loads(session.request("host-data=" + hashlib.sha256(b"").hexdigest()))
        request["init-data"] = None
        refused(session.call("POST", "/kbs/v0/attest", request), "policy-malformed", served)

    with check("a policy that is not canonical is refused, though its digest was signed"):
        text = open(POLICY_FILE, "rb").read() + b"\n"
        session = Session(served, policy=write("longer", text))
        refused(session.attest(), "policy-malformed", served)

    with check("other paths and methods are not there"):
        session = Session(served)
        for method, url in (("GET", "/"), ("GET", "/kbs/v0/auth"), ("POST", "/kbs/v0/resource/a/b/c"),
                            ("GET", "/kbs/v0/resource/a/b"), ("GET", "/kbs/v0/resource/a/b/c/d"),
                            ("GET", "/kbs/v0/resource/a/../b"), ("PUT", "/kbs/v0/auth"),
                            ("GET", f"/kbs/v0/resource/{RESOURCE}%00"),
                            ("GET", "/kbs/v0/resource/default/model/%6bey"),
                            ("GET", "/kbs/v0/resource/" + "a" * 300 + "/b/c")):
            status, answer = session.call(method, url, b"{}" if method != "GET" else None)
            equal((status, answer["type"].rpartition("/")[2]), (404, "InvalidRequestPath"))

    with check("a body has a limit"):
        session = Session(served)
        body = json.dumps({"version": "0.4.0", "tee": "snp", "extra-params": ""}).encode()
        equal(session.call("POST", "/kbs/v0/auth", body + b" " * (16384 - len(body)))[0], 200)
        equal(session.call("POST", "/kbs/v0/auth", body + b" " * (16385 - len(body)))[0], 413)
        session = Session(served)
        equal(session.call("POST", "/kbs/v0/attest", b" " * (4194304 + 1))[0], 413)

    with check("the token says what was found, and opens what the cookie opens"):
        session = good(served)
        said = claims(session.token)
        cpu = said["submods"]["cpu0"]
        equal(said["eat_profile"], "tag:github.com,2024:confidential-containers/Trustee")
        equal(cpu["ear.status"], "contraindicated")
        evidence = cpu["ear.veraison.annotated-evidence"]
        equal(evidence["casemate-sim"]["launch_digest"], LAUNCH)
        equal(evidence["init_data"], POLICY_DIGEST)
        equal(evidence["runtime_data_claims"]["tee-pubkey"]["crv"], "P-256")
        status, answer = session.get(headers={"Authorization": f"Bearer {session.token}"})
        equal((status, session.unwrap(answer)), (200, SECRET))
        refused(session.get(headers={"Authorization": f"Bearer {session.token[:-1]}"}),
                "session-unknown", served)

    with check("many guests at once are served, and on one connection, too"):
        sessions = [Session(served) for _ in range(20)]
        requests = [session.request() for session in sessions]
        for session, request in zip(sessions, requests):
            session.connection.request("POST", "/kbs/v0/attest", request,
                                       {"Cookie": f"kbs-session-id={session.cookie}"})
        for session in sessions:
            equal(session.connection.getresponse().read()[:9], b'{"token":')
        for session in sessions:
            equal(session.unwrap(session.get()[1]), SECRET)

    with check("who says nothing holds up nobody"):
        silent = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(40)]
        half = served.connect()
        half.putrequest("POST", "/kbs/v0/auth")
        half.putheader("Content-Length", "1000")
        half.endheaders(b"{")
        hello = socket.create_connection(("127.0.0.1", served.port))
        hello.sendall(b"\x16\x03\x01\x02\x00\x01\x00")
        equal(good(served).get()[0], 200)
        front = children(served.process.pid)[0]
        used = cpu_s(front)
        time.sleep(1)
        assert cpu_s(front) - used < 0.3, "it is busy with nothing"
        for connection in silent:
            connection.close()
        half.close()

    with check("the process that faces the network has no secret's file open, nor the other a socket"):
        back = served.process.pid
        front = children(back)[0]
        try:
            def descriptors(pid):
                names = []
                for fd in os.listdir(f"/proc/{pid}/fd"):
                    with contextlib.suppress(FileNotFoundError):
                        names.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
                return names
            in_front, in_back = descriptors(front), descriptors(back)
        except PermissionError:
            pass  # they cannot be looked at: all the better
        else:
            assert not any(served.store + "/" in name for name in in_front), in_front
            equal(sum(name.startswith("socket:") for name in in_back), 1)
        status = open(f"/proc/{front}/status").read()
        equal(re.search(r"NoNewPrivs:\t(\d)", status)[1], "1")
        equal(re.search(r"CapEff:\t(\w+)", status)[1], "0" * 16)
        if os.geteuid() == 0:
            equal(re.search(r"Uid:\t(\d+)", status)[1], "89998")
        equal(re.search(r"Seccomp:\t(\d)", status)[1], "2")
        equal(re.search(r"Seccomp:\t(\d)", open(f"/proc/{back}/status").read())[1], "2")

    with check("a signal to all of its processes is an orderly end"):
        both = Served("ended", [rule()])
        for pid in [*children(both.process.pid), both.process.pid]:
            os.kill(pid, signal.SIGTERM)
        equal(both.process.wait(20), 0)
        equal(both.said(), "")

    with check("when one process ends, so does the other"):
        os.kill(front, signal.SIGKILL)
        equal(served.process.wait(20), 1)
        assert not os.path.exists(f"/proc/{front}")
    served.errors.close()
    served.process.stdout.close()


    with check("while the audit log cannot be written, nothing is released"):
        # no file grows beyond this; the signal that says so is ignored, as it is here
        served = Served("unaudited", [rule()], restore_signals=False, preexec_fn=lambda: (
            resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))))
        statuses = []
        while 503 not in statuses:
            session = Session(served)
            statuses += [session.attest()[0], session.get()[0]]
            assert len(statuses) < 100
        equal(session.get(), (503, {"detail": "try again later", "type":
              "https://github.com/confidential-containers/kbs/errors/InternalError"}))
        assert "nothing is released" in served.said(), served.said()
        served.end()

    with check("an ordinary user can run it, and loses what can be lost"):
        as_user = {}
        if os.geteuid() == 0:
            # a build folder may be where another user gets to nothing
            as_user = {"user": 65534, "group": 65534, "extra_groups": [],
                       "executable": shutil.copy(BROKER, path("broker"))}
            os.chmod(WORK, 0o711)
        served = Served("user", [rule()], **as_user)
        session = good(served)
        equal(session.unwrap(session.get()[1]), SECRET)
        status = open(f"/proc/{served.process.pid}/status").read()
        equal(re.search(r"Uid:\t(\d+)", status)[1], "65534")
        equal(re.search(r"Seccomp:\t(\d)", status)[1], "2")
        served.end()


def commands():
    store = path("commands")

    with check("a command, flag or word that is not known is refused with status 2"):
        for words in ([], ["sreve"], ["put"], ["put", store], ["list", "--jsno", store],
                      ["list", "--listen", "x", store], ["serve", store],
                      ["serve", "--front-uid", "x", store, "y"], ["audit", store, store]):
            equal(broker(*words).returncode, 2)
        for words in (["--help"], ["put", "--help"], ["--version"]):
            equal(broker(*words).returncode, 0)

    with check("what is put is listed by name and size, and never shown"):
        for name, value in (("default/model/key", SECRET), ("a/b/empty", b""),
                            ("a/b/large", b"x" * 262144)):
            equal(broker("put", store, name, data=value).returncode, 0)
        done = broker("list", store)
        assert SECRET not in done.stdout
        equal([line.split() for line in done.stdout.decode().splitlines()],
              [["0", "a/b/empty"], ["262144", "a/b/large"],
               [str(len(SECRET)), "default/model/key"]])
        equal(json.loads(broker("list", "--json", store).stdout)["secrets"][0],
              {"name": "a/b/empty", "size": 0})

    with check("a secret has a limit, and a name a form"):
        equal(broker("put", store, "a/b/c", data=b"x" * 262145).returncode, 2)
        for name in ("a", "a/b", "a/b/c/d", "a/b/", "/a/b", "a/../b", "a/.b/c", "a b/c/d", ""):
            equal(broker("put", store, name, data=b"x").returncode, 2)
        equal(len(broker("list", store).stdout.splitlines()), 3)

    with check("a secret is replaced and removed, and its bytes are no longer in the file"):
        equal(broker("put", store, "default/model/key", data=b"y").returncode, 0)
        assert SECRET not in open(os.path.join(store, "secrets.db"), "rb").read()
        equal(broker("put", "--remove", store, "default/model/key").returncode, 0)
        equal(broker("put", "--remove", store, "default/model/key").returncode, 1)
        equal(len(broker("list", store).stdout.splitlines()), 2)

    with check("the store is the owner's alone, and one that is not is refused"):
        equal(os.stat(store).st_mode & 0o777, 0o700)
        equal(os.stat(os.path.join(store, "secrets.db")).st_mode & 0o777, 0o600)
        os.chmod(store, 0o755)
        equal(broker("list", store).returncode, 1)
        equal(broker("put", store, "a/b/c", data=b"x").returncode, 1)
        os.chmod(store, 0o700)
        os.chmod(os.path.join(store, "secrets.db"), 0o644)
        equal(broker("list", store).returncode, 1)
        os.chmod(os.path.join(store, "secrets.db"), 0o600)
        os.mkdir(path("foreign"), 0o700)
        write("foreign/secrets.db", b"no database at all" * 100)
        os.chmod(path("foreign/secrets.db"), 0o600)
        equal(broker("list", path("foreign")).returncode, 1)

    with check("the key stays the same, and one that is open to others is refused"):
        key = broker("key", store).stdout
        equal(broker("key", store).stdout, key)
        os.chmod(os.path.join(store, "tls-key.pem"), 0o644)
        equal(broker("key", store).returncode, 1)
        os.chmod(os.path.join(store, "tls-key.pem"), 0o600)

    with check("serve refuses rules that are wrong, with the place"):
        for text, place in (("rules: [{resource: a/b/c}]", "policies"),
                            (rules_text([rule(policies=["ab"])]), "64 hex digits"),
                            (rules_text([rule(allow=["simulate"])]), "did you mean 'simulated'"),
                            (rules_text([rule(sim_roots=None)]), "sim_roots"),
                            (rules_text([rule("a/b")]), "repository/type/tag"),
                            (rules_text([rule(tcb={"spn": 1})]), "no part of a TCB"),
                            ("rule: []", "'rule' is not known"), ("rules: no", "no list")):
            done = broker("serve", "--listen", "127.0.0.1:0", store, write("wrong.yaml", text))
            equal(done.returncode, 1)
            assert place in done.stderr.decode(), done.stderr

    with check("explain tells which rule holds, and why another does not"):
        key = guest("key").decode().strip()
        nonce = base64.b64encode(bytes(32)).decode()
        evidence = write("evidence.json", guest("evidence", CHIP.folder, key, nonce, POLICY_FILE,
                                                LAUNCH))
        whole = write("request.json", guest("request", CHIP.folder, key, nonce, POLICY_FILE,
                                            LAUNCH))
        rules = write("explain.yaml", rules_text([
            rule(launch_digests=[OTHER_LAUNCH]), rule(), rule("a/b/c")]))
        for files in ([evidence, POLICY_FILE], [whole], [evidence]):
            done = broker("explain", rules, RESOURCE, *files)
            equal((done.returncode, done.stderr), (0, b""))
            text = done.stdout.decode()
            assert "launch-digest-mismatch" in text and ": holds" in text, text
        equal(broker("explain", rules, "a/b/none", evidence).returncode, 1)
        done = broker("explain", rules, "a/b/c", whole)
        assert done.returncode == 1 and b"policy-secret" in done.stdout, done.stdout
        equal(broker("explain", rules, RESOURCE, POLICY_FILE).returncode, 2)

    with check("audit prints lines for people and for programs"):
        equal(broker("audit", store).returncode, 1)
        served = Served("audited", [rule()])
        session = good(served, launch=OTHER_LAUNCH)
        refused(session.get(), "launch-digest-mismatch")
        served.end()
        text = broker("audit", served.store).stdout.decode()
        equal(len(text.splitlines()), 2)
        assert f"refused   {RESOURCE}" in text and "launch-digest-mismatch" in text, text
        equal([json.loads(line) for line in
               broker("audit", "--json", served.store).stdout.decode().splitlines()],
              served.audit())
        equal(broker("audit", os.path.join(served.store, "audit.log")).stdout.decode(), text)

    with check("what a secret is wrapped in, the jose program opens, too"):
        if not shutil.which("jose"):
            print("# jose is not installed: not compared")
        else:
            compare_with_jose()


def compare_with_jose():
    served = Served("jose", [rule()])
    session = good(served)
    message = write("jwe.json", json.dumps(session.get()[1]))
    served.end()
    request = json.loads(session.request())
    jwk = {**request["runtime-data"]["tee-pubkey"],
           "d": base64.urlsafe_b64encode(bytes.fromhex(session.key)).decode().rstrip("=")}
    done = subprocess.run(["jose", "jwe", "dec", "-i", message, "-k",
                           write("jwk.json", json.dumps(jwk)), "-O-"], capture_output=True,
                          check=False)
    os.unlink(path("jwk.json"))
    equal((done.returncode, done.stdout), (0, SECRET))


try:
    CHIP = Chip("chip")
    POLICY_FILE = document("policy", POLICY)
    POLICY_DIGEST = hashlib.sha256(open(POLICY_FILE, "rb").read()).hexdigest()
    {"refusals": refusals, "requests": requests, "commands": commands}[sys.argv[1]]()
finally:
    for started in STARTED:
        started.kill()
    shutil.rmtree(WORK, ignore_errors=True)
