//! Settings of the sink. The doc comments are the user's reference: `our-sluice plugins show ledger`
//! prints them, and editors show them.

use schemars::JsonSchema;
use serde::Deserialize;
use sluice_sdk::Secret;

/// Where and how entries go to the ledger.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LedgerConfig {
    /// Address of the ledger; `/v1/entries` is added to it.
    #[schemars(example = "https://ledger.example.com")]
    pub url: String,
    /// Key of the account that may write. A revoked key holds the connector; nothing is lost by it.
    pub key: Secret,
    /// The book that entries go to. Default `main`.
    #[serde(default = "book_default")]
    pub book: String,
    /// Requests at the same time. Default 2, as the ledger has two workers; 1 keeps the order.
    #[serde(default = "concurrency_default")]
    #[schemars(range(min = 1, max = 16))]
    pub concurrency: usize,
}

fn book_default() -> String {
    "main".to_owned()
}

fn concurrency_default() -> usize {
    2
}
