//! An address that takes lists of documents, for the conformance kit: HTTP/1.1, as little as it takes.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use sluice_sdk::{Behaviour, BoxFuture, Double};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Longest request that is read.
const BODY_BYTES_MAX: usize = 64 << 20;

struct Api {
    address: SocketAddr,
    shared: Arc<Shared>,
    _stop: DropGuard,
}

struct Shared {
    behaviour: Mutex<Behaviour>,
    accepted: AtomicU64,
    requests: AtomicU64,
}

/// Start one on a free port of the loopback.
pub fn start() -> BoxFuture<'static, io::Result<Box<dyn Double>>> {
    Box::pin(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            behaviour: Mutex::new(Behaviour::Well),
            accepted: AtomicU64::new(0),
            requests: AtomicU64::new(0),
        });
        let stop = CancellationToken::new();
        let (serving, stopped) = (Arc::clone(&shared), stop.clone());
        tokio::spawn(async move {
            // Connections end with the set.
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    () = stopped.cancelled() => return,
                    Ok((stream, _)) = listener.accept() => {
                        connections.spawn(serve(stream, Arc::clone(&serving)));
                    }
                }
            }
        });
        Ok(Box::new(Api {
            address,
            shared,
            _stop: stop.drop_guard(),
        }) as Box<dyn Double>)
    })
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let mut stream = BufReader::new(stream);
    while let Ok(Some(body)) = request(&mut stream).await {
        shared.requests.fetch_add(1, Ordering::Relaxed);
        let behaviour = *shared
            .behaviour
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (answer, stays) = shared.answer(behaviour, &body);
        let Some(answer) = answer else {
            return std::future::pending().await;
        };
        if stream.get_mut().write_all(answer.as_bytes()).await.is_err() || !stays {
            return;
        }
    }
}

/// The body of the next request; `None` at the end of the connection.
async fn request(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Vec<u8>>> {
    let mut length = 0;
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        if line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; BODY_BYTES_MAX.min(length)];
    stream.read_exact(&mut body).await?;
    Ok(Some(body))
}

impl Shared {
    /// What is answered, if anything, and whether the connection stays.
    fn answer(&self, behaviour: Behaviour, body: &[u8]) -> (Option<String>, bool) {
        let status = |status: u16, more: &str| {
            Some(format!(
                "HTTP/1.1 {status} x\r\n{more}content-length: 0\r\n\r\n"
            ))
        };
        match behaviour {
            Behaviour::Well => match serde_json::from_slice::<Vec<Value>>(body) {
                Ok(documents) => {
                    self.accepted
                        .fetch_add(documents.len() as u64, Ordering::Relaxed);
                    (status(200, ""), true)
                }
                Err(_) => (status(400, ""), true),
            },
            Behaviour::Later(after) => {
                let header = format!("retry-after: {}\r\n", after.as_secs());
                (status(429, &header), true)
            }
            Behaviour::RefuseContent => (status(400, ""), true),
            Behaviour::RefuseUs => (status(401, ""), true),
            Behaviour::Silent => (None, true),
            Behaviour::Broken => {
                let half = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"o";
                (Some(half.to_owned()), false)
            }
            _ => (status(503, ""), true),
        }
    }
}

impl Double for Api {
    fn settings(&self) -> Value {
        json!({"url": format!("http://{}/in", self.address)})
    }

    fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    fn sample(&self, n: u64) -> Option<String> {
        Some(json!({"n": n}).to_string())
    }

    fn behave(&self, behaviour: Behaviour) -> bool {
        *self
            .shared
            .behaviour
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = behaviour;
        true
    }

    fn requests(&self) -> Option<u64> {
        Some(self.shared.requests.load(Ordering::Relaxed))
    }
}
