//! From the webhook to the sink, against a plain forwarder: the same input, the same sink, one run.
//!
//! ```console
//! $ cargo bench --bench end_to_end                          both, at 0 and 50 ms of the sink
//! $ cargo bench --bench end_to_end -- --events 500000
//! ```
//!
//! The forwarder (`forwarder/server.mjs`, Express) maps by hand and answers when the sink has
//! answered; it needs `node` and `npm`. sluice answers when the events are on disk. Load and sink run
//! in this process, on the same cores. Nothing fails by its numbers; the ratios are what counts.

#[path = "../../tests/faults/harness.rs"]
mod harness;
mod sink;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use clap::Parser;
use harness::{BODY, KEY, Settings, World, envelope};
use serde_json::json;
use sink::CountingSink;
use support::Sluice;
use tokio::task::JoinSet;

/// Requests at the same time.
const SENDERS: u64 = 8;
/// Requests before the measurement, so that connections and memory are there.
const WARM_UP: u64 = 80;
/// In the event's text, for the id.
const ID: &str = "@id@";

#[derive(Parser)]
struct Args {
    /// Events of one measurement.
    #[arg(long, default_value_t = 200_000)]
    events: u64,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// One line of the table.
struct Measured {
    seconds: f64,
    cpu_seconds: f64,
    peak_mib: f64,
    answers: Vec<Duration>,
}

fn main() {
    let args = Args::parse();
    let forwarder = install_forwarder();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        println!(
            "{} events of about 1 KB in requests of {BODY}, {SENDERS} at a time\n\n\
             {:<10} {:>7} {:>10} {:>14} {:>9} {:>9} {:>9}",
            args.events, "", "sink", "events/s", "CPU s/100,000", "peak MiB", "p50 ms", "p99 ms"
        );
        for delay_ms in [0, 50] {
            let plain = measure(Some(&forwarder), delay_ms, args.events).await;
            show("forwarder", delay_ms, args.events, &plain);
            let ours = measure(None, delay_ms, args.events).await;
            show("sluice", delay_ms, args.events, &ours);
            println!(
                "{:<18} {:>10.2} {:>14.2} {:>9.2} {:>9.2} {:>9.2}\n",
                "sluice / forwarder",
                plain.seconds / ours.seconds,
                ours.cpu_seconds / plain.cpu_seconds,
                ours.peak_mib / plain.peak_mib,
                ours.answer_ms(0.5) / plain.answer_ms(0.5),
                ours.answer_ms(0.99) / plain.answer_ms(0.99),
            );
        }
    });
}

impl Measured {
    fn answer_ms(&self, part: f64) -> f64 {
        self.answers[((self.answers.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3
    }
}

fn show(name: &str, delay_ms: u64, events: u64, measured: &Measured) {
    println!(
        "{name:<10} {delay_ms:>4} ms {:>10.0} {:>14.2} {:>9.1} {:>9.2} {:>9.2}",
        events as f64 / measured.seconds,
        measured.cpu_seconds / events as f64 * 1e5,
        measured.peak_mib,
        measured.answer_ms(0.5),
        measured.answer_ms(0.99),
    );
}

/// Time from the first request to the last document at the sink.
async fn measure(forwarder: Option<&Path>, delay_ms: u64, events: u64) -> Measured {
    let sink = CountingSink::start(Duration::from_millis(delay_ms)).await;
    let world = World::new(Settings {
        endpoint: Some(sink.endpoint.clone()),
        ..Settings::default()
    })
    .await;
    let process = match forwarder {
        Some(folder) => {
            let mut node = Command::new("node");
            node.arg(folder.join("server.mjs"))
                .env("SINK", &sink.endpoint)
                .env("KEY", KEY);
            Sluice::start_by(node)
        }
        None => world.start(),
    };
    send(&process, 0, WARM_UP).await;
    sink.arrives(WARM_UP * BODY).await;
    let cpu_before = cpu_seconds(process.pid());
    let began = Instant::now();
    let requests = events / BODY;
    let answers = send(&process, WARM_UP, requests).await;
    sink.arrives((WARM_UP + requests) * BODY).await;
    Measured {
        seconds: began.elapsed().as_secs_f64(),
        cpu_seconds: cpu_seconds(process.pid()) - cpu_before,
        peak_mib: process.peak_memory() as f64 / f64::from(1 << 20),
        answers,
    }
}

/// A click with all its fields; [`ID`] stands for its id. Written once: on the same cores as what is
/// measured, making events must cost nothing.
fn event() -> String {
    let mut event = support::catalogue()
        .event("users.messages.email.Click")
        .expect("the type is known")
        .synthesize_with_nulls(1, 1, 0.0);
    event["id"] = json!(ID);
    event["user"]["external_user_id"] = json!("cust-1001");
    event.to_string()
}

/// Send so many requests from `first` on; gives the times of the answers, sorted.
async fn send(process: &Sluice, first: u64, requests: u64) -> Vec<Duration> {
    let event = event();
    let mut senders = JoinSet::new();
    for sender in 0..SENDERS {
        let event = event.clone();
        let endpoint = process.endpoint.clone();
        let http = reqwest::Client::new();
        senders.spawn(async move {
            let mut times = Vec::new();
            for n in (first + sender..first + requests).step_by(SENDERS as usize) {
                let events: Vec<String> = (n * BODY..(n + 1) * BODY)
                    .map(|number| event.replace(ID, &format!("event-{number}")))
                    .collect();
                let body = envelope(&events);
                let began = Instant::now();
                let request = http.post(&endpoint).bearer_auth("test-token");
                let answer = request
                    .header("content-type", "application/json")
                    .body(body)
                    .send()
                    .await
                    .expect("an answer");
                assert_eq!(answer.status(), 200);
                answer.bytes().await.expect("an answer");
                times.push(began.elapsed());
            }
            times
        });
    }
    let mut times: Vec<Duration> = senders.join_all().await.concat();
    times.sort_unstable();
    times
}

/// User and system time of a process, from /proc in ticks of 10 ms.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    // Behind the name in brackets, which may hold anything.
    let fields: Vec<&str> = stat[stat.rfind(')').expect("a name") + 2..]
        .split(' ')
        .collect();
    let ticks = |at: usize| fields[at].parse::<f64>().expect("a number");
    (ticks(11) + ticks(12)) / 100.0
}

/// Express and its client, in the target folder.
fn install_forwarder() -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/end_to_end/forwarder");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("forwarder");
    std::fs::create_dir_all(&folder).expect("a writable folder");
    for file in ["package.json", "server.mjs"] {
        std::fs::copy(source.join(file), folder.join(file)).expect("copied");
    }
    let installed = Command::new("npm")
        .args(["install", "--silent", "--no-audit", "--no-fund"])
        .current_dir(&folder)
        .status();
    assert!(
        installed.is_ok_and(|status| status.success()),
        "npm install failed: this benchmark needs node, npm and the registry"
    );
    folder
}
