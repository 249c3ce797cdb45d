"""The analysis against numbers that are computed another way: from tables, by counting, by enumeration."""

import csv
import json
import shutil
from itertools import permutations, product

import numpy as np
import pytest
from scipy.stats import beta, binom, wilcoxon
from studies_folder import ReaderClient, fill_in, key_of
from typer.testing import CliRunner

import restain
from restain.cli import app
from restain.errors import RestainError
from restain.studies.answers import AnswerBook
from restain.studies.reader_statistics import exact_share, share_over_groups, signed_rank
from restain.studies.study_files import read_study

READERS = ("reader-1", "reader-2")


def kappa_of_table(first, second, classes):
    """Cohen 1968 from the table: 1 - weighted observed / weighted expected, weights (i - j)²."""
    table = np.zeros((classes, classes))
    for one, other in zip(first, second, strict=True):
        table[one, other] += 1
    weights = np.subtract.outer(np.arange(classes), np.arange(classes)) ** 2
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    return 1 - (weights * table).sum() / (weights * expected).sum()


def drawn_scores(seed, names):
    """A class by reader, case and arm, and of the repeat."""
    random = np.random.default_rng(seed)
    truth = {name: int(random.integers(4)) for name in names}
    return {
        (reader, name, arm, again): int(np.clip(truth[name] + random.integers(-1, 2), 0, 3))
        for reader, name, arm, again in product(READERS, names, ("first", "second"), (False, True))
    }


@pytest.fixture(scope="module")
def scored(images, tmp_path_factory):
    """A study of scores that was read by two readers, its scores, its names, and its analysis."""
    folder = tmp_path_factory.mktemp("scored") / "study"
    options = {"design": "score", "marker": "her2", "cases": 14, "readers": 2, "training_cases": 1, "repeats": 10}
    restain.make_study(folder, real=images / "real", virtual=images / "virtual", washout_days=0, seed=3, **options)
    key = key_of(folder)
    scores = drawn_scores(5, key["names"].values())
    fill_in(folder, lambda *what: {"her2": scores[what]})
    names = [key["names"][case] for case in read_study(folder).cases][:14]
    return folder, scores, names, restain.analyse_study(folder, out=folder.parent / "analysis")


def one(rows, comparison, readers):
    (found,) = [row for row in rows if row.comparison == comparison and row.readers == readers]
    return found


def test_kappa_of_each_reader_and_of_the_pool_is_that_of_the_table(scored):
    _, scores, names, analysis = scored
    both = {
        reader: [[scores[reader, name, arm, False] for name in names] for arm in ("first", "second")]
        for reader in READERS
    }
    for reader in READERS:
        row = one(analysis.agreement, "virtual and real, same reader", (reader,))
        assert row.kappa.value == pytest.approx(kappa_of_table(*both[reader], 4), abs=1e-12)
        low, high = row.kappa.ci95
        assert low < row.kappa.value < high
        assert row.identical.value == pytest.approx(np.mean(np.array(both[reader][0]) == both[reader][1]))
    pool = one(analysis.agreement, "virtual and real, same reader", READERS)
    stacked = [both["reader-1"][side] + both["reader-2"][side] for side in (0, 1)]
    assert pool.pooled and pool.kappa.n == 28 and pool.kappa.groups == 14
    assert pool.kappa.value == pytest.approx(kappa_of_table(*stacked, 4), abs=1e-12)
    for side, arm in enumerate(("real", "virtual")):
        row = one(analysis.agreement, f"different readers, {arm}", READERS)
        expected = kappa_of_table(both["reader-1"][side], both["reader-2"][side], 4)
        assert row.kappa.value == pytest.approx(expected, abs=1e-12)


def test_a_reader_against_himself_uses_the_repeats_alone(scored):
    folder, scores, _, analysis = scored
    study, key = read_study(folder), key_of(folder)
    again = [item[0] for item in study.readers["reader-1"].sessions[2]]
    what = [("reader-1", key["names"][study.case_of[picture]], key["pictures"][picture]["arm"]) for picture in again]
    row = one(analysis.agreement, "same reader, same image read twice", ("reader-1",))
    expected = kappa_of_table([scores[(*one, False)] for one in what], [scores[(*one, True)] for one in what], 4)
    assert row.kappa.n == 10 and row.kappa.value == pytest.approx(expected, abs=1e-12)


