//! The Responses dialect against exchanges recorded from live providers: requests, replies, errors and, event by event,
//! streams come out as they went in.
//!
//! `FASTROUTE_RECORDINGS` names a folder of `*.jsonl.gz`; without it the tests print what they skipped and pass. Nothing of
//! that folder is in this repository. What cannot hold stands in [`EXCEPTIONS`], with its reason, and is counted.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what the functions of a test meet is a failure of the test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use fastroute_core::dialects::Dialect;
use fastroute_core::dialects::fold::Fold;
use fastroute_core::dialects::message::{ChatReply, Envelope, Reply};
use flate2::read::GzDecoder;
use serde_json::{Value, json};

#[path = "dialects/responses.rs"]
mod responses;
#[path = "dialects/same.rs"]
mod same;
use responses::{complete, complete_part, native, neutral};
use same::{assert_same, difference};

const DIALECT: Dialect = Dialect::OpenAiResponses;

/// Streams that cannot come out event by event as they went in, by what is odd in them.
/// What is the matter with a stream, and how it shows.
type Exception = (&'static str, fn(&Stream) -> bool);

const EXCEPTIONS: &[Exception] = &[
    ("several streams in one recording", |stream| stream.starts > 1),
    ("begins or ends in the middle", |stream| stream.starts == 0 || !stream.ends),
    ("an `error` event and then `response.failed`, which says the same", |stream| stream.errors > 1),
    ("another id in every event: the first is kept", |stream| stream.ids.len() > 1),
    ("shortened by hand: the whole text is not what its pieces are", |stream| stream.shortened),
    ("leaves out events that the schema has, and which are written", |stream| stream.unframed),
    ("an item begins before the last is done: they are written one after the other", |stream| stream.overlaps),
];

#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is another thing that fixtures do")]
struct Stream {
    ids: BTreeSet<String>,
    starts: usize,
    ends: bool,
    errors: usize,
    shortened: bool,
    /// Its pieces are not the beginning of the whole either.
    differs: bool,
    unframed: bool,
    overlaps: bool,
}

fn exchanges(skipped: &str) -> Vec<Value> {
    let Some(folder) = std::env::var_os("FASTROUTE_RECORDINGS").map(PathBuf::from) else {
        println!("FASTROUTE_RECORDINGS is not set: skipped {skipped}");
        return Vec::new();
    };
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "gz"));
    files.sort();
    let lines = files.into_iter().flat_map(|path| BufReader::new(GzDecoder::new(File::open(path).unwrap())).lines());
    let exchanges = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let found: Vec<_> = exchanges.filter(|exchange| exchange["api"] == "responses").collect();
    assert!(found.len() > 300, "only {} exchanges", found.len());
    found
}

fn is_error(exchange: &Value) -> bool {
    exchange["status"].as_u64().unwrap() >= 400
}

fn is_stream(exchange: &Value) -> bool {
    exchange["streaming"].as_bool().unwrap()
}

/// Counts by provider, printed as one line each.
#[derive(Default)]
struct Table(BTreeMap<String, BTreeMap<String, u64>>);

impl Table {
    fn count(&mut self, exchange: &Value, what: &str) {
        let provider = exchange["provider"].as_str().unwrap().to_owned();
        *self.0.entry(provider).or_default().entry(what.to_owned()).or_default() += 1;
    }

    fn print(&self, title: &str) {
        for (provider, counts) in &self.0 {
            println!("{title} {provider}: {counts:?}");
        }
    }
}

#[test]
fn recorded_requests_are_said_again_as_they_were_said() {
    let mut table = Table::default();
    let mut differing = Vec::new();
    for exchange in exchanges("the recorded requests") {
        let request = &exchange["request"];
        if !request.is_object() {
            table.count(&exchange, "without a request");
            continue;
        }
        let body = request.to_string();
        match DIALECT.parse_request(body.as_bytes()) {
            Ok(parsed) => {
                let rendered = DIALECT.render_request(&parsed).unwrap();
                let said: Value = serde_json::from_slice(&rendered.body).unwrap();
                assert!(rendered.dropped.is_empty(), "{:?}", rendered.dropped);
                match difference(&said, request, "") {
                    None => table.count(&exchange, "the same"),
                    Some(found) => differing.push(format!("{} {found}", exchange["id"])),
                }
            }
            Err(error) => {
                assert!(is_error(&exchange), "{}: {error}", exchange["id"]);
                table.count(&exchange, "refused by us and by the provider");
            }
        }
    }
    table.print("requests of");
    assert!(differing.is_empty(), "{}: {differing:#?}", differing.len());
}

