//! sluice: event streams in, API calls out, by YAML mapping rules.
//!
//! The map of the house; ARCHITECTURE.md has the tour.
//!
//! | room | what lives there |
//! | --- | --- |
//! | [`diagnostics`] | YAML with places, messages about files |
//! | [`config`] | sluice.yaml: model, loading, secrets |
//! | [`mapping`] | the mapping language |
//! | [`journal`] | what is on disk: events, cursors, accounts, dead letters |
//! | [`engine`] | the way of an event from source to sink |
//! | [`observe`] | logs, health, status |
//! | [`alerts`] | who is told, and when |
//! | [`cli`] | the commands |
//! | `builtin` | the one list of plugins and mapping sets in the standard build |

pub mod alerts;
mod builtin;
pub mod cli;
pub mod clock;
pub mod config;
pub mod diagnostics;
pub mod engine;
pub mod journal;
pub mod mapping;
pub mod observe;
pub mod wording;

/// The whole program, for `main` of this and of custom distributions.
pub fn main() -> std::process::ExitCode {
    cli::main()
}
