#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# What a broker answers to evidence: the processor's own, of guests of these tests' making, sent by
# a client that is none of ours. No guest is booted.
# timeout: 120
import base64
import glob
import json
import os
import secrets
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from harness import SOAK, Bench, contains, equal
from trust import RESOURCE, Broker, find_in_memory, rule
from trust_kbs import Guest, Key, Policy, Session, b64url, evidence, runtime

NAMES = ("a broker's answers to the processor's evidence",)
bench = Bench()
if not bench.needs_root(*NAMES):
    bench.end()
CANARY = b"canary-" + secrets.token_hex(24).encode()
broker = Broker(bench)
broker.put(CANARY)
broker.put(b"not for this one", "default/other/key")

# a policy of the tests' own, for a guest that never is: the broker knows it by its digest only
POLICY = Policy(broker, RESOURCE)
STRANGE = Policy(broker, RESOURCE, "default/other/key")
guest = Guest(bench, POLICY)
ours = guest.digest()


def allow(*resources, policies=(POLICY.digest,), digests=(ours,), allow=("simulated",),
          roots=(guest.root(),)):
    broker.set_rules(*[rule(resource, policies, digests, allow=list(allow), sim_roots=list(roots))
                       for resource in resources or (RESOURCE,)])


def ask(session, of=guest, key=None, nonce=None, policy=POLICY, change=None, bound_to=None):
    """Evidence for a session; each part can be another's. Gives the answer to it."""
    key = key or session.key
    nonce = nonce or session.nonce
    report, certificates = of.report((bound_to or runtime)(nonce, key))
    body = evidence(report, certificates, nonce, key, policy)
    if change:
        change(body)
    return session.attest(body)


def outcome(session, **parts):
    """Of evidence and, if that was good, of asking for the secret."""
    answer = ask(session, **parts)
    return session.resource(RESOURCE) if answer[0] == 200 else answer


def no(answer, code):
    """A refusal of the protocol's form that names the reason."""
    status, body = answer
    assert status in (401, 404), f"{status}: {body[:300]!r}"
    error = json.loads(body)
    contains(error["type"], "/kbs/errors/")
    assert error["detail"].startswith(code + ":"), f"expected {code}: {error['detail']!r}"
    assert CANARY not in body, "the secret is in a refusal"


with bench.check("a guest that a rule names gets the secret, wrapped to its key and to no other"):
    allow()
    session = Session(broker)
    status, body = ask(session)
    equal(status, 200, body[:300])
    equal(list(json.loads(body)), ["token"], "answer")
    status, body = session.resource(RESOURCE)
    equal(status, 200, body[:300])
    assert CANARY not in body, "in the clear"
    equal(session.key.unwrap(json.loads(body)), CANARY, "the secret")
    another = Key()
    try:
        another.unwrap(json.loads(body))
    except ValueError:
        pass
    else:
        raise AssertionError("another key opens it")
    equal([line["verdict"] for line in broker.audit()], ["accepted", "released"], "audit")

with bench.check("two answers share neither key nor number"):
    one, two = (json.loads(session.resource(RESOURCE)[1]) for _ in range(2))
    for part in ("protected", "encrypted_key", "iv", "ciphertext", "tag"):
        assert one[part] != two[part], part

with bench.check("a nonce is for one report: the same evidence again is refused, in its "
                 "session and in another"):
    session = Session(broker)
    report, certificates = guest.report(runtime(session.nonce, session.key))
    body = evidence(report, certificates, session.nonce, session.key, POLICY)
    equal(session.attest(body)[0], 200, "the first time")
    other = Session(broker)
    assert other.nonce != session.nonce, "a nonce twice"
    with broker.releases_nothing():
        no(other.attest(body), "report-data-mismatch")
        no(other.resource(RESOURCE), "session-unknown")

with bench.check("a nonce that was tried with a bad report is used up"):
    session = Session(broker)
    with broker.releases_nothing():
        no(ask(session, bound_to=lambda nonce, key: bytes(64)), "report-data-mismatch")
        no(ask(session), "session-unknown")
        no(session.resource(RESOURCE), "session-unknown")

