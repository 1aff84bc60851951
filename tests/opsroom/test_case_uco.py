"""The CASE/UCO export of a bundle, held to CASE 1.5.0's own SHACL shapes; what is withheld stays so, no bundle is refused.

The shapes and the ontology are case-utils' own copy; a changed copy is noticed by its SHA-256.

Over 400 lines: one case with everything in it, and all that is asked of its export.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
import uuid
import warnings
import zipfile
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from birddog.custody import name_in_notes, received_words, words_of
from birddog.journal import open_writer
from birddog.model import (
    Access,
    Alarm,
    Attachment,
    Custody,
    Decision,
    Device,
    Fix,
    FrameBody,
    Operation,
    Placement,
    Scan,
    Sighting,
    Start,
    TagRead,
    Tick,
    Verdict,
    WarrantAct,
)  # fmt: skip
from birddog.note import Signer
from birddog.units import NS, iso_from_ns
from ingest import control
from opsroom import cli, verifier

SHAPES = "d246cfba2dbb8a521a97015c41c973a861a4906f6017d0e5f6c0b17487b63a7f"
T0 = 1_790_000_000 * NS
EPC = "urn:epc:id:sgtin:0614141.107346.2017"
SAID = {"id": "W-1", "device": "d", "issued": iso_from_ns(T0 - 9 * NS), "install_by": iso_from_ns(T0), "jurisdiction": None,
        "use_from": iso_from_ns(T0 - NS), "use_until": iso_from_ns(T0 + 10**6 * NS), "kind": "directed surveillance",
        "authority": "Court 3"}  # fmt: skip


def signer(person: str) -> Signer:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Signer(name_in_notes(person), Ed25519PrivateKey.from_private_bytes(hashlib.sha256(person.encode()).digest()))


def custody() -> list[Custody]:
    """A tag: seized, photographed, handed over by two signatures, and once more by a person who has it not."""
    keys = [Custody(item="", action="key", by=name, operation="A", public=signer(name).verifier.text())
            for name in ("noor", "ben")]
    given = Custody(item="tag-7", action="give", by="noor", to="ben", operation="A", at_ns=T0 + 5 * NS)
    given = msgspec.structs.replace(given, signature=signer("noor").line(words_of(given)))
    return [
        *keys,
        Custody(item="tag-7", action="seize", by="noor", operation="A", at_ns=T0 + 3 * NS, place="quay 4"),
        Custody(item="tag-7", action="photo", by="noor", operation="A", at_ns=T0 + 4 * NS,
                sha256=hashlib.sha256(b"x").hexdigest()),
        given,
        Custody(item="tag-7", action="receive", by="ben", operation="A",
                signature=signer("ben").line(received_words(given, "ben"))),
        Custody(item="tag-7", action="end", by="noor", operation="A"),
    ]


def entries():
    def frame(device, fmt, *observations):
        return FrameBody(format=fmt, version=3, payload=fmt.encode(), device=device, observations=observations,
                         verdicts=(Verdict("A", "sprinter", "own_sensor"),))

    fix = Fix(device="d", time_ns=T0 + NS, lat_deg=51.93, lon_deg=1e-7, alt_m=3.0, sigma_m=8.0, speed_mps=4.0)
    contact = Sighting(device="cam", time_ns=T0, lat_deg=51.9, lon_deg=4.0, r_ee=9.0, r_en=0.0, r_nn=9.0)
    yield from (
        Start(version="x", presets={}), Operation(operation="A", name="Nachtigall"),
        Device(device="d", basis="own_sensor", model="FMB920", owner="customs"), Device(device="gate", basis="own_sensor"),
        Attachment(device="d", shipment="sprinter", operation="A", from_ns=T0),
        Attachment(device="gate", shipment="gates", operation="A", from_ns=T0),
        Placement(device="gate", lat_deg=51.95, lon_deg=4.05, range_m=10.0, name="gate 2"),
        WarrantAct(warrant="W-1", action="add", by="ann", operation="A", said=json.dumps(SAID)),
        WarrantAct(warrant="W-1", action="approve", by="bea", operation="A"),
        WarrantAct(warrant="W-0", action="revoke", by="bea", operation="A", at_ns=T0),  # of a warrant that is not in the bundle
        Tick(),
        frame("d", "owntracks", fix, msgspec.structs.replace(fix, time_ns=T0 + 2 * NS, lat_deg=-51.94)),
        frame("gate", "impinj", TagRead(device="gate", time_ns=T0 + NS, epc=EPC),
              Alarm(device="gate", time_ns=None, alarm="sos")),
        Scan(scan_id="s", sensor="cam", time_ns=T0, footprint=((4.0, 51.0), (5.0, 51.0), (5.0, 52.0), (4.0, 51.0)), pd=0.9,
             clutter_per_km2=0.1, sightings=(contact,)),
        Decision(action="acknowledge", subject="A1", by="ann", operation="A"),
        Access(action="export", by="ann", form="csv", to="customs", operation="A"),
        *custody(),
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("case")
    url = f"sqlite:///{folder}/j.db"
    writer = open_writer(url, mode="live")
    rows = []
    for n, body in enumerate(entries()):
        draft = msgspec.structs.replace(control.own(body, source="t"), actor=getattr(body, "by", ""))
        own = draft.operation or ("A" if isinstance(body, FrameBody | Scan) else "")
        rows.append(msgspec.structs.replace(draft, received_ns=T0 + n * NS, operation=own))
    writer.append(rows)
    writer.close()
    assert cli.main(["evidence", "export", "A", "--journal", url, "--out", str(folder / "a.zip")]) == 0
    return folder


def export(bundle: Path, to: Path, *words: str) -> list[dict]:
    assert cli.main(["evidence", "case-uco", str(bundle), "--out", str(to), *words]) == 0
    return json.loads(to.read_text())["@graph"]


@pytest.fixture(scope="module")
def nodes(folder):
    return export(folder / "a.zip", folder / "a.jsonld")


def of(nodes, kind):
    return [node for node in nodes if node["@type"] == kind]


def descriptions(nodes, kind):
    return [said for node in of(nodes, kind) for said in node.get("core:description", [])]


def facet(node, kind):
    return next(one for one in node["core:hasFacet"] if one["@type"] == kind)


# --- the shapes ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shapes():
    """(shapes and ontology, what is a subclass of what), the ontology's copy as it was when this was written."""
    rdflib = pytest.importorskip("rdflib")
    where = Path(pytest.importorskip("case_utils").__file__).parent / "ontology"
    whole = where / "case-1.5.0.ttl"
    assert hashlib.sha256(whole.read_bytes()).hexdigest() == SHAPES
    return rdflib.Graph().parse(whole), rdflib.Graph().parse(where / "case-1.5.0-subclasses.ttl")


