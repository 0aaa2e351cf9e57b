"""Uploads and downloads: what is taken in, what is not, and what cannot be reached."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import pytest
from hedgerow import attachments


def png() -> bytes:
    """Return a whole picture of one pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"\0\0")
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", pixels), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def kept(app):
    return list(Path(app.config["ATTACHMENTS"]).iterdir())


def attach(post, data, name="wren.png", caption="A wren"):
    upload = {"file": (io.BytesIO(data), name)} if data is not None else {}
    return post("/sightings/1/attachments", caption=caption, **upload)


def test_attach_look_at_and_delete(app, client, post, sighting):
    page = attach(post, png())
    assert "The attachment is kept." in page.text
    [file] = client.get("/api/sightings/1").get_json()["attachments"]
    assert file["title"] == "wren.png"
    assert file["caption"] == "A wren"
    assert file["media_type"] == "image/png"
    assert file["url"] in client.get("/").text  # as a thumbnail

    picture = client.get(file["url"], buffered=True)
    assert picture.data == png()
    assert picture.mimetype == "image/png"
    assert picture.headers["Content-Disposition"] == "inline; filename=wren.png"
    assert [path.name for path in kept(app)] == [file["url"].rpartition("/")[2]]

    page = post(f"{file['url']}/delete")
    assert "wren.png is deleted." in page.text
    assert kept(app) == []
    assert client.get(file["url"]).status_code == 404
    assert post(f"{file['url']}/delete").status_code == 404


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (b"\xff\xd8\xff\xe0....\xff\xd9", "image/jpeg"),
        (b"RIFF....WEBPVP8L....", "image/webp"),
        (b"%PDF-1.7 ... %%EOF\n", "application/pdf"),
    ],
)
def test_other_types(client, post, sighting, data, media_type):
    page = attach(post, data, name="liar.exe")  # its content counts, not its name
    assert page.status_code == 200
    [file] = client.get("/api/sightings/1").get_json()["attachments"]
    assert file["media_type"] == media_type
    answer = client.get(file["url"], buffered=True)
    disposition = "inline" if media_type.startswith("image/") else "attachment"
    assert answer.headers["Content-Disposition"].startswith(disposition)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "Choose a file"),
        (b"", "Choose a file"),
        (png()[:-12], "Must be a whole JPEG"),
        (b"\x89PNG\r\n\x1a\n", "Must be a whole JPEG"),
        (b"<svg onload='alert(1)'/>", "Must be a whole JPEG"),
        (b"MZ" + png(), "Must be a whole JPEG"),
        (png() + b"x" * 1000, "Must have at most 4 MB."),
    ],
)
def test_what_is_not_taken(app, post, sighting, monkeypatch, data, message):
    monkeypatch.setattr(attachments, "LIMIT", 1000)
    page = attach(post, data)
    assert page.status_code == 422
    assert f'id="file-error"><strong>Error:</strong> {message}' in page.text
    assert 'value="A wren"' in page.text
    assert kept(app) == []


def test_a_caption_is_needed(app, post, sighting):
    page = attach(post, png(), caption="")
    assert page.status_code == 422
    assert 'id="caption-error"' in page.text
    assert kept(app) == []


def test_a_file_sent_as_text(post, sighting):
    page = post("/sightings/1/attachments", caption="A wren", file="not a file")
    assert page.status_code == 422


def test_a_body_over_the_limit(app, post, sighting):
    app.config["MAX_CONTENT_LENGTH"] = 1000
    page = attach(post, b"x" * 1000)
    assert page.status_code == 413
    assert "<h1>Too heavy for the notebook</h1>" in page.text


def test_no_sighting_to_attach_to(app, post):
    assert attach(post, png()).status_code == 404
    assert kept(app) == []


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("../../etc/passwd", "etc_passwd.png"),
        ("C:\\Windows\\wren.png", "CWindowswren.png"),
        ("鹪鹩.png", "png.png"),
        ("..", "attachment.png"),
        ("x" * 300 + ".png", "x" * 60 + ".png"),
    ],
)
def test_a_name_is_only_a_name(app, client, post, sighting, name, title):
    attach(post, png(), name=name)
    [file] = client.get("/api/sightings/1").get_json()["attachments"]
    assert file["title"] == title
    assert [path.parent for path in kept(app)] == [Path(app.config["ATTACHMENTS"])]


@pytest.mark.parametrize(
    "path",
    [
        "../secret.key",
        "..%2fsecret.key",
        "%2e%2e/notebook.db",
        "..\\secret.key",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "x.png",
        "x%00.png",
        "",
        ".",
        "%ff",
    ],
)
def test_nothing_else_can_be_reached(client, path):
    assert client.get(f"/attachments/{path}", follow_redirects=True).status_code == 404


def test_a_missing_file_is_a_404(app, client, post, sighting):
    attach(post, png())
    [path] = kept(app)
    path.unlink()
    assert client.get(f"/attachments/{path.name}").status_code == 404


def test_attachments_go_with_their_sighting(app, client, post, fields, sighting):
    attach(post, png())
    post("/sightings/1/delete")
    assert kept(app) == []
    client.post("/api/sightings", json=fields)
    attach(post, png())
    client.delete("/api/sightings/1")
    assert kept(app) == []
