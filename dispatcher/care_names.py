"""The tables of `care`: names of files that deserve care, what locks are made from, how secrets begin, where tests are."""

from __future__ import annotations

from typing import NamedTuple


class Named(NamedTuple):
    """A rule on names. A pattern without a slash is one for the last part of the path, others are for the whole."""

    kind: str
    text: str
    patterns: tuple[str, ...]


NAMES = (
    Named(
        "agent",
        "instructs coding agents, those of later tickets too",
        (
            *("AGENTS.md", "AGENTS.override.md", "CLAUDE.md", "CLAUDE.local.md", "GEMINI.md", ".cursorrules", ".windsurfrules"),
            *(".clinerules", ".goosehints", ".aider.conf.yml", ".aider.model.settings.yml", ".aiderignore", "opencode.json"),
            *("opencode.jsonc", ".mcp.json", "mcp.json", ".cursor/*", "*/.cursor/*", ".claude/*", "*/.claude/*", ".codex/*"),
            *(".opencode/*", ".goose/*", ".windsurf/*", ".roo/*", ".github/copilot-instructions.md", ".github/instructions/*"),
            *("CONVENTIONS.md", ".clinerules/*"),
        ),
    ),
    Named(
        "agent",
        "sets what the dispatcher does with this repository: checks, limits, the prompt",
        ("./WORKFLOW.md", ".dispatcher/*"),
    ),
    Named(
        "ci",
        "runs on the CI server, with what that may reach",
        (
            *(".github/workflows/*", ".github/actions/*", ".gitlab-ci.yml", ".gitlab/ci/*", ".circleci/*", ".travis.yml"),
            *(
                "Jenkinsfile",
                "Jenkinsfile.*",
                "azure-pipelines*.yml",
                "bitbucket-pipelines.yml",
                ".drone.yml",
                ".woodpecker.yml",
            ),
            *(".woodpecker/*", ".buildkite/*", "appveyor.yml", ".appveyor.yml", "cloudbuild.yaml", "cloudbuild.yml", ".ci/*"),
            *(
                ".forgejo/workflows/*",
                ".gitea/workflows/*",
                ".teamcity/*",
                ".github/dependabot.yml",
                "renovate.json",
                "CODEOWNERS",
            ),
        ),
    ),
    Named(
        "hook",
        "runs on the machine of everybody who commits",
        (
            *(".husky/*", "*/.husky/*", ".pre-commit-config.yaml", ".pre-commit-hooks.yaml", "lefthook.yml", "lefthook.yaml"),
            *(
                ".lefthook.yml",
                ".githooks/*",
                "*/.githooks/*",
                ".git-hooks/*",
                "hooks/pre-*",
                "hooks/post-*",
                "hooks/commit-msg",
            ),
            *(".lintstagedrc*", "lint-staged.config.*", ".overcommit.yml"),
        ),
    ),
    Named("hook", "tells git which programs filter or merge files", (".gitattributes",)),
    Named("hook", "names repositories that git fetches", (".gitmodules",)),
    Named("script", "runs when the package is built or installed", ("setup.py", "build.rs", "binding.gyp", "*.gemspec")),
    Named(
        "script",
        "runs when the project is built",
        (
            *(
                "Makefile",
                "makefile",
                "GNUmakefile",
                "*.mk",
                "justfile",
                "Justfile",
                "Taskfile.yml",
                "Taskfile.yaml",
                "Rakefile",
            ),
            *("CMakeLists.txt", "*.cmake", "build.gradle", "build.gradle.kts", "settings.gradle*", "gradle-wrapper.properties"),
            *(
                "configure.ac",
                "meson.build",
                "WORKSPACE",
                "BUILD.bazel",
                "noxfile.py",
                "tox.ini",
                "gulpfile.js",
                "Gruntfile.js",
            ),
        ),
    ),
    Named(
        "script",
        "builds or starts containers",
        (
            *("Dockerfile", "Dockerfile.*", "*.dockerfile", "Containerfile", "docker-compose*.yml", "docker-compose*.yaml"),
            *("compose.yml", "compose.yaml", "compose.*.yml", "compose.*.yaml", "Vagrantfile"),
        ),
    ),
    Named(
        "script",
        "tells package managers where packages come from",
        (".npmrc", ".yarnrc", ".yarnrc.yml", "pip.conf", ".pypirc", "nuget.config"),
    ),
    Named("editor", "runs when somebody enters the folder or opens it in an editor", (".envrc", "*/.envrc", ".devcontainer/*")),
    Named(
        "editor",
        "may run programs in an editor",
        (".vscode/*", ".idea/runConfigurations/*", ".exrc", ".nvim.lua", "*.code-workspace"),
    ),
    Named(
        "secret",
        "is a file that usually holds secrets",
        (
            "id_rsa",
            "id_ed25519",
            "id_ecdsa",
            "*.pem",
            "*.p12",
            "*.pfx",
            "*.keystore",
            ".netrc",
            ".env",
            ".env.local",
            ".env.prod*",
        ),
    ),
)

LOCKS = {
    "package-lock.json": ("package.json",),
    "npm-shrinkwrap.json": ("package.json",),
    "yarn.lock": ("package.json",),
    "pnpm-lock.yaml": ("package.json", "pnpm-workspace.yaml"),
    "bun.lock": ("package.json",),
    "bun.lockb": ("package.json",),
    "deno.lock": ("deno.json", "deno.jsonc"),
    "Cargo.lock": ("Cargo.toml",),
    "poetry.lock": ("pyproject.toml",),
    "uv.lock": ("pyproject.toml",),
    "pdm.lock": ("pyproject.toml",),
    "Pipfile.lock": ("Pipfile",),
    "requirements.lock": ("pyproject.toml", "requirements.in", "requirements.txt"),
    "requirements-test.lock": ("pyproject.toml", "requirements.in", "requirements.txt"),
    "Gemfile.lock": ("Gemfile",),
    "go.sum": ("go.mod",),
    "composer.lock": ("composer.json",),
    "flake.lock": ("flake.nix",),
    "mix.lock": ("mix.exs",),
    "pubspec.lock": ("pubspec.yaml",),
    "Podfile.lock": ("Podfile",),
    "gradle.lockfile": ("build.gradle", "build.gradle.kts"),
    "packages.lock.json": ("*.csproj",),
}
"""Files that pin what is installed, and what they are made from, which stands in a folder above or beside them."""

SECRETS = {
    "an AWS access key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "a GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{40})",
    "a GitLab token": r"\bglpat-[A-Za-z0-9_-]{20}",
    "a Slack token": r"\bxox[abposr]-[A-Za-z0-9-]{10}",
    "an API key": r"\bsk-(?:ant-|proj-)?[A-Za-z0-9_-]{24}",
    "a Google API key": r"\bAIza[0-9A-Za-z_-]{35}",
    "a Stripe key": r"\b[rs]k_live_[0-9A-Za-z]{20}",
    "an npm token": r"\bnpm_[A-Za-z0-9]{36}",
    "a PyPI token": r"\bpypi-AgE[A-Za-z0-9_-]{20}",
    "a Hugging Face token": r"\bhf_[A-Za-z0-9]{30}",
    "a private key": r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY",
}
"""By their well-known beginnings; what looks like one need not be."""

TESTS = ("tests/*", "test/*", "*/tests/*", "*/test/*", "*/__tests__/*", "__tests__/*", "spec/*", "*/spec/*")
TEST_NAMES = ("test_*", "*_test.*", "*.test.*", "*.spec.*", "*_spec.rb", "*Test.java", "*Tests.cs", "*Test.kt")