@contextmanager
def queries_parsed_once():
    """A shape's SPARQL is parsed anew for each node (14 ms); prepared, it is the same query."""
    from rdflib.plugins.sparql import processor

    parse, translate, made = processor.parseQuery, processor.translateQuery, {}

    def prepared(text, base=None, initNs=None):
        known = text, base, tuple(sorted((initNs or {}).items()))
        if known not in made:
            made[known] = translate(parse(text), base, initNs)
        return made[known]

    processor.parseQuery, processor.translateQuery = lambda text: text, prepared
    try:
        yield
    finally:
        processor.parseQuery, processor.translateQuery = parse, translate


def faults(shapes, nodes) -> list[str]:
    """What the shapes say against some nodes, advice (sh:Info) too; and each word of the ontology's that it does not have."""
    import pyshacl
    import rdflib
    from case_utils.case_validate.validate_utils import get_invalid_cdo_concepts

    from opsroom.case_nodes import CONTEXT

    whole, subclasses = shapes
    with warnings.catch_warnings(), queries_parsed_once():
        warnings.simplefilter("ignore", DeprecationWarning)  # of rdflib's own and case-utils' own
        data = rdflib.Graph().parse(data=json.dumps({"@context": CONTEXT, "@graph": nodes}), format="json-ld")
        unknown = [str(one) for one in get_invalid_cdo_concepts(data, whole)]
        _, found, _ = pyshacl.validate(data + subclasses, shacl_graph=whole, inference="none")
    messages = found.objects(None, rdflib.SH.resultMessage)
    return sorted(str(one) for one in messages) + unknown


def test_the_shapes_have_nothing_against_it(shapes, nodes):
    assert faults(shapes, nodes) == []


def test_it_has_no_blank_node_and_each_name_is_a_uuid(nodes):
    def names(value):
        if isinstance(value, list):
            for one in value:
                yield from names(one)
        elif isinstance(value, dict) and "@value" not in value:
            yield value["@id"]
            for one in value.values():
                yield from names(one)

    assert all(uuid.UUID(name.removeprefix("urn:uuid:")).version == 5 for name in names(nodes))
    facets = [one for node in nodes for one in node.get("core:hasFacet", [])]
    made = {node["@id"] for node in (*nodes, *facets)}
    inner = {one["observable:hash"]["@id"] for one in facets if "observable:hash" in one}
    assert set(names(nodes)) == made | inner, "each name that is referred to is a node"


