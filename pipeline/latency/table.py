"""A latency table: what single operators take on one target.

The file is a measuring journal (`pipeline.measure.journal`): a header with the conditions, then
visits. Reading reduces visits to entries. A table belongs to no search space: any space whose
operators are in it may use it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pipeline.device.fingerprint import Environment
from pipeline.device.target import Target
from pipeline.errors import MissingEntriesError, TableError
from pipeline.latency.table_files import table_to_read
from pipeline.measure.campaign import environment_of
from pipeline.measure.conditions import differences_that_matter
from pipeline.measure.engines import engine_environment
from pipeline.measure.journal import read_journal
from pipeline.measure.statistics import (
    MIN_SWEEPS,
    LatencyStats,
    Visit,
    by_key,
    control_stats,
    reduce_all,
)
from pipeline.space.architecture import Architecture
from pipeline.space.operator_spec import OperatorSpec, parse_key

NETWORK = "net:"
LAYERS = "layers:"


@dataclass(frozen=True)
class LatencyTable:
    """Entries of one target.

    Attributes:
        target: What was measured.
        path: The journal they were read from.
        entries: Statistics by operator key; whole networks under `net:` and their one-line form.
        layers: Visits in which the runtime told the times of a network's operators, by network.
        control: The control network, over the whole journal.
        environment: The machine and software it was measured with; None where it does not say.
        num_visits: Lines of the journal.
    """

    target: Target
    path: Path
    entries: dict[str, LatencyStats]
    layers: dict[str, list[Visit]]
    control: LatencyStats
    environment: Environment | None
    num_visits: int

    @classmethod
    def read(cls, target: Target) -> LatencyTable:
        """Reads a target's table.

        Raises:
            TableError: There is none, it is of another target, damaged, or hardly begun.
            StorageError: The file cannot be read.
        """
        path = table_to_read(target)
        if not path.exists():
            raise TableError(
                f"target {target.name} has no latency table; looked for {path}",
                hint=f"measure it: python run_pipeline.py profile --target {target.name}",
            )
        header, visits = read_journal(path)
        if header.get("target") != target.setting or header.get("device") != target.device_slug:
            raise TableError(
                f"{path} holds {header.get('device')}/{header.get('target')}, "
                f"asked for {target.device_slug}/{target.setting}",
                hint="a table keeps the name it was measured under",
            )
        if len(visits) < MIN_SWEEPS:
            raise TableError(
                f"{path} holds {len(visits)} visits, too few for any entry",
                hint=f"measure on: python run_pipeline.py profile --target {target.name}",
            )
        groups = by_key(visits)
        enough = {
            key: group
            for key, group in groups.items()
            if len(group) >= MIN_SWEEPS and not key.startswith(LAYERS)
        }
        return cls(
            target,
            path,
            reduce_all(enough),
            {key: group for key, group in groups.items() if key.startswith(LAYERS)},
            control_stats(visits),
            environment_of(header),
            len(visits),
        )

    def differences(self) -> tuple[str, ...]:
        """In what the machine and software of the table differ from those at hand."""
        if self.environment is None:
            return ("it does not say what it was measured on",)
        here = engine_environment(self.target.runtime)
        return tuple(differences_that_matter(self.environment, here, self.target.runtime))

    def latency_ms(self, spec: OperatorSpec) -> float:
        """The entry of one operator: its `typical`, in milliseconds.

        Raises:
            MissingEntriesError: It was never measured.
        """
        self.require([spec])
        return self.entries[spec.key].typical

    def require(self, specs: Iterable[OperatorSpec]) -> None:
        """Checks that all operators are here.

        Raises:
            MissingEntriesError: Some are not; names the first, how many, and the nearest entry.
        """
        wanted = list(dict.fromkeys(specs))
        missing = [spec for spec in wanted if spec.key not in self.entries]
        if not missing:
            return
        near = self._nearest(missing[0])
        raise MissingEntriesError(
            f"{self.path} has no entry for {missing[0].key} "
            f"({len(wanted) - len(missing)} of {len(wanted)} measured"
            + (f"; nearest {near})" if near else ")"),
            hint=f"measure it: python run_pipeline.py profile --target {self.target.name}",
        )

    def network_ms(self, architecture: Architecture) -> LatencyStats | None:
        """What a whole network measured in the table's sweeps took, if it was."""
        return self.entries.get(network_key(architecture))

    def _nearest(self, spec: OperatorSpec) -> str | None:
        known = [parse_key(key) for key in self.entries if not key.startswith(NETWORK)]
        alike = [other for other in known if other.kind == spec.kind]
        return min(alike, key=lambda other: _distance(spec, other)).key if alike else None


def network_key(architecture: Architecture) -> str:
    """Under which key a journal holds a whole network."""
    return f"{NETWORK}{architecture.short}"


def _distance(one: OperatorSpec, other: OperatorSpec) -> float:
    """How unlike two operators of a kind are: octaves of size, and steps of kernel and stride."""
    sizes = [
        (one.in_channels, other.in_channels),
        (one.out_channels, other.out_channels),
        (one.resolution, other.resolution),
        (one.expansion, other.expansion),
    ]
    octaves = sum(abs(a - b) / max(a, b) for a, b in sizes)
    return octaves + abs(one.kernel - other.kernel) + 2 * abs(one.stride - other.stride)
