"""The scripted endpoint, over real HTTP."""

from __future__ import annotations

import json
import socket
import threading
import time
from typing import Any

import httpx
import pytest

from dispatcher.demo import scripted_wire
from dispatcher.demo.scripted import (
    Call,
    Counted,
    Cut,
    Empty,
    Length,
    RawHtml,
    Repeat,
    Request,
    Say,
    ScriptedEndpoint,
    Stall,
    Status,
    Step,
    Think,
    Together,
    say,
)
from tests.unit.scripting import USER, ask, assembled, events

PARTS = Together.of(
    Think("First I look."),
    Say("I look at the file, and what I say is longer than one chunk."),
    Call("bash", {"command": "cat 'ä b.txt'"}),
    Call("read", '{"cut off'),
)


def test_stream_puts_together_to_the_whole_reply(client: httpx.Client) -> None:
    with ScriptedEndpoint([Repeat(PARTS, 2)]) as endpoint:
        streamed = assembled(ask(client, endpoint))
        response = ask(client, endpoint, stream=False)
    whole = response.json()
    message = whole["choices"][0]["message"]
    assert streamed["content"] == message["content"] == "I look at the file, and what I say is longer than one chunk."
    assert streamed["reasoning_content"] == message["reasoning_content"] == "First I look."
    assert streamed["finish_reason"] == whole["choices"][0]["finish_reason"] == "tool_calls"
    assert streamed["usage"] == [whole["usage"]]
    calls = [call["function"] for call in message["tool_calls"]]
    assert [(call["name"], call["arguments"]) for call in streamed["tool_calls"].values()] == [
        (call["name"], call["arguments"]) for call in calls
    ]
    assert json.loads(calls[0]["arguments"]) == {"command": "cat 'ä b.txt'"}
    assert calls[1]["arguments"] == '{"cut off'
    ids = [call["id"] for call in [*streamed["tool_calls"].values(), *message["tool_calls"]]]
    assert len(set(ids)) == 4


def test_usage_is_sent_only_where_it_was_asked_for(client: httpx.Client) -> None:
    with ScriptedEndpoint(say("hello")) as endpoint:
        assert [event for event in events(ask(client, endpoint, stream_options={})) if "usage" in event] == []
        assert len([event for event in events(ask(client, endpoint)) if "usage" in event]) == 1


def test_usage_is_counted_from_the_bodies(client: httpx.Client) -> None:
    with ScriptedEndpoint([Say("x" * 40), Counted(Say("y"), 31000, 5, 7)]) as endpoint:
        counted = ask(client, endpoint, stream=False).json()["usage"]
        given = ask(client, endpoint, stream=False).json()["usage"]
    assert counted["prompt_tokens"] == len(json.dumps([[USER], None])) // 4
    assert counted["completion_tokens"] == 10
    assert counted["total_tokens"] == counted["prompt_tokens"] + 10
    assert (given["prompt_tokens"], given["completion_tokens"]) == (31000, 5)
    assert given["prompt_tokens_details"] == {"cached_tokens": 7}
    assert endpoint.usage == (counted["prompt_tokens"] + 31000, 15)


