"""``verify.html`` of a bundle, in a real Chromium without a network: the lines of ``verify.py``, word for word.

Over 400 lines: one page, and the bundles that it is shown, which share a browser.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import io
import json
import random
import zipfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from birddog.journal import open_writer
from birddog.model import Attachment, Device, Draft, Fix, FrameBody, Operation, Start, Tick, Verdict, pack
from birddog.units import NS
from ingest import control
from opsroom import cli, verifier

T0 = 1_790_000_000 * NS
ROOT = Path(__file__).parents[2]
CHROMIUM = Path("/usr/bin/chromium")
PATIENCE_MS = 60_000
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A journal of a case whose log has more than one full tile, and its bundle."""
    folder = tmp_path_factory.mktemp("case")
    url = f"sqlite:///{folder}/j.db"
    said = [Start(version="x", presets={}), Operation(operation="A", name="Nachtigäll"), Device(device="d", basis="own_sensor"),
            Attachment(device="d", shipment="van", operation="A", from_ns=0)]
    frames = [FrameBody(format="x", version=1, payload=b"p%d" % k, device="d", verdicts=(Verdict("A", "van", "own_sensor"),),
                        observations=(Fix(device="d", time_ns=T0 + k * NS, lat_deg=51.9 + k * 1e-4, lon_deg=4.0),))
              for k in range(262)]
    writer = open_writer(url, mode="live")
    drafts = [control.own(body, source="t") for body in (*said, *frames)]
    writer.append([drafts[0], *(_replaced(draft, n) for n, draft in enumerate(drafts[1:], 1))])
    writer.close()
    assert cli.main(["evidence", "export", "A", "--journal", url, "--out", str(folder / "a.zip")]) == 0
    return folder


def _replaced(draft, n):
    own = draft.kind in ("frame", "operation", "attachment")
    return msgspec.structs.replace(draft, received_ns=T0 + n * NS, operation="A" if own else "")


