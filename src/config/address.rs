//! Addresses to listen on: what is wrong with one that cannot be read, and which of them are the same.

use std::net::{IpAddr, SocketAddr};

/// What every one of them is.
pub(super) const EXPECTED: &str = "expected an IP address and a port from 0 to 65535";

/// What to write instead of a text that is no address with a port.
pub(super) fn meant(text: &str) -> String {
    let bare = text.trim_matches(|sign: char| !sign.is_ascii_graphic() || "\"'`".contains(sign));
    let bare = bare.split_once("://").map_or(bare, |(_, rest)| rest);
    let bare = bare.trim_end_matches('/');
    if bare != text && bare.parse::<SocketAddr>().is_ok() {
        return format!("write `{bare}`");
    }
    if bare.parse::<IpAddr>().is_ok() {
        let host = if bare.contains(':') {
            format!("[{bare}]")
        } else {
            bare.to_owned()
        };
        return format!("the port is missing: `{host}:8080`");
    }
    let (host, port) = bare.rsplit_once(':').unwrap_or(("", bare));
    let Ok(number) = port.parse::<u64>() else {
        return match bare {
            "localhost" => "write `127.0.0.1:PORT`".to_owned(),
            _ => "such as `127.0.0.1:8080`".to_owned(),
        };
    };
    if number > u64::from(u16::MAX) {
        return format!("{number} is no port: the highest is 65535");
    }
    match host {
        "localhost" => format!("a name is none: write `127.0.0.1:{number}`"),
        "" | "*" => format!(
            "write `127.0.0.1:{number}` for this machine alone, `0.0.0.0:{number}` for all that reach it"
        ),
        _ => format!(
            "a name is none: write an IP address of this machine, such as `0.0.0.0:{number}`"
        ),
    }
}

/// Whether one listener keeps another from its address.
pub(super) fn is_taken(one: SocketAddr, other: SocketAddr) -> bool {
    let is_same_host =
        one.ip() == other.ip() || is_everywhere(one, other) || is_everywhere(other, one);
    one.port() == other.port() && one.port() != 0 && is_same_host
}

/// `[::]` takes the port of IPv4 as well, as systems are set up.
fn is_everywhere(one: SocketAddr, other: SocketAddr) -> bool {
    one.ip().is_unspecified() && (one.is_ipv6() || other.is_ipv4())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_address_is_told_what_to_write() {
        for (text, part) in [
            ("localhost:8080", "`127.0.0.1:8080`"),
            ("127.0.0.1:99999", "the highest is 65535"),
            ("8080", "`0.0.0.0:8080`"),
            (":8080", "`127.0.0.1:8080`"),
            ("*:8080", "`0.0.0.0:8080`"),
            ("127.0.0.1", "`127.0.0.1:8080`"),
            ("::1", "`[::1]:8080`"),
            ("http://127.0.0.1:80/", "write `127.0.0.1:80`"),
            ("“127.0.0.1:80”", "write `127.0.0.1:80`"),
            ("shop.example.com:443", "such as `0.0.0.0:443`"),
            ("here", "`127.0.0.1:8080`"),
        ] {
            assert!(meant(text).contains(part), "{text}: {}", meant(text));
        }
    }

    #[test]
    fn a_port_is_taken_once() {
        for (one, other, taken) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("127.0.0.1:80", "0.0.0.0:80", true),
            ("[::]:80", "127.0.0.1:80", true),
            ("0.0.0.0:80", "[::1]:80", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
        ] {
            let read = |text: &str| text.parse().expect("an address");
            assert_eq!(is_taken(read(one), read(other)), taken, "{one} {other}");
            assert_eq!(is_taken(read(other), read(one)), taken, "{one} {other}");
        }
    }
}
