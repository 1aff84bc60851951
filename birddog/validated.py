"""What is said of each value that leaves: ``validated to 12.3 m``, or ``not validated``, for position, speed, course and time.

A device is of a model (``birddog device enrol --model``), of a model there is at most one record that counts: the newest entry
of kind ``validation``.  What leaves is what the tracker makes of a measurement, so what counts is the record's part
``estimated``, made with this very version of the tracker; what the device itself reports was measured too and is no promise of
the estimate (an untested speed has reversed a conviction: Commonwealth v. Davis, 487 Mass. 448).

**Where a bound holds.**  A record promises nothing of what its drive did not have.  Of a step it says

- of position the bound of what the device itself *reports*, where that is wider: where one fix alone makes it (the first of a
  track, or one after a longer silence than any of the drive), it is that fix, and no estimate narrowed it;
- nothing at all, where no fix made it (a prediction, a tag that was read, a sighting), where it is a measurement by itself that
  came too late to be one with the others, or where it was withdrawn;
- nothing of speed, course and time outside the speeds at which the reference moved, give or take the bound of speed itself;
- nothing of course and time below their ``from_mps``: of what stands or crawls they were not measured;
- nothing of speed, course and time where they are made of one fix without its speed: the first of a track, or one after a
  longer silence than any of the drive, of a model whose fixes do not each state their speed; and whatever the model, where such
  a step has the speed 0, which may be that nothing was stated.

A record that does not say at which speeds it was measured (of before it was asked) promises the position alone, and of it the
wider bound throughout, for it does not say after which silence either.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec

from birddog import __version__, geo
from birddog.directory import Directory
from birddog.errors import BirddogError
from birddog.model import Track, TrackPoint, Validation
from birddog.units import NS
from birddog.validation_record import UNITS as UNITS
from birddog.validation_record import RecordBroken, verified

NOT = "not validated"
#: What hangs on how fast something moves.
_BY_SPEED = ("speed", "course", "time")
#: Times are published in milliseconds: a step is not longer than the drive's for less.
_JITTER_S = 0.002


class Worth(msgspec.Struct, frozen=True):
    """What is said of a device's values: a few words a quantity, and why, in full."""

    model: str
    words: dict[str, str]
    why: dict[str, str]


class Terms(msgspec.Struct, frozen=True):
    """Where a record's bounds hold.

    Args:
        low_mps, high_mps: from which to which speed.
        from_mps: by quantity, not below that.
        step_s: made with the step before no longer ago.
        stated: each fix of the drive stated its speed.
        speeds: from which to which speed, for people.
        of_one: what is promised where one fix alone makes a step.
    """

    low_mps: float
    high_mps: float
    from_mps: dict[str, float]
    step_s: float
    stated: bool
    speeds: str
    of_one: Worth


def nothing(model: str, why: str) -> Worth:
    """No quantity is validated, for one reason."""
    return Worth(model, dict.fromkeys(UNITS, NOT), dict.fromkeys(UNITS, why))


#: Of a step that no measurement made.
PREDICTED = nothing("", "a prediction")


