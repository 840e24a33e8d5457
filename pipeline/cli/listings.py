"""What the command line lists: devices, runtimes, profiles, tables, search spaces."""

from __future__ import annotations

from typing import Any, get_args

from pipeline.cli.console import print_json, print_line, print_table
from pipeline.device import runtimes
from pipeline.device.fingerprint import environment
from pipeline.device.target import Precision
from pipeline.files import workspace
from pipeline.files.record import plain
from pipeline.files.yaml_file import read_yaml
from pipeline.latency.table_files import all_targets_with_tables
from pipeline.measure import engines
from pipeline.measure.device_profile import DeviceProfile
from pipeline.space.cost import macs_range
from pipeline.space.operator_spec import parse_choice
from pipeline.space.search_space import check_resolution, get_space, space_names


def list_devices(*, as_json: bool) -> None:
    """Prints what can run here, and why the rest cannot."""
    here = environment()
    found: list[dict[str, Any]] = [
        {
            "name": name,
            "version": engines.version(name),
            "unavailable": engines.unavailable(name),
            "precisions": {
                precision: file
                for precision in get_args(Precision)
                if (file := runtimes.find(name).reads(precision))
            },
        }
        for name in runtimes.names()
    ]
    profiles = [read_yaml(path, DeviceProfile) for path in workspace.profile_files().values()]
    tables = [target.name for target in all_targets_with_tables()]
    if as_json:
        listed = [profile.model_dump(mode="json") for profile in profiles]
        print_json(
            {
                "host": here.device,
                "environment": plain(here),
                "runtimes": found,
                "profiles": listed,
                "tables": tables,
            }
        )
        return
    print_line(f"host is {here.device}: {here.cpu}, {here.cores} cores, {here.memory_gib} GiB")
    for what, told in here.settings.items():
        print_line(f"{what}: {told}")
    print_table(
        "Runtimes on this machine",
        ["runtime", "version", "precisions", "can run"],
        [
            [
                str(told["name"]),
                str(told["version"] or "-"),
                " ".join(told["precisions"]),
                str(told["unavailable"] or "yes"),
            ]
            for told in found
        ],
    )
    print_table(
        "Device profiles",
        ["device", "what it is", "targets"],
        [[p.name, p.description, "\n".join(p.targets)] for p in profiles],
    )
    print_line(f"latency tables: {', '.join(tables) or 'none yet'}")


def list_spaces(resolution: int, *, as_json: bool) -> None:
    """Prints the search spaces: operators, depths, sizes, MACs from smallest to largest."""
    check_resolution(resolution)
    known = [get_space(name) for name in space_names()]
    if as_json:
        print_json(
            {
                "resolution": resolution,
                "spaces": [
                    {
                        "name": space.name,
                        "title": space.title,
                        "operators": list(space.operators),
                        "min_depth": 1,
                        "max_depth": space.max_depth,
                        "stages": len(space.stages),
                        "architectures": space.count(),
                        "macs": list(macs_range(space, resolution)),
                    }
                    for space in known
                ],
            }
        )
        return
    rows = []
    for space in known:
        low, high = macs_range(space, resolution)
        labels = ", ".join(parse_choice(name).label for name in space.operators)
        depth = f"{len(space.stages)} × 1-{space.max_depth}"
        size = f"{low / 1e6:.1f}-{high / 1e6:.1f}"
        rows.append([space.name, space.title, labels, depth, f"{space.count():,}", size])
    print_table(
        f"Search spaces (MACs at {resolution} × {resolution} pixels, 1000 classes)",
        ["space", "from", "operators", "blocks", "architectures", "MMACs"],
        rows,
    )