#[test]
fn recorded_replies_are_said_again_as_they_were_said() {
    let mut table = Table::default();
    let mut differing = Vec::new();
    for exchange in exchanges("the recorded replies") {
        if is_error(&exchange) || is_stream(&exchange) {
            continue;
        }
        let body = exchange["response_body"].as_str().unwrap();
        let mut original: Value = serde_json::from_str(body).unwrap();
        let Ok(Reply::Chat(reply)) = DIALECT.parse_reply(body.as_bytes()) else { panic!("{}", exchange["id"]) };
        let rendered = DIALECT.render_reply(&Reply::Chat(reply.clone()), &Envelope::default()).unwrap();
        let said: Value = serde_json::from_slice(&rendered).unwrap();
        assert_eq!(neutral(&reply), native(&original), "{}", exchange["id"]);
        complete(&mut original, true);
        match difference(&said, &original, "") {
            None => table.count(&exchange, "the same"),
            Some(found) => differing.push(format!("{} {found}", exchange["id"])),
        }
    }
    table.print("replies of");
    assert!(differing.is_empty(), "{}: {differing:#?}", differing.len());
}

#[test]
fn recorded_errors_keep_their_message() {
    let mut table = Table::default();
    for exchange in exchanges("the recorded errors") {
        if !is_error(&exchange) {
            continue;
        }
        let body = exchange["response_body"].as_str().unwrap();
        let original: Value = serde_json::from_str(body).unwrap();
        let places = ["/error/message", "/error", "/detail"];
        let message = places.iter().find_map(|place| original.pointer(place)?.as_str()).unwrap();
        let error = DIALECT.parse_error(body.as_bytes());
        assert_eq!(error.message, message, "{}", exchange["id"]);
        let rendered: Value = serde_json::from_slice(&DIALECT.render_error(&error)).unwrap();
        if original["error"].is_object() {
            assert_same(&rendered, &original, &exchange["id"]);
            table.count(&exchange, "the same");
        } else {
            assert_eq!(rendered["error"]["message"], message);
            table.count(&exchange, "another server's form, the message kept");
        }
    }
    table.print("errors of");
}

/// Name and data of each event.
fn frames(body: &str) -> Vec<(String, Value)> {
    let mut name = String::new();
    let mut found = Vec::new();
    for line in body.lines() {
        if let Some(named) = line.strip_prefix("event:") {
            named.trim().clone_into(&mut name);
        } else if let Some(data) = line.strip_prefix("data:").map(str::trim)
            && data != "[DONE]"
        {
            found.push((std::mem::take(&mut name), serde_json::from_str(data).unwrap()));
        }
    }
    found
}

fn look(events: &[(String, Value)]) -> Stream {
    let mut stream = Stream::default();
    let (mut text, mut part_is_open, mut item_is_open, mut input_done) = (String::new(), false, false, true);
    for (_, event) in events {
        if let Some(id) = event["response"]["id"].as_str() {
            stream.ids.insert(id.to_owned());
        }
        let delta = event["delta"].as_str().unwrap_or_default();
        let is_framed = matches!(event["item"]["type"].as_str(), Some("message" | "reasoning"));
        match event["type"].as_str().unwrap() {
            "response.created" => stream.starts += 1,
            "response.completed" | "response.incomplete" => stream.ends = true,
            "error" | "response.failed" => (stream.ends, stream.errors) = (true, stream.errors + 1),
            "response.content_part.added" => (text, part_is_open) = (String::new(), true),
            "response.output_text.delta" | "response.refusal.delta" => {
                stream.unframed |= !part_is_open;
                text += delta;
            }
            "response.output_text.done" => {
                stream.shortened |= event["text"] != text.as_str();
                stream.differs |= !event["text"].as_str().unwrap().starts_with(&text);
            }
            "response.custom_tool_call_input.delta" => input_done = false,
            "response.custom_tool_call_input.done" => input_done = true,
            "response.output_item.added" => {
                stream.overlaps |= item_is_open;
                item_is_open = is_framed;
            }
            "response.output_item.done" => {
                stream.unframed |= !input_done;
                item_is_open = false;
            }
            _ => {}
        }
    }
    stream
}

