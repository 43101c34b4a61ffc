//! A long link for real packets: two TUN devices, and what goes out of one comes in at the other later.
//!
//!     link NEAR FAR MILLISECONDS
//!
//! makes both devices, prints `ready`, and carries packets until it is killed; each is on its way for MILLISECONDS.
//! Unlike the relay, which delays what it has taken from a connection, this delays packets: connecting costs a round
//! trip, acknowledgements come late, and what may be on its way is the kernel's windows.
//!
//! The devices offload segmentation, as network cards do: up to 64 KiB come at once, with a header that says how to
//! cut them, and go on with it. One that cuts them itself would be the bottleneck.

use std::error::Error;

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn Error>> {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> Result<(), Box<dyn Error>> {
    Err("link: there are network namespaces on Linux only".into())
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        env,
        error::Error,
        io,
        sync::{
            Arc,
            mpsc::{Receiver, Sender, channel},
        },
        thread,
        time::{Duration, Instant},
    };

    use tun_rs::{DeviceBuilder, SyncDevice, VIRTIO_NET_HDR_LEN};

    /// The longest packet, and the header that precedes it.
    const LONGEST: usize = VIRTIO_NET_HDR_LEN + 65536;

    /// A packet, and when it is due.
    type Delayed = (Instant, Vec<u8>);

    pub(crate) fn main() -> Result<(), Box<dyn Error>> {
        let arguments: Vec<String> = env::args().skip(1).collect();
        let [near, far, milliseconds] = arguments.as_slice() else {
            return Err("usage: link NEAR FAR MILLISECONDS (benches/run starts it)".into());
        };
        let delay = Duration::from_secs_f64(milliseconds.parse::<f64>()? / 1000.0);
        let (near, far) = (device(near)?, device(far)?);
        let mut carriers = Vec::new();
        for (from, to) in [(&near, &far), (&far, &near)] {
            let (sender, receiver) = channel();
            let (from, to) = (Arc::clone(from), Arc::clone(to));
            carriers.push(thread::spawn(move || take(&from, &sender, delay)));
            carriers.push(thread::spawn(move || give(&to, &receiver)));
        }
        println!("ready");
        for carrier in carriers {
            carrier.join().map_err(|_| "link: a carrier panicked")??;
        }
        Ok(())
    }

    fn device(name: &str) -> io::Result<Arc<SyncDevice>> {
        // The program that started this one moves the device into its namespace first, and brings it up there.
        let device = DeviceBuilder::new().name(name).offload(true).enable(false);
        device.build_sync().map(Arc::new)
    }

    fn take(from: &SyncDevice, sender: &Sender<Delayed>, delay: Duration) -> io::Result<()> {
        let mut packet = vec![0; LONGEST];
        loop {
            let count = match from.recv(&mut packet) {
                Ok(count) => count,
                Err(error) if is_down(&error) => {
                    thread::sleep(delay.max(Duration::from_millis(1)));
                    continue;
                }
                Err(error) => return Err(error),
            };
            let copy = packet.get(..count).unwrap_or_default().to_vec();
            if sender.send((Instant::now() + delay, copy)).is_err() {
                return Ok(());
            }
        }
    }

    fn give(to: &SyncDevice, receiver: &Receiver<Delayed>) -> io::Result<()> {
        for (due, packet) in receiver {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            match to.send(&packet) {
                // A link loses what comes while its other end is down.
                Err(error) if !is_down(&error) => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// EIO on a write, EBADFD on a read.
    fn is_down(error: &io::Error) -> bool {
        matches!(error.raw_os_error(), Some(5 | 77))
    }
}