def test_the_table_and_its_cutoffs_count_the_readings(scored):
    _, scores, names, analysis = scored
    pool = analysis.confusion[0]
    pairs = [(scores[r, n, "first", False], scores[r, n, "second", False]) for r in READERS for n in names]
    for real, virtual in product(range(4), repeat=2):
        assert pool.table[real][virtual] == pairs.count((real, virtual))
    assert [cut.cutoff for cut in pool.cutoffs] == ["1+", "2+", "3+"]
    positive = [virtual >= 2 for real, virtual in pairs if real >= 2]
    assert pool.cutoffs[1].positive.value == pytest.approx(np.mean(positive))
    assert pool.cutoffs[1].positive.n == len(positive)
    assert pool.cutoffs[1].overall.value == pytest.approx(np.mean([(r >= 2) == (v >= 2) for r, v in pairs]))


def test_noninferiority_is_the_loss_of_agreement_between_readers(scored):
    _, scores, names, analysis = scored
    new, old = ([], []), ([], [])
    for reader, other in permutations(READERS, 2):
        for name in names:
            reference = scores[other, name, "first", False]
            for lists, arm in ((new, "second"), (old, "first")):
                lists[0].append(reference)
                lists[1].append(scores[reader, name, arm, False])
    (found,) = analysis.noninferiority
    assert found.estimate.value == pytest.approx(kappa_of_table(*new, 4) - kappa_of_table(*old, 4), abs=1e-12)
    assert found.bound == found.estimate.ci95[0] and found.shown == (found.bound > -0.1)


def test_equal_readings_are_within_the_margin_and_inverted_ones_are_not(make, tmp_path):
    names: dict[str, int] = {}
    for name, virtual in (("equal", lambda score: score), ("inverted", lambda score: 3 - score)):
        folder = make(name, cases=12, training_cases=0)
        key = key_of(folder)
        for place, case in enumerate(key["names"].values()):
            names[case] = place % 4
        fill_in(
            folder, lambda _, case, arm, __, f=virtual: {"her2": f(names[case]) if arm == "second" else names[case]}
        )
        analysis = restain.analyse_study(folder, out=tmp_path / f"{name}-out")
        (found,) = analysis.noninferiority
        assert found.shown is (name == "equal")
        assert one(analysis.agreement, "virtual and real, same reader", READERS).kappa.value == pytest.approx(
            1.0 if name == "equal" else -1.0, abs=0.3
        )


def test_numbers_have_bias_and_icc_besides_kappa_of_their_classes(make, tmp_path):
    folder = make(marker="er", cases=12, training_cases=0)
    places = {name: place for place, name in enumerate(key_of(folder)["names"].values())}

    def answer(reader, name, arm, _):
        strong = 5.0 * places[name] + (4 if arm == "second" else 0)
        return {"er": [2.0, 0.0, strong]}

    fill_in(folder, answer)
    analysis = restain.analyse_study(folder, out=tmp_path / "out")
    percent = next(row for row in analysis.agreement if row.measure == "er_percent")
    h_score = next(row for row in analysis.agreement if row.measure == "er_h_score")
    assert percent.bias.value == pytest.approx(4.0) and h_score.bias.value == pytest.approx(12.0)
    assert percent.kappa is not None and h_score.kappa is None and 0.9 < h_score.icc.value < 1
    assert analysis.confusion[0].classes == ("< 1 %", "1 to < 10 %", "≥ 10 %")


def test_finding_the_real_one_is_counted_exactly(make, tmp_path):
    folder = make(design="2afc", cases=12, training_cases=1, repeats=3)
    names = sorted(key_of(folder)["names"].values())
    right = {("reader-1", name) for name in names[:9]} | {("reader-2", name) for name in names[:4]}

    def answer(reader, name, left, again):
        finds = (reader, name) in right
        return {"real": 0 if (left == "first") == finds else 1}  # the left one, where it is what is pointed at

    fill_in(folder, answer)
    analysis = restain.analyse_study(folder, out=tmp_path / "out")
    trained = key_of(folder)["names"]["c0013"]
    counted = {reader: sum(name != trained for who, name in right if who == reader) for reader in READERS}
    for reader in READERS:
        (row,) = [row for row in analysis.choices if row.readers == (reader,)]
        k = counted[reader]
        assert (row.chosen, row.decided) == (k, 12)
        low, high = beta.ppf(0.025, k, 12 - k + 1), beta.ppf(0.975, k + 1, 12 - k)  # Clopper and Pearson
        assert row.rate.ci95 == pytest.approx((low, high), abs=1e-9)
        two_sided = sum(
            binom.pmf(i, 12, 0.5) for i in range(13) if binom.pmf(i, 12, 0.5) <= binom.pmf(k, 12, 0.5) + 1e-12
        )
        assert row.p == pytest.approx(min(1.0, two_sided), abs=1e-9)
    pool = analysis.choices[0]
    assert pool.pooled and pool.chosen == sum(counted.values()) and pool.decided == 24
    (verdict,) = analysis.noninferiority
    assert verdict.bound == pool.over_groups.ci95[1] and verdict.shown is (verdict.bound < 0.6)
    again = one(analysis.agreement, "same reader, same pair read twice", READERS)
    assert again.identical.value == 1.0  # each finds it again, wherever it stands


