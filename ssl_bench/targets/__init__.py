"""What a reconstruction is asked for: the image, or the image weighted band by band. The twin of noise.

Importing this package imports no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssl_bench.config import validate
from ssl_bench.registry import Entry, Registry
from ssl_bench.spec import Spec, parse_spec

if TYPE_CHECKING:
    from ssl_bench.targets.base import Target

_HOME = "ssl_bench.targets"

TARGETS: Registry[type[Target]] = Registry(
    "target",
    {
        "band": Entry(f"{_HOME}.rings:Band", "one ring of frequencies: band(low, high)"),
        "bottom": Entry(f"{_HOME}.components:Bottom", "components of the last share of the variance: bottom(share)"),
        "pca": Entry(f"{_HOME}.components:PCATarget", "one weight a band of principal components: pca(gains=[...])"),
        "spectrum": Entry(f"{_HOME}.rings:Spectrum", "one weight a ring of frequencies: spectrum(gains=[...])"),
        "top": Entry(f"{_HOME}.components:Top", "components of the first share of the variance: top(share)"),
    },
)


def make_target(text: str) -> Target:
    """The target a spec names: ``pca(gains=[0, 1, 1])``.

    Raises: UserError for an unknown name, an unknown or ill-typed argument, or text that is no spec.
    """
    spec = parse_spec(text)
    return validate(TARGETS.get(spec.name), spec.arguments, f"target '{spec}'")


def canonical_target(text: str) -> str:
    """The one way to write a target: validated values, in the order of its fields.

    Raises: UserError as :func:`make_target` does.
    """
    values = make_target(text).model_dump(exclude_unset=True)
    listed = {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
    return str(Spec(parse_spec(text).name, listed))
