//! `sluice status`: the account, of the running process or as it is on disk.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::load_config;
use crate::engine::read_status;
use crate::engine::status::{Balance, Status};

/// How the status is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StatusFormat {
    /// For people.
    Human,
    /// One JSON object, as `/status` gives it.
    Json,
}

/// What came in and what became of it. Asks the running process, or reads the data folder.
#[derive(Debug, Args)]
#[command(after_help = "\
In every line: received = delivered + skipped + dead + expired + waiting.
Exit codes: 0 all is well, 1 a connector is held or nothing could be read, 2 wrong use.")]
pub struct StatusArgs {
    /// The config file.
    #[arg(short, long, default_value = "sluice.yaml", value_name = "FILE")]
    config: PathBuf,
    /// human or json.
    #[arg(long, value_enum, default_value = "human")]
    format: StatusFormat,
    /// A line for each event type as well.
    #[arg(long)]
    types: bool,
}

/// Run the command.
pub fn run(args: &StatusArgs, colour: bool) -> ExitCode {
    let Some(config) = load_config(&args.config, colour) else {
        return ExitCode::from(1);
    };
    let running = config.admin.listen.and_then(ask);
    let status = match running.map_or_else(|| read_status(&config), Ok) {
        Ok(status) => status,
        Err(problem) => {
            eprintln!("error: {problem}");
            return ExitCode::from(1);
        }
    };
    match args.format {
        StatusFormat::Json => println!("{}", serde_json::to_string_pretty(&status).unwrap_or_default()),
        StatusFormat::Human => print(&status, args.types),
    }
    let is_held = status.connectors.values().any(|connector| connector.held.is_some());
    ExitCode::from(u8::from(is_held))
}

/// The status of the process behind the admin address, if there is one.
fn ask(listen: std::net::SocketAddr) -> Option<Status> {
    use std::io::{Read, Write};
    let patience = std::time::Duration::from_secs(5);
    let mut stream = std::net::TcpStream::connect_timeout(&listen, patience).ok()?;
    stream.set_read_timeout(Some(patience)).ok()?;
    stream
        .write_all(format!("GET /status HTTP/1.0\r\nHost: {listen}\r\n\r\n").as_bytes())
        .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    serde_json::from_str(body).ok()
}

fn print(status: &Status, types: bool) {
    for (name, source) in &status.sources {
        let malformed: u64 = source.malformed.values().sum();
        println!("source {name}: {} taken, {} of them duplicates, {malformed} parts set aside", source.taken, source.duplicates);
        if let Some(endpoint) = &source.endpoint {
            println!("  {endpoint}");
        }
        if source.lost > 0 {
            println!("  {} events lost to damage of the disk", source.lost);
        }
    }
    for (name, connector) in &status.connectors {
        println!("connector {name}: {}", connector.state);
        if let Some(held) = &connector.held {
            println!("  since {}: {}", held.since, held.reason);
        }
        println!("  {}", line(&connector.events));
        for (what, reasons) in [("skipped", &connector.events.skipped), ("dead", &connector.events.dead)] {
            for (reason, count) in reasons {
                println!("    {count} {what}: {reason}");
            }
        }
        if types {
            for (event_type, balance) in &connector.types {
                println!("  {event_type}: {}", line(balance));
            }
        }
    }
    if status.connectors.is_empty() {
        println!("nothing has run with this data folder yet");
    }
}

fn line(balance: &Balance) -> String {
    format!(
        "{} received = {} delivered + {} skipped + {} dead + {} expired + {} waiting",
        balance.received,
        balance.delivered,
        balance.skipped_total(),
        balance.dead_total(),
        balance.expired,
        balance.waiting
    )
}