@pytest.fixture(scope="module")
def key(folder):
    return json.loads((folder / "j.db.log" / "keys.json").read_text())["keys"][-1]["verifier"]


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM.exists() or importlib.util.find_spec("playwright") is None:
        pytest.skip("no Chromium at /usr/bin/chromium, or no playwright")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(CHROMIUM), args=[
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"])
        yield started
        started.close()


class Page:
    """The page of a bundle, opened from the disk without a network."""

    def __init__(self, browser, file: Path, *, bare: bool = False):
        self.context = browser.new_context(offline=True)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.asked: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        if bare:
            self.page.add_init_script("Object.defineProperty(globalThis, 'crypto', {value: undefined})")
        self.page.goto(file.as_uri())

    def said(self, bundle: Path, key: str | None, witnesses: Sequence[str] = ()) -> tuple[str, list[str]]:
        """(state, lines) of a verification."""
        self.page.set_input_files("#bundle", str(bundle))
        self.page.fill("#key", key or "")
        self.page.fill("#witness", "\n".join(witnesses))
        self.page.evaluate("() => { document.getElementById('verdict').dataset.state = ''; }")
        self.page.click("#go")
        self.page.wait_for_selector("#verdict:not([data-state='']):not([data-state='working'])")
        text = self.page.text_content("#said") or ""
        return self.page.get_attribute("#verdict", "data-state") or "", text.splitlines()


@pytest.fixture(scope="module")
def page(browser, folder):
    with zipfile.ZipFile(folder / "a.zip") as archive:
        (folder / "verify.html").write_bytes(archive.read("verify.html"))
    made = Page(browser, folder / "verify.html")
    yield made
    assert made.errors == []
    assert made.asked == [(folder / "verify.html").as_uri()]
    made.context.close()


def python(bundle: Path, key: str | None, witnesses: Sequence[str] = ()) -> tuple[str, list[str]]:
    """The same of ``verify.py``."""
    lines: list[str] = []
    option = "--key"
    try:
        if key is not None:
            verifier.key_of(key)
        option = "--witness"
        for text in witnesses:
            verifier.key_of(text, 4)
        faults = verifier.verify(str(bundle), key, lines.append, witnesses)
    except verifier.Refused as error:
        return "refused", [str(error)]
    except verifier.Wrong as error:
        return "refused", [f"{option}: {error}"]
    return "faults" if faults else "unsigned" if key is None else "holds", lines


def plain(said: tuple[str, list[str]]) -> tuple[str, list[str]]:
    """Without the words of Python's own zip and JSON, which end a line."""
    state, lines = said
    return state, [line.partition("cannot be read: ")[0] if "cannot be read: " in line else
                   line.partition("cut or damaged: ")[0] for line in lines]  # fmt: skip


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    headers = verifier.Headers()
    out = b"".join(headers.local(name, verifier.zlib.crc32(data), len(data)) + data for name, data in files.items())
    path.write_bytes(out + headers.end())
    return path


def files_of(bundle: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(bundle) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_good_bundle_holds_in_the_same_words(page, folder, key):
    state, lines = page.said(folder / "a.zip", key)
    assert (state, lines) == python(folder / "a.zip", key) and state == "holds" and lines[-1].startswith("signed by ")
    state, lines = page.said(folder / "a.zip", None)
    assert (state, lines) == python(folder / "a.zip", None) and state == "unsigned"


def der(tag: int, *parts: bytes) -> bytes:
    """An element of DER."""
    held = b"".join(parts)
    size = bytes([len(held)]) if len(held) < 128 else bytes([0x82]) + len(held).to_bytes(2, "big")
    return bytes([tag]) + size + held


def stamped(note: bytes, when: bytes = b"20261129120000.5Z", status: bytes = b"\0") -> bytes:
    """What an authority answers (RFC 3161, section 2.4.2), without its signature, which neither verifier looks at."""
    sha256 = der(0x30, bytes.fromhex("0609608648016503040201"), b"\5\0")
    info = der(0x30, der(2, b"\1"), der(6, b"\x2a\3"), der(0x30, sha256, der(4, hashlib.sha256(note).digest())), der(2, b"\7"),
               der(0x18, when))  # fmt: skip
    content = der(0x30, bytes.fromhex("060b2a864886f70d0109100104"), der(0xA0, der(4, info)))
    signed = der(0x30, der(2, b"\3"), der(0x31, sha256), content, der(0x31))
    return der(0x30, der(0x30, der(2, status)), der(0x30, bytes.fromhex("06092a864886f70d010702"), der(0xA0, signed)))


def test_time_stamps_are_looked_at_in_the_same_words(page, folder, key, tmp_path):
    note, stamps = (folder / "j.db.log" / "checkpoint").read_bytes(), folder / "j.db.stamps"
    stamps.mkdir()
    size = int(note.split(b"\n")[1])
    try:
        (stamps / f"{size}.note").write_bytes(note)
        (stamps / f"{size}.tsr").write_bytes(stamped(note))
        url = f"sqlite:///{folder}/j.db"
        assert cli.main(["evidence", "export", "A", "--journal", url, "--out", str(tmp_path / "s.zip")]) == 0
    finally:
        for path in stamps.iterdir():
            path.unlink()
        stamps.rmdir()
    good = page.said(tmp_path / "s.zip", key)
    assert good == python(tmp_path / "s.zip", key) and good[0] == "holds"
    assert good[1][0].startswith(f"stamp/{size}.tsr: the first {size} of the ") and "2026-11-29T12:00:00Z" in good[1][0]
    files, whole, name = files_of(tmp_path / "s.zip"), stamped(note), f"stamp/{size}.tsr"
    others = [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(len(whole))]
    others += [b"", whole[:-1], whole + b"\0", stamped(note + b"x"), stamped(note, b"2026"), stamped(note, b"2026112912000xZ"),
               stamped(note, status=b"\1"), whole[:1] + b"\x80" + whole[4:], whole[:1] + b"\x85" + whole[2:]]  # fmt: skip
    words = []
    for data in others:
        try:
            digest, when, _ = verifier.stamp_of(data)
            words.append(f"{digest.hex()} {when}")
        except verifier.Wrong as error:
            words.append(str(error))
    assert len(set(words)) > 4
    assert words == page.page.evaluate(
        """(all) => all.map((one) => {
          try { const { digest, when } = stampOf(Uint8Array.from(one)); return `${hexOf(digest)} ${when}`; }
          catch (error) { if (!(error instanceof Wrong)) throw error; return error.message; }
        })""", [list(data) for data in others])  # fmt: skip
    other = zipped(tmp_path / "x.zip", files | {name: stamped(note + b"x")})
    assert page.said(other, key) == python(other, key)
    for gone in (f"stamp/{size}.note", f"stamp/{size}.proof"):
        other = zipped(tmp_path / "x.zip", {name: data for name, data in files.items() if name != gone})
        assert page.said(other, key) == python(other, key)


def by_its_own_key(files: dict[str, bytes], manifest: str) -> dict[str, bytes]:
    """A bundle that whoever has a key of his own has signed: ``manifest`` is its text, with KEY and CHECKPOINT in it."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from birddog.note import Signer, signed

    own = Signer(json.loads(files["bundle.json"])["log"]["origin"], Ed25519PrivateKey.from_private_bytes(b"f" * 32))

    def note(text: str) -> bytes:
        return signed(text, [own.line(text)]).encode()

    point = note(files["checkpoint"].decode().rpartition("\n\n")[0] + "\n")
    data = manifest.replace("KEY", own.verifier.text()).replace("CHECKPOINT", hashlib.sha256(point).hexdigest()).encode()
    text = f"birddog evidence bundle\n{base64.b64encode(hashlib.sha256(data).digest()).decode()}\n"
    return files | {"checkpoint": point, "bundle.json": data, "bundle.note": note(text)}


@pytest.mark.parametrize("old,new,state", [
    ("", "", "unsigned"),  # so written it holds
    ('"form": 2,', '"form": 2,\n "form": 2,', "faults"), ('"begins": 1,', '"begins": true,', "faults"),
    ('"begins": 1,', '"begins": 1.0,', "faults"), ('"begins": 1,', '"begins": NaN,', "faults"),
    ('"form": 2', '"form":  2', "faults"), ('"case": "A"', '"case": "\\u0041"', "faults"),
    ('"case": "A"', '"case": "\\u00e4\\u007f\\ud83d\\ude00\\b\\u000b"', "unsigned"),
    ('"case": "A"', '"case": "\xe4"', "faults"),
])  # fmt: skip
def test_a_manifest_that_can_be_read_in_two_ways_is_none(page, folder, tmp_path, old, new, state):
    """Keys twice, true for 1, 1.0 for 1: a reader takes the one or the other, so neither does."""
    files = files_of(folder / "a.zip")
    manifest = json.loads(files["bundle.json"])
    manifest["log"]["keys"] = [{"verifier": "KEY"}]
    manifest["files"]["checkpoint"] = "CHECKPOINT"
    text = json.dumps(manifest, indent=1)
    assert old in text
    made = zipped(tmp_path / "x.zip", by_its_own_key(files, text.replace(old, new, 1) if old else text))
    found = page.said(made, None)
    assert found[0] == python(made, None)[0] == state, found  # the words of Python's JSON and of a browser's are their own


def test_a_flipped_bit_anywhere_is_found_in_the_same_words(page, folder, key, tmp_path):
    whole, rng = (folder / "a.zip").read_bytes(), random.Random(11)
    for at in [0, 5, 30, len(whole) - 3, len(whole) - 400, *(rng.randrange(len(whole)) for _ in range(10))]:
        other = bytearray(whole)
        other[at] ^= 1 << rng.randrange(8)
        (tmp_path / "x.zip").write_bytes(other)
        found = page.said(tmp_path / "x.zip", key)
        assert plain(found) == plain(python(tmp_path / "x.zip", key)), at
        assert found[0] in ("faults", "refused"), at


def test_records_changed_taken_out_and_exchanged(page, folder, key, tmp_path):
    files, rng = files_of(folder / "a.zip"), random.Random(5)
    lines = files["records.jsonl"].splitlines(keepends=True)
    made = [lines[:10] + lines[11:], [*lines[:10], lines[11], lines[10], *lines[12:]], lines[:20], [*lines[:11], *lines[10:]],
            [*lines[:-1], lines[-1][:-9]], [b"{}\n", *lines], [b"\xff\n", *lines]]
    for _ in range(4):
        n = rng.randrange(len(lines))
        line = bytearray(lines[n])
        line[rng.randrange(len(line) - 1)] ^= 1 << rng.randrange(7)
        made.append([*lines[:n], bytes(line), *lines[n + 1 :]])
    row = json.loads(lines[10])
    name, salt, value = row["fields"][3]
    commitment = base64.b64encode(hashlib.sha256(base64.b64decode(salt) + base64.b64decode(value)).digest()).decode()
    for fields in ([], [["\ud800", salt, value]], [["n", 5]], [[5, salt, value]], [["n"]], [{}], [["n", salt]],
                   [["n" * 300, salt, value]], [["é\x7f", salt, "AA"]],
                   [*row["fields"][:3], [name, commitment], *row["fields"][4:]]):  # fmt: skip
        made.append([*lines[:10], json.dumps(row | {"fields": fields}, separators=(",", ":")).encode() + b"\n", *lines[11:]])
    made.append([*lines[:10], json.dumps(row | {"statement": None}, separators=(",", ":")).encode() + b"\n", *lines[11:]])
    for rows in made:
        zipped(tmp_path / "x.zip", files | {"records.jsonl": b"".join(rows)})
        assert page.said(tmp_path / "x.zip", key) == python(tmp_path / "x.zip", key)


def test_another_key_no_key_and_files_more_or_less(page, folder, key, tmp_path):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from birddog.note import Signer

    name = key.split("+")[0]
    other = Signer(name, Ed25519PrivateKey.from_private_bytes(b"o" * 32)).verifier.text()
    for wrong in (other, "nonsense", key[:-6] + "AAAAAA", other.replace(name, "elsewhere", 1)):
        found = page.said(folder / "a.zip", wrong)
        assert found == python(folder / "a.zip", wrong) and found[0] in ("faults", "refused")
    files = files_of(folder / "a.zip")
    less = {name: data for name, data in files.items() if name != "case.html"}
    tile = next(name for name in files if name.startswith("tile/"))
    own = files["bundle.note"].splitlines(keepends=True)[-1]
    behind = (b"\r\n", b"x\n", "\u2014 x AAAA\n".encode(), "\u2014 x AAAAAAA=\n".encode(), own,
              own.replace(own[-12:-4], b"A" * 8))  # fmt: skip
    for changed in (files | {"more.txt": b"x"}, less, files | {"verify.html": b"<p>it holds"}, files | {tile: b"x" * 32},
                    files | {"checkpoint": b"x"}, files | {"bundle.note": files["checkpoint"]},
                    *(files | {"bundle.note": files["bundle.note"] + more} for more in behind),
                    dict(reversed(files.items())), dict(sorted(files.items())),
                    {name: data for name, data in files.items() if name != tile}):  # fmt: skip
        found = page.said(zipped(tmp_path / "x.zip", changed), key)
        assert found == python(tmp_path / "x.zip", key) and found[0] == "faults"


def test_what_is_no_bundle_is_refused_in_the_same_words(page, folder, key, tmp_path):
    whole, files = (folder / "a.zip").read_bytes(), files_of(folder / "a.zip")
    made = [b"", b"hello" * 9, whole[:3], whole[: len(whole) // 2], whole + b"behind"]
    made += [zipped(tmp_path / "m", files | {name: b"x"}).read_bytes()
             for name in ("../evil", "/etc/passwd", "a\\b", "C:x", "a\u202eb", "a/../b")]
    made += [zipped(tmp_path / "m", {"a.zip": whole}).read_bytes(), zipped(tmp_path / "m", {"a.txt": b"x"}).read_bytes(),
             zipped(tmp_path / "m", files | {"bundle.json": b'{"form": 77}'}).read_bytes()]
    with zipfile.ZipFile(bomb := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bundle.json", b"0" * 5_000_000)
    with zipfile.ZipFile(link := io.BytesIO(), "w") as archive:
        info = zipfile.ZipInfo("bundle.json")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    with zipfile.ZipFile(twice := io.BytesIO(), "w") as archive:
        with pytest.warns(UserWarning, match="Duplicate"):
            for _ in range(2):
                archive.writestr("bundle.json", "{}")
    made += [bomb.getvalue(), link.getvalue(), twice.getvalue()]
    for data in made:
        (tmp_path / "x.zip").write_bytes(data)
        found = page.said(tmp_path / "x.zip", key)
        assert plain(found) == plain(python(tmp_path / "x.zip", key)), data[:60]
        assert found[0] in ("refused", "faults")


@pytest.fixture(scope="module")
def turned(folder, tmp_path_factory):
    """(folder, keys of the log, keys of witnesses): two cosigned, then the log had two new keys; three bundles."""
    from birddog.witness import Ledger

    there = tmp_path_factory.mktemp("turned")
    url = f"sqlite:///{there}/j.db"
    body = Operation(operation="A", name="x")
    draft = msgspec.structs.replace(control.own(body, source="t"), received_ns=T0, operation="A")

    def grow(first: int, count: int) -> None:
        writer = open_writer(url, mode="live")
        if first == 0:
            writer.append([draft])
        writer.append([Draft(kind="tick", received_ns=T0 + n * NS, source="t", ident=b"%d" % n, body=pack(Tick()))
                       for n in range(first + 1, first + count)])  # fmt: skip
        writer.close()

    def keys() -> list[str]:
        return [row["verifier"] for row in json.loads((there / "j.db.log" / "keys.json").read_text())["keys"]]

    def done(*words: str) -> None:
        assert cli.main([*words]) == 0

    grow(0, 2)
    witnesses = []
    for n, name in enumerate(("customs.example/w", "police.example/w", "late.example/w")):
        ledger = Ledger(there / f"w{n}", name)
        ledger.trust(keys()[0])
        witnesses.append(ledger.signer.verifier.text())
        if n < 2:
            grow(1000 * (n + 1), 300)
            one, other = str(there / "request"), str(there / "answer")
            done("witness", "request", "--key", witnesses[n], "--journal", url, "--out", one)
            done("witness", "sign", one, "--store", str(there / f"w{n}"), "--out", other)
            done("witness", "take", other, "--key", witnesses[n], "--journal", url)
    for n in range(3):
        grow(5000 + 100 * n, 5)
        done("evidence", "export", "A", "--journal", url, "--out", str(there / f"{n}.zip"))
        if n < 2:
            done("evidence", "rotate", "--journal", url)
    return there, keys(), witnesses


def test_notes_of_new_keys_are_followed_in_the_same_words(page, turned):
    """By the key of its time, one before or one after, and by none; never by another's."""
    there, keys, witnesses = turned
    for n in range(3):
        bundle = there / f"{n}.zip"
        for key in (*keys, None):
            found = page.said(bundle, key, witnesses[:2] if key else ())
            assert found == python(bundle, key, witnesses[:2] if key else ()), (n, key)
            good = "unsigned" if key is None else "holds" if keys.index(key) <= n else "faults"
            assert found[0] == good, (n, key, found)
    files = files_of(there / "2.zip")
    manifest = json.loads(files["bundle.json"])
    rows = manifest["log"]["keys"]
    note = rows[1]["note"]
    for row in (*({"note": other} for other in (note.replace(keys[0], keys[2]), "", 5, note[:-9] + "AAAA" + note[-5:])),
                {"from_size": "5"}, 5):  # fmt: skip
        changed = rows[1] | row if isinstance(row, dict) else row
        said = manifest | {"log": manifest["log"] | {"keys": [rows[0], changed, rows[2]]}}
        bundle = zipped(there / "x.zip", files | {"bundle.json": json.dumps(said).encode()})
        found = page.said(bundle, keys[0])
        assert found == python(bundle, keys[0]) and found[0] == "faults", row


def test_what_witnesses_signed_is_checked_in_the_same_words(page, turned):
    there, (first, *_), witnesses = turned
    bundle = there / "2.zip"
    for asked in (witnesses[:1], witnesses[:2], witnesses, [first], ["nonsense"]):
        found = page.said(bundle, first, asked)
        assert found == python(bundle, first, asked)
        assert found[0] == ("refused" if asked in ([first], ["nonsense"]) else "holds" if len(asked) < 3 else "faults")
    assert sum("signed the first" in line for line in page.said(bundle, first, witnesses[:2])[1]) == 2
    files = files_of(bundle)
    one, other = (f"witness/{name}.example%2Fw" for name in ("customs", "police"))
    note = files[f"{one}.note"]
    swapped = {f"{one}.proof": files[f"{other}.proof"], f"{other}.proof": files[f"{one}.proof"]}
    steps = files[f"{one}.proof"].splitlines(keepends=True)
    flipped = note[:-8] + (b"A" if note[-8:-7] != b"A" else b"B") + note[-7:]
    changes = (swapped, {f"{one}.note": flipped}, {f"{one}.note": b"\xff"},
               {f"{one}.note": note.rpartition(b"\xe2")[0]}, {f"{one}.note": files["checkpoint"]}, {f"{one}.proof": b""},
               {f"{one}.proof": b"".join(steps[:-1])}, {f"{one}.proof": b"".join(steps) + steps[0]}, {f"{one}.proof": b"\xff"},
               {f"{one}.note": files["bundle.note"]}, {f"{one}.proof": steps[0][:-5] + b"\n"})  # fmt: skip
    for change in changes:
        changed = zipped(there / "x.zip", files | change)
        found = page.said(changed, first, witnesses[:2])
        assert found == python(changed, first, witnesses[:2]) and found[0] == "faults", change
    fewer = {name: data for name, data in files.items() if not name.startswith(one)}
    changed = zipped(there / "x.zip", fewer)
    found = page.said(changed, first, witnesses[:2])
    assert found == python(changed, first, witnesses[:2])
    assert any("customs.example/w has signed no" in line for line in found[1])


def test_proofs_of_growth_are_judged_as_there(page):
    """Pairs of sizes, as it is, cut, longer, turned round, and for other roots (RFC 9162, section 2.1.4.2)."""
    from birddog.merkle import consistency_proof, leaf_hash, root

    leaves = [leaf_hash(b"%d" % n) for n in range(20)]
    asked, wanted = [], []
    for size2 in (1, 2, 3, 4, 6, 7, 8, 13, 20):
        for size1 in range(size2 + 1):
            proof = consistency_proof(size1, leaves[:size2]) if size1 else []
            roots = [root(leaves[:size]) for size in (size1, size2)]
            for steps in (proof, proof[:-1], [*proof, b"x" * 32], proof[::-1]):
                for r1, r2 in (roots, roots[::-1]):
                    asked.append([size1, size2, [list(s) for s in steps], list(r1), list(r2)])
                    try:
                        verifier.check_grown(size1, size2, steps, r1, r2)
                        wanted.append("")
                    except verifier.Wrong as error:
                        wanted.append(str(error))
    found = page.page.evaluate("""all => all.map(([a, b, steps, r1, r2]) => { try {
        checkGrown(a, b, steps.map(s => Uint8Array.from(s)), Uint8Array.from(r1), Uint8Array.from(r2)); return ""; }
        catch (error) { return error.message; } })""", asked)  # fmt: skip
    assert found == wanted and "" in wanted and len(set(wanted)) == 4


def test_without_webcrypto_its_own_arithmetic_says_the_same(browser, folder, key, tmp_path):
    bare = Page(browser, folder / "verify.html", bare=True) if (folder / "verify.html").exists() else None
    if bare is None:
        (folder / "verify.html").write_bytes(files_of(folder / "a.zip")["verify.html"])
        bare = Page(browser, folder / "verify.html", bare=True)
    assert bare.page.evaluate("globalThis.crypto === undefined")
    assert bare.said(folder / "a.zip", key) == python(folder / "a.zip", key)
    files = files_of(folder / "a.zip")
    text, _, blob = files["checkpoint"].decode().rpartition(" ")
    raw = bytearray(base64.b64decode(blob))
    raw[40] ^= 1
    zipped(tmp_path / "x.zip", files | {"checkpoint": f"{text} {base64.b64encode(raw).decode()}\n".encode()})
    found = bare.said(tmp_path / "x.zip", key)
    assert found == python(tmp_path / "x.zip", key) and "checkpoint: has a signature that does not hold" in found[1]
    assert bare.errors == []
    bare.context.close()


def test_its_hashes_are_those_of_the_library(page):
    rng = random.Random(3)
    texts = [rng.randbytes(n) for n in (0, 1, 55, 56, 63, 64, 65, 111, 112, 119, 120, 127, 128, 129, 1000, 5003)]
    for name in ("sha256", "sha512"):
        found = page.page.evaluate(f"all => all.map(text => hexOf({name}(Uint8Array.from(text))))", [list(t) for t in texts])
        assert found == [hashlib.new(name, text).hexdigest() for text in texts]
    whole = rng.randbytes(5000)
    pieces = page.page.evaluate(
        "text => { const h = new Sha256(); for (let n = 0, w = 1; n < text.length; n += w, w = w * 3 % 200 + 1)"
        " h.update(Uint8Array.from(text.slice(n, n + w))); return hexOf(h.digest()); }", list(whole))
    assert pieces == hashlib.sha256(whole).hexdigest()


def test_names_are_hashed_as_there(page):
    many = (["n"] * 15, ["n"] * 16, ["n"] * 65_535, ["n"] * 65_536, ["n" * 31], ["n" * 32], ["n" * 255], ["é" * 128],
            ["n" * 65_536])
    asked = "([name, times, count]) => hexOf(sha256(namesHashed(Array(count).fill(name.repeat(times)))))"
    for names in many:
        found = page.page.evaluate(asked, [names[0][0], len(names[0]), len(names)])
        assert found == hashlib.sha256(verifier.names_hashed(names)).hexdigest()


@pytest.mark.shared
def test_its_own_ed25519_agrees_with_wycheproof(page):
    file = ROOT.parent / "shared" / "data" / "reliability" / "ed25519" / "ed25519_test.json"
    if not file.exists():
        pytest.skip("needs ../shared/data")
    asked = [(list(bytes.fromhex(group["publicKey"]["pk"])), list(bytes.fromhex(t["msg"])), list(bytes.fromhex(t["sig"])),
              t["result"] == "valid") for group in json.loads(file.read_text())["testGroups"] for t in group["tests"]]
    found = page.page.evaluate("all => all.map(t => plainEd25519(...t.slice(0, 3).map(b => Uint8Array.from(b))))",
                               [t[:3] for t in asked])  # fmt: skip
    assert len(asked) > 40 and found == [t[3] for t in asked]


def test_its_own_ed25519_agrees_with_the_library(page):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    for k in range(4):
        private = Ed25519PrivateKey.from_private_bytes(bytes([k]) * 32)
        signature = private.sign(b"text")
        said = [list(private.public_key().public_bytes_raw()), list(b"text"), list(signature)]
        ask = "t => plainEd25519(...t.map(b => Uint8Array.from(b)))"
        assert page.page.evaluate(ask, said) is True
        assert page.page.evaluate(ask, [said[0], list(b"texT"), said[2]]) is False
