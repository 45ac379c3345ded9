//! The sink `ledger`: entries for our bookkeeping, over its HTTP API.
//!
//! | file | what it knows |
//! | --- | --- |
//! | `config` | the settings |
//! | `sink` | the story of one batch |
//! | `protocol` | what is sent, and what each answer means (pure) |
//! | `document` | the shape of an entry |
//! | `double` | a stand-in of the ledger, for `demo`, for tests and as the command `ledger` |

mod config;
mod document;
pub mod double;
mod protocol;
mod sink;

pub use config::LedgerConfig;
pub use sink::Ledger;

sluice_sdk::register_sink!("ledger", LedgerConfig => Ledger::new,
    summary: "Entries for our bookkeeping.",
    example: "url: https://ledger.example.com\nkey: ${LEDGER_KEY}\n",
    document: &document::SPEC,
    double: double::start);

sluice_sdk::register_command!(
    "ledger",
    "Run a stand-in of the ledger on this machine.",
    double::command
);
