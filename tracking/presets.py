"""What the tracker assumes of each class of object, and its few general settings, as typed structs.

The values come from the journal's last ``start`` entry (rule 1 of the house: nothing outside the journal
changes a track); what a ``start`` does not name has the default written here.  How things move stands in ``tracking.bank``
(``MODES``: the same motions for every class, which only makes some of them likelier); here is what a class says of its
receivers, and the one plain motion of the reference engines: a velocity driven by white noise of density ``q`` m²/s³ that
decays with ``tau_s`` (0 = never: constant velocity).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from birddog.errors import UsageError
from birddog.model import Device
from tracking.budget import AlertBudget

Positive = Annotated[float, msgspec.Meta(gt=0.0, le=1e9)]
NotNegative = Annotated[float, msgspec.Meta(ge=0.0, le=1e9)]


class ClassPreset(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One class of object.

    Args:
        q, tau_s: acceleration noise, m²/s³, and time constant with which the velocity decays (0: constant velocity) of the
            engines ``plain`` and ``filterpy``.
        sigma_m: one sigma per axis of a fix that does not say its own.
        velocity_sigma_mps: one sigma per axis of a velocity that a device states (speed and course).
        speed_sigma_mps: one sigma per axis of the unknown velocity of a new track.
        max_speed_mps: a class's own top speed: a track that moves faster is told of (``jumped``), and followed.
        gate: a read, sighting or stated velocity whose NIS (2 degrees of freedom) is larger is not used.
    """

    q: Positive
    tau_s: NotNegative = 0.0
    sigma_m: Positive = 10.0
    velocity_sigma_mps: Positive = 1.0
    speed_sigma_mps: Positive = 10.0
    max_speed_mps: Positive = 60.0
    gate: Positive = 25.0


#: The class of what stands where it is: a base station, a buoy.
STATION = "station"
DEFAULT_CLASSES: dict[str, ClassPreset] = {
    "walker": ClassPreset(
        q=0.02, tau_s=60.0, sigma_m=8.0, velocity_sigma_mps=0.5, speed_sigma_mps=2.0, max_speed_mps=12.0
    ),
    "van": ClassPreset(q=0.1, tau_s=40.0, sigma_m=8.0, speed_sigma_mps=8.0, max_speed_mps=60.0),
    "lorry": ClassPreset(q=0.05, tau_s=120.0, sigma_m=8.0, speed_sigma_mps=10.0, max_speed_mps=45.0),
    "vessel": ClassPreset(
        q=0.002, tau_s=1800.0, sigma_m=10.0, velocity_sigma_mps=0.3, speed_sigma_mps=6.0,
        max_speed_mps=40.0,
    ),
    "aircraft": ClassPreset(
        q=1.0, tau_s=600.0, sigma_m=20.0, velocity_sigma_mps=2.0, speed_sigma_mps=80.0, max_speed_mps=350.0
    ),
    "parcel": ClassPreset(q=0.1, tau_s=60.0, sigma_m=15.0, speed_sigma_mps=8.0, max_speed_mps=60.0),
    STATION: ClassPreset(q=0.001, tau_s=60.0, sigma_m=10.0, speed_sigma_mps=1.0, max_speed_mps=5.0),
}  # fmt: skip
#: An object of which nothing is said.
UNKNOWN = ClassPreset(q=0.1, tau_s=60.0, sigma_m=10.0, speed_sigma_mps=10.0, max_speed_mps=80.0)


#: The interval of a device that was enrolled without one, until it is learnt, s.
UNSAID_S = 60.0
#: No device reports seldomer than this (30 years): what is entered beyond is no interval.
SELDOMEST_S = 1e9


def interval_of(device: Device) -> float:
    """How often an enrolled device should report, s: as if nothing were said where that is no time between two messages."""
    return device.interval_s if is_said(device) else UNSAID_S


def is_said(device: Device) -> bool:
    """Whether somebody said how often a device should report."""
    return 0.0 < device.interval_s <= SELDOMEST_S


