//! The status as Prometheus text. Counters are the account's own numbers, so they survive restarts.

use std::fmt::Write as _;

use crate::engine::status::Status;

/// All metrics. Names and labels are listed in docs/operations.md.
pub fn metrics(status: &Status) -> String {
    let mut out = String::new();
    let mut family = Family { out: &mut out };
    family.head(
        "sluice_source_events_total",
        "counter",
        "Events taken from the source, duplicates included.",
    );
    for (name, source) in &status.sources {
        family.row(
            "sluice_source_events_total",
            &[("source", name)],
            source.taken,
        );
    }
    family.head(
        "sluice_source_duplicates_total",
        "counter",
        "Events that had been taken before.",
    );
    for (name, source) in &status.sources {
        family.row(
            "sluice_source_duplicates_total",
            &[("source", name)],
            source.duplicates,
        );
    }
    family.head(
        "sluice_source_malformed_total",
        "counter",
        "Parts of requests that were no events, by reason.",
    );
    for (name, source) in &status.sources {
        for (reason, count) in &source.malformed {
            family.row(
                "sluice_source_malformed_total",
                &[("source", name), ("reason", reason)],
                *count,
            );
        }
    }
    family.head(
        "sluice_journal_bytes",
        "gauge",
        "Bytes of the source's journal on disk.",
    );
    for (name, source) in &status.sources {
        family.row(
            "sluice_journal_bytes",
            &[("source", name)],
            source.journal_bytes,
        );
    }
    family.head(
        "sluice_connector_events_total",
        "counter",
        "Events by what became of them.",
    );
    for (name, connector) in &status.connectors {
        for (event_type, balance) in &connector.types {
            let labels = |outcome| {
                [
                    ("connector", name.as_str()),
                    ("type", event_type.as_str()),
                    ("outcome", outcome),
                ]
            };
            family.row(
                "sluice_connector_events_total",
                &labels("received"),
                balance.received,
            );
            family.row(
                "sluice_connector_events_total",
                &labels("delivered"),
                balance.delivered,
            );
            family.row(
                "sluice_connector_events_total",
                &labels("skipped"),
                balance.skipped_total(),
            );
            family.row(
                "sluice_connector_events_total",
                &labels("dead"),
                balance.dead_total(),
            );
            family.row(
                "sluice_connector_events_total",
                &labels("expired"),
                balance.expired,
            );
        }
    }
    family.head(
        "sluice_connector_waiting_events",
        "gauge",
        "Events in the journal that are not settled yet.",
    );
    for (name, connector) in &status.connectors {
        family.row(
            "sluice_connector_waiting_events",
            &[("connector", name)],
            connector.events.waiting,
        );
    }
    family.head(
        "sluice_connector_held",
        "gauge",
        "1 while the connector waits for a person to act.",
    );
    for (name, connector) in &status.connectors {
        family.row(
            "sluice_connector_held",
            &[("connector", name)],
            u64::from(connector.held.is_some()),
        );
    }
    let name = "sluice_connector_paused";
    family.head(name, "gauge", "1 while a person has it send nothing.");
    for (connector, status) in &status.connectors {
        let is_paused = u64::from(status.paused.is_some());
        family.row(name, &[("connector", connector)], is_paused);
    }
    let name = "sluice_connector_concurrency";
    family.head(name, "gauge", "Requests to the sink allowed at once.");
    for (connector, status) in &status.connectors {
        family.row(name, &[("connector", connector)], status.concurrency);
    }
    family.head(
        "sluice_connector_requests_total",
        "counter",
        "Requests to the sink since the start.",
    );
    for (name, connector) in &status.connectors {
        family.row(
            "sluice_connector_requests_total",
            &[("connector", name)],
            connector.requests,
        );
    }
    family.head(
        "sluice_connector_retries_total",
        "counter",
        "Requests that were tried again since the start.",
    );
    for (name, connector) in &status.connectors {
        family.row(
            "sluice_connector_retries_total",
            &[("connector", name)],
            connector.retries,
        );
    }
    reloads(&mut family, status);
    dead_letters(&mut family, status);
    replays(&mut family, status);
    out
}

