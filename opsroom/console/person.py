"""What a person does at the console: acknowledge an alert, decide something of a track; each is an entry of the journal."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from birddog import model
from birddog.units import NS, ns_from_text
from opsroom.console import openapi, views
from opsroom.console.answers import body_of, by_of, json_answer
from opsroom.console.source import Source
from opsroom.picture_view import View

#: False alarms are counted over so many shifts at most.
SHIFTS = 21
#: Characters of a device's or a track's name.
DEVICE_MOST = 200
#: What was told in several operations is looked for among so many alerts, the newest that nobody waits for.
REOPENED = 1000


class Person:
    """The endpoints.

    Args:
        act_all: as in ``server.make_app``.
        view: the picture as whoever asks may see it.
    """

    def __init__(
        self, source: Source, act_all: Callable[[list[model.Decision]], list[int]], view: Callable[[Request], View],
    ):  # fmt: skip
        self.source, self.act_all, self.view = source, act_all, view

    async def acknowledge(self, request: Request) -> Response:
        alert_id = request.path_params["alert_id"]
        body = await body_of(request, openapi.AcknowledgeBody)
        by = by_of(request, body.by, "operator")
        alert = await self.source.run(self.view(request).alert, alert_id)
        if alert is None:
            raise HTTPException(404, f"no alert {alert_id!r}")
        found = await self.source.run(self._same, self.view(request), alert)
        decisions = [model.Decision(action="acknowledge", subject=one.alert_id, by=by, note=body.note[:2000],
                                    operation=one.operation, false=body.false) for one in found]  # fmt: skip
        # not on the reading thread: the writer answers when the entry is on disk
        numbers = await asyncio.get_running_loop().run_in_executor(None, self.act_all, decisions)
        return json_answer(openapi.Acknowledged(alert_id, numbers[0]))

    @staticmethod
    def _same(view: View, alert: model.Alert) -> list[model.Alert]:
        """An alert and those that tell of the same thing in other operations: a door on a case's ground is told in both."""
        key = views.group_of(alert)
        others = [one for _, one in view.open_alerts() if one.alert_id != alert.alert_id and views.group_of(one) == key]
        return [alert, *sorted(others, key=lambda one: one.alert_id)]

    async def acknowledge_group(self, request: Request) -> Response:
        """Thousands of alerts of one kind (a link that was down, a harbour gone silent) are one decision of a person."""
        body = await body_of(request, openapi.AcknowledgeGroupBody)
        by, view = by_of(request, body.by, "operator"), self.view(request)

        def read() -> list[tuple[str, str]]:
            return [(a.alert_id, a.operation) for revision, a in view.open_alerts()
                    if a.kind == body.kind and body.operation in (None, a.operation)
                    and body.severity in (None, a.severity) and (not body.seq or revision <= body.seq)]

        subjects = await self.source.run(read)
        note = body.note[:2000]
        decisions = [model.Decision(action="acknowledge", subject=subject, by=by, note=note, operation=operation,
                                    false=body.false)
                     for subject, operation in subjects]
        numbers = await asyncio.get_running_loop().run_in_executor(None, self.act_all, decisions) if decisions else [0]
        return json_answer(openapi.AcknowledgedGroup(len(decisions), numbers[-1]))

    async def budget(self, request: Request) -> Response:
        """How many false alarms a shift were asked for, and how many persons said that there were."""
        view = self.view(request)

        def read() -> openapi.Budget:
            asked, now_ns = view.asked(), self.source.now_ns()
            shift_ns = int(asked.alerts.shift_s * NS)
            closed = view.closed_since(now_ns - SHIFTS * shift_ns)
            false = [one.acknowledged_ns for one in closed if one.false and one.acknowledged_ns is not None]
            since_ns = max(min((one.raised_ns for one in closed), default=now_ns), now_ns - SHIFTS * shift_ns)
            shifts = max((now_ns - since_ns) / shift_ns, 1.0)
            return openapi.Budget(
                asked=asked.alerts.false_per_shift, shift_h=asked.alerts.shift_h, cases=asked.alerts.cases,
                false=sum(at >= now_ns - shift_ns for at in false),
                measured=round(sum(at >= since_ns for at in false) / shifts, 2), shifts=round(shifts, 2),
                thresholds=asked.thresholds,
            )  # fmt: skip

        return json_answer(await self.source.run(read))

    async def decide(self, request: Request) -> Response:
        """A person decides something of a track; the fold obeys it when it comes to the entry."""
        body = await body_of(request, openapi.DecisionBody)
        by, time_ns = by_of(request, body.by, "operator"), None
        operation = await self.source.run(self._operation_of, self.view(request), body)
        if operation is None:
            what = {"undo": "decision", "reopen": "alert"}.get(body.action, "track")
            raise HTTPException(404, f"no {what} {body.subject!r}")
        if body.action == "false_fix":
            try:
                time_ns = ns_from_text(body.time)
            except ValueError as error:
                raise HTTPException(422, f"time: {error}") from error
        await self.source.run(self._checked, self.view(request), body)
        decision = model.Decision(
            action=body.action, subject=body.subject, by=by, note=body.note[:2000], device=body.device, other=body.other,
            time_ns=time_ns, operation=operation,
        )  # fmt: skip
        decisions = [decision]
        if body.action in ("undo", "reopen"):
            decisions = await self.source.run(self._reopening, self.view(request), decision)
        numbers = await asyncio.get_running_loop().run_in_executor(None, self.act_all, decisions)
        return json_answer(openapi.Decided(f"D{numbers[0]}", numbers[0]))

    @staticmethod
    def _checked(view: View, body: openapi.DecisionBody) -> None:
        """Refuse, by field, what the tracks' own rows say cannot be; the rest is the fold's to say."""
        for name, text in (("device", body.device), ("other", body.other)):
            if len(text) > DEVICE_MOST:
                raise HTTPException(422, f"{name}: more than {DEVICE_MOST} characters")
        if body.action in ("undo", "reopen") or (one := view.track(body.subject)) is None:
            return
        contact = body.action in ("identify", "confirm_dark", "dismiss_dark")
        if contact == bool(one.tag_id):
            why = "has an identity: it is no contact" if contact else "is a contact"
            raise HTTPException(422, f"subject: {body.subject} {why}")
        if one.status == "deleted" and not body.action.endswith("_dark"):  # what an image showed is known again after days
            raise HTTPException(422, f"subject: {body.subject} is no more")
        if body.action == "split" and body.device not in one.identities:
            raise HTTPException(422, f"device: {body.device!r} is none of {body.subject}'s: {', '.join(one.identities)}")
        if body.action not in ("merge", "identify"):
            return
        other = view.track(body.other)
        if other is None:
            raise HTTPException(404, f"other: no track {body.other!r}")
        for wrong, why in ((other.track_id == one.track_id, "is the same track"), (other.status == "deleted", "is no more"),
                           (not other.tag_id, "is a contact"), (other.operation != one.operation, "is another operation's")):
            if wrong:
                raise HTTPException(422, f"other: {body.other} {why}")

    def _decision(self, number: int) -> model.Decision | None:
        """The decision that an entry of the journal holds."""
        found = [one for one in self.source.journal.read(number - 1, 1) if one.seq == number and one.kind == "decision"]
        body = model.unpack(found[0]) if found else None
        return body if isinstance(body, model.Decision) else None

    def _reopening(self, view: View, undo: model.Decision) -> list[model.Decision]:
        """The undoing of an acknowledgement is the alert's, not the fold's; of each that was acknowledged with it."""
        subject = undo.subject
        if undo.action == "undo":
            old = self._decision(int(undo.subject[1:]))
            if old is None or old.action != "acknowledge":
                return [undo]
            subject = old.subject
        alert = view.alert(subject)
        key = None if alert is None else views.group_of(alert)
        told = [one for _, one in view.closed_alerts(REOPENED) if key is not None and views.group_of(one) == key]
        others = sorted((one.alert_id, one.operation) for one in told if one.alert_id != subject)
        return [msgspec.structs.replace(undo, action="reopen", subject=name, operation=operation)
                for name, operation in [(subject, undo.operation), *others]]

    def _operation_of(self, view: View, body: openapi.DecisionBody) -> str | None:
        """The operation of what a decision is about; None: there is no such thing."""
        if body.action == "reopen":
            alert = view.alert(body.subject)
            return None if alert is None else alert.operation
        if body.action != "undo":
            track = view.track(body.subject)
            return None if track is None else track.operation
        if re.fullmatch("D[1-9][0-9]{0,15}", body.subject) is None:
            return None
        old = self._decision(int(body.subject[1:]))
        if old is None or not view.rights.may(old.operation):
            return None
        if old.action in ("undo", "reopen"):
            raise HTTPException(422, f"subject: {body.subject} took {old.subject} back: that is given again, not undone")
        return old.operation
