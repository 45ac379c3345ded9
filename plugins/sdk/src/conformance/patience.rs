//! Bounded waits, crashes that are seen, futures that are dropped in the middle.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// For what must happen; only a faulty plugin makes the kit wait that long.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// For what must not happen. A slow machine can only hide a fault by it, never invent one.
pub const GRACE: Duration = Duration::from_millis(200);
/// Awaits at which a future is dropped, one after the other.
pub const POLLS_MAX: u32 = 32;

/// Why something has no result.
#[derive(Debug)]
pub enum Trouble {
    /// It panicked.
    Panic(String),
    /// It did not end within the time.
    Late,
}

/// Run in a task of its own, for a bounded time.
pub async fn bounded<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
    limit: Duration,
) -> Result<T, Trouble> {
    let mut task = tokio::spawn(future);
    let ended = join(&mut task, limit).await;
    task.abort();
    ended
}

/// Wait for a task, for a bounded time. It runs on when it is late.
pub async fn join<T>(task: &mut JoinHandle<T>, limit: Duration) -> Result<T, Trouble> {
    match timeout(limit, task).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(failure)) => Err(match failure.try_into_panic() {
            Ok(panic) => Trouble::Panic(said(&*panic)),
            Err(_) => Trouble::Late,
        }),
        Err(_) => Err(Trouble::Late),
    }
}

/// Call something that is not async; a panic is a value.
pub fn call<T>(function: impl FnOnce() -> T) -> Result<T, Trouble> {
    catch_unwind(AssertUnwindSafe(function)).map_err(|panic| Trouble::Panic(said(&*panic)))
}

fn said(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no text".to_owned())
}

/// Wait until `done`, for a bounded time.
pub async fn until(mut done: impl FnMut() -> bool) -> bool {
    let waiting = async {
        while !done() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, waiting).await.is_ok()
}

/// Poll `future` at most `polls` times and drop it. `None`: it was dropped before its end.
pub async fn cut<F: Future>(future: F, polls: u32) -> Option<F::Output> {
    let cut = Cut {
        inner: pin!(future),
        left: polls,
    };
    // One that is not woken any more has no further await to be dropped at.
    timeout(GRACE, cut).await.ok().flatten()
}

struct Cut<'a, F> {
    inner: Pin<&'a mut F>,
    left: u32,
}

impl<F: Future> Future for Cut<'_, F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= 1;
        match self.inner.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending if self.left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}
