"""Templates for new tickets, as a repository holds them."""

from __future__ import annotations

from pathlib import Path

from dispatcher.models import Project
from dispatcher.templating import read_template, templates
from tests.gitting import git

BUG = "---\nname: Bug report\nabout: Something is wrong\ntitle: 'Bug: '\nlabels: bug, triage\nassignees: ''\n---\n\n## What\n"


def project(repository: Path) -> Project:
    return Project(key="WEB", name="web", path=str(repository), default_branch="main")


def commit(repository: Path, **files: str) -> None:
    for folder, text in files.items():
        path = repository / folder
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "Templates")


def test_templates_are_read_from_the_default_branch(repository: Path) -> None:
    assert templates(project(repository)) == []
    commit(
        repository,
        **{
            ".github/ISSUE_TEMPLATE/bug_report.md": BUG,
            ".github/ISSUE_TEMPLATE/form.yml": "name: a form",
            ".dispatcher/templates/small-change.md": "Only this:\n",
            ".dispatcher/templates/broken.md": "---\nlabels: {a: [\n---\n",
        },
    )
    (repository / ".dispatcher/templates/small-change.md").write_text("not committed")
    small = (repository / ".dispatcher/templates/small-change.md").with_name("link.md")
    small.symlink_to("/etc/passwd")
    git(repository, "add", str(small))
    git(repository, "commit", "-q", "-m", "A link")
    found = {one.path: one for one in templates(project(repository))}
    assert list(found) == [
        ".github/ISSUE_TEMPLATE/bug_report.md",
        *(f".dispatcher/templates/{name}.md" for name in ("link", "small-change", "broken")),
    ]
    bug = found[".github/ISSUE_TEMPLATE/bug_report.md"]
    assert (bug.name, bug.about, bug.title, bug.labels) == ("Bug report", "Something is wrong", "Bug: ", ["bug", "triage"])
    assert bug.body == "## What\n" and not bug.problem
    assert found[".dispatcher/templates/small-change.md"].body == "Only this:\n"
    assert found[".dispatcher/templates/link.md"].body == "/etc/passwd"  # where it points, not what stands there
    assert "is no YAML" in found[".dispatcher/templates/broken.md"].problem


def test_a_template_that_is_wrong_says_why(tmp_path: Path) -> None:
    for text, why in (
        ("---\nname: [1]\n---\n", "name: "),
        ("---\nlabels:\n  - a: b\n---\n", "labels.0: "),
        ("---\nname: x\n", "has no end"),
        ("---\n- a\n---\n", "valid dictionary"),
        (f"---\n{'[' * 5000}\n---\n", "nested too deeply"),
        (f"---\na: {'x' * 9000}\n---\n", "more than 8,000"),
        ("---\nname: !!python/object:os.system x\n---\n", "is no YAML"),
    ):
        assert why in read_template("a/b.md", text).problem, text[:40]
    whole = read_template("a/feature_request.md", "\ufeff---\nname:\nlabels:\n  - one\n---\r\nBody\r\n")
    assert (whole.name, whole.labels, whole.body, whole.problem) == ("Feature request", ["one"], "Body\n", "")
    assert read_template("x.md", "").body == ""
    gone = templates(project(tmp_path / "gone"))
    assert len(gone) == 1 and "does not exist" in gone[0].problem