/// An event as we would say it: numbered from the first on, complete, and without padding.
fn completed(mut event: Value, number: u64) -> Value {
    let kind = event["type"].as_str().unwrap().to_owned();
    let members = event.as_object_mut().unwrap();
    members.insert("sequence_number".into(), json!(number));
    members.remove("obfuscation");
    match kind.as_str() {
        "response.created" => complete(&mut event["response"], false),
        "response.completed" | "response.incomplete" => {
            complete(&mut event["response"], true);
            // OpenAI encrypts anew for the last event: the blob to send back is that of the item's own end.
            for item in event["response"]["output"].as_array_mut().unwrap() {
                for name in ["encrypted_content", "fingerprint", "result"] {
                    if item[name].is_string() {
                        item[name] = json!("a blob");
                    }
                }
            }
        }
        "response.output_text.delta" | "response.output_text.done" => {
            members.entry("logprobs").or_insert(json!([]));
        }
        // New in the schema, where it is required; no recorded server but one sends it.
        "response.function_call_arguments.done" => {
            members.remove("name");
        }
        "response.content_part.added" | "response.content_part.done" => complete_part(&mut event["part"]),
        _ => {}
    }
    event
}

#[test]
fn recorded_streams_come_out_event_by_event_as_they_went_in() {
    let mut table = Table::default();
    let mut differing = Vec::new();
    let mut events_same = 0;
    for exchange in exchanges("the recorded streams") {
        if !is_stream(&exchange) || is_error(&exchange) {
            continue;
        }
        let body = exchange["response_body"].as_str().unwrap();
        let original = frames(body);
        let exception = EXCEPTIONS.iter().find(|(_, applies)| applies(&look(&original)));
        if let Some((why, _)) = exception {
            table.count(&exchange, why);
            continue;
        }
        let (mut reader, mut writer) = (DIALECT.reader().unwrap(), DIALECT.writer(&Envelope::default()).unwrap());
        let mut fold = Fold::new(1 << 20);
        let mut out = Vec::new();
        for (name, data) in &original {
            for event in reader.parse_event(name, data.to_string().as_bytes()).unwrap() {
                fold.add(&event).unwrap();
                writer.render_event(&event, &mut out);
            }
        }
        let said = frames(&String::from_utf8(out).unwrap());
        let first = original[0].1["sequence_number"].as_u64().unwrap_or(0);
        let kinds = |events: &[(String, Value)]| -> Vec<String> {
            events.iter().map(|(_, event)| event["type"].as_str().unwrap().to_owned()).collect()
        };
        if kinds(&said) != kinds(&original) {
            let odd = kinds(&said).into_iter().zip(kinds(&original)).find(|(said, original)| said != original);
            differing.push(format!("{}: {} events of {}: {odd:?}", exchange["id"], said.len(), original.len()));
            continue;
        }
        let numbered = (first..).zip(said.into_iter().zip(original.iter().cloned()));
        let found = numbered.clone().find_map(|(number, ((name, said), (_, original)))| {
            assert_eq!(Some(name.as_str()), said["type"].as_str());
            difference(&completed(said.clone(), number), &completed(original, number), "")
                .or_else(|| (said["sequence_number"] != json!(number)).then(|| "number".to_owned()))
                .map(|found| format!("{name} {number}: {found}"))
        });
        match found {
            None => {
                events_same += original.len();
                table.count(&exchange, "the same");
            }
            Some(found) => differing.push(format!("{} {found}", exchange["id"])),
        }
    }
    table.print("streams of");
    println!("{events_same} events the same");
    assert!(differing.is_empty(), "{}: {differing:#?}", differing.len());
}

