"""Which files deserve care, row by row."""

from __future__ import annotations

from typing import Any

import pytest

from dispatcher.care import KINDS, Text, first, reasons
from dispatcher.changes import FileChange


def change(path: str, status: Any = "modified", **values: Any) -> FileChange:
    modes = {"added": ("000000", "100644"), "deleted": ("100644", "000000")}.get(status, ("100644", "100644"))
    given = {"old_mode": modes[0], "new_mode": modes[1]} | values
    return FileChange(path=path, status=status, **given)


def told(file: FileChange, added: str = "", removed: str = "", **more: Any) -> list[tuple[str, str]]:
    return [(one.kind, one.text) for one in reasons(file, Text(added, removed), **more)]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (".github/workflows/test.yml", "ci"),
        (".github/actions/setup/action.yml", "ci"),
        (".gitlab-ci.yml", "ci"),
        ("services/api/Jenkinsfile", "ci"),
        (".circleci/config.yml", "ci"),
        (".ci/run", "ci"),
        (".husky/pre-commit", "hook"),
        (".pre-commit-config.yaml", "hook"),
        (".githooks/post-merge", "hook"),
        ("lefthook.yml", "hook"),
        (".gitattributes", "hook"),
        ("vendor/.gitattributes", "hook"),
        (".gitmodules", "hook"),
        ("package.json", "script"),
        ("web/package.json", "script"),
        ("setup.py", "script"),
        ("build.rs", "script"),
        ("Makefile", "script"),
        ("tools/release.mk", "script"),
        ("Dockerfile", "script"),
        ("Dockerfile.dev", "script"),
        ("compose.yaml", "script"),
        (".npmrc", "script"),
        ("build.gradle.kts", "script"),
        ("AGENTS.md", "agent"),
        ("packages/ui/CLAUDE.md", "agent"),
        (".cursor/rules/style.mdc", "agent"),
        ("opencode.json", "agent"),
        (".goosehints", "agent"),
        (".aider.conf.yml", "agent"),
        (".mcp.json", "agent"),
        (".github/copilot-instructions.md", "agent"),
        ("WORKFLOW.md", "agent"),
        (".dispatcher/settings", "agent"),
        (".envrc", "editor"),
        (".vscode/tasks.json", "editor"),
        (".devcontainer/devcontainer.json", "editor"),
        ("deploy/id_rsa", "secret"),
        ("certs/server.pem", "secret"),
        (".env", "secret"),
        ("Cargo.lock", "lock"),
        ("web/package-lock.json", "lock"),
        ("poetry.lock", "lock"),
        ("go.sum", "lock"),
    ],
)
def test_names_that_deserve_care(path: str, kind: str) -> None:
    assert [name for name, _ in told(change(path))] == [kind]


@pytest.mark.parametrize(
    "path",
    [
        *(
            "src/main.py",
            "docs/WORKFLOW.md",
            "README.md",
            "pyproject.toml",
            "setup.cfg",
            "makefiles/readme.txt",
            "github/workflows.py",
        ),
        *("src/hooks/useThing.ts", "environment.py", "locks.py", "src/agents.md.py", "tests/conftest.py", "package.jsonc"),
    ],
)
def test_names_that_do_not(path: str) -> None:
    assert told(change(path), "x = 1") == []


def test_a_renamed_file_keeps_what_its_old_name_says() -> None:
    moved = change("ci/old.yml", "renamed", old_path=".github/workflows/test.yml")
    assert [kind for kind, _ in told(moved)] == ["ci"]


@pytest.mark.parametrize(
    ("path", "changed", "words"),
    [
        ("web/package-lock.json", {"web/package.json"}, "pins what is installed"),
        ("web/package-lock.json", {"package.json"}, "pins what is installed"),
        ("package-lock.json", {"web/package.json"}, "pins what is installed, and package.json has not changed with it"),
        ("go.sum", set(), "pins what is installed, and go.mod has not changed with it"),
        ("app/packages.lock.json", {"app/shop.csproj"}, "pins what is installed"),
    ],
)
def test_a_lock_file_with_and_without_what_it_is_made_from(path: str, changed: set[str], words: str) -> None:
    assert told(change(path), changed=changed) == [("lock", words)]