class Validated:
    """What the registers say: ``of`` a device what its model's record promises, of a ``step`` what of that holds.

    Args:
        directory: the registers as they stand when something leaves.
        tracker: the version of the program that made the values.
    """

    def __init__(self, directory: Directory, tracker: str = __version__):
        self._directory, self._tracker = directory, tracker
        self._models: dict[str, tuple[Worth, Terms | None]] = {}
        self._less: dict[tuple[str, str, tuple[str, ...]], Worth] = {}

    def of(self, device: str) -> Worth:
        """What the record of a device's model promises, where its terms hold."""
        return self._promised(device)[0]

    def step(self, point: TrackPoint, before_ns: int | None) -> Worth:
        """What the values of a step are worth.

        Args:
            before_ns: when the measurement before it on its track was; None: there is none.
        """
        if point.origin == "coast":
            return PREDICTED
        promised, terms = self._promised(point.device)
        if point.withdrawn or point.alone or point.origin != "fix":
            why = "it was withdrawn" if point.withdrawn else "no estimate that a fix made"
            return self._but(promised, (why,) * len(UNITS))
        return self._at(promised, terms, point, before_ns)

    def now(self, track: Track, before: Callable[[], int | None]) -> Worth:
        """What is said of where a track is now: of each quantity the widest bound of all that feed it, none where one has none;
        a prediction is validated to nothing.

        Args:
            before: answers ``before_ns`` of its newest measurement, where something is promised at all.
        """
        if track.status in ("coasting", "silent"):
            return PREDICTED
        promised = [self._promised(device) for device in track.identities]
        before_ns = before() if any(terms is not None for _, terms in promised) else None
        found = [self._at(worth, terms, track, before_ns) for worth, terms in promised]
        if len({worth.model for worth in found}) == 1:
            return found[0]
        words, why = {}, {}
        for quantity in UNITS:
            widest = max(found, key=lambda worth: _width(worth.words[quantity]), default=PREDICTED)
            words[quantity], why[quantity] = widest.words[quantity], widest.why[quantity]
        return Worth("", words, why)

    def models(self) -> list[Worth]:
        """What was asked for, by model."""
        return [self._models[model][0] for model in sorted(self._models)]

    # --- where a bound holds ---------------------------------------------------------------------------

    def _at(self, promised: Worth, terms: Terms | None, step: TrackPoint | Track, before_ns: int | None) -> Worth:
        if terms is None:
            return promised
        speed_mps, _ = geo.speed_course(step.ve_mps, step.vn_mps)
        time_ns = step.updated_ns if isinstance(step, Track) else step.time_ns
        of_one = before_ns is None or (time_ns - before_ns) / NS > terms.step_s + _JITTER_S
        promised, why = terms.of_one if of_one else promised, ""
        if not terms.low_mps <= speed_mps <= terms.high_mps:
            why = f"measured at {terms.speeds}"
        elif of_one and (not terms.stated or speed_mps == 0.0):
            why = "made of one fix, and not of its speed"
        slow = [why or (f"not measured below {number(from_mps)} m/s" if speed_mps < from_mps else "")
                for from_mps in (terms.from_mps.get(quantity, 0.0) for quantity in _BY_SPEED)]
        return self._but(promised, ("", *slow))

    def _but(self, promised: Worth, why: tuple[str, ...]) -> Worth:
        """What is left of a promise: of each quantity why it does not hold, or ""."""
        if not any(why):
            return promised
        key = (promised.model, promised.words["position"], why)
        found = self._less.get(key)
        if found is None:
            words = {quantity: NOT if one else promised.words[quantity] for quantity, one in zip(UNITS, why, strict=True)}
            whole = {quantity: one if one and promised.words[quantity] != NOT else promised.why[quantity]
                     for quantity, one in zip(UNITS, why, strict=True)}
            found = self._less[key] = Worth(promised.model, words, whole)
        return found

    def _promised(self, device: str) -> tuple[Worth, Terms | None]:
        known = self._directory.devices.get(device)
        model = "" if known is None else known.model
        found = self._models.get(model)
        if found is None:
            found = self._models[model] = self._of_model(model)
        return found

    def _of_model(self, model: str) -> tuple[Worth, Terms | None]:
        if not model:
            return nothing("", "its device is enrolled without a model"), None
        held = self._directory.validations.get(model)
        if held is None:
            return nothing(model, "there is no validation record of this model"), None
        if not held.said:
            return nothing(model, f"the record of this model was withdrawn by {held.by}"), None
        try:
            record = checked(held)
        except BirddogError as error:
            return nothing(model, f"the record {error}"), None
        estimated = record.get("estimated")
        if not isinstance(estimated, dict):
            return nothing(model, "the record measured what the device reports, not what the tracker makes of it"), None
        if estimated.get("tracker") != self._tracker:
            measured = estimated.get("tracker")
            return nothing(model, f"the record measured version {measured} of the tracker; this is {self._tracker}"), None
        words, why = {}, {}
        for quantity, (unit, unit_words) in UNITS.items():
            part = estimated[quantity]
            if not part["validated"]:
                words[quantity], why[quantity] = NOT, str(part["reason"])
            else:
                words[quantity] = f"validated to {number(part[f'bound_{unit}'])} {unit_words}"
                why[quantity] = _measured(record, part, held.by)
        alone = _of_one(record, held.by, words["position"], why["position"])
        if "speeds_mps" not in estimated or "longest_step_s" not in estimated:
            unsaid = "the record does not say at which speeds it was measured: make a new one"
            for quantity in _BY_SPEED:
                why[quantity] = why[quantity] if words[quantity] == NOT else unsaid
                words[quantity] = NOT
            return Worth(model, words | {"position": alone[0]}, why | {"position": alone[1]}), None
        terms = _terms(estimated, Worth(model, words | {"position": alone[0]}, why | {"position": alone[1]}))
        for quantity in _BY_SPEED:
            why[quantity] += _where(quantity, terms) if words[quantity] != NOT else ""
            terms.of_one.why[quantity] = why[quantity]
        if alone[0] != words["position"]:
            why["position"] += f"; of one fix alone (the first, or after more than {number(terms.step_s)} s) {alone[0]}"
        return Worth(model, words, why), terms


