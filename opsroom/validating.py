"""What a validation record is made of: a device's fixes, of a file or of a journal, and what the tracker makes of them.

The tracker is the live one, alone with this device: each fix is an entry, and what is compared is the step that it made, as it
was believed then.  That is what exports, bundles and the map show, so it is what their "validated to" speaks of.
"""

from __future__ import annotations

import math

from birddog import geo
from birddog.errors import UsageError
from birddog.journal import open_reader
from birddog.journal.store import entries
from birddog.model import Attachment, Device, Entry, Fix, FrameBody, Operation, RefusalBody, Start, Verdict, pack, unpack
from birddog.units import NS
from birddog.validation import Rows
from opsroom.registers import Registers
from tracking.fold import Fold

_VERDICT = Verdict("validation", "device", "own_sensor", "admitted")


def estimated(fixes: Rows, klass: str = "") -> Rows:
    """What the live tracker makes of each fix, as believed when it had come in.

    Args:
        klass: what carries the device, as it is enrolled ("": not said).
    """
    fold, seq = Fold(), 0

    def told(kind: str, body: object, at_ns: int) -> list[tuple[float, float, float, float, float]]:
        nonlocal seq
        seq += 1
        entry = Entry(seq=seq, kind=kind, received_ns=at_ns, source="validation", ident=b"%d" % seq, body=pack(body))  # type: ignore[arg-type]
        found = []
        for point in fold.apply(entry).points:
            if point.origin == "fix" and not point.withdrawn:
                speed, course = geo.speed_course(point.ve_mps, point.vn_mps)
                found.append((point.time_ns / NS, point.lat_deg, point.lon_deg, speed, course))
        return found

    begin_ns = round(fixes.t[0] * NS) if len(fixes.t) else 0
    told("start", Start(version="", presets={}), begin_ns)
    told("operation", Operation(operation=_VERDICT.operation), begin_ns)
    told("device", Device(device="device", klass=klass, basis="own_sensor"), begin_ns)
    hidden = Attachment(device="device", shipment=_VERDICT.shipment, operation=_VERDICT.operation, from_ns=0)
    told("attachment", hidden, begin_ns)
    out = []
    for t, lat, lon, sog, cog in zip(fixes.t, fixes.lat, fixes.lon, fixes.sog, fixes.cog, strict=True):
        at_ns = round(float(t) * NS)
        fix = Fix(device="device", time_ns=at_ns, lat_deg=float(lat), lon_deg=float(lon),
                  speed_mps=None if math.isnan(sog) else float(sog), course_deg=None if math.isnan(cog) else float(cog))
        body = FrameBody(format="validation", version=1, payload=b"", device="device", observations=(fix,),
                         verdicts=(_VERDICT,))
        out += told("frame", body, at_ns)[-1:]
    return Rows.of(out)


def of_journal(url: str, model: str, device: str = "") -> tuple[str, str, Rows]:
    """(device, class, fixes) of the one device of a model that a journal has positions of.

    Args:
        device: this one, where several are of the model.

    Raises:
        UsageError: there is none, or more than one.
        JournalError: the journal cannot be read.
    """
    directory = Registers(url).directory
    of_model = {name for name, known in directory.devices.items() if known.model == model}
    if device:
        if device not in of_model:
            raise UsageError(f"{device!r} is not enrolled as a {model!r}", field="--device")
        of_model = {device}
    if not of_model:
        raise UsageError(f"no device is enrolled as a {model!r} (birddog device enrol --model, device model)", field="MODEL")
    rows: dict[str, list[tuple[float, float, float, float, float]]] = {}
    reader = open_reader(url)
    try:
        for entry in entries(reader):
            body = unpack(entry) if entry.kind in ("frame", "refusal") and not entry.erased else None
            for fix in body.observations if isinstance(body, FrameBody | RefusalBody) else ():
                if isinstance(fix, Fix) and fix.device in of_model and fix.time_ns is not None:
                    rows.setdefault(fix.device, []).append((
                        fix.time_ns / NS, fix.lat_deg, fix.lon_deg, math.nan if fix.speed_mps is None else fix.speed_mps,
                        math.nan if fix.course_deg is None else fix.course_deg))  # fmt: skip
    finally:
        reader.close()
    if len(rows) != 1:
        raise UsageError(f"{len(rows)} devices of {model!r} have positions in it; one was expected"
                         + (f": {', '.join(sorted(rows))} (--device)" if rows else ""), field="--journal")
    [(name, found)] = rows.items()
    return name, directory.devices[name].klass, Rows.of(found)
