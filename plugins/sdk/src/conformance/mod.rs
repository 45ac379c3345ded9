//! Does a plugin keep its side of the contract? A test kit for every source and sink.
//!
//! One call, in a test of the plugin's crate (cargo feature `conformance`, as a dev-dependency):
//!
//! ```
//! # use std::io;
//! # use std::sync::{Arc, Mutex};
//! # use sluice_sdk::serde::Deserialize;
//! # use sluice_sdk::serde_json::{Value, json};
//! # use sluice_sdk::{Batch, ConfigError, Delivery, JsonSchema, Limits, Outcome, Sink};
//! use sluice_sdk::{Behaviour, BoxFuture, Double, DynSink, ReceivedDocument};
//! #
//! # /// Puts documents on a shelf.
//! # #[derive(Debug, Deserialize, JsonSchema)]
//! # #[serde(crate = "sluice_sdk::serde", deny_unknown_fields)]
//! # #[schemars(crate = "sluice_sdk::schemars")]
//! # pub struct ShelfConfig {}
//! #
//! # #[derive(Default)]
//! # struct Boards {
//! #     documents: Vec<String>,
//! #     is_full: bool,
//! # }
//! #
//! # #[derive(Clone, Default)]
//! # pub struct Shelf(Arc<Mutex<Boards>>);
//! #
//! # impl Shelf {
//! #     pub fn new(_: ShelfConfig) -> Result<Self, ConfigError> {
//! #         Ok(Self::default())
//! #     }
//! # }
//! #
//! # impl Sink for Shelf {
//! #     fn limits(&self) -> Limits {
//! #         Limits::default()
//! #     }
//! #
//! #     async fn deliver(&self, batch: &Batch) -> Delivery {
//! #         let mut boards = self.0.lock().unwrap();
//! #         if boards.is_full {
//! #             let reason = "the shelf is full".to_owned();
//! #             return Delivery::All(Outcome::Retry { reason, after: None });
//! #         }
//! #         let texts = batch.documents.iter().map(|it| String::from_utf8_lossy(&it.body).into_owned());
//! #         boards.documents.extend(texts);
//! #         Delivery::All(Outcome::Delivered)
//! #     }
//! # }
//!
//! /// The other side of the sink `shelf`, in memory.
//! #[derive(Default)]
//! struct ShelfDouble(Shelf);
//!
//! impl Double for ShelfDouble {
//!     fn settings(&self) -> Value {
//!         json!({}) // A real one gives its address here, and needs no `wired`.
//!     }
//!
//!     fn wired(&self) -> Option<Box<dyn DynSink>> {
//!         Some(Box::new(self.0.clone()))
//!     }
//!
//!     fn accepted(&self) -> u64 {
//!         self.0.0.lock().unwrap().documents.len() as u64
//!     }
//!
//!     fn sample(&self, n: u64) -> Option<String> {
//!         Some(json!({"n": n}).to_string())
//!     }
//!
//!     fn behave(&self, behaviour: Behaviour) -> bool {
//!         self.0.0.lock().unwrap().is_full = behaviour == Behaviour::Unwell;
//!         matches!(behaviour, Behaviour::Well | Behaviour::Unwell)
//!     }
//! #
//! #     fn dropped(&self) -> Vec<(String, u64)> {
//! #         Vec::new()
//! #     }
//! #
//! #     fn document(&self, _: &str) -> Option<ReceivedDocument> {
//! #         None
//! #     }
//! }
//!
//! fn double() -> BoxFuture<'static, io::Result<Box<dyn Double>>> {
//!     Box::pin(async { Ok(Box::new(ShelfDouble::default()) as Box<dyn Double>) })
//! }
//!
//! sluice_sdk::register_sink!("shelf", ShelfConfig => Shelf::new,
//!     summary: "Puts documents on a shelf.", example: "{}", test_double: double);
//!
//! # #[tokio::main]
//! # async fn main() {
//! // In a test, with #[tokio::test].
//! let report = sluice_sdk::conformance::sink("shelf").await;
//! report.assert();
//! // What this double cannot show is left out, and said.
//! assert!(!report.not_tried.is_empty());
//! # }
//! ```
//!
//! The kit knows of the outside world what the registration says: a [`Double`](crate::Double) stands
//! behind a sink (`double:` or `test_double:`), an [`Upstream`](crate::Upstream) before a source
//! (`upstream:`). It makes them behave well and badly and looks what the plugin makes of it.
//!
//! | rule | of | what is looked at |
//! | --- | --- | --- |
//! | `described`, `example`, `unknown-setting`, `secret-type` | both | the settings' schema, example and types |
//! | `secret-shown` | both | `Debug`, errors, reasons: no secret in them |
//! | `limits`, `check`, `prepare`, `delivers`, `outcomes`, `concurrency` | sinks | the good case, up to the limits |
//! | `unwell`, `later`, `content`, `refused`, `silent`, `broken`, `one-try` | sinks | each answer becomes its outcome |
//! | `cancel`, `panic` | both | dropped at every await, it works on |
//! | `ready`, `marks`, `identity`, `set-aside` | sources | what is handed over |
//! | `early`, `push-back`, `again` | sources | nothing is acknowledged before it is safe, nothing lost when there is no room |
//! | `stop` | sources | a clean end, in time |
//!
//! The kit waits at most some seconds for anything, and finds within them what it can: it proves that
//! a plugin is wrong, never that it is right.

