//! What a connector does with an event now: what a replay borrows from it.

use std::sync::{Arc, RwLock};

use sluice_sdk::ConfigError;

use crate::clock::Clock;
use crate::config::{SinkConfig, Unmapped};
use crate::engine::account::ConnectorState;
use crate::engine::delivery::Courier;
use crate::engine::gate::GateState;
use crate::journal::Log;
use crate::mapping::{Mapped, MappedDocument, Mapping};

/// A connector's rules, sink and place, as they are now. A changed config makes a new one.
pub struct Way {
    /// The connector's name.
    pub connector: String,
    /// The rules.
    pub mapping: Arc<Mapping>,
    /// What happens to events without a rule.
    pub unmapped: Unmapped,
    /// Where documents go.
    pub sink: SinkConfig,
    /// Most documents in a batch; the sink's limit applies as well.
    pub documents_max: usize,
    /// The source's log.
    pub log: Arc<Log>,
    /// What the connector has settled.
    pub state: Arc<RwLock<ConnectorState>>,
    /// The live deliveries; none while the process does not run.
    pub live: Option<Arc<Courier>>,
}

/// What the rules make of an event.
pub(super) enum Step {
    Skipped(String),
    Dead {
        reason: String,
        detail: String,
        rule: Option<String>,
    },
    Documents(Vec<MappedDocument>),
}

impl Way {
    /// Run the rules.
    pub(super) fn map(&self, event_type: &str, event: &[u8]) -> Step {
        match self.mapping.map_bytes(event_type, event) {
            Mapped::NotSelected => Step::Skipped("not selected".to_owned()),
            Mapped::Skipped { reason, .. } => Step::Skipped(reason),
            Mapped::Unmapped => match self.unmapped {
                Unmapped::Skip => Step::Skipped("unmapped".to_owned()),
                Unmapped::DeadLetter => Step::Dead {
                    reason: "unmapped".to_owned(),
                    detail: "no rule is on this type".to_owned(),
                    rule: None,
                },
            },
            Mapped::Dead {
                reason,
                detail,
                rule,
            } => Step::Dead {
                reason,
                detail,
                rule,
            },
            Mapped::Documents(documents) => Step::Documents(documents),
        }
    }

    /// A courier for a replay alone, so that its refusals and holds are its own.
    pub(super) fn courier(&self, clock: &Clock) -> Result<Courier, ConfigError> {
        let sink = (self.sink.plugin.build)(self.sink.settings.clone())?;
        Ok(Courier::new(self.connector.clone(), sink, clock.clone()))
    }

    /// Why live deliveries stand still at the moment, if they do.
    pub(super) fn live_trouble(&self) -> Option<String> {
        let live = self.live.as_ref()?;
        if live.gate.paused().is_some() {
            return Some("the connector is paused".to_owned());
        }
        match live.gate.state() {
            GateState::Held { reason, .. } => Some(format!("the connector is held: {reason}")),
            GateState::Open => live
                .trouble()
                .map(|reason| format!("the connector is retrying: {reason}")),
        }
    }

    /// Every event below it is settled by the connector.
    pub(super) fn settled_below(&self) -> u64 {
        self.state
            .read()
            .map(|state| state.cursor.prefix())
            .unwrap_or(0)
    }
}