class Presets(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that a ``start`` entry may set for the tracker.

    Args:
        engine: ``birddog`` (the bank of motions); ``plain``, one motion alone; ``filterpy``, the same by filterpy (the
            reference, some twenty times slower).
        classes: class presets by name; a class named here replaces the default of that name.
        interval_s: how often a device is expected to report that is not enrolled.
        coast_factor, silent_factor: a track is *coasting* without a position for ``coast_factor`` × its device's interval,
            and *silent* without any message for ``silent_factor`` × it: a tag of 10 s coasts from 25 s and is silent from 50 s.
        sweep_s: statuses are decided and rows of waiting tracks renewed at the first entry after this time.
        silent_row_s: the same for silent tracks.
        late_s, late_count: a track keeps its measurements for late data: those of the last ``late_s``, and at least so many.
        ahead_s: a device time further ahead of the arrival than this is not believed.
        reinit_count: so many refused fixes in a row that agree with each other mean that the track has moved.
        reinit_s: after such a gap one fix is enough that can have been travelled to by any means.
        sighting_gate: chi-square 0.999, 2 degrees of freedom.
        sighting_pd, clutter_per_km2: what a sensor that says nothing of itself is taken to see, and to see that is nothing.
        new_per_km2: how many objects that nobody knows of may come into view, per km² and look.
        trigger_per_km2: how many other things per km² set off a motion sensor.
        confirm_hits, confirm_score: an anonymous track is confirmed with so many sightings and such a log-likelihood ratio.
        tentative_s, anonymous_s, contact_s: without a sighting a tentative, a confirmed anonymous track and a contact of a
            single look from above are deleted.
        broadcast_lost_s, broadcast_end_s: of what tells everybody where it is (AIS): not heard for so long it is lost (no
            alert: it left the range), and its track ends.
        read_window_s: reads of one tag by one reader within such a window are one measurement.
        alarm_window_s: the same alarm of one device again within this time is no new event.
        events: by which rules stops, encounters and the like are told (docs/events.md): ``quick`` (minutes), ``reference``
            (the hours of Global Fishing Watch), ``off``.
        alerts: the budget of false alarms (``[alerts]`` of the TOML; ``tracking.budget``).
    """

    engine: Literal["birddog", "plain", "filterpy"] = "birddog"
    classes: dict[str, ClassPreset] = {}
    interval_s: Positive = 60.0
    coast_factor: Positive = 2.5
    silent_factor: Positive = 5.0
    sweep_s: Positive = 5.0
    silent_row_s: Positive = 60.0
    late_s: Positive = 120.0
    late_count: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 64
    ahead_s: Positive = 120.0
    reinit_count: Annotated[int, msgspec.Meta(ge=2)] = 3
    reinit_s: Positive = 1800.0
    sighting_gate: Positive = 13.815510557964274
    sighting_pd: Annotated[float, msgspec.Meta(gt=0.0, lt=1.0)] = 0.9
    clutter_per_km2: Positive = 0.1
    new_per_km2: Positive = 0.02
    trigger_per_km2: Positive = 10.0
    confirm_hits: Annotated[int, msgspec.Meta(ge=1)] = 2
    confirm_score: Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)] = 5.0
    tentative_s: Positive = 20.0
    anonymous_s: Positive = 60.0
    contact_s: Positive = 3600.0
    broadcast_lost_s: Positive = 1200.0
    broadcast_end_s: Positive = 86_400.0
    read_window_s: Positive = 5.0
    alarm_window_s: Positive = 300.0
    events: Literal["quick", "reference", "off"] = "quick"
    alerts: AlertBudget = AlertBudget()

    def of(self, klass: str) -> ClassPreset:
        """The preset of a class; of an unknown one, ``UNKNOWN``."""
        found = self.classes.get(klass)
        return found if found is not None else DEFAULT_CLASSES.get(klass, UNKNOWN)


#: Keys of a class that an older journal's ``start`` may hold; they say nothing any more.
RETIRED = frozenset({"q_agile", "agile", "agile_s"})
#: The same of the general settings.
RETIRED_SETTINGS = frozenset({"tentative_misses", "confirmed_misses"})


def _present(values: dict[str, Any]) -> dict[str, Any]:
    """The values without what older versions had."""
    values = {name: value for name, value in values.items() if name not in RETIRED_SETTINGS}
    classes = values.get("classes")
    if not isinstance(classes, dict):
        return values
    kept = {
        name: {k: v for k, v in preset.items() if k not in RETIRED} if isinstance(preset, dict) else preset
        for name, preset in classes.items()
    }
    return {**values, "classes": kept}


def presets_from(values: dict[str, Any]) -> Presets:
    """Typed presets from what a configuration or a ``start`` entry holds.

    Raises:
        UsageError: an unknown key, or a value of the wrong type or range.
    """
    try:
        return msgspec.convert(_present(values), Presets)
    except msgspec.ValidationError as error:
        raise UsageError(f"tracking presets: {error}") from None
