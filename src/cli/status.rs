//! `sluice status`: ask a running sluice how it is.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use super::output::{self, Shape};
use crate::config::{self, Mode};
use crate::diagnostics::{Files, Format};

/// How long a running sluice may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Most bytes of an answer.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// Ask a running sluice how its sources and connectors are.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sluice status
  sluice status --admin 127.0.0.1:9091
  sluice status --format json

Exit code 1 when nothing answers there.")]
pub struct Args {
    /// The config of the running sluice; says where it listens (`admin: {listen: …}`).
    #[arg(long, short, value_name = "FILE", default_value = "sluice.yaml")]
    config: PathBuf,
    /// Address of its admin interface, instead of the config's.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    /// How it is shown.
    #[arg(long, default_value = "human")]
    format: Shape,
}

/// Run it.
pub fn run(args: &Args) -> ExitCode {
    let address = match args.admin {
        Some(address) => address,
        None if args.config.exists() => {
            let mut files = Files::default();
            let mut diagnostics = Vec::new();
            let env = |name: &str| std::env::var(name).ok();
            let found = config::load(
                &args.config,
                Mode::Validate,
                &env,
                &mut files,
                &mut diagnostics,
            );
            let Some(found) = found else {
                return output::report(&diagnostics, &files, Format::Human, false);
            };
            let Some(address) = found.admin.listen else {
                return output::wrong_use("`admin: {listen: off}`: this sluice cannot be asked");
            };
            address
        }
        None => config::AdminConfig::default()
            .listen
            .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 9090))),
    };
    let status = match get(address, "/status") {
        Ok(status) => status,
        Err(message) => {
            output::tell(&format!("error: {message}\n"));
            return output::problems();
        }
    };
    match args.format {
        Shape::Json => output::print(&output::json(&status)),
        Shape::Human => output::print(&serde_yaml::to_string(&readable(&status)).unwrap_or_default()),
    }
    output::good()
}

/// Numbers of unlimited precision have a form that only JSON knows.
fn readable(value: &Value) -> serde_yaml::Value {
    use serde_yaml::Value as Yaml;
    match value {
        Value::Null => Yaml::Null,
        Value::Bool(value) => Yaml::Bool(*value),
        Value::Number(number) => number
            .as_i64()
            .map(Yaml::from)
            .or_else(|| number.as_f64().map(Yaml::from))
            .unwrap_or(Yaml::Null),
        Value::String(text) => Yaml::String(text.clone()),
        Value::Array(items) => Yaml::Sequence(items.iter().map(readable).collect()),
        Value::Object(map) => Yaml::Mapping(
            map.iter()
                .map(|(key, value)| (Yaml::String(key.clone()), readable(value)))
                .collect(),
        ),
    }
}

/// One GET in HTTP/1.0, whose answer ends with the connection. The admin interface is on this
/// machine and speaks plain HTTP: a client library would be a large guest for this.
fn get(address: SocketAddr, path: &str) -> Result<Value, String> {
    let failed = |error: std::io::Error| {
        format!("no sluice answers at {address}: {error}; is `sluice run` up?")
    };
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT).map_err(failed)?;
    stream.set_read_timeout(Some(TIMEOUT)).map_err(failed)?;
    stream.set_write_timeout(Some(TIMEOUT)).map_err(failed)?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\nAccept: application/json\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let mut answer = Vec::new();
    stream
        .take(ANSWER_BYTES_MAX)
        .read_to_end(&mut answer)
        .map_err(failed)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or_else(|| format!("what answers at {address} is no sluice"))?;
    let code = head.split_whitespace().nth(1).unwrap_or_default();
    if code != "200" {
        return Err(format!("{address} answers with HTTP status {code}"));
    }
    serde_json::from_str(body).map_err(|_| format!("what answers at {address} is no sluice"))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn an_answer_is_read_to_its_end() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).expect("a request");
            stream
                .write_all(b"HTTP/1.0 200 OK\r\ncontent-length: 8\r\n\r\n{\"a\": 1}")
                .expect("sent");
        });
        assert_eq!(get(address, "/status"), Ok(serde_json::json!({"a": 1})));
        server.join().expect("done");
    }
}
