//! What can be said of rules before any event is there.
//!
//! | room | what is checked there |
//! | --- | --- |
//! | `events` | types and fields, against the source's catalogue |
//! | `documents` | documents, against what the sink takes |
//! | `rules` | rules against one another, and parts that nothing uses |

mod documents;
mod events;
mod rules;

pub use documents::documents;
pub use events::{FieldUses, types_of, unknown_types};
pub use rules::{omits, unreachable, unused};
