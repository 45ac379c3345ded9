//! Peers that are slow, silent, too many or too large: what each costs, and that others are served.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::json;
use support::{batch, gzip, start};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Short enough for a test, long enough for a busy machine to send a head in one piece.
const SHORT: f64 = 0.3;

async fn connect(webhook: &support::Running) -> TcpStream {
    let address = webhook.url.strip_prefix("http://").unwrap();
    TcpStream::connect(address.split('/').next().unwrap())
        .await
        .unwrap()
}

fn head(length: usize, more: &str) -> String {
    format!(
        "POST /currents HTTP/1.1\r\nhost: a\r\nauthorization: Bearer good\r\ncontent-length: {length}\r\n{more}\r\n"
    )
}

/// All that comes until the other side closes.
async fn until_closed(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    // A reset is an end as well.
    let _ = stream.read_to_end(&mut text).await;
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn who_says_nothing_is_sent_away() {
    let webhook = start(json!({"token": "good", "limits": {"head_timeout": SHORT}})).await;
    let mut silent = connect(&webhook).await;
    assert_eq!(until_closed(&mut silent).await, "");
    webhook.end().await;
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_not_waited_for() {
    let webhook = start(json!({"token": "good", "limits": {"head_timeout": SHORT}})).await;
    for start_of_head in ["POST /curr", "PRI * HTTP/2.0\r\n"] {
        let mut slow = connect(&webhook).await;
        slow.write_all(start_of_head.as_bytes()).await.unwrap();
        // One more byte now and then, without end; the write fails when the other side has closed.
        while slow.write_all(b"x").await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
    assert_eq!(webhook.post(batch(&["1"])).await.0, 200);
    webhook.end().await;
}

#[tokio::test]
async fn a_connection_that_brings_no_second_request_is_closed() {
    let webhook = start(json!({"token": "good", "limits": {"head_timeout": SHORT}})).await;
    let mut idle = connect(&webhook).await;
    let body = batch(&["1"]);
    let request = [head(body.len(), ""), body].concat();
    idle.write_all(request.as_bytes()).await.unwrap();
    let answer = until_closed(&mut idle).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(webhook.taken().0, ["1"]);
    webhook.end().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_answered_408_and_counted() {
    let webhook = start(json!({"token": "good", "limits": {"body_timeout": SHORT}})).await;
    let mut slow = connect(&webhook).await;
    let request = [head(1000, "connection: close\r\n"), "{\"ev".to_owned()].concat();
    slow.write_all(request.as_bytes()).await.unwrap();
    let answer = until_closed(&mut slow).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert_eq!(webhook.notes(), ["body too slow"]);
    assert_eq!(webhook.taken().0, [""; 0], "nothing of it is kept");
    webhook.end().await;
}

#[tokio::test]
async fn a_huge_head_is_431() {
    let webhook = start(json!({"token": "good"})).await;
    let long = format!("x-long: {}\r\n", "x".repeat(200_000));
    let many: String = (0..500).map(|n| format!("x-{n}: 1\r\n")).collect();
    for more in [long, many] {
        let mut stream = connect(&webhook).await;
        // The other side may close while this is still being written.
        let _ = stream.write_all(head(0, &more).as_bytes()).await;
        let mut start = [0; 12];
        stream.read_exact(&mut start).await.unwrap();
        assert_eq!(&start, b"HTTP/1.1 431");
    }
    webhook.end().await;
}

#[tokio::test]
async fn idle_connections_make_room_for_requests() {
    let limits = json!({"connections_max": 4, "head_timeout": 600});
    let webhook = start(json!({"token": "good", "limits": limits})).await;
    let mut silent = Vec::new();
    for n in 0..40 {
        let mut stream = connect(&webhook).await;
        if n % 2 == 0 {
            stream.write_all(b"POST /cur").await.unwrap();
        }
        silent.push(stream);
    }
    assert_eq!(webhook.post(batch(&["1"])).await.0, 200);
    // The first ones went; of the last ones some are still there.
    assert_eq!(until_closed(&mut silent[0]).await, "");
    webhook.end().await;
}

#[tokio::test]
async fn requests_under_way_keep_their_places_and_the_next_one_waits() {
    let limits = json!({"connections_max": 2, "head_timeout": 600});
    let webhook = start(json!({"token": "good", "limits": limits})).await;
    webhook.hold_answers();
    let (first, second, third, ()) = tokio::join!(
        webhook.post(batch(&["1"])),
        webhook.post(batch(&["2"])),
        webhook.post(batch(&["3"])),
        async {
            // Two are waited for; the third one's connection is not taken yet.
            webhook.waits_for(2).await;
            webhook.let_answers_go();
        }
    );
    assert_eq!((first.0, second.0, third.0), (200, 200, 200));
    let mut ids = webhook.taken().0;
    ids.sort();
    assert_eq!(ids, ["1", "2", "3"]);
    webhook.end().await;
}

#[tokio::test]
async fn many_bombs_at_once_are_refused_one_by_one() {
    let webhook = start(json!({"token": "good", "max_body": "1MiB"})).await;
    let bomb = gzip(&vec![b' '; 64 << 20]);
    assert!(bomb.len() < 100_000, "a thousand times smaller");
    // A bomb in a bomb is only a body that is no JSON.
    let nested = gzip(&bomb);
    let zipped = |body: Vec<u8>| {
        webhook.send(move |request| {
            request
                .bearer_auth("good")
                .header("content-encoding", "gzip")
                .body(body)
        })
    };
    let answers = futures(16, || zipped(bomb.clone())).await;
    assert!(
        answers.iter().all(|answer| [413, 503].contains(answer)),
        "{answers:?}"
    );
    assert_eq!(zipped(nested).await.0, 200);
    assert_eq!(webhook.taken().1, ["not JSON"]);
    assert_eq!(webhook.post(batch(&["1"])).await.0, 200);
    webhook.end().await;
}

/// The statuses of so many requests at the same time.
async fn futures<F: Future<Output = (u16, String)>>(
    count: usize,
    mut request: impl FnMut() -> F,
) -> Vec<u16> {
    let mut waiting: Vec<_> = (0..count).map(|_| Box::pin(request())).collect();
    let mut done = Vec::new();
    std::future::poll_fn(|context| {
        waiting.retain_mut(|request| match request.as_mut().poll(context) {
            std::task::Poll::Ready((status, _)) => {
                done.push(status);
                false
            }
            std::task::Poll::Pending => true,
        });
        if waiting.is_empty() {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    done
}
