//! `sluice run` as a process: from a config file to the exit code.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sluice_sdk::Stop;
use tokio::task::JoinSet;
use tracing::{error, info};

use super::prepare::{Prepared, prepare};
use super::reload::{Asked, Reloader, paths};
use super::run::Running;
use super::signals::{Hangups, asked_to_stop};
use super::watch::watch;
use crate::alerts::{self, AlertSetup};
use crate::config::Mode;
use crate::diagnostics::{Files, Format, render};
use crate::observe;

/// Options of `sluice run`.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The config file.
    pub config: PathBuf,
    /// Colour in messages.
    pub colour: bool,
    /// Reload when a file of the config or its mappings changes.
    pub watch: bool,
}

/// `sluice run`.
pub fn run_command(options: &RunOptions) -> ExitCode {
    let read_at = SystemTime::now();
    let mut files = Files::default();
    let mut diagnostics = Vec::new();
    let environment = |name: &str| std::env::var(name).ok();
    let prepared = prepare(
        &options.config,
        Mode::Run,
        &environment,
        &mut files,
        &mut diagnostics,
    );
    if !diagnostics.is_empty() {
        eprint!(
            "{}",
            render(&diagnostics, &files, Format::Human, options.colour)
        );
    }
    let Some(prepared) = prepared else {
        eprintln!("\nNothing was started.");
        return ExitCode::from(1);
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(problem) => {
            eprintln!("error: no threads to run on: {problem}");
            return ExitCode::from(1);
        }
    };
    let alerts = AlertSetup::new(&prepared.config, &options.config);
    let code = runtime.block_on(run(prepared, alerts, options, (paths(&files), read_at)));
    // A read of standard input cannot be cancelled; everything of ours has ended.
    runtime.shutdown_timeout(Duration::from_secs(2));
    code
}

async fn run(
    prepared: Prepared,
    alerts: AlertSetup,
    options: &RunOptions,
    (files, read_at): (Vec<PathBuf>, SystemTime),
) -> ExitCode {
    let admin = prepared.config.admin.listen;
    let data = prepared.config.journal.path.display().to_string();
    let (stop_asked, hangups) = (asked_to_stop(), Hangups::new());
    let mut running = match Running::start(prepared).await {
        Ok(running) => running,
        Err(problem) => {
            error!("not started: {problem}");
            return ExitCode::from(1);
        }
    };
    let reloader = Arc::new(Reloader::new(
        options.config.clone(),
        running.lanes(),
        files,
    ));
    let (helpers_stop, admin_stop) = (Stop::default(), Stop::default());
    let admin = match admin {
        Some(listen) => {
            match observe::serve_admin(listen, Arc::clone(&reloader), admin_stop.clone()).await {
                Ok(task) => Some(task),
                Err(problem) => {
                    error!("not started: {problem}");
                    running.shutdown().await;
                    return ExitCode::from(1);
                }
            }
        }
        None => None,
    };
    let mut helpers = JoinSet::new();
    helpers.spawn(alerts::watch(
        alerts,
        running.shared(),
        helpers_stop.clone(),
    ));
    helpers.spawn(reload_on_hangup(
        hangups,
        Arc::clone(&reloader),
        helpers_stop.clone(),
    ));
    if options.watch {
        helpers.spawn(watch(reloader, read_at, helpers_stop.clone()));
    }
    info!(data = %data, connectors = running.shared().config().connectors.len(), "sluice {} runs", env!("CARGO_PKG_VERSION"));
    let code = tokio::select! {
        ended = running.finished() => match ended {
            Ok(()) => {
                info!("all sources have ended and everything is settled");
                ExitCode::SUCCESS
            }
            Err(problem) => {
                error!("{problem}");
                ExitCode::from(1)
            }
        },
        () = stop_asked => {
            info!("stopping: finishing what is under way; the rest stays in the journal");
            ExitCode::SUCCESS
        }
    };
    // A reload under way comes to its end first; none begins any more.
    helpers_stop.request();
    while helpers.join_next().await.is_some() {}
    running.shutdown().await;
    // Until here it shows what is waited for.
    admin_stop.request();
    if let Some(admin) = admin {
        // A client that never finishes its request must not keep the process.
        let _ = tokio::time::timeout(Duration::from_secs(2), admin).await;
    }
    code
}

/// SIGHUP reads the config again.
async fn reload_on_hangup(mut hangups: Hangups, reloader: Arc<Reloader>, stop: Stop) {
    loop {
        tokio::select! {
            () = stop.requested() => return,
            () = hangups.next() => {}
        }
        // Told in the log by the reload itself.
        let _ = reloader.reload(Asked::Hangup).await;
    }
}
