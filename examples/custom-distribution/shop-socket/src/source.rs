//! The socket: take lines, hand them over, answer when they are safe.

use std::io;
use std::os::unix::net::UnixStream as Probe;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sluice_sdk::{Bytes, ConfigError, Intake, IntakeError, Source, SourceError, Stop};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

use crate::config::ShopSocketConfig;
use crate::split::submission;

/// Connections at the same time; more wait until one ends.
const CONNECTIONS_MAX: usize = 64;
/// Bytes read ahead of a connection, and so about the size of what is handed over together.
const BUFFER_BYTES: usize = 64 << 10;
/// How long a peer may leave its answers unread.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);

/// See [`ShopSocketConfig`].
pub struct ShopSocket {
    path: PathBuf,
    line_bytes_max: usize,
}

impl ShopSocket {
    /// Nothing to check that the types do not say already.
    ///
    /// # Errors
    /// None.
    pub fn new(config: ShopSocketConfig) -> Result<Self, ConfigError> {
        Ok(Self {
            path: config.path,
            line_bytes_max: config.line_bytes_max,
        })
    }
}

impl Source for ShopSocket {
    async fn run(self: Box<Self>, intake: Intake, stop: Stop) -> Result<(), SourceError> {
        let at = self.path.display();
        let listener = listen(&self.path)
            .map_err(|problem| SourceError(format!("{at} cannot be opened: {problem}")))?;
        intake.ready(&at.to_string());
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.requested() => break,
                Some(_) = connections.join_next() => {}
                connection = listener.accept(), if connections.len() < CONNECTIONS_MAX => {
                    let (stream, _) = connection
                        .map_err(|problem| SourceError(format!("{at} takes no connection: {problem}")))?;
                    connections.spawn(serve(stream, intake.clone(), stop.clone(), self.line_bytes_max));
                }
            }
        }
        while connections.join_next().await.is_some() {}
        // It would be taken over at the next start as well.
        let _ = std::fs::remove_file(&self.path);
        Ok(())
    }
}

/// Bind. A socket on which nobody listens is what a crash has left.
fn listen(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(problem) if problem.kind() == io::ErrorKind::AddrInUse => {
            if Probe::connect(path).is_ok() {
                return Err(problem);
            }
            std::fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        bound => bound,
    }
}

/// One connection to its end. What goes wrong with it is the peer's to mend: it got no answer.
async fn serve(
    mut stream: UnixStream,
    intake: Intake,
    stop: Stop,
    line_bytes_max: usize,
) -> io::Result<()> {
    let (read, mut write) = stream.split();
    let mut lines = BufReader::with_capacity(BUFFER_BYTES, read);
    let mut answered = 0;
    loop {
        let body = tokio::select! {
            () = stop.requested() => return Ok(()),
            body = whole_lines(&mut lines, line_bytes_max) => match body {
                Ok(Some(body)) => body,
                Ok(None) => return Ok(()),
                Err(problem) => {
                    if problem.kind() == io::ErrorKind::InvalidData {
                        intake.note("line too long");
                    }
                    return Err(problem);
                }
            },
        };
        let count = body.iter().filter(|byte| **byte == b'\n').count();
        let word = match intake.accept(submission(body)).await {
            Ok(()) => "ok",
            Err(IntakeError::Full { .. }) => "full",
            Err(_) => "later",
        };
        let answers: String = (answered + 1..=answered + count)
            .map(|n| format!("{word} {n}\n"))
            .collect();
        answered += count;
        tokio::time::timeout(ANSWER_PATIENCE, write.write_all(answers.as_bytes())).await??;
    }
}

/// The whole lines that are there, at least one; nothing at the end of the input. A last line without
/// its end may be half a line: it is not taken.
async fn whole_lines(
    input: &mut (impl AsyncBufRead + Unpin),
    line_bytes_max: usize,
) -> io::Result<Option<Bytes>> {
    let mut body = Vec::new();
    loop {
        let there = input.fill_buf().await?;
        if there.is_empty() {
            return Ok(None);
        }
        let end = there
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map(|at| at + 1);
        let taken = end.unwrap_or(there.len());
        body.extend_from_slice(&there[..taken]);
        input.consume(taken);
        if end.is_some() {
            return Ok(Some(body.into()));
        }
        if body.len() > line_bytes_max {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}
