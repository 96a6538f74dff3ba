"""No secret is written or printed: values of the environment, logins in addresses, tokens that were typed."""

from __future__ import annotations

import json
import reprlib
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from causalrec import cli, plain_text
from causalrec.commands.encoding import plain_terminal
from causalrec.config.checks import check_keys_and_scalars
from causalrec.config.compose import compose_config, normalise_overrides
from causalrec.data.files import write_text
from causalrec.errors import RequestError
from causalrec.redaction import (
    redact,
    redact_command,
    redact_document,
    redact_override,
    redact_settings,
    redact_text,
)
from causalrec.secret_values import is_secret_name
from causalrec.sweeps.claim_files import write_json

SECRET = "s3cr3tKEY123"


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "HF_TOKEN",
            "WANDB_API_KEY",
            "DB_PASSWORD",
            "PGPASSWORD",
            "MYSQL_PWD",
            "DBPWD",
            "SSHPASS",
            "FTP_CREDS",
            "GITHUB_PAT",
            "DB_PASSCODE",
            "AZURE_CONNECTION_STRING",
            "GITHUBTOKEN",
            "client_secret",
            "SLURM_JWT",
        ),
        *("SSH_KEY", "BASIC_AUTH", "DB_PASS", "MY_PASSPHRASE", "SESSION_COOKIE", "AWS_CREDENTIALS", "KEYS", "SECRET_1"),
    ],
)
def test_a_variable_is_secret_by_its_name(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "PWD",
        "OLDPWD",
        "COMPASS",
        "NO_BYPASS",
        "PATH",
        "PATTERN",
        "HOME",
        "KEYBOARD",
        "TOKENIZERS_PARALLELISM",
        "SSH_AUTH_SOCK",
        "XAUTHORITY",
        "PASSWORD_FILE",
    ],
)
def test_other_variables_are_not(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("value", "text", "expected"),
    [
        ("Zk9-pq", "a Zk9-pq b", "a redacted b"),
        ("pa ss'w\"o9", json.dumps({"a": "pa ss'w\"o9"}), '{"a": "redacted"}'),
        ("p@ss/w0rd", "https://x/?q=p%40ss%2Fw0rd", "https://x/?q=redacted"),
        ("line one 1\nline two 2", "has line one 1 line two 2 in it", "has redacted in it"),
        ("swordfish", "a swordfish, swordfishes", "a redacted, swordfishes"),
        ("20240131", "2024013100 20240131", "2024013100 redacted"),
        ("letmein", "a letmein, letmeins", "a redacted, letmeins"),
        ("a1!b", "a1!b xa1!by", "redacted xa1!by"),
        ("abc", "abc", "abc"),
        ("4096", "4096", "4096"),
        ("0.95", "0.95", "0.95"),
        *(
            (word, word, word)
            for word in ("disabled", "true", "None", "test", "root", "user", "admin", "auto", "local")
        ),
        ("/", "/a/b", "/a/b"),
    ],
)
def test_values_are_replaced_where_they_are_no_plain_words(
    monkeypatch: pytest.MonkeyPatch, value: str, text: str, expected: str
) -> None:
    monkeypatch.setenv("MY_TOKEN", value)
    assert redact_text(text) == expected


@pytest.mark.parametrize(("value", "is_redacted"), [("seconds", False), ("ab-1", False), ("ab-123", True)])
def test_keys_are_longer_than_passwords(monkeypatch: pytest.MonkeyPatch, value: str, is_redacted: bool) -> None:
    monkeypatch.setenv("MY_KEY", value)
    assert (redact_text(value) == "redacted") is is_redacted


LINES = ["MIIEowIBAAKCAQEAv9x", "kq3+zZ/Yp0aTnW5hJ2d", "short"]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\\n"])
def test_each_line_of_a_key_is_a_secret(monkeypatch: pytest.MonkeyPatch, line_end: str) -> None:
    monkeypatch.setenv("SSH_KEY", line_end.join(["-----BEGIN PRIVATE KEY-----", *LINES, "-----END PRIVATE KEY-----"]))
    assert redact_text(f"item {LINES[1]}, {LINES[0]}, {LINES[2]}") == "item redacted, redacted, short"
    assert redact_text("-----BEGIN PRIVATE KEY-----") == "-----BEGIN PRIVATE KEY-----"


