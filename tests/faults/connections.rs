//! More open connections than anybody needs: the process stays small and goes on serving.

use std::io::Write;
use std::process::Command;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::harness::{BODY, Sent, Settings, World, body, envelope, event, post};
use crate::support::{PATIENCE, Sluice};

/// Open connections, where the limit of open files allows it.
const CONNECTIONS: u64 = 10_000;
/// Good requests behind them.
const BODIES: u64 = 10;
/// Connections that are being opened at the same time.
const CONNECTING_MAX: usize = 256;
/// The system's own queue may be full for longer; then it is one connection less.
const CONNECT_PATIENCE: Duration = Duration::from_secs(1);
/// Open files that this test binary needs for everything else.
const FILES_RESERVED: u64 = 1_000;
/// What the process may have in memory at most, as everywhere.
const MEMORY_BYTES_MAX: u64 = 100 << 20;
/// Bad requests at the same time.
const BOMBS: usize = 64;
/// Bytes of a bomb when it is unpacked.
const BOMB_BYTES: usize = 256 << 20;
/// Bytes of a head that is too long.
const HEAD_BYTES: usize = 100_000;

/// Raise this process' limit of open files to what it may be; gives it.
fn open_files() -> u64 {
    let pid = std::process::id().to_string();
    let ask = |what: &str| {
        let output = Command::new("prlimit")
            .args([
                "--pid",
                &pid,
                "--nofile",
                "--raw",
                "--noheadings",
                "--output",
                what,
            ])
            .output()
            .expect("prlimit runs");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let hard = ask("HARD");
    let raised = Command::new("prlimit")
        .args(["--pid", &pid, &format!("--nofile={hard}:{hard}")])
        .status();
    assert!(raised.expect("prlimit runs").success());
    hard.parse().unwrap_or(u64::MAX)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_connections_cost_little_and_keep_nobody_out() {
    let connections = CONNECTIONS.min(open_files().saturating_sub(FILES_RESERVED));
    eprintln!("{connections} connections");
    assert!(connections >= 1_000, "too few open files to say anything");
    let world = World::new(Settings {
        source: "limits: { head_timeout: 600 }",
        ..Settings::default()
    })
    .await;
    let sluice = world.start();
    let address = address_of(&sluice);
    let mut open = Vec::new();
    let mut connecting = JoinSet::new();
    for n in 0..connections {
        connecting.spawn(connect(address.clone(), n));
        if connecting.len() >= CONNECTING_MAX {
            open.extend(connecting.join_next().await);
        }
    }
    open.extend(connecting.join_all().await.into_iter().map(Ok));
    open.retain(|stream| matches!(stream, Ok(Some(_))));
    assert!(open.len() as u64 > connections / 2, "{}", open.len());
    let mut requests = JoinSet::new();
    for n in 0..BODIES {
        let endpoint = sluice.endpoint.clone();
        let events = envelope(&body((n * BODY..(n + 1) * BODY).map(event)));
        requests.spawn(async move { post(&endpoint, events).await.0 });
    }
    for status in timeout(PATIENCE, requests.join_all())
        .await
        .expect("answers")
    {
        assert_eq!(status, 200);
    }
    let memory = sluice.peak_memory();
    eprintln!("{} MiB at most", memory >> 20);
    assert!(memory < MEMORY_BYTES_MAX, "{memory} bytes");
    drop(open);
    let sent = Sent::below(BODIES * BODY);
    world.arrives(sent.delivered).await;
    world.ends_with(sluice, &sent);
}

/// Says nothing, or begins a head without end, or asks something that needs no token.
async fn connect(address: String, n: u64) -> Option<TcpStream> {
    let start = ["", "POST /currents HTTP/1.1\r\nx", "GET / HTTP/1.1\r\n\r\n"][(n % 3) as usize];
    let connected = timeout(CONNECT_PATIENCE, TcpStream::connect(&address)).await;
    let mut stream = connected.ok()?.ok()?;
    let _ = stream.write_all(start.as_bytes()).await;
    Some(stream)
}

fn address_of(sluice: &Sluice) -> String {
    let rest = sluice.endpoint.strip_prefix("http://").expect("plain HTTP");
    rest.split('/').next().expect("an address").to_owned()
}

/// A body that is a thousand times larger when it is unpacked.
fn bomb(bytes: usize) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    let zeros = vec![b' '; 1 << 20];
    for _ in 0..bytes / zeros.len() {
        packed.write_all(&zeros).expect("memory takes it");
    }
    packed.finish().expect("memory takes it")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packed_bombs_and_huge_heads_are_refused_and_cost_little() {
    let world = World::new(Settings::default()).await;
    let sluice = world.start();
    let bomb = bytes::Bytes::from(bomb(BOMB_BYTES));
    assert!(bomb.len() * 900 < BOMB_BYTES, "{}", bomb.len());
    let http = reqwest::Client::new();
    let mut bad = JoinSet::new();
    for n in 0..BOMBS {
        let request = http.post(&sluice.endpoint).bearer_auth("test-token");
        let request = match n % 2 {
            0 => request
                .header("content-encoding", "gzip")
                .body(bomb.clone()),
            _ => request.header("x-filler", "x".repeat(HEAD_BYTES)),
        };
        bad.spawn(async move { request.send().await.map(|it| it.status().as_u16()) });
    }
    let events = envelope(&body((0..BODY).map(event)));
    while post(&sluice.endpoint, events.clone()).await.0 != 200 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let answers = timeout(PATIENCE, bad.join_all()).await.expect("answers");
    // A peer that is still sending when it is refused may see its connection cut instead.
    let odd = answers
        .iter()
        .flatten()
        .filter(|it| ![413, 431, 503].contains(*it));
    assert_eq!(odd.count(), 0, "{answers:?}");
    for status in [413, 431] {
        assert!(
            answers.iter().flatten().any(|it| *it == status),
            "{answers:?}"
        );
    }
    let memory = sluice.peak_memory();
    eprintln!("{} MiB at most", memory >> 20);
    assert!(memory < 2 * MEMORY_BYTES_MAX, "{memory} bytes");
    let sent = Sent::below(BODY);
    world.arrives(sent.delivered).await;
    world.ends_with(sluice, &sent);
}
