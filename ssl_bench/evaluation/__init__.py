"""Frozen features of clean images, and what a probe makes of them. Importing this package imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssl_bench.registry import Entry, Registry

if TYPE_CHECKING:
    from ssl_bench.evaluation.probe import Probe

# What every evaluation holds, whatever else is asked for.
ALWAYS = ("linear", "knn")

PROBES: Registry[Probe] = Registry(
    "probe",
    {
        "linear": Entry(
            "ssl_bench.evaluation.linear:LINEAR", "softmax regression, learning rate and decay by held-out"
        ),
        "knn": Entry("ssl_bench.evaluation.knn:KNN", "vote of the nearest training images, several k"),
        "ridge": Entry("ssl_bench.evaluation.ridge:RIDGE", "ridge regression to the classes, in closed form"),
        "logistic": Entry("ssl_bench.evaluation.logistic:LOGISTIC", "logistic regression by L-BFGS"),
        "few_shot": Entry("ssl_bench.evaluation.few_shot:FEW_SHOT", "1, 5, 10 labels a class, many draws"),
        "attentive": Entry("ssl_bench.evaluation.attentive:ATTENTIVE", "attention over tokens, then linear"),
        "finetune": Entry("ssl_bench.evaluation.finetune:FINETUNE", "not frozen: encoder and head trained together"),
    },
)