def test_single_images_that_are_recognised_are_counted_exactly(make, tmp_path):
    """Reader 1 calls 9 of 10 virtual and 4 of 10 real images what they are; reader 2 calls everything real."""
    folder = make(design="single", cases=10, training_cases=1, repeats=4)
    study, key = read_study(folder), key_of(folder)
    names = sorted(key["names"][case] for case in list(study.cases)[:10])

    def answer(reader, name, arm, _):
        if reader == "reader-2" or name not in names:
            return {"origin": 0}
        place = names.index(name)
        return {"origin": int(place < 9) if arm == "second" else int(place >= 4)}

    fill_in(folder, answer)
    analysis = restain.analyse_study(folder, out=tmp_path / "out")
    pool, first, second = analysis.choices
    assert (first.chosen, first.decided, second.chosen, pool.chosen, pool.decided) == (13, 20, 10, 23, 40)
    assert first.rate.ci95 == pytest.approx((beta.ppf(0.025, 13, 8), beta.ppf(0.975, 14, 7)), abs=1e-9)
    assert first.p == pytest.approx(2 * sum(binom.pmf(i, 20, 0.5) for i in range(13, 21)), abs=1e-9)
    assert second.p == 1.0 and first.rate.groups == 10
    assert {arm: share.value for arm, share in first.called_real.items()} == {"real": 0.4, "virtual": 0.1}
    assert {arm: share.value for arm, share in second.called_real.items()} == {"real": 1.0, "virtual": 1.0}
    (verdict,) = analysis.noninferiority
    assert verdict.bound == pool.over_groups.ci95[1] and verdict.shown is (verdict.bound < 0.6)
    assert not analysis.ratings and not analysis.confusion
    page = (tmp_path / "out" / "study.html").read_text()
    assert "Were real and virtual images told apart?" in page and "virtual called real" in page
    again = one(analysis.agreement, "same reader, same image read twice", READERS)
    assert again.identical.value == 1.0 and again.kappa.n == 8


def test_an_analysis_before_the_first_answer_decides_nothing(make, tmp_path):
    """The study is edited and analysed while it is served unedited: the answers belong to what was served."""
    folder = make()
    text = (folder / "study.yaml").read_text()
    with restain.serve_study(folder, port=0) as server:
        (folder / "study.yaml").write_text(text.replace("margin: 0.1", "margin: 0.5"))
        with pytest.raises(RestainError, match="holds no answer"):
            restain.analyse_study(folder, out=tmp_path / "out")
        client = ReaderClient(server.links["reader-1"])
        for position in range(3):  # the first two are of the training case
            assert client.send(position, {"her2": 1})[0] == 200
    analysis = restain.analyse_study(folder, out=tmp_path / "out")
    assert analysis.warnings[0].startswith("study.yaml was changed after the first answer")


def test_preferences_leave_out_who_has_none(make, images, tmp_path):
    folder = make(design="preference", cases=10, training_cases=0, readers=1)
    names = sorted(key_of(folder)["names"].values())
    wanted = {name: "second" if place < 6 else "first" if place < 8 else None for place, name in enumerate(names)}

    def answer(_, name, left, __):
        return {"preferred": 2 if wanted[name] is None else 0 if wanted[name] == left else 1}

    fill_in(folder, answer)
    analysis = restain.analyse_study(folder, out=tmp_path / "out")
    (row,) = analysis.choices
    assert (row.chosen, row.decided, row.undecided) == (6, 8, 2)
    (verdict,) = analysis.noninferiority
    assert verdict.bound == pytest.approx(beta.ppf(0.025, 6, 3)) and verdict.shown is (verdict.bound > 0.4)
    with (tmp_path / "out" / "readings.csv").open() as file:
        chosen = [line["chosen"] for line in csv.DictReader(file)]
    assert sorted(chosen) == ["neither"] * 2 + ["real"] * 2 + ["virtual"] * 6


