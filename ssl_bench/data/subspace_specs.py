"""How a subspace of the training images' principal components is asked for: ``top(share=0.9)``. Imports no torch.

``variances`` are those of the components, largest first.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, field_validator, model_validator

from ssl_bench.config import Options, validate
from ssl_bench.errors import UserError, did_you_mean
from ssl_bench.spec import Spec, parse_spec

if TYPE_CHECKING:
    from torch import Tensor

# Shares that differ by less are equal: they are sums of thousands of rounded numbers.
TOLERANCE = 1e-12


class Subspace(Options):
    """What every subspace has. ``components`` below 1 is a share of their number, from 1 on their number.

    ``renormalise=false`` leaves out that each projected image is divided by its own deviation again.
    """

    components: float | None = Field(None, gt=0)
    renormalise: bool = True

    @field_validator("components")
    @classmethod
    def _whole(cls, value: float | None) -> float | None:
        if value is not None and value >= 1 and value != int(value):
            raise ValueError("a share of the number of components is below 1; from 1 on it is their whole number")
        return value

    @abstractmethod
    def count(self, variances: Tensor, text: str) -> int:
        """The number of dimensions.

        Raises: UserError, which names ``text``, if there are not that many, or none.
        """

    def _of(self, variances: Tensor, text: str) -> int:
        """``components`` of as many as there are, at least one; a share is rounded down."""
        assert self.components is not None
        there = len(variances)
        asked = int(self.components * there + 1e-9) if self.components < 1 else int(self.components)
        if asked > there:
            raise UserError(f"subspace '{text}': the training images have {there} components: ask for fewer")
        return max(1, asked)


class Side(Subspace):
    """Components from one end: as many as hold ``share`` of the variance, or ``components`` of their number."""

    share: float | None = Field(None, gt=0, le=1)

    @model_validator(mode="after")
    def _one_measure(self) -> Self:
        if (self.share is None) == (self.components is None):
            raise ValueError("give share= (of the variance) or components= (of their number), one of the two")
        return self

    @abstractmethod
    def kept(self, variances: Tensor, text: str) -> slice:
        """Which components are kept.

        Raises: UserError as :meth:`Subspace.count` does.
        """

    def count(self, variances: Tensor, text: str) -> int:
        """See :meth:`Subspace.count`."""
        kept = self.kept(variances, text)
        return int(kept.stop - kept.start)


class Top(Side):
    """``top(share)``: the largest components that together hold *less* than ``share``; the one on the border is out.

    So ``top(share=1)`` lacks the smallest component, and ``top(share=s)`` and ``bottom(share=1-s)`` are complements.
    """

    def kept(self, variances: Tensor, text: str) -> slice:
        """See :meth:`Side.kept`."""
        if self.share is None:
            return slice(0, self._of(variances, text))
        number = _within(variances, self.share)
        if number == 0:
            first = float(variances[0] / variances.sum())
            raise UserError(
                f"subspace '{text}' is empty: the first component alone holds {100 * first:.1f} % of the variance; "
                "ask for a larger share"
            )
        return slice(0, number)


class Bottom(Side):
    """``bottom(share)``: the smallest components that together hold ``share`` *or more*: the one on the border is in.

    ``bottom(share=1)`` is all of them.
    """

    def kept(self, variances: Tensor, text: str) -> slice:
        """See :meth:`Side.kept`."""
        there = len(variances)
        if self.share is None:
            return slice(there - self._of(variances, text), there)
        # Of numbers rounded apart, 1 - share may reach the sum of all but nothing: the smallest component is always in.
        return slice(min(_within(variances, 1 - self.share), there - 1), there)


class Random(Subspace):
    """``random(components)``: uniformly random, of so many dimensions; ``random(like=top(share=0.9))``: as that one."""

    like: str | None = None
    seed: int = Field(0, ge=0)

    @field_validator("like", mode="before")
    @classmethod
    def _a_side(cls, value: Any) -> Any:
        if value is None:
            return None
        text = canonical_subspace(str(value))
        if not isinstance(make_subspace(text), Side):
            raise UserError(f"subspace 'random(like={text})': like= names a top or a bottom subspace")
        return text

    @model_validator(mode="after")
    def _one_measure(self) -> Self:
        if (self.like is None) == (self.components is None):
            raise ValueError("give components= (of their number) or like= (another subspace), one of the two")
        return self

    def count(self, variances: Tensor, text: str) -> int:
        """See :meth:`Subspace.count`."""
        return self._of(variances, text) if self.like is None else make_subspace(self.like).count(variances, text)


FORMS: dict[str, type[Subspace]] = {"top": Top, "bottom": Bottom, "random": Random}


def make_subspace(text: str) -> Subspace:
    """The subspace a spec names: ``bottom(share=0.2)``.

    Raises: UserError for an unknown name, an unknown or ill-typed argument, or text that is no spec.
    """
    spec = parse_spec(text)
    if spec.name not in FORMS:
        raise UserError(f"unknown subspace {spec.name!r}; {did_you_mean(spec.name, FORMS)}")
    return validate(FORMS[spec.name], spec.arguments, f"subspace '{spec}'")


def canonical_subspace(text: str) -> str:
    """The one way to write a subspace: validated values, without those that are as ever.

    Raises: UserError as :func:`make_subspace` does.
    """
    given = make_subspace(text).model_dump(exclude_defaults=True)
    order = sorted(given, key=("share", "components", "like", "seed", "renormalise").index)
    return str(Spec(parse_spec(text).name, {key: _argument(key, given[key]) for key in order}))


def _argument(key: str, value: Any) -> Any:
    return parse_spec(value) if key == "like" else value


def _within(variances: Tensor, share: float) -> int:
    """How many of the largest components together hold less than ``share``."""
    return int((variances.cumsum(0) / variances.sum() < share * (1 - TOLERANCE)).sum())
