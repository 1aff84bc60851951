"""Whether a document is valid EPCIS 2.0 in JSON: what GS1's standard asks of its events, and what a schema alone lets through.

    >>> list(faults({"type": "ObjectEvent"}))[0]
    'eventTime: is missing'

Checked are documents, query documents and bare events (ISO/IEC 19987:2024 = EPCIS 2.0, clause 7 on the data model and
clause 10 on JSON/JSON-LD; the words of bizStep, disposition and kin are those of CBV 2.0, ISO/IEC 19988:2024, clause 7).
The field names and which of them must stand are those of GS1's EPCIS-JSON-Schema.json (github.com/gs1/EPCIS).  A schema
validator passes ``"eventTime": "yesterday"``, an unknown word of the vocabulary and an event type that is none, because
"format" is only an annotation there: here a time is a time (RFC 3339), an offset one that a clock can have, a URI has a
scheme (RFC 3986), and a word that is none of the standard's must be a full URI (gs1/EPCIS #288).

Nothing is fetched: a prefix that ``@context`` declares is known by its declaration, another's context by name only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

#: Checks one value: (value, where it stands) -> what is wrong with it.
Check = Callable[[Any, str], Iterator[str]]

#: So many faults of one document are told; a broken export has the same one a million times.
MOST = 20

#: CBV 2.0, 7.1: what was being done.
BIZ_STEPS = frozenset("""
    accepting arriving assembling collecting commissioning consigning creating_class_instance cycle_counting
    decommissioning departing destroying disassembling dispensing encoding entering_exiting holding inspecting installing
    killing loading other packing picking receiving removing repackaging repairing replacing reserving retail_selling
    shipping staging_outbound stock_taking stocking storing transporting unloading unpacking void_shipping
    sensor_reporting sampling
""".split())

#: 7.2: the state of the thing afterwards.
DISPOSITIONS = frozenset("""
    active container_closed damaged destroyed dispensed disposed encoded expired in_progress in_transit inactive
    no_pedigree_match non_sellable_other partially_dispensed recalled reserved retail_sold returned sellable_accessible
    sellable_not_accessible stolen unknown available completeness_verified completeness_inferred conformant container_open
    mismatch_instance mismatch_class mismatch_quantity needs_replacement non_conformant unavailable
""".split())

#: 7.3: the papers that it belongs to.
TRANSACTION_TYPES = frozenset("""
    bol cert desadv inv pedigree po poc prodorder recadv rma testprd testres upevt
""".split())

#: 7.4: from whom and to whom.
PARTIES = frozenset("""
    owning_party possessing_party location
""".split())

#: 7.5: why an event is taken back.
ERROR_REASONS = frozenset("""
    did_not_occur incorrect_data
""".split())

#: 7.6: what a sensor measures, what it warns of, and of what part it speaks.
MEASUREMENTS = frozenset("""
    AbsoluteHumidity AbsorbedDose AbsorbedDoseRate Acceleration Radioactivity Altitude AmountOfSubstance
    AmountOfSubstancePerUnitVolume Angle AngularAcceleration AngularMomentum AngularVelocity Area Capacitance Conductance
    Conductivity Count Density Dimensionless DoseEquivalent DoseEquivalentRate DynamicViscosity ElectricCharge
    ElectricCurrent ElectricCurrentDensity ElectricFieldStrength Energy Exposure Force Frequency Illuminance Inductance
    Irradiance KinematicViscosity Length LinearMomentum Luminance LuminousFlux LuminousIntensity MagneticFlux
    MagneticFluxDensity MagneticVectorPotential Mass MassConcentration MassFlowRate MassPerAreaTime MemoryCapacity
    MolalityOfSolute MolarEnergy MolarMass MolarVolume Power Pressure RadiantFlux RadiantIntensity RelativeHumidity
    Resistance Resistivity SolidAngle SpecificVolume Speed SurfaceDensity SurfaceTension Temperature Time Torque Voltage
    Volume VolumeFlowRate VolumeFraction VolumetricFlux Wavenumber
""".split())

SENSOR_ALERTS = frozenset("""
    ALARM_CONDITION ERROR_CONDITION
""".split())

COMPONENTS = frozenset("""
    x y z axial_distance azimuth height spherical_radius polar_angle elevation_angle easting northing latitude longitude
    altitude