def test_ratings_are_compared_by_signed_ranks_with_holm(make, tmp_path):
    folder = make(design="quality", cases=12, training_cases=0, readers=2)
    names = sorted(key_of(folder)["names"].values())
    random = np.random.default_rng(2)
    questions = [question.id for question in read_study(folder).questions]
    given = {(r, n, a): random.integers(0, 5, 4) for r in READERS for n in names for a in ("first", "second")}
    for (_, _, arm), values in given.items():
        values[0] = min(4, values[0] + 2) if arm == "first" else max(0, values[0] - 2)
    fill_in(folder, lambda r, n, a, _: {q: int(v) for q, v in zip(questions, given[r, n, a], strict=True)})
    analysis = restain.analyse_study(folder, out=tmp_path / "out")
    pool = [row for row in analysis.ratings if row.pooled]
    expected = []
    for place in range(4):
        gaps = [
            np.mean([float(given[r, n, "second"][place]) - given[r, n, "first"][place] for r in READERS]) for n in names
        ]
        expected.append(enumerated(gaps))
    assert [row.p for row in pool] == pytest.approx(expected)
    ranked = np.sort(expected)
    assert min(row.p_holm for row in pool) == pytest.approx(min(1.0, 4 * ranked[0]))
    first = pool[0]
    assert first.difference.value == pytest.approx(first.second - first.first) and first.difference.value < 0
    assert analysis.noninferiority[0].shown is False
    assert sum(first.first_counts) == 24


def enumerated(gaps):
    """Wilcoxon's two-sided p by visiting all patterns of signs; equal gaps share their mean rank."""
    moved = np.array([gap for gap in gaps if gap != 0])
    below, upto = (
        np.array([compare(np.abs(moved), abs(one)).sum() for one in moved]) for compare in (np.less, np.less_equal)
    )
    ranks = (below + 1 + upto) / 2
    signs = np.array(list(product((0, 1), repeat=len(moved))))
    distance = np.abs(signs @ ranks - ranks.sum() / 2)
    return np.mean(distance >= abs(ranks[moved > 0].sum() - ranks.sum() / 2) - 1e-9)


def test_signed_ranks_are_exact_with_and_without_ties():
    random = np.random.default_rng(4)
    for gaps in (random.normal(0.4, 1, 40), random.normal(0, 1, 9)):
        p, name = signed_rank(gaps)
        assert p == pytest.approx(wilcoxon(gaps, method="exact").pvalue) and name.startswith("Wilcoxon")
    for gaps in ([1, 1, -1, 2, 0, 2, 3, -2, 1], [1], [2, -2], [0, 0.5, 0.5, 0.5]):
        assert signed_rank(np.array(gaps, dtype=float))[0] == pytest.approx(enumerated(gaps))
    assert signed_rank(np.zeros(4)) == (None, "no test: no pair of readings differs")
    assert signed_rank(np.zeros(0)) == (None, "no test: there are no readings")


def test_shares_of_nothing_have_no_interval():
    assert exact_share(0, 0, 0).note == "there are no readings"
    assert exact_share(0, 12, 12).ci95 == pytest.approx((0.0, 1 - 0.025 ** (1 / 12)))