@pytest.mark.parametrize("harm,words", [
    (lambda place: place["core:hasFacet"][0].update({"location:latitude": "51.93"}), "datatype xsd:decimal"),
    (lambda place: place["core:hasFacet"][0].update({"location:latitude": 51.93}), "datatype xsd:decimal"),
    (lambda place: place.pop("@id"), "required to not be blank nodes"),
    (lambda place: place["core:hasFacet"][0].pop("@id"), "required to not be blank nodes"),
    (lambda place: place.update({"@id": "urn:birddog:place"}), "suggested to end with a UUID"),
    (lambda place: place.update({"core:hasFacet": "a text"}), "is not of Node Kind sh:IRI"),
    (lambda place: place.update({"core:name": ["a", "b"]}), "More than 1 values"),
    (lambda place: place.update({"core:hasFacett": "a"}), "core/hasFacett"),
    (lambda place: place.update({"@type": "location:Place"}), "location/Place"),
])  # fmt: skip
def test_an_export_with_a_fault_is_refused_by_the_shapes(shapes, nodes, harm, words):
    place = json.loads(json.dumps(of(nodes, "location:Location")[0]))
    assert faults(shapes, [place]) == []
    harm(place)
    assert any(words in said for said in faults(shapes, [place])), faults(shapes, [place])


# --- what it says ----------------------------------------------------------------------------------


def test_it_says_what_the_bundle_says(folder, nodes):
    by_name = {node["@id"]: node for node in nodes}
    [case] = of(nodes, "investigation:Investigation")
    assert case["core:name"] == "A" and case["investigation:focus"] == "Nachtigall"
    bundle = next(node for node in of(nodes, "observable:File") if node["core:name"] == "the evidence bundle")
    digest = facet(bundle, "observable:ContentDataFacet")["observable:hash"]["types:hashValue"]["@value"]
    assert digest == hashlib.sha256((folder / "a.zip").read_bytes()).hexdigest()
    # authority, with what it became
    [warrant] = [node for node in of(nodes, "investigation:Authorization") if node["core:name"] == "W-1"]
    assert warrant["investigation:authorizationType"] == "directed surveillance"
    assert warrant["core:startTime"]["@value"] == SAID["use_from"] and warrant["core:endTime"]["@value"] == SAID["use_until"]
    assert "approved by bea" in warrant["core:description"] and "authority: Court 3" in warrant["core:description"]
    assert {by_name[one["@id"]]["core:name"] for one in case["investigation:relevantAuthorization"]} == {"W-0", "W-1"}
    # devices and tags
    devices = {facet(node, "observable:DeviceFacet")["observable:serialNumber"]: node
               for node in of(nodes, "observable:Device")}
    assert set(devices) == {"cam", "d", "gate", EPC}
    assert facet(devices["d"], "observable:DeviceFacet")["observable:model"] == "FMB920"
    assert any("not validated" in words for words in devices["d"]["core:description"])
    [read] = [node for node in of(nodes, "observable:ObservableRelationship") if node["core:kindOfRelationship"] == "Read_By"]
    assert read["core:source"]["@id"] == devices[EPC]["@id"] and read["core:target"]["@id"] == devices["gate"]["@id"]
    # fixes, each with its record's leaf
    raw = zipfile.ZipFile(folder / "a.zip").read("records.jsonl").splitlines()
    leaves = {verifier.leaf_of(verifier.record_of(line)[1]).hex() for line in raw}
    seen = [node for node in of(nodes, "observable:GeoLocationEntry") if len(node["core:hasFacet"]) == 3]
    places = []
    for node in seen:
        assert facet(node, "observable:ContentDataFacet")["observable:hash"]["types:hashValue"]["@value"] in leaves
        assert by_name[node["investigation:wasDerivedFrom"]["@id"]]["@type"] == "observable:EventRecord"
        place = by_name[facet(node, "observable:GeoLocationEntryFacet")["observable:location"]["@id"]]["core:hasFacet"][0]
        places.append((place["location:latitude"]["@value"], place["location:longitude"]["@value"]))
    assert sorted(places) == [("-51.94", "0.0000001"), ("51.9", "4.0"), ("51.93", "0.0000001")]
    records = of(nodes, "observable:EventRecord")
    kinds = [facet(node, "observable:EventRecordFacet")["observable:eventType"] for node in records]
    assert len(kinds) == len(raw) - 1 and "tick" not in kinds and kinds.count("frame") == 2
    # the tracker's, apart from what was measured
    [result] = of(nodes, "analysis:AnalyticResult")
    tracks = [by_name[one["@id"]] for one in result["analysis:resultContent"]]
    assert {node["@type"] for node in tracks} == {"observable:File", "observable:GeoLocationTrack"}
    [tool] = of(nodes, "tool:AnalyticTool")
    assert by_name[result["analysis:originatingAnalysis"]["@id"]]["action:instrument"] == {"@id": tool["@id"]}
    steps = [one for node in of(nodes, "observable:GeoLocationTrackFacet") for one in node["observable:geoLocationEntry"]]
    rows = zipfile.ZipFile(folder / "a.zip").read("tracks.csv").decode().splitlines()[2:]
    assert len(steps) == len(rows) > 0
    assert any("position: not validated" in words for words in by_name[steps[0]["@id"]]["core:description"])


