//! The source `braze_webhook`: requests of Currents behind the HTTP server that all sources share.
//!
//! | answer | what Braze does after it |
//! | --- | --- |
//! | 200 | never sends it again |
//! | 401, 404, 405 | stops until somebody acts |
//! | 413 | sends it in parts |
//! | 408, 503 | tries again, with growing pauses |

use bytes::Bytes;
use sluice_http_server::{Protocol, Settings};
use sluice_sdk::{ConfigError, Intake, Source, SourceError, Stop, Submission};

use crate::config::BrazeWebhookConfig;
use crate::split::split;

/// See [`BrazeWebhookConfig`].
pub struct BrazeWebhook {
    settings: Settings,
}

impl BrazeWebhook {
    /// Check the settings; nothing is opened yet.
    ///
    /// # Errors
    /// Settings that do not fit together.
    pub fn new(config: BrazeWebhookConfig) -> Result<Self, ConfigError> {
        Ok(Self {
            settings: config.settings()?,
        })
    }
}

impl Source for BrazeWebhook {
    async fn run(self: Box<Self>, intake: Intake, stop: Stop) -> Result<(), SourceError> {
        sluice_http_server::serve(self.settings, Currents, intake, stop).await
    }
}

struct Currents;

impl Protocol for Currents {
    fn split(&self, body: Bytes) -> Option<Submission> {
        split(body)
    }
}