""".split())


_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt](\d\d):(\d\d):(\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)\Z", re.ASCII)
_OFFSET = re.compile(r"[+-]((0\d|1[0-3]):[0-5]\d|14:00)\Z", re.ASCII)
_VERSION = re.compile(r"\d+(\.\d+)*\Z", re.ASCII)
_UNIT = re.compile(r"[A-Z0-9]{2,3}\Z", re.ASCII)
_HEX = re.compile(r"[A-Fa-f0-9]+\Z", re.ASCII)
# RFC 3986: a scheme, a colon, and nothing that a URI cannot hold
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+\Z", re.ASCII)
# as IRIs in JSON-LD (RFC 3987): also letters beyond ASCII
_IRI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s\x00-\x20\x7f-\x9f<>\"{}|\\^`]+\Z")
_STANDARD_WORD = re.compile(r"urn:epcglobal:cbv|https?://ns\.gs1\.org/cbv/")
_WEB_VOCABULARY = re.compile(r"https?://(www\.)?gs1\.org/voc/")


def faults(document: Any) -> Iterator[str]:
    """What is wrong with a document, each as ``WHERE: WHAT``; nothing where it is valid.

    Args:
        document: the parsed JSON.
    """
    if not isinstance(document, dict):
        yield f"the document: wants an object, not {_shown(document)}"
        return
    kind = document.get("type")
    if kind == "EPCISDocument":
        yield from _DOCUMENT(document, "")
    elif kind == "EPCISQueryDocument":
        yield from _QUERY_DOCUMENT(document, "")
    elif kind is None:
        yield "type: is missing"
    else:
        if "@context" not in document:
            yield "@context: is missing"
        yield from _event(document, "")


def first(document: Any) -> list[str]:
    """The first ``MOST`` faults."""
    found = []
    for fault in faults(document):
        found.append(fault)
        if len(found) == MOST:
            break
    return found


# --- single values ---------------------------------------------------------------------------------------


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else value[:57] + "...")
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    names: dict[Any, str] = {dict: "an object", list: "a list"}
    return names.get(type(value)) or str(value)[:40]


def _text(value: Any, where: str) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"{where}: wants a text, not {_shown(value)}"


def _like(pattern: re.Pattern[str], words: str) -> Check:
    def check(value: Any, where: str) -> Iterator[str]:
        if not isinstance(value, str) or not pattern.match(value):
            yield f"{where}: wants {words}, not {_shown(value)}"

    return check


def _uri(value: Any, where: str) -> Iterator[str]:
    if not isinstance(value, str) or not (_URI.match(value) or _IRI.match(value)):
        yield f"{where}: wants a URI with its scheme, not {_shown(value)}"


def _time(value: Any, where: str) -> Iterator[str]:
    found = _TIME.match(value) if isinstance(value, str) else None
    if found is None:
        yield f"{where}: wants a time as 2026-03-01T10:00:00.000Z, with its offset, not {_shown(value)}"
        return
    day, hour, minute, second, _, zone = found.groups()
    try:
        datetime.fromisoformat(f"{day}T{hour}:{minute}:{'59' if second == '60' else second}")
        if zone not in "Zz" and (int(zone[1:3]) > 23 or int(zone[4:]) > 59):
            raise ValueError("the offset is none")
    except ValueError as error:
        yield f"{where}: {_shown(value)} is no time: {error}"


def _number(value: Any, where: str) -> Iterator[str]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        yield f"{where}: wants a number, not {_shown(value)}"


def _flag(value: Any, where: str) -> Iterator[str]:
    if not isinstance(value, bool):
        yield f"{where}: wants true or false, not {_shown(value)}"


def _word(words: frozenset[str], standard: re.Pattern[str] = _STANDARD_WORD) -> Check:
    """One of the standard's words, or a full URI that is not the standard's own written out."""

    def check(value: Any, where: str) -> Iterator[str]:
        if isinstance(value, str) and (value in words or (_IRI.match(value) and not standard.match(value))):
            return
        yield f"{where}: {_shown(value)} is no word of the standard, and no URI of somebody else's"

    return check


def _one_of(*words: str) -> Check:
    def check(value: Any, where: str) -> Iterator[str]:
        if value not in words:
            yield f"{where}: wants {' or '.join(words)}, not {_shown(value)}"

    return check


# --- lists and objects -----------------------------------------------------------------------------------


def _list(item: Check, *, least: int = 0, unique: bool = False) -> Check:
    def check(value: Any, where: str) -> Iterator[str]:
        if not isinstance(value, list):
            yield f"{where}: wants a list, not {_shown(value)}"
            return
        if len(value) < least:
            yield f"{where}: wants at least {least}"
        if unique and len({repr(v) for v in value}) != len(value):
            yield f"{where}: holds one value twice"
        for k, v in enumerate(value):
            yield from item(v, f"{where}[{k}]")

    return check


def _object(
    fields: dict[str, Check], *, required: tuple[str, ...] = (), open_to_uris: bool = True, open_to_all: bool = False
) -> Check:
    """An object with these fields; others only where their name is a URI or a prefixed name (an extension)."""

    def check(value: Any, where: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield f"{where or 'the document'}: wants an object, not {_shown(value)}"
            return
        at = f"{where}." if where else ""
        for name in required:
            if name not in value:
                yield f"{at}{name}: is missing"
        for name, v in value.items():
            known = fields.get(name)
            if known is not None:
                yield from known(v, at + name)
            elif not open_to_all and not (open_to_uris and _IRI.match(name)):
                yield f"{at}{name}: is no field of the standard, and no extension (a prefix, a colon, a name)"

    return check


def _anything(value: Any, where: str) -> Iterator[str]:
    return iter(())


def _context(value: Any, where: str) -> Iterator[str]:
    for k, v in enumerate(value if isinstance(value, list) else [value]):
        if not isinstance(v, dict):
            yield from _uri(v, f"{where}[{k}]" if isinstance(value, list) else where)


def _persistent(value: Any, where: str) -> Iterator[str]:
    some = _list(_word(DISPOSITIONS), least=1, unique=True)
    yield from _object({"set": some, "unset": some}, open_to_uris=False)(value, where)
    if isinstance(value, dict) and not {"set", "unset"} & value.keys():
        yield f"{where}: wants set or unset"


_PLACE = _object({"id": _uri}, required=("id",), open_to_all=True)
_QUANTITY = _object({"epcClass": _uri, "quantity": _number, "uom": _like(_UNIT, "a unit of two or three capitals")},
                    required=("epcClass",), open_to_uris=False)
_TRANSACTION = _object({"type": _word(TRANSACTION_TYPES), "bizTransaction": _uri},
                       required=("bizTransaction",), open_to_uris=False)


def _party(name: str) -> Check:
    return _object({"type": _word(PARTIES), name: _uri}, required=("type", name), open_to_uris=False)


_SENSOR_METADATA = _object({
    "time": _time, "startTime": _time, "endTime": _time, "deviceID": _uri, "deviceMetadata": _uri, "rawData": _uri,
    "dataProcessingMethod": _uri, "bizRules": _uri,
})  # fmt: skip
_SENSOR_REPORT = _object({
    "type": _word(MEASUREMENTS, _WEB_VOCABULARY), "exception": _word(SENSOR_ALERTS, _WEB_VOCABULARY),
    "component": _word(COMPONENTS), "time": _time, "stringValue": _text, "booleanValue": _flag,
    "hexBinaryValue": _like(_HEX, "hexadecimal digits"), "uom": _text,
    **dict.fromkeys(("deviceID", "deviceMetadata", "rawData", "dataProcessingMethod", "bizRules", "microorganism",
                     "chemicalSubstance", "coordinateReferenceSystem", "uriValue"), _uri),
    **dict.fromkeys(("value", "minValue", "maxValue", "meanValue", "sDev", "percRank", "percValue"), _number),
}, required=("type",))  # fmt: skip
_SENSOR_ELEMENT = _object({"sensorMetadata": _SENSOR_METADATA, "sensorReport": _list(_SENSOR_REPORT, least=1)},
                          required=("sensorReport",))

_COMMON: dict[str, Check] = {
    "@context": _context, "type": _text, "eventTime": _time, "recordTime": _time,
    "eventTimeZoneOffset": _like(_OFFSET, "an offset as +02:00"), "eventID": _uri,
    "certificationInfo": lambda value, where: (_list(_uri) if isinstance(value, list) else _uri)(value, where),
    "errorDeclaration": _object({"declarationTime": _time, "reason": _word(ERROR_REASONS), "correctiveEventIDs": _list(_uri)},
                                required=("declarationTime",)),
}  # fmt: skip
_WHERE_AND_WHY: dict[str, Check] = {
    "bizStep": _word(BIZ_STEPS), "disposition": _word(DISPOSITIONS), "readPoint": _PLACE, "bizLocation": _PLACE,
    "bizTransactionList": _list(_TRANSACTION), "sourceList": _list(_party("source")),
    "destinationList": _list(_party("destination")),
    "sensorElementList": _list(_SENSOR_ELEMENT),
}  # fmt: skip
_ACTION = {"action": _one_of("OBSERVE", "ADD", "DELETE")}
_EPCS, _QUANTITIES = _list(_uri, unique=True), _list(_QUANTITY)
_ILMD = _object({})
_CHILDREN: dict[str, Check] = {"parentID": _uri, "childEPCs": _EPCS, "childQuantityList": _QUANTITIES}

#: By type: (the fields of its own, which of them must stand).
EVENTS: dict[str, tuple[dict[str, Check], tuple[str, ...]]] = {
    "ObjectEvent": ({**_ACTION, "epcList": _EPCS, "quantityList": _QUANTITIES, "persistentDisposition": _persistent,
                     "ilmd": _ILMD}, ("action",)),
    "AggregationEvent": ({**_ACTION, **_CHILDREN}, ("action",)),
    "AssociationEvent": ({**_ACTION, **_CHILDREN}, ("action", "parentID")),
    "TransactionEvent": ({**_ACTION, "parentID": _uri, "epcList": _EPCS, "quantityList": _QUANTITIES,
                          "bizTransactionList": _list(_TRANSACTION, least=1)}, ("action", "bizTransactionList")),
    "TransformationEvent": ({"inputEPCList": _EPCS, "inputQuantityList": _QUANTITIES, "outputEPCList": _EPCS,
                             "outputQuantityList": _QUANTITIES, "transformationID": _uri, "persistentDisposition": _persistent,
                             "ilmd": _ILMD}, ()),
}  # fmt: skip
_CHECKS = {
    name: _object({**_COMMON, **_WHERE_AND_WHY, **own}, required=("eventTime", "eventTimeZoneOffset", *required))
    for name, (own, required) in EVENTS.items()
}
_FOREIGN = _object(_COMMON, required=("eventTime", "eventTimeZoneOffset"), open_to_all=True)


def _some(event: dict[str, Any], *names: str) -> bool:
    return any(isinstance(event.get(name), list) and event[name] for name in names)


def _event(value: Any, where: str) -> Iterator[str]:
    at = f"{where}." if where else ""
    if not isinstance(value, dict):
        yield f"{where}: wants an event (an object), not {_shown(value)}"
        return
    kind = value.get("type")
    if kind is None:
        yield f"{at}type: is missing"
        return
    if not isinstance(kind, str) or kind not in _CHECKS:
        if not isinstance(kind, str) or not _IRI.match(kind):
            yield f"{at}type: {_shown(kind)} is no event of the standard ({', '.join(_CHECKS)}), and no URI of somebody else's"
        yield from _FOREIGN(value, where)
        return
    yield from _CHECKS[kind](value, where)
    action = value.get("action")
    if kind == "ObjectEvent":
        if "epcList" not in value and not _some(value, "quantityList") and not (
                _some(value, "sensorElementList") and "readPoint" in value):
            yield f"{where or kind}: says of nothing: wants epcList, quantityList, or sensorElementList with readPoint"
        if "ilmd" in value and action != "ADD":
            yield f"{at}ilmd: stands only with the action ADD"
    elif kind in ("AggregationEvent", "AssociationEvent"):
        if action != "DELETE" and not _some(value, "childEPCs", "childQuantityList"):
            yield f"{where or kind}: wants childEPCs or childQuantityList (only DELETE may mean all of them)"
    elif kind == "TransactionEvent":
        if action != "DELETE" and "epcList" not in value and not _some(value, "quantityList"):
            yield f"{where or kind}: wants epcList or quantityList (only DELETE may mean all of them)"
    elif kind == "TransformationEvent":
        inward, outward = _some(value, "inputEPCList", "inputQuantityList"), _some(value, "outputEPCList", "outputQuantityList")
        if not (inward and outward) and not ((inward or outward) and "transformationID" in value):
            yield f"{where or kind}: wants what went in and what came out (one of them is enough with a transformationID)"


_EVENT_LIST = _list(_event)
_ATTRIBUTE = _object({"id": _uri}, required=("id",), open_to_all=True)
_VOCABULARY = _object({"type": _uri, "vocabularyElementList": _list(_object(
    {"id": _uri, "attributes": _list(_ATTRIBUTE), "children": _list(_uri)}, required=("id",), open_to_all=True))},
    required=("type",), open_to_all=True)  # fmt: skip
_VOCABULARIES = _list(_VOCABULARY)
_HEADER = _object({"epcisMasterData": _object({"vocabularyList": _VOCABULARIES}, open_to_all=True)})
_DOCUMENT = _object({
    "@context": _context, "id": _uri, "type": _one_of("EPCISDocument"), "schemaVersion": _like(_VERSION, "a version as 2.0"),
    "creationDate": _time, "instanceIdentifier": _text, "sender": _text, "receiver": _text, "epcisHeader": _HEADER,
    "epcisBody": _object({"eventList": _EVENT_LIST}, required=("eventList",), open_to_all=True),
}, required=("@context", "type", "schemaVersion", "creationDate", "epcisBody"))  # fmt: skip
_RESULTS = _object({"queryName": _text, "subscriptionID": _text, "resultsBody": _object(
    {"eventList": _EVENT_LIST, "vocabularyList": _VOCABULARIES}, required=("eventList",))},
    required=("queryName", "resultsBody"))
_QUERY_DOCUMENT = _object({
    "@context": _context, "id": _uri, "type": _one_of("EPCISQueryDocument"),
    "schemaVersion": _like(_VERSION, "a version as 2.0"), "creationDate": _time,
    "epcisBody": _object({"queryResults": _RESULTS}, required=("queryResults",)),
}, required=("@context", "type", "epcisBody"))  # fmt: skip