def test_says_that_it_is_scripted(client: httpx.Client) -> None:
    with ScriptedEndpoint(say("x"), models=("a", "b")) as endpoint:
        listed = client.get(f"{endpoint.base_url}/models").json()
        reply = ask(client, endpoint)
    assert [model["id"] for model in listed["data"]] == ["a", "b"]
    assert {model["owned_by"] for model in listed["data"]} == {"scripted"}
    assert "script" in listed["data"][0]["description"]
    assert {event["system_fingerprint"] for event in events(reply)} == {scripted_wire.FINGERPRINT} == {"scripted"}
    assert reply.headers["server"].startswith("scripted")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/nothing", 404), ("POST", "/", 404), ("GET", "/v1/chat/completions", 405), ("DELETE", "/v1/models", 405)],
)
def test_other_addresses_are_errors_in_json(client: httpx.Client, method: str, path: str, status: int) -> None:
    with ScriptedEndpoint(say("x")) as endpoint:
        response = client.request(method, f"http://127.0.0.1:{endpoint.port}{path}")
    assert response.status_code == status
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_wrong_key_model_and_body(client: httpx.Client) -> None:
    with ScriptedEndpoint(say("x"), api_key="sk-right") as endpoint:
        assert ask(client, endpoint).json()["error"]["code"] == "invalid_api_key"
        client.headers["authorization"] = "Bearer sk-right"
        assert ask(client, endpoint).status_code == 200
        assert ask(client, endpoint, model="other").json()["error"]["code"] == "model_not_found"
        garbage = client.post(f"{endpoint.base_url}/chat/completions", content=b"{nothing")
    assert [request.status for request in endpoint.requests] == [401, 200, 404, 400]
    assert "messages" in garbage.json()["error"]["message"]


@pytest.mark.parametrize("code", [400, 401, 403, 404, 418, 429, 500, 502, 503])
def test_errors_have_the_shape_of_openai(client: httpx.Client, code: int) -> None:
    with ScriptedEndpoint(
        [Status(code, headers={"retry-after": "2"}), Status(code, "Words", "a_code"), Status(code, body="<p>")]
    ) as endpoint:
        plain, worded, raw = (ask(client, endpoint) for _ in range(3))
    assert {plain.status_code, worded.status_code, raw.status_code} == {code}
    assert plain.headers["retry-after"] == "2"
    assert set(plain.json()["error"]) == {"message", "type", "param", "code"}
    assert worded.json()["error"]["message"] == "Words"
    assert worded.json()["error"]["code"] == "a_code"
    assert raw.text == "<p>"


def test_stall_before_the_headers_and_between_chunks(client: httpx.Client) -> None:
    with ScriptedEndpoint([Stall(0.3), Stall(0.3, "chunks", Say("Here I am.")), Stall(0.3, then=Status(503))]) as endpoint:
        assert assembled(ask(client, endpoint))["content"] == "I am back."
        assert assembled(ask(client, endpoint))["content"] == "Here I am."
        assert ask(client, endpoint).status_code == 503
    headers, chunks, error = endpoint.requests
    assert headers.first_byte_at is not None
    assert headers.first_byte_at - headers.at >= 0.3
    assert chunks.first_byte_at is not None
    assert chunks.ended_at is not None
    assert chunks.first_byte_at - chunks.at < 0.25
    assert chunks.ended_at - chunks.at >= 0.3
    assert error.first_byte_at is not None
    assert error.first_byte_at - error.at >= 0.3


@pytest.mark.parametrize("stream", [True, False])
def test_dropped_reply_breaks_the_connection(client: httpx.Client, stream: bool) -> None:
    with ScriptedEndpoint([Cut(), Say("next")]) as endpoint:
        with pytest.raises(httpx.RemoteProtocolError):
            ask(client, endpoint, stream=stream)
        assert ask(client, endpoint).status_code == 200


def test_ended_reply_has_no_end_mark(client: httpx.Client) -> None:
    with ScriptedEndpoint([Cut(how="end")]) as endpoint:
        text = ask(client, endpoint).text
    assert "This reply is going" in text
    assert "[DONE]" not in text
    assert '"finish_reason": "stop"' not in text
    assert endpoint.usage == (0, 0)


def test_length_empty_and_html(client: httpx.Client) -> None:
    with ScriptedEndpoint([Length("half a"), Empty(), Say("filtered", finish="content_filter"), RawHtml()]) as endpoint:
        length, empty, filtered = (assembled(ask(client, endpoint)) for _ in range(3))
        html = ask(client, endpoint)
    assert (length["content"], length["finish_reason"]) == ("half a", "length")
    assert (empty["content"], empty["finish_reason"]) == ("", "stop")
    assert filtered["finish_reason"] == "content_filter"
    assert html.headers["content-type"].startswith("text/html")
    assert "<html>" in html.text


