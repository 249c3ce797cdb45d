"""TensorBoard, read back with its own reader."""

import io

import numpy as np
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from restain.images import read_rgb
from restain.tracking import open_trackers


def events(info) -> EventAccumulator:
    return EventAccumulator(str(info.folder / "logs" / "tensorboard")).Reload()


def scalars(info, key: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in events(info).Scalars(key)]


def test_tensorboard_gets_the_same_numbers_and_pictures(run_at, picture) -> None:
    tracker = open_trackers(["tensorboard"], run_at(0))
    tracker.log(3, {"G": 0.5})
    tracker.log(3, {"val/dab_r": 0.25})
    tracker.picture(3, "samples", picture)
    tracker.close()
    assert scalars(run_at(0), "G") == [(3, 0.5)]
    assert scalars(run_at(0), "val/dab_r") == [(3, 0.25)]
    (image,) = events(run_at(0)).Images("samples")
    assert image.step == 3
    with Image.open(io.BytesIO(image.encoded_image_string)) as shown:
        np.testing.assert_array_equal(np.asarray(shown), read_rgb(picture))


def test_what_came_after_the_checkpoint_is_purged(run_at) -> None:
    for start, value in ((0, 1.0), (4, 2.0)):
        tracker = open_trackers(["tensorboard"], run_at(start))
        for step in range(start + 1, 7):
            tracker.log(step, {"G": value})
        tracker.close()
    assert scalars(run_at(0), "G") == [(1, 1), (2, 1), (3, 1), (4, 1), (5, 2), (6, 2)]
