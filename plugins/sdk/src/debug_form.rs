//! `Debug` of a type that may not have it, for the register macros: method resolution takes
//! [`WithDebug`] where the type has `Debug`, and one reference further [`WithoutDebug`].

use std::fmt::Debug;

/// Wraps the settings.
pub struct Of<'a, T>(pub &'a T);

/// For types with `Debug`.
pub trait WithDebug {
    /// What `{:?}` prints.
    fn debug_form(&self) -> Option<String>;
}

impl<T: Debug> WithDebug for Of<'_, T> {
    fn debug_form(&self) -> Option<String> {
        Some(format!("{:?}", self.0))
    }
}

/// For types without.
pub trait WithoutDebug {
    /// Nothing.
    fn debug_form(&self) -> Option<String>;
}

impl<T> WithoutDebug for &Of<'_, T> {
    fn debug_form(&self) -> Option<String> {
        None
    }
}
