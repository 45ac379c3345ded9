//! JSON read strictly and not built: where the values of a text stand, and nothing more.
//!
//! The grammar is RFC 8259 as serde_json reads it into a tree: what it refuses is refused here (bad
//! escapes and lone surrogates, control characters, numbers such as `01`, more than [`DEPTH_MAX`]
//! levels). Nothing is copied, nothing is parsed into a number or a text. For whoever passes bytes on
//! and wants to know only a few of them: a source that looks for events in a body, a sink that checks
//! some members of a document.
//!
//! ```
//! use sluice_sdk::json;
//!
//! let mut found = None;
//! json::members(r#"{"id": "7", "more": [1, 2]}"#, |name, value| {
//!     if name == "id" {
//!         found = Some(value);
//!     }
//!     Ok::<_, json::Refused>(())
//! })?;
//! assert_eq!(found, Some(r#""7""#));
//! # Ok::<_, json::Refused>(())
//! ```

/// Objects and lists inside each other; as deep as serde_json goes.
pub const DEPTH_MAX: u32 = 127;

/// Not JSON, or more than this pass takes; serde_json says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not JSON, or nested deeper than {DEPTH_MAX} levels")]
pub struct Refused;

/// Call `each` with the raw name (without its quotes, with its escapes) and the raw value of every
/// member of an object, in their order. Spaces around the object are taken.
///
/// # Errors
/// When the text is not exactly one object, or `each` refuses.
pub fn members<'a, E: From<Refused>>(
    object: &'a str,
    mut each: impl FnMut(&'a str, &'a str) -> Result<(), E>,
) -> Result<(), E> {
    let mut scanner = Scanner::new(object);
    scanner.space();
    scanner.sequence(b'{', b'}', |scanner| {
        let (start, end) = scanner.name()?;
        let from = scanner.at();
        scanner.skip(1)?;
        each(&object[start..end], &object[from..scanner.at()])
    })?;
    Ok(scanner.finish()?)
}

/// Call `each` with the raw value of every item of a list. Spaces around the list are taken.
///
/// # Errors
/// When the text is not exactly one list, or `each` refuses.
pub fn items<'a, E: From<Refused>>(
    list: &'a str,
    mut each: impl FnMut(&'a str) -> Result<(), E>,
) -> Result<(), E> {
    let mut scanner = Scanner::new(list);
    scanner.space();
    scanner.sequence(b'[', b']', |scanner| {
        let from = scanner.at();
        scanner.skip(1)?;
        each(&list[from..scanner.at()])
    })?;
    Ok(scanner.finish()?)
}

/// Goes through a text value by value.
#[derive(Debug, Clone)]
pub struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    /// At the beginning of a text.
    #[inline]
    pub fn new(text: &'a str) -> Self {
        Self {
            bytes: text.as_bytes(),
            at: 0,
        }
    }

    /// Where it stands, in bytes from the beginning.
    #[inline]
    pub fn at(&self) -> usize {
        self.at
    }

    /// What is still to come.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// Go on by so many bytes that the caller has looked at; at most to the end.
    #[inline]
    pub fn advance(&mut self, bytes: usize) {
        self.at = self.bytes.len().min(self.at + bytes);
    }

    /// Nothing but spaces may follow.
    ///
    /// # Errors
    /// When something does.
    pub fn finish(mut self) -> Result<(), Refused> {
        self.space();
        if self.at == self.bytes.len() {
            return Ok(());
        }
        Err(Refused)
    }

    /// The next byte; nothing at the end.
    #[inline]
    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Pass over spaces, tabs and line ends.
    #[inline]
    pub fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), Refused> {
        if self.peek() == Some(byte) {
            self.at += 1;
            return Ok(());
        }
        Err(Refused)
    }

    /// Everything between two brackets, `one` by one: it is called at the beginning of a member or an
    /// item and leaves the scanner behind it.
    ///
    /// # Errors
    /// When brackets or commas are not right, or `one` refuses.
    #[inline]
    pub fn sequence<E: From<Refused>>(
        &mut self,
        open: u8,
        close: u8,
        mut one: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.expect(open)?;
        self.space();
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(());
        }
        loop {
            one(self)?;
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(byte) if byte == close => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(Refused.into()),
            }
            self.space();
        }
    }

    /// A member's name and the colon: where the name stands, without its quotes.
    ///
    /// # Errors
    /// When there is none.
    #[inline]
    pub fn name(&mut self) -> Result<(usize, usize), Refused> {
        self.expect(b'"')?;
        let start = self.at;
        self.string()?;
        let end = self.at - 1;
        self.space();
        self.expect(b':')?;
        self.space();
        Ok((start, end))
    }

    /// Pass over one value; `depth` is the number of objects and lists it stands in.
    ///
    /// # Errors
    /// When it is none, or one that is nested too deep.
    pub fn skip(&mut self, depth: u32) -> Result<(), Refused> {
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                self.string()
            }
            Some(b'{') if depth < DEPTH_MAX => self.sequence(b'{', b'}', |scanner| {
                scanner.name()?;
                scanner.skip(depth + 1)
            }),
            Some(b'[') if depth < DEPTH_MAX => {
                self.sequence(b'[', b']', |scanner| scanner.skip(depth + 1))
            }
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(Refused),
        }
    }

    #[inline]
    fn word(&mut self, word: &[u8]) -> Result<(), Refused> {
        if self.bytes[self.at..].starts_with(word) {
            self.at += word.len();
            return Ok(());
        }
        Err(Refused)
    }

    #[inline]
    fn digits(&mut self) -> Result<(), Refused> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at > start {
            Ok(())
        } else {
            Err(Refused)
        }
    }

    #[inline]
    fn number(&mut self) -> Result<(), Refused> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// The rest of a string, behind its first quote, up to behind its last.
    #[inline]
    fn string(&mut self) -> Result<(), Refused> {
        loop {
            while let Some(eight) = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk) {
                let special = special_bytes(u64::from_le_bytes(*eight));
                if special != 0 {
                    self.at += special.trailing_zeros() as usize / 8;
                    break;
                }
                self.at += 8;
            }
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    self.at += 1;
                    self.escape()?;
                }
                None | Some(0..0x20) => return Err(Refused),
                Some(_) => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Result<(), Refused> {
        let letter = self.peek().ok_or(Refused)?;
        self.at += 1;
        match letter {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(()),
            b'u' => match self.code_unit()? {
                0xDC00..=0xDFFF => Err(Refused),
                0xD800..=0xDBFF => {
                    self.expect(b'\\')?;
                    self.expect(b'u')?;
                    match self.code_unit()? {
                        0xDC00..=0xDFFF => Ok(()),
                        _ => Err(Refused),
                    }
                }
                _ => Ok(()),
            },
            _ => Err(Refused),
        }
    }

    fn code_unit(&mut self) -> Result<u32, Refused> {
        let digits = self.bytes.get(self.at..self.at + 4).ok_or(Refused)?;
        self.at += 4;
        digits.iter().try_fold(0, |unit, digit| {
            let digit = char::from(*digit).to_digit(16).ok_or(Refused)?;
            Ok(unit << 4 | digit)
        })
    }
}

/// The high bit of the first byte that is a quote, a backslash or below 0x20, in memory's order; bits
/// of later bytes may be wrong, 0 is right.
#[inline]
fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = ONES << 7;
    let zero_in = |word: u64| word.wrapping_sub(ONES) & !word;
    let quote = zero_in(word ^ (ONES * b'"' as u64));
    let backslash = zero_in(word ^ (ONES * b'\\' as u64));
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (quote | backslash | control) & HIGH
}