/// Reads a stream, writes it again, and folds both.
fn read_twice(body: &str) -> [ChatReply<'static>; 2] {
    let once = |body: &str| {
        let (mut reader, mut writer) = (DIALECT.reader().unwrap(), DIALECT.writer(&Envelope::default()).unwrap());
        let mut fold = Fold::new(1 << 20);
        let mut out = Vec::new();
        for (name, data) in frames(body) {
            for event in reader.parse_event(&name, data.to_string().as_bytes()).unwrap() {
                fold.add(&event).unwrap();
                writer.render_event(&event, &mut out);
            }
        }
        (fold.finish().unwrap(), String::from_utf8(out).unwrap())
    };
    let (first, written) = once(body);
    let (second, _) = once(&written);
    [first, second]
}

#[test]
fn recorded_streams_fold_into_what_their_items_say() {
    let mut table = Table::default();
    for exchange in exchanges("what the recorded streams say") {
        if !is_stream(&exchange) || is_error(&exchange) {
            continue;
        }
        let body = exchange["response_body"].as_str().unwrap();
        let events = frames(body);
        let stream = look(&events);
        if stream.starts != 1 || !stream.ends || stream.errors > 0 {
            table.count(&exchange, "several streams, failed or cut");
            continue;
        }
        if stream.differs {
            table.count(&exchange, "its pieces are another text than the whole");
            continue;
        }
        let mut response = events.last().unwrap().1["response"].clone();
        let done = events.iter().filter(|(_, event)| event["type"] == "response.output_item.done");
        response["output"] = done.map(|(_, event)| event["item"].clone()).collect();
        for reply in read_twice(body) {
            let mut said = neutral(&reply);
            let mut expected = native(&response);
            // Items that overlap are written one after the other.
            said.encrypted.sort();
            expected.encrypted.sort();
            assert_eq!(said, expected, "{}", exchange["id"]);
        }
        table.count(&exchange, "read and read again the same");
    }
    table.print("answers of");
}

#[test]
fn recorded_streams_whose_items_are_left_out_say_what_their_last_event_holds() {
    let mut table = Table::default();
    for exchange in exchanges("streams of which only the last event says anything") {
        if !is_stream(&exchange) || is_error(&exchange) {
            continue;
        }
        let events = frames(exchange["response_body"].as_str().unwrap());
        let stream = look(&events);
        let last = &events.last().unwrap().1;
        let is_whole = last["response"]["output"].as_array().is_some_and(|output| !output.is_empty());
        if stream.starts != 1 || !stream.ends || stream.errors > 0 || !is_whole {
            table.count(&exchange, "several streams, failed, cut, or without an output");
            continue;
        }
        let expected = native(&last["response"]);
        let whole = last["response"].to_string();
        let Ok(Reply::Chat(reply)) = DIALECT.parse_reply(whole.as_bytes()) else { panic!("{}", exchange["id"]) };
        assert_eq!(neutral(&reply), expected, "{}", exchange["id"]);
        // Without its items, without their pieces, and without the ends of them.
        for left_out in ["response.output_", "response.", ".done"] {
            let left = events.iter().filter(|(_, event)| {
                let kind = event["type"].as_str().unwrap();
                let frames = matches!(kind, "response.created" | "response.completed" | "response.incomplete");
                let piece = left_out == "response." && kind != "response.output_item.added";
                frames
                    || !(piece
                        || kind.starts_with("response.output_") && left_out == "response.output_"
                        || kind.ends_with(left_out))
            });
            let mut reader = DIALECT.reader().unwrap();
            let mut fold = Fold::new(1 << 20);
            for (name, data) in left {
                for event in reader.parse_event(name, data.to_string().as_bytes()).unwrap() {
                    fold.add(&event).unwrap();
                }
            }
            let mut said = neutral(&fold.finish().unwrap());
            let mut expected = native(&last["response"]);
            for said in [&mut said, &mut expected] {
                said.encrypted.sort();
            }
            // The rest of a text is not told behind another one.
            if !stream.shortened || left_out != ".done" {
                assert_eq!(said, expected, "{} without {left_out}", exchange["id"]);
            }
        }
        table.count(&exchange, "the same");
    }
    table.print("last events of");
}
