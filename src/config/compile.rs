//! From a connector's section to rules that run.

use super::model::{Config, ConnectorConfig, MessageId};
use crate::diagnostics::{Diagnostic, Files};
use crate::mapping::{self, Expression, Mapping, Options, Reference, Target};

impl Config {
    /// Read the mappings of a connector and its `when`. `None` comes with at least one error.
    pub fn compile(
        &self,
        name: &str,
        connector: &ConnectorConfig,
        files: &mut Files,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<(Mapping, Option<Expression>)> {
        let references: Vec<Reference> = connector
            .mappings
            .iter()
            .map(|(text, span)| Reference {
                text: text.clone(),
                base: self.folder.clone(),
                span: Some(*span),
            })
            .collect();
        let source = self.sources.get(&connector.source);
        let target = Target {
            catalogue: source.and_then(|it| it.plugin.catalogue).map(|it| it()),
            document: connector.sink.plugin.document,
        };
        let options = Options {
            include: connector.events.include.clone(),
            exclude: connector.events.exclude.clone(),
            identity_suffix: (connector.message_id == MessageId::Connector)
                .then(|| format!(":{name}")),
        };
        let mut is_good = true;
        let when = connector.when.as_ref().and_then(|(text, span)| {
            Expression::parse(text)
                .map_err(|error| {
                    is_good = false;
                    diagnostics.push(Diagnostic::error("bad-expression", *span, error.message));
                })
                .ok()
        });
        let mapping = mapping::load(&references, files, Some(target), options, diagnostics)?;
        is_good.then_some((mapping, when))
    }
}
