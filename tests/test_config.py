from pathlib import Path

import pytest

from ssl_bench.config import Config, identity, to_yaml, validate
from ssl_bench.errors import UserError
from ssl_bench.overrides import find_config, load_config, parse_value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("20", 20),
        ("1e-3", "1e-3"),  # YAML 1.1 reads no float here; the model does
        ("0.5", 0.5),
        ("true", True),
        ("null", None),
        ("power_law(alpha=1, sigma=0.3)", "power_law(alpha=1, sigma=0.3)"),
        ('"gaussian(sigma=1)"', "gaussian(sigma=1)"),
        ("[a,b]", ["a", "b"]),
        (
            "[null, power_law(alpha=1, sigma=0.3), mask(ratio=0.5, patch=4)]",
            [None, "power_law(alpha=1, sigma=0.3)", "mask(ratio=0.5, patch=4)"],
        ),
        ("[[0.1,0.2],[0.2,0.3]]", [[0.1, 0.2], [0.2, 0.3]]),
        ("2024-01-01", "2024-01-01"),
    ],
)
def test_values_of_overrides(text, value):
    assert parse_value(text) == value


def test_overrides_reach_nested_keys_and_short_forms():
    raw = load_config(
        None,
        [
            "objective.temperature=0.2",
            "objective=simclr",
            "dataset=cifar10",
            "dataset.limit=100",
            "training.learning_rate=1e-3",
        ],
    )
    config = validate(Config, raw)
    assert config.objective.name == "simclr"
    assert config.objective.model_extra == {"temperature": 0.2}
    assert config.dataset.limit == 100
    assert config.training.learning_rate == pytest.approx(1e-3)


def test_a_file_and_its_short_forms(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("objective: mae\nbackbone: vit_micro\ntraining: {epochs: 3}\n")
    config = validate(Config, load_config(file, ["training.epochs=4"]))
    assert (config.objective.name, config.backbone.name, config.training.epochs) == ("mae", "vit_micro", 4)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"traning": {}}, "did you mean 'training'"),
        ({"training": {"epoch": 3}}, "unknown key 'training.epoch'; did you mean 'epochs'"),
        ({"training": {"epochs": "many"}}, "'training.epochs' = 'many'"),
        ({"training": {"epochs": -1}}, "'training.epochs' = -1"),
        ({"training": 3}, "'training' = 3"),
        ({"views": {"flip": 2}}, "'views.flip' = 2"),
        ({"backbone": {"embedding": "max"}}, "'backbone.embedding' = 'max'"),
    ],
)
def test_wrong_settings_are_named(raw, message):
    with pytest.raises(UserError) as caught:
        validate(Config, raw)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["- a\n- b\n", "a: [1\n", "\x00"])
def test_a_file_that_is_no_mapping(tmp_path, content):
    file = tmp_path / "bad.yaml"
    file.write_text(content)
    with pytest.raises(UserError, match=r"bad\.yaml"):
        load_config(file)


def test_an_unknown_configuration_names_the_nearest():
    with pytest.raises(UserError, match="did you mean 'cifar10'"):
        find_config("cifar1O")


def test_every_shipped_configuration_is_valid():
    from ssl_bench.matrix import cells

    folder = Path(__file__).parent.parent / "configs"
    files = sorted(folder.glob("*.yaml"))
    assert files
    for file in files:
        raw = load_config(file)
        assert cells({key: value for key, value in raw.items() if key != "baselines"}), file


def test_identity_is_what_decides_the_result():
    config = validate(Config, {})
    same = [
        {"evaluation": {"knn_k": 5}},
        {"wandb": {"mode": "offline"}},
        {"dataset": {"root": "/elsewhere", "download": True}},
        {"training": {"log_every": 3}},
        {"training": {"compile": True, "channels_last": False, "resident": False}},
    ]
    other = [
        {"seed": 1},
        {"training": {"epochs": 21}},
        {"dataset": {"limit": 10}},
        {"objective": {"name": "mae"}},
        {"noise": "gaussian(sigma=1)"},
    ]
    assert {identity(validate(Config, raw)) for raw in same} == {identity(config)}
    assert len({identity(validate(Config, raw)) for raw in other} | {identity(config)}) == len(other) + 1


def test_the_written_configuration_reads_back(tmp_path):
    config = validate(
        Config,
        load_config(
            None,
            [
                "objective=simclr",
                "objective.temperature=0.3",
                "views.crop_scale=[0.5,1]",
                "views.noise=power_law(alpha=2, sigma=1)",
            ],
        ),
    )
    file = tmp_path / "config.yaml"
    file.write_text(to_yaml(config))
    assert validate(Config, load_config(file)) == config