def test_custody_is_a_chain_of_acts_with_performer_and_instrument(nodes):
    by_name = {node["@id"]: node for node in nodes}
    chain = [node for node in of(nodes, "investigation:InvestigativeAction") if node["core:name"].startswith("custody: ")
             and node["core:name"] != "custody: key"]  # fmt: skip
    assert [node["core:name"].split()[1] for node in chain] == ["seize", "photo", "give", "receive", "end"]
    assert [by_name[node["action:performer"]["@id"]]["core:name"] for node in chain] == ["noor", "noor", "noor", "ben", "noor"]
    assert {by_name[node["action:instrument"]["@id"]]["core:name"] for node in chain} == {"Birddog"}
    assert [node.get("investigation:wasInformedBy", {}).get("@id") for node in chain] == [None, *(n["@id"] for n in chain[:-1])]
    assert [node["action:actionStatus"] for node in chain] == ["Success"] * 4 + ["Fail"]
    assert any("does not count: ben has it, not noor" in words for words in chain[-1]["core:description"])
    assert by_name[chain[0]["action:location"][0]["@id"]]["core:name"] == "quay 4"
    made = [{by_name[one["@id"]]["@type"] for one in node.get("action:result", [])} for node in chain]
    assert made[0] == {"investigation:ProvenanceRecord"} and made[-1] == set()
    assert made[1] == {"investigation:ProvenanceRecord", "observable:ObservableObject"}
    done = {node["core:name"] for node in of(nodes, "investigation:InvestigativeAction")}
    assert {"warrant: add", "warrant: approve", "warrant: revoke", "decision: acknowledge", "access: export", "custody: key",
            "operation", "device", "attachment", "placement", "collection"} <= done


def test_who_took_something_out_is_an_act_upon_the_case_and_a_file_is_no_person(nodes):
    [case] = of(nodes, "investigation:Investigation")
    acts = [node for node in of(nodes, "investigation:InvestigativeAction") if node["core:name"] == "access: export"]
    assert all(node["action:object"] == [{"@id": case["@id"]}] and "action:participant" not in node for node in acts)
    assert ["form: csv", "to: customs"] in [node["core:description"] for node in acts]
    assert {node["core:name"] for node in of(nodes, "identity:Identity")} >= {"ann", "bea", "noor", "ben"}
    assert "customs" not in {node["core:name"] for node in of(nodes, "identity:Identity")}


def test_the_same_bundle_gives_the_same_bytes_whatever_it_is_called(folder, nodes, tmp_path):
    (tmp_path / "other.zip").write_bytes((folder / "a.zip").read_bytes())
    code = "import sys; from opsroom.cli import entry; entry()"
    done = subprocess.run([sys.executable, "-c", code, "evidence", "case-uco", str(tmp_path / "other.zip")], check=True,
                          capture_output=True, env={"PYTHONHASHSEED": "7", "PATH": ""})  # fmt: skip
    assert done.stdout == (folder / "a.jsonld").read_bytes()


# --- what was withheld, and what does not hold -----------------------------------------------------


