"""The server: what it answers, whom it refuses, and that hostile requests meet a message and nothing else."""

import json
import warnings

import pytest

pytest.importorskip("starlette")
pytest.importorskip("latex2mathml")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # newer versions want another client than httpx, and take it all the same
    testclient = pytest.importorskip("starlette.testclient", exc_type=ImportError)

from rgflow.explorer.app import application
from rgflow.explorer.guard import LARGEST_BODY

SMALL = {"depth": 4, "width": 16}


@pytest.fixture(scope="module")
def client():
    with testclient.TestClient(application(warm=False), base_url="http://127.0.0.1:8000") as found:
        yield found


def post(client, where, body, **headers):
    return client.post(where, content=json.dumps(body), headers={"content-type": "application/json", **headers})


def lines(answer):
    return [json.loads(line) for line in answer.text.splitlines()]


# What it answers ------------------------------------------------------------------------------------------------------


def test_the_page_and_its_parts(client):
    page = client.get("/")
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "http://" not in page.text.replace("http://www.w3.org", "")
    assert "https://" not in page.text
    for name in ("style.css", "explorer.js", "chart.js", "icon.svg"):
        assert client.get(f"/static/{name}").status_code == 200
    assert client.get("/api/choices").json()["fields"]["depth"]["most"] == 512


def test_numbers_at_once_then_the_part_one_over_n(client):
    state = {"layer": "residual", **SMALL}
    first = post(client, "/api/answer", {"state": state}).json()
    assert first["first_order"] == "later"
    done = lines(post(client, "/api/task", {"task": "first_order", "state": state}))[-1]["done"]
    assert len(done["V"]) == 4
    again = post(client, "/api/answer", {"state": state}).json()
    assert again["first_order"] == "here"
    assert again["V"] == done["V"]


def test_a_compiled_kernel_is_known_at_once_the_next_time(client):
    import time

    state = {"activation": "relu", "layer": "orthogonal", **SMALL}
    assert post(client, "/api/answer", {"state": state}).json()["first_order"] == "later"
    assert "done" in lines(post(client, "/api/task", {"task": "first_order", "state": state}))[-1]
    for _ in range(100):
        answer = post(client, "/api/answer", {"state": {**state, "C_W": 1.5}}).json()
        if answer["first_order"] == "here":
            break
        time.sleep(0.1)
    assert answer["first_order"] == "here"
    assert "V" in answer


def test_reading_diagram_and_tuning(client):
    reading = lines(post(client, "/api/task", {"task": "reading", "state": {}}))[-1]["done"]
    assert {one["name"] for one in reading["recursions"]} == {"K", "Theta", "V", "K_1", "Theta_1"}
    shown = [line for one in reading["recursions"] for line in one["mathml"]]
    assert all(line.startswith("<math") and " style=" not in line for line in shown)
    assert "njit" in reading["source"]
    diagram = lines(post(client, "/api/task", {"task": "diagram", "state": {"activation": "relu"}}))[-1]["done"]
    assert diagram["points"] == [{"C_W": 2.0, "C_b": 0.0, "stable": True, "class": "scale-invariant"}]
    moved = lines(
        post(
            client, "/api/task", {"task": "diagram", "state": {"activation": "relu", "layer": "residual", "skip": 0.6}}
        )
    )
    assert moved[-1]["done"]["points"][0]["C_W"] == pytest.approx(2 * (1 - 0.36))
    tuned = lines(post(client, "/api/task", {"task": "tuned", "state": {"activation": "gelu"}}))[-1]["done"]["numbers"]
    assert tuned["first_kernel"] == pytest.approx(3.5615528128)
    none = lines(post(client, "/api/task", {"task": "tuned", "state": {"activation": "softplus"}}))[-1]
    assert "no critical point" in none["problem"]
    norm = lines(post(client, "/api/task", {"task": "diagram", "state": {"layer": "layernorm"}}))[-1]["done"]
    assert "norm" in norm["note"]


def test_sampling_shows_progress_and_its_numbers(client):
    import rgflow as rg

    state = {"activation": "relu", "C_W": 2.0, "depth": 8, "width": 64}
    answer = lines(post(client, "/api/task", {"task": "sampled", "state": state, "networks": 3000, "seed": 5}))
    assert set(answer[0]) == {"progress"}
    done = answer[-1]["done"]
    net = rg.MLP.uniform(n_in=64, width=64, depth=8, activation="relu", C_W=2.0)
    mc = rg.sample(net, first_kernel=1.0, tensors=["K", "V", "Theta"], networks=3000, seed=5)
    assert done["K"] == pytest.approx(mc["K"].values, rel=1e-10)
    assert done["V_se"] == pytest.approx((mc["V_se"] / mc["fan_in"] / mc["K"] ** 2).values, rel=1e-10)


