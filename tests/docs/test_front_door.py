"""What is run before a commit and for a public mirror is what `make` runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def _yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _recipe(target: str) -> list[str]:
    """The lines of a target's recipe, without the characters that make itself heeds."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    (recipe,) = re.findall(rf"^{target}:[^\n]*\n((?:\t[^\n]*\n)*)", text, re.MULTILINE)
    return [line.lstrip("\t@-+") for line in recipe.splitlines()]


def test_the_hook_before_a_commit_is_make_lint() -> None:
    (repo,) = _yaml(ROOT / ".pre-commit-config.yaml")["repos"]
    (hook,) = repo["hooks"]
    assert (repo["repo"], hook["language"]) == ("local", "system")
    assert _recipe("lint") == [hook["entry"]]


def test_the_workflow_runs_the_tests_and_the_docs() -> None:
    (job,) = _yaml(ROOT / ".github" / "workflows" / "test.yml")["jobs"].values()
    assert job["steps"][-2:] == [{"run": "make test"}, {"run": "make check-docs"}]
    actions = [step["uses"] for step in job["steps"] if "uses" in step]
    assert [action for action in actions if not re.fullmatch(r"actions/[a-z]+@v\d+", action)] == []


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_issue_forms_have_what_github_asks_for(form: Path) -> None:
    content = _yaml(form)
    if form.name == "config.yml":
        assert content == {"blank_issues_enabled": True}
        return
    assert {"name", "description", "body"} <= set(content)
    for field in content["body"]:
        assert field["type"] in {"textarea", "input", "markdown", "dropdown", "checkboxes"}
        assert field["attributes"]["label"]
    ids = [field["id"] for field in content["body"]]
    assert len(set(ids)) == len(ids)
