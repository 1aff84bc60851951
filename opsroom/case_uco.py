"""A verified bundle in the words of CASE/UCO: one JSON-LD file that other forensic tools read.

CASE 1.5.0 and UCO 1.5.0 (https://caseontology.org); tests hold what is written here to the ontology's own SHACL shapes.  It is
made of what the bundle shows and of nothing else, so what was withheld stays withheld::

    case                investigation:Investigation, its warrants investigation:Authorization
    bundle, its files   observable:File, each with its SHA-256; the bundle is an investigation:ProvenanceRecord's
    device, tag         observable:Device with a DeviceFacet
    record              observable:EventRecord: number, kind, time, what it shows as JSON; its leaf in the log as SHA-256
    fix, sighting       observable:GeoLocationEntry with a location:Location, derived from its record, and that record's hash
    a person's act      investigation:InvestigativeAction with performer and instrument
    custody             the same, one after the other by wasInformedBy; what counts results in a ProvenanceRecord of the thing
    tracker             an analysis:Analysis by the tool, and its AnalyticResult: observable:GeoLocationTrack, from tracks.csv

Names are ``urn:uuid:`` with version 5 UUIDs of the record's hash, or of the log's name and the thing's: the same bundle gives
the same bytes, and the same device is the same node in two bundles of one log.  Nothing is a blank node; decimals have no
exponent.  Nodes are written as they are made, a line each: what grows is a short list a device, track, warrant, person and
entry of custody.

Over 400 lines: the whole mapping on one page.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TextIO

import msgspec

from birddog.custody import Thing
from birddog.errors import BirddogError, UsageError
from birddog.model import Placement
from birddog.record import LISTS, stated
from birddog.units import iso_from_ns
from birddog.validated import UNITS, Validated
from opsroom import verifier
from opsroom.case_nodes import CONTEXT, Node, decimal_of, node_of, ref, refs, time_of, typed, uuid_of
from opsroom.case_read import LEFT_OUT, Bundle, Registers
from opsroom.disclosed import Record, shown_of

#: References that are written at once; and tags that are remembered, so as not to be written twice.
_CHUNK, _MOST_SEEN = 500, 10_000
#: Kinds of entries that are somebody's act.
_ACTS = frozenset({"operation", "device", "attachment", "placement", "warrant", "validation", "decision", "custody", "access",
                   "erasure", "rotation"})  # fmt: skip
#: What reading something else than we wrote may raise, where a bundle that nobody signed agrees with itself.
_NONE_OF_OURS = (KeyError, TypeError, ValueError, AttributeError, csv.Error, msgspec.MsgspecError, zipfile.BadZipFile)


class NotVerified(BirddogError):
    """The bundle does not hold, and so nothing was made of it; ``lines`` are the verifier's."""

    exit_code = 1

    def __init__(self, words: str, lines: list[str]):
        super().__init__(words)
        self.lines = lines


