//! Which function is at the other end of a connection: the process in flight that owns the socket.

use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, bail};
use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use serde::Deserialize;

/// A function's process.
#[derive(Debug, Clone, Deserialize)]
pub struct Peer {
    /// The function's name.
    pub function: String,
    /// Its process.
    pub pid: i32,
}

/// The two ends of a connection that a proxy accepted.
#[derive(Debug, Clone, Copy)]
pub struct Ends {
    /// The caller's.
    pub from: SocketAddr,
    /// The proxy's.
    pub to: SocketAddr,
}

/// The invocation in flight whose process owns the caller's end of a connection.
///
/// # Errors
/// When the kernel cannot be asked. That is no "nobody": whoever takes it for that loses a fault.
pub fn find(invocations: &Path, ends: Ends) -> Result<Option<Peer>> {
    let Some(inode) = inode(ends)? else {
        return Ok(None);
    };
    let socket = format!("socket:[{inode}]");
    let running = fs::read_dir(invocations)
        .context("listing invocations")?
        .flatten();
    Ok(running
        .filter_map(|entry| serde_json::from_slice::<Peer>(&fs::read(entry.path()).ok()?).ok())
        .find(|peer| owns(peer.pid, &socket)))
}

/// The inode of the socket at the caller's end, or none when it is closed already.
///
/// The kernel is asked for this one socket (sock_diag(7)). The table in /proc/net/tcp is handed out in pieces, and sockets
/// that come and go meanwhile make it leave out others.
fn inode(ends: Ends) -> Result<Option<u32>> {
    let mut socket = Socket::new(NETLINK_SOCK_DIAG).context("opening a netlink socket")?;
    socket.bind_auto().context("binding a netlink socket")?;
    socket
        .connect(&netlink_sys::SocketAddr::new(0, 0))
        .context("connecting to the kernel")?;
    let question = InetRequest {
        family: AF_INET,
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::empty(),
        states: StateFlags::all(),
        socket_id: SocketId {
            source_address: ends.from.ip(),
            source_port: ends.from.port(),
            destination_address: ends.to.ip(),
            destination_port: ends.to.port(),
            interface_id: 0,
            cookie: [0xff; 8], // INET_DIAG_NOCOOKIE
        },
    };
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST;
    let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(question).into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send(&bytes, 0).context("asking for a socket")?;
    let (answer, _) = socket
        .recv_from_full()
        .context("reading the answer about a socket")?;
    match NetlinkMessage::<SockDiagMessage>::deserialize(&answer)
        .context("an answer about a socket")?
        .payload
    {
        NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(found)) => Ok(Some(found.header.inode)),
        NetlinkPayload::Error(error) if error.to_io().kind() == ErrorKind::NotFound => Ok(None),
        other => bail!("asked for the socket {ends:?}, the kernel answered {other:?}"),
    }
}

fn owns(pid: i32, socket: &str) -> bool {
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    files
        .flatten()
        .any(|file| fs::read_link(file.path()).is_ok_and(|target| target.as_os_str() == socket))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    #[test]
    fn the_process_behind_every_one_of_many_connections_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let here = std::process::id();
        let stop = AtomicBool::new(false);
        let busy = TcpListener::bind("127.0.0.1:0").unwrap();
        let elsewhere = busy.local_addr().unwrap();
        thread::scope(|scope| {
            // Sockets that come and go are what made one be overlooked.
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let client = TcpStream::connect(elsewhere).unwrap();
                    drop((client, busy.accept().unwrap()));
                }
            });
            for number in 0..200 {
                let client = TcpStream::connect(to).unwrap();
                let (_server, from) = listener.accept().unwrap();
                let ends = Ends { from, to };
                if number == 0 {
                    assert!(find(folder.path(), ends).unwrap().is_none(), "nobody is running");
                    let entry = format!(r#"{{"pid": {here}, "function": "sluice-sweep", "event": {{}}}}"#);
                    fs::write(folder.path().join("a.json"), entry).unwrap();
                }
                let found = find(folder.path(), ends).unwrap();
                assert_eq!(found.unwrap().function, "sluice-sweep", "connection {number}");
                drop(client);
            }
            stop.store(true, Ordering::Relaxed);
        });
    }

    #[test]
    fn a_connection_that_is_not_there_is_nobodys() {
        let ends = Ends {
            from: "127.0.0.1:1".parse().unwrap(),
            to: "127.0.0.1:2".parse().unwrap(),
        };
        assert!(find(Path::new("/nonexistent"), ends).unwrap().is_none());
    }
}
