"""What comes from files is data: it runs no code, takes no more than its share, and breaks no page it is shown on."""

import ast
from pathlib import Path

import pytest

from ssl_bench.config import Config, validate
from ssl_bench.errors import UserError
from ssl_bench.overrides import load_config, parse_value
from ssl_bench.runs.directory import RunDirectory

ROOT = Path(__file__).parent.parent
NINE_TIMES_NINE = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGED = "a: &a {x: 1}\n" + "".join(
    f"{name}: &{name} {{<<: [{', '.join([f'*{before}'] * 9)}]}}\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


# YAML


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 1\nnoise: null\nseed: 2\n", r"line 3: key 'seed' is given twice, first in line 1"),
        ("training: {epochs: 1, epochs: 2}", r"line 1: key 'epochs' is given twice"),
        ("seed: !!python/object/apply:os.mkdir [made]", "could not determine a constructor"),
        ("seed: !!python/name:os.system", "could not determine a constructor"),
        (NINE_TIMES_NINE, "stands for more than 100,000 values"),
        (MERGED, "stands for more than 100,000 values"),
        ("seed: &a [*a]", "a value holds itself"),
        ("seed: &a {b: {<<: *a}}", "a value holds itself"),
        (f"seed: {'[' * 21}{']' * 21}", "nested too deeply"),
        (f"seed: {'{a: ' * 5000}", "nested too deeply"),
        ("".join(f"a{i}: &a{i} [{f'*a{i - 1}' if i else ''}]\n" for i in range(30)), "nested too deeply"),
        ("seed: 2024-13-45", "line 1|month must be in"),
        (f"seed: {'9' * 5000}", "not readable as YAML"),
        ("seed: !!bool perhaps", "not readable as YAML"),
        ("no: 1", "key False is no word"),
        ("training: {1: 2}", "key 1 is no word"),
        ("x" * 1_000_001, "more than a configuration has"),
        ("seed: \x00", "not readable as YAML"),
    ],
)
def test_yaml_is_plain_data_and_of_a_size(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    file = Path("settings.yaml")
    file.write_text(text)
    with pytest.raises(UserError, match=message) as refused:
        load_config(file)
    assert str(refused.value).startswith("settings.yaml: ")
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 1000
    assert not Path("made").exists()


def test_a_file_that_never_ends_is_refused(monkeypatch):
    monkeypatch.setattr("ssl_bench.overrides.find_config", Path)
    with pytest.raises(UserError, match="more than a configuration has"):
        load_config("/dev/zero")


def test_references_that_are_no_trick_are_taken(tmp_path):
    (tmp_path / "mine.yaml").write_text("training: &a {epochs: 3}\nevaluation: {<<: {seed: 4}, seed: 5}\n")
    raw = load_config(tmp_path / "mine.yaml")
    assert raw == {"training": {"epochs": 3}, "evaluation": {"seed": 5}}


def test_the_configuration_of_a_run_is_read_no_less_carefully(tmp_path):
    (tmp_path / "run.json").write_text("{}")
    for text in ("seed: 1\nseed: 2\n", "seed: !!python/name:os.system", NINE_TIMES_NINE):
        (tmp_path / "config.yaml").write_text(text)
        with pytest.raises(UserError, match=r"config\.yaml: "):
            RunDirectory(tmp_path).config()


@pytest.mark.parametrize(
    "text", ["2024-13-45", "!!bool perhaps", "9" * 5000, "&a [*a]", "{" * 5000, "!!python/name:os.system"]
)
def test_an_override_that_is_no_yaml_is_a_word(text):
    assert parse_value(text) == text


def test_a_long_value_is_not_all_of_a_message():
    with pytest.raises(UserError) as refused:
        validate(Config, {"seed": ["x" * 10_000] * 100})
    assert len(str(refused.value)) < 500


def test_a_message_is_shown_and_not_obeyed():
    assert str(UserError("file \x1b[2J\x07.png\nis broken")) == r"file \x1b[2J\x07.png is broken"


# the source


def sources():
    return [*(ROOT / "ssl_bench").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py"), *(ROOT / "scripts").glob("*.py")]


def dangers(tree):
    """What would run or unpickle what a file says, as (line, what)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name.partition(".")[0] for alias in node.names} | {getattr(node, "module", None)}
            for name in names & {"dill", "joblib", "cloudpickle", "shelve", "marshal"}:
                yield node.lineno, name
        if not isinstance(node, ast.Call):
            continue
        called, given = ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}
        if called in ("eval", "exec", "compile", "__import__", "os.system", "os.popen"):
            yield node.lineno, called
        if called.startswith("pickle.") or called in ("yaml.load", "yaml.unsafe_load", "yaml.full_load"):
            yield node.lineno, called
        if called == "torch.load" and given.get("weights_only") != "True":
            yield node.lineno, "torch.load without weights_only=True"
        if called in ("np.load", "numpy.load") and given.get("allow_pickle") != "False":
            yield node.lineno, "np.load without allow_pickle=False"
        if given.get("shell") not in (None, "False"):
            yield node.lineno, "shell"


def test_the_source_runs_nothing_that_a_file_says():
    found = [f"{file}:{line}: {what}" for file in sources() for line, what in dangers(ast.parse(file.read_text()))]
    assert not found


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(f)", "torch.load(f, weights_only=False)", "np.load(f)", "np.load(f, allow_pickle=True)", "eval(x)",
        "yaml.load(f, Loader=L)", "pickle.loads(b)", "subprocess.run(c, shell=True)", "import joblib", "exec(x)",
        "from dill import loads", "os.system(x)",
    ],
)  # fmt: skip
def test_what_is_looked_for_in_the_source_is_found(line):
    assert list(dangers(ast.parse(line)))
