import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
import scipy.linalg
import torch
from scipy.integrate import quad
from scipy.stats import spearmanr
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from ssl_bench.evaluation.metrics import clid as clid_module
from ssl_bench.evaluation.metrics import uniformity as uniformity_module
from ssl_bench.evaluation.metrics.alignment import alignment, alignment_of_views
from ssl_bench.evaluation.metrics.alpha_req import alpha_req
from ssl_bench.evaluation.metrics.clid import clid, cluster_learnability, intrinsic_dimension
from ssl_bench.evaluation.metrics.correlation import rank_correlation
from ssl_bench.evaluation.metrics.effective_rank import effective_rank, participation_ratio
from ssl_bench.evaluation.metrics.lidar import lidar
from ssl_bench.evaluation.metrics.rankme import rankme
from ssl_bench.evaluation.metrics.summary import embedding_metrics
from ssl_bench.evaluation.metrics.uniformity import uniformity


def normal(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def sphere(count, dimension, inside, seed=0):
    """Uniform on the unit sphere of a ``dimension``-dimensional manifold, turned into a space of ``inside`` axes."""
    points = torch.nn.functional.normalize(normal(count, dimension + 1, seed=seed), dim=1)
    turn = torch.linalg.qr(normal(inside, inside, seed=99)).Q
    return points @ turn[: dimension + 1]


def unit_rows(array):
    return array / np.sqrt((array**2).sum(-1, keepdims=True))


def slow_entropy_rank(shares):
    entropy = 0.0
    for share in shares:
        entropy -= share * math.log(share) if share > 0 else 0
    return math.exp(entropy)


def test_rankme_and_alpha_req_against_their_formulas():
    rng = np.random.default_rng(0)
    embedding = rng.normal(size=(500, 20)) * np.arange(1, 21.0) ** -0.7
    values = np.linalg.svd(embedding, compute_uv=False)
    share = values / values.sum() + 1e-7
    assert rankme(torch.from_numpy(embedding)) == pytest.approx(np.exp(-(share * np.log(share)).sum()))
    assert rankme(torch.eye(7)) == pytest.approx(7, rel=1e-4)
    eigenvalues = np.linalg.eigvalsh(np.cov(embedding.T, bias=True))[::-1][2:]
    index = np.arange(3, 21)
    design = np.stack([np.log(index), np.ones(18)], 1) / np.sqrt(index)[:, None]
    slope = np.linalg.lstsq(design, np.log(eigenvalues) / np.sqrt(index), rcond=None)[0][0]
    result = alpha_req(torch.from_numpy(embedding))
    assert result["alpha_req"] == pytest.approx(-slope)
    assert 0.8 < result["alpha_req_r2"] <= 1
    assert alpha_req(torch.ones(10, 2)) == {"alpha_req": None, "alpha_req_r2": None}


def test_alpha_req_finds_the_exponent_of_a_power_law_and_reads_no_index_above_100():
    directions = torch.linalg.qr(normal(400, 151) - normal(400, 151).mean(0)).Q
    directions = torch.linalg.qr(directions - directions.mean(0)).Q
    variances = torch.arange(1, 152, dtype=torch.float64) ** -1.3
    result = alpha_req(directions * variances.sqrt())
    assert result["alpha_req"] == pytest.approx(1.3, rel=0.02)
    assert result["alpha_req_r2"] > 0.999
    bent = variances.clone()
    bent[100:] *= 1e-3
    bent[:2] *= 50
    assert alpha_req(directions * bent.sqrt())["alpha_req"] == pytest.approx(1.3, rel=0.05)


@pytest.mark.parametrize("rank", [1, 5, 16])
def test_effective_rank_of_an_isotropic_gaussian_is_its_rank(rank):
    turn = torch.linalg.qr(normal(20, 20, seed=1)).Q[:rank]
    embedding = normal(4000, rank) @ turn
    assert effective_rank(embedding) == pytest.approx(rank, rel=0.01)
    assert participation_ratio(embedding) == pytest.approx(rank, rel=0.02)
    far = embedding + 100 * normal(20, seed=2)
    assert effective_rank(far) == pytest.approx(effective_rank(embedding))
    assert participation_ratio(far) == pytest.approx(participation_ratio(embedding))
    assert rankme(far) < 1 + 0.2 * rank, "RankMe counts the mean, which is large here, as one direction"


def test_effective_rank_and_participation_ratio_against_loops():
    embedding = normal(60, 8).numpy() * np.arange(1, 9.0) + 3
    centred = embedding - embedding.mean(0)
    values = np.sqrt(np.linalg.eigvalsh(centred.T @ centred).clip(0))
    assert effective_rank(torch.from_numpy(embedding)) == pytest.approx(slow_entropy_rank(values / values.sum()))
    covariance = np.cov(embedding.T)
    ratio = np.trace(covariance) ** 2 / np.trace(covariance @ covariance)
    assert participation_ratio(torch.from_numpy(embedding)) == pytest.approx(ratio)


def test_uniformity_is_the_published_code(monkeypatch):
    embedding = normal(1500, 6) + 0.5
    unit = torch.nn.functional.normalize(embedding, dim=1)
    published = torch.pdist(unit, p=2).pow(2).mul(-2).exp().mean().log()
    assert uniformity(embedding) == pytest.approx(float(published), rel=1e-12)
    monkeypatch.setattr(uniformity_module, "ROWS", 7)
    assert uniformity(embedding[:100], t=3) == pytest.approx(
        float(torch.pdist(unit[:100]).pow(2).mul(-3).exp().mean().log()), rel=1e-12
    )


@pytest.mark.parametrize("dimension", [3, 8])
def test_uniformity_of_a_uniform_sphere_is_an_integral(dimension):
    """The cosine of two random directions in D dimensions has density (1 - u^2)^((D - 3) / 2), normalised."""
    weight = quad(lambda u: (1 - u * u) ** ((dimension - 3) / 2), -1, 1)[0]
    mean = quad(lambda u: (1 - u * u) ** ((dimension - 3) / 2) * math.exp(4 * (u - 1)), -1, 1)[0] / weight
    if dimension == 3:
        assert mean == pytest.approx((1 - math.exp(-8)) / 8)
    assert uniformity(sphere(4000, dimension - 1, dimension)) == pytest.approx(math.log(mean), abs=0.01)
    assert uniformity(torch.ones(5, dimension)) == pytest.approx(0, abs=1e-12)
    assert uniformity(torch.tensor([[1.0, 0], [-3, 0]])) == pytest.approx(-8)


def test_alignment_against_loops():
    views = normal(9, 4, 5)
    unit = unit_rows(views.numpy())
    distances = [
        np.linalg.norm(unit[i, a] - unit[i, b]) for i in range(9) for a, b in itertools.combinations(range(4), 2)
    ]
    assert alignment_of_views(views) == pytest.approx(np.mean(np.square(distances)), rel=1e-12)
    pair = [np.linalg.norm(unit[i, 0] - unit[i, 1]) for i in range(9)]
    for alpha in (1, 2, 3.5):
        assert alignment(views[:, 0], views[:, 1], alpha) == pytest.approx(np.mean(np.power(pair, alpha)), rel=1e-12)
    assert alignment_of_views(views[:, :2]) == pytest.approx(alignment(views[:, 0], views[:, 1]), rel=1e-12)
    assert alignment_of_views(views[:, :1].expand(-1, 3, -1) * 2) == pytest.approx(0, abs=1e-25)
    assert alignment_of_views(views[:, :1]) is None
    with pytest.raises(ValueError, match="must be alike"):
        alignment(views[:, 0], views[:1, 0])


def slow_lidar(views, delta=1e-4, epsilon=1e-7):
    n, q, dimension = views.shape
    grand = sum(views[i, j] for i in range(n) for j in range(q)) / (n * q)
    between, within = np.zeros((dimension, dimension)), np.zeros((dimension, dimension))
    for i in range(n):
        mean = sum(views[i, j] for j in range(q)) / q
        between += np.outer(mean - grand, mean - grand) / (n - 1)
        for j in range(q):
            within += np.outer(views[i, j] - mean, views[i, j] - mean) / (n * (q - 1))
    values = scipy.linalg.eigh(between, within + delta * np.eye(dimension), eigvals_only=True).clip(0)
    return slow_entropy_rank(values / values.sum() + epsilon)


@pytest.mark.parametrize(("count", "scale"), [(50, 1.0), (50, 0.01), (4, 1.0)])
def test_lidar_against_loops_and_scipys_generalised_eigenproblem(count, scale):
    """At a scale of 0.01 delta weighs as much as the views' variance; four images have fewer means than dimensions."""
    views = scale * (normal(count, 1, 6, seed=3) * torch.arange(1.0, 7) + normal(count, 5, 6) + 2)
    assert lidar(views) == pytest.approx(slow_lidar(views.numpy()), rel=1e-6)
    assert lidar(views, delta=0.1) == pytest.approx(slow_lidar(views.numpy(), 0.1), rel=1e-6)


def test_lidar_counts_the_directions_that_tell_images_apart():
    told_apart = torch.zeros(600, 1, 12, dtype=torch.float64)
    told_apart[:, 0, :3] = 100 * normal(600, 3, seed=4)
    views = told_apart + normal(600, 10, 12)
    assert lidar(views) == pytest.approx(3, rel=0.02)
    noisy = views.clone()
    noisy[..., 3:] *= 100
    assert lidar(noisy) == pytest.approx(lidar(views), rel=1e-3)
    assert rankme(noisy[:, 0]) > 8, "which counts the noise as well"


def test_lidar_without_delta_does_not_change_with_an_invertible_map():
    views = normal(100, 1, 6, seed=5) * torch.arange(1.0, 7) + normal(100, 4, 6)
    bent = torch.diag(torch.tensor([1, 3, 0.2, 7, 1, 0.5], dtype=torch.float64)) + 0.3 * normal(6, 6, seed=6)
    assert lidar(views @ bent, delta=1e-13) == pytest.approx(lidar(views, delta=1e-13), rel=1e-9)
    assert lidar(views @ bent, delta=1) != pytest.approx(lidar(views, delta=1), rel=1e-3)


def test_lidar_where_it_says_nothing():
    views = normal(10, 4, 3)
    assert lidar(views[:1]) is None
    assert lidar(views[:, :1]) is None
    assert lidar(views - views.mean(1, keepdim=True)) is None, "means that differ by rounding"
    assert lidar(torch.ones(10, 4, 3)) is None
    assert lidar(views[:1].expand(10, -1, -1)) is None, "all images alike"
    alike = views[:, :1].expand(-1, 4, -1)
    assert lidar(alike) == pytest.approx(slow_lidar(alike.numpy()), rel=1e-6), "delta is all there is of Sigma_w"
    with pytest.raises(ValueError, match="must be above 0"):
        lidar(views, delta=0)


def test_cluster_learnability_against_scikit_learn(monkeypatch):
    embedding = normal(200, 5)
    seen = {}

    class Recorder(clid_module.KMeans):
        def fit_predict(self, x):
            seen["clusters"] = self.n_clusters
            seen["labels"] = super().fit_predict(x)
            return seen["labels"]

    monkeypatch.setattr(clid_module, "KMeans", Recorder)
    value = cluster_learnability(embedding)
    assert seen["clusters"] == 14
    shuffled = torch.randperm(200, generator=clid_module.make_generator(0, "clid halves")).numpy()
    known, asked = shuffled[:100], shuffled[100:]
    unit = unit_rows(embedding.numpy())
    judge = KNeighborsClassifier(1).fit(unit[known], seen["labels"][known])
    assert value == pytest.approx(judge.score(unit[asked], seen["labels"][asked]))
    assert 0.4 < value < 1
    assert cluster_learnability(3 * embedding) == value


def test_clusters_far_apart_are_learnable_and_a_cloud_of_many_dimensions_is_not():
    centres = torch.eye(20, dtype=torch.float64)
    far = centres.repeat_interleave(20, 0) + 0.01 * normal(400, 20)
    assert cluster_learnability(far) == 1
    assert cluster_learnability(normal(400, 200)) < 0.5


def slow_two_nn(embedding):
    distances = NearestNeighbors(n_neighbors=3).fit(embedding).kneighbors(embedding)[0]
    ratios = np.sort([second / first for _, first, second in distances if first > 0])
    kept = int(0.9 * len(ratios))
    x, y = np.log(ratios[:kept]), [-math.log(1 - (i + 1) / len(ratios)) for i in range(kept)]
    return LinearRegression(fit_intercept=False).fit(x[:, None], y).coef_[0]


def test_intrinsic_dimension_against_scikit_learn():
    embedding = normal(300, 7)
    assert intrinsic_dimension(embedding) == pytest.approx(slow_two_nn(unit_rows(embedding.numpy())), rel=1e-8)
    twice = torch.cat([embedding, embedding[:20]])
    assert intrinsic_dimension(twice) == pytest.approx(slow_two_nn(unit_rows(twice.numpy())), rel=1e-8)
    assert intrinsic_dimension(torch.cat([embedding, embedding])) is None, "every sample has a double"


@pytest.mark.parametrize("dimension", [1, 2, 4])
def test_intrinsic_dimension_of_a_sphere(dimension):
    estimates = [intrinsic_dimension(sphere(2000, dimension, 30, seed)) for seed in range(3)]
    assert np.mean(estimates) == pytest.approx(dimension, rel=0.05)


def test_a_narrow_cone_is_seen_as_it_is():
    """Directions 1e-8 apart, whose cosines differ by less than rounding, as of an encoder near collapse."""
    flat = 1e-8 * torch.from_numpy(np.random.default_rng(0).uniform(0, 1, (500, 3)))
    cone = torch.cat([torch.ones(500, 1, dtype=torch.float64), flat], 1)
    assert intrinsic_dimension(cone) == pytest.approx(slow_two_nn(1e8 * flat.numpy()), rel=1e-3)
    assert cluster_learnability(cone) > 0.5


def test_clid_reads_the_first_samples_only_and_is_the_two_parts():
    embedding = sphere(2100, 3, 8)
    first = clid(embedding[:2000])
    assert clid(embedding) == first
    assert first == {
        "cluster_learnability": cluster_learnability(embedding),
        "intrinsic_dimension": intrinsic_dimension(embedding),
    }


KEYS = {
    "rankme",
    "alpha_req",
    "alpha_req_r2",
    "effective_rank",
    "participation_ratio",
    "uniformity",
    "alignment",
    "lidar",
    "cluster_learnability",
    "intrinsic_dimension",
}


def test_the_summary_gathers_all():
    test, views = normal(300, 12).float(), normal(40, 4, 12).float()
    result = embedding_metrics(test, views)
    assert set(result) == KEYS
    assert all(isinstance(value, float) and math.isfinite(value) for value in result.values())
    assert result["lidar"] == lidar(views)
    assert result["alignment"] == alignment_of_views(views)
    without = embedding_metrics(test, None)
    assert without == result | {"alignment": None, "lidar": None}
    for key in KEYS - {"alignment", "lidar"}:
        assert f'"{key}"' in embedding_metrics.__doc__


@pytest.mark.parametrize(
    ("test", "defined"),
    [
        (torch.zeros(50, 6), set()),
        (torch.full((50, 6), 0.1), {"rankme", "uniformity"}),
        (0.1 + 1e-9 * normal(50, 6), {"rankme", "uniformity"}),
        (torch.full((50, 6), float("nan")), set()),
        (torch.full((50, 6), float("inf")), set()),
        (torch.randn(1, 6), set()),
        (torch.randn(0, 6), set()),
        (torch.randn(5, 0), set()),
        (torch.tensor([[1.0, 2], [2, 1]]), {"rankme", "effective_rank", "participation_ratio", "uniformity"}),
        (torch.randn(50, 1).abs() + 1, {"rankme", "effective_rank", "participation_ratio", "uniformity"}),
        (1e-20 * torch.randn(50, 6), KEYS),
        (1e20 * torch.randn(50, 6), KEYS),
    ],
)
def test_what_is_not_defined_is_none_and_never_nan(test, defined):
    result = embedding_metrics(test, None)
    assert {key for key, value in result.items() if value is not None} == defined - {"alignment", "lidar"}
    assert all(math.isfinite(value) for value in result.values() if value is not None)


@pytest.mark.parametrize("views", [torch.zeros(9, 3, 4), torch.full((9, 3, 4), float("nan")), torch.randn(9, 1, 4)])
def test_views_without_a_metric(views):
    result = embedding_metrics(normal(30, 4), views)
    assert result["alignment"] is None
    assert result["lidar"] is None


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"embeddings are \(3, 4, 5\): must be \(N, D\)"):
        rankme(torch.zeros(3, 4, 5))
    with pytest.raises(ValueError, match=r"embeddings are \(3, 4\): must be \(n, q, D\)"):
        lidar(torch.zeros(3, 4))


