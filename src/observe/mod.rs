//! What an operator sees from outside: logs, health, status, metrics.

mod admin;
mod admin_letters;
mod log;
mod metrics;

pub use admin::serve_admin;
pub use log::{LogFormat, start_log};
