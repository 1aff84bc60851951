"""The nouns of Birddog: frozen structs that every room passes around.

Time is integer nanoseconds UTC, positions are WGS 84 degrees, lengths metres, speeds m/s, courses
degrees true clockwise from north.  ``sigma_m`` is one sigma per axis: a 68 % radius divided by 1.51,
a CEP50 by 1.18 (``birddog.units``).  An altitude says its datum.

An ``Entry`` is one row of the journal; its ``body`` is MessagePack of the struct that
``ENTRY_BODIES`` names for its kind.  Fields may be added with a default; none is renamed or retyped.

Over 400 lines: the whole vocabulary on one page, in the order in which a message meets it.
"""

from __future__ import annotations

from typing import Any, Literal, NoReturn

import msgspec

from birddog.errors import JournalError
from birddog.errors import RejectReason as RejectReason

Struct = msgspec.Struct

#: Refused for what it is: the raw bytes stay in the journal.
MALFORMED_REASONS = frozenset(
    {"framing", "format", "size", "length", "checksum", "type", "value", "clock", "replayed", "encrypted"}
)
#: Refused for who sent it: no position and no payload stays (docs/architecture.md, rule 5).
SENDER_REASONS = frozenset({"exercise", "identity", "unknown_device", "unauthorised"})
REJECT_REASONS = MALFORMED_REASONS | SENDER_REASONS
#: The MQTT user name by which exercise data says what it is: a live journal refuses it (reason ``exercise``).
EXERCISE_USER = "EXERCISE"

TimeSource = Literal["device", "gateway", "server"]
AltRef = Literal["ellipsoid", "msl", "unknown"]
FixKind = Literal["gnss", "wifi", "cell", "gateway"]
Value = float | int | str | bool | None


# --- what a device says -----------------------------------------------------------------------


class Fix(Struct, frozen=True, gc=False, kw_only=True, tag_field="kind", tag="fix", omit_defaults=True):
    """A position with an identity: one measurement of one device.

    ``sigma_m`` None means the device did not say; the tracker then uses the class's default.
    """

    device: str
    time_ns: int | None
    time_source: TimeSource = "device"
    flags: tuple[str, ...] = ()
    lat_deg: float
    lon_deg: float
    alt_m: float | None = None
    alt_ref: AltRef = "unknown"
    sigma_m: float | None = None
    speed_mps: float | None = None
    course_deg: float | None = None
    fix: FixKind = "gnss"
    attributes: dict[str, Value] = {}


class TagRead(Struct, frozen=True, gc=False, kw_only=True, tag_field="kind", tag="tag_read", omit_defaults=True):
    """A reader saw a tag: ``epc`` is the tag URI, ``device`` the reader's identity."""

    device: str
    time_ns: int | None
    time_source: TimeSource = "device"
    flags: tuple[str, ...] = ()
    epc: str
    reader: str = ""
    antenna: int | None = None
    rssi_dbm: float | None = None
    attributes: dict[str, Value] = {}


class Reading(Struct, frozen=True, gc=False, kw_only=True, tag_field="kind", tag="reading", omit_defaults=True):
    """One quantity that a sensor measured: ``("battery_voltage", 3.71, "V")``.

    Quantities the tracker knows as a trigger (weak position evidence at the sensor's place):
    ``seismic``, ``motion``, ``door_open``, ``light`` (opsroom/docs: docs/formats.md).
    """

    device: str
    time_ns: int | None
    time_source: TimeSource = "device"
    flags: tuple[str, ...] = ()
    quantity: str
    value: float | int | str | bool
    unit: str = ""


class Alarm(Struct, frozen=True, gc=False, kw_only=True, tag_field="kind", tag="alarm", omit_defaults=True):
    """The device calls for a person: ``tamper``, ``low_battery``, ``jamming``, ``sos``, ``door_open`` …"""

    device: str
    time_ns: int | None
    time_source: TimeSource = "device"
    flags: tuple[str, ...] = ()
    alarm: str
    text: str = ""


class Sighting(Struct, frozen=True, gc=False, kw_only=True, tag_field="kind", tag="sighting", omit_defaults=True):
    """An anonymous contact: a position with covariance (m², east/north) and no identity."""

    device: str
    time_ns: int | None
    time_source: TimeSource = "device"
    flags: tuple[str, ...] = ()
    lat_deg: float
    lon_deg: float
    r_ee: float
    r_en: float
    r_nn: float
    probability: float = 1.0
    scan: str = ""
    attributes: dict[str, Value] = {}


Observation = Fix | TagRead | Reading | Alarm | Sighting


