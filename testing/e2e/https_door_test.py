"""The HTTP door with TLS and passwords, asked by curl; passwords are kept as `htpasswd` writes
them."""

import json
import os
import socket
import subprocess

import pytest

from testing.e2e import doors, system
from testing.e2e.door_clients import curl, quoted

# Each way in which a password may be kept: htpasswd's flags.
USERS = {"bcrypt": ["-B", "-C", "5"], "apr1": ["-m"], "sha256": ["-2"], "sha512": ["-5"],
         "crypt": ["-d"], "sha1": ["-s"]}


def secret(user):
    # The old crypt heeds eight characters.
    return f"pw-{user[:4]}"


def set_password(path, user, password, *flags):
    subprocess.run(["htpasswd", "-b", *flags, path, user, password], check=True,
                   capture_output=True)


def make_files(directory):
    """A certificate of its own and a file of passwords; the flags that name them."""
    certificate, key = os.path.join(directory, "cert.pem"), os.path.join(directory, "key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", key, "-out", certificate],
        check=True, capture_output=True)
    users = os.path.join(directory, "users")
    with open(users, "w", encoding="ascii"):
        pass
    for user, flags in USERS.items():
        set_password(users, user, secret(user), *flags)
    return {"--https-port": 0, "--https-cert": certificate, "--https-key": key,
            "--htpasswd-file": users}


class Secured:
    """A system whose HTTP door has TLS and passwords."""

    def __init__(self, qasino, flags):
        self.qasino = qasino
        self.http = f"http://127.0.0.1:{qasino.door('http')}"
        self.https = f"https://127.0.0.1:{qasino.door('https')}"
        self.certificate = flags["--https-cert"]
        self.users = flags["--htpasswd-file"]

    def curl(self, *arguments, **options):
        return curl("--cacert", self.certificate, *arguments, **options)

    def ask(self, user, password, base=None):
        """The status of a query with that user's password."""
        response = self.curl("-u", f"{user}:{password}",
                             f"{base or self.https}/request?op=query&sql=select+1")
        if response.status == 200:
            assert json.loads(response.body)["table"]["rows"] == [["1"]]
        return response.status


def open_secured(request, directory, **more):
    flags = {**make_files(directory), **more}
    return system.kept(doors.start(request.param, directory, {"http": flags})), flags


@pytest.fixture(name="secured", scope="module", params=sorted(system.MODES))
def secured_fixture(request, tmp_path_factory):
    started, flags = open_secured(request, str(tmp_path_factory.mktemp(request.param)))
    with started as qasino:
        yield Secured(qasino, flags)


@pytest.fixture(name="guarded", params=sorted(system.MODES))
def guarded_fixture(request, tmp_path):
    """Passwords are wanted on the plain port too."""
    started, flags = open_secured(request, str(tmp_path), **{"--require-auth": "true"})
    with started as qasino:
        yield Secured(qasino, flags)


@pytest.mark.parametrize("user", USERS)
def test_a_password_of_any_kind_is_taken(secured, user):
    for _ in range(2):  # The second is remembered.
        assert secured.ask(user, secret(user)) == 200


@pytest.mark.parametrize("user", USERS)
def test_a_wrong_password_is_not_taken(secured, user):
    for password in ("", "wrong", secret(user) + " ", secret(user)[:-1], secret(user).upper()):
        assert secured.ask(user, password) == 401
    assert secured.ask(user, secret(user)) == 200


def test_a_user_who_is_not_there_is_not_taken(secured):
    assert secured.ask("nobody", secret("bcrypt")) == 401


def test_without_a_password_it_asks_for_one(secured):
    response = secured.curl(f"{secured.https}/request?op=query&sql=select+1")
    assert response.status == 401
    assert response.headers["www-authenticate"].lower().startswith("basic realm=")
    answer = json.loads(response.body)
    assert answer["response_op"] == "error" and answer["error_message"]


@pytest.mark.parametrize("header", ["Basic", "Basic !!!", "Basic bm9jb2xvbg==", "Bearer x",
                                    "Basic " + "QUFB" * 2000, "Digest username=\"bcrypt\"",
                                    "basic"])
def test_credentials_that_are_none_are_refused(secured, header):
    response = secured.curl("-H", f"Authorization: {header}",
                            f"{secured.https}/request?op=query&sql=select+1")
    assert response.status in (400, 401)


def test_tables_are_published_over_tls(secured):
    response = secured.curl(
        "-u", f"apr1:{secret('apr1')}", f"{secured.https}/request?op=add_table_data", "-d",
        json.dumps({"identity": "h1", "persist": 1, "table": {
            "tablename": "secret", "column_names": ["n"], "column_types": ["int"],
            "rows": [[42]]}}))
    assert response.body == b'{"response_op":"ok","identity":"qasino"}'
    secured.qasino.client.query_until("SELECT n FROM secret")
    sql = quoted("select n from secret")
    response = secured.curl("-u", f"apr1:{secret('apr1')}",
                            f"{secured.https}/request?op=query&sql={sql}")
    assert json.loads(response.body)["table"]["rows"] == [["42"]]


def test_a_large_body_without_a_password_is_refused_before_it_is_sent(secured, tmp_path):
    path = tmp_path / "body"
    path.write_bytes(b" " * (3 << 20))
    response = secured.curl(f"{secured.https}/request?op=query", "--data-binary", f"@{path}")
    assert response.status == 401


def test_the_plain_port_wants_no_password(secured):
    response = curl(f"{secured.http}/request?op=query&sql=select+1")
    assert response.status == 200


def test_the_plain_port_wants_one_when_told_to(guarded):
    assert curl(f"{guarded.http}/request?op=query&sql=select+1").status == 401
    assert guarded.ask("sha512", secret("sha512"), guarded.http) == 200
    assert guarded.ask("sha512", secret("sha512")) == 200
    for path in ("/livez", "/readyz"):  # For who watches over it.
        assert curl(guarded.http + path).status == 200


def test_the_file_of_passwords_is_read_again_when_it_changes(secured):
    assert secured.ask("late", "first") == 401
    set_password(secured.users, "late", "first", "-m")
    system.wait_for(lambda: secured.ask("late", "first") == 200, "a new user")
    set_password(secured.users, "late", "second", "-m")
    system.wait_for(lambda: secured.ask("late", "second") == 200, "a new password")
    assert secured.ask("late", "first") == 401
    subprocess.run(["htpasswd", "-D", secured.users, "late"], check=True, capture_output=True)
    system.wait_for(lambda: secured.ask("late", "second") == 401, "a user who is gone")
    os.rename(secured.users, secured.users + ".away")
    assert secured.ask("apr1", secret("apr1")) == 200  # Those that were stay.
    os.rename(secured.users + ".away", secured.users)


def test_a_client_that_trusts_nobody_gets_nothing(secured):
    done = subprocess.run(["curl", "-sS", f"{secured.https}/livez"], capture_output=True,
                          timeout=system.DEADLINE, check=False)
    assert done.returncode == 60  # The certificate is its own.


def test_what_is_no_tls_is_ended(secured):
    port = secured.qasino.door("https")
    for data in (b"GET /request?op=query&sql=select+1 HTTP/1.1\r\nHost: x\r\n\r\n", b"\0" * 100,
                 b"\x16\x03\x01\xff\xff" + b"x" * 500, b"\x16\x03\x01\x00\x00"):
        with socket.create_connection(("127.0.0.1", port), system.DEADLINE) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            try:
                while connection.recv(65536):
                    pass
            except ConnectionResetError:
                pass
    assert secured.ask("bcrypt", secret("bcrypt")) == 200
