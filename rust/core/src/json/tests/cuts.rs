//! The property over all cases: however a body is cut into frames, the scan or the error is the same.

use super::Dice;
use crate::json::{JsonError, JsonErrorKind as Kind, Limits, Scan, Scanner, Shape};

/// Accepted bodies that together reach every state.
const SOUND: &[&str] = &[
    r"{}",
    r" { } ",
    r#"{"model":"gpt-4o","stream":true,"max_tokens":12,"n":2,"messages":[{"role":"user","content":"hi \"you\" ü 日本 😀"}]}"#,
    "{\n  \"model\": \"m\",\n  \"stream\": false,\n  \"messages\": [\n    {\n      \"role\": \"system\",\n      \"content\": null\n    }\n  ]\n}\n",
    r#"{"model":"a\u002d\ud83d\ude00\n\/b","x":"\ud83d\ude00\u00e9\"\\\/\b\f\n\r\t"}"#,
    r#"{"stream_options":{"include_usage":true,"x":{}},"max_completion_tokens":9,"max_tokens":1}"#,
    r#"{"messages":[{"role":"user","content":[{"type":"text","text":"abc"},{"type":"image_url","image_url":{"url":"data:xyz"}},{"type":"input_audio","input_audio":{"data":"q","format":"wav"}},{"type":"file","file":{"file_data":"zz"}}]},{"role":"assistant","content":null,"tool_calls":[{"id":"1","function":{"name":"f","arguments":"{\"a\":1}"}}]},{"role":"tool","tool_call_id":"1","content":"ok"},{"role":"wizard"},{},5,"x"]}"#,
    r#"{"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"a":{"enum":[1,2.5e-3,-0,true,false,null]}}}}},{}],"tool_choice":"auto"}"#,
    r#"{"input":["a","bc",[1,2,3]],"prompt":[5,6,7]}"#,
    r#"{"input":[[1,2],[3]],"prompt":"abc"}"#,
    r#"{"deep":[[[[[[[[[{"a":[{"b":"c"}]}]]]]]]]]],"after":[[],{},[{}]],"k":{"model":1,"model":2}}"#,
    r#"{"temp\u0065rature":1,"numbers":[0,-0,10,1.5,1e5,1E+5,1e-400,0.000,1234567890123456789012345678901234567890,1.7976931348623157e308]}"#,
];

