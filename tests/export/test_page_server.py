"""Serving a page: right types, a strict policy, and nothing outside its folder."""

import http.client
import json

import pytest
import requests

from metagpt_tf.export.device_kit import kit_files, list_for_service_worker
from metagpt_tf.export.page_server import POLICY, PageServer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("served")
    (path / "secret").write_text("no")
    inside = path / "page"
    (inside / "runtime").mkdir(parents=True)
    for name, content in kit_files("web").items():
        (inside / name).write_bytes(content)
    (inside / "runtime" / "a.wasm").write_bytes(b"\0asm")
    list_for_service_worker(inside)
    return inside


@pytest.fixture(scope="module")
def server(folder):
    with PageServer(folder) as opened:
        yield opened


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("", "text/html; charset=utf-8"),
        ("app.js", "text/javascript; charset=utf-8"),
        ("style.css", "text/css; charset=utf-8"),
        ("runtime/a.wasm", "application/wasm"),
        ("files.json", "application/json"),
        ("icon.svg", "image/svg+xml"),
    ],
)
def test_types_and_policy(server, name, kind):
    answer = requests.get(server.url + name, timeout=10)
    assert answer.status_code == 200 and answer.headers["Content-Type"] == kind
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "unsafe-inline" not in POLICY and "'unsafe-eval'" not in POLICY and "http" not in POLICY


@pytest.mark.parametrize(
    "path", ["/../secret", "/%2e%2e/secret", "/runtime/", "/none", "//secret", "/runtime/../../secret"]
)
def test_nothing_else(server, path):
    host = server.url.removeprefix("http://").rstrip("/")
    connection = http.client.HTTPConnection(host, timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse()
    assert answer.status in (301, 404) and answer.read() != b"no"
    connection.close()


def test_only_this_machine_and_only_reading(server):
    assert server.url.startswith("http://127.0.0.1:")
    assert requests.post(server.url, data="x", timeout=10).status_code == 501


def test_the_page_has_the_policy_too_and_nothing_inline(folder):
    html = (folder / "index.html").read_text()
    assert "Content-Security-Policy" in html and "<script>" not in html and "style=" not in html
    assert "http://" not in html and "https://" not in html
    listed = json.loads((folder / "files.json").read_text())
    assert "index.html" in listed and "runtime/a.wasm" in listed and "README.md" not in listed


def test_no_page(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no page"):
        PageServer(tmp_path)