class Verdict(Struct, frozen=True, gc=False, array_like=True):
    """Whose an observation is, by what basis and in what state it came in; ``birddog.judge`` has the rule.

    A verdict is decided once, at the door, and stands in the entry beside its observation.

    ``operation`` and ``shipment`` name the case and what its device is hidden in; ``open`` and "" where it belongs to
    no case, "" and "" where it is nobody's, and an operation without a shipment where a case's own reader saw what is
    nobody's: neither has a track.  ``basis`` is that of ``Device.basis``, or ``exercise``.  ``state`` ``open``: everybody
    may hear it, so that it feeds the picture of ``open`` whatever case it is in as well.
    """

    operation: str = ""
    shipment: str = ""
    basis: Literal["", "warrant", "open", "partner", "own_sensor", "exercise"] = ""
    state: Literal["admitted", "sealed", "refused", "open"] = "admitted"


class Reject(Struct, frozen=True, gc=False, omit_defaults=True):
    """Why something was refused.  ``detail`` is for a person and never holds a position.

    ``verdict`` says whose it was, where a device that is admitted was refused for its clock only (its track is not silent), or
    for want of a warrant in force: its ``detail`` is then the warrant's verdict (``birddog.authority``).  ``count``: for how
    many observations of its message it stands.
    """

    reason: RejectReason
    detail: str = ""
    device: str = ""
    offset: int | None = None
    verdict: Verdict | None = None
    count: int = 1


# --- how it arrived ---------------------------------------------------------------------------


#: Where a transport's numbers begin anew within a session it counts laps: ``Frame.packet`` = lap * LAP + number.
LAP = 65_536


class Frame(Struct, gc=False, kw_only=True):
    """One message as a transport received it; the unit that is acknowledged.

    Args:
        source: the transport instance, e.g. ``mqtt``, ``tcp:5027``, ``serial:gps1``, ``modbus:yard``.
        format: the codec's name.
        payload: the bytes of one message, framed already.
        received_ns: when it reached us; set by the transport.
        device: the sender: the identity that the transport vouches for (client id, certificate,
            configured name); "" where only the payload knows.
        subject: whom the topic names, where that is another; the payload may name somebody else again.
        channel: topic, peer address or port.
        session: the connection; frames of one session share a decoder's state, in order.
        packet: the transport's number for this message (MQTT packet id), 0 if it has none; where ids begin anew
            within a session it counts on (``LAP``).
        dup: the sender says that it may have sent this before (MQTT DUP).
        again: the sender does not say so, and yet may have sent this before: clients that never set DUP, after a cut.
        assured: the sender waits for an acknowledgement in two steps (MQTT QoS 2); never read by the desk.
        lap_known: False where the lap in which a ``dup`` was first sent is not known (we were started again since).
        mark: 20 bytes that are the same whenever this message is read again from where it lies (a file), and another
            message's nowhere; neighbours share the first four.  b"" where a message passes once.
        reject: the transport already found it broken; it is kept with this reason, not decoded.
        undated: ``received_ns`` is the time of an import: nothing in its file states another.
        receipt: what the transport needs to acknowledge it; never read by the desk.
    """

    source: str
    format: str
    payload: bytes
    received_ns: int
    device: str = ""
    subject: str = ""
    channel: str = ""
    session: str = ""
    packet: int = 0
    dup: bool = False
    again: bool = False
    assured: bool = False
    lap_known: bool = True
    mark: bytes = b""
    reject: Reject | None = None
    receipt: Any = None
    undated: bool = False


# --- entries of the journal -------------------------------------------------------------------


