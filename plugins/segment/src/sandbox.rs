//! `sluice sandbox`: the double on a port, with a line for each document.

use std::ffi::OsString;
use std::io::{IsTerminal, Write, stdout};
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;

use crate::double::{Entry, Options, Sandbox};

/// Run a local Segment. It answers as the real one does, and shows on each line what the real one would
/// have made of the document. Point a sink at it with `endpoint: http://ADDRESS`.
#[derive(Parser)]
#[command(name = "sluice sandbox", after_help = HELP)]
struct Arguments {
    /// Where the US side listens; port 0 takes a free one. The first line of output names it.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8765")]
    listen: SocketAddr,
    /// Where the EU side listens. Without this there is none.
    #[arg(long, value_name = "ADDRESS")]
    eu_listen: Option<SocketAddr>,
    /// Documents a second before it answers 429 (Segment: 1000). Default: no limit.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    /// No line for each document; only the address and the summary.
    #[arg(long)]
    quiet: bool,
}

const HELP: &str = "While it runs:
  GET  /_sandbox/summary                    counts
  GET  /_sandbox/documents?limit=&type=&event=&verdict=&source=
  GET  /_sandbox/documents/MESSAGE_ID       one document
  GET  /_sandbox/verdicts                   what was dropped after the 200
  POST /_sandbox/faults                     {\"mode\":\"status\",\"status\":503,\"times\":3,\"retry_after\":1}
       modes: status, redirect, reset_before, reset_after, slow, half_response, refuse_gzip;
       with times 0 until DELETE /_sandbox/faults
  POST /_sandbox/clock                      {\"advance_seconds\":90000}
  POST /_sandbox/reset                      forget all documents";

/// Run the command; `arguments` are those after its name.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    let name = OsString::from(format!("{} sandbox", sluice_sdk::program_name()));
    let arguments = match Arguments::try_parse_from(std::iter::once(name).chain(arguments)) {
        Ok(arguments) => arguments,
        Err(error) => {
            let is_wrong_use = error.use_stderr();
            // Nowhere to tell it if that fails.
            let _ = error.print();
            return if is_wrong_use {
                ExitCode::from(2)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("sandbox: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(serve(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sandbox: cannot listen on {}: {error}", arguments.listen);
            ExitCode::FAILURE
        }
    }
}

async fn serve(arguments: &Arguments) -> std::io::Result<()> {
    let options = Options {
        us: arguments.listen,
        eu: arguments.eu_listen,
        rate: arguments.rate,
        ..Options::default()
    };
    let stopped = asked_to_stop()?;
    tokio::pin!(stopped);
    let sandbox = Sandbox::start(options).await?;
    let mut entries = sandbox.watch();
    let has_colour = stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    say(&opening(&sandbox, arguments.json));
    loop {
        tokio::select! {
            () = &mut stopped => break,
            entry = entries.recv(), if !arguments.quiet => match entry {
                Ok(entry) if arguments.json => say(&in_json(&entry).to_string()),
                Ok(entry) => say(&line(&entry, has_colour)),
                Err(RecvError::Lagged(count)) if !arguments.json => say(&format!("… {count} more")),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => break,
            },
        }
    }
    say(&closing(&sandbox.summary(), arguments.json));
    Ok(())
}

/// Ctrl-C, or SIGTERM as `kill` and service managers send it; heard from this call on.
#[cfg(unix)]
fn asked_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Ctrl-C.
#[cfg(not(unix))]
fn asked_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}

/// A reader that has gone away must not end the sandbox.
fn say(text: &str) {
    let mut out = stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

fn opening(sandbox: &Sandbox, is_json: bool) -> String {
    if is_json {
        return json!({"listening": {"us": sandbox.us_url(), "eu": sandbox.eu_url()}}).to_string();
    }
    match sandbox.eu_url() {
        Some(eu) => format!(
            "sandbox listening on {} (us) and {eu} (eu)",
            sandbox.us_url()
        ),
        None => format!("sandbox listening on {}", sandbox.us_url()),
    }
}

fn closing(summary: &Value, is_json: bool) -> String {
    if is_json {
        return json!({"summary": summary}).to_string();
    }
    let number = |key: &str, what: &str| match summary[key].as_u64() {
        Some(1) => format!("1 {what}"),
        _ => format!("{} {what}s", summary[key]),
    };
    let mut text = format!(
        "\n{}, {}, {} accepted",
        number("requests", "request"),
        number("received", "document"),
        summary["accepted"]
    );
    for (verdict, count) in summary["verdicts"].as_object().into_iter().flatten() {
        if verdict != "accepted" {
            text.push_str(&format!("\n  {count:>8}  {verdict}"));
        }
    }
    text
}

fn line(entry: &Entry, has_colour: bool) -> String {
    let time = entry.received_at.strftime("%H:%M:%S");
    let verdict = match (entry.verdict, has_colour) {
        ("accepted", true) => "\x1b[32maccepted\x1b[0m".to_owned(),
        (verdict, true) => format!("\x1b[33m{verdict}\x1b[0m"),
        (verdict, false) => verdict.to_owned(),
    };
    format!(
        "{time}  {:<8}  {:<32}  {:<24}  {:<12}  {verdict}",
        plain(&entry.kind, 8),
        plain(&entry.event, 32),
        plain(user(entry), 24),
        plain(&entry.message_id, 12),
    )
}

fn in_json(entry: &Entry) -> Value {
    let mut value = json!(entry);
    value["user"] = user(entry).into();
    value
}

/// Ids may be shown; an e-mail address used as one may not.
fn user(entry: &Entry) -> &str {
    if entry.user.contains('@') {
        "(e-mail address)"
    } else {
        &entry.user
    }
}

/// Cut to `width`, without what could steer a terminal.
fn plain(text: &str, width: usize) -> String {
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { '·' } else { c })
        .take(width + 1)
        .collect();
    if text.chars().count() <= width {
        return text;
    }
    text.chars()
        .take(width.saturating_sub(1))
        .chain(['…'])
        .collect()
}
