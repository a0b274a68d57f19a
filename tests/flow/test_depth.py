"""Bodies as deep as the scanner allows, answered by the built-in model, whose dialect reads them once more."""

from flow.rig import Serve, Upstream, configuration, free_port

DEEPEST = 128


CHAT_OF = '{"model":"mock/echo","messages":[{"role":"user","content":"a"}],'
FORMAT = CHAT_OF + '"response_format":{"type":"json_schema","json_schema":{"name":"f","schema":%s}}}'
PLACES: dict[str, tuple[str, str, str]] = {
    "an unknown field": (CHAT_OF + '"x":%s}', "[", "]"),
    "an unknown field of a message": (CHAT_OF.replace('"a"', '"a","x":%s').replace("],", "]}"), "[", "]"),
    "a message's content": (CHAT_OF.replace('"a"', "%s").replace("],", "]}"), "[", "]"),
    "a part of a message's content": (CHAT_OF.replace('"a"', '[{"type":"x","x":%s}]').replace("],", "]}"), "[", "]"),
    "a tool's schema": (
        CHAT_OF + '"tools":[{"type":"function","function":{"name":"f","parameters":%s}}]}',
        '{"x":',
        "}",
    ),
    "tool calls": (CHAT_OF.replace('"a"', '"a","tool_calls":%s').replace("],", "]}"), "[", "]"),
    "a format's objects": (FORMAT, '{"type":"object","required":["a"],"properties":{"a":', "}}"),
    "a format's lists": (FORMAT, '{"type":"array","minItems":1,"items":', "}"),
    "a format's alternatives": (FORMAT, '{"anyOf":[', "]}"),
    "a format's words": (FORMAT, '{"enum":[', "]}"),
    "a format's constant": (FORMAT.replace("%s", '{"const":%s}'), "[", "]"),
    "logit bias": (CHAT_OF + '"logit_bias":%s}', '{"1":', "}"),
    "stop": (CHAT_OF + '"stop":%s}', "[", "]"),
    "metadata": (CHAT_OF + '"metadata":%s}', '{"1":', "}"),
    "a prediction": (CHAT_OF + '"prediction":{"type":"content","content":%s}}', "[", "]"),
}


def depth_of(text: str) -> int:
    deepest = depth = 0
    for letter in text:
        depth += (letter in "[{") - (letter in "]}")
        deepest = max(deepest, depth)
    return deepest


def test_a_body_as_deep_as_allowed_is_answered_or_refused_but_no_failure_of_ours(
    upstream: Upstream, serve: Serve
) -> None:
    deepest_answered: dict[str, int] = {}
    config = configuration(upstream.origin, free_port())
    config["models"]["mock/echo"] = {"targets": ["mock/echo"]}
    for door in serve(config).doors.values():
        for name, (place, opened, closed) in PLACES.items():
            for depth in range(DEEPEST - 4, DEEPEST + 2):
                for stream in (False, True):
                    within = (depth - depth_of(place)) // depth_of(opened.ljust(2) + closed)
                    body = place.replace("%s", opened * within + "{}" + closed * within)
                    if stream:
                        body = body[:-1] + ',"stream":true}'
                    reply = door.post(body.encode())
                    said = (door.name, name, depth_of(body), stream, reply.status)
                    if depth_of(body) > DEEPEST:
                        assert reply.status == 400, said
                        assert reply.error["code"] == "invalid_json", said
                    else:
                        assert reply.status in (200, 400), said
                    if reply.status == 200:
                        deepest_answered[name] = max(deepest_answered.get(name, 0), depth_of(body))
    assert deepest_answered["an unknown field"] == DEEPEST
