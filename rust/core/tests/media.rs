//! Pictures, sounds, videos and documents go out under types and in parts that the target takes, or the request is refused
//! where the client wrote them.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "a test fails where it meets a failure, and takes JSON as it is written"
)]

use fastroute_core::dialects::{Dialect, DialectError};
use fastroute_core::passes::{Demands, OnLoss};
use fastroute_core::translate::{self, Address, Translated};
use serde_json::{Value, json};

const CHAT: Dialect = Dialect::OpenAiChat;
const RESPONSES: Dialect = Dialect::OpenAiResponses;
const ANTHROPIC: Dialect = Dialect::AnthropicMessages;
const GEMINI: Dialect = Dialect::Gemini;
const COHERE: Dialect = Dialect::CohereV2;
const OLLAMA: Dialect = Dialect::Ollama;
const BEDROCK: Dialect = Dialect::BedrockConverse;

fn demands(target: Dialect, capabilities: Value, quirks: Value) -> Demands {
    let (capabilities, quirks) = (serde_json::from_value(capabilities), serde_json::from_value(quirks));
    Demands::new(target, capabilities.unwrap(), quirks.unwrap(), OnLoss::Drop)
}

fn ask(body: &Value, source: Dialect, demands: &Demands) -> Result<Translated, DialectError> {
    translate::request(body.to_string().as_bytes(), source, demands, Address::default())
}

fn sent_to(body: &Value, source: Dialect, demands: &Demands) -> (Value, Vec<String>) {
    let told = ask(body, source, demands).unwrap_or_else(|error| panic!("{}: {error}", demands.dialect.name()));
    (serde_json::from_slice(&told.body).unwrap(), [told.dropped, told.changed].concat())
}

fn sent(body: &Value, source: Dialect, target: Dialect) -> (Value, Vec<String>) {
    sent_to(body, source, &Demands::of(target))
}

#[track_caller]
fn refused(body: &Value, source: Dialect, target: Dialect, place: &str) {
    let Err(error) = ask(body, source, &Demands::of(target)) else { panic!("{} took {body}", target.name()) };
    assert_eq!(error.param.as_deref(), Some(place), "{}: {error}", target.name());
}

fn of_user(content: Value) -> Value {
    json!({"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": content}]})
}

fn picture(url: &str) -> Value {
    of_user(json!([{"type": "image_url", "image_url": {"url": url}}]))
}

fn file(url: &str, filename: &str) -> Value {
    of_user(json!([{"type": "file", "file": {"filename": filename, "file_data": url}}]))
}

fn part_of_gemini(part: Value) -> Value {
    json!({"contents": [{"role": "user", "parts": [part]}]})
}

#[test]
fn a_type_is_sent_under_its_registered_name() {
    let asked = sent(&picture("data:image/jpg;base64,/9j/"), CHAT, ANTHROPIC).0;
    let source = json!({"type": "base64", "media_type": "image/jpeg", "data": "/9j/"});
    assert_eq!(asked["messages"][0]["content"][0]["source"], source);
    let inline = part_of_gemini(json!({"inlineData": {"mimeType": "image/jpg", "data": "/9j/"}}));
    let asked = sent(&inline, GEMINI, RESPONSES).0;
    assert_eq!(asked["input"][0]["content"][0]["image_url"], "data:image/jpeg;base64,/9j/");
    let asked = sent(&picture("data:image/jpg;base64,/9j/"), CHAT, GEMINI).0;
    assert_eq!(asked["contents"][0]["parts"][0]["inlineData"]["mimeType"], "image/jpeg");
    let asked = sent(&picture("data:image/jpg;base64,/9j/"), CHAT, BEDROCK).0;
    assert_eq!(asked["messages"][0]["content"][0]["image"]["format"], "jpeg");
}

