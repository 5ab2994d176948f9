"""deploy/local/up and what installs its packages, with Bazel and apt-get played by scripts."""

import os
import shutil
import signal
import subprocess

import pytest

from testing.e2e import system


@pytest.fixture(name="clone")
def clone_fixture(tmp_path):
    """A folder like a clone in which Bazel has built what the test brings along."""
    here = os.getcwd()
    root = tmp_path / "a clone"
    shutil.copytree("deploy", root / "deploy", symlinks=False)
    (root / "bazel-bin").symlink_to(here)
    play(root, "bazel", "exit 0")
    play(root, "dpkg-query", 'for package in "${@:4}"; do echo "$package installed"; done')
    play(root, "apt-get", 'echo "$*" >>"$APT_LOG"')
    play(root, "id", "echo 0")
    return root


def play(root, name, script):
    """Puts a script in a program's place."""
    path = root / "played" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/bash\n{script}\n", encoding="utf-8")
    path.chmod(0o755)


def environment(root, **changes):
    return {"PATH": f"{root}/played:/usr/bin:/bin", "HOME": str(root / "home"),
            "APT_LOG": str(root / "apt.log"), **changes}


def install(root, *groups):
    done = subprocess.run([str(root / "deploy/local/install-packages"), *groups],
                          env=environment(root), capture_output=True, text=True,
                          timeout=system.DEADLINE, check=False)
    log = root / "apt.log"
    return done, log.read_text(encoding="utf-8").splitlines() if log.exists() else []


def test_nothing_is_installed_and_nothing_printed_when_nothing_is_missing(clone):
    done, commands = install(clone, "run", "test")
    assert (done.returncode, done.stdout, done.stderr, commands) == (0, "", "", [])


def test_what_is_missing_is_named_and_installed(clone):
    play(clone, "dpkg-query",
         'for package in "${@:4}"; do\n'
         '  case $package in\n'
         '    libsqlite3-dev) ;;\n'
         '    libgrpc++-dev) echo "$package config-files" ;;\n'
         '    *) echo "$package installed" ;;\n'
         '  esac\n'
         'done\n'
         'exit 1')
    done, commands = install(clone, "run")
    assert done.returncode == 0, done.stderr
    assert "libgrpc++-dev libsqlite3-dev" in done.stdout
    assert len(commands) == 2
    assert commands[0].endswith(" update")
    assert commands[1].endswith(" libgrpc++-dev libsqlite3-dev")
    assert "--no-install-recommends" in commands[1]


def test_an_apt_get_that_fails_is_shown_with_a_sentence(clone):
    play(clone, "dpkg-query", "exit 1")
    play(clone, "apt-get", 'echo "E: no network here"; exit 100')
    done, _ = install(clone, "run")
    assert done.returncode == 1
    assert "E: no network here" in done.stderr
    assert "is there a network" in done.stderr


def test_without_root_and_sudo_it_says_what_to_type(clone):
    play(clone, "dpkg-query", "exit 1")
    play(clone, "id", "echo 1000")
    only = environment(clone, PATH=str(clone / "played"))
    for program in ("dirname", "readlink", "bash", "env", "mktemp", "cat"):
        os.symlink(shutil.which(program), clone / "played" / program)
    done = subprocess.run([shutil.which("bash"), str(clone / "deploy/local/install-packages"), "test"],
                          env=only, capture_output=True, text=True, timeout=system.DEADLINE,
                          check=False)
    assert done.returncode == 1
    assert "apt-get install --no-install-recommends" in done.stderr


def test_a_group_that_does_not_exist_is_refused(clone):
    done, _ = install(clone, "everything")
    assert done.returncode == 1
    assert "'everything'" in done.stderr


class Up:
    """deploy/local/up as from a terminal: in a process group of its own."""

    def __init__(self, root, *flags, folder=None, **variables):
        self.process = subprocess.Popen(
            [str(root / "deploy/local/up"), *flags], cwd=folder or root,
            env=environment(root, **variables), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True)
        self.lines = []

    def read_until(self, wanted):
        """Reads on to a line that has `wanted`, which is returned."""
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if wanted in line:
                return self.lines[-1]
        raise AssertionError(f"no line with {wanted!r} in:\n" + "\n".join(self.lines))

    def press_ctrl_c(self):
        """The terminal sends SIGINT to the whole group. (exit code, what was printed then)"""
        os.killpg(self.process.pid, signal.SIGINT)
        rest = self.process.stdout.read()
        return self.process.wait(system.DEADLINE), rest

    def end(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


PORTS = ["--ingest-port", "0", "--store-port", "0", "--query-port", "0", "--metrics-port", "0"]


def test_it_prints_addresses_and_a_first_query_and_ends_cleanly_on_ctrl_c(clone, tmp_path):
    up = Up(clone, "--generation-duration", "1s", *PORTS, folder=tmp_path)
    try:
        command = up.read_until("qasinosql")
        printed = "\n".join(up.lines)
        for what in ("ingest", "store", "query", "metrics"):
            assert f"listening: {what} " in printed
        done = subprocess.run(["/bin/bash", "-c", command], capture_output=True, text=True,
                              timeout=system.DEADLINE, check=False)
        assert done.returncode == 0, done.stderr
        assert "qasino_server_info" in done.stdout
        assert (clone / "home/.local/share/qasino").is_dir()
        code, rest = up.press_ctrl_c()
        assert code == 0, rest
        assert "Traceback" not in rest and "line " not in rest
    finally:
        up.end()


@pytest.mark.parametrize("flags, variables, folder", [
    (["--data-dir", "{root}/own"], {}, "own"),
    (["--data-dir={root}/own"], {}, "own"),
    ([], {"QASINO_DATA_DIR": "{root}/own"}, "own"),
    (["--config", "{root}/conf"], {}, "own"),
    ([], {"QASINO_CONFIG": "{root}/conf"}, "own"),
    ([], {"XDG_DATA_HOME": "{root}/xdg"}, "xdg/qasino"),
])
def test_the_data_directory_is_where_it_was_said(clone, flags, variables, folder):
    (clone / "conf").write_text(f"data-dir={clone}/own\n", encoding="utf-8")
    up = Up(clone, *PORTS, *[flag.format(root=clone) for flag in flags],
            **{key: value.format(root=clone) for key, value in variables.items()})
    try:
        up.read_until("is ready")
        assert os.listdir(clone / folder)
        assert not (clone / "home").exists()
        assert up.press_ctrl_c()[0] == 0
    finally:
        up.end()


def test_a_build_that_fails_ends_it(clone):
    play(clone, "bazel", "echo 'ERROR: it does not build' >&2; exit 1")
    up = Up(clone)
    try:
        assert up.process.wait(system.DEADLINE) == 1
        output = up.process.stdout.read()
        assert "ERROR: it does not build" in output
        assert "the build failed" in output
    finally:
        up.end()


def test_a_flag_that_the_server_does_not_have_ends_it(clone):
    up = Up(clone, "--no-such-flag")
    try:
        assert up.process.wait(system.DEADLINE) == 1
        assert "--no-such-flag" in up.process.stdout.read()
    finally:
        up.end()


def test_help_explains_it(clone):
    done = subprocess.run([str(clone / "deploy/local/up"), "--help"], env=environment(clone),
                          capture_output=True, text=True, timeout=system.DEADLINE, check=False)
    assert done.returncode == 0
    assert "--generation-duration" in done.stdout
