//! The config in the files was not taken, or is again.

use super::words::plain;
use super::{Context, Text};
use crate::alerts::policy::News;

impl Context<'_> {
    pub(super) fn config_files(&self, is_well: bool, news: &News) -> Text {
        let config = &self.status.config;
        if is_well {
            return Text {
                headline: "config: the files are taken again".to_owned(),
                what: format!(
                    "The config in the files is right again and runs as config {}. There is \
                     nothing to do.",
                    config.version
                ),
                facts: self.was(news),
                steps: Vec::new(),
            };
        }
        let problem = config.problem.as_deref().unwrap_or_default();
        let first = problem.lines().find(|line| !line.trim().is_empty());
        let mut facts = vec![("Problem", plain(first.unwrap_or_default()))];
        facts.extend(self.since(news));
        facts.push(("Running", format!("config {}, as before", config.version)));
        facts.push(("Lost?", "No. Everything goes on as before.".to_owned()));
        Text {
            headline: "config: the new one is wrong, the one before goes on".to_owned(),
            what: "The files of the config have changed, are wrong now, and were not taken."
                .to_owned(),
            facts,
            steps: vec![
                format!(
                    "See all that is wrong, with its place: {}",
                    self.command("validate")
                ),
                format!(
                    "Mend it, then let it be taken: {} (`run --watch` does that by itself)",
                    self.command("reload")
                ),
                "Do not restart before: with these files sluice does not start.".to_owned(),
            ],
        }
    }
}
