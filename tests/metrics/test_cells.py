import numpy as np
import pytest

from restain.metrics import NotComputed, estimate
from restain.metrics.cells.counts import AT_CUT_OFFS, hormone_receptor_class, ki67_class
from restain.metrics.cells.membranes import field_band, membrane_scores
from restain.metrics.cells.nuclei import Nuclei
from restain.metrics.cells.scores import (
    count_cells,
    cytoplasmic_density,
    grade_cells,
    h_score,
    measure_cells,
    nuclear_density,
    positive_index,
)
from restain.metrics.statistics.agreement import quadratic_kappa
from restain.phantoms.options import PhantomOptions
from restain.phantoms.slide import Slide
from restain.stains import DAB, EOSIN, HEMATOXYLIN, compose


def test_h_score_and_positive_index_by_hand():
    intensity = np.array([0, 0, 1, 1, 2, 2, 3, 3, 0, 0])
    # 20 % of 1+, 20 % of 2+, 20 % of 3+
    assert h_score(intensity) == pytest.approx(20 + 2 * 20 + 3 * 20)
    assert positive_index(intensity) == pytest.approx(0.6)
    assert h_score(np.full(4, 3)) == 300
    assert np.isnan(h_score(np.array([], int))) and np.isnan(positive_index(np.array([], int)))


def test_a_nucleus_is_graded_at_the_densities_of_qupath():
    densities = [0.05, 0.19, 0.21, 0.39, 0.41, 0.59, 0.61, 1.5]
    labels = np.kron(np.arange(1, 9)[None], np.ones((5, 5))).astype(np.int32)
    labels[:, ::5] = 0  # apart from each other
    dab = np.kron(np.array([densities]), np.ones((5, 5))).astype(np.float32)
    assert grade_cells(Nuclei(labels, 8, dab, 0.5), "nuclear").tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_cytoplasm_is_what_surrounds_a_nucleus_up_to_its_neighbour():
    labels = np.zeros((30, 60), np.int32)
    labels[10:20, 10:20], labels[10:20, 30:40] = 1, 2
    dab = np.zeros(labels.shape, np.float32)
    dab[:, :25] = 0.5
    dab[labels > 0] = 2.0  # of the nuclei, which do not count
    found = cytoplasmic_density(Nuclei(labels, 2, dab, 0.5))
    assert found == pytest.approx([0.5, 0.0]) or (found[0] == pytest.approx(0.5) and found[1] < 0.05)
    packed = np.kron(np.array([[1, 2], [3, 4]]), np.ones((4, 4))).astype(np.int32)
    assert cytoplasmic_density(Nuclei(packed, 4, np.full((8, 8), 0.3, np.float32), 0.5)) == pytest.approx([0.3] * 4)


@pytest.mark.parametrize(
    ("classes", "index", "expected"),
    [
        (hormone_receptor_class, [0.0, 0.009, 0.01, 0.1, 0.101, 1.0], [0, 0, 1, 1, 2, 2]),
        (ki67_class, [0.0, 0.199, 0.2, 0.299, 0.3, 1.0], [0, 0, 1, 1, 2, 2]),
    ],
)
def test_clinical_classes_at_their_cut_offs(classes, index, expected):
    assert classes(np.array(index)).tolist() == expected


def test_cells_outside_the_mask_do_not_count():
    slide = Slide("er", 900, PhantomOptions())
    ihc = slide.render(slide.window(0, 320), None).ihc
    left = np.zeros(ihc.shape[:2], bool)
    left[:, :160] = True
    whole, half, other = (count_cells(ihc, inside=inside) for inside in (None, left, ~left))
    assert half.nuclei.count + other.nuclei.count == whole.nuclei.count
    assert half.nuclei.centres[:, 1].max() < 160.5 and half.nuclei.labels.max() == half.nuclei.count
    assert len(half.intensity) == half.nuclei.count
    nothing = measure_cells(count_cells(ihc, inside=np.zeros_like(left)))
    assert nothing["nuclei_count"] == 0 and np.isnan(nothing["h_score"])


def test_density_of_a_nucleus_leaves_out_its_rim():
    labels = np.zeros((12, 20), np.int32)
    labels[2:7, 2:7], labels[2:4, 10:16] = 1, 2
    dab = np.where(labels == 2, 0.3, 0.1).astype(np.float32)
    dab[3:6, 3:6] = 0.8
    # The second is two pixels thin, all rim, and keeps it.
    assert nuclear_density(Nuclei(labels, 2, dab, 0.5)) == pytest.approx([0.8, 0.3])


def ring(dab, share):
    """One cell: nucleus of radius 7, and a membrane of that density at radius 12 over a share of the circle."""
    y, x = np.mgrid[-20:21, -20:21]
    distance, turn = np.hypot(y, x), np.arctan2(y, x) / (2 * np.pi) + 0.5
    membrane = np.where((np.abs(distance - 12) < 2.5) & (turn < share), dab, 0.0)
    return Nuclei((distance <= 7).astype(np.int32), 1, membrane.astype(np.float32), 0.5)


