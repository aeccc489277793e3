"""Settings, specs and command lines as people and files may give them: right, nearly right, and nothing of the sort."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from pydantic import BaseModel

from ssl_bench.config import Config, flatten
from ssl_bench.noise import NOISES
from ssl_bench.objectives import OBJECTIVES
from ssl_bench.spec import Spec
from ssl_bench.targets import TARGETS

# Settings that would reach out of this process, to the network or to others.
LEFT_ALONE = {
    *("wandb.mode", "dataset.download", "dataset.root", "training.compile", "training.devices", "training.nodes"),
    *("training.strategy", "training.accelerator"),
}
EXTREME = (
    *(
        "0",
        "-1",
        "1e308",
        "1e-320",
        "1e999",
        "-1e999",
        "nan",
        ".nan",
        ".inf",
        "inf",
        str(2**31),
        str(2**63),
        str(10**12),
    ),
    *(
        str(10**30),
        "9" * 5000,
        "true",
        "null",
        "~",
        "[]",
        "{}",
        "",
        "''",
        "[[",
        "]",
        "2024-13-45",
        "!!bool x",
        "&a [*a]",
    ),
    *(
        "é",
        "\u202e",
        "a b",
        "\x00",
        "\ud800",
        "x" * 300,
        "=",
        "==",
        "a=b=c",
        "(",
        ")",
        "gaussian",
        "../..",
        "~nobody/x",
    ),
    *("<script>", "{{7*7}}", "$(id)", "`id`", "%s%n", "'; --", "1" + "0" * 400, "0x", "1_000", "٣", "- ", "[" * 40),
)
# What makes a command small; words that follow may undo it.
SMALL = (
    *("dataset=digits", "dataset.limit=20", "dataset.test_limit=10", "training.epochs=0", "training.batch_size=4"),
    *("training.accelerator=cpu",),
)
JUNK = st.sampled_from(EXTREME) | st.text(max_size=12)
SCALARS: SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), JUNK, st.sampled_from([10**9, 10**30, -1, 0, 1, 2, 0.5])
)
VALUES: SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(JUNK, inner, max_size=2), max_leaves=4
)


def keys() -> list[str]:
    """Every dotted key of a configuration, and the options of every objective."""
    known = set(flatten(Config().model_dump(mode="json")))
    known |= {f"objective.{key}" for name in OBJECTIVES for key in OBJECTIVES.get(name).options_model.model_fields}
    known |= {"dataset.file", "dataset.image_size", "dataset.skip_broken", "dataset.share", "dataset.size", "baselines"}
    return sorted(known - LEFT_ALONE)


def _names() -> SearchStrategy[str]:
    known = [
        *OBJECTIVES,
        *NOISES,
        *TARGETS,
        "digits",
        "spectral",
        "folder",
        "arrays",
        "resnet_micro",
        "vit_micro",
        "mlp",
    ]
    return st.sampled_from(known) | JUNK


# Argument names of a family, and whether each has to be given.
Arguments = dict[str, bool]
SANE: SearchStrategy[Any] = st.sampled_from(
    [0.1, 0.25, 0.5, 1, 2, 4, (0.2, 0.8), (0.1, 0.4), [1, 0.5], [2], "low", "high", 1, 0.5]
)


def specs(families: dict[str, Arguments]) -> SearchStrategy[str]:
    """Texts of the grammar ``name(key=value, ...)``: sane ones, odd ones, some with a letter gone or put in."""
    names, arguments = [*families], sorted({key for family in families.values() for key in family})
    numbers = st.sampled_from([0, 1, 2, 4, 0.5, 0.1, 1e-9, 1e6, 1e300, -1, 10**30]) | st.floats(0, 4)
    plain: SearchStrategy[Any] = numbers | st.sampled_from(["low", "high", "red", "blue", True, None])
    value = st.one_of(
        plain, st.lists(numbers, max_size=4), st.tuples(numbers, numbers), st.lists(plain, max_size=2), JUNK
    )
    # Names and arguments that belong together, more often than not.
    odd = st.builds(Spec, st.sampled_from(names), st.dictionaries(st.sampled_from(arguments), value, max_size=4))
    one = st.one_of(*(_sane(name, known) for name, known in families.items())) | odd
    nested = st.builds(
        lambda name, parts: Spec(name, {"parts": parts}),
        st.sampled_from(["compose", "mixture"]),
        st.lists(one, max_size=3),
    ) | st.builds(lambda start, end: Spec("schedule", {"from": start, "to": end}), one, one)
    written = (one | nested).map(str)
    return st.one_of(written, st.builds(_damaged, written, st.integers(0, 200), JUNK), JUNK)


def _sane(name: str, arguments: Arguments) -> SearchStrategy[Spec]:
    """Specs of a family with what it needs, and some of what it takes."""
    needed = {key: SANE for key, required in arguments.items() if required}
    further = {key: SANE for key, required in arguments.items() if not required}
    return st.builds(Spec, st.just(name), st.fixed_dictionaries(needed, optional=further))


def _damaged(text: str, place: int, put: str) -> str:
    at = place % (len(text) + 1)
    return text[:at] + put[:3] + text[at + 1 :]


def noise_specs() -> SearchStrategy[str]:
    """Specs of noises."""
    return specs({name: _arguments(NOISES.get(name)) for name in NOISES})


def target_specs() -> SearchStrategy[str]:
    """Specs of targets."""
    return specs({name: _arguments(TARGETS.get(name)) for name in TARGETS})


def _arguments(family: type[BaseModel]) -> Arguments:
    return {field.alias or name: field.is_required() for name, field in family.model_fields.items()}


def subspace_specs() -> SearchStrategy[str]:
    """Specs of subspaces."""
    least = {"share": True}
    return specs({"top": least, "bottom": least, "random": {"components": True, "seed": False, "renormalise": False}})


def overrides(most: int = 4) -> SearchStrategy[list[str]]:
    """``key=value`` words."""
    key = st.sampled_from(keys()) | st.sampled_from(["objective", "backbone", "dataset", "a..b", "", "seed.x"]) | JUNK
    text = st.one_of(
        JUNK, _names(), noise_specs(), SCALARS.map(str), st.lists(SCALARS.map(str), max_size=3).map(_listed)
    )
    word = st.builds(lambda key, value: f"{key}={value}", key, text)
    return st.lists(word | JUNK, max_size=most)


def _listed(texts: list[str]) -> str:
    return f"[{','.join(texts)}]"


def yaml_texts() -> SearchStrategy[str]:
    """YAML files: settings with odd values, and texts that are no YAML."""
    sections: dict[str, list[str]] = {}
    for key in keys():
        above, _, below = key.partition(".")
        sections.setdefault(above, []).append(below)

    def section(name: str) -> SearchStrategy[Any]:
        inside = [key for key in sections[name] if key]
        return (st.dictionaries(st.sampled_from(inside) | JUNK, VALUES, max_size=3) if inside else VALUES) | VALUES

    tree = st.fixed_dictionaries({}, optional={name: section(name) for name in sections})
    dumped = (tree | VALUES).map(lambda value: yaml.safe_dump(value))
    doubled = st.builds(lambda one, other: one + other, dumped, dumped)
    return st.one_of(
        dumped, doubled, st.builds(_damaged, dumped, st.integers(0, 200), JUNK), JUNK, st.text(max_size=60)
    )


def commands() -> SearchStrategy[list[str]]:
    """Command lines: every verb and option, with words that suit it and words that do not."""
    option = st.sampled_from(
        ["--json", "--help", "--out", "--no-such", "-x", "--", "--labels", "--knowledge", "--worth"]
    )
    loose = st.lists(option | JUNK, max_size=3)
    small = st.builds(lambda words: [*SMALL, *words], overrides(2))
    spec = noise_specs()
    lines = [
        # Without a word that is always wrong, a comparison of everything by default might begin.
        st.builds(lambda verb, words: [verb, *words, "no.such=1"], st.sampled_from(["pretrain", "compare"]), loose),
        small.map(lambda words: ["pretrain", *words]),
        st.builds(lambda words, target: ["evaluate", target, *words], overrides(2), JUNK),
        st.builds(lambda words, target: ["analyze", target, *words], overrides(2), JUNK),
        overrides(2).map(lambda words: ["align", "dataset.limit=20", *words]),
        st.builds(lambda text, words: ["noise", "show", text, "dataset.limit=20", *words], spec, overrides(1)),
        overrides(1).map(lambda words: ["noise", "design", "dataset.limit=100", "--bands", "4", *words]),
        st.builds(lambda kind: ["list", kind], JUNK | st.sampled_from(["noises", "objectives"])),
        loose.map(lambda words: ["report", *words]),
        loose.map(lambda words: ["noise", *words]),
        loose.map(lambda words: ["runs", *words]),
        st.lists(JUNK, max_size=3),
    ]
    return st.one_of(lines)