mod intake;
mod patience;
mod settings;
mod sink;
mod source;

use std::fmt;

use crate::registry::{SinkPlugin, SourcePlugin, sinks, sources};

/// A value that stands for personal data.
const PERSON: &str = "canary-person@example.com";

/// What the kit found. See [`Report::assert`].
#[derive(Debug, Clone)]
pub struct Report {
    /// Kind and name of the plugin.
    pub plugin: String,
    /// Broken rules; none for a good plugin.
    pub faults: Vec<Fault>,
    /// What could not be tried, because the stand-in cannot do it.
    pub not_tried: Vec<String>,
}

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The rule's short name, as in the table of this module.
    pub rule: &'static str,
    /// What the plugin did.
    pub found: String,
    /// What its author is to do.
    pub mend: &'static str,
}

impl Report {
    fn new(kind: &str, name: &str) -> Self {
        Self {
            plugin: format!("{kind} `{name}`"),
            faults: Vec::new(),
            not_tried: Vec::new(),
        }
    }

    fn fault(&mut self, rule: &'static str, found: impl Into<String>, mend: &'static str) {
        let fault = Fault {
            rule,
            found: found.into(),
            mend,
        };
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    /// Panics with all faults, for a test.
    ///
    /// # Panics
    /// When a rule is broken.
    pub fn assert(&self) {
        assert!(self.faults.is_empty(), "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.faults.len() {
            0 => writeln!(f, "{} keeps the contract", self.plugin)?,
            count => writeln!(f, "{} breaks the contract in {count} places", self.plugin)?,
        }
        for Fault { rule, found, mend } in &self.faults {
            writeln!(f, "\n{rule}: {found}\n  → {mend}")?;
        }
        for what in &self.not_tried {
            writeln!(f, "not tried: {what}")?;
        }
        Ok(())
    }
}

/// Try the registered sink of this name.
///
/// # Panics
/// When none is linked under it.
pub async fn sink(name: &str) -> Report {
    let plugin = sinks().into_iter().find(|plugin| plugin.name == name);
    let plugin = plugin.unwrap_or_else(|| {
        panic!("no sink `{name}` is linked: its crate needs `use the_crate as _;` in this test")
    });
    check_sink(plugin).await
}

/// Try the registered source of this name.
///
/// # Panics
/// When none is linked under it.
pub async fn source(name: &str) -> Report {
    let plugin = sources().into_iter().find(|plugin| plugin.name == name);
    let plugin = plugin.unwrap_or_else(|| {
        panic!("no source `{name}` is linked: its crate needs `use the_crate as _;` in this test")
    });
    check_source(plugin).await
}

/// Try a sink; a walk over [`sinks`] covers all that are linked.
pub async fn check_sink(plugin: &SinkPlugin) -> Report {
    sink::check(plugin).await
}

/// Try a source; a walk over [`sources`] covers all that are linked.
pub async fn check_source(plugin: &SourcePlugin) -> Report {
    source::check(plugin).await
}