#[test]
fn what_a_model_cannot_read_is_refused_where_it_was_written() {
    for target in [ANTHROPIC, RESPONSES, GEMINI, COHERE, OLLAMA, BEDROCK] {
        refused(&picture("data:image/svg+xml;base64,PHN2Zy8+"), CHAT, target, "messages[0].content[0]");
    }
    for target in [ANTHROPIC, RESPONSES, BEDROCK] {
        refused(&picture("data:image/heic;base64,AAAA"), CHAT, target, "messages[0].content[0]");
    }
    let sheet = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
    for target in [ANTHROPIC, GEMINI, COHERE, OLLAMA] {
        refused(&file(&format!("data:{sheet};base64,UEsD"), "a.xlsx"), CHAT, target, "messages[0].content[0]");
    }
    let asked = sent(&file(&format!("data:{sheet};base64,UEsD"), "a.xlsx"), CHAT, BEDROCK).0;
    assert_eq!(asked["messages"][0]["content"][0]["document"]["format"], "xlsx");
    let by_address = json!({"model": "m", "input": [{"role": "user", "content": [
        {"type": "input_file", "file_url": "https://example.com/a.docx?x=1"}]}]});
    refused(&by_address, RESPONSES, ANTHROPIC, "input[0].content[0]");
    let beside = part_of_gemini(json!({"fileData": {"fileUri": "https://example.com/a", "mimeType": "text/csv"}}));
    refused(&beside, GEMINI, ANTHROPIC, "contents[0].parts[0]");
    let film = part_of_gemini(json!({"fileData": {"fileUri": "https://www.youtube.com/watch?v=x"}}));
    for target in [CHAT, ANTHROPIC, RESPONSES, BEDROCK, COHERE, OLLAMA] {
        let Err(error) = ask(&film, GEMINI, &demands(target, json!({"media_in": ["image", "pdf"]}), json!({}))) else {
            panic!("{} took a film", target.name())
        };
        assert_eq!(error.param.as_deref(), Some("contents[0].parts[0]"), "{}: {error}", target.name());
    }
}

#[test]
fn a_film_is_looked_at_where_it_is_by_those_who_do() {
    let film = of_user(json!([{"type": "video_url", "video_url": {"url": "https://youtu.be/x"}}]));
    let by_bytes = demands(GEMINI, json!({"media_in": ["video"], "media_by_url": false}), json!({}));
    let part = json!({"fileData": {"fileUri": "https://youtu.be/x"}});
    assert_eq!(sent_to(&film, CHAT, &by_bytes).0["contents"][0]["parts"][0], part);
}

#[test]
fn bytes_that_stand_in_an_address_are_never_taken_for_one() {
    for url in ["DATA:image/png;base64,AAAA", "data:image/png;name=a.png;base64,AAAA", "data:image/png;base64,AA%41A"] {
        let asked = sent(&picture(url), CHAT, ANTHROPIC).0;
        let source = json!({"type": "base64", "media_type": "image/png", "data": "AAAA"});
        assert_eq!(asked["messages"][0]["content"][0]["source"], source, "{url}");
        let asked = sent(&picture(url), CHAT, OLLAMA).0;
        assert_eq!(asked["messages"][0]["images"], json!(["AAAA"]), "{url}");
    }
    for url in ["data:text/plain;charset=utf-8;base64,aGVsbG8geW91", "data:text/plain,hello%20you", "data:,hello%20you"]
    {
        let asked = sent(&file(url, "a.txt"), CHAT, ANTHROPIC).0;
        let source = json!({"type": "text", "media_type": "text/plain", "data": "hello you"});
        assert_eq!(asked["messages"][0]["content"][0]["source"], source, "{url}");
        let (asked, named) = sent(&file(url, "a.txt"), CHAT, OLLAMA);
        assert_eq!(asked["messages"][0]["content"], "hello you", "{url}");
        assert!(named.contains(&"messages[0].content[0]".to_owned()), "{named:?}");
    }
    refused(&picture("data:image/png;base64"), CHAT, ANTHROPIC, "messages[0].content[0]");
}

#[test]
fn a_part_is_what_its_type_says() {
    let pdf = picture("data:application/pdf;base64,JVBERi0x");
    assert_eq!(sent(&pdf, CHAT, ANTHROPIC).0["messages"][0]["content"][0]["type"], "document");
    let (asked, named) = sent(&file("data:image/png;base64,AAAA", "a.png"), CHAT, ANTHROPIC);
    assert_eq!(asked["messages"][0]["content"][0]["type"], "image");
    assert_eq!(named, ["messages[0].content[0].file.filename"]);
    let (asked, _) = sent(&file("data:application/json;base64,e30=", "a.json"), CHAT, ANTHROPIC);
    assert_eq!(asked["messages"][0]["content"][0]["source"]["data"], "{}");
    let (asked, _) = sent(&file("data:application/json;base64,e30=", "a.json"), CHAT, BEDROCK);
    assert_eq!(asked["messages"][0]["content"][0]["document"]["format"], "txt");
    let unknown = part_of_gemini(json!({"inlineData": {"mimeType": "application/octet-stream", "data": "JVBERi0x"}}));
    let asked = sent(&unknown, GEMINI, ANTHROPIC).0;
    assert_eq!(asked["messages"][0]["content"][0]["source"]["media_type"], "application/pdf");
}

