"""The conformance suite h2spec against the edge door, strict cases included: nothing fails that is not listed here.

`go install github.com/summerwind/h2spec/cmd/h2spec@latest`, and the path to it; without it the test says so.
One surprise: a case sends one thing that is wrong behind another that is right, and the answer to that one may be there
first. Which of them lose this race is chance, so they are allowed and not expected.
"""

import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from flow.rig import Gateway

CASES = 146
LENGTH = 'Sends a HEADERS frame with the "content-length" header field which'
ONE_PORT = {
    # HTTP/1 is spoken on the same port, where what is no preface is a bad request: it is told so, and closed.
    ("http2/3.5", "Sends invalid connection preface"),
}
ANSWERED_FIRST = {
    # A request is answered as soon as what is known of it suffices, and its stream is reset without an error (RFC 9113,
    # section 8.1). What comes for it behind that is of a stream that is over.
    ("http2/5.1", "closed: Sends a DATA frame after sending RST_STREAM frame"),
    ("http2/5.1", "closed: Sends a HEADERS frame after sending RST_STREAM frame"),
    (
        "http2/6.9.1",
        "Sends multiple WINDOW_UPDATE frames increasing the flow control window to above 2^31-1 on a stream",
    ),
    ("http2/8.1", "Sends a second HEADERS frame without the END_STREAM flag"),
    ("http2/8.1.2.1", "Sends a HEADERS frame that contains a pseudo-header field as trailers"),
    ("http2/8.1.2.6", f"{LENGTH} does not equal the DATA frame payload length"),
    ("http2/8.1.2.6", f"{LENGTH} does not equal the sum of the multiple DATA frames payload length"),
}


@pytest.mark.long
@pytest.mark.parametrize("path", ["/livez", "/v1/models", "/v1/models/half-dead", "/v1/chat/completions", "/nowhere"])
def test_what_fails_of_the_conformance_suite_is_written_down(path: str, gateway: Gateway, tmp_path: Path) -> None:
    h2spec = shutil.which("h2spec")
    if h2spec is None:
        pytest.skip(f"no h2spec on the path: {CASES} cases are left out")
    host, port = gateway.doors["edge"].place
    report = tmp_path / "report.xml"
    command = [h2spec, "--strict", "--host", host, "--port", str(port), "--path", path, "--junit-report", str(report)]
    said = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300).stdout
    cases = list(ElementTree.parse(report).iter("testcase"))  # noqa: S314 - of a program we started
    failed = {
        (case.get("package"), case.get("classname"))
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    }
    print(f"{path}: {len(cases)} cases, {len(failed)} of those below failed")
    assert len(cases) == CASES
    assert failed <= ONE_PORT | ANSWERED_FIRST, said[said.find("Failures:") :]