def test_importing_the_package_imports_no_torch():
    code = "import sys, ssl_bench.evaluation.metrics; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_rank_correlation_against_every_pairing():
    metric, probe = [1.0, 2.0, 2.0, 5.0, 4.0, 9.0], [0.3, 0.1, 0.4, 0.5, 0.45, 0.7]
    result = rank_correlation(metric, probe)
    observed = spearmanr(metric, probe).statistic
    every = [spearmanr(shuffled, probe).statistic for shuffled in itertools.permutations(metric)]
    above = np.mean([value >= observed - 1e-9 for value in every])
    below = np.mean([value <= observed + 1e-9 for value in every])
    assert result == {"spearman": pytest.approx(observed), "p": pytest.approx(2 * min(above, below)), "n": 6}
    perfect = rank_correlation([1, 2, 3, 4], [4, 3, 2, 1])
    assert perfect == {"spearman": pytest.approx(-1), "p": pytest.approx(2 / 24), "n": 4}


def test_rank_correlation_of_many_is_near_the_asymptotic_one_and_repeats():
    rng = np.random.default_rng(0)
    metric = rng.normal(size=40)
    probe = 0.3 * metric + rng.normal(size=40)
    result, reference = rank_correlation(metric, probe), spearmanr(metric, probe)
    assert result["spearman"] == pytest.approx(reference.statistic)
    assert result["p"] == pytest.approx(reference.pvalue, abs=0.01)
    assert rank_correlation(metric, probe) == result


def test_rank_correlation_leaves_out_what_has_no_metric():
    assert rank_correlation([1, None, 2, 3, None, 4], [1, 9, 2, 3, 0, 4])["spearman"] == pytest.approx(1)
    assert rank_correlation([1, None, 2, 3], [1, 2, 3, 4]) == {"spearman": None, "p": None, "n": 3}
    assert rank_correlation([], []) == {"spearman": None, "p": None, "n": 0}
    assert rank_correlation([2, 2, 2, 2, None], [1, 2, 3, 4, 5]) == {"spearman": None, "p": None, "n": 4}
    assert rank_correlation([1, 2, 3, 4], [7, 7, 7, 7]) == {"spearman": None, "p": None, "n": 4}
    with pytest.raises(ValueError, match="zip"):
        rank_correlation([1, 2, 3], [1, 2])
