"""The vectors by which writers in other languages are held to this one."""

from __future__ import annotations

from tests.vectors import callers


def test_the_vectors_are_what_the_python_writer_does() -> None:
    """Of every event, header, result and sampler: the file is made anew and compared."""
    assert callers.PATH.read_text(encoding="utf-8") == callers.written()


def test_the_vectors_have_every_kind_of_answer() -> None:
    """Each trigger, each field of START, and outcomes: what holds them holds something."""
    made = callers.vectors()
    assert {one["trigger"] for one in made["events"]} == {
        *("http", "pubsub", "timer", "datasource", "other"),
    }
    assert {tag for one in made["events"] for tag in one["texts"]} == {"7", "8", "9", "11"}
    assert {key for one in made["outcomes"] for key in one["attributes"]} == {
        *("http.response.status_code", "spanpipe.batch.failed_count"),
    }
