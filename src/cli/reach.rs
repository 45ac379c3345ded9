//! How a command gets at a data folder: through the process that holds it, or directly.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use sluice_sdk::Secret;

use crate::config::Config;
use crate::engine::StartError;
use crate::journal::{Journal, JournalOptions, OpenError};

/// Longest wait for the connection.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// Longest wait for an answer; a dry run reads and maps all it is asked for.
const ANSWER_PATIENCE: Duration = Duration::from_secs(600);

/// What there is.
pub enum Reach {
    /// A process runs on the data folder and answers.
    Running(Admin),
    /// No process runs; the folder is held as long as this lives.
    Folder(Journal),
    /// There is no folder: nothing has run yet.
    Nothing,
}

impl Reach {
    /// Find out, by the lock of the data folder.
    ///
    /// # Errors
    /// A sentence, when neither way works, and what helps.
    pub fn find(config: &Config) -> Result<Self, String> {
        if !config.journal.path.exists() {
            return Ok(Self::Nothing);
        }
        let problem = match Journal::open(JournalOptions::new(&config.journal.path)) {
            Ok(journal) => return Ok(Self::Folder(journal)),
            Err(problem) => problem,
        };
        if !matches!(problem, OpenError::Locked { .. }) {
            return Err(problem.to_string());
        }
        let admin = Admin::of(config);
        match admin {
            Some(admin) if admin.is_there() => Ok(Self::Running(admin)),
            _ => Err(explained(
                &StartError::Journal(problem),
                config.admin.listen,
            )),
        }
    }
}

/// Why a data folder cannot be had, and what helps.
pub fn explained(problem: &StartError, listen: Option<SocketAddr>) -> String {
    let StartError::Journal(OpenError::Locked { path, holder }) = problem else {
        return problem.to_string();
    };
    let holder = holder.map_or_else(String::new, |pid| format!(" (pid {pid})"));
    let why = listen.map_or_else(
        || {
            "its admin listener is off in this config; to ask it, set `admin: { listen: \
             127.0.0.1:9090 }` and restart it, or stop it first"
                .to_owned()
        },
        |address| {
            format!(
                "its admin listener is not reachable at {address}: set `admin: {{ listen: … }}` to \
                 the address it was started with, or stop it first"
            )
        },
    );
    format!(
        "a running process{holder} holds the data folder {}, and {why}",
        Path::new(path).display()
    )
}

/// The admin API of a running process.
#[derive(Debug, Clone)]
pub struct Admin {
    listen: SocketAddr,
    token: Option<Secret>,
}

/// What the admin API said.
pub struct Answer {
    /// The HTTP status.
    pub code: u16,
    /// The body.
    pub body: String,
}

impl Admin {
    /// Where the config says it is, with the token it wants; none when it is off.
    pub fn of(config: &Config) -> Option<Self> {
        config.admin.listen.map(|listen| Self {
            listen,
            token: config.admin.token.clone(),
        })
    }

    fn is_there(&self) -> bool {
        TcpStream::connect_timeout(&self.listen, CONNECT_PATIENCE).is_ok()
    }

    /// One request, and its answer whole.
    ///
    /// # Errors
    /// A sentence, when there is no answer.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer, String> {
        self.try_ask(method, path, body)
            .map_err(|problem| format!("the admin listener at {}: {problem}", self.listen))
    }

    fn try_ask(&self, method: &str, path: &str, body: Option<&Value>) -> std::io::Result<Answer> {
        let mut stream = TcpStream::connect_timeout(&self.listen, CONNECT_PATIENCE)?;
        stream.set_read_timeout(Some(ANSWER_PATIENCE))?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let token = match &self.token {
            Some(token) => {
                let token = token.reveal().map_err(std::io::Error::other)?;
                format!("Authorization: Bearer {token}\r\n")
            }
            None => String::new(),
        };
        // Version 1.0: the answer ends with the connection.
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{token}\r\n",
            self.listen,
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body.as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer);
        let strange = || std::io::Error::other("it does not speak as sluice does");
        let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(strange)?;
        let code = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        Ok(Answer {
            code: code.ok_or_else(strange)?,
            body: body.to_owned(),
        })
    }

    /// The same, for an answer that is JSON.
    ///
    /// # Errors
    /// A sentence: no answer, or what the process said against it.
    pub fn json<T: serde::de::DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, String> {
        let answer = self.ask(method, path, body)?;
        if answer.code >= 300 {
            let told: Option<Value> = serde_json::from_str(&answer.body).ok();
            let told = told.as_ref().and_then(|told| told["error"].as_str());
            return Err(match told {
                Some(told) => told.to_owned(),
                None => format!(
                    "the admin listener answered {}: {}",
                    answer.code,
                    answer.body.trim()
                ),
            });
        }
        serde_json::from_str(&answer.body)
            .map_err(|problem| format!("the admin listener's answer cannot be read: {problem}"))
    }
}