#[test]
fn a_file_that_says_nothing_of_its_bytes_is_known_by_them_or_by_its_name() {
    let input = |data: &str, filename: &str| {
        json!({"model": "m", "input": [{"role": "user", "content": [
            {"type": "input_file", "filename": filename, "file_data": data}]}]})
    };
    let asked = sent(&input("JVBERi0x", "a"), RESPONSES, ANTHROPIC).0;
    let source = json!({"type": "base64", "media_type": "application/pdf", "data": "JVBERi0x"});
    assert_eq!(asked["messages"][0]["content"][0]["source"], source);
    let asked = sent(&input("aGk=", "notes.txt"), RESPONSES, ANTHROPIC).0;
    assert_eq!(asked["messages"][0]["content"][0]["source"]["data"], "hi");
    refused(&input("aGk=", "notes"), RESPONSES, ANTHROPIC, "input[0].content[0]");
    let asked = sent(&file("aGk=", "notes.md"), CHAT, ANTHROPIC).0;
    assert_eq!(asked["messages"][0]["content"][0]["source"]["data"], "hi");
    let anthropic = of_user(json!([{"type": "document", "title": "t",
        "source": {"type": "base64", "media_type": "text/plain", "data": "aGk="}}]));
    let part = json!({"inlineData": {"mimeType": "text/plain", "data": "aGk=", "displayName": "t"}});
    assert_eq!(sent(&anthropic, ANTHROPIC, GEMINI).0["contents"][0]["parts"][0], part);
}

#[test]
fn documents_are_said_to_each_provider_of_chat_in_the_part_it_has() {
    let by_address = json!({"model": "m", "input": [{"role": "user", "content": [
        {"type": "input_file", "file_url": "https://example.com/a.pdf"}]}]});
    let bytes = of_user(json!([{"type": "document", "title": "a.pdf",
        "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0x"}}]));
    let say = |body: &Value, source, quirks: Value| ask(body, source, &demands(CHAT, json!({}), quirks));
    let content = |body: &Value, source, quirks: Value| {
        let told = say(body, source, quirks).unwrap();
        serde_json::from_slice::<Value>(&told.body).unwrap()["messages"][0]["content"][0].clone()
    };
    let mistral = json!({"documents": "document_url"});
    let part = json!({"type": "document_url", "document_url": "https://example.com/a.pdf"});
    assert_eq!(content(&by_address, RESPONSES, mistral.clone()), part);
    let part = json!({"type": "document_url", "document_url": "data:application/pdf;base64,JVBERi0x", "document_name": "a.pdf"});
    assert_eq!(content(&bytes, ANTHROPIC, mistral.clone()), part);
    // A client of chat says it as OpenAI has it.
    assert_eq!(content(&file("data:application/pdf;base64,JVBERi0x", "a.pdf"), CHAT, mistral), part);
    let part =
        json!({"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0x"}});
    assert_eq!(content(&bytes, ANTHROPIC, json!({})), part);
    let part = json!({"type": "file", "file": {"file_data": "https://example.com/a.pdf"}});
    assert_eq!(content(&by_address, RESPONSES, json!({"documents": "file_url"})), part);
    for (body, source, quirks, place) in [
        (&by_address, RESPONSES, json!({}), "input[0].content[0]"),
        (&by_address, RESPONSES, json!({"documents": "none"}), "input[0].content[0]"),
        (&bytes, ANTHROPIC, json!({"documents": "none"}), "messages[0].content[0]"),
    ] {
        let error = say(body, source, quirks).unwrap_err();
        assert_eq!(error.param.as_deref(), Some(place), "{error}");
    }
}