with bench.check("a report made for another guest's key or nonce is refused"):
    with broker.releases_nothing("report-data-mismatch"):
        session = Session(broker)
        no(ask(session, bound_to=lambda nonce, key: runtime(nonce, Key())), "report-data-mismatch")
        session = Session(broker)
        no(ask(session, bound_to=lambda nonce, key: runtime(os.urandom(32), key)),
           "report-data-mismatch")
        session = Session(broker)
        no(ask(session, nonce=os.urandom(32)), "report-data-mismatch")

with bench.check("a report of another pod is refused: by its policy, by what was launched"):
    with broker.releases_nothing("host-data-mismatch"):
        stranger = Guest(bench, STRANGE, processor=guest.processor)
        equal(stranger.digest(), ours, "launched alike")
        no(ask(Session(broker), of=stranger), "host-data-mismatch")
        no(outcome(Session(broker), of=stranger, policy=STRANGE), "host-data-mismatch")
        no(ask(Session(broker), policy=STRANGE), "host-data-mismatch")
        stranger.end()
    with broker.releases_nothing("launch-digest-mismatch"):
        for how in ({"append": "other"}, {"vcpus": 2}, {"kernel": b"other" * 1000},
                    {"firmware": b"\1" * 65536}, {"more": ("-name", "other")}):
            stranger = Guest(bench, POLICY, processor=guest.processor, **how)
            assert stranger.digest() != ours, f"launched alike: {how}"
            no(outcome(Session(broker), of=stranger), "launch-digest-mismatch")
            stranger.end()

with bench.check("without the policy's document there is no secret: the broker reads what is "
                 "allowed there"):
    with broker.releases_nothing():
        session = Session(broker)
        answer = outcome(session, change=lambda body: body.update({"init-data": None}))
        assert answer[0] != 200, "released"
        no(answer, json.loads(answer[1])["detail"].partition(":")[0])

with bench.check("simulated evidence is refused where a rule does not allow it in so many words, "
                 "before all else"):
    with broker.releases_nothing("simulated"):
        allow(allow=(), roots=())
        no(outcome(Session(broker)), "simulated")
        allow(allow=("debug", "migration", "cxl"), roots=())
        no(outcome(Session(broker)), "simulated")
        # that another resource's rule does is nothing to this one
        broker.set_rules(rule(RESOURCE, POLICY.digest, ours),
                         rule("default/other/key", POLICY.digest, ours, allow=["simulated"],
                              sim_roots=[guest.root()]))
        no(outcome(Session(broker)), "simulated")

with bench.check("a processor whose root no rule names is not trusted"):
    with broker.releases_nothing("certificate-untrusted"):
        allow(roots=("00" * 32,))
        no(outcome(Session(broker)), "certificate-untrusted")

with bench.check("another resource than the rule's or the policy's is refused, and one that is not "
                 "there no differently"):
    allow()
    session = Session(broker)
    equal(ask(session)[0], 200, "attested")
    with broker.releases_nothing("resource-denied"):
        denied = session.resource("default/other/key")
        no(denied, "resource-denied")
        missing = session.resource("default/no/key")
        no(missing, "resource-denied")
        equal(denied[0], missing[0], "status")
        for path in ("default/model", "default/model/key/x", "../model/key", "default/model/../key",
                     "default/model/key%00", "default//key"):
            answer = session.resource(path)
            assert answer[0] in (400, 401, 404), f"{path}: {answer}"
    # a rule alone does not do it: the policy has to list it, too
    allow(RESOURCE, "default/other/key")
    session = Session(broker)
    equal(ask(session)[0], 200, "attested")
    with broker.releases_nothing():
        no(session.resource("default/other/key"), "resource-denied")
    equal(session.resource(RESOURCE)[0], 200, "the one that both name")

with bench.check("a session's cookie is all there is to it: none, or another's, gets nothing"):
    with broker.releases_nothing():
        stray = Session(broker)
        stray.cookie = "0" * 32
        no(stray.resource(RESOURCE), "session-unknown")
        stray.cookie = None
        assert stray.resource(RESOURCE)[0] == 401, "no cookie"
        fresh = Session(broker)
        no(fresh.resource(RESOURCE), "session-unknown")

BITS = range(0, 0x330 * 8) if SOAK else range(0, 0x330 * 8, 97)

