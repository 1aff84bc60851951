"""What runs together: the whole configuration and the plan of one run.

The only module that knows every room's settings.  ``opsroom.roles`` holds the processes,
``opsroom.supervise`` starts them.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from birddog import config
from birddog.errors import ConfigError, UsageError
from birddog.journal import Home, home
from imagery.settings import Settings as ImagerySettings
from ingest import transports
from ingest.address import is_loopback
from ingest.transport import Kind
from ingest.writer import Settings as JournalSettings
from opsroom.console.settings import Settings as ConsoleServer
from opsroom.foresight import Settings as ForecastSettings
from opsroom.run_options import ROLES, Role
from opsroom.stamps import Authority
from opsroom.stamps import Settings as EvidenceSettings
from opsroom.witnesses import Settings as WitnessSettings
from opsroom.witnesses import check as check_witnesses
from tracking.budget import AlertBudget
from tracking.presets import Presets


class ConsoleSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[console]``.

    Args:
        host, port: where to listen; beyond loopback only with TLS and tokens.
        hosts: further names a browser may use for this server.
        tls_cert, tls_key: PEM files.
        tokens: who may look: name -> file that holds the secret (mode 0600).
    """

    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65_535)] = 8080
    hosts: tuple[str, ...] = ()
    tls_cert: str | None = None
    tls_key: str | None = None
    tokens: dict[str, str] = {}


def _section(kind: Kind) -> tuple[str, Any, Any]:
    """The field of a kind of transport; of which there may be many, a list that is empty where it is absent."""
    each: Any = kind.settings
    return (kind.section, tuple[each, ...], ()) if kind.many else (kind.section, kind.settings, kind.settings())


if TYPE_CHECKING:
    from ingest.endpoint_settings import Settings as EndpointSettings

    class Transports(msgspec.Struct, frozen=True, kw_only=True):
        """What a checker of types sees of the struct below."""

        endpoint: EndpointSettings = EndpointSettings()
else:
    #: The sections of the transports, as ``ingest.transports`` knows them.
    Transports = msgspec.defstruct("Transports", [_section(kind) for kind in transports.kinds()], frozen=True, kw_only=True)


class Config(Transports, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole TOML; a section that is absent has its defaults, a list that is absent is empty."""

    journal: JournalSettings = JournalSettings()
    console: ConsoleSettings = ConsoleSettings()
    imagery: ImagerySettings | None = None
    tracking: Presets = Presets()
    alerts: AlertBudget = AlertBudget()
    forecast: ForecastSettings = ForecastSettings()
    witness: tuple[WitnessSettings, ...] = ()
    evidence: EvidenceSettings | None = None

    def presets(self) -> Presets:
        """What a start enters: ``[tracking]`` with ``[alerts]``."""
        return self.tracking if self.alerts == AlertBudget() else msgspec.structs.replace(self.tracking, alerts=self.alerts)

    def transports(self) -> Iterator[tuple[Kind, Any]]:
        """Each kind with its settings, a row at a time, in the order in which they are started."""
        for kind in transports.kinds():
            found = getattr(self, kind.section)
            yield from ((kind, settings) for settings in (found if kind.many else (found,)))


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One run: the configuration with the flags laid over it."""

    config: Config
    exercise: bool
    messages_clock: bool
    roles: tuple[Role, ...]

    @property
    def home(self) -> Home:
        """Where everything lies that stands beside the journal."""
        return home(self.config.journal.url)

    def console_server(self) -> ConsoleServer:
        """The console's own settings, with the secrets read."""
        own = self.config.console
        tokens = {name: config.read_secret(Path(file), setting=f"console.tokens.{name}") for name, file in own.tokens.items()}
        return ConsoleServer(host=own.host, port=own.port, hosts=own.hosts, exercise=self.exercise, tls_cert=own.tls_cert,
                             tls_key=own.tls_key, tokens=tokens)


def plan_of(args: argparse.Namespace) -> Plan:
    """The plan that a command line asks for.

    Raises:
        UsageError, ConfigError: a wrong file, key or flag.
    """
    whole = config.load(Path(args.config), Config) if args.config else Config()
    changes: dict[str, Any] = {}
    if args.journal is not None:
        changes["journal"] = msgspec.structs.replace(whole.journal, url=args.journal)
    if args.mqtt_port is not None:
        changes["endpoint"] = msgspec.structs.replace(whole.endpoint, port=_port(args.mqtt_port, "--mqtt-port"))
    if args.http_port is not None:
        changes["console"] = msgspec.structs.replace(whole.console, port=_port(args.http_port, "--http-port"))
    whole = msgspec.structs.replace(whole, **changes)
    try:
        folder = home(whole.journal.url).folder
    except UsageError as error:
        raise UsageError(error.message, field="journal.url") from error
    if args.clock == "messages" and not args.exercise:
        raise UsageError("messages needs --exercise: a live run keeps the wall's time", field="--clock")
    if args.exercise and not is_loopback(whole.console.host):
        raise ConfigError("an exercise listens on loopback only", field="console.host")
    roles = tuple(role for role in ROLES if role in args.only) if args.only else ROLES
    if whole.imagery is None:
        if "imagery" in args.only:
            raise UsageError("imagery needs a section [imagery] that names a folder", field="--only")
        roles = tuple(role for role in roles if role != "imagery")
    plan = Plan(config=whole, exercise=args.exercise, messages_clock=args.clock == "messages", roles=roles)
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}", field="journal.url")
    _check(plan)
    return plan


def _check(plan: Plan) -> None:
    """What each process would refuse of its settings, found before any is started.

    Raises:
        UsageError, ConfigError: the field names section and key, and the row by its name.
    """
    whole, names = plan.config, set()
    for kind, row in whole.transports():
        if kind.many:
            if not row.name or not row.name.isprintable() or "'" in row.name:
                raise ConfigError("wants a printable name without quotation marks", field=f"{kind.section} {row.name!r}.name")
            if row.name in names:
                raise ConfigError(f"two sources are called {row.name!r}", field=f"{kind.section} {row.name!r}.name")
            names.add(row.name)
    if "ingest" in plan.roles:
        for kind, row in whole.transports():
            kind.check(row, plan.exercise)
        check_witnesses(whole.witness)
        if whole.evidence is not None:
            Authority(whole.evidence)
    if "console" in plan.roles:
        plan.console_server().check()
        whole.forecast.check()
    if "imagery" in plan.roles and whole.imagery is not None and not os.path.isdir(whole.imagery.folder):
        raise ConfigError(f"there is no folder {whole.imagery.folder}", field="imagery.folder")


def _port(value: int, option: str) -> int:
    if not 0 <= value <= 65535:
        raise UsageError("wants a port, 0 to 65535", field=option)
    return value
