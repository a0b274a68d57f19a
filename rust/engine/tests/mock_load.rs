//! What the load generator tells is what the scripted upstream did.

#![expect(clippy::unwrap_used, reason = "the functions that tests share fail a test in the same way as the tests do")]

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use fastroute_engine::mock::load::{Load, LoadReport, Mode, Workload, run};
use fastroute_engine::mock::{Mock, Script};

fn mock(script: &str) -> Mock {
    Mock::start(Script::parse(script, Path::new("")).unwrap()).unwrap()
}

/// A short measurement of plain chats.
fn chats(mock: &Mock, mode: Mode) -> Load {
    Load {
        warm_up: Duration::from_millis(50),
        window: Duration::from_millis(400),
        ..Load::new(mock.address(), Workload::W1.shapes("m"), mode)
    }
}

fn closed(connections: usize) -> Mode {
    Mode::Closed { connections, ramp: Duration::ZERO }
}

fn open(rate: f64, most_connections: usize) -> Mode {
    Mode::Open { rate, most_connections }
}

fn faults(report: &LoadReport) -> Vec<&str> {
    report.errors.keys().copied().collect()
}

#[test]
fn a_closed_loop_counts_what_the_upstream_served() {
    let mock = mock("{}");
    let report = run(&chats(&mock, closed(4))).unwrap();
    assert!(report.completed > 100, "{report:?}");
    assert!(report.errors.is_empty() && report.statuses.keys().eq([&200]), "{report:?}");
    assert_eq!(report.connections_opened, 4);
    let shape = &report.shapes[0];
    assert_eq!(shape.body_bytes, shape.answered * 700);
    // The upstream also saw the warm-up, and never more than was due then, in the window and under way.
    assert!(mock.stats().accepted >= report.completed);
    assert_eq!(report.due, shape.answered + report.unfinished);
}

#[test]
fn an_open_loop_keeps_its_rate() {
    let mock = mock("{}");
    let report = run(&chats(&mock, open(500.0, 32))).unwrap();
    // 400 ms at 500 a second, give or take the edges of the window.
    assert!((199..=201).contains(&report.due), "{report:?}");
    assert_eq!((report.shapes[0].answered, report.unsent, report.unfinished), (report.due, 0, 0));
}