def _of_one(record: dict[str, Any], by: str, words: str, why: str) -> tuple[str, str]:
    """What is said of a position that is one fix, and why: the wider of both bounds, none where one of them is none."""
    reported = record["position"]
    if words == NOT:
        return NOT, why
    if not reported["validated"]:
        return NOT, f"made of one fix, and what the device reports is not validated: {reported['reason']}"
    as_reported = f"validated to {number(reported['bound_m'])} m"
    if _width(as_reported) <= _width(words):
        return words, why
    return as_reported, f"made of one fix: what the device reports, {_measured(record, reported, by)}"


def _measured(record: dict[str, Any], part: dict[str, Any], by: str) -> str:
    return f"{record['level']:.0%} of {part['n']} values, {record['made']}, entered by {by}"


def _terms(estimated: dict[str, Any], of_one: Worth) -> Terms:
    """Where the bounds of a record that is ``checked`` and says its speeds hold."""
    low, high = estimated["speeds_mps"]
    speed, from_mps = estimated["speed"], {}
    for quantity in _BY_SPEED:
        if isinstance(estimated[quantity].get("from_mps"), int | float):
            from_mps[quantity] = float(estimated[quantity]["from_mps"])
    slack = speed["bound_mps"] if speed["validated"] else 0.0
    return Terms(low - slack, high + slack, from_mps, estimated["longest_step_s"], estimated.get("speed_stated") is True,
                 f"{number(low)} to {number(high)} m/s", of_one)


def _where(quantity: str, terms: Terms) -> str:
    """Where a bound of what hangs on speed holds, for people."""
    from_mps = terms.from_mps.get(quantity, 0.0)
    slow = f", not below {number(from_mps)} m/s" if from_mps else ""
    steps = f", steps of {number(terms.step_s)} s at most"
    return f"; at {terms.speeds}{slow}{steps}, else {NOT}"


def number(value: float) -> str:
    """To four places at most, as a record has it."""
    return f"{value:.4f}".rstrip("0").rstrip(".")


def _width(words: str) -> float:
    return float("inf") if words == NOT else float(words.split()[2])


def checked(body: Validation) -> dict[str, Any]:
    """The record of an entry, whose signature and form hold.

    Raises:
        BirddogError: it is no record, of another model, or was changed; the words begin with what is wrong.
    """
    try:
        record = verified(json.loads(body.said))
    except (ValueError, RecursionError) as error:
        raise RecordBroken("is no JSON") from error
    if record.get("model") != body.model:
        raise RecordBroken(f"is of the model {str(record.get('model'))[:60]!r}, not of {body.model!r}")
    if not isinstance(record.get("made"), str) or not isinstance(record.get("level"), float):
        raise RecordBroken("does not say when it was made, or at which level")
    for part in (record, record.get("estimated")):
        if part is None:
            continue
        for quantity, (unit, _) in UNITS.items():
            if not _is_bound(part.get(quantity) if isinstance(part, dict) else None, f"bound_{unit}"):
                raise RecordBroken(f"has no {quantity} of this form")
        speeds = part.get("speeds_mps", [0.0, 0.0])
        if not (isinstance(speeds, list) and len(speeds) == 2 and all(map(_is_number, speeds)) and speeds[0] <= speeds[1]):
            raise RecordBroken("has no speeds_mps of this form")
        if not _is_number(part.get("longest_step_s", 0.0)):
            raise RecordBroken("has no longest_step_s of this form")
    return record


def _is_bound(part: Any, name: str) -> bool:
    if not isinstance(part, dict) or not isinstance(part.get("validated"), bool) or type(part.get("n")) is not int:
        return False
    if not _is_number(part.get("from_mps", 0.0)):
        return False
    return _is_number(part.get(name)) if part["validated"] else isinstance(part.get("reason"), str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0.0 <= value < float("inf")
