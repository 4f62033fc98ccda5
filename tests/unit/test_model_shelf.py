"""The shelf of released models, on copies of the served one."""

from __future__ import annotations

import gc
import shutil
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from melanoma_app.model_shelf import ModelPin, ModelShelf
from ml.inference import ModelIntegrityError, ModelManifest
from tests.released import (
    DEFAULT_NAME,
    OTHER,
    OTHER_THRESHOLD,
    SERVED,
    change_manifest,
    flip_a_bit,
    replace_network,
)

OUTSIDE = ["../secret", "..", ".", "", f"{SERVED.name}/..", f"../released/{SERVED.name}", "a-1.0.0\n", "/etc"]


def make_shelf(folder: Path, default_name: str = DEFAULT_NAME) -> ModelShelf:
    return ModelShelf(folder=folder, default_name=default_name, threads=1)


def pin(folder: Path) -> ModelPin:
    return ModelPin(identifier=folder.name, sha256=ModelManifest.read(folder).sha256)


class TestModels:
    def test_newest_version_stands_first_when_listed(self, shelf: Path) -> None:
        (shelf / ".export").mkdir()

        assert [one.identifier for one in make_shelf(shelf).models()] == [OTHER, SERVED.name]

    @pytest.mark.parametrize("damage", ["gone", "no JSON", "another name"])
    def test_others_are_listed_when_one_cannot_be_read(self, shelf: Path, damage: str) -> None:
        manifest = shelf / OTHER / "manifest.json"
        if damage == "gone":
            manifest.unlink()
        elif damage == "no JSON":
            manifest.write_text("{", encoding="utf-8")
        else:
            change_manifest(shelf / OTHER, name="elsewhere")

        broken = {one.identifier: one.problem for one in make_shelf(shelf).models()}

        assert broken[SERVED.name] == ""
        assert OTHER in broken[OTHER]
        assert str(shelf) not in broken[OTHER]

    def test_network_is_missed_when_its_file_is_gone(self, shelf: Path) -> None:
        (shelf / OTHER / "model.onnx").unlink()

        problems = {one.identifier: one.problem for one in make_shelf(shelf).models()}

        assert "missing" in problems[OTHER]

    def test_nothing_is_listed_when_there_is_no_folder(self, tmp_path: Path) -> None:
        assert make_shelf(tmp_path / "nowhere").models() == []


@pytest.mark.parametrize("identifier", OUTSIDE)
def test_nothing_is_found_when_the_name_leads_elsewhere(shelf: Path, identifier: str) -> None:
    (shelf.parent / "secret").mkdir()

    assert make_shelf(shelf).find(identifier) is None


class TestChoose:
    def test_newest_of_the_name_serves_when_nobody_has_chosen(self, shelf: Path) -> None:
        assert make_shelf(shelf).choose(None).identifier == OTHER
        assert make_shelf(shelf, SERVED.name).choose(None).identifier == SERVED.name

    def test_older_version_does_not_take_its_place_when_the_newest_cannot_be_read(self, shelf: Path) -> None:
        (shelf / OTHER / "manifest.json").unlink()

        with pytest.raises(ModelIntegrityError, match=OTHER):
            make_shelf(shelf).choose(None)

    def test_default_serves_when_another_model_is_broken(self, shelf: Path) -> None:
        (shelf / "broken-1.0.0").mkdir()

        assert make_shelf(shelf).choose(None).identifier == OTHER

    def test_nothing_is_chosen_when_the_settings_name_no_model(self, shelf: Path) -> None:
        with pytest.raises(ModelIntegrityError, match="nothing"):
            make_shelf(shelf, "nothing").choose(None)

    def test_chosen_one_is_refused_when_another_stands_in_its_place(self, shelf: Path) -> None:
        chosen = pin(shelf / SERVED.name)
        change_manifest(shelf / SERVED.name, sha256="0" * 64)

        with pytest.raises(ModelIntegrityError, match="replaced"):
            make_shelf(shelf).choose(chosen)

    def test_chosen_one_is_missed_when_its_folder_is_gone(self, shelf: Path) -> None:
        chosen = pin(shelf / OTHER)
        shutil.rmtree(shelf / OTHER)

        with pytest.raises(ModelIntegrityError, match="restore its folder"):
            make_shelf(shelf).choose(chosen)


class TestLoad:
    def test_model_is_read_once_when_asked_for_again(self, shelf: Path) -> None:
        models = make_shelf(shelf)

        assert models.load(pin(shelf / OTHER)) is models.load(pin(shelf / OTHER))

    def test_model_is_read_once_when_many_threads_ask(self, shelf: Path) -> None:
        models = make_shelf(shelf)

        with ThreadPoolExecutor(6) as pool:
            loaded = set(pool.map(models.load, [pin(shelf / OTHER)] * 12))

        assert len(loaded) == 1

    def test_other_model_scores_and_the_first_is_let_go_when_switched(self, shelf: Path) -> None:
        models = make_shelf(shelf)
        first = weakref.ref(models.load(pin(shelf / SERVED.name)))

        second = models.load(pin(shelf / OTHER))
        gc.collect()

        assert second.manifest.threshold == OTHER_THRESHOLD
        assert first() is None

    def test_first_model_works_to_the_end_when_switched_under_way(self, shelf: Path) -> None:
        models = make_shelf(shelf)
        first = models.load(pin(shelf / SERVED.name))

        models.load(pin(shelf / OTHER))

        assert first.manifest.identifier == SERVED.name
        assert models.try_out(models.models()[1]).identifier == SERVED.name

    @pytest.mark.parametrize("damage", ["gone", "one bit", "whole folder"])
    def test_model_is_refused_when_its_files_change_after_it_was_loaded(
        self, shelf: Path, damage: str
    ) -> None:
        models, chosen = make_shelf(shelf), pin(shelf / OTHER)
        models.load(chosen)
        if damage == "gone":
            (shelf / OTHER / "model.onnx").unlink()
        elif damage == "one bit":
            flip_a_bit(shelf / OTHER / "model.onnx")
        else:
            shutil.rmtree(shelf / OTHER)

        with pytest.raises(ModelIntegrityError):
            models.load(chosen)

    def test_model_serves_again_when_its_folder_is_restored(self, shelf: Path, tmp_path: Path) -> None:
        models, chosen = make_shelf(shelf), pin(shelf / OTHER)
        shutil.move(shelf / OTHER, tmp_path / "away")
        with pytest.raises(ModelIntegrityError):
            models.load(chosen)

        shutil.move(tmp_path / "away", shelf / OTHER)

        assert models.load(chosen).manifest.identifier == OTHER


class TestTryOut:
    def test_model_is_refused_when_its_digest_is_right_but_it_is_no_network(self, shelf: Path) -> None:
        replace_network(shelf / OTHER, b"no network")
        models = make_shelf(shelf)
        candidate = models.find(OTHER)
        assert candidate is not None
        assert candidate.problem == ""

        with pytest.raises(ModelIntegrityError, match="no model"):
            models.try_out(candidate)

    def test_model_in_memory_stays_when_another_is_tried_out(self, shelf: Path) -> None:
        models = make_shelf(shelf)
        serving = models.load(pin(shelf / SERVED.name))

        candidate = models.find(OTHER)
        assert candidate is not None
        models.try_out(candidate)

        assert models.load(pin(shelf / SERVED.name)) is serving
