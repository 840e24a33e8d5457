"""Networks of timm: those that everybody can take."""

from __future__ import annotations

import timm

from pipeline.errors import UnknownNameError


def check_timm_name(name: str, what: str, also: tuple[str, ...] = ()) -> None:
    """Refuses a name that timm has no network of.

    Args:
        name: As the user gave it.
        what: What it was to be, for the message.
        also: Names that would have been right besides timm's.

    Raises:
        UnknownNameError: Names the nearest that there is.
    """
    if not timm.is_model(name):
        raise UnknownNameError.of(what, name, [*also, *timm.list_models()])
