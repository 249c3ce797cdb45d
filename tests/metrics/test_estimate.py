import math

import numpy as np
import pytest

from restain.metrics import CATALOGUE, NotComputed, estimate

BY_NAME = {metric.name: metric for metric in CATALOGUE}


def test_catalogue_names_are_unique_and_described():
    assert len(BY_NAME) == len(CATALOGUE)
    for metric in CATALOGUE:
        assert metric.definition and metric.source and metric.measures and metric.range and metric.weakness, metric.name
        filled = {name for measure in metric.measures for name in measure.names}
        assert {column.removesuffix("_real") for column in metric.columns} <= filled, metric.name


def test_an_error_is_taken_per_image_before_it_is_averaged():
    table = {"dab_mean_od": np.array([0.1, 0.3, 0.2]), "dab_mean_od_real": np.array([0.3, 0.1, 0.2])}
    found = estimate(BY_NAME["dab_mean_od_error"], table, seed=0)
    assert found.value == pytest.approx(0.4 / 3)  # the means of both columns are equal; the errors do not cancel
    assert found.std == pytest.approx(math.sqrt(((0.2 - 0.4 / 3) ** 2 * 2 + (0.4 / 3) ** 2) / 2))
    assert found.n == 3
    assert found.ci95 is None
    assert "at least 8 images" in found.no_interval


def test_images_without_a_value_are_left_out_and_n_says_so():
    found = estimate(
        BY_NAME["r_content"], {"r_content": np.array([0.5, np.nan, 0.7, 0.6, 0.4, 0.8, 0.55, 0.6, 0.65])}, seed=0
    )
    assert found.value == pytest.approx(0.6)
    assert found.n == 8
    assert found.ci95 is not None


def test_no_image_with_a_value_is_not_computed():
    with pytest.raises(NotComputed, match="no value in any image"):
        estimate(BY_NAME["r_content"], {"r_content": np.full(6, np.nan)}, seed=0)


def test_infinite_psnr_has_neither_deviation_nor_interval():
    found = estimate(BY_NAME["psnr"], {"psnr": np.array([20.0, np.inf, 21, 22, 23, 24, 25, 26])}, seed=0)
    assert (found.value, found.std, found.ci95) == (math.inf, None, None)
    assert "infinite" in found.no_interval


def test_set_metrics_have_no_deviation_and_need_three_images_that_differ():
    metric = BY_NAME["dab_pearson_r"]
    x = np.array([0.1, 0.2, 0.4, 0.3, 0.6, 0.5, 0.9, 0.7])
    found = estimate(metric, {"dab_mean_od": x, "dab_mean_od_real": 2 * x + 0.01}, seed=0)
    assert found.value == pytest.approx(1)
    assert found.std is None
    assert found.ci95 == pytest.approx((1, 1))
    with pytest.raises(NotComputed, match="at least 3 images, there are 2"):
        estimate(metric, {"dab_mean_od": x[:2], "dab_mean_od_real": x[:2]}, seed=0)
    with pytest.raises(NotComputed, match="the same in all images"):
        estimate(metric, {"dab_mean_od": np.full(8, 0.3), "dab_mean_od_real": x}, seed=0)


def test_r_avg_is_the_mean_of_what_is_printed_beside_it():
    generator = np.random.default_rng(1)
    table = {name: generator.uniform(size=9) for name in ("r_content", "dab_iod", "dab_iod_real")}
    values = {name: estimate(BY_NAME[name], table, seed=0).value for name in ("r_content", "r_pathology", "r_avg")}
    assert values["r_avg"] == pytest.approx((values["r_content"] + values["r_pathology"]) / 2)


def test_a_correlation_counts_the_images_in_which_both_sides_have_a_value():
    x = np.array([0.1, np.nan, 0.4, 0.3, 0.6, 0.5, 0.9, 0.7])
    y = np.array([0.2, 0.9, np.nan, 0.4, 0.5, 0.6, 0.8, 0.9])
    found = estimate(BY_NAME["dab_pearson_r"], {"dab_mean_od": x, "dab_mean_od_real": y}, seed=0)
    assert found.n == 6
    assert found.value == pytest.approx(np.corrcoef(np.delete(x, [1, 2]), np.delete(y, [1, 2]))[0, 1])


def test_groups_widen_the_interval():
    x, groups = np.repeat(np.random.default_rng(2).normal(size=8), 5), np.repeat(np.arange(8), 5)
    by_image, by_group = (estimate(BY_NAME["ssim"], {"ssim": x}, seed=0, groups=one) for one in (None, groups))
    assert by_image.value == by_group.value
    assert by_group.ci95[1] - by_group.ci95[0] > 1.5 * (by_image.ci95[1] - by_image.ci95[0])
