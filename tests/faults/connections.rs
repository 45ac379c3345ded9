//! More open connections than anybody needs: the process stays small and goes on serving.

use std::process::Command;
use std::time::Duration;

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