def test_sampling_is_bounded(client):
    huge = post(client, "/api/task", {"task": "sampled", "state": {"width": 10**6, "depth": 500}, "networks": 20_000})
    assert "too many" in huge.json()["problem"]


@pytest.mark.parametrize(
    ("kind", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("nc", b"\x89HDF"), ("py", b'"""')]
)
def test_exports(client, kind, start):
    answer = post(client, "/api/export", {"kind": kind, "state": {"activation": "relu", **SMALL}})
    assert answer.content.startswith(start)
    assert answer.headers["content-disposition"] == f'attachment; filename="rgflow-dense.{kind}"'


def test_an_address_is_opened_or_refused(client):
    opened = post(client, "/api/open", {"query": "?activation=relu&C_W=2"}).json()
    assert opened["state"]["C_W"] == 2
    refused = client.post(
        "/api/open", content='{"query": "?C_W=7&foo=1"}', headers={"content-type": "application/json"}
    )
    assert refused.status_code == 200
    assert "unknown key" in refused.json()["problem"]
    assert refused.json()["state"]["C_W"] == 1


def test_a_formula_that_is_none_is_said_at_its_field(client):
    answer = post(client, "/api/answer", {"state": {"activation": "tanh(z"}})
    assert answer.status_code == 200
    assert answer.json()["field"] == "activation"
    assert "tanh(z" in answer.json()["problem"]


# Whom it refuses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "", "[::1", "localhost.evil"]
)
def test_other_names_are_refused(client, host):
    assert client.get("/", headers={"host": host}).status_code == 403


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1:99", "[::1]:5", "LOCALHOST"])
def test_its_own_names_are_known(client, host):
    assert client.get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1:8000", "http://127.0.0.1:8001"])
def test_other_pages_cannot_ask(client, origin):
    assert post(client, "/api/answer", {"state": {}}, origin=origin).status_code == 403


def test_its_own_page_can_ask(client):
    assert post(client, "/api/answer", {"state": SMALL}, origin="http://127.0.0.1:8000").status_code == 200
    assert post(client, "/api/answer", {"state": SMALL}, **{"sec-fetch-site": "cross-site"}).status_code == 403


def test_a_form_of_another_page_cannot_ask(client):
    assert client.post("/api/answer", data={"state": "x"}).status_code == 415
    assert client.post("/api/answer", content="{}", headers={"content-type": "text/plain"}).status_code == 415


HOSTILE = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'"x"',
    b"[" * 5000,
    b'{"state": ' + b"[" * 7000,
    b'{"state": {"C_W": ' + b"9" * 5000 + b"}}",
    b"\xff\xfe",
    b'{"state": {"C_W": NaN}}',
    b'{"state": {"__proto__": 1}}',
    b'{"extra": 1}',
    b'{"state": {"layer": "../../etc/passwd"}}',
    b'{"state": {"depth": 1e308}}',
]


@pytest.mark.parametrize("where", ["/api/open", "/api/answer", "/api/task", "/api/export"])
@pytest.mark.parametrize("body", HOSTILE, ids=lambda body: body[:24])
def test_hostile_bodies_meet_a_message(client, where, body):
    answer = client.post(where, content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 413)
    assert set(answer.json()) == {"error"}
    assert "Traceback" not in answer.text


def test_bodies_are_bounded_whatever_they_say(client):
    def pieces():
        for _ in range(40):
            yield b" " * 1000

    large = client.post("/api/answer", content=b" " * (LARGEST_BODY + 1), headers={"content-type": "application/json"})
    streamed = client.post("/api/answer", content=pieces(), headers={"content-type": "application/json"})
    assert (large.status_code, streamed.status_code) == (413, 400)


@pytest.mark.parametrize(
    "where", ["/static/../state.py", "/static/..%2fstate.py", "/static/state.py", "/nothing", "/api/answer"]
)
def test_nothing_else_is_served(client, where):
    assert client.get(where).status_code in (404, 405)
    assert client.put(where).status_code == 405


@pytest.mark.parametrize(
    "body",
    [
        {"task": "warm", "state": {}},
        {"task": "picture", "state": {}},
        {"task": None},
        {"task": "sampled", "networks": 10**9},
        {"task": "sampled", "networks": True},
        {"task": "sampled", "seed": -1},
        {"task": "sampled", "networks": 1.5},
    ],
)
def test_tasks_that_nobody_may_ask(client, body):
    assert post(client, "/api/task", body).status_code == 400