def test_repeats_and_the_end_of_the_script(client: httpx.Client) -> None:
    with ScriptedEndpoint([Repeat(Say("a"), 2), Say("b")]) as endpoint:
        replies = [assembled(ask(client, endpoint))["content"] for _ in range(3)]
        over = ask(client, endpoint)
        endpoint.play([Repeat(Say("c"))])
        replies += [assembled(ask(client, endpoint))["content"] for _ in range(3)]
    assert replies == ["a", "a", "b", "c", "c", "c"]
    assert over.status_code == 400
    assert over.json()["error"]["code"] == "script_ended"
    assert len(endpoint.left) == 1


def test_function_decides_from_the_request(client: httpx.Client) -> None:
    def script(request: Request) -> Step:
        return Say(f"message {len(request.messages)} for {request.headers['user-agent']}")

    client.headers["user-agent"] = "tester/1"
    with ScriptedEndpoint(script) as endpoint:
        assert assembled(ask(client, endpoint))["content"] == "message 1 for tester/1"


def test_function_that_raises_is_seen_by_client_and_caller(client: httpx.Client) -> None:
    def script(request: Request) -> Step:
        raise KeyError("oops")

    with pytest.raises(KeyError, match="oops"), ScriptedEndpoint(script) as endpoint:
        error = ask(client, endpoint).json()["error"]
    assert error["code"] == "script_failed"
    assert "KeyError" in error["message"]


def test_goes_down_and_comes_back_on_its_port(client: httpx.Client) -> None:
    endpoint = ScriptedEndpoint(say("x")).start()
    try:
        before = endpoint.base_url
        assert ask(client, endpoint).status_code == 200
        endpoint.stop()
        with pytest.raises(httpx.ConnectError):
            ask(client, endpoint)
        endpoint.start()
        assert ask(client, endpoint).status_code == 200
        assert endpoint.base_url == before
        with pytest.raises(RuntimeError, match="already"):
            endpoint.start()
    finally:
        endpoint.stop()
        endpoint.stop()


@pytest.mark.parametrize("where", ["headers", "chunks"])
def test_going_down_breaks_what_is_open(client: httpx.Client, where: Any) -> None:
    with ScriptedEndpoint([Stall(60, where)]) as endpoint:
        stopper = threading.Timer(0.2, endpoint.stop)
        stopper.start()
        began = time.monotonic()
        with pytest.raises(httpx.TransportError):
            ask(client, endpoint)
        stopper.join()
    assert time.monotonic() - began < 60, "the silence was broken off"


def test_client_that_leaves_is_noted(client: httpx.Client) -> None:
    with ScriptedEndpoint([Say("word " * 4000)], chunk_delay=0.01) as endpoint:
        body = {"model": "scripted", "messages": [USER], "stream": True}
        with client.stream("POST", f"{endpoint.base_url}/chat/completions", json=body) as response:
            next(response.iter_raw())
        deadline = time.monotonic() + 30
        while endpoint.requests[0].ended_at is None and time.monotonic() < deadline:
            time.sleep(0.02)
    assert endpoint.requests[0].broken is not None
    assert endpoint.usage == (0, 0)


@pytest.mark.parametrize("stream", [True, False])
def test_chunk_delay_slows_both_ways(client: httpx.Client, stream: bool) -> None:
    with ScriptedEndpoint(say("x" * scripted_wire.PIECE * 9), chunk_delay=0.02) as endpoint:
        began = time.monotonic()
        ask(client, endpoint, stream=stream)
    assert time.monotonic() - began >= 0.2


def test_listens_on_loopback_alone() -> None:
    with ScriptedEndpoint(say("x")) as endpoint, socket.socket() as other:
        other.bind(("127.0.0.2", endpoint.port))  # would be taken, were the endpoint on every address
        assert endpoint.base_url.startswith("http://127.0.0.1:")
