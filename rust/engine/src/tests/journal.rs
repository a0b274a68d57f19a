//! The journal under exchanges: on record before the upstream sees it, one end per attempt, whatever happens.

use std::sync::Mutex;
use std::time::Duration;

use fastroute_core::journal::Reader;
use tokio::io::AsyncWriteExt;

use super::rig::*;
use crate::io::Bounds;
use crate::journal::tests::Folder;

/// Lines of every record on the disk now.
fn on_disk(folder: &Folder) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in std::fs::read_dir(&folder.0).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        lines.extend(Reader::new(&bytes).map(|record| fastroute_core::journal::render_line(&record)));
    }
    lines
}

pub(super) fn intents(folder: &Folder) -> usize {
    on_disk(folder).iter().filter(|line| line.contains(r#""record":"intent""#)).count()
}

pub(super) fn lines(folder: &Folder) -> Vec<serde_json::Value> {
    on_disk(folder).iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(super) fn states(folder: &Folder) -> Vec<String> {
    lines(folder).into_iter().filter_map(|value| value["state"].as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn every_attempt_is_on_disk_before_its_upstream_sees_it() {
    let folder = std::sync::Arc::new(Folder::new());
    let seen = std::sync::Arc::new(Mutex::new(Vec::new()));
    let upstreams = {
        let (folder, seen) = (folder.clone(), seen.clone());
        upstream_of(move |number, mut stream| {
            let (folder, seen) = (folder.clone(), seen.clone());
            async move {
                let request = read_request(&mut stream).await.unwrap();
                let id = header(&request, "x-fastroute-attempt").unwrap().to_owned();
                let on_record = on_disk(&folder).iter().any(|line| line.contains(&id));
                seen.lock().unwrap().push((id, on_record));
                if number > 0 {
                    let body = r#"{"id":"x","object":"chat.completion","choices":[{"message":{"content":"hi"}}]}"#;
                    let head = format!(
                        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                        body.len()
                    );
                    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
                    std::future::pending::<()>().await;
                }
            }
        })
        .await
    };
    let journal = folder.journal();
    let spec = table(1, &[upstreams, upstreams], &crate::Patience::default());
    let rig = Rig::journaled(spec, at_once(&[0, 1]), Bounds::default(), journal.lane(0)).await;
    let reply = rig.chat().await;
    assert_eq!(reply.status(), 200);
    rig.settled(1).await;
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen.len(), 2, "the first attempt was cut, the second answered");
    assert!(seen.iter().all(|(_, on_record)| *on_record), "{seen:?}");
    assert_ne!(seen[0].0, seen[1].0, "each attempt has an id of its own");
    rig.io.lane.as_ref().unwrap().settle_up();
    assert_eq!(intents(&folder), 2);
    assert_eq!(states(&folder), ["unknown", "complete"]);
}

#[tokio::test]
async fn each_way_an_attempt_can_end_is_one_end_on_record() {
    for (steps, stream, state) in [
        (r#"[{"reply": {}}]"#, false, "complete"),
        (r#"[{"events": {"count": 3}}, {"finish": {}}, "done"]"#, true, "complete"),
        (r#"[{"events": {"count": 3}}, "reset"]"#, true, "partial"),
        (r#"[{"status": {"code": 429}}]"#, false, "refused"),
        (r#"["reset"]"#, false, "unknown"),
    ] {
        let folder = Folder::new();
        let journal = folder.journal();
        let once = crate::Patience { same_target_retries: Some(0), ..crate::Patience::default() };
        let spec = table(1, &[playing(steps).await], &once);
        let rig = Rig::journaled(spec, at_once(&[0]), Bounds::default(), journal.lane(0)).await;
        let reply = if stream { rig.stream().await } else { rig.chat().await };
        rig.settled(1).await;
        rig.io.lane.as_ref().unwrap().settle_up();
        assert_eq!((intents(&folder), states(&folder)), (1, vec![state.to_owned()]), "{steps}: {}", reply.status());
    }
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_attempt_as_cancelled() {
    let folder = Folder::new();
    let journal = folder.journal();
    let upstream = playing(r#"[{"events": {"count": 3}}, "stall"]"#).await;
    let spec = table(1, &[upstream], &crate::Patience::default());
    let rig = Rig::journaled(spec, at_once(&[0]), Bounds::default(), journal.lane(0)).await;
    let mut client = tokio::net::TcpStream::connect(rig.door).await.unwrap();
    client.write_all(request(&chat("m", true), "").as_bytes()).await.unwrap();
    let mut head = [0; 16];
    tokio::io::AsyncReadExt::read_exact(&mut client, &mut head).await.unwrap();
    drop(client);
    rig.settled(1).await;
    rig.io.lane.as_ref().unwrap().settle_up();
    assert_eq!((intents(&folder), states(&folder)), (1, vec!["cancelled".to_owned()]));
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_long_stream_is_marked_as_it_goes() {
    let folder = Folder::new();
    let journal = folder.journal();
    let upstream = playing(r#"[{"events": {"count": 30, "every_ms": 1000}}, {"finish": {}}, "done"]"#).await;
    let spec = table(1, &[upstream], &crate::Patience::default());
    let rig = Rig::journaled(spec, at_once(&[0]), Bounds::default(), journal.lane(0)).await;
    tokio::time::timeout(Duration::from_secs(3600), rig.stream()).await.unwrap();
    rig.settled(1).await;
    rig.io.lane.as_ref().unwrap().settle_up();
    let marks: Vec<u64> = on_disk(&folder)
        .iter()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|value| value["record"] == "progress")
        .map(|value| value["events"].as_u64().unwrap())
        .collect();
    assert!((4..=6).contains(&marks.len()), "one every five seconds: {marks:?}");
    assert!(marks.is_sorted() && marks[0] >= 4, "{marks:?}");
}
