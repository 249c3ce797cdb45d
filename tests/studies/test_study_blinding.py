"""Nothing that the server says tells a real image from a virtual one, but the pixels of the image."""

import io
import json
import re
import sqlite3
import time

import numpy as np
import pytest
from PIL import Image
from small_slides import draw_tissue, write_slide
from studies_folder import ReaderClient, arms_of, key_of

import restain
from restain.studies.study_files import read_study, steps_of

WORDS = re.compile(rb"virtual|\breal|fake|synthetic|generated|restain slide|\bfirst|\bsecond\b|case\d", re.IGNORECASE)
VARYING = {"date"}  # headers that are of the moment


def answers_of(client):
    """Every answer about the item that is open, by its address without the ids of images."""
    state = client.state()
    ids = [picture["id"] for picture in state["item"]["pictures"]]
    found = {"state.json": client.ask("GET", "state.json")}
    for place, id in enumerate(ids):
        found[f"picture {place}"] = client.ask("GET", f"picture/{id}.json")
        found[f"thumbnail {place}"] = client.ask("GET", f"thumbnail/{id}")
        for level, column, row in ((0, 0, 0), (0, 1, 0), (1, 0, 0)):
            found[f"tile {place} {level} {column} {row}"] = client.ask("GET", f"tile/{id}/image/{level}/{column}/{row}")
        found[f"ranged {place}"] = client.ask("GET", f"tile/{id}/image/0/0/0", Range="bytes=0-9")
        found[f"other {place}"] = client.ask("HEAD", f"tile/{id}/image/0/0/0")
    return state, ids, found


def without_ids(content, ids, position):
    """JSON with the same word for every id, and without the place in the order and the progress."""
    for id in ids:
        content = content.replace(id.encode(), b"ID")
    return re.sub(rb'"(position|done)": \d+', b"", content).rstrip()


@pytest.mark.parametrize("design", ["score", "single", "quality"])
def test_answers_about_real_and_virtual_images_are_equal_but_for_pixels(make, images, design):
    folder = make(design=design, source=images / "he", cases=12)
    arms, study = arms_of(folder), read_study(folder)
    steps = steps_of(study, "reader-1")
    seen: dict[str, list[dict]] = {"first": [], "second": []}
    with restain.serve_study(folder, port=0) as server:
        client = ReaderClient(server.links["reader-1"])
        questions = [question.id for question in study.questions]
        for _ in steps[:14]:  # all in the first session, training included
            state, ids, found = answers_of(client)
            position = state["item"]["position"]
            arm = arms[steps[position].item[0]]
            about = {}
            for name, (status, headers, content) in found.items():
                kept = {key: value for key, value in headers.items() if key not in VARYING}
                assert not WORDS.search(json.dumps(kept).encode()), name
                is_image = headers["content-type"] == "image/jpeg"
                if not is_image:
                    asked = json.dumps(state["item"]["questions"], ensure_ascii=False).encode()
                    assert not WORDS.search(content.replace(asked, b"")), name
                assert "etag" not in headers and "last-modified" not in headers and "content-disposition" not in headers
                about[name] = status, kept, len(content), b"" if is_image else without_ids(content, ids, position)
            if not steps[position].training:
                seen[arm].append(about)
            status, _ = client.send(position, dict.fromkeys(questions, 1))
            assert status == 200
    assert len(seen["first"]) >= 5 and len(seen["second"]) >= 5
    for one in (*seen["first"], *seen["second"]):
        assert one == seen["first"][0]


def test_left_and_right_of_a_pair_are_equal_but_for_pixels(make):
    folder = make(design="2afc")
    with restain.serve_study(folder, port=0) as server:
        client = ReaderClient(server.links["reader-1"])
        _, ids, found = answers_of(client)
    for name, (status, headers, content) in found.items():
        if (kind := name.split())[1:2] == ["0"]:
            other = found[" ".join([kind[0], "1", *kind[2:]])]
            assert (status, len(content)) == (other[0], len(other[2])), name
            assert {**headers, "date": ""} == {**other[1], "date": ""}
            if name.startswith("picture"):
                assert content.replace(ids[0].encode(), b"") == other[2].replace(ids[1].encode(), b"")


def test_every_tile_has_one_length_whatever_it_shows(tmp_path, images):
    """A blank image and a noisy one: their JPEG files differ by a factor of ten, their answers by nothing."""
    random = np.random.default_rng(0)
    for side, pixels in (
        ("real", random.integers(0, 255, (80, 80, 3), np.uint8)),
        ("virtual", np.full((80, 80, 3), 240, np.uint8)),
    ):
        (tmp_path / side).mkdir()
        Image.fromarray(pixels).save(tmp_path / side / "a.png")
    restain.make_study(tmp_path / "s", real=tmp_path / "real", virtual=tmp_path / "virtual", design="2afc", marker="er",
                       cases=1, training_cases=0, readers=1)  # fmt: skip
    with restain.serve_study(tmp_path / "s", port=0) as server:
        client = ReaderClient(server.links["reader-1"])
        lengths = set()
        for picture in client.state()["item"]["pictures"]:
            for name in (f"tile/{picture['id']}/image/0/0/0", f"thumbnail/{picture['id']}"):
                lengths.add(len(client.ask("GET", name)[2]))
    assert len(lengths) == 1