@pytest.mark.parametrize(
    ("dab", "share", "score"),
    [(1.0, 1.0, 3), (0.4, 1.0, 2), (1.0, 0.45, 1), (0.15, 1.0, 1), (1.0, 0.1, 0), (0.05, 1.0, 0)],
    ids=["intense complete", "weak complete", "intense incomplete", "faint complete", "a speck", "background"],
)
def test_membrane_score_follows_intensity_and_completeness(dab, share, score):
    assert membrane_scores(ring(dab, share)).tolist() == [score]


def test_the_field_takes_the_highest_band_of_more_than_a_tenth():
    def field(*counts):
        return np.repeat(np.arange(4), counts)

    assert field_band(field(90, 0, 0, 10)) == 0
    assert field_band(field(89, 0, 0, 11)) == 3
    assert field_band(field(80, 0, 15, 5)) == 2
    assert field_band(field(40, 60, 0, 0)) == 1
    assert np.isnan(field_band(np.array([], int)))


def fields(marker, count):
    for seed in range(count):
        slide = Slide(marker, 900 + seed, PhantomOptions())
        made = slide.render(slide.window(0, 320), None)
        yield made.ihc, made.cells.intensity


@pytest.mark.parametrize("marker", ["er", "ki67"])
def test_counts_on_virtual_tissue_are_near_the_truth(marker):
    """benchmarks/cell_counting.py measures the same over 100 fields."""
    errors = []
    for ihc, truth in fields(marker, 4):
        found = measure_cells(count_cells(ihc))
        errors.append(
            (
                found["nuclei_count"] / len(truth) - 1,
                found["positive_index"] - np.mean(truth > 0),
                found["h_score"] - 100 * truth.mean(),
            )
        )
    assert np.all(np.abs(errors) < (0.15, 0.08, 20))
    assert np.all(np.abs(np.mean(errors, axis=0)) < (0.06, 0.03, 8))


def test_her2_bands_on_virtual_tissue_are_the_truth():
    found, truth = zip(
        *(
            (measure_cells(count_cells(ihc, marker="membrane"))["her2_band"], field_band(cells))
            for ihc, cells in fields("her2", 4)
        ),
        strict=True,
    )
    assert found == truth


def test_an_empty_field_has_a_count_and_nothing_else():
    white = np.full((64, 64, 3), 255, np.uint8)
    found = measure_cells(count_cells(white))
    assert found["nuclei_count"] == 0
    assert np.isnan(found["positive_index"]) and np.isnan(found["h_score"])
    assert np.isnan(measure_cells(count_cells(white, marker="membrane"))["her2_band"])


def test_agreement_in_classes_counts_them_and_has_no_value_where_the_truth_has_one_class():
    """A perfect system must not be worst because all fields of the truth are positive."""
    (kappa,) = [metric for metric in AT_CUT_OFFS if metric.name == "ki67_kappa"]
    real = np.array([0.05, 0.1, 0.22, 0.25, 0.28, 0.5, 0.4, 0.31, 0.02])
    fake = np.array([0.05, 0.21, 0.22, 0.35, 0.28, 0.5, 0.4, 0.31, 0.02])
    found = estimate(kappa, {"positive_index": fake, "positive_index_real": real}, seed=0)
    assert found.value == pytest.approx(quadratic_kappa(ki67_class(fake), ki67_class(real)))
    assert found.details == {
        "classes": ["below 20 %", "20 to 30 %", "from 30 %"],
        "table": [[2, 1, 0], [0, 2, 1], [0, 0, 3]],
    }
    for other in (np.full(9, 0.6), fake):
        with pytest.raises(NotComputed, match="the same in all images"):
            estimate(kappa, {"positive_index": other, "positive_index_real": np.full(9, 0.6)}, seed=0)


def test_a_clump_as_dense_as_the_nuclei_is_divided_and_a_pale_area_is_not():
    y, x = np.mgrid[:200, :300]
    grid = [(20 + 40 * row, 20 + 40 * column) for row in range(4) for column in range(3)]
    nuclei = np.min([np.hypot(y - cy, x - cx) for cy, cx in grid], axis=0) <= 7
    clump = np.hypot((y - 100) / 18, (x - 240) / 36) <= 1  # 13 nuclei of 39 µm²
    for density, expected in ((0.5, 25), (0.2, 12)):
        blue = 0.5 * nuclei + density * clump
        rgb = np.round(255 * compose(np.stack([blue, 0 * blue], -1), [HEMATOXYLIN, DAB])).astype(np.uint8)
        assert count_cells(rgb).nuclei.count == pytest.approx(expected, abs=2)


def test_pink_and_brown_cytoplasm_is_no_nucleus():
    y, x = np.mgrid[:128, :128]
    nuclei = np.min([np.hypot(y - cy, x - cx) for cy in (24, 64, 104) for cx in (24, 64, 104)], axis=0) <= 7
    around = np.min([np.hypot(y - cy, x - cx) for cy in (24, 64, 104) for cx in (24, 64, 104)], axis=0) <= 15
    for stain, marker in ((EOSIN, "nuclear"), (DAB, "cytoplasm")):
        light = compose(np.stack([0.5 * nuclei, 0.5 * (around & ~nuclei)], -1), [HEMATOXYLIN, stain])
        found = count_cells(np.round(255 * light).astype(np.uint8), marker=marker)
        assert found.nuclei.count == 9
        assert np.median(np.bincount(found.nuclei.labels.ravel())[1:]) == pytest.approx(nuclei.sum() / 9, rel=0.3)
