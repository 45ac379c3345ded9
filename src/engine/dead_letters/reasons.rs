//! What the reasons of dead letters mean that are the engine's own; plugins register theirs.

use sluice_sdk::Reasons;

use super::super::delivery::{REFUSED, TOO_LARGE};

/// Of any connector.
pub const REASONS: Reasons = &[
    (
        REFUSED,
        "The sink was sent the document, alone in the end, and said no to it. `dead-letters show` has its answer and the document. Mend the rule, reload, and replay.",
    ),
    (
        TOO_LARGE,
        "The document has more bytes than the sink takes. Leave fields out in the rule, reload, and replay.",
    ),
    (
        "unmapped",
        "No rule is on the type of the event, and the connector says `unmapped: dead_letter`. `coverage --unmapped` writes a rule to paste; reload and replay.",
    ),
    (
        "not JSON",
        "The event is no JSON text, or nested too deep, so no rule can run on it.",
    ),
    (
        "not an object",
        "The event is JSON, but no object, so no rule can run on it.",
    ),
    (
        "lost to damage of the journal",
        "The disk lost a part of the journal before its events were sent. They are counted, and there is no letter: the bytes are in `damaged/`.",
    ),
];

/// Those that begin so, the name of an operator or a conversion behind it.
pub const REASONS_BEGINNING: Reasons = &[(
    "invalid ",
    "A conversion or operator of a rule got a value that it cannot take, and the rule does not say what then. The detail names the field. Correct the path, or say `$invalid: omit`, `{ skip: reason }` or `{ dead_letter: reason }` beside it; reload and replay.",
)];
