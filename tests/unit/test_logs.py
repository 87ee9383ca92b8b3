"""The log: for a person, as JSON lines, and as fields in systemd's journal."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import PurePosixPath

from dreamd.job import Job
from dreamd.logs import _SystemdHandler

PROGRAM = """
import logging, sys
from pathlib import PurePosixPath
from dreamd.job import Job
from dreamd.logs import LogStyle, configure
configure(LogStyle(sys.argv[1]), human="%(levelname)s %(message)s")
log = logging.getLogger("dreamd.daemon.lifecycle")
job = Job(id="7", folder=PurePosixPath("cats\\n\\udce9"), name="a.png")
log.info("%s came", "a\\nb\\udce9", extra=job.about)
logging.getLogger("PIL").info("noise")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("oh")
"""


def logged(style: str, **environment: str) -> str:
    """What a process writes to its standard error."""
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM, style],
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        timeout=60,
    )
    return process.stderr.decode()


def test_json_is_an_object_a_line_with_the_job_and_its_folder() -> None:
    first, second = map(json.loads, logged("json").splitlines())
    assert first.pop("time").endswith("Z")
    assert first == {
        "level": "info", "logger": "dreamd.daemon.lifecycle", "message": "a\nb\udce9 came", "job": "7",
        "folder": "cats\\n\\udce9",
    }  # fmt: skip
    assert (second["level"], second["message"]) == ("error", "oh")
    assert second["traceback"].endswith("ZeroDivisionError: division by zero")
    assert "job" not in second


def test_where_no_journal_reads_it_the_log_is_for_a_person() -> None:
    lines = logged("auto", JOURNAL_STREAM="1:2").splitlines()
    assert lines[0] == "INFO a"
    assert "ERROR oh" in lines


def test_where_the_journal_reads_it_nothing_goes_to_the_stream() -> None:
    reader, writer = os.pipe()
    status = os.fstat(writer)
    environment = {**os.environ, "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
    subprocess.run([sys.executable, "-c", PROGRAM, "auto"], env=environment, stderr=writer, check=True, timeout=60)
    os.close(writer)
    with os.fdopen(reader) as stream:
        assert stream.read() == ""


def test_the_journal_takes_a_message_with_its_priority_and_fields() -> None:
    sent: list[dict[str, object]] = []
    handler = _SystemdHandler(lambda **fields: sent.append(fields))
    log = logging.getLogger("dreamd.test_logs")
    log.addHandler(handler)
    try:
        job = Job(id="7", folder=PurePosixPath("cats"), name="a.png")
        log.warning("%s is held", "a\udce9", extra=job.about)
        log.error("no job")
    finally:
        log.removeHandler(handler)
    assert sent == [
        {
            "message": "a\\udce9 is held", "priority": 4, "syslog_identifier": "dreamd",
            "dreamd_logger": "dreamd.test_logs", "dreamd_job": "7", "dreamd_folder": "cats",
        },
        {"message": "no job", "priority": 3, "syslog_identifier": "dreamd", "dreamd_logger": "dreamd.test_logs"},
    ]  # fmt: skip
