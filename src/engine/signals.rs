//! What the system asks of the process: to stop, to read its config again.
//!
//! A signal that nobody hears yet ends the process, so each of these hears from its making on, before
//! anything is started, and not only from when it is waited for.

/// SIGTERM or Ctrl-C, from this call on. To be called where tokio runs.
pub fn asked_to_stop() -> impl Future<Output = ()> {
    #[cfg(unix)]
    let asked = {
        use tokio::signal::unix::{SignalKind, signal};
        let terminate = signal(SignalKind::terminate());
        let interrupt = signal(SignalKind::interrupt());
        async move {
            match (terminate, interrupt) {
                (Ok(mut terminate), Ok(mut interrupt)) => tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                },
                _ => {
                    let _ = tokio::signal::ctrl_c().await;
                }
            }
        }
    };
    #[cfg(not(unix))]
    let asked = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    asked
}

/// SIGHUP, from its making on.
pub struct Hangups(#[cfg(unix)] Option<tokio::signal::unix::Signal>);

impl Hangups {
    /// To be called where tokio runs.
    pub fn new() -> Self {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let hangup = signal(SignalKind::hangup()).inspect_err(|problem| {
                tracing::warn!(
                    "SIGHUP cannot be heard: {problem}; {} does the same",
                    sluice_sdk::typed("reload")
                );
            });
            Self(hangup.ok())
        }
        #[cfg(not(unix))]
        Self()
    }

    /// The next one; never, where there are none.
    pub async fn next(&mut self) {
        #[cfg(unix)]
        if let Some(hangup) = &mut self.0
            && hangup.recv().await.is_some()
        {
            return;
        }
        std::future::pending().await
    }
}
