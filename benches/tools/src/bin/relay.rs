//! A TCP relay that delays every byte, both ways: a long link without the limits of one.
//!
//!     relay LISTEN TARGET MILLISECONDS
//!
//! takes connections on LISTEN, carries each to TARGET, and holds what passes for MILLISECONDS in each direction.
//! How much is on its way at a time is not limited, so that what is measured is the windows of those that use it
//! and not those of the kernel. It prints the address that it listens on and runs until it is killed.

use std::{
    env,
    error::Error,
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::{Duration, Instant},
};

/// What is read at once.
const CHUNK: usize = 256 * 1024;

/// Bytes, and when they are due; none is the end of file.
type Delayed = (Instant, Vec<u8>);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [listen, target, milliseconds] = arguments.as_slice() else {
        return Err("usage: relay LISTEN TARGET MILLISECONDS (benches/run starts it)".into());
    };
    let delay = Duration::from_secs_f64(milliseconds.parse::<f64>()? / 1000.0);
    let listener = TcpListener::bind(listen)?;
    println!("{}", listener.local_addr()?);
    for accepted in listener.incoming() {
        if let Err(error) = accepted.and_then(|near| carry(near, target, delay)) {
            eprintln!("relay: {error}");
        }
    }
    Ok(())
}

fn carry(near: TcpStream, target: &str, delay: Duration) -> io::Result<()> {
    let far = TcpStream::connect(target)?;
    for stream in [&near, &far] {
        stream.set_nodelay(true)?;
    }
    for (from, to) in [(near.try_clone()?, far.try_clone()?), (far, near)] {
        let (sender, receiver) = channel();
        thread::spawn(move || take(from, &sender, delay));
        thread::spawn(move || give(to, &receiver));
    }
    Ok(())
}

/// Reads all there is; an error is an end too, which its peer learns of as one.
fn take(mut from: TcpStream, sender: &Sender<Delayed>, delay: Duration) {
    loop {
        let mut chunk = vec![0; CHUNK];
        let count = from.read(&mut chunk).unwrap_or(0);
        chunk.truncate(count);
        if sender.send((Instant::now() + delay, chunk)).is_err() || count == 0 {
            return;
        }
    }
}

fn give(mut to: TcpStream, receiver: &Receiver<Delayed>) {
    for (due, chunk) in receiver {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if chunk.is_empty() || to.write_all(&chunk).is_err() {
            break;
        }
    }
    // The reader at the other end of a broken connection has to learn of it.
    let _ = to.shutdown(Shutdown::Both);
}
