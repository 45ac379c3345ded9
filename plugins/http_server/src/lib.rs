//! What every source behind HTTP shares: connections and their limits, TLS, tokens, bodies, gzip, and
//! an answer that is 200 only when the events are safe. It knows no system: what stands in a body is
//! told by a [`Protocol`].
//!
//! | file | what it knows |
//! | --- | --- |
//! | `config` | the settings that all have |
//! | `server` | connections: bind, TLS, limits, clean stop |
//! | `places` | which connection makes room when there are too many |
//! | `webhook` | one request: who may send, reading the body, which answer |
//! | `tokens` | comparing secrets |

#![deny(missing_docs)]

mod config;
mod places;
mod server;
mod tokens;
mod webhook;

pub use config::{LimitsConfig, Seconds, Settings, TlsConfig, listen_default, max_body_default};
pub use hyper::HeaderMap;
pub use server::serve;
pub use tokens::{Tokens, Verdict};
pub use webhook::{BAD_GZIP, Protocol, Refusal, UNKNOWN_ENCODING, set_aside};