class _Graph:
    """Makes the nodes of a bundle, and hands each to ``put``."""

    def __init__(self, bundle: Bundle, size: int, digest: str, lines: list[str], put: Callable[[Node], None]):
        self.bundle, self.size, self.digest, self.lines, self.put = bundle, size, digest, lines, put
        self.registers = Registers(bundle.records())
        self.validated = Validated(self.registers.directory)
        self.tool, self.whole = self._of("tool", "birddog"), self._of("bundle", digest)
        self.records_file, self.tracks_file = (self._of("file", digest, name) for name in ("records.jsonl", "tracks.csv"))
        self.case = self._of("case", bundle.case)
        self.persons, self.places, self.tags = dict[str, str](), dict[str, str](), set[str]()
        self._worth: dict[str, str] = {}

    def _of(self, *parts: str) -> str:
        """The name of what is no record's: the same in each bundle of this log."""
        return uuid_of(self.bundle.origin, *parts)

    # --- what everything rests on --------------------------------------------------------------------

    def write(self) -> None:
        """All nodes."""
        self._files()
        self._tool()
        self._warrants()
        kept = [self.whole, *self._devices(), *self._shipments(), *self._custody()]
        for record in self.bundle.records():
            self._record(record)
        self._tracks()
        for name, node in self.persons.items():
            self.put(node_of(node, "identity:Identity", core_name=name))
        for name, node in self.places.items():
            self.put(node_of(node, "location:Location", core_name=name))
        self._investigation(kept)

    def _files(self) -> None:
        held = self.bundle.manifest["files"]
        self._file(self.whole, self.digest, "the evidence bundle", self.size, "application/zip",
                   [f"verified before this was made: {line}" for line in self.lines])
        for name in sorted(held):
            if name.startswith(("tile/", "witness/", "stamp/")):
                continue  # hashes of the log, which the bundle's own hash holds
            words = []
            if name == "records.jsonl":
                words = ["a record's hash is SHA-256 over a byte 0 and its statement: its leaf in the log (RFC 6962, 2.1)"]
            node = self._of("file", self.digest, name)
            self._file(node, held[name], name, self.bundle.archive.getinfo(name).file_size, "", words, name)
            self._relation(node, self.whole, "Contained_Within", "observable:ObservableRelationship")
        sent = self._of("provenance", self.digest)
        log = self.bundle.manifest["log"]
        withheld = ", ".join(self.bundle.manifest["withheld"])
        self.put(node_of(sent, "investigation:ProvenanceRecord", core_name=f"evidence bundle of {self.bundle.case}",
                       investigation_exhibitNumber=self.bundle.case, core_object=refs([self.whole]),
                       core_description=[f"log {log['origin']}, key {log['keys'][-1]['verifier']}",
                                         f"withheld: {withheld}" if withheld else "nothing was withheld"]))
        self.put(node_of(self._of("collection", self.digest), "investigation:InvestigativeAction", core_name="collection",
                       core_description="each message is written to an append-only, signed log when it is received",
                       action_instrument=ref(self.tool), action_result=refs([sent]),
                       action_object=refs(self._device(name) for name in self._known()),
                       action_startTime=time_of(self.registers.first_ns), action_endTime=time_of(self.registers.last_ns)))

    def _file(self, name: str, digest: str, title: str, size: int, mime: str, words: list[str], file: str = "") -> None:
        facets = [self._content(name, digest, size, mime)]
        facets.insert(0, node_of(uuid_of(name, "file"), "observable:FileFacet", observable_fileName=file or None,
                               observable_sizeInBytes=size))
        self.put(node_of(name, "observable:File", core_name=title, core_description=words, core_hasFacet=facets))

    def _content(self, of: str, digest: str, size: int | None = None, mime: str = "") -> Node:
        """A facet with a SHA-256."""
        value = node_of(uuid_of(of, "hash"), "types:Hash", types_hashMethod="SHA256",
                        types_hashValue=typed("hexBinary", digest))
        return node_of(uuid_of(of, "content"), "observable:ContentDataFacet", observable_hash=value, observable_mimeType=mime,
                     observable_sizeInBytes=size)

    def _relation(self, source: str, target: str, kind: str, of: str = "core:Relationship", **times: Any) -> None:
        self.put(node_of(uuid_of(source, kind, target), of, core_source=ref(source), core_target=ref(target),
                       core_kindOfRelationship=kind, core_isDirectional=True, **times))

    def _tool(self) -> None:
        software = self.bundle.manifest["software"]
        codecs = self.bundle.manifest["codecs"]
        words = [f"{name} {software[name]}" for name in sorted(software) if name != "birddog"]
        words += [f"decoder {name}, version {', '.join(map(str, codecs[name]))}" for name in sorted(codecs)]
        self.put(node_of(self.tool, "tool:AnalyticTool", core_name="Birddog", tool_version=str(software["birddog"]),
                       tool_toolType="tracking and evidence log", core_description=words))

    # --- who is who ----------------------------------------------------------------------------------

    def _known(self) -> list[str]:
        directory = self.registers.directory
        return sorted({*directory.devices, *(one.device for one in self.registers.attached)})

    def _device(self, name: str) -> str:
        return self._of("device", name)

    def _devices(self) -> list[str]:
        found = []
        for name in self._known():
            said = self.registers.directory.devices.get(name)
            worth = self.validated.of(name)
            words = [f"tracks.csv, {quantity}: {worth.words[quantity]} ({worth.why[quantity]})" for quantity in UNITS]
            words += [f"basis: {said.basis}"] if said else []
            words += [f"owner: {said.owner}"] if said and said.owner else []
            words += ["retired"] if said and said.retired else []
            self.put(node_of(self._device(name), "observable:Device", core_name=said.name if said and said.name else name,
                           core_description=words, core_hasFacet=[self._device_facet(name, "", said.model if said else "")]))
            self.tags.add(name)
            found.append(self._device(name))
            for place in self.registers.directory.placements.get(name, ()):
                self._placed(place)
        return found

    def _device_facet(self, name: str, kind: str, model: str = "") -> Node:
        return node_of(uuid_of(self._device(name), "facet"), "observable:DeviceFacet", observable_deviceType=kind,
                     observable_model=model, observable_serialNumber=name)

    def _placed(self, place: Placement) -> None:
        node = self._of("placement", place.device, str(place.from_ns))
        self._location(node, place.lat_deg, place.lon_deg, name=place.name)
        self._relation(self._device(place.device), node, "Located_At", core_startTime=time_of(place.from_ns or None),
                       core_endTime=time_of(place.to_ns))

    def _location(self, node: str, lat_deg: float, lon_deg: float, *, alt_m: Any = None, name: str = "") -> None:
        facet = node_of(uuid_of(node, "facet"), "location:LatLongCoordinatesFacet", location_latitude=decimal_of(lat_deg),
                        location_longitude=decimal_of(lon_deg), location_altitude=decimal_of(alt_m))
        self.put(node_of(node, "location:Location", core_name=name, core_hasFacet=[facet]))

    def _shipments(self) -> list[str]:
        found: dict[str, str] = {}
        for one in self.registers.attached:
            node = found[one.shipment] = self._of("shipment", one.operation, one.shipment)
            self._relation(self._device(one.device), node, "Contained_Within", core_startTime=time_of(one.from_ns or None),
                           core_endTime=time_of(one.to_ns))
        for name, node in found.items():
            self.put(node_of(node, "core:Item", core_name=name))
        return list(found.values())

    def _tag(self, name: str, kind: str) -> str:
        """A device or tag that a record names and no register does; written when it is met."""
        if name not in self.tags:
            if len(self.tags) > _MOST_SEEN:
                self.tags = set(self._known())  # one that comes again is written again, in the same words
            self.tags.add(name)
            self.put(node_of(self._device(name), "observable:Device", core_name=name,
                           core_hasFacet=[self._device_facet(name, kind)]))
        return self._device(name)

    def _person(self, name: Any) -> str | None:
        if not isinstance(name, str) or not name:
            return None
        return self.persons.setdefault(name, self._of("person", name))

    def _place(self, name: Any) -> str | None:
        if not isinstance(name, str) or not name:
            return None
        return self.places.setdefault(name, self._of("place", name))

    # --- authority -----------------------------------------------------------------------------------

    def _warrant(self, name: str) -> str:
        return self._of("warrant", name)

    def _warrants(self) -> None:
        for name, held in sorted(self.registers.directory.warrants.held.items()):
            warrant, said = held.warrant, held.warrant.said
            words = [f"{key.replace('_', ' ')}: {said[key]}" for key in ("authority", "applicant", "offence", "purpose")
                     if isinstance(said.get(key), str)]  # fmt: skip
            words += [f"device: {warrant.device}" if warrant.device else f"class: {said.get('class')}",
                      f"entered by {held.by}", f"approved by {held.approved_by}" if held.approved_by else "approved by nobody"]
            words += [f"revoked at {iso_from_ns(warrant.revoked_ns)}"] if warrant.revoked_ns is not None else []
            words += ["some of its acts are withheld: it may stand otherwise"] if name in self.registers.hidden else []
            orders = [order for order, one in sorted(held.orders.items()) if one.act.action == "extend" and one.approved_by]
            words += [f"extended by {order}" for order in orders]
            self.put(node_of(self._warrant(name), "investigation:Authorization", core_name=name, core_description=words,
                           investigation_authorizationIdentifier=[name, *orders],
                           investigation_authorizationType=warrant.kind or held.pack.name or "warrant",
                           core_startTime=time_of(warrant.from_ns), core_endTime=time_of(warrant.ends_ns)))
        for name in sorted(self.registers.warrants - set(self.registers.directory.warrants.held)):
            self.put(node_of(self._warrant(name), "investigation:Authorization", core_name=name,
                             core_description="what it says is not in the bundle, or withheld",
                             investigation_authorizationIdentifier=name, investigation_authorizationType="warrant"))

    def _investigation(self, kept: list[str]) -> None:
        said = self.registers.directory.operations.get(self.bundle.case)
        warrants = [self._warrant(name) for name in sorted({*self.registers.directory.warrants.held, *self.registers.warrants})]
        words = [f"{self.registers.left_out} entries that say only that time went on are not among the records here"]
        status = None if said is None else "closed" if said.closed else "open"
        self.put(node_of(self.case, "investigation:Investigation", core_name=self.bundle.case, core_description=words,
                       investigation_investigationForm="case", investigation_focus=said.name if said else None,
                       investigation_investigationStatus=status,
                       investigation_relevantAuthorization=refs(warrants), core_object=refs(kept)))

    # --- what people did -----------------------------------------------------------------------------

    def _act(self, name: str, title: str, record: str, words: list[str], at_ns: int | None, by: str | None,
             **more: Any) -> None:
        self.put(node_of(name, "investigation:InvestigativeAction", core_name=title, core_description=words,
                       action_performer=ref(by), action_instrument=ref(self.tool), action_startTime=time_of(at_ns),
                       investigation_wasDerivedFrom=ref(record), **more))

    def _custody(self) -> list[str]:
        """The chain of each thing; the things."""
        items = []
        for name, thing in sorted(self.registers.things.items()):
            node, before = self._of("thing", name), None
            self.put(node_of(node, "core:Item", core_name=name or "a thing without a name"))
            items.append(node)
            for n in range(len(thing.steps)):
                before = self._step(node, thing, n, before)
        return items

    def _step(self, node: str, thing: Thing, n: int, before: str | None) -> str:
        """One entry of a thing's custody, after another."""
        step = thing.steps[n]
        body, (record, received_ns) = step.body, self.registers.custody_records[step.seq]
        words, results, status = [body.note] if body.note else [], list[str](), "Success"
        if self.registers.custody_hidden:
            words, status = [*words, "whether it counts is not known: entries of custody are withheld"], "Unknown"
        elif step.fault:
            words, status = [*words, f"does not count: {step.fault}"], "Fail"
        else:
            results.append(uuid_of(record, "provenance"))
            self.put(node_of(results[0], "investigation:ProvenanceRecord", core_name=f"{thing.item}: {body.action}",
                             investigation_exhibitNumber=thing.item, core_object=refs([node])))
            status = "Pending" if step.seq == thing.waits else status
        if re.fullmatch("[0-9a-fA-F]{64}", body.sha256):
            held = uuid_of(record, "file")
            self.put(node_of(held, "observable:ObservableObject", core_name=f"{thing.item}: the file of its {body.action}",
                             core_hasFacet=[self._content(held, body.sha256)]))
            results.append(held)
        self._act(uuid_of(record, "act"), f"custody: {body.action}", record, words,
                  received_ns if body.at_ns is None else body.at_ns, self._person(body.by), action_object=refs([node]),
                  action_result=refs(results), action_location=refs(filter(None, [self._place(body.place)])),
                  action_participant=refs(filter(None, [self._person(body.to)])),
                  investigation_wasInformedBy=ref(before), action_actionStatus=status)
        return uuid_of(record, "act")

    def _said(self, kind: str, node: str, shown: dict[str, Any], received_ns: int) -> None:
        """A person's entry, as an act; those of custody that are shown whole stand in their chain."""
        action, warrant, device = shown.get("action", ""), shown.get("warrant"), shown.get("device")
        objects = [self._warrant(warrant)] if kind == "warrant" and isinstance(warrant, str) else []
        objects += [self._tag(device, "")] if isinstance(device, str) and device else []
        objects += [self.case] if kind == "access" else []
        words = [f"{name}: {shown[name]}" for name in ("form", "to", "reason") if kind == "access" and shown.get(name)]
        at_ns = shown.get("at_ns")
        to = shown.get("to") if kind == "custody" else None
        self._act(uuid_of(node, "act"), f"{kind}: {action}" if action else kind, node, words,
                  at_ns if type(at_ns) is int else received_ns, self._person(shown.get("by") or shown.get("actor")),
                  action_object=refs(objects), action_participant=refs(filter(None, [self._person(to)])))

    # --- what was received ---------------------------------------------------------------------------

    def _record(self, record: Record) -> None:
        said = stated(record.statement)
        if said.kind in LEFT_OUT:
            return
        digest = verifier.leaf_of(record.statement).hex()
        node, shown = uuid_of(digest), shown_of(record)
        lacks = ", ".join(field[0].lstrip("@") for field in record.fields if len(field) == 2)
        words = ["erased" if not record.fields else f"withheld: {lacks}"] if lacks or not record.fields else []
        device = shown.get("device")
        facet = node_of(uuid_of(digest, "record"), "observable:EventRecordFacet", observable_eventRecordID=str(record.seq),
                      observable_eventType=said.kind, observable_observableCreatedTime=time_of(said.received_ns),
                      observable_eventRecordServiceName=shown.get("source"),
                      observable_eventRecordText=msgspec.json.encode(shown).decode() if shown else None,
                      observable_eventRecordDevice=ref(self._tag(device, "")) if isinstance(device, str) and device else None)
        self.put(node_of(node, "observable:EventRecord", core_name=f"record {record.seq}", core_description=words,
                       core_hasFacet=[facet, self._content(node, digest)], investigation_wasDerivedFrom=ref(self.records_file)))
        if said.kind in _ACTS and record.seq not in self.registers.chained:
            self._said(said.kind, node, shown, said.received_ns)
        for (listed, n), row in _rows(shown).items():
            self._observed(node, digest, listed, n, row)

    def _observed(self, record: str, digest: str, listed: str, n: str, row: dict[str, Any]) -> None:
        """A row of a message or a look: a place where there is one, a tag that was read."""
        node, name = uuid_of(digest, listed, n), row.get("device")
        device = self._tag(name, "") if isinstance(name, str) and name else None
        when = time_of(row.get("time_ns"))
        if isinstance(row.get("epc"), str) and row["epc"] and device is not None:
            self.put(node_of(uuid_of(node, "read"), "observable:ObservableRelationship",
                           core_source=ref(self._tag(row["epc"], "tag")), core_target=ref(device), core_startTime=when,
                           core_kindOfRelationship="Read_By", core_isDirectional=True))
        lat_deg, lon_deg = row.get("lat_deg"), row.get("lon_deg")
        if decimal_of(lat_deg) is None or decimal_of(lon_deg) is None:
            return
        assert lat_deg is not None and lon_deg is not None
        if row.get("kind", listed) in ("sighting", "sightings"):
            words = ["a contact without an identity, as a sensor saw it: not validated"]
        else:
            worth = self._worth.setdefault(name or "", self.registers.reported(name or ""))
            words = [f"as the device reported it: {worth}"]
        words += [f"accuracy {row['sigma_m']} m, one sigma an axis"] if "sigma_m" in row else []
        words += [f"time by {row['time_source']}"] if "time_source" in row else []
        words += [] if when else ["no time is shown: its record says when it was received"]
        place = uuid_of(node, "location")
        self._location(place, lat_deg, lon_deg, alt_m=row.get("alt_m"))
        entry = node_of(uuid_of(node, "entry"), "observable:GeoLocationEntryFacet", observable_location=ref(place),
                      observable_observableCreatedTime=when)
        seen = node_of(uuid_of(node, "record"), "observable:EventRecordFacet", observable_eventRecordDevice=ref(device),
                     observable_eventType=str(row.get("kind", listed)))
        self.put(node_of(node, "observable:GeoLocationEntry", core_description=words,
                       core_hasFacet=[entry, seen, self._content(node, digest)], investigation_wasDerivedFrom=ref(record)))

    # --- what the tracker made of it -----------------------------------------------------------------

    def _tracks(self) -> None:
        tracks: dict[str, list[Any]] = {}  # name -> [first, last, steps that are not written yet]
        of = self.bundle.manifest["files"].get("tracks.csv", "")
        for n, row in enumerate(self.bundle.rows()):
            node, when = uuid_of(self.bundle.origin, of, str(n)), row["time"]
            track = tracks.setdefault(row["track_id"], [when, when, []])
            track[0], track[1] = min(track[0], when), max(track[1], when)
            track[2].append(node)
            if len(track[2]) >= _CHUNK:
                self._steps(row["track_id"], track[2])
            place = uuid_of(node, "location")
            self._location(place, float(row["lat_deg"]), float(row["lon_deg"]))
            words = [f"{quantity}: {row[f'{quantity}_validated']}" for quantity in UNITS]
            words.append(f"made by {row['origin']}; speed east, north {row['ve_mps']}, {row['vn_mps']} m/s; covariance east, "
                         f"east-north, north {row['p_ee']}, {row['p_en']}, {row['p_nn']} m2")
            facet = node_of(uuid_of(node, "entry"), "observable:GeoLocationEntryFacet", observable_location=ref(place),
                          observable_observableCreatedTime=typed("dateTime", when))
            self.put(node_of(node, "observable:GeoLocationEntry", core_description=words, core_hasFacet=[facet],
                           investigation_wasDerivedFrom=ref(self.tracks_file)))
        for name, (first, last, steps) in tracks.items():
            self._steps(name, steps)
            facet = node_of(self._track(name, "facet"), "observable:GeoLocationTrackFacet",
                          observable_startTime=typed("dateTime", first), observable_endTime=typed("dateTime", last))
            self.put(node_of(self._track(name), "observable:GeoLocationTrack", core_name=name, core_hasFacet=[facet]))
        if not of:
            return
        analysis, result = self._track("", "analysis"), self._track("", "result")
        made = f"Birddog {self.bundle.manifest['software']['tracker']}"
        self.put(node_of(analysis, "analysis:Analysis", core_name="tracking", action_instrument=ref(self.tool),
                       action_object=refs([self.records_file]), action_result=refs([result])))
        self.put(node_of(result, "analysis:AnalyticResult", core_name="tracks", analysis_originatingAnalysis=ref(analysis),
                       core_statement=f"where the tracker of {made} believes that the devices were, from the records alone: an "
                                      "estimate, which birddog evidence verify --recompute makes again bit for bit",
                       analysis_resultContent=refs([self.tracks_file, *(self._track(name) for name in tracks)])))

    def _track(self, *name: str) -> str:
        return uuid_of(self.bundle.origin, self.bundle.manifest["files"].get("tracks.csv", ""), "track", *name)

    def _steps(self, name: str, steps: list[str]) -> None:
        """Some of a track's steps: its facet's node is written several times, and is one."""
        self.put(node_of(self._track(name, "facet"), "observable:GeoLocationTrackFacet",
                         observable_geoLocationEntry=refs(steps)))
        steps.clear()


