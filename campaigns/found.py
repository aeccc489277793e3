"""What the campaign of bad inputs found, and a look at each claim before it: kept, so that the table says it."""

from __future__ import annotations

from typing import NamedTuple


class Found(NamedTuple):
    """A bug: what was given, what happened, what happens now."""

    given: str
    happened: str
    now: str


FOUND = (
    Found("a YAML key given twice", "the last one won without a word", "an error that names key and lines"),
    Found("YAML references that stand for a billion values", "the memory was filled", "refused above 100,000 values"),
    Found("lists nested some thousand deep, in YAML or a word", "a traceback (recursion)", "refused below 20 levels"),
    Found("`2024-13-45`, `!!bool x`, 5,000 digits as a value", "a traceback out of PyYAML", "a word, or one line"),
    Found("a key that is no word (`08=`, `no: 1`)", "a traceback out of the message itself", "an unknown key"),
    Found("a spec with nested brackets by the hundred, half a surrogate pair, `{[]: 1}`", "a traceback", "one line"),
    Found("a value or spec of 10,000 letters", "all of it in the message, twice", "at most 2,000 letters a message"),
    Found(
        "`pca(gains=[1])`, as a target or a noise", "one gain spoke for one component: a traceback", "for all of them"
    ),
    Found("torch files cut off early", "a traceback out of torch's reader", "one line that names the file"),
    Found("torch files whose containers hold themselves", "a traceback (recursion)", "refused below 20 levels"),
    Found("a link in a circle, or to nothing, in a folder of images", "exit status 1, or left out in silence", "named"),
    Found("a pipe called `x.png`", "left out in silence", "named"),
    Found("an animated GIF, or a TIFF of several pages", "its first picture was taken in silence", "named"),
    Found(
        "PostScript called `x.png`", "Ghostscript was started on it, where installed", "no decoder but seven is tried"
    ),
    Found("an archive that unpacks to terabytes, or whose arrays say so", "the memory was filled", "refused before"),
    Found("`~nobody/x`, 300 letters, a null as a file name", "a traceback", "one line that names the setting"),
    Found(
        "`latent_dim=1000000`, `decoder_width=10**9`", "a traceback out of the allocator", "counted before it is built"
    ),
    Found("`epochs=10**12`", "a run without an end", "bounds far above what is meant"),
    Found("`sigma=1e300`", "a verdict made of infinite numbers", "bounds far above what is meant"),
    Found("a summary.json that names `../../elsewhere`", "runs of other folders were reported", "its own folder alone"),
    Found("folders that link to each other", "looked through without an end", "each is looked into once"),
    Found("records of another form in one run", "no report of any", "that run is left out, and named"),
    Found("names such as `=cmd()`", "a formula in the CSV", "an apostrophe before it"),
    Found(
        "a folder called after a Markdown fence", "ended the block of commands", "the fence is longer than any in it"
    ),
    Found("`dataset: [[]]` in a comparison", "a traceback (unhashable)", "an unknown dataset"),
    Found("`SLURM_JWT` in the environment of a run mirrored at wandb", "in the file of wandb", "nowhere"),
    Found("an option that is none", "three lines", "one line"),
)
