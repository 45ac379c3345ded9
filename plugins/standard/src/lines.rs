//! Groups of lines, as `stdin` and `file` hand them over.

use std::time::Duration;

use sluice_sdk::{Intake, IntakeError, SourceError, Stop, Submission};
use tokio::time::sleep;

use crate::place::{NO_ID, NO_TYPE, NOT_AN_OBJECT, NOT_JSON, Places};

/// Lines of one submission.
const LINES_MAX: usize = 500;
/// Bytes of one submission; a longer line goes alone.
const BYTES_MAX: usize = 4 << 20;
/// Longest line. A longer one is set aside in pieces of this length, so that memory stays bounded
/// and no byte is lost.
pub const LINE_BYTES_MAX: u64 = 16 << 20;
/// Pause after the disk refused.
const DISK_PAUSE: Duration = Duration::from_secs(5);

const TOO_LONG: (&str, &str) = (
    "line too long",
    "The line is longer than a line may be, so it was not read as one; each piece of it is a letter.",
);

/// Why lines are set aside, and what that means.
pub const REASONS: sluice_sdk::Reasons = &[NOT_JSON, NOT_AN_OBJECT, NO_TYPE, NO_ID, TOO_LONG];

/// Lines that wait to be handed over together.
#[derive(Default)]
pub struct Group {
    pub body: Vec<u8>,
    submission: Submission,
    /// In the middle of a line that is too long.
    is_long: bool,
}

impl Group {
    /// Mark the line, or the piece of a long one, that begins at `start` and ends with the body.
    pub fn add(&mut self, start: usize, places: &Places) {
        let is_whole = self.body.ends_with(b"\n");
        let is_piece = (self.body.len() - start) as u64 >= LINE_BYTES_MAX && !is_whole;
        let line = self.body[start..].trim_ascii_end();
        if is_piece || self.is_long {
            self.is_long = is_piece;
            self.submission.malformed.push(sluice_sdk::MalformedMark {
                start: start as u32,
                end: (start + line.len()) as u32,
                reason: TOO_LONG.0.to_owned(),
            });
        } else if !line.is_empty() {
            places.mark(&mut self.submission, line, start);
        }
    }

    pub fn is_full(&self) -> bool {
        self.lines() >= LINES_MAX || self.body.len() >= BYTES_MAX
    }

    fn lines(&self) -> usize {
        self.submission.events.len() + self.submission.malformed.len()
    }

    /// Hand over what is there. `false` when it is time to stop, and nothing was taken.
    pub async fn hand_over(&mut self, intake: &Intake, stop: &Stop) -> Result<bool, SourceError> {
        let body = std::mem::take(&mut self.body);
        let mut submission = std::mem::take(&mut self.submission);
        if submission.events.is_empty() && submission.malformed.is_empty() {
            return Ok(true);
        }
        submission.body = body.into();
        hand_over(intake, stop, submission).await
    }
}

/// Give a submission to the intake, waiting while it has no room. `false` when it is time to stop.
pub async fn hand_over(
    intake: &Intake,
    stop: &Stop,
    submission: Submission,
) -> Result<bool, SourceError> {
    loop {
        let pause = match intake.accept(submission.clone()).await {
            Ok(()) => return Ok(true),
            Err(IntakeError::Stopping) => return Ok(false),
            Err(IntakeError::Full { retry_after }) => retry_after,
            // The engine has said what is wrong; a disk that is made room on takes again.
            Err(_) => DISK_PAUSE,
        };
        tokio::select! {
            () = stop.requested() => return Ok(false),
            () = sleep(pause) => {}
        }
    }
}