/// Bodies with something wrong, one or more for every kind of refusal.
const WRONG: &[&str] = &[
    "",
    "  ",
    r"[]",
    r#""text""#,
    r"12",
    "\u{feff}{}",
    r"{} {}",
    r"{}x",
    r#"{"a":1,}"#,
    r#"{"a":[1,]}"#,
    r#"{"a":[,1]}"#,
    r#"{"a" 1}"#,
    r#"{"a":1 "b":2}"#,
    r"{a:1}",
    r#"{"a":}"#,
    r#"{"a":]}"#,
    r#"{"a":[1}"#,
    r#"{"a":{]}"#,
    r#"{"a":tru}"#,
    r#"{"a":trux}"#,
    r#"{"a":nul"#,
    r#"{"a":NaN}"#,
    r#"{"a":-Infinity}"#,
    r#"{"a":Infinity}"#,
    r#"{"a":01}"#,
    r#"{"a":[1.]}"#,
    r#"{"a":-}"#,
    r#"{"a":1e}"#,
    r#"{"a":1e400}"#,
    r#"{"a":+1}"#,
    r#"{"a":.5}"#,
    r#"{"a":"\x"}"#,
    r#"{"a":"\u12g4"}"#,
    r#"{"a":"\ud800"}"#,
    r#"{"a":"\ud800x"}"#,
    r#"{"a":"\ud800\n"}"#,
    r#"{"a":"\ud800\ud800"}"#,
    r#"{"a":"\udc00"}"#,
    r#"{"a":"\ud800é"}"#,
    "{\"a\":\"\n\"}",
    "{\"a\":\"b\u{0}\"}",
    "{\"a\":\"a long enough text to leave the short search \t\"}",
    "{\"a\tb\":1}",
    "{\u{0}}",
    "{\"a\":1\u{c}}",
    r#"{"a":"unfinished"#,
    r#"{"a":["unfinished\"#,
    r#"{"a":["unfinished\u00"#,
    r#"{"unfinished"#,
    r#"{"a":12"#,
    r#"{"a":é}"#,
    r#"{"messages":[{"role":"user"},{"role":"user","content":[{"type":"text"},{"type":"text","type":"image"}]}]}"#,
    r#"{"messages":[{"role":"user","role":"system"}]}"#,
    r#"{"messages":[{"content":"a","content":"b"}]}"#,
    r#"{"messages":[{"c\u006fntent":"a"}]}"#,
    r#"{"messages":[{"x":{"y":{"z":{"w":nope}}}}]}"#,
    r#"{"model":"a","model":"b"}"#,
    r#"{"mod\u0065l":"a"}"#,
    r#"{"Model":"a"}"#,
    r#"{"messages":[{"Role":"user"}]}"#,
    r#"{"stream_options":{"include_usage":true,"include_usage":false}}"#,
    r#"{"stream_options":{"include\u005fusage":true}}"#,
    r#"{"model":""}"#,
    r#"{"model":7}"#,
    r#"{"model":null}"#,
    r#"{"stream":"true"}"#,
    r#"{"stream_options":[]}"#,
    r#"{"stream_options":{"include_usage":1}}"#,
    r#"{"messages":{}}"#,
    r#"{"messages":null}"#,
    r#"{"tools":"x"}"#,
    r#"{"max_tokens":1.0}"#,
    r#"{"max_tokens":-1}"#,
    r#"{"max_tokens":9223372036854775808}"#,
    r#"{"max_tokens":"1"}"#,
    r#"{"n":1e2}"#,
];