def test_files_and_page_hold_what_was_found(scored):
    folder, scores, _, analysis = scored
    out = folder.parent / "analysis"
    assert json.loads((out / "analysis.json").read_text()) == analysis.model_dump(mode="json")
    with (out / "readings.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * (14 + 14 + 10)
    for row in rows:
        arm = {"real": "first", "virtual": "second"}[row["arm"]]
        assert float(row["her2"]) == scores[row["reader"], row["name"], arm, row["repeat"] == "1"]
    with (out / "agreement.csv").open() as file:
        table = list(csv.DictReader(file))
    assert len(table) == len(analysis.agreement)
    assert float(table[0]["kappa"]) == analysis.agreement[0].kappa.value
    page = (out / "study.html").read_text()
    pool = one(analysis.agreement, "virtual and real, same reader", READERS)
    assert f"{pool.kappa.value:.2f}" in page and "http" not in page.replace("http-equiv", "")
    assert "<svg" in page and analysis.noninferiority[0].sentence in page


def test_what_is_missing_or_could_not_be_assessed_is_said(make, tmp_path):
    folder = make(cases=10, training_cases=0)
    names = sorted(key_of(folder)["names"].values())
    fill_in(folder, lambda r, n, a, _: None if (n, a) == (names[0], "second") else {"her2": 1})
    with AnswerBookFile(folder) as run:
        run("DELETE FROM answer WHERE reader = 'reader-2' AND position > 14")
    analysis = restain.analyse_study(folder, out=tmp_path / "out")
    words = " | ".join(analysis.warnings)
    assert "5 of 40 readings are missing" in words and "have no answer, because" in words
    assert analysis.readers[0].unreadable == {"real": 0, "virtual": 1}
    row = one(analysis.agreement, "virtual and real, same reader", ("reader-1",))
    assert row.kappa.value is None and row.kappa.note == "one class alone was given" and row.kappa.n == 9


class AnswerBookFile:
    """Changes answers behind the program's back."""

    def __init__(self, folder):
        self.path = folder / "answers.sqlite"

    def __enter__(self):
        import sqlite3

        self.file = sqlite3.connect(self.path, isolation_level=None)
        return self.file.execute

    def __exit__(self, *_):
        self.file.close()


def test_a_margin_that_was_changed_afterwards_is_told(scored, tmp_path):
    folder = shutil.copytree(scored[0], tmp_path / "study")
    text = (folder / "study.yaml").read_text()
    (folder / "study.yaml").write_text(text.replace("margin: 0.1", "margin: 0.5"))
    analysis = restain.analyse_study(folder, out=tmp_path / "other")
    assert analysis.warnings[0].startswith("study.yaml was changed after the first answer")


def test_an_analysis_of_nothing_is_refused(make, tmp_path):
    folder = make()
    with pytest.raises(RestainError, match=r"answers\.sqlite: no such file"):
        restain.analyse_study(folder, out=tmp_path / "out")
    AnswerBook(folder / "answers.sqlite").close()
    with pytest.raises(RestainError, match="holds no answer"):
        restain.analyse_study(folder, out=tmp_path / "out")
    fill_in(folder, lambda *_: {"her2": 1})
    other = make("other", seed=9)
    (folder / "key.json").write_bytes((other / "key.json").read_bytes().replace(b'"c0001"', b'"c0099"'))
    with pytest.raises(RestainError, match="expected the key of this study"):
        restain.analyse_study(folder, out=tmp_path / "out")
    with pytest.raises(RestainError, match=r"holds no study\.yaml"):
        restain.analyse_study(tmp_path, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_commands_print_what_was_made_and_found(images, tmp_path):
    runner = CliRunner()
    arguments = ["study", "make", "--real", str(images / "real"), "--virtual", str(images / "virtual")]
    arguments += ["--design", "score", "--marker", "her2", "--cases", "8", "--readers", "2", "--washout-days", "0"]
    made = runner.invoke(app, [*arguments, "--out", str(tmp_path / "s")])
    assert made.exit_code == 0, made.output
    assert "HER2: scores: 2 readers, 20 readings each in 2 sessions, 0 days apart" in made.output
    assert "warning: 8 cases are less than 80" in made.output and "key.json" in made.output
    fill_in(tmp_path / "s", lambda reader, name, arm, _: {"her2": (len(reader + arm) + int(name[-2:])) % 4})
    found = runner.invoke(app, ["study", "analyse", str(tmp_path / "s"), "--out", str(tmp_path / "a")])
    assert found.exit_code == 0, found.output
    assert "virtual and real, same reader" in found.output and "different readers, real" in found.output


def test_cases_of_one_slide_are_resampled_together(make, tmp_path):
    """All cases of a slide are read alike: sixteen cases of eight slides are worth eight, so the interval is wider."""
    ends = {}
    for groups in ("none", r"case\d*?(\d)$"):
        name = f"grouped{len(groups)}"
        folder = make(name, design="quality", cases=16, training_cases=0, readers=2, groups=groups)
        drawn = sorted(key_of(folder)["names"].values())
        steps = (0, 1, 2, 3, 0, 2, 1, 3, 0, 1)

        def answer(_, case, arm, __, steps=steps):
            return {
                question: 1 + (steps[int(case[-1])] if arm == "second" else 0)
                for question in ("nuclei", "staining", "background", "artefacts")
            }

        fill_in(folder, answer)
        analysis = restain.analyse_study(folder, out=tmp_path / f"{name}-out")
        estimate = analysis.noninferiority[0].estimate
        assert estimate.groups == (16 if groups == "none" else 10) and len(drawn) == 16
        ends[groups] = estimate.ci95

    none, grouped = ends.values()
    assert grouped[1] - grouped[0] > none[1] - none[0]


def test_a_share_over_cases_stays_between_0_and_1_and_needs_cases_that_differ():
    hits, groups = np.array([1.0] * 8 + [0.0, 1.0] * 2 + [0.0, 0.0, 1.0, 1.0]), np.repeat(np.arange(8), 2)
    low, high = share_over_groups(hits, groups, 0).ci95
    assert 0 <= low < 12 / 16 < high == 1
    alike = share_over_groups(np.tile([0.0, 1.0], 8), groups, 0)  # as of a reader who always says "real"
    assert alike.value == 0.5 and alike.ci95 is None and "same share" in alike.note