def test_an_image_that_comes_again_has_another_id(make):
    folder = make(repeats=8)
    study = read_study(folder)
    steps = steps_of(study, "reader-1")
    ids: dict[str, set[str]] = {}
    with restain.serve_study(folder, port=0) as server:
        for reader in study.readers:
            client = ReaderClient(server.links[reader])
            own = steps_of(study, reader)
            while (state := client.state())["status"] == "reading":
                position = state["item"]["position"]
                for picture, image in zip(state["item"]["pictures"], own[position].item, strict=True):
                    ids.setdefault(image, set()).add(picture["id"])
                client.send(position, {"her2": 0})
    assert max(len(known) for known in ids.values()) == 4  # two readers, read twice
    assert len(set.union(*ids.values())) == 2 * len(steps)


def test_real_and_virtual_images_take_the_same_time(make):
    """Tiles are read from one file where they lie in random order: medians differ by less than they scatter."""
    folder = make(design="2afc", cases=8)
    arms, study = arms_of(folder), read_study(folder)
    steps = steps_of(study, "reader-1")
    took: dict[str, list[float]] = {"first": [], "second": []}
    with restain.serve_study(folder, port=0) as server:
        client = ReaderClient(server.links["reader-1"])
        for _ in steps:
            state = client.state()
            position = state["item"]["position"]
            for _ in range(12):
                for picture, image in zip(state["item"]["pictures"], steps[position].item, strict=True):
                    start = time.perf_counter()
                    client.ask("GET", f"tile/{picture['id']}/image/0/0/0")
                    took[arms[image]].append(time.perf_counter() - start)
            client.send(position, {"real": 0})
    real, virtual = (np.array(took[arm]) for arm in ("first", "second"))
    assert abs(np.median(real) - np.median(virtual)) < max(np.subtract(*np.percentile(real, [90, 10])), 2e-3)


def test_the_server_never_opens_the_key(make):
    folder = make()
    (folder / "key.json").unlink()
    with restain.serve_study(folder, port=0) as server:
        client = ReaderClient(server.links["reader-1"])
        assert client.state()["status"] == "reading"
        for name in ("key.json", "study.yaml", "links.json", "images.sqlite", "answers.sqlite", "static/key.json"):
            assert client.ask("GET", name)[0] == 404


def test_the_page_itself_says_nothing(make):
    folder = make()
    with restain.serve_study(folder, port=0) as server:
        client = ReaderClient(server.links["reader-1"])
        for name in ("", "static/study.js", "static/form.js", "static/study.css"):
            status, _, content = client.ask("GET", name)
            assert status == 200
            assert not re.search(rb"virtual|\breal\b|fake", content, re.IGNORECASE), name


def test_edges_of_fields_tell_nothing(tmp_path):
    """1025 pixels are 512.5 at half the scale: the image that ends there has no edge of glass, like the larger one."""
    for side, width in (("real", 1025), ("virtual", 1060)):
        (tmp_path / side).mkdir()
        Image.fromarray(np.full((25, width, 3), (120, 60, 90), np.uint8)).save(tmp_path / side / "one.png")
    folder = tmp_path / "study"
    restain.make_study(
        folder, real=tmp_path / "real", virtual=tmp_path / "virtual", design="single", marker="er", cases=1,
        training_cases=0,
    )  # fmt: skip
    with sqlite3.connect(folder / "images.sqlite") as store:
        for (content,) in store.execute("SELECT jpeg FROM tile").fetchall():
            assert np.abs(np.asarray(Image.open(io.BytesIO(content))).astype(int) - (120, 60, 90)).max() <= 3


def test_glass_is_treated_alike_where_one_image_is_just_wider_than_a_field(tmp_path):
    """2012 µm and 1996 µm of the same tissue: both are fields, or both are slides."""
    tissue = draw_tissue(520, 520)
    for side, pixels in (("real", 503), ("virtual", 499)):
        write_slide(tmp_path / side / "s.tif", tissue[:pixels, :pixels], 4.0)
    folder = tmp_path / "study"
    restain.make_study(
        folder, real=tmp_path / "real", virtual=tmp_path / "virtual", design="single", marker="er", cases=1,
        training_cases=0,
    )  # fmt: skip
    assert {picture["glass"] for picture in key_of(folder)["pictures"].values()} == {None}
