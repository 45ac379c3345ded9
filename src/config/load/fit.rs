//! Names, and what fits together: a connector with its source, a source with its connectors.

use std::net::SocketAddr;

use indexmap::IndexMap;
use serde_json::Value;

use super::super::model::{Config, ConnectorConfig, SourceConfig};
use super::super::{Mode, address, expected, overlap, schema};
use super::{Loader, escape};
use crate::diagnostics::{Diagnostic, Entry, Node, Span, did_you_mean, nearest};
use crate::wording::number;

/// Least room of a journal, in bytes.
const JOURNAL_LEAST: u64 = 1 << 20;

impl Loader<'_> {
    pub(super) fn check_source(
        &mut self,
        entry: &Entry,
        pointer: &str,
        sources: &IndexMap<String, Option<SourceConfig>>,
    ) -> bool {
        let Some(node) = entry.value.get("source") else {
            return false;
        };
        let Some(found) = self.resolved.value.pointer(&format!("{pointer}/source")) else {
            return false;
        };
        let Some(found) = found.as_str() else {
            return false;
        };
        if sources.contains_key(found) || self.resolved.open.contains(&format!("{pointer}/source"))
        {
            return true;
        }
        let is_said = self
            .root
            .get("sources")
            .and_then(Node::as_map)
            .is_some_and(<[Entry]>::is_empty);
        if is_said {
            return false;
        }
        let names: Vec<&str> = sources.keys().map(String::as_str).collect();
        let note = if names.is_empty() {
            String::new()
        } else {
            format!("sources of this file: {}", names.join(", "))
        };
        self.diagnostics.push(
            Diagnostic::error(
                "unknown-source",
                node.span,
                format!("there is no source `{found}`"),
            )
            .label(did_you_mean(found, names))
            .note(note),
        );
        false
    }

    /// Types that the source's catalogue does not know are a warning: they may be new.
    pub(super) fn check_types(&mut self, entry: &Entry, source: &SourceConfig) {
        let Some(catalogue) = source.plugin.catalogue else {
            return;
        };
        let catalogue = catalogue();
        for key in ["include", "exclude"] {
            let patterns = entry
                .value
                .get("events")
                .and_then(|events| events.get(key))
                .and_then(Node::as_list);
            for node in patterns.into_iter().flatten() {
                let Some(pattern) = node.as_str().filter(|text| !text.contains("${")) else {
                    continue;
                };
                let is_known = if pattern.contains('*') {
                    catalogue
                        .events
                        .iter()
                        .any(|event| overlap::matches(pattern.as_bytes(), event.name.as_bytes()))
                } else {
                    catalogue.event(pattern).is_some()
                };
                if is_known {
                    continue;
                }
                let names = catalogue.events.iter().map(|event| event.name.as_str());
                self.diagnostics.push(
                    Diagnostic::warning(
                        "unknown-event-type",
                        node.span,
                        format!("{} has no event type `{pattern}`", source.plugin.name),
                    )
                    .label(nearest(pattern, names).map_or_else(
                        || "fine if it is new or your own".to_owned(),
                        |name| format!("did you mean `{name}`?"),
                    )),
                );
            }
        }
    }

    pub(super) fn check_name(&mut self, entry: &Entry, kind: &str) {
        let is_good = !entry.key.is_empty()
            && entry.key.len() <= 64
            && entry.key.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_'
            });
        if !is_good {
            self.diagnostics.push(
                Diagnostic::error(
                    "bad-name",
                    entry.key_span,
                    format!("`{}` cannot be the name of a {kind}", entry.key),
                )
                .label("at most 64 of a-z, 0-9, `-` and `_`: it names files and metrics too"),
            );
        }
    }

    pub(super) fn at_least_one(&mut self, key: &str, kind: &str, is_empty: bool) {
        let Some(entry) = self.root.entry(key).filter(|_| is_empty) else {
            return;
        };
        // A wrong type is told by the schema; nothing at all is told as a missing key.
        if entry.value.as_map().is_none() {
            return;
        }
        let code = if kind == "source" {
            "no-sources"
        } else {
            "no-connectors"
        };
        self.diagnostics.push(
            Diagnostic::error(code, entry.key_span, format!("this config has no {kind}"))
                .label(format!("give at least one {kind} a name and its settings")),
        );
    }

    pub(super) fn unused_sources(
        &mut self,
        connectors: &IndexMap<String, (String, Option<ConnectorConfig>)>,
    ) {
        if connectors.is_empty() || self.resolved.open.iter().any(|it| it.ends_with("/source")) {
            return;
        }
        for entry in self.entries("sources") {
            if !connectors.values().any(|(source, _)| {
                *source == entry.key || nearest(source, [entry.key.as_str()]).is_some()
            }) {
                self.diagnostics.push(
                    Diagnostic::warning(
                        "unused-source",
                        entry.key_span,
                        format!("no connector reads the source `{}`", entry.key),
                    )
                    .label("its events are kept, and go nowhere"),
                );
            }
        }
    }

    /// Who can reach the admin listener can stop deliveries and read dead letters.
    /// A number without a unit is bytes, and a journal of a few of them takes no request.
    pub(super) fn room(&mut self, config: &Config) {
        let journal = self.root.get("journal");
        let Some(node) = journal.and_then(|journal| journal.get("max_size")) else {
            return;
        };
        let bytes = config.journal.max_size;
        if bytes >= JOURNAL_LEAST {
            return;
        }
        let message = format!(
            "`max_size` of the journal is {}, too little for a single request",
            number(bytes, "byte"),
        );
        self.diagnostics.push(
            Diagnostic::error("wrong-value", node.span, message)
                .label("expected a size with its unit, such as `10GiB`, and at least `1MiB`"),
        );
    }

    pub(super) fn admin(&mut self, config: &Config) {
        let is_open = config
            .admin
            .listen
            .is_some_and(|listen| !listen.ip().is_loopback());
        if !is_open || config.admin.token.is_some() || self.mode == Mode::Inspect {
            return;
        }
        let listen = self.root.get("admin").and_then(|admin| admin.get("listen"));
        let span = listen.map_or(self.root.span, |node| node.span);
        self.diagnostics.push(
            Diagnostic::error(
                "admin-without-token",
                span,
                "other machines can reach this address, and there is no token",
            )
            .label("add `token:` beside it, or listen on 127.0.0.1"),
        );
    }

    /// Listeners of this config that keep one another from their address. A source that listens says
    /// where under `listen`.
    pub(super) fn listeners(&mut self, config: &Config) {
        let mut known: Vec<(String, SocketAddr, Span)> = Vec::new();
        let listen = |of: Option<&Node>| of.and_then(|it| it.get("listen")).map(|it| it.span);
        for (name, source) in &config.sources {
            let open = format!("/sources/{}/listen", escape(name));
            if self.resolved.open.contains(&open) || self.mode == Mode::Inspect {
                continue;
            }
            let schema = schema::source_schema(source.plugin);
            let default =
                expected::property(&schema, &schema, "listen").and_then(|it| it.get("default"));
            let address = source.settings.get("listen").or(default);
            let address = address
                .and_then(Value::as_str)
                .and_then(|it| it.parse().ok());
            if let Some(address) = address {
                let node = self.root.get("sources").and_then(|all| all.get(name));
                let place = listen(node).unwrap_or(source.span);
                known.push((format!("source `{name}`"), address, place));
            }
        }
        let admin = config.admin.listen;
        if let Some(address) =
            admin.filter(|_| !self.resolved.open.iter().any(|it| it == "/admin/listen"))
        {
            let place = listen(self.root.get("admin")).unwrap_or(self.root.span);
            known.push(("admin listener".to_owned(), address, place));
        }
        for (at, (what, address, place)) in known.iter().enumerate() {
            let taken = known[..at]
                .iter()
                .find(|(_, other, _)| address::is_taken(*address, *other));
            if let Some((other, _, first)) = taken {
                let message = format!(
                    "the {what} and the {other} want the same port, {}",
                    address.port()
                );
                self.diagnostics.push(
                    Diagnostic::error("same-address", *place, message)
                        .label("give one of them another port")
                        .related(*first, "the other one"),
                );
            }
        }
    }

    /// A name that is still in use has nothing to hand over.
    pub(super) fn renamed(&mut self, config: &Config) {
        for (name, connector) in &config.connectors {
            let Some(from) = &connector.renamed_from else {
                continue;
            };
            if !config.connectors.contains_key(from) {
                continue;
            }
            let entry = self.root.get("connectors").and_then(|all| all.get(name));
            let node = entry.and_then(|entry| entry.get("renamed_from"));
            self.diagnostics.push(
                Diagnostic::error(
                    "renamed-from-existing",
                    node.map_or(connector.span, |node| node.span),
                    format!("`{from}` is a connector of this file: it keeps its own place"),
                )
                .label("name a connector that is gone, or take this line out"),
            );
        }
    }
}
