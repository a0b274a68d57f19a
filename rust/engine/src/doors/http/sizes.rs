//! What an exchange and an open stream take in futures: a bound, because nothing else notices when they grow.

use std::sync::Arc;

use hyper::Request;
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::request::{generate, serve_one};
use super::{Activity, Open, connection};
use crate::io::Io;
use crate::spoken::Spoken;

/// Size of what a function of one tuple gives, without calling it.
fn size_of_result<A, F>(_: impl FnOnce(A) -> F) -> usize {
    size_of::<F>()
}

#[test]
fn the_futures_of_the_hot_path_stay_small() {
    type Generate = (Arc<Io>, Instant, Arc<str>, Spoken, HeaderMap, Incoming);
    let generate =
        size_of_result(|(io, at, id, spoken, headers, body): Generate| generate(io, at, id, spoken, headers, body));
    let service = size_of_result(|(io, activity, request): (Arc<Io>, Arc<Activity>, Request<Incoming>)| {
        serve_one(io, activity, request)
    });
    let connection = size_of_result(|(stream, open): (TcpStream, Open)| connection(stream, open));
    // Lives from the head of a request to the head of its reply; moved once.
    assert!(generate <= 5120, "one exchange: {generate} bytes");
    // hyper keeps room for one with every connection, whether there is an exchange or not.
    assert!(service <= 512, "the service: {service} bytes");
    // The task of an open connection; with TLS or HTTP/2 a box hangs from it.
    assert!(connection <= 1536, "one connection: {connection} bytes");
}