LONG = "ghp_0123456789abcdefghijklmnopqrstuvwxyzA"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"as {LONG[:22]}..", "as redacted.."),
        (f"as {LONG[:19]}…, b", "as redacted…, b"),
        (f"{plain_text.shorten(f'mf-{LONG}', 30)}", "mf-redacted~"),
        (f"x={reprlib.repr(LONG)}: no", "x='redacted...redacted': no"),
        (f"({LONG[:12]})", "(redacted)"),
        (LONG[:30], "redacted"),
        (f"{LONG[:11]}..", f"{LONG[:11]}.."),
        (f"{LONG[:15]}other", f"{LONG[:15]}other"),
        (f"my{LONG[-15:]}", f"my{LONG[-15:]}"),
    ],
)
def test_what_is_left_of_a_secret_that_was_cut_is_redacted(
    monkeypatch: pytest.MonkeyPatch, text: str, expected: str
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", LONG)
    redacted = redact_text(text)
    assert redacted == expected or (expected.endswith("~") and redacted.startswith(expected))


def test_a_path_or_address_is_cut_only_where_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_TOKEN", "https://hooks.example.org/services/T0/B0")
    text = "https://hooks.example.org: not reached"
    assert redact_text(text) == text
    assert redact_text("https://hooks.example.org/serv..") == "redacted.."


@pytest.mark.parametrize("value", ["/" + "aZ9" * 2000, "~nobody-has-this-home/9"])
def test_a_value_that_only_begins_as_a_path_is_a_secret(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("MY_TOKEN", value)
    assert redact_text(f"a {value} b") == "a redacted b"


def test_a_path_and_the_users_name_are_no_secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSL_KEY", str(tmp_path))
    monkeypatch.setenv("USER", "some-user1")
    monkeypatch.setenv("DB_AUTH", "some-user1")
    assert redact_text(f"{tmp_path} some-user1") == f"{tmp_path} some-user1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://me:PASSW0RD@127.0.0.1/db", "postgresql://redacted@127.0.0.1/db"),
        ("https://me:p/a@ss:w@host/x", "https://redacted@host/x"),
        ("https://ghp_abc@host/x", "https://redacted@host/x"),
        ("https://host/x?token=abc&a=1&password=b", "https://host/x?token=redacted&a=1&password=redacted"),
        ("https://host:8080/@page https://host/@page", "https://host:8080/@page https://host/@page"),
        ('["http://host", "me@x"]', '["http://host", "me@x"]'),
        ("'a://b' and c@d", "'a://b' and c@d"),
    ],
)
def test_logins_in_addresses_are_replaced_and_nothing_around_them(text: str, expected: str) -> None:
    assert redact_text(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("logger.api_key=abc", "logger.api_key=redacted"),
        ("+dataset.password='a b'", "+dataset.password=redacted"),
        ("logger={entity: me, token: abc}", "logger={entity: me, token: redacted}"),
        ('hydra.sweeper.storage="mysql://me:pw@h/d"', 'hydra.sweeper.storage="mysql://redacted@h/d"'),
        ("encoder.max_tokens=16", "encoder.max_tokens=16"),
        (f"name=a-{SECRET}", "name=a-redacted"),
    ],
)
def test_what_is_typed_is_kept_without_its_secret(text: str, expected: str) -> None:
    assert redact_override(text) == expected
    assert redact_command(["causalrec", text]) == redact_command(["causalrec", expected])


def test_settings_are_kept_without_secrets_and_else_as_they_were() -> None:
    settings = {"password": "abc", "token": 1234567, "k": (1, [f"x{SECRET}"]), "bins": {"api_key": None, "n": 3}}
    expected = {"password": "redacted", "token": "redacted", "k": (1, ["xredacted"]), "bins": {"api_key": None, "n": 3}}
    assert redact_settings(settings) == redact(settings) == expected


def test_files_are_written_without_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORD_TOKEN", "propensity")
    write_text(tmp_path / "a.md", f"the {SECRET}")
    write_text(tmp_path / "a.json", json.dumps({"propensity": f"the {SECRET}", "n": 1}))
    write_json(tmp_path / "b.json", {"command": f"x={SECRET}"})
    assert (tmp_path / "a.md").read_text() == "the redacted"
    assert json.loads((tmp_path / "a.json").read_text()) == {"propensity": "the redacted", "n": 1}
    assert json.loads((tmp_path / "b.json").read_text()) == {"command": "x=redacted"}
    assert redact_document('{"a": "b://c:d@e"}', ".json") == '{"a": "b://redacted@e"}'


def test_nothing_is_printed_with_a_secret(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stderr
    with plain_terminal():
        print(f"out {SECRET}")
        sys.stderr.writelines([f"err {SECRET}\n"])
        assert sys.stdout.isatty() is False
    assert sys.stderr is before
    assert capsys.readouterr() == ("out redacted\n", "err redacted\n")


def test_a_message_names_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", f"seed={SECRET}"]) == 2
    assert capsys.readouterr().err.startswith("causalrec: seed='redacted': ")
    assert str(RequestError(f"x={SECRET}")) == "x=redacted"


def test_the_command_that_is_kept_holds_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    kept_commands: list[str] = []

    def run(options: SimpleNamespace) -> int:
        kept_commands.append(options.command)
        return 0

    monkeypatch.setattr("causalrec.commands.train.train", run)
    cli.main(["train", "-m", 'hydra.sweeper.storage="postgresql://me:PASSW0RD@h/db"'])
    assert kept_commands == ["causalrec train -m 'hydra.sweeper.storage=\"postgresql://redacted@h/db\"'"]


def test_launchers_are_handed_no_password_of_a_sweeper() -> None:
    pytest.importorskip("optuna")
    from causalrec.sweeps.optuna_sweeper import without_sweeper_settings

    texts = ["hydra/sweeper=optuna", "++hydra.sweeper.storage=mysql://me:PASSW0RD@h", "hydra.searchpath=[file:///x]"]
    sweeper = {"_target_": "causalrec.sweeps.optuna_sweeper.OptunaSweeper", "storage": "mysql://me:PASSW0RD@h"}
    alone = without_sweeper_settings(OmegaConf.create({"hydra": {"sweeper": sweeper, "overrides": {"hydra": texts}}}))
    assert OmegaConf.to_container(alone.hydra.overrides.hydra) == [texts[0], texts[2]]
    assert "PASSW0RD" not in OmegaConf.to_yaml(alone)


@pytest.mark.parametrize(
    "override", [f"sweep={SECRET}", f"name=a{SECRET}", f"paths.runs=/x/{SECRET}", "sweep='a://b:c@d'"]
)
def test_no_folder_is_named_by_a_secret(override: str) -> None:
    with pytest.raises(RequestError, match=r"^(sweep|name|paths\.runs)") as caught:
        check_keys_and_scalars(compose_config(normalise_overrides([override])))
    assert SECRET not in str(caught.value)


def test_the_configuration_is_printed_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    address = "https://me:PASSW0RD@host/x"
    assert cli.main(["train", "--cfg", "job", "logger=wandb", f"logger.entity='{address}'", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["logger"]["entity"] == "https://redacted@host/x"
