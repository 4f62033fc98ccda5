"""What must stay true of the repository as a whole."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from jinja2 import Environment, nodes

from config import PROJECT_ROOT, S3_KEYS, SECRETS, SETTING_NAMES

TEMPLATES = sorted((PROJECT_ROOT / "templates").rglob("*.html"))
LARGEST_FILE_MB = 1
RELEASED_NETWORKS_MB = 60
"""All of them together: the repository is cloned by every clinic."""


def test_neither_training_library_nor_onnx_runtime_is_loaded_when_an_app_is_made(tmp_path: Path) -> None:
    """ONNX Runtime starts threads when it is imported, and they do not survive the fork of the web workers.

    boto3 takes half a second, which a clinic that keeps its photographs in a folder need not wait.
    """
    unwanted = {
        "tensorflow",
        "keras",
        "torch",
        "jax",
        "sklearn",
        "pandas",
        "onnxruntime",
        "boto3",
        "botocore",
    }
    program = f"""
import sys
from config import Settings
from melanoma_app import create_app
create_app(Settings.from_environment({{"INSTANCE_FOLDER": {str(tmp_path)!r}, "DEMO": "0"}}))
found = {{name.partition(".")[0] for name in sys.modules}}
print(*sorted(found & {unwanted!r}))
"""
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
    )

    assert result.stdout.strip() == ""


def test_example_names_every_setting_when_read() -> None:
    lines = (PROJECT_ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    named = {match[1] for line in lines if (match := re.match(r"#?\s*([A-Z][A-Z0-9_]+)=", line))}
    from_files = {f"{name}_FILE" for name in (*SECRETS, *S3_KEYS)}

    assert set(SETTING_NAMES) <= named
    assert named - from_files <= set(SETTING_NAMES)


def test_serving_needs_no_training_library_when_its_requirements_are_read() -> None:
    text = (PROJECT_ROOT / "requirements" / "web.txt").read_text(encoding="utf-8")
    packages = {match[1].lower() for match in re.finditer(r"^([A-Za-z0-9_.-]+)==", text, re.MULTILINE)}

    assert {"flask", "onnxruntime", "pillow"} <= packages
    assert not packages & {"tensorflow", "keras", "torch", "jax", "scikit-learn", "tf2onnx"}


@pytest.mark.parametrize("part", ["requirements.txt", "requirements/web.txt", "requirements/ml.txt"])
def test_every_requirement_is_pinned_and_hashed_when_locked(part: str) -> None:
    text = (PROJECT_ROOT / part).read_text(encoding="utf-8")
    entries = [entry for entry in re.split(r"\n(?=[A-Za-z0-9])", text) if re.match(r"[A-Za-z0-9]", entry)]

    assert entries
    for entry in entries:
        assert re.match(r"[A-Za-z0-9_.\[\],-]+==\S+", entry), entry.splitlines()[0]
        assert "--hash=sha256:" in entry, entry.splitlines()[0]


def test_every_macro_is_used_when_all_templates_are_read() -> None:
    environment = Environment(autoescape=True, extensions=["jinja2.ext.do"])
    trees = {path: environment.parse(path.read_text(encoding="utf-8")) for path in TEMPLATES}
    macros = {
        macro.name
        for path, tree in trees.items()
        if path.parent.name == "components"
        for macro in tree.find_all(nodes.Macro)
    }
    called = {
        call.node.name
        for tree in trees.values()
        for call in tree.find_all(nodes.Call)
        if isinstance(call.node, nodes.Name)
    }

    assert macros
    assert macros <= called


def test_every_import_is_used_when_a_template_names_it() -> None:
    environment = Environment(autoescape=True)
    for path in TEMPLATES:
        tree = environment.parse(path.read_text(encoding="utf-8"))
        imported = {
            name if isinstance(name, str) else name[1]
            for one in tree.find_all(nodes.FromImport)
            for name in one.names
        }
        used = {name.name for name in tree.find_all(nodes.Name)}
        assert imported <= used, path.name


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(PROJECT_ROOT)))
def test_nothing_in_line_stands_in_a_template_when_parsed(path: Path) -> None:
    soup = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")

    assert not soup.find_all("style")
    for script in soup.find_all("script"):
        assert script.get("src")
        assert script.get("nonce")
    for element in soup.find_all(True):
        wrong = [name for name in element.attrs if name == "style" or name.startswith("on")]
        assert not wrong, element
        assert not str(element.get("href", "")).strip().lower().startswith("javascript:")


def test_every_form_that_changes_something_carries_a_token_when_parsed() -> None:
    for path in TEMPLATES:
        soup = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for form in soup.find_all("form", method="post"):
            assert "csrf_token" in str(form), path.name


def test_every_template_stands_on_a_page_when_all_views_are_read() -> None:
    sources = "".join(
        path.read_text(encoding="utf-8")
        for folder in ("melanoma_app", "templates")
        for path in (PROJECT_ROOT / folder).rglob("*")
        if path.suffix in (".py", ".html")
    )

    for path in TEMPLATES:
        assert f'"{path.relative_to(PROJECT_ROOT / "templates")}"' in sources, path.name


def test_no_file_is_large_when_committed() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")

    sizes_mb = {
        name: path.stat().st_size / 1e6 for name in listed if name and (path := PROJECT_ROOT / name).is_file()
    }
    networks = {name for name in sizes_mb if name.startswith("ml/released/") and name.endswith(".onnx")}
    assert sum(sizes_mb[name] for name in networks) < RELEASED_NETWORKS_MB
    assert not {name: mb for name, mb in sizes_mb.items() if name not in networks and mb > LARGEST_FILE_MB}
