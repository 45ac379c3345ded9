//! The real program between a real feeder and the sink's double, as an operator would run it.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::cell::RefCell;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use sluice as _;
use sluice_sdk::catalogue::Catalogue;
use sluice_sdk::{Double, Feeder, SinkPlugin, SourcePlugin};

/// Longest wait for anything; only a failing test waits that long.
pub const PATIENCE: Duration = Duration::from_secs(90);

pub fn source(name: &str) -> &'static SourcePlugin {
    sluice_sdk::sources()
        .into_iter()
        .find(|plugin| plugin.name == name)
        .expect("a linked source")
}

pub fn sink(name: &str) -> &'static SinkPlugin {
    sluice_sdk::sinks()
        .into_iter()
        .find(|plugin| plugin.name == name)
        .expect("a linked sink")
}

pub fn catalogue() -> &'static Catalogue {
    source("braze_webhook").catalogue.expect("a catalogue")()
}

pub async fn double() -> Box<dyn Double> {
    sink("segment").double.expect("a double")()
        .await
        .expect("the double starts")
}

/// A config of the main job in `folder`, its sink led to the double.
pub fn write_config(folder: &Path, double: &dyn Double) -> PathBuf {
    let settings = double.settings();
    let endpoint = settings["endpoint"]
        .as_str()
        .expect("the double has an endpoint");
    let config = format!(
        "version: 1
sources:
  braze: {{ type: braze_webhook, listen: \"127.0.0.1:0\", token: test-token }}
connectors:
  braze-to-segment:
    source: braze
    mappings: builtin:braze_to_segment
    batch: {{ flush_after: 100ms }}
    sink: {{ type: segment, endpoint: \"{endpoint}\", write_key: 0123456789abcdef0123456789abcdef }}
journal: {{ path: data }}
admin: {{ listen: \"off\" }}
"
    );
    let path = folder.join("sluice.yaml");
    std::fs::write(&path, config).expect("a writable folder");
    path
}

/// The program that is tested. Where cargo gives no path to it (an example), this program plays it:
/// it must call `sluice::main` when [`AS_PROGRAM`] is set.
pub fn program() -> Command {
    match option_env!("CARGO_BIN_EXE_sluice") {
        Some(path) => Command::new(path),
        None => {
            let mut command = Command::new(std::env::current_exe().expect("a program has a path"));
            command.env(AS_PROGRAM, "1");
            command
        }
    }
}

/// See [`program`].
pub const AS_PROGRAM: &str = "SLUICE_AS_PROGRAM";

/// The arguments before the config's path.
pub const RUN: [&str; 4] = ["run", "--log-format", "json", "--config"];

/// A running `sluice run`; killed when dropped.
pub struct Sluice {
    child: Child,
    lines: mpsc::Receiver<String>,
    seen: RefCell<Vec<String>>,
    pub endpoint: String,
}

impl Sluice {
    /// Start it and wait until its source is up.
    pub fn start(config: &Path) -> Self {
        let mut command = program();
        command.args(RUN).arg(config);
        Self::start_by(command)
    }

    /// The same by a command that becomes `sluice run` in the end, with the same process id.
    pub fn start_by(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stderr = child.stderr.take().expect("a pipe");
        let (lines_in, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = lines_in.send(line);
            }
        });
        let mut sluice = Self {
            child,
            lines,
            seen: RefCell::default(),
            endpoint: String::new(),
        };
        let line = sluice.wait_for_line("ready: ");
        let start = line.find("http").expect("an address");
        sluice.endpoint = line[start..]
            .split(['"', ' '])
            .next()
            .expect("an address")
            .to_owned();
        sluice
    }

    /// A log line with this in it, one that came before as well.
    pub fn wait_for_line(&self, part: &str) -> String {
        let until = Instant::now() + PATIENCE;
        let mut seen = self.seen.borrow_mut();
        if let Some(line) = seen.iter().find(|line| line.contains(part)) {
            return line.clone();
        }
        while let Ok(line) = self
            .lines
            .recv_timeout(until.saturating_duration_since(Instant::now()))
        {
            seen.push(line);
            if let Some(line) = seen.last().filter(|line| line.contains(part)) {
                return line.clone();
            }
        }
        panic!(
            "no line with `{part}` came; there were:\n{}",
            seen.join("\n")
        );
    }

    /// All log lines so far.
    pub fn log(&self) -> Vec<String> {
        let mut seen = self.seen.borrow_mut();
        seen.extend(self.lines.try_iter());
        seen.clone()
    }

    pub fn feeder(&self) -> Box<dyn Feeder> {
        let settings = serde_json::json!({"token": "test-token"});
        source("braze_webhook").feed.expect("a feeder")(self.endpoint.clone(), settings)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// SIGTERM; gives the exit code.
    pub fn stop(mut self) -> Option<i32> {
        let killed = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        assert!(killed.expect("kill runs").success());
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be asked") {
                return status.code();
            }
            assert!(Instant::now() < until, "it does not stop");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Most memory it had at any time so far, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM"))
            .expect("the peak");
        let kib: u64 = line
            .split_whitespace()
            .nth(1)
            .and_then(|number| number.parse().ok())
            .expect("a number");
        kib * 1024
    }
}

impl Drop for Sluice {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Wait until `done`.
pub async fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < until, "not so after {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The account as it is on disk, from the offline status.
pub fn status(config: &Path) -> serde_json::Value {
    status_by(program(), config)
}

/// The same by a command that becomes the program.
pub fn status_by(mut program: Command, config: &Path) -> serde_json::Value {
    let output = program
        .args(["status", "--format", "json", "--config"])
        .arg(config)
        .output()
        .expect("the program starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("JSON")
}