class FrameBody(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """kind ``frame``: a message that was admitted, or one of an admitted sender that is malformed (kept raw).

    Who it is from and whom it speaks of stand apart (docs/device-endpoint.md).  ``device`` is whom the door
    asked for: the sender, or where no transport vouches for one, whom the message names.  ``sender`` is None
    where it is the same, "" where nobody vouches.  ``subject`` is "" where topic and payload name nobody else.

    ``unread`` names the parts that the format did not understand (``devices.codec.Decoded``); never a value.
    ``count``: how many malformed messages this one stands for, where the same came again and again; 0 where it is what
    another operation has of the message whose first entry stands before it (``ingest.parts``).
    ``payload_hash`` stands for bytes that speak of another operation as well, and so stay in no entry.
    ``undated``: nothing in its file stated a time, so that it stands at that of its import.
    ``verdicts`` says of each observation whose it is, in their order; () in an entry of before there were any.  Packed, one
    may stand for all (``unpack`` gives each its own).
    ``mistimed``: positions of what was refused for its clock alone, with the time that the device said: they stand at no time
    before the fold knows how wrong that clock is (``tracking.clocks``).  Its owner is in the reject of that device.
    """

    format: str
    version: int
    payload: bytes
    device: str = ""
    channel: str = ""
    session: str = ""
    observations: tuple[Observation, ...] = ()
    rejects: tuple[Reject, ...] = ()
    unread: tuple[str, ...] = ()
    count: int = 1
    sender: str | None = None
    subject: str = ""
    undated: bool = False
    verdicts: tuple[Verdict, ...] = ()
    payload_hash: bytes = b""
    mistimed: tuple[Fix, ...] = ()


class RefusalBody(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """kind ``refusal``: refused for who sent it, or malformed and of nobody who is admitted.

    A keyed hash stands for the payload; no text of the sender's that could hold a position stays
    (``ingest.door.veiled``).  ``device``, ``sender``, ``subject`` and ``verdicts`` as in ``FrameBody``.
    A gateway's message may hold observations of admitted devices beside refused ones: those are kept.
    ``count``: how many refused messages this one stands for, where the same came again and again.
    ``box``: what was sealed of it, encrypted (``birddog.keyring``): a ``FrameBody``; its rejects' verdicts say ``sealed``.
    """

    format: str
    version: int
    device: str
    channel: str = ""
    rejects: tuple[Reject, ...]
    payload_hash: bytes
    observations: tuple[Observation, ...] = ()
    count: int = 1
    sender: str | None = None
    subject: str = ""
    verdicts: tuple[Verdict, ...] = ()
    box: bytes = b""


class Flag(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that a detector found in an image: what `birddog scan` prints and what stands in the entry of a look.

    ``col``, ``row`` and ``bbox_px`` are in pixels of the file as stored.  Lengths and places in metres and degrees are None
    where the scene does not say where it lies, and so is ``on_land``, which is what the coarse basemap makes of the place;
    ``heading_deg`` is the direction of the longer axis, clockwise from north, in [0, 180).  ``pfa`` is None of a detector
    that takes none.  ``r_ee``, ``r_en``, ``r_nn`` (m²) say how well it is placed, once a look has been made of the scan.
    ``rarity`` is the natural log of how many times rarer its score is on background than one at the threshold, by the tail that
    was fitted there; None where none was.
    """

    flag_id: str
    detector: str
    score: float
    pfa: float | None
    col: float
    row: float
    bbox_px: tuple[int, int, int, int]
    lat_deg: float | None = None
    lon_deg: float | None = None
    length_m: float | None = None
    width_m: float | None = None
    heading_deg: float | None = None
    length_px: float | None = None
    width_px: float | None = None
    pixels: int | None = None
    mean_score: float | None = None
    on_land: bool | None = None
    r_ee: float | None = None
    r_en: float | None = None
    r_nn: float | None = None
    truncated: bool = False
    thumbnail: bytes | None = None
    rarity: float | None = None


class Scan(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """kind ``scan``: one look from above, or one sweep of a radar; perhaps it saw nothing.

    ``footprint`` is a closed anticlockwise ring of (lon_deg, lat_deg); ``pd`` the probability that
    an object inside is detected; ``clutter_per_km2`` the density of false sightings.  ``time_source`` is
    ``server`` where the time is a guess, of which ``time_by`` says where it stands.
    """

    scan_id: str
    sensor: str
    time_ns: int
    footprint: tuple[tuple[float, float], ...]
    pd: float
    clutter_per_km2: float
    sightings: tuple[Sighting, ...] = ()
    flags: tuple[Flag, ...] = ()
    scene_sha256: str = ""
    scene_name: str = ""
    time_source: TimeSource = "device"
    time_by: str = ""


class Zone(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An area or a corridor that a case watches: who arrives there, who leaves (``tracking.zones``).

    ``points`` are (lon_deg, lat_deg): a closed ring, or the line of a corridor that is ``half_width_m`` wide to each side.
    ``dwell_s``: so long a track must be on the other side before it is told of.  ``role``: a ``port`` is an area of which
    visits are told too; of a ``gate``, a line without width, who passes; of a ``border``, a ring, who crosses (docs/events.md).
    """

    name: str
    points: tuple[tuple[float, float], ...]
    half_width_m: float = 0.0
    dwell_s: float = 60.0
    role: Literal["area", "port", "gate", "border"] = "area"


class Operation(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """kind ``operation``: a case.  ``area`` is a closed ring of (lon_deg, lat_deg), or empty; ``zones`` are what it watches.

    ``requires_warrant``: of a device that is in it by a warrant nothing comes in but what a warrant in force covers
    (``birddog.warrants``), also before the first warrant is entered.

    ``keep_until_ns``: from then on nothing of the case may be kept (Directive (EU) 2016/680, Article 5: time limits for
    erasure), and ``keep_reason`` is what says so; None: no limit was set.  Erasing stays a person's act.
    """

    operation: str
    name: str = ""
    area: tuple[tuple[float, float], ...] = ()
    closed: bool = False
    zones: tuple[Zone, ...] = ()
    requires_warrant: bool = False
    keep_until_ns: int | None = None
    keep_reason: str = ""


class Device(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """kind ``device``: enrolled or retired.  ``topics`` are prefixes a gateway or phone may use.

    ``basis`` says why we may listen: ``warrant``, ``open`` (broadcast, as AIS), ``partner``,
    ``own_sensor`` (our receiver, reader or sensor).  ``week_rollover``: how many times 1024 weeks the
    device's clock is known to be behind; the door adds them and flags what it corrected.  ``model`` is what it is, as a
    validation record names it.  ``interval_s``: seconds between its messages; 0, nobody said, so that it is learnt.
    """

    device: str
    name: str = ""
    owner: str = ""
    format: str = ""
    basis: Literal["warrant", "open", "partner", "own_sensor"] = "warrant"
    interval_s: float = 0.0
    klass: str = ""
    topics: tuple[str, ...] = ()
    retired: bool = False
    week_rollover: int = 0
    model: str = ""


class Attachment(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """kind ``attachment``: a device (or an EPC) hidden in a shipment of an operation, from … to."""

    device: str
    shipment: str
    operation: str
    from_ns: int
    to_ns: int | None = None


class Placement(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """kind ``placement``: a fixed reader or sensor and how far it reaches (one sigma = range / 2)."""

    device: str
    lat_deg: float
    lon_deg: float
    range_m: float
    name: str = ""
    from_ns: int = 0
    to_ns: int | None = None


class UsedWays(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """kind ``ways``: the ways that are used, learned from an archive, for live lane stops and deviations (docs/events.md).

    The table stands here whole, with the archive's hash and what was in it, so that a rebuild needs no archive.  Its columns
    are little-endian bytes of cells of ``cell_m``, ascending: number (i8), tracks that moved and that stood (u2), the lower
    quartile of speeds (u2, cm/s), tracks that moved by eighth of the circle (8 u1).  No cells: nothing is known any more.
    """

    archive_sha256: str
    cell_m: float
    cells: bytes
    moved: bytes
    stood: bytes
    quartile: bytes
    sectors: bytes
    tracks: int = 0
    fixes: int = 0
    first_ns: int | None = None
    last_ns: int | None = None


class Decision(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """kind ``decision``: what an operator decided.

    ``acknowledge`` an alert (``subject``; ``false``: there was nothing); of a track (``subject``) ``false_fix``: the fix of
    ``device`` ("": of whichever) made at ``time_ns`` is false; ``take_over``: it is at its second place, where its refused
    fixes or looks say; ``merge``: the track ``other`` is this one; ``split``: its receiver ``device`` goes a way of its own.
    Of a contact (``subject``) ``identify``: it is the track ``other``; ``confirm_dark``, ``dismiss_dark``: it is a dark
    vessel, or none.  ``undo`` the decision whose entry's number stands behind a ``D`` (``subject``); ``reopen`` an alert that
    was acknowledged.  ``operation`` is that of what it is about.
    """

    action: Literal[
        "acknowledge", "false_fix", "take_over", "merge", "split", "identify", "confirm_dark", "dismiss_dark", "undo", "reopen"
    ]
    subject: str
    by: str
    note: str = ""
    operation: str = ""
    device: str = ""
    other: str = ""
    time_ns: int | None = None
    false: bool = False


class WarrantAct(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """kind ``warrant``: one act upon one warrant; what stands follows from the acts in order (``birddog.warrants``).

    Args:
        warrant: its id at the issuing authority.
        by: the person whose act it is, who stands in the entry's column ``actor`` too.
        operation: the case that it is for; "" where it covers its device in whatever case that is.
        said: ``add``: the warrant as JSON (docs/authority.md); ``consent``: the leg of a route as JSON.
        pack: ``add``: the rules that it is under, as their TOML stood then, so that a later change of them changes nothing.
        order: the order on which an ``extend`` or an ``open`` rests; ``approve``: of which of them, "" for the warrant itself;
            ``opened``: which was obeyed.
        at_ns: when it took effect, as said: granted, installed, retrieved, revoked, notified.
        until_ns: ``extend``: until when use is covered; ``open``: before when what was sealed was made.
        from_ns: ``open``: from when.
        device: ``install``, ``retrieve``: which.
        note: words for people.
    """

    warrant: str
    action: Literal["add", "approve", "extend", "revoke", "install", "retrieve", "consent", "notify", "open", "opened"]
    by: str
    operation: str = ""
    said: str = ""
    pack: str = ""
    order: str = ""
    at_ns: int | None = None
    from_ns: int | None = None
    until_ns: int | None = None
    device: str = ""
    note: str = ""


class Start(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """kind ``start``: the fold begins (again) with this program version and these presets."""

    version: str
    presets: dict[str, Any]
    exercise: bool = False


class Loss(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """kind ``loss``: the journal had lost what was acknowledged, and somebody accepted that.

    Entries with a number above ``after`` existed before under the same numbers; ``text`` says what is known of them.
    """

    after: int
    text: str


class ClockSet(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """kind ``clock``: the journal's clock had been ahead of the truth and goes on at ``to_ns``; no other entry sets it back."""

    from_ns: int
    to_ns: int
    text: str = ""


class Tick(Struct, frozen=True):
    """kind ``tick``: nothing arrived, and time went on."""


class Denial(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """kind ``denial``: what somebody asked for and was refused; its entry names actor and operation, nothing of the body stays.

    ``wanted`` is the kind that was asked for: ``kind`` where nobody may ask for such, ``body`` where its body was wrong,
    ``nonce`` where it was empty or too long to be an entry's ident.
    """

    wanted: str
    reason: Literal["kind", "body", "nonce"]


class Custody(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """kind ``custody``: what happened to a thing (a tag, a seizure, a photo, a card); ``birddog.custody`` has the rules.

    Args:
        item: the thing's name.
        action: ``key`` enters a person's public key; ``give`` and ``receive`` are a transfer, each with its signature.
        by: whose act it is: who seized, gave, received.
        at_ns, place, sha256: when, where, and the hash of a file that belongs to it.
        to: ``give``: who shall receive it.
        public: ``key``: the key's text.
        signature: the line of a note (C2SP signed-note).
    """

    item: str
    action: Literal["key", "seize", "photo", "card", "place", "recover", "give", "receive", "end"]
    by: str
    operation: str = ""
    at_ns: int | None = None
    place: str = ""
    sha256: str = ""
    note: str = ""
    to: str = ""
    public: str = ""
    signature: str = ""


class Erasure(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """kind ``erasure``: what stood of an operation was erased: its keys destroyed, its entries emptied but for number and time.

    ``erased`` is that operation, or a period of passers-by (``birddog.passersby``); the entry itself is of none, so that it
    stays.  ``keys`` are the names of the keys that were destroyed (entries of before do not say them).
    """

    erased: str
    by: str = ""
    note: str = ""
    keys: tuple[str, ...] = ()


class Passersby(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """kind ``passersby``: for so many hours what everybody may hear of vessels under no case is kept (``birddog.passersby``).

    ``hours`` 0: for as long as the journal is; ``reason`` is the law or order that says so.  The newest counts.
    """

    hours: int
    by: str = ""
    reason: str = ""


class Rotation(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """kind ``rotation``: the evidence log's key names the one that signs after it.

    Args:
        signature: the note, signed by both (``birddog.rotation``).
        by, reason: who had it changed, and why.
    """

    signature: str
    by: str = ""
    reason: str = ""


class Erased(Struct, frozen=True):
    """The body of an entry whose operation was erased: of it only number, kind and time are left.  No entry's own kind."""


class Access(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """kind ``access``: somebody took what is known out of the journal, or sent it to somebody else; written before it leaves.

    Args:
        action: ``export`` to a file, ``share`` with a partner's server; ``read``: was shown it in the console, where ``form``
            is the view and ``to`` the address.
        by: who did it, who stands in the entry's column ``actor`` too.
        form: the format.
        to: the file's name, "-" for standard output, "browser", or the partner's server.
        operation, track: whose; "" = of all, all of them.
        from_ns, to_ns: of which time; None = without a limit.
        reason: for whom and why, in words.
    """

    action: Literal["export", "share", "read"]
    by: str
    form: str
    to: str
    operation: str = ""
    track: str = ""
    from_ns: int | None = None
    to_ns: int | None = None
    reason: str = ""


class Validation(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """kind ``validation``: what the values of a device model were found to be worth; the newest of a model counts.

    Args:
        model: as devices are enrolled with it.
        by: who entered it, who stands in the entry's column ``actor`` too.
        said: the signed record as JSON (``birddog.validation``); "" withdraws what was said of the model before.
    """

    model: str
    by: str
    said: str = ""


class KindOfEntry(Struct, frozen=True):
    """What is said once of a kind of entry; the table ``KINDS`` has a row for each.

    Args:
        name: as it stands in the journal; never renamed.
        body: the struct of its body, whose docstring says what it is.
        register: it says who is who (``birddog.directory``): not what time it is, and the door knows it from its number on.
        asked: a person or a program may ask the writer for one (``ingest.control``); others are written by ourselves only.
        folds: the picture takes it in; of others nothing.
    """

    name: str
    body: type[Struct]
    register: bool = False
    asked: bool = False
    folds: bool = True


#: Every kind of entry.  To add one: its struct above, and its row here (docs/architecture.md, "To add something").
KINDS = (
    KindOfEntry("frame", FrameBody),
    KindOfEntry("refusal", RefusalBody),
    KindOfEntry("scan", Scan, asked=True),
    KindOfEntry("tick", Tick),
    KindOfEntry("operation", Operation, register=True, asked=True),
    KindOfEntry("device", Device, register=True, asked=True),
    KindOfEntry("attachment", Attachment, register=True, asked=True),
    KindOfEntry("placement", Placement, register=True, asked=True),
    KindOfEntry("warrant", WarrantAct, register=True, asked=True),
    KindOfEntry("validation", Validation, register=True, asked=True),
    KindOfEntry("ways", UsedWays, register=True, asked=True),
    KindOfEntry("passersby", Passersby, register=True, asked=True),
    KindOfEntry("decision", Decision, asked=True),
    KindOfEntry("start", Start),
    KindOfEntry("loss", Loss, folds=False),
    KindOfEntry("clock", ClockSet),
    KindOfEntry("denial", Denial, folds=False),
    KindOfEntry("custody", Custody, asked=True, folds=False),
    KindOfEntry("erasure", Erasure, asked=True, folds=False),
    KindOfEntry("access", Access, asked=True, folds=False),
    KindOfEntry("rotation", Rotation, asked=True, folds=False),
)
EntryKind = str
ENTRY_BODIES: dict[str, type[Struct]] = {kind.name: kind.body for kind in KINDS}
#: Kinds that say who is who.
REGISTERS = frozenset(kind.name for kind in KINDS if kind.register)
#: Kinds that say nothing of what time it is: what is entered today of a capture of last year does not make it old.
TIMELESS = frozenset(kind.name for kind in KINDS if kind.register or not kind.folds)

Body = Struct


class Draft(Struct, frozen=True, gc=False, kw_only=True):
    """An entry before the journal gave it a number.

    ``observations``, ``reasons`` (one a reject), ``unread`` (one a part that was not understood) and ``undated`` are
    counted by the journal when, and only when, the row is new.  ``part_of`` is the ident of the message's first row, where
    this is a further one: it is new when that one is, and counts as no message.
    ``actor`` is the person who asked for it, "" where none did.  ``period`` names the period of passers-by under whose key it
    shall lie (``birddog.passersby``), "" where its operation says under which.
    """

    kind: EntryKind
    received_ns: int
    source: str
    ident: bytes
    body: bytes
    operation: str = ""
    observations: int = 0
    reasons: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    undated: bool = False
    part_of: bytes = b""
    actor: str = ""
    period: str = ""


class Entry(Struct, frozen=True, kw_only=True):
    """One row of the journal, in commit order: ``seq`` is dense and begins at 1.

    ``journal`` names the store that it was read from, for messages about it only.  ``erased``: its operation was erased, and
    its body is empty; ``fault`` says why its body could not be read, where it could not.
    """

    seq: int
    kind: EntryKind
    received_ns: int
    source: str
    ident: bytes
    body: bytes
    operation: str = ""
    actor: str = ""
    journal: str = ""
    erased: bool = False
    fault: str = ""


ERASED = Erased()
_ENCODER = msgspec.msgpack.Encoder()
_DECODERS = {kind: msgspec.msgpack.Decoder(body) for kind, body in ENTRY_BODIES.items()}


def pack(body: Body) -> bytes:
    """MessagePack of an entry's body, the shortest: of a struct of 16 fields and more msgspec writes the long head of a map
    whatever it leaves out, and a map with another head than its fields have stands whole in the log (``birddog.record``).
    """
    packed = _ENCODER.encode(body)
    if packed[0] == 0xDE and packed[1] == 0 and packed[2] < 16:
        return bytes((0x80 | packed[2],)) + packed[3:]
    return packed


def unpack(entry: Entry) -> Body:
    """The body of an entry, as the struct of its kind.

    Raises:
        JournalError: the stored bytes are damaged; the message names journal and entry.
    """
    if entry.erased:
        return ERASED
    if entry.fault:
        raise JournalError(f"{entry.journal or 'the journal'}: entry {entry.seq} is damaged: {entry.fault}")
    try:
        body = _DECODERS[entry.kind].decode(entry.body)
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, RecursionError) as error:
        what = f"no entry is of kind {entry.kind!r}" if isinstance(error, KeyError) else str(error)
        raise JournalError(f"{entry.journal or 'the journal'}: entry {entry.seq} is damaged: {what}") from error
    if (type(body) is FrameBody or type(body) is RefusalBody) and len(body.observations) > 1 == len(body.verdicts):
        return msgspec.structs.replace(body, verdicts=body.verdicts * len(body.observations))
    return body


# --- what the fold derives (the picture) ----------------------------------------------------------

TrackStatus = Literal["tentative", "confirmed", "coasting", "silent", "deleted"]
#: What time alone makes of a track, the last first.
LAPSES: tuple[TrackStatus, ...] = ("deleted", "silent", "coasting")
_HOW_FAR = {"tentative": 0, "confirmed": 0, "coasting": 1, "silent": 2, "deleted": 3}


def _unsaid() -> NoReturn:
    raise msgspec.ValidationError("a track's row says what it is and where, when and how well that is known")


class Track(Struct, frozen=True, gc=False, omit_defaults=True):
    """A shipment, vessel or contact as it is believed to be at ``time_ns``.

    What has no default is said all the same: the fields stand in their order, so that a row may be made of them by position.
    By name Python makes a dict of so many first, which was a tenth of what the fold does for a fix.

    ``p_ee p_en p_nn`` is the covariance of the position in m² (east, north at the position);
    ``p_v_ee …`` that of the velocity in (m/s)².  ``tag_id`` is the identity that made the track, or "" for
    an anonymous one; ``identities`` holds every identity seen on it (device ids and EPC URIs).
    ``updated_ns`` is the time of the last accepted measurement of position, ``contact_ns`` of the last message,
    ``moved_ns`` of the last significant move.  ``rival_lat_deg``, ``rival_lon_deg`` is where it may be instead: the newest of
    ``rival_hits`` fixes in a row that do not fit the track, of ``rival_device`` where they are one device's; or where
    looks of a sensor, ``rival_device``, go on seeing what it was on while its fixes are elsewhere; or, with no hits, where a
    passive tag may be by those that were read beside it: at the reader ``rival_device``, where its carrier stood (``halt``),
    or with another tag.
    ``lapses_ns`` are the times of the journal at which it is coasting, silent and deleted unless it is heard, where that
    follows from this row alone (``lapsed``).
    """

    track_id: str
    operation: str
    name: str = ""
    tag_id: str = ""
    identities: tuple[str, ...] = ()
    klass: str = ""
    status: TrackStatus = msgspec.field(default_factory=_unsaid)
    time_ns: int = msgspec.field(default_factory=_unsaid)
    lat_deg: float = msgspec.field(default_factory=_unsaid)
    lon_deg: float = msgspec.field(default_factory=_unsaid)
    ve_mps: float = msgspec.field(default_factory=_unsaid)
    vn_mps: float = msgspec.field(default_factory=_unsaid)
    p_ee: float = msgspec.field(default_factory=_unsaid)
    p_en: float = msgspec.field(default_factory=_unsaid)
    p_nn: float = msgspec.field(default_factory=_unsaid)
    p_v_ee: float = msgspec.field(default_factory=_unsaid)
    p_v_en: float = msgspec.field(default_factory=_unsaid)
    p_v_nn: float = msgspec.field(default_factory=_unsaid)
    updated_ns: int = msgspec.field(default_factory=_unsaid)
    contact_ns: int = msgspec.field(default_factory=_unsaid)
    moved_ns: int | None = None
    first_ns: int = msgspec.field(default_factory=_unsaid)
    hits: int = msgspec.field(default_factory=_unsaid)
    refused: int = 0
    sources: tuple[str, ...] = ()
    attributes: dict[str, Value] = {}
    rival_lat_deg: float | None = None
    rival_lon_deg: float | None = None
    rival_hits: int = 0
    rival_device: str = ""
    lapses_ns: tuple[int, ...] = ()

    def lapsed(self, now_ns: int) -> Track:
        """The row at a later time of the journal: by then time alone may have made it coasting, silent or deleted.

        Thousands that were heard at once lapse at once; nobody has to be told a row of each to know.
        """
        for status, at_ns in zip(LAPSES, reversed(self.lapses_ns), strict=False):
            if at_ns <= now_ns:
                return self if _HOW_FAR[self.status] >= _HOW_FAR[status] else msgspec.structs.replace(self, status=status)
        return self


class TrackPoint(Struct, frozen=True, gc=False, omit_defaults=True):
    """One step of a track's history: the estimate after (or without) a measurement.

    ``origin`` says what made it: ``fix``, ``tag_read``, ``trigger``, ``sighting`` (measured) or
    ``coast`` (a prediction on a tick).  ``device`` is the source of the measurement.

    A step has versions.  What comes in late, or is decided, tells the steps after it anew; each version is believed from
    the entry ``believed_at`` on, until the next one of the same track, time, origin and device.

    Args:
        seq: numbers what is told of a track, versions included, in order.
        withdrawn: from this entry on there is no such step: its measurement is another's, false, or refused.
        alone: it is older than all that is run again: the measurement by itself, no estimate.
    """

    track_id: str
    seq: int
    time_ns: int
    lat_deg: float
    lon_deg: float
    ve_mps: float
    vn_mps: float
    p_ee: float
    p_en: float
    p_nn: float
    origin: Literal["fix", "tag_read", "trigger", "sighting", "coast"]
    device: str = ""
    nis: float | None = None
    believed_at: int = 0
    withdrawn: bool = False
    alone: bool = False

    @property
    def step(self) -> str:
        """Which step of its track and time it is a version of; what stands alone replaces nothing."""
        return f"{self.origin}:{self.device}:{self.seq}" if self.alone else f"{self.origin}:{self.device}"


class Correction(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What had been said of an event before a fix came late: it lay from ``start_ns`` to ``end_ns``.

    ``at_ns`` is when it was said anew; the late fix is that of ``track_id`` at ``fix_ns``.
    """

    what: Literal["corrected", "withdrawn"]
    at_ns: int
    track_id: str
    fix_ns: int
    start_ns: int
    end_ns: int | None = None


class Event(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that happened, derived from the journal: ``silent``, ``parted``, ``door_opened``,
    ``confirmed``, ``dark_vessel``, ``outlier`` …; ``end_ns`` None = still going on.  ``flag_id``: the flag of a scene that it
    is about; ``about``: what else of the track or device it is about (which alarm, which duty of a warrant).

    What several fixes together mean (``stop``, ``encounter`` …: docs/events.md) explains itself: ``last_ns`` how far it is
    known to reach, ``confidence`` how well it was observed, ``measures`` what was measured, ``rule`` the parameters by which it
    is one, ``corrections`` what was said of it before a fix came late; ``withdrawn``: it was none.
    """

    event_id: str
    kind: str
    operation: str
    seq: int
    start_ns: int
    end_ns: int | None = None
    track_ids: tuple[str, ...] = ()
    device: str = ""
    lat_deg: float | None = None
    lon_deg: float | None = None
    text: str = ""
    time_source: TimeSource = "device"
    flag_id: str = ""
    about: str = ""
    last_ns: int | None = None
    confidence: float | None = None
    measures: dict[str, Value] = {}
    rule: dict[str, Value] = {}
    corrections: tuple[Correction, ...] = ()
    withdrawn: bool = False


class Member(Struct, frozen=True, array_like=True):
    """One of several that an alert is about: its newest event, from when to when (None: it goes on)."""

    event_id: str
    track_id: str
    device: str
    began_ns: int
    ended_ns: int | None = None


class Alert(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a person must see and decide, until it is not open any more: an event, or one that comes again and again.

    Args:
        time_source: on whose word ``raised_ns`` stands: ``server`` is a guess.
        count: how often it happened; last_ns: when it began last (None: ``raised_ns``, once); longest_ns: how long it went on
            at most, of what is over.
        asked, asked_ns: how often a person was asked for a decision, and when last (None: ``raised_ns``).
        events: of what happened more than once the newest events.
        false: whoever acknowledged it says that there was nothing.
        flag_id: the flag of a scene that its event began with.
        members: of devices that fell silent together, all of them; ``track_id`` and ``device`` are the first one's.
        every_ns: of one that fell silent in a case how often it was expected (``alerts``).
    """

    alert_id: str
    kind: str
    severity: Literal["info", "warning", "critical"]
    operation: str
    raised_ns: int
    cleared_ns: int | None = None
    acknowledged_ns: int | None = None
    acknowledged_by: str = ""
    track_id: str = ""
    device: str = ""
    lat_deg: float | None = None
    lon_deg: float | None = None
    text: str = ""
    time_source: TimeSource = "device"
    about: str = ""
    count: int = 1
    last_ns: int | None = None
    longest_ns: int = 0
    asked: int = 1
    asked_ns: int | None = None
    events: tuple[str, ...] = ()
    false: bool = False
    flag_id: str = ""
    members: tuple[Member, ...] = ()
    every_ns: int = 0

    @property
    def began_ns(self) -> int:
        """When it began last."""
        return self.raised_ns if self.last_ns is None else self.last_ns

    @property
    def open(self) -> bool:
        """Whether it still waits for a person: until acknowledged, or cleared by the facts.

        A critical one waits for its acknowledgement also when it is over: a door that opened and was
        shut again has been open.
        """
        return self.acknowledged_ns is None and (self.cleared_ns is None or self.severity == "critical")