with bench.check(f"{len(BITS)} flipped bits of a signed report: each one refuses"):
    passed = []
    with broker.releases_nothing():
        for bit in BITS:
            session = Session(broker)
            report, certificates = guest.report(runtime(session.nonce, session.key))
            report = bytearray(report)
            report[bit // 8] ^= 1 << bit % 8
            try:
                body = evidence(bytes(report), certificates, session.nonce, session.key, POLICY)
            except ValueError:
                continue  # of a byte that the message has no place for
            if session.attest(body)[0] == 200:
                passed.append(bit)
    equal(passed, [], "bits that do not matter")

with bench.check("what is not of the protocol's form is refused, and the broker goes on"):
    with broker.releases_nothing():
        for change in (lambda body: body.update({"more": 1}),
                       lambda body: body["runtime-data"].update({"more": 1}),
                       lambda body: body["runtime-data"]["tee-pubkey"].update({"alg": "RSA1_5"}),
                       lambda body: body["tee-evidence"].update({"additional_evidence": "{}"}),
                       lambda body: body["tee-evidence"].pop("primary_evidence"),
                       lambda body: body["runtime-data"].update(
                           {"nonce": base64.b64encode(bytes(16)).decode()})):
            status, answer = ask(Session(broker), change=change)
            assert 400 <= status < 500, f"{status}: {answer[:200]!r}"
        for raw in (b"", b"{", b"[]", b"x" * (5 << 20), b'{"a":' * 5000):
            status = Session(broker).attest(raw)[0]
            assert status is None or 400 <= status < 500, f"{status} for {raw[:9]!r}"
    allow()
    session = Session(broker)
    equal(ask(session)[0], 200, "a good one afterwards")

with bench.check("default deny: with no rule there is nothing to be had"):
    broker.set_rules(rule("none/none/none", "00" * 32, "00" * 48))
    with broker.releases_nothing():
        status, body = outcome(Session(broker))
        assert status in (401, 404), f"{status}: {body[:300]!r}"

with bench.check("rules that cannot be read change nothing, and are said"):
    allow()
    with open(broker.rules_path, "a", encoding="utf-8") as file:
        file.write("  - surprise: 1\n")
    contains(broker.reread(), "surprise", "from before stay")
    session = Session(broker)
    equal((ask(session)[0], session.resource(RESOURCE)[0]), (200, 200), "answers")

with bench.check("the process that faces the network has released secrets and never had one"):
    back, front = broker.pids()
    equal(find_in_memory(front, CANARY), [], "the front's memory")
    sockets = {}
    for pid in (back, front):
        links = [os.readlink(path) for path in glob.glob(f"/proc/{pid}/fd/*")
                 if os.path.islink(path)]
        sockets[pid] = links
    assert any("secrets.db" in link for link in sockets[back]), sockets[back]
    assert not any(broker.store + "/" in link for link in sockets[front]), \
        sockets[front]
    listening = set()
    with open(f"/proc/{front}/net/tcp", encoding="utf-8") as file:
        for line in file.readlines()[1:]:
            words = line.split()
            if words[1].endswith(f":{broker.port:04X}"):
                listening.add(f"socket:[{words[9]}]")
    assert listening & set(sockets[front]), "the front does not listen"
    assert not listening & set(sockets[back]), "the back has the network's socket"
    uids = [os.stat(f"/proc/{pid}").st_uid for pid in (back, front)]
    assert uids[0] != uids[1], f"users {uids}"

with bench.check("an audit line for each decision, none with a secret, and the command prints "
                 "them"):
    with open(os.path.join(broker.store, "audit.log"), "rb") as file:
        text = file.read()
    assert CANARY not in text and b64url(CANARY).encode() not in text, "the secret"
    lines = broker.audit()
    for line in lines:
        equal({"time", "event", "verdict", "codes", "peer", "tee"} - set(line), set(), str(line))
        assert line["verdict"] != "refused" or line["codes"], f"a no without why: {line}"
    printed = broker("audit", "--json", broker.store).ok().lines
    equal([json.loads(line) for line in printed], lines, "casemate-broker audit")
    equal(len(broker("audit", broker.store).ok().lines) >= len(lines), True, "for people")
    equal(os.stat(broker.store).st_mode & 0o77, 0, "the store's mode")

with bench.check("the broker ends when it is told to, and keeps what it knows for the next"):
    key = broker.key
    equal(broker.stop(), 0, "status")
    contains(broker("list", broker.store).ok().text, RESOURCE)
    again = Broker(bench)
    equal(again.key, key, "its key")
    again.stop()

bench.end()