def _rows(shown: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    out: dict[tuple[str, str], dict[str, Any]] = {}
    for name, value in shown.items():
        listed, dot, rest = name.partition(".")
        if dot and listed in LISTS:
            n, _, inner = rest.partition(".")
            out.setdefault((listed, n), {})[inner] = value
    return out


# --- the file -------------------------------------------------------------------------------------------


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write(path: Path, out: TextIO, key: str | None = None, witnesses: Sequence[str] = ()) -> int:
    """Write the export of a bundle; how many nodes.

    Args:
        key, witnesses: as ``verifier.verify`` takes them: whose signatures it must have.

    Raises:
        NotVerified: it does not hold; ``lines`` says what.
        UsageError: it is no bundle, or holds what no bundle of ours does.
    """
    lines: list[str] = []
    try:
        digest = _digest(path)
        faults = verifier.verify(str(path), key, lines.append, witnesses)
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", file=str(path)) from error
    except verifier.Refused as error:
        raise UsageError(str(error), file=str(path)) from error
    if faults:
        raise NotVerified(f"{path}: does not hold, and nothing was made of it", lines)
    count = 0

    def put(node: Node) -> None:
        nonlocal count
        out.write((",\n" if count else "") + msgspec.json.encode(node).decode())
        count += 1

    out.write(f'{{"@context":{json.dumps(CONTEXT)},"@graph":[\n')
    try:
        with zipfile.ZipFile(path) as archive:
            _Graph(Bundle(archive), path.stat().st_size, digest, lines, put).write()
    except _NONE_OF_OURS as error:
        raise UsageError(f"agrees with itself, and holds what no bundle of ours does: {type(error).__name__}: {error}",
                         file=str(path)) from error
    out.write("\n]}\n")
    if _digest(path) != digest:
        raise NotVerified(f"{path}: was changed while it was read", [])
    return count
