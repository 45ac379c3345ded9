//! Requests over the loopback, each answered when its events are on disk, by the engine in this process.
//!
//! The connector is paused: what is measured is HTTP, splitting, known ids, journal and keeper. The
//! clients write prepared bytes on connections that are kept, and cost little beside that.

use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use sluice::config::Mode;
use sluice::diagnostics::Files;
use sluice::engine::{Running, prepare};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::events::{BODY, Renewed};
use crate::runtime;

const SOURCE: &str = "braze";
const CONNECTOR: &str = "braze-to-segment";
/// Longest head of an answer.
const ANSWER_BYTES_MAX: usize = 4096;

pub fn bench(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("ingest");
    group
        .throughput(Throughput::Elements(BODY))
        .sample_size(20)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(4));
    for connections in [1, 8] {
        let folder = tempfile::tempdir().expect("a folder");
        let running = runtime.block_on(start(folder.path()));
        let mut clients = runtime.block_on(connect(&running, connections));
        let mut next_id = 0;
        let id = BenchmarkId::new("webhook", format!("{connections}_connections"));
        group.bench_function(id, |bench| {
            bench.iter_custom(|requests| {
                let first = next_id;
                next_id += requests * BODY;
                let took;
                (took, clients) =
                    runtime.block_on(send(std::mem::take(&mut clients), first, requests));
                took
            });
        });
        let status = running.shared().status();
        assert_eq!(status.sources[SOURCE].duplicates, 0, "all ids were new");
        drop(clients);
        runtime.block_on(running.shutdown());
    }
    group.finish();
}

/// An engine with a file journal whose connector does not deliver.
async fn start(folder: &Path) -> Running {
    let path = folder.join("sluice.yaml");
    let config = format!(
        "version: 1
sources:
  {SOURCE}: {{ type: braze_webhook, listen: \"127.0.0.1:0\", token: test-token }}
connectors:
  {CONNECTOR}:
    source: {SOURCE}
    mappings: builtin:braze_to_segment
    sink: {{ type: segment, endpoint: \"http://127.0.0.1:9\", write_key: 0123456789abcdef0123456789abcdef }}
journal: {{ path: data }}
admin: {{ listen: \"off\" }}
"
    );
    std::fs::write(&path, config).expect("a writable folder");
    let prepared = prepare::prepare(
        &path,
        Mode::Run,
        &|_| None,
        &mut Files::default(),
        &mut Vec::new(),
    );
    let running = Running::start(prepared.expect("a good config"))
        .await
        .expect("a start");
    running
        .lanes()
        .set_paused(CONNECTOR, true)
        .await
        .expect("the connector is there");
    running
}

async fn connect(running: &Running, connections: usize) -> Vec<Client> {
    let endpoint = running.shared().endpoint(SOURCE).await;
    let endpoint = url::Url::parse(&endpoint.expect("it listens")).expect("an address");
    let mut clients = Vec::new();
    for _ in 0..connections {
        clients.push(Client::new(&endpoint).await);
    }
    clients
}

/// So many requests on all connections at the same time; gives the clients back.
async fn send(clients: Vec<Client>, first_id: u64, requests: u64) -> (Duration, Vec<Client>) {
    let step = clients.len();
    let began = Instant::now();
    let mut running = JoinSet::new();
    for (n, mut client) in clients.into_iter().enumerate() {
        running.spawn(async move {
            for request in (n as u64..requests).step_by(step) {
                client.send(first_id + request * BODY).await;
            }
            client
        });
    }
    let clients = running.join_all().await;
    (began.elapsed(), clients)
}

/// One connection that is kept.
struct Client {
    stream: TcpStream,
    head: String,
    body: Renewed,
}

impl Client {
    async fn new(endpoint: &url::Url) -> Self {
        let address = endpoint.socket_addrs(|| None).expect("an address")[0];
        let stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).expect("an open connection");
        let mut body = Renewed::new(BODY);
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer test-token\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            endpoint.path(),
            body.from(0).len()
        );
        Self { stream, head, body }
    }

    /// One request and its answer, which must be a yes.
    async fn send(&mut self, first_id: u64) {
        let request = [self.head.as_bytes(), self.body.from(first_id)].concat();
        self.stream.write_all(&request).await.expect("sent");
        let mut answer = Vec::new();
        while !is_whole(&answer) {
            assert!(answer.len() < ANSWER_BYTES_MAX, "a short answer");
            let read = self.stream.read_buf(&mut answer).await.expect("an answer");
            assert!(read > 0, "the connection is kept");
        }
        assert!(
            answer.starts_with(b"HTTP/1.1 200"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
}

/// Head and as much body as the head says.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.map_or(0, |text| text.parse().expect("a number"));
    body.len() >= length
}