@pytest.mark.parametrize("fields,words", [
    ("place", (b"51.93", b"51.94", b"51.95", b"0.0000001", b"1e-7", b"1e-07")),
    ("who", (b"gate", b"sprinter", b"noor", b"0614141", b"customs")),
    ("lat_deg", (b"51.93", b"51.95")), ("words", (b"Nachtigall", b"gate 2")),
])  # fmt: skip
def test_what_is_withheld_is_in_no_byte_of_it(folder, shapes, tmp_path, fields, words):
    url = f"sqlite:///{folder}/j.db"
    assert cli.main(["evidence", "export", "A", "--journal", url, "--redact", fields, "--out", str(tmp_path / "r.zip")]) == 0
    nodes = export(tmp_path / "r.zip", tmp_path / "r.jsonld")
    raw = (tmp_path / "r.jsonld").read_bytes()
    # an export stands in the journal with its time, whose seconds may read as a latitude, and names things by UUIDs of its hash
    assert [word for word in words if re.search(rb"(?<![:0-9a-f])" + re.escape(word), raw)] == []
    assert any("withheld: " in said for said in descriptions(nodes, "observable:EventRecord"))
    if fields in ("place", "lat_deg"):
        assert of(nodes, "observable:GeoLocationEntry") == [] and of(nodes, "analysis:AnalyticResult") == []
    if fields == "who":
        statuses = {node["action:actionStatus"] for node in nodes if "action:actionStatus" in node}
        assert statuses <= {"Unknown"}
        assert faults(shapes, nodes) == []


def test_a_bundle_that_does_not_hold_is_refused_with_what_is_wrong(folder, tmp_path, capsys):
    whole = bytearray((folder / "a.zip").read_bytes())
    at = whole.index(b'{"seq":3')
    whole[at + 30] ^= 1
    (tmp_path / "x.zip").write_bytes(whole)
    capsys.readouterr()
    assert cli.main(["evidence", "case-uco", str(tmp_path / "x.zip"), "--out", str(tmp_path / "x.jsonld")]) == 1
    out, err = capsys.readouterr()
    assert out == "" and re.search("record 3 .line", err) and "does not hold, and nothing was made of it" in err
    assert [path.name for path in tmp_path.iterdir()] == ["x.zip"]
    (tmp_path / "x.zip").write_bytes(b"hello" * 99)
    assert cli.main(["evidence", "case-uco", str(tmp_path / "x.zip")]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "no zip" in err and err.count("\n") == 1


def test_another_key_than_the_logs_is_refused(folder, tmp_path, capsys):
    other = signer("somebody").verifier.text()
    assert cli.main(["evidence", "case-uco", str(folder / "a.zip"), "--key", other, "--out", str(tmp_path / "x")]) == 1
    assert "is not signed by somebody" in capsys.readouterr().err and not list(tmp_path.iterdir())
    assert cli.main(["evidence", "case-uco", str(folder / "a.zip"), "--key", "nonsense"]) == 2
    own = json.loads(zipfile.ZipFile(folder / "a.zip").read("bundle.json"))["log"]["keys"][-1]["verifier"]
    nodes = export(folder / "a.zip", tmp_path / "a", "--key", own)
    assert any("signed by birddog/" in said for said in descriptions(nodes, "observable:File"))


def test_a_bundle_that_agrees_with_itself_and_is_none_of_ours_is_one_line(folder, tmp_path, capsys):
    """Whoever has a key of his own can sign anything: what is in it may be of any kind."""
    with zipfile.ZipFile(folder / "a.zip") as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    for change in (lambda m: m.pop("software"), lambda m: m.update(case=7), lambda m: m.update(codecs=[]),
                   lambda m: m.update(withheld=None), lambda m: m.pop("case")):  # fmt: skip
        manifest = json.loads(files["bundle.json"])
        change(manifest)
        name = manifest["log"]["origin"]
        forged = _Forged(name)
        manifest["log"]["keys"] = [{"verifier": forged.key}]
        note = files["checkpoint"].decode().rpartition("\n\n")[0] + "\n"
        changed = files | {"checkpoint": forged.note(note)}
        manifest["files"]["checkpoint"] = hashlib.sha256(changed["checkpoint"]).hexdigest()
        data = json.dumps(manifest, indent=1).encode()
        text = f"birddog evidence bundle\n{base64.b64encode(hashlib.sha256(data).digest()).decode()}\n"
        changed |= {"bundle.json": data, "bundle.note": forged.note(text)}
        headers = verifier.Headers()
        made = b"".join(headers.local(n, verifier.zlib.crc32(d), len(d)) + d for n, d in changed.items()) + headers.end()
        (tmp_path / "x.zip").write_bytes(made)
        capsys.readouterr()
        code = cli.main(["evidence", "case-uco", str(tmp_path / "x.zip"), "--out", str(tmp_path / "x.jsonld")])
        err = capsys.readouterr().err
        assert code in (0, 2) and "Traceback" not in err and (code == 0 or err.count("\n") == 1), err


class _Forged:
    def __init__(self, name):
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self.signer = Signer(name, Ed25519PrivateKey.from_private_bytes(b"f" * 32))
        self.key = self.signer.verifier.text()

    def note(self, text):
        from birddog.note import signed

        return signed(text, [self.signer.line(text)]).encode()
