"""python -m ml dataset check|split|report: look at labelled images and divide them, before anything is trained."""

import argparse
from pathlib import Path
from typing import Final

from ml.training.errors import BenchError

_SOURCES: Final = """\
SOURCE is KIND:FOLDER, or KIND:FOLDER,FILE.csv where the table lies elsewhere. KIND is
  folder    benign/ and malignant/ with images
  kaggle    train/ and test/, each with benign/ and malignant/
  isic2020  JPEG files and the ground truth (image_name, patient_id, diagnosis, target)
  ham10000  images and the metadata (lesion_id, image_id, dx)
  manifest  manifest.csv of this project's data"""


def add_dataset_commands(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",  # argparse has no public name for it
) -> None:
    """Add `dataset` and its three commands to the command line."""
    dataset = commands.add_parser("dataset", help="check, split or show a collection of images")
    kinds = dataset.add_subparsers(required=True, metavar="check|split|report")

    def add(name: str, summary: str) -> argparse.ArgumentParser:
        command = kinds.add_parser(
            name,
            help=summary,
            description=summary,
            epilog=_SOURCES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_argument("sources", nargs="+", metavar="SOURCE")
        return command

    check = add("check", "find unreadable files, twins, label conflicts and imbalance")
    check.add_argument("--json", type=Path, metavar="FILE", help="write the findings for programs, too")
    check.set_defaults(run=_check)

    split = add("split", "divide by lesion or patient; official splits are not looked at")
    split.add_argument("--fractions", default="70/15/15", help="train/validation/test or train/test, percent")
    split.add_argument("--seed", type=int, default=1)
    split.add_argument("--out", type=Path, required=True, metavar="FILE", help="JSON to write")
    split.set_defaults(run=_split)

    report = add("report", "draw a collection and its traps in one HTML page")
    report.add_argument("--out", type=Path, required=True, metavar="FILE", help="HTML to write")
    report.set_defaults(run=_report)


def _check(options: argparse.Namespace) -> int:
    from ml.training.dataset_check import as_json, check_images, describe
    from ml.training.files import write_json
    from ml.training.fingerprints import fingerprint_images
    from ml.training.loaders import load_sources

    findings = check_images(fingerprint_images(load_sources(options.sources)))
    print(describe(findings))
    if options.json:
        write_json(options.json, as_json(findings))
    return int(findings.faulty)


def _split(options: argparse.Namespace) -> int:
    from ml.training.dataset_split import parse_fractions, split_into_parts, write_split_file
    from ml.training.fingerprints import fingerprint_images
    from ml.training.loaders import load_sources
    from ml.training.twins import exact_twins, join_groups, near_twins

    percents = parse_fractions(options.fractions)
    if options.seed < 0:
        raise BenchError(f"--seed {options.seed} must be 0 or more")
    found = fingerprint_images(load_sources(options.sources))
    if found.unreadable:
        raise BenchError(
            f"{len(found.unreadable)} unreadable files, such as {found.unreadable[0].path}: "
            "see python -m ml dataset check"
        )
    images = join_groups(found.images, [*exact_twins(found), *near_twins(found)])
    parts = split_into_parts(images, percents=percents, seed=options.seed)
    write_split_file(options.out, parts, sources=options.sources, percents=percents, seed=options.seed)
    for name, part in parts.items():
        malignant = sum(image.malignant for image in part)
        groups = len({image.group for image in part})
        print(f"{name}: {len(part):,} images in {groups:,} groups, {malignant / len(part):.1%} malignant")
    return 0


def _report(options: argparse.Namespace) -> int:
    from ml.training.dataset_report import write_report
    from ml.training.fingerprints import fingerprint_images
    from ml.training.loaders import load_sources

    write_report(options.out, fingerprint_images(load_sources(options.sources)), sources=options.sources)
    print(f"wrote {options.out}")
    return 0
