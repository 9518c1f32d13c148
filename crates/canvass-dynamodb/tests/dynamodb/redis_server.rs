//! A real Redis for each test, which it may kill, and a gate in front of it, which may stall.

use std::{
    net::{Ipv4Addr, SocketAddr},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use canvass_dynamodb::RedisUrl;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
};

/// What names the program `redis-server`.
const PROGRAM: &str = "CANVASS_TEST_REDIS";
const PASSWORD: &str = "a-secret";
const STARTED_WAIT: Duration = Duration::from_millis(20);
const STARTED_WAITS_MAX: usize = 500;

/// A Redis that keeps nothing on disk. It ends when dropped.
pub(crate) struct RedisServer {
    port: u16,
    process: Child,
}

impl RedisServer {
    pub(crate) async fn start() -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let server = Self { port, process: launch(port) };
        server.wait_until_it_listens().await;
        server
    }

    /// The way to it, with its password.
    pub(crate) fn url(&self) -> RedisUrl {
        self.address().parse().unwrap()
    }

    /// The same as text.
    pub(crate) fn address(&self) -> String {
        address(self.port)
    }

    /// Ends it without a word.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again at the same place, with nothing in it.
    pub(crate) async fn restart(&mut self) {
        self.process = launch(self.port);
        self.wait_until_it_listens().await;
    }

    /// Has it do something, by its own protocol.
    pub(crate) async fn tell(&self, command: &str) {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.unwrap();
        stream.write_all(format!("AUTH {PASSWORD}\r\n{command}\r\nQUIT\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(!answer.contains("-ERR"), "{command}: {answer}");
    }

    async fn wait_until_it_listens(&self) {
        for _ in 0..STARTED_WAITS_MAX {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.is_ok() {
                return;
            }
            tokio::time::sleep(STARTED_WAIT).await;
        }
        panic!("redis-server does not listen");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It may have been killed before.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's edge")]
fn launch(port: u16) -> Child {
    let program = std::env::var(PROGRAM).unwrap_or_else(|_| {
        panic!("{PROGRAM} does not name redis-server; `cargo xtask test` installs it and sets it")
    });
    let options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--requirepass", PASSWORD];
    let mut command = Command::new(program);
    command.args(["--port", &port.to_string()]).args(options).stdout(Stdio::null());
    command.spawn().unwrap()
}

fn address(port: u16) -> String {
    format!("redis://:{PASSWORD}@127.0.0.1:{port}")
}

/// A way to a Redis that can be cut without anybody being told. It ends when dropped.
pub(crate) struct Gate {
    address: SocketAddr,
    is_open: Arc<watch::Sender<bool>>,
    _task: JoinSet<()>,
}

impl Gate {
    pub(crate) async fn before(server: &RedisServer) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let is_open = Arc::new(watch::Sender::new(true));
        let (gate, port) = (Arc::clone(&is_open), server.port);
        let mut task = JoinSet::new();
        task.spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { continue };
                let (near, far) = (near.into_split(), far.into_split());
                tokio::spawn(carry(near.0, far.1, gate.subscribe()));
                tokio::spawn(carry(far.0, near.1, gate.subscribe()));
            }
        });
        Self { address, is_open, _task: task }
    }

    pub(crate) fn url(&self) -> RedisUrl {
        address(self.address.port()).parse().unwrap()
    }

    /// From now on nothing comes through, and what was sent comes when it is opened again.
    pub(crate) fn stall(&self) {
        self.is_open.send_replace(false);
    }

    pub(crate) fn open(&self) {
        self.is_open.send_replace(true);
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut is_open: watch::Receiver<bool>) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        let opened = is_open.wait_for(|is_open| *is_open).await.is_ok();
        if !opened || to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}
