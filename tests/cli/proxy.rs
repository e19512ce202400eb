//! A bad line between the command line and the stack: it cuts connections off, as networks do.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tests::base_url;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
};

/// What it does to what comes back.
#[derive(Clone, Copy)]
pub(crate) enum Harm {
    /// Streams of events break off after so many bytes, each time.
    CutsStreams(usize),
    /// So many first answers never arrive, though the service gave them.
    Swallows(usize),
}

/// The line.
pub(crate) struct Proxy {
    pub url: String,
    cuts: Arc<AtomicUsize>,
}

impl Proxy {
    /// A line that does harm.
    pub(crate) async fn doing(harm: Harm) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let cuts = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&cuts);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(passed_on(stream, harm, Arc::clone(&counted)));
            }
        });
        Self { url, cuts }
    }

    /// How often it did harm.
    pub(crate) fn cuts(&self) -> usize {
        self.cuts.load(Ordering::Relaxed)
    }
}

async fn passed_on(stream: TcpStream, harm: Harm, cuts: Arc<AtomicUsize>) {
    let host = base_url().trim_start_matches("http://").to_owned();
    let Ok(upstream) = TcpStream::connect(host).await else { return };
    let (mut from_caller, mut to_caller) = stream.into_split();
    let (mut from_service, mut to_service) = upstream.into_split();
    let asking = tokio::spawn(async move { copy(&mut from_caller, &mut to_service).await });
    let mut piece = vec![0; 16 * 1024];
    let mut room = None;
    while let Ok(length @ 1..) = from_service.read(&mut piece).await {
        let mut bytes = &piece[..length];
        match harm {
            Harm::Swallows(most) if cuts.load(Ordering::Relaxed) < most => {
                cuts.fetch_add(1, Ordering::Relaxed);
                break;
            }
            Harm::CutsStreams(most) => {
                let text = String::from_utf8_lossy(bytes);
                if room.is_none() && text.contains("text/event-stream") {
                    room = Some(most);
                }
                if let Some(room) = &mut room {
                    bytes = &bytes[..bytes.len().min(*room)];
                    *room -= bytes.len();
                }
            }
            Harm::Swallows(_) => {}
        }
        if to_caller.write_all(bytes).await.is_err() {
            break;
        }
        if bytes.ends_with(b"\r\n0\r\n\r\n") {
            room = None;
        }
        if room == Some(0) {
            cuts.fetch_add(1, Ordering::Relaxed);
            break;
        }
    }
    asking.abort();
}