fn cases() -> Vec<Vec<u8>> {
    let mut cases: Vec<Vec<u8>> = [SOUND, WRONG].concat().iter().map(|case| case.as_bytes().to_vec()).collect();
    for broken in [
        &b"\xff"[..],
        b"\x80",
        b"\xc0\xaf",
        b"\xe2\x28",
        b"\xe2\x82",
        b"\xf0\x9f\x98",
        b"\xf0\x80",
        b"\xed\xa0\x80",
        b"\xf8",
        b"\xe2\x82\"",
    ] {
        cases.push([b"{\"a\":\"", broken, b"\"}"].concat());
        cases.push([b"{\"a\":", broken, b"}"].concat());
        cases.push([b"{\"a\":\"b\"}", broken].concat());
        cases.push(broken.to_vec());
    }
    let long = "m".repeat(300);
    cases.push(format!(r#"{{"model":"{long}"}}"#).into_bytes());
    cases.push(format!(r#"{{"model":"{}"}}"#, r"\u00e9".repeat(128)).into_bytes());
    cases.push(format!(r#"{{"model":"{}"}}"#, r"\u00e9".repeat(129)).into_bytes());
    cases.push(format!("{{\"model\":\"{long}\u{1}\"}}").into_bytes());
    cases.push(format!(r#"{{"{long}":{{"b":x}}}}"#).into_bytes());
    cases.push(format!(r#"{{"{}":x}}"#, "é".repeat(60)).into_bytes());
    cases.push(format!(r#"{{"messages":[{{"role":"{long}","content":"{long}"}}]}}"#).into_bytes());
    for depth in [126, 127, 128] {
        cases.push(format!(r#"{{"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth)).into_bytes());
    }
    cases
}

fn fed(frames: &[&[u8]]) -> Result<Scan, JsonError> {
    let mut scanner = Scanner::new(Shape::Chat, &Limits::default());
    for frame in frames {
        scanner.feed(frame)?;
    }
    scanner.finish()
}

#[test]
fn a_body_fed_byte_by_byte_gives_the_same_result_or_error() {
    for case in cases() {
        let bytes: Vec<&[u8]> = case.chunks(1).collect();
        assert_eq!(fed(&bytes), fed(&[&case]), "{}", String::from_utf8_lossy(&case));
    }
}

#[test]
fn a_body_cut_once_anywhere_gives_the_same_result_or_error() {
    for case in cases() {
        let whole = fed(&[&case]);
        for at in 0..=case.len() {
            let (front, back) = case.split_at(at);
            assert_eq!(fed(&[front, back]), whole, "{} at {at}", String::from_utf8_lossy(&case));
        }
    }
}

#[test]
fn a_body_cut_at_random_gives_the_same_result_or_error() {
    let mut dice = Dice(7);
    for case in cases() {
        let whole = fed(&[&case]);
        for _ in 0..50 {
            let mut frames = Vec::new();
            let mut rest = &case[..];
            while !rest.is_empty() {
                let (front, back) = rest.split_at(dice.below(rest.len() + 1).min(1 + dice.below(40)));
                frames.push(front);
                rest = back;
            }
            assert_eq!(fed(&frames), whole, "{frames:?}");
        }
    }
}

#[test]
fn sound_bodies_are_accepted_and_wrong_ones_refused() {
    assert!(SOUND.iter().all(|body| fed(&[body.as_bytes()]).is_ok()));
    assert!(WRONG.iter().all(|body| fed(&[body.as_bytes()]).is_err()));
}

#[test]
fn every_kind_of_refusal_has_a_case_and_a_row_in_the_table_of_verdicts() {
    let table = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/decisions/0002-json-verdicts.md");
    let table = std::fs::read_to_string(table).unwrap();
    let mut codes: Vec<&str> =
        cases().iter().filter_map(|case| fed(&[case]).err()).map(|error| error.kind.code()).collect();
    // These need a limit of their own to be reached; see the rules.
    codes.extend(["body_too_large", "too_many_messages"]);
    codes.sort_unstable();
    codes.dedup();
    let rows: Vec<&str> =
        table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(code, _)| code).collect();
    assert!(codes.iter().all(|code| rows.contains(code)), "{codes:?}");
    assert_eq!(codes.len(), rows.len(), "{codes:?}");
}

#[test]
fn what_is_accepted_agrees_with_a_full_parser_and_what_it_refuses_is_refused() {
    for case in cases() {
        let text = String::from_utf8_lossy(&case).into_owned();
        let tree = serde_json::from_slice::<serde_json::Value>(&case);
        if tree.as_ref().is_err_and(|error| error.to_string().contains("recursion")) {
            continue; // serde_json stops one level earlier.
        }
        match fed(&[&case]) {
            Ok(scan) => {
                let tree = tree.unwrap_or_else(|error| panic!("{text}: {error}"));
                assert_eq!(scan.model.as_deref(), tree["model"].as_str(), "{text}");
                assert_eq!(scan.stream, tree["stream"].as_bool(), "{text}");
                assert_eq!(scan.n, tree["n"].as_u64(), "{text}");
                assert_eq!(scan.messages as usize, tree["messages"].as_array().map_or(0, Vec::len), "{text}");
                assert_eq!(scan.tools as usize, tree["tools"].as_array().map_or(0, Vec::len), "{text}");
                assert_eq!(scan.empty, tree.as_object().unwrap().is_empty(), "{text}");
                for member in &scan.members {
                    let name: String = serde_json::from_slice(&case[member.name()]).unwrap();
                    let value: serde_json::Value = serde_json::from_slice(&case[member.value()]).unwrap();
                    assert!(value == tree[&name] || text.contains(r#""k":"#), "{text} {name}");
                }
            }
            Err(error) if tree.is_ok() => assert!(
                matches!(
                    error.kind,
                    Kind::TopLevel
                        | Kind::DuplicateKey
                        | Kind::EscapedKey
                        | Kind::OtherCase
                        | Kind::WrongType(_)
                        | Kind::NotInteger
                        | Kind::ModelEmpty
                        | Kind::ModelTooLong
                        | Kind::Depth
                ),
                "{text}: {error}"
            ),
            Err(_) => {}
        }
    }
}