@pytest.mark.parametrize(
    ("path", "added", "words"),
    [
        ("package.json", '    "postinstall": "node x.js",', "sets what runs on install: postinstall"),
        ("package.json", '"prepare": "husky", "preinstall": "x"', "sets what runs on install: preinstall, prepare"),
        ("package.json", '    "left-pad": "1.0.0"', "names packages and the scripts that npm runs"),
        ("pyproject.toml", 'build-backend = "mine"', "changes how the package is built"),
        ("pyproject.toml", "[tool.hatch.build.hooks.custom]", "changes how the package is built"),
        ("setup.cfg", "cmdclass = evil", "changes how the package is built"),
    ],
)
def test_package_scripts(path: str, added: str, words: str) -> None:
    assert told(change(path), added) == [("script", words)]


def test_dependencies_alone_are_no_build() -> None:
    assert told(change("pyproject.toml"), '    "httpx>=0.28",') == []
    assert told(change("pyproject.toml"), "", "[build-system]") == [("script", "changes how the package is built")]


@pytest.mark.parametrize(
    ("values", "kind", "words"),
    [
        ({"old_mode": "100644", "new_mode": "100755"}, "mode", "becomes a file that can be run"),
        ({"old_mode": "100755", "new_mode": "100644"}, "mode", "can no longer be run"),
        ({"status": "added", "new_mode": "100755"}, "mode", "is new and can be run"),
        (
            {"status": "added", "old_mode": "000000", "new_mode": "160000", "new_blob": "b" * 40},
            "submodule",
            "a submodule: another repository's commit (0000000000 → bbbbbbbbbb)",
        ),
        (
            {"status": "deleted", "old_mode": "160000", "new_mode": "000000", "old_blob": "a" * 40},
            "submodule",
            "a submodule is removed (aaaaaaaaaa → 0000000000)",
        ),
        ({"status": "type_changed", "old_mode": "120000", "new_mode": "100644"}, "type", "was a link and is a file now"),
        ({"binary": True}, "binary", "is binary: its content is not shown"),
    ],
)
def test_modes_and_kinds(values: dict[str, Any], kind: str, words: str) -> None:
    assert told(change("thing", **values)) == [(kind, words)]


@pytest.mark.parametrize(
    ("path", "target", "words"),
    [
        ("a/link", "b.txt", "is a link to b.txt"),
        ("a/link", "../b.txt", "is a link to ../b.txt"),
        ("a/link", "../../b.txt", "is a link to ../../b.txt, outside of the repository"),
        ("link", "..", "is a link to .., outside of the repository"),
        ("link", "/etc/passwd", "is a link to /etc/passwd, outside of the repository"),
        ("link", "a/../../x", "is a link to a/../../x, outside of the repository"),
        ("link", "..data", "is a link to ..data"),
    ],
)
def test_links_and_where_they_point(path: str, target: str, words: str) -> None:
    assert told(change(path, "added", new_mode="120000"), target) == [("link", words)]


@pytest.mark.parametrize(
    ("path", "added", "removed", "words"),
    [
        ("tests/test_a.py", "@pytest.mark.skip(reason='later')", "", "keeps tests from running: pytest.mark.skip"),
        ("tests/test_a.py", "@pytest.mark.xfail", "", "keeps tests from running: pytest.mark.xfail"),
        ("src/a.test.ts", "  it.skip('adds', () => {", "", "keeps tests from running: it.skip"),
        ("src/a.test.ts", "describe.only('a', f)", "", "keeps tests from running: describe.only"),
        ("src/a.spec.js", "xit('adds', f)", "it('adds', f)", "removes 1 test"),
        ("pkg/a_test.go", "\tt.Skip()", "", "keeps tests from running: t.Skip"),
        ("src/test/FooTest.java", "@Disabled", "", "keeps tests from running: @Disabled"),
        ("tests/test_a.py", "", "def test_one():\n    pass\ndef test_two():", "removes 2 tests"),
        ("tests/test_a.py", "def test_three():", "def test_one():\ndef test_two():", "removes 1 test"),
    ],
)
def test_tests_that_go_or_do_not_run(path: str, added: str, removed: str, words: str) -> None:
    assert ("test", words) in told(change(path), added, removed)


