//! A proxy in front of a server, which is slow, or ends connections on which some text is sent.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// How much is passed on at a time.
const CHUNK_BYTES: usize = 64 * 1024;

/// It runs until the test ends.
pub(crate) struct Proxy {
    address: SocketAddr,
    fault: Arc<Mutex<Fault>>,
}

#[derive(Clone, Default)]
struct Fault {
    delay: Duration,
    cut: Option<String>,
}

impl Proxy {
    pub(crate) fn start(server: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let proxy = Self { address: listener.local_addr().unwrap(), fault: Arc::default() };
        let (server, fault) = (server.to_owned(), Arc::clone(&proxy.fault));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(upstream) = TcpStream::connect(&server) else { continue };
                let (back, to) = (upstream.try_clone().unwrap(), client.try_clone().unwrap());
                let fault = Arc::clone(&fault);
                thread::spawn(move || pass(client, upstream, &fault));
                thread::spawn(move || pass(back, to, &Arc::default()));
            }
        });
        proxy
    }

    pub(crate) fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits before each chunk that is passed on.
    pub(crate) fn delay(&self, delay: Duration) {
        self.fault.lock().unwrap().delay = delay;
    }

    /// Ends each connection on which a chunk with this text is sent.
    pub(crate) fn cut(&self, text: Option<&str>) {
        self.fault.lock().unwrap().cut = text.map(str::to_owned);
    }
}

/// Passes on until one side has ended. A request's head is in one chunk, since it is only sent after the last answer.
fn pass(mut from: TcpStream, mut to: TcpStream, fault: &Arc<Mutex<Fault>>) {
    let mut chunk = vec![0; CHUNK_BYTES];
    while let Ok(length @ 1..) = from.read(&mut chunk) {
        let Fault { delay, cut } = fault.lock().unwrap().clone();
        thread::sleep(delay);
        let is_cut = cut.is_some_and(|text| String::from_utf8_lossy(&chunk[..length]).contains(&text));
        if is_cut || to.write_all(&chunk[..length]).is_err() {
            break;
        }
    }
    // The other side may have ended already.
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