fn reloads(family: &mut Family<'_>, status: &Status) {
    let config = &status.config;
    let name = "sluice_config_version";
    family.head(name, "gauge", "Number of the config that runs.");
    family.row(name, &[], config.version);
    let name = "sluice_config_reloads_total";
    family.head(
        name,
        "counter",
        "Reloads since the start, by how they went.",
    );
    family.row(name, &[("outcome", "ok")], config.reloads);
    family.row(name, &[("outcome", "failed")], config.reloads_failed);
}

fn dead_letters(family: &mut Family<'_>, status: &Status) {
    let name = "sluice_dead_letters";
    family.head(name, "gauge", "Dead letters that are held.");
    for (connector, letters) in &status.dead_letters {
        family.row(name, &[("connector", connector)], letters.held);
    }
    let name = "sluice_dead_letters_bytes";
    family.head(name, "gauge", "Bytes of the dead letters that are held.");
    for (connector, letters) in &status.dead_letters {
        family.row(name, &[("connector", connector)], letters.bytes);
    }
    let name = "sluice_dead_letters_left_total";
    family.head(name, "counter", "Dead letters that have left, by how.");
    for (connector, letters) in &status.dead_letters {
        let left = &letters.left;
        for (outcome, count) in [
            ("delivered", left.delivered),
            ("skipped", left.skipped.values().sum()),
            ("dropped", left.dropped.values().sum()),
            ("expired", left.expired.values().sum()),
        ] {
            family.row(
                name,
                &[("connector", connector), ("outcome", outcome)],
                count,
            );
        }
    }
}

fn replays(family: &mut Family<'_>, status: &Status) {
    let name = "sluice_replay_events";
    family.head(name, "gauge", "Events of a replay by what became of them.");
    for one in &status.replays {
        let (id, account) = (one.replay.id.to_string(), &one.replay.account);
        for (outcome, count) in [
            ("replayed", account.replayed),
            ("delivered", account.delivered),
            ("skipped", account.skipped_total()),
            ("dead", account.dead_total()),
            ("gone", account.gone),
            ("waiting", one.waiting),
        ] {
            let connector = one.replay.connector.as_str();
            let labels = [
                ("replay", id.as_str()),
                ("connector", connector),
                ("outcome", outcome),
            ];
            family.row(name, &labels, count);
        }
    }
    let name = "sluice_replay_running";
    family.head(name, "gauge", "1 until the replay has ended.");
    for one in &status.replays {
        let (id, is_running) = (one.replay.id.to_string(), !one.replay.phase.is_final());
        let labels = [
            ("replay", id.as_str()),
            ("connector", one.replay.connector.as_str()),
        ];
        family.row(name, &labels, u64::from(is_running));
    }
}

struct Family<'a> {
    out: &'a mut String,
}

impl Family<'_> {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.out, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn row(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        let labels: Vec<String> = labels
            .iter()
            .map(|(key, value)| {
                let value = value
                    .replace('\\', "\\\\")
                    .replace('"', "\\\"")
                    .replace('\n', "\\n");
                format!("{key}=\"{value}\"")
            })
            .collect();
        let _ = writeln!(self.out, "{name}{{{}}} {value}", labels.join(","));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::status::ConnectorStatus;

    #[test]
    fn waiting_events_of_a_connector_are_a_gauge_with_its_name() {
        let mut status = Status::default();
        let mut connector = ConnectorStatus::default();
        connector.events.waiting = 7;
        status.connectors.insert("a\"b".to_owned(), connector);
        let text = metrics(&status);
        assert!(
            text.contains("sluice_connector_waiting_events{connector=\"a\\\"b\"} 7\n"),
            "{text}"
        );
    }
}