def test_a_file_of_tests_that_is_deleted_or_moved_away() -> None:
    assert told(change("tests/test_a.py", "deleted"), "", "def test_one():") == [("test", "deletes a file of tests")]
    moved = change("old/a.py", "renamed", old_path="tests/test_a.py")
    assert told(moved) == [("test", "moves a file of tests to where none are looked for")]
    assert told(change("tests/test_a.py"), "def test_one():", "def test_one():") == []
    assert told(change("src/skip.py"), "pytest.mark.skip") == []


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("key = 'AKIAIOSFODNN7EXAMPLE'", "an AWS access key"),
        ("token: ghp_" + "a1B2" * 9, "a GitHub token"),
        ("glpat-" + "x" * 20, "a GitLab token"),
        ("xoxb-1234567890-abc", "a Slack token"),
        ("OPENAI=sk-proj-" + "a" * 30, "an API key"),
        ("AIza" + "b" * 35, "a Google API key"),
        ("sk_live_" + "4" * 24, "a Stripe key"),
        ("npm_" + "c" * 36, "an npm token"),
        ("hf_" + "d" * 34, "a Hugging Face token"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "a private key"),
    ],
)
def test_what_looks_like_a_secret(line: str, what: str) -> None:
    assert told(change("src/a.py"), f"one\n{line}\ntwo") == [("secret", f"looks as if it held {what}")]
    assert told(change("src/a.py"), "", line) == []


def test_the_secret_itself_is_not_told() -> None:
    assert "EXAMPLE" not in str(told(change("a"), "AKIAIOSFODNN7EXAMPLE"))


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("user.role == 'admin\u202e'", "U+202E"),
        ("a\u2066b\u2069", "U+2066, U+2069"),
        ("zero\u200bwidth", "U+200B"),
        ("adm\u200din", "U+200D"),
        ("tag\U000e0041", "U+E0041"),
        ("soft\u00adhyphen", "U+00AD"),
        ("bell\x07", "U+0007"),
        ("escape\x1b[31m", "U+001B"),
        ("filler\u3164 = 1", "U+3164"),
    ],
)
def test_characters_that_cannot_be_seen(text: str, codes: str) -> None:
    assert told(change("src/a.py"), text) == [("hidden", f"adds characters that cannot be seen: {codes}")]


@pytest.mark.parametrize(
    "text", ["plain\ttext\f", "a family: 👨‍👩‍👧", "क्‍ष", "naïve ❤️", "windows\r", "\ufeffbegins with a mark"]
)
def test_characters_that_are_seen_or_needed(text: str) -> None:
    assert told(change("src/a.py"), text) == []


@pytest.mark.parametrize("path", ["src/a\u202egpj.py", "new\nline.py", "bell\x07.py"])
def test_a_name_that_shows_something_else(path: str) -> None:
    assert told(change(path)) == [("hidden", "has a name with characters that cannot be seen")]


def test_sizes() -> None:
    assert told(change("a.py", additions=2000, deletions=1)) == [("large", "is a large change: 2,001 lines")]
    assert told(change("a.bin", "added", binary=True), size=52_000_000) == [
        ("binary", "is binary: its content is not shown"),
        ("large", "is large: 52.0 MB"),
    ]
    assert told(change("a.bin", "deleted", binary=True), size=52_000_000) == [("binary", "is binary: its content is not shown")]
    unread = reasons(change("a.py"), Text(whole=False))
    assert [one.kind for one in unread] == ["unread"]


def test_the_gravest_reason_and_file_come_first() -> None:
    both = told(change("run.sh", old_mode="100644", new_mode="100755"), "AKIAIOSFODNN7EXAMPLE")
    assert [kind for kind, _ in both] == ["secret", "mode"]
    files = [change(path) for path in ("a.py", "go.sum", "b.py", "Makefile", "AGENTS.md")]
    for file in files:
        file.care = reasons(file, Text())
    assert [file.path for file in first(files)] == ["AGENTS.md", "Makefile", "go.sum", "a.py", "b.py"]


def test_every_kind_has_its_place_in_the_order() -> None:
    assert len(set(KINDS)) == len(KINDS)
