"""What is said of each value that leaves: ``validated to 12.3 m``, or ``not validated``, for position, speed, course and time.

A device is of a model (``birddog device enrol --model``), of a model there is at most one record that counts: the newest entry
of kind ``validation``.  What leaves is what the tracker makes of a measurement, so what counts is the record's part
``estimated``, made with this very version of the tracker; what the device itself reports was measured too and is no promise of
the estimate (an untested speed has reversed a conviction: Commonwealth v. Davis, 487 Mass. 448).
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from birddog import __version__
from birddog.directory import Directory
from birddog.errors import BirddogError
from birddog.model import Validation
from birddog.validation_record import UNITS as UNITS
from birddog.validation_record import RecordBroken, verified

NOT = "not validated"


class Worth(msgspec.Struct, frozen=True):
    """What is said of a device's values: a few words a quantity, and why, in full."""

    model: str
    words: dict[str, str]
    why: dict[str, str]


def nothing(model: str, why: str) -> Worth:
    """No quantity is validated, for one reason."""
    return Worth(model, dict.fromkeys(UNITS, NOT), dict.fromkeys(UNITS, why))


#: Of a step that no measurement made.
PREDICTED = nothing("", "a prediction")


class Validated:
    """What the registers say of each device; ``of`` a device.

    Args:
        directory: the registers as they stand when something leaves.
        tracker: the version of the program that made the values.
    """

    def __init__(self, directory: Directory, tracker: str = __version__):
        self._directory, self._tracker = directory, tracker
        self._models: dict[str, Worth] = {}

    def of(self, device: str, origin: str = "fix") -> Worth:
        """What the values are worth of a step that a measurement of a device made; ``coast`` is one that none made."""
        if origin == "coast":
            return PREDICTED
        known = self._directory.devices.get(device)
        model = "" if known is None else known.model
        found = self._models.get(model)
        if found is None:
            found = self._models[model] = self._of_model(model)
        return found

    def least(self, devices: tuple[str, ...]) -> Worth:
        """What all of some devices are worth together: of each quantity the widest bound, none where one has none."""
        found = [self.of(device) for device in devices]
        if len({worth.model for worth in found}) == 1:
            return found[0]
        words, why = {}, {}
        for quantity in UNITS:
            widest = max(found, key=lambda worth: _width(worth.words[quantity]), default=PREDICTED)
            words[quantity], why[quantity] = widest.words[quantity], widest.why[quantity]
        return Worth("", words, why)

    def models(self) -> list[Worth]:
        """What was asked for, by model."""
        return [self._models[model] for model in sorted(self._models)]

    def _of_model(self, model: str) -> Worth:
        if not model:
            return nothing("", "its device is enrolled without a model")
        held = self._directory.validations.get(model)
        if held is None:
            return nothing(model, "there is no validation record of this model")
        if not held.said:
            return nothing(model, f"the record of this model was withdrawn by {held.by}")
        try:
            record = checked(held)
        except BirddogError as error:
            return nothing(model, f"the record {error}")
        estimated = record.get("estimated")
        if not isinstance(estimated, dict):
            return nothing(model, "the record measured what the device reports, not what the tracker makes of it")
        if estimated.get("tracker") != self._tracker:
            measured = estimated.get("tracker")
            return nothing(model, f"the record measured version {measured} of the tracker; this is {self._tracker}")
        words, why = {}, {}
        for quantity, (unit, unit_words) in UNITS.items():
            part = estimated[quantity]
            if not part["validated"]:
                words[quantity], why[quantity] = NOT, str(part["reason"])
                continue
            words[quantity] = f"validated to {number(part[f'bound_{unit}'])} {unit_words}"
            why[quantity] = f"{record['level']:.0%} of {part['n']} values, {record['made']}, entered by {held.by}"
        return Worth(model, words, why)


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
        for quantity, (unit, _) in UNITS.items():
            if part is not None and not _is_bound(part.get(quantity) if isinstance(part, dict) else None, f"bound_{unit}"):
                raise RecordBroken(f"has no {quantity} of this form")
    return record


def _is_bound(part: Any, name: str) -> bool:
    if not isinstance(part, dict) or not isinstance(part.get("validated"), bool) or type(part.get("n")) is not int:
        return False
    value = part.get(name)
    if part["validated"]:
        return isinstance(value, int | float) and not isinstance(value, bool) and 0.0 <= value < float("inf")
    return isinstance(part.get("reason"), str)