#[test]
fn sounds_and_films_reach_those_providers_of_chat_that_take_them() {
    let sound = part_of_gemini(json!({"inlineData": {"mimeType": "audio/mpeg", "data": "SUQz"}}));
    let (asked, _) = sent_to(&sound, GEMINI, &demands(CHAT, json!({}), json!({"sounds": "bare"})));
    assert_eq!(asked["messages"][0]["content"][0], json!({"type": "input_audio", "input_audio": "SUQz"}));
    let film = part_of_gemini(json!({"inlineData": {"mimeType": "video/mp4", "data": "AAAA"}}));
    let sees = demands(CHAT, json!({"media_in": ["image", "video"]}), json!({}));
    let part = json!({"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}});
    assert_eq!(sent_to(&film, GEMINI, &sees).0["messages"][0]["content"][0], part);
}

#[test]
fn an_address_is_told_to_google_with_its_type_where_its_name_has_one() {
    let asked = sent(&picture("https://example.com/a.JPG?size=1"), CHAT, GEMINI).0;
    let part = json!({"fileData": {"fileUri": "https://example.com/a.JPG?size=1", "mimeType": "image/jpeg"}});
    assert_eq!(asked["contents"][0]["parts"][0], part);
    let asked = sent(&picture("https://example.com/a"), CHAT, GEMINI).0;
    assert_eq!(asked["contents"][0]["parts"][0], json!({"fileData": {"fileUri": "https://example.com/a"}}));
}

#[test]
fn a_sound_is_not_sent_where_no_schema_has_a_place_for_it() {
    let sound = of_user(json!([{"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}}]));
    refused(&sound, CHAT, RESPONSES, "messages[0].content[0]");
}

#[test]
fn bytes_without_a_type_are_what_they_begin_with() {
    let webp = "UklGRhAAAABXRUJQVlA4TA==";
    let asked = sent(&file(&format!("data:application/octet-stream;base64,{webp}"), "a"), CHAT, ANTHROPIC).0;
    let source = json!({"type": "base64", "media_type": "image/webp", "data": webp});
    assert_eq!(asked["messages"][0]["content"][0]["source"], source, "{asked}");
    let wav = "UklGRiQAAABXQVZFZm10IA==";
    let inline = part_of_gemini(json!({"inlineData": {"mimeType": "application/octet-stream", "data": wav}}));
    let asked = sent(&inline, GEMINI, CHAT).0;
    let audio = json!({"data": wav, "format": "wav"});
    assert_eq!(asked["messages"][0]["content"][0]["input_audio"], audio, "{asked}");
}

#[test]
fn a_sound_is_of_a_format_that_chat_has_a_word_for_or_refused() {
    let sound = |kind: &str| part_of_gemini(json!({"inlineData": {"mimeType": kind, "data": "AAAA"}}));
    for kind in ["audio/L16;rate=24000", "audio/pcm;rate=16000", "audio/pcm"] {
        refused(&sound(kind), GEMINI, CHAT, "contents[0].parts[0]");
    }
    let asked = sent(&sound("audio/mpeg; codecs=mp3"), GEMINI, CHAT).0;
    assert_eq!(asked["messages"][0]["content"][0]["input_audio"]["format"], "mp3", "{asked}");
}

#[test]
fn a_document_that_becomes_text_stands_apart_from_the_text_beside_it() {
    let text = |text: &str| json!({"type": "text", "text": text});
    let document = json!({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Ebb."}});
    let body = of_user(json!([text("Read:"), document, document, text("When?")]));
    let asked = sent(&body, ANTHROPIC, OLLAMA).0;
    assert_eq!(asked["messages"][0]["content"], "Read:\n\nEbb.\n\nEbb.\n\nWhen?", "{asked}");
    let asked = sent(&of_user(json!([document])), ANTHROPIC, OLLAMA).0;
    assert_eq!(asked["messages"][0]["content"], "Ebb.", "{asked}");
}

#[test]
fn a_message_that_says_nothing_is_sent_or_refused_where_it_stands() {
    for content in [json!(""), json!([]), json!([{"type": "text", "text": " "}])] {
        for target in [ANTHROPIC, GEMINI, BEDROCK] {
            refused(&of_user(content.clone()), CHAT, target, "messages[0]");
        }
        for target in [RESPONSES, OLLAMA, COHERE] {
            let asked = sent(&of_user(content.clone()), CHAT, target).0;
            let turns = asked["messages"].as_array().or(asked["input"].as_array()).unwrap();
            assert_eq!(turns.len(), 1, "{}: {asked}", target.name());
        }
    }
}