#[test]
fn a_slow_server_shows_as_latency_from_the_due_time_and_as_backlog() {
    // One connection and 50 ms an answer make 20 a second; 200 a second are due.
    let mock = mock(r#"{"rules": [{"steps": [{"delay": {"ms": 50}}, {"reply": {}}]}]}"#);
    let mut load = chats(&mock, open(200.0, 1));
    load.warm_up = Duration::ZERO;
    load.drain = Duration::from_millis(100);
    let report = run(&load).unwrap();
    assert!((79..=81).contains(&report.due), "{report:?}");
    let shape = &report.shapes[0];
    let told = shape.answered + report.unsent + report.unfinished;
    assert_eq!(told, report.due, "every due request is told of: {report:?}");
    assert!((4..=12).contains(&shape.answered), "{report:?}");
    assert!(report.backlog_max >= 60 && report.backlog_end >= 60, "{report:?}");
    let latency = shape.latency.unwrap();
    assert_eq!(latency.count, report.due);
    // Half of what was due had waited for most of the window; counted from the sending it would be 50 ms each.
    assert!(latency.p50_us > 150_000.0, "{latency:?}");
    assert!(report.lateness.unwrap().p50_us > 150_000.0, "{report:?}");
}

#[test]
fn a_stream_is_told_with_first_content_transit_gaps_and_fidelity() {
    let mock = mock(r#"{"defaults": {"events": 10, "first_ms": 20, "every_ms": 10}}"#);
    let mut load = chats(&mock, closed(3));
    load.shapes = Workload::W4.shapes("m");
    let report = run(&load).unwrap();
    assert!(report.errors.is_empty(), "{report:?}");
    let shape = &report.shapes[0];
    let stream = shape.stream.as_ref().unwrap();
    assert!(shape.answered >= 3, "{report:?}");
    // Role, ten words, finish, usage, terminator; each in a chunk of its own.
    assert_eq!((stream.events, stream.chunks), (shape.answered * 14, shape.answered * 14));
    assert_eq!(stream.events_per_chunk, Some(1.0));
    assert!(stream.first_content.unwrap().min_us >= 19_000.0, "{report:?}");
    let gap = stream.gap.unwrap();
    assert!((8_000.0..30_000.0).contains(&gap.p50_us), "{gap:?}");
    let transit = stream.transit.unwrap();
    assert!(transit.p50_us < 20_000.0 && transit.count > gap.count, "{transit:?}");
}

#[test]
fn every_fault_has_its_own_class_and_nothing_is_retried() {
    let stream = "stream";
    let unary = "unary";
    for (kind, steps, class) in [
        (unary, r#"[{"status": {"code": 503}}]"#, "status"),
        (unary, r#"["reset"]"#, "reset"),
        (unary, r#"[{"cut": {"after_bytes": 200}}, {"reply": {}}]"#, "closed"),
        (unary, r#"[{"raw": {"utf8": "no answer\r\n\r\n"}}]"#, "malformed"),
        (unary, r#"["stall"]"#, "timeout"),
        (stream, r#"[{"events": {"count": 2}}]"#, "truncated"),
        (stream, r#"[{"error_event": {}}]"#, "error_event"),
        (stream, r#"[{"events": {"count": 2}}, "close"]"#, "closed"),
    ] {
        let mock = mock(&format!(r#"{{"rules": [{{"steps": {steps}}}]}}"#));
        let mut load = chats(&mock, open(50.0, 64));
        load.warm_up = Duration::ZERO;
        load.timeout = Duration::from_millis(50);
        if kind == stream {
            load.shapes = Workload::W4.shapes("m");
        }
        let report = run(&load).unwrap();
        assert_eq!(faults(&report), [class], "{steps}: {report:?}");
        assert_eq!(report.errors[class], report.due, "{steps}: {report:?}");
        assert_eq!(mock.stats().accepted, report.due, "{steps}: one request each, no retry");
        assert_eq!((report.completed, report.shapes[0].latency), (0, None));
    }
}

#[test]
fn a_server_that_is_not_there_is_an_error_for_each_request() {
    let vacant = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = vacant.local_addr().unwrap();
    drop(vacant);
    let load = Load {
        warm_up: Duration::ZERO,
        window: Duration::from_millis(200),
        ..Load::new(address, Workload::W1.shapes("m"), open(100.0, 8))
    };
    let report = run(&load).unwrap();
    assert_eq!((faults(&report), report.errors["connect"]), (vec!["connect"], report.due));
    let hammered = run(&Load { mode: closed(2), ..load }).unwrap();
    // Two connections that rest 10 ms after each failure.
    assert!((2..=42).contains(&hammered.errors["connect"]), "{hammered:?}");
}

#[test]
fn a_connection_that_closed_while_idle_is_told_apart() {
    let mock = mock(r#"{"rules": [{"steps": [{"reply": {}}, {"delay": {"ms": 5}}, "close"]}]}"#);
    // 30 ms between two requests: the server's FIN is there long before the next one.
    let report = run(&chats(&mock, open(33.0, 1))).unwrap();
    assert!(report.errors.is_empty(), "{report:?}");
    assert!(report.idle_closed >= report.due - 1, "{report:?}");
}

#[test]
fn a_mix_is_drawn_by_weight_and_told_by_shape() {
    let mock = mock("{}");
    let mut load = chats(&mock, open(1000.0, 64));
    load.shapes = Workload::W8.shapes("m");
    let report = run(&load).unwrap();
    assert!(report.errors.is_empty(), "{report:?}");
    let answered: Vec<u64> = report.shapes.iter().map(|shape| shape.answered).collect();
    assert_eq!(answered.iter().sum::<u64>(), report.due);
    // 90 : 9 : 1 of about 400.
    assert!(answered[0] > 330 && (15..70).contains(&answered[1]) && (1..15).contains(&answered[2]), "{answered:?}");
    let megabyte = mock.rows().into_iter().find(|row| row.body_bytes == 1 << 20);
    assert!(megabyte.is_some(), "a body of 1 MiB arrived whole");
}
