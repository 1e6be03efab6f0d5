//! Which function is at the other end of a connection: the process in flight that owns the socket.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use serde::Deserialize;

/// A function's process.
#[derive(Debug, Clone, Deserialize)]
pub struct Peer {
    /// The function's name.
    pub function: String,
    /// Its process.
    pub pid: i32,
}

/// The invocation in flight whose process owns the connection that comes from `address`.
pub fn find(invocations: &Path, address: SocketAddr) -> Option<Peer> {
    let socket = format!("socket:[{}]", inode(address)?);
    let running = fs::read_dir(invocations).ok()?.flatten();
    running
        .filter_map(|entry| serde_json::from_slice::<Peer>(&fs::read(entry.path()).ok()?).ok())
        .find(|peer| owns(peer.pid, &socket))
}

/// How often the table of sockets is read for one that is there.
const READS: u32 = 5;

/// The inode of the socket whose local end is `address`. The kernel hands the table out in pieces, and leaves out a socket
/// that moves from one to another meanwhile: a connection that is not found is looked for again.
fn inode(address: SocketAddr) -> Option<String> {
    (0..READS).find_map(|_| {
        let table = fs::read_to_string("/proc/net/tcp").ok()?;
        socket_inode(&table, address).map(str::to_owned)
    })
}

fn owns(pid: i32, socket: &str) -> bool {
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    files
        .flatten()
        .any(|file| fs::read_link(file.path()).is_ok_and(|target| target.as_os_str() == socket))
}

/// The inode of the socket whose local end is `address`, in the format of proc(5), /proc/net/tcp.
fn socket_inode(table: &str, address: SocketAddr) -> Option<&str> {
    let SocketAddr::V4(address) = address else {
        return None;
    };
    let local = format!(
        "{:08X}:{:04X}",
        u32::from_ne_bytes(address.ip().octets()),
        address.port()
    );
    table
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .find(|fields| fields.get(1) == Some(&local.as_str()))
        .and_then(|fields| fields.get(9).copied())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn the_process_behind_a_connection_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (_server, from) = listener.accept().unwrap();
        let folder = tempfile::tempdir().unwrap();
        assert!(find(folder.path(), from).is_none());
        let entry = format!(
            r#"{{"pid": {}, "function": "sluice-sweep", "event": {{}}}}"#,
            std::process::id()
        );
        fs::write(folder.path().join("a.json"), entry).unwrap();
        assert_eq!(find(folder.path(), from).unwrap().function, "sluice-sweep");
    }
}
